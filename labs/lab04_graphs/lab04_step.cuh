/* Lab 04: what a repetition launches, given. Host code that may be called while a stream captures: nothing in it
 * allocates, waits or looks at the device. */
#ifndef LAB04_STEP_CUH
#define LAB04_STEP_CUH

#include <stdlib.h>

#include "pk_gpu.h"

#include "lab04.h"

static inline const lab04 *lab04_of(const pk_run *run)
{
    return (const lab04 *)pk_run_lab_data(run);
}

static inline cudaStream_t lab04_stream(const pk_run *run)
{
    return (cudaStream_t)pk_run_stream(run);
}

/* ---- where a step stands ---- */

/* In device memory: every kernel reads it there, and the last one moves it on. */
static inline pk_decode_at lab04_at_device(const lab04 *lab)
{
    const pk_decode_at at = {lab->decoder.state, -1, -1, -1};
    return at;
}

/* Position and step by value, as arguments of the kernels that need them: of step `step` of the repetition. The token
 * stays in device memory, where the step before has put it. */
static inline pk_decode_at lab04_at_host(const lab04 *lab, int step)
{
    const pk_decode_at at = {lab->decoder.state, lab->prompt + step, -1, step};
    return at;
}

/* ---- what is launched ---- */

/* The kernels of one step of decode, in stream order. */
static inline pk_status lab04_step(const lab04 *lab, pk_decode_at at, cudaStream_t stream)
{
    return pk_decode_step(&lab->decoder, at, &lab->how, stream);
}

static __global__ void lab04_axpy_step(int n, float a, const float *x, float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] += a * x[i];
}

/* The K launches of --work=axpy. */
static inline pk_status lab04_axpy_steps(const lab04_axpy *p, cudaStream_t stream)
{
    for (int step = 0; step < p->k; step++)
        PK_LAUNCH(lab04_axpy_step, (unsigned)((p->n + LAB04_AXPY_THREADS - 1) / LAB04_AXPY_THREADS), LAB04_AXPY_THREADS,
                  0, stream, p->n, p->a, p->x, p->y);
    return PK_OK;
}

/* ---- around a step ---- */

/* Copy the token that step `step` chose to the host and wait until it is there. */
static inline pk_status lab04_fetch_token(const lab04 *lab, int step, cudaStream_t stream)
{
    PK_CHECK(cudaMemcpyAsync(&lab->host_token[step], &lab->decoder.tokens[step], sizeof(int), cudaMemcpyDeviceToHost,
                             stream));
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

/* Tell the device where step `step` stands, from host memory that stays as it is until the repetition's end. */
static inline pk_status lab04_send_state(const lab04 *lab, int step, int token, cudaStream_t stream)
{
    const pk_decode_state state = {lab->prompt + step, token, step, lab->tokens, 0, 0, lab->prompt, 0};
    lab->host_state[step] = state;
    PK_CHECK(cudaMemcpyAsync(lab->decoder.state, &lab->host_state[step], sizeof state, cudaMemcpyHostToDevice, stream));
    return PK_OK;
}

/* What a repetition's graphs launch, kernel by kernel: with --graph=0, to see whether a graph is to blame. */
static inline pk_status lab04_without_graph(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    for (int i = 0; i < lab->axpy.replays && lab->work == LAB04_AXPY; i++)
        PK_TRY(lab04_axpy_steps(&lab->axpy, lab04_stream(run)));
    for (int step = 0; step < lab->tokens && lab->work == LAB04_DECODE; step++)
        PK_TRY(lab04_step(lab, lab04_at_device(lab), lab04_stream(run)));
    PK_CHECK(cudaStreamSynchronize(lab04_stream(run)));
    return PK_OK;
}

/* ---- a graph ---- */

struct lab04_nodes; /* lab04_nodes.cuh */
struct lab04_pool;  /* lab04_pool.cuh */

typedef struct lab04_graph {   /* a variant's, from prepare to finish; zero: not there */
    cudaGraph_t graph;         /* what was captured */
    cudaGraphExec_t exec;      /* what is launched: a snapshot of it */
    struct lab04_nodes *nodes; /* of `graph`, where they are to be updated; host memory */
    struct lab04_pool *pool;   /* graphs of prefill; host memory */
    void *device;              /* of pk_device_alloc */
} lab04_graph;

/* Time a part of prepare under its name: capture, instantiate, upload. The statement must not return. */
#define LAB04_TIMED(run, name, statement)                                                                              \
    do {                                                                                                               \
        const double lab04_began_ = pk_clock_us();                                                                     \
        statement;                                                                                                     \
        pk_run_phase((run), (name), pk_clock_us() - lab04_began_);                                                     \
    } while (0)

/* A capture that nobody ended is ended here, or the calls to come would fail. What it has captured goes, but not a
 * loop's body, `graph`, which is its node's. */
static inline pk_status lab04_check_capture_ended(cudaStream_t stream, cudaGraph_t graph)
{
    cudaStreamCaptureStatus status;
    PK_CHECK(cudaStreamIsCapturing(stream, &status));
    if (status == cudaStreamCaptureStatusNone)
        return PK_OK;
    cudaGraph_t captured = NULL;
    (void)cudaStreamEndCapture(stream, &captured);
    if (captured && captured != graph)
        (void)cudaGraphDestroy(captured);
    return pk_fail(PK_WRONG, "the stream still captures: end the capture, cudaStreamEndCapture(stream, &graph) "
                             "(docs/troubleshooting.md#capture)");
}

/* Does the graph hold a node for each kernel that was launched? A kernel that went to another stream is no error: it is
 * not in the graph, and is missing at every replay. */
static inline pk_status lab04_check_nodes(const pk_run *run, cudaGraph_t graph, int extra)
{
    const lab04 *const lab = lab04_of(run);
    size_t nodes = 0;
    PK_TRY(lab04_check_capture_ended(lab04_stream(run), graph));
    if (!graph)
        return pk_fail(PK_WRONG, "no graph came of the capture: what cudaStreamEndCapture gives is the one that the "
                                 "step is to hand out (docs/troubleshooting.md#capture)");
    PK_CHECK(cudaGraphGetNodes(graph, NULL, &nodes));
    if ((int)nodes != lab->launched + extra)
        return pk_fail(
            PK_WRONG,
            "the captured graph has %d nodes, and %d kernels were to be captured: launch every one of them on "
            "the stream that captures, once (docs/troubleshooting.md#another-number-of-nodes)",
            (int)nodes, lab->launched + extra);
    return PK_OK;
}

/* The variant's graph, in memory that lab04_forget_graph frees. */
static inline lab04_graph *lab04_graph_of(const pk_run *run)
{
    return (lab04_graph *)pk_run_variant_data(run);
}

static inline pk_status lab04_keep_graph(pk_run *run, lab04_graph **graph)
{
    *graph = (lab04_graph *)calloc(1, sizeof **graph);
    if (!*graph)
        return pk_out_of_memory("lab04");
    pk_run_set_variant_data(run, *graph);
    return PK_OK;
}

static inline void lab04_forget_graph(pk_run *run)
{
    lab04_graph *const g = lab04_graph_of(run);
    if (!g)
        return;
    pk_graph_destroy(g->graph, g->exec);
    free(g->nodes);
    pk_device_free(g->device);
    free(g);
    pk_run_set_variant_data(run, NULL);
}

/* A first launch sends the graph to the device; so that no timed one does. */
static inline pk_status lab04_upload(pk_run *run, lab04_graph *graph)
{
    if (!graph->exec)
        return pk_fail(PK_WRONG, "nothing is instantiated: what cudaGraphInstantiate makes of the graph goes to exec");
#if defined(PK_BACKEND_HIP) || defined(PK_BACKEND_HIP_NVIDIA)
    (void)run, (void)graph; /* HIP 5 has no upload of its own: the first launch, before any is timed, does it */
#else
    cudaError_t upload;
    LAB04_TIMED(run, "upload", upload = cudaGraphUpload(graph->exec, lab04_stream(run));
                if (upload == cudaSuccess) upload = cudaStreamSynchronize(lab04_stream(run)));
    PK_CHECK(upload);
#endif
    return PK_OK;
}

#endif
