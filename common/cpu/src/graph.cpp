/* Graphs: nodes, their parameters, edges, copies, queries. */
#include "graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t last_id;

/* Freed handles are kept for the next ones, never given back: a stale handle is an error, not a crash. */
static struct CUgraph_st *free_graphs;
static struct pk_nodes free_nodes;

/* ---- lists ---- */

/* Room for one more of `size` bytes each. */
static void grow(void **at, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return;
    *room = *room ? 2 * *room : 4;
    *at = realloc(*at, *room * size);
    if (!*at)
        abort(); /* some bytes a node: the process cannot go on */
}

void pk_nodes_add(struct pk_nodes *list, struct CUgraphNode_st *node)
{
    grow((void **)&list->at, list->count, &list->room, sizeof(*list->at));
    list->at[list->count++] = node;
}

bool pk_nodes_has(const struct pk_nodes *list, const struct CUgraphNode_st *node)
{
    for (size_t i = 0; i < list->count; ++i)
        if (list->at[i] == node)
            return true;
    return false;
}

void pk_nodes_copy(struct pk_nodes *to, const struct pk_nodes *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; ++i)
        pk_nodes_add(to, from->at[i]);
}

static void nodes_remove(struct pk_nodes *list, const struct CUgraphNode_st *node)
{
    for (size_t i = 0; i < list->count; ++i)
        if (list->at[i] == node) {
            memmove(&list->at[i], &list->at[i + 1], (list->count - i - 1) * sizeof(*list->at));
            list->count--;
            return;
        }
}

void pk_conditions_add(struct pk_conditions *list, const struct pk_condition *condition)
{
    grow((void **)&list->at, list->count, &list->room, sizeof(*list->at));
    list->at[list->count++] = *condition;
}

/* ---- graphs and nodes ---- */

bool pk_graph_alive(const struct CUgraph_st *graph)
{
    return graph && graph->magic == PK_GRAPH_ALIVE;
}

static bool node_alive(const struct CUgraphNode_st *node)
{
    return node && node->magic == PK_NODE_ALIVE;
}

struct CUgraph_st *pk_graph_new(void)
{
    struct CUgraph_st *graph = free_graphs;
    if (graph)
        free_graphs = graph->next;
    else
        graph = (struct CUgraph_st *)malloc(sizeof(*graph));
    if (!graph)
        abort();
    memset(graph, 0, sizeof(*graph));
    graph->magic = PK_GRAPH_ALIVE;
    return graph;
}

static void free_node(struct CUgraphNode_st *node)
{
    for (int i = 0; i < node->n_children; ++i)
        pk_graph_free(node->children[i]);
    free(node->children);
    free(node->arguments);
    free(node->before.at);
    free(node->after.at);
    pk_op_release(node->work);
    memset(node, 0, sizeof(*node));
    pk_nodes_add(&free_nodes, node);
}

void pk_graph_free(struct CUgraph_st *graph)
{
    for (size_t i = 0; i < graph->nodes.count; ++i)
        free_node(graph->nodes.at[i]);
    free(graph->nodes.at);
    free(graph->conditions.at);
    memset(graph, 0, sizeof(*graph));
    graph->next = free_graphs;
    free_graphs = graph;
}

static void connect(struct CUgraphNode_st *from, struct CUgraphNode_st *to)
{
    pk_nodes_add(&from->after, to);
    pk_nodes_add(&to->before, from);
}

void pk_node_set_work(struct CUgraphNode_st *node, struct pk_op *work)
{
    work->references++;
    pk_op_release(node->work);
    node->work = work;
    if (node->type != cudaGraphNodeTypeKernel)
        return;
    const pk_cpu_kernel *code = work->as.kernel.code;
    free(node->arguments);
    node->arguments = (void **)calloc(code->n_params + 1, sizeof(*node->arguments));
    if (!node->arguments)
        abort();
    for (unsigned i = 0; i < code->n_params; ++i)
        node->arguments[i] = work->as.kernel.packet + code->offsets[i];
}

void pk_node_change(struct CUgraphNode_st *node, struct pk_op *work)
{
    if (node->type == cudaGraphNodeTypeKernel) /* an attribute of the node, not one of its parameters */
        work->as.kernel.cooperative = work->as.kernel.spread = node->work->as.kernel.cooperative;
    pk_node_set_work(node, work);
}

struct CUgraphNode_st *pk_graph_add(struct CUgraph_st *graph, cudaGraphNodeType type, struct pk_op *work,
                                    struct CUgraphNode_st *const *before, size_t n_before)
{
    struct CUgraphNode_st *node =
        free_nodes.count ? free_nodes.at[--free_nodes.count] : (struct CUgraphNode_st *)calloc(1, sizeof(*node));
    if (!node)
        abort();
    node->magic = PK_NODE_ALIVE;
    node->type = type;
    node->id = ++last_id;
    node->graph = graph;
    node->index = graph->nodes.count;
    if (work)
        pk_node_set_work(node, work);
    else
        node->work = pk_op_new(PK_OP_MARK);
    pk_nodes_add(&graph->nodes, node);
    for (size_t i = 0; i < n_before; ++i)
        connect(before[i], node);
    return node;
}

static void give_child(struct CUgraphNode_st *node, struct CUgraph_st *child)
{
    node->children =
        (struct CUgraph_st **)realloc(node->children, (size_t)(node->n_children + 1) * sizeof(*node->children));
    if (!node->children)
        abort();
    child->owner = node;
    child->in_conditional = node->graph->in_conditional || node->type == cudaGraphNodeTypeConditional;
    node->children[node->n_children++] = child;
}

struct CUgraphNode_st *pk_graph_add_child(struct CUgraph_st *graph, const struct CUgraph_st *child,
                                          struct CUgraphNode_st *const *before, size_t n_before)
{
    struct pk_op *work = pk_op_new(PK_OP_GRAPH);
    work->as.graph.how = PK_GRAPH_CHILD;
    struct CUgraphNode_st *node = pk_graph_add(graph, cudaGraphNodeTypeGraph, work, before, n_before);
    pk_op_release(work);
    give_child(node, pk_graph_copy(child, node));
    return node;
}

struct CUgraph_st *pk_graph_copy(const struct CUgraph_st *graph, struct CUgraphNode_st *owner)
{
    struct CUgraph_st *copy = pk_graph_new();
    copy->owner = owner;
    for (size_t i = 0; i < graph->conditions.count; ++i)
        pk_conditions_add(&copy->conditions, &graph->conditions.at[i]);
    for (size_t i = 0; i < graph->nodes.count; ++i) {
        const struct CUgraphNode_st *node = graph->nodes.at[i];
        struct pk_op *work = pk_op_new(PK_OP_MARK);
        pk_op_copy_work(work, node->work);
        struct CUgraphNode_st *twin = pk_graph_add(copy, node->type, work, nullptr, 0);
        pk_op_release(work);
        twin->origin = node->id;
        twin->disabled = node->disabled;
        for (int c = 0; c < node->n_children; ++c)
            give_child(twin, pk_graph_copy(node->children[c], twin));
    }
    for (size_t i = 0; i < graph->nodes.count; ++i)
        for (size_t e = 0; e < graph->nodes.at[i]->before.count; ++e)
            connect(copy->nodes.at[graph->nodes.at[i]->before.at[e]->index], copy->nodes.at[i]);
    return copy;
}

struct CUgraphNode_st *pk_graph_find_copy(const struct CUgraph_st *copy, const struct CUgraphNode_st *original)
{
    /* Where no node was destroyed in between it has the same index. */
    if (original->index < copy->nodes.count && copy->nodes.at[original->index]->origin == original->id)
        return copy->nodes.at[original->index];
    for (size_t i = 0; i < copy->nodes.count; ++i) {
        struct CUgraphNode_st *node = copy->nodes.at[i];
        if (node->origin == original->id)
            return node;
        for (int c = 0; c < node->n_children; ++c) {
            struct CUgraphNode_st *found = pk_graph_find_copy(node->children[c], original);
            if (found)
                return found;
        }
    }
    return nullptr;
}

bool pk_graph_has_conditional(const struct CUgraph_st *graph)
{
    for (size_t i = 0; i < graph->nodes.count; ++i) {
        const struct CUgraphNode_st *node = graph->nodes.at[i];
        if (node->type == cudaGraphNodeTypeConditional)
            return true;
        for (int c = 0; c < node->n_children; ++c)
            if (pk_graph_has_conditional(node->children[c]))
                return true;
    }
    return false;
}

/* ---- what nodes do ---- */

static cudaError_t pk_work_of_kernel(struct pk_op **op, const cudaKernelNodeParams *params)
{
    *op = nullptr;
    if (params->extra)
        return cudaErrorNotSupported;
    const pk_cpu_kernel *kernel = pk_kernel_at(params->func);
    if (!kernel)
        return cudaErrorInvalidDeviceFunction;
    if (kernel->n_params && !params->kernelParams)
        return cudaErrorInvalidValue;
    struct pk_op *made = pk_op_new(PK_OP_MARK);
    cudaError_t error = pk_kernel_prepare(made, kernel, params->gridDim, params->blockDim, params->kernelParams,
                                          params->sharedMemBytes);
    if (error == cudaErrorInvalidConfiguration)
        error = cudaErrorInvalidValue;
    if (error)
        pk_op_release(made);
    else
        *op = made;
    return error;
}

cudaMemcpy3DParms pk_flat_copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    cudaMemcpy3DParms params = {};
    params.dstPtr = make_cudaPitchedPtr(to, bytes, bytes, 1);
    params.srcPtr = make_cudaPitchedPtr(const_cast<void *>(from), bytes, bytes, 1);
    params.extent = make_cudaExtent(bytes, 1, 1);
    params.kind = kind;
    return params;
}

static cudaError_t pk_work_of_copy(struct pk_op **op, const cudaMemcpy3DParms *params)
{
    const cudaPitchedPtr &to = params->dstPtr, &from = params->srcPtr;
    const cudaPos &to_at = params->dstPos, &from_at = params->srcPos;
    *op = nullptr;
    if (params->srcArray || params->dstArray)
        return cudaErrorNotSupported;
    if (!to.ptr || !from.ptr)
        return cudaErrorInvalidValue;
    struct pk_op *made = pk_op_new(PK_OP_COPY);
    made->as.copy.to_pitch = to.pitch;
    made->as.copy.from_pitch = from.pitch;
    made->as.copy.to_slice = to.pitch * to.ysize;
    made->as.copy.from_slice = from.pitch * from.ysize;
    made->as.copy.to = (char *)to.ptr + to_at.z * made->as.copy.to_slice + to_at.y * to.pitch + to_at.x;
    made->as.copy.from = (char *)from.ptr + from_at.z * made->as.copy.from_slice + from_at.y * from.pitch + from_at.x;
    made->as.copy.width = params->extent.width;
    made->as.copy.height = params->extent.height;
    made->as.copy.depth = params->extent.depth;
    made->as.copy.direction = params->kind;
    const cudaError_t error = pk_copy_check(made);
    if (error)
        pk_op_release(made);
    else
        *op = made;
    return error;
}

static cudaError_t pk_work_of_fill(struct pk_op **op, const cudaMemsetParams *params)
{
    *op = nullptr;
    if (!params->dst)
        return cudaErrorInvalidValue;
    struct pk_op *made = pk_op_new(PK_OP_FILL);
    made->as.fill.to = params->dst;
    made->as.fill.value = params->value;
    made->as.fill.element_bytes = params->elementSize;
    made->as.fill.pitch = params->pitch;
    made->as.fill.width = params->width;
    made->as.fill.height = params->height;
    const cudaError_t error = pk_fill_check(made);
    if (error)
        pk_op_release(made);
    else
        *op = made;
    return error;
}

static cudaError_t pk_work_of_host(struct pk_op **op, const cudaHostNodeParams *params)
{
    *op = nullptr;
    if (!params->fn)
        return cudaErrorInvalidValue;
    *op = pk_op_new(PK_OP_HOST);
    (*op)->as.host.function = params->fn;
    (*op)->as.host.user_data = params->userData;
    return cudaSuccess;
}

cudaError_t pk_work_of_event(struct pk_op **op, enum pk_op_kind kind, cudaEvent_t event)
{
    *op = nullptr;
    if (!pk_event_alive(event))
        return cudaErrorInvalidValue;
    *op = pk_op_new(kind);
    (*op)->as.event.event = event;
    return cudaSuccess;
}

cudaError_t pk_work_of(struct pk_op **op, cudaGraphNodeType type, const void *params)
{
    *op = nullptr;
    if (type == cudaGraphNodeTypeEmpty)
        return cudaSuccess;
    if (!params)
        return cudaErrorInvalidValue;
    switch (type) {
    case cudaGraphNodeTypeKernel:
        return pk_work_of_kernel(op, (const cudaKernelNodeParams *)params);
    case cudaGraphNodeTypeMemcpy:
        return pk_work_of_copy(op, (const cudaMemcpy3DParms *)params);
    case cudaGraphNodeTypeMemset:
        return pk_work_of_fill(op, (const cudaMemsetParams *)params);
    case cudaGraphNodeTypeHost:
        return pk_work_of_host(op, (const cudaHostNodeParams *)params);
    case cudaGraphNodeTypeWaitEvent:
        return pk_work_of_event(op, PK_OP_WAIT, *(const cudaEvent_t *)params);
    case cudaGraphNodeTypeEventRecord:
        return pk_work_of_event(op, PK_OP_RECORD, *(const cudaEvent_t *)params);
    case cudaGraphNodeTypeEmpty:
    case cudaGraphNodeTypeGraph:
    case cudaGraphNodeTypeConditional:
    case cudaGraphNodeTypeCount:
        break;
    }
    return cudaErrorInvalidValue;
}

const void *pk_own_params(const cudaGraphNodeParams *params)
{
    if (params && params->type == cudaGraphNodeTypeMemcpy)
        return &params->memcpy.copyParams;
    return params ? &params->kernel : nullptr; /* the union's members begin at one address */
}

/* ---- the calls: graphs ---- */

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
    if (!error && pk_graph_has_conditional(graph))
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
        node && node_alive(original) && pk_graph_alive(clone) ? pk_graph_find_copy(clone, original) : nullptr;
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

/* ---- the calls: adding nodes ---- */

/* With the lock held: whether nodes may be added to the graph after these. */
static cudaError_t check_place(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before, size_t n)
{
    if (!node || !pk_graph_alive(graph) || (n && !before))
        return cudaErrorInvalidValue;
    for (size_t i = 0; i < n; ++i) {
        if (!node_alive(before[i]) || before[i]->graph != graph)
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
        error = check_place(node, graph, before, n);
    if (!error)
        *node = pk_graph_add(graph, type, work, before, n);
    pk_op_release(work);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                              size_t n, const cudaKernelNodeParams *params)
{
    return add_node(node, graph, before, n, cudaGraphNodeTypeKernel, params);
}

extern "C" cudaError_t cudaGraphAddMemcpyNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                              size_t n, const cudaMemcpy3DParms *params)
{
    return add_node(node, graph, before, n, cudaGraphNodeTypeMemcpy, params);
}

extern "C" cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                                size_t n, void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    const cudaMemcpy3DParms params = pk_flat_copy(to, from, bytes, kind);
    return cudaGraphAddMemcpyNode(node, graph, before, n, &params);
}

extern "C" cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                              size_t n, const cudaMemsetParams *params)
{
    return add_node(node, graph, before, n, cudaGraphNodeTypeMemset, params);
}

extern "C" cudaError_t cudaGraphAddHostNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                            size_t n, const cudaHostNodeParams *params)
{
    return add_node(node, graph, before, n, cudaGraphNodeTypeHost, params);
}

extern "C" cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                             size_t n)
{
    return add_node(node, graph, before, n, cudaGraphNodeTypeEmpty, nullptr);
}

extern "C" cudaError_t cudaGraphAddEventRecordNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                                   const cudaGraphNode_t *before, size_t n, cudaEvent_t event)
{
    return add_node(node, graph, before, n, cudaGraphNodeTypeEventRecord, &event);
}

extern "C" cudaError_t cudaGraphAddEventWaitNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                                 const cudaGraphNode_t *before, size_t n, cudaEvent_t event)
{
    return add_node(node, graph, before, n, cudaGraphNodeTypeWaitEvent, &event);
}

extern "C" cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                                  const cudaGraphNode_t *before, size_t n, cudaGraph_t child)
{
    PK_ENTER();
    pk_lock();
    cudaError_t error = check_place(node, graph, before, n);
    if (!error && !pk_graph_alive(child))
        error = cudaErrorInvalidValue;
    if (!error && pk_graph_has_conditional(child))
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
        give_child(*node, pk_graph_new());
    params->phGraph_out = (*node)->children;
    return cudaSuccess;
}

static cudaError_t add_conditional(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before, size_t n,
                                   cudaConditionalNodeParams *params)
{
    PK_ENTER();
    pk_lock();
    cudaError_t error = check_place(node, graph, before, n);
    if (!error)
        error = make_conditional(node, graph, before, n, params);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphAddNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                        const cudaGraphEdgeData *, size_t n, cudaGraphNodeParams *params)
{
    if (params && params->type == cudaGraphNodeTypeGraph)
        return cudaGraphAddChildGraphNode(node, graph, before, n, params->graph.graph);
    if (params && params->type == cudaGraphNodeTypeConditional)
        return add_conditional(node, graph, before, n, &params->conditional);
    return add_node(node, graph, before, n, params ? params->type : cudaGraphNodeTypeCount, pk_own_params(params));
}

extern "C" cudaError_t cudaGraphDestroyNode(cudaGraphNode_t node)
{
    PK_ENTER();
    pk_lock();
    const bool valid = node_alive(node) && !node->graph->captures && node->type != cudaGraphNodeTypeConditional;
    if (valid) {
        struct CUgraph_st *graph = node->graph;
        for (size_t i = 0; i < node->before.count; ++i)
            nodes_remove(&node->before.at[i]->after, node);
        for (size_t i = 0; i < node->after.count; ++i)
            nodes_remove(&node->after.at[i]->before, node);
        nodes_remove(&graph->nodes, node);
        for (size_t i = 0; i < graph->nodes.count; ++i)
            graph->nodes.at[i]->index = i;
        free_node(node);
    }
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

/* ---- the calls: parameters ---- */

extern "C" cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType *type)
{
    PK_ENTER();
    pk_lock();
    const bool valid = type && node_alive(node);
    if (valid)
        *type = node->type;
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

static cudaError_t set_params(cudaGraphNode_t node, cudaGraphNodeType type, const void *params)
{
    PK_ENTER();
    struct pk_op *work;
    pk_lock();
    cudaError_t error = pk_work_of(&work, type, params);
    if (!error && (!node_alive(node) || node->type != type))
        error = cudaErrorInvalidValue;
    if (!error && work)
        pk_node_change(node, work);
    pk_op_release(work);
    pk_unlock();
    return pk_fail_with(error);
}

/* A node of this type, locked; or null, and then the lock is let go. */
static const struct CUgraphNode_st *locked_node(cudaGraphNode_t node, cudaGraphNodeType type, const void *result)
{
    pk_lock();
    if (result && node_alive(node) && node->type == type)
        return node;
    pk_unlock();
    (void)pk_fail_with(cudaErrorInvalidValue);
    return nullptr;
}

extern "C" cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, cudaKernelNodeParams *params)
{
    PK_ENTER();
    const struct CUgraphNode_st *from = locked_node(node, cudaGraphNodeTypeKernel, params);
    if (!from)
        return cudaErrorInvalidValue;
    *params = {};
    params->func = const_cast<void *>(from->work->as.kernel.code->function);
    params->gridDim = from->work->as.kernel.grid;
    params->blockDim = from->work->as.kernel.block;
    params->sharedMemBytes = (unsigned)from->work->as.kernel.shared_bytes;
    params->kernelParams = from->arguments;
    pk_unlock();
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphMemcpyNodeGetParams(cudaGraphNode_t node, cudaMemcpy3DParms *params)
{
    PK_ENTER();
    const struct CUgraphNode_st *from = locked_node(node, cudaGraphNodeTypeMemcpy, params);
    if (!from)
        return cudaErrorInvalidValue;
    const auto &copy = from->work->as.copy;
    *params = {};
    params->dstPtr = make_cudaPitchedPtr(copy.to, copy.to_pitch, copy.width,
                                         copy.to_pitch ? copy.to_slice / copy.to_pitch : copy.height);
    params->srcPtr = make_cudaPitchedPtr(const_cast<void *>(copy.from), copy.from_pitch, copy.width,
                                         copy.from_pitch ? copy.from_slice / copy.from_pitch : copy.height);
    params->extent = make_cudaExtent(copy.width, copy.height, copy.depth);
    params->kind = copy.direction;
    pk_unlock();
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphMemsetNodeGetParams(cudaGraphNode_t node, cudaMemsetParams *params)
{
    PK_ENTER();
    const struct CUgraphNode_st *from = locked_node(node, cudaGraphNodeTypeMemset, params);
    if (!from)
        return cudaErrorInvalidValue;
    const auto &fill = from->work->as.fill;
    *params = {fill.to, fill.pitch, fill.value, fill.element_bytes, fill.width, fill.height};
    pk_unlock();
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphHostNodeGetParams(cudaGraphNode_t node, cudaHostNodeParams *params)
{
    PK_ENTER();
    const struct CUgraphNode_st *from = locked_node(node, cudaGraphNodeTypeHost, params);
    if (!from)
        return cudaErrorInvalidValue;
    *params = {from->work->as.host.function, from->work->as.host.user_data};
    pk_unlock();
    return cudaSuccess;
}

static cudaError_t get_event(cudaGraphNode_t node, cudaGraphNodeType type, cudaEvent_t *event)
{
    PK_ENTER();
    const struct CUgraphNode_st *from = locked_node(node, type, event);
    if (!from)
        return cudaErrorInvalidValue;
    *event = from->work->as.event.event;
    pk_unlock();
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphEventRecordNodeGetEvent(cudaGraphNode_t node, cudaEvent_t *event)
{
    return get_event(node, cudaGraphNodeTypeEventRecord, event);
}

extern "C" cudaError_t cudaGraphEventWaitNodeGetEvent(cudaGraphNode_t node, cudaEvent_t *event)
{
    return get_event(node, cudaGraphNodeTypeWaitEvent, event);
}

extern "C" cudaError_t cudaGraphChildGraphNodeGetGraph(cudaGraphNode_t node, cudaGraph_t *graph)
{
    PK_ENTER();
    const struct CUgraphNode_st *from = locked_node(node, cudaGraphNodeTypeGraph, graph);
    if (!from)
        return cudaErrorInvalidValue;
    *graph = from->children[0];
    pk_unlock();
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node, const cudaKernelNodeParams *params)
{
    return set_params(node, cudaGraphNodeTypeKernel, params);
}

extern "C" cudaError_t cudaGraphMemcpyNodeSetParams(cudaGraphNode_t node, const cudaMemcpy3DParms *params)
{
    return set_params(node, cudaGraphNodeTypeMemcpy, params);
}

extern "C" cudaError_t cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t node, void *to, const void *from, size_t bytes,
                                                      cudaMemcpyKind kind)
{
    const cudaMemcpy3DParms params = pk_flat_copy(to, from, bytes, kind);
    return cudaGraphMemcpyNodeSetParams(node, &params);
}

extern "C" cudaError_t cudaGraphMemsetNodeSetParams(cudaGraphNode_t node, const cudaMemsetParams *params)
{
    return set_params(node, cudaGraphNodeTypeMemset, params);
}

extern "C" cudaError_t cudaGraphHostNodeSetParams(cudaGraphNode_t node, const cudaHostNodeParams *params)
{
    return set_params(node, cudaGraphNodeTypeHost, params);
}

extern "C" cudaError_t cudaGraphEventRecordNodeSetEvent(cudaGraphNode_t node, cudaEvent_t event)
{
    return set_params(node, cudaGraphNodeTypeEventRecord, &event);
}

extern "C" cudaError_t cudaGraphEventWaitNodeSetEvent(cudaGraphNode_t node, cudaEvent_t event)
{
    return set_params(node, cudaGraphNodeTypeWaitEvent, &event);
}

extern "C" cudaError_t cudaGraphNodeSetParams(cudaGraphNode_t node, cudaGraphNodeParams *params)
{
    if (!params)
        return set_params(node, cudaGraphNodeTypeCount, nullptr);
    return set_params(node, params->type, pk_own_params(params));
}

/* ---- the calls: edges and queries ---- */

/* As CUDA lists nodes: null asks for their number; else as many as fit, and null in what room is left. */
static void list_nodes(const struct pk_nodes *list, cudaGraphNode_t *nodes, size_t *n)
{
    if (nodes) {
        const size_t room = *n;
        for (size_t i = 0; i < room; ++i)
            nodes[i] = i < list->count ? list->at[i] : nullptr;
        if (room < list->count)
            return;
    }
    *n = list->count;
}

extern "C" cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *n)
{
    PK_ENTER();
    pk_lock();
    const bool valid = n && pk_graph_alive(graph);
    if (valid)
        list_nodes(&graph->nodes, nodes, n);
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaGraphGetRootNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *n)
{
    PK_ENTER();
    pk_lock();
    const bool valid = n && pk_graph_alive(graph);
    if (valid) {
        struct pk_nodes roots = {};
        for (size_t i = 0; i < graph->nodes.count; ++i)
            if (graph->nodes.at[i]->before.count == 0)
                pk_nodes_add(&roots, graph->nodes.at[i]);
        list_nodes(&roots, nodes, n);
        free(roots.at);
    }
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

static void plain_edges(cudaGraphEdgeData *edges, size_t n)
{
    if (edges)
        memset(edges, 0, n * sizeof(*edges));
}

extern "C" cudaError_t cudaGraphGetEdges(cudaGraph_t graph, cudaGraphNode_t *from, cudaGraphNode_t *to,
                                         cudaGraphEdgeData *edges, size_t *n)
{
    PK_ENTER();
    pk_lock();
    const bool valid = n && pk_graph_alive(graph) && !from == !to;
    if (valid) {
        struct pk_nodes begins = {}, ends = {};
        for (size_t i = 0; i < graph->nodes.count; ++i)
            for (size_t e = 0; e < graph->nodes.at[i]->after.count; ++e) {
                pk_nodes_add(&begins, graph->nodes.at[i]);
                pk_nodes_add(&ends, graph->nodes.at[i]->after.at[e]);
            }
        if (from)
            plain_edges(edges, *n);
        size_t count = *n;
        list_nodes(&begins, from, &count);
        list_nodes(&ends, to, n);
        free(begins.at);
        free(ends.at);
    }
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

/* One of the node's two lists: `CUgraphNode_st::before` or `after`. */
static cudaError_t get_neighbours(cudaGraphNode_t node, struct pk_nodes CUgraphNode_st::*list, cudaGraphNode_t *nodes,
                                  cudaGraphEdgeData *edges, size_t *n)
{
    PK_ENTER();
    pk_lock();
    const bool valid = n && node_alive(node);
    if (valid) {
        if (nodes)
            plain_edges(edges, *n);
        list_nodes(&(node->*list), nodes, n);
    }
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t *nodes,
                                                    cudaGraphEdgeData *edges, size_t *n)
{
    return get_neighbours(node, &CUgraphNode_st::before, nodes, edges, n);
}

extern "C" cudaError_t cudaGraphNodeGetDependentNodes(cudaGraphNode_t node, cudaGraphNode_t *nodes,
                                                      cudaGraphEdgeData *edges, size_t *n)
{
    return get_neighbours(node, &CUgraphNode_st::after, nodes, edges, n);
}

/* All edges are checked before the first is changed: each must be there, or none. */
static cudaError_t check_edges(cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to, size_t n,
                               bool there)
{
    if (!pk_graph_alive(graph) || (n && (!from || !to)))
        return cudaErrorInvalidValue;
    for (size_t i = 0; i < n; ++i) {
        if (!node_alive(from[i]) || !node_alive(to[i]) || from[i]->graph != graph || to[i]->graph != graph ||
            from[i] == to[i] || pk_nodes_has(&to[i]->before, from[i]) != there)
            return cudaErrorInvalidValue;
        for (size_t j = 0; j < i; ++j)
            if (from[i] == from[j] && to[i] == to[j])
                return cudaErrorInvalidValue;
    }
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t *from,
                                                const cudaGraphNode_t *to, const cudaGraphEdgeData *, size_t n)
{
    PK_ENTER();
    pk_lock();
    const cudaError_t error = check_edges(graph, from, to, n, false);
    for (size_t i = 0; !error && i < n; ++i)
        connect(from[i], to[i]);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphRemoveDependencies(cudaGraph_t graph, const cudaGraphNode_t *from,
                                                   const cudaGraphNode_t *to, const cudaGraphEdgeData *, size_t n)
{
    PK_ENTER();
    pk_lock();
    const cudaError_t error = check_edges(graph, from, to, n, true);
    for (size_t i = 0; !error && i < n; ++i) {
        nodes_remove(&from[i]->after, to[i]);
        nodes_remove(&to[i]->before, from[i]);
    }
    pk_unlock();
    return pk_fail_with(error);
}

/* ---- the DOT dump ---- */

static void print_label(FILE *file, const struct CUgraphNode_st *node)
{
    static const char *const words[] = {"kernel", "memcpy", "memset", "host", "graph", "empty", "wait", "record"};
    const struct pk_op *work = node->work;
    if (node->type == cudaGraphNodeTypeKernel)
        fprintf(file, "%s\\n<<<(%u,%u,%u),(%u,%u,%u),%zu>>>", work->as.kernel.code->name, work->as.kernel.grid.x,
                work->as.kernel.grid.y, work->as.kernel.grid.z, work->as.kernel.block.x, work->as.kernel.block.y,
                work->as.kernel.block.z, work->as.kernel.shared_bytes);
    else if (node->type == cudaGraphNodeTypeMemcpy)
        fprintf(file, "memcpy\\n%zu x %zu x %zu bytes", work->as.copy.width, work->as.copy.height, work->as.copy.depth);
    else if (node->type == cudaGraphNodeTypeMemset)
        fprintf(file, "memset\\n%zu x %zu of %u bytes to %#x", work->as.fill.width, work->as.fill.height,
                work->as.fill.element_bytes, work->as.fill.value);
    else if (node->type == cudaGraphNodeTypeConditional)
        fprintf(file, "%s",
                work->as.graph.how == PK_GRAPH_WHILE ? "while"
                : work->as.graph.how == PK_GRAPH_IF  ? "if"
                                                     : "switch");
    else
        fprintf(file, "%s", words[node->type]);
}

static void print_graph(FILE *file, const struct CUgraph_st *graph, const char *name)
{
    for (size_t i = 0; i < graph->nodes.count; ++i) {
        const struct CUgraphNode_st *node = graph->nodes.at[i];
        fprintf(file, "\"%s_%zu\" [shape=\"rectangle\", label=\"%zu ", name, i, i);
        print_label(file, node);
        fprintf(file, "\"];\n");
        for (size_t e = 0; e < node->after.count; ++e)
            fprintf(file, "\"%s_%zu\" -> \"%s_%zu\";\n", name, i, name, node->after.at[e]->index);
        for (int c = 0; c < node->n_children; ++c) {
            char inner[256];
            snprintf(inner, sizeof(inner), "%s_%zu_%d", name, i, c);
            fprintf(file, "subgraph \"cluster_%s\" {\nlabel=\"of node %zu\";\n", inner, i);
            print_graph(file, node->children[c], inner);
            fprintf(file, "}\n");
        }
    }
}

extern "C" cudaError_t cudaGraphDebugDotPrint(cudaGraph_t graph, const char *path, unsigned)
{
    PK_ENTER();
    FILE *file = path ? fopen(path, "we") : nullptr;
    pk_lock();
    const bool valid = file && pk_graph_alive(graph);
    if (valid) {
        fprintf(file, "digraph dot {\n");
        print_graph(file, graph, "graph");
        fprintf(file, "}\n");
    }
    pk_unlock();
    const bool written = file && fclose(file) == 0;
    return pk_fail_with(valid && written ? cudaSuccess
                        : path && !file  ? cudaErrorOperatingSystem
                                         : cudaErrorInvalidValue);
}
