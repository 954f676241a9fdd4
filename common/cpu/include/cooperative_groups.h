/* The part of cooperative groups that kernels in C style use: the grid, the block, tiles of a warp, threads that stand
 * together, and what they are parted into. Source: CUDA C++ Programming Guide, "Cooperative Groups". */
#ifndef PK_CPU_COOPERATIVE_GROUPS_H
#define PK_CPU_COOPERATIVE_GROUPS_H

#include "cuda_runtime.h"

namespace cooperative_groups
{

/* Any group, for functions that take one as it comes: what it was made from decides. Lanes are those of the calling
 * thread's own 32. */
struct thread_group {
    unsigned long long size() const;
    unsigned long long num_threads() const
    {
        return size();
    }
    unsigned long long thread_rank() const;
    void sync(PK_CPU_PLACE_) const;

  protected:
    enum kind { PK_BLOCK, PK_GRID, PK_LANES };

    explicit thread_group(kind of, unsigned mask = 0, unsigned rank_above = 0, unsigned groups = 1)
        : kind_(of), lanes_(mask), meta_rank_(rank_above), meta_size_(groups)
    {
    }

    kind kind_;
    unsigned lanes_;                 /* PK_LANES: the threads of the group */
    unsigned meta_rank_, meta_size_; /* PK_LANES: which group of how many it is in what it was made from */

    friend thread_group tiled_partition(const thread_group &group, unsigned threads);
};

struct thread_block : thread_group {
    thread_block() : thread_group(PK_BLOCK)
    {
    }
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

struct grid_group : thread_group {
    grid_group() : thread_group(PK_GRID)
    {
    }
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

/* ---- groups of lanes ---- */

static inline unsigned pk_cpu_lane()
{
    return thread_block::thread_rank() % 32;
}

/* The lane of the set bit that has `rank` set bits below it; where there is none, one that is not in the mask: what is
 * read from there shows. */
static inline unsigned pk_cpu_lane_of_rank(unsigned mask, unsigned rank)
{
    if (rank >= (unsigned)__builtin_popcount(mask))
        return mask == 0xffffffffu ? rank % 32 : (unsigned)__builtin_ctz(~mask);
    for (; rank > 0; --rank)
        mask &= mask - 1;
    return (unsigned)__builtin_ctz(mask);
}

/* The bits of `lanes` that are set in `mask`, by rank in the mask. */
static inline unsigned pk_cpu_pack_lanes(unsigned mask, unsigned lanes)
{
    unsigned packed = 0;
    for (unsigned rank = 0; mask; mask &= mask - 1, ++rank)
        packed |= (lanes >> __builtin_ctz(mask) & 1) << rank;
    return packed;
}

inline unsigned long long thread_group::size() const
{
    return kind_ == PK_LANES  ? (unsigned long long)__builtin_popcount(lanes_)
           : kind_ == PK_GRID ? grid_group::size()
                              : thread_block::size();
}

inline unsigned long long thread_group::thread_rank() const
{
    return kind_ == PK_LANES  ? (unsigned long long)__builtin_popcount(lanes_ & ((1u << pk_cpu_lane()) - 1))
           : kind_ == PK_GRID ? grid_group::thread_rank()
                              : thread_block::thread_rank();
}

inline void thread_group::sync(const char *file, int line) const
{
    if (kind_ == PK_LANES)
        __syncwarp(lanes_, file, line);
    else if (kind_ == PK_GRID)
        pk_cpu_grid_sync(file, line);
    else
        __syncthreads(file, line);
}

/* Threads of a warp that stand together, or a part of them. Ranks are counted among the threads of the group. */
struct coalesced_group : thread_group {
    explicit coalesced_group(unsigned mask, unsigned rank_above = 0, unsigned groups = 1)
        : thread_group(PK_LANES, mask, rank_above, groups)
    {
    }
    unsigned size() const
    {
        return (unsigned)thread_group::size();
    }
    unsigned num_threads() const
    {
        return size();
    }
    unsigned thread_rank() const
    {
        return (unsigned)thread_group::thread_rank();
    }
    unsigned meta_group_rank() const
    {
        return meta_rank_;
    }
    unsigned meta_group_size() const
    {
        return meta_size_;
    }
    unsigned pk_cpu_mask() const
    {
        return lanes_;
    }
    template <class T> T shfl(T value, unsigned from, PK_CPU_PLACE_) const
    {
        return __shfl_sync(lanes_, value, (int)pk_cpu_lane_of_rank(lanes_, from), 32, file, line);
    }
    /* From the thread that is `by` ranks below or above; where there is none, the thread's own value. */
    template <class T> T shfl_up(T value, unsigned by, PK_CPU_PLACE_) const
    {
        const unsigned rank = thread_rank();
        return shfl(value, by <= rank ? rank - by : rank, file, line);
    }
    template <class T> T shfl_down(T value, unsigned by, PK_CPU_PLACE_) const
    {
        const unsigned rank = thread_rank();
        return shfl(value, by < size() - rank ? rank + by : rank, file, line);
    }
    int any(int vote, PK_CPU_PLACE_) const
    {
        return __any_sync(lanes_, vote, file, line);
    }
    int all(int vote, PK_CPU_PLACE_) const
    {
        return __all_sync(lanes_, vote, file, line);
    }
    unsigned ballot(int vote, PK_CPU_PLACE_) const
    {
        return pk_cpu_pack_lanes(lanes_, __ballot_sync(lanes_, vote, file, line));
    }
    template <class T> unsigned match_any(T value, PK_CPU_PLACE_) const
    {
        return pk_cpu_pack_lanes(lanes_, __match_any_sync(lanes_, value, file, line));
    }
    template <class T> unsigned match_all(T value, int &all_equal, PK_CPU_PLACE_) const
    {
        return pk_cpu_pack_lanes(lanes_, __match_all_sync(lanes_, value, &all_equal, file, line));
    }
};

/* N threads of a warp that follow each other, N a power of two up to the warp's size. Parent: what it was made from, or
 * void where the type no longer says. */
template <unsigned N, class Parent = void> struct thread_block_tile : thread_group {
    static_assert(N > 0 && N <= 32 && (N & (N - 1)) == 0, "a tile has 1, 2, 4, 8, 16 or 32 threads");

    thread_block_tile(unsigned rank_above, unsigned groups) : thread_group(PK_LANES, mask(), rank_above, groups)
    {
    }
    template <class Other>
    thread_block_tile(const thread_block_tile<N, Other> &tile)
        : thread_group(PK_LANES, mask(), tile.meta_group_rank(), tile.meta_group_size())
    {
    }
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
    unsigned meta_group_rank() const
    {
        return meta_rank_;
    }
    unsigned meta_group_size() const
    {
        return meta_size_;
    }
    static unsigned mask()
    {
        const unsigned lanes = N == 32 ? 0xffffffffu : (1u << N % 32) - 1;
        return lanes << pk_cpu_lane() / N * N;
    }
    unsigned pk_cpu_mask() const
    {
        return mask();
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
        return __ballot_sync(mask(), vote, file, line) >> pk_cpu_lane() / N * N;
    }
    template <class T> unsigned match_any(T value, PK_CPU_PLACE_) const
    {
        return __match_any_sync(mask(), value, file, line) >> pk_cpu_lane() / N * N;
    }
    template <class T> unsigned match_all(T value, int &all_equal, PK_CPU_PLACE_) const
    {
        return __match_all_sync(mask(), value, &all_equal, file, line) >> pk_cpu_lane() / N * N;
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

/* The calling thread by itself. */
static inline thread_block_tile<1> this_thread()
{
    return thread_block_tile<1>(0, 1);
}

/* The threads of the warp that come to this call together. */
static inline coalesced_group coalesced_threads(PK_CPU_PLACE_)
{
    return coalesced_group(__activemask(file, line));
}

/* ---- partitions ---- */

template <unsigned N> static inline thread_block_tile<N, thread_block> tiled_partition(const thread_block &)
{
    return thread_block_tile<N, thread_block>(thread_block::thread_rank() / N, (thread_block::size() + N - 1) / N);
}

template <unsigned N, unsigned M, class P>
static inline thread_block_tile<N, thread_block_tile<M, P>> tiled_partition(const thread_block_tile<M, P> &tile)
{
    static_assert(N <= M, "a part of a tile is no larger than the tile");
    return thread_block_tile<N, thread_block_tile<M, P>>(tile.thread_rank() / N, M / N);
}

/* By ranks: the first `threads` of the group, the next, and so on; a power of two up to 32, or the kernel ends. */
static inline coalesced_group tiled_partition(const coalesced_group &group, unsigned threads)
{
    if (threads == 0 || threads > 32 || (threads & (threads - 1)))
        pk_cpu_trap();
    if (group.size() <= threads)
        return group;
    const unsigned number = group.thread_rank() / threads;
    unsigned mask = 0;
    for (unsigned rank = number * threads; rank < (number + 1) * threads && rank < group.size(); ++rank)
        mask |= 1u << pk_cpu_lane_of_rank(group.pk_cpu_mask(), rank);
    return coalesced_group(mask, number, (group.size() + threads - 1) / threads);
}

/* Of the block, or of lanes; the grid cannot be parted so. */
inline thread_group tiled_partition(const thread_group &group, unsigned threads)
{
    if (group.kind_ == thread_group::PK_LANES)
        return tiled_partition(coalesced_group(group.lanes_, group.meta_rank_, group.meta_size_), threads);
    if (group.kind_ == thread_group::PK_GRID)
        pk_cpu_trap();
    const unsigned first = thread_block::thread_rank() / 32 * 32;
    const unsigned here = thread_block::size() - first; /* the last warp may not be full */
    const coalesced_group warp(here >= 32 ? 0xffffffffu : (1u << here) - 1);
    const coalesced_group part = tiled_partition(warp, threads);
    return coalesced_group(part.pk_cpu_mask(), thread_block::thread_rank() / threads,
                           (thread_block::size() + threads - 1) / threads);
}

/* Those of a tile, or of threads that stand together, whose value is the same. True and false number their groups;
 * labels do by their first threads. */
template <class Group> static inline coalesced_group binary_partition(const Group &group, bool value, PK_CPU_PLACE_)
{
    const unsigned mask = group.pk_cpu_mask(), set = __ballot_sync(mask, value, file, line);
    if (set == 0 || set == mask)
        return coalesced_group(mask);
    return coalesced_group(value ? set : mask & ~set, value, 2);
}

template <class Group, class T>
static inline coalesced_group labeled_partition(const Group &group, T label, PK_CPU_PLACE_)
{
    const unsigned mask = group.pk_cpu_mask();
    const unsigned equal = __match_any_sync(mask, label, file, line);
    const unsigned first = equal & (0u - equal);
    const bool leads = first >> pk_cpu_lane() & 1;
    const unsigned leaders = __ballot_sync(mask, leads, file, line);
    return coalesced_group(equal, (unsigned)__builtin_popcount(leaders & (first - 1)),
                           (unsigned)__builtin_popcount(leaders));
}

template <class Group> static inline coalesced_group labeled_partition(const Group &group, bool label, PK_CPU_PLACE_)
{
    return binary_partition(group, label, file, line);
}

template <class Group> static inline void sync(const Group &group, PK_CPU_PLACE_)
{
    group.sync(file, line);
}

template <class Group> static inline auto thread_rank(const Group &group) -> decltype(group.thread_rank())
{
    return group.thread_rank();
}

template <class Group> static inline auto group_size(const Group &group) -> decltype(group.num_threads())
{
    return group.num_threads();
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
template <class T> struct bit_and {
    T operator()(T a, T b) const
    {
        return a & b;
    }
};
template <class T> struct bit_or {
    T operator()(T a, T b) const
    {
        return a | b;
    }
};
template <class T> struct bit_xor {
    T operator()(T a, T b) const
    {
        return a ^ b;
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

/* In the order of ranks. */
template <class T, class Combine>
static inline T reduce(const coalesced_group &group, T value, Combine combine, PK_CPU_PLACE_)
{
    T result = group.shfl(value, 0, file, line);
    for (unsigned rank = 1; rank < group.size(); ++rank)
        result = combine(result, group.shfl(value, rank, file, line));
    return result;
}

/* Of a tile or a coalesced group: what the threads up to this one, by rank, give together. */
template <class Group, class T, class Combine>
static inline T inclusive_scan(const Group &group, T value, Combine combine, PK_CPU_PLACE_)
{
    for (unsigned by = 1; by < group.size(); by *= 2) {
        const T before = group.shfl_up(value, by, file, line);
        if (by <= group.thread_rank())
            value = combine(value, before);
    }
    return value;
}

template <class Group, class T> static inline T inclusive_scan(const Group &group, T value, PK_CPU_PLACE_)
{
    return inclusive_scan(group, value, plus<T>(), file, line);
}

/* The same without the thread's own value; zero for the first. */
template <class Group, class T, class Combine>
static inline T exclusive_scan(const Group &group, T value, Combine combine, PK_CPU_PLACE_)
{
    const T all = inclusive_scan(group, value, combine, file, line), before = group.shfl_up(all, 1, file, line);
    return group.thread_rank() == 0 ? T() : before;
}

template <class Group, class T> static inline T exclusive_scan(const Group &group, T value, PK_CPU_PLACE_)
{
    return exclusive_scan(group, value, plus<T>(), file, line);
}

} // namespace cooperative_groups

#endif
