/* Lab @NN@: planted mistakes. Each variant is wrong in one way, and the harness must catch it: CMakeLists.txt says how
 * each ends. */
#include "pk_gpu.h"

#include <math.h>

#include "labNN.h"
#include "labNN_operations.cuh"

static __global__ void past_the_end(int n, const float *x, const float *s, float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= n)
        y[i] = y[i] + x[i < n ? i : 0] - s[i < n ? i : 0];
}

static __global__ void spoil_first(float *y)
{
    y[0] = NAN;
}

static const labNN *lab_of(const pk_run *run)
{
    return (const labNN *)pk_run_lab_data(run);
}

/* `tokens` right ones, by two launches each. */
static pk_status run_tokens(pk_run *run, int tokens)
{
    const labNN *lab = lab_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int token = 0; token < tokens; token++) {
        PK_LAUNCH(labNN_add, labNN_blocks(lab), LABNN_THREADS, 0, stream, lab->n, lab->y, lab->x, lab->t);
        PK_LAUNCH(labNN_subtract, labNN_blocks(lab), LABNN_THREADS, 0, stream, lab->n, lab->t, lab->s, lab->y);
    }
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

static pk_status token_dropped(pk_run *run)
{
    return run_tokens(run, lab_of(run)->tokens - 1);
}

static pk_status two_launches(pk_run *run)
{
    return run_tokens(run, lab_of(run)->tokens);
}

static pk_status writes_past_the_end(pk_run *run)
{
    const labNN *lab = lab_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    for (int token = 0; token < lab->tokens; token++)
        PK_LAUNCH(past_the_end, labNN_blocks(lab), LABNN_THREADS, 0, stream, lab->n, lab->x, lab->s, lab->y);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

static pk_status writes_nan(pk_run *run)
{
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const pk_status status = run_tokens(run, lab_of(run)->tokens);
    PK_LAUNCH(spoil_first, 1, 1, 0, stream, lab_of(run)->y);
    PK_CHECK(cudaStreamSynchronize(stream));
    return status;
}

PK_VARIANTS(ladder) = {
    {"token-dropped", "one token too few", 0, NULL, token_dropped, NULL},
    {"past-the-end", "writes y[n]", 0, NULL, writes_past_the_end, NULL},
    {"writes-nan", "one element NaN", 0, NULL, writes_nan, NULL},
    {"one-kernel", "two launches a token, under a name that stands for one", 0, NULL, two_launches, NULL},
};
PK_VARIANTS_END(ladder)
