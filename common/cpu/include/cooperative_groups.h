/* The part of cooperative groups that kernels in C style use: the grid, the block, tiles of a warp.
 * Source: CUDA C++ Programming Guide, "Cooperative Groups". */
#ifndef PK_CPU_COOPERATIVE_GROUPS_H
#define PK_CPU_COOPERATIVE_GROUPS_H

#include "cuda_runtime.h"

namespace cooperative_groups
{

struct thread_block {
    static void sync(PK_CPU_PLACE_)
    {
        __syncthreads(file, line);
    }
    static unsigned thread_rank()
    {
        return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    }
    static unsigned size()
    {
        return blockDim.x * blockDim.y * blockDim.z;
    }
    static unsigned num_threads()
    {
        return size();
    }
    static dim3 group_index()
    {
        return dim3(blockIdx);
    }
    static dim3 thread_index()
    {
        return dim3(threadIdx);
    }
    static dim3 group_dim()
    {
        return dim3(blockDim);
    }
    static dim3 dim_threads()
    {
        return dim3(blockDim);
    }
};

struct grid_group {
    /* Ends the kernel with an error if the launch was not cooperative. */
    void sync(PK_CPU_PLACE_) const
    {
        pk_cpu_grid_sync(file, line);
    }
    bool is_valid() const
    {
        return pk_cpu_grid_is_cooperative();
    }
    static unsigned long long num_blocks()
    {
        return (unsigned long long)gridDim.x * gridDim.y * gridDim.z;
    }
    static unsigned long long block_rank()
    {
        return ((unsigned long long)blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    }
    static unsigned long long size()
    {
        return num_blocks() * thread_block::size();
    }
    static unsigned long long num_threads()
    {
        return size();
    }
    static unsigned long long thread_rank()
    {
        return block_rank() * thread_block::size() + thread_block::thread_rank();
    }
    static dim3 dim_blocks()
    {
        return dim3(gridDim);
    }
    static dim3 group_dim()
    {
        return dim3(gridDim);
    }
    static dim3 block_index()
    {
        return dim3(blockIdx);
    }
};

/* N threads of a warp that follow each other, N a power of two up to the warp's size. */
template <unsigned N, class Parent = thread_block> struct thread_block_tile {
    static_assert(N > 0 && N <= 32 && (N & (N - 1)) == 0, "a tile has 1, 2, 4, 8, 16 or 32 threads");

    static unsigned thread_rank()
    {
        return thread_block::thread_rank() % N;
    }
    static constexpr unsigned size()
    {
        return N;
    }
    static constexpr unsigned num_threads()
    {
        return N;
    }
    static unsigned meta_group_rank()
    {
        return thread_block::thread_rank() / N;
    }
    static unsigned meta_group_size()
    {
        return (thread_block::size() + N - 1) / N;
    }
    static unsigned mask()
    {
        const unsigned lanes = N == 32 ? 0xffffffffu : (1u << N % 32) - 1;
        return lanes << thread_block::thread_rank() % 32 / N * N;
    }
    void sync(PK_CPU_PLACE_) const
    {
        __syncwarp(mask(), file, line);
    }
    template <class T> T shfl(T value, int from, PK_CPU_PLACE_) const
    {
        return __shfl_sync(mask(), value, from, (int)N, file, line);
    }
    template <class T> T shfl_up(T value, unsigned by, PK_CPU_PLACE_) const
    {
        return __shfl_up_sync(mask(), value, by, (int)N, file, line);
    }
    template <class T> T shfl_down(T value, unsigned by, PK_CPU_PLACE_) const
    {
        return __shfl_down_sync(mask(), value, by, (int)N, file, line);
    }
    template <class T> T shfl_xor(T value, unsigned by, PK_CPU_PLACE_) const
    {
        return __shfl_xor_sync(mask(), value, (int)by, (int)N, file, line);
    }
    int any(int vote, PK_CPU_PLACE_) const
    {
        return __any_sync(mask(), vote, file, line);
    }
    int all(int vote, PK_CPU_PLACE_) const
    {
        return __all_sync(mask(), vote, file, line);
    }
    unsigned ballot(int vote, PK_CPU_PLACE_) const
    {
        return __ballot_sync(mask(), vote, file, line) >> thread_block::thread_rank() % 32 / N * N;
    }
};

static inline grid_group this_grid()
{
    return grid_group();
}

static inline thread_block this_thread_block()
{
    return thread_block();
}

template <unsigned N> static inline thread_block_tile<N> tiled_partition(const thread_block &)
{
    return thread_block_tile<N>();
}

template <unsigned N, unsigned M, class P>
static inline thread_block_tile<N> tiled_partition(const thread_block_tile<M, P> &)
{
    static_assert(N <= M, "a part of a tile is no larger than the tile");
    return thread_block_tile<N>();
}

template <class Group> static inline void sync(const Group &group, PK_CPU_PLACE_)
{
    group.sync(file, line);
}

template <class T> struct plus {
    T operator()(T a, T b) const
    {
        return a + b;
    }
};
template <class T> struct greater {
    T operator()(T a, T b) const
    {
        return a > b ? a : b;
    }
};
template <class T> struct less {
    T operator()(T a, T b) const
    {
        return a < b ? a : b;
    }
};

/* In the order of a butterfly, as a tile's shuffles do it: every thread gets the same bits. */
template <unsigned N, class P, class T, class Combine>
static inline T reduce(const thread_block_tile<N, P> &tile, T value, Combine combine, PK_CPU_PLACE_)
{
    for (unsigned by = N / 2; by > 0; by /= 2)
        value = combine(value, tile.shfl_xor(value, by, file, line));
    return value;
}

} // namespace cooperative_groups

#endif
