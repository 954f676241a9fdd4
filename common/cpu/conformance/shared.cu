/* Shared memory, block barriers and fences.
 * Source: CUDA C++ Programming Guide, "__shared__", "Synchronization Functions", "Memory Fence Functions". */
#include "conformance.h"

CONCERN(shared)

static __global__ void reverse_static(int *x)
{
    __shared__ int tile[256];
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

static __global__ void reverse_dynamic(int *x)
{
    DYNAMIC_SHARED(int, tile);
    int *mine = x + blockIdx.x * blockDim.x;
    tile[threadIdx.x] = mine[threadIdx.x];
    __syncthreads();
    mine[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

/* Sums a block's numbers; any block size. */
static __global__ void block_sum(int *out)
{
    __shared__ int part[1024];
    const unsigned n = blockDim.x, t = threadIdx.x;
    part[t] = (int)(blockIdx.x * n + t);
    __syncthreads();
    for (unsigned half = 1024; half > 0; half /= 2) {
        if (t < half && t + half < n)
            part[t] += part[t + half];
        __syncthreads();
    }
    if (t == 0)
        out[blockIdx.x] = part[0];
}

static __global__ void rotate_many_times(int *out, int rounds)
{
    __shared__ int ring[160];
    const unsigned n = blockDim.x, t = threadIdx.x;
    ring[t] = (int)t;
    for (int r = 0; r < rounds; r++) {
        __syncthreads();
        const int next = ring[(t + 1) % n];
        __syncthreads();
        ring[t] = next;
    }
    out[t] = ring[t];
}

static __global__ void barrier_votes(int *out)
{
    const int t = (int)threadIdx.x;
    const int count = __syncthreads_count(t % 3 == 0);
    const int all = __syncthreads_and(t >= 0), not_all = __syncthreads_and(t != 17);
    const int any = __syncthreads_or(t == 17), none = __syncthreads_or(t < 0);
    if (t == (int)blockDim.x - 1) {
        out[0] = count;
        out[1] = all != 0;
        out[2] = not_all != 0;
        out[3] = any != 0;
        out[4] = none != 0;
    }
}

/* Every second half of a warp ends at once; the others still meet. */
static __global__ void some_end_early(int *out)
{
    __shared__ int tile[128];
    const unsigned t = threadIdx.x;
    if (t % 32 >= 16)
        return;
    tile[t] = (int)t + 1;
    __syncthreads();
    out[t] = tile[(t + 32) % 128];
}

static __global__ void whole_warps_end_early(int *out)
{
    __shared__ int tile[32];
    if (threadIdx.x >= 32)
        return;
    tile[threadIdx.x] = (int)threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = tile[31 - threadIdx.x];
}

static __global__ void three_dimensions(int *out)
{
    __shared__ int tile[4][3][2];
    tile[threadIdx.z][threadIdx.y][threadIdx.x] = (int)(threadIdx.x + 2 * threadIdx.y + 6 * threadIdx.z);
    __syncthreads();
    const unsigned t = threadIdx.x + 2 * threadIdx.y + 6 * threadIdx.z;
    out[t] = tile[3 - threadIdx.z][2 - threadIdx.y][1 - threadIdx.x];
}

static __global__ void own_memory_for_each_block(int *out)
{
    __shared__ int value;
    if (threadIdx.x == 0)
        value = (int)blockIdx.x;
    __syncthreads();
    if (value != (int)blockIdx.x)
        atomicAdd(out, 1);
    __syncthreads();
}

static __global__ void wide_types(double *out)
{
    __shared__ double d[64];
    __shared__ float4 f[64];
    __shared__ char c[3];
    __shared__ long long l[64];
    const unsigned t = threadIdx.x;
    d[t] = t;
    f[t] = make_float4((float)t, 1.0f, 2.0f, 3.0f);
    l[t] = 1ll << 40;
    if (t < 3)
        c[t] = (char)t;
    __syncthreads();
    const unsigned o = 63 - t;
    out[t] = d[o] + f[o].x + f[o].w + (double)(l[o] >> 40) + c[2];
}

static __global__ void dynamic_alignment(unsigned *out)
{
    DYNAMIC_SHARED(double, tile);
    tile[0] = 1.0;
    *out = (unsigned)((uintptr_t)tile % 16);
}

/* One block of a kernel with a full 48 KB of its own. */
static __global__ void full_static(unsigned *out)
{
    __shared__ unsigned tile[12288];
    for (unsigned i = threadIdx.x; i < 12288; i += blockDim.x)
        tile[i] = i;
    __syncthreads();
    unsigned sum = 0;
    for (unsigned i = threadIdx.x; i < 12288; i += blockDim.x)
        sum += tile[12287 - i];
    atomicAdd(out, sum);
}

/* The block that is last to add its part sums all parts: the fence orders the part before the count. */
static __global__ void last_block_sums(volatile unsigned *parts, unsigned *counter, unsigned *total)
{
    __shared__ bool last;
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = blockIdx.x + 1;
        __threadfence();
        last = atomicAdd(counter, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && threadIdx.x == 0) {
        unsigned sum = 0;
        __threadfence();
        for (unsigned i = 0; i < gridDim.x; i++)
            sum += parts[i];
        *total = sum;
    }
}

static __global__ void global_memory_across_a_barrier(int *x)
{
    const unsigned t = threadIdx.x;
    x[t] = (int)t * 3;
    __syncthreads();
    const int other = x[(t + 37) % blockDim.x];
    __syncthreads();
    x[t] = other;
}

CASE(static_array)
{
    DEVICE(int, x, 256);
    PK_LAUNCH(reverse_static, 1, 256, 0, 0, x);
    PK_LAUNCH(rotate_many_times, 1, 160, 0, 0, x, 0);
    PK_LAUNCH(reverse_static, 1, 160, 0, 0, x);
    EXPECT_EACH(int, x, 160, 159 - i);
    return PK_OK;
}

CASE(dynamic_array)
{
    int in[4 * 96];
    DEVICE(int, x, 4 * 96);
    for (int i = 0; i < 4 * 96; i++)
        in[i] = i;
    PK_CHECK(cudaMemcpy(x, in, sizeof in, cudaMemcpyHostToDevice));
    PK_LAUNCH(reverse_dynamic, 4, 96, 96 * sizeof(int), 0, x);
    EXPECT_EACH(int, x, 4 * 96, i / 96 * 96 + 95 - i % 96);
    return PK_OK;
}

CASE(dynamic_alignment_is_16)
{
    DEVICE(unsigned, out, 1);
    PK_LAUNCH(dynamic_alignment, 1, 1, 64, 0, out);
    EXPECT_EACH(unsigned, out, 1, 0);
    return PK_OK;
}

CASE(full_48_kb)
{
    DEVICE(unsigned, out, 1);
    PK_LAUNCH(full_static, 2, 100, 0, 0, out);
    EXPECT_EACH(unsigned, out, 1, 2u * (12288u * 12287u / 2u));
    return PK_OK;
}

CASE(block_sums_of_any_size)
{
    const unsigned sizes[] = {1, 2, 31, 32, 33, 100, 255, 256, 777, 1024};
    DEVICE(int, out, 3);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const long long n = sizes[k];
        PK_LAUNCH(block_sum, 3, sizes[k], 0, 0, out);
        EXPECT_EACH(int, out, 3, (long long)i *n *n + n * (n - 1) / 2);
    }
    return PK_OK;
}

CASE(many_barriers)
{
    DEVICE(int, out, 160);
    PK_LAUNCH(rotate_many_times, 1, 160, 0, 0, out, 1000);
    EXPECT_EACH(int, out, 160, (i + 1000) % 160);
    return PK_OK;
}

CASE(barrier_with_votes)
{
    const int want[5] = {67, 1, 0, 1, 0};
    DEVICE(int, out, 5);
    PK_LAUNCH(barrier_votes, 1, 200, 0, 0, out);
    EXPECT_EACH(int, out, 5, want[i]);
    return PK_OK;
}

CASE(ended_threads_do_not_hold_a_barrier)
{
    DEVICE(int, out, 128);
    PK_LAUNCH(some_end_early, 1, 128, 0, 0, out);
    EXPECT_EACH(int, out, 128, i % 32 < 16 ? (i + 32) % 128 + 1 : 0);
    return PK_OK;
}

CASE(ended_warps_do_not_hold_a_barrier)
{
    DEVICE(int, out, 32);
    PK_LAUNCH(whole_warps_end_early, 1, 256, 0, 0, out);
    EXPECT_EACH(int, out, 32, 31 - i);
    return PK_OK;
}

CASE(barrier_in_three_dimensions)
{
    DEVICE(int, out, 24);
    PK_LAUNCH(three_dimensions, 1, dim3(2, 3, 4), 0, 0, out);
    EXPECT_EACH(int, out, 24, 23 - i);
    return PK_OK;
}

CASE(blocks_do_not_share)
{
    DEVICE(int, out, 1);
    PK_LAUNCH(own_memory_for_each_block, 500, 64, 0, 0, out);
    EXPECT_EACH(int, out, 1, 0);
    return PK_OK;
}

CASE(several_arrays_and_alignments)
{
    DEVICE(double, out, 64);
    PK_LAUNCH(wide_types, 1, 64, 0, 0, out);
    EXPECT_EACH(double, out, 64, 2.0 * (double)(63 - i) + 3.0 + 1.0 + 2.0);
    return PK_OK;
}

CASE(barrier_orders_global_memory)
{
    DEVICE(int, x, 300);
    PK_LAUNCH(global_memory_across_a_barrier, 1, 300, 0, 0, x);
    EXPECT_EACH(int, x, 300, (i + 37) % 300 * 3);
    return PK_OK;
}

CASE(fence_orders_blocks)
{
    DEVICE(unsigned, parts, 200);
    DEVICE(unsigned, counter, 1);
    DEVICE(unsigned, total, 1);
    for (int round = 0; round < 20; round++) {
        PK_CHECK(cudaMemset(counter, 0, sizeof *counter));
        PK_CHECK(cudaMemset(parts, 0, 200 * sizeof *parts));
        PK_LAUNCH(last_block_sums, 200, 64, 0, 0, parts, counter, total);
        EXPECT_EACH(unsigned, total, 1, 20100);
    }
    return PK_OK;
}
