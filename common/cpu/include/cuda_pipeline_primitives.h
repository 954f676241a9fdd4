/* cp.async by CUDA's C functions. Source: CUDA C++ Programming Guide, "Pipeline Primitives Interface". */
#ifndef PK_CPU_CUDA_PIPELINE_PRIMITIVES_H
#define PK_CPU_CUDA_PIPELINE_PRIMITIVES_H

#include "cuda_awbarrier_primitives.h"

static inline void __pipeline_memcpy_async(void *__restrict__ to, const void *__restrict__ from, size_t bytes,
                                           size_t zeros = 0)
{
    pk_cpu_async_copy(to, from, bytes, zeros);
}

static inline void __pipeline_commit(void)
{
    pk_cpu_async_commit();
}

static inline void __pipeline_wait_prior(size_t groups)
{
    pk_cpu_async_wait((unsigned)groups);
}

static inline void __pipeline_arrive_on(__mbarrier_t *barrier)
{
    pk_cpu_async_arrive_on(barrier);
}

#endif
