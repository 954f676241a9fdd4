/* Lab 05: the pool made of its patterns, on the device. */
#include "pk_gpu.h"

#include "lab05_problem.h"

/* 16 bytes a thread; page i of the pool is pattern i mod count. */
static __global__ void spread(const uint4 *patterns, int count, int page_chunks, size_t chunks, uint4 *pool)
{
    const size_t each = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < chunks; i += each)
        pool[i] = patterns[i / page_chunks % count * page_chunks + i % page_chunks];
}

pk_status lab05_spread(const lab05_view *view, const uint16_t *patterns, int count, void *stream)
{
    enum { THREADS = 256, MOST_BLOCKS = 4096 };
    const int page_chunks = (int)(lab05_page_bytes(view) / sizeof(uint4));
    const size_t chunks = (size_t)view->pages * (size_t)page_chunks, blocks = (chunks + THREADS - 1) / THREADS;
    PK_LAUNCH(spread, blocks < MOST_BLOCKS ? (unsigned)blocks : (unsigned)MOST_BLOCKS, THREADS, 0, (cudaStream_t)stream,
              (const uint4 *)patterns, count, page_chunks, chunks, (uint4 *)view->pool);
    return PK_OK;
}
