/* What nodes do: the op for a node of each type, of the parameters that its call takes. */
#include "graph.h"

#include "copy.h"
#include "kernel.h"

static cudaError_t pk_work_of_kernel(struct pk_op **op, const cudaKernelNodeParams *params)
{
    *op = nullptr;
    if (params->extra)
        return cudaErrorNotSupported;
    const pk_cpu_kernel *kernel = pk_kernel_at(params->func);
    if (!kernel && params->func)
        pk_kernel_unknown(params->func);
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
    case cudaGraphNodeTypeMemAlloc:
    case cudaGraphNodeTypeMemFree:
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
