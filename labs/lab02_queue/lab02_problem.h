/* Lab 02: what its C files share. problem.c has the knobs, the start of a repetition and the check; buffers.c the
 * memory; inputs.c what is drawn from the seed, and the references; sweeps.c sizes, sweeps, figures and targets. */
#ifndef LAB02_PROBLEM_H
#define LAB02_PROBLEM_H

#include "lab02.h"

enum {
    LAB02_KNOB_N,
    LAB02_KNOB_STEPS,
    LAB02_KNOB_REQUESTS,
    LAB02_KNOB_BLOCKS,
    LAB02_KNOB_THREADS,
    LAB02_KNOB_A,
    LAB02_KNOB_FORM,
    LAB02_KNOB_ARRIVAL,
    LAB02_KNOB_LOAD,
    LAB02_KNOB_BURST,
    LAB02_KNOB_IN_FLIGHT,
    LAB02_KNOB_RING,
    LAB02_KNOB_QUANTUM,
    LAB02_KNOB_FIRST,
    LAB02_KNOB_CANCEL,
    LAB02_KNOB_STOP,
    LAB02_KNOB_COUNT
};
extern const pk_knob lab02_knobs[LAB02_KNOB_COUNT];

enum { LAB02_AT_ONCE, LAB02_POISSON, LAB02_BURSTS }; /* the knob `arrival` */

typedef struct lab02_inputs {      /* the reference: no variant reaches it. The host's copies */
    float *x, *start, *want, *got; /* [R][n] */
    float *want_trace, *got_trace; /* [R][S] */
    float *matrix, *plain_matrix;  /* [n/4][n][4], and the same by rows; dense only */
    unsigned *counts;              /* [R]: steps that serial execution does of each request */
    bool want_is_whole;            /* want is after S steps of every request; want_trace always is */
    float *device_want;            /* device, [R][n]: the state after serial execution */
    float *device_trace;           /* device, [R][S] */
    unsigned *device_counts;       /* device, [R] */
} lab02_inputs;

typedef struct lab02_beginning {     /* what a repetition begins with */
    unsigned *done;                  /* [R] */
    unsigned long long *run;         /* [run_ring] */
    unsigned long long *completions; /* mapped, [ring]: the host's view */
} lab02_beginning;

/* ---- buffers.c ---- */

pk_status lab02_setup(pk_run *run);
void lab02_teardown(pk_run *run);
pk_status lab02_out_of_memory(void);

/* ---- inputs.c ---- */

/* Draw all inputs from the seed, upload them, and compute the references. */
pk_status lab02_fill(pk_run *run, uint64_t seed);

/* Serial execution of counts[r] steps of each request, into the host's `want` and `want_trace`. */
pk_status lab02_run_serial(pk_run *run, lab02 *lab);

/* ---- sweeps.c ---- */

double lab02_tokens(const pk_run *run);
double lab02_bytes_per_token(const pk_run *run);
double lab02_flops_per_token(const pk_run *run);

extern const pk_sweep lab02_sweeps[6], lab02_sweeps_quick[6];
extern const pk_target lab02_targets[7];
pk_status lab02_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis);

#endif
