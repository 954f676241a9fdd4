/* Groups of cooperative groups below the grid: any group as a thread_group, threads that stand together, partitions.
 * Source: CUDA C++ Programming Guide, "Cooperative Groups". */
#include "conformance.h"

#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>

CONCERN(groups)

namespace cg = cooperative_groups;

/* A function that takes any group. */
static __device__ unsigned sum_ranks(const cg::thread_group &group, unsigned *scratch)
{
    const unsigned rank = (unsigned)group.thread_rank();
    if (rank == 0)
        *scratch = 0;
    group.sync();
    atomicAdd(scratch, rank);
    group.sync();
    const unsigned sum = *scratch;
    group.sync();
    return sum;
}

static __global__ void any_group(unsigned *out)
{
    __shared__ unsigned scratch[5];
    const cg::thread_block block = cg::this_thread_block();
    const cg::thread_block_tile<32> warp = cg::tiled_partition<32>(block);
    unsigned *mine = out + threadIdx.x * 5;
    mine[0] = (unsigned)block.thread_rank();
    mine[1] = sum_ranks(block, &scratch[0]);
    mine[2] = sum_ranks(warp, &scratch[1 + warp.meta_group_rank()]);
    mine[3] = 0;
    if (threadIdx.x % 3 == 0) {
        const cg::coalesced_group thirds = cg::coalesced_threads();
        mine[3] = sum_ranks(thirds, &scratch[3 + threadIdx.x / 32]);
    }
    mine[4] =
        (unsigned)cg::tiled_partition(block, 8).size() * 100 + (unsigned)cg::tiled_partition(block, 8).thread_rank();
}

CASE(functions_that_take_any_group)
{
    DEVICE(unsigned, out, 64 * 5);
    PK_LAUNCH(any_group, 1, 64, 0, 0, out);
    const unsigned *got = (const unsigned *)cf_download(out, 64 * 5 * sizeof *out);
    PK_TRY(got ? PK_OK : PK_FAULT);
    for (unsigned i = 0; i < 64; i++) {
        EXPECT_EQ(got[i * 5], i);
        EXPECT_EQ(got[i * 5 + 1], 64 * 63 / 2);
        EXPECT_EQ(got[i * 5 + 2], 32 * 31 / 2);
        EXPECT_EQ(got[i * 5 + 3], i % 3 ? 0 : 11 * 10 / 2); /* 0, 3, ... 30 and 33, 36, ... 63 */
        EXPECT_EQ(got[i * 5 + 4], 800 + i % 8);
    }
    return PK_OK;
}

/* Every third thread, by rank: 11 of a warp. */
static __global__ void of_thirds(int *out)
{
    if (threadIdx.x % 3)
        return;
    const cg::coalesced_group group = cg::coalesced_threads();
    int *mine = out + threadIdx.x / 3 * 13;
    const int value = (int)threadIdx.x;
    int equal = 0;
    mine[0] = (int)group.size();
    mine[1] = (int)group.thread_rank();
    mine[2] = group.shfl(value, 10);
    mine[3] = group.shfl_up(value, 2);
    mine[4] = group.shfl_down(value, 2);
    mine[5] = group.any(value == 30);
    mine[6] = group.all(value < 31);
    mine[7] = (int)group.ballot(value >= 15);
    mine[8] = (int)group.match_any(value % 2);
    mine[9] = (int)group.match_all(7, equal) * 10 + equal;
    mine[10] = (int)(group.meta_group_rank() * 100 + group.meta_group_size());
    const cg::coalesced_group four = cg::tiled_partition(group, 4);
    mine[11] =
        (int)(four.size() * 1000 + four.thread_rank() * 100 + four.meta_group_rank() * 10 + four.meta_group_size());
    mine[12] = cg::reduce(group, value, cg::plus<int>());
}

CASE(threads_that_stand_together)
{
    DEVICE(int, out, 11 * 13);
    PK_LAUNCH(of_thirds, 1, 32, 0, 0, out);
    const int *got = (const int *)cf_download(out, 11 * 13 * sizeof *out);
    PK_TRY(got ? PK_OK : PK_FAULT);
    for (int rank = 0; rank < 11; rank++) {
        const int *mine = got + rank * 13;
        EXPECT_EQ(mine[0], 11);
        EXPECT_EQ(mine[1], rank);
        EXPECT_EQ(mine[2], 30);
        EXPECT_EQ(mine[3], 3 * (rank < 2 ? rank : rank - 2));
        EXPECT_EQ(mine[4], 3 * (rank > 8 ? rank : rank + 2));
        EXPECT_EQ(mine[5], 1);
        EXPECT_EQ(mine[6], 1);
        EXPECT_EQ(mine[7], 0x7e0);                    /* ranks 5 to 10 */
        EXPECT_EQ(mine[8], rank % 2 ? 0x2aa : 0x555); /* 3 * rank is as odd as rank is */
        EXPECT_EQ(mine[9], 0x7ff * 10 + 1);
        EXPECT_EQ(mine[10], 1);
        EXPECT_EQ(mine[11], (rank < 8 ? 4 : 3) * 1000 + rank % 4 * 100 + rank / 4 * 10 + 3);
        EXPECT_EQ(mine[12], 3 * 55);
    }
    return PK_OK;
}

static __global__ void parted(unsigned *out)
{
    const cg::thread_block_tile<32> warp = cg::tiled_partition<32>(cg::this_thread_block());
    const unsigned lane = warp.thread_rank();
    unsigned *mine = out + lane * 6;
    const cg::coalesced_group low = cg::binary_partition(warp, lane < 10);
    mine[0] = low.size() * 100 + low.thread_rank();
    mine[1] = low.meta_group_rank() * 10 + low.meta_group_size();
    const cg::coalesced_group labels = cg::labeled_partition(warp, (int)(lane + 1) % 5);
    mine[2] = labels.size() * 100 + labels.thread_rank();
    mine[3] = labels.meta_group_rank() * 10 + labels.meta_group_size();
    const cg::coalesced_group both = cg::binary_partition(labels, lane >= 16);
    mine[4] = both.size() * 100 + both.thread_rank();
    const cg::coalesced_group one = cg::binary_partition(warp, true);
    mine[5] = one.size() * 100 + one.meta_group_rank() * 10 + one.meta_group_size();
}

CASE(partitions_by_value)
{
    DEVICE(unsigned, out, 32 * 6);
    PK_LAUNCH(parted, 1, 32, 0, 0, out);
    const unsigned *got = (const unsigned *)cf_download(out, 32 * 6 * sizeof *out);
    PK_TRY(got ? PK_OK : PK_FAULT);
    for (unsigned lane = 0; lane < 32; lane++) {
        const unsigned *mine = got + lane * 6, part = lane % 5;
        unsigned above = 0, below = 0; /* of the same label: lanes from 16 on, or below; and before this one */
        for (unsigned other = part; other < 32; other += 5) {
            above += (other >= 16) == (lane >= 16);
            below += (other >= 16) == (lane >= 16) && other < lane;
        }
        EXPECT_EQ(mine[0], lane < 10 ? 1000 + lane : 2200 + lane - 10);
        EXPECT_EQ(mine[1], lane < 10 ? 12 : 2);
        EXPECT_EQ(mine[2], (part < 2 ? 700 : 600) + lane / 5);
        EXPECT_EQ(mine[3], part * 10 + 5);
        EXPECT_EQ(mine[4], above * 100 + below);
        EXPECT_EQ(mine[5], 3201);
    }
    return PK_OK;
}

/* A warp that is not full, tiles of tiles, and numbers of groups. */
static __global__ void tiles_of_tiles(unsigned *out)
{
    const cg::thread_block block = cg::this_thread_block();
    const auto sixteen = cg::tiled_partition<16>(block);
    const auto four = cg::tiled_partition<4>(sixteen);
    const cg::thread_block_tile<4> plain = four; /* forgets what it was made from, not its number */
    unsigned *mine = out + threadIdx.x * 3;
    mine[0] = sixteen.meta_group_rank() * 10 + sixteen.meta_group_size();
    mine[1] = four.meta_group_rank() * 10 + four.meta_group_size();
    mine[2] = plain.meta_group_rank() * 1000 + plain.match_any(threadIdx.x / 2 % 2) * 10 + plain.size();
}

CASE(tiles_within_tiles)
{
    DEVICE(unsigned, out, 48 * 3);
    PK_LAUNCH(tiles_of_tiles, 1, 48, 0, 0, out);
    const unsigned *got = (const unsigned *)cf_download(out, 48 * 3 * sizeof *out);
    PK_TRY(got ? PK_OK : PK_FAULT);
    for (unsigned i = 0; i < 48; i++) {
        EXPECT_EQ(got[i * 3], i / 16 * 10 + 3);
        EXPECT_EQ(got[i * 3 + 1], i % 16 / 4 * 10 + 4);
        EXPECT_EQ(got[i * 3 + 2], i % 16 / 4 * 1000 + (i / 2 % 2 ? 12 : 3) * 10 + 4);
    }
    return PK_OK;
}

/* One atomic operation for all threads of a warp that take a branch: the first adds for all. */
static __global__ void add_together(unsigned *counter, unsigned *slots)
{
    if (threadIdx.x * 7 % 5 < 2) {
        const cg::coalesced_group active = cg::coalesced_threads();
        unsigned first = 0;
        if (active.thread_rank() == 0)
            first = atomicAdd(counter, active.size());
        atomicAdd(&slots[active.shfl(first, 0) + active.thread_rank()], 1u);
    }
}

CASE(one_addition_for_all_that_take_a_branch)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < 256; i++)
        taken += i * 7 % 5 < 2;
    DEVICE(unsigned, counter, 1);
    DEVICE(unsigned, slots, 4 * 256);
    PK_LAUNCH(add_together, 4, 256, 0, 0, counter, slots);
    EXPECT_EACH(unsigned, counter, 1, 4 * taken);
    EXPECT_EACH(unsigned, slots, 4 * 256, i < 4 * taken);
    return PK_OK;
}

/* Sums and maxima up to each thread: of a tile, and of lanes that do not follow each other. */
static __global__ void scans(int *out)
{
    const int lane = (int)threadIdx.x;
    const auto eight = cg::tiled_partition<8>(cg::this_thread_block());
    int *mine = out + lane * 6;
    mine[0] = cg::inclusive_scan(eight, lane);
    mine[1] = cg::exclusive_scan(eight, lane, cg::plus<int>());
    mine[2] = cg::inclusive_scan(eight, lane * 5 % 8, cg::greater<int>());
    const cg::coalesced_group third = cg::labeled_partition(eight, lane % 3);
    mine[3] = cg::inclusive_scan(third, 1 << lane % 8, cg::bit_or<int>());
    mine[4] = cg::exclusive_scan(third, lane);
    mine[5] = (int)(0.5f + 2 * cg::inclusive_scan(third, 0.5f));
}

CASE(scans_by_rank)
{
    DEVICE(int, out, 32 * 6);
    PK_LAUNCH(scans, 1, 32, 0, 0, out);
    const int *got = (const int *)cf_download(out, 32 * 6 * sizeof *out);
    PK_TRY(got ? PK_OK : PK_FAULT);
    for (int lane = 0; lane < 32; lane++) {
        const int *mine = got + lane * 6;
        int sum = 0, most = 0, bits = 0, before = 0, count = 0;
        for (int other = lane / 8 * 8; other <= lane; other++) {
            sum += other;
            most = other * 5 % 8 > most ? other * 5 % 8 : most;
            if (other % 3 != lane % 3)
                continue;
            bits |= 1 << other % 8;
            before += other < lane ? other : 0;
            count++;
        }
        EXPECT_EQ(mine[0], sum);
        EXPECT_EQ(mine[1], sum - lane);
        EXPECT_EQ(mine[2], most);
        EXPECT_EQ(mine[3], bits);
        EXPECT_EQ(mine[4], before);
        EXPECT_EQ(mine[5], count);
    }
    return PK_OK;
}

static __global__ void bits_of_all(unsigned *out)
{
    const auto eight = cg::tiled_partition<8>(cg::this_thread_block());
    const unsigned bit = 1u << eight.thread_rank();
    const cg::thread_block_tile<1> alone = cg::this_thread();
    unsigned *mine = out + threadIdx.x * 4;
    mine[0] = cg::reduce(eight, bit, cg::bit_or<unsigned>());
    mine[1] = cg::reduce(eight, ~bit & 0xffffu, cg::bit_and<unsigned>());
    mine[2] = cg::reduce(eight, threadIdx.x, cg::bit_xor<unsigned>());
    alone.sync();
    mine[3] = alone.size() * 1000 + alone.thread_rank() * 100 + alone.meta_group_rank() * 10 + alone.meta_group_size();
}

CASE(bits_of_all_and_one_thread_alone)
{
    const unsigned want[4] = {0xff, 0xff00, 0, 1001};
    DEVICE(unsigned, out, 32 * 4);
    PK_LAUNCH(bits_of_all, 1, 32, 0, 0, out);
    EXPECT_EACH(unsigned, out, 32 * 4, want[i % 4]);
    return PK_OK;
}
