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
    float per_column; /* 1 / columns */
    pk_quant format;  /* of its rows */
    int pitch;        /* bytes from one row to the next */
    int units;        /* of a row: 16 bytes */
    int chunk_rows;   /* rows of a chunk: some of each team, */
    int chunk_part;   /* and 2^16 / chunk_rows, rounded up; */
    int team_rows;    /* so many; and no more than one where they are long */
    int lot_log;      /* by tiles: 2^lot_log chunks have a lot, eight rows of a team, */
    int lot_tiles;    /* or so many times eight */
    int pieces;       /* of a row: a chunk is of some rows' first ones, then second ones ... */
    int piece_units;  /* so many units, whole blocks; the last may have fewer */
    int piece_eights; /* so many times 8 columns */
    int runs;         /* 2: a row is two, `rows` apart */
    int team_warps;   /* of the consumers, that share a row, */
    int team_part;    /* and 2^16 / team_warps, rounded up */
    int teams;        /* warps may be left over; where there are several, they share x */
    int own;          /* times 8 columns of a row that a thread has, at most: 1 or 4; 0: by tiles */
    int group_rows;   /* of a run, of which outputs are made together; no more than a warp has lanes */
} lab07_matrix;

static __host__ __device__ inline int lab07_least(int one, int other)
{
    return one < other ? one : other;
}

static __host__ __device__ inline int lab07_group_rows(const lab07_matrix *m, int left)
{
    return left < m->group_rows ? left : m->group_rows;
}

typedef struct lab07_part { /* what a block has of a matrix */
    int first, rows;        /* rows may be 0 */
} lab07_part;

/* ---- whose keys ---- */

/* How a step's keys are spread. Each key/value head has `room` blocks, one behind the other, and the first `each` of
 * them have its keys, in even shares; the token's own key is the last. Where blocks are fewer than heads, block b has
 * all keys of heads b, b + blocks, ... */
typedef struct lab07_spread {
    int heads, blocks; /* key/value heads; all blocks */
    int keys;          /* of a head */
    int room, each;
} lab07_spread;

/* No more blocks than give each `share_keys` keys; share_keys 0: one for each head. */
static __host__ __device__ inline lab07_spread lab07_spread_of(int kv_heads, int keys, int blocks, int share_keys)
{
    lab07_spread s = {kv_heads, blocks, keys, blocks / kv_heads, 1};
    s.room = s.room > 1 ? s.room : 1;
    if (share_keys > 0) {
        const int most = (keys + share_keys - 1) / share_keys;
        s.each = most < s.room ? most : s.room;
    }
    return s;
}

/* Where share `share` of a head begins, of s->each; the one after it begins where it ends. The product stays below
 * 2^31: 2^19 keys, some thousand blocks. */
static __host__ __device__ inline int lab07_share(const lab07_spread *s, int share)
{
    return (int)((unsigned)s->keys * (unsigned)share / (unsigned)s->each);
}

/* Whether each head's keys are one block's, so that nothing is left to be put together. */
static __host__ __device__ inline bool lab07_is_whole(const lab07_spread *s)
{
    return s->each == 1;
}

/* A block's share of one head: keys [first, end). */
typedef struct lab07_segment {
    int head, first, end;
} lab07_segment;

/* Segment `number`, from 0, of the block's; false when it has no more. */
static __host__ __device__ inline bool lab07_segment_of(const lab07_spread *s, int block, int number,
                                                        lab07_segment *segment)
{
    const int share = block % s->room;
    segment->head = block / s->room + number * s->blocks;
    if (segment->head >= s->heads || share >= s->each)
        return false;
    segment->first = lab07_share(s, share);
    segment->end = lab07_share(s, share + 1);
    return true;
}

/* The most segments that a block may have. */
static __host__ __device__ inline int lab07_most_segments(int kv_heads, int blocks)
{
    return (kv_heads + blocks - 1) / blocks;
}

/* Block b puts together the parts of query heads from this one to that of block b + 1. */
static __host__ __device__ inline int lab07_first_merged(int block, int heads, int blocks)
{
    return (block * heads + blocks - 1) / blocks;
}

#endif
