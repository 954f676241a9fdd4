/* Lab 05, async copies: what problem.c hands to the variants.
 *
 * The problem of --work=stream: a stream of pages of keys, as a paged cache has them. Page p of the stream is page
 * table[p] of the pool, `rows` rows of D bf16, and its score is
 *     out[p] = scale[p] * sum over its rows r and components d of q[d] page[r][d]
 * Each page is read once and no two are alike, so nothing but memory's bandwidth can be the limit, if enough bytes are
 * under way at any time: that is what the ladder is about.
 *
 * And --work=latency, of given code only: loads that each wait for the one before, so that it is known how long one
 * takes, and so how many bytes must be under way: bandwidth x latency, by Little's law.
 *
 * --work=chain, part two, is in lab05_chain.h. */
#ifndef LAB05_H
#define LAB05_H

#include <stddef.h>
#include <stdint.h>

#include "pk/lab.h"

enum { LAB05_STREAM, LAB05_LATENCY, LAB05_CHAIN, LAB05_BURSTS, LAB05_OFFLOAD }; /* --work */
enum { LAB05_SHUFFLED, LAB05_IN_ORDER };                                        /* --table */

enum {
    LAB05_WARP = 32,
    LAB05_MOST_THREADS = 512, /* of a block */
    LAB05_MOST_STAGES = 64,   /* pages of a ring */
    LAB05_MOST_ASYNC = 8      /* of a ring that is filled by cp.async */
};

/* The stream as a kernel sees it, passed by value. Pointers are device memory. bf16 is the upper half of a float. */
typedef struct lab05_view {
    int pages, rows, dim; /* P pages of [rows][dim]; rows a multiple of 8 */
    int stages;           /* pages of a ring, set by variants that have one */
    const int *table;     /* [P]: a permutation */
    const uint16_t *pool; /* bf16 [P][rows][dim] */
    const float *q;       /* [dim] */
    const float *scale;   /* [P] */
    float *out;           /* [P] */
} lab05_view;

typedef struct lab05_chase { /* --work=latency */
    int steps, words;
    const unsigned *next; /* [words]: a cycle through all of them */
    unsigned *end;        /* [1]: where the last step came to */
} lab05_chase;

typedef struct lab05 {
    int work;
    lab05_view view;
    lab05_chase chase;
    int stages;  /* as asked for; 0: what the variant finds best */
    int blocks;  /* likewise */
    int threads; /* a block, a multiple of 32 */
    bool swizzled;
    struct lab05_bursts *bursts; /* --work=bursts and offload: lab05_bursts.h */
} lab05;

static inline size_t lab05_page_bytes(const lab05_view *view)
{
    return (size_t)view->rows * (size_t)view->dim * sizeof(uint16_t);
}

#endif
