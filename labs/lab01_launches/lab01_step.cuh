/* Lab 01: the step that all variants do K times, as a kernel of its own. */
#ifndef LAB01_STEP_CUH
#define LAB01_STEP_CUH

#include "pk_gpu.h"

/* One step. A thread owns one element; nothing crosses threads. */
static __global__ void axpy_step(int n, float a, const float *x, float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = y[i] + a * x[i];
}

#endif
