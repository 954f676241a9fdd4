/* Between the lab's C files: knobs, sizes, sweeps, targets. Variants include lab04.h alone. */
#ifndef LAB04_PROBLEM_H
#define LAB04_PROBLEM_H

#include "decode/pk_judge.h"
#include "decode/pk_text.h"
#include "lab04.h"

enum {
    LAB04_KNOB_WORK,
    LAB04_KNOB_MODEL,
    LAB04_KNOB_FORM,
    LAB04_KNOB_PROMPT,
    LAB04_KNOB_TOKENS,
    LAB04_KNOB_TOP_K,
    LAB04_KNOB_GRAPH,
    LAB04_KNOB_CAPACITY,
    LAB04_KNOB_REQUESTS,
    LAB04_KNOB_EXACT,
    LAB04_KNOB_POOL,
    LAB04_KNOB_PART,
    LAB04_KNOB_N,
    LAB04_KNOB_K,
    LAB04_KNOB_REPLAYS,
    LAB04_KNOBS
};
extern const pk_knob lab04_knobs[LAB04_KNOBS];

/* A knob that has passed the program's own range. */
static inline int lab04_knob(const pk_run *run, const char *name)
{
    return (int)pk_knob_value(run, name);
}

/* What the host knows of a problem, out of the variants' reach. */
typedef struct lab04_expected {
    float *axpy_x, *axpy_start, *axpy_want, *axpy_got; /* [n] */

    int *prompts;                 /* [R][most_rows] of prefill, [P] of decode */
    int *tokens;                  /* [tokens] as downloaded */
    float *logits;                /* [rows][vocab] as downloaded */
    int *seen_tokens;             /* what the first verified variant gave, that the others must give bit for bit */
    float *project_x, *project_y; /* [columns], [copies][rows] as downloaded */
    unsigned *project_words;      /* [copies] as downloaded */
    float *seen_logits;
    pk_drift seen_drift;
    int text_tokens; /* of the text that was decoded; below 2: none was */
    pk_text_judged text;
    bool seen;
    char seen_variant[32];
    size_t cache_bytes;
    size_t decoder_bytes,
        model_kv_bytes; /* what decoding takes, without what is there to judge it; weights and cache */
    void *kept_cache;   /* device: the cache as the prompt left it */
    void *flush; /* device, of --work=project on a GPU: overwritten before each repetition, to leave the L2 cold */
    size_t flush_bytes;
} lab04_expected;

/* inputs.c */
pk_status lab04_validate(const pk_run *run);
pk_status lab04_setup(pk_run *run);
pk_status lab04_fill(pk_run *run, uint64_t seed);
pk_status lab04_reset(pk_run *run);
void lab04_teardown(pk_run *run);

/* sweeps.c */
enum { LAB04_SWEEPS = 7, LAB04_SWEEPS_QUICK = 5, LAB04_TARGETS = 15, LAB04_AWKWARD = 6, LAB04_HIDDEN = 3 };
extern const pk_sweep lab04_sweeps[LAB04_SWEEPS], lab04_sweeps_quick[LAB04_SWEEPS_QUICK];
extern const pk_target lab04_targets[LAB04_TARGETS];
extern const char *const lab04_awkward[LAB04_AWKWARD], *const lab04_hidden[LAB04_HIDDEN];
bool lab04_offers(const pk_run *run, const char *variant);
double lab04_tokens(const pk_run *run);
double lab04_bytes_per_token(const pk_run *run);
double lab04_flops_per_token(const pk_run *run);
pk_launch_range lab04_launches(const pk_run *run, const char *variant);
pk_status lab04_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis);

/* judge.c */
pk_status lab04_verify(pk_run *run, pk_verdict *verdict);

/* perplexity.c: once a problem, by launches of the form's steps, behind all that the variant did; and say it. */
pk_status lab04_decode_text(pk_run *run, const lab04 *lab, lab04_expected *host);
void lab04_say_text(pk_run *run, const lab04_expected *host);

#endif
