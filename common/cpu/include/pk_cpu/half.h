/* 16-bit floating point, fp16 and bf16: what cuda_fp16.h and cuda_bf16.h share. Each operation is rounded once, to
 * nearest even, as CUDA documents: sums, products and quotients by way of float, whose 24 bits are more than twice
 * 11 and two, so that rounding twice changes nothing (Figueroa, "When is double rounding innocuous?", 1995); a fused
 * multiply-add by way of a double that is rounded to odd. */
#ifndef PK_CPU_HALF_H
#define PK_CPU_HALF_H

#include "../cuda_runtime.h"

struct pk_cpu_fp16 {
    enum { FRACTION = 10, BIAS = 15 };
};
struct pk_cpu_bf16 {
    enum { FRACTION = 7, BIAS = 127 };
};

/* To nearest even. */
template <class Format> static inline unsigned short pk_cpu_round(double value)
{
    const int fraction = Format::FRACTION, bias = Format::BIAS, largest = 2 * bias;
    const uint64_t bits = pk_cpu_bits<uint64_t>(value);
    const unsigned sign = (unsigned)(bits >> 63) << 15;
    const int exponent = (int)(bits >> 52 & 0x7ff);
    if (exponent == 0x7ff)
        return (unsigned short)(bits << 12 ? 0x7fffu : sign | (unsigned)(largest + 1) << fraction);
    if (exponent == 0)
        return (unsigned short)sign; /* below 2^-1022: nothing is left of it in 16 bits */
    uint64_t significand = (bits & 0xfffffffffffffu) | (uint64_t)1 << 52;
    int scale = exponent - 1023 + bias, drop = 52 - fraction;
    if (scale < 1) { /* subnormal */
        drop += 1 - scale;
        scale = 1;
    }
    if (drop > 54)
        return (unsigned short)sign;
    const uint64_t half = (uint64_t)1 << (drop - 1), below = significand & (2 * half - 1);
    significand >>= drop;
    if (below > half || (below == half && (significand & 1)))
        significand++;
    /* The leading bit, where it is there, adds one to the exponent below it; a carry does so once more. */
    const unsigned result = ((unsigned)(scale - 1) << fraction) + (unsigned)significand;
    const unsigned infinity = (unsigned)(largest + 1) << fraction;
    return (unsigned short)(sign | (result < infinity ? result : infinity));
}

template <class Format> static inline float pk_cpu_widen(unsigned short bits);
template <> inline float pk_cpu_widen<pk_cpu_bf16>(unsigned short bits)
{
    return pk_cpu_bits<float>((unsigned)bits << 16);
}
template <> inline float pk_cpu_widen<pk_cpu_fp16>(unsigned short bits)
{
    const unsigned sign = (unsigned)(bits & 0x8000u) << 16, rest = bits & 0x7fffu;
    if (rest >= 0x7c00u)
        return pk_cpu_bits<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    if (rest < 0x400u) {
        const float small = (float)rest * 0x1p-24f;
        return sign ? -small : small;
    }
    return pk_cpu_bits<float>(sign | ((rest << 13) + ((127u - 15u) << 23)));
}

template <class Format> struct pk_cpu_small {
    unsigned short bits;
    pk_cpu_small() = default;
    pk_cpu_small(float value) : bits(pk_cpu_round<Format>(value))
    {
    }
    pk_cpu_small(double value) : bits(pk_cpu_round<Format>(value))
    {
    }
    pk_cpu_small(int value) : bits(pk_cpu_round<Format>(value))
    {
    }
    pk_cpu_small(unsigned value) : bits(pk_cpu_round<Format>(value))
    {
    }
    operator float() const
    {
        return pk_cpu_widen<Format>(bits);
    }
};

template <class Format> struct __attribute__((aligned(4))) pk_cpu_small2 {
    pk_cpu_small<Format> x, y;
    pk_cpu_small2() = default;
    pk_cpu_small2(pk_cpu_small<Format> x_, pk_cpu_small<Format> y_) : x(x_), y(y_)
    {
    }
};

#define PK_CPU_H_ pk_cpu_small<F>
#define PK_CPU_H2_ pk_cpu_small2<F>
#define PK_CPU_ARITHMETIC_(name, op)                                                                                   \
    template <class F> static inline PK_CPU_H_ __h##name(PK_CPU_H_ a, PK_CPU_H_ b)                                     \
    {                                                                                                                  \
        return PK_CPU_H_((float)a op(float) b);                                                                        \
    }                                                                                                                  \
    template <class F> static inline PK_CPU_H_ __h##name##_rn(PK_CPU_H_ a, PK_CPU_H_ b)                                \
    {                                                                                                                  \
        return __h##name(a, b);                                                                                        \
    }                                                                                                                  \
    template <class F> static inline PK_CPU_H2_ __h##name##2(PK_CPU_H2_ a, PK_CPU_H2_ b)                               \
    {                                                                                                                  \
        return {__h##name(a.x, b.x), __h##name(a.y, b.y)};                                                             \
    }                                                                                                                  \
    template <class F> static inline PK_CPU_H_ operator op(PK_CPU_H_ a, PK_CPU_H_ b)                                   \
    {                                                                                                                  \
        return __h##name(a, b);                                                                                        \
    }                                                                                                                  \
    template <class F> static inline PK_CPU_H2_ operator op(PK_CPU_H2_ a, PK_CPU_H2_ b)                                \
    {                                                                                                                  \
        return __h##name##2(a, b);                                                                                     \
    }                                                                                                                  \
    template <class F> static inline PK_CPU_H_ &operator op##=(PK_CPU_H_ &a, PK_CPU_H_ b)                              \
    {                                                                                                                  \
        return a = a op b;                                                                                             \
    }                                                                                                                  \
    template <class F> static inline PK_CPU_H2_ &operator op##=(PK_CPU_H2_ &a, PK_CPU_H2_ b)                           \
    {                                                                                                                  \
        return a = a op b;                                                                                             \
    }
PK_CPU_ARITHMETIC_(add, +)
PK_CPU_ARITHMETIC_(sub, -)
PK_CPU_ARITHMETIC_(mul, *)
PK_CPU_ARITHMETIC_(div, /)
#undef PK_CPU_ARITHMETIC_

template <class F> static inline PK_CPU_H2_ __h2div(PK_CPU_H2_ a, PK_CPU_H2_ b)
{
    return __hdiv2(a, b);
}

/* a b is exact in double; the sum's rounding error is known exactly (Knuth's two-sum), and says on which side of a
 * tie the value lies. */
template <class F> static inline PK_CPU_H_ __hfma(PK_CPU_H_ a, PK_CPU_H_ b, PK_CPU_H_ c)
{
    const double product = (double)(float)a * (double)(float)b, addend = (float)c, sum = product + addend;
    PK_CPU_H_ result;
    const double part = sum - product, error = (product - (sum - part)) + (addend - part);
    if (!isfinite(sum) || error == 0) {
        result.bits = pk_cpu_round<F>(sum);
        return result;
    }
    uint64_t bits = pk_cpu_bits<uint64_t>(sum);
    if ((error < 0) != (sum < 0))
        bits--; /* towards zero */
    result.bits = pk_cpu_round<F>(pk_cpu_bits<double>(bits | 1));
    return result;
}
template <class F> static inline PK_CPU_H2_ __hfma2(PK_CPU_H2_ a, PK_CPU_H2_ b, PK_CPU_H2_ c)
{
    return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
template <class F> static inline PK_CPU_H_ pk_cpu_from_bits(unsigned bits)
{
    PK_CPU_H_ result;
    result.bits = (unsigned short)bits;
    return result;
}
template <class F> static inline PK_CPU_H_ __hneg(PK_CPU_H_ a)
{
    return pk_cpu_from_bits<F>(a.bits ^ 0x8000u);
}
template <class F> static inline PK_CPU_H_ operator-(PK_CPU_H_ a)
{
    return __hneg(a);
}
template <class F> static inline PK_CPU_H2_ __hneg2(PK_CPU_H2_ a)
{
    return {__hneg(a.x), __hneg(a.y)};
}
template <class F> static inline PK_CPU_H_ __habs(PK_CPU_H_ a)
{
    return pk_cpu_from_bits<F>(a.bits & 0x7fffu);
}
template <class F> static inline PK_CPU_H2_ __habs2(PK_CPU_H2_ a)
{
    return {__habs(a.x), __habs(a.y)};
}

#define PK_CPU_COMPARE_(name, op)                                                                                      \
    template <class F> static inline bool __h##name(PK_CPU_H_ a, PK_CPU_H_ b)                                          \
    {                                                                                                                  \
        return (float)a op(float) b;                                                                                   \
    }                                                                                                                  \
    template <class F> static inline bool operator op(PK_CPU_H_ a, PK_CPU_H_ b)                                        \
    {                                                                                                                  \
        return (float)a op(float) b;                                                                                   \
    }
PK_CPU_COMPARE_(eq, ==)
PK_CPU_COMPARE_(ne, !=)
PK_CPU_COMPARE_(lt, <)
PK_CPU_COMPARE_(le, <=)
PK_CPU_COMPARE_(gt, >)
PK_CPU_COMPARE_(ge, >=)
#undef PK_CPU_COMPARE_

template <class F> static inline bool __hisnan(PK_CPU_H_ a)
{
    return isnan((float)a);
}
template <class F> static inline int __hisinf(PK_CPU_H_ a)
{
    return isinf((float)a) ? ((float)a < 0 ? -1 : 1) : 0;
}

/* A NaN gives way to a number, and -0 is below +0. */
template <class F> static inline PK_CPU_H_ __hmax(PK_CPU_H_ a, PK_CPU_H_ b)
{
    if (__hisnan(a) || __hisnan(b))
        return __hisnan(a) ? b : a;
    return (float)a > (float)b || ((float)a == (float)b && !(a.bits & 0x8000u)) ? a : b;
}
template <class F> static inline PK_CPU_H_ __hmin(PK_CPU_H_ a, PK_CPU_H_ b)
{
    if (__hisnan(a) || __hisnan(b))
        return __hisnan(a) ? b : a;
    return (float)a < (float)b || ((float)a == (float)b && a.bits & 0x8000u) ? a : b;
}
template <class F> static inline PK_CPU_H2_ __hmax2(PK_CPU_H2_ a, PK_CPU_H2_ b)
{
    return {__hmax(a.x, b.x), __hmax(a.y, b.y)};
}
template <class F> static inline PK_CPU_H2_ __hmin2(PK_CPU_H2_ a, PK_CPU_H2_ b)
{
    return {__hmin(a.x, b.x), __hmin(a.y, b.y)};
}

#define PK_CPU_FUNCTION_(name, expression)                                                                             \
    template <class F> static inline PK_CPU_H_ h##name(PK_CPU_H_ a)                                                    \
    {                                                                                                                  \
        const double v = (float)a;                                                                                     \
        return PK_CPU_H_(expression);                                                                                  \
    }                                                                                                                  \
    template <class F> static inline PK_CPU_H2_ h2##name(PK_CPU_H2_ a)                                                 \
    {                                                                                                                  \
        return {h##name(a.x), h##name(a.y)};                                                                           \
    }
PK_CPU_FUNCTION_(exp, exp(v))
PK_CPU_FUNCTION_(exp2, exp2(v))
PK_CPU_FUNCTION_(log, log(v))
PK_CPU_FUNCTION_(log2, log2(v))
PK_CPU_FUNCTION_(sqrt, sqrt(v))
PK_CPU_FUNCTION_(rsqrt, 1.0 / sqrt(v))
PK_CPU_FUNCTION_(rcp, 1.0 / v)
PK_CPU_FUNCTION_(tanh, tanh(v))
PK_CPU_FUNCTION_(sin, sin(v))
PK_CPU_FUNCTION_(cos, cos(v))
#undef PK_CPU_FUNCTION_

template <class F> static inline float __low2float(PK_CPU_H2_ a)
{
    return a.x;
}
template <class F> static inline float __high2float(PK_CPU_H2_ a)
{
    return a.y;
}
template <class F> static inline PK_CPU_H2_ __lowhigh2highlow(PK_CPU_H2_ a)
{
    return {a.y, a.x};
}
#undef PK_CPU_H_
#undef PK_CPU_H2_

/* The functions that have the type in their names. */
#define PK_CPU_HALF_NAMES_(type, type2, one, two, pair, both)                                                          \
    static inline type __float2##one(float v)                                                                          \
    {                                                                                                                  \
        return type(v);                                                                                                \
    }                                                                                                                  \
    static inline type __float2##one##_rn(float v)                                                                     \
    {                                                                                                                  \
        return type(v);                                                                                                \
    }                                                                                                                  \
    static inline type __double2##one(double v)                                                                        \
    {                                                                                                                  \
        return type(v);                                                                                                \
    }                                                                                                                  \
    static inline type __int2##one##_rn(int v)                                                                         \
    {                                                                                                                  \
        return type(v);                                                                                                \
    }                                                                                                                  \
    static inline type __uint2##one##_rn(unsigned v)                                                                   \
    {                                                                                                                  \
        return type(v);                                                                                                \
    }                                                                                                                  \
    static inline float __##one##2float(type v)                                                                        \
    {                                                                                                                  \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline int __##one##2int_rn(type v)                                                                         \
    {                                                                                                                  \
        return __float2int_rn(v);                                                                                      \
    }                                                                                                                  \
    static inline int __##one##2int_rz(type v)                                                                         \
    {                                                                                                                  \
        return __float2int_rz(v);                                                                                      \
    }                                                                                                                  \
    static inline unsigned short __##one##_as_ushort(type v)                                                           \
    {                                                                                                                  \
        return v.bits;                                                                                                 \
    }                                                                                                                  \
    static inline type __ushort_as_##one(unsigned short bits)                                                          \
    {                                                                                                                  \
        type v;                                                                                                        \
        v.bits = bits;                                                                                                 \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline type2 __float2##two##_rn(float v)                                                                    \
    {                                                                                                                  \
        return {type(v), type(v)};                                                                                     \
    }                                                                                                                  \
    static inline type2 __floats2##two##_rn(float x, float y)                                                          \
    {                                                                                                                  \
        return {type(x), type(y)};                                                                                     \
    }                                                                                                                  \
    static inline type2 __float22##two##_rn(float2 v)                                                                  \
    {                                                                                                                  \
        return {type(v.x), type(v.y)};                                                                                 \
    }                                                                                                                  \
    static inline float2 __##two##2float2(type2 v)                                                                     \
    {                                                                                                                  \
        return make_float2(v.x, v.y);                                                                                  \
    }                                                                                                                  \
    static inline type2 __##one##2##two(type v)                                                                        \
    {                                                                                                                  \
        return {v, v};                                                                                                 \
    }                                                                                                                  \
    static inline type2 pair##2##two(type x, type y)                                                                   \
    {                                                                                                                  \
        return {x, y};                                                                                                 \
    }                                                                                                                  \
    static inline type2 make_##both(type x, type y)                                                                    \
    {                                                                                                                  \
        return {x, y};                                                                                                 \
    }                                                                                                                  \
    static inline type __low2##one(type2 v)                                                                            \
    {                                                                                                                  \
        return v.x;                                                                                                    \
    }                                                                                                                  \
    static inline type __high2##one(type2 v)                                                                           \
    {                                                                                                                  \
        return v.y;                                                                                                    \
    }

#endif
