/* Lab 01, launches: the ladder. Fill in the steps; the page is README.md beside this file.
 *
 *   stream  K launches one behind the other, one wait a token
 *   pdl     the same, and each kernel's start overlaps with the end of the one before it
 *   fused   the K steps in one kernel: one launch a token
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. axpy_step, one
 * step, is in lab01_step.cuh. */
#include "pk_gpu.h"

#include "lab01.h"
#include "lab01_step.cuh"

static pk_status stream_ordered(pk_run *run)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int token = 0; token < lab->tokens; token++) {
        /* STEP lab01.1 for stream: launch the token's K steps in stream order, then wait once (about 4 lines) */
        (void)stream, (void)axpy_step;
        return pk_todo(run, "lab01.1");
        /* END lab01.1 */
        pk_token_done(run);
    }
    return PK_OK;
}

/* One step that may start before the step ahead of it has ended. It may do early whatever does not depend on that
 * step, and must wait before it touches what that step wrote. */
static __global__ void axpy_step_pdl(int n, float a, const float *x, float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    /* STEP lab01.2 for pdl: load x early, wait for the kernel ahead, then update y (about 4 lines) */
    (void)n, (void)a, (void)x, (void)y, (void)i;
    /* END lab01.2 */
}

static pk_status dependent_launches(pk_run *run)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int token = 0; token < lab->tokens; token++) {
        /* STEP lab01.3 for pdl: launch the K steps as programmatic dependent launches, then wait once (about 4 lines) */
        (void)stream, (void)axpy_step_pdl;
        return pk_todo(run, "lab01.3");
        /* END lab01.3 */
        pk_token_done(run);
    }
    return PK_OK;
}

/* K steps at once. A thread owns one element for all of them. */
static __global__ void axpy_fused(int n, int k, float a, const float *x, float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    /* STEP lab01.4 for fused: read x and y once, do the K additions in a register, write y once (about 6 lines) */
    (void)n, (void)k, (void)a, (void)x, (void)y, (void)i;
    /* END lab01.4 */
}

static pk_status fused(pk_run *run)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int token = 0; token < lab->tokens; token++) {
        /* STEP lab01.5 for fused: one launch, one wait (about 2 lines) */
        (void)stream, (void)axpy_fused;
        return pk_todo(run, "lab01.5");
        /* END lab01.5 */
        pk_token_done(run);
    }
    return PK_OK;
}

PK_VARIANTS(ladder) = {
    {"stream", "launches in stream order, one wait a token", 0, NULL, stream_ordered, NULL},
    {"pdl", "programmatic dependent launches, one wait a token", PK_NEED_PDL, NULL, dependent_launches, NULL},
    {"fused", "the K steps in one kernel, one launch a token", 0, NULL, fused, NULL},
};
PK_VARIANTS_END(ladder)
