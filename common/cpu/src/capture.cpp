/* Stream capture: streams that record what they are given as nodes of a graph. A captured stream has tips, the nodes
 * that its next one will depend on; an event recorded in it takes a copy of the tips along to the streams that wait
 * for it. Source of the rules: CUDA C++ Programming Guide, "Creating a Graph Using Stream Capture"; CUDA Runtime API,
 * cudaStreamBeginCapture and cudaThreadExchangeStreamCaptureMode. */
#include "capture.h"

#include <stdio.h>
#include <stdlib.h>

#include "error.h"
#include "graph.h"
#include "settings.h"

struct pk_capture {
    uint64_t id;
    cudaStreamCaptureMode mode;
    const void *thread; /* that began it */
    struct CUstream_st *origin;
    struct CUgraph_st *graph;
    bool owns_graph; /* until it ends */
    bool spoilt;     /* invalidated: ends with an error */
    struct pk_capture *next;
};

static struct pk_capture *captures; /* that have not ended */
static __thread cudaStreamCaptureMode thread_mode;
static __thread char thread_mark; /* its address names the thread */

static struct pk_capture *find_capture(uint64_t id)
{
    struct pk_capture *capture = captures;
    while (capture && capture->id != id)
        capture = capture->next;
    return capture;
}

static cudaError_t spoil(struct pk_capture *capture, cudaError_t error)
{
    capture->spoilt = true;
    return error;
}

/* Its streams work again; the graph goes unless it is given away. */
static void end_capture(struct pk_capture *capture, bool keep_graph)
{
    for (struct CUstream_st *stream = pk_streams; stream; stream = stream->next)
        if (stream->capture == capture) {
            stream->capture = nullptr;
            stream->tips.count = 0;
        }
    capture->graph->captures--;
    if (capture->owns_graph && !keep_graph)
        pk_graph_free(capture->graph);
    struct pk_capture **at = &captures;
    while (*at != capture)
        at = &(*at)->next;
    *at = capture->next;
    free(capture);
}

/* Whether the stream has work that nothing of the capture's origin will follow. */
static bool unjoined(const struct pk_capture *capture, const struct CUstream_st *stream)
{
    for (size_t i = 0; i < stream->tips.count; ++i)
        if (stream->tips.at[i]->after.count == 0 && !pk_nodes_has(&capture->origin->tips, stream->tips.at[i]))
            return true;
    return false;
}

/* ---- what is allowed ---- */

/* The legacy stream waits for blocking streams, which a capture cannot record. */
static cudaError_t allows_legacy(void)
{
    cudaError_t error = cudaSuccess;
    for (struct CUstream_st *stream = pk_streams; stream; stream = stream->next)
        if (stream->capture && !(stream->flags & cudaStreamNonBlocking))
            error = spoil(stream->capture, cudaErrorStreamCaptureImplicit);
    return error;
}

static cudaError_t allows_work(const struct CUstream_st *stream)
{
    if (stream == &pk_legacy_stream)
        return allows_legacy();
    return stream->capture && stream->capture->spoilt ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
}

cudaError_t pk_capture_allows_device_wait(void)
{
    for (struct pk_capture *capture = captures; capture; capture = capture->next)
        (void)spoil(capture, cudaSuccess);
    return captures ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

/* The captures that forbid unsafe calls to this thread, by the mode that they began with and the thread's own. */
static cudaError_t allows_unsafe(void)
{
    cudaError_t error = cudaSuccess;
    for (struct pk_capture *capture = captures; capture; capture = capture->next) {
        const bool own = capture->thread == &thread_mark && capture->mode != cudaStreamCaptureModeRelaxed;
        const bool global = capture->mode == cudaStreamCaptureModeGlobal && thread_mode == cudaStreamCaptureModeGlobal;
        if ((own || global) && thread_mode != cudaStreamCaptureModeRelaxed)
            error = spoil(capture, cudaErrorStreamCaptureUnsupported);
    }
    return error;
}

cudaError_t pk_capture_allows_wait(const struct CUstream_st *stream)
{
    if (stream->capture)
        return spoil(stream->capture, cudaErrorStreamCaptureUnsupported);
    const cudaError_t error = allows_work(stream);
    return error ? error : allows_unsafe();
}

cudaError_t pk_capture_allows_unsafe(void)
{
    pk_lock();
    const cudaError_t error = allows_unsafe();
    pk_unlock();
    return error;
}

extern "C" cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *mode)
{
    PK_ENTER();
    if (!mode || (unsigned)*mode > cudaStreamCaptureModeRelaxed)
        return pk_fail_with(cudaErrorInvalidValue);
    const cudaStreamCaptureMode before = thread_mode;
    thread_mode = *mode;
    *mode = before;
    return cudaSuccess;
}

/* ---- recording ---- */

bool pk_capturing(cudaStream_t handle)
{
    const struct CUstream_st *stream = pk_stream_of(handle);
    return stream && stream->capture;
}

cudaError_t pk_capture_graph(cudaStream_t handle, struct CUgraph_st **graph)
{
    const struct CUstream_st *stream = pk_stream_of(handle);
    *graph = stream && stream->capture ? stream->capture->graph : nullptr;
    return stream ? allows_work(stream) : cudaErrorInvalidResourceHandle;
}

static void set_tip(struct CUstream_st *stream, struct CUgraphNode_st *node)
{
    stream->tips.count = 0;
    pk_nodes_add(&stream->tips, node);
}

static void add_tips(struct CUstream_st *stream, const struct pk_nodes *tips)
{
    for (size_t i = 0; i < tips->count; ++i)
        if (!pk_nodes_has(&stream->tips, tips->at[i]))
            pk_nodes_add(&stream->tips, tips->at[i]);
}

static void record_node(struct CUstream_st *stream, cudaGraphNodeType type, struct pk_op *op)
{
    set_tip(stream, pk_graph_add(stream->capture->graph, type, op, stream->tips.at, stream->tips.count));
}

static cudaGraphNodeType type_of(const struct pk_op *op)
{
    switch (op->kind) {
    case PK_OP_KERNEL:
        return cudaGraphNodeTypeKernel;
    case PK_OP_COPY:
        return cudaGraphNodeTypeMemcpy;
    case PK_OP_FILL:
        return cudaGraphNodeTypeMemset;
    case PK_OP_HOST:
        return cudaGraphNodeTypeHost;
    case PK_OP_RECORD:
        return cudaGraphNodeTypeEventRecord;
    case PK_OP_WAIT:
        return cudaGraphNodeTypeWaitEvent;
    case PK_OP_ALLOCATE:
        return cudaGraphNodeTypeMemAlloc;
    case PK_OP_FREE:
        return cudaGraphNodeTypeMemFree;
    case PK_OP_MARK:
    case PK_OP_GRAPH:
        break;
    }
    return cudaGraphNodeTypeEmpty;
}

/* PK_CPU_CHECK: work that was most likely meant for the graph. */
static void warn_outside(const struct pk_op *op, const struct CUstream_st *stream)
{
    const char *what = op->kind == PK_OP_KERNEL ? op->as.kernel.grid.code->name
                       : op->kind == PK_OP_COPY ? "a copy"
                       : op->kind == PK_OP_FILL ? "a fill"
                       : op->kind == PK_OP_HOST ? "a host function"
                                                : "a graph";
    fprintf(stderr,
            "CPU device: %s went to %s, which is not captured, while another stream captures: it runs at once and is "
            "not in the graph\n",
            what, stream == &pk_legacy_stream ? "the default stream" : "a stream");
}

cudaError_t pk_stream_put(struct pk_op *op, cudaStream_t handle)
{
    struct CUstream_st *stream = pk_stream_of(handle);
    if (!stream)
        return cudaErrorInvalidResourceHandle;
    const cudaError_t error = captures ? allows_work(stream) : cudaSuccess;
    if (error)
        return error;
    if (stream->capture) {
        record_node(stream, type_of(op), op);
        return cudaSuccess;
    }
    if (captures && pk_settings.check)
        warn_outside(op, stream);
    pk_op_submit(op, stream);
    return cudaSuccess;
}

/* ---- events ---- */

cudaError_t pk_capture_record(cudaEvent_t event, struct CUstream_st *stream, unsigned flags, bool *done)
{
    const cudaError_t error = allows_work(stream);
    if (error)
        return error;
    *done = stream->capture != nullptr;
    if (flags & cudaEventRecordExternal) {
        if (!stream->capture)
            return cudaErrorIllegalState;
        struct pk_op *op;
        (void)pk_work_of_event(&op, PK_OP_RECORD, event);
        record_node(stream, cudaGraphNodeTypeEventRecord, op);
        pk_op_release(op);
        return cudaSuccess;
    }
    event->capture_id = stream->capture ? stream->capture->id : 0;
    if (stream->capture) {
        pk_op_release(event->record);
        event->record = nullptr;
        pk_nodes_copy(&event->tips, &stream->tips);
    }
    return cudaSuccess;
}

cudaError_t pk_capture_wait(struct CUstream_st *stream, cudaEvent_t event, unsigned flags, bool *done)
{
    if (stream->capture && stream->capture->spoilt)
        return cudaErrorStreamCaptureInvalidated;
    *done = true;
    if (flags & cudaEventWaitExternal) {
        if (!stream->capture)
            return cudaErrorIllegalState;
        struct pk_op *op;
        (void)pk_work_of_event(&op, PK_OP_WAIT, event);
        record_node(stream, cudaGraphNodeTypeWaitEvent, op);
        pk_op_release(op);
        return cudaSuccess;
    }
    if (!event->capture_id) {
        if (!stream->capture) {
            *done = false;
            return allows_work(stream);
        }
        return event->record ? spoil(stream->capture, cudaErrorStreamCaptureIsolation) : cudaSuccess;
    }
    struct pk_capture *capture = find_capture(event->capture_id);
    if (!capture)
        return cudaErrorInvalidValue; /* of a capture that has ended: neither recorded nor part of one */
    if (capture->spoilt)
        return cudaErrorStreamCaptureInvalidated;
    if (stream == &pk_legacy_stream)
        return spoil(capture, cudaErrorStreamCaptureImplicit);
    if (stream->capture && stream->capture != capture) {
        (void)spoil(stream->capture, cudaSuccess);
        return spoil(capture, cudaErrorStreamCaptureMerge);
    }
    stream->capture = capture;
    add_tips(stream, &event->tips);
    return cudaSuccess;
}

cudaError_t pk_capture_asks_event(cudaEvent_t event)
{
    if (!event->capture_id)
        return allows_unsafe();
    struct pk_capture *capture = find_capture(event->capture_id);
    return capture ? spoil(capture, cudaErrorCapturedEvent) : cudaErrorInvalidValue;
}

void pk_capture_forget_event(cudaEvent_t event)
{
    free(event->tips.at);
    event->tips = {};
    event->capture_id = 0;
}

void pk_capture_forget_stream(struct CUstream_st *stream)
{
    struct pk_capture *capture = stream->capture;
    if (capture && capture->origin == stream)
        end_capture(capture, false);
    else if (capture && unjoined(capture, stream))
        (void)spoil(capture, cudaSuccess);
    stream->capture = nullptr;
    free(stream->tips.at);
    stream->tips = {};
}

/* ---- begin and end ---- */

static cudaError_t begin(cudaStream_t handle, struct CUgraph_st *graph, const cudaGraphNode_t *after, size_t n,
                         cudaStreamCaptureMode mode)
{
    static uint64_t last_id;
    struct CUstream_st *stream = pk_stream_of(handle);
    if (!stream)
        return cudaErrorInvalidResourceHandle;
    if ((unsigned)mode > cudaStreamCaptureModeRelaxed)
        return cudaErrorInvalidValue;
    if (stream == &pk_legacy_stream)
        return cudaErrorStreamCaptureUnsupported;
    if (stream->capture)
        return cudaErrorIllegalState;
    for (size_t i = 0; i < n; ++i)
        if (!after || !after[i] || after[i]->magic != PK_NODE_ALIVE || after[i]->graph != graph)
            return cudaErrorInvalidValue;
    struct pk_capture *capture = (struct pk_capture *)calloc(1, sizeof(*capture));
    if (!capture)
        return cudaErrorMemoryAllocation;
    capture->id = ++last_id;
    capture->mode = mode;
    capture->thread = &thread_mark;
    capture->origin = stream;
    capture->owns_graph = graph == nullptr;
    capture->graph = graph ? graph : pk_graph_new();
    capture->graph->captures++;
    capture->next = captures;
    captures = capture;
    stream->capture = capture;
    stream->tips.count = 0;
    for (size_t i = 0; i < n; ++i)
        pk_nodes_add(&stream->tips, after[i]);
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode)
{
    PK_ENTER();
    pk_lock();
    const cudaError_t error = begin(handle, nullptr, nullptr, 0, mode);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t handle, cudaGraph_t graph,
                                                     const cudaGraphNode_t *after, const cudaGraphEdgeData *, size_t n,
                                                     cudaStreamCaptureMode mode)
{
    PK_ENTER();
    pk_lock();
    const cudaError_t error = pk_graph_alive(graph) ? begin(handle, graph, after, n, mode) : cudaErrorInvalidValue;
    pk_unlock();
    return pk_fail_with(error);
}

static cudaError_t end(cudaStream_t handle, cudaGraph_t *graph)
{
    const struct CUstream_st *stream = pk_stream_of(handle);
    if (!stream)
        return cudaErrorInvalidResourceHandle;
    struct pk_capture *capture = stream->capture;
    if (!graph && !(capture && !capture->owns_graph)) /* else the caller has the graph, and need not be given it */
        return cudaErrorInvalidValue;
    if (!capture)
        return cudaErrorIllegalState;
    if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != &thread_mark) {
        end_capture(capture, false);
        return cudaErrorStreamCaptureWrongThread;
    }
    if (capture->origin != stream)
        return spoil(capture, cudaErrorStreamCaptureUnmatched);
    cudaError_t error = capture->spoilt ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
    for (const struct CUstream_st *other = pk_streams; other && !error; other = other->next)
        if (other->capture == capture && other != stream && unjoined(capture, other))
            error = cudaErrorStreamCaptureUnjoined;
    if (!error && graph)
        *graph = capture->graph;
    end_capture(capture, !error);
    return error;
}

extern "C" cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *graph)
{
    PK_ENTER();
    if (graph)
        *graph = nullptr;
    pk_lock();
    const cudaError_t error = end(handle, graph);
    pk_unlock();
    return pk_fail_with(error);
}

/* ---- queries ---- */

extern "C" cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus *status,
                                                unsigned long long *id, cudaGraph_t *graph,
                                                const cudaGraphNode_t **after, const cudaGraphEdgeData **edges,
                                                size_t *n)
{
    PK_ENTER();
    if (!status)
        return pk_fail_with(cudaErrorInvalidValue);
    pk_lock();
    const struct CUstream_st *stream = pk_stream_of(handle);
    cudaError_t error = stream ? cudaSuccess : cudaErrorInvalidResourceHandle;
    if (stream == &pk_legacy_stream)
        error = allows_legacy();
    if (!error) {
        const struct pk_capture *capture = stream->capture;
        *status = !capture          ? cudaStreamCaptureStatusNone
                  : capture->spoilt ? cudaStreamCaptureStatusInvalidated
                                    : cudaStreamCaptureStatusActive;
        const bool active = *status == cudaStreamCaptureStatusActive;
        if (active && id)
            *id = capture->id;
        if (active && graph)
            *graph = capture->graph;
        if (active && after)
            *after = stream->tips.at;
        if (active && edges)
            *edges = nullptr; /* all are plain */
        if (active && n)
            *n = stream->tips.count;
    }
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *status)
{
    return cudaStreamGetCaptureInfo(handle, status, nullptr, nullptr, nullptr, nullptr, nullptr);
}

extern "C" cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t handle, cudaGraphNode_t *nodes,
                                                           const cudaGraphEdgeData *, size_t n, unsigned flags)
{
    PK_ENTER();
    pk_lock();
    struct CUstream_st *stream = pk_stream_of(handle);
    cudaError_t error = stream ? allows_work(stream) : cudaErrorInvalidResourceHandle;
    if (!error && !stream->capture)
        error = cudaErrorIllegalState;
    if (!error && (flags > cudaStreamSetCaptureDependencies || (n && !nodes)))
        error = cudaErrorInvalidValue;
    for (size_t i = 0; !error && i < n; ++i)
        if (!nodes[i] || nodes[i]->magic != PK_NODE_ALIVE || nodes[i]->graph != stream->capture->graph)
            error = cudaErrorInvalidValue;
    if (!error) {
        const struct pk_nodes given = {nodes, n, n};
        if (flags == cudaStreamSetCaptureDependencies)
            stream->tips.count = 0;
        add_tips(stream, &given);
    }
    pk_unlock();
    return pk_fail_with(error);
}
