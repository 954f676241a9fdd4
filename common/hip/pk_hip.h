/* CUDA's names on HIP: what the labs write, and what HIP calls it. pk_gpu.h includes this for both HIP backends:
 *   PK_BACKEND_HIP         HIP compiled by clang for an AMD GPU, ROCm 5.2 and later
 *   PK_BACKEND_HIP_NVIDIA  HIP's own NVIDIA headers under nvcc: the same HIP calls, on an NVIDIA GPU
 *
 * One line a name, ordered by concern; a name that needs more than another name is a function below its table. A
 * macro reaches every file included after this one, so a .cu file that wants another CUDA header includes it first. */
#ifndef PK_HIP_H
#define PK_HIP_H

#if defined(PK_BACKEND_HIP_NVIDIA)
#include "hip/pk_hip_nvidia.h"
#else
#include <hip/hip_runtime.h>
#endif

/* ---- errors ---- */
#define cudaError_t hipError_t
#define cudaGetErrorName hipGetErrorName
#define cudaGetErrorString hipGetErrorString
#define cudaGetLastError hipGetLastError
#define cudaPeekAtLastError hipPeekAtLastError

#define cudaSuccess hipSuccess
#define cudaErrorCooperativeLaunchTooLarge hipErrorCooperativeLaunchTooLarge
#define cudaErrorIllegalAddress hipErrorIllegalAddress
#define cudaErrorInsufficientDriver hipErrorInsufficientDriver
#define cudaErrorInvalidConfiguration hipErrorInvalidConfiguration
#define cudaErrorInvalidDevice hipErrorInvalidDevice
#define cudaErrorInvalidValue hipErrorInvalidValue
#define cudaErrorMemoryAllocation hipErrorOutOfMemory
#define cudaErrorNoDevice hipErrorNoDevice
#define cudaErrorNoKernelImageForDevice hipErrorNoBinaryForGpu
#define cudaErrorNotReady hipErrorNotReady
#define cudaErrorNotSupported hipErrorNotSupported
#define cudaErrorStreamCaptureInvalidated hipErrorStreamCaptureInvalidated
#define cudaErrorStreamCaptureUnsupported hipErrorStreamCaptureUnsupported
#define cudaErrorGraphExecUpdateFailure hipErrorGraphExecUpdateFailure

/* ---- the device ---- */
#define cudaDeviceGetPCIBusId hipDeviceGetPCIBusId
#define cudaDeviceReset hipDeviceReset
#define cudaDeviceSynchronize hipDeviceSynchronize
#define cudaDriverGetVersion hipDriverGetVersion
#define cudaGetDevice hipGetDevice
#define cudaGetDeviceCount hipGetDeviceCount
#define cudaRuntimeGetVersion hipRuntimeGetVersion
#define cudaSetDevice hipSetDevice

#define cudaDeviceProp hipDeviceProp_t
#define cudaGetDeviceProperties hipGetDeviceProperties

#define cudaDeviceAttr hipDeviceAttribute_t
#define cudaDeviceGetAttribute hipDeviceGetAttribute
#define cudaDevAttrCanMapHostMemory hipDeviceAttributeCanMapHostMemory
#define cudaDevAttrComputeCapabilityMajor hipDeviceAttributeComputeCapabilityMajor
#define cudaDevAttrComputeCapabilityMinor hipDeviceAttributeComputeCapabilityMinor
#define cudaDevAttrClockRate hipDeviceAttributeClockRate
#define cudaDevAttrCooperativeLaunch hipDeviceAttributeCooperativeLaunch
#define cudaDevAttrL2CacheSize hipDeviceAttributeL2CacheSize
#define cudaDevAttrMaxBlockDimX hipDeviceAttributeMaxBlockDimX
#define cudaDevAttrMaxGridDimX hipDeviceAttributeMaxGridDimX
#define cudaDevAttrMaxSharedMemoryPerBlock hipDeviceAttributeMaxSharedMemoryPerBlock
/* HIP has no opt-in beyond the ordinary limit that works on both vendors. */
#define cudaDevAttrMaxSharedMemoryPerBlockOptin hipDeviceAttributeMaxSharedMemoryPerBlock
#define cudaDevAttrMaxThreadsPerBlock hipDeviceAttributeMaxThreadsPerBlock
#define cudaDevAttrMaxThreadsPerMultiProcessor hipDeviceAttributeMaxThreadsPerMultiProcessor
#define cudaDevAttrMultiProcessorCount hipDeviceAttributeMultiprocessorCount
#define cudaDevAttrWarpSize hipDeviceAttributeWarpSize

/* ---- memory ---- */
#define cudaFree hipFree
#define cudaMalloc hipMalloc
#define cudaMemGetInfo hipMemGetInfo
#define cudaMemcpy hipMemcpy
#define cudaMemcpyAsync hipMemcpyAsync
#define cudaMemset hipMemset
#define cudaMemsetAsync hipMemsetAsync

#define cudaMemcpyKind hipMemcpyKind
#define cudaMemcpyDefault hipMemcpyDefault
#define cudaMemcpyDeviceToDevice hipMemcpyDeviceToDevice
#define cudaMemcpyDeviceToHost hipMemcpyDeviceToHost
#define cudaMemcpyHostToDevice hipMemcpyHostToDevice
#define cudaMemcpyHostToHost hipMemcpyHostToHost

/* ---- host memory mapped into the device ---- */
#define cudaFreeHost hipHostFree
#define cudaHostAlloc hipHostMalloc
#define cudaHostGetDevicePointer hipHostGetDevicePointer
#define cudaMallocHost(host, bytes) hipHostMalloc((host), (bytes), hipHostMallocDefault)

/* ---- streams ---- */
#define cudaStream_t hipStream_t
#define cudaStreamCreate hipStreamCreate
#define cudaStreamCreateWithFlags hipStreamCreateWithFlags
#define cudaStreamCreateWithPriority hipStreamCreateWithPriority
#define cudaDeviceGetStreamPriorityRange hipDeviceGetStreamPriorityRange
#define cudaStreamDestroy hipStreamDestroy
#define cudaStreamQuery hipStreamQuery
#define cudaStreamSynchronize hipStreamSynchronize
#define cudaStreamWaitEvent hipStreamWaitEvent

/* ---- events ---- */
#define cudaEvent_t hipEvent_t
#define cudaEventCreate hipEventCreate
#define cudaEventCreateWithFlags hipEventCreateWithFlags
#define cudaEventDestroy hipEventDestroy
#define cudaEventElapsedTime hipEventElapsedTime
#define cudaEventQuery hipEventQuery
#define cudaEventRecord hipEventRecord
#define cudaEventSynchronize hipEventSynchronize

/* ---- kernels: launch, attributes, occupancy ---- */
#define cudaLaunchKernel hipLaunchKernel
#define cudaLaunchCooperativeKernel hipLaunchCooperativeKernel
#define cudaOccupancyMaxActiveBlocksPerMultiprocessor hipOccupancyMaxActiveBlocksPerMultiprocessor
#define cudaOccupancyMaxPotentialBlockSize hipOccupancyMaxPotentialBlockSize

#define cudaFuncAttribute hipFuncAttribute
#define cudaFuncAttributeMaxDynamicSharedMemorySize hipFuncAttributeMaxDynamicSharedMemorySize
#define cudaFuncAttributes hipFuncAttributes

/* CUDA takes the kernel itself, HIP an untyped pointer to it. */
template <class Kernel>
static inline hipError_t pk_hip_func_get_attributes(hipFuncAttributes *attributes, Kernel *kernel)
{
    return hipFuncGetAttributes(attributes, (const void *)kernel);
}

template <class Kernel>
static inline hipError_t pk_hip_func_set_attribute(Kernel *kernel, hipFuncAttribute what, int value)
{
    return hipFuncSetAttribute((const void *)kernel, what, value);
}

/* CUDA's cudaLaunchKernelEx takes the arguments themselves, HIP their addresses: each is made the parameter's own
 * type first. */
template <class T> struct pk_hip_same {
    typedef T type;
};

template <class... Parameters>
static inline hipError_t pk_hip_launch_cooperative(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t smem,
                                                   hipStream_t stream,
                                                   typename pk_hip_same<Parameters>::type... arguments)
{
    void *addresses[] = {(void *)&arguments..., NULL};
    return hipLaunchCooperativeKernel((const void *)kernel, grid, block, addresses, (unsigned)smem, stream);
}

#define cudaFuncGetAttributes pk_hip_func_get_attributes
#define cudaFuncSetAttribute pk_hip_func_set_attribute

/* ---- graphs: capture, instantiate, launch, update ---- */
#define cudaGraph_t hipGraph_t
#define cudaGraphExec_t hipGraphExec_t
#define cudaGraphNode_t hipGraphNode_t

#define cudaStreamBeginCapture hipStreamBeginCapture
#define cudaStreamCaptureMode hipStreamCaptureMode
#define cudaStreamCaptureModeGlobal hipStreamCaptureModeGlobal
#define cudaStreamCaptureModeRelaxed hipStreamCaptureModeRelaxed
#define cudaStreamCaptureModeThreadLocal hipStreamCaptureModeThreadLocal
#define cudaStreamCaptureStatus hipStreamCaptureStatus
#define cudaStreamCaptureStatusActive hipStreamCaptureStatusActive
#define cudaStreamCaptureStatusInvalidated hipStreamCaptureStatusInvalidated
#define cudaStreamCaptureStatusNone hipStreamCaptureStatusNone
#define cudaStreamEndCapture hipStreamEndCapture
#define cudaStreamIsCapturing hipStreamIsCapturing

#define cudaGraphCreate hipGraphCreate
#define cudaGraphDestroy hipGraphDestroy
#define cudaGraphExecDestroy hipGraphExecDestroy
#define cudaGraphGetNodes hipGraphGetNodes
#define cudaGraphLaunch hipGraphLaunch
#define cudaGraphNodeGetType hipGraphNodeGetType
#define cudaGraphNodeType hipGraphNodeType
#define cudaGraphNodeTypeKernel hipGraphNodeTypeKernel

#define cudaGraphAddKernelNode hipGraphAddKernelNode
#define cudaGraphExecKernelNodeSetParams hipGraphExecKernelNodeSetParams
#define cudaGraphKernelNodeGetParams hipGraphKernelNodeGetParams
#define cudaKernelNodeParams hipKernelNodeParams

/* CUDA 12 and later take three arguments, the last of which may be left out; HIP's call of this name takes five. */
static inline hipError_t pk_hip_graph_instantiate(hipGraphExec_t *exec, hipGraph_t graph, unsigned long long flags = 0)
{
    return hipGraphInstantiateWithFlags(exec, graph, flags);
}

/* What CUDA 12 and later report of a failed update, in one struct. */
typedef struct pk_hip_graph_update_info {
    hipGraphExecUpdateResult result;
    hipGraphNode_t errorNode, errorFromNode;
} pk_hip_graph_update_info;

static inline hipError_t pk_hip_graph_exec_update(hipGraphExec_t exec, hipGraph_t graph, pk_hip_graph_update_info *info)
{
    info->errorNode = info->errorFromNode = NULL;
    return hipGraphExecUpdate(exec, graph, &info->errorNode, &info->result);
}

#define cudaGraphExecUpdate pk_hip_graph_exec_update
#define cudaGraphExecUpdateResultInfo pk_hip_graph_update_info
#define cudaGraphExecUpdateSuccess hipGraphExecUpdateSuccess
#define cudaGraphInstantiate pk_hip_graph_instantiate

#if defined(PK_BACKEND_HIP)

/* ---- flags ----
 * Macros in CUDA, which HIP's NVIDIA headers use as they are: only HIP proper needs them named. */
#define cudaEventDisableTiming hipEventDisableTiming
#define cudaHostAllocDefault hipHostMallocDefault
/* CUDA's mapped memory is coherent with a running kernel; on an AMD GPU that is asked for. */
#define cudaHostAllocMapped (hipHostMallocMapped | hipHostMallocCoherent)
#define cudaHostAllocPortable hipHostMallocPortable
#define cudaHostAllocWriteCombined hipHostMallocWriteCombined
#define cudaStreamNonBlocking hipStreamNonBlocking

/* ---- warps ----
 * The labs' warp has 32 threads. A wavefront of a gfx9 GPU has 64: it then holds two such warps, each shuffle stays
 * within its half, and a vote looks at its half's lanes. The mask is CUDA's way to say which threads meet; a
 * wavefront's do anyway. */
#define PK_HIP_WARP 32

template <class Value>
__device__ static inline Value pk_hip_shfl(unsigned, Value value, int lane, int width = PK_HIP_WARP)
{
    return __shfl(value, lane, width);
}

template <class Value>
__device__ static inline Value pk_hip_shfl_up(unsigned, Value value, unsigned delta, int width = PK_HIP_WARP)
{
    return __shfl_up(value, delta, width);
}

template <class Value>
__device__ static inline Value pk_hip_shfl_down(unsigned, Value value, unsigned delta, int width = PK_HIP_WARP)
{
    return __shfl_down(value, delta, width);
}

template <class Value>
__device__ static inline Value pk_hip_shfl_xor(unsigned, Value value, int lane_mask, int width = PK_HIP_WARP)
{
    return __shfl_xor(value, lane_mask, width);
}

__device__ static inline unsigned pk_hip_ballot(unsigned mask, int predicate)
{
    const unsigned half = __lane_id() & PK_HIP_WARP; /* 0 or 32: where this warp's lanes begin in the wavefront */
    return (unsigned)(__ballot(predicate) >> half) & mask;
}

__device__ static inline int pk_hip_any(unsigned mask, int predicate)
{
    return pk_hip_ballot(mask, predicate) != 0;
}

__device__ static inline int pk_hip_all(unsigned mask, int predicate)
{
    return pk_hip_ballot(mask, !predicate) == 0;
}

/* The lanes of a wavefront advance together; what is left to order is what the compiler may move across. */
__device__ static inline void pk_hip_syncwarp(unsigned = 0xffffffffu)
{
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront");
    __builtin_amdgcn_wave_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront");
}

/* Replaces ROCm 7's functions of these names too: they take 64-bit masks only. */
#define __all_sync pk_hip_all
#define __any_sync pk_hip_any
#define __ballot_sync pk_hip_ballot
#define __shfl_down_sync pk_hip_shfl_down
#define __shfl_sync pk_hip_shfl
#define __shfl_up_sync pk_hip_shfl_up
#define __shfl_xor_sync pk_hip_shfl_xor
#define __trap __builtin_trap
#define __syncwarp pk_hip_syncwarp

/* ---- atomics with scopes ----
 * HIP has CUDA's device-scope and _system names, and none for the block. Relaxed, as CUDA's are. */
template <class Value> __device__ static inline Value pk_hip_add_block(Value *at, Value value)
{
    return __hip_atomic_fetch_add(at, value, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP);
}

template <class Value> __device__ static inline Value pk_hip_exchange_block(Value *at, Value value)
{
    return __hip_atomic_exchange(at, value, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_WORKGROUP);
}

template <class Value> __device__ static inline Value pk_hip_cas_block(Value *at, Value expected, Value value)
{
    __hip_atomic_compare_exchange_strong(at, &expected, value, __ATOMIC_RELAXED, __ATOMIC_RELAXED,
                                         __HIP_MEMORY_SCOPE_WORKGROUP);
    return expected;
}

#define atomicAdd_block pk_hip_add_block
#define atomicCAS_block pk_hip_cas_block
#define atomicExch_block pk_hip_exchange_block

#endif /* PK_BACKEND_HIP */
#endif
