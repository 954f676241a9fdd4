/* What blocks wait for: for the watchdog of a program that hangs, and for PK_CPU_CHECK. */
#include "block.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void pk_block_note(struct pk_cpu_block *block, int activity, const char *file, int line)
{
    struct pk_block_status *status = &block->status;
    __atomic_store_n(&status->block[0], blockIdx.x, __ATOMIC_RELAXED);
    __atomic_store_n(&status->block[1], blockIdx.y, __ATOMIC_RELAXED);
    __atomic_store_n(&status->block[2], blockIdx.z, __ATOMIC_RELAXED);
    __atomic_store_n(&status->file, file, __ATOMIC_RELAXED);
    __atomic_store_n(&status->line, line, __ATOMIC_RELAXED);
    /* Release: pairs with describe_block's acquire, for the text of a stuck block. */
    __atomic_store_n(&status->activity, activity, __ATOMIC_RELEASE);
}

const char *pk_file_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : nullptr;
    return slash ? slash + 1 : path ? path : "?";
}

struct text {
    char *at;
    size_t left;
    const struct pk_op *op;
    int n, hidden;
};

static __attribute__((format(printf, 2, 3))) void put(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(text->at, text->left, format, arguments);
    va_end(arguments);
    const size_t used = n < 0 ? 0 : (size_t)n < text->left ? (size_t)n : text->left - 1;
    text->at += used;
    text->left -= used;
}

enum { BLOCKS_SHOWN = 6 };

static void describe_block(const struct pk_op *op, const struct pk_cpu_block *block, void *data)
{
    struct text *text = (struct text *)data;
    const struct pk_block_status *status = &block->status;
    const int activity = __atomic_load_n(&status->activity, __ATOMIC_ACQUIRE);
    if (activity == PK_BLOCK_NONE || text->left < 2)
        return;
    if (text->op != op) {
        put(text, "%skernel %s, %llu of %llu blocks begun", text->n ? "; " : "", op->as.kernel.code->name,
            (unsigned long long)(op->as.kernel.n_blocks - pk_blocks_left(op)),
            (unsigned long long)op->as.kernel.n_blocks);
        text->op = op;
        text->n = 0;
    }
    if (++text->n > BLOCKS_SHOWN) {
        text->hidden++;
        return;
    }
    uint3 index = {__atomic_load_n(&status->block[0], __ATOMIC_RELAXED),
                   __atomic_load_n(&status->block[1], __ATOMIC_RELAXED),
                   __atomic_load_n(&status->block[2], __ATOMIC_RELAXED)};
    if (activity == PK_BLOCK_RUNS_BATCH) /* noted for the first only */
        index = pk_block_index(op, __atomic_load_n(&block->batch->at, __ATOMIC_RELAXED));
    put(text, "; block (%u,%u,%u) ", index.x, index.y, index.z);
    const char *file = pk_file_name(__atomic_load_n(&status->file, __ATOMIC_RELAXED));
    const int line = __atomic_load_n(&status->line, __ATOMIC_RELAXED);
    switch (activity) {
    case PK_BLOCK_AT_GRID_BARRIER:
        put(text, "waits at the grid barrier at %s:%d with %u of %llu blocks", file, line,
            __atomic_load_n(&op->as.kernel.grid_arrived, __ATOMIC_RELAXED), (unsigned long long)op->as.kernel.n_blocks);
        break;
    case PK_BLOCK_POLLS:
        put(text, "polls at %s:%d", file, line);
        break;
    case PK_BLOCK_STUCK:
        put(text, "is stuck: %s", status->text);
        break;
    default:
        put(text, "runs");
    }
}

extern "C" void pk_cpu_describe_blocked(char *text, size_t bytes)
{
    if (bytes == 0)
        return;
    *text = '\0';
    struct text end = {text, bytes, nullptr, 0, 0};
    pk_engine_visit_blocks(describe_block, &end);
    if (end.hidden)
        put(&end, "; %d more blocks", end.hidden);
}

/* ---- a block that can never go on ---- */

static const char *what(const struct pk_thread *thread)
{
    return thread->state == PK_AT_BARRIER        ? "__syncthreads"
           : thread->state == PK_AT_GRID_BARRIER ? "the grid barrier"
           : thread->state == PK_AT_ACTIVEMASK   ? "__activemask"
           : thread->warp_op == PK_WARP_SYNC     ? "__syncwarp"
                                                 : "a warp function";
}

static bool same_place(const struct pk_thread *a, const struct pk_thread *b)
{
    return a->state == b->state && a->line == b->line && a->file == b->file;
}

/* "48 of 64 threads at __syncthreads (tile.cu:31), first (0,0,0); 16 at ..." */
void pk_describe_threads(const struct pk_cpu_block *block, char *buffer, size_t bytes)
{
    struct text text = {buffer, bytes, nullptr, 0, 0};
    unsigned ended = 0;
    for (unsigned t = 0; t < block->n_threads; ++t) {
        const struct pk_thread *thread = &block->threads[t];
        if (thread->state == PK_ENDED || thread->state == PK_RUNS) {
            ended += thread->state == PK_ENDED;
            continue;
        }
        unsigned before = 0, same = 0;
        for (unsigned u = 0; u < block->n_threads; ++u)
            if (same_place(&block->threads[u], thread)) {
                before += u < t;
                same++;
            }
        if (before)
            continue;
        put(&text, "%s%u of %u threads at %s (%s:%d), first thread %u", text.n++ ? "; " : "", same, block->n_threads,
            what(thread), pk_file_name(thread->file), thread->line, t);
    }
    if (ended)
        put(&text, "; %u ended", ended);
}

void pk_block_stuck(struct pk_cpu_block *block)
{
    pk_describe_threads(block, block->status.text, sizeof(block->status.text));
    if (pk_settings.check)
        pk_check_stuck(block->status.text);
    pk_block_note(block, PK_BLOCK_STUCK, nullptr, 0);
    pk_engine_block_waits();
    /* As on a GPU: it hangs. The process ends it, or a watchdog does. */
    const struct timespec long_time = {3600, 0};
    for (;;)
        nanosleep(&long_time, nullptr);
}
