/* Lab 07, given: attention by the warps that compute. A block has a share of the line of all heads' keys: of one head,
 * or of the end of one and the beginning of the next. It makes the query heads' vectors itself, of what the product
 * gave; the block that has a head's last key makes that key, and appends it and its value to the cache. Each warp has
 * some keys of every chunk, a few lanes a key, each with 8 components; sums go with their maximum and weight until the
 * last merge.
 *
 * turn_head, take_key and merge_parts_in_order are the including file's. */
#ifndef LAB07_ATTENTION_CUH
#define LAB07_ATTENTION_CUH

#include "lab07_rows.cuh"

#if !defined(LAB07_TAKES_NEWEST) /* mistakes_ring.cu has its own */
#define LAB07_TAKES_NEWEST(v) true
#endif

enum {
    LAB07_MOST_TURNS = MOST_HEAD_DIM / 2 / PK_LANES,  /* pairs of a head that a lane has */
    LAB07_MOST_OF_PART = MOST_HEAD_DIM / PK_LANES + 1 /* floats of a head's part */
};

typedef struct lab07_pairs { /* a lane's pairs (i, i + head_dim / 2) of a head, i = lane, lane + 32, ... */
    float low[LAB07_MOST_TURNS], high[LAB07_MOST_TURNS];
} lab07_pairs;

/* Steps. A head of q or k, normed where gain is not NULL, and turned; by a warp. `turn`: of the position, [half][2]. */
static __device__ inline void turn_head(const lab07_ring_view *v, const uint16_t *gain, const float *turn,
                                        lab07_pairs *p);
/* One key's score, of all lanes' parts, into the sum: by lanes that share a key. `there`: they have one. */
static __device__ inline void take_key(const lab07_ring_view *v, float score, bool there, const float value[8],
                                       softmax_sum *s);
/* Component i of the sum of `count` parts, `stride` floats apart, in their order; their highest maximum, and the weight
 * of all of them by it. A part: [head_dim] sums, a maximum, a weight. */
static __device__ inline float merge_parts_in_order(const lab07_ring_view *v, const float *parts, int count, int stride,
                                                    int i, float *top, float *weight);

/* N outputs of a lane, those of NULL 0: all asked for before any is waited for, and then, together, those that lack. */
template <int HAND, int N>
static __device__ inline void lab07_get_each(const lab07_ring_view *v, const float *const *from, float *got)
{
    unsigned polls = 0;
    bool lacks = HAND == LAB07_FLAG;
#pragma unroll
    for (int i = 0; i < N; i++)
        got[i] = from[i] ? lab07_load(from[i]) : 0;
    while (lacks) {
        lacks = false;
#pragma unroll
        for (int i = 0; i < N; i++)
            lacks |= lab07_is_poison(got[i]);
        if (!lacks)
            break;
        PK_SPIN_PAUSE();
        const bool lasts = lab07_lasts(&polls);
#pragma unroll
        for (int i = 0; i < N; i++)
            if (lab07_is_poison(got[i])) {
                got[i] = lab07_load(from[i]);
                if (lasts)
                    lab07_tell_output(v, from[i]);
            }
    }
}

template <int HAND>
static __device__ inline void lab07_read_head(const lab07_ring_view *v, const float *from, lab07_pairs *p)
{
    const int half = v->head_dim / 2;
    const float *each[2 * LAB07_MOST_TURNS];
    float got[2 * LAB07_MOST_TURNS];
#pragma unroll
    for (int t = 0; t < LAB07_MOST_TURNS; t++) {
        const int i = lab07_lane() + t * PK_LANES;
        each[2 * t] = i < half ? from + i : NULL;
        each[2 * t + 1] = i < half ? from + half + i : NULL;
    }
    lab07_get_each<HAND, 2 * LAB07_MOST_TURNS>(v, each, got);
#pragma unroll
    for (int t = 0; t < LAB07_MOST_TURNS; t++) {
        p->low[t] = got[2 * t];
        p->high[t] = got[2 * t + 1];
    }
}

/* A key or value as the cache has it: into shared memory, and appended, unless the cache is full, which the choice of
 * the token will say. */
static __device__ inline void lab07_append(const lab07_ring_view *v, const lab07_pairs *p, uint16_t *newest,
                                           uint16_t *row)
{
    const int half = v->head_dim / 2;
#pragma unroll
    for (int t = 0; t < LAB07_MOST_TURNS; t++) {
        const int i = lab07_lane() + t * PK_LANES;
        if (i >= half)
            continue;
        newest[i] = pk_model_to_bf16(p->low[t]);
        newest[half + i] = pk_model_to_bf16(p->high[t]);
        if (row) {
            row[i] = newest[i];
            row[half + i] = newest[half + i];
        }
    }
}

/* The segment's query heads into b->q, and where it has the token's own key, that and its value into b->newest: vector
 * by vector, a warp each. */
template <int HAND>
static __device__ inline void lab07_make_heads(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                               const lab07_segment *s)
{
    const pk_device_layer *const layer = &v->layer[at->layer];
    const int half = v->head_dim / 2, own = s->end > b->position ? 2 : 0;
    const float *const qkv = lab07_outputs(v, b, at->layer, 0) + v->at.qkv;
    const float *const turn = v->rope + (size_t)b->position * v->head_dim;
    const float scale = 1.4426950408889634f / sqrtf((float)v->head_dim); /* log2(e): weights are powers of two */
    const size_t row = ((size_t)s->head * v->capacity + b->position) * v->head_dim;
    for (int i = lab07_warp(); i < v->group + own; i += b->consumers) {
        lab07_pairs p;
        const int head = i < v->group ? s->head * v->group + i : v->heads + (i - v->group) * v->kv_heads + s->head;
        lab07_read_head<HAND>(v, qkv + (size_t)head * v->head_dim, &p);
        __syncwarp();
        if (i <= v->group)
            turn_head(v, i < v->group ? layer->q_norm : layer->k_norm, turn, &p);
        if (i >= v->group) {
            lab07_append(v, &p, b->newest + (i - v->group) * v->head_dim,
                         b->appends ? (i == v->group ? layer->k_cache : layer->v_cache) + row : NULL);
            continue;
        }
#pragma unroll
        for (int t = 0; t < LAB07_MOST_TURNS; t++) {
            const int at_pair = lab07_lane() + t * PK_LANES;
            if (at_pair >= half)
                continue;
            b->q[i * v->head_dim + at_pair] = scale * p.low[t];
            b->q[i * v->head_dim + half + at_pair] = scale * p.high[t];
        }
    }
}

/* `count` keys and values in shared memory, those of this warp. */
template <int G>
static __device__ inline void lab07_take_keys(const lab07_ring_view *v, const lab07_block *b, const uint16_t *keys,
                                              const uint16_t *values, int count, softmax_sum *s)
{
    const int each = PK_LANES / v->lanes, lane = lab07_lane() % v->lanes;
    const bool has = 8 * lane < v->head_dim;
    for (int from = lab07_warp() * each; from < count; from += b->consumers * each) {
        const int key = from + lab07_lane() / v->lanes;
        const size_t at = (size_t)(key < count ? key : from) * v->head_dim + (has ? 8 * lane : 0);
        float k[8], value[8];
        pk_unpack_bf16(*(const uint4 *)(keys + at), k);
        pk_unpack_bf16(*(const uint4 *)(values + at), value);
#pragma unroll
        for (int g = 0; g < G; g++) {
            if (g >= v->group)
                break;
            const float *const q = b->q + g * v->head_dim + (has ? 8 * lane : 0);
            float dot = 0;
#pragma unroll
            for (int i = 0; i < 8; i++)
                dot = fmaf(q[i], k[i], dot);
            dot = has ? dot : 0;
            for (int bit = v->lanes / 2; bit > 0; bit /= 2)
                dot += __shfl_xor_sync(PK_ALL_LANES, dot, bit);
            take_key(v, dot, key < count, value, &s[g]);
        }
    }
}

/* The segment's keys: those of the cache as they land, then the token's own. */
template <int G>
static __device__ inline void lab07_take_segment(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                                 const lab07_segment *segment, softmax_sum *s)
{
    const int most = lab07_chunk_keys(v), end = segment->end < b->position ? segment->end : b->position;
    for (int first = segment->first; first < end; first += most) {
        const pk_ring_turn keys = at->turn, values = pk_ring_next(keys, v->stages);
        lab07_wait_for(v, b, LAB07_WAITS_FOR_CHUNK, &b->full[keys.stage], keys.parity);
        lab07_wait_for(v, b, LAB07_WAITS_FOR_CHUNK, &b->full[values.stage], values.parity);
        lab07_take_keys<G>(v, b, (const uint16_t *)(b->stages + (size_t)keys.stage * v->stage_bytes),
                           (const uint16_t *)(b->stages + (size_t)values.stage * v->stage_bytes),
                           end - first < most ? end - first : most, s);
        pk_async_barrier_arrive(&b->empty[keys.stage]);
        pk_async_barrier_arrive(&b->empty[values.stage]);
        at->turn = pk_ring_next(values, v->stages);
        __syncwarp();
    }
    if (segment->end > b->position && LAB07_TAKES_NEWEST(v))
        lab07_take_keys<G>(v, b, b->newest, b->newest + v->head_dim, 1, s);
}

/* Where a head's part of a block's segment is. */
static __device__ inline int lab07_partial(const lab07_ring_view *v, int block, int segment, int head)
{
    return v->at.partial + ((block * v->segments + segment) * v->group + head) * v->part_floats;
}

/* The warps' sums of one segment, put together: the heads' outputs where it is whole, else a part of them. */
template <int HAND>
static __device__ inline void lab07_put_segment(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                const lab07_segment *segment, int number)
{
    const int stride = v->head_dim + 2;
    float *const out = lab07_outputs(v, b, at->layer, 0);
    for (int i = lab07_thread(); i < v->group * v->head_dim; i += b->consumers * PK_LANES) {
        const int head = i / v->head_dim, component = i % v->head_dim;
        float top, weight;
        const float sum = merge_parts_in_order(v, b->merge + head * stride, b->consumers, v->group * stride, component,
                                               &top, &weight);
        if (lab07_is_whole(&b->spread)) {
            lab07_put<HAND>(v, b, at->layer, v->at.heads + (segment->head * v->group + head) * v->head_dim + component,
                            sum / weight);
            continue;
        }
        float *const part = out + lab07_partial(v, (int)blockIdx.x, number, head);
        lab07_store(part + component, sum);
        if (component == 0) {
            lab07_store(part + v->head_dim, top);
            lab07_store(part + v->head_dim + 1, weight);
        }
    }
}

/* All of the block's parts in the other set: whichever of them the next step writes, it finds them poisoned. */
static __device__ inline void lab07_poison_parts(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at)
{
    float *const parts = lab07_outputs(v, b, at->layer, 1) + lab07_partial(v, (int)blockIdx.x, 0, 0);
    for (int i = lab07_thread(); i < v->segments * v->group * v->part_floats; i += b->consumers * PK_LANES)
        lab07_poison(parts + i);
}

template <int HAND, int G>
static __device__ inline void lab07_attend(const lab07_ring_view *v, const lab07_block *b, lab07_at *at)
{
    const int stride = v->head_dim + 2, lane = lab07_lane() % v->lanes;
    lab07_segment segment;
    if (HAND == LAB07_FLAG)
        lab07_poison_parts(v, b, at);
    for (int number = 0; lab07_segment_of(&b->spread, (int)blockIdx.x, number, &segment); number++) {
        softmax_sum s[G];
#pragma unroll
        for (int g = 0; g < G; g++)
            s[g] = softmax_sum{LOWEST, 0, {0, 0, 0, 0, 0, 0, 0, 0}};
        lab07_make_heads<HAND>(v, b, at, &segment);
        lab07_sync(b);
        lab07_stamp(v, b, at->layer, LAB07_PHASE_ATTEND, LAB07_HAS);
        lab07_take_segment<G>(v, b, at, &segment, s);
#pragma unroll
        for (int g = 0; g < G; g++) {
            if (g >= v->group)
                break;
            float *const mine = b->merge + (lab07_warp() * v->group + g) * stride;
            merge_lanes(&s[g], v->lanes);
            if (lab07_lane() >= v->lanes || 8 * lane >= v->head_dim)
                continue;
#pragma unroll
            for (int i = 0; i < 8; i++)
                mine[8 * lane + i] = s[g].v[i];
            if (lane == 0) {
                mine[v->head_dim] = s[g].top;
                mine[v->head_dim + 1] = s[g].weight;
            }
        }
        lab07_sync(b);
        lab07_put_segment<HAND>(v, b, at, &segment, number);
    }
}

/* ---- parts of several blocks ---- */

/* Waits for one part of a head, of block `block`, by its number among those of the head: into shared memory. */
template <int HAND>
static __device__ inline void lab07_fetch_part(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                               int head, int block, float *to)
{
    const int kv_head = head / v->group, first = (int)(lab07_share(&b->spread, block) / b->spread.keys);
    const float *const from =
        lab07_outputs(v, b, at->layer, 0) + lab07_partial(v, block, kv_head - first, head % v->group);
    const float *each[LAB07_MOST_OF_PART];
    float got[LAB07_MOST_OF_PART];
#pragma unroll
    for (int t = 0; t < LAB07_MOST_OF_PART; t++) {
        const int i = lab07_lane() + t * PK_LANES;
        each[t] = i < v->head_dim + 2 ? from + i : NULL;
    }
    lab07_get_each<HAND, LAB07_MOST_OF_PART>(v, each, got);
#pragma unroll
    for (int t = 0; t < LAB07_MOST_OF_PART; t++)
        if (each[t])
            to[lab07_lane() + t * PK_LANES] = got[t];
}

/* One head's parts, in the order of their blocks. */
template <int HAND>
static __device__ inline void lab07_merge_head(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                               int head)
{
    const int stride = v->head_dim + 2;
    const long long begin = (long long)(head / v->group) * b->spread.keys;
    const int first = lab07_block_of(&b->spread, begin), last = lab07_block_of(&b->spread, begin + b->spread.keys - 1);
    lab07_sync(b); /* what was there before has been read */
    for (int block = first + lab07_warp(); block <= last; block += b->consumers)
        lab07_fetch_part<HAND>(v, b, at, head, block, b->merge + (block - first) * stride);
    lab07_sync(b);
    lab07_stamp(v, b, at->layer, LAB07_PHASE_MERGE, LAB07_HAS);
    for (int i = lab07_thread(); i < v->head_dim; i += b->consumers * PK_LANES) {
        float top, weight;
        const float sum = merge_parts_in_order(v, b->merge, last + 1 - first, stride, i, &top, &weight);
        lab07_put<HAND>(v, b, at->layer, v->at.heads + head * v->head_dim + i, sum / weight);
    }
}

template <int HAND>
static __device__ inline void lab07_merge(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at)
{
    const int blocks = (int)gridDim.x, me = (int)blockIdx.x;
    if (lab07_is_whole(&b->spread))
        return;
    for (int head = (me * v->heads + blocks - 1) / blocks; head < v->heads; head++) {
        if (lab07_merger_of(head, v->heads, blocks) != me)
            return;
        lab07_merge_head<HAND>(v, b, at, head);
    }
}

#endif
