/* One block: its threads, its barriers and the order in which they run.
 *
 * The block begins on the OS thread's own stack and runs thread after thread straight through. Only when a thread
 * has to wait is its stack parked and another fiber takes over the threads that have not begun. A fiber that has no
 * thread left goes back to the pool, its stack warm. So a kernel without barriers never switches, and a kernel with
 * barriers needs as many stacks as threads that wait at once. */
#include "block.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "copies.h"
#include "fiber.h"
#include "os.h"
#include "warps.h"

__thread uint3 threadIdx, blockIdx, blockDim, gridDim;
__thread struct pk_cpu_block *pk_cpu_parked;
__thread struct pk_cpu_block *pk_running_block;
__thread int pk_cpu_scope;

#if defined(PK_CPU_TSAN_)
unsigned pk_cpu_fence_word;
#endif

static void push(struct pk_queue *queue, struct pk_fiber *fiber)
{
    queue->fibers[(queue->head + queue->count++) % PK_MAX_BLOCK_THREADS] = fiber;
}

static struct pk_fiber *pop(struct pk_queue *queue)
{
    if (queue->count == 0)
        return nullptr;
    struct pk_fiber *fiber = queue->fibers[queue->head];
    queue->head = (queue->head + 1) % PK_MAX_BLOCK_THREADS;
    queue->count--;
    return fiber;
}

static uint64_t draw(uint64_t *state)
{
    return pk_mix(*state += 0x9e3779b97f4a7c15u);
}

static void set_thread(const struct pk_cpu_block *block, unsigned linear)
{
    const uint3 size = block->grid->block;
    threadIdx.x = linear % size.x;
    threadIdx.y = linear / size.x % size.y;
    threadIdx.z = linear / size.x / size.y;
}

unsigned pk_thread_number(void)
{
    return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}

unsigned pk_block_draw(struct pk_cpu_block *block, unsigned n)
{
    return (unsigned)(draw(&block->random) % n);
}

/* The barrier is complete when every thread that has not ended waits at it. */
static void release_if_complete(struct pk_cpu_block *block)
{
    struct pk_queue *waiting = block->waiting;
    if (waiting->count == 0 || waiting->count + block->ended < block->n_threads)
        return;
    if (block->grid_barrier)
        pk_grid_meet(block->grid);
    block->grid_barrier = false;
    pk_check_barrier_meets(block);
    block->met_threads = (int)waiting->count;
    block->met_predicates = block->predicates;
    block->predicates = 0;
    if (pk_settings.order == PK_ORDER_RANDOM) {
        for (unsigned left = waiting->count; left > 1; --left) {
            const unsigned a = (waiting->head + left - 1) % PK_MAX_BLOCK_THREADS;
            const unsigned b = (waiting->head + pk_block_draw(block, left)) % PK_MAX_BLOCK_THREADS;
            struct pk_fiber *fiber = waiting->fibers[a];
            waiting->fibers[a] = waiting->fibers[b];
            waiting->fibers[b] = fiber;
        }
    }
    if (block->runnable->count == 0) {
        block->waiting = block->runnable;
        block->runnable = waiting;
        return;
    }
    while (waiting->count)
        push(block->runnable, pop(waiting));
}

/* The running thread has returned from the kernel. Until threads switch nobody need know. */
static void thread_ended(struct pk_cpu_block *block)
{
    block->ended++;
    if (pk_cpu_parked) {
        const unsigned t = pk_thread_number();
        block->threads[t].state = PK_ENDED;
        pk_thread_copies_end(block, t);
        pk_warp_thread_left(block, t, true);
    }
    release_if_complete(block);
}

/* Begin and end threads until none is left to begin. */
static void run_threads(struct pk_cpu_block *block)
{
    const pk_cpu_kernel *code = block->grid->code;
    while (block->begun < block->n_threads) {
        set_thread(block, block->thread_order[block->begun++]);
        code->run_thread(code->function, block->grid->packet);
        thread_ended(block);
    }
}

static void fiber_main(void *argument);

/* The fiber to go on with when the current one cannot: a fresh one for threads that have not begun, or one that may
 * run, or home when all is done. Threads that have not begun come first, so that a thread that polls and gives way
 * cannot keep the one that it waits for from beginning. */
static struct pk_fiber *next_fiber(struct pk_cpu_block *block)
{
    const bool random = pk_settings.order == PK_ORDER_RANDOM && block->runnable->count > 0;
    if (block->begun < block->n_threads && !(random && pk_block_draw(block, 2))) {
        struct pk_fiber *fresh = block->n_pool ? block->pool[--block->n_pool] : pk_fiber_new(fiber_main, block);
        if (!fresh)
            pk_runner_fault(cudaErrorLaunchOutOfResources);
        return fresh;
    }
    if (random) {
        struct pk_queue *queue = block->runnable;
        const unsigned at = (queue->head + pk_block_draw(block, queue->count)) % PK_MAX_BLOCK_THREADS;
        struct pk_fiber *first = queue->fibers[queue->head];
        queue->fibers[queue->head] = queue->fibers[at];
        queue->fibers[at] = first;
    }
    struct pk_fiber *next = pop(block->runnable);
    if (!next && block->ended < block->n_threads)
        pk_block_stuck(block);
    return next ? next : block->home;
}

static void switch_to(struct pk_cpu_block *block, struct pk_fiber *next)
{
    struct pk_fiber *self = block->current;
    if (next == self)
        return;
    block->current = next;
    pk_fiber_switch(self, next);
}

/* A fiber of the pool: runs threads of whatever block its OS thread has, then rests until it is taken again. */
static void fiber_main(void *argument)
{
    struct pk_cpu_block *block = (struct pk_cpu_block *)argument;
    for (;;) {
        run_threads(block);
        struct pk_fiber *self = block->current;
        struct pk_fiber *next = next_fiber(block);
        block->pool[block->n_pool++] = self;
        switch_to(block, next);
    }
}

/* Threads no longer run straight through. Until the first one waits nobody counts them: every thread before it has
 * run to its end. */
static void count_threads(struct pk_cpu_block *block)
{
    if (pk_cpu_parked)
        return;
    if (block->begun == 0) {
        block->begun = pk_thread_number() + 1;
        block->ended = block->begun - 1;
    }
    pk_cpu_parked = block;
    pk_warps_reset(block);
    for (unsigned t = 0; t < block->n_threads; ++t)
        block->threads[t].state = PK_RUNS;
    for (unsigned i = 0; i + 1 < block->begun; ++i) {
        const unsigned t = block->thread_order[i];
        block->threads[t].state = PK_ENDED;
        block->pairs[t / PK_PAIR_THREADS].gone |= (uint64_t)1 << t % PK_PAIR_THREADS;
    }
}

/* Go on with `next`; come back when the current fiber is taken from the queue that holds it. */
static void park(struct pk_cpu_block *block, struct pk_fiber *next)
{
    const uint3 self = threadIdx;
    switch_to(block, next);
    threadIdx = self;
}

struct pk_thread *pk_thread_waits(struct pk_cpu_block *block, enum pk_thread_state state, const char *file, int line)
{
    count_threads(block);
    if (state != PK_POLLS)
        block->pauses = 0;
    struct pk_thread *thread = &block->threads[pk_thread_number()];
    thread->fiber = block->current;
    thread->state = state;
    thread->file = file;
    thread->line = line;
    return thread;
}

void pk_thread_wake(struct pk_cpu_block *block, unsigned thread)
{
    block->threads[thread].state = PK_RUNS;
    push(block->runnable, block->threads[thread].fiber);
}

void pk_thread_park(struct pk_cpu_block *block)
{
    park(block, next_fiber(block));
}

static void wait_at_barrier(enum pk_thread_state kind, int predicate, const char *file, int line)
{
    struct pk_cpu_block *block = pk_running_block;
    if (block->n_threads == 1) {
        if (kind == PK_AT_GRID_BARRIER) {
            pk_block_note(block, PK_BLOCK_AT_GRID_BARRIER, file, line);
            pk_grid_meet(block->grid);
        }
        block->met_threads = 1;
        block->met_predicates = predicate != 0;
        return;
    }
    struct pk_thread *self = pk_thread_waits(block, kind, file, line);
    block->predicates += predicate != 0;
    if (kind == PK_AT_GRID_BARRIER) {
        block->grid_barrier = true;
        pk_block_note(block, PK_BLOCK_AT_GRID_BARRIER, file, line);
    }
    push(block->waiting, block->current);
    const unsigned t = (unsigned)(self - block->threads);
    if (block->pairs[t / PK_PAIR_THREADS].n_at_activemask)
        pk_warp_thread_left(block, t, false);
    __builtin_prefetch(self + 2, 1); /* for the thread that is likely to come here next but one */
    release_if_complete(block);
    park(block, next_fiber(block));
    self->state = PK_RUNS;
}

extern "C" void pk_cpu_syncthreads(const char *file, int line)
{
    wait_at_barrier(PK_AT_BARRIER, 0, file, line);
}

extern "C" bool pk_cpu_grid_is_cooperative(void)
{
    return pk_running_block->grid->cooperative;
}

extern "C" void pk_cpu_grid_sync(const char *file, int line)
{
    if (!pk_running_block->grid->cooperative)
        pk_runner_fault_because(
            cudaErrorLaunchFailure,
            "grid.sync() at %s:%d in an ordinary launch: only a cooperative launch has a grid barrier "
            "(PK_LAUNCH_COOPERATIVE, cudaLaunchCooperativeKernel)",
            pk_file_name(file), line);
    wait_at_barrier(PK_AT_GRID_BARRIER, 0, file, line);
}

/* The result stays valid until the last thread has read it: the next barrier completes only after that. */
extern "C" int pk_cpu_syncthreads_count(int predicate, int *threads, const char *file, int line)
{
    wait_at_barrier(PK_AT_BARRIER, predicate, file, line);
    *threads = pk_running_block->met_threads;
    return pk_running_block->met_predicates;
}

bool pk_thread_give_way(struct pk_cpu_block *block, const char *file, int line)
{
    if (block->n_threads == 1)
        return false;
    struct pk_thread *self = pk_thread_waits(block, PK_POLLS, file, line);
    pk_warp_thread_left(block, pk_thread_number(), false);
    const bool others = block->begun < block->n_threads || block->runnable->count;
    if (others) {
        struct pk_fiber *next = next_fiber(block);
        push(block->runnable, block->current);
        park(block, next);
    }
    self->state = PK_RUNS;
    return others;
}

/* A block whose threads have done nothing but poll for some milliseconds waits for another or for the host, or for
 * ever: from then on it leaves the processor to others. */
enum { PAUSES_UNTIL_IDLE = 1000, IDLE_NS = 100000 };

void pk_block_pause(struct pk_cpu_block *block, unsigned ns, const char *file, int line)
{
    const bool in_turn = pk_settings.order == PK_ORDER_RANDOM;
    if (!in_turn)
        pk_runner_block_waits();
    const unsigned pauses = ++block->pauses;
    const bool others = pk_thread_give_way(block, file, line);
    const bool idle = !in_turn && pauses / (others ? block->n_threads : 1) >= PAUSES_UNTIL_IDLE;
    if (others && !(idle && pauses % block->n_threads == 0))
        return;
    if (pk_turn_pass())
        return;
    if (idle && ns < IDLE_NS)
        ns = IDLE_NS;
    if (ns < 10000) {
        sched_yield();
    } else {
        const struct timespec pause = {0, (long)(ns < 1000000 ? ns : 1000000)};
        nanosleep(&pause, nullptr);
    }
}

extern "C" void pk_cpu_nanosleep(unsigned ns, const char *file, int line)
{
    struct pk_cpu_block *block = pk_running_block;
    if (!block)
        return;
    pk_block_note(block, PK_BLOCK_POLLS, file, line);
    pk_block_pause(block, ns, file, line);
}

extern "C" long long pk_cpu_clock_ns(void)
{
    return (long long)pk_now_ns();
}

extern "C" void *pk_cpu_dynamic_shared(void)
{
    return pk_running_block->shared;
}

struct pk_cpu_block *pk_block_new(struct pk_cpu_batch *batch)
{
    struct pk_cpu_block *block = (struct pk_cpu_block *)calloc(1, sizeof(*block));
    if (!block)
        return nullptr;
    block->batch = batch;
    block->waiting = &block->queues[0];
    block->runnable = &block->queues[1];
    block->home = pk_fiber_of_thread();
    block->current = block->home;
    for (unsigned i = 0; i < PK_MAX_BLOCK_THREADS; ++i)
        block->thread_order[i] = (unsigned short)i;
    return block;
}

void pk_block_bind(struct pk_cpu_block *block, struct pk_grid *grid)
{
    block->grid = grid;
    block->let_begin = 0;
    block->n_threads = grid->block_threads;
    gridDim = grid->size;
    blockDim = grid->block;
    /* Exactly as large as was asked for, so that ASan sees an access past its end. */
    if (block->shared_bytes != grid->shared_bytes) {
        free(block->shared);
        block->shared = nullptr;
        block->shared_bytes = grid->shared_bytes;
        if (block->shared_bytes && posix_memalign(&block->shared, 128, block->shared_bytes) != 0)
            pk_runner_fault(cudaErrorLaunchOutOfResources);
    }
}

static void choose_thread_order(struct pk_cpu_block *block, uint64_t index)
{
    const unsigned n = block->n_threads;
    for (unsigned i = 0; i < n; ++i)
        block->thread_order[i] = (unsigned short)(pk_settings.order == PK_ORDER_REVERSE ? n - 1 - i : i);
    if (pk_settings.order != PK_ORDER_RANDOM)
        return;
    block->random = pk_settings.seed + pk_mix(block->grid->salt ^ pk_mix(index + 1));
    for (unsigned left = n; left > 1; --left) {
        const unsigned other = pk_block_draw(block, left);
        const unsigned short thread = block->thread_order[left - 1];
        block->thread_order[left - 1] = block->thread_order[other];
        block->thread_order[other] = thread;
    }
}

/* Whether threads run in the order of their numbers, with indices as run_blocks needs them. */
static bool straight_through(const struct pk_grid *grid)
{
    const uint3 size = grid->size, block = grid->block;
    return (pk_settings.order == PK_ORDER_FREE || pk_settings.order == PK_ORDER_FIFO) &&
           (uint64_t)size.x * block.x <= 1u << 30 && (uint64_t)size.y * block.y <= 1u << 30;
}

static void block_begins(struct pk_cpu_block *block, int activity)
{
    pk_running_block = block;
    pk_block_note(block, activity, nullptr, 0);
    pk_check_block_begins(block);
    block->begun = 0;
    block->ended = 0;
    block->pauses = 0;
    pk_cpu_parked = nullptr;
}

static void block_ends(struct pk_cpu_block *block)
{
    pk_block_copies_reset(block);
    pk_check_block_ends(block);
    pk_block_note(block, PK_BLOCK_NONE, nullptr, 0);
    pk_running_block = nullptr;
}

bool pk_block_takes_batches(const struct pk_grid *grid)
{
    return straight_through(grid) && !pk_settings.check && !grid->cooperative;
}

/* The threads that run_blocks left, once one of them waits. */
static void run_parked(struct pk_cpu_block *block)
{
    run_threads(block);
    while (block->ended < block->n_threads)
        switch_to(block, next_fiber(block));
}

static void run_one(struct pk_cpu_block *block, uint64_t index)
{
    const struct pk_grid *grid = block->grid;
    pk_turn_begin();
    index = pk_block_in_order(grid, index);
    blockIdx = pk_block_index(grid, index);
    block_begins(block, PK_BLOCK_RUNS);
    choose_thread_order(block, index);
    run_parked(block);
    block_ends(block);
}

void pk_block_run(struct pk_cpu_block *block)
{
    struct pk_cpu_batch *batch = block->batch;
    const struct pk_grid *grid = block->grid;
    const pk_cpu_kernel *code = grid->code;
    const bool straight = straight_through(grid);
    uint64_t at = batch->at;
    do {
        if (!straight) {
            run_one(block, at);
            __atomic_store_n(&batch->at, ++at, __ATOMIC_RELAXED);
            continue;
        }
        blockIdx = pk_block_index(grid, at);
        block_begins(block, PK_BLOCK_RUNS_BATCH);
        code->run_blocks(code->function, grid->packet, batch);
        const bool parked = pk_cpu_parked != nullptr;
        if (parked) {
            thread_ended(block); /* that which this stack carried; others may not have */
            run_parked(block);
        }
        block_ends(block);
        if (parked || batch->at == at)
            __atomic_store_n(&batch->at, batch->at + 1, __ATOMIC_RELAXED);
        at = batch->at;
        __atomic_signal_fence(__ATOMIC_SEQ_CST); /* as in run_blocks: `at` before `end` */
    } while (at < __atomic_load_n(&batch->end, __ATOMIC_RELAXED));
}

void pk_block_abandon(struct pk_cpu_block *block)
{
    block->n_pool = 0;
    block->waiting->count = 0;
    block->runnable->count = 0;
    block->predicates = 0;
    block->grid_barrier = false;
    block->current = block->home;
    pk_block_note(block, PK_BLOCK_NONE, nullptr, 0);
    pk_running_block = nullptr;
}
