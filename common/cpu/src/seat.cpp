/* Seats: the room that the device's processors have for resident blocks. */
#include "engine.h"

#include <stdlib.h>

#include "settings.h"

struct processor {
    unsigned threads, blocks;
    size_t shared_bytes;
};
static struct processor processors[PK_MAX_SMS];

unsigned pk_whole_warps(unsigned threads)
{
    const unsigned warp = (unsigned)pk_settings.warp_threads;
    return (threads + warp - 1) / warp * warp;
}

int pk_blocks_per_sm(unsigned block_threads, size_t shared_bytes)
{
    const unsigned threads = pk_whole_warps(block_threads);
    const int by_threads = (int)(PK_MAX_SM_THREADS / threads);
    const int by_shared = (int)(PK_SHARED_SM_BYTES / (shared_bytes + PK_SHARED_RESERVED_BYTES));
    const int blocks = by_threads < by_shared ? by_threads : by_shared;
    return blocks < PK_MAX_SM_BLOCKS ? blocks : (int)PK_MAX_SM_BLOCKS;
}

static size_t seat_shared_bytes(const struct pk_op *op)
{
    return op->as.kernel.grid.static_shared_bytes + op->as.kernel.grid.shared_bytes + PK_SHARED_RESERVED_BYTES;
}

/* A seat for one block of the kernel on the emptiest processor that has room, or -1. */
static int find_seat(const struct pk_op *op)
{
    const unsigned threads = pk_whole_warps(op->as.kernel.grid.block_threads);
    const size_t shared_bytes = seat_shared_bytes(op);
    int best = -1;
    for (int i = 0; i < pk_settings.processors; ++i) {
        const struct processor *p = &processors[i];
        if (p->threads + threads <= PK_MAX_SM_THREADS && p->blocks < PK_MAX_SM_BLOCKS &&
            p->shared_bytes + shared_bytes <= PK_SHARED_SM_BYTES && (best < 0 || p->threads < processors[best].threads))
            best = i;
    }
    return best;
}

static void change_seat(const struct pk_op *op, int processor, int sign)
{
    struct processor *p = &processors[processor];
    p->threads += (unsigned)sign * pk_whole_warps(op->as.kernel.grid.block_threads);
    p->blocks += (unsigned)sign;
    p->shared_bytes += (size_t)sign * seat_shared_bytes(op);
}

/* A cooperative grid takes all its seats at once or none, so that two of them cannot hold half of theirs each. */
static bool take_all_seats(struct pk_op *op)
{
    const uint64_t n = op->as.kernel.grid.n_blocks;
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

void pk_seats_end(struct pk_op *op)
{
    for (uint64_t i = 0; i < op->as.kernel.grid.n_blocks; ++i)
        change_seat(op, op->as.kernel.seats[i], -1);
    free(op->as.kernel.seats);
    op->as.kernel.seats = nullptr;
}

bool pk_seat_is_free(const struct pk_op *op)
{
    if (op->as.kernel.seats)
        return (uint64_t)op->as.kernel.runners < op->as.kernel.grid.n_blocks;
    if (op->as.kernel.most_runners && op->as.kernel.runners >= op->as.kernel.most_runners)
        return false;
    return find_seat(op) >= 0;
}

/* A launch promises no residency: a grid may have to run block after block, or a few at a time, where others have the
 * seats. So one launch of three has one, one has some, and one has all it can get. A cooperative grid has all. */
void pk_seats_draw(struct pk_op *op)
{
    const struct pk_grid *grid = &op->as.kernel.grid;
    op->as.kernel.most_runners = 0;
    if (pk_settings.order != PK_ORDER_RANDOM || grid->cooperative || grid->n_blocks < 2)
        return;
    const uint64_t fit =
        (uint64_t)pk_settings.processors *
        (uint64_t)pk_blocks_per_sm(grid->block_threads, grid->static_shared_bytes + grid->shared_bytes);
    const uint64_t most = grid->n_blocks < fit ? grid->n_blocks : fit;
    const uint64_t drawn = pk_mix(pk_settings.seed ^ pk_mix(grid->salt + 1));
    if (drawn % 3 == 0)
        op->as.kernel.most_runners = 1;
    else if (drawn % 3 == 1 && most > 2)
        op->as.kernel.most_runners = 2 + (int)(drawn / 3 % (most - 2));
}

int pk_seat_take(struct pk_op *op)
{
    if (op->as.kernel.grid.cooperative) {
        if (!op->as.kernel.seats && !take_all_seats(op))
            return -1;
        return pk_seat_is_free(op) ? op->as.kernel.seats[op->as.kernel.runners] : -1;
    }
    const int seat = pk_seat_is_free(op) ? find_seat(op) : -1;
    if (seat >= 0)
        change_seat(op, seat, 1);
    return seat;
}

void pk_seat_leave(const struct pk_op *op, int processor)
{
    if (!op->as.kernel.grid.cooperative)
        change_seat(op, processor, -1);
}
