/* Lab 02: how a block looks for work among what the host has submitted.
 *
 * Only one block at a time looks at the host's ring, the one that has the baton, a word of the run queue like others: a
 * read over the bus takes a microsecond, and reads of one cache line by many blocks go one after the other. */
#ifndef LAB02_LOOK_CUH
#define LAB02_LOOK_CUH

#include "lab02_run_queue.cuh"

/* Steps of the student's file, the device's ends of the rings. By one thread: what has been submitted at `position`, if
 * anything has. */
static __device__ inline bool poll_submission(const lab02_queue *queue, unsigned position, unsigned *payload);

/* By one thread, after a barrier of the block: post a completion. */
static __device__ inline void post(const lab02_queue *queue, unsigned payload);

/* What a block shares while it looks for work. */
typedef struct lookout {
    unsigned payload[LAB02_LOOK]; /* of what was seen at the next positions of the submissions */
    bool there[LAB02_LOOK];       /* something was */
    bool room[LAB02_LOOK];        /* in the run queue, at the positions to be written next */
    unsigned answer;              /* from thread 0 to all: what to do */
    unsigned base;                /* a position in the run queue */
    bool wanted;                  /* somebody waits for a turn */
} lookout;

/* By the whole block: how many items are there from `position` on, up to LAB02_LOOK; they are in `out`. */
static __device__ inline unsigned look(const lab02_queue *queue, unsigned position, lookout *out)
{
    if (threadIdx.x < LAB02_LOOK) {
        const unsigned mine = position + threadIdx.x;
        unsigned payload;
        /* Both loads are under way before one of them is used. */
        const unsigned long long room = pk_load_relaxed_device(&queue->run[lab02_slot(mine + 1u, queue->run_ring)]);
        const bool there = poll_submission(queue, mine, &payload);
        out->payload[threadIdx.x] = payload;
        out->there[threadIdx.x] = there;
        out->room[threadIdx.x] = lab02_is_there(room, mine);
    }
    __syncthreads();
    unsigned count = 0;
    while (count < LAB02_LOOK && out->there[count])
        count++;
    return count;
}

/* By one thread: until the step before the one that the item asks for is seen. Acquire; pairs with the release in
 * publish_steps. The host knows that it was done; this block, which had nothing from the block that did it, does not
 * yet. Returns its number, whose end the item names: a request has one step under way at most. */
static __device__ inline unsigned wait_for_asked(const lab02_queue *queue, unsigned item)
{
    unsigned done = pk_load_acquire_device(&queue->done[lab02_id(item)]) - queue->first;
    while (done % LAB02_STEP_ENDS != lab02_step_end(item)) {
        PK_SPIN_PAUSE();
        done = pk_load_acquire_device(&queue->done[lab02_id(item)]) - queue->first;
    }
    return done;
}

#endif
