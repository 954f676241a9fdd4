/* Numbers: integer intrinsics, conversions, rounding, and the errors of the maths functions.
 * Source: CUDA C++ Programming Guide, "Mathematical Functions" (maximum errors of standard and intrinsic functions),
 * "Floating-Point Standard"; CUDA Math API, "Type Casting Intrinsics", "Integer Intrinsics". */
#include "conformance.h"

#include <float.h>
#include <math.h>

CONCERN(number)

#define POINTS 4096

static __global__ void count_bits(long long *out)
{
    out[0] = __popc(0xf0f00001u);
    out[1] = __popcll(0xf0f0000100000003ull);
    out[2] = __clz(0);
    out[3] = __clz(1 << 20);
    out[4] = __clzll(1ll << 40);
    out[5] = __ffs(0);
    out[6] = __ffs(0x50);
    out[7] = __ffsll(1ll << 40);
    out[8] = __brev(0x00000013u);
    out[9] = __mulhi(-3, 1 << 30);
    out[10] = __umulhi(0xffffffffu, 0xffffffffu);
    out[11] = __clz(-1);
}

CASE(bit_intrinsics)
{
    const long long want[12] = {9, 11, 32, 11, 23, 0, 5, 41, 0xc8000000u, -1, 0xfffffffeu, 0};
    DEVICE(long long, out, 12);
    PK_LAUNCH(count_bits, 1, 1, 0, 0, out);
    EXPECT_EACH(long long, out, 12, want[i]);
    return PK_OK;
}

static __global__ void cast_bits(unsigned *out, double *back)
{
    out[0] = __float_as_uint(1.0f);
    out[1] = (unsigned)__float_as_int(-0.0f);
    out[2] = __float_as_uint(__uint_as_float(0x7fc00001u));
    out[3] = (unsigned)((unsigned long long)__double_as_longlong(-2.0) >> 32);
    *back = __longlong_as_double(0x3ff8000000000000ll) + (double)__int_as_float(0x40000000);
}

CASE(bit_casts)
{
    const unsigned want[4] = {0x3f800000u, 0x80000000u, 0x7fc00001u, 0xc0000000u};
    DEVICE(unsigned, out, 4);
    DEVICE(double, back, 1);
    PK_LAUNCH(cast_bits, 1, 1, 0, 0, out, back);
    EXPECT_EACH(unsigned, out, 4, want[i]);
    EXPECT_EACH(double, back, 1, 3.5);
    return PK_OK;
}

static __global__ void to_int(const float *in, int *out)
{
    const unsigned t = threadIdx.x;
    out[4 * t] = __float2int_rn(in[t]);
    out[4 * t + 1] = __float2int_rz(in[t]);
    out[4 * t + 2] = __float2int_rd(in[t]);
    out[4 * t + 3] = __float2int_ru(in[t]);
}

CASE(float_to_int)
{
    const float in[7] = {2.5f, 3.5f, -2.5f, -0.5f, 1.0e6f, -7.75f, 0.25f};
    const int want[28] = {2,  2, 2,       3,       4,       3,       3,  4,  -2, -2, -3, -2, 0, 0,
                          -1, 0, 1000000, 1000000, 1000000, 1000000, -8, -7, -8, -7, 0,  0,  0, 1};
    DEVICE(float, x, 7);
    DEVICE(int, out, 28);
    PK_CHECK(cudaMemcpy(x, in, sizeof in, cudaMemcpyHostToDevice));
    PK_LAUNCH(to_int, 1, 7, 0, 0, x, out);
    EXPECT_EACH(int, out, 28, want[i]);
    return PK_OK;
}

CASE(float_to_int_out_of_range)
{
    /* Conversions saturate, and NaN becomes 0. */
    const float in[5] = {1.0e20f, -1.0e20f, INFINITY, -INFINITY, NAN};
    const int want[5] = {2147483647, -2147483647 - 1, 2147483647, -2147483647 - 1, 0};
    DEVICE(float, x, 5);
    DEVICE(int, out, 20);
    PK_CHECK(cudaMemcpy(x, in, sizeof in, cudaMemcpyHostToDevice));
    PK_LAUNCH(to_int, 1, 5, 0, 0, x, out);
    EXPECT_EACH(int, out, 20, want[i / 4]);
    return PK_OK;
}

static __global__ void from_int(float *out)
{
    out[0] = __int2float_rn(16777217);
    out[1] = __int2float_rn(16777219);
    out[2] = __uint2float_rn(0xffffffffu);
    out[3] = __int2float_rn(-16777217);
}

CASE(int_to_float_ties_to_even)
{
    const float want[4] = {16777216.0f, 16777220.0f, 4294967296.0f, -16777216.0f};
    DEVICE(float, out, 4);
    PK_LAUNCH(from_int, 1, 1, 0, 0, out);
    EXPECT_EACH(float, out, 4, want[i]);
    return PK_OK;
}

/* x*x - round(x*x) is 0 when each operation rounds, and the rounding error when they are fused. */
static __global__ void fused_or_not(const float *x, float *out)
{
    const float square = __fmul_rn(*x, *x);
    out[0] = __fadd_rn(__fmul_rn(*x, *x), -square);
    out[1] = fmaf(*x, *x, -square);
    out[2] = __fmaf_rn(*x, *x, -square);
    const double d = *x, wide = 1.0 + d * 0x1p-30;
    const double wide_square = __dmul_rn(wide, wide);
    out[3] = (float)__dadd_rn(__dmul_rn(wide, wide), -wide_square);
    out[4] = (float)__fma_rn(wide, wide, -wide_square);
}

CASE(rounding_intrinsics_are_not_fused)
{
    const float in = 1.0f + 0x1p-12f;
    const double wide = 1.0 + (double)in * 0x1p-30;
    DEVICE(float, x, 1);
    DEVICE(float, out, 5);
    PK_CHECK(cudaMemcpy(x, &in, sizeof in, cudaMemcpyHostToDevice));
    PK_LAUNCH(fused_or_not, 1, 1, 0, 0, x, out);
    EXPECT_EACH(float, out, 5, i == 0 || i == 3 ? 0.0 : i == 4 ? fma(wide, wide, -(wide * wide)) : 0x1p-24);
    return PK_OK;
}

/* ---- functions, by number, so that one kernel serves them all ---- */

enum {
    F_EXP,
    F_EXP2,
    F_EXPM1,
    F_LOG,
    F_LOG2,
    F_LOG10,
    F_LOG1P,
    F_SIN,
    F_COS,
    F_TAN,
    F_TANH,
    F_ERF,
    F_RSQRT,
    F_CBRT,
    F_POW,
    F_SQRT,
    F_RECIPROCAL,
    F_FAST_EXP,
    F_FAST_LOG,
    F_FAST_SIN,
    F_FAST_COS,
    F_FAST_DIVIDE,
    F_SQRT_RN,
    F_RCP_RN,
    F_RSQRT_RN,
    F_DIVIDE_RN,
    D_EXP,
    D_LOG,
    D_SIN,
    D_COS,
    D_TANH,
    D_RSQRT,
    D_SQRT,
    D_DIVIDE
};

static __device__ float evaluate(int function, float x)
{
    switch (function) {
    case F_EXP:
        return expf(x);
    case F_EXP2:
        return exp2f(x);
    case F_EXPM1:
        return expm1f(x);
    case F_LOG:
        return logf(x);
    case F_LOG2:
        return log2f(x);
    case F_LOG10:
        return log10f(x);
    case F_LOG1P:
        return log1pf(x);
    case F_SIN:
        return sinf(x);
    case F_COS:
        return cosf(x);
    case F_TAN:
        return tanf(x);
    case F_TANH:
        return tanhf(x);
    case F_ERF:
        return erff(x);
    case F_RSQRT:
        return rsqrtf(x);
    case F_CBRT:
        return cbrtf(x);
    case F_POW:
        return powf(x, 1.7f);
    case F_SQRT:
        return sqrtf(x);
    case F_RECIPROCAL:
        return 1.0f / x;
    case F_FAST_EXP:
        return __expf(x);
    case F_FAST_LOG:
        return __logf(x);
    case F_FAST_SIN:
        return __sinf(x);
    case F_FAST_COS:
        return __cosf(x);
    case F_FAST_DIVIDE:
        return __fdividef(3.0f, x);
    case F_SQRT_RN:
        return __fsqrt_rn(x);
    case F_RCP_RN:
        return __frcp_rn(x);
    case F_RSQRT_RN:
        return __frsqrt_rn(x);
    case F_DIVIDE_RN:
        return __fdiv_rn(3.0f, x);
    default:
        return 0.0f;
    }
}

static __device__ double evaluate_double(int function, double x)
{
    switch (function) {
    case D_EXP:
        return exp(x);
    case D_LOG:
        return log(x);
    case D_SIN:
        return sin(x);
    case D_COS:
        return cos(x);
    case D_TANH:
        return tanh(x);
    case D_RSQRT:
        return rsqrt(x);
    case D_SQRT:
        return sqrt(x);
    case D_DIVIDE:
        return 3.0 / x;
    default:
        return 0.0;
    }
}

static __global__ void evaluate_all(int function, const double *x, double *out)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    out[i] = function < D_EXP ? (double)evaluate(function, (float)x[i]) : evaluate_double(function, x[i]);
}

static long double exact(int function, long double x)
{
    switch (function) {
    case F_EXP:
    case F_FAST_EXP:
    case D_EXP:
        return expl(x);
    case F_EXP2:
        return exp2l(x);
    case F_EXPM1:
        return expm1l(x);
    case F_LOG:
    case F_FAST_LOG:
    case D_LOG:
        return logl(x);
    case F_LOG2:
        return log2l(x);
    case F_LOG10:
        return log10l(x);
    case F_LOG1P:
        return log1pl(x);
    case F_SIN:
    case F_FAST_SIN:
    case D_SIN:
        return sinl(x);
    case F_COS:
    case F_FAST_COS:
    case D_COS:
        return cosl(x);
    case F_TAN:
        return tanl(x);
    case F_TANH:
    case D_TANH:
        return tanhl(x);
    case F_ERF:
        return erfl(x);
    case F_RSQRT:
    case F_RSQRT_RN:
    case D_RSQRT:
        return 1.0L / sqrtl(x);
    case F_CBRT:
        return cbrtl(x);
    case F_POW:
        return powl(x, (long double)1.7f);
    case F_SQRT:
    case F_SQRT_RN:
    case D_SQRT:
        return sqrtl(x);
    case F_RECIPROCAL:
    case F_RCP_RN:
        return 1.0L / x;
    default:
        return 3.0L / x;
    }
}

/* The distance between two neighbours of the format at `value`. */
static long double ulp(int function, long double value)
{
    const int digits = function < D_EXP ? FLT_MANT_DIG : DBL_MANT_DIG;
    const int least = function < D_EXP ? FLT_MIN_EXP : DBL_MIN_EXP;
    int exponent;
    (void)frexpl(value, &exponent);
    return ldexpl(1.0L, (exponent > least ? exponent : least) - digits);
}

/* Evaluates the function at POINTS points from `low` to `high` and returns the largest error, in ulp, or absolute. */
static pk_status largest_error(int function, double low, double high, bool in_ulp, long double *worst)
{
    double *in, *got;
    DEVICE(double, x, POINTS);
    DEVICE(double, out, POINTS);
    in = (double *)malloc(POINTS * sizeof *in);
    got = (double *)malloc(POINTS * sizeof *got);
    if (!in || !got)
        return pk_fail(PK_FAULT, "no host memory");
    for (int i = 0; i < POINTS; i++) {
        const double at = low + (high - low) * ((double)i + 0.37) / POINTS;
        in[i] = function < D_EXP ? (double)(float)at : at;
    }
    PK_CHECK(cudaMemcpy(x, in, POINTS * sizeof *in, cudaMemcpyHostToDevice));
    PK_LAUNCH(evaluate_all, POINTS / 256, 256, 0, 0, function, x, out);
    PK_CHECK(cudaMemcpy(got, out, POINTS * sizeof *got, cudaMemcpyDeviceToHost));
    *worst = 0.0L;
    for (int i = 0; i < POINTS; i++) {
        const long double want = exact(function, in[i]), error = fabsl(got[i] - want);
        const long double size = in_ulp ? error / ulp(function, want) : error;
        *worst = size > *worst || isnan(size) ? size : *worst;
    }
    free(in);
    free(got);
    return PK_OK;
}

/* `bound` is the documented one, which counts from the correctly rounded result; against the exact value there is
 * half a unit more. */
#define EXPECT_ULP(function, low, high, bound)                                                                         \
    do {                                                                                                               \
        long double worst_;                                                                                            \
        PK_TRY(largest_error((function), (low), (high), true, &worst_));                                               \
        cf_observe(#function " on " #low ".." #high ", ulp", "%.3Lf", worst_);                                         \
        if (!(worst_ <= (bound) + 0.5L))                                                                               \
            cf_failed(__FILE__, __LINE__, #function " is %.3Lf ulp wrong on " #low ".." #high ", at most %.1Lf + 0.5", \
                      worst_, (long double)(bound));                                                                   \
    } while (0)

#define EXPECT_ABSOLUTE(function, low, high, bound)                                                                    \
    do {                                                                                                               \
        long double worst_;                                                                                            \
        PK_TRY(largest_error((function), (low), (high), false, &worst_));                                              \
        cf_observe(#function " on " #low ".." #high ", absolute", "%.3Lg", worst_);                                    \
        if (!(worst_ <= (bound)))                                                                                      \
            cf_failed(__FILE__, __LINE__, #function " is %.3Lg wrong on " #low ".." #high ", at most %.3Lg", worst_,   \
                      (long double)(bound));                                                                           \
    } while (0)

CASE(correctly_rounded)
{
    EXPECT_ULP(F_SQRT, 1e-30, 1e4, 0);
    EXPECT_ULP(F_RECIPROCAL, 0.1, 3e5, 0);
    EXPECT_ULP(F_SQRT_RN, 0.5, 9.0, 0);
    EXPECT_ULP(F_RCP_RN, -8.0, -0.01, 0);
    EXPECT_ULP(F_RSQRT_RN, 0.01, 40.0, 0);
    EXPECT_ULP(F_DIVIDE_RN, 0.7, 900.0, 0);
    EXPECT_ULP(D_SQRT, 1e-9, 1e9, 0);
    EXPECT_ULP(D_DIVIDE, 0.1, 1e6, 0);
    return PK_OK;
}

CASE(exponentials_and_logarithms)
{
    EXPECT_ULP(F_EXP, -80.0, 80.0, 2);
    EXPECT_ULP(F_EXP2, -120.0, 120.0, 2);
    EXPECT_ULP(F_EXPM1, -2.0, 2.0, 1);
    EXPECT_ULP(F_LOG, 0.001, 4.0, 1);
    EXPECT_ULP(F_LOG, 10.0, 1e30, 1);
    EXPECT_ULP(F_LOG2, 0.01, 100.0, 1);
    EXPECT_ULP(F_LOG10, 0.01, 100.0, 2);
    EXPECT_ULP(F_LOG1P, -0.9, 5.0, 1);
    EXPECT_ULP(F_POW, 0.01, 50.0, 4);
    return PK_OK;
}

CASE(trigonometry)
{
    EXPECT_ULP(F_SIN, -7.0, 7.0, 2);
    EXPECT_ULP(F_COS, -7.0, 7.0, 2);
    EXPECT_ULP(F_TAN, -1.5, 1.5, 4);
    EXPECT_ULP(F_SIN, 1e5, 1e6, 2); /* large arguments are reduced exactly */
    return PK_OK;
}

CASE(activations)
{
    EXPECT_ULP(F_TANH, -9.0, 9.0, 2);
    EXPECT_ULP(F_ERF, -3.5, 3.5, 2);
    EXPECT_ULP(F_RSQRT, 1e-6, 1e6, 2);
    EXPECT_ULP(F_CBRT, -30.0, 30.0, 1);
    return PK_OK;
}

CASE(double_functions)
{
    EXPECT_ULP(D_EXP, -300.0, 300.0, 1);
    EXPECT_ULP(D_LOG, 0.01, 1e6, 1);
    EXPECT_ULP(D_SIN, -7.0, 7.0, 2);
    EXPECT_ULP(D_COS, -7.0, 7.0, 2);
    EXPECT_ULP(D_TANH, -9.0, 9.0, 2);
    EXPECT_ULP(D_RSQRT, 0.001, 1e6, 1);
    return PK_OK;
}

CASE(fast_functions)
{
    /* __expf: 2 + floor(|1.173 x|) ulp */
    EXPECT_ULP(F_FAST_EXP, -1.0, 1.0, 3);
    EXPECT_ULP(F_FAST_EXP, -20.0, 20.0, 25);
    EXPECT_ABSOLUTE(F_FAST_LOG, 0.5, 2.0, 0x1.a2p-22); /* 2^-21.41 and half an ulp of the result */
    EXPECT_ULP(F_FAST_LOG, 2.0, 1000.0, 3);
    EXPECT_ABSOLUTE(F_FAST_SIN, -3.14, 3.14, 0x1.a2p-22); /* the same */
    EXPECT_ABSOLUTE(F_FAST_COS, -3.14, 3.14, 0x1.e1p-22); /* 2^-21.19 and half an ulp */
    EXPECT_ULP(F_FAST_DIVIDE, 0.5, 1e6, 2);
    return PK_OK;
}

static __global__ void special_values(const float *x, float *out)
{
    const float zero = x[0], one = x[1], infinity = x[2], nan = x[3], tiny = x[4];
    out[0] = expf(-infinity);
    out[1] = logf(zero);
    out[2] = isnan(logf(-one));
    out[3] = rsqrtf(zero);
    out[4] = fminf(nan, one);
    out[5] = fmaxf(one, nan);
    out[6] = powf(zero, zero);
    out[7] = isnan(sqrtf(-one));
    out[8] = one / zero;
    out[9] = isnan(infinity - infinity);
    out[10] = tiny * 0.5f * 0x1p70f * 0x1p70f; /* a subnormal is kept */
    out[11] = tiny + tiny == 2.0f * tiny && tiny + tiny != tiny;
    out[12] = tanhf(infinity);
    out[13] = __saturatef(2.0f * one) + __saturatef(-one) + __saturatef(nan);
    out[14] = signbit(-zero) != 0;
    out[15] = fmaf(infinity, one, one);
}

CASE(infinities_nan_and_subnormals)
{
    const float in[5] = {0.0f, 1.0f, INFINITY, NAN, 0x1p-139f};
    const float want[16] = {0, -INFINITY, 1, INFINITY, 1, 1, 1, 1, INFINITY, 1, 1, 1, 1, 1, 1, INFINITY};
    DEVICE(float, x, 5);
    DEVICE(float, out, 16);
    PK_CHECK(cudaMemcpy(x, in, sizeof in, cudaMemcpyHostToDevice));
    PK_LAUNCH(special_values, 1, 1, 0, 0, x, out);
    EXPECT_EACH(float, out, 16, want[i]);
    return PK_OK;
}

static __global__ void minima(double *out, int a, int b, unsigned u, float f, float g)
{
    out[0] = min(a, b);
    out[1] = max(a, b);
    out[2] = min(u, 5u);
    out[3] = max(u, 5u);
    out[4] = fminf(f, g);
    out[5] = fmaxf(f, g);
    out[6] = min(f, g);
    out[7] = (double)max((long long)a, (long long)1 << 40);
    out[8] = abs(a);
    out[9] = fabsf(f);
}

CASE(minimum_and_maximum)
{
    const double want[10] = {-7, 3, 5, 4000000000.0, -2.5, 1.5, -2.5, 1099511627776.0, 7, 2.5};
    DEVICE(double, out, 10);
    PK_LAUNCH(minima, 1, 1, 0, 0, out, -7, 3, 4000000000u, -2.5f, 1.5f);
    EXPECT_EACH(double, out, 10, want[i]);
    return PK_OK;
}

static __global__ void named_integers(long long *out)
{
    out[0] = __mul24(0x1000003, -5);
    out[1] = __umul24(0xff000003u, 0x00fffffeu);
    out[2] = umin(3u, 0xffffffffu);
    out[3] = umax(3u, 0xffffffffu);
    out[4] = llmin(-1ll, 1ll << 40);
    out[5] = llmax(-1ll, 1ll << 40);
    out[6] = (long long)ullmin(5ull, ~0ull);
}

CASE(integers_by_named_functions)
{
    const long long want[7] = {-15, 3ll * 0xfffffe, 3, 0xffffffffll, -1, 1ll << 40, 5};
    DEVICE(long long, out, 7);
    PK_LAUNCH(named_integers, 1, 1, 0, 0, out);
    EXPECT_EACH(long long, out, 7, want[i]);
    return PK_OK;
}
