/* A block: how it is run, and what it is from the inside for the parts that let its threads meet: block.cpp (barriers,
 * order), warp.cpp (warps), async.cpp (copies), check.cpp (mistakes), status.cpp (what it waits for). Only the OS
 * thread that runs the block touches it, the status apart. */
#ifndef PK_CPU_BLOCK_H
#define PK_CPU_BLOCK_H

#include "grid.h"
#include "settings.h"

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
    PK_BLOCK_AT_MBARRIER,
    PK_BLOCK_WAITS_FOR_KERNEL,
    PK_BLOCK_STUCK
};
struct pk_block_status {
    int activity;
    unsigned block[3];
    const char *file;
    int line;
    int arrivals, bytes; /* that the phase at an mbarrier still lacks */
    char text[256];      /* of a stuck block: written before `activity`, release; pairs with the reader's acquire */
};

struct pk_cpu_block {
    struct pk_grid *grid;
    struct pk_fiber *home;    /* the OS thread's own stack */
    struct pk_fiber *current; /* the fiber that runs */
    unsigned n_threads, begun, ended;
    unsigned pauses; /* of its threads, since one of them last did something else that is seen here */
    /* The barrier: who waits, and what their predicates add up to. */
    struct pk_queue *waiting;
    int predicates;
    int met_threads, met_predicates; /* of the last barrier that completed */
    bool grid_barrier;               /* the barrier under way is the grid's */
    struct pk_queue *runnable;
    struct pk_queue queues[2];                   /* those two: they change places when a barrier completes */
    struct pk_fiber *pool[PK_MAX_BLOCK_THREADS]; /* fibers at rest */
    unsigned n_pool;
    uint64_t random;    /* state of the block's own generator */
    uint64_t let_begin; /* 1 + the number of its last block that let the kernel behind begin; 0: none of this grid */
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

/* ---- running: called by the OS thread that runs the block ---- */

/* A place for a block to run in, with its pool of fibers. It runs what the batch says. */
struct pk_cpu_block *pk_block_new(struct pk_cpu_batch *batch);
/* Before the first block of a grid on this OS thread. */
void pk_block_bind(struct pk_cpu_block *block, struct pk_grid *grid);
/* Whether blocks may be claimed several at a time: nothing asks for another order, or looks between them. */
bool pk_block_takes_batches(const struct pk_grid *grid);
/* Run the blocks of its batch, counted in x, then y, then z, to their ends; not at its end already. */
void pk_block_run(struct pk_cpu_block *block);
/* A fault left the block in the middle: forget its fibers. */
void pk_block_abandon(struct pk_cpu_block *block);

/* ---- asked of that OS thread: runner.cpp and fault.cpp have it ---- */

/* Marks the calling OS thread's block as one that waits, so that it does not keep others from starting. */
void pk_runner_block_waits(void);
/* The calling OS thread's block, and from now on each of its kernel, is the last of its batch. */
void pk_runner_block_alone(void);
/* Leaves the running kernel with a fault. */
void pk_runner_fault(cudaError_t error) __attribute__((noreturn));
/* The same, and says why. */
void pk_runner_fault_because(cudaError_t error, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* turn.cpp: under PK_CPU_SCHEDULE=random blocks take turns, and these are theirs; else they do nothing. The block waits
 * for its turn: as it begins, and after a wait of which others can't know. */
void pk_turn_begin(void);
/* Another block has its turn, drawn; returns when it is this one's again. False: no other could run. */
bool pk_turn_pass(void);
/* The block ends, or waits outside of its turn. */
void pk_turn_end(void);

/* ---- inside ---- */

/* The running thread's number in its block. */
unsigned pk_thread_number(void);
/* The running thread will wait: note where. */
struct pk_thread *pk_thread_waits(struct pk_cpu_block *block, enum pk_thread_state state, const char *file, int line);
/* Let others run; returns when the running thread has been woken. */
void pk_thread_park(struct pk_cpu_block *block);
/* Let another thread of the block run, if one can: what the running one does next it does later. */
bool pk_thread_give_way(struct pk_cpu_block *block, const char *file, int line);
void pk_thread_wake(struct pk_cpu_block *block, unsigned thread);
/* A number below `n` of the block's own generator. */
unsigned pk_block_draw(struct pk_cpu_block *block, unsigned n);

/* ---- status.cpp ---- */

/* What the block does from now on, for other OS threads to read. */
void pk_block_note(struct pk_cpu_block *block, int activity, const char *file, int line);
/* The running thread pauses for about `ns`: others run, of its block or elsewhere. */
void pk_block_pause(struct pk_cpu_block *block, unsigned ns, const char *file, int line);
/* A path without its folders. */
const char *pk_file_name(const char *path);
/* Where the threads of a block wait, by their place in the source. */
void pk_describe_threads(const struct pk_cpu_block *block, char *buffer, size_t bytes);
/* No thread of the block can ever run again. Reports it, and ends the kernel or keeps the block for ever. */
void pk_block_stuck(struct pk_cpu_block *block) __attribute__((noreturn));

#endif
