/* Lab 03: a block's step by warps with roles. The producer, the first thread of the last warp, asks for tiles; the
 * other warps, the consumers, use them. Device functions, C style.
 *
 * They meet at nothing but the barriers below. Each arrival is a release and each wait an acquire, in the scope of the
 * block. What waits for which is the including file's: ask_for_tile and use_tile, steps of the student's file. */
#ifndef LAB03_ROLES_CUH
#define LAB03_ROLES_CUH

#include "lab03_ring.cuh"

typedef struct lab03_roles {
    pk_async_barrier full[LAB03_MOST_STAGES];  /* a tile has landed: the producer arrives, and its bytes do */
    pk_async_barrier empty[LAB03_MOST_STAGES]; /* a tile has been read: each consumer warp arrives */
    pk_async_barrier passed;  /* the grid's barrier after a step: the consumers' first thread and the producer arrive */
    pk_async_barrier meeting; /* of all consumer threads, as __syncthreads is of a block */
} lab03_roles;

typedef struct lab03_place { /* in the ring */
    int stage;
    unsigned parity; /* of the rounds so far */
} lab03_place;

/* By the producer: ask for the tile `next`, whose place is `at`, as soon as its buffer is empty. In the first round a
 * buffer is empty from the start: to a new barrier, the phase before its first counts as ended. */
template <int D>
static __device__ inline void ask_for_tile(const lab03_view *v, lab03_roles *r, lab03_place at, const lab03_ahead *next,
                                           uint16_t *tile);

/* By a consumer warp: attend to the tile at `at` when it is there, its first `rows` rows, and say that it has been
 * read. */
template <int D>
static __device__ inline void use_tile(const lab03_view *v, lab03_roles *r, lab03_place at, const uint16_t *tile,
                                       int rows, int warps, int *turn, lab03_state<D> *state);

/* They lie behind the ring. */
template <int D> static __device__ inline lab03_roles *lab03_shared_roles(const lab03_view *v, float *shared)
{
    return (lab03_roles *)(lab03_shared_ring<D>(shared) + v->stages * lab03_tile_elements<D>(v));
}

static __device__ inline int lab03_consumer_threads(void)
{
    return blockDim.x - LAB03_WARP;
}

/* By all threads of the block. */
static __device__ inline void lab03_begin_roles(const lab03_view *v, lab03_roles *r)
{
    if (threadIdx.x == 0) {
#pragma unroll 1 /* once; not worth the instructions */
        for (int i = 0; i < v->stages; i++) {
            pk_async_barrier_init(&r->full[i], 1);
            pk_async_barrier_init(&r->empty[i], lab03_consumer_threads() / LAB03_WARP);
        }
        pk_async_barrier_init(&r->passed, 2);
        pk_async_barrier_init(&r->meeting, lab03_consumer_threads());
        pk_async_barrier_init_fence();
    }
    __syncthreads();
}

static __device__ inline void lab03_next_place(const lab03_view *v, lab03_place *at)
{
    at->stage++;
    if (at->stage == v->stages) {
        at->stage = 0;
        at->parity ^= 1;
    }
}

/* What __syncthreads is to a block, for its consumers. */
static __device__ inline void lab03_meet_consumers(lab03_roles *r)
{
    pk_warps_sync(&r->meeting, 1, lab03_consumer_threads());
}

/* ---- the producer ---- */

/* The producer may ask for tiles of step t + 2 when it knows that the block has passed the barrier after step t. Phase
 * t of `passed` ends when both sides have arrived, and neither arrives again before it has waited for that: so the
 * phase that is waited for is always the one under way or the one before. The barrier's acquire, by the consumers'
 * first thread, then this arrival and this wait carry every block's appends to the producer, and the fence to its
 * copies. */
static __device__ inline void lab03_tell_producer(const lab03_view *v, lab03_roles *r, int step)
{
    if (threadIdx.x == 0 && step + 2 < v->steps) {
        if (step > 0)
            pk_async_barrier_wait(&r->passed, (step - 1) % 2);
        pk_async_barrier_arrive(&r->passed);
    }
}

/* Until `barriers` barriers have been passed; `*known` of them are known. */
static __device__ inline void lab03_hear_from_consumers(lab03_roles *r, int *known, int barriers)
{
#pragma unroll 1 /* it is taken once a step */
    for (; *known < barriers; (*known)++) {
        pk_async_barrier_arrive(&r->passed);
        pk_async_barrier_wait(&r->passed, *known % 2);
        pk_async_fence();
    }
}

/* All tiles of the block, of all steps. */
template <int D> static __device__ inline void lab03_produce(const lab03_view *v, lab03_roles *r, uint16_t *ring)
{
    lab03_ahead next = lab03_ahead_begin(v, blockIdx.x, gridDim.x);
    lab03_place at = {0, 0};
    int known = 0;
    while (next.step < v->steps) {
        lab03_hear_from_consumers(r, &known, next.step - 1);
        ask_for_tile<D>(v, r, at, &next, lab03_buffer<D>(v, ring, at.stage));
        lab03_next_place(v, &at);
        lab03_ahead_next(v, &next, blockIdx.x, gridDim.x);
    }
    lab03_hear_from_consumers(r, &known, v->steps - 2); /* a block without tiles has not yet */
}

/* ---- the consumers ---- */

/* lab03_attend, with its rows from the producer. */
template <int D>
static __device__ inline void lab03_attend_produced(const lab03_view *v, int step, const lab03_segment *s,
                                                    const float *q, lab03_roles *r, lab03_place *at, uint16_t *ring,
                                                    float *warps)
{
    const int warp = threadIdx.x / LAB03_WARP, warp_count = lab03_consumer_threads() / LAB03_WARP;
    int turn = warp;
    lab03_state<D> state;
    lab03_begin<D>(&state, q);
    if (lab03_appends(v, s))
        lab03_append<D>(v, s, step);
    for (int key = s->first_key; key < s->end_key; key += v->block_k) {
        use_tile<D>(v, r, *at, lab03_buffer<D>(v, ring, at->stage), lab03_tile_rows(v, s, key), warp_count, &turn,
                    &state);
        lab03_next_place(v, at);
    }
    if (warp < lab03_segment_warps(s, warp_count))
        lab03_store_warp<D>(&state, warps + warp * lab03_lanes<D>::record);
}

/* lab03_share_of_step, by the consumers. */
template <int D>
static __device__ inline void lab03_consume_step(const lab03_view *v, int step, lab03_walk walk, lab03_roles *r,
                                                 lab03_place *at, float *shared)
{
    const int threads = lab03_consumer_threads();
    float *const sources = lab03_shared_sources<D>(shared), *const q = lab03_shared_queries<D>(shared);
    while (walk.tile < walk.end) {
        if (step > 0)
            lab03_combine_batch<D>(v, step - 1, step, &walk, sources, threads);
        lab03_meet_consumers(r);
        lab03_project_batch<D>(v, step, &walk, blockIdx.x, sources, q, threads);
        lab03_meet_consumers(r);
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++) {
            const lab03_segment s = lab03_next(v, step, &walk, blockIdx.x);
            lab03_attend_produced<D>(v, step, &s, q + i * LAB03_HEADS * D, r, at, lab03_shared_ring<D>(shared), shared);
            lab03_meet_consumers(r);
            lab03_write_record<D>(shared, lab03_segment_warps(&s, threads / LAB03_WARP),
                                  lab03_record(v, step, s.slot, lab03_lanes<D>::record), threads);
            lab03_meet_consumers(r);
        }
    }
}

#endif
