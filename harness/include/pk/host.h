/* What the harness asks of the host: time, text, options, progress, sensors, the tools around it. */
#ifndef PK_HOST_H
#define PK_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pk/result.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- time ---- */
double pk_now_us(void); /* CLOCK_MONOTONIC, microseconds since some fixed moment */

/* ---- numbers and names that people type ---- */

/* The whole text as a decimal integer, with the suffixes k, M, G (powers of 1024) and the form 2^K allowed.
 * PK_USAGE, naming `what`, when it is no number or outside [minimum, maximum]. */
pk_status pk_parse_integer(long long *value, const char *what, const char *text, long long minimum, long long maximum);

/* A finite decimal number in [minimum, maximum]; PK_USAGE as above. */
pk_status pk_parse_number(double *value, const char *what, const char *text, double minimum, double maximum);

/* The candidate nearest to `word` by Damerau-Levenshtein distance, or NULL when none is near enough to suggest
 * (more than a third of the word's letters, and more than 2, differ). */
const char *pk_nearest(const char *word, const char *const *candidates, size_t count);

/* ---- a table for a terminal ---- */

/* Rows of text cells; columns are padded to their widest cell; a column in `right` (bit i) aligns right. In lines of
 * `width` columns (0: of any) the cells of left-aligned columns are folded at blanks; where that does not do, each row
 * stands as a list of its own. Nothing is cut. UTF-8 cells are counted by code point. */
typedef struct pk_table pk_table;
pk_table *pk_table_new(size_t columns, unsigned right);
void pk_table_row(pk_table *table, const char *const *cells); /* first row: the heading */
void pk_table_print(const pk_table *table, FILE *out, size_t width, bool colour);
void pk_table_free(pk_table *table);

/* The `width` for what is printed there: the terminal's, 80 at most; 0 where it is none. */
size_t pk_text_width(FILE *out);

/* Text in lines of the terminal's width, or of 80 columns, broken at blanks, further lines indented by two. */
void pk_print_wrapped(FILE *out, const char *text);
/* A line of a help: "  --option=1         what it does", further lines below what it does. */
void pk_print_option(FILE *out, const char *option, const char *text);

/* ---- progress: a bar on a terminal, plain lines elsewhere ---- */
typedef struct pk_progress pk_progress;
pk_progress *pk_progress_begin(FILE *out, const char *what, size_t total);
void pk_progress_step(pk_progress *progress, size_t done, const char *label); /* redraws at most 10 times a second */
void pk_progress_end(pk_progress *progress); /* leaves the line clear for what follows */

bool pk_use_colour(FILE *out); /* a terminal, and neither NO_COLOR nor TERM=dumb */

/* ---- sensors: NVML, loaded at run time ---- */
bool pk_nvml_open(const char *pci_bus_id);           /* false where there is no NVML or no such device */
void pk_nvml_driver(char *version, size_t bytes);    /* "580.65.06"; "" where NVML is not open or does not tell */
void pk_nvml_read(pk_clock_state *state);            /* known = false where NVML is not open */
bool pk_nvml_throttled(const pk_clock_state *state); /* hardware or power or thermal slow-down, idle apart */
void pk_nvml_close(void);

/* ---- kernels that really ran: CUPTI, loaded at run time ----
 * Recording slows launches, so nothing is timed between start and stop; and no other thread uses the device when it
 * stops, for CUPTI then leaves the process. All work must have ended (synchronise) before stop. */
bool pk_cupti_start(void);             /* false where there is no CUPTI, or another profiler holds it */
bool pk_cupti_stop(uint64_t *kernels); /* kernels that ended since start, those inside graphs included */

/* ---- ranges for profilers ---- */
void pk_range_push(const char *name); /* NVTX where its header was there at build time; else nothing */
void pk_range_pop(void);

/* ---- what this build and machine are, for the result file ---- */
typedef struct pk_environment {
    char os[128], cpu[128];
    int cpu_cores;
    char compiler[128], device_compiler[128], flags[512], build_type[32];
    char git_commit[72]; /* SHA-1 or SHA-256, in hexadecimal */
    bool git_dirty, git_known;
    bool nvml, cupti, nvtx;
} pk_environment;
void pk_environment_read(pk_environment *environment);

#ifdef __cplusplus
}
#endif

#endif
