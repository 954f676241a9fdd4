/* What drawing a result file is made of: cmd_plot.c chooses files, plot_points.c sorts their results, plot_tables.c and
 * plot_timeline.c write what plots/<lab>-<figure>.gp read, plot_draw.c has gnuplot draw them; plot_temporary.c is the
 * folder that they do it in, plot_tex.c what LaTeX gets. */
#ifndef CLI_PLOT_H
#define CLI_PLOT_H

#include "results.h"

enum { PLOT_MOST_VARIANTS = 40 /* bars that a page has room for */ };

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

/* ---- drawing ---- */

typedef enum plot_format { PLOT_SVG, PLOT_PNG, PLOT_PDF, PLOT_TEX, PLOT_FORMATS } plot_format;
const char *plot_format_name(plot_format format); /* "svg": what --format takes and files end in */

typedef struct plot_wanted {
    bool formats[PLOT_FORMATS];
} plot_wanted;

/* "svg,png", as --format has it. PK_USAGE, with the nearest name, for a format that is none. LaTeX's needs the PDF,
 * which is then wanted too. */
pk_status plot_read_formats(const char *text, plot_wanted *wanted);

typedef struct plot_drawing { /* a figure, as it is handed to who takes it */
    char *name;               /* "lab01-speedup" */
    char *why_not;            /* it could not be drawn: why; else NULL */
    char *says;               /* the result, in a line; "" where the figure says none */
    char *about;              /* its conditions, and the device */
    char *note;               /* what its marks mean; may be "" */
    char *images[PLOT_FORMATS];
    size_t image_bytes[PLOT_FORMATS]; /* 0: not wanted */
} plot_drawing;

/* What is done with each figure; drawing ends with the first that is not PK_OK. */
typedef pk_status (*plot_taker)(void *context, const plot_drawing *drawing);

/* Every figure of the result's lab, in the order of their names. */
pk_status plot_draw_all(const plot_figures *all, const plot_wanted *wanted, plot_taker take, void *context);

/* All of it: the temporary folder, its tables, every figure. PK_USAGE when there is no gnuplot, and when the result
 * holds nothing to draw. `*left_out` is how many variants beyond the first PLOT_MOST_VARIANTS had no room. */
pk_status plot_result(const cli_result *result, const plot_wanted *wanted, plot_taker take, void *context,
                      size_t *left_out);

/* One figure of something else than a lab's results: `script` of plots/, with what `write` puts into variables.gp
 * behind the device's, and into tables of its own (plot_create). PK_USAGE when there is no gnuplot. */
typedef struct plot_subject {
    const char *script, *device;
    bool is_cpu;
    double processors;
    pk_status (*write)(const plot_figures *place, FILE *variables, const void *data);
    const void *data;
} plot_subject;
pk_status plot_subject_draw(const plot_subject *subject, const plot_wanted *wanted, plot_taker take, void *context);

/* The same as SVG and PNG into a folder, each said in a line: cmd_plot.c. */
pk_status plot_subject_save(const plot_subject *subject, const char *folder);

/* The device's variables; the words "CPU device" are among them where it is one. */
void plot_put_device(FILE *file, const char *device, bool is_cpu, double processors);

/* "result (conditions, device; marks)", in new memory: what stands below a figure in a page. */
char *plot_caption(const plot_drawing *drawing);

/* LaTeX's figure environment around NAME.pdf, with that caption. In new memory. */
char *plot_tex(const plot_drawing *drawing);

/* ---- plot_temporary.c ---- */

typedef struct plot_temporary {
    char *folder;
    int held;
} plot_temporary;

/* A folder of its own below TMPDIR; those of commands that were killed go. PK_USAGE where none can be made. */
pk_status plot_temporary_make(plot_temporary *temporary);
void plot_temporary_remove(plot_temporary *temporary);

#endif
