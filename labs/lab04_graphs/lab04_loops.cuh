/* Lab 04: what graphs that loop on the device take besides a capture, given; in the spelling of each CUDA version. */
#ifndef LAB04_LOOPS_CUH
#define LAB04_LOOPS_CUH

#include "lab04_step.cuh"

#if defined(PK_BACKEND_CPU) || (defined(PK_BACKEND_CUDA) && CUDART_VERSION >= 12040)
#define LAB04_HAS_LOOP 1
#endif
#if defined(PK_BACKEND_CUDA) && CUDART_VERSION >= 12040
#define LAB04_HAS_DEVICE_GRAPHS 1
#endif

#if defined(LAB04_HAS_LOOP)
/* A graph of one node, a loop: `*body` is launched again and again while *loop is not 0. It is 1 at each launch of the
 * graph. Source: CUDA C++ Programming Guide, "Conditional While Nodes". */
static inline pk_status lab04_make_loop(cudaGraph_t *graph, cudaGraphConditionalHandle *loop, cudaGraph_t *body)
{
    cudaGraphNode_t node;
    cudaGraphNodeParams params = {};
    PK_CHECK(cudaGraphCreate(graph, 0));
    PK_CHECK(cudaGraphConditionalHandleCreate(loop, *graph, 1, cudaGraphCondAssignDefault));
    params.type = cudaGraphNodeTypeConditional;
    params.conditional.handle = *loop;
    params.conditional.type = cudaGraphCondTypeWhile;
    params.conditional.size = 1;
#if defined(PK_BACKEND_CUDA) && CUDART_VERSION < 13000
    PK_CHECK(cudaGraphAddNode(&node, *graph, NULL, 0, &params));
#else
    PK_CHECK(cudaGraphAddNode(&node, *graph, NULL, NULL, 0, &params));
#endif
    *body = params.conditional.phGraph_out[0];
    return PK_OK;
}
#endif

#endif
