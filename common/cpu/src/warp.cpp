/* Warps: threads meet by mask and exchange values. The threads of a warp are fibers like all others, so they stand
 * together only where a mask says so. A meeting is complete when every lane of its mask that has not ended is there;
 * the last to arrive works out every lane's result, and lanes whose masks differ do not meet. */
#include "warps.h"

#include "check.h"

static uint64_t bit(unsigned lane)
{
    return (uint64_t)1 << lane;
}

void pk_warps_reset(struct pk_cpu_block *block)
{
    const unsigned pairs = (block->n_threads + PK_PAIR_THREADS - 1) / PK_PAIR_THREADS;
    for (unsigned p = 0; p < pairs; ++p) {
        const unsigned here = block->n_threads - p * PK_PAIR_THREADS;
        block->pairs[p].n_meetings = block->pairs[p].n_at_activemask = 0;
        block->pairs[p].gone = here >= PK_PAIR_THREADS ? 0 : ~(uint64_t)0 << here;
    }
}

/* ---- results ---- */

/* The lane that a shuffle reads, counted in the pair. `argument` holds how far and, above, the width. */
static unsigned shuffle_source(enum pk_cpu_warp_op op, unsigned lane, int argument)
{
    const unsigned width = (unsigned)argument >> 16, by = (unsigned)argument & 0xffff;
    const unsigned first = lane & ~(width - 1), last = lane | (width - 1);
    unsigned from = lane;
    if (op == PK_WARP_SHUFFLE)
        return first | (by & (width - 1));
    if (op == PK_WARP_SHUFFLE_UP)
        return lane < first + by ? lane : lane - by;
    if (op == PK_WARP_SHUFFLE_DOWN)
        from = lane + by;
    else
        from = lane ^ by;
    return from > last ? lane : from;
}

static uint64_t reduce(const struct pk_thread *threads, uint64_t lanes, enum pk_cpu_warp_op op)
{
    uint64_t result = 0;
    bool first = true;
    for (uint64_t left = lanes; left; left &= left - 1) {
        const uint64_t value = threads[__builtin_ctzll(left)].value;
        switch (first ? PK_WARP_SYNC : op) {
        case PK_WARP_REDUCE_ADD:
            result = (uint32_t)(result + value);
            break;
        case PK_WARP_REDUCE_MIN: /* values are shifted so that unsigned order is theirs */
            result = value < result ? value : result;
            break;
        case PK_WARP_REDUCE_MAX:
            result = value > result ? value : result;
            break;
        case PK_WARP_REDUCE_AND:
            result &= value;
            break;
        case PK_WARP_REDUCE_OR:
            result |= value;
            break;
        case PK_WARP_REDUCE_XOR:
            result ^= value;
            break;
        default:
            result = value;
        }
        first = false;
    }
    return result;
}

/* The lanes of `lanes` whose value is `value`. */
static uint64_t equal_to(const struct pk_thread *threads, uint64_t lanes, uint64_t value)
{
    uint64_t equal = 0;
    for (uint64_t left = lanes; left; left &= left - 1) {
        const unsigned lane = (unsigned)__builtin_ctzll(left);
        if (threads[lane].value == value)
            equal |= bit(lane);
    }
    return equal;
}

/* A shuffle from a lane that is not there has no result in CUDA: a NaN, whatever the type's size. */
static const uint64_t no_value = 0x7ff7fff77ff77ff7u;

static void work_out_results(struct pk_thread *threads, uint64_t lanes)
{
    const unsigned first = (unsigned)__builtin_ctzll(lanes);
    const enum pk_cpu_warp_op common = (enum pk_cpu_warp_op)threads[first].warp_op;
    uint64_t all = 0;
    if (common == PK_WARP_BALLOT)
        all = lanes & ~equal_to(threads, lanes, 0);
    else if (common == PK_WARP_MATCH_ALL)
        all = equal_to(threads, lanes, threads[first].value) == lanes ? lanes : 0;
    else if (common >= PK_WARP_REDUCE_ADD)
        all = reduce(threads, lanes, common);
    for (uint64_t left = lanes; left; left &= left - 1) {
        const unsigned lane = (unsigned)__builtin_ctzll(left);
        const enum pk_cpu_warp_op op = (enum pk_cpu_warp_op)threads[lane].warp_op;
        if (op >= PK_WARP_SHUFFLE && op <= PK_WARP_SHUFFLE_XOR) {
            const unsigned from = shuffle_source(op, lane, threads[lane].argument);
            threads[lane].result = lanes & bit(from) ? threads[from].value : no_value;
        } else if (op == PK_WARP_MATCH_ANY) {
            threads[lane].result = equal_to(threads, lanes, threads[lane].value);
        } else {
            threads[lane].result = all;
        }
    }
}

/* ---- meetings ---- */

static void wake_lanes(struct pk_cpu_block *block, unsigned first_thread, uint64_t lanes)
{
    unsigned order[PK_PAIR_THREADS], n = 0;
    for (uint64_t left = lanes; left; left &= left - 1)
        order[n++] = (unsigned)__builtin_ctzll(left);
    if (pk_settings.order == PK_ORDER_RANDOM) {
        for (unsigned left = n; left > 1; --left) {
            const unsigned other = pk_block_draw(block, left), last = order[left - 1];
            order[left - 1] = order[other];
            order[other] = last;
        }
    }
    const bool reverse = pk_settings.order == PK_ORDER_REVERSE;
    for (unsigned i = 0; i < n; ++i)
        pk_thread_wake(block, first_thread + order[reverse ? n - 1 - i : i]);
}

static bool complete_meeting(struct pk_cpu_block *block, unsigned p, unsigned i)
{
    struct pk_pair *pair = &block->pairs[p];
    struct pk_meeting *meeting = &pair->meetings[i];
    if (meeting->mask & ~pair->gone & ~meeting->arrived)
        return false;
    const uint64_t lanes = meeting->arrived;
    *meeting = pair->meetings[--pair->n_meetings];
    work_out_results(&block->threads[p * PK_PAIR_THREADS], lanes);
    pk_check_warp_meets(block, p * PK_PAIR_THREADS, lanes);
    wake_lanes(block, p * PK_PAIR_THREADS, lanes);
    return true;
}

/* Threads at __activemask go on when no thread of their warp can run without them: those at the same call are the
 * active ones. That is how far a GPU's threads would stand together. */
static void complete_activemask(struct pk_cpu_block *block, unsigned t)
{
    struct pk_pair *pair = &block->pairs[t / PK_PAIR_THREADS];
    if (pair->n_at_activemask == 0)
        return;
    const unsigned first = t / (unsigned)warpSize * (unsigned)warpSize;
    unsigned last = first + (unsigned)warpSize;
    if (last > block->n_threads)
        last = block->n_threads;
    const struct pk_thread *leader = nullptr;
    for (unsigned i = first; i < last; ++i) {
        if (block->threads[i].state == PK_RUNS)
            return;
        if (block->threads[i].state == PK_AT_ACTIVEMASK && !leader)
            leader = &block->threads[i];
    }
    uint64_t lanes = 0;
    for (unsigned i = first; leader && i < last; ++i) {
        const struct pk_thread *thread = &block->threads[i];
        if (thread->state == PK_AT_ACTIVEMASK && thread->line == leader->line && thread->file == leader->file)
            lanes |= bit(i % PK_PAIR_THREADS);
    }
    if (!lanes)
        return;
    const unsigned base = t / PK_PAIR_THREADS * PK_PAIR_THREADS;
    for (uint64_t left = lanes; left; left &= left - 1)
        block->threads[base + (unsigned)__builtin_ctzll(left)].result = lanes;
    pair->n_at_activemask -= (unsigned)__builtin_popcountll(lanes);
    wake_lanes(block, base, lanes);
}

void pk_warp_thread_left(struct pk_cpu_block *block, unsigned t, bool ended)
{
    struct pk_pair *pair = &block->pairs[t / PK_PAIR_THREADS];
    if (ended) {
        pair->gone |= bit(t % PK_PAIR_THREADS);
        for (unsigned i = 0; i < pair->n_meetings;)
            if (!complete_meeting(block, t / PK_PAIR_THREADS, i))
                i++;
    }
    complete_activemask(block, t);
}

extern "C" unsigned long long pk_cpu_warp(enum pk_cpu_warp_op op, unsigned long long mask, unsigned lanes,
                                          unsigned long long value, int argument, const char *file, int line)
{
    struct pk_cpu_block *block = pk_running_block;
    const unsigned t = pk_thread_number(), p = t / PK_PAIR_THREADS, lane = t % PK_PAIR_THREADS;
    const unsigned shift = lanes == 32 ? lane & 32 : 0; /* masks of 32 bits count from their own warp's first lane */
    struct pk_thread *self = pk_thread_waits(block, PK_AT_WARP, file, line);
    struct pk_pair *pair = &block->pairs[p];
    const uint64_t in_pair = (uint64_t)mask << shift;
    if (!(in_pair & bit(lane)))
        pk_check_not_in_mask(file, line);
    self->warp_op = (unsigned char)op;
    self->argument = argument;
    self->value = value;
    unsigned i = 0;
    while (i < pair->n_meetings && (pair->meetings[i].mask != in_pair || pair->meetings[i].arrived & bit(lane)))
        i++;
    if (i == pair->n_meetings)
        pair->meetings[pair->n_meetings++] = {in_pair, 0};
    pair->meetings[i].arrived |= bit(lane);
    if (!complete_meeting(block, p, i))
        complete_activemask(block, t);
    pk_thread_park(block);
    return op == PK_WARP_BALLOT || op == PK_WARP_MATCH_ANY || op == PK_WARP_MATCH_ALL ? self->result >> shift
                                                                                      : self->result;
}

extern "C" unsigned pk_cpu_activemask(const char *file, int line)
{
    struct pk_cpu_block *block = pk_running_block;
    const unsigned t = pk_thread_number();
    struct pk_thread *self = pk_thread_waits(block, PK_AT_ACTIVEMASK, file, line);
    block->pairs[t / PK_PAIR_THREADS].n_at_activemask++;
    complete_activemask(block, t);
    pk_thread_park(block);
    return (unsigned)(self->result >> (t & 32));
}
