#!/usr/bin/env python3
"""A lab's solution, judged as a submission is: honest.py PROGRAM [RUNG,RUNG...]

PROGRAM is the judge and the worker. Each rung has to pass at every hidden size of its problem, or to be skipped as this
device cannot run it. Exit 0 right, 1 wrong."""
import json
import pathlib
import subprocess
import sys
import tempfile


def main():
    program, rungs = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name, "verdicts.json")
        command = [program, "--judge", f"--worker={program}", "--seed=20261127", "--memory=8192", f"--json={path}"]
        done = subprocess.run(command + [f"--variants={r}" for r in rungs], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"the judge ended with {done.returncode}: {done.stderr}")
        rows = json.loads(path.read_text())["rungs"]
    wrong = [row for row in rows if row["status"] not in ("pass", "skipped")]
    for row in wrong:
        print(f"{row['variant']}: {row['status']}: {row['reason']}")
    passed = [row["variant"] for row in rows if row["status"] == "pass"]
    print(f"right: {', '.join(passed)}")
    sys.exit(bool(wrong) or not passed)


if __name__ == "__main__":
    main()
