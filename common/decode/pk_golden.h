/* Golden files: what another implementation, HuggingFace transformers in fp32, computes for a model; made by
 * python/golden.py, in tests/golden. The reference and the decoder on the device are held against the same ones.
 *
 * A file is JSON: "format" ("pk-golden 1"), "model", "made_with", "weights" ({"random_seed": seed} for
 * pk_model_random's, or {"folder": name in models/}), "checksum" (of the weights, 16 hexadecimal digits), "config" (a
 * HuggingFace config.json), and "sequences": {"text" where the prompt was one, "prompt" (tokens), "greedy" (the tokens
 * that follow, each the best), "margins" (of each over the next best logit), "smallest_margin", "logits": [{"position",
 * "kv_bf16", "prefill_bf16", "log_sum_exp", "tokens" where not all of the vocabulary, "values"}]}. */
#ifndef PK_GOLDEN_H
#define PK_GOLDEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pk_model.h"
#include "pk_reference.h"
#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_golden_logits {
    int position;                     /* after this token of the sequence, counted from 0 */
    pk_reference_roundings roundings; /* that were made on purpose; all 0: fp32 throughout */
    double log_sum_exp;               /* over the whole vocabulary */
    size_t count;                     /* logits that were kept */
    int *tokens;                      /* [count]: whose; NULL: 0..vocab-1 */
    float *values;                    /* [count] */
} pk_golden_logits;

typedef struct pk_golden_sequence {
    char *text;           /* of the prompt, or NULL */
    int *tokens;          /* [count]: the prompt, then the greedy tokens, end tokens not heeded */
    size_t prompt, count; /* how many are the prompt's; all */
    float *margins;       /* [count - prompt]: of each greedy token's logit over the next best */
    double smallest_margin;
    pk_golden_logits *logits; /* [rows] */
    size_t rows;
} pk_golden_sequence;

typedef struct pk_golden {
    pk_model_config config;
    char folder[64]; /* in models/; "": random weights */
    uint64_t seed;   /* of random weights */
    uint64_t checksum;
    pk_golden_sequence *sequences; /* [count] */
    size_t count;
} pk_golden;

/* PK_USAGE: no such file, not such a file, a number out of range; says which. Close it with pk_golden_close. */
pk_status pk_golden_open(const char *path, pk_golden *golden);
void pk_golden_close(pk_golden *golden);

/* The model that the file is of, its weights compared with the checksum. `models`: the folder that holds real models.
 * PK_SKIP: there is no such model there. PK_WRONG: its weights are others. PK_USAGE: it cannot be opened. Close it with
 * pk_model_close. */
pk_status pk_golden_model(const pk_golden *golden, const char *models, pk_model *model);

/* Of all weights in the order of pk_model_tensor_at: the sum of (bits + 1) m(i) modulo 2^64 over elements i, m(i) = z ^
 * z >> 32 with z = (2 i + 1) 0x9e3779b97f4a7c15. */
uint64_t pk_golden_checksum(const pk_model *model);

/* The largest difference of got [vocab] from what was kept, and in *token whose it is; an infinity where one of them is
 * not finite. */
double pk_golden_error(const pk_golden_logits *want, const float *got, int *token);

/* KL divergence, nats, of softmax(got [vocab]) from the golden distribution; where not all logits were kept those that
 * were not count as one outcome, and what is returned is a lower bound. NaN where a logit is. */
double pk_golden_kl(const pk_golden_logits *want, const float *got, size_t vocab);

#ifdef __cplusplus
}
#endif
#endif
