/* Lab 07, decode as one kernel: what a variant sees.
 *
 * The problem: T steps of lab 04's decoder, batch 1, its fused form's sums. Keys and values of the first P positions
 * are given, drawn from the seed; step 0 takes in a token that is drawn too, and each further step what the step before
 * chose. */
#ifndef LAB07_H
#define LAB07_H

#include <stdbool.h>

#include "decode/pk_decoder.h"
#include "pk/lab.h"

#define LAB07_NO_POST (~0ull)

enum { LAB07_WEIGHTS_SEED = 1 /* the weights are the same whatever the inputs' seed */ };

/* What a wait that lasts is for: lab07_waits.cuh. */
enum {
    LAB07_WAITS_FOR_BLOCKS = 1, /* at a barrier */
    LAB07_WAITS_FOR_OUTPUT,
    LAB07_WAITS_FOR_CHUNK, /* to land; and, the warp that copies: */
    LAB07_WAITS_FOR_ROOM,
    LAB07_WAITS_FOR_LIMIT, /* a copy to land, before the next may be asked for */
    LAB07_WAITS_FOR_CANDIDATE,
    LAB07_WAITS_FOR_TOKEN
};

/* A block's words: who computes waits for other blocks; for a chunk, which warps may do beside it; the warp that makes
 * outputs waits for candidates; who copies waits. */
enum { LAB07_TELLS_OTHERS, LAB07_TELLS_CHUNK, LAB07_TELLS_CANDIDATES, LAB07_TELLS_COPIES, LAB07_WORDS };

/* In device memory, from the count that blocks meet at on. */
typedef struct lab07_meeting {
    unsigned arrivals;         /* of blocks at the grid's barriers; 0 when a repetition begins */
    unsigned blocks;           /* that have words */
    unsigned long long *waits; /* [blocks][LAB07_WORDS], mapped host memory */
} lab07_meeting;

/* One word of them, read: its text, and where in the repetition it is: the lower, the earlier. */
typedef long long (*lab07_say_wait)(const pk_run *run, unsigned long long word, char *text, size_t bytes);

/* A variant's kernel, from prepare to finish: for whom the words tell what its waits are for. */
typedef struct lab07_kernel_run {
    const pk_run *run; /* NULL: none */
    int grid;
    lab07_say_wait say;
} lab07_kernel_run;
enum { LAB07_MOST_RUNS = 32 }; /* that are prepared together; of more no waits are told */

/* False: no further token is wanted. On the thread that hears it. */
typedef bool lab07_listener(void *listens, int token);
typedef void lab07_waiter(void *listens);

typedef struct lab07 {
    pk_decoder decoder;
    pk_decode_how how;         /* fused; holds, as the run says */
    int position;              /* P: keys and values that are in the cache before step 0 */
    int tokens;                /* T: steps of a repetition */
    int launched;              /* kernels that a step launches when each is launched */
    int blocks;                /* of a persistent kernel's grid, as asked for; 0: what the variant finds best */
    unsigned *arrivals;        /* device: of blocks at the grid's barriers, a lab07_meeting */
    lab07_meeting meeting;     /* as it is when a repetition begins */
    unsigned long long *waits; /* host: the words */
    lab07_kernel_run running[LAB07_MOST_RUNS];
    unsigned long long *posts; /* host: [tokens], mapped: a word of each step, when it is chosen; else LAB07_NO_POST */
    unsigned *stop;            /* host: [1], mapped: not 0 when no further token is wanted */
    void *posts_device;        /* the same memory, for kernels; behind the posts the word that stops */
    int stop_after;            /* the host wants no further token when it has heard so many; 0: it wants all */
    int *heard;                /* host: [tokens]: of the words, in their order */
    int heard_count;           /* steps whose words were heard, and those before them; -1: the variant posts nothing */
    int begins;                /* at this step: those before it were chosen otherwise, by a prefill */
    lab07_listener *listener;  /* told of each token as it is heard; NULL: nobody */
    lab07_waiter *waiter;      /* called now and then while the next one does not come; NULL: nobody */
    void *listens;
    double tenth_us[2]; /* a token, as the host heard the first tenth and the last one; 0: they were too few */
    int consumers;      /* warps of a block that compute, beside the one that copies ahead */
    int ring_bytes, chunk_bytes, in_flight_bytes;
    bool stamps;    /* the last step's phases note when they begin and end, in each block */
    int share_keys; /* keys that a block is to have at least, where they are spread over blocks */
} lab07;

static inline const lab07 *lab07_of(const pk_run *run)
{
    return (const lab07 *)pk_run_lab_data(run);
}

#endif
