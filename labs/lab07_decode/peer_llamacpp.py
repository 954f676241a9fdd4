#!/usr/bin/env python3
"""Lab 07 beside llama.cpp: decode at the same shapes, as its own llama-bench measures it.

    python3 labs/lab07_decode/peer_llamacpp.py [--llama-bench=PATH] [--weights=q4_k] [--model=llama-3.2-1b ...]

  llamacpp     the baseline: attention of products and a softmax
  llamacpp-fa  its flash attention

A repetition is T decode steps at batch 1 behind P positions, whose prefill is not timed. The model is a GGUF file of
the shape with seeded random weights, written into a temporary folder ($TMPDIR) for each point: matrices bf16, or Q8_0
or Q4_K blocks where the lab has them, and the embedding, of which a step reads one row, bf16. All layers are on the
first GPU; keys and values are fp16, llama.cpp's default, and as large as the lab's. Steady state (hot).

llama-bench waits for each token, copies its logits to the host, and draws the next token without looking at them: the
host has its part in each step, as in a program that samples there, and no choice of a token is timed. It shows nothing
of what it computes. So nothing is checked but that it read the whole model and made so many tokens behind so many
positions, and the result file has no verdict (`validation` is null). The variants take turns in one process (A B B A,
five repetitions at a time); the first of each five is its warm-up, as llama.cpp captures its CUDA graph there.
GGML_CUDA_DISABLE_GRAPHS=1 in the environment does without.

Needs llama-bench of llama.cpp, built with GGML_CUDA or GGML_HIP, and PyTorch, which says what the device is: without
them it says what is missing and exits with 77.
"""
from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import math
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from typing import Any, BinaryIO, Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "common" / "python"), str(ROOT / "common" / "decode" / "python")]

import peer_torch  # noqa: E402
import pk_model_gguf  # noqa: E402
import pk_peer  # noqa: E402
from pk_decoder_shapes import QUANTS, SHAPES, Shape, quant_of, step_bytes, step_flops, tensors  # noqa: E402
from pk_peer import Contender, Device, Plan  # noqa: E402
from pk_result import Failure, Report, Result, split  # noqa: E402

LAB = peer_torch.LAB
OPENED = {"position": {"low": 0}, "weights": {"fixed": False}}  # what PyTorch has not
KNOBS = [dataclasses.replace(knob, **OPENED.get(knob.name, {})) for knob in LAB.knobs]
FLASH = {"llamacpp": "0", "llamacpp-fa": "1"}
VARIANTS = tuple(FLASH)
REPETITIONS, WARM_UP = 5, 1  # at a time, and of them

HOW_TO_GET = ("build it of https://github.com/ggml-org/llama.cpp (cmake -DGGML_CUDA=ON, target llama-bench), and give "
              "--llama-bench=PATH or put it into PATH")


# ---- a model's file: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md ----

TYPES = {"f32": 0, "q8_0": 8, "q4_k": 12, "bf16": 30}  # ggml_type
ALIGN = 32
POOL_BLOCKS = {"bf16": 1 << 22, "q8_0": 1 << 17, "q4_k": 1 << 15}  # some megabytes of random ones
NAMES = {"embedding": "token_embd", "norm": "output_norm", "head": "output", "q": "attn_q", "k": "attn_k",
         "v": "attn_v", "o": "attn_output", "q_norm": "attn_q_norm", "k_norm": "attn_k_norm", "gate": "ffn_gate",
         "up": "ffn_up", "down": "ffn_down"}  # of others GGUF's are the same


def family(shape: Shape) -> str:
    """GGUF's architecture."""
    return "qwen3" if shape.qk_norm else "qwen2" if shape.qkv_bias else "llama"


def gguf_name(name: str) -> str:
    """Of a tensor."""
    layer, _, own = name.rpartition(".")
    own, bias = own.removesuffix("_bias"), own.endswith("_bias")
    return f"{f'blk.{layer}.' if layer else ''}{NAMES.get(own, own)}.{'bias' if bias else 'weight'}"


@dataclasses.dataclass
class Tensor:
    """`numbers`: of a vector, fp32; a matrix has random blocks of its type."""

    name: str
    dimensions: tuple[int, ...]
    type: str
    numbers: list[float] = dataclasses.field(default_factory=list)

    @property
    def bytes(self) -> int:
        """In the file, without what stands behind it."""
        weights, of_block = QUANTS.get(self.type, (1, 4))
        return math.prod(self.dimensions) // weights * of_block


def listed(shape: Shape, weights: str, drawn: random.Random) -> list[Tensor]:
    """All that a file has."""
    found = []
    for name, (dimensions, centre, spread) in tensors(shape).items():
        if len(dimensions) == 1:
            numbers = [drawn.uniform(centre - spread, centre + spread) for _ in range(dimensions[0])]
            found.append(Tensor(gguf_name(name), dimensions, "f32", numbers))
            continue
        blocks = quant_of(weights, dimensions[1])
        found.append(Tensor(gguf_name(name), dimensions, "bf16" if name == "embedding" else blocks))
        if name == "embedding" and shape.tied and blocks != "bf16":  # the logits' own copy
            found.append(Tensor(gguf_name("head"), dimensions, blocks))
    if shape.rope_factor != 1:
        scaling = {"low_freq_factor": shape.rope_low, "high_freq_factor": shape.rope_high, "factor": shape.rope_factor,
                   "original_max_position_embeddings": shape.rope_original}
        factors = pk_model_gguf.llama3_factors(shape.head_dim, shape.rope_theta, scaling)
        found.append(Tensor("rope_freqs.weight", (len(factors),), "f32", factors))
    return found


def random_blocks(kind: str, columns: int, drawn: random.Random) -> bytes:
    """A pool of them, of either sign, about as large as keeps a product with a row of so many near 1."""
    count, wanted = POOL_BLOCKS[kind], 1 / math.sqrt(columns)
    pool = bytearray(drawn.randbytes(count * QUANTS[kind][1]))
    if kind == "bf16":  # from 1/2 to 2 times a power of 4
        high = 0x3F + round(math.log(wanted / 1.2, 4))
        pool[1::2] = pool[1::2].translate(bytes(byte & 0x80 | high for byte in range(256)))
        return bytes(pool)
    # By the spread of q, or of s q - 7.5 m: the rest of a block may be any bits.
    scales = struct.pack("<e", wanted / 74) if kind == "q8_0" else struct.pack("<2e", wanted / 258, 7.5 * wanted / 258)
    for i, byte in enumerate(scales):
        pool[i::QUANTS[kind][1]] = bytes([byte]) * count
    return bytes(pool)


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _field(key: str, value: str | int | float) -> bytes:
    if isinstance(value, str):
        return _text(key) + struct.pack("<I", 8) + _text(value)
    return _text(key) + (struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value))


def _rounded_up(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _header(name: str, shape: Shape, all_of_it: list[Tensor]) -> bytes:
    arch = family(shape)
    fields: dict[str, str | int | float] = {
        "general.architecture": arch, "general.name": name, "tokenizer.ggml.model": "no_vocab",
        f"{arch}.vocab_size": shape.vocab, f"{arch}.context_length": shape.max_positions,
        f"{arch}.embedding_length": shape.hidden, f"{arch}.block_count": shape.layers,
        f"{arch}.feed_forward_length": shape.ffn, f"{arch}.attention.head_count": shape.heads,
        f"{arch}.attention.head_count_kv": shape.kv_heads, f"{arch}.attention.key_length": shape.head_dim,
        f"{arch}.attention.value_length": shape.head_dim, f"{arch}.rope.dimension_count": shape.head_dim,
        f"{arch}.rope.freq_base": float(shape.rope_theta),
        f"{arch}.attention.layer_norm_rms_epsilon": float(shape.rms_eps)}
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(all_of_it), len(fields)), *itertools.starmap(_field, fields.items())]
    offset = 0
    for one in all_of_it:
        parts += [_text(one.name), struct.pack("<I", len(one.dimensions)),
                  *(struct.pack("<Q", size) for size in reversed(one.dimensions)),
                  struct.pack("<IQ", TYPES[one.type], offset)]
        offset += _rounded_up(one.bytes)
    header = b"".join(parts)
    return header + bytes(_rounded_up(len(header)) - len(header))


def _write_blocks(file: BinaryIO, one: Tensor, pool: bytes, drawn: random.Random) -> None:
    """From another place of the pool on, and round it as often as it takes."""
    start = drawn.randrange(POOL_BLOCKS[one.type]) * QUANTS[one.type][1]
    left = one.bytes
    while left:
        piece = memoryview(pool)[start:start + left]
        file.write(piece)
        left, start = left - len(piece), 0


def write_model(path: pathlib.Path, name: str, weights: str, seed: int) -> dict[str, int]:
    """The file; what llama-bench will say of it."""
    shape, drawn = SHAPES[name], random.Random(seed)
    all_of_it, pools = listed(shape, weights, drawn), {}
    with open(path, "wb") as file:
        file.write(_header(name, shape, all_of_it))
        for one in all_of_it:
            if one.type == "f32":
                file.write(struct.pack(f"<{len(one.numbers)}f", *one.numbers))
            else:
                key = one.type, one.dimensions[-1]
                if key not in pools:
                    pools[key] = random_blocks(*key, drawn)
                _write_blocks(file, one, pools[key], drawn)
            file.write(bytes(_rounded_up(one.bytes) - one.bytes))
    return {"model_n_params": sum(math.prod(one.dimensions) for one in all_of_it),
            "model_size": sum(one.bytes for one in all_of_it)}


# ---- llama-bench ----


def _last_line(path: pathlib.Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")


@contextlib.contextmanager
def visits(command: list[str], log: pathlib.Path, limit_s: float) -> Iterator[Iterator[dict[str, Any]]]:
    """What it says of each of its tests, as they end. It is ended with the context; and, as a timeout, when it says
    nothing for so long."""
    late = threading.Event()
    with open(log, "wb") as errors, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                                     stderr=errors, text=True) as process:
        def give_up() -> None:
            late.set()
            process.kill()

        def line() -> str:
            timer = threading.Timer(limit_s, give_up)
            timer.start()
            try:
                return process.stdout.readline() if process.stdout else ""
            finally:
                timer.cancel()

        def told() -> Iterator[dict[str, Any]]:
            for said in iter(line, ""):
                if said.startswith("{"):
                    yield json.loads(said)
            if late.is_set():
                raise Failure("timeout", f"llama-bench said nothing for {limit_s:g} s: it was ended; raise --watchdog "
                                         "where it was only slow")
            raise Failure("fault", f"llama-bench ended with {process.wait()}, and was to go on; the last that it said: "
                                   f"{_last_line(log)}; with -v it says more: {' '.join(command)}")
        try:
            yield told()
        finally:
            process.kill()


class Bench(pk_peer.Bench):
    """Rounds of llama-bench's own repetitions."""

    grace_s = 60  # to end llama-bench

    @staticmethod
    def _take(told: dict[str, Any], asked: dict[str, int]) -> list[float]:
        """The repetitions of one visit, us."""
        if not told["gpu_info"]:
            raise Failure("skipped", f"this llama-bench ({told['backends']}) finds no GPU; {HOW_TO_GET}")
        for name, value in asked.items():
            if int(told[name]) != value:
                raise Failure("fault", f"llama-bench was to measure {name} {value}, and says {told[name]}")
        if len(told["samples_ns"]) != REPETITIONS or min(told["samples_ns"]) <= 0:
            raise Failure("fault", f"llama-bench was to repeat {REPETITIONS} times, and says {told['samples_ns']}")
        return [ns * 1e-3 for ns in told["samples_ns"][WARM_UP:]]

    def _visit(self, command: list[str], log: pathlib.Path, contenders: list[Contender], plan: Plan,
               options: argparse.Namespace, report: Report, asked: dict[str, int]) -> None:
        """Rounds of visits to one llama-bench; without timing a single one."""
        turns = [*contenders, *reversed(contenders)]
        command = [*command, "-fa", ",".join(FLASH[one.result.variant] for one in turns * plan.max_rounds)]
        with visits(command, log, options.watchdog) as told:
            def measure() -> None:
                for one in contenders:
                    one.walls, one.active = [], True
                for one in turns:
                    self._watchdog.progress(f"variant '{one.result.variant}'")
                    said = next(told)
                    one.walls += self._take(said, {**asked, "flash_attn": int(FLASH[one.result.variant])})
                report.environment["device_compiler"] = (f"llama.cpp build {said['build_number']} "
                                                         f"({said['build_commit']}), {said['backends']}")
            if options.timing:
                self._rounds(contenders, plan, measure, _nothing)
            else:
                measure()

    def run_point(self, values: dict[str, float], plan: Plan, options: argparse.Namespace, report: Report) -> None:
        """A file, and what is measured with it."""
        name, position, tokens = LAB.model(values), int(values["position"]), int(values["tokens"])
        weights = list(QUANTS)[int(values["weights"])]
        contenders = []
        for variant in VARIANTS:
            said = f"llama-bench, flash attention {'on' if FLASH[variant] == '1' else 'off'}; outputs are not checked"
            result = Result(variant, said, variant == VARIANTS[0], values, tokens=tokens, is_unchecked=True,
                            bytes_per_token=step_bytes(SHAPES[name], position, tokens, weights),
                            flops_per_token=step_flops(SHAPES[name], position, tokens))
            contenders.append(Contender(result, *[_nothing] * 6))
        contenders = pk_peer.selected(options, contenders)
        report.results += [one.result for one in contenders]
        with tempfile.TemporaryDirectory(prefix="pk-peer-") as folder:
            path = pathlib.Path(folder) / "model.gguf"
            command = [str(options.llama_bench), "-m", str(path), "-ngl", "99", "-sm", "none", "-p", "0", "-n",
                       f"{tokens}", "-d", f"{position}", "-r", f"{REPETITIONS}", "-o", "jsonl"]
            asked = {"n_prompt": 0, "n_gen": tokens, "n_depth": position}
            try:
                self._watchdog.progress(f"the file of {name}")
                begin = pk_peer.now_us()
                asked.update(write_model(path, name, weights, split(self._seed, 0)))
                print(f"lab07: {name}, {weights}: {path.stat().st_size * 1e-9:.2f} GB written in "
                      f"{(pk_peer.now_us() - begin) * 1e-6:.1f} s", file=sys.stderr, flush=True)
                self._visit(command, path.with_name("log"), contenders, plan, options, report, asked)
            except OSError as error:
                raise Failure("usage", f"{error.filename or folder}: {error.strerror}; another folder by TMPDIR, or "
                                       "another --llama-bench") from error
            except Failure as failure:
                for one in contenders:
                    one.result.fail(failure)
        self._save()


def _nothing(*_: Any) -> Any:
    pass


# ---- the program ----


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where it is."""
    parser.add_argument("--llama-bench", type=pathlib.Path, metavar="PATH", help="of the program; else it is in PATH")


def check(options: argparse.Namespace) -> None:
    """Knobs that do not go together, and llama-bench."""
    for values in pk_peer.points(options, KNOBS):
        name = LAB.model(values)
        shape, positions = SHAPES[name], values["position"] + values["tokens"]
        if positions > shape.max_positions:
            raise Failure("usage", f"{positions} positions, and {name} has {shape.max_positions}: use fewer")
        if shape.qkv_bias and shape.heads * shape.head_dim != shape.hidden:
            raise Failure("usage", f"llama.cpp has no model of Qwen2's family whose heads are not as wide as its rows, "
                                   f"as those of {name} are: use another --model")
    asked = str(options.llama_bench or "llama-bench")
    options.llama_bench = shutil.which(asked)
    if not options.llama_bench:
        raise Failure("skipped", f"there is no program {asked}; {HOW_TO_GET}")


def run(options: argparse.Namespace, _: Device, report: Report, bench: Bench) -> None:
    """Point after point."""
    plan = Plan(min_rounds=2 if options.quick else 4, time_limit_s=options.time_limit, max_rounds=50)
    for values in pk_peer.points(options, KNOBS):
        bench.run_point(values, plan, options, report)


def show(report: Report) -> None:
    """The table. GB/s: what a token reads over its median wall time."""
    pk_peer.show_points(report, KNOBS, "token")


PEER = pk_peer.Peer("lab07", LAB.title, "peer_llamacpp.py", "lab07-llamacpp.json", __doc__ or "", KNOBS, ("torch",),
                    check, lambda: "llama.cpp", run, show, VARIANTS, watchdog_s=180, bench=Bench,
                    add_options=add_options)

if __name__ == "__main__":
    sys.exit(pk_peer.main(PEER, sys.argv))
