/* Lab 02: what a block of `queue` does next.
 *
 * An item is the next step of a request. Whoever has ticket t does item t: either the word at t is the item, or it is
 * the baton. Then the block looks for the item itself, hands those that follow it to the tickets behind its own, and
 * the baton to the ticket behind them. */
#ifndef LAB02_ITEMS_CUH
#define LAB02_ITEMS_CUH

#include "lab02_look.cuh"
#include "lab02_step.cuh"

/* Steps of the student's file. By thread 0, after a barrier of the block: request r has done `steps` steps. */
static __device__ void publish_steps(const lab02_queue *queue, unsigned r, unsigned steps);

/* By the whole block, which has the baton at `position`: the item there. */
static __device__ unsigned look_for_item(const lab02_queue *queue, unsigned position, lookout *out);

/* The host submits a step when the step before it has come back. So the order of a request's steps is the host's; the
 * state goes from block to block by done[r], as in `counter`, and not over the bus. */
static __global__ void queue_kernel(lab02_problem problem, lab02_queue queue, bool keep_matrix)
{
    PK_DYNAMIC_SHARED(float, shared);
    __shared__ lookout out;
    __shared__ unsigned asked; /* the number of the step */
    lab02_block block = lab02_begin_block(&problem, shared, keep_matrix);
    for (;;) {
        if (threadIdx.x == 0)
            out.answer = run_queue_take(&queue, &out.base);
        __syncthreads();
        unsigned item = out.answer;
        if (lab02_kind(item) == LAB02_BATON)
            item = look_for_item(&queue, out.base, &out);
        if (lab02_kind(item) == LAB02_STOP) {
            if (threadIdx.x == 0)
                post(&queue, item);
            return;
        }
        const unsigned r = lab02_id(item);
        if (threadIdx.x == 0)
            asked = wait_for_asked(&queue, item);
        __syncthreads();
        const unsigned step = asked;
        lab02_begin_request(&problem, &block, r);
        lab02_step(&problem, &block, r, (int)step);
        if (threadIdx.x == blockDim.x - 1) /* to the block that does the next step, */
            publish_steps(&queue, r, step + 1);
        if (threadIdx.x == 0) /* and to the host: neither waits for the other */
            post(&queue, lab02_payload(LAB02_STEP, r));
    }
}

#endif
