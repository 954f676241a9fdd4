#!/usr/bin/env python3
"""What peer_torch.py and peer_llamacpp.py have of their own, tested without a GPU; PyTorch's decoders are tested with
lab 04's.

usage: peer_test.py PART
  knobs     the knobs are those of problem.c; bytes a token
  outcomes  exit codes, and the messages of what is refused and of what is missing
  gguf      the files that llama.cpp is to read: what is in them, where, and how large the weights are
  llamacpp  the whole program beside a stand-in for llama-bench, its file against the schema; skipped without jsonschema
Exit: 0 right, 1 wrong, 77 skipped.
"""
from __future__ import annotations

import contextlib
import io
import json
import math
import os
import pathlib
import random
import signal
import struct
import sys
import tempfile
import time
import types
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peer_llamacpp  # noqa: E402
import peer_torch  # noqa: E402
import pk_peer  # noqa: E402
import pk_peer_test  # noqa: E402
import pk_result  # noqa: E402
import pk_torch_decode  # noqa: E402
from pk_decoder_shapes import SHAPES, step_bytes  # noqa: E402
from pk_peer_test import expect  # noqa: E402

TORCH, LLAMACPP = HERE / "peer_torch.py", HERE / "peer_llamacpp.py"


def test_knobs() -> None:
    """Defaults and smoke values; and that the positions given are those before step 0."""
    for knobs in (peer_torch.KNOBS, peer_llamacpp.KNOBS):
        pk_peer_test.judge_knobs(knobs, HERE / "problem.c")
    values = {knob.name: knob.default for knob in peer_torch.KNOBS}
    result = pk_torch_decode.empty_result(peer_torch.LAB, pk_torch_decode.VARIANTS[0], values)
    # Of 1235.8 million weights, and of keys and values of 16 layers, 8 heads, 64 numbers, at positions 512 to 543.
    want = 2 * 1235814400 + 2 * 2 * 16 * 8 * 64 * (512 + 31 / 2 + 1)
    expect(result.bytes_per_token == want, f"{result.bytes_per_token} bytes a token, want {want}")
    got, want = step_bytes(SHAPES["tiny-256"], -1, 1, "q4_k") * 256, (256 * 768 + 3 * 256 * 2048 + 256 * 331) * 144
    want += 3 * 256 * 2 * 256  # norms
    expect(got == want, f"tiny-256 in Q4_K: {got / 256} bytes, want {want / 256}")


def test_outcomes() -> None:
    """Refusals, and what is missing."""
    pk_peer_test.judge_ends(TORCH, (
        (["--position=0"], 2, "--position: 0 is not in 1 to"),
        (["--model=tiny", "--position=8190", "--tokens=3"], 2, "8193 positions, and tiny has 8192")))
    pk_peer_test.judge_ends(LLAMACPP, (
        (["--llama-bench=/nowhere/llama-bench"], 77, "there is no program /nowhere/llama-bench; build it of"),
        (["--model=tiny-qwen2"], 2, "whose heads are not as wide as its rows, as those of tiny-qwen2 are"),
        (["--model=qwen3-8b", "--position=40960"], 2, "40992 positions, and qwen3-8b has 40960"),
        (["--help"], 0, "--llama-bench PATH")))
    pk_peer_test.judge_lacks(LLAMACPP, {"torch": pk_peer_test.MISSING}, "not here", f"--llama-bench={sys.executable}")


# ---- files ----


def read_gguf(path: pathlib.Path) -> tuple[dict[str, Any], dict[str, tuple[list[int], int, int]], int]:
    """Fields; of each tensor its sizes, type and place in the file; the file's length."""
    data, at = path.read_bytes(), 0

    def take(form: str) -> Any:
        nonlocal at
        found = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(f"<{form}")
        return found if len(found) > 1 else found[0]

    def text() -> str:
        return b"".join(take("c") for _ in range(take("Q"))).decode()
    expect(data[:4] == b"GGUF", "the file does not begin with GGUF")
    at = 4
    version, tensors, count = take("IQQ")
    expect(version == 3, f"GGUF's version is {version}")
    fields = {text(): text() if (kind := take("I")) == 8 else take({4: "I", 6: "f"}[kind]) for _ in range(count)}
    found = {}
    for _ in range(tensors):
        name = text()
        found[name] = [take("Q") for _ in range(take("I"))], take("I"), take("Q")
    begin = -(-at // 32) * 32
    return fields, {name: (sizes, kind, begin + offset) for name, (sizes, kind, offset) in found.items()}, len(data)


BLOCKS = {0: (1, 4), 8: (32, 34), 12: (256, 144), 30: (1, 2)}  # of a ggml_type: weights, bytes


def floats(kind: int, block: bytes) -> list[float]:
    """What a block says: pk_quant.h."""
    if kind == 30:
        return [struct.unpack("<f", b"\0\0" + block)[0]]
    if kind == 8:
        d, *q = struct.unpack("<e32b", block)
        return [d * one for one in q]
    d, least = struct.unpack("<2e", block[:4])
    six, halves = block[4:16], block[16:]
    found = []
    for j in range(8):
        s, m = (six[j] & 63, six[j + 4] & 63) if j < 4 else \
            (six[j + 4] & 15 | six[j - 4] >> 6 << 4, six[j + 4] >> 4 | six[j] >> 6 << 4)
        for byte in halves[j // 2 * 32:j // 2 * 32 + 32]:
            found.append(d * s * (byte >> 4 if j % 2 else byte & 15) - least * m)
    return found


def judge_file(path: pathlib.Path, name: str, weights: str) -> None:
    """Names, sizes, places and numbers."""
    asked = peer_llamacpp.write_model(path, name, weights, 1)
    shape, (fields, tensors, length) = SHAPES[name], read_gguf(path)
    said = f"{name}, {weights}"
    arch = fields["general.architecture"]
    expect(arch == {"tiny": "llama", "tiny-qwen2": "qwen2", "odd-128": "qwen3", "tiny-256": "llama"}[name], arch)
    own = [fields[f"{arch}.{key}"] for key in ("vocab_size", "block_count", "embedding_length", "feed_forward_length",
                                               "attention.head_count_kv", "attention.key_length")]
    want = [shape.vocab, shape.layers, shape.hidden, shape.ffn, shape.kv_heads, shape.head_dim]
    expect(own == want, f"{said}: {own}, want {want}")
    sizes = {"token_embd.weight": [shape.hidden, shape.vocab], "output_norm.weight": [shape.hidden],
             "blk.0.attn_k.weight": [shape.hidden, shape.kv_heads * shape.head_dim],
             "blk.0.attn_output.weight": [shape.heads * shape.head_dim, shape.hidden],
             "blk.0.ffn_down.weight": [shape.ffn, shape.hidden]}
    sizes.update({"blk.1.attn_q.bias": [shape.heads * shape.head_dim]} if shape.qkv_bias else {})
    sizes.update({"blk.1.attn_q_norm.weight": [shape.head_dim]} if shape.qk_norm else {})
    for tensor, want in sizes.items():
        got = tensors.get(tensor, (None,))[0]
        expect(got == want, f"{said}: {tensor} is {got}, want {want}")
    formats = (tensors["token_embd.weight"][1], tensors.get("output.weight", (0, None))[1],
               tensors["blk.0.ffn_down.weight"][1])
    expect(formats == {"tiny bf16": (30, None, 30), "tiny q4_k": (30, 8, 8), "tiny-qwen2 q8_0": (30, 8, 8),
                       "odd-128 q4_k": (30, None, 30), "tiny-256 q4_k": (30, 12, 12)}[f"{name} {weights}"],
           f"{said}: the types are {formats}")
    data, ends, params = path.read_bytes(), [], 0
    for tensor, (own, kind, place) in tensors.items():
        of_block, size = BLOCKS[kind]
        expect(place % 32 == 0 and own[0] % of_block == 0, f"{said}: {tensor} is at {place}, its rows have {own[0]}")
        params += math.prod(own)
        ends.append((place, place + math.prod(own) // of_block * size))
        if len(own) > 1:
            numbers = [number for i in range(0, min(2048, math.prod(own)), of_block)
                       for number in floats(kind, data[place + i // of_block * size:][:size])]
            square = sum(number**2 for number in numbers) / len(numbers) * own[0]
            mean = sum(numbers) / len(numbers) * math.sqrt(own[0])
            expect(0.2 < square < 5 and abs(mean) < 0.2, f"{said}: {tensor}: squares of {square}, a mean of {mean}")
    expect(all(end <= begin for (_, end), (begin, _) in zip(ends, ends[1:])), f"{said}: tensors overlap: {ends}")
    expect(0 <= length - ends[-1][1] < 32, f"{said}: {length} bytes, and the last tensor ends at {ends[-1][1]}")
    size = sum(end - begin for begin, end in ends)
    expect(asked == {"model_n_params": params, "model_size": size}, f"{said}: {asked}, want {params} and {size}")


def test_gguf() -> None:
    """Each family and each kind of weights; the stretch of Llama 3's rotation."""
    peer_llamacpp.POOL_BLOCKS.update(bf16=1 << 12, q8_0=1 << 8, q4_k=1 << 6)
    with tempfile.TemporaryDirectory() as folder:
        for name, weights in (("tiny", "bf16"), ("tiny", "q4_k"), ("tiny-qwen2", "q8_0"), ("odd-128", "q4_k"),
                              ("tiny-256", "q4_k")):
            judge_file(pathlib.Path(folder) / "m.gguf", name, weights)
    factors = peer_llamacpp.listed(SHAPES["llama-3.2-1b"], "bf16", random.Random(1))[-1]
    expect(factors.name == "rope_freqs.weight" and factors.numbers[0] == 1 and factors.numbers[-1] == 32 and
           factors.dimensions == (32,), f"Llama 3's factors are {factors}")


# ---- llama-bench ----


def stand_in(argv: list[str]) -> None:
    """As much of llama-bench as is used. $STAND_IN says what happens to it."""
    options = dict(zip(argv[1::2], argv[2::2]))
    if (options["-ngl"], options["-sm"], options["-o"]) != ("99", "none", "jsonl"):
        sys.exit(f"not on one GPU, or not line by line: {argv}")
    what = os.environ["STAND_IN"]
    _, tensors, _ = read_gguf(pathlib.Path(options["-m"]))
    params = sum(math.prod(sizes) for sizes, _, _ in tensors.values())
    size = sum(math.prod(sizes) // BLOCKS[kind][0] * BLOCKS[kind][1] for sizes, kind, _ in tensors.values())
    for visit, flash in enumerate(options["-fa"].split(",")):
        if what == "dies" and visit == 3:
            print("no more of this", file=sys.stderr)
            sys.exit(9)
        if what == "hangs" and visit == 3:
            time.sleep(60)
        if what == "interrupts" and params > 100000:
            os.kill(os.getppid(), signal.SIGTERM)
            time.sleep(60)
        us = (900 if flash == "1" else 1000) + visit  # a drift
        print(json.dumps({
            "build_number": 7, "build_commit": "abc", "backends": "CUDA", "gpu_info": "A GPU",
            "model_n_params": params, "model_size": size, "n_prompt": 0, "n_gen": int(options["-n"]),
            "n_depth": int(options["-d"]), "flash_attn": int(flash),
            "samples_ns": [10**9] + [us * 1000 * int(options["-n"])] * (int(options["-r"]) - 1)}), flush=True)


def judge_run(folder: pathlib.Path, what: str, code: int, words: str, *arguments: str) -> dict[str, Any]:
    """The program beside it: exit code, what is said, and its file."""
    path = folder / "lab07-llamacpp.json"
    os.environ["STAND_IN"] = what
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        got = pk_peer.main(peer_llamacpp.PEER, ["peer_llamacpp.py", "--quick", f"--json={path}", "--time-limit=0.01",
                                                f"--llama-bench={folder}/llama-bench", *arguments])
    text = " ".join(out.getvalue().split())
    expect(got == code and words in text, f"{what}: {got}, {text}")
    left = sorted(one.name for one in folder.iterdir())
    expect(left == ["lab07-llamacpp.json", "llama-bench"], f"{what}: there are {left}")
    return json.loads(path.read_text(encoding="utf-8"))


def judge_refusals() -> None:
    """What it may say and is not what was asked for."""
    told = {"gpu_info": "A GPU", "backends": "CUDA", "n_depth": 5, "samples_ns": [1] * peer_llamacpp.REPETITIONS}
    for change, status, words in (({"gpu_info": ""}, "skipped", "this llama-bench (CUDA) finds no GPU; build it"),
                                  ({"n_depth": 6}, "fault", "llama-bench was to measure n_depth 5, and says 6"),
                                  ({"samples_ns": [1]}, "fault", "llama-bench was to repeat 5 times, and says [1]")):
        try:
            peer_llamacpp.Bench._take({**told, **change}, {"n_depth": 5})
            expect(False, f"{change} passes")
        except pk_result.Failure as failure:
            expect(failure.status == status and words in failure.reason, f"{change}: {failure.reason}")


def rounds_of(walls: list[float], throttled: list[bool], least: int, limit_s: float) -> tuple[pk_result.Result, int]:
    """What Bench keeps of rounds that took so long, and how many it made. The device is asked before and behind each."""
    asked = iter(throttled)
    device = types.SimpleNamespace(sensors=types.SimpleNamespace(throttled=lambda: next(asked)))
    one = pk_peer.Contender(pk_result.Result("x", "", True, {}), *[lambda *_: None] * 6, active=True)
    seen: list[int] = []

    def measure() -> None:
        one.walls, one.tokens = [walls[len(seen)]], []

    plan = pk_peer.Plan(min_rounds=least, time_limit_s=limit_s, max_rounds=len(walls))
    bench = pk_peer.Bench(device, types.SimpleNamespace(), 1, lambda: None)
    bench._rounds([one], plan, measure, seen.append)
    expect(seen == list(range(len(seen))), f"behind rounds {seen}")
    return one.result, len(seen)


def judge_rounds() -> None:
    """Rounds in which the device was throttled, before or behind, are left out; the others go on until they settle."""
    on, off = True, False
    result, made = rounds_of([10, 11, 12, 13, 14], [off, on, on, off, off, off, off, off, off, off], 5, 1e9)
    expect(result.wall == [12, 13, 14] and made == 5, f"throttled: {result.wall}, {made}")
    expect(result.dropped_throttled == 2 and result.rounds == 3 and not result.settled, f"throttled: {result}")
    result, made = rounds_of([10] * 9, [off] * 18, 4, 1e9)
    expect(made == 4 and result.settled, f"settled behind {made}: {result.settled}")
    result, made = rounds_of([10, 25, 40, 80, 90, 140], [off] * 12, 5, 0)
    expect(made == 5 and not result.settled, f"late: {made}, {result.settled}")
    result, made = rounds_of([10] * 30, [on] * 60, 3, 0)
    expect(made == 13 and result.wall == [], f"late, and throttled all the time: {made}, {result.wall}")


def test_llamacpp() -> None:
    """Measured, in turns; and what goes wrong in it."""
    judge_refusals()
    judge_rounds()
    jsonschema, = pk_peer.needs("jsonschema")
    schema = json.loads((HERE.parents[1] / "harness" / "schema" / "result.v1.json").read_text(encoding="utf-8"))
    peer_llamacpp.POOL_BLOCKS.update(bf16=1 << 12)
    sys.modules["torch"] = types.SimpleNamespace()  # type: ignore[assignment]
    pk_peer.Device = pk_peer_test.Host  # type: ignore[misc,assignment]
    with tempfile.TemporaryDirectory() as name:
        folder, tempfile.tempdir = pathlib.Path(name), name
        program = folder / "llama-bench"
        program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(HERE)!r})\nimport peer_test\n"
                           "peer_test.stand_in(sys.argv)\n", encoding="utf-8")
        program.chmod(0o755)
        document = judge_run(folder, "right", 0, "llamacpp-fa pass 903.5", "--model=tiny,tiny-qwen3")
        jsonschema.Draft7Validator(schema).validate(document)
        compiler = document["environment"]["device_compiler"]
        expect(compiler == "llama.cpp build 7 (abc), CUDA", f"the compiler is {compiler}")
        expect(len(document["results"]) == 4, f"{len(document['results'])} results")
        for result in document["results"]:
            wall = result["timing"]["wall"]["samples"]
            turns = (901, 902, 905, 906) if result["variant"] == "llamacpp-fa" else (1000, 1003, 1004, 1007)
            expect(wall == [4 * us for us in turns for _ in range(4)], f"{result['variant']}: {wall}")  # of 4 tokens
            expect(set(result["validation"].values()) == {None} and "not checked" in result["summary"], f"{result}")
        ratios = document["results"][1]["speedup"]["ratios"]
        expect([round(ratio, 12) for ratio in ratios] == [round(2003 / 1803, 12), round(2011 / 1811, 12)], f"{ratios}")
        judge_run(folder, "dies", 3, "ended with 9, and was to go on; the last that it said: no more of this")
        document = judge_run(folder, "interrupts", 130, "had been measured", "--model=tiny,tiny-qwen3")
        statuses = [result["status"] for result in document["results"]]
        expect(statuses == ["pass"] * 2 + ["interrupted"] * 2, f"interrupted: {statuses}")
        document = judge_run(folder, "hangs", 4, "said nothing for 1 s", "--watchdog=1", "--variant=llamacpp")
        expect([result["variant"] for result in document["results"]] == ["llamacpp"], f"{document['results']}")


if __name__ == "__main__":
    sys.exit(pk_peer_test.main(globals(), sys.argv))
