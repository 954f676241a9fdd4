/* Barriers in shared memory by CUDA's C functions. Source: CUDA C++ Programming Guide, "Memory Barrier Primitives
 * Interface". */
#ifndef PK_CPU_CUDA_AWBARRIER_PRIMITIVES_H
#define PK_CPU_CUDA_AWBARRIER_PRIMITIVES_H

#include "cuda_runtime.h"

#include "pk_cpu/async.h"

typedef uint64_t __mbarrier_t;
typedef uint64_t __mbarrier_token_t;

static inline uint32_t __mbarrier_maximum_count(void)
{
    return (1u << 20) - 1;
}

static inline void __mbarrier_init(__mbarrier_t *barrier, uint32_t count)
{
    pk_cpu_mbarrier_init(barrier, count);
}

static inline void __mbarrier_inval(__mbarrier_t *)
{
}

static inline __mbarrier_token_t __mbarrier_arrive(__mbarrier_t *barrier)
{
    return pk_cpu_mbarrier_arrive(barrier, 0, false);
}

static inline __mbarrier_token_t __mbarrier_arrive_and_drop(__mbarrier_t *barrier)
{
    return pk_cpu_mbarrier_arrive(barrier, 0, true);
}

static inline uint32_t __mbarrier_token_pending_count(__mbarrier_token_t token)
{
    return pk_cpu_mbarrier_pending(token);
}

static inline bool __mbarrier_test_wait(__mbarrier_t *barrier, __mbarrier_token_t token, PK_CPU_PLACE_)
{
    return pk_cpu_mbarrier_wait(barrier, token, 0, file, line);
}

static inline bool __mbarrier_test_wait_parity(__mbarrier_t *barrier, bool parity, PK_CPU_PLACE_)
{
    return pk_cpu_mbarrier_wait(barrier, parity, 0, file, line);
}

static inline bool __mbarrier_try_wait(__mbarrier_t *barrier, __mbarrier_token_t token, uint32_t limit_ns,
                                       PK_CPU_PLACE_)
{
    return pk_cpu_mbarrier_wait(barrier, token, limit_ns ? limit_ns : 1, file, line);
}

static inline bool __mbarrier_try_wait_parity(__mbarrier_t *barrier, bool parity, uint32_t limit_ns, PK_CPU_PLACE_)
{
    return pk_cpu_mbarrier_wait(barrier, parity, limit_ns ? limit_ns : 1, file, line);
}

#endif
