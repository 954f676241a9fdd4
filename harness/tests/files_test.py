#!/usr/bin/env python3
"""A lab's program of several files of variants: python3 files_test.py SOLUTION PROGRAM

SOLUTION is lab 01's solution, PROGRAM the same with more_baseline.cu behind baseline.cu and more_ladder.cu behind
optimized.cu. All variants are listed, in this order, with their roles; those of the further files run; the result has
the steps of both of the ladder's files, and those of optimized.cu are as in SOLUTION's.
Exit 0 right, 1 wrong."""
import json
import pathlib
import subprocess
import sys
import tempfile


def listed(program):
    """-> [(role, name)]"""
    output = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout
    return [tuple(line.split("\t")[:2]) for line in output.splitlines()]


def result(program, variants, folder):
    path = pathlib.Path(folder) / "result.json"
    command = [program, "--quick", "--no-timing", f"--variant={variants}", f"--json={path}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads(path.read_text())


def main():
    solution, program = sys.argv[1:]
    wrong = []
    alone = listed(solution)
    baselines = [row for row in alone if row[0] == "baseline"]
    ladder = [row for row in alone if row[0] == "ladder"]
    wanted = [*baselines, ("baseline", "more-baseline"), *ladder, ("ladder", "more")]
    if not baselines or not ladder or listed(program) != wanted:
        wrong.append(f"the variants are {listed(program)}, not {wanted}")
    with tempfile.TemporaryDirectory() as folder:
        before = result(solution, ladder[0][1], folder)["run"]["steps"]
        after = result(program, "more-baseline,more", folder)
    statuses = {point["variant"]: (point["role"], point["status"]) for point in after["results"]}
    if statuses.get("more-baseline") != ("baseline", "pass") or statuses.get("more") != ("ladder", "pass"):
        wrong.append(f"the results are {statuses}")
    steps = dict(after["run"]["steps"])
    if not steps.pop("lab01.99", None) or not before or steps != before:
        wrong.append(f"the steps are {after['run']['steps']}, and without more_ladder.cu {before}")
    for text in wrong:
        print(text, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
