/* A profiler's range: there is no profiler of the CPU device, so these do nothing, as CUDA's without one. */
#ifndef PK_CPU_CUDA_PROFILER_API_H
#define PK_CPU_CUDA_PROFILER_API_H

#include "cuda_runtime_api.h"

static inline cudaError_t cudaProfilerStart(void)
{
    return cudaSuccess;
}

static inline cudaError_t cudaProfilerStop(void)
{
    return cudaSuccess;
}

#endif
