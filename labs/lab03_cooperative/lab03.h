/* Lab 03, cooperative kernel: what problem.c hands to the variants.
 *
 * The problem: attention in decode, T steps that depend on each other. B sequences, H query heads over G key/value
 * heads, heads of D floats. Step t, for every sequence b:
 *   append     k_new[t][b], v_new[t][b] to the cache, at position n - 1, where n = lengths[b] + t + 1
 *   attend     out[t][b][h] = sum_i p_i v_i, p = softmax(q[h] . k_i / sqrt(D)), over all n positions of its K and V
 *   next q     q[h] = q_base[t + 1][b][h] + ALPHA S_h out[t][b][(h + 1) mod H], S_h a signed permutation of D
 *
 * q of step 0 is q_base[0]. What a real decoder does between two steps is a projection by weights; S_h stands for it:
 * it costs next to nothing, and as it reads another head's output, no block can go on by itself. */
#ifndef LAB03_H
#define LAB03_H

#include <stddef.h>
#include <stdint.h>

#include "pk/lab.h"

#define LAB03_ALPHA 0.25f  /* of a source in the next query */
#define LAB03_Q_LIMIT 8.0f /* q_base is uniform in +-8, k and v are in +-1: inputs.c says why */

enum {
    LAB03_HEADS = 4,        /* query heads that share one pass over K and V: a unit of work */
    LAB03_MOST_BLOCKS = 16, /* a processor; what the scratch is made for */
    LAB03_MOST_THREADS = 512,
    LAB03_MOST_STAGES = 16
};
/* Counts wrap soon, and where 2, 4 or 8 blocks meet one target is 0: compared by size, nobody waits for it. */
#define LAB03_BARRIER_START (0u - 8u)

/* The problem as a kernel sees it, passed by value. All pointers are device memory. bf16 is the upper half of a float.
 */
typedef struct lab03_view {
    int batch, heads, kv_heads, head_dim; /* B, H, G, D; H is a multiple of G */
    int ratio;                            /* H / G */
    int quads;                            /* units of a key/value head: ratio / LAB03_HEADS, rounded up */
    int units;                            /* of a sequence: G * quads */
    int capacity;                         /* positions that the cache has room for, of each sequence */
    int steps;                            /* T */
    int block_k;                          /* keys of a tile, a multiple of 8 */
    int stages;                           /* tiles of the ring, set by variants that have one */
    int extra_barriers;                   /* further barriers after each step: what one costs is their slope */

    const int *lengths;            /* [B]: keys in the cache before step 0, at least 1 */
    const int *line;               /* [T][B + 1]: see lab03_line.cuh */
    uint16_t *k_cache, *v_cache;   /* bf16 [B][G][capacity][D] */
    const uint16_t *k_new, *v_new; /* bf16 [T][B][G][D] */
    const float *q_base;           /* [T][B][H][D] */
    const int *source;             /* [H][D]: S_h: component d is + component j of the source for j, - for ~j */
    float *out;                    /* [T][B][H][D] */

    float *partial;         /* scratch [2][slots] of records, see lab03_attention.cuh */
    int slots;              /* units + blocks at most */
    unsigned *barrier;      /* scratch [LAB03_BARRIER_WORDS] */
    unsigned barrier_start; /* what word 0 holds at the start of a repetition; the others hold 0 */

    float *queries; /* scratch [B][H][D], for variants that keep q in memory */
    float *scores;  /* scratch [B][H][capacity], likewise */
} lab03_view;

enum { LAB03_BARRIER_WORDS = 1024 };

typedef struct lab03 {
    lab03_view view;
    int blocks;  /* as asked for; 0: as many as the variant finds best */
    int threads; /* a block, a multiple of 32 */
    int stages;  /* tiles of a ring, as asked for; 0: as many as fit */
    int ragged;  /* percent */

    uint64_t seed;     /* of the inputs that are there now */
    int *host_lengths; /* [B] */
    int *host_line;    /* [T][B + 1] */
    int *host_source;  /* [H][D] */
} lab03;

static inline size_t lab03_outputs(const lab03_view *view)
{
    return (size_t)view->steps * (size_t)view->batch * (size_t)view->heads * (size_t)view->head_dim;
}

static inline size_t lab03_cache_elements(const lab03_view *view)
{
    return (size_t)view->batch * (size_t)view->kv_heads * (size_t)view->capacity * (size_t)view->head_dim;
}

/* Keys of the longest and of the shortest sequence before step 0. */
static inline int lab03_longest(const lab03 *lab)
{
    int longest = lab->host_lengths[0];
    for (int b = 1; b < lab->view.batch; b++)
        longest = lab->host_lengths[b] > longest ? lab->host_lengths[b] : longest;
    return longest;
}

static inline int lab03_shortest(const lab03 *lab)
{
    int shortest = lab->host_lengths[0];
    for (int b = 1; b < lab->view.batch; b++)
        shortest = lab->host_lengths[b] < shortest ? lab->host_lengths[b] : shortest;
    return shortest;
}

/* Floats of a record: the sum, the maximum and the denominator of LAB03_HEADS heads. */
static inline int lab03_record_floats(int head_dim)
{
    return LAB03_HEADS * head_dim + 2 * LAB03_HEADS;
}

#endif
