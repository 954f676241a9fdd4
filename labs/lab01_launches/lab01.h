/* Lab 01, launches: what problem.c hands to the variants.
 *
 * The problem: T tokens, each of K steps y <- y + a x over n floats, one step after the other. It stands for the many
 * small kernels of a decode step: hardly any work each, and each needs the one before. */
#ifndef LAB01_H
#define LAB01_H

#include <stddef.h>

#include "pk/lab.h"

typedef struct lab01 {
    int n;      /* floats */
    int k;      /* steps a token */
    int tokens; /* a repetition; the host learns of each one's end before it starts the next */
    float a;

    const float *x; /* device, [n]: never written */
    float *y;       /* device, [n]: set to the start values before each repetition, holds the result after it */
    float *start;   /* device, [n]: the start values; for the lab's own reset */

} lab01;

enum { LAB01_THREADS = 256 }; /* a block; one element a thread */

static inline unsigned lab01_blocks(const lab01 *lab)
{
    return ((unsigned)lab->n + LAB01_THREADS - 1) / LAB01_THREADS;
}

#endif
