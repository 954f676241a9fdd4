/* Lab 03: which block has which keys. Device functions, C style.
 *
 * Units. A unit is one sequence's key/value head with up to LAB03_HEADS of its query heads: they read K and V
 * together. Units are numbered unit = sequence * units + kv_head * quads + quad, as lab03.h has it.
 *
 * The line. At step t the keys of a unit are cut into tiles of block_k; the tiles of all units, one unit after the
 * other, form a line. line[t][b] is where sequence b begins in it, line[t][B] its length. Block i of N takes
 * the tiles from i * length / N to (i + 1) * length / N: all blocks have the same work to within a tile, however ragged
 * the batch is. What a block has of one unit is a segment. Along the line, from one segment to the next, the unit or
 * the block goes up by one, or both do: so unit + block numbers the segments, and their records need no table. */
#ifndef LAB03_LINE_CUH
#define LAB03_LINE_CUH

#include "pk_gpu.h"

#include "lab03.h"

typedef struct lab03_walk { /* what is left of a block's share */
    int tile, end;
    int sequence; /* holds `tile`, or one before that which does */
} lab03_walk;

typedef struct lab03_segment {
    int sequence, kv_head, unit;
    int first_head, heads;        /* query heads of the unit */
    int first_key, end_key, keys; /* of the segment, and of the sequence at this step, the appended one included */
    int slot;                     /* of its record */
    bool opens;                   /* it begins at the unit's first key */
} lab03_segment;

static __device__ inline const int *lab03_line(const lab03_view *v, int step)
{
    return v->line + (size_t)step * (v->batch + 1);
}

/* Tiles of a unit with so many keys. */
static __device__ inline int lab03_tiles(const lab03_view *v, int keys)
{
    return (int)((unsigned)(keys + v->block_k - 1) / (unsigned)v->block_k);
}

/* Blocks that have work: no more than there are tiles. */
static __device__ inline int lab03_working_blocks(int blocks, int tiles)
{
    return blocks < tiles ? blocks : tiles;
}

/* The share of block `block` of `blocks` at this step. */
static __device__ inline lab03_walk lab03_share(const lab03_view *v, int step, int block, int blocks)
{
    const int tiles = lab03_line(v, step)[v->batch];
    const int working = lab03_working_blocks(blocks, tiles);
    lab03_walk walk = {0, 0, 0};
    if (block < working) {
        walk.tile = (int)((unsigned)block * (unsigned)tiles / (unsigned)working);
        walk.end = (int)((unsigned)(block + 1) * (unsigned)tiles / (unsigned)working);
    }
    /* The sequence by halves: one after the other is a read from memory each, 9 us a step at 32 sequences. */
    for (int after = v->batch; after - walk.sequence > 1;) {
        const int middle = (walk.sequence + after) / 2;
        if (lab03_line(v, step)[middle] <= walk.tile)
            walk.sequence = middle;
        else
            after = middle;
    }
    return walk;
}

/* Sequence `b`'s unit `u`: its number and its heads. */
static __device__ inline void lab03_describe_unit(const lab03_view *v, int b, int u, lab03_segment *s)
{
    s->sequence = b;
    s->unit = b * v->units + u;
    s->kv_head = v->quads == 1 ? u : (int)((unsigned)u / (unsigned)v->quads);
    const int before = (u - s->kv_head * v->quads) * LAB03_HEADS; /* heads of the same key/value head */
    s->first_head = s->kv_head * v->ratio + before;
    s->heads = v->ratio - before < LAB03_HEADS ? v->ratio - before : LAB03_HEADS;
}

/* The next segment of the share; walk->tile < walk->end. */
static __device__ inline lab03_segment lab03_next(const lab03_view *v, int step, lab03_walk *walk, int block)
{
    const int *line = lab03_line(v, step);
    int b = walk->sequence;
    while (line[b + 1] <= walk->tile)
        b++;
    const int keys = v->lengths[b] + step + 1;
    const int tiles = lab03_tiles(v, keys); /* of a unit */
    const int at = walk->tile - line[b], unit = (int)((unsigned)at / (unsigned)tiles);
    const int tile = at - unit * tiles; /* in the unit */
    const int take = tiles - tile < walk->end - walk->tile ? tiles - tile : walk->end - walk->tile;
    lab03_segment s;
    lab03_describe_unit(v, b, unit, &s);
    s.keys = keys;
    s.first_key = tile * v->block_k;
    s.end_key = (tile + take) * v->block_k < s.keys ? (tile + take) * v->block_k : s.keys;
    s.slot = s.unit + block;
    s.opens = tile == 0;
    walk->tile += take;
    walk->sequence = b;
    return s;
}

/* The segment `skip` segments further on; one without heads when the share has no more. */
static __device__ inline lab03_segment lab03_segment_after(const lab03_view *v, int step, const lab03_walk *walk,
                                                           int block, int skip)
{
    lab03_walk rest = *walk;
    lab03_segment s = {};
    for (int i = 0; i <= skip; i++) {
        if (rest.tile >= rest.end) {
            s.heads = 0;
            break;
        }
        s = lab03_next(v, step, &rest, block);
    }
    return s;
}

/* A whole unit as one segment, for variants that give it to one block. */
static __device__ inline lab03_segment lab03_whole_unit(const lab03_view *v, int step, int unit)
{
    lab03_segment s;
    lab03_describe_unit(v, unit / v->units, unit % v->units, &s);
    s.keys = v->lengths[s.sequence] + step + 1;
    s.first_key = 0;
    s.end_key = s.keys;
    s.slot = unit;
    s.opens = true;
    return s;
}

/* Where the records of a head's unit are at `step`, when `blocks` blocks took part: slots *first to *last, in the order
 * of the keys. Returns which of the unit's heads it is. */
static __device__ inline int lab03_head_slots(const lab03_view *v, int step, int blocks, int sequence, int head,
                                              int *first, int *last)
{
    const int *const line = lab03_line(v, step);
    const unsigned total = line[v->batch], working = lab03_working_blocks(blocks, total);
    const int kv_head = (int)((unsigned)head / (unsigned)v->ratio), index = head - kv_head * v->ratio;
    const int unit = kv_head * v->quads + index / LAB03_HEADS;
    const unsigned tiles = lab03_tiles(v, v->lengths[sequence] + step + 1);
    const unsigned tile = line[sequence] + unit * tiles;
    /* Tile x is in the share of the last block i with i * total / working <= x, so i * total < (x + 1) * working. */
    *first = sequence * v->units + unit + (int)(((tile + 1) * working - 1) / total);
    *last = sequence * v->units + unit + (int)(((tile + tiles) * working - 1) / total);
    return index % LAB03_HEADS;
}

/* Records are kept for two steps: those of step t are read during step t + 1, while those of t + 1 are written. */
static __device__ inline float *lab03_record(const lab03_view *v, int step, int slot, int record_floats)
{
    return v->partial + ((size_t)(step & 1) * v->slots + slot) * record_floats;
}

#endif
