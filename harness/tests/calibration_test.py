#!/usr/bin/env python3
"""What pk_calibrate writes is valid by its schema, has every figure, and broken documents are not valid.

usage: calibration_test.py PK_CALIBRATE
Exit: 0 all as it should be, 1 not, 77 no device, or the python package jsonschema is not installed.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import schema_test
import validate_result

FIGURES = ["sync_us", "graph_submit_us", "graph_launch_sync_us", "graph_node_us", "graph_pdl_node_us", "pdl_gap_us",
           "grid_sync_us", "barrier_us", "word_round_trip_us", "latency_us", "l2_latency_us", "copy_gb_per_s",
           "l2_read_gb_per_s", "to_device_gb_per_s", "to_host_gb_per_s"]

BREAKAGES = [
    (["schema"], "pk-result"),
    (["status"], "skipped"),
    (["figures"], []),
    (["device", "limits", "launch_us"], 3),
    (["device", "kind"], "tpu"),
    (["figures", 0, "unit"], "GB/s"),
    (["figures", 0, "name"], "sync"),
    (["figures", 0, "median"], None),
    (["figures", 0, "median"], 0),
    (["figures", 0, "reason"], "though it passed"),
    (["figures", 0, "status"], "skipped"),  # with a figure
    (["figures", 0, "more"], 1),
    (["figures", 0, "count"], 0),
]


def measure(program, *arguments):
    return subprocess.run([program, "--quick", *arguments], text=True, capture_output=True, check=False)


def judge(document):
    """What is wrong with the figures, a line each. A device may lack some; the limits' order is that of every run."""
    found = [figure["name"] for figure in document["figures"]]
    yield from [] if found == FIGURES else [f"figures are {found}"]
    for name, limit in document["device"]["limits"].items():
        if not limit:
            yield f"{name} was not measured"
    for figure in document["figures"]:
        if figure["status"] == "wrong":
            yield f"{figure['name']}: {figure['reason']}"
    if document["device"]["kind"] == "cpu":  # which has all of it
        yield from (f"{f['name']} skipped: {f['reason']}" for f in document["figures"]
                    if f["status"] == "skipped" and "unsteady" not in f["reason"])


def main(program):
    validator = validate_result.load_validator("calibration")
    complaints = []
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "calibration.json"
        run = measure(program, f"--json={path}")
        if run.returncode == 77:
            print(run.stderr)
            return 77
        if run.returncode or not path.exists():
            print(f"exit code {run.returncode}: {run.stdout}{run.stderr}")
            return 1
        text = path.read_text(encoding="utf-8")
        for arguments in ([], ["--json=a", "--out=b"], ["--fast"], [f"--json={folder}"]):
            refused = measure(program, *arguments)
            if refused.returncode != 2 or not refused.stderr.startswith("calibrate: "):
                complaints.append(f"{arguments}: exit code {refused.returncode}, {refused.stderr}")
    complaints += validate_result.faults(validator, text) or judge(json.loads(text))
    complaints += [f"accepted though broken: {path} = {value}" for path, value in BREAKAGES
                   if not validate_result.faults(validator, schema_test.broken(json.loads(text), path, value))]
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
