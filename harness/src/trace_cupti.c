/* Traces by CUPTI's activity records: calls of the runtime, kernels (those inside graphs by node), copies and fills,
 * all by CUPTI's one clock. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cupti.h"
#include "kernel_name.h"
#include "trace_source.h"

/* "cudaLaunchKernel_v7000" is cudaLaunchKernel: the number is that of the version which brought this form of it. And
 * _ptsz or _ptds says that the default stream is the thread's own. What CUDA 13 makes of <<<...>>> begins with "__". */
static void plain_call_name(char *plain, size_t bytes, const char *name)
{
    (void)snprintf(plain, bytes, "%s", name + strspn(name, "_"));
    for (char *last = strrchr(plain, '_'); last; last = strrchr(plain, '_')) {
        const bool version = last[1] == 'v' && isdigit((unsigned char)last[2]);
        if (!version && strcmp(last, "_ptsz") != 0 && strcmp(last, "_ptds") != 0)
            return;
        *last = '\0';
    }
}

static void take_call(pk_trace *trace, const pk_cupti_call *call)
{
    char name[128];
    plain_call_name(name, sizeof name, pk_cupti_call_name(call->function));
    pk_trace_event event = {
        .name = name, .begin_ns = call->start, .end_ns = call->end, .call = call->correlation, .thread = call->thread};
    if (pk_trace_call_kind(name, &event.kind))
        pk_trace_add(trace, &event);
}

/* CUPTI could not tell when some work ran: it is counted, since it cannot be drawn. */
static void take_work(pk_trace *trace, const pk_trace_event *event)
{
    if (event->begin_ns > 0 && event->end_ns >= event->begin_ns)
        pk_trace_add(trace, event);
    else
        trace->lost++;
}

static void take_kernel(pk_trace *trace, const pk_cupti_kernel *kernel)
{
    char name[256];
    pk_kernel_name(name, sizeof name, kernel->name ? kernel->name : "kernel");
    pk_trace_event event = {.kind = PK_TRACE_KERNEL,
                            .name = name,
                            .begin_ns = kernel->start,
                            .end_ns = kernel->end,
                            .call = kernel->correlation,
                            .stream = kernel->stream,
                            .graph = kernel->graph_node ? kernel->graph : 0,
                            .node = kernel->graph_node};
    for (int i = 0; i < 3; i++) {
        event.grid[i] = (uint32_t)kernel->grid[i];
        event.block[i] = (uint32_t)kernel->block[i];
    }
    take_work(trace, &event);
}

static const char *direction(unsigned copy_kind)
{
    return copy_kind == 1   ? "host to device"
           : copy_kind == 2 ? "device to host"
           : copy_kind == 8 ? "device to device"
                            : "";
}

static void take(const pk_cupti_activity *record, void *context)
{
    if (record->kind == PK_CUPTI_RUNTIME)
        take_call(context, (const pk_cupti_call *)record);
    if (record->kind == PK_CUPTI_CONCURRENT_KERNEL)
        take_kernel(context, (const pk_cupti_kernel *)record);
    if (record->kind == PK_CUPTI_MEMCPY) {
        const pk_cupti_memcpy *copy = (const pk_cupti_memcpy *)record;
        take_work(context, &(pk_trace_event){.kind = PK_TRACE_COPY,
                                             .name = direction(copy->copy_kind),
                                             .begin_ns = copy->start,
                                             .end_ns = copy->end,
                                             .call = copy->correlation,
                                             .stream = copy->stream,
                                             .graph = copy->graph_node ? copy->graph : 0,
                                             .node = copy->graph_node,
                                             .bytes = copy->bytes});
    }
    if (record->kind == PK_CUPTI_MEMSET) {
        const pk_cupti_memset *fill = (const pk_cupti_memset *)record;
        take_work(context, &(pk_trace_event){.kind = PK_TRACE_FILL,
                                             .name = "",
                                             .begin_ns = fill->start,
                                             .end_ns = fill->end,
                                             .call = fill->correlation,
                                             .stream = fill->stream,
                                             .graph = fill->graph_node ? fill->graph : 0,
                                             .node = fill->graph_node,
                                             .bytes = fill->bytes});
    }
}

static bool begin(pk_trace *trace)
{
    static const int kinds[] = {PK_CUPTI_RUNTIME, PK_CUPTI_CONCURRENT_KERNEL, PK_CUPTI_MEMCPY, PK_CUPTI_MEMSET};
    return pk_cupti_has_names() && pk_cupti_begin(kinds, sizeof kinds / sizeof kinds[0], take, trace);
}

static void end(pk_trace *trace)
{
    size_t dropped;
    const bool whole = pk_cupti_end(&dropped);
    trace->lost += dropped;
    trace->lost_more = !whole && dropped == 0;
    pk_trace_pair_replays(trace);
}

const pk_trace_source pk_trace_of_cupti = {"CUPTI", "", begin, end, pk_cupti_now_ns};
