/* Lab 07, rung 7, given: numbers in Q8_0 and Q4_K blocks (pk_quant.h), as tiles have use for them: pairs of bf16, which
 * hold a whole number up to 256 exactly. Of four bytes, or halves, that follow each other, the first and third are a
 * pair, the second and fourth another one: so a mask does for both of a pair.
 *
 * pairs_of_bytes, scales_of_block and sum_of_block are the including file's. */
#ifndef LAB07_BLOCKS_CUH
#define LAB07_BLOCKS_CUH

#include "decode/pk_quant.h"

#include "lab07_ring.cuh"

#if !defined(LAB07_HALVES_SWAPPED) /* mistakes_ring.cu has its own */
#define LAB07_HALVES_SWAPPED(v) false
#endif

/* Steps. Four signed bytes: bytes 0 and 2, and 1 and 3. */
static __device__ inline void pairs_of_bytes(const lab07_ring_view *v, unsigned word, unsigned pair[2]);
/* Of the 12 bytes of a Q4_K block, the scales of its sub-blocks, or their minimums, a byte each: scales[0] gets those
 * of sub-blocks 0 to 3, scales[1] of 4 to 7. */
static __device__ inline void scales_of_block(const lab07_ring_view *v, const unsigned packed[3], bool mins,
                                              unsigned scales[2]);
/* `sum` and what a Q4_K block adds. value[i]: of sub-block i, the sum of q x / 16, or of x for its minimum. d: the
 * block's d, or dmin. */
static __device__ inline float sum_of_block(const lab07_ring_view *v, const unsigned scales[2], bool mins, float d,
                                            const float value[PK_Q4_K_PARTS], float sum);

/* Four bytes, chosen among those of x (0 to 3) and of y (4 to 7): by the selector's lowest four digits, from the lowest
 * on. One instruction. */
static __device__ inline unsigned lab07_bytes(unsigned x, unsigned y, unsigned selector)
{
#if defined(PK_BACKEND_CPU)
    const uint64_t both = (uint64_t)y << 32 | x;
    unsigned bytes = 0;
    for (int i = 0; i < 4; i++)
        bytes |= (unsigned)(both >> 8 * (selector >> 4 * i & 7u) & 0xffu) << 8 * i;
    return bytes;
#else
    return __byte_perm(x, y, selector);
#endif
}

/* Byte `byte` of the word as a float: 2^23 + n has n in its last bits. A conversion would go through a unit with an
 * eighth of the lanes. */
static __device__ inline float lab07_byte(unsigned word, int byte)
{
    return __uint_as_float(lab07_bytes(word, 0x4b000000u, 0x7440u | (unsigned)byte)) - 8388608.0f;
}

/* fp16, subnormals too: its exponent counts from 112 less than a float's. */
static __device__ inline float lab07_from_fp16(unsigned bits)
{
    return __uint_as_float((bits & 0x7fffu) << 13 | (bits & 0x8000u) << 16) * 0x1p112f;
}

static __device__ inline float lab07_low(unsigned pair)
{
    return __uint_as_float(pair << 16);
}

static __device__ inline float lab07_high(unsigned pair)
{
    return __uint_as_float(pair & 0xffff0000u);
}

/* Two sums of bf16, which bf16 holds exactly. One instruction where there is one: a product with 1, and the sum. */
static __device__ inline unsigned lab07_add_pairs(unsigned one, unsigned other)
{
#if defined(PK_BACKEND_CUDA) || defined(PK_BACKEND_HIP_NVIDIA)
    unsigned sums;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(sums) : "r"(one), "r"(0x3f803f80u), "r"(other));
    return sums;
#else
    return __float_as_uint(lab07_low(one) + lab07_low(other)) >> 16 |
           (__float_as_uint(lab07_high(one) + lab07_high(other)) & 0xffff0000u);
#endif
}

/* (word & these) | others: one instruction, but a compiler makes two of it where both are constants. */
static __device__ inline unsigned lab07_these_or(unsigned word, unsigned these, unsigned others)
{
#if defined(PK_BACKEND_CUDA) || defined(PK_BACKEND_HIP_NVIDIA)
    unsigned bits;
    asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(bits) : "r"(word), "r"(these), "r"(others));
    return bits;
#else
    return (word & these) | others;
#endif
}

/* 1 + q / 16 of four bytes' low halves, and of their high ones: q is put in the first bits behind the point. */
static __device__ inline void lab07_pairs_of_halves(const lab07_ring_view *v, unsigned word, unsigned low[2],
                                                    unsigned high[2])
{
    const bool swapped = LAB07_HALVES_SWAPPED(v);
    unsigned *const first = swapped ? high : low, *const second = swapped ? low : high;
    first[0] = lab07_these_or(word << 3, 0x00780078u, 0x3f803f80u);
    second[0] = lab07_these_or(word >> 1, 0x00780078u, 0x3f803f80u);
    first[1] = lab07_these_or(word >> 5, 0x00780078u, 0x3f803f80u);
    second[1] = lab07_these_or(word >> 9, 0x00780078u, 0x3f803f80u);
    (void)v;
}

#endif
