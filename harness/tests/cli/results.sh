#!/usr/bin/env bash
# Result files read back: report, compare, status, and files that are none.
# shellcheck disable=SC2016 # backticks are Markdown's
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
gpu=$repository/harness/tests/data/example-gpu.json
cpu=$repository/harness/tests/data/example-cpu.json

run report
expect_error 'no results yet' './lab run 01'
run report "$fixture"
expect_error 'no result files'
run report "$gpu"
expect 0 'NVIDIA H200' '| variant |' '| stream | pass |' '| fused | pass |'
expect_no 'CPU device'
run report "$cpu"
expect 0 'CPU device, not a GPU' '| pdl | skipped |' 'programmatic dependent launch' '| fused | todo |'
run report "$gpu" --all
expect 0 '| 1000 |'

# Without words: the student's newest full run, whatever came after it, and the choice is said.
place() { # place DAY FILE PROGRAM QUICK: as results/2026-01-DAY...
    local folder=$PK_LAB_SOURCE/results/2026-01-$1T000000Z-d
    mkdir -p "$folder"
    python3 - "$2" "$folder/lab01.json" "$1" "$3" "$4" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
result["run"].update(program=sys.argv[4], quick=sys.argv[5] == "quick", started_utc=f"2026-01-{sys.argv[3]}T00:00:00Z")
json.dump(result, open(sys.argv[2], "w"))
CODE
}
place 01 "$gpu" lab01_baseline full
run report
expect 0 '01T000000Z-d/lab01.json' "a run of another's" '`lab01_baseline`'
place 02 "$gpu" lab01_solution full
place 03 "$gpu" lab01_solution quick
run report
expect 0 '`lab01_solution`, 2026-01-02' "a run of the solution's, 2026-01-02T00:00:00Z. Passed over: a quick run"
expect_no '03T00:00:00Z, a quick run (`'
place 04 "$gpu" lab01_optimized quick
place 05 "$gpu" lab01_solution full
run report
expect 0 '`lab01_optimized`, 2026-01-04' 'a quick run (`--quick`)' 'and 2 more.'
place 06 "$gpu" lab01_optimized full
sed 's/"variant": "/&other-/' "$gpu" >"$PK_LAB_SOURCE/results/2026-01-06T000000Z-d/lab01-other.json"
place 07 "$gpu" lab01_optimized quick
place 08 "$cpu" lab01_solution full
place 09 "$gpu" lab01_optimized full # by --no-timing, as the pages' examples are
python3 - "$PK_LAB_SOURCE/results/2026-01-09T000000Z-d/lab01.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
for point in result["results"]:
    point.pop("derived", None)
json.dump(result, open(sys.argv[1], "w"))
CODE
run report
expect 0 '`lab01_optimized`, 2026-01-06' 'a run of yours, 2026-01-06T00:00:00Z. Passed over: a run of yours without' \
    "a run of the solution's" 'and 1 more.'
expect 0 '| other-stream (' # what another program's file beside it has
expect_no 'CPU device'
[[ $(grep -c '^## ' <<<"$output") == 1 ]] || fail 'not one table'
expect_width
if command -v gnuplot >/dev/null; then
    run plot "--out=$fixture/chosen" # the newest folder is the solution's, on another device
    expect 0 'a run of yours, 2026-01-06T00:00:00Z'
    grep -q 'NVIDIA H200' "$fixture/chosen/lab01-speedup.svg" || fail 'the figures are of another run'
    grep -q other-stream "$fixture/chosen/lab01-speedup.svg" || fail 'what stands beside it is left out'
fi
rm -r "$PK_LAB_SOURCE/results"

# The newest folder counts, whatever order they were made in.
mkdir -p "$PK_LAB_SOURCE"/results/{2026-01-02T000000Z-b,2026-01-01T000000Z-a}
sed 's/lab01_optimized/lab01_solution/' "$gpu" >"$PK_LAB_SOURCE/results/2026-01-02T000000Z-b/lab01.json"
cp "$cpu" "$PK_LAB_SOURCE/results/2026-01-01T000000Z-a/lab01.json"
run status
expect 0 'wrong, stream' # the older one, for it is the student's
expect_width
sed 's/lab01_optimized/lab01_solution/' "$cpu" >"$PK_LAB_SOURCE/results/2026-01-01T000000Z-a/lab01.json"
run status
expect 0 'none of yours (solution pass)'
expect_width
sed 's/lab01_solution/lab01_optimized/' "$gpu" >"$PK_LAB_SOURCE/results/2026-01-01T000000Z-a/lab01.json"
run status
expect 0 'pass, fused'
expect_width

# What cannot be written is no success.
for words in "report $gpu" "compare $gpu $gpu" list status --help 'run --help'; do
    # shellcheck disable=SC2086 # several words
    output=$("$pk_lab" $words 2>&1 >/dev/full) && fail "$words says nothing of a full disk"
    [[ $output == *'not all of the output'* ]] || fail 'not said'
done
"$pk_lab" report "$gpu" | head -n 1 >/dev/null
[[ ${PIPESTATUS[0]} == 0 || ${PIPESTATUS[0]} == 141 ]] || fail 'a reader that has enough is an error'

# ---- compare ----
run compare "$gpu" "$gpu"
expect 0 'A/B' '1.000' 'Of 26 compared, B is faster in 0, slower in 0, the same in 26; 0 are unclear.' 'some 1.3 would miss 1'
expect_width
run compare "$gpu" "$cpu"
expect_error 'differ in device (NVIDIA H200, CPU device' --anyway
run compare "$gpu" "$cpu" --anyway
expect 2 'same parameters in both'

# B is A with every wall sample doubled: exactly half as fast, and the interval holds 0.5 and not 1.
python3 - "$gpu" "$fixture/slow.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
for point in result["results"]:
    wall = point["timing"]["wall"]
    if wall:
        wall["samples"] = [2 * value for value in wall["samples"]]
        wall["median"] *= 2
        point["derived"]["us_per_token"] *= 2
del result["results"][-1]
json.dump(result, open(sys.argv[2], "w"))
CODE
run compare "$gpu" "$fixture/slow.json"
expect 0 0.500 '1 results that only A has, 0 that only B has'
[[ $output =~ 0\.500\ +0\.4[0-9]+\ to\ 0\.5[0-9]+ ]] || fail 'the interval does not hold 0.5'
expect_width

# Verdicts, with what makes one unclear. Samples are 100 +- 0.1%; the file's first baseline stays as it was.
verdict() { # verdict VARIANT WANTED CODE: of `points` of that variant, changed by code that knows one as `point`
    python3 - "$gpu" "$fixture/a.json" "$fixture/b.json" "$1" "$3" <<'CODE'
import copy, json, sys
result = json.load(open(sys.argv[1]))
result["results"] = [point for point in result["results"] if point["params"]["k"] == 1][:4]
def put(point, us, spread=0.001):
    tokens, wall = point["derived"]["tokens"], point["timing"]["wall"]
    wall["samples"] = [tokens * us * (1 + spread * (i % 7 - 3) / 3) for i in range(70)]
    wall["median"] = tokens * us
    point["derived"]["us_per_token"] = us
for point in result["results"]:
    put(point, 100)
json.dump(result, open(sys.argv[2], "w"))
for point in result["results"]:
    if point["variant"] == sys.argv[4]:
        exec(sys.argv[5])
json.dump(result, open(sys.argv[3], "w"))
CODE
    run compare "$fixture/a.json" "$fixture/b.json"
    expect 0
    grep -qE "^$1 .* $2\$" <<<"$output" || fail "$1 is not $2"
}
verdict stream same 'put(point, 101)'
verdict stream faster 'put(point, 80)'
expect 0 'Of 4 compared, B is faster in 1, slower in 0, the same in 3; 0 are unclear.'
verdict stream slower 'put(point, 125)'
verdict stream 'unclear: noise' 'put(point, 101, 0.3)'
expect 0 'noise: the interval holds 1'
verdict stream 'unclear: chance' 'put(point, 90, 0.24)' # 0.05 > its chance > 0.05 / 4
expect 0 'chance: its own interval'
verdict sync faster 'put(point, 80)' # the baseline itself; what changed it may have spared the others
expect 0 "drift: the runs' common baseline took up to 1.25 times as long in A"
grep -q '^stream .* unclear: drift$' <<<"$output" || fail 'a drift is no doubt'
run compare "$fixture/a.json" "$fixture/b.json" --within=50%
expect 0 'within 50%'
run compare "$fixture/a.json" "$fixture/b.json" --within=none
expect_error "'none' is no percentage"

# Two folders: labs by their files' names, the default point unless all are asked for, one judgement of all.
mkdir "$fixture"/{one,two}
cp "$gpu" "$fixture/one/lab01.json"
cp "$gpu" "$fixture/two/lab01.json"
for side in one two; do sed 's/"id": "lab01",/"id": "lab02",/' "$gpu" >"$fixture/$side/lab02.json"; done
sed 's/"id": "lab01",/"id": "lab03",/' "$gpu" >"$fixture/two/lab03.json"
run compare "$fixture/one" "$fixture/two"
expect 0 'lab01 Launches' 'lab02 Launches' 'Only B has lab03.json.' 'Of 8 compared'
expect_width
run compare "$fixture/one" "$fixture/two" --all
expect 0 'Of 52 compared'
run compare "$fixture/one" "$fixture/two/lab01.json"
expect_error 'name two folders, or two files'
sed -i 's/"k": 1,/"k": 7,/' "$fixture/two/lab02.json"
run compare "$fixture/one" "$fixture/two"
expect 0 'lab02.json is left out: no variant of lab02 was run' 'Of 4 compared'
rm "$fixture"/one/lab01.json
run compare "$fixture/one" "$fixture/two"
expect 2 'no lab in common'

# On a terminal of 60 columns nothing is wider and nothing is cut; in a pipe neither, with knobs without end.
if command -v script >/dev/null; then
    for command in "compare '$gpu' '$gpu'" list status; do
        output=$(script -qec "stty cols 60; '$pk_lab' $command" /dev/null </dev/null | tr -d '\r')
        [[ $(wc -L <<<"$output") -le 60 && $output != *...* ]] || fail 'too wide, or cut'
        [[ -n $output ]] || fail 'nothing'
    done
fi
run compare "$repository/docs/results/h200/lab02.json" "$repository/docs/results/h200/lab02.json"
expect 0 'first=4294966296' 'variant n' 'in-flight'
expect_no '...'

# The default point, then a sweep that covers it once more: one row a variant and point, in any order of the files.
python3 - "$gpu" "$fixture/twice.json" <<'CODE'
import copy, json, sys
result = json.load(open(sys.argv[1]))
first = result["results"][0]["params"]
again = copy.deepcopy([point for point in result["results"] if point["params"] == first])
for point in again:
    point["derived"]["us_per_token"] = 12345
result["results"] += again
json.dump(result, open(sys.argv[2], "w"))
CODE
for pair in "$fixture/twice.json $gpu" "$gpu $fixture/twice.json" "$fixture/twice.json $fixture/twice.json"; do
    # shellcheck disable=SC2086 # two files
    run compare $pair
    expect 0 1.000
    expect_no 'only B'
    expect_no 12345
    expect_width
    [[ $(grep -cE '^stream +1 +9' <<<"$output") == 1 && $(flat) == *'at n=1024 tokens=8'* ]] || fail 'not one row for a variant and point'
done
run compare "$fixture/twice.json" "$fixture/slow.json"
expect 0 '1 results that only A has, 0 that only B has'
run compare "$fixture/slow.json" "$fixture/twice.json"
expect 0 '0 results that only A has, 1 that only B has'
run report "$fixture/twice.json"
expect 0 'at n=1024 k=1 tokens=8' 'whole sweep'
expect_width
[[ $(grep -c '^| stream ' <<<"$output") == 1 ]] || fail 'a variant is reported twice'
run report "$fixture/twice.json" --all
expect 0 'the default point is n=1024 k=1 tokens=8'
expect_no 12345
[[ $(grep -c '^| stream | 1024 | 1 |' <<<"$output") == 1 ]] || fail 'a point is reported twice'
sed 's/"id": "lab01",/"id": "lab02",/' "$gpu" >"$fixture/other.json"
run compare "$gpu" "$fixture/other.json" --anyway
expect_error 'different labs'
run compare "$gpu"
expect_error 'two result files'

# ---- another program's results, beside the lab's own ----
# peer FILE [CODE]: what a program of somebody else measured, the example's variants by another name; CODE changes it.
peer() {
    python3 - "$gpu" "$@" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
result["run"].update(program="peer_other.py", started_utc="2026-04-01T00:00:00Z")
for point in result["results"]:
    point["variant"] = "other-" + point["variant"]
first = result["results"][0]["params"]
points = result["results"] = [point for point in result["results"] if point["params"] == first]
exec(sys.argv[3] if len(sys.argv) > 3 else "")
json.dump(result, open(sys.argv[2], "w"))
CODE
}
mkdir "$fixture/together"
cp "$gpu" "$fixture/together/lab01.json"
peer "$fixture/together/lab01-other.json"
for words in "$gpu $fixture/together/lab01-other.json" "$fixture/together"; do
    # shellcheck disable=SC2086 # two files
    run report $words
    expect 0 'run of its own: `peer_other.py`, 2026-04-01T00:00:00Z'
    expect_no 'nothing at this point'
    [[ $(grep -c '^## ' <<<"$output") == 1 ]] || fail 'not one table'
    # Its speedup was against a baseline in another process.
    grep -qE '^\| stream \| pass \| [0-9.]+ \| [0-9.]+ \([0-9.]+ to [0-9.]+\) \|' <<<"$output" || fail 'no speedup of its own'
    grep -qE '^\| other-stream \(`peer_other.py`\) \| pass \| [0-9.]+ \| - \|' <<<"$output" || fail 'no row of the peer'
done
rm "$fixture/together/lab01.json" # alone it is a result like others
run report "$fixture/together"
expect 0 '`peer_other.py`' '| other-stream | pass |'
# At other knobs: not in the table, but in that of all points; two files of one program make a series.
peer "$fixture/k7.json" 'for point in points: point["params"]["k"] = 7'
run report "$gpu" "$fixture/k7.json"
expect 0 'peer_other.py' 'which has nothing at this point'
expect_no '| other-stream'
run report "$gpu" "$fixture/together/lab01-other.json" "$fixture/k7.json" --all
expect 0 '| other-stream (`peer_other.py`) | 1024 | 1 | 8 | pass |' '| other-stream (`peer_other.py`) | 1024 | 7 | 8 | pass |'
peer "$fixture/hip.json" 'result["device"]["backend"] = "hip-nvidia"'
run report "$gpu" "$fixture/hip.json"
expect 0 '| other-stream (`peer_other.py`) |'

refused() { # refused CODE TEXT...
    peer "$fixture/odd.json" "$1"
    run report "$gpu" "$fixture/odd.json"
    expect_error odd.json "${@:2}"
    [[ $output != *'| variant |'* ]] || fail 'a table in spite of that'
}
refused 'result["lab"]["id"] = "lab02"' 'of lab01' 'of lab02' 'one lab'
refused 'result["lab"]["knobs"][0]["name"] = "m"' 'with other knobs'
refused 'result["device"]["name"] = "NVIDIA H100"' 'differ in device (NVIDIA H200, NVIDIA H100)'
refused 'result["device"]["arch"] = "sm_80"' 'differ in arch (sm_90, sm_80)'
refused 'points[1]["variant"] = "stream"' "both have the variant 'stream'" './lab compare'
refused 'for point in points: point["params"]["k"] = 7; point["variant"] = "stream"' "both have the variant 'stream'"
run report "$gpu" "$fixture/k7.json" "$fixture/k7.json"
expect_error 'both have the variant' k7.json
run report "$gpu" "$fixture/together"
expect_error 'is a folder'

# A knob's value is what was given: decimals, and the name of a choice.
python3 - "$gpu" "$fixture/knobs.json" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
result["lab"]["knobs"] += [{"name": "a", "unit": ""}, {"name": "form", "unit": "", "choices": ["axpy", "dense"]}]
for point in result["results"]:
    point["params"].update(a=0.25, form=1)
json.dump(result, open(sys.argv[2], "w"))
CODE
run report "$fixture/knobs.json" --all
expect 0 '| stream | 1024 | 1 | 8 | 0.25 | dense | pass |'
run compare "$fixture/knobs.json" "$fixture/knobs.json"
expect 0 'at n=1024 tokens=8 a=0.25 form=dense'

# ---- no time of what is no pass ----
change() { # change FILE CODE: the example on a GPU, changed by code that knows it as `result`, its results as `points`
    python3 - "$gpu" "$1" "$2" <<'CODE'
import json, sys
result = json.load(open(sys.argv[1]))
points = result["results"]
def names(place): return [point for point in points if point["variant"] == place]
exec(sys.argv[3])
json.dump(result, open(sys.argv[2], "w"))
CODE
}
for status in wrong todo skipped fault; do
    change "$fixture/failed.json" 'for point in names("fused"): point.update(status="'$status'", reason="of fresh inputs")'
    run report "$fixture/failed.json" --all
    expect 0 '| stream |'
    [[ $(grep '^| fused' <<<"$output" | sed 's/| fused[^|]*| [0-9]* | [0-9]* | [0-9]* |//' | cut -d'|' -f1,2,3,5,6 | sort -u) == " $status | - | - | - | - " ]] ||
        fail "a time of what is $status"
    for pair in "$gpu $fixture/failed.json" "$fixture/failed.json $gpu"; do
        # shellcheck disable=SC2086 # two files
        run compare $pair
        grep -q "^fused.* $status .* - *-$" <<<"$output" || fail "what is $status is compared"
    done
done
change "$fixture/founded.json" 'for point in names("sync"): point.update(status="wrong", reason="of fresh inputs")'
run report "$fixture/founded.json" --all
expect 0 '| stream |'
expect_no ' to '

# ---- what a file says is data: no order to a shell, a page or a terminal ----
# Names, in each place that has one, are refused; texts, in all of them, are shown as they are.
mkdir "$fixture/hostile"
python3 - "$gpu" "$fixture/hostile" <<'CODE'
import copy, json, sys
shipped = json.load(open(sys.argv[1]))
del shipped["results"][8:]
hostile = ["s'; system('touch TOUCHED'); '", "`touch TOUCHED`", "a\".\"\\`touch TOUCHED`", "$(touch TOUCHED)", "a\nb",
           "a\x1b]0;b\a", "a|b", "<b>a", "a\u009b31mb", "_a_ *b* {/Symbol a}^2", "../a", "", "@a", "a\u202eb"]
def place(*path):
    def put(result, text):
        for step in path[:-1]:
            result = result[step]
        result[path[-1]] = text
    return put
names = [place("results", 1, name) for name in ("variant", "role", "status", "cache")]
names += [place("lab", "id"), place("lab", "knobs", 1, "name")]
names += [lambda result, text: result["lab"]["knobs"][1].update(choices=["a", text])]
def write(name, result):
    json.dump(result, open(f"{sys.argv[2]}/{name}.json", "w"))
for i, text in enumerate(hostile):
    for j, put in enumerate(names):
        result = copy.deepcopy(shipped)
        put(result, text)
        write(f"name-{i}-{j}", result)
    if i >= 10:
        continue
    result = copy.deepcopy(shipped)
    result["lab"]["title"] = result["device"]["name"] = result["device"]["backend"] = result["device"]["arch"] = text
    result["run"]["program"] = result["run"]["started_utc"] = result["note"] = result["fits"][0]["name"] = text
    for point in result["results"]:
        if point["variant"] == "fused":
            point.update(status="wrong", reason=text + "; more", open_step=text)
    write(f"text-{i}", result)
    for point in result["results"]:
        point["variant"] = "other-" + point["variant"]
    write(f"peer-{i}", result)
    open(f"{sys.argv[2]}/text-{i}", "w").write(text)
CODE
cd "$fixture" || exit 1
quiet() { [[ $output != *[$'\x1b\a']* && $output != *$'\xc2\x9b'* ]] || fail 'the terminal gets an order'; }
for file in hostile/name-*.json; do
    run report "$file"
    [[ $code == 2 && $(flat) == "lab: $file is no file of a lab"*' is named '*'letters, digits'* ]] || fail "$file is taken"
    quiet
done
for file in hostile/text-*.json; do
    run report "$file" "${file/text/peer}"
    expect 0 '| other-stream ('
    quiet
    [[ $(grep '^|' <<<"$output" | sed 's/\\|//g' | tr -dc '|\n' | sort -u) == '||||||||' ]] || fail 'a cell ends within'
    [[ $(grep -c '^## ' <<<"$output") == 1 && $output != *[!\\\`]'<b>'* ]] || fail 'markup in the page'
    run compare "$file" "$file"
    expect 0 1.000
    quiet
done
if command -v gnuplot >/dev/null; then
    rm "$PK_LAB_SOURCE/plots" # one of the figures has all kinds of text
    mkdir "$PK_LAB_SOURCE/plots"
    ln -s "$repository"/plots/{theme,speedup,lab01-speedup}.gp "$PK_LAB_SOURCE/plots"
    for i in 0 1 2 3 9; do
        run plot "hostile/text-$i.json" "hostile/peer-$i.json" "--out=$fixture/figures"
        expect 0 'wrote lab01-speedup.svg'
        # The device's name stands in the figure, each letter of it.
        python3 - "$fixture/figures/lab01-speedup.svg" "hostile/text-$i" <<'CODE' || fail 'the figure has another text'
import html, re, sys
page = html.unescape(re.sub("<[^>]*>", "", open(sys.argv[1]).read()))
sys.exit("".join(open(sys.argv[2]).read().split()) not in "".join(page.split()))
CODE
    done
fi
[[ -z $(find "$fixture" -name 'TOUCHED*') ]] || fail 'a file gave a command'
cd / || exit 1

# ---- files that are no results ----
run compare "$gpu" "$fixture/none.json"
expect_error 'cannot read' none.json
echo '{"schema": "pk-result", "ver' >"$fixture/cut.json"
run report "$fixture/cut.json"
expect_error 'is not a result file'
echo '{"schema": "pk-result", "version": 2, "results": []}' >"$fixture/new.json"
run report "$fixture/new.json"
expect_error 'version 2'
echo '{"schema": "pk-result", "version": 1, "results": [{}, 7, null]}' >"$fixture/bare.json"
run report "$fixture/bare.json"
expect_error "variant is named ''"
echo '{"schema": "pk-result", "version": 1, "results": []}' >"$fixture/empty.json"
run report "$fixture/empty.json"
expect 0 'before its first result'
{ cat "$gpu"; echo '{}'; } >"$fixture/behind.json"
run report "$fixture/behind.json"
expect_error 'behind its end'
{ cat "$gpu"; printf '\0 and more'; } >"$fixture/nul.json"
run report "$fixture/nul.json"
expect_error 'not UTF-8'
{ printf '\xef\xbb\xbf'; cat "$gpu"; } >"$fixture/bom.json"
run report "$fixture/bom.json"
expect_error 'byte order mark'
sed 's/NVIDIA H200/NVIDIA \xc0\xaf/' "$gpu" >"$fixture/bytes.json"
run report "$fixture/bytes.json"
expect_error 'not UTF-8' "line $(grep -n -m1 'NVIDIA H200' "$gpu" | cut -d: -f1)"
run plot "$fixture" # several odd files: an error or not, but no crash
((code < 3)) || fail "exit code $code"
finish
