/* Lab 03: what a barrier of the grid is made of. First among the includes of a .cu file: on HIP, pk_gpu.h's names reach
 * every header after it. */
#ifndef LAB03_BARRIER_CUH
#define LAB03_BARRIER_CUH

#if defined(PK_BACKEND_HIP)
#include <hip/hip_runtime.h>

#include <hip/hip_cooperative_groups.h>
#else
#include <cooperative_groups.h>
#endif

#include "pk_gpu.h"

#include "pk_atomic.h"

/* In a loop that polls for other blocks: the CPU device has to be told, or they may never run; a GPU need not. */
#if defined(PK_BACKEND_CPU)
#define LAB03_POLL_PAUSE() PK_POLL_PAUSE()
#else
#define LAB03_POLL_PAUSE() ((void)0)
#endif

#endif
