/* Lab 04: a prompt's prefill, given. */
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

#endif
