/* The calls that make and destroy graphs and nodes. */
#include "graph.h"

#include "error.h"

/* ---- graphs ---- */

extern "C" cudaError_t cudaGraphCreate(cudaGraph_t *graph, unsigned flags)
{
    PK_ENTER();
    if (!graph || flags)
        return pk_fail_with(cudaErrorInvalidValue);
    pk_lock();
    *graph = pk_graph_new();
    pk_unlock();
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    PK_ENTER();
    pk_lock();
    const bool valid = pk_graph_alive(graph) && !graph->owner && !graph->captures;
    if (valid)
        pk_graph_free(graph);
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaGraphClone(cudaGraph_t *clone, cudaGraph_t graph)
{
    PK_ENTER();
    pk_lock();
    cudaError_t error = clone && pk_graph_alive(graph) ? cudaSuccess : cudaErrorInvalidValue;
    if (!error && (pk_graph_has_conditional(graph) || pk_graph_has_memory(graph)))
        error = cudaErrorNotSupported;
    if (!error)
        *clone = pk_graph_copy(graph, nullptr);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphNodeFindInClone(cudaGraphNode_t *node, cudaGraphNode_t original, cudaGraph_t clone)
{
    PK_ENTER();
    pk_lock();
    struct CUgraphNode_st *found =
        node && pk_node_alive(original) && pk_graph_alive(clone) ? pk_graph_find_copy(clone, original) : nullptr;
    if (found)
        *node = found;
    pk_unlock();
    return pk_fail_with(found ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle *handle, cudaGraph_t graph,
                                                        unsigned default_value, unsigned flags)
{
    static cudaGraphConditionalHandle last_handle;
    PK_ENTER();
    pk_lock();
    const bool valid = handle && pk_graph_alive(graph) && !(flags & ~cudaGraphCondAssignDefault);
    if (valid) {
        const struct pk_condition condition = {++last_handle, default_value, flags, 0, false};
        pk_conditions_add(&graph->conditions, &condition);
        *handle = condition.handle;
    }
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

/* ---- nodes ---- */

cudaError_t pk_check_place(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before, size_t n)
{
    if (!node || !pk_graph_alive(graph) || (n && !before))
        return cudaErrorInvalidValue;
    for (size_t i = 0; i < n; ++i) {
        if (!pk_node_alive(before[i]) || before[i]->graph != graph)
            return cudaErrorInvalidValue;
        for (size_t j = 0; j < i; ++j)
            if (before[i] == before[j])
                return cudaErrorInvalidValue;
    }
    return cudaSuccess;
}

/* A node of any type that pk_work_of knows. */
static cudaError_t add_node(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before, size_t n,
                            cudaGraphNodeType type, const void *params)
{
    PK_ENTER();
    struct pk_op *work;
    pk_lock();
    cudaError_t error = pk_work_of(&work, type, params);
    if (!error)
        error = pk_check_place(node, graph, before, n);
    if (!error)
        *node = pk_graph_add(graph, type, work, before, n);
    pk_op_release(work);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                              size_t n, const cudaKernelNodeParams *params)
{
    PK_CALL();
    return add_node(node, graph, before, n, cudaGraphNodeTypeKernel, params);
}

extern "C" cudaError_t cudaGraphAddMemcpyNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                              size_t n, const cudaMemcpy3DParms *params)
{
    PK_CALL();
    return add_node(node, graph, before, n, cudaGraphNodeTypeMemcpy, params);
}

extern "C" cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                                size_t n, void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    PK_CALL();
    const cudaMemcpy3DParms params = pk_flat_copy(to, from, bytes, kind);
    return cudaGraphAddMemcpyNode(node, graph, before, n, &params);
}

extern "C" cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                              size_t n, const cudaMemsetParams *params)
{
    PK_CALL();
    return add_node(node, graph, before, n, cudaGraphNodeTypeMemset, params);
}

extern "C" cudaError_t cudaGraphAddHostNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                            size_t n, const cudaHostNodeParams *params)
{
    PK_CALL();
    return add_node(node, graph, before, n, cudaGraphNodeTypeHost, params);
}

extern "C" cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                             size_t n)
{
    PK_CALL();
    return add_node(node, graph, before, n, cudaGraphNodeTypeEmpty, nullptr);
}

extern "C" cudaError_t cudaGraphAddEventRecordNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                                   const cudaGraphNode_t *before, size_t n, cudaEvent_t event)
{
    PK_CALL();
    return add_node(node, graph, before, n, cudaGraphNodeTypeEventRecord, &event);
}

extern "C" cudaError_t cudaGraphAddEventWaitNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                                 const cudaGraphNode_t *before, size_t n, cudaEvent_t event)
{
    PK_CALL();
    return add_node(node, graph, before, n, cudaGraphNodeTypeWaitEvent, &event);
}

extern "C" cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                                  const cudaGraphNode_t *before, size_t n, cudaGraph_t child)
{
    PK_ENTER();
    pk_lock();
    cudaError_t error = pk_check_place(node, graph, before, n);
    if (!error && !pk_graph_alive(child))
        error = cudaErrorInvalidValue;
    if (!error && (pk_graph_has_conditional(child) || pk_graph_has_memory(child)))
        error = cudaErrorNotSupported;
    if (!error)
        *node = pk_graph_add_child(graph, child, before, n);
    pk_unlock();
    return pk_fail_with(error);
}

/* The graph, or one that it lies in, has made the handle, and no node uses it yet. */
static struct pk_condition *unused_condition(struct CUgraph_st *graph, cudaGraphConditionalHandle handle)
{
    for (; graph; graph = graph->owner ? graph->owner->graph : nullptr)
        for (size_t i = 0; i < graph->conditions.count; ++i)
            if (graph->conditions.at[i].handle == handle)
                return graph->conditions.at[i].used ? nullptr : &graph->conditions.at[i];
    return nullptr;
}

static cudaError_t make_conditional(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before, size_t n,
                                    cudaConditionalNodeParams *params)
{
    struct pk_condition *condition = unused_condition(graph, params->handle);
    const unsigned most = params->type == cudaGraphCondTypeIf      ? 2
                          : params->type == cudaGraphCondTypeWhile ? 1
                                                                   : 1u << 16; /* a sane limit of our own */
    if (!condition || params->size == 0 || params->size > most || params->type > cudaGraphCondTypeSwitch)
        return cudaErrorInvalidValue;
    condition->used = true;
    struct pk_op *work = pk_op_new(PK_OP_GRAPH);
    work->as.graph.how = params->type == cudaGraphCondTypeIf      ? PK_GRAPH_IF
                         : params->type == cudaGraphCondTypeWhile ? PK_GRAPH_WHILE
                                                                  : PK_GRAPH_SWITCH;
    work->as.graph.handle = params->handle;
    *node = pk_graph_add(graph, cudaGraphNodeTypeConditional, work, before, n);
    pk_op_release(work);
    for (unsigned i = 0; i < params->size; ++i)
        pk_node_give_child(*node, pk_graph_new());
    params->phGraph_out = (*node)->children;
    return cudaSuccess;
}

static cudaError_t add_conditional(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before, size_t n,
                                   cudaConditionalNodeParams *params)
{
    PK_ENTER();
    pk_lock();
    cudaError_t error = pk_check_place(node, graph, before, n);
    if (!error)
        error = make_conditional(node, graph, before, n, params);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphAddNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                        const cudaGraphEdgeData *, size_t n, cudaGraphNodeParams *params)
{
    PK_CALL();
    if (params && params->type == cudaGraphNodeTypeGraph)
        return cudaGraphAddChildGraphNode(node, graph, before, n, params->graph.graph);
    if (params && params->type == cudaGraphNodeTypeConditional)
        return add_conditional(node, graph, before, n, &params->conditional);
    if (params && params->type == cudaGraphNodeTypeMemAlloc)
        return cudaGraphAddMemAllocNode(node, graph, before, n, &params->alloc);
    if (params && params->type == cudaGraphNodeTypeMemFree)
        return cudaGraphAddMemFreeNode(node, graph, before, n, params->free.dptr);
    return add_node(node, graph, before, n, params ? params->type : cudaGraphNodeTypeCount, pk_own_params(params));
}

extern "C" cudaError_t cudaGraphDestroyNode(cudaGraphNode_t node)
{
    PK_ENTER();
    pk_lock();
    const bool valid = pk_node_alive(node) && !node->graph->captures && node->type != cudaGraphNodeTypeConditional &&
                       !pk_graph_has_memory(node->graph);
    if (valid) {
        struct CUgraph_st *graph = node->graph;
        for (size_t i = 0; i < node->before.count; ++i)
            pk_nodes_remove(&node->before.at[i]->after, node);
        for (size_t i = 0; i < node->after.count; ++i)
            pk_nodes_remove(&node->after.at[i]->before, node);
        pk_nodes_remove(&graph->nodes, node);
        for (size_t i = 0; i < graph->nodes.count; ++i)
            graph->nodes.at[i]->index = i;
        pk_node_free(node);
    }
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}
