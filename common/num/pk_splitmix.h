/* SplitMix64 by number, the same on the host and in a kernel: what seeds, weights and draws are made of.
 * Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
#ifndef PK_SPLITMIX_H
#define PK_SPLITMIX_H

#include <stdint.h>

#if defined(__CUDACC__) || defined(__HIPCC__)
#define PK_HOST_DEVICE __host__ __device__
#else
#define PK_HOST_DEVICE
#endif

/* Output `index` of the sequence that starts at `seed`. The increment is the golden ratio's fraction in 64 bits, made
 * odd. */
static PK_HOST_DEVICE inline uint64_t pk_splitmix64(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#endif
