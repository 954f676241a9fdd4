/* Who runs which block: claims of blocks, one or a batch at a time, and what becomes of a batch whose block waits. */
#include "engine.h"

#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os.h"
#include "settings.h"

enum {
    WORTH_WAKING_NS = 20000, /* of work left: below, a wake-up costs more than it saves */
    BATCH_NS = 10000         /* of blocks claimed at once: what the end of a kernel may wait for one OS thread */
};

/* Consecutive blocks that were claimed, and given back because one before them waits. */
struct pk_returned {
    uint64_t at, end;
    struct pk_returned *next;
};

uint64_t pk_blocks_left(const struct pk_op *op)
{
    const uint64_t next = __atomic_load_n(&op->as.kernel.next_block, __ATOMIC_RELAXED);
    return (next < op->as.kernel.grid.n_blocks ? op->as.kernel.grid.n_blocks - next : 0) +
           __atomic_load_n(&op->as.kernel.n_returned, __ATOMIC_RELAXED);
}

uint32_t pk_progress_of(const struct pk_runner *runner)
{
    return __atomic_load_n(&runner->progress, __ATOMIC_RELAXED) +
           (uint32_t)__atomic_load_n(&runner->batch.at, __ATOMIC_RELAXED);
}

/* With the lock held: blocks at..end of the kernel, which were claimed, are for others. */
static void give_blocks_back(struct pk_op *op, uint64_t at, uint64_t end)
{
    struct pk_returned *blocks = (struct pk_returned *)malloc(sizeof(*blocks));
    if (!blocks)
        pk_records_do_not_fit();
    *blocks = {at, end, op->as.kernel.returned};
    op->as.kernel.returned = blocks;
    __atomic_store_n(&op->as.kernel.n_returned, op->as.kernel.n_returned + (end - at), __ATOMIC_RELAXED);
    if (!op->as.kernel.listed)
        pk_ready_add(op);
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
void pk_batch_cut(struct pk_runner *runner)
{
    struct pk_cpu_batch *batch = &runner->batch;
    const uint64_t end = __atomic_load_n(&batch->end, __ATOMIC_ACQUIRE); /* pairs with claim_blocks */
    const uint64_t at = __atomic_load_n(&batch->at, __ATOMIC_ACQUIRE);   /* pairs with claim_blocks */
    uint64_t expected = end, cut = at + 1;
    if (end <= cut ||
        !__atomic_compare_exchange_n(&batch->end, &expected, cut, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        return;
    if (runner != pk_self)
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    if (__atomic_load_n(&batch->at, __ATOMIC_SEQ_CST) == at)
        give_blocks_back(runner->kernel, at + 1, end);
    else
        __atomic_compare_exchange_n(&batch->end, &cut, end, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

bool pk_batch_has_more(const struct pk_runner *runner)
{
    return __atomic_load_n(&runner->batch.end, __ATOMIC_RELAXED) > runner->batch.at + 1;
}

void pk_blocks_drop(struct pk_runner *runner, struct pk_op *op)
{
    uint64_t index;
    __atomic_store_n(&op->as.kernel.next_block, op->as.kernel.grid.n_blocks, __ATOMIC_RELAXED);
    pk_lock();
    __atomic_store_n(&runner->batch.end, 0, __ATOMIC_RELAXED);
    while (take_returned(op, &index))
        ;
    pk_unlock();
}

/* Blocks for the runner: as many as `most` if nobody has given any back. Their end, or 0: none is left. */
static uint64_t claim_blocks(struct pk_runner *runner, struct pk_op *op, uint64_t most)
{
    const uint64_t n = op->as.kernel.grid.n_blocks;
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
    /* Releases, pair with pk_batch_cut, which reads `end` and then `at`: it cannot have one of each batch. */
    __atomic_store_n(&runner->batch.end, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&runner->batch.at, first, __ATOMIC_RELEASE);
    __atomic_store_n(&runner->batch.end, end, __ATOMIC_RELEASE);
    return end;
}

/* Runs what was claimed, or what is left of it when it is cut. */
static void run_batch(struct pk_runner *runner, uint64_t end)
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
        pk_runner_set_waits(runner, false);
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

void pk_blocks_run(struct pk_runner *runner, struct pk_op *op)
{
    const uint64_t n = op->as.kernel.grid.n_blocks;
    const bool batches = n > 1 && pk_engine.may_batch && pk_block_takes_batches(&op->as.kernel.grid);
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
            pk_seats_fill();
            pk_unlock();
        }
    }
}
