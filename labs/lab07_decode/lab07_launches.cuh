/* Lab 07, given: a step launched kernel by kernel, and lab 04's best graph of it. */
#ifndef LAB07_LAUNCHES_CUH
#define LAB07_LAUNCHES_CUH

#include <stdlib.h>

#include "decode/pk_matvec.cuh"
#include "decode/pk_quant.h"

#include "lab07.h"

static inline cudaStream_t lab07_stream(const pk_run *run)
{
    return (cudaStream_t)pk_run_stream(run);
}

/* For a rung whose kernels read bf16. */
static inline pk_status lab07_reads_bf16(const pk_run *run)
{
    const pk_quant weights = lab07_of(run)->decoder.shape.weights;
    if (weights == PK_QUANT_BF16)
        return PK_OK;
    return pk_fail(PK_SKIP, "this rung reads bf16, and weights are %s: ring-quant reads them", pk_quant_name(weights));
}

/* Where a step stands is in device memory: every kernel reads it there, and the last one moves it on. */
static inline pk_decode_at lab07_at_device(const lab07 *lab)
{
    const pk_decode_at at = {lab->decoder.state, -1, -1, -1};
    return at;
}

/* Lab 04's rung `pdl`: a product asks for its first weights while the kernel ahead of it still runs. */
template <int PAIRS> static __global__ void __launch_bounds__(PK_MATVEC_THREADS, 4) lab07_matvec_ahead(pk_matvec m)
{
    pk_matvec_chunks<PAIRS> chunks;
    pk_matvec_ask<PAIRS>(&m, &chunks);
    PK_GRID_DEPENDENCY_TRIGGER();
    PK_GRID_DEPENDENCY_SYNCHRONIZE();
    pk_matvec_finish<PAIRS>(&m, &chunks);
}

static inline pk_status lab07_launch_ahead(const pk_matvec *m, unsigned blocks, unsigned threads, void *stream)
{
    PK_MATVEC_LAUNCH(PK_LAUNCH_PDL, lab07_matvec_ahead, m, blocks, threads, (cudaStream_t)stream);
    return PK_OK;
}

/* ---- a graph of one step, replayed for each ---- */

typedef struct lab07_graph { /* a variant's, from prepare to finish */
    cudaGraph_t graph;
    cudaGraphExec_t exec;
} lab07_graph;

static inline lab07_graph *lab07_graph_of(const pk_run *run)
{
    return (lab07_graph *)pk_run_variant_data(run);
}

static inline pk_status lab07_graph_prepare(pk_run *run, bool pdl)
{
    const lab07 *const lab = lab07_of(run);
    PK_TRY(lab07_reads_bf16(run));
    lab07_graph *const g = (lab07_graph *)calloc(1, sizeof *g);
    pk_decode_how how = lab->how;
    if (!g)
        return pk_out_of_memory("lab07");
    pk_run_set_variant_data(run, g);
    how.pdl = pdl;
    how.matvec = pdl ? lab07_launch_ahead : NULL;
    PK_CHECK(cudaStreamBeginCapture(lab07_stream(run), cudaStreamCaptureModeThreadLocal));
    const pk_status status = pk_decode_step(&lab->decoder, lab07_at_device(lab), &how, lab07_stream(run));
    PK_CHECK(cudaStreamEndCapture(lab07_stream(run), &g->graph));
    PK_TRY(status);
    PK_CHECK(cudaGraphInstantiate(&g->exec, g->graph, 0));
    return PK_OK;
}

static inline pk_status lab07_graph_execute(pk_run *run)
{
    for (int step = 0; step < lab07_of(run)->tokens; step++)
        PK_GRAPH_LAUNCH(lab07_graph_of(run)->exec, lab07_stream(run));
    PK_CHECK(cudaStreamSynchronize(lab07_stream(run)));
    return PK_OK;
}

static inline void lab07_graph_finish(pk_run *run)
{
    lab07_graph *const g = lab07_graph_of(run);
    if (!g)
        return;
    pk_graph_destroy(g->graph, g->exec);
    free(g);
    pk_run_set_variant_data(run, NULL);
}

#endif
