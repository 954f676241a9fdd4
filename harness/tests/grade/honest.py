#!/usr/bin/env python3
"""A lab's solution, judged as a submission is: honest.py PROGRAM MISTAKES NAME,NAME... [RUNG,RUNG...]

PROGRAM is the judge and the worker. Each rung has to pass at every hidden size of its problem, or to be skipped as this
device cannot run it. Of MISTAKES, judge and worker likewise, those names may not pass: each has to be judged, and wrong.
Exit 0 right, 1 wrong."""
import json
import pathlib
import subprocess
import sys
import tempfile


def judge(program, variants):
    """-> the verdicts, a rung each."""
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name, "verdicts.json")
        command = [program, "--judge", f"--worker={program}", "--seed=20261127", "--memory=8192", f"--json={path}"]
        done = subprocess.run(command + [f"--variants={v}" for v in variants], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"the judge ended with {done.returncode}: {done.stderr}")
        return json.loads(path.read_text())["rungs"]


def main():
    program, mistakes, names, rungs = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
    rows = judge(program, rungs)
    wrong = [row for row in rows if row["status"] not in ("pass", "skipped")]
    for row in wrong:
        print(f"{row['variant']}: {row['status']}: {row['reason']}")
    passed = [row["variant"] for row in rows if row["status"] == "pass"]
    print(f"right: {', '.join(passed)}")
    taken = {row["variant"]: row for row in judge(mistakes, [names])}
    missed = [n for n in names.split(",") if n not in taken or taken[n]["status"] not in ("wrong", "skipped")]
    for name in missed:
        print(f"{name}, which is a mistake: {taken.get(name, 'not judged')}")
    sys.exit(bool(wrong) or not passed or bool(missed))


if __name__ == "__main__":
    main()
