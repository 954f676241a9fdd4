/* The kernels of bench.cpp as a C programmer writes them, in a file of their own, so that nothing is known of the
 * call. */
#include "bench_loops.h"

void loop_axpy(float *__restrict__ y, const float *__restrict__ x, float a, int n)
{
    for (int i = 0; i < n; ++i)
        y[i] += a * x[i];
}

void loop_gate(float *__restrict__ y, const float *__restrict__ x, float a, int n)
{
    for (int i = 0; i < n; ++i) {
        const float v = a * x[i];
        y[i] = 0.5f * y[i] + (v > 0.0f ? v / (1.0f + v) : 0.01f * v);
    }
}

void loop_stencil(float *__restrict__ y, const float *__restrict__ x, float a, int n)
{
    for (int i = 1; i < n - 1; ++i)
        y[i] = a * (x[i - 1] + x[i + 1]) - x[i];
}
