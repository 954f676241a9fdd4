/* Lab 05, part two: the matrices made of their patterns, on the device. */
#include "pk_gpu.h"

#include "lab05_chain_problem.h"

/* 16 bytes a thread: row r of this matrix, which has `before` rows ahead of it, is pattern (before + r) mod count. */
static __global__ void spread_rows(const uint4 *patterns, int count, int pattern_units, int before, int units,
                                   size_t all, uint4 *weights)
{
    const size_t each = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += each) {
        const size_t row = (size_t)before + i / (size_t)units;
        weights[i] = patterns[row % (size_t)count * (size_t)pattern_units + i % (size_t)units];
    }
}

pk_status lab05_chain_spread(const lab05_chain *chain, const uint16_t *patterns, int count, int most_columns,
                             void *stream)
{
    enum { THREADS = 256, MOST_BLOCKS = 4096 };
    int before = 0;
    for (int p = 0; p < chain->view.phases; p++) {
        const lab05_chain_phase *const phase = &chain->phase[p];
        const int units = phase->columns / 8;
        const size_t all = (size_t)phase->rows * (size_t)units, blocks = (all + THREADS - 1) / THREADS;
        PK_LAUNCH(spread_rows, blocks < MOST_BLOCKS ? (unsigned)blocks : (unsigned)MOST_BLOCKS, THREADS, 0,
                  (cudaStream_t)stream, (const uint4 *)patterns, count, most_columns / 8, before, units, all,
                  (uint4 *)(chain->view.weights + phase->weights));
        before += phase->rows;
    }
    return PK_OK;
}
