/* What blocks wait for: for the watchdog of a program that hangs. */
#include "engine.h"
#include "text.h"

struct report {
    struct pk_text text;
    const struct pk_op *op;
    int n, hidden;
};

enum { BLOCKS_SHOWN = 6 };

static void describe_block(const struct pk_op *op, const struct pk_cpu_block *block, void *data)
{
    struct report *report = (struct report *)data;
    struct pk_text *text = &report->text;
    const struct pk_block_status *status = &block->status;
    const int activity = __atomic_load_n(&status->activity, __ATOMIC_ACQUIRE);
    if (activity == PK_BLOCK_NONE || text->left < 2)
        return;
    if (report->op != op) {
        pk_put(text, "%skernel %s, %llu of %llu blocks begun", report->n ? "; " : "", op->as.kernel.grid.code->name,
               (unsigned long long)(op->as.kernel.grid.n_blocks - pk_blocks_left(op)),
               (unsigned long long)op->as.kernel.grid.n_blocks);
        report->op = op;
        report->n = 0;
    }
    if (++report->n > BLOCKS_SHOWN) {
        report->hidden++;
        return;
    }
    uint3 index = {__atomic_load_n(&status->block[0], __ATOMIC_RELAXED),
                   __atomic_load_n(&status->block[1], __ATOMIC_RELAXED),
                   __atomic_load_n(&status->block[2], __ATOMIC_RELAXED)};
    if (activity == PK_BLOCK_RUNS_BATCH) /* noted for the first only */
        index = pk_block_index(&op->as.kernel.grid, __atomic_load_n(&block->batch->at, __ATOMIC_RELAXED));
    pk_put(text, "; block (%u,%u,%u) ", index.x, index.y, index.z);
    const char *file = pk_file_name(__atomic_load_n(&status->file, __ATOMIC_RELAXED));
    const int line = __atomic_load_n(&status->line, __ATOMIC_RELAXED);
    switch (activity) {
    case PK_BLOCK_AT_GRID_BARRIER:
        pk_put(text, "waits at the grid barrier at %s:%d with %u of %llu blocks", file, line,
               __atomic_load_n(&op->as.kernel.grid.arrived, __ATOMIC_RELAXED),
               (unsigned long long)op->as.kernel.grid.n_blocks);
        break;
    case PK_BLOCK_POLLS:
        pk_put(text, "polls at %s:%d", file, line);
        break;
    case PK_BLOCK_STUCK:
        pk_put(text, "is stuck: %s", status->text);
        break;
    default:
        pk_put(text, "runs");
    }
}

extern "C" void pk_cpu_describe_blocked(char *text, size_t bytes)
{
    if (bytes == 0)
        return;
    *text = '\0';
    struct report report = {{text, bytes}, nullptr, 0, 0};
    pk_visit_blocks(describe_block, &report);
    if (report.hidden)
        pk_put(&report.text, "; %d more blocks", report.hidden);
}
