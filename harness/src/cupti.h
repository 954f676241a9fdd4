/* CUPTI's activity records, loaded at run time: one recording at a time, of the kinds that are asked for. What is said
 * in pk/host.h of the count of kernels holds of any. */
#ifndef PK_CUPTI_H
#define PK_CUPTI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cupti_records.h"

/* Called with each record of the kinds asked for, on a thread of CUPTI's or within pk_cupti_end; a record and what it
 * points to may be gone afterwards. Not by two threads at a time. */
typedef void pk_cupti_visit(const pk_cupti_activity *record, void *context);

/* Record these kinds from now on. False where there is no CUPTI, or another profiler holds it, or a recording is on. */
bool pk_cupti_begin(const int *kinds, size_t kind_count, pk_cupti_visit *visit, void *context);

/* All records of what has ended are visited, and CUPTI leaves the process. False when no recording was on, or some
 * records may be lost; `*dropped` says how many, as far as CUPTI tells. */
bool pk_cupti_end(size_t *dropped);

/* For who wants more than counts: CUPTI's clock, and a runtime call's name from its record, which lives for ever. False
 * and 0 and "" where this CUPTI has them not. */
bool pk_cupti_has_names(void);
uint64_t pk_cupti_now_ns(void);
const char *pk_cupti_call_name(uint32_t function);

#endif
