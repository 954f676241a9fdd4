/* Memory that is allocated and freed in the order of the device's work, by graphs and in streams. Its address is known
 * at once and stays; whether it may be used is a matter of what has run. With pk_lock held where nothing else is said.
 */
#ifndef PK_CPU_ORDERED_H
#define PK_CPU_ORDERED_H

#include "op.h"

/* How much there is, by the calls that were made so far: used is what is live; reserved is kept for it, and for what
 * comes after it, until it is trimmed. */
struct pk_ordered_sizes {
    uint64_t used, used_high, reserved, reserved_high;
};

struct pk_ordered {
    void *base;
    size_t bytes;
    int references;                  /* ops that allocate or free it, its pool, and the program while it is live */
    bool live;                       /* allocated and not freed, by the calls that were made so far */
    bool present;                    /* the same by the work that has run so far */
    struct pk_ordered_sizes *sizes;  /* that it counts in */
    struct pk_ordered *next, **link; /* in the list of all */

    /* From a pool. */
    struct CUmemPoolHandle_st *pool; /* null: a graph's */
    struct pk_ordered *next_kept;    /* freed, to be used again */
    struct pk_op *freed_by;          /* then: what frees it, or null where that is over */
    cudaStream_t freed_in;

    /* From a graph's node. */
    uint64_t graph;       /* the graph's id */
    bool freed_here;      /* that graph has a node that frees it */
    bool freed_elsewhere; /* another graph has one */
    cudaMemPoolProps properties;
    cudaMemAccessDesc access; /* if the node names one */
    size_t n_access;
};

/* Of all that graphs allocate. */
extern struct pk_ordered_sizes pk_graph_sizes;

/* Address space for it, with one reference for the caller; null where there is none. */
struct pk_ordered *pk_ordered_new(size_t bytes, struct pk_ordered_sizes *sizes, const void *caller);
void pk_ordered_release(struct pk_ordered *memory);
/* What begins at the address, or null. */
struct pk_ordered *pk_ordered_at(const void *address);
/* An op that allocates or frees it (PK_OP_ALLOCATE, PK_OP_FREE); holds it. */
struct pk_op *pk_ordered_op(enum pk_op_kind kind, struct pk_ordered *memory);
/* The program has it from now on, or has given it back. */
void pk_ordered_set_live(struct pk_ordered *memory, bool live);
/* More or less of the device's memory is kept for it. False: there is not so much more. */
bool pk_ordered_reserve(struct pk_ordered_sizes *sizes, uint64_t bytes);
/* Freed by a call that has waited for the device. False: it is not live. */
bool pk_ordered_free_now(struct pk_ordered *memory);
/* Nothing is reserved for graphs but what is live. */
void pk_ordered_trim_graphs(void);

/* Without the lock, the device idle: the program has none of it any more. */
void pk_ordered_reset(void);

/* ---- asked of the floor above: pool.cpp has it ---- */

/* Freed by work that ends with `op` (null: is over): its pool keeps it for the next. */
void pk_pool_take_back(struct pk_ordered *memory, struct pk_op *op, cudaStream_t stream);
/* Pools give back all that is free. */
void pk_pools_reset(void);

#endif
