/* A block from the inside, for the parts that let its threads meet: block.cpp (barriers, order), warp.cpp (warps),
 * async.cpp (copies), check.cpp (mistakes). Only the OS thread that runs the block touches it, the status apart. */
#ifndef PK_CPU_BLOCK_H
#define PK_CPU_BLOCK_H

#include "runtime.h"

enum {
    PK_PAIR_THREADS = 64, /* warps are kept in pairs of 32 lanes: one 64-bit word holds a warp of either size */
    PK_MAX_PAIRS = PK_MAX_BLOCK_THREADS / PK_PAIR_THREADS
};

/* What a thread does, once threads of the block switch. */
enum pk_thread_state : unsigned char {
    PK_RUNS, /* or has not begun */
    PK_AT_BARRIER,
    PK_AT_GRID_BARRIER,
    PK_AT_WARP,
    PK_AT_ACTIVEMASK,
    PK_POLLS, /* gave way in __nanosleep or in a wait for a barrier in shared memory */
    PK_ENDED
};

struct pk_thread {
    struct pk_fiber *fiber; /* that carries it while it waits */
    const char *file;       /* of the call that it waits in */
    int line;
    enum pk_thread_state state;
    unsigned char warp_op; /* enum pk_cpu_warp_op */
    int argument;
    uint64_t value, result;
};

/* Threads of one pair of warps that meet: all of `mask` that have not ended. */
struct pk_meeting {
    uint64_t mask, arrived;
};

struct pk_pair {
    struct pk_meeting meetings[PK_PAIR_THREADS];
    unsigned n_meetings, n_at_activemask;
    uint64_t gone; /* lanes that have ended, or that the block does not have */
};

/* Fibers in a ring: first in, first out. At most one entry a thread. */
struct pk_queue {
    struct pk_fiber *fibers[PK_MAX_BLOCK_THREADS];
    unsigned head, count;
};

/* What a block does, for another OS thread to read: relaxed atomics, so the parts may be of different moments. */
enum pk_block_activity {
    PK_BLOCK_NONE,
    PK_BLOCK_RUNS,
    PK_BLOCK_RUNS_BATCH,
    PK_BLOCK_AT_GRID_BARRIER,
    PK_BLOCK_POLLS,
    PK_BLOCK_STUCK
};
struct pk_block_status {
    int activity;
    unsigned block[3];
    const char *file;
    int line;
    char text[256]; /* of a stuck block: written before `activity`, release; pairs with the reader's acquire */
};

struct pk_cpu_block {
    const struct pk_op *op;
    struct pk_fiber *home;    /* the OS thread's own stack */
    struct pk_fiber *current; /* the fiber that runs */
    unsigned n_threads, begun, ended;
    /* The barrier: who waits, and what their predicates add up to. */
    struct pk_queue *waiting;
    int predicates;
    int met_threads, met_predicates; /* of the last barrier that completed */
    bool grid_barrier;               /* the barrier under way is the grid's */
    struct pk_queue *runnable;
    struct pk_queue queues[2];                   /* those two: they change places when a barrier completes */
    struct pk_fiber *pool[PK_MAX_BLOCK_THREADS]; /* fibers at rest */
    unsigned n_pool;
    uint64_t random; /* state of the block's own generator */
    unsigned short thread_order[PK_MAX_BLOCK_THREADS];
    void *shared; /* dynamic shared memory */
    size_t shared_bytes;
    struct pk_thread threads[PK_MAX_BLOCK_THREADS]; /* by their number in the block; valid once threads switch */
    struct pk_pair pairs[PK_MAX_PAIRS];
    struct pk_copies *copies;   /* async.cpp's, or null */
    struct pk_shadow *shadow;   /* check.cpp's, or null */
    struct pk_cpu_batch *batch; /* what to run: `at` is read by others, relaxed */
    struct pk_block_status status;
};

extern __thread struct pk_cpu_block *pk_running_block;

/* The running thread's number in its block. */
unsigned pk_thread_number(void);
/* The running thread will wait: note where. */
struct pk_thread *pk_thread_waits(struct pk_cpu_block *block, enum pk_thread_state state, const char *file, int line);
/* Let others run; returns when the running thread has been woken. */
void pk_thread_park(struct pk_cpu_block *block);
void pk_thread_wake(struct pk_cpu_block *block, unsigned thread);
/* A number below `n` of the block's own generator. */
unsigned pk_block_draw(struct pk_cpu_block *block, unsigned n);

/* ---- warp.cpp ---- */
void pk_warps_reset(struct pk_cpu_block *block);
/* Thread `t` ended, or waits for something else than its warp: others may meet without it. */
void pk_warp_thread_left(struct pk_cpu_block *block, unsigned t, bool ended);

/* ---- async.cpp ---- */
/* Forget copies of a block that is over. */
void pk_block_copies_reset(struct pk_cpu_block *block);

/* ---- check.cpp ---- */
/* What orders accesses beside the block's barrier: an object in shared memory is released and acquired. */
void pk_check_barrier_made(const void *object);
void pk_check_release(const void *object);
void pk_check_acquire(const void *object);
/* An asynchronous copy reads `read_bytes` and writes `bytes`; until it has landed, nobody may touch its target. */
void pk_check_copy_begins(void *to, const void *from, size_t bytes, size_t read_bytes, const void *code);
void pk_check_copy_lands(void *to, size_t bytes);
/* Ends the kernel: its block, which `text` describes, can never go on. */
void pk_check_stuck(const char *text) __attribute__((noreturn));

/* ---- blocked.cpp ---- */
/* A path without its folders. */
const char *pk_file_name(const char *path);
/* Where the threads of a block wait, by their place in the source. */
void pk_describe_threads(const struct pk_cpu_block *block, char *buffer, size_t bytes);
/* No thread of the block can ever run again. Reports it, and ends the kernel or keeps the block for ever. */
void pk_block_stuck(struct pk_cpu_block *block) __attribute__((noreturn));

#endif
