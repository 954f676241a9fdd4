/* Ops: what they follow, and what their end makes ready. */
#include "op.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "engine.h"
#include "error.h"
#include "memory.h"
#include "os.h"

enum { SPIN_NS = 50000 }; /* of a host thread that waits: about what a sleep and wake-up costs */

void pk_records_do_not_fit(void)
{
    fprintf(stderr, "CPU device: out of host memory for its own records: end what else takes memory, raise the limit "
                    "(ulimit -v), or ask for smaller sizes\n");
    fflush(stdout);
    _exit(3); /* not exit(): the device's threads run, and one holds the lock */
}

struct pk_op *pk_op_new(enum pk_op_kind kind)
{
    struct pk_op *op = pk_engine.free_ops;
    if (op)
        pk_engine.free_ops = op->next;
    else if (posix_memalign((void **)&op, 64, sizeof(*op)) != 0)
        pk_records_do_not_fit();
    memset(op, 0, offsetof(struct pk_op, packet_inline));
    op->kind = kind;
    op->references = 1;
    op->after = op->after_inline;
    op->max_after = 2;
    return op;
}

void pk_op_drop_payload(struct pk_op *op)
{
    if (op->kind == PK_OP_KERNEL && op->as.kernel.grid.packet != op->packet_inline)
        free(op->as.kernel.grid.packet);
    if (op->kind == PK_OP_COPY)
        free(op->as.copy.staged);
    if (op->kind == PK_OP_ALLOCATE || op->kind == PK_OP_FREE)
        pk_ordered_release(op->as.memory);
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
    op->next = pk_engine.free_ops;
    pk_engine.free_ops = op;
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
            pk_records_do_not_fit();
        memcpy(after, earlier->after, (size_t)earlier->n_after * sizeof(*after));
        if (earlier->after != earlier->after_inline)
            free(earlier->after);
        earlier->after = after;
        earlier->max_after = max;
    }
    earlier->after[earlier->n_after++] = later;
    later->blockers++;
    later->follows = earlier;
}

void pk_kernel_begin(struct pk_op *op, bool early)
{
    struct pk_grid *grid = &op->as.kernel.grid;
    grid->changes = 0;
    grid->triggered = 0;
    grid->released = !early;
    op->as.kernel.early = early;
    op->as.kernel.over = false;
    pk_scope_grid_begins(grid);
    if (op->body) {
        op->as.kernel.next_block = 0;
        grid->salt = ++pk_engine.launches;
    }
    pk_seats_draw(op);
    pk_ready_add(op);
}

void pk_op_become_ready(struct pk_op *op, struct pk_op **finished)
{
    switch (op->kind) {
    case PK_OP_ALLOCATE:
    case PK_OP_FREE:
        pk_ordered_run(op);
        [[fallthrough]];
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
        pk_kernel_begin(op, false);
        return;
    case PK_OP_COPY:
    case PK_OP_FILL:
    case PK_OP_HOST:
        pk_scope_transfer_begins();
        break;
    }
    pk_ready_add(op);
}

/* The host may wait for this op, and looks at what it wrote. */
static void tell_host(struct pk_op *op)
{
    op->ended_ns = pk_now_ns();
    if (--pk_engine.unfinished == 0)
        pk_memory_open(false);
    /* Release: pairs with pk_op_wait, so that the host sees what the op wrote. */
    const uint32_t before = __atomic_exchange_n(&op->state, PK_OP_DONE, __ATOMIC_ACQ_REL);
    if (before == PK_OP_SLEPT_ON)
        pk_futex_wake(&op->state, INT_MAX);
}

/* For the next run: none of what it follows runs before this run ends. */
static void arm_again(struct pk_op *op)
{
    op->blockers = op->indegree;
    if (op->kind != PK_OP_KERNEL)
        return;
    op->as.kernel.early = op->as.kernel.over = false;
    op->as.kernel.grid.triggered = 0;
}

/* `earlier` has ended, which `op` follows. */
static void one_less_to_follow(struct pk_op *op, const struct pk_op *earlier, struct pk_op **finished)
{
    if (!op->body && op->follows == earlier)
        op->follows = nullptr;
    if (--op->blockers > 0) {
        pk_early_try(op);
    } else if (op->kind != PK_OP_KERNEL || !op->as.kernel.early) {
        pk_op_become_ready(op, finished);
    } else if (pk_early_catches_up(op)) {
        op->next = *finished;
        *finished = op;
    }
}

void pk_ops_end(struct pk_op *finished)
{
    while (finished) {
        struct pk_op *op = finished;
        finished = op->next;
        if (op->body)
            arm_again(op);
        else
            tell_host(op);
        for (int i = 0; i < op->n_after; ++i)
            one_less_to_follow(op->after[i], op, &finished);
        if (op->body) {
            pk_body_op_ended(op, &finished);
            continue;
        }
        if (op->kind == PK_OP_GRAPH)
            pk_graph_launch_ended(op, &finished);
        pk_op_release(op);
    }
}

void pk_op_promise(struct pk_op *op)
{
    op->references++; /* the engine's */
    op->blockers++;
    if (pk_engine.unfinished++ == 0)
        pk_memory_open(true);
}

void pk_op_let_go(struct pk_op *op)
{
    if (op->kind == PK_OP_KERNEL)
        op->as.kernel.grid.salt = ++pk_engine.launches;
    if (--op->blockers > 0) {
        pk_early_try(op);
        return;
    }
    struct pk_op *finished = nullptr;
    pk_op_become_ready(op, &finished);
    pk_ops_end(finished);
}

cudaError_t pk_op_wait(struct pk_op *op)
{
    const uint64_t start = pk_now_ns();
    for (int spins = 0;; ++spins) {
        if (pk_op_done(op))
            return pk_fault();
        pk_pause_briefly(spins);
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
        pk_futex_wait(&op->state, PK_OP_SLEPT_ON, &look_again);
    }
}
