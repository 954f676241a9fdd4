/* Reports with a bit of everything; the lab is made up. */
#include "sample_report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const pk_knob knobs[] = {{"n", "floats", "vector length", 1024, 256, 1, 1 << 22, NULL, 0},
                                {"k", "steps a token", "dependent steps", 150, 10, 1, 1000, NULL, 0}};
static const pk_target targets[] = {{"stream over sync", PK_TARGET_SPEEDUP_AT_LEAST, "stream", 2.3, "NVIDIA H200"},
                                    {"launches of fused", PK_TARGET_LAUNCHES_AT_MOST, "fused", 1, "NVIDIA H200"},
                                    {"fit", PK_TARGET_FIGURE_AT_LEAST, "r squared", 0.999, NULL},
                                    {"model", PK_TARGET_FIGURE_AT_MOST, "largest model error", 5, "NVIDIA H200"}};
static const pk_lab lab = {.id = "lab99", .title = "A \"quoted\" title", .knobs = knobs, .knob_count = 2};
static char *const arguments[] = {"bin/lab99", "--note=\xff\"x\"", "--seed", "18446744073709551615"};

static void begin(pk_report *report)
{
    *report = (pk_report){.lab = &lab, .knob_count = 2, .argc = 4, .argv = (char **)arguments, .seed = UINT64_MAX};
    (void)snprintf(report->started_utc, sizeof report->started_utc, "2026-11-20T12:00:00Z");
    report->program = strdup("lab99_solution");
    static const pk_source ladder[] = {
        {"optimized.cu", "/* STEP lab99.1 for stream: launch */ launch(); /* END lab99.1 */"},
        {"chain.cu", "/* STEP lab99.2 for chain: wait */ wait(); /* END lab99.2 */"}};
    report->ladder_sources = ladder;
    report->ladder_source_count = PK_COUNT(ladder);
    report->command_line = strdup("bin/lab99 --seed 18446744073709551615");
}

static void set_device(pk_report *report, const char *backend, const char *name, const char *arch)
{
    pk_device_info *device = &report->device;
    (void)snprintf(device->backend, sizeof device->backend, "%s", backend);
    (void)snprintf(device->name, sizeof device->name, "%s", name);
    (void)snprintf(device->arch, sizeof device->arch, "%s", arch);
    device->is_gpu = strcmp(backend, "cpu") != 0;
    device->processors = 132;
    device->warp_size = 32;
    device->l2_bytes = (size_t)60 << 20;
    device->memory_bytes = (size_t)141 << 30;
}

static void set_limits(pk_report *report)
{
    static const char *const names[] = {PK_LIMIT_LAUNCH, PK_LIMIT_LAUNCH_SYNC, PK_LIMIT_GAP, PK_LIMIT_READ};
    static const double medians[] = {3.2, 8.2, 1.1, 4000.0};
    report->limit_summaries = calloc(4, sizeof *report->limit_summaries);
    report->limit_count = 4;
    for (size_t i = 0; i < 4; i++) {
        report->limit_summaries[i].name = names[i];
        report->limit_summaries[i].unit = i == 3 ? "GB/s" : "us";
        report->limit_summaries[i].summary = pk_summarise(&medians[i], 1);
    }
}

static pk_result *add(pk_report *report, const char *variant, bool is_baseline)
{
    pk_result *result = pk_report_add(report, (const long long[]){1024, 150});
    result->variant = variant;
    result->summary = "a variant";
    result->is_baseline = is_baseline;
    result->tokens = 2;
    result->bytes_per_token = 8.0 * 1024 * 150;
    result->flops_per_token = 2.0 * 1024 * 150;
    return result;
}

/* `us` is a repetition's time, of two tokens. */
static void time_it(pk_result *result, double us)
{
    for (int i = 0; i < 5; i++) {
        pk_samples_add(&result->wall, us + i);
        pk_samples_add(&result->device, us - 1 + i);
        pk_samples_add(&result->submit, us / 2 + i);
        pk_samples_add(&result->token, us / 2);
        if (!result->is_baseline)
            pk_samples_add(&result->ratio, 2.5 + 0.1 * i);
    }
    result->rounds = 5;
    result->settled = true;
    result->prepare_us = 2;
    result->first_execute_us = 3 * us;
    result->finish_us = 1;
    result->held_bytes = 4194304;
    result->measures[0] = (pk_measured){"logits-l2", 2e-4};
    result->measures[1] = (pk_measured){"perplexity", (double)NAN};
    result->measure_count = 2;
    result->launches_per_token = result->launches_per_token_cupti = 150;
    result->graph_replays_per_token = 0;
    result->before.done = result->after.done = result->fresh.done = true;
    result->before.seed = result->after.seed = UINT64_MAX;
    result->before.verdict.checked = result->after.verdict.checked = result->fresh.verdict.checked = 1024;
    if (!result->is_baseline) {
        result->speedup = 2.7;
        result->speedup_interval = (pk_interval){2.6, 2.8};
    }
}

static void add_analysis(pk_report *report)
{
    report->fits = calloc(2, sizeof *report->fits);
    report->fit_count = 2;
    report->fits[0] =
        (pk_fit){strdup("us a token over K"), strdup("us"), {1, 8.2, 0.1, 0.01, {0, 2}, {8.1, 8.3}, 1, 6}};
    report->fits[1] = (pk_fit){strdup("no fit"), NULL, {NAN, NAN, NAN, NAN, {NAN, NAN}, {NAN, NAN}, NAN, 0}};
    report->figures = calloc(2, sizeof *report->figures);
    report->figure_count = 2;
    report->figures[0] = (pk_figure){strdup("t_L"), strdup("us"), 3.2};
    report->figures[1] = (pk_figure){strdup("unknown"), NULL, INFINITY};
    report->targets = calloc(4, sizeof *report->targets);
    report->target_count = 4;
    for (size_t i = 0; i < 4; i++)
        report->targets[i] = (pk_target_outcome){&targets[i], 2.7, i != 1, i != 3}; /* [1]: passed, were it judged */
}

static void add_wrong(pk_report *report)
{
    pk_result *wrong = add(report, "wrong", false);
    wrong->status = PK_WRONG;
    wrong->reason = strdup("3 of 1024 elements wrong, \"NaN\" first");
    wrong->before = (pk_validation){true, 0, {1024, 3, 7, NAN, 250, INFINITY, 0, "a write past the end"}};
}

void sample_gpu_report(pk_report *report)
{
    begin(report);
    set_device(report, "cuda", "NVIDIA H200", "sm_90");
    set_limits(report);
    report->clocks_before = (pk_clock_state){1980, 3201, 35, 80, 0x1, true};
    report->clocks_after = (pk_clock_state){1200, -1, 88, -1, 0x24 | 0x8000, true};
    pk_result *sync = add(report, "sync", true);
    time_it(sync, 2400);
    sync->speedup = 1; /* over itself: nothing that a file should say */
    pk_result *stream = add(report, "stream", false);
    time_it(stream, 960);
    stream->model = "issue or execution";
    stream->predicted_us_per_token = 480;
    stream->dropped_throttled = 3;
    pk_result *cold = add(report, "fused", false);
    time_it(cold, 24);
    cold->cache = PK_COLD;
    cold->status = PK_MISSED;
    cold->reason = strdup("speedup 2.7 is below 100");
    add_wrong(report);
    add_analysis(report);
    report->status = PK_WRONG;
}

void sample_cpu_report(pk_report *report)
{
    begin(report);
    set_device(report, "cpu", "CPU device \xff\xc2\xb5", "cpu");
    report->quick = true;
    pk_result *skipped = add(report, "pdl", false);
    skipped->status = PK_SKIP;
    skipped->reason = strdup("the CPU device has no programmatic dependent launch");
    pk_result *todo = add(report, "fused", false);
    todo->status = PK_TODO;
    todo->reason = strdup("step lab99.3 is open");
    todo->open_step = strdup("lab99.3");
    pk_result *untimed = add(report, "sync", true);
    untimed->summary = NULL;
    untimed->tokens = NAN;
    report->status = PK_TODO;
    report->note = strdup("ended by SIGINT\tand \\ so on");
}

void sample_empty_report(pk_report *report)
{
    begin(report);
    set_device(report, "hip-nvidia", "NVIDIA H200", "sm_90");
    free(report->command_line);
    report->command_line = NULL;
    report->argc = 0;
    report->status = PK_FAULT;
    report->note = strdup("the device fell off the bus");
}

char *sample_text_of(const char *path)
{
    enum { MOST = 1 << 20 };
    FILE *file = fopen(path, "r");
    char *text = calloc(1, MOST);
    if (!file || !text) {
        perror(path);
        exit(1);
    }
    (void)fread(text, 1, MOST - 1, file);
    (void)fclose(file);
    (void)unlink(path);
    return text;
}
