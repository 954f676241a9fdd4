/* Seeded random weights: each element by its own number alone, so that the host and a kernel write the same ones.
 * Generator: SplitMix64's output function over a counter (Steele, Lea and Flood, OOPSLA 2014). */
#ifndef PK_MODEL_RANDOM_H
#define PK_MODEL_RANDOM_H

#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__) || defined(__HIPCC__)
#define PK_MODEL_HOST_DEVICE __host__ __device__
#else
#define PK_MODEL_HOST_DEVICE
#endif

/* Sixteen bits of a float, to nearest, ties to even; for finite values. */
static PK_MODEL_HOST_DEVICE inline uint16_t pk_model_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* Element `index` of the tensor whose seed is pk_random_split(seed, tensor number): uniform in centre +- spread, in
 * steps of spread / 2^15, rounded to bf16. */
static PK_MODEL_HOST_DEVICE inline uint16_t pk_model_random_weight(uint64_t tensor_seed, uint64_t index, float centre,
                                                                   float spread)
{
    uint64_t z = tensor_seed + (index / 4 + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    const int drawn =
        (int)((z >> (16 * (index % 4))) & 0xffffu) - 0x8000; /* exact in a float, and so is drawn / 2^15 */
    const float unit = (float)drawn * 0x1p-15f, scaled = spread * unit;
    return pk_model_to_bf16(centre +
                            scaled); /* centre 0, or a spread that is a power of two: one rounding either way */
}

#endif
