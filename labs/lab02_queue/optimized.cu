/* Lab 02, persistent queue: the ladder. Fill in the steps; the page is README.md beside this file.
 *
 *   slices    one launch, nothing claimed: a block owns a slice of every state (axpy only)
 *   counter   one launch: blocks claim whole steps from a counter, all work known in advance
 *   queue     the host feeds steps to a running kernel through a ring, and takes completions from another
 *   requests  the host feeds requests; blocks share them fairly, end the cancelled ones, and stop in order
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. */
#include "pk_gpu.h"

#include <stdlib.h>

#include "lab02_step.cuh"
#include "pk_atomic.h"

static lab02 *lab_of(const pk_run *run)
{
    return (lab02 *)pk_run_lab_data(run);
}

static cudaStream_t stream_of(const pk_run *run)
{
    return (cudaStream_t)pk_run_stream(run);
}

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

static pk_status all_known(pk_run *run)
{
    if (lab_of(run)->over_time)
        return pk_fail(PK_SKIP, "needs all requests in advance: --arrival=at-once");
    return PK_OK;
}

static pk_status prepare_slices(pk_run *run)
{
    if (lab_of(run)->problem.dense)
        return pk_fail(PK_SKIP, "a dense step needs the whole state before it: slices depend on each other");
    return all_known(run);
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
    /* STEP lab02.5 for counter: store it (about 1 line) */
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

/* A fits into a block's shared memory beside the states? */
static bool keeps_matrix(const pk_run *run)
{
    return lab02_shared_bytes(&lab_of(run)->problem, true) <= pk_run_device(run)->shared_bytes_per_block;
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
static bool push(lab02_host *host, unsigned payload)
{
    const unsigned slot = lab02_slot(host->tail, host->ring);
    bool submitted = false;
    /* STEP lab02.7 for queue, requests: unless the slot is in use: mark it, store the word, go on to the next position (about 6 lines) */
    (void)host, (void)slot, (void)payload;
    /* END lab02.7 */
    return submitted;
}

static bool push_request(lab02_host *host, unsigned kind, unsigned request)
{
    const unsigned slot = lab02_slot(host->tail, host->ring);
    if (!push(host, lab02_payload(kind, request)))
        return false;
    host->slot_of[request] = slot;
    return true;
}

/* Something came back about `request`: its slot is free. */
static void free_slot(lab02_host *host, unsigned request)
{
    if (host->slot_of[request] == LAB02_NO_SLOT)
        return;
    host->slot_used[host->slot_of[request]] = false;
    host->slot_of[request] = LAB02_NO_SLOT;
}

/* Take the next completion. False when none has come. */
static bool pop(lab02_host *host, unsigned *payload)
{
    bool taken = false;
    /* STEP lab02.8 for queue, requests: if the word for host->head is there: take it, and tell the device so in host->consumed (about 8 lines) */
    (void)host, (void)payload;
    /* END lab02.8 */
    return taken;
}

/* ---- the rings: the device's ends ---- */

/* What a block shares while it looks for work. */
typedef struct lookout {
    unsigned payload[LAB02_LOOK]; /* of what was seen at the next positions of the submissions */
    bool there[LAB02_LOOK];       /* something was */
    bool room[LAB02_LOOK];        /* in the run queue, at the positions to be written next */
    unsigned answer;              /* from thread 0 to all: what to do */
    unsigned base;                /* a position in the run queue */
    bool wanted;                  /* somebody waits for a turn */
} lookout;

/* By one thread: what has been submitted at `position`, if anything has. Acquire, system scope; pairs with the release
 * in push. */
static __device__ bool poll_submission(const lab02_queue *queue, unsigned position, unsigned *payload)
{
    unsigned long long word = 0;
    /* STEP lab02.9 for queue, requests: load the word from the position's slot (about 1 line) */
    (void)queue, (void)position;
    /* END lab02.9 */
    *payload = (unsigned)word;
    return lab02_is_there(word, position);
}

/* By one thread: until the host has taken what stood in the slot of `position` a lap ago. It takes completions whatever
 * else it does, so this ends. Reading the host's word costs a trip over the bus: the last value `seen` is kept here. */
static __device__ void wait_for_room(const lab02_queue *queue, unsigned position, unsigned seen)
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

/* By one thread, after a barrier of the block: post a completion. Who sees it sees what all threads of the block wrote.
 * Release, system scope; pairs with the acquire in pop. */
static __device__ void post(const lab02_queue *queue, unsigned payload)
{
    /* STEP lab02.10 for queue, requests: claim the next position, wait for room there, store the word (about 5 lines) */
    (void)queue, (void)payload, (void)wait_for_room;
    /* END lab02.10 */
}

/* ---- the run queue ----
 *
 * A ring of words in device memory from which blocks get their work. A block takes a ticket, the next position, and
 * waits for the word there, which is its alone: blocks poll different words, and none has to try again because another
 * was faster. A slot is free for position p when its turn is p; full when it is p + 1; its reader sets it free for
 * p + run_ring. So a writer that is a whole lap ahead of a slow reader waits for it.
 *
 * Only one block at a time looks at the host's ring, the one that has the baton, a word like others: a read over the
 * bus takes a microsecond, and reads of one cache line by many blocks go one after the other. */

static __device__ bool run_queue_has_room(const lab02_queue *queue, unsigned position)
{
    return lab02_is_there(pk_load_relaxed_device(&queue->run[lab02_slot(position, queue->run_ring)]), position - 1u);
}

/* By one thread. Release; pairs with the acquire in run_queue_take: what the host released and this block acquired, and
 * what this block wrote, is seen by the block that takes the word. */
static __device__ void run_queue_put(const lab02_queue *queue, unsigned position, unsigned payload)
{
    while (!run_queue_has_room(queue, position))
        PK_SPIN_PAUSE();
    pk_store_release_device(&queue->run[lab02_slot(position, queue->run_ring)], lab02_word(position, payload));
}

/* By one thread: the word at the next ticket, and its position. */
static __device__ unsigned run_queue_take(const lab02_queue *queue, unsigned *position)
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

/* By the whole block: how many items are there from `position` on, up to LAB02_LOOK; they are in `out`. */
static __device__ unsigned look(const lab02_queue *queue, unsigned position, lookout *out)
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

/* ---- queue ----
 *
 * An item is the next step of a request. Whoever has ticket t does item t: either the word at t is the item, or it is
 * the baton. Then the block looks for the item itself, hands those that follow it to the tickets behind its own, and
 * the baton to the ticket behind them. */

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

/* The host submits a step when the step before it has come back. So the order of a request's steps is the host's:
 * done[r] and the state, which a block wrote before it posted, are seen by the block that gets the next step. */
static __global__ void queue_kernel(lab02_problem problem, lab02_queue queue, bool keep_matrix)
{
    PK_DYNAMIC_SHARED(float, shared);
    __shared__ lookout out;
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
        const int step = (int)(queue.done[r] - queue.first);
        lab02_begin_request(&problem, &block, r);
        lab02_step(&problem, &block, r, step);
        if (threadIdx.x == 0) {
            queue.done[r] = queue.first + (unsigned)step + 1;
            post(&queue, lab02_payload(LAB02_STEP, r));
        }
    }
}

/* A step came back: its slot is free, and the request goes on, or ends. */
static pk_status step_came_back(pk_run *run, unsigned request, double now_us)
{
    lab02 *lab = lab_of(run);
    lab02_host *host = &lab->host;
    PK_TRY(lab02_host_step_done(run, request, now_us));
    free_slot(host, request);
    if (host->steps_done[request] == (unsigned)lab->problem.steps)
        return lab02_host_ended(run, request, LAB02_FINISHED);
    if (host->stopped)
        return lab02_host_ended(run, request, LAB02_UNFINISHED);
    lab02_host_wait(host, request);
    return PK_OK;
}

static bool time_to_stop(const lab02 *lab)
{
    return lab->stop_after > 0 && !lab->host.stopped && lab->host.events >= lab->stop_after;
}

/* Submit what waits, take what came, until all requests that were let in have ended. */
static pk_status feed_steps(pk_run *run)
{
    lab02 *lab = lab_of(run);
    lab02_host *host = &lab->host;
    while (host->ended_count < (host->stopped ? host->arrived : host->requests)) {
        unsigned completion;
        lab02_host_admit(lab);
        while (host->waiting_count > 0 && push_request(host, LAB02_STEP, lab02_host_next_waiting(host)))
            lab02_host_submitted(host);
        if (!pop(host, &completion)) {
            PK_TRY(lab02_host_idle(run));
            continue;
        }
        const double now_us = pk_clock_us();
        do
            PK_TRY(step_came_back(run, lab02_id(completion), now_us));
        while (pop(host, &completion));
        if (time_to_stop(lab))
            PK_TRY(lab02_host_stop(run));
    }
    return PK_OK;
}

/* One stop for each block, behind all items: whoever takes one takes nothing more, so every block gets one. */
static pk_status stop_blocks(pk_run *run, unsigned blocks)
{
    lab02_host *host = &lab_of(run)->host;
    unsigned submitted = 0, back = 0, completion;
    while (back < blocks) {
        const unsigned slot = lab02_slot(host->tail, host->ring);
        if (submitted < blocks && push(host, lab02_payload(LAB02_STOP, slot)))
            submitted++;
        if (!pop(host, &completion)) {
            PK_TRY(lab02_host_idle(run));
            continue;
        }
        host->slot_used[lab02_id(completion)] = false;
        back++;
    }
    return PK_OK;
}

static pk_status queue_variant(pk_run *run)
{
    lab02 *lab = lab_of(run);
    const bool keep = keeps_matrix(run);
    const size_t shared = lab02_shared_bytes(&lab->problem, keep);
    const double *us_per_request = (const double *)pk_run_variant_data(run);
    PK_CHECK(cudaFuncSetAttribute(queue_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    lab02_host_begin(lab, us_per_request ? *us_per_request : 0);
    /* STEP lab02.12 for queue: start the kernel, feed it, stop its blocks, and wait for it (about 5 lines) */
    (void)keep, (void)shared, (void)queue_kernel, (void)feed_steps, (void)stop_blocks;
    return pk_todo(run, "lab02.12");
    /* END lab02.12 */
    return PK_OK;
}

/* ---- requests: what a block does next ----
 *
 * Items are requests. A block gives one up to `quantum` steps; if others wait for a turn it then puts its request
 * behind them. The baton goes round in the run queue with the requests: when all blocks are busy, the one that draws it
 * looks once and passes it on.
 *
 * `live` counts the requests that have been taken in and not ended, plus one until the host has said that nothing
 * follows. Whoever brings it to zero sends all blocks home: only then nothing is left that could still come. */

enum { NO_REQUEST = ~0u, HAS_BATON = ~1u, LAST_TO_LEAVE = ~2u, SENT_HOME = ~3u };

/* By one thread: words in the run queue that no block has a ticket for? */
static __device__ bool others_wait(const lab02_queue *queue)
{
    const unsigned pushed = pk_load_relaxed_device(&queue->control->run_pushed.value);
    return (int)(pushed - pk_load_relaxed_device(&queue->control->run_taken.value)) > 0;
}

static __device__ void push_back(const lab02_queue *queue, unsigned payload)
{
    run_queue_put(queue, pk_add_relaxed_device(&queue->control->run_pushed.value, 1u), payload);
}

/* By one thread: one less lives. LAST_TO_LEAVE when none is left; else NO_REQUEST. */
static __device__ unsigned one_less(const lab02_queue *queue)
{
    const unsigned lived = pk_add_acquire_release_device(&queue->control->live.value, ~0u);
    return lived == 1 ? (unsigned)LAST_TO_LEAVE : (unsigned)NO_REQUEST;
}

/* By one thread: has the host cancelled the request, or stopped all? Then it ends, as in one_less. */
static __device__ unsigned unless_ended(const lab02_queue *queue, unsigned request)
{
    const bool stopping = pk_load_relaxed_device(&queue->control->stopping.value) != 0;
    const bool cancelled = pk_load_relaxed_device(&queue->cancelled[request]) != 0;
    if (!stopping && !cancelled)
        return request;
    post(queue, lab02_payload(cancelled ? LAB02_CANCELLED : LAB02_UNFINISHED, request));
    return one_less(queue);
}

/* By one thread, at the end of a quantum: the request that the block goes on with, or as in one_less. */
static __device__ unsigned after_quantum(const lab02_queue *queue, unsigned request, bool finished)
{
    unsigned next = NO_REQUEST;
    /* STEP lab02.13 for requests: post the end of a finished request; else end it early, keep it, or let others go (about 9 lines) */
    (void)queue, (void)request, (void)finished;
    /* END lab02.13 */
    return next;
}

/* By thread 0: a command of the host. Returns as one_less. */
static __device__ unsigned obey(const lab02_queue *queue, unsigned command)
{
    if (lab02_kind(command) == LAB02_CANCEL)
        pk_store_relaxed_device(&queue->cancelled[lab02_id(command)], 1u);
    if (lab02_kind(command) == LAB02_STOP)
        pk_store_relaxed_device(&queue->control->stopping.value, 1u);
    post(queue, command);
    return lab02_kind(command) == LAB02_CANCEL ? (unsigned)NO_REQUEST : one_less(queue);
}

/* By the whole block, which has the baton and has seen `count` items: take them in, and hand the baton on unless
 * nothing follows. A request that the block may keep starts at once; the others wait for their turn, and the host hears
 * that their slots are free. Returns the request to keep, or as one_less. */
static __device__ unsigned take_in(const lab02_queue *queue, unsigned count, bool keep_one, lookout *out)
{
    unsigned requests = 0, kept = NO_REQUEST;
    bool nothing_follows = false;
    for (unsigned i = 0; i < count; i++) {
        const unsigned kind = lab02_kind(out->payload[i]);
        nothing_follows = nothing_follows || kind == LAB02_DRAIN || kind == LAB02_STOP;
        requests += kind == LAB02_REQUEST;
    }
    if (keep_one)
        for (unsigned i = count; i-- > 0;)
            if (lab02_kind(out->payload[i]) == LAB02_REQUEST)
                kept = i;
    const unsigned queued = requests - (kept != NO_REQUEST), words = queued + !nothing_follows;
    if (threadIdx.x == 0) {
        out->answer = NO_REQUEST;
        (void)pk_add_relaxed_device(&queue->control->live.value, requests); /* before any of them can end */
        queue->control->next.value += count;
        out->base = pk_add_relaxed_device(&queue->control->run_pushed.value, words);
        for (unsigned i = 0; i < count; i++)
            if (lab02_kind(out->payload[i]) != LAB02_REQUEST && obey(queue, out->payload[i]) == LAST_TO_LEAVE)
                out->answer = LAST_TO_LEAVE;
    }
    __syncthreads();
    unsigned before = 0; /* requests to be queued before this thread's */
    for (unsigned i = 0; i < count && i < threadIdx.x; i++)
        before += lab02_kind(out->payload[i]) == LAB02_REQUEST && i != kept;
    if (threadIdx.x < count && threadIdx.x != kept && lab02_kind(out->payload[threadIdx.x]) == LAB02_REQUEST) {
        post(queue, out->payload[threadIdx.x]);
        run_queue_put(queue, out->base + before, out->payload[threadIdx.x]);
    }
    if (threadIdx.x == 0 && !nothing_follows)
        run_queue_put(queue, out->base + queued, lab02_payload(LAB02_BATON, 0)); /* releases control->next */
    return kept == NO_REQUEST ? out->answer : lab02_id(out->payload[kept]);
}

/* By the whole block, which has the baton: until something is submitted, or somebody waits for a turn. The request to
 * go on with, or as one_less. */
static __device__ unsigned hold_baton(const lab02_queue *queue, lookout *out)
{
    for (;;) {
        const unsigned count = look(queue, queue->control->next.value, out);
        if (threadIdx.x == 0)
            out->wanted = others_wait(queue);
        __syncthreads();
        const bool wanted = out->wanted;
        if (count > 0)
            return take_in(queue, count, !wanted, out);
        if (wanted) {
            if (threadIdx.x == 0)
                push_back(queue, lab02_payload(LAB02_BATON, 0));
            return NO_REQUEST;
        }
        __syncthreads(); /* all have read: the next look may overwrite */
        PK_SPIN_PAUSE();
    }
}

/* By thread 0: what stands at the next ticket. A request that was ended while it waited is not run. */
static __device__ unsigned next_turn(const lab02_queue *queue)
{
    unsigned position;
    const unsigned word = run_queue_take(queue, &position);
    if (lab02_kind(word) == LAB02_LEAVE)
        return SENT_HOME;
    return lab02_kind(word) == LAB02_BATON ? (unsigned)HAS_BATON : unless_ended(queue, lab02_id(word));
}

/* By the whole block: the request that it goes on with, LAST_TO_LEAVE or SENT_HOME. */
static __device__ unsigned next_request(const lab02_queue *queue, unsigned request, bool finished, lookout *out)
{
    if (threadIdx.x == 0)
        out->answer = request == NO_REQUEST ? (unsigned)NO_REQUEST : after_quantum(queue, request, finished);
    __syncthreads();
    unsigned next = out->answer;
    while (next == NO_REQUEST) {
        __syncthreads(); /* all have read */
        if (threadIdx.x == 0)
            out->answer = next_turn(queue);
        __syncthreads();
        next = out->answer;
        if (next == HAS_BATON)
            next = hold_baton(queue, out);
    }
    return next;
}

/* By the whole block, the one that saw the last end: a word for each other block. */
static __device__ void send_home(const lab02_queue *queue, lookout *out)
{
    const unsigned others = gridDim.x - 1;
    __syncthreads();
    if (threadIdx.x == 0)
        out->base = pk_add_relaxed_device(&queue->control->run_pushed.value, others);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < others; i += blockDim.x)
        run_queue_put(queue, out->base + i, lab02_payload(LAB02_LEAVE, 0));
}

static __global__ void requests_kernel(lab02_problem problem, lab02_queue queue, bool keep_matrix)
{
    PK_DYNAMIC_SHARED(float, shared);
    __shared__ lookout out;
    lab02_block block = lab02_begin_block(&problem, shared, keep_matrix);
    const unsigned steps = (unsigned)problem.steps;
    unsigned r = NO_REQUEST;
    bool finished = false;
    for (;;) {
        r = next_request(&queue, r, finished, &out);
        if (r == LAST_TO_LEAVE || r == SENT_HOME)
            break;
        const unsigned begin = queue.done[r] - queue.first;
        const unsigned end = begin + queue.quantum < steps ? begin + queue.quantum : steps;
        lab02_begin_request(&problem, &block, r);
        for (unsigned step = begin; step < end; step++) {
            lab02_step(&problem, &block, r, (int)step);
            if (threadIdx.x == 0 && step + 1 < steps)
                post(&queue, lab02_payload(LAB02_STEP, r));
        }
        if (threadIdx.x == 0)
            queue.done[r] = queue.first + end;
        finished = end == steps;
    }
    if (r == LAST_TO_LEAVE)
        send_home(&queue, &out);
}

/* ---- requests: the host ---- */

/* Is it time to cancel this request? Then it is put on the list. */
static void consider_cancel(lab02_host *host, unsigned request)
{
    if (host->cancel_after[request] == (int)host->steps_done[request])
        host->to_cancel[host->cancel_count++] = request;
}

static pk_status request_came_back(pk_run *run, unsigned completion, double now_us)
{
    lab02_host *host = &lab_of(run)->host;
    const unsigned kind = lab02_kind(completion), id = lab02_id(completion);
    if (kind == LAB02_CANCEL) {
        host->slot_used[host->cancel_slot[id]] = false;
        return PK_OK;
    }
    if (kind == LAB02_DRAIN || kind == LAB02_STOP) {
        host->slot_used[id] = false;
        host->ordered_out = true;
        return PK_OK;
    }
    if (kind == LAB02_STEP || kind == LAB02_FINISHED)
        PK_TRY(lab02_host_step_done(run, id, now_us));
    free_slot(host, id);
    if (kind == LAB02_STEP)
        consider_cancel(host, id);
    else if (kind != LAB02_REQUEST)
        PK_TRY(lab02_host_ended(run, id, kind));
    return PK_OK;
}

/* Submit what there is to submit, as far as there is room: cancels first, for they are urgent; a stop before all. */
static void submit(lab02 *lab)
{
    lab02_host *host = &lab->host;
    while (host->cancel_head < host->cancel_count) {
        const unsigned request = host->to_cancel[host->cancel_head], slot = lab02_slot(host->tail, host->ring);
        if (!host->ended[request]) {
            if (!push(host, lab02_payload(LAB02_CANCEL, request)))
                return;
            host->cancel_slot[request] = slot;
        }
        host->cancel_head++;
    }
    while (host->waiting_count > 0) {
        const unsigned request = lab02_host_next_waiting(host);
        if (!push_request(host, LAB02_REQUEST, request))
            return;
        lab02_host_submitted(host);
        consider_cancel(host, request);
    }
}

/* Tell the device that nothing follows, or to stop, and take what comes back until it has understood. */
static pk_status order_out(pk_run *run, unsigned command)
{
    lab02_host *host = &lab_of(run)->host;
    bool submitted = false;
    host->ordered_out = false;
    while (!host->ordered_out) {
        unsigned completion;
        if (!submitted)
            submitted = push(host, lab02_payload(command, lab02_slot(host->tail, host->ring)));
        if (pop(host, &completion))
            PK_TRY(request_came_back(run, completion, pk_clock_us()));
        else
            PK_TRY(lab02_host_idle(run));
    }
    return PK_OK;
}

/* Until all requests that were let in have ended. */
static pk_status feed_requests(pk_run *run)
{
    lab02 *lab = lab_of(run);
    lab02_host *host = &lab->host;
    while (host->ended_count < (host->stopped ? host->arrived : host->requests)) {
        unsigned completion;
        lab02_host_admit(lab);
        submit(lab);
        if (!pop(host, &completion)) {
            PK_TRY(lab02_host_idle(run));
            continue;
        }
        const double now_us = pk_clock_us();
        do
            PK_TRY(request_came_back(run, completion, now_us));
        while (pop(host, &completion));
        if (time_to_stop(lab)) {
            PK_TRY(lab02_host_stop(run));
            PK_TRY(order_out(run, LAB02_STOP));
        }
    }
    return host->stopped ? PK_OK : order_out(run, LAB02_DRAIN);
}

static pk_status requests(pk_run *run)
{
    lab02 *lab = lab_of(run);
    const bool keep = keeps_matrix(run);
    const size_t shared = lab02_shared_bytes(&lab->problem, keep);
    const double *us_per_request = (const double *)pk_run_variant_data(run);
    PK_CHECK(cudaFuncSetAttribute(requests_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    lab02_host_begin(lab, us_per_request ? *us_per_request : 0);
    /* STEP lab02.14 for requests: start the kernel, feed it, and wait for it (about 4 lines) */
    (void)keep, (void)shared, (void)requests_kernel, (void)feed_requests;
    return pk_todo(run, "lab02.14");
    /* END lab02.14 */
    lab02_host_judge_turns(run);
    return PK_OK;
}

/* ---- pace: what a variant does when requests come over time ---- */

static void forget_pace(pk_run *run)
{
    free(pk_run_variant_data(run));
    pk_run_set_variant_data(run, NULL);
}

static pk_status find_pace(pk_run *run, pk_status (*execute)(pk_run *run))
{
    double *us_per_request = (double *)malloc(sizeof *us_per_request);
    if (!us_per_request)
        return pk_fail(PK_USAGE, "lab02: out of host memory");
    double found;
    pk_status status = lab02_pace(run, execute, &found);
    *us_per_request = found;
    pk_run_set_variant_data(run, us_per_request);
    return status;
}

static pk_status prepare_queue(pk_run *run)
{
    return find_pace(run, queue_variant);
}

static pk_status prepare_requests(pk_run *run)
{
    return find_pace(run, requests);
}

PK_VARIANTS(ladder) = {
    {"slices", "one launch, a block owns a slice of every state", 0, prepare_slices, slices, NULL},
    {"counter", "one launch, blocks claim whole steps from a counter", 0, all_known, counter, NULL},
    {"queue", "the host feeds steps through a ring", PK_NEED_MAPPED_HOST, prepare_queue, queue_variant, forget_pace},
    {"requests", "the host feeds requests, blocks share them", PK_NEED_MAPPED_HOST, prepare_requests, requests,
     forget_pace},
};
PK_VARIANTS_END(ladder)
