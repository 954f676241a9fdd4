/* Capture: what becomes a node, what the edges are, what spoils a capture, and what runs beside it. */
#include "check.h"

#include <pthread.h>
#include <string.h>

__global__ void affine(unsigned *x, unsigned a, unsigned b)
{
    *x = *x * a + b;
}

static unsigned *make_words(size_t n)
{
    unsigned *x;
    OK(cudaMallocHost(&x, n * sizeof(*x)));
    memset(x, 0, n * sizeof(*x));
    return x;
}

static cudaStream_t make_stream(unsigned flags)
{
    cudaStream_t stream = nullptr;
    OK(cudaStreamCreateWithFlags(&stream, flags));
    return stream;
}

static size_t count_nodes(cudaGraph_t graph)
{
    size_t n = 0;
    OK(cudaGraphGetNodes(graph, nullptr, &n));
    return n;
}

static void run(cudaGraph_t graph)
{
    cudaGraphExec_t exec;
    OK(cudaGraphInstantiate(&exec, graph));
    OK(cudaGraphLaunch(exec, nullptr));
    OK(cudaDeviceSynchronize());
    OK(cudaGraphExecDestroy(exec));
}

/* Two streams that take turns by events: the edges alone keep the order of work that does not commute. */
static void turns_between_streams(void)
{
    enum { N = 30 };
    unsigned *x = make_words(1), want = 0;
    cudaStream_t streams[2] = {make_stream(cudaStreamNonBlocking), make_stream(cudaStreamNonBlocking)};
    cudaEvent_t event;
    cudaGraph_t graph;
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    OK(cudaStreamBeginCapture(streams[0], cudaStreamCaptureModeGlobal));
    for (unsigned i = 0; i < N; ++i) {
        LAUNCH(affine, 1, 1, 0, streams[i % 2], x, 3u, i);
        want = want * 3 + i;
        OK(cudaEventRecord(event, streams[i % 2]));
        OK(cudaStreamWaitEvent(streams[(i + 1) % 2], event));
    }
    OK(cudaStreamEndCapture(streams[0], &graph));
    CHECK(count_nodes(graph) == N && *x == 0);
    run(graph);
    CHECK(*x == want);
    OK(cudaGraphDestroy(graph));
    OK(cudaEventDestroy(event));
    OK(cudaStreamDestroy(streams[0]));
    OK(cudaStreamDestroy(streams[1]));
    OK(cudaFreeHost(x));
}

static void edges_by_hand(void)
{
    unsigned *x = make_words(1);
    cudaStream_t stream = make_stream(cudaStreamNonBlocking);
    cudaGraph_t graph, of_capture = nullptr;
    cudaStreamCaptureStatus status;
    unsigned long long id = 0;
    const cudaGraphNode_t *tips;
    size_t n = 0;
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    LAUNCH(affine, 1, 1, 0, stream, x, 1u, 1u);
    OK(cudaStreamGetCaptureInfo_v2(stream, &status, &id, &of_capture, &tips, &n));
    CHECK(status == cudaStreamCaptureStatusActive && id != 0 && n == 1);
    cudaGraphNode_t empty;
    OK(cudaGraphAddEmptyNode(&empty, of_capture, tips, n));
    OK(cudaStreamUpdateCaptureDependencies(stream, &empty, 1, cudaStreamSetCaptureDependencies));
    LAUNCH(affine, 1, 1, 0, stream, x, 10u, 0u);
    EXPECT(cudaGraphDestroy(of_capture), cudaErrorInvalidValue); /* a capture owns its graph until it ends */
    OK(cudaStreamEndCapture(stream, &graph));
    CHECK(graph == of_capture && count_nodes(graph) == 3);
    run(graph);
    CHECK(*x == 10);
    EXPECT(cudaStreamEndCapture(stream, &graph), cudaErrorIllegalState);
    OK(cudaGraphDestroy(of_capture));
    OK(cudaStreamDestroy(stream));
    OK(cudaFreeHost(x));
    (void)cudaGetLastError();
}

/* What would have to wait for the capture is refused; the rest of the device goes on. */
static void spoilt_captures(void)
{
    unsigned *x = make_words(2);
    cudaStream_t stream = make_stream(cudaStreamDefault), other = make_stream(cudaStreamNonBlocking);
    cudaGraph_t graph;
    void *memory;
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
    LAUNCH(affine, 1, 1, 0, other, x, 1u, 7u);
    OK(cudaStreamSynchronize(other));
    CHECK(x[0] == 7);
    OK(cudaMalloc(&memory, 64));
    OK(cudaFree(memory));
    EXPECT(PK_CPU_LAUNCH(affine, 1, 1, 0, nullptr, x, 1u, 1u), cudaErrorStreamCaptureImplicit);
    EXPECT(PK_CPU_LAUNCH(affine, 1, 1, 0, stream, x, 1u, 1u), cudaErrorStreamCaptureInvalidated);
    EXPECT(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
    /* A refused launch spoils nothing: it has put no work anywhere. */
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CHECK(PK_CPU_LAUNCH(affine, 1, 2048, 0, stream, x, 1u, 1u) != cudaSuccess);
    LAUNCH(affine, 1, 1, 0, stream, x, 1u, 1u);
    OK(cudaStreamEndCapture(stream, &graph));
    CHECK(count_nodes(graph) == 1);
    OK(cudaGraphDestroy(graph));
    /* A stream that is destroyed takes its capture along. */
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    LAUNCH(affine, 1, 1, 0, stream, x, 1u, 1u);
    OK(cudaStreamDestroy(stream));
    OK(cudaMalloc(&memory, 64));
    OK(cudaFree(memory));
    CHECK(x[0] == 7);
    OK(cudaStreamDestroy(other));
    OK(cudaFreeHost(x));
    (void)cudaGetLastError();
}

/* Threads that capture at the same time, each in its own mode of its own, do not see each other. */
static void *capture_and_run(void *words)
{
    unsigned *x = (unsigned *)words;
    cudaStream_t stream = make_stream(cudaStreamNonBlocking);
    for (unsigned round = 0; round < 20; ++round) {
        cudaGraph_t graph;
        cudaGraphExec_t exec;
        unsigned want = *x;
        OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        for (unsigned i = 0; i < 10; ++i) {
            LAUNCH(affine, 1, 1, 0, stream, x, 3u, round + i);
            want = want * 3 + round + i;
        }
        OK(cudaStreamEndCapture(stream, &graph));
        OK(cudaGraphInstantiate(&exec, graph));
        OK(cudaGraphLaunch(exec, stream));
        OK(cudaStreamSynchronize(stream));
        CHECK(*x == want);
        OK(cudaGraphExecDestroy(exec));
        OK(cudaGraphDestroy(graph));
    }
    OK(cudaStreamDestroy(stream));
    return nullptr;
}

static void threads_capture_at_once(void)
{
    enum { THREADS = 4 };
    unsigned *words = make_words(THREADS * 16);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; ++i)
        CHECK(pthread_create(&threads[i], nullptr, capture_and_run, words + 16 * i) == 0);
    for (pthread_t thread : threads)
        pthread_join(thread, nullptr);
    OK(cudaFreeHost(words));
}

/* Run by itself with PK_CPU_CHECK: says on stderr that a launch is not in the graph. */
static int launch_outside(void)
{
    unsigned *x = make_words(1);
    cudaStream_t stream = make_stream(cudaStreamNonBlocking), wrong = make_stream(cudaStreamNonBlocking);
    cudaGraph_t graph;
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    LAUNCH(affine, 1, 1, 0, wrong, x, 1u, 1u);
    OK(cudaStreamEndCapture(stream, &graph));
    CHECK(count_nodes(graph) == 0);
    OK(cudaGraphDestroy(graph));
    OK(cudaStreamDestroy(stream));
    OK(cudaStreamDestroy(wrong));
    OK(cudaFreeHost(x));
    return failures != 0;
}

int main(int argc, char **argv)
{
    limit_seconds(120);
    if (argc > 1 && strcmp(argv[1], "outside") == 0)
        return launch_outside();
    turns_between_streams();
    edges_by_hand();
    spoilt_captures();
    threads_capture_at_once();
    return failures != 0;
}
