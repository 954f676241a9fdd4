/* Allocation in the order of streams, and the pools that it comes from.
 * Source: CUDA C++ Programming Guide, "Stream Ordered Memory Allocator"; CUDA Runtime API, cudaMallocAsync,
 * cudaFreeAsync, cudaMemPoolCreate, cudaMemPoolSetAttribute, cudaMemPoolTrimTo, cudaDeviceSetMemPool. */
#include "conformance.h"

CONCERN(pool)

#define NEED_POOLS()                                                                                                   \
    if (!cf_attribute(cudaDevAttrMemoryPoolsSupported))                                                                \
    SKIP("the device has no memory pools")

static cudaMemPoolProps properties(void)
{
    cudaMemPoolProps made = {};
    made.allocType = cudaMemAllocationTypePinned;
    made.location.type = cudaMemLocationTypeDevice;
    return made;
}

static void destroy_pool(void *pool)
{
    (void)cudaMemPoolDestroy((cudaMemPool_t)pool);
}

/* A pool that keeps what is freed; destroyed at the end of the case. */
static pk_status make_pool(cudaMemPool_t *pool)
{
    const cudaMemPoolProps made = properties();
    unsigned long long all = ~0ull;
    PK_CHECK(cudaMemPoolCreate(pool, &made));
    PK_TRY(cf_hold(*pool, destroy_pool));
    PK_CHECK(cudaMemPoolSetAttribute(*pool, cudaMemPoolAttrReleaseThreshold, &all));
    return PK_OK;
}

#define POOL(name)                                                                                                     \
    cudaMemPool_t name = NULL;                                                                                         \
    PK_TRY(make_pool(&name))

static unsigned long long get(cudaMemPool_t pool, cudaMemPoolAttr which)
{
    unsigned long long value = 0;
    (void)cudaMemPoolGetAttribute(pool, which, &value);
    return value;
}

CASE(address_at_once_memory_in_order)
{
    STREAM(s);
    GATE(gate);
    NEED_POOLS();
    DEVICE(int, out, 1);
    int *x = NULL;
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaMallocAsync(&x, sizeof *x, s));
    EXPECT(x != NULL);
    PK_LAUNCH(cf_set, 1, 1, 0, s, x, 6);
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, x, out, 7);
    PK_CHECK(cudaFreeAsync(x, s));
    EXPECT(cf_stream_busy(s)); /* neither call has waited */
    cf_gate_open(&gate);
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EACH(int, out, 1, 42);
    return PK_OK;
}

CASE(many_rounds_in_one_stream)
{
    STREAM(s);
    NEED_POOLS();
    DEVICE(int, out, 50);
    for (int round = 0; round < 50; round++) {
        int *x, *y;
        PK_CHECK(cudaMallocAsync(&x, 1024, s));
        PK_CHECK(cudaMallocAsync(&y, 1024, s));
        EXPECT(x != y);
        PK_LAUNCH(cf_set, 1, 1, 0, s, x, round);
        PK_LAUNCH(cf_set, 1, 1, 0, s, y, -1);
        PK_LAUNCH(cf_copy_after, 1, 1, 0, s, x, out + round, 3);
        PK_CHECK(cudaFreeAsync(x, s));
        PK_CHECK(cudaFreeAsync(y, s));
    }
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EACH(int, out, 50, 3 * (int)i);
    return PK_OK;
}

CASE(events_order_other_streams)
{
    STREAM(maker);
    STREAM(user);
    EVENT(made);
    EVENT(used);
    NEED_POOLS();
    DEVICE(int, out, 1);
    int *x;
    PK_CHECK(cudaMallocAsync(&x, 4096, maker));
    PK_CHECK(cudaEventRecord(made, maker));
    PK_CHECK(cudaStreamWaitEvent(user, made, 0));
    PK_LAUNCH(cf_set, 1, 1, 0, user, x, 5);
    PK_LAUNCH(cf_copy_after, 1, 1, 0, user, x, out, 2);
    PK_CHECK(cudaEventRecord(used, user));
    PK_CHECK(cudaStreamWaitEvent(maker, used, 0));
    PK_CHECK(cudaFreeAsync(x, maker));
    PK_CHECK(cudaStreamSynchronize(maker));
    EXPECT_EACH(int, out, 1, 10);
    return PK_OK;
}

/* What one stream has freed and not come to is nobody else's yet. */
CASE(no_reuse_before_the_free_has_run)
{
    STREAM(held);
    STREAM(other);
    GATE(gate);
    NEED_POOLS();
    POOL(pool);
    DEVICE(int, out, 1);
    int *x, *y;
    PK_CHECK(cudaMallocFromPoolAsync(&x, 4096, pool, held));
    PK_LAUNCH(cf_set, 1, 1, 0, held, x, 1);
    PK_TRY(cf_gate_enqueue(&gate, held));
    PK_LAUNCH(cf_copy_after, 1, 1, 0, held, x, out, 9);
    PK_CHECK(cudaFreeAsync(x, held));
    int off = 0; /* nor may the allocation wait for it */
    PK_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolReuseAllowInternalDependencies, &off));
    PK_CHECK(cudaMallocFromPoolAsync(&y, 4096, pool, other));
    PK_LAUNCH(cf_set, 1, 1, 0, other, y, 1000);
    PK_CHECK(cudaStreamSynchronize(other));
    EXPECT(x != y);
    cf_gate_open(&gate);
    PK_CHECK(cudaStreamSynchronize(held));
    EXPECT_EACH(int, out, 1, 9);
    PK_CHECK(cudaFreeAsync(y, other));
    return PK_OK;
}

CASE(freed_by_the_other_call)
{
    STREAM(s);
    NEED_POOLS();
    int *x, *y;
    PK_CHECK(cudaMallocAsync(&x, 4096, s));
    PK_CHECK(cudaStreamSynchronize(s));
    PK_CHECK(cudaFree(x));
    PK_CHECK(cudaMalloc(&y, 4096));
    PK_CHECK(cudaFreeAsync(y, s));
    PK_CHECK(cudaStreamSynchronize(s));
    return PK_OK;
}

CASE(used_and_reserved)
{
    const size_t bytes = 4u << 20;
    unsigned long long zero = 0;
    STREAM(s);
    NEED_POOLS();
    POOL(pool);
    void *x, *y;
    EXPECT_EQ(get(pool, cudaMemPoolAttrUsedMemCurrent), 0);
    EXPECT_EQ(get(pool, cudaMemPoolAttrReservedMemCurrent), 0);
    PK_CHECK(cudaMallocFromPoolAsync(&x, bytes, pool, s));
    PK_CHECK(cudaMallocFromPoolAsync(&y, bytes, pool, s));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT(get(pool, cudaMemPoolAttrUsedMemCurrent) >= 2 * bytes);
    EXPECT(get(pool, cudaMemPoolAttrReservedMemCurrent) >= get(pool, cudaMemPoolAttrUsedMemCurrent));
    PK_CHECK(cudaFreeAsync(x, s));
    PK_CHECK(cudaFreeAsync(y, s));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EQ(get(pool, cudaMemPoolAttrUsedMemCurrent), 0);
    EXPECT(get(pool, cudaMemPoolAttrUsedMemHigh) >= 2 * bytes);
    EXPECT(get(pool, cudaMemPoolAttrReservedMemCurrent) >= 2 * bytes); /* the threshold is out of reach */
    PK_CHECK(cudaMemPoolTrimTo(pool, bytes));
    EXPECT(get(pool, cudaMemPoolAttrReservedMemCurrent) >= bytes);
    PK_CHECK(cudaMemPoolTrimTo(pool, 0));
    EXPECT_EQ(get(pool, cudaMemPoolAttrReservedMemCurrent), 0);
    EXPECT(get(pool, cudaMemPoolAttrReservedMemHigh) >= 2 * bytes);
    PK_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrUsedMemHigh, &zero));
    PK_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReservedMemHigh, &zero));
    EXPECT_EQ(get(pool, cudaMemPoolAttrUsedMemHigh), 0);
    EXPECT_EQ(get(pool, cudaMemPoolAttrReservedMemHigh), 0);
    return PK_OK;
}

CASE(a_trim_leaves_what_is_in_use)
{
    STREAM(s);
    NEED_POOLS();
    POOL(pool);
    DEVICE(int, out, 1);
    int *x;
    PK_CHECK(cudaMallocFromPoolAsync(&x, 4096, pool, s));
    PK_LAUNCH(cf_set, 1, 1, 0, s, x, 8);
    PK_CHECK(cudaStreamSynchronize(s));
    PK_CHECK(cudaMemPoolTrimTo(pool, 0));
    EXPECT(get(pool, cudaMemPoolAttrReservedMemCurrent) >= 4096);
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, x, out, 1);
    PK_CHECK(cudaFreeAsync(x, s));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EACH(int, out, 1, 8);
    return PK_OK;
}

/* With a threshold of 0 a synchronisation gives back what is free; CUDA promises to try. */
CASE(release_threshold)
{
    unsigned long long zero = 0, got = 1;
    STREAM(s);
    NEED_POOLS();
    POOL(pool);
    void *x;
    PK_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &zero));
    PK_CHECK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &got));
    EXPECT_EQ(got, 0);
    PK_CHECK(cudaMallocFromPoolAsync(&x, 4u << 20, pool, s));
    PK_CHECK(cudaFreeAsync(x, s));
    PK_CHECK(cudaStreamSynchronize(s));
    OBSERVE("reserved_after_a_synchronisation", get(pool, cudaMemPoolAttrReservedMemCurrent));
    return PK_OK;
}

CASE(reuse_rules)
{
    NEED_POOLS();
    POOL(pool);
    const cudaMemPoolAttr rules[] = {cudaMemPoolReuseFollowEventDependencies, cudaMemPoolReuseAllowOpportunistic,
                                     cudaMemPoolReuseAllowInternalDependencies};
    for (int i = 0; i < 3; i++) {
        int value = 7, off = 0;
        PK_CHECK(cudaMemPoolGetAttribute(pool, rules[i], &value));
        EXPECT_EQ(value, 1);
        PK_CHECK(cudaMemPoolSetAttribute(pool, rules[i], &off));
        PK_CHECK(cudaMemPoolGetAttribute(pool, rules[i], &value));
        EXPECT_EQ(value, 0);
    }
    return PK_OK;
}

CASE(the_devices_pools)
{
    cudaMemPool_t first = NULL, now = NULL;
    STREAM(s);
    NEED_POOLS();
    void *x;
    const cudaMemPoolProps made = properties();
    cudaMemPool_t pool = NULL;
    PK_CHECK(cudaDeviceGetDefaultMemPool(&first, 0));
    PK_CHECK(cudaDeviceGetMemPool(&now, 0));
    EXPECT(first != NULL && now == first);
    PK_CHECK(cudaMemPoolCreate(&pool, &made));
    PK_CHECK(cudaDeviceSetMemPool(0, pool));
    PK_CHECK(cudaDeviceGetMemPool(&now, 0));
    EXPECT(now == pool);
    PK_CHECK(cudaMallocAsync(&x, 4096, s));
    EXPECT(get(pool, cudaMemPoolAttrUsedMemCurrent) >= 4096);
    PK_CHECK(cudaFreeAsync(x, s));
    PK_CHECK(cudaStreamSynchronize(s));
    PK_CHECK(cudaMemPoolDestroy(pool)); /* the current one: then it is the default one again */
    PK_CHECK(cudaDeviceGetMemPool(&now, 0));
    EXPECT(now == first);
    EXPECT_ERROR(cudaMemPoolDestroy(first), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(memory_that_outlives_its_pool)
{
    STREAM(s);
    NEED_POOLS();
    DEVICE(int, out, 1);
    int *x;
    const cudaMemPoolProps made = properties();
    cudaMemPool_t pool = NULL;
    PK_CHECK(cudaMemPoolCreate(&pool, &made));
    PK_CHECK(cudaMallocFromPoolAsync(&x, 4096, pool, s));
    PK_CHECK(cudaMemPoolDestroy(pool));
    PK_LAUNCH(cf_set, 1, 1, 0, s, x, 3);
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, x, out, 4);
    PK_CHECK(cudaFreeAsync(x, s));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EACH(int, out, 1, 12);
    return PK_OK;
}

CASE(access)
{
    cudaMemAccessDesc own = {};
    cudaMemAccessFlags flags = cudaMemAccessFlagsProtNone;
    NEED_POOLS();
    POOL(pool);
    own.location.type = cudaMemLocationTypeDevice;
    PK_CHECK(cudaMemPoolGetAccess(&flags, pool, &own.location));
    EXPECT_EQ(flags, cudaMemAccessFlagsProtReadWrite);
    own.flags = cudaMemAccessFlagsProtReadWrite;
    PK_CHECK(cudaMemPoolSetAccess(pool, &own, 1));
    own.flags = cudaMemAccessFlagsProtNone;
    OBSERVE_ERROR("taken_from_its_own_device", cudaMemPoolSetAccess(pool, &own, 1));
    return PK_OK;
}

CASE(what_is_refused)
{
    unsigned long long one = 1, zero = 0;
    cudaMemPool_t none = NULL;
    cudaMemPoolProps wrong = properties();
    void *x = NULL;
    STREAM(s);
    NEED_POOLS();
    POOL(pool);
    wrong.allocType = cudaMemAllocationTypeInvalid;
    EXPECT_ERROR(cudaMemPoolCreate(&none, &wrong), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrUsedMemHigh, &one), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReservedMemHigh, &one), cudaErrorInvalidValue);
    OBSERVE_ERROR("set_current", cudaMemPoolSetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &zero));
    EXPECT_ERROR(cudaMallocFromPoolAsync(&x, (size_t)1 << 50, pool, s), cudaErrorMemoryAllocation);
    OBSERVE_ERROR("no_bytes", cudaMallocAsync(&x, 0, s));
    EXPECT_ERROR(cudaDeviceSetMemPool(1000, pool), cudaErrorInvalidValue); /* the pool is not of that device */
    (void)cudaGetLastError();
    return PK_OK;
}

CASE(freed_twice)
{
    STREAM(s);
    NEED_POOLS();
    void *x;
    PK_CHECK(cudaMallocAsync(&x, 4096, s));
    PK_CHECK(cudaFreeAsync(x, s));
    const cudaError_t again = cudaFreeAsync(x, s);
    OBSERVE_ERROR("again", again);
    EXPECT(again != cudaSuccess);
    (void)cudaGetLastError();
    return PK_OK;
}

CASE(largest_size_of_a_pool)
{
    cudaMemPoolProps small = properties();
    cudaMemPool_t pool = NULL;
    void *x = NULL;
    STREAM(s);
    NEED_POOLS();
    small.maxSize = 32u << 20;
    PK_CHECK(cudaMemPoolCreate(&pool, &small));
    PK_TRY(cf_hold(pool, destroy_pool));
    PK_CHECK(cudaMallocFromPoolAsync(&x, 1u << 20, pool, s));
    PK_CHECK(cudaFreeAsync(x, s));
    EXPECT_ERROR(cudaMallocFromPoolAsync(&x, 256u << 20, pool, s), cudaErrorMemoryAllocation);
    return PK_OK;
}

/* Into a stream that does not capture, while another does in the strictest mode. */
CASE(beside_a_capture)
{
    cudaGraph_t graph = NULL;
    void *x = NULL;
    STREAM(captured);
    STREAM(s);
    NEED_POOLS();
    PK_CHECK(cudaStreamBeginCapture(captured, cudaStreamCaptureModeGlobal));
    OBSERVE_ERROR("allocate", cudaMallocAsync(&x, 4096, s));
    OBSERVE_ERROR("free", x ? cudaFreeAsync(x, s) : cudaSuccess);
    OBSERVE_ERROR("end", cudaStreamEndCapture(captured, &graph));
    if (graph)
        (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();
    return PK_OK;
}
