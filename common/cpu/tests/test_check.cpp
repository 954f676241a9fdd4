/* PK_CPU_CHECK=1: each mistake is reported, by what it is and where; and the same program without the mistake is not.
 * Argument: the mistake, or right-NAME for its right form. The test looks at what is printed. */
#include "check.h"

#include <cooperative_groups.h>
#include <cuda_awbarrier_primitives.h>
#include <cuda_pipeline_primitives.h>
#include <string.h>
#include <unistd.h>

#include "pk_cpu/memory.h"

enum { THREADS = 64 };

/* Each thread reads what its neighbour wrote, and writes the next round's value. */
__global__ void exchange(int *out, bool with_barrier)
{
    __shared__ int tile[THREADS];
    tile[threadIdx.x] = (int)threadIdx.x;
    __syncthreads();
    const int other = tile[threadIdx.x ^ 1];
    if (with_barrier)
        __syncthreads();
    tile[threadIdx.x] = other + 1;
    out[threadIdx.x] = other;
}

/* The neighbour is of another warp: a warp's barrier does not order it. */
__global__ void exchange_by_warp(int *out, unsigned flip)
{
    __shared__ int tile[THREADS];
    tile[threadIdx.x] = (int)threadIdx.x;
    __syncwarp();
    out[threadIdx.x] = tile[threadIdx.x ^ flip];
}

__global__ void read_unwritten(int *out, unsigned written)
{
    __shared__ int tile[THREADS];
    if (threadIdx.x < written)
        tile[threadIdx.x] = 1;
    __syncthreads();
    out[threadIdx.x] = tile[THREADS - 1 - threadIdx.x];
}

__global__ void write_from(int *out, int first)
{
    out[first + (int)threadIdx.x] = 1;
}

struct holder {
    int *out;
};

__global__ void write_by_struct(struct holder holder)
{
    holder.out[threadIdx.x] = 1;
}

__global__ void write_bytes(unsigned char *out, int offset)
{
    *(volatile int *)(out + offset) = 1;
}

__global__ void barrier_in_branch(bool same)
{
    if (same || threadIdx.x < THREADS / 2)
        __syncthreads();
    else
        __syncthreads();
}

__global__ void barrier_and_warp(bool meet)
{
    if (threadIdx.x < 32) {
        if (meet || threadIdx.x > 0)
            __syncwarp(meet ? 0xffffffffu : 0xfffffffeu);
        else
            (void)__shfl_sync(0xffffffffu, 1, 3);
    }
    __syncthreads();
}

__global__ void not_in_mask(unsigned mask)
{
    __syncwarp(mask);
}

__global__ void copy_tile(const int *from, int *to, bool wait)
{
    __shared__ int tile[THREADS];
    __pipeline_memcpy_async(&tile[threadIdx.x], &from[threadIdx.x], 4);
    __pipeline_commit();
    if (wait)
        __pipeline_wait_prior(0);
    __syncthreads();
    to[threadIdx.x] = tile[THREADS - 1 - threadIdx.x];
}

/* Counts at block scope, after much else: its numbers are high (scope.cpp). */
__global__ void count_late(unsigned *word, unsigned *others)
{
    for (int i = 0; i < 1000; ++i)
        atomicAdd(others, 1u);
    atomicAdd_block(word, 1u);
}

__global__ void count_after(unsigned *word, const volatile unsigned *told)
{
    while (*told == 0)
        __nanosleep(1000);
    __threadfence();
    atomicAdd_block(word, 1u);
}

/* A copy tells the kernel that began first that the other has ended. */
static void tell_by_copy(unsigned *words)
{
    static const unsigned one = 1;
    cudaStream_t waits, tells;
    OK(cudaStreamCreate(&waits));
    OK(cudaStreamCreateWithFlags(&tells, cudaStreamNonBlocking));
    LAUNCH(count_after, 1, 1, 0, waits, words, words + 64);
    usleep(10000); /* it has begun */
    LAUNCH(count_late, 1, 1, 0, tells, words, words + 128);
    OK(cudaMemcpyAsync(words + 64, &one, sizeof(one), cudaMemcpyHostToDevice, tells));
    OK(cudaStreamDestroy(tells));
    OK(cudaStreamDestroy(waits));
}

/* One thread fetches for all; the barrier in shared memory orders it. */
__global__ void copy_by_barrier(const int *from, int *to)
{
    __shared__ __mbarrier_t ready;
    __shared__ int tile[THREADS];
    if (threadIdx.x == 0)
        __mbarrier_init(&ready, 1);
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 0; i < THREADS; ++i)
            tile[i] = from[i];
        (void)__mbarrier_arrive(&ready);
    }
    while (!__mbarrier_try_wait_parity(&ready, false, 1000))
        ;
    to[threadIdx.x] = tile[THREADS - 1 - threadIdx.x];
}

/* Two blocks count in one word at block scope: right if one comes after the other, by a word at device scope. */
__global__ void count_in_turn(unsigned *word, unsigned *turn, bool wait)
{
    if (threadIdx.x != 0)
        return;
    while (wait && atomicAdd(turn, 0u) != blockIdx.x)
        __nanosleep(1000);
    __threadfence();
    atomicAdd_block(word, 1u);
    __threadfence();
    atomicAdd(turn, 1u);
}

/* The same by the grid's barrier. */
__global__ void count_in_steps(unsigned *word, bool meet)
{
    for (unsigned step = 0; step < gridDim.x; ++step) {
        if (threadIdx.x == 0 && step == blockIdx.x)
            atomicAdd_block(word, 1u);
        if (meet)
            cooperative_groups::this_grid().sync();
    }
}

/* Blocks that count together. */
__global__ void count_together(unsigned *word, bool device)
{
    if (device)
        atomicAdd(word, 1u);
    else
        atomicAdd_block(word, 1u);
}

/* Blocks add to one sum, and who is last reads it; or all do. */
__global__ void sum_up(unsigned *sum, unsigned *ended, unsigned *out, bool last_only)
{
    if (threadIdx.x != 0)
        return;
    atomicAdd(sum, 1u);
    __threadfence();
    if (!last_only || atomicAdd(ended, 1u) + 1 == gridDim.x)
        *out = *sum;
}

__device__ unsigned counter; /* is the program's own memory here */

__global__ void count_in_variable(bool device)
{
    count_together(&counter, device);
}

/* The host answers what the kernel asks. */
__global__ void ask_host(unsigned *asked, const volatile unsigned *answered, bool system)
{
    if (system)
        atomicExch_system(asked, 1u);
    else
        atomicExch(asked, 1u);
    while (*answered == 0)
        __nanosleep(1000);
}

static void answer(unsigned *asked, unsigned *answered)
{
    while (__atomic_load_n(asked, __ATOMIC_ACQUIRE) == 0 && cudaStreamQuery(nullptr) == cudaErrorNotReady)
        ; /* pairs with ask_host */
    __atomic_store_n(answered, 1, __ATOMIC_RELEASE);
}

/* Memory that a graph allocates and frees, written before or after that. */
static void write_graph_memory(bool right)
{
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    int *y;
    OK(cudaStreamCreate(&stream));
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    OK(cudaMallocAsync(&y, THREADS * sizeof(int), stream));
    if (right)
        LAUNCH(write_from, 1, THREADS, 0, stream, y, 0);
    OK(cudaFreeAsync(y, stream));
    if (!right)
        LAUNCH(write_from, 1, THREADS, 0, stream, y, 0);
    OK(cudaStreamEndCapture(stream, &graph));
    OK(cudaGraphInstantiate(&exec, graph));
    OK(cudaGraphLaunch(exec, stream));
}

static void hold_stream(void *open)
{
    while (!__atomic_load_n((int *)open, __ATOMIC_ACQUIRE))
        usleep(100);
}

/* Memory that one stream allocates, late, and another uses: behind an event, or not. */
static void write_memory_of_a_stream(bool right)
{
    static int open;
    cudaStream_t maker, user;
    cudaEvent_t made;
    int *y;
    OK(cudaStreamCreateWithFlags(&maker, cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&user, cudaStreamNonBlocking));
    OK(cudaEventCreate(&made));
    OK(cudaLaunchHostFunc(maker, hold_stream, &open));
    OK(cudaMallocAsync(&y, THREADS * sizeof(int), maker));
    OK(cudaEventRecord(made, maker));
    if (right)
        OK(cudaStreamWaitEvent(user, made, 0));
    LAUNCH(write_from, 1, THREADS, 0, user, y, 0);
    if (!right)
        (void)cudaStreamSynchronize(user);
    __atomic_store_n(&open, 1, __ATOMIC_RELEASE); /* pairs with hold_stream */
    if (right)
        OK(cudaFreeAsync(y, user));
}

static int run(const char *mistake, bool right)
{
    static int host_memory[THREADS];
    int *x, *y, *heap = (int *)malloc(THREADS * sizeof(int));
    OK(cudaMalloc(&x, 64 * THREADS * sizeof(int)));
    OK(cudaMalloc(&y, 64 * THREADS * sizeof(int)));
    OK(cudaMemset(x, 0, 64 * THREADS * sizeof(int)));
    if (strcmp(mistake, "race") == 0)
        LAUNCH(exchange, 2, THREADS, 0, nullptr, x, right);
    else if (strcmp(mistake, "warp-race") == 0)
        LAUNCH(exchange_by_warp, 1, THREADS, 0, nullptr, x, right ? 1 : 32);
    else if (strcmp(mistake, "uninitialised") == 0)
        LAUNCH(read_unwritten, 1, THREADS, 0, nullptr, x, right ? THREADS : THREADS - 1);
    else if (strcmp(mistake, "bounds") == 0)
        LAUNCH(write_from, 1, THREADS, 0, nullptr, x, right ? 63 * THREADS : 63 * THREADS + 1);
    else if (strcmp(mistake, "strip") == 0 || strcmp(mistake, "strip-kept") == 0) {
        int *small;
        OK(cudaMalloc(&small, 100 * sizeof(int)));
        LAUNCH(write_from, 1, THREADS, 0, nullptr, small, right ? 100 - THREADS : 101 - THREADS);
        OK(cudaDeviceSynchronize());
        if (strcmp(mistake, "strip") == 0)
            OK(cudaFree(small));
    } else if (strcmp(mistake, "guards") == 0) {
        pk_cpu_memory_guards(x, 256, 16384 - 512);
        LAUNCH(write_from, 1, THREADS, 0, nullptr, x, right ? THREADS : THREADS + 1);
        if (right)
            OK(cudaMemset(x, 0, 16384));
    } else if (strcmp(mistake, "freed") == 0) {
        if (!right)
            OK(cudaFree(y));
        LAUNCH(write_from, 1, THREADS, 0, nullptr, y, 0);
    } else if (strcmp(mistake, "host-pointer") == 0)
        LAUNCH(write_from, 1, THREADS, 0, nullptr, right ? x : heap, 0);
    else if (strcmp(mistake, "host-in-struct") == 0)
        LAUNCH(write_by_struct, 1, THREADS, 0, nullptr, holder{right ? x : heap});
    else if (strcmp(mistake, "misaligned") == 0)
        LAUNCH(write_bytes, 1, 1, 0, nullptr, (unsigned char *)x, right ? 4 : 1);
    else if (strcmp(mistake, "told-by-copy") == 0)
        tell_by_copy((unsigned *)x);
    else if (strcmp(mistake, "diverged") == 0)
        LAUNCH(barrier_in_branch, 1, THREADS, 0, nullptr, right);
    else if (strcmp(mistake, "stuck") == 0)
        LAUNCH(barrier_and_warp, 1, THREADS, 0, nullptr, right);
    else if (strcmp(mistake, "mask") == 0)
        LAUNCH(not_in_mask, 1, 32, 0, nullptr, right ? 0xffffffffu : 0xfffffffeu);
    else if (strcmp(mistake, "copy") == 0)
        LAUNCH(copy_tile, 1, THREADS, 0, nullptr, x, y, right);
    else if (strcmp(mistake, "graph-memory") == 0)
        write_graph_memory(right);
    else if (strcmp(mistake, "stream-memory") == 0)
        write_memory_of_a_stream(right);
    else if (strcmp(mistake, "mbarrier") == 0)
        LAUNCH(copy_by_barrier, 1, THREADS, 0, nullptr, x, y);
    else if (strcmp(mistake, "scope-in-turn") == 0)
        LAUNCH(count_in_turn, 2, THREADS, 0, nullptr, (unsigned *)x, (unsigned *)x + 1, right);
    else if (strcmp(mistake, "scope-in-steps") == 0) {
        unsigned *word = (unsigned *)x;
        void *arguments[] = {&word, &right};
        PK_CPU_KERNEL(count_in_steps);
        OK(cudaLaunchCooperativeKernel((void *)count_in_steps, 4, THREADS, arguments, 0, nullptr));
    } else if (strcmp(mistake, "scope-of-block") == 0) {
        LAUNCH(count_together, 1, THREADS, 0, nullptr, (unsigned *)x, false);
        LAUNCH(count_together, right ? 1 : 2, THREADS, 0, nullptr, (unsigned *)x, false);
        LAUNCH(count_together, 3, THREADS, 0, nullptr, (unsigned *)x, true);
    } else if (strcmp(mistake, "plain-beside-atomic") == 0)
        LAUNCH(sum_up, 8, THREADS, 0, nullptr, (unsigned *)x, (unsigned *)x + 1, (unsigned *)x + 2, right);
    else if (strcmp(mistake, "scope-of-variable") == 0)
        LAUNCH(count_in_variable, 2, THREADS, 0, nullptr, right);
    else if (strcmp(mistake, "scope-of-device") == 0) {
        unsigned *words;
        OK(cudaMallocHost(&words, 2 * sizeof(unsigned)));
        words[0] = words[1] = 0;
        LAUNCH(ask_host, 1, 1, 0, nullptr, words, words + 1, right);
        answer(words, words + 1);
        if (cudaDeviceSynchronize() == cudaSuccess)
            OK(cudaFreeHost(words));
    }
    const cudaError_t error = cudaDeviceSynchronize();
    if (strcmp(mistake, "host-access") == 0 && !right)
        host_memory[0] = x[1];
    if (error == cudaSuccess && (right || strcmp(mistake, "leak") != 0)) {
        OK(cudaFree(x));
        if (strcmp(mistake, "freed") != 0 || right)
            OK(cudaFree(y));
    }
    free(heap);
    printf("%s\n", cudaGetErrorName(error));
    return host_memory[0] + (error != cudaSuccess);
}

int main(int argc, char **argv)
{
    limit_seconds(60);
    const char *mistake = argc > 1 ? argv[1] : "race";
    const bool right = strncmp(mistake, "right-", 6) == 0;
    return run(right ? mistake + 6 : mistake, right) != 0;
}
