/* Lab 05, part two, given: what all variants of a chain stand on. A row's sum by a warp from plain loads; loads and
 * stores of outputs that other blocks look at meanwhile; f. */
#ifndef LAB05_CHAIN_CUH
#define LAB05_CHAIN_CUH

#include "lab05_page.cuh"

#include "pk_atomic.h"

#include "lab05_chain.h"

/* f: of a whole number, as a float holds it. What is made of NaN stays NaN. */
static __device__ inline float lab05_chain_f(float sum)
{
    return sum == sum ? (float)((int)sum % LAB05_CHAIN_MODULUS) : sum;
}

/* What an output holds that has not been written: no number, so no output is mistaken for it. */
static __device__ inline float lab05_chain_poison(void)
{
    return __int_as_float(-1);
}

static __device__ inline bool lab05_chain_is_poison(float value)
{
    return value != value;
}

/* One output, while other blocks may look at it: relaxed, scope device. Pairs with pk_load_relaxed_device_4. The value
 * is all that is handed over, so nothing else has to be ordered by it. */
static __device__ inline void lab05_chain_store(float *to, float value)
{
    pk_store_relaxed_device((unsigned *)to, (unsigned)__float_as_int(value));
}

/* Where a pass writes, and where x of a block's phase is: in the set of the phase before; the first pass begins with
 * v->x. */
static __device__ inline float *lab05_chain_set(const lab05_chain_view *v, int pass)
{
    return v->out + (size_t)(pass % LAB05_CHAIN_SETS) * (size_t)v->set_floats;
}

static __device__ inline const float *lab05_chain_x(const lab05_chain_view *v, const lab05_chain_part *part, int pass,
                                                    int phase)
{
    if (phase > 0)
        return lab05_chain_set(v, pass) + part->x;
    return pass > 0 ? lab05_chain_set(v, pass - 1) + part->x : v->x;
}

/* sum + the products of 8 weights with 8 components of x. */
static __device__ inline float lab05_chain_add_unit(float sum, uint4 unit, const float *x)
{
    sum += lab05_low(unit.x) * x[0];
    sum += lab05_high(unit.x) * x[1];
    sum += lab05_low(unit.y) * x[2];
    sum += lab05_high(unit.y) * x[3];
    sum += lab05_low(unit.z) * x[4];
    sum += lab05_high(unit.z) * x[5];
    sum += lab05_low(unit.w) * x[6];
    return sum + lab05_high(unit.w) * x[7];
}

/* f of a row's sum, by a warp: eight loads of 16 bytes a lane under way before the first is used. x in shared or device
 * memory. All lanes have the result. */
static __device__ inline float lab05_chain_row(const unsigned char *row, int units, const float *x)
{
    enum { UNDER_WAY = 8 };
    const uint4 *const unit = (const uint4 *)row + lab05_lane();
    float sum = 0;
    for (int i = 0; i < units; i += UNDER_WAY * LAB05_WARP) {
        uint4 got[UNDER_WAY];
#pragma unroll
        for (int j = 0; j < UNDER_WAY; j++)
            if (i + j * LAB05_WARP + lab05_lane() < units)
                got[j] = lab05_load_once(&unit[i + j * LAB05_WARP]);
#pragma unroll
        for (int j = 0; j < UNDER_WAY; j++)
            if (i + j * LAB05_WARP + lab05_lane() < units)
                sum = lab05_chain_add_unit(sum, got[j], &x[(i + j * LAB05_WARP + lab05_lane()) * 8]);
    }
#pragma unroll
    for (int bit = LAB05_WARP / 2; bit > 0; bit /= 2)
        sum += __shfl_xor_sync(LAB05_ALL_LANES, sum, bit);
    return lab05_chain_f(sum);
}

#endif
