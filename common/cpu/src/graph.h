/* Graphs inside the device: what graph*.cpp, exec.cpp, replay.cpp and capture.cpp share. pk_lock guards it all.
 *
 * A node holds an op that is never submitted: what the node does. Capture takes the op that a call made and hangs it
 * on a node. Instantiation clones the graph (the snapshot) and links copies of its ops into bodies (the image), one
 * for the graph and one for each child graph and conditional branch. */
#ifndef PK_CPU_GRAPH_INTERNAL_H
#define PK_CPU_GRAPH_INTERNAL_H

#include "stream.h"

enum : uint32_t { PK_GRAPH_ALIVE = 0x47524150, PK_NODE_ALIVE = 0x4e4f4445, PK_EXEC_ALIVE = 0x45584543 };

struct CUgraphNode_st {
    uint32_t magic;
    cudaGraphNodeType type;
    uint64_t id;     /* no two nodes ever have the same */
    uint64_t origin; /* id of the node that this one was cloned from, or 0 */
    struct CUgraph_st *graph;
    size_t index; /* in graph->nodes */
    struct pk_nodes before, after;
    struct pk_op *work;
    void **arguments;             /* [n_params] a kernel's parameters, in the packet of `work` */
    struct CUgraph_st **children; /* [n_children] the child graph, or the conditional's bodies */
    int n_children;
    bool disabled;      /* in a snapshot: cudaGraphNodeSetEnabled */
    struct pk_op *live; /* in a snapshot: the op of the exec's image */
};

/* The value that a conditional node reads. */
struct pk_condition {
    cudaGraphConditionalHandle handle;
    unsigned initial, flags;
    uint32_t value; /* in an image: relaxed, the kernels that set it end before the node reads it */
    bool used;      /* by a conditional node */
};

struct pk_conditions {
    struct pk_condition *at;
    size_t count, room;
};

struct CUgraph_st {
    uint32_t magic;
    uint64_t id;           /* no two graphs ever have the same */
    struct pk_nodes nodes; /* in the order of creation */
    struct pk_conditions conditions;
    struct CUgraphNode_st *owner; /* whose child or body it is, or null */
    bool in_conditional;          /* a conditional's body, or inside one */
    int captures;                 /* that record into it now */
    bool instantiated;            /* has memory nodes, and an exec: there may be one only */
    struct CUgraph_st *next;      /* in the list of free ones */
};

/* A graph's ops, linked to run again and again; only one run at a time. */
struct pk_body {
    struct pk_image *image;
    struct pk_op **ops; /* [n_ops] */
    int n_ops;
    struct pk_op **roots; /* [n_roots] */
    int n_roots;
    int left;            /* ops of this run that have not ended */
    struct pk_op *outer; /* what runs the body: a GRAPH op */
};

/* What an exec runs. Every launch that has not ended holds it, and while one does it is not changed. */
struct pk_image {
    int references;
    uint64_t graph_id;       /* of the snapshot */
    struct pk_body **bodies; /* all; the first is the whole graph */
    int n_bodies;
    struct pk_conditions conditions;
    struct pk_op **event_ops; /* [n_events] its event nodes, by slot */
    int n_events;
    struct pk_op *launch; /* that runs now */
};

/* ---- graph.cpp ---- */

void pk_nodes_add(struct pk_nodes *list, struct CUgraphNode_st *node);
bool pk_nodes_has(const struct pk_nodes *list, const struct CUgraphNode_st *node);
void pk_nodes_remove(struct pk_nodes *list, const struct CUgraphNode_st *node);
void pk_nodes_copy(struct pk_nodes *to, const struct pk_nodes *from);
void pk_conditions_add(struct pk_conditions *list, const struct pk_condition *condition);

bool pk_graph_alive(const struct CUgraph_st *graph);
bool pk_node_alive(const struct CUgraphNode_st *node);
struct CUgraph_st *pk_graph_new(void);
void pk_graph_free(struct CUgraph_st *graph);
/* A copy with its children; each node of it has the id of its original in `origin`. */
struct CUgraph_st *pk_graph_copy(const struct CUgraph_st *graph, struct CUgraphNode_st *owner);
/* A node that does `work` (held for it; null: nothing) after `before`. */
struct CUgraphNode_st *pk_graph_add(struct CUgraph_st *graph, cudaGraphNodeType type, struct pk_op *work,
                                    struct CUgraphNode_st *const *before, size_t n_before);
struct CUgraphNode_st *pk_graph_add_child(struct CUgraph_st *graph, const struct CUgraph_st *child,
                                          struct CUgraphNode_st *const *before, size_t n_before);
/* An edge. */
void pk_nodes_connect(struct CUgraphNode_st *from, struct CUgraphNode_st *to);
/* One more child graph, or body of a conditional, for the node, which owns it from now on. */
void pk_node_give_child(struct CUgraphNode_st *node, struct CUgraph_st *child);
/* The node, which no list holds any more. */
void pk_node_free(struct CUgraphNode_st *node);
/* The node does `work` (held for it) from now on. */
void pk_node_set_work(struct CUgraphNode_st *node, struct pk_op *work);
/* The same for a call that sets parameters: a kernel node keeps its attributes. */
void pk_node_change(struct CUgraphNode_st *node, struct pk_op *work);
/* The node of the copy whose origin is `original`, also in its children; or null. */
struct CUgraphNode_st *pk_graph_find_copy(const struct CUgraph_st *copy, const struct CUgraphNode_st *original);
bool pk_graph_has_conditional(const struct CUgraph_st *graph);
/* Its nodes, each after all that it depends on, in a list for the caller to free; without those on a cycle or after
 * one. */
struct pk_nodes pk_graph_sorted(const struct CUgraph_st *graph);

/* ---- graph_make.cpp ---- */

/* Whether a node may be added to the graph after these. */
cudaError_t pk_check_place(cudaGraphNode_t *node, cudaGraph_t graph, const cudaGraphNode_t *before, size_t n);

/* ---- graph_memory.cpp ---- */

/* Whether it has memory nodes: its nodes and edges stay, it cannot be copied, and has one exec at a time. */
bool pk_graph_has_memory(const struct CUgraph_st *graph);
/* A new op for a node of this graph that allocates, and tells the address in params->dptr; or that frees. */
cudaError_t pk_work_of_allocation(struct pk_op **op, struct CUgraph_st *graph, cudaMemAllocNodeParams *params,
                                  const void *caller);
cudaError_t pk_work_of_free(struct pk_op **op, const struct CUgraph_st *graph, const void *address);
/* The memory that a launch of the snapshot takes, at most at once. */
uint64_t pk_graph_footprint(const struct CUgraph_st *snapshot);
/* A launch of the snapshot allocates and frees; or why it may not. With `auto_free`, what an earlier launch has left is
 * freed first. */
cudaError_t pk_graph_memory_launch(const struct CUgraph_st *snapshot, uint64_t footprint, bool auto_free);

/* ---- graph_work.cpp ---- */

/* A new op for a node of this type, of the parameters that its own call takes: cudaKernelNodeParams,
 * cudaMemcpy3DParms, cudaMemsetParams, cudaHostNodeParams or cudaEvent_t; null is an error. An empty node has neither.
 * On an error *op is null. */
cudaError_t pk_work_of(struct pk_op **op, cudaGraphNodeType type, const void *params);
cudaError_t pk_work_of_event(struct pk_op **op, enum pk_op_kind kind, cudaEvent_t event);
/* Those parameters in what the calls for every type take; null for null. */
const void *pk_own_params(const cudaGraphNodeParams *params);
cudaMemcpy3DParms pk_flat_copy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind);

/* ---- replay.cpp ---- */

/* Make `to` do what `from` does; the packet is copied. */
void pk_op_copy_work(struct pk_op *to, const struct pk_op *from);
/* The snapshot's nodes get their op in `live`. */
struct pk_image *pk_image_build(struct CUgraph_st *snapshot);
void pk_image_release(struct pk_image *image);
/* A launch of the image as an op, which holds it. */
struct pk_op *pk_image_launch(struct pk_image *image);

#endif
