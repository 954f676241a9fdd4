/* Cooperative launch and the grid's barrier.
 * Source: CUDA C++ Programming Guide, "Cooperative Groups", "Grid Synchronization"; CUDA Runtime API,
 * cudaLaunchCooperativeKernel, "Occupancy". */
#include "conformance.h"

#include <cooperative_groups.h>

CONCERN(cooperative)

#define NEED_COOPERATIVE()                                                                                             \
    do {                                                                                                               \
        if (!cf_attribute(cudaDevAttrCooperativeLaunch))                                                               \
            SKIP("the device has no cooperative launch");                                                              \
    } while (0)

/* In each round every block takes its right neighbour's number. */
static __global__ void rotate_blocks(int *ring, int *out, int rounds)
{
    cooperative_groups::grid_group grid = cooperative_groups::this_grid();
    const unsigned n = gridDim.x, b = blockIdx.x;
    if (threadIdx.x == 0)
        ring[b] = (int)b;
    for (int r = 0; r < rounds; r++) {
        grid.sync();
        const int next = ring[(b + 1) % n];
        grid.sync();
        if (threadIdx.x == 0)
            ring[b] = next;
    }
    if (threadIdx.x == 0)
        out[b] = ring[b];
}

static __global__ void describe(unsigned long long *out)
{
    cooperative_groups::grid_group grid = cooperative_groups::this_grid();
    if (grid.thread_rank() == grid.size() - 1) {
        out[0] = grid.size();
        out[1] = grid.thread_rank();
        out[2] = grid.is_valid();
        out[3] = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    }
}

static __global__ void two_phases(int *x, int n, int *sum)
{
    cooperative_groups::grid_group grid = cooperative_groups::this_grid();
    const unsigned first = (unsigned)grid.thread_rank(), step = (unsigned)grid.size();
    for (unsigned i = first; i < (unsigned)n; i += step)
        x[i] = (int)i;
    grid.sync();
    int part = 0;
    for (unsigned i = first; i < (unsigned)n; i += step)
        part += x[(unsigned)n - 1 - i];
    atomicAdd(sum, part);
}

static __global__ void with_shared(int *out)
{
    DYNAMIC_SHARED(int, tile);
    tile[threadIdx.x] = (int)(blockIdx.x * 1000 + threadIdx.x);
    cooperative_groups::this_grid().sync();
    out[blockIdx.x * blockDim.x + threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

static int processors(void)
{
    return cf_attribute(cudaDevAttrMultiProcessorCount);
}

CASE(barrier_orders_the_grid)
{
    const int blocks = processors() * 2;
    int rounds = 200;
    NEED_COOPERATIVE();
    DEVICE(int, ring, blocks);
    DEVICE(int, out, blocks);
    void *arguments[] = {&ring, &out, &rounds};
    PK_CHECK(cudaLaunchCooperativeKernel(KERNEL(rotate_blocks), dim3((unsigned)blocks), dim3(64), arguments, 0, 0));
    EXPECT_EACH(int, out, blocks, (i + 200) % blocks);
    return PK_OK;
}

CASE(barrier_of_one_block)
{
    int rounds = 50;
    NEED_COOPERATIVE();
    DEVICE(int, ring, 1);
    DEVICE(int, out, 1);
    void *arguments[] = {&ring, &out, &rounds};
    PK_CHECK(cudaLaunchCooperativeKernel(KERNEL(rotate_blocks), dim3(1), dim3(256), arguments, 0, 0));
    EXPECT_EACH(int, out, 1, 0);
    return PK_OK;
}

CASE(barrier_of_single_threads)
{
    const int blocks = processors();
    int rounds = 20;
    NEED_COOPERATIVE();
    DEVICE(int, ring, blocks);
    DEVICE(int, out, blocks);
    void *arguments[] = {&ring, &out, &rounds};
    PK_CHECK(cudaLaunchCooperativeKernel(KERNEL(rotate_blocks), dim3((unsigned)blocks), dim3(1), arguments, 0, 0));
    EXPECT_EACH(int, out, blocks, (i + 20) % blocks);
    return PK_OK;
}

CASE(largest_grid_that_is_resident)
{
    /* Occupancy and the launch agree: that many blocks run, one more is refused. */
    int each = 0, rounds = 5;
    NEED_COOPERATIVE();
#if defined(UNDER_THREAD_SANITIZER)
    SKIP("ThreadSanitizer keeps a trace for each thread of the grid, which takes more memory than there may be");
#endif
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, rotate_blocks, 256, 0));
    const int most = each * processors();
    DEVICE(int, ring, most + 1);
    DEVICE(int, out, most + 1);
    void *arguments[] = {&ring, &out, &rounds};
    PK_CHECK(cudaLaunchCooperativeKernel(KERNEL(rotate_blocks), dim3((unsigned)most), dim3(256), arguments, 0, 0));
    EXPECT_EACH(int, out, most + 1, (int)i < most ? (i + 5) % most : 0);
    EXPECT_ERROR(
        cudaLaunchCooperativeKernel(KERNEL(rotate_blocks), dim3((unsigned)most + 1), dim3(256), arguments, 0, 0),
        cudaErrorCooperativeLaunchTooLarge);
    EXPECT_ERROR(cudaDeviceSynchronize(), cudaSuccess);
    return PK_OK;
}

CASE(shared_memory_limits_the_grid)
{
    int each = 0;
    const size_t bytes = 40000;
    NEED_COOPERATIVE();
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, with_shared, 128, bytes));
    const int most = each * processors();
    DEVICE(int, out, most * 128);
    void *arguments[] = {&out};
    PK_CHECK(cudaLaunchCooperativeKernel(KERNEL(with_shared), dim3((unsigned)most), dim3(128), arguments, bytes, 0));
    EXPECT_EACH(int, out, most * 128, (int)i / 128 * 1000 + 127 - (int)i % 128);
    EXPECT_ERROR(
        cudaLaunchCooperativeKernel(KERNEL(with_shared), dim3((unsigned)most + 1), dim3(128), arguments, bytes, 0),
        cudaErrorCooperativeLaunchTooLarge);
    return PK_OK;
}

CASE(ranks_in_three_dimensions)
{
    const unsigned long long want[4] = {2 * 3 * 2 * 4 * 5 * 2, 2 * 3 * 2 * 4 * 5 * 2 - 1, 1, 2 * 3 * 2 - 1};
    NEED_COOPERATIVE();
    DEVICE(unsigned long long, out, 4);
    void *arguments[] = {&out};
    PK_CHECK(cudaLaunchCooperativeKernel(KERNEL(describe), dim3(2, 3, 2), dim3(4, 5, 2), arguments, 0, 0));
    EXPECT_EACH(unsigned long long, out, 4, want[i]);
    return PK_OK;
}

/* is_valid() should tell whether the grid can meet; a driver may give an ordinary launch the workspace as well. */
CASE(ordinary_launch_knows_its_grid)
{
    unsigned long long got[4];
    DEVICE(unsigned long long, out, 4);
    PK_LAUNCH(describe, 4, 8, 0, 0, out);
    PK_CHECK(cudaMemcpy(got, out, sizeof got, cudaMemcpyDeviceToHost));
    EXPECT_EQ(got[0], 32);
    EXPECT_EQ(got[1], 31);
    OBSERVE("is_valid", got[2]);
    return PK_OK;
}

CASE(grid_stride_in_two_phases)
{
    int n = 100000;
    NEED_COOPERATIVE();
    DEVICE(int, x, n);
    DEVICE(int, sum, 1);
    void *arguments[] = {&x, &n, &sum};
    PK_CHECK(cudaLaunchCooperativeKernel(KERNEL(two_phases), dim3((unsigned)processors()), dim3(128), arguments, 0, 0));
    EXPECT_EACH(int, sum, 1, (int)(4999950000ll & 0xffffffffll));
    return PK_OK;
}

CASE(in_stream_order)
{
    int n = 1000;
    STREAM(s);
    GATE(gate);
    NEED_COOPERATIVE();
    DEVICE(int, x, n);
    DEVICE(int, sum, 1);
    void *arguments[] = {&x, &n, &sum};
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaLaunchCooperativeKernel(KERNEL(two_phases), dim3(2), dim3(64), arguments, 0, s));
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, sum, sum, 2);
    EXPECT(cf_stream_busy(s));
    cf_gate_open(&gate);
    EXPECT_EACH(int, sum, 1, 2 * 499500);
    return PK_OK;
}

CASE(launch_limits)
{
    int n = 10;
    NEED_COOPERATIVE();
    DEVICE(int, x, n);
    void *arguments[] = {&x, &n, &x};
    OBSERVE_ERROR("1025_threads",
                  cudaLaunchCooperativeKernel(KERNEL(two_phases), dim3(1), dim3(1025), arguments, 0, 0));
    OBSERVE_ERROR("no_blocks", cudaLaunchCooperativeKernel(KERNEL(two_phases), dim3(0), dim3(32), arguments, 0, 0));
    return PK_OK;
}

/* A barrier made by hand from a counter, under an ordinary launch: right as long as the whole grid is resident. */
static __global__ void barrier_by_hand(unsigned *counter, int *ring, int *out, int rounds)
{
    const unsigned n = gridDim.x, b = blockIdx.x;
    unsigned target = 0;
    if (threadIdx.x == 0)
        ring[b] = (int)b;
    for (int r = 0; r < 2 * rounds; r++) {
        int next = 0;
        __syncthreads();
        if (threadIdx.x == 0) {
            if (r % 2 == 1)
                next = ring[(b + 1) % n];
            __threadfence();
            target += n;
            atomicAdd(counter, 1u);
            while (atomicAdd(counter, 0u) < target)
                PK_POLL_PAUSE();
            __threadfence();
            if (r % 2 == 1)
                ring[b] = next;
        }
        __syncthreads();
    }
    if (threadIdx.x == 0)
        out[b] = ring[b];
}

CASE(barrier_made_by_hand)
{
#if defined(PK_BACKEND_CPU)
    const char *schedule = getenv("PK_CPU_SCHEDULE");
    if (schedule && strncmp(schedule, "random", 6) == 0)
        SKIP("in random orders not all blocks of an ordinary launch are resident, as it promises no more");
#endif
    const int blocks = processors();
    DEVICE(unsigned, counter, 1);
    DEVICE(int, ring, blocks);
    DEVICE(int, out, blocks);
    PK_LAUNCH(barrier_by_hand, (unsigned)blocks, 64, 0, 0, counter, ring, out, 50);
    EXPECT_EACH(int, out, blocks, (i + 50) % blocks);
    return PK_OK;
}
