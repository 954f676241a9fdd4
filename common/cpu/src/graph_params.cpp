/* The calls that get and set what a node does. */
#include "graph.h"

#include "error.h"

extern "C" cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType *type)
{
    PK_ENTER();
    pk_lock();
    const bool valid = type && pk_node_alive(node);
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
    if (!error && (!pk_node_alive(node) || node->type != type))
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
    if (result && pk_node_alive(node) && node->type == type)
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
    params->func = const_cast<void *>(from->work->as.kernel.grid.code->function);
    params->gridDim = from->work->as.kernel.grid.size;
    params->blockDim = from->work->as.kernel.grid.block;
    params->sharedMemBytes = (unsigned)from->work->as.kernel.grid.shared_bytes;
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
    PK_CALL();
    return get_event(node, cudaGraphNodeTypeEventRecord, event);
}

extern "C" cudaError_t cudaGraphEventWaitNodeGetEvent(cudaGraphNode_t node, cudaEvent_t *event)
{
    PK_CALL();
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
    PK_CALL();
    return set_params(node, cudaGraphNodeTypeKernel, params);
}

extern "C" cudaError_t cudaGraphMemcpyNodeSetParams(cudaGraphNode_t node, const cudaMemcpy3DParms *params)
{
    PK_CALL();
    return set_params(node, cudaGraphNodeTypeMemcpy, params);
}

extern "C" cudaError_t cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t node, void *to, const void *from, size_t bytes,
                                                      cudaMemcpyKind kind)
{
    PK_CALL();
    const cudaMemcpy3DParms params = pk_flat_copy(to, from, bytes, kind);
    return cudaGraphMemcpyNodeSetParams(node, &params);
}

extern "C" cudaError_t cudaGraphMemsetNodeSetParams(cudaGraphNode_t node, const cudaMemsetParams *params)
{
    PK_CALL();
    return set_params(node, cudaGraphNodeTypeMemset, params);
}

extern "C" cudaError_t cudaGraphHostNodeSetParams(cudaGraphNode_t node, const cudaHostNodeParams *params)
{
    PK_CALL();
    return set_params(node, cudaGraphNodeTypeHost, params);
}

extern "C" cudaError_t cudaGraphEventRecordNodeSetEvent(cudaGraphNode_t node, cudaEvent_t event)
{
    PK_CALL();
    return set_params(node, cudaGraphNodeTypeEventRecord, &event);
}

extern "C" cudaError_t cudaGraphEventWaitNodeSetEvent(cudaGraphNode_t node, cudaEvent_t event)
{
    PK_CALL();
    return set_params(node, cudaGraphNodeTypeWaitEvent, &event);
}

extern "C" cudaError_t cudaGraphNodeSetParams(cudaGraphNode_t node, cudaGraphNodeParams *params)
{
    PK_CALL();
    if (!params)
        return set_params(node, cudaGraphNodeTypeCount, nullptr);
    return set_params(node, params->type, pk_own_params(params));
}
