/* One set of knobs from set-up to tear-down: every variant is prepared, verified, timed, verified again. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"

enum { MAX_TOKENS_KEPT = 4096 };

/* ---- failures ---- */

void pk_contender_fail(pk_report *report, pk_contender *contender, pk_status status)
{
    pk_result *result = &report->results[contender->result];
    contender->active = false;
    result->status = status;
    free(result->reason);
    result->reason = strdup(pk_error_text());
    if (status == PK_TODO && !result->open_step)
        result->open_step = strdup(contender->run.open_step);
}

static pk_status judge(const char *when, uint64_t seed, const pk_verdict *verdict)
{
    if (verdict->checked == 0)
        return pk_fail(PK_WRONG, "%s: nothing was checked: the lab's verify must look at every output", when);
    if (verdict->wrong == 0)
        return PK_OK;
    return pk_fail(PK_WRONG, "%s: %llu of %llu outputs wrong (seed %llu); first at [%llu]: got %.9g, want %.9g%s%s",
                   when, (unsigned long long)verdict->wrong, (unsigned long long)verdict->checked,
                   (unsigned long long)seed, (unsigned long long)verdict->first_wrong, verdict->got, verdict->want,
                   verdict->note[0] ? ": " : "", verdict->note);
}

/* ---- one verified repetition ---- */

static pk_status execute_and_judge(pk_run *run, const char *when, pk_validation *validation, double *wall_us)
{
    pk_bench *bench = run->bench;
    pk_status status = pk_buffers_poison(bench);
    if (status == PK_OK)
        status = pk_repetition_prepare(run, PK_HOT);
    if (status == PK_OK)
        status = pk_repetition_execute(run, wall_us);
    if (status == PK_OK)
        status = bench->lab->verify(run, &validation->verdict);
    if (status != PK_OK)
        return status;
    validation->done = true;
    status = judge(when, validation->seed, &validation->verdict);
    return status == PK_OK ? pk_buffers_check_guards(bench) : status;
}

static void verify(pk_report *report, pk_contender *contender, const char *when, uint64_t seed,
                   pk_validation *validation, double *wall_us)
{
    char what[160];
    snprintf(what, sizeof what, "variant '%s' (%s)", contender->run.variant->name, when);
    pk_watchdog_progress(what);
    validation->seed = seed;
    pk_status status = execute_and_judge(&contender->run, when, validation, wall_us);
    if (status != PK_OK)
        pk_contender_fail(report, contender, status);
}

/* ---- from prepare to finish ---- */

static void note_launches(pk_result *result)
{
    pk_launch_counts counts;
    pk_launch_counts_read(&counts);
    result->launches_per_token = (double)counts.launches / result->tokens;
    result->graph_replays_per_token = (double)counts.graph_replays / result->tokens;
}

static void open_contender(pk_report *report, pk_contender *contender, uint64_t seed)
{
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
    double start = pk_now_us();
    pk_status status = run->variant->prepare ? run->variant->prepare(run) : PK_OK;
    result->prepare_us = pk_now_us() - start;
    if (status != PK_OK) {
        pk_contender_fail(report, contender, status);
        return;
    }
    verify(report, contender, "before timing", seed, &result->before, &result->first_execute_us);
    if (contender->active)
        note_launches(result);
}

static void close_contender(pk_report *report, pk_contender *contender)
{
    pk_run *run = &contender->run;
    double start = pk_now_us();
    if (run->variant->finish)
        run->variant->finish(run);
    report->results[contender->result].finish_us = pk_now_us() - start;
    for (size_t i = 0; i < run->stream_count; i++)
        pk_device_stream_destroy(run->streams[i]);
    run->stream_count = 0;
    free(run->token_us);
    run->token_us = NULL;
}

/* Kernels that really ran in one repetition, by CUPTI, against what the launch macro counted. Only where no graph
 * was replayed: a graph's kernels are not launched one by one. After the timing, which CUPTI would slow. */
static void count_kernels(pk_report *report, pk_contender *contender)
{
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
    double macro = result->launches_per_token;
    if (result->graph_replays_per_token > 0 || fabs(macro - result->launches_per_token_cupti) * result->tokens < 0.5)
        return;
    pk_contender_fail(
        report, contender,
        pk_fail(PK_WRONG,
                "PK_LAUNCH counted %g kernels a token, but %g ran by CUPTI's count: launch every kernel with "
                "PK_LAUNCH",
                macro, result->launches_per_token_cupti));
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

static bool excluded(const pk_bench_request *request, const char *name)
{
    const pk_report *report = request->report;
    for (size_t i = 0; i < request->only_passed_before; i++)
        if (strcmp(report->results[i].variant, name) == 0 && report->results[i].status != PK_OK)
            return true;
    return false;
}

static size_t add_contenders(const pk_bench_request *request, pk_bench *bench, pk_contender *contenders)
{
    pk_variant_list lists[2] = {pk_baseline_variants(), pk_ladder_variants()};
    size_t count = 0;
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < lists[l].count && count < PK_MAX_CONTENDERS; i++) {
            const pk_variant *variant = &lists[l].variants[i];
            /* The first baseline always runs: every ratio is against it. */
            bool needed = l == 0 && i == 0;
            if ((!needed && !named(request->variants, variant->name)) || excluded(request, variant->name))
                continue;
            pk_result *result = pk_report_add(request->report, bench->knobs);
            result->variant = variant->name;
            result->summary = variant->summary;
            result->is_baseline = l == 0;
            result->cache = request->cache;
            pk_contender *contender = &contenders[count++];
            memset(contender, 0, sizeof *contender);
            /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): close_contender frees what the one before holds */
            contender->run.bench = bench;
            contender->run.variant = variant;
            contender->run.token_us = calloc(MAX_TOKENS_KEPT, sizeof *contender->run.token_us);
            contender->run.token_capacity = contender->run.token_us ? MAX_TOKENS_KEPT : 0;
            contender->result = (size_t)(result - request->report->results);
        }
    }
    return count;
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
    if (report->results[contenders[culprit].result].status != PK_FAULT || pk_device_synchronize() == PK_OK)
        return PK_OK;
    for (size_t i = culprit + 1; i < count; i++)
        pk_contender_fail(report, &contenders[i],
                          pk_fail(PK_SKIP,
                                  "not run: the device was lost to the fault in '%s'; run it alone with --variant=%s",
                                  contenders[culprit].run.variant->name, contenders[i].run.variant->name));
    for (size_t i = 0; i < culprit; i++)
        contenders[i].active = false;
    return pk_fail(PK_FAULT, "the device was lost to the fault in '%s': %s", contenders[culprit].run.variant->name,
                   report->results[contenders[culprit].result].reason);
}

static pk_status run_contenders(const pk_bench_request *request, pk_run *lab_run, pk_contender *contenders,
                                size_t count)
{
    pk_report *report = request->report;
    const pk_lab *lab = lab_run->bench->lab;
    for (size_t i = 0; i < count && !pk_interrupted(); i++) {
        *request->current = contenders[i].result;
        open_contender(report, &contenders[i], request->seed);
        pk_status status = check_device_lost(report, contenders, count, i);
        if (status != PK_OK)
            return status;
    }
    if (request->plan && !pk_interrupted()) {
        pk_status status = pk_measure(report, contenders, count, request->plan);
        if (status != PK_OK)
            return status;
    }
    for (int pass = 0; pass < 2 && !pk_interrupted(); pass++) {
        uint64_t seed = request->seed + (uint64_t)pass;
        pk_status status = pass == 1 ? lab->fill(lab_run, seed) : PK_OK;
        if (status != PK_OK)
            return status;
        for (size_t i = 0; i < count; i++) {
            pk_result *result = &report->results[contenders[i].result];
            double wall;
            if (contenders[i].active)
                verify(report, &contenders[i], pass ? "with fresh inputs" : "after timing", seed,
                       pass ? &result->fresh : &result->after, &wall);
            status = check_device_lost(report, contenders, count, i);
            if (status != PK_OK)
                return status;
        }
    }
    for (size_t i = 0; i < count && request->count_kernels && !pk_interrupted(); i++)
        if (contenders[i].active)
            count_kernels(report, &contenders[i]);
    return PK_OK;
}

static pk_status set_up(pk_run *lab_run, uint64_t seed)
{
    const pk_lab *lab = lab_run->bench->lab;
    pk_watchdog_progress("the lab's set-up");
    pk_status status = lab->validate ? lab->validate(lab_run) : PK_OK;
    if (status == PK_OK)
        status = lab->setup(lab_run);
    return status == PK_OK ? lab->fill(lab_run, seed) : status;
}

pk_status pk_bench_run(const pk_bench_request *request)
{
    pk_bench bench = {.lab = request->report->lab,
                      .knobs = request->knobs,
                      .device = &request->report->device,
                      .stream = request->stream};
    pk_run lab_run = {.bench = &bench};
    pk_contender contenders[PK_MAX_CONTENDERS];
    size_t count = 0;
    pk_status status = set_up(&lab_run, request->seed);
    if (status == PK_OK) {
        count = add_contenders(request, &bench, contenders);
        note_sizes(request->report, contenders, count);
        status = run_contenders(request, &lab_run, contenders, count);
        for (size_t i = 0; i < count; i++)
            close_contender(request->report, &contenders[i]);
    }
    if (bench.lab_data && bench.lab->teardown)
        bench.lab->teardown(&lab_run);
    pk_buffers_free(&bench);
    return status;
}
