#!/usr/bin/env python3
"""What peer_triton.py is made of, tested without a GPU.

usage: peer_test.py PART NUMBERS_PROGRAM PK_LAB
  knobs     the knobs are those of problem.c
  outcomes  exit codes, and the messages of what is refused and of what is missing; what is tried where nothing is asked
  inputs    drawn as in problem.c, number for number
  stream    the pool and the scores wanted; PyTorch's own pass, wrong ones do not; skipped without PyTorch
  kernels   both kernels in Triton's interpreter, at edges of sizes; skipped without PyTorch and Triton
Exit: 0 right, 1 wrong, 77 skipped.
"""
from __future__ import annotations

import math
import os
import pathlib
import subprocess
import sys
import types
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peer_triton  # noqa: E402
import pk_peer  # noqa: E402
import pk_peer_test  # noqa: E402
import pk_result  # noqa: E402
from pk_peer_test import expect  # noqa: E402

PROGRAM = HERE / "peer_triton.py"


def test_knobs(*_: str) -> None:
    """All of each."""
    pk_peer_test.judge_knobs(peer_triton.KNOBS, HERE / "problem.c", ("default", "quick", "low", "high"))


# ---- outcomes ----


def test_outcomes(*_: str) -> None:
    """Refusals, what is missing, and what is tried."""
    pk_peer_test.judge_ends(PROGRAM, (
        (["--rows=20"], 2, "20 keys is no multiple of 8: use --rows=24"),
        (["--dim=96"], 2, "64 and 128 numbers, not 96"),
        (["--threads=96"], 2, "a power of two of warps"),
        (["--pages=16777216", "--rows=8"], 2, "use fewer --pages or --rows"),
        (["--work=chain"], 2, "--work"),
        (["--variant=triton"], 2, "'triton' is none of torch-eager, "),
        (["--help"], 0, "triton-tensor")))
    pk_peer_test.judge_lacks(PROGRAM, {"torch": pk_peer_test.MISSING}, "not here")
    pk_peer_test.judge_lacks(PROGRAM, {"torch": "", "triton": pk_peer_test.MISSING}, "not here")
    pk_peer_test.judge_lacks(PROGRAM, {"torch": pk_peer_test.WITHOUT_GPU, "triton": ""}, "finds no GPU")
    values = {knob.name: knob.default for knob in peer_triton.KNOBS}
    tried = peer_triton.launches(values, peer_triton.OF_LOADS, 10, 32)
    kinds = math.prod(len(one) for one in (*peer_triton.OF_LOADS, peer_triton.A_PROCESSOR))
    expect(len(set(tried)) == kinds and {one.programs for one in tried} >= {10, 320}, f"tried: {tried}")
    values.update(threads=64, stages=3, blocks=7)
    tried = peer_triton.launches(values, peer_triton.OF_BOXES, 10, 32)
    expect(tried == [peer_triton.Launch(2, 3, 1, 7)], f"of what was given: {tried}")


# ---- inputs ----


def numbers_of(program: str, *arguments: int) -> list[list[float]]:
    """What peer_numbers.c prints."""
    command = [program, *map(str, arguments)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [[float.fromhex(word) for word in line.split()] for line in lines]


def test_inputs(program: str, *_: str) -> None:
    """The same as in C, of few pages and of more than there are patterns."""
    for seed, pages, rows, dim in ((1, 61, 16, 128), ((1 << 64) - 1, 1030, 8, 64), (0, 1, 8, 64)):
        q, sums, table, scale, _ = numbers_of(program, seed, pages, rows, dim)
        ours = list(peer_triton.draw_integers(seed, peer_triton.SEED_Q, dim, peer_triton.LARGEST_Q))
        expect(ours == q, f"seed {seed}: q is {ours}, in problem.c {q}")
        count = peer_triton.patterns_of(pages)
        drawn = peer_triton.draw_integers(seed, peer_triton.SEED_PATTERNS, count * rows * dim, peer_triton.LARGEST)
        got = [sum(next(drawn) * ours[i % dim] for i in range(rows * dim)) for _ in range(count)]
        expect(got == sums, f"seed {seed}: the {count} patterns are not those of problem.c")
        expect(peer_triton.draw_table(seed, pages) == table, f"seed {seed}: the table of {pages} is not problem.c's")
        expect(peer_triton.draw_scale(seed, pages) == scale, f"seed {seed}: scales of {pages} are not problem.c's")


# ---- the stream ----


def stream_of(torch: types.ModuleType, **changed: float) -> peer_triton.Stream:
    """A small one on the host."""
    values = {knob.name: knob.quick for knob in peer_triton.KNOBS}
    problem = peer_triton.Stream(torch, {**values, **changed}, "cpu")
    problem.fill(1)
    return problem


def test_stream(program: str, *_: str) -> None:
    """What is wanted is what problem.c wants, and what PyTorch gives; and nothing else passes."""
    torch: types.ModuleType = pk_peer.needs("torch")[0]
    for pages, rows, dim in ((61, 16, 128), (1030, 8, 64), (1, 24, 64)):
        problem = stream_of(torch, pages=pages, rows=rows, dim=dim)
        want = torch.tensor(numbers_of(program, 1, pages, rows, dim)[-1])
        expect(problem.verify(want).wrong == 0, f"{pages} pages: what problem.c wants: {problem.verify(want)}")
        count = peer_triton.patterns_of(pages)
        expect(all(torch.equal(problem.pool[i], problem.pool[i % count]) for i in (0, pages // 2, pages - 1)),
               f"{pages} pages: the pool is not made of its patterns")
        for form in (peer_triton.by_operators, peer_triton.spelled):
            verdict = problem.verify(form(torch)(problem.pool, problem.table, problem.q, problem.scale))
            expect(verdict.wrong == 0 and verdict.checked == pages, f"{pages} pages: {form.__name__}: {verdict}")
        problem.fill(2)
        expect(pages == 1 or problem.verify(want).wrong > 0, f"{pages} pages: an answer that was kept passes")
    problem = stream_of(torch)
    for name, out, words in wrong_scores(problem):
        verdict = problem.verify(out)
        expect(verdict.wrong > 0 and words in verdict.note, f"{name}: {verdict}")


def wrong_scores(problem: peer_triton.Stream) -> list[tuple[str, Any, str]]:
    """What must not pass, and what is said."""
    torch = problem.torch

    def scores(pool: Any, table: Any, scale: Any) -> Any:
        return peer_triton.spelled(torch)(pool, table, problem.q, scale)
    right = scores(problem.pool, problem.table, problem.scale)
    unit, nan, part = right.clone(), right.clone(), problem.pool.clone()
    unit.view(torch.int32)[5] += 1
    nan[60] = math.nan
    part[int(problem.table[9]), 3] = 0
    shifted = torch.roll(problem.table, 1)
    problem.poison()
    problem.out.copy_(right)
    problem._guarded[-peer_triton.GUARD] = 0
    return [
        ("no scores", None, "no such scores"), ("too few", right[1:], "no such scores"),
        ("bf16", right.to(torch.bfloat16), "no such scores"), ("a unit of the last place", unit, "page 5: not the sum"),
        ("NaN", nan, "page 60: NaN"), ("another page", scores(problem.pool, shifted, problem.scale), "of page "),
        ("not scaled", scores(problem.pool, problem.table, torch.ones_like(problem.scale)), "is not scaled"),
        ("a row left out", scores(part, problem.table, problem.scale), "page 9: not the sum of its rows"),
        ("past the end", problem.out, "a write missed the buffer 'out'")]


# ---- the kernels ----


class OnHost:
    """Stands in for pk_peer.Device: all that the variants ask of it."""

    processors = 3
    properties = types.SimpleNamespace(major=9, minor=0, warp_size=32)

    def __init__(self, torch: types.ModuleType) -> None:
        self.torch = torch

    def synchronize(self) -> None:
        """The interpreter has ended when it returns."""

    def is_lost(self) -> bool:
        """Never."""
        return False


def test_kernels(*_: str) -> None:
    """Right scores at edges of sizes, by every way that is tried; what cannot be done is a skip that says so."""
    torch, _ = pk_peer.needs("torch", "triton")
    device = OnHost(torch)
    for changed in ({}, {"pages": 1}, {"pages": 7, "rows": 8, "dim": 64}, {"pages": 41, "blocks": 50},
                    {"rows": 24, "dim": 64, "pages": 9}, {"pages": 5, "rows": 256, "blocks": 1}):
        problem = stream_of(torch, **changed)
        values = {knob.name: knob.quick for knob in peer_triton.KNOBS}
        for contender in peer_triton.contenders(problem, device, {**values, **changed}, True):
            judge(contender, skipped=changed.get("rows") == 24 and contender.result.variant == "triton-tensor")
        for how in peer_triton.launches({**values, **changed}, peer_triton.OF_LOADS, device.processors, 32):
            problem.poison()
            peer_triton.Loads(problem, device, pk_result.Result("", "", False, {}), [how], False).launch(how)
            expect(problem.verify(problem.out).wrong == 0, f"{changed}: {how}: {problem.verify(problem.out)}")
    device.properties = types.SimpleNamespace(major=8, minor=6, warp_size=32)
    judge(peer_triton.contenders(problem, device, values, True)[-1], skipped=True)


def judge(contender: pk_peer.Contender, skipped: bool) -> None:
    """Prepared, and right; or skipped."""
    if contender.result.variant == "torch-compile":
        return  # takes a C++ compiler, and long
    try:
        contender.prepare()
        contender.poison()
        contender.execute(pk_peer.Recorder())
        verdict = contender.verify()
        expect(not skipped and verdict.wrong == 0, f"{contender.result.variant}: {verdict}")
        contender.poison()
        expect(contender.verify().wrong > 0, f"{contender.result.variant}: poison passes")
    except pk_result.Failure as failure:
        expect(skipped and failure.status == "skipped", f"{contender.result.variant}: {failure.reason}")


if __name__ == "__main__":
    sys.exit(pk_peer_test.main(globals(), sys.argv))
