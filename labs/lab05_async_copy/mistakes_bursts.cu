/* Lab 05, part three: planted mistakes. Each variant is wrong in one way that people get wrong, and the harness must
 * catch it: the tests lab05.mistake.burst-* run them one by one and demand the right exit code and reason. Keys are of
 * 128 numbers, as --quick has them. */
#include <math.h>

#include "lab05_bursts.cuh"

/* X(MISTAKE, function, "variant", form, "summary"): by ordinary loads, or by bulk copies. */
#define MISTAKES(X)                                                                                                    \
    X(LOADS_RIGHT, loads_right, "burst-loads-right", LOADS, "shaped by loads, as it should be")                        \
    X(CHUNK_LOST, chunk_lost, "burst-chunk-lost", LOADS, "a chunk taken, and not used")                                \
    X(ONE_BURST, one_burst, "burst-one-burst", LOADS, "all scores written as the first burst's")                       \
    X(LIMIT_IGNORED, limit_ignored, "burst-limit-ignored", LOADS, "more blocks than chunks may be under way")          \
    X(NEVER_ENDS, never_ends, "burst-never-ends", LOADS, "nobody counts that a chunk has ended")                       \
    X(WRITES_NAN, writes_nan, "burst-writes-nan", LOADS, "one score, NaN")                                             \
    X(ONE_ULP, one_ulp, "burst-ulp", LOADS, "one score, the next float up")                                            \
    X(ASTRAY, astray, "burst-astray", LOADS, "decode in a stream of its own")                                          \
    X(NOT_JOINED, not_joined, "burst-not-joined", LOADS, "nobody waits for decode")                                    \
    X(STEP_BAKED, step_baked, "burst-step-baked", LOADS, "where the step stands is an argument, captured once")        \
    X(LAYER_LOST, layer_lost, "burst-layer-lost", LOADS, "a step without its last layer")                              \
    X(DECODE_ULP, decode_ulp, "burst-decode-ulp", LOADS, "one of a step's outputs, the next float up")                 \
    X(BULK_RIGHT, bulk_right, "burst-bulk-right", BULK, "shaped by bulk copies, as it should be")                      \
    X(UNLANDED, unlanded, "burst-unlanded", BULK, "a chunk used when it has been asked for")                           \
    X(REUSED, reused, "burst-reused", BULK, "a slot filled again before it has been used")                             \
    X(GIVEN_EARLY, given_early, "burst-given-early", BULK, "a slot given back before it has been read")                \
    X(BEGUN_EARLY, begun_early, "burst-begun-early", BULK, "a chunk begun before there is a slot for it")              \
    X(MORE_EXPECTED, more_expected, "burst-more-expected", BULK, "the bytes of a whole chunk, of the last one too")

#define NUMBER(mistake, ...) mistake,
enum mistake { MISTAKES(NUMBER) };
#undef NUMBER

enum { DIM = 128 };

typedef struct lab05_burst_wrong { /* a kernel's argument */
    lab05_prefill p;
    int mistake;
} lab05_burst_wrong;

typedef struct lab05_layer_wrong { /* likewise */
    lab05_layer_view view;
    int step; /* -1: the board's */
    int mistake;
} lab05_layer_wrong;

/* ---- prefill ---- */

static __device__ inline void write_score(const lab05_burst_wrong *w, lab05_chunk c, int page, float sum)
{
    const lab05_prefill *const p = &w->p;
    const int burst = w->mistake == ONE_BURST ? 0 : c.burst;
    float *const at = p->v.out + (size_t)burst * p->v.pages + page;
    const bool odd = page == 7 % p->v.pages && burst == 0;
    lab05_write_burst_score(p, burst, page, sum, p->v.scale[page]);
    if (lab05_lane() > 0 || !odd)
        return;
    if (w->mistake == ONE_ULP)
        *at = __int_as_float(__float_as_int(*at) + 1);
    if (w->mistake == WRITES_NAN)
        *at = NAN;
}

/* As in the rung burst-shaped. */
static __global__ void shaped_wrong(lab05_burst_wrong w)
{
    __shared__ int taken[2];
    const lab05_prefill *const p = &w.p;
    const lab05_q q = lab05_q_of_lane<DIM>(&p->v);
    const int workers = (int)(blockDim.x / LAB05_WARP) - 1, mine = lab05_warp();
    const bool takes = mine == workers && lab05_lane() == 0;
    lab05_tally tally = {0, 0};
    if (takes) {
        lab05_clock_begins(p);
        taken[0] = lab05_take(p);
    }
    __syncthreads();
    for (int k = 0; taken[k % 2] < p->chunks; k++) {
        const lab05_chunk c = lab05_chunk_of(p, taken[k % 2]);
        const bool lost = w.mistake == CHUNK_LOST && taken[k % 2] == 3;
        if (takes) {
            lab05_chunk_begins(p, &tally);
            taken[(k + 1) % 2] = lab05_take(p);
            for (int i = 0; w.mistake == LIMIT_IGNORED && i < 200; i++) { /* so that another block has its turn */
                if (pk_load_relaxed_device(&p->board->under_way) > 1)
                    break;
                PK_POLL_PAUSE();
            }
        }
        for (int i = mine; mine < workers && i < c.pages && !lost; i += workers)
            write_score(&w, c, c.first + i,
                        lab05_sum_far<DIM>(&p->v, (const uint4 *)lab05_page(&p->v, c.first + i), &q));
        __syncthreads();
        if (takes && w.mistake != NEVER_ENDS)
            lab05_chunk_ends(p);
    }
    if (takes)
        lab05_prefill_ends(p, &tally);
}

/* As in the rung burst-native. */
static __device__ inline void ask_wrong(const lab05_burst_wrong *w, const lab05_slots *s, int k, const lab05_ahead *now,
                                        lab05_tally *tally)
{
    const lab05_prefill *const p = &w->p;
    const lab05_chunk c = lab05_chunk_of(p, now->chunk);
    const int slot = lab05_slot(s, k);
    const int expected = w->mistake == MORE_EXPECTED ? p->chunk_pages : c.pages;
    if (lab05_lane() == 0) {
        if (w->mistake == BEGUN_EARLY)
            lab05_chunk_begins(p, tally);
        if (w->mistake != REUSED)
            pk_async_barrier_wait(&s->empty[slot], lab05_slot_parity(s, k) ^ 1u);
        if (k >= s->count)
            lab05_chunk_ends(p);
        if (w->mistake != BEGUN_EARLY)
            lab05_chunk_begins(p, tally);
        s->chunk[slot] = now->chunk;
        pk_async_barrier_arrive_expect(&s->full[slot], (unsigned)expected * s->page_bytes);
    }
    __syncwarp();
    if (lab05_lane() < c.pages)
        pk_bulk_copy_once(lab05_slot_page(s, slot, lab05_lane()), lab05_page_of_entry(&p->v, now->entry), s->page_bytes,
                          &s->full[slot]);
}

static __device__ inline bool use_wrong(const lab05_burst_wrong *w, const lab05_slots *s, int k, int mine, int workers,
                                        const lab05_q *q)
{
    const lab05_prefill *const p = &w->p;
    const int slot = lab05_slot(s, k);
    const bool early = w->mistake == GIVEN_EARLY;
    const bool unlanded = w->mistake == UNLANDED && k == 0; /* once: the others would not know which chunk it is */
    if (!unlanded)
        pk_async_barrier_wait(&s->full[slot], lab05_slot_parity(s, k));
    while (unlanded && pk_load_relaxed_block((const unsigned *)&s->chunk[slot]) == ~1u)
        PK_POLL_PAUSE();
    if (s->chunk[slot] < 0)
        return false;
    const lab05_chunk c = lab05_chunk_of(p, s->chunk[slot]);
    if (early)
        pk_async_barrier_arrive(&s->empty[slot]);
    if (early)
        PK_POLL_PAUSE(); /* so that the producer has its turn */
    for (int i = mine; i < c.pages; i += workers)
        write_score(w, c, c.first + i, lab05_sum_page<DIM>(&p->v, (const uint16_t *)lab05_slot_page(s, slot, i), q));
    if (unlanded)
        pk_async_barrier_wait(&s->full[slot], 0);
    if (!early)
        pk_async_barrier_arrive(&s->empty[slot]);
    return true;
}

static __global__ void native_wrong(lab05_burst_wrong w)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab05_prefill *const p = &w.p;
    const lab05_slots s = lab05_slots_of_block(p, shared);
    const int workers = (int)(blockDim.x / LAB05_WARP) - 1;
    if (threadIdx.x == 0)
        s.chunk[0] = -2; /* none yet: UNLANDED looks for that */
    lab05_begin_slots(p, &s, workers);
    if (lab05_warp() > 0) {
        const lab05_q q = lab05_q_of_lane<DIM>(&p->v);
        for (int k = 0; use_wrong(&w, &s, k, lab05_warp() - 1, workers, &q); k++) {
        }
        return;
    }
    lab05_tally tally = {0, 0};
    lab05_ahead now = lab05_first_chunk(p);
    int k = 0;
    for (; now.chunk < p->chunks; k++) {
        const lab05_ahead next = lab05_next_chunk(p, &now);
        ask_wrong(&w, &s, k, &now, &tally);
        now = next;
    }
    if (lab05_lane() == 0)
        lab05_end_slots(p, &s, k, &tally);
}

/* ---- decode ---- */

static __global__ void decode_layer_wrong(lab05_layer_wrong w)
{
    const lab05_layer_view *const a = &w.view;
    const unsigned step = w.step >= 0 ? (unsigned)w.step : 0;
    const size_t width = (size_t)a->d.width;
    const bool last = a->layer == LAB05_LAYERS - 1;
    const float *in = lab05_layer_in(a);
    float *const out = w.step >= 0 && last ? a->d.out + step * width : lab05_layer_out(a);
    if (w.step >= 0 && a->layer == 0)
        in = step == 0 ? a->d.first : a->d.out + (step - 1) * width;
    if (lab05_note_step(a))
        return;
    lab05_layer(a, in, out);
    if (w.mistake == DECODE_ULP && last && blockIdx.x == 0 && threadIdx.x == 0 && a->d.board->step == 2)
        out[0] = __int_as_float(__float_as_int(out[0]) + 1);
}

static pk_status step_wrong(const lab05_decode *d, int mistake, cudaStream_t stream)
{
    lab05_layer_wrong w = {{*d, 0}, mistake == STEP_BAKED ? 0 : -1, mistake};
    const int layers = mistake == LAYER_LOST ? LAB05_LAYERS - 1 : LAB05_LAYERS;
    for (; w.view.layer < layers; w.view.layer++)
        PK_LAUNCH(decode_layer_wrong, lab05_decode_blocks(d), LAB05_DECODE_THREADS, 0, stream, w);
    return PK_OK;
}

/* ---- launches ---- */

static __global__ void plain_prefill(lab05_prefill p) /* what the plans are asked for: as large as those here */
{
    (void)p;
}

static pk_status plan_loads(pk_run *run)
{
    return lab05_plan_shaped(run, plain_prefill);
}

static pk_status plan_bulk(pk_run *run)
{
    return lab05_plan_native(run, plain_prefill);
}

enum { LOADS, BULK };

#define LAUNCH(kernel, blocks)                                                                                         \
    do {                                                                                                               \
        if (p->shared_bytes > 0)                                                                                       \
            PK_CHECK(cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,           \
                                          (int)p->shared_bytes));                                                      \
        PK_LAUNCH(kernel, (unsigned)(blocks), (unsigned)p->threads, p->shared_bytes, stream, w);                       \
    } while (0)

static pk_status prefill_wrong(pk_run *run, int form, int mistake)
{
    const lab05_burst_plan *const p = lab05_burst_plan_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab05_burst_wrong w = {p->prefill, mistake};
    if (form == LOADS)
        LAUNCH(shaped_wrong, mistake == LIMIT_IGNORED ? p->blocks + 3 : p->blocks);
    else
        LAUNCH(native_wrong, p->blocks);
    return PK_OK;
}

static pk_status decode_wrong(pk_run *run, int mistake, cudaStream_t stream)
{
    const lab05_decode *const d = &lab05_bursts_of(run)->decode;
    for (int step = 0; step < d->steps; step++)
        PK_TRY(step_wrong(d, mistake, stream));
    return lab05_decode_end(d, stream);
}

/* Decode kernel by kernel: what it is about is not the graph. */
static pk_status burst_wrong(pk_run *run, int form, int mistake)
{
    const lab05_burst_plan *const p = lab05_burst_plan_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    cudaStream_t own = p->urgent;
    if (mistake == ASTRAY)
        PK_CHECK(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
    PK_CHECK(cudaEventRecord(p->forked, stream));
    PK_CHECK(cudaStreamWaitEvent(own, p->forked, 0));
    PK_TRY(prefill_wrong(run, form, mistake));
    PK_TRY(decode_wrong(run, mistake, own));
    PK_CHECK(cudaEventRecord(p->joined, own));
    if (mistake != NOT_JOINED)
        PK_CHECK(cudaStreamWaitEvent(stream, p->joined, 0));
    PK_TRY(lab05_fetch_notes(run));
    if (mistake == ASTRAY)
        PK_CHECK(cudaStreamDestroy(own));
    return PK_OK;
}

#define FUNCTION(mistake, function, name, form, ...)                                                                   \
    static pk_status function(pk_run *run)                                                                             \
    {                                                                                                                  \
        return burst_wrong(run, form, mistake);                                                                        \
    }
MISTAKES(FUNCTION)

#define NEEDS_LOADS 0
#define NEEDS_BULK PK_NEED_BULK_ASYNC_COPY
#define PLAN_LOADS plan_loads
#define PLAN_BULK plan_bulk
#define ROW(mistake, function, name, form, summary)                                                                    \
    {name, summary, NEEDS_##form, PLAN_##form, function, lab05_forget_bursts},
PK_VARIANTS(mistakes_bursts) = {MISTAKES(ROW)};
PK_VARIANTS_END(mistakes_bursts)
