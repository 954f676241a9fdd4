/* The runners: OS threads that take work that is ready, and the ticker, which looks for blocks that wait. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "copy.h"
#include "error.h"
#include "os.h"
#include "settings.h"

enum {
    SPIN_NS = 50000,   /* about what a sleep and wake-up costs on a busy virtual machine */
    TICK_NS = 2000000, /* how often the ticker looks */
    QUIET_TICKS = 50   /* then the ticker sleeps too */
};

static void *runner_main(void *argument);
static void *ticker_main(void *);

/* ---- who is wanted ---- */

/* Runners that are there will come to the work; but if there are none, nobody ever does. */
static void cannot_start(const char *what)
{
    static bool told;
    if (!told)
        fprintf(stderr, "CPU device: the system does not give the device %s; %s\n", what,
                pk_engine.n_runners ? "blocks that wait for each other may hang for that" : "no kernel can run");
    told = true;
    if (pk_engine.n_runners == 0)
        pk_set_fault(cudaErrorLaunchOutOfResources);
}

/* There is work that one more runner could do. */
static void want_runner(void)
{
    __atomic_fetch_add(&pk_engine.epoch, 1, __ATOMIC_RELEASE);
    if (pk_engine.spinner || pk_engine.looking)
        return;
    struct pk_runner *runner = pk_engine.idle;
    if (runner) {
        pk_engine.idle = runner->next_idle;
        runner->next_idle = pk_engine.to_wake;
        pk_engine.to_wake = runner;
        return;
    }
    runner = (struct pk_runner *)calloc(1, sizeof(*runner));
    if (!runner) {
        cannot_start("memory for a thread");
        return;
    }
    runner->next = pk_engine.runners;
    pk_engine.runners = runner;
    if (!pk_start_thread(runner_main, runner)) {
        pk_engine.runners = runner->next;
        free(runner);
        cannot_start("a thread (a limit on processes: ulimit -u, pids.max; or on memory: ulimit -v)");
        return;
    }
    pk_engine.n_runners++;
}

static bool may_count_one_more(void)
{
    if (pk_settings.order == PK_ORDER_RANDOM) /* it has the turn */
        return pk_engine.busy < 1;
    const int limit = pk_engine.waiting > pk_settings.parallel ? pk_engine.waiting : pk_settings.parallel;
    return pk_engine.busy < limit;
}

void pk_ready_add(struct pk_op *op)
{
    if (op->body)
        op->priority = pk_body_priority(op);
    struct pk_op **at = &pk_engine.ready;
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
    if (__atomic_load_n(&pk_engine.ticker_asleep, __ATOMIC_RELAXED)) {
        __atomic_store_n(&pk_engine.ticker_asleep, 0, __ATOMIC_RELEASE);
        pk_futex_wake(&pk_engine.ticker_asleep, 1);
    }
    if (!pk_engine.ticker_runs)
        pk_engine.ticker_runs = pk_start_thread(ticker_main, nullptr);
}

void pk_ready_remove(struct pk_op *op)
{
    struct pk_op **at = &pk_engine.ready;
    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
}

void pk_runner_set_waits(struct pk_runner *runner, bool waits)
{
    if (waits && runner->kernel) {
        __atomic_store_n(&runner->kernel->as.kernel.spread, true, __ATOMIC_RELAXED);
        pk_batch_cut(runner);
    }
    if ((runner->waits != 0) == waits)
        return;
    __atomic_store_n(&runner->waits, waits, __ATOMIC_RELAXED);
    pk_engine.waiting += waits ? 1 : -1;
    pk_engine.busy += waits ? -1 : 1;
}

bool pk_block_can_start(void)
{
    for (const struct pk_op *op = pk_engine.ready; op; op = op->next)
        if (op->kind == PK_OP_KERNEL && pk_blocks_left(op) > 0 && pk_seat_is_free(op))
            return true;
    return false;
}

void pk_seats_fill(void)
{
    for (struct pk_op *op = pk_engine.ready; op; op = op->next)
        if (op->kind == PK_OP_KERNEL && pk_blocks_left(op) > 0 && may_count_one_more() && pk_seat_is_free(op)) {
            want_runner();
            return;
        }
}

/* ---- what blocks and others ask ---- */

const struct pk_op *pk_running_kernel(void)
{
    return pk_self && pk_in_kernel ? pk_self->kernel : nullptr;
}

void pk_runner_block_waits(void)
{
    struct pk_runner *runner = pk_self;
    if (!runner || (__atomic_load_n(&runner->waits, __ATOMIC_RELAXED) && !pk_batch_has_more(runner)))
        return;
    pk_lock();
    pk_runner_set_waits(runner, true);
    pk_seats_fill();
    pk_unlock();
}

void pk_runner_block_alone(void)
{
    struct pk_runner *runner = pk_self;
    if (!runner || !pk_batch_has_more(runner))
        return;
    pk_lock();
    __atomic_store_n(&runner->kernel->as.kernel.alone, true, __ATOMIC_RELAXED);
    pk_batch_cut(runner);
    pk_unlock();
}

void pk_visit_blocks(void (*visit)(const struct pk_op *op, const struct pk_cpu_block *block, void *data), void *data)
{
    for (const struct pk_runner *runner = pk_engine.runners; runner; runner = runner->next)
        if (runner->kernel && runner->block)
            visit(runner->kernel, runner->block, data);
}

/* ---- what runners do ---- */

/* The first op that this runner can work on, or null. */
static struct pk_op *take_work(struct pk_runner *runner)
{
    struct pk_op *next;
    struct pk_op *taken = nullptr;
    for (struct pk_op *op = pk_engine.ready; op; op = next) {
        next = op->next;
        if (op->kind != PK_OP_KERNEL) {
            if (taken) {
                want_runner();
                break;
            }
            pk_ready_remove(op);
            if (pk_tracing())
                pk_trace_op_begins_now(op);
            taken = op;
            continue;
        }
        if (pk_blocks_left(op) == 0) {
            pk_ready_remove(op);
            op->as.kernel.listed = false;
            continue;
        }
        if (!may_count_one_more())
            continue;
        if (taken) {
            /* For another kernel: one more may start. For more blocks of the same one: its runner asks. */
            if (pk_seat_is_free(op)) {
                want_runner();
                break;
            }
            continue;
        }
        const int seat = pk_seat_take(op);
        if (seat < 0)
            continue;
        runner->processor = seat;
        runner->kernel = op;
        __atomic_store_n(&runner->waits, 0, __ATOMIC_RELAXED);
        runner->seen = pk_progress_of(runner) - 1;
        runner->still_ticks = 0;
        op->as.kernel.runners++;
        if (pk_tracing())
            pk_trace_op_begins_now(op);
        pk_engine.busy++;
        taken = op;
        if (op->as.kernel.spread && pk_blocks_left(op) > 1 && may_count_one_more() && pk_seat_is_free(op))
            want_runner();
    }
    return taken;
}

static void run_op(struct pk_runner *runner, struct pk_op *op)
{
    if (pk_fault()) {
        if (op->kind == PK_OP_KERNEL)
            pk_blocks_drop(runner, op);
        return; /* after a fault work ends without being done */
    }
    switch (op->kind) {
    case PK_OP_KERNEL:
        pk_kernel_run(runner, op);
        break;
    case PK_OP_COPY:
        pk_copy_run(op);
        break;
    case PK_OP_FILL:
        pk_fill_run(op);
        break;
    case PK_OP_HOST:
        pk_in_host_function = true;
        op->as.host.function(op->as.host.user_data);
        pk_in_host_function = false;
        break;
    case PK_OP_MARK:
    case PK_OP_GRAPH:
    case PK_OP_RECORD:
    case PK_OP_WAIT:
    case PK_OP_ALLOCATE:
    case PK_OP_FREE:
        break;
    }
}

/* With the lock held. */
static void leave_op(struct pk_runner *runner, struct pk_op *op)
{
    if (op->kind == PK_OP_KERNEL) {
        pk_runner_set_waits(runner, false);
        pk_engine.busy--;
        runner->kernel = nullptr;
        pk_seat_leave(op, runner->processor);
        if (--op->as.kernel.runners > 0 || pk_blocks_left(op) > 0)
            return;
        pk_scope_grid_ends();
        if (op->as.kernel.seats)
            pk_seats_end(op);
        if (op->as.kernel.listed) {
            pk_ready_remove(op);
            op->as.kernel.listed = false;
        }
    }
    if (pk_tracing())
        pk_trace_op_ends_now(op);
    op->began_ns = 0; /* a graph runs it again */
    if (op->kind == PK_OP_KERNEL && !pk_early_over(op))
        return;
    op->next = nullptr;
    pk_ops_end(op);
}

/* Wait for new work for a moment, without the lock. */
static void spin(uint32_t epoch)
{
    const uint64_t start = pk_now_ns();
    for (int spins = 1;; ++spins) {
        if (__atomic_load_n(&pk_engine.epoch, __ATOMIC_ACQUIRE) != epoch)
            return;
        pk_pause_briefly(spins);
        if (spins % 16 == 0 && pk_now_ns() - start > SPIN_NS)
            return;
    }
}

static void sleep_until_woken(struct pk_runner *runner)
{
    while (__atomic_load_n(&runner->wake, __ATOMIC_ACQUIRE) == 0)
        pk_futex_wait(&runner->wake, 0, nullptr);
    __atomic_store_n(&runner->wake, 0, __ATOMIC_RELAXED);
}

static void *runner_main(void *argument)
{
    struct pk_runner *runner = (struct pk_runner *)argument;
    pk_self = runner;
    runner->block = pk_block_new(&runner->batch);
    if (!runner->block) {
        fprintf(stderr, "CPU device: no memory for the threads of a block\n");
        pk_set_fault(cudaErrorMemoryAllocation); /* and so none is run here */
    }
    pk_faults_prepare_thread();
    bool spun = false;
    pk_lock();
    for (;;) {
        pk_engine.looking = false;
        struct pk_op *op = take_work(runner);
        if (op) {
            pk_unlock();
            run_op(runner, op);
            pk_lock();
            pk_engine.looking = true;
            leave_op(runner, op);
            spun = false;
            continue;
        }
        if (!spun && !pk_engine.spinner) {
            pk_engine.spinner = runner;
            const uint32_t epoch = __atomic_load_n(&pk_engine.epoch, __ATOMIC_RELAXED);
            pk_unlock();
            spin(epoch);
            pk_lock();
            pk_engine.spinner = nullptr;
            spun = __atomic_load_n(&pk_engine.epoch, __ATOMIC_RELAXED) == epoch;
            continue;
        }
        runner->next_idle = pk_engine.idle;
        pk_engine.idle = runner;
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
        pk_engine.quiet_ticks = pk_engine.busy || pk_engine.waiting || pk_engine.ready ? 0 : pk_engine.quiet_ticks + 1;
        for (struct pk_runner *runner = pk_engine.runners; runner; runner = runner->next) {
            const uint32_t progress = pk_progress_of(runner);
            runner->still_ticks = progress == runner->seen ? runner->still_ticks + 1 : 0;
            if (runner->kernel && runner->still_ticks >= pk_settings.patience_ticks) {
                pk_turn_revoke(runner);
                pk_runner_set_waits(runner, true);
            }
            runner->seen = progress;
        }
        pk_seats_fill();
        const bool sleeps = pk_engine.quiet_ticks > QUIET_TICKS;
        if (sleeps)
            __atomic_store_n(&pk_engine.ticker_asleep, 1, __ATOMIC_RELAXED);
        pk_unlock();
        while (sleeps && __atomic_load_n(&pk_engine.ticker_asleep, __ATOMIC_ACQUIRE))
            pk_futex_wait(&pk_engine.ticker_asleep, 1, nullptr);
    }
    return nullptr;
}
