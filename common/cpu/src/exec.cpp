/* Executable graphs: instantiation, launch, update. */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "error.h"

struct CUgraphExec_st {
    uint32_t magic;
    unsigned long long flags;
    struct CUgraph_st *snapshot;
    struct pk_image *image;
    bool stale; /* the snapshot has changed and the image has not: it was in use */
    /* With memory nodes: the graph that may not be instantiated again before this is destroyed. Handles of graphs are
     * used again, ids are not. */
    struct CUgraph_st *source;
    uint64_t source_id;
    uint64_t footprint; /* the memory that a launch takes */
    struct pk_op *last; /* the newest launch, or null: an exec never runs beside itself */
    struct CUgraphExec_st *next;
};

static struct CUgraphExec_st *free_execs;

static bool exec_alive(const struct CUgraphExec_st *exec)
{
    return exec && exec->magic == PK_EXEC_ALIVE;
}

/* ---- instantiation ---- */

/* A node on a cycle or after one, or null. */
static struct CUgraphNode_st *find_cycle(const struct CUgraph_st *graph)
{
    struct pk_nodes sorted = pk_graph_sorted(graph);
    struct CUgraphNode_st *stuck = nullptr;
    for (size_t i = 0; sorted.count < graph->nodes.count && !stuck; ++i)
        if (!pk_nodes_has(&sorted, graph->nodes.at[i]))
            stuck = graph->nodes.at[i];
    free(sorted.at);
    return stuck;
}

/* What a conditional's body may hold: the programming guide, "Conditional Node Body Graph Requirements". */
static bool fits_body(cudaGraphNodeType type)
{
    return type != cudaGraphNodeTypeHost && type != cudaGraphNodeTypeWaitEvent && type != cudaGraphNodeTypeEventRecord;
}

static cudaGraphInstantiateResult check_structure(const struct CUgraph_st *graph, cudaGraphNode_t *where)
{
    *where = find_cycle(graph);
    if (*where)
        return cudaGraphInstantiateInvalidStructure;
    for (size_t i = 0; i < graph->conditions.count; ++i)
        if (!graph->conditions.at[i].used)
            return cudaGraphInstantiateConditionalHandleUnused;
    for (size_t i = 0; i < graph->nodes.count; ++i) {
        *where = graph->nodes.at[i];
        if (graph->in_conditional && !fits_body((*where)->type))
            return cudaGraphInstantiateNodeOperationNotSupported;
        for (int c = 0; c < graph->nodes.at[i]->n_children; ++c) {
            const cudaGraphInstantiateResult result = check_structure(graph->nodes.at[i]->children[c], where);
            if (result != cudaGraphInstantiateSuccess)
                return result;
        }
    }
    *where = nullptr;
    return cudaGraphInstantiateSuccess;
}

extern "C" cudaError_t cudaGraphInstantiateWithParams(cudaGraphExec_t *handle, cudaGraph_t graph,
                                                      cudaGraphInstantiateParams *params)
{
    PK_ENTER();
    if (!handle || !params)
        return pk_fail_with(cudaErrorInvalidValue);
    const unsigned long long known = cudaGraphInstantiateFlagAutoFreeOnLaunch | cudaGraphInstantiateFlagUpload |
                                     cudaGraphInstantiateFlagUseNodePriority;
    params->errNode_out = nullptr;
    params->result_out = cudaGraphInstantiateError;
    if (params->flags & ~known)
        return pk_fail_with(cudaErrorNotSupported);
    pk_lock();
    cudaError_t error = pk_graph_alive(graph) ? cudaSuccess : cudaErrorInvalidValue;
    if (!error && graph->instantiated)
        error = cudaErrorNotSupported;
    if (!error) {
        params->result_out = check_structure(graph, &params->errNode_out);
        if (params->result_out != cudaGraphInstantiateSuccess)
            error = cudaErrorInvalidValue;
    }
    if (!error) {
        struct CUgraphExec_st *exec = free_execs;
        if (exec)
            free_execs = exec->next;
        else
            exec = (struct CUgraphExec_st *)malloc(sizeof(*exec));
        if (!exec)
            pk_records_do_not_fit();
        memset(exec, 0, sizeof(*exec));
        exec->magic = PK_EXEC_ALIVE;
        exec->flags = params->flags;
        exec->snapshot = pk_graph_copy(graph, nullptr);
        exec->image = pk_image_build(exec->snapshot);
        if (pk_graph_has_memory(graph)) {
            exec->source = graph;
            exec->source_id = graph->id;
            exec->footprint = pk_graph_footprint(exec->snapshot);
            graph->instantiated = true;
        }
        *handle = exec;
    }
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    cudaGraphInstantiateParams params = {};
    params.flags = flags;
    return cudaGraphInstantiateWithParams(exec, graph, &params);
}

extern "C" cudaError_t cudaGraphExecGetFlags(cudaGraphExec_t exec, unsigned long long *flags)
{
    PK_ENTER();
    pk_lock();
    const bool valid = flags && exec_alive(exec);
    if (valid)
        *flags = exec->flags;
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

/* Launches that have not ended hold what they run. */
extern "C" cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    PK_ENTER();
    pk_lock();
    const bool valid = exec_alive(exec);
    if (valid) {
        if (exec->source && exec->source->id == exec->source_id)
            exec->source->instantiated = false;
        pk_graph_free(exec->snapshot);
        pk_image_release(exec->image);
        pk_op_release(exec->last);
        memset(exec, 0, sizeof(*exec));
        exec->next = free_execs;
        free_execs = exec;
    }
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

/* ---- launch ---- */

static void refresh_image(struct CUgraphExec_st *exec)
{
    if (!exec->stale)
        return;
    pk_image_release(exec->image);
    exec->image = pk_image_build(exec->snapshot);
    exec->stale = false;
}

/* Nothing has to move here; what was changed is made ready. */
extern "C" cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t handle)
{
    PK_ENTER();
    pk_lock();
    const bool valid = exec_alive(exec), stream_valid = pk_stream_of(handle) != nullptr;
    if (valid && stream_valid)
        refresh_image(exec);
    pk_unlock();
    return pk_fail_with(!stream_valid ? cudaErrorInvalidResourceHandle : valid ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle)
{
    PK_ENTER();
    pk_lock();
    cudaError_t error = exec_alive(exec) ? cudaSuccess : cudaErrorInvalidValue;
    if (!error && pk_capturing(handle)) /* CUDA records no launch of an exec; a graph is added as a child node */
        error = pk_capture_allows_wait(pk_stream_of(handle));
    if (!error && exec->source) { /* first all that could refuse the launch: from then on its memory is live */
        struct CUgraph_st *captured;
        error = pk_capture_graph(handle, &captured);
        if (!error)
            error = pk_graph_memory_launch(exec->snapshot, exec->footprint,
                                           exec->flags & cudaGraphInstantiateFlagAutoFreeOnLaunch);
    }
    if (!error) {
        refresh_image(exec);
        struct pk_op *op = pk_image_launch(exec->image);
        pk_op_follow(op, exec->last);
        pk_op_release(exec->last);
        exec->last = op;
        error = pk_stream_put(op, handle);
    }
    pk_unlock();
    return pk_fail_with(error);
}

/* ---- update: launches from now on ---- */

/* The node of the snapshot has other work. */
static void renew(struct CUgraphExec_st *exec, struct CUgraphNode_st *node)
{
    if (node->n_children)
        return;
    if (exec->stale || exec->image->references > 1) {
        exec->stale = true; /* launches under way keep what they began with */
        return;
    }
    const int slot = node->live->as.event.slot;
    pk_op_drop_payload(node->live);
    if (!node->disabled)
        pk_op_copy_work(node->live, node->work);
    if (node->live->kind == PK_OP_RECORD || node->live->kind == PK_OP_WAIT)
        node->live->as.event.slot = slot;
}

/* The snapshot's copy of a node of the graph that the exec was made from, if it is of this type. */
static struct CUgraphNode_st *node_of(const struct CUgraphExec_st *exec, cudaGraphNode_t node, cudaGraphNodeType type)
{
    if (!exec_alive(exec) || !node || node->magic != PK_NODE_ALIVE)
        return nullptr;
    struct CUgraphNode_st *found = pk_graph_find_copy(exec->snapshot, node);
    return found && found->type == type ? found : nullptr;
}

static cudaError_t set_params(cudaGraphExec_t exec, cudaGraphNode_t node, cudaGraphNodeType type, const void *params)
{
    PK_ENTER();
    struct pk_op *work;
    pk_lock();
    cudaError_t error = pk_work_of(&work, type, params);
    struct CUgraphNode_st *found = node_of(exec, node, type);
    if (!error && !found)
        error = cudaErrorInvalidValue;
    if (!error && work) {
        pk_node_change(found, work);
        renew(exec, found);
    }
    pk_op_release(work);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                        const cudaKernelNodeParams *params)
{
    PK_CALL();
    return set_params(exec, node, cudaGraphNodeTypeKernel, params);
}

extern "C" cudaError_t cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                        const cudaMemcpy3DParms *params)
{
    PK_CALL();
    return set_params(exec, node, cudaGraphNodeTypeMemcpy, params);
}

extern "C" cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec, cudaGraphNode_t node, void *to,
                                                          const void *from, size_t bytes, cudaMemcpyKind kind)
{
    PK_CALL();
    const cudaMemcpy3DParms params = pk_flat_copy(to, from, bytes, kind);
    return cudaGraphExecMemcpyNodeSetParams(exec, node, &params);
}

extern "C" cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                        const cudaMemsetParams *params)
{
    PK_CALL();
    return set_params(exec, node, cudaGraphNodeTypeMemset, params);
}

extern "C" cudaError_t cudaGraphExecHostNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                      const cudaHostNodeParams *params)
{
    PK_CALL();
    return set_params(exec, node, cudaGraphNodeTypeHost, params);
}

extern "C" cudaError_t cudaGraphExecEventRecordNodeSetEvent(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                            cudaEvent_t event)
{
    PK_CALL();
    return set_params(exec, node, cudaGraphNodeTypeEventRecord, &event);
}

extern "C" cudaError_t cudaGraphExecEventWaitNodeSetEvent(cudaGraphExec_t exec, cudaGraphNode_t node, cudaEvent_t event)
{
    PK_CALL();
    return set_params(exec, node, cudaGraphNodeTypeWaitEvent, &event);
}

extern "C" cudaError_t cudaGraphExecNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                  cudaGraphNodeParams *params)
{
    PK_CALL();
    if (!params)
        return set_params(exec, node, cudaGraphNodeTypeCount, nullptr);
    if (params->type == cudaGraphNodeTypeGraph)
        return cudaGraphExecChildGraphNodeSetParams(exec, node, params->graph.graph);
    return set_params(exec, node, params->type, pk_own_params(params));
}

extern "C" cudaError_t cudaGraphNodeSetEnabled(cudaGraphExec_t exec, cudaGraphNode_t node, unsigned enabled)
{
    PK_ENTER();
    pk_lock();
    struct CUgraphNode_st *found = node && node->magic == PK_NODE_ALIVE ? node_of(exec, node, node->type) : nullptr;
    const bool valid = found && found->type <= cudaGraphNodeTypeMemset; /* kernel, memcpy and memset nodes only */
    if (valid && found->disabled != (enabled == 0)) {
        found->disabled = enabled == 0;
        renew(exec, found);
    }
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaGraphNodeGetEnabled(cudaGraphExec_t exec, cudaGraphNode_t node, unsigned *enabled)
{
    PK_ENTER();
    pk_lock();
    const struct CUgraphNode_st *found =
        enabled && node && node->magic == PK_NODE_ALIVE ? node_of(exec, node, node->type) : nullptr;
    if (found)
        *enabled = !found->disabled;
    pk_unlock();
    return pk_fail_with(found ? cudaSuccess : cudaErrorInvalidValue);
}

/* ---- update from a whole graph ---- */

/* Nodes are paired in the order in which they were made. */
static cudaGraphExecUpdateResult compare(const struct CUgraph_st *old, const struct CUgraph_st *graph,
                                         cudaGraphExecUpdateResultInfo *info)
{
    if (old->nodes.count != graph->nodes.count)
        return cudaGraphExecUpdateErrorTopologyChanged;
    for (size_t i = 0; i < old->nodes.count; ++i) {
        const struct CUgraphNode_st *a = old->nodes.at[i], *b = graph->nodes.at[i];
        info->errorNode = graph->nodes.at[i];
        if (a->type != b->type)
            return cudaGraphExecUpdateErrorNodeTypeChanged;
        if (a->type == cudaGraphNodeTypeMemAlloc || a->type == cudaGraphNodeTypeMemFree)
            return cudaGraphExecUpdateErrorNotSupported;
        bool same = a->before.count == b->before.count;
        for (size_t e = 0; same && e < b->before.count; ++e)
            same = pk_nodes_has(&a->before, old->nodes.at[b->before.at[e]->index]);
        if (!same)
            return cudaGraphExecUpdateErrorTopologyChanged;
        if (a->n_children != b->n_children ||
            (a->work->kind == PK_OP_GRAPH && a->work->as.graph.how != b->work->as.graph.how))
            return cudaGraphExecUpdateErrorParametersChanged;
        for (int c = 0; c < a->n_children; ++c) {
            const cudaGraphExecUpdateResult inner = compare(a->children[c], b->children[c], info);
            if (inner != cudaGraphExecUpdateSuccess)
                return inner;
        }
    }
    info->errorNode = nullptr;
    return cudaGraphExecUpdateSuccess;
}

static void take_over(struct CUgraphExec_st *exec, struct CUgraph_st *old, const struct CUgraph_st *graph)
{
    /* Handles are paired in the order in which they were made; default values are not updated. */
    for (size_t i = 0; i < old->conditions.count && i < graph->conditions.count; ++i) {
        old->conditions.at[i].handle = graph->conditions.at[i].handle;
        exec->stale = true;
    }
    for (size_t i = 0; i < old->nodes.count; ++i) {
        struct CUgraphNode_st *node = old->nodes.at[i];
        struct pk_op *work = pk_op_new(PK_OP_MARK);
        pk_op_copy_work(work, graph->nodes.at[i]->work);
        pk_node_set_work(node, work);
        pk_op_release(work);
        renew(exec, node);
        for (int c = 0; c < node->n_children; ++c)
            take_over(exec, node->children[c], graph->nodes.at[i]->children[c]);
    }
}

extern "C" cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *info)
{
    PK_ENTER();
    cudaGraphExecUpdateResultInfo own = {};
    if (!info)
        info = &own;
    *info = {};
    info->result = cudaGraphExecUpdateError;
    pk_lock();
    cudaError_t error = exec_alive(exec) && pk_graph_alive(graph) ? cudaSuccess : cudaErrorInvalidValue;
    if (!error) {
        info->result = compare(exec->snapshot, graph, info);
        if (info->result == cudaGraphExecUpdateSuccess)
            take_over(exec, exec->snapshot, graph);
        else
            error = cudaErrorGraphExecUpdateFailure;
    }
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphExecChildGraphNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                            cudaGraph_t child)
{
    PK_ENTER();
    cudaGraphExecUpdateResultInfo info = {};
    pk_lock();
    struct CUgraphNode_st *found = node_of(exec, node, cudaGraphNodeTypeGraph);
    const bool valid =
        found && pk_graph_alive(child) && compare(found->children[0], child, &info) == cudaGraphExecUpdateSuccess;
    if (valid)
        take_over(exec, found->children[0], child);
    pk_unlock();
    return pk_fail_with(valid ? cudaSuccess : cudaErrorInvalidValue);
}
