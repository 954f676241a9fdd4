/* What the device costs: launch, back-to-back launches, barrier, and a kernel against the same loop. Prints a line
 * each and judges nothing: times on a shared machine are for reading. */
#include "check.h"

#include <algorithm>

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

__attribute__((noinline)) static void axpy_loop(float *__restrict__ y, const float *__restrict__ x, float a, int n)
{
    for (int i = 0; i < n; ++i)
        y[i] += a * x[i];
}

static double median(double *us, int n)
{
    std::sort(us, us + n);
    return us[n / 2];
}

int main(void)
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
    for (int round = 0; round < 50; ++round) {
        const double start = now_us();
        LAUNCH(barriers, 1, 256, 0, nullptr, 100);
        OK(cudaStreamSynchronize(nullptr));
        us[round] = (now_us() - start) / 100;
    }
    printf("barrier of 256 threads        %8.2f us\n", median(us, 50));

    for (int n : {1 << 14, 1 << 18, 1 << 22}) {
        float *x, *y;
        OK(cudaMallocHost(&x, (size_t)n * 4));
        OK(cudaMallocHost(&y, (size_t)n * 4));
        for (int i = 0; i < n; ++i)
            x[i] = y[i] = 1.0f;
        const int rounds = std::max(20, (1 << 24) / n);
        static double kernel_us[2000], loop_us[2000];
        /* One after the other, not in turn: each finds the data in its own core's cache. */
        for (int round = 0; round < rounds; ++round) {
            const double start = now_us();
            LAUNCH(axpy, (n + 1023) / 1024, 1024, 0, nullptr, y, x, 0.5f, n);
            OK(cudaStreamSynchronize(nullptr));
            kernel_us[round] = now_us() - start;
        }
        for (int round = 0; round < rounds; ++round) {
            const double start = now_us();
            axpy_loop(y, x, 0.5f, n);
            loop_us[round] = now_us() - start;
        }
        printf("axpy n=%-8d kernel %8.2f us, loop %8.2f us\n", n, median(kernel_us, rounds), median(loop_us, rounds));
        OK(cudaFreeHost(x));
        OK(cudaFreeHost(y));
    }
    return failures != 0;
}
