/* Memory that is allocated and freed in the order of the device's work, by graphs and in streams. Its address is known
 * at once and stays; whether it may be used is a matter of what has run. With pk_lock held where nothing else is said.
 */
#ifndef PK_CPU_ORDERED_H
#define PK_CPU_ORDERED_H

#include "op.h"

struct pk_ordered {
    void *base;
    size_t bytes;
    int references;       /* ops that allocate or free it, and the program while it is live */
    bool live;            /* allocated and not freed, by the calls that were made so far */
    bool present;         /* the same by the work that has run so far */
    uint64_t graph;       /* id of the graph whose node allocates it */
    bool freed_here;      /* that graph has a node that frees it */
    bool freed_elsewhere; /* another graph has one */
    cudaMemPoolProps properties;
    cudaMemAccessDesc access; /* of its node, if it names one */
    size_t n_access;
    struct pk_ordered *next, **link; /* in the list of all */
};

/* How much there is of it: used is what is present; reserved is kept for it until it is trimmed. */
struct pk_ordered_sizes {
    uint64_t used, used_high, reserved, reserved_high;
};

/* Address space for it, with one reference for the caller; null where there is none. */
struct pk_ordered *pk_ordered_new(size_t bytes, const void *caller);
void pk_ordered_release(struct pk_ordered *memory);
/* What begins at the address, or null. */
struct pk_ordered *pk_ordered_at(const void *address);
/* An op that allocates or frees it (PK_OP_ALLOCATE, PK_OP_FREE); holds it. */
struct pk_op *pk_ordered_op(enum pk_op_kind kind, struct pk_ordered *memory);
/* The program has it from now on, or has given it back. */
void pk_ordered_set_live(struct pk_ordered *memory, bool live);
/* Room for `bytes` beside all that is live. */
bool pk_ordered_make_room(size_t bytes);
/* Freed by a call that has waited for the device. False: it is not live. */
bool pk_ordered_free_now(struct pk_ordered *memory);
void pk_ordered_trim(void);
struct pk_ordered_sizes *pk_ordered_counts(void);

/* Without the lock, the device idle: the program has none of it any more. */
void pk_ordered_reset(void);

#endif
