/* All work is an `op` with the ops it must follow. A stream is only the chain of its ops; events and the default
 * stream's rules add edges. `pk_lock` guards everything here and on the floors above that is not marked otherwise. */
#ifndef PK_CPU_OP_H
#define PK_CPU_OP_H

#include "grid.h"

enum { PK_INLINE_PACKET_BYTES = 192 };

enum pk_op_kind {
    PK_OP_KERNEL,
    PK_OP_COPY,
    PK_OP_FILL,
    PK_OP_HOST,
    PK_OP_MARK,     /* does nothing but end */
    PK_OP_GRAPH,    /* runs other ops: a launch of a graph, a child graph, a conditional node */
    PK_OP_RECORD,   /* in a graph: records an event */
    PK_OP_WAIT,     /* in a graph: waits for what an event had recorded when the graph was launched */
    PK_OP_ALLOCATE, /* from here on `memory` may be used */
    PK_OP_FREE      /* and from here on not any more */
};
enum { PK_OP_PENDING, PK_OP_DONE, PK_OP_SLEPT_ON };

/* The ops that a graph op runs. */
enum pk_graph_how { PK_GRAPH_LAUNCH, PK_GRAPH_CHILD, PK_GRAPH_IF, PK_GRAPH_WHILE, PK_GRAPH_SWITCH };

struct pk_graph_op {
    enum pk_graph_how how;
    int n_bodies;
    struct pk_body **bodies;
    cudaGraphConditionalHandle handle; /* of IF, WHILE and SWITCH */
    struct pk_image *image;            /* LAUNCH: what is launched */
    struct pk_op **events;             /* LAUNCH: [image->n_events] what its event nodes complete or wait for */
};

struct pk_op {
    uint32_t state; /* PENDING, DONE or SLEPT_ON; a futex word. Stored with release, pairs with pk_op_wait's acquire */
    enum pk_op_kind kind;
    int references; /* the engine until it is done, its stream, events, waiters */
    int blockers;   /* ops that must be done before this one is ready */
    int priority;   /* of its stream: lower runs first */
    int n_after, max_after;
    struct pk_op **after; /* [n_after] ops that wait for this one */
    struct pk_op *next;   /* in the ready list, in a list of finished ops, or in the free list */
    uint64_t ended_ns;
    struct pk_body *body;  /* the graph that it is a part of and runs again with, or null */
    int indegree;          /* in `body`: what `blockers` begins with */
    struct pk_op *follows; /* the last that it was to follow, while that has not ended; in `body`, always */
    uint64_t node;         /* of the graph that was instantiated: its id, for the trace; or 0 */
    uint64_t call;         /* of the runtime that submitted it, by the trace's count; 0: none was on */
    uint64_t stream;       /* its number */
    uint64_t began_ns;     /* when an OS thread first worked on it, while a trace is on; else 0 */
    union {
        struct {
            struct pk_grid grid;
            uint64_t next_block;          /* relaxed fetch_add claims blocks; pk_lock orders the kernel's data */
            struct pk_returned *returned; /* blocks claimed and given back */
            uint64_t n_returned;          /* how many: written under the lock, read relaxed */
            int runners;                  /* OS threads that run its blocks */
            int most_runners; /* under PK_CPU_SCHEDULE=random: blocks that are resident at once; 0: all that fit */
            bool listed;      /* in the ready list */
            bool spread; /* its blocks wait for each other: give it every seat. Relaxed where read without the lock */
            bool alone;  /* its blocks use what has to be put back between them. Relaxed, as above */
            bool programmatic;    /* may begin when the kernel that it follows lets it: early.cpp */
            bool early;           /* this run has begun so */
            bool over;            /* all its blocks have ended; in an early one's case, before what it follows has */
            unsigned char *seats; /* [n_blocks] processors that a cooperative grid holds while it runs, or null */
        } kernel;
        struct {
            void *to;
            const void *from;
            size_t to_pitch, from_pitch, width, height;
            size_t depth, to_slice, from_slice; /* of `depth` planes, bytes apart */
            cudaMemcpyKind direction;
            void *staged; /* copy of pageable memory, freed at the end */
        } copy;
        struct {
            void *to;
            unsigned value, element_bytes;
            size_t pitch, width, height; /* width in elements */
        } fill;
        struct {
            cudaHostFn_t function;
            void *user_data;
        } host;
        struct pk_graph_op graph;
        struct {
            struct CUevent_st *event;
            int slot; /* in `events` of the launch */
        } event;
        struct pk_ordered *memory; /* held */
    } as;
    struct pk_op *after_inline[2];
    alignas(16) unsigned char packet_inline[PK_INLINE_PACKET_BYTES];
};

/* ---- engine.cpp ---- */

void pk_lock(void);
/* Also wakes the OS threads that the work added under the lock needs. */
void pk_unlock(void);

/* ---- op.cpp ---- */

/* What the device itself has to remember (an op, a node: some bytes) does not fit into memory: it cannot go on. Says so
 * and what to do, and ends the process as a device's fault does (exit code 3). */
void pk_records_do_not_fit(void) __attribute__((noreturn));

/* With the lock held: a new op, with one reference for the caller. */
struct pk_op *pk_op_new(enum pk_op_kind kind);
void pk_op_release(struct pk_op *op);
/* `later` must follow `earlier`, which may be null or done. */
void pk_op_follow(struct pk_op *later, struct pk_op *earlier);
/* The engine holds the op, which does not run yet: more that it follows may be added, until it is let go or its caller
 * ends it. One of both must happen. */
void pk_op_promise(struct pk_op *op);
/* An op that was promised runs when all it follows is done. */
void pk_op_let_go(struct pk_op *op);
/* Frees what the op's kind owns: before it becomes another kind. */
void pk_op_drop_payload(struct pk_op *op);
/* Run the kernel: all it follows is done, or it begins early. */
void pk_kernel_begin(struct pk_op *op, bool early);
/* For replay.cpp: all that `op` follows is done, so it runs; or, where nothing is to be done, joins the list of ops
 * that have ended. */
void pk_op_become_ready(struct pk_op *op, struct pk_op **finished);
/* A list of ops that have ended, and what that ends in turn. */
void pk_ops_end(struct pk_op *finished);
/* An op that has ended, with one reference for the caller. */
struct pk_op *pk_op_ended_now(void);
/* Without the lock: wait for the op. cudaSuccess or the device's fault. */
cudaError_t pk_op_wait(struct pk_op *op);
bool pk_op_done(const struct pk_op *op);

/* ---- runner.cpp, claim.cpp, seat.cpp ---- */

/* Threads as a processor counts them: a warp that is not full takes its place. */
unsigned pk_whole_warps(unsigned threads);
/* Blocks of this size that fit a processor; shared_bytes is static and dynamic memory together. */
int pk_blocks_per_sm(unsigned block_threads, size_t shared_bytes);

/* The kernel that the calling OS thread runs, or null. */
const struct pk_op *pk_running_kernel(void);
/* Blocks of a kernel that no OS thread has claimed. */
uint64_t pk_blocks_left(const struct pk_op *op);

/* ---- early.cpp: with the lock held ---- */

/* A kernel that `op` follows may let it begin: asked when all but that one has ended. */
void pk_early_try(struct pk_op *op);
/* All blocks of the kernel have ended. False: it began early, and ends when what it follows does. */
bool pk_early_over(struct pk_op *op);
/* All that an early kernel follows has ended. True: it was over before, and ends now. */
bool pk_early_catches_up(struct pk_op *op);

/* ---- asked of the floors above: ordered.cpp and replay.cpp have it ---- */

/* An ALLOCATE or FREE op is done, its memory let go of. */
void pk_ordered_run(struct pk_op *op);
void pk_ordered_release(struct pk_ordered *memory);

/* A GRAPH, RECORD or WAIT op may go on. */
void pk_graph_ready(struct pk_op *op, struct pk_op **finished);
/* Of the stream in which the op's graph was launched. */
int pk_body_priority(const struct pk_op *op);
/* The op that launched the op's graph, and the graph's id. */
const struct pk_op *pk_body_launch(const struct pk_op *op);
uint64_t pk_body_graph(const struct pk_op *op);
/* An op of a body has ended. */
void pk_body_op_ended(struct pk_op *op, struct pk_op **finished);
/* A launch has ended. */
void pk_graph_launch_ended(struct pk_op *op, struct pk_op **finished);

#endif
