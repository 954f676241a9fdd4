#!/usr/bin/env bash
# Figures: whole and labelled, in every format; and what is said when one cannot be drawn. Exit code 77 without gnuplot.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
command -v gnuplot >/dev/null || exit 77
out=$fixture/figures
export TMPDIR="$fixture/it's temporary"
mkdir "$TMPDIR"

# only [FIGURE...]: these are drawn, "lab01-speedup", and no others; all of them without a name.
only() {
    local figure
    rm -rf "$PK_LAB_SOURCE/plots"
    if (($# == 0)); then
        ln -s "$repository/plots" "$PK_LAB_SOURCE/plots"
        return
    fi
    mkdir "$PK_LAB_SOURCE/plots"
    ln -s "$repository"/plots/*.gp "$PK_LAB_SOURCE/plots"
    rm "$PK_LAB_SOURCE"/plots/lab*-*.gp
    for figure in "$@"; do ln -s "$repository/plots/$figure.gp" "$PK_LAB_SOURCE/plots"; done
}

# run_svg ARGUMENT...: `plot` as SVG alone, which is enough where no format is what is tested.
run_svg() { run plot --format=svg "$@"; }

# fits FIGURE: no line of its titles is wider than the canvas, by the mean width of Helvetica's letters.
fits() {
    python3 - "$1" <<'CODE' || fail "$1: a title is cut off"
import re, sys
page = open(sys.argv[1]).read()
titles = re.findall(r'translate\(([0-9.]+),[0-9.]+\)"[^>]*font-size="([0-9.]+)"[^>]*text-anchor="middle">\s*<text>([^<]*)<', page)
widths = [(float(at), 0.5 * float(size) * len(text)) for at, size, text in titles]
sys.exit(len(titles) < 2 or any(at < width / 2 or at + width / 2 > 480 for at, width in widths))
CODE
}

# A sweep over k and over n in which every variant has its place (the examples have one n).
make_result() {
    python3 - "$repository/harness/tests/data/example-$1.json" "$2" <<'CODE'
import copy, json, sys
result = json.load(open(sys.argv[1]))
template = copy.deepcopy(result["results"][1])
result["lab"]["id"] = "lab01"
points = []
grid = [(1024, 150, 4)] + [(n, k, 1) for n in (1024, 4096, 65536) for k in (1, 10, 150)]
for n, k, tokens in grid:
    work = 5 + 0.001 * n
    times = {"launch-sync": work + 8 * k, "work-only": work, "stream": max(3 * k, work + k) + 5, "fused": work}
    for variant, us in times.items():
        point = copy.deepcopy(template)
        baseline = variant in ("launch-sync", "work-only")
        point.update(variant=variant, role="baseline" if baseline else "ladder", params={"n": n, "k": k, "tokens": tokens})
        if point["params"] == {"n": 1024, "k": 150, "tokens": 4}:
            us *= 7 # another time, another machine: on no line
        point["derived"]["tokens"] = tokens
        for name, scale in (("wall", tokens), ("token", 1)):
            timing = point["timing"][name]
            timing.update(samples=[us * scale * (1 + 0.001 * i) for i in range(40)])
            timing.update(median=us * scale, p10=us * scale * 0.98, p90=us * scale * 1.02)
        if variant == "fused" and k == 1: # a bar far below every point
            point["timing"]["wall"]["p10"] = us * tokens * 0.02
        point["derived"]["us_per_token"] = us
        if variant != "fused":
            point["model"] = {"name": "m", "predicted_us_per_token": us, "error_percent": 0}
        else:
            point["model"] = None
        speedup = (work + 8 * k) / us
        point["speedup"] = None if baseline else dict(median=speedup, low=speedup * 0.98, high=speedup * 1.02)
        points.append(point)
    skipped = copy.deepcopy(template)
    skipped.update(variant="pdl", role="ladder", params={"n": n, "k": k, "tokens": tokens}, status="skipped",
                   reason="it's not \"here\"; \\ other devices have it", speedup=None, model=None)
    for name in ("wall", "device", "submit", "token"):
        skipped["timing"][name] = None
    skipped["derived"]["us_per_token"] = None
    points.append(skipped)
result["results"] = points
json.dump(result, open(sys.argv[2], "w"))
CODE
}

# A timeline as --trace writes it: of each variant two tokens of 150 kernels, and of `stream` a second track.
make_timeline() {
    python3 - "$1" "$2" "${3-}" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
device = result["device"]["name"]
variants = [{"pid": i + 1, "variant": name} for i, name in enumerate(("launch-sync", "work-only", "stream", "fused"))]
heading = {"form": "pk-trace 1", "lab": "lab01", "device": device, "variants": variants}
lines = []
for v in variants:
    at, step = 0, 8 if v["variant"] == "launch-sync" else 2
    def bar(tid, category, begin, duration):
        lines.append({"ph": "X", "pid": v["pid"], "tid": tid, "cat": category, "name": "n", "ts": begin, "dur": duration})
    for token in range(2):
        for _ in range(150 if v["variant"] in ("launch-sync", "stream") else 1):
            bar(1, "launch", at, 1)
            bar(1001 if v["variant"] == "stream" and _ % 2 else 1000, "kernel", at + 1, 1)
            if step == 8:
                bar(1, "wait", at + 1.5, 4)
            at += step
        lines.append({"ph": "i", "pid": v["pid"], "tid": 1, "cat": "token", "name": f"token {token}", "ts": at, "s": "t"})
lines.append({"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "n"}})
change = sys.argv[3]
if change == "device":
    heading["device"] = "another"
if change == "name":
    variants[0]["variant"] = "a'; system('false'); '"
if change == "pid":
    lines[7]["pid"] = 9
if change == "time":
    lines[7]["ts"] = -1
if change == "category":
    lines[7]["cat"] = "what"
if change == "alone":
    del variants[1:]
    lines = [line for line in lines if line["pid"] == 1]
text = '{"displayTimeUnit":"ns",\n"otherData":' + json.dumps(heading) + ',\n"traceEvents":[\n'
text += ",\n".join(json.dumps(line) for line in lines) + "\n]}\n"
if change == "cut":
    text = text[:-4]
if change == "form":
    text = json.dumps(result)
open(sys.argv[2], "w").write(text)
CODE
}

mkdir -p "$fixture/cpu's results" "$out"
make_result gpu "$fixture/lab01.json"
make_result cpu "$fixture/cpu's results/lab01.json"
make_timeline "$fixture/lab01.json" "$fixture/lab01-trace.json"
make_timeline "$fixture/cpu's results/lab01.json" "$fixture/cpu's results/lab01-trace.json"

mkdir "$TMPDIR/pk-plot-killed" # as a command leaves it that was killed
touch "$TMPDIR/pk-plot-killed/points.dat"
run plot "$fixture/lab01.json" "--out=$out"
expect 0 wrote
expect_no 'not drawn'
expect_no .pdf
[[ -z $(ls -A "$TMPDIR") ]] || fail 'a temporary folder was left'
for figure in launch-cost overhead-share speedup latency timeline; do
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
expect 0 'kernels a token, K' 'time of a token (µs)' stream fused \
    'fused: 200× as fast as launch-sync, K = 150' 'n = 1024, NVIDIA H200' 'whiskers: p10 to p90; lines: the model'
expect 0 '-1</tspan>' # the axis goes down to where that bar ends
output=$(cat "$out/lab01-overhead-share.svg")
expect 0 'launch-sync: up to' 'K = 150 kernels' 'sync: sum' 'stream: sum' 'stream: max'
output=$(cat "$out/lab01-speedup.svg")
expect 0 "skipped: it's not here" pdl '×' 'as fast as launch-sync' 'whiskers: 95% interval'
output=$(cat "$out/lab01-latency.svg")
expect 0 'fused: half of the tokens within'
output=$(cat "$out/lab01-timeline.svg")
expect 0 'launch-sync: 150 launches a token; stream: 150' 'two tokens (µs)' 'close up' submission wait kernel

# Beside the results when no folder is asked for; a folder's name may hold anything.
run_svg "$fixture/cpu's results"
expect 0 "in $fixture/cpu's results" 'wrote lab01-latency.svg' 'not drawn: lab01-overhead-share' 'T_comp means nothing'
expect_width
[[ ! -e $fixture/cpu\'s\ results/lab01-overhead-share.svg ]] || fail 'a share of nothing is drawn'
for figure in launch-cost speedup latency timeline; do
    output=$(cat "$fixture/cpu's results/lab01-$figure.svg")
    [[ $(grep -c 'CPU device' <<<"$output") -ge 2 ]] || fail "$figure: title and watermark do not both say CPU device"
done
[[ -z $(ls -A "$TMPDIR") ]] || fail 'a temporary folder was left'

# PDF, and LaTeX's figure around it, whose caption is what the figure says. SVG and PNG are not drawn unless asked for.
only lab01-speedup
run plot "$fixture/cpu's results" --format=tex "--out=$fixture/tex"
expect 0 'wrote lab01-speedup.pdf' 'wrote lab01-speedup.tex'
[[ $(cd "$fixture/tex" && echo *) == 'lab01-speedup.pdf lab01-speedup.tex' ]] || fail 'more than was asked for'
[[ $(head -c 5 "$fixture/tex/lab01-speedup.pdf") == %PDF- ]] || fail 'no PDF'
output=$(<"$fixture/tex/lab01-speedup.tex")
expect 0 '\includegraphics{lab01-speedup}' '\label{fig:lab01-speedup}' \
    '\caption{fused is 28.6$\times$ as fast as launch-sync (n = 1024, K = 150, CPU device' '; whiskers: 95\% interval).}'
run plot "$fixture/lab01.json" --format=svg,pgn "--out=$fixture/none"
expect_error "--format: 'pgn' is none of svg, png, pdf and tex; did you mean 'png'?"
run plot "$fixture/lab01.json" --format= "--out=$fixture/none"
expect_error "--format: '' is none of"
[[ ! -e $fixture/none ]] || fail 'something is drawn'

# No timeline, one that is none, and one of another device: the other figures are drawn all the same, and what is in the
# file is never a command.
mkdir "$fixture/timelines"
cp "$fixture/lab01.json" "$fixture/timelines/"
only lab01-timeline lab01-speedup
run_svg "$fixture/timelines" "--out=$out"
expect 0 'not drawn: lab01-timeline: needs a timeline beside the result: ./lab run 01 --solution --trace' 'wrote lab01-speedup'
only lab01-timeline
for change in cut form name pid time category device; do
    make_timeline "$fixture/lab01.json" "$fixture/timelines/lab01-trace.json" $change
    run_svg "$fixture/timelines" "--out=$out"
    expect 0 'not drawn: lab01-timeline: ' 'lab01-trace.json' 'record it'
done
make_timeline "$fixture/lab01.json" "$fixture/timelines/lab01-trace.json" alone
run_svg "$fixture/timelines" "--out=$out"
expect 0 'not drawn: lab01-timeline: needs two variants in the timeline'
run report "$fixture/timelines" # it is no result of another program
expect 0 launch-sync

# A run without timings: every figure that needs them says so.
python3 - "$fixture/lab01.json" "$fixture/untimed.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
for point in result["results"]:
    point.update(speedup=None, model=None)
    point["timing"].update(wall=None, device=None, submit=None, token=None)
    point["derived"]["us_per_token"] = None
json.dump(result, open(sys.argv[2], "w"))
CODE
only lab01-latency lab01-speedup
run_svg "$fixture/untimed.json" "--out=$fixture/untimed"
expect 0 'not drawn: lab01-latency: needs timings'
expect 0 'not drawn: lab01-speedup: needs a variant beside the baseline'

# More variants than a figure can hold, and as many points.
python3 - "$fixture/lab01.json" "$fixture/crowd.json" <<'CODE'
import copy, json, sys
result = json.load(open(sys.argv[1]))
for i in range(3000):
    point = copy.deepcopy(result["results"][2 + i % 2 * 5])
    point["variant"] = f"v{i}"
    for timing in point["timing"].values():
        if isinstance(timing, dict):
            del timing["samples"][3:]
    result["results"].append(point)
json.dump(result, open(sys.argv[2], "w"))
CODE
only lab01-speedup
output=$(ulimit -t 20 && "$pk_lab" plot --format=svg "$fixture/crowd.json" "--out=$fixture/crowd" 2>&1) # processor's seconds
code=$?
expect 0 'the first 40 variants are drawn; 2965 more have no room' 'wrote lab01-speedup.svg'

# ---- what the scripts get: a script of our own in place of the figures' writes it down ----
rm -r "$PK_LAB_SOURCE/plots"
mkdir "$PK_LAB_SOURCE/plots"
echo >"$PK_LAB_SOURCE/plots/theme.gp"
cat >"$PK_LAB_SOURCE/plots/lab01-tell.gp" <<'CODE'
print sprintf('%d points, tokens %d, K %d, modelled %s;', along_k_count, along_k_tokens, along_n_k, along_k_modelled) \
    . system("tr '\n' ';' <along_k.dat")
exit status 77
CODE
run_svg "$fixture/lab01.json" "--out=$out"
expect 0 '3 points, tokens 1, K 150, modelled launch-sync work-only stream ;'
[[ $(flat | grep -o '1024 150 [14]' | sort | uniq -c | tr -s ' ') == ' 4 1024 150 1' ]] ||
    fail 'the default point is on a line'
# An older file: the sweep had the same number of tokens, and covers the default point again.
sed 's/"tokens": 1\([,}]\)/"tokens": 4\1/g' "$fixture/lab01.json" >"$fixture/older.json"
run_svg "$fixture/older.json" "--out=$out"
expect 0 '3 points, tokens 4, K 150'
[[ $(flat | grep -o '1024 150 4' | wc -l) == 4 ]] || fail 'a point is on a line twice'
expect 0 1206.024
expect_no 8442.168 # 7 times that: the default point
# Another program's variants: in the tables, but for those of speedups, and never what a line or the baseline is. At the
# headline knobs, which another point of the sweep has again, and at others.
python3 - "$fixture/lab01.json" "$fixture/peer.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
result["run"]["program"] = "peer_other.py"
points = [point for point in result["results"] if point["variant"] in ("launch-sync", "stream")]
points = points[:2] + [point for point in points if point["params"]["n"] == 4096][:2]
for point in points[:2]:
    for k in range(2, 9): # a line longer than any of the lab's
        points.append(json.loads(json.dumps(point)))
        points[-1]["params"].update(n=2048, k=k)
for point in points:
    point["variant"] = "other-" + point["variant"]
result["results"] = points
json.dump(result, open(sys.argv[2], "w"))
CODE
cat >"$PK_LAB_SOURCE/plots/lab01-tell.gp" <<'CODE'
print sprintf('peers %s; baseline %s; %d along k, n %d; ', peers, baseline, along_k_count, along_k_n) \
    . system("cut -d' ' -f1,2 headline.dat | tr '\n' ';'") . system("cut -d' ' -f2 speedup.dat | tr '\n' ';'") \
    . system("grep -c ' 4096 1 1 ' points.dat") . ';' . system("grep -c ' 2048 [2-8] 4 ' points.dat") . ' long'
exit status 77
CODE
run_svg "$fixture/lab01.json" "$fixture/peer.json" "--out=$out"
expect 0 'peers other-launch-sync other-stream ; baseline launch-sync; 3 along k, n 1024; 1 launch-sync;2 work-only;3 stream;4 fused;5 pdl;6 other-launch-sync;7 other-stream;stream;fused;pdl;6;14 long'
run_svg "$fixture/peer.json" "$fixture/lab01.json" "--out=$out" # as a shell may name them: the lab's own is first
expect 0 'peers other-launch-sync other-stream ; baseline launch-sync;'
sed 's/"role": "baseline"/"role": "ladder"/g' "$fixture/lab01.json" >"$fixture/no-baseline.json"
run_svg "$fixture/no-baseline.json" "$fixture/peer.json" "--out=$out"
expect 0 'baseline ;'
run_svg "$fixture/lab01.json" "$fixture/lab01.json" "--out=$out"
expect_error "both have the variant 'launch-sync'" './lab compare'
# A run that was cut off before its default point was right: what has nothing to be held against is not drawn.
python3 - "$fixture/lab01.json" "$fixture/cut.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
first = result["results"][0]["params"]
for point in result["results"]:
    if point["params"] == first:
        point["status"] = "interrupted"
json.dump(result, open(sys.argv[2], "w"))
CODE
only lab01-speedup
run_svg "$fixture/cut.json" "--out=$out"
expect 0 'not drawn: lab01-speedup: needs a time of launch-sync at the default point: ./lab run 01 --solution'
rm "$PK_LAB_SOURCE/plots/lab01-speedup.gp"
# Many knobs, with names that gnuplot cannot have, with decimals, of ten digits and with choices; tokens' latencies.
python3 - "$fixture/lab01.json" "$fixture/many.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
more = {"in-flight": 2, "a": 0.015625, "form": 1, "first": 4294966296, "p": 1, "q": 2, "r": 3, "s": 4}
result["lab"]["knobs"] += [{"name": name, "unit": ""} for name in more]
for knob in result["lab"]["knobs"]:
    if knob["name"] == "form":
        knob["choices"] = ["plain", "dense"]
points = result["results"]
for i, point in enumerate(list(points)):
    point["params"].update(more)
    if point["variant"] == "stream" and i > 5: # a family: the same line again with another knob
        point["timing"]["token"].update(median=11.5, p99=99.25)
        point["timing"]["submit"].update(median=3.5)
        point["phases"] = dict(prepare_us=9, first_execute_us=77.5, finish_us=1, parts_us={"capture": 5.25, "warm-up": None})
        point["launches"]["per_token"] = 33
        point["validation"]["before"] = dict(worst_error=0.25)
        other = json.loads(json.dumps(point))
        other["params"]["s"] = 5
        points.append(other)
json.dump(result, open(sys.argv[2], "w"))
CODE
cat >"$PK_LAB_SOURCE/plots/lab01-tell.gp" <<'CODE'
set datafile missing NaN
picked(s) = column(column_n) == 4096 && column(column_s) == s
stats 'points.dat' index 2 using (picked(5) ? column(column_k) : NaN) nooutput
print sprintf('%g rows, k to %g; s %s; in flight %g, first %s, form %g, a %g, %g processors, p50 %d p99 %d; ', STATS_records, \
              STATS_max, values_s, headline_in_flight, values_first, headline_form, headline_a, processors, column_p50, column_p99) \
    . sprintf('phases %s%d %d, names %s%s|, baselines %s; ', phases, column_phase_capture, column_phase_warm_up, names_form, names_s, baselines) \
    . sprintf('launches %d speedup %d submit %d first %d error %d; ', column_launches, column_speedup, column_submit, column_first, column_error) \
    . system("grep -c '^8442.168 ' default.dat") . ' default; ' . system("grep -c '^$' default.dat") . ' between blocks; ' \
    . system("tr '\n' ';' <headline.dat") . system("grep '^[^N].* 5 ' points.dat | tr '\n' ';'")
exit status 77
CODE
run_svg "$fixture/many.json" "--out=$out"
expect 0 '3 rows, k to 150; s 4 5 ; in flight 2, first 4294966296 , form 1, a 0.015625, 132 processors, p50 17 p99 18;'
expect 0 '1 launch-sync 8442.168' '5 pdl NaN NaN NaN "skipped: it'
expect 0 '1024 1 1 2 0.015625 1 4294966296 1 2 3 5 11.5 99.25 33 1.16' ' 3.5 77.5 0.25 8192 5.25 NaN'
expect 0 'phases capture warm-up 25 26, names plain dense |, baselines launch-sync work-only ;' 'launches 19 speedup 20 submit 21 first 22 error 23; 1 default; 10 between blocks;'
run report "$fixture/many.json"
expect 0 'in-flight=2 a=0.015625 form=dense first=4294966296'
python3 - "$fixture/many.json" "$fixture/too-many.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
result["lab"]["knobs"] += [{"name": f"k{i}", "unit": ""} for i in range(40)]
json.dump(result, open(sys.argv[2], "w"))
CODE
run_svg "$fixture/too-many.json" "--out=$out"
expect 2 'more than 32 knobs'
only

# ---- lab 02's figures: families of curves, latencies, another program's bars ----
shipped=$repository/docs/results/h200
run_svg "$shipped/lab02.json" "$shipped/lab02-triton.json" "--out=$out"
expect 0 wrote
grep 'not drawn' <<<"$output" | grep -v timeline && fail 'a figure is not drawn' # none was recorded
for figure in "$repository"/plots/lab02-*.gp; do
    name=$(basename "$figure" .gp)
    [[ $name != *-timeline ]] || continue
    output=$(cat "$out/$name.svg")
    expect 0 'NVIDIA H200' '</svg>'
    expect_no 'CPU device'
done
output=$(cat "$out/lab02-speedup.svg")
expect 0 triton-counter 'counter is 249× as fast as launch-sync' 'hatched: another program'
output=$(cat "$out/lab02-load.svg")
expect 0 requests batched 'requests at 95% load: p50 1.32 µs, p99 14.3 µs' 'the whisker ends at the p99'
output=$(cat "$out/lab02-blocks.svg")
expect 0 'million steps/s, of 66 blocks'
output=$(cat "$out/lab02-blocks.svg")
expect 0 '132 processors' '1024 threads'
# What is slower than the baseline has its value on the left of 1, at the bar's end; other values are right of it.
python3 - "$out/lab02-speedup.svg" <<'CODE' || fail 'a value stands on the wrong side of 1'
import re, sys
page = open(sys.argv[1]).read()
labels = re.findall(r'translate\(([0-9.]+),[0-9.]+\)"[^>]*text-anchor="(\w+)">\s*<text>(?:<tspan[^>]*>)?([0-9.]+)×<', page)
sides = {anchor for _, anchor, value in labels if float(value) < 1}, {anchor for _, anchor, value in labels if float(value) >= 1}
sys.exit(sides != ({"end"}, {"start"}))
CODE
only lab02-blocks lab02-speedup
run_svg "$shipped/lab02-triton.json" "--out=$fixture/alone"
expect 0 'not drawn: lab02-blocks: needs the sweep "blocks"' 'wrote lab02-speedup.svg'
output=$(cat "$fixture/alone/lab02-speedup.svg")
expect_no hatched
python3 - "$shipped/lab02.json" "$fixture/cpu2.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
result["device"].update(kind="cpu", backend="cpu", name="CPU device, 128 processors on 64 cores")
for point in result["results"]: # a latency that is no power of ten in a title
    for quantile in ("median", "p99") if point["timing"]["token"] else ():
        point["timing"]["token"][quantile] *= 1e4
json.dump(result, open(sys.argv[2], "w"))
CODE
only
run_svg "$fixture/cpu2.json" "--out=$fixture/cpu2"
output=$(cat "$fixture/cpu2/lab02-load.svg")
expect 0 'p50 13.2 ms, p99 143 ms'
for figure in "$fixture/cpu2"/*.svg; do
    [[ $(grep -c 'CPU device' "$figure") -ge 2 ]] || fail "$figure: title and watermark do not both say CPU device"
    fits "$figure"
done

# ---- lab 03's: lines that lie on each other, and a sweep that ran and was skipped ----
run_svg "$shipped/lab03.json" "--out=$out"
expect 0 'wrote lab03-tiles.svg'
grep 'not drawn' <<<"$output" | grep -v timeline && fail 'a figure is not drawn' # none was recorded
output=$(cat "$out/lab03-length.svg")
expect 0 'within 12%: hand-barrier = grid-sync; warp-roles = split-kv' 'grid-sync' '× as fast as kernels, L = 131072'
[[ $(grep -c 'hand-barrier' <<<"$output") == 1 ]] || fail 'a line that cannot be seen is in the key'
output=$(cat "$out/lab03-tiles.svg")
expect 0 'warp-roles: 4.05 TB/s, 64 keys, 4 stages' 'open: async-tiles, all on one line'
python3 - "$shipped/lab03.json" "$fixture/skipped3.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
for point in result["results"]:
    if point["variant"] in ("async-tiles", "warp-roles"):
        point.update(status="skipped", reason="bulk copies: this device has none")
json.dump(result, open(sys.argv[2], "w"))
CODE
only lab03-tiles
run_svg "$fixture/skipped3.json" "--out=$fixture/skipped3"
expect 0 'not drawn: lab03-tiles: the sweep "tiles" has no times: warp-roles skipped: this device has none'
expect_no 'needs the sweep'
# A quick run, as the demo makes one: few rows, all on another length than the headline's, and one rung of the two skipped.
python3 - "$shipped/lab03.json" "$fixture/quick3.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
kept = []
for point in result["results"]:
    params = point["params"]
    if params["seq-len"] == 4096 and params["batch"] == 32:
        if params["block-k"] not in (16, 32) or params["stages"] not in (2, 3):
            continue
        if point["variant"] == "warp-roles":
            point.update(status="skipped", reason="bulk copies: this device has none", timing=None, derived=None, speedup=None, model=None)
        if params["block-k"] == 16 and params["stages"] == 3 and point["variant"] == "async-tiles":
            meeting = point # two curves that meet in one point are two
    kept.append(point)
for point in kept:
    if point["variant"] == "async-tiles" and point["params"] == {**meeting["params"], "block-k": 32}:
        point.update(timing=meeting["timing"], derived=meeting["derived"])
# The same length again, of sequences of other lengths, as a sweep over tiles has it: no second point of a line.
for point in result["results"]:
    if point["variant"] == "split-kv" and point["params"]["seq-len"] == 4096 and point["params"]["batch"] == 1:
        other = json.loads(json.dumps(point))
        other["params"]["ragged"] = 50
        other["derived"]["us_per_token"] = 1e8
        for timing in other["timing"].values():
            if isinstance(timing, dict):
                timing.update(median=1e8, p10=1e8, p90=1e8)
        kept.append(other)
result["results"] = kept
json.dump(result, open(sys.argv[2], "w"))
CODE
only lab03-stages lab03-tiles lab03-length
run_svg "$fixture/quick3.json" "--out=$fixture/quick3"
expect 0 'wrote lab03-stages.svg' 'wrote lab03-tiles.svg'
output=$(cat "$fixture/quick3/lab03-stages.svg")
expect 0 '32 keys' 'open: async-tiles'
expect_no 'filled: warp-roles'
expect_no 'all on one line'
output=$(cat "$fixture/quick3/lab03-length.svg")
expect 0 '>3</tspan>'
expect_no '>6</tspan>'
python3 - "$shipped/lab03.json" "$fixture/wrong3.json" <<'CODE' # with a time all the same
import json, sys
result = json.load(open(sys.argv[1]))
for point in result["results"]:
    if point["variant"] == "split-kv":
        point.update(status="wrong", reason="of fresh inputs")
json.dump(result, open(sys.argv[2], "w"))
CODE
only lab03-speedup lab03-length
run_svg "$fixture/wrong3.json" "--out=$fixture/wrong3"
for figure in speedup length; do
    output=$(cat "$fixture/wrong3/lab03-$figure.svg")
    expect_no '2.57×'
done
output=$(cat "$fixture/wrong3/lab03-length.svg")
expect_no split-kv
output=$(cat "$fixture/wrong3/lab03-speedup.svg")
expect 0 'wrong: of fresh inputs'

# ---- lab 04's: rungs by model and form, phases by nodes, break-even, prompts by length, projections beside a read ----
python3 - "$repository/harness/tests/data/example-gpu.json" "$fixture/lab04.json" "$fixture/lab04-trace.json" <<'CODE'
import copy, json, sys
result = json.load(open(sys.argv[1]))
template = copy.deepcopy(next(p for p in result["results"] if p["variant"] == "stream"))
result["lab"]["id"] = "lab04"
base = {"work": 1, "model": 1, "form": 0, "prompt": 32, "tokens": 128, "exact": 0, "part": 7, "n": 1048576, "k": 500}
choices = {"model": ["tiny", "qwen"], "form": ["unfused", "fused"]}
result["lab"]["knobs"] = [{"name": name, "unit": "", **({"choices": choices[name]} if name in choices else {})} for name in base]
points = []
def add(variant, us, baseline=False, first=9e9, launches=1, tokens=2, parts=(), **knobs):
    point = copy.deepcopy(template)
    point.update(variant=variant, role="baseline" if baseline else "ladder", params={**base, **knobs}, model=None)
    point["derived"].update(tokens=tokens, us_per_token=us)
    point["timing"]["wall"].update(median=us * tokens, p10=us * tokens, p90=us * tokens, samples=[us * tokens])
    point["timing"]["submit"].update(median=2 * tokens)
    point["speedup"] = None if baseline else dict(median=3000 / us, low=3000 / us, high=3000 / us)
    point["launches"]["per_token"] = launches
    point["phases"] = dict(prepare_us=1, first_execute_us=first, finish_us=1)
    if parts:
        point["phases"]["parts_us"] = dict(parts)
    points.append(point)
def made(capture, instantiate, upload, **more):
    return {"capture": capture, "instantiate": instantiate, "upload": upload, **more}
def skip(variant):
    add(variant, 1)
    points[-1].update(status="skipped", reason="graphs: this device has none", timing=dict.fromkeys(points[-1]["timing"]), speedup=None)
add("launch", 3000, True, launches=364)
add("stream", 2900, True, launches=364)
add("resident", 1000, parts=made(2000, 1500, 1250)) # 4750 / 1900 = 2.5
add("update-nodes", 1500, parts=made(2000, 1500, 1250, update=36.4))
skip("pdl")
add("launch", 1000, True, launches=13, form=1)
add("stream", 990, True, launches=13, form=1)
add("resident", 1000, parts=made(1, 1, 1), form=1)
for k, direct, replay in ((10, 60, 20), (100, 600, 110)): # (40 + 10) / 40 = 1.25; (400 + 10) / 490 = 0.8
    add("axpy-loop", direct, True, tokens=1, launches=k, work=0, n=1024, k=k)
    add("axpy-graph", replay, tokens=1, first=replay + 10, parts=made(k, 2 * k, k), work=0, n=1024, k=k)
for prompt, us in ((64, 400), (128, 500), (129, 900)):
    add("prefill-launch", 4 * us, True, work=2, exact=1, prompt=prompt)
    add("prefill-pool", us, work=2, exact=1, prompt=prompt)
for part, us in ((3, 10), (8, 20)):
    add("project-read", us, True, work=3, part=part, model=4)
    add("project-matvec", us * 1.25 if part == 8 else us, True, work=3, part=part, model=4)
result["results"] = points
json.dump(result, open(sys.argv[2], "w"))

# Two tokens of four kernels: launch says when each is done; resident, whose host runs ahead, does not.
variants = [{"pid": 1, "variant": "launch"}, {"pid": 2, "variant": "resident"}]
heading = {"form": "pk-trace 1", "lab": "lab04", "device": result["device"]["name"], "variants": variants}
events = []
def bar(pid, tid, category, begin, duration):
    events.append({"ph": "X", "pid": pid, "tid": tid, "cat": category, "name": "n", "ts": begin, "dur": duration})
for token in range(2):
    bar(2, 1, "graph launch", 3 * token, 2)
    for kernel in range(4):
        bar(1, 1, "launch", 100 * token + 10 * kernel, 5)
        bar(1, 1000, "kernel", 100 * token + 10 * kernel + 6, 3)
        bar(2, 1000, "kernel", 16 * token + 4 * kernel + 3, 3)
    events.append({"ph": "i", "pid": 1, "tid": 1, "cat": "token", "name": f"token {token}", "ts": 100 * token + 90, "s": "t"})
text = '{"displayTimeUnit":"ns",\n"otherData":' + json.dumps(heading) + ',\n"traceEvents":[\n'
open(sys.argv[3], "w").write(text + ",\n".join(map(json.dumps, events)) + "\n]}\n")
CODE
only
run_svg "$fixture/lab04.json" "--out=$out"
expect 0 'wrote lab04-rungs.svg' 'wrote lab04-speedup.svg' 'wrote lab04-phases.svg' 'wrote lab04-break-even.svg'
expect 0 'wrote lab04-ttft.svg' 'wrote lab04-projections.svg' 'wrote lab04-update.svg' 'wrote lab04-timeline.svg'
output=$(cat "$out/lab04-update.svg")
expect 0 'update-nodes: 500 µs a token beyond resident' 'NVIDIA H200' '>1500; host: 2<'
output=$(cat "$out/lab04-speedup.svg")
expect 0 'resident is 3× as fast as launch' 'NVIDIA H200'
output=$(cat "$out/lab04-rungs.svg")
expect 0 'resident: 3.00× as fast as launch' 'NVIDIA H200' 'qwen, unfused, 364 kernels' 'qwen, fused, 13 kernels' \
    '>333<' '1000  3.00×' '>skipped<' 'tokens a second' 'whiskers: p10 to p90'
output=$(cat "$out/lab04-phases.svg")
expect 0 'A further node: 4.0 µs once, 1.0 µs a replay' 'NVIDIA H200' 'replay: its call' 'update: nodes'
expect_no 'capture + update'
output=$(cat "$out/lab04-break-even.svg")
expect 0 'resident has paid after 3 replays' 'NVIDIA H200' 'qwen, unfused, 364 nodes' '>2.5 (3)<' \
    'never: a replay saves nothing' 'AXPYs, n = 1024, by nodes' '>1.2 (2)<' '>0.84 (1)<'
output=$(cat "$out/lab04-timeline.svg")
expect 0 'launch: 4 launches a token; resident: 1' 'two tokens (µs)' 'NVIDIA H200'
output=$(cat "$out/lab04-ttft.svg")
expect 0 'A token beyond 128 rows: 1.8× the time' '128 in 128 rows: no padding' '129 in 256 rows: 50% padding' 'NVIDIA H200'
output=$(cat "$out/lab04-projections.svg")
expect 0 'least: 0.80, qwen2.5/down' 'qwen2.5/qkv' 'NVIDIA H200'
# Long times are no powers of ten, and a slope that noise has made negative is none.
python3 - "$fixture/lab04.json" "$fixture/slow4.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
def scale(point, by):
    point["derived"]["us_per_token"] *= by
    for name in ("median", "p10", "p90"):
        point["timing"]["wall"][name] *= by
longest = max(point["params"]["k"] for point in result["results"] if point["variant"] == "axpy-graph")
for point in result["results"]:
    if point["variant"] == "update-nodes":
        scale(point, 10)
    if point["variant"] == "axpy-graph" and point["params"]["k"] == longest:
        scale(point, 1e-4)
json.dump(result, open(sys.argv[2], "w"))
CODE
only lab04-update lab04-phases
run_svg "$fixture/slow4.json" "--out=$fixture/slow4"
output=$(cat "$fixture/slow4/lab04-update.svg" "$fixture/slow4/lab04-phases.svg")
expect 0 'update-nodes: 14 ms a token beyond resident' '>15000; host: 2<' 'too little to tell a replay'
# A file from before phases were timed, and a phase that no table could name.
sed 's/"parts_us"/"older"/g' "$fixture/lab04.json" >"$fixture/older4.json"
only lab04-phases lab04-break-even lab04-rungs
run_svg "$fixture/older4.json" "--out=$fixture/older4"
expect 0 'not drawn: lab04-phases: the file has no times of capture' 'not drawn: lab04-break-even: ' 'wrote lab04-rungs.svg'
sed 's/"upload"/"up; load"/g' "$fixture/lab04.json" >"$fixture/odd4.json"
run_svg "$fixture/odd4.json" "--out=$fixture/odd4"
expect 2 "its phase is named 'up; load'"

# ---- what cannot be drawn ----
only lab01-launch-cost
mkdir -p "$PK_LAB_SOURCE"/results/2026-01-0{1,2,3}T000000Z-d
cp "$fixture/lab01.json" "$PK_LAB_SOURCE/results/2026-01-01T000000Z-d/lab01.json"
cp "$fixture/lab01.json" "$PK_LAB_SOURCE/results/2026-01-02T000000Z-d/lab01.json"
run_svg
expect_no 'no sweep' # no folder but the newest is read
python3 - "$fixture/lab01.json" "$PK_LAB_SOURCE/results/2026-01-03T000000Z-d/lab01.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
result["results"] = [point for point in result["results"] if point["params"] == result["results"][0]["params"]]
json.dump(result, open(sys.argv[2], "w"))
CODE
run_svg
expect 0 'not drawn: lab01-launch-cost' 'no sweep' './lab plot results/2026-01-02T000000Z-d'
expect_width
rm -r "$PK_LAB_SOURCE/results"
only lab01-overhead-share lab01-launch-cost
run_svg "$repository/harness/tests/data/example-gpu.json" "--out=$fixture/some"
expect 0 'not drawn: lab01-overhead-share' './lab run 01 --sweep' 'lab01-launch-cost.svg'
touch "$fixture/file"
run_svg "$fixture/lab01.json" "--out=$fixture/file/below"
expect 2 'lab: ' "$fixture/file"
TMPDIR=$fixture/nowhere run_svg "$fixture/lab01.json" "--out=$out"
expect 2 TMPDIR
PATH=$fixture run_svg "$fixture/lab01.json"
expect 2 'apt-get install --no-install-recommends gnuplot-nox'

# A full disk, as a limit on file sizes: no figure that is cut short, no temporary file left in its place.
run_when_full() {
    output=$( (trap '' XFSZ; ulimit -f 4; "$pk_lab" plot --format=svg "$fixture/lab01.json" "--out=$fixture/full") 2>&1)
    code=$?
}
mkdir "$fixture/full"
run_when_full
expect 2 'lab: '
[[ -z $(ls -A "$fixture/full") ]] || fail "the full folder holds $(ls -A "$fixture/full")"
finish
