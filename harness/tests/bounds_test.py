#!/usr/bin/env python3
"""Of results that passed, the worst error is within the bound that is written beside it: bounds_test.py PROGRAM OPTION...
Exit 0 right, 1 wrong."""
import json
import pathlib
import subprocess
import sys
import tempfile


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "result.json"
        subprocess.run([*sys.argv[1:], f"--json={path}"], check=True, stdout=subprocess.DEVNULL)
        points = [point for point in json.loads(path.read_text())["results"] if point["status"] == "pass"]
    checks = [(point["variant"], check["worst_error"], check["bound"]) for point in points
              for check in map(point["validation"].get, ("before", "after", "fresh")) if check and check["bound"]]
    wrong = [check for check in checks if not check[1] <= check[2]]
    for variant, error, bound in wrong:
        print(f"{variant} passed, off by {error:g}, and may be off by {bound:g}")
    print(f"{len(checks)} checks with a bound")
    return 1 if wrong or not checks else 0


if __name__ == "__main__":
    sys.exit(main())
