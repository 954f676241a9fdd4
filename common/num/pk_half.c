/* fp16 and bf16 conversion on bit patterns, so that the host's rounding mode and flags play no part. */
#include "num/pk_half.h"

#include <string.h>

/* A float's magnitude bits (sign off) at the edges of fp16's ranges. */
enum {
    FLOAT_INFINITY = 0x7f800000,
    FP16_OVERFLOW = 0x477ff000, /* 65520: halfway from the largest fp16, 65504, to 65536; the tie goes up */
    FP16_NORMAL = 0x38800000,   /* 2^-14: the smallest normal fp16 */
    FP16_HALF_STEP = 0x33000000 /* 2^-25: half the smallest subnormal; the tie goes to zero */
};

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* bits / 2^shift, to nearest, ties to even. A carry out of the fraction runs into the exponent, as it should. */
static uint32_t shift_rounding(uint32_t bits, uint32_t shift)
{
    const uint32_t below_half = (1u << (shift - 1)) - 1;
    return (bits + below_half + ((bits >> shift) & 1u)) >> shift;
}

uint16_t pk_float_to_fp16(float value)
{
    const uint32_t bits = bits_of(value);
    const uint32_t sign = (bits >> 16) & 0x8000u;
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > FLOAT_INFINITY) /* NaN: keep what fits of its payload */
        return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
    if (magnitude >= FP16_OVERFLOW)
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude >= FP16_NORMAL) /* exponent bias 127 becomes 15 */
        return (uint16_t)(sign | shift_rounding(magnitude - (112u << 23), 13));
    if (magnitude <= FP16_HALF_STEP)
        return (uint16_t)sign;
    /* Subnormal: the significand counts units of 2^(exponent - 150), the result units of 2^-24. */
    const uint32_t exponent = magnitude >> 23;
    const uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
    return (uint16_t)(sign | shift_rounding(significand, 126 - exponent));
}

float pk_fp16_to_float(uint16_t bits)
{
    const uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    const uint32_t exponent = (bits >> 10) & 0x1fu;
    const uint32_t fraction = bits & 0x3ffu;
    if (exponent == 0x1f)
        return float_of(sign | FLOAT_INFINITY | (fraction << 13));
    if (exponent != 0)
        return float_of(sign | ((exponent + 112) << 23) | (fraction << 13));
    const float magnitude = (float)fraction * 0x1p-24f; /* zero or subnormal: exact in float */
    return float_of(sign | bits_of(magnitude));
}

uint16_t pk_float_to_bf16(float value)
{
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffffu) > FLOAT_INFINITY) /* NaN: quiet, so that a payload in the lower half is not lost */
        return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)shift_rounding(bits, 16);
}

float pk_bf16_to_float(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}
