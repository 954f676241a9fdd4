/* Lab 02: what is given of the rings between host and device, for whoever has an end of one. lab02.h has the words. */
#ifndef LAB02_RINGS_CUH
#define LAB02_RINGS_CUH

#include "pk_gpu.h"

#include "lab02.h"
#include "pk_atomic.h"

/* The host submits at its tail, in a slot that it knows to be free. Release, system scope; pairs with the acquire of
 * whoever looks there. */
static inline void submit_in_free_slot(lab02_host *host, unsigned payload)
{
    __atomic_store_n(&host->submissions[lab02_slot(host->tail, host->ring)], lab02_word(host->tail, payload),
                     __ATOMIC_RELEASE);
    host->tail++;
}

/* By one thread: until the host has taken what stood in the slot of `position` a lap ago. It takes completions whatever
 * else it does, so this ends. Reading the host's word costs a trip over the bus: the last value `seen` is kept here. */
static __device__ inline void wait_for_room(const lab02_queue *queue, unsigned position, unsigned seen)
{
    if (position - seen < queue->ring)
        return;
    unsigned consumed = pk_load_acquire_system(queue->consumed);
    while (position - consumed >= queue->ring) {
        PK_SPIN_PAUSE();
        consumed = pk_load_acquire_system(queue->consumed);
    }
    pk_store_relaxed_device(&queue->control->consumed_seen.value, consumed);
}

#endif
