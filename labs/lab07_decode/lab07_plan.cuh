/* Lab 07, given: the plan of a kernel that streams. Which rows of each matrix a block has, which keys of which head,
 * and how they come in chunks. Rows are split once, on the host. Keys are split by a formula of where a step stands,
 * which host and device share. */
#ifndef LAB07_PLAN_CUH
#define LAB07_PLAN_CUH

#include "pk_gpu.h"

#include "lab07.h"

/* The matrices that a block has rows of. Of LAB07_GATE_UP a row is one of gate and the one of up that goes with it.
 * Rows of o and down are those of the residual stream: of both a block has the same. */
enum { LAB07_QKV, LAB07_O, LAB07_GATE_UP, LAB07_DOWN, LAB07_LOGITS, LAB07_MATRICES };

typedef struct lab07_matrix {
    int rows, columns;
    pk_quant format; /* of its rows */
    int pitch;       /* bytes from one row to the next */
    int units;       /* of a row: 16 bytes, in bf16 8 columns */
    int chunk_rows;  /* 1, 2 or 4 rows are a chunk, */
    int pieces;      /* or one row is so many chunks, */
    int piece_units; /* of so many units, whole blocks; the last may have fewer */
    int runs;        /* 2: a row is two, `rows` apart */
} lab07_matrix;

typedef struct lab07_part { /* what a block has of a matrix */
    int first, rows;        /* rows may be 0 */
} lab07_part;

/* ---- whose keys ---- */

/* How a step's keys are spread: the key/value heads' keys, one head behind the other, are a line, the token's own key
 * the last of each head's. It is cut into even shares, one for each of the first `blocks` blocks. */
typedef struct lab07_spread {
    int keys;        /* of a head */
    int blocks;      /* that have some */
    long long total; /* of all heads */
} lab07_spread;

/* Of `blocks` blocks, no more than give each `share_keys` keys, and at least one for each head; share_keys 0: just one
 * for each head. */
static __host__ __device__ inline lab07_spread lab07_spread_of(int kv_heads, int keys, int blocks, int share_keys)
{
    lab07_spread s;
    s.keys = keys;
    s.total = (long long)kv_heads * keys;
    const long long wanted = share_keys > 0 ? (s.total + share_keys - 1) / share_keys : kv_heads;
    s.blocks = wanted < kv_heads ? kv_heads : wanted > blocks ? blocks : (int)wanted;
    s.blocks = s.blocks > blocks ? blocks : s.blocks;
    return s;
}

/* Where block `block`'s share begins on the line; the one after it begins where it ends. */
static __host__ __device__ inline long long lab07_share(const lab07_spread *s, int block)
{
    return block < s->blocks ? s->total * block / s->blocks : s->total;
}

/* The block that has this place of the line: the last whose share begins there or before. */
static __host__ __device__ inline int lab07_block_of(const lab07_spread *s, long long place)
{
    return (int)(((place + 1) * s->blocks - 1) / s->total);
}

/* Whether each head's keys are one block's, so that nothing is left to be put together. */
static __host__ __device__ inline bool lab07_is_whole(const lab07_spread *s)
{
    return s->total == (long long)s->blocks * s->keys;
}

/* A block's share of one head: keys [first, end). */
typedef struct lab07_segment {
    int head, first, end;
} lab07_segment;

/* Segment `number`, from 0, of the block's share; false when it has no more. */
static __host__ __device__ inline bool lab07_segment_of(const lab07_spread *s, int block, int number,
                                                        lab07_segment *segment)
{
    const long long begin = lab07_share(s, block), end = lab07_share(s, block + 1);
    segment->head = (int)(begin / s->keys) + number;
    const long long head = (long long)segment->head * s->keys;
    segment->first = (int)((begin > head ? begin : head) - head);
    segment->end = (int)((end < head + s->keys ? end : head + s->keys) - head);
    return begin < end && head < end;
}

/* The most segments that a block may have. */
static __host__ __device__ inline int lab07_most_segments(int kv_heads, int blocks)
{
    return blocks < kv_heads ? (kv_heads + blocks - 1) / blocks + 1 : 2;
}

/* The block that puts together the parts of query head `head`. */
static __host__ __device__ inline int lab07_merger_of(int head, int heads, int blocks)
{
    return (int)((long long)head * blocks / heads);
}

#endif
