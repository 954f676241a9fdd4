/* Lab 05, part three, bursts of prefill beside decode: what bursts.c hands to the variants of --work=bursts and
 * --work=offload.
 *
 * Prefill. `bursts` times over, each page of part one's stream is scored; a burst's scores are a row of `out`. Pages
 * come in chunks: chunk c of all is pages [first, first + count) of burst c / chunks_a_burst, chunk_pages of them, the
 * last of a burst perhaps fewer. A chunk is under way from when it is first asked for until its last page has been
 * used.
 *
 * Decode. A step is LAB05_LAYERS small kernels, each of which needs all of what the one before made:
 *     y = f(W x),  f(sum) = sum % 9 as C has it, so -8 to 8,  W [width][width] bf16, whole numbers from -8 to 8
 * The step's last y is the next step's first x, and is kept. So every sum is exact, and a mistake in one step is in all
 * that follow.
 *
 * --work=offload: one burst whose pages lie in the host's memory, which the device maps, and no decode. */
#ifndef LAB05_BURSTS_H
#define LAB05_BURSTS_H

#include "lab05.h"

enum {
    LAB05_LAYERS = 8,      /* of a step of decode */
    LAB05_MOST_CHUNK = 32, /* pages: one a lane */
    LAB05_MOST_SLOTS = 32, /* chunks of a block */
    LAB05_MODULUS = 9
};

/* What kernels tell and ask, in device memory; as lab05_bursts_reset makes it before each repetition. */
typedef struct lab05_board {
    unsigned next;           /* chunk to be taken; beyond the last: none is left */
    unsigned under_way;      /* chunks that have begun and not ended */
    unsigned most_under_way; /* at any time */
    unsigned unused;
    unsigned long long begin, end; /* ns, lab05_now: when prefill's first block began and its last ended */
    unsigned char apart[96];       /* decode's word is on no line that prefill keeps busy */
    unsigned step;                 /* of decode: steps that have begun their second layer */
} lab05_board;

/* Prefill as a kernel sees it, passed by value. */
typedef struct lab05_prefill {
    lab05_view v;    /* its `out`: [bursts][P] */
    int chunk_pages; /* at most LAB05_MOST_CHUNK */
    int chunks_a_burst;
    unsigned bursts_inverse; /* 0xffffffff / chunks_a_burst, for lab05_divide */
    int chunks;              /* of all bursts */
    int most;                /* chunks under way at once; a block's part of it by lab05_slots_of_block */
    lab05_board *board;
} lab05_prefill;

/* Decode, likewise; passed by value. */
typedef struct lab05_decode {
    int width; /* a multiple of 8 */
    int steps;
    const uint16_t *weights;   /* bf16 [LAB05_LAYERS][width][width] */
    const float *first;        /* [width]: the first step's x */
    float *hidden;             /* [2][width]: between layers, in turn */
    float *out;                /* [steps][width] */
    unsigned long long *began; /* [steps + 1]: ns, when each step began, and when the last one had ended */
    lab05_board *board;
} lab05_decode;

/* The first thing in the data of a variant of --work=bursts or offload: what it promised, for the check. */
typedef struct lab05_promise {
    int most; /* chunks under way at once; 0: it promised nothing */
} lab05_promise;

typedef struct lab05_bursts {
    lab05_prefill prefill; /* its `most` 0 */
    lab05_decode decode;
    int most_in_flight, blocks; /* as asked for; 0: what the variant finds best */
    lab05_board *host_board;    /* pinned: where variants fetch both to, for their report */
    unsigned long long *host_began;
    lab05_board *fresh;            /* pinned: the board as a repetition finds it */
    const uint16_t *host_pool;     /* offload: the pool in the host's memory, as the device sees it */
    unsigned char *host_pool_here; /* and as the host does */
} lab05_bursts;

#endif
