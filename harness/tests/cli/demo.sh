#!/usr/bin/env bash
# `demo --full`: what it runs, in which order, what it leaves in one folder, and what no failure hides.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
export EXAMPLES=$repository/harness/tests/data KIND=gpu RAN=$fixture/ran
rm "$PK_LAB_SOURCE/plots" # figures are not what this is about
mkdir "$PK_LAB_SOURCE/plots" "$PK_LAB_BUILD/peers"
mkdir "$PK_LAB_SOURCE/solutions/lab02_second"
cp "$PK_LAB_SOURCE/solutions/lab01_first/optimized.cu" "$PK_LAB_SOURCE/solutions/lab02_second/"

# A program that notes how it was called, writes the example where it is told to, and ends as CODE_<name> says.
cat >"$fixture/program" <<'PROGRAM'
#!/usr/bin/env bash
name=${0##*/}
[[ $name == python ]] && name=$(basename "$1" .py)
echo "$name $*" >>"$RAN"
[[ -z ${PK_REPORTED_FD-} ]] || printf r >&"$PK_REPORTED_FD"
code=CODE_$name
code=${!code:-0}
((code == 3 || code == 77)) && exit "$code"
for argument in "$@"; do
    case $argument in
    --out=*) mkdir -p "${argument#*=}/2026-03-01T000000Z-d" && file=${argument#*=}/2026-03-01T000000Z-d/${name%%_*}.json ;;
    --json=*) file=${argument#*=} ;;
    esac
done
case $name in
pk_calibrate) echo '{}' >"$file" ;;
peer_other) sed -e 's/"variant": "/&other-/' -e 's/"id": "lab01",/"id": "lab02",/' "$EXAMPLES/example-gpu.json" >"$file" ;;
*) sed "s/\"id\": \"lab01\",/\"id\": \"${name%%_*}\",/" "$EXAMPLES/example-$KIND.json" >"$file" ;;
esac
exit "$code"
PROGRAM
chmod +x "$fixture/program"
for name in lab01_solution lab02_solution; do cp "$fixture/program" "$PK_LAB_BUILD/bin/$name"; done
cp "$fixture/program" "$fixture/python"
export PK_LAB_PYTHON=$fixture/python
echo "$fixture/peer_other.py" >"$PK_LAB_BUILD/peers/lab02-other.txt"
results=$PK_LAB_SOURCE/results
place=$results/2026-03-01T000000Z-d
demo() { # demo ARGUMENT...: `demo --full`, and what it ran in $ran
    rm -rf "$results" "$RAN"
    run demo --full "$@"
    ran=$(cut -d' ' -f1 "$RAN" 2>/dev/null | tr '\n' ' ')
}

demo
expect 0 'Lab 01: First lab' "Beside it: $fixture/peer_other.py" 'Results are in results/2026-03-01T000000Z-d' './lab index'
expect_width
[[ $ran == 'lab01_solution peer_other lab02_solution ' ]] || fail "it ran $ran"
output=$(<"$RAN")
expect 0 "lab01_solution --check --quick=auto --cold=auto --out=$results --trace" "peer_other $fixture/peer_other.py --json=$place/lab02-other.json" \
    "lab02_solution --check --quick=auto --cold=auto --peers=$place/lab02-other.json --json=$place/lab02.json" "--trace=$place/lab02-trace.json"
expect_no '--time-limit'
[[ $(cd "$place" && echo *) == 'lab01.json lab02-other.json lab02.json report.html report.md' ]] || fail "it left $(ls "$place")"
output=$(<"$place/report.md")
expect 0 './lab report results/2026-03-01T000000Z-d --out=results/2026-03-01T000000Z-d' '| lab01 Launches | sync |' '| lab02 Launches | sync |' other-stream

# --quick is short; labs may be named. Without a GPU other programs measure nothing to stand beside.
KIND=cpu demo 2 1 --quick
expect 0 'Beside it: nothing, for other programs measure a GPU'
[[ $ran == 'lab02_solution lab01_solution ' ]] || fail "it ran $ran"
output=$(<"$RAN")
expect 0 'lab02_solution --sweep=quick --quick=auto --time-limit=0.08 --out='
expect_no --check
demo 2 # the first lab tells the device: what stands beside it comes after it
[[ $ran == 'lab02_solution peer_other ' ]] || fail "it ran $ran"

# What others lack is no failure, a failure of theirs or of a lab is, and ends nothing.
CODE_peer_other=77 demo
expect 0 'left out: it cannot run here'
output=$(<"$RAN")
expect_no --peers
CODE_lab01_solution=1 CODE_peer_other=2 demo
expect 1
[[ $ran == 'lab01_solution peer_other lab02_solution ' && -s $place/report.html ]] || fail 'a failure ends the rest'
CODE_lab02_solution=5 demo
expect 5 report.html
CODE_lab01_solution=130 demo
expect 130
[[ $ran == 'lab01_solution ' && ! -e $place/report.html ]] || fail 'an interruption ends nothing'
# A first lab that leaves no folder: what comes next does not write into an older one.
rm -rf "$results"
mkdir -p "$results/2025-01-01T000000Z-d"
CODE_lab01_solution=3 run demo --full
expect 3 'Results are in results/2026-03-01T000000Z-d'
[[ -z $(ls "$results/2025-01-01T000000Z-d") ]] || fail 'an older folder is written into'

# A calibration, where that program is built.
cp "$fixture/program" "$PK_LAB_BUILD/bin/pk_calibrate"
demo 1 --quick
output=$(<"$RAN")
expect "$code" "pk_calibrate --json=$place/calibration.json --quick"

run targets demo --full
expect 0 pk_calibrate lab01_solution
run demo 01
expect_error "'01' is for ./lab demo --full"
run demo --quick
expect_error './lab demo --full'
demo 1 09
expect 2 "unknown lab '09'"
[[ -z $ran ]] || fail 'something was run all the same'
finish
