/* One set of knobs from set-up to tear-down: every variant is prepared, verified, timed, verified again. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffers.h"
#include "contender.h"
#include "device_limits.h"
#include "pk/host.h"
#include "pk/program.h"
#include "recorder.h"
#include "runner.h"
#include "watchdog.h"

/* ---- one verified repetition ---- */

pk_status pk_bench_judge(const char *when, uint64_t seed, const pk_verdict *verdict)
{
    if (verdict->checked == 0)
        return pk_fail(PK_WRONG, "%s: nothing was checked: the lab's verify must look at every output", when);
    if (verdict->wrong == 0)
        return PK_OK;
    /* A note names its own section where it knows one. */
    const char *page = strstr(verdict->note, "docs/") ? "" : " (docs/troubleshooting.md#wrong-results)";
    return pk_fail(PK_WRONG, "%s: %llu of %llu outputs wrong (seed %llu); first at [%llu]: got %.9g, want %.9g%s%s%s",
                   when, (unsigned long long)verdict->wrong, (unsigned long long)verdict->checked,
                   (unsigned long long)seed, (unsigned long long)verdict->first_wrong, verdict->got, verdict->want,
                   verdict->note[0] ? ": " : "", verdict->note, page);
}

static pk_status execute_and_judge(pk_run *run, const char *when, bool held, pk_validation *validation, double *wall_us)
{
    pk_bench *bench = run->bench;
    pk_status status = pk_buffers_poison(bench);
    if (status == PK_OK)
        status = pk_repetition_prepare(run, PK_HOT);
    if (status == PK_OK && held)
        status = pk_hold_stream(bench->stream);
    run->check_tokens = bench->lab->token_ends_on_stream;
    run->peeks = true;
    if (status == PK_OK)
        status = pk_repetition_execute(run, wall_us);
    run->check_tokens = run->peeks = false;
    if (status == PK_OK)
        status = pk_repetition_check_launches(run);
    if (status == PK_OK)
        status = bench->lab->verify(run, &validation->verdict);
    if (status != PK_OK)
        return status;
    validation->done = true;
    status = pk_bench_judge(when, validation->seed, &validation->verdict);
    return status == PK_OK ? pk_buffers_check_guards(bench) : status;
}

/* Device memory that is taken; 0 where the device does not tell. */
static size_t memory_taken(void)
{
    size_t free_bytes, total_bytes;
    return pk_device_memory(&free_bytes, &total_bytes) == PK_OK ? total_bytes - free_bytes : 0;
}

/* The first repetition may load code and grow the runtime's own buffers. One that leaves more taken than it found when
 * it comes for the second time, and for the third, does so for ever. */
static pk_status check_memory_returned(pk_contender *contender, size_t before, size_t after)
{
    const bool grew = contender->repetitions_verified++ > 0 && after > before;
    contender->times_grown = grew ? contender->times_grown + 1 : 0;
    if (contender->times_grown < 2)
        return PK_OK;
    return pk_fail(PK_WRONG,
                   "each repetition keeps %zu bytes of device memory: allocate in prepare and free in finish "
                   "(docs/troubleshooting.md#leak)",
                   after - before);
}

/* Each pass has a run of its own: what it says is put to what was said before. */
static void note_measures(pk_result *result, const pk_run *run)
{
    for (size_t i = 0; i < run->measure_count; i++)
        (void)pk_measure_note(result->measures, &result->measure_count, run->measures[i].name, run->measures[i].value);
}

static void verify(pk_report *report, pk_contender *contender, const char *when, bool held, uint64_t seed,
                   pk_validation *validation, double *wall_us)
{
    char what[160];
    snprintf(what, sizeof what, "variant '%s' (%s)", contender->run.variant->name, when);
    pk_watchdog_progress(what);
    validation->seed = seed;
    const size_t taken = memory_taken();
    pk_status status = execute_and_judge(&contender->run, when, held, validation, wall_us);
    if (status == PK_OK)
        status = check_memory_returned(contender, taken, memory_taken());
    note_measures(&report->results[contender->result], &contender->run);
    if (status == PK_OK)
        return;
    pk_contender_fail(report, contender, status);
    pk_repetition_left_behind(&contender->run);
}

/* ---- from prepare to finish ---- */

static void note_launches(pk_result *result, const pk_run *run)
{
    result->launches_per_token = (double)run->launches.launches / result->tokens;
    result->graph_replays_per_token = (double)run->launches.graph_replays / result->tokens;
}

/* Each pass prepares anew: the shorter counts, as the first may have waited for what a process does once. What prepares
 * to be counted or recorded, when all is analysed, is none of them. */
static void note_phases(pk_result *result, const pk_run *run)
{
    for (size_t i = 0; i < run->phase_count; i++) {
        const bool again = i < result->phase_count && strcmp(result->phases[i].name, run->phases[i].name) == 0;
        if (!again || run->phases[i].us < result->phases[i].us)
            result->phases[i] = run->phases[i];
    }
    if (run->phase_count > result->phase_count)
        result->phase_count = run->phase_count;
}

/* What a process loads once, kernels' code among it, is in the first pass's number and not in the second's. */
static void note_held(pk_result *result, size_t before, size_t after)
{
    const double held = after > before ? (double)(after - before) : 0;
    if (before > 0 && !(result->held_bytes <= held))
        result->held_bytes = held;
}

static void open_contender(const pk_bench_request *request, pk_contender *contender, bool first_pass)
{
    pk_report *const report = request->report;
    pk_run *run = &contender->run;
    pk_result *result = &report->results[contender->result];
    char reason[256];
    contender->active = true;
    if (pk_device_lacks(run->bench->device, run->variant->needs, reason, sizeof reason)) {
        pk_contender_fail(report, contender, pk_fail(PK_SKIP, "%s", reason));
        return;
    }
    char what[160];
    snprintf(what, sizeof what, "variant '%s' (prepare)", run->variant->name);
    pk_watchdog_progress(what);
    const size_t taken = memory_taken();
    double start = pk_now_us();
    run->bench->variant_runs = true;
    run->prints_plan = request->print_plan && first_pass;
    pk_status status = run->variant->prepare ? run->variant->prepare(run) : PK_OK;
    run->prints_plan = false;
    run->bench->variant_runs = false;
    if (first_pass)
        result->prepare_us = pk_now_us() - start;
    note_held(result, taken, memory_taken());
    if (status == PK_USAGE && request->of_sweep)
        status = PK_SKIP;
    if (status != PK_OK) {
        pk_contender_fail(report, contender, status);
        return;
    }
    if (first_pass)
        verify(report, contender, "before timing", false, request->seed, &result->before, &result->first_execute_us);
    if (first_pass && contender->active)
        note_launches(result, run);
}

static void close_contender(pk_report *report, pk_contender *contender)
{
    pk_run *run = &contender->run;
    pk_result *result = &report->results[contender->result];
    double start = pk_now_us();
    run->bench->variant_runs = true;
    if (run->variant->finish)
        run->variant->finish(run);
    run->bench->variant_runs = false;
    if (isnan(result->finish_us))
        result->finish_us = pk_now_us() - start;
    for (size_t i = 0; i < run->stream_count; i++) {
        pk_launch_unregister_stream(run->streams[i]);
        pk_device_stream_destroy(run->streams[i]);
    }
    run->stream_count = 0;
}

/* ---- the contenders ---- */

static bool named(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    return list == NULL;
}

/* One that its own prepare skipped, as not made for those knobs, may run at others. */
static bool excluded(const pk_bench_request *request, const pk_variant *variant)
{
    const pk_report *report = request->report;
    char reason[256];
    bool among = false;
    for (size_t i = 0; i < request->only_passed_before; i++) {
        const pk_result *result = &report->results[i];
        if (strcmp(result->variant, variant->name) != 0)
            continue;
        among = true;
        if (result->status == PK_OK)
            continue;
        if (result->status != PK_SKIP || pk_device_lacks(&report->device, variant->needs, reason, sizeof reason))
            return true;
    }
    return request->only_among_those && !among;
}

static pk_status add_result(const pk_bench_request *request, const pk_bench *bench, const pk_variant *variant,
                            bool is_baseline)
{
    pk_result *result = pk_report_add(request->report, bench->knobs);
    if (!result)
        return PK_FAULT;
    result->variant = variant->name;
    result->summary = variant->summary;
    result->is_baseline = is_baseline;
    result->cache = request->cache;
    return PK_OK;
}

typedef struct choice {
    const pk_variant *variant;
    bool is_baseline;
} choice;

/* Those that were asked for, are of this point, and have not failed before; the first baseline always runs where it is
 * of the point, as every ratio is against it. None when a sweep is about others than were asked for. */
static size_t choose(const pk_bench_request *request, const pk_run *run, choice choices[PK_MAX_CONTENDERS])
{
    const pk_lab *lab = run->bench->lab;
    size_t count = 0;
    bool has_baseline = false;
    for (size_t f = 0; f < pk_variant_file_count; f++) {
        const bool is_baseline = pk_variant_files[f].is_baseline;
        const pk_variant_list list = pk_variant_files[f].variants();
        for (size_t i = 0; i < list.count && count < PK_MAX_CONTENDERS; i++) {
            const pk_variant *variant = &list.variants[i];
            if (lab->offers && !lab->offers(run, variant->name))
                continue;
            bool needed = is_baseline && !has_baseline;
            has_baseline |= is_baseline;
            if ((needed || named(request->variants, variant->name)) && named(request->only, variant->name) &&
                !excluded(request, variant))
                choices[count++] = (choice){variant, is_baseline};
        }
    }
    return count;
}

/* One that was asked for by name, and solves another problem than the knobs pose. */
static pk_status refuse_others(const pk_bench_request *request, const pk_run *run)
{
    const pk_lab *lab = run->bench->lab;
    for (size_t f = 0; f < pk_variant_file_count && lab->offers && request->variants && !request->of_sweep; f++) {
        const pk_variant_list list = pk_variant_files[f].variants();
        for (size_t i = 0; i < list.count; i++)
            if (named(request->variants, list.variants[i].name) && !lab->offers(run, list.variants[i].name))
                return pk_fail(PK_USAGE,
                               "%s: '%s' solves another of the lab's problems than these options pose: choose the "
                               "problem with it (--help lists the options), or leave it out of --variant",
                               lab->id, list.variants[i].name);
    }
    return PK_OK;
}

/* How many there are now is `*added`, however it ends. */
static pk_status add_contenders(const pk_bench_request *request, pk_bench *bench, const choice *choices,
                                pk_contender *contenders, size_t count, size_t *added)
{
    const size_t first = request->pass == 0 ? request->report->result_count : request->first_result;
    pk_status status = PK_OK;
    for (*added = 0; *added < count && status == PK_OK; ++*added) {
        const choice *chosen = &choices[*added];
        if (request->pass == 0)
            status = add_result(request, bench, chosen->variant, chosen->is_baseline);
        if (status != PK_OK)
            return status;
        status = pk_contender_init(&contenders[*added], bench, chosen->variant, first + *added);
    }
    return status;
}

/* The variant that a result is of. */
static const pk_variant *variant_of(const pk_result *result)
{
    for (size_t f = 0; f < pk_variant_file_count; f++) {
        const pk_variant_list list = pk_variant_files[f].variants();
        for (size_t i = 0; i < list.count && pk_variant_files[f].is_baseline == result->is_baseline; i++)
            if (strcmp(list.variants[i].name, result->variant) == 0)
                return &list.variants[i];
    }
    return NULL;
}

static void note_sizes(pk_report *report, pk_contender *contenders, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const pk_lab *lab = contenders[i].run.bench->lab;
        pk_result *result = &report->results[contenders[i].result];
        result->tokens = lab->tokens(&contenders[i].run);
        result->bytes_per_token = lab->bytes_per_token ? lab->bytes_per_token(&contenders[i].run) : NAN;
        result->flops_per_token = lab->flops_per_token ? lab->flops_per_token(&contenders[i].run) : NAN;
    }
}

/* A fault that outlives the call takes the whole context with it: nothing more can run in this process. */
static pk_status check_device_lost(pk_report *report, pk_contender *contenders, size_t count, size_t culprit)
{
    const pk_status status = report->results[contenders[culprit].result].status;
    const bool stuck = status != PK_OK && contenders[culprit].run.bench->stuck;
    if (!stuck && (status != PK_FAULT || pk_device_synchronize() == PK_OK))
        return PK_OK;
    const char *why = stuck ? "the kernel of '%s' does not end" : "the device was lost to the fault in '%s'";
    char text[128];
    snprintf(text, sizeof text, why, contenders[culprit].run.variant->name);
    for (size_t i = culprit + 1; i < count; i++)
        pk_contender_fail(
            report, &contenders[i],
            pk_fail(PK_SKIP, "not run: %s; run it alone with --variant=%s", text, contenders[i].run.variant->name));
    for (size_t i = 0; i < culprit; i++)
        contenders[i].active = false;
    const char *reason = report->results[contenders[culprit].result].reason;
    return pk_fail(stuck ? status : PK_FAULT, "%s: %s", text, reason ? reason : pk_status_word(status));
}

static pk_status open_contenders(const pk_bench_request *request, pk_contender *contenders, size_t count)
{
    pk_report *report = request->report;
    for (size_t i = 0; i < count && !pk_interrupted(); i++) {
        *request->current = contenders[i].result;
        if (request->pass > 0 && report->results[contenders[i].result].status != PK_OK)
            continue;
        open_contender(request, &contenders[i], request->pass == 0);
        note_phases(&report->results[contenders[i].result], &contenders[i].run);
        pk_status status = check_device_lost(report, contenders, count, i);
        if (status != PK_OK)
            return status;
    }
    return PK_OK;
}

/* After the timing: once more with the same inputs, and once with fresh ones, so that a result kept from an earlier
 * repetition or from other inputs shows; with the stream held, so that a missing order between kernels shows. */
static pk_status verify_after(const pk_bench_request *request, pk_run *lab_run, pk_contender *contenders, size_t count,
                              bool fresh)
{
    pk_report *report = request->report;
    uint64_t seed = request->seed + (fresh ? 1 : 0);
    pk_status status = fresh ? lab_run->bench->lab->fill(lab_run, seed) : PK_OK;
    for (size_t i = 0; i < count && status == PK_OK && !pk_interrupted(); i++) {
        pk_result *result = &report->results[contenders[i].result];
        double wall;
        *request->current = contenders[i].result;
        if (contenders[i].active && !contenders[i].run.bench->stuck)
            verify(report, &contenders[i], fresh ? "with fresh inputs" : "after timing", true, seed,
                   fresh ? &result->fresh : &result->after, &wall);
        status = check_device_lost(report, contenders, count, i);
    }
    return status;
}

/* What the device only emulates gives right results, and its times would be taken for a measurement. */
static pk_status measure(const pk_bench_request *request, pk_contender *contenders, size_t count)
{
    pk_report *report = request->report;
    for (size_t i = 0; i < count; i++) {
        contenders[i].sits_out =
            contenders[i].active && (contenders[i].run.variant->needs & report->device.emulated) != 0;
        contenders[i].active &= !contenders[i].sits_out;
    }
    pk_status status = pk_measure(report, contenders, count, request->plan);
    for (size_t i = 0; i < count; i++)
        contenders[i].active |= contenders[i].sits_out;
    return status;
}

static pk_status run_contenders(const pk_bench_request *request, pk_run *lab_run, pk_contender *contenders,
                                size_t count)
{
    pk_status status = open_contenders(request, contenders, count);
    if (status == PK_OK && request->plan && !pk_interrupted())
        status = measure(request, contenders, count);
    if (status == PK_OK && request->pass + 1 >= request->passes)
        status = verify_after(request, lab_run, contenders, count, false);
    if (status == PK_OK && request->pass + 1 >= request->passes)
        status = verify_after(request, lab_run, contenders, count, true);
    return status;
}

pk_status pk_bench_set_up(pk_run *lab_run, uint64_t seed)
{
    const pk_lab *lab = lab_run->bench->lab;
    pk_watchdog_progress("the lab's set-up");
    pk_status status = lab->validate ? lab->validate(lab_run) : PK_OK;
    if (status == PK_OK)
        status = lab->setup(lab_run);
    return status == PK_OK ? lab->fill(lab_run, seed) : status;
}

void pk_bench_tear_down(pk_run *lab_run)
{
    if (lab_run->bench->lab_data && lab_run->bench->lab->teardown)
        lab_run->bench->lab->teardown(lab_run);
    if (lab_run->bench->peek_stream)
        pk_device_stream_destroy(lab_run->bench->peek_stream);
    pk_buffers_free(lab_run->bench);
}

static pk_bench bench_for(const pk_bench_request *request)
{
    return (pk_bench){.lab = request->report->lab,
                      .knobs = request->knobs,
                      .device = &request->report->device,
                      .stream = request->stream,
                      .shift = request->shift,
                      .of_sweep = request->of_sweep && request->plan};
}

pk_status pk_bench_run(const pk_bench_request *request)
{
    pk_bench bench = bench_for(request);
    pk_run lab_run = {.bench = &bench};
    choice choices[PK_MAX_CONTENDERS];
    pk_contender contenders[PK_MAX_CONTENDERS];
    const size_t count = choose(request, &lab_run, choices);
    size_t added = 0;
    pk_status status = refuse_others(request, &lab_run);
    if (status != PK_OK || count == 0)
        return status;
    status = pk_bench_set_up(&lab_run, request->seed);
    if (status == PK_OK)
        status = add_contenders(request, &bench, choices, contenders, count, &added);
    if (status == PK_OK && request->pass == 0)
        note_sizes(request->report, contenders, count);
    if (status == PK_OK) {
        status = run_contenders(request, &lab_run, contenders, count);
        for (size_t i = 0; i < count && !bench.stuck; i++)
            close_contender(request->report, &contenders[i]);
    }
    for (size_t i = 0; i < added; i++)
        pk_contender_release(&contenders[i]);
    if (bench.stuck)
        *request->stuck = true; /* releasing would wait for the kernel: the process's end releases */
    else
        pk_bench_tear_down(&lab_run);
    return status;
}

/* Kernels that really ran in one repetition, by CUPTI, against what the launch macro counted. Only where no graph
 * was replayed: a graph's kernels are not launched one by one. */
static void count_kernels(pk_report *report, pk_contender *contender, void *data)
{
    (void)data;
    pk_result *result = &report->results[contender->result];
    double wall;
    uint64_t kernels = 0;
    if (pk_repetition_prepare(&contender->run, PK_HOT) != PK_OK || !pk_cupti_start())
        return;
    pk_status status = pk_repetition_execute(&contender->run, &wall);
    bool counted = pk_cupti_stop(&kernels);
    if (status != PK_OK || !counted)
        return;
    result->launches_per_token_cupti = (double)kernels / result->tokens;
    double macro = (double)contender->run.launches.launches / result->tokens;
    if (result->graph_replays_per_token > 0 || fabs(macro - result->launches_per_token_cupti) * result->tokens < 0.5)
        return;
    pk_contender_fail(
        report, contender,
        pk_fail(PK_WRONG,
                "PK_LAUNCH counted %g kernels a token, but %g ran by CUPTI's count: launch every kernel with "
                "PK_LAUNCH",
                macro, result->launches_per_token_cupti));
}

/* ---- each variant that passed, once more and alone ---- */

static bool is_visited(const pk_bench_request *request, const pk_result *result)
{
    return result->status == PK_OK && result->cache == request->cache;
}

typedef void visit_contender(pk_report *report, pk_contender *contender, void *data);

static pk_status visit_one(const pk_bench_request *request, pk_bench *bench, size_t result, visit_contender *visit,
                           void *data)
{
    pk_report *report = request->report;
    pk_contender contender;
    *request->current = result;
    pk_status status = pk_contender_init(&contender, bench, variant_of(&report->results[result]), result);
    if (status == PK_OK) {
        open_contender(request, &contender, false);
        if (contender.active)
            visit(report, &contender, data);
        status = check_device_lost(report, &contender, 1, 0);
        if (!bench->stuck)
            close_contender(report, &contender);
    }
    pk_contender_release(&contender);
    return status;
}

static pk_status visit_passed(const pk_bench_request *request, visit_contender *visit, void *data)
{
    pk_report *report = request->report;
    pk_bench bench = bench_for(request);
    pk_run lab_run = {.bench = &bench};
    pk_status status = pk_bench_set_up(&lab_run, request->seed);
    for (size_t i = request->first_result; i < report->result_count && status == PK_OK && !pk_interrupted(); i++)
        if (is_visited(request, &report->results[i]))
            status = visit_one(request, &bench, i, visit, data);
    if (bench.stuck)
        *request->stuck = true;
    else
        pk_bench_tear_down(&lab_run);
    return status;
}

pk_status pk_bench_count_kernels(const pk_bench_request *request)
{
    return visit_passed(request, count_kernels, NULL);
}

static pk_status one_repetition(pk_run *run)
{
    double wall;
    const pk_status status = pk_repetition_execute(run, &wall);
    return status == PK_OK ? pk_device_synchronize() : status; /* streams of the variant's own, too */
}

/* The second of two: with the first, code is loaded, and the runtime and the source of the recording have what they
 * need. On an H100 CUPTI's first launch takes 2.4 ms. */
static pk_status record_repetition(pk_run *run, pk_trace *trace)
{
    pk_record_begin(trace);
    pk_status status = pk_repetition_prepare(run, PK_HOT);
    if (status == PK_OK)
        status = one_repetition(run);
    if (status == PK_OK)
        status = pk_repetition_prepare(run, PK_HOT);
    if (status == PK_OK) {
        run->trace = trace;
        pk_record_repetition_begins(trace);
        status = one_repetition(run);
        run->trace = NULL;
    }
    pk_record_end(trace);
    return status;
}

static void trace_contender(pk_report *report, pk_contender *contender, void *data)
{
    pk_trace_set *set = data;
    pk_trace *trace = &set->traces[set->count];
    char what[160];
    snprintf(what, sizeof what, "variant '%s' (trace)", contender->run.variant->name);
    pk_watchdog_progress(what);
    const pk_status status = record_repetition(&contender->run, trace);
    if (status != PK_OK) {
        pk_contender_fail(report, contender, status);
        pk_repetition_left_behind(&contender->run);
        const size_t limit = trace->limit;
        pk_trace_free(trace);
        pk_trace_init(trace, limit);
        return;
    }
    trace->variant = contender->run.variant->name;
    trace->is_baseline = report->results[contender->result].is_baseline;
    trace->launches = contender->run.launches.launches;
    trace->replays = contender->run.launches.graph_replays;
    set->count++;
}

pk_status pk_bench_trace(const pk_bench_request *request, pk_trace_set *set)
{
    const pk_report *report = request->report;
    size_t wanted = 0;
    for (size_t i = request->first_result; i < report->result_count; i++)
        wanted += is_visited(request, &report->results[i]);
    set->count = 0;
    set->traces = calloc(wanted + 1, sizeof *set->traces);
    if (!set->traces)
        return pk_out_of_memory("the traces");
    for (size_t i = 0; i < wanted; i++)
        pk_trace_init(&set->traces[i], PK_TRACE_MOST_EVENTS / wanted);
    return wanted ? visit_passed(request, trace_contender, set) : PK_OK;
}

void pk_trace_set_free(pk_trace_set *set)
{
    for (size_t i = 0; set->traces && i < set->count; i++)
        pk_trace_free(&set->traces[i]);
    free(set->traces);
    *set = (pk_trace_set){NULL, 0};
}
