#!/usr/bin/env python3
"""Drift and memory of lab 04's results, and gates on them: python3 measures_test.py SOLUTION PK_LAB

Exit 0 right, 1 wrong, 77 no device."""
from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

GATES = """fewer launches: launches before/after >= 5
the same bits: logits-l2 after-before <= 0
no other draw: logits-kl after <= 1e-2
the same text: perplexity change% <= 0
near the model's: perplexity after/perplexity-reference <= 1.02
memory: memory after/buffer-bytes <= 1.5
"""
DRIFT = ("logits-l2", "logits-kl")
MEMORY = ("buffer-bytes", "model-kv-bytes")
TEXT = ("perplexity", "perplexity-reference")
complaints: list[str] = []


def expect(right: bool, text: str) -> None:
    """Complain when it is not so."""
    if not right:
        complaints.append(text)


def measures_of(program: str, path: pathlib.Path, *options: str) -> dict[str, dict[str, float]]:
    """What each variant that passed has."""
    done = subprocess.run([program, "--quick", "--no-timing", f"--json={path}", *options], capture_output=True,
                          text=True, timeout=200, check=False)
    if done.returncode == 77:
        print(done.stderr)
        sys.exit(77)
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {result["variant"]: result.get("measures", {}) for result in document["results"]
            if result["status"] == "pass"}


def check(work: str, names: set[str], variants: dict[str, dict[str, float]]) -> None:
    """All have all of it; a cache in bf16 leaves some drift, and what rounding alone does is not much. A text of
    drawn tokens is harder to predict for random weights than by a guess among the 256 that there are."""
    expect(len(variants) > 1, f"{work}: {len(variants)} variants passed")
    for variant, measures in variants.items():
        expect(set(measures) == names, f"{work}, {variant}: {measures}")
        expect(all(1e-6 < measures.get(name, 0) < 0.05 for name in DRIFT), f"{work}, {variant} drifts: {measures}")
        expect(0 < measures.get("model-kv-bytes", 0) < measures.get("buffer-bytes", 0), f"{work}, {variant}: {measures}")
        if "perplexity" in names:
            got, want = (measures.get(name, 0) for name in TEXT)
            expect(20 < got < 5000 and 0 < abs(got / want - 1) < 0.02, f"{work}, {variant}: perplexity {got}, {want}")
    expect(len({measures.get("logits-l2") for measures in variants.values()}) == 1, f"{work}: the same bits drift apart")


def main() -> int:
    """The two works that have logits, one that has none, and a gate."""
    program, lab = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        decode = folder / "lab04.json"
        check("decode", {*DRIFT, *MEMORY, *TEXT}, measures_of(program, decode))
        check("prefill", {*DRIFT, *MEMORY}, measures_of(program, folder / "prefill.json", "--work=prefill"))
        for variant, measures in measures_of(program, folder / "axpy.json", "--work=axpy").items():
            expect(not measures, f"axpy, {variant}: {measures}")
        gates = folder / "gates.txt"
        gates.write_text(GATES, encoding="utf-8")
        done = subprocess.run([lab, "gate", decode, decode, "--variant=launch,resident", f"--gates={gates}"],
                              capture_output=True, text=True, timeout=60, check=False)
        expect(done.returncode == 0 and "all 6 gates hold" in done.stdout, done.stdout + done.stderr)
    print("\n".join(complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
