/* Streams, events and host functions. */
#include "stream.h"

#include <stdlib.h>

#include "capture.h"
#include "error.h"

enum : uint32_t { STREAM_ALIVE = 0x5354524d, EVENT_ALIVE = 0x4556454e };
enum { PRIORITY_LEAST = 0, PRIORITY_GREATEST = -5 };

struct CUstream_st pk_legacy_stream = {STREAM_ALIVE, cudaStreamDefault, 0, nullptr, nullptr, nullptr, {}, 0};
struct CUstream_st *pk_streams;
static uint64_t streams_made;

/* Destroyed handles are kept for the next ones, never given back: a stale handle is an error, not a crash. */
static struct CUstream_st *free_streams;
/* Ends when all work ends that non-blocking streams had when they were destroyed; or null. */
static struct pk_op *left_behind;
static struct CUevent_st *free_events;

struct CUstream_st *pk_stream_of(cudaStream_t handle)
{
    if (handle == nullptr || handle == cudaStreamLegacy)
        return &pk_legacy_stream;
    return handle->magic == STREAM_ALIVE ? handle : nullptr;
}

bool pk_event_alive(cudaEvent_t event)
{
    return event && event->magic == EVENT_ALIVE;
}

void pk_op_submit(struct pk_op *op, struct CUstream_st *stream)
{
    op->priority = stream->priority;
    op->stream = stream->number;
    op->call = pk_trace_call_number();
    pk_op_promise(op);
    pk_op_follow(op, stream->last);
    if (stream == &pk_legacy_stream) {
        for (struct CUstream_st *other = pk_streams; other; other = other->next)
            if (!(other->flags & cudaStreamNonBlocking))
                pk_op_follow(op, other->last);
    } else if (!(stream->flags & cudaStreamNonBlocking)) {
        pk_op_follow(op, pk_legacy_stream.last);
    }
    pk_op_release(stream->last);
    stream->last = op;
    op->references++;
    pk_op_let_go(op);
}

extern "C" cudaError_t cudaStreamCreateWithPriority(cudaStream_t *handle, unsigned flags, int priority)
{
    PK_ENTER();
    if (!handle || (flags & ~cudaStreamNonBlocking))
        return pk_fail_with(cudaErrorInvalidValue);
    pk_lock();
    struct CUstream_st *stream = free_streams;
    if (stream)
        free_streams = stream->next;
    else
        stream = (struct CUstream_st *)calloc(1, sizeof(*stream));
    if (stream) {
        stream->magic = STREAM_ALIVE;
        stream->flags = flags;
        stream->priority = priority < PRIORITY_GREATEST ? PRIORITY_GREATEST
                           : priority > PRIORITY_LEAST  ? PRIORITY_LEAST
                                                        : priority;
        stream->last = nullptr;
        stream->capture = nullptr;
        stream->number = ++streams_made;
        stream->next = pk_streams;
        pk_streams = stream;
    }
    pk_unlock();
    *handle = stream;
    return stream ? cudaSuccess : pk_fail_with(cudaErrorMemoryAllocation);
}

extern "C" cudaError_t cudaStreamCreateWithFlags(cudaStream_t *handle, unsigned flags)
{
    PK_CALL();
    return cudaStreamCreateWithPriority(handle, flags, PRIORITY_LEAST);
}

extern "C" cudaError_t cudaStreamCreate(cudaStream_t *handle)
{
    PK_CALL();
    return cudaStreamCreateWithPriority(handle, cudaStreamDefault, PRIORITY_LEAST);
}

/* Its work goes on; the legacy stream keeps its order with it. */
extern "C" cudaError_t cudaStreamDestroy(cudaStream_t handle)
{
    PK_ENTER();
    pk_lock();
    struct CUstream_st *stream = pk_stream_of(handle);
    if (!stream || stream == &pk_legacy_stream) {
        pk_unlock();
        return pk_fail_with(cudaErrorInvalidResourceHandle);
    }
    pk_capture_forget_stream(stream);
    if (stream->last && !pk_op_done(stream->last) && !(stream->flags & cudaStreamNonBlocking)) {
        struct pk_op *mark = pk_op_new(PK_OP_MARK);
        pk_op_follow(mark, stream->last);
        pk_op_submit(mark, &pk_legacy_stream);
        pk_op_release(mark);
    } else if (stream->last && !pk_op_done(stream->last)) {
        struct pk_op *mark = pk_op_new(PK_OP_MARK);
        pk_op_follow(mark, left_behind);
        pk_op_submit(mark, stream);
        pk_op_release(left_behind);
        left_behind = mark;
    }
    pk_op_release(stream->last);
    stream->last = nullptr;
    stream->magic = 0;
    struct CUstream_st **at = &pk_streams;
    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    stream->next = free_streams;
    free_streams = stream;
    pk_unlock();
    return cudaSuccess;
}

/* Hold an op, wait for it without the lock, let it go. */
static cudaError_t wait_for(struct pk_op *op)
{
    const cudaError_t error = pk_op_wait(op);
    pk_lock();
    pk_op_release(op);
    pk_pools_settle();
    pk_unlock();
    return error;
}

static struct pk_op *hold(struct pk_op *op)
{
    if (op)
        op->references++;
    return op;
}

/* The legacy stream also ends after what blocking streams have been given before. */
static struct pk_op *end_of_stream(struct CUstream_st *stream)
{
    if (stream != &pk_legacy_stream)
        return hold(stream->last);
    struct pk_op *mark = pk_op_new(PK_OP_MARK);
    pk_op_submit(mark, stream);
    return mark;
}

cudaError_t pk_stream_wait(cudaStream_t handle)
{
    pk_lock();
    struct CUstream_st *stream = pk_stream_of(handle);
    const cudaError_t error = stream ? pk_capture_allows_wait(stream) : cudaErrorInvalidResourceHandle;
    struct pk_op *last = error ? nullptr : end_of_stream(stream);
    pk_unlock();
    return last ? wait_for(last) : error;
}

extern "C" cudaError_t cudaStreamSynchronize(cudaStream_t handle)
{
    PK_ENTER();
    return pk_fail_with(pk_stream_wait(handle));
}

extern "C" cudaError_t cudaStreamQuery(cudaStream_t handle)
{
    PK_ENTER();
    pk_lock();
    struct CUstream_st *stream = pk_stream_of(handle);
    const cudaError_t error = stream ? pk_capture_allows_wait(stream) : cudaErrorInvalidResourceHandle;
    struct pk_op *last = error ? nullptr : end_of_stream(stream);
    const bool done = !last || pk_op_done(last);
    pk_op_release(last);
    pk_unlock();
    if (error)
        return pk_fail_with(error);
    /* Not ready is an answer, not an error. */
    return done ? pk_fail_with(pk_fault()) : cudaErrorNotReady;
}

cudaError_t pk_device_wait(void)
{
    /* The legacy stream waits for the blocking ones; the others are waited for one by one. */
    pk_lock();
    struct pk_op *all = pk_op_new(PK_OP_MARK);
    for (struct CUstream_st *stream = pk_streams; stream; stream = stream->next)
        if (stream->flags & cudaStreamNonBlocking)
            pk_op_follow(all, stream->last);
    pk_op_follow(all, left_behind);
    pk_op_submit(all, &pk_legacy_stream);
    pk_unlock();
    return wait_for(all);
}

extern "C" cudaError_t cudaDeviceSynchronize(void)
{
    PK_ENTER();
    pk_lock();
    const cudaError_t error = pk_capture_allows_device_wait();
    pk_unlock();
    return pk_fail_with(error ? error : pk_device_wait());
}

/* One of a stream's properties, each where it is wanted. */
static cudaError_t get_property(cudaStream_t handle, unsigned *flags, int *priority)
{
    PK_ENTER();
    if (!flags && !priority)
        return pk_fail_with(cudaErrorInvalidValue);
    pk_lock();
    const struct CUstream_st *stream = pk_stream_of(handle);
    if (stream && flags)
        *flags = stream->flags;
    if (stream && priority)
        *priority = stream->priority;
    pk_unlock();
    return stream ? cudaSuccess : pk_fail_with(cudaErrorInvalidResourceHandle);
}

extern "C" cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned *flags)
{
    PK_CALL();
    return get_property(handle, flags, nullptr);
}

extern "C" cudaError_t cudaStreamGetPriority(cudaStream_t handle, int *priority)
{
    PK_CALL();
    return get_property(handle, nullptr, priority);
}

extern "C" cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    PK_ENTER();
    if (least)
        *least = PRIORITY_LEAST;
    if (greatest)
        *greatest = PRIORITY_GREATEST;
    return cudaSuccess;
}

extern "C" cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void *user_data)
{
    PK_ENTER();
    if (!function)
        return pk_fail_with(cudaErrorInvalidValue);
    pk_lock();
    struct pk_op *op = pk_op_new(PK_OP_HOST);
    op->as.host.function = function;
    op->as.host.user_data = user_data;
    const cudaError_t error = pk_stream_put(op, handle);
    pk_op_release(op);
    pk_unlock();
    return pk_fail_with(error);
}

struct callback {
    cudaStreamCallback_t function;
    cudaStream_t stream;
    void *user_data;
};

static void call_back(void *data)
{
    const struct callback callback = *(struct callback *)data;
    free(data);
    callback.function(callback.stream, cudaSuccess, callback.user_data);
}

/* The older form of a host function: it cannot be captured. After a fault it is not called. */
extern "C" cudaError_t cudaStreamAddCallback(cudaStream_t handle, cudaStreamCallback_t function, void *user_data,
                                             unsigned flags)
{
    PK_ENTER();
    if (!function || flags)
        return pk_fail_with(cudaErrorInvalidValue);
    pk_lock();
    const cudaError_t error = pk_capturing(handle) ? pk_capture_allows_wait(pk_stream_of(handle)) : cudaSuccess;
    pk_unlock();
    if (error)
        return pk_fail_with(error);
    struct callback *callback = (struct callback *)malloc(sizeof(*callback));
    if (!callback)
        return pk_fail_with(cudaErrorMemoryAllocation);
    *callback = {function, handle, user_data};
    const cudaError_t launched = cudaLaunchHostFunc(handle, call_back, callback);
    if (launched)
        free(callback);
    return launched;
}

/* ---- events ---- */

extern "C" cudaError_t cudaEventCreateWithFlags(cudaEvent_t *handle, unsigned flags)
{
    PK_ENTER();
    if (!handle || (flags & ~(cudaEventBlockingSync | cudaEventDisableTiming)))
        return pk_fail_with(cudaErrorInvalidValue);
    pk_lock();
    struct CUevent_st *event = free_events;
    if (event)
        free_events = event->next;
    else
        event = (struct CUevent_st *)calloc(1, sizeof(*event));
    if (event) {
        event->magic = EVENT_ALIVE;
        event->flags = flags;
        event->record = nullptr;
    }
    pk_unlock();
    *handle = event;
    return event ? cudaSuccess : pk_fail_with(cudaErrorMemoryAllocation);
}

extern "C" cudaError_t cudaEventCreate(cudaEvent_t *handle)
{
    PK_CALL();
    return cudaEventCreateWithFlags(handle, cudaEventDefault);
}

extern "C" cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    PK_ENTER();
    pk_lock();
    const bool alive = pk_event_alive(event);
    if (alive) {
        pk_op_release(event->record);
        pk_capture_forget_event(event);
        event->magic = 0;
        event->record = nullptr;
        event->next = free_events;
        free_events = event;
    }
    pk_unlock();
    return alive ? cudaSuccess : pk_fail_with(cudaErrorInvalidResourceHandle);
}

extern "C" cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t handle, unsigned flags)
{
    PK_ENTER();
    if (flags & ~cudaEventRecordExternal)
        return pk_fail_with(cudaErrorInvalidValue);
    bool done = false;
    pk_lock();
    struct CUstream_st *stream = pk_stream_of(handle);
    cudaError_t error = stream && pk_event_alive(event) ? pk_capture_record(event, stream, flags, &done)
                                                        : cudaErrorInvalidResourceHandle;
    if (!error && !done) {
        struct pk_op *mark = pk_op_new(PK_OP_MARK);
        pk_op_submit(mark, stream);
        pk_op_release(event->record);
        event->record = mark;
    }
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle)
{
    PK_CALL();
    return cudaEventRecordWithFlags(event, handle, cudaEventRecordDefault);
}

extern "C" cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned flags)
{
    PK_ENTER();
    if (flags & ~cudaEventWaitExternal)
        return pk_fail_with(cudaErrorInvalidValue);
    bool done = false;
    pk_lock();
    struct CUstream_st *stream = pk_stream_of(handle);
    cudaError_t error =
        stream && pk_event_alive(event) ? pk_capture_wait(stream, event, flags, &done) : cudaErrorInvalidResourceHandle;
    if (!error && !done && event->record && !pk_op_done(event->record)) {
        struct pk_op *mark = pk_op_new(PK_OP_MARK);
        pk_op_follow(mark, event->record);
        pk_op_submit(mark, stream);
        pk_op_release(mark);
    }
    pk_unlock();
    return pk_fail_with(error);
}

/* The event's recording, held; null where it has none. */
static cudaError_t recording_of(cudaEvent_t event, struct pk_op **record)
{
    pk_lock();
    const cudaError_t error = pk_event_alive(event) ? pk_capture_asks_event(event) : cudaErrorInvalidResourceHandle;
    *record = error ? nullptr : hold(event->record);
    pk_unlock();
    return error;
}

extern "C" cudaError_t cudaEventQuery(cudaEvent_t event)
{
    PK_ENTER();
    struct pk_op *record;
    const cudaError_t error = recording_of(event, &record);
    if (error || !record)
        return pk_fail_with(error);
    const bool done = pk_op_done(record);
    pk_lock();
    pk_op_release(record);
    pk_unlock();
    return done ? pk_fail_with(pk_fault()) : cudaErrorNotReady;
}

extern "C" cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    PK_ENTER();
    struct pk_op *record;
    const cudaError_t error = recording_of(event, &record);
    if (error || !record)
        return pk_fail_with(error);
    return pk_fail_with(wait_for(record));
}

extern "C" cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t stop)
{
    PK_ENTER();
    if (!ms)
        return pk_fail_with(cudaErrorInvalidValue);
    cudaError_t error = cudaSuccess;
    pk_lock();
    if (pk_event_alive(start) && pk_event_alive(stop) && (start->capture_id || stop->capture_id))
        error = cudaErrorInvalidValue;
    else if (!pk_event_alive(start) || !pk_event_alive(stop) || !start->record || !stop->record ||
             ((start->flags | stop->flags) & cudaEventDisableTiming))
        error = cudaErrorInvalidResourceHandle;
    else if (!pk_op_done(start->record) || !pk_op_done(stop->record))
        error = cudaErrorNotReady;
    else
        *ms = (float)((double)(int64_t)(stop->record->ended_ns - start->record->ended_ns) * 1e-6);
    pk_unlock();
    return error == cudaErrorNotReady ? error : pk_fail_with(error);
}
