/* Lab 03: what its C files share. problem.c has the knobs, the buffers and the check; inputs.c the inputs and the
 * reference once more in C; model.c sizes, sweeps, figures and targets. */
#ifndef LAB03_PROBLEM_H
#define LAB03_PROBLEM_H

#include "lab03.h"

enum {
    LAB03_KNOB_SEQ_LEN,
    LAB03_KNOB_BATCH,
    LAB03_KNOB_HEADS,
    LAB03_KNOB_KV_HEADS,
    LAB03_KNOB_HEAD_DIM,
    LAB03_KNOB_STEPS,
    LAB03_KNOB_RAGGED,
    LAB03_KNOB_CAPACITY,
    LAB03_KNOB_BLOCK_K,
    LAB03_KNOB_STAGES,
    LAB03_KNOB_BLOCKS,
    LAB03_KNOB_THREADS,
    LAB03_KNOB_EXTRA_BARRIERS,
    LAB03_KNOB_COUNT
};
extern const pk_knob lab03_knobs[LAB03_KNOB_COUNT];

static inline int lab03_knob(const pk_run *run, const char *name)
{
    return (int)pk_knob_value(run, name);
}

/* ---- inputs.c ---- */

/* Draw all inputs from the seed, upload them, and compute the reference. */
pk_status lab03_fill(pk_run *run, uint64_t seed);

/* ---- problem.c ---- */

/* What a variant gave for the inputs that are there now: one number a step. */
typedef struct lab03_seen {
    struct lab03_seen *next;
    const pk_run *run; /* names the variant: each has a run of its own */
    uint64_t hash[];   /* [T] */
} lab03_seen;

/* What results are compared with: the run's reference, out of the variants' reach. */
typedef struct lab03_expected {
    double *want, *bound; /* [T][B][H][D] */
    float *got;           /* [T][B][H][D] */
    lab03_seen *seen;     /* what each variant gave before for these inputs */
} lab03_expected;

/* Other inputs come: what variants gave before is nothing to compare with. */
void lab03_forget_seen(lab03_expected *expected);

/* ---- model.c ---- */

double lab03_tokens(const pk_run *run);
double lab03_bytes_per_token(const pk_run *run);
double lab03_flops_per_token(const pk_run *run);
pk_launch_range lab03_launches(const pk_run *run, const char *variant);

extern const pk_sweep lab03_sweeps[4], lab03_sweeps_quick[3];
extern const pk_target lab03_targets[6];
extern const char *const lab03_awkward[4], *const lab03_hidden[2];
pk_status lab03_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis);

#endif
