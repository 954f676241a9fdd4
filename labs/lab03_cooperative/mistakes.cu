/* Lab 03, cooperative kernel: planted mistakes. Each variant is wrong in one way that has been made for real, and the
 * harness must catch it: the tests lab03.mistake.* run them one by one and demand the right exit code and reason. They
 * are all one kernel, the third rung's, that does one thing wrong; heads are of 64 floats, as --quick has them. */
#include "lab03_attention.cuh"

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
    UNMASKED           /* the last chunk takes rows beyond the sequence */
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
        if (wrong == TILE_TWICE && walk.tile > 0)
            walk.tile--;
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
                lab03_write_record<D>(shared, lab03_segment_warps(&s),
                                      record_at(&v, step, slot_of(&v, planned, &s, wrong), wrong));
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
    PK_LAUNCH_COOPERATIVE(attention_wrong, blocks, lab->threads, floats * sizeof(float), stream_of(run), lab->view,
                          wrong);
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
    WRONG("no-wait", "returns before its work has ended", no_wait),
    WRONG("writes-nan", "the last output NaN", writes_nan),
    WRONG("past-the-end", "writes out[T]", past_the_end),
    {"ulp-drift", "one output a float further up each time", PK_NEED_COOPERATIVE, NULL, ulp_drift, free_repetition},
    {"answer-kept", "the first answer handed out again", PK_NEED_COOPERATIVE, NULL, answer_kept, free_kept},
};
PK_VARIANTS_END(ladder)
