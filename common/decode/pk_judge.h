/* Is what a decoder gave right? For the labs that decode. Each token against the logits beside it, logits against those
 * of the model in double, and all of it against what another gave, bit for bit. Adds to a verdict, and stops at the
 * first thing that is wrong. */
#ifndef PK_JUDGE_H
#define PK_JUDGE_H

#include <stdbool.h>

#include "decode/pk_decoder.h"
#include "pk_verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tokens and logits in host memory, as a pk_decoder has them on the device. */
typedef struct pk_decoded {
    const char *word; /* "step" or "prompt": what a token is of, for messages */
    int steps, logit_rows, vocab;
    pk_sampling sampling;
    const int *tokens;   /* [steps] */
    const float *logits; /* [logit_rows][vocab]: of step t in row t % logit_rows; those of the last steps are there */
} pk_decoded;

int pk_judge_first_kept(const pk_decoded *got); /* the first step whose logits are there */
const float *pk_judge_logits(const pk_decoded *got, int step);

/* Each token is there, and where its logits are, it is the best of them, or the one that its draw says. */
void pk_judge_tokens(const pk_decoded *got, pk_verdict *verdict);

/* Tokens and logits are those of `want`, which `whose` gave, bit for bit. */
void pk_judge_same(const pk_decoded *got, const pk_decoded *want, const char *whose, pk_verdict *verdict);

/* The logits of step `step` are within `bound` of `want` [vocab]. False when not, with the verdict's note. */
bool pk_judge_near(const pk_decoded *got, int step, const double *want, double bound, pk_verdict *verdict);

/* How far logits are from those of the model in double: of the steps that were looked at. */
typedef struct pk_drift {
    double l2, kl; /* the worst step: relative to the reference's length; nats */
    double nll;    /* the sum over steps: how much less likely, in nats, the chosen tokens are than in double */
    int steps;     /* that were looked at; 0: none, and the others mean nothing */
} pk_drift;
void pk_judge_drift(const pk_decoded *got, int step, const double *want, pk_drift *drift);

/* A decoder's buffers, in a lab's setup, for pk_decoder_open: weights and tables are inputs, tokens and logits outputs.
 * The prompt is the repetition's own where that writes prompts, else an input. */
struct pk_run;
pk_status pk_judge_buffers(struct pk_run *run, const pk_decoder_sizes *sizes, bool writes_prompts,
                           pk_decoder_memory *memory);

/* The host's copy of pk_decoder_load_random's weights, made at the first call and kept while model and seed are the
 * same. PK_FAULT: out of host memory. */
pk_status pk_judge_model(const pk_model_config *config, uint64_t seed, const pk_model **model);
/* The same by pk_quant_model, kept likewise. */
pk_status pk_judge_quant_model(const pk_model_config *config, uint64_t seed, pk_quant weights, const pk_model **model);

/* Operations of the model in double with PK_JUDGE_PASSES perturbed passes, over so many positions, of which `judged`
 * give logits, with attention to so many keys given besides, all positions' together; and how many there is time for at
 * one point. */
enum { PK_JUDGE_PASSES = 16 }; /* as many as make the bounds sharp: reference_bounds.c */
double pk_judge_flops(const pk_model_config *config, double positions, double keys, double judged);
double pk_judge_most_flops(bool is_gpu);

#ifdef __cplusplus
}
#endif
#endif
