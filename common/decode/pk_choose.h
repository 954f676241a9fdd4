/* The draw of top-k sampling, the same on the host and in a kernel. */
#ifndef PK_CHOOSE_H
#define PK_CHOOSE_H

#include <stdint.h>

#include "num/pk_splitmix.h"

/* Uniform in [0, 1), a multiple of 2^-24, for step `step`: a number of SplitMix64's sequence that starts at `seed`. */
static PK_HOST_DEVICE inline float pk_choose_draw(uint64_t seed, int step)
{
    return (float)(pk_splitmix64(seed, (uint32_t)step) >> 40) * 0x1p-24f;
}

#endif
