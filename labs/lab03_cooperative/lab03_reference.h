/* Lab 03: inputs and reference, made on the device because a cache of 2^28 elements takes a host minutes. Plain kernels
 * of a thread an element, without barriers, in an order that nothing depends on; inputs.c checks them against a loop
 * in C at small sizes. */
#ifndef LAB03_REFERENCE_H
#define LAB03_REFERENCE_H

#include <math.h>

#include "lab03.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A score's own roundoff, in units of 2^-24 of the quantities named where they are used: see inputs.c. */
enum {
    LAB03_GROUP_LANES = 16, /* of a block's threads, at most so many share the sums over their keys */
    LAB03_RESCALES = 40     /* of a sum, at most, because its maximum rose */
};

/* Draw the cache's rows before step 0, the new rows and q_base from lab->seed, in stream order. */
pk_status lab03_draw(const lab03 *lab, void *stream);

/* What the cache holds beyond the first `lengths` rows becomes NaN, the barrier's words zero: in stream order. */
pk_status lab03_poison(const lab03 *lab, void *stream);

/* The output of all steps in double and how far a right result may be from it: `want` and `bound` are
 * host memory, [T][B][H][D]. Returns when they are there. */
pk_status lab03_reference(const lab03 *lab, double *want, double *bound, void *stream);

/* Compare every element of both caches with what must be there after the last step, bit for bit: how many differ, and
 * the index of the first among 2 * lab03_cache_elements, K's before V's. Returns when it is known. */
pk_status lab03_check_cache(const lab03 *lab, uint64_t *wrong, uint64_t *first, void *stream);

/* Threads that a processor of the device holds at once, at most. */
pk_status lab03_threads_per_processor(int *threads);

/* The terms of the bound, the same in C and in the kernels; u = 2^-24. */
#if defined(__CUDACC__) || defined(__HIPCC__)
#define LAB03_BOTH static __host__ __device__ inline
#else
#define LAB03_BOTH static inline
#endif
#define LAB03_U 5.9604644775390625e-08

/* What a score may be off, natural units: `moved` = scale sum |k dq|, `absolute` = scale sum |q k|, `below` its
 * distance from the maximum. */
LAB03_BOTH double lab03_score_error(int head_dim, double moved, double absolute, double below)
{
    const double product = (head_dim + 8) * LAB03_U * absolute;
    const double exponent = LAB03_U * (8 + 6 * LAB03_RESCALES + 4 * (below + 1));
    return moved + product + exponent;
}

/* What an output may be off: `spread` = sum p_i (e^delta_i - 1) |v_i - out|, `absolute` = sum p_i |v_i|, both over
 * sum p_i; `delta` the largest delta_i without the part that depends on the distance from the maximum, which is less
 * than 2^-10 up to a distance of 4000; `keys` how many the sums are over. */
LAB03_BOTH double lab03_output_error(int keys, int threads, double spread, double absolute, double out, double delta)
{
    const double growth = exp(delta + 0x1p-10);
    const double additions = (64 + (double)keys * (double)LAB03_GROUP_LANES / threads) * LAB03_U;
    const double magnitude = out < 0 ? -out : out;
    return growth * (spread + additions * (absolute + magnitude)) + 8 * LAB03_U * magnitude + 1e-30;
}

/* What the next q may be off: its source's error times alpha, and the rounding of the addition. */
LAB03_BOTH double lab03_query_error(double source_error, double query)
{
    return LAB03_ALPHA * source_error + 2 * LAB03_U * (query < 0 ? -query : query);
}

#ifdef __cplusplus
}
#endif
#endif
