/* What the device costs: launch, graph node, barrier, and kernels against the same loops. Prints a line each and
 * judges nothing but the kernels' results: times on a shared machine are for reading.
 *   pk_cpu_bench                          all of it
 *   PK_CPU_SCHEDULE=fifo pk_cpu_bench     one block at a time, so that kernels and loops both have one core
 *   pk_cpu_bench kernel|loop NAME         one kernel, or one loop, 100 times: to count instructions with
 *                                         valgrind --tool=callgrind pk_cpu_bench kernel axpy
 * Valgrind knows no AVX-512: for that configure with -DCMAKE_CXX_FLAGS=-mno-avx512f. */
#include "check.h"

#include <string.h>

#include <algorithm>

#include "bench_loops.h"

__global__ void empty(void)
{
}

__global__ void barriers(int n)
{
    for (int i = 0; i < n; ++i)
        __syncthreads();
}

__global__ void axpy(float *y, const float *x, float a, int n)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        y[i] += a * x[i];
}

__global__ void gate(float *y, const float *x, float a, int n)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n)
        return;
    const float v = a * x[i];
    y[i] = 0.5f * y[i] + (v > 0.0f ? v / (1.0f + v) : 0.01f * v);
}

__global__ void stencil(float *y, const float *x, float a, int n)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i > 0 && i < n - 1)
        y[i] = a * (x[i - 1] + x[i + 1]) - x[i];
}

typedef void loop_function(float *y, const float *x, float a, int n);
static const struct pair {
    const char *name;
    void (*kernel)(float *, const float *, float, int);
    loop_function *loop;
} pairs[] = {{"axpy", axpy, loop_axpy}, {"gate", gate, loop_gate}, {"stencil", stencil, loop_stencil}};

static double median(double *us, int n)
{
    std::sort(us, us + n);
    return us[n / 2];
}

/* Launched where the kernel is named, so that its code is inlined into the loop over threads. */
static void run_kernel(const struct pair *pair, int threads, float *y, const float *x, float a, int n)
{
    const int blocks = (n + threads - 1) / threads;
    if (pair->kernel == axpy)
        LAUNCH(axpy, blocks, threads, 0, nullptr, y, x, a, n);
    else if (pair->kernel == gate)
        LAUNCH(gate, blocks, threads, 0, nullptr, y, x, a, n);
    else
        LAUNCH(stencil, blocks, threads, 0, nullptr, y, x, a, n);
}

static void launches(void)
{
    enum { SAMPLES = 2000 };
    static double us[SAMPLES];
    for (int blocks : {1, 8, 64}) {
        for (double &sample : us) {
            const double start = now_us();
            LAUNCH(empty, blocks, 256, 0, nullptr);
            OK(cudaStreamSynchronize(nullptr));
            sample = now_us() - start;
        }
        printf("launch + sync, %2d blocks      %8.2f us\n", blocks, median(us, SAMPLES));
    }
    for (int round = 0; round < 200; ++round) {
        const double start = now_us();
        for (int i = 0; i < 100; ++i)
            LAUNCH(empty, 1, 256, 0, nullptr);
        OK(cudaStreamSynchronize(nullptr));
        us[round] = (now_us() - start) / 100;
    }
    printf("back to back launches         %8.2f us\n", median(us, 200));
    for (int round = 0; round < 200; ++round) {
        const double start = now_us();
        for (int i = 0; i < 100; ++i)
            LAUNCH(empty, 1, 256, 0, nullptr);
        us[round] = (now_us() - start) / 100;
        OK(cudaStreamSynchronize(nullptr));
    }
    printf("submission of a launch        %8.2f us\n", median(us, 200));
    usleep(200000);
    for (int round = 0; round < 20; ++round) {
        usleep(20000);
        const double start = now_us();
        LAUNCH(empty, 1, 256, 0, nullptr);
        OK(cudaStreamSynchronize(nullptr));
        us[round] = now_us() - start;
    }
    printf("launch + sync after a pause   %8.2f us\n", median(us, 20));
}

/* A chain of empty kernels, captured; the cost of a node is the slope between two lengths. */
static void graph_nodes(void)
{
    enum { SHORT = 10, LONG = 1010, SAMPLES = 200 };
    static double us[2][SAMPLES], submit_us[SAMPLES];
    cudaStream_t stream;
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    for (int which = 0; which < 2; ++which) {
        cudaGraph_t graph;
        cudaGraphExec_t exec;
        OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
        for (int i = 0; i < (which ? LONG : SHORT); ++i)
            LAUNCH(empty, 1, 256, 0, stream);
        OK(cudaStreamEndCapture(stream, &graph));
        double start = now_us();
        OK(cudaGraphInstantiate(&exec, graph));
        if (which)
            printf("instantiate, %d nodes       %8.2f us\n", LONG, now_us() - start);
        for (int i = 0; i < SAMPLES; ++i) {
            start = now_us();
            OK(cudaGraphLaunch(exec, stream));
            submit_us[i] = now_us() - start;
            OK(cudaStreamSynchronize(stream));
            us[which][i] = now_us() - start;
        }
        OK(cudaGraphExecDestroy(exec));
        OK(cudaGraphDestroy(graph));
    }
    const double short_us = median(us[0], SAMPLES), long_us = median(us[1], SAMPLES);
    printf("graph launch + sync, %d nodes %8.2f us\n", SHORT, short_us);
    printf("graph launch, submission      %8.2f us\n", median(submit_us, SAMPLES));
    printf("graph node                    %8.2f us\n", (long_us - short_us) / (LONG - SHORT));
    OK(cudaStreamDestroy(stream));
}

static void block_barrier(void)
{
    enum { SAMPLES = 100, BARRIERS = 200 };
    static double us[SAMPLES];
    for (double &sample : us) {
        const double start = now_us();
        LAUNCH(barriers, 1, 256, 0, nullptr, BARRIERS);
        OK(cudaStreamSynchronize(nullptr));
        sample = (now_us() - start) / BARRIERS;
    }
    printf("barrier of 256 threads        %8.2f us\n", median(us, SAMPLES));
}

/* Bytes of the process in memory, of which a block at a barrier has a stack for each thread. */
static double resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long all = 0, resident = 0;
    if (file) {
        CHECK(fscanf(file, "%ld %ld", &all, &resident) == 2);
        fclose(file);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* Before any other block waits at a barrier: stacks are kept. */
static void block_memory(void)
{
    LAUNCH(empty, 1, 1024, 0, nullptr);
    OK(cudaDeviceSynchronize());
    const double before = resident_bytes();
    LAUNCH(barriers, 1, 1024, 0, nullptr, 2);
    OK(cudaDeviceSynchronize());
    printf("block of 1024 at a barrier    %8.2f MB\n", (resident_bytes() - before) / 1e6);
}

static void fill(float *x, int n, unsigned seed)
{
    for (int i = 0; i < n; ++i) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int)(seed >> 8) * 0x1p-23f - 1.0f;
    }
}

static void kernels_and_loops(void)
{
    static const struct {
        int threads, n;
    } shapes[] = {{1024, 1 << 14}, {256, 1 << 18}, {1024, 1 << 18}, {1024, 1 << 22}};
    for (const struct pair &pair : pairs)
        for (const auto &shape : shapes) {
            const int threads = shape.threads, n = shape.n;
            static double kernel_us[500], loop_us[500];
            const int rounds = std::min(500, std::max(20, (1 << 25) / n));
            const size_t bytes = (size_t)n * sizeof(float);
            float *x, *y, *want;
            OK(cudaMallocHost(&x, bytes));
            OK(cudaMallocHost(&y, bytes));
            OK(cudaMallocHost(&want, bytes));
            fill(x, n, 1);
            fill(y, n, 2);
            memcpy(want, y, bytes);
            run_kernel(&pair, threads, y, x, 0.5f, n);
            OK(cudaDeviceSynchronize());
            pair.loop(want, x, 0.5f, n);
            CHECK(memcmp(y, want, bytes) == 0);
            /* One after the other, not in turn: each finds the data in its own core's cache. */
            for (int round = 0; round < rounds; ++round) {
                const double start = now_us();
                run_kernel(&pair, threads, y, x, 0.5f, n);
                OK(cudaStreamSynchronize(nullptr));
                kernel_us[round] = now_us() - start;
            }
            for (int round = 0; round < rounds; ++round) {
                const double start = now_us();
                pair.loop(want, x, 0.5f, n);
                loop_us[round] = now_us() - start;
            }
            const double kernel = median(kernel_us, rounds), loop = median(loop_us, rounds);
            printf("%-8s n=%-8d blocks of %4d: kernel %8.2f us, loop %8.2f us, ratio %.2f\n", pair.name, n, threads,
                   kernel, loop, kernel / loop);
            OK(cudaFreeHost(x));
            OK(cudaFreeHost(y));
            OK(cudaFreeHost(want));
        }
}

static int one(const char *what, const char *name)
{
    enum { N = 1 << 16, TIMES = 100 };
    static float x[N], y[N];
    for (const struct pair &pair : pairs) {
        if (strcmp(pair.name, name) != 0)
            continue;
        for (int i = 0; i < TIMES; ++i) {
            if (strcmp(what, "loop") == 0)
                pair.loop(y, x, 0.5f, N);
            else
                run_kernel(&pair, 1024, y, x, 0.5f, N);
        }
        OK(cudaDeviceSynchronize());
        return failures != 0;
    }
    fprintf(stderr, "usage: pk_cpu_bench [kernel|loop axpy|gate|stencil]\n");
    return 2;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return one(argv[1], argc > 2 ? argv[2] : "");
    block_memory();
    launches();
    graph_nodes();
    block_barrier();
    kernels_and_loops();
    return failures != 0;
}
