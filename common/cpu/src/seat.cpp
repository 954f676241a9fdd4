/* Seats: the room that the device's processors have for resident blocks. */
#include "engine.h"

#include <stdlib.h>

#include "kernel.h"
#include "settings.h"

struct processor {
    unsigned threads, blocks;
    size_t shared_bytes;
};
static struct processor processors[PK_MAX_SMS];

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
    return find_seat(op) >= 0;
}

int pk_seat_take(struct pk_op *op)
{
    if (op->as.kernel.grid.cooperative) {
        if (!op->as.kernel.seats && !take_all_seats(op))
            return -1;
        return pk_seat_is_free(op) ? op->as.kernel.seats[op->as.kernel.runners] : -1;
    }
    const int seat = find_seat(op);
    if (seat >= 0)
        change_seat(op, seat, 1);
    return seat;
}

void pk_seat_leave(const struct pk_op *op, int processor)
{
    if (!op->as.kernel.grid.cooperative)
        change_seat(op, processor, -1);
}
