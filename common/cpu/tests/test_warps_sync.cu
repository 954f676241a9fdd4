/* A barrier of some warps of a block: what a GPU would hang at is refused. Argument: the mistake, or right. */
#include <string.h>

#include "pk_async.h"
#include "pk_gpu.h"

enum { WARP = 32, CONSUMERS = 2 * WARP, ALL = 3 * WARP };

struct use {
    unsigned id, threads, count, first, last; /* threads first..last-1 come */
};

/* Warps 0 and 1 meet twice; in the second round those that `use` says. */
static __global__ void meet(struct use use)
{
    __shared__ pk_async_barrier barrier;
    if (threadIdx.x == 0)
        pk_async_barrier_init(&barrier, use.count);
    __syncthreads();
    if (threadIdx.x < CONSUMERS)
        pk_warps_sync(&barrier, use.id, use.threads);
    __syncthreads();
    if (threadIdx.x >= use.first && threadIdx.x < use.last)
        pk_warps_sync(&barrier, use.id, use.threads);
}

int main(int argc, char **argv)
{
    const char *mistake = argc > 1 ? argv[1] : "right";
    struct use use = {1, CONSUMERS, CONSUMERS, 0, CONSUMERS};
    if (strcmp(mistake, "id-0") == 0)
        use.id = 0;
    else if (strcmp(mistake, "no-whole-warps") == 0)
        use.threads = use.count = CONSUMERS - 8;
    else if (strcmp(mistake, "other-count") == 0)
        use.count = ALL;
    else if (strcmp(mistake, "producer-joins") == 0)
        use.first = WARP, use.last = ALL;
    else if (strcmp(mistake, "part-of-a-warp") == 0)
        use.first = 8, use.last = CONSUMERS + 8;
    cudaError_t error = PK_CPU_LAUNCH(meet, 1, ALL, 0, nullptr, use);
    if (!error)
        error = cudaDeviceSynchronize();
    printf("%s\n", cudaGetErrorName(error));
    return error != cudaSuccess;
}
