/* Streams and events: order within, independence across, the default stream's rules, timing, host functions. */
#include "check.h"

__global__ void append(int *log, int *length, int value)
{
    if (threadIdx.x == 0)
        log[(*length)++] = value;
}

__global__ void hold_until(unsigned *go)
{
    while (__atomic_load_n(go, __ATOMIC_ACQUIRE) == 0)
        __nanosleep(1000);
}

__global__ void arrive_and_hold(unsigned *go, unsigned *arrived)
{
    if (threadIdx.x != 0)
        return;
    atomicAdd(arrived, 1);
    while (__atomic_load_n(go, __ATOMIC_ACQUIRE) == 0)
        __nanosleep(1000);
}

static int *make_ints(int n)
{
    int *x;
    OK(cudaMallocHost(&x, (size_t)n * sizeof(int)));
    for (int i = 0; i < n; ++i)
        x[i] = 0;
    return x;
}

static void a_stream_keeps_order(void)
{
    enum { N = 3000 };
    int *log = make_ints(N + 1);
    cudaStream_t stream;
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    for (int i = 0; i < N; ++i)
        LAUNCH(append, 1, 1, 0, stream, log, log + N, i);
    OK(cudaStreamSynchronize(stream));
    bool ordered = log[N] == N;
    for (int i = 0; i < N; ++i)
        ordered &= log[i] == i;
    CHECK(ordered);
    OK(cudaStreamDestroy(stream));
    OK(cudaFreeHost(log));
}

static void streams_do_not_wait_for_each_other(void)
{
    int *words = make_ints(8);
    unsigned *go = (unsigned *)words;
    cudaStream_t held, other;
    OK(cudaStreamCreateWithFlags(&held, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
    LAUNCH(hold_until, 4, 32, 0, held, go);
    LAUNCH(append, 1, 1, 0, other, words + 2, words + 1, 5);
    OK(cudaStreamSynchronize(other));
    CHECK(words[2] == 5);
    EXPECT(cudaStreamQuery(other), cudaSuccess);
    EXPECT(cudaStreamQuery(held), cudaErrorNotReady);
    __atomic_store_n(go, 1u, __ATOMIC_RELEASE);
    OK(cudaStreamSynchronize(held));
    OK(cudaStreamDestroy(held));
    OK(cudaStreamDestroy(other));
    OK(cudaFreeHost(words));
}

/* The legacy default stream waits for blocking streams and they for it; a non-blocking stream takes no part. */
static void default_stream_rules(void)
{
    int *words = make_ints(8);
    unsigned *go = (unsigned *)words;
    cudaStream_t blocking, free_stream;
    OK(cudaStreamCreate(&blocking));
    OK(cudaStreamCreateWithFlags(&free_stream, cudaStreamNonBlocking));
    LAUNCH(hold_until, 1, 1, 0, blocking, go);
    LAUNCH(append, 1, 1, 0, nullptr, words + 2, words + 1, 1);  /* after blocking */
    LAUNCH(append, 1, 1, 0, blocking, words + 2, words + 1, 2); /* after the legacy stream */
    LAUNCH(append, 1, 1, 0, free_stream, words + 5, words + 4, 3);
    OK(cudaStreamSynchronize(free_stream));
    CHECK(words[5] == 3 && __atomic_load_n(&words[1], __ATOMIC_RELAXED) == 0);
    EXPECT(cudaStreamQuery(nullptr), cudaErrorNotReady);
    __atomic_store_n(go, 1u, __ATOMIC_RELEASE);
    OK(cudaDeviceSynchronize());
    CHECK(words[1] == 2 && words[2] == 1 && words[3] == 2);
    OK(cudaStreamDestroy(blocking));
    OK(cudaStreamDestroy(free_stream));
    OK(cudaFreeHost(words));
}

static void events_order_streams_and_tell_time(void)
{
    int *words = make_ints(8);
    unsigned *go = (unsigned *)words;
    cudaStream_t first, second;
    cudaEvent_t start, stop, untimed;
    OK(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
    OK(cudaEventCreate(&start));
    OK(cudaEventCreate(&stop));
    OK(cudaEventCreateWithFlags(&untimed, cudaEventDisableTiming));
    float ms = -1;
    EXPECT(cudaEventElapsedTime(&ms, start, stop), cudaErrorInvalidResourceHandle); /* not recorded */
    EXPECT(cudaEventQuery(start), cudaSuccess);
    OK(cudaEventRecord(start, first));
    LAUNCH(hold_until, 1, 1, 0, first, go);
    LAUNCH(append, 1, 1, 0, first, words + 2, words + 1, 1);
    OK(cudaEventRecord(stop, first));
    OK(cudaStreamWaitEvent(second, stop, 0));
    LAUNCH(append, 1, 1, 0, second, words + 2, words + 1, 2);
    EXPECT(cudaEventQuery(stop), cudaErrorNotReady);
    EXPECT(cudaEventElapsedTime(&ms, start, stop), cudaErrorNotReady);
    OK(cudaEventSynchronize(start)); /* on a busy machine the stream may come to it late */
    usleep(3000);
    __atomic_store_n(go, 1u, __ATOMIC_RELEASE);
    OK(cudaEventSynchronize(stop));
    OK(cudaEventElapsedTime(&ms, start, stop));
    CHECK(ms >= 3.0f && ms < 10000.0f);
    OK(cudaStreamSynchronize(second));
    CHECK(words[1] == 2 && words[2] == 1 && words[3] == 2);
    OK(cudaEventRecord(untimed, first));
    OK(cudaEventSynchronize(untimed));
    EXPECT(cudaEventElapsedTime(&ms, start, untimed), cudaErrorInvalidResourceHandle);
    OK(cudaEventDestroy(start));
    EXPECT(cudaEventRecord(start, first), cudaErrorInvalidResourceHandle);
    OK(cudaEventDestroy(stop));
    OK(cudaEventDestroy(untimed));
    OK(cudaStreamDestroy(first));
    OK(cudaStreamDestroy(second));
    OK(cudaFreeHost(words));
    (void)cudaGetLastError();
}

static void in_host_function(void *data)
{
    int *words = (int *)data;
    words[2] = words[1];
    /* A host function may not call the runtime. */
    words[3] = cudaStreamQuery(nullptr);
}

static void host_functions_run_in_order(void)
{
    int *words = make_ints(8);
    cudaStream_t stream;
    OK(cudaStreamCreate(&stream));
    LAUNCH(append, 1, 1, 0, stream, words + 5, words + 1, 9);
    OK(cudaLaunchHostFunc(stream, in_host_function, words));
    LAUNCH(append, 1, 1, 0, stream, words + 5, words + 1, 9);
    OK(cudaStreamSynchronize(stream));
    CHECK(words[2] == 1 && words[3] == cudaErrorNotPermitted && words[1] == 2);
    OK(cudaStreamDestroy(stream));
    OK(cudaFreeHost(words));
}

/* With one seat left for two kernels, the one of higher priority takes it first, though it came last. */
static void higher_priority_goes_first(void)
{
    int *words = make_ints(8), least, greatest;
    unsigned *go = (unsigned *)words, *go_one = go + 1, *arrived = go + 2;
    int *log = words + 4, *length = words + 3;
    cudaStream_t held, one, low, high;
    OK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    CHECK(least == 0 && greatest < 0);
    OK(cudaStreamCreateWithFlags(&held, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&one, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithPriority(&low, cudaStreamNonBlocking, least));
    OK(cudaStreamCreateWithPriority(&high, cudaStreamNonBlocking, greatest));
    cudaDeviceProp device;
    OK(cudaGetDeviceProperties(&device, 0));
    const unsigned seats = 2 * (unsigned)device.multiProcessorCount;
    LAUNCH(arrive_and_hold, seats - 1, 1024, 0, held, go, arrived);
    LAUNCH(arrive_and_hold, 1, 1024, 0, one, go_one, arrived);
    while (__atomic_load_n(arrived, __ATOMIC_ACQUIRE) < seats)
        usleep(100);
    LAUNCH(append, 1, 1024, 0, low, log, length, 1);
    LAUNCH(append, 1, 1024, 0, high, log, length, 2);
    EXPECT(cudaStreamQuery(high), cudaErrorNotReady);
    __atomic_store_n(go_one, 1u, __ATOMIC_RELEASE);
    OK(cudaStreamSynchronize(low));
    CHECK(*length == 2 && log[0] == 2 && log[1] == 1);
    __atomic_store_n(go, 1u, __ATOMIC_RELEASE);
    OK(cudaDeviceSynchronize());
    OK(cudaStreamDestroy(held));
    OK(cudaStreamDestroy(one));
    OK(cudaStreamDestroy(low));
    OK(cudaStreamDestroy(high));
    OK(cudaFreeHost(words));
}

static void bad_handles_are_errors(void)
{
    cudaStream_t stream;
    OK(cudaStreamCreate(&stream));
    OK(cudaStreamDestroy(stream));
    EXPECT(cudaStreamDestroy(stream), cudaErrorInvalidResourceHandle);
    EXPECT(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
    EXPECT(cudaStreamDestroy(nullptr), cudaErrorInvalidResourceHandle);
    EXPECT(cudaStreamCreateWithFlags(&stream, 8), cudaErrorInvalidValue);
    EXPECT(cudaEventDestroy(nullptr), cudaErrorInvalidResourceHandle);
    EXPECT(cudaSetDevice(1), cudaErrorInvalidDevice);
    (void)cudaGetLastError();
}

int main(void)
{
    limit_seconds(120);
    a_stream_keeps_order();
    streams_do_not_wait_for_each_other();
    default_stream_rules();
    events_order_streams_and_tell_time();
    host_functions_run_in_order();
    if (blocks_are_resident())
        higher_priority_goes_first();
    bad_handles_are_errors();
    return failures != 0;
}
