/* HIP's NVIDIA headers under a newer CUDA toolkit.
 *
 * These headers are inline functions over CUDA 11 and 12. CUDA 13 removed some of what they call and gave other calls
 * more arguments, so they no longer compile, although no lab uses these functions. Here are the forms that they
 * expect: calls whose arguments changed as overloads beside CUDA's own, calls that are gone as functions that report
 * cudaErrorNotSupported, fields that are gone in a struct that the headers see in place of CUDA's. Headers that know
 * CUDA 13 find CUDA's own forms, and none of this matters to them. */
#ifndef PK_HIP_NVIDIA_H
#define PK_HIP_NVIDIA_H

#ifndef __HIP_PLATFORM_NVIDIA__
#define __HIP_PLATFORM_NVIDIA__ 1
#endif

#include <cuda.h>
#include <cuda_runtime.h>
#include <string.h>

/* The largest shared memory that a kernel may ask for, in bytes; 0 where it cannot be asked. */
static inline size_t pk_hip_nvidia_shared_bytes(int device)
{
    int bytes = 0;
    return cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) == cudaSuccess
               ? (size_t)bytes
               : 0;
}

#if CUDART_VERSION >= 13000

/* ---- calls that take more now ---- */
static inline cudaError_t cudaMemAdvise(const void *memory, size_t bytes, enum cudaMemoryAdvise advice, int device)
{
    cudaMemLocation location = {};
    location.type = device == cudaCpuDeviceId ? cudaMemLocationTypeHost : cudaMemLocationTypeDevice;
    location.id = device;
    return cudaMemAdvise(memory, bytes, advice, location);
}

static inline cudaError_t cudaMemPrefetchAsync(const void *memory, size_t bytes, int device, cudaStream_t stream)
{
    cudaMemLocation location = {};
    location.type = device == cudaCpuDeviceId ? cudaMemLocationTypeHost : cudaMemLocationTypeDevice;
    location.id = device;
    return cudaMemPrefetchAsync(memory, bytes, location, 0, stream);
}

static inline cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t *from,
                                                   const cudaGraphNode_t *to, size_t count)
{
    return cudaGraphAddDependencies(graph, from, to, NULL, count);
}

static inline cudaError_t cudaGraphRemoveDependencies(cudaGraph_t graph, const cudaGraphNode_t *from,
                                                      const cudaGraphNode_t *to, size_t count)
{
    return cudaGraphRemoveDependencies(graph, from, to, NULL, count);
}

static inline cudaError_t cudaGraphGetEdges(cudaGraph_t graph, cudaGraphNode_t *from, cudaGraphNode_t *to,
                                            size_t *count)
{
    return cudaGraphGetEdges(graph, from, to, NULL, count);
}

static inline cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t *nodes, size_t *count)
{
    return cudaGraphNodeGetDependencies(node, nodes, NULL, count);
}

static inline cudaError_t cudaGraphNodeGetDependentNodes(cudaGraphNode_t node, cudaGraphNode_t *nodes, size_t *count)
{
    return cudaGraphNodeGetDependentNodes(node, nodes, NULL, count);
}

static inline cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t *nodes, size_t count,
                                                              unsigned flags)
{
    return cudaStreamUpdateCaptureDependencies(stream, nodes, NULL, count, flags);
}

static inline cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
                                                      unsigned long long *id, cudaGraph_t *graph,
                                                      const cudaGraphNode_t **nodes, size_t *count)
{
    return cudaStreamGetCaptureInfo(stream, status, id, graph, nodes, NULL, count);
}

/* cuda.h makes cuCtxCreate a macro for its newest version: this overloads that one. */
static inline CUresult cuCtxCreate(CUcontext *context, unsigned flags, CUdevice device)
{
    return cuCtxCreate(context, (CUctxCreateParams *)NULL, flags, device);
}

/* ---- calls that are gone: texture references, launches over several devices ---- */
template <class... Arguments> static inline cudaError_t pk_cuda_removed(const Arguments &...)
{
    return cudaErrorNotSupported;
}
#define cudaBindTexture pk_cuda_removed
#define cudaBindTexture2D pk_cuda_removed
#define cudaBindTextureToArray pk_cuda_removed
#define cudaGetTextureAlignmentOffset pk_cuda_removed
#define cudaLaunchCooperativeKernelMultiDevice pk_cuda_removed
#define cudaUnbindTexture pk_cuda_removed

struct textureReference;
template <class Texel, int dimensions, enum cudaTextureReadMode mode> struct texture;

/* ---- device properties: fields that are attributes only now ---- */
#define cudaDevAttrCooperativeMultiDeviceLaunch ((enum cudaDeviceAttr)96) /* its number in CUDA 12 */

struct pk_cuda12_device_prop : cudaDeviceProp {
    int clockRate, memoryClockRate, computeMode, kernelExecTimeoutEnabled, cooperativeMultiDeviceLaunch;
};

static inline cudaError_t cudaGetDeviceProperties(pk_cuda12_device_prop *properties, int device)
{
    memset(properties, 0, sizeof *properties);
    const cudaError_t error = cudaGetDeviceProperties(static_cast<cudaDeviceProp *>(properties), device);
    if (error != cudaSuccess)
        return error;
    (void)cudaDeviceGetAttribute(&properties->clockRate, cudaDevAttrClockRate, device);
    (void)cudaDeviceGetAttribute(&properties->memoryClockRate, cudaDevAttrMemoryClockRate, device);
    (void)cudaDeviceGetAttribute(&properties->computeMode, cudaDevAttrComputeMode, device);
    return cudaDeviceGetAttribute(&properties->kernelExecTimeoutEnabled, cudaDevAttrKernelExecTimeout, device);
}
#define cudaDeviceProp pk_cuda12_device_prop

#endif /* CUDART_VERSION >= 13000 */

/* The headers' own faults, which are not ours to fix: an ignored result, a function without a return. */
#pragma nv_diagnostic push
#pragma nv_diag_suppress 940
#pragma nv_diag_suppress 2810
#include <hip/hip_runtime.h>
#pragma nv_diagnostic pop

#if CUDART_VERSION >= 13000
#undef cudaBindTexture
#undef cudaBindTexture2D
#undef cudaBindTextureToArray
#undef cudaGetTextureAlignmentOffset
#undef cudaLaunchCooperativeKernelMultiDevice
#undef cudaUnbindTexture
#undef cudaDevAttrCooperativeMultiDeviceLaunch
#undef cudaDeviceProp
#endif
#endif
