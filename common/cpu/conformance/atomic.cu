/* Atomics: what they compute and return, widths, scopes, and what is built from them.
 * Source: CUDA C++ Programming Guide, "Atomic Functions", "Memory Fence Functions". */
#include "conformance.h"

CONCERN(atomic)

#define THREADS (64 * 256)

static __global__ void add_all(int *i, unsigned *u, unsigned long long *l, float *f, double *d)
{
    atomicAdd(i, -1);
    atomicAdd(u, 3u);
    atomicAdd(l, 1ull << 33);
    atomicAdd(f, 0.5f);
    atomicAdd(d, 0.25);
}

CASE(add)
{
    DEVICE(int, i1, 1);
    DEVICE(unsigned, u, 1);
    DEVICE(unsigned long long, l, 1);
    DEVICE(float, f, 1);
    DEVICE(double, d, 1);
    PK_LAUNCH(add_all, 64, 256, 0, 0, i1, u, l, f, d);
    EXPECT_EACH(int, i1, 1, -THREADS);
    EXPECT_EACH(unsigned, u, 1, 3 * THREADS);
    EXPECT_EACH(unsigned long long, l, 1, (unsigned long long)THREADS << 33);
    EXPECT_EACH(float, f, 1, 0.5f * THREADS); /* every partial sum is exact */
    EXPECT_EACH(double, d, 1, 0.25 * THREADS);
    return PK_OK;
}

static __global__ void take_tickets(unsigned *counter, unsigned *seen)
{
    atomicAdd(&seen[atomicAdd(counter, 1u)], 1u);
}

CASE(add_returns_the_old_value)
{
    DEVICE(unsigned, counter, 1);
    DEVICE(unsigned, seen, THREADS);
    PK_LAUNCH(take_tickets, 64, 256, 0, 0, counter, seen);
    EXPECT_EACH(unsigned, seen, THREADS, 1);
    return PK_OK;
}

static __global__ void other_operations(int *x, unsigned *u, unsigned long long *l)
{
    const int t = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    atomicSub(&x[0], 2);
    atomicMin(&x[1], 500 - t);
    atomicMax(&x[2], t - 500);
    atomicMin(&u[0], (unsigned)t + 10u);
    atomicMax(&u[1], (unsigned)t + 0x80000000u);
    atomicAnd(&u[2], ~(1u << t % 32));
    atomicOr(&u[3], 1u << t % 32);
    atomicXor(&u[4], (unsigned)t);
    atomicMax(&l[0], (unsigned long long)t << 32);
    atomicMin(&l[1], (unsigned long long)t << 32 | 7u);
    atomicOr(&l[2], 1ull << t % 64);
    atomicAnd(&l[3], ~(1ull << t % 64));
    atomicXor(&l[4], (unsigned long long)t << 40);
}

CASE(sub_min_max_and_or_xor)
{
    const unsigned long long last = THREADS - 1;
    const int want_x[3] = {-2 * THREADS, 500 - (THREADS - 1), THREADS - 1 - 500};
    const unsigned want_u[5] = {10, (unsigned)last + 0x80000000u, 0, 0xffffffffu, 0};
    const unsigned long long want_l[5] = {last << 32, 7, ~0ull, 0, 0};
    const unsigned in_u[5] = {1u << 30, 0, 0xffffffffu, 0, 0};
    const unsigned long long in_l[5] = {0, ~0ull, 0, ~0ull, 0};
    DEVICE(int, x, 3);
    DEVICE(unsigned, u, 5);
    DEVICE(unsigned long long, l, 5);
    PK_CHECK(cudaMemcpy(u, in_u, sizeof in_u, cudaMemcpyHostToDevice));
    PK_CHECK(cudaMemcpy(l, in_l, sizeof in_l, cudaMemcpyHostToDevice));
    PK_LAUNCH(other_operations, 64, 256, 0, 0, x, u, l);
    EXPECT_EACH(int, x, 3, want_x[i]);
    EXPECT_EACH(unsigned, u, 5, want_u[i]);
    EXPECT_EACH(unsigned long long, l, 5, want_l[i]);
    return PK_OK;
}

static __global__ void signed_64(long long *l)
{
    atomicMin(&l[0], -5ll);
    atomicMax(&l[1], -5ll);
}

CASE(min_max_of_signed_64_bits)
{
    const long long in[2] = {3, -(1ll << 40)};
    DEVICE(long long, l, 2);
    PK_CHECK(cudaMemcpy(l, in, sizeof in, cudaMemcpyHostToDevice));
    PK_LAUNCH(signed_64, 1, 1, 0, 0, l);
    EXPECT_EACH(long long, l, 2, -5);
    return PK_OK;
}

static __global__ void wrap(unsigned *x, unsigned *up, unsigned *down)
{
    for (int i = 0; i < 12; i++)
        up[i] = atomicInc(&x[0], 4u); /* ((old >= 4) ? 0 : old + 1) */
    for (int i = 0; i < 12; i++)
        down[i] = atomicDec(&x[1], 4u); /* (old == 0 || old > 4) ? 4 : old - 1 */
}

CASE(increment_and_decrement_wrap)
{
    const unsigned start[2] = {2, 9}, up_want[12] = {2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3},
                   down_want[12] = {9, 4, 3, 2, 1, 0, 4, 3, 2, 1, 0, 4};
    DEVICE(unsigned, x, 2);
    DEVICE(unsigned, up, 12);
    DEVICE(unsigned, down, 12);
    PK_CHECK(cudaMemcpy(x, start, sizeof start, cudaMemcpyHostToDevice));
    PK_LAUNCH(wrap, 1, 1, 0, 0, x, up, down);
    EXPECT_EACH(unsigned, up, 12, up_want[i]);
    EXPECT_EACH(unsigned, down, 12, down_want[i]);
    return PK_OK;
}

static __global__ void exchange(int *slot, int *seen, float *f)
{
    const int old = atomicExch(slot, (int)threadIdx.x + 1);
    atomicAdd(&seen[old], 1);
    atomicExch(f, 2.5f);
}

CASE(exchange_hands_values_on)
{
    /* Every value but the last left in the slot is seen exactly once. */
    int last = 0;
    DEVICE(int, slot, 1);
    DEVICE(int, seen, 257);
    DEVICE(float, f, 1);
    PK_LAUNCH(exchange, 1, 256, 0, 0, slot, seen, f);
    PK_CHECK(cudaMemcpy(&last, slot, sizeof last, cudaMemcpyDeviceToHost));
    EXPECT_EACH(int, seen, 257, (int)i == last ? 0 : 1);
    EXPECT_EACH(float, f, 1, 2.5f);
    return PK_OK;
}

static __global__ void compare_and_swap(int *i1, unsigned long long *l, int *won)
{
    if (atomicCAS(i1, 0, (int)threadIdx.x + 1) == 0)
        atomicAdd(&won[0], 1);
    if (atomicCAS(l, 0ull, (unsigned long long)(threadIdx.x + 1) << 32) == 0)
        atomicAdd(&won[1], 1);
    if (atomicCAS(i1, -7, 0) == -7)
        atomicAdd(&won[2], 1);
}

CASE(compare_and_swap_has_one_winner)
{
    DEVICE(int, i1, 1);
    DEVICE(unsigned long long, l, 1);
    DEVICE(int, won, 3);
    PK_LAUNCH(compare_and_swap, 1, 1024, 0, 0, i1, l, won);
    EXPECT_EACH(int, won, 3, i < 2);
    return PK_OK;
}

static __global__ void swap_16_bits(unsigned short *x, unsigned *old)
{
    old[0] = atomicCAS(&x[1], (unsigned short)0, (unsigned short)0xbeef);
    old[1] = atomicCAS(&x[1], (unsigned short)0, (unsigned short)0x1111);
}

CASE(compare_and_swap_16_bits)
{
    DEVICE(unsigned short, x, 4);
    DEVICE(unsigned, old, 2);
    PK_LAUNCH(swap_16_bits, 1, 1, 0, 0, x, old);
    EXPECT_EACH(unsigned short, x, 4, i == 1 ? 0xbeef : 0);
    EXPECT_EACH(unsigned, old, 2, i == 1 ? 0xbeef : 0);
    return PK_OK;
}

static __global__ void max_of_floats(float *most)
{
    const float mine = 100.0f - (float)((threadIdx.x + blockIdx.x * 37) % 1000);
    int *bits = (int *)most, old = atomicAdd(bits, 0);
    while (__int_as_float(old) < mine) {
        const int seen = atomicCAS(bits, old, __float_as_int(mine));
        if (seen == old)
            break;
        old = seen;
    }
}

CASE(loop_of_compare_and_swap)
{
    DEVICE(float, most, 1);
    PK_LAUNCH(max_of_floats, 64, 256, 0, 0, most);
    EXPECT_EACH(float, most, 1, 100.0f);
    return PK_OK;
}

static __global__ void scopes(unsigned *x, float *f)
{
    atomicAdd_block(&x[blockIdx.x], 1u);
    atomicAdd_system(&x[100], 1u);
    atomicMax_block(&x[101 + blockIdx.x], threadIdx.x);
    atomicAdd_system(f, 1.0f);
    if (threadIdx.x == 0)
        atomicExch_system(&x[120 + blockIdx.x], atomicCAS_system(&x[110], 77u, 78u));
}

CASE(block_and_system_scopes)
{
    DEVICE(unsigned, x, 128);
    DEVICE(float, f, 1);
    PK_LAUNCH(scopes, 8, 128, 0, 0, x, f);
    EXPECT_EACH(unsigned, x, 109, i<8 ? 128 : i == 100 ? 1024 : i> 100 ? 127 : 0);
    EXPECT_EACH(float, f, 1, 1024.0f);
    return PK_OK;
}

static __global__ void histogram(unsigned *out)
{
    __shared__ unsigned bins[10];
    if (threadIdx.x < 10)
        bins[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(&bins[threadIdx.x % 10], 1u);
    atomicAdd(&bins[0], 1u);
    __syncthreads();
    if (threadIdx.x < 10)
        atomicAdd(&out[threadIdx.x], bins[threadIdx.x]);
}

CASE(shared_memory_atomics)
{
    DEVICE(unsigned, out, 10);
    PK_LAUNCH(histogram, 20, 250, 0, 0, out);
    EXPECT_EACH(unsigned, out, 10, i == 0 ? 20 * (25 + 250) : 20 * 25);
    return PK_OK;
}

static __global__ void shared_types(double *out)
{
    __shared__ float f;
    __shared__ double d;
    __shared__ unsigned long long l;
    if (threadIdx.x == 0) {
        f = 0.0f;
        d = 0.0;
        l = 0;
    }
    __syncthreads();
    atomicAdd(&f, 1.0f);
    atomicAdd(&d, 2.0);
    atomicAdd(&l, 3ull);
    __syncthreads();
    if (threadIdx.x == 0)
        *out = (double)f + d + (double)l;
}

CASE(shared_memory_atomics_of_wide_types)
{
    DEVICE(double, out, 1);
    PK_LAUNCH(shared_types, 1, 200, 0, 0, out);
    EXPECT_EACH(double, out, 1, 1200.0);
    return PK_OK;
}

/* One thread of each block takes the lock; the fences order what it guards. */
static __global__ void guarded_count(int *lock, volatile int *count)
{
    if (threadIdx.x != 0)
        return;
    while (atomicCAS(lock, 0, 1) != 0)
        PK_POLL_PAUSE();
    __threadfence();
    *count = *count + 1;
    __threadfence();
    atomicExch(lock, 0);
}

CASE(lock)
{
    DEVICE(int, lock, 1);
    DEVICE(int, count, 1);
    PK_LAUNCH(guarded_count, 500, 32, 0, 0, lock, count);
    EXPECT_EACH(int, count, 1, 500);
    return PK_OK;
}

/* Block 0 publishes, block 1 waits: both are resident, since two blocks always are. */
static __global__ void publish_and_wait(int *data, int *flag, int *got)
{
    if (threadIdx.x != 0)
        return;
    if (blockIdx.x == 0) {
        for (int i = 0; i < 100; i++)
            data[i] = i * i;
        __threadfence();
        atomicExch(flag, 1);
    } else {
        while (atomicAdd(flag, 0) == 0)
            PK_POLL_PAUSE();
        __threadfence();
        for (int i = 0; i < 100; i++)
            got[i] = data[i];
    }
}

CASE(message_between_blocks)
{
    DEVICE(int, data, 100);
    DEVICE(int, flag, 1);
    DEVICE(int, got, 100);
    PK_LAUNCH(publish_and_wait, 2, 32, 0, 0, data, flag, got);
    EXPECT_EACH(int, got, 100, i *i);
    return PK_OK;
}

/* A dynamic queue: every item is taken by exactly one block, in whatever order. */
static __global__ void drain_queue(unsigned *head, unsigned items, unsigned *done)
{
    __shared__ unsigned mine;
    for (;;) {
        if (threadIdx.x == 0)
            mine = atomicAdd(head, 1u);
        __syncthreads();
        const unsigned item = mine;
        __syncthreads();
        if (item >= items)
            return;
        if (threadIdx.x == item % blockDim.x)
            atomicAdd(&done[item], 1u);
    }
}

CASE(work_queue)
{
    DEVICE(unsigned, head, 1);
    DEVICE(unsigned, done, 1000);
    PK_LAUNCH(drain_queue, 13, 64, 0, 0, head, 1000u, done);
    EXPECT_EACH(unsigned, done, 1000, 1);
    EXPECT_EACH(unsigned, head, 1, 1013);
    return PK_OK;
}
