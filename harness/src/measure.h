/* Interleaved timing of contenders. */
#ifndef PK_MEASURE_H
#define PK_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "contender.h"
#include "pk/result.h"

typedef struct pk_measure_plan {
    double time_limit_s;
    size_t min_rounds, max_rounds;
    size_t instrument_every;    /* rounds: event and submission times are taken in repetitions of their own; 0: never */
    size_t warm_up_repetitions; /* of each contender, and for at least warm_up_us */
    double warm_up_us;
    double settle; /* stop when every ratio's standard error over its median is below this */
    bool keep_tokens;
    pk_cache_state cache;
    uint64_t seed;
} pk_measure_plan;

/* Time the active contenders in interleaved rounds; the first active baseline is the one that ratios are against.
 * A contender that faults or turns out wrong is recorded and leaves the race. PK_FAULT when the timing itself cannot go
 * on: what was measured until then is kept. */
pk_status pk_measure(pk_report *report, pk_contender *contenders, size_t count, const pk_measure_plan *plan);

#endif
