/* A kernel that faults: the error is CUDA's, it sticks, and waiting calls return. Argument: null, trap, assert,
 * overflow, late, division, host-pointer, freed, grid-barrier or no-threads. */
#include "check.h"

#include <string.h>

#undef NDEBUG /* whatever the build */
#include <assert.h>

#include <cooperative_groups.h>
#include <sys/resource.h>

__global__ void write_to(int *x)
{
    __syncthreads();
    x[threadIdx.x] = 1;
}

__global__ void trap_in_one_thread(void)
{
    __syncthreads();
    if (threadIdx.x == 5)
        __trap();
    __syncthreads();
}

__global__ void meet_the_grid(void)
{
    cooperative_groups::this_grid().sync();
}

__global__ void assert_in_one_thread(int limit)
{
    __syncthreads();
    assert((int)threadIdx.x < limit);
}

/* Far enough in the grid that blocks are claimed several at a time. */
__global__ void write_in_block(unsigned block, int *ok, int *bad)
{
    *(blockIdx.x == block ? bad : ok) = 1;
}

__global__ void divide(int *out, volatile int number, volatile int by)
{
    *out = number / by;
}

static __attribute__((noinline)) int recurse(volatile int depth)
{
    volatile char frame[1024];
    frame[0] = (char)depth;
    return depth > 1 << 20 ? 0 : recurse(depth + 1) + frame[0];
}

__global__ void overflow(int *out)
{
    __syncthreads();
    *out = recurse(0);
}

int main(int argc, char **argv)
{
    limit_seconds(60);
    int *x;
    OK(cudaMalloc(&x, sizeof(int)));
    cudaError_t expected = cudaErrorIllegalAddress;
    if (argc == 2 && strcmp(argv[1], "trap") == 0) {
        expected = cudaErrorLaunchFailure;
        LAUNCH(trap_in_one_thread, 2, 32, 0, nullptr);
    } else if (argc == 2 && strcmp(argv[1], "assert") == 0) {
        expected = cudaErrorAssert;
        LAUNCH(assert_in_one_thread, 2, 32, 0, nullptr, 31);
    } else if (argc == 2 && strcmp(argv[1], "overflow") == 0) {
        LAUNCH(overflow, 1, 32, 0, nullptr, x);
    } else if (argc == 2 && strcmp(argv[1], "late") == 0) {
        LAUNCH(write_in_block, 1000, 32, 0, nullptr, 777u, x, (int *)nullptr);
    } else if (argc == 2 && strcmp(argv[1], "division") == 0) {
        expected = cudaErrorLaunchFailure;
        LAUNCH(divide, 1, 1, 0, nullptr, x, 7, 0);
    } else if (argc == 2 && strcmp(argv[1], "host-pointer") == 0) {
        static int here[64];
        LAUNCH(write_in_block, 1, 1, 0, nullptr, 0u, x, here);
    } else if (argc == 2 && strcmp(argv[1], "freed") == 0) {
        int *large;
        OK(cudaMalloc(&large, 1 << 20));
        OK(cudaFree(large));
        LAUNCH(write_to, 1, 64, 0, nullptr, large);
    } else if (argc == 2 && strcmp(argv[1], "no-threads") == 0) {
        /* Less than the stack of a thread is left. */
        const struct rlimit little = {1 << 20, 1 << 20};
        setrlimit(RLIMIT_AS, &little);
        expected = cudaErrorLaunchOutOfResources;
        (void)PK_CPU_LAUNCH(write_to, 1, 1, 0, nullptr, x);
    } else if (argc == 2 && strcmp(argv[1], "grid-barrier") == 0) {
        expected = cudaErrorLaunchFailure;
        LAUNCH(meet_the_grid, 2, 4, 0, nullptr);
    } else {
        LAUNCH(write_to, 1, 64, 0, nullptr, (int *)nullptr);
    }
    EXPECT(cudaDeviceSynchronize(), expected);
    EXPECT(cudaGetLastError(), expected);
    EXPECT(cudaMalloc(&x, 4), expected);
    EXPECT(PK_CPU_LAUNCH(write_to, 1, 1, 0, nullptr, x), expected);
    EXPECT(cudaStreamSynchronize(nullptr), expected);
    return failures != 0;
}
