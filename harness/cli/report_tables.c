/* The tables of times of a report. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "evidence.h"
#include "report.h"

char *report_number(const char *format, double value)
{
    char text[64] = "-";
    if (isfinite(value))
        (void)snprintf(text, sizeof text, format, value);
    if (strchr(text, 'e') && fabs(value) >= 1 && fabs(value) < 1e7)
        (void)snprintf(text, sizeof text, "%.0f", value);
    return cli_copy(text, strlen(text));
}

static void number_cell(page *to, const char *format, double value)
{
    char *text = report_number(format, value);
    page_cell(to, "%s", text);
    free(text);
}

/* "stream (cold) (`peer_other.py`)" */
static void variant_cell(page *to, const cli_point *point)
{
    const bool is_peer = point->peer[0] != '\0';
    page_cell(to, "%s%s%s%s%s", point->variant, strcmp(point->cache, "cold") ? "" : " (cold)",
              is_peer ? " (" PAGE_CODE : "", point->peer, is_peer ? PAGE_CODE ")" : "");
}

/* One row a variant and point: a default point that the sweep measured again stands for both. */
static bool is_shown(const cli_point *point, bool all)
{
    return all ? !point->is_repeat : point->is_default && !strcmp(point->cache, "hot");
}

static void knob_cells(page *to, const cli_result *result, const cli_point *point)
{
    for (size_t i = 0; i < result->knob_count; i++) {
        char *value = isfinite(point->knobs[i]) ? cli_knob_text(result, i, point->knobs[i]) : cli_copy("-", 1);
        page_cell(to, "%s", value);
        free(value);
    }
}

static void time_cells(page *to, const cli_point *point)
{
    number_cell(to, "%.4g", point->us_per_token);
    if (isfinite(point->speedup))
        page_cell(to, "%.3g (%.3g to %.3g)", point->speedup, point->speedup_low, point->speedup_high);
    else
        page_cell(to, "-");
}

static void rate_cells(page *to, const cli_point *point)
{
    number_cell(to, "%.4g", point->launches_per_token);
    number_cell(to, "%.4g", point->gb_per_s);
    number_cell(to, "%.2g", point->percent_of_read_limit);
}

/* ---- what `./lab report` prints ---- */

static void short_table(page *to, const cli_result *result, bool all)
{
    page_table(to, 7 + (all ? result->knob_count : 0), 0);
    page_cell(to, "variant");
    for (size_t i = 0; all && i < result->knob_count; i++)
        page_cell(to, "%s", result->knob_names[i]);
    static const char *const heads[] = {"status", "us/token", "speedup (95%)", "launches", "GB/s", "% B_read"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        page_cell(to, "%s", heads[i]);
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (!is_shown(point, all))
            continue;
        variant_cell(to, point);
        if (all)
            knob_cells(to, result, point);
        page_cell(to, "%s", point->status);
        time_cells(to, point);
        rate_cells(to, point);
    }
}

void report_reasons(page *to, const cli_result *result)
{
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (point->reason[0] && is_shown(point, false))
            page_item(to, PAGE_CODE "%s" PAGE_CODE " %s: %s", point->variant, point->status, point->reason);
    }
}

void report_beside(page *to, const cli_result *result)
{
    for (size_t i = 0; i < result->published_count; i++)
        page_item(to, "%s, %.4g us/token: published, not measured here: %s", result->published[i].name,
                  result->published[i].us_per_token, result->published[i].source);
    for (size_t i = 0; i < result->remarks.count; i++)
        page_item(to, "%s", result->remarks.names[i]);
}

/* Does the peer have a row? */
static bool has_rows(const cli_result *result, const char *peer, bool all)
{
    for (size_t i = 0; i < result->point_count; i++)
        if (is_shown(&result->points[i], all) && !strcmp(result->points[i].peer, peer))
            return true;
    return false;
}

/* A line each, for one paragraph: the run; the point of the table; what stands beside it. In new memory. */
static char *about(const cli_result *result, bool all)
{
    const cli_point *headline = cli_headline(result);
    char *text = cli_format("%s%s, %s, " PAGE_CODE "%s" PAGE_CODE ", %s%s",
                            cli_is_cpu_device(result) ? PAGE_STRONG "CPU device, not a GPU." PAGE_STRONG " " : "",
                            result->device, result->backend, result->program, result->started_utc,
                            result->is_quick ? ", a quick run (" PAGE_CODE "--quick" PAGE_CODE ")" : "");
    if (headline) {
        char *knobs = cli_knobs_text(result, headline->knobs);
        const char *sweep = cli_has_sweep(result) ? " (" PAGE_CODE "--all" PAGE_CODE " for the whole sweep)" : "";
        char *longer = all ? cli_format("%s\n(the default point is %s)", text, knobs)
                           : cli_format("%s\nat %s%s", text, knobs, sweep);
        free(knobs);
        free(text);
        text = longer;
    }
    for (size_t i = 0; i < result->peers.count; i++) {
        const char *nothing = has_rows(result, result->peers.names[i], all)
                                  ? ""
                                  : ", which has nothing at this point (" PAGE_CODE "--all" PAGE_CODE
                                    " shows what it has)";
        char *longer = cli_format("%s\nbeside it, from a run of its own: " PAGE_CODE "%s" PAGE_CODE ", %s%s", text,
                                  result->peers.names[i], result->peers_started_utc.names[i], nothing);
        free(text);
        text = longer;
    }
    return text;
}

void report_result(page *to, const cli_result *result, bool all)
{
    char *text = about(result, all), *where = cli_evidence_where(result);
    page_heading(to, 2, "%s %s", result->lab, result->title);
    page_text(to, "%s\n%s", text, where);
    if (cli_headline(result)) {
        short_table(to, result, all);
        report_reasons(to, result);
        report_beside(to, result);
    } else {
        page_text(to, "The run ended before its first result.");
    }
    free(where);
    free(text);
}

/* ---- a whole report's ---- */

const cli_point *report_best_rung(const cli_result *result)
{
    const cli_point *best = NULL;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (point->is_default && !strcmp(point->cache, "hot") && !strcmp(point->role, "ladder") && !point->peer[0] &&
            isfinite(point->speedup) && (!best || point->speedup > best->speedup))
            best = point;
    }
    return best;
}

const cli_point *report_baseline(const cli_result *result)
{
    for (size_t i = 0; i < result->point_count; i++)
        if (result->points[i].is_default && !strcmp(result->points[i].role, "baseline"))
            return &result->points[i];
    return NULL;
}

/* The label of what a row shows; `measured` is that of what has a time. */
static const char *label(const cli_point *point, const char *measured)
{
    if (!strcmp(point->status, "withdrawn"))
        return PAGE_STRONG "withdrawn" PAGE_STRONG;
    return cli_passed(point) ? measured : "-";
}

static void full_row(page *to, const cli_result *result, const cli_point *point, bool with_knobs, const char *measured)
{
    variant_cell(to, point);
    if (with_knobs)
        knob_cells(to, result, point);
    page_cell(to, "%s", point->status);
    time_cells(to, point);
    number_cell(to, "%.4g", point->predicted_us_per_token);
    rate_cells(to, point);
    page_cell(to, "%s", label(point, measured));
}

static void published_rows(page *to, const cli_result *result)
{
    for (size_t i = 0; i < result->published_count; i++) {
        page_cell(to, "%s", result->published[i].name);
        page_cell(to, "not run");
        page_cell(to, "%.4g", result->published[i].us_per_token);
        for (size_t k = 0; k < 5; k++)
            page_cell(to, "-");
        page_cell(to, "published");
    }
}

void report_points(page *to, const cli_result *result, bool all)
{
    const size_t knobs = all ? result->knob_count : 0;
    static const char *const heads[] = {"status",   "us/token", "speedup (95%)", "us/token, predicted",
                                        "launches", "GB/s",     "% B_read",      "evidence"};
    const uint64_t numbers = 0x7e; /* the columns of `heads` that hold numbers */
    char *where = cli_evidence_where(result);
    const char *measured = strcmp(where, "measured here") ? "measured elsewhere" : where;
    page_table(to, 1 + knobs + sizeof heads / sizeof heads[0],
               numbers << (1 + knobs) | (((uint64_t)1 << knobs) - 1) << 1);
    page_cell(to, "variant");
    for (size_t i = 0; i < knobs; i++)
        page_cell(to, "%s", result->knob_names[i]);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        page_cell(to, "%s", heads[i]);
    for (size_t i = 0; i < result->point_count; i++)
        if (is_shown(&result->points[i], all))
            full_row(to, result, &result->points[i], all, measured);
    if (!all)
        published_rows(to, result);
    free(where);
}
