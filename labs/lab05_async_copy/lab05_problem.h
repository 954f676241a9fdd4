/* Lab 05: what its C files share. problem.c has the knobs, inputs and the check; sweeps.c sizes, sweeps, figures and
 * targets. */
#ifndef LAB05_PROBLEM_H
#define LAB05_PROBLEM_H

#include "lab05.h"

enum {
    LAB05_KNOB_WORK,
    LAB05_KNOB_PAGES,
    LAB05_KNOB_ROWS,
    LAB05_KNOB_DIM,
    LAB05_KNOB_STAGES,
    LAB05_KNOB_BLOCKS,
    LAB05_KNOB_THREADS,
    LAB05_KNOB_SWIZZLE,
    LAB05_KNOB_STEPS,
    LAB05_KNOB_SHAPE,
    LAB05_KNOB_TOKENS,
    LAB05_KNOB_CONSUMERS,
    LAB05_KNOB_RING,
    LAB05_KNOB_CHAIN_CHUNK,
    LAB05_KNOB_CHAIN_IN_FLIGHT,
    LAB05_KNOB_CHUNK,
    LAB05_KNOB_IN_FLIGHT,
    LAB05_KNOB_PREFILL_BLOCKS,
    LAB05_KNOB_BURSTS,
    LAB05_KNOB_DECODE_STEPS,
    LAB05_KNOB_DECODE_WIDTH,
    LAB05_KNOB_TABLE,
    LAB05_KNOBS
};
extern const pk_knob lab05_knobs[LAB05_KNOBS];

static inline int lab05_knob(const pk_run *run, const char *name)
{
    return (int)pk_knob_value(run, name);
}

#ifdef __cplusplus
extern "C" {
#endif

/* spread.cu: page i of the pool becomes pattern i mod `count`; device memory, in stream order. */
pk_status lab05_spread(const lab05_view *view, const uint16_t *patterns, int count, void *stream);

#ifdef __cplusplus
}
#endif

/* bursts.c: part three. What the lab's functions do of it, each called behind the stream's own: `scores` are the
 * stream's, [P]. */
typedef struct lab05_bursts_reference lab05_bursts_reference;
pk_status lab05_bursts_setup(pk_run *run, lab05 *lab, lab05_bursts_reference **reference);
pk_status lab05_bursts_fill(pk_run *run, const lab05 *lab, lab05_bursts_reference *host, const float *scores,
                            uint64_t seed);
pk_status lab05_bursts_reset(pk_run *run, const lab05 *lab);
pk_status lab05_bursts_verify(pk_run *run, const lab05 *lab, lab05_bursts_reference *host, pk_verdict *verdict);
void lab05_bursts_teardown(lab05 *lab, lab05_bursts_reference *host);
bool lab05_is_bursts(const pk_run *run);
bool lab05_is_offload(const pk_run *run);
pk_status lab05_bursts_validate(const pk_run *run);
double lab05_bursts_decode_bytes(const pk_run *run); /* of a step's weights */
pk_launch_range lab05_bursts_launches(const pk_run *run, const char *variant);
void lab05_bursts_analyse(const pk_point *points, size_t count, pk_analysis *analysis);

/* sweeps.c */
enum { LAB05_SWEEPS = 9, LAB05_SWEEPS_QUICK = 4, LAB05_TARGETS = 7, LAB05_AWKWARD = 10, LAB05_HIDDEN = 5 };
extern const pk_sweep lab05_sweeps[LAB05_SWEEPS], lab05_sweeps_quick[LAB05_SWEEPS_QUICK];
extern const pk_target lab05_targets[LAB05_TARGETS];
extern const char *const lab05_awkward[LAB05_AWKWARD], *const lab05_hidden[LAB05_HIDDEN];
bool lab05_offers(const pk_run *run, const char *variant);
double lab05_tokens(const pk_run *run);
double lab05_bytes_per_token(const pk_run *run);
double lab05_flops_per_token(const pk_run *run);
pk_launch_range lab05_launches(const pk_run *run, const char *variant);
pk_status lab05_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis);

#endif
