/* Lab 04: the nodes of a captured step whose argument says where the step stands, given. */
#ifndef LAB04_NODES_CUH
#define LAB04_NODES_CUH

#include <string.h>

#include "lab04_step.cuh"

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

#endif
