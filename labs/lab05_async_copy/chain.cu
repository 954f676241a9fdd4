/* Lab 05, part two: the ladder of --work=chain. Fill in the steps; the page is CHAIN.md beside this file.
 *
 *   chain-barrier  one kernel, its blocks meet behind every phase; plain loads
 *   chain-ahead    one warp of each block copies weights ahead, over the barriers
 *   chain-limit    the same, and no more than so many bytes under way
 *   chain-flag     no barrier behind a phase: blocks wait for the outputs themselves
 *   chain-shares   the same, and rows split so that all blocks end together
 *   chain-free     the last rung's kernel, with x of every phase given: what waiting costs, and the bound
 *   chain-read     chain-free, and a warp beside it that times loads
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. What is given
 * is in the headers: lab05_chain.cuh has loads, stores and f, lab05_chain_stream.cuh the kernel that calls what is
 * filled in here, lab05_chain_plan.cuh the launches. */
#include "lab05_chain_plan.cuh"

/* ---- rung 1: one kernel, a barrier a phase ---- */

/* One thread of each block. `arrivals` counts the blocks' arrivals at all barriers and is never set back: this barrier
 * is over when it has come to `target`. Pairs: the release by which a block arrives, with the acquire by which every
 * block sees the count complete, at device scope; within a block, the meeting of its threads before the one and after
 * the other carries it to all of them. */
static __device__ inline void meet_blocks(unsigned *arrivals, unsigned target)
{
    /* STEP lab05.15 for chain-barrier, chain-ahead, chain-limit, chain-flag, chain-shares: arrive, then wait for all (about 3 lines) */
    (void)arrivals, (void)target;
    /* END lab05.15 */
}

/* x of the phase is in shared memory: each warp of the block has rows of it. */
static __device__ inline void plain_rows(const lab05_chain_view *v, const lab05_chain_part *part, const float *x,
                                         float *set)
{
    const int warps = (int)(blockDim.x / LAB05_WARP);
    const unsigned char *const weights = v->weights + part->from;
    for (int row = lab05_warp(); row < part->rows; row += warps) {
        /* STEP lab05.16 for chain-barrier: the row by lab05_chain_row; one lane writes it to its place in set (about 4 lines) */
        (void)weights, (void)x, (void)set;
        /* END lab05.16 */
    }
}

static __global__ void __launch_bounds__(512) chain_by_barrier(lab05_chain_view v)
{
    PK_DYNAMIC_SHARED(float, x);
    unsigned arrived = 0;
    for (int pass = 0; pass < v.passes; pass++)
        for (int p = 0; p < v.phases; p++) {
            const lab05_chain_part part = v.parts[(size_t)blockIdx.x * (size_t)v.phases + (size_t)p];
            const float *const from = lab05_chain_x(&v, &part, pass, p);
            __syncthreads();
            if (pass + p > 0 && threadIdx.x == 0)
                meet_blocks(v.arrivals, arrived += gridDim.x);
            __syncthreads();
            for (int i = (int)threadIdx.x; i < part.units * 8; i += (int)blockDim.x)
                x[i] = from[i];
            __syncthreads();
            plain_rows(&v, &part, x, lab05_chain_set(&v, pass));
        }
}

static pk_status barrier_prepare(pk_run *run)
{
    return lab05_chain_plan_plain(run, chain_by_barrier);
}

/* One launch for all passes, for any of the kernels here. */
static pk_status chain_once(pk_run *run)
{
    const lab05_chain_plan *const p = lab05_chain_plan_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    /* STEP lab05.17 for chain-barrier, chain-ahead, chain-limit, chain-flag, chain-shares, chain-free, chain-read: launch so that all blocks are resident together, then wait once (about 3 lines) */
    (void)p, (void)stream;
    return pk_todo(run, "lab05.17");
    /* END lab05.17 */
    return PK_OK;
}

/* ---- rung 2: weights ahead ---- */

/* By the lane that copies: `bytes` of weights into the buffer of at->turn. */
static __device__ inline void ask_chunk(const lab05_chain_view *v, const lab05_chain_block *b,
                                        const lab05_chain_asking *at, const unsigned char *from, unsigned bytes)
{
    const int stage = at->turn.stage;
    /* STEP lab05.18 for chain-ahead, chain-limit, chain-flag, chain-shares, chain-free, chain-read: wait until the stage is empty, expect the bytes, ask for them (about 3 lines) */
    (void)v, (void)b, (void)from, (void)bytes, (void)stage;
    /* END lab05.18 */
}

/* By all lanes of a warp that computes. */
template <int U, int N>
static __device__ inline void use_chunk(const lab05_chain_view *v, const lab05_chain_block *b, pk_ring_turn turn,
                                        const lab05_chain_slice<U> *x, int rows, int first, int units, float *sum)
{
    /* STEP lab05.19 for chain-ahead, chain-limit, chain-flag, chain-shares, chain-free, chain-read: wait for the chunk, add it up, give the stage back (about 3 lines) */
    (void)v, (void)b, (void)turn, (void)x, (void)rows, (void)first, (void)units, (void)sum;
    /* END lab05.19 */
}

static pk_status ahead_prepare(pk_run *run)
{
    /* STEP lab05.20 for chain-ahead: plan the launch: 16 KB chunks, no limit, even shares (about 1 line) */
    return pk_todo(run, "lab05.20");
    /* END lab05.20 */
}

/* ---- rung 3: no more under way than is needed ---- */

/* By the lane that copies, before it asks for copy at->k. */
static __device__ inline void hold_back(const lab05_chain_view *v, const lab05_chain_block *b,
                                        const lab05_chain_asking *at)
{
    /* STEP lab05.21 for chain-limit, chain-flag, chain-shares, chain-free, chain-read: wait until copy k - v->limit has landed, if there was one (about 2 lines) */
    (void)v, (void)b, (void)at;
    /* END lab05.21 */
}

static pk_status limit_prepare(pk_run *run)
{
    /* STEP lab05.22 for chain-limit: as lab05.20, with 32 KB under way at most (about 1 line) */
    return pk_todo(run, "lab05.22");
    /* END lab05.22 */
}

/* ---- rung 4: the data are the flag ---- */

/* By every thread that computes: its components of x, when another block has written each of them.
 * Pairs: the relaxed loads of lab05_chain_read_slice with the relaxed stores of write_output. */
template <int U>
static __device__ inline void wait_for_slice(const lab05_chain_view *v, const lab05_chain_block *b, const float *x,
                                             int units, lab05_chain_slice<U> *slice)
{
    /* STEP lab05.23 for chain-flag, chain-shares: read the slice; what is missing is waited for, and all read again (about 6 lines) */
    (void)b, (void)x, (void)units, (void)slice;
    /* END lab05.23 */
    (void)v;
}

/* By one lane: output `at` of the pass's set. The other set's is poisoned, for the pass behind, if there is one. */
static __device__ inline void write_output(const lab05_chain_view *v, int pass, int at, float value)
{
    /* STEP lab05.24 for chain-flag, chain-shares: store the output, and poison its place in the next pass's set (about 3 lines) */
    (void)v, (void)pass, (void)at, (void)value;
    /* END lab05.24 */
}

/* By every thread that computes, when its x of a phase is there and no output of that phase has been written.
 * Orders, by the barrier's release and acquire: the reads of the set that this pass will poison, by all blocks, before
 * that poison; and the poison that the pass before has left in this pass's set, by all blocks, before the loads that
 * wait for what replaces it. */
static __device__ inline void order_passes(const lab05_chain_view *v, const lab05_chain_block *b, lab05_chain_place *at)
{
    /* STEP lab05.25 for chain-flag, chain-shares: at the first phase of every pass but the first, all blocks meet (about 2 lines) */
    (void)v, (void)b, (void)at;
    /* END lab05.25 */
}

static pk_status plan_flag(pk_run *run, int chunk_kb, lab05_chain_shares shares)
{
    /* STEP lab05.26 for chain-flag, chain-shares: plan stream_chain<LAB05_CHAIN_FLAG>, 32 KB under way (about 1 line) */
    (void)chunk_kb, (void)shares;
    return pk_todo(run, "lab05.26");
    /* END lab05.26 */
}

static pk_status flag_prepare(pk_run *run)
{
    return plan_flag(run, 16, lab05_chain_even_shares);
}

/* ---- rung 5: all blocks end together ---- */

/* See lab05_chain_shares. A block that had less than its fair part so far has more of this phase. */
static pk_status fair_shares(pk_run *run, const lab05_chain_phase *phase, int blocks, double fair, const double *had,
                             int *ends)
{
    const double row_bytes = (double)phase->columns * (double)sizeof(uint16_t);
    double line = 0; /* bytes of this phase that blocks 0 to b are to have together */
    for (int b = 0, first = 0; b < blocks; first = ends[b++]) {
        /* STEP lab05.27 for chain-shares, chain-free, chain-read: ends[b]: the row that is nearest to what block b lacks (about 4 lines) */
        (void)first, (void)fair, (void)had, (void)row_bytes, (void)line;
        return pk_todo(run, "lab05.27");
        /* END lab05.27 */
    }
    (void)run;
    return PK_OK;
}

static pk_status shares_prepare(pk_run *run)
{
    return plan_flag(run, 16, fair_shares);
}

/* ---- the bound: nobody waits for an x ---- */

static pk_status free_prepare(pk_run *run)
{
    return lab05_chain_plan_stream(run, stream_chain<LAB05_CHAIN_FREE>, 16, 32, fair_shares);
}

static pk_status read_prepare(pk_run *run)
{
    return lab05_chain_plan_read(run, stream_chain<LAB05_CHAIN_READ>, 16, 32, fair_shares);
}

static pk_status chain_and_report(pk_run *run)
{
    PK_TRY(chain_once(run));
    return lab05_chain_report(run);
}

enum { NATIVE = PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY };

PK_VARIANTS(chain) = {
    {"chain-barrier", "one kernel, a barrier a phase, plain loads", PK_NEED_COOPERATIVE, barrier_prepare, chain_once,
     lab05_chain_free_plan},
    {"chain-ahead", "a warp copies weights ahead over the barriers", NATIVE, ahead_prepare, chain_once,
     lab05_chain_free_plan},
    {"chain-limit", "the same with a limit on bytes under way", NATIVE, limit_prepare, chain_once,
     lab05_chain_free_plan},
    {"chain-flag", "blocks wait for outputs, not at barriers", NATIVE, flag_prepare, chain_once, lab05_chain_free_plan},
    {"chain-shares", "shares by which all blocks end together", NATIVE, shares_prepare, chain_once,
     lab05_chain_free_plan},
    {"chain-free", "the last rung without dependencies: the bound", NATIVE, free_prepare, chain_once,
     lab05_chain_free_plan},
    {"chain-read", "the bound, with loads timed beside the stream", NATIVE, read_prepare, chain_and_report,
     lab05_chain_free_plan},
};
PK_VARIANTS_END(chain)
