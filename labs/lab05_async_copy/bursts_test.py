#!/usr/bin/env python3
"""Test what repetitions of --work=bursts report: bursts_test.py LAB05_PROGRAM

Each timed variant has the spans prefill, decode and beside, of which the last is a part of both others; where decode has
run by itself every step's latency is there, and they sum up to no more than decode. Exit 0 right, 1 wrong, 77 skipped."""
import json
import pathlib
import subprocess
import sys
import tempfile

STEPS = 5
VARIANTS = "burst-plain,burst-apart,burst-graph,burst-shaped"


def run(program, path):
    command = [program, "--quick", "--work=bursts", f"--decode-steps={STEPS}", f"--variant={VARIANTS}", "--bursts=40",
               "--time-limit=0.5", f"--json={path}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 77:
        print(done.stdout)
        sys.exit(77)
    if done.returncode != 0:
        sys.exit(f"exit code {done.returncode}:\n{done.stdout}")
    return json.loads(path.read_text())


def check(result, complain):
    name = result["variant"]
    spans = result["phases"].get("parts_us") or {}
    if not {"prefill", "decode", "beside"} <= set(spans):
        complain(f"{name}: its spans are {sorted(spans)}")
        return
    if not (spans["prefill"] > 0 and spans["decode"] > 0 and 0 <= spans["beside"]):
        complain(f"{name}: {spans}")
    # Medians of each over all repetitions: nearly a part.
    if spans["beside"] > 1.5 * min(spans["prefill"], spans["decode"]):
        complain(f"{name}: beside each other for longer than either took: {spans}")
    wall = result["timing"]["wall"]["median"]
    if spans["prefill"] > 1.5 * wall or spans["decode"] > 1.5 * wall:
        complain(f"{name}: a part takes longer than the repetition, {wall} us: {spans}")
    tokens = (result["timing"].get("token") or {}).get("samples") or []
    if name == "burst-apart":
        if spans["beside"] != 0:
            complain(f"{name}: prefill is not behind decode: {spans}")
        if not tokens or len(tokens) % STEPS:
            complain(f"{name}: {len(tokens)} latencies, and a repetition has {STEPS} steps")
        elif not 0 < sorted(tokens)[len(tokens) // 2] * STEPS < 3 * spans["decode"]:
            complain(f"{name}: steps of {sorted(tokens)[len(tokens) // 2]} us in a decode of {spans['decode']} us")
    if any(t < 0 for t in tokens):
        complain(f"{name}: a latency below 0")


def main():
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        results = run(sys.argv[1], pathlib.Path(folder) / "lab05.json")["results"]
    names = [r["variant"] for r in results]
    if names != VARIANTS.split(","):
        wrong.append(f"the variants are {names}")
    for result in results:
        check(result, wrong.append)
    for text in wrong:
        print(f"FAILED: {text}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
