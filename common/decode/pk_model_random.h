/* Seeded random weights: each element by its own number alone, so that the host and a kernel write the same ones. */
#ifndef PK_MODEL_RANDOM_H
#define PK_MODEL_RANDOM_H

#include <stdint.h>
#include <string.h>

#include "num/pk_splitmix.h"

/* Sixteen bits of a float, to nearest, ties to even; for finite values. */
static PK_HOST_DEVICE inline uint16_t pk_model_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* Element `index` of the tensor whose seed is pk_random_split(seed, tensor number): uniform in centre +- spread, in
 * steps of spread / 2^15, rounded to bf16. */
static PK_HOST_DEVICE inline uint16_t pk_model_random_weight(uint64_t tensor_seed, uint64_t index, float centre,
                                                             float spread)
{
    const uint64_t four = pk_splitmix64(tensor_seed, index / 4);
    const int drawn =
        (int)((four >> (16 * (index % 4))) & 0xffffu) - 0x8000; /* exact in a float, and so is drawn / 2^15 */
    const float unit = (float)drawn * 0x1p-15f, scaled = spread * unit;
    return pk_model_to_bf16(centre +
                            scaled); /* centre 0, or a spread that is a power of two: one rounding either way */
}

#endif
