#!/usr/bin/env python3
"""What peer_triton.py is made of, tested without a GPU, with made-up samples where there must be some.

usage: peer_test.py PART NUMBERS_PROGRAM PK_LAB
  numbers    knobs, generator, inputs and statistics are those of the C programs, bit for bit
  outcomes   exit codes, and the messages of what is refused and of what is missing
  files      a made-up run: written whole or not at all, and read by pk-lab
  schema     the same against the schema; skipped without the Python package jsonschema
  reference  rounding of the serial reference; skipped without PyTorch
  kernels    both kernels in Triton's interpreter, right and broken; skipped without PyTorch and Triton
Exit: 0 right, 1 wrong, 77 skipped.
"""
from __future__ import annotations

import contextlib
import fractions
import io
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import types

os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "harness" / "tests")]

import peer_triton  # noqa: E402
import pk_peer  # noqa: E402
import pk_peer_test  # noqa: E402
import pk_result  # noqa: E402
from pk_peer_test import expect  # noqa: E402

PROGRAM = HERE / "peer_triton.py"


def lines_of(program: str, *arguments: object) -> list[list[str]]:
    """The words of each line that a program prints."""
    command = [program, *(str(argument) for argument in arguments)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split() for line in text.splitlines()]


# ---- numbers ----


def test_numbers(program: str, _: str) -> None:
    """The same numbers as in C."""
    pk_peer_test.judge_knobs(peer_triton.KNOBS, HERE / "problem.c", ("default", "quick", "low", "high"))
    for seed in (0, 1, 2, 1 << 32, (1 << 64) - 1):
        for bound in (1, 2, 8, 131073, (1 << 63) + 1):
            ours = pk_result.Random(seed)
            for i, words in enumerate(lines_of(program, "random", seed, 40, bound)):
                got = [pk_result.split(seed, i), ours.u64(), ours.below(bound)]
                expect(got == [int(word) for word in words], f"numbers of seed {seed} below {bound}: {got}, {words}")
        x, start = peer_triton.draw_axpy(seed, 3000)
        want = [[float.fromhex(word) for word in words] for words in lines_of(program, "inputs", seed, 3000)]
        expect([list(pair) for pair in zip(x, start)] == want, f"the inputs of seed {seed} are not those of inputs.c")
    source = random.Random(7)
    for count in (1, 2, 3, 10, 41):
        values = [source.lognormvariate(1, 0.3) for _ in range(count)]
        want = [float.fromhex(word) for word in lines_of(program, "statistics", 3, *(v.hex() for v in values))[0]]
        got = [pk_result.quantile(values, q) for q in (0.5, 0.1, 0.9, 0.99)]
        got += [pk_result.relative_spread(values), *pk_result.bootstrap_median(values, 2000, 0.95, 3)]
        expect(got == want, f"statistics of {count} values: {got}, in C {want}")


# ---- outcomes ----


def test_outcomes(_: str, __: str) -> None:
    """Refusals, and what is missing."""
    pk_peer_test.judge_ends(PROGRAM, (
        (["--threads=96"], 2, "a power of two of warps"),
        (["--n=0"], 2, "--n: 0 is not in 1 to"),
        (["--steps", "many"], 2, "no number"),
        (["--form=dense"], 2, "--form"),
        (["--requests=1048576", "--steps=1048576"], 2, "use at most 2^30"),
        (["--n=268435456"], 2, "use at most 2^26"),
        (["--help"], 0, "triton-counter")))
    pk_peer_test.judge_lacks(PROGRAM, {"torch": pk_peer_test.MISSING, "triton": ""}, "not here")
    pk_peer_test.judge_lacks(PROGRAM, {"torch": "", "triton": pk_peer_test.MISSING}, "not here")
    pk_peer_test.judge_lacks(PROGRAM, {"torch": pk_peer_test.WITHOUT_GPU, "triton": ""}, "finds no GPU")
    for kind in ("fault", "timeout", "interrupted", "wrong", "usage", "skipped", "pass"):
        expect(pk_result.worse(kind, "pass") == kind and pk_result.worse("fault", kind) == "fault", f"ranks of {kind}")


# ---- a made-up run ----


def made_up() -> pk_result.Report:
    """A run that never was: its samples are made up, and its device says so."""
    device = {
        "backend": "cuda", "kind": "gpu", "name": "Made-up GPU", "arch": "sm_90", "processors": 2, "warp_size": 32,
        "l2_bytes": 1, "memory_bytes": 1, "clocks": {"before": None, "after": pk_peer.Sensors("").state()},
        "limits": {"launch_us": None, "launch_sync_us": None, "gap_us": None, "read_gb_per_s": None},
    }
    report = pk_result.Report("lab02", "Persistent queue", [knob.document() for knob in peer_triton.KNOBS],
                              "peer_triton.py", ["peer_triton.py", "--quick"], (1 << 64) - 1, True, device,
                              pk_result.environment("1", "13", "Python", "Triton", False))
    params = {knob.name: knob.default for knob in peer_triton.KNOBS}
    source = random.Random(1)
    walls = {name: [source.uniform(0.9, 1.1) * us for _ in range(20)]
             for name, us in (("triton-launch-sync", 8000), ("triton-counter", 400))}
    for name, wall in walls.items():
        result = pk_result.Result(name, "made up", name == "triton-launch-sync", params, tokens=400,
                                  bytes_per_token=192, wall=wall, device=[380.0], token=[20.0, 21.0],
                                  rounds=10, launches_per_token=1.0)
        result.validation = {when: pk_result.Verdict(checked=5).document(1) for when in ("before", "after", "fresh")}
        report.results.append(result)
    report.results[1].ratios = [walls["triton-launch-sync"][i] / walls["triton-counter"][i] for i in range(10)]
    broken = pk_result.Result("triton-wrong", "made up", False, params)
    broken.validation["before"] = pk_result.Verdict(checked=5, wrong=1, first_wrong=3, worst_error=pk_result.NAN,
                                                    note="never written").document(2)
    broken.fail(pk_result.Failure("wrong", "before timing: 1 of 5\noutputs wrong"))
    report.results.append(broken)
    report.status = report.outcome()
    return report


def test_files(_: str, pk_lab: str) -> None:
    """Written whole or not at all; read back by the commands."""
    report = made_up()
    expect(report.status == "wrong", f"one variant is wrong, and the run is {report.status}")
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        folder = pk_result.result_folder(report, root, "lab02-triton.json")
        expect(folder.name == f"{report.started_utc.replace(':', '')}-Made-up-GPU", f"the folder is {folder.name}")
        pk_result.ensure_writable(folder)
        path = folder / "lab02-triton.json"
        pk_result.write_report(report, path)
        second = pk_result.result_folder(report, root, path.name)
        expect(second == folder.with_name(f"{folder.name}-2"), f"the second folder is {second}")
        before = path.read_bytes()
        report.results[0].wall[0] = pk_result.NAN  # which JSON does not have: nothing may be written
        with contextlib.suppress(ValueError):
            pk_result.write_report(report, path)
            expect(False, "NaN was written as a number")
        expect(path.read_bytes() == before, "a failed write touched the file")
        expect([entry.name for entry in folder.iterdir()] == [path.name], "something is left beside the file")
        try:
            pk_result.write_report(made_up(), folder)
            expect(False, "a folder was replaced by a file")
        except pk_result.Failure as failure:
            expect(failure.status == "usage" and "no file" in failure.reason, failure.reason)
        blocked = root / "file"
        blocked.write_text("", encoding="utf-8")
        try:
            pk_result.ensure_writable(blocked / "folder")
            expect(False, "a folder below a file")
        except pk_result.Failure as failure:
            expect(failure.status == "usage" and "choose another folder" in failure.reason, failure.reason)
        for word in (path, folder):  # by its name, and as a file of a results folder
            shown = subprocess.run([pk_lab, "report", str(word)], capture_output=True, text=True, check=False)
            said = " ".join(shown.stdout.split())
            expect(shown.returncode == 0, f"pk-lab report {word}: {shown.returncode}, {shown.stderr}")
            for text in ("lab02 Persistent queue", "Made-up GPU", "| triton-launch-sync | pass | ",
                         "| triton-counter | pass | ", "`triton-wrong` wrong: before timing: 1 of 5 outputs wrong"):
                expect(text in said, f"pk-lab report {word} does not say {text!r}:\n{shown.stdout}")
        shown = subprocess.run([pk_lab, "compare", str(path), str(path)], capture_output=True, text=True, check=False)
        expect(shown.returncode == 0 and "1.000" in shown.stdout, f"pk-lab compare: {shown.stdout}{shown.stderr}")
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen):
        peer_triton.show(made_up())
    expect(all(len(line) <= 80 for line in screen.getvalue().splitlines()) and "triton-counter" in screen.getvalue(),
           f"the table:\n{screen.getvalue()}")


def test_schema(_: str, __: str) -> None:
    """Valid by harness/schema/result.v1.json, also where next to nothing was measured."""
    import validate_result  # ends with 77 where jsonschema is missing
    validator = validate_result.load_validator()
    empty = made_up()
    empty.results, empty.note, empty.status = [], "ended early", "fault"
    for report in (made_up(), empty):
        text = json.dumps(report.document(), allow_nan=False)
        for fault in validate_result.faults(validator, text):
            expect(False, fault)
    broken = made_up().document()
    broken["results"][0]["params"]["n"] = "many"
    expect(bool(validate_result.faults(validator, json.dumps(broken))), "the validator accepts what is broken")


# ---- the reference's rounding ----


def rounded_once(exact: fractions.Fraction) -> float:
    """The float32 nearest to a rational number, ties to even, normal range."""
    if exact == 0:
        return 0.0
    exponent = 0
    size = abs(exact)
    while size >= 2**24:
        size, exponent = size / 2, exponent + 1
    while size < 2**23:
        size, exponent = size * 2, exponent - 1
    return (1 if exact > 0 else -1) * float(round(size)) * 2.0**exponent  # Fraction rounds ties to even


def float32(value: float) -> float:
    """The nearest float32."""
    return struct.unpack("f", struct.pack("f", value))[0]


def test_reference(_: str, __: str) -> None:
    """fused_multiply_add against rational arithmetic; and a case where rounding twice would be wrong."""
    torch, = pk_peer.needs("torch")
    source = random.Random(5)
    # 2^30 + 1 = 13325 80581: the sum is a little beyond the middle of two floats, by less than a double can hold, so
    # that rounding to double first gives the middle itself, and then the wrong float.
    cases = [(13325 * 2.0**-24, sign * 80581 * 2.0**-30, sign) for sign in (1.0, -1.0)]
    cases += [(1.0, -1.0, 1.0), (2.0**-40, 1.0, 1 + 2.0**-23)]
    while len(cases) < 20000:
        a, x = (float32(source.uniform(-2, 2) * 2.0**source.randint(-30, 3)) for _ in range(2))
        cases.append((a, x, float32(source.uniform(-2, 2) * 2.0**source.randint(-30, 12))))
    columns = [torch.tensor(column, dtype=torch.float64) for column in zip(*cases)]
    got = peer_triton.fused_multiply_add(torch, *columns).tolist()
    for (a, x, y), result in zip(cases, got):
        want = rounded_once(fractions.Fraction(a) * fractions.Fraction(x) + fractions.Fraction(y))
        expect(result == want, f"fma({a!r}, {x!r}, {y!r}) = {result!r}, not {want!r}")
    twice = (columns[0] * columns[1] + columns[2]).to(torch.float32).tolist()
    expect(twice[0] != got[0] and twice[1] != got[1], "the first cases are no test: rounding twice is right there")


# ---- the kernels ----


class OnHost:
    """Stands in for pk_peer.Device: all that the variants ask of it."""

    processors = 3

    @staticmethod
    def synchronize() -> None:
        """The interpreter has ended when it returns."""


def problem_with(torch: types.ModuleType, kernels: types.ModuleType, **changed: float) -> peer_triton.Problem:
    """A small problem on the host."""
    values = {knob.name: knob.quick for knob in peer_triton.KNOBS}
    problem = peer_triton.Problem(torch, kernels, {**values, **changed}, "cpu", OnHost.processors, 32)
    problem.fill(1)
    return problem


def verdict_of(problem: peer_triton.Problem, execute: object) -> pk_result.Verdict:
    """A verified repetition."""
    problem.poison()
    problem.reset()
    execute(problem, OnHost, pk_peer.Recorder())
    return problem.verify()


def test_kernels(_: str, __: str) -> None:
    """Right results at edges of sizes; wrong ones are found, and said to be what they are. The interpreter does one
    program after the other, and rounds an fma twice: factors here are powers of two, and no step rounds."""
    torch, _ = pk_peer.needs("torch", "triton")
    import peer_kernels
    for changed in ({}, {"n": 1, "steps": 1, "requests": 1}, {"n": 63, "threads": 32}, {"n": 300, "threads": 64},
                    {"first": 0}, {"first": (1 << 31) - 3}, {"blocks": 40}, {"n": 5, "steps": 12, "a": -0.5}):
        problem = problem_with(torch, peer_kernels, **changed)
        for execute in (peer_triton.run_counter, peer_triton.run_launch_sync):
            verdict = verdict_of(problem, execute)
            expect(verdict.wrong == 0 and verdict.checked == problem.requests * (problem.n + problem.steps),
                   f"{changed}: {execute.__name__}: {verdict}")
    problem = problem_with(torch, peer_kernels)

    def skips(done: peer_triton.Problem, *_: object) -> None:  # the claim of one item is lost
        done.claimed += 1
        done.done[0] += 1
        done.launch_counter()

    def twice(done: peer_triton.Problem, *_: object) -> None:
        done.launch_counter()
        done.launch_step(2, 3)

    def past_the_end(done: peer_triton.Problem, *_: object) -> None:
        done.launch_counter()
        done._guarded[1][-peer_triton.GUARD] = 0

    def token(done: peer_triton.Problem, *_: object) -> None:
        done.launch_counter()
        done.trace[7] += 2.0**-6

    for execute, words in ((skips, "request 0, element 0: it looks as if it saw 6 steps, not 7"),
                           (twice, "request 2, element 0: it looks as if it saw 8 steps, not 7"),
                           (lambda *_: None, "it looks as if it saw 0 steps"),
                           (past_the_end, "a write missed the buffer 'trace'"),
                           (token, "the token of step 0 of request 1")):
        verdict = verdict_of(problem, execute)
        expect(verdict.wrong > 0 and words in verdict.note, f"not found, or not named: {words}: {verdict}")
    problem.fill(2)
    expect(verdict_of(problem, peer_triton.run_counter).wrong == 0, "fresh inputs")


if __name__ == "__main__":
    sys.exit(pk_peer_test.main(globals(), sys.argv))
