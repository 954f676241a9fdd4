#!/usr/bin/env bash
# Checks the model of lab 07's flags with spin: right, and with one mistake planted at a time. Exit code 77: no spin.
#
#   check.sh                                 all of it
#   check.sh flags NOT_POISONED              is it right? If not, the last steps of the way into the error
set -u
models=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
readonly models
# shellcheck source=../../../common/tests/models.sh
source "$models/../../../common/tests/models.sh"

start right_and_all_used flags
start right_and_all_used flags LAUNCHES
start right flags BLOCKS=3 STEPS=3
start right flags LAUNCHES BLOCKS=3 STEPS=3

readonly stuck="invalid end state" # somebody waits for ever
readonly old="got==(step+1)"       # an output of another step

# A place is not poisoned: the output of two steps ago is taken. Poisoned before others have read it: it is gone. One set,
# poisoned when the token is known: others may be two steps apart.
start caught flags NOT_POISONED "$old"
start caught flags NOT_POISONED "$old" LAUNCHES
start caught flags POISONED_EARLY "$stuck"
start caught flags ONE_SET "$stuck"
# What a candidate, or the token, should bring along is not seen: the output of two steps ago, under its poison.
start caught flags CANDIDATE_RELAXED "$old"
start caught flags TOKEN_RELAXED "$old"
# Nothing orders a step behind the other: a place is poisoned for the step after the next before it has been read.
start caught flags TOKEN_NOT_AWAITED "$stuck"
start caught flags NOT_ORDERED "$stuck" LAUNCHES
start caught flags CANDIDATE_NOT_POISONED "value==(step+1)"

finish
