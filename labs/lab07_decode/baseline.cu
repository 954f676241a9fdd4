/* Lab 07, decode as one kernel: what lab 04 leaves to beat.
 *
 *   stream     every kernel of a step launched, one wait at the end
 *   graph      a step captured once, replayed for each token
 *   graph-pdl  the same with programmatic edges: lab 04's best, where the device has them */
#include "pk_gpu.h"

#include "lab07_launches.cuh"

static pk_status stream_ordered(pk_run *run)
{
    const lab07 *const lab = lab07_of(run);
    for (int step = 0; step < lab->tokens; step++)
        PK_TRY(pk_decode_step(&lab->decoder, lab07_at_device(lab), &lab->how, lab07_stream(run)));
    PK_CHECK(cudaStreamSynchronize(lab07_stream(run)));
    return PK_OK;
}

static pk_status stream_prepare(pk_run *run)
{
    return lab07_reads_bf16(run);
}

static pk_status graph_prepare(pk_run *run)
{
    return lab07_graph_prepare(run, false);
}

static pk_status graph_pdl_prepare(pk_run *run)
{
    return lab07_graph_prepare(run, true);
}

PK_VARIANTS(baseline) = {
    {"stream", "every kernel launched, one wait at the end", 0, stream_prepare, stream_ordered, NULL},
    {"graph", "a step's graph, replayed for each token", PK_NEED_GRAPH, graph_prepare, lab07_graph_execute,
     lab07_graph_finish},
    {"graph-pdl", "the same with programmatic edges: lab 04's best", PK_NEED_GRAPH | PK_NEED_PDL, graph_pdl_prepare,
     lab07_graph_execute, lab07_graph_finish},
};
PK_VARIANTS_END(baseline)
