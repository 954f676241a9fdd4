/* Graphs: nodes, edges, copies. */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

static uint64_t last_id, last_graph_id;

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
        pk_records_do_not_fit();
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

void pk_nodes_remove(struct pk_nodes *list, const struct CUgraphNode_st *node)
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

bool pk_node_alive(const struct CUgraphNode_st *node)
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
        pk_records_do_not_fit();
    memset(graph, 0, sizeof(*graph));
    graph->magic = PK_GRAPH_ALIVE;
    graph->id = ++last_graph_id;
    return graph;
}

void pk_node_free(struct CUgraphNode_st *node)
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
        pk_node_free(graph->nodes.at[i]);
    free(graph->nodes.at);
    free(graph->conditions.at);
    memset(graph, 0, sizeof(*graph));
    graph->next = free_graphs;
    free_graphs = graph;
}

void pk_nodes_connect(struct CUgraphNode_st *from, struct CUgraphNode_st *to)
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
    const pk_cpu_kernel *code = work->as.kernel.grid.code;
    free(node->arguments);
    node->arguments = (void **)calloc(code->n_params + 1, sizeof(*node->arguments));
    if (!node->arguments)
        pk_records_do_not_fit();
    for (unsigned i = 0; i < code->n_params; ++i)
        node->arguments[i] = work->as.kernel.grid.packet + code->offsets[i];
}

void pk_node_change(struct CUgraphNode_st *node, struct pk_op *work)
{
    if (node->type == cudaGraphNodeTypeKernel) { /* attributes of the node, not parameters */
        work->as.kernel.grid.cooperative = work->as.kernel.spread = node->work->as.kernel.grid.cooperative;
        work->as.kernel.programmatic = node->work->as.kernel.programmatic;
    }
    pk_node_set_work(node, work);
}

struct CUgraphNode_st *pk_graph_add(struct CUgraph_st *graph, cudaGraphNodeType type, struct pk_op *work,
                                    struct CUgraphNode_st *const *before, size_t n_before)
{
    struct CUgraphNode_st *node =
        free_nodes.count ? free_nodes.at[--free_nodes.count] : (struct CUgraphNode_st *)calloc(1, sizeof(*node));
    if (!node)
        pk_records_do_not_fit();
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
        pk_nodes_connect(before[i], node);
    return node;
}

void pk_node_give_child(struct CUgraphNode_st *node, struct CUgraph_st *child)
{
    node->children =
        (struct CUgraph_st **)realloc(node->children, (size_t)(node->n_children + 1) * sizeof(*node->children));
    if (!node->children)
        pk_records_do_not_fit();
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
    pk_node_give_child(node, pk_graph_copy(child, node));
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
            pk_node_give_child(twin, pk_graph_copy(node->children[c], twin));
    }
    for (size_t i = 0; i < graph->nodes.count; ++i)
        for (size_t e = 0; e < graph->nodes.at[i]->before.count; ++e)
            pk_nodes_connect(copy->nodes.at[graph->nodes.at[i]->before.at[e]->index], copy->nodes.at[i]);
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

/* Nodes that depend on nothing are taken away again and again (Kahn, "Topological sorting of large networks", 1962). */
struct pk_nodes pk_graph_sorted(const struct CUgraph_st *graph)
{
    struct pk_nodes sorted = {};
    size_t *left = (size_t *)malloc((graph->nodes.count + 1) * sizeof(*left));
    if (!left)
        pk_records_do_not_fit();
    for (size_t i = 0; i < graph->nodes.count; ++i) {
        left[i] = graph->nodes.at[i]->before.count;
        if (left[i] == 0)
            pk_nodes_add(&sorted, graph->nodes.at[i]);
    }
    for (size_t i = 0; i < sorted.count; ++i) {
        const struct pk_nodes *after = &sorted.at[i]->after;
        for (size_t e = 0; e < after->count; ++e)
            if (--left[after->at[e]->index] == 0)
                pk_nodes_add(&sorted, after->at[e]);
    }
    free(left);
    return sorted;
}
