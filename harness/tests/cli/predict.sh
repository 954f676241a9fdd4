#!/usr/bin/env bash
# pk-lab predict: formulae by hand-reckoned numbers, where the calibration is from, what is missing, refusals.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"

# point VARIANT ROLE N US LAUNCHES BYTES [STATUS]
point() {
    printf '{"variant": "%s", "role": "%s", "params": {"n": %s, "more-steps": 2, "form": 1}, "cache": "hot", "status": "%s",
  "timing": {}, "launches": {"per_token": %s, "graph_replays_per_token": 0},
  "derived": {"tokens": 4, "us_per_token": %s, "bytes_per_token": %s, "flops_per_token": 5}}' \
        "$1" "$2" "$3" "${7-pass}" "$5" "$4" "$6"
}
# device NAME KIND: with the limits launch 2, launch_sync 10, gap 1 us, read 1000 GB/s.
device() {
    printf '"device": {"backend": "cuda", "kind": "%s", "name": "%s", "processors": 4, "limits": {
  "launch_us": {"unit": "us", "median": 2, "p10": 2, "p90": 2, "count": 1},
  "launch_sync_us": {"unit": "us", "median": 10, "p10": 9, "p90": 11, "count": 1},
  "gap_us": {"unit": "us", "median": 1, "p10": 1, "p90": 1, "count": 1},
  "read_gb_per_s": {"unit": "GB/s", "median": 1000, "p10": 1000, "p90": 1000, "count": 1}}}' "$2" "$1"
}
# result FILE NAME POINT...: of lab01.
result() {
    local file=$1 name=$2 points
    shift 2
    points=$(IFS=,; echo "$*")
    mkdir -p "$(dirname "$file")"
    cat >"$file" <<JSON
{"schema": "pk-result", "version": 1, "run": {"program": "lab01_solution", "started_utc": "2026-01-01T00:00:00Z", "seed": "1"},
 $(device "$name" "${KIND-gpu}"), "lab": {"id": "lab01", "title": "First",
 "knobs": [{"name": "n", "unit": ""}, {"name": "more-steps", "unit": ""}, {"name": "form", "unit": "", "choices": ["a", "b"]}]},
 "status": "pass", "note": null, "results": [$points], "fits": [], "figures": [], "targets": []}
JSON
}
# calibration FILE NAME WORD_US
calibration() {
    mkdir -p "$(dirname "$1")"
    printf '{"schema": "pk-calibration", "version": 1, "run": {"program": "pk_calibrate", "started_utc": "2026-01-02T00:00:00Z"}, %s,
 "figures": [{"name": "word_round_trip_us", "unit": "us", "what": "w", "status": "pass", "reason": null, "median": %s, "p10": %s, "p90": %s, "count": 3}]}\n' \
        "$(device "$2" gpu)" "$3" "$3" "$3" >"$1"
}

model=$PK_LAB_SOURCE/labs/lab01_first/predict.txt
cat >"$model" <<'MODEL'
# A comment.
step = 12 * n / read        # 1000 GB/s are 1e6 bytes a us
twice = 2 * step
sync: launches * (launch_sync + step)
stream, other: launch_sync + max(launches * launch, launches * gap + bytes / read) where form=a
stream, other: 5 where form=b more-steps=3
stream, other: -launch_sync + (kernels + more_steps) * launch + twice / 2 where form=b more-steps=2
ping: word_round_trip + ceil(0.5) - 1
lost: word_round_trip + pdl_gap
MODEL

r=$PK_LAB_SOURCE/docs/one
result "$r/lab01.json" 'Some GPU' \
    "$(point sync baseline 1000000 100 10 7)" "$(point stream ladder 1000000 30 99 7)" \
    "$(point ping baseline 1000000 4 1 7)" "$(point lost ladder 1000000 4 1 7)" "$(point rest ladder 1000000 4 1 7)" \
    "$(point other ladder 2000000 50 99 7)" "$(point sync baseline 2000000 400 10 7)" \
    "$(point bad ladder 1000000 1 1 7 wrong)"

# sync: 10 x (10 + 12) = 220; at n = 2e6 10 x (10 + 24) = 340 of 400. stream: -10 + 12 x 2 + 12 = 26; other: -10 + 24 + 24.
run predict "$r"
expect 0 'Some GPU' 'the limits of the same run' 'lab01 sync 100 220 +120% 2 68%' 'stream 30 26 -13% 1 13%' \
    'other * 50 38 -24% 1 24%' 'not at the sizes' 'Needs word_round_trip_us: lab01 ping.' \
    'Needs word_round_trip_us, pdl_gap_us: lab01 lost.' 'Without a model: lab01 rest.' \
    'Median error: 24% over 3 rungs as they are shown, 20% over 4 points.'
expect_no ' bad'
expect_no 'CPU device'
expect_width

# A calibration: of the device in results/, then beside the file, then as named.
calibration "$PK_LAB_SOURCE/results/2026-01-01T000000Z-a/calibration.json" 'Some GPU' 5
calibration "$PK_LAB_SOURCE/results/2026-01-02T000000Z-b/calibration.json" 'Other GPU' 6
run predict "$r"
expect 0 'ping 4 5 +25%' 'Needs pdl_gap_us: lab01 lost.' '2026-01-02'
calibration "$r/calibration.json" 'Other GPU' 7
run predict "$r"
expect 0 'ping 4 5 +25%'
calibration "$r/calibration.json" 'Some GPU' 8
run predict "$r"
expect 0 'ping 4 8 +100%'
run predict "$r/lab01.json" --device="$PK_LAB_SOURCE/results/2026-01-02T000000Z-b"
expect 0 'ping 4 6 1.50x' 'for another device' 'Other GPU'
expect_no 'Median error'
run predict "$r" --device="$PK_LAB_SOURCE/none"
expect_error 'cannot read'

if command -v gnuplot >/dev/null; then
    run predict "$r" --out="$fixture/figures"
    expect 0 'wrote prediction.svg'
    grep -q 'miss by 62%' "$fixture/figures/prediction.svg" || fail 'the figure does not say the median of 13, 24, 100, 120'
fi

# Without arguments the newest result of each lab; the CPU device is named.
run predict
expect_error 'no results'
KIND=cpu result "$PK_LAB_SOURCE/results/2026-01-03T000000Z-c/lab01.json" 'CPU device' "$(point sync baseline 1000000 100 10 7)"
run predict
expect 0 'CPU device, not a GPU' '+120%' 'say nothing about a GPU'

# Models that are none: file and line.
refused() { # LINE TEXT...
    printf '\n%s\n' "$1" >"$model"
    run predict "$r"
    shift
    expect_error 'labs/lab01_first/predict.txt, line 2' "$@"
}
refused 'sync 5' 'neither VARIANT: FORMULA'
refused 'sync:' 'neither VARIANT: FORMULA'
refused 'a b = 3' 'neither VARIANT: FORMULA'
refused 'sync: lunch' "'lunch' is no name here" 'letter 1'
refused 'sync: 2 * (launch + 1' 'a ) is missing'
refused 'sync: 2 launch' 'something is left over at letter 3'
refused 'sync: max(launch)' 'a , is missing'
refused 'sync: sqrt(launch)' 'max, min and ceil'
refused 'sync: us_per_token' "'us_per_token' is no name"
refused 'sync: 2 where size=3' "'size=3' is no condition"
refused 'sync: 2 where n' "'n' is no condition"
refused "sync: $(printf '(%.0s' {1..70})1" 'too many parentheses'
printf 'a = a + 1\nsync: a\n' >"$model"
run predict "$r"
expect_error "line 1: 'a' is no name here"
rm "$model"
run predict "$r"
expect 2 'lab01 has no model' 'none of these results has times, of a lab that has a model'

# What is shipped can be read, and fits the labs' knobs.
for file in "$repository"/labs/lab*/predict.txt; do
    lab=$(basename "$(dirname "$file")")
    mkdir -p "$PK_LAB_SOURCE/labs/$lab"
    cp "$file" "$PK_LAB_SOURCE/labs/$lab/"
done
rm -r "$PK_LAB_SOURCE"/labs/lab0[12]_{first,second}
run predict "$repository/docs/results/h100"
expect 0 'lab01 launch-sync' 'lab05 words' 'Median error'
expect_width
finish
