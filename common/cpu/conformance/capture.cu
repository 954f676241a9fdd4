/* Stream capture: what is recorded, forks and joins, what is not allowed and what that does to the capture.
 * Source: CUDA C++ Programming Guide, "Creating a Graph Using Stream Capture" (cross-stream dependencies, prohibited
 * and unhandled operations, invalidation); CUDA Runtime API, cudaStreamBeginCapture, cudaStreamEndCapture,
 * cudaThreadExchangeStreamCaptureMode, cudaError_t 900 to 908. */
#include "conformance_graph.h"

#include <pthread.h>
#include <stdio.h>

CONCERN(capture)

typedef struct elsewhere {
    cudaError_t (*call)(void *);
    void *argument;
    cudaError_t error;
} elsewhere;

static void *run_elsewhere(void *what)
{
    elsewhere *e = (elsewhere *)what;
    e->error = e->call(e->argument);
    return NULL;
}

/* The call's result in another host thread. */
static cudaError_t in_another_thread(cudaError_t (*call)(void *), void *argument)
{
    elsewhere e = {call, argument, cudaErrorUnknown};
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_elsewhere, &e) == 0)
        pthread_join(thread, NULL);
    return e.error;
}

static void free_device(void *p)
{
    (void)cudaFree(p);
}

static cudaError_t allocate(void *unused)
{
    void *p = NULL;
    (void)unused;
    const cudaError_t error = cudaMalloc(&p, 256);
    if (error == cudaSuccess)
        (void)cf_hold(p, free_device);
    return error;
}

static cudaError_t end_capture(void *stream)
{
    cudaGraph_t graph = NULL;
    const cudaError_t error = cudaStreamEndCapture((cudaStream_t)stream, &graph);
    if (error == cudaSuccess)
        (void)cf_hold(graph, cf_destroy_graph);
    return error;
}

static void add_one(void *number)
{
    *(int *)number += 1;
}

/* The capture has been spoilt: the status says so, and its end gives an error and no graph. Then the stream works. */
static void expect_invalidated(cudaStream_t s)
{
    cudaGraph_t graph = (cudaGraph_t)&graph;
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusInvalidated);
    EXPECT_ERROR(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT(graph == NULL);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusNone);
    EXPECT_ERROR(cudaStreamSynchronize(s), cudaSuccess);
}

CASE(nothing_runs_until_the_graph_is_launched)
{
    STREAM(s);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    for (unsigned i = 0; i < 5; i++)
        PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 3u, i + 1);
    END_CAPTURE(s, graph);
    EXPECT_EACH(unsigned, x, 1, 0);
    EXPECT_EQ(cf_node_count(graph), 5);
    EXPECT_EQ(cf_edge_count(graph), 4);
    EXPECT_EQ(cf_root_count(graph), 1);
    EXEC(exec, graph);
    EXPECT_EACH(unsigned, x, 1, 0);
    PK_CHECK(cudaGraphLaunch(exec, s));
    EXPECT_EACH(unsigned, x, 1, ((((1 * 3 + 2) * 3 + 3) * 3) + 4) * 3 + 5);
    return PK_OK;
}

CASE(replays)
{
    unsigned want = 0;
    STREAM(s);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 3u, 1u);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 5u, 2u);
    END_CAPTURE(s, graph);
    EXEC(exec, graph);
    for (int i = 0; i < 100; i++) {
        PK_CHECK(cudaGraphLaunch(exec, s));
        want = (want * 3 + 1) * 5 + 2;
    }
    EXPECT_EACH(unsigned, x, 1, want);
    return PK_OK;
}

CASE(empty_capture)
{
    STREAM(s);
    BEGIN_CAPTURE(s);
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_node_count(graph), 0);
    PK_TRY(cf_run(graph));
    return PK_OK;
}

CASE(arguments_are_taken_at_the_capture)
{
    unsigned a = 1, b = 10;
    STREAM(s);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, a, b);
    b = 99;
    END_CAPTURE(s, graph);
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 1, 10);
    EXPECT_EQ(b, 99);
    return PK_OK;
}

CASE(copies_fills_and_host_functions)
{
    int calls = 0;
    STREAM(s);
    PINNED(int, host, 4);
    DEVICE(int, x, 4);
    DEVICE(int, y, 4);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaMemsetAsync(y, 1, 4 * sizeof *y, s));
    PK_CHECK(cudaMemcpyAsync(x, host, 2 * sizeof *x, cudaMemcpyHostToDevice, s));
    PK_CHECK(cudaMemcpyAsync(y, x, 2 * sizeof *y, cudaMemcpyDeviceToDevice, s));
    PK_CHECK(cudaMemcpyAsync(host, y, 4 * sizeof *host, cudaMemcpyDeviceToHost, s));
    PK_CHECK(cudaLaunchHostFunc(s, add_one, &calls));
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_count_type(graph, cudaGraphNodeTypeMemset), 1);
    EXPECT_EQ(cf_count_type(graph, cudaGraphNodeTypeMemcpy), 3);
    EXPECT_EQ(cf_count_type(graph, cudaGraphNodeTypeHost), 1);
    host[0] = 7; /* copies read memory when they run */
    host[1] = 8;
    EXPECT_EQ(calls, 0);
    PK_TRY(cf_run(graph));
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(host[0], 7);
    EXPECT_EQ(host[1], 8);
    EXPECT_EQ(host[3], 0x01010101);
    return PK_OK;
}

CASE(copy_from_pageable_memory)
{
    int value = 5;
    cudaGraph_t graph = NULL;
    STREAM(s);
    DEVICE(int, x, 1);
    BEGIN_CAPTURE(s);
    OBSERVE_ERROR("copy", cudaMemcpyAsync(x, &value, sizeof value, cudaMemcpyHostToDevice, s));
    OBSERVE_ERROR("end", cudaStreamEndCapture(s, &graph));
    OBSERVE("nodes", graph ? (long long)cf_node_count(graph) : -1);
    return PK_OK;
}

CASE(fork_and_join)
{
    STREAM(s);
    STREAM(t);
    EVENT(fork);
    EVENT(join);
    DEVICE(unsigned, x, 3);
    BEGIN_CAPTURE(s);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 1u, 5u);
    PK_CHECK(cudaEventRecord(fork, s));
    PK_CHECK(cudaStreamWaitEvent(t, fork, 0));
    PK_LAUNCH(cf_copy_after, 1, 1, 0, t, (int *)x, (int *)x + 1, 2);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x + 2, 1u, 1u);
    PK_CHECK(cudaEventRecord(join, t));
    PK_CHECK(cudaStreamWaitEvent(s, join, 0));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x + 1, 3u, 1u);
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_node_count(graph), 4); /* events become edges, not nodes */
    EXPECT_EQ(cf_edge_count(graph), 4);
    EXPECT_EQ(cf_root_count(graph), 1);
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 3, i == 0 ? 5 : i == 1 ? 31 : 1);
    return PK_OK;
}

CASE(joining_twice_gives_one_edge)
{
    STREAM(s);
    STREAM(t);
    EVENT(fork);
    EVENT(join);
    DEVICE(unsigned, x, 2);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaEventRecord(fork, s));
    PK_CHECK(cudaStreamWaitEvent(t, fork, 0));
    PK_LAUNCH(cf_affine, 1, 1, 0, t, x, 1u, 1u);
    PK_CHECK(cudaEventRecord(join, t));
    PK_CHECK(cudaStreamWaitEvent(s, join, 0));
    PK_CHECK(cudaStreamWaitEvent(s, join, 0));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x + 1, 1u, 1u);
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_node_count(graph), 2);
    EXPECT_EQ(cf_edge_count(graph), 1);
    return PK_OK;
}

CASE(wide_fork)
{
    STREAM(s);
    EVENT(fork);
    DEVICE(unsigned, x, 8);
    BEGIN_CAPTURE(s);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 1u, 9u);
    PK_CHECK(cudaEventRecord(fork, s));
    for (int i = 1; i < 8; i++) {
        STREAM(branch);
        EVENT(join);
        PK_CHECK(cudaStreamWaitEvent(branch, fork, 0));
        PK_LAUNCH(cf_copy_after, 1, 1, 0, branch, (int *)x, (int *)x + i, i);
        PK_CHECK(cudaEventRecord(join, branch));
        PK_CHECK(cudaStreamWaitEvent(s, join, 0));
    }
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 2u, 0u);
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_node_count(graph), 9);
    OBSERVE("edges", cf_edge_count(graph)); /* is the root's edge to the last node kept, which the branches imply? */
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 8, i == 0 ? 18 : 9 * i);
    return PK_OK;
}

CASE(status_and_id)
{
    cudaStreamCaptureStatus status;
    unsigned long long id = 0, forked_id = 0, next_id = 0;
    size_t n = 99;
    STREAM(s);
    STREAM(t);
    EVENT(fork);
    DEVICE(unsigned, x, 1);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusNone);
    BEGIN_CAPTURE(s);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusActive);
    EXPECT_EQ(cf_capture_status(t), cudaStreamCaptureStatusNone);
    PK_CHECK(cf_capture_info(s, &status, &id, &n));
    EXPECT_EQ(status, cudaStreamCaptureStatusActive);
    EXPECT_EQ(n, 0);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 1u, 1u);
    PK_CHECK(cf_capture_info(s, &status, &id, &n));
    EXPECT_EQ(n, 1);
    PK_CHECK(cudaEventRecord(fork, s));
    PK_CHECK(cudaStreamWaitEvent(t, fork, 0));
    PK_CHECK(cf_capture_info(t, &status, &forked_id, &n));
    EXPECT_EQ(status, cudaStreamCaptureStatusActive);
    EXPECT(id != 0 && id == forked_id);
    PK_CHECK(cudaEventRecord(fork, t));
    PK_CHECK(cudaStreamWaitEvent(s, fork, 0));
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusNone);
    EXPECT_EQ(cf_capture_status(t), cudaStreamCaptureStatusNone);
    BEGIN_CAPTURE(s);
    PK_CHECK(cf_capture_info(s, &status, &next_id, &n));
    END_CAPTURE(s, second);
    EXPECT(next_id != id);
    return PK_OK;
}

CASE(other_streams_run_at_once)
{
    STREAM(s);
    STREAM(t);
    MAPPED(int, host, device, 2);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    PK_LAUNCH(cf_set, 1, 1, 0, s, device, 1);
    PK_LAUNCH(cf_set, 1, 1, 0, t, device + 1, 2);
    EXPECT_ERROR(cudaStreamSynchronize(t), cudaSuccess);
    EXPECT_EQ(host[1], 2);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusActive);
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_node_count(graph), 1);
    EXPECT_EQ(host[0], 0);
    return PK_OK;
}

CASE(global_forbids_waiting_for_another_stream)
{
    STREAM(s);
    STREAM(t);
    MAPPED(int, host, device, 1);
    BEGIN_CAPTURE(s);
    PK_LAUNCH(cf_set, 1, 1, 0, t, device, 2);
    EXPECT_ERROR(cudaStreamSynchronize(t), cudaErrorStreamCaptureUnsupported);
    expect_invalidated(s);
    EXPECT_ERROR(cudaStreamSynchronize(t), cudaSuccess);
    EXPECT_EQ(*host, 2);
    return PK_OK;
}

static cudaError_t synchronize_stream(void *stream)
{
    return cudaStreamSynchronize((cudaStream_t)stream);
}

CASE(thread_local_forbids_waiting_in_its_thread_only)
{
    STREAM(s);
    STREAM(t);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    EXPECT_ERROR(in_another_thread(synchronize_stream, t), cudaSuccess);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusActive);
    EXPECT_ERROR(cudaStreamSynchronize(t), cudaErrorStreamCaptureUnsupported);
    expect_invalidated(s);
    return PK_OK;
}

/* Calls that ask or wait outside the capture, each in a capture of its own: the error, then the capture's status. */
static pk_status ask_outside(const char *mode_name, cudaStreamCaptureMode mode)
{
    static const char *const calls[] = {"query_stream", "wait_stream", "query_event", "wait_event", "wait_legacy"};
    STREAM(s);
    STREAM(t);
    EVENT(e);
    PK_CHECK(cudaEventRecord(e, t));
    PK_CHECK(cudaStreamSynchronize(t));
    for (int i = 0; i < 5; i++) {
        cudaGraph_t graph = NULL;
        char name[64];
        PK_CHECK(cudaStreamBeginCapture(s, mode));
        const cudaError_t error = i == 0   ? cudaStreamQuery(t)
                                  : i == 1 ? cudaStreamSynchronize(t)
                                  : i == 2 ? cudaEventQuery(e)
                                  : i == 3 ? cudaEventSynchronize(e)
                                           : cudaStreamSynchronize(0);
        snprintf(name, sizeof name, "%s_%s", mode_name, calls[i]);
        cf_observe(name, "%d, capture %d", (int)error, (int)cf_capture_status(s));
        (void)cudaStreamEndCapture(s, &graph);
        (void)cudaGetLastError();
        if (graph)
            PK_TRY(cf_hold(graph, cf_destroy_graph));
    }
    return PK_OK;
}

CASE(asking_outside_the_capture)
{
    PK_TRY(ask_outside("global", cudaStreamCaptureModeGlobal));
    PK_TRY(ask_outside("thread_local", cudaStreamCaptureModeThreadLocal));
    PK_TRY(ask_outside("relaxed", cudaStreamCaptureModeRelaxed));
    return PK_OK;
}

CASE(work_before_the_capture_is_no_part_of_it)
{
    STREAM(s);
    GATE(gate);
    DEVICE(unsigned, x, 1);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 1u, 4u);
    BEGIN_CAPTURE(s);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 10u, 0u);
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_node_count(graph), 1);
    EXPECT(cf_stream_busy(s));
    cf_gate_open(&gate);
    EXPECT_EACH(unsigned, x, 1, 4);
    return PK_OK;
}

CASE(legacy_stream_cannot_capture)
{
    EXPECT_ERROR(cudaStreamBeginCapture(0, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
    EXPECT_ERROR(cudaStreamBeginCapture(cudaStreamLegacy, cudaStreamCaptureModeRelaxed),
                 cudaErrorStreamCaptureUnsupported);
    return PK_OK;
}

CASE(begin_and_end_out_of_turn)
{
    cudaGraph_t graph = NULL;
    STREAM(s);
    OBSERVE_ERROR("end_without_begin", cudaStreamEndCapture(s, &graph));
    BEGIN_CAPTURE(s);
    OBSERVE_ERROR("begin_twice", cudaStreamBeginCapture(s, cudaStreamCaptureModeGlobal));
    OBSERVE("status_after_begin_twice", cf_capture_status(s));
    OBSERVE_ERROR("end_after_begin_twice", cudaStreamEndCapture(s, &graph));
    return PK_OK;
}

CASE(begin_with_an_unknown_mode)
{
    STREAM(s);
    EXPECT_ERROR(cudaStreamBeginCapture(s, (cudaStreamCaptureMode)77), cudaErrorInvalidValue);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusNone);
    return PK_OK;
}

CASE(global_forbids_malloc)
{
    STREAM(s);
    BEGIN_CAPTURE(s);
    EXPECT_ERROR(allocate(NULL), cudaErrorStreamCaptureUnsupported);
    expect_invalidated(s);
    return PK_OK;
}

CASE(global_forbids_malloc_in_other_threads)
{
    STREAM(s);
    BEGIN_CAPTURE(s);
    EXPECT_ERROR(in_another_thread(allocate, NULL), cudaErrorStreamCaptureUnsupported);
    expect_invalidated(s);
    return PK_OK;
}

CASE(thread_local_forbids_malloc_in_its_thread_only)
{
    STREAM(s);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    EXPECT_ERROR(in_another_thread(allocate, NULL), cudaSuccess);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusActive);
    EXPECT_ERROR(allocate(NULL), cudaErrorStreamCaptureUnsupported);
    expect_invalidated(s);
    return PK_OK;
}

CASE(relaxed_allows_malloc)
{
    STREAM(s);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    EXPECT_ERROR(allocate(NULL), cudaSuccess);
    EXPECT_ERROR(in_another_thread(allocate, NULL), cudaSuccess);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusActive);
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_node_count(graph), 0);
    return PK_OK;
}

CASE(a_thread_may_exchange_its_mode)
{
    cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
    STREAM(s);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaThreadExchangeStreamCaptureMode(&mode));
    EXPECT_EQ(mode, cudaStreamCaptureModeGlobal);
    EXPECT_ERROR(allocate(NULL), cudaSuccess);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusActive);
    PK_CHECK(cudaThreadExchangeStreamCaptureMode(&mode));
    EXPECT_EQ(mode, cudaStreamCaptureModeRelaxed);
    EXPECT_ERROR(allocate(NULL), cudaErrorStreamCaptureUnsupported);
    expect_invalidated(s);
    return PK_OK;
}

CASE(stream_synchronize)
{
    STREAM(s);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    EXPECT_ERROR(cudaStreamSynchronize(s), cudaErrorStreamCaptureUnsupported);
    expect_invalidated(s);
    return PK_OK;
}

CASE(stream_query)
{
    STREAM(s);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    EXPECT_ERROR(cudaStreamQuery(s), cudaErrorStreamCaptureUnsupported);
    expect_invalidated(s);
    return PK_OK;
}

CASE(device_synchronize)
{
    STREAM(s);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    EXPECT_ERROR(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
    expect_invalidated(s);
    return PK_OK;
}

CASE(captured_event)
{
    float ms;
    cudaGraph_t graph = NULL;
    STREAM(s);
    EVENT(e);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    PK_CHECK(cudaEventRecord(e, s));
    EXPECT_ERROR(cudaEventQuery(e), cudaErrorCapturedEvent);
    OBSERVE("status_after_query", cf_capture_status(s));
    OBSERVE_ERROR("end_after_query", cudaStreamEndCapture(s, &graph));
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    PK_CHECK(cudaEventRecord(e, s));
    EXPECT_ERROR(cudaEventSynchronize(e), cudaErrorCapturedEvent);
    OBSERVE("status_after_synchronize", cf_capture_status(s));
    OBSERVE_ERROR("elapsed", cudaEventElapsedTime(&ms, e, e));
    OBSERVE_ERROR("end_after_synchronize", cudaStreamEndCapture(s, &graph));
    OBSERVE_ERROR("query_after_end", cudaEventQuery(e));
    OBSERVE_ERROR("wait_after_end", cudaStreamWaitEvent(s, e, 0));
    return PK_OK;
}

CASE(query_of_an_event_outside)
{
    cudaGraph_t graph = NULL;
    STREAM(s);
    STREAM(t);
    EVENT(e);
    PK_CHECK(cudaEventRecord(e, t));
    PK_CHECK(cudaEventSynchronize(e));
    BEGIN_CAPTURE(s);
    OBSERVE_ERROR("query_in_global_mode", cudaEventQuery(e));
    OBSERVE("status", cf_capture_status(s));
    OBSERVE_ERROR("end", cudaStreamEndCapture(s, &graph));
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    EXPECT_ERROR(cudaEventQuery(e), cudaSuccess);
    END_CAPTURE(s, second);
    return PK_OK;
}

CASE(legacy_launch_beside_a_blocking_capture)
{
    BLOCKING_STREAM(s);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    EXPECT_ERROR(LAUNCH_ERROR(cf_affine, 1, 1, 0, 0, x, 1u, 1u), cudaErrorStreamCaptureImplicit);
    expect_invalidated(s);
    EXPECT_EACH(unsigned, x, 1, 0);
    return PK_OK;
}

CASE(legacy_launch_beside_a_non_blocking_capture)
{
    STREAM(s);
    MAPPED(int, host, device, 1);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    PK_LAUNCH(cf_set, 1, 1, 0, 0, device, 3);
    EXPECT_ERROR(cudaStreamSynchronize(0), cudaSuccess);
    EXPECT_EQ(*host, 3);
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_node_count(graph), 0);
    return PK_OK;
}

CASE(synchronous_copy_beside_a_blocking_capture)
{
    int value = 1;
    BLOCKING_STREAM(s);
    DEVICE(int, x, 1);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    EXPECT_ERROR(cudaMemcpy(x, &value, sizeof value, cudaMemcpyHostToDevice), cudaErrorStreamCaptureImplicit);
    expect_invalidated(s);
    return PK_OK;
}

CASE(synchronous_copy_beside_a_non_blocking_capture)
{
    int value = 1;
    cudaGraph_t graph = NULL;
    STREAM(s);
    DEVICE(int, x, 1);
    BEGIN_CAPTURE(s);
    OBSERVE_ERROR("global_copy", cudaMemcpy(x, &value, sizeof value, cudaMemcpyHostToDevice));
    OBSERVE("global_status", cf_capture_status(s));
    OBSERVE_ERROR("global_end", cudaStreamEndCapture(s, &graph));
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    OBSERVE_ERROR("relaxed_copy", cudaMemcpy(x, &value, sizeof value, cudaMemcpyHostToDevice));
    OBSERVE_ERROR("relaxed_end", cudaStreamEndCapture(s, &graph));
    return PK_OK;
}

CASE(wait_for_an_event_from_outside)
{
    STREAM(s);
    STREAM(t);
    EVENT(e);
    PK_CHECK(cudaEventRecord(e, t));
    BEGIN_CAPTURE(s);
    EXPECT_ERROR(cudaStreamWaitEvent(s, e, 0), cudaErrorStreamCaptureIsolation);
    expect_invalidated(s);
    return PK_OK;
}

CASE(wait_for_an_event_never_recorded)
{
    cudaGraph_t graph = NULL;
    STREAM(s);
    EVENT(e);
    BEGIN_CAPTURE(s);
    OBSERVE_ERROR("wait", cudaStreamWaitEvent(s, e, 0));
    OBSERVE("status", cf_capture_status(s));
    OBSERVE_ERROR("end", cudaStreamEndCapture(s, &graph));
    return PK_OK;
}

CASE(merge_of_two_captures)
{
    cudaGraph_t graph = NULL;
    STREAM(s);
    STREAM(t);
    EVENT(e);
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    PK_CHECK(cudaStreamBeginCapture(t, cudaStreamCaptureModeRelaxed));
    PK_CHECK(cudaEventRecord(e, t));
    EXPECT_ERROR(cudaStreamWaitEvent(s, e, 0), cudaErrorStreamCaptureMerge);
    OBSERVE("waiting_capture", cf_capture_status(s));
    OBSERVE("recording_capture", cf_capture_status(t));
    OBSERVE_ERROR("waiting_end", cudaStreamEndCapture(s, &graph));
    OBSERVE_ERROR("recording_end", cudaStreamEndCapture(t, &graph));
    return PK_OK;
}

CASE(end_with_work_unjoined)
{
    cudaGraph_t graph = (cudaGraph_t)&graph;
    STREAM(s);
    STREAM(t);
    EVENT(fork);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaEventRecord(fork, s));
    PK_CHECK(cudaStreamWaitEvent(t, fork, 0));
    PK_LAUNCH(cf_affine, 1, 1, 0, t, x, 1u, 1u);
    EXPECT_ERROR(cudaStreamEndCapture(s, &graph), cudaErrorStreamCaptureUnjoined);
    EXPECT(graph == NULL);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusNone);
    EXPECT_EQ(cf_capture_status(t), cudaStreamCaptureStatusNone);
    return PK_OK;
}

CASE(end_in_another_stream)
{
    cudaGraph_t graph = NULL;
    STREAM(s);
    STREAM(t);
    EVENT(fork);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaEventRecord(fork, s));
    PK_CHECK(cudaStreamWaitEvent(t, fork, 0));
    EXPECT_ERROR(cudaStreamEndCapture(t, &graph), cudaErrorStreamCaptureUnmatched);
    OBSERVE("status", cf_capture_status(s));
    OBSERVE_ERROR("end", cudaStreamEndCapture(s, &graph));
    return PK_OK;
}

CASE(end_in_another_thread)
{
    STREAM(s);
    BEGIN_CAPTURE(s);
    EXPECT_ERROR(in_another_thread(end_capture, s), cudaErrorStreamCaptureWrongThread);
    OBSERVE("status", cf_capture_status(s));
    OBSERVE_ERROR("end", end_capture(s));
    PK_CHECK(cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed));
    EXPECT_ERROR(in_another_thread(end_capture, s), cudaSuccess);
    EXPECT_EQ(cf_capture_status(s), cudaStreamCaptureStatusNone);
    return PK_OK;
}

CASE(use_of_an_invalidated_capture)
{
    STREAM(s);
    EVENT(e);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    (void)cudaStreamSynchronize(s);
    (void)cudaGetLastError();
    EXPECT_ERROR(LAUNCH_ERROR(cf_affine, 1, 1, 0, s, x, 1u, 1u), cudaErrorStreamCaptureInvalidated);
    EXPECT_ERROR(cudaMemsetAsync(x, 1, sizeof *x, s), cudaErrorStreamCaptureInvalidated);
    EXPECT_ERROR(cudaEventRecord(e, s), cudaErrorStreamCaptureInvalidated);
    OBSERVE_ERROR("synchronize_again", cudaStreamSynchronize(s));
    expect_invalidated(s);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 1u, 6u);
    EXPECT_EACH(unsigned, x, 1, 6);
    return PK_OK;
}

CASE(forked_streams_are_invalidated_together)
{
    STREAM(s);
    STREAM(t);
    EVENT(fork);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaEventRecord(fork, s));
    PK_CHECK(cudaStreamWaitEvent(t, fork, 0));
    EXPECT_ERROR(cudaStreamSynchronize(t), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cf_capture_status(t), cudaStreamCaptureStatusInvalidated);
    expect_invalidated(s);
    EXPECT_EQ(cf_capture_status(t), cudaStreamCaptureStatusNone);
    return PK_OK;
}

CASE(what_global_mode_allows)
{
    /* Each call in a capture of its own. */
    void *p;
    cudaStream_t made;
    cudaEvent_t event;
    cudaGraph_t graph;
    PINNED(int, host, 1);
    STREAM(s);
    DEVICE(int, x, 1);
    BEGIN_CAPTURE(s);
    OBSERVE_ERROR("cudaStreamCreateWithFlags", cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
    OBSERVE_ERROR("cudaStreamCreateWithFlags_end", cudaStreamEndCapture(s, &graph));
    BEGIN_CAPTURE(s);
    OBSERVE_ERROR("cudaEventCreate", cudaEventCreate(&event));
    OBSERVE_ERROR("cudaEventCreate_end", cudaStreamEndCapture(s, &graph));
    BEGIN_CAPTURE(s);
    OBSERVE_ERROR("cudaHostAlloc", cudaHostAlloc(&p, 64, cudaHostAllocDefault));
    OBSERVE_ERROR("cudaHostAlloc_end", cudaStreamEndCapture(s, &graph));
    PK_CHECK(cudaMalloc(&p, 64));
    BEGIN_CAPTURE(s);
    OBSERVE_ERROR("cudaFree", cudaFree(p));
    OBSERVE_ERROR("cudaFree_end", cudaStreamEndCapture(s, &graph));
    BEGIN_CAPTURE(s);
    OBSERVE_ERROR("cudaMemset", cudaMemset(x, 0, sizeof *x));
    OBSERVE_ERROR("cudaMemset_end", cudaStreamEndCapture(s, &graph));
    return PK_OK;
}

CASE(external_events_become_nodes)
{
    float ms = -1.0f;
    STREAM(s);
    EVENT(start);
    EVENT(stop);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaEventRecordWithFlags(start, s, cudaEventRecordExternal));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 1u, 1u);
    PK_CHECK(cudaEventRecordWithFlags(stop, s, cudaEventRecordExternal));
    PK_CHECK(cudaStreamWaitEvent(s, start, cudaEventWaitExternal));
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_count_type(graph, cudaGraphNodeTypeEventRecord), 2);
    EXPECT_EQ(cf_count_type(graph, cudaGraphNodeTypeWaitEvent), 1);
    EXEC(exec, graph);
    PK_CHECK(cudaGraphLaunch(exec, s));
    PK_CHECK(cudaEventSynchronize(stop));
    PK_CHECK(cudaEventElapsedTime(&ms, start, stop));
    EXPECT(ms >= 0.0f);
    return PK_OK;
}

/* A graph launch is not captured: a child graph node is added by hand. */
static pk_status launch_in_capture(const char *name, cudaStreamCaptureMode mode, bool upload, int kernels, bool aside)
{
    cudaGraph_t outer = NULL;
    char text[64];
    STREAM(s);
    STREAM(t);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    for (int i = 0; i < kernels; i++)
        PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 3u, 1u);
    END_CAPTURE(s, inner);
    EXEC(exec, inner);
    if (upload)
        PK_CHECK(cudaGraphUpload(exec, s));
    PK_CHECK(cudaStreamSynchronize(s));
    PK_CHECK(cudaStreamBeginCapture(s, mode));
    const cudaError_t error = cudaGraphLaunch(exec, aside ? t : s);
    cf_observe(name, "%d, capture %d", (int)error, (int)cf_capture_status(s));
    snprintf(text, sizeof text, "%s_end", name);
    OBSERVE_ERROR(text, cudaStreamEndCapture(s, &outer));
    if (outer) {
        PK_TRY(cf_hold(outer, cf_destroy_graph));
        snprintf(text, sizeof text, "%s_nodes", name);
        OBSERVE(text, cf_node_count(outer));
    }
    EXPECT_ERROR(cudaDeviceSynchronize(), cudaSuccess);
    return PK_OK;
}

CASE(graph_launch_while_capturing)
{
    PK_TRY(launch_in_capture("global", cudaStreamCaptureModeGlobal, false, 2, false));
    PK_TRY(launch_in_capture("global_uploaded", cudaStreamCaptureModeGlobal, true, 2, false));
    PK_TRY(launch_in_capture("thread_local", cudaStreamCaptureModeThreadLocal, false, 2, false));
    PK_TRY(launch_in_capture("relaxed", cudaStreamCaptureModeRelaxed, false, 2, false));
    PK_TRY(launch_in_capture("relaxed_uploaded", cudaStreamCaptureModeRelaxed, true, 2, false));
    PK_TRY(launch_in_capture("relaxed_one_kernel", cudaStreamCaptureModeRelaxed, true, 1, false));
    PK_TRY(launch_in_capture("global_aside", cudaStreamCaptureModeGlobal, false, 2, true));
    PK_TRY(launch_in_capture("global_aside_uploaded", cudaStreamCaptureModeGlobal, true, 2, true));
    PK_TRY(launch_in_capture("relaxed_aside", cudaStreamCaptureModeRelaxed, false, 2, true));
    return PK_OK;
}

CASE(global_refuses_a_graph_launch)
{
    cudaGraph_t outer = NULL;
    STREAM(s);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 3u, 1u);
    END_CAPTURE(s, inner);
    EXEC(inner_exec, inner);
    BEGIN_CAPTURE(s);
    EXPECT_ERROR(cudaGraphLaunch(inner_exec, s), cudaErrorStreamCaptureUnsupported);
    if (cudaStreamEndCapture(s, &outer) == cudaSuccess)
        PK_TRY(cf_hold(outer, cf_destroy_graph));
    (void)cudaGetLastError();
    EXPECT_EACH(unsigned, x, 1, 0);
    return PK_OK;
}

CASE(child_graph_added_to_a_capture)
{
    cudaGraph_t capturing;
    cudaGraphNode_t child;
    const cudaGraphNode_t *after;
    size_t n;
    STREAM(s);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 3u, 1u);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 3u, 1u);
    END_CAPTURE(s, inner);
    BEGIN_CAPTURE(s);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 2u, 2u);
    PK_CHECK(cf_capture_tips(s, &capturing, &after, &n));
    EXPECT_EQ(n, 1);
    PK_CHECK(cudaGraphAddChildGraphNode(&child, capturing, after, n, inner));
    PK_CHECK(cf_set_capture_tip(s, &child));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 10u, 5u);
    END_CAPTURE(s, outer);
    EXPECT_EQ(cf_count_type(outer, cudaGraphNodeTypeGraph), 1);
    EXPECT_EQ(cf_node_count(outer), 3);
    EXPECT_EQ(cf_edge_count(outer), 2);
    EXPECT_EACH(unsigned, x, 1, 0);
    PK_TRY(cf_run(outer));
    EXPECT_EACH(unsigned, x, 1, ((2 * 3 + 1) * 3 + 1) * 10 + 5);
    return PK_OK;
}

/* A capture to a graph that the caller has: its end has nothing new to tell. */
CASE(capture_to_a_graph_ends_without_asking_for_it)
{
    STREAM(s);
    DEVICE(unsigned, x, 1);
    GRAPH(graph);
    PK_CHECK(cudaStreamBeginCaptureToGraph(s, graph, NULL, NULL, 0, cudaStreamCaptureModeGlobal));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 3u, 7u);
    PK_CHECK(cudaStreamEndCapture(s, NULL));
    EXPECT_EQ(cf_node_count(graph), 1);
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 1, 7);
    return PK_OK;
}
