/* Lab @NN@, @TITLE@: the ladder. Fill in the steps; the page is README.md beside this file.
 *
 *   one-kernel  both operations in one kernel: one launch a token, and t in a register
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. */
#include "pk_gpu.h"

#include "labNN.h"

/* Both operations. A thread owns one element. */
static __global__ void labNN_both(int n, const float *x, const float *s, float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    /* STEP labNN.1 for one-kernel: y = (y + x) - s, for the threads that have an element (about 2 lines) */
    if (i < n)
        y[i] = y[i] + x[i] - s[i];
    /* END labNN.1 */
}

static pk_status one_kernel(pk_run *run)
{
    const labNN *lab = (const labNN *)pk_run_lab_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int token = 0; token < lab->tokens; token++) {
        /* STEP labNN.2 for one-kernel: launch it once for each token (about 1 line) */
        PK_LAUNCH(labNN_both, labNN_blocks(lab), LABNN_THREADS, 0, stream, lab->n, lab->x, lab->s, lab->y);
        /* END labNN.2 */
    }
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

PK_VARIANTS(ladder) = {
    {"one-kernel", "both operations in one kernel", 0, NULL, one_kernel, NULL},
};
PK_VARIANTS_END(ladder)
