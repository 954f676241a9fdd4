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

# The newest folder counts, whatever order they were made in.
mkdir -p "$PK_LAB_SOURCE"/results/{2026-01-02T000000Z-b,2026-01-01T000000Z-a}
cp "$gpu" "$PK_LAB_SOURCE/results/2026-01-02T000000Z-b/lab01.json"
cp "$cpu" "$PK_LAB_SOURCE/results/2026-01-01T000000Z-a/lab01.json"
run report
expect 0 'NVIDIA H200'
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

# ---- compare ----
run compare "$gpu" "$gpu"
expect 0 'A/B' '1.000' 'holds 1'
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
    [[ $(grep -cE '^stream +1024 1 8 ' <<<"$output") == 1 ]] || fail 'not one row for a variant and point'
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
expect 0 '1024 1 8 0.25 dense'

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
expect 0
run plot "$fixture" # several odd files: an error or not, but no crash
((code < 3)) || fail "exit code $code"
finish
