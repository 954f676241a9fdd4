#!/usr/bin/env python3
"""Lab 07's figures, of points made up on one that ran: python3 figures_test.py SOLUTION PK-LAB

A run without timing gives the file its form. Its points are multiplied to sweeps as a GPU may measure them, and every
figure is drawn and says what the points say; as a CPU device's, those that mean nothing there are not drawn. Exit 0
right, 1 wrong, 77 no device or no gnuplot."""
from __future__ import annotations

import copy
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import Any

LLAMA, QWEN_2_5 = 8, 7
Q4_K = 2
RUNGS = {"graph-pdl": 1.5, "ring-flag": 1.2, "ring-spread": 1.1}
OTHERS = {"other": 1.05, "other-fa": 1.02}  # another program's, which are no rungs
READ_BYTES_PER_US = 4e6
complaints: list[str] = []


def expect(right: bool, text: str) -> None:
    """Complain when it is not so."""
    if not right:
        complaints.append(text)


def summary(us: float) -> dict[str, Any]:
    """Of samples that vary by a percent."""
    return {"median": us, "p10": 0.99 * us, "p90": 1.01 * us, "p99": 1.02 * us, "min": 0.98 * us, "max": 1.03 * us,
            "mean": us, "relative_spread": 0.01, "count": 3, "samples": [0.99 * us, us, 1.01 * us]}


def slowed(in_flight: int) -> float:
    """Too few under way leave the memory idle, too many keep a hand-over waiting: best at 32 KB."""
    return max(1.0, 32 / in_flight) + max(0, in_flight - 48) / 500


def parts_of(us: float) -> dict[str, float]:
    """As stamps tell them: of each phase a quarter is waiting."""
    share = {"qkv": 0.1, "attend": 0.1, "merge": 0.05, "o": 0.05, "gate-up": 0.3, "down": 0.2, "logits": 0.19,
             "choose": 0.01}
    parts = {}
    for name, part in share.items():
        parts |= {name: part * us, f"{name}-waits": part * us / 4, f"{name}-slowest": part * us * 0.8}
    return parts


def point(pattern: dict[str, Any], variant: str, knobs: dict[str, int]) -> dict[str, Any]:
    """A result of the variant at these knobs, so many times its bytes' time."""
    result = copy.deepcopy(pattern)
    result["params"].update(knobs)
    result["role"] = "baseline" if variant == "graph-pdl" else "ladder"
    result["variant"], result["summary"] = variant, variant
    size = 2.4e9 if result["params"]["model"] == LLAMA else 1e9
    size *= 0.3 if result["params"]["weights"] == Q4_K else 1
    size += 32768.0 * result["params"]["position"]
    us = {**RUNGS, **OTHERS}[variant] * size / READ_BYTES_PER_US
    if result["params"]["in-flight"] > 0:
        us *= slowed(result["params"]["in-flight"])
    if result["role"] == "ladder" and variant in RUNGS:
        result["phases"]["parts_us"] = parts_of(us)
    tokens = result["params"]["tokens"]
    timing = result["timing"]
    timing.update(rounds=3, settled=True, wall=summary(us * tokens), device=summary(us * tokens),
                  submit=summary(us), token=None)
    result["derived"].update(tokens=tokens, us_per_token=us, bytes_per_token=size, device_us_per_token=us)
    return result


def document_of(document: dict[str, Any], kind: str) -> dict[str, Any]:
    """Default point, contexts, a model more, and limits on what is under way."""
    made = copy.deepcopy(document)
    pattern = copy.deepcopy(document["results"][0])
    usual = {"model": LLAMA, "position": 512, "tokens": 32, "chunk": 16, "in-flight": 0}
    made["results"] = [point(pattern, variant, usual) for variant in RUNGS]
    swept = [{"position": position} for position in (0, 128, 1024, 4096, 32768)]
    swept += [{"model": QWEN_2_5}, {"position": 10, "tokens": 100}]
    swept += [{"weights": Q4_K}]  # another problem, which only lab07-limit has, as a group of its own
    swept += [{"in-flight": kb} for kb in (16, 32, 64, 128, 200)]
    made["results"] += [point(pattern, variant, {**usual, **knobs}) for knobs in swept for variant in RUNGS]
    made["device"].update(kind=kind, name="A GPU that is made up" if kind == "gpu" else "CPU device")
    made["device"]["limits"] = {"read_gb_per_s": {"unit": "GB/s", "median": READ_BYTES_PER_US / 1e3, "p10": 1.0,
                                                  "p90": 1.0, "count": 5}}
    return made


def drawn(pk_lab: str, folder: pathlib.Path, document: dict[str, Any]) -> str:
    """What the command says of all figures of this file, and of another program's beside it."""
    folder.mkdir()
    (folder / "lab07.json").write_text(json.dumps(document), encoding="utf-8")
    other = copy.deepcopy(document)
    other["run"]["program"] = "peer_other.py"
    other["results"] = [point(document["results"][0], variant, {}) for variant in OTHERS]
    (folder / "lab07-other.json").write_text(json.dumps(other), encoding="utf-8")
    done = subprocess.run([pk_lab, "plot", "--format=svg", str(folder)], capture_output=True, text=True, timeout=200,
                          check=False)
    expect(done.returncode == 0, f"plot: exit code {done.returncode}: {done.stdout}{done.stderr}")
    return " ".join(done.stdout.split())


def main(program: str, pk_lab: str) -> int:
    """The test."""
    if not shutil.which("gnuplot"):
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        done = subprocess.run([program, "--quick", "--no-timing", "--tokens=1", "--variant=graph-pdl",
                               f"--json={folder / 'lab07.json'}"], capture_output=True, text=True, timeout=200,
                              check=False)
        if done.returncode != 0:
            print(done.stdout + done.stderr)
            return done.returncode
        document = json.loads((folder / "lab07.json").read_text(encoding="utf-8"))
        said = drawn(pk_lab, folder / "gpu", document_of(document, "gpu"))
        for figure, holds in {"position": "ring-spread: 1.36", "limit": "llama-3.2-1b: 1.10 times its bytes",
                              "flight": "with 32 KB under way", "speedup": "",
                              "phases": "ring-spread: 25% of a token is waiting"}.items():
            path = folder / "gpu" / f"lab07-{figure}.svg"
            svg = path.read_text(encoding="utf-8") if path.exists() else ""
            expect(svg.rstrip().endswith("</svg>"), f"{figure} is not drawn: {said}")
            expect(holds in svg, f"{figure} does not say '{holds}'")
        limit = (folder / "gpu" / "lab07-limit.svg").read_text(encoding="utf-8")
        expect(">other-fa<" in limit and ">other<" not in limit, "the other program's fastest is not the one drawn")
        for heading in ("llama-3.2-1b, position 512<", "qwen2.5-0.5b, position 512<", "llama-3.2-1b, position 10 to 109<",
                        "llama-3.2-1b, position 32768<", "llama-3.2-1b q4_k, position 512<"):
            expect(heading in limit, f"no group '{heading}'")
        said = drawn(pk_lab, folder / "cpu", document_of(document, "cpu"))
        for figure in ("limit", "flight"):
            expect(f"not drawn: lab07-{figure}" in said, f"of a CPU device {figure} is drawn: {said}")
    for complaint in complaints:
        print(complaint)
    return len(complaints) > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
