/* The draw of top-k sampling, the same on the host and in a kernel. */
#ifndef PK_CHOOSE_H
#define PK_CHOOSE_H

#include <stdint.h>

#include "decode/pk_model_random.h"

/* Uniform in [0, 1), a multiple of 2^-24, for step `step`: a number of SplitMix64's sequence that starts at `seed`. */
static PK_MODEL_HOST_DEVICE inline float pk_choose_draw(uint64_t seed, int step)
{
    uint64_t z = seed + ((uint64_t)(uint32_t)step + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (float)(z >> 40) * 0x1p-24f;
}

#endif
