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

enum { LAB07_WEIGHTS_SEED = 1 /* the weights are the same whatever the inputs' seed */ };

typedef struct lab07 {
    pk_decoder decoder;
    pk_decode_how how;  /* fused */
    int position;       /* P: keys and values that are in the cache before step 0 */
    int tokens;         /* T: steps of a repetition */
    int launched;       /* kernels that a step launches when each is launched */
    int blocks;         /* of a persistent kernel's grid, as asked for; 0: what the variant finds best */
    unsigned *arrivals; /* device: of blocks at the grid's barriers; 0 when a repetition begins */
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
