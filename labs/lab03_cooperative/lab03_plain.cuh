/* Lab 03: the lab's own plain kernels, of a thread an element: no barriers, no shared memory. */
#ifndef LAB03_PLAIN_CUH
#define LAB03_PLAIN_CUH

#include "pk_gpu.h"

/* PK_LAUNCH without counting: what the lab does for itself is no part of what a variant launches. `count` threads, or a
 * few more, as often as there are `rows`: blockIdx.y. */
#define LAB03_PLAIN_LAUNCH(kernel, count, rows, stream, ...)                                                           \
    do {                                                                                                               \
        PK_BACKEND_LAUNCH(kernel, lab03_plain_grid(count, rows), LAB03_PLAIN_THREADS, 0, (cudaStream_t)(stream),       \
                          __VA_ARGS__);                                                                                \
        PK_CHECK(cudaGetLastError());                                                                                  \
    } while (0)

enum { LAB03_PLAIN_THREADS = 128 }; /* a block */

static inline dim3 lab03_plain_grid(size_t count, size_t rows)
{
    return dim3((unsigned)((count + LAB03_PLAIN_THREADS - 1) / LAB03_PLAIN_THREADS), (unsigned)rows);
}

static __device__ inline size_t lab03_plain_index(void)
{
    return (size_t)blockIdx.x * blockDim.x + threadIdx.x;
}

#endif
