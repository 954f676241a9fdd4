/* The device: selection, properties, attributes, versions, occupancy.
 * Source: CUDA Runtime API, "Device Management", "Occupancy"; CUDA C++ Programming Guide, "Compute Capabilities". */
#include "conformance.h"

#include <cuda.h>

CONCERN(device)

static __global__ void small_kernel(int *x)
{
    x[threadIdx.x] = 1;
}

static __global__ void large_shared_kernel(int *x)
{
    DYNAMIC_SHARED(int, tile);
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}

CASE(selection)
{
    int count = 0, device = -1;
    PK_CHECK(cudaGetDeviceCount(&count));
    EXPECT(count >= 1);
    PK_CHECK(cudaGetDevice(&device));
    EXPECT(device >= 0 && device < count);
    EXPECT_ERROR(cudaSetDevice(device), cudaSuccess);
    EXPECT_ERROR(cudaSetDevice(count), cudaErrorInvalidDevice);
    EXPECT_ERROR(cudaSetDevice(-1), cudaErrorInvalidDevice);
    return PK_OK;
}

CASE(versions)
{
    int driver = 0, runtime = 0;
    PK_CHECK(cudaDriverGetVersion(&driver));
    PK_CHECK(cudaRuntimeGetVersion(&runtime));
    EXPECT_EQ(runtime / 10, CUDART_VERSION / 10);
    EXPECT_EQ(CUDA_VERSION, CUDART_VERSION);
    EXPECT(driver / 1000 >= runtime / 1000);
    return PK_OK;
}

CASE(limits)
{
    cudaDeviceProp p;
    PK_CHECK(cudaGetDeviceProperties(&p, 0));
    EXPECT_EQ(p.maxThreadsPerBlock, 1024);
    EXPECT_EQ(p.maxThreadsDim[0], 1024);
    EXPECT_EQ(p.maxThreadsDim[1], 1024);
    EXPECT_EQ(p.maxThreadsDim[2], 64);
    EXPECT_EQ(p.maxGridSize[0], 2147483647);
    EXPECT_EQ(p.maxGridSize[1], 65535);
    EXPECT_EQ(p.maxGridSize[2], 65535);
    EXPECT_EQ(p.totalConstMem, 65536);
    EXPECT_EQ(p.sharedMemPerBlock, 49152);
    EXPECT(p.multiProcessorCount >= 1);
    EXPECT(p.name[0] != '\0');
    OBSERVE("warp_size", p.warpSize);
    return PK_OK;
}

CASE(properties_agree_with_attributes)
{
    cudaDeviceProp p;
    PK_CHECK(cudaGetDeviceProperties(&p, 0));
    EXPECT_EQ(cf_attribute(cudaDevAttrMaxThreadsPerBlock), p.maxThreadsPerBlock);
    EXPECT_EQ(cf_attribute(cudaDevAttrMaxBlockDimZ), p.maxThreadsDim[2]);
    EXPECT_EQ(cf_attribute(cudaDevAttrMaxGridDimY), p.maxGridSize[1]);
    EXPECT_EQ(cf_attribute(cudaDevAttrWarpSize), p.warpSize);
    EXPECT_EQ(cf_attribute(cudaDevAttrMultiProcessorCount), p.multiProcessorCount);
    EXPECT_EQ(cf_attribute(cudaDevAttrMaxSharedMemoryPerBlock), p.sharedMemPerBlock);
    EXPECT_EQ(cf_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin), p.sharedMemPerBlockOptin);
    EXPECT_EQ(cf_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor), p.sharedMemPerMultiprocessor);
    EXPECT_EQ(cf_attribute(cudaDevAttrReservedSharedMemoryPerBlock), p.reservedSharedMemPerBlock);
    EXPECT_EQ(cf_attribute(cudaDevAttrMaxThreadsPerMultiProcessor), p.maxThreadsPerMultiProcessor);
    EXPECT_EQ(cf_attribute(cudaDevAttrMaxBlocksPerMultiprocessor), p.maxBlocksPerMultiProcessor);
    EXPECT_EQ(cf_attribute(cudaDevAttrL2CacheSize), p.l2CacheSize);
    EXPECT_EQ(cf_attribute(cudaDevAttrComputeCapabilityMajor), p.major);
    EXPECT_EQ(cf_attribute(cudaDevAttrCooperativeLaunch), p.cooperativeLaunch);
    EXPECT_EQ(cf_attribute(cudaDevAttrCanMapHostMemory), p.canMapHostMemory);
    EXPECT_EQ(cf_attribute(cudaDevAttrConcurrentKernels), p.concurrentKernels);
    EXPECT_EQ(cf_attribute(cudaDevAttrHostRegisterSupported), p.hostRegisterSupported);
    EXPECT_EQ(cf_attribute(cudaDevAttrMemoryPoolsSupported), p.memoryPoolsSupported);
    return PK_OK;
}

CASE(bad_queries)
{
    cudaDeviceProp p;
    int value, count;
    PK_CHECK(cudaGetDeviceCount(&count));
    EXPECT_ERROR(cudaGetDeviceProperties(&p, count), cudaErrorInvalidDevice);
    EXPECT_ERROR(cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, count), cudaErrorInvalidDevice);
    EXPECT_ERROR(cudaDeviceGetAttribute(&value, (cudaDeviceAttr)100000, 0), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(synchronize_idle)
{
    for (int i = 0; i < 3; i++)
        EXPECT_ERROR(cudaDeviceSynchronize(), cudaSuccess);
    return PK_OK;
}

CASE(memory_size)
{
    size_t free_bytes, total_bytes;
    cudaDeviceProp p;
    PK_CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
    PK_CHECK(cudaGetDeviceProperties(&p, 0));
    EXPECT_EQ(total_bytes, p.totalGlobalMem);
    return PK_OK;
}

CASE_ALONE(reset)
{
    /* Memory is gone after it; the next call makes a fresh context. */
    int *p, *q, out = 0;
    PK_CHECK(cudaMalloc(&p, 64 << 20));
    EXPECT_ERROR(cudaDeviceReset(), cudaSuccess);
    OBSERVE_ERROR("free_of_lost_memory", cudaFree(p));
    PK_CHECK(cudaMalloc(&q, sizeof *q));
    PK_LAUNCH(cf_set, 1, 1, 0, 0, q, 9);
    PK_CHECK(cudaMemcpy(&out, q, sizeof out, cudaMemcpyDeviceToHost));
    EXPECT_EQ(out, 9);
    return PK_OK;
}

CASE(occupancy_by_threads)
{
    int blocks = 0;
    const int most = cf_attribute(cudaDevAttrMaxThreadsPerMultiProcessor);
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, small_kernel, 1024, 0));
    EXPECT_EQ(blocks, most / 1024);
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, small_kernel, 32, 0));
    EXPECT_EQ(blocks, cf_attribute(cudaDevAttrMaxBlocksPerMultiprocessor));
    const int warp = cf_attribute(cudaDevAttrWarpSize);
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, small_kernel, 257, 0)); /* whole warps count */
    EXPECT_EQ(blocks, most / ((257 + warp - 1) / warp * warp));
    return PK_OK;
}

CASE(occupancy_by_shared_memory)
{
    int blocks = 0;
    const int per_sm = cf_attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
    const int reserved = cf_attribute(cudaDevAttrReservedSharedMemoryPerBlock);
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, large_shared_kernel, 64, 32768));
    EXPECT_EQ(blocks, per_sm / (32768 + reserved));
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, large_shared_kernel, 64, 1000));
    EXPECT(blocks <= cf_attribute(cudaDevAttrMaxBlocksPerMultiprocessor));
    return PK_OK;
}

CASE(occupancy_of_what_cannot_run)
{
    int blocks = -1;
    OBSERVE_ERROR("1025_threads", cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, small_kernel, 1025, 0));
    OBSERVE("1025_threads_blocks", blocks);
    blocks = -1;
    OBSERVE_ERROR("0_threads", cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, small_kernel, 0, 0));
    OBSERVE("0_threads_blocks", blocks);
    blocks = -1;
    OBSERVE_ERROR("60000_bytes_without_asking",
                  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, large_shared_kernel, 64, 60000));
    OBSERVE("60000_bytes_without_asking_blocks", blocks);
    return PK_OK;
}

CASE(occupancy_null)
{
    EXPECT_ERROR(cudaOccupancyMaxActiveBlocksPerMultiprocessor((int *)NULL, small_kernel, 64, 0),
                 cudaErrorInvalidValue);
    return PK_OK;
}
