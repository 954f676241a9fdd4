/* What a kernel may use: built-in variables, barriers, fences, atomics, cached loads, time, arithmetic. */
#ifndef PK_CPU_DEVICE_H
#define PK_CPU_DEVICE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../vector_types.h"

/* The thread that is running. Each OS thread has its own copy; the device sets it at every switch.
 * Kernels are part of the program, never of a shared library. Told so, the compiler addresses these directly; else it
 * may load an offset from the table straight into a vector register, and GNU ld then fails ("TLS transition"). */
#define PK_CPU_IN_PROGRAM_ __attribute__((tls_model("local-exec")))
extern __thread uint3 threadIdx PK_CPU_IN_PROGRAM_, blockIdx PK_CPU_IN_PROGRAM_, blockDim PK_CPU_IN_PROGRAM_,
    gridDim PK_CPU_IN_PROGRAM_;

extern "C" {
/* All threads of the block that have not ended meet here. Calls that wait say where they stand in the source. */
void pk_cpu_syncthreads(const char *file, int line);
/* The same, and the number of threads whose predicate was not 0. `*threads` receives how many met. */
int pk_cpu_syncthreads_count(int predicate, int *threads, const char *file, int line);
/* All threads of a cooperative grid meet here. Under an ordinary launch it is a trap. */
void pk_cpu_grid_sync(const char *file, int line);
bool pk_cpu_grid_is_cooperative(void);
/* Dynamic shared memory of the running block, 128-byte aligned. */
void *pk_cpu_dynamic_shared(void);
/* Give way: to another thread of the block, or else to another OS thread, for about `ns`. */
void pk_cpu_nanosleep(unsigned ns, const char *file, int line);
/* Where kernels overlap (pk_cpu_overlaps): what the calls of the like names do. */
void pk_cpu_wait_for_kernel_ahead(const char *file, int line);
void pk_cpu_let_kernel_behind_begin(void);
/* Nanoseconds of a monotonic clock: clock64() counts at 1 GHz here. */
long long pk_cpu_clock_ns(void);
/* End the kernel with an error, as a trap instruction does. */
void pk_cpu_trap(void) __attribute__((noreturn));
}

/* For which threads an atomic access is, beside its own: those of its block, of the device, or the host's too. Only a
 * checked build is told, before the access and until pk_cpu_point; what says nothing is for all. */
#if defined(PK_CPU_CHECKED)
#define PK_CPU_SCOPE_(scope) (pk_cpu_scope = pk_cpu_scope_##scope)
#else
#define PK_CPU_SCOPE_(scope) ((void)0)
#endif
enum { pk_cpu_scope_system, pk_cpu_scope_device, pk_cpu_scope_block };
extern __thread int pk_cpu_scope PK_CPU_IN_PROGRAM_;

/* Under PK_CPU_SCHEDULE=random: an atomic access or a fence is over, and another thread may run now. */
extern bool pk_cpu_interleaves;
extern "C" void pk_cpu_interleave(void);
static inline void pk_cpu_point(void)
{
    PK_CPU_SCOPE_(system);
    if (__builtin_expect(pk_cpu_interleaves, 0))
        pk_cpu_interleave();
}

/* 32, or 64 with PK_CPU_WARP=64: set before any kernel runs. */
extern int warpSize;

/* The place of a call: as the last, defaulted parameters of what waits. */
#define PK_CPU_PLACE_ const char *file = __builtin_FILE(), int line = __builtin_LINE()

/* ---- barriers and fences ---- */

static inline void __syncthreads(PK_CPU_PLACE_)
{
    pk_cpu_syncthreads(file, line);
}

static inline int __syncthreads_count(int predicate, PK_CPU_PLACE_)
{
    int threads;
    return pk_cpu_syncthreads_count(predicate, &threads, file, line);
}

static inline int __syncthreads_and(int predicate, PK_CPU_PLACE_)
{
    int threads;
    return pk_cpu_syncthreads_count(predicate, &threads, file, line) == threads;
}

static inline int __syncthreads_or(int predicate, PK_CPU_PLACE_)
{
    int threads;
    return pk_cpu_syncthreads_count(predicate, &threads, file, line) != 0;
}

#if defined(PK_CPU_CHECKED)
/* Compiled as for ThreadSanitizer, and without it. */
#elif defined(__SANITIZE_THREAD__)
#define PK_CPU_TSAN_ 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PK_CPU_TSAN_ 1
#endif
#endif

/* A fence orders this thread's accesses for threads that fence too. ThreadSanitizer does not model fences, so under
 * it each is a read-modify-write of one word: acquire/release, pairs with every other fence. */
#if defined(PK_CPU_TSAN_)
extern unsigned pk_cpu_fence_word;
#define PK_CPU_FENCE_() ((void)__atomic_fetch_add(&pk_cpu_fence_word, 0, __ATOMIC_ACQ_REL))
#else
#define PK_CPU_FENCE_() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

static inline void __threadfence(void)
{
    PK_CPU_FENCE_();
    pk_cpu_point();
}

static inline void __threadfence_block(void)
{
    PK_CPU_FENCE_();
    pk_cpu_point();
}

static inline void __threadfence_system(void)
{
    PK_CPU_FENCE_();
    pk_cpu_point();
}

/* ---- programmatic dependent launch ---- */

/* Under a schedule that looks for mistakes: a kernel that may begin before the one ahead has ended does. */
extern bool pk_cpu_overlaps;

/* Wait until the kernel ahead has ended, where this one was launched so that it may begin before. */
static inline void cudaGridDependencySynchronize(PK_CPU_PLACE_)
{
    if (__builtin_expect(pk_cpu_overlaps, 0))
        pk_cpu_wait_for_kernel_ahead(file, line);
}

/* Let the kernel behind begin, where it was launched so, once a thread of every block has called this. */
static inline void cudaTriggerProgrammaticLaunchCompletion(void)
{
    if (__builtin_expect(pk_cpu_overlaps, 0))
        pk_cpu_let_kernel_behind_begin();
}

/* ---- time ---- */

static inline void __nanosleep(unsigned ns, PK_CPU_PLACE_)
{
    pk_cpu_nanosleep(ns, file, line);
}

static inline long long clock64(void)
{
    return pk_cpu_clock_ns();
}

/* PTX's %globaltimer: nanoseconds, the same clock on every processor. */
static inline unsigned long long pk_cpu_globaltimer(void)
{
    return (unsigned long long)pk_cpu_clock_ns();
}

static inline void __trap(void)
{
    pk_cpu_trap();
}

/* ---- loads and stores with cache hints: plain ones here ---- */

template <class T> static inline T __ldg(const T *p)
{
    return *p;
}
template <class T> static inline T __ldcg(const T *p)
{
    return *p;
}
template <class T> static inline T __ldca(const T *p)
{
    return *p;
}
template <class T> static inline T __ldcs(const T *p)
{
    return *p;
}
template <class T> static inline T __ldlu(const T *p)
{
    return *p;
}
template <class T> static inline T __ldcv(const T *p)
{
    return *const_cast<const volatile T *>(p);
}
template <class T> static inline void __stcg(T *p, T value)
{
    *p = value;
}
template <class T> static inline void __stwb(T *p, T value)
{
    *p = value;
}
template <class T> static inline void __stcs(T *p, T value)
{
    *p = value;
}
template <class T> static inline void __stwt(T *p, T value)
{
    *const_cast<volatile T *>(p) = value;
}

/* ---- atomics: relaxed, as CUDA's are, so they order nothing else. The block, device and system scopes are one
 * here, since every thread and the host share coherent memory. ---- */

template <class T> struct pk_cpu_identity {
    typedef T type;
};
#define PK_CPU_SAME_(T) typename pk_cpu_identity<T>::type

template <class T, class Change> static inline T pk_cpu_atomic_change(T *p, Change change)
{
    T old, next;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do {
        next = change(old);
    } while (!__atomic_compare_exchange(p, &old, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}

static inline int pk_cpu_fetch_add(int *p, int v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
static inline unsigned pk_cpu_fetch_add(unsigned *p, unsigned v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
static inline unsigned long pk_cpu_fetch_add(unsigned long *p, unsigned long v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
static inline unsigned long long pk_cpu_fetch_add(unsigned long long *p, unsigned long long v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
static inline float pk_cpu_fetch_add(float *p, float v)
{
    return pk_cpu_atomic_change(p, [v](float old) { return old + v; });
}
static inline double pk_cpu_fetch_add(double *p, double v)
{
    return pk_cpu_atomic_change(p, [v](double old) { return old + v; });
}

/* The value from before, once another thread may have run. */
template <class T> static inline T pk_cpu_after_point(T before)
{
    pk_cpu_point();
    return before;
}

#define PK_CPU_ATOMIC_(name)                                                                                           \
    template <class T> static inline T name(T *p, PK_CPU_SAME_(T) v)                                                   \
    {                                                                                                                  \
        PK_CPU_SCOPE_(device);                                                                                         \
        return pk_cpu_after_point(pk_cpu_##name(p, v));                                                                \
    }                                                                                                                  \
    template <class T> static inline T name##_block(T *p, PK_CPU_SAME_(T) v)                                           \
    {                                                                                                                  \
        PK_CPU_SCOPE_(block);                                                                                          \
        return pk_cpu_after_point(pk_cpu_##name(p, v));                                                                \
    }                                                                                                                  \
    template <class T> static inline T name##_system(T *p, PK_CPU_SAME_(T) v)                                          \
    {                                                                                                                  \
        return pk_cpu_after_point(pk_cpu_##name(p, v));                                                                \
    }

template <class T> static inline T pk_cpu_atomicAdd(T *p, T v)
{
    return pk_cpu_fetch_add(p, v);
}
template <class T> static inline T pk_cpu_atomicSub(T *p, T v)
{
    return __atomic_fetch_sub(p, v, __ATOMIC_RELAXED);
}
template <class T> static inline T pk_cpu_atomicExch(T *p, T v)
{
    T old;
    __atomic_exchange(p, &v, &old, __ATOMIC_RELAXED);
    return old;
}
template <class T> static inline T pk_cpu_atomicMin(T *p, T v)
{
    return pk_cpu_atomic_change(p, [v](T old) { return old < v ? old : v; });
}
template <class T> static inline T pk_cpu_atomicMax(T *p, T v)
{
    return pk_cpu_atomic_change(p, [v](T old) { return old > v ? old : v; });
}
template <class T> static inline T pk_cpu_atomicAnd(T *p, T v)
{
    return __atomic_fetch_and(p, v, __ATOMIC_RELAXED);
}
template <class T> static inline T pk_cpu_atomicOr(T *p, T v)
{
    return __atomic_fetch_or(p, v, __ATOMIC_RELAXED);
}
template <class T> static inline T pk_cpu_atomicXor(T *p, T v)
{
    return __atomic_fetch_xor(p, v, __ATOMIC_RELAXED);
}
template <class T> static inline T pk_cpu_atomicInc(T *p, T v)
{
    return pk_cpu_atomic_change(p, [v](T old) { return old >= v ? T(0) : old + 1; });
}
template <class T> static inline T pk_cpu_atomicDec(T *p, T v)
{
    return pk_cpu_atomic_change(p, [v](T old) { return old == 0 || old > v ? v : old - 1; });
}

PK_CPU_ATOMIC_(atomicAdd)
PK_CPU_ATOMIC_(atomicSub)
PK_CPU_ATOMIC_(atomicExch)
PK_CPU_ATOMIC_(atomicMin)
PK_CPU_ATOMIC_(atomicMax)
PK_CPU_ATOMIC_(atomicAnd)
PK_CPU_ATOMIC_(atomicOr)
PK_CPU_ATOMIC_(atomicXor)
PK_CPU_ATOMIC_(atomicInc)
PK_CPU_ATOMIC_(atomicDec)
#undef PK_CPU_ATOMIC_

template <class T> static inline T atomicCAS_system(T *p, PK_CPU_SAME_(T) expected, PK_CPU_SAME_(T) desired)
{
    __atomic_compare_exchange(p, &expected, &desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return pk_cpu_after_point(expected);
}
template <class T> static inline T atomicCAS(T *p, PK_CPU_SAME_(T) expected, PK_CPU_SAME_(T) desired)
{
    PK_CPU_SCOPE_(device);
    return atomicCAS_system(p, expected, desired);
}
template <class T> static inline T atomicCAS_block(T *p, PK_CPU_SAME_(T) expected, PK_CPU_SAME_(T) desired)
{
    PK_CPU_SCOPE_(block);
    return atomicCAS_system(p, expected, desired);
}
#undef PK_CPU_SAME_

/* ---- integers and bits ---- */

static inline int __popc(unsigned v)
{
    return __builtin_popcount(v);
}
static inline int __popcll(unsigned long long v)
{
    return __builtin_popcountll(v);
}
static inline int __clz(int v)
{
    return v ? __builtin_clz((unsigned)v) : 32;
}
static inline int __clzll(long long v)
{
    return v ? __builtin_clzll((unsigned long long)v) : 64;
}
static inline int __ffs(int v)
{
    return __builtin_ffs(v);
}
static inline int __ffsll(long long v)
{
    return __builtin_ffsll(v);
}
static inline unsigned __brev(unsigned v)
{
    v = (v >> 1 & 0x55555555u) | (v & 0x55555555u) << 1;
    v = (v >> 2 & 0x33333333u) | (v & 0x33333333u) << 2;
    v = (v >> 4 & 0x0f0f0f0fu) | (v & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(v);
}
static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}
/* The low 24 bits of each, with and without a sign. */
static inline int __mul24(int a, int b)
{
    return (int)((unsigned)((int)((unsigned)a << 8) >> 8) * (unsigned)((int)((unsigned)b << 8) >> 8));
}
static inline unsigned __umul24(unsigned a, unsigned b)
{
    return (a & 0xffffffu) * (b & 0xffffffu);
}
static inline int __mulhi(int a, int b)
{
    return (int)((int64_t)a * b >> 32);
}

template <class To, class From> static inline To pk_cpu_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    memcpy(&to, &from, sizeof(to));
    return to;
}
static inline int __float_as_int(float v)
{
    return pk_cpu_bits<int>(v);
}
static inline unsigned __float_as_uint(float v)
{
    return pk_cpu_bits<unsigned>(v);
}
static inline float __int_as_float(int v)
{
    return pk_cpu_bits<float>(v);
}
static inline float __uint_as_float(unsigned v)
{
    return pk_cpu_bits<float>(v);
}
static inline long long __double_as_longlong(double v)
{
    return pk_cpu_bits<long long>(v);
}
static inline double __longlong_as_double(long long v)
{
    return pk_cpu_bits<double>(v);
}
/* Conversions to integers saturate, and NaN becomes 0. */
static inline int pk_cpu_to_int(float v)
{
    return v >= 0x1p31f ? 2147483647 : v > -0x1p31f ? (int)v : v == v ? -2147483647 - 1 : 0;
}
static inline int __float2int_rn(float v)
{
    return pk_cpu_to_int(rintf(v));
}
static inline int __float2int_rz(float v)
{
    return pk_cpu_to_int(v);
}
static inline int __float2int_rd(float v)
{
    return pk_cpu_to_int(floorf(v));
}
static inline int __float2int_ru(float v)
{
    return pk_cpu_to_int(ceilf(v));
}
static inline float __int2float_rn(int v)
{
    return (float)v;
}
static inline float __uint2float_rn(unsigned v)
{
    return (float)v;
}

/* ---- floating point. _rn functions are never contracted, as in CUDA. The fast ones are exact here: a kernel may
 * not count on their error. ---- */

static inline float __fadd_rn(float a, float b)
{
    volatile float sum = a + b;
    return sum;
}
static inline float __fsub_rn(float a, float b)
{
    volatile float difference = a - b;
    return difference;
}
static inline float __fmul_rn(float a, float b)
{
    volatile float product = a * b;
    return product;
}
static inline float __fdiv_rn(float a, float b)
{
    return a / b;
}
static inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
static inline double __fma_rn(double a, double b, double c)
{
    return fma(a, b, c);
}
static inline double __dadd_rn(double a, double b)
{
    volatile double sum = a + b;
    return sum;
}
static inline double __dmul_rn(double a, double b)
{
    volatile double product = a * b;
    return product;
}
static inline float __fsqrt_rn(float v)
{
    return sqrtf(v);
}
static inline float __frcp_rn(float v)
{
    return 1.0f / v;
}
static inline float __frsqrt_rn(float v)
{
    return (float)(1.0 / sqrt((double)v));
}
/* Newer C libraries declare functions of these names. */
#define rsqrtf __frsqrt_rn
#define rsqrt pk_cpu_rsqrt
static inline double pk_cpu_rsqrt(double v)
{
    return 1.0 / sqrt(v);
}
static inline float __fdividef(float a, float b)
{
    return a / b;
}
/* The C library declares these names for itself, so they are mapped, not defined. */
#define __expf expf
#define __exp10f exp10f
#define __logf logf
#define __log2f log2f
#define __log10f log10f
#define __sinf sinf
#define __cosf cosf
#define __tanf tanf
#define __powf powf
#define __tanhf tanhf
static inline float __saturatef(float v)
{
    return v > 0.0f ? (v < 1.0f ? v : 1.0f) : 0.0f;
}

#define PK_CPU_MIN_MAX_(type)                                                                                          \
    static inline type min(type a, type b)                                                                             \
    {                                                                                                                  \
        return b < a ? b : a;                                                                                          \
    }                                                                                                                  \
    static inline type max(type a, type b)                                                                             \
    {                                                                                                                  \
        return a < b ? b : a;                                                                                          \
    }
PK_CPU_MIN_MAX_(int)
PK_CPU_MIN_MAX_(unsigned)
PK_CPU_MIN_MAX_(long)
PK_CPU_MIN_MAX_(unsigned long)
PK_CPU_MIN_MAX_(long long)
PK_CPU_MIN_MAX_(unsigned long long)
#undef PK_CPU_MIN_MAX_
static inline unsigned min(int a, unsigned b)
{
    return min((unsigned)a, b);
}
static inline unsigned min(unsigned a, int b)
{
    return min(a, (unsigned)b);
}
static inline unsigned max(int a, unsigned b)
{
    return max((unsigned)a, b);
}
static inline unsigned max(unsigned a, int b)
{
    return max(a, (unsigned)b);
}
static inline float min(float a, float b)
{
    return fminf(a, b);
}
static inline float max(float a, float b)
{
    return fmaxf(a, b);
}
static inline double min(double a, double b)
{
    return fmin(a, b);
}
static inline double max(double a, double b)
{
    return fmax(a, b);
}
static inline unsigned umin(unsigned a, unsigned b)
{
    return min(a, b);
}
static inline unsigned umax(unsigned a, unsigned b)
{
    return max(a, b);
}
static inline long long llmin(long long a, long long b)
{
    return min(a, b);
}
static inline long long llmax(long long a, long long b)
{
    return max(a, b);
}
static inline unsigned long long ullmin(unsigned long long a, unsigned long long b)
{
    return min(a, b);
}
static inline unsigned long long ullmax(unsigned long long a, unsigned long long b)
{
    return max(a, b);
}

#include "warp.h"

#endif
