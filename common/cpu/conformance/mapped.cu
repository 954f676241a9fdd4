/* Host and running kernel talk through mapped host memory.
 * Source: CUDA C++ Programming Guide, "Mapped Memory", "Memory Fence Functions" (system scope). Flags are stored
 * with release and loaded with acquire at system scope on both sides; what they publish are plain accesses. */
#include "conformance.h"

#include <time.h>

CONCERN(mapped)

#define ROUNDS 2000
#define WORDS 64
#define SLOTS 8
#define STOP (-1)

static int load(const int *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(int *p, int value)
{
    __atomic_store_n(p, value, __ATOMIC_RELEASE);
}

/* Polls until *p is `value`; false after some seconds. */
static bool host_wait(const int *p, int value)
{
    const time_t limit = time(NULL) + 10;
    while (load(p) != value)
        if (time(NULL) > limit)
            return false;
    return true;
}

/* Ends early only when the host says STOP, which settling a failed case cannot do: so it gives up as well. */
static __device__ bool device_wait(const int *p, int value)
{
    const long long started = clock64();
    int seen;
    while ((seen = pk_load_acquire_system(p)) != value) {
        if (seen == STOP || clock64() - started > 15000000000ll)
            return false;
        PK_POLL_PAUSE();
    }
    return true;
}

static __global__ void answer(const int *question, int *reply, int rounds)
{
    for (int r = 1; r <= rounds; r++) {
        if (!device_wait(question, r))
            return;
        cf_store_release_system(reply, r);
    }
}

CASE(ping_pong)
{
    STREAM(s);
    MAPPED(int, host, device, 64);
    PK_LAUNCH(answer, 1, 1, 0, s, device, device + 32, ROUNDS);
    for (int r = 1; r <= ROUNDS; r++) {
        store(host, r);
        if (!host_wait(host + 32, r)) {
            store(host, STOP);
            return pk_fail(PK_WRONG, "no answer to question %d", r);
        }
    }
    EXPECT_ERROR(cudaStreamSynchronize(s), cudaSuccess);
    return PK_OK;
}

/* One warp's worth of threads, or one thread, adds up a message; thread 0 watches the flag for all. */
static __global__ void sum_messages(int *flag, const int *words, int *sum, int rounds)
{
    __shared__ int total;
    for (int r = 1; r <= rounds; r++) {
        if (threadIdx.x == 0) {
            total = 0;
            device_wait(flag, r);
        }
        __syncthreads();
        atomicAdd(&total, words[threadIdx.x]);
        __syncthreads();
        if (threadIdx.x == 0) {
            *sum = total;
            cf_store_release_system(flag, -r - 1);
        }
        __syncthreads();
    }
}

CASE(messages_of_many_words)
{
    STREAM(s);
    MAPPED(int, flag, device_flag, 1);
    MAPPED(int, words, device_words, WORDS);
    MAPPED(int, sum, device_sum, 1);
    PK_LAUNCH(sum_messages, 1, WORDS, 0, s, device_flag, device_words, device_sum, 300);
    for (int r = 1; r <= 300; r++) {
        int want = 0;
        for (int w = 0; w < WORDS; w++) {
            words[w] = r * w + w;
            want += r * w + w;
        }
        store(flag, r);
        if (!host_wait(flag, -r - 1))
            return pk_fail(PK_WRONG, "no answer to message %d", r);
        EXPECT_EQ(*sum, want);
    }
    EXPECT_ERROR(cudaStreamSynchronize(s), cudaSuccess);
    return PK_OK;
}

static __global__ void count_until_stopped(int *progress, const int *stop)
{
    const long long started = clock64();
    int n = 0;
    while (pk_load_acquire_system(stop) == 0 && clock64() - started < 15000000000ll) {
        cf_store_release_system(progress, ++n);
        PK_POLL_PAUSE();
    }
}

CASE(host_sees_progress_and_stops_the_kernel)
{
    STREAM(s);
    MAPPED(int, host, device, 64);
    PK_LAUNCH(count_until_stopped, 1, 1, 0, s, device, device + 32);
    int last = 0;
    for (int steps = 0; steps < 5; steps++) {
        const time_t limit = time(NULL) + 10;
        while (load(host) <= last && time(NULL) <= limit)
            ;
        EXPECT(load(host) > last);
        last = load(host);
    }
    EXPECT(cf_stream_busy(s));
    store(host + 32, 1);
    EXPECT_ERROR(cudaStreamSynchronize(s), cudaSuccess);
    return PK_OK;
}

/* A ring: the host fills slot tail % SLOTS, the kernel empties slot head % SLOTS. */
static __global__ void consume_ring(const int *ring, const int *tail, int *head, long long *sum, int items)
{
    long long total = 0;
    int taken = 0;
    while (taken < items) {
        const int filled = pk_load_acquire_system(tail);
        if (filled == STOP)
            return;
        for (; taken < filled; taken++)
            total += ring[taken % SLOTS];
        cf_store_release_system(head, taken);
        PK_POLL_PAUSE();
    }
    *sum = total;
}

CASE(host_fed_queue)
{
    const int items = 5000;
    long long want = 0;
    STREAM(s);
    MAPPED(int, ring, device_ring, SLOTS);
    MAPPED(int, ends, device_ends, 64); /* tail at 0, head at 32 */
    MAPPED(long long, sum, device_sum, 1);
    PK_LAUNCH(consume_ring, 1, 1, 0, s, device_ring, device_ends, device_ends + 32, device_sum, items);
    for (int i = 0; i < items; i++) {
        const time_t limit = time(NULL) + 10;
        while (i - load(ends + 32) >= SLOTS)
            if (time(NULL) > limit) {
                store(ends, STOP);
                return pk_fail(PK_WRONG, "item %d of the ring was never taken", i - SLOTS);
            }
        ring[i % SLOTS] = 3 * i + 1;
        want += 3 * i + 1;
        store(ends, i + 1);
    }
    EXPECT_ERROR(cudaStreamSynchronize(s), cudaSuccess);
    EXPECT_EQ(*sum, want);
    return PK_OK;
}

/* Several blocks serve one queue in mapped memory; a device counter hands out the items. */
static __global__ void serve(const int *available, unsigned *claimed, const int *in, int *out, int items)
{
    __shared__ int mine;
    for (;;) {
        if (threadIdx.x == 0) {
            mine = (int)atomicAdd(claimed, 1u);
            while (mine < items && pk_load_acquire_system(available) <= mine)
                PK_POLL_PAUSE();
        }
        __syncthreads();
        const int item = mine;
        __syncthreads();
        if (item >= items)
            return;
        if (threadIdx.x == (unsigned)item % blockDim.x)
            out[item] = in[item] * 2;
    }
}

CASE(many_blocks_serve_the_host)
{
    const int items = 512;
    STREAM(s);
    MAPPED(int, available, device_available, 1);
    MAPPED(int, in, device_in, items);
    MAPPED(int, out, device_out, items);
    DEVICE(unsigned, claimed, 1);
    PK_LAUNCH(serve, 4, 32, 0, s, device_available, claimed, device_in, device_out, items);
    for (int i = 0; i < items; i++) {
        in[i] = i + 5;
        store(available, i + 1);
    }
    EXPECT_ERROR(cudaStreamSynchronize(s), cudaSuccess);
    for (int i = 0; i < items; i++)
        if (out[i] != 2 * (i + 5))
            return pk_fail(PK_WRONG, "out[%d] is %d", i, out[i]);
    return PK_OK;
}

static __global__ void add_system(unsigned *count, unsigned long long *wide)
{
    atomicAdd_system(count, 1u);
    atomicAdd_system(wide, 1ull << 32);
}

CASE(system_atomics_on_host_memory)
{
    MAPPED(unsigned, count, device_count, 1);
    MAPPED(unsigned long long, wide, device_wide, 1);
    PK_LAUNCH(add_system, 20, 100, 0, 0, device_count, device_wide);
    PK_CHECK(cudaDeviceSynchronize());
    EXPECT_EQ(*count, 2000);
    EXPECT_EQ(*wide, 2000ull << 32);
    return PK_OK;
}

CASE(kernel_results_are_there_after_a_wait)
{
    MAPPED(int, host, device, 1000);
    STREAM(s);
    EVENT(e);
    for (int i = 0; i < 1000; i++)
        PK_LAUNCH(cf_set, 1, 1, 0, s, device + i, i + 1);
    PK_CHECK(cudaEventRecord(e, s));
    PK_CHECK(cudaEventSynchronize(e));
    for (int i = 0; i < 1000; i++)
        if (host[i] != i + 1)
            return pk_fail(PK_WRONG, "host[%d] is %d", i, host[i]);
    return PK_OK;
}

CASE(host_writes_before_a_launch_are_seen)
{
    STREAM(s);
    MAPPED(int, host, device, 1);
    DEVICE(int, out, 500);
    for (int i = 0; i < 500; i++) {
        *host = i;
        PK_LAUNCH(cf_copy_after, 1, 1, 0, s, device, out + i, 1);
        PK_CHECK(cudaStreamSynchronize(s));
    }
    EXPECT_EACH(int, out, 500, i);
    return PK_OK;
}

CASE(write_combined_and_portable)
{
    int *host, *device, result = 0;
    DEVICE(int, out, 1);
    PK_CHECK(cudaHostAlloc(&host, 4096, cudaHostAllocMapped | cudaHostAllocWriteCombined | cudaHostAllocPortable));
    PK_CHECK(cudaHostGetDevicePointer(&device, host, 0));
    host[7] = 19;
    PK_LAUNCH(cf_copy_after, 1, 1, 0, 0, device + 7, out, 2);
    PK_CHECK(cudaMemcpy(&result, out, sizeof result, cudaMemcpyDeviceToHost));
    EXPECT_EQ(result, 38);
    PK_CHECK(cudaFreeHost(host));
    return PK_OK;
}

CASE(copy_signals_a_running_kernel)
{
    SKIP_WHERE_COPIES_RACE();
    /* The flag is in device memory; a copy in another stream sets it. */
    STREAM(kernels);
    STREAM(copies);
    PINNED(int, ones, 3);
    DEVICE(int, flag, 1);
    MAPPED(int, reply, device_reply, 1);
    PK_LAUNCH(answer, 1, 1, 0, kernels, flag, device_reply, 3);
    for (int r = 1; r <= 3; r++) {
        ones[r - 1] = r;
        PK_CHECK(cudaMemcpyAsync(flag, &ones[r - 1], sizeof(int), cudaMemcpyHostToDevice, copies));
        EXPECT(host_wait(reply, r));
    }
    EXPECT_ERROR(cudaStreamSynchronize(kernels), cudaSuccess);
    return PK_OK;
}

CASE(two_kernels_talk_to_the_host_at_once)
{
    STREAM(first);
    STREAM(second);
    MAPPED(int, host, device, 128);
    PK_LAUNCH(answer, 1, 1, 0, first, device, device + 32, 100);
    PK_LAUNCH(answer, 1, 1, 0, second, device + 64, device + 96, 100);
    for (int r = 1; r <= 100; r++) {
        store(host, r);
        store(host + 64, r);
        if (!host_wait(host + 96, r) || !host_wait(host + 32, r)) {
            store(host, STOP);
            store(host + 64, STOP);
            return pk_fail(PK_WRONG, "no answer in round %d", r);
        }
    }
    return PK_OK;
}
