/* 16-bit floating point: conversion, rounding, arithmetic.
 * Source: CUDA Math API, "Half Precision Conversion and Data Movement", "Bfloat16 Precision Conversion and Data
 * Movement", and their arithmetic functions: round to nearest even, one rounding an operation. */
#include "conformance.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <float.h>
#include <math.h>

CONCERN(half)

#define POINTS 8192

/* A binary format: bits of fraction, exponent of its smallest normal number, largest finite number. */
typedef struct format {
    int fraction_bits, least_exponent;
    double largest;
} format;

static const format half_format = {10, -14, 65504.0};
static const format bfloat_format = {7, -126, 0x1.fep127};

/* The format's number nearest to x, ties to even. */
static double round_to(format f, double x)
{
    if (x == 0.0 || isnan(x) || isinf(x))
        return x;
    const int exponent = ilogb(x) > f.least_exponent ? ilogb(x) : f.least_exponent;
    const double unit = ldexp(1.0, exponent - f.fraction_bits), rounded = rint(x / unit) * unit;
    return fabs(rounded) > f.largest ? copysign(INFINITY, x) : rounded;
}

/* Numbers of every size that a float has, from a multiplicative generator. */
static float sample(unsigned i)
{
    const unsigned bits = (i + 1u) * 2654435761u ^ (i * 40503u) << 7;
    float value;
    memcpy(&value, &bits, sizeof value);
    return isnan(value) ? 1.0f : value;
}

/* Numbers whose sums and products stay in half's range, with few fraction bits more than it has. */
static float moderate(unsigned i)
{
    return (float)((int)((i + 1u) * 2654435761u >> 16) - 32768) / 4096.0f;
}

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static pk_status upload(float **device, float (*value)(unsigned))
{
    float *host = (float *)malloc(POINTS * sizeof *host);
    if (!host)
        return pk_fail(PK_FAULT, "no host memory");
    for (unsigned i = 0; i < POINTS; i++)
        host[i] = value(i);
    PK_TRY(cf_device((void **)device, POINTS * sizeof *host));
    PK_CHECK(cudaMemcpy(*device, host, POINTS * sizeof *host, cudaMemcpyHostToDevice));
    free(host);
    return PK_OK;
}

static __global__ void every_half(unsigned *wrong)
{
    const unsigned bits = blockIdx.x * blockDim.x + threadIdx.x;
    const __half h = __ushort_as_half((unsigned short)bits);
    const float f = __half2float(h);
    const bool is_nan = (bits & 0x7c00u) == 0x7c00u && (bits & 0x3ffu) != 0;
    if (is_nan ? f == f : __half_as_ushort(__float2half_rn(f)) != bits)
        atomicAdd(wrong, 1u);
}

static __global__ void every_bfloat(unsigned *wrong)
{
    const unsigned bits = blockIdx.x * blockDim.x + threadIdx.x;
    const __nv_bfloat16 b = __ushort_as_bfloat16((unsigned short)bits);
    const float f = __bfloat162float(b);
    const bool is_nan = (bits & 0x7f80u) == 0x7f80u && (bits & 0x7fu) != 0;
    if (is_nan ? f == f : __bfloat16_as_ushort(__float2bfloat16_rn(f)) != bits || __float_as_uint(f) != bits << 16)
        atomicAdd(wrong, 1u);
}

CASE(every_value_survives_a_round_trip)
{
    DEVICE(unsigned, wrong, 2);
    PK_LAUNCH(every_half, 256, 256, 0, 0, wrong);
    PK_LAUNCH(every_bfloat, 256, 256, 0, 0, wrong + 1);
    EXPECT_EACH(unsigned, wrong, 2, 0);
    return PK_OK;
}

static __global__ void convert(const float *x, float *as_half, float *as_bfloat)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    as_half[i] = __half2float(__float2half_rn(x[i]));
    as_bfloat[i] = __bfloat162float(__float2bfloat16_rn(x[i]));
}

static pk_status expect_rounded(format f, const float *device, const char *what)
{
    const float *got = (const float *)cf_download(device, POINTS * sizeof *got);
    PK_TRY(got ? PK_OK : PK_FAULT);
    for (unsigned i = 0; i < POINTS; i++) {
        const double want = round_to(f, (double)sample(i));
        if (!same(got[i], want))
            return pk_fail(PK_WRONG, "%s of %a is %a, want %a", what, (double)sample(i), (double)got[i], want);
    }
    return PK_OK;
}

CASE(conversion_rounds_to_nearest_even)
{
    float *x;
    DEVICE(float, as_half, POINTS);
    DEVICE(float, as_bfloat, POINTS);
    PK_TRY(upload(&x, sample));
    PK_LAUNCH(convert, POINTS / 256, 256, 0, 0, x, as_half, as_bfloat);
    PK_TRY(expect_rounded(half_format, as_half, "half"));
    PK_TRY(expect_rounded(bfloat_format, as_bfloat, "bfloat16"));
    return PK_OK;
}

static __global__ void convert_edges(const float *x, float *out)
{
    const unsigned i = threadIdx.x;
    out[2 * i] = __half2float(__float2half(x[i]));
    out[2 * i + 1] = __bfloat162float(__float2bfloat16(x[i]));
}

CASE(ties_overflow_and_subnormals)
{
    const float in[8] = {1.0f + 0x1p-11f, 1.0f + 0x3p-11f, 65519.0f, 65520.0f,
                         1.0f + 0x1p-8f,  1.0f + 0x3p-8f,  0x1p-25f, FLT_MAX};
    DEVICE(float, x, 8);
    DEVICE(float, out, 16);
    PK_CHECK(cudaMemcpy(x, in, sizeof in, cudaMemcpyHostToDevice));
    PK_LAUNCH(convert_edges, 1, 8, 0, 0, x, out);
    EXPECT_EACH(float, out, 16, round_to(i % 2 ? bfloat_format : half_format, (double)in[i / 2]));
    return PK_OK;
}

static __global__ void half_arithmetic(const float *x, float *out)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const __half a = __float2half_rn(x[i]), b = __float2half_rn(x[(i + 1) % POINTS]);
    const __half c = __float2half_rn(x[(i + 2) % POINTS]);
    out[4 * i] = __half2float(__hadd(a, b));
    out[4 * i + 1] = __half2float(__hsub(a, b));
    out[4 * i + 2] = __half2float(__hmul(a, b));
    out[4 * i + 3] = __half2float(__hfma(a, b, c));
}

static __global__ void bfloat_arithmetic(const float *x, float *out)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    const __nv_bfloat16 a = __float2bfloat16_rn(x[i]), b = __float2bfloat16_rn(x[(i + 1) % POINTS]);
    const __nv_bfloat16 c = __float2bfloat16_rn(x[(i + 2) % POINTS]);
    out[4 * i] = __bfloat162float(__hadd(a, b));
    out[4 * i + 1] = __bfloat162float(__hsub(a, b));
    out[4 * i + 2] = __bfloat162float(__hmul(a, b));
    out[4 * i + 3] = __bfloat162float(__hfma(a, b, c));
}

/* Sums and products of such numbers are exact in double, so one rounding of them is the result. */
static pk_status expect_arithmetic(format f, const float *device)
{
    static const char *const names[4] = {"a + b", "a - b", "a * b", "a * b + c"};
    const float *got = (const float *)cf_download(device, 4 * POINTS * sizeof *got);
    PK_TRY(got ? PK_OK : PK_FAULT);
    for (unsigned i = 0; i < POINTS; i++) {
        const double a = round_to(f, (double)moderate(i)), b = round_to(f, (double)moderate((i + 1) % POINTS));
        const double c = round_to(f, (double)moderate((i + 2) % POINTS));
        const double want[4] = {a + b, a - b, a * b, a * b + c};
        for (unsigned k = 0; k < 4; k++)
            if (!same(got[4 * i + k], round_to(f, want[k])))
                return pk_fail(PK_WRONG, "%s with %a, %a, %a is %a, want %a", names[k], a, b, c, (double)got[4 * i + k],
                               round_to(f, want[k]));
    }
    return PK_OK;
}

CASE(arithmetic_rounds_once)
{
    float *x;
    DEVICE(float, out, 4 * POINTS);
    PK_TRY(upload(&x, moderate));
    PK_LAUNCH(half_arithmetic, POINTS / 256, 256, 0, 0, x, out);
    PK_TRY(expect_arithmetic(half_format, out));
    PK_LAUNCH(bfloat_arithmetic, POINTS / 256, 256, 0, 0, x, out);
    PK_TRY(expect_arithmetic(bfloat_format, out));
    return PK_OK;
}

static __global__ void pairs(float *out)
{
    const __half2 h = __floats2half2_rn(1.5f, -2.25f), k = __floats2half2_rn(4.0f, 8.0f);
    const __nv_bfloat162 b = __floats2bfloat162_rn(3.0f, -0.5f), c = __floats2bfloat162_rn(16.0f, 2.0f);
    const float2 sum = __half22float2(__hadd2(h, k)), product = __bfloat1622float2(__hmul2(b, c));
    const float2 fused = __half22float2(__hfma2(h, k, k));
    out[0] = __low2float(h);
    out[1] = __high2float(h);
    out[2] = sum.x;
    out[3] = sum.y;
    out[4] = product.x;
    out[5] = product.y;
    out[6] = __low2float(b);
    out[7] = __high2float(b);
    out[8] = fused.x;
    out[9] = fused.y;
}

CASE(pairs_keep_their_order)
{
    const float want[10] = {1.5f, -2.25f, 5.5f, 5.75f, 48.0f, -1.0f, 3.0f, -0.5f, 10.0f, -10.0f};
    DEVICE(float, out, 10);
    PK_LAUNCH(pairs, 1, 1, 0, 0, out);
    EXPECT_EACH(float, out, 10, want[i]);
    return PK_OK;
}

static __global__ void comparisons(const float *x, int *out)
{
    const __half one = __float2half_rn(x[0]), two = __float2half_rn(x[1]), nan = __float2half_rn(x[2]);
    const __nv_bfloat16 three = __float2bfloat16_rn(x[3]), bad = __float2bfloat16_rn(x[2]);
    out[0] = __hlt(one, two);
    out[1] = __hgt(one, two);
    out[2] = __heq(one, one);
    out[3] = __heq(nan, nan);
    out[4] = __hisnan(nan);
    out[5] = __hle(three, three);
    out[6] = __hge(three, bad);
    out[7] = __hisnan(bad);
}

CASE(comparisons_and_nan)
{
    const float in[4] = {1.0f, 2.0f, NAN, 3.0f};
    const int want[8] = {1, 0, 1, 0, 1, 1, 0, 1};
    DEVICE(float, x, 4);
    DEVICE(int, out, 8);
    PK_CHECK(cudaMemcpy(x, in, sizeof in, cudaMemcpyHostToDevice));
    PK_LAUNCH(comparisons, 1, 1, 0, 0, x, out);
    EXPECT_EACH(int, out, 8, want[i]);
    return PK_OK;
}

/* Eight bf16 numbers travel as one 16-byte word, as kernels load weights. */
static __global__ void wide_load(const uint4 *words, float *sum)
{
    const uint4 w = words[threadIdx.x];
    const unsigned parts[4] = {w.x, w.y, w.z, w.w};
    float total = 0.0f;
    for (int i = 0; i < 4; i++)
        total += __uint_as_float(parts[i] << 16) + __uint_as_float(parts[i] & 0xffff0000u);
    sum[threadIdx.x] = total;
}

static __global__ void make_numbers(__nv_bfloat16 *numbers)
{
    numbers[threadIdx.x] = __float2bfloat16_rn((float)(threadIdx.x % 64));
}

CASE(bfloat_is_the_upper_half_of_a_float)
{
    DEVICE(__nv_bfloat16, numbers, 256);
    DEVICE(float, sum, 32);
    PK_LAUNCH(make_numbers, 1, 256, 0, 0, numbers);
    PK_LAUNCH(wide_load, 1, 32, 0, 0, (const uint4 *)numbers, sum);
    EXPECT_EACH(float, sum, 32, 8 * (8 * (i % 8)) + 28);
    return PK_OK;
}

static __global__ void construct_pairs(float *out)
{
    const __half2 pair(1.5f, -2.0f);
    const __half2 same = __half2(__float2half(0.25f), __float2half(8.0f));
    out[0] = __low2float(pair);
    out[1] = __high2float(pair);
    out[2] = __low2float(same);
    out[3] = __high2float(same);
}

CASE(pairs_by_constructor)
{
    const float want[4] = {1.5f, -2.0f, 0.25f, 8.0f};
    DEVICE(float, out, 4);
    PK_LAUNCH(construct_pairs, 1, 1, 0, 0, out);
    EXPECT_EACH(float, out, 4, want[i]);
    return PK_OK;
}
