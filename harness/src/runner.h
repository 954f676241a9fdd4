/* A repetition of one variant. */
#ifndef PK_RUNNER_H
#define PK_RUNNER_H

#include <stddef.h>

#include "pk/result.h"
#include "run.h"

/* One repetition from a fresh state. */
pk_status pk_repetition_prepare(pk_run *run, pk_cache_state cache); /* reset, flush, synchronise: not timed */
pk_status pk_repetition_execute(pk_run *run, double *wall_us);      /* execute, and check that it really ended */

/* After a repetition that failed: has its kernel ended, or does it within a second? If not, the bench is stuck. */
void pk_repetition_left_behind(pk_run *run);

/* What the repetition that is under way holds, as its lab tells; "" when there is none. From any thread. */
void pk_repetition_describe(char *text, size_t bytes);

/* Does the repetition's number of launches fit what the rung is about? PK_WRONG when not. */
pk_status pk_repetition_check_launches(const pk_run *run);

/* Judge what stands for a token, by the lab's verify_token: PK_WRONG where it is not right. */
pk_status pk_token_judge(pk_run *run, size_t token);

#endif
