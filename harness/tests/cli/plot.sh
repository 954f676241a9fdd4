#!/usr/bin/env bash
# Figures: SVG and PNG, whole and labelled; and what is said when one cannot be drawn. Exit code 77 without gnuplot.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
command -v gnuplot >/dev/null || exit 77
out=$fixture/figures
export TMPDIR="$fixture/it's temporary"
mkdir "$TMPDIR"

# A sweep over k and over n in which every variant has its place (the examples have one n).
make_result() {
    python3 - "$repository/harness/tests/data/example-$1.json" "$2" <<'CODE'
import copy, json, sys
result = json.load(open(sys.argv[1]))
template = copy.deepcopy(result["results"][1])
result["lab"]["id"] = "lab01"
points = []
grid = [(1024, k) for k in (150, 1, 10, 100, 1000)] + [(n, 150) for n in (4096, 65536, 1048576)]
for n, k in grid:
    work = 5 + 0.001 * n
    times = {"launch-sync": work + 8 * k, "work-only": work, "stream": max(3 * k, work + k) + 5, "fused": work}
    for variant, us in times.items():
        point = copy.deepcopy(template)
        baseline = variant in ("launch-sync", "work-only")
        point.update(variant=variant, role="baseline" if baseline else "ladder", params={"n": n, "k": k, "tokens": 4})
        tokens = point["derived"]["tokens"]
        for name, scale in (("wall", tokens), ("token", 1)):
            timing = point["timing"][name]
            timing.update(samples=[us * scale * (1 + 0.001 * i) for i in range(40)])
            timing.update(median=us * scale, p10=us * scale * 0.98, p90=us * scale * 1.02)
        point["derived"]["us_per_token"] = us
        point["model"] = {"name": "m", "predicted_us_per_token": us, "error_percent": 0}
        speedup = (work + 8 * k) / us
        point["speedup"] = None if baseline else dict(median=speedup, low=speedup * 0.98, high=speedup * 1.02)
        points.append(point)
    skipped = copy.deepcopy(template)
    skipped.update(variant="pdl", role="ladder", params={"n": n, "k": k, "tokens": 4}, status="skipped",
                   reason="it's not \"here\"; \\ other devices have it", speedup=None, model=None)
    for name in ("wall", "device", "submit", "token"):
        skipped["timing"][name] = None
    skipped["derived"]["us_per_token"] = None
    points.append(skipped)
result["results"] = points
json.dump(result, open(sys.argv[2], "w"))
CODE
}

mkdir -p "$fixture/cpu's results" "$out"
make_result gpu "$fixture/lab01.json"
make_result cpu "$fixture/cpu's results/lab01.json"

run plot "$fixture/lab01.json" "--out=$out"
expect 0 wrote
expect_no 'not drawn'
for figure in launch-cost overhead-share speedup latency; do
    svg=$out/lab01-$figure.svg
    png=$out/lab01-$figure.png
    output=$(tail -n 2 "$svg")
    expect 0 '</svg>'
    output=$(cat "$svg")
    expect 0 'NVIDIA H200' launch-sync
    expect_no 'CPU device'
    [[ $(head -c 8 "$png" | od -An -tx1 | tr -d ' ') == 89504e470d0a1a0a ]] || fail "$png is no PNG"
    (($(stat -c %s "$png") > 10000)) || fail "$png is nearly empty"
done
output=$(cat "$out/lab01-launch-cost.svg")
expect 0 'kernels a token, K' 'time of a token (µs)' stream fused
output=$(cat "$out/lab01-speedup.svg")
expect 0 "skipped: it's not here" pdl '×'

# Beside the results when no folder is asked for; a folder's name may hold anything.
run plot "$fixture/cpu's results"
expect 0 "in $fixture/cpu's results" 'wrote lab01-latency.png'
for figure in launch-cost overhead-share speedup latency; do
    output=$(cat "$fixture/cpu's results/lab01-$figure.svg")
    [[ $(grep -c 'CPU device' <<<"$output") -ge 2 ]] || fail "$figure: title and watermark do not both say CPU device"
done
[[ -z $(ls -A "$TMPDIR") ]] || fail 'a temporary folder was left'

# ---- what cannot be drawn ----
run plot "$repository/harness/tests/data/example-gpu.json" "--out=$fixture/some"
expect 0 'not drawn: lab01-overhead-share' './lab run 01 --sweep' 'lab01-launch-cost.svg'
touch "$fixture/file"
run plot "$fixture/lab01.json" "--out=$fixture/file/below"
expect 2 'lab: ' "$fixture/file"
TMPDIR=$fixture/nowhere run plot "$fixture/lab01.json" "--out=$out"
expect 2 TMPDIR
PATH=$fixture run plot "$fixture/lab01.json"
expect 2 'apt-get install --no-install-recommends gnuplot-nox'

# A full disk, as a limit on file sizes: no figure that is cut short, no temporary file left in its place.
run_when_full() {
    output=$( (trap '' XFSZ; ulimit -f 4; "$pk_lab" plot "$fixture/lab01.json" "--out=$fixture/full") 2>&1)
    code=$?
}
mkdir "$fixture/full"
run_when_full
expect 2 'lab: '
[[ -z $(ls -A "$fixture/full") ]] || fail "the full folder holds $(ls -A "$fixture/full")"
finish
