/* `compare`: two result files, variant by variant: the ratio of the medians with a bootstrap interval.
 *
 * Samples of two runs are not paired, so each side is resampled by itself (Efron and Tibshirani 1993, ch. 16: the
 * two-sample problem) and the ratio of the two resampled medians is taken each time. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_splitmix.h"
#include "pk/host.h"
#include "results.h"

enum {
    RESAMPLES = 2000, /* the 2.5% tail then holds 50 of them */
    SEED = 1          /* fixed: the same two files give the same interval */
};

/* ---- bootstrap ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double *sorted_copy(const cli_samples *samples)
{
    double *values = cli_grow(NULL, samples->count, sizeof *values);
    memcpy(values, samples->values, samples->count * sizeof *values);
    qsort(values, samples->count, sizeof *values, ascending);
    return values;
}

/* The value of rank `rank` (from 0) in a resample that drew sorted[i] `drawn[i]` times. */
static double ranked(const double *sorted, const unsigned *drawn, size_t rank)
{
    size_t i = 0;
    for (size_t below = drawn[0]; below <= rank; below += drawn[i])
        i++;
    return sorted[i];
}

/* The median of one resample, which draws the next `count` of SplitMix64's numbers. Counting how often each index
 * is drawn saves sorting the resample. */
static double resampled_median(const double *sorted, unsigned *drawn, size_t count, uint64_t *number)
{
    memset(drawn, 0, count * sizeof *drawn);
    for (size_t i = 0; i < count; i++)
        drawn[pk_splitmix64(SEED, (*number)++) % count]++;
    return 0.5 * (ranked(sorted, drawn, (count - 1) / 2) + ranked(sorted, drawn, count / 2));
}

static pk_interval ratio_interval(const cli_point *a, const cli_point *b)
{
    size_t most = a->wall.count > b->wall.count ? a->wall.count : b->wall.count;
    double *a_sorted = sorted_copy(&a->wall), *b_sorted = sorted_copy(&b->wall);
    double *ratios = cli_grow(NULL, RESAMPLES, sizeof *ratios);
    unsigned *drawn = cli_grow(NULL, most, sizeof *drawn);
    uint64_t number = 0;
    for (size_t i = 0; i < RESAMPLES; i++) {
        double a_median = resampled_median(a_sorted, drawn, a->wall.count, &number);
        double b_median = resampled_median(b_sorted, drawn, b->wall.count, &number);
        ratios[i] = a_median / a->tokens / (b_median / b->tokens);
    }
    pk_interval interval = {pk_quantile(ratios, RESAMPLES, 0.025), pk_quantile(ratios, RESAMPLES, 0.975)};
    free(drawn);
    free(ratios);
    free(b_sorted);
    free(a_sorted);
    return interval;
}

/* ---- what can be compared ---- */

static const cli_point *partner(const cli_result *a, const cli_point *of, const cli_result *b)
{
    for (size_t i = 0; i < b->point_count; i++) {
        const cli_point *point = &b->points[i];
        if (!strcmp(point->variant, of->variant) && !strcmp(point->cache, of->cache) &&
            cli_same_knobs(a, point->knobs, of->knobs))
            return point;
    }
    return NULL;
}

/* How many variants and points of a are in b as well. */
static size_t partners(const cli_result *a, const cli_result *b)
{
    size_t count = 0;
    for (size_t i = 0; i < a->point_count; i++)
        count += !a->points[i].is_repeat && partner(a, &a->points[i], b) != NULL;
    return count;
}

static size_t left_out(const cli_result *of, const cli_result *other)
{
    size_t count = 0;
    for (size_t i = 0; i < of->point_count; i++)
        count += !of->points[i].is_repeat;
    return count - partners(of, other);
}

static pk_status judge_comparable(const cli_result *a, const cli_result *b, bool anyway)
{
    if (strcmp(a->lab, b->lab) != 0 || !cli_same_knob_names(a, b))
        return pk_fail(PK_USAGE, "the files are of different labs (%s, %s); compare two runs of one lab", a->lab,
                       b->lab);
    char *differences = cli_copy("", 0);
    cli_note_difference(&differences, "device", a->device, b->device);
    cli_note_difference(&differences, "backend", a->backend, b->backend);
    cli_note_difference(&differences, "arch", a->arch, b->arch);
    pk_status status = PK_OK;
    if (*differences && !anyway)
        status = pk_fail(PK_USAGE, "the runs differ in %s; --anyway compares them nevertheless", differences);
    else if (*differences)
        cli_say(0, "The runs differ in %s.", differences);
    free(differences);
    if (status == PK_OK && !partners(a, b)) {
        const cli_point *a_point = cli_headline(a), *b_point = cli_headline(b);
        char *a_knobs = a_point ? cli_knobs_text(a, a_point->knobs) : cli_copy("nothing", 7);
        char *b_knobs = b_point ? cli_knobs_text(b, b_point->knobs) : cli_copy("nothing", 7);
        status = pk_fail(PK_USAGE,
                         "no variant was run with the same parameters in both (A: %s; B: %s); run both with the same",
                         a_knobs, b_knobs);
        free(a_knobs);
        free(b_knobs);
    }
    return status;
}

/* ---- the table ---- */

enum { FIGURES = 5 }; /* columns beside those of the knobs: the variant, two times, their ratio and its interval */

/* The rows: results of a that b has too. */
static const cli_point *row_partner(const cli_result *a, size_t i, const cli_result *b)
{
    return a->points[i].is_repeat ? NULL : partner(a, &a->points[i], b);
}

/* Which knobs differ between the rows: those have a column. */
static void find_varied(const cli_result *a, const cli_result *b, bool *varied)
{
    const cli_point *first = NULL;
    for (size_t i = 0; i < a->point_count; i++) {
        const cli_point *point = row_partner(a, i, b) ? &a->points[i] : NULL;
        first = first ? first : point;
        for (size_t k = 0; k < a->knob_count && point; k++)
            varied[k] |= point->knobs[k] < first->knobs[k] || point->knobs[k] > first->knobs[k];
    }
}

/* "at n=1024 tokens=4": the knobs that are the same in all rows, said once. */
static void say_fixed(const cli_result *a, const cli_result *b, const bool *varied)
{
    const cli_point *first = NULL;
    for (size_t i = 0; i < a->point_count && !first; i++)
        first = row_partner(a, i, b) ? &a->points[i] : NULL;
    char *line = cli_copy("at", 2);
    for (size_t k = 0; k < a->knob_count && first; k++) {
        if (varied[k])
            continue;
        char *value = cli_knob_text(a, k, first->knobs[k]);
        char *longer = cli_format("%s %s=%s", line, a->knob_names[k], value);
        free(value);
        free(line);
        line = longer;
    }
    if (strcmp(line, "at") != 0)
        cli_say(3, "%s", line);
    free(line);
}

static void add_heading(pk_table *table, const cli_result *a, const bool *varied)
{
    const char *cells[1 + CLI_MOST_KNOBS + FIGURES] = {"variant"};
    size_t count = 1;
    for (size_t k = 0; k < a->knob_count; k++)
        if (varied[k])
            cells[count++] = a->knob_names[k];
    const char *figures[] = {"A us/token", "B us/token", "A/B", "95% interval"};
    memcpy(&cells[count], figures, sizeof figures);
    pk_table_row(table, cells);
}

/* A result that did not pass has no time, and nothing to compare. */
static void add_row(pk_table *table, const cli_result *result, const bool *varied, const cli_point *a,
                    const cli_point *b)
{
    const bool measured = a->wall.count && b->wall.count && a->tokens > 0 && b->tokens > 0;
    char *cells[1 + CLI_MOST_KNOBS + FIGURES];
    size_t count = 0;
    cells[count++] = cli_format("%s%s", a->variant, strcmp(a->cache, "cold") ? "" : " (cold)");
    for (size_t k = 0; k < result->knob_count; k++)
        if (varied[k])
            cells[count++] = cli_knob_text(result, k, a->knobs[k]);
    cells[count++] = a->wall.count ? cli_format("%.4g", a->us_per_token) : cli_copy(a->status, strlen(a->status));
    cells[count++] = b->wall.count ? cli_format("%.4g", b->us_per_token) : cli_copy(b->status, strlen(b->status));
    if (measured) {
        const pk_interval interval = ratio_interval(a, b);
        cells[count++] = cli_format("%.3f", a->wall.median / a->tokens / (b->wall.median / b->tokens));
        cells[count++] = cli_format("%.3f to %.3f", interval.low, interval.high);
    } else {
        cells[count++] = cli_copy("-", 1);
        cells[count++] = cli_copy("-", 1);
    }
    pk_table_row(table, (const char *const *)cells);
    for (size_t i = 0; i < count; i++)
        free(cells[i]);
}

static void print_comparison(const cli_result *a, const cli_result *b)
{
    bool varied[CLI_MOST_KNOBS] = {false};
    find_varied(a, b, varied);
    size_t columns = FIGURES;
    for (size_t k = 0; k < a->knob_count; k++)
        columns += varied[k];
    pk_table *table = pk_table_new(columns, ~1u); /* all but the variant's name to the right */
    cli_say(3, "A  %s, %s, %s", a->program, a->device, a->started_utc);
    cli_say(3, "B  %s, %s, %s", b->program, b->device, b->started_utc);
    say_fixed(a, b, varied);
    putchar('\n');
    add_heading(table, a, varied);
    for (size_t i = 0; i < a->point_count; i++) {
        const cli_point *point = row_partner(a, i, b);
        if (point)
            add_row(table, a, varied, &a->points[i], point);
    }
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
    putchar('\n');
    cli_say(0, "A/B above 1: B is faster. An interval that holds 1 shows no difference.");
    size_t only_a = left_out(a, b), only_b = left_out(b, a);
    if (only_a || only_b)
        cli_say(0, "Left out: %zu results that only A has, %zu that only B has.", only_a, only_b);
}

int cmd_compare(int argc, char **argv)
{
    const char *paths[2];
    bool anyway = false;
    cli_option options[] = {{"--anyway", NULL, &anyway}};
    size_t words;
    cli_result a = {0}, b = {0};
    pk_status status = cli_parse(argc, argv, options, 1, paths, 2, &words);
    if (status == PK_OK && words < 2)
        status = pk_fail(PK_USAGE, "compare needs two result files: ./lab compare A.json B.json");
    if (status == PK_OK)
        status = cli_result_load(&a, paths[0]);
    if (status == PK_OK)
        status = cli_result_load(&b, paths[1]);
    if (status == PK_OK)
        status = judge_comparable(&a, &b, anyway);
    if (status == PK_OK)
        print_comparison(&a, &b);
    cli_result_free(&a);
    cli_result_free(&b);
    return status == PK_OK ? 0 : cli_failed(status);
}
