#!/usr/bin/env bash
# A lab of several student's files: each step is known by its file, in what is said and in what is put back.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
labs=$PK_LAB_SOURCE/labs/lab01_first
solutions=$PK_LAB_SOURCE/solutions/lab01_first
results=$PK_LAB_SOURCE/results
folder=$results/2026-03-01T000000Z-d
mkdir -p "$folder"

# add_file NAME NUMBER RUNG: a further file of one step, open in labs/ and filled in in solutions/.
add_file() {
    local text
    text=$(printf '%s\n' 'static pk_status part(pk_run *run)' '{' "    /* STEP lab01.$2 for $3: part $2 of it */" \
        "    return pk_todo(run, \"lab01.$2\");" "    /* END lab01.$2 */" '}' "PK_VARIANTS($1) = {" \
        "    {\"$3\", \"one more\", 0, NULL, part, NULL}," '};')
    printf '%s\n' "$text" >"$labs/$1.cu"
    printf '%s\n' "${text/return pk_todo(run, \"lab01.$2\");/solved_$1(run);}" >"$solutions/$1.cu"
}
# By name, a_last comes before chain, and by its step behind it.
add_file chain 4 chained
add_file a_last 5 last
printf '## lab01.4\n### Hint 1\nOne behind the other.\n' >>"$labs/HINTS.md"
echo 'int given;' >"$labs/baseline.cu" # no file of the student's: the solution has none of the name
cp -r "$labs" "$fixture/shipped"

fill_in() { sed -i 's|return pk_todo(run, "lab01.[0-9]");|done(run);|; s|(void)n, (void)blockIdx;|y[n] = 1;|' "$@"; }

# states TEXT...: the steps' states in the last output, by number.
states() {
    local got
    got=$(sed -n 's/^lab01\.[0-9]  *\(damaged\|open\|filled in\|wrong\|passed\)  .*/\1/p' <<<"$output" | paste -sd,)
    [[ $got == "$(IFS=, && echo "$*")" ]] || fail "the states are $got"
}

# ---- list, status, advice ----
run list
expect 0
expect_width
[[ $(sed -n 's/^01  *\(file\|step\)  *\([^ ]*\) .*/\2/p' <<<"$output" | paste -sd' ') == \
    'optimized.cu lab01.1 lab01.2 lab01.3 chain.cu lab01.4 a_last.cu lab01.5' ]] || fail 'files and steps in another order'
run status --all
expect 0 '0 of 5' 'Next: fill in step lab01.1 in labs/lab01_first/optimized.cu'
states open open open open open
fill_in "$labs/optimized.cu"
run status --all
expect 0 'Next: fill in step lab01.4 in labs/lab01_first/chain.cu, then ./lab run 01' './lab hint 01.4'
states 'filled in' 'filled in' 'filled in' open open
sed -i 's|return pk_todo(run, "lab01.4");|done(run); return pk_todo(run, "lab01.4");|' "$labs/chain.cu"
run status --all
expect 0 'delete the pk_todo line of lab01.4 in labs/lab01_first/chain.cu'
fill_in "$labs/chain.cu"
run status --all
expect 0 'Next: fill in step lab01.5 in labs/lab01_first/a_last.cu'
fill_in "$labs/a_last.cu"

# A verdict goes with what its own file has become, and stays whatever becomes of another.
make_result "$folder/lab01.json" lab01_optimized pass stream=pass pdl=pass chained=pass last=pass
run status --all
expect 0 '5 of 5'
states passed passed passed passed passed
echo 'int more;' >>"$labs/chain.cu"
run status --all
states passed passed passed 'filled in' passed
echo 'int more;' >>"$labs/optimized.cu"
run status --all
states 'filled in' 'filled in' 'filled in' 'filled in' passed

# ---- after a run ----
export FAKE_RESULT=$fixture/result.json
make_result "$FAKE_RESULT" lab01_optimized wrong stream=pass pdl=pass chained=wrong last=pass
FAKE=wrote:1 run run 01
expect 1 'Next: chained is wrong. The first step to look at is lab01.4, labs/lab01_first/chain.cu:3'
cp "$fixture/shipped/chain.cu" "$labs"
make_result "$FAKE_RESULT" lab01_optimized wrong stream=pass pdl=pass chained=wrong last=pass
FAKE=wrote:1 run run 01
expect 1 'chained is wrong while its step lab01.4 is open: fill it in, in labs/lab01_first/chain.cu'
make_result "$FAKE_RESULT" lab01_optimized todo stream=pass pdl=pass chained=todo last=pass
FAKE=wrote:77 run run 01
expect 77 'Next: fill in step lab01.4 in labs/lab01_first/chain.cu'
echo 'int newer;' >>"$labs/chain.cu" # the build is of another text
FAKE=wrote:77 run run 01
expect 77 'labs/lab01_first/chain.cu has another text than what was run' 'touch labs/lab01_first/chain.cu, then ./lab run 01'
expect_no optimized.cu
echo 'int newer;' >>"$labs/optimized.cu"
FAKE=wrote:77 run run 01
expect 77 'labs/lab01_first/optimized.cu labs/lab01_first/chain.cu have another text' \
    'touch labs/lab01_first/optimized.cu labs/lab01_first/chain.cu, then ./lab run 01'
FAKE=code:0 FAKE_SILENT=1 run run 01
expect 3 'out of labs/lab01_first/optimized.cu, labs/lab01_first/chain.cu, labs/lab01_first/a_last.cu: a variant returns'
rm -r "$results" "$labs"
cp -r "$fixture/shipped" "$labs"

# ---- damaged fences, and a file that is gone ----
sed -i '/END lab01.4/d' "$labs/chain.cu"
run status --all
expect 0 'lab01.4 has no END line: labs/lab01_first/chain.cu:3' 'restore the file: ./lab reset 01 chain.cu'
states open open open damaged open
sed -i '/STEP lab01.1/d' "$labs/optimized.cu"
run status --all
expect 0 'lab01.1 has no STEP line: labs/lab01_first/optimized.cu:4' 'Next: mend the fences, or restore the file: ./lab reset 01'
expect_no 'reset 01 chain'
cp "$fixture/shipped/optimized.cu" "$labs"
rm "$labs/chain.cu"
run status --all
expect 0 'lab01.4 has no STEP line: labs/lab01_first/chain.cu'
states open open open damaged open
cp "$fixture/shipped/chain.cu" "$labs"

# ---- hints, the solution ----
run hint 01.4
expect 0 'lab01.4, hint 1 of 1' 'One behind the other.'
run hint 01.6
expect_error "no step '01.6'" '01.1 to 01.5'
fill_in "$labs/optimized.cu"
run hint 01
expect 0 'lab01.4, hint 1 of 1'
cp "$fixture/shipped/optimized.cu" "$labs"
run solution 01.4 --anyway
expect 0 'lab01.4: part 4 of it' 'solved_chain(run);' 'The whole file: solutions/lab01_first/chain.cu'
expect_no solved_a_last
run solution 01 --anyway --steps
expect 0 launch_in_order solved_chain solved_a_last \
    'The whole files: solutions/lab01_first/optimized.cu, solutions/lab01_first/chain.cu, solutions/lab01_first/a_last.cu'
run solution 01.6 --anyway
expect_error 'no step 01.6'
cp "$solutions/chain.cu" "$labs"
run solution 01 --diff --anyway
expect 0 '+++ solutions/lab01_first/optimized.cu' 'labs/lab01_first/chain.cu is the same as the solution' \
    '+    solved_a_last(run);'
cp "$fixture/shipped/chain.cu" "$labs"

# ---- reset ----
cd "$PK_LAB_SOURCE" || exit 1
git init -q . 2>/dev/null
git add -A && git -c user.name=t -c user.email=t@t commit -qm shipped
# is_shipped NAME...: these files are, and have a copy of the student's beside them; the others are as the student left them.
is_shipped() {
    local name want kept
    for name in optimized chain a_last; do
        want=$fixture/student kept=0
        [[ " $* " != *" $name "* ]] || want=$fixture/shipped kept=1
        cmp -s "$labs/$name.cu" "$want/$name.cu" || fail "$name.cu is not what it should be"
        [[ $(find "$labs" -name "$name.cu.bak-*" | wc -l) == "$kept" ]] || fail "$name.cu is not kept, or without need"
        ((kept == 0)) || cmp -s "$labs/$name.cu".bak-* "$fixture/student/$name.cu" || fail "what is kept of $name.cu"
    done
}
students() { # the student's files once more, and no copies
    rm -f "$labs"/*.bak-*
    cp "$fixture/student"/*.cu "$labs"
}
mkdir "$fixture/student"
fill_in "$labs"/*.cu
cp "$labs"/{optimized,chain,a_last}.cu "$fixture/student"
for name in chain.cu chain; do
    run reset 01 $name
    expect 0 'Yours is kept as labs/lab01_first/chain.cu.bak-' 'labs/lab01_first/chain.cu is as shipped again' './lab status'
    expect_no optimized.cu
    is_shipped chain
    students
done
run reset 01
expect 0 'labs/lab01_first/optimized.cu is as shipped again' 'labs/lab01_first/chain.cu is as shipped again' \
    'labs/lab01_first/a_last.cu is as shipped again'
is_shipped optimized chain a_last
students
cp "$fixture/shipped/chain.cu" "$fixture/shipped/a_last.cu" "$labs"
cp "$fixture/shipped/chain.cu" "$fixture/shipped/a_last.cu" "$fixture/student"
run reset 01
expect 0 'labs/lab01_first/optimized.cu is as shipped again' 'labs/lab01_first/chain.cu is as shipped already'
[[ $(find "$labs" -name '*.bak-*' | wc -l) == 1 ]] || fail 'more is kept than was changed'
run reset 01 baseline.cu
expect_error "'baseline.cu' is none of your files of lab 01" labs/lab01_first/chain.cu
run reset 01 chain.cu optimized.cu
expect_error 'one argument too many'
rm "$labs/chain.cu"
run reset 01
expect 0 'labs/lab01_first/chain.cu is as shipped again'
cmp -s "$labs/chain.cu" "$fixture/shipped/chain.cu" || fail 'a file that was gone is not put back'
# One that git does not have: the others stay as they are too.
students
add_file b_new 6 newest
run reset 01
expect_error 'git has no version of labs/lab01_first/b_new.cu'
is_shipped
finish
