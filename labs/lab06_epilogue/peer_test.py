#!/usr/bin/env python3
"""What peer_torch.py is made of, tested without a GPU.

usage: peer_test.py PART
  knobs      the knobs and their defaults are those of problem.c
  outcomes   exit codes, and the messages of what is refused and of what is missing
  formula    reference and bound: PyTorch's own results pass, wrong ones do not; skipped without PyTorch
Exit: 0 right, 1 wrong, 77 skipped.
"""
from __future__ import annotations

import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import types

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peer_torch  # noqa: E402
import pk_peer  # noqa: E402
import pk_result  # noqa: E402

complaints: list[str] = []


def expect(right: bool, text: str) -> None:
    """Complain when it is not so."""
    if not right:
        complaints.append(text)


def test_knobs() -> None:
    """Names, units and defaults, in problem.c's order."""
    text = (HERE / "problem.c").read_text(encoding="utf-8")
    table = re.search(r"const pk_knob lab06_knobs\[LAB06_KNOBS\] = \{(.*?)\n\};", text, re.DOTALL)
    row = r"\{\"([\w-]+)\",\s*\"([^\"]*)\",\s*\"[^\"]*\",\s*(\w+),\s*(\w+),"
    words = {"LAB06_LAYERS": 0, "LAB06_FP32": 0, "LAB06_GELU": 0, "LAB06_EXACT": 0, "LAB06_GATE_AS_MATH": 0}
    want = [(name, unit, words.get(default, default), words.get(quick, quick))
            for name, unit, default, quick in re.findall(row, table.group(1))] if table else []
    got = [(knob.name, knob.unit, knob.default, knob.quick) for knob in peer_torch.KNOBS]
    expect([tuple(map(str, one)) for one in want] == [tuple(map(str, one)) for one in got],
           f"knobs are {got}, in problem.c {want}")


def test_outcomes() -> None:
    """Refusals, and what is missing."""
    def ended(*arguments: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run([sys.executable, str(HERE / "peer_torch.py"), *arguments], capture_output=True, text=True,
                              env={**os.environ, **environment}, check=False)
        return done.returncode, done.stdout + done.stderr
    for arguments, code, words in (
            (["--rows=1048576", "--columns=4096"], 2, "more than 2^31"),
            (["--type=fp16"], 2, "'fp16' is none of fp32, bf16"),
            (["--math=fast"], 2, "--math"),
            (["--help"], 0, "torch-compile")):
        got, text = ended(*arguments)
        expect(got == code and words in text and "Traceback" not in text, f"{arguments}: {got}, {text!r}")
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "torch.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
        got, text = ended("--quick", PYTHONPATH=folder)
        expect(got == 77 and "SKIPPED: " in text and "not here" in text, f"without PyTorch: {got}, {text!r}")


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
