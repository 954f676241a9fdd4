/* What a .cu file includes: CUDA's language extensions, host API and device functions on the CPU device. */
#ifndef PK_CPU_CUDA_RUNTIME_H
#define PK_CPU_CUDA_RUNTIME_H

/* The language. A block stays on one OS thread for its whole life, so its shared memory is that thread's own;
 * thread_local at block scope implies static. Between blocks the memory keeps what the last one left, as on a GPU. */
#define __global__
#define __device__
#define __host__
#define __constant__
#define __managed__ __attribute__((section("pk_managed"))) /* so that memory.cpp knows it */
#define __shared__ thread_local
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))

/* What CUDA's header brings along, and programs count on. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda_runtime_api.h"
#include "vector_types.h"

#include "pk_cpu/device.h"
#include "pk_cpu/launch.h"

#endif
