#!/usr/bin/env bash
# pk-lab's help, and what it says about names and options that it does not know.
# shellcheck source=fixture.sh
source "$(dirname "$0")/fixture.sh"

run
expect 0 './lab demo' 'Exit codes'
expect_width
run --help
expect 0 './lab demo'
for file in "$repository"/harness/cli/help/*.txt; do
    command=$(basename "$file" .txt)
    [[ $command =~ ^(lab|test|new|pack|update|watch)$ ]] && continue # of the script lab
    run "$command" --help
    expect 0 "usage: ./lab $command"
    expect_width
done

run stauts
expect_error "unknown command 'stauts'" "did you mean 'status'"
run frobnicate
expect_error "unknown command 'frobnicate'" './lab --help'
expect_no 'did you mean'
run plot --ot=x
expect_error "unknown option '--ot" "did you mean '--out'"
run hint 01.1 --level
expect_error '--level needs a value'
run list extra
expect_error "'extra' is one argument too many"
run solution 01 --yes=1
expect_error '--yes takes no value'

run run
expect_error 'needs a lab'
run run 07
expect_error "unknown lab '07'" '01 to 02'
run run lab1
expect_error "unknown lab 'lab1'" "did you mean '01'"
run check 01 --help
expect 0 lab01_optimized --help

printf '#!/bin/sh\necho backend=cpu; echo driver=; echo "capabilities=one two "\n' >"$PK_LAB_BUILD/bin/pk_probe"
chmod +x "$PK_LAB_BUILD/bin/pk_probe"
run doctor
expect 0 'capabilities  ' 'one two' driver
expect_width
run list
expect 0 'First lab' lab01_first lab01.1 'launch in order' ladder stream 'not built'
expect_width
finish
