/* What drawing a result file is made of: cmd_plot.c chooses files, plot_points.c sorts their results, plot_tables.c and
 * plot_timeline.c write what plots/<lab>-<figure>.gp read, plot_draw.c has gnuplot draw them. */
#ifndef CLI_PLOT_H
#define CLI_PLOT_H

#include "results.h"

typedef struct plot_variant { /* in the order of the file */
    const char *name;
    const cli_point **swept; /* the timed results of the sweeps, by their knobs; the default point is not among them */
    size_t swept_count;
    const cli_point **untimed; /* those of the sweeps that have no time: skipped, wrong, ... */
    size_t untimed_count;
    const cli_point *headline; /* at the default point; may be NULL */
    bool is_drawn, is_peer, is_baseline;
} plot_variant;

typedef struct plot_figures { /* all that drawing one result file needs */
    const cli_result *result;
    const char *folder; /* the temporary one */
    plot_variant *variants;
    size_t variant_count;
    size_t left_out;  /* variants beyond what a figure can hold */
    cli_names phases; /* that any result timed, in the order of the file */
} plot_figures;

plot_figures plot_figures_of(const cli_result *result, const char *folder);
void plot_figures_free(plot_figures *all);

bool plot_has_time(const cli_point *point); /* passed, in steady state ("hot"), and timed */
const plot_variant *plot_variant_named(const plot_figures *all, const char *name);
int plot_by_value(double a, double b); /* below, at or above 0, as qsort wants it */

/* In the order of their knobs, `last` (knob_count: none) after all others; equal ones in the order of the file. */
void plot_sort_by_knobs(const cli_result *result, const cli_point **points, size_t count, size_t last);

/* The tables and variables in the temporary folder. */
pk_status plot_write_tables(const plot_figures *all);

/* The tables of the timeline that stands beside the result, and in `variables` what says what is in them. PK_OK too
 * where there is none, or one that cannot be used: a variable says why. */
pk_status plot_write_timeline(const plot_figures *all, FILE *variables);

/* A file in the temporary folder; NULL after pk_fail. */
FILE *plot_create(const plot_figures *all, const char *name);
pk_status plot_finish(FILE *file);

/* Every figure of the result's lab, into `folder`, each said in a line. */
pk_status plot_draw_all(const plot_figures *all, const char *folder);

#endif
