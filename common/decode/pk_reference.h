/* The model's forward pass in double, in plain C: what kernels are judged by. Shares no code with them. */
#ifndef PK_REFERENCE_H
#define PK_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

#include "pk_model.h"
#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which of a kernel's results are rounded to bf16 on their way (unit roundoff 2^-8): the places where the perturbed
 * passes of pk_reference_bounds put their largest errors. All others are rounded to float (2^-24), and sums are taken
 * in float in any order; reference.c says how much each may err. Both 0: all in float. */
typedef struct pk_reference_roundings {
    int kv;      /* not 0: keys and values in the cache are bf16 */
    int prefill; /* the first `prefill` positions were computed as a batch, with bf16 inputs to their projections */
} pk_reference_roundings;

/* Logits after each of the positions first..count-1 of the sequence `tokens` [count]: [count - first][vocab]. On all of
 * the machine's cores, or as many threads as the environment's PK_REFERENCE_THREADS says: the same bits either way.
 * PK_FAULT: out of host memory. PK_USAGE: a token that is not in the vocabulary, `first` not below `count`. */
pk_status pk_reference_logits(const pk_model *model, const int *tokens, size_t count, size_t first, double *logits);

/* The same, and how far a right kernel's logits may be from them: bound [count - first], one for each position, for
 * every logit there. By Monte Carlo arithmetic (Parker, "Monte Carlo arithmetic", UCLA CSD-970002, 1997): `passes`
 * further passes, each with every rounded result changed by a random error of its rounding's size; the bound is a
 * multiple of the root mean square, over passes and vocabulary, of what that changes, chosen so that a right kernel's
 * chance to be outside is below 1e-9 a position: reference_bounds.c says what that takes for granted, and has a table.
 * The multiple is larger where passes are fewer: take 16. Time: that of 1 + passes times pk_reference_logits. */
pk_status pk_reference_bounds(const pk_model *model, const int *tokens, size_t count, size_t first,
                              pk_reference_roundings roundings, int passes, uint64_t seed, double *logits,
                              double *bound);

/* Keys and values of the first positions of a sequence, as a cache has them: bf16, each layer's [kv_heads][capacity]
 * [head_dim], of which `positions` are there. */
typedef struct pk_reference_cache {
    size_t positions, capacity;
    const uint16_t *const *keys, *const *values; /* [layers] */
} pk_reference_cache;

/* As pk_reference_bounds, of `count` tokens behind those of the cache, and of the logits after each of them: logits
 * [count][vocab], bound [count]. Keys and values that join those of the cache are rounded to bf16, and positions turned
 * by a table, as pk_decoder's: behind 2^17 keys angles that are products in float would err by 1/64. Time: by the
 * tokens, and by the keys for attention alone. */
pk_status pk_reference_bounds_after(const pk_model *model, const pk_reference_cache *cache, const int *tokens,
                                    size_t count, int passes, uint64_t seed, double *logits, double *bound);

/* KL divergence, nats, of softmax(got) from softmax(want) over `count` logits: sum p_want (log p_want - log p_got). NaN
 * where a logit is. */
double pk_reference_kl(const double *want, const float *got, size_t count);

/* Length of got - want over that of want [count]. NaN where a logit is. */
double pk_reference_l2(const double *want, const float *got, size_t count);

#ifdef __cplusplus
}
#endif
#endif
