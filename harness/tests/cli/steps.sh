#!/usr/bin/env bash
# Which steps are open, hints in levels, the solution's steps, and reset.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
file=$PK_LAB_SOURCE/labs/lab01_first/optimized.cu
cp "$file" "$fixture/as_shipped"

# ---- status ----

# states TEXT...: the steps' states in the last output, by number.
states() {
    local got
    got=$(sed -n 's/^lab01\.[0-9]  *\(damaged\|open\|pk_todo left\|filled in\|not checked here\|hangs\|faults\|wrong\|passed\)  .*/\1/p' \
        <<<"$output" | paste -sd,)
    [[ $got == "$(IFS=, && echo "$*")" ]] || fail "the states are $got"
}

run status --all
expect 0 '0 of 3' 'none yet' 'Next: fill in step lab01.1' './lab hint 01.1'
expect_width
states open open open
sed -i 's|    return pk_todo(run, "lab01.1");|    done(run); // pk_todo was here, "pk_todo" too|' "$file"
run status --all
expect 0 '0 of 3' 'Next: fill in step lab01.2'
states 'filled in' open open # a remark about pk_todo is no call, and in lab01.3 the kernel is empty
cp "$file" "$fixture/before"
sed -i 's|(void)n, (void)blockIdx;|(void)n; y[n] = 1;|' "$file"
run status --all
states 'filled in' open 'filled in'
# Which labs are shown: what is under way, or the first that is not done; one; all. And the time that the pages say.
run status
expect 0 '01 First lab 0 of 3 begun 1:30 1:30' 'lab01.3'
run status 02
expect 0 '02 lab02_second 0 of 0' 'Lab 02'
expect_no lab01
run status 2 3
expect_error 'one argument too many'
run status 07
expect_error "unknown lab '07'"
# A pk_todo that was left behind: whatever stands beside it, and not in a remark or a text.
for left in 'done(run); return pk_todo(run, "lab01.2");' 'if (done(run)) return pk_todo(run, "lab01.2");' \
    '(void)run; { done(run); } return pk_todo(run, "lab01.2"); // (void)'; do
    sed "s|return pk_todo(run, \"lab01.2\");|$left|" "$fixture/before" >"$file"
    run status --all
    expect 0 'Next: when its code is complete, delete the pk_todo line of lab01.2 in labs/lab01_first/optimized.cu, then ./lab run 01'
    expect_no 'hint'
    states 'filled in' 'pk_todo left' open
done
for open in '(void)run; return pk_todo(run, "lab01.2");' '; (void)run, (void)"done(run)"; // done(run);' ''; do
    sed "s|return pk_todo(run, \"lab01.2\");|$open|" "$fixture/before" >"$file"
    run status --all
    states 'filled in' open open
done
cp "$fixture/before" "$file"
sed -i 's|(void)n, (void)blockIdx;|(void)n; y[n] = 1;|' "$file"
# Filled in is not run, run is not passed, and the solution's pass is not the student's.
sed -i 's|return pk_todo(run, "lab01.2");|done(run);|' "$file"
cp "$file" "$fixture/filled_in"
folder=$PK_LAB_SOURCE/results/2026-03-01T000000Z-d
older=$PK_LAB_SOURCE/results/2026-02-01T000000Z-d
mkdir -p "$folder" "$older"
run status --all
expect 0 '0 of 3' 'Next: ./lab run 01'
make_result "$folder/lab01.json" lab01_solution pass stream=pass
run status --all
expect 0 'none of yours (solution pass)' 'Next: ./lab run 01'
expect_no 'Every step has passed'
states 'filled in' 'filled in' 'filled in'

# of_run STATE STATE STATE -- STATUS VARIANT=STATUS...: the states after such a run, the newest, of the file as it is.
of_run() {
    make_result "$folder/lab01.json" lab01_optimized "${@:5}"
    run status --all
    expect 0
    expect_width
    states "${@:1:3}"
}
of_run wrong 'filled in' 'filled in' -- wrong stream=wrong
expect 0 '0 of 3 wrong'
expect 0 'wrong, 2026-03-01' 'Next: stream is wrong. The first step to look at is lab01.1' 'Stuck? ./lab hint 01.1'
of_run passed wrong wrong -- wrong stream=pass pdl=wrong
expect 0 '1 of 3' 'Next: pdl is wrong. The first step to look at is lab01.2' './lab hint 01.2, ./lab hint 01.3'
run hint 01
expect 0 'lab01.2, hint 1 of 1'
rm "$PK_LAB_SOURCE/.lab-progress"
of_run passed hangs hangs -- timeout stream=pass pdl=timeout
expect 0 'pdl hangs' 'docs/troubleshooting.md#watchdog'
of_run faults faults faults -- fault stream=fault pdl=fault
expect 0 'Next: stream faults. The first step to look at is lab01.1'
of_run passed 'filled in' 'filled in' -- interrupted stream=pass pdl=interrupted
expect 0 'Every step of lab 01 is filled in. Next: ./lab run 01'
of_run passed hangs hangs -- timeout stream=pass pdl=pass pdl=timeout # after the pass, at an awkward size
# What only a GPU can check has not passed without one; what has passed on one stands, until the file changes.
of_run passed 'not checked here' 'not checked here' -- pass stream=pass pdl=skipped
expect 0 'pass, 2026-03-01' 'Not checked on this device: lab01.2, lab01.3: pdl is skipped' 'Every step that could be checked'
KIND=gpu make_result "$older/lab01.json" lab01_optimized pass stream=pass pdl=pass
run status --all
states passed passed passed
expect 0 '3 of 3' 'Every step has passed' './lab check 01'
expect_no 'Not checked'
run status
expect 0 '01 First lab 3 of 3 passed 1:30 0:00'
expect_no 'lab01.3' # a lab that is done
# How fast it is, on a GPU: by the newest run of this text that says so.
SPEEDUP=12.5 TARGET='stream 10 true' KIND=gpu make_result "$older/lab01.json" lab01_optimized pass stream=pass pdl=pass
run status 01
expect 0 '3 of 3 fast' 'stream passed 12.5x, fast: at least 10x was asked for' 'pdl passed 12.5x' '1 of 1 targets reached'
SPEEDUP=8 TARGET='stream 10 false' KIND=gpu make_result "$older/lab01.json" lab01_optimized pass stream=pass pdl=pass
run status 01
expect 0 '3 of 3 slow' 'stream passed 8x, slow: at least 10x was asked for' '0 of 1 targets reached'
SPEEDUP=8 make_result "$folder/lab01.json" lab01_optimized pass stream=pass pdl=pass
run status 01
expect 0 'stream passed 8x on the CPU device, not judged'
make_result "$folder/lab01.json" lab01_optimized pass stream=pass pdl=skipped
sed -i 's|done(run); // pk|done(run), again(run); // pk|' "$file"
run status 01
expect_no '8x, slow' # another text
expect 0 'pdl passed 8x' '2 of 3 begun 1:30 0:30'
run status --all
states 'filled in' passed passed
expect 0 '2 of 3' 'Next: ./lab run 01'
sed -i 's|(void)n; y\[n\] = 1;|y[n] = 2;|' "$file" # one step of a rung: nothing is known of the others
run status --all
states 'filled in' 'filled in' 'filled in'
cp "$fixture/filled_in" "$file"
sed -i 's|(void)kernel;|(void)kernel, changed();|' "$file" # outside the fences
run status --all
states 'filled in' 'filled in' 'filled in'
cp "$fixture/filled_in" "$file"
touch "$file" # the same text, whenever it was written
run status --all
states passed passed passed
sed -i 's|lab01.1 for stream:|lab01.1 for stream, pdl:|' "$file" # a step that two rungs stand on
of_run passed wrong wrong -- wrong stream=pass pdl=wrong
sed -i 's|done(run);$|return pk_todo(run, "lab01.2");|' "$file"
of_run passed open 'filled in' -- wrong stream=pass pdl=wrong # the open step says why
expect 0 'Next: fill in step lab01.2'
# An open step that this device skips comes after the others, as after a run.
sed -e 's|return pk_todo(run, "lab01.1");|done(run);|' -e 's|lab01.3 for pdl:|lab01.3 for fused:|' \
    -e 's|lab01.2 for pdl:|lab01.2 for fused, pdl:|' "$fixture/as_shipped" >"$file"
of_run passed open open -- todo stream=pass pdl=skipped fused=todo
expect 0 'Next: fill in step lab01.2'
sed -i 's|lab01.2 for fused, pdl:|lab01.2 for pdl:|' "$file"
of_run passed open open -- todo stream=pass pdl=skipped fused=todo
expect 0 'Next: fill in step lab01.3'
cp "$fixture/filled_in" "$file"
sed -i -e 's|lab01.1 for stream:|lab01.1 for stream, pdl:|' -e 's|done(run);$|return pk_todo(run, "lab01.2");|' "$file"
of_run passed open 'filled in' -- wrong stream=pass pdl=wrong
sed -i 's|"[0-9a-f]\{16\}"|"none"|g' "$folder/lab01.json" "$older/lab01.json" # files from before they held digests
run status --all
states 'filled in' open 'filled in'
cp "$fixture/filled_in" "$file"
rm -r "$PK_LAB_SOURCE/results"

# Damaged fences: nothing is said of a step that cannot be told.
sed -i 's|/\* END lab01.2|/* END lab1.2|' "$file"
run status --all
expect 0 'lab01.2 has no END line: labs/lab01_first/optimized.cu:9' 'Next: mend the fences, or restore the file: ./lab reset 01'
expect_no 'Every step'
states 'filled in' damaged 'filled in'
expect_width
echo '/* END lab01.2 */' >>"$file" # behind the next step's
run status --all
expect 0 'lab01.2 has no END line'
sed -i '/STEP lab01.1/d' "$file"
run status --all
expect 0 'lab01.1 has no STEP line: labs/lab01_first/optimized.cu:4'
sed -i -e '/STEP lab01/d' -e '/END lab/d' "$file"
run status --all
expect 0 '0 of 3' 'lab01.3 has no STEP line: labs/lab01_first/optimized.cu'
expect_no 'Every step'
cp "$fixture/before" "$file"

# Out of order in the file: by number in what is said.
python3 - "$file" <<'CODE'
import sys
text = open(sys.argv[1]).read()
head, kernel = text.split("__global__")
kernel, list_ = kernel.split("PK_VARIANTS")
open(sys.argv[1], "w").write("__global__" + kernel + head + "PK_VARIANTS" + list_)
CODE
run status --all
expect 0 'Next: fill in step lab01.2'
cp "$fixture/before" "$file"

# The real labs on a terminal of 60 columns.
mkdir "$fixture/real"
ln -s "$repository"/{labs,solutions} "$fixture/real"
output=$(PK_LAB_SOURCE=$fixture/real python3 - "$pk_lab" status 05 <<'CODE'
import fcntl, os, pty, struct, sys, termios
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
said = b""
try:
    while more := os.read(terminal, 65536):
        said += more
except OSError:
    pass
print(said.decode().replace("\r", ""))
CODE
)
expect 0 'Async copies' 'Next: '
! grep -E '.{61}' <<<"$output" | grep -q '[^ ] .*[^ ]' || fail 'wider than 60 columns'

# ---- hints ----
run hint 01.1
expect 0 'lab01.1, hint 1 of 3' 'Streams keep order.' 'More: ./lab hint 01.1'
expect_no 'Not a sync'
run hint lab01.1
expect 0 'hint 2 of 3' 'this heading is code' 'Not a sync a step.'
expect_no 'One sync'
run hint 1.1 --level=1
expect 0 'hint 1 of 3'
run hint 01.1
expect 0 'hint 3 of 3' 'One sync a token.' './lab solution 01.1 --anyway'
expect_no 'Wait where'
run hint 01.1
expect 0 'hint 3 of 3'
[[ $(<"$PK_LAB_SOURCE/.lab-progress") == 'hint lab01.1 3' ]] || fail 'the progress file is not as documented'
run hint 01
expect 0 'lab01.2, hint 1 of 1' 'Wait where?'
cp "$file" "$fixture/as_it_was"
cp "$fixture/filled_in" "$file"
run hint 01
expect 2 'no step of lab01 is open' './lab hint 01.1'
cp "$fixture/as_it_was" "$file"
python3 - "$PK_LAB_SOURCE/labs/lab01_first/HINTS.md" <<'CODE'
import sys
open(sys.argv[1], "a").write("## lab01.3 wide\n### Hint 1\n" + "word " * 30 + "\nmore words\n\n- an entry "
    + "of many " * 20 + "\n\n```\n" + "code  " * 20 + "stays;\n```\n")
CODE
run hint 01.3
expect 0 'word more words' "$(printf 'code  %.0s' {1..20})stays;" $'\n  many '
[[ $output != *$'\nmore words'* ]] || fail 'the lines of a paragraph are not joined'
output=$(grep -v stays <<<"$output")
expect_width
sed -i '/^## lab01.3/,$d' "$PK_LAB_SOURCE/labs/lab01_first/HINTS.md"
run hint 01.1 --level=4
expect_error '--level'
run hint 01.1 --level=many
expect_error '--level'
run hint 01.9
expect_error "no step '01.9'" '01.1 to 01.3'
expect_width
run hint 02.1
expect_error 'no steps are marked'
rm "$PK_LAB_SOURCE/.lab-progress"
mkdir "$PK_LAB_SOURCE/.lab-progress"
run hint 01.1
expect 2 'Streams keep order.' 'lab: '
rmdir "$PK_LAB_SOURCE/.lab-progress"

# ---- solution ----
run solution 01.2
expect 77 'lab01.2 has not passed yet (open)' './lab hint 01.2' './lab solution 01.2 --anyway'
expect_no 'wait_once(run);'
run solution 01.2 --anyway
expect 0 'lab01.2: wait once' 'wait_once(run);' NOTES.md
expect_no launch_in_order
run solution 01 --anyway --steps
expect 0 launch_in_order wait_once 'The whole file'
run solution 01 --yes
expect 0 '+    wait_once(run);' '-    return pk_todo(run, "lab01.2");'
run solution 01.1 --diff --anyway
expect 0 '+    wait_once(run);'
run solution 01 --diff --steps
expect_error 'name one'
# By what runs have said: a step alone, and the lab; what cannot be checked here is no hindrance.
cp "$file" "$fixture/before"
cp "$fixture/filled_in" "$file"
mkdir -p "$folder"
make_result "$folder/lab01.json" lab01_optimized wrong stream=pass pdl=wrong
run solution 01.1
expect 0 'launch_in_order(run);'
run solution 01
expect 77 'lab01.2 has not passed yet (wrong)'
make_result "$folder/lab01.json" lab01_optimized pass stream=pass pdl=skipped
run solution 01
expect 0 '+    wait_once(run);' '-    done(run);'
rm -r "$PK_LAB_SOURCE/results"
cp "$fixture/before" "$file"
run solution 01.5
expect_error 'no step 01.5'
run solution 02
expect_error 'no solution of lab 02'

# ---- reset ----
run reset 01
expect_error 'no git checkout' 'download'
cd "$PK_LAB_SOURCE" || exit 1
cp "$file" "$fixture/student"
sed -i 's|    done(run);.*|    return pk_todo(run, "lab01.1");|' "$file"
cp "$file" "$fixture/shipped"
git init -q . 2>/dev/null
commit() { git add -A && git -c user.name=t -c user.email=t@t commit -qm "$1"; }
commit shipped
run reset 01
expect 0 'as shipped already'
cp "$fixture/student" "$file"
commit "the student's own work" # the newest commit is not what was shipped
run reset 01
expect 0 'Yours is kept as labs/lab01_first/optimized.cu.bak-' 'as shipped again'
cmp -s "$file" "$fixture/shipped" || fail 'the file is not as shipped'
cmp -s "$file".bak-* "$fixture/student" || fail "the student's file is not kept"
finish
