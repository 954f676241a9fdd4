#include "analysis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pk_analysis {
    pk_report *report;
    const size_t *result_of; /* [points] */
    bool out_of_memory;      /* what the lab wanted recorded is not all there */
};

/* ---- what a lab's analysis records ---- */

void pk_analysis_fit(pk_analysis *analysis, const char *name, const char *unit, const pk_line *line)
{
    pk_report *report = analysis->report;
    pk_fit *fits = realloc(report->fits, (report->fit_count + 1) * sizeof *fits);
    pk_fit fit = {.name = strdup(name), .unit = strdup(unit), .line = *line};
    report->fits = fits ? fits : report->fits;
    if (fits && fit.name && fit.unit) {
        report->fits[report->fit_count++] = fit;
        return;
    }
    free(fit.name);
    free(fit.unit);
    analysis->out_of_memory = true;
}

void pk_analysis_prediction(pk_analysis *analysis, size_t point, const char *model, double predicted_us_per_token)
{
    pk_result *result = &analysis->report->results[analysis->result_of[point]];
    result->model = model;
    result->predicted_us_per_token = predicted_us_per_token;
}

void pk_analysis_figure(pk_analysis *analysis, const char *name, const char *unit, double value)
{
    pk_report *report = analysis->report;
    pk_figure *figures = realloc(report->figures, (report->figure_count + 1) * sizeof *figures);
    pk_figure figure = {.name = strdup(name), .unit = strdup(unit), .value = value};
    report->figures = figures ? figures : report->figures;
    if (figures && figure.name && figure.unit) {
        report->figures[report->figure_count++] = figure;
        return;
    }
    free(figure.name);
    free(figure.unit);
    analysis->out_of_memory = true;
}

const pk_peer_point *pk_analysis_peers(const pk_analysis *analysis, size_t *count)
{
    *count = analysis->report->peer_count;
    return analysis->report->peers;
}

static pk_point as_point(const pk_result *result)
{
    return (pk_point){.variant = result->variant,
                      .is_baseline = result->is_baseline,
                      .knobs = result->knobs,
                      .us_per_token = pk_median(result->wall.values, result->wall.count) / result->tokens,
                      .device_us_per_token = pk_median(result->device.values, result->device.count) / result->tokens,
                      .submit_us_per_token = pk_median(result->submit.values, result->submit.count) / result->tokens,
                      .token_p50_us = pk_median(result->token.values, result->token.count),
                      .token_p99_us = pk_quantile(result->token.values, result->token.count, 0.99),
                      .speedup = result->speedup,
                      .speedup_interval = result->speedup_interval,
                      .launches_per_token = result->launches_per_token,
                      .graph_replays_per_token = result->graph_replays_per_token,
                      .first_execute_us = result->first_execute_us,
                      .phases = result->phases,
                      .phase_count = result->phase_count};
}

pk_status pk_analyse(pk_report *report)
{
    if (!report->lab->analyse || report->result_count == 0)
        return PK_OK;
    pk_point *points = calloc(report->result_count, sizeof *points);
    size_t *result_of = calloc(report->result_count, sizeof *result_of);
    size_t count = 0;
    pk_status status = points && result_of ? PK_OK : pk_out_of_memory(report->lab->id);
    for (size_t i = 0; points && result_of && i < report->result_count; i++) {
        const pk_result *result = &report->results[i];
        if (result->status != PK_OK || result->cache != PK_HOT || result->wall.count == 0)
            continue;
        result_of[count] = i;
        points[count++] = as_point(result);
    }
    if (count > 0) {
        pk_analysis analysis = {.report = report, .result_of = result_of};
        status = report->lab->analyse(&report->limits, points, count, &analysis);
        if (status == PK_OK && analysis.out_of_memory)
            status = pk_out_of_memory(report->lab->id);
    }
    free(points);
    free(result_of);
    return status;
}

/* ---- targets ---- */

static const pk_result *find_result(const pk_report *report, const char *variant, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(report->results[i].variant, variant) == 0 && report->results[i].status == PK_OK)
            return &report->results[i];
    return NULL;
}

static double find_figure(const pk_report *report, const char *name)
{
    for (size_t i = 0; i < report->figure_count; i++)
        if (strcmp(report->figures[i].name, name) == 0)
            return report->figures[i].value;
    return NAN;
}

static double measured(const pk_report *report, const pk_target *target, size_t default_results)
{
    const pk_result *result;
    switch (target->kind) {
    case PK_TARGET_SPEEDUP_AT_LEAST:
        result = find_result(report, target->subject, default_results);
        return result ? result->speedup : NAN;
    case PK_TARGET_LAUNCHES_AT_MOST:
        result = find_result(report, target->subject, default_results);
        return result ? result->launches_per_token + result->graph_replays_per_token : NAN;
    default:
        return find_figure(report, target->subject);
    }
}

static bool reached(const pk_target *target, double value)
{
    bool at_least = target->kind == PK_TARGET_SPEEDUP_AT_LEAST || target->kind == PK_TARGET_FIGURE_AT_LEAST;
    return at_least ? value >= target->value : value <= target->value;
}

static bool default_knobs(const pk_report *report, const pk_options *options)
{
    for (size_t i = 0; i < report->knob_count; i++)
        if (options->knobs[i] != report->lab->knobs[i].value)
            return false;
    return true;
}

/* Times count on a GPU, at the sizes that the target was set for; launches count everywhere. But less than one a token
 * is one for as many tokens as the default has. */
static bool counts(const pk_target *target, bool is_gpu, bool at_defaults)
{
    return target->kind == PK_TARGET_LAUNCHES_AT_MOST ? target->value >= 1 || at_defaults : is_gpu && at_defaults;
}

pk_status pk_judge_targets(pk_report *report, const pk_options *options, size_t default_results)
{
    const pk_lab *lab = report->lab;
    report->targets = calloc(lab->target_count + 1, sizeof *report->targets);
    if (!report->targets)
        return pk_out_of_memory(lab->id);
    const bool at_defaults = default_knobs(report, options);
    for (size_t i = 0; i < lab->target_count; i++) {
        const pk_target *target = &lab->targets[i];
        pk_target_outcome *outcome = &report->targets[report->target_count++];
        outcome->target = target;
        outcome->measured = measured(report, target, default_results);
        outcome->judged = isfinite(outcome->measured) && counts(target, report->device.is_gpu, at_defaults);
        outcome->passed = outcome->judged && reached(target, outcome->measured);
    }
    return PK_OK;
}
