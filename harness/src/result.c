/* A run's results in memory. */
#include "pk/result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

pk_status pk_samples_add(pk_samples *samples, double value)
{
    if (samples->count == samples->capacity) {
        const size_t capacity = samples->capacity ? 2 * samples->capacity : 64;
        double *values = realloc(samples->values, capacity * sizeof *values);
        if (!values)
            return pk_out_of_memory("results");
        samples->values = values;
        samples->capacity = capacity;
    }
    samples->values[samples->count++] = value;
    return PK_OK;
}

void pk_samples_free(pk_samples *samples)
{
    free(samples->values);
    *samples = (pk_samples){0};
}

static bool room_for_one(pk_report *report)
{
    if (report->result_count < report->result_capacity)
        return true;
    const size_t capacity = report->result_capacity ? 2 * report->result_capacity : 16;
    pk_result *results = realloc(report->results, capacity * sizeof *results);
    if (!results)
        return false;
    report->results = results;
    report->result_capacity = capacity;
    return true;
}

pk_result *pk_report_add(pk_report *report, const long long *knobs)
{
    long long *own_knobs = malloc((report->knob_count + 1) * sizeof *own_knobs);
    if (!own_knobs || !room_for_one(report)) {
        free(own_knobs);
        (void)pk_out_of_memory("results");
        return NULL;
    }
    if (report->knob_count > 0)
        memcpy(own_knobs, knobs, report->knob_count * sizeof *knobs);
    pk_result *result = &report->results[report->result_count++];
    *result = (pk_result){
        .knobs = own_knobs,
        .tokens = NAN,
        .prepare_us = NAN,
        .first_execute_us = NAN,
        .finish_us = NAN,
        .held_bytes = NAN,
        .launches_per_token = NAN,
        .graph_replays_per_token = NAN,
        .launches_per_token_cupti = NAN,
        .speedup = NAN,
        .speedup_interval = {NAN, NAN},
        .bytes_per_token = NAN,
        .flops_per_token = NAN,
        .predicted_us_per_token = NAN,
    };
    return result;
}

bool pk_measure_note(pk_measured *measures, size_t *count, const char *name, double value)
{
    size_t i = 0;
    while (i < *count && strcmp(measures[i].name, name) != 0)
        i++;
    if (i == PK_MAX_MEASURES || strlen(name) >= sizeof measures[i].name)
        return false;
    if (i == *count) {
        snprintf(measures[i].name, sizeof measures[i].name, "%s", name);
        measures[(*count)++].value = value;
    } else if (value > measures[i].value || isnan(value)) {
        measures[i].value = value;
    }
    return true;
}

static void free_result(pk_result *result)
{
    free(result->knobs);
    free(result->reason);
    free(result->open_step);
    pk_samples_free(&result->wall);
    pk_samples_free(&result->device);
    pk_samples_free(&result->submit);
    pk_samples_free(&result->token);
    pk_samples_free(&result->ratio);
    for (size_t i = 0; i < result->span_count; i++)
        pk_samples_free(&result->spans[i].us);
}

void pk_report_drop(pk_report *report, size_t first)
{
    while (report->result_count > first)
        free_result(&report->results[--report->result_count]);
}

void pk_report_free(pk_report *report)
{
    pk_report_drop(report, 0);
    for (size_t i = 0; i < report->fit_count; i++) {
        free(report->fits[i].name);
        free(report->fits[i].unit);
    }
    for (size_t i = 0; i < report->figure_count; i++) {
        free(report->figures[i].name);
        free(report->figures[i].unit);
    }
    for (size_t i = 0; i < report->peer_count; i++) {
        free(report->peers[i].variant);
        free(report->peers[i].knobs);
    }
    for (size_t i = 0; i < report->peer_file_count; i++)
        free(report->peer_files[i]);
    free(report->peers);
    free(report->peer_files);
    free(report->results);
    free(report->fits);
    free(report->figures);
    free(report->targets);
    free(report->limit_summaries);
    free(report->program);
    free(report->command_line);
    free(report->note);
    *report = (pk_report){0};
}

const pk_summary *pk_report_limit(const pk_report *report, const char *name)
{
    for (size_t i = 0; i < report->limit_count; i++)
        if (strcmp(report->limit_summaries[i].name, name) == 0 && report->limit_summaries[i].summary.count > 0)
            return &report->limit_summaries[i].summary;
    return NULL;
}

pk_derived pk_result_derived(const pk_result *result, const pk_report *report)
{
    const pk_summary *read = pk_report_limit(report, PK_LIMIT_READ);
    const double us_per_token = pk_median(result->wall.values, result->wall.count) / result->tokens;
    pk_derived derived = {.us_per_token = us_per_token, .tokens_per_s = 1e6 / us_per_token};
    derived.gb_per_s = result->bytes_per_token / us_per_token * 1e-3; /* bytes a microsecond are 1e-3 GB/s */
    derived.percent_of_read_limit = read ? 100.0 * derived.gb_per_s / read->median : NAN;
    derived.model_error_percent = 100.0 * (result->predicted_us_per_token - us_per_token) / us_per_token;
    return derived;
}

static const char *const target_kinds[] = {
    [PK_TARGET_SPEEDUP_AT_LEAST] = "speedup_at_least",
    [PK_TARGET_LAUNCHES_AT_MOST] = "launches_at_most",
    [PK_TARGET_FIGURE_AT_LEAST] = "figure_at_least",
    [PK_TARGET_FIGURE_AT_MOST] = "figure_at_most",
};

const char *pk_target_kind_word(pk_target_kind kind)
{
    return target_kinds[kind];
}

double pk_knob_in_units(const pk_knob *knob, long long value)
{
    double units = (double)value;
    for (int i = 0; i < knob->decimals; i++)
        units /= 10;
    return units;
}

void pk_knob_text(char *text, size_t bytes, const pk_knob *knob, long long value)
{
    if (knob->choices && value >= 0 && value <= knob->maximum)
        snprintf(text, bytes, "%s", knob->choices[value]);
    else if (knob->decimals > 0)
        snprintf(text, bytes, "%g", pk_knob_in_units(knob, value));
    else
        snprintf(text, bytes, "%lld", value);
}
