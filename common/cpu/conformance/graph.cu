/* Graphs: nodes of every kind, edges, queries, instantiation as a snapshot, launches, updates, clones.
 * Source: CUDA C++ Programming Guide, "CUDA Graphs"; CUDA Runtime API, "Graph Management". */
#include "conformance_graph.h"

#include <cooperative_groups.h>
#include <stdio.h>
#include <unistd.h>

CONCERN(graph)

static void add_one(void *number)
{
    *(int *)number += 1;
}

static void add_ten(void *number)
{
    *(int *)number += 10;
}

static cudaHostNodeParams host_params(cudaHostFn_t function, void *data)
{
    cudaHostNodeParams params = {};
    params.fn = function;
    params.userData = data;
    return params;
}

static cudaMemsetParams memset_params(void *to, unsigned value, unsigned element_bytes, size_t width, size_t height,
                                      size_t pitch)
{
    cudaMemsetParams params = {};
    params.dst = to;
    params.value = value;
    params.elementSize = element_bytes;
    params.width = width;
    params.height = height;
    params.pitch = pitch;
    return params;
}

static __global__ void shaped(unsigned *out, int unused)
{
    DYNAMIC_SHARED(unsigned, tile);
    const unsigned thread = threadIdx.x + blockDim.x * threadIdx.y;
    const unsigned block = blockIdx.x + gridDim.x * blockIdx.y;
    (void)unused;
    tile[thread] = block * 100 + thread;
    __syncthreads();
    out[block * blockDim.x * blockDim.y + thread] = tile[blockDim.x * blockDim.y - 1 - thread];
}

static __global__ void grid_rotate(int *ring, int *out)
{
    if (threadIdx.x == 0)
        ring[blockIdx.x] = (int)blockIdx.x;
    cooperative_groups::this_grid().sync();
    if (threadIdx.x == 0)
        out[blockIdx.x] = ring[(blockIdx.x + 1) % gridDim.x];
}

CASE(chain)
{
    cudaGraphNode_t n[4];
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    for (unsigned i = 0; i < 4; i++)
        PK_CHECK(cf_add_affine(&n[i], graph, i ? n[i - 1] : NULL, x, 3, i + 1));
    EXPECT_EQ(cf_node_count(graph), 4);
    EXPECT_EQ(cf_edge_count(graph), 3);
    EXPECT_EQ(cf_root_count(graph), 1);
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 1, ((1 * 3 + 2) * 3 + 3) * 3 + 4);
    return PK_OK;
}

CASE(diamond)
{
    cudaGraphNode_t root, left, right, last;
    GRAPH(graph);
    DEVICE(unsigned, x, 3);
    unsigned *y = x + 1, *z = x + 2;
    int factor_y = 2, factor_z = 3;
    PK_CHECK(cf_add_affine(&root, graph, NULL, x, 0, 7));
    void *to_y[] = {&x, &y, &factor_y}, *to_z[] = {&x, &z, &factor_z};
    cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_copy_after), to_y);
    PK_CHECK(cudaGraphAddKernelNode(&left, graph, &root, 1, &params));
    params = cf_kernel_params(KERNEL(cf_copy_after), to_z);
    PK_CHECK(cudaGraphAddKernelNode(&right, graph, &root, 1, &params));
    const cudaGraphNode_t both[2] = {left, right};
    PK_CHECK(cudaGraphAddEmptyNode(&last, graph, both, 2));
    PK_CHECK(cf_add_affine(&root, graph, last, x, 10, 0));
    EXPECT_EQ(cf_node_count(graph), 5);
    EXPECT_EQ(cf_edge_count(graph), 5);
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 3, i == 0 ? 70 : i == 1 ? 14 : 21);
    return PK_OK;
}

CASE(empty_graph)
{
    GRAPH(graph);
    EXPECT_EQ(cf_node_count(graph), 0);
    EXPECT_EQ(cf_edge_count(graph), 0);
    PK_TRY(cf_run(graph));
    return PK_OK;
}

CASE(kernel_node_with_shape_and_shared_memory)
{
    int unused = 0;
    cudaGraphNode_t node;
    GRAPH(graph);
    DEVICE(unsigned, out, 6 * 20);
    void *arguments[] = {&out, &unused};
    cudaKernelNodeParams params = cf_kernel_params(KERNEL(shaped), arguments);
    params.gridDim = dim3(2, 3);
    params.blockDim = dim3(5, 4);
    params.sharedMemBytes = 20 * sizeof(unsigned);
    PK_CHECK(cudaGraphAddKernelNode(&node, graph, NULL, 0, &params));
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, out, 6 * 20, i / 20 * 100 + 19 - i % 20);
    return PK_OK;
}

CASE(kernel_node_parameters)
{
    cudaGraphNode_t node;
    cudaKernelNodeParams got = {};
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    unsigned a = 1, b = 100;
    void *arguments[] = {&x, &a, &b};
    PK_CHECK(cf_add_affine(&node, graph, NULL, x, 1, 5));
    b = 200; /* arguments were copied when the node was made */
    PK_CHECK(cudaGraphKernelNodeGetParams(node, &got));
    EXPECT(got.func == KERNEL(cf_affine));
    EXPECT_EQ(got.gridDim.x, 1);
    EXPECT_EQ(*(unsigned *)got.kernelParams[2], 5);
    const cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_affine), arguments);
    PK_CHECK(cudaGraphKernelNodeSetParams(node, &params));
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 1, 200);
    return PK_OK;
}

CASE(kernel_node_that_cannot_launch)
{
    cudaGraphNode_t node;
    cudaGraphExec_t exec = NULL;
    unsigned a = 1, b = 1;
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    void *arguments[] = {&x, &a, &b};
    cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_affine), arguments);
    params.blockDim = dim3(2048);
    OBSERVE_ERROR("add_2048_threads", cudaGraphAddKernelNode(&node, graph, NULL, 0, &params));
    params.blockDim = dim3(1);
    params.gridDim = dim3(0);
    OBSERVE_ERROR("add_no_blocks", cudaGraphAddKernelNode(&node, graph, NULL, 0, &params));
    params.gridDim = dim3(1);
    params.func = NULL;
    OBSERVE_ERROR("add_no_kernel", cudaGraphAddKernelNode(&node, graph, NULL, 0, &params));
    OBSERVE_ERROR("instantiate", cudaGraphInstantiate(&exec, graph, 0));
    return PK_OK;
}

CASE(copy_nodes)
{
    cudaGraphNode_t up, across, down;
    GRAPH(graph);
    PINNED(int, host, 8);
    DEVICE(int, x, 4);
    DEVICE(int, y, 4);
    PK_CHECK(cudaGraphAddMemcpyNode1D(&up, graph, NULL, 0, x, host, 4 * sizeof *x, cudaMemcpyHostToDevice));
    PK_CHECK(cudaGraphAddMemcpyNode1D(&across, graph, &up, 1, y, x, 4 * sizeof *x, cudaMemcpyDeviceToDevice));
    PK_CHECK(cudaGraphAddMemcpyNode1D(&down, graph, &across, 1, host + 4, y, 4 * sizeof *x, cudaMemcpyDeviceToHost));
    EXEC(exec, graph);
    for (int round = 1; round <= 3; round++) { /* each replay reads memory anew */
        for (int i = 0; i < 4; i++)
            host[i] = round * 10 + i;
        PK_CHECK(cudaGraphLaunch(exec, 0));
        PK_CHECK(cudaStreamSynchronize(0));
        for (int i = 0; i < 4; i++)
            EXPECT_EQ(host[4 + i], round * 10 + i);
    }
    return PK_OK;
}

CASE(fill_nodes)
{
    cudaGraphNode_t node;
    GRAPH(graph);
    DEVICE(unsigned char, bytes, 16);
    DEVICE(unsigned short, shorts, 16);
    DEVICE(unsigned, words, 16);
    const cudaMemsetParams by_1 = memset_params(bytes, 0xab, 1, 15, 1, 0);
    const cudaMemsetParams by_2 = memset_params(shorts, 0x1234, 2, 15, 1, 0);
    const cudaMemsetParams by_4 = memset_params(words, 0xdeadbeefu, 4, 15, 1, 0);
    PK_CHECK(cudaGraphAddMemsetNode(&node, graph, NULL, 0, &by_1));
    PK_CHECK(cudaGraphAddMemsetNode(&node, graph, NULL, 0, &by_2));
    PK_CHECK(cudaGraphAddMemsetNode(&node, graph, NULL, 0, &by_4));
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned char, bytes, 16, i < 15 ? 0xab : 0);
    EXPECT_EACH(unsigned short, shorts, 16, i < 15 ? 0x1234 : 0);
    EXPECT_EACH(unsigned, words, 16, i < 15 ? 0xdeadbeefu : 0);
    return PK_OK;
}

CASE(fill_node_in_two_dimensions)
{
    cudaGraphNode_t node;
    GRAPH(graph);
    DEVICE(unsigned, x, 4 * 16);
    const cudaMemsetParams params = memset_params(x + 1, 77, 4, 5, 3, 16 * sizeof *x);
    PK_CHECK(cudaGraphAddMemsetNode(&node, graph, NULL, 0, &params));
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 4 * 16, i / 16 < 3 && i % 16 >= 1 && i % 16 < 6 ? 77 : 0);
    return PK_OK;
}

CASE(fill_node_of_a_bad_element)
{
    cudaGraphNode_t node;
    GRAPH(graph);
    DEVICE(unsigned, x, 16);
    const cudaMemsetParams params = memset_params(x, 1, 3, 4, 1, 0);
    EXPECT_ERROR(cudaGraphAddMemsetNode(&node, graph, NULL, 0, &params), cudaErrorInvalidValue);
    return PK_OK;
}

CASE(host_nodes)
{
    int number = 0;
    cudaGraphNode_t first, second, kernel;
    GRAPH(graph);
    MAPPED(int, host, device, 1);
    cudaHostNodeParams params = host_params(add_one, &number);
    PK_CHECK(cudaGraphAddHostNode(&first, graph, NULL, 0, &params));
    int value = 30;
    void *arguments[] = {&device, &value};
    const cudaKernelNodeParams set = cf_kernel_params(KERNEL(cf_set), arguments);
    PK_CHECK(cudaGraphAddKernelNode(&kernel, graph, &first, 1, &set));
    params = host_params(add_ten, host);
    PK_CHECK(cudaGraphAddHostNode(&second, graph, &kernel, 1, &params));
    EXEC(exec, graph);
    for (int round = 1; round <= 5; round++) {
        PK_CHECK(cudaGraphLaunch(exec, 0));
        PK_CHECK(cudaStreamSynchronize(0));
        EXPECT_EQ(number, round);
        EXPECT_EQ(*host, 40);
    }
    return PK_OK;
}

CASE(event_nodes)
{
    cudaGraphNode_t record, affine, wait;
    cudaEvent_t got = NULL;
    STREAM(s);
    STREAM(t);
    EVENT(inside);
    EVENT(outside);
    GATE(gate);
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cudaGraphAddEventWaitNode(&wait, graph, NULL, 0, outside));
    PK_CHECK(cf_add_affine(&affine, graph, wait, x, 10, 1));
    PK_CHECK(cudaGraphAddEventRecordNode(&record, graph, &affine, 1, inside));
    PK_CHECK(cudaGraphEventRecordNodeGetEvent(record, &got));
    EXPECT(got == inside);
    EXEC(exec, graph);
    PK_TRY(cf_gate_enqueue(&gate, t));
    PK_LAUNCH(cf_affine, 1, 1, 0, t, x, 1u, 4u);
    PK_CHECK(cudaEventRecord(outside, t));
    PK_CHECK(cudaGraphLaunch(exec, s)); /* waits for what `outside` recorded when the graph was launched */
    cf_sleep_ms(20);
    EXPECT(cf_stream_busy(s));
    EXPECT_ERROR(cudaEventQuery(inside), cudaErrorNotReady);
    cf_gate_open(&gate);
    PK_CHECK(cudaEventSynchronize(inside));
    EXPECT_EACH(unsigned, x, 1, 41);
    return PK_OK;
}

CASE(child_graph)
{
    cudaGraphNode_t node, first, child, last;
    cudaGraph_t embedded = NULL;
    GRAPH(inner);
    GRAPH(outer);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&node, inner, NULL, x, 3, 1));
    PK_CHECK(cf_add_affine(&node, inner, node, x, 3, 1));
    PK_CHECK(cf_add_affine(&first, outer, NULL, x, 1, 2));
    PK_CHECK(cudaGraphAddChildGraphNode(&child, outer, &first, 1, inner));
    PK_CHECK(cf_add_affine(&last, outer, child, x, 10, 0));
    PK_CHECK(cf_add_affine(&node, inner, node, x, 0, 0)); /* the child was cloned: this does not reach it */
    PK_CHECK(cudaGraphChildGraphNodeGetGraph(child, &embedded));
    EXPECT_EQ(cf_node_count(embedded), 2);
    EXPECT_EQ(cf_node_count(outer), 3);
    PK_TRY(cf_run(outer));
    EXPECT_EACH(unsigned, x, 1, ((2 * 3 + 1) * 3 + 1) * 10);
    return PK_OK;
}

CASE(node_types)
{
    static const cudaGraphNodeType want[] = {
        cudaGraphNodeTypeKernel, cudaGraphNodeTypeMemcpy, cudaGraphNodeTypeMemset,    cudaGraphNodeTypeHost,
        cudaGraphNodeTypeGraph,  cudaGraphNodeTypeEmpty,  cudaGraphNodeTypeWaitEvent, cudaGraphNodeTypeEventRecord};
    int number = 0;
    cudaGraphNode_t n[8];
    EVENT(e);
    GRAPH(graph);
    GRAPH(child);
    DEVICE(unsigned, x, 2);
    const cudaMemsetParams fill = memset_params(x, 0, 4, 1, 1, 0);
    const cudaHostNodeParams host = host_params(add_one, &number);
    PK_CHECK(cf_add_affine(&n[0], graph, NULL, x, 1, 1));
    PK_CHECK(cudaGraphAddMemcpyNode1D(&n[1], graph, NULL, 0, x, x + 1, sizeof *x, cudaMemcpyDeviceToDevice));
    PK_CHECK(cudaGraphAddMemsetNode(&n[2], graph, NULL, 0, &fill));
    PK_CHECK(cudaGraphAddHostNode(&n[3], graph, NULL, 0, &host));
    PK_CHECK(cudaGraphAddChildGraphNode(&n[4], graph, NULL, 0, child));
    PK_CHECK(cudaGraphAddEmptyNode(&n[5], graph, NULL, 0));
    PK_CHECK(cudaGraphAddEventWaitNode(&n[6], graph, NULL, 0, e));
    PK_CHECK(cudaGraphAddEventRecordNode(&n[7], graph, NULL, 0, e));
    for (int i = 0; i < 8; i++) {
        cudaGraphNodeType type = cudaGraphNodeTypeCount;
        PK_CHECK(cudaGraphNodeGetType(n[i], &type));
        EXPECT_EQ(type, want[i]);
    }
    EXPECT_EQ(cf_root_count(graph), 8);
    return PK_OK;
}

CASE(edge_queries)
{
    cudaGraphNode_t n[3], from[4], to[4], near[4];
    size_t count = 4;
    GRAPH(graph);
    for (int i = 0; i < 3; i++)
        PK_CHECK(cudaGraphAddEmptyNode(&n[i], graph, NULL, 0));
    PK_CHECK(cf_add_edge(graph, n[0], n[2]));
    PK_CHECK(cf_add_edge(graph, n[1], n[2]));
    PK_CHECK(cf_edges(graph, from, to, &count));
    EXPECT_EQ(count, 2);
    EXPECT(to[0] == n[2] && to[1] == n[2] && from[0] != from[1]);
    count = 4;
    PK_CHECK(cf_dependencies(n[2], near, &count));
    EXPECT_EQ(count, 2);
    count = 4;
    PK_CHECK(cf_dependents(n[0], near, &count));
    EXPECT_EQ(count, 1);
    EXPECT(near[0] == n[2]);
    PK_CHECK(cf_remove_edge(graph, n[0], n[2]));
    EXPECT_EQ(cf_edge_count(graph), 1);
    EXPECT_EQ(cf_root_count(graph), 2);
    return PK_OK;
}

CASE(node_query_with_room_for_fewer_or_more)
{
    cudaGraphNode_t n, got[4] = {NULL, NULL, NULL, NULL};
    size_t count = 2;
    GRAPH(graph);
    for (int i = 0; i < 3; i++)
        PK_CHECK(cudaGraphAddEmptyNode(&n, graph, NULL, 0));
    PK_CHECK(cudaGraphGetNodes(graph, got, &count));
    EXPECT_EQ(count, 2);
    EXPECT(got[0] != NULL && got[1] != NULL && got[2] == NULL);
    count = 4;
    PK_CHECK(cudaGraphGetNodes(graph, got, &count)); /* what is beyond the last node is set to null */
    EXPECT_EQ(count, 3);
    EXPECT(got[2] != NULL && got[3] == NULL);
    return PK_OK;
}

CASE(bad_edges)
{
    cudaGraphNode_t n[2], foreign;
    cudaGraphExec_t exec = NULL;
    GRAPH(graph);
    GRAPH(other);
    PK_CHECK(cudaGraphAddEmptyNode(&n[0], graph, NULL, 0));
    PK_CHECK(cudaGraphAddEmptyNode(&n[1], graph, NULL, 0));
    PK_CHECK(cudaGraphAddEmptyNode(&foreign, other, NULL, 0));
    OBSERVE_ERROR("to_itself", cf_add_edge(graph, n[0], n[0]));
    OBSERVE_ERROR("to_another_graph", cf_add_edge(graph, n[0], foreign));
    PK_CHECK(cf_add_edge(graph, n[0], n[1]));
    OBSERVE_ERROR("twice", cf_add_edge(graph, n[0], n[1]));
    OBSERVE_ERROR("cycle", cf_add_edge(graph, n[1], n[0]));
    OBSERVE_ERROR("instantiate_cycle", cudaGraphInstantiate(&exec, graph, 0));
    OBSERVE_ERROR("remove_absent", cf_remove_edge(graph, foreign, n[1]));
    return PK_OK;
}

CASE(destroy_node)
{
    cudaGraphNode_t n[3];
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&n[0], graph, NULL, x, 1, 1));
    PK_CHECK(cf_add_affine(&n[1], graph, n[0], x, 0, 50));
    PK_CHECK(cf_add_affine(&n[2], graph, n[0], x, 2, 0));
    EXPECT_ERROR(cudaGraphDestroyNode(n[1]), cudaSuccess);
    EXPECT_EQ(cf_node_count(graph), 2);
    EXPECT_EQ(cf_edge_count(graph), 1);
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 1, 2);
    return PK_OK;
}

CASE(instantiation_is_a_snapshot)
{
    cudaGraphNode_t node, more;
    unsigned a = 1, b = 1000;
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&node, graph, NULL, x, 1, 1));
    EXEC(exec, graph);
    void *arguments[] = {&x, &a, &b};
    const cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_affine), arguments);
    PK_CHECK(cudaGraphKernelNodeSetParams(node, &params));
    PK_CHECK(cf_add_affine(&more, graph, node, x, 0, 0));
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(unsigned, x, 1, 1);
    return PK_OK;
}

CASE(exec_outlives_its_graph)
{
    cudaGraph_t graph;
    cudaGraphNode_t node;
    DEVICE(unsigned, x, 1);
    PK_CHECK(cudaGraphCreate(&graph, 0));
    PK_CHECK(cf_add_affine(&node, graph, NULL, x, 1, 3));
    EXEC(exec, graph);
    EXPECT_ERROR(cudaGraphDestroy(graph), cudaSuccess);
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(unsigned, x, 1, 3);
    return PK_OK;
}

CASE(exec_destroyed_while_it_runs)
{
    cudaGraphNode_t node;
    cudaGraphExec_t exec;
    STREAM(s);
    GATE(gate);
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&node, graph, NULL, x, 1, 3));
    PK_CHECK(cudaGraphInstantiate(&exec, graph, 0));
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaGraphLaunch(exec, s));
    EXPECT_ERROR(cudaGraphExecDestroy(exec), cudaSuccess);
    cf_gate_open(&gate);
    EXPECT_EACH(unsigned, x, 1, 3);
    return PK_OK;
}

CASE(upload_then_launch)
{
    cudaGraphNode_t node;
    STREAM(s);
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&node, graph, NULL, x, 1, 3));
    EXEC(exec, graph);
    EXPECT_ERROR(cudaGraphUpload(exec, s), cudaSuccess);
    EXPECT_EACH(unsigned, x, 1, 0);
    PK_CHECK(cudaGraphLaunch(exec, s));
    EXPECT_EACH(unsigned, x, 1, 3);
    return PK_OK;
}

CASE(launch_is_in_stream_order)
{
    cudaGraphNode_t root, left;
    STREAM(s);
    GATE(gate);
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&root, graph, NULL, x, 3, 1));
    PK_CHECK(cf_add_affine(&left, graph, root, x, 5, 2));
    EXEC(exec, graph);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 1u, 4u);
    PK_CHECK(cudaGraphLaunch(exec, s));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 2u, 1u);
    PK_CHECK(cudaGraphLaunch(exec, s));
    EXPECT(cf_stream_busy(s));
    cf_gate_open(&gate);
    const unsigned once = ((4 * 3 + 1) * 5 + 2) * 2 + 1;
    EXPECT_EACH(unsigned, x, 1, (once * 3 + 1) * 5 + 2);
    return PK_OK;
}

CASE(work_after_a_launch_waits_for_every_leaf)
{
    cudaGraph_t graph = NULL;
    STREAM(s);
    STREAM(t);
    EVENT(fork);
    EVENT(join);
    GATE(gate);
    DEVICE(unsigned, x, 2);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaEventRecord(fork, s));
    PK_CHECK(cudaStreamWaitEvent(t, fork, 0));
    PK_TRY(cf_gate_enqueue(&gate, t)); /* a leaf that is held, beside one that is not */
    PK_LAUNCH(cf_affine, 1, 1, 0, t, x, 1u, 5u);
    PK_CHECK(cudaEventRecord(join, t));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x + 1, 1u, 6u);
    PK_CHECK(cudaStreamWaitEvent(s, join, 0));
    PK_TRY(cf_end_capture(s, &graph));
    EXEC(exec, graph);
    PK_CHECK(cudaGraphLaunch(exec, s));
    PK_LAUNCH(cf_copy_after, 1, 1, 0, s, (int *)x, (int *)x + 1, 7);
    cf_sleep_ms(20);
    EXPECT(cf_stream_busy(s));
    cf_gate_open(&gate);
    EXPECT_EACH(unsigned, x, 2, i == 0 ? 5 : 35);
    return PK_OK;
}

CASE(one_exec_does_not_overlap_itself)
{
    STREAM(s);
    STREAM(t);
    GATE(gate);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 3u, 1u);
    END_CAPTURE(s, graph);
    EXEC(exec, graph);
    PK_CHECK(cudaGraphLaunch(exec, s));
    PK_CHECK(cudaGraphLaunch(exec, t));
    PK_LAUNCH(cf_affine, 1, 1, 0, t, x, 100u, 0u);
    cf_sleep_ms(20);
    EXPECT(cf_stream_busy(t));
    cf_gate_open(&gate);
    EXPECT_EACH(unsigned, x, 1, 400);
    return PK_OK;
}

CASE(two_execs_run_together)
{
    cudaGraphNode_t node;
    STREAM(s);
    STREAM(t);
    GATE(gate);
    GRAPH(free_graph);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    PK_TRY(cf_gate_enqueue(&gate, s));
    END_CAPTURE(s, held_graph);
    PK_CHECK(cf_add_affine(&node, free_graph, NULL, x, 1, 2));
    EXEC(held, held_graph);
    EXEC(freed, free_graph);
    PK_CHECK(cudaGraphLaunch(held, s));
    PK_CHECK(cudaGraphLaunch(freed, t));
    EXPECT_ERROR(cudaStreamSynchronize(t), cudaSuccess);
    EXPECT(cf_stream_busy(s));
    return PK_OK;
}

static __global__ void raise_flag(int *flag, int value)
{
    cf_store_release_system(flag, value);
}

CASE(branches_run_together)
{
    /* The held branch must not keep the other from running. */
    cudaGraph_t graph = NULL;
    STREAM(s);
    STREAM(t);
    EVENT(fork);
    EVENT(join);
    GATE(gate);
    MAPPED(int, host, device, 1);
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaEventRecord(fork, s));
    PK_CHECK(cudaStreamWaitEvent(t, fork, 0));
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_LAUNCH(raise_flag, 1, 1, 0, t, device, 5);
    PK_CHECK(cudaEventRecord(join, t));
    PK_CHECK(cudaStreamWaitEvent(s, join, 0));
    PK_TRY(cf_end_capture(s, &graph));
    EXEC(exec, graph);
    PK_CHECK(cudaGraphLaunch(exec, s));
    for (int i = 0; i < 500 && __atomic_load_n(host, __ATOMIC_ACQUIRE) != 5; i++)
        cf_sleep_ms(2);
    EXPECT_EQ(__atomic_load_n(host, __ATOMIC_ACQUIRE), 5);
    EXPECT(cf_stream_busy(s));
    return PK_OK;
}

CASE(long_chain)
{
    cudaGraphNode_t last = NULL;
    unsigned want = 0;
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    for (unsigned i = 0; i < 1000; i++) {
        PK_CHECK(cf_add_affine(&last, graph, last, x, 3, i));
        want = want * 3 + i;
    }
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 1, want);
    return PK_OK;
}

CASE(wide_graph)
{
    cudaGraphNode_t root, node;
    GRAPH(graph);
    DEVICE(unsigned, x, 500);
    PK_CHECK(cudaGraphAddEmptyNode(&root, graph, NULL, 0));
    for (unsigned i = 0; i < 500; i++)
        PK_CHECK(cf_add_affine(&node, graph, root, x + i, 1, i + 1));
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 500, i + 1);
    return PK_OK;
}

CASE(exec_kernel_parameters)
{
    cudaGraphNode_t node;
    unsigned a = 1, b = 20;
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&node, graph, NULL, x, 1, 1));
    EXEC(exec, graph);
    EXEC(second, graph);
    void *arguments[] = {&x, &a, &b};
    const cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_affine), arguments);
    PK_CHECK(cudaGraphExecKernelNodeSetParams(exec, node, &params));
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(unsigned, x, 1, 20);
    PK_CHECK(cudaGraphLaunch(second, 0)); /* neither the graph nor another exec of it has changed */
    EXPECT_EACH(unsigned, x, 1, 21);
    return PK_OK;
}

CASE(exec_parameters_do_not_reach_enqueued_launches)
{
    cudaGraphNode_t node;
    unsigned a = 1, b = 20;
    STREAM(s);
    GATE(gate);
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&node, graph, NULL, x, 1, 1));
    EXEC(exec, graph);
    void *arguments[] = {&x, &a, &b};
    const cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_affine), arguments);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_CHECK(cudaGraphLaunch(exec, s));
    PK_CHECK(cudaGraphExecKernelNodeSetParams(exec, node, &params));
    PK_CHECK(cudaGraphLaunch(exec, s));
    cf_gate_open(&gate);
    EXPECT_EACH(unsigned, x, 1, 21);
    return PK_OK;
}

CASE(exec_parameters_may_change_shape_and_kernel)
{
    cudaGraphNode_t node;
    int unused = 0, value = 33;
    GRAPH(graph);
    DEVICE(unsigned, out, 24);
    void *arguments[] = {&out, &unused}, *set_arguments[] = {&out, &value};
    cudaKernelNodeParams params = cf_kernel_params(KERNEL(shaped), arguments);
    params.blockDim = dim3(4);
    params.sharedMemBytes = 64;
    PK_CHECK(cudaGraphAddKernelNode(&node, graph, NULL, 0, &params));
    EXEC(exec, graph);
    params.gridDim = dim3(3);
    params.blockDim = dim3(8);
    PK_CHECK(cudaGraphExecKernelNodeSetParams(exec, node, &params));
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(unsigned, out, 24, i / 8 * 100 + 7 - i % 8);
    params = cf_kernel_params(KERNEL(cf_set), set_arguments);
    PK_CHECK(cudaGraphExecKernelNodeSetParams(exec, node, &params));
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(unsigned, out, 1, 33);
    return PK_OK;
}

CASE(exec_parameters_of_other_nodes)
{
    int first = 0, second = 0;
    cudaGraphNode_t copy, fill, host;
    GRAPH(graph);
    PINNED(int, source, 2);
    DEVICE(int, x, 4);
    cudaMemsetParams fill_params = memset_params(x + 2, 1, 4, 1, 1, 0);
    cudaHostNodeParams function = host_params(add_one, &first);
    PK_CHECK(cudaGraphAddMemcpyNode1D(&copy, graph, NULL, 0, x, source, sizeof *x, cudaMemcpyHostToDevice));
    PK_CHECK(cudaGraphAddMemsetNode(&fill, graph, NULL, 0, &fill_params));
    PK_CHECK(cudaGraphAddHostNode(&host, graph, NULL, 0, &function));
    EXEC(exec, graph);
    source[1] = 44;
    PK_CHECK(cudaGraphExecMemcpyNodeSetParams1D(exec, copy, x + 1, source + 1, sizeof *x, cudaMemcpyHostToDevice));
    fill_params = memset_params(x + 3, 9, 4, 1, 1, 0);
    PK_CHECK(cudaGraphExecMemsetNodeSetParams(exec, fill, &fill_params));
    function = host_params(add_ten, &second);
    PK_CHECK(cudaGraphExecHostNodeSetParams(exec, host, &function));
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(int, x, 4, i == 1 ? 44 : i == 3 ? 9 : 0);
    EXPECT_EQ(first, 0);
    EXPECT_EQ(second, 10);
    return PK_OK;
}

CASE(exec_parameters_of_a_child)
{
    cudaGraphNode_t node, child;
    GRAPH(inner);
    GRAPH(changed);
    GRAPH(outer);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&node, inner, NULL, x, 1, 1));
    PK_CHECK(cf_add_affine(&node, changed, NULL, x, 1, 60));
    PK_CHECK(cudaGraphAddChildGraphNode(&child, outer, NULL, 0, inner));
    EXEC(exec, outer);
    PK_CHECK(cudaGraphExecChildGraphNodeSetParams(exec, child, changed));
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(unsigned, x, 1, 60);
    return PK_OK;
}

CASE(update_with_the_same_topology)
{
    cudaGraphNode_t a[2], b[2];
    cudaGraphExecUpdateResultInfo info = {};
    GRAPH(graph);
    GRAPH(changed);
    DEVICE(unsigned, x, 1);
    for (unsigned i = 0; i < 2; i++) {
        PK_CHECK(cf_add_affine(&a[i], graph, i ? a[0] : NULL, x, 3, i + 1));
        PK_CHECK(cf_add_affine(&b[i], changed, i ? b[0] : NULL, x, 7, i + 5));
    }
    EXEC(exec, graph);
    EXPECT_ERROR(cudaGraphExecUpdate(exec, changed, &info), cudaSuccess);
    EXPECT_EQ(info.result, cudaGraphExecUpdateSuccess);
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(unsigned, x, 1, 5 * 7 + 6);
    return PK_OK;
}

CASE(update_from_a_new_capture)
{
    cudaGraphExecUpdateResultInfo info = {};
    STREAM(s);
    DEVICE(unsigned, x, 1);
    BEGIN_CAPTURE(s);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 2u, 1u);
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 2u, 1u);
    END_CAPTURE(s, first);
    EXEC(exec, first);
    for (unsigned round = 0; round < 5; round++) {
        BEGIN_CAPTURE(s);
        PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 0u, round);
        PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 10u, round);
        END_CAPTURE(s, next);
        EXPECT_ERROR(cudaGraphExecUpdate(exec, next, &info), cudaSuccess);
        PK_CHECK(cudaGraphLaunch(exec, s));
        EXPECT_EACH(unsigned, x, 1, round * 11);
    }
    return PK_OK;
}

CASE(update_with_another_topology)
{
    cudaGraphNode_t node;
    cudaGraphExecUpdateResultInfo info = {};
    GRAPH(graph);
    GRAPH(longer);
    GRAPH(other_type);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&node, graph, NULL, x, 1, 1));
    PK_CHECK(cf_add_affine(&node, longer, NULL, x, 1, 50));
    PK_CHECK(cf_add_affine(&node, longer, node, x, 1, 50));
    PK_CHECK(cudaGraphAddEmptyNode(&node, other_type, NULL, 0));
    EXEC(exec, graph);
    EXPECT_ERROR(cudaGraphExecUpdate(exec, longer, &info), cudaErrorGraphExecUpdateFailure);
    EXPECT_EQ(info.result, cudaGraphExecUpdateErrorTopologyChanged);
    EXPECT_ERROR(cudaGraphExecUpdate(exec, other_type, &info), cudaErrorGraphExecUpdateFailure);
    OBSERVE("result_for_another_type", info.result);
    PK_CHECK(cudaGraphLaunch(exec, 0)); /* a refused update changes nothing */
    EXPECT_EACH(unsigned, x, 1, 1);
    return PK_OK;
}

CASE(clone)
{
    cudaGraphNode_t n[2], copy = NULL;
    cudaGraph_t cloned;
    unsigned a = 1, b = 90;
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&n[0], graph, NULL, x, 1, 1));
    PK_CHECK(cf_add_affine(&n[1], graph, n[0], x, 2, 0));
    PK_CHECK(cudaGraphClone(&cloned, graph));
    PK_TRY(cf_hold(cloned, cf_destroy_graph));
    EXPECT_EQ(cf_node_count(cloned), 2);
    EXPECT_EQ(cf_edge_count(cloned), 1);
    PK_CHECK(cudaGraphNodeFindInClone(&copy, n[0], cloned));
    EXPECT(copy != NULL && copy != n[0]);
    void *arguments[] = {&x, &a, &b};
    const cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_affine), arguments);
    PK_CHECK(cudaGraphKernelNodeSetParams(copy, &params));
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 1, 2);
    PK_TRY(cf_run(cloned));
    EXPECT_EACH(unsigned, x, 1, 184);
    return PK_OK;
}

CASE(null_handles)
{
    cudaGraphExec_t exec = NULL;
    cudaGraphNode_t node;
    size_t n;
    OBSERVE_ERROR("instantiate", cudaGraphInstantiate(&exec, NULL, 0));
    OBSERVE_ERROR("launch", cudaGraphLaunch(NULL, 0));
    OBSERVE_ERROR("nodes", cudaGraphGetNodes(NULL, NULL, &n));
    OBSERVE_ERROR("add", cudaGraphAddEmptyNode(&node, NULL, NULL, 0));
    OBSERVE_ERROR("destroy", cudaGraphDestroy(NULL));
    OBSERVE_ERROR("destroy_exec", cudaGraphExecDestroy(NULL));
    return PK_OK;
}

CASE(launch_in_the_legacy_stream)
{
    cudaGraphNode_t node;
    BLOCKING_STREAM(s);
    GATE(gate);
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&node, graph, NULL, x, 10, 1));
    EXEC(exec, graph);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x, 1u, 2u);
    PK_CHECK(cudaGraphLaunch(exec, 0)); /* behind the blocking stream */
    cf_gate_open(&gate);
    EXPECT_EACH(unsigned, x, 1, 21);
    return PK_OK;
}

CASE(cooperative_kernel_in_a_graph)
{
    const int blocks = cf_attribute(cudaDevAttrMultiProcessorCount);
    STREAM(s);
    DEVICE(int, ring, blocks);
    DEVICE(int, out, blocks);
    void *arguments[] = {&ring, &out};
    if (!cf_attribute(cudaDevAttrCooperativeLaunch))
        SKIP("the device has no cooperative launch");
    BEGIN_CAPTURE(s);
    PK_CHECK(cudaLaunchCooperativeKernel(KERNEL(grid_rotate), dim3((unsigned)blocks), dim3(32), arguments, 0, s));
    END_CAPTURE(s, graph);
    EXEC(exec, graph);
    for (int i = 0; i < 10; i++)
        PK_CHECK(cudaGraphLaunch(exec, s));
    EXPECT_EACH(int, out, blocks, ((int)i + 1) % blocks);
    return PK_OK;
}

CASE(dot_print)
{
    char path[] = "/tmp/conformance-XXXXXX", text[4096];
    cudaGraphNode_t node;
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cf_add_affine(&node, graph, NULL, x, 1, 1));
    PK_CHECK(cf_add_affine(&node, graph, node, x, 1, 1));
    const int fd = mkstemp(path);
    if (fd < 0)
        return pk_fail(PK_FAULT, "no temporary file");
    EXPECT_ERROR(cudaGraphDebugDotPrint(graph, path, 0), cudaSuccess);
    FILE *file = fopen(path, "r");
    const size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[n] = '\0';
    EXPECT(strncmp(text, "digraph", 7) == 0);
    EXPECT(strstr(text, "->") != NULL);
    EXPECT(strstr(text, "cf_affine") != NULL);
    if (file)
        fclose(file);
    close(fd);
    unlink(path);
    return PK_OK;
}
