/* Memory pools, and allocation in the order of streams. A pool keeps what was freed for allocations of the same size:
 * in the stream that freed it at once, elsewhere when the free has run. No allocation waits for another stream's free,
 * as CUDA may let it (cudaMemPoolReuseAllowInternalDependencies). Source of the rules: CUDA Runtime API, "Stream
 * Ordered Memory Allocator". */
#include <stdlib.h>

#include "capture.h"
#include "error.h"
#include "graph.h"
#include "memory.h"
#include "ordered.h"

enum : uint32_t { POOL_ALIVE = 0x504f4f4c };
enum { N_REUSE_RULES = 3 };

struct CUmemPoolHandle_st {
    uint32_t magic;
    bool destroyed; /* goes when nothing of it is left */
    cudaMemPoolProps properties;
    struct pk_ordered_sizes sizes; /* reserved: what is live and what is kept */
    uint64_t threshold;
    int reuse[N_REUSE_RULES];
    struct pk_ordered *kept; /* freed, the newest first */
    struct CUmemPoolHandle_st *next;
};

static struct CUmemPoolHandle_st default_pool = {
    POOL_ALIVE,
    false,
    {cudaMemAllocationTypePinned, cudaMemHandleTypeNone, {cudaMemLocationTypeDevice, 0}, nullptr, 0, 0, {}},
    {},
    0,
    {1, 1, 1},
    nullptr,
    nullptr};
static struct CUmemPoolHandle_st *pools = &default_pool; /* in use, the default one last */
static struct CUmemPoolHandle_st *current_pool = &default_pool;
/* Destroyed handles are kept for the next ones, never given back: a stale handle is an error, not a crash. */
static struct CUmemPoolHandle_st *free_pools;

static bool pool_alive(const struct CUmemPoolHandle_st *pool)
{
    return pool && pool->magic == POOL_ALIVE && !pool->destroyed;
}

/* ---- what pools keep ---- */

static bool is_free(struct pk_ordered *memory)
{
    if (memory->freed_by && pk_op_done(memory->freed_by)) {
        pk_op_release(memory->freed_by);
        memory->freed_by = nullptr;
    }
    return !memory->freed_by;
}

void pk_pool_take_back(struct pk_ordered *memory, struct pk_op *op, cudaStream_t stream)
{
    memory->references++;
    memory->freed_by = op;
    if (op)
        op->references++;
    memory->freed_in = stream;
    memory->next_kept = memory->pool->kept;
    memory->pool->kept = memory;
}

/* Off the list; the reference is the caller's. */
static struct pk_ordered *take_kept(struct pk_ordered **at)
{
    struct pk_ordered *memory = *at;
    *at = memory->next_kept;
    memory->next_kept = nullptr;
    return memory;
}

/* Gives back to the system what is free, as long as at least `bytes` stay reserved. */
static void trim(struct CUmemPoolHandle_st *pool, uint64_t bytes)
{
    for (struct pk_ordered **at = &pool->kept; *at;) {
        if (!is_free(*at) || pool->sizes.reserved - (*at)->bytes < bytes) {
            at = &(*at)->next_kept;
            continue;
        }
        struct pk_ordered *memory = take_kept(at);
        (void)pk_ordered_reserve(&pool->sizes, pool->sizes.reserved - memory->bytes);
        pk_ordered_release(memory);
    }
}

void pk_pools_settle(void)
{
    for (struct CUmemPoolHandle_st **at = &pools; *at;) {
        struct CUmemPoolHandle_st *pool = *at;
        if (pool->sizes.reserved > pool->threshold)
            trim(pool, pool->threshold);
        if (!pool->destroyed || pool->sizes.reserved > 0) {
            at = &pool->next;
            continue;
        }
        *at = pool->next;
        pool->magic = 0;
        pool->next = free_pools;
        free_pools = pool;
    }
}

void pk_pools_reset(void)
{
    for (struct CUmemPoolHandle_st *pool = pools; pool; pool = pool->next)
        trim(pool, 0);
}

/* ---- allocation ---- */

/* What the pool keeps of this size, for the stream; or null. */
static struct pk_ordered *find_kept(struct CUmemPoolHandle_st *pool, size_t bytes, cudaStream_t stream)
{
    const bool elsewhere = pool->reuse[cudaMemPoolReuseAllowOpportunistic - 1];
    for (struct pk_ordered **at = &pool->kept; *at; at = &(*at)->next_kept)
        if ((*at)->bytes == bytes && ((*at)->freed_in == stream || (elsewhere && is_free(*at))))
            return take_kept(at);
    return nullptr;
}

static struct pk_ordered *make_new(struct CUmemPoolHandle_st *pool, size_t bytes, const void *caller)
{
    if (pool->properties.maxSize && bytes > pool->properties.maxSize - pool->sizes.used)
        return nullptr;
    if (pool->properties.maxSize && bytes > pool->properties.maxSize - pool->sizes.reserved)
        trim(pool, 0);
    if (!pk_memory_fits(bytes))
        pk_pools_reset(); /* rather than to refuse it */
    if (!pk_ordered_reserve(&pool->sizes, pool->sizes.reserved + bytes))
        return nullptr;
    struct pk_ordered *memory = pk_ordered_new(bytes, &pool->sizes, caller);
    if (memory)
        memory->pool = pool;
    else
        (void)pk_ordered_reserve(&pool->sizes, pool->sizes.reserved - bytes);
    return memory;
}

/* The op that allocates from the pool. */
static cudaError_t allocate(struct pk_op **op, struct CUmemPoolHandle_st *pool, size_t bytes, cudaStream_t stream,
                            const void *caller)
{
    struct pk_ordered *memory = find_kept(pool, bytes, stream);
    if (!memory)
        memory = make_new(pool, bytes, caller);
    if (!memory)
        return cudaErrorMemoryAllocation;
    *op = pk_ordered_op(PK_OP_ALLOCATE, memory);
    /* Also where a destroyed stream's handle has been used again, so that the stream alone would not order them. */
    pk_op_follow(*op, memory->freed_by);
    pk_op_release(memory->freed_by);
    memory->freed_by = nullptr;
    pk_ordered_set_live(memory, true);
    pk_ordered_release(memory);
    return cudaSuccess;
}

/* The op that becomes a graph's node. */
static cudaError_t record(struct pk_op **op, struct CUmemPoolHandle_st *pool, size_t bytes, struct CUgraph_st *graph,
                          const void *caller)
{
    cudaMemAllocNodeParams params = {};
    params.poolProps = pool->properties;
    params.bytesize = bytes;
    return pk_work_of_allocation(op, graph, &params, caller);
}

static cudaError_t allocate_in_stream(void **device, size_t bytes, cudaMemPool_t pool, cudaStream_t stream,
                                      const void *caller)
{
    PK_ENTER();
    if (!device)
        return pk_fail_with(cudaErrorInvalidValue);
    *device = nullptr;
    struct CUgraph_st *graph;
    struct pk_op *op = nullptr;
    pk_lock();
    pool = pool ? pool : current_pool;
    cudaError_t error = pool_alive(pool) ? pk_capture_graph(stream, &graph) : cudaErrorInvalidValue;
    if (!error && bytes > 0)
        error = graph ? record(&op, pool, bytes, graph, caller) : allocate(&op, pool, bytes, stream, caller);
    if (op) {
        *device = op->as.memory->base;
        error = pk_stream_put(op, stream);
    }
    pk_op_release(op);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaMallocAsync(void **device, size_t bytes, cudaStream_t stream)
{
    PK_CALL();
    return allocate_in_stream(device, bytes, nullptr, stream, __builtin_return_address(0));
}

extern "C" cudaError_t cudaMallocFromPoolAsync(void **device, size_t bytes, cudaMemPool_t pool, cudaStream_t stream)
{
    PK_CALL();
    return pool ? allocate_in_stream(device, bytes, pool, stream, __builtin_return_address(0))
                : pk_fail_with(cudaErrorInvalidValue);
}

/* The program gives it back; it is free when the stream comes to that. */
static cudaError_t free_in_stream(struct pk_ordered *memory, cudaStream_t stream)
{
    struct pk_op *op = pk_ordered_op(PK_OP_FREE, memory);
    const cudaError_t error = pk_stream_put(op, stream);
    if (!error && memory->pool)
        pk_pool_take_back(memory, op, stream);
    if (!error)
        pk_ordered_set_live(memory, false);
    pk_op_release(op);
    return error;
}

static cudaError_t record_free(const void *device, const struct CUgraph_st *graph, cudaStream_t stream)
{
    struct pk_op *op;
    cudaError_t error = pk_work_of_free(&op, graph, device);
    if (!error)
        error = pk_stream_put(op, stream);
    pk_op_release(op);
    return error;
}

extern "C" cudaError_t cudaFreeAsync(void *device, cudaStream_t stream)
{
    PK_ENTER();
    struct CUgraph_st *graph;
    pk_lock();
    struct pk_ordered *memory = pk_ordered_at(device);
    cudaError_t error = pk_capture_graph(stream, &graph);
    if (!error && graph)
        error = record_free(device, graph, stream);
    else if (!error && memory)
        error = memory->live ? free_in_stream(memory, stream) : cudaErrorInvalidValue;
    pk_unlock();
    if (error || graph || memory)
        return pk_fail_with(error);
    return pk_memory_free_in_stream(device, stream);
}

/* ---- pools ---- */

static cudaError_t check_properties(const cudaMemPoolProps *properties)
{
    const cudaMemLocation *location = &properties->location;
    if (properties->allocType == cudaMemAllocationTypeManaged || properties->handleTypes != cudaMemHandleTypeNone ||
        location->type == cudaMemLocationTypeHost || location->type == cudaMemLocationTypeHostNuma)
        return cudaErrorNotSupported;
    return properties->allocType == cudaMemAllocationTypePinned && location->type == cudaMemLocationTypeDevice &&
                   location->id == 0
               ? cudaSuccess
               : cudaErrorInvalidValue;
}

extern "C" cudaError_t cudaMemPoolCreate(cudaMemPool_t *handle, const cudaMemPoolProps *properties)
{
    PK_ENTER();
    const cudaError_t error = handle && properties ? check_properties(properties) : cudaErrorInvalidValue;
    if (error)
        return pk_fail_with(error);
    pk_lock();
    struct CUmemPoolHandle_st *pool = free_pools;
    if (pool)
        free_pools = pool->next;
    else
        pool = (struct CUmemPoolHandle_st *)malloc(sizeof(*pool));
    if (pool) {
        *pool = {POOL_ALIVE, false, *properties, {}, 0, {1, 1, 1}, nullptr, pools};
        pools = pool;
    }
    pk_unlock();
    *handle = pool;
    return pool ? cudaSuccess : pk_fail_with(cudaErrorMemoryAllocation);
}

/* What was allocated from it stays until it is freed. */
extern "C" cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
    PK_ENTER();
    pk_lock();
    const bool valid = pool_alive(pool) && pool != &default_pool;
    if (valid) {
        pool->destroyed = true;
        pool->threshold = 0;
        if (current_pool == pool)
            current_pool = &default_pool;
        pk_pools_settle();
    }
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t bytes)
{
    PK_ENTER();
    pk_lock();
    const bool valid = pool_alive(pool);
    if (valid)
        trim(pool, bytes);
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

static cudaError_t set_attribute(struct CUmemPoolHandle_st *pool, cudaMemPoolAttr attribute, const void *value)
{
    switch (attribute) {
    case cudaMemPoolReuseFollowEventDependencies:
    case cudaMemPoolReuseAllowOpportunistic:
    case cudaMemPoolReuseAllowInternalDependencies:
        pool->reuse[attribute - 1] = *(const int *)value != 0;
        return cudaSuccess;
    case cudaMemPoolAttrReleaseThreshold:
        pool->threshold = *(const uint64_t *)value;
        return cudaSuccess;
    case cudaMemPoolAttrReservedMemHigh: /* these two begin anew at what there is now */
        pool->sizes.reserved_high = pool->sizes.reserved;
        break;
    case cudaMemPoolAttrUsedMemHigh:
        pool->sizes.used_high = pool->sizes.used;
        break;
    case cudaMemPoolAttrReservedMemCurrent:
    case cudaMemPoolAttrUsedMemCurrent:
        return cudaErrorInvalidValue;
    }
    return cudaSuccess;
}

static bool is_high_mark(cudaMemPoolAttr attribute)
{
    return attribute == cudaMemPoolAttrReservedMemHigh || attribute == cudaMemPoolAttrUsedMemHigh;
}

static bool known_attribute(cudaMemPoolAttr attribute)
{
    return attribute >= cudaMemPoolReuseFollowEventDependencies && attribute <= cudaMemPoolAttrUsedMemHigh;
}

extern "C" cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void *value)
{
    PK_ENTER();
    if (!value || !known_attribute(attribute) || (is_high_mark(attribute) && *(const uint64_t *)value != 0))
        return pk_fail_with(cudaErrorInvalidValue);
    pk_lock();
    const cudaError_t error = pool_alive(pool) ? set_attribute(pool, attribute, value) : cudaErrorInvalidValue;
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void *value)
{
    PK_ENTER();
    pk_lock();
    const bool valid = pool_alive(pool) && value && known_attribute(attribute);
    if (valid && attribute <= cudaMemPoolReuseAllowInternalDependencies) {
        *(int *)value = pool->reuse[attribute - 1];
    } else if (valid) {
        const uint64_t values[] = {pool->threshold, pool->sizes.reserved, pool->sizes.reserved_high, pool->sizes.used,
                                   pool->sizes.used_high};
        *(uint64_t *)value = values[attribute - cudaMemPoolAttrReleaseThreshold];
    }
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

/* There is one device: it reads and writes, and that cannot be taken from it. */
extern "C" cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const cudaMemAccessDesc *access, size_t n)
{
    PK_ENTER();
    pk_lock();
    bool valid = pool_alive(pool) && (access || n == 0);
    for (size_t i = 0; valid && i < n; ++i)
        valid = access[i].location.type == cudaMemLocationTypeDevice && access[i].location.id == 0 &&
                access[i].flags == cudaMemAccessFlagsProtReadWrite;
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaMemPoolGetAccess(cudaMemAccessFlags *flags, cudaMemPool_t pool, cudaMemLocation *location)
{
    PK_ENTER();
    pk_lock();
    const bool valid =
        flags && pool_alive(pool) && location && location->type == cudaMemLocationTypeDevice && location->id == 0;
    pk_unlock();
    if (valid)
        *flags = cudaMemAccessFlagsProtReadWrite;
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

/* ---- the device's pools ---- */

extern "C" cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device)
{
    PK_ENTER();
    if (!pool || device != 0)
        return pk_fail_with(pool ? cudaErrorInvalidDevice : cudaErrorInvalidValue);
    *pool = &default_pool;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceGetMemPool(cudaMemPool_t *pool, int device)
{
    PK_ENTER();
    if (!pool || device != 0)
        return pk_fail_with(pool ? cudaErrorInvalidDevice : cudaErrorInvalidValue);
    pk_lock();
    *pool = current_pool;
    pk_unlock();
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool)
{
    PK_ENTER();
    pk_lock();
    const bool valid = device == 0 && pool_alive(pool); /* a GPU says the same of a device that there is not */
    if (valid)
        current_pool = pool;
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}
