/* A launch as its blocks know it: their numbers, their order, and where all of them meet. */
#include "grid.h"

#include <limits.h>

#include "check.h"
#include "os.h"

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
uint64_t pk_mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Position `i` of a seeded order of 0..n-1: a four-round Feistel network over the next even number of bits, walked
 * until it lands in 0..n-1: a permutation that needs no table, so that a grid of any size has one. */
static uint64_t permute(uint64_t i, uint64_t n, uint64_t seed)
{
    unsigned half = 1;
    while (half < 32 && (uint64_t)1 << 2 * half < n)
        half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t left = i >> half, right = i & mask;
        for (unsigned round = 0; round < 4; ++round) {
            const uint64_t next = left ^ (pk_mix(right + seed * 4 + round + 1) & mask);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= n);
    return i;
}

uint64_t pk_block_in_order(const struct pk_grid *grid, uint64_t i)
{
    if (pk_settings.order == PK_ORDER_REVERSE)
        return grid->n_blocks - 1 - i;
    if (pk_settings.order == PK_ORDER_RANDOM)
        return permute(i, grid->n_blocks, pk_settings.seed ^ grid->salt);
    return i;
}

uint3 pk_block_index(const struct pk_grid *grid, uint64_t i)
{
    const uint3 size = grid->size;
    if (size.y == 1 && size.z == 1)
        return uint3{(unsigned)i, 0, 0};
    return uint3{(unsigned)(i % size.x), (unsigned)(i / size.x % size.y), (unsigned)(i / size.x / size.y)};
}

void pk_grid_meet(struct pk_grid *grid)
{
    const uint32_t phase = __atomic_load_n(&grid->phase, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&grid->arrived, 1, __ATOMIC_ACQ_REL) == grid->n_blocks) {
        __atomic_store_n(&grid->arrived, 0, __ATOMIC_RELAXED);
        pk_scope_grid_meets(grid);
        __atomic_store_n(&grid->phase, phase + 1, __ATOMIC_RELEASE);
        pk_futex_wake(&grid->phase, INT_MAX);
        pk_scope_grid_met(grid);
        return;
    }
    pk_turn_end();
    pk_runner_block_waits();
    while (__atomic_load_n(&grid->phase, __ATOMIC_ACQUIRE) == phase)
        pk_futex_wait(&grid->phase, phase, nullptr);
    pk_scope_grid_met(grid);
    pk_turn_begin();
}
