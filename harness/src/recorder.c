/* The choice of a source, and what is the same for all of them. */
#include "recorder.h"

#include "trace_source.h"

static const pk_trace_source *source; /* of the recording that is on */

void pk_record_begin(pk_trace *trace)
{
    source = &pk_trace_of_launches; /* which is always there, and never takes what a better one can */
    if (pk_trace_of_cpu_device.begin(trace))
        source = &pk_trace_of_cpu_device;
    else if (pk_trace_of_cupti.begin(trace))
        source = &pk_trace_of_cupti;
    else
        (void)pk_trace_of_launches.begin(trace);
    trace->source = source->name;
    trace->missing = source->missing;
    trace->begin_ns = source->now_ns();
    trace->end_ns = UINT64_MAX;
}

void pk_record_repetition_begins(pk_trace *trace)
{
    pk_trace_begin_at(trace, source->now_ns());
}

void pk_record_repetition_ended(pk_trace *trace)
{
    trace->end_ns = source->now_ns();
}

void pk_record_end(pk_trace *trace)
{
    source->end(trace);
    pk_trace_settle(trace);
}

void pk_record_token(pk_trace *trace, size_t number)
{
    const uint64_t now = source->now_ns();
    pk_trace_add(trace,
                 &(pk_trace_event){.kind = PK_TRACE_TOKEN, .name = "", .begin_ns = now, .end_ns = now, .call = number});
}
