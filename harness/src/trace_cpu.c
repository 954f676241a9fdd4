/* Traces of the CPU device, which tells them itself. */
#include "trace_source.h"

#if defined(PK_BACKEND_CPU)

#include <pk_cpu/trace.h>
#include <string.h>
#include <time.h>

static void take(const pk_cpu_trace_event *event, void *context)
{
    static const pk_trace_kind kinds[] = {[PK_CPU_TRACE_CALL] = PK_TRACE_CALL,
                                          [PK_CPU_TRACE_KERNEL] = PK_TRACE_KERNEL,
                                          [PK_CPU_TRACE_COPY] = PK_TRACE_COPY,
                                          [PK_CPU_TRACE_FILL] = PK_TRACE_FILL,
                                          [PK_CPU_TRACE_HOST_FUNCTION] = PK_TRACE_HOST_FUNCTION};
    pk_trace_event of_trace = {.kind = kinds[event->kind],
                               .name = event->name,
                               .begin_ns = event->begin_ns,
                               .end_ns = event->end_ns,
                               .call = event->call,
                               .thread = event->thread,
                               .stream = event->stream,
                               .graph = event->graph,
                               .node = event->node,
                               .bytes = event->bytes};
    memcpy(of_trace.grid, event->grid, sizeof of_trace.grid);
    memcpy(of_trace.block, event->block, sizeof of_trace.block);
    if (event->kind != PK_CPU_TRACE_CALL || pk_trace_call_kind(event->name, &of_trace.kind))
        pk_trace_add(context, &of_trace);
}

static bool begin(pk_trace *trace)
{
    return pk_cpu_trace_begin(take, trace);
}

static void end(pk_trace *trace)
{
    (void)trace;
    pk_cpu_trace_end();
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#else

static bool begin(pk_trace *trace)
{
    (void)trace;
    return false;
}

static void end(pk_trace *trace)
{
    (void)trace;
}

static uint64_t now_ns(void)
{
    return 0;
}

#endif

const pk_trace_source pk_trace_of_cpu_device = {"the CPU device's own trace", "", begin, end, now_ns};
