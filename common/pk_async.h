/* Asynchronous copies from device memory into a block's shared memory, the same on every backend. Included by .cu files
 * after pk_gpu.h.
 *
 * Copies of a thread (PK_NEED_ASYNC_COPY where they are to be asynchronous):
 *   pk_async_copy_16(shared, global)     16 bytes by the calling thread, past the L1 cache; both addresses 16-aligned
 *   pk_async_commit()                    the thread's copies since the last commit become a group
 *   pk_async_wait_prior<N>()             returns when at most the N newest groups of the thread are under way still
 * A wait is about the calling thread's own copies: __syncthreads() after it shows them to the block. Before a buffer is
 * copied into again, __syncthreads() after its last read.
 * On an AMD GPU a copy is a load and a store, done when pk_async_copy_16 returns: what the rest of the code gains there
 * is the shared tile, and no overlap.
 *
 * Bulk copies (PK_NEED_BULK_ASYNC_COPY): one thread asks for many bytes, and a barrier in shared memory says when they
 * have landed. A barrier's phase ends when `count` arrivals were made and all bytes that were expected have landed; the
 * next begins at once, with the same count and no bytes. Phases are numbered from 0.
 *   pk_async_barrier                            8 bytes, 8-aligned, in shared memory
 *   pk_async_barrier_init(barrier, count)       by one thread; then, by that thread,
 *   pk_async_barrier_init_fence()               once for all of them, and __syncthreads() before anyone uses them
 *   pk_async_barrier_arrive(barrier)            release, scope block
 *   pk_async_barrier_arrive_expect(barrier, b)  the phase waits for b more bytes; then arrives
 *   pk_async_barrier_wait(barrier, parity)      acquire, scope block: returns when the phase of this parity has ended.
 *                                               It must be the phase under way or the one before
 *   pk_async_barrier_try(barrier, parity)       the same, true when it has ended; else false, after a while
 *   pk_async_barrier_test(barrier, parity)      the same, at once: for who has something else to look at too
 *   pk_bulk_copy(shared, global, b, barrier)    b a multiple of 16, both addresses 16-aligned, b expected before
 *                                               (on an H200 it takes longer where 128 does not divide `shared`: lab
 *                                               07's notes)
 *   pk_bulk_copy_once(shared, global, b, barrier)
 *                                               the same, of bytes that are read once: the first to leave the L2 cache
 *   pk_bulk_prefetch(global, b)                 b bytes into the L2 cache; nothing says when they are there
 *   pk_async_fence()                            between plain accesses to memory, by this thread or by one that it has
 *                                               synchronised with, and bulk copies that this thread asks for after it
 *   pk_async_fence_shared()                     between this thread's accesses to shared memory, and bulk copies that
 *                                               a thread asks for which this one synchronises with after it
 * Bulk copies are made by another unit than loads and stores (PTX: the async proxy). A copy from, or into, what was
 * written by plain stores needs a fence. So does a copy into a buffer that was only read, unless what was read has been
 * used before its reader says that it has read it: an arrival at a barrier does not wait for loads that are under way,
 * and a copy may overtake them (measured: lab 07's notes).
 *
 * Some warps of a block (PK_NEED_BULK_ASYNC_COPY):
 *   pk_warps_sync(barrier, id, threads)         what __syncthreads() is to a block, for `threads` of its threads, whole
 *                                               warps; id 1 to 15, one for each set of warps that meets. On NVIDIA the
 *                                               hardware's barrier of this number; the CPU device meets at `barrier`,
 *                                               which is initialised with `threads` everywhere,
 *                                               and refuses what a GPU would hang at
 *
 * Sources: PTX ISA, "Data Movement and Conversion Instructions: Asynchronous copy", "mbarrier", "Async proxy",
 * "createpolicy", "barrier"; CUDA C++ Programming Guide, "Asynchronous Data Copies". */
#ifndef PK_ASYNC_H
#define PK_ASYNC_H

#include "pk_gpu.h"

typedef unsigned long long pk_async_barrier;

#if defined(PK_BACKEND_CPU)

#include <cuda_pipeline_primitives.h>

static_assert(sizeof(pk_async_barrier) == sizeof(__mbarrier_t), "a barrier is one word of 64 bits");

static inline void pk_async_copy_16(void *shared, const void *global)
{
    __pipeline_memcpy_async(shared, global, 16);
}

static inline void pk_async_commit(void)
{
    __pipeline_commit();
}

template <int N> static inline void pk_async_wait_prior(void)
{
    __pipeline_wait_prior(N);
}

static inline __mbarrier_t *pk_async_word_(pk_async_barrier *barrier)
{
    return reinterpret_cast<__mbarrier_t *>(barrier);
}

static inline void pk_async_barrier_init(pk_async_barrier *barrier, unsigned count)
{
    __mbarrier_init(pk_async_word_(barrier), count);
}

static inline void pk_async_barrier_init_fence(void)
{
}

static inline void pk_async_barrier_arrive(pk_async_barrier *barrier)
{
    (void)__mbarrier_arrive(pk_async_word_(barrier));
}

static inline void pk_async_barrier_arrive_expect(pk_async_barrier *barrier, unsigned bytes)
{
    (void)pk_cpu_mbarrier_arrive(pk_async_word_(barrier), bytes, false);
}

static inline void pk_async_barrier_wait(pk_async_barrier *barrier, unsigned parity, PK_CPU_PLACE_)
{
    while (!__mbarrier_try_wait_parity(pk_async_word_(barrier), parity, 1000, file, line)) {
    }
}

static inline bool pk_async_barrier_try(pk_async_barrier *barrier, unsigned parity, PK_CPU_PLACE_)
{
    return __mbarrier_try_wait_parity(pk_async_word_(barrier), parity, 1000, file, line);
}

static inline bool pk_async_barrier_test(pk_async_barrier *barrier, unsigned parity, PK_CPU_PLACE_)
{
    return __mbarrier_test_wait_parity(pk_async_word_(barrier), parity, file, line);
}

static inline void pk_bulk_copy(void *shared, const void *global, unsigned bytes, pk_async_barrier *barrier)
{
    pk_cpu_bulk_copy(shared, global, bytes, pk_async_word_(barrier));
}

static inline void pk_bulk_copy_once(void *shared, const void *global, unsigned bytes, pk_async_barrier *barrier)
{
    pk_bulk_copy(shared, global, bytes, barrier);
}

static inline void pk_bulk_prefetch(const void *, unsigned)
{
}

static inline void pk_async_fence(void)
{
}

static inline void pk_async_fence_shared(void)
{
}

static inline void pk_warps_sync(pk_async_barrier *barrier, unsigned id, unsigned threads, PK_CPU_PLACE_)
{
    pk_cpu_warps_arrive(pk_async_word_(barrier), id, threads, file, line);
    const __mbarrier_token_t token = __mbarrier_arrive(pk_async_word_(barrier));
    while (!__mbarrier_try_wait(pk_async_word_(barrier), token, 1000, file, line)) {
    }
}

#elif defined(PK_BACKEND_HIP)

static __device__ inline void pk_async_copy_16(void *shared, const void *global)
{
    *static_cast<uint4 *>(shared) = *static_cast<const uint4 *>(global);
}

static __device__ inline void pk_async_commit(void)
{
}

template <int N> static __device__ inline void pk_async_wait_prior(void)
{
}

/* Here so that kernels compile: a variant that uses them is skipped before it runs. */
static __device__ inline void pk_async_barrier_init(pk_async_barrier *, unsigned)
{
    __builtin_trap();
}

static __device__ inline void pk_async_barrier_init_fence(void)
{
}

static __device__ inline void pk_async_barrier_arrive(pk_async_barrier *)
{
}

static __device__ inline void pk_async_barrier_arrive_expect(pk_async_barrier *, unsigned)
{
}

static __device__ inline void pk_async_barrier_wait(pk_async_barrier *, unsigned)
{
}

static __device__ inline bool pk_async_barrier_try(pk_async_barrier *, unsigned)
{
    return true;
}

static __device__ inline bool pk_async_barrier_test(pk_async_barrier *, unsigned)
{
    return true;
}

static __device__ inline void pk_bulk_copy(void *, const void *, unsigned, pk_async_barrier *)
{
}

static __device__ inline void pk_bulk_copy_once(void *, const void *, unsigned, pk_async_barrier *)
{
}

static __device__ inline void pk_bulk_prefetch(const void *, unsigned)
{
}

static __device__ inline void pk_async_fence(void)
{
}

static __device__ inline void pk_async_fence_shared(void)
{
}

static __device__ inline void pk_warps_sync(pk_async_barrier *, unsigned, unsigned)
{
}

#else

/* PTX's addresses within shared and global memory. */
static __device__ inline unsigned pk_async_shared_(const void *shared)
{
    return (unsigned)__cvta_generic_to_shared(shared);
}

static __device__ inline size_t pk_async_global_(const void *global)
{
    return __cvta_generic_to_global(global);
}

static __device__ inline void pk_async_copy_16(void *shared, const void *global)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                 :
                 : "r"(pk_async_shared_(shared)), "l"(pk_async_global_(global))
                 : "memory");
}

static __device__ inline void pk_async_commit(void)
{
    asm volatile("cp.async.commit_group;" : : : "memory");
}

template <int N> static __device__ inline void pk_async_wait_prior(void)
{
    asm volatile("cp.async.wait_group %0;" : : "n"(N) : "memory");
}

static __device__ inline void pk_warps_sync(pk_async_barrier *barrier, unsigned id, unsigned threads)
{
    (void)barrier;
    asm volatile("barrier.sync %0, %1;" : : "r"(id), "r"(threads) : "memory");
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
/* An instruction that takes compute capability 9.0. Code for an older GPU has a trap in its place, and is never run:
 * the capability is absent there. */
#define PK_ASYNC_PTX_(...) asm volatile(__VA_ARGS__)
#else
#define PK_ASYNC_PTX_(...) __trap()
#endif

static __device__ inline void pk_async_barrier_init(pk_async_barrier *barrier, unsigned count)
{
    PK_ASYNC_PTX_("mbarrier.init.shared::cta.b64 [%0], %1;" : : "r"(pk_async_shared_(barrier)), "r"(count) : "memory");
}

static __device__ inline void pk_async_barrier_init_fence(void)
{
    PK_ASYNC_PTX_("fence.mbarrier_init.release.cluster;" : : : "memory");
}

static __device__ inline void pk_async_barrier_arrive(pk_async_barrier *barrier)
{
    PK_ASYNC_PTX_("mbarrier.arrive.release.cta.shared::cta.b64 _, [%0];" : : "r"(pk_async_shared_(barrier)) : "memory");
}

static __device__ inline void pk_async_barrier_arrive_expect(pk_async_barrier *barrier, unsigned bytes)
{
    PK_ASYNC_PTX_("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;"
                  :
                  : "r"(pk_async_shared_(barrier)), "r"(bytes)
                  : "memory");
}

/* The instruction itself waits for a while, so nothing is gained by a pause here. */
static __device__ inline void pk_async_barrier_wait(pk_async_barrier *barrier, unsigned parity)
{
    PK_ASYNC_PTX_("{\n"
                  ".reg .pred ended;\n"
                  "again:\n"
                  "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 ended, [%0], %1;\n"
                  "@!ended bra again;\n"
                  "}"
                  :
                  : "r"(pk_async_shared_(barrier)), "r"(parity)
                  : "memory");
}

/* The body of the two below: whether the phase has ended, by mbarrier.try_wait or .test_wait. */
#define PK_ASYNC_ENDED_(wait, barrier, parity)                                                                         \
    unsigned ended = 0;                                                                                                \
    PK_ASYNC_PTX_("{\n"                                                                                                \
                  ".reg .pred ended;\n"                                                                                \
                  "mbarrier." wait ".parity.acquire.cta.shared::cta.b64 ended, [%1], %2;\n"                            \
                  "selp.u32 %0, 1, 0, ended;\n"                                                                        \
                  "}"                                                                                                  \
                  : "=r"(ended)                                                                                        \
                  : "r"(pk_async_shared_(barrier)), "r"(parity)                                                        \
                  : "memory");                                                                                         \
    return ended != 0

static __device__ inline bool pk_async_barrier_try(pk_async_barrier *barrier, unsigned parity)
{
    PK_ASYNC_ENDED_("try_wait", barrier, parity);
}

static __device__ inline bool pk_async_barrier_test(pk_async_barrier *barrier, unsigned parity)
{
    PK_ASYNC_ENDED_("test_wait", barrier, parity);
}

#undef PK_ASYNC_ENDED_

/* The cluster of this form is the block itself: in a launch without clusters each block is one. */
static __device__ inline void pk_bulk_copy(void *shared, const void *global, unsigned bytes, pk_async_barrier *barrier)
{
    PK_ASYNC_PTX_("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                  :
                  : "r"(pk_async_shared_(shared)), "l"(pk_async_global_(global)), "r"(bytes),
                    "r"(pk_async_shared_(barrier))
                  : "memory");
}

static __device__ inline void pk_bulk_copy_once(void *shared, const void *global, unsigned bytes,
                                                pk_async_barrier *barrier)
{
    PK_ASYNC_PTX_("{\n"
                  ".reg .b64 first_to_go;\n"
                  "createpolicy.fractional.L2::evict_first.b64 first_to_go, 1.0;\n"
                  "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, "
                  "[%3], first_to_go;\n"
                  "}"
                  :
                  : "r"(pk_async_shared_(shared)), "l"(pk_async_global_(global)), "r"(bytes),
                    "r"(pk_async_shared_(barrier))
                  : "memory");
}

static __device__ inline void pk_bulk_prefetch(const void *global, unsigned bytes)
{
    PK_ASYNC_PTX_("cp.async.bulk.prefetch.L2.global [%0], %1;"
                  :
                  : "l"(pk_async_global_(global)), "r"(bytes)
                  : "memory");
}

static __device__ inline void pk_async_fence(void)
{
    PK_ASYNC_PTX_("fence.proxy.async;" : : : "memory");
}

static __device__ inline void pk_async_fence_shared(void)
{
    PK_ASYNC_PTX_("fence.proxy.async.shared::cta;" : : : "memory");
}

#endif

/* Where a chunk is in a ring of stages, each with barriers of its own: and the parity of their phases, 0, 1, 0, ... */
typedef struct pk_ring_turn {
    int stage;
    unsigned parity;
} pk_ring_turn;

static __device__ inline pk_ring_turn pk_ring_next(pk_ring_turn turn, int stages)
{
    if (++turn.stage == stages) {
        turn.stage = 0;
        turn.parity ^= 1u;
    }
    return turn;
}

#endif
