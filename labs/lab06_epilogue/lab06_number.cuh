/* Lab 06: numbers in memory and in registers, chunks of 16 bytes, the exact and the fast forms of tanh, e^x and the
 * quotient, and where a row lies. Device functions, given. */
#ifndef LAB06_NUMBER_CUH
#define LAB06_NUMBER_CUH

#include "pk_gpu.h"

#include "lab06.h"

/* ---- one number ---- */

template <int TYPE> struct lab06_number {
    typedef float stored;
    enum { in_chunk = 4 };
};
template <> struct lab06_number<LAB06_BF16> {
    typedef uint16_t stored; /* the upper half of a float */
    enum { in_chunk = 8 };
};

static __device__ inline float lab06_read(float stored)
{
    return stored;
}

static __device__ inline float lab06_read(uint16_t stored)
{
    return __uint_as_float((unsigned)stored << 16);
}

/* To bf16, to nearest, ties to even; a NaN stays one. */
static __device__ inline uint16_t lab06_to_bf16(float value)
{
    const unsigned bits = __float_as_uint(value);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static __device__ inline void lab06_write(float *to, float value)
{
    *to = value;
}

static __device__ inline void lab06_write(uint16_t *to, float value)
{
    *to = lab06_to_bf16(value);
}

/* What a number is once it has been stored as TYPE and read again. */
template <int TYPE> static __device__ inline float lab06_as_stored(float value)
{
    return TYPE == LAB06_BF16 ? lab06_read(lab06_to_bf16(value)) : value;
}

/* ---- chunks of 16 bytes: 4 floats or 8 bf16 ---- */

/* From memory that nobody writes while the kernel runs: by the read-only path, so that a load may be moved ahead of
 * stores. */
static __device__ inline uint4 lab06_load_16(const void *from)
{
#if defined(__CUDA_ARCH__)
    return __ldg((const uint4 *)from);
#else
    return *(const uint4 *)from;
#endif
}

static __device__ inline void lab06_unpack(uint4 chunk, float value[4])
{
    value[0] = __uint_as_float(chunk.x), value[1] = __uint_as_float(chunk.y);
    value[2] = __uint_as_float(chunk.z), value[3] = __uint_as_float(chunk.w);
}

static __device__ inline uint4 lab06_pack(const float value[4])
{
    return make_uint4(__float_as_uint(value[0]), __float_as_uint(value[1]), __float_as_uint(value[2]),
                      __float_as_uint(value[3]));
}

/* Two bf16 of a word: the first in its lower half. */
static __device__ inline unsigned lab06_pack_two(float first, float second)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(second), "f"(first));
    return word;
#else
    return (unsigned)lab06_to_bf16(second) << 16 | lab06_to_bf16(first);
#endif
}

/* The numbers of a chunk of TYPE, [in_chunk], and back. */
template <int TYPE> struct lab06_chunk {
    static __device__ inline void unpack(uint4 chunk, float *value)
    {
        lab06_unpack(chunk, value);
    }
    static __device__ inline uint4 pack(const float *value)
    {
        return lab06_pack(value);
    }
};
template <> struct lab06_chunk<LAB06_BF16> {
    static __device__ inline void unpack(uint4 chunk, float *value)
    {
        const unsigned word[4] = {chunk.x, chunk.y, chunk.z, chunk.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            value[2 * i] = __uint_as_float(word[i] << 16);
            value[2 * i + 1] = __uint_as_float(word[i] & 0xffff0000u);
        }
    }
    static __device__ inline uint4 pack(const float *value)
    {
        return make_uint4(lab06_pack_two(value[0], value[1]), lab06_pack_two(value[2], value[3]),
                          lab06_pack_two(value[4], value[5]), lab06_pack_two(value[6], value[7]));
    }
};

/* May `count` numbers at `at` be moved as one chunk? All of it has to be there, and to begin at a multiple of 16. */
template <int TYPE> static __device__ inline bool lab06_is_whole(const void *at, int count)
{
    return count == (int)lab06_number<TYPE>::in_chunk && (size_t)at % LAB06_VECTOR_BYTES == 0;
}

/* ---- exact and fast forms ---- */

/* tanh. Fast: one instruction of NVIDIA's, to about 11 bits (PTX ISA, "tanh": relative error 2^-11). AMD has none, so
 * there it is made of e^x. The CPU device rounds to 11 bits, so that what such a form does can be seen there too. */
template <int MATH> static __device__ inline float lab06_tanh(float x)
{
    if (MATH == LAB06_EXACT)
        return tanhf(x);
#if defined(__CUDA_ARCH__)
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#elif defined(PK_BACKEND_CPU)
    return __uint_as_float((__float_as_uint(tanhf(x)) + 0x1000u) & ~0x1fffu);
#else
    return 1 - __fdividef(2.0f, 1 + __expf(2 * x)); /* e^x beyond float's largest gives 1 */
#endif
}

/* e^x. Fast: 2 to the power of x log2(e), whose product is rounded, so that the error grows with |x|. */
template <int MATH> static __device__ inline float lab06_exp(float x)
{
    if (MATH == LAB06_EXACT)
        return expf(x);
#if defined(PK_BACKEND_CPU)
    return exp2f(x * 1.4426950408889634f);
#else
    return __expf(x);
#endif
}

/* a / b. Fast: a times an approximate 1 / b, and 0 where b is 2^126 or more. */
template <int MATH> static __device__ inline float lab06_divide(float a, float b)
{
    return MATH == LAB06_EXACT ? a / b : __fdividef(a, b);
}

/* ---- where a row lies ---- */

template <int TYPE> struct lab06_row { /* of one layer; each is [columns] */
    const typename lab06_number<TYPE>::stored *x, *bias;
    const typename lab06_number<TYPE>::stored *x_up, *bias_up; /* of the SiLU gate; else x and bias */
    const typename lab06_number<TYPE>::stored *before;
    typename lab06_number<TYPE>::stored *out;
};

template <int TYPE> static __device__ inline lab06_row<TYPE> lab06_row_of(const lab06_view *v, int layer, int row)
{
    typedef typename lab06_number<TYPE>::stored stored;
    const size_t at = (size_t)layer * v->rows + row, parts = (size_t)v->parts, pitch = (size_t)v->pitch;
    const stored *const x = (const stored *)v->x + at * parts * pitch;
    const stored *const bias = (const stored *)v->bias + (size_t)layer * parts * pitch;
    stored *const out = (stored *)v->out + at * pitch;
    const lab06_row<TYPE> found = {x,
                                   bias,
                                   x + (parts - 1) * pitch,
                                   bias + (parts - 1) * pitch,
                                   layer == 0 ? (const stored *)v->h + (size_t)row * pitch
                                              : out - (size_t)v->rows * pitch,
                                   out};
    return found;
}

#endif
