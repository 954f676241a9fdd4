/* A report as JSON, in the shape of harness/schema/result.v1.json. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate.h"
#include "pk/host.h"
#include "pk/steps.h"
#include "pk/utf8.h"
#include "throttle.h"

/* cJSON's functions take a NULL object or item and do nothing, and say so: one flag remembers that memory was out,
 * so that no call needs its own check. */
static _Thread_local bool out_of_memory;

/* The latencies of single tokens are most of a large file, and what it can do without: they are left out of one that
 * does not fit into memory with them. */
static _Thread_local bool without_tokens;

static cJSON *checked(cJSON *item)
{
    if (!item)
        out_of_memory = true;
    return item;
}

static void add(cJSON *parent, const char *name, cJSON *item)
{
    const cJSON_bool added = name ? cJSON_AddItemToObject(parent, name, item) : cJSON_AddItemToArray(parent, item);
    if (!added) {
        out_of_memory = true;
        cJSON_Delete(item);
    }
}

static cJSON *add_object(cJSON *parent, const char *name)
{
    cJSON *object = checked(cJSON_CreateObject());
    add(parent, name, object);
    return out_of_memory ? NULL : object;
}

static cJSON *add_array(cJSON *parent, const char *name)
{
    cJSON *array = checked(cJSON_CreateArray());
    add(parent, name, array);
    return out_of_memory ? NULL : array;
}

static void add_null(cJSON *parent, const char *name)
{
    add(parent, name, cJSON_CreateNull());
}

/* JSON has neither NaN nor infinities: both are unknown numbers in the file. */
static void add_number(cJSON *parent, const char *name, double value)
{
    add(parent, name, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

static void add_bool(cJSON *parent, const char *name, bool value)
{
    add(parent, name, cJSON_CreateBool(value));
}

/* NULL is null; bytes that are no UTF-8 are replaced. */
static void add_text(cJSON *parent, const char *name, const char *text)
{
    char *clean = text ? pk_utf8_clean(text) : NULL;
    if (text && !clean)
        out_of_memory = true;
    add(parent, name, clean ? cJSON_CreateString(clean) : cJSON_CreateNull());
    free(clean);
}

/* Text that is "" where there is none, in a place where the file has null for that. */
static void add_text_if_any(cJSON *parent, const char *name, const char *text)
{
    add_text(parent, name, text && *text ? text : NULL);
}

/* As decimal text: a double holds only 53 bits of it. */
static void add_seed(cJSON *parent, uint64_t seed)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, seed);
    add_text(parent, "seed", text);
}

/* ---- the run and its machine ---- */

static void add_steps(cJSON *run, const pk_report *report)
{
    if (!report->ladder_source_count) {
        add_null(run, "steps");
        return;
    }
    cJSON *object = add_object(run, "steps");
    pk_steps steps = pk_find_steps(report->ladder_sources, report->ladder_source_count);
    for (size_t i = 0; i < steps.count; i++) {
        char digest[PK_STEP_DIGEST_BYTES];
        pk_step_digest_text(digest, &steps.steps[i]);
        if (!steps.steps[i].lost)
            add_text(object, steps.steps[i].id, digest);
    }
    pk_steps_free(&steps);
}

static void add_run(cJSON *root, const pk_report *report, const pk_environment *environment)
{
    char id[128];
    cJSON *run = add_object(root, "run");
    pk_run_id(id, sizeof id, report);
    add_text(run, "id", id);
    add_text(run, "started_utc", report->started_utc);
    cJSON *argv = add_array(run, "argv");
    for (int i = 0; i < report->argc; i++)
        add_text(argv, NULL, report->argv[i]);
    add_text(run, "command_line", report->command_line);
    add_text(run, "program", report->program);
    add_seed(run, report->seed);
    add_bool(run, "quick", report->quick);
    add_steps(run, report);
    if (!environment->git_known) {
        add_null(run, "git");
        return;
    }
    cJSON *git = add_object(run, "git");
    add_text(git, "commit", environment->git_commit);
    add_bool(git, "dirty", environment->git_dirty);
}

static void add_environment(cJSON *root, const pk_report *report, const pk_environment *environment)
{
    cJSON *object = add_object(root, "environment");
    add_text(object, "os", environment->os);
    add_text(object, "cpu", environment->cpu);
    add_number(object, "cpu_cores", environment->cpu_cores);
    add_text(object, "driver", report->device.driver);
    add_text(object, "toolkit", report->device.toolkit);
    add_text(object, "compiler", environment->compiler);
    add_text(object, "device_compiler", environment->device_compiler);
    add_text(object, "flags", environment->flags);
    add_text(object, "build_type", environment->build_type);
    cJSON *tools = add_object(object, "tools");
    add_bool(tools, "nvml", environment->nvml);
    add_bool(tools, "cupti", environment->cupti);
    add_bool(tools, "nvtx", environment->nvtx);
}

static void add_throttle_reasons(cJSON *clocks, uint64_t mask)
{
    cJSON *reasons = add_array(clocks, "throttle_reasons");
    for (uint64_t bit = 1; bit != 0; bit <<= 1) {
        char hexadecimal[24];
        if (!(mask & bit))
            continue;
        (void)snprintf(hexadecimal, sizeof hexadecimal, "0x%" PRIx64, bit);
        add_text(reasons, NULL, pk_throttle_word(bit) ? pk_throttle_word(bit) : hexadecimal);
    }
}

static double known_or_nan(int value)
{
    return value >= 0 ? (double)value : (double)NAN;
}

static void add_clocks(cJSON *clocks, const char *name, const pk_clock_state *state)
{
    if (!state->known) {
        add_null(clocks, name);
        return;
    }
    cJSON *object = add_object(clocks, name);
    add_number(object, "sm_mhz", known_or_nan(state->sm_mhz));
    add_number(object, "memory_mhz", known_or_nan(state->memory_mhz));
    add_number(object, "temperature_c", known_or_nan(state->temperature_c));
    add_number(object, "power_w", known_or_nan(state->power_w));
    add_bool(object, "throttled", pk_nvml_throttled(state));
    add_throttle_reasons(object, state->throttle_reasons);
}

static void add_limit(cJSON *limits, const pk_report *report, const char *name, const char *unit)
{
    const pk_summary *summary = pk_report_limit(report, name);
    if (!summary) {
        add_null(limits, name);
        return;
    }
    cJSON *object = add_object(limits, name);
    add_text(object, "unit", unit);
    add_number(object, "median", summary->median);
    add_number(object, "p10", summary->p10);
    add_number(object, "p90", summary->p90);
    add_number(object, "count", (double)summary->count);
}

static void add_device(cJSON *root, const pk_report *report)
{
    const pk_device_info *device = &report->device;
    cJSON *object = add_object(root, "device");
    add_text(object, "backend", device->backend);
    add_text(object, "kind", device->is_gpu ? "gpu" : "cpu");
    add_text(object, "name", device->name);
    add_text(object, "arch", device->arch);
    add_number(object, "processors", device->processors);
    add_number(object, "warp_size", device->warp_size);
    add_number(object, "l2_bytes", (double)device->l2_bytes);
    add_number(object, "memory_bytes", (double)device->memory_bytes);
    cJSON *clocks = add_object(object, "clocks");
    add_clocks(clocks, "before", &report->clocks_before);
    add_clocks(clocks, "after", &report->clocks_after);
    cJSON *limits = add_object(object, "limits");
    add_limit(limits, report, PK_LIMIT_LAUNCH, "us");
    add_limit(limits, report, PK_LIMIT_LAUNCH_SYNC, "us");
    add_limit(limits, report, PK_LIMIT_GAP, "us");
    add_limit(limits, report, PK_LIMIT_READ, "GB/s");
}

static void add_lab(cJSON *root, const pk_report *report)
{
    cJSON *lab = add_object(root, "lab");
    add_text(lab, "id", report->lab->id);
    add_text(lab, "title", report->lab->title);
    cJSON *knobs = add_array(lab, "knobs");
    for (size_t i = 0; i < report->knob_count; i++) {
        cJSON *knob = add_object(knobs, NULL);
        add_text(knob, "name", report->lab->knobs[i].name);
        add_text(knob, "unit", report->lab->knobs[i].unit ? report->lab->knobs[i].unit : "");
        const pk_knob *described = &report->lab->knobs[i];
        cJSON *choices = described->choices ? add_array(knob, "choices") : NULL;
        for (long long c = 0; choices && c <= described->maximum; c++)
            add_text(choices, NULL, described->choices[c]);
    }
}

/* ---- one result ---- */

static void add_validation(cJSON *parent, const char *name, const pk_validation *validation)
{
    const pk_verdict *verdict = &validation->verdict;
    const bool wrong = verdict->wrong > 0;
    if (!validation->done) {
        add_null(parent, name);
        return;
    }
    cJSON *object = add_object(parent, name);
    add_seed(object, validation->seed);
    add_number(object, "checked", (double)verdict->checked);
    add_number(object, "wrong", (double)verdict->wrong);
    add_number(object, "first_wrong", wrong ? (double)verdict->first_wrong : NAN);
    add_number(object, "got", wrong ? verdict->got : NAN);
    add_number(object, "want", wrong ? verdict->want : NAN);
    add_number(object, "worst_error", verdict->worst_error);
    add_number(object, "bound", verdict->bound);
    add_text(object, "note", verdict->note);
}

static void add_numbers(cJSON *parent, const char *name, const pk_samples *samples)
{
    cJSON *array = add_array(parent, name);
    for (size_t i = 0; i < samples->count; i++)
        add_number(array, NULL, samples->values[i]);
}

static void add_samples(cJSON *parent, const char *name, const pk_samples *samples)
{
    const pk_summary summary = pk_summarise(samples->values, samples->count);
    if (summary.count == 0) {
        add_null(parent, name);
        return;
    }
    cJSON *object = add_object(parent, name);
    add_number(object, "median", summary.median);
    add_number(object, "p10", summary.p10);
    add_number(object, "p90", summary.p90);
    add_number(object, "p99", summary.p99);
    add_number(object, "min", summary.minimum);
    add_number(object, "max", summary.maximum);
    add_number(object, "mean", summary.mean);
    add_number(object, "relative_spread", summary.relative_spread);
    add_number(object, "count", (double)summary.count);
    add_numbers(object, "samples", samples);
}

static void add_timing(cJSON *parent, const pk_result *result)
{
    cJSON *timing = add_object(parent, "timing");
    add_text(timing, "unit", "us");
    add_text(timing, "per", "repetition");
    add_number(timing, "rounds", (double)result->rounds);
    add_number(timing, "dropped_throttled", (double)result->dropped_throttled);
    add_bool(timing, "settled", result->settled);
    add_samples(timing, "wall", &result->wall);
    add_samples(timing, "device", &result->device);
    add_samples(timing, "submit", &result->submit);
    if (without_tokens)
        add_null(timing, "token");
    else
        add_samples(timing, "token", &result->token);
}

static void add_speedup(cJSON *parent, const pk_result *result)
{
    if (result->is_baseline || !isfinite(result->speedup)) {
        add_null(parent, "speedup");
        return;
    }
    cJSON *speedup = add_object(parent, "speedup");
    add_number(speedup, "median", result->speedup);
    add_number(speedup, "low", result->speedup_interval.low);
    add_number(speedup, "high", result->speedup_interval.high);
    add_number(speedup, "rounds", (double)result->ratio.count);
    add_numbers(speedup, "ratios", &result->ratio);
}

static void add_derived(cJSON *parent, const pk_result *result, const pk_derived *figures)
{
    cJSON *derived = add_object(parent, "derived");
    add_number(derived, "tokens", result->tokens);
    add_number(derived, "us_per_token", figures->us_per_token);
    add_number(derived, "tokens_per_s", figures->tokens_per_s);
    add_number(derived, "bytes_per_token", result->bytes_per_token);
    add_number(derived, "flops_per_token", result->flops_per_token);
    add_number(derived, "gb_per_s", figures->gb_per_s);
    add_number(derived, "percent_of_read_limit", figures->percent_of_read_limit);
}

static void add_model(cJSON *parent, const pk_result *result, const pk_derived *figures)
{
    if (!result->model || !isfinite(result->predicted_us_per_token)) {
        add_null(parent, "model");
        return;
    }
    cJSON *model = add_object(parent, "model");
    add_text(model, "name", result->model);
    add_number(model, "predicted_us_per_token", result->predicted_us_per_token);
    add_number(model, "error_percent", figures->model_error_percent);
}

static void add_outcome(cJSON *object, const pk_report *report, const pk_result *result)
{
    add_text(object, "variant", result->variant);
    add_text(object, "summary", result->summary ? result->summary : "");
    add_text(object, "role", result->is_baseline ? "baseline" : "ladder");
    cJSON *params = add_object(object, "params");
    for (size_t i = 0; i < report->knob_count; i++)
        add_number(params, report->lab->knobs[i].name, pk_knob_in_units(&report->lab->knobs[i], result->knobs[i]));
    add_text(object, "cache", result->cache == PK_COLD ? "cold" : "hot");
    add_text(object, "status", pk_status_word(result->status));
    add_text_if_any(object, "reason", result->reason);
    add_text_if_any(object, "open_step", result->open_step);
    cJSON *validation = add_object(object, "validation");
    add_validation(validation, "before", &result->before);
    add_validation(validation, "after", &result->after);
    add_validation(validation, "fresh", &result->fresh);
    if (result->awkward_sizes)
        add_number(validation, "awkward_sizes", (double)result->awkward_sizes);
}

static void add_result(cJSON *results, const pk_report *report, const pk_result *result)
{
    const pk_derived figures = pk_result_derived(result, report);
    cJSON *object = add_object(results, NULL);
    add_outcome(object, report, result);
    add_timing(object, result);
    cJSON *phases = add_object(object, "phases");
    add_number(phases, "prepare_us", result->prepare_us);
    add_number(phases, "first_execute_us", result->first_execute_us);
    add_number(phases, "finish_us", result->finish_us);
    add_number(phases, "held_bytes", result->held_bytes);
    cJSON *parts = result->phase_count > 0 ? add_object(phases, "parts_us") : NULL;
    for (size_t i = 0; i < result->phase_count; i++)
        add_number(parts, result->phases[i].name, result->phases[i].us);
    cJSON *measures = result->measure_count > 0 ? add_object(object, "measures") : NULL;
    for (size_t i = 0; i < result->measure_count; i++)
        add_number(measures, result->measures[i].name, result->measures[i].value);
    cJSON *launches = add_object(object, "launches");
    add_number(launches, "per_token", result->launches_per_token);
    add_number(launches, "graph_replays_per_token", result->graph_replays_per_token);
    add_number(launches, "per_token_cupti", result->launches_per_token_cupti);
    add_speedup(object, result);
    add_derived(object, result, &figures);
    add_model(object, result, &figures);
}

/* ---- what follows from the results ---- */

static void add_interval(cJSON *parent, const char *name, pk_interval interval)
{
    cJSON *object = add_object(parent, name);
    add_number(object, "low", interval.low);
    add_number(object, "high", interval.high);
}

static void add_fit(cJSON *fits, const pk_fit *fit)
{
    cJSON *object = add_object(fits, NULL);
    add_text(object, "name", fit->name);
    add_text(object, "unit", fit->unit ? fit->unit : "");
    add_number(object, "intercept", fit->line.intercept);
    add_number(object, "slope", fit->line.slope);
    add_interval(object, "intercept_interval", fit->line.intercept_interval);
    add_interval(object, "slope_interval", fit->line.slope_interval);
    add_number(object, "r_squared", fit->line.r_squared);
    add_number(object, "count", (double)fit->line.count);
}

static void add_figure(cJSON *figures, const pk_figure *figure)
{
    cJSON *object = add_object(figures, NULL);
    add_text(object, "name", figure->name);
    add_text(object, "unit", figure->unit ? figure->unit : "");
    add_number(object, "value", figure->value);
}

static void add_target(cJSON *targets, const pk_target_outcome *outcome)
{
    cJSON *object = add_object(targets, NULL);
    add_text(object, "name", outcome->target->name);
    add_text(object, "kind", pk_target_kind_word(outcome->target->kind));
    add_text(object, "subject", outcome->target->subject);
    add_number(object, "wanted", outcome->target->value);
    add_number(object, "measured", outcome->measured);
    add_bool(object, "judged", outcome->judged);
    add_bool(object, "passed", outcome->judged && outcome->passed);
    add_text_if_any(object, "stated_for", outcome->target->stated_for);
}

static void add_lists(cJSON *root, const pk_report *report)
{
    cJSON *results = add_array(root, "results");
    for (size_t i = 0; i < report->result_count; i++)
        add_result(results, report, &report->results[i]);
    cJSON *fits = add_array(root, "fits");
    for (size_t i = 0; i < report->fit_count; i++)
        add_fit(fits, &report->fits[i]);
    cJSON *figures = add_array(root, "figures");
    for (size_t i = 0; i < report->figure_count; i++)
        add_figure(figures, &report->figures[i]);
    cJSON *targets = add_array(root, "targets");
    for (size_t i = 0; i < report->target_count; i++)
        add_target(targets, &report->targets[i]);
    cJSON *peers = report->peer_file_count ? add_array(root, "peers") : NULL;
    for (size_t i = 0; i < report->peer_file_count; i++)
        add_text(peers, NULL, report->peer_files[i]);
}

/* What every file begins with: what was run, where, on which device. */
static cJSON *document_begin(const pk_report *report, const char *schema)
{
    pk_environment environment;
    cJSON *root = checked(cJSON_CreateObject());
    pk_environment_read(&environment);
    add_text(root, "schema", schema);
    add_number(root, "version", 1);
    add_run(root, report, &environment);
    add_environment(root, report, &environment);
    add_device(root, report);
    return root;
}

static cJSON *document_of(const pk_report *report)
{
    cJSON *root = document_begin(report, "pk-result");
    add_lab(root, report);
    add_text(root, "status", pk_status_word(report->status));
    add_text_if_any(root, "note", report->note);
    add_lists(root, report);
    return root;
}

/* For the caller to release with cJSON_free; NULL when memory is out. */
static char *text_of(const pk_report *report, bool tokens)
{
    out_of_memory = false;
    without_tokens = !tokens;
    cJSON *document = document_of(report);
    char *text = out_of_memory ? NULL : cJSON_Print(document);
    cJSON_Delete(document);
    return text;
}

/* Frees the text. */
static pk_status write_text(char *text, const char *path)
{
    const size_t length = strlen(text);
    text[length] = '\n'; /* in place of the final NUL, which pk_write_file does not need */
    pk_status status = pk_write_file(path, text, length + 1);
    cJSON_free(text);
    return status;
}

pk_status pk_report_write_json(const pk_report *report, const char *path)
{
    char *text = text_of(report, true);
    const bool whole = text != NULL;
    if (!whole)
        text = text_of(report, false);
    if (!text)
        return pk_out_of_memory(path);
    pk_status status = write_text(text, path);
    if (status == PK_OK && !whole)
        status = pk_fail(PK_FAULT,
                         "%s: written without the latencies of single tokens: out of host memory; raise the limit "
                         "(ulimit -v), or ask for a shorter run (docs/troubleshooting.md#out-of-memory)",
                         path);
    return status;
}

/* ---- a calibration ---- */

static void add_calibrated(cJSON *figures, const pk_calibrated *figure)
{
    cJSON *object = add_object(figures, NULL);
    add_text(object, "name", figure->name);
    add_text(object, "unit", figure->unit);
    add_text(object, "what", figure->what);
    add_text(object, "status", pk_status_word(figure->status));
    add_text(object, "reason", figure->reason);
    add_number(object, "median", figure->summary.median);
    add_number(object, "p10", figure->summary.p10);
    add_number(object, "p90", figure->summary.p90);
    add_number(object, "count", (double)figure->summary.count);
}

pk_status pk_calibration_write_json(const pk_report *report, const pk_calibrated *figures, size_t count,
                                    const char *path)
{
    out_of_memory = false;
    cJSON *root = document_begin(report, "pk-calibration");
    add_text(root, "status", pk_status_word(report->status));
    add_text_if_any(root, "note", report->note);
    cJSON *array = add_array(root, "figures");
    for (size_t i = 0; i < count; i++)
        add_calibrated(array, &figures[i]);
    char *text = out_of_memory ? NULL : cJSON_Print(root);
    cJSON_Delete(root);
    return text ? write_text(text, path) : pk_out_of_memory(path);
}
