/* The device's own trace: what the host asked of it and what it ran, each with its beginning and end. Nothing else can
 * tell: no profiler sees this device. */
#ifndef PK_CPU_TRACE_H
#define PK_CPU_TRACE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pk_cpu_trace_kind {
    PK_CPU_TRACE_CALL,   /* the host was in a call of the runtime */
    PK_CPU_TRACE_KERNEL, /* from its first block's begin to its last one's end */
    PK_CPU_TRACE_COPY,
    PK_CPU_TRACE_FILL,
    PK_CPU_TRACE_HOST_FUNCTION /* of a stream or a graph */
} pk_cpu_trace_kind;

/* Nodes of a graph that do no work of their own (empty, event, memory, child and conditional nodes) have no event;
 * what a child graph or a conditional's body runs has. */
typedef struct pk_cpu_trace_event {
    pk_cpu_trace_kind kind;
    const char *name;          /* the call's or the kernel's; "" for others. Lives as long as the process */
    uint64_t begin_ns, end_ns; /* CLOCK_MONOTONIC */
    uint64_t
        call; /* a call's own number, from 1; of work, the call that handed it over, or 0: before the trace began */
    uint64_t thread;            /* CALL: the host's thread, as the system numbers it */
    uint64_t stream;            /* of work: 0 is the default stream, others in the order of their creation */
    uint64_t graph, node;       /* of work that a graph runs, of which no two are alike in a process; else 0 */
    uint32_t grid[3], block[3]; /* KERNEL */
    uint64_t bytes;             /* COPY, FILL */
} pk_cpu_trace_event;

/* Calls `take` with each event, at its end, from any thread, one at a time; `take` makes no call of the runtime. What
 * had begun before is left out. One trace at a time: false where one is on already. */
typedef void pk_cpu_trace_take(const pk_cpu_trace_event *event, void *context);
int pk_cpu_trace_begin(pk_cpu_trace_take *take, void *context);

/* No event comes after its return. Work that has not ended by then is left out: synchronise first. */
void pk_cpu_trace_end(void);

#ifdef __cplusplus
}
#endif
#endif
