/* Lab 03, cooperative kernel: the ladder. Fill in the steps; the page is README.md beside this file.
 *
 *   grid-sync     all T steps in one cooperative launch, grid.sync() between them; a block has whole units
 *   hand-barrier  the same with a barrier made by hand: one arrival a block
 *   split-kv      blocks share a sequence's keys; what they contribute is combined in a fixed order
 *   async-tiles   the same with K and V copied ahead into a ring of tiles in shared memory, by all threads
 *   warp-roles    the same by one warp that asks for bulk copies, and others that use the tiles
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. What is given
 * is in the headers: lab03_share.cuh, lab03_ring.cuh and lab03_roles.cuh hold a block's step in each of its three
 * forms, and call what is filled in here. */
#include "lab03_barrier.cuh"
#include "lab03_plan.cuh"
#include "lab03_roles.cuh"

/* ---- rung 1: one launch, the grid's own barrier ---- */

/* Every thread of the grid waits here until all have come; what any of them wrote before, all see after. */
static __device__ inline void meet_by_grid_sync(void)
{
    /* STEP lab03.1 for grid-sync: the grid's own barrier, from cooperative groups (about 1 line) */
    cooperative_groups::this_grid().sync();
    /* END lab03.1 */
}

template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_grid_sync(lab03_view v)
{
    PK_DYNAMIC_SHARED(float, shared);
    for (int step = 0; step < v.steps; step++) {
        lab03_whole_units<D>(&v, step, shared);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_by_grid_sync();
    }
}

static pk_status grid_sync_prepare(pk_run *run)
{
    return lab03_plan_units(run, LAB03_KERNEL(run, attention_grid_sync));
}

/* One launch for all T steps, for any of the kernels here. */
static pk_status one_launch(pk_run *run)
{
    const lab03_plan *p = lab03_plan_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    /* STEP lab03.2 for all rungs: launch so that all blocks are resident together, then wait once (about 3 lines) */
    const lab03_kernel attention = p->kernel;
    PK_LAUNCH_COOPERATIVE(attention, p->blocks, p->threads, p->shared_bytes, stream, p->view);
    PK_CHECK(cudaStreamSynchronize(stream));
    /* END lab03.2 */
    return PK_OK;
}

/* ---- rung 2: a barrier by hand ---- */

/* The same by hand. `arrivals` counts the blocks' arrivals at all barriers and is never set back: this barrier is over
 * when it has reached `target`, which is further by the number of blocks at each. It begins shortly before 2^32 and
 * wraps.
 * Pairs: the release by which a block arrives, with the acquire by which every block's first thread sees the count
 * complete, at device scope; within a block, __syncthreads before the one and after the other carries it to all
 * threads. */
static __device__ inline void meet_by_hand(unsigned *arrivals, unsigned target)
{
    /* STEP lab03.3 for hand-barrier, split-kv, async-tiles: arrive for the block when its work is done, and wait (about 6 lines) */
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
    unsigned target = v.barrier_start;
    for (int step = 0; step < v.steps; step++) {
        lab03_whole_units<D>(&v, step, shared);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_by_hand(v.barrier, target += gridDim.x);
    }
}

static pk_status hand_barrier_prepare(pk_run *run)
{
    /* STEP lab03.4 for hand-barrier: plan the launch of attention_hand_barrier, as for the grid's own barrier (about 1 line) */
    return lab03_plan_units(run, LAB03_KERNEL(run, attention_hand_barrier));
    /* END lab03.4 */
}

/* ---- rung 3: blocks share the keys ---- */

template <int D>
static __device__ inline float4 combined_output(const lab03_view *v, int step, int sequence, int head, int e)
{
    int first, last;
    const int index = lab03_head_slots(v, step, gridDim.x, sequence, head, &first, &last);
    const float *const records = lab03_record(v, step, first, lab03_lanes<D>::record);
    float4 o = make_float4(0, 0, 0, 0);
    /* STEP lab03.5 for split-kv, async-tiles, warp-roles: merge the records, first to last, and divide (about 3 lines) */
    float m, l;
    o = lab03_merge_records<D>(records, last - first + 1, index * D + e, &m, &l);
    o = make_float4(o.x / l, o.y / l, o.z / l, o.w / l);
    /* END lab03.5 */
    return o;
}

/* One barrier a step is enough, because records are kept for two steps: a block that is already at step t + 1 writes
 * where the records of step t - 1 were, and those were last read during step t, before the barrier that it has passed.
 */
template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_split_kv(lab03_view v)
{
    PK_DYNAMIC_SHARED(float, shared);
    unsigned target = v.barrier_start;
    lab03_walk walk = lab03_share(&v, 0, blockIdx.x, gridDim.x);
    for (int step = 0; step < v.steps; step++) {
        lab03_share_of_step<D>(&v, step, walk, shared);
        if (step + 1 < v.steps) /* read before the wait, not after it */
            walk = lab03_share(&v, step + 1, blockIdx.x, gridDim.x);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_by_hand(v.barrier, target += gridDim.x);
    }
    lab03_write_last_outputs<D>(&v, lab03_shared_sources<D>(shared), blockDim.x);
}

static pk_status split_kv_prepare(pk_run *run)
{
    /* STEP lab03.6 for split-kv: plan the launch of attention_split_kv (about 1 line) */
    return lab03_plan_shares(run, LAB03_KERNEL(run, attention_split_kv));
    /* END lab03.6 */
}

/* ---- rung 4: tiles copied ahead ---- */

template <int D> static __device__ inline void fill_ring(const lab03_view *v, int step, lab03_copies *c, uint16_t *ring)
{
    /* STEP lab03.7 for async-tiles: while a buffer is free and the next tile may be asked for, ask for it (about 6 lines) */
    while (c->asked - c->used < v->stages && c->next.step < v->steps && c->next.step <= step + 1) {
        lab03_copy_tile<D>(v, &c->next, lab03_buffer<D>(v, ring, c->asked % v->stages));
        pk_async_commit();
        lab03_ahead_next(v, &c->next, blockIdx.x, gridDim.x);
        c->asked++;
    }
    /* END lab03.7 */
}

template <int D> static __device__ inline void next_tile(const lab03_view *v, int step, lab03_copies *c, uint16_t *ring)
{
    /* STEP lab03.8 for async-tiles: wait until the tile is there for all threads, then let the next ones come (about 3 lines) */
    lab03_wait_groups(c->asked - c->used - 1);
    __syncthreads();
    fill_ring<D>(v, step, c, ring);
    /* END lab03.8 */
}

template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_async_tiles(lab03_view v)
{
    PK_DYNAMIC_SHARED(float, shared);
    lab03_copies c = {lab03_ahead_begin(&v, blockIdx.x, gridDim.x), 0, 0};
    unsigned target = v.barrier_start;
    lab03_walk walk = lab03_share(&v, 0, blockIdx.x, gridDim.x);
    for (int step = 0; step < v.steps; step++) {
        fill_ring<D>(&v, step, &c, lab03_shared_ring<D>(shared));
        lab03_ring_share_of_step<D>(&v, step, walk, &c, shared);
        if (step + 1 < v.steps)
            walk = lab03_share(&v, step + 1, blockIdx.x, gridDim.x);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_by_hand(v.barrier, target += gridDim.x);
    }
    lab03_write_last_outputs<D>(&v, lab03_shared_sources<D>(shared), blockDim.x);
}

static pk_status async_tiles_prepare(pk_run *run)
{
    /* STEP lab03.9 for async-tiles: plan the launch of attention_async_tiles, with its ring (about 1 line) */
    return lab03_plan_ring(run, LAB03_KERNEL(run, attention_async_tiles), 0);
    /* END lab03.9 */
}

/* ---- rung 5: warps with roles ---- */

template <int D>
static __device__ inline void ask_for_tile(const lab03_view *v, lab03_roles *r, lab03_place at, const lab03_ahead *next,
                                           uint16_t *tile)
{
    /* STEP lab03.10 for warp-roles: wait until the buffer is empty, then ask for the tile (about 2 lines) */
    pk_async_barrier_wait(&r->empty[at.stage], at.parity ^ 1);
    lab03_copy_tile_in_bulk<D>(v, next, tile, &r->full[at.stage]);
    /* END lab03.10 */
}

template <int D>
static __device__ inline void use_tile(const lab03_view *v, lab03_roles *r, lab03_place at, const uint16_t *tile,
                                       int rows, int warps, int *turn, lab03_state<D> *state)
{
    /* STEP lab03.11 for warp-roles: wait for the tile, attend to it, and say so when all lanes have (about 5 lines) */
    pk_async_barrier_wait(&r->full[at.stage], at.parity);
    lab03_attend_tile<D>(state, v, tile, rows, warps, turn);
    __syncwarp();
    if (lab03_lane() == 0)
        pk_async_barrier_arrive(&r->empty[at.stage]);
    /* END lab03.11 */
}

/* meet_by_hand, without the producer: it does not stand still for the grid. */
static __device__ inline void meet_as_consumers(lab03_roles *r, unsigned *arrivals, unsigned target)
{
    /* STEP lab03.12 for warp-roles: as lab03.3, where the block's consumers meet instead of the block (about 6 lines) */
    lab03_meet_consumers(r);
    if (threadIdx.x == 0 && pk_add_acquire_release_device(arrivals, 1u) + 1u != target)
        while ((int)(pk_load_acquire_device(arrivals) - target) < 0)
            LAB03_POLL_PAUSE();
    lab03_meet_consumers(r);
    /* END lab03.12 */
}

template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_warp_roles(lab03_view v)
{
    PK_DYNAMIC_SHARED(float, shared);
    lab03_roles *const r = lab03_shared_roles<D>(&v, shared);
    lab03_begin_roles(&v, r);
    if ((int)threadIdx.x >= lab03_consumer_threads()) {
        if ((int)threadIdx.x == lab03_consumer_threads())
            lab03_produce<D>(&v, r, lab03_shared_ring<D>(shared));
        return;
    }
    lab03_place at = {0, 0};
    unsigned target = v.barrier_start;
    lab03_walk walk = lab03_share(&v, 0, blockIdx.x, gridDim.x);
    for (int step = 0; step < v.steps; step++) {
        lab03_consume_step<D>(&v, step, walk, r, &at, shared);
        if (step + 1 < v.steps)
            walk = lab03_share(&v, step + 1, blockIdx.x, gridDim.x);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_as_consumers(r, v.barrier, target += gridDim.x);
        lab03_tell_producer(&v, r, step);
    }
    lab03_write_last_outputs<D>(&v, lab03_shared_sources<D>(shared), lab03_consumer_threads());
}

static pk_status warp_roles_prepare(pk_run *run)
{
    /* STEP lab03.13 for warp-roles: plan the launch of attention_warp_roles, with its ring and its barriers (about 1 line) */
    return lab03_plan_roles(run, LAB03_KERNEL(run, attention_warp_roles));
    /* END lab03.13 */
}

PK_VARIANTS(ladder) = {
    {"grid-sync", "all steps in one cooperative launch, grid.sync() between them", PK_NEED_COOPERATIVE,
     grid_sync_prepare, one_launch, lab03_free_plan},
    {"hand-barrier", "the same with a barrier made by hand", PK_NEED_COOPERATIVE, hand_barrier_prepare, one_launch,
     lab03_free_plan},
    {"split-kv", "blocks share the keys, parts combined in a fixed order", PK_NEED_COOPERATIVE, split_kv_prepare,
     one_launch, lab03_free_plan},
    {"async-tiles", "tiles copied ahead into a ring, also over the barrier", PK_NEED_COOPERATIVE, async_tiles_prepare,
     one_launch, lab03_free_plan},
    {"warp-roles", "one warp asks for bulk copies, the others use the tiles",
     PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY, warp_roles_prepare, one_launch, lab03_free_plan},
};
PK_VARIANTS_END(ladder)
