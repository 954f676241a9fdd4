#!/bin/sh
# Test of lab 04's sweep and figures: sweep_test.sh PROGRAM PK-LAB. One small sweep with a timeline; every figure of it is
# drawn; and the break-even that the run tells, that the figure shows and that the recorded phases give are the same.
# Exit code 77 without a device, python3 or gnuplot.
set -u
program=$1
pk_lab=$2
command -v python3 >/dev/null || exit 77
command -v gnuplot >/dev/null || exit 77
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

"$program" --quick --tokens=2 --sweep=quick --time-limit=0.01 "--json=$folder/lab04.json" \
    "--trace=$folder/lab04-trace.json" >"$folder/said" 2>&1
code=$?
[ "$code" -ne 0 ] && cat "$folder/said" && exit "$code"
"$pk_lab" plot "$folder" >"$folder/drawn" 2>&1 || { cat "$folder/drawn"; exit 1; }

# Of one problem: the sweeps of the others are left out, and those over models keep the model that was given.
"$program" --quick --work=prefill --requests=1 --model=tiny-qwen2 --sweep=quick --time-limit=0.01 \
    "--json=$folder/prefill.json" >"$folder/said" 2>&1
code=$?
[ "$code" -ne 0 ] && cat "$folder/said" && exit "$code"

python3 - "$folder" <<'CODE'
import json, math, pathlib, re, sys

folder = pathlib.Path(sys.argv[1])
result = json.loads((folder / "lab04.json").read_text())
drawn = (folder / "drawn").read_text()
faults = []


def svg(figure):
    path = folder / f"lab04-{figure}.svg"
    return path.read_text() if path.exists() else ""


for figure in "break-even phases projections rungs speedup timeline ttft update".split():
    page = svg(figure)
    if not page.rstrip().endswith("</svg>"):
        faults.append(f"{figure} is not drawn: {drawn}")
    elif result["device"]["kind"] == "cpu" and page.count("CPU device") < 2:
        faults.append(f"{figure}: title and watermark do not both say CPU device")

points = {}
for point in result["results"]:
    if point["status"] == "pass":
        points.setdefault((point["variant"], json.dumps(point["params"])), point)


def paid_after(point, direct, one_replay):
    parts = point["phases"]["parts_us"]
    making = parts["capture"] + parts["instantiate"] + parts["upload"]
    replay = point["derived"]["us_per_token"]
    if one_replay:
        making += max(0, point["phases"]["first_execute_us"] - replay)
    saving = direct["derived"]["us_per_token"] - replay
    return making / saving if saving > 0 else math.nan


figures = {figure["name"]: figure["value"] for figure in result["figures"]}
shown = re.findall(r">(-?[0-9.e-]+) \((-?[0-9]+)\)<", svg("break-even"))
expected = 0
for (variant, knobs), point in points.items():
    params = point["params"]
    axpy = variant == "axpy-graph"
    default = params == result["results"][0]["params"]
    if axpy and params["replays"] != 1:
        continue # in a row: the first launch is not by itself
    if not axpy and not (default and variant in ("resident", "pdl", "while")):
        continue
    paid = paid_after(point, points["axpy-loop" if axpy else "stream", knobs], axpy)
    name = f"{params['k']} nodes break even after" if axpy else f"{variant} breaks even after"
    expected += 1
    if math.isnan(paid):
        if name in figures:
            faults.append(f"{name}: {figures[name]}, and a replay saves nothing")
        if "never: a replay saves nothing" not in svg("break-even"):
            faults.append(f"{name}: the figure does not say that it never pays")
    elif figures.get(name) != math.ceil(paid):
        faults.append(f"{name}: {figures.get(name)}, and its phases give {paid}")
    elif not any(int(whole) == math.ceil(paid) and abs(float(text) - paid) < 0.051 * max(1, paid) for text, whole in shown):
        faults.append(f"{name}: {paid} is not in the figure, which has {shown}")
if expected < 4:
    faults.append(f"only {expected} points time a graph's making: the sweep over nodes has three, and decode one")
prefill = json.loads((folder / "prefill.json").read_text())["results"]
swept = {name for point in prefill for name in point["params"] if point["params"][name] != prefill[0]["params"][name]}
if swept != {"exact", "prompt"}:
    faults.append(f"--work=prefill swept {swept} in {len(prefill)} points, and is to sweep lengths of prompts alone")
for fault in faults:
    print("sweep_test:", fault)
sys.exit(bool(faults))
CODE
