/* A report as CSV, one line a result, for spreadsheets: RFC 4180's quoting, an empty field for an unknown number. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder.h"
#include "pk/result.h"

/* A spreadsheet takes a field that begins with one of = + - @ as a formula, quoted or not: an apostrophe before it
 * makes it text. Numbers do not come through here. */
static void put_text(FILE *out, const char *text)
{
    if (!text)
        text = "";
    if (!*text || (!strpbrk(text, ",\"\r\n") && !strchr("=+-@", *text))) {
        (void)fputs(text, out);
        return;
    }
    (void)fputs(strchr("=+-@", *text) ? "\"'" : "\"", out);
    for (; *text; text++) {
        if (*text == '"')
            (void)fputc('"', out);
        (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

static void put_texts(FILE *out, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_text(out, texts[i]);
        (void)fputc(',', out);
    }
}

/* Shortest of 15 and 17 digits that reads back as the same number. */
static void put_number(FILE *out, double value)
{
    char text[32];
    if (!isfinite(value))
        return;
    (void)snprintf(text, sizeof text, "%.15g", value);
    const double again = strtod(text, NULL);
    if (again < value || again > value)
        (void)snprintf(text, sizeof text, "%.17g", value);
    (void)fputs(text, out);
}

static void put_numbers(FILE *out, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            (void)fputc(',', out);
        put_number(out, values[i]);
    }
}

static void put_heading(FILE *out, const pk_report *report)
{
    (void)fputs("run,program,device,kind,lab,variant,role,cache,status,reason,open_step,", out);
    for (size_t i = 0; i < report->knob_count; i++) {
        put_text(out, report->lab->knobs[i].name);
        (void)fputc(',', out);
    }
    (void)fputs(
        "tokens_per_repetition,us_per_token,tokens_per_s,gb_per_s,percent_of_read_limit,"
        "wall_median_us,wall_p10_us,wall_p90_us,wall_p99_us,wall_count,wall_relative_spread,"
        "device_median_us,submit_median_us,token_median_us,token_p99_us,"
        "prepare_us,first_execute_us,finish_us,"
        "launches_per_token,graph_replays_per_token,launches_per_token_cupti,"
        "speedup,speedup_low,speedup_high,rounds,dropped_throttled,predicted_us_per_token,model_error_percent\n",
        out);
}

static void put_result(FILE *out, const pk_report *report, const pk_result *result, const char *id)
{
    const pk_derived derived = pk_result_derived(result, report);
    const pk_summary wall = pk_summarise(result->wall.values, result->wall.count);
    const char *const texts[] = {id,
                                 report->program,
                                 report->device.name,
                                 report->device.is_gpu ? "gpu" : "cpu",
                                 report->lab->id,
                                 result->variant,
                                 result->is_baseline ? "baseline" : "ladder",
                                 result->cache == PK_COLD ? "cold" : "hot",
                                 pk_status_word(result->status),
                                 result->reason,
                                 result->open_step};
    const double numbers[] = {result->tokens,
                              derived.us_per_token,
                              derived.tokens_per_s,
                              derived.gb_per_s,
                              derived.percent_of_read_limit,
                              wall.median,
                              wall.p10,
                              wall.p90,
                              wall.p99,
                              (double)wall.count,
                              wall.relative_spread,
                              pk_median(result->device.values, result->device.count),
                              pk_median(result->submit.values, result->submit.count),
                              pk_median(result->token.values, result->token.count),
                              pk_quantile(result->token.values, result->token.count, 0.99),
                              result->prepare_us,
                              result->first_execute_us,
                              result->finish_us,
                              result->launches_per_token,
                              result->graph_replays_per_token,
                              result->launches_per_token_cupti,
                              result->speedup,
                              result->speedup_interval.low,
                              result->speedup_interval.high,
                              (double)result->rounds,
                              (double)result->dropped_throttled,
                              result->predicted_us_per_token,
                              derived.model_error_percent};
    put_texts(out, texts, sizeof texts / sizeof texts[0]);
    for (size_t i = 0; i < report->knob_count; i++) {
        char text[64];
        pk_knob_text(text, sizeof text, &report->lab->knobs[i], result->knobs[i]);
        (void)fprintf(out, "%s,", text);
    }
    put_numbers(out, numbers, sizeof numbers / sizeof numbers[0]);
    (void)fputc('\n', out);
}

pk_status pk_report_write_csv(const pk_report *report, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    char id[128];
    FILE *out = open_memstream(&text, &bytes);
    if (!out)
        return pk_file_failed(path, "write", errno);
    pk_run_id(id, sizeof id, report);
    put_heading(out, report);
    for (size_t i = 0; i < report->result_count; i++)
        put_result(out, report, &report->results[i], id);
    const bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return pk_file_failed(path, "write", ENOMEM);
    }
    const pk_status status = pk_write_file(path, text, bytes);
    free(text);
    return status;
}
