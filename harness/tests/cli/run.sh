#!/usr/bin/env bash
# Lab programs as children: their arguments, exit codes and ends; signals reach them and none is left behind.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"

run run 01 --n=4 --variant=stream
expect 0 lab01_optimized --n=4 --variant=stream "--out=$PK_LAB_SOURCE/results"
run run 1 --baseline
expect 0 lab01_baseline
expect_no --baseline
run check lab01
expect 0 --check
expect_no "$(printf '%s\n' --check --check)"
# Targets against other programs, once one has left a file of this lab; a timeline is none.
peers=$PK_LAB_SOURCE/results/2026-01-01T000000Z-p
expect_no --peers
mkdir -p "$peers"
touch "$peers/lab01-trace.json" "$peers/lab02-torch.json"
run check 01
expect_no --peers
touch "$peers/lab01-torch.json"
run check 01
expect 0 --check "--peers=$PK_LAB_SOURCE/results"
run check 01 --peers=other.json
expect 0 --peers=other.json
expect_no "--peers=$PK_LAB_SOURCE/results"
run run 01
expect_no --peers
rm -r "$PK_LAB_SOURCE/results"
run run 01 --out=elsewhere
expect 0 --out=elsewhere
expect_no "$PK_LAB_SOURCE/results"
run run 01 --json=x.json
expect_no "$PK_LAB_SOURCE/results"

for wanted in 0 1 2 3 4 5 77 130; do
    FAKE=code:$wanted run run 01
    expect "$wanted"
done

# ---- what to do next ----
export FAKE_RESULT=$fixture/result.json
file=$PK_LAB_SOURCE/labs/lab01_first/optimized.cu
cp "$file" "$fixture/shipped"
results=$PK_LAB_SOURCE/results

# as_run CODE STATUS VARIANT=STATUS... -- ARGUMENT...: a run that writes such a result.
as_run() {
    local wanted=$1 status=$2 variants=()
    shift 2
    while [[ $1 != -- ]]; do
        variants+=("$1")
        shift
    done
    make_result "$FAKE_RESULT" lab01_optimized "$status" "${variants[@]}"
    FAKE=wrote:$wanted run "${@:2}"
    expect "$wanted"
    expect_width
}
as_run 77 todo stream=todo pdl=todo -- run 01
expect 77 'Next: fill in step lab01.1 in labs/lab01_first/optimized.cu' './lab hint 01.1'
expect_no 'Not checked'
[[ -s $results/2026-03-01T000000Z-d/lab01.json ]] || fail 'no result was written'
expect_no 'another text'
sed -i 's|launch in order|launch|' "$file" # the build is of another text, which the result knows
FAKE=wrote:77 run run 01
expect 77 'labs/lab01_first/optimized.cu has another text than what was run' 'Next: touch labs/lab01_first/optimized.cu, then ./lab run 01'
expect_no 'fill in'
expect_width
cp "$fixture/shipped" "$file"
as_run 77 todo stream=todo pdl=todo -- run 01 "--json=$fixture/elsewhere.json"
expect 77 'Next: fill in step lab01.1'
as_run 77 todo stream=todo pdl=todo -- run 01 --baseline
expect_no 'Next:'
as_run 77 todo stream=todo pdl=skipped -- check 01
expect 77 'Next: fill in step lab01.1' 'Not checked on this device: lab01.2 (open), lab01.3 (open): pdl is skipped'

sed -i 's|return pk_todo(run, "lab01.1");|done(run); &|' "$file"
as_run 77 todo stream=todo pdl=todo -- run 01
expect 77 'Next: when its code is complete, delete the pk_todo line of lab01.1'
cp "$fixture/shipped" "$file"

# What ./lab has to build is what will run: a value that looks like a lab's number is none.
run targets run 01 --explore 20
expect 0 lab01_optimized
run targets run 1 --k 20 --seed 2 --solution
expect 0 lab01_solution
run targets run --k 1
[[ -z $output ]] || fail 'something is built for a command line without a lab'

# A program that ends before its harness has reported has not passed, whatever its exit code says.
FAKE=code:0 FAKE_SILENT=1 run run 01
expect 3 'ended with exit code 0 before the harness had reported' 'Does a variant call exit'
expect_width

# A rung's first open step, whichever of them called pk_todo; one that this device skips comes last.
sed -i -e 's|return pk_todo(run, "lab01.1");|done(run);|' -e 's|lab01.3 for pdl:|lab01.3 for pdl, fused:|' \
    -e 's|lab01.2 for pdl:|lab01.2 for fused, pdl:|' "$file"
as_run 77 todo fused=todo -- run 01 --variant=fused
expect 77 'Next: fill in step lab01.2'
sed -i 's|lab01.2 for fused, pdl:|lab01.2 for pdl:|' "$file"
as_run 77 todo stream=pass pdl=skipped fused=todo -- run 01
expect 77 'Next: fill in step lab01.3'
as_run 0 pass stream=pass pdl=skipped -- run 01
expect 0 'Next: fill in step lab01.2 in labs/lab01_first/optimized.cu; no run here could check it'
sed -i 's|lab01.3 for pdl, fused:|lab01.3 for fused:|' "$file"
as_run 0 pass stream=pass pdl=skipped -- run 01
expect 0 'Next: fill in step lab01.3'
expect_no 'no run here'
as_run 0 pass stream=pass -- run 01 --variant=stream
expect 0 'Next: fill in step lab01.2'
mkdir "$results/2026-02-01T000000Z-d" # an older run has skipped it
make_result "$results/2026-02-01T000000Z-d/lab01.json" lab01_optimized pass stream=pass pdl=skipped
as_run 0 pass stream=pass -- run 01 --variant=stream
expect 0 'Next: fill in step lab01.3'
rm -r "$results/2026-02-01T000000Z-d"
# Every rung that was asked for is skipped: no step of theirs is to blame.
as_run 77 skipped pdl=skipped -- run 01 --variant=pdl
expect 77 'Next: ./lab run 01 --variant=pdl on a machine with a GPU'
expect_no 'fill in'
KIND=gpu as_run 77 skipped pdl=skipped -- run 01 --variant=pdl
expect 77 'Next: ./lab --backend=cpu run 01 --variant=pdl'
cp "$fixture/shipped" "$file"

# Wrong while a step of that variant is open, its kernel's; then with all of them filled in.
sed -i 's|return pk_todo(run, "lab01.2");|overlap(run); // as one|' "$file"
as_run 1 wrong stream=todo pdl=wrong -- run 01
expect 1 'Next: pdl is wrong while its step lab01.3 is open' './lab hint 01.3'
as_run 1 wrong sync=wrong stream=todo pdl=wrong -- run 01 # what it did to a baseline is no rung's of its own
expect 1 'Next: pdl is wrong while its step lab01.3 is open'
as_run 1 wrong stream=wrong pdl=pass -- run 01
expect 1 'Next: stream is wrong while its step lab01.1 is open'
sed -i -e 's|(void)n, (void)blockIdx;|y[n] = 1;|' -e 's|return pk_todo(run, "lab01.1");|done(run);|' "$file"
as_run 1 wrong stream=pass pdl=wrong -- run 01
expect 1 'Next: pdl is wrong. The first step to look at is lab01.2, labs/lab01_first/optimized.cu:9' \
    'Stuck? ./lab hint 01.2, ./lab hint 01.3' 'See docs/troubleshooting.md'
REASON='NaN (docs/troubleshooting.md#nan)' as_run 1 wrong stream=pass pdl=wrong -- run 01
expect 1 'See docs/troubleshooting.md#nan' 'The page: labs/lab01_first/README.md#pdl-lab012-and-lab013'
# A step that a right rung stands on is not the first to look at.
cp "$file" "$fixture/before"
sed -i 's|lab01.2 for pdl:|lab01.2 for stream, pdl:|' "$file"
as_run 1 wrong stream=pass pdl=wrong -- run 01
expect 1 'The first step to look at is lab01.3, labs/lab01_first/optimized.cu:16' 'Stuck? ./lab hint 01.3'
cp "$fixture/before" "$file"
as_run 0 pass stream=pass pdl=pass -- run 01
expect 0 'Next: the page of lab 02, then ./lab run 02'
[[ $(grep -c Next <<<"$output") == 1 ]] || fail 'more than one next step'
# Steps of another of the lab's problems: the run that judges them is named, before the next lab is.
export FAKE_LIST='ladder\tstream\tone wait\nladder\tpdl\toverlap\t--work=two\n'
rm -r "$results"
as_run 0 pass stream=pass -- run 01
expect 0 'Next: ./lab run 01 --work=two judges lab01.2, which is filled in'
expect_no 'lab 02'
mkdir "$results/2026-02-01T000000Z-d"
make_result "$results/2026-02-01T000000Z-d/lab01.json" lab01_optimized pass pdl=pass
as_run 0 pass stream=pass -- run 01
expect 0 'Next: the page of lab 02'
rm -r "$results"
cp "$file" "$fixture/before"
sed -i 's|overlap(run); // as one|return pk_todo(run, "lab01.2");|' "$file"
as_run 0 pass stream=pass -- run 01
expect 0 'Next: fill in step lab01.2 in labs/lab01_first/optimized.cu, then ./lab run 01 --work=two'
as_run 77 todo pdl=todo -- run 01 --work=two
expect 77 'Next: fill in step lab01.2 in labs/lab01_first/optimized.cu'
expect_no 'then ./lab run'
cp "$fixture/before" "$file"
unset FAKE_LIST
for ended in '3:the section of docs/troubleshooting.md that' 4:watchdog '5:solutions/lab01_first/NOTES.md' \
    '130:./lab run 01 again'; do
    FAKE=code:${ended%%:*} run run 01
    expect "${ended%%:*}" Next: "${ended#*:}"
    expect_width
done
FAKE=code:130 run check 01 --n=4 --variant stream "--note=it's two words"
expect 130 "Next: ./lab check 01 --n=4 --variant stream '--note=it'\\''s two words' again"
# A fault is a memory access only where it says so.
REASON='an illegal access (docs/troubleshooting.md#illegal-address)' as_run 3 fault stream=fault -- run 01 --n=4
expect 3 'Next: stream faults. The first step to look at is lab01.1, labs/lab01_first/optimized.cu:3' \
    'Try ./lab --backend=cpu-checked run 01 --n=4, which names the access' 'docs/troubleshooting.md#illegal-address'
REASON='not launched (docs/troubleshooting.md#launch-limits).' as_run 3 fault stream=fault -- run 01
expect 3 'Next: stream faults' 'See docs/troubleshooting.md#launch-limits'
expect_no cpu-checked
for ended in code:0 code:3; do
    FAKE=$ended FAKE_SILENT=1 run run 01
    expect 3 'Next: what it said last' 'take what ends the process out of labs/lab01_first/optimized.cu'
    expect_no cpu-checked
done
for ended in 'SEGV:cpu-checked run 01' 'ABRT:Next: what it said last' 'KILL:memory was out'; do
    FAKE=killed:${ended%%:*} run run 01
    expect 3 'killed by signal' Next: "${ended#*:}"
    expect_no illegal-address
    expect_width
done
# A GPU judges speed, the CPU device does not, and a check has judged.
KIND=gpu as_run 0 pass stream=pass pdl=pass -- run 01
expect 0 'Next: ./lab check 01 judges the speed'
KIND=gpu as_run 0 pass stream=pass pdl=pass -- run 01 --check
expect 0 'Next: the page of lab 02'
for kind in gpu cpu; do
    KIND=$kind as_run 0 pass stream=pass pdl=pass -- check 01
    expect 0 'Next: the page of lab 02'
done
KIND=gpu as_run 5 missed stream=pass pdl=pass -- check 01
expect 5 'Next: what limits it is in the notes'
KIND=gpu as_run 0 pass stream=pass pdl=pass -- check 01
expect 0 'Another way than yours: ./lab solution 01'

# ---- check: tests first; then, on a GPU, the solution beside it ----
mkdir "$fixture/tools"
cat >"$fixture/tools/ctest" <<'PROGRAM'
#!/usr/bin/env bash
echo "$*" >>"$FAKE_TESTS.asked"
case $* in
*' -N '*) printf 'Test project x\n  Test #7: lab01.optimized\n  Test #8: lab01.optimized.problem\n\nTotal Tests: 2\n' ;;
*problem*) cat "$FAKE_TESTS"; grep -q Failed "$FAKE_TESTS" && exit 8; exit 0 ;;
esac
PROGRAM
chmod +x "$fixture/tools/ctest"
export FAKE_TESTS=$fixture/tests PATH=$fixture/tools:$PATH
echo '1/1 Test #8: lab01.optimized.problem ...***Skipped' >"$FAKE_TESTS"
as_run 0 pass stream=pass pdl=pass -- check 01
expect 0 'lab01.optimized passed' 'lab01.optimized.problem skipped' 'Next: the page of lab 02'
printf '%s\n' '    Start 8' '1/1 Test #8: x ...***Failed' 'launch-sync  pass' '' 'pdl: wrong: 4 of 4 (docs/troubleshooting.md#nan)' \
    'The same again: ./lab run 01 --n=4' '' '0% tests passed, 1 failed' >"$FAKE_TESTS"
as_run 1 pass stream=pass pdl=pass -- check 01
expect 1 'lab01.optimized.problem failed' 'The same again: ./lab run 01 --n=4' 'Next: pdl is wrong. The first step to look at is lab01.2' \
    'See docs/troubleshooting.md#nan' "Again: ./lab test -R '^lab01.optimized.problem$'" './lab hint 01.2'
expect_no '% tests'
expect_no 'page of lab 02'
echo "***Failed: no progress for 1 s in variant 'stream'" >"$FAKE_TESTS"
as_run 1 pass stream=pass pdl=pass -- check 01
expect 1 'Next: stream hangs. The first step to look at is lab01.1'
echo '***Failed to start' >"$FAKE_TESTS"
as_run 1 pass -- check 01
expect 1 'Next: what the test says above'
rm "$FAKE_TESTS.asked"
as_run 0 pass stream=pass pdl=pass -- check 01 --no-tests
as_run 0 pass stream=pass pdl=pass -- run 01
FAKE=code:0 run check 01 --help
FAKE=code:0 run check 01 --baseline
[[ ! -e $FAKE_TESTS.asked ]] || fail 'tests ran where none are asked for'
printf '***Skipped\n' >"$FAKE_TESTS"
cp "$PK_LAB_BUILD/bin/lab01_solution" "$fixture/solution"
make_solution() { # as many times as fast as the baseline as $1 says
    SPEEDUP=$1 KIND=gpu make_result "$fixture/solution.json" lab01_solution pass stream=pass pdl=pass
}
cat >"$PK_LAB_BUILD/bin/lab01_solution" <<'PROGRAM'
#!/usr/bin/env bash
[[ -z ${PK_REPORTED_FD-} ]] || printf r >&"$PK_REPORTED_FD"
words=$*
[[ $words != --list ]] || exit 0
echo "$words" >"${PK_LAB_BUILD%/*}/solution.asked"
cp "${PK_LAB_BUILD%/*}/solution.json" "${words##*--json=}"
PROGRAM
make_solution 10
SPEEDUP=5 KIND=gpu as_run 0 pass stream=pass -- check 01
expect 0 'Against the solution' 'stream 5x 10x 0.50 [0.49, 0.51] slower'
expect_no 'pdl'
grep -q -- '--n=1 --variant=stream --json=' "$fixture/solution.asked" || fail "the solution ran otherwise: $(<"$fixture/solution.asked")"
[[ -s $results/2026-03-01T000000Z-d/solution/lab01.json ]] || fail "the solution's result is not kept"
make_solution 5.01
SPEEDUP=5 KIND=gpu as_run 0 pass stream=pass -- check 01
expect 0 '1.00 [0.98, 1.02] the same'
SPEEDUP=5 as_run 0 pass stream=pass -- check 01
expect_no 'Against the solution'
cp "$fixture/solution" "$PK_LAB_BUILD/bin/lab01_solution"
as_run 0 pass stream=pass pdl=pass -- run 01
PATH=${PATH#*:}
FAKE=code:0 run run 01 "--csv=$fixture/x.csv" # nothing says where it ran, but for the build
if [[ $("$pk_lab" run 01 --explore=1 2>&1) == *'needs the CPU device'* ]]; then
    expect 0 'Next: ./lab check 01'
else
    expect 0 'Next: the page of lab 02'
fi
as_run 0 pass stream=pass pdl=skipped -- run 01
expect 0 'Not checked on this device: lab01.2, lab01.3: pdl is skipped'
expect_no open
sed -i 's/lab01.3 for pdl:/lab01.3 for stream, pdl:/' "$file" # a step of a variant that did run
as_run 0 pass stream=pass pdl=skipped -- run 01
expect 0 'Not checked on this device: lab01.2: pdl is skipped'
cp "$fixture/shipped" "$file"
sed -i 's|return pk_todo(run, "lab01.1");|done(run);|' "$file"
as_run 0 pass stream=pass pdl=skipped -- run 01
expect 0 'Not checked on this device: lab01.2 (open), lab01.3 (open)'

# A fence that is damaged is said instead of anything that its steps would say.
sed -i 's|END lab01.2|END lab1.2|' "$file"
as_run 0 pass stream=pass pdl=pass -- run 01
expect 0 'lab01.2 has no END line: labs/lab01_first/optimized.cu:9' 'Next: mend the fences' './lab reset 01'
as_run 0 pass stream=pass pdl=pass -- run 01 --solution
expect_no 'has no END'
cp "$fixture/shipped" "$file"

# No device: nothing was measured, and no step is to blame.
rm -r "$results"
FAKE=code:77 run run 01
expect 77 'Next: ./lab --backend=cpu run 01'
expect_no 'fill in step'
FAKE=code:77 run check 01 --baseline
expect 77 'Next: ./lab --backend=cpu check 01 --baseline'
FAKE=code:77 run run 01 --list
expect_no Next
make_result "$fixture/elsewhere.json" lab01_optimized pass stream=pass
FAKE=code:77 run run 01 "--json=$fixture/elsewhere.json" # there, but of an earlier run
expect 77 'Next: ./lab --backend=cpu run 01'

run run 01 --baseline --solution
expect_error 'two programs'
run run 01 --baseline --solution --explore=3
expect_error 'two programs'
run run 01 --baseline --baseline
expect 0 lab01_baseline
run run 02
expect_error 'is not built'
chmod -x "$PK_LAB_BUILD/bin/lab01_baseline"
run run 01 --baseline
expect_error 'is not built'
printf '\177ELF broken' >"$PK_LAB_BUILD/bin/lab01_baseline"
chmod +x "$PK_LAB_BUILD/bin/lab01_baseline"
run run 01 --baseline
expect 2 'lab: '

# ---- explore ----

run run 01 --explore=x
expect_error "--explore is 'x'"
run run 01 --explore
expect_error "--explore is ''"
run run 01 --explore=3
if [[ $output == *'needs the CPU device'* ]]; then
    expect 2 'lab: ' '--backend=cpu run'
else
    expect 0 'lab01 passes under 3 seeds of PK_CPU_SCHEDULE=random:SEED.'
    run run --explore=3 01
    expect_error 'needs a lab'
    FAKE=code:77 run run 01 --explore=3
    expect 77
    FAKE=seed:4 run run 01 --n=8 --explore 9 --variant=stream
    expect 1 'ran --n=8 --variant=stream --no-timing' 'Seed 4 of 9 ends with exit code 1' \
        'PK_CPU_SCHEDULE=random:4 ./lab run 01 --n=8 --variant=stream --no-timing'
    FAKE=seed:4 run run 01 --explore=3
    expect 0
    FAKE=killed:SEGV run run 01 --explore=3
    expect 3 'Seed 1 of 3'
fi

# ---- signals ----

# start FAKE: pk-lab in the background, in a process group of its own; waits until its child runs.
start() {
    rm -f "$PK_LAB_BUILD/pid"
    set -m
    FAKE=$1 "$pk_lab" run 01 >"$fixture/output" 2>&1 </dev/null &
    parent=$!
    set +m
    for _ in {1..1200}; do
        [[ -s $PK_LAB_BUILD/pid ]] && break
        sleep 0.05
    done
    child=$(<"$PK_LAB_BUILD/pid")
}

# ended: waits for pk-lab; its exit code in $code; the child must be gone shortly after.
ended() {
    wait "$parent" 2>/dev/null
    code=$?
    output=$(<"$fixture/output")
    for _ in {1..600}; do
        kill -0 "$child" 2>/dev/null || return
        sleep 0.05
    done
    fail 'the lab program is still there'
    kill -KILL "$child"
}

for signal in INT TERM HUP; do
    start wait
    kill -"$signal" "$parent" # to pk-lab alone: it has to pass it on
    ended
    expect 130 'ended by a signal'
done
start wait
kill -INT -- "-$parent" # as the terminal does: to the whole group
ended
expect 130 'ended by a signal'
start wait
kill -KILL "$parent" # pk-lab cannot pass this on
ended
start stubborn
kill -TERM "$parent"
ended
expect 130 'killing it'
finish
