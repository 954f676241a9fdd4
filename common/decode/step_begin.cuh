/* What every kernel of a step begins with, and how the last of several blocks is told. */
#ifndef PK_STEP_BEGIN_CUH
#define PK_STEP_BEGIN_CUH

#include "pk_atomic.h"
#include "pk_gpu.h"

/* Let the kernel behind begin, and wait for the one ahead: step.cu says what that is for. */
static __device__ inline void begin(void)
{
    PK_GRID_DEPENDENCY_TRIGGER();
    PK_GRID_DEPENDENCY_SYNCHRONIZE();
}

/* Has this block come last of `parts`? Its parts are then all there to be read. Pairs: each block's release, after its
 * writes and a barrier of the block, with the last one's acquire, before a barrier and its reads; device scope. */
static __device__ inline bool comes_last(unsigned *arrivals, unsigned parts, int *shared_last)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        *shared_last = pk_add_acquire_release_device(arrivals, 1u) + 1 == parts;
        if (*shared_last)
            pk_store_relaxed_device(arrivals, 0u); /* for the next kernel, which waits for the end of this one */
    }
    __syncthreads();
    return *shared_last != 0;
}

#endif
