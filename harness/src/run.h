/* One set of knobs with its buffers, shared by the variants that are measured on it, and a run of one of them: what is
 * behind the pk_run of pk/lab.h. */
#ifndef PK_RUN_H
#define PK_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "pk/lab.h"
#include "pk_device.h"

typedef struct pk_buffer {
    char name[32];
    pk_buffer_role role;
    unsigned char *base; /* guard, data, guard */
    size_t bytes;        /* of data */
} pk_buffer;

typedef struct pk_host_part {
    char name[32];
    pk_host_role role;
    void *memory;
    size_t bytes;
} pk_host_part;

enum { PK_MAX_BUFFERS = 64, PK_MAX_STREAMS = 8, PK_MAX_HOST_PARTS = 24 };

typedef struct pk_bench {
    const pk_lab *lab;
    const long long *knobs;
    const pk_device_info *device;
    void *stream;
    pk_buffer buffers[PK_MAX_BUFFERS];
    size_t buffer_count;
    pk_host_part parts[PK_MAX_HOST_PARTS];
    size_t part_count;
    size_t shift; /* bytes that its buffers begin later in their allocations than another bench's */
    void *lab_data, *reference;
    void *peek_stream; /* of pk_run_peek; NULL until the first */
    bool variant_runs; /* the reference is out of reach */
    bool of_sweep;     /* a point of a sweep */
    bool stuck;        /* a kernel that does not end holds the stream: nothing more can run on it */
} pk_bench;

/* Where another process judges what is looked at: told in the process that runs. */
typedef struct pk_looks {
    void (*peeked)(void *context, const void *bytes, size_t count); /* by the lab, for the token at hand */
    void (*looked)(void *context, size_t token);                    /* nothing more is, for that token */
    void *context;
} pk_looks;

/* And in the process that judges: what was peeked at there. */
typedef struct pk_shown {
    const unsigned char *bytes;
    size_t count;
} pk_shown;

struct pk_run {
    pk_bench *bench;
    const pk_variant *variant; /* NULL while the lab itself runs */
    void *variant_data;
    void *streams[PK_MAX_STREAMS]; /* added by the variant */
    size_t stream_count;
    char open_step[32];
    bool prints_plan;  /* pk_run_plan prints */
    bool check_tokens; /* look, at each token's end, whether its work has ended: in verified repetitions only, since
                          the look costs a microsecond */
    bool token_early;  /* one was reported before that */
    bool peeks;        /* results are looked at as they are reported: in verified repetitions only */
    const pk_looks *looks;
    pk_shown *shown;  /* pk_run_peek takes its bytes from there; NULL: from the device */
    pk_status peeked; /* PK_OK, or what a look at a token came to, its text in peeked_text */
    char peeked_text[384];
    double *token_us; /* latencies of the tokens of this repetition, [token_capacity] */
    size_t token_count, token_capacity, token_seen, token_stride;
    double last_token_us;           /* when the last token, or the repetition, began or ended */
    pk_phase phases[PK_MAX_PHASES]; /* what pk_run_phase said since the run began */
    size_t phase_count;
    pk_phase spans[PK_MAX_PHASES]; /* what pk_run_span said in the last repetition */
    size_t span_count;
    pk_measured measures[PK_MAX_MEASURES]; /* what pk_run_measure said since the run began */
    size_t measure_count;
    pk_launch_counts launches; /* of the last repetition */
    struct pk_trace *trace;    /* the repetition is recorded there; NULL: it is not */
};

#endif
