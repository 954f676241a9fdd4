/* What a conformance program includes: cases and expectations.
 *
 *     CONCERN(stream)
 *     CASE(in_order) { STREAM(s); ...; EXPECT_EQ(got, want); return PK_OK; }
 *
 * A case starts with an idle device and no last error, and may leave streams, memory and graphs behind where they
 * were made with the macros below. CUDA is right by definition: an expectation is what its documentation says; where
 * that leaves a result open, the case observes it instead. */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conformance_run.h"
#include "pk_gpu.h"

#define CONCERN(name)                                                                                                  \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        return cf_main(argc, argv, #name, cf_settle);                                                                  \
    }

#define CASE_(case_name, in_own_process)                                                                               \
    static pk_status case_name##_body(void);                                                                           \
    __attribute__((constructor)) static void case_name##_register(void)                                                \
    {                                                                                                                  \
        static cf_case one = {#case_name, case_name##_body, in_own_process, NULL};                                     \
        cf_register(&one);                                                                                             \
    }                                                                                                                  \
    static pk_status case_name##_body(void)
#define CASE(name) CASE_(name, 0)
#define CASE_ALONE(name) CASE_(name, 1)

#define SKIP(...) return pk_fail(PK_SKIP, __VA_ARGS__)
#define EXPECT(condition) ((condition) ? (void)0 : cf_failed(__FILE__, __LINE__, "%s is false", #condition))
#define EXPECT_EQ(got, want) cf_expect_equal((long long)(got), (long long)(want), #got, __FILE__, __LINE__)
#define EXPECT_ERROR(call, want) cf_expect_error((call), (want), #call, __FILE__, __LINE__)
#define OBSERVE(what, value) cf_observe((what), "%lld", (long long)(value))
#define OBSERVE_ERROR(what, call) cf_observe_error((what), (call))

/* Compare a device array with an expression of its index `i`; only the first difference is reported. */
#define EXPECT_EACH(type, device, n, want)                                                                             \
    do {                                                                                                               \
        const type *each_ = (const type *)cf_download((device), (n) * sizeof(type));                                   \
        PK_TRY(each_ ? PK_OK : PK_FAULT);                                                                              \
        for (size_t i = 0; i < (size_t)(n); i++) {                                                                     \
            if (each_[i] == (type)(want))                                                                              \
                continue;                                                                                              \
            cf_failed(__FILE__, __LINE__, "%s[%zu] is %.17g, want %.17g", #device, i, (double)each_[i],                \
                      (double)(type)(want));                                                                           \
            break;                                                                                                     \
        }                                                                                                              \
    } while (0)

/* Declare and make; released at the end of the case. Memory is zeroed. */
#define DEVICE(type, name, n)                                                                                          \
    type *name = NULL;                                                                                                 \
    PK_TRY(cf_device((void **)&name, (n) * sizeof(type)))
#define PINNED(type, name, n)                                                                                          \
    type *name = NULL;                                                                                                 \
    PK_TRY(cf_pinned((void **)&name, (n) * sizeof(type)))
#define MAPPED(type, host, device, n)                                                                                  \
    type *host = NULL, *device = NULL;                                                                                 \
    PK_TRY(cf_mapped((void **)&host, (void **)&device, (n) * sizeof(type)))
#define STREAM(name)                                                                                                   \
    cudaStream_t name = NULL;                                                                                          \
    PK_TRY(cf_stream(&name, cudaStreamNonBlocking))
#define BLOCKING_STREAM(name)                                                                                          \
    cudaStream_t name = NULL;                                                                                          \
    PK_TRY(cf_stream(&name, cudaStreamDefault))
#define EVENT(name)                                                                                                    \
    cudaEvent_t name = NULL;                                                                                           \
    PK_TRY(cf_event(&name, cudaEventDefault))
#define GATE(name)                                                                                                     \
    cf_gate name;                                                                                                      \
    PK_TRY(cf_gate_make(&name))

/* A grid or a block that no device can run, and an address that is no kernel's. CUDA 13 changed both codes. */
#if CUDART_VERSION >= 13000
#define CF_NO_SUCH_SHAPE cudaErrorInvalidValue
#define CF_NO_SUCH_KERNEL cudaErrorInvalidResourceHandle
#else
#define CF_NO_SUCH_SHAPE cudaErrorInvalidConfiguration
#define CF_NO_SUCH_KERNEL cudaErrorInvalidDeviceFunction
#endif

/* Launch where the error itself is what is tested: an expression; the last error is clear afterwards. */
#define LAUNCH_ERROR(kernel, grid, block, smem, stream, ...)                                                           \
    (PK_BACKEND_LAUNCH(kernel, grid, block, smem, stream, ##__VA_ARGS__), cudaGetLastError())

/* A build for PK_CPU_CHECK has ThreadSanitizer's instrumentation, not its runtime. */
#if defined(__SANITIZE_THREAD__) && !defined(PK_CPU_CHECKED)
#define UNDER_THREAD_SANITIZER
#endif

/* A copy may signal a running kernel; to ThreadSanitizer it is a plain store that races with the kernel's load. */
#if defined(UNDER_THREAD_SANITIZER)
#define SKIP_WHERE_COPIES_RACE() SKIP("ThreadSanitizer does not know a copy that signals")
#else
#define SKIP_WHERE_COPIES_RACE() ((void)0)
#endif

/* Dynamic shared memory as an array of `type`. */
#if defined(PK_BACKEND_CPU)
#define DYNAMIC_SHARED(type, name) type *name = (type *)pk_cpu_dynamic_shared()
#else
#define DYNAMIC_SHARED(type, name)                                                                                     \
    extern __shared__ __align__(16) unsigned char cf_dynamic_shared[];                                                 \
    type *name = (type *)cf_dynamic_shared
#endif

/* A kernel's address as graph nodes take it. The CPU device runs what a typed mention has made known. */
#if defined(PK_BACKEND_CPU)
template <class... P> void *cf_kernel(void (*function)(P...), const char *name)
{
    const pk_cpu_kernel kernel = pk_cpu_describe_kernel<void>(pk_cpu_signature_of(function), name);
    pk_cpu_register(&kernel);
    return (void *)function;
}
#define KERNEL(function) cf_kernel((function), #function)
#else
#define KERNEL(function) ((void *)(function))
#endif

/* In a kernel: the other half of pk_load_acquire_system(). Release at system scope; pairs with the host's acquire
 * load, __atomic_load_n(word, __ATOMIC_ACQUIRE), or with an acquire in another kernel or block. */
#if defined(PK_BACKEND_CPU)
static inline void cf_store_release_system(int *word, int value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
#else
static __device__ inline void cf_store_release_system(int *word, int value)
{
    asm volatile("st.release.sys.s32 [%0], %1;" ::"l"(word), "r"(value) : "memory");
}
#endif

/* A kernel that waits until the host opens it, to hold a stream back. It gives up after some seconds, so that a
 * failed case ends. */
typedef struct cf_gate {
    int *host, *device;
} cf_gate;

pk_status cf_gate_make(cf_gate *gate);
pk_status cf_gate_enqueue(const cf_gate *gate, cudaStream_t stream); /* also where the stream captures */
void cf_gate_open(const cf_gate *gate);

/* Released when the case has ended and the device is idle, the newest first. */
pk_status cf_hold(void *what, void (*release)(void *));

pk_status cf_device(void **device, size_t bytes);
pk_status cf_pinned(void **host, size_t bytes);
pk_status cf_mapped(void **host, void **device, size_t bytes);
pk_status cf_stream(cudaStream_t *stream, unsigned flags);
pk_status cf_event(cudaEvent_t *event, unsigned flags);

/* Waits for the device; the copy is released at the end of the case. Null: it failed, pk_error_text() says how. */
const void *cf_download(const void *device, size_t bytes);

/* Whether the stream has work that has not ended. Leaves no last error. */
bool cf_stream_busy(cudaStream_t stream);

void cf_expect_error(cudaError_t got, cudaError_t want, const char *call, const char *file, int line);
void cf_observe_error(const char *what, cudaError_t error);
int cf_attribute(cudaDeviceAttr which);

const char *cf_settle(void);

/* Kernels of one thread. The first does not commute, so that its result tells the order of its launches. */
__global__ void cf_affine(unsigned *x, unsigned a, unsigned b);      /* *x = *x * a + b */
__global__ void cf_ticket(unsigned *counter, unsigned *slot);        /* *slot = ++*counter, atomically */
__global__ void cf_set(int *x, int value);                           /* *x = value */
__global__ void cf_copy_after(const int *from, int *to, int factor); /* *to = *from * factor */

#endif
