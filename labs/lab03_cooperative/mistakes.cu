/* Lab 03, cooperative kernel: planted mistakes. Each variant is wrong in one way that has been made for real, and the
 * harness must catch it: the tests lab03.mistake.* run them one by one and demand the right exit code and reason. They
 * are all one kernel, the third rung's, that does one thing wrong, or the fourth's for what can be wrong with copies;
 * heads are of 64 floats, as --quick has them. */
#include "lab03_attention.cuh"
#include "lab03_tiles.cuh"

#include <math.h>
#include <stdlib.h>

#include "pk_atomic.h"

typedef enum mistake {
    NOTHING_WRONG,
    NO_BARRIER,        /* steps follow each other without waiting for other blocks */
    BARRIER_SHORT,     /* it waits for all blocks but one */
    BARRIER_ENDLESS,   /* it waits for a block that does not exist */
    BARRIER_EARLY,     /* the block arrives before all its threads have written */
    STALE_PLAN,        /* the tiles of step 0 at every step: the context does not grow */
    STALE_QUERY,       /* the queries of step 0 at every step */
    TILE_TWICE,        /* every share begins a tile early */
    TILE_LEFT_OUT,     /* every share ends a tile early */
    ONE_BUFFER,        /* the records of a step where those of the step before still are */
    NO_RESCALE,        /* parts added as if all had the same maximum */
    ARRIVAL_ORDER,     /* parts combined in the order in which they came */
    OWN_HEAD,          /* the next query from the same head's output: no other block is needed */
    NO_APPEND,         /* the new row is used and then forgotten */
    APPEND_AFTER_NEXT, /* it is appended one position too far */
    UNMASKED,          /* the last chunk takes rows beyond the sequence */
    RING_RIGHT,        /* tiles by way of the ring, with nothing wrong */
    RING_UNWAITED,     /* a tile is read without a wait for it */
    RING_WAIT_SHORT,   /* the wait lets one group too many be under way */
    RING_UNSHOWN,      /* each thread waits for its own copies, and no barrier shows them to the others */
    RING_REFILLED,     /* the next tile goes into the buffer that is being read */
    RING_TOO_FAR,      /* tiles of two steps ahead, whose rows are not all there yet */
    BULK_RIGHT,        /* the same by bulk copies, with nothing wrong */
    BULK_UNWAITED,     /* a tile is read without a wait for its barrier */
    BULK_ONE_BEHIND,   /* the wait is for the phase before this tile's */
    BULK_REFILLED      /* the next tile goes into the buffer that is being read */
} mistake;

enum { D = 64, RECORD = LAB03_HEADS * D + 2 * LAB03_HEADS };

static __device__ inline void meet(unsigned *arrivals, unsigned target, mistake wrong)
{
    if (wrong == NO_BARRIER)
        return;
    if (wrong == BARRIER_SHORT)
        target -= 1;
    if (wrong == BARRIER_ENDLESS)
        target += 1;
    if (wrong != BARRIER_EARLY)
        __syncthreads();
    if (threadIdx.x == 0) {
        pk_add_release_device(arrivals, 1);
        while ((int)(pk_load_acquire_device(arrivals) - target) < 0)
            LAB03_POLL_PAUSE();
    }
    __syncthreads();
}

/* Until all blocks have arrived, and a while longer, as a slow warp might. */
static __device__ inline void be_late(const unsigned *arrivals, unsigned target)
{
    for (int i = 0; i < 10000 && pk_load_relaxed_device(arrivals) != target; i++)
        PK_POLL_PAUSE();
    for (int i = 0; i < 20; i++)
        PK_POLL_PAUSE();
}

static __device__ inline float *record_at(const lab03_view *v, int step, int slot, mistake wrong)
{
    return lab03_record(v, wrong == ONE_BUFFER ? 0 : step, slot, RECORD);
}

/* Parts added as they are. */
static __device__ inline float4 merge_without_rescaling(const float *records, int count, int e, float *l)
{
    float4 o = make_float4(0, 0, 0, 0);
    *l = 0;
    for (int i = 0; i < count; i++) {
        const float4 part = *(const float4 *)(records + i * RECORD + e);
        o = make_float4(o.x + part.x, o.y + part.y, o.z + part.z, o.w + part.w);
        *l += records[i * RECORD + LAB03_HEADS * D + LAB03_HEADS + e / D];
    }
    return o;
}

static __device__ inline float4 combined_output(const lab03_view *v, int step, int sequence, int head, int e,
                                                mistake wrong)
{
    int first, last;
    float m, l;
    const int index = lab03_head_slots(v, step, gridDim.x, sequence, head, &first, &last);
    const float *const records = record_at(v, step, first, wrong);
    const int count = last - first + 1;
    const float4 o = wrong == NO_RESCALE ? merge_without_rescaling(records, count, index * D + e, &l)
                                         : lab03_merge_records<D>(records, count, index * D + e, &m, &l);
    return make_float4(o.x / l, o.y / l, o.z / l, o.w / l);
}

static __device__ inline void combine_batch(const lab03_view *v, int done, int step, const lab03_walk *walk,
                                            float *sources, mistake wrong)
{
    for (int i = threadIdx.x; i < LAB03_BATCH * D; i += blockDim.x) {
        const int index = i % D * 4 / D, e = i % D * 4 % D;
        const lab03_segment s = lab03_segment_after(v, step, walk, blockIdx.x, i / D);
        if (index >= s.heads)
            continue;
        const int source = lab03_source_head(v, &s, index), own = s.first_head + index;
        const float4 o = combined_output(v, done, s.sequence, source, e, wrong);
        if (s.opens)
            *(float4 *)(lab03_output<D>(v, done, s.sequence, source) + e) = o;
        *(float4 *)(sources + 4 * i) = wrong == OWN_HEAD ? combined_output(v, done, s.sequence, own, e, wrong) : o;
    }
}

/* The slot of this segment's record: the one that its keys are due, or the next that is free of its unit's. */
static __device__ inline int slot_of(const lab03_view *v, int step, const lab03_segment *s, mistake wrong)
{
    __shared__ int ticket;
    if (wrong != ARRIVAL_ORDER)
        return s->slot;
    __syncthreads();
    if (threadIdx.x == 0) {
        int first, last;
        (void)lab03_head_slots(v, step, gridDim.x, s->sequence, s->first_head, &first, &last);
        const int counter = 1 + (step * v->batch * v->kv_heads + s->unit) % (LAB03_BARRIER_WORDS - 1);
        ticket = first + (int)pk_add_relaxed_device(v->barrier + counter, 1u) % (last - first + 1);
    }
    __syncthreads();
    return ticket;
}

/* The row that is appended: where the segment says, or one further; or none. */
static __device__ inline void spoil_append(const lab03_view *v, const lab03_segment *s, int step, mistake wrong)
{
    if (!lab03_appends(v, s) || (wrong != NO_APPEND && wrong != APPEND_AFTER_NEXT))
        return;
    lab03_segment next = *s;
    next.keys++;
    if (wrong == APPEND_AFTER_NEXT && next.keys <= v->capacity)
        lab03_append<D>(v, &next, step);
    uint16_t *const row = v->k_cache + lab03_row_offset<D>(v, s, s->keys - 1);
    for (int i = threadIdx.x; i < D; i += blockDim.x)
        row[i] = 0xffff; /* as it was */
}

static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_wrong(lab03_view v, mistake wrong)
{
    PK_DYNAMIC_SHARED(float, shared);
    float *const sources = shared + blockDim.x / LAB03_WARP * RECORD, *const q =
                                                                          sources + LAB03_BATCH * LAB03_HEADS * D;
    unsigned target = 0;
    for (int step = 0; step < v.steps; step++) {
        const int planned = wrong == STALE_PLAN ? 0 : step;
        lab03_walk walk = lab03_share(&v, planned, blockIdx.x, gridDim.x);
        if (wrong == TILE_TWICE && walk.tile > 0) {
            walk.tile--;
            walk.sequence = 0; /* it may be in the one before */
        }
        if (wrong == TILE_LEFT_OUT && walk.end > walk.tile + 1)
            walk.end--;
        while (walk.tile < walk.end) {
            if (step > 0)
                combine_batch(&v, step - 1, planned, &walk, sources, wrong);
            __syncthreads();
            lab03_project_batch<D>(&v, wrong == STALE_QUERY ? 0 : step, &walk, blockIdx.x, sources, q, blockDim.x);
            __syncthreads();
            for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++) {
                lab03_segment s = lab03_next(&v, planned, &walk, blockIdx.x);
                if (wrong == UNMASKED && s.end_key == s.keys && s.end_key < v.capacity)
                    s.end_key = ++s.keys;
                lab03_attend<D>(&v, step, &s, q + i * LAB03_HEADS * D, shared);
                __syncthreads();
                spoil_append(&v, &s, step, wrong);
                if (wrong == BARRIER_EARLY && walk.tile == walk.end && threadIdx.x > 0)
                    be_late(v.barrier, target + gridDim.x);
                lab03_write_record<D>(shared, lab03_segment_warps(&s, blockDim.x / LAB03_WARP),
                                      record_at(&v, step, slot_of(&v, planned, &s, wrong), wrong), blockDim.x);
                if (wrong != BARRIER_EARLY)
                    __syncthreads();
            }
        }
        meet(v.barrier, target += gridDim.x, wrong);
    }
    lab03_walk walk = lab03_share(&v, v.steps - 1, blockIdx.x, gridDim.x);
    while (walk.tile < walk.end) {
        combine_batch(&v, v.steps - 1, v.steps - 1, &walk, sources, wrong);
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++)
            (void)lab03_next(&v, v.steps - 1, &walk, blockIdx.x);
    }
}

/* ---- tiles copied ahead ---- */

typedef struct copies {
    lab03_ahead next;
    int asked, used;
    pk_async_barrier *full; /* of each buffer, for bulk copies, which one thread asks for; else NULL */
} copies;

static __device__ inline void fill_ring(const lab03_view *v, int step, copies *c, uint16_t *ring, mistake wrong)
{
    const int buffers = v->stages + (wrong == RING_REFILLED || wrong == BULK_REFILLED);
    const int last_step = step + (wrong == RING_TOO_FAR ? 2 : 1);
    while (c->asked - c->used < buffers && c->next.step < v->steps && c->next.step <= last_step) {
        const int stage = c->asked % v->stages;
        uint16_t *const tile = ring + stage * lab03_tile_elements<D>(v);
        if (!c->full) {
            lab03_copy_tile<D>(v, &c->next, tile);
            pk_async_commit();
        } else if (threadIdx.x == 0) {
            lab03_copy_tile_in_bulk<D>(v, &c->next, tile, &c->full[stage]);
        }
        lab03_ahead_next(v, &c->next, blockIdx.x, gridDim.x);
        c->asked++;
    }
}

static __device__ inline void wait_for_tile(const lab03_view *v, const copies *c, mistake wrong)
{
    const int round = c->used / v->stages - (wrong == BULK_ONE_BEHIND);
    if (wrong == RING_UNWAITED || wrong == BULK_UNWAITED)
        return;
    if (c->full)
        pk_async_barrier_wait(&c->full[c->used % v->stages], round & 1);
    else
        lab03_wait_groups(c->asked - c->used - (wrong == RING_WAIT_SHORT ? 0 : 1));
}

static __device__ inline void attend_ring(const lab03_view *v, int step, const lab03_segment *s, const float *q,
                                          copies *c, uint16_t *ring, float *warps, mistake wrong)
{
    const int warp = threadIdx.x / LAB03_WARP, warp_count = blockDim.x / LAB03_WARP;
    int turn = warp;
    lab03_state<D> state;
    lab03_begin<D>(&state, q);
    for (int key = s->first_key; key < s->end_key; key += v->block_k) {
        wait_for_tile(v, c, wrong);
        if (wrong != RING_UNSHOWN)
            __syncthreads();
        fill_ring(v, step, c, ring, wrong);
        lab03_attend_tile<D>(&state, v, ring + c->used % v->stages * lab03_tile_elements<D>(v),
                             lab03_tile_rows(v, s, key), warp_count, &turn);
        c->used++;
    }
    lab03_store_warp<D>(&state, warps + warp * RECORD);
    if (lab03_appends(v, s))
        lab03_append<D>(v, s, step);
}

static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_wrong_ring(lab03_view v, mistake wrong)
{
    PK_DYNAMIC_SHARED(float, shared);
    __shared__ pk_async_barrier full[LAB03_MOST_STAGES];
    const int warps = blockDim.x / LAB03_WARP;
    float *const sources = shared + warps * RECORD, *const q = sources + LAB03_BATCH * LAB03_HEADS * D;
    uint16_t *const ring = (uint16_t *)(q + LAB03_BATCH * LAB03_HEADS * D);
    copies c = {lab03_ahead_begin(&v, blockIdx.x, gridDim.x), 0, 0, wrong >= BULK_RIGHT ? full : NULL};
    unsigned target = 0;
    if (c.full && threadIdx.x == 0) {
        for (int i = 0; i < v.stages; i++)
            pk_async_barrier_init(&full[i], 1);
        pk_async_barrier_init_fence();
    }
    __syncthreads();
    for (int step = 0; step < v.steps; step++) {
        if (c.full)
            pk_async_fence(); /* appends that the barrier has ordered, before copies that read them */
        fill_ring(&v, step, &c, ring, wrong);
        lab03_walk walk = lab03_share(&v, step, blockIdx.x, gridDim.x);
        while (walk.tile < walk.end) {
            if (step > 0)
                combine_batch(&v, step - 1, step, &walk, sources, wrong);
            __syncthreads();
            lab03_project_batch<D>(&v, step, &walk, blockIdx.x, sources, q, blockDim.x);
            __syncthreads();
            for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++) {
                const lab03_segment s = lab03_next(&v, step, &walk, blockIdx.x);
                attend_ring(&v, step, &s, q + i * LAB03_HEADS * D, &c, ring, shared, wrong);
                __syncthreads();
                lab03_write_record<D>(shared, lab03_segment_warps(&s, warps), lab03_record(&v, step, s.slot, RECORD),
                                      blockDim.x);
                __syncthreads();
            }
        }
        meet(v.barrier, target += gridDim.x, wrong);
    }
    lab03_walk walk = lab03_share(&v, v.steps - 1, blockIdx.x, gridDim.x);
    while (walk.tile < walk.end) {
        combine_batch(&v, v.steps - 1, v.steps - 1, &walk, sources, wrong);
        for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++)
            (void)lab03_next(&v, v.steps - 1, &walk, blockIdx.x);
    }
}

/* ---- what is launched ---- */

static __global__ void change_output(float *out, size_t index, float value)
{
    out[index] = value;
}

/* One output `by` floats up. */
static __global__ void nudge_output(float *out, int by)
{
    for (int i = 0; i < by; i++)
        out[0] = nextafterf(out[0], INFINITY);
}

static const lab03 *lab_of(const pk_run *run)
{
    return (const lab03 *)pk_run_lab_data(run);
}

static cudaStream_t stream_of(const pk_run *run)
{
    return (cudaStream_t)pk_run_stream(run);
}

static pk_status launch_wrong(pk_run *run, mistake wrong)
{
    const lab03 *lab = lab_of(run);
    const int blocks = lab->blocks ? lab->blocks : pk_run_device(run)->processors;
    const size_t floats = (size_t)lab->threads / LAB03_WARP * RECORD + 2 * LAB03_BATCH * LAB03_HEADS * D;
    if (lab->view.head_dim != D)
        return pk_fail(PK_USAGE, "lab03: the planted mistakes are made with --head-dim=%d", D);
    if (wrong < RING_RIGHT) {
        PK_LAUNCH_COOPERATIVE(attention_wrong, blocks, lab->threads, floats * sizeof(float), stream_of(run), lab->view,
                              wrong);
        return PK_OK;
    }
    lab03_view view = lab->view;
    view.stages = lab->stages;
    const size_t bytes = floats * sizeof(float) + lab->stages * lab03_tile_elements<D>(&view) * sizeof(uint16_t);
    PK_CHECK(cudaFuncSetAttribute(attention_wrong_ring, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes));
    PK_LAUNCH_COOPERATIVE(attention_wrong_ring, blocks, lab->threads, bytes, stream_of(run), view, wrong);
    return PK_OK;
}

static pk_status run_wrong(pk_run *run, mistake wrong)
{
    PK_TRY(launch_wrong(run, wrong));
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status no_barrier(pk_run *run)
{
    return run_wrong(run, NO_BARRIER);
}

static pk_status barrier_short(pk_run *run)
{
    return run_wrong(run, BARRIER_SHORT);
}

static pk_status barrier_endless(pk_run *run)
{
    return run_wrong(run, BARRIER_ENDLESS);
}

static pk_status barrier_early(pk_run *run)
{
    return run_wrong(run, BARRIER_EARLY);
}

static pk_status stale_plan(pk_run *run)
{
    return run_wrong(run, STALE_PLAN);
}

static pk_status stale_query(pk_run *run)
{
    return run_wrong(run, STALE_QUERY);
}

static pk_status tile_twice(pk_run *run)
{
    return run_wrong(run, TILE_TWICE);
}

static pk_status tile_left_out(pk_run *run)
{
    return run_wrong(run, TILE_LEFT_OUT);
}

static pk_status one_buffer(pk_run *run)
{
    return run_wrong(run, ONE_BUFFER);
}

static pk_status no_rescale(pk_run *run)
{
    return run_wrong(run, NO_RESCALE);
}

static pk_status arrival_order(pk_run *run)
{
    return run_wrong(run, ARRIVAL_ORDER);
}

static pk_status own_head(pk_run *run)
{
    return run_wrong(run, OWN_HEAD);
}

static pk_status no_append(pk_run *run)
{
    return run_wrong(run, NO_APPEND);
}

static pk_status append_after_next(pk_run *run)
{
    return run_wrong(run, APPEND_AFTER_NEXT);
}

static pk_status unmasked(pk_run *run)
{
    return run_wrong(run, UNMASKED);
}

static pk_status ring_right(pk_run *run)
{
    return run_wrong(run, RING_RIGHT);
}

static pk_status ring_unwaited(pk_run *run)
{
    return run_wrong(run, RING_UNWAITED);
}

static pk_status ring_wait_short(pk_run *run)
{
    return run_wrong(run, RING_WAIT_SHORT);
}

static pk_status ring_unshown(pk_run *run)
{
    return run_wrong(run, RING_UNSHOWN);
}

static pk_status ring_refilled(pk_run *run)
{
    return run_wrong(run, RING_REFILLED);
}

static pk_status ring_too_far(pk_run *run)
{
    return run_wrong(run, RING_TOO_FAR);
}

static pk_status bulk_right(pk_run *run)
{
    return run_wrong(run, BULK_RIGHT);
}

static pk_status bulk_unwaited(pk_run *run)
{
    return run_wrong(run, BULK_UNWAITED);
}

static pk_status bulk_one_behind(pk_run *run)
{
    return run_wrong(run, BULK_ONE_BEHIND);
}

static pk_status bulk_refilled(pk_run *run)
{
    return run_wrong(run, BULK_REFILLED);
}

static pk_status nothing_wrong(pk_run *run)
{
    return run_wrong(run, NOTHING_WRONG);
}

/* Returns while the device is still at work. */
static pk_status no_wait(pk_run *run)
{
    return launch_wrong(run, NOTHING_WRONG);
}

static pk_status writes_nan(pk_run *run)
{
    PK_TRY(launch_wrong(run, NOTHING_WRONG));
    PK_LAUNCH(change_output, 1, 1, 0, stream_of(run), lab_of(run)->view.out, lab03_outputs(&lab_of(run)->view) - 1,
              (float)NAN);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status past_the_end(pk_run *run)
{
    PK_TRY(launch_wrong(run, NOTHING_WRONG));
    PK_LAUNCH(change_output, 1, 1, 0, stream_of(run), lab_of(run)->view.out, lab03_outputs(&lab_of(run)->view), 0.f);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

/* One output one float further up in each repetition: far within the bound, and not what was there before. */
static pk_status ulp_drift(pk_run *run)
{
    int *repetition = (int *)pk_run_variant_data(run);
    if (!repetition) {
        repetition = (int *)calloc(1, sizeof *repetition);
        if (!repetition)
            return pk_fail(PK_USAGE, "lab03: out of host memory");
        pk_run_set_variant_data(run, repetition);
    }
    PK_TRY(launch_wrong(run, NOTHING_WRONG));
    PK_LAUNCH(nudge_output, 1, 1, 0, stream_of(run), lab_of(run)->view.out, (*repetition)++);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static void free_repetition(pk_run *run)
{
    free(pk_run_variant_data(run));
}

/* The first answer handed out again, whatever the inputs are. */
static pk_status answer_kept(pk_run *run)
{
    const lab03_view *v = &lab_of(run)->view;
    const size_t bytes = lab03_outputs(v) * sizeof(float);
    float *kept = (float *)pk_run_variant_data(run);
    PK_TRY(run_wrong(run, NOTHING_WRONG));
    if (!kept) {
        PK_CHECK(cudaMalloc((void **)&kept, bytes));
        pk_run_set_variant_data(run, kept);
        PK_TRY(pk_device_copy(kept, v->out, bytes, stream_of(run)));
    }
    PK_TRY(pk_device_copy(v->out, kept, bytes, stream_of(run)));
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static void free_kept(pk_run *run)
{
    (void)cudaFree(pk_run_variant_data(run));
}

#define WRONG(name, summary, execute)                                                                                  \
    {                                                                                                                  \
        name, summary, PK_NEED_COOPERATIVE, NULL, execute, NULL                                                        \
    }
PK_VARIANTS(ladder) = {
    WRONG("nothing-wrong", "the kernel of all these, as it should be", nothing_wrong),
    WRONG("no-barrier", "steps without a barrier between them", no_barrier),
    WRONG("barrier-short", "a barrier that waits for all blocks but one", barrier_short),
    WRONG("barrier-endless", "a barrier that waits for one block too many", barrier_endless),
    WRONG("barrier-early", "a block arrives before all its threads have written", barrier_early),
    WRONG("stale-plan", "step 0's lengths at every step", stale_plan),
    WRONG("stale-query", "step 0's queries at every step", stale_query),
    WRONG("tile-twice", "a tile in two shares", tile_twice),
    WRONG("tile-left-out", "a tile in no share", tile_left_out),
    WRONG("one-buffer", "records written over those still being read", one_buffer),
    WRONG("no-rescale", "parts added without a common maximum", no_rescale),
    WRONG("arrival-order", "parts combined as they come", arrival_order),
    WRONG("own-head", "queries from their own head's output", own_head),
    WRONG("no-append", "the new row is not kept", no_append),
    WRONG("append-after-next", "the new row one position too far", append_after_next),
    WRONG("unmasked", "a row beyond the sequence counts", unmasked),
    WRONG("ring-right", "the kernel with a ring, as it should be", ring_right),
    WRONG("ring-unwaited", "a tile read without a wait for it", ring_unwaited),
    WRONG("ring-wait-short", "a wait for one tile too few", ring_wait_short),
    WRONG("ring-unshown", "a wait without a barrier of the block", ring_unshown),
    WRONG("ring-refilled", "a tile copied over the one that is read", ring_refilled),
    WRONG("ring-too-far", "tiles two steps ahead", ring_too_far),
    {"bulk-right", "the same by bulk copies", PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY, NULL, bulk_right, NULL},
    {"bulk-unwaited", "a tile read without a wait for its barrier", PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY, NULL,
     bulk_unwaited, NULL},
    {"bulk-one-behind", "a wait for the phase before", PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY, NULL,
     bulk_one_behind, NULL},
    {"bulk-refilled", "a tile copied over the one that is read", PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY, NULL,
     bulk_refilled, NULL},
    WRONG("no-wait", "returns before its work has ended", no_wait),
    WRONG("writes-nan", "the last output NaN", writes_nan),
    WRONG("past-the-end", "writes out[T]", past_the_end),
    {"ulp-drift", "one output a float further up each time", PK_NEED_COOPERATIVE, NULL, ulp_drift, free_repetition},
    {"answer-kept", "the first answer handed out again", PK_NEED_COOPERATIVE, NULL, answer_kept, free_kept},
};
PK_VARIANTS_END(ladder)
