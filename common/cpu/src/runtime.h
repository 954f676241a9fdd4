/* The device's inside: what its parts share. Each part is one file:
 *   device.cpp   settings, properties, attributes, occupancy      error.cpp   error names, last error, faults
 *   memory.cpp   allocations, pointer kinds, copies, fills        stream.cpp  streams, events, host functions
 *   launch.cpp   kernel registry, launch checks                   engine.cpp  the order of work; the OS threads
 *   block.cpp    one block: its threads, barriers, schedule       fiber.cpp   stacks and switches
 *   warp.cpp     votes, shuffles, reductions                      async.cpp   copies that land later
 *   blocked.cpp  what blocks wait for                             symbols.cpp the program's symbols
 *   check.cpp    PK_CPU_CHECK                                     access.cpp  accesses of an instrumented build
 *   graph.cpp    graphs: nodes, edges, parameters                 capture.cpp streams that record a graph
 *   replay.cpp   executable graphs: how they run                  exec.cpp    executable graphs: the calls
 *
 * All work is an `op` with the ops it must follow. A stream is only the chain of its ops; events and the default
 * stream's rules add edges. `pk_lock` guards everything here that is not marked otherwise. */
#ifndef PK_CPU_RUNTIME_H
#define PK_CPU_RUNTIME_H

#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include <cuda_runtime.h>

/* ---- limits of the device, as CUDA gives them for compute capability 9.0 where there is no reason to differ ---- */
enum {
    PK_MAX_SMS = 64,
    PK_MAX_BLOCK_THREADS = 1024,
    PK_MAX_SM_THREADS = 2048,
    PK_MAX_SM_BLOCKS = 32,
    PK_MAX_PACKET_BYTES = 4096,
    PK_SHARED_BYTES = 48 * 1024,        /* without asking */
    PK_SHARED_OPTIN_BYTES = 227 * 1024, /* after cudaFuncSetAttribute */
    PK_SHARED_SM_BYTES = 228 * 1024,
    PK_SHARED_RESERVED_BYTES = 1024, /* taken by each resident block */
    PK_INLINE_PACKET_BYTES = 192
};

enum pk_order { PK_ORDER_FREE, PK_ORDER_FIFO, PK_ORDER_REVERSE, PK_ORDER_RANDOM };

/* Settings, read once from the environment. */
struct pk_settings {
    int processors;        /* PK_CPU_SMS */
    int warp_threads;      /* PK_CPU_WARP */
    bool check;            /* PK_CPU_CHECK */
    enum pk_order order;   /* PK_CPU_SCHEDULE; FREE: in order, as many at once as there are cores */
    uint64_t seed;         /* of random */
    size_t stack_bytes;    /* PK_CPU_STACK_KB, of one thread of a block */
    int parallel;          /* OS threads that run blocks at once, while they make progress */
    int patience_ticks;    /* without an end, until a block is taken as waiting */
    bool valid;            /* false: a setting is wrong, every call fails */
    uint64_t memory_bytes; /* of the device */
};
extern struct pk_settings pk_settings;

/* ---- ops ---- */

enum pk_op_kind {
    PK_OP_KERNEL,
    PK_OP_COPY,
    PK_OP_FILL,
    PK_OP_HOST,
    PK_OP_MARK,   /* does nothing but end */
    PK_OP_GRAPH,  /* runs other ops: a launch of a graph, a child graph, a conditional node */
    PK_OP_RECORD, /* in a graph: records an event */
    PK_OP_WAIT    /* in a graph: waits for what an event had recorded when the graph was launched */
};
enum { PK_OP_PENDING, PK_OP_DONE, PK_OP_SLEPT_ON };

struct pk_cpu_block;

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
    struct pk_body *body; /* the graph that it is a part of and runs again with, or null */
    int indegree;         /* in `body`: what `blockers` begins with */
    union {
        struct {
            const pk_cpu_kernel *code;
            uint3 grid, block;
            unsigned block_threads;
            uint64_t n_blocks;
            uint64_t next_block;          /* relaxed fetch_add claims blocks; pk_lock orders the kernel's data */
            struct pk_returned *returned; /* blocks claimed and given back */
            uint64_t n_returned;          /* how many: written under the lock, read relaxed */
            size_t shared_bytes;
            int runners; /* OS threads that run its blocks */
            bool listed; /* in the ready list */
            bool spread; /* its blocks wait for each other: give it every seat. Relaxed where read without the lock */
            bool alone;  /* its blocks use what has to be put back between them. Relaxed, as above */
            bool cooperative;
            unsigned char *seats; /* [n_blocks] processors that a cooperative grid holds while it runs, or null */
            size_t static_shared_bytes;
            uint32_t grid_arrived; /* blocks at the grid's barrier: acquire/release, each adds itself */
            uint32_t grid_phase;   /* a futex word. Release by the last to arrive, pairs with the others' acquire */
            uint64_t salt;         /* of its random order */
            unsigned char *packet;
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
    } as;
    struct pk_op *after_inline[2];
    alignas(16) unsigned char packet_inline[PK_INLINE_PACKET_BYTES];
};

/* A list of graph nodes that grows. */
struct pk_nodes {
    struct CUgraphNode_st **at;
    size_t count, room;
};

struct CUstream_st {
    uint32_t magic;
    unsigned flags;
    int priority;
    struct pk_op *last; /* the newest op, or null */
    struct CUstream_st *next;
    struct pk_capture *capture; /* that it is a part of, or null */
    struct pk_nodes tips;       /* of the capture: what the next node will depend on */
};

struct CUevent_st {
    uint32_t magic;
    unsigned flags;
    struct pk_op *record; /* the newest recording, or null */
    struct CUevent_st *next;
    uint64_t capture_id;  /* of the capture that it was last recorded in, or 0 */
    struct pk_nodes tips; /* then: what a stream that waits for it will depend on */
};

/* ---- engine.cpp ---- */

void pk_lock(void);
/* Also wakes the OS threads that the work added under the lock needs. */
void pk_unlock(void);

/* Starts the device at the first call. cudaSuccess, or why no call can succeed: a fault, wrong settings, a call
 * from a host function. */
cudaError_t pk_enter(void);

/* With the lock held: a new op, with one reference for the caller. */
struct pk_op *pk_op_new(enum pk_op_kind kind);
void pk_op_release(struct pk_op *op);
/* `later` must follow `earlier`, which may be null or done. */
void pk_op_follow(struct pk_op *later, struct pk_op *earlier);
/* Put the op at the end of the stream and let it run when all it follows is done. */
void pk_op_submit(struct pk_op *op, struct CUstream_st *stream);
/* The op is given to no stream: it ends when the caller says so, and must. */
void pk_op_promise(struct pk_op *op);
/* Frees what the op's kind owns: before it becomes another kind. */
void pk_op_drop_payload(struct pk_op *op);
/* For replay.cpp: all that `op` follows is done, so it runs; or, where nothing is to be done, joins the list of ops
 * that have ended. */
void pk_op_become_ready(struct pk_op *op, struct pk_op **finished);
/* For replay.cpp: the kernel that the calling OS thread runs, or null. */
const struct pk_op *pk_engine_running_kernel(void);
/* An op that has ended, with one reference for the caller. */
struct pk_op *pk_op_ended_now(void);
/* Without the lock: wait for the op. cudaSuccess or the device's fault. */
cudaError_t pk_op_wait(struct pk_op *op);
bool pk_op_done(const struct pk_op *op);

/* Marks the calling OS thread's block as one that waits, so that it does not keep others from starting. */
void pk_engine_block_waits(void);
/* The calling OS thread's block, and from now on each of its kernel, is the last of its batch. */
void pk_engine_block_alone(void);
/* Blocks of a kernel that no OS thread has claimed. */
uint64_t pk_blocks_left(const struct pk_op *op);
/* Leaves the running kernel with a fault. */
void pk_engine_fault(cudaError_t error) __attribute__((noreturn));
/* All threads of the running block are at the grid's barrier: returns when those of every block are. */
void pk_grid_meet(struct pk_cpu_block *block);
/* Calls `visit` for every block that an OS thread runs, with the lock held. */
void pk_engine_visit_blocks(void (*visit)(const struct pk_op *op, const struct pk_cpu_block *block, void *data),
                            void *data);
bool pk_engine_in_kernel(void);
uint64_t pk_now_ns(void);

/* ---- error.cpp ---- */

cudaError_t pk_fail_with(cudaError_t error); /* record as the last error, and return it */
cudaError_t pk_fault(void);                  /* the sticky error, or cudaSuccess */
void pk_set_fault(cudaError_t error);
/* A reset after a fault: the process gets no device again. */
void pk_reset_fault(void);

/* Every call begins with this: it fails while the device cannot work. */
#define PK_ENTER()                                                                                                     \
    do {                                                                                                               \
        const cudaError_t enter_error_ = pk_enter();                                                                   \
        if (enter_error_ != cudaSuccess)                                                                               \
            return pk_fail_with(enter_error_);                                                                         \
    } while (0)

/* ---- stream.cpp ---- */

/* With the lock held: the stream behind a handle, or null. */
struct CUstream_st *pk_stream_of(cudaStream_t handle);
extern struct CUstream_st pk_legacy_stream;
extern struct CUstream_st *pk_streams; /* all others, alive */
cudaError_t pk_stream_wait(cudaStream_t handle);
/* Wait for all that the device has been given, whether or not streams capture. */
cudaError_t pk_device_wait(void);
bool pk_event_alive(cudaEvent_t event);

/* ---- memory.cpp ---- */

void pk_copy_run(struct pk_op *op);
void pk_fill_run(struct pk_op *op);
void pk_memory_reset(void);
/* PK_CPU_CHECK: the device has work, or none, so that nobody has business in its memory. With the lock held. */
void pk_memory_open(bool open);
void pk_memory_report_leaks(void);
/* Whether the op's copy or fill is one that CUDA accepts. */
cudaError_t pk_copy_check(const struct pk_op *op);
cudaError_t pk_fill_check(const struct pk_op *op);

/* ---- launch.cpp ---- */

/* Threads as a processor counts them: a warp that is not full takes its place. */
unsigned pk_whole_warps(unsigned threads);
/* Blocks of this size that fit a processor; shared_bytes is static and dynamic memory together. */
int pk_blocks_per_sm(unsigned block_threads, size_t shared_bytes);
/* With the lock held: make `op`, which is new, this launch, if it is within the limits. */
cudaError_t pk_kernel_prepare(struct pk_op *op, const pk_cpu_kernel *kernel, dim3 grid, dim3 block, void **arguments,
                              size_t shared_bytes);
/* The kernel at an address, or null where no typed call has named it. With the lock held. */
const pk_cpu_kernel *pk_kernel_at(const void *function);

/* ---- replay.cpp: called by the engine, with the lock held ---- */

/* A GRAPH, RECORD or WAIT op may go on. */
void pk_graph_ready(struct pk_op *op, struct pk_op **finished);
/* Of the stream in which the op's graph was launched. */
int pk_body_priority(const struct pk_op *op);
/* An op of a body has ended. */
void pk_body_op_ended(struct pk_op *op, struct pk_op **finished);
/* A launch has ended. */
void pk_graph_launch_ended(struct pk_op *op, struct pk_op **finished);

/* ---- capture.cpp: with the lock held ---- */

/* Give the op, which is new, to the stream behind the handle: to run, or to be recorded. All work that calls put into
 * streams goes through here, so that capture's rules are kept in one place. */
cudaError_t pk_stream_put(struct pk_op *op, cudaStream_t handle);
/* Whether waiting for the stream, or asking about it, is allowed; if not, captures are spoilt. */
cudaError_t pk_capture_allows_wait(const struct CUstream_st *stream);
/* Whether a call that works on the whole device is allowed: cudaDeviceSynchronize. */
cudaError_t pk_capture_allows_device_wait(void);
/* The stream records: what is given to it does not run. */
bool pk_capturing(cudaStream_t handle);
/* Events in captures; *done says whether the call needs no more than this. */
cudaError_t pk_capture_record(cudaEvent_t event, struct CUstream_st *stream, unsigned flags, bool *done);
cudaError_t pk_capture_wait(struct CUstream_st *stream, cudaEvent_t event, unsigned flags, bool *done);
cudaError_t pk_capture_asks_event(cudaEvent_t event);
/* The stream is being destroyed. */
void pk_capture_forget_stream(struct CUstream_st *stream);
void pk_capture_forget_event(cudaEvent_t event);

/* Without the lock: whether the calling thread may do what is unsafe beside a capture, such as cudaMalloc. */
cudaError_t pk_capture_allows_unsafe(void);

/* ---- symbols.cpp ---- */

/* Bytes of the __shared__ variables that the kernel itself declares; 0 where the program has no symbols. */
size_t pk_static_shared_bytes(const void *function);
/* The __shared__ variable that the calling OS thread has at this address, or null; `*offset` is the byte in it. */
const char *pk_shared_variable(const void *address, size_t *offset);
/* Calls `visit` for each __shared__ variable that the calling OS thread has. */
void pk_shared_visit(void (*visit)(char *variable, size_t bytes, void *data), void *data);
/* "name at file.cu:31" for a code address, as far as the program's symbols and addr2line tell. */
void pk_describe_code(const void *address, char *text, size_t bytes);

/* ---- blocked.cpp ---- */

/* What the block does from now on, for other OS threads to read. */
void pk_block_note(struct pk_cpu_block *block, int activity, const char *file, int line);

/* ---- async.cpp ---- */

/* A thread of the block has ended: its copies land, waited for or not. */
void pk_thread_copies_end(struct pk_cpu_block *block, unsigned thread);

/* ---- check.cpp: does nothing unless PK_CPU_CHECK ---- */

void pk_check_block_begins(struct pk_cpu_block *block);
void pk_check_block_ends(struct pk_cpu_block *block);
void pk_check_barrier_meets(struct pk_cpu_block *block);
void pk_check_warp_meets(struct pk_cpu_block *block, unsigned first_thread, uint64_t lanes);
void pk_check_not_in_mask(const char *file, int line);

/* ---- block.cpp ---- */

struct pk_cpu_block; /* the block that an OS thread runs, and its pool of fibers */
/* It runs what the batch says. */
struct pk_cpu_block *pk_block_new(struct pk_cpu_batch *batch);
/* Before the first block of a kernel on this OS thread. */
void pk_block_bind(struct pk_cpu_block *block, const struct pk_op *op);
/* Whether blocks may be claimed several at a time: nothing asks for another order, or looks between them. */
bool pk_block_takes_batches(const struct pk_op *op);
/* Run the blocks of its batch, counted in x, then y, then z, to their ends; not at its end already. */
void pk_block_run(struct pk_cpu_block *block);
/* A fault left the block in the middle: forget its fibers. */
void pk_block_abandon(struct pk_cpu_block *block);
/* blockIdx of the kernel's block number `i`. */
uint3 pk_block_index(const struct pk_op *op, uint64_t i);
/* Position `i` of a seeded order of 0..n-1. */
uint64_t pk_permute(uint64_t i, uint64_t n, uint64_t seed);

/* ---- fiber.cpp ---- */

struct pk_fiber;
/* The calling OS thread's own stack as a fiber. */
struct pk_fiber *pk_fiber_of_thread(void);
/* A new fiber with its own stack that will run entry(argument); entry never returns. Null: no memory. */
struct pk_fiber *pk_fiber_new(void (*entry)(void *), void *argument);
void pk_fiber_switch(struct pk_fiber *from, struct pk_fiber *to);

#endif
