#!/usr/bin/env bash
# `gate`: a change that passes, ones that fail by each gate, ones that are unclear or not measured; what is no pair of
# results and no file of gates.
# shellcheck disable=SC2016 # a backtick in a name of a measure is what is tried
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"

# made FILE [CODE]: a result of a GPU: `slow` (the baseline), `graph` and `fused` at decode, decode of a long prompt and
# prefill, 20 rounds each. graph is twice as fast as slow, fused three times as graph. CODE changes `result`; it has
# `points`, time(point, us, noise), at(variant) and long, prefill: the further points.
made() {
    python3 -I -S - "$repository/harness/tests/data/example-gpu.json" "$@" <<'CODE'
import copy, json, random, sys
result = json.load(open(sys.argv[1]))
draw = random.Random(7)
knobs = result["lab"]["knobs"] = [{"name": "work", "unit": "", "choices": ["decode", "prefill"]}, {"name": "prompt", "unit": "tokens"}]
template = result["results"][0]
host = [1 + 0.3 * draw.random() for _ in range(20)]  # what a round's host does to all in it

def time(point, us, noise=0.002, rounds=20):
    samples = [us * 8 * host[i // 2] * (1 + noise * draw.uniform(-1, 1)) for i in range(2 * rounds)]
    point["timing"]["wall"].update(samples=samples, count=len(samples), median=sorted(samples)[rounds])
    point["derived"].update(us_per_token=sorted(samples)[rounds] / 8, tokens=8)

points = result["results"] = []
for params in dict(work=0, prompt=32), dict(work=0, prompt=8192), dict(work=1, prompt=64):
    for variant, launches, us in ("slow", 20, 60), ("graph", 10, 30), ("fused", 1, 10):
        point = copy.deepcopy(template)
        point.update(variant=variant, role="baseline" if variant == "slow" else "ladder", params=params, speedup=None,
                     measures={"logits-l2": 2e-4, "logits-kl": 3e-6, "perplexity": 12.5, "buffer-bytes": 1e9, "model-kv-bytes": 1e9})
        point["launches"].update(per_token=launches, graph_replays_per_token=0)
        point["phases"]["held_bytes"] = 4e6
        time(point, us)
        points.append(point)
def at(variant): return [point for point in points if point["variant"] == variant]
long, prefill = points[3:6], points[6:9]
exec(sys.argv[3] if len(sys.argv) > 3 else "")
json.dump(result, open(sys.argv[2], "w"))
CODE
}
# verdict GATE WORD: the row of a gate ends so.
verdict() {
    grep -qE "^$1  .*  $2\$" <<<"$output" || fail "'$1' is not '$2'"
}
cd "$fixture" || exit 1
pair=--variant=graph,fused
made before.json
made after.json

# ---- a change that passes, in two runs and within one ----
for files in 'before.json after.json' 'before.json before.json'; do
    # shellcheck disable=SC2086 # two files
    run gate $files "$pair"
    expect 0 'Promoted: all 7 gates hold' 'BEFORE graph of lab01_solution, NVIDIA H200' 'AFTER fused of' \
        'at work=decode prompt=32' 'gates plan' '10x'
    grep -qE '^time +>= 1.2x +(3|2\.99.|3\.00.)x +(3|2\.99.|3\.00.) to (3|2\.99.|3\.00.) +pass$' <<<"$output" || fail 'another ratio'
    grep -q 'prefill tokens/s: at work=prefill prompt=64: graph, fused' <<<"$output" || fail 'the point is not named'
    expect_width
done

# ---- one that fails, by each gate ----
# fails GATE CODE: AFTER changed by CODE fails this gate and no other.
fails() {
    made after.json "$2"
    run gate before.json after.json "$pair"
    expect 5 'Not promoted: 6 of 7 gates hold, 1 failed.'
    verdict "$1" FAIL
    expect_width
}
fails 'launches, fewer' 'for point in at("fused"): point["launches"].update(per_token=1, graph_replays_per_token=2)'
fails time 'time(at("fused")[0], 29)'
fails 'decode tokens/s' 'time(long[2], 25)'
fails 'prefill tokens/s' 'time(prefill[2], 30)'
fails 'logits drift, L2' 'at("fused")[0]["measures"]["logits-l2"] = 1.21e-3'
fails perplexity 'at("fused")[0]["measures"]["perplexity"] = 12.5 * 1.004'
fails 'device memory' 'at("fused")[0]["phases"]["held_bytes"] = 6e7'
# At the limits themselves: no less is demanded, and no more.
made after.json 'for point in at("fused"): point["launches"]["per_token"] = 2; point["measures"]["logits-l2"] = 1.19e-3'
run gate before.json after.json "$pair"
expect 0 'all 7'
# The worst of a gate's points counts, and is named; a gate that one point fails is not saved by the others.
made longer.json 'points.append(copy.deepcopy(long[1])); points[-1]["params"] = dict(work=0, prompt=9000)
for point in list(long): points.append(copy.deepcopy(point)); points[-1]["params"] = dict(work=0, prompt=9000)'
made after.json 'for point in list(long): points.append(copy.deepcopy(point)); points[-1]["params"] = dict(work=0, prompt=9000)
time(points[-1], 29)'
run gate longer.json after.json "$pair"
expect 5 '1 failed' 'decode tokens/s: the worst of 2 points, at prompt=9000: graph, fused'
made after.json 'for point in list(long): points.append(copy.deepcopy(point)); points[-1]["params"] = dict(work=0, prompt=9000)
time(points[-1], 12)'
run gate longer.json after.json "$pair"
expect 0 'decode tokens/s: the worst of 2 points, at prompt=9000: graph, fused'
# ... nor is one that AFTER has no result for.
made after.json
run gate longer.json after.json "$pair"
expect 6 '6 of 7 gates hold, 1 not measured'
verdict 'decode tokens/s' 'not measured'

# ---- unclear: the interval holds the limit ----
made unclear.json 'time(at("fused")[0], 25, 0.2)'
run gate before.json unclear.json "$pair"
expect 6 '6 of 7 gates hold, 1 unclear' 'Measure both once more and longer'
verdict time unclear
run gate unclear.json unclear.json "$pair"
expect 6
verdict time unclear
# A failure is said whatever else is open.
made after.json 'time(at("fused")[0], 25, 0.2); at("fused")[0]["measures"]["perplexity"] = 20'
run gate before.json after.json "$pair"
expect 5 '1 failed, 1 unclear'

# ---- two runs are compared through their common baseline ----
# A host that was slower for all cancels out of the value, but the interval is that of either reading.
made after.json 'for point in points: point["timing"]["wall"]["samples"] = [3 * us for us in point["timing"]["wall"]["samples"]]'
run gate before.json after.json "$pair"
expect 6 'baseline took 3 times as long in AFTER'
verdict time unclear
grep -qE '^time .* (3|2\.99.|3\.00.)x +(0\.99.|1|1\.00.) to 3\.0' <<<"$output" || fail 'the interval does not reach as far'
# Likewise where AFTER's host was faster: a change that gained too little by the one reading may have gained by the other.
made after.json 'time(at("fused")[0], 29)
for point in points: point["timing"]["wall"]["samples"] = [us / 3 for us in point["timing"]["wall"]["samples"]]'
run gate before.json after.json "$pair"
expect 6 'baseline took 0.333 times as long in AFTER'
verdict time unclear
# Only the baseline was slower, as a host's is beside a graph: not the change's merit.
made after.json 'time(at("slow")[0], 120); time(at("fused")[0], 28)'
run gate before.json after.json "$pair"
expect 6 'baseline took 2 times as long in AFTER'
verdict time unclear
# The baseline itself as BEFORE was timed in AFTER's run: no other run's state is in it.
run gate before.json after.json --variant=slow,fused
verdict time pass
expect_no 'baseline took'
made after.json 'for point in at("slow"): point["variant"] = "slower"'
run gate before.json after.json "$pair"
expect 6 'no baseline in common'
made after.json 'at("slow")[0]["launches"]["per_token"] = 21'
run gate before.json after.json "$pair"
expect 6 'they are two programs'

# ---- not measured is no pass ----
without() { # without CODE GATE TEXT: with AFTER changed so, this gate is not measured, for this reason
    made after.json "$1"
    run gate before.json after.json "$pair"
    expect 6 '6 of 7 gates hold, 1 not measured' "$3"
    verdict "$2" 'not measured'
}
without 'del at("fused")[0]["measures"]["perplexity"]' perplexity 'perplexity: AFTER recorded no perplexity'
without 'at("fused")[0]["measures"]["logits-l2"] = None' 'logits drift, L2' 'AFTER recorded no logits-l2'
without 'at("fused")[0]["measures"]["logits-l2"] = -1' 'logits drift, L2' 'a negative number is none'
without 'at("fused")[0]["measures"]["model-kv-bytes"] = "1"' 'device memory' 'recorded no model-kv-bytes'
without 'at("fused")[0]["phases"]["held_bytes"] = None' 'device memory' 'recorded no memory (buffer-bytes'
without 'time(at("fused")[0], 10, rounds=2); time(at("slow")[0], 60, rounds=2)' time 'fewer than three rounds'
without 'time(at("fused")[0], 10, rounds=19)' time 'not timed in the same rounds'
without 'at("fused")[0]["derived"]["tokens"] = 4' time 'as many tokens'
for sample in 0 -5 1e-320; do
    without "at('fused')[0]['timing']['wall']['samples'][2:4] = [$sample, $sample]" time 'no time'
done
made infinite.json 'at("fused")[0]["timing"]["wall"]["samples"][3] = 1.2345e300'
sed 's/1.2345e+300/1e999/' infinite.json >after.json
run gate before.json after.json "$pair"
expect 6 'time: a sample is no time'
without 'at("fused")[0]["timing"]["wall"]["samples"][3] = "x"' time 'not timed in the same rounds'
made older.json 'for point in points: del point["measures"]; point["phases"].pop("held_bytes")'
run gate older.json older.json "$pair"
expect 6 '4 of 7 gates hold, 3 not measured'
run gate older.json after.json "$pair"
expect 6 'perplexity: BEFORE recorded no perplexity'
# Few rounds, as sweeps have them, have a wide interval.
made few.json 'for point in points: time(point, dict(slow=60, graph=30, fused=10)[point["variant"]], rounds=4)'
run gate few.json few.json "$pair"
expect 0
made few.json 'for point in points: time(point, dict(slow=60, graph=30, fused=25)[point["variant"]], 0.1, rounds=4)'
run gate few.json few.json "$pair"
expect 6 '3 unclear'

# ---- times that are not judged ----
made cpu.json 'result["device"].update(backend="cpu", kind="cpu")'
run gate cpu.json cpu.json "$pair"
expect 6 '4 of 7 gates hold, 3 not judged' "the CPU device's times say nothing about a GPU"
made quick.json 'result["run"]["quick"] = True'
run gate quick.json quick.json "$pair"
expect 6 '3 not judged' 'a quick run' 'smoke test'
made cpu.json 'result["device"].update(backend="cpu", kind="cpu"); at("fused")[0]["launches"]["per_token"] = 10'
run gate cpu.json cpu.json "$pair"
expect 5 '1 failed, 3 not judged'

# ---- which variants ----
made after.json
run gate before.json after.json # the best of both: fused against itself
expect 5 'BEFORE fused' 'AFTER fused'
made after.json 'for point in at("fused"): point["variant"] = "merged"'
run gate before.json after.json # fused is not in both
expect 5 'BEFORE graph' 'AFTER graph'
run gate before.json after.json --variant=graph,merged
expect 0 'AFTER merged'
made after.json 'for point in at("graph"): time(point, 5)'
run gate before.json after.json # each side's own best
expect 5 'BEFORE fused' 'AFTER graph'
run gate before.json after.json --variant=graph
expect 5 'BEFORE graph' 'AFTER graph'
verdict time pass
# A pair for each kind of point: the first that is there.
made kinds.json 'for point in prefill: point["variant"] = "all-" + point["variant"]'
run gate kinds.json kinds.json "$pair,all-graph,all-fused"
expect 0 'prefill prompt=64: all-graph, all-fused'
run gate kinds.json kinds.json "$pair"
expect 6
verdict 'prefill tokens/s' 'not measured'
run gate before.json before.json
expect_error "both 'fused'" 'name two variants'
run gate before.json before.json --variant=fused
expect_error "both 'fused'"
run gate before.json after.json --variant=graph,fusde
expect_error "no variant 'fusde'" "but 'fused'"
for odd in graph,fused,slow ''; do
    run gate before.json after.json "--variant=$odd"
    expect_error 'names no pairs'
done
made bare.json 'points[:] = at("slow")'
run gate bare.json after.json
expect_error 'no variant of the ladder passed in both'
made untimed.json 'for point in points: point["timing"]["wall"] = None; point["derived"]["us_per_token"] = None'
run gate untimed.json untimed.json "$pair"
expect 6
verdict 'launches, fewer' pass
verdict time 'not measured'

# ---- a change that is not right any more ----
for status in wrong fault timeout; do
    made wrong.json 'at("fused")[0].update(status="'$status'", reason="of fresh inputs")'
    run gate before.json wrong.json
    expect 1 "AFTER's 'fused' did not pass ($status): of fresh inputs"
    run gate before.json wrong.json "$pair"
    expect 1 "AFTER's 'fused'"
    run gate before.json wrong.json --variant=graph
    expect 5 'AFTER graph'
    run gate wrong.json wrong.json # it was not right before either
    expect_error "both 'graph'"
done
made skipped.json 'at("fused")[0].update(status="skipped", reason="no such device")'
run gate before.json skipped.json "$pair"
expect_error 'no pair passed in both'

# ---- results that are not of one thing ----
differs() { # differs CODE TEXT: refused; judged with --anyway
    made after.json "$1"
    run gate before.json after.json "$pair"
    expect_error "$2" --anyway
    run gate before.json after.json "$pair" --anyway
    expect 0 "The runs $2" 'all 7'
}
differs 'result["device"]["name"] = "NVIDIA H100"' 'differ in device (NVIDIA H200, NVIDIA H100)'
differs 'result["device"]["backend"] = "hip-nvidia"' 'differ in backend'
differs 'result["device"]["arch"] = "sm_80"' 'differ in arch'
differs 'result["run"]["seed"] = "2"' 'differ in seed (1, 2)'
made after.json 'result["environment"].update(driver="1.2", flags="-O1")'
run gate before.json after.json "$pair"
expect 0 'differ in driver (' 'flags (' 'what is judged is that too'
made after.json 'result["lab"]["id"] = "lab02"'
run gate before.json after.json "$pair" --anyway
expect_error 'of different labs (lab01, lab02)'
made after.json 'knobs[1]["name"] = "length"'
run gate before.json after.json "$pair" --anyway
expect_error 'different labs'
made after.json 'for point in points: point["params"] = dict(point["params"], prompt=point["params"]["prompt"] + 1)'
run gate before.json after.json "$pair"
expect_error "at BEFORE's default point" 'AFTER: work=decode prompt=33' 'the same sizes'
made after.json 'points.clear()'
run gate before.json after.json
expect_error after.json 'no result'
run gate before.json
expect_error 'two results'
run gate before.json none.json
expect_error 'cannot read none.json'
made after.json 'result["note"] = "interrupted"'
run gate before.json after.json "$pair"
expect 0 'its run ended early: interrupted'

# ---- folders ----
mkdir one two three
made one/lab01.json
made two/lab01.json
made two/lab02.json
made one/lab01-other.json
run gate one two "$pair"
expect 0 'all 7'
run gate one two/lab01.json "$pair"
expect 0
run gate one/lab01.json two "$pair"
expect 0
made one/lab02.json
run gate one two
expect_error 'both have lab01.json, lab02.json' 'name the two files'
run gate one three
expect_error 'no lab has a result in both'
run gate three one/lab01.json
expect_error 'cannot read three/lab01.json'

# ---- files of gates ----
made after.json
gates() { # gates LINE...: of a file with these lines
    printf '%s\n' "$@" >my.txt
    run gate before.json after.json "$pair" --gates=my.txt
}
gates '# mine' '' '  quick: time before/after >= 2 # twice' 'few:launches after <= 1' 'tenth: launches change% <= -90'
expect 0 'all 3 gates hold' 'gates my.txt' '-90%'
gates 'a: launches before/after <= 10' 'b: logits-l2 after >= 2e-4' 'd: launches after-before <= -9' 'c: memory after/buffer-bytes <= 1.1'
expect 0 'all 4'
gates 'a: time before/after >= 1 where prompt<=8192'
expect 0 'the worst of 3 points'
gates 'a: time before/after >= 1 where prompt=8192 work=decode'
expect 0 'a: at prompt=8192'
gates 'a: time before/after >= 1 where work=dekode'
expect 6 'work=dekode is no value of lab01'
gates 'a: time before/after >= 1 where work=1' # a choice goes by its name
expect 6 'is no value of'
gates 'a: time before/after >= 1 where nothing=1'
expect 6 "lab01 has no knob 'nothing'"
gates 'a: time before/after >= 1 where prompt>=99999'
expect 6 'BEFORE has no result where prompt>=99999'
gates 'a: launchs before/after >= 1'
expect 6 "no launchs; did you mean 'launches'?"
made none.json 'for point in at("fused"): point["launches"]["per_token"] = 0'
gates 'a: launches before/after >= 5' 'b: launches change% <= -100'
run gate before.json none.json "$pair" --gates=my.txt
expect 0 'none left' 'all 2'
run gate before.json after.json "$pair" --gates=faster
expect 0 'gates faster' 'all 3 gates hold'
run gate before.json after.json "$pair" --gates=quality
expect 0 'gates quality' 'all 3 gates hold'
made after.json 'at("fused")[0]["measures"]["logits-kl"] = 1.4e-5'
run gate before.json after.json "$pair" --gates=quality
expect 5 '2 of 3 gates hold, 1 failed'
verdict 'logits drift, KL' FAIL
made after.json
run gate before.json after.json --variant=graph --gates=faster
expect 6 '2 of 3 gates hold, 1 unclear' # the same program: not shown to be faster
rm none.json

odd_gates() { # odd_gates LINE TEXT...: the second line of a file is this one, and is refused
    gates 'a: time before/after >= 1' "$1"
    expect_error 'my.txt, line 2' "${@:2}"
}
odd_gates 'time before/after >= 1' 'no name and colon'
odd_gates ': time before/after >= 1' 'no name and colon'
odd_gates 'a: launches after <= 1' "second gate named 'a'"
odd_gates 'b: time before/after >=' 'ends too early' 'time: time before/after >= 1.2'
odd_gates 'b:' 'ends too early'
odd_gates 'b: time before/aftr >= 1' "'before/aftr' is no form" 'before/after, or else'
odd_gates 'b: launches after/ >= 1' 'names no figure to divide by'
odd_gates 'b: launches after/time >= 1' 'names no figure'
odd_gates 'b: time after <= 1' 'as a ratio only'
odd_gates 'b: time change% <= 1' 'as a ratio only'
odd_gates 'b: ti/me after <= 1' "'ti/me' is no figure"
odd_gates 'b: launches after = 1' "'=' stands where >= or <= must"
odd_gates 'b: launches after <= 1x' "'1x' is not a number"
odd_gates 'b: launches after <= nan' "'nan' is not a number"
odd_gates 'b: launches after <= 1e999' 'outside'
odd_gates 'b: launches after <= 1 if work=decode' "'if' behind the number"
odd_gates 'b: launches after <= 1 where' "no condition behind 'where'"
odd_gates 'b: launches after <= 1 where work' "'work' is no condition"
odd_gates 'b: launches after <= 1 where work=' 'is no condition'
odd_gates 'b: launches after <= 1 where work==decode' 'is no condition'
odd_gates 'b: launches after <= 1 where >=1' 'is no condition'
odd_gates "b: launches after <= 1 where$(printf ' n%s=1' {1..9})" 'more than 8 conditions'
odd_gates 'a name that is longer than any column: launches after <= 1' 'longer than 24'
odd_gates "b: launches after <= 1 # $(printf '%0300d' 0)" 'has 325 bytes, more than 240'
odd_gates $'b: launches after <= 1 \xc0' 'line 2 is not UTF-8'
odd_gates $'b\e]0;c\a\xc2\x9b31m: launches' 'ends too early'
[[ $output != *[$'\e\a']* && $output != *$'\xc2\x9b'* ]] || fail 'the terminal gets an order'
gates '# nothing'
expect_error 'my.txt has no gate'
mapfile -t many < <(printf 'gate %d: launches after <= 1\n' {1..65})
gates "${many[@]}"
expect_error 'line 65' 'more than 64 gates'
head -c 100000 /dev/zero | tr '\0' '\n' >my.txt
run gate before.json after.json --gates=my.txt
expect_error 'has 100000 bytes'
printf 'a: launches after <= 1\n\0' >my.txt
run gate before.json after.json --gates=my.txt
expect_error 'line 2 is not UTF-8'
run gate before.json after.json --gates=none.txt
expect_error 'cannot read the gates in none.txt'
run gate before.json after.json --gates=one
expect_error 'it is a folder'
printf 'a: launches after <= 1' >my.txt # no newline at the end
run gate before.json after.json "$pair" --gates=my.txt
expect 0 'Promoted: the gate holds.'
printf 'a: launches after <= 1\r\n' >my.txt
run gate before.json after.json "$pair" --gates=my.txt
expect 0

# The page has the shipped gates as they are.
while IFS=: read -r name rule; do
    [[ -z $name || $name == '#'* ]] || grep -qF "| $name | \`${rule# }\` |" "$repository/docs/gates.md" || fail "docs/gates.md has not '$name:$rule'"
done <"$repository/harness/cli/gates/plan.txt"

# ---- what a file says is data ----
made after.json 'at("fused")[0]["measures"]["`touch x`"] = 1'
run gate before.json after.json "$pair"
expect_error "measure is named '\`touch x\`'"
made after.json 'result["note"] = "a\x1b]0;b\a"; result["environment"]["driver"] = "\x1b[31m"'
run gate before.json after.json "$pair"
expect 0 'ended early'
[[ $output != *[$'\e\a']* ]] || fail 'the terminal gets an order'
for code in 'at("fused")[0]["measures"] = [1, 2]' 'at("fused")[0]["timing"]["wall"]["samples"] = {"a": 1}' \
    'at("fused")[0]["launches"] = None' 'at("fused")[0]["params"] = {}' 'result["environment"] = 7' 'del result["run"]["seed"]'; do
    made after.json "$code"
    run gate before.json after.json "$pair" --anyway
    ((code == 6 || code == 2 || code == 0)) || fail "exit code $code"
done
output=$("$pk_lab" gate before.json before.json "$pair" 2>&1 >/dev/full) && fail 'says nothing of a full disk'
[[ $output == *'not all of the output'* ]] || fail 'not said'
finish
