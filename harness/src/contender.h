/* A variant that is verified and measured beside others. */
#ifndef PK_CONTENDER_H
#define PK_CONTENDER_H

#include <stdbool.h>
#include <stddef.h>

#include "pk/result.h"
#include "pk/steps.h"
#include "run.h"

enum { PK_MAX_CONTENDERS = 32 };

typedef struct pk_contender {
    pk_run run;
    size_t result;                              /* index in report.results */
    bool active;                                /* verified, and still in the race */
    bool sits_out;                              /* verified but not timed: the device only emulates what it needs */
    double *walls;                              /* this round's two samples */
    size_t tokens;                              /* latencies kept before this round */
    size_t spans[PK_MAX_PHASES];                /* and of each of the result's spans */
    unsigned repetitions_verified, times_grown; /* verified repetitions, and how many of the last ones kept memory */
} pk_contender;

/* For the report's result of that index. PK_FAULT when memory is out. */
pk_status pk_contender_init(pk_contender *contender, pk_bench *bench, const pk_variant *variant, size_t result);

/* PK_TODO: the first of the variant's steps that is open, in the texts of its program's ladder. The one that called
 * pk_todo may be a later one, since a step in a kernel cannot call it. */
pk_status pk_find_open_step(pk_run *run, const pk_source *sources, size_t count);

/* The contender leaves the race with `status` and the text of the last failure. */
void pk_contender_fail(pk_report *report, pk_contender *contender, pk_status status);

void pk_contender_release(pk_contender *contender); /* its host memory, once or more often */

#endif
