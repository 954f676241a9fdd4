/* Run all variants at one set of knobs. */
#ifndef PK_BENCH_H
#define PK_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "measure.h"
#include "pk/result.h"
#include "trace.h"

typedef struct pk_bench_request {
    pk_report *report;
    const long long *knobs; /* [lab.knob_count] */
    const char *variants;   /* comma-separated; NULL: all. The first baseline runs in any case */
    const char *only;       /* comma-separated: of these at most, the first baseline among them; NULL: all */
    uint64_t seed;
    void *stream;
    pk_cache_state cache;
    const pk_measure_plan *plan; /* NULL: verify only */
    size_t only_passed_before;   /* leave out variants that did not pass among the first so many results */
    bool only_among_those;       /* and those that are not among them */
    size_t shift;                /* where buffers begin, in bytes, a multiple of 256: pk_bench */
    bool of_sweep;               /* the lab chose these knobs: a variant that refuses them is skipped */
    size_t pass, passes;         /* a point of a sweep is measured in several passes, so that a slow spell of the
                                    machine falls on all points alike: verified before the first and after the last */
    size_t first_result;         /* pass > 0: where the first pass put this point's results */
    bool print_plan;             /* what a variant says by pk_run_plan is printed */
    size_t *current;             /* the result that is being worked on: for the watchdog */
    bool *stuck;                 /* set when a kernel does not end: the process must, without releasing the device */
} pk_bench_request;

/* PK_OK when every variant could be judged, whatever came of it: outcomes stand in the report. PK_USAGE when the
 * knobs are refused or do not fit, PK_FAULT when the device was lost or memory ran out. */
pk_status pk_bench_run(const pk_bench_request *request);

/* Count, by CUPTI where it is there, the kernels that one repetition of each passed variant among the results from
 * `request.first_result` on really runs, and compare with what the launch macro counted. The very last thing of a
 * run: once CUPTI was attached, a launch costs more for as long as the process lives (0.4 us, seen on an H200). */
pk_status pk_bench_count_kernels(const pk_bench_request *request);

/* For who runs repetitions by itself: set up and fill the bench of `lab_run`, and give back what it holds. */
pk_status pk_bench_set_up(pk_run *lab_run, uint64_t seed);
void pk_bench_tear_down(pk_run *lab_run);

/* PK_WRONG, saying where and how, when a verdict is not right. */
pk_status pk_bench_judge(const char *when, uint64_t seed, const pk_verdict *verdict);

/* The traces of a run's variants. */
typedef struct pk_trace_set {
    pk_trace *traces; /* [count] */
    size_t count;
} pk_trace_set;

/* Record one repetition more of each passed variant among the results from `request.first_result` on, one after the
 * other: never timed. A variant that fails in it has no trace, and its result says why. PK_FAULT when memory is out or
 * the device was lost; what was recorded until then is in the set, for the caller to free in any case. */
pk_status pk_bench_trace(const pk_bench_request *request, pk_trace_set *set);
void pk_trace_set_free(pk_trace_set *set);

#endif
