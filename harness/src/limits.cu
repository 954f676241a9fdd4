/* The limits of the device, measured in the same run as what is compared with them: launch cost, launch and
 * synchronise, the gap between queued kernels, read bandwidth. And the L2 flush for cold measurements. */
#include "pk_gpu.h"

#include "device_limits.h"
#include "pk/host.h"

#define LAUNCHES 256 /* fewer than any runtime's queue holds, so that issuing never waits for the device */
#define SINGLES 200
#define BATCHES 20
#define READ_THREADS 256
#define READS_IN_FLIGHT 4 /* 16-byte loads a thread issues before it uses the first */
#define WRITE_THREADS 512

static __global__ void empty_kernel(void)
{
}

/* Holds the stream until the host writes 1: the launches behind it queue up on the device.
 * The host's release store to *gate (mapped memory) pairs with the acquire load here. */
static __global__ void gate_kernel(const int *gate)
{
    while (pk_load_acquire_system(gate) == 0)
        PK_POLL_PAUSE();
}

/* A block reads one contiguous piece of READ_THREADS x READS_IN_FLIGHT words of 16 bytes, all of a thread's loads in
 * flight at once, and folds what it read, so that no load can be left out. `sink` is written only if the fold hits one
 * value in 2^32. On an H200 this shape read 1.5% faster than a persistent grid that strides over the whole buffer. */
static __global__ void read_kernel(const uint4 *words, unsigned *sink)
{
    const uint4 *piece = words + (size_t)blockIdx.x * READ_THREADS * READS_IN_FLIGHT + threadIdx.x;
    uint4 word[READS_IN_FLIGHT];
#pragma unroll
    for (int k = 0; k < READS_IN_FLIGHT; k++)
        word[k] = piece[k * READ_THREADS];
    unsigned fold = 0;
#pragma unroll
    for (int k = 0; k < READS_IN_FLIGHT; k++)
        fold ^= word[k].x ^ word[k].y ^ word[k].z ^ word[k].w;
    if (fold == PK_LIMITS_READ_MARK)
        *sink = fold;
}

/* Passes `pauses` pauses. */
static __global__ void hold_kernel(int pauses)
{
    for (int i = 0; i < pauses; i++)
        PK_POLL_PAUSE();
}

static __global__ void write_kernel(uint4 *words, size_t count, unsigned value)
{
    const size_t stride = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride)
        words[i] = make_uint4(value, value + 1, value + 2, value + 3);
}

static pk_status issue_empty(void *stream, int launches)
{
    for (int i = 0; i < launches; i++)
        PK_LAUNCH(empty_kernel, 1, 32, 0, (cudaStream_t)stream);
    return PK_OK;
}

/* t_L: many launches in a row, one wait at the end, over their number. */
static pk_status launch_batch(cudaStream_t stream, double *us)
{
    const double start = pk_now_us();
    PK_TRY(issue_empty((void *)stream, LAUNCHES));
    PK_CHECK(cudaStreamSynchronize(stream));
    *us = (pk_now_us() - start) / LAUNCHES;
    return PK_OK;
}

static pk_status launch_and_wait(cudaStream_t stream, double *us)
{
    const double start = pk_now_us();
    PK_LAUNCH(empty_kernel, 1, 32, 0, stream);
    PK_CHECK(cudaStreamSynchronize(stream));
    *us = pk_now_us() - start;
    return PK_OK;
}

/* The device's own cost of going from one kernel to the next: the queue is filled behind a gate, so that the host is
 * not part of it. */
static pk_status queued_gap(cudaStream_t stream, pk_limits_issue *issue, int *gate, const int *device_gate,
                            cudaEvent_t begin, cudaEvent_t end, double *us)
{
    __atomic_store_n(gate, 0, __ATOMIC_RELEASE);
    PK_LAUNCH(gate_kernel, 1, 1, 0, stream, device_gate);
    PK_CHECK(cudaEventRecord(begin, stream));
    PK_TRY(issue((void *)stream, LAUNCHES));
    PK_CHECK(cudaEventRecord(end, stream));
    __atomic_store_n(gate, 1, __ATOMIC_RELEASE);
    PK_CHECK(cudaStreamSynchronize(stream));
    float ms = 0;
    PK_CHECK(cudaEventElapsedTime(&ms, begin, end));
    *us = (double)ms * 1e3 / LAUNCHES;
    return PK_OK;
}

static pk_status read_once(const pk_limit_workspace *space, cudaStream_t stream, cudaEvent_t begin, cudaEvent_t end,
                           double *bytes_per_us)
{
    const size_t piece = READ_THREADS * READS_IN_FLIGHT * sizeof(uint4); /* divides the workspace: limits.c */
    PK_CHECK(cudaEventRecord(begin, stream));
    PK_LAUNCH(read_kernel, (unsigned)(space->bytes / piece), READ_THREADS, 0, stream, (const uint4 *)space->words,
              (unsigned *)space->sink);
    PK_CHECK(cudaEventRecord(end, stream));
    PK_CHECK(cudaEventSynchronize(end));
    float ms = 0;
    PK_CHECK(cudaEventElapsedTime(&ms, begin, end));
    *bytes_per_us = (double)space->bytes / ((double)ms * 1e3);
    return PK_OK;
}

static pk_status launch_figures(cudaStream_t stream, pk_limit_samples *samples)
{
    double us = 0;
    for (int i = 0; i < BATCHES; i++) {
        PK_TRY(launch_batch(stream, &us));
        PK_TRY(pk_samples_add(&samples->launch, us));
    }
    for (int i = 0; i < SINGLES; i++) {
        PK_TRY(launch_and_wait(stream, &us));
        PK_TRY(pk_samples_add(&samples->launch_sync, us));
    }
    return PK_OK;
}

pk_status pk_limits_time_queued(void *stream_handle, pk_limits_issue *issue, void *begin, void *end, pk_samples *gap)
{
    const cudaStream_t stream = (cudaStream_t)stream_handle;
    void *gate = NULL, *device_gate = NULL;
    PK_TRY(pk_device_alloc_mapped(&gate, &device_gate, sizeof(int)));
    pk_status status = PK_OK;
    for (int i = 0; status == PK_OK && i < BATCHES; i++) {
        double us = 0;
        status =
            queued_gap(stream, issue, (int *)gate, (const int *)device_gate, (cudaEvent_t)begin, (cudaEvent_t)end, &us);
        if (status == PK_OK && i > 0) /* the first fills the runtime's own queues */
            status = pk_samples_add(gap, us);
    }
    __atomic_store_n((int *)gate, 1, __ATOMIC_RELEASE); /* let a gate that was launched go before its memory does */
    (void)cudaStreamSynchronize(stream);
    pk_device_free_mapped(gate);
    return status;
}

pk_status pk_limits_time(const pk_limit_workspace *space, void *stream_handle, pk_limit_samples *samples)
{
    const cudaStream_t stream = (cudaStream_t)stream_handle;
    void *begin = NULL, *end = NULL;
    double us = 0;
    PK_TRY(launch_batch(stream, &us)); /* warm-up: module load, clocks */
    PK_TRY(launch_figures(stream, samples));
    PK_TRY(pk_device_event_create(&begin));
    pk_status status = pk_device_event_create(&end);
    if (status == PK_OK)
        status = pk_limits_time_queued(stream_handle, issue_empty, begin, end, &samples->gap);
    for (int i = 0; status == PK_OK && i <= space->reads; i++) {
        double rate = 0;
        status = read_once(space, stream, (cudaEvent_t)begin, (cudaEvent_t)end, &rate);
        if (status == PK_OK && i > 0)
            status = pk_samples_add(&samples->read, rate);
    }
    pk_device_event_destroy(begin);
    pk_device_event_destroy(end);
    return status;
}

pk_status pk_limits_overwrite(const pk_limit_workspace *space, void *stream_handle, unsigned value)
{
    const cudaStream_t stream = (cudaStream_t)stream_handle;
#if defined(PK_BACKEND_CUDA)
    /* Lines that a variant marked as persisting survive a plain sweep through the cache. */
    PK_CHECK(cudaCtxResetPersistingL2Cache());
#endif
    PK_LAUNCH(write_kernel, space->processors * 4, WRITE_THREADS, 0, stream, (uint4 *)space->words,
              space->bytes / sizeof(uint4), value);
    return PK_OK;
}

pk_status pk_hold_stream(void *stream_handle)
{
    PK_LAUNCH(hold_kernel, 1, 1, 0, (cudaStream_t)stream_handle, PK_POLL_PAUSES_FOR_2_MS);
    return PK_OK;
}
