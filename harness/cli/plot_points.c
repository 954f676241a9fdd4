/* What figures show of a result file: its results by variant, and by their knobs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"

enum { MOST_PHASES = 32 /* more than any variant times; further ones are in no table */ };

static bool is_hot(const cli_point *point)
{
    return !strcmp(point->cache, "hot");
}

bool plot_has_time(const cli_point *point)
{
    return cli_passed(point) && is_hot(point) && isfinite(point->us_per_token);
}

/* The knobs that qsort compares by: which is the last to count (any number for none), and how many there are. */
static size_t compared_knobs, compared_last;

int plot_by_value(double a, double b)
{
    return (a > b) - (a < b);
}

/* The knobs in their order, compared_last after all others; equal ones in the order of the file. */
static int by_knobs(const void *a, const void *b)
{
    const cli_point *x = *(const cli_point *const *)a, *y = *(const cli_point *const *)b;
    for (size_t i = 0; i < compared_knobs; i++)
        if (i != compared_last && plot_by_value(x->knobs[i], y->knobs[i]))
            return plot_by_value(x->knobs[i], y->knobs[i]);
    if (compared_last < compared_knobs && plot_by_value(x->knobs[compared_last], y->knobs[compared_last]))
        return plot_by_value(x->knobs[compared_last], y->knobs[compared_last]);
    return (x > y) - (x < y);
}

static int by_variant(const void *a, const void *b)
{
    const cli_point *x = *(const cli_point *const *)a, *y = *(const cli_point *const *)b;
    const int order = strcmp(x->variant, y->variant);
    return order ? order : (x > y) - (x < y);
}

void plot_sort_by_knobs(const cli_result *result, const cli_point **points, size_t count, size_t last)
{
    compared_knobs = result->knob_count;
    compared_last = last;
    if (count)
        qsort(points, count, sizeof *points, by_knobs);
}

/* Sorted, and the first of those that have the same knobs alone. */
static size_t sort_out(const cli_result *result, const cli_point **points, size_t count)
{
    size_t kept = 0;
    plot_sort_by_knobs(result, points, count, result->knob_count);
    for (size_t i = 0; i < count; i++)
        if (!kept || !cli_same_knobs(result, points[kept - 1]->knobs, points[i]->knobs))
            points[kept++] = points[i];
    return kept;
}

/* From the variant's results, in the order of the file. */
static plot_variant variant_of(const cli_result *result, const cli_point *const *points, size_t count)
{
    plot_variant variant = {.name = points[0]->variant,
                            .swept = cli_grow(NULL, count, sizeof *variant.swept),
                            .is_baseline = !strcmp(points[0]->role, "baseline"),
                            .untimed = cli_grow(NULL, count, sizeof *variant.untimed)};
    for (size_t i = 0; i < count; i++) {
        const cli_point *point = points[i];
        variant.is_drawn |= plot_has_time(point);
        variant.is_peer |= point->peer[0] != '\0';
        /* The default point is measured at another time than the sweep, which may cover its knobs again: it is on no
         * line. */
        if (point->is_default && is_hot(point) && !variant.headline)
            variant.headline = point;
        else if (!point->is_default && plot_has_time(point))
            variant.swept[variant.swept_count++] = point;
        else if (!point->is_default && is_hot(point))
            variant.untimed[variant.untimed_count++] = point;
    }
    variant.swept_count = sort_out(result, variant.swept, variant.swept_count);
    variant.untimed_count = sort_out(result, variant.untimed, variant.untimed_count);
    return variant;
}

/* Where a variant's results are among those sorted by variant. */
typedef struct run_of_points {
    const cli_point *const *first;
    size_t count;
} run_of_points;

static int by_place(const void *a, const void *b)
{
    const run_of_points *x = a, *y = b;
    return (*x->first > *y->first) - (*x->first < *y->first);
}

static cli_names phases_of(const cli_result *result)
{
    cli_names names = {NULL, 0};
    for (size_t i = 0; i < result->point_count; i++)
        for (size_t k = 0; k < result->points[i].phase_count && names.count < MOST_PHASES; k++)
            if (!cli_names_has(&names, result->points[i].phases[k].name))
                cli_names_add(&names, result->points[i].phases[k].name);
    return names;
}

plot_figures plot_figures_of(const cli_result *result, const char *folder)
{
    plot_figures all = {.result = result, .folder = folder};
    const size_t count = result->point_count;
    const cli_point **points = cli_grow(NULL, count + 1, sizeof *points);
    run_of_points *runs = cli_grow(NULL, count + 1, sizeof *runs);
    size_t run_count = 0;
    for (size_t i = 0; i < count; i++)
        points[i] = &result->points[i];
    if (count)
        qsort(points, count, sizeof *points, by_variant);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(points[i]->variant, points[i - 1]->variant) != 0)
            runs[run_count++] = (run_of_points){&points[i], 0};
        runs[run_count - 1].count++;
    }
    if (run_count)
        qsort(runs, run_count, sizeof *runs, by_place);
    all.variant_count = run_count < PLOT_MOST_VARIANTS ? run_count : PLOT_MOST_VARIANTS;
    all.left_out = run_count - all.variant_count;
    all.variants = cli_grow(NULL, all.variant_count + 1, sizeof *all.variants);
    for (size_t i = 0; i < all.variant_count; i++)
        all.variants[i] = variant_of(result, runs[i].first, runs[i].count);
    free(runs);
    free(points);
    all.phases = phases_of(result);
    return all;
}

void plot_figures_free(plot_figures *all)
{
    for (size_t i = 0; i < all->variant_count; i++) {
        free(all->variants[i].swept);
        free(all->variants[i].untimed);
    }
    free(all->variants);
    cli_names_free(&all->phases);
    *all = (plot_figures){0};
}

const plot_variant *plot_variant_named(const plot_figures *all, const char *name)
{
    for (size_t v = 0; v < all->variant_count; v++)
        if (!strcmp(all->variants[v].name, name))
            return &all->variants[v];
    return NULL;
}
