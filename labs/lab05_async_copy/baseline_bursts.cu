/* Lab 05, part three, bursts of prefill beside decode: the baselines.
 *
 *   burst-plain     unshaped prefill, all chunks launched at once, by ordinary loads; decode launched kernel by kernel
 *   burst-bulk      the same, a chunk a bulk copy for each of its pages
 *   burst-apart     decode by graph, and when it has ended prefill: what each takes by itself
 *   offload-engine  the copy engine brings all pages, then they are scored
 *   offload-loads   ordinary loads, over the bus */
#include "lab05_bursts.cuh"

/* ---- unshaped prefill by bulk copies ---- */

/* A chunk a block, all of its pages asked for at once. */
template <int D> static __global__ void prefill_all_bulk(lab05_prefill p)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab05_chunk c = lab05_chunk_of(&p, blockIdx.x);
    const lab05_q q = lab05_q_of_lane<D>(&p.v);
    const unsigned page_bytes = (unsigned)(p.v.rows * p.v.dim) * (unsigned)sizeof(uint16_t);
    pk_async_barrier *const full = (pk_async_barrier *)(shared + (size_t)p.chunk_pages * page_bytes);
    const bool keeps_clock = threadIdx.x == 0 && lab05_at_the_edge();
    if (keeps_clock)
        lab05_clock_begins(&p);
    if (threadIdx.x == 0) {
        pk_async_barrier_init(full, 1);
        pk_async_barrier_init_fence();
        pk_async_barrier_arrive_expect(full, (unsigned)c.pages * page_bytes);
    }
    __syncthreads();
    if ((int)threadIdx.x < c.pages)
        pk_bulk_copy(shared + threadIdx.x * page_bytes, lab05_page(&p.v, c.first + (int)threadIdx.x), page_bytes, full);
    pk_async_barrier_wait(full, 0);
    for (int i = lab05_warp(); i < c.pages; i += blockDim.x / LAB05_WARP) {
        const float scale = p.v.scale[c.first + i];
        const float sum = lab05_sum_page<D>(&p.v, (const uint16_t *)(shared + i * page_bytes), &q);
        lab05_write_burst_score(&p, c.burst, c.first + i, sum, scale);
    }
    __syncthreads();
    if (keeps_clock)
        lab05_clock_ends(&p);
}

static pk_status plan_bulk(pk_run *run)
{
    const lab05_bursts *const b = lab05_bursts_of(run);
    const size_t page = lab05_page_bytes(&b->prefill.v);
    return lab05_plan_all(run, LAB05_PREFILL_KERNEL(run, prefill_all_bulk), 8,
                          page * (size_t)b->prefill.chunk_pages + sizeof(pk_async_barrier));
}

/* ---- beside each other, and apart ---- */

/* Decode's stream begins behind what the run's stream has so far. */
static pk_status fork_decode(pk_run *run)
{
    const lab05_burst_plan *const p = lab05_burst_plan_of(run);
    PK_CHECK(cudaEventRecord(p->forked, (cudaStream_t)pk_run_stream(run)));
    PK_CHECK(cudaStreamWaitEvent(p->urgent, p->forked, 0));
    return PK_OK;
}

/* What comes in the run's stream now waits for all of decode. */
static pk_status join_decode(pk_run *run)
{
    const lab05_burst_plan *const p = lab05_burst_plan_of(run);
    PK_CHECK(cudaEventRecord(p->joined, p->urgent));
    PK_CHECK(cudaStreamWaitEvent((cudaStream_t)pk_run_stream(run), p->joined, 0));
    return PK_OK;
}

/* All steps, by launches or by replays of the captured one. */
static pk_status decode(pk_run *run)
{
    const lab05_burst_plan *const p = lab05_burst_plan_of(run);
    const lab05_decode *const d = &lab05_bursts_of(run)->decode;
    pk_range_push(p->decode_range);
    for (int step = 0; step < d->steps; step++) {
        if (p->exec)
            PK_GRAPH_LAUNCH(p->exec, p->urgent);
        else
            PK_TRY(lab05_step(d, p->urgent));
    }
    pk_range_pop();
    return lab05_decode_end(d, p->urgent);
}

static pk_status beside(pk_run *run)
{
    PK_TRY(fork_decode(run));
    PK_TRY(lab05_launch_prefill(run));
    PK_TRY(decode(run));
    PK_TRY(join_decode(run));
    PK_TRY(lab05_fetch_notes(run));
    lab05_report(run, false);
    return PK_OK;
}

static pk_status apart(pk_run *run)
{
    PK_TRY(fork_decode(run));
    PK_TRY(decode(run));
    PK_TRY(join_decode(run));
    PK_TRY(lab05_launch_prefill(run));
    PK_TRY(lab05_fetch_notes(run));
    lab05_report(run, true);
    return PK_OK;
}

static pk_status plan_apart(pk_run *run)
{
    PK_TRY(lab05_plan_unshaped(run));
    lab05_burst_plan *const p = lab05_burst_plan_of(run);
    PK_CHECK(cudaStreamBeginCapture(p->urgent, cudaStreamCaptureModeThreadLocal));
    const pk_status status = lab05_step(&lab05_bursts_of(run)->decode, p->urgent);
    PK_CHECK(cudaStreamEndCapture(p->urgent, &p->step));
    PK_TRY(status);
    return lab05_make_exec(run);
}

/* ---- over the bus ---- */

static pk_status plan_engine(pk_run *run)
{
    PK_TRY(lab05_plan_unshaped(run));
    lab05_burst_plan_of(run)->prefill.v.pool = lab05_bursts_of(run)->prefill.v.pool; /* device memory */
    return PK_OK;
}

/* One copy of the whole pool, then the scores: the engine does not know the table. */
static pk_status by_engine(pk_run *run)
{
    const lab05_bursts *const b = lab05_bursts_of(run);
    const lab05_view *const v = &b->prefill.v;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    PK_CHECK(cudaMemcpyAsync((void *)v->pool, b->host_pool_here, (size_t)v->pages * lab05_page_bytes(v),
                             cudaMemcpyHostToDevice, stream));
    PK_TRY(lab05_launch_prefill(run));
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

PK_VARIANTS(baseline_bursts) = {
    {"burst-plain", "prefill all at once by loads, decode kernel by kernel", 0, lab05_plan_unshaped, beside,
     lab05_forget_bursts},
    {"burst-bulk", "prefill all at once by bulk copies, decode kernel by kernel", PK_NEED_BULK_ASYNC_COPY, plan_bulk,
     beside, lab05_forget_bursts},
    {"burst-apart", "decode by graph, then prefill", PK_NEED_GRAPH, plan_apart, apart, lab05_forget_bursts},
    {"offload-engine", "the copy engine brings all, then it is scored", PK_NEED_MAPPED_HOST, plan_engine, by_engine,
     lab05_forget_bursts},
    {"offload-loads", "ordinary loads over the bus", PK_NEED_MAPPED_HOST, lab05_plan_unshaped, lab05_prefill_once,
     lab05_forget_bursts},
};
PK_VARIANTS_END(baseline_bursts)
