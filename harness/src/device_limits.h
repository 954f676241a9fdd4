/* What the device can do at best: limits.c decides sizes and records, limits.cu launches. */
#ifndef PK_LIMITS_H
#define PK_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

#include "pk/result.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Measure the limits and record them in the report. */
pk_status pk_measure_limits(const pk_device_info *device, void *stream, bool quick, pk_report *report);
pk_status pk_flush_l2(const pk_device_info *device, void *stream);
void pk_limits_free(void); /* what the flushes hold */

/* ---- limits.cu ---- */

typedef struct pk_limit_workspace {
    void *words; /* device, [bytes], 16-byte aligned */
    void *sink;  /* device, 4 bytes */
    size_t bytes;
    int processors;
    int reads; /* samples of the read bandwidth */
} pk_limit_workspace;

typedef struct pk_limit_samples {
    pk_samples launch, launch_sync, gap; /* microseconds */
    pk_samples read;                     /* bytes a microsecond */
} pk_limit_samples;

/* A read that meets this fold of a thread's words writes it to the workspace's sink. */
#define PK_LIMITS_READ_MARK 0x9E3779B9u

pk_status pk_limits_time(const pk_limit_workspace *space, void *stream, pk_limit_samples *samples);

/* From one kernel to the next of those that `issue` launches, as the limit of the gap is measured: queued behind a
 * gate, between the events. */
typedef pk_status pk_limits_issue(void *stream, int launches);
pk_status pk_limits_time_queued(void *stream, pk_limits_issue *issue, void *begin, void *end, pk_samples *gap);

/* Hold the stream for about two milliseconds: what is launched meanwhile queues up and then runs back to back, so that
 * kernels which only seem ordered because the host is slow get their chance to go wrong. */
pk_status pk_hold_stream(void *stream);
pk_status pk_limits_overwrite(const pk_limit_workspace *space, void *stream, unsigned value);

#ifdef __cplusplus
}
#endif
#endif
