/* Grids that meet, warps of either size, and what the device says of blocks that hang. */
#include "check.h"

#include <cooperative_groups.h>
#include <string.h>

namespace cg = cooperative_groups;

/* Every block takes its right neighbour's number, round after round. */
__global__ void rotate(int *ring, int rounds)
{
    cg::grid_group grid = cg::this_grid();
    for (int r = 0; r < rounds; ++r) {
        const int next = ring[(blockIdx.x + 1) % gridDim.x];
        grid.sync();
        if (threadIdx.x == 0)
            ring[blockIdx.x] = next;
        grid.sync();
    }
}

static void two_grids_at_a_time(void)
{
    enum { ROUNDS = 50 };
    int each = 0, processors = 0, *rings[2];
    cudaStream_t streams[2];
    OK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
    OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, rotate, 512, 0));
    /* Each more than half of the device: they cannot run beside each other, and neither may hold the other up. */
    const int n = each * processors / 2 + 1;
    for (int k = 0; k < 2; ++k) {
        OK(cudaStreamCreateWithFlags(&streams[k], cudaStreamNonBlocking));
        OK(cudaMallocHost(&rings[k], (size_t)n * sizeof(int)));
        for (int i = 0; i < n; ++i)
            rings[k][i] = i;
        OK(PK_CPU_LAUNCH_COOPERATIVE(rotate, n, 512, 0, streams[k], rings[k], ROUNDS));
    }
    OK(cudaDeviceSynchronize());
    for (int k = 0; k < 2; ++k) {
        bool right = true;
        for (int i = 0; i < n; ++i)
            right &= rings[k][i] == (i + ROUNDS) % n;
        CHECK(right);
        OK(cudaFreeHost(rings[k]));
        OK(cudaStreamDestroy(streams[k]));
    }
    EXPECT(PK_CPU_LAUNCH_COOPERATIVE(rotate, each * processors + 1, 512, 0, nullptr, (int *)nullptr, 1),
           cudaErrorCooperativeLaunchTooLarge);
}

/* Tiles of 8 threads, and the 64-bit masks that a warp of 64 has. */
__global__ void warps(int *out, int *wrong)
{
    auto tile = cg::tiled_partition<8>(cg::this_thread_block());
    const int t = (int)threadIdx.x, lane = t % warpSize;
    const int sum = cg::reduce(tile, t, cg::plus<int>());
    *out = warpSize;
    if (sum != 8 * (t / 8 * 8) + 28 || tile.shfl(t, 3) != t / 8 * 8 + 3 || tile.ballot(t % 2) != 0xaau)
        atomicAdd(wrong, 1);
    /* Masks of 32 bits stay in their half, whatever the warp's size. */
    if (__shfl_xor_sync(0xffffffffu, t, 16) != (t ^ 16) || __ballot_sync(0xffffffffu, t % 32 < 4) != 0xfu)
        atomicAdd(wrong, 1);
    if (warpSize == 64 &&
        (__shfl_xor_sync(~0ull, t, 32) != (t ^ 32) || __ballot_sync(~0ull, lane < 40) != 0xffffffffffull))
        atomicAdd(wrong, 1);
}

static void warps_of_either_size(void)
{
    int *words;
    OK(cudaMallocHost(&words, 2 * sizeof(int)));
    words[1] = 0;
    LAUNCH(warps, 2, 128, 0, nullptr, words, words + 1);
    OK(cudaDeviceSynchronize());
    const char *wanted = getenv("PK_CPU_WARP");
    CHECK(words[0] == (wanted ? atoi(wanted) : 32) && words[1] == 0);
    OK(cudaFreeHost(words));
}

/* The last block leaves before the barrier; and one thread waits for a warp that does not come. */
__global__ void miss_the_grid(void)
{
    if (blockIdx.x + 1 < gridDim.x)
        cg::this_grid().sync();
}

__global__ void miss_the_warp(void)
{
    if (threadIdx.x > 0)
        __syncthreads();
    else
        __syncwarp();
}

/* Waits until the description says `wanted`: for a minute, since the machine may be busy. */
static void expect_blocked(const char *wanted)
{
    char text[1024] = "";
    for (int i = 0; i < 6000 && !strstr(text, wanted); ++i) {
        usleep(10000);
        pk_cpu_describe_blocked(text, sizeof(text));
    }
    if (!strstr(text, wanted)) {
        fprintf(stderr, "not described: %s\n  but: %s\n", wanted, text);
        failures++;
    }
}

static void hangs_are_described(void)
{
    cudaStream_t other;
    char text[64];
    pk_cpu_describe_blocked(text, sizeof(text));
    CHECK(text[0] == '\0');
    OK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
    int fit; /* its address comes before its name */
    OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, miss_the_grid, 4, 0));
    OK(PK_CPU_LAUNCH_COOPERATIVE(miss_the_grid, 3, 4, 0, nullptr));
    expect_blocked("kernel miss_the_grid, 3 of 3 blocks begun");
    expect_blocked("block (0,0,0) waits at the grid barrier at test_grid.cpp:");
    expect_blocked(" with 2 of 3 blocks, as does 1 other; 1 ended and never comes to that barrier");
    LAUNCH(miss_the_warp, 1, 4, 0, other);
    expect_blocked("block (0,0,0) is stuck, since not all its threads reach one barrier: 1 of 4 threads at __syncwarp "
                   "(test_grid.cpp:");
    expect_blocked("3 of 4 threads at __syncthreads (test_grid.cpp:");
}

int main(void)
{
    limit_seconds(120);
#if defined(PK_CPU_TSAN_)
    setenv("PK_CPU_SMS", "1", 1); /* each fiber costs ThreadSanitizer a megabyte */
#endif
    two_grids_at_a_time();
    warps_of_either_size();
    hangs_are_described();
    return failures != 0;
}
