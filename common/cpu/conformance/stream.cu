/* Streams: order, independence, the default stream's rules, priorities, queries, waits, host functions.
 * Source: CUDA Runtime API, "Stream Management", "Stream synchronization behavior". */
#include "conformance.h"

CONCERN(stream)

/* Long enough for what must not happen to happen. */
#define A_WHILE_MS 30

static __global__ void wait_for_flag(const int *flag, int *seen)
{
    const long long started = clock64();
    while (pk_load_acquire_system(flag) == 0 && clock64() - started < 10000000000ll)
        PK_POLL_PAUSE();
    *seen = pk_load_acquire_system(flag);
}

static __global__ void raise_flag(int *flag, int value)
{
    cf_store_release_system(flag, value);
}

/* The first thread of a block works for a while, then takes a ticket; the highest one is kept. */
static __global__ void busy_blocks(unsigned *counter, unsigned *last_ticket, long long cycles)
{
    const long long started = clock64();
    if (threadIdx.x != 0)
        return;
    while (clock64() - started < cycles)
        ;
    atomicMax(last_ticket, atomicAdd(counter, 1u) + 1u);
}

static void add_one(void *number)
{
    *(int *)number += 1;
}

static void sleep_then_set(void *number)
{
    cf_sleep_ms(A_WHILE_MS);
    __atomic_store_n((int *)number, 1, __ATOMIC_RELEASE);
}

static void try_to_allocate(void *error)
{
    void *p = NULL;
    *(cudaError_t *)error = cudaMalloc(&p, 256);
}

CASE(in_order)
{
    unsigned want = 0;
    STREAM(s);
    DEVICE(unsigned, x, 1);
    for (unsigned i = 0; i < 500; i++) {
        PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 3u, i);
        want = want * 3 + i;
    }
    EXPECT_EACH(unsigned, x, 1, want);
    return PK_OK;
}

CASE(launch_returns_at_once)
{
    STREAM(s);
    GATE(gate);
    PK_TRY(cf_gate_enqueue(&gate, s));
    EXPECT_EQ(cudaStreamQuery(s), cudaErrorNotReady);
    (void)cudaGetLastError();
    cf_gate_open(&gate);
    EXPECT_ERROR(cudaStreamSynchronize(s), cudaSuccess);
    EXPECT_ERROR(cudaStreamQuery(s), cudaSuccess);
    return PK_OK;
}

CASE(not_ready_and_the_last_error)
{
    STREAM(s);
    GATE(gate);
    PK_TRY(cf_gate_enqueue(&gate, s));
    (void)cudaStreamQuery(s);
    OBSERVE_ERROR("cudaGetLastError", cudaGetLastError());
    return PK_OK;
}

CASE(many_launches_while_held)
{
    STREAM(s);
    GATE(gate);
    DEVICE(unsigned, x, 1);
    PK_TRY(cf_gate_enqueue(&gate, s));
    for (int i = 0; i < 200; i++)
        PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 1u, 1u);
    EXPECT(cf_stream_busy(s));
    cf_gate_open(&gate);
    EXPECT_EACH(unsigned, x, 1, 200);
    return PK_OK;
}

CASE(two_streams_run_together)
{
    /* The first kernel ends only when the second, in another stream, has run. */
    STREAM(first);
    STREAM(second);
    DEVICE(int, flag, 1);
    DEVICE(int, seen, 1);
    PK_LAUNCH(wait_for_flag, 1, 1, 0, first, flag, seen);
    PK_LAUNCH(raise_flag, 1, 1, 0, second, flag, 5);
    PK_CHECK(cudaStreamSynchronize(first));
    EXPECT_EACH(int, seen, 1, 5);
    return PK_OK;
}

CASE(copy_runs_beside_kernel)
{
    SKIP_WHERE_COPIES_RACE();
    STREAM(kernels);
    STREAM(copies);
    PINNED(int, value, 1);
    DEVICE(int, flag, 1);
    DEVICE(int, seen, 1);
    *value = 9;
    PK_LAUNCH(wait_for_flag, 1, 1, 0, kernels, flag, seen);
    PK_CHECK(cudaMemcpyAsync(flag, value, sizeof *value, cudaMemcpyHostToDevice, copies));
    PK_CHECK(cudaStreamSynchronize(kernels));
    EXPECT_EACH(int, seen, 1, 9);
    return PK_OK;
}

CASE(synchronize_waits_for_its_stream_only)
{
    STREAM(held);
    STREAM(freed);
    GATE(gate);
    DEVICE(int, x, 1);
    PK_TRY(cf_gate_enqueue(&gate, held));
    PK_LAUNCH(cf_set, 1, 1, 0, freed, x, 3);
    EXPECT_ERROR(cudaStreamSynchronize(freed), cudaSuccess);
    EXPECT(cf_stream_busy(held));
    return PK_OK;
}

CASE(device_synchronize_waits_for_all)
{
    MAPPED(int, host, device, 4);
    for (int i = 0; i < 4; i++) {
        STREAM(s);
        PK_LAUNCH(busy_blocks, 1, 32, 0, s, (unsigned *)(device + i), (unsigned *)(device + i), 1000000ll);
    }
    PK_CHECK(cudaDeviceSynchronize());
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(host[i], 1);
    return PK_OK;
}

CASE(wait_event_orders_streams)
{
    STREAM(first);
    STREAM(second);
    EVENT(e);
    GATE(gate);
    DEVICE(unsigned, x, 1);
    PK_TRY(cf_gate_enqueue(&gate, first));
    PK_LAUNCH(cf_affine, 1, 1, 0, first, x, 2u, 1u);
    PK_CHECK(cudaEventRecord(e, first));
    PK_CHECK(cudaStreamWaitEvent(second, e, 0));
    PK_LAUNCH(cf_affine, 1, 1, 0, second, x, 10u, 5u);
    cf_sleep_ms(A_WHILE_MS);
    EXPECT(cf_stream_busy(second));
    cf_gate_open(&gate);
    EXPECT_EACH(unsigned, x, 1, 15);
    return PK_OK;
}

CASE(wait_for_an_event_never_recorded)
{
    STREAM(s);
    EVENT(e);
    EXPECT_ERROR(cudaStreamWaitEvent(s, e, 0), cudaSuccess);
    EXPECT_ERROR(cudaStreamSynchronize(s), cudaSuccess);
    return PK_OK;
}

CASE(wait_takes_the_record_of_the_moment)
{
    /* A later record of the same event does not matter to a wait that is already enqueued. */
    STREAM(held);
    STREAM(waiting);
    EVENT(e);
    GATE(gate);
    PK_CHECK(cudaEventRecord(e, held));
    PK_CHECK(cudaStreamWaitEvent(waiting, e, 0));
    PK_TRY(cf_gate_enqueue(&gate, held));
    PK_CHECK(cudaEventRecord(e, held));
    EXPECT_ERROR(cudaStreamSynchronize(waiting), cudaSuccess);
    EXPECT(cf_stream_busy(held));
    return PK_OK;
}

CASE(wait_event_bad_arguments)
{
    STREAM(s);
    EVENT(e);
    EXPECT_ERROR(cudaStreamWaitEvent(s, e, 0x100), cudaErrorInvalidValue);
    OBSERVE_ERROR("null_event", cudaStreamWaitEvent(s, NULL, 0));
    return PK_OK;
}

CASE(default_stream_joins_blocking_streams)
{
    /* One blocking stream, then the default stream, then another blocking stream: three links of a chain. */
    BLOCKING_STREAM(first);
    BLOCKING_STREAM(second);
    GATE(gate);
    DEVICE(unsigned, counter, 4);
    PK_TRY(cf_gate_enqueue(&gate, first));
    PK_LAUNCH(cf_ticket, 1, 1, 0, first, counter, counter + 1);
    PK_LAUNCH(cf_ticket, 1, 1, 0, 0, counter, counter + 2);
    PK_LAUNCH(cf_ticket, 1, 1, 0, second, counter, counter + 3);
    cf_sleep_ms(A_WHILE_MS);
    EXPECT(cf_stream_busy(0));
    EXPECT(cf_stream_busy(second));
    cf_gate_open(&gate);
    EXPECT_EACH(unsigned, counter, 4, i == 0 ? 3 : i);
    return PK_OK;
}

CASE(blocking_streams_are_independent)
{
    BLOCKING_STREAM(first);
    BLOCKING_STREAM(second);
    GATE(gate);
    DEVICE(int, x, 1);
    PK_TRY(cf_gate_enqueue(&gate, first));
    PK_LAUNCH(cf_set, 1, 1, 0, second, x, 1);
    EXPECT_ERROR(cudaStreamSynchronize(second), cudaSuccess);
    EXPECT(cf_stream_busy(first));
    return PK_OK;
}

CASE(non_blocking_ignores_default)
{
    STREAM(s);
    GATE(gate);
    DEVICE(int, x, 1);
    PK_TRY(cf_gate_enqueue(&gate, 0));
    PK_LAUNCH(cf_set, 1, 1, 0, s, x, 1);
    EXPECT_ERROR(cudaStreamSynchronize(s), cudaSuccess);
    EXPECT(cf_stream_busy(0));
    return PK_OK;
}

CASE(default_ignores_non_blocking)
{
    STREAM(s);
    GATE(gate);
    DEVICE(int, x, 1);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_LAUNCH(cf_set, 1, 1, 0, 0, x, 1);
    EXPECT_ERROR(cudaStreamSynchronize(0), cudaSuccess);
    EXPECT(cf_stream_busy(s));
    return PK_OK;
}

CASE(legacy_handle_is_the_default_stream)
{
    GATE(gate);
    PK_TRY(cf_gate_enqueue(&gate, cudaStreamLegacy));
    EXPECT(cf_stream_busy(0));
    cf_gate_open(&gate);
    EXPECT_ERROR(cudaStreamSynchronize(cudaStreamLegacy), cudaSuccess);
    EXPECT(!cf_stream_busy(0));
    return PK_OK;
}

CASE(flags)
{
    unsigned flags = 99;
    STREAM(non_blocking);
    BLOCKING_STREAM(blocking);
    PK_CHECK(cudaStreamGetFlags(non_blocking, &flags));
    EXPECT_EQ(flags, cudaStreamNonBlocking);
    PK_CHECK(cudaStreamGetFlags(blocking, &flags));
    EXPECT_EQ(flags, cudaStreamDefault);
    PK_CHECK(cudaStreamGetFlags(0, &flags));
    EXPECT_EQ(flags, cudaStreamDefault);
    return PK_OK;
}

CASE(bad_flags)
{
    cudaStream_t s;
    EXPECT_ERROR(cudaStreamCreateWithFlags(&s, 0xf0), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaStreamCreate(NULL), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(priority_range_and_clamp)
{
    int least = 99, greatest = 99, priority = 99;
    cudaStream_t high, low;
    PK_CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    EXPECT(greatest <= least);
    EXPECT_EQ(least, 0);
    PK_CHECK(cudaStreamCreateWithPriority(&high, cudaStreamNonBlocking, greatest - 10));
    PK_CHECK(cudaStreamGetPriority(high, &priority));
    EXPECT_EQ(priority, greatest);
    PK_CHECK(cudaStreamCreateWithPriority(&low, cudaStreamNonBlocking, least + 10));
    PK_CHECK(cudaStreamGetPriority(low, &priority));
    EXPECT_EQ(priority, least);
    PK_CHECK(cudaStreamDestroy(high));
    PK_CHECK(cudaStreamDestroy(low));
    return PK_OK;
}

CASE(high_priority_overtakes_waiting_blocks)
{
    int least, greatest, resident = 0;
    cudaStream_t high, low;
    unsigned tickets[3];
    GATE(gate);
    STREAM(held);
    EVENT(opened);
    DEVICE(unsigned, d, 3); /* counter, last of low, last of high */
    PK_CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    if (least == greatest)
        SKIP("the device has no stream priorities");
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, busy_blocks, 1024, 0));
    const unsigned blocks = 16u * (unsigned)(resident * cf_attribute(cudaDevAttrMultiProcessorCount));
    PK_CHECK(cudaStreamCreateWithPriority(&low, cudaStreamNonBlocking, least));
    PK_CHECK(cudaStreamCreateWithPriority(&high, cudaStreamNonBlocking, greatest));
    /* Both are let go at the same moment, however slow the host is. */
    PK_TRY(cf_gate_enqueue(&gate, held));
    PK_CHECK(cudaEventRecord(opened, held));
    PK_CHECK(cudaStreamWaitEvent(low, opened, 0));
    PK_CHECK(cudaStreamWaitEvent(high, opened, 0));
    PK_LAUNCH(busy_blocks, blocks, 1024, 0, low, d, d + 1, 100000ll);
    PK_LAUNCH(busy_blocks, 1, 1024, 0, high, d, d + 2, 1ll);
    cf_gate_open(&gate);
    PK_CHECK(cudaDeviceSynchronize());
    PK_CHECK(cudaMemcpy(tickets, d, sizeof tickets, cudaMemcpyDeviceToHost));
    EXPECT_EQ(tickets[0], blocks + 1);
    EXPECT(tickets[2] < blocks / 2);
    PK_CHECK(cudaStreamDestroy(high));
    PK_CHECK(cudaStreamDestroy(low));
    return PK_OK;
}

CASE(destroy_lets_work_finish)
{
    GATE(gate);
    MAPPED(int, host, device, 1);
    cudaStream_t s;
    PK_CHECK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_LAUNCH(cf_set, 1, 1, 0, s, device, 4);
    EXPECT_ERROR(cudaStreamDestroy(s), cudaSuccess);
    EXPECT_EQ(*host, 0);
    cf_gate_open(&gate);
    PK_CHECK(cudaDeviceSynchronize());
    EXPECT_EQ(*host, 4);
    return PK_OK;
}

CASE(destroy_default)
{
    EXPECT_ERROR(cudaStreamDestroy(0), cudaErrorInvalidResourceHandle);
    return PK_OK;
}

CASE(many_streams)
{
    MAPPED(int, host, device, 200);
    for (int i = 0; i < 200; i++) {
        STREAM(s);
        PK_LAUNCH(cf_set, 1, 1, 0, s, device + i, i);
    }
    PK_CHECK(cudaDeviceSynchronize());
    for (int i = 0; i < 200; i++)
        if (host[i] != i)
            return pk_fail(PK_WRONG, "stream %d did not run", i);
    return PK_OK;
}

CASE(host_function_in_order)
{
    int calls = 0;
    STREAM(s);
    GATE(gate);
    MAPPED(int, host, device, 1);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaLaunchHostFunc(s, add_one, &calls));
    PK_LAUNCH(cf_set, 1, 1, 0, s, device, 10);
    PK_CHECK(cudaLaunchHostFunc(s, add_one, host)); /* sees what the kernel wrote */
    cf_sleep_ms(A_WHILE_MS);
    EXPECT_EQ(__atomic_load_n(&calls, __ATOMIC_ACQUIRE), 0);
    cf_gate_open(&gate);
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(*host, 11);
    return PK_OK;
}

CASE(host_function_holds_its_stream)
{
    STREAM(s);
    MAPPED(int, host, device, 2);
    PK_CHECK(cudaLaunchHostFunc(s, sleep_then_set, host));
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, device, device + 1, 6);
    EXPECT(cf_stream_busy(s));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EQ(host[1], 6);
    return PK_OK;
}

CASE(host_function_null)
{
    STREAM(s);
    EXPECT_ERROR(cudaLaunchHostFunc(s, NULL, NULL), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(host_function_may_not_call_cuda)
{
    cudaError_t error = cudaSuccess;
    STREAM(s);
    PK_CHECK(cudaLaunchHostFunc(s, try_to_allocate, &error));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EQ(error, cudaErrorNotPermitted);
    return PK_OK;
}

CASE(fan_out_and_in)
{
    STREAM(root);
    EVENT(forked);
    DEVICE(unsigned, x, 10);
    PK_LAUNCH(cf_affine, 1, 1, 0, root, x, 0u, 3u);
    PK_CHECK(cudaEventRecord(forked, root));
    for (unsigned i = 1; i < 9; i++) {
        STREAM(branch);
        EVENT(joined);
        PK_CHECK(cudaStreamWaitEvent(branch, forked, 0));
        PK_LAUNCH(cf_copy_after, 1, 1, 0, branch, (int *)x, (int *)x + i, (int)i);
        PK_CHECK(cudaEventRecord(joined, branch));
        PK_CHECK(cudaStreamWaitEvent(root, joined, 0));
    }
    PK_LAUNCH(cf_copy_after, 1, 1, 0, root, (int *)x + 8, (int *)x + 9, 2);
    PK_CHECK(cudaStreamSynchronize(root));
    EXPECT_EACH(unsigned, x, 10, i == 0 ? 3 : i == 9 ? 48 : 3 * i);
    return PK_OK;
}

typedef struct called {
    cudaStream_t stream;
    cudaError_t status;
    unsigned seen;
    const unsigned *x;
} called;

static void CUDART_CB note_call(cudaStream_t stream, cudaError_t status, void *data)
{
    called *c = (called *)data;
    c->stream = stream;
    c->status = status;
    c->seen = *c->x;
}

CASE(callback_after_what_was_before)
{
    called c = {NULL, cudaErrorUnknown, 0, NULL};
    STREAM(s);
    DEVICE(unsigned, x, 1);
    PINNED(unsigned, host, 1);
    c.x = host;
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 3u, 7u);
    PK_CHECK(cudaMemcpyAsync(host, x, sizeof *host, cudaMemcpyDeviceToHost, s));
    PK_CHECK(cudaStreamAddCallback(s, note_call, &c, 0));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT(c.stream == s);
    EXPECT_EQ(c.status, cudaSuccess);
    EXPECT_EQ(c.seen, 7);
    return PK_OK;
}
