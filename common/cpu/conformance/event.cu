/* Events: what a record captures, queries, waits, elapsed time.
 * Source: CUDA Runtime API, "Event Management". */
#include "conformance.h"

CONCERN(event)

static __global__ void spin(long long cycles)
{
    const long long started = clock64();
    while (clock64() - started < cycles)
        ;
}

CASE(never_recorded)
{
    EVENT(e);
    EXPECT_ERROR(cudaEventQuery(e), cudaSuccess);
    EXPECT_ERROR(cudaEventSynchronize(e), cudaSuccess);
    return PK_OK;
}

CASE(query)
{
    STREAM(s);
    EVENT(e);
    GATE(gate);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaEventRecord(e, s));
    EXPECT_ERROR(cudaEventQuery(e), cudaErrorNotReady);
    cf_gate_open(&gate);
    EXPECT_ERROR(cudaEventSynchronize(e), cudaSuccess);
    EXPECT_ERROR(cudaEventQuery(e), cudaSuccess);
    return PK_OK;
}

CASE(record_covers_earlier_work_only)
{
    STREAM(s);
    EVENT(e);
    GATE(gate);
    MAPPED(int, host, device, 1);
    PK_LAUNCH(cf_set, 1, 1, 0, s, device, 8);
    PK_CHECK(cudaEventRecord(e, s));
    PK_TRY(cf_gate_enqueue(&gate, s));
    EXPECT_ERROR(cudaEventSynchronize(e), cudaSuccess);
    EXPECT_EQ(*host, 8);
    EXPECT(cf_stream_busy(s));
    return PK_OK;
}

CASE(record_again_moves_it)
{
    STREAM(s);
    EVENT(e);
    GATE(gate);
    PK_CHECK(cudaEventRecord(e, s));
    EXPECT_ERROR(cudaEventSynchronize(e), cudaSuccess);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaEventRecord(e, s));
    EXPECT_ERROR(cudaEventQuery(e), cudaErrorNotReady);
    return PK_OK;
}

CASE(record_in_default_stream_covers_blocking_streams)
{
    BLOCKING_STREAM(s);
    EVENT(e);
    GATE(gate);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaEventRecord(e, 0));
    cf_sleep_ms(20);
    EXPECT_ERROR(cudaEventQuery(e), cudaErrorNotReady);
    return PK_OK;
}

CASE(elapsed_time)
{
    float ms = -1.0f;
    STREAM(s);
    EVENT(start);
    EVENT(stop);
    PK_CHECK(cudaEventRecord(start, s));
    PK_LAUNCH(spin, 1, 1, 0, s, 4000000ll); /* 2 ms at 2 GHz */
    PK_CHECK(cudaEventRecord(stop, s));
    PK_CHECK(cudaEventSynchronize(stop));
    PK_CHECK(cudaEventElapsedTime(&ms, start, stop));
    EXPECT(ms > 1.0f);
    EXPECT(ms < 1000.0f);
    PK_CHECK(cudaEventElapsedTime(&ms, start, start));
    EXPECT(ms == 0.0f);
    PK_CHECK(cudaEventElapsedTime(&ms, stop, start));
    EXPECT(ms < -1.0f);
    return PK_OK;
}

CASE(elapsed_time_between_streams)
{
    float ms = -1.0f;
    STREAM(first);
    STREAM(second);
    EVENT(start);
    EVENT(stop);
    PK_LAUNCH(spin, 1, 1, 0, first, 1000000ll);
    PK_CHECK(cudaEventRecord(start, first));
    PK_CHECK(cudaStreamWaitEvent(second, start, 0));
    PK_CHECK(cudaEventRecord(stop, second));
    PK_CHECK(cudaEventSynchronize(stop));
    PK_CHECK(cudaEventElapsedTime(&ms, start, stop));
    EXPECT(ms >= 0.0f);
    return PK_OK;
}

CASE(elapsed_time_not_recorded)
{
    float ms;
    STREAM(s);
    EVENT(recorded);
    EVENT(never);
    PK_CHECK(cudaEventRecord(recorded, s));
    PK_CHECK(cudaEventSynchronize(recorded));
    EXPECT_ERROR(cudaEventElapsedTime(&ms, recorded, never), cudaErrorInvalidResourceHandle);
    EXPECT_ERROR(cudaEventElapsedTime(&ms, never, recorded), cudaErrorInvalidResourceHandle);
    return PK_OK;
}

CASE(elapsed_time_not_ready)
{
    float ms;
    STREAM(s);
    EVENT(start);
    EVENT(stop);
    GATE(gate);
    PK_CHECK(cudaEventRecord(start, s));
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaEventRecord(stop, s));
    EXPECT_ERROR(cudaEventElapsedTime(&ms, start, stop), cudaErrorNotReady);
    return PK_OK;
}

CASE(elapsed_time_without_timing)
{
    float ms;
    STREAM(s);
    cudaEvent_t start = NULL;
    EVENT(stop);
    PK_TRY(cf_event(&start, cudaEventDisableTiming));
    PK_CHECK(cudaEventRecord(start, s));
    PK_CHECK(cudaEventRecord(stop, s));
    PK_CHECK(cudaEventSynchronize(stop));
    EXPECT_ERROR(cudaEventElapsedTime(&ms, start, stop), cudaErrorInvalidResourceHandle);
    return PK_OK;
}

CASE(blocking_sync)
{
    STREAM(s);
    cudaEvent_t e = NULL;
    PK_TRY(cf_event(&e, cudaEventBlockingSync | cudaEventDisableTiming));
    PK_LAUNCH(spin, 1, 1, 0, s, 1000000ll);
    PK_CHECK(cudaEventRecord(e, s));
    EXPECT_ERROR(cudaEventSynchronize(e), cudaSuccess);
    EXPECT(!cf_stream_busy(s));
    return PK_OK;
}

CASE(bad_flags)
{
    cudaEvent_t e;
    EXPECT_ERROR(cudaEventCreateWithFlags(&e, 0xf00), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(null_handles)
{
    STREAM(s);
    OBSERVE_ERROR("record", cudaEventRecord(NULL, s));
    OBSERVE_ERROR("query", cudaEventQuery(NULL));
    OBSERVE_ERROR("synchronize", cudaEventSynchronize(NULL));
    OBSERVE_ERROR("destroy", cudaEventDestroy(NULL));
    return PK_OK;
}

CASE(destroy_while_pending)
{
    STREAM(first);
    STREAM(second);
    GATE(gate);
    DEVICE(unsigned, x, 1);
    cudaEvent_t e;
    PK_CHECK(cudaEventCreate(&e));
    PK_TRY(cf_gate_enqueue(&gate, first));
    PK_LAUNCH(cf_affine, 1, 1, 0, first, x, 2u, 1u);
    PK_CHECK(cudaEventRecord(e, first));
    PK_CHECK(cudaStreamWaitEvent(second, e, 0));
    EXPECT_ERROR(cudaEventDestroy(e), cudaSuccess);
    PK_LAUNCH(cf_affine, 1, 1, 0, second, x, 10u, 5u);
    cf_gate_open(&gate);
    EXPECT_EACH(unsigned, x, 1, 15);
    return PK_OK;
}

CASE(outlives_its_stream)
{
    EVENT(e);
    GATE(gate);
    cudaStream_t s;
    PK_CHECK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaEventRecord(e, s));
    PK_CHECK(cudaStreamDestroy(s));
    EXPECT_ERROR(cudaEventQuery(e), cudaErrorNotReady);
    cf_gate_open(&gate);
    EXPECT_ERROR(cudaEventSynchronize(e), cudaSuccess);
    return PK_OK;
}

CASE(created_with_flags_in_one_call)
{
    cudaEvent_t e = NULL;
    float ms;
    PK_CHECK(cudaEventCreate(&e, cudaEventDisableTiming));
    PK_CHECK(cudaEventRecord(e));
    PK_CHECK(cudaEventSynchronize(e));
    EXPECT_ERROR(cudaEventElapsedTime(&ms, e, e), cudaErrorInvalidResourceHandle);
    PK_CHECK(cudaEventDestroy(e));
    return PK_OK;
}
