#!/usr/bin/env bash
# The work log: entries, the run that fills them in, the table; what a reader wrote beside them stays.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
log=$PK_LAB_SOURCE/logs/lab01.md
export FAKE_RESULT=$fixture/result.json KIND=gpu

# run_with CODE VARIANT=STATUS/SPEEDUP...: a run of lab 01 that writes such a result, each speedup with 2% around it.
run_with() {
    local wanted=$1 variant variants=()
    shift
    for variant in "$@"; do variants+=("${variant%/*}"); done
    make_result "$FAKE_RESULT" lab01_optimized "${STATUS:-pass}" "${variants[@]}"
    python3 - "$FAKE_RESULT" "$@" <<'CODE'
import json, sys
file, *variants = sys.argv[1:]
result = json.load(open(file))
for pair in variants:
    name, _, speedup = pair.partition("=")[0], "", pair.partition("/")[2]
    for point in result["results"]:
        if point["variant"] == name and point["status"] == "pass" and speedup:
            s = float(speedup)
            point["speedup"] = dict(median=s, low=s * 0.98, high=s * 1.02)
            point["derived"] = dict(us_per_token=100 / s)
            point["launches"] = dict(per_token=5)
json.dump(result, open(file, "w"))
CODE
    FAKE=wrote:$wanted run run 01 "${arguments[@]}"
    expect "$wanted"
    expect_width
}
arguments=()
field() { sed -n "s/^- $1: *//p" "$log" | tail -n 1; }

# ---- without entries ----
run log
expect_error "needs a lab's number"
run log 01
expect_error 'logs/lab01.md has no entry yet' './lab log 01 "what I changed'
run log 01 '   '
expect_error 'the text is empty'
run log 01 --table
expect_error "takes no option '--table'"
run log 09 x
expect_error "unknown lab '09'"
run_with 0 stream=pass/2.0
[[ ! -e $log ]] || fail 'a run without an entry began a log'

# ---- an entry, and the run that fills it in ----
run log 01 'one wait a token,   so half the time'
expect 0 'Written to logs/lab01.md' './lab run 01'
[[ $(head -n 1 "$log") == '# Work log of lab 01: First lab' ]] || fail 'no heading'
[[ $(grep -c '^## ' "$log") == 1 ]] || fail 'an entry is one heading'
[[ $(field Measured) == 'stream 50 us/token, 5 launches/token, 2x over sync (results/2026-03-01T000000Z-d/lab01.json)' ]] ||
    fail 'what was measured before is not there'
[[ $(field Hypothesis) == 'one wait a token,   so half the time' && -z $(field Result) ]] || fail 'the text is another'
cp -r "$PK_LAB_SOURCE/results/2026-03-01T000000Z-d" "$PK_LAB_SOURCE/results/2026-02-01T000000Z-d"
sed -i 's|results/2026-03|results/2026-02|' "$log" # the runs of this test all have the same name
sed -i 's/launch in order.*/&\n    launched(run);/' "$PK_LAB_SOURCE/labs/lab01_first/optimized.cu"
arguments=(--n=4)
run_with 0 stream=pass/3.5
arguments=()
expect 0 'noted in logs/lab01.md: right; faster: 3.5x over sync, before 2x'
[[ $(field Command) == './lab run 01 --n=4' && $(field Change) == lab01.1 ]] || fail 'the command or the change is another'
[[ $(field Result) == 'stream 28.57 us/token, 5 launches/token, 3.5x over sync' ]] || fail 'the result is another'
cp "$log" "$fixture/filled"
run_with 0 stream=pass/9.9
cmp -s "$log" "$fixture/filled" || fail 'a second run changed a filled entry'

# ---- slower, no clear difference, wrong; other devices ----
again() { # TEXT CODE VARIANT...: an entry that is compared with 3.5x, and its run
    run log 01 "$1"
    sed -i 's|results/2026-03|results/2026-02|' "$log"
    shift
    run_with "$@"
}
cp "$FAKE_RESULT" "$PK_LAB_SOURCE/results/2026-02-01T000000Z-d/lab01.json" # 9.9x
again 'not unrolled' 0 stream=pass/9.0
expect 0 'slower: 9x over sync, before 9.9x'
[[ $(field Change) == "no line of the student's files" ]] || fail 'a change that there was not'
again 'unrolled' 0 stream=pass/10.0
expect 0 'no clear difference in speed: 10x over sync, before 9.9x'
STATUS=wrong again 'no wait' 1 stream=wrong pdl=pass/4
expect 1 'noted in logs/lab01.md: wrong: stream; slower'
[[ $(field Result) == 'pdl 25 us/token, 5 launches/token, 4x over sync' ]] || fail 'the wrong rung is not there'
KIND=cpu again 'on the CPU device' 0 stream=pass/12
expect 0 'right; speed not judged on the CPU device'
[[ $(field Result) == *'CPU device' ]] || fail 'times of the CPU device pass for a GPU'"'s"
run log 01 'a hang'
FAKE=code:4 run run 01
expect 4 'noted in logs/lab01.md: hangs'
[[ $(field Result) == 'no result file' ]] || fail 'a result that there was not'

# ---- a run that timed nothing is compared with nothing: the newest timed one is ----
cp "$FAKE_RESULT" "$PK_LAB_SOURCE/results/2026-02-01T000000Z-d/lab01.json" # KIND=cpu
KIND=gpu run_with 0 stream=pass/9.9
cp "$FAKE_RESULT" "$PK_LAB_SOURCE/results/2026-02-01T000000Z-d/lab01.json"
run_with 0 stream=pass # the newest, and not timed
run log 01 'after a run for a profiler'
[[ $(field Measured) == 'stream 10.1 us/token'*'2026-02-01'* ]] || fail "compared with a run that timed nothing: $(field Measured)"
run_with 0 stream=pass/12
expect 0 'right; faster: 12x over sync, before 9.9x'
run_with 0 stream=pass
cp "$FAKE_RESULT" "$PK_LAB_SOURCE/results/2026-02-01T000000Z-d/lab01.json"
run log 01 'nothing was timed'
[[ $(field Measured) == 'stream passes, not timed'* ]] || fail "measured: $(field Measured)"
sed -i 's|results/2026-03|results/2026-02|' "$log"
run_with 0 stream=pass/12
expect 0 'right; speed not compared: no run was timed before'

# ---- what fills in nothing ----
run log 01 'another'
cp "$log" "$fixture/waits"
STATUS=todo run_with 77 stream=todo pdl=skipped
expect 77 'the last entry of logs/lab01.md waits'
for code in 2 130; do
    FAKE=code:$code run run 01
    expect "$code" waits
done
run run 01 --solution
run run 01 --list
run_with 0 stream=pass # as without timing, for a profiler
expect 0 'the last entry of logs/lab01.md waits: this run timed no rung that is right'
cmp -s "$log" "$fixture/waits" || fail 'a run that judged nothing filled the entry in'

# ---- the file is the reader's ----
printf -- '\nMy own words.\n\n' >>"$log"
sed -i '/^- Verdict: *$/d' "$log"
run_with 0 stream=pass/2.5
expect 0 'noted in'
grep -qx 'My own words\.' "$log" || fail 'words of the reader are gone'
[[ $(field Verdict) == right* && $(grep -c '^- Verdict' "$log") == "$(grep -c '^## ' "$log")" ]] ||
    fail 'a field whose line was deleted is not filled in'
printf '## 2026-04-01\n\n- Hypothesis: by hand\n- Verdict: mine\n' >>"$log"
run_with 0 stream=pass/2.5
[[ $(field Verdict) == mine && $(field Result) == stream* ]] || fail 'a field of the reader is written over'
run log 01 $'\e[2J## two\nlines'
[[ $(tail -n 6 "$log" | grep -c '^## ') == 0 && $(field Hypothesis) == '[2J## two lines' ]] || fail 'a text breaks the file'

# ---- the table ----
run log 01
expect 0 measured hypothesis change 'not run yet' 'one wait a' 'logs/lab01.md'
expect_width
expect_no results/2026
[[ $(grep -cE '^[0-9]+ ' <<<"$output") == $(grep -c '^## ' "$log") ]] || fail 'not a row an entry'

# ---- nothing lost ----
count=$(grep -c '^## ' "$log")
for i in {1..8}; do "$pk_lab" log 01 "at once $i" >/dev/null & done
wait
[[ $(grep -c '^## ' "$log") == $((count + 8)) ]] || fail 'entries that were written at once are lost'
printf 'a\0b\n' >"$log"
run log 01 text
expect_error 'logs/lab01.md is no text'
[[ $(wc -c <"$log") == 4 ]] || fail 'a file that is no text was written over'
run_with 0 stream=pass/2
expect 0 'is no text'
rm "$log"
mkdir "$log"
run log 01 text
expect_error 'logs/lab01.md cannot be read'
finish
