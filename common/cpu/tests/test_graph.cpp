/* Graphs: what replay runs and in which order, updates against launches under way, conditional nodes, CUDA 12's
 * forms of the calls. */
#include "check.h"

#include <string.h>

#include <algorithm>

__global__ void affine(unsigned *x, unsigned a, unsigned b)
{
    *x = *x * a + b;
}

/* Takes a number from the counter. */
__global__ void stamp(unsigned *counter, unsigned *place)
{
    if (threadIdx.x == 0)
        *place = atomicAdd(counter, 1u) + 1;
}

/* Both of two nodes are under way at once, or this never ends. */
__global__ void meet(unsigned *arrived, unsigned wanted)
{
    __atomic_fetch_add(arrived, 1u, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(arrived, __ATOMIC_ACQUIRE) < wanted)
        __nanosleep(1000);
}

__global__ void hold_until(unsigned *go)
{
    while (__atomic_load_n(go, __ATOMIC_ACQUIRE) == 0)
        __nanosleep(1000);
}

__global__ void count_down(unsigned *x, cudaGraphConditionalHandle handle)
{
    *x -= 1;
    cudaGraphSetConditional(handle, *x);
}

__global__ void choose(cudaGraphConditionalHandle handle, const unsigned *x)
{
    cudaGraphSetConditional(handle, *x);
}

static unsigned *make_words(size_t n)
{
    unsigned *x;
    OK(cudaMallocHost(&x, n * sizeof(*x)));
    memset(x, 0, n * sizeof(*x));
    return x;
}

static cudaKernelNodeParams kernel_params(void *function, void **arguments)
{
    cudaKernelNodeParams params = {};
    params.func = function;
    params.kernelParams = arguments;
    return params;
}

/* A bare address runs once a typed call has named the kernel. */
template <class... P> static void *address(void (*function)(P...))
{
    cudaFuncAttributes attributes;
    OK(cudaFuncGetAttributes(&attributes, function));
    return (void *)function;
}

static cudaGraphNode_t add_affine(cudaGraph_t graph, const cudaGraphNode_t *after, size_t n, unsigned *x, unsigned a,
                                  unsigned b)
{
    void *arguments[] = {&x, &a, &b};
    const cudaKernelNodeParams params = kernel_params(address(affine), arguments);
    cudaGraphNode_t node = nullptr;
    OK(cudaGraphAddKernelNode(&node, graph, after, n, &params));
    return node;
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Graphs of random edges: every node takes its number after all it depends on, in every replay. */
static void replay_keeps_every_edge(void)
{
    enum { N = 60, GRAPHS = 30, REPLAYS = 5 };
    unsigned seed = 7, *words = make_words(N + 1);
    cudaStream_t stream;
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    for (int g = 0; g < GRAPHS; ++g) {
        static bool edge[N][N];
        memset(edge, 0, sizeof(edge));
        cudaGraph_t graph;
        cudaGraphNode_t nodes[N];
        OK(cudaGraphCreate(&graph, 0));
        for (int i = 0; i < N; ++i) {
            cudaGraphNode_t before[N];
            size_t n = 0;
            for (int j = 0; j < i; ++j)
                if (next_random(&seed) % (unsigned)(2 + g % 9) == 0) {
                    edge[j][i] = true;
                    before[n++] = nodes[j];
                }
            unsigned *counter = words, *place = words + 1 + i;
            void *arguments[] = {&counter, &place};
            cudaKernelNodeParams params = kernel_params(address(stamp), arguments);
            params.gridDim = dim3(1);
            params.blockDim = dim3(1 + next_random(&seed) % 40);
            OK(cudaGraphAddKernelNode(&nodes[i], graph, before, n, &params));
        }
        cudaGraphExec_t exec;
        OK(cudaGraphInstantiate(&exec, graph, 0));
        OK(cudaGraphDestroy(graph));
        for (int replay = 0; replay < REPLAYS; ++replay) {
            memset(words, 0, (N + 1) * sizeof(*words));
            OK(cudaGraphLaunch(exec, stream));
            OK(cudaStreamSynchronize(stream));
            bool ordered = words[0] == N;
            for (int i = 0; i < N; ++i)
                for (int j = 0; j < i; ++j)
                    ordered &= !edge[j][i] || words[1 + j] < words[1 + i];
            CHECK(ordered);
        }
        OK(cudaGraphExecDestroy(exec));
    }
    OK(cudaStreamDestroy(stream));
    OK(cudaFreeHost(words));
}

static void branches_run_at_once(void)
{
    unsigned *arrived = make_words(1), wanted = 3;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaGraphCreate(&graph, 0));
    void *arguments[] = {&arrived, &wanted};
    const cudaKernelNodeParams params = kernel_params(address(meet), arguments);
    for (int i = 0; i < 3; ++i) {
        cudaGraphNode_t node;
        OK(cudaGraphAddKernelNode(&node, graph, nullptr, 0, &params));
    }
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphLaunch(exec, nullptr));
    OK(cudaDeviceSynchronize());
    CHECK(*arrived == 3);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaFreeHost(arrived));
}

/* One exec never runs beside itself, whichever streams it is launched in; an update reaches later launches only. */
static void launches_follow_each_other(void)
{
    enum { N = 40 };
    unsigned *words = make_words(2), *x = words + 1, want = 0;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaStream_t streams[2];
    OK(cudaGraphCreate(&graph, 0));
    const cudaGraphNode_t first = add_affine(graph, nullptr, 0, x, 3, 0);
    const cudaGraphNode_t second = add_affine(graph, &first, 1, x, 3, 0);
    OK(cudaGraphInstantiate(&exec, graph, 0));
    for (cudaStream_t &stream : streams)
        OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    LAUNCH(hold_until, 1, 1, 0, streams[0], words);
    for (unsigned i = 0; i < N; ++i) {
        unsigned a = 5, b = i;
        void *arguments[] = {&x, &a, &b};
        const cudaKernelNodeParams params = kernel_params(address(affine), arguments);
        OK(cudaGraphExecKernelNodeSetParams(exec, i % 2 ? first : second, &params));
        OK(cudaGraphLaunch(exec, streams[i % 2]));
    }
    unsigned a[2] = {3, 3}, b[2] = {0, 0};
    for (unsigned i = 0; i < N; ++i) {
        a[i % 2 ? 0 : 1] = 5;
        b[i % 2 ? 0 : 1] = i;
        want = (want * a[0] + b[0]) * a[1] + b[1];
    }
    CHECK(*x == 0);
    __atomic_store_n(words, 1u, __ATOMIC_RELEASE);
    OK(cudaDeviceSynchronize());
    CHECK(*x == want);
    for (cudaStream_t stream : streams)
        OK(cudaStreamDestroy(stream));
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaFreeHost(words));
}

/* A disabled node is passed over; what depends on it still waits for what it depends on. */
static void nodes_can_be_disabled(void)
{
    unsigned *x = make_words(1), enabled = 2;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaGraphCreate(&graph, 0));
    const cudaGraphNode_t a = add_affine(graph, nullptr, 0, x, 1, 1);
    const cudaGraphNode_t b = add_affine(graph, &a, 1, x, 10, 0);
    (void)add_affine(graph, &b, 1, x, 1, 3);
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphNodeSetEnabled(exec, b, 0));
    OK(cudaGraphNodeGetEnabled(exec, b, &enabled));
    CHECK(enabled == 0);
    OK(cudaGraphLaunch(exec, nullptr));
    OK(cudaDeviceSynchronize());
    CHECK(*x == 4);
    OK(cudaGraphNodeSetEnabled(exec, b, 1));
    OK(cudaGraphLaunch(exec, nullptr));
    OK(cudaDeviceSynchronize());
    CHECK(*x == 53);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaFreeHost(x));
}

static cudaGraph_t add_conditional(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after, size_t n,
                                   cudaGraphConditionalHandle handle, cudaGraphConditionalNodeType type, unsigned size,
                                   cudaGraph_t *bodies)
{
    cudaGraphNodeParams params = {};
    params.type = cudaGraphNodeTypeConditional;
    params.conditional.handle = handle;
    params.conditional.type = type;
    params.conditional.size = size;
    OK(cudaGraphAddNode(node, graph, after, nullptr, n, &params));
    for (unsigned i = 0; bodies && i < size; ++i)
        bodies[i] = params.conditional.phGraph_out[i];
    return params.conditional.phGraph_out[0];
}

/* WHILE(outer) { x = inner length; WHILE(inner) ... }: loops nest, and values are each exec's own. */
static void loops_nest(void)
{
    unsigned *words = make_words(4), *outer_left = words, *inner_left = words + 1, *rounds = words + 2;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaGraphNode_t outer, inner, step;
    cudaGraphConditionalHandle again, more;
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphConditionalHandleCreate(&again, graph, 1, cudaGraphCondAssignDefault));
    cudaGraph_t body = add_conditional(&outer, graph, nullptr, 0, again, cudaGraphCondTypeWhile, 1, nullptr);
    OK(cudaGraphConditionalHandleCreate(&more, body, 1, 0));
    const cudaGraphNode_t set = add_affine(body, nullptr, 0, inner_left, 0, 4);
    void *set_arguments[] = {&more, &inner_left};
    cudaKernelNodeParams params = kernel_params(address(choose), set_arguments);
    cudaGraphNode_t ready;
    OK(cudaGraphAddKernelNode(&ready, body, &set, 1, &params));
    cudaGraph_t inner_body = add_conditional(&inner, body, &ready, 1, more, cudaGraphCondTypeWhile, 1, nullptr);
    const cudaGraphNode_t count = add_affine(inner_body, nullptr, 0, rounds, 1, 1);
    void *inner_arguments[] = {&inner_left, &more};
    params = kernel_params(address(count_down), inner_arguments);
    OK(cudaGraphAddKernelNode(&step, inner_body, &count, 1, &params));
    void *outer_arguments[] = {&outer_left, &again};
    params = kernel_params(address(count_down), outer_arguments);
    OK(cudaGraphAddKernelNode(&step, body, &inner, 1, &params));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    for (int launch = 0; launch < 3; ++launch) {
        *outer_left = 5;
        *rounds = 0;
        OK(cudaGraphLaunch(exec, nullptr));
        OK(cudaDeviceSynchronize());
        CHECK(*rounds == 20 && *outer_left == 0);
    }
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaFreeHost(words));
}

static void branches_are_chosen(void)
{
    unsigned *words = make_words(8), *key = words;
    cudaGraph_t graph, cases[3], sides[2];
    cudaGraphExec_t exec;
    cudaGraphNode_t decide, node;
    cudaGraphConditionalHandle which, side;
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphConditionalHandleCreate(&which, graph));
    OK(cudaGraphConditionalHandleCreate(&side, graph));
    EXPECT(cudaGraphInstantiate(&exec, graph, 0), cudaErrorInvalidValue); /* handles that no node uses */
    void *which_arguments[] = {&which, &key}, *side_arguments[] = {&side, &key};
    cudaKernelNodeParams params = kernel_params(address(choose), which_arguments);
    OK(cudaGraphAddKernelNode(&decide, graph, nullptr, 0, &params));
    (void)add_conditional(&node, graph, &decide, 1, which, cudaGraphCondTypeSwitch, 3, cases);
    for (unsigned i = 0; i < 3; ++i)
        (void)add_affine(cases[i], nullptr, 0, words + 1 + i, 1, 1);
    params = kernel_params(address(choose), side_arguments);
    OK(cudaGraphAddKernelNode(&decide, graph, &node, 1, &params));
    (void)add_conditional(&node, graph, &decide, 1, side, cudaGraphCondTypeIf, 2, sides);
    for (unsigned i = 0; i < 2; ++i)
        (void)add_affine(sides[i], nullptr, 0, words + 4 + i, 1, 1);
    cudaHostNodeParams host = {[](void *) {}, nullptr};
    OK(cudaGraphAddHostNode(&node, cases[0], nullptr, 0, &host));
    EXPECT(cudaGraphInstantiate(&exec, graph, 0), cudaErrorInvalidValue); /* no host node in a body */
    OK(cudaGraphDestroyNode(node));
    cudaGraph_t clone;
    EXPECT(cudaGraphClone(&clone, graph), cudaErrorNotSupported);
    OK(cudaGraphInstantiate(&exec, graph, 0));
    for (unsigned value : {0u, 1u, 2u, 7u, 1u}) {
        *key = value;
        OK(cudaGraphLaunch(exec, nullptr));
        OK(cudaDeviceSynchronize());
    }
    CHECK(words[1] == 1 && words[2] == 2 && words[3] == 1); /* 7 is none of them */
    CHECK(words[4] == 4 && words[5] == 1);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaFreeHost(words));
    (void)cudaGetLastError();
}

/* Two launches that wait for each other's events in turn: each waits for what was recorded when it was launched. */
static void events_in_graphs(void)
{
    unsigned *x = make_words(1);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaGraphNode_t wait, record;
    cudaEvent_t event;
    float ms = -1;
    OK(cudaEventCreate(&event));
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphAddEventWaitNode(&wait, graph, nullptr, 0, event));
    const cudaGraphNode_t node = add_affine(graph, &wait, 1, x, 1, 1);
    OK(cudaGraphAddEventRecordNode(&record, graph, &node, 1, event));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    for (int i = 0; i < 50; ++i)
        OK(cudaGraphLaunch(exec, nullptr));
    OK(cudaEventSynchronize(event));
    CHECK(*x == 50);
    OK(cudaEventElapsedTime(&ms, event, event));
    CHECK(ms == 0.0f);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaEventDestroy(event));
    OK(cudaFreeHost(x));
}

static void copies_in_three_dimensions(void)
{
    enum { X = 5, Y = 4, Z = 3 };
    unsigned char *from, *to;
    OK(cudaMallocHost(&from, X * Y * Z));
    OK(cudaMallocHost(&to, 2 * X * Y * Z));
    for (int i = 0; i < X * Y * Z; ++i)
        from[i] = (unsigned char)i;
    memset(to, 0xff, 2 * X * Y * Z);
    cudaMemcpy3DParms params = {}, got = {};
    params.srcPtr = make_cudaPitchedPtr(from, X, X, Y);
    params.srcPos = make_cudaPos(1, 1, 1);
    params.dstPtr = make_cudaPitchedPtr(to, 2 * X, X, Y);
    params.extent = make_cudaExtent(3, 2, 2);
    params.kind = cudaMemcpyDefault;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaGraphNode_t node;
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphAddMemcpyNode(&node, graph, nullptr, 0, &params));
    OK(cudaGraphMemcpyNodeGetParams(node, &got));
    CHECK(got.extent.depth == 2 && got.dstPtr.ptr == to);
    OK(cudaGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
    OK(cudaGraphLaunch(exec, nullptr));
    OK(cudaDeviceSynchronize());
    bool right = true;
    for (int z = 0; z < Z; ++z)
        for (int y = 0; y < Y; ++y)
            for (int x = 0; x < 2 * X; ++x) {
                const bool inside = z < 2 && y < 2 && x < 3;
                const int want = inside ? ((z + 1) * Y + y + 1) * X + x + 1 : 0xff;
                right &= to[(z * Y + y) * 2 * X + x] == want;
            }
    CHECK(right);
    params.extent.depth = 40;
    EXPECT(cudaGraphMemcpyNodeSetParams(node, &params), cudaErrorInvalidValue);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaFreeHost(from));
    OK(cudaFreeHost(to));
    (void)cudaGetLastError();
}

static void older_forms(void)
{
    unsigned *x = make_words(1);
    cudaGraph_t graph, other;
    cudaGraphExec_t exec;
    cudaGraphNode_t from[2], to[2], error_node = nullptr;
    size_t n = 2;
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphCreate(&other, 0));
    cudaGraphNode_t nodes[2] = {add_affine(graph, nullptr, 0, x, 1, 1), add_affine(graph, nullptr, 0, x, 2, 0)};
    (void)add_affine(other, nullptr, 0, x, 1, 1);
    OK(cudaGraphAddDependencies(graph, &nodes[0], &nodes[1], 1));
    OK(cudaGraphGetEdges(graph, from, to, &n));
    CHECK(n == 1 && from[0] == nodes[0] && to[0] == nodes[1]);
    OK(cudaGraphNodeGetDependencies(nodes[1], from, &n));
    OK(cudaGraphNodeGetDependentNodes(nodes[0], to, &n));
    CHECK(n == 1);
    char log[64];
    OK(cudaGraphInstantiate(&exec, graph, &error_node, log, sizeof(log)));
    cudaGraphExecUpdateResult result;
    EXPECT(cudaGraphExecUpdate(exec, other, &error_node, &result), cudaErrorGraphExecUpdateFailure);
    CHECK(result == cudaGraphExecUpdateErrorTopologyChanged);
    OK(cudaGraphRemoveDependencies(graph, &nodes[0], &nodes[1], 1));
    /* A cycle is found where the graph is instantiated. */
    OK(cudaGraphAddDependencies(graph, &nodes[0], &nodes[1], 1));
    cudaGraphExec_t none = nullptr;
    if (cudaGraphAddDependencies(graph, &nodes[1], &nodes[0], 1) == cudaSuccess) {
        cudaGraphInstantiateParams params = {};
        EXPECT(cudaGraphInstantiateWithParams(&none, graph, &params), cudaErrorInvalidValue);
        CHECK(params.result_out == cudaGraphInstantiateInvalidStructure && params.errNode_out != nullptr);
    }
    OK(cudaGraphExecDestroy(exec));
    EXPECT(cudaGraphLaunch(exec, nullptr), cudaErrorInvalidValue);
    OK(cudaGraphDestroy(graph));
    EXPECT(cudaGraphDestroy(graph), cudaErrorInvalidValue);
    OK(cudaGraphDestroy(other));
    OK(cudaFreeHost(x));
    (void)cudaGetLastError();
}

static cudaGraphNode_t add_allocation(cudaGraph_t graph, cudaGraphNode_t after, size_t bytes, void **address)
{
    cudaMemAllocNodeParams params = {};
    cudaGraphNode_t node = nullptr;
    params.poolProps.allocType = cudaMemAllocationTypePinned;
    params.poolProps.location.type = cudaMemLocationTypeDevice;
    params.bytesize = bytes;
    OK(cudaGraphAddMemAllocNode(&node, graph, after ? &after : nullptr, after != nullptr, &params));
    *address = params.dptr;
    return node;
}

static cudaGraphNode_t add_free(cudaGraph_t graph, cudaGraphNode_t after, void *address)
{
    cudaGraphNode_t node = nullptr;
    OK(cudaGraphAddMemFreeNode(&node, graph, &after, 1, address));
    return node;
}

/* A node that allocates after `after`, and one that frees it at once, which is returned. */
static cudaGraphNode_t add_pair(cudaGraph_t graph, cudaGraphNode_t after, size_t bytes)
{
    void *address;
    const cudaGraphNode_t made = add_allocation(graph, after, bytes, &address);
    return add_free(graph, made, address);
}

/* Launches the graph and destroys it: what graphs reserve and use at most is `bytes`. */
static void check_footprint(cudaGraph_t graph, size_t bytes)
{
    const cudaGraphMemAttributeType marks[] = {cudaGraphMemAttrReservedMemHigh, cudaGraphMemAttrUsedMemHigh};
    cudaGraphExec_t exec;
    uint64_t value = 0;
    OK(cudaDeviceGraphMemTrim(0));
    for (cudaGraphMemAttributeType mark : marks)
        OK(cudaDeviceSetGraphMemAttribute(0, mark, &value));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphLaunch(exec, nullptr));
    OK(cudaDeviceSynchronize());
    for (cudaGraphMemAttributeType mark : marks) {
        OK(cudaDeviceGetGraphMemAttribute(0, mark, &value));
        CHECK(value == bytes);
    }
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
}

static void freed_memory_is_shared_in_a_graph(void)
{
    size_t free_bytes, total;
    cudaGraph_t graph;
    void *x, *y;
    OK(cudaMemGetInfo(&free_bytes, &total));
    const size_t large = total / 4 * 3;

    /* One after the other: more than the device has, and never at once. */
    OK(cudaGraphCreate(&graph, 0));
    cudaGraphNode_t last = nullptr;
    for (int i = 0; i < 3; i++)
        last = add_pair(graph, last, large);
    check_footprint(graph, large);

    /* Two at once get the pages of one, and some more. */
    OK(cudaGraphCreate(&graph, 0));
    last = add_pair(graph, nullptr, 4096);
    const cudaGraphNode_t left = add_allocation(graph, last, 3072, &x), right = add_allocation(graph, last, 2048, &y);
    (void)add_free(graph, left, x);
    (void)add_free(graph, right, y);
    check_footprint(graph, 5120);

    /* No edge says that one is freed before the other is there, however many nodes are before that. */
    OK(cudaGraphCreate(&graph, 0));
    (void)add_pair(graph, nullptr, 4096);
    last = nullptr;
    for (int i = 0; i < 3; i++) {
        cudaGraphNode_t empty;
        OK(cudaGraphAddEmptyNode(&empty, graph, &last, last != nullptr));
        last = empty;
    }
    (void)add_pair(graph, last, 4096);
    check_footprint(graph, 8192);
}

int main(void)
{
    limit_seconds(120);
    replay_keeps_every_edge();
    branches_run_at_once();
    launches_follow_each_other();
    nodes_can_be_disabled();
    loops_nest();
    branches_are_chosen();
    events_in_graphs();
    copies_in_three_dimensions();
    older_forms();
    freed_memory_is_shared_in_a_graph();
    return failures != 0;
}
