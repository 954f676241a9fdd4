/* Lab 02, persistent queue: the ladder. Fill in the steps; the page is README.md beside this file.
 *
 *   slices    one launch, nothing claimed: a block owns a slice of every state (axpy only)
 *   counter   one launch: blocks claim whole steps from a counter, all work known in advance
 *   queue     the host feeds steps to a running kernel through a ring, and takes completions from another
 *   requests  the host feeds requests; blocks share them fairly, end the cancelled ones, and stop in order
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. What is given
 * is in the headers: lab02_step.cuh does a step, lab02_run_queue.cuh and lab02_look.cuh give blocks their work,
 * lab02_items.cuh shares steps, lab02_turns.cuh requests, and lab02_feed.cuh has the host's loops. They call what is
 * filled in here. */
#include "lab02_feed.cuh"
#include "lab02_items.cuh"
#include "lab02_launch.cuh"
#include "lab02_look.cuh"
#include "lab02_rings.cuh"
#include "lab02_turns.cuh"

/* ---- slices ---- */

/* Elementwise steps: element i of a step needs element i of the step before it, and nothing else. A block that owns a
 * slice for all steps needs nobody, so there is nothing to wait for. */
static __global__ void slices_kernel(lab02_problem problem)
{
    const int slice = (problem.n + gridDim.x - 1) / gridDim.x, first = blockIdx.x * slice;
    const int end = first + slice < problem.n ? first + slice : problem.n;
    /* STEP lab02.1 for slices: for each request, all its steps on this block's slice (about 3 lines) */
    (void)first, (void)end;
    /* END lab02.1 */
}

static pk_status slices(pk_run *run)
{
    lab02 *lab = lab_of(run);
    const unsigned needed = ((unsigned)lab->problem.n + (unsigned)lab->threads - 1) / (unsigned)lab->threads;
    const unsigned most = lab02_blocks(run), blocks = needed < most ? needed : most;
    /* STEP lab02.2 for slices: one launch, one wait (about 2 lines) */
    (void)blocks, (void)slices_kernel, (void)stream_of;
    return pk_todo(run, "lab02.2");
    /* END lab02.2 */
    lab02_host_all_finished(lab);
    return PK_OK;
}

/* ---- counter ---- */

/* By thread 0: the number of a step that no other block has, counted from 0; what is beyond the last one means: nothing
 * is left. */
static __device__ unsigned claim(const lab02_queue *queue)
{
    unsigned number = ~0u;
    /* STEP lab02.3 for counter: take the next number off the counter, which starts at queue->first (about 1 line) */
    (void)queue;
    /* END lab02.3 */
    return number;
}

/* By thread 0: until request r has done `steps` steps. Acquire; pairs with the release in publish_steps. Claims are in
 * order, so the step that is waited for is claimed by a block that runs, which waits for an earlier one at most. */
static __device__ void wait_for_steps(const lab02_queue *queue, unsigned r, unsigned steps)
{
    /* STEP lab02.4 for counter: poll the request's word in queue->done, which counts from queue->first (about 2 lines) */
    (void)queue, (void)r, (void)steps;
    /* END lab02.4 */
}

/* By thread 0, after a barrier of the block: request r has done `steps` steps, and whoever sees it sees what all
 * threads of this block wrote. Release; pairs with the acquire in wait_for_steps. */
static __device__ void publish_steps(const lab02_queue *queue, unsigned r, unsigned steps)
{
    /* STEP lab02.5 for counter, queue: store it (about 1 line) */
    (void)queue, (void)r, (void)steps;
    /* END lab02.5 */
}

/* Numbers go through step 0 of all requests, then step 1 of all, and so on. */
static __global__ void counter_kernel(lab02_problem problem, lab02_queue queue, bool keep_matrix)
{
    PK_DYNAMIC_SHARED(float, shared);
    __shared__ unsigned claimed;
    lab02_block block = lab02_begin_block(&problem, shared, keep_matrix);
    const unsigned total = (unsigned)problem.requests * (unsigned)problem.steps;
    for (;;) {
        if (threadIdx.x == 0) {
            claimed = claim(&queue);
            if (claimed < total)
                wait_for_steps(&queue, claimed % problem.requests, claimed / problem.requests);
        }
        __syncthreads();
        const unsigned r = claimed % problem.requests, step = claimed / problem.requests;
        if (claimed >= total)
            return;
        lab02_begin_request(&problem, &block, r);
        lab02_step(&problem, &block, r, (int)step);
        if (threadIdx.x == 0)
            publish_steps(&queue, r, step + 1);
    }
}

static pk_status counter(pk_run *run)
{
    lab02 *lab = lab_of(run);
    const bool keep = keeps_matrix(run);
    const size_t shared = lab02_shared_bytes(&lab->problem, keep);
    PK_CHECK(cudaFuncSetAttribute(counter_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    /* STEP lab02.6 for counter: one launch of lab02_blocks(run) blocks, one wait (about 3 lines) */
    (void)keep, (void)shared, (void)counter_kernel;
    return pk_todo(run, "lab02.6");
    /* END lab02.6 */
    lab02_host_all_finished(lab);
    return PK_OK;
}

/* ---- the rings: the host's ends ---- */

/* Submit an item. False, and nothing done, when the ring is full. A slot is free again when something has come back
 * about what was submitted there, and not before: an item that a block has a ticket for may not have been read yet. */
static inline bool push(lab02_host *host, unsigned payload)
{
    const unsigned slot = lab02_slot(host->tail, host->ring);
    bool submitted = false;
    /* STEP lab02.7 for queue, requests: unless the slot is in use: mark it, store the word, go on (about 6 lines) */
    (void)host, (void)slot, (void)payload;
    /* END lab02.7 */
    return submitted;
}

/* Take the next completion. False when none has come. */
static inline bool pop(lab02_host *host, unsigned *payload)
{
    bool taken = false;
    /* STEP lab02.8 for queue, requests: if the next word is there, take it, and tell the device so (about 8 lines) */
    (void)host, (void)payload;
    /* END lab02.8 */
    return taken;
}

/* ---- the rings: the device's ends ---- */

/* By one thread: what has been submitted at `position`, if anything has. Acquire, system scope; pairs with the release
 * in push. */
static __device__ inline bool poll_submission(const lab02_queue *queue, unsigned position, unsigned *payload)
{
    unsigned long long word = 0;
    /* STEP lab02.9 for queue, requests: load the word from the position's slot (about 1 line) */
    (void)queue, (void)position;
    /* END lab02.9 */
    *payload = (unsigned)word;
    return lab02_is_there(word, position);
}

/* By one thread, after a barrier of the block: post a completion. It says that something was done, and brings none of
 * it along: states go from block to block by done, and to the host when the kernel ends. So the store is relaxed, at
 * system scope; a release would wait until all that the block wrote had been seen by the host's side too. */
static __device__ inline void post(const lab02_queue *queue, unsigned payload)
{
    /* STEP lab02.10 for queue, requests: claim the next position, wait for room, store the word (about 5 lines) */
    (void)queue, (void)payload, (void)wait_for_room;
    /* END lab02.10 */
}

/* ---- queue: items are steps, which blocks share as lab02_items.cuh says ---- */

/* By the whole block, which has the baton at `position`: the item there. */
static __device__ unsigned look_for_item(const lab02_queue *queue, unsigned position, lookout *out)
{
    unsigned count = look(queue, position, out);
    while (count == 0) {
        __syncthreads(); /* all have counted: the next look may overwrite */
        PK_SPIN_PAUSE();
        count = look(queue, position, out);
    }
    /* STEP lab02.11 for queue: thread i < count - 1 hands on item i + 1, thread count - 1 the baton (about 8 lines) */
    (void)queue, (void)position, (void)count;
    /* END lab02.11 */
    return out->payload[0];
}

static pk_status queue_variant(pk_run *run)
{
    lab02 *lab = lab_of(run);
    const bool keep = keeps_matrix(run);
    const size_t shared = lab02_shared_bytes(&lab->problem, keep);
    PK_CHECK(cudaFuncSetAttribute(queue_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    lab02_host_begin(lab, pace_of(run));
    /* STEP lab02.12 for queue: start the kernel, feed it, stop its blocks, and wait for it (about 5 lines) */
    (void)keep, (void)shared, (void)queue_kernel, (void)feed_steps, (void)stop_blocks;
    return pk_todo(run, "lab02.12");
    /* END lab02.12 */
    return PK_OK;
}

/* ---- requests: items are requests, which blocks share as lab02_turns.cuh says ---- */

/* By one thread, at the end of a quantum: the request that the block goes on with, or as in one_less. */
static __device__ inline unsigned after_quantum(const lab02_queue *queue, unsigned request, bool finished)
{
    unsigned next = NO_REQUEST;
    /* STEP lab02.13 for requests: post the end of a finished one; else end it early, keep it, or let others go (about 9 lines) */
    (void)queue, (void)request, (void)finished;
    /* END lab02.13 */
    return next;
}

static pk_status requests(pk_run *run)
{
    lab02 *lab = lab_of(run);
    const bool keep = keeps_matrix(run);
    const size_t shared = lab02_shared_bytes(&lab->problem, keep);
    PK_CHECK(cudaFuncSetAttribute(requests_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    lab02_host_begin(lab, pace_of(run));
    /* STEP lab02.14 for requests: start the kernel, feed it, and wait for it (about 4 lines) */
    (void)keep, (void)shared, (void)requests_kernel, (void)feed_requests;
    return pk_todo(run, "lab02.14");
    /* END lab02.14 */
    lab02_host_judge_turns(run);
    return PK_OK;
}

PK_VARIANTS(ladder) = {
    {"slices", "one launch, a block owns a slice of every state", 0, elementwise_only, slices, NULL},
    {"counter", "one launch, blocks claim whole steps from a counter", 0, all_known, counter, NULL},
    {"queue", "the host feeds steps through a ring", PK_NEED_MAPPED_HOST, find_pace, queue_variant, forget_pace},
    {"requests", "the host feeds requests, blocks share them", PK_NEED_MAPPED_HOST, find_pace, requests, forget_pace},
};
PK_VARIANTS_END(ladder)
