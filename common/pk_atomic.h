/* Atomic accesses of a kernel with their memory order and scope written out, the same on every backend. Included by
 * .cu files after pk_gpu.h.
 *
 *   pk_load_{relaxed,acquire}_{block,device,system}(const T *)        the word's value
 *   pk_store_{relaxed,release}_{block,device,system}(T *, T)
 *   pk_add_{relaxed,acquire_release}_{block,device,system}(T *, T)    the value before
 *   pk_add_release_device(unsigned *, unsigned)                       nothing comes back, so nothing waits for it
 *   pk_exchange_if_{block,device,system}(T *, T expected, T desired)  compare and swap, acquire and release; the value
 *                                                                     before
 *   pk_load_relaxed_device_4(const float *)                           four floats, 16-aligned
 * T is unsigned (32 bits) or unsigned long long (64 bits). `block`: the threads of one block. `device`: all threads of
 * this device, in device memory. `system`: the host and other devices too; mapped host memory that the host accesses
 * with __atomic_load_n and __atomic_store_n, plain loads and stores of a naturally aligned word. Threads that a scope
 * does not reach may never see what was stored: the CPU device's checked build reports such a pair (docs/no-gpu.md).
 *
 * An acquire that reads what a release wrote orders everything before that release, by any thread that the releasing
 * thread had itself synchronised with (so a whole block after its __syncthreads), before everything after the acquire.
 *
 * Sources: PTX ISA, "Memory Consistency Model", ld, st, atom, red; LLVM, "User Guide for AMDGPU Backend", memory model.
 */
#ifndef PK_ATOMIC_H
#define PK_ATOMIC_H

#include "pk_gpu.h"

#if defined(PK_BACKEND_CPU)

#define PK_ATOMIC_SCOPE_(T, scope)                                                                                     \
    static inline T pk_load_relaxed_##scope(const T *p)                                                                \
    {                                                                                                                  \
        PK_CPU_SCOPE_(scope);                                                                                          \
        return pk_cpu_after_point(__atomic_load_n(p, __ATOMIC_RELAXED));                                               \
    }                                                                                                                  \
    static inline T pk_load_acquire_##scope(const T *p)                                                                \
    {                                                                                                                  \
        PK_CPU_SCOPE_(scope);                                                                                          \
        return pk_cpu_after_point(__atomic_load_n(p, __ATOMIC_ACQUIRE));                                               \
    }                                                                                                                  \
    static inline void pk_store_relaxed_##scope(T *p, T value)                                                         \
    {                                                                                                                  \
        PK_CPU_SCOPE_(scope);                                                                                          \
        __atomic_store_n(p, value, __ATOMIC_RELAXED);                                                                  \
        pk_cpu_point();                                                                                                \
    }                                                                                                                  \
    static inline void pk_store_release_##scope(T *p, T value)                                                         \
    {                                                                                                                  \
        PK_CPU_SCOPE_(scope);                                                                                          \
        __atomic_store_n(p, value, __ATOMIC_RELEASE);                                                                  \
        pk_cpu_point();                                                                                                \
    }                                                                                                                  \
    static inline T pk_add_relaxed_##scope(T *p, T value)                                                              \
    {                                                                                                                  \
        PK_CPU_SCOPE_(scope);                                                                                          \
        return pk_cpu_after_point(__atomic_fetch_add(p, value, __ATOMIC_RELAXED));                                     \
    }                                                                                                                  \
    static inline T pk_add_acquire_release_##scope(T *p, T value)                                                      \
    {                                                                                                                  \
        PK_CPU_SCOPE_(scope);                                                                                          \
        return pk_cpu_after_point(__atomic_fetch_add(p, value, __ATOMIC_ACQ_REL));                                     \
    }                                                                                                                  \
    static inline T pk_exchange_if_##scope(T *p, T expected, T desired)                                                \
    {                                                                                                                  \
        PK_CPU_SCOPE_(scope);                                                                                          \
        (void)__atomic_compare_exchange_n(p, &expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);           \
        return pk_cpu_after_point(expected);                                                                           \
    }

static inline void pk_add_release_device(unsigned *p, unsigned value)
{
    PK_CPU_SCOPE_(device);
    (void)pk_cpu_after_point(__atomic_fetch_add(p, value, __ATOMIC_RELEASE));
}

PK_ATOMIC_SCOPE_(unsigned, block)
PK_ATOMIC_SCOPE_(unsigned, device)
PK_ATOMIC_SCOPE_(unsigned, system)
PK_ATOMIC_SCOPE_(unsigned long long, block)
PK_ATOMIC_SCOPE_(unsigned long long, device)
PK_ATOMIC_SCOPE_(unsigned long long, system)

#elif defined(PK_BACKEND_HIP)

#define PK_ATOMIC_SCOPE_(T, scope, hip_scope)                                                                          \
    static __device__ inline T pk_load_relaxed_##scope(const T *p)                                                     \
    {                                                                                                                  \
        return __hip_atomic_load(p, __ATOMIC_RELAXED, hip_scope);                                                      \
    }                                                                                                                  \
    static __device__ inline T pk_load_acquire_##scope(const T *p)                                                     \
    {                                                                                                                  \
        return __hip_atomic_load(p, __ATOMIC_ACQUIRE, hip_scope);                                                      \
    }                                                                                                                  \
    static __device__ inline void pk_store_relaxed_##scope(T *p, T value)                                              \
    {                                                                                                                  \
        __hip_atomic_store(p, value, __ATOMIC_RELAXED, hip_scope);                                                     \
    }                                                                                                                  \
    static __device__ inline void pk_store_release_##scope(T *p, T value)                                              \
    {                                                                                                                  \
        __hip_atomic_store(p, value, __ATOMIC_RELEASE, hip_scope);                                                     \
    }                                                                                                                  \
    static __device__ inline T pk_add_relaxed_##scope(T *p, T value)                                                   \
    {                                                                                                                  \
        return __hip_atomic_fetch_add(p, value, __ATOMIC_RELAXED, hip_scope);                                          \
    }                                                                                                                  \
    static __device__ inline T pk_add_acquire_release_##scope(T *p, T value)                                           \
    {                                                                                                                  \
        return __hip_atomic_fetch_add(p, value, __ATOMIC_ACQ_REL, hip_scope);                                          \
    }                                                                                                                  \
    static __device__ inline T pk_exchange_if_##scope(T *p, T expected, T desired)                                     \
    {                                                                                                                  \
        (void)__hip_atomic_compare_exchange_strong(p, &expected, desired, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE,          \
                                                   hip_scope);                                                         \
        return expected;                                                                                               \
    }

static __device__ inline void pk_add_release_device(unsigned *p, unsigned value)
{
    (void)__hip_atomic_fetch_add(p, value, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_AGENT);
}

PK_ATOMIC_SCOPE_(unsigned, block, __HIP_MEMORY_SCOPE_WORKGROUP)
PK_ATOMIC_SCOPE_(unsigned, device, __HIP_MEMORY_SCOPE_AGENT)
PK_ATOMIC_SCOPE_(unsigned, system, __HIP_MEMORY_SCOPE_SYSTEM)
PK_ATOMIC_SCOPE_(unsigned long long, block, __HIP_MEMORY_SCOPE_WORKGROUP)
PK_ATOMIC_SCOPE_(unsigned long long, device, __HIP_MEMORY_SCOPE_AGENT)
PK_ATOMIC_SCOPE_(unsigned long long, system, __HIP_MEMORY_SCOPE_SYSTEM)

#else

/* `width` is PTX's type suffix, `reg` the asm constraint of such a register. */
#define PK_ATOMIC_SCOPE_(T, scope, ptx_scope, width, reg)                                                              \
    static __device__ inline T pk_load_relaxed_##scope(const T *p)                                                     \
    {                                                                                                                  \
        T value;                                                                                                       \
        asm volatile("ld.relaxed." ptx_scope ".u" width " %0, [%1];" : "=" reg(value) : "l"(p) : "memory");            \
        return value;                                                                                                  \
    }                                                                                                                  \
    static __device__ inline T pk_load_acquire_##scope(const T *p)                                                     \
    {                                                                                                                  \
        T value;                                                                                                       \
        asm volatile("ld.acquire." ptx_scope ".u" width " %0, [%1];" : "=" reg(value) : "l"(p) : "memory");            \
        return value;                                                                                                  \
    }                                                                                                                  \
    static __device__ inline void pk_store_relaxed_##scope(T *p, T value)                                              \
    {                                                                                                                  \
        asm volatile("st.relaxed." ptx_scope ".u" width " [%0], %1;" : : "l"(p), reg(value) : "memory");               \
    }                                                                                                                  \
    static __device__ inline void pk_store_release_##scope(T *p, T value)                                              \
    {                                                                                                                  \
        asm volatile("st.release." ptx_scope ".u" width " [%0], %1;" : : "l"(p), reg(value) : "memory");               \
    }                                                                                                                  \
    static __device__ inline T pk_add_relaxed_##scope(T *p, T value)                                                   \
    {                                                                                                                  \
        T before;                                                                                                      \
        asm volatile("atom.relaxed." ptx_scope ".add.u" width " %0, [%1], %2;"                                         \
                     : "=" reg(before)                                                                                 \
                     : "l"(p), reg(value)                                                                              \
                     : "memory");                                                                                      \
        return before;                                                                                                 \
    }                                                                                                                  \
    static __device__ inline T pk_add_acquire_release_##scope(T *p, T value)                                           \
    {                                                                                                                  \
        T before;                                                                                                      \
        asm volatile("atom.acq_rel." ptx_scope ".add.u" width " %0, [%1], %2;"                                         \
                     : "=" reg(before)                                                                                 \
                     : "l"(p), reg(value)                                                                              \
                     : "memory");                                                                                      \
        return before;                                                                                                 \
    }                                                                                                                  \
    static __device__ inline T pk_exchange_if_##scope(T *p, T expected, T desired)                                     \
    {                                                                                                                  \
        T before;                                                                                                      \
        asm volatile("atom.acq_rel." ptx_scope ".cas.b" width " %0, [%1], %2, %3;"                                     \
                     : "=" reg(before)                                                                                 \
                     : "l"(p), reg(expected), reg(desired)                                                             \
                     : "memory");                                                                                      \
        return before;                                                                                                 \
    }

static __device__ inline void pk_add_release_device(unsigned *p, unsigned value)
{
    asm volatile("red.release.gpu.add.u32 [%0], %1;" : : "l"(p), "r"(value) : "memory");
}

PK_ATOMIC_SCOPE_(unsigned, block, "cta", "32", "r")
PK_ATOMIC_SCOPE_(unsigned, device, "gpu", "32", "r")
PK_ATOMIC_SCOPE_(unsigned, system, "sys", "32", "r")
PK_ATOMIC_SCOPE_(unsigned long long, block, "cta", "64", "l")
PK_ATOMIC_SCOPE_(unsigned long long, device, "gpu", "64", "l")
PK_ATOMIC_SCOPE_(unsigned long long, system, "sys", "64", "l")

#endif

/* Four floats, 16-aligned, relaxed, scope device: each a load of its own, in no order. Source: PTX ISA, "Vector data
 * types" of the memory consistency model. */
static __device__ inline float4 pk_load_relaxed_device_4(const float *from)
{
#if defined(PK_BACKEND_CUDA) || defined(PK_BACKEND_HIP_NVIDIA)
    float4 got;
    asm volatile("ld.relaxed.gpu.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(got.x), "=f"(got.y), "=f"(got.z), "=f"(got.w)
                 : "l"(from)
                 : "memory");
    return got;
#else
    const unsigned *const word = (const unsigned *)from;
    return make_float4(
        __int_as_float((int)pk_load_relaxed_device(word)), __int_as_float((int)pk_load_relaxed_device(word + 1)),
        __int_as_float((int)pk_load_relaxed_device(word + 2)), __int_as_float((int)pk_load_relaxed_device(word + 3)));
#endif
}

/* In a loop that polls: gives way where the threads of a block share a processor with what is waited for. */
#if defined(PK_BACKEND_CPU) || defined(PK_BACKEND_HIP)
#define PK_SPIN_PAUSE() PK_POLL_PAUSE()
#else
#define PK_SPIN_PAUSE() ((void)0)
#endif

#endif
