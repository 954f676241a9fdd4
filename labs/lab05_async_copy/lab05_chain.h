/* Lab 05, part two: what chain.c hands to the variants of --work=chain.
 *
 * The problem: T passes over a chain of P phases. Phase p has a matrix W of [rows][columns] bf16, and
 *     y_p = f(W_p x_p),   f(s) = s mod 9 with the sign of s
 * where x_p is the first columns of y_(p-1), of the last phase of the pass before for p = 0, and given for the very
 * first. So every phase needs what all blocks have made in the one before, as in a decoder, and the weights, which are
 * nearly all that is read, depend on nothing. Weights and x are whole numbers from -8 to 8, and every sum of their
 * products is below 2^24: a float holds it exactly, in whatever order it was made.
 *
 * Outputs of a pass are a set, [set_floats]; pass t writes set t mod 2. */
#ifndef LAB05_CHAIN_H
#define LAB05_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "pk/lab.h"

enum {
    LAB05_CHAIN_MOST_PHASES = 128,
    LAB05_CHAIN_MOST_CONSUMERS = 14, /* warps of a block that compute: 16 in all, so a thread may have 128 registers */
    LAB05_CHAIN_SETS = 2,
    LAB05_CHAIN_MODULUS = 9 /* of f */
};

/* A phase, the same for all blocks. Its outputs begin at a multiple of 4 floats, so that they are read 16 bytes at a
 * time. */
typedef struct lab05_chain_phase {
    int rows, columns; /* columns a multiple of 8 */
    size_t weights;    /* bytes: where W_p begins, a multiple of 16 */
    int out;           /* floats: where y_p begins in a set */
    int given;         /* floats: where x_p begins in a pass of `given` */
} lab05_chain_phase;

/* What a block has of a phase: some of its rows, one behind the other, and how they come in chunks. */
typedef struct lab05_chain_part {
    size_t from;     /* bytes: where its first row begins among all weights */
    int rows;        /* may be none */
    int out;         /* floats: where its first output goes in a set */
    int x, given;    /* floats: where x_p begins in the set that it is read from, and in a pass of `given` */
    int units;       /* of a row: 16 bytes, 8 columns */
    int chunk_rows;  /* 1, 2 or 4 rows are a chunk, */
    int pieces;      /* or one row is so many chunks, */
    int piece_units; /* of so many units; the last may have fewer */
} lab05_chain_part;

/* The chain as a kernel sees it, passed by value. Pointers are device memory. */
typedef struct lab05_chain_view {
    int passes, phases;            /* T, P */
    const unsigned char *weights;  /* bf16, all matrices */
    const float *x;                /* [columns of phase 0]: what the first pass begins with */
    float *out;                    /* [LAB05_CHAIN_SETS][set_floats] */
    const float *given;            /* [T][given_floats]: x of every phase, for chain-free and chain-read; else NaN */
    const lab05_chain_part *parts; /* [blocks][P], set by the variant's plan */
    unsigned *arrivals;            /* [1]: of blocks, at the grid's barriers; then a word for each block, see
                                      lab05_chain_over; all 0 when a repetition begins */
    float *latencies;              /* [blocks][LAB05_CHAIN_LATENCIES] us, of chain-read */
    const unsigned *next;          /* [LAB05_CHAIN_WORDS]: a cycle, of chain-read */
    int set_floats, given_floats;
    int stages;           /* of a block's ring, */
    unsigned stage_bytes; /* each of so many bytes */
    int limit;            /* copies under way at most; `stages`: no limit but the ring */
    int planted;          /* in mistakes_chain.cu: which mistake; else 0 */
} lab05_chain_view;

enum {
    LAB05_CHAIN_LATENCIES = 64, /* that chain-read keeps of a block */
    LAB05_CHAIN_WORDS = 1 << 16 /* that its loads go through: 256 KB, which stays in the L2 */
};

/* In the run's data when --work=chain. */
typedef struct lab05_chain {
    lab05_chain_view view;
    lab05_chain_phase phase[LAB05_CHAIN_MOST_PHASES];
    int blocks;       /* as asked for; 0: one a processor */
    int most_blocks;  /* that buffers are made for */
    int consumers;    /* warps of a block that compute */
    int ring_kb;      /* of a block's ring */
    int in_flight_kb; /* as asked for; 0: what the variant finds best */
    int chunk_kb;     /* likewise */
} lab05_chain;

static inline const lab05_chain *lab05_chain_of(const pk_run *run)
{
    return (const lab05_chain *)pk_run_lab_data(run);
}

#endif
