#!/usr/bin/env bash
# What ./lab says of a first error in a step, the real program run: the file, the step, what was seen and what is next.
# first_errors.sh PK_LAB REPOSITORY PROGRAM: the program of harness/tests/first_errors/optimized.cu.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"
for folder in labs solutions; do
    cp "$repository/harness/tests/first_errors/optimized.cu" "$PK_LAB_SOURCE/$folder/lab01_first/optimized.cu"
done
cp "$repository/labs/lab01_launches/README.md" "$PK_LAB_SOURCE/labs/lab01_first/README.md"
rm "$PK_LAB_BUILD/bin/lab01_optimized"
ln -s "$3" "$PK_LAB_BUILD/bin/lab01_optimized"
file=labs/lab01_first/optimized.cu

# first_error VARIANT CODE STEP TEXT...: ends with the code, and sends the student to the line of the step.
first_error() {
    local line
    line=$(grep -n "STEP $3 " "$PK_LAB_SOURCE/$file")
    run run 01 --quick --no-timing --watchdog=1 "--variant=$1"
    [[ $code != 77 || $output != *'no usable GPU'* ]] || exit 77
    expect "$2" "The first step to look at is $3, $file:${line%%:*}" 'The page: labs/lab01_first/README.md#' \
        "Stuck? ./lab hint ${3#lab}" "${@:4}"
}
first_error wrong 1 lab01.1 'Next: wrong is wrong.' 'saw 39 steps, not 40' 'See docs/troubleshooting.md#one-step-off'
first_error hang 4 lab01.2 'Next: hang hangs.' 'no progress for 1 s in variant' \
    'Who was to change what is waited for? See docs/troubleshooting.md#watchdog'
first_error crash 3 lab01.3 'Next: crash faults.' cudaErrorIllegalAddress \
    'Try ./lab --backend=cpu-checked run 01 --quick --no-timing --watchdog=1 --variant=crash, which names the access'
first_error capture 3 lab01.5 'Next: capture faults.' 'this call may not be made while a stream captures' \
    'See docs/troubleshooting.md#capture'
# A hang ends the run: what there was is told all the same, and which one it was.
run run 01 --quick --no-timing --watchdog=1 --variant=wrong,hang,crash
expect 4 'wrong wrong' 'hang timeout' 'crash interrupted' 'launch-sync: interrupted: right so far' 'wrong: wrong: before timing' \
    'crash: interrupted: not verified'
run status
expect 0 'lab01.1 wrong' 'lab01.2 hangs' 'lab01.3 faults' 'lab01.5 faults'
finish
