/* Lab 05, part three: how a variant of --work=bursts is launched and what it reports. On the host, given. */
#ifndef LAB05_BURSTS_CUH
#define LAB05_BURSTS_CUH

#include <stdlib.h>

#include "lab05_decode.cuh"
#include "lab05_plan.cuh"
#include "pk/host.h"

typedef void (*lab05_prefill_kernel)(lab05_prefill);

typedef struct lab05_burst_plan { /* a variant's data, made by its prepare */
    lab05_promise promise;        /* first: bursts.c reads it */
    lab05_prefill prefill;
    lab05_prefill_kernel kernel;
    int blocks, threads;
    size_t shared_bytes;
    cudaStream_t urgent; /* decode's: of the highest priority */
    cudaEvent_t forked, joined;
    cudaGraph_t step; /* decode's, once captured */
    cudaGraphExec_t exec;
    const char *prefill_range, *decode_range; /* what a profiler shows */
} lab05_burst_plan;

/* The instance of a kernel template of prefill for the run's keys. */
#define LAB05_PREFILL_KERNEL(run, kernel) (lab05_of(run)->view.dim == 64 ? kernel<64> : kernel<128>)

static inline const lab05_bursts *lab05_bursts_of(const pk_run *run)
{
    return lab05_of(run)->bursts;
}

static inline lab05_burst_plan *lab05_burst_plan_of(const pk_run *run)
{
    return (lab05_burst_plan *)pk_run_variant_data(run);
}

static inline void lab05_forget_bursts(pk_run *run)
{
    lab05_burst_plan *const plan = lab05_burst_plan_of(run);
    if (!plan)
        return;
    pk_graph_destroy(plan->step, plan->exec);
    if (plan->forked)
        (void)cudaEventDestroy(plan->forked);
    if (plan->joined)
        (void)cudaEventDestroy(plan->joined);
    free(plan);
    pk_run_set_variant_data(run, NULL);
}

/* ---- unshaped prefill ---- */

/* A chunk a block, a page a warp at a time. */
template <int D> static __global__ void lab05_prefill_all(lab05_prefill p)
{
    const lab05_chunk c = lab05_chunk_of(&p, blockIdx.x);
    const lab05_q q = lab05_q_of_lane<D>(&p.v);
    const bool keeps_clock = threadIdx.x == 0 && lab05_at_the_edge();
    if (keeps_clock)
        lab05_clock_begins(&p);
    for (int i = lab05_warp(); i < c.pages; i += blockDim.x / LAB05_WARP) {
        const float scale = p.v.scale[c.first + i];
        const float sum = lab05_sum_far<D>(&p.v, (const uint4 *)lab05_page(&p.v, c.first + i), &q);
        lab05_write_burst_score(&p, c.burst, c.first + i, sum, scale);
    }
    __syncthreads();
    if (keeps_clock)
        lab05_clock_ends(&p);
}

/* ---- plans ---- */

/* The run's plan, without a kernel: decode's stream, and the events that order it against the run's. */
static inline pk_status lab05_make_bursts(pk_run *run, lab05_prefill_kernel kernel, int threads)
{
    lab05_burst_plan *const plan = (lab05_burst_plan *)calloc(1, sizeof *plan);
    if (!plan)
        return pk_out_of_memory("lab05");
    pk_run_set_variant_data(run, plan);
    plan->prefill = lab05_bursts_of(run)->prefill;
    if (lab05_of(run)->work == LAB05_OFFLOAD)
        plan->prefill.v.pool = lab05_bursts_of(run)->host_pool;
    plan->kernel = kernel;
    plan->threads = threads;
    plan->prefill_range = "prefill_baseline";
    plan->decode_range = "decode_baseline";
    PK_CHECK(cudaEventCreateWithFlags(&plan->forked, cudaEventDisableTiming));
    PK_CHECK(cudaEventCreateWithFlags(&plan->joined, cudaEventDisableTiming));
    void *urgent = NULL;
    PK_TRY(pk_run_add_urgent_stream(run, &urgent));
    plan->urgent = (cudaStream_t)urgent;
    return PK_OK;
}

/* Threads of a block: `warps` on a GPU and three on the CPU device, or as many as were asked for; two at least. */
static inline int lab05_burst_threads(const pk_run *run, int warps)
{
    const int asked = (int)pk_knob_value(run, "threads"), least = 2 * LAB05_WARP;
    const int threads = asked ? asked : (pk_run_device(run)->is_gpu ? warps : 3) * LAB05_WARP;
    return threads < least ? least : threads;
}

/* Unshaped: a block a chunk, all of them launched at once, each with `shared_bytes` of dynamic shared memory. Errors:
 * PK_SKIP where that does not fit. */
static inline pk_status lab05_plan_all(pk_run *run, lab05_prefill_kernel kernel, int warps, size_t shared_bytes)
{
    PK_TRY(lab05_make_bursts(run, kernel, lab05_burst_threads(run, warps)));
    lab05_burst_plan *const plan = lab05_burst_plan_of(run);
    plan->blocks = plan->prefill.chunks;
    plan->shared_bytes = shared_bytes;
    if (shared_bytes > pk_run_device(run)->shared_bytes_per_block)
        return pk_fail(PK_SKIP,
                       "a chunk of %d pages does not fit into the %zu bytes of shared memory that a block has "
                       "here: use a smaller --chunk-k or fewer --rows",
                       plan->prefill.chunk_pages, pk_run_device(run)->shared_bytes_per_block);
    if (shared_bytes > 0)
        PK_TRY(lab05_allow_shared(run, (const void *)kernel));
    return PK_OK;
}

static inline pk_status lab05_plan_unshaped(pk_run *run)
{
    return lab05_plan_all(run, LAB05_PREFILL_KERNEL(run, lab05_prefill_all), 8, 0);
}

/* What shaped variants have in common: `most` chunks under way at once, unless as many were asked for, in at most that
 * many blocks. */
static inline void lab05_shape(pk_run *run, int most)
{
    lab05_burst_plan *const plan = lab05_burst_plan_of(run);
    const int asked = lab05_bursts_of(run)->most_in_flight;
    most = asked ? asked : most;
    plan->prefill.most = plan->promise.most = most < plan->prefill.chunks ? most : plan->prefill.chunks;
    plan->prefill_range = "prefill_shaped";
}

/* Shaped by ordinary loads: a block has one chunk at a time. As many blocks as fit a processor but one, two at most:
 * what the last would take is room for decode's. */
static inline pk_status lab05_plan_shaped(pk_run *run, lab05_prefill_kernel kernel)
{
    enum { MOST_A_PROCESSOR = 2 };
    PK_TRY(lab05_make_bursts(run, kernel, lab05_burst_threads(run, 9)));
    lab05_burst_plan *const plan = lab05_burst_plan_of(run);
    int fit = 0;
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, (const void *)kernel, plan->threads, 0));
    fit = fit - 1 < 1 ? 1 : fit - 1 < MOST_A_PROCESSOR ? fit - 1 : MOST_A_PROCESSOR;
    lab05_shape(run, fit * pk_run_device(run)->processors);
    plan->blocks = plan->prefill.most;
    return PK_OK;
}

/* Blocks of a shaped prefill by bulk copies: five of seven processors, so that decode has the others for itself; few
 * over the bus, which is slower than a processor. */
static inline int lab05_native_blocks(const pk_run *run)
{
    enum { OFFLOAD_BLOCKS = 8 };
    const int processors = pk_run_device(run)->processors, asked = lab05_bursts_of(run)->blocks;
    const int best =
        lab05_of(run)->work == LAB05_OFFLOAD && processors > OFFLOAD_BLOCKS ? OFFLOAD_BLOCKS : (5 * processors + 6) / 7;
    return asked ? asked : best;
}

/* Shaped by bulk copies: one block a processor, each with its part of the chunks under way in shared memory. Errors:
 * PK_SKIP where a block's part does not fit. */
static inline pk_status lab05_plan_native(pk_run *run, lab05_prefill_kernel kernel)
{
    enum { CHUNKS_A_BLOCK = 2 };
    PK_TRY(lab05_make_bursts(run, kernel, lab05_burst_threads(run, 9)));
    lab05_burst_plan *const plan = lab05_burst_plan_of(run);
    lab05_shape(run, CHUNKS_A_BLOCK * lab05_native_blocks(run));
    const int most = plan->prefill.most, blocks = lab05_native_blocks(run);
    plan->blocks = blocks < most ? blocks : most;
    const int slots = (most + plan->blocks - 1) / plan->blocks;
    plan->shared_bytes =
        lab05_slots_bytes(lab05_page_bytes(&plan->prefill.v) * (size_t)plan->prefill.chunk_pages, slots);
    if (plan->shared_bytes > pk_run_device(run)->shared_bytes_per_block)
        return pk_fail(
            PK_SKIP,
            "%d chunks of %d pages do not fit into the %zu bytes of shared memory that a block has here: use "
            "fewer --max-in-flight, more --prefill-blocks or a smaller --chunk-k",
            slots, plan->prefill.chunk_pages, pk_run_device(run)->shared_bytes_per_block);
    PK_TRY(lab05_allow_shared(run, (const void *)kernel));
    return PK_OK;
}

/* ---- launches ---- */

/* Prefill, in one launch, in the run's stream. */
static inline pk_status lab05_launch_prefill(pk_run *run)
{
    const lab05_burst_plan *const p = lab05_burst_plan_of(run);
    const lab05_prefill_kernel prefill_pages = p->kernel;
    pk_range_push(p->prefill_range);
    PK_LAUNCH(prefill_pages, (unsigned)p->blocks, (unsigned)p->threads, p->shared_bytes,
              (cudaStream_t)pk_run_stream(run), p->prefill);
    pk_range_pop();
    return PK_OK;
}

/* Prefill alone, and a wait for it. */
static inline pk_status lab05_prefill_once(pk_run *run)
{
    PK_TRY(lab05_launch_prefill(run));
    PK_CHECK(cudaStreamSynchronize((cudaStream_t)pk_run_stream(run)));
    return PK_OK;
}

/* The captured step, instantiated and ready for its first replay. */
static inline pk_status lab05_make_exec(pk_run *run)
{
    lab05_burst_plan *const p = lab05_burst_plan_of(run);
    size_t nodes = 0;
    if (!p->step)
        return pk_fail(PK_WRONG,
                       "nothing was captured: begin and end the capture of decode's stream around lab05_step");
    PK_CHECK(cudaGraphGetNodes(p->step, NULL, &nodes));
    if (nodes != LAB05_LAYERS)
        return pk_fail(PK_WRONG,
                       "the captured step has %zu nodes, and a step is %d kernels: capture the stream that they "
                       "are launched in",
                       nodes, LAB05_LAYERS);
    PK_CHECK(cudaGraphInstantiate(&p->exec, p->step, 0));
    p->decode_range = "decode_graph";
    return PK_OK;
}

/* ---- the report ---- */

/* What the device noted goes to the host, behind everything in the run's stream; then the one wait. Errors: PK_WRONG
 * where decode's stream has not come to its end by then. */
static inline pk_status lab05_fetch_notes(pk_run *run)
{
    const lab05_bursts *const b = lab05_bursts_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    PK_CHECK(cudaMemcpyAsync(b->host_board, b->prefill.board, sizeof *b->host_board, cudaMemcpyDeviceToHost, stream));
    PK_CHECK(cudaMemcpyAsync(b->host_began, b->decode.began, ((size_t)b->decode.steps + 1) * sizeof *b->host_began,
                             cudaMemcpyDeviceToHost, stream));
    PK_CHECK(cudaStreamSynchronize(stream));
    const cudaError_t ended = cudaStreamQuery(lab05_burst_plan_of(run)->urgent);
    if (ended != cudaErrorNotReady)
        return ended == cudaSuccess ? PK_OK : pk_gpu_failed("cudaStreamQuery", __FILE__, __LINE__, ended);
    (void)cudaGetLastError(); /* an answer, not a failure */
    PK_CHECK(cudaStreamSynchronize(lab05_burst_plan_of(run)->urgent));
    return pk_fail(PK_WRONG,
                   "decode still ran when the run's stream had come to its end: the stream waits for p->joined, "
                   "recorded behind the last step, before the repetition ends "
                   "(docs/troubleshooting.md#still-running)");
}

static inline double lab05_span_us(unsigned long long begin, unsigned long long end)
{
    return end > begin ? 1e-3 * (double)(end - begin) : 0;
}

/* A step's latency is from its beginning to the next one's, on the device's clock. Those of steps that ran while
 * prefill did are reported, or all where the variant keeps the two apart. */
static inline void lab05_report(pk_run *run, bool apart)
{
    const lab05_bursts *const b = lab05_bursts_of(run);
    const unsigned long long *const began = b->host_began;
    const unsigned long long begin = b->host_board->begin, end = b->host_board->end;
    const int steps = b->decode.steps;
    unsigned long long beside = 0;
    for (int s = 0; s < steps; s++) {
        const bool with_prefill = began[s] >= begin && began[s + 1] <= end;
        if (with_prefill)
            beside += began[s + 1] - began[s];
        if (with_prefill || apart)
            pk_token_latency(run, lab05_span_us(began[s], began[s + 1]));
    }
    pk_run_span(run, "prefill", lab05_span_us(begin, end));
    pk_run_span(run, "decode", lab05_span_us(began[0], began[steps]));
    pk_run_span(run, "beside", 1e-3 * (double)beside);
}

#endif
