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

static __device__ inline void lab07_produce(const lab07_ring_view *v, const lab07_block *b, lab07_asking *at)
{
    for (int i = 0; i < v->layers && !at->over; i++) {
        lab07_of_now(v, b)[1] = (unsigned)i;
        stream_layer(v, b, at, &lab07_of_layer(v, b)[i]);
        if (i + 1 < v->layers)
            lab07_ask_small(v, &lab07_of_layer(v, b)[i + 1], i);
    }
    lab07_of_now(v, b)[1] = (unsigned)v->layers;
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
    const uint16_t *const row = v->embedding + (size_t)b->stands->token * v->hidden;
    for (int i = lab07_lane(); i < part.rows; i += PK_LANES)
        lab07_of_residual(v, b)[i] = pk_from_bf16(row[part.first + i]);
    __syncwarp();
}

/* What the consumers do with a matrix: of the layer, or behind all layers. */
static __device__ inline lab07_task lab07_task_of(const lab07_ring_view *v, const lab07_block *b, int layer, int which)
{
    lab07_task task = {which, NULL, NULL, NULL, NULL, 0};
    const float *const x = layer > 0 ? lab07_outputs(v, b, layer - 1, 0) + v->at.x : NULL;
    if (which == LAB07_LOGITS) {
        task.x = x;
        task.gain = v->final_norm;
        return task;
    }
    const float *const out = lab07_outputs(v, b, layer, 0);
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

static __device__ inline void lab07_phase_begins(const lab07_ring_view *v, const lab07_block *b, int layer, int phase)
{
    if (lab07_thread() == 0)
        pk_store_relaxed_device(&lab07_of_now(v, b)[0], (unsigned)(layer * LAB07_PLACES + phase));
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
template <int HAND> static __host__ __device__ inline unsigned lab07_step_barriers(int layers)
{
    return (HAND == LAB07_BARRIER ? (unsigned)(layers * LAB07_PHASES) : 0u) + 1u;
}

/* A step. `at`: where the one before has left it. */
template <int HAND, int G, int FORM>
static __device__ inline void lab07_consume(const lab07_ring_view *v, const lab07_block *b, lab07_at *at)
{
    lab07_stamp_ns(v, b, false);
    lab07_begin_step(v, b);
    for (int phase = 0; phase <= v->layers * LAB07_LOGITS; phase++) { /* one call of each, as they are large */
        const int which = phase < v->layers * LAB07_LOGITS ? phase % LAB07_LOGITS : LAB07_LOGITS;
        at->layer = phase / LAB07_LOGITS;
        const lab07_task task = lab07_task_of(v, b, at->layer, which);
        lab07_phase_begins(v, b, at->layer, lab07_phase_of(which));
        lab07_product<HAND, FORM>(v, b, at, &task);
        lab07_phase_ends<HAND>(v, b, at, lab07_phase_of(which));
        if (which != LAB07_QKV)
            continue;
        lab07_phase_begins(v, b, at->layer, LAB07_PHASE_ATTEND);
        lab07_attend<HAND, G>(v, b, at);
        lab07_phase_ends<HAND>(v, b, at, LAB07_PHASE_ATTEND);
        lab07_phase_begins(v, b, at->layer, LAB07_PHASE_MERGE);
        lab07_merge<HAND>(v, b, at);
        lab07_phase_ends<HAND>(v, b, at, LAB07_PHASE_MERGE);
    }
}

/* The same step by the warp that makes outputs. Returns the best logit of each lane's. */
template <int HAND>
static __device__ inline candidate lab07_finish_step(const lab07_ring_view *v, const lab07_block *b, lab07_at *at)
{
    candidate best = {0, -1};
    lab07_begin_residual(v, b);
    for (int phase = 0; phase <= v->layers * LAB07_LOGITS; phase++) {
        const int which = phase < v->layers * LAB07_LOGITS ? phase % LAB07_LOGITS : LAB07_LOGITS;
        at->layer = phase / LAB07_LOGITS;
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

/* The token, when all blocks' logits are there: by all threads of the first blocks. */
static __device__ inline void lab07_choose(const lab07_ring_view *v, const lab07_block *b, unsigned target)
{
    lab07_phase_begins(v, b, v->layers, LAB07_PHASE_CHOOSE);
    const int choosers = (int)gridDim.x < PK_SAMPLE_BLOCKS ? (int)gridDim.x : PK_SAMPLE_BLOCKS;
    __syncthreads();
    if (threadIdx.x == 0)
        lab07_meet_blocks(v->arrivals, target);
    __syncwarp();
    __syncthreads();
    lab07_stamp(v, b, v->layers, LAB07_PHASE_CHOOSE, LAB07_HAS);
    if ((int)blockIdx.x < choosers)
        choose_block(&v->choose, (int)blockIdx.x, choosers);
    lab07_stamp(v, b, v->layers, LAB07_PHASE_CHOOSE, LAB07_DONE);
    lab07_stamp(v, b, v->layers, LAB07_PHASE_CHOOSE, LAB07_ENDS);
    lab07_stamp_ns(v, b, true);
}

template <int HAND, int G, int FORM>
static __global__ void __launch_bounds__(LAB07_MOST_THREADS, 1) stream_step(const PK_GRID_CONSTANT lab07_ring_view v)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab07_block b = lab07_begin(&v, shared);
    if (lab07_warp() < 0) {
        lab07_asking at = {};
        if (lab07_lane() == 0)
            lab07_produce(&v, &b, &at);
        __syncwarp();
    } else {
        lab07_at at = {0, 0, 0, {0, 0}, v.arrived};
        if (lab07_warp() < v.consumers)
            lab07_consume<HAND, G, FORM>(&v, &b, &at);
        else
            (void)lab07_finish_step<HAND>(&v, &b, &at);
    }
    lab07_choose(&v, &b, v.arrived + lab07_step_barriers<HAND>(v.layers) * gridDim.x);
}

#endif
