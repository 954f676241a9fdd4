/* Asynchronous copies from global to shared memory: commit groups and waits.
 * Source: CUDA C++ Programming Guide, "Asynchronous Data Copies", "Pipeline Primitives Interface". */
#include "conformance.h"

#include <cuda_pipeline_primitives.h>

CONCERN(async_copy)

#define THREADS 128
#define TILES 10
#define STAGES 4

static __global__ void copy_by_4(const int *from, int *to)
{
    __shared__ int tile[THREADS];
    __pipeline_memcpy_async(&tile[threadIdx.x], &from[threadIdx.x], 4);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    to[threadIdx.x] = tile[THREADS - 1 - threadIdx.x];
}

static __global__ void copy_by_8(const int2 *from, int2 *to)
{
    __shared__ int2 tile[THREADS];
    __pipeline_memcpy_async(&tile[threadIdx.x], &from[threadIdx.x], 8);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    to[threadIdx.x] = tile[threadIdx.x ^ 1];
}

static __global__ void copy_by_16(const int4 *from, int4 *to)
{
    __shared__ int4 tile[THREADS];
    __pipeline_memcpy_async(&tile[threadIdx.x], &from[threadIdx.x], 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    to[threadIdx.x] = tile[threadIdx.x ^ 2];
}

/* The input of every case: from[i] = 3 i + 1. */
static pk_status make_input(int **from, int n)
{
    int *host = (int *)malloc((size_t)n * sizeof *host);
    if (!host)
        return pk_fail(PK_FAULT, "no host memory");
    for (int i = 0; i < n; i++)
        host[i] = 3 * i + 1;
    PK_TRY(cf_device((void **)from, (size_t)n * sizeof *host));
    PK_CHECK(cudaMemcpy(*from, host, (size_t)n * sizeof *host, cudaMemcpyHostToDevice));
    free(host);
    return PK_OK;
}

CASE(sizes_4_8_16)
{
    int *from;
    DEVICE(int, to, 4 * THREADS);
    PK_TRY(make_input(&from, 4 * THREADS));
    PK_LAUNCH(copy_by_4, 1, THREADS, 0, 0, from, to);
    EXPECT_EACH(int, to, THREADS, 3 * (THREADS - 1 - i) + 1);
    PK_LAUNCH(copy_by_8, 1, THREADS, 0, 0, (const int2 *)from, (int2 *)to);
    EXPECT_EACH(int, to, 2 * THREADS, 3 * (i ^ 2) + 1);
    PK_LAUNCH(copy_by_16, 1, THREADS, 0, 0, (const int4 *)from, (int4 *)to);
    EXPECT_EACH(int, to, 4 * THREADS, 3 * (i ^ 8) + 1);
    return PK_OK;
}

static __global__ void copy_with_zeros(const int4 *from, int *to)
{
    __shared__ int4 tile[4];
    __shared__ int word;
    for (int i = 0; i < 4; i++)
        tile[i] = make_int4(-1, -1, -1, -1);
    word = -1;
    __syncthreads(); /* orders the stores before the copies */
    __pipeline_memcpy_async(&tile[0], &from[0], 16, 4);
    __pipeline_memcpy_async(&tile[1], &from[1], 16, 16);
    __pipeline_memcpy_async(&tile[2], &from[2], 16, 0);
    __pipeline_memcpy_async(&word, from, 4, 2);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    for (int i = 0; i < 4; i++) {
        to[4 * i] = tile[i].x;
        to[4 * i + 1] = tile[i].y;
        to[4 * i + 2] = tile[i].z;
        to[4 * i + 3] = tile[i].w;
    }
    to[16] = word;
}

CASE(zero_fill)
{
    const int want[17] = {1, 4, 7, 0, 0, 0, 0, 0, 25, 28, 31, 34, -1, -1, -1, -1, 1};
    int *from;
    DEVICE(int, to, 17);
    PK_TRY(make_input(&from, 16));
    PK_LAUNCH(copy_with_zeros, 1, 1, 0, 0, (const int4 *)from, to);
    EXPECT_EACH(int, to, 17, want[i]);
    return PK_OK;
}

/* Two groups: waiting for all but the newest makes the first one visible to its thread. */
static __global__ void oldest_group_first(const int *from, int *to)
{
    __shared__ int tile[3][THREADS];
    const unsigned t = threadIdx.x;
    for (int g = 0; g < 3; g++) {
        __pipeline_memcpy_async(&tile[g][t], &from[g * THREADS + t], 4);
        __pipeline_commit();
    }
    __pipeline_wait_prior(2);
    to[t] = tile[0][t];
    __pipeline_wait_prior(1);
    to[THREADS + t] = tile[1][t];
    __pipeline_wait_prior(0);
    to[2 * THREADS + t] = tile[2][t];
}

CASE(wait_prior_counts_groups_from_the_newest)
{
    int *from;
    DEVICE(int, to, 3 * THREADS);
    PK_TRY(make_input(&from, 3 * THREADS));
    PK_LAUNCH(oldest_group_first, 1, THREADS, 0, 0, from, to);
    EXPECT_EACH(int, to, 3 * THREADS, 3 * i + 1);
    return PK_OK;
}

static __global__ void empty_groups(const int *from, int *to)
{
    __shared__ int tile[THREADS];
    __pipeline_wait_prior(0); /* nothing was ever committed */
    __pipeline_memcpy_async(&tile[threadIdx.x], &from[threadIdx.x], 4);
    __pipeline_commit();
    __pipeline_commit();
    __pipeline_commit();
    __pipeline_wait_prior(2); /* the two empty groups may be open still, the copy's is not */
    to[threadIdx.x] = tile[threadIdx.x];
    __pipeline_wait_prior(0);
}

CASE(empty_groups_count)
{
    int *from;
    DEVICE(int, to, THREADS);
    PK_TRY(make_input(&from, THREADS));
    PK_LAUNCH(empty_groups, 1, THREADS, 0, 0, from, to);
    EXPECT_EACH(int, to, THREADS, 3 * i + 1);
    return PK_OK;
}

static __global__ void many_copies_in_a_group(const int *from, int *to)
{
    __shared__ int tile[8 * THREADS];
    for (unsigned i = threadIdx.x; i < 8 * THREADS; i += THREADS)
        __pipeline_memcpy_async(&tile[i], &from[8 * THREADS - 1 - i], 4);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < 8 * THREADS; i += THREADS)
        to[i] = tile[(i + 100) % (8 * THREADS)];
}

CASE(group_of_many_copies)
{
    int *from;
    const int n = 8 * THREADS;
    DEVICE(int, to, n);
    PK_TRY(make_input(&from, n));
    PK_LAUNCH(many_copies_in_a_group, 1, THREADS, 0, 0, from, to);
    EXPECT_EACH(int, to, n, 3 * (n - 1 - ((int)i + 100) % n) + 1);
    return PK_OK;
}

/* A pipeline of `stages` tiles in flight; each tile is summed by threads other than those that fetched it. */
static __global__ void pipeline(const int *from, int *to, int stages)
{
    __shared__ int tile[STAGES][THREADS];
    const unsigned t = threadIdx.x;
    int sum = 0;
    for (int k = 0; k < TILES + stages - 1; k++) {
        if (k < TILES)
            __pipeline_memcpy_async(&tile[k % stages][t], &from[k * THREADS + t], 4);
        __pipeline_commit();
        const int ready = k - (stages - 1);
        if (ready < 0)
            continue;
        if (stages == 1)
            __pipeline_wait_prior(0);
        else if (stages == 2)
            __pipeline_wait_prior(1);
        else
            __pipeline_wait_prior(3);
        __syncthreads();
        sum += (ready + 1) * tile[ready % stages][(t + 1) % THREADS];
        __syncthreads();
    }
    to[t] = sum;
}

static int pipeline_sum(int t)
{
    int sum = 0;
    for (int k = 0; k < TILES; k++)
        sum += (k + 1) * (3 * (k * THREADS + (t + 1) % THREADS) + 1);
    return sum;
}

CASE(pipeline_of_1_2_and_4_stages)
{
    int *from;
    DEVICE(int, to, THREADS);
    PK_TRY(make_input(&from, TILES * THREADS));
    for (int stages = 1; stages <= STAGES; stages *= 2) {
        PK_CHECK(cudaMemset(to, 0, THREADS * sizeof *to));
        PK_LAUNCH(pipeline, 1, THREADS, 0, 0, from, to, stages);
        EXPECT_EACH(int, to, THREADS, pipeline_sum((int)i));
    }
    return PK_OK;
}

/* Only the first warp fetches; its wait and the barrier after it publish the tile to all. */
static __global__ void one_warp_fetches(const int4 *from, int *to)
{
    __shared__ int4 tile[32];
    if (threadIdx.x < 32) {
        __pipeline_memcpy_async(&tile[threadIdx.x], &from[blockIdx.x * 32 + threadIdx.x], 16);
        __pipeline_commit();
        __pipeline_wait_prior(0);
    }
    __syncthreads();
    to[blockIdx.x * THREADS + threadIdx.x] = ((const int *)tile)[THREADS - 1 - threadIdx.x];
}

CASE(one_warp_fetches_for_the_block)
{
    int *from;
    DEVICE(int, to, 5 * THREADS);
    PK_TRY(make_input(&from, 5 * THREADS));
    PK_LAUNCH(one_warp_fetches, 5, THREADS, 0, 0, (const int4 *)from, to);
    EXPECT_EACH(int, to, 5 * THREADS, 3 * ((int)i / THREADS * THREADS + THREADS - 1 - (int)i % THREADS) + 1);
    return PK_OK;
}

static __global__ void copy_to_dynamic(const int *from, int *to)
{
    DYNAMIC_SHARED(int, tile);
    for (unsigned i = threadIdx.x * 4; i < 16384; i += blockDim.x * 4)
        __pipeline_memcpy_async(&tile[i], &from[i], 16);
    __pipeline_commit();
    __pipeline_wait_prior(0);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < 16384; i += blockDim.x)
        to[i] = tile[16383 - i];
}

CASE(dynamic_shared_target)
{
    int *from;
    DEVICE(int, to, 16384);
    PK_TRY(make_input(&from, 16384));
    PK_CHECK(cudaFuncSetAttribute(copy_to_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536));
    PK_LAUNCH(copy_to_dynamic, 1, 256, 65536, 0, from, to);
    EXPECT_EACH(int, to, 16384, 3 * (16383 - (int)i) + 1);
    return PK_OK;
}
