/* Lab 02: what a block of `requests` does next.
 *
 * Items are requests. A block gives one up to `quantum` steps; if others wait for a turn it then puts its request
 * behind them. The baton goes round in the run queue with the requests: when all blocks are busy, the one that draws it
 * looks once and passes it on.
 *
 * `live` counts the requests that have been taken in and not ended, plus one until the host has said that nothing
 * follows. Whoever brings it to zero sends all blocks home: only then nothing is left that could still come. */
#ifndef LAB02_TURNS_CUH
#define LAB02_TURNS_CUH

#include "lab02_look.cuh"
#include "lab02_step.cuh"

/* A step of the student's file. By one thread, at the end of a quantum: the request that the block goes on with, or as
 * in one_less. */
static __device__ inline unsigned after_quantum(const lab02_queue *queue, unsigned request, bool finished);

enum { NO_REQUEST = ~0u, HAS_BATON = ~1u, LAST_TO_LEAVE = ~2u, SENT_HOME = ~3u };

/* By one thread: one less lives. LAST_TO_LEAVE when none is left; else NO_REQUEST. */
static __device__ inline unsigned one_less(const lab02_queue *queue)
{
    const unsigned lived = pk_add_acquire_release_device(&queue->control->live.value, ~0u);
    return lived == 1 ? (unsigned)LAST_TO_LEAVE : (unsigned)NO_REQUEST;
}

/* By one thread: has the host cancelled the request, or stopped all? Then it ends, as in one_less. */
static __device__ inline unsigned unless_ended(const lab02_queue *queue, unsigned request)
{
    const bool stopping = pk_load_relaxed_device(&queue->control->stopping.value) != 0;
    const bool cancelled = pk_load_relaxed_device(&queue->cancelled[request]) != 0;
    if (!stopping && !cancelled)
        return request;
    post(queue, lab02_payload(cancelled ? LAB02_CANCELLED : LAB02_UNFINISHED, request));
    return one_less(queue);
}

/* By thread 0: a command of the host. Returns as one_less. */
static __device__ inline unsigned obey(const lab02_queue *queue, unsigned command)
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
static __device__ inline unsigned take_in(const lab02_queue *queue, unsigned count, bool keep_one, lookout *out)
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
static __device__ inline unsigned hold_baton(const lab02_queue *queue, lookout *out)
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
static __device__ inline unsigned next_turn(const lab02_queue *queue)
{
    unsigned position;
    const unsigned word = run_queue_take(queue, &position);
    if (lab02_kind(word) == LAB02_LEAVE)
        return SENT_HOME;
    return lab02_kind(word) == LAB02_BATON ? (unsigned)HAS_BATON : unless_ended(queue, lab02_id(word));
}

/* By the whole block: the request that it goes on with, LAST_TO_LEAVE or SENT_HOME. */
static __device__ inline unsigned next_request(const lab02_queue *queue, unsigned request, bool finished, lookout *out)
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
static __device__ inline void send_home(const lab02_queue *queue, lookout *out)
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

#endif
