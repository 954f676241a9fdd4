#!/usr/bin/env python3
"""Cheats, and what the judge says of each: cheats.py CHEATS SOLUTION

CHEATS is lab01_cheats (cheats.cu): no rule on a submission's text or symbols stands in its way, so what is tried here is
what holds behind them: the other process, hidden and fresh inputs, the judge's own copy, count and clock, the confinement.
SOLUTION is lab01_solution. Exit 0 right, 1 wrong, 77 the system has no namespaces."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

SEED = "20261127"
NO_STEPS = "it looks as if this element saw 0 steps"
STALE = "no whole number of steps from this repetition's start values"
ENDED = "the process ended with exit code 0 while it {}: nothing is graded without an answer"

WANTED = {
    "honest": ("pass", None),
    # printing, exit codes, the end of the process
    "only-prints": ("wrong", NO_STEPS),
    "exits-0": ("fault", ENDED.format("executed")),
    "exits-in-prepare": ("fault", ENDED.format("prepared")),
    "exits-when-right": ("fault", ENDED.format("executed")),
    "crashes": ("fault", r"signal 11 .* ended the process"),
    "hangs": ("timeout", "no progress for .* in hangs"),
    "prints-without-end": ("wrong", "printed more than 1048576 bytes"),
    # outputs that are kept, inputs that are read early
    "keeps-outputs": ("wrong", STALE),
    "keeps-by-few": ("wrong", r"first at \[[1-9][0-9]*\].*" + STALE),  # the first ones are as they were
    "skips-in-prepare": ("wrong", "it leaves itself out .* and the solution runs here"),
    "reads-in-prepare": ("wrong", STALE),
    # working only when it counts
    "works-when-looked-at": ("pass", None),  # and not when it is timed: below
    "works-for-no-judge": ("wrong", NO_STEPS),
    "works-twice": ("wrong", NO_STEPS),
    "works-for-a-terminal": ("wrong", NO_STEPS),
    # work where nobody counts or waits
    "stream-of-its-own": ("wrong", "launches a repetition on a stream that is not timed"),
    "past-the-macro": ("wrong", "PK_LAUNCH counted 0 kernels in a repetition, but the device ran [1-9]"),
    "counts-anew": ("wrong", "PK_LAUNCH counted 0 kernels in a repetition, but the device ran [1-9]"),
    "works-late": ("wrong", NO_STEPS),
    "leaves-it-running": ("wrong", "the variant's function returned while its work was still running"),
    # tokens
    "token-early": ("wrong", "token [0-9]+ was reported as done, and its result is not there|was still running"),
    "tokens-before-work": ("wrong", "token [0-9]+ was reported as done, and its result is not there"),
    # the reference, the harness's memory, the results
    "takes-the-reference": ("wrong", STALE),
    "puts-in-a-lab": ("wrong", NO_STEPS),
    "answers-itself": ("wrong", NO_STEPS),
    "floods-the-pipe": ("wrong", "something wrote on its pipes"),
    "writes-shared-memory": ("wrong", "the input 'x', or the bytes around it, was written over"),
    "writes-an-input": ("wrong", "the input 'x', or the bytes around it, was written over"),
    "writes-past-the-end": ("wrong", "write past the end of buffer 'y'"),
    # out of the process
    "forks": ("fault", "held: fork"),
    "opens-a-socket": ("fault", "held: socket"),
    "sees-a-network": ("fault", "held: network"),
    "writes-a-file": ("fault", "held: file: Read-only file system"),
    "writes-shared-file": ("fault", "held: file: Read-only file system"),
    "looks-at-others": ("fault", "held: ptrace"),
    "takes-much-memory": ("fault", "held: memory"),
}
TIMED = {"honest": ("pass", None), "works-when-looked-at": ("wrong", "while it was timed: .*" + NO_STEPS)}


def judged(folder, cheats, solution, *options):
    """-> the judge's verdicts."""
    path = folder / "verdicts.json"
    command = [cheats, "--judge", f"--worker={cheats}", f"--solution={solution}", f"--seed={SEED}", "--memory=8192"]
    command += ["--watchdog=1", f"--json={path}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the judge ended with {done.returncode}: {done.stderr}")
    return json.loads(path.read_text())


def compare(verdicts, wanted):
    """-> whether each is as wanted; says what is not."""
    rows = {row["variant"]: row for row in verdicts["rungs"]}
    right = rows.keys() == wanted.keys()
    if not right:
        print(f"only judged: {rows.keys() - wanted.keys()}; only wanted: {wanted.keys() - rows.keys()}")
    for name in rows.keys() & wanted.keys():
        row, (status, reason) = rows[name], wanted[name]
        if row["status"] == status and not row["judge_failed"] and (
            row["reason"] is None if reason is None else re.search(reason, row["reason"] or "")
        ):
            continue
        print(f"{name}: {row['status']}: {row['reason']}\n  wanted {status}: {reason}")
        right = False
    return right


def main():
    cheats, solution = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        verdicts = judged(folder, cheats, solution)
        if verdicts["not_confined"]:
            print(f"skipped: the system does not allow: {verdicts['not_confined']}")
            sys.exit(77)
        right = compare(verdicts, WANTED)
        timed = judged(folder, cheats, cheats, "--timing", "--variants=" + ",".join(TIMED))
        right = compare(timed, TIMED) and right
        speeds = [row["speed"] for row in timed["rungs"] if row["variant"] == "honest"]
        if not all(speed and 0 < speed for speed in speeds):
            print(f"the honest one against itself: {speeds}")
            right = False
        again = judged(folder, cheats, solution, "--variants=keeps-outputs")["rungs"][0]["reason"]
        if again != next(row["reason"] for row in verdicts["rungs"] if row["variant"] == "keeps-outputs"):
            print(f"the same seed, and not the same words: {again}")
            right = False
    print(f"{len(WANTED)} programs were judged")
    sys.exit(not right)


if __name__ == "__main__":
    main()
