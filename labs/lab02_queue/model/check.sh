#!/usr/bin/env bash
# Checks the models of lab 02's queues with spin (https://spinroot.com): the right ones in every order of accesses that
# there is, then with one mistake planted at a time, each of which must be caught as what it is. Exit code 77: no spin.
#
#   check.sh                                 all of it, two at a time where two cores and the memory are free
#   check.sh requests COARSE LIVE_FROM_0     one model: is it right? If not, the last steps of the way into the error
set -u
models=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 1
readonly models
# shellcheck source=../../../common/tests/models.sh
source "$models/../../../common/tests/models.sh"

# ---- the right models ----

start right_and_all_used requests COARSE # the longest
start ends requests CANCELS=0 COARSE
start right_and_all_used queue REQUESTS=3
start right queue BLOCKS=3 COARSE
start ends queue REQUESTS=3 COARSE
start right requests REQUESTS=1
start right requests STEPS=1 CANCELS=0
start right requests BLOCKS=3 REQUESTS=1 COARSE

# ---- planted mistakes ----

readonly stuck="invalid end state"         # somebody waits for ever
readonly state_old="brings==state"         # a step on an old state
readonly step_wrong="brings==done"         # likewise, or a second time, in `requests`
readonly not_asked="asked[r]"              # a step comes back that was not asked for
readonly left_over="run_pushed==run_taken" # in the run queue, when all have left

# The host frees a slot when it has submitted, or when anything comes back.
start caught queue SLOT_FREED_AT_PUSH "$stuck" REQUESTS=3 COARSE
start caught queue SLOTS_FREED_TOGETHER "$stuck" REQUESTS=3 COARSE
start caught requests SLOTS_FREED_TOGETHER "$stuck" COARSE
# The host submits a step before the one before has come back.
start caught queue STEP_AHEAD "$stuck" COARSE
start caught queue ONE_STOP_FOR_ALL "$stuck" COARSE
# A reader takes what stands in the slot; a writer writes over what was not read; turn and payload in two stores; two
# blocks with one ticket; turns compared by size, which fails where positions wrap.
start caught queue WORD_NOT_AWAITED "$not_asked" COARSE
start caught queue FREE_MARK_IGNORED "$stuck" REQUESTS=3 COARSE
start caught queue PAYLOAD_LATE "$stuck" REQUESTS=3 COARSE
start caught queue TICKETS_TWICE "$stuck" REQUESTS=3 COARSE
start caught queue COMPARED_BY_SIZE "$not_asked" COARSE
# The step before is not awaited: the host knows that it ended, the block does not see its state yet. A store is relaxed
# that brings a state along.
start caught queue DONE_NOT_AWAITED "$state_old" COARSE
start caught queue DONE_RELAXED "$state_old" COARSE
start caught requests PUT_RELAXED "brings==next" COARSE
# A block posts into a slot that the host has not read, or the host says so before it has.
start caught requests CONSUMED_IGNORED "$stuck" COARSE
start caught requests CONSUMED_SAID_FIRST "steps_done[r]" CANCELS=0
# A run queue that cannot hold all words, when all blocks want to write.
start caught requests RUN_RING=2 "$stuck" BLOCKS=1 COARSE
# The baton: handed on before control->next is written, after the last order too, held although others wait.
start caught requests BATON_BEFORE_NEXT "brings==next" COARSE
start caught requests BATON_AFTER_ALL "$left_over" COARSE
start caught requests BATON_HELD_ON "$stuck" BLOCKS=1 COARSE
start caught requests KEPT_AND_QUEUED "$step_wrong" COARSE
# `live`: from 0; raised after the requests are in the run queue; not lowered by a stop, or by a request that is
# cancelled; a drain that sends home whatever it says.
start caught requests LIVE_FROM_0 "$stuck" COARSE
start caught requests LIVE_COUNTED_LATE "$left_over" COARSE
start caught requests STOP_NOT_COUNTED "$stuck" COARSE
start caught requests CANCEL_NOT_COUNTED "$stuck" COARSE
start caught requests DRAIN_SENDS_HOME "$left_over" COARSE
# A request whose turn comes after the stop is dropped without a word; a block is not sent home.
start caught requests DROPPED_AT_STOP "$stuck" COARSE
start caught requests ONE_STAYS "$stuck" COARSE

finish
