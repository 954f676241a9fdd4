/* Lab 03, cooperative kernel: the ladder. Fill in the steps; the page is README.md beside this file.
 *
 *   grid-sync     all T steps in one cooperative launch, grid.sync() between them; a block has whole units
 *   hand-barrier  the same with a barrier made by hand: one arrival a block
 *   split-kv      blocks share a sequence's keys; what they contribute is combined in a fixed order
 *
 * Only lines between STEP and END change. As shipped, a step returns pk_todo: delete that line when you fill it in. */
#include "lab03_attention.cuh"

#include <stdlib.h>

#include "pk_atomic.h"

typedef struct plan { /* a variant's launch */
    lab03_kernel kernel;
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
    plan *p = (plan *)calloc(1, sizeof *p);
    if (!p)
        return pk_fail(PK_USAGE, "lab03: out of host memory");
    pk_run_set_variant_data(run, p);
    p->kernel = kernel;
    p->shared_bytes = bytes;
    return lab03_resident_grid(run, kernel, bytes, 1, &p->blocks);
}

static void free_plan(pk_run *run)
{
    free(pk_run_variant_data(run));
}

/* ---- rungs 1 and 2: a block has whole units ---- */

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
        lab03_write_unit<D>(v, step, &s, shared, blockDim.x / LAB03_WARP);
    }
}

/* Every thread of the grid waits here until all have come; what any of them wrote before, all see after. */
static __device__ inline void meet_by_grid_sync(void)
{
    /* STEP lab03.1: the grid's own barrier, from cooperative groups (about 1 line) */
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
    return make_plan(run, LAB03_FOR_HEAD_DIM(attention_grid_sync, lab->view.head_dim), shared_bytes(lab));
}

/* One launch for all T steps, for any of the kernels here. */
static pk_status one_launch(pk_run *run)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    const plan *p = (const plan *)pk_run_variant_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    /* STEP lab03.2: launch so that all blocks are resident together, then wait once (about 3 lines) */
    (void)lab, (void)p, (void)stream;
    return pk_todo(run, "lab03.2");
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
    /* STEP lab03.3: one thread arrives for its block, once the block's work is done, and waits (about 7 lines) */
    (void)arrivals, (void)target;
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
    (void)lab, (void)attention_hand_barrier<128>;
    return pk_todo(run, "lab03.4");
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
    (void)records, (void)first, (void)last, (void)index, (void)e;
    /* END lab03.5 */
    return o;
}

/* The outputs at `done` that the queries of the next LAB03_BATCH segments at `step` are made from, into `sources`
 * [BATCH][HEADS][D]. The block that has a unit's first key also writes them to v->out: each head is the source of
 * one other, so each output is written once. A __syncthreads must follow. */
template <int D>
static __device__ inline void combine_batch(const lab03_view *v, int done, int step, const lab03_walk *walk,
                                            float *sources)
{
    for (int i = threadIdx.x; i < LAB03_BATCH * D; i += blockDim.x) {
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

/* This block's share of a step: for each segment the record of what it contributes. */
template <int D> static __device__ inline void share_of_step(const lab03_view *v, int step, float *shared)
{
    float *const sources = shared_sources<D>(shared), *const q = shared_queries<D>(shared);
    lab03_walk walk = lab03_share(v, step, blockIdx.x, gridDim.x);
    while (walk.tile < walk.end) {
        if (step > 0)
            combine_batch<D>(v, step - 1, step, &walk, sources);
        __syncthreads();
        lab03_project_batch<D>(v, step, &walk, blockIdx.x, sources, q, blockDim.x);
        __syncthreads();
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++) {
            const lab03_segment s = lab03_next(v, step, &walk, blockIdx.x);
            lab03_attend<D>(v, step, &s, q + i * LAB03_HEADS * D, shared);
            __syncthreads();
            lab03_write_record<D>(shared, blockDim.x / LAB03_WARP,
                                  lab03_record(v, step, s.slot, lab03_lanes<D>::record));
            __syncthreads();
        }
    }
}

/* One barrier a step is enough, because records are kept for two steps: a block that is already at step t + 1 writes
 * where the records of step t - 1 were, and those were last read during step t, before the barrier that it has passed.
 */
template <int D> static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_split_kv(lab03_view v)
{
    PK_DYNAMIC_SHARED(float, shared);
    unsigned target = 0;
    for (int step = 0; step < v.steps; step++) {
        share_of_step<D>(&v, step, shared);
        for (int i = 0; i <= v.extra_barriers; i++)
            meet_by_hand(v.barrier, target += gridDim.x);
    }
    /* The last step's outputs: nothing follows whose queries would need them. */
    lab03_walk walk = lab03_share(&v, v.steps - 1, blockIdx.x, gridDim.x);
    while (walk.tile < walk.end) {
        combine_batch<D>(&v, v.steps - 1, v.steps - 1, &walk, shared_sources<D>(shared));
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++)
            (void)lab03_next(&v, v.steps - 1, &walk, blockIdx.x);
    }
}

static pk_status split_kv_prepare(pk_run *run)
{
    const lab03 *lab = (const lab03 *)pk_run_lab_data(run);
    /* STEP lab03.6: plan the launch of attention_split_kv (about 2 lines) */
    (void)lab, (void)attention_split_kv<128>;
    return pk_todo(run, "lab03.6");
    /* END lab03.6 */
}

PK_VARIANTS(ladder) = {
    {"grid-sync", "all steps in one cooperative launch, grid.sync() between them", PK_NEED_COOPERATIVE,
     grid_sync_prepare, one_launch, free_plan},
    {"hand-barrier", "the same with a barrier made by hand", PK_NEED_COOPERATIVE, hand_barrier_prepare, one_launch,
     free_plan},
    {"split-kv", "blocks share the keys, parts combined in a fixed order", PK_NEED_COOPERATIVE, split_kv_prepare,
     one_launch, free_plan},
};
PK_VARIANTS_END(ladder)
