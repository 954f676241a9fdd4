/* Programmatic dependent launches: a kernel that waits for the one ahead is right in a stream, in a graph, in a loop of
 * a graph and beside other streams; what has ended when an early one has; and what is wrong is seen.
 *
 * An argument makes it one of the mistakes instead: exit code 1 where one was seen, 0 where none was. */
#include "check.h"

enum { BLOCKS = 6, THREADS = 32, WORDS = BLOCKS * THREADS, LONG = 24, ROUNDS = 20 };

/* y[i] = x[all] summed, plus 1: each block needs what all of the kernel ahead wrote. */
static __device__ unsigned sum_of(const unsigned *x)
{
    unsigned sum = 1;
    for (int i = 0; i < WORDS; ++i)
        sum += x[i];
    return sum;
}

__global__ void waits(const unsigned *x, unsigned *y)
{
    cudaTriggerProgrammaticLaunchCompletion();
    cudaGridDependencySynchronize();
    y[blockIdx.x * blockDim.x + threadIdx.x] = sum_of(x);
}

/* The wait is a thread's; a barrier makes it the block's. */
__global__ void one_thread_waits(const unsigned *x, unsigned *y)
{
    if (threadIdx.x == 0) {
        cudaTriggerProgrammaticLaunchCompletion();
        cudaGridDependencySynchronize();
    }
    __syncthreads();
    y[blockIdx.x * blockDim.x + threadIdx.x] = sum_of(x);
}

__global__ void does_not_wait(const unsigned *x, unsigned *y)
{
    cudaTriggerProgrammaticLaunchCompletion();
    y[blockIdx.x * blockDim.x + threadIdx.x] = sum_of(x);
}

/* Block 0 ends without letting the kernel behind begin. */
__global__ void some_let(const unsigned *x, unsigned *y)
{
    if (blockIdx.x > 0)
        cudaTriggerProgrammaticLaunchCompletion();
    cudaGridDependencySynchronize();
    y[blockIdx.x * blockDim.x + threadIdx.x] = sum_of(x);
}

__global__ void count_down(unsigned *left, cudaGraphConditionalHandle loop)
{
    cudaGridDependencySynchronize();
    *left -= 1;
    cudaGraphSetConditional(loop, *left);
}

#define EARLY(kernel, grid, block, stream, ...)                                                                        \
    OK(PK_CPU_LAUNCH_PROGRAMMATIC(kernel, grid, block, 0, stream, __VA_ARGS__))

static unsigned *make_words(size_t n)
{
    unsigned *x;
    OK(cudaMallocHost(&x, n * sizeof(*x)));
    memset(x, 0, n * sizeof(*x));
    return x;
}

/* Kernels that take turns, from x to y and back. */
static void chain(unsigned *x, unsigned *y, cudaStream_t stream)
{
    for (int i = 0; i < LONG; i += 4) {
        EARLY(waits, BLOCKS, THREADS, stream, x, y);
        EARLY(one_thread_waits, BLOCKS, THREADS, stream, y, x);
        EARLY(some_let, BLOCKS, THREADS, stream, x, y);
        if (i % 8)
            LAUNCH(waits, BLOCKS, THREADS, 0, stream, y, x); /* an ordinary one among them */
        else
            EARLY(waits, BLOCKS, THREADS, stream, y, x);
    }
}

static unsigned after_chains(unsigned value, int chains)
{
    for (int i = 0; i < chains * LONG; ++i)
        value = value * WORDS + 1;
    return value;
}

static bool all_are(const unsigned *x, unsigned value)
{
    for (int i = 0; i < WORDS; ++i)
        if (x[i] != value)
            return false;
    return true;
}

static void in_a_stream(cudaStream_t stream)
{
    unsigned *x = make_words(WORDS), *y = make_words(WORDS);
    for (int round = 0; round < ROUNDS; ++round) {
        chain(x, y, stream);
        OK(cudaStreamSynchronize(stream));
        CHECK(all_are(x, after_chains(0, round + 1)));
    }
    OK(cudaFreeHost(x));
    OK(cudaFreeHost(y));
}

static void in_a_graph(cudaStream_t stream)
{
    unsigned *x = make_words(WORDS), *y = make_words(WORDS);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    chain(x, y, stream);
    OK(cudaStreamEndCapture(stream, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    for (int round = 0; round < ROUNDS; ++round)
        OK(cudaGraphLaunch(exec, stream));
    OK(cudaStreamSynchronize(stream));
    CHECK(all_are(x, after_chains(0, ROUNDS)));
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaFreeHost(x));
    OK(cudaFreeHost(y));
}

static void in_a_loop(cudaStream_t stream)
{
    unsigned *x = make_words(WORDS), *y = make_words(WORDS), *left = make_words(1);
    cudaGraph_t graph, body;
    cudaGraphExec_t exec;
    cudaGraphNode_t node;
    cudaGraphConditionalHandle loop;
    cudaGraphNodeParams params = {};
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphConditionalHandleCreate(&loop, graph, 1, cudaGraphCondAssignDefault));
    params.type = cudaGraphNodeTypeConditional;
    params.conditional.handle = loop;
    params.conditional.type = cudaGraphCondTypeWhile;
    params.conditional.size = 1;
    OK(cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &params));
    body = params.conditional.phGraph_out[0];
    OK(cudaStreamBeginCaptureToGraph(stream, body, nullptr, nullptr, 0, cudaStreamCaptureModeThreadLocal));
    chain(x, y, stream);
    EARLY(count_down, 1, 1, stream, left, loop);
    OK(cudaStreamEndCapture(stream, &body));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    *left = ROUNDS;
    OK(cudaGraphLaunch(exec, stream));
    OK(cudaStreamSynchronize(stream));
    CHECK(*left == 0 && all_are(x, after_chains(0, ROUNDS)));
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaFreeHost(x));
    OK(cudaFreeHost(y));
    OK(cudaFreeHost(left));
}

/* Ordered by events with another stream, and with the legacy one. */
static void beside_streams(cudaStream_t stream)
{
    unsigned *x = make_words(WORDS), *y = make_words(WORDS), *seen = make_words(WORDS);
    cudaStream_t other;
    cudaEvent_t event;
    OK(cudaStreamCreate(&other));
    OK(cudaEventCreate(&event));
    for (int round = 0; round < ROUNDS; ++round) {
        chain(x, y, stream);
        OK(cudaEventRecord(event, stream));
        OK(cudaStreamWaitEvent(other, event, 0));
        EARLY(waits, BLOCKS, THREADS, other, x, seen);
        OK(cudaMemcpyAsync(y, x, WORDS * sizeof(*x), cudaMemcpyDefault, nullptr));
        EARLY(waits, BLOCKS, THREADS, nullptr, seen, y);
        OK(cudaDeviceSynchronize());
        const unsigned now = after_chains(0, round + 1), next = now * WORDS + 1;
        CHECK(all_are(x, now) && all_are(seen, next) && all_are(y, next * WORDS + 1));
    }
    OK(cudaEventDestroy(event));
    OK(cudaStreamDestroy(other));
    OK(cudaFreeHost(x));
    OK(cudaFreeHost(y));
    OK(cudaFreeHost(seen));
}

/* Replay the kernels and count the words of `x` that are not `wanted`. */
static int wrong_after(cudaStream_t stream, void (*launch)(cudaStream_t, unsigned *const *), unsigned wanted)
{
    unsigned *const words[4] = {make_words(WORDS), make_words(WORDS), make_words(WORDS), make_words(WORDS)};
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    launch(stream, words);
    OK(cudaStreamEndCapture(stream, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    int wrong = 0;
    for (int round = 0; round < ROUNDS; ++round) {
        for (int k = 0; k < 4; ++k)
            memset(words[k], 0, WORDS * sizeof(**words));
        OK(cudaGraphLaunch(exec, stream));
        OK(cudaStreamSynchronize(stream));
        wrong += !all_are(words[3], wanted);
    }
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    for (int k = 0; k < 4; ++k)
        OK(cudaFreeHost(words[k]));
    return wrong;
}

static void no_wait(cudaStream_t stream, unsigned *const *x)
{
    LAUNCH(waits, BLOCKS, THREADS, 0, stream, x[0], x[2]);
    EARLY(does_not_wait, BLOCKS, THREADS, stream, x[2], x[3]);
}

/* The last waits, for the one ahead alone: and that has ended before the first has. */
static void middle_does_not_wait(cudaStream_t stream, unsigned *const *x)
{
    LAUNCH(waits, BLOCKS, THREADS, 0, stream, x[0], x[2]);
    EARLY(does_not_wait, BLOCKS, THREADS, stream, x[0], x[1]);
    EARLY(waits, BLOCKS, THREADS, stream, x[2], x[3]);
}

/* What comes behind an early kernel that does not wait, and is no early one itself, has all that was ahead. */
static void behind_has_all(cudaStream_t stream, unsigned *const *x)
{
    LAUNCH(waits, BLOCKS, THREADS, 0, stream, x[0], x[2]);
    EARLY(does_not_wait, BLOCKS, THREADS, stream, x[0], x[1]);
    LAUNCH(waits, BLOCKS, THREADS, 0, stream, x[2], x[3]);
}

int main(int argc, char **argv)
{
    limit_seconds(150);
    cudaStream_t stream;
    OK(cudaStreamCreate(&stream));
    if (argc > 1) {
        const int wrong =
            wrong_after(stream, strcmp(argv[1], "no-wait") == 0 ? no_wait : middle_does_not_wait, WORDS + 1);
        printf("%d of %d rounds wrong\n", wrong, (int)ROUNDS);
        return wrong > 0;
    }
    in_a_stream(stream);
    in_a_graph(stream);
    in_a_loop(stream);
    beside_streams(stream);
    CHECK(wrong_after(stream, behind_has_all, WORDS + 1) == 0);
    return failures != 0;
}
