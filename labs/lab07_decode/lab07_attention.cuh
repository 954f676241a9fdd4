/* Lab 07, given: attention by the warps that compute. A block has a share of one head's keys, or all
 * keys of some heads. A warp has one of the query heads that share these keys, or some,
 * and where there are more warps than heads, some of the keys. It makes the head's vector itself, of what the product
 * gave; those that have a head's last key make that key, and one of them appends it and its value to the cache. In a
 * warp a few lanes share a key, each with 8 components; sums go with their maximum and weight until the last merge.
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

/* What a warp has of the heads that share a segment's keys. */
typedef struct lab07_seat {
    int first;       /* query heads first, first + consumers, ... of the group; from the group's end on: none */
    int kind, kinds; /* of the keys those that are `kind` by kinds, some at a time */
} lab07_seat;

static __device__ inline lab07_seat lab07_seat_of(const lab07_ring_view *v)
{
    const int kind = v->consumers > v->group ? lab07_warp() / v->group : 0;
    const lab07_seat seat = {kind < v->kinds ? lab07_warp() - kind * v->group : v->group, kind, v->kinds};
    return seat;
}

/* A pair's components, by the lane that has them. */
static __device__ inline bool lab07_pair_at(const lab07_ring_view *v, int t, int *i)
{
    *i = lab07_lane() + t * PK_LANES;
    return *i < v->head_dim / 2;
}

/* Query head `head` of the segment, turned and scaled: a lane's 8 components. By a warp. */
template <int HAND>
static __device__ inline void lab07_make_query(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                               int head, float q[8])
{
    float *const mine = lab07_of_query(v, b) + lab07_warp() * v->head_dim;
    const float scale = 1.4426950408889634f / sqrtf((float)v->head_dim); /* log2(e): weights are powers of two */
    const int lane = lab07_lane() % v->lanes;
    lab07_pairs p;
    lab07_read_head<HAND>(v, lab07_outputs(v, b, at->layer, 0) + v->at.qkv + (size_t)head * v->head_dim, &p);
    __syncwarp();
    turn_head(v, lab07_of_layer(v, b)[at->layer].q_norm, lab07_of_turn(v, b), &p);
#pragma unroll
    for (int t = 0, i; t < LAB07_MOST_TURNS; t++)
        if (lab07_pair_at(v, t, &i)) {
            mine[i] = scale * p.low[t];
            mine[v->head_dim / 2 + i] = scale * p.high[t];
        }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 8; i++)
        q[i] = 8 * lane < v->head_dim ? mine[8 * lane + i] : 0;
    __syncwarp(); /* the next head's goes there */
}

/* The token's own key and value as the cache has them: into the warp's place, and by one warp appended, unless the
 * cache is full, which the choice of the token will say. */
template <int HAND>
static __device__ inline void lab07_make_newest(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                int head, bool appends)
{
    const pk_device_layer *const layer = &lab07_of_layer(v, b)[at->layer];
    const float *const qkv = lab07_outputs(v, b, at->layer, 0) + v->at.qkv;
    const size_t row = ((size_t)head * v->capacity + b->stands->position) * v->head_dim;
    const int half = v->head_dim / 2;
    for (int value = 0; value < 2; value++) {
        uint16_t *const newest = lab07_of_newest(v, b) + (2 * lab07_warp() + value) * v->head_dim;
        uint16_t *const to = (value ? layer->v_cache : layer->k_cache) + row;
        lab07_pairs p;
        lab07_read_head<HAND>(v, qkv + (size_t)(v->heads + value * v->kv_heads + head) * v->head_dim, &p);
        __syncwarp();
        if (!value)
            turn_head(v, layer->k_norm, lab07_of_turn(v, b), &p);
#pragma unroll
        for (int t = 0, i; t < LAB07_MOST_TURNS; t++)
            if (lab07_pair_at(v, t, &i)) {
                newest[i] = pk_model_to_bf16(p.low[t]);
                newest[half + i] = pk_model_to_bf16(p.high[t]);
                if (appends) {
                    to[i] = newest[i];
                    to[half + i] = newest[half + i];
                }
            }
    }
    __syncwarp();
}

/* Of `count` keys and values in shared memory every kinds-th lot, from number `kind` on. A lot: as many keys as lanes
 * can share. */
template <int G>
static __device__ inline void lab07_take_keys(const lab07_ring_view *v, const lab07_seat *seat, const uint16_t *keys,
                                              const uint16_t *values, int count, int kind, const float (*q)[8],
                                              softmax_sum *s)
{
    const int each = PK_LANES / v->lanes, lane = lab07_lane() % v->lanes;
    const bool has = 8 * lane < v->head_dim;
    for (int from = kind * each; from < count; from += seat->kinds * each) {
        const int key = from + lab07_lane() / v->lanes;
        const size_t at = (size_t)(key < count ? key : from) * v->head_dim + (has ? 8 * lane : 0);
        float k[8], value[8];
        pk_unpack_bf16(*(const uint4 *)(keys + at), k);
        pk_unpack_bf16(*(const uint4 *)(values + at), value);
#pragma unroll
        for (int g = 0; g < G; g++) {
            if (seat->first + g * v->consumers >= v->group)
                break;
            float dot = 0;
#pragma unroll
            for (int i = 0; i < 8; i++)
                dot = fmaf(q[g][i], k[i], dot);
            for (int bit = v->lanes / 2; bit > 0; bit /= 2)
                dot += __shfl_xor_sync(PK_ALL_LANES, dot, bit);
            take_key(v, dot, key < count, value, &s[g]);
        }
    }
}

/* The segment's keys: those of the cache as they land, then the token's own. */
template <int G>
static __device__ inline void lab07_take_segment(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                                 const lab07_seat *seat, const lab07_segment *segment,
                                                 const float (*q)[8], softmax_sum *s)
{
    const int most = lab07_chunk_keys(v), end = segment->end < b->stands->position ? segment->end : b->stands->position;
    for (int first = segment->first; first < end; first += most) {
        const pk_ring_turn keys = at->turn, values = pk_ring_next(keys, v->stages);
        lab07_wait_for(v, b, LAB07_WAITS_FOR_CHUNK, &lab07_of_full(v, b)[keys.stage], keys.parity);
        lab07_wait_for(v, b, LAB07_WAITS_FOR_CHUNK, &lab07_of_full(v, b)[values.stage], values.parity);
        if (seat->first < v->group)
            lab07_take_keys<G>(v, seat, (const uint16_t *)(lab07_of_stages(v, b) + (size_t)keys.stage * v->stage_bytes),
                               (const uint16_t *)(lab07_of_stages(v, b) + (size_t)values.stage * v->stage_bytes),
                               end - first < most ? end - first : most, seat->kind, q, s);
        lab07_give_back(v, b, at);
        lab07_give_back(v, b, at);
    }
    const uint16_t *const newest = lab07_of_newest(v, b) + 2 * lab07_warp() * v->head_dim;
    if (segment->end > b->stands->position && seat->first < v->group && seat->kind == seat->kinds - 1 &&
        LAB07_TAKES_NEWEST(v))
        lab07_take_keys<G>(v, seat, newest, newest + v->head_dim, 1, 0, q, s);
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
    for (int i = lab07_thread(); i < v->group * v->head_dim; i += v->consumers * PK_LANES) {
        const int head = i / v->head_dim, component = i % v->head_dim;
        float top, weight;
        const float sum = merge_parts_in_order(v, lab07_of_merge(v, b) + head * v->kinds * stride, v->kinds, stride,
                                               component, &top, &weight);
        if (lab07_is_whole(&b->stands->spread)) {
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
    for (int i = lab07_thread(); i < v->segments * v->group * v->part_floats; i += v->consumers * PK_LANES)
        lab07_poison(parts + i);
}

/* A lane's sums of one head, with those of the lanes that have other keys: into the warp's part. */
static __device__ inline void lab07_keep_part(const lab07_ring_view *v, softmax_sum *s, float *mine)
{
    const int lane = lab07_lane() % v->lanes;
    merge_lanes(s, v->lanes);
    if (lab07_lane() >= v->lanes || 8 * lane >= v->head_dim)
        return;
#pragma unroll
    for (int i = 0; i < 8; i++)
        mine[8 * lane + i] = s->v[i];
    if (lane == 0) {
        mine[v->head_dim] = s->top;
        mine[v->head_dim + 1] = s->weight;
    }
}

/* G: query heads of a warp, at most. */
template <int HAND, int G>
static __device__ inline void lab07_attend(const lab07_ring_view *v, const lab07_block *b, lab07_at *at)
{
    const lab07_seat seat = lab07_seat_of(v);
    lab07_segment segment;
    for (int number = 0; lab07_segment_of(&b->stands->spread, (int)blockIdx.x, number, &segment); number++) {
        softmax_sum s[G];
        float q[G][8];
#pragma unroll
        for (int g = 0; g < G; g++)
            s[g] = softmax_sum{LOWEST, 0, {0, 0, 0, 0, 0, 0, 0, 0}};
#pragma unroll
        for (int g = 0; g < G; g++) {
            const int head = seat.first + g * v->consumers;
            if (head < v->group)
                lab07_make_query<HAND>(v, b, at, segment.head * v->group + head, q[g]);
        }
        if (segment.end > b->stands->position && seat.first < v->group && seat.kind == seat.kinds - 1)
            lab07_make_newest<HAND>(v, b, at, segment.head, b->stands->appends && seat.first == 0);
        lab07_stamp(v, b, at->layer, LAB07_PHASE_ATTEND, LAB07_HAS);
        lab07_take_segment<G>(v, b, at, &seat, &segment, q, s);
        if (number > 0)
            lab07_sync(v, b); /* the segment's before has been read */
#pragma unroll
        for (int g = 0; g < G; g++) {
            const int head = seat.first + g * v->consumers;
            if (head < v->group)
                lab07_keep_part(v, &s[g], lab07_of_merge(v, b) + (head * seat.kinds + seat.kind) * (v->head_dim + 2));
        }
        lab07_sync(v, b);
        lab07_put_segment<HAND>(v, b, at, &segment, number);
    }
    if (HAND == LAB07_FLAG)
        lab07_poison_parts(v, b, at);
}

/* ---- parts of several blocks ---- */

/* Waits for one part of a head, of block `block`, by its number among those of the head: into shared memory. */
template <int HAND>
static __device__ inline void lab07_fetch_part(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                               int head, int block, float *to)
{
    const float *const from = lab07_outputs(v, b, at->layer, 0) + lab07_partial(v, block, 0, head % v->group);
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
    const int first = head / v->group * b->stands->spread.room, last = first + b->stands->spread.each - 1;
    lab07_sync(v, b); /* what was there before has been read */
    for (int block = first + lab07_warp(); block <= last; block += v->consumers)
        lab07_fetch_part<HAND>(v, b, at, head, block, lab07_of_merge(v, b) + (block - first) * stride);
    lab07_sync(v, b);
    lab07_stamp(v, b, at->layer, LAB07_PHASE_MERGE, LAB07_HAS);
    for (int i = lab07_thread(); i < v->head_dim; i += v->consumers * PK_LANES) {
        float top, weight;
        const float sum = merge_parts_in_order(v, lab07_of_merge(v, b), last + 1 - first, stride, i, &top, &weight);
        lab07_put<HAND>(v, b, at->layer, v->at.heads + head * v->head_dim + i, sum / weight);
    }
}

template <int HAND>
static __device__ inline void lab07_merge(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at)
{
    const int blocks = (int)gridDim.x, me = (int)blockIdx.x;
    if (lab07_is_whole(&b->stands->spread))
        return;
    for (int head = (me * v->heads + blocks - 1) / blocks; head < v->heads; head++) {
        if (lab07_merger_of(head, v->heads, blocks) != me)
            return;
        lab07_merge_head<HAND>(v, b, at, head);
    }
}

#endif
