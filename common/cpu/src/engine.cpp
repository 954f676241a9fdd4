/* The order of work, and the OS threads that do it.
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
#include "check.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    SPIN_NS = 50000,         /* about what a sleep and wake-up costs on a busy virtual machine */
    SPIN_TURNS = 64,         /* of these, without giving way: about 2 us */
    TICK_NS = 2000000,       /* how often the ticker looks */
    QUIET_TICKS = 50,        /* then the ticker sleeps too */
    WORTH_WAKING_NS = 20000, /* of work left: below, a wake-up costs more than it saves */
    BATCH_NS = 10000         /* of blocks claimed at once: what the end of a kernel may wait for one OS thread */
};

/* Consecutive blocks that were claimed, and given back because one before them waits. */
struct pk_returned {
    uint64_t at, end;
    struct pk_returned *next;
};

struct runner {
    uint32_t wake;     /* futex word: 1 when there may be work. Release/acquire with sleep_until_woken */
    uint32_t progress; /* batches ended: relaxed, the ticker only looks for change */
    uint32_t waits;    /* 1: its block is taken as waiting. Written under the lock, read relaxed by the runner */
    uint32_t seen;     /* progress at the last tick */
    int still_ticks;   /* ticks since it changed */
    struct pk_op *kernel;
    int processor;
    struct pk_cpu_block *block;
    struct pk_cpu_batch batch; /* of `kernel`: what it runs. Written by claim_blocks, cut by cut_batch */
    struct runner *next_idle, *next;
    sigjmp_buf escape;
    cudaError_t fault;
};

struct processor {
    unsigned threads, blocks;
    size_t shared_bytes;
};

static struct {
    pthread_mutex_t lock;
    struct pk_op *ready; /* by priority, then first in first out */
    struct pk_op *free_ops;
    struct runner *runners, *idle, *to_wake;
    struct runner *spinner; /* the one that spins, or null */
    bool looking;           /* a runner has the lock and will look for work before it lets go */
    uint32_t epoch;         /* counts new work. Release, pairs with the spinner's acquire */
    int n_runners;
    bool may_batch; /* the system has what cut_batch needs */
    int busy;       /* runners in kernels that count */
    int waiting;    /* runners in kernels whose block is taken as waiting */
    struct processor processors[PK_MAX_SMS];
    bool ticker_runs;
    uint32_t ticker_asleep; /* futex word */
    int quiet_ticks;
    uint64_t launches;
    uint64_t unfinished; /* ops */
} engine;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread struct runner *self;
static __thread bool in_kernel, in_host_function;

void pk_settings_read(void);

uint64_t pk_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

extern "C" long long pk_cpu_clock_ns(void)
{
    return (long long)pk_now_ns();
}

/* One turn of a spin. After the first few, give way: the thread that is waited for may be on this very core. */
static void pause_briefly(int turn)
{
    if (turn > SPIN_TURNS) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static void futex_wait(uint32_t *word, uint32_t value, const struct timespec *timeout)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout, nullptr, 0);
}

static void futex_wake(uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, nullptr, nullptr, 0);
}

/* ---- the lock ---- */

void pk_lock(void)
{
    pthread_mutex_lock(&engine.lock);
}

void pk_unlock(void)
{
    struct runner *wake = engine.to_wake;
    engine.to_wake = nullptr;
    pthread_mutex_unlock(&engine.lock);
    while (wake) {
        struct runner *next = wake->next_idle;
        __atomic_store_n(&wake->wake, 1, __ATOMIC_RELEASE);
        futex_wake(&wake->wake, 1);
        wake = next;
    }
}

/* ---- ops ---- */

struct pk_op *pk_op_new(enum pk_op_kind kind)
{
    struct pk_op *op = engine.free_ops;
    if (op)
        engine.free_ops = op->next;
    else if (posix_memalign((void **)&op, 64, sizeof(*op)) != 0)
        abort(); /* less than 1 KB: the process cannot go on */
    memset(op, 0, offsetof(struct pk_op, packet_inline));
    op->kind = kind;
    op->references = 1;
    op->after = op->after_inline;
    op->max_after = 2;
    return op;
}

void pk_op_drop_payload(struct pk_op *op)
{
    if (op->kind == PK_OP_KERNEL && op->as.kernel.packet != op->packet_inline)
        free(op->as.kernel.packet);
    if (op->kind == PK_OP_COPY)
        free(op->as.copy.staged);
    op->kind = PK_OP_MARK;
}

struct pk_op *pk_op_ended_now(void)
{
    struct pk_op *op = pk_op_new(PK_OP_MARK);
    op->ended_ns = pk_now_ns();
    op->state = PK_OP_DONE;
    return op;
}

void pk_op_release(struct pk_op *op)
{
    if (!op || --op->references > 0)
        return;
    if (op->after != op->after_inline)
        free(op->after);
    pk_op_drop_payload(op);
    op->next = engine.free_ops;
    engine.free_ops = op;
}

bool pk_op_done(const struct pk_op *op)
{
    return __atomic_load_n(&op->state, __ATOMIC_ACQUIRE) == PK_OP_DONE;
}

void pk_op_follow(struct pk_op *later, struct pk_op *earlier)
{
    if (!earlier || earlier->state == PK_OP_DONE)
        return;
    if (earlier->n_after == earlier->max_after) {
        const int max = 4 * earlier->max_after;
        struct pk_op **after = (struct pk_op **)malloc((size_t)max * sizeof(*after));
        if (!after)
            abort();
        memcpy(after, earlier->after, (size_t)earlier->n_after * sizeof(*after));
        if (earlier->after != earlier->after_inline)
            free(earlier->after);
        earlier->after = after;
        earlier->max_after = max;
    }
    earlier->after[earlier->n_after++] = later;
    later->blockers++;
}

static void *runner_main(void *argument);
static void *ticker_main(void *);

static bool start_thread(void *(*entry)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    /* Signals are for the host's threads. */
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    const int failed = pthread_create(&thread, &attributes, entry, argument);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    return failed == 0;
}

/* There is work that one more runner could do. */
static void want_runner(void)
{
    __atomic_fetch_add(&engine.epoch, 1, __ATOMIC_RELEASE);
    if (engine.spinner || engine.looking)
        return;
    struct runner *runner = engine.idle;
    if (runner) {
        engine.idle = runner->next_idle;
        runner->next_idle = engine.to_wake;
        engine.to_wake = runner;
        return;
    }
    runner = (struct runner *)calloc(1, sizeof(*runner));
    if (!runner)
        return; /* those that run will come to it */
    runner->next = engine.runners;
    engine.runners = runner;
    if (!start_thread(runner_main, runner)) {
        engine.runners = runner->next;
        free(runner);
        return;
    }
    engine.n_runners++;
}

static bool may_count_one_more(void)
{
    const int limit = engine.waiting > pk_settings.parallel ? engine.waiting : pk_settings.parallel;
    return engine.busy < limit;
}

static void list_ready(struct pk_op *op)
{
    if (op->body)
        op->priority = pk_body_priority(op);
    struct pk_op **at = &engine.ready;
    while (*at && (*at)->priority <= op->priority)
        at = &(*at)->next;
    op->next = *at;
    *at = op;
    if (op->kind != PK_OP_KERNEL) {
        want_runner();
        return;
    }
    op->as.kernel.listed = true;
    if (may_count_one_more())
        want_runner();
    if (__atomic_load_n(&engine.ticker_asleep, __ATOMIC_RELAXED)) {
        __atomic_store_n(&engine.ticker_asleep, 0, __ATOMIC_RELEASE);
        futex_wake(&engine.ticker_asleep, 1);
    }
    if (!engine.ticker_runs)
        engine.ticker_runs = start_thread(ticker_main, nullptr);
}

static void unlist(struct pk_op *op)
{
    struct pk_op **at = &engine.ready;
    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
}

static void finish(struct pk_op *finished);

void pk_op_become_ready(struct pk_op *op, struct pk_op **finished)
{
    switch (op->kind) {
    case PK_OP_MARK:
        op->next = *finished;
        *finished = op;
        return;
    case PK_OP_GRAPH:
    case PK_OP_RECORD:
    case PK_OP_WAIT:
        pk_graph_ready(op, finished);
        return;
    case PK_OP_KERNEL:
        if (op->body) {
            op->as.kernel.next_block = 0;
            op->as.kernel.salt = ++engine.launches;
        }
        break;
    case PK_OP_COPY:
    case PK_OP_FILL:
    case PK_OP_HOST:
        break;
    }
    list_ready(op);
}

/* The host may wait for this op, and looks at what it wrote. */
static void tell_host(struct pk_op *op)
{
    op->ended_ns = pk_now_ns();
    if (--engine.unfinished == 0)
        pk_memory_open(false);
    /* Release: pairs with pk_op_wait, so that the host sees what the op wrote. */
    const uint32_t before = __atomic_exchange_n(&op->state, PK_OP_DONE, __ATOMIC_ACQ_REL);
    if (before == PK_OP_SLEPT_ON)
        futex_wake(&op->state, INT_MAX);
}

/* A list of ops that have ended, and what that ends in turn. */
static void finish(struct pk_op *finished)
{
    while (finished) {
        struct pk_op *op = finished;
        finished = op->next;
        if (op->body)
            op->blockers = op->indegree; /* for the next run: none of what it follows runs before this run ends */
        else
            tell_host(op);
        for (int i = 0; i < op->n_after; ++i)
            if (--op->after[i]->blockers == 0)
                pk_op_become_ready(op->after[i], &finished);
        if (op->body) {
            pk_body_op_ended(op, &finished);
            continue;
        }
        if (op->kind == PK_OP_GRAPH)
            pk_graph_launch_ended(op, &finished);
        pk_op_release(op);
    }
}

void pk_op_submit(struct pk_op *op, struct CUstream_st *stream)
{
    op->priority = stream->priority;
    op->references++; /* the engine's */
    op->blockers++;   /* until all edges are in */
    pk_op_follow(op, stream->last);
    if (stream == &pk_legacy_stream) {
        for (struct CUstream_st *other = pk_streams; other; other = other->next)
            if (!(other->flags & cudaStreamNonBlocking))
                pk_op_follow(op, other->last);
    } else if (!(stream->flags & cudaStreamNonBlocking)) {
        pk_op_follow(op, pk_legacy_stream.last);
    }
    pk_op_release(stream->last);
    stream->last = op;
    op->references++;
    if (engine.unfinished++ == 0)
        pk_memory_open(true);
    if (op->kind == PK_OP_KERNEL)
        op->as.kernel.salt = ++engine.launches;
    if (--op->blockers > 0)
        return;
    struct pk_op *finished = nullptr;
    pk_op_become_ready(op, &finished);
    finish(finished);
}

void pk_op_promise(struct pk_op *op)
{
    op->references++; /* the engine's */
    op->blockers++;
    if (engine.unfinished++ == 0)
        pk_memory_open(true);
}

cudaError_t pk_op_wait(struct pk_op *op)
{
    const uint64_t start = pk_now_ns();
    for (int spins = 0;; ++spins) {
        if (pk_op_done(op))
            return pk_fault();
        pause_briefly(spins);
        if (spins % 16 == 0 && (pk_fault() || pk_now_ns() - start > SPIN_NS))
            break;
    }
    /* A fault can leave blocks behind that never end: look for it now and then. */
    const struct timespec look_again = {0, 20000000};
    for (;;) {
        if (pk_fault())
            return pk_fault();
        uint32_t pending = PK_OP_PENDING;
        if (!__atomic_compare_exchange_n(&op->state, &pending, PK_OP_SLEPT_ON, false, __ATOMIC_ACQUIRE,
                                         __ATOMIC_ACQUIRE) &&
            pending == PK_OP_DONE)
            return pk_fault();
        futex_wait(&op->state, PK_OP_SLEPT_ON, &look_again);
    }
}

/* ---- seats ---- */

static size_t seat_shared_bytes(const struct pk_op *op)
{
    return op->as.kernel.static_shared_bytes + op->as.kernel.shared_bytes + PK_SHARED_RESERVED_BYTES;
}

/* A seat for one block of the kernel on the emptiest processor that has room, or -1. */
static int find_seat(const struct pk_op *op)
{
    const unsigned threads = pk_whole_warps(op->as.kernel.block_threads);
    const size_t shared_bytes = seat_shared_bytes(op);
    int best = -1;
    for (int i = 0; i < pk_settings.processors; ++i) {
        const struct processor *p = &engine.processors[i];
        if (p->threads + threads <= PK_MAX_SM_THREADS && p->blocks < PK_MAX_SM_BLOCKS &&
            p->shared_bytes + shared_bytes <= PK_SHARED_SM_BYTES &&
            (best < 0 || p->threads < engine.processors[best].threads))
            best = i;
    }
    return best;
}

static void change_seat(const struct pk_op *op, int processor, int sign)
{
    struct processor *p = &engine.processors[processor];
    p->threads += (unsigned)sign * pk_whole_warps(op->as.kernel.block_threads);
    p->blocks += (unsigned)sign;
    p->shared_bytes += (size_t)sign * seat_shared_bytes(op);
}

/* A cooperative grid takes all its seats at once or none, so that two of them cannot hold half of theirs each. */
static bool take_all_seats(struct pk_op *op)
{
    const uint64_t n = op->as.kernel.n_blocks;
    unsigned char *seats = (unsigned char *)malloc(n);
    if (!seats)
        return false;
    for (uint64_t i = 0; i < n; ++i) {
        const int seat = find_seat(op);
        if (seat < 0) {
            while (i > 0)
                change_seat(op, seats[--i], -1);
            free(seats);
            return false;
        }
        change_seat(op, seat, 1);
        seats[i] = (unsigned char)seat;
    }
    op->as.kernel.seats = seats;
    return true;
}

static void leave_all_seats(struct pk_op *op)
{
    for (uint64_t i = 0; i < op->as.kernel.n_blocks; ++i)
        change_seat(op, op->as.kernel.seats[i], -1);
    free(op->as.kernel.seats);
    op->as.kernel.seats = nullptr;
}

/* Whether one more OS thread may run blocks of the kernel. */
static bool has_seat(const struct pk_op *op)
{
    if (op->as.kernel.seats)
        return (uint64_t)op->as.kernel.runners < op->as.kernel.n_blocks;
    return find_seat(op) >= 0;
}

/* A seat for the next OS thread that runs blocks of the kernel, taken; or -1. */
static int take_seat(struct pk_op *op)
{
    if (op->as.kernel.cooperative) {
        if (!op->as.kernel.seats && !take_all_seats(op))
            return -1;
        return has_seat(op) ? op->as.kernel.seats[op->as.kernel.runners] : -1;
    }
    const int seat = find_seat(op);
    if (seat >= 0)
        change_seat(op, seat, 1);
    return seat;
}

uint64_t pk_blocks_left(const struct pk_op *op)
{
    const uint64_t next = __atomic_load_n(&op->as.kernel.next_block, __ATOMIC_RELAXED);
    return (next < op->as.kernel.n_blocks ? op->as.kernel.n_blocks - next : 0) +
           __atomic_load_n(&op->as.kernel.n_returned, __ATOMIC_RELAXED);
}

/* A number that changes when a block ends. */
static uint32_t progress_of(const struct runner *runner)
{
    return __atomic_load_n(&runner->progress, __ATOMIC_RELAXED) +
           (uint32_t)__atomic_load_n(&runner->batch.at, __ATOMIC_RELAXED);
}

/* The first op that this runner can work on, or null. */
static struct pk_op *take_work(struct runner *runner)
{
    struct pk_op *next;
    struct pk_op *taken = nullptr;
    for (struct pk_op *op = engine.ready; op; op = next) {
        next = op->next;
        if (op->kind != PK_OP_KERNEL) {
            if (taken) {
                want_runner();
                break;
            }
            unlist(op);
            taken = op;
            continue;
        }
        if (pk_blocks_left(op) == 0) {
            unlist(op);
            op->as.kernel.listed = false;
            continue;
        }
        if (!may_count_one_more())
            continue;
        if (taken) {
            /* For another kernel: one more may start. For more blocks of the same one: its runner asks. */
            if (has_seat(op)) {
                want_runner();
                break;
            }
            continue;
        }
        const int seat = take_seat(op);
        if (seat < 0)
            continue;
        runner->processor = seat;
        runner->kernel = op;
        __atomic_store_n(&runner->waits, 0, __ATOMIC_RELAXED);
        runner->seen = progress_of(runner) - 1;
        runner->still_ticks = 0;
        op->as.kernel.runners++;
        engine.busy++;
        taken = op;
        if (op->as.kernel.spread && pk_blocks_left(op) > 1 && may_count_one_more() && has_seat(op))
            want_runner();
    }
    return taken;
}

/* ---- kernels ---- */

/* With the lock held: blocks at..end of the kernel, which were claimed, are for others. */
static void give_blocks_back(struct pk_op *op, uint64_t at, uint64_t end)
{
    struct pk_returned *blocks = (struct pk_returned *)malloc(sizeof(*blocks));
    if (!blocks)
        abort(); /* some bytes: the process cannot go on */
    *blocks = {at, end, op->as.kernel.returned};
    op->as.kernel.returned = blocks;
    __atomic_store_n(&op->as.kernel.n_returned, op->as.kernel.n_returned + (end - at), __ATOMIC_RELAXED);
    if (!op->as.kernel.listed)
        list_ready(op);
}

/* With the lock held: one block that was given back, or false. */
static bool take_returned(struct pk_op *op, uint64_t *index)
{
    struct pk_returned *blocks = op->as.kernel.returned;
    if (!blocks)
        return false;
    *index = blocks->at++;
    __atomic_store_n(&op->as.kernel.n_returned, op->as.kernel.n_returned - 1, __ATOMIC_RELAXED);
    if (blocks->at == blocks->end) {
        op->as.kernel.returned = blocks->next;
        free(blocks);
    }
    return true;
}

/* With the lock held: the runner's block seems to wait, so what follows it in its batch is for others. The runner
 * stores `at` and then reads `end` without a fence between, so the system has it pass one (membarrier) between our
 * store of `end` and our second load of `at`. If `at` is the same then, the runner will find the new end when its
 * block is over. If not, it does not wait: the old end comes back, and the runner, if it has met the new one, asks
 * under the lock (run_batch). No two batches of several blocks end alike in a kernel, so the exchanges fail if it has a
 * new one. */
static void cut_batch(struct runner *runner)
{
    struct pk_cpu_batch *batch = &runner->batch;
    const uint64_t end = __atomic_load_n(&batch->end, __ATOMIC_ACQUIRE); /* pairs with claim_blocks */
    const uint64_t at = __atomic_load_n(&batch->at, __ATOMIC_ACQUIRE);   /* pairs with claim_blocks */
    uint64_t expected = end, cut = at + 1;
    if (end <= cut ||
        !__atomic_compare_exchange_n(&batch->end, &expected, cut, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return;
    if (runner != self)
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    if (__atomic_load_n(&batch->at, __ATOMIC_SEQ_CST) == at)
        give_blocks_back(runner->kernel, at + 1, end);
    else
        __atomic_compare_exchange_n(&batch->end, &cut, end, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* For the runner itself: whether blocks would follow its block. */
static bool batch_has_more(const struct runner *runner)
{
    return __atomic_load_n(&runner->batch.end, __ATOMIC_RELAXED) > runner->batch.at + 1;
}

/* After a fault: what is left of the kernel does not run. */
static void drop_blocks(struct runner *runner, struct pk_op *op)
{
    uint64_t index;
    __atomic_store_n(&op->as.kernel.next_block, op->as.kernel.n_blocks, __ATOMIC_RELAXED);
    pk_lock();
    __atomic_store_n(&runner->batch.end, 0, __ATOMIC_RELAXED);
    while (take_returned(op, &index))
        ;
    pk_unlock();
}

/* With the lock held: the runner's block counts again, or is taken as waiting. */
static void set_waits(struct runner *runner, bool waits)
{
    if (waits && runner->kernel) {
        __atomic_store_n(&runner->kernel->as.kernel.spread, true, __ATOMIC_RELAXED);
        cut_batch(runner);
    }
    if ((runner->waits != 0) == waits)
        return;
    __atomic_store_n(&runner->waits, waits, __ATOMIC_RELAXED);
    engine.waiting += waits ? 1 : -1;
    engine.busy += waits ? -1 : 1;
}

/* With the lock held: if blocks wait for a seat that may be taken, have it taken. */
static void fill_seats(void)
{
    for (struct pk_op *op = engine.ready; op; op = op->next)
        if (op->kind == PK_OP_KERNEL && pk_blocks_left(op) > 0 && may_count_one_more() && has_seat(op)) {
            want_runner();
            return;
        }
}

void pk_engine_block_waits(void)
{
    struct runner *runner = self;
    if (!runner || (__atomic_load_n(&runner->waits, __ATOMIC_RELAXED) && !batch_has_more(runner)))
        return;
    pk_lock();
    set_waits(runner, true);
    fill_seats();
    pk_unlock();
}

void pk_engine_block_alone(void)
{
    struct runner *runner = self;
    if (!runner || !batch_has_more(runner))
        return;
    pk_lock();
    __atomic_store_n(&runner->kernel->as.kernel.alone, true, __ATOMIC_RELAXED);
    cut_batch(runner);
    pk_unlock();
}

void pk_grid_meet(struct pk_cpu_block *block)
{
    struct pk_op *op = self->kernel;
    (void)block;
    const uint32_t phase = __atomic_load_n(&op->as.kernel.grid_phase, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&op->as.kernel.grid_arrived, 1, __ATOMIC_ACQ_REL) == op->as.kernel.n_blocks) {
        __atomic_store_n(&op->as.kernel.grid_arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&op->as.kernel.grid_phase, phase + 1, __ATOMIC_RELEASE);
        futex_wake(&op->as.kernel.grid_phase, INT_MAX);
        return;
    }
    pk_engine_block_waits();
    while (__atomic_load_n(&op->as.kernel.grid_phase, __ATOMIC_ACQUIRE) == phase)
        futex_wait(&op->as.kernel.grid_phase, phase, nullptr);
}

void pk_engine_visit_blocks(void (*visit)(const struct pk_op *op, const struct pk_cpu_block *block, void *data),
                            void *data)
{
    pk_lock();
    for (const struct runner *runner = engine.runners; runner; runner = runner->next)
        if (runner->kernel && runner->block)
            visit(runner->kernel, runner->block, data);
    pk_unlock();
}

/* Blocks for the runner: as many as `most` if nobody has given any back. Their end, or 0: none is left. */
static uint64_t claim_blocks(struct runner *runner, struct pk_op *op, uint64_t most)
{
    const uint64_t n = op->as.kernel.n_blocks;
    uint64_t first = n, end = 0;
    if (__atomic_load_n(&op->as.kernel.n_returned, __ATOMIC_RELAXED)) {
        pk_lock();
        if (take_returned(op, &first))
            end = first + 1;
        pk_unlock();
    }
    if (end == 0) {
        first = __atomic_fetch_add(&op->as.kernel.next_block, most, __ATOMIC_RELAXED);
        if (first >= n)
            return 0;
        end = most < n - first ? first + most : n;
    }
    /* Releases, pair with cut_batch, which reads `end` and then `at`: it cannot have one of each batch. */
    __atomic_store_n(&runner->batch.end, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&runner->batch.at, first, __ATOMIC_RELEASE);
    __atomic_store_n(&runner->batch.end, end, __ATOMIC_RELEASE);
    return end;
}

/* Runs what was claimed, or what is left of it when it is cut. */
static void run_batch(struct runner *runner, uint64_t end)
{
    struct pk_cpu_batch *batch = &runner->batch;
    for (bool more = true; more;) {
        pk_block_run(runner->block);
        more = false;
        if (batch->at < end) { /* somebody has lowered the end, and may have changed his mind */
            pk_lock();
            more = batch->at < __atomic_load_n(&batch->end, __ATOMIC_RELAXED);
            pk_unlock();
        }
    }
    __atomic_store_n(&runner->progress, runner->progress + 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&runner->waits, __ATOMIC_RELAXED)) {
        pk_lock();
        set_waits(runner, false);
        pk_unlock();
    }
}

/* How many blocks to claim at once, if the last took so long: the rest is shared out, more finely towards its end. */
static uint64_t batch_size(const struct pk_op *op, uint64_t block_ns)
{
    if (__atomic_load_n(&op->as.kernel.spread, __ATOMIC_RELAXED) ||
        __atomic_load_n(&op->as.kernel.alone, __ATOMIC_RELAXED))
        return 1;
    const uint64_t by_time = BATCH_NS / (block_ns ? block_ns : 1);
    const uint64_t by_share = pk_blocks_left(op) / (2 * (uint64_t)pk_settings.parallel);
    const uint64_t size = by_time < by_share ? by_time : by_share;
    return size ? size : 1;
}

static void run_blocks(struct runner *runner, struct pk_op *op)
{
    const uint64_t n = op->as.kernel.n_blocks;
    const bool batches = n > 1 && engine.may_batch && pk_block_takes_batches(op);
    uint64_t before = n > 1 ? pk_now_ns() : 0, most = 1;
    bool asked = n == 1;
    while (const uint64_t end = claim_blocks(runner, op, most)) {
        const uint64_t first = runner->batch.at;
        run_batch(runner, end);
        const uint64_t left = pk_blocks_left(op);
        if (n == 1 || left == 0 || (asked && !batches))
            continue;
        const uint64_t now = pk_now_ns(), block_ns = (now - before) / (runner->batch.at - first);
        before = now;
        if (batches)
            most = batch_size(op, block_ns);
        if (!asked && block_ns * left > WORTH_WAKING_NS) {
            asked = true;
            pk_lock();
            fill_seats();
            pk_unlock();
        }
    }
}

static void report_fault(const struct pk_op *op, cudaError_t error)
{
    fprintf(stderr, "CPU device: %s (%s) in kernel %s, block (%u,%u,%u), thread (%u,%u,%u)\n", cudaGetErrorName(error),
            cudaGetErrorString(error), op->as.kernel.code->name, blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x,
            threadIdx.y, threadIdx.z);
}

static void run_kernel(struct runner *runner, struct pk_op *op)
{
    if (sigsetjmp(runner->escape, 0) == 0) {
        in_kernel = true;
        pk_block_bind(runner->block, op);
        run_blocks(runner, op);
        in_kernel = false;
        return;
    }
    in_kernel = false;
    report_fault(op, runner->fault);
    pk_set_fault(runner->fault);
    pk_block_abandon(runner->block);
    drop_blocks(runner, op);
}

void pk_engine_fault(cudaError_t error)
{
    self->fault = error;
    siglongjmp(self->escape, 1);
}

const struct pk_op *pk_engine_running_kernel(void)
{
    return self && in_kernel ? self->kernel : nullptr;
}

bool pk_engine_in_kernel(void)
{
    return in_kernel;
}

extern "C" void pk_cpu_trap(void)
{
    if (!in_kernel)
        abort();
    pk_engine_fault(cudaErrorLaunchFailure);
}

/* ---- faults: a bad access in a kernel ends the kernel, as on a GPU. Sanitizers report it better themselves. ---- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(PK_CPU_TSAN_)
#define PK_CATCH_FAULTS 1
static struct sigaction before_segv, before_bus, before_fpe;

/* PK_CPU_CHECK has the addresses around allocations to itself, so it knows what a bad one is. */
static void describe_bad_access(const void *address)
{
    char what[320];
    if (!pk_settings.check)
        return;
    if (in_kernel && !pk_memory_reachable(address, 1, what, sizeof(what)))
        fprintf(stderr, "CPU device: check: bad access at %p, %s\n", address, what);
    else if (!in_kernel && pk_memory_is_device_only(address, what, sizeof(what)))
        fprintf(stderr, "CPU device: check: the host reads or writes device memory: %p is in %s\n", address, what);
}

static void on_signal(int signal, siginfo_t *info, void *)
{
    if (signal == SIGSEGV)
        describe_bad_access(info->si_addr);
    if (in_kernel) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, signal);
        pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        pk_engine_fault(signal == SIGSEGV  ? cudaErrorIllegalAddress
                        : signal == SIGBUS ? cudaErrorMisalignedAddress
                                           : cudaErrorLaunchFailure);
    }
    /* Not a kernel's: as if this handler were not there. The access is tried again and meets the old one. */
    sigaction(signal, signal == SIGSEGV ? &before_segv : signal == SIGBUS ? &before_bus : &before_fpe, nullptr);
}

static void catch_faults(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &before_segv);
    sigaction(SIGBUS, &action, &before_bus);
    sigaction(SIGFPE, &action, &before_fpe);
}

/* The handler needs its own stack: the fault may be that a thread's stack is full. */
static void give_signal_stack(void)
{
    stack_t stack;
    memset(&stack, 0, sizeof(stack));
    stack.ss_size = 64 * 1024;
    stack.ss_sp = malloc(stack.ss_size);
    if (stack.ss_sp)
        sigaltstack(&stack, nullptr);
}
#endif

/* ---- runners ---- */

static void run_op(struct runner *runner, struct pk_op *op)
{
    if (pk_fault()) {
        if (op->kind == PK_OP_KERNEL)
            drop_blocks(runner, op);
        return; /* after a fault work ends without being done */
    }
    switch (op->kind) {
    case PK_OP_KERNEL:
        run_kernel(runner, op);
        break;
    case PK_OP_COPY:
        pk_copy_run(op);
        break;
    case PK_OP_FILL:
        pk_fill_run(op);
        break;
    case PK_OP_HOST:
        in_host_function = true;
        op->as.host.function(op->as.host.user_data);
        in_host_function = false;
        break;
    case PK_OP_MARK:
    case PK_OP_GRAPH:
    case PK_OP_RECORD:
    case PK_OP_WAIT:
        break;
    }
}

/* With the lock held. */
static void leave_op(struct runner *runner, struct pk_op *op)
{
    if (op->kind == PK_OP_KERNEL) {
        set_waits(runner, false);
        engine.busy--;
        runner->kernel = nullptr;
        if (!op->as.kernel.cooperative)
            change_seat(op, runner->processor, -1);
        if (--op->as.kernel.runners > 0 || pk_blocks_left(op) > 0)
            return;
        if (op->as.kernel.seats)
            leave_all_seats(op);
        if (op->as.kernel.listed) {
            unlist(op);
            op->as.kernel.listed = false;
        }
    }
    op->next = nullptr;
    finish(op);
}

/* Wait for new work for a moment, without the lock. */
static void spin(uint32_t epoch)
{
    const uint64_t start = pk_now_ns();
    for (int spins = 1;; ++spins) {
        if (__atomic_load_n(&engine.epoch, __ATOMIC_ACQUIRE) != epoch)
            return;
        pause_briefly(spins);
        if (spins % 16 == 0 && pk_now_ns() - start > SPIN_NS)
            return;
    }
}

static void sleep_until_woken(struct runner *runner)
{
    while (__atomic_load_n(&runner->wake, __ATOMIC_ACQUIRE) == 0)
        futex_wait(&runner->wake, 0, nullptr);
    __atomic_store_n(&runner->wake, 0, __ATOMIC_RELAXED);
}

static void *runner_main(void *argument)
{
    struct runner *runner = (struct runner *)argument;
    self = runner;
    runner->block = pk_block_new(&runner->batch);
    if (!runner->block)
        abort();
#if defined(PK_CATCH_FAULTS)
    give_signal_stack();
#endif
    bool spun = false;
    pk_lock();
    for (;;) {
        engine.looking = false;
        struct pk_op *op = take_work(runner);
        if (op) {
            pk_unlock();
            run_op(runner, op);
            pk_lock();
            engine.looking = true;
            leave_op(runner, op);
            spun = false;
            continue;
        }
        if (!spun && !engine.spinner) {
            engine.spinner = runner;
            const uint32_t epoch = __atomic_load_n(&engine.epoch, __ATOMIC_RELAXED);
            pk_unlock();
            spin(epoch);
            pk_lock();
            engine.spinner = nullptr;
            spun = __atomic_load_n(&engine.epoch, __ATOMIC_RELAXED) == epoch;
            continue;
        }
        runner->next_idle = engine.idle;
        engine.idle = runner;
        pk_unlock();
        sleep_until_woken(runner);
        spun = true;
        pk_lock();
    }
    return nullptr;
}

/* Looks every tick for blocks that have not ended since the last, and lets others take seats beside them. */
static void *ticker_main(void *)
{
    const struct timespec tick = {0, TICK_NS};
    for (;;) {
        nanosleep(&tick, nullptr);
        pk_lock();
        engine.quiet_ticks = engine.busy || engine.waiting || engine.ready ? 0 : engine.quiet_ticks + 1;
        for (struct runner *runner = engine.runners; runner; runner = runner->next) {
            const uint32_t progress = progress_of(runner);
            runner->still_ticks = progress == runner->seen ? runner->still_ticks + 1 : 0;
            if (runner->kernel && runner->still_ticks >= pk_settings.patience_ticks) {
                set_waits(runner, true);
            }
            runner->seen = progress;
        }
        fill_seats();
        const bool sleeps = engine.quiet_ticks > QUIET_TICKS;
        if (sleeps)
            __atomic_store_n(&engine.ticker_asleep, 1, __ATOMIC_RELAXED);
        pk_unlock();
        while (sleeps && __atomic_load_n(&engine.ticker_asleep, __ATOMIC_ACQUIRE))
            futex_wait(&engine.ticker_asleep, 1, nullptr);
    }
    return nullptr;
}

/* ---- start ---- */

static void start(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&engine.lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    pk_settings_read();
    engine.may_batch = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
    if (pk_settings.check)
        atexit(pk_memory_report_leaks);
#if defined(PK_CATCH_FAULTS)
    catch_faults();
#endif
}

cudaError_t pk_enter(void)
{
    pthread_once(&once, start);
    if (!pk_settings.valid)
        return cudaErrorInitializationError;
    if (in_host_function)
        return cudaErrorNotPermitted;
    return pk_fault();
}
