/* Traces as JSON of Chrome's trace events. Source: "Trace Event Format" (Google, 2016), which Perfetto's documentation
 * names as one of those that it imports. A variant is a process, a thread of the host or a stream of the device is a
 * thread of that process; arrows are flow events. Times are microseconds from the repetition's begin, so that variants
 * stand below each other. */
#include "trace_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/utf8.h"

enum { FIRST_STREAM = 1000 }; /* the track numbers of streams; those of the host's threads begin at 1 */

/* ---- JSON ---- */

/* As a JSON string. What is no UTF-8 shows as question marks. */
static void put_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const char *at = text; *at;) {
        const size_t bytes = pk_utf8_length(at);
        if (bytes == 0)
            fputc('?', out);
        else if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if ((unsigned char)*at < ' ')
            fprintf(out, "\\u%04x", (unsigned)*at);
        else
            fwrite(at, 1, bytes, out);
        at += bytes ? bytes : 1;
    }
    fputc('"', out);
}

static void put_member(FILE *out, const char *name, const char *text)
{
    fprintf(out, "\"%s\":", name);
    put_text(out, text);
    fputc(',', out);
}

/* Nanoseconds as microseconds, to the last digit. */
static void put_us(FILE *out, const char *name, uint64_t ns)
{
    fprintf(out, ",\"%s\":%" PRIu64 ".%03u", name, ns / 1000, (unsigned)(ns % 1000));
}

/* ---- one trace ---- */

/* A call of the host, to be found by its number. */
typedef struct call {
    uint64_t number;
    size_t event;
    unsigned track;
    const char *label; /* the first kernel that it handed over; NULL: none */
} call;

typedef struct writer {
    FILE *out;
    const pk_trace *trace;
    unsigned process;
    call *calls; /* [call_count] by number */
    size_t call_count;
    unsigned *tracks; /* [trace.count] of each event */
    uint64_t *flow;   /* the last arrow's number */
} writer;

static int by_call(const void *left, const void *right)
{
    const call *a = left, *b = right;
    return (a->number > b->number) - (a->number < b->number);
}

static call *find_call(const writer *w, uint64_t number)
{
    const call key = {.number = number};
    return number && w->call_count ? bsearch(&key, w->calls, w->call_count, sizeof key, by_call) : NULL;
}

static void name_track(const writer *w, unsigned track, const char *name)
{
    fprintf(w->out,
            ",\n{\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%u}}"
            ",\n{\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"name\":\"thread_name\",\"args\":{\"name\":\"%s\"}}",
            w->process, track, track, w->process, track, name);
}

/* Events come by thread, then by stream and lane; tokens, which know no thread, stand with the host's first. */
static void give_tracks(writer *w)
{
    unsigned host = 0, stream = FIRST_STREAM - 1;
    const pk_trace_event *before = NULL;
    char name[64];
    for (size_t i = 0; i < w->trace->count; i++) {
        const pk_trace_event *event = &w->trace->events[i];
        const bool of_device = pk_trace_is_of_device(event->kind);
        const bool first = !before || of_device != pk_trace_is_of_device(before->kind);
        if (of_device && (first || before->stream != event->stream || before->lane != event->lane)) {
            stream++;
            if (event->kind == PK_TRACE_SPAN)
                (void)snprintf(name, sizeof name, "block %" PRIu64, event->stream - PK_TRACE_BLOCKS);
            else
                (void)snprintf(name, sizeof name, event->lane ? "stream %" PRIu64 ", beside (%u)" : "stream %" PRIu64,
                               event->stream, event->lane);
            name_track(w, stream, name);
        } else if (!of_device && (first || (before->thread != event->thread && before->thread != 0))) {
            host++;
            (void)snprintf(name, sizeof name, host > 1 ? "host submissions (thread %u)" : "host submissions", host);
            name_track(w, host, name);
        }
        w->tracks[i] = of_device ? stream : host;
        before = event;
    }
}

static void index_calls(writer *w)
{
    for (size_t i = 0; i < w->trace->count; i++) {
        const pk_trace_event *event = &w->trace->events[i];
        if (!pk_trace_is_of_device(event->kind) && event->kind != PK_TRACE_TOKEN && event->call)
            w->calls[w->call_count++] = (call){event->call, i, w->tracks[i], NULL};
    }
    if (w->call_count)
        qsort(w->calls, w->call_count, sizeof *w->calls, by_call);
    for (size_t i = 0; i < w->trace->count; i++) {
        const pk_trace_event *event = &w->trace->events[i];
        call *by = event->kind == PK_TRACE_KERNEL ? find_call(w, event->call) : NULL;
        if (by && !by->label)
            by->label = event->name;
    }
}

static const char *category(pk_trace_kind kind)
{
    static const char *const words[] = {[PK_TRACE_LAUNCH] = "launch",
                                        [PK_TRACE_REPLAY] = "graph launch",
                                        [PK_TRACE_COPY_CALL] = "copy call",
                                        [PK_TRACE_FILL_CALL] = "fill call",
                                        [PK_TRACE_WAIT] = "wait",
                                        [PK_TRACE_CALL] = "call",
                                        [PK_TRACE_TOKEN] = "token",
                                        [PK_TRACE_KERNEL] = "kernel",
                                        [PK_TRACE_COPY] = "copy",
                                        [PK_TRACE_FILL] = "fill",
                                        [PK_TRACE_HOST_FUNCTION] = "host function",
                                        [PK_TRACE_SPAN] = "phase"};
    return words[kind];
}

static void put_name(FILE *out, const pk_trace_event *event)
{
    const char *of_its_kind = category(event->kind);
    if (event->kind == PK_TRACE_TOKEN)
        fprintf(out, "\"token %" PRIu64 "\"", event->call);
    else if (event->kind == PK_TRACE_COPY && *event->name)
        fprintf(out, "\"copy, %s\"", event->name);
    else
        put_text(out, *event->name ? event->name : of_its_kind);
}

static void put_extent(FILE *out, const char *name, const uint32_t extent[3])
{
    if (extent[0])
        fprintf(out, ",\"%s\":[%u,%u,%u]", name, extent[0], extent[1], extent[2]);
}

static void put_arguments(FILE *out, const pk_trace_event *event, const call *by)
{
    if (event->kind == PK_TRACE_SPAN) {
        fprintf(out, ",\"args\":{\"block\":%" PRIu64 "}", event->stream - PK_TRACE_BLOCKS);
        return;
    }
    fprintf(out, ",\"args\":{\"correlation\":%" PRIu64, event->call);
    if (pk_trace_is_of_device(event->kind))
        fprintf(out, ",\"stream\":%" PRIu64, event->stream);
    put_extent(out, "grid", event->grid);
    put_extent(out, "block", event->block);
    if (event->kind == PK_TRACE_COPY || event->kind == PK_TRACE_FILL)
        fprintf(out, ",\"bytes\":%" PRIu64, event->bytes);
    if (event->node)
        fprintf(out, ",\"graph\":%" PRIu64 ",\"node\":%" PRIu64, event->graph, event->node);
    if (by && by->label) {
        fputs(",\"kernel\":", out);
        put_text(out, by->label);
    }
    fputs("}", out);
}

static uint64_t since_begin(const pk_trace *trace, uint64_t ns)
{
    return ns > trace->begin_ns ? ns - trace->begin_ns : 0;
}

static void put_event(const writer *w, size_t index)
{
    const pk_trace_event *event = &w->trace->events[index];
    const bool moment = event->kind == PK_TRACE_TOKEN;
    fprintf(w->out, ",\n{\"ph\":\"%s\",\"pid\":%u,\"tid\":%u,\"cat\":\"%s\",\"name\":", moment ? "i" : "X", w->process,
            w->tracks[index], category(event->kind));
    put_name(w->out, event);
    put_us(w->out, "ts", since_begin(w->trace, event->begin_ns));
    if (moment) {
        fputs(",\"s\":\"t\"}", w->out);
        return;
    }
    put_us(w->out, "dur", event->end_ns - event->begin_ns);
    put_arguments(w->out, event, event->kind == PK_TRACE_LAUNCH ? find_call(w, event->call) : NULL);
    fputs("}", w->out);
}

/* From the call's begin to the work's begin. */
static void put_arrow(const writer *w, size_t index)
{
    const pk_trace_event *event = &w->trace->events[index];
    const call *by = pk_trace_is_of_device(event->kind) ? find_call(w, event->call) : NULL;
    if (!by)
        return;
    const uint64_t id = ++*w->flow;
    fprintf(w->out,
            ",\n{\"ph\":\"s\",\"pid\":%u,\"tid\":%u,\"cat\":\"submission\",\"name\":\"submits\",\"id\":%" PRIu64,
            w->process, by->track, id);
    put_us(w->out, "ts", since_begin(w->trace, w->trace->events[by->event].begin_ns));
    fprintf(w->out,
            "}"
            ",\n{\"ph\":\"f\",\"bp\":\"e\",\"pid\":%u,\"tid\":%u,\"cat\":\"submission\",\"name\":\"submits\",\"id\":"
            "%" PRIu64,
            w->process, w->tracks[index], id);
    put_us(w->out, "ts", since_begin(w->trace, event->begin_ns));
    fputs("}", w->out);
}

/* What is not here, as a sentence; "" when nothing. */
static void say_what_is_missing(char *text, size_t bytes, const pk_trace *trace)
{
    size_t used = 0;
    text[0] = '\0';
    if (trace->left_out)
        used += (size_t)snprintf(text, bytes, "%" PRIu64 " events left out, beyond the %zu that a variant may have. ",
                                 trace->left_out, trace->limit);
    if (trace->lost && used < bytes)
        used +=
            (size_t)snprintf(text + used, bytes - used, "%" PRIu64 " records lost by %s. ", trace->lost, trace->source);
    if (trace->lost_more && used < bytes)
        used += (size_t)snprintf(text + used, bytes - used, "%s may have lost others. ", trace->source);
    if (trace->unpaired && used < bytes)
        used += (size_t)snprintf(text + used, bytes - used,
                                 "%s does not tell which graph launch handed over %" PRIu64 " nodes. ", trace->source,
                                 trace->unpaired);
    if (used < bytes)
        (void)snprintf(text + used, bytes - used, "%s", trace->missing);
}

static void put_process(const writer *w, const char *separator, bool is_gpu)
{
    const pk_trace *trace = w->trace;
    char name[256], missing[512], labels[1024];
    say_what_is_missing(missing, sizeof missing, trace);
    (void)snprintf(name, sizeof name, "%s%s%s", trace->variant, trace->is_baseline ? " (baseline)" : "",
                   is_gpu ? "" : ", CPU device");
    (void)snprintf(labels, sizeof labels, "%" PRIu64 " launches, %" PRIu64 " graph launches%s%s", trace->launches,
                   trace->replays, *missing ? ". " : "", missing);
    fprintf(w->out, "%s{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%u}}",
            separator, w->process, w->process);
    fprintf(w->out, ",\n{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_name\",\"args\":{\"name\":", w->process);
    put_text(w->out, name);
    fprintf(w->out, "}},\n{\"ph\":\"M\",\"pid\":%u,\"name\":\"process_labels\",\"args\":{\"labels\":", w->process);
    put_text(w->out, labels);
    fputs("}}", w->out);
}

static pk_status put_trace(FILE *out, const pk_trace *trace, unsigned process, bool is_gpu, uint64_t *flow)
{
    writer w = {.out = out, .trace = trace, .process = process, .flow = flow};
    w.calls = calloc(trace->count + 1, sizeof *w.calls);
    w.tracks = calloc(trace->count + 1, sizeof *w.tracks);
    const bool room = w.calls && w.tracks;
    if (room) {
        put_process(&w, process > 1 ? ",\n" : "", is_gpu);
        give_tracks(&w);
        index_calls(&w);
        for (size_t i = 0; i < trace->count; i++)
            put_event(&w, i);
        for (size_t i = 0; i < trace->count; i++)
            put_arrow(&w, i);
    }
    free(w.calls);
    free(w.tracks);
    return room ? PK_OK : pk_out_of_memory("the trace's file");
}

/* ---- the file ---- */

static void put_knobs(FILE *out, const pk_report *report, const long long *knobs)
{
    fputs("\"knobs\":{", out);
    for (size_t i = 0; i < report->knob_count; i++) {
        char value[64];
        pk_knob_text(value, sizeof value, &report->lab->knobs[i], knobs[i]);
        fprintf(out, "%s\"%s\":", i ? "," : "", report->lab->knobs[i].name);
        put_text(out, value);
    }
    fputs("},", out);
}

static void put_variants(FILE *out, const pk_trace *traces, size_t count)
{
    fputs("\"variants\":[", out);
    for (size_t i = 0; i < count; i++) {
        const pk_trace *trace = &traces[i];
        char missing[512];
        say_what_is_missing(missing, sizeof missing, trace);
        fprintf(out, "%s{\"pid\":%zu,", i ? "," : "", i + 1);
        put_member(out, "variant", trace->variant);
        put_member(out, "role", trace->is_baseline ? "baseline" : "ladder");
        put_member(out, "source", trace->source);
        fprintf(out,
                "\"launches\":%" PRIu64 ",\"graph_launches\":%" PRIu64
                ",\"events\":%zu,\"limit\":%zu,\"left_out\":%" PRIu64 ",\"lost\":%" PRIu64,
                trace->launches, trace->replays, trace->count, trace->limit, trace->left_out, trace->lost);
        put_us(out, "repetition_us", since_begin(trace, trace->end_ns));
        fputs(",\"missing\":", out);
        put_text(out, missing);
        fputs("}", out);
    }
    fputs("]", out);
}

static void put_heading(FILE *out, const pk_report *report, const long long *knobs, const pk_trace *traces,
                        size_t count)
{
    const pk_device_info *device = &report->device;
    fputs("{\"displayTimeUnit\":\"ns\",\n\"otherData\":{\"form\":\"pk-trace 1\",", out);
    put_member(out, "lab", report->lab->id);
    put_member(out, "title", report->lab->title);
    put_member(out, "program", report->program);
    put_member(out, "started_utc", report->started_utc);
    put_member(out, "device", device->name);
    put_member(out, "kind", device->is_gpu ? "gpu" : "CPU device");
    put_member(out, "backend", device->backend);
    put_member(out, "arch", device->arch);
    put_member(out, "driver", device->driver);
    put_member(out, "toolkit", device->toolkit);
    fprintf(out, "\"seed\":%" PRIu64 ",", report->seed);
    put_knobs(out, report, knobs);
    put_member(out, "times",
               "one repetition of each variant while it was recorded, which slows it: a picture, not a measurement. "
               "Calls that only ask (cudaGetLastError, cudaStreamQuery) are left out");
    put_variants(out, traces, count);
    fputs("},\n\"traceEvents\":[\n", out);
}

pk_status pk_trace_write(const pk_report *report, const long long *knobs, const pk_trace *traces, size_t count,
                         const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    uint64_t flow = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return pk_out_of_memory(path);
    put_heading(out, report, knobs, traces, count);
    pk_status status = PK_OK;
    for (size_t i = 0; i < count && status == PK_OK; i++)
        status = put_trace(out, &traces[i], (unsigned)i + 1, report->device.is_gpu, &flow);
    fputs("\n]}\n", out);
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed)
        status = status == PK_OK ? pk_out_of_memory(path) : status;
    if (status == PK_OK)
        status = pk_write_file(path, text, bytes);
    free(text);
    return status;
}
