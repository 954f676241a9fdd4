/* Lab 07, given: many steps in one launch. Blocks hand over candidates for the token, block 0 chooses, and all go on,
 * or end, by one word that it writes.
 *
 * No barrier a step, and two sets of outputs are enough. A block hands over its candidates of step t when all its warps
 * have read what they read in step t: release. Block 0 looks at those of all blocks: acquire; and writes the word of
 * step t: release. So who knows the token of step t (acquire) knows that every block has read all its inputs of steps
 * up to t, and that what every block wrote up to there is to be seen:
 *   - in step t + 1 an output goes to the set of step t - 1, and the set of step t is poisoned: both have been read;
 *   - in step t + 1 a block waits in a set that was poisoned in step t, and finds no output of step t - 1 there;
 *   - keys that were appended in step t are read in step t + 1, by copies: which takes a fence of its own, see below;
 *   - the candidates are in two sets likewise.
 * Greedy, the warp that makes outputs hands the candidate over: it has the sums of all warps by then, which they make
 * of what they have read. The word of step t is not written over before all have read it: block 0 has candidates of
 * step t + 1 by then, which a block makes when it knows the token of step t.
 *
 * The host reads each token as it is chosen, and may stop the kernel. Block 0 alone looks at its word, and what it has
 * seen is in the token's word for all: blocks that looked themselves would end at different steps.
 *
 * hand_candidate, tell_token, post_token and host_stops are the including file's. */
#ifndef LAB07_MANY_CUH
#define LAB07_MANY_CUH

#include "lab07_stream.cuh"

#if !defined(LAB07_SEES_LAST) /* mistakes_ring.cu has its own */
#define LAB07_SEES_LAST(v) true
#define LAB07_STOPS_ALONE(v) false
#endif

#define LAB07_NO_WORD (~0ull) /* not there yet */

/* The token that step `step` chose, that it is the last one, and the step. */
static __device__ inline unsigned long long lab07_next_of(int step, bool last, int token)
{
    return (unsigned long long)(unsigned)step << 32 | (last ? 1u << 31 : 0u) | (unsigned)token;
}

/* Steps. By one thread of block 0: what the step chose, to the host. */
static __device__ inline void post_token(const lab07_ring_view *v, const lab07_block *b, bool last, int token);
/* By one lane of block 0: what step b->stands->step chose, to all blocks. */
static __device__ inline void tell_token(const lab07_ring_view *v, const lab07_block *b, bool last, int token);

/* Candidate i of all blocks, when it is there. Acquire; pairs with hand_candidate's release. */
static __device__ inline unsigned long long lab07_wait_for_candidate(const lab07_ring_view *v, const lab07_block *b,
                                                                     int i)
{
    const unsigned long long *const from = lab07_candidates(v, b, 0, 0) + i;
    unsigned polls = 0;
    unsigned long long word = pk_load_acquire_device(from);
    while (word == LAB07_NO_WORD) {
        PK_SPIN_PAUSE();
        if (lab07_lasts(&polls))
            lab07_tell(
                v->arrivals, LAB07_TELLS_CANDIDATES,
                lab07_word(LAB07_WAITS_FOR_CANDIDATE, (unsigned)b->stands->step, (unsigned)(i / v->choose.top_k)));
        word = pk_load_acquire_device(from);
    }
    return word;
}

/* By one thread of block 0, behind put_token: what was chosen, to all. */
static __device__ inline void lab07_tell_chosen(const lab07_ring_view *v, const lab07_block *b, bool stops)
{
    const bool last = v->state->done != 0 || stops;
    post_token(v, b, last, v->state->token);
    tell_token(v, b, last, v->state->token);
}

/* By one thread: what step `step` has chosen, when block 0 has. Acquire; pairs with tell_token's release. */
static __device__ inline unsigned long long lab07_wait_for_token(const lab07_ring_view *v, int step)
{
    unsigned polls = 0;
    unsigned long long word = pk_load_acquire_device(v->next);
    while ((unsigned)(word >> 32) != (unsigned)step) {
        PK_SPIN_PAUSE();
        if (lab07_lasts(&polls))
            lab07_tell(v->arrivals, lab07_copier() < LAB07_COPIERS ? LAB07_TELLS_COPIES : LAB07_TELLS_OTHERS,
                       lab07_word(LAB07_WAITS_FOR_TOKEN, (unsigned)step, 0));
        word = pk_load_acquire_device(v->next);
    }
    return word;
}

static __device__ inline bool lab07_was_last(const lab07_ring_view *v, unsigned long long word)
{
    (void)v;
    return ((word & (1u << 31)) && LAB07_SEES_LAST(v)) || LAB07_STOPS_ALONE(v);
}

/* Where the step behind stands. By one thread; nobody looks at it yet. */
static __device__ inline lab07_stands *lab07_next_stands(const lab07_block *b)
{
    lab07_stands *const of_two = b->stands - (b->stands->step & 1);
    return of_two + !(b->stands->step & 1);
}

/* By all consumers, and the warp that makes outputs. Thread 0 waits for the token, and has made up where the step
 * behind stands up to there. False: there is none. The warp that makes outputs looks for itself: what it read in shared
 * memory right behind the meeting, racecheck would take for a race. */
static __device__ inline bool lab07_go_on(const lab07_ring_view *v, lab07_block *b)
{
    lab07_stands *const next = lab07_next_stands(b);
    const bool consumes = lab07_warp() < v->consumers;
    unsigned word = 0; /* without the step */
    int over = 0;
    if (lab07_thread() == 0) {
        lab07_stand(v, next, b->stands->step + 1, b->stands->position + 1);
        word = (unsigned)lab07_wait_for_token(v, b->stands->step);
        next->token = lab07_token(v, (int)word);
        next->over = lab07_was_last(v, word);
    } else if (!consumes && lab07_lane() == 0) {
        word = (unsigned)lab07_wait_for_token(v, b->stands->step);
        over = lab07_was_last(v, word);
    }
    lab07_end_step(v, b);
    float *const other = b->out[1];
    b->out[1] = b->out[0];
    b->out[0] = other;
    b->stands = next; /* what the step stood at is written again when all have come through the next one */
    if (!consumes) {
        b->token = lab07_token(v, (int)__shfl_sync(PK_ALL_LANES, word, 0));
        return !__shfl_sync(PK_ALL_LANES, over, 0);
    }
    lab07_sync(v, b);
    return !next->over;
}

template <int T, int FORM> static __device__ inline void lab07_consume_many(const lab07_ring_view *v, lab07_block *b)
{
    lab07_at at = {0, 0, {0, 0}, 0};
    do {
        lab07_consume<LAB07_FLAG, T, FORM>(v, b, &at);
        lab07_choose_drawn<LAB07_FLAG>(v, b, &at);
    } while (lab07_go_on(v, b));
}

static __device__ inline void lab07_finish_many(const lab07_ring_view *v, lab07_block *b)
{
    lab07_at at = {0, 0, {0, 0}, 0};
    do {
        const bool stops = blockIdx.x == 0 && v->choose.top_k == 1 && host_stops(v); /* long before it is needed */
        const candidate best = lab07_finish_step<LAB07_FLAG>(v, b, &at);
        lab07_choose_best<LAB07_FLAG>(v, b, &at, best, stops);
    } while (lab07_go_on(v, b));
}

/* The lane that copies has gone on before it was known whether there is a step behind: to what does not depend on it.
 * Its keys do. */
static __device__ inline void lab07_make_sure(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at)
{
    at->unsure = false;
    at->of_unsure = 0;
    at->over = lab07_was_last(v, lab07_wait_for_token(v, b->stands->step - 1));
    pk_async_fence(); /* other blocks' keys, written by plain stores, are there for copies too */
}

/* By a lane that copies. Nothing of it is under way when it ends. */
static __device__ inline void lab07_produce_many(const lab07_ring_view *v, const lab07_block *b)
{
    lab07_asking at = lab07_begin_asking();
    do {
        lab07_produce(v, b, &at);
        lab07_stand(v, b->stands, b->stands->step + 1, b->stands->position + 1);
        at.unsure = true;
    } while (!at.over);
    lab07_wait_landed(v, b, &at);
}

template <int T, int FORM>
static __global__ void __launch_bounds__(LAB07_MOST_THREADS, 1) stream_many(const PK_GRID_CONSTANT lab07_ring_view v)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    lab07_block b = lab07_begin(&v, shared);
    if (lab07_warp() == v.consumers)
        lab07_finish_many(&v, &b);
    else if (lab07_warp() >= 0)
        lab07_consume_many<T, FORM>(&v, &b);
    else if (lab07_copier() < v.copiers && lab07_lane() == 0)
        lab07_produce_many(&v, &b);
}

#endif
