/* What a block waits for: noted for others to read, and told when it can never go on. */
#include "block.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "text.h"

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
    struct pk_text text = {buffer, bytes};
    unsigned places = 0;
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
        pk_put(&text, "%s%u of %u threads at %s (%s:%d), first thread %u", places++ ? "; " : "", same, block->n_threads,
               what(thread), pk_file_name(thread->file), thread->line, t);
    }
    if (ended)
        pk_put(&text, "; %u ended", ended);
}

void pk_block_stuck(struct pk_cpu_block *block)
{
    pk_describe_threads(block, block->status.text, sizeof(block->status.text));
    if (pk_settings.check)
        pk_check_stuck(block->status.text);
    pk_block_note(block, PK_BLOCK_STUCK, nullptr, 0);
    pk_turn_end();
    pk_runner_block_waits();
    /* As on a GPU: it hangs. The process ends it, or a watchdog does. */
    const struct timespec long_time = {3600, 0};
    for (;;)
        nanosleep(&long_time, nullptr);
}
