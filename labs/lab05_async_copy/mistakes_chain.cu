/* Lab 05, part two: planted mistakes. Each variant is wrong in one way that people get wrong, and the harness must
 * catch it. The kernel is the lab's own, lab05_chain_stream.cuh; what the ladder fills in is here, and asks v->planted.
 */
#include <math.h>

#include "lab05_chain_plan.cuh"

/* X(MISTAKE, function, "variant", form, "summary") */
#define MISTAKES(X)                                                                                                    \
    X(CHAIN_RIGHT, chain_right, "chain-right", FLAG, "blocks wait for outputs, as it should be")                       \
    X(BARRIER_RIGHT, barrier_right, "chain-barrier-right", BARRIER, "blocks meet behind every phase, as it should be") \
    X(NO_BARRIER, no_barrier, "chain-no-barrier", BARRIER, "nobody waits at the barriers")                             \
    X(FLAG_ZERO, flag_zero, "chain-flag-zero", FLAG, "0 stands for an output that is not there yet")                   \
    X(NOT_POISONED, not_poisoned, "chain-not-poisoned", FLAG, "the next pass's set is left as it was")                 \
    X(POISON_LAST, poison_last, "chain-poison-last", FLAG, "the last pass poisons as well")                            \
    X(NO_MEETING, no_meeting, "chain-no-meeting", FLAG, "no barrier between passes, and a block that is late")         \
    X(SLICE_OLD, slice_old, "chain-slice-old", FLAG, "what was missing is waited for, and not read again")             \
    X(OTHER_STAGE, chain_other_stage, "chain-other-stage", FLAG, "a wait for the chunk behind")                        \
    X(PARITY_STUCK, chain_parity_stuck, "chain-parity-stuck", FLAG, "the first turn's parity in every turn")           \
    X(UNWAITED, chain_unwaited, "chain-unwaited", BARRIER, "a chunk used when it has been asked for")                  \
    X(GIVEN_EARLY, given_early, "chain-given-early", BARRIER, "a stage given back before it has been used")            \
    X(ONE_WARP_GIVES, one_warp_gives, "chain-one-warp-gives", FLAG, "one warp gives the stage back for all")           \
    X(HELD_BY_ITSELF, held_by_itself, "chain-held-by-itself", FLAG, "a copy waits until it has landed itself")         \
    X(ROW_LOST, chain_row_lost, "chain-row-lost", FLAG, "the last row's output is not written")                        \
    X(UNIT_LOST, unit_lost, "chain-unit-lost", FLAG, "the last columns left out")                                      \
    X(ONE_ULP, chain_ulp, "chain-ulp", FLAG, "the last row's output, the next float up")                               \
    X(WRITES_NAN, chain_nan, "chain-nan", FLAG, "the last row's output, NaN")                                          \
    X(PAST_THE_END, chain_past_the_end, "chain-past-the-end", FLAG, "an output too many")                              \
    X(SHARES_SHORT, shares_short, "chain-shares-short", SHARES, "shares that leave the last row out")

#define NUMBER(mistake, ...) mistake,
enum mistake { MISTAKES(NUMBER) };
#undef NUMBER

static __device__ inline void meet_blocks(unsigned *arrivals, unsigned target)
{
    pk_add_release_device(arrivals, 1u);
    while (pk_load_acquire_device(arrivals) < target)
        PK_SPIN_PAUSE();
}

static __device__ inline void hold_back(const lab05_chain_view *v, const lab05_chain_block *b,
                                        const lab05_chain_asking *at)
{
    if (v->planted == HELD_BY_ITSELF)
        pk_async_barrier_wait(&b->full[at->turn.stage], at->turn.parity);
    else if (at->k >= v->limit)
        pk_async_barrier_wait(&b->full[at->behind.stage], at->behind.parity);
}

static __device__ inline void ask_chunk(const lab05_chain_view *v, const lab05_chain_block *b,
                                        const lab05_chain_asking *at, const unsigned char *from, unsigned bytes)
{
    pk_async_barrier *const full = &b->full[at->turn.stage];
    pk_async_barrier_wait(&b->empty[at->turn.stage], at->turn.parity ^ 1u);
    pk_async_barrier_arrive_expect(full, bytes);
    pk_bulk_copy(lab05_chain_buffer(v, b, at->turn), from, bytes, full);
}

template <int U, int N>
static __device__ inline void use_chunk(const lab05_chain_view *v, const lab05_chain_block *b, pk_ring_turn turn,
                                        const lab05_chain_slice<U> *x, int rows, int first, int units, float *sum)
{
    const pk_ring_turn waits_for = v->planted == OTHER_STAGE ? pk_ring_next(turn, v->stages) : turn;
    const bool gives = v->planted != ONE_WARP_GIVES || lab05_chain_warp() == 0;
    if (v->planted != UNWAITED)
        pk_async_barrier_wait(&b->full[waits_for.stage], v->planted == PARITY_STUCK ? 0 : waits_for.parity);
    if (v->planted == GIVEN_EARLY) {
        if (gives)
            pk_async_barrier_arrive(&b->empty[turn.stage]);
        PK_POLL_PAUSE(); /* so that the producer has its turn */
    }
    lab05_chain_add<U, N>(b, lab05_chain_buffer(v, b, turn), x, rows, first,
                          v->planted == UNIT_LOST ? units - 1 : units, sum);
    if (gives && v->planted != GIVEN_EARLY)
        pk_async_barrier_arrive(&b->empty[turn.stage]);
}

/* Whether one of four outputs is 0. */
static __device__ inline bool has_zero(const float *four)
{
    const float4 got = pk_load_relaxed_device_4(four);
    return got.x == 0 || got.y == 0 || got.z == 0 || got.w == 0;
}

template <int U>
static __device__ inline void wait_for_slice(const lab05_chain_view *v, const lab05_chain_block *b, const float *x,
                                             int units, lab05_chain_slice<U> *slice)
{
    const float *missing = lab05_chain_read_slice<U>(b, x, units, slice);
    while (missing) {
        while (lab05_chain_lacks(missing))
            PK_SPIN_PAUSE();
        if (v->planted == SLICE_OLD)
            return;
        missing = lab05_chain_read_slice<U>(b, x, units, slice);
    }
    if (v->planted == FLAG_ZERO && lab05_chain_thread() < units)
        while (has_zero(x + lab05_chain_thread() * 8))
            PK_SPIN_PAUSE();
}

/* NO_MEETING: with --shape=uneven --blocks=10 nobody waits for what block LATE makes before the last phase. When it has
 * written its last output of the first pass it stands still until the others have come so far as to poison what it
 * reads next. That they cannot if they meet. */
enum { LATE = 5 };

static __device__ inline void be_late(const float *x)
{
    enum { PATIENCE = 1 << 26 };
    while (lab05_chain_lacks(x))
        PK_POLL_PAUSE();
    for (int i = 0; i < PATIENCE && !lab05_chain_lacks(x); i++)
        PK_POLL_PAUSE();
}

static __device__ inline void write_output(const lab05_chain_view *v, int pass, int at, float value)
{
    const lab05_chain_part *const part = &v->parts[((size_t)blockIdx.x + 1) * (size_t)v->phases - 1];
    const bool its_last = at == part->out + part->rows - 1, last = its_last && blockIdx.x == gridDim.x - 1;
    if (v->planted == PAST_THE_END && last)
        lab05_chain_store(v->out + LAB05_CHAIN_SETS * v->set_floats, value);
    if (v->planted == ONE_ULP && last)
        value = __int_as_float(__float_as_int(value) + 1);
    if (v->planted == WRITES_NAN && last)
        value = NAN;
    if (v->planted != ROW_LOST || !last)
        lab05_chain_store(lab05_chain_set(v, pass) + at, value);
    if (v->planted != NOT_POISONED && (pass + 1 < v->passes || v->planted == POISON_LAST))
        lab05_chain_store(lab05_chain_set(v, pass + 1) + at, lab05_chain_poison());
    if (v->planted == NO_MEETING && blockIdx.x == LATE && pass == 0 && its_last)
        be_late(lab05_chain_set(v, 0) + v->parts[0].x);
}

static __device__ inline void order_passes(const lab05_chain_view *v, const lab05_chain_block *b, lab05_chain_place *at)
{
    if (at->phase == 0 && at->pass > 0 && v->planted != NO_MEETING)
        lab05_chain_meet(v, b, at);
}

/* ---- launches ---- */

static pk_status short_shares(pk_run *run, const lab05_chain_phase *phase, int blocks, double fair, const double *had,
                              int *ends)
{
    PK_TRY(lab05_chain_even_shares(run, phase, blocks, fair, had, ends));
    ends[blocks - 1]--;
    return PK_OK;
}

static pk_status plan_flag(pk_run *run)
{
    return lab05_chain_plan_stream(run, stream_chain<LAB05_CHAIN_FLAG>, 16, 32, lab05_chain_even_shares);
}

static pk_status plan_barrier(pk_run *run)
{
    return lab05_chain_plan_stream(run, stream_chain<LAB05_CHAIN_BARRIER>, 16, 32, lab05_chain_even_shares);
}

static pk_status plan_shares(pk_run *run)
{
    return lab05_chain_plan_stream(run, stream_chain<LAB05_CHAIN_FLAG>, 16, 32, short_shares);
}

static pk_status chain_wrong(pk_run *run, int mistake)
{
    const lab05_chain_plan *const p = lab05_chain_plan_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab05_chain_kernel chain = p->kernel;
    lab05_chain_view v = p->view;
    v.planted = mistake;
    if (mistake == NO_BARRIER) /* the counter is past every target from the beginning */
        PK_TRY(pk_device_fill(v.arrivals, 0x40, sizeof *v.arrivals, stream));
    PK_LAUNCH_COOPERATIVE(chain, p->blocks, p->threads, p->shared_bytes, stream, v);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

#define FUNCTION(mistake, function, name, form, summary)                                                               \
    static pk_status function(pk_run *run)                                                                             \
    {                                                                                                                  \
        return chain_wrong(run, mistake);                                                                              \
    }
MISTAKES(FUNCTION)

enum { NATIVE = PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY };
#define PLAN_FLAG plan_flag
#define PLAN_BARRIER plan_barrier
#define PLAN_SHARES plan_shares
#define ROW(mistake, function, name, form, summary)                                                                    \
    {name, summary, NATIVE, PLAN_##form, function, lab05_chain_free_plan},
PK_VARIANTS(mistakes_chain) = {MISTAKES(ROW)};
PK_VARIANTS_END(mistakes_chain)
