/* Lab 07, rung 7, given: how a thread reads Q8_0 and Q4_K blocks (pk_quant.h) from a chunk in shared memory. It takes
 * 32 weights of a row at once, a unit, and has the x that go with them in registers:
 *
 *   Q8_0   unit u is block u
 *   Q4_K   units 8 b to 8 b + 7 are block b. 16 of its 128 bytes are a unit: their low halves are weights of one
 *          sub-block, their high halves of the next. Eight lanes read the 128 bytes in one go, no bank twice.
 *
 * dot_q8_0, scales_of_pair and dot_q4_k are the including file's. */
#ifndef LAB07_BLOCKS_CUH
#define LAB07_BLOCKS_CUH

#include "decode/pk_quant.h"

#include "lab07_ring.cuh"

/* Steps. `sum` and the block's 32 weights times x. q: the weights, signed bytes; d: the scale. */
static __device__ inline float dot_q8_0(const lab07_ring_view *v, const unsigned q[8], float d, const float (*x)[8],
                                        float sum);
/* Scales and minimums of two sub-blocks, 6 bits each, in bytes 0 and 1. */
typedef struct lab07_pair {
    unsigned scales, mins;
} lab07_pair;
/* Of sub-blocks 2 pair and 2 pair + 1, from the block's 12 bytes of them. */
static __device__ inline lab07_pair scales_of_pair(const lab07_ring_view *v, const unsigned packed[3], int pair);
/* `sum` and 32 weights times x: of q, 16 bytes, the low halves go with x[0] and x[1], the high ones with x[2] and x[3].
 * `of_x`: the sum of the first two, and of the last two. */
static __device__ inline float dot_q4_k(const lab07_ring_view *v, const unsigned q[4], lab07_pair s, float d,
                                        float dmin, const float (*x)[8], const float of_x[2], float sum);

/* ---- numbers ---- */

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

/* A whole number below 2^23, as a float: 2^23 + n has n in its last bits. A conversion would go through a unit with an
 * eighth of the lanes. */
static __device__ inline float lab07_small(unsigned n)
{
    return __uint_as_float(0x4b000000u | n) - 8388608.0f;
}

/* Byte `byte` of the word, signed: 2^23 + 128 + q, less 2^23 + 128. */
static __device__ inline float lab07_signed_byte(unsigned word, int byte)
{
    return __uint_as_float(lab07_bytes(word ^ 0x80808080u, 0x4b000000u, 0x7440u | (unsigned)byte)) - 8388736.0f;
}

/* The low halves of a word's four bytes, as lab07_one_and wants them. */
static __device__ inline unsigned lab07_halves(unsigned word)
{
    return (word << 3 & 0x78787878u) | 0x80808080u;
}

/* 1 + q / 16, q being half `byte` of lab07_halves: q is in the first bits behind the point. */
static __device__ inline float lab07_one_and(unsigned halves, int byte)
{
    return __uint_as_float(lab07_bytes(halves, 0x3f000000u, 0x7044u | (unsigned)byte << 8));
}

/* fp16, subnormals too: its exponent counts from 112 less than a float's. */
static __device__ inline float lab07_from_fp16(unsigned bits)
{
    return __uint_as_float((bits & 0x7fffu) << 13 | (bits & 0x8000u) << 16) * 0x1p112f;
}

/* ---- units ---- */

/* Unit `unit` has 16 columns from this one on, and 16 more: of Q8_0 the next, of Q4_K those of the next sub-block. */
static __host__ __device__ inline int lab07_unit_column(pk_quant format, int unit, int half)
{
    return format == PK_QUANT_Q4_K ? unit / 8 * PK_Q4_K_WEIGHTS + unit % 8 / 2 * 64 + unit % 2 * 16 + half * 32
                                   : unit * LAB07_UNIT + half * 16;
}

/* A block of 34 bytes begins at an even number: in the middle of a word, or a word's weights do. */
static __device__ inline float lab07_unit_q8_0(const lab07_ring_view *v, const unsigned char *row, int unit,
                                               const float (*x)[8], float sum)
{
    const bool odd = unit % 2 != 0;
    const unsigned *const from = (const unsigned *)(row + unit * PK_Q8_0_BYTES - (odd ? 2 : 0));
    unsigned word[9], q[8];
#pragma unroll
    for (int i = 0; i < 9; i++)
        word[i] = from[i];
#pragma unroll
    for (int i = 0; i < 8; i++)
        q[i] = odd ? word[i + 1] : word[i] >> 16 | word[i + 1] << 16;
    return dot_q8_0(v, q, lab07_from_fp16(odd ? word[0] >> 16 : word[0] & 0xffffu), x, sum);
}

static __device__ inline float lab07_unit_q4_k(const lab07_ring_view *v, const unsigned char *row, int unit,
                                               const float (*x)[8], const float of_x[2], float sum)
{
    const uint4 *const block = (const uint4 *)(row + unit / 8 * PK_Q4_K_BYTES);
    const uint4 head = block[0], some = block[1 + unit % 8];
    const unsigned packed[3] = {head.y, head.z, head.w}, q[4] = {some.x, some.y, some.z, some.w};
    return dot_q4_k(v, q, scales_of_pair(v, packed, unit % 8 / 2), lab07_from_fp16(head.x & 0xffffu),
                    lab07_from_fp16(head.x >> 16), x, of_x, sum);
}

#endif
