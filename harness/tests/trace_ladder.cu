/* A ladder for trace_test.py, in lab 01's place: what a timeline has to show besides launches in one stream.
 *
 *   graph        K steps and a copy, captured once and replayed for each token: K + 1 nodes
 *   two-streams  K steps, each in the other of two streams that wait for each other by events */
#include "pk_gpu.h"

#include <stdlib.h>

#include "lab01.h"
#include "lab01_step.cuh"

typedef struct traced {
    float *copy; /* device, [n] */
    cudaGraphExec_t exec;
    cudaStream_t streams[2]; /* the second is the variant's own */
    cudaEvent_t ended;
} traced;

static pk_status capture_token(pk_run *run, traced *own, cudaGraph_t *graph)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    const cudaStream_t stream = own->streams[0];
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int step = 0; step < lab->k; step++)
        PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream, lab->n, lab->a, lab->x, lab->y);
    PK_CHECK(cudaMemcpyAsync(own->copy, lab->y, (size_t)lab->n * sizeof(float), cudaMemcpyDeviceToDevice, stream));
    PK_CHECK(cudaStreamEndCapture(stream, graph));
    return PK_OK;
}

static pk_status prepare(pk_run *run)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    traced *own = (traced *)calloc(1, sizeof *own);
    if (!own)
        return pk_out_of_memory("lab01");
    void *second;
    pk_run_set_variant_data(run, own);
    own->streams[0] = (cudaStream_t)pk_run_stream(run);
    PK_TRY(pk_run_add_stream(run, &second));
    own->streams[1] = (cudaStream_t)second;
    PK_CHECK(cudaEventCreateWithFlags(&own->ended, cudaEventDisableTiming));
    PK_CHECK(cudaMalloc((void **)&own->copy, (size_t)lab->n * sizeof(float)));
    cudaGraph_t graph;
    PK_TRY(capture_token(run, own, &graph));
    PK_CHECK(cudaGraphInstantiate(&own->exec, graph, 0));
    PK_CHECK(cudaGraphDestroy(graph));
    return PK_OK;
}

static void finish(pk_run *run)
{
    traced *own = (traced *)pk_run_variant_data(run);
    if (!own)
        return;
    if (own->exec)
        (void)cudaGraphExecDestroy(own->exec);
    if (own->ended)
        (void)cudaEventDestroy(own->ended);
    (void)cudaFree(own->copy);
    free(own);
    pk_run_set_variant_data(run, NULL);
}

static pk_status replay(pk_run *run)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    const traced *own = (const traced *)pk_run_variant_data(run);
    for (int token = 0; token < lab->tokens; token++) {
        PK_GRAPH_LAUNCH(own->exec, own->streams[0]);
        PK_CHECK(cudaStreamSynchronize(own->streams[0]));
        pk_token_done(run);
    }
    return PK_OK;
}

static pk_status two_streams(pk_run *run)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    const traced *own = (const traced *)pk_run_variant_data(run);
    for (int token = 0; token < lab->tokens; token++) {
        for (int step = 0; step < lab->k; step++) {
            const cudaStream_t here = own->streams[step % 2], next = own->streams[(step + 1) % 2];
            PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, here, lab->n, lab->a, lab->x, lab->y);
            PK_CHECK(cudaEventRecord(own->ended, here));
            PK_CHECK(cudaStreamWaitEvent(next, own->ended, 0));
        }
        PK_CHECK(cudaStreamSynchronize(own->streams[1]));
        PK_CHECK(cudaStreamSynchronize(own->streams[0]));
        pk_token_done(run);
    }
    return PK_OK;
}

PK_VARIANTS(ladder) = {
    {"graph", "K steps and a copy in a graph, a replay a token", PK_NEED_GRAPH, prepare, replay, finish},
    {"two-streams", "each step in the other stream", PK_NEED_GRAPH, prepare, two_streams, finish},
};
PK_VARIANTS_END(ladder)
