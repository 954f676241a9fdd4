/* Conditional graph nodes: IF and WHILE, decided on the device.
 * Source: CUDA C++ Programming Guide, "Conditional Graph Nodes"; CUDA Runtime API, cudaGraphConditionalHandleCreate,
 * cudaGraphSetConditional. CUDA 12.4 and up. */
#include "conformance_graph.h"

CONCERN(graph_conditional)

#define NEED_CONDITIONAL()                                                                                             \
    do {                                                                                                               \
        int driver_ = 0;                                                                                               \
        PK_CHECK(cudaDriverGetVersion(&driver_));                                                                      \
        if (driver_ < 12040)                                                                                           \
            SKIP("conditional nodes need a driver for CUDA 12.4");                                                     \
    } while (0)

/* Decides: the condition is whether *x is below the limit. */
static __global__ void decide(cudaGraphConditionalHandle handle, const unsigned *x, unsigned limit)
{
    cudaGraphSetConditional(handle, *x < limit);
}

/* A loop's last step: counts, and goes on while *x is below the limit. */
static __global__ void step(cudaGraphConditionalHandle handle, unsigned *x, unsigned limit)
{
    *x += 1;
    cudaGraphSetConditional(handle, *x < limit);
}

static cudaError_t add_conditional(cudaGraphNode_t *node, cudaGraph_t *body, cudaGraph_t graph, cudaGraphNode_t after,
                                   cudaGraphConditionalHandle handle, cudaGraphConditionalNodeType type)
{
    cudaGraphNodeParams params = {};
    params.type = cudaGraphNodeTypeConditional;
    params.conditional.handle = handle;
    params.conditional.type = type;
    params.conditional.size = 1;
    const cudaError_t error = cf_add_node(node, graph, after ? &after : NULL, after ? 1 : 0, &params);
    if (error == cudaSuccess)
        *body = params.conditional.phGraph_out[0];
    return error;
}

static cudaError_t add_kernel(cudaGraphNode_t *node, cudaGraph_t graph, cudaGraphNode_t after, void *function,
                              cudaGraphConditionalHandle handle, unsigned *x, unsigned limit)
{
    void *arguments[] = {&handle, &x, &limit};
    const cudaKernelNodeParams params = cf_kernel_params(function, arguments);
    return cudaGraphAddKernelNode(node, graph, after ? &after : NULL, after ? 1 : 0, &params);
}

/* decide -> IF(*x < 5) { y += 1 } -> z += 1 */
CASE(if_taken_or_not)
{
    cudaGraphConditionalHandle handle;
    cudaGraphNode_t decision, branch, inside, after;
    cudaGraph_t body = NULL;
    NEED_CONDITIONAL();
    GRAPH(graph);
    DEVICE(unsigned, x, 3);
    PK_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, 0, 0));
    PK_CHECK(add_kernel(&decision, graph, NULL, KERNEL(decide), handle, x, 5));
    PK_CHECK(add_conditional(&branch, &body, graph, decision, handle, cudaGraphCondTypeIf));
    PK_CHECK(cf_add_affine(&inside, body, NULL, x + 1, 1, 1));
    PK_CHECK(cf_add_affine(&after, graph, branch, x + 2, 1, 1));
    EXEC(exec, graph);
    for (unsigned value = 3; value < 8; value++) {
        PK_CHECK(cudaMemcpy(x, &value, sizeof value, cudaMemcpyHostToDevice));
        PK_CHECK(cudaGraphLaunch(exec, 0));
        PK_CHECK(cudaStreamSynchronize(0));
    }
    EXPECT_EACH(unsigned, x, 3, i == 0 ? 7 : i == 1 ? 2 : 5);
    return PK_OK;
}

static pk_status if_with_default(unsigned value, unsigned *x)
{
    cudaGraphConditionalHandle handle;
    cudaGraphNode_t branch, inside;
    cudaGraph_t body = NULL;
    GRAPH(graph);
    PK_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, value, cudaGraphCondAssignDefault));
    PK_CHECK(add_conditional(&branch, &body, graph, NULL, handle, cudaGraphCondTypeIf));
    PK_CHECK(cf_add_affine(&inside, body, NULL, x, 1, 1));
    EXEC(exec, graph);
    for (int i = 0; i < 3; i++)
        PK_CHECK(cudaGraphLaunch(exec, 0));
    PK_CHECK(cudaStreamSynchronize(0));
    return PK_OK;
}

CASE(if_with_a_default_value)
{
    NEED_CONDITIONAL();
    DEVICE(unsigned, x, 2);
    PK_TRY(if_with_default(1, x));
    PK_TRY(if_with_default(0, x + 1));
    EXPECT_EACH(unsigned, x, 2, i == 0 ? 3 : 0);
    return PK_OK;
}

/* WHILE { *x += 1 } until 10, then y = y * 2 + 1; the default value starts each launch. */
CASE(while_counts)
{
    const unsigned zero = 0;
    cudaGraphConditionalHandle handle;
    cudaGraphNode_t loop, inside, after;
    cudaGraph_t body = NULL;
    NEED_CONDITIONAL();
    GRAPH(graph);
    DEVICE(unsigned, x, 2);
    PK_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, 1, cudaGraphCondAssignDefault));
    PK_CHECK(add_conditional(&loop, &body, graph, NULL, handle, cudaGraphCondTypeWhile));
    PK_CHECK(add_kernel(&inside, body, NULL, KERNEL(step), handle, x, 10));
    PK_CHECK(cf_add_affine(&after, graph, loop, x + 1, 2, 1));
    EXEC(exec, graph);
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(unsigned, x, 2, i == 0 ? 10 : 1);
    PK_CHECK(cudaGraphLaunch(exec, 0)); /* one round, since the condition is asked after the body */
    EXPECT_EACH(unsigned, x, 2, i == 0 ? 11 : 3);
    PK_CHECK(cudaMemcpy(x, &zero, sizeof zero, cudaMemcpyHostToDevice));
    PK_CHECK(cudaGraphLaunch(exec, 0));
    EXPECT_EACH(unsigned, x, 2, i == 0 ? 10 : 7);
    return PK_OK;
}

CASE(while_that_does_not_start)
{
    cudaGraphConditionalHandle handle;
    cudaGraphNode_t decision, loop, inside;
    cudaGraph_t body = NULL;
    NEED_CONDITIONAL();
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, 1, cudaGraphCondAssignDefault));
    PK_CHECK(add_kernel(&decision, graph, NULL, KERNEL(decide), handle, x, 0));
    PK_CHECK(add_conditional(&loop, &body, graph, decision, handle, cudaGraphCondTypeWhile));
    PK_CHECK(add_kernel(&inside, body, NULL, KERNEL(step), handle, x, 10));
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 1, 0);
    return PK_OK;
}

/* A body of three dependent nodes and a fill beside them. */
CASE(while_with_a_body_of_several_nodes)
{
    unsigned want = 0;
    cudaGraphConditionalHandle handle;
    cudaGraphNode_t loop, first, second, last;
    cudaGraph_t body = NULL;
    cudaMemsetParams fill = {};
    NEED_CONDITIONAL();
    GRAPH(graph);
    DEVICE(unsigned, x, 3);
    PK_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, 1, cudaGraphCondAssignDefault));
    PK_CHECK(add_conditional(&loop, &body, graph, NULL, handle, cudaGraphCondTypeWhile));
    PK_CHECK(cf_add_affine(&first, body, NULL, x + 1, 3, 1));
    PK_CHECK(cf_add_affine(&second, body, first, x + 1, 5, 2));
    PK_CHECK(add_kernel(&last, body, second, KERNEL(step), handle, x, 6));
    fill.dst = x + 2;
    fill.value = 4;
    fill.elementSize = 4;
    fill.width = 1;
    fill.height = 1;
    PK_CHECK(cudaGraphAddMemsetNode(&first, body, NULL, 0, &fill));
    for (int i = 0; i < 6; i++)
        want = (want * 3 + 1) * 5 + 2;
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 3, i == 0 ? 6 : i == 1 ? want : 4);
    return PK_OK;
}

/* WHILE(x) { decide; IF(x < 3) { y += 1 }; x += 1 } */
CASE(if_inside_while)
{
    cudaGraphConditionalHandle again, take;
    cudaGraphNode_t loop, decision, branch, inside, last;
    cudaGraph_t body = NULL, branch_body = NULL;
    NEED_CONDITIONAL();
    GRAPH(graph);
    DEVICE(unsigned, x, 2);
    PK_CHECK(cudaGraphConditionalHandleCreate(&again, graph, 1, cudaGraphCondAssignDefault));
    PK_CHECK(add_conditional(&loop, &body, graph, NULL, again, cudaGraphCondTypeWhile));
    PK_CHECK(cudaGraphConditionalHandleCreate(&take, body, 0, 0));
    PK_CHECK(add_kernel(&decision, body, NULL, KERNEL(decide), take, x, 3));
    PK_CHECK(add_conditional(&branch, &branch_body, body, decision, take, cudaGraphCondTypeIf));
    PK_CHECK(cf_add_affine(&inside, branch_body, NULL, x + 1, 1, 1));
    PK_CHECK(add_kernel(&last, body, branch, KERNEL(step), again, x, 8));
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 2, i == 0 ? 8 : 3);
    return PK_OK;
}

CASE(body_by_capture)
{
    cudaGraphConditionalHandle handle;
    cudaGraphNode_t loop;
    cudaGraph_t body = NULL, captured = NULL;
    STREAM(s);
    NEED_CONDITIONAL();
    GRAPH(graph);
    DEVICE(unsigned, x, 2);
    PK_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, 1, cudaGraphCondAssignDefault));
    PK_CHECK(add_conditional(&loop, &body, graph, NULL, handle, cudaGraphCondTypeWhile));
    PK_CHECK(cudaStreamBeginCaptureToGraph(s, body, NULL, NULL, 0, cudaStreamCaptureModeGlobal));
    PK_LAUNCH(cf_affine, 1, 1, 0, s, x + 1, 1u, 2u);
    PK_LAUNCH(step, 1, 1, 0, s, handle, x, 12u);
    PK_CHECK(cudaStreamEndCapture(s, &captured));
    EXPECT(captured == body);
    EXPECT_EQ(cf_node_count(body), 2);
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 2, i == 0 ? 12 : 24);
    return PK_OK;
}

CASE(long_loop_without_the_host)
{
    cudaGraphConditionalHandle handle;
    cudaGraphNode_t loop, inside;
    cudaGraph_t body = NULL;
    NEED_CONDITIONAL();
    GRAPH(graph);
    DEVICE(unsigned, x, 1);
    PK_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, 1, cudaGraphCondAssignDefault));
    PK_CHECK(add_conditional(&loop, &body, graph, NULL, handle, cudaGraphCondTypeWhile));
    PK_CHECK(add_kernel(&inside, body, NULL, KERNEL(step), handle, x, 2000));
    PK_TRY(cf_run(graph));
    EXPECT_EACH(unsigned, x, 1, 2000);
    return PK_OK;
}

CASE(node_type)
{
    cudaGraphConditionalHandle handle;
    cudaGraphNode_t node;
    cudaGraphNodeType type = cudaGraphNodeTypeCount;
    cudaGraph_t body = NULL;
    NEED_CONDITIONAL();
    GRAPH(graph);
    PK_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, 0, cudaGraphCondAssignDefault));
    PK_CHECK(add_conditional(&node, &body, graph, NULL, handle, cudaGraphCondTypeIf));
    PK_CHECK(cudaGraphNodeGetType(node, &type));
    EXPECT_EQ(type, cudaGraphNodeTypeConditional);
    EXPECT_EQ(cf_node_count(body), 0);
    return PK_OK;
}

static void nothing(void *unused)
{
    (void)unused;
}

CASE(what_is_not_allowed)
{
    /* Host nodes in a body, clones, two instances at a time. */
    cudaGraphConditionalHandle handle;
    cudaGraphNode_t node, host;
    cudaGraph_t body = NULL, cloned = NULL;
    cudaGraphExec_t first = NULL, second = NULL;
    cudaHostNodeParams function = {};
    DEVICE(unsigned, x, 1);
    NEED_CONDITIONAL();
    GRAPH(graph);
    PK_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, 1, cudaGraphCondAssignDefault));
    PK_CHECK(add_conditional(&node, &body, graph, NULL, handle, cudaGraphCondTypeIf));
    OBSERVE_ERROR("clone", cudaGraphClone(&cloned, graph));
    function.fn = nothing;
    OBSERVE_ERROR("host_node_in_body", cudaGraphAddHostNode(&host, body, NULL, 0, &function));
    OBSERVE_ERROR("instantiate", cudaGraphInstantiate(&first, graph, 0));
    OBSERVE_ERROR("instantiate_twice", cudaGraphInstantiate(&second, graph, 0));
    return PK_OK;
}
