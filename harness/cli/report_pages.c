/* A whole report: one page, written as HTML that needs nothing beside it, and as Markdown with its figures beside it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evidence.h"
#include "pk/result.h"
#include "plot.h"
#include "quote.h"
#include "report.h"
#include "worklog.h"

/* ---- the beginning ---- */

static void summary_row(page *to, const cli_result *result)
{
    const cli_point *best = report_best_rung(result), *baseline = report_baseline(result);
    char *us = report_number("%.4g", best ? best->us_per_token : (double)NAN), *where = cli_evidence_where(result);
    page_cell(to, "%s %s%s", result->lab, result->title, cli_is_cpu_device(result) ? " (CPU device)" : "");
    page_cell(to, "%s", baseline ? baseline->variant : "-");
    page_cell(to, "%s", best ? best->variant : "-");
    page_cell(to, "%s", us);
    if (best)
        page_cell(to, "%.3g (%.3g to %.3g)", best->speedup, best->speedup_low, best->speedup_high);
    else
        page_cell(to, "-");
    page_cell(to, "%.*s", (int)strcspn(where, ":"), where);
    free(where);
    free(us);
}

static void put_summary(page *to, const report_files *files)
{
    static const char *const heads[] = {"lab", "baseline", "fastest rung", "us/token", "speedup (95%)", "evidence"};
    page_heading(to, 2, "Summary");
    page_table(to, sizeof heads / sizeof heads[0], 0x18);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        page_cell(to, "%s", heads[i]);
    for (size_t i = 0; i < files->count; i++)
        summary_row(to, &files->results[i]);
    page_text(
        to,
        "At the default point of each lab. A speedup is the median of paired ratios over the baseline, measured in "
        "turn, with its 95%% interval. %s means by a run on this machine; %s by one on another, or by others; %s "
        "by a model, before it was run; %s that the figure is taken back, with the reason.",
        PAGE_STRONG "Measured here" PAGE_STRONG, PAGE_STRONG "measured elsewhere" PAGE_STRONG,
        PAGE_STRONG "predicted" PAGE_STRONG, PAGE_STRONG "withdrawn" PAGE_STRONG);
}

static bool any_is_cpu_device(const report_files *files)
{
    bool any = false;
    for (size_t i = 0; i < files->count; i++)
        any |= cli_is_cpu_device(&files->results[i]);
    return any;
}

static void put_beginning(page *to, const report_files *files, const char *command)
{
    const cli_result *first = &files->results[0];
    bool same = true;
    for (size_t i = 0; i < files->count; i++)
        same &= !strcmp(files->results[i].device, first->device);
    page_heading(to, 1, "Persistent kernels and execution graphs: %s%s", files->count == 1 ? first->title : "the labs",
                 same ? "" : ", on several devices");
    if (any_is_cpu_device(files))
        page_text(to, PAGE_STRONG "CPU device, not a GPU." PAGE_STRONG
                                  " What ran on it was checked; its times say nothing about a GPU.");
    page_text(to, "Measured on one %s%s.", first->device, same ? "" : " and others: each lab says on which");
    page_text(to, "To get this report again, from the same result files:");
    page_code(to, command);
    put_summary(to, files);
}

/* ---- figures ---- */

typedef struct gallery {
    page *to;
    const char *stored;  /* the folder with the figures; NULL: as they are drawn */
    cli_names not_drawn; /* "lab01-timeline: why" */
} gallery;

static void put_figure(gallery *into, const plot_drawing *drawing)
{
    char *caption = plot_caption(drawing), *file = cli_format("%s.svg", drawing->name);
    char *path = cli_format("%s/%s", into->stored ? into->stored : "", file);
    char *there = into->stored ? cli_read_file(path) : NULL;
    if (there)
        page_figure(into->to, file, there, strlen(there), caption);
    else if (!into->stored)
        page_figure(into->to, file, drawing->images[PLOT_SVG], drawing->image_bytes[PLOT_SVG], caption);
    else
        page_item(into->to, "Not stored: %s; ./lab plot draws it", file);
    free(there);
    free(path);
    free(file);
    free(caption);
}

static pk_status take_figure(void *context, const plot_drawing *drawing)
{
    gallery *into = context;
    if (drawing->why_not) {
        char *line = cli_format("%s: %s", drawing->name, drawing->why_not);
        cli_names_add(&into->not_drawn, line);
        free(line);
    } else {
        put_figure(into, drawing);
    }
    return PK_OK;
}

/* A figure that cannot be drawn does not undo the report: it says why. */
static void put_figures(page *to, const cli_result *result, const char *stored)
{
    const plot_wanted wanted = {.formats = {[PLOT_SVG] = true}};
    gallery into = {to, stored, {NULL, 0}};
    size_t left_out = 0;
    if (plot_result(result, &wanted, take_figure, &into, &left_out) != PK_OK)
        page_text(to, "Figures: %s", pk_error_text());
    if (left_out)
        page_text(to, "The first %d variants are drawn; %zu more have no room.", PLOT_MOST_VARIANTS, left_out);
    for (size_t i = 0; i < into.not_drawn.count; i++)
        page_item(to, "Not drawn: %s", into.not_drawn.names[i]);
    cli_names_free(&into.not_drawn);
}

/* ---- a lab ---- */

static void put_withdrawn(page *to, const cli_result *result)
{
    const char *last = "";
    size_t count = 0;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (strcmp(point->status, "withdrawn") != 0)
            continue;
        if (!count++)
            page_heading(to, 3, "Withdrawn");
        char *knobs = cli_knobs_apart(result, point);
        if (strcmp(last, point->reason) != 0)
            page_text(to, "%s", point->reason);
        page_item(to, "%s at %s", point->variant, *knobs ? knobs : "the default point");
        last = point->reason;
        free(knobs);
    }
}

static void put_lab(page *to, const cli_result *result, const report_wanted *wanted)
{
    const cli_point *headline = cli_headline(result);
    char *where = cli_evidence_where(result);
    page_heading(to, 2, "%s %s", result->lab, result->title);
    page_text(to, "%s%s, %s, " PAGE_CODE "%s" PAGE_CODE ", %s%s; %s.",
              cli_is_cpu_device(result) ? PAGE_STRONG "CPU device, not a GPU." PAGE_STRONG " " : "", result->device,
              result->backend, result->program, result->started_utc, result->is_quick ? ", a quick run" : "", where);
    free(where);
    if (*result->note)
        page_text(to, "The run ended early: %s", result->note);
    if (!headline) {
        page_text(to, "The run ended before its first result.");
        return;
    }
    char *knobs = cli_knobs_text(result, headline->knobs);
    page_text(to, "At %s:", knobs);
    free(knobs);
    report_points(to, result, false);
    report_reasons(to, result);
    report_beside(to, result);
    report_targets(to, result->path);
    put_figures(to, result, wanted->stored ? wanted->folder : NULL);
    page_heading(to, 3, "What was verified");
    report_verified(to, result->path);
    put_withdrawn(to, result);
    page_fold(to, "What the lab's analysis makes of it%s", wanted->all ? ", and every point" : "");
    report_analysis(to, result->path);
    if (wanted->all)
        report_points(to, result, true);
    page_unfold(to);
}

/* ---- the work log ---- */

static void log_row(page *to, size_t number, const work_entry *entry)
{
    static const work_field shown[] = {WORK_MEASURED, WORK_HYPOTHESIS, WORK_CHANGE,
                                       WORK_COMMAND,  WORK_RESULT,     WORK_VERDICT};
    page_cell(to, "%zu", number);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        char *plain = cli_plain(entry->fields[shown[i]]);
        page_cell(to, "%s", *plain ? plain : "-");
        free(plain);
    }
}

static void put_log(page *to, const work_log *log, const char *lab)
{
    static const char *const heads[] = {"", "measured", "hypothesis", "change", "command", "result", "verdict"};
    page_heading(to, 3, "%s", lab);
    page_table(to, sizeof heads / sizeof heads[0], 0);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        page_cell(to, "%s", heads[i]);
    for (size_t i = 0; i < log->count; i++)
        log_row(to, i + 1, &log->entries[i]);
}

void report_logs(page *to, const report_files *files)
{
    cli_labs labs = cli_find_labs();
    bool any = false;
    for (size_t i = 0; i < labs.count; i++) {
        bool is_in = false;
        for (size_t k = 0; k < files->count; k++)
            is_in |= !strcmp(files->results[k].lab, labs.labs[i].id);
        work_log log = {0};
        const pk_status status = is_in ? work_log_read(&log, &labs.labs[i]) : PK_OK;
        if (!any && (log.count || status != PK_OK))
            page_heading(to, 2, "Work log");
        any |= log.count || status != PK_OK;
        if (status != PK_OK)
            page_text(to, "%s", pk_error_text());
        else if (log.count)
            put_log(to, &log, labs.labs[i].id);
        work_log_free(&log);
    }
    cli_labs_free(&labs);
}

/* ---- writing ---- */

page *report_page(const report_files *files, const report_wanted *wanted)
{
    page *to = page_new();
    char *folder = cli_folder_of(files->results[0].path);
    put_beginning(to, files, wanted->command);
    page_heading(to, 2, "How it was measured");
    report_runs(to, files);
    report_machines(to, files);
    report_calibration(to, files, folder);
    for (size_t i = 0; i < files->count; i++)
        put_lab(to, &files->results[i], wanted);
    if (!wanted->stored)
        report_logs(to, files);
    free(folder);
    return to;
}

typedef struct destination {
    const char *folder;
    pk_status status;
} destination;

static void write_file(destination *into, const char *name, const char *data, size_t bytes)
{
    char *path = cli_format("%s/%s", into->folder, name);
    if (into->status == PK_OK)
        into->status = pk_write_file(path, data, bytes);
    free(path);
}

static void write_figure(const char *file, const char *image, size_t bytes, void *context)
{
    write_file(context, file, image, bytes);
}

char *report_text(const page *from, bool html)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    if (!memory) {
        pk_fail(PK_USAGE, "memory is out; close other programs and try again");
        return NULL;
    }
    if (html)
        page_put_html(from, memory);
    else
        page_put_markdown(from, memory, CLI_WIDTH);
    fclose(memory);
    return text;
}

static void write_page(const page *from, destination *into, bool html)
{
    char *text = report_text(from, html);
    if (text)
        write_file(into, html ? "report.html" : "report.md", text, strlen(text));
    else
        into->status = PK_USAGE;
    if (into->status == PK_OK)
        cli_say(2, "wrote %s/report.%s", cli_relative(into->folder), html ? "html" : "md");
    free(text);
}

pk_status report_write(const report_files *files, const report_wanted *wanted)
{
    destination into = {wanted->folder, pk_folder_writable(wanted->folder)};
    if (into.status != PK_OK)
        return into.status;
    page *report = report_page(files, wanted);
    if (wanted->markdown) {
        page_each_figure(report, write_figure, &into);
        write_page(report, &into, false);
    }
    if (wanted->html && into.status == PK_OK)
        write_page(report, &into, true);
    page_free(report);
    return into.status;
}
