/* Kernels: which are known, what they may ask for, and whether a launch is within the limits. */
#include "kernel.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "error.h"
#include "settings.h"
#include "symbols.h"

/* One kernel's description and what cudaFuncSetAttribute gave it. Kept for ever. */
struct known {
    pk_cpu_kernel kernel;
    int max_dynamic_shared_bytes;
    size_t static_shared_bytes;
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
        pk_records_do_not_fit();
    entry->kernel.function = function;
    entry->static_shared_bytes = pk_static_shared_bytes(function);
    entry->max_dynamic_shared_bytes = PK_SHARED_BYTES - (int)entry->static_shared_bytes;
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
    else if (strcmp(entry->kernel.name, PK_CPU_UNNAMED) == 0) /* its address came first, a launch names it */
        entry->kernel.name = kernel->name;
    pk_unlock();
    return &entry->kernel;
}

/* CUDA's error is that of CUDA 13; before, it was cudaErrorInvalidConfiguration. */
static cudaError_t check_dimensions(uint3 grid, uint3 block)
{
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0)
        return cudaErrorInvalidValue;
    if (grid.x > INT_MAX || grid.y > 65535 || grid.z > 65535)
        return cudaErrorInvalidValue;
    if (block.x > PK_MAX_BLOCK_THREADS || block.y > PK_MAX_BLOCK_THREADS || block.z > 64 ||
        (uint64_t)block.x * block.y * block.z > PK_MAX_BLOCK_THREADS)
        return cudaErrorInvalidValue;
    return cudaSuccess;
}

/* With the lock held. */
static cudaError_t check_shared(const struct known *entry, size_t dynamic_bytes)
{
    return (int64_t)dynamic_bytes <= entry->max_dynamic_shared_bytes ? cudaSuccess : cudaErrorInvalidValue;
}

/* A cooperative grid has to be resident as a whole. */
static cudaError_t check_cooperative(const struct pk_op *op)
{
    const int each = pk_blocks_per_sm(op->as.kernel.grid.block_threads,
                                      op->as.kernel.grid.static_shared_bytes + op->as.kernel.grid.shared_bytes);
    return op->as.kernel.grid.n_blocks <= (uint64_t)each * (uint64_t)pk_settings.processors
               ? cudaSuccess
               : cudaErrorCooperativeLaunchTooLarge;
}

static void fill_packet(struct pk_op *op, const pk_cpu_kernel *kernel, void **arguments)
{
    op->as.kernel.grid.packet = op->packet_inline;
    if (kernel->packet_bytes > sizeof(op->packet_inline)) {
        op->as.kernel.grid.packet = (unsigned char *)malloc(kernel->packet_bytes);
        if (!op->as.kernel.grid.packet)
            pk_records_do_not_fit();
    }
    for (unsigned i = 0; i < kernel->n_params; ++i)
        memcpy(op->as.kernel.grid.packet + kernel->offsets[i], arguments[i], kernel->sizes[i]);
}

cudaError_t pk_kernel_prepare(struct pk_op *op, const pk_cpu_kernel *kernel, dim3 grid, dim3 block, void **arguments,
                              size_t shared_bytes)
{
    cudaError_t error = check_dimensions(grid, block);
    if (error == cudaSuccess && kernel->packet_bytes > PK_MAX_PACKET_BYTES)
        error = cudaErrorInvalidValue;
    const struct known *entry = find_or_add(kernel->function);
    if (error == cudaSuccess)
        error = check_shared(entry, shared_bytes);
    if (error != cudaSuccess)
        return error;
    op->kind = PK_OP_KERNEL;
    op->as.kernel.grid.code = kernel;
    op->as.kernel.grid.size = grid;
    op->as.kernel.grid.block = block;
    op->as.kernel.grid.block_threads = block.x * block.y * block.z;
    op->as.kernel.grid.n_blocks = (uint64_t)grid.x * grid.y * grid.z;
    op->as.kernel.grid.shared_bytes = shared_bytes;
    op->as.kernel.grid.static_shared_bytes = entry->static_shared_bytes;
    fill_packet(op, kernel, arguments);
    return cudaSuccess;
}

const pk_cpu_kernel *pk_kernel_at(const void *function)
{
    const struct known *entry = find(function);
    return entry && entry->kernel.run_thread ? &entry->kernel : nullptr;
}

void pk_kernel_unknown(const void *function)
{
    char name[256];
    pk_describe_code(function, name, sizeof(name));
    fprintf(stderr,
            "CPU device: no kernel is known at %s: an address alone does not tell a kernel's parameters. Write "
            "PK_CPU_KERNEL(kernel); at file scope\n",
            name);
}

static cudaError_t launch(const pk_cpu_kernel *kernel, dim3 grid, dim3 block, void **arguments, size_t shared_bytes,
                          cudaStream_t handle, pk_cpu_how how)
{
    cudaError_t error = pk_enter();
    if (error != cudaSuccess)
        return pk_fail_with(error);
    pk_lock();
    struct pk_op *op = pk_op_new(PK_OP_MARK);
    error = pk_kernel_prepare(op, kernel, grid, block, arguments, shared_bytes);
    if (error == cudaSuccess && how == PK_CPU_COOPERATIVE) {
        op->as.kernel.grid.cooperative = op->as.kernel.spread = true;
        error = check_cooperative(op);
    }
    op->as.kernel.programmatic = error == cudaSuccess && how == PK_CPU_PROGRAMMATIC;
    if (error == cudaSuccess)
        error = pk_stream_put(op, handle);
    pk_op_release(op);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t pk_cpu_launch(const pk_cpu_kernel *kernel, dim3 grid, dim3 block, void **arguments,
                                     size_t shared_bytes, cudaStream_t stream, pk_cpu_how how)
{
    PK_CALL_AS(how == PK_CPU_COOPERATIVE    ? "cudaLaunchCooperativeKernel"
               : how == PK_CPU_PROGRAMMATIC ? "cudaLaunchKernelExC"
                                            : "cudaLaunchKernel");
    return launch(kernel, grid, block, arguments, shared_bytes, stream, how);
}

/* The description of a kernel by its bare address, or null. */
static const pk_cpu_kernel *known_kernel(const void *function)
{
    if (!function)
        return nullptr;
    pk_lock();
    const pk_cpu_kernel *kernel = pk_kernel_at(function);
    pk_unlock();
    return kernel;
}

static cudaError_t launch_by_address(const void *function, dim3 grid, dim3 block, void **arguments, size_t shared_bytes,
                                     cudaStream_t stream, pk_cpu_how how)
{
    PK_ENTER();
    const pk_cpu_kernel *kernel = known_kernel(function);
    if (!kernel && function)
        pk_kernel_unknown(function);
    if (!kernel)
        return pk_fail_with(function ? cudaErrorInvalidResourceHandle : cudaErrorInvalidDeviceFunction);
    return launch(kernel, grid, block, arguments, shared_bytes, stream, how);
}

extern "C" cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **arguments,
                                        size_t shared_bytes, cudaStream_t stream)
{
    PK_CALL();
    return launch_by_address(function, grid, block, arguments, shared_bytes, stream, PK_CPU_PLAIN);
}

extern "C" cudaError_t cudaLaunchCooperativeKernel(const void *function, dim3 grid, dim3 block, void **arguments,
                                                   size_t shared_bytes, cudaStream_t stream)
{
    PK_CALL();
    return launch_by_address(function, grid, block, arguments, shared_bytes, stream, PK_CPU_COOPERATIVE);
}

extern "C" cudaError_t pk_cpu_read_config(const cudaLaunchConfig_t *config, pk_cpu_how *how)
{
    bool cooperative = false, programmatic = false;
    *how = PK_CPU_PLAIN;
    if (!config || (config->numAttrs && !config->attrs))
        return pk_fail_with(cudaErrorInvalidValue);
    for (unsigned i = 0; i < config->numAttrs; ++i) {
        const cudaLaunchAttribute *attribute = &config->attrs[i];
        switch (attribute->id) {
        case cudaLaunchAttributeCooperative:
            cooperative = attribute->val.cooperative != 0;
            break;
        case cudaLaunchAttributeClusterDimension:
            if (attribute->val.clusterDim.x != 1 || attribute->val.clusterDim.y != 1 ||
                attribute->val.clusterDim.z != 1)
                return pk_fail_with(cudaErrorNotSupported);
            break;
        case cudaLaunchAttributeIgnore:
        case cudaLaunchAttributePriority:
            break;
        case cudaLaunchAttributeProgrammaticStreamSerialization:
            programmatic = attribute->val.programmaticStreamSerializationAllowed != 0;
            break;
        default:
            return pk_fail_with(cudaErrorNotSupported);
        }
    }
    /* A grid that has to have all its seats at once does not begin beside another. */
    *how = cooperative ? PK_CPU_COOPERATIVE : programmatic ? PK_CPU_PROGRAMMATIC : PK_CPU_PLAIN;
    return cudaSuccess;
}

extern "C" cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function, void **arguments)
{
    PK_CALL();
    pk_cpu_how how;
    const cudaError_t error = pk_cpu_read_config(config, &how);
    if (error)
        return error;
    return launch_by_address(function, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes,
                             config->stream, how);
}

extern "C" cudaError_t cudaFuncSetAttribute(const void *function, cudaFuncAttribute attribute, int value)
{
    PK_ENTER();
    if (!function)
        return pk_fail_with(cudaErrorInvalidDeviceFunction);
    struct known *entry;
    bool fits;
    switch (attribute) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize:
        if (value < 0)
            return pk_fail_with(cudaErrorInvalidValue);
        pk_lock();
        entry = find_or_add(function);
        fits = (size_t)value + entry->static_shared_bytes <= PK_SHARED_OPTIN_BYTES;
        if (fits)
            entry->max_dynamic_shared_bytes = value;
        pk_unlock();
        return fits ? cudaSuccess : pk_fail_with(cudaErrorInvalidValue);
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
    const struct known *entry = find_or_add(function);
    attributes->sharedSizeBytes = entry->static_shared_bytes;
    attributes->maxDynamicSharedSizeBytes = entry->max_dynamic_shared_bytes;
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
    const struct known *entry = find_or_add(function);
    const bool allowed = check_shared(entry, shared_bytes) == cudaSuccess && block_threads <= PK_MAX_BLOCK_THREADS;
    *blocks = allowed ? pk_blocks_per_sm((unsigned)block_threads, entry->static_shared_bytes + shared_bytes) : 0;
    pk_unlock();
    return cudaSuccess;
}

extern "C" cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *function,
                                                                              int block_threads, size_t shared_bytes,
                                                                              unsigned flags)
{
    if (flags != cudaOccupancyDefault && flags != cudaOccupancyDisableCachingOverride)
        return pk_fail_with(cudaErrorInvalidValue);
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, block_threads, shared_bytes);
}

/* The block size that keeps most threads resident, the largest of equals; as CUDA's, which is a header's function. */
extern "C" cudaError_t cudaOccupancyMaxPotentialBlockSize(int *grid, int *block, const void *function,
                                                          size_t shared_bytes, int limit)
{
    PK_ENTER();
    if (!grid || !block)
        return pk_fail_with(cudaErrorInvalidValue);
    if (limit <= 0 || limit > PK_MAX_BLOCK_THREADS)
        limit = PK_MAX_BLOCK_THREADS;
    int most = 0;
    const int warp = pk_settings.warp_threads;
    for (int threads = (limit + warp - 1) / warp * warp; threads > 0; threads -= warp) {
        const int tried = threads < limit ? threads : limit;
        int blocks = 0;
        const cudaError_t error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, function, tried, shared_bytes);
        if (error)
            return error;
        if (blocks * tried > most) {
            most = blocks * tried;
            *grid = blocks * pk_settings.processors;
            *block = tried;
        }
    }
    return most ? cudaSuccess : pk_fail_with(cudaErrorInvalidConfiguration);
}
