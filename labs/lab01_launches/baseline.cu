/* Lab 01, launches: the baseline. One kernel a step, and the host waits for each.
 *
 *   launch-sync  launch, wait, launch, wait: every step pays the round trip between host and device
 *   work-only    the same loads, additions and stores in one launch a token: what the steps cost by themselves,
 *                T_comp. It is the measure of the others, not a way to run a real decode step */
#include "pk_gpu.h"

#include "lab01.h"
#include "lab01_step.cuh"

static pk_status launch_sync(pk_run *run)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int token = 0; token < lab->tokens; token++) {
        for (int step = 0; step < lab->k; step++) {
            PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream, lab->n, lab->a, lab->x, lab->y);
            PK_CHECK(cudaStreamSynchronize(stream));
        }
        pk_token_done(run);
    }
    return PK_OK;
}

/* K steps with y and x going through memory in each of them, as they do when every step is a kernel of its own:
 * volatile keeps the compiler from holding them in registers. A thread owns its element, so no barrier is needed. */
static __global__ void axpy_work_only(int n, int k, float a, const volatile float *x, volatile float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    for (int step = 0; step < k; step++)
        y[i] = y[i] + a * x[i];
}

static pk_status work_only(pk_run *run)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int token = 0; token < lab->tokens; token++) {
        PK_LAUNCH(axpy_work_only, lab01_blocks(lab), LAB01_THREADS, 0, stream, lab->n, lab->k, lab->a, lab->x, lab->y);
        PK_CHECK(cudaStreamSynchronize(stream));
        pk_token_done(run);
    }
    return PK_OK;
}

PK_VARIANTS(baseline) = {
    {"launch-sync", "a launch and a wait for every step", 0, NULL, launch_sync, NULL},
    {"work-only", "the same memory work in one launch a token: T_comp", 0, NULL, work_only, NULL},
};
PK_VARIANTS_END(baseline)
