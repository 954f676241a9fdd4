/* Inside a block: barriers, shared memory, threads that end early, atomics. */
#include "check.h"

/* Sum of the block's inputs by a tree in static shared memory. */
__global__ void block_sums(const int *in, int *out)
{
    __shared__ int tile[256];
    const unsigned t = threadIdx.x;
    tile[t] = in[blockIdx.x * blockDim.x + t];
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (t < half)
            tile[t] += tile[t + half];
        __syncthreads();
    }
    if (t == 0)
        out[blockIdx.x] = tile[0];
}

static void barriers_order_shared_memory(void)
{
    enum { BLOCKS = 100, THREADS = 256 };
    int *in, *out;
    OK(cudaMallocHost(&in, BLOCKS * THREADS * sizeof(int)));
    OK(cudaMallocHost(&out, BLOCKS * sizeof(int)));
    for (int i = 0; i < BLOCKS * THREADS; ++i)
        in[i] = i % 1013;
    LAUNCH(block_sums, BLOCKS, THREADS, 0, nullptr, in, out);
    OK(cudaDeviceSynchronize());
    for (int b = 0; b < BLOCKS; ++b) {
        int sum = 0;
        for (int i = 0; i < THREADS; ++i)
            sum += in[b * THREADS + i];
        CHECK(out[b] == sum);
    }
    OK(cudaFreeHost(in));
    OK(cudaFreeHost(out));
}

/* Reverse through dynamic shared memory, in a three-dimensional block. */
__global__ void reverse(int *x)
{
    int *tile = static_cast<int *>(pk_cpu_dynamic_shared());
    const unsigned n = blockDim.x * blockDim.y * blockDim.z;
    const unsigned t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    tile[t] = x[t];
    __syncthreads();
    x[t] = tile[n - 1 - t];
}

static void indices_survive_a_barrier(void)
{
    int *x;
    OK(cudaMallocHost(&x, 1024 * sizeof(int)));
    for (int i = 0; i < 1024; ++i)
        x[i] = i;
    LAUNCH(reverse, 1, dim3(16, 16, 4), 1024 * sizeof(int), nullptr, x);
    OK(cudaDeviceSynchronize());
    bool right = true;
    for (int i = 0; i < 1024; ++i)
        right &= x[i] == 1023 - i;
    CHECK(right);
    OK(cudaFreeHost(x));
}

/* Threads that have ended are not waited for; the counts are of those that meet. */
__global__ void count_votes(int *out, unsigned leave_from)
{
    if (threadIdx.x >= leave_from)
        return;
    const int odd = __syncthreads_count(threadIdx.x & 1);
    const int all = __syncthreads_and(threadIdx.x < leave_from);
    const int not_all = __syncthreads_and(threadIdx.x != 0);
    const int any = __syncthreads_or(threadIdx.x == 1);
    const int none = __syncthreads_or(0);
    if (odd == (int)leave_from / 2 && all && !not_all && any && !none)
        atomicAdd(out, 1);
}

static void votes_count_who_is_there(void)
{
    int *out;
    OK(cudaMallocHost(&out, sizeof(int)));
    for (unsigned leave_from : {2u, 31u, 100u, 128u}) {
        *out = 0;
        LAUNCH(count_votes, 3, 128, 0, nullptr, out, leave_from);
        OK(cudaDeviceSynchronize());
        CHECK(*out == 3 * (int)leave_from);
    }
    OK(cudaFreeHost(out));
}

/* Some threads of a block wait at a barrier while the last ones poll what the first wrote, giving way. */
__global__ void poll_a_neighbour(volatile int *flag, int *out)
{
    if (threadIdx.x == 0) {
        while (*flag == 0)
            __nanosleep(20);
        atomicAdd(out, 1);
    }
    if (threadIdx.x == 63)
        *flag = 1;
    __syncthreads();
    atomicAdd(out, 1);
}

static void polling_threads_give_way(void)
{
    int *words;
    OK(cudaMallocHost(&words, 2 * sizeof(int)));
    words[0] = words[1] = 0;
    LAUNCH(poll_a_neighbour, 1, 64, 0, nullptr, words, words + 1);
    OK(cudaDeviceSynchronize());
    CHECK(words[1] == 65);
    OK(cudaFreeHost(words));
}

__global__ void use_atomics(unsigned *u, float *f, unsigned long long *l, int *i, double *d)
{
    atomicAdd(&u[0], 1u);
    atomicAdd_system(&u[1], 2u);
    atomicInc(&u[2], 9u);
    atomicMax(&u[3], blockIdx.x * blockDim.x + threadIdx.x);
    atomicOr(&u[4], 1u << (threadIdx.x % 32));
    atomicAdd_block(f, 1.0f);
    atomicAdd(f, 1);
    atomicAdd(l, 1ull << 33);
    atomicMin(&i[0], -(int)threadIdx.x);
    atomicSub(&i[1], 3);
    atomicAdd(d, 0.5);
    int old = 0, seen;
    do {
        seen = old;
        old = atomicCAS(&i[2], seen, seen + 1);
    } while (old != seen);
}

static void atomics_lose_nothing(void)
{
    unsigned *u;
    float *f;
    unsigned long long *l;
    int *i;
    double *d;
    OK(cudaMallocHost(&u, 5 * sizeof(*u)));
    OK(cudaMallocHost(&f, sizeof(*f)));
    OK(cudaMallocHost(&l, sizeof(*l)));
    OK(cudaMallocHost(&i, 3 * sizeof(*i)));
    OK(cudaMallocHost(&d, sizeof(*d)));
    for (int k = 0; k < 5; ++k)
        u[k] = 0;
    i[0] = i[1] = i[2] = 0;
    *f = 0;
    *d = 0;
    *l = 0;
    LAUNCH(use_atomics, 200, 64, 0, nullptr, u, f, l, i, d);
    OK(cudaDeviceSynchronize());
    const unsigned n = 200 * 64;
    CHECK(u[0] == n && u[1] == 2 * n && u[2] == n % 10 && u[3] == n - 1 && u[4] == 0xffffffffu);
    CHECK(*f == 2 * n && *l == (unsigned long long)n << 33 && i[0] == -63 && i[1] == -3 * (int)n && i[2] == (int)n);
    CHECK(*d == n * 0.5);
    OK(cudaFreeHost(u));
    OK(cudaFreeHost(f));
    OK(cudaFreeHost(l));
    OK(cudaFreeHost(i));
    OK(cudaFreeHost(d));
}

int main(void)
{
    limit_seconds(120);
    barriers_order_shared_memory();
    indices_survive_a_barrier();
    votes_count_who_is_there();
    polling_threads_give_way();
    atomics_lose_nothing();
    return failures != 0;
}
