/* The random errors of a perturbed pass: what a number may become where a kernel rounds it.
 *
 * An error is a function of its place (pass, layer, stage, number in the row: the key and the index) and of the value
 * itself, never of the position in the sequence: a kernel that rounds the same number twice errs twice the same way, so
 * that the errors of a repeated token add up where independent ones would cancel. Key 0: an exact pass, no errors. */
#ifndef PK_REFERENCE_NOISE_H
#define PK_REFERENCE_NOISE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "num/pk_splitmix.h"

/* Uniform in [-1, 1), from the key and two numbers. */
static inline double pk_noise_uniform(uint64_t key, uint64_t index, uint64_t value)
{
    return (double)(int64_t)pk_splitmix64(key + value * 0xd1342543de82ef95u, index) * 0x1p-63;
}

/* A relative error uniform in +- units * 2^-24, as from `units` roundings to float at their worst. */
static inline double pk_noise_float(uint64_t key, uint64_t index, double value, double units)
{
    if (key == 0)
        return value;
    const float rounded = (float)value;
    uint32_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    return value * (1 + units * 0x1p-24 * pk_noise_uniform(key, index, bits));
}

/* Rounded to the grid of bf16 at the value (8 significant bits), the grid shifted by a random part of its step: an
 * error uniform in +- half a step, the same for equal values and alike for values that are less than a step apart, as
 * with the grid that does not move. */
static inline double pk_noise_bf16(uint64_t key, uint64_t index, double value)
{
    if (key == 0 || value == 0)
        return value;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits &= 0x7ff0000000000000u; /* the power of two at or below the value */
    double step;
    memcpy(&step, &bits, sizeof step);
    step *= 0x1p-7;
    const double shift = 0.5 * pk_noise_uniform(key, index, 0);
    return step * (nearbyint(value / step + shift) - shift);
}

#endif
