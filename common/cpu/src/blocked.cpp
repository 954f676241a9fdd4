/* What blocks wait for: for the watchdog of a program that hangs. */
#include "engine.h"

#include <string.h>

#include "text.h"

enum { STATES = 16, STATES_SHOWN = 6 };

/* Blocks of one kernel that are in the same state at the same place. */
struct state {
    const struct pk_op *op;
    int activity;
    const char *file;
    int line;
    const char *stuck;   /* its text */
    int arrivals, bytes; /* that are lacking at an mbarrier */
    uint3 first;
    unsigned blocks;
};

struct report {
    struct state states[STATES];
    unsigned n_states, hidden;
};

static bool same_state(const struct state *a, const struct state *b)
{
    return a->op == b->op && a->activity == b->activity && a->file == b->file && a->line == b->line &&
           a->arrivals == b->arrivals && a->bytes == b->bytes && (!a->stuck || strcmp(a->stuck, b->stuck) == 0);
}

static uint64_t number_of(const struct pk_op *op, uint3 block)
{
    const uint3 size = op->as.kernel.grid.size;
    return ((uint64_t)block.z * size.y + block.y) * size.x + block.x;
}

static void note_block(const struct pk_op *op, const struct pk_cpu_block *block, void *data)
{
    struct report *report = (struct report *)data;
    const struct pk_block_status *status = &block->status;
    const int activity = __atomic_load_n(&status->activity, __ATOMIC_ACQUIRE);
    if (activity == PK_BLOCK_NONE)
        return;
    struct state state = {op,
                          activity == PK_BLOCK_RUNS_BATCH ? (int)PK_BLOCK_RUNS : activity,
                          pk_file_name(__atomic_load_n(&status->file, __ATOMIC_RELAXED)),
                          __atomic_load_n(&status->line, __ATOMIC_RELAXED),
                          activity == PK_BLOCK_STUCK ? status->text : nullptr,
                          activity == PK_BLOCK_AT_MBARRIER ? __atomic_load_n(&status->arrivals, __ATOMIC_RELAXED) : 0,
                          activity == PK_BLOCK_AT_MBARRIER ? __atomic_load_n(&status->bytes, __ATOMIC_RELAXED) : 0,
                          {__atomic_load_n(&status->block[0], __ATOMIC_RELAXED),
                           __atomic_load_n(&status->block[1], __ATOMIC_RELAXED),
                           __atomic_load_n(&status->block[2], __ATOMIC_RELAXED)},
                          1};
    if (activity == PK_BLOCK_RUNS_BATCH) /* noted for the first only */
        state.first = pk_block_index(&op->as.kernel.grid, __atomic_load_n(&block->batch->at, __ATOMIC_RELAXED));
    for (unsigned i = 0; i < report->n_states; ++i)
        if (same_state(&report->states[i], &state)) {
            if (number_of(op, state.first) < number_of(op, report->states[i].first))
                report->states[i].first = state.first;
            report->states[i].blocks++;
            return;
        }
    if (report->n_states == STATES)
        report->hidden++;
    else
        report->states[report->n_states++] = state;
}

/* Copies that are under way land at the wait: what is lacking then, nobody has asked for. */
static void put_lacking(struct pk_text *text, const struct state *state)
{
    if (state->arrivals > 0)
        pk_put(text, " that lacks %d arrival%s", state->arrivals, state->arrivals > 1 ? "s" : "");
    if (state->bytes > 0)
        pk_put(text, "%s%d bytes that no copy brings", state->arrivals > 0 ? " and " : " that lacks ", state->bytes);
    if (state->arrivals < 0)
        pk_put(text, "%s more arrivals than its count", state->bytes > 0 ? " and has" : " that has");
    if (state->bytes < 0)
        pk_put(text, "%s %d bytes more than were expected", state->arrivals ? " and has" : " that has", -state->bytes);
}

static void put_state(struct pk_text *text, const struct state *state)
{
    const struct pk_grid *grid = &state->op->as.kernel.grid;
    pk_put(text, "; block (%u,%u,%u) ", state->first.x, state->first.y, state->first.z);
    switch (state->activity) {
    case PK_BLOCK_AT_GRID_BARRIER:
        pk_put(text, "waits at the grid barrier at %s:%d with %u of %llu blocks", state->file, state->line,
               __atomic_load_n(&grid->arrived, __ATOMIC_RELAXED), (unsigned long long)grid->n_blocks);
        break;
    case PK_BLOCK_POLLS:
        pk_put(text, "polls at %s:%d", state->file, state->line);
        break;
    case PK_BLOCK_AT_MBARRIER:
        pk_put(text, "polls at %s:%d, for a phase of a barrier in shared memory", state->file, state->line);
        put_lacking(text, state);
        break;
    case PK_BLOCK_WAITS_FOR_KERNEL:
        pk_put(text, "waits for the kernel ahead of it at %s:%d", state->file, state->line);
        break;
    case PK_BLOCK_STUCK:
        pk_put(text, "is stuck, since not all its threads reach one barrier: %s", state->stuck);
        break;
    default:
        pk_put(text, "runs");
    }
    if (state->blocks > 1)
        pk_put(text, ", as do%s %u other%s", state->blocks > 2 ? "" : "es", state->blocks - 1,
               state->blocks > 2 ? "s" : "");
}

/* What all states of the kernel together say: who ended before the others met, and who has not begun. */
static void put_rest(struct pk_text *text, const struct report *report, const struct pk_op *op)
{
    const struct pk_grid *grid = &op->as.kernel.grid;
    const uint64_t left = pk_blocks_left(op);
    uint64_t live = 0;
    bool at_barrier = false;
    for (unsigned i = 0; i < report->n_states; ++i)
        if (report->states[i].op == op) {
            live += report->states[i].blocks;
            at_barrier |= report->states[i].activity == PK_BLOCK_AT_GRID_BARRIER;
        }
    const uint64_t ended = grid->n_blocks - left > live ? grid->n_blocks - left - live : 0;
    if (at_barrier && ended && !report->hidden)
        pk_put(text, "; %llu ended and never %s to that barrier", (unsigned long long)ended,
               ended > 1 ? "come" : "comes");
    if (left && !grid->cooperative)
        pk_put(text,
               "; %llu have not begun, and a launch promises no residency: to wait for one takes a cooperative launch",
               (unsigned long long)left);
}

static bool described_before(const struct report *report, unsigned i)
{
    for (unsigned j = 0; j < i; ++j)
        if (report->states[j].op == report->states[i].op)
            return true;
    return false;
}

static void put_kernel(struct pk_text *text, const struct report *report, unsigned first)
{
    const struct pk_op *op = report->states[first].op;
    const struct pk_grid *grid = &op->as.kernel.grid;
    unsigned shown = 0, hidden = 0;
    pk_put(text, "%skernel %s, %llu of %llu blocks begun", first ? "; " : "", grid->code->name,
           (unsigned long long)(grid->n_blocks - pk_blocks_left(op)), (unsigned long long)grid->n_blocks);
    for (unsigned i = first; i < report->n_states; ++i) {
        if (report->states[i].op != op)
            continue;
        if (shown++ < STATES_SHOWN)
            put_state(text, &report->states[i]);
        else
            hidden += report->states[i].blocks;
    }
    if (hidden)
        pk_put(text, "; %u more blocks", hidden);
    put_rest(text, report, op);
}

extern "C" void pk_cpu_describe_blocked(char *text, size_t bytes)
{
    if (bytes == 0)
        return;
    *text = '\0';
    struct report report = {};
    struct pk_text out = {text, bytes};
    pk_lock(); /* kernels stay what they are while they are described */
    pk_visit_blocks(note_block, &report);
    for (unsigned i = 0; i < report.n_states; ++i)
        if (!described_before(&report, i))
            put_kernel(&out, &report, i);
    pk_unlock();
    if (report.hidden)
        pk_put(&out, "; %u more blocks", report.hidden);
}
