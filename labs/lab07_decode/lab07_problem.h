/* Between the lab's C files: knobs, models, what the host knows of a problem. Variants include lab07.h alone. */
#ifndef LAB07_PROBLEM_H
#define LAB07_PROBLEM_H

#include "decode/pk_judge.h"
#include "decode/pk_reference.h"
#include "lab07.h"

enum {
    LAB07_KNOB_MODEL,
    LAB07_KNOB_POSITION,
    LAB07_KNOB_TOKENS,
    LAB07_KNOB_TOP_K,
    LAB07_KNOB_CAPACITY,
    LAB07_KNOB_BLOCKS,
    LAB07_KNOB_CONSUMERS,
    LAB07_KNOB_RING,
    LAB07_KNOB_CHUNK,
    LAB07_KNOB_IN_FLIGHT,
    LAB07_KNOB_SHARE_KEYS,
    LAB07_KNOB_STOP_AFTER,
    LAB07_KNOB_ENDS,
    LAB07_KNOB_STAMPS,
    LAB07_KNOB_WEIGHTS,
    LAB07_KNOB_HOLD,
    LAB07_KNOBS
};
extern const pk_knob lab07_knobs[LAB07_KNOBS];

/* A knob that has passed the program's own range. */
static inline int lab07_knob(const pk_run *run, const char *name)
{
    return (int)pk_knob_value(run, name);
}

/* models.c */
enum { LAB07_MODELS = 11 };
extern const char *const lab07_models[LAB07_MODELS];
pk_status lab07_model(const pk_run *run, pk_model_config *config);  /* of --model */
pk_status lab07_model_at(long long which, pk_model_config *config); /* of lab07_models */

/* sweeps.c */
enum { LAB07_SWEEPS = 6, LAB07_SWEEPS_QUICK = 4, LAB07_TARGETS = 7 };
extern const pk_sweep lab07_sweeps[LAB07_SWEEPS], lab07_sweeps_quick[LAB07_SWEEPS_QUICK];
extern const pk_target lab07_targets[LAB07_TARGETS];
pk_status lab07_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis);

/* Variants whose sums are made in the same order give the same bits. */
enum { LAB07_SUMS_OF_LAUNCHES, LAB07_SUMS_OF_WHOLE_HEADS, LAB07_SUMS_OF_SHARES, LAB07_SUMS };

typedef struct lab07_seen { /* what the first judged variant of a kind of sums gave */
    bool there;
    char variant[32];
    int *tokens;   /* [steps] */
    float *logits; /* [logit_rows][vocab] */
    pk_drift drift;
} lab07_seen;

/* The model in double behind the given keys and values, for one sequence of tokens. */
typedef struct lab07_double {
    int judged;                    /* steps that there was time for; 0: not computed */
    int *tokens;                   /* [judged]: that went in */
    double *logits;                /* [judged][vocab] */
    double *bound;                 /* [judged] */
    double weights_l2, weights_kl; /* of quantised weights: how far from the bf16 model's logits, the worst step */
} lab07_double;

/* What the host knows of a problem, out of the variants' reach. */
typedef struct lab07_expected {
    int first_token;
    uint16_t *cache;                 /* as the repetition begins: what is behind the given positions is NaN */
    const uint16_t **keys, **values; /* [layers], into it */
    size_t cache_bytes, decoder_bytes, model_kv_bytes;
    size_t free_bytes; /* of device memory, when the repetition began */
    void *kept_cache;  /* device: the same */
    int *tokens;       /* [steps] as downloaded */
    float *logits;     /* [logit_rows][vocab] as downloaded */
    lab07_seen seen[LAB07_SUMS];
    lab07_double model;
} lab07_expected;

/* inputs.c */
pk_status lab07_validate(const pk_run *run);
pk_status lab07_setup(pk_run *run);
pk_status lab07_fill(pk_run *run, uint64_t seed);
pk_status lab07_reset(pk_run *run);
void lab07_teardown(pk_run *run);
void lab07_take_sizes(const pk_run *run, lab07 *lab); /* of the knobs, and of the decoder, open */

/* waits.c */
pk_status lab07_open_waits(const pk_run *run, lab07 *lab);
void lab07_close_waits(lab07 *lab);
pk_status lab07_clear_waits(const lab07 *lab, void *stream); /* before a repetition, in stream order */
pk_status lab07_open_posts(lab07 *lab);
void lab07_close_posts(lab07 *lab);
void lab07_clear_posts(lab07 *lab); /* before a repetition */
void lab07_describe_stall(const pk_run *run, char *text, size_t bytes);

/* judge.c */
pk_status lab07_verify(pk_run *run, pk_verdict *verdict);

#endif
