/* Lab 03: tiles of K and V in shared memory, for the variants that copy ahead of their maths. Device functions, C
 * style.
 *
 * A tile lies in one of `stages` buffers, in turn: K [block_k][D], then V [block_k][D]. Which tiles a block will need,
 * and in which order, follows from the line of each step alone and not from any q: so copying runs ahead of the maths,
 * over the ends of segments and over the barrier between steps.
 *
 * How far ahead. A tile of step t has rows that were appended to the cache during this launch, by other blocks, with
 * plain stores. A copy may read such a row only if its append was ordered before the copy. The rule:
 *   - copies for step t are asked for when the block has passed the barrier after step t - 2, not earlier. That barrier
 *     orders all appends up to step t - 2 before them;
 *   - the two rows that are newer, of steps t - 1 and t, come from k_new and v_new, which nobody writes.
 * So copies run ahead by up to one whole step, which is all of the barrier's wait and of the queries' preparation, and
 * no row is ever read while it is written.
 *
 * Bulk copies are made by the async proxy, and appends are plain stores, of the generic proxy: between the two it takes
 * a proxy fence besides the barrier. The thread that asks for the copies does it (pk_async_fence) when it has learnt
 * that the block has passed the barrier, once a step. */
#ifndef LAB03_TILES_CUH
#define LAB03_TILES_CUH

#include "lab03_attention.cuh"
#include "pk_async.h"

/* ---- the next tile to be copied ---- */

typedef struct lab03_ahead {
    int step;              /* v->steps when no tile is left */
    lab03_walk walk;       /* what follows the segment */
    lab03_segment segment; /* that the tile is of */
    int key;               /* first key of the tile */
} lab03_ahead;

/* To the block's next segment, of a later step where this one has no more. */
static __device__ inline void lab03_ahead_segment(const lab03_view *v, lab03_ahead *a, int block, int blocks)
{
    while (a->walk.tile == a->walk.end) {
        a->step++;
        if (a->step == v->steps)
            return;
        a->walk = lab03_share(v, a->step, block, blocks);
    }
    a->segment = lab03_next(v, a->step, &a->walk, block);
    a->key = a->segment.first_key;
}

static __device__ inline lab03_ahead lab03_ahead_begin(const lab03_view *v, int block, int blocks)
{
    lab03_ahead a = {};
    a.step = -1;
    lab03_ahead_segment(v, &a, block, blocks);
    return a;
}

static __device__ inline void lab03_ahead_next(const lab03_view *v, lab03_ahead *a, int block, int blocks)
{
    a->key += v->block_k;
    if (a->key >= a->segment.end_key)
        lab03_ahead_segment(v, a, block, blocks);
}

/* ---- copying it ---- */

/* bf16 of a tile's buffer. */
template <int D> static __device__ __host__ inline int lab03_tile_elements(const lab03_view *v)
{
    return 2 * v->block_k * D;
}

static __device__ inline int lab03_tile_rows(const lab03_view *v, const lab03_segment *s, int key)
{
    return s->end_key - key < v->block_k ? s->end_key - key : v->block_k;
}

/* How many of the tile's rows come from the cache. Those after them, two at most, come from k_new and v_new. */
static __device__ inline int lab03_cached_rows(const lab03_view *v, const lab03_ahead *a)
{
    const int prompt = v->lengths[a->segment.sequence];
    const int ordered = a->segment.keys - 2 > prompt ? a->segment.keys - 2 : prompt; /* rows before it are */
    const int rows = lab03_tile_rows(v, &a->segment, a->key);
    return ordered - a->key < rows ? (ordered > a->key ? ordered - a->key : 0) : rows;
}

/* Where the new row of position `key` comes from. */
template <int D>
static __device__ inline size_t lab03_fresh_offset(const lab03_view *v, const lab03_segment *s, int key)
{
    return lab03_new_offset<D>(v, s, key - v->lengths[s->sequence]);
}

template <int D> static __device__ inline void lab03_copy_rows(uint16_t *to, const uint16_t *from, int rows)
{
    for (int i = 8 * threadIdx.x; i < rows * D; i += 8 * blockDim.x)
        pk_async_copy_16(to + i, from + i);
}

/* Ask for the tile, by all threads of the block; the caller commits and waits. */
template <int D>
static __device__ inline void lab03_copy_tile(const lab03_view *v, const lab03_ahead *a, uint16_t *tile)
{
    const int rows = lab03_tile_rows(v, &a->segment, a->key), cached = lab03_cached_rows(v, a);
    const size_t from = lab03_row_offset<D>(v, &a->segment, a->key);
    uint16_t *const v_tile = tile + v->block_k * D;
    lab03_copy_rows<D>(tile, v->k_cache + from, cached);
    lab03_copy_rows<D>(v_tile, v->v_cache + from, cached);
    for (int row = cached; row < rows; row++) {
        const size_t fresh = lab03_fresh_offset<D>(v, &a->segment, a->key + row);
        lab03_copy_rows<D>(tile + row * D, v->k_new + fresh, 1);
        lab03_copy_rows<D>(v_tile + row * D, v->v_new + fresh, 1);
    }
}

/* Ask for the tile by bulk copies, by the calling thread alone; the phase of `full` under way ends when it is there. */
template <int D>
static __device__ inline void lab03_copy_tile_in_bulk(const lab03_view *v, const lab03_ahead *a, uint16_t *tile,
                                                      pk_async_barrier *full)
{
    const int rows = lab03_tile_rows(v, &a->segment, a->key), cached = lab03_cached_rows(v, a);
    const size_t from = lab03_row_offset<D>(v, &a->segment, a->key);
    const unsigned row_bytes = D * sizeof(uint16_t);
    uint16_t *const v_tile = tile + v->block_k * D;
    pk_async_barrier_arrive_expect(full, 2 * rows * row_bytes);
    if (cached > 0) {
        pk_bulk_copy(tile, v->k_cache + from, cached * row_bytes, full);
        pk_bulk_copy(v_tile, v->v_cache + from, cached * row_bytes, full);
    }
    for (int row = cached; row < rows; row++) {
        const size_t fresh = lab03_fresh_offset<D>(v, &a->segment, a->key + row);
        pk_bulk_copy(tile + row * D, v->k_new + fresh, row_bytes, full);
        pk_bulk_copy(v_tile + row * D, v->v_new + fresh, row_bytes, full);
    }
}

/* Wait until at most `newer` groups of the calling thread's copies are under way; 0 to MOST_STAGES - 1. */
template <int N = 0> static __device__ inline void lab03_wait_groups(int newer)
{
    if constexpr (N + 1 < LAB03_MOST_STAGES) {
        if (newer > N) {
            lab03_wait_groups<N + 1>(newer);
            return;
        }
    }
    pk_async_wait_prior<N>();
}

/* ---- a warp's part of a tile ---- */

/* Of a chunk that has `rows` rows or more; rows that were not copied are read as the last one that was. */
template <int D> static __device__ inline void lab03_load_tile_chunk(uint4 *to, const uint16_t *rows_at, int rows)
{
    if (rows >= LAB03_CHUNK)
        lab03_load_chunk<D>(to, rows_at);
    else
        lab03_load_last_chunk<D>(to, rows_at, rows, rows_at + (rows - 1) * D);
}

/* The chunks of a segment are dealt to `warps` warps in turn, from tile to tile. `*turn`: the warp's next chunk,
 * counted from this tile's first; the warp has none here if it is beyond the tile. */
template <int D>
static __device__ inline void lab03_attend_tile(lab03_state<D> *state, const lab03_view *v, const uint16_t *tile,
                                                int rows, int warps, int *turn)
{
    const int chunks = v->block_k / LAB03_CHUNK;
    for (; *turn < chunks; *turn += warps) {
        const int left = rows - *turn * LAB03_CHUNK;
        if (left <= 0)
            continue;
        const uint16_t *const k_rows = tile + *turn * LAB03_CHUNK * D, *const v_rows = k_rows + v->block_k * D;
        uint4 row[lab03_lanes<D>::keys];
        lab03_load_tile_chunk<D>(row, k_rows, left);
        const float weight = lab03_weigh<D>(state, row, left);
        lab03_load_tile_chunk<D>(row, v_rows, left);
        lab03_add<D>(state, row, weight);
    }
    *turn -= chunks;
}

#endif
