/* Timelines as figures need them: a file that `--trace` wrote, read back without trust. */
#ifndef CLI_TIMELINE_H
#define CLI_TIMELINE_H

#include "results.h"

typedef enum timeline_kind {                      /* the numbers stand in the figures' tables */
                             TIMELINE_SUBMISSION, /* the host hands over a kernel, a graph, a copy or a fill */
                             TIMELINE_WAIT,
                             TIMELINE_CALL, /* any other call */
                             TIMELINE_KERNEL,
                             TIMELINE_TRANSFER /* a copy, a fill, a host function in a stream */
} timeline_kind;

typedef struct timeline_bar {
    double begin_us, end_us; /* since the repetition's begin */
    unsigned track;          /* 0: the host; 1 on: the device's, by stream */
    timeline_kind kind;
    bool is_launch; /* of a kernel or a graph */
} timeline_bar;

typedef struct timeline_variant {
    char *name;
    timeline_bar *bars; /* [bar_count] by track, then time */
    size_t bar_count;
    double *tokens_us; /* [token_count] ascending: when each token was done */
    size_t token_count;
    bool tokens_are_shares; /* not reported: ends of equal shares of the kernels */
    unsigned tracks;        /* of the device */
} timeline_variant;

typedef struct timeline {
    timeline_variant *variants;
    size_t count;
} timeline;

/* Read the file. PK_USAGE, naming it and what is wrong, when it is none that `--trace` wrote, or of another lab or
 * device than `result`. */
pk_status timeline_load(timeline *all, const char *path, const cli_result *result);
void timeline_free(timeline *all);

/* The file's name for a result file's: lab01-trace.json for lab01.json, in the same folder. In new memory. */
char *timeline_path(const char *result_path);
bool timeline_is_name(const char *file_name); /* "...-trace.json": no result of another program */

#endif
