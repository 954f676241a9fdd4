/* Lab 03, cooperative kernel: planted mistakes. Each variant is wrong in one way that has been made for real, and the
 * harness must catch it: the tests lab03.mistake.* run them one by one and demand the right exit code and reason. They
 * fill in the steps of the student's file as it would be, but for the one thing, or run the third rung's step with one
 * thing wrong; heads are of 64 floats, as --quick has them. */
#include "lab03_barrier.cuh"
#include "lab03_plan.cuh"
#include "lab03_roles.cuh"

#include <math.h>

#define GRID PK_NEED_COOPERATIVE
#define BULK (PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY)

/* What one kernel does wrong: X(MISTAKE, function, "variant", needs, "summary"). From RING_RIGHT on it is the fourth
 * rung's, with a ring of tiles; from BULK_RIGHT on that ring is filled by bulk copies, and from ROLES_RIGHT on by a
 * warp of its own. */
#define MISTAKES(X)                                                                                                    \
    X(NOTHING_WRONG, nothing_wrong, "nothing-wrong", GRID, "the kernel of all these, as it should be")                 \
    X(NO_BARRIER, no_barrier, "no-barrier", GRID, "steps without a barrier between them")                              \
    X(BARRIER_SHORT, barrier_short, "barrier-short", GRID, "a barrier that waits for all blocks but one")              \
    X(BARRIER_ENDLESS, barrier_endless, "barrier-endless", GRID, "a barrier that waits for one block too many")        \
    X(BARRIER_BY_SIZE, barrier_by_size, "barrier-by-size", GRID, "counts compared by size, where they may wrap")       \
    X(BARRIER_EARLY, barrier_early, "barrier-early", GRID, "a block arrives before all its threads have written")      \
    X(BARRIER_OF_BLOCK, barrier_of_block, "barrier-of-block", GRID, "a barrier of the grid at the scope of a block")   \
    X(STALE_PLAN, stale_plan, "stale-plan", GRID, "step 0's lengths at every step")                                    \
    X(STALE_QUERY, stale_query, "stale-query", GRID, "step 0's queries at every step")                                 \
    X(TILE_TWICE, tile_twice, "tile-twice", GRID, "every share begins a tile early")                                   \
    X(TILE_LEFT_OUT, tile_left_out, "tile-left-out", GRID, "every share ends a tile early")                            \
    X(ONE_BUFFER, one_buffer, "one-buffer", GRID, "records written over those still being read")                       \
    X(NO_RESCALE, no_rescale, "no-rescale", GRID, "parts added without a common maximum")                              \
    X(NO_MAXIMUM, no_maximum, "no-maximum", GRID, "parts added as if their maximum were 0")                            \
    X(FIRST_MAXIMUM, first_maximum, "first-maximum", GRID, "parts added with the first one's maximum")                 \
    X(ARRIVAL_ORDER, arrival_order, "arrival-order", GRID, "parts combined as they come")                              \
    X(OWN_HEAD, own_head, "own-head", GRID, "queries from their own head's output: no other block is needed")          \
    X(NO_APPEND, no_append, "no-append", GRID, "the new row is used and then forgotten")                               \
    X(APPEND_AFTER_NEXT, append_after_next, "append-after-next", GRID, "the new row one position too far")             \
    X(UNMASKED, unmasked, "unmasked", GRID, "a row beyond the sequence counts")                                        \
    X(RING_RIGHT, ring_right, "ring-right", GRID, "the kernel with a ring, as it should be")                           \
    X(RING_UNWAITED, ring_unwaited, "ring-unwaited", GRID, "a tile read without a wait for it")                        \
    X(RING_WAIT_SHORT, ring_wait_short, "ring-wait-short", GRID, "a wait for one tile too few")                        \
    X(RING_UNSHOWN, ring_unshown, "ring-unshown", GRID, "a wait without a barrier of the block")                       \
    X(RING_REFILLED, ring_refilled, "ring-refilled", GRID, "a tile copied over the one that is read")                  \
    X(RING_TOO_FAR, ring_too_far, "ring-too-far", GRID, "tiles two steps ahead, whose rows are not all there yet")     \
    X(BULK_RIGHT, bulk_right, "bulk-right", BULK, "the same by bulk copies, as it should be")                          \
    X(BULK_UNWAITED, bulk_unwaited, "bulk-unwaited", BULK, "a tile read without a wait for its barrier")               \
    X(BULK_ONE_BEHIND, bulk_one_behind, "bulk-one-behind", BULK, "a wait for the phase before this tile's")            \
    X(BULK_REFILLED, bulk_refilled, "bulk-refilled", BULK, "a tile copied over the one that is read")                  \
    X(ROLES_RIGHT, roles_right, "roles-right", BULK, "the fifth rung's kernel, as it should be")                       \
    X(ROLES_GIVEN_EARLY, roles_given_early, "roles-given-early", BULK, "a buffer given back before it has been read")  \
    X(ROLES_UNASKED, roles_unasked, "roles-unasked", BULK, "a buffer filled again before it was given back")           \
    X(ROLES_BARRIER_0, roles_barrier_0, "roles-barrier-0", BULK, "the consumers meet at __syncthreads' own barrier")   \
    X(ROLES_PRODUCER_MEETS, roles_producer_meets, "roles-producer-meets", BULK, "the producer's warp comes to it too")

#define NUMBER(mistake, ...) mistake,
typedef enum mistake { MISTAKES(NUMBER) } mistake;
#undef NUMBER

enum { DIM = 64, RECORD = LAB03_HEADS * DIM + 2 * LAB03_HEADS };

typedef struct wrong_view { /* a kernel's argument; what the lab's headers hand on is its first member */
    lab03_view view;
    mistake wrong;
} wrong_view;

static __device__ inline mistake mistake_of(const lab03_view *v)
{
    return ((const wrong_view *)v)->wrong;
}

/* ---- the third rung ---- */

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
    if (threadIdx.x == 0 && wrong == BARRIER_OF_BLOCK) {
        (void)pk_add_acquire_release_block(arrivals, 1u);
        while ((int)(pk_load_acquire_block(arrivals) - target) < 0)
            LAB03_POLL_PAUSE();
    } else if (threadIdx.x == 0) {
        pk_add_release_device(arrivals, 1);
        while (wrong == BARRIER_BY_SIZE ? pk_load_acquire_device(arrivals) < target
                                        : (int)(pk_load_acquire_device(arrivals) - target) < 0)
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

/* Parts added as they are, or relative to another maximum than that of all of them. */
static __device__ inline float4 merge_wrongly(const float *records, int count, int e, float *l, mistake wrong)
{
    const float *const maxima = records + LAB03_HEADS * DIM + e / DIM;
    const float top = wrong == FIRST_MAXIMUM ? maxima[0] : 0;
    float4 o = make_float4(0, 0, 0, 0);
    *l = 0;
    for (int i = 0; i < count; i++) {
        const float factor = wrong == NO_RESCALE ? 1 : exp2f(maxima[i * RECORD] - top);
        const float4 part = *(const float4 *)(records + i * RECORD + e);
        o = make_float4(o.x + factor * part.x, o.y + factor * part.y, o.z + factor * part.z, o.w + factor * part.w);
        *l += factor * maxima[i * RECORD + LAB03_HEADS];
    }
    return o;
}

template <int D>
static __device__ inline float4 combined_output(const lab03_view *v, int step, int sequence, int head, int e)
{
    const mistake wrong = mistake_of(v);
    int first, last;
    float m, l;
    const int index = lab03_head_slots(v, step, gridDim.x, sequence, head, &first, &last);
    const float *const records = record_at(v, step, first, wrong);
    const int count = last - first + 1;
    const bool merges_wrongly = wrong == NO_RESCALE || wrong == NO_MAXIMUM || wrong == FIRST_MAXIMUM;
    const float4 o = merges_wrongly ? merge_wrongly(records, count, index * DIM + e, &l, wrong)
                                    : lab03_merge_records<D>(records, count, index * DIM + e, &m, &l);
    return make_float4(o.x / l, o.y / l, o.z / l, o.w / l);
}

/* Where the sources were, each head's own output. */
static __device__ inline void take_own_heads(const lab03_view *v, int step, const lab03_walk *walk, float *sources)
{
    __syncthreads();
    for (int i = threadIdx.x; i < LAB03_BATCH * DIM; i += blockDim.x) {
        const int index = i % DIM * 4 / DIM, e = i % DIM * 4 % DIM;
        const lab03_segment s = lab03_segment_after(v, step, walk, blockIdx.x, i / DIM);
        if (index < s.heads)
            *(float4 *)(sources + 4 * i) = combined_output<DIM>(v, step - 1, s.sequence, s.first_head + index, e);
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
        lab03_append<DIM>(v, &next, step);
    uint16_t *const row = v->k_cache + lab03_row_offset<DIM>(v, s, s->keys - 1);
    for (int i = threadIdx.x; i < DIM; i += blockDim.x)
        row[i] = 0xffff; /* as it was */
}

/* The share's next segment, and its record. */
static __device__ inline void wrong_segment(const lab03_view *v, int step, int planned, lab03_segment s, bool last,
                                            unsigned target, const float *q, float *shared)
{
    const mistake wrong = mistake_of(v);
    if (wrong == UNMASKED && s.end_key == s.keys && s.end_key < v->capacity)
        s.end_key = ++s.keys;
    lab03_attend<DIM>(v, step, &s, q, shared);
    __syncthreads();
    spoil_append(v, &s, step, wrong);
    if (wrong == BARRIER_EARLY && last && threadIdx.x > 0)
        be_late(v->barrier, target);
    lab03_write_record<DIM>(shared, lab03_segment_warps(&s, blockDim.x / LAB03_WARP),
                            record_at(v, step, slot_of(v, planned, &s, wrong), wrong), blockDim.x);
    if (wrong != BARRIER_EARLY)
        __syncthreads();
}

static __device__ inline lab03_walk wrong_share(const lab03_view *v, int step, mistake wrong)
{
    lab03_walk walk = lab03_share(v, step, blockIdx.x, gridDim.x);
    if (wrong == TILE_TWICE && walk.tile > 0) {
        walk.tile--;
        walk.sequence = 0; /* it may be in the one before */
    }
    if (wrong == TILE_LEFT_OUT && walk.end > walk.tile + 1)
        walk.end--;
    return walk;
}

static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_wrong(wrong_view w)
{
    PK_DYNAMIC_SHARED(float, shared);
    const lab03_view *const v = &w.view;
    float *const sources = lab03_shared_sources<DIM>(shared), *const q = lab03_shared_queries<DIM>(shared);
    unsigned target = v->barrier_start;
    for (int step = 0; step < v->steps; step++) {
        const int planned = w.wrong == STALE_PLAN ? 0 : step;
        lab03_walk walk = wrong_share(v, planned, w.wrong);
        target += gridDim.x;
        while (walk.tile < walk.end) {
            if (step > 0)
                lab03_combine_batch<DIM>(v, step - 1, planned, &walk, sources, blockDim.x);
            if (step > 0 && w.wrong == OWN_HEAD)
                take_own_heads(v, step, &walk, sources);
            __syncthreads();
            lab03_project_batch<DIM>(v, w.wrong == STALE_QUERY ? 0 : step, &walk, blockIdx.x, sources, q, blockDim.x);
            __syncthreads();
            for (int i = 0; i < LAB03_BATCH && walk.tile < walk.end; i++) {
                const lab03_segment s = lab03_next(v, planned, &walk, blockIdx.x);
                wrong_segment(v, step, planned, s, walk.tile == walk.end, target, q + i * LAB03_HEADS * DIM, shared);
            }
        }
        meet(v->barrier, target, w.wrong);
    }
    lab03_write_last_outputs<DIM>(v, sources, blockDim.x);
}

/* ---- tiles copied ahead ---- */

/* Of each buffer, for bulk copies, which one thread asks for. */
static __device__ inline pk_async_barrier *full_barriers(void)
{
    __shared__ pk_async_barrier full[LAB03_MOST_STAGES];
    return full;
}

template <int D> static __device__ inline void fill_ring(const lab03_view *v, int step, lab03_copies *c, uint16_t *ring)
{
    const mistake wrong = mistake_of(v);
    const int buffers = v->stages + (wrong == RING_REFILLED || wrong == BULK_REFILLED);
    const int last_step = step + (wrong == RING_TOO_FAR ? 2 : 1);
    while (c->asked - c->used < buffers && c->next.step < v->steps && c->next.step <= last_step) {
        const int stage = c->asked % v->stages;
        if (wrong < BULK_RIGHT) {
            lab03_copy_tile<D>(v, &c->next, lab03_buffer<D>(v, ring, stage));
            pk_async_commit();
        } else if (threadIdx.x == 0) {
            lab03_copy_tile_in_bulk<D>(v, &c->next, lab03_buffer<D>(v, ring, stage), &full_barriers()[stage]);
        }
        lab03_ahead_next(v, &c->next, blockIdx.x, gridDim.x);
        c->asked++;
    }
}

template <int D> static __device__ inline void next_tile(const lab03_view *v, int step, lab03_copies *c, uint16_t *ring)
{
    const mistake wrong = mistake_of(v);
    const int round = c->used / v->stages - (wrong == BULK_ONE_BEHIND);
    if (wrong >= BULK_RIGHT && wrong != BULK_UNWAITED)
        pk_async_barrier_wait(&full_barriers()[c->used % v->stages], round & 1);
    if (wrong < BULK_RIGHT && wrong != RING_UNWAITED)
        lab03_wait_groups(c->asked - c->used - (wrong == RING_WAIT_SHORT ? 0 : 1));
    if (wrong != RING_UNSHOWN)
        __syncthreads();
    fill_ring<D>(v, step, c, ring);
}

static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_wrong_ring(wrong_view w)
{
    PK_DYNAMIC_SHARED(float, shared);
    const lab03_view *const v = &w.view;
    lab03_copies c = {lab03_ahead_begin(v, blockIdx.x, gridDim.x), 0, 0};
    unsigned target = v->barrier_start;
    if (w.wrong >= BULK_RIGHT && threadIdx.x == 0) {
        for (int i = 0; i < v->stages; i++)
            pk_async_barrier_init(&full_barriers()[i], 1);
        pk_async_barrier_init_fence();
    }
    __syncthreads();
    for (int step = 0; step < v->steps; step++) {
        if (w.wrong >= BULK_RIGHT)
            pk_async_fence(); /* appends that the barrier has ordered, before copies that read them */
        fill_ring<DIM>(v, step, &c, lab03_shared_ring<DIM>(shared));
        lab03_ring_share_of_step<DIM>(v, step, lab03_share(v, step, blockIdx.x, gridDim.x), &c, shared);
        meet(v->barrier, target += gridDim.x, w.wrong);
    }
    lab03_write_last_outputs<DIM>(v, lab03_shared_sources<DIM>(shared), blockDim.x);
}

/* ---- warps with roles ---- */

template <int D>
static __device__ inline void ask_for_tile(const lab03_view *v, lab03_roles *r, lab03_place at, const lab03_ahead *next,
                                           uint16_t *tile)
{
    if (mistake_of(v) != ROLES_UNASKED)
        pk_async_barrier_wait(&r->empty[at.stage], at.parity ^ 1);
    lab03_copy_tile_in_bulk<D>(v, next, tile, &r->full[at.stage]);
}

template <int D>
static __device__ inline void use_tile(const lab03_view *v, lab03_roles *r, lab03_place at, const uint16_t *tile,
                                       int rows, int warps, int *turn, lab03_state<D> *state)
{
    const bool early = mistake_of(v) == ROLES_GIVEN_EARLY;
    pk_async_barrier_wait(&r->full[at.stage], at.parity);
    if (early && lab03_lane() == 0)
        pk_async_barrier_arrive(&r->empty[at.stage]);
    lab03_attend_tile<D>(state, v, tile, rows, warps, turn);
    __syncwarp();
    if (!early && lab03_lane() == 0)
        pk_async_barrier_arrive(&r->empty[at.stage]);
}

static __device__ inline void meet_as_consumers(lab03_roles *r, unsigned *arrivals, unsigned target, mistake wrong)
{
    pk_warps_sync(&r->meeting, wrong == ROLES_BARRIER_0 ? 0 : 1, lab03_consumer_threads());
    if (threadIdx.x == 0) {
        pk_add_release_device(arrivals, 1);
        while ((int)(pk_load_acquire_device(arrivals) - target) < 0)
            LAB03_POLL_PAUSE();
    }
    lab03_meet_consumers(r);
}

static __global__ void __launch_bounds__(LAB03_MOST_THREADS) attention_wrong_roles(wrong_view w)
{
    PK_DYNAMIC_SHARED(float, shared);
    const lab03_view *const v = &w.view;
    lab03_roles *const r = lab03_shared_roles<DIM>(v, shared);
    lab03_begin_roles(v, r);
    if ((int)threadIdx.x >= lab03_consumer_threads()) {
        if (w.wrong == ROLES_PRODUCER_MEETS)
            lab03_meet_consumers(r);
        if ((int)threadIdx.x == lab03_consumer_threads())
            lab03_produce<DIM>(v, r, lab03_shared_ring<DIM>(shared));
        return;
    }
    lab03_place at = {0, 0};
    unsigned target = v->barrier_start;
    for (int step = 0; step < v->steps; step++) {
        lab03_consume_step<DIM>(v, step, lab03_share(v, step, blockIdx.x, gridDim.x), r, &at, shared);
        meet_as_consumers(r, v->barrier, target += gridDim.x, w.wrong);
        lab03_tell_producer(v, r, step);
    }
    lab03_write_last_outputs<DIM>(v, lab03_shared_sources<DIM>(shared), lab03_consumer_threads());
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
    wrong_view w = {lab->view, wrong};
    size_t bytes = lab03_shared_bytes(lab);
    if (lab->view.head_dim != DIM)
        return pk_fail(PK_USAGE, "lab03: the planted mistakes are made with --head-dim=%d", DIM);
    if (wrong < RING_RIGHT) {
        PK_LAUNCH_COOPERATIVE(attention_wrong, blocks, lab->threads, bytes, stream_of(run), w);
        return PK_OK;
    }
    w.view.stages = lab->stages;
    bytes += lab->stages * lab03_tile_elements<DIM>(&w.view) * sizeof(uint16_t);
    void (*attention_wrong_tiles)(wrong_view) = attention_wrong_ring;
    if (wrong >= ROLES_RIGHT) {
        attention_wrong_tiles = attention_wrong_roles;
        bytes += sizeof(lab03_roles);
    }
    PK_CHECK(cudaFuncSetAttribute(attention_wrong_tiles, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes));
    PK_LAUNCH_COOPERATIVE(attention_wrong_tiles, blocks, lab->threads, bytes, stream_of(run), w);
    return PK_OK;
}

static pk_status run_wrong(pk_run *run, mistake wrong)
{
    PK_TRY(launch_wrong(run, wrong));
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

#define FUNCTION(mistake, function, ...)                                                                               \
    static pk_status function(pk_run *run)                                                                             \
    {                                                                                                                  \
        return run_wrong(run, mistake);                                                                                \
    }
MISTAKES(FUNCTION)

/* Returns while the device is still at work. */
static pk_status no_wait(pk_run *run)
{
    return launch_wrong(run, NOTHING_WRONG);
}

/* Right as long as all blocks happen to be resident. */
static pk_status ordinary_launch(pk_run *run)
{
    const lab03 *lab = lab_of(run);
    const wrong_view w = {lab->view, NOTHING_WRONG};
    PK_LAUNCH(attention_wrong, lab->blocks ? lab->blocks : pk_run_device(run)->processors, lab->threads,
              lab03_shared_bytes(lab), stream_of(run), w);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
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
            return pk_out_of_memory("lab03");
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

#define ROW(mistake, function, name, needs, summary) {name, summary, needs, NULL, function, NULL},
PK_VARIANTS(ladder) = {
    MISTAKES(ROW){"no-wait", "returns before its work has ended", GRID, NULL, no_wait, NULL},
    {"ordinary-launch", "blocks that wait for each other, launched as if they did not", GRID, NULL, ordinary_launch,
     NULL},
    {"writes-nan", "the last output NaN", GRID, NULL, writes_nan, NULL},
    {"past-the-end", "writes out[T]", GRID, NULL, past_the_end, NULL},
    {"ulp-drift", "one output a float further up each time", GRID, NULL, ulp_drift, free_repetition},
    {"answer-kept", "the first answer handed out again", GRID, NULL, answer_kept, free_kept},
};
PK_VARIANTS_END(ladder)
