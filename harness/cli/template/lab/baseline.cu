/* Lab @NN@, @TITLE@: the baseline. A kernel for each operation.
 *
 *   two-kernels  t goes through memory, and each token is two launches */
#include "pk_gpu.h"

#include "labNN.h"
#include "labNN_operations.cuh"

static pk_status two_kernels(pk_run *run)
{
    const labNN *lab = (const labNN *)pk_run_lab_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int token = 0; token < lab->tokens; token++) {
        PK_LAUNCH(labNN_add, labNN_blocks(lab), LABNN_THREADS, 0, stream, lab->n, lab->y, lab->x, lab->t);
        PK_LAUNCH(labNN_subtract, labNN_blocks(lab), LABNN_THREADS, 0, stream, lab->n, lab->t, lab->s, lab->y);
    }
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

PK_VARIANTS(baseline) = {
    {"two-kernels", "a kernel for each operation", 0, NULL, two_kernels, NULL},
};
PK_VARIANTS_END(baseline)
