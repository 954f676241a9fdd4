#!/usr/bin/env python3
"""What peer_torch.py is made of, tested without a GPU.

usage: peer_test.py PART
  knobs      the knobs and their defaults are those of problem.c
  outcomes   exit codes, and the messages of what is refused and of what is missing; points, measured and shown
  formula    reference and bound: PyTorch's own results pass, wrong ones do not; skipped without PyTorch
Exit: 0 right, 1 wrong, 77 skipped.
"""
from __future__ import annotations

import math
import pathlib
import sys
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peer_torch  # noqa: E402
import pk_peer  # noqa: E402
import pk_peer_test  # noqa: E402
from pk_peer_test import expect  # noqa: E402

PROGRAM = HERE / "peer_torch.py"


def test_knobs() -> None:
    """Defaults and smoke shapes."""
    pk_peer_test.judge_knobs(peer_torch.KNOBS, HERE / "problem.c")


def test_outcomes() -> None:
    """Refusals, what is missing, and points."""
    pk_peer_test.judge_ends(PROGRAM, (
        (["--rows=1048576", "--columns=4096"], 2, "more than 2^31"),
        (["--type=fp16"], 2, "'fp16' is none of fp32, bf16"),
        (["--math=fast"], 2, "--math"),
        (["--help"], 0, "torch-compile")))
    pk_peer_test.judge_lacks(PROGRAM, {"torch": pk_peer_test.MISSING}, "not here")
    pk_peer_test.judge_points(peer_torch.KNOBS, "layer")


def test_formula() -> None:
    """PyTorch's operators on the host pass, and what is wrong does not."""
    torch: types.ModuleType = pk_peer.needs("torch")[0]
    for kind in (0, 1):
        for act in (0, 1):
            values = {knob.name: knob.quick for knob in peer_torch.KNOBS}
            problem = peer_torch.Epilogue(torch, {**values, "type": kind, "act": act}, "cpu")
            problem.fill(1)
            for form in (peer_torch.spelled, peer_torch.by_operators):
                outs = problem.run(form(torch, problem.gate))
                verdict = problem.verify(outs)
                expect(verdict.wrong == 0, f"type {kind}, act {act}: {verdict}")
            lost = [out.clone() for out in outs]
            lost[-1][-1, -1] = math.nan
            twice = problem.run(lambda x, bias, before: form(torch, problem.gate)(x, bias, 2 * before))
            for name, wrong in (("no output", None), ("NaN", lost), ("the residual twice", twice)):
                expect(problem.verify(wrong).wrong > 0, f"type {kind}, act {act}: {name} passes")
            problem.fill(2)
            expect(problem.verify(outs).wrong > 0, f"type {kind}, act {act}: an answer that was kept passes")


if __name__ == "__main__":
    sys.exit(pk_peer_test.main(globals(), sys.argv))
