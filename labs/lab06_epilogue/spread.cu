/* Lab 06: inputs made of their patterns on the device, and looked at again. Two bytes a thread. */
#include "pk_gpu.h"

#include "lab06_problem.h"

enum { THREADS = 256, MOST_BLOCKS = 4096 };

static __device__ inline uint16_t word_of(const lab06_rows_of_patterns *r, size_t row_words, size_t i)
{
    const size_t row = i / row_words;
    const size_t pattern = (row % r->rows + row / r->rows * r->turn) % r->count;
    return ((const uint16_t *)r->patterns)[pattern * row_words + i % row_words];
}

static __device__ inline size_t words_of(const lab06_rows_of_patterns *r)
{
    return r->row_bytes / sizeof(uint16_t) * r->layers * r->rows;
}

static __global__ void lab06_spread_rows(lab06_rows_of_patterns r)
{
    const size_t each = (size_t)gridDim.x * blockDim.x, row_words = r.row_bytes / sizeof(uint16_t);
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < words_of(&r); i += each)
        ((uint16_t *)r.to)[i] = word_of(&r, row_words, i);
}

static __global__ void lab06_changed_words(lab06_rows_of_patterns r, unsigned *changed)
{
    const size_t each = (size_t)gridDim.x * blockDim.x, row_words = r.row_bytes / sizeof(uint16_t);
    unsigned mine = 0;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < words_of(&r); i += each)
        mine += ((const uint16_t *)r.to)[i] != word_of(&r, row_words, i);
    if (mine > 0)
        atomicAdd(changed, mine); /* relaxed: the host reads it when the kernel has ended */
}

static unsigned blocks_for(const lab06_rows_of_patterns *r)
{
    const size_t words = r->row_bytes / sizeof(uint16_t) * (size_t)r->layers * (size_t)r->rows;
    const size_t blocks = (words + THREADS - 1) / THREADS;
    return blocks < MOST_BLOCKS ? (unsigned)blocks : (unsigned)MOST_BLOCKS;
}

pk_status lab06_spread(const lab06_rows_of_patterns *rows, void *stream)
{
    PK_LAUNCH(lab06_spread_rows, blocks_for(rows), THREADS, 0, (cudaStream_t)stream, *rows);
    return PK_OK;
}

pk_status lab06_count_changed(const lab06_rows_of_patterns *rows, unsigned *device_changed, unsigned *changed,
                              void *stream)
{
    PK_TRY(pk_device_fill(device_changed, 0, sizeof *device_changed, stream));
    PK_LAUNCH(lab06_changed_words, blocks_for(rows), THREADS, 0, (cudaStream_t)stream, *rows, device_changed);
    PK_TRY(pk_device_download(changed, device_changed, sizeof *changed, stream));
    return pk_device_stream_synchronize(stream);
}
