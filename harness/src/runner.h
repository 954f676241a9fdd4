/* What the runner's files share: options, one set of knobs with its buffers, and the contenders measured on it. */
#ifndef PK_RUNNER_H
#define PK_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pk/lab.h"
#include "pk/result.h"

typedef enum pk_sweep_mode { PK_SWEEP_NONE, PK_SWEEP_AUTO, PK_SWEEP_QUICK, PK_SWEEP_FULL } pk_sweep_mode;

typedef struct pk_options {
    long long *knobs;     /* [lab.knob_count] */
    bool *knob_given;     /* [lab.knob_count]: set on the command line */
    const char *variants; /* comma-separated; NULL: all */
    uint64_t seed;
    bool quick, timing, check, cold, list;
    bool awkward; /* verify the lab's awkward sizes too: with timing, or asked for */
    pk_sweep_mode sweep;
    double time_limit_s; /* for each point, all variants together */
    double watchdog_s;   /* without progress */
    const char *out, *json, *csv;
} pk_options;

/* Fill `options` from argv. PK_USAGE with a message; `*done` when --help or --list printed what was asked. */
pk_status pk_options_parse(pk_options *options, const pk_lab *lab, int argc, char **argv, bool *done);
void pk_options_free(pk_options *options);

/* Set the knobs that `text` names, "n=1 k=3", in knobs [lab.knob_count]. PK_USAGE for one that is not there or a value
 * out of its range. */
pk_status pk_options_set_knobs(long long *knobs, const pk_lab *lab, const char *text);

/* ---- one set of knobs, shared by the variants that are measured on it ---- */

typedef struct pk_buffer {
    char name[32];
    pk_buffer_role role;
    unsigned char *base; /* guard, data, guard */
    size_t bytes;        /* of data */
} pk_buffer;

enum { PK_MAX_BUFFERS = 64, PK_MAX_STREAMS = 8 };

typedef struct pk_bench {
    const pk_lab *lab;
    const long long *knobs;
    const pk_device_info *device;
    void *stream;
    pk_buffer buffers[PK_MAX_BUFFERS];
    size_t buffer_count;
    void *lab_data, *reference;
    void *peek_stream; /* of pk_run_peek; NULL until the first */
    bool variant_runs; /* the reference is out of reach */
    bool stuck;        /* a kernel that does not end holds the stream: nothing more can run on it */
} pk_bench;

struct pk_run {
    pk_bench *bench;
    const pk_variant *variant; /* NULL while the lab itself runs */
    void *variant_data;
    void *streams[PK_MAX_STREAMS]; /* added by the variant */
    size_t stream_count;
    char open_step[32];
    bool check_tokens; /* look, at each token's end, whether its work has ended: in verified repetitions only, since
                          the look costs a microsecond */
    bool token_early;  /* one was reported before that */
    bool peeks;        /* results are looked at as they are reported: in verified repetitions only */
    pk_status peeked;  /* PK_OK, or what a look at a token came to, its text in peeked_text */
    char peeked_text[384];
    double *token_us; /* latencies of the tokens of this repetition, [token_capacity] */
    size_t token_count, token_capacity, token_seen, token_stride;
    double last_token_us;      /* when the last token, or the repetition, began or ended */
    pk_launch_counts launches; /* of the last repetition */
};

/* buffers.c */
pk_status pk_buffers_poison(pk_bench *bench);             /* outputs and scratch to NaN */
pk_status pk_buffers_check_guards(const pk_bench *bench); /* PK_WRONG, naming the buffer and side */
void pk_buffers_free(pk_bench *bench);

/* ---- measuring ---- */

enum { PK_MAX_CONTENDERS = 32 };

typedef struct pk_contender {
    pk_run run;
    size_t result;                              /* index in report.results */
    bool active;                                /* verified, and still in the race */
    bool sits_out;                              /* verified but not timed: the device only emulates what it needs */
    double *walls;                              /* this round's two samples */
    size_t tokens;                              /* latencies kept before this round */
    unsigned repetitions_verified, times_grown; /* verified repetitions, and how many of the last ones kept memory */
} pk_contender;

typedef struct pk_measure_plan {
    double time_limit_s;
    size_t min_rounds, max_rounds;
    size_t instrument_every;    /* rounds: event and submission times are taken in repetitions of their own; 0: never */
    size_t warm_up_repetitions; /* of each contender, and for at least warm_up_us */
    double warm_up_us;
    double settle; /* stop when every ratio's standard error over its median is below this */
    bool keep_tokens;
    pk_cache_state cache;
    uint64_t seed;
} pk_measure_plan;

/* Time the active contenders in interleaved rounds; the first active baseline is the one that ratios are against.
 * A contender that faults or turns out wrong is recorded and leaves the race. */
pk_status pk_measure(pk_report *report, pk_contender *contenders, size_t count, const pk_measure_plan *plan);

/* The contender leaves the race with `status` and the text of the last failure. */
void pk_contender_fail(pk_report *report, pk_contender *contender, pk_status status);

/* One repetition from a fresh state. */
pk_status pk_repetition_prepare(pk_run *run, pk_cache_state cache); /* reset, flush, synchronise: not timed */
pk_status pk_repetition_execute(pk_run *run, double *wall_us);      /* execute, and check that it really ended */

/* After a repetition that failed: has its kernel ended, or does it within a second? If not, the bench is stuck. */
void pk_repetition_left_behind(pk_run *run);

/* What the repetition that is under way holds, as its lab tells; "" when there is none. From any thread. */
void pk_repetition_describe(char *text, size_t bytes);

/* Does the repetition's number of launches fit what the rung is about? PK_WRONG when not. */
pk_status pk_repetition_check_launches(const pk_run *run);

/* limits.cu */
pk_status pk_measure_limits(const pk_device_info *device, void *stream, bool quick, pk_report *report);
pk_status pk_flush_l2(const pk_device_info *device, void *stream);
void pk_limits_free(void);

/* ---- watchdog.c: hangs and Ctrl-C ---- */

/* Start the thread that owns SIGINT and SIGTERM. Before any other thread starts, so that all inherit the mask. */
pk_status pk_watchdog_start(double seconds, void (*give_up)(pk_status why, const char *text));
void pk_watchdog_stop(void);
void pk_watchdog_progress(const char *what); /* something moved: start counting again */
bool pk_interrupted(void);                   /* SIGINT or SIGTERM arrived */

/* ---- print.c ---- */
/* A line, broken at blanks where it is longer than a terminal is wide; what follows is indented. */
void pk_print_wrapped(FILE *out, const char *text);
/* Results of the first `count` entries as a table, limits, what failed and why, targets when they were judged. */
void pk_print_report(const pk_report *report, size_t count, bool targets);
void pk_print_lab_help(const pk_lab *lab, const char *program);
void pk_print_variants(void);

#endif
