/* The device's own trace: every launch, copy and graph node once, each behind the call that asked for it, in the order
 * of its stream, also when several host threads launch and when a graph runs its nodes again. */
#include "check.h"

#include <pthread.h>

#include <pk_cpu/trace.h>

enum { MOST = 20000 };

typedef struct recording {
    pk_cpu_trace_event *events; /* [MOST] */
    int count;
} recording;

static void take(const pk_cpu_trace_event *event, void *context)
{
    recording *r = (recording *)context;
    if (r->count < MOST)
        r->events[r->count++] = *event;
}

static recording record(void (*work)(void *), void *data)
{
    recording r = {(pk_cpu_trace_event *)malloc(MOST * sizeof(pk_cpu_trace_event)), 0};
    CHECK(pk_cpu_trace_begin(take, &r));
    work(data);
    OK(cudaDeviceSynchronize());
    pk_cpu_trace_end();
    return r;
}

static int count_kind(const recording *r, pk_cpu_trace_kind kind)
{
    int n = 0;
    for (int i = 0; i < r->count; ++i)
        n += r->events[i].kind == kind;
    return n;
}

static int count_calls(const recording *r, const char *name)
{
    int n = 0;
    for (int i = 0; i < r->count; ++i)
        n += r->events[i].kind == PK_CPU_TRACE_CALL && strcmp(r->events[i].name, name) == 0;
    return n;
}

static const pk_cpu_trace_event *call_of(const recording *r, const pk_cpu_trace_event *work)
{
    for (int i = 0; i < r->count; ++i)
        if (r->events[i].kind == PK_CPU_TRACE_CALL && r->events[i].call == work->call)
            return &r->events[i];
    return nullptr;
}

/* What holds of any trace. */
static void check_order(const recording *r)
{
    for (int i = 0; i < r->count; ++i) {
        const pk_cpu_trace_event *event = &r->events[i];
        CHECK(event->begin_ns <= event->end_ns);
        if (event->kind == PK_CPU_TRACE_CALL) {
            CHECK(strncmp(event->name, "cuda", 4) == 0);
            CHECK(event->call > 0 && event->thread > 0);
            continue;
        }
        const pk_cpu_trace_event *call = call_of(r, event);
        CHECK(call && call->begin_ns <= event->begin_ns);
    }
}

/* Of work in one stream: events come in the order of their ends. */
static void check_one_behind_the_other(const recording *r, uint64_t stream)
{
    const pk_cpu_trace_event *before = nullptr;
    for (int i = 0; i < r->count; ++i) {
        const pk_cpu_trace_event *event = &r->events[i];
        if (event->kind == PK_CPU_TRACE_CALL || event->stream != stream)
            continue;
        CHECK(!before || before->end_ns <= event->begin_ns);
        CHECK(!before || before->call <= event->call);
        before = event;
    }
}

__global__ void add(int *x, int value)
{
    if (threadIdx.x == 0)
        atomicAdd(x, value);
}

static int *device_int(void)
{
    int *x;
    OK(cudaMalloc(&x, sizeof(int)));
    OK(cudaMemset(x, 0, sizeof(int)));
    OK(cudaDeviceSynchronize());
    return x;
}

/* ---- a stream ---- */

struct in_stream {
    cudaStream_t stream;
    int *x, *host;
};

static void count_host(void *data)
{
    ++*(int *)data;
}

static void fill_launch_copy(void *data)
{
    const struct in_stream *in = (const struct in_stream *)data;
    OK(cudaMemsetAsync(in->x, 0, sizeof(int), in->stream));
    for (int i = 0; i < 100; ++i)
        LAUNCH(add, dim3(3, 2), 32, 0, in->stream, in->x, 1);
    OK(cudaMemcpyAsync(in->host, in->x, sizeof(int), cudaMemcpyDeviceToHost, in->stream));
    OK(cudaLaunchHostFunc(in->stream, count_host, in->host + 1));
    OK(cudaStreamSynchronize(in->stream));
}

static void a_stream(void)
{
    struct in_stream in = {nullptr, device_int(), nullptr};
    OK(cudaMallocHost(&in.host, 2 * sizeof(int)));
    in.host[1] = 0;
    OK(cudaStreamCreateWithFlags(&in.stream, cudaStreamNonBlocking));
    fill_launch_copy(&in);
    recording r = record(fill_launch_copy, &in);
    CHECK(in.host[0] == 600 && in.host[1] == 2);
    check_order(&r);
    CHECK(count_kind(&r, PK_CPU_TRACE_KERNEL) == 100);
    CHECK(count_kind(&r, PK_CPU_TRACE_COPY) == 1);
    CHECK(count_kind(&r, PK_CPU_TRACE_FILL) == 1);
    CHECK(count_kind(&r, PK_CPU_TRACE_HOST_FUNCTION) == 1);
    CHECK(count_calls(&r, "cudaLaunchKernel") == 100);
    CHECK(count_calls(&r, "cudaMemcpyAsync") == 1);
    CHECK(count_calls(&r, "cudaMemsetAsync") == 1);
    CHECK(count_calls(&r, "cudaLaunchHostFunc") == 1);
    CHECK(count_calls(&r, "cudaStreamSynchronize") == 1);
    CHECK(count_calls(&r, "cudaDeviceSynchronize") == 1);
    uint64_t stream = 0;
    for (int i = 0; i < r.count; ++i) {
        const pk_cpu_trace_event *event = &r.events[i];
        if (event->kind == PK_CPU_TRACE_COPY || event->kind == PK_CPU_TRACE_FILL)
            CHECK(event->bytes == sizeof(int));
        if (event->kind != PK_CPU_TRACE_KERNEL)
            continue;
        stream = event->stream;
        CHECK(strcmp(event->name, "add") == 0);
        CHECK(event->grid[0] == 3 && event->grid[1] == 2 && event->grid[2] == 1 && event->block[0] == 32);
        CHECK(strcmp(call_of(&r, event)->name, "cudaLaunchKernel") == 0);
        CHECK(event->graph == 0 && event->node == 0);
    }
    CHECK(stream > 0);
    check_one_behind_the_other(&r, stream);
    free(r.events);
    OK(cudaStreamDestroy(in.stream));
    OK(cudaFreeHost(in.host));
    OK(cudaFree(in.x));
}

/* ---- a graph ---- */

enum { CHAIN = 5, REPLAYS = 7 };

struct replayed {
    cudaGraphExec_t exec;
    cudaStream_t stream;
};

static void replay(void *data)
{
    const struct replayed *g = (const struct replayed *)data;
    for (int i = 0; i < REPLAYS; ++i)
        OK(cudaGraphLaunch(g->exec, g->stream));
    OK(cudaStreamSynchronize(g->stream));
}

static void a_graph(void)
{
    struct replayed g;
    cudaGraph_t graph;
    int *x = device_int();
    OK(cudaStreamCreateWithFlags(&g.stream, cudaStreamNonBlocking));
    OK(cudaStreamBeginCapture(g.stream, cudaStreamCaptureModeGlobal));
    OK(cudaMemsetAsync(x, 0, sizeof(int), g.stream));
    for (int i = 0; i < CHAIN; ++i)
        LAUNCH(add, 1, 32, 0, g.stream, x, 1);
    OK(cudaStreamEndCapture(g.stream, &graph));
    OK(cudaGraphInstantiate(&g.exec, graph, 0));
    OK(cudaGraphLaunch(g.exec, g.stream)); /* once before: a node's times are of the run that is traced */
    OK(cudaStreamSynchronize(g.stream));
    recording r = record(replay, &g);
    check_order(&r);
    CHECK(count_calls(&r, "cudaGraphLaunch") == REPLAYS);
    CHECK(count_kind(&r, PK_CPU_TRACE_KERNEL) == REPLAYS * CHAIN);
    CHECK(count_kind(&r, PK_CPU_TRACE_FILL) == REPLAYS);
    for (int i = 0; i < r.count; ++i) {
        const pk_cpu_trace_event *event = &r.events[i];
        if (event->kind == PK_CPU_TRACE_CALL)
            continue;
        CHECK(event->graph > 0 && event->node > 0);
        CHECK(strcmp(call_of(&r, event)->name, "cudaGraphLaunch") == 0);
        check_one_behind_the_other(&r, event->stream);
        int same = 0;
        for (int j = 0; j < r.count; ++j)
            same += r.events[j].kind != PK_CPU_TRACE_CALL && r.events[j].node == event->node;
        CHECK(same == REPLAYS);
    }
    free(r.events);
    OK(cudaGraphExecDestroy(g.exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaStreamDestroy(g.stream));
    OK(cudaFree(x));
}

/* ---- several host threads ---- */

enum { THREADS = 4, LAUNCHES = 200 };

static void *launch_many(void *data)
{
    const struct in_stream *in = (const struct in_stream *)data;
    for (int i = 0; i < LAUNCHES; ++i)
        LAUNCH(add, 2, 32, 0, in->stream, in->x, 1);
    OK(cudaStreamSynchronize(in->stream));
    return nullptr;
}

static void launch_from_threads(void *data)
{
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; ++t)
        CHECK(pthread_create(&threads[t], nullptr, launch_many, (struct in_stream *)data + t) == 0);
    for (int t = 0; t < THREADS; ++t)
        pthread_join(threads[t], nullptr);
}

static void several_threads(void)
{
    struct in_stream in[THREADS];
    for (int t = 0; t < THREADS; ++t) {
        in[t] = {nullptr, device_int(), nullptr};
        OK(cudaStreamCreateWithFlags(&in[t].stream, cudaStreamNonBlocking));
    }
    recording r = record(launch_from_threads, in);
    check_order(&r);
    CHECK(count_kind(&r, PK_CPU_TRACE_KERNEL) == THREADS * LAUNCHES);
    CHECK(count_calls(&r, "cudaLaunchKernel") == THREADS * LAUNCHES);
    uint64_t streams[THREADS] = {0};
    int n_streams = 0;
    for (int i = 0; i < r.count; ++i) {
        int s = 0;
        if (r.events[i].kind == PK_CPU_TRACE_CALL)
            continue;
        while (s < n_streams && streams[s] != r.events[i].stream)
            s++;
        CHECK(s < THREADS);
        if (s == n_streams && s < THREADS)
            streams[n_streams++] = r.events[i].stream;
    }
    CHECK(n_streams == THREADS);
    for (int s = 0; s < n_streams; ++s)
        check_one_behind_the_other(&r, streams[s]);
    free(r.events);
    for (int t = 0; t < THREADS; ++t) {
        OK(cudaStreamDestroy(in[t].stream));
        OK(cudaFree(in[t].x));
    }
}

/* ---- when it is on ---- */

static void nothing(void *)
{
}

static void on_and_off(void)
{
    recording r = {(pk_cpu_trace_event *)malloc(MOST * sizeof(pk_cpu_trace_event)), 0};
    int *x = device_int();
    CHECK(!pk_cpu_trace_begin(nullptr, nullptr));
    LAUNCH(add, 1, 1, 0, nullptr, x, 1);
    OK(cudaDeviceSynchronize());
    CHECK(pk_cpu_trace_begin(take, &r));
    CHECK(!pk_cpu_trace_begin(take, &r)); /* one at a time */
    pk_cpu_trace_end();
    LAUNCH(add, 1, 1, 0, nullptr, x, 1);
    OK(cudaDeviceSynchronize());
    CHECK(r.count == 0);
    free(r.events);
    r = record(nothing, nullptr);
    CHECK(r.count == 1 && count_calls(&r, "cudaDeviceSynchronize") == 1);
    free(r.events);
    OK(cudaFree(x));
}

int main(void)
{
    limit_seconds(80);
    on_and_off();
    a_stream();
    a_graph();
    several_threads();
    return failures ? 1 : 0;
}
