/* Barriers in shared memory that split arriving and waiting, by their C functions.
 * Source: CUDA C++ Programming Guide, "Asynchronous Barrier", "Memory Barrier Primitives Interface". */
#include "conformance.h"

#include <cuda_awbarrier_primitives.h>
#include <cuda_pipeline_primitives.h>

CONCERN(mbarrier)

#define THREADS 96

static __device__ void barrier_make(__mbarrier_t *barrier, unsigned count)
{
    if (threadIdx.x == 0)
        __mbarrier_init(barrier, count);
    __syncthreads();
}

static __device__ void wait_for(__mbarrier_t *barrier, __mbarrier_token_t token)
{
    while (!__mbarrier_test_wait(barrier, token))
        PK_POLL_PAUSE();
}

static __global__ void arrive_and_wait(int *out, int rounds)
{
    __shared__ __mbarrier_t barrier;
    __shared__ int ring[THREADS];
    const unsigned t = threadIdx.x;
    barrier_make(&barrier, THREADS);
    ring[t] = (int)t;
    for (int r = 0; r < rounds; r++) {
        wait_for(&barrier, __mbarrier_arrive(&barrier));
        const int next = ring[(t + 1) % THREADS];
        wait_for(&barrier, __mbarrier_arrive(&barrier));
        ring[t] = next;
    }
    out[t] = ring[t];
}

CASE(phases)
{
    DEVICE(int, out, THREADS);
    PK_LAUNCH(arrive_and_wait, 1, THREADS, 0, 0, out, 25);
    EXPECT_EACH(int, out, THREADS, (i + 25) % THREADS);
    return PK_OK;
}

static __global__ void split_arrive(int *out)
{
    __shared__ __mbarrier_t barrier;
    __shared__ int tile[THREADS];
    const unsigned t = threadIdx.x;
    barrier_make(&barrier, THREADS);
    tile[t] = (int)t * 2;
    const __mbarrier_token_t token = __mbarrier_arrive(&barrier);
    int own = 0; /* work that needs nobody else */
    for (int i = 0; i < 100; i++)
        own += i;
    wait_for(&barrier, token);
    out[blockIdx.x * THREADS + t] = tile[THREADS - 1 - t] + own;
}

CASE(work_between_arrive_and_wait)
{
    DEVICE(int, out, 4 * THREADS);
    PK_LAUNCH(split_arrive, 4, THREADS, 0, 0, out);
    EXPECT_EACH(int, out, 4 * THREADS, 2 * (THREADS - 1 - (int)i % THREADS) + 4950);
    return PK_OK;
}

/* The count is the number of arrivals, not of threads. */
static __global__ void one_thread_arrives_for_all(unsigned *out)
{
    __shared__ __mbarrier_t barrier;
    __mbarrier_init(&barrier, 3);
    const __mbarrier_token_t first = __mbarrier_arrive(&barrier);
    out[0] = __mbarrier_token_pending_count(first);
    out[1] = __mbarrier_test_wait(&barrier, first);
    const __mbarrier_token_t second = __mbarrier_arrive(&barrier);
    out[2] = __mbarrier_token_pending_count(second);
    out[3] = __mbarrier_test_wait(&barrier, first);
    const __mbarrier_token_t third = __mbarrier_arrive(&barrier);
    out[4] = __mbarrier_token_pending_count(third);
    out[5] = __mbarrier_test_wait(&barrier, first);
    out[6] = __mbarrier_test_wait(&barrier, third);
    const __mbarrier_token_t next = __mbarrier_arrive(&barrier); /* of the next phase, whose count is whole again */
    out[7] = __mbarrier_token_pending_count(next);
    out[8] = __mbarrier_test_wait(&barrier, next);
    __mbarrier_inval(&barrier);
}

CASE(pending_count)
{
    /* The token keeps the count as it was before its own arrival. */
    const unsigned want[9] = {3, 0, 2, 0, 1, 1, 1, 3, 0};
    DEVICE(unsigned, out, 9);
    PK_LAUNCH(one_thread_arrives_for_all, 1, 1, 0, 0, out);
    EXPECT_EACH(unsigned, out, 9, want[i]);
    return PK_OK;
}

static __global__ void drop(unsigned *out)
{
    __shared__ __mbarrier_t barrier;
    __mbarrier_init(&barrier, 2);
    const __mbarrier_token_t token = __mbarrier_arrive(&barrier);
    (void)__mbarrier_arrive_and_drop(&barrier);
    out[0] = __mbarrier_test_wait(&barrier, token);
    const __mbarrier_token_t alone = __mbarrier_arrive(&barrier); /* one arrival ends the next phase */
    out[1] = __mbarrier_test_wait(&barrier, alone);
}

CASE(arrive_and_drop)
{
    DEVICE(unsigned, out, 2);
    PK_LAUNCH(drop, 1, 1, 0, 0, out);
    EXPECT_EACH(unsigned, out, 2, 1);
    return PK_OK;
}

/* Warp 0 makes tiles, warps 1 and 2 use them; `full` and `empty` hand the two slots over. */
static __global__ void producer_and_consumers(int *out, int tiles)
{
    __shared__ __mbarrier_t full[2], empty[2];
    __shared__ int tile[2][32];
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    if (threadIdx.x == 0)
        for (int s = 0; s < 2; s++) {
            __mbarrier_init(&full[s], 32 + 64);
            __mbarrier_init(&empty[s], 32 + 64);
        }
    __syncthreads();
    int sum = 0;
    for (int k = 0; k < tiles; k++) {
        const int s = k % 2;
        if (warp == 0) {
            if (k >= 2)
                wait_for(&empty[s], __mbarrier_arrive(&empty[s]));
            tile[s][lane] = k * 32 + (int)lane;
            (void)__mbarrier_arrive(&full[s]);
        } else {
            wait_for(&full[s], __mbarrier_arrive(&full[s]));
            sum += tile[s][31 - lane] * (int)warp;
            if (k + 2 < tiles)
                (void)__mbarrier_arrive(&empty[s]);
        }
    }
    out[threadIdx.x] = sum;
}

CASE(producer_and_consumers_by_warp)
{
    const int tiles = 20;
    DEVICE(int, out, THREADS);
    PK_LAUNCH(producer_and_consumers, 1, THREADS, 0, 0, out, tiles);
    EXPECT_EACH(int, out, THREADS,
                i < 32 ? 0 : (int)(i / 32) * (tiles * (31 - (int)i % 32) + 32 * tiles * (tiles - 1) / 2));
    return PK_OK;
}

/* The copies of a thread count as its arrival: whoever waits sees them. */
static __global__ void copies_arrive(const int *from, int *to)
{
    __shared__ __mbarrier_t barrier;
    __shared__ int tile[THREADS];
    const unsigned t = threadIdx.x;
    barrier_make(&barrier, THREADS);
    __pipeline_memcpy_async(&tile[t], &from[t], 4);
    __pipeline_arrive_on(&barrier);
    wait_for(&barrier, __mbarrier_arrive(&barrier));
    to[t] = tile[THREADS - 1 - t];
}

CASE(asynchronous_copies_arrive)
{
    int host[THREADS];
    DEVICE(int, from, THREADS);
    DEVICE(int, to, THREADS);
    for (int i = 0; i < THREADS; i++)
        host[i] = 5 * i + 2;
    PK_CHECK(cudaMemcpy(from, host, sizeof host, cudaMemcpyHostToDevice));
    PK_LAUNCH(copies_arrive, 1, THREADS, 0, 0, from, to);
    EXPECT_EACH(int, to, THREADS, 5 * (THREADS - 1 - (int)i) + 2);
    return PK_OK;
}

/* By parity: the phase that is under way first has parity 0. */
static __global__ void parity(unsigned *out)
{
#if defined(PK_BACKEND_CPU) || !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
    __shared__ __mbarrier_t barrier;
    __mbarrier_init(&barrier, 1);
    out[0] = __mbarrier_test_wait_parity(&barrier, false);
    out[1] = __mbarrier_test_wait_parity(&barrier, true);
    (void)__mbarrier_arrive(&barrier);
    out[2] = __mbarrier_test_wait_parity(&barrier, false);
    out[3] = __mbarrier_test_wait_parity(&barrier, true);
    (void)__mbarrier_arrive(&barrier);
    out[4] = __mbarrier_test_wait_parity(&barrier, false);
    out[5] = __mbarrier_test_wait_parity(&barrier, true);
    out[6] = __mbarrier_try_wait_parity(&barrier, true, 1000);
#endif
}

CASE(wait_by_parity)
{
    const unsigned want[7] = {0, 1, 1, 0, 0, 1, 1};
    DEVICE(unsigned, out, 7);
#if !defined(PK_BACKEND_CPU)
    if (cf_attribute(cudaDevAttrComputeCapabilityMajor) < 9)
        SKIP("waiting by parity needs sm_90");
#endif
    PK_LAUNCH(parity, 1, 1, 0, 0, out);
    EXPECT_EACH(unsigned, out, 7, want[i]);
    return PK_OK;
}
