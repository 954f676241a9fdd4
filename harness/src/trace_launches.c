/* Traces where nothing tells but the launch macro: the host's launches, by PK_LAUNCH. */
#include <string.h>
#include <time.h>

#include "pk_device.h"
#include "trace_source.h"

static void take(const pk_launch_event *event, void *context)
{
    pk_trace_event of_trace = {.kind = event->is_replay ? PK_TRACE_REPLAY : PK_TRACE_LAUNCH,
                               .name = event->site->kernel,
                               .begin_ns = event->begin_ns,
                               .end_ns = event->end_ns};
    memcpy(of_trace.grid, event->grid, sizeof of_trace.grid);
    memcpy(of_trace.block, event->block, sizeof of_trace.block);
    pk_trace_add(context, &of_trace);
}

static bool begin(pk_trace *trace)
{
    pk_launch_watch(take, trace);
    return true;
}

static void end(pk_trace *trace)
{
    (void)trace;
    pk_launch_watch(NULL, NULL);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

const pk_trace_source pk_trace_of_launches = {
    "the launch macro",
    "only launches by PK_LAUNCH are here: what the device does, copies and waits are not, since no CUPTI that could be "
    "used told of them",
    begin, end, now_ns};
