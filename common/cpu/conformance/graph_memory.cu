/* Memory nodes: graphs that allocate, and who frees what, when.
 * Source: CUDA C++ Programming Guide, "Graph Memory Nodes"; CUDA Runtime API, cudaGraphAddMemAllocNode,
 * cudaGraphAddMemFreeNode, cudaGraphLaunch, cudaGraphInstantiate, cudaDeviceGetGraphMemAttribute. */
#include "conformance_graph.h"

CONCERN(graph_memory)

#define NEED_POOLS()                                                                                                   \
    if (!cf_attribute(cudaDevAttrMemoryPoolsSupported))                                                                \
    SKIP("the device has no memory pools")

static cudaMemAllocNodeParams allocation(size_t bytes)
{
    cudaMemAllocNodeParams params = {};
    params.poolProps.allocType = cudaMemAllocationTypePinned;
    params.poolProps.location.type = cudaMemLocationTypeDevice;
    params.bytesize = bytes;
    return params;
}

/* A node that allocates `bytes` after `after`, which may be null. */
static cudaError_t add_allocation(cudaGraphNode_t *node, cudaGraph_t graph, cudaGraphNode_t after, size_t bytes,
                                  int **address)
{
    cudaMemAllocNodeParams params = allocation(bytes);
    const cudaError_t error = cudaGraphAddMemAllocNode(node, graph, after ? &after : NULL, after ? 1 : 0, &params);
    *address = (int *)params.dptr;
    return error;
}

static cudaError_t add_set(cudaGraphNode_t *node, cudaGraph_t graph, cudaGraphNode_t after, int *x, int value)
{
    void *arguments[] = {&x, &value};
    const cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_set), arguments);
    return cudaGraphAddKernelNode(node, graph, &after, 1, &params);
}

static cudaError_t add_copy(cudaGraphNode_t *node, cudaGraph_t graph, cudaGraphNode_t after, int *from, int *to,
                            int factor)
{
    void *arguments[] = {&from, &to, &factor};
    const cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_copy_after), arguments);
    return cudaGraphAddKernelNode(node, graph, after ? &after : NULL, after ? 1 : 0, &params);
}

/* A graph that allocates and leaves the memory to the program, with `value` in it. */
static pk_status unfreed(cudaGraph_t graph, int value, int **x)
{
    cudaGraphNode_t made, set;
    PK_CHECK(add_allocation(&made, graph, NULL, sizeof(int), x));
    PK_CHECK(add_set(&set, graph, made, *x, value));
    return PK_OK;
}

static unsigned long long graph_memory(cudaGraphMemAttributeType which)
{
    unsigned long long value = 0;
    (void)cudaDeviceGetGraphMemAttribute(0, which, &value);
    return value;
}

CASE(allocate_use_and_free)
{
    cudaGraphNode_t made, set, copied, freed;
    int *x;
    NEED_POOLS();
    GRAPH(graph);
    DEVICE(int, out, 1);
    PK_CHECK(add_allocation(&made, graph, NULL, 4096, &x));
    EXPECT(x != NULL);
    PK_CHECK(add_set(&set, graph, made, x, 21));
    PK_CHECK(add_copy(&copied, graph, set, x, out, 2));
    PK_CHECK(cudaGraphAddMemFreeNode(&freed, graph, &copied, 1, x));
    EXPECT_EQ(cf_count_type(graph, cudaGraphNodeTypeMemAlloc), 1);
    EXPECT_EQ(cf_count_type(graph, cudaGraphNodeTypeMemFree), 1);
    EXEC(exec, graph);
    for (int launch = 0; launch < 3; launch++) { /* it frees what it allocates: any number of launches */
        PK_CHECK(cudaMemset(out, 0, sizeof *out));
        PK_CHECK(cudaGraphLaunch(exec, 0));
        EXPECT_EACH(int, out, 1, 42);
    }
    return PK_OK;
}

CASE(parameters_of_nodes)
{
    cudaGraphNode_t made, freed;
    cudaMemAllocNodeParams got = {};
    void *address = NULL;
    int *x;
    NEED_POOLS();
    GRAPH(graph);
    PK_CHECK(add_allocation(&made, graph, NULL, 1000, &x));
    PK_CHECK(cudaGraphAddMemFreeNode(&freed, graph, &made, 1, x));
    PK_CHECK(cudaGraphMemAllocNodeGetParams(made, &got));
    EXPECT(got.dptr == x);
    EXPECT_EQ(got.bytesize, 1000);
    EXPECT_EQ(got.poolProps.allocType, cudaMemAllocationTypePinned);
    EXPECT_EQ(got.poolProps.location.type, cudaMemLocationTypeDevice);
    PK_CHECK(cudaGraphMemFreeNodeGetParams(freed, &address));
    EXPECT(address == x);
    EXPECT_ERROR(cudaGraphMemAllocNodeGetParams(freed, &got), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaGraphMemFreeNodeGetParams(made, &address), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(nodes_by_the_call_for_all_types)
{
    cudaGraphNode_t made, set, copied, freed;
    NEED_POOLS();
    GRAPH(graph);
    DEVICE(int, out, 1);
    cudaGraphNodeParams params = {};
    params.type = cudaGraphNodeTypeMemAlloc;
    params.alloc.poolProps = allocation(0).poolProps;
    params.alloc.bytesize = 64;
    PK_CHECK(cf_add_node(&made, graph, NULL, 0, &params));
    int *x = (int *)params.alloc.dptr;
    PK_CHECK(add_set(&set, graph, made, x, 5));
    PK_CHECK(add_copy(&copied, graph, set, x, out, 3));
    cudaGraphNodeParams gone = {};
    gone.type = cudaGraphNodeTypeMemFree;
    gone.free.dptr = x;
    PK_CHECK(cf_add_node(&freed, graph, &copied, 1, &gone));
    PK_TRY(cf_run(graph));
    EXPECT_EACH(int, out, 1, 15);
    return PK_OK;
}

CASE(allocations_that_are_refused)
{
    cudaGraphNode_t node;
    NEED_POOLS();
    GRAPH(graph);
    cudaMemAllocNodeParams params = allocation(0);
    EXPECT_ERROR(cudaGraphAddMemAllocNode(&node, graph, NULL, 0, &params), cudaErrorInvalidValue);
    params = allocation(64);
    params.poolProps.allocType = cudaMemAllocationTypeInvalid;
    EXPECT_ERROR(cudaGraphAddMemAllocNode(&node, graph, NULL, 0, &params), cudaErrorInvalidValue);
    EXPECT_EQ(cf_node_count(graph), 0);
    return PK_OK;
}

CASE(frees_that_are_refused)
{
    cudaGraphNode_t made, freed, node;
    int *x;
    NEED_POOLS();
    GRAPH(graph);
    DEVICE(int, plain, 1);
    PK_CHECK(add_allocation(&made, graph, NULL, 64, &x));
    EXPECT_ERROR(cudaGraphAddMemFreeNode(&node, graph, &made, 1, plain), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaGraphAddMemFreeNode(&node, graph, &made, 1, NULL), cudaErrorInvalidValue);
    PK_CHECK(cudaGraphAddMemFreeNode(&freed, graph, &made, 1, x));
    EXPECT_ERROR(cudaGraphAddMemFreeNode(&node, graph, &freed, 1, x), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(memory_that_outlives_its_graph)
{
    int *x;
    NEED_POOLS();
    GRAPH(graph);
    DEVICE(int, out, 1);
    PK_TRY(unfreed(graph, 7, &x));
    cudaGraphExec_t exec;
    PK_CHECK(cudaGraphInstantiate(&exec, graph, 0));
    PK_CHECK(cudaGraphLaunch(exec, 0));
    PK_CHECK(cudaGraphExecDestroy(exec));
    PK_LAUNCH(cf_copy_after, 1, 1, 0, 0, x, out, 3);
    PK_CHECK(cudaFree(x));
    EXPECT_EACH(int, out, 1, 21);
    EXPECT_ERROR(cudaFree(x), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(relaunch_with_memory_that_was_not_freed)
{
    int *x;
    STREAM(s);
    NEED_POOLS();
    GRAPH(graph);
    DEVICE(int, out, 1);
    PK_TRY(unfreed(graph, 9, &x));
    EXEC(exec, graph);
    PK_CHECK(cudaGraphLaunch(exec, s));
    EXPECT_ERROR(cudaGraphLaunch(exec, s), cudaErrorInvalidValue);
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, x, out, 1); /* the refusal has changed nothing */
    PK_CHECK(cudaFreeAsync(x, s));
    PK_CHECK(cudaGraphLaunch(exec, s)); /* the free is before it in the stream */
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, x, out, 2);
    PK_CHECK(cudaFreeAsync(x, s));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EACH(int, out, 1, 18);
    return PK_OK;
}

CASE(free_on_launch)
{
    int *x;
    cudaGraphExec_t exec = NULL;
    NEED_POOLS();
    GRAPH(graph);
    DEVICE(int, out, 1);
    PK_TRY(unfreed(graph, 4, &x));
    PK_CHECK(cudaGraphInstantiate(&exec, graph, cudaGraphInstantiateFlagAutoFreeOnLaunch));
    PK_TRY(cf_hold(exec, cf_destroy_exec));
    for (int launch = 0; launch < 3; launch++)
        PK_CHECK(cudaGraphLaunch(exec, 0));
    PK_LAUNCH(cf_copy_after, 1, 1, 0, 0, x, out, 5);
    EXPECT_EACH(int, out, 1, 20);
    PK_CHECK(cudaFree(x)); /* the last launch's is the program's to free */
    return PK_OK;
}

CASE(freed_by_another_graph)
{
    cudaGraphNode_t copied, freed, node;
    int *x;
    STREAM(s);
    NEED_POOLS();
    GRAPH(maker);
    GRAPH(taker);
    DEVICE(int, out, 1);
    PK_TRY(unfreed(maker, 6, &x));
    PK_CHECK(add_copy(&copied, taker, NULL, x, out, 7));
    PK_CHECK(cudaGraphAddMemFreeNode(&freed, taker, &copied, 1, x));
    /* Not twice in one graph, and not in the owning graph as well. */
    EXPECT_ERROR(cudaGraphAddMemFreeNode(&node, taker, &freed, 1, x), cudaErrorInvalidValue);
    EXPECT_ERROR(cudaGraphAddMemFreeNode(&node, maker, NULL, 0, x), cudaErrorInvalidValue);
    EXEC(make, maker);
    EXEC(take, taker);
    for (int round = 0; round < 2; round++) {
        PK_CHECK(cudaGraphLaunch(make, s));
        PK_CHECK(cudaGraphLaunch(take, s));
    }
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EACH(int, out, 1, 42);
    return PK_OK;
}

CASE(no_other_graph_frees_what_its_own_does)
{
    cudaGraphNode_t made, freed, node;
    int *x;
    NEED_POOLS();
    GRAPH(owner);
    GRAPH(other);
    PK_CHECK(add_allocation(&made, owner, NULL, 64, &x));
    PK_CHECK(cudaGraphAddMemFreeNode(&freed, owner, &made, 1, x));
    EXPECT_ERROR(cudaGraphAddMemFreeNode(&node, other, NULL, 0, x), cudaErrorInvalidValue);
    return PK_OK;
}

/* What the documentation forbids without naming the error. */
CASE(what_a_graph_with_memory_nodes_cannot)
{
    cudaGraphNode_t made, set, child;
    cudaGraph_t clone = NULL;
    cudaGraphExec_t second = NULL;
    int *x;
    NEED_POOLS();
    GRAPH(graph);
    GRAPH(parent);
    PK_CHECK(add_allocation(&made, graph, NULL, 64, &x));
    PK_CHECK(add_set(&set, graph, made, x, 1));
    OBSERVE_ERROR("clone", cudaGraphClone(&clone, graph));
    EXPECT(clone == NULL);
    const cudaError_t as_child = cudaGraphAddChildGraphNode(&child, parent, NULL, 0, graph);
    OBSERVE_ERROR("child", as_child);
    EXPECT(as_child != cudaSuccess);
    const cudaError_t cut = cf_remove_edge(graph, made, set);
    OBSERVE_ERROR("remove_edge", cut);
    EXPECT(cut != cudaSuccess);
    const cudaError_t removed = cudaGraphDestroyNode(set);
    OBSERVE_ERROR("remove_node", removed);
    EXPECT(removed != cudaSuccess);
    EXPECT_EQ(cf_node_count(graph), 2);
    EXPECT_EQ(cf_edge_count(graph), 1);
    EXEC(exec, graph);
    const cudaError_t again = cudaGraphInstantiate(&second, graph, 0);
    OBSERVE_ERROR("second_exec", again);
    EXPECT(again != cudaSuccess);
    (void)cudaGetLastError();
    return PK_OK;
}

CASE(one_exec_after_another)
{
    int *x;
    NEED_POOLS();
    GRAPH(graph);
    DEVICE(int, out, 1);
    PK_TRY(unfreed(graph, 8, &x));
    for (int round = 1; round <= 2; round++) {
        cudaGraphExec_t exec;
        PK_CHECK(cudaGraphInstantiate(&exec, graph, 0));
        PK_CHECK(cudaGraphLaunch(exec, 0));
        PK_CHECK(cudaGraphExecDestroy(exec));
        PK_LAUNCH(cf_copy_after, 1, 1, 0, 0, x, out, round);
        PK_CHECK(cudaFreeAsync(x, 0));
    }
    EXPECT_EACH(int, out, 1, 16);
    return PK_OK;
}

CASE(captured_allocation)
{
    int *x = NULL;
    STREAM(s);
    NEED_POOLS();
    DEVICE(int, out, 1);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaMallocAsync((void **)&x, 256, s));
    EXPECT(x != NULL);
    PK_LAUNCH(cf_set, 1, 1, 0, s, x, 12);
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, x, out, 2);
    PK_CHECK(cudaFreeAsync(x, s));
    END_CAPTURE(s, graph);
    EXPECT_EQ(cf_node_count(graph), 4);
    EXPECT_EQ(cf_edge_count(graph), 3);
    EXPECT_EQ(cf_count_type(graph, cudaGraphNodeTypeMemAlloc), 1);
    EXPECT_EQ(cf_count_type(graph, cudaGraphNodeTypeMemFree), 1);
    EXEC(exec, graph);
    for (int launch = 0; launch < 2; launch++)
        PK_CHECK(cudaGraphLaunch(exec, s));
    PK_CHECK(cudaStreamSynchronize(s));
    EXPECT_EACH(int, out, 1, 24);
    return PK_OK;
}

/* Copies and fills of memory that a graph will allocate are recorded while it is not there yet. */
CASE(captured_copies_of_captured_memory)
{
    int *x = NULL;
    STREAM(s);
    NEED_POOLS();
    PINNED(int, host, 4);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaMallocAsync((void **)&x, 4 * sizeof *x, s));
    PK_CHECK(cudaMemsetAsync(x, 1, 4 * sizeof *x, s));
    PK_CHECK(cudaMemcpyAsync(host, x, 4 * sizeof *x, cudaMemcpyDeviceToHost, s));
    PK_CHECK(cudaFreeAsync(x, s));
    END_CAPTURE(s, graph);
    PK_TRY(cf_run(graph));
    for (int i = 0; i < 4; i++)
        EXPECT_EQ(host[i], 0x01010101);
    return PK_OK;
}

CASE(free_in_a_capture_of_what_no_graph_allocated)
{
    cudaGraph_t graph = NULL;
    STREAM(s);
    NEED_POOLS();
    DEVICE(int, plain, 1);
    BEGIN_CAPTURE(s);
    const cudaError_t error = cudaFreeAsync(plain, s);
    OBSERVE_ERROR("free", error);
    EXPECT(error != cudaSuccess);
    OBSERVE_ERROR("end", cudaStreamEndCapture(s, &graph));
    if (graph)
        (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();
    return PK_OK;
}

CASE(what_graphs_hold_and_what_a_trim_leaves)
{
    const size_t bytes = 4u << 20;
    unsigned long long zero = 0;
    cudaGraphNode_t made;
    int *x;
    NEED_POOLS();
    PK_CHECK(cudaDeviceGraphMemTrim(0));
    GRAPH(graph);
    PK_CHECK(add_allocation(&made, graph, NULL, bytes, &x));
    EXEC(exec, graph);
    const unsigned long long before = graph_memory(cudaGraphMemAttrReservedMemCurrent);
    PK_CHECK(cudaGraphLaunch(exec, 0));
    PK_CHECK(cudaDeviceSynchronize());
    EXPECT(graph_memory(cudaGraphMemAttrUsedMemCurrent) >= bytes);
    EXPECT(graph_memory(cudaGraphMemAttrReservedMemCurrent) >= before + bytes);
    EXPECT(graph_memory(cudaGraphMemAttrUsedMemHigh) >= bytes);
    EXPECT(graph_memory(cudaGraphMemAttrReservedMemHigh) >= bytes);
    PK_CHECK(cudaDeviceGraphMemTrim(0)); /* what is not freed stays */
    EXPECT(graph_memory(cudaGraphMemAttrReservedMemCurrent) >= bytes);
    PK_CHECK(cudaFree(x));
    PK_CHECK(cudaDeviceSynchronize());
    PK_CHECK(cudaDeviceGraphMemTrim(0));
    EXPECT_EQ(graph_memory(cudaGraphMemAttrUsedMemCurrent), 0);
    EXPECT_EQ(graph_memory(cudaGraphMemAttrReservedMemCurrent), 0);
    EXPECT(graph_memory(cudaGraphMemAttrReservedMemHigh) >= bytes);
    PK_CHECK(cudaDeviceSetGraphMemAttribute(0, cudaGraphMemAttrUsedMemHigh, &zero));
    PK_CHECK(cudaDeviceSetGraphMemAttribute(0, cudaGraphMemAttrReservedMemHigh, &zero));
    EXPECT_EQ(graph_memory(cudaGraphMemAttrUsedMemHigh), 0);
    EXPECT_EQ(graph_memory(cudaGraphMemAttrReservedMemHigh), 0);
    return PK_OK;
}

CASE(graph_memory_attributes_that_are_refused)
{
    unsigned long long one = 1, zero = 0;
    NEED_POOLS();
    EXPECT_ERROR(cudaDeviceSetGraphMemAttribute(0, cudaGraphMemAttrUsedMemHigh, &one), cudaErrorInvalidValue);
    OBSERVE_ERROR("set_current", cudaDeviceSetGraphMemAttribute(0, cudaGraphMemAttrUsedMemCurrent, &zero));
    EXPECT_ERROR(cudaDeviceGetGraphMemAttribute(1000, cudaGraphMemAttrUsedMemHigh, &one), cudaErrorInvalidDevice);
    return PK_OK;
}

CASE(update_of_a_graph_with_memory_nodes)
{
    cudaGraphExecUpdateResultInfo info = {};
    int *x;
    NEED_POOLS();
    GRAPH(graph);
    PK_TRY(unfreed(graph, 1, &x));
    EXEC(exec, graph);
    OBSERVE_ERROR("update", cudaGraphExecUpdate(exec, graph, &info));
    OBSERVE("result", info.result);
    return PK_OK;
}

CASE(parameters_around_memory_nodes_are_updated)
{
    cudaGraphNode_t made, set, copied, freed;
    int *x;
    NEED_POOLS();
    GRAPH(graph);
    DEVICE(int, out, 1);
    PK_CHECK(add_allocation(&made, graph, NULL, 64, &x));
    PK_CHECK(add_set(&set, graph, made, x, 1));
    PK_CHECK(add_copy(&copied, graph, set, x, out, 10));
    PK_CHECK(cudaGraphAddMemFreeNode(&freed, graph, &copied, 1, x));
    EXEC(exec, graph);
    int value = 5;
    void *arguments[] = {&x, &value};
    const cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_set), arguments);
    PK_CHECK(cudaGraphExecKernelNodeSetParams(exec, set, &params));
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(int, out, 1, 50);
    return PK_OK;
}
