/* Kernels: which are known, what they may ask for, and whether a launch is within the limits. */
#include "runtime.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* One kernel's description and what cudaFuncSetAttribute gave it. Kept for ever. */
struct known {
    pk_cpu_kernel kernel;
    int max_dynamic_shared_bytes;
    struct known *next;
};

enum { BUCKETS = 256 };
static struct known *buckets[BUCKETS]; /* by address; guarded by the lock */

static struct known *find(const void *function)
{
    struct known *entry = buckets[((uintptr_t)function >> 4) % BUCKETS];
    while (entry && entry->kernel.function != function)
        entry = entry->next;
    return entry;
}

static struct known *find_or_add(const void *function)
{
    struct known *entry = find(function);
    if (entry)
        return entry;
    entry = (struct known *)calloc(1, sizeof(*entry));
    if (!entry)
        abort();
    entry->kernel.function = function;
    entry->max_dynamic_shared_bytes = PK_SHARED_BYTES;
    struct known **bucket = &buckets[((uintptr_t)function >> 4) % BUCKETS];
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

extern "C" const pk_cpu_kernel *pk_cpu_register(const pk_cpu_kernel *kernel)
{
    (void)pk_enter();
    pk_lock();
    struct known *entry = find_or_add(kernel->function);
    if (!entry->kernel.run_thread)
        entry->kernel = *kernel;
    pk_unlock();
    return &entry->kernel;
}

int pk_blocks_per_sm(unsigned block_threads, size_t shared_bytes)
{
    const unsigned threads = (block_threads + PK_WARP_THREADS - 1) / PK_WARP_THREADS * PK_WARP_THREADS;
    const int by_threads = (int)(PK_MAX_SM_THREADS / threads);
    const int by_shared = (int)(PK_SHARED_SM_BYTES / (shared_bytes + PK_SHARED_RESERVED_BYTES));
    const int blocks = by_threads < by_shared ? by_threads : by_shared;
    return blocks < PK_MAX_SM_BLOCKS ? blocks : (int)PK_MAX_SM_BLOCKS;
}

static cudaError_t check_dimensions(uint3 grid, uint3 block)
{
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0)
        return cudaErrorInvalidConfiguration;
    if (grid.x > INT_MAX || grid.y > 65535 || grid.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (block.x > PK_MAX_BLOCK_THREADS || block.y > PK_MAX_BLOCK_THREADS || block.z > 64 ||
        (uint64_t)block.x * block.y * block.z > PK_MAX_BLOCK_THREADS)
        return cudaErrorInvalidConfiguration;
    return cudaSuccess;
}

/* With the lock held. */
static cudaError_t check_shared(const void *function, size_t shared_bytes)
{
    if (shared_bytes <= PK_SHARED_BYTES)
        return cudaSuccess;
    const struct known *entry = find(function);
    return entry != nullptr && shared_bytes <= (size_t)entry->max_dynamic_shared_bytes ? cudaSuccess
                                                                                       : cudaErrorInvalidValue;
}

static void fill_packet(struct pk_op *op, const pk_cpu_kernel *kernel, void **arguments)
{
    op->as.kernel.packet = op->packet_inline;
    if (kernel->packet_bytes > sizeof(op->packet_inline)) {
        op->as.kernel.packet = (unsigned char *)malloc(kernel->packet_bytes);
        if (!op->as.kernel.packet)
            abort();
    }
    for (unsigned i = 0; i < kernel->n_params; ++i)
        memcpy(op->as.kernel.packet + kernel->offsets[i], arguments[i], kernel->sizes[i]);
}

cudaError_t pk_kernel_prepare(struct pk_op *op, const pk_cpu_kernel *kernel, dim3 grid, dim3 block, void **arguments,
                              size_t shared_bytes)
{
    cudaError_t error = check_dimensions(grid, block);
    if (error == cudaSuccess && kernel->packet_bytes > PK_MAX_PACKET_BYTES)
        error = cudaErrorInvalidValue;
    if (error == cudaSuccess)
        error = check_shared(kernel->function, shared_bytes);
    if (error != cudaSuccess)
        return error;
    op->kind = PK_OP_KERNEL;
    op->as.kernel.code = kernel;
    op->as.kernel.grid = grid;
    op->as.kernel.block = block;
    op->as.kernel.block_threads = block.x * block.y * block.z;
    op->as.kernel.n_blocks = (uint64_t)grid.x * grid.y * grid.z;
    op->as.kernel.shared_bytes = shared_bytes;
    fill_packet(op, kernel, arguments);
    return cudaSuccess;
}

const pk_cpu_kernel *pk_kernel_at(const void *function)
{
    const struct known *entry = find(function);
    return entry && entry->kernel.run_thread ? &entry->kernel : nullptr;
}

extern "C" cudaError_t pk_cpu_launch(const pk_cpu_kernel *kernel, dim3 grid, dim3 block, void **arguments,
                                     size_t shared_bytes, cudaStream_t handle)
{
    cudaError_t error = pk_enter();
    if (error != cudaSuccess)
        return pk_fail_with(error);
    pk_lock();
    struct pk_op *op = pk_op_new(PK_OP_MARK);
    error = pk_kernel_prepare(op, kernel, grid, block, arguments, shared_bytes);
    if (error == cudaSuccess)
        error = pk_stream_put(op, handle);
    pk_op_release(op);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **arguments,
                                        size_t shared_bytes, cudaStream_t stream)
{
    pk_cpu_kernel kernel = {};
    kernel.function = function;
    const pk_cpu_kernel *known = pk_cpu_register(&kernel);
    if (!function || !known->run_thread)
        return pk_fail_with(cudaErrorInvalidDeviceFunction);
    return pk_cpu_launch(known, grid, block, arguments, shared_bytes, stream);
}

extern "C" cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value)
{
    PK_ENTER();
    if (!function)
        return pk_fail_with(cudaErrorInvalidDeviceFunction);
    switch (attribute) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize:
        if (value < 0 || value > PK_SHARED_OPTIN_BYTES)
            return pk_fail_with(cudaErrorInvalidValue);
        pk_lock();
        find_or_add(function)->max_dynamic_shared_bytes = value;
        pk_unlock();
        return cudaSuccess;
    case cudaFuncAttributePreferredSharedMemoryCarveout:
        return value < -1 || value > 100 ? pk_fail_with(cudaErrorInvalidValue) : cudaSuccess;
    }
    return pk_fail_with(cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *function)
{
    PK_ENTER();
    if (!attributes || !function)
        return pk_fail_with(attributes ? cudaErrorInvalidDeviceFunction : cudaErrorInvalidValue);
    memset(attributes, 0, sizeof(*attributes));
    attributes->maxThreadsPerBlock = PK_MAX_BLOCK_THREADS;
    attributes->preferredShmemCarveout = -1;
    pk_lock();
    const struct known *entry = find(function);
    attributes->maxDynamicSharedSizeBytes = entry ? entry->max_dynamic_shared_bytes : PK_SHARED_BYTES;
    pk_unlock();
    return cudaSuccess;
}

extern "C" cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *function,
                                                                     int block_threads, size_t shared_bytes)
{
    PK_ENTER();
    if (!function)
        return pk_fail_with(cudaErrorInvalidDeviceFunction);
    if (!blocks || block_threads <= 0)
        return pk_fail_with(cudaErrorInvalidValue);
    pk_lock();
    const bool allowed = check_shared(function, shared_bytes) == cudaSuccess;
    pk_unlock();
    *blocks =
        !allowed || block_threads > PK_MAX_BLOCK_THREADS ? 0 : pk_blocks_per_sm((unsigned)block_threads, shared_bytes);
    return cudaSuccess;
}
