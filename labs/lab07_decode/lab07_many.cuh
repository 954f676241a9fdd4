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

/* A logit and its token; and the token that step `step` chose, that it is the last one, and the step. */
static __device__ inline unsigned long long lab07_word_of(candidate c)
{
    return (unsigned long long)(unsigned)__float_as_int(c.value) << 32 | (unsigned)c.token;
}

static __device__ inline unsigned long long lab07_next_of(int step, bool last, int token)
{
    return (unsigned long long)(unsigned)step << 32 | (last ? 1u << 31 : 0u) | (unsigned)token;
}

/* Steps. Candidate k of the block, of step b->stands->step: by one lane. */
static __device__ inline void hand_candidate(const lab07_ring_view *v, const lab07_block *b, int k,
                                             unsigned long long word);
/* By one thread of block 0: what the step chose, to the host. */
static __device__ inline void post_token(const lab07_ring_view *v, const lab07_block *b, bool last, int token);
/* By the same: the host wants no further token. */
static __device__ inline bool host_stops(const lab07_ring_view *v);
/* By one lane of block 0: what step b->stands->step chose, to all blocks. */
static __device__ inline void tell_token(const lab07_ring_view *v, const lab07_block *b, bool last, int token);

/* Where the block's candidates are, of the step's set or of the other one. */
static __device__ inline unsigned long long *lab07_candidates(const lab07_ring_view *v, const lab07_block *b, int block,
                                                              int other)
{
    const int set = (b->stands->step + other) % LAB07_SETS;
    return v->candidates + ((size_t)set * gridDim.x + (unsigned)block) * v->choose.top_k;
}

/* The best of what the consumers have, in each of them: the warps' through shared memory. */
static __device__ inline candidate lab07_best_of_warps(const lab07_ring_view *v, const lab07_block *b, candidate mine)
{
    float *const of_warps = lab07_of_merge(v, b);
    mine = best_of_lanes(mine);
    if (lab07_lane() == 0) {
        of_warps[2 * lab07_warp()] = mine.value;
        of_warps[2 * lab07_warp() + 1] = __int_as_float(mine.token);
    }
    lab07_sync(v, b);
    for (int warp = 0; warp < v->consumers; warp++) {
        const candidate other = {of_warps[2 * warp], __float_as_int(of_warps[2 * warp + 1])};
        if (comes_before(other, mine))
            mine = other;
    }
    lab07_sync(v, b); /* the next one's go there */
    return mine;
}

/* By all consumers: the best of the block's logits, one after the other. Without a logit that is a number, or with
 * fewer than are asked for, there are some whose token is -1. */
static __device__ inline void lab07_hand_candidates(const lab07_ring_view *v, const lab07_block *b)
{
    const lab07_part part = lab07_of_part(v, b)[LAB07_LOGITS];
    const float *const logits = v->logits + (size_t)(b->stands->step % v->logit_rows) * v->vocab;
    candidate best = {0, -1};
    for (int k = 0; k < v->choose.top_k; k++) {
        candidate mine = {0, -1};
        if (k == 0 || best.token >= 0)
            for (int i = part.first + lab07_thread(); i < part.first + part.rows; i += v->consumers * PK_LANES) {
                const candidate c = {logits[i], logits[i] == logits[i] ? i : -1};
                if (comes_before(c, mine) && (k == 0 || comes_before(best, c)))
                    mine = c;
            }
        best = lab07_best_of_warps(v, b, mine);
        if (lab07_thread() == 0)
            hand_candidate(v, b, k, lab07_word_of(best));
    }
}

/* Candidate i of all blocks, when it is there. Acquire; pairs with hand_candidate's release. */
static __device__ inline candidate lab07_wait_for_candidate(const lab07_ring_view *v, const lab07_block *b, int i)
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
    const candidate c = {__int_as_float((int)(word >> 32)), (int)(unsigned)word};
    return c;
}

/* By one thread of block 0, of the candidates found: the token, for all. `stops`: the host wants no further one. */
static __device__ inline void lab07_tell_choice(const lab07_ring_view *v, const lab07_block *b, const candidate *found,
                                                int count, bool stops)
{
    put_token(&v->choose, count == 0 ? -1 : draw(&v->choose, found, count, b->stands->step), b->stands->step);
    const bool last = v->state->done != 0 || stops;
    post_token(v, b, last, v->state->token);
    tell_token(v, b, last, v->state->token);
}

/* By all consumers of block 0: the token, as choose_block has it of the same logits. */
static __device__ inline void lab07_choose_of_all(const lab07_ring_view *v, const lab07_block *b)
{
    __shared__ candidate found[PK_SAMPLE_MOST];
    const int all = (int)gridDim.x * v->choose.top_k;
    candidate best = {0, -1};
    int count = 0;
    for (; count < v->choose.top_k; count++) {
        candidate mine = {0, -1};
        for (int i = lab07_thread(); i < all; i += v->consumers * PK_LANES) {
            const candidate c = lab07_wait_for_candidate(v, b, i);
            if (comes_before(c, mine) && (count == 0 || comes_before(best, c)))
                mine = c;
        }
        __syncwarp();
        best = lab07_best_of_warps(v, b, mine); /* what each thread has acquired, thread 0 releases */
        if (best.token < 0)
            break;
        if (lab07_thread() == 0)
            found[count] = best;
    }
    if (lab07_thread() == 0)
        lab07_tell_choice(v, b, found, count, host_stops(v));
}

/* Greedy, the warp that makes the logits does all of it: `mine`, the best that each lane has seen. Its block's warps
 * have read what they were to read before it had their sums. */
static __device__ inline void lab07_choose_best(const lab07_ring_view *v, const lab07_block *b, candidate mine,
                                                bool stops)
{
    candidate best = best_of_lanes(mine);
    if (lab07_lane() == 0)
        hand_candidate(v, b, 0, lab07_word_of(best));
    if (blockIdx.x > 0)
        return;
    for (int i = lab07_lane(); i < (int)gridDim.x; i += PK_LANES) {
        const candidate c = lab07_wait_for_candidate(v, b, i);
        if (comes_before(c, best))
            best = c;
    }
    __syncwarp(); /* what each lane has acquired, lane 0 releases */
    best = best_of_lanes(best);
    if (lab07_lane() == 0)
        lab07_tell_choice(v, b, &best, best.token >= 0, stops);
}

/* By one thread: what step `step` has chosen, when block 0 has. Acquire; pairs with tell_token's release. */
static __device__ inline unsigned long long lab07_wait_for_token(const lab07_ring_view *v, int step)
{
    unsigned polls = 0;
    unsigned long long word = pk_load_acquire_device(v->next);
    while ((unsigned)(word >> 32) != (unsigned)step) {
        PK_SPIN_PAUSE();
        if (lab07_lasts(&polls))
            lab07_tell(v->arrivals, lab07_warp() < 0 ? LAB07_TELLS_COPIES : LAB07_TELLS_OTHERS,
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

/* By all consumers, and the warp that makes outputs; thread 0 of them waits for the token. Where the step behind stands
 * has been made up to there. False: there is none. */
static __device__ inline bool lab07_go_on(const lab07_ring_view *v, lab07_block *b)
{
    lab07_stands *const next = lab07_next_stands(b);
    if (lab07_thread() == 0) {
        lab07_stand(v, next, b->stands->step + 1, b->stands->position + 1);
        const unsigned long long word = lab07_wait_for_token(v, b->stands->step);
        lab07_take_token(v, next, (int)(unsigned)word);
        b->stands->last = lab07_was_last(v, word);
    }
    lab07_sync_all(v, b);
    lab07_stamp(v, b, v->layers, LAB07_PHASE_CHOOSE, LAB07_ENDS);
    lab07_stamp_ns(v, b, true);
    const bool last = b->stands->last;
    b->stands = next; /* what the step stood at is written again when all have come through the next one */
    return !last;
}

template <int G, int FORM> static __device__ inline void lab07_consume_many(const lab07_ring_view *v, lab07_block *b)
{
    lab07_at at = {0, 0, 0, {0, 0}, 0};
    do {
        lab07_consume<LAB07_FLAG, G, FORM>(v, b, &at);
        lab07_phase_begins(v, b, v->layers, LAB07_PHASE_CHOOSE);
        if (v->choose.top_k > 1) {
            lab07_sync_all(v, b); /* the logits are there */
            lab07_hand_candidates(v, b);
            if (blockIdx.x == 0)
                lab07_choose_of_all(v, b);
        }
        lab07_stamp(v, b, v->layers, LAB07_PHASE_CHOOSE, LAB07_DONE);
    } while (lab07_go_on(v, b));
}

static __device__ inline void lab07_finish_many(const lab07_ring_view *v, lab07_block *b)
{
    lab07_at at = {0, 0, 0, {0, 0}, 0};
    do {
        const bool stops = blockIdx.x == 0 && v->choose.top_k == 1 && host_stops(v); /* long before it is needed */
        const candidate best = lab07_finish_step<LAB07_FLAG>(v, b, &at);
        if (v->choose.top_k == 1)
            lab07_choose_best(v, b, best, stops);
        else
            lab07_sync_all(v, b);
    } while (lab07_go_on(v, b));
}

/* The lane that copies has gone on before it was known whether there is a step behind: to what does not depend on it.
 * Its keys do. */
static __device__ inline void lab07_make_sure(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at)
{
    at->unsure = false;
    at->over = lab07_was_last(v, lab07_wait_for_token(v, b->stands->step - 1));
    pk_async_fence(); /* other blocks' keys, written by plain stores, are there for copies too */
}

/* By the lane that copies. Nothing is under way when it ends. */
static __device__ inline void lab07_produce_many(const lab07_ring_view *v, const lab07_block *b)
{
    lab07_asking at = {};
    do {
        lab07_produce(v, b, &at);
        lab07_stand(v, b->stands, b->stands->step + 1, b->stands->position + 1);
        at.unsure = true;
    } while (!at.over);
    while (at.copies > 0)
        lab07_wait_landed(v, b, &at);
}

template <int G, int FORM>
static __global__ void __launch_bounds__(LAB07_MOST_THREADS, 1) stream_many(const PK_GRID_CONSTANT lab07_ring_view v)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    lab07_block b = lab07_begin(&v, shared);
    if (lab07_warp() == v.consumers)
        lab07_finish_many(&v, &b);
    else if (lab07_warp() >= 0)
        lab07_consume_many<G, FORM>(&v, &b);
    else if (lab07_lane() == 0)
        lab07_produce_many(&v, &b);
}

#endif
