/* One launch of a kernel, as its blocks know it. */
#ifndef PK_CPU_GRID_H
#define PK_CPU_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda_runtime.h>

struct pk_grid {
    const pk_cpu_kernel *code;
    uint3 size, block; /* gridDim, blockDim */
    unsigned block_threads;
    uint64_t n_blocks;
    size_t shared_bytes, static_shared_bytes; /* of a block: asked for at the launch, and declared by the kernel */
    bool cooperative;
    uint64_t salt; /* of its random order */
    unsigned char *packet;
    uint32_t changes;     /* of turn at an atomic access or a fence. Relaxed, a count */
    uint32_t arrived;     /* blocks at the grid's barrier: acquire/release, each adds itself */
    uint32_t phase;       /* a futex word. Release by the last to arrive, pairs with the others' acquire */
    uint64_t clock;       /* scope.cpp's: where its blocks begin, or go on from its barrier. Relaxed */
    uint32_t released;    /* futex word: the kernel ahead is over. Release by early.cpp, pairs with its acquire */
    uint32_t ahead_waits; /* its blocks that wait for that. Relaxed, a count */
    uint64_t triggered;   /* its blocks that let the kernel behind begin. acquire/release, each adds itself */
};

/* blockIdx of the grid's block number `i`. */
uint3 pk_block_index(const struct pk_grid *grid, uint64_t i);
/* The block number that runs as the `i`-th under PK_CPU_SCHEDULE. */
uint64_t pk_block_in_order(const struct pk_grid *grid, uint64_t i);
/* splitmix64's output function. */
uint64_t pk_mix(uint64_t z);
/* All threads of the running block are at the grid's barrier: returns when those of every block are. */
void pk_grid_meet(struct pk_grid *grid);

#endif
