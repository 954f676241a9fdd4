/* Lab 04: a prompt's prefill, given; and a graph of one length alone, which is what a pool's graph is compared with. */
#ifndef LAB04_PROMPT_CUH
#define LAB04_PROMPT_CUH

#include "lab04_step.cuh"

/* Put request `request` before the decoder: its tokens, and the state of its beginning, device to device. */
static inline pk_status lab04_begin_request(const lab04 *lab, int request, cudaStream_t stream)
{
    const size_t most = (size_t)lab->decoder.shape.most_rows;
    PK_CHECK(cudaMemcpyAsync(lab->decoder.prompt, lab->prompts + (size_t)request * most, most * sizeof(int),
                             cudaMemcpyDeviceToDevice, stream));
    PK_CHECK(cudaMemcpyAsync(lab->decoder.state, lab->states + request, sizeof(pk_decode_state),
                             cudaMemcpyDeviceToDevice, stream));
    return PK_OK;
}

/* The kernels of a prefill of `rows` rows, in stream order: the prompt's tokens and padding. */
static inline pk_status lab04_prefill(const lab04 *lab, int rows, cudaStream_t stream)
{
    return pk_prefill(&lab->decoder, rows, lab->gemm, stream);
}

/* A graph captured for prompts of the one length that all of them have. */
static inline pk_status lab04_exact_prepare(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    lab04_graph *g;
    PK_TRY(lab04_keep_graph(run, &g));
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    PK_TRY(lab04_prefill(lab, lab->prompt, stream));
    PK_CHECK(cudaStreamEndCapture(stream, &g->graph));
    PK_CHECK(cudaGraphInstantiate(&g->exec, g->graph, 0));
    return lab04_upload(run, g);
}

static inline pk_status lab04_exact_execute(pk_run *run)
{
    const lab04 *const lab = lab04_of(run);
    const cudaStream_t stream = lab04_stream(run);
    for (int request = 0; request < lab->requests; request++) {
        PK_TRY(lab04_begin_request(lab, request, stream));
        if (lab->graphs)
            PK_GRAPH_LAUNCH(lab04_graph_of(run)->exec, stream);
        else
            PK_TRY(lab04_prefill(lab, lab->prompt, stream));
        PK_TRY(lab04_fetch_token(lab, request, stream));
        pk_token_done(run);
    }
    return PK_OK;
}

#endif
