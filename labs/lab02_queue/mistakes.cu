/* Lab 02, persistent queue: planted mistakes. Each variant is wrong in one way that has been made for real, and the
 * harness must catch it: the tests lab02.mistake.* run them one by one and demand the right exit code and reason.
 *
 * Three small kernels carry them: one in which blocks claim steps, one in which they share requests through the run
 * queue, and a server of one block that does request after request. With no mistake all are right, and a test says so:
 * then it is the mistake that is caught. */
#include <math.h>

#include "lab02_launch.cuh"
#include "lab02_rings.cuh"
#include "lab02_run_queue.cuh"

typedef enum mistake {
    NONE,
    /* claiming */
    STEP_SLICED,   /* a block that claims a step does its own slice of it, and nobody does the rest */
    CLAIM_TWICE,   /* a claim takes one number and does two steps */
    SWAPPED,       /* two steps of a request in the wrong order */
    NO_BARRIER,    /* a step is published before all threads have done it */
    STALE_STEP,    /* the number of a step is that of the first launch */
    CLAIM_BY_LOAD, /* a load and a store instead of one addition */
    BATON_RIGHT,   /* no mistake: the next number belongs to who has the baton */
    BATON_FIRST,   /* the baton is handed on before the number that goes with it */
    TWO_A_THREAD,  /* a thread does two elements at most: enough for the size that was tried */
    KEPT_SIZE,     /* the length of the first run's states is taken for that of all */
    /* sharing */
    COUNTED_LATE, /* a request can be taken before it is counted as living */
    /* serving */
    LOSES_ITEM,   /* a request is taken and forgotten */
    LEAVES_EARLY, /* the kernel ends though requests follow */
    CRASHES,
    POSTS_TWICE,     /* one completion too many */
    DOES_TOO_MUCH,   /* a step more than it says */
    REPORTS_FIRST,   /* says that all steps are done, and does them then */
    CANCEL_LIES,     /* says that a request was cancelled, and goes on with it */
    CANCEL_IGNORED,  /* answers a cancel, and does the request to its end */
    CANCEL_DROPPED,  /* the client's: a cancel for which there is no room is taken for submitted */
    STOP_IGNORED,    /* answers a stop, and does what it has begun to its end */
    STOP_FORGETS,    /* ends at a stop, and does not say what it had begun */
    WRAPS_WRONG,     /* compares positions by size, which fails where they wrap */
    TAKES_TWICE,     /* reads a slot again and does the request twice */
    NOT_FAIR,        /* the first request to the end, then the next */
    TAKES_AT_DEVICE, /* reads what the host writes at device scope */
    POSTS_AT_DEVICE, /* writes what the host reads at device scope */
    RUNS_ELSEWHERE,  /* on a stream that is not timed */
    DOES_NOT_WAIT    /* returns while the kernel runs */
} mistake;

/* ---- claiming ---- */

/* In every other step every other thread comes late: what does not wait for them shows. */
static __device__ void late(int step)
{
    if (step % 2 == 0 && threadIdx.x % 2 == 1)
        for (int i = 0; i < 200; i++)
            PK_POLL_PAUSE();
}

/* By thread 0. The next number lies in plain memory, and the baton goes from ticket to ticket. */
static __device__ unsigned number_by_baton(lab02_control *control, mistake wrong)
{
    const unsigned ticket = pk_add_relaxed_device(&control->run_taken.value, 1u);
    while (pk_load_acquire_device(&control->run_pushed.value) != ticket + 1u)
        PK_SPIN_PAUSE();
    const unsigned number = control->next.value;
    if (wrong == BATON_FIRST)
        pk_store_release_device(&control->run_pushed.value, ticket + 2u);
    control->next.value = number + 1u;
    if (wrong != BATON_FIRST)
        pk_store_release_device(&control->run_pushed.value, ticket + 2u);
    return number;
}

static __device__ unsigned take_number(lab02_control *control, mistake wrong)
{
    if (wrong == BATON_RIGHT || wrong == BATON_FIRST)
        return number_by_baton(control, wrong);
    if (wrong != CLAIM_BY_LOAD)
        return pk_add_relaxed_device(&control->claimed.value, 1u);
    const unsigned number = pk_load_relaxed_device(&control->claimed.value);
    pk_store_relaxed_device(&control->claimed.value, number + 1u);
    return number;
}

static __global__ void claim_steps(lab02_problem problem, lab02_queue queue, mistake wrong)
{
    __shared__ unsigned claimed;
    const unsigned total = (unsigned)problem.requests * (unsigned)problem.steps;
    for (;;) {
        if (threadIdx.x == 0) {
            claimed = take_number(queue.control, wrong) - queue.first;
            if (wrong == CLAIM_TWICE)
                claimed /= 2;
            const unsigned r = claimed % problem.requests, step = claimed / problem.requests;
            while (claimed < total && wrong != CLAIM_TWICE &&
                   pk_load_acquire_device(&queue.done[r]) != queue.first + step)
                PK_SPIN_PAUSE();
        }
        __syncthreads();
        if (claimed >= total)
            return;
        const unsigned r = claimed % problem.requests;
        int step = (int)(claimed / problem.requests);
        const int slice = (problem.n + gridDim.x - 1) / gridDim.x, first = blockIdx.x * slice;
        if (wrong == SWAPPED && (step | 1) < problem.steps)
            step ^= 1;
        if (wrong == STALE_STEP)
            step = 0;
        const unsigned after = queue.first + claimed / problem.requests + 1;
        if (wrong == NO_BARRIER) {
            if (threadIdx.x == 0)
                pk_store_release_device(&queue.done[r], after);
            late(step);
        }
        if (wrong == STEP_SLICED)
            lab02_axpy(&problem, r, step, first + threadIdx.x, blockDim.x,
                       first + slice < problem.n ? first + slice : problem.n);
        else if (wrong == TWO_A_THREAD && problem.n > 2 * (int)blockDim.x)
            lab02_axpy(&problem, r, step, threadIdx.x, blockDim.x, 2 * blockDim.x);
        else
            lab02_axpy(&problem, r, step, threadIdx.x, blockDim.x, problem.n);
        __syncthreads();
        if (wrong != NO_BARRIER && threadIdx.x == 0)
            pk_store_release_device(&queue.done[r], after);
        __syncthreads();
    }
}

static pk_status claim(pk_run *run, mistake wrong)
{
    static int first_n;
    lab02 *lab = lab_of(run);
    lab02_problem problem = lab->problem;
    first_n = first_n ? first_n : problem.n;
    if (wrong == KEPT_SIZE)
        problem.n = first_n;
    PK_LAUNCH(claim_steps, lab02_blocks(run), (unsigned)lab->threads, 0, stream_of(run), problem, lab->queue, wrong);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    lab02_host_all_finished(lab);
    return PK_OK;
}

/* ---- sharing: who draws the baton puts all requests into the run queue, the others do them ---- */

static __device__ void count_one(const lab02_queue *queue)
{
    (void)pk_add_relaxed_device(&queue->control->live.value, 1u);
}

static __device__ void hand_out(const lab02_queue *queue, unsigned requests, mistake wrong)
{
    for (unsigned r = 0; r < requests; r++) {
        if (wrong != COUNTED_LATE)
            count_one(queue);
        push_back(queue, lab02_payload(LAB02_REQUEST, r));
        if (wrong == COUNTED_LATE)
            count_one(queue);
    }
}

/* `live` is what is handed out and not done, and 1 as long as more may follow. Whoever brings it to zero sends the
 * other blocks home. */
static __global__ void share_requests(lab02_problem problem, lab02_queue queue, mistake wrong)
{
    __shared__ unsigned drawn;
    lab02_block block = {problem.matrix, NULL, NULL};
    for (;;) {
        unsigned position;
        if (threadIdx.x == 0)
            drawn = run_queue_take(&queue, &position);
        __syncthreads();
        const unsigned what = drawn;
        __syncthreads(); /* all have read */
        if (lab02_kind(what) == LAB02_LEAVE)
            return;
        for (int step = 0; lab02_kind(what) == LAB02_REQUEST && step < problem.steps; step++)
            lab02_step(&problem, &block, lab02_id(what), step);
        if (threadIdx.x != 0)
            continue;
        if (lab02_kind(what) == LAB02_BATON)
            hand_out(&queue, (unsigned)problem.requests, wrong);
        if (pk_add_acquire_release_device(&queue.control->live.value, ~0u) == 1u)
            for (unsigned i = 0; i < gridDim.x; i++)
                push_back(&queue, lab02_payload(LAB02_LEAVE, 0));
    }
}

static pk_status share(pk_run *run, mistake wrong)
{
    lab02 *lab = lab_of(run);
    PK_LAUNCH(share_requests, lab02_blocks(run), (unsigned)lab->threads, 0, stream_of(run), lab->problem, lab->queue,
              wrong);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    lab02_host_all_finished(lab);
    return PK_OK;
}

/* ---- serving: one block, the items of the submissions in order ---- */

static __device__ void answer(const lab02_queue *queue, unsigned *posted, unsigned kind, unsigned id, mistake wrong)
{
    if (threadIdx.x != 0)
        return;
    wait_for_room(queue, *posted, pk_load_relaxed_device(&queue->control->consumed_seen.value));
    unsigned long long *const slot = &queue->completions[lab02_slot(*posted, queue->ring)];
    if (wrong == POSTS_AT_DEVICE)
        pk_store_release_device(slot, lab02_word(*posted, lab02_payload(kind, id)));
    else
        pk_store_release_system(slot, lab02_word(*posted, lab02_payload(kind, id)));
    ++*posted;
}

/* What stands at `position` from some moment on. Whole block. */
static __device__ unsigned wait_for_item(const lab02_queue *queue, unsigned position, unsigned *item, mistake wrong)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        unsigned long long word;
        bool there;
        do {
            PK_SPIN_PAUSE();
            const unsigned long long *const slot = &queue->submissions[lab02_slot(position, queue->ring)];
            word = wrong == TAKES_AT_DEVICE ? pk_load_acquire_device(slot) : pk_load_acquire_system(slot);
            there = wrong == WRAPS_WRONG ? (unsigned)(word >> 32) > position : lab02_is_there(word, position);
            if (wrong == LEAVES_EARLY && position - queue->first == 3u) {
                there = false;
                break;
            }
        } while (!there);
        *item = there ? (unsigned)word : lab02_payload(LAB02_LEAVE, 0);
    }
    __syncthreads();
    return *item;
}

/* Cancels and stops are looked for between two steps, at the next position. */
static __device__ bool told_to_end(const lab02_queue *queue, unsigned position, unsigned *kind)
{
    const unsigned long long word = pk_load_acquire_system(&queue->submissions[lab02_slot(position, queue->ring)]);
    *kind = lab02_kind((unsigned)word);
    return lab02_is_there(word, position) && (*kind == LAB02_CANCEL || *kind == LAB02_STOP);
}

/* Until the host has taken all completions; it has looked at all but the last then. Whole block. */
static __device__ void wait_for_host(const lab02_queue *queue, unsigned posted)
{
    if (threadIdx.x == 0)
        while (pk_load_acquire_system(queue->consumed) != posted)
            PK_SPIN_PAUSE();
    __syncthreads();
}

/* True when an order was answered here that the server would answer. */
static __device__ bool serve_request(const lab02_problem *problem, const lab02_queue *queue, unsigned r,
                                     unsigned position, unsigned *posted, unsigned *item, mistake wrong)
{
    bool ignored = false;
    lab02_block block = {problem->matrix, NULL, NULL};
    const int steps = problem->steps;
    for (int step = 0; step + 1 < steps && wrong == REPORTS_FIRST; step++)
        answer(queue, posted, LAB02_STEP, r, wrong);
    if (wrong == REPORTS_FIRST)
        wait_for_host(queue, *posted);
    for (int step = 0; step < steps; step++) {
        unsigned kind = 0;
        __syncthreads();
        if (threadIdx.x == 0)
            *item = !ignored && told_to_end(queue, position + 1u, &kind) ? kind : (unsigned)LAB02_STEP;
        __syncthreads();
        if ((wrong == CANCEL_IGNORED && *item == LAB02_CANCEL) || (wrong == STOP_IGNORED && *item == LAB02_STOP)) {
            answer(queue, posted, *item, r, wrong);
            ignored = true;
            __syncthreads(); /* all have read */
            if (threadIdx.x == 0)
                *item = LAB02_STEP;
            __syncthreads();
        }
        if (*item != LAB02_STEP && !(wrong == STOP_FORGETS && *item == LAB02_STOP)) {
            answer(queue, posted, *item == LAB02_CANCEL ? LAB02_CANCELLED : LAB02_UNFINISHED, r, wrong);
            if (wrong == CANCEL_LIES && *item == LAB02_CANCEL)
                lab02_step(problem, &block, r, step);
            return false;
        }
        if (*item == LAB02_STOP)
            return false;
        lab02_step(problem, &block, r, step);
        if (wrong == DOES_TOO_MUCH && step == steps - 1)
            lab02_step(problem, &block, r, step);
        if (wrong != REPORTS_FIRST || step + 1 == steps)
            answer(queue, posted, step + 1 < steps ? LAB02_STEP : LAB02_FINISHED, r, wrong);
        if (wrong == POSTS_TWICE && step == 2)
            answer(queue, posted, LAB02_STEP, r, wrong);
    }
    return ignored;
}

/* Long enough to be seen. */
static __global__ void linger(void)
{
    for (int i = 0; i < PK_POLL_PAUSES_FOR_2_MS; i++)
        PK_POLL_PAUSE();
}

static __global__ void server(lab02_problem problem, lab02_queue queue, mistake wrong)
{
    __shared__ unsigned item;
    unsigned posted = queue.first; /* thread 0's */
    for (unsigned position = queue.first;; position++) {
        const unsigned what = wait_for_item(&queue, position, &item, wrong), r = lab02_id(what);
        const unsigned nth = position - queue.first;
        if (lab02_kind(what) == LAB02_LEAVE)
            return;
        if (wrong == CRASHES && nth == 3)
            __trap();
        if (lab02_kind(what) == LAB02_REQUEST) {
            bool ignored = false;
            if (!(wrong == LOSES_ITEM && nth == 3))
                ignored = serve_request(&problem, &queue, r, position, &posted, &item, wrong);
            if (wrong == TAKES_TWICE && nth == 3)
                (void)serve_request(&problem, &queue, r, position, &posted, &item, wrong);
            if (ignored && wrong == STOP_IGNORED)
                return;
            position += ignored;
            continue;
        }
        answer(&queue, &posted, lab02_kind(what), r, wrong);
        if (lab02_kind(what) != LAB02_CANCEL)
            return;
    }
}

/* The client. Items are answered in the order in which they were submitted, so as many slots are free as were answered.
 */
typedef struct client {
    lab02_host *host;
    unsigned answered; /* a position */
    bool over;         /* the server has understood a drain or a stop */
    mistake wrong;
} client;

static pk_status took(pk_run *run, client *me, unsigned completion)
{
    const unsigned kind = lab02_kind(completion), id = lab02_id(completion);
    if (kind == LAB02_STEP)
        return lab02_host_step_done(run, id, pk_clock_us());
    me->answered++;
    me->over = me->over || kind == LAB02_DRAIN || kind == LAB02_STOP;
    if (kind == LAB02_STOP)
        lab02_host_stop_answered(me->host);
    if (kind == LAB02_CANCEL)
        return lab02_host_cancel_answered(run, id);
    if (kind == LAB02_FINISHED)
        PK_TRY(lab02_host_step_done(run, id, pk_clock_us()));
    return kind == LAB02_DRAIN || kind == LAB02_STOP ? PK_OK : lab02_host_ended(run, id, kind);
}

/* Take what has come; whatever came counts as taken at once. */
static pk_status take_all(pk_run *run, client *me)
{
    lab02_host *host = me->host;
    for (;;) {
        const unsigned long long word =
            __atomic_load_n(&host->completions[lab02_slot(host->head, host->ring)], __ATOMIC_ACQUIRE);
        if (!lab02_is_there(word, host->head))
            return me->wrong == RUNS_ELSEWHERE || me->over
                       ? PK_OK
                       : lab02_host_idle(run); /* a kernel that is over may be gone */
        host->head++;
        __atomic_store_n(host->consumed, host->head, __ATOMIC_RELEASE);
        PK_TRY(took(run, me, (unsigned)word));
    }
}

/* One request after the other, or as many as there is room for when turns are to be judged. A request whose time to be
 * cancelled has come is cancelled, and a stop comes after some steps. */
static pk_status attend(pk_run *run, client *me, bool together)
{
    lab02 *lab = lab_of(run);
    lab02_host *host = me->host;
    unsigned next = 0, cancelled = ~0u;
    while (host->ended_count < host->requests && !me->over) {
        const bool room = host->tail - me->answered < (together ? host->ring : 1u);
        if (!host->stopped && room && next < host->requests) {
            lab02_host_submitted(host);
            submit_in_free_slot(host, lab02_payload(LAB02_REQUEST, next++));
        }
        const unsigned r = next - 1u;
        if (!together && cancelled != r && !host->ended[r] && host->cancel_after[r] == (int)host->steps_done[r]) {
            if (me->wrong != CANCEL_DROPPED) /* one item at a time is its ring, and that is full */
                submit_in_free_slot(host, lab02_payload(LAB02_CANCEL, r));
            lab02_host_cancel_sent(host, r);
            cancelled = r;
        }
        if (lab->stop_after > 0 && !host->stopped && host->events >= lab->stop_after) {
            host->stopped = true;
            host->arrived = next;
            submit_in_free_slot(host, lab02_payload(LAB02_STOP, 0));
        }
        PK_TRY(take_all(run, me));
    }
    if (!host->stopped)
        submit_in_free_slot(host, lab02_payload(LAB02_DRAIN, 0));
    while (!me->over || (me->wrong == STOP_IGNORED && host->ended_count < host->arrived))
        PK_TRY(take_all(run, me));
    return PK_OK;
}

static pk_status serve(pk_run *run, mistake wrong)
{
    lab02 *lab = lab_of(run);
    cudaStream_t stream = stream_of(run);
    client me = {&lab->host, lab->queue.first, false, wrong};
    lab02_host_begin(lab, 0);
    lab02_host_admit(lab);
    if (wrong == RUNS_ELSEWHERE)
        PK_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    PK_LAUNCH(server, 1, (unsigned)lab->threads, 0, stream, lab->problem, lab->queue, wrong);
    PK_TRY(attend(run, &me, wrong == NOT_FAIR));
    if (wrong == DOES_NOT_WAIT)
        PK_LAUNCH(linger, 1, 1, 0, stream);
    else
        PK_CHECK(cudaStreamSynchronize(stream));
    if (wrong == RUNS_ELSEWHERE)
        (void)cudaStreamDestroy(stream);
    if (wrong == NOT_FAIR)
        lab->host.gap_limit = 2 * ((unsigned long long)lab->host.requests + 1) * lab->queue.quantum;
    return PK_OK;
}

/* ---- another program than its name says ---- */

static __global__ void nothing(void)
{
}

static pk_status claims_again(pk_run *run)
{
    PK_LAUNCH(nothing, 1, 1, 0, stream_of(run));
    return claim(run, NONE);
}

/* ---- results that are nearly right ---- */

static __global__ void spoil(float *value, bool not_a_number)
{
    *value = not_a_number ? (float)NAN : nextafterf(*value, INFINITY);
}

static pk_status spoilt(pk_run *run, float *where, bool not_a_number)
{
    PK_TRY(claim(run, NONE));
    PK_LAUNCH(spoil, 1, 1, 0, stream_of(run), where, not_a_number);
    PK_CHECK(cudaStreamSynchronize(stream_of(run)));
    return PK_OK;
}

static pk_status writes_nan(pk_run *run)
{
    return spoilt(run, lab_of(run)->problem.state, true);
}

static pk_status one_ulp_off(pk_run *run)
{
    return spoilt(run, lab_of(run)->problem.state, false);
}

static pk_status token_ulp_off(pk_run *run)
{
    return spoilt(run, lab_of(run)->problem.trace, false);
}

#define VARIANT(name, how, wrong)                                                                                      \
    static pk_status name(pk_run *run)                                                                                 \
    {                                                                                                                  \
        return how(run, wrong);                                                                                        \
    }
VARIANT(claims_right, claim, NONE)
VARIANT(step_sliced, claim, STEP_SLICED)
VARIANT(claim_twice, claim, CLAIM_TWICE)
VARIANT(swapped, claim, SWAPPED)
VARIANT(no_barrier, claim, NO_BARRIER)
VARIANT(stale_step, claim, STALE_STEP)
VARIANT(claim_by_load, claim, CLAIM_BY_LOAD)
VARIANT(baton_right, claim, BATON_RIGHT)
VARIANT(baton_first, claim, BATON_FIRST)
VARIANT(shares_right, share, NONE)
VARIANT(counted_late, share, COUNTED_LATE)
VARIANT(two_a_thread, claim, TWO_A_THREAD)
VARIANT(kept_size, claim, KEPT_SIZE)
VARIANT(serves_right, serve, NONE)
VARIANT(reports_first, serve, REPORTS_FIRST)
VARIANT(loses_item, serve, LOSES_ITEM)
VARIANT(leaves_early, serve, LEAVES_EARLY)
VARIANT(crashes, serve, CRASHES)
VARIANT(posts_twice, serve, POSTS_TWICE)
VARIANT(does_too_much, serve, DOES_TOO_MUCH)
VARIANT(cancel_lies, serve, CANCEL_LIES)
VARIANT(cancel_ignored, serve, CANCEL_IGNORED)
VARIANT(cancel_dropped, serve, CANCEL_DROPPED)
VARIANT(stop_ignored, serve, STOP_IGNORED)
VARIANT(stop_forgets, serve, STOP_FORGETS)
VARIANT(wraps_wrong, serve, WRAPS_WRONG)
VARIANT(takes_twice, serve, TAKES_TWICE)
VARIANT(not_fair, serve, NOT_FAIR)
VARIANT(takes_at_device, serve, TAKES_AT_DEVICE)
VARIANT(posts_at_device, serve, POSTS_AT_DEVICE)
VARIANT(other_stream, serve, RUNS_ELSEWHERE)
VARIANT(no_wait, serve, DOES_NOT_WAIT)

PK_VARIANTS(ladder) = {
    {"claims-right", "no mistake: blocks claim steps", 0, NULL, claims_right, NULL},
    {"step-sliced", "a block does its own slice of the step that it claimed", 0, NULL, step_sliced, NULL},
    {"claim-twice", "two blocks get the same step", 0, NULL, claim_twice, NULL},
    {"swapped", "two steps of a request in the wrong order", 0, NULL, swapped, NULL},
    {"no-barrier", "a step is published before all threads have done it", 0, NULL, no_barrier, NULL},
    {"stale-step", "the number of a step is that of the first launch", 0, NULL, stale_step, NULL},
    {"claim-by-load", "a load and a store instead of one addition", 0, NULL, claim_by_load, NULL},
    {"baton-right", "no mistake: the next number goes with a baton", 0, NULL, baton_right, NULL},
    {"baton-first", "the baton before the number that goes with it", 0, NULL, baton_first, NULL},
    {"shares-right", "no mistake: blocks share requests", 0, NULL, shares_right, NULL},
    {"counted-late", "a request can be taken before it is counted", 0, NULL, counted_late, NULL},
    {"two-a-thread", "a thread does two elements at most", 0, NULL, two_a_thread, NULL},
    {"kept-size", "the length of the first run's states for all", 0, NULL, kept_size, NULL},
    {"slices", "two launches, under a name that stands for one", 0, NULL, claims_again, NULL},
    {"reports-first", "completions before the work", PK_NEED_MAPPED_HOST, NULL, reports_first, NULL},
    {"serves-right", "no mistake: one block serves requests", PK_NEED_MAPPED_HOST, NULL, serves_right, NULL},
    {"loses-item", "a request is taken and forgotten", PK_NEED_MAPPED_HOST, NULL, loses_item, NULL},
    {"leaves-early", "the kernel ends though requests follow", PK_NEED_MAPPED_HOST, NULL, leaves_early, NULL},
    {"crashes", "the kernel crashes", PK_NEED_MAPPED_HOST, NULL, crashes, NULL},
    {"posts-twice", "one completion too many", PK_NEED_MAPPED_HOST, NULL, posts_twice, NULL},
    {"does-too-much", "a step more than it says", PK_NEED_MAPPED_HOST, NULL, does_too_much, NULL},
    {"cancel-lies", "goes on with a request after its end", PK_NEED_MAPPED_HOST, NULL, cancel_lies, NULL},
    {"cancel-ignored", "answers a cancel and goes on", PK_NEED_MAPPED_HOST, NULL, cancel_ignored, NULL},
    {"cancel-dropped", "a cancel without room is forgotten", PK_NEED_MAPPED_HOST, NULL, cancel_dropped, NULL},
    {"stop-ignored", "answers a stop and goes on", PK_NEED_MAPPED_HOST, NULL, stop_ignored, NULL},
    {"stop-forgets", "does not say what it left unfinished", PK_NEED_MAPPED_HOST, NULL, stop_forgets, NULL},
    {"wraps-wrong", "positions compared by size", PK_NEED_MAPPED_HOST, NULL, wraps_wrong, NULL},
    {"takes-twice", "the same item twice", PK_NEED_MAPPED_HOST, NULL, takes_twice, NULL},
    {"not-fair", "requests wait until others are through", PK_NEED_MAPPED_HOST, NULL, not_fair, NULL},
    {"takes-at-device", "device scope for what the host writes", PK_NEED_MAPPED_HOST, NULL, takes_at_device, NULL},
    {"posts-at-device", "device scope for what the host reads", PK_NEED_MAPPED_HOST, NULL, posts_at_device, NULL},
    {"other-stream", "a kernel outside the timed stream", PK_NEED_MAPPED_HOST, NULL, other_stream, NULL},
    {"no-wait", "returns while a kernel still runs", PK_NEED_MAPPED_HOST, NULL, no_wait, NULL},
    {"writes-nan", "one element NaN", 0, NULL, writes_nan, NULL},
    {"one-ulp-off", "one element the next float up", 0, NULL, one_ulp_off, NULL},
    {"token-ulp-off", "one token the next float up", 0, NULL, token_ulp_off, NULL},
};
PK_VARIANTS_END(ladder)
