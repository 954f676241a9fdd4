/* `plot`: draws the figures of a result file with gnuplot, as SVG and PNG.
 *
 * Every plots/<lab>-<figure>.gp is a figure of that lab; nothing here knows any of them. In a temporary folder a
 * script gets, beside the variables below, plain tables of the passed, steady-state ("hot") results. <knob> is a
 * knob's name with _ for -, which no name in gnuplot may hold.
 *
 *   points.dat        all results of the sweeps: a block (gnuplot's `index`) for each variant, in the order of
 *                     `variants`; rows ordered by the first knob, then the second, and so on. Columns: 1 us a token,
 *                     2 its p10, 3 its p90, 4 predicted us a token, 5 us a token of the variant "work-only" at the
 *                     same knobs (the same memory work without its launches), 6 on: the knobs, in the order of
 *                     `knobs`, then the p50 and the p99 of a token's latency, us (NaN where a sweep keeps no tokens).
 *                     column_<knob>, column_p50 and column_p99 say which
 *   along_<knob>.dat  of these the longest line, on which only that knob changes: blocks and columns as there, sorted
 *                     by the knob
 *   speedup.dat       at the headline knobs: 1 row, 2 variant, 3 speedup, 4 low, 5 high, 6 what stands in its place
 *   headline.dat      at the headline knobs, all variants, those of `peers` last: 1 row, 2 variant, 3 us a token, 4 its
 *                     p10, 5 its p90, 6 what stands in its place
 *   latency.dat       at the headline knobs: blocks as above. Columns: 1 us, 2 share of tokens at most that long;
 *                     latency_counts has the rows of each block
 *
 * Variables: lab, title, device, is_cpu, processors, variants, drawn (those of them that have results), peers (those
 * that another program's file brought: measured on the same device in another run, never paired), baseline, knobs,
 * headline_<knob>, values_<knob> (in the sweeps, ascending; a knob with names has their numbers, from 0); speedup_low,
 * speedup_high (the ends of all intervals); launch_us, launch_sync_us, gap_us, read_gb_per_s; slopes (a word for each
 * variant: the slope of the fit that bears its name, or NaN); along_<knob>_count (the most points that a variant has),
 * along_<knob>_modelled (the variants with a prediction there), along_<knob>_<other knob> (what the others were);
 * format ("svg" or "png"), output, theme. A script that has too little to draw prints one line that says what is
 * missing and ends with `exit status 77`. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pk/host.h"
#include "results.h"

#define REFERENCE_VARIANT "work-only"

enum {
    TITLE_WIDTH = 42,  /* letters that a figure's width holds */
    REASON_WIDTH = 30, /* letters that a bar's place holds */
    REASON_LINES = 2
};
#define MEASURED_COLUMNS ((size_t)5) /* of a table of points, before its knobs */
#define LATENCY_COLUMNS ((size_t)2)  /* behind them */

typedef struct figures { /* all that drawing one result file needs */
    const cli_result *result;
    const char *folder; /* the temporary one */
    cli_names variants; /* in the file's order */
} figures;

/* ---- writing tables and variables ---- */

static FILE *create(const figures *all, const char *name)
{
    char *path = cli_format("%s/%s", all->folder, name);
    FILE *file = fopen(path, "w");
    if (!file)
        pk_fail(PK_USAGE, "cannot write %s: %s; set TMPDIR to a folder with space", path, strerror(errno));
    free(path);
    return file;
}

static pk_status finish(FILE *file)
{
    int failed = ferror(file);
    if (fclose(file) != 0 || failed)
        return pk_fail(PK_USAGE, "a temporary file cannot be written: %s; set TMPDIR to a folder with space",
                       strerror(errno));
    return PK_OK;
}

/* gnuplot's single-quoted string: only the quote itself needs care. */
static void put_string(FILE *file, const char *name, const char *value)
{
    fprintf(file, "%s = '", name);
    for (; *value; value++)
        fputs(*value == '\'' ? "''" : (char[]){*value == '\n' ? ' ' : *value, '\0'}, file);
    fputs("'\n", file);
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
        if (*letter == '-')
            *letter = '_';
    return name;
}

static bool is_drawn(const cli_point *point)
{
    return !strcmp(point->status, "pass") && !strcmp(point->cache, "hot") && isfinite(point->us_per_token);
}

static void collect_variants(figures *all)
{
    for (size_t i = 0; i < all->result->point_count; i++) {
        const char *name = all->result->points[i].variant;
        bool known = false;
        for (size_t j = 0; j < all->variants.count && !known; j++)
            known = !strcmp(all->variants.names[j], name);
        if (!known)
            cli_names_add(&all->variants, name);
    }
}

/* ---- rows ---- */

/* The default point is measured at another time than the sweep, which may cover its knobs again: it is on no line. */
static bool is_swept(const cli_point *point)
{
    return is_drawn(point) && !point->is_default;
}

static double reference_us(const cli_result *result, const cli_point *point)
{
    for (size_t i = 0; i < result->point_count; i++)
        if (is_swept(&result->points[i]) && !strcmp(result->points[i].variant, REFERENCE_VARIANT) &&
            cli_same_knobs(result, result->points[i].knobs, point->knobs))
            return result->points[i].us_per_token;
    return (double)NAN;
}

static void write_point(FILE *file, const cli_result *result, const cli_point *point)
{
    const double values[] = {point->us_per_token, point->wall.p10 / point->tokens, point->wall.p90 / point->tokens,
                             point->predicted_us_per_token, reference_us(result, point)};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        put_number(file, values[i]);
        fputc(' ', file);
    }
    for (size_t i = 0; i < result->knob_count; i++) {
        put_knob(file, point->knobs[i]);
        fputc(' ', file);
    }
    put_number(file, point->token.median);
    fputc(' ', file);
    put_number(file, point->token.p99);
    fputc('\n', file);
}

/* An empty block would shift the ones after it: a variant without results gets a row of NaN. */
static void end_block(FILE *file, const cli_result *result, size_t rows)
{
    if (rows == 0) {
        for (size_t column = 0; column < MEASURED_COLUMNS + result->knob_count + LATENCY_COLUMNS; column++)
            fputs("NaN ", file);
        fputc('\n', file);
    }
    fputs("\n\n", file);
}

/* ---- all points ---- */

/* Below, at or above 0: a's knobs come before b's, are the same, or come after. */
static int order(const cli_result *result, const double *a, const double *b)
{
    for (size_t i = 0; i < result->knob_count; i++)
        if (a[i] < b[i] || a[i] > b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

/* The variant's result behind `last`, or its first for NULL. */
static const cli_point *next_point(const cli_result *result, const char *variant, const cli_point *last)
{
    const cli_point *next = NULL;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (is_swept(point) && !strcmp(point->variant, variant) &&
            (!last || order(result, point->knobs, last->knobs) > 0) &&
            (!next || order(result, point->knobs, next->knobs) < 0))
            next = point;
    }
    return next;
}

static void put_values(FILE *file, const cli_result *result, size_t knob)
{
    char *name = gnuplot_name(result->knob_names[knob]);
    double last = -INFINITY, next;
    fprintf(file, "column_%s = %zu\nvalues_%s = '", name, MEASURED_COLUMNS + knob + 1, name);
    free(name);
    for (;; last = next) {
        next = INFINITY;
        for (size_t i = 0; i < result->point_count; i++) {
            const double value = result->points[i].knobs[knob];
            if (is_swept(&result->points[i]) && value > last && value < next)
                next = value;
        }
        if (!isfinite(next))
            break;
        put_knob(file, next);
        fputc(' ', file);
    }
    fputs("'\n", file);
}

static pk_status write_points(const figures *all, FILE *variables)
{
    const cli_result *result = all->result;
    FILE *file = create(all, "points.dat");
    if (!file)
        return PK_USAGE;
    for (size_t v = 0; v < all->variants.count; v++) {
        size_t rows = 0;
        const cli_point *point = NULL;
        while ((point = next_point(result, all->variants.names[v], point)) != NULL) {
            write_point(file, result, point);
            rows++;
        }
        end_block(file, result, rows);
    }
    for (size_t knob = 0; knob < result->knob_count; knob++)
        put_values(variables, result, knob);
    fprintf(variables, "column_p50 = %zu\ncolumn_p99 = %zu\n", MEASURED_COLUMNS + result->knob_count + 1,
            MEASURED_COLUMNS + result->knob_count + 2);
    return finish(file);
}

/* ---- lines: the sweep's results in which one knob changes ---- */

static bool on_line(const cli_result *result, const cli_point *a, const cli_point *b, size_t knob)
{
    for (size_t i = 0; i < result->knob_count; i++)
        if (i != knob && (a->knobs[i] < b->knobs[i] || a->knobs[i] > b->knobs[i]))
            return false;
    return true;
}

/* How many results of the same variant lie on the line through `point`. */
static size_t line_length(const cli_result *result, const cli_point *point, size_t knob)
{
    size_t count = 0;
    for (size_t i = 0; i < result->point_count; i++)
        count += is_swept(&result->points[i]) && !strcmp(result->points[i].variant, point->variant) &&
                 on_line(result, point, &result->points[i], knob);
    return count;
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

/* A result of the lab's own on the line with most points; among equals the nearest to the headline knobs, then the
 * first. */
static const cli_point *best_line(const cli_result *result, size_t knob, size_t *length)
{
    const cli_point *best = NULL;
    size_t most_shared = 0;
    *length = 0;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (!is_swept(point) || point->peer[0])
            continue;
        size_t count = line_length(result, point, knob), shared = headline_knobs(result, point, knob);
        if (count > *length || (count == *length && shared > most_shared)) {
            best = point;
            most_shared = shared;
            *length = count;
        }
    }
    return best;
}

/* The next result of the variant on the line, in the knob's order, after the value `after`. */
static const cli_point *next_on_line(const cli_result *result, const char *variant, const cli_point *line, size_t knob,
                                     double after)
{
    const cli_point *next = NULL;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (is_swept(point) && !strcmp(point->variant, variant) && on_line(result, line, point, knob) &&
            point->knobs[knob] > after && (!next || point->knobs[knob] < next->knobs[knob]))
            next = point;
    }
    return next;
}

/* The variant's block of the line's table; true when the model predicts a point of it. */
static bool write_block(FILE *file, const cli_result *result, const char *variant, const cli_point *line, size_t knob)
{
    size_t rows = 0;
    bool modelled = false;
    const cli_point *point = next_on_line(result, variant, line, knob, -INFINITY);
    for (; point; rows++) {
        write_point(file, result, point);
        modelled |= isfinite(point->predicted_us_per_token);
        point = next_on_line(result, variant, line, knob, point->knobs[knob]);
    }
    end_block(file, result, rows);
    return modelled;
}

static void put_line(FILE *variables, const cli_result *result, const char *name, size_t knob, const cli_point *line)
{
    for (size_t i = 0; i < result->knob_count; i++) {
        if (i == knob)
            continue;
        char *other = gnuplot_name(result->knob_names[i]);
        fprintf(variables, "along_%s_%s = ", name, other);
        put_knob(variables, line->knobs[i]);
        fputc('\n', variables);
        free(other);
    }
}

static pk_status write_line(const figures *all, FILE *variables, size_t knob)
{
    const cli_result *result = all->result;
    char *name = gnuplot_name(result->knob_names[knob]);
    char *table = cli_format("along_%s.dat", name);
    FILE *file = create(all, table);
    free(table);
    if (file) {
        size_t length;
        const cli_point *line = best_line(result, knob, &length);
        fprintf(variables, "along_%s_count = %zu\n", name, length);
        if (line)
            put_line(variables, result, name, knob, line);
        fprintf(variables, "along_%s_modelled = '", name);
        for (size_t v = 0; v < all->variants.count && line; v++)
            if (write_block(file, result, all->variants.names[v], line, knob))
                fprintf(variables, "%s ", all->variants.names[v]);
        fputs("'\n", variables);
    }
    free(name);
    return file ? finish(file) : PK_USAGE;
}

/* ---- at the headline knobs ---- */

static const cli_point *at_headline(const figures *all, const char *variant)
{
    for (size_t i = 0; i < all->result->point_count; i++) {
        const cli_point *point = &all->result->points[i];
        if (point->is_default && !strcmp(point->variant, variant) && !strcmp(point->cache, "hot"))
            return point;
    }
    return NULL;
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

/* One row: the speedup and its interval, which is the speedup itself where too few rounds gave none. */
static void write_speedup(FILE *file, size_t row, const cli_point *point, pk_interval *range)
{
    bool known = !strcmp(point->status, "pass") && isfinite(point->speedup);
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

static pk_status write_speedups(const figures *all, FILE *variables)
{
    FILE *file = create(all, "speedup.dat");
    if (!file)
        return PK_USAGE;
    size_t row = 0;
    pk_interval range = {INFINITY, -INFINITY};
    for (size_t v = 0; v < all->variants.count; v++) {
        const cli_point *point = at_headline(all, all->variants.names[v]);
        if (point && !point->peer[0] && !strcmp(point->role, "ladder"))
            write_speedup(file, ++row, point, &range);
    }
    fprintf(variables, "speedup_low = %.9g\nspeedup_high = %.9g\n", row && isfinite(range.low) ? range.low : 1,
            row && isfinite(range.high) ? range.high : 1);
    return finish(file);
}

/* All variants, the baselines too. */
static pk_status write_headline(const figures *all)
{
    FILE *file = create(all, "headline.dat");
    if (!file)
        return PK_USAGE;
    size_t row = 0;
    for (size_t v = 0; v < all->variants.count; v++) {
        const cli_point *point = at_headline(all, all->variants.names[v]);
        if (!point)
            continue;
        fprintf(file, "%zu %s ", ++row, point->variant);
        if (!is_drawn(point)) {
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
    return finish(file);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
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

static pk_status write_latencies(const figures *all, FILE *variables)
{
    FILE *file = create(all, "latency.dat");
    if (!file)
        return PK_USAGE;
    fputs("latency_counts = '", variables);
    for (size_t v = 0; v < all->variants.count; v++) {
        const cli_point *point = at_headline(all, all->variants.names[v]);
        bool drawn = point && is_drawn(point) && point->wall.count + point->token.count > 0;
        if (drawn)
            write_distribution(file, point);
        end_block(file, all->result, drawn);
        fprintf(variables, "%zu ", !drawn ? 0 : point->token.count ? point->token.count : point->wall.count);
    }
    fputs("'\n", variables);
    return finish(file);
}

/* ---- variables ---- */

static double slope_named(const cli_result *result, const char *variant)
{
    for (size_t i = 0; i < result->fit_count; i++)
        if (!strcmp(result->fits[i].name, variant))
            return result->fits[i].slope;
    return (double)NAN;
}

static bool has_drawn(const figures *all, const char *variant)
{
    for (size_t i = 0; i < all->result->point_count; i++)
        if (is_drawn(&all->result->points[i]) && !strcmp(all->result->points[i].variant, variant))
            return true;
    return false;
}

static bool is_peer(const figures *all, const char *variant)
{
    for (size_t i = 0; i < all->result->point_count; i++)
        if (all->result->points[i].peer[0] && !strcmp(all->result->points[i].variant, variant))
            return true;
    return false;
}

static void put_device(FILE *file, const cli_result *result)
{
    bool cpu = cli_is_cpu_device(result);
    /* The words "CPU device" are never left out, whatever the device calls itself. */
    char *name = cpu && !strstr(result->device, "CPU device") ? cli_format("CPU device (%s)", result->device)
                                                              : cli_copy(result->device, strlen(result->device));
    char *shown = strlen(name) > TITLE_WIDTH ? cli_format("%.*s...", TITLE_WIDTH - 3, name) : cli_format("%s", name);
    put_string(file, "device", shown);
    free(shown);
    fprintf(file, "is_cpu = %d\nprocessors = ", cpu);
    put_number(file, result->processors);
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

static void put_variants(FILE *file, const figures *all)
{
    const char *baseline = "";
    fputs("variants = '", file);
    for (size_t v = 0; v < all->variants.count; v++)
        fprintf(file, "%s ", all->variants.names[v]);
    fputs("'\ndrawn = '", file);
    for (size_t v = 0; v < all->variants.count; v++)
        if (has_drawn(all, all->variants.names[v]))
            fprintf(file, "%s ", all->variants.names[v]);
    fputs("'\npeers = '", file);
    for (size_t v = 0; v < all->variants.count; v++)
        if (is_peer(all, all->variants.names[v]))
            fprintf(file, "%s ", all->variants.names[v]);
    fputs("'\nslopes = '", file);
    for (size_t v = 0; v < all->variants.count; v++) {
        put_number(file, slope_named(all->result, all->variants.names[v]));
        fputc(' ', file);
    }
    fputs("'\nknobs = '", file);
    for (size_t i = 0; i < all->result->knob_count; i++)
        fprintf(file, "%s ", all->result->knob_names[i]);
    fputs("'\n", file);
    for (size_t v = all->variants.count; v-- > 0;) {
        const cli_point *point = at_headline(all, all->variants.names[v]);
        if (point && !point->peer[0] && !strcmp(point->role, "baseline") &&
            strcmp(point->variant, REFERENCE_VARIANT) != 0)
            baseline = point->variant;
    }
    put_string(file, "baseline", baseline);
}

static pk_status write_data(const figures *all)
{
    const cli_result *result = all->result;
    FILE *file = create(all, "variables.gp");
    if (!file)
        return PK_USAGE;
    put_string(file, "lab", result->lab);
    put_string(file, "title", result->title);
    put_device(file, result);
    put_headline(file, result);
    put_variants(file, all);
    for (size_t i = 0; i < CLI_LIMITS; i++) {
        fprintf(file, "%s = ", result->limits[i].name);
        put_number(file, result->limits[i].median);
        fputc('\n', file);
    }
    pk_status status = write_points(all, file);
    for (size_t knob = 0; knob < result->knob_count && status == PK_OK; knob++)
        status = write_line(all, file, knob);
    if (status == PK_OK)
        status = write_latencies(all, file);
    if (status == PK_OK)
        status = write_speedups(all, file);
    if (status == PK_OK)
        status = write_headline(all);
    pk_status closed = finish(file);
    return status == PK_OK ? closed : status;
}

/* ---- drawing ---- */

/* The driver sets the variables and loads theme and script, in the temporary folder. */
static pk_status write_driver(const figures *all, const char *script, const char *format)
{
    FILE *file = create(all, "driver.gp");
    if (!file)
        return PK_USAGE;
    char *theme = cli_format("%s/plots/theme.gp", cli_source());
    char *path = cli_format("%s/plots/%s", cli_source(), script);
    fprintf(file, "format = '%s'\noutput = 'figure'\n", format);
    put_string(file, "folder", all->folder);
    put_string(file, "theme", theme);
    put_string(file, "script", path);
    fputs("cd folder\nload 'variables.gp'\nload theme\nload script\n", file);
    free(path);
    free(theme);
    return finish(file);
}

/* gnuplot does not notice a disk that fills up while it draws: see that the end of the figure is there. */
static bool is_whole(const char *figure, size_t bytes, const char *format)
{
    const char *end = strcmp(format, "svg") ? "IEND" : "</svg>";
    size_t tail = bytes < 16 ? bytes : 16;
    return bytes > 0 && memmem(figure + bytes - tail, tail, end, strlen(end)) != NULL;
}

static pk_status copy_figure(const figures *all, const char *to, const char *format)
{
    char *from = cli_format("%s/figure", all->folder);
    FILE *file = fopen(from, "rb");
    free(from);
    if (!file)
        return pk_fail(PK_USAGE, "gnuplot drew nothing for %s; run ./lab doctor", to);
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    rewind(file);
    char *data = cli_grow(NULL, (size_t)(bytes > 0 ? bytes : 0) + 1, 1);
    size_t got = fread(data, 1, (size_t)(bytes > 0 ? bytes : 0), file);
    fclose(file);
    pk_status status =
        is_whole(data, got, format)
            ? pk_write_file(to, data, got)
            : pk_fail(PK_USAGE, "gnuplot's drawing of %s is cut short; make room in %s", to, all->folder);
    free(data);
    return status;
}

/* Draw one figure in one format. PK_SKIP, after saying why, when the result has too little for it. */
static pk_status draw(const figures *all, const char *script, const char *format, const char *folder)
{
    char *driver = cli_format("%s/driver.gp", all->folder), *output = NULL;
    char *arguments[] = {"gnuplot", driver, NULL};
    char *name = cli_copy(script, strlen(script) - strlen(".gp"));
    char *path = cli_format("%s/%s.%s", folder, name, format);
    pk_status status = write_driver(all, script, format);
    int code = status == PK_OK ? cli_capture(arguments, &output) : 0;
    const char *said = output ? output : "";
    said += strspn(said, "\r\n \t");
    if (status != PK_OK) {
        /* said already */
    } else if (code == pk_exit_code(PK_SKIP)) {
        cli_say(4, "  not drawn: %s: %.*s", name, (int)strcspn(said, "\n"), said);
        status = PK_SKIP;
    } else if (code != 0) {
        status = pk_fail(PK_USAGE, "gnuplot failed on plots/%s: %.*s", script, (int)strcspn(said, "\n"), said);
    } else {
        status = copy_figure(all, path, format);
        if (status == PK_OK)
            cli_say(4, "  wrote %s.%s", name, format);
    }
    free(path);
    free(name);
    free(driver);
    free(output);
    return status;
}

static pk_status draw_all(const figures *all, const char *folder)
{
    char *scripts_folder = cli_format("%s/plots", cli_source()), *prefix = cli_format("%s-", all->result->lab);
    cli_names scripts = cli_list_folder(scripts_folder, prefix, ".gp");
    pk_status status = PK_OK;
    if (!scripts.count)
        cli_say(4, "  no figures are defined for %s (plots/%s*.gp)", all->result->lab, prefix);
    for (size_t i = 0; i < scripts.count && status == PK_OK; i++) {
        status = draw(all, scripts.names[i], "svg", folder);
        if (status == PK_OK)
            status = draw(all, scripts.names[i], "png", folder);
        if (status == PK_SKIP)
            status = PK_OK;
    }
    cli_names_free(&scripts);
    free(prefix);
    free(scripts_folder);
    return status;
}

static void remove_folder(const char *folder)
{
    cli_names files = cli_list_folder(folder, "", "");
    for (size_t i = 0; i < files.count; i++) {
        char *path = cli_format("%s/%s", folder, files.names[i]);
        unlink(path);
        free(path);
    }
    cli_names_free(&files);
    rmdir(folder);
}

static pk_status plot_result(const cli_result *result, const char *folder)
{
    const char *temporary = getenv("TMPDIR");
    char *pattern = cli_format("%s/pk-plot-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(pattern)) {
        pk_fail(PK_USAGE, "cannot make a folder %s: %s; set TMPDIR to a folder that you may write", pattern,
                strerror(errno));
        free(pattern);
        return PK_USAGE;
    }
    figures all = {result, pattern, {NULL, 0}};
    collect_variants(&all);
    pk_status status = write_data(&all);
    if (status == PK_OK)
        status = draw_all(&all, folder);
    cli_names_free(&all.variants);
    remove_folder(pattern);
    free(pattern);
    return status;
}

static pk_status plot_group(const cli_together *group, const char *folder)
{
    char *gnuplot = cli_find_program("gnuplot");
    if (!gnuplot)
        return pk_fail(PK_USAGE, "figures need gnuplot: apt-get install --no-install-recommends gnuplot-nox, then "
                                 "./lab plot");
    free(gnuplot);
    cli_result result;
    pk_status status = cli_result_load_group(&result, group);
    if (status != PK_OK)
        return status;
    cli_say(2, "Figures of %s in %s", result.lab, cli_relative(folder));
    if (result.point_count)
        status = plot_result(&result, folder);
    else
        status = pk_fail(PK_USAGE, "%s holds no results to draw; run the lab again", result.path);
    cli_result_free(&result);
    return status;
}

pk_status cli_plot(const char *result_path, const char *folder)
{
    cli_groups groups = {NULL, 0};
    cli_groups_add(&groups, result_path);
    pk_status status = plot_group(&groups.groups[0], folder);
    cli_groups_free(&groups);
    return status;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? cli_copy(path, slash == path ? 1 : (size_t)(slash - path)) : cli_copy(".", 1);
}

/* The newest results have no sweep: name those that have one, which draw every figure. */
static void say_where_a_sweep_is(const char *path)
{
    cli_result result;
    if (cli_result_load(&result, path) != PK_OK)
        return;
    char *swept = cli_has_sweep(&result) ? NULL : cli_newest_result(result.lab, cli_has_sweep);
    if (swept) {
        char *folder = folder_of(swept);
        cli_say(2, "This run has no sweep. The newest of %s that has one: ./lab plot %s", result.lab,
                cli_relative(folder));
        free(folder);
    }
    free(swept);
    cli_result_free(&result);
}

int cmd_plot(int argc, char **argv)
{
    const char *words[CLI_MOST_FILES], *out = NULL;
    cli_option options[] = {{"--out", &out, NULL}};
    size_t count;
    cli_groups groups = {NULL, 0};
    pk_status status = cli_parse(argc, argv, options, 1, words, CLI_MOST_FILES, &count);
    if (status == PK_OK)
        status = cli_result_groups(words, count, &groups);
    for (size_t i = 0; i < groups.count && status == PK_OK; i++) {
        const cli_together *group = &groups.groups[i];
        char *folder = out ? cli_copy(out, strlen(out)) : folder_of(group->names[0]);
        status = plot_group(group, folder);
        free(folder);
        if (status == PK_OK && count == 0)
            say_where_a_sweep_is(group->names[0]);
    }
    cli_groups_free(&groups);
    return status == PK_OK ? 0 : cli_failed(status);
}
