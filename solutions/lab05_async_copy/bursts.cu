/* Lab 05, part three, bursts of prefill beside decode: the ladder. Fill in the steps; the page is BURSTS.md beside this
 * file.
 *
 *   burst-graph   decode by graph, in a stream that goes first; prefill still all at once
 *   burst-shaped  prefill by ordinary loads: so many chunks under way, and no more
 *   burst-native  the same by bulk copies, of few processors
 *   offload-bulk  --work=offload: the same, from the host's memory
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. What is given
 * is in the headers: lab05_chunks.cuh has chunks, their count and their places, lab05_decode.cuh a step of decode,
 * lab05_bursts.cuh the launches and the report. */
#include "lab05_bursts.cuh"

/* ---- rung 1: decode goes first, by graph ---- */

/* A step of decode as a graph: p->step. */
static pk_status capture_step(pk_run *run)
{
    lab05_burst_plan *const p = lab05_burst_plan_of(run);
    const lab05_decode *const d = &lab05_bursts_of(run)->decode;
    /* STEP lab05.28 for burst-graph, burst-shaped, burst-native: capture what lab05_step launches in p->urgent (about 3 lines) */
    PK_CHECK(cudaStreamBeginCapture(p->urgent, cudaStreamCaptureModeThreadLocal));
    PK_TRY(lab05_step(d, p->urgent));
    PK_CHECK(cudaStreamEndCapture(p->urgent, &p->step));
    /* END lab05.28 */
    return lab05_make_exec(run);
}

/* All steps, in p->urgent. */
static pk_status replay_steps(pk_run *run)
{
    const lab05_burst_plan *const p = lab05_burst_plan_of(run);
    const lab05_decode *const d = &lab05_bursts_of(run)->decode;
    pk_range_push(p->decode_range);
    /* STEP lab05.29 for burst-graph, burst-shaped, burst-native: launch p->exec once a step, and wait for none (about 2 lines) */
    for (int step = 0; step < d->steps; step++)
        PK_GRAPH_LAUNCH(p->exec, p->urgent);
    /* END lab05.29 */
    pk_range_pop();
    return lab05_decode_end(d, p->urgent);
}

/* Prefill in the run's stream and decode in its own, beside each other: neither begins before what the run's stream has
 * now, and what it gets afterwards waits for both. */
static pk_status prefill_beside_decode(pk_run *run)
{
    const lab05_burst_plan *const p = lab05_burst_plan_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    /* STEP lab05.30 for burst-graph, burst-shaped, burst-native: fork by p->forked, prefill, decode, join by p->joined (about 6 lines) */
    PK_CHECK(cudaEventRecord(p->forked, stream));
    PK_CHECK(cudaStreamWaitEvent(p->urgent, p->forked, 0));
    PK_TRY(lab05_launch_prefill(run));
    PK_TRY(replay_steps(run));
    PK_CHECK(cudaEventRecord(p->joined, p->urgent));
    PK_CHECK(cudaStreamWaitEvent(stream, p->joined, 0));
    /* END lab05.30 */
    PK_TRY(lab05_fetch_notes(run));
    lab05_report(run, false);
    return PK_OK;
}

static pk_status graph_prepare(pk_run *run)
{
    PK_TRY(lab05_plan_unshaped(run));
    return capture_step(run);
}

/* ---- rung 2: so many chunks, and no more ---- */

/* Eight of the lane's chunks of 16 bytes of a page, from the i-th on, or as many as there are of `count`. */
static __device__ inline void load_eight(const uint4 *page, int i, int count, uint4 *got)
{
    /* STEP lab05.31 for burst-shaped: load them, past what others keep in the caches (about 4 lines) */
#pragma unroll
    for (int j = 0; j < LAB05_UNDER_WAY; j++)
        if (i + j < count)
            got[j] = lab05_load_once(&page[lab05_lane() + (i + j) * LAB05_WARP]);
    /* END lab05.31 */
}

/* A page in device memory, by a warp: this lane's part of its sum. */
template <int D> static __device__ inline float sum_passing(const lab05_view *v, const uint4 *page, const lab05_q *q)
{
    const int count = lab05_chunks_of_lane<D>(v);
    float sum = 0;
    for (int i = 0; i < count; i += LAB05_UNDER_WAY) {
        uint4 got[LAB05_UNDER_WAY];
        load_eight(page, i, count, got);
#pragma unroll
        for (int j = 0; j < LAB05_UNDER_WAY; j++)
            if (i + j < count)
                sum = lab05_add(sum, got[j], q);
    }
    return sum;
}

/* Chunk `chunk`, by warp `mine` of `workers`: page by page. */
template <int D>
static __device__ inline void score_far(const lab05_prefill *p, int chunk, int mine, int workers, const lab05_q *q)
{
    const lab05_chunk c = lab05_chunk_of(p, chunk);
    for (int i = mine; i < c.pages; i += workers) {
        const float scale = p->v.scale[c.first + i];
        const float sum = sum_passing<D>(&p->v, (const uint4 *)lab05_page(&p->v, c.first + i), q);
        lab05_write_burst_score(p, c.burst, c.first + i, sum, scale);
    }
}

/* A block has one chunk at a time. Its last warp takes chunks, one ahead, and counts them; the others use them. */
template <int D> static __global__ void prefill_shaped(lab05_prefill p)
{
    __shared__ int taken[2]; /* this chunk and the next one, in turn */
    const lab05_q q = lab05_q_of_lane<D>(&p.v);
    const int workers = (int)(blockDim.x / LAB05_WARP) - 1, mine = lab05_warp();
    const bool takes = mine == workers && lab05_lane() == 0;
    lab05_tally tally = {0, 0};
    if (takes) {
        lab05_clock_begins(&p);
        taken[0] = lab05_take(&p);
    }
    __syncthreads();
    for (int k = 0; taken[k % 2] < p.chunks; k++) {
        /* STEP lab05.32 for burst-shaped: the chunk begins, the next is taken, the others use this one; all meet; it ends (about 9 lines) */
        if (takes) {
            lab05_chunk_begins(&p, &tally);
            taken[(k + 1) % 2] = lab05_take(&p);
        } else if (mine < workers) {
            score_far<D>(&p, taken[k % 2], mine, workers, &q);
        }
        __syncthreads();
        if (takes)
            lab05_chunk_ends(&p);
        /* END lab05.32 */
    }
    if (takes)
        lab05_prefill_ends(&p, &tally);
}

static pk_status shaped_prepare(pk_run *run)
{
    /* STEP lab05.33 for burst-shaped: plan the launch of prefill_shaped, by lab05_plan_shaped (about 1 line) */
    PK_TRY(lab05_plan_shaped(run, LAB05_PREFILL_KERNEL(run, prefill_shaped)));
    /* END lab05.33 */
    return capture_step(run);
}

/* ---- rung 3: the same by bulk copies ---- */

/* By the first warp: the block's k-th chunk into its slot. */
static __device__ inline void ask_for_chunk(const lab05_prefill *p, const lab05_slots *s, int k, const lab05_ahead *now,
                                            lab05_tally *tally)
{
    const lab05_chunk c = lab05_chunk_of(p, now->chunk);
    const int slot = lab05_slot(s, k);
    if (lab05_lane() == 0) {
        /* STEP lab05.34 for burst-native, offload-bulk: wait for the empty slot; one chunk less, one more; expect its bytes (about 6 lines) */
        pk_async_barrier_wait(&s->empty[slot], lab05_slot_parity(s, k) ^ 1u);
        if (k >= s->count)
            lab05_chunk_ends(p);
        lab05_chunk_begins(p, tally);
        s->chunk[slot] = now->chunk;
        pk_async_barrier_arrive_expect(&s->full[slot], (unsigned)c.pages * s->page_bytes);
        /* END lab05.34 */
    }
    __syncwarp();
    /* STEP lab05.35 for burst-native, offload-bulk: each lane asks for its page of the chunk, past the caches (about 3 lines) */
    if (lab05_lane() < c.pages)
        pk_bulk_copy_once(lab05_slot_page(s, slot, lab05_lane()), lab05_page_of_entry(&p->v, now->entry), s->page_bytes,
                          &s->full[slot]);
    /* END lab05.35 */
}

/* By warp `mine` of `workers`: its pages of the block's k-th chunk; false: there is no such chunk. */
template <int D>
static __device__ inline bool use_chunk(const lab05_prefill *p, const lab05_slots *s, int k, int mine, int workers,
                                        const lab05_q *q)
{
    const int slot = lab05_slot(s, k);
    /* STEP lab05.36 for burst-native, offload-bulk: wait for it; where it is one, score its pages, give the slot back, return true (about 6 lines) */
    pk_async_barrier_wait(&s->full[slot], lab05_slot_parity(s, k));
    if (s->chunk[slot] >= 0) {
        lab05_score_pages<D>(p, s, slot, mine, workers, q);
        pk_async_barrier_arrive(&s->empty[slot]);
        return true;
    }
    /* END lab05.36 */
    return false;
}

/* The first warp asks for chunks, the others use them. */
template <int D> static __global__ void prefill_native(lab05_prefill p)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab05_slots s = lab05_slots_of_block(&p, shared);
    const int workers = (int)(blockDim.x / LAB05_WARP) - 1;
    lab05_begin_slots(&p, &s, workers);
    if (lab05_warp() > 0) {
        const lab05_q q = lab05_q_of_lane<D>(&p.v);
        for (int k = 0; use_chunk<D>(&p, &s, k, lab05_warp() - 1, workers, &q); k++) {
        }
        return;
    }
    lab05_tally tally = {0, 0};
    lab05_ahead now = lab05_first_chunk(&p);
    int k = 0;
    for (; now.chunk < p.chunks; k++) {
        const lab05_ahead next = lab05_next_chunk(&p, &now);
        ask_for_chunk(&p, &s, k, &now, &tally);
        now = next;
    }
    if (lab05_lane() == 0)
        lab05_end_slots(&p, &s, k, &tally);
}

static pk_status native_plan(pk_run *run)
{
    /* STEP lab05.37 for burst-native, offload-bulk: plan the launch of prefill_native, by lab05_plan_native (about 1 line) */
    return lab05_plan_native(run, LAB05_PREFILL_KERNEL(run, prefill_native));
    /* END lab05.37 */
}

static pk_status native_prepare(pk_run *run)
{
    PK_TRY(native_plan(run));
    return capture_step(run);
}

PK_VARIANTS(bursts) = {
    {"burst-graph", "prefill all at once, decode by graph", PK_NEED_GRAPH, graph_prepare, prefill_beside_decode,
     lab05_forget_bursts},
    {"burst-shaped", "so many chunks under way, by loads", PK_NEED_GRAPH, shaped_prepare, prefill_beside_decode,
     lab05_forget_bursts},
    {"burst-native", "the same by bulk copies, of few processors", PK_NEED_GRAPH | PK_NEED_BULK_ASYNC_COPY,
     native_prepare, prefill_beside_decode, lab05_forget_bursts},
    {"offload-bulk", "bulk copies over the bus, of few processors", PK_NEED_MAPPED_HOST | PK_NEED_BULK_ASYNC_COPY,
     native_plan, lab05_prefill_once, lab05_forget_bursts},
};
PK_VARIANTS_END(bursts)
