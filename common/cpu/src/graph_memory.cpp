/* Memory nodes: memory that a graph allocates, and frees itself or leaves to the program. The allocation belongs to its
 * node from the node's making on, so its address is the same in every launch. Source of the rules: CUDA Runtime API,
 * cudaGraphAddMemAllocNode, cudaGraphAddMemFreeNode, cudaGraphLaunch; CUDA C++ Programming Guide, "Graph Memory Nodes".
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "ordered.h"

bool pk_graph_has_memory(const struct CUgraph_st *graph)
{
    for (size_t i = 0; i < graph->nodes.count; ++i)
        if (graph->nodes.at[i]->type == cudaGraphNodeTypeMemAlloc ||
            graph->nodes.at[i]->type == cudaGraphNodeTypeMemFree)
            return true;
    return false;
}

static bool is_this_device(const cudaMemLocation *location)
{
    return location->type == cudaMemLocationTypeDevice && location->id == 0;
}

static bool valid_params(const cudaMemAllocNodeParams *params)
{
    return params && params->bytesize > 0 && params->poolProps.allocType == cudaMemAllocationTypePinned &&
           params->poolProps.handleTypes == cudaMemHandleTypeNone && is_this_device(&params->poolProps.location) &&
           (params->accessDescCount == 0 ||
            (params->accessDescCount == 1 && params->accessDescs && is_this_device(&params->accessDescs->location)));
}

cudaError_t pk_work_of_allocation(struct pk_op **op, struct CUgraph_st *graph, cudaMemAllocNodeParams *params,
                                  const void *caller)
{
    *op = nullptr;
    if (!valid_params(params))
        return cudaErrorInvalidValue;
    if (graph->owner) /* a child graph or a body: what it allocates would be another graph's */
        return cudaErrorNotSupported;
    struct pk_ordered *memory = pk_ordered_new(params->bytesize, &pk_graph_sizes, caller);
    if (!memory)
        return cudaErrorMemoryAllocation;
    memory->graph = graph->id;
    memory->properties = params->poolProps;
    memory->n_access = params->accessDescCount;
    if (memory->n_access)
        memory->access = *params->accessDescs;
    params->dptr = memory->base;
    *op = pk_ordered_op(PK_OP_ALLOCATE, memory);
    pk_ordered_release(memory);
    return cudaSuccess;
}

cudaError_t pk_work_of_free(struct pk_op **op, const struct CUgraph_st *graph, const void *address)
{
    struct pk_ordered *memory = pk_ordered_at(address);
    *op = nullptr;
    if (!memory || !memory->graph || memory->freed_here)
        return cudaErrorInvalidValue;
    if (graph->owner)
        return cudaErrorNotSupported;
    if (memory->graph == graph->id) {
        if (memory->freed_elsewhere)
            return cudaErrorInvalidValue;
        memory->freed_here = true;
    } else {
        for (size_t i = 0; i < graph->nodes.count; ++i)
            if (graph->nodes.at[i]->type == cudaGraphNodeTypeMemFree && graph->nodes.at[i]->work->as.memory == memory)
                return cudaErrorInvalidValue;
        memory->freed_elsewhere = true;
    }
    *op = pk_ordered_op(PK_OP_FREE, memory);
    return cudaSuccess;
}

static cudaError_t add_node(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before, size_t n,
                            cudaMemAllocNodeParams *allocation, const void *freed, const void *caller)
{
    PK_ENTER();
    struct pk_op *work = nullptr;
    pk_lock();
    cudaError_t error = pk_check_place(node, graph, before, n);
    if (!error)
        error = freed ? pk_work_of_free(&work, graph, freed) : pk_work_of_allocation(&work, graph, allocation, caller);
    if (!error)
        *node = pk_graph_add(graph, freed ? cudaGraphNodeTypeMemFree : cudaGraphNodeTypeMemAlloc, work, before, n);
    pk_op_release(work);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphAddMemAllocNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                                size_t n, cudaMemAllocNodeParams *params)
{
    PK_CALL();
    return add_node(node, graph, before, n, params, nullptr, __builtin_return_address(0));
}

extern "C" cudaError_t cudaGraphAddMemFreeNode(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before,
                                               size_t n, void *address)
{
    PK_CALL();
    return address ? add_node(node, graph, before, n, nullptr, address, nullptr) : pk_fail_with(cudaErrorInvalidValue);
}

/* The memory of a node of this type, or null. */
static struct pk_ordered *memory_of(cudaGraphNode_t node, cudaGraphNodeType type)
{
    return pk_node_alive(node) && node->type == type ? node->work->as.memory : nullptr;
}

extern "C" cudaError_t cudaGraphMemAllocNodeGetParams(cudaGraphNode_t node, cudaMemAllocNodeParams *params)
{
    PK_ENTER();
    pk_lock();
    const struct pk_ordered *memory = params ? memory_of(node, cudaGraphNodeTypeMemAlloc) : nullptr;
    if (memory)
        *params = {memory->properties, memory->n_access ? &memory->access : nullptr, memory->n_access, memory->bytes,
                   memory->base};
    pk_unlock();
    return pk_fail_with(memory ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaGraphMemFreeNodeGetParams(cudaGraphNode_t node, void *address)
{
    PK_ENTER();
    pk_lock();
    const struct pk_ordered *memory = address ? memory_of(node, cudaGraphNodeTypeMemFree) : nullptr;
    if (memory)
        *(void **)address = memory->base;
    pk_unlock();
    return pk_fail_with(memory ? cudaSuccess : cudaErrorInvalidValue);
}

/* ---- launches ---- */

/* What the node can have of the memory that nodes before it have freed: up to `wanted` of `offered`, by the index of
 * the node that freed it, which is less from then on. */
static uint64_t take_offered(struct CUgraphNode_st *node, uint64_t *offered, bool *seen, uint64_t wanted)
{
    const size_t n = node->graph->nodes.count;
    struct pk_nodes reached = {};
    uint64_t taken = 0;
    memset(seen, 0, n * sizeof(*seen));
    pk_nodes_add(&reached, node);
    for (size_t i = 0; i < reached.count && taken < wanted; ++i) {
        const struct CUgraphNode_st *at = reached.at[i];
        const uint64_t part = offered[at->index] < wanted - taken ? offered[at->index] : wanted - taken;
        offered[at->index] -= part;
        taken += part;
        for (size_t e = 0; e < at->before.count; ++e) {
            struct CUgraphNode_st *before = at->before.at[e];
            if (!seen[before->index])
                pk_nodes_add(&reached, before);
            seen[before->index] = true;
        }
    }
    free(reached.at);
    return taken;
}

/* An allocation gets the pages of one that was freed before it by the order of the graph, not by the chance of a run;
 * they need not be beside each other. */
uint64_t pk_graph_footprint(const struct CUgraph_st *snapshot)
{
    const size_t n = snapshot->nodes.count;
    struct pk_nodes sorted = pk_graph_sorted(snapshot);
    uint64_t *offered = (uint64_t *)calloc(n + 1, sizeof(*offered)), footprint = 0;
    bool *seen = (bool *)calloc(n + 1, sizeof(*seen));
    if (!offered || !seen)
        pk_records_do_not_fit();
    for (size_t i = 0; i < sorted.count; ++i) {
        struct CUgraphNode_st *node = sorted.at[i];
        const struct pk_ordered *memory = node->work->as.memory;
        if (node->type == cudaGraphNodeTypeMemAlloc)
            footprint += memory->bytes - take_offered(node, offered, seen, memory->bytes);
        else if (node->type == cudaGraphNodeTypeMemFree && memory->freed_here)
            offered[node->index] = memory->bytes;
    }
    free(sorted.at);
    free(offered);
    free(seen);
    return footprint;
}

/* First what is refused, so that a refused launch has changed nothing. `most`: what graphs use while it runs. */
static cudaError_t may_launch(const struct CUgraph_st *snapshot, uint64_t footprint, bool auto_free, uint64_t *most)
{
    uint64_t wanted = pk_graph_sizes.used + footprint;
    for (size_t i = 0; i < snapshot->nodes.count; ++i) {
        const struct CUgraphNode_st *node = snapshot->nodes.at[i];
        const struct pk_ordered *memory = node->work->as.memory;
        if (node->type == cudaGraphNodeTypeMemAlloc && memory->live && !auto_free)
            return cudaErrorInvalidValue;
        if (node->type == cudaGraphNodeTypeMemFree && memory->freed_elsewhere && !memory->live)
            return cudaErrorInvalidValue;
        if (node->type == cudaGraphNodeTypeMemAlloc && memory->live)
            wanted -= memory->bytes;
    }
    *most = wanted > pk_graph_sizes.used_high ? wanted : pk_graph_sizes.used_high;
    return wanted <= pk_graph_sizes.reserved || pk_ordered_reserve(&pk_graph_sizes, wanted) ? cudaSuccess
                                                                                            : cudaErrorMemoryAllocation;
}

cudaError_t pk_graph_memory_launch(const struct CUgraph_st *snapshot, uint64_t footprint, bool auto_free)
{
    uint64_t most = 0;
    const cudaError_t error = may_launch(snapshot, footprint, auto_free, &most);
    if (error)
        return error;
    for (size_t i = 0; i < snapshot->nodes.count; ++i) {
        const struct CUgraphNode_st *node = snapshot->nodes.at[i];
        if (node->type == cudaGraphNodeTypeMemAlloc)
            pk_ordered_set_live(node->work->as.memory, true);
    }
    for (size_t i = 0; i < snapshot->nodes.count; ++i) {
        const struct CUgraphNode_st *node = snapshot->nodes.at[i];
        if (node->type == cudaGraphNodeTypeMemFree)
            pk_ordered_set_live(node->work->as.memory, false);
    }
    pk_graph_sizes.used_high = most; /* not all was live at once, as it was here between the loops */
    return cudaSuccess;
}

/* ---- the device's memory for graphs ---- */

extern "C" cudaError_t cudaDeviceGraphMemTrim(int device)
{
    PK_ENTER();
    if (device != 0)
        return pk_fail_with(cudaErrorInvalidDevice);
    pk_lock();
    pk_ordered_trim_graphs();
    pk_unlock();
    return cudaSuccess;
}

static cudaError_t check_attribute(int device, cudaGraphMemAttributeType attribute, const void *value)
{
    if (device != 0)
        return cudaErrorInvalidDevice;
    return value && (unsigned)attribute <= cudaGraphMemAttrReservedMemHigh ? cudaSuccess : cudaErrorInvalidValue;
}

extern "C" cudaError_t cudaDeviceGetGraphMemAttribute(int device, cudaGraphMemAttributeType attribute, void *value)
{
    PK_ENTER();
    const cudaError_t error = check_attribute(device, attribute, value);
    if (error)
        return pk_fail_with(error);
    pk_lock();
    const uint64_t values[] = {pk_graph_sizes.used, pk_graph_sizes.used_high, pk_graph_sizes.reserved,
                               pk_graph_sizes.reserved_high};
    *(uint64_t *)value = values[attribute];
    pk_unlock();
    return cudaSuccess;
}

/* Only the high marks can be set, and only to zero: they begin anew at what there is now. */
extern "C" cudaError_t cudaDeviceSetGraphMemAttribute(int device, cudaGraphMemAttributeType attribute, void *value)
{
    PK_ENTER();
    const cudaError_t error = check_attribute(device, attribute, value);
    const bool high = attribute == cudaGraphMemAttrUsedMemHigh || attribute == cudaGraphMemAttrReservedMemHigh;
    if (error || !high || *(const uint64_t *)value != 0)
        return pk_fail_with(error ? error : cudaErrorInvalidValue);
    pk_lock();
    if (attribute == cudaGraphMemAttrUsedMemHigh)
        pk_graph_sizes.used_high = pk_graph_sizes.used;
    else
        pk_graph_sizes.reserved_high = pk_graph_sizes.reserved;
    pk_unlock();
    return cudaSuccess;
}
