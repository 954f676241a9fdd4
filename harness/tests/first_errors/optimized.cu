/* A student's file of lab 01 with a first error in each step: harness/tests/cli/first_errors.sh reads what ./lab says
 * of each. */
#include "pk_gpu.h"

#include <math.h>

#include "lab01.h"
#include "lab01_step.cuh"

static pk_status launch_steps(pk_run *run, void (*kernel)(int, float, const float *, float *), int steps)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int step = 0; step < steps; step++)
        PK_LAUNCH(kernel, lab01_blocks(lab), LAB01_THREADS, 0, stream, lab->n, lab->a, lab->x, lab->y);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

static int all_steps(pk_run *run)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    return lab->k * lab->tokens;
}

static pk_status one_step_short(pk_run *run)
{
    /* STEP lab01.1 for wrong: a launch is missing */
    return launch_steps(run, axpy_step, all_steps(run) - 1);
    /* END lab01.1 */
}

static __global__ void never_ends(int n, float a, const float *x, float *y)
{
    (void)n, (void)a, (void)x;
    /* STEP lab01.2 for hang: waits for a word that nobody writes */
    while (!isinf(*(volatile float *)y)) {
    }
    /* END lab01.2 */
}

static __global__ void writes_nowhere(int n, float a, const float *x, float *y)
{
    (void)n, (void)a, (void)x, (void)y;
    /* STEP lab01.3 for crash: writes through no pointer */
    float *nowhere = NULL;
    *(volatile float *)nowhere = 1;
    /* END lab01.3 */
}

static pk_status crash(pk_run *run)
{
    return launch_steps(run, writes_nowhere, 1);
}

static pk_status allocate_in_capture(pk_run *run)
{
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    void *memory = NULL;
    /* STEP lab01.4 for capture: nothing is wrong here */
    PK_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    /* END lab01.4 */
    /* STEP lab01.5 for capture: allocates while the stream captures */
    PK_CHECK(cudaMalloc(&memory, 64));
    /* END lab01.5 */
    return PK_OK;
}

static pk_status hang(pk_run *run)
{
    const lab01 *lab = (const lab01 *)pk_run_lab_data(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    /* STEP lab01.6 for hang: nothing is wrong here, but it is the last launch */
    PK_LAUNCH(never_ends, lab01_blocks(lab), LAB01_THREADS, 0, stream, lab->n, lab->a, lab->x, lab->y);
    /* END lab01.6 */
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

PK_VARIANTS(ladder) = {
    {"wrong", "a launch too few", 0, NULL, one_step_short, NULL},
    {"hang", "a kernel that does not end", 0, NULL, hang, NULL},
    {"crash", "a kernel that writes nowhere", 0, NULL, crash, NULL},
    {"capture", "an allocation while the stream captures", 0, NULL, allocate_in_capture, NULL},
};
PK_VARIANTS_END(ladder)
