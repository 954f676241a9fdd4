#!/usr/bin/env python3
"""What peer_sdpa.py is made of, tested without a GPU.

usage: peer_test.py PART
  knobs      the knobs and their defaults are those of problem.c
  outcomes   exit codes, and the messages of what is refused and of what is missing
  attention  inputs, reference and bound: a right result passes, wrong ones do not; skipped without PyTorch
Exit: 0 right, 1 wrong, 77 skipped.
"""
from __future__ import annotations

import math
import os
import pathlib
import signal
import sys
import types
import warnings

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import peer_sdpa  # noqa: E402
import pk_peer  # noqa: E402
import pk_peer_test  # noqa: E402
import pk_result  # noqa: E402
from pk_peer_test import expect  # noqa: E402

PROGRAM = HERE / "peer_sdpa.py"


def test_knobs() -> None:
    """With problem.c's defaults. A smoke shape is its own."""
    pk_peer_test.judge_knobs(peer_sdpa.KNOBS, HERE / "problem.c", ("default",))


def test_outcomes() -> None:
    """Refusals, and what is missing."""
    pk_peer_test.judge_ends(PROGRAM, (
        (["--heads=6", "--kv-heads=4"], 2, "6 query heads cannot share 4"),
        (["--head-dim=84"], 2, "no multiple of 16 bytes"),
        (["--ragged=10"], 2, "--ragged"),
        (["--help"], 0, "sdpa-cudnn")))
    pk_peer_test.judge_lacks(PROGRAM, {"torch": pk_peer_test.MISSING}, "not here")
    pk_peer.heed_sigterm()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        expect(False, "SIGTERM did nothing")
    except KeyboardInterrupt:
        pass
    options = pk_peer.parse_options("", peer_sdpa.KNOBS, [])
    options.quick = False
    shapes = [(point["batch"], point["seq-len"], point["steps"]) for point in peer_sdpa.points(options)]
    expect(shapes == [(32, 4096, 64), (1, 131072, 16), (1, 1024, 128)], f"the shapes are {shapes}")
    options = pk_peer.parse_options("", peer_sdpa.KNOBS, ["--seq-len=77", "--steps=5"])
    shapes = [(point["batch"], point["seq-len"], point["steps"]) for point in peer_sdpa.points(options)]
    expect(len(shapes) == 1 and shapes[0][1:] == (77, 5), f"--seq-len=77 --steps=5 gives {shapes}")
    head, because, off = (warnings.WarningMessage(f"{text} (Triggered internally at a.cpp:1.)", UserWarning, "", 0)
                          for text in ("Flash attention kernel not used because:", "Head counts differ.",
                                       "CuDNN attention has been runtime disabled."))
    got = peer_sdpa.why_not(RuntimeError("No available kernel.\nmore"), [head, because, because, off])
    expect(got == "No available kernel.; Head counts differ.", f"the reasons are {got!r}")


def by_hand(problem: peer_sdpa.Attention, b: int, h: int, d: int) -> float:
    """One output, term by term."""
    g = h // (problem.heads // problem.kv_heads)
    q, k, v = (tensor.double().tolist() for tensor in (problem.q[b, h, 0], problem.k[b, g], problem.v[b, g]))
    scores = [sum(x * y for x, y in zip(q, row)) / math.sqrt(problem.dim) for row in k]
    weights = [math.exp(score - max(scores)) for score in scores]
    return math.fsum(w * row[d] for w, row in zip(weights, v)) / math.fsum(weights)


def test_attention() -> None:
    """Inputs are the lab's; the reference is right; the bound lets PyTorch's own result pass, and no wrong one."""
    torch: types.ModuleType = pk_peer.needs("torch")[0]
    for seed in (0, 1, (1 << 64) - 1):
        got = peer_sdpa.draw(torch, seed, 500, 8.0, "cpu").tolist()
        exact = [8.0 * ((pk_result.split(seed, i) >> 40) * 2.0**-23 - 1) for i in range(500)]
        want = torch.tensor(exact, dtype=torch.float32).to(torch.bfloat16).tolist()
        expect(got == want, f"inputs of seed {seed} are not reference.cu's")
    for shape in ({}, {"seq-len": 1}, {"seq-len": 300, "head-dim": 128, "heads": 8}, {"batch": 1, "kv-heads": 4}):
        values = {knob.name: knob.quick for knob in peer_sdpa.KNOBS}
        problem = peer_sdpa.Attention(torch, {**values, **shape}, "cpu")
        problem.fill(1)
        for b, h, d in ((0, 0, 0), (problem.batch - 1, problem.heads - 1, problem.dim - 1), (0, 1, 5)):
            difference = abs(by_hand(problem, b, h, d) - float(problem.want[b, h, d]))
            expect(difference < 1e-12, f"{shape}: the reference is off by {difference} at {b}, {h}, {d}")
        right = problem.step()
        verdict = problem.verify(right)
        expect(verdict.wrong == 0 and verdict.checked == right.numel(), f"{shape}: PyTorch on the host: {verdict}")
        expect(0 < float(problem.bound.max()) < 0.02, f"{shape}: a bound of {float(problem.bound.max())} says little")
        for name, wrong in wrong_results(problem, right).items():
            verdict = problem.verify(wrong)
            expect(verdict.wrong > 0, f"{shape}: {name} passes")
        problem.fill(2)
        expect(problem.verify(right).wrong > 0, f"{shape}: an answer that was kept passes")
    expect("sequence 1, head 3, component 7" == note_of_one(torch), "where it is wrong")


def wrong_results(problem: peer_sdpa.Attention, right: object) -> dict[str, object]:
    """Results that must not pass."""
    wrong = {"no output": None, "another shape": right[..., :-1], "NaN": right.clone(),
             "a head's output in another": right.clone()}
    wrong["NaN"].view(-1)[-1] = math.nan
    wrong["a head's output in another"][:, 0] = right[:, 1]
    if problem.length == 1:
        del wrong["a head's output in another"]  # heads that share one key have the same output
        return wrong
    kept = problem.k, problem.v
    problem.k, problem.v = problem.k[:, :, :-problem.length // 4], problem.v[:, :, :-problem.length // 4]
    wrong["the last quarter of the keys left out"] = problem.step()
    problem.k, problem.v = kept
    attention = sys.modules["torch"].nn.functional.scaled_dot_product_attention
    wrong["another scale"] = attention(problem.q, problem.k, problem.v, enable_gqa=True, scale=0.12)
    return wrong


def note_of_one(torch: types.ModuleType) -> str:
    """What is said about one wrong element."""
    values = {knob.name: knob.quick for knob in peer_sdpa.KNOBS}
    problem = peer_sdpa.Attention(torch, values, "cpu")
    problem.fill(3)
    out = problem.step()
    out[1, 3, 0, 7] += 1
    return problem.verify(out).note


if __name__ == "__main__":
    sys.exit(pk_peer_test.main(globals(), sys.argv))
