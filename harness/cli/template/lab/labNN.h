/* Lab @NN@, @TITLE@: what problem.c hands to the variants.
 *
 * The problem: T tokens, each of two operations over n floats, t = y + x and then y = t - s. */
#ifndef LABNN_H
#define LABNN_H

#include <stddef.h>

#include "pk/lab.h"

typedef struct labNN {
    int n;      /* floats */
    int tokens; /* a repetition */

    const float *x, *s; /* device, [n]: never written */
    float *y;           /* device, [n]: set to the start values before each repetition, holds the result after it */
    float *t;           /* device, [n]: what goes from the first operation to the second */
    float *start;       /* device, [n]: for the lab's own reset */
} labNN;

enum { LABNN_THREADS = 256 }; /* a block; one element a thread */

static inline unsigned labNN_blocks(const labNN *lab)
{
    return ((unsigned)lab->n + LABNN_THREADS - 1) / LABNN_THREADS;
}

#endif
