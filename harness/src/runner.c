/* A repetition: its fresh state, its execution, and what a variant may ask of its run. */
#include "runner.h"

#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device_limits.h"
#include "pk/host.h"
#include "recorder.h"
#include "watchdog.h"

/* ---- what a variant may ask ---- */

static size_t find_knob(const pk_run *run, const char *name)
{
    const pk_lab *lab = run->bench->lab;
    for (size_t i = 0; i < lab->knob_count; i++)
        if (strcmp(lab->knobs[i].name, name) == 0)
            return i;
    fprintf(stderr, "%s: the lab asks for a knob '%s' that it does not declare in pk_this_lab.knobs\n", lab->id, name);
    abort();
}

long long pk_knob_value(const pk_run *run, const char *name)
{
    return run->bench->knobs[find_knob(run, name)];
}

double pk_knob_number(const pk_run *run, const char *name)
{
    size_t i = find_knob(run, name);
    return pk_knob_in_units(&run->bench->lab->knobs[i], run->bench->knobs[i]);
}

void *pk_run_stream(const pk_run *run)
{
    return run->bench->stream;
}

static pk_status add_stream(pk_run *run, void **stream, pk_status (*create)(void **stream))
{
    if (run->stream_count == PK_MAX_STREAMS)
        return pk_fail(PK_USAGE, "%s: more than %d further streams: raise PK_MAX_STREAMS", run->bench->lab->id,
                       PK_MAX_STREAMS);
    pk_status status = create(stream);
    if (status != PK_OK)
        return status;
    run->streams[run->stream_count++] = *stream;
    pk_launch_register_stream(*stream);
    return PK_OK;
}

pk_status pk_run_add_stream(pk_run *run, void **stream)
{
    return add_stream(run, stream, pk_device_stream_create);
}

pk_status pk_run_add_urgent_stream(pk_run *run, void **stream)
{
    return add_stream(run, stream, pk_device_stream_create_urgent);
}

void *pk_run_lab_data(const pk_run *run)
{
    return run->bench->lab_data;
}

void pk_run_set_lab_data(pk_run *run, void *data)
{
    run->bench->lab_data = data;
}

void *pk_run_reference(const pk_run *run)
{
    return run->bench->variant_runs ? NULL : run->bench->reference;
}

void pk_run_set_reference(pk_run *run, void *reference)
{
    run->bench->reference = reference;
}

const pk_variant *pk_run_variant(const pk_run *run)
{
    return run->variant;
}

void *pk_run_variant_data(const pk_run *run)
{
    return run->variant_data;
}

void pk_run_set_variant_data(pk_run *run, void *data)
{
    run->variant_data = data;
}

const pk_device_info *pk_run_device(const pk_run *run)
{
    return run->bench->device;
}

/* The row of that name, in [*count] rows of PK_MAX_PHASES; a new one is infinite. */
static pk_phase *phase_named(const pk_run *run, pk_phase *phases, size_t *count, const char *name)
{
    size_t i = 0;
    while (i < *count && strcmp(phases[i].name, name) != 0)
        i++;
    if (i == PK_MAX_PHASES) {
        fprintf(stderr, "%s: a variant times more than %d phases: '%s' has no place\n", run->bench->lab->id,
                PK_MAX_PHASES, name);
        abort();
    }
    if (i == *count) {
        snprintf(phases[i].name, sizeof phases[i].name, "%s", name);
        phases[i].us = INFINITY;
        ++*count;
    }
    return &phases[i];
}

void pk_run_phase(pk_run *run, const char *name, double us)
{
    pk_phase *phase = phase_named(run, run->phases, &run->phase_count, name);
    if (us < phase->us)
        phase->us = us;
}

void pk_run_span(pk_run *run, const char *name, double us)
{
    phase_named(run, run->spans, &run->span_count, name)->us = us;
}

bool pk_run_of_sweep(const pk_run *run)
{
    return run->bench->of_sweep;
}

bool pk_run_is_traced(const pk_run *run)
{
    return run->trace != NULL;
}

void pk_run_block_span(pk_run *run, unsigned block, const char *name, uint64_t begin_ns, uint64_t end_ns)
{
    const pk_trace_event span = {
        .kind = PK_TRACE_SPAN, .name = name, .begin_ns = begin_ns, .end_ns = end_ns, .stream = PK_TRACE_BLOCKS + block};
    if (run->trace)
        pk_trace_add(run->trace, &span);
}

void pk_run_measure(pk_run *run, const char *name, double value)
{
    if (pk_measure_note(run->measures, &run->measure_count, name, value))
        return;
    fprintf(stderr, "%s: no place for the measure '%s': at most %d, of names below %zu letters\n", run->bench->lab->id,
            name, PK_MAX_MEASURES, sizeof run->measures[0].name);
    abort();
}

double pk_clock_us(void)
{
    return pk_now_us();
}

/* ---- looking at a token when it is reported ---- */

#if defined(__SANITIZE_THREAD__)
enum { MAY_PEEK = 0 };
#else
enum { MAY_PEEK = 1 };
#endif
enum {
    PEEKS_FOR_ANOTHER = 4096,
    PEEKS_FIRST = 4,
    PEEKS_EVERY = 61 /* a prime: no period of a lab's own falls in with it */
};

bool pk_run_peeks(const pk_run *run)
{
    if (!MAY_PEEK || !run->peeks || run->peeked != PK_OK)
        return false;
    if (run->looks) /* no token is safe from a look */
        return run->token_seen < PEEKS_FOR_ANOTHER;
    return getenv("PK_CPU_SCHEDULE") || run->token_seen < PEEKS_FIRST || run->token_seen % PEEKS_EVERY == 0;
}

static pk_status take_shown(pk_shown *shown, void *host, size_t bytes)
{
    if (shown->count < bytes)
        return pk_fail(PK_WRONG, "what a token was reported with is not all there");
    memcpy(host, shown->bytes, bytes);
    shown->bytes += bytes;
    shown->count -= bytes;
    return PK_OK;
}

pk_status pk_run_peek(pk_run *run, void *host, const void *device, size_t bytes)
{
    pk_bench *bench = run->bench;
    if (run->shown)
        return take_shown(run->shown, host, bytes);
    pk_status status = bench->peek_stream ? PK_OK : pk_device_stream_create(&bench->peek_stream);
    if (status == PK_OK)
        status = pk_device_download(host, device, bytes, bench->peek_stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(bench->peek_stream);
    if (status == PK_OK && run->looks)
        run->looks->peeked(run->looks->context, host, bytes);
    return status;
}

pk_status pk_token_judge(pk_run *run, size_t token)
{
    pk_verdict verdict = {.checked = 0};
    const pk_status status = run->bench->lab->verify_token(run, token, &verdict);
    if (status != PK_OK || verdict.wrong == 0)
        return status;
    return pk_fail(PK_WRONG,
                   "token %zu was reported as done, and its result is not there: [%llu] is %.9g, want "
                   "%.9g%s%s (docs/troubleshooting.md#wrong-results)",
                   token, (unsigned long long)verdict.first_wrong, verdict.got, verdict.want,
                   verdict.note[0] ? ": " : "", verdict.note);
}

/* The lab judges the token that is being reported; the first one that is wrong is kept. Where another process judges,
 * it is told what the lab has peeked at, and what is said here has no reference to rest on. */
void pk_token_look(pk_run *run)
{
    const size_t token = run->token_seen;
    if (!run->bench->lab->verify_token || !pk_run_peeks(run))
        return;
    run->bench->variant_runs = false;
    run->peeked = pk_token_judge(run, token);
    run->bench->variant_runs = true;
    if (run->looks) {
        run->looks->looked(run->looks->context, token);
        run->peeked = run->peeked == PK_WRONG ? PK_OK : run->peeked;
    }
    if (run->peeked != PK_OK)
        snprintf(run->peeked_text, sizeof run->peeked_text, "%s", pk_error_text());
}

/* Of a repetition's tokens as many latencies are kept as there is room for: one in `token_stride`. */
void pk_token_latency(pk_run *run, double us)
{
    size_t number = run->token_seen++;
    if (run->trace)
        pk_record_token(run->trace, number);
    if (number % run->token_stride == run->token_stride / 2 && run->token_count < run->token_capacity)
        run->token_us[run->token_count++] = us;
    bool idle;
    if (run->check_tokens && pk_device_stream_idle(run->bench->stream, &idle) == PK_OK && !idle)
        run->token_early = true;
}

void pk_token_done(pk_run *run)
{
    double now = pk_now_us(), since = run->last_token_us;
    pk_token_look(run);
    run->last_token_us = run->peeks ? pk_now_us() : now;
    pk_token_latency(run, now - since);
}

void pk_run_plan(const pk_run *run, const char *format, ...)
{
    if (!run->prints_plan)
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
}

void pk_run_progress(const pk_run *run)
{
    pk_watchdog_progress(run->variant ? run->variant->name : run->bench->lab->id);
}

pk_status pk_todo(pk_run *run, const char *step)
{
    snprintf(run->open_step, sizeof run->open_step, "%s", step);
    return pk_fail(PK_TODO, "step %s is open: fill it in, or ask `./lab hint %s`", step,
                   strncmp(step, "lab", 3) == 0 ? step + 3 : step);
}

/* ---- one repetition ---- */

/* A lab's host loop may give up on a kernel that waits for it. */
void pk_repetition_left_behind(pk_run *run)
{
    const double patience_us = 1e6, start = pk_now_us();
    const struct timespec pause = {0, 1000000};
    bool idle = false;
    while (pk_device_stream_idle(run->bench->stream, &idle) == PK_OK && !idle) {
        if (pk_now_us() - start > patience_us) {
            run->bench->stuck = true;
            return;
        }
        (void)nanosleep(&pause, NULL);
    }
}

/* Released by the main thread, acquired by the watchdog's, which reads the run only while the main thread hangs in it
 * or ends the process. */
static _Atomic(pk_run *) under_way;

void pk_repetition_describe(char *text, size_t bytes)
{
    const pk_run *run = atomic_load_explicit(&under_way, memory_order_acquire);
    text[0] = '\0';
    if (run && run->bench->lab->describe_stall)
        run->bench->lab->describe_stall(run, text, bytes);
}

pk_status pk_repetition_prepare(pk_run *run, pk_cache_state cache)
{
    pk_status status = run->bench->lab->reset(run);
    if (status == PK_OK && cache == PK_COLD)
        status = pk_flush_l2(run->bench->device, run->bench->stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(run->bench->stream);
    return status;
}

/* Work that is still running, or runs where nothing waits for it, makes any time a lie. */
static pk_status check_ended(pk_run *run)
{
    bool idle;
    pk_status status = pk_device_stream_idle(run->bench->stream, &idle);
    if (status != PK_OK)
        return status;
    if (!idle)
        return pk_fail(PK_WRONG,
                       "the variant's function returned while its work was still running: wait for the stream "
                       "(cudaStreamSynchronize) before it returns (docs/troubleshooting.md#still-running)");
    if (run->token_early)
        return pk_fail(PK_WRONG,
                       "a token was reported as done while its work was still running: wait for the stream "
                       "(cudaStreamSynchronize) before pk_token_done (docs/troubleshooting.md#still-running)");
    if (run->peeked != PK_OK)
        return pk_fail(run->peeked, "%s", run->peeked_text);
    if (run->launches.foreign > 0)
        return pk_fail(PK_WRONG,
                       "%llu launches a repetition on a stream that is not timed (first: %s): use pk_run_stream(run), "
                       "or pk_run_add_stream for a second one (docs/troubleshooting.md#still-running)",
                       (unsigned long long)run->launches.foreign, run->launches.foreign_site);
    return PK_OK;
}

pk_status pk_repetition_check_launches(const pk_run *run)
{
    const pk_lab *lab = run->bench->lab;
    if (!lab->launches)
        return PK_OK;
    const pk_launch_range range = lab->launches(run, run->variant->name);
    const double count = (double)run->launches.launches;
    if (count >= range.least && count <= range.most)
        return PK_OK;
    char wanted[64];
    if (range.least == range.most)
        snprintf(wanted, sizeof wanted, "%.0f", range.most);
    else
        snprintf(wanted, sizeof wanted, "%.0f to %.0f", range.least, range.most);
    return pk_fail(PK_WRONG,
                   "%.0f kernel launches in a repetition, where %s (%s) makes %s: what it is about is not done, or "
                   "done besides (docs/troubleshooting.md#launches)",
                   count, run->variant->name, run->variant->summary, wanted);
}

pk_status pk_repetition_execute(pk_run *run, double *wall_us)
{
    pk_launch_counts_reset();
    run->token_count = run->token_seen = 0;
    run->span_count = 0;
    run->token_stride = (size_t)(run->bench->lab->tokens(run) / (double)(run->token_capacity + 1)) + 1;
    run->token_early = false;
    run->peeked = PK_OK;
    run->bench->variant_runs = true;
    double start = pk_now_us();
    run->last_token_us = start;
    atomic_store_explicit(&under_way, run, memory_order_release);
    pk_status status = run->variant->execute(run);
    atomic_store_explicit(&under_way, NULL, memory_order_release);
    double end = pk_now_us();
    run->bench->variant_runs = false;
    pk_launch_counts_read(&run->launches); /* verifying may launch kernels of its own */
    if (run->trace)
        pk_record_repetition_ended(run->trace);
    *wall_us = end - start;
    return status == PK_OK ? check_ended(run) : status;
}
