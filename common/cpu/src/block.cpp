/* One block: its threads, its barriers and the order in which they run.
 *
 * The block begins on the OS thread's own stack and runs thread after thread straight through. Only when a thread
 * has to wait is its stack parked and another fiber takes over the threads that have not begun. A fiber that has no
 * thread left goes back to the pool, its stack warm. So a kernel without barriers never switches, and a kernel with
 * barriers needs as many stacks as threads that wait at once. */
#include "runtime.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__thread uint3 threadIdx, blockIdx, blockDim, gridDim;
__thread struct pk_cpu_block *pk_cpu_parked;
static __thread struct pk_cpu_block *running;

#if defined(PK_CPU_TSAN_)
unsigned pk_cpu_fence_word;
#endif

/* Fibers in a ring: first in, first out. At most one entry a thread. */
struct queue {
    struct pk_fiber *fibers[PK_MAX_BLOCK_THREADS];
    unsigned head, count;
};

struct pk_cpu_block {
    const struct pk_op *op;
    struct pk_fiber *home;    /* the OS thread's own stack */
    struct pk_fiber *current; /* the fiber that runs */
    unsigned n_threads, begun, ended;
    /* The barrier: who waits, and what their predicates add up to. */
    struct queue waiting;
    int predicates;
    int met_threads, met_predicates; /* of the last barrier that completed */
    struct queue runnable;
    struct pk_fiber *pool[PK_MAX_BLOCK_THREADS]; /* fibers at rest */
    unsigned n_pool;
    uint64_t random; /* state of the block's own generator */
    unsigned short thread_order[PK_MAX_BLOCK_THREADS];
    void *shared; /* dynamic shared memory */
    size_t shared_bytes;
};

static void push(struct queue *queue, struct pk_fiber *fiber)
{
    queue->fibers[(queue->head + queue->count++) % PK_MAX_BLOCK_THREADS] = fiber;
}

static struct pk_fiber *pop(struct queue *queue)
{
    if (queue->count == 0)
        return nullptr;
    struct pk_fiber *fiber = queue->fibers[queue->head];
    queue->head = (queue->head + 1) % PK_MAX_BLOCK_THREADS;
    queue->count--;
    return fiber;
}

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t draw(uint64_t *state)
{
    return mix(*state += 0x9e3779b97f4a7c15u);
}

/* A four-round Feistel network over the next even number of bits, walked until it lands in 0..n-1: a permutation
 * that needs no table, so that a grid of any size has one. */
uint64_t pk_permute(uint64_t i, uint64_t n, uint64_t seed)
{
    unsigned half = 1;
    while (half < 32 && (uint64_t)1 << 2 * half < n)
        half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    do {
        uint64_t left = i >> half, right = i & mask;
        for (unsigned round = 0; round < 4; ++round) {
            const uint64_t next = left ^ (mix(right + seed * 4 + round + 1) & mask);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= n);
    return i;
}

static void set_thread(const struct pk_cpu_block *block, unsigned linear)
{
    const uint3 size = block->op->as.kernel.block;
    threadIdx.x = linear % size.x;
    threadIdx.y = linear / size.x % size.y;
    threadIdx.z = linear / size.x / size.y;
}

static unsigned linear_thread(void)
{
    return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}

/* The barrier is complete when every thread that has not ended waits at it. */
static void release_if_complete(struct pk_cpu_block *block)
{
    struct queue *waiting = &block->waiting;
    if (waiting->count == 0 || waiting->count + block->ended < block->n_threads)
        return;
    block->met_threads = (int)waiting->count;
    block->met_predicates = block->predicates;
    block->predicates = 0;
    if (pk_settings.order == PK_ORDER_RANDOM) {
        for (unsigned left = waiting->count; left > 1; --left) {
            const unsigned a = (waiting->head + left - 1) % PK_MAX_BLOCK_THREADS;
            const unsigned b = (waiting->head + (unsigned)(draw(&block->random) % left)) % PK_MAX_BLOCK_THREADS;
            struct pk_fiber *fiber = waiting->fibers[a];
            waiting->fibers[a] = waiting->fibers[b];
            waiting->fibers[b] = fiber;
        }
    }
    while (waiting->count)
        push(&block->runnable, pop(waiting));
}

/* Begin and end threads until none is left to begin. */
static void run_threads(struct pk_cpu_block *block)
{
    const pk_cpu_kernel *code = block->op->as.kernel.code;
    while (block->begun < block->n_threads) {
        set_thread(block, block->thread_order[block->begun++]);
        code->run_thread(code->function, block->op->as.kernel.packet);
        block->ended++;
        release_if_complete(block);
    }
}

static void fiber_main(void *argument);

/* The fiber to go on with when the current one cannot: a fresh one for threads that have not begun, or one that may
 * run, or home when all is done. Threads that have not begun come first, so that a thread that polls and gives way
 * cannot keep the one that it waits for from beginning. */
static struct pk_fiber *next_fiber(struct pk_cpu_block *block)
{
    if (block->begun < block->n_threads) {
        struct pk_fiber *fresh = block->n_pool ? block->pool[--block->n_pool] : pk_fiber_new(fiber_main, block);
        if (!fresh)
            pk_engine_fault(cudaErrorLaunchOutOfResources);
        return fresh;
    }
    struct pk_fiber *next = pop(&block->runnable);
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
    if (block->begun == 0) {
        block->begun = linear_thread() + 1;
        block->ended = block->begun - 1;
    }
    pk_cpu_parked = block;
}

/* Go on with `next`; come back when the current fiber is taken from the queue that holds it. */
static void park(struct pk_cpu_block *block, struct pk_fiber *next)
{
    const uint3 self = threadIdx;
    switch_to(block, next);
    threadIdx = self;
}

static void wait_at_barrier(int predicate)
{
    struct pk_cpu_block *block = running;
    if (block->n_threads == 1) {
        block->met_threads = 1;
        block->met_predicates = predicate != 0;
        return;
    }
    count_threads(block);
    block->predicates += predicate != 0;
    push(&block->waiting, block->current);
    release_if_complete(block);
    park(block, next_fiber(block));
}

extern "C" void pk_cpu_syncthreads(void)
{
    wait_at_barrier(0);
}

/* The result stays valid until the last thread has read it: the next barrier completes only after that. */
extern "C" int pk_cpu_syncthreads_count(int predicate, int *threads)
{
    wait_at_barrier(predicate);
    *threads = running->met_threads;
    return running->met_predicates;
}

extern "C" void pk_cpu_nanosleep(unsigned ns)
{
    struct pk_cpu_block *block = running;
    if (!block)
        return;
    pk_engine_block_waits();
    if (block->n_threads > 1) {
        count_threads(block);
        if (block->begun < block->n_threads || block->runnable.count) {
            struct pk_fiber *next = next_fiber(block);
            push(&block->runnable, block->current);
            park(block, next);
            return;
        }
    }
    if (ns < 10000) {
        sched_yield();
    } else {
        const struct timespec pause = {0, (long)(ns < 1000000 ? ns : 1000000)};
        nanosleep(&pause, nullptr);
    }
}

extern "C" void *pk_cpu_dynamic_shared(void)
{
    return running->shared;
}

struct pk_cpu_block *pk_block_new(void)
{
    struct pk_cpu_block *block = (struct pk_cpu_block *)calloc(1, sizeof(*block));
    if (!block)
        return nullptr;
    block->home = pk_fiber_of_thread();
    block->current = block->home;
    for (unsigned i = 0; i < PK_MAX_BLOCK_THREADS; ++i)
        block->thread_order[i] = (unsigned short)i;
    return block;
}

void pk_block_bind(struct pk_cpu_block *block, const struct pk_op *op)
{
    block->op = op;
    block->n_threads = op->as.kernel.block_threads;
    gridDim = op->as.kernel.grid;
    blockDim = op->as.kernel.block;
    /* Exactly as large as was asked for, so that ASan sees an access past its end. */
    if (block->shared_bytes != op->as.kernel.shared_bytes) {
        free(block->shared);
        block->shared = nullptr;
        block->shared_bytes = op->as.kernel.shared_bytes;
        if (block->shared_bytes && posix_memalign(&block->shared, 128, block->shared_bytes) != 0)
            pk_engine_fault(cudaErrorLaunchOutOfResources);
    }
}

static void choose_thread_order(struct pk_cpu_block *block, uint64_t index)
{
    const unsigned n = block->n_threads;
    for (unsigned i = 0; i < n; ++i)
        block->thread_order[i] = (unsigned short)(pk_settings.order == PK_ORDER_REVERSE ? n - 1 - i : i);
    if (pk_settings.order != PK_ORDER_RANDOM)
        return;
    block->random = pk_settings.seed + mix(block->op->as.kernel.salt ^ mix(index + 1));
    for (unsigned left = n; left > 1; --left) {
        const unsigned other = (unsigned)(draw(&block->random) % left);
        const unsigned short thread = block->thread_order[left - 1];
        block->thread_order[left - 1] = block->thread_order[other];
        block->thread_order[other] = thread;
    }
}

void pk_block_run(struct pk_cpu_block *block, uint64_t index)
{
    const struct pk_op *op = block->op;
    const pk_cpu_kernel *code = op->as.kernel.code;
    const uint3 grid = op->as.kernel.grid;
    if (pk_settings.order == PK_ORDER_REVERSE)
        index = op->as.kernel.n_blocks - 1 - index;
    else if (pk_settings.order == PK_ORDER_RANDOM)
        index = pk_permute(index, op->as.kernel.n_blocks, pk_settings.seed ^ op->as.kernel.salt);
    if (grid.y == 1 && grid.z == 1) {
        blockIdx = uint3{(unsigned)index, 0, 0};
    } else {
        blockIdx.x = (unsigned)(index % grid.x);
        blockIdx.y = (unsigned)(index / grid.x % grid.y);
        blockIdx.z = (unsigned)(index / grid.x / grid.y);
    }
    running = block;
    block->begun = 0;
    block->ended = 0;
    pk_cpu_parked = nullptr;
    if (pk_settings.order == PK_ORDER_FREE || pk_settings.order == PK_ORDER_FIFO) {
        code->run_block(code->function, op->as.kernel.packet);
        if (!pk_cpu_parked) {
            running = nullptr;
            return;
        }
        /* The thread that this stack carried has ended; others may not have. */
        block->ended++;
        release_if_complete(block);
    } else {
        choose_thread_order(block, index);
    }
    run_threads(block);
    while (block->ended < block->n_threads)
        switch_to(block, next_fiber(block));
    running = nullptr;
}

void pk_block_abandon(struct pk_cpu_block *block)
{
    block->n_pool = 0;
    block->waiting.count = 0;
    block->runnable.count = 0;
    block->predicates = 0;
    block->current = block->home;
    running = nullptr;
}
