# shellcheck shell=bash
# Shared by the tests of pk-lab: a small source folder with two labs, fake lab programs, and checks.
# Sourced with the arguments of the test: pk-lab's path and the repository's root.
set -u
pk_lab=$1
repository=$2
failures=0

fixture=$(mktemp -d) || exit 1
trap 'rm -rf "$fixture"' EXIT
export PK_LAB_SOURCE=$fixture/source PK_LAB_BUILD=$fixture/build NO_COLOR=1
mkdir -p "$PK_LAB_SOURCE"/{labs,solutions}/lab01_first "$PK_LAB_SOURCE/labs/lab02_second" "$PK_LAB_BUILD/bin"
ln -s "$repository/plots" "$PK_LAB_SOURCE/plots"

printf '# First lab\nAbout an hour and a half: lab01.1 and more.\n\n## stream: lab01.1\nlab01.10\n### pdl: lab01.2 and lab01.3\n' \
    >"$PK_LAB_SOURCE/labs/lab01_first/README.md"
cat >"$PK_LAB_SOURCE/labs/lab01_first/optimized.cu" <<'CODE'
static pk_status one(pk_run *run)
{
    /* STEP lab01.1 for stream: launch in order (about 2 lines) */
    return pk_todo(run, "lab01.1");
    /* END lab01.1 */
}
static pk_status two(pk_run *run)
{
    /* STEP lab01.2 for pdl: wait once */
    return pk_todo(run, "lab01.2");
    /* END lab01.2 */
    (void)kernel; /* not one */
}
__global__ void kernel(int n)
{
    /* STEP lab01.3 for pdl: in a kernel */
    (void)n, (void)blockIdx; // nothing yet; really
    /* END lab01.3 */
}
PK_VARIANTS(ladder) = {
    {"stream", "one wait", 0, NULL, one, NULL},
    {"pdl", "overlap", PK_NEED_PDL, NULL, two, NULL},
};
CODE
cat >"$PK_LAB_SOURCE/solutions/lab01_first/optimized.cu" <<'CODE'
static pk_status one(pk_run *run)
{
    /* STEP lab01.1 for stream: launch in order (about 2 lines) */
    launch_in_order(run);
    /* END lab01.1 */
}
static pk_status two(pk_run *run)
{
    /* STEP lab01.2 for pdl: wait once */
    wait_once(run);
    /* END lab01.2 */
    (void)kernel; /* not one */
}
__global__ void kernel(int n)
{
    /* STEP lab01.3 for pdl: in a kernel */
    y[n] = 1;
    /* END lab01.3 */
}
PK_VARIANTS(ladder) = {
    {"stream", "one wait", 0, NULL, one, NULL},
    {"pdl", "overlap", PK_NEED_PDL, NULL, two, NULL},
};
CODE
cat >"$PK_LAB_SOURCE/labs/lab01_first/HINTS.md" <<'HINTS'
# Hints
## lab01.1 launch in order
### Hint 1
Streams keep order.
### Hint 2
```c
## lab01.1 this heading is code
```
Not a sync a step.
### Hint 3
One sync a token.
## lab01.2
### Hint 1
Wait where?
HINTS

# A lab program that does what the variable FAKE says.
cat >"$PK_LAB_BUILD/bin/lab01_optimized" <<'PROGRAM'
#!/usr/bin/env bash
[[ -n ${FAKE_SILENT-} || -z ${PK_REPORTED_FD-} ]] || printf r >&"$PK_REPORTED_FD"
[[ $* != --list || -z ${FAKE_LIST-} ]] || { printf "%b" "$FAKE_LIST"; exit; }
case ${FAKE-} in
code:*) exit "${FAKE#code:}" ;;
wrote:*) # the result file that $FAKE_RESULT names, as `--out` and `--json` say
    for argument in "$@"; do
        case $argument in
        --out=*) mkdir -p "${argument#*=}/2026-03-01T000000Z-d" &&
            cp "$FAKE_RESULT" "${argument#*=}/2026-03-01T000000Z-d/lab01.json" ;;
        --json=*) cp "$FAKE_RESULT" "${argument#*=}" ;;
        esac
    done
    exit "${FAKE#wrote:}"
    ;;
killed:*) kill -"${FAKE#killed:}" $$ ;;
seed:*)
    echo ran "$@"
    [[ ${PK_CPU_SCHEDULE-} != "random:${FAKE#seed:}" ]]
    ;;
wait)
    trap 'echo ended by a signal; exit 130' INT TERM HUP
    echo $$ >"$PK_LAB_BUILD/pid"
    while :; do sleep 0.05; done
    ;;
stubborn)
    trap '' INT TERM HUP
    echo $$ >"$PK_LAB_BUILD/pid"
    while :; do sleep 0.05; done
    ;;
*) printf '%s\n' "${0##*/}" "$@" ;;
esac
PROGRAM
chmod +x "$PK_LAB_BUILD/bin/lab01_optimized"
cp "$PK_LAB_BUILD/bin/lab01_optimized" "$PK_LAB_BUILD/bin/lab01_baseline"
# shellcheck disable=SC2016 # the program expands it
printf '#!/usr/bin/env bash\n[[ -z ${PK_REPORTED_FD-} ]] || printf r >&$PK_REPORTED_FD\nprintf "baseline\\tsync\\ta sync a step\\nladder\\tstream\\tone sync a token\\n"\n' \
    >"$PK_LAB_BUILD/bin/lab01_solution"
chmod +x "$PK_LAB_BUILD/bin/lab01_solution"

# run ARGUMENT...: pk-lab's output (both streams) in $output and its exit code in $code.
run() {
    output=$("$pk_lab" "$@" 2>&1 </dev/null)
    code=$?
}

# flat: the last output with its broken lines joined.
flat() { tr -s '\n ' ' ' <<<"$output"; }

# expect CODE TEXT...: the last run's exit code, and that its output holds each text, wherever its lines are broken.
expect() {
    local wanted=$1 text joined
    shift
    joined=$(flat)
    [[ $code == "$wanted" ]] || fail "exit code $code, wanted $wanted"
    for text in "$@"; do [[ $output == *"$text"* || $joined == *"$text"* ]] || fail "no '$text'"; done
}

# expect_error TEXT...: exit code 2, one message on the standard error and it alone, of lines that fit.
expect_error() {
    expect 2 'lab: ' "$@"
    [[ $(grep -c '^[^ ]' <<<"$output") == 1 ]] || fail "more than one message"
    expect_width
}

expect_no() {
    [[ $output != *"$1"* && $(flat) != *"$1"* ]] || fail "'$1' is there"
}

# expect_width: no line is wider than 80 columns, but for one that is a single word, and none ends in a blank.
expect_width() {
    local line
    while IFS= read -r line; do
        ((${#line} <= 80)) || [[ ! ${line#"${line%%[! ]*}"} == *' '* ]] || fail "a line of ${#line} columns: $line"
        [[ $line != *' ' ]] || fail "a blank at the end of: $line"
    done <<<"$output"
}

# make_result FILE PROGRAM STATUS VARIANT=STATUS...: a small result file of lab01 at one point, of a build of the student's
# files as they are now, on a device of the kind $KIND: gpu, or cpu by default. What did not pass has $REASON; what did is
# $SPEEDUP times as fast as the baseline. $TARGET, "stream 10 true": a target, judged, and whether it was reached.
make_result() {
    python3 - "$PK_LAB_SOURCE" "$@" <<'CODE'
import json, os, pathlib, re, sys
source, file, program, status, *variants = sys.argv[1:]
kind = os.environ.get("KIND", "cpu")
results = []
for pair in ["sync=pass", *variants]:
    variant, outcome = pair.split("=")
    results.append(dict(variant=variant, role="baseline" if variant == "sync" else "ladder", cache="hot", status=outcome,
                        reason=None if outcome == "pass" else os.environ.get("REASON", "because"), params=dict(n=1)))
    if "SPEEDUP" in os.environ and outcome == "pass" and variant != "sync":
        median = float(os.environ["SPEEDUP"])
        results[-1]["speedup"] = dict(median=median, low=0.99 * median, high=1.01 * median)
targets = []
if "TARGET" in os.environ:
    subject, wanted, reached = os.environ["TARGET"].split()
    targets = [dict(name="t", kind="speedup_at_least", subject=subject, wanted=float(wanted), measured=1,
                    judged=kind == "gpu", passed=reached == "true")]

def digest(text):
    value = 0xcbf29ce484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return f"{value:016x}"

FENCED = r"(?s)(/[*] STEP (lab01[.]\d+)[^\n]*[*]/)(.*?)(?=/[*] END \2\b)"
steps = {}
for solution in pathlib.Path(source, "solutions/lab01_first").glob("*.cu"):
    student = pathlib.Path(source, "labs/lab01_first", solution.name).read_text()
    outside = re.sub(FENCED, r"\1", student)
    steps.update({id: digest(text + outside) for _, id, text in re.findall(FENCED, student)})
json.dump(dict(schema="pk-result", version=1,
               run=dict(program=program, started_utc="2026-03-01T00:00:00Z", steps=steps),
               device=dict(backend="cuda" if kind == "gpu" else "cpu", kind=kind, name="device"), status=status,
               lab=dict(id="lab01", title="First", knobs=[dict(name="n")]), results=results, targets=targets), open(file, "w"))
CODE
}

fail() {
    printf 'FAILED at line %s: %s\n--- output:\n%s\n---\n' "${BASH_LINENO[-2]-}" "$1" "${output-}" >&2
    failures=$((failures + 1))
}

finish() {
    ((failures == 0)) || exit 1
}
