/* Who can tell a trace what happens: each of these sources has a file of its own. */
#ifndef PK_TRACE_SOURCE_H
#define PK_TRACE_SOURCE_H

#include "trace.h"

typedef struct pk_trace_source {
    const char *name, *missing;     /* as in pk_trace */
    bool (*begin)(pk_trace *trace); /* false: not here, or not now */
    void (*end)(pk_trace *trace);   /* all work has ended; no event comes after it */
    uint64_t (*now_ns)(void);       /* by the clock of its events */
} pk_trace_source;

extern const pk_trace_source pk_trace_of_cpu_device; /* where the backend is the CPU device: all there is to know */
extern const pk_trace_source pk_trace_of_cupti;      /* on NVIDIA's GPUs, where CUPTI is there and free: likewise */
extern const pk_trace_source pk_trace_of_launches;   /* everywhere: what the launch macro sees, and nothing else */

#endif
