#!/usr/bin/env bash
# pk-lab calibrate: what it does with what pk_calibrate writes, and what it shows of files that are there.
# shellcheck disable=SC2016 # backticks are Markdown's
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"

# A pk_calibrate that writes a calibration where --out says, and ends as the variable FAKE says.
cat >"$PK_LAB_BUILD/bin/pk_calibrate" <<'PROGRAM'
#!/usr/bin/env bash
for argument in "$@"; do [[ $argument == --out=* ]] && out=${argument#*=}; done
echo "asked: $*"
[[ ${FAKE-} == code:* ]] && exit "${FAKE#code:}"
folder=$out/2026-03-0${FAKE_DAY-1}T000000Z-d
mkdir -p "$folder"
cp "$FAKE_CALIBRATION" "$folder/calibration.json"
exit "${FAKE_CODE-0}"
PROGRAM
chmod +x "$PK_LAB_BUILD/bin/pk_calibrate"

figure() { # NAME UNIT MEDIAN P10 P90
    printf '{"name": "%s", "unit": "%s", "what": "of %s", "status": "pass", "reason": null, "median": %s, "p10": %s, "p90": %s, "count": 9}' \
        "$1" "$2" "$1" "$3" "$4" "$5"
}
export FAKE_CALIBRATION=$fixture/calibration.json
cat >"$FAKE_CALIBRATION" <<JSON
{"schema": "pk-calibration", "version": 1, "run": {"program": "pk_calibrate", "started_utc": "2026-03-01T00:00:00Z"},
 "device": {"backend": "cuda", "kind": "gpu", "name": "Some GPU", "processors": 4,
  "limits": {"launch_us": {"unit": "us", "median": 4, "p10": 3.9, "p90": 4.2, "count": 20},
   "launch_sync_us": {"unit": "us", "median": 9, "p10": 8.5, "p90": 11, "count": 200},
   "gap_us": {"unit": "us", "median": 1.5, "p10": 1.4, "p90": 1.6, "count": 19},
   "read_gb_per_s": {"unit": "GB/s", "median": 3000, "p10": 2990, "p90": 3010, "count": 20}}},
 "figures": [$(figure graph_launch_sync_us us 7 6.5 8), $(figure graph_node_us us 0.6 0.5 0.7),
  $(figure latency_us us 0.5 0.4 0.6), $(figure copy_gb_per_s GB/s 2800 2700 2900),
  {"name": "barrier_us", "unit": "us", "what": "of barrier", "status": "skipped", "reason": "no cooperative launch",
   "median": null, "p10": null, "p90": null, "count": 0}]}
JSON

# It measures into results/, shows the table, and writes the page and the figure beside the file.
run calibrate --quick
expect 0 'asked: --out=' ' --quick' 'Some GPU, cuda' '9.00 8.50 to 11.0 us' '3000 2990 to 3010 GB/s' '0.600 0.500 to 0.700 us' \
    'barrier_us skipped: no cooperative launch' 'wrote calibration.md'
expect_no 'CPU device'
expect_width
folder=$PK_LAB_SOURCE/results/2026-03-01T000000Z-d
grep -q '^| persistent kernel | K `barrier` | - |' "$folder/calibration.md" || fail 'a barrier that was not measured'
grep -q '^| stream order | .* | 600 |' "$folder/calibration.md" || fail '150 launches of 4 us'
grep -q '^| graph | .* | 96.4 |' "$folder/calibration.md" || fail '7 us and 149 nodes of 0.6 us'
grep -q '| 3.23 % |' "$folder/calibration.md" || fail '600 us beside 18 ms'
grep -q '| 7.50 MB |' "$folder/calibration.md" || fail '2.5 us at 3000 GB/s'
grep -q '| 1.50 MB |' "$folder/calibration.md" || fail '0.5 us at 3000 GB/s'
if command -v gnuplot >/dev/null; then
    [[ -s $folder/calibration.svg && -s $folder/calibration.png ]] || fail 'no figure'
    grep -q 'graph_node' "$folder/calibration.svg" || fail 'a name is cut up'
    grep -q 'further node 0.6' "$folder/calibration.svg" || fail 'the figure does not say its result'
else
    expect 0 'no gnuplot'
fi

# What is there is shown, and nothing is measured.
run calibrate "$folder"
expect 0 'Some GPU'
expect_no asked
run calibrate "$folder/calibration.json" --theory
expect 0 '# docs/theory.md with the numbers' '| persistent kernel | K `barrier` | - |'
run calibrate "$repository/harness/tests/data/example-gpu.json"
expect 0 launch_sync_us 'the limits of its run, and no more'
sed 's/"figures"/"note": "it was hot", &/' "$FAKE_CALIBRATION" >"$fixture/hot.json"
run calibrate "$fixture/hot.json"
expect 0 'Note: it was hot.'
sed 's/"gpu"/"cpu"/' "$FAKE_CALIBRATION" >"$fixture/cpu.json"
run calibrate "$fixture/cpu.json" --theory
expect 0 'CPU device, not a GPU' 'say nothing about a GPU'
run calibrate "$fixture/cpu.json"
expect 0 'CPU device, not a GPU' 'say nothing about a GPU'

# The newest is shown also where a work was wrong; one that wrote nothing leaves the old one alone.
export FAKE_DAY=2
FAKE_CODE=1 run calibrate
expect 1 'Some GPU'
[[ -e $PK_LAB_SOURCE/results/2026-03-02T000000Z-d/calibration.md ]] || fail 'no page of the second'
FAKE=code:4 run calibrate
expect 4 asked
expect_no 'Some GPU'
FAKE=code:77 run calibrate
expect 77 asked

# What has to be built for it.
run targets calibrate --quick
expect 0 pk_calibrate
run targets calibrate --out DIR
expect 0 pk_calibrate
run targets calibrate some.json
expect_no pk_calibrate

run calibrate "$folder" --quick
expect_error '--quick measures anew'
run calibrate "$folder" other
expect_error 'too many'
run calibrate "$fixture/nothing.json"
expect_error 'cannot read'
printf '{"schema": "pk-calibration", "version": 2}\n' >"$fixture/new.json"
run calibrate "$fixture/new.json"
expect_error 'version 2'
printf '{"schema": "other"}\n' >"$fixture/other.json"
run calibrate "$fixture/other.json"
expect_error 'neither a calibration nor a result file'
rm "$PK_LAB_BUILD/bin/pk_calibrate"
run calibrate
expect_error 'pk_calibrate is not built'
finish
