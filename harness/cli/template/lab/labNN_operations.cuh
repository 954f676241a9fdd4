/* Lab @NN@: the two operations, a kernel each. A thread owns one element; nothing crosses threads. */
#ifndef LABNN_OPERATIONS_CUH
#define LABNN_OPERATIONS_CUH

#include "pk_gpu.h"

static __global__ void labNN_add(int n, const float *y, const float *x, float *t)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        t[i] = y[i] + x[i];
}

static __global__ void labNN_subtract(int n, const float *t, const float *s, float *y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = t[i] - s[i];
}

#endif
