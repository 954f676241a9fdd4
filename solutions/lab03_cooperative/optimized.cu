/* Lab 03, cooperative kernel: the ladder. Fill in the steps; the page is README.md beside this file.
 *
 *   grid-sync     all T steps in one cooperative launch, grid.sync() between them; a block has whole units
 *   hand-barrier  the same with a barrier made by hand: one arrival a block
 *   split-kv      blocks share a sequence's keys; what they contribute is combined in a fixed order
 *   async-tiles   the same with K and V copied ahead into a ring of tiles in shared memory, by all threads
 *   warp-roles    the same by one warp that asks for bulk copies, and others that use the tiles
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. */
#include "lab03_attention.cuh"
#include "lab03_tiles.cuh"

#include <stdlib.h>

#include "pk_atomic.h"

typedef struct plan { /* a variant's launch */
    lab03_kernel kernel;
    lab03_view view; /* its argument */
    int blocks;
    size_t shared_bytes;
} plan;

/* Shared memory, in floats: a record for each warp, then the sources and the queries of LAB03_BATCH segments. */
template <int D> static __device__ inline float *shared_sources(float *shared)
{
    return shared + blockDim.x / LAB03_WARP * lab03_lanes<D>::record;
}

template <int D> static __device__ inline float *shared_queries(float *shared)
{
    return shared_sources<D>(shared) + LAB03_BATCH * LAB03_HEADS * D;
}

static size_t shared_bytes(const lab03 *lab)
{
    const int head_dim = lab->view.head_dim;
    const size_t records = (size_t)lab->threads / LAB03_WARP * lab03_record_floats(head_dim);
    return (records + 2 * (size_t)LAB03_BATCH * LAB03_HEADS * head_dim) * sizeof(float);
}

/* Choose the grid; refuse one that cannot be resident. */
static pk_status make_plan(pk_run *run, lab03_kernel kernel, size_t bytes)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    plan *p = (plan *)calloc(1, sizeof *p);
    if (!p)
        return pk_fail(PK_USAGE, "lab03: out of host memory");
    pk_run_set_variant_data(run, p);
    p->kernel = kernel;
    p->view = lab->view;
    p->shared_bytes = bytes;
    return lab03_resident_grid(run, kernel, bytes, 1, &p->blocks);
}

static void free_plan(pk_run *run)
{
    free(pk_run_variant_data(run));
}

/* ---- rungs 1 and 2: a block has whole units ---- */

/* The same for blocks that take whole units in turn: no more of them than it takes for the largest share to stay as it
 * is. More would only crowd the barrier and the memory: 256 units on 132 processors are two for each of 128. */
static pk_status make_unit_plan(pk_run *run, lab03_kernel kernel, size_t bytes)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    PK_TRY(make_plan(run, kernel, bytes));
    plan *p = (plan *)pk_run_variant_data(run);
    const int units = lab->view.batch * lab->view.units, share = (units + p->blocks - 1) / p->blocks;
    if (lab->blocks == 0)
        p->blocks = (units + share - 1) / share;
    return PK_OK;
}

/* A step of this block's units. Reads the outputs of the step before, of all blocks; writes the outputs and the cache
 * rows of its own units. */
template <int D> static __device__ void whole_units(const lab03_view *v, int step, float *shared)
{
    float *const q = shared_queries<D>(shared);
    const int units = v->batch * v->units;
    for (int unit = blockIdx.x; unit < units; unit += gridDim.x) {
        const lab03_segment s = lab03_whole_unit(v, step, unit);
        lab03_project_unit<D>(v, step, &s, q);
        __syncthreads();
        lab03_attend<D>(v, step, &s, q, shared);
        __syncthreads();
        lab03_write_unit<D>(v, step, &s, shared, lab03_segment_warps(&s, blockDim.x / LAB03_WARP));
    }
}

/* Every thread of the grid waits here until all have come; what any of them wrote before, all see after. */
static __device__ inline void meet_by_grid_sync(void)
{
    /* STEP lab03.1: the grid's own barrier, from cooperative groups (about 1 line) */
    cooperative_groups::this_grid().sync();
    /* END lab03.1 */
}

template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_grid_sync(lab03_view v)
{
    PK_DYNAMIC_SHARED(float, shared);
    for (int step = 0; step < v.steps; step++) {
        whole_units<D>(&v, step, shared);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_by_grid_sync();
    }
}

static pk_status grid_sync_prepare(pk_run *run)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    return make_unit_plan(run, LAB03_FOR_HEAD_DIM(attention_grid_sync, lab->view.head_dim), shared_bytes(lab));
}

/* One launch for all T steps, for any of the kernels here. */
static pk_status one_launch(pk_run *run)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    const plan *p = (const plan *)pk_run_variant_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    /* STEP lab03.2: launch so that all blocks are resident together, then wait once (about 3 lines) */
    const lab03_kernel attention = p->kernel;
    PK_LAUNCH_COOPERATIVE(attention, p->blocks, lab->threads, p->shared_bytes, stream, p->view);
    PK_CHECK(cudaStreamSynchronize(stream));
    /* END lab03.2 */
    return PK_OK;
}

/* The same by hand. `arrivals` counts the blocks' arrivals at all barriers so far and is never set back: this barrier
 * is over when it has reached `target`, the number of blocks times that of barriers, this one included.
 * Pairs: the release by which a block arrives, with the acquire by which every block's first thread sees the count
 * complete, at device scope; within a block, __syncthreads before the one and after the other carries it to all
 * threads. */
static __device__ inline void meet_by_hand(unsigned *arrivals, unsigned target)
{
    /* STEP lab03.3: one thread arrives for its block, once the block's work is done, and waits (about 6 lines) */
    __syncthreads();
    /* The count comes back: the last block to arrive knows so at once, and need not ask. */
    if (threadIdx.x == 0 && pk_add_acquire_release_device(arrivals, 1u) + 1u != target)
        while ((int)(pk_load_acquire_device(arrivals) - target) < 0)
            LAB03_POLL_PAUSE();
    __syncthreads();
    /* END lab03.3 */
}

template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_hand_barrier(lab03_view v)
{
    PK_DYNAMIC_SHARED(float, shared);
    unsigned target = 0;
    for (int step = 0; step < v.steps; step++) {
        whole_units<D>(&v, step, shared);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_by_hand(v.barrier, target += gridDim.x);
    }
}

static pk_status hand_barrier_prepare(pk_run *run)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    /* STEP lab03.4: plan the launch of attention_hand_barrier, as for the grid's own barrier (about 2 lines) */
    const lab03_kernel kernel = LAB03_FOR_HEAD_DIM(attention_hand_barrier, lab->view.head_dim);
    return make_unit_plan(run, kernel, shared_bytes(lab));
    /* END lab03.4 */
}

/* ---- rung 3: blocks share the keys ---- */

/* Components e to e + 3 of the output of a head [D] at `step`, from the records of all segments of its unit. Every
 * block that needs it combines it for itself, in the order of the keys: whichever block came first, the sums are the
 * same. */
template <int D>
static __device__ inline float4 combined_output(const lab03_view *v, int step, int sequence, int head, int e)
{
    int first, last;
    const int index = lab03_head_slots(v, step, gridDim.x, sequence, head, &first, &last);
    const float *const records = lab03_record(v, step, first, lab03_lanes<D>::record);
    float4 o = make_float4(0, 0, 0, 0);
    /* STEP lab03.5: merge the unit's records, first to last, and divide by the denominator (about 3 lines) */
    float m, l;
    o = lab03_merge_records<D>(records, last - first + 1, index * D + e, &m, &l);
    o = make_float4(o.x / l, o.y / l, o.z / l, o.w / l);
    /* END lab03.5 */
    return o;
}

/* The outputs at `done` that the queries of the next LAB03_BATCH segments at `step` are made from, into `sources`
 * [BATCH][HEADS][D]. The block that has a unit's first key also writes them to v->out: each head is the source of
 * one other, so each output is written once. The block's first `threads` threads take part, which must meet after. */
template <int D>
static __device__ inline void combine_batch(const lab03_view *v, int done, int step, const lab03_walk *walk,
                                            float *sources, int threads)
{
    for (int i = threadIdx.x; i < LAB03_BATCH * D; i += threads) {
        const int index = i % D * 4 / D, e = i % D * 4 % D;
        const lab03_segment s = lab03_segment_after(v, step, walk, blockIdx.x, i / D);
        if (index >= s.heads)
            continue;
        const int head = lab03_source_head(v, &s, index);
        const float4 o = combined_output<D>(v, done, s.sequence, head, e);
        *(float4 *)(sources + 4 * i) = o;
        if (s.opens)
            *(float4 *)(lab03_output<D>(v, done, s.sequence, head) + e) = o;
    }
}

/* The queries of the next LAB03_BATCH segments, or as many as there are, at `step`. All threads take part. */
template <int D>
static __device__ inline void prepare_batch(const lab03_view *v, int step, const lab03_walk *walk, float *sources,
                                            float *queries)
{
    if (step > 0)
        combine_batch<D>(v, step - 1, step, walk, sources, blockDim.x);
    __syncthreads();
    lab03_project_batch<D>(v, step, walk, blockIdx.x, sources, queries, blockDim.x);
    __syncthreads();
}

/* This block's share of a step, `walk`: for each segment the record of what it contributes. */
template <int D>
static __device__ inline void share_of_step(const lab03_view *v, int step, lab03_walk walk, float *shared)
{
    float *const sources = shared_sources<D>(shared), *const q = shared_queries<D>(shared);
    while (walk.tile < walk.end) {
        prepare_batch<D>(v, step, &walk, sources, q);
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++) {
            const lab03_segment s = lab03_next(v, step, &walk, blockIdx.x);
            lab03_attend<D>(v, step, &s, q + i * LAB03_HEADS * D, shared);
            __syncthreads();
            lab03_write_record<D>(shared, lab03_segment_warps(&s, blockDim.x / LAB03_WARP),
                                  lab03_record(v, step, s.slot, lab03_lanes<D>::record), blockDim.x);
            __syncthreads();
        }
    }
}

/* The outputs of the last step: nothing follows whose queries would need them. */
template <int D> static __device__ inline void write_last_outputs(const lab03_view *v, float *sources, int threads)
{
    const int last = v->steps - 1;
    lab03_walk walk = lab03_share(v, last, blockIdx.x, gridDim.x);
    while (walk.tile < walk.end) {
        combine_batch<D>(v, last, last, &walk, sources, threads);
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++)
            (void)lab03_next(v, last, &walk, blockIdx.x);
    }
}

/* One barrier a step is enough, because records are kept for two steps: a block that is already at step t + 1 writes
 * where the records of step t - 1 were, and those were last read during step t, before the barrier that it has passed.
 */
template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_split_kv(lab03_view v)
{
    PK_DYNAMIC_SHARED(float, shared);
    unsigned target = 0;
    lab03_walk walk = lab03_share(&v, 0, blockIdx.x, gridDim.x);
    for (int step = 0; step < v.steps; step++) {
        share_of_step<D>(&v, step, walk, shared);
        if (step + 1 < v.steps) /* read before the wait, not after it */
            walk = lab03_share(&v, step + 1, blockIdx.x, gridDim.x);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_by_hand(v.barrier, target += gridDim.x);
    }
    write_last_outputs<D>(&v, shared_sources<D>(shared), blockDim.x);
}

static pk_status split_kv_prepare(pk_run *run)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    /* STEP lab03.6: plan the launch of attention_split_kv (about 2 lines) */
    const lab03_kernel kernel = LAB03_FOR_HEAD_DIM(attention_split_kv, lab->view.head_dim);
    return make_plan(run, kernel, shared_bytes(lab));
    /* END lab03.6 */
}

/* ---- rung 4: tiles copied ahead ---- */

/* Shared memory: what the rungs above have, then the ring of v->stages tiles. */
template <int D> static __device__ inline uint16_t *shared_ring(float *shared)
{
    return (uint16_t *)(shared_queries<D>(shared) + LAB03_BATCH * LAB03_HEADS * D);
}

/* The plan of a variant with a ring, of the tiles that were asked for or as many as fit. `more_bytes`: what the variant
 * keeps in shared memory beside it. Errors: PK_SKIP where not even two tiles fit and no other number was asked for. */
static pk_status make_ring_plan(pk_run *run, lab03_kernel kernel, size_t more_bytes)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    const pk_device_info *device = pk_run_device(run);
    const size_t beside = shared_bytes(lab) + more_bytes;
    const size_t tile = 2 * (size_t)lab->view.block_k * lab->view.head_dim * sizeof(uint16_t);
    int stages = lab->stages;
    if (stages == 0 && device->shared_bytes_per_block > beside)
        stages = (int)((device->shared_bytes_per_block - beside) / tile);
    if (stages > LAB03_MOST_STAGES)
        stages = LAB03_MOST_STAGES;
    if (stages < 2)
        return pk_fail(
            PK_SKIP,
            "two tiles of %zu bytes and %zu bytes beside them do not fit into the %zu of shared memory that a "
            "block has here: use a smaller --block-k or fewer --threads",
            tile, beside, device->shared_bytes_per_block);
    PK_TRY(make_plan(run, kernel, beside + stages * tile));
    ((plan *)pk_run_variant_data(run))->view.stages = stages;
    return PK_OK;
}

typedef struct copies { /* of a block; the same in all of its threads */
    lab03_ahead next;   /* the tile to ask for next */
    int asked, used;    /* tiles so far: tile i lies in buffer i mod stages */
} copies;

/* Ask for the next tiles, each as a group of its own: as many as there are buffers, of this step and the one after. A
 * __syncthreads comes before: all threads have read the tiles that are used. */
template <int D> static __device__ inline void fill_ring(const lab03_view *v, int step, copies *c, uint16_t *ring)
{
    /* STEP lab03.7: while a buffer is free and the next tile may be asked for, ask for it (about 6 lines) */
    while (c->asked - c->used < v->stages && c->next.step < v->steps && c->next.step <= step + 1) {
        lab03_copy_tile<D>(v, &c->next, ring + c->asked % v->stages * lab03_tile_elements<D>(v));
        pk_async_commit();
        lab03_ahead_next(v, &c->next, blockIdx.x, gridDim.x);
        c->asked++;
    }
    /* END lab03.7 */
}

/* lab03_attend, with its rows from the ring. */
template <int D>
static __device__ inline void attend_ring(const lab03_view *v, int step, const lab03_segment *s, const float *q,
                                          copies *c, uint16_t *ring, float *warps)
{
    const int warp = threadIdx.x / LAB03_WARP, warp_count = blockDim.x / LAB03_WARP;
    int turn = warp;
    lab03_state<D> state;
    lab03_begin<D>(&state, q);
    if (lab03_appends(v, s))
        lab03_append<D>(v, s, step);
    for (int key = s->first_key; key < s->end_key; key += v->block_k) {
        /* STEP lab03.8: wait until the tile is there for all threads, then let the next ones come (about 3 lines) */
        lab03_wait_groups(c->asked - c->used - 1);
        __syncthreads();
        fill_ring<D>(v, step, c, ring);
        /* END lab03.8 */
        lab03_attend_tile<D>(&state, v, ring + c->used % v->stages * lab03_tile_elements<D>(v),
                             lab03_tile_rows(v, s, key), warp_count, &turn);
        c->used++;
    }
    if (warp < lab03_segment_warps(s, warp_count))
        lab03_store_warp<D>(&state, warps + warp * lab03_lanes<D>::record);
}

/* share_of_step, its rows from the ring. */
template <int D>
static __device__ inline void ring_share_of_step(const lab03_view *v, int step, lab03_walk walk, copies *c,
                                                 float *shared)
{
    float *const sources = shared_sources<D>(shared), *const q = shared_queries<D>(shared);
    while (walk.tile < walk.end) {
        prepare_batch<D>(v, step, &walk, sources, q);
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++) {
            const lab03_segment s = lab03_next(v, step, &walk, blockIdx.x);
            attend_ring<D>(v, step, &s, q + i * LAB03_HEADS * D, c, shared_ring<D>(shared), shared);
            __syncthreads();
            lab03_write_record<D>(shared, lab03_segment_warps(&s, blockDim.x / LAB03_WARP),
                                  lab03_record(v, step, s.slot, lab03_lanes<D>::record), blockDim.x);
            __syncthreads();
        }
    }
}

template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_async_tiles(lab03_view v)
{
    PK_DYNAMIC_SHARED(float, shared);
    copies c = {lab03_ahead_begin(&v, blockIdx.x, gridDim.x), 0, 0};
    unsigned target = 0;
    lab03_walk walk = lab03_share(&v, 0, blockIdx.x, gridDim.x);
    for (int step = 0; step < v.steps; step++) {
        fill_ring<D>(&v, step, &c, shared_ring<D>(shared));
        ring_share_of_step<D>(&v, step, walk, &c, shared);
        if (step + 1 < v.steps)
            walk = lab03_share(&v, step + 1, blockIdx.x, gridDim.x);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_by_hand(v.barrier, target += gridDim.x);
    }
    write_last_outputs<D>(&v, shared_sources<D>(shared), blockDim.x);
}

static pk_status async_tiles_prepare(pk_run *run)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    /* STEP lab03.9: plan the launch of attention_async_tiles, with its ring (about 2 lines) */
    const lab03_kernel kernel = LAB03_FOR_HEAD_DIM(attention_async_tiles, lab->view.head_dim);
    return make_ring_plan(run, kernel, 0);
    /* END lab03.9 */
}

/* ---- rung 5: warps with roles ---- */

/* The producer, the first thread of the last warp, asks for tiles; the other warps, the consumers, use them. They meet
 * at nothing but these barriers. Each arrival is a release and each wait an acquire, in the scope of the block. */
typedef struct roles {
    pk_async_barrier full[LAB03_MOST_STAGES];  /* a tile has landed: the producer arrives, and its bytes do */
    pk_async_barrier empty[LAB03_MOST_STAGES]; /* a tile has been read: each consumer warp arrives */
    pk_async_barrier passed;  /* the grid's barrier after a step: the consumers' first thread and the producer arrive */
    pk_async_barrier meeting; /* of all consumer threads, as __syncthreads is of a block */
} roles;

/* They lie behind the ring. */
template <int D> static __device__ inline roles *shared_roles(const lab03_view *v, float *shared)
{
    return (roles *)(shared_ring<D>(shared) + v->stages * lab03_tile_elements<D>(v));
}

static __device__ inline int consumer_threads(void)
{
    return blockDim.x - LAB03_WARP;
}

/* By all threads of the block. */
static __device__ inline void begin_roles(const lab03_view *v, roles *r)
{
    if (threadIdx.x == 0) {
#pragma unroll 1 /* once; not worth the instructions */
        for (int i = 0; i < v->stages; i++) {
            pk_async_barrier_init(&r->full[i], 1);
            pk_async_barrier_init(&r->empty[i], consumer_threads() / LAB03_WARP);
        }
        pk_async_barrier_init(&r->passed, 2);
        pk_async_barrier_init(&r->meeting, consumer_threads());
        pk_async_barrier_init_fence();
    }
    __syncthreads();
}

typedef struct place { /* in the ring */
    int stage;
    unsigned parity; /* of the rounds so far */
} place;

static __device__ inline void next_place(const lab03_view *v, place *at)
{
    at->stage++;
    if (at->stage == v->stages) {
        at->stage = 0;
        at->parity ^= 1;
    }
}

/* The producer may ask for tiles of step t + 2 when it knows that the block has passed the barrier after step t. Phase
 * t of `passed` ends when both sides have arrived, and neither arrives again before it has waited for that: so the
 * phase that is waited for is always the one under way or the one before. The barrier's acquire, by the consumers'
 * first thread, then this arrival and this wait carry every block's appends to the producer, and the fence to its
 * copies. */
static __device__ inline void tell_producer(const lab03_view *v, roles *r, int step)
{
    if (threadIdx.x == 0 && step + 2 < v->steps) {
        if (step > 0)
            pk_async_barrier_wait(&r->passed, (step - 1) % 2);
        pk_async_barrier_arrive(&r->passed);
    }
}

/* Until `barriers` barriers have been passed; `*known` of them are known. */
static __device__ inline void hear_from_consumers(roles *r, int *known, int barriers)
{
#pragma unroll 1 /* it is taken once a step */
    for (; *known < barriers; (*known)++) {
        pk_async_barrier_arrive(&r->passed);
        pk_async_barrier_wait(&r->passed, *known % 2);
        pk_async_fence();
    }
}

/* The producer: all tiles of the block, of all steps. In the first round a buffer is empty from the start: to a new
 * barrier, the phase before its first counts as ended. */
template <int D> static __device__ inline void produce(const lab03_view *v, roles *r, uint16_t *ring)
{
    lab03_ahead next = lab03_ahead_begin(v, blockIdx.x, gridDim.x);
    place at = {0, 0};
    int known = 0;
    while (next.step < v->steps) {
        hear_from_consumers(r, &known, next.step - 1);
        uint16_t *const tile = ring + at.stage * lab03_tile_elements<D>(v);
        /* STEP lab03.10: wait until the buffer is empty, then ask for the tile (about 2 lines) */
        pk_async_barrier_wait(&r->empty[at.stage], at.parity ^ 1);
        lab03_copy_tile_in_bulk<D>(v, &next, tile, &r->full[at.stage]);
        /* END lab03.10 */
        next_place(v, &at);
        lab03_ahead_next(v, &next, blockIdx.x, gridDim.x);
    }
    hear_from_consumers(r, &known, v->steps - 2); /* a block without tiles has not yet */
}

/* lab03_attend, with its rows from the producer. */
template <int D>
static __device__ inline void attend_produced(const lab03_view *v, int step, const lab03_segment *s, const float *q,
                                              roles *r, place *at, const uint16_t *ring, float *warps)
{
    const int warp = threadIdx.x / LAB03_WARP, warp_count = consumer_threads() / LAB03_WARP;
    int turn = warp;
    lab03_state<D> state;
    lab03_begin<D>(&state, q);
    if (lab03_appends(v, s))
        lab03_append<D>(v, s, step);
    for (int key = s->first_key; key < s->end_key; key += v->block_k) {
        const uint16_t *const tile = ring + at->stage * lab03_tile_elements<D>(v);
        const int rows = lab03_tile_rows(v, s, key);
        /* STEP lab03.11: wait for the tile, attend to it, and say so when all lanes have (about 5 lines) */
        pk_async_barrier_wait(&r->full[at->stage], at->parity);
        lab03_attend_tile<D>(&state, v, tile, rows, warp_count, &turn);
        __syncwarp();
        if (lab03_lane() == 0)
            pk_async_barrier_arrive(&r->empty[at->stage]);
        /* END lab03.11 */
        next_place(v, at);
    }
    if (warp < lab03_segment_warps(s, warp_count))
        lab03_store_warp<D>(&state, warps + warp * lab03_lanes<D>::record);
}

static __device__ inline void meet_consumers(roles *r)
{
    pk_warps_sync(&r->meeting, 1, consumer_threads());
}

/* meet_by_hand, without the producer: it does not stand still for the grid. */
static __device__ inline void meet_as_consumers(roles *r, unsigned *arrivals, unsigned target)
{
    /* STEP lab03.12: as lab03.3, where the block's consumers meet instead of the block (about 6 lines) */
    meet_consumers(r);
    if (threadIdx.x == 0 && pk_add_acquire_release_device(arrivals, 1u) + 1u != target)
        while ((int)(pk_load_acquire_device(arrivals) - target) < 0)
            LAB03_POLL_PAUSE();
    meet_consumers(r);
    /* END lab03.12 */
}

/* share_of_step, by the consumers. */
template <int D>
static __device__ inline void consume_step(const lab03_view *v, int step, lab03_walk walk, roles *r, place *at,
                                           float *shared)
{
    const int threads = consumer_threads();
    float *const sources = shared_sources<D>(shared), *const q = shared_queries<D>(shared);
    while (walk.tile < walk.end) {
        if (step > 0)
            combine_batch<D>(v, step - 1, step, &walk, sources, threads);
        meet_consumers(r);
        lab03_project_batch<D>(v, step, &walk, blockIdx.x, sources, q, threads);
        meet_consumers(r);
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++) {
            const lab03_segment s = lab03_next(v, step, &walk, blockIdx.x);
            attend_produced<D>(v, step, &s, q + i * LAB03_HEADS * D, r, at, shared_ring<D>(shared), shared);
            meet_consumers(r);
            lab03_write_record<D>(shared, lab03_segment_warps(&s, threads / LAB03_WARP),
                                  lab03_record(v, step, s.slot, lab03_lanes<D>::record), threads);
            meet_consumers(r);
        }
    }
}

template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_warp_roles(lab03_view v)
{
    PK_DYNAMIC_SHARED(float, shared);
    roles *const r = shared_roles<D>(&v, shared);
    begin_roles(&v, r);
    if ((int)threadIdx.x >= consumer_threads()) {
        if ((int)threadIdx.x == consumer_threads())
            produce<D>(&v, r, shared_ring<D>(shared));
        return;
    }
    place at = {0, 0};
    unsigned target = 0;
    lab03_walk walk = lab03_share(&v, 0, blockIdx.x, gridDim.x);
    for (int step = 0; step < v.steps; step++) {
        consume_step<D>(&v, step, walk, r, &at, shared);
        if (step + 1 < v.steps)
            walk = lab03_share(&v, step + 1, blockIdx.x, gridDim.x);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_as_consumers(r, v.barrier, target += gridDim.x);
        tell_producer(&v, r, step);
    }
    write_last_outputs<D>(&v, shared_sources<D>(shared), consumer_threads());
}

static pk_status warp_roles_prepare(pk_run *run)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    if (lab->threads < 2 * LAB03_WARP)
        return pk_fail(PK_SKIP, "it takes a warp that copies and one that computes: use --threads=64 or more");
    /* STEP lab03.13: plan the launch of attention_warp_roles, with its ring and its barriers (about 2 lines) */
    const lab03_kernel kernel = LAB03_FOR_HEAD_DIM(attention_warp_roles, lab->view.head_dim);
    return make_ring_plan(run, kernel, sizeof(roles));
    /* END lab03.13 */
}

PK_VARIANTS(ladder) = {
    {"grid-sync", "all steps in one cooperative launch, grid.sync() between them", PK_NEED_COOPERATIVE,
     grid_sync_prepare, one_launch, free_plan},
    {"hand-barrier", "the same with a barrier made by hand", PK_NEED_COOPERATIVE, hand_barrier_prepare, one_launch,
     free_plan},
    {"split-kv", "blocks share the keys, parts combined in a fixed order", PK_NEED_COOPERATIVE, split_kv_prepare,
     one_launch, free_plan},
    {"async-tiles", "tiles copied ahead into a ring, also over the barrier", PK_NEED_COOPERATIVE, async_tiles_prepare,
     one_launch, free_plan},
    {"warp-roles", "one warp asks for bulk copies, the others use the tiles",
     PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY, warp_roles_prepare, one_launch, free_plan},
};
PK_VARIANTS_END(ladder)
