#!/usr/bin/env python3
"""What peer_torch.py is made of, tested without a GPU.

usage: peer_test.py PART
  knobs     the knobs are those of problem.c
  shapes    the models' shapes are those of common/decode/config.c; bytes a token
  outcomes  exit codes, and the messages of what is refused and of what is missing
  report    the table, and the file against the schema; skipped without the Python package jsonschema
  model     the reference is right, decoding passes and mistakes do not; skipped without PyTorch and NumPy
  variants  the variants' own steps on the host, and what torch.compile traces; skipped without PyTorch
  workers   processes of their own: what dies or hangs is reported, the others are measured, and all is written
  run       the whole program on the host with tiny models, its file against the schema; skipped without PyTorch
Exit: 0 right, 1 wrong, 77 skipped.
"""
from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import types
from typing import Any, Callable

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peer_torch  # noqa: E402
import pk_peer  # noqa: E402
import pk_peer_test  # noqa: E402
import pk_result  # noqa: E402
import pk_torch_decode  # noqa: E402
import pk_workers  # noqa: E402
from pk_decoder_shapes import SHAPES, Shape, weight_bytes  # noqa: E402
from pk_peer_test import expect  # noqa: E402

TINY = ("tiny", "tiny-qwen2", "tiny-qwen3")

PROGRAM = HERE / "peer_torch.py"


def test_knobs() -> None:
    """Defaults and smoke values."""
    pk_peer_test.judge_knobs(peer_torch.KNOBS, HERE / "problem.c")


# ---- shapes ----


def test_shapes() -> None:
    """Number for number, and in the same order."""
    text = (HERE.parents[1] / "common" / "decode" / "config.c").read_text(encoding="utf-8")
    table = re.search(r"pk_model_config named\[\] = \{(.*?)\};", text, re.DOTALL)
    models = re.findall(r"\{\.name = \"([^\"]+)\",(.*?)\.end_count", table.group(1), re.DOTALL) if table else []
    found = [name for name, _ in models]
    expect(found == list(SHAPES), f"of the models there are {found}")
    names = {"tied": "tied_embedding", "rope_low": "rope_low_freq", "rope_high": "rope_high_freq",
             "rope_original": "rope_original_positions"}
    for name, fields in models:
        given = dict(re.findall(r"\.(\w+) = ([^,]+)", fields))
        for field, value in vars(SHAPES[name]).items():
            text = given.get(names.get(field, field), "0")
            want = {"true": 1.0, "false": 0.0}.get(text)
            number, _, shift = text.partition(" << ")
            want = float(number) * 2 ** int(shift or 0) if want is None else want
            expect(value == want, f"{name}: {field} is {value}, in config.c {want}")
    for name, millions in (("smollm2-135m", 134.5), ("qwen2.5-0.5b", 494.0), ("llama-3.2-1b", 1235.8),
                           ("qwen3-8b", 8190.7 - 622.3)):  # of parameters; an embedding apart is not read
        got = weight_bytes(SHAPES[name]) / 2e6
        expect(abs(got - millions) < 0.1, f"{name}: {got} million weights are read, and {millions} should be")
    rooms = [pk_torch_decode.room_of(*sizes) for sizes in ((32, 128), (1, 1), (60, 4), (60, 5))]
    expect(rooms == [192, 64, 64, 128], f"the caches have {rooms} rows")


# ---- outcomes ----


def test_outcomes() -> None:
    """Refusals, and what is missing."""
    pk_peer_test.judge_ends(PROGRAM, (
        (["--model=gpt"], 2, "'gpt' is none of tiny, "),
        (["--model=tiny", "--prompt=8000", "--tokens=200"], 2, "8200 positions, and tiny has 8192"),
        (["--model=smollm2-135m,gpt"], 2, "'gpt' is none of tiny, "),
        (["--model=qwen2.5-0.5b,tiny", "--prompt=8000", "--tokens=200"], 2, "and tiny has 8192"),
        (["--tokens=0"], 2, "--tokens: 0 is not in 1 to"),
        (["--variant=torch-eager,torch-lazy"], 2, "'torch-lazy' is none of torch-eager, "),
        (["--help"], 0, "torch-compile-max")))
    for source, words in ((pk_peer_test.MISSING, "not here"), (pk_peer_test.WITHOUT_GPU, "finds no GPU")):
        pk_peer_test.judge_lacks(
            PROGRAM, {"torch/__init__": source, "torch/nn/__init__": "", "torch/nn/attention": ""}, words)
    results = [types.SimpleNamespace(variant=name, is_baseline=name == "a") for name in "abc"]
    found = [types.SimpleNamespace(result=result) for result in results]
    for asked, want in ((None, "abc"), (["c"], "ac"), (["a"], "a")):
        kept = pk_peer.selected(types.SimpleNamespace(variant=asked), found)
        expect("".join(one.result.variant for one in kept) == want, f"--variant={asked} keeps {kept}")
    options = pk_peer.parse_options("", peer_torch.KNOBS, ["--model=llama-3.2-1b"])
    values = pk_peer.chosen(options, peer_torch.KNOBS)
    expect(values["model"] == [peer_torch.NAMES.index("llama-3.2-1b")], f"--model=llama-3.2-1b is {values}")
    options = pk_peer.parse_options("", peer_torch.KNOBS, ["--model=llama-3.2-1b,tiny,llama-3.2-1b", "--tokens=7"])
    points = pk_peer.points(options, peer_torch.KNOBS)
    asked = [(peer_torch.NAMES[int(one["model"])], one["tokens"]) for one in points]
    expect(asked == [("llama-3.2-1b", 7), ("tiny", 7)], f"two models are {points}")
    expect(list(points[0]) == [knob.name for knob in peer_torch.KNOBS], f"the knobs' order is {list(points[0])}")
    points = pk_peer.points(pk_peer.parse_options("", peer_torch.KNOBS, []), peer_torch.KNOBS)
    expect([peer_torch.NAMES[int(one["model"])] for one in points] == ["qwen2.5-0.5b"], f"no --model is {points}")
    for asked, want in ((None, "eager graph compile"), (["torch-compile-max"], "graph compile-max"),
                        (["torch-eager", "torch-graph"], "eager graph")):
        kept = [kind.name for kind in pk_torch_decode.kinds(types.SimpleNamespace(variant=asked))]
        expect(kept == [f"torch-{name}" for name in want.split()], f"--variant={asked} keeps {kept}")


def test_report() -> None:
    """A made-up run's table, and its file against the schema."""
    device = {
        "backend": "cuda", "kind": "gpu", "name": "Made-up GPU", "arch": "sm_90", "processors": 2, "warp_size": 32,
        "l2_bytes": 1, "memory_bytes": 1, "clocks": {"before": None, "after": pk_peer.Sensors("").state()},
        "limits": {"launch_us": None, "launch_sync_us": None, "gap_us": None, "read_gb_per_s": None},
    }
    report = pk_result.Report("lab04", "Execution graphs", [knob.document() for knob in peer_torch.KNOBS],
                              "peer_torch.py", ["peer_torch.py"], 1, True, device,
                              pk_result.environment("1", "13", "Python", "PyTorch 2", False))
    params = {knob.name: knob.default for knob in peer_torch.KNOBS}
    for model in ("qwen2.5-0.5b", "llama-3.2-1b"):
        for kind in pk_torch_decode.VARIANTS:
            values = {**params, "model": peer_torch.NAMES.index(model)}
            result = pk_torch_decode.empty_result(peer_torch.LAB, kind, values)
            scale = 5 if kind.make is pk_torch_decode.Eager else 1
            result.wall = result.device = result.submit = [128 * scale * us for us in (801.0, 799.0, 800.0, 803.0)]
            result.launches_per_token = 375.0 if kind.make is pk_torch_decode.Eager else 0.0
            result.rounds, result.prepare_us = 2, 1.25e6
            result.ratios = [] if result.is_baseline else [1 / scale, 1.02 / scale]
            report.results.append(result)
    report.status = report.outcome()
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        pk_torch_decode.show(peer_torch.LAB, report)
    lines = screen.getvalue().splitlines()
    row = next((line.split() for line in lines if line.startswith("torch-graph")), [])
    expect(row == ["torch-graph", "pass", "800.5", "799.3", "802.4", "800.5", "800.5", "1249", "1236", "1"],
           f"the row of torch-graph is {row}")
    row = next((line.split() for line in lines if line.startswith("torch-eager")), [])
    expect(row[-1:] == ["0.202"], f"the row of torch-eager is {row}")
    expect(all(len(line) <= 80 for line in lines[1:]), "the table is wider than 80 columns:\n" + screen.getvalue())
    for model in ("qwen2.5-0.5b", "llama-3.2-1b"):
        expect(lines.count(f"model={model} prompt=32 tokens=128") == 1, f"the knobs of {model}:\n" + screen.getvalue())
    expect("torch-eager: 1.2 s to prepare, 375 kernel launches a token" in lines, "launches are not shown")
    expect("torch-compile: 1.2 s to prepare" in lines, "the time to prepare is not shown")
    jsonschema, = pk_peer.needs("jsonschema")
    schema = json.loads((HERE.parents[1] / "harness" / "schema" / "result.v1.json").read_text(encoding="utf-8"))
    document = json.loads(json.dumps(report.document(), allow_nan=False))
    jsonschema.Draft7Validator(schema).validate(document)
    knob = document["lab"]["knobs"][1]
    expect(knob["choices"][int(document["results"][0]["params"]["model"])] == "qwen2.5-0.5b", f"the knob is {knob}")


# ---- the model ----


def problem_of(torch: types.ModuleType, name: str, **sizes: int) -> pk_torch_decode.Decode:
    """A smoke shape on the host, its first prompt read."""
    values = {knob.name: knob.quick for knob in peer_torch.KNOBS}
    values.update({"model": peer_torch.NAMES.index(name)}, **sizes)
    with torch.inference_mode():
        problem = pk_torch_decode.Decode(torch, peer_torch.LAB, values, 1, "cpu")
    problem.fill(1)
    return problem


def by_hand(numpy: types.ModuleType, problem: pk_torch_decode.Decode, sequence: list[int]) -> Any:
    """Logits after the last of a sequence, in NumPy, a position at a time, with a cache: float64 [vocab]."""
    shape = problem.shape
    weights = {name: tensor.double().numpy() for name, tensor in problem.weights.items()}
    half = shape.head_dim // 2
    rotation = shape.rope_theta ** (-2 * numpy.arange(half) / shape.head_dim)

    def norm(x: Any, weight: Any) -> Any:
        return x / numpy.sqrt(numpy.mean(x ** 2, axis=-1, keepdims=True) + shape.rms_eps) * weight

    def heads(x: Any, layer: int, part: str, place: int) -> Any:
        y = weights[f"{layer}.{part}"] @ x + weights.get(f"{layer}.{part}_bias", 0)
        y = y.reshape(-1, shape.head_dim)
        if part == "v":
            return y
        y = norm(y, weights[f"{layer}.{part}_norm"]) if shape.qk_norm else y
        pair = (y[:, :half] + 1j * y[:, half:]) * numpy.exp(1j * place * rotation)
        return numpy.concatenate((pair.real, pair.imag), axis=1)
    cache: list[list[tuple[Any, Any]]] = [[] for _ in range(shape.layers)]
    for place, token in enumerate(sequence):
        x = weights["embedding"][token]
        for i in range(shape.layers):
            normed = norm(x, weights[f"{i}.attn_norm"])
            cache[i].append((heads(normed, i, "k", place), heads(normed, i, "v", place)))
            out = []
            for h, q in enumerate(heads(normed, i, "q", place)):
                g = h * shape.kv_heads // shape.heads
                score = numpy.array([k[g] @ q for k, _ in cache[i]]) / math.sqrt(shape.head_dim)
                weight = numpy.exp(score - score.max())
                out.append(sum(w * v[g] for w, (_, v) in zip(weight / weight.sum(), cache[i])))
            x = x + weights[f"{i}.o"] @ numpy.concatenate(out)
            normed = norm(x, weights[f"{i}.ffn_norm"])
            gate = weights[f"{i}.gate"] @ normed
            x = x + weights[f"{i}.down"] @ (gate / (1 + numpy.exp(-gate)) * (weights[f"{i}.up"] @ normed))
    return weights["embedding" if shape.tied else "head"] @ norm(x, weights["norm"])


def decoded(problem: pk_torch_decode.Decode, decoder: Any, step: Callable[[], Any]) -> pk_result.Verdict:
    """A repetition, judged."""
    torch, logits = problem.torch, None
    with torch.inference_mode():
        decoder.poison(problem.prompt_tokens)
        decoder.rewind(problem.prompt_tokens)
        for _ in range(problem.tokens):
            logits = step()
        return problem.verify(decoder, logits)


def fresh(problem: pk_torch_decode.Decode, grouped: bool = False) -> Any:
    """A decoder that has the prompt."""
    with problem.torch.inference_mode():
        decoder = problem.decoder(grouped)
        problem.follow(decoder)
    return decoder


def test_model() -> None:
    """Against a forward pass in NumPy; then what must not pass."""
    torch, numpy = pk_peer.needs("torch", "numpy")
    torch.set_num_threads(1)  # smoke shapes; other tests run beside this one
    for name in TINY:
        problem = problem_of(torch, name)
        sequence = [int(token) for token in problem.prompt] + [3, 200, 3, 77, 11]
        with torch.inference_mode():
            got = problem._reference.logits(torch.tensor(sequence), len(sequence) - 2)
        for back in (0, 1):
            want = by_hand(numpy, problem, sequence[:len(sequence) - back])
            off = float(numpy.abs(got[1 - back].numpy() - want).max())
            expect(off < 1e-10, f"{name}: the reference is off by {off}")
        for grouped in (False, True):
            decoder = fresh(problem, grouped)
            verdict = decoded(problem, decoder, decoder.step)
            expect(verdict.wrong == 0 and verdict.checked == problem.tokens + 1 + problem.shape.vocab,
                   f"{name}: decoding: {verdict}")
            expect(0 < verdict.bound < 1, f"{name}: a bound of {verdict.bound} says little")
        for mistake, verdict in mistakes(problem):
            expect(verdict.wrong > 0, f"{name}: {mistake} passes")
    rope = rope_by_hand(SHAPES["llama-3.2-1b"])
    import pk_torch_model  # needs PyTorch  # pylint: disable=import-outside-toplevel
    off = max(abs(got / want - 1) for got, want in
              zip(pk_torch_model.rope_frequencies(SHAPES["llama-3.2-1b"]).tolist(), rope))
    expect(off < 1e-12, f"llama-3.2-1b: a rotation is off by a factor of 1 + {off}")


def rope_by_hand(shape: Shape) -> list[float]:
    """As transformers has it, with wavelengths and its three cases."""
    found = []
    for i in range(shape.head_dim // 2):
        frequency = shape.rope_theta ** (-2 * i / shape.head_dim)
        wavelength = 2 * math.pi / frequency
        if wavelength > shape.rope_original / shape.rope_low:
            frequency /= shape.rope_factor
        elif wavelength >= shape.rope_original / shape.rope_high:
            smooth = (shape.rope_original / wavelength - shape.rope_low) / (shape.rope_high - shape.rope_low)
            frequency = (1 - smooth) * frequency / shape.rope_factor + smooth * frequency
        found.append(frequency)
    return found


def _without(name: str, decoder: Any) -> None:
    for block in decoder.blocks:
        setattr(block, name, None)


def mistakes(problem: pk_torch_decode.Decode) -> list[tuple[str, pk_result.Verdict]]:
    """What may go wrong in a decoder, or in how it is driven, and how it was judged."""
    torch, found = problem.torch, []

    def planted(name: str, change: Callable[[Any], Any]) -> None:
        decoder = fresh(problem)
        with torch.inference_mode():
            change(decoder)
        found.append((name, decoded(problem, decoder, decoder.step)))

    def at_each_step(name: str, before: Callable[[Any], Any] | None, after: Callable[[Any], Any] | None) -> None:
        decoder = fresh(problem)

        def step() -> Any:
            if before:
                before(decoder)
            logits = decoder.step()
            if after:
                after(decoder)
            return logits
        found.append((name, decoded(problem, decoder, step)))
    end = problem.prompt_tokens
    planted("a rotation the other way", lambda decoder: decoder.turns[:, 1].neg_())
    planted("a layer left out", lambda decoder: decoder.blocks.pop(0))
    planted("a cache that was not filled", lambda decoder: [block.keys.zero_() for block in decoder.blocks])
    at_each_step("a position that stays", None, lambda decoder: decoder.position.sub_(1))
    at_each_step("a row that is not yet written", lambda decoder: decoder.mask.zero_(), None)
    at_each_step("a prompt whose last row is hidden", lambda decoder: decoder.mask[..., end - 1].fill_(-math.inf), None)
    at_each_step("rows that are not kept", None,
                 lambda decoder: [block.values[:, :, end:].zero_() for block in decoder.blocks])
    if problem.shape.kv_heads > 1:
        planted("a head's keys and values in another", lambda decoder: [
            cache.copy_(cache.flip(0)) for block in decoder.blocks for cache in (block.keys, block.values)])
    if not problem.shape.tied:  # the tied ones of this size repeat a token
        at_each_step("a token that is not fed back",
                     lambda decoder: decoder.token.copy_(decoder.tokens[end - 1:end]), None)
    for name in ("qkv_bias", "qk_norm"):
        if getattr(problem.decoder().blocks[0], name) is not None:
            planted(f"no {name}", functools.partial(_without, name))
    decoder = fresh(problem)
    decoded(problem, decoder, decoder.step)
    with torch.inference_mode():
        good = decoder.step()
        found.append(("no logits", problem.verify(decoder, None)))
        found.append(("logits of another step", problem.verify(decoder, good)))
        found.append(("NaN", problem.verify(decoder, good.fill_(math.nan))))
    return found


# ---- the variants ----


class OnHost(pk_torch_decode.Variant):
    """The plain step."""

    def _make(self) -> Callable[[], Any]:
        return self._decoder.step


def test_variants() -> None:
    """A variant's life as the bench leads it; and that a compiler sees one whole graph of the step."""
    torch: types.ModuleType = pk_peer.needs("torch")[0]
    torch.set_num_threads(1)
    problem = problem_of(torch, "tiny-qwen3", tokens=57)  # the cache is full at the end
    result = pk_result.Result("host", "", True, {}, tokens=problem.tokens)
    variant = OnHost(problem, pk_peer_test.Host(torch), result)
    variant.prepare()
    for seed in (1, 1, 2):
        problem.fill(seed)
        variant.poison()
        verdict = variant.verify()
        expect(verdict.wrong > 0 and "never written" in verdict.note, f"before a repetition: {verdict}")
        for _ in range(2):
            variant.reset()
            variant.execute(pk_peer.Recorder())
            verdict = variant.verify()
            expect(verdict.wrong == 0, f"seed {seed}: {verdict}")
    problem.fill(3)
    with torch.inference_mode():
        variant._decoder.tokens[problem.prompt_tokens:] = 5
    verdict = variant.verify()
    said = re.match(r"(token \d+ is 5: its right logit|logit \d+ of the last)", verdict.note)
    expect(verdict.wrong > 0 and said is not None, f"tokens of another prompt: {verdict}")
    variant.finish()
    expect(math.isnan(pk_torch_decode.count_kernels(None)), "kernels were counted where there is no graph")
    for name in TINY:
        problem = problem_of(torch, name)
        decoder = fresh(problem, grouped=name != "tiny-qwen2")
        step = torch.compile(decoder.step, backend="aot_eager", fullgraph=True, dynamic=False)
        verdict = decoded(problem, decoder, step)
        expect(verdict.wrong == 0, f"{name}, compiled: {verdict}")


# ---- processes of their own ----


class Puppet:
    """A variant of the test of workers: what `setup` says happens to it. Outputs are right unless it says otherwise."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._setup, self.seed, self._done = setup, -1, False
        self.result = pk_result.Result(setup["variant"], "made here", False, {})

    def _now(self, when: str) -> None:
        what = self._setup.get(when)
        if what in ("SIGSEGV", "SIGKILL"):
            print("about to fall", flush=True)
            os.kill(os.getpid(), getattr(signal, what))
        elif what == "exit":
            os._exit(5)
        elif what == "hang":
            time.sleep(3600)
        elif what == "raise":
            raise RuntimeError("no such thing\nas that")

    def fill(self, seed: int) -> None:
        """Inputs."""
        self.seed = seed
        self._now("fill")

    def prepare(self) -> None:
        """Once."""
        time.sleep(self._setup.get("prepare_s", 0))
        self._now("prepare")
        self.result.summary = f"by process {os.getpid()}"
        self.result.launches_per_token = 3.0

    def poison(self) -> None:
        """Nothing is done yet."""
        self._done = False

    def execute(self, recorder: pk_peer.Recorder) -> None:
        """A millisecond."""
        time.sleep(0.001)
        self._done = True
        recorder.submit_us = 7.0
        self._now("execute")

    def verify(self) -> pk_result.Verdict:
        """Wrong where it is to be."""
        self._now("verify")
        wrong = int(not self._done or self._setup.get("verify") == "wrong")
        return pk_result.Verdict(checked=9, wrong=wrong, got=math.nan, want=1.0, bound=0.5, note="of a puppet")

    def nothing(self) -> None:
        """To reset or to release."""


def puppet(setup: dict[str, Any]) -> pk_workers.Work:
    """In the process of its own."""
    if setup.get("make") == "Failure":
        raise pk_result.Failure("skipped", "it needs more than there is")
    one = Puppet(setup)
    torch = types.SimpleNamespace(cuda=types.SimpleNamespace(OutOfMemoryError=MemoryError))
    return pk_workers.Work(pk_peer_test.Host(torch), one.fill, pk_peer.Contender(
        one.result, one.prepare, one.poison, one.nothing, one.execute, one.verify, one.nothing))


def measured_apart(setups: list[dict[str, Any]], saved: list[list[str]]) -> list[pk_result.Result]:
    """What a bench made of these puppets; the first one is the baseline."""
    results = [pk_result.Result(setup["variant"], "", setup is setups[0], {}) for setup in setups]
    torch = types.SimpleNamespace(cuda=types.SimpleNamespace(OutOfMemoryError=MemoryError))
    watchdog = pk_peer.Watchdog(60, lambda note: print(f"watchdog: {note}"))

    def save() -> None:
        saved.append([f"{result.variant} {'measured' if result.wall else result.status}"
                      f"{' verified' if result.validation['fresh'] else ''}"
                      f"{' to come' if math.isnan(result.prepare_us) else ''}" for result in results])
    bench = pk_workers.StagedBench(pk_peer_test.Host(torch), watchdog, 1, save)
    with pk_workers.workers(pathlib.Path(__file__).resolve(), len(setups), 60, {}) as started, \
            contextlib.redirect_stderr(io.StringIO()):
        for worker, setup in zip(started, setups):
            worker._limit_s = setup.get("limit_s", worker._limit_s)
        bench.run_points([[pk_workers.Remote(result, setup["variant"], worker, setup, setup.get("late", False))
                           for result, worker, setup in zip(results, started, setups)]],
                         pk_peer.Plan(min_rounds=2, time_limit_s=0.05, max_rounds=4))
    watchdog.stop()
    return results


def test_workers() -> None:
    """Deaths, hangs, mistakes and refusals among variants that are right."""
    setups: list[dict[str, Any]] = [
        {"variant": "good"}, {"variant": "segv", "prepare": "SIGSEGV"}, {"variant": "killed", "execute": "SIGKILL"},
        {"variant": "exits", "fill": "exit"}, {"variant": "hangs", "prepare": "hang", "limit_s": 2},
        {"variant": "raises", "execute": "raise"}, {"variant": "wrong", "verify": "wrong"},
        {"variant": "refused", "make": "Failure"}, {"variant": "late", "late": True, "prepare_s": 0.2},
        {"variant": "late-segv", "late": True, "verify": "SIGSEGV"}, {"variant": "also good"}]
    saved: list[list[str]] = []
    results = {result.variant: result for result in measured_apart(setups, saved)}
    for name, status, words in (
            ("segv", "fault", "ended by SIGSEGV in open; the last that it said: about to fall"),
            ("killed", "fault", "ended by SIGKILL in repeat"), ("exits", "fault", "ended with exit code 5 in open"),
            ("hangs", "timeout", "no answer for 2 s in open"), ("raises", "fault", "RuntimeError: no such thing"),
            ("wrong", "wrong", "before timing: 1 of 9 outputs wrong (seed 1); first at [0]: got nan, want 1: of a"),
            ("refused", "skipped", "it needs more than there is"),
            ("late-segv", "fault", "ended by SIGSEGV in verify")):
        result = results[name]
        expect(result.status == status and words in (result.reason or "") and not result.wall,
               f"{name}: {result.status}, {result.reason}, {len(result.wall)} repetitions")
    processes = set()
    for name in ("good", "also good", "late"):
        result = results[name]
        expect(result.status == "pass" and len(result.wall) >= 4 and min(result.wall) >= 1000, f"{name}: {result}")
        expect(all(result.validation.values()) and result.launches_per_token == 3, f"{name}: {result}")
        expect(result.submit[:1] == [7.0] and min(result.device) >= 1000, f"{name}: {result.device}, {result.submit}")
        processes.add(result.summary)
    expect(len(processes) == 3, f"the processes: {processes}")
    expect(results["late"].prepare_us >= 2e5, f"late: {results['late'].prepare_us} us to prepare")
    expect(not results["good"].ratios and len(results["late"].ratios) >= 2, f"ratios: {results['late'].ratios}")
    # What is written before the late ones begin has the figures of the others.
    early = [one for one in saved if "late pass to come" in one and "also good measured verified" in one]
    expect(bool(early) and "good measured verified" in early[0], f"saved: {saved}")
    with pk_workers.workers(pathlib.Path(__file__).resolve(), 1, 5, {}) as started:  # by the end its context is gone
        process = started[0]._process
    expect(process.returncode == -signal.SIGKILL, f"a worker outlives what started it: {process.returncode}")


class InProcess(pk_torch_decode.Variant):
    """The whole step as torch.compile's first half sees it."""

    def _make(self) -> Callable[[], Any]:
        return self._decoder.step


def on_host() -> None:
    """Let the program's variants run on the host, and its device be made up."""
    pk_torch_decode.Device = pk_peer.Device = pk_peer_test.Host  # type: ignore[misc,assignment]
    pk_torch_decode.VARIANTS[:] = [dataclasses.replace(kind, make=InProcess) for kind in pk_torch_decode.VARIANTS]


def host_work(setup: dict[str, Any]) -> pk_workers.Work:
    """A variant of the program, on the host. One that is to fall or to hang does so when it is prepared."""
    on_host()
    pk_peer.needs("torch")[0].set_num_threads(1)
    work = pk_torch_decode.work(peer_torch.LAB, setup)
    if os.environ.get("PEER_TEST_FALLS") == setup["variant"]:
        work.contender.prepare = lambda: os.kill(os.getpid(), signal.SIGSEGV)
    if os.environ.get("PEER_TEST_FALLS") == f"not {setup['variant']}":
        work.contender.prepare = lambda: time.sleep(3600)
    return work


def test_run() -> None:
    """Two models; then a compiler that falls; then a run that is ended from outside while the compiler is at work."""
    pk_peer.needs("torch")
    jsonschema, = pk_peer.needs("jsonschema")
    schema = json.loads((HERE.parents[1] / "harness" / "schema" / "result.v1.json").read_text(encoding="utf-8"))

    def started(folder: str, falls: str, model: str) -> tuple[subprocess.Popen[str], pathlib.Path]:
        path = pathlib.Path(folder) / "lab04-torch.json"
        return subprocess.Popen([sys.executable, __file__, "on-host", "--quick", f"--model={model}", "--time-limit=0.1",
                                 "--tokens=3", f"--json={path}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, env={**os.environ, "PEER_TEST_FALLS": falls}), path

    def judge(path: pathlib.Path, want: list[str], said: str) -> None:
        document = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.Draft7Validator(schema).validate(document)
        got = [result["status"] for result in document["results"]]
        expect(got == want, f"{got}, want {want}: {said}")
        expect(all(result["timing"]["wall"] for result in document["results"] if result["status"] == "pass"),
               f"something was not timed: {said}")
        expect(list(path.parent.iterdir()) == [path], f"left behind: {list(path.parent.iterdir())}")
    for falls, model, code, statuses in (("", "tiny,tiny-qwen2", 0, ["pass"] * 6),
                                         ("torch-compile", "tiny", 3, ["pass", "pass", "fault"])):
        with tempfile.TemporaryDirectory() as folder:
            process, path = started(folder, falls, model)
            said = process.communicate()[0]
            expect(process.returncode == code, f"falls: {falls!r}: exit code {process.returncode}: {said}")
            judge(path, statuses, said)
    with tempfile.TemporaryDirectory() as folder:
        process, path = started(folder, "not torch-compile", "tiny")
        until = time.monotonic() + 120

        def has_first_figures() -> bool:
            return path.exists() and json.loads(path.read_text(encoding="utf-8"))["results"][1]["validation"]["fresh"]
        while not has_first_figures():
            time.sleep(0.05)
            if process.poll() is not None or time.monotonic() > until:
                expect(False, f"nothing was written before the compiler was at work: {process.communicate()[0]}")
                return
        judge(path, ["pass", "pass", "interrupted"], "while it runs")
        process.terminate()  # as timeout does
        said = process.communicate()[0]
        expect(process.returncode == 130, f"ended from outside: exit code {process.returncode}: {said}")
        judge(path, ["pass", "pass", "interrupted"], said)


def main(part: str) -> int:
    """The part's test; or, for the tests, the program on the host, and a worker of either."""
    if part == pk_workers.OPTION:
        return pk_workers.serve(host_work if os.environ.get("PEER_TEST_FALLS") is not None else puppet, sys.argv)
    if part == "on-host":
        on_host()
        lab = dataclasses.replace(peer_torch.LAB, script=pathlib.Path(__file__).resolve())
        return pk_torch_decode.main(lab, "", sys.argv[1:])
    return pk_peer_test.main(globals(), sys.argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
