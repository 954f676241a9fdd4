/* The command line of a lab program, read. */
#ifndef PK_OPTIONS_H
#define PK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "pk/lab.h"

typedef enum pk_sweep_mode { PK_SWEEP_NONE, PK_SWEEP_AUTO, PK_SWEEP_QUICK, PK_SWEEP_FULL } pk_sweep_mode;

typedef struct pk_options {
    long long *knobs;     /* [lab.knob_count] */
    bool *knob_given;     /* [lab.knob_count]: set on the command line */
    const char *variants; /* comma-separated; NULL: all */
    uint64_t seed;
    bool quick, timing, check, cold, list;
    bool print_plan; /* what variants plan is printed, and nothing timed */
    bool slow;       /* such sizes take minutes here */
    bool awkward;    /* verify the lab's awkward sizes too: with timing, or asked for */
    pk_sweep_mode sweep;
    double time_limit_s; /* for each point, all variants together */
    double watchdog_s;   /* without progress */
    const char *out, *json, *csv;
    const char *peers; /* a peer's result file, or a folder of results; NULL: none */
    const char *trace; /* the file; "": beside the results; NULL: none is asked for */
} pk_options;

/* Fill `options` from argv. PK_USAGE with a message; `*done` when --help or --list printed what was asked. */
pk_status pk_options_parse(pk_options *options, const pk_lab *lab, int argc, char **argv, bool *done);
void pk_options_free(pk_options *options);

/* Set the knobs that `text` names, "n=1 k=3", in knobs [lab.knob_count]. PK_USAGE for one that is not there or a value
 * out of its range. */
pk_status pk_options_set_knobs(long long *knobs, const pk_lab *lab, const char *text);

#endif
