/* Lab 07, given: one kernel for a step. A block has a warp that copies the step's weights, keys and values ahead, one
 * layer's behind the other's, others that compute, and one that makes outputs of the rows' sums. How blocks hand over,
 * and what is done with sums, are the including file's steps. */
#ifndef LAB07_STREAM_CUH
#define LAB07_STREAM_CUH

#include "lab07_attention.cuh"

/* A step. By the lane that copies: what the block reads of a layer, in the order in which it is used. */
static __device__ inline void stream_layer(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                           const pk_device_layer *layer);

/* What is small and would be waited for is asked for a layer ahead, by one block: the L2 is where all find it. */
static __device__ inline void lab07_ask_small(const lab07_ring_view *v, const pk_device_layer *next, int layer)
{
    const unsigned hidden = (unsigned)v->hidden * (unsigned)sizeof(uint16_t);
    if ((unsigned)layer % gridDim.x != blockIdx.x)
        return;
    pk_bulk_prefetch(next->attn_norm, hidden);
    pk_bulk_prefetch(next->ffn_norm, hidden);
}

static __device__ inline lab07_asking lab07_begin_asking(void)
{
    lab07_asking at = {};
    at.before = lab07_copier();
    at.parity = lab07_copier() == 0; /* none is before its first one: as if a phase had ended */
    return at;
}

static __device__ inline void lab07_produce(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at)
{
    for (int i = 0; i < v->layers && !at->over; i++) {
        lab07_now_copied(v, b)[0] = (unsigned)i;
        stream_layer(v, b, at, &lab07_of_layer(v, b)[i]);
        if (i + 1 < v->layers && lab07_copier() == 0)
            lab07_ask_small(v, &lab07_of_layer(v, b)[i + 1], i);
    }
    lab07_now_copied(v, b)[0] = (unsigned)v->layers;
    lab07_ask_rows(v, b, at, LAB07_LOGITS, v->logits_weight);
}

/* Behind a phase, where blocks meet. What any of them wrote before is there for what any of them does after. */
template <int HAND>
static __device__ inline void lab07_end_phase(const lab07_ring_view *v, const lab07_block *b, lab07_at *at)
{
    if (HAND != LAB07_BARRIER)
        return;
    at->arrived += gridDim.x;
    lab07_sync_all(v, b);
    if (lab07_thread() == 0)
        lab07_meet_blocks(v->arrivals, at->arrived);
    lab07_sync_all(v, b);
}

/* How the position turns heads. */
static __device__ inline void lab07_begin_step(const lab07_ring_view *v, const lab07_block *b)
{
    for (int i = lab07_thread(); i < v->head_dim; i += v->consumers * PK_LANES)
        lab07_of_turn(v, b)[i] = v->rope[(size_t)b->stands->position * v->head_dim + i];
    lab07_sync(v, b);
}

/* The block's part of the residual stream, as it comes into the first layer. */
static __device__ inline void lab07_begin_residual(const lab07_ring_view *v, const lab07_block *b)
{
    const lab07_part part = lab07_of_part(v, b)[LAB07_O];
    const uint16_t *const row = v->embedding + (size_t)b->token * v->hidden;
    for (int i = lab07_lane(); i < part.rows; i += PK_LANES)
        lab07_of_residual(v, b)[i] = pk_from_bf16(row[part.first + i]);
    __syncwarp();
}

/* What the consumers do with a matrix: of the layer, or behind all layers. */
static __device__ inline lab07_task lab07_task_of(const lab07_ring_view *v, const lab07_block *b, int layer, int which)
{
    lab07_task task = {which, NULL, NULL, NULL, NULL, 0};
    const int own = blockIdx.x % 2 ? v->at.again : 0; /* of what is there twice */
    const float *const x = layer > 0 ? lab07_outputs(v, b, layer - 1, 0) + own + v->at.x : NULL;
    if (which == LAB07_LOGITS) {
        task.x = x;
        task.gain = v->final_norm;
        return task;
    }
    const float *const out = lab07_outputs(v, b, layer, 0) + own;
    const pk_device_layer *const l = &lab07_of_layer(v, b)[layer];
    if (which == LAB07_QKV) {
        task.x = x;
        task.row = v->embedding + (size_t)b->stands->token * v->hidden;
        task.gain = l->attn_norm;
        task.bias = v->most_bias > 0 ? lab07_of_bias(v, b) + layer * v->most_bias : NULL;
        task.place = v->at.qkv;
    } else if (which == LAB07_O) {
        task.x = out + v->at.heads;
        task.place = v->at.middle;
    } else if (which == LAB07_GATE_UP) {
        task.x = out + v->at.middle;
        task.gain = l->ffn_norm;
        task.place = v->at.act;
    } else {
        task.x = out + v->at.act;
        task.place = v->at.x;
    }
    return task;
}

/* The next phase that may have chunks, all but the merge, begins: counted where this block has none too, as the lanes
 * that copy do. Relaxed; pairs with lab07_wait_limit. */
static __device__ inline void lab07_begin_chunks(const lab07_ring_view *v, const lab07_block *b)
{
    if (lab07_thread() == 0)
        (void)pk_add_relaxed_block(lab07_of_begun(v, b), 1u);
}

static __device__ inline void lab07_phase_begins(const lab07_ring_view *v, const lab07_block *b, int layer, int phase)
{
    lab07_of_now(v, b)[lab07_thread()] = (unsigned)(layer * LAB07_PLACES + phase);
    lab07_stamp(v, b, layer, phase, LAB07_BEGINS);
    lab07_stamp(v, b, layer, phase, LAB07_HAS); /* and again, where it waits for something */
}

template <int HAND>
static __device__ inline void lab07_phase_ends(const lab07_ring_view *v, const lab07_block *b, lab07_at *at, int phase)
{
    lab07_stamp(v, b, at->layer, phase, LAB07_DONE);
    if (at->layer < v->layers)
        lab07_end_phase<HAND>(v, b, at);
    lab07_stamp(v, b, at->layer, phase, LAB07_ENDS);
}

/* Arrivals of all blocks at the barriers of a step. */
template <int HAND> static inline unsigned lab07_step_barriers(int layers)
{
    return (HAND == LAB07_BARRIER ? (unsigned)(layers * LAB07_PHASES) : 0u) + 1u;
}

/* The next matrix: of the layer, of the next one, or the logits'. */
static __device__ inline int lab07_next_matrix(const lab07_ring_view *v, int which, lab07_at *at)
{
    if (which != LAB07_DOWN)
        return which + 1;
    at->layer++;
    return at->layer < v->layers ? LAB07_QKV : LAB07_LOGITS;
}

/* A step. `at`: where the one before has left it. One call of each, as they are large. */
template <int HAND, int T, int FORM>
static __device__ inline void lab07_consume(const lab07_ring_view *v, const lab07_block *b, lab07_at *at)
{
    lab07_stamp_ns(v, b, false);
    lab07_begin_step(v, b);
    at->layer = 0;
    for (int which = LAB07_QKV; which != LAB07_MATRICES; which = lab07_next_matrix(v, which, at)) {
        const lab07_task task = lab07_task_of(v, b, at->layer, which);
        lab07_phase_begins(v, b, at->layer, lab07_phase_of(which));
        lab07_begin_chunks(v, b);
        lab07_product<HAND, FORM>(v, b, at, &task);
        lab07_phase_ends<HAND>(v, b, at, lab07_phase_of(which));
        if (which != LAB07_QKV)
            continue;
        lab07_phase_begins(v, b, at->layer, LAB07_PHASE_ATTEND);
        lab07_begin_chunks(v, b);
        lab07_attend<HAND, T>(v, b, at);
        lab07_phase_ends<HAND>(v, b, at, LAB07_PHASE_ATTEND);
        lab07_phase_begins(v, b, at->layer, LAB07_PHASE_MERGE);
        lab07_merge<HAND, T>(v, b, at);
        lab07_phase_ends<HAND>(v, b, at, LAB07_PHASE_MERGE);
    }
}

/* The same step by the warp that makes outputs. Returns the best logit of each lane's. */
template <int HAND>
static __device__ inline candidate lab07_finish_step(const lab07_ring_view *v, const lab07_block *b, lab07_at *at)
{
    candidate best = {0, -1};
    lab07_begin_residual(v, b);
    at->layer = 0;
    for (int which = LAB07_QKV; which != LAB07_MATRICES; which = lab07_next_matrix(v, which, at)) {
        const lab07_task task = lab07_task_of(v, b, at->layer, which);
        lab07_finish<HAND>(v, b, at, &task, &best);
        if (which == LAB07_LOGITS)
            break;
        lab07_end_phase<HAND>(v, b, at);
        for (int i = 0; which == LAB07_QKV && i < 2; i++) /* attention's two */
            lab07_end_phase<HAND>(v, b, at);
    }
    return best;
}

/* ---- the token ----
 *
 * A block's candidates are the best of its logits: one, where the best of all is taken, or as many as the token is
 * drawn among. Block 0 looks at those of all blocks. HAND: how it learns that they are there.
 *   - LAB07_BARRIER, where a launch is a step: the thread that has put a block's candidates, relaxed, arrives behind
 *     that: release. A thread of block 0 waits for all arrivals: acquire. So what is loaded behind it, relaxed, is of
 *     this step, and never of one before. Other blocks do not wait: the launch ends.
 *   - LAB07_FLAG, where a launch is many steps: a candidate is its own flag, see lab07_many.cuh. */

/* A logit and its token, and back. */
static __device__ inline unsigned long long lab07_word_of(candidate c)
{
    return (unsigned long long)(unsigned)__float_as_int(c.value) << 32 | (unsigned)c.token;
}

static __device__ inline candidate lab07_candidate_of(unsigned long long word)
{
    const candidate c = {__int_as_float((int)(word >> 32)), (int)(unsigned)word};
    return c;
}

/* Where a block's candidates are, of the step's set or of the other one. */
static __device__ inline unsigned long long *lab07_candidates(const lab07_ring_view *v, const lab07_block *b, int block,
                                                              int other)
{
    const int set = (b->stands->step + other) % LAB07_SETS;
    return v->candidates + ((size_t)set * gridDim.x + (unsigned)block) * v->choose.top_k;
}

/* Steps of a launch of many steps. Candidate k of the block, of step b->stands->step: by one lane. */
static __device__ inline void hand_candidate(const lab07_ring_view *v, const lab07_block *b, int k,
                                             unsigned long long word);
/* By one thread of block 0: the host wants no further token. */
static __device__ inline bool host_stops(const lab07_ring_view *v);

/* And what else is done there: lab07_many.cuh. */
static __device__ inline unsigned long long lab07_wait_for_candidate(const lab07_ring_view *v, const lab07_block *b,
                                                                     int i);
static __device__ inline void lab07_tell_chosen(const lab07_ring_view *v, const lab07_block *b, bool stops);

/* Candidate k of the block. By one thread, the same for all k. */
template <int HAND>
static __device__ inline void lab07_put_candidate(const lab07_ring_view *v, const lab07_block *b, int k, candidate c)
{
    if (HAND == LAB07_FLAG)
        hand_candidate(v, b, k, lab07_word_of(c));
    else
        pk_store_relaxed_device(lab07_candidates(v, b, (int)blockIdx.x, 0) + k, lab07_word_of(c));
}

/* By the thread that has put all of the block's. */
template <int HAND> static __device__ inline void lab07_gather(const lab07_ring_view *v, const lab07_at *at)
{
    if (HAND == LAB07_FLAG)
        return;
    if (blockIdx.x > 0)
        pk_add_release_device(v->arrivals, 1u);
    else
        lab07_meet_blocks(v->arrivals, at->arrived + gridDim.x);
}

/* Candidate i of all blocks. */
template <int HAND>
static __device__ inline candidate lab07_take_candidate(const lab07_ring_view *v, const lab07_block *b, int i)
{
    return lab07_candidate_of(HAND == LAB07_FLAG ? lab07_wait_for_candidate(v, b, i)
                                                 : pk_load_relaxed_device(lab07_candidates(v, b, 0, 0) + i));
}

/* By one thread of block 0, of the candidates found: the token. `stops`: the host wants no further one. */
template <int HAND>
static __device__ inline void lab07_put_token(const lab07_ring_view *v, const lab07_block *b, const candidate *found,
                                              int count, bool stops)
{
    put_token(&v->choose, count == 0 ? -1 : draw(&v->choose, found, count, b->stands->step), b->stands->step);
    if (HAND == LAB07_FLAG)
        lab07_tell_chosen(v, b, stops);
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
template <int HAND> static __device__ inline void lab07_put_candidates(const lab07_ring_view *v, const lab07_block *b)
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
            lab07_put_candidate<HAND>(v, b, k, best);
    }
}

/* By all consumers of block 0: the token, as choose_block has it of the same logits. */
template <int HAND> static __device__ inline void lab07_choose_of_all(const lab07_ring_view *v, const lab07_block *b)
{
    __shared__ candidate found[PK_SAMPLE_MOST];
    const int all = (int)gridDim.x * v->choose.top_k;
    candidate best = {0, -1};
    int count = 0;
    if (HAND == LAB07_BARRIER)
        lab07_sync(v, b); /* what thread 0 has acquired, all may read */
    for (; count < v->choose.top_k; count++) {
        candidate mine = {0, -1};
        for (int i = lab07_thread(); i < all; i += v->consumers * PK_LANES) {
            const candidate c = lab07_take_candidate<HAND>(v, b, i);
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
        lab07_put_token<HAND>(v, b, found, count, HAND == LAB07_FLAG && host_stops(v));
}

/* By all consumers, behind the logits: they choose where the token is drawn. */
template <int HAND>
static __device__ inline void lab07_choose_drawn(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at)
{
    lab07_phase_begins(v, b, v->layers, LAB07_PHASE_CHOOSE);
    if (v->choose.top_k > 1) {
        lab07_sync_all(v, b); /* the logits are there */
        lab07_put_candidates<HAND>(v, b);
        if (lab07_thread() == 0)
            lab07_gather<HAND>(v, at);
        if (blockIdx.x == 0)
            lab07_choose_of_all<HAND>(v, b);
    }
    lab07_stamp(v, b, v->layers, LAB07_PHASE_CHOOSE, LAB07_DONE);
}

/* By the warp that makes outputs, which chooses where the best is taken: `mine`, the best that each lane has seen. Its
 * block's warps have read what they were to read before it had their sums. */
template <int HAND>
static __device__ inline void lab07_choose_best(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                candidate mine, bool stops)
{
    if (v->choose.top_k > 1) {
        lab07_sync_all(v, b);
        return;
    }
    candidate best = best_of_lanes(mine);
    if (lab07_lane() == 0) {
        lab07_put_candidate<HAND>(v, b, 0, best);
        lab07_gather<HAND>(v, at);
    }
    if (blockIdx.x > 0)
        return;
    __syncwarp(); /* what lane 0 has acquired, all may read */
    for (int i = lab07_lane(); i < (int)gridDim.x; i += PK_LANES) {
        const candidate c = lab07_take_candidate<HAND>(v, b, i);
        if (comes_before(c, best))
            best = c;
    }
    __syncwarp(); /* what each lane has acquired, lane 0 releases */
    best = best_of_lanes(best);
    if (lab07_lane() == 0)
        lab07_put_token<HAND>(v, b, &best, best.token >= 0, stops);
}

/* By all of them: the block has done with the step. */
static __device__ inline void lab07_end_step(const lab07_ring_view *v, const lab07_block *b)
{
    lab07_sync_all(v, b);
    lab07_stamp(v, b, v->layers, LAB07_PHASE_CHOOSE, LAB07_ENDS);
    lab07_stamp_ns(v, b, true);
}

template <int HAND, int T, int FORM>
static __global__ void __launch_bounds__(LAB07_MOST_THREADS, 1) stream_step(const PK_GRID_CONSTANT lab07_ring_view v)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab07_block b = lab07_begin(&v, shared);
    lab07_at at = {0, 0, {0, 0}, v.arrived};
    if (lab07_copier() < LAB07_COPIERS) {
        lab07_asking asking = lab07_begin_asking();
        if (lab07_copier() < v.copiers && lab07_lane() == 0)
            lab07_produce(&v, &b, &asking);
    } else if (lab07_warp() < v.consumers) {
        lab07_consume<HAND, T, FORM>(&v, &b, &at);
        lab07_choose_drawn<LAB07_BARRIER>(&v, &b, &at);
        lab07_end_step(&v, &b);
    } else {
        const candidate best = lab07_finish_step<HAND>(&v, &b, &at);
        lab07_choose_best<LAB07_BARRIER>(&v, &b, &at, best, false);
        lab07_end_step(&v, &b);
    }
}

#endif
