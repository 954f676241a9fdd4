/* The tables and variables that the scripts of the figures get.
 *
 * Every plots/<lab>-<figure>.gp is a figure of that lab; nothing here knows any of them. In a temporary folder a
 * script gets, beside the variables below, plain tables of the passed, steady-state ("hot") results. <knob> is a
 * knob's name with _ for -, which no name in gnuplot may hold.
 *
 *   points.dat        all results of the sweeps: a block (gnuplot's `index`) for each variant, in the order of
 *                     `variants`; rows ordered by the first knob, then the second, and so on. Columns: 1 us a token,
 *                     2 its p10, 3 its p90, 4 predicted us a token, 5 us a token of the variant "work-only" at the
 *                     same knobs (the same memory work without its launches), 6 on: the knobs, in the order of
 *                     `knobs`; then the p50 and the p99 of a token's latency, us (NaN where a sweep keeps no tokens);
 *                     launches a token, the paired speedup, the host's time inside calls that hand work over, us a
 *                     token, the first repetition, us, the largest error of an output, and the bytes that must move
 *                     at least, a token; then the parts of prepare and of a repetition, us, in the order of `phases`.
 *                     column_<knob>, column_p50, column_p99, column_launches, column_speedup, column_submit,
 *                     column_first, column_error, column_bytes and column_phase_<phase> say which
 *   along_<knob>.dat  of these the longest line, on which only that knob changes: blocks and columns as there, sorted
 *                     by the knob
 *   speedup.dat       at the headline knobs: 1 row, 2 variant, 3 speedup, 4 low, 5 high, 6 what stands in its place
 *   headline.dat      at the headline knobs, all variants, those of `peers` last: 1 row, 2 variant, 3 us a token, 4 its
 *                     p10, 5 its p90, 6 what stands in its place
 *   default.dat       the same results that have a time, with blocks and columns as in points.dat
 *   latency.dat       at the headline knobs: blocks as above. Columns: 1 us, 2 share of tokens at most that long;
 *                     latency_counts has the rows of each block
 *   untimed.dat       results of the sweeps that have no time (skipped, wrong, ...): blocks and columns as in
 *                     points.dat, and in column_reason "status: reason"
 *   timeline.dat      of the timeline lab01-trace.json beside lab01.json, up to the end of the second token: a block
 *                     for each of timeline_variants. Columns: 1 begin us, 2 end us, 3 track (0 is the host's, others
 *                     are the device's), 4 what (0 submission, 1 wait, 2 other call, 3 kernel, 4 copy or fill or host
 *                     function). What no figure could tell apart is one row
 *   timeline_close.dat  the same without that, as far as 2000 rows a variant go
 *
 * Variables: lab, title, device, is_cpu, processors, variants, drawn (those of them that have results), baselines
 * (those that are one), peers (those that another program's file brought: measured on the same device in another run,
 * never paired), baseline, knobs, headline_<knob>, values_<knob> (in the sweeps, ascending; a knob with names has their
 * numbers, from 0), names_<knob> (those names, '' for a knob of numbers), phases (parts of prepare that variants
 * timed); speedup_low, speedup_high (the ends of all intervals); launch_us, launch_sync_us, gap_us, read_gb_per_s;
 * slopes (a word for each variant: the slope of the fit that bears its name, or NaN); speedups (likewise);
 * along_<knob>_count (the most points that a variant has), along_<knob>_modelled (the variants with a prediction
 * there), along_<knob>_<other knob> (what the others were); timeline_variants ('' where there is none: timeline_why
 * says why), and a word for each of them in timeline_window (us, the end of the second token), timeline_close_up (us,
 * the end of the twelfth kernel), timeline_first_token (us), timeline_tokens (2, or as many as there are; where none
 * were reported, shares of the kernels), timeline_launches (of kernels and graphs, a token), timeline_tracks (the
 * device's); format ("svg", "png" or "pdf"), output, theme. What it leaves in
 * `says`, `about` and `note` (plots/theme.gp) is the figure's caption too. A script that has too little to draw prints
 * one line that says what is missing and ends with `exit status 77`.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/utf8.h"
#include "plot.h"
#include "quote.h"

#define REFERENCE_VARIANT "work-only"

enum {
    TITLE_WIDTH = 42,  /* letters that a figure's width holds */
    REASON_WIDTH = 30, /* letters that a bar's place holds */
    REASON_LINES = 2
};
#define MEASURED_COLUMNS ((size_t)5) /* of a table of points, before its knobs */
#define FURTHER_COLUMNS ((size_t)8)  /* behind them, before the phases */

/* ---- writing tables and variables ---- */

FILE *plot_create(const plot_figures *all, const char *name)
{
    char *path = cli_format("%s/%s", all->folder, name);
    FILE *file = fopen(path, "w");
    if (!file)
        pk_fail(PK_USAGE, "cannot write %s: %s; set TMPDIR to a folder with space", path, strerror(errno));
    free(path);
    return file;
}

pk_status plot_finish(FILE *file)
{
    int failed = ferror(file);
    if (fclose(file) != 0 || failed)
        return pk_fail(PK_USAGE, "a temporary file cannot be written: %s; set TMPDIR to a folder with space",
                       strerror(errno));
    return PK_OK;
}

static void put_number(FILE *file, double value)
{
    if (isfinite(value))
        fprintf(file, "%.9g", value);
    else
        fputs("NaN", file);
}

/* Exact: a knob may be a whole number of ten digits. */
static void put_knob(FILE *file, double value)
{
    fprintf(file, "%.15g", value);
}

/* A knob's name as gnuplot can have it: seq_len. In new memory. */
static char *gnuplot_name(const char *knob)
{
    char *name = cli_copy(knob, strlen(knob));
    for (char *letter = name; *letter; letter++)
        if (strchr("-.+", *letter))
            *letter = '_';
    return name;
}

/* ---- rows ---- */

static size_t columns_of(const plot_figures *all)
{
    return MEASURED_COLUMNS + all->result->knob_count + FURTHER_COLUMNS + all->phases.count;
}

/* Microseconds of that part of the point's prepare; NaN where it was not timed. */
static double phase_us(const cli_point *point, const char *name)
{
    for (size_t i = 0; i < point->phase_count; i++)
        if (!strcmp(point->phases[i].name, name))
            return point->phases[i].us;
    return (double)NAN;
}

/* What the reference variant took at the same knobs. */
static double reference_us(const plot_figures *all, const cli_point *point)
{
    const plot_variant *reference = plot_variant_named(all, REFERENCE_VARIANT);
    const size_t knobs = all->result->knob_count;
    size_t low = 0, high = reference ? reference->swept_count : 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const double *at = reference->swept[middle]->knobs;
        int order = 0;
        for (size_t i = 0; i < knobs && !order; i++)
            order = plot_by_value(at[i], point->knobs[i]);
        if (!order)
            return reference->swept[middle]->us_per_token;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return (double)NAN;
}

static void write_point(FILE *file, const plot_figures *all, const cli_point *point)
{
    const cli_result *result = all->result;
    const double values[] = {point->us_per_token, point->wall.p10 / point->tokens, point->wall.p90 / point->tokens,
                             point->predicted_us_per_token, reference_us(all, point)};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        put_number(file, values[i]);
        fputc(' ', file);
    }
    for (size_t i = 0; i < result->knob_count; i++) {
        put_knob(file, point->knobs[i]);
        fputc(' ', file);
    }
    const double further[FURTHER_COLUMNS] = {point->token.median, point->token.p99,           point->launches_per_token,
                                             point->speedup,      point->submit_us_per_token, point->first_execute_us,
                                             point->worst_error,  point->bytes_per_token};
    for (size_t i = 0; i < FURTHER_COLUMNS; i++) {
        put_number(file, further[i]);
        fputc(' ', file);
    }
    for (size_t i = 0; i < all->phases.count; i++) {
        put_number(file, phase_us(point, all->phases.names[i]));
        fputc(' ', file);
    }
}

/* An empty block would shift the ones after it: a variant without results gets a row of NaN. */
static void end_block(FILE *file, const plot_figures *all, size_t rows)
{
    if (rows == 0) {
        for (size_t column = 0; column < columns_of(all); column++)
            fputs("NaN ", file);
        fputs("\"\"\n", file);
    }
    fputs("\n\n", file);
}

/* "skipped: the CPU device has no ..." broken into lines that fit where the bar would be; \n for gnuplot. */
static void put_reason(FILE *file, const cli_point *point)
{
    const char *reason = point->reason[0] ? point->reason : "not timed";
    /* "programmatic dependent launch: the CPU device has no programmatic dependent launch": the first part repeats. */
    const char *colon = !strcmp(point->status, "skipped") ? strstr(reason, ": ") : NULL;
    if (colon)
        reason = colon + 2;
    char *text = cli_format("%s: %.*s", point->status, (int)strcspn(reason, ";"), reason);
    size_t column = 0, line = 1;
    char *rest = NULL;
    fputc('"', file);
    for (char *word = strtok_r(text, " \"\\", &rest); word; word = strtok_r(NULL, " \"\\", &rest)) {
        if (column && column + 1 + strlen(word) > REASON_WIDTH) {
            if (line++ == REASON_LINES) {
                fputs("...", file);
                break;
            }
            fputs("\\n", file);
            column = 0;
        }
        fprintf(file, "%s%s", column ? " " : "", word);
        column += strlen(word) + (column != 0);
    }
    fputs("\"\n", file);
    free(text);
}

/* ---- all points ---- */

static int ascending(const void *a, const void *b)
{
    return plot_by_value(*(const double *)a, *(const double *)b);
}

static void put_values(FILE *file, const plot_figures *all, size_t knob)
{
    char *name = gnuplot_name(all->result->knob_names[knob]);
    double *values = cli_grow(NULL, all->result->point_count + 1, sizeof *values);
    size_t count = 0;
    for (size_t v = 0; v < all->variant_count; v++)
        for (size_t i = 0; i < all->variants[v].swept_count; i++)
            if (isfinite(all->variants[v].swept[i]->knobs[knob]))
                values[count++] = all->variants[v].swept[i]->knobs[knob];
    qsort(values, count, sizeof *values, ascending);
    fprintf(file, "column_%s = %zu\nvalues_%s = '", name, MEASURED_COLUMNS + knob + 1, name);
    for (size_t i = 0; i < count; i++) {
        if (i && !(values[i] > values[i - 1]))
            continue;
        put_knob(file, values[i]);
        fputc(' ', file);
    }
    fputs("'\n", file);
    free(values);
    free(name);
}

static pk_status write_points(const plot_figures *all)
{
    FILE *file = plot_create(all, "points.dat");
    if (!file)
        return PK_USAGE;
    for (size_t v = 0; v < all->variant_count; v++) {
        const plot_variant *variant = &all->variants[v];
        for (size_t i = 0; i < variant->swept_count; i++) {
            write_point(file, all, variant->swept[i]);
            fputc('\n', file);
        }
        end_block(file, all, variant->swept_count);
    }
    return plot_finish(file);
}

static pk_status write_untimed(const plot_figures *all)
{
    FILE *file = plot_create(all, "untimed.dat");
    if (!file)
        return PK_USAGE;
    for (size_t v = 0; v < all->variant_count; v++) {
        const plot_variant *variant = &all->variants[v];
        for (size_t i = 0; i < variant->untimed_count; i++) {
            write_point(file, all, variant->untimed[i]);
            put_reason(file, variant->untimed[i]);
        }
        end_block(file, all, variant->untimed_count);
    }
    return plot_finish(file);
}

/* ---- lines: the sweep's results in which one knob changes ---- */

static bool on_line(const cli_result *result, const cli_point *a, const cli_point *b, size_t knob)
{
    for (size_t i = 0; i < result->knob_count; i++)
        if (i != knob && (a->knobs[i] < b->knobs[i] || a->knobs[i] > b->knobs[i]))
            return false;
    return true;
}

/* How many of the other knobs are the headline's. */
static size_t headline_knobs(const cli_result *result, const cli_point *point, size_t knob)
{
    const cli_point *headline = cli_headline(result);
    size_t count = 0;
    for (size_t i = 0; i < result->knob_count; i++)
        count += i != knob && !(point->knobs[i] < headline->knobs[i]) && !(point->knobs[i] > headline->knobs[i]);
    return count;
}

typedef struct line {
    const cli_point *point; /* the first of the file that is on it; NULL for no line */
    size_t length, shared;
} line;

static bool is_better(const line *a, const line *b)
{
    if (!b->point || a->length != b->length)
        return !b->point || a->length > b->length;
    return a->shared != b->shared ? a->shared > b->shared : a->point < b->point;
}

/* The lab's own line with most points; among equals the nearest to the headline knobs, then the first. */
static line best_line(const plot_figures *all, size_t knob)
{
    const cli_result *result = all->result;
    line best = {NULL, 0, 0};
    for (size_t v = 0; v < all->variant_count; v++) {
        const plot_variant *variant = &all->variants[v];
        if (variant->is_peer || !variant->swept_count)
            continue;
        const cli_point **points = cli_grow(NULL, variant->swept_count, sizeof *points);
        memcpy(points, variant->swept, variant->swept_count * sizeof *points);
        plot_sort_by_knobs(result, points, variant->swept_count, knob); /* those of a line are neighbours */
        for (size_t i = 0, next; i < variant->swept_count; i = next) {
            line found = {points[i], 0, headline_knobs(result, points[i], knob)};
            for (next = i; next < variant->swept_count && on_line(result, points[i], points[next], knob); next++)
                found.point = points[next] < found.point ? points[next] : found.point;
            found.length = next - i;
            if (is_better(&found, &best))
                best = found;
        }
        free(points);
    }
    return best;
}

/* The variant's block of the line's table; true when the model predicts a point of it. */
static bool write_block(FILE *file, const plot_figures *all, const plot_variant *variant, const cli_point *on,
                        size_t knob)
{
    size_t rows = 0;
    bool modelled = false;
    for (size_t i = 0; i < variant->swept_count; i++) {
        if (!on_line(all->result, on, variant->swept[i], knob))
            continue;
        write_point(file, all, variant->swept[i]);
        fputc('\n', file);
        modelled |= isfinite(variant->swept[i]->predicted_us_per_token);
        rows++;
    }
    end_block(file, all, rows);
    return modelled;
}

static void put_line(FILE *variables, const cli_result *result, const char *name, size_t knob, const cli_point *on)
{
    for (size_t i = 0; i < result->knob_count; i++) {
        if (i == knob)
            continue;
        char *other = gnuplot_name(result->knob_names[i]);
        fprintf(variables, "along_%s_%s = ", name, other);
        put_knob(variables, on->knobs[i]);
        fputc('\n', variables);
        free(other);
    }
}

static pk_status write_line(const plot_figures *all, FILE *variables, size_t knob)
{
    const cli_result *result = all->result;
    char *name = gnuplot_name(result->knob_names[knob]);
    char *table = cli_format("along_%s.dat", name);
    FILE *file = plot_create(all, table);
    free(table);
    if (file) {
        const line best = best_line(all, knob);
        fprintf(variables, "along_%s_count = %zu\n", name, best.length);
        if (best.point)
            put_line(variables, result, name, knob, best.point);
        fprintf(variables, "along_%s_modelled = '", name);
        for (size_t v = 0; v < all->variant_count && best.point; v++)
            if (write_block(file, all, &all->variants[v], best.point, knob))
                fprintf(variables, "%s ", all->variants[v].name);
        fputs("'\n", variables);
    }
    free(name);
    return file ? plot_finish(file) : PK_USAGE;
}

/* ---- at the headline knobs ---- */

/* One row: the speedup and its interval, which is the speedup itself where too few rounds gave none. */
static void write_speedup(FILE *file, size_t row, const cli_point *point, pk_interval *range)
{
    bool known = isfinite(point->speedup);
    double low = isfinite(point->speedup_low) ? point->speedup_low : point->speedup;
    double high = isfinite(point->speedup_high) ? point->speedup_high : point->speedup;
    fprintf(file, "%zu %s ", row, point->variant);
    if (!known) {
        fputs("NaN NaN NaN ", file);
        put_reason(file, point);
        return;
    }
    fprintf(file, "%.9g %.9g %.9g \"\"\n", point->speedup, low, high);
    range->low = fmin(range->low, low);
    range->high = fmax(range->high, high);
}

static pk_status write_speedups(const plot_figures *all, FILE *variables)
{
    FILE *file = plot_create(all, "speedup.dat");
    if (!file)
        return PK_USAGE;
    size_t row = 0;
    pk_interval range = {INFINITY, -INFINITY};
    for (size_t v = 0; v < all->variant_count; v++) {
        const cli_point *point = all->variants[v].headline;
        if (point && !point->peer[0] && !strcmp(point->role, "ladder"))
            write_speedup(file, ++row, point, &range);
    }
    fprintf(variables, "speedup_low = %.9g\nspeedup_high = %.9g\n", row && isfinite(range.low) ? range.low : 1,
            row && isfinite(range.high) ? range.high : 1);
    return plot_finish(file);
}

/* All variants, the baselines too. */
static pk_status write_headline(const plot_figures *all)
{
    FILE *file = plot_create(all, "headline.dat");
    if (!file)
        return PK_USAGE;
    size_t row = 0;
    for (size_t v = 0; v < all->variant_count; v++) {
        const cli_point *point = all->variants[v].headline;
        if (!point)
            continue;
        fprintf(file, "%zu %s ", ++row, point->variant);
        if (!plot_has_time(point)) {
            fputs("NaN NaN NaN ", file);
            put_reason(file, point);
            continue;
        }
        const double values[] = {point->us_per_token, point->wall.p10 / point->tokens, point->wall.p90 / point->tokens};
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            put_number(file, values[i]);
            fputc(' ', file);
        }
        fputs("\"\"\n", file);
    }
    return plot_finish(file);
}

/* The headline's results, as the sweeps' are in points.dat. */
static pk_status write_default(const plot_figures *all)
{
    FILE *file = plot_create(all, "default.dat");
    if (!file)
        return PK_USAGE;
    for (size_t v = 0; v < all->variant_count; v++) {
        const cli_point *point = all->variants[v].headline;
        const bool drawn = point && plot_has_time(point);
        if (drawn) {
            write_point(file, all, point);
            fputc('\n', file);
        }
        end_block(file, all, drawn);
    }
    return plot_finish(file);
}

static void write_distribution(FILE *file, const cli_point *point)
{
    bool by_token = point->token.count > 0;
    const cli_samples *samples = by_token ? &point->token : &point->wall;
    double scale = by_token ? 1 : 1 / point->tokens;
    double *values = cli_grow(NULL, samples->count + 1, sizeof *values);
    memcpy(values, samples->values, samples->count * sizeof *values);
    qsort(values, samples->count, sizeof *values, ascending);
    for (size_t i = 0; i < samples->count; i++)
        fprintf(file, "%.9g %.6g\n", values[i] * scale, (double)(i + 1) / (double)samples->count);
    free(values);
}

static pk_status write_latencies(const plot_figures *all, FILE *variables)
{
    FILE *file = plot_create(all, "latency.dat");
    if (!file)
        return PK_USAGE;
    fputs("latency_counts = '", variables);
    for (size_t v = 0; v < all->variant_count; v++) {
        const cli_point *point = all->variants[v].headline;
        bool drawn = point && plot_has_time(point) && point->wall.count + point->token.count > 0;
        if (drawn)
            write_distribution(file, point);
        end_block(file, all, drawn);
        fprintf(variables, "%zu ", !drawn ? 0 : point->token.count ? point->token.count : point->wall.count);
    }
    fputs("'\n", variables);
    return plot_finish(file);
}

/* ---- variables ---- */

static double slope_named(const cli_result *result, const char *variant)
{
    for (size_t i = 0; i < result->fit_count; i++)
        if (!strcmp(result->fits[i].name, variant))
            return result->fits[i].slope;
    return (double)NAN;
}

void plot_put_device(FILE *file, const char *device, bool cpu, double processors)
{
    /* The words "CPU device" are never left out, whatever the device calls itself. */
    char *name =
        cpu && !strstr(device, "CPU device") ? cli_format("CPU device (%s)", device) : cli_copy(device, strlen(device));
    const bool fits = pk_utf8_count(name) <= TITLE_WIDTH;
    char *shown =
        cli_format("%.*s%s", (int)pk_utf8_bytes(name, fits ? TITLE_WIDTH : TITLE_WIDTH - 3), name, fits ? "" : "...");
    cli_put_gnuplot_string(file, "device", shown);
    free(shown);
    fprintf(file, "is_cpu = %d\nprocessors = ", cpu);
    put_number(file, processors);
    fputc('\n', file);
    free(name);
}

static void put_headline(FILE *file, const cli_result *result)
{
    const cli_point *headline = cli_headline(result);
    for (size_t i = 0; i < result->knob_count; i++) {
        char *name = gnuplot_name(result->knob_names[i]);
        fprintf(file, "headline_%s = ", name);
        put_knob(file, headline->knobs[i]);
        fputc('\n', file);
        free(name);
    }
}

static const char *baseline_of(const plot_figures *all)
{
    for (size_t v = 0; v < all->variant_count; v++) {
        const cli_point *point = all->variants[v].headline;
        if (point && !point->peer[0] && !strcmp(point->role, "baseline") &&
            strcmp(point->variant, REFERENCE_VARIANT) != 0)
            return point->variant;
    }
    return "";
}

static bool is_any(const plot_variant *variant)
{
    (void)variant;
    return true;
}

static bool has_time(const plot_variant *variant)
{
    return variant->is_drawn;
}

static bool is_baseline(const plot_variant *variant)
{
    return variant->is_baseline;
}

static bool is_of_another(const plot_variant *variant)
{
    return variant->is_peer;
}

/* A word for each variant that `is_in` is true of. */
static void put_names(FILE *file, const char *name, const plot_figures *all, bool (*is_in)(const plot_variant *))
{
    fprintf(file, "%s = '", name);
    for (size_t v = 0; v < all->variant_count; v++)
        if (is_in(&all->variants[v]))
            fprintf(file, "%s ", all->variants[v].name);
    fputs("'\n", file);
}

static void put_words(FILE *file, const char *name, char *const *words, size_t count)
{
    fprintf(file, "%s = '", name);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%s ", words[i]);
    fputs("'\n", file);
}

static void put_variants(FILE *file, const plot_figures *all)
{
    put_names(file, "variants", all, is_any);
    put_names(file, "drawn", all, has_time);
    put_names(file, "baselines", all, is_baseline);
    put_names(file, "peers", all, is_of_another);
    fputs("slopes = '", file);
    for (size_t v = 0; v < all->variant_count; v++) {
        put_number(file, slope_named(all->result, all->variants[v].name));
        fputc(' ', file);
    }
    fputs("'\nspeedups = '", file);
    for (size_t v = 0; v < all->variant_count; v++) {
        put_number(file, all->variants[v].headline ? all->variants[v].headline->speedup : (double)NAN);
        fputc(' ', file);
    }
    fputs("'\n", file);
    for (size_t i = 0; i < all->result->knob_count; i++) {
        char *name = gnuplot_name(all->result->knob_names[i]), *variable = cli_format("names_%s", name);
        put_words(file, variable, all->result->knob_choices[i].names, all->result->knob_choices[i].count);
        free(variable);
        free(name);
    }
    put_words(file, "knobs", all->result->knob_names, all->result->knob_count);
    put_words(file, "phases", all->phases.names, all->phases.count);
    cli_put_gnuplot_string(file, "baseline", baseline_of(all));
}

static void put_columns(FILE *file, const plot_figures *all)
{
    static const char *const further[FURTHER_COLUMNS] = {"p50",    "p99",   "launches", "speedup",
                                                         "submit", "first", "error",    "bytes"};
    const size_t before = MEASURED_COLUMNS + all->result->knob_count;
    for (size_t knob = 0; knob < all->result->knob_count; knob++)
        put_values(file, all, knob);
    for (size_t i = 0; i < FURTHER_COLUMNS; i++)
        fprintf(file, "column_%s = %zu\n", further[i], before + i + 1);
    for (size_t i = 0; i < all->phases.count; i++) {
        char *name = gnuplot_name(all->phases.names[i]);
        fprintf(file, "column_phase_%s = %zu\n", name, before + FURTHER_COLUMNS + i + 1);
        free(name);
    }
    fprintf(file, "column_reason = %zu\n", columns_of(all) + 1);
}

pk_status plot_write_tables(const plot_figures *all)
{
    const cli_result *result = all->result;
    FILE *file = plot_create(all, "variables.gp");
    if (!file)
        return PK_USAGE;
    cli_put_gnuplot_string(file, "lab", result->lab);
    cli_put_gnuplot_string(file, "title", result->title);
    plot_put_device(file, result->device, cli_is_cpu_device(result), result->processors);
    put_headline(file, result);
    put_variants(file, all);
    put_columns(file, all);
    for (size_t i = 0; i < CLI_LIMITS; i++) {
        fprintf(file, "%s = ", result->limits[i].name);
        put_number(file, result->limits[i].median);
        fputc('\n', file);
    }
    pk_status status = write_points(all);
    if (status == PK_OK)
        status = write_untimed(all);
    for (size_t knob = 0; knob < result->knob_count && status == PK_OK; knob++)
        status = write_line(all, file, knob);
    if (status == PK_OK)
        status = write_latencies(all, file);
    if (status == PK_OK)
        status = write_speedups(all, file);
    if (status == PK_OK)
        status = write_headline(all);
    if (status == PK_OK)
        status = write_default(all);
    if (status == PK_OK)
        status = plot_write_timeline(all, file);
    pk_status closed = plot_finish(file);
    return status == PK_OK ? closed : status;
}
