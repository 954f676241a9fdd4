#!/usr/bin/env python3
"""What peer_torch.py is made of, tested without a GPU.

usage: peer_test.py PART
  knobs     the knobs are those of problem.c
  shapes    the models' shapes are those of common/decode/config.c; bytes a token
  outcomes  exit codes, and the messages of what is refused and of what is missing
  report    the table, and the file against the schema; skipped without the Python package jsonschema
  model     the reference is right, decoding passes and mistakes do not; skipped without PyTorch and NumPy
  variants  the variants' own steps on the host, and what torch.compile traces; skipped without PyTorch
Exit: 0 right, 1 wrong, 77 skipped.
"""
from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import types
from typing import Any, Callable

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peer_torch  # noqa: E402
import pk_peer  # noqa: E402
import pk_result  # noqa: E402

TINY = ("tiny", "tiny-qwen2", "tiny-qwen3")

complaints: list[str] = []


def expect(right: bool, text: str) -> None:
    """Complain when it is not so."""
    if not right:
        complaints.append(text)


def test_knobs() -> None:
    """Names, units, defaults, smoke values and names of choices, in problem.c's order."""
    text = (HERE / "problem.c").read_text(encoding="utf-8")
    table = re.search(r"const pk_knob lab04_knobs\[\w+\] = \{(.*?)\n\};", text, re.DOTALL)
    row = r"\{\"([\w-]+)\", \"([^\"]*)\",\s*\"[^\"]*\",\s*([^,]+),\s*([^,]+),\s*(?:CHOICES\((\w+)\))?"
    rows = re.findall(row, table.group(1)) if table else []
    expect(len(rows) == len(peer_torch.KNOBS), f"{len(peer_torch.KNOBS)} knobs, and problem.c has {len(rows)}")
    for knob, (name, unit, default, quick, choices) in zip(peer_torch.KNOBS, rows):
        expect((knob.name, knob.unit) == (name, unit), f"knob {knob.name} [{knob.unit}], in problem.c {name} [{unit}]")
        for ours, theirs in ((knob.default, default), (knob.quick, quick)):
            number = re.fullmatch(r"(\d+)(?: << (\d+))?", theirs)  # constants have names, which say nothing here
            want = int(number[1]) << int(number[2] or 0) if number else ours
            expect(ours == want, f"knob {name} is {ours}, in problem.c {theirs}")
        listed = re.search(rf"\b{choices}\[\] = \{{(.*?)\}};", text, re.DOTALL) if choices else None
        names = tuple(re.findall(r"\"([^\"]+)\"", listed[1])) if listed else ()
        expect(knob.choices == names, f"knob {name} is one of {knob.choices}, in problem.c {names}")


# ---- shapes ----


def test_shapes() -> None:
    """Number for number, and in the same order."""
    text = (HERE.parents[1] / "common" / "decode" / "config.c").read_text(encoding="utf-8")
    table = re.search(r"pk_model_config named\[\] = \{(.*?)\};", text, re.DOTALL)
    models = re.findall(r"\{\.name = \"([^\"]+)\",(.*?)\.end_count", table.group(1), re.DOTALL) if table else []
    expect([name for name, _ in models] == list(peer_torch.SHAPES), f"the models are {[name for name, _ in models]}")
    names = {"tied": "tied_embedding", "rope_low": "rope_low_freq", "rope_high": "rope_high_freq",
             "rope_original": "rope_original_positions"}
    for name, fields in models:
        given = dict(re.findall(r"\.(\w+) = ([\w.-]+)", fields))
        for field, value in vars(peer_torch.SHAPES[name]).items():
            text = given.get(names.get(field, field), "0")
            want = {"true": 1.0, "false": 0.0}.get(text)
            want = float(text) if want is None else want
            expect(value == want, f"{name}: {field} is {value}, in config.c {want}")
    for name, millions in (("smollm2-135m", 134.5), ("qwen2.5-0.5b", 494.0), ("llama-3.2-1b", 1235.8),
                           ("qwen3-8b", 8190.7 - 622.3)):  # of parameters; an embedding apart is not read
        got = peer_torch.weight_bytes(peer_torch.SHAPES[name]) / 2e6
        expect(abs(got - millions) < 0.1, f"{name}: {got} million weights are read, and {millions} should be")
    rooms = [peer_torch.room_of(*sizes) for sizes in ((32, 128), (1, 1), (60, 4), (60, 5))]
    expect(rooms == [192, 64, 64, 128], f"the caches have {rooms} rows")


# ---- outcomes ----


def test_outcomes() -> None:
    """Refusals, and what is missing."""
    def ended(*arguments: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run([sys.executable, str(HERE / "peer_torch.py"), *arguments], capture_output=True, text=True,
                              env={**os.environ, **environment}, check=False)
        return done.returncode, " ".join((done.stdout + done.stderr).split())
    for arguments, code, words in (
            (["--model=gpt"], 2, "'gpt' is none of tiny, "),
            (["--model=tiny", "--prompt=8000", "--tokens=200"], 2, "8200 positions, and tiny has 8192"),
            (["--tokens=0"], 2, "--tokens: 0 is not in 1 to"),
            (["--variant=torch-eager,torch-lazy"], 2, "'torch-lazy' is none of torch-eager, "),
            (["--help"], 0, "torch-compile-max")):
        got, text = ended(*arguments)
        expect(got == code and words in text and "Traceback" not in text, f"{arguments}: {got}, {text!r}")
    with tempfile.TemporaryDirectory() as folder:
        torch = pathlib.Path(folder) / "torch"
        (torch / "nn").mkdir(parents=True)
        (torch / "nn" / "attention.py").write_text("", encoding="utf-8")
        (torch / "nn" / "__init__.py").write_text("", encoding="utf-8")
        for source, words in (("raise ImportError('not here')\n", "not here"),
                              ("class cuda:\n    is_available = staticmethod(lambda: False)\n__version__ = '2'\n",
                               "finds no GPU")):
            (torch / "__init__.py").write_text(source, encoding="utf-8")
            got, text = ended("--quick", PYTHONPATH=folder)
            expect(got == 77 and "SKIPPED: " in text and words in text, f"{words}: {got}, {text!r}")
    results = [types.SimpleNamespace(variant=name, is_baseline=name == "a") for name in "abc"]
    found = [types.SimpleNamespace(result=result) for result in results]
    for asked, want in ((None, "abc"), (["c"], "ac"), (["a"], "a")):
        kept = pk_peer.selected(types.SimpleNamespace(variant=asked), found)
        expect("".join(one.result.variant for one in kept) == want, f"--variant={asked} keeps {kept}")
    options = pk_peer.parse_options("", peer_torch.KNOBS, ["--model=llama-3.2-1b"])
    values = pk_peer.chosen(options, peer_torch.KNOBS)
    expect(peer_torch.NAMES[values["model"]] == "llama-3.2-1b", f"--model=llama-3.2-1b is {values}")


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
    shape = peer_torch.SHAPES["qwen2.5-0.5b"]
    for name, summary, kind in peer_torch.VARIANTS:
        scale = 5 if kind is peer_torch.Eager else 1
        walls = [128 * scale * us for us in (801.0, 799.0, 800.0, 803.0)]
        report.results.append(pk_result.Result(
            name, summary, kind is peer_torch.Eager, params, tokens=128, wall=walls, device=walls, submit=walls,
            bytes_per_token=peer_torch.weight_bytes(shape) + peer_torch.kv_bytes(shape, 96), rounds=2,
            launches_per_token=375.0 if kind is peer_torch.Eager else 0.0,
            ratios=[] if kind is peer_torch.Eager else [4.9, 5.1]))
    report.status = report.outcome()
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        peer_torch.show(report)
    lines = screen.getvalue().splitlines()
    row = next((line.split() for line in lines if line.startswith("torch-graph")), [])
    expect(row == ["torch-graph", "pass", "800.5", "799.3", "802.4", "800.5", "800.5", "1249", "1236", "5"],
           f"the row of torch-graph is {row}")
    expect(all(len(line) <= 80 for line in lines[2:]), "the table is wider than 80 columns:\n" + screen.getvalue())
    expect("model=qwen2.5-0.5b prompt=32 tokens=128" in lines[1], f"the knobs: {lines[1]}")
    expect("torch-eager: 375 kernel launches a token" in lines, "launches are not shown")
    jsonschema, = pk_peer.needs("jsonschema")
    schema = json.loads((HERE.parents[1] / "harness" / "schema" / "result.v1.json").read_text(encoding="utf-8"))
    document = json.loads(json.dumps(report.document(), allow_nan=False))
    jsonschema.Draft7Validator(schema).validate(document)
    knob = document["lab"]["knobs"][1]
    expect(knob["choices"][int(params["model"])] == "qwen2.5-0.5b", f"the knob is {knob}")


# ---- the model ----


def problem_of(torch: types.ModuleType, name: str, **sizes: int) -> peer_torch.Decode:
    """A smoke shape on the host, its first prompt read."""
    values = {knob.name: knob.quick for knob in peer_torch.KNOBS}
    values.update({"model": peer_torch.NAMES.index(name)}, **sizes)
    with torch.inference_mode():
        problem = peer_torch.Decode(torch, values, 1, "cpu")
    problem.fill(1)
    return problem


def by_hand(numpy: types.ModuleType, problem: peer_torch.Decode, sequence: list[int]) -> Any:
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


def decoded(problem: peer_torch.Decode, decoder: Any, step: Callable[[], Any]) -> pk_result.Verdict:
    """A repetition, judged."""
    torch, logits = problem.torch, None
    with torch.inference_mode():
        decoder.poison(problem.prompt_tokens)
        decoder.rewind(problem.prompt_tokens)
        for _ in range(problem.tokens):
            logits = step()
        return problem.verify(decoder, logits)


def fresh(problem: peer_torch.Decode, grouped: bool = False) -> Any:
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
    rope = rope_by_hand(peer_torch.SHAPES["llama-3.2-1b"])
    import peer_model  # needs PyTorch  # pylint: disable=import-outside-toplevel
    off = max(abs(got / want - 1) for got, want in
              zip(peer_model.rope_frequencies(peer_torch.SHAPES["llama-3.2-1b"]).tolist(), rope))
    expect(off < 1e-12, f"llama-3.2-1b: a rotation is off by a factor of 1 + {off}")


def rope_by_hand(shape: peer_torch.Shape) -> list[float]:
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


def mistakes(problem: peer_torch.Decode) -> list[tuple[str, pk_result.Verdict]]:
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


class Host:
    """As much of a pk_peer.Device as a step on the host needs."""

    def __init__(self, torch: types.ModuleType) -> None:
        self.torch = torch

    def synchronize(self) -> None:
        """Nothing runs behind the host's back."""


class OnHost(peer_torch.Variant):
    """The plain step."""

    def _make(self) -> Callable[[], Any]:
        return self._decoder.step


def test_variants() -> None:
    """A variant's life as the bench leads it; and that a compiler sees one whole graph of the step."""
    torch: types.ModuleType = pk_peer.needs("torch")[0]
    torch.set_num_threads(1)
    problem = problem_of(torch, "tiny-qwen3", tokens=57)  # the cache is full at the end
    result = pk_result.Result("host", "", True, {}, tokens=problem.tokens)
    variant = OnHost(problem, Host(torch), result)
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
    expect(math.isnan(peer_torch.count_kernels(None)), "kernels were counted where there is no graph")
    for name in TINY:
        problem = problem_of(torch, name)
        decoder = fresh(problem, grouped=name != "tiny-qwen2")
        step = torch.compile(decoder.step, backend="aot_eager", fullgraph=True, dynamic=False)
        verdict = decoded(problem, decoder, step)
        expect(verdict.wrong == 0, f"{name}, compiled: {verdict}")


def main(part: str) -> int:
    """The part's test."""
    try:
        globals()[f"test_{part}"]()
    except pk_result.Failure as failure:
        print(f"SKIPPED: {failure.reason}")
        return 77
    for complaint in complaints[:20]:
        print(complaint)
    print(f"{part}: {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
