/* Lab 03: a block's step, its rows from a ring of tiles that all threads copy. Device functions, C style.
 *
 * When copies are asked for and waited for is the including file's: fill_ring and next_tile, steps of the student's
 * file. */
#ifndef LAB03_RING_CUH
#define LAB03_RING_CUH

#include "lab03_share.cuh"
#include "lab03_tiles.cuh"

typedef struct lab03_copies { /* of a block; the same in all of its threads */
    lab03_ahead next;         /* the tile to ask for next */
    int asked, used;          /* tiles so far: tile i lies in buffer i mod stages */
} lab03_copies;

/* Ask for the next tiles, each as a group of its own: as many as there are buffers, of this step and the one after. A
 * __syncthreads comes before: all threads have read the tiles that are used. */
template <int D>
static __device__ inline void fill_ring(const lab03_view *v, int step, lab03_copies *c, uint16_t *ring);

/* Wait until the next tile to be used, number c->used, is there for all threads, and let further ones come. */
template <int D>
static __device__ inline void next_tile(const lab03_view *v, int step, lab03_copies *c, uint16_t *ring);

/* Shared memory: what there is without a ring, then v->stages tiles. */
template <int D> static __device__ inline uint16_t *lab03_shared_ring(float *shared)
{
    return (uint16_t *)(lab03_shared_queries<D>(shared) + LAB03_BATCH * LAB03_HEADS * D);
}

/* The ring's buffer number `stage`. */
template <int D> static __device__ inline uint16_t *lab03_buffer(const lab03_view *v, uint16_t *ring, int stage)
{
    return ring + stage * lab03_tile_elements<D>(v);
}

/* lab03_attend, with its rows from the ring. */
template <int D>
static __device__ inline void lab03_attend_ring(const lab03_view *v, int step, const lab03_segment *s, const float *q,
                                                lab03_copies *c, uint16_t *ring, float *warps)
{
    const int warp = threadIdx.x / LAB03_WARP, warp_count = blockDim.x / LAB03_WARP;
    int turn = warp;
    lab03_state<D> state;
    lab03_begin<D>(&state, q);
    if (lab03_appends(v, s))
        lab03_append<D>(v, s, step);
    for (int key = s->first_key; key < s->end_key; key += v->block_k) {
        next_tile<D>(v, step, c, ring);
        lab03_attend_tile<D>(&state, v, lab03_buffer<D>(v, ring, c->used % v->stages), lab03_tile_rows(v, s, key),
                             warp_count, &turn);
        c->used++;
    }
    if (warp < lab03_segment_warps(s, warp_count))
        lab03_store_warp<D>(&state, warps + warp * lab03_lanes<D>::record);
}

/* lab03_share_of_step, with its rows from the ring. */
template <int D>
static __device__ inline void lab03_ring_share_of_step(const lab03_view *v, int step, lab03_walk walk, lab03_copies *c,
                                                       float *shared)
{
    float *const sources = lab03_shared_sources<D>(shared), *const q = lab03_shared_queries<D>(shared);
    while (walk.tile < walk.end) {
        lab03_prepare_batch<D>(v, step, &walk, sources, q);
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++) {
            const lab03_segment s = lab03_next(v, step, &walk, blockIdx.x);
            lab03_attend_ring<D>(v, step, &s, q + i * LAB03_HEADS * D, c, lab03_shared_ring<D>(shared), shared);
            lab03_end_segment<D>(v, step, &s, shared);
        }
    }
}

#endif
