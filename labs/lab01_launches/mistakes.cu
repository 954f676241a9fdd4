/* Lab 01, launches: planted mistakes. Each variant is wrong in one way that has been made for real, and the harness
 * must catch it: the tests lab01.mistake.* run them one by one and demand the right exit code and reason. */
#include "pk_gpu.h"

#include <math.h>

#include "lab01.h"
#include "lab01_step.cuh"

/* Right only where n is a multiple of the block. */
static __global__ void axpy_step_without_check(float a, const float *x, float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = y[i] + a * x[i];
}

static __global__ void axpy_step_past_the_end(int n, float a, const float *x, float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= n)
        y[i] = y[i] + a * x[i < n ? i : 0];
}

/* One block. It lets its successor go at once, and reads its first y before it waits for the kernel ahead, which may
 * write that element last of all: what it reads may be a step old. */
static __global__ void axpy_step_reads_early(int n, float a, const float *x, float *y)
{
    const int first = threadIdx.x;
    PK_GRID_DEPENDENCY_TRIGGER();
    const float early = first < n ? y[first] + a * x[first] : 0;
    PK_GRID_DEPENDENCY_SYNCHRONIZE();
    for (int i = first + blockDim.x; i < n; i += blockDim.x)
        y[i] = y[i] + a * x[i];
    if (first < n)
        y[first] = early;
}

static __global__ void overwrite_first(float *y, float value)
{
    y[0] = value;
}

static __global__ void next_float_up(float *y)
{
    y[0] = nextafterf(y[0], INFINITY);
}

/* Waits for a word that nobody writes. */
static __global__ void never_ends(const volatile float *y)
{
    while (!isnan(y[0]))
        PK_POLL_PAUSE();
}

/* `steps` right steps on `stream`, and a wait. */
static pk_status run_steps(const lab01 *lab, int steps, float *y, cudaStream_t stream)
{
    for (int step = 0; step < steps; step++)
        PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream, lab->n, lab->a, lab->x, y);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

static const lab01 *lab_of(const pk_run *run)
{
    return (const lab01 *)pk_run_lab_data(run);
}

static cudaStream_t stream_of(const pk_run *run)
{
    return (cudaStream_t)pk_run_stream(run);
}

static pk_status step_dropped(pk_run *run)
{
    return run_steps(lab_of(run), lab_of(run)->k * lab_of(run)->tokens - 1, lab_of(run)->y, stream_of(run));
}

static pk_status step_doubled(pk_run *run)
{
    return run_steps(lab_of(run), lab_of(run)->k * lab_of(run)->tokens + 1, lab_of(run)->y, stream_of(run));
}

static pk_status all_steps(pk_run *run)
{
    return run_steps(lab_of(run), lab_of(run)->k * lab_of(run)->tokens, lab_of(run)->y, stream_of(run));
}

/* A private y that is never set back: right once, then wrong. */
static pk_status carried_over_prepare(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    float *mine = NULL;
    PK_CHECK(cudaMalloc((void **)&mine, (size_t)lab->n * sizeof(float)));
    pk_run_set_variant_data(run, mine);
    return pk_device_copy(mine, lab->start, (size_t)lab->n * sizeof(float), stream_of(run));
}

static pk_status carried_over(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    float *mine = (float *)pk_run_variant_data(run);
    PK_TRY(run_steps(lab, lab->k * lab->tokens, mine, stream_of(run)));
    PK_TRY(pk_device_copy(lab->y, mine, (size_t)lab->n * sizeof(float), stream_of(run)));
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static void free_variant_data(pk_run *run)
{
    (void)cudaFree(pk_run_variant_data(run));
}

/* The answer computed once, and handed out again whatever the inputs are. */
static pk_status answer_kept(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    const size_t bytes = (size_t)lab->n * sizeof(float);
    float *kept = (float *)pk_run_variant_data(run);
    if (!kept) {
        PK_CHECK(cudaMalloc((void **)&kept, bytes));
        pk_run_set_variant_data(run, kept);
        PK_TRY(all_steps(run));
        PK_TRY(pk_device_copy(kept, lab->y, bytes, stream_of(run)));
    }
    PK_TRY(pk_device_copy(lab->y, kept, bytes, stream_of(run)));
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status writes_nan(pk_run *run)
{
    PK_TRY(all_steps(run));
    PK_LAUNCH(overwrite_first, 1, 1, 0, stream_of(run), lab_of(run)->y, (float)NAN);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status one_ulp_off(pk_run *run)
{
    PK_TRY(all_steps(run));
    PK_LAUNCH(next_float_up, 1, 1, 0, stream_of(run), lab_of(run)->y);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status past_the_end(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    const unsigned blocks = ((unsigned)lab->n + LAB01_THREADS) / LAB01_THREADS;
    for (int step = 0; step < lab->k * lab->tokens; step++)
        PK_LAUNCH(axpy_step_past_the_end, blocks, LAB01_THREADS, 0, stream_of(run), lab->n, lab->a, lab->x, lab->y);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status no_bounds_check(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    for (int step = 0; step < lab->k * lab->tokens; step++)
        PK_LAUNCH(axpy_step_without_check, lab01_blocks(lab), LAB01_THREADS, 0, stream_of(run), lab->a, lab->x, lab->y);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

/* The right work on a stream of its own, which the events around the repetition do not see. */
static pk_status other_stream(pk_run *run)
{
    cudaStream_t mine;
    PK_CHECK(cudaStreamCreateWithFlags(&mine, cudaStreamNonBlocking));
    pk_status status = run_steps(lab_of(run), lab_of(run)->k * lab_of(run)->tokens, lab_of(run)->y, mine);
    (void)cudaStreamDestroy(mine);
    return status;
}

/* Returns while the device is still at work: the time would be that of launching alone. */
static pk_status no_wait(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    for (int step = 0; step < lab->k * lab->tokens; step++)
        PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream_of(run), lab->n, lab->a, lab->x, lab->y);
    return PK_OK;
}

/* One wait for all tokens: the first is reported long before it is done. */
static pk_status token_early(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    for (int token = 0; token < lab->tokens; token++) {
        for (int step = 0; step < lab->k; step++)
            PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream_of(run), lab->n, lab->a, lab->x, lab->y);
        pk_token_done(run);
    }
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status reads_before_wait(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    for (int step = 0; step < lab->k * lab->tokens; step++)
        PK_LAUNCH_PDL(axpy_step_reads_early, 1, LAB01_THREADS, 0, stream_of(run), lab->n, lab->a, lab->x, lab->y);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status hangs(pk_run *run)
{
    PK_LAUNCH(never_ends, 1, 1, 0, stream_of(run), (const volatile float *)lab_of(run)->y);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

/* More threads in a block than any device takes. */
static pk_status bad_launch(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    PK_LAUNCH(axpy_step, 1, 4096, 0, stream_of(run), lab->n, lab->a, lab->x, lab->y);
    return all_steps(run);
}

/* Four blocks at most, and no loop that makes up for it. */
static pk_status capped_grid(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    const unsigned blocks = lab01_blocks(lab) < 4 ? lab01_blocks(lab) : 4;
    for (int step = 0; step < lab->k * lab->tokens; step++)
        PK_LAUNCH(axpy_step, blocks, LAB01_THREADS, 0, stream_of(run), lab->n, lab->a, lab->x, lab->y);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

/* The size of the first run is taken for that of all. */
static pk_status kept_pointer(pk_run *run)
{
    static float *y;
    const lab01 *lab = lab_of(run);
    y = y ? y : lab->y;
    for (int step = 0; step < lab->k * lab->tokens; step++)
        PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream_of(run), lab->n, lab->a, lab->x, y);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

/* Reads a row too far, as a loop does that fetches ahead and does not ask whether there is more. Nothing comes of it
 * here; beyond the guard it would be another's memory, or none. */
enum { ROW = 256 };

static __global__ void reads_beyond(int n, const float *x, float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] += x[i + ROW] > 1e30f ? 1.0f : 0.0f;
}

static pk_status row_beyond(pk_run *run)
{
    const lab01 *lab = lab_of(run);
    PK_TRY(all_steps(run));
    PK_LAUNCH(reads_beyond, lab01_blocks(lab), LAB01_THREADS, 0, stream_of(run), lab->n, lab->x, lab->y);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status kept_size(pk_run *run)
{
    static int n;
    const lab01 *lab = lab_of(run);
    n = n ? n : lab->n;
    for (int step = 0; step < lab->k * lab->tokens; step++)
        PK_LAUNCH(axpy_step, lab01_blocks(lab), LAB01_THREADS, 0, stream_of(run), n, lab->a, lab->x, lab->y);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status leaks(pk_run *run)
{
    void *kept;
    PK_CHECK(cudaMalloc(&kept, 4 << 20)); /* a GPU's driver hands out 2 MiB at a time */
    return all_steps(run);
}

/* All tokens are reported when nothing has begun, and nothing is still running either. */
static pk_status idle_token(pk_run *run)
{
    for (int token = 0; token < lab_of(run)->tokens; token++)
        pk_token_done(run);
    return all_steps(run);
}

PK_VARIANTS(ladder) = {
    {"step-dropped", "one step too few", 0, NULL, step_dropped, NULL},
    {"step-doubled", "one step too many", 0, NULL, step_doubled, NULL},
    {"carried-over", "state kept from the repetition before", 0, carried_over_prepare, carried_over, free_variant_data},
    {"answer-kept", "the first answer handed out again", 0, NULL, answer_kept, free_variant_data},
    {"writes-nan", "one element NaN", 0, NULL, writes_nan, NULL},
    {"one-ulp-off", "one element the next float up", 0, NULL, one_ulp_off, NULL},
    {"past-the-end", "writes y[n]", 0, NULL, past_the_end, NULL},
    {"no-bounds-check", "every thread of the last block writes", 0, NULL, no_bounds_check, NULL},
    {"other-stream", "work outside the timed stream", 0, NULL, other_stream, NULL},
    {"no-wait", "returns before its work has ended", 0, NULL, no_wait, NULL},
    {"token-early", "one wait for all tokens", 0, NULL, token_early, NULL},
    {"reads-before-wait", "a dependent launch that reads y before its wait", PK_NEED_PDL, NULL, reads_before_wait,
     NULL},
    {"hangs", "a kernel that never ends", 0, NULL, hangs, NULL},
    {"capped-grid", "four blocks at most, and no loop", 0, NULL, capped_grid, NULL},
    {"kept-pointer", "the buffer of the first run for all", 0, NULL, kept_pointer, NULL},
    {"row-beyond", "a row read beyond the buffer, and not used", 0, NULL, row_beyond, NULL},
    {"kept-size", "the size of the first run for all", 0, NULL, kept_size, NULL},
    {"leaks", "device memory in every repetition", 0, NULL, leaks, NULL},
    {"idle-token", "tokens reported before their work has begun", 0, NULL, idle_token, NULL},
    {"fused", "a launch for every step, under a name that stands for one", 0, NULL, all_steps, NULL},
    {"bad-launch", "a launch that the device refuses", 0, NULL, bad_launch, NULL},
};
PK_VARIANTS_END(ladder)
