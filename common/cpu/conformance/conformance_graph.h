/* Graphs for the conformance programs: CUDA 13 added edge data to calls that CUDA 12 has without, and what a case
 * holds. */
#ifndef CONFORMANCE_GRAPH_H
#define CONFORMANCE_GRAPH_H

#include "conformance.h"

static inline void cf_destroy_graph(void *graph)
{
    (void)cudaGraphDestroy((cudaGraph_t)graph);
}

static inline void cf_destroy_exec(void *exec)
{
    (void)cudaGraphExecDestroy((cudaGraphExec_t)exec);
}

static inline pk_status cf_graph(cudaGraph_t *graph)
{
    PK_CHECK(cudaGraphCreate(graph, 0));
    return cf_hold(*graph, cf_destroy_graph);
}

static inline pk_status cf_end_capture(cudaStream_t stream, cudaGraph_t *graph)
{
    PK_CHECK(cudaStreamEndCapture(stream, graph));
    return cf_hold(*graph, cf_destroy_graph);
}

static inline pk_status cf_instantiate(cudaGraphExec_t *exec, cudaGraph_t graph)
{
    PK_CHECK(cudaGraphInstantiate(exec, graph, 0));
    return cf_hold(*exec, cf_destroy_exec);
}

static inline pk_status cf_run(cudaGraph_t graph)
{
    cudaGraphExec_t exec;
    PK_TRY(cf_instantiate(&exec, graph));
    PK_CHECK(cudaGraphLaunch(exec, 0));
    PK_CHECK(cudaStreamSynchronize(0));
    return PK_OK;
}

/* Declare and make; released at the end of the case. */
#define GRAPH(name)                                                                                                    \
    cudaGraph_t name = NULL;                                                                                           \
    PK_TRY(cf_graph(&name))
#define EXEC(name, graph)                                                                                              \
    cudaGraphExec_t name = NULL;                                                                                       \
    PK_TRY(cf_instantiate(&name, (graph)))
#define BEGIN_CAPTURE(stream) PK_CHECK(cudaStreamBeginCapture((stream), cudaStreamCaptureModeGlobal))
#define END_CAPTURE(stream, graph)                                                                                     \
    cudaGraph_t graph = NULL;                                                                                          \
    PK_TRY(cf_end_capture((stream), &graph))

static inline size_t cf_node_count(cudaGraph_t graph)
{
    size_t n = 0;
    (void)cudaGraphGetNodes(graph, NULL, &n);
    return n;
}

static inline size_t cf_root_count(cudaGraph_t graph)
{
    size_t n = 0;
    (void)cudaGraphGetRootNodes(graph, NULL, &n);
    return n;
}

static inline cudaError_t cf_edges(cudaGraph_t graph, cudaGraphNode_t *from, cudaGraphNode_t *to, size_t *n)
{
#if CUDART_VERSION >= 13000
    return cudaGraphGetEdges(graph, from, to, NULL, n);
#else
    return cudaGraphGetEdges(graph, from, to, n);
#endif
}

static inline size_t cf_edge_count(cudaGraph_t graph)
{
    size_t n = 0;
    (void)cf_edges(graph, NULL, NULL, &n);
    return n;
}

static inline cudaError_t cf_dependencies(cudaGraphNode_t node, cudaGraphNode_t *nodes, size_t *n)
{
#if CUDART_VERSION >= 13000
    return cudaGraphNodeGetDependencies(node, nodes, NULL, n);
#else
    return cudaGraphNodeGetDependencies(node, nodes, n);
#endif
}

static inline cudaError_t cf_dependents(cudaGraphNode_t node, cudaGraphNode_t *nodes, size_t *n)
{
#if CUDART_VERSION >= 13000
    return cudaGraphNodeGetDependentNodes(node, nodes, NULL, n);
#else
    return cudaGraphNodeGetDependentNodes(node, nodes, n);
#endif
}

static inline cudaError_t cf_add_edge(cudaGraph_t graph, cudaGraphNode_t from, cudaGraphNode_t to)
{
#if CUDART_VERSION >= 13000
    return cudaGraphAddDependencies(graph, &from, &to, NULL, 1);
#else
    return cudaGraphAddDependencies(graph, &from, &to, 1);
#endif
}

static inline cudaError_t cf_remove_edge(cudaGraph_t graph, cudaGraphNode_t from, cudaGraphNode_t to)
{
#if CUDART_VERSION >= 13000
    return cudaGraphRemoveDependencies(graph, &from, &to, NULL, 1);
#else
    return cudaGraphRemoveDependencies(graph, &from, &to, 1);
#endif
}

static inline cudaError_t cf_add_node(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *after, size_t n,
                                      cudaGraphNodeParams *params)
{
#if CUDART_VERSION >= 13000
    return cudaGraphAddNode(node, graph, after, NULL, n, params);
#else
    return cudaGraphAddNode(node, graph, after, n, params);
#endif
}

static inline cudaError_t cf_capture_info(cudaStream_t stream, cudaStreamCaptureStatus *status, unsigned long long *id,
                                          size_t *n_dependencies)
{
    const cudaGraphNode_t *dependencies;
#if CUDART_VERSION >= 13000
    return cudaStreamGetCaptureInfo(stream, status, id, NULL, &dependencies, NULL, n_dependencies);
#else
    return cudaStreamGetCaptureInfo_v2(stream, status, id, NULL, &dependencies, n_dependencies);
#endif
}

/* The graph that a capture builds, and the nodes that its stream's next one will come after. */
static inline cudaError_t cf_capture_tips(cudaStream_t stream, cudaGraph_t *graph, const cudaGraphNode_t **after,
                                          size_t *n)
{
    cudaStreamCaptureStatus status;
#if CUDART_VERSION >= 13000
    return cudaStreamGetCaptureInfo(stream, &status, NULL, graph, after, NULL, n);
#else
    return cudaStreamGetCaptureInfo_v2(stream, &status, NULL, graph, after, n);
#endif
}

static inline cudaError_t cf_set_capture_tip(cudaStream_t stream, cudaGraphNode_t *node)
{
#if CUDART_VERSION >= 13000
    return cudaStreamUpdateCaptureDependencies(stream, node, NULL, 1, cudaStreamSetCaptureDependencies);
#else
    return cudaStreamUpdateCaptureDependencies(stream, node, 1, cudaStreamSetCaptureDependencies);
#endif
}

static inline cudaStreamCaptureStatus cf_capture_status(cudaStream_t stream)
{
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    (void)cudaStreamIsCapturing(stream, &status);
    (void)cudaGetLastError();
    return status;
}

static inline cudaKernelNodeParams cf_kernel_params(void *function, void **arguments)
{
    cudaKernelNodeParams params = {};
    params.func = function;
    params.gridDim = dim3(1);
    params.blockDim = dim3(1);
    params.kernelParams = arguments;
    return params;
}

/* A node that runs cf_affine(x, a, b) after `after`, which may be null. */
static inline cudaError_t cf_add_affine(cudaGraphNode_t *node, cudaGraph_t graph, cudaGraphNode_t after, unsigned *x,
                                        unsigned a, unsigned b)
{
    void *arguments[] = {&x, &a, &b};
    const cudaKernelNodeParams params = cf_kernel_params(KERNEL(cf_affine), arguments);
    return cudaGraphAddKernelNode(node, graph, after ? &after : NULL, after ? 1 : 0, &params);
}

static inline int cf_count_type(cudaGraph_t graph, cudaGraphNodeType wanted)
{
    cudaGraphNode_t nodes[64];
    size_t n = 64;
    int count = 0;
    if (cudaGraphGetNodes(graph, nodes, &n) != cudaSuccess)
        return -1;
    for (size_t i = 0; i < n && i < 64; i++) {
        cudaGraphNodeType type;
        if (cudaGraphNodeGetType(nodes[i], &type) == cudaSuccess && type == wanted)
            count++;
    }
    return count;
}

#endif
