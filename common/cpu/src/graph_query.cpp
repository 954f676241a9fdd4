/* The calls that list a graph's nodes and edges, change its edges, and print it. */
#include "graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "ordered.h"

/* ---- edges and queries ---- */

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
    const bool valid = n && pk_node_alive(node);
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
    PK_CALL();
    return get_neighbours(node, &CUgraphNode_st::before, nodes, edges, n);
}

extern "C" cudaError_t cudaGraphNodeGetDependentNodes(cudaGraphNode_t node, cudaGraphNode_t *nodes,
                                                      cudaGraphEdgeData *edges, size_t *n)
{
    PK_CALL();
    return get_neighbours(node, &CUgraphNode_st::after, nodes, edges, n);
}

/* All edges are checked before the first is changed: each must be there, or none. */
static cudaError_t check_edges(cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to, size_t n,
                               bool there)
{
    if (!pk_graph_alive(graph) || (n && (!from || !to)))
        return cudaErrorInvalidValue;
    for (size_t i = 0; i < n; ++i) {
        if (!pk_node_alive(from[i]) || !pk_node_alive(to[i]) || from[i]->graph != graph || to[i]->graph != graph ||
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
        pk_nodes_connect(from[i], to[i]);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaGraphRemoveDependencies(cudaGraph_t graph, const cudaGraphNode_t *from,
                                                   const cudaGraphNode_t *to, const cudaGraphEdgeData *, size_t n)
{
    PK_ENTER();
    pk_lock();
    cudaError_t error = check_edges(graph, from, to, n, true);
    if (!error && n && pk_graph_has_memory(graph))
        error = cudaErrorInvalidValue;
    for (size_t i = 0; !error && i < n; ++i) {
        pk_nodes_remove(&from[i]->after, to[i]);
        pk_nodes_remove(&to[i]->before, from[i]);
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
        fprintf(file, "%s\\n<<<(%u,%u,%u),(%u,%u,%u),%zu>>>", work->as.kernel.grid.code->name,
                work->as.kernel.grid.size.x, work->as.kernel.grid.size.y, work->as.kernel.grid.size.z,
                work->as.kernel.grid.block.x, work->as.kernel.grid.block.y, work->as.kernel.grid.block.z,
                work->as.kernel.grid.shared_bytes);
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
    else if (node->type == cudaGraphNodeTypeMemAlloc || node->type == cudaGraphNodeTypeMemFree)
        fprintf(file, "%s\\n%zu bytes at %p", node->type == cudaGraphNodeTypeMemAlloc ? "allocate" : "free",
                work->as.memory->bytes, work->as.memory->base);
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
