/* Lab 07, rungs 3 to 7: a step as one kernel whose weights, keys and values stream ahead. Fill in the steps; the
 * page is RING.md beside this file, and MANY.md and QUANT.md for the last two.
 *
 *   ring-ahead   a warp of each block copies ahead, over the barriers; no more than so much under way
 *   ring-flag    no barrier behind a phase: blocks wait for the outputs themselves
 *   ring-spread  the same; all blocks share the keys, whatever the context, and end a layer together
 *   ring-many    the same; all steps in one launch
 *   ring-quant   as ring-spread; weights are bf16 or blocks: rung 7, QUANT.md
 *   ring-many-quant   both of the last
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. What is given
 * is in the headers: lab07_ring.cuh has the ring and what blocks look at, lab07_rows.cuh products, lab07_blocks.cuh
 * weights in blocks, lab07_attention.cuh attention, lab07_stream.cuh and lab07_many.cuh the kernels,
 * lab07_ring_plan.cuh the launch. */
#include "lab07_ring_plan.cuh"

/* ---- rung 3: everything that is read streams ahead ---- */

/* By the lane that copies. The consumers use chunks in the order in which they were asked for. */
static __device__ inline void stream_layer(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at,
                                           const pk_device_layer *layer)
{
    /* STEP lab07.6 for ring-ahead, ring-flag, ring-spread, ring-many, ring-quant, ring-many-quant: ask for the rows of each matrix, and for keys where attention is (about 5 lines) */
    lab07_ask_rows(v, b, at, LAB07_QKV, layer->qkv);
    lab07_ask_keys(v, b, at, layer);
    lab07_ask_rows(v, b, at, LAB07_O, layer->o);
    lab07_ask_rows(v, b, at, LAB07_GATE_UP, layer->gate_up);
    lab07_ask_rows(v, b, at, LAB07_DOWN, layer->down);
    /* END lab07.6 */
}

/* What becomes of a row's sum; of gate_up's two. The norm's factor multiplies sums, which are of x times its gain. What
 * is added to the residual stream stays in lab07_of_residual(v, b), for the next time. */
static __device__ inline float finish_row(const lab07_ring_view *v, const lab07_block *b, const lab07_task *task,
                                          float factor, float sum, float second, int row, int own)
{
    float value = factor * sum;
    /* STEP lab07.7 for ring-ahead, ring-flag, ring-spread, ring-many, ring-quant, ring-many-quant: bias; activation of gate, times up; the residual stream (about 6 lines) */
    if (task->bias)
        value = fmaf(factor, sum, pk_from_bf16(task->bias[own]));
    if (task->which == LAB07_GATE_UP)
        value = pk_activate(v->activation, value) * (factor * second);
    if (task->which == LAB07_O || task->which == LAB07_DOWN)
        value = lab07_of_residual(v, b)[own] += value;
    /* END lab07.7 */
    (void)v, (void)b, (void)task, (void)second, (void)row, (void)own;
    return value;
}

/* By a warp. Lane l has pairs l, l + 32, ... of the head; those behind its end are 0. */
template <int T>
static __device__ inline void turn_head(const lab07_ring_view *v, const uint16_t *gain, const float *turn,
                                        lab07_pairs<T> *p)
{
    const int half = v->head_dim / 2;
    float squares = 0;
#pragma unroll
    for (int t = 0; t < T; t++)
        squares = fmaf(p->low[t], p->low[t], fmaf(p->high[t], p->high[t], squares));
    const float factor = gain ? rsqrtf(pk_sum_lanes(squares) / (float)v->head_dim + v->eps) : 1;
#pragma unroll
    for (int t = 0; t < T; t++) {
        const int i = lab07_lane() + t * PK_LANES;
        if (i >= half)
            continue;
        const float low = p->low[t] * factor * (gain ? pk_from_bf16(gain[i]) : 1);
        const float high = p->high[t] * factor * (gain ? pk_from_bf16(gain[half + i]) : 1);
        /* STEP lab07.8 for ring-ahead, ring-flag, ring-spread, ring-many, ring-quant, ring-many-quant: turn (low, high) by the angle of pair i (about 2 lines) */
        p->low[t] = fmaf(low, turn[2 * i], -(high * turn[2 * i + 1]));
        p->high[t] = fmaf(high, turn[2 * i], low * turn[2 * i + 1]);
        /* END lab07.8 */
        (void)low, (void)high;
    }
}

/* The lane's scores of four keys, of query head g, become weights: 2^(score - top), 0 where there is no key (not
 * `there`: its score is some other key's). s->top, s->weight: of what came before, and behind the step of these too;
 * `top`: the highest with these. Returns what the sums so far, which are by the old maximum, are to be multiplied by.
 */
static __device__ inline float take_scores(const lab07_ring_view *v, const float score[LAB07_OWN_SCORES],
                                           const bool there[LAB07_OWN_SCORES], float top, lab07_weighed *s,
                                           float weight[LAB07_OWN_SCORES])
{
    float keep = 1;
    /* STEP lab07.9 for ring-ahead, ring-flag, ring-spread, ring-many, ring-quant, ring-many-quant: what the sums so far are to be multiplied by, and the weight by it; then each key's weight, and its part of the weight (about 7 lines) */
    keep = exp2f(s->top - top);
    s->top = top;
    s->weight *= keep;
#pragma unroll
    for (int k = 0; k < LAB07_OWN_SCORES; k++) {
        weight[k] = there[k] ? exp2f(score[k] - top) : 0;
        s->weight += weight[k];
    }
    /* END lab07.9 */
    (void)v, (void)score, (void)there, (void)top, (void)weight;
    return keep;
}

/* A part: [head_dim] sums, their maximum, their weight. Of any warps' or blocks' parts, and always in their order. */
static __device__ inline float merge_parts_in_order(const lab07_ring_view *v, const float *parts, int count, int stride,
                                                    int i, float *top, float *weight)
{
    float sum = 0;
    *top = LOWEST;
    *weight = 0;
#pragma unroll 4
    for (int p = 0; p < count; p++)
        *top = fmaxf(*top, parts[p * stride + v->head_dim]);
#pragma unroll 4
    for (int p = 0; p < count; p++) {
        const float *const part = parts + p * stride;
        /* STEP lab07.10 for ring-ahead, ring-flag, ring-spread, ring-many, ring-quant, ring-many-quant: the part's sum i and weight, by the highest maximum (about 3 lines) */
        const float factor = exp2f(part[v->head_dim] - *top);
        *weight = fmaf(factor, part[v->head_dim + 1], *weight);
        sum = fmaf(factor, part[i], sum);
        /* END lab07.10 */
        (void)part;
    }
    return sum;
}

/* All steps, one launch each, and one wait. */
static pk_status ring_execute(pk_run *run)
{
    const lab07_ring_plan *const plan = lab07_ring_plan_of(run);
    const lab07_ring_kernel stream_step = plan->kernel;
    lab07_ring_view view = plan->view;
    PK_TRY(lab07_ring_poison(run));
    for (int step = 0; step < lab07_of(run)->tokens; step++) {
        view.arrived = (unsigned)step * plan->barriers;
        /* STEP lab07.11 for ring-ahead, ring-flag, ring-spread, ring-quant: launch so that all blocks are resident, with the plan's shared memory (about 2 lines) */
        PK_LAUNCH_COOPERATIVE(stream_step, (unsigned)plan->blocks, (unsigned)plan->threads, plan->shared_bytes,
                              lab07_stream(run), view);
        /* END lab07.11 */
    }
    (void)stream_step, (void)view;
    PK_CHECK(cudaStreamSynchronize(lab07_stream(run)));
    return lab07_tell_stamps(run);
}

static pk_status ahead_prepare(pk_run *run)
{
    return lab07_ring_prepare(run, LAB07_RING_KERNEL(run, LAB07_BARRIER),
                              lab07_step_barriers<LAB07_BARRIER>(lab07_of(run)->decoder.config.layers), 0,
                              lab07_even_shares);
}

/* ---- rung 4: the data are the flag ---- */

/* N fours of outputs, at x + at[i], 16-aligned, each loaded once. All that lack are asked for again together: one
 * behind the other, each would take as long as all. Pairs: the relaxed loads with write_output's relaxed stores. */
template <int N>
static __device__ inline void wait_for_fours(const lab07_ring_view *v, const float *x, const int at[N], float4 got[N])
{
    unsigned polls = 0; /* in vain: a wait that lasts says so */
    const float *lacking;
    do {
        lacking = NULL;
#pragma unroll
        for (int i = 0; i < N; i++) {
            /* STEP lab07.12 for ring-flag, ring-spread, ring-many, ring-quant, ring-many-quant: if four i lacks one, note x + at[i] as lacking, and load it again (about 4 lines) */
            if (lab07_lacks(got[i])) {
                lacking = x + at[i];
                got[i] = lab07_load_4(x + at[i]);
            }
            /* END lab07.12 */
            (void)x, (void)at, (void)got;
        }
        if (lacking) {
            PK_SPIN_PAUSE();
            lab07_waits_for_output(v, lacking, &polls);
        }
    } while (lacking);
}

/* Output `place` of the layer goes to the step's set. Its place in the other set, which the next step waits at, is
 * poisoned: who read it did so in the step before, which has ended, or which all have done with (lab07_many.cuh). */
static __device__ inline void write_output(const lab07_ring_view *v, const lab07_block *b, int layer, int place,
                                           float value)
{
    /* STEP lab07.13 for ring-flag, ring-spread, ring-many, ring-quant, ring-many-quant: store the output, and poison its place in the other set (about 2 lines) */
    lab07_store(lab07_outputs(v, b, layer, 0) + place, value);
    lab07_poison(lab07_outputs(v, b, layer, 1) + place);
    /* END lab07.13 */
}

static pk_status flag_prepare(pk_run *run)
{
    return lab07_ring_prepare(run, LAB07_RING_KERNEL(run, LAB07_FLAG),
                              lab07_step_barriers<LAB07_FLAG>(lab07_of(run)->decoder.config.layers), 0,
                              lab07_even_shares);
}

/* ---- rung 5: all blocks share keys and rows ---- */

/* See lab07_shares. A block that had less than its fair part so far has more of this matrix. */
static void fair_shares(const lab07_matrix *matrix, int blocks, double fair, const double *had, int *ends)
{
    double line = 0; /* bytes of this matrix that blocks 0 to b are to have together */
    for (int b = 0, first = 0; b < blocks; first = ends[b++]) {
        line += fair - had[b];
        ends[b] = (int)(line / lab07_row_bytes(matrix) + 0.5);
        ends[b] = ends[b] < first ? first : ends[b] > matrix->rows ? matrix->rows : ends[b];
    }
    ends[blocks - 1] = matrix->rows;
}

static pk_status spread_prepare(pk_run *run)
{
    /* STEP lab07.14 for ring-spread: as flag_prepare, with the run's share_keys and fair_shares (about 3 lines) */
    return lab07_ring_prepare(run, LAB07_RING_KERNEL(run, LAB07_FLAG),
                              lab07_step_barriers<LAB07_FLAG>(lab07_of(run)->decoder.config.layers),
                              lab07_of(run)->share_keys, fair_shares);
    /* END lab07.14 */
}

/* ---- rung 7: weights in blocks ---- */

/* Bits 0x4300 and then n, up to 127, are 128 + n in bf16; 0xc300 is -128, and 0xc380 -256. */
static __device__ inline void pairs_of_bytes(const lab07_ring_view *v, unsigned word, unsigned pair[2])
{
    pair[0] = pair[1] = 0;
    /* STEP lab07.15 for ring-quant, ring-many-quant: 128 and the low 7 bits; of it take 128, or, where the byte is negative, 256 (about 5 lines) */
#pragma unroll
    for (int i = 0; i < 2; i++) {
        const unsigned bits = word >> 8 * i;
        pair[i] = lab07_add_pairs(lab07_these_or(bits, 0x007f007fu, 0x43004300u),
                                  lab07_these_or(bits, 0x00800080u, 0xc300c300u));
    }
    /* END lab07.15 */
    (void)v, (void)word;
}

static __device__ inline void scales_of_block(const lab07_ring_view *v, const unsigned packed[3], bool mins,
                                              unsigned scales[2])
{
    const unsigned own = mins ? packed[1] : packed[0], third = packed[2] >> (mins ? 4 : 0);
    scales[0] = scales[1] = 0;
    /* STEP lab07.16 for ring-quant, ring-many-quant: 0 to 3 have theirs in low 6 bits; 4 to 7 in halves, and high 2 bits (about 2 lines) */
    scales[0] = own & 0x3f3f3f3fu;
    scales[1] = (third & 0x0f0f0f0fu) | (own >> 2 & 0x30303030u);
    /* END lab07.16 */
    (void)v, (void)own, (void)third;
}

static __device__ inline float sum_of_block(const lab07_ring_view *v, const unsigned scales[2], bool mins, float d,
                                            const float value[PK_Q4_K_PARTS], float sum)
{
    float of_block = 0;
    /* STEP lab07.17 for ring-quant, ring-many-quant: each scale times its value; of scales 16 d times that, of minimums -dmin times (about 4 lines) */
#pragma unroll
    for (int i = 0; i < PK_Q4_K_PARTS; i++)
        of_block = fmaf(lab07_byte(scales[i / 4], i % 4), value[i], of_block);
    sum = fmaf(mins ? -d : 16 * d, of_block, sum);
    /* END lab07.17 */
    (void)v, (void)scales, (void)mins, (void)d, (void)value, (void)of_block;
    return sum;
}

static pk_status quant_prepare(pk_run *run)
{
    return lab07_quant_prepare(run, LAB07_QUANT_KERNEL(run, LAB07_FLAG),
                               lab07_step_barriers<LAB07_FLAG>(lab07_of(run)->decoder.config.layers),
                               lab07_of(run)->share_keys, fair_shares);
}

/* ---- rung 6: many steps in one launch ---- */

/* A candidate is its own flag, as outputs are. Release; pairs with the acquire in lab07_wait_for_candidate: whoever
 * sees it sees what the block wrote in the step, and that it has read all it was to read. Its place in the other set,
 * which the next step waits at, is poisoned, before that is seen. */
static __device__ inline void hand_candidate(const lab07_ring_view *v, const lab07_block *b, int k,
                                             unsigned long long word)
{
    /* STEP lab07.18 for ring-many, ring-many-quant: poison candidate k of the other set, and store this one (about 2 lines) */
    pk_store_relaxed_device(lab07_candidates(v, b, (int)blockIdx.x, 1) + k, LAB07_NO_WORD);
    pk_store_release_device(lab07_candidates(v, b, (int)blockIdx.x, 0) + k, word);
    /* END lab07.18 */
}

/* Release; pairs with the acquire in lab07_wait_for_token. That it is the last one is in the word: so all blocks end at
 * the same step. */
static __device__ inline void tell_token(const lab07_ring_view *v, const lab07_block *b, bool last, int token)
{
    /* STEP lab07.19 for ring-many, ring-many-quant: store the word (about 1 line) */
    pk_store_release_device(v->next, lab07_next_of(b->stands->step, last, token));
    /* END lab07.19 */
}

/* Relaxed, scope system: the word is all that is handed over. Pairs with the host's load in lab07_hear_step. */
static __device__ inline void post_token(const lab07_ring_view *v, const lab07_block *b, bool last, int token)
{
    /* STEP lab07.20 for ring-many, ring-many-quant: store the word where the host looks for the step's (about 1 line) */
    pk_store_relaxed_system(v->posts + b->stands->step, lab07_next_of(b->stands->step, last, token));
    /* END lab07.20 */
}

/* Relaxed; pairs with the host's store in lab07_hear. */
static __device__ inline bool host_stops(const lab07_ring_view *v)
{
    bool stops = false;
    /* STEP lab07.21 for ring-many, ring-many-quant: look at the host's word (about 1 line) */
    stops = pk_load_relaxed_system(v->stop) != 0;
    /* END lab07.21 */
    return stops;
}

static pk_status many_execute(pk_run *run)
{
    const lab07_ring_plan *const plan = lab07_ring_plan_of(run);
    const lab07_ring_kernel stream_many = plan->kernel;
    PK_TRY(lab07_ring_poison(run));
    /* STEP lab07.22 for ring-many, ring-many-quant: one launch, of blocks that are all resident (about 2 lines) */
    PK_LAUNCH_COOPERATIVE(stream_many, (unsigned)plan->blocks, (unsigned)plan->threads, plan->shared_bytes,
                          lab07_stream(run), plan->view);
    /* END lab07.22 */
    (void)stream_many;
    PK_TRY(lab07_hear(run));
    PK_CHECK(cudaStreamSynchronize(lab07_stream(run)));
    return lab07_tell_stamps(run);
}

static pk_status many_prepare(pk_run *run)
{
    return lab07_ring_prepare(run, LAB07_MANY_KERNEL(run), 0, lab07_of(run)->share_keys, fair_shares);
}

static pk_status many_quant_prepare(pk_run *run)
{
    return lab07_quant_prepare(run, LAB07_MANY_QUANT_KERNEL(run), 0, lab07_of(run)->share_keys, fair_shares);
}

enum { NATIVE = PK_NEED_COOPERATIVE | PK_NEED_BULK_ASYNC_COPY };

PK_VARIANTS(ring) = {
    {"ring-ahead", "weights, keys and values stream ahead over barriers", NATIVE, ahead_prepare, ring_execute,
     lab07_ring_finish},
    {"ring-flag", "blocks wait for outputs, not at barriers", NATIVE, flag_prepare, ring_execute, lab07_ring_finish},
    {"ring-spread", "all blocks share the keys, at every context", NATIVE, spread_prepare, ring_execute,
     lab07_ring_finish},
    {"ring-many", "all steps in one launch, which chooses the tokens", NATIVE, many_prepare, many_execute,
     lab07_ring_finish},
    {"ring-quant", "the same; weights in Q8_0 or Q4_K blocks, as --weights says", NATIVE, quant_prepare, ring_execute,
     lab07_ring_finish},
    {"ring-many-quant", "both: all steps in one launch, of weights in blocks", NATIVE, many_quant_prepare, many_execute,
     lab07_ring_finish},
};
PK_VARIANTS_END(ring)
