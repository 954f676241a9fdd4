/* Lab 04: the nodes of a captured step whose argument says where the step stands, given. */
#ifndef LAB04_NODES_CUH
#define LAB04_NODES_CUH

#include <string.h>

#include "lab04_loops.cuh"

enum { LAB04_ARGUMENT_BYTES = 256 }; /* the largest argument of the decoder's kernels fits */

typedef struct lab04_node {
    cudaGraphNode_t node;
    cudaKernelNodeParams params; /* as captured, with its one argument in `argument` */
    void *arguments[1];
    union {
        pk_decode_at at; /* what the argument begins with */
        unsigned char bytes[LAB04_ARGUMENT_BYTES];
    } argument;
} lab04_node;

typedef struct lab04_nodes { /* of one graph; to be freed with free */
    size_t count;
    lab04_node node[];
} lab04_nodes;

/* The kernel nodes of `graph` that depend on where the step stands, with copies of their arguments: 3 a layer and two
 * more in the unfused form, of 15 a layer and four. */
static inline pk_status lab04_find_nodes(cudaGraph_t graph, lab04_nodes **found)
{
    size_t count = 0;
    PK_CHECK(cudaGraphGetNodes(graph, NULL, &count));
    cudaGraphNode_t *const all = (cudaGraphNode_t *)malloc((count + 1) * sizeof *all);
    lab04_nodes *const nodes = (lab04_nodes *)calloc(1, sizeof *nodes + count * sizeof nodes->node[0]);
    cudaError_t error = all && nodes ? cudaGraphGetNodes(graph, all, &count) : cudaErrorMemoryAllocation;
    for (size_t i = 0; i < count && error == cudaSuccess; i++) {
        lab04_node *const n = &nodes->node[nodes->count];
        size_t bytes = 0;
        error = cudaGraphKernelNodeGetParams(all[i], &n->params);
        if (error != cudaSuccess || !pk_decode_kernel_moves(n->params.func, n->params.kernelParams[0], &bytes))
            continue;
        if (bytes > sizeof n->argument)
            error = cudaErrorInvalidValue;
        n->node = all[i];
        memcpy(n->argument.bytes, n->params.kernelParams[0], bytes);
        n->arguments[0] = n->argument.bytes;
        n->params.kernelParams = n->arguments;
        nodes->count++;
    }
    free(all);
    *found = nodes;
    if (error != cudaSuccess)
        free(nodes);
    PK_CHECK(error);
    return PK_OK;
}

#if defined(LAB04_HAS_DEVICE_GRAPHS)
/* The same nodes made ones that kernels may update, before the graph is instantiated: g->nodes, and their handles for
 * kernels, [count], in device memory g->device. Such a graph is instantiated once, and not updated as a whole. Source:
 * CUDA Runtime API, cudaLaunchAttributeDeviceUpdatableKernelNode. */
static inline pk_status lab04_find_device_nodes(lab04_graph *g)
{
    PK_TRY(lab04_find_nodes(g->graph, &g->nodes));
    const size_t count = g->nodes->count, bytes = count * sizeof(cudaGraphDeviceNode_t);
    cudaGraphDeviceNode_t *const handles = (cudaGraphDeviceNode_t *)calloc(count + 1, sizeof *handles);
    cudaError_t error = handles ? cudaSuccess : cudaErrorMemoryAllocation;
    for (size_t i = 0; i < count && error == cudaSuccess; i++) {
        cudaLaunchAttributeValue value;
        memset(&value, 0, sizeof value);
        value.deviceUpdatableKernelNode.deviceUpdatable = 1;
        error = cudaGraphKernelNodeSetAttribute(g->nodes->node[i].node, cudaLaunchAttributeDeviceUpdatableKernelNode,
                                                &value);
        if (error == cudaSuccess)
            error = cudaGraphKernelNodeGetAttribute(g->nodes->node[i].node,
                                                    cudaLaunchAttributeDeviceUpdatableKernelNode, &value);
        handles[i] = value.deviceUpdatableKernelNode.devNode;
    }
    pk_status status = PK_OK;
    if (error == cudaSuccess)
        status = pk_device_alloc(&g->device, bytes + 1);
    if (error == cudaSuccess && status == PK_OK)
        error = cudaMemcpy(g->device, handles, bytes, cudaMemcpyHostToDevice);
    free(handles);
    PK_CHECK(error);
    return status;
}
#endif

#endif
