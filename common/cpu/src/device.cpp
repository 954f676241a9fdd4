/* What the device is: properties and attributes. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "memory.h"
#include "ordered.h"
#include "settings.h"

extern "C" cudaError_t cudaGetDeviceCount(int *count)
{
    PK_ENTER();
    if (!count)
        return pk_fail_with(cudaErrorInvalidValue);
    *count = 1;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGetDevice(int *device)
{
    PK_ENTER();
    if (!device)
        return pk_fail_with(cudaErrorInvalidValue);
    *device = 0;
    return cudaSuccess;
}

extern "C" cudaError_t cudaSetDevice(int device)
{
    if (device != 0)
        return pk_fail_with(cudaErrorInvalidDevice);
    PK_ENTER();
    return cudaSuccess;
}

extern "C" cudaError_t cudaInitDevice(int device, unsigned, unsigned)
{
    return cudaSetDevice(device);
}

/* How the host waits is fixed here: a short spin, then sleep. */
extern "C" cudaError_t cudaSetDeviceFlags(unsigned flags)
{
    PK_ENTER();
    const unsigned known = cudaDeviceScheduleSpin | cudaDeviceScheduleYield | cudaDeviceScheduleBlockingSync;
    return pk_fail_with(flags & ~(known | cudaDeviceMapHost) ? cudaErrorInvalidValue : cudaSuccess);
}

extern "C" cudaError_t cudaDriverGetVersion(int *version)
{
    if (!version)
        return pk_fail_with(cudaErrorInvalidValue);
    *version = CUDART_VERSION;
    return cudaSuccess;
}

extern "C" cudaError_t cudaRuntimeGetVersion(int *version)
{
    return cudaDriverGetVersion(version);
}

extern "C" cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int device)
{
    PK_ENTER();
    if (device != 0)
        return pk_fail_with(cudaErrorInvalidDevice);
    if (!text || bytes < 13)
        return pk_fail_with(cudaErrorInvalidValue);
    snprintf(text, (size_t)bytes, "0000:00:00.0");
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceReset(void)
{
    if (pk_fault()) {
        pk_reset_fault();
        return cudaSuccess;
    }
    const cudaError_t error = cudaDeviceSynchronize();
    if (!error) {
        pk_ordered_reset();
        pk_memory_reset();
    }
    return error;
}

/* The last cache that all cores share stands for L2. */
static int last_cache_bytes(void)
{
    long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (bytes <= 0)
        bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? (int)(bytes < INT_MAX ? bytes : INT_MAX) : 8 << 20;
}

extern "C" cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device)
{
    PK_ENTER();
    if (device != 0)
        return pk_fail_with(cudaErrorInvalidDevice);
    if (!properties)
        return pk_fail_with(cudaErrorInvalidValue);
    memset(properties, 0, sizeof(*properties));
    cudaDeviceProp *p = properties;
    snprintf(p->name, sizeof(p->name), "CPU device, %d processors on %d cores", pk_settings.processors,
             pk_usable_cores());
    p->totalGlobalMem = (size_t)pk_settings.memory_bytes;
    p->sharedMemPerBlock = PK_SHARED_BYTES;
    p->sharedMemPerBlockOptin = PK_SHARED_OPTIN_BYTES;
    p->sharedMemPerMultiprocessor = PK_SHARED_SM_BYTES;
    p->reservedSharedMemPerBlock = PK_SHARED_RESERVED_BYTES;
    p->regsPerBlock = 65536;
    p->regsPerMultiprocessor = 65536;
    p->warpSize = pk_settings.warp_threads;
    p->memPitch = INT_MAX;
    p->maxThreadsPerBlock = PK_MAX_BLOCK_THREADS;
    p->maxThreadsDim[0] = PK_MAX_BLOCK_THREADS;
    p->maxThreadsDim[1] = PK_MAX_BLOCK_THREADS;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = INT_MAX;
    p->maxGridSize[1] = 65535;
    p->maxGridSize[2] = 65535;
    p->totalConstMem = 65536;
    p->major = 8; /* the instruction set whose semantics kernels may count on */
    p->minor = 0;
    p->multiProcessorCount = pk_settings.processors;
    p->maxThreadsPerMultiProcessor = PK_MAX_SM_THREADS;
    p->maxBlocksPerMultiProcessor = PK_MAX_SM_BLOCKS;
    p->integrated = 1;
    p->canMapHostMemory = 1;
    p->concurrentKernels = 1;
    p->asyncEngineCount = 2;
    p->unifiedAddressing = 1;
    p->memoryBusWidth = 64;
    p->l2CacheSize = last_cache_bytes();
    p->streamPrioritiesSupported = 1;
    p->globalL1CacheSupported = 1;
    p->localL1CacheSupported = 1;
    p->managedMemory = 1;
    p->concurrentManagedAccess = 1;
    p->hostNativeAtomicSupported = 1;
    p->hostRegisterSupported = 1;
    p->memoryPoolsSupported = 1;
    p->cooperativeLaunch = 1;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    PK_ENTER();
    if (!value)
        return pk_fail_with(cudaErrorInvalidValue);
    cudaDeviceProp p;
    const cudaError_t error = cudaGetDeviceProperties(&p, device);
    if (error)
        return error;
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
        *value = p.maxThreadsPerBlock;
        break;
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY:
    case cudaDevAttrMaxBlockDimZ:
        *value = p.maxThreadsDim[attribute - cudaDevAttrMaxBlockDimX];
        break;
    case cudaDevAttrMaxGridDimX:
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
        *value = p.maxGridSize[attribute - cudaDevAttrMaxGridDimX];
        break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = (int)p.sharedMemPerBlock;
        break;
    case cudaDevAttrTotalConstantMemory:
        *value = (int)p.totalConstMem;
        break;
    case cudaDevAttrWarpSize:
        *value = p.warpSize;
        break;
    case cudaDevAttrMaxPitch:
        *value = (int)p.memPitch;
        break;
    case cudaDevAttrMaxRegistersPerBlock:
        *value = p.regsPerBlock;
        break;
    case cudaDevAttrClockRate:
        *value = 1000000; /* kHz: clock64() counts nanoseconds */
        break;
    case cudaDevAttrTextureAlignment:
        *value = 512;
        break;
    case cudaDevAttrGpuOverlap:
        *value = 1;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = p.multiProcessorCount;
        break;
    case cudaDevAttrIntegrated:
        *value = p.integrated;
        break;
    case cudaDevAttrCanMapHostMemory:
        *value = p.canMapHostMemory;
        break;
    case cudaDevAttrConcurrentKernels:
        *value = p.concurrentKernels;
        break;
    case cudaDevAttrGlobalMemoryBusWidth:
        *value = p.memoryBusWidth;
        break;
    case cudaDevAttrL2CacheSize:
        *value = p.l2CacheSize;
        break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = p.maxThreadsPerMultiProcessor;
        break;
    case cudaDevAttrAsyncEngineCount:
        *value = p.asyncEngineCount;
        break;
    case cudaDevAttrUnifiedAddressing:
        *value = p.unifiedAddressing;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = p.major;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = p.minor;
        break;
    case cudaDevAttrStreamPrioritiesSupported:
        *value = p.streamPrioritiesSupported;
        break;
    case cudaDevAttrGlobalL1CacheSupported:
    case cudaDevAttrLocalL1CacheSupported:
        *value = 1;
        break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = (int)p.sharedMemPerMultiprocessor;
        break;
    case cudaDevAttrMaxRegistersPerMultiprocessor:
        *value = p.regsPerMultiprocessor;
        break;
    case cudaDevAttrManagedMemory:
        *value = p.managedMemory;
        break;
    case cudaDevAttrHostNativeAtomicSupported:
        *value = p.hostNativeAtomicSupported;
        break;
    case cudaDevAttrPageableMemoryAccess:
        *value = p.pageableMemoryAccess;
        break;
    case cudaDevAttrConcurrentManagedAccess:
        *value = p.concurrentManagedAccess;
        break;
    case cudaDevAttrMemoryPoolsSupported:
        *value = p.memoryPoolsSupported;
        break;
    case cudaDevAttrHostRegisterSupported:
        *value = p.hostRegisterSupported;
        break;
    case cudaDevAttrCanUseHostPointerForRegisteredMem:
        *value = 1;
        break;
    case cudaDevAttrCooperativeLaunch:
        *value = p.cooperativeLaunch;
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)p.sharedMemPerBlockOptin;
        break;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
        *value = p.maxBlocksPerMultiProcessor;
        break;
    case cudaDevAttrReservedSharedMemoryPerBlock:
        *value = (int)p.reservedSharedMemPerBlock;
        break;
    case cudaDevAttrKernelExecTimeout:
    case cudaDevAttrComputeMode:
    case cudaDevAttrEccEnabled:
    case cudaDevAttrPciBusId:
    case cudaDevAttrPciDeviceId:
    case cudaDevAttrPciDomainId:
    case cudaDevAttrMemoryClockRate:
    case cudaDevAttrMaxPersistingL2CacheSize:
    case cudaDevAttrClusterLaunch:
        *value = 0;
        break;
    default:
        return pk_fail_with(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}
