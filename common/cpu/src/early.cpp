/* Programmatic dependent launches: a kernel that begins before the one ahead of it has ended. Source: CUDA C++
 * Programming Guide, "Programmatic Dependent Launch and Synchronization"; PTX ISA, "griddepcontrol".
 *
 * Whether two kernels overlap is the device's to choose. Here they do under what looks for mistakes, the schedules
 * reverse and random and PK_CPU_CHECK; else the one behind begins when the one ahead has ended, which costs nothing.
 *
 * A kernel lets those behind it begin when a thread of each of its blocks has said so, and there is none but it that
 * they wait for. Under reverse and PK_CPU_CHECK its last block to say so then stands still while they run ahead, as
 * far as they can without what it has still to write. An early kernel that is over ends, as an op, when what it follows
 * does: then all that comes behind in the stream has both. But the kernel behind it waits for it alone. So of three, A,
 * B and C, where B does not wait, C may find A's work undone, as on a GPU. */
#include "engine.h"

#include <limits.h>
#include <time.h>

#include "check.h"
#include "error.h"
#include "os.h"

enum {
    MOST_AHEAD = 2,         /* kernels that have begun one behind the other, and the first of them waits for a third */
    RUN_AHEAD_NS = 1000000, /* that a block stands still, at most */
    LAUNCH_NS = 200000      /* and for kernels that are still to be launched */
};

bool pk_cpu_overlaps;

/* How many kernels must end before all that `op`, which runs, follows has. */
static int depth(const struct pk_op *op)
{
    return op->as.kernel.early && op->blockers > 0 ? 1 + depth(op->follows) : 0;
}

static bool lets_begin(const struct pk_op *ahead)
{
    return ahead->as.kernel.over ||
           __atomic_load_n(&ahead->as.kernel.grid.triggered, __ATOMIC_ACQUIRE) == ahead->as.kernel.grid.n_blocks;
}

static void release(struct pk_grid *grid)
{
    pk_scope_grid_meets(grid);
    __atomic_store_n(&grid->released, 1, __ATOMIC_RELEASE); /* pairs with pk_cpu_wait_for_kernel_ahead */
    pk_futex_wake(&grid->released, INT_MAX);
}

void pk_early_try(struct pk_op *op)
{
    const struct pk_op *ahead = op->follows;
    if (!pk_cpu_overlaps || op->kind != PK_OP_KERNEL || !op->as.kernel.programmatic || op->as.kernel.early)
        return;
    if (op->blockers != 1 || (op->body && op->indegree != 1) || !ahead || ahead->kind != PK_OP_KERNEL)
        return;
    if (!lets_begin(ahead) || depth(ahead) >= MOST_AHEAD)
        return;
    pk_kernel_begin(op, true);
    if (ahead->as.kernel.over)
        release(&op->as.kernel.grid);
}

static bool is_early(const struct pk_op *op)
{
    return op->kind == PK_OP_KERNEL && op->as.kernel.early;
}

bool pk_early_over(struct pk_op *op)
{
    op->as.kernel.over = true;
    for (int i = 0; i < op->n_after; ++i)
        if (is_early(op->after[i]))
            release(&op->after[i]->as.kernel.grid);
        else if (op->blockers > 0)
            pk_early_try(op->after[i]);
    return op->blockers == 0;
}

bool pk_early_catches_up(struct pk_op *op)
{
    if (op->as.kernel.over)
        return true;
    for (int i = 0; i < op->n_after; ++i) { /* the depth of each has become less */
        struct pk_op *behind = op->after[i];
        pk_early_try(behind);
        for (int k = 0; is_early(behind) && k < behind->n_after; ++k)
            pk_early_try(behind->after[k]);
    }
    return false;
}

/* ---- what kernels call ---- */

/* The kernel is over, or has come as far as it can. */
static bool has_run_ahead(const struct pk_op *op)
{
    return op->as.kernel.over ||
           ((uint32_t)op->as.kernel.runners == __atomic_load_n(&op->as.kernel.grid.ahead_waits, __ATOMIC_RELAXED) &&
            (pk_blocks_left(op) == 0 || !pk_seat_is_free(op)));
}

/* Begin what is let begin and has not. Has nothing come yet that follows? Has all of it run ahead? */
static bool try_all(const struct pk_op *ahead, bool *none)
{
    bool all = true;
    pk_lock();
    for (int i = 0; i < ahead->n_after; ++i) {
        pk_early_try(ahead->after[i]);
        all &= !is_early(ahead->after[i]) || has_run_ahead(ahead->after[i]);
    }
    *none = ahead->n_after == 0;
    pk_unlock();
    return all;
}

/* The block stands still while the kernels behind run ahead; and for a moment where the host has launched none yet. */
static void stand_still(const struct pk_op *ahead)
{
    const struct timespec moment = {0, 10000};
    const uint64_t start = pk_now_ns();
    bool none = false;
    pk_runner_block_waits();
    while ((!try_all(ahead, &none) || none) && !pk_fault() &&
           pk_now_ns() - start < (uint64_t)(none ? LAUNCH_NS : RUN_AHEAD_NS))
        nanosleep(&moment, nullptr);
}

/* One thread's call counts for its block, and those of the others are the same call. A block that ends without one
 * lets the kernel behind begin when all others have ended too, and not before. */
extern "C" void pk_cpu_let_kernel_behind_begin(void)
{
    struct pk_cpu_block *block = pk_running_block;
    const uint64_t number = block ? block->batch->at + 1 : 0;
    if (!block || block->let_begin == number)
        return;
    block->let_begin = number;
    struct pk_grid *grid = block->grid;
    if (__atomic_add_fetch(&grid->triggered, 1, __ATOMIC_ACQ_REL) != grid->n_blocks)
        return;
    if (pk_settings.order != PK_ORDER_RANDOM) {
        stand_still(pk_self->kernel);
        return;
    }
    bool none;
    (void)try_all(pk_self->kernel, &none);
    (void)pk_turn_pass();
}

extern "C" void pk_cpu_wait_for_kernel_ahead(const char *file, int line)
{
    struct pk_cpu_block *block = pk_running_block;
    if (!block)
        return;
    struct pk_grid *grid = block->grid;
    const struct timespec look_again = {0, 20000000};
    if (!__atomic_load_n(&grid->released, __ATOMIC_ACQUIRE))
        (void)pk_thread_give_way(block, file, line); /* the block's other threads come as far as they can */
    while (!__atomic_load_n(&grid->released, __ATOMIC_ACQUIRE)) { /* pairs with release */
        pk_block_note(block, PK_BLOCK_WAITS_FOR_KERNEL, file, line);
        pk_turn_end();
        pk_runner_block_waits();
        __atomic_fetch_add(&grid->ahead_waits, 1, __ATOMIC_RELAXED);
        pk_futex_wait(&grid->released, 0, &look_again);
        __atomic_fetch_sub(&grid->ahead_waits, 1, __ATOMIC_RELAXED);
        pk_turn_begin();
        pk_block_note(block, PK_BLOCK_RUNS, nullptr, 0);
    }
    pk_scope_grid_met(grid);
}
