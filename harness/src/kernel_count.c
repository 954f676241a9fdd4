/* The CPU device tells by its own trace, NVIDIA's by CUPTI. */
#include "kernel_count.h"

#include <stdatomic.h>
#include <stddef.h>

#if defined(PK_BACKEND_CPU)

#include <pk_cpu/trace.h>

static _Atomic uint64_t seen;

static void take(const pk_cpu_trace_event *event, void *context)
{
    (void)context;
    if (event->kind == PK_CPU_TRACE_KERNEL && event->graph == 0)
        atomic_fetch_add_explicit(&seen, 1, memory_order_relaxed);
}

bool pk_kernel_count_begin(void)
{
    atomic_store_explicit(&seen, 0, memory_order_relaxed);
    return pk_cpu_trace_begin(take, NULL);
}

uint64_t pk_kernel_count_end(void)
{
    pk_cpu_trace_end();
    return atomic_load_explicit(&seen, memory_order_relaxed);
}

#else

#include "pk/host.h"

bool pk_kernel_count_begin(void)
{
    return pk_cupti_start();
}

uint64_t pk_kernel_count_end(void)
{
    uint64_t kernels;
    return pk_cupti_stop(&kernels) ? kernels : UINT64_MAX;
}

#endif
