#!/usr/bin/env python3
"""How often an interval of a speedup contains 1 when the same program is measured against itself.

    python3 harness/tests/same.py build/cpu/bin/lab01_same 100 [options of the program]

Each run is a process of its own. The last line counts; exit code 1 when fewer than 95 of 100 contain 1. Not a test of
CTest's: it judges times, takes minutes, and wants a machine that does nothing else. docs/measuring.md has what it showed.
"""

import json
import math
import os
import subprocess
import sys
import tempfile


def measure(program, options, folder):
    path = os.path.join(folder, "same.json")
    subprocess.run([program, "--quick", f"--json={path}", *options], check=True, stdout=subprocess.DEVNULL)
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    (again,) = (point for point in result["results"] if point["variant"] == "again")
    return again["speedup"], again["timing"]["wall"], result["device"]["name"]


def main():
    if len(sys.argv) < 3 or not sys.argv[2].isdigit() or int(sys.argv[2]) == 0:
        sys.exit(__doc__)
    program, runs, options = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    inside = 0
    widths, medians = [], []
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs):
            speedup, wall, device = measure(program, options, folder)
            low, high = speedup["low"], speedup["high"]
            contained = low <= 1 <= high
            inside += contained
            widths.append(high - low)
            medians.append(abs(math.log(speedup["median"])))
            if not contained:
                print(f"run {run}: {speedup['median']:.4f} [{low:.4f}, {high:.4f}], {len(wall['samples'])} samples")
    widths.sort()
    medians.sort()
    print(f"{device}: {inside} of {runs} intervals contain 1; their median width {widths[runs // 2]:.4f}; "
          f"the median speedup is {100 * math.expm1(medians[runs // 2]):.2f}% from 1, at most {100 * math.expm1(medians[-1]):.2f}%")
    sys.exit(inside < 0.95 * runs)


if __name__ == "__main__":
    main()
