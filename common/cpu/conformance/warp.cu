/* Warps: lanes, shuffles, votes, match, reduce, __syncwarp, with full masks, with part of a warp, in branches.
 * Source: CUDA C++ Programming Guide, "Warp Vote Functions", "Warp Match Functions", "Warp Reduce Functions",
 * "Warp Shuffle Functions", "Synchronization Functions". */
#include "conformance.h"

CONCERN(warp)

#define ALL 0xffffffffu

/* The expectations below are written for 32 lanes. */
#define NEED_32_LANES()                                                                                                \
    do {                                                                                                               \
        if (cf_attribute(cudaDevAttrWarpSize) != 32)                                                                   \
            SKIP("the warp does not have 32 lanes");                                                                   \
    } while (0)

static __device__ int linear_thread(void)
{
    return (int)(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}

static __device__ int lane_of(int thread)
{
    return thread % 32;
}

static __global__ void first_of_warp(int *out)
{
    const int t = linear_thread();
    out[t] = __shfl_sync(ALL, t, 0);
}

CASE(warps_are_filled_in_x_then_y_then_z)
{
    NEED_32_LANES();
    DEVICE(int, out, 192);
    PK_LAUNCH(first_of_warp, 1, dim3(4, 6, 8), 0, 0, out);
    EXPECT_EACH(int, out, 192, i / 32 * 32);
    return PK_OK;
}

static __global__ void shuffle_index(int *out, int from, int width)
{
    const int t = linear_thread();
    out[t] = __shfl_sync(ALL, 100 + t, from, width);
}

CASE(shuffle_by_index)
{
    NEED_32_LANES();
    DEVICE(int, out, 64);
    PK_LAUNCH(shuffle_index, 1, 64, 0, 0, out, 5, 32);
    EXPECT_EACH(int, out, 64, 100 + i / 32 * 32 + 5);
    PK_LAUNCH(shuffle_index, 1, 64, 0, 0, out, 3, 8);
    EXPECT_EACH(int, out, 64, 100 + i / 8 * 8 + 3);
    return PK_OK;
}

CASE(shuffle_index_wraps_in_its_width)
{
    NEED_32_LANES();
    DEVICE(int, out, 32);
    PK_LAUNCH(shuffle_index, 1, 32, 0, 0, out, 37, 32);
    EXPECT_EACH(int, out, 32, 105);
    PK_LAUNCH(shuffle_index, 1, 32, 0, 0, out, 11, 8);
    EXPECT_EACH(int, out, 32, 100 + i / 8 * 8 + 3);
    PK_LAUNCH(shuffle_index, 1, 32, 0, 0, out, -1, 16);
    EXPECT_EACH(int, out, 32, 100 + i / 16 * 16 + 15);
    return PK_OK;
}

static __global__ void shuffle_permutation(int *out)
{
    const int t = linear_thread();
    out[t] = __shfl_sync(ALL, t * t, (lane_of(t) * 7 + 3) % 32);
}

CASE(shuffle_any_permutation)
{
    NEED_32_LANES();
    DEVICE(int, out, 32);
    PK_LAUNCH(shuffle_permutation, 1, 32, 0, 0, out);
    EXPECT_EACH(int, out, 32, ((i * 7 + 3) % 32) * ((i * 7 + 3) % 32));
    return PK_OK;
}

static __global__ void shuffle_moves(int *up, int *down, int *cross, int by, int width)
{
    const int t = linear_thread();
    up[t] = __shfl_up_sync(ALL, t, (unsigned)by, width);
    down[t] = __shfl_down_sync(ALL, t, (unsigned)by, width);
    cross[t] = __shfl_xor_sync(ALL, t, by, width);
}

CASE(shuffle_up_down_xor)
{
    NEED_32_LANES();
    DEVICE(int, up, 64);
    DEVICE(int, down, 64);
    DEVICE(int, cross, 64);
    PK_LAUNCH(shuffle_moves, 1, 64, 0, 0, up, down, cross, 3, 32);
    EXPECT_EACH(int, up, 64, i % 32 >= 3 ? i - 3 : i);
    EXPECT_EACH(int, down, 64, i % 32 < 29 ? i + 3 : i);
    EXPECT_EACH(int, cross, 64, i ^ 3);
    return PK_OK;
}

CASE(shuffle_up_down_in_a_width)
{
    NEED_32_LANES();
    DEVICE(int, up, 32);
    DEVICE(int, down, 32);
    DEVICE(int, cross, 32);
    PK_LAUNCH(shuffle_moves, 1, 32, 0, 0, up, down, cross, 1, 8);
    EXPECT_EACH(int, up, 32, i % 8 >= 1 ? i - 1 : i);
    EXPECT_EACH(int, down, 32, i % 8 < 7 ? i + 1 : i);
    EXPECT_EACH(int, cross, 32, i ^ 1);
    return PK_OK;
}

CASE(shuffle_xor_beyond_its_width)
{
    /* Earlier groups can be read, later ones cannot: the lane keeps its own value then. */
    NEED_32_LANES();
    DEVICE(int, up, 32);
    DEVICE(int, down, 32);
    DEVICE(int, cross, 32);
    PK_LAUNCH(shuffle_moves, 1, 32, 0, 0, up, down, cross, 8, 8);
    EXPECT_EACH(int, cross, 32, (i & 8) ? i - 8 : i);
    return PK_OK;
}

static __global__ void shuffle_types(double *out)
{
    const int t = linear_thread();
    const long long l = __shfl_sync(ALL, (1ll << 40) + t, 1);
    const unsigned long long u = __shfl_down_sync(ALL, 1ull << t, 1);
    const double d = __shfl_up_sync(ALL, 0.5 + t, 1);
    const float f = __shfl_xor_sync(ALL, 0.25f * (float)t, 2);
    const unsigned w = __shfl_sync(ALL, 0xfffffff0u + (unsigned)lane_of(t) / 8, 0);
    out[t * 5] = (double)(l - (1ll << 40));
    out[t * 5 + 1] = (double)u;
    out[t * 5 + 2] = d;
    out[t * 5 + 3] = f;
    out[t * 5 + 4] = (double)w;
}

CASE(shuffle_of_every_type)
{
    NEED_32_LANES();
    DEVICE(double, out, 160);
    PK_LAUNCH(shuffle_types, 1, 32, 0, 0, out);
    EXPECT_EACH(double, out, 160,
                i % 5 == 0   ? 1.0
                : i % 5 == 1 ? (double)(1ull << (i / 5 < 31 ? i / 5 + 1 : 31))
                : i % 5 == 2 ? 0.5 + (double)(i / 5 > 0 ? i / 5 - 1 : 0)
                : i % 5 == 3 ? 0.25 * (double)((i / 5) ^ 2)
                             : 4294967280.0);
    return PK_OK;
}

static __global__ void shuffle_in_branches(int *out)
{
    const int t = linear_thread(), lane = lane_of(t);
    if (lane < 16)
        out[t] = __shfl_sync(0x0000ffffu, t, (lane + 1) % 16);
    else
        out[t] = __shfl_sync(0xffff0000u, 1000 + t, 16 + (lane + 3) % 16);
}

CASE(shuffle_in_both_branches)
{
    NEED_32_LANES();
    DEVICE(int, out, 96);
    PK_LAUNCH(shuffle_in_branches, 1, 96, 0, 0, out);
    EXPECT_EACH(int, out, 96,
                i % 32 < 16 ? i / 32 * 32 + (i % 32 + 1) % 16 : 1000 + i / 32 * 32 + 16 + (i % 32 + 3) % 16);
    return PK_OK;
}

static __global__ void shuffle_after_some_ended(int *out)
{
    const int t = linear_thread();
    if (lane_of(t) >= 20)
        return;
    out[t] = __shfl_sync(0x000fffffu, t, 19 - lane_of(t));
}

CASE(shuffle_after_lanes_have_ended)
{
    NEED_32_LANES();
    DEVICE(int, out, 64);
    PK_LAUNCH(shuffle_after_some_ended, 1, 64, 0, 0, out);
    EXPECT_EACH(int, out, 64, i % 32 < 20 ? i / 32 * 32 + 19 - i % 32 : 0);
    return PK_OK;
}

static __global__ void ballots(unsigned *out)
{
    const int t = linear_thread();
    const unsigned odd = __ballot_sync(ALL, t & 1), none = __ballot_sync(ALL, 0), many = __ballot_sync(ALL, t);
    if (lane_of(t) == 0) {
        out[t / 32 * 3] = odd;
        out[t / 32 * 3 + 1] = none;
        out[t / 32 * 3 + 2] = many;
    }
}

CASE(ballot)
{
    const unsigned want[6] = {0xaaaaaaaau, 0, 0xfffffffeu, 0xaaaaaaaau, 0, ALL};
    NEED_32_LANES();
    DEVICE(unsigned, out, 6);
    PK_LAUNCH(ballots, 1, 64, 0, 0, out);
    EXPECT_EACH(unsigned, out, 6, want[i]);
    return PK_OK;
}

static __global__ void ballot_of_part(unsigned *out)
{
    const int lane = lane_of(linear_thread());
    if (lane % 4 == 1)
        out[lane] = __ballot_sync(0x22222222u, lane < 16);
}

CASE(ballot_of_a_part)
{
    NEED_32_LANES();
    DEVICE(unsigned, out, 32);
    PK_LAUNCH(ballot_of_part, 1, 32, 0, 0, out);
    EXPECT_EACH(unsigned, out, 32, i % 4 == 1 ? 0x2222u : 0);
    return PK_OK;
}

static __global__ void votes(int *out, unsigned mask)
{
    const int lane = lane_of(linear_thread());
    if (!(mask >> lane & 1))
        return;
    const int all = __all_sync(mask, lane < 31), any = __any_sync(mask, lane == 31), every = __all_sync(mask, 5);
    const int none = __any_sync(mask, 0), same = __uni_sync(mask, lane < 40), mixed = __uni_sync(mask, lane < 9);
    out[lane] =
        (all != 0) | (any != 0) << 1 | (every != 0) << 2 | (none != 0) << 3 | (same != 0) << 4 | (mixed != 0) << 5;
}

CASE(all_any_uni)
{
    NEED_32_LANES();
    DEVICE(int, out, 32);
    PK_LAUNCH(votes, 1, 32, 0, 0, out, ALL);
    EXPECT_EACH(int, out, 32, 2 | 4 | 16);
    PK_LAUNCH(votes, 1, 32, 0, 0, out, 0x0000ff00u);
    EXPECT_EACH(int, out, 32, i >= 8 && i < 16 ? 1 | 4 | 16 : 2 | 4 | 16);
    return PK_OK;
}

static __global__ void active_lanes(unsigned *out)
{
    const unsigned active = __activemask();
    out[linear_thread()] = active;
}

CASE(active_mask)
{
    NEED_32_LANES();
    DEVICE(unsigned, out, 40);
    PK_LAUNCH(active_lanes, 1, 40, 0, 0, out);
    EXPECT_EACH(unsigned, out, 40, i < 32 ? ALL : 0xffu);
    return PK_OK;
}

static __global__ void part_of_a_warp(unsigned *out)
{
    const int t = linear_thread(), lane = lane_of(t);
    const unsigned mask = t < 32 ? ALL : 0xffu;
    const unsigned ballot = __ballot_sync(mask, lane % 2);
    out[blockIdx.x * 40 + (unsigned)t] = ballot + (unsigned)__shfl_xor_sync(mask, lane, 4);
}

CASE(last_warp_of_a_block_is_partial)
{
    NEED_32_LANES();
    DEVICE(unsigned, out, 3 * 40);
    PK_LAUNCH(part_of_a_warp, 3, 40, 0, 0, out);
    EXPECT_EACH(unsigned, out, 3 * 40, (i % 40 < 32 ? 0xaaaaaaaau : 0xaau) + (unsigned)((i % 40 % 32) ^ 4));
    return PK_OK;
}

static __global__ void match(unsigned *any, unsigned *all, int *agree)
{
    const int lane = lane_of(linear_thread());
    int first = 7, second = 7;
    any[lane] = __match_any_sync(ALL, lane % 4);
    all[lane] = __match_all_sync(ALL, 42, &first) ^ __match_all_sync(ALL, lane / 31, &second);
    agree[lane] = (first != 0) * 2 + (second != 0);
}

CASE(match_any_and_all)
{
    NEED_32_LANES();
    DEVICE(unsigned, any, 32);
    DEVICE(unsigned, all, 32);
    DEVICE(int, agree, 32);
    PK_LAUNCH(match, 1, 32, 0, 0, any, all, agree);
    EXPECT_EACH(unsigned, any, 32, 0x11111111u << i % 4);
    EXPECT_EACH(unsigned, all, 32, ALL);
    EXPECT_EACH(int, agree, 32, 2);
    return PK_OK;
}

static __global__ void match_wide(unsigned *any)
{
    const int lane = lane_of(linear_thread());
    if (lane < 16)
        any[lane] = __match_any_sync(0xffffu, lane < 8 ? 1ll << 40 : 1ll << 41);
}

CASE(match_64_bits_in_a_part)
{
    NEED_32_LANES();
    DEVICE(unsigned, any, 16);
    PK_LAUNCH(match_wide, 1, 32, 0, 0, any);
    EXPECT_EACH(unsigned, any, 16, i < 8 ? 0xffu : 0xff00u);
    return PK_OK;
}

static __global__ void reduce(int *out, unsigned mask)
{
    const int lane = lane_of(linear_thread());
    if (!(mask >> lane & 1))
        return;
    out[lane * 8] = __reduce_add_sync(mask, lane - 10);
    out[lane * 8 + 1] = __reduce_min_sync(mask, lane - 10);
    out[lane * 8 + 2] = __reduce_max_sync(mask, lane - 10);
    out[lane * 8 + 3] = (int)__reduce_min_sync(mask, (unsigned)(lane - 10));
    out[lane * 8 + 4] = (int)__reduce_max_sync(mask, (unsigned)(lane - 10));
    out[lane * 8 + 5] = (int)__reduce_and_sync(mask, ~(1u << lane));
    out[lane * 8 + 6] = (int)__reduce_or_sync(mask, 1u << lane);
    out[lane * 8 + 7] = (int)__reduce_xor_sync(mask, (unsigned)lane);
}

CASE(reduce_whole_warp)
{
    const int want[8] = {176, -10, 21, 0, -1, 0, -1, 0};
    NEED_32_LANES();
    DEVICE(int, out, 256);
    PK_LAUNCH(reduce, 1, 32, 0, 0, out, ALL);
    EXPECT_EACH(int, out, 256, want[i % 8]);
    return PK_OK;
}

CASE(reduce_part)
{
    /* lanes 8 to 11 */
    const int want[8] = {-2, -2, 1, 0, -1, ~0xf00, 0xf00, 0};
    NEED_32_LANES();
    DEVICE(int, out, 256);
    PK_LAUNCH(reduce, 1, 32, 0, 0, out, 0xf00u);
    EXPECT_EACH(int, out, 256, i >= 64 && i < 96 ? want[i % 8] : 0);
    return PK_OK;
}

static __global__ void exchange_by_shared(int *out)
{
    __shared__ int tile[128];
    const int t = linear_thread(), warp = t / 32 * 32;
    int value = t;
    for (int round = 0; round < 5; round++) {
        tile[t] = value;
        __syncwarp();
        value = tile[warp + (t + 1) % 32];
        __syncwarp();
    }
    out[t] = value;
}

CASE(syncwarp_orders_shared_memory)
{
    NEED_32_LANES();
    DEVICE(int, out, 128);
    PK_LAUNCH(exchange_by_shared, 1, 128, 0, 0, out);
    EXPECT_EACH(int, out, 128, i / 32 * 32 + (i + 5) % 32);
    return PK_OK;
}

static __global__ void exchange_in_halves(int *out)
{
    __shared__ int tile[32];
    const int lane = lane_of(linear_thread());
    if (lane < 16) {
        tile[lane] = lane;
        __syncwarp(0x0000ffffu);
        out[lane] = tile[15 - lane];
    } else {
        for (int round = 0; round < 3; round++) { /* more often than the other half */
            tile[lane] = lane * (round + 1);
            __syncwarp(0xffff0000u);
            out[lane] = tile[47 - lane];
            __syncwarp(0xffff0000u);
        }
    }
}

CASE(syncwarp_of_a_part)
{
    NEED_32_LANES();
    DEVICE(int, out, 32);
    PK_LAUNCH(exchange_in_halves, 1, 32, 0, 0, out);
    EXPECT_EACH(int, out, 32, i < 16 ? 15 - (int)i : 3 * (47 - (int)i));
    return PK_OK;
}

static __global__ void block_sum(int *out)
{
    __shared__ int part[32];
    const int t = linear_thread(), lane = lane_of(t);
    int sum = t;
    for (int by = 16; by > 0; by /= 2)
        sum += __shfl_down_sync(ALL, sum, (unsigned)by);
    if (lane == 0)
        part[t / 32] = sum;
    __syncthreads();
    if (t >= 32)
        return;
    sum = lane < (int)blockDim.x / 32 ? part[lane] : 0;
    for (int by = 16; by > 0; by /= 2)
        sum += __shfl_xor_sync(ALL, sum, by);
    if (lane == 31)
        out[blockIdx.x] = sum;
}

CASE(block_reduction)
{
    NEED_32_LANES();
    DEVICE(int, out, 8);
    PK_LAUNCH(block_sum, 8, 512, 0, 0, out);
    EXPECT_EACH(int, out, 8, 512 * 511 / 2);
    return PK_OK;
}

static __global__ void scan(int *out)
{
    const int t = linear_thread(), lane = lane_of(t);
    int sum = lane + 1;
    for (int by = 1; by < 32; by *= 2) {
        const int left = __shfl_up_sync(ALL, sum, (unsigned)by);
        if (lane >= by)
            sum += left;
    }
    out[t] = sum;
}

CASE(warp_scan)
{
    NEED_32_LANES();
    DEVICE(int, out, 64);
    PK_LAUNCH(scan, 1, 64, 0, 0, out);
    EXPECT_EACH(int, out, 64, (i % 32 + 1) * (i % 32 + 2) / 2);
    return PK_OK;
}

/* Lane i stays in the loop for i rounds; the mask of each round is the ballot of the one before. */
static __global__ void shrinking_mask(int *out)
{
    const int lane = lane_of(linear_thread());
    unsigned mask = ALL;
    int rounds = 0, last = -1;
    while ((mask = __ballot_sync(mask, rounds < lane)) != 0 && rounds < lane) {
        last = __shfl_sync(mask, lane, 31);
        rounds++;
    }
    out[lane] = rounds * 100 + last;
}

CASE(lanes_leave_a_loop_one_by_one)
{
    NEED_32_LANES();
    DEVICE(int, out, 32);
    PK_LAUNCH(shrinking_mask, 1, 32, 0, 0, out);
    EXPECT_EACH(int, out, 32, i == 0 ? -1 : (int)i * 100 + 31);
    return PK_OK;
}

static __global__ void warps_of_different_length(int *out)
{
    const int t = linear_thread(), warp = t / 32;
    int value = lane_of(t);
    for (int round = 0; round < 10 * (warp + 1); round++)
        value = __shfl_sync(ALL, value, (lane_of(t) + 1) % 32);
    __syncthreads();
    out[t] = value;
}

CASE(warps_are_independent)
{
    NEED_32_LANES();
    DEVICE(int, out, 256);
    PK_LAUNCH(warps_of_different_length, 1, 256, 0, 0, out);
    EXPECT_EACH(int, out, 256, (i + 10 * (i / 32 + 1)) % 32);
    return PK_OK;
}

static __global__ void leader_adds(unsigned *counter, unsigned *got)
{
    const int t = linear_thread(), lane = lane_of(t);
    if (t % 3 != 0)
        return;
    const unsigned mask = __match_any_sync(__activemask(), 1);
    const int leader = __ffs((int)mask) - 1;
    unsigned first = 0;
    if (lane == leader)
        first = atomicAdd(counter, (unsigned)__popc(mask));
    first = (unsigned)__shfl_sync(mask, (int)first, leader);
    got[first + (unsigned)__popc(mask & ((1u << lane) - 1u))] = 1;
}

CASE(aggregated_atomics)
{
    /* Whatever part of a warp is active together, each thread takes one place. */
    NEED_32_LANES();
    DEVICE(unsigned, counter, 1);
    DEVICE(unsigned, got, 129);
    PK_LAUNCH(leader_adds, 1, 384, 0, 0, counter, got);
    EXPECT_EACH(unsigned, counter, 1, 128);
    EXPECT_EACH(unsigned, got, 129, i < 128);
    return PK_OK;
}
