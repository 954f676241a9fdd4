/* Lab 02: the run queue, a ring of words in device memory from which blocks get their work.
 *
 * A block takes a ticket, the next position, and waits for the word there, which is its alone: blocks poll different
 * words, and none has to try again because another was faster. A slot is free for position p when its turn is p; full
 * when it is p + 1; its reader sets it free for p + run_ring. So a writer that is a whole lap ahead of a slow reader
 * waits for it. */
#ifndef LAB02_RUN_QUEUE_CUH
#define LAB02_RUN_QUEUE_CUH

#include "pk_gpu.h"

#include "lab02.h"
#include "pk_atomic.h"

static __device__ inline bool run_queue_has_room(const lab02_queue *queue, unsigned position)
{
    return lab02_is_there(pk_load_relaxed_device(&queue->run[lab02_slot(position, queue->run_ring)]), position - 1u);
}

/* By one thread. Release; pairs with the acquire in run_queue_take: what the host released and this block acquired, and
 * what this block wrote, is seen by the block that takes the word. */
static __device__ inline void run_queue_put(const lab02_queue *queue, unsigned position, unsigned payload)
{
    while (!run_queue_has_room(queue, position))
        PK_SPIN_PAUSE();
    pk_store_release_device(&queue->run[lab02_slot(position, queue->run_ring)], lab02_word(position, payload));
}

/* By one thread: the word at the next ticket, and its position. */
static __device__ inline unsigned run_queue_take(const lab02_queue *queue, unsigned *position)
{
    const unsigned ticket = pk_add_relaxed_device(&queue->control->run_taken.value, 1u);
    unsigned long long *slot = &queue->run[lab02_slot(ticket, queue->run_ring)];
    unsigned long long word = pk_load_acquire_device(slot);
    while (!lab02_is_there(word, ticket)) {
        PK_SPIN_PAUSE();
        word = pk_load_acquire_device(slot);
    }
    pk_store_relaxed_device(slot, lab02_word(ticket + queue->run_ring - 1u, 0)); /* was read: free */
    *position = ticket;
    return (unsigned)word;
}

/* By one thread: words in the run queue that no block has a ticket for? */
static __device__ inline bool others_wait(const lab02_queue *queue)
{
    const unsigned pushed = pk_load_relaxed_device(&queue->control->run_pushed.value);
    return (int)(pushed - pk_load_relaxed_device(&queue->control->run_taken.value)) > 0;
}

/* Behind all that wait. */
static __device__ inline void push_back(const lab02_queue *queue, unsigned payload)
{
    run_queue_put(queue, pk_add_relaxed_device(&queue->control->run_pushed.value, 1u), payload);
}

#endif
