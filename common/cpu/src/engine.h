/* What the files of the engine share: engine.cpp (its lock, its start), op.cpp (the order of work), runner.cpp (the OS
 * threads), seat.cpp (which blocks fit the device), claim.cpp (who runs which block), early.cpp (kernels that overlap),
 * turn.cpp (one at a time, if that is asked for), fault.cpp (how a kernel fails).
 *
 * An op becomes ready when all it follows is done; the OS thread that ends an op takes the next one itself, so that
 * work that is queued runs back to back with no wake-up between. An OS thread ("runner") that finds nothing spins
 * for a moment (only one at a time does) and then sleeps.
 *
 * A kernel's runner holds a seat on one of the device's processors, with the threads and shared memory that one
 * resident block needs, and runs the kernel's blocks one after the other from that seat. As long as blocks come to
 * an end, no more runners take seats than there are cores to run on. A block that has not ended for some ticks of
 * the clock, or that says that it waits, is taken as waiting for something: it no longer counts, and others take seats,
 * up to all that can be resident. So blocks that wait for each other, or for the host, all get to run.
 *
 * Where blocks have proved short a runner claims a batch of them, and runs it in one loop in which a block costs no
 * read-modify-write. When a block of a batch is taken as waiting, those after it are given back, for others to run. */
#ifndef PK_CPU_ENGINE_H
#define PK_CPU_ENGINE_H

#include <pthread.h>
#include <setjmp.h>

#include "block.h"
#include "op.h"

struct pk_runner {
    uint32_t wake;     /* futex word: 1 when there may be work. Release/acquire with sleep_until_woken */
    uint32_t progress; /* batches ended: relaxed, the ticker only looks for change */
    uint32_t waits;    /* 1: its block is taken as waiting. Written under the lock, read relaxed by the runner */
    uint32_t seen;     /* progress at the last tick */
    int still_ticks;   /* ticks since it changed */
    struct pk_op *kernel;
    int processor;
    struct pk_cpu_block *block;
    struct pk_cpu_batch batch; /* of `kernel`: what it runs. Written by claim_blocks, cut by pk_batch_cut */
    uint32_t has_turn;         /* futex word: turn.cpp */
    struct pk_runner *next_idle, *next, *next_in_turn;
    sigjmp_buf escape;
    cudaError_t fault;
    char why[320]; /* the fault, or empty: the error says it */
};

struct pk_engine {
    pthread_mutex_t lock;
    struct pk_op *ready; /* by priority, then first in first out */
    struct pk_op *free_ops;
    struct pk_runner *runners, *idle, *to_wake;
    struct pk_runner *spinner; /* the one that spins, or null */
    bool looking;              /* a runner has the lock and will look for work before it lets go */
    uint32_t epoch;            /* counts new work. Release, pairs with the spinner's acquire */
    int n_runners;
    bool may_batch; /* the system has what pk_batch_cut needs */
    int busy;       /* runners in kernels that count */
    int waiting;    /* runners in kernels whose block is taken as waiting */
    bool ticker_runs;
    uint32_t ticker_asleep; /* futex word */
    int quiet_ticks;
    uint64_t launches;
    uint64_t unfinished; /* ops */
};
extern struct pk_engine pk_engine;
extern __thread struct pk_runner *pk_self; /* the calling OS thread, if it is a runner */
extern __thread bool pk_in_kernel, pk_in_host_function;

/* ---- runner.cpp ---- */

/* With the lock held, all of these. */

/* Calls `visit` for every block that an OS thread runs. */
void pk_visit_blocks(void (*visit)(const struct pk_op *op, const struct pk_cpu_block *block, void *data), void *data);

/* The op is ready: it joins the list, and who may run it is woken. */
void pk_ready_add(struct pk_op *op);
void pk_ready_remove(struct pk_op *op);
/* The runner's block counts again, or is taken as waiting. */
void pk_runner_set_waits(struct pk_runner *runner, bool waits);
/* If blocks wait for a seat that may be taken, have it taken. */
void pk_seats_fill(void);

/* Whether a block that has not begun could, were no block running that counts. */
bool pk_block_can_start(void);

/* ---- turn.cpp: with the lock held ---- */

/* If the runner has the turn, it goes to another. */
void pk_turn_revoke(const struct pk_runner *runner);

/* ---- seat.cpp: with the lock held ---- */

/* Whether one more OS thread may run blocks of the kernel. */
bool pk_seat_is_free(const struct pk_op *op);
/* A seat for the next OS thread that runs blocks of the kernel, taken: the processor; or -1. */
int pk_seat_take(struct pk_op *op);
/* Draws how many blocks of the kernel may be resident at once, under PK_CPU_SCHEDULE=random. */
void pk_seats_draw(struct pk_op *op);
/* The OS thread runs no more blocks of the kernel. */
void pk_seat_leave(const struct pk_op *op, int processor);
/* The kernel has ended: what a cooperative grid held. */
void pk_seats_end(struct pk_op *op);

/* ---- claim.cpp ---- */

/* Run blocks of the kernel until none is left to claim. */
void pk_blocks_run(struct pk_runner *runner, struct pk_op *op);
/* After a fault: what is left of the kernel does not run. */
void pk_blocks_drop(struct pk_runner *runner, struct pk_op *op);
/* With the lock held: what follows the runner's block in its batch is for others. */
void pk_batch_cut(struct pk_runner *runner);
/* For the runner itself: whether blocks would follow its block. */
bool pk_batch_has_more(const struct pk_runner *runner);
/* A number that changes when a block of the runner's ends. */
uint32_t pk_progress_of(const struct pk_runner *runner);

/* ---- fault.cpp ---- */

/* Run the kernel's blocks; a fault ends it. */
void pk_kernel_run(struct pk_runner *runner, struct pk_op *op);
/* At the start of the device, and of each runner. */
void pk_faults_catch(void);
void pk_faults_prepare_thread(void);

#endif
