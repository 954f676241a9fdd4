/* Run all variants at one set of knobs. */
#ifndef PK_BENCH_H
#define PK_BENCH_H

#include "runner.h"

enum { PK_MAX_CONTENDERS = 32 };

typedef struct pk_bench_request {
    pk_report *report;
    const long long *knobs; /* [lab.knob_count] */
    const char *variants;   /* comma-separated; NULL: all. The first baseline runs in any case */
    uint64_t seed;
    void *stream;
    pk_cache_state cache;
    const pk_measure_plan *plan; /* NULL: verify only */
    bool count_kernels;          /* by CUPTI, where it is there */
    size_t only_passed_before;   /* leave out variants that did not pass among the first so many results */
    size_t *current;             /* the result that is being worked on: for the watchdog */
} pk_bench_request;

/* PK_OK when every variant could be judged, whatever came of it: outcomes stand in the report. PK_USAGE when the
 * knobs are refused or do not fit, PK_FAULT when the device was lost. */
pk_status pk_bench_run(const pk_bench_request *request);

#endif
