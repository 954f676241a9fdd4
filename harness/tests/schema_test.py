#!/usr/bin/env python3
"""The real writer's files and the examples are valid by the schema, and broken ones are not.

usage: schema_test.py WRITE_SAMPLE_PROGRAM
Exit: 0 all as it should be, 1 not, 77 the python package jsonschema is not installed.
"""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile

import validate_result

EXAMPLES = pathlib.Path(__file__).resolve().parent / "data"

REMOVED = object()

# Where, and what is put there instead; "*" is every element's first. Each must make a valid document invalid.
BREAKAGES = [
    (["schema"], "other"),
    (["version"], 2),
    (["version"], REMOVED),
    (["extra"], 1),
    (["run", "seed"], 1),
    (["run", "seed"], "01"),
    (["run", "started_utc"], "2026-11-20 12:00"),
    (["run", "git"], {"commit": "abc", "dirty": False}),
    (["run", "steps"], {"lab01.1": "done"}),
    (["run", "steps"], {"first": "0123456789abcdef"}),
    (["environment", "tools", "nvml"], "yes"),
    (["environment", "cpu_cores"], 0),
    (["device", "kind"], "tpu"),
    (["device", "backend"], "cpu"),  # with kind gpu: the CPU device passed off as a GPU
    (["device", "limits", "launch_us"], 3.2),
    (["device", "limits", "read_gb_per_s", "unit"], "us"),
    (["device", "limits", "gap_us"], REMOVED),
    (["device", "clocks", "before"], {}),
    (["lab", "knobs", 0, "unit"], REMOVED),
    (["status"], "ok"),
    (["results", 0, "role"], "other"),
    (["results", 0, "cache"], "warm"),
    (["results", 0, "status"], "failed"),
    (["results", 0, "reason"], "though it passed"),
    (["results", 0, "open_step"], "lab01.1"),
    (["results", 0, "params", "n"], "many"),
    (["results", 0, "speedup"], {"median": 1, "low": 1, "high": 1, "rounds": 1, "ratios": [1]}),  # of the baseline
    (["results", 0, "validation", "before", "wrong"], -1),
    (["results", 0, "validation", "before", "note"], REMOVED),
    (["results", 0, "timing", "unit"], "ms"),
    (["results", 0, "timing", "wall", "median"], None),
    (["results", 0, "timing", "wall", "samples"], [1, None]),
    (["results", 0, "timing", "wall", "samples"], []),
    (["results", 0, "timing", "settled"], 1),
    (["results", 0, "phases", "prepare_us"], "2"),
    (["results", 0, "measures"], {}),
    (["results", 0, "measures"], {"logits-l2": "2"}),
    (["results", 0, "measures"], {"`logits`": 2}),
    (["results", 0, "launches", "per_token"], REMOVED),
    (["results", 0, "derived", "us_per_token"], -1),
    (["results", 0, "derived", "more"], 1),
    (["results", 1, "model"], {"name": "", "predicted_us_per_token": 1, "error_percent": None}),
    (["fits", 0, "slope_interval"], [1, 2]),
    (["figures", 0, "value"], "3.2"),
    (["targets", 0, "kind"], "faster"),
    (["targets", 0, "judged"], False),  # passed without being judged
]


def broken(document, path, value):
    document = copy.deepcopy(document)
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(document)


def main(program):
    validator = validate_result.load_validator()
    complaints = []
    valid = {path.name: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("example-*.json"))}
    if len(valid) < 2:
        complaints.append(f"{EXAMPLES}: the examples are missing")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("gpu", "cpu", "empty"):
            path = pathlib.Path(folder) / f"{name}.json"
            subprocess.run([program, name, str(path)], check=True)
            valid[f"{program} {name}"] = path.read_text(encoding="utf-8")
    for name, text in valid.items():
        complaints += [f"{name}: {fault}" for fault in validate_result.faults(validator, text)]
    document = json.loads(valid[f"{program} gpu"])
    if list(document["run"]["steps"]) != ["lab99.1", "lab99.2"]:
        complaints.append(f"the steps of the ladder's files are not recorded: {document['run']['steps']}")
    texts = {f"{path} = {value if value is not REMOVED else 'removed'}": broken(document, path, value)
             for path, value in BREAKAGES}
    texts["NaN as a number"] = valid["example-gpu.json"].replace('"value": 3.2', '"value": NaN')
    texts["cut short"] = valid["example-gpu.json"][:-10]
    texts["nothing"] = ""
    complaints += [f"accepted though broken: {name}" for name, text in texts.items()
                   if not validate_result.faults(validator, text)]
    for complaint in complaints:
        print(complaint)
    print(f"{len(valid)} valid documents, {len(texts)} broken ones: {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
