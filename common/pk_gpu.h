/* The one GPU header that a .cu file includes: picks the backend, checks calls, launches and counts kernels.
 *
 * Labs are written in CUDA's own names. On CUDA they are CUDA's; on the CPU device its runtime offers them; on
 * HIP one header maps them. The build defines exactly one of PK_BACKEND_CUDA, PK_BACKEND_HIP,
 * PK_BACKEND_HIP_NVIDIA and PK_BACKEND_CPU. */
#ifndef PK_GPU_H
#define PK_GPU_H

#if defined(PK_BACKEND_HIP) || defined(PK_BACKEND_HIP_NVIDIA)
#include "hip/pk_hip.h"
#elif defined(PK_BACKEND_CUDA) || defined(PK_BACKEND_CPU)
#include <cuda_runtime.h>
#else
#error "no backend: configure with -DPK_BACKEND=auto|cuda|hip|hip-nvidia|cpu"
#endif

#include "pk_device.h"
#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Record what `call` reported, with CUDA's error name and what to do about it. Returns PK_FAULT. */
pk_status pk_gpu_failed(const char *call, const char *file, int line, cudaError_t error);

#ifdef __cplusplus
}
#endif

/* Of a kernel's parameter whose address is taken: without it each thread makes a copy in local memory, where a function
 * that is not inlined is given the address. The parameter is const. (CUDA C++ Programming Guide, "__grid_constant__")
 */
#if defined(PK_BACKEND_CUDA)
#define PK_GRID_CONSTANT __grid_constant__
#else
#define PK_GRID_CONSTANT
#endif

/* Of a device function that is seldom called, so that what it does takes no instructions and no registers where it is
 * not. */
#if defined(PK_BACKEND_CPU)
#define PK_APART __attribute__((noinline))
#else
#define PK_APART __noinline__
#endif

/* Check a runtime call. On an error the enclosing function returns PK_FAULT, and pk_error_text() says which call
 * failed, where, with which error, and what to do: so the enclosing function returns pk_status. */
#define PK_CHECK(call)                                                                                                 \
    do {                                                                                                               \
        cudaError_t pk_error_ = (call);                                                                                \
        if (pk_error_ != cudaSuccess) {                                                                                \
            (void)pk_gpu_failed(#call, __FILE__, __LINE__, pk_error_);                                                 \
            return PK_FAULT; /* a constant, so that the compiler sees that no result is used after it */               \
        }                                                                                                              \
    } while (0)

/* Pass a pk_status on: anything but PK_OK returns from the enclosing function. */
#define PK_TRY(call)                                                                                                   \
    do {                                                                                                               \
        pk_status pk_status_ = (call);                                                                                 \
        if (pk_status_ != PK_OK)                                                                                       \
            return pk_status_;                                                                                         \
    } while (0)

/* How the backend starts a kernel: an expression statement that leaves its error in the runtime's last error. */
#if defined(PK_BACKEND_CPU)
#define PK_BACKEND_LAUNCH(kernel, grid, block, smem, stream, ...)                                                      \
    (void)PK_CPU_LAUNCH(kernel, grid, block, smem, stream, ##__VA_ARGS__)
#else
#define PK_BACKEND_LAUNCH(kernel, grid, block, smem, stream, ...)                                                      \
    kernel<<<(grid), (block), (smem), (stream)>>>(__VA_ARGS__)
#endif

#define PK_LAUNCH_BY_(start, kernel, grid, block, smem, stream, ...)                                                   \
    do {                                                                                                               \
        static const pk_launch_site pk_site_ = {#kernel, __FILE__, __LINE__};                                          \
        const dim3 pk_grid_(grid), pk_block_(block);                                                                   \
        const cudaStream_t pk_stream_ = (stream);                                                                      \
        const unsigned pk_grid_xyz_[3] = {pk_grid_.x, pk_grid_.y, pk_grid_.z};                                         \
        const unsigned pk_block_xyz_[3] = {pk_block_.x, pk_block_.y, pk_block_.z};                                     \
        pk_launch_begin(&pk_site_, pk_grid_xyz_, pk_block_xyz_, (void *)pk_stream_);                                   \
        start(kernel, pk_grid_, pk_block_, (smem), pk_stream_, ##__VA_ARGS__);                                         \
        pk_launch_end();                                                                                               \
        const cudaError_t pk_launched_ = cudaGetLastError();                                                           \
        if (pk_launched_ != cudaSuccess) {                                                                             \
            (void)pk_gpu_failed("launch of " #kernel, __FILE__, __LINE__, pk_launched_);                               \
            return PK_FAULT;                                                                                           \
        }                                                                                                              \
    } while (0)

/* The one launch spelling: PK_LAUNCH(kernel, grid, block, dynamic shared bytes, stream, arguments...).
 * Checks the launch (the enclosing function returns PK_FAULT when it is refused) and counts it. */
#define PK_LAUNCH(kernel, grid, block, smem, stream, ...)                                                              \
    PK_LAUNCH_BY_(PK_BACKEND_LAUNCH, kernel, grid, block, smem, stream, ##__VA_ARGS__)

/* PK_LAUNCH as a programmatic dependent launch (PK_NEED_PDL): the kernel may start before the one ahead of it in
 * the stream has ended, and must call cudaGridDependencySynchronize() before it touches what that one wrote.
 * Source: CUDA C++ Programming Guide, "Programmatic Dependent Launch and Synchronization". */
#define PK_LAUNCH_PDL(kernel, grid, block, smem, stream, ...)                                                          \
    PK_LAUNCH_BY_(PK_BACKEND_LAUNCH_PDL, kernel, grid, block, smem, stream, ##__VA_ARGS__)

/* PK_LAUNCH as a cooperative launch (PK_NEED_COOPERATIVE): all blocks are resident together and may meet at a grid
 * barrier; a grid that cannot be is refused with cudaErrorCooperativeLaunchTooLarge. Source: CUDA C++ Programming
 * Guide, "Grid Synchronization"; HIP, hipLaunchCooperativeKernel. */
#define PK_LAUNCH_COOPERATIVE(kernel, grid, block, smem, stream, ...)                                                  \
    PK_LAUNCH_BY_(PK_BACKEND_LAUNCH_COOPERATIVE, kernel, grid, block, smem, stream, ##__VA_ARGS__)

#if defined(PK_BACKEND_CUDA)
/* CUDA's extensible launch with one attribute set: `attribute` is its id, `field` its member in the value's union. */
#define PK_LAUNCH_WITH_ATTRIBUTE_(attribute, field, kernel, grid, block, smem, on_stream, ...)                         \
    do {                                                                                                               \
        cudaLaunchAttribute pk_attribute_;                                                                             \
        cudaLaunchConfig_t pk_config_ = {};                                                                            \
        pk_attribute_.id = attribute;                                                                                  \
        pk_attribute_.val.field = 1;                                                                                   \
        pk_config_.gridDim = (grid);                                                                                   \
        pk_config_.blockDim = (block);                                                                                 \
        pk_config_.dynamicSmemBytes = (smem);                                                                          \
        pk_config_.stream = (on_stream);                                                                               \
        pk_config_.attrs = &pk_attribute_;                                                                             \
        pk_config_.numAttrs = 1;                                                                                       \
        (void)cudaLaunchKernelEx(&pk_config_, kernel, ##__VA_ARGS__);                                                  \
    } while (0)
#endif

#if defined(PK_BACKEND_CPU)
#define PK_BACKEND_LAUNCH_COOPERATIVE(kernel, grid, block, smem, stream, ...)                                          \
    (void)PK_CPU_LAUNCH_COOPERATIVE(kernel, grid, block, smem, stream, ##__VA_ARGS__)
#elif defined(PK_BACKEND_CUDA)
#define PK_BACKEND_LAUNCH_COOPERATIVE(kernel, grid, block, smem, stream, ...)                                          \
    PK_LAUNCH_WITH_ATTRIBUTE_(cudaLaunchAttributeCooperative, cooperative, kernel, grid, block, smem, stream,          \
                              ##__VA_ARGS__)
#else
#define PK_BACKEND_LAUNCH_COOPERATIVE(kernel, grid, block, smem, stream, ...)                                          \
    (void)pk_hip_launch_cooperative((kernel), (grid), (block), (smem), (stream), ##__VA_ARGS__)
#endif

/* The one spelling of a graph's launch: PK_GRAPH_LAUNCH(cudaGraphExec_t, stream). Checks it as PK_LAUNCH does, and
 * counts it as one hand-over to the runtime whatever the graph holds. */
#define PK_GRAPH_LAUNCH(exec, stream)                                                                                  \
    do {                                                                                                               \
        const cudaStream_t pk_stream_ = (stream);                                                                      \
        pk_launch_replay_begin((void *)pk_stream_);                                                                    \
        const cudaError_t pk_launched_ = cudaGraphLaunch((exec), pk_stream_);                                          \
        pk_launch_end();                                                                                               \
        if (pk_launched_ != cudaSuccess) {                                                                             \
            (void)pk_gpu_failed("cudaGraphLaunch(" #exec ")", __FILE__, __LINE__, pk_launched_);                       \
            return PK_FAULT;                                                                                           \
        }                                                                                                              \
    } while (0)

/* Give a graph and what was instantiated from it back; NULL: there is none. */
static inline void pk_graph_destroy(cudaGraph_t graph, cudaGraphExec_t exec)
{
    if (exec)
        (void)cudaGraphExecDestroy(exec);
    if (graph)
        (void)cudaGraphDestroy(graph);
}

/* Dynamic shared memory, 128-byte aligned: declares `type *const name`. */
#if defined(PK_BACKEND_CPU)
#define PK_DYNAMIC_SHARED(type, name) type *const name = static_cast<type *>(pk_cpu_dynamic_shared())
#else
#define PK_DYNAMIC_SHARED(type, name)                                                                                  \
    extern __shared__ __align__(128) unsigned char pk_dynamic_shared_[];                                               \
    type *const name = reinterpret_cast<type *>(pk_dynamic_shared_)
#endif

#if defined(PK_BACKEND_CUDA)
#define PK_BACKEND_LAUNCH_PDL(kernel, grid, block, smem, stream, ...)                                                  \
    PK_LAUNCH_WITH_ATTRIBUTE_(cudaLaunchAttributeProgrammaticStreamSerialization,                                      \
                              programmaticStreamSerializationAllowed, kernel, grid, block, smem, stream,               \
                              ##__VA_ARGS__)
#elif defined(PK_BACKEND_CPU)
#define PK_BACKEND_LAUNCH_PDL(kernel, grid, block, smem, stream, ...)                                                  \
    (void)PK_CPU_LAUNCH_PROGRAMMATIC(kernel, grid, block, smem, stream, ##__VA_ARGS__)
#else
/* HIP has none: the capability is absent there, so a variant that needs it is skipped before this runs. */
#define PK_BACKEND_LAUNCH_PDL PK_BACKEND_LAUNCH
#endif

/* The device side of a programmatic dependent launch, where the architecture that is being compiled for has it: wait
 * until the kernel ahead has ended and its writes can be seen; and let the kernel behind begin, once every block of
 * this one has said so or ended. */
#if defined(PK_BACKEND_CPU) || (defined(PK_BACKEND_CUDA) && (!defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900))
#define PK_GRID_DEPENDENCY_SYNCHRONIZE() cudaGridDependencySynchronize()
#define PK_GRID_DEPENDENCY_TRIGGER() cudaTriggerProgrammaticLaunchCompletion()
#else
#define PK_GRID_DEPENDENCY_SYNCHRONIZE() ((void)0)
#define PK_GRID_DEPENDENCY_TRIGGER() ((void)0)
#endif

/* In a kernel: read a word of mapped memory that the host writes while the kernel runs. Acquire at system scope; pairs
 * with the host's release store, __atomic_store_n(word, value, __ATOMIC_RELEASE). */
#if defined(PK_BACKEND_CPU)
static inline int pk_load_acquire_system(const int *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
#elif defined(PK_BACKEND_HIP)
static __device__ inline int pk_load_acquire_system(const int *word)
{
    return __hip_atomic_load(word, __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_SYSTEM);
}
#else
static __device__ inline int pk_load_acquire_system(const int *word)
{
    int value;
    asm volatile("ld.acquire.sys.s32 %0, [%1];" : "=r"(value) : "l"(word) : "memory");
    return value;
}
#endif

/* Let go for a moment inside a polling loop; and about how many such moments make two milliseconds. */
#if defined(PK_BACKEND_HIP)
#define PK_POLL_PAUSE() __builtin_amdgcn_s_sleep(8) /* 8 x 64 cycles */
#define PK_POLL_PAUSES_FOR_2_MS 8000
#elif defined(PK_BACKEND_CPU)
#define PK_POLL_PAUSE() __nanosleep(1000)
#define PK_POLL_PAUSES_FOR_2_MS 40 /* a sleeping thread of the host wakes some 50 us late */
#else
#define PK_POLL_PAUSE() __nanosleep(100)
#define PK_POLL_PAUSES_FOR_2_MS 20000
#endif

#endif
