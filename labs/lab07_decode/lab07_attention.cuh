/* Lab 07, given: attention by the warps that compute. A block has a share of one head's keys, or all
 * keys of some heads. A warp has one of the query heads that share these keys, or some,
 * and where there are more warps than heads, some of the keys. It makes the head's vector itself, of what the product
 * gave; those that have a head's last key make that key, and one of them appends it and its value to the cache. In a
 * warp a few lanes share a key, each with 8 components; sums go with their maximum and weight until the last merge.
 *
 * turn_head, take_key and merge_parts_in_order are the including file's. */
#ifndef LAB07_ATTENTION_CUH
#define LAB07_ATTENTION_CUH

#include "lab07_tiles.cuh"

#if !defined(LAB07_TAKES_NEWEST) /* mistakes_ring.cu has its own */
#define LAB07_TAKES_NEWEST(v) true
#endif

enum {
    LAB07_MOST_TURNS = LAB07_MOST_HEAD_DIM / 2 / PK_LANES,   /* pairs of a head that a lane has */
    LAB07_MOST_OF_PART = LAB07_MOST_HEAD_DIM / PK_LANES + 1, /* floats of a head's part */
    LAB07_MOST_LANES_LOG = 4                                 /* LAB07_MOST_HEAD_DIM is 8 << 4 */
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

/* N outputs of a lane, from[at[i]] or, where at[i] < 0, 0: asks for all. */
template <int N> static __device__ inline void lab07_ask_each(const float *from, const int at[N], float got[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        got[i] = at[i] >= 0 ? lab07_load(from + at[i]) : 0;
}

/* And waits for those that lack, together. */
template <int HAND, int N>
static __device__ inline void lab07_wait_each(const lab07_ring_view *v, const float *from, const int at[N],
                                              float got[N])
{
    unsigned polls = 0;
    int lacks;
    do {
        lacks = -1;
#pragma unroll
        for (int i = 0; i < N; i++)
            if (HAND == LAB07_FLAG && lab07_is_poison(got[i])) {
                lacks = at[i];
                got[i] = lab07_load(from + at[i]);
            }
        if (lacks >= 0) {
            PK_SPIN_PAUSE();
            lab07_waits_for_output(v, from + lacks, &polls);
        }
    } while (lacks >= 0);
}

enum { LAB07_OF_HEAD = 2 * LAB07_MOST_TURNS };

typedef struct lab07_head { /* a lane's part of a head that has been asked for */
    const float *from;
    float got[LAB07_OF_HEAD];
} lab07_head;

static __device__ inline void lab07_places_of_head(const lab07_ring_view *v, int at[LAB07_OF_HEAD])
{
    const int half = v->head_dim / 2;
#pragma unroll
    for (int t = 0; t < LAB07_OF_HEAD; t++)
        at[t] = lab07_lane() + t / 2 * PK_LANES < half ? lab07_lane() + t / 2 * PK_LANES + t % 2 * half : -1;
}

static __device__ inline void lab07_ask_head(const lab07_ring_view *v, const float *from, lab07_head *h)
{
    int at[LAB07_OF_HEAD];
    lab07_places_of_head(v, at);
    h->from = from;
    lab07_ask_each<LAB07_OF_HEAD>(from, at, h->got);
}

template <int HAND>
static __device__ inline void lab07_wait_head(const lab07_ring_view *v, lab07_head *h, lab07_pairs *p)
{
    int at[LAB07_OF_HEAD];
    lab07_places_of_head(v, at);
    lab07_wait_each<HAND, LAB07_OF_HEAD>(v, h->from, at, h->got);
    __syncwarp();
#pragma unroll
    for (int t = 0; t < LAB07_MOST_TURNS; t++) {
        p->low[t] = h->got[2 * t];
        p->high[t] = h->got[2 * t + 1];
    }
}

/* What a warp has of the heads that share a segment's keys. */
typedef struct lab07_seat {
    int first;       /* query heads first, first + consumers, ... of the group; from the group's end on: none */
    int kind, kinds; /* of the keys those that are `kind` by kinds, some at a time */
} lab07_seat;

static __device__ inline lab07_seat lab07_seat_of(const lab07_ring_view *v)
{
    lab07_seat seat = {lab07_warp(), 0, v->kinds};
    for (; v->kinds > 1 && seat.first >= v->group && seat.kind < v->kinds; seat.kind++)
        seat.first -= v->group;
    if (seat.kind == v->kinds) /* warps that are left over */
        seat.first = v->group;
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
    const int lane = lab07_lane() & ((1 << v->lanes_log) - 1);
    lab07_pairs p;
    lab07_head of_head;
    lab07_ask_head(v, lab07_outputs(v, b, at->layer, 0) + v->at.qkv + head * v->head_dim, &of_head);
    lab07_wait_head<HAND>(v, &of_head, &p);
    turn_head(v, lab07_of_layer(v, b)[at->layer].q_norm, lab07_of_turn(v, b), &p);
#pragma unroll
    for (int t = 0, i; t < LAB07_MOST_TURNS; t++)
        if (lab07_pair_at(v, t, &i)) {
            mine[i] = v->scale * p.low[t];
            mine[v->head_dim / 2 + i] = v->scale * p.high[t];
        }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 8; i++)
        q[i] = 8 * lane < v->head_dim ? mine[8 * lane + i] : 0;
    __syncwarp(); /* the next head's goes there */
}

/* The token's own key and value as the cache has them: into the warp's place, and by one warp appended, unless the
 * cache is full, which the choice of the token will say. They have been asked for: `newest`, key and value. */
template <int HAND>
static __device__ inline void lab07_make_newest(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                int head, bool appends, lab07_head newest[2])
{
    const pk_device_layer *const layer = &lab07_of_layer(v, b)[at->layer];
    const size_t row = ((size_t)head * v->capacity + b->stands->position) * v->head_dim;
    const int half = v->head_dim / 2;
#pragma unroll
    for (int value = 0; value < 2; value++) {
        uint16_t *const mine = lab07_of_newest(v, b) + (2 * lab07_warp() + value) * v->head_dim;
        uint16_t *const to = (value ? layer->v_cache : layer->k_cache) + row;
        lab07_pairs p;
        lab07_wait_head<HAND>(v, &newest[value], &p);
        if (!value)
            turn_head(v, layer->k_norm, lab07_of_turn(v, b), &p);
#pragma unroll
        for (int t = 0, i; t < LAB07_MOST_TURNS; t++)
            if (lab07_pair_at(v, t, &i)) {
                mine[i] = pk_model_to_bf16(p.low[t]);
                mine[half + i] = pk_model_to_bf16(p.high[t]);
                if (appends) {
                    to[i] = mine[i];
                    to[half + i] = mine[half + i];
                }
            }
    }
    __syncwarp();
}

/* The sum over the lanes that share a key, in each of them. */
static __device__ inline float lab07_sum_of_key(const lab07_ring_view *v, float dot)
{
#pragma unroll
    for (int log = LAB07_MOST_LANES_LOG; log > 0; log--)
        if (v->lanes_log >= log)
            dot += __shfl_xor_sync(PK_ALL_LANES, dot, 1 << log >> 1);
    return dot;
}

/* Of `count` keys and values in shared memory every kinds-th lot, from number `kind` on. A lot: as many keys as lanes
 * can share. Two lots at once, where there are registers for it: one's shuffles while the other's are under way. */
template <int G>
static __device__ inline void lab07_take_keys(const lab07_ring_view *v, const lab07_seat *seat, const uint16_t *keys,
                                              const uint16_t *values, int count, int kind, const float (*q)[8],
                                              softmax_sum *s)
{
    enum { LOTS = G == 1 ? 2 : 1 };
    const int each = PK_LANES >> v->lanes_log, stride = seat->kinds * each;
    const int lane = lab07_lane() & ((1 << v->lanes_log) - 1);
    const int offset = 8 * lane < v->head_dim ? 8 * lane : 0;
#pragma unroll 1
    for (int from = kind * each; from < count; from += LOTS * stride) {
        uint4 k[LOTS], value[LOTS];
        bool there[LOTS];
#pragma unroll
        for (int l = 0; l < LOTS; l++) {
            const int key = from + l * stride + (lab07_lane() >> v->lanes_log);
            const int at = (key < count ? key : from) * v->head_dim + offset;
            there[l] = key < count;
            k[l] = *(const uint4 *)(keys + at);
            value[l] = *(const uint4 *)(values + at);
        }
#pragma unroll
        for (int g = 0; g < G; g++) {
            float dot[LOTS], of[8];
            if (seat->first + g * v->consumers >= v->group)
                break;
#pragma unroll
            for (int l = 0; l < LOTS; l++)
                dot[l] = pk_dot_chunk(k[l], q[g], 0);
#pragma unroll
            for (int l = 0; l < LOTS; l++)
                dot[l] = lab07_sum_of_key(v, dot[l]);
#pragma unroll
            for (int l = 0; l < LOTS; l++) {
                pk_unpack_bf16(value[l], of);
                take_key(v, dot[l], there[l], of, &s[g]);
            }
        }
    }
}

/* The segment's keys that the cache has, as they land. */
template <int G>
static __device__ inline void lab07_take_segment(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                                 const lab07_seat *seat, const lab07_segment *segment,
                                                 const float (*q)[8], softmax_sum *s)
{
    const int most = v->chunk_keys, end = segment->end < b->stands->position ? segment->end : b->stands->position;
    for (int first = segment->first; first < end; first += most) {
        const uint16_t *const keys = (const uint16_t *)lab07_wait_chunk(v, b, at);
        const int count = end - first < most ? end - first : most;
        if (seat->first < v->group)
            lab07_take_keys<G>(v, seat, keys, keys + count * v->head_dim, count, seat->kind, q, s);
        lab07_give_back(v, b, at);
    }
}

/* Where a head's part of a block's segment is. */
static __device__ inline int lab07_partial(const lab07_ring_view *v, int block, int segment, int head)
{
    return v->at.partial + ((block * v->segments + segment) * v->group + head) * v->part_floats;
}

/* The warps' sums of one segment, put together: the heads' outputs where it is whole, else a part of them. The warps
 * that had a head's keys share its components. */
template <int HAND>
static __device__ inline void lab07_put_segment(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                const lab07_seat *seat, const lab07_segment *segment, int number)
{
    const int stride = v->head_dim + 2;
    float *const out = lab07_outputs(v, b, at->layer, 0);
    for (int head = seat->first; head < v->group; head += v->consumers) {
        const float *const parts = lab07_of_merge(v, b) + head * v->kinds * stride;
        float *const part = out + lab07_partial(v, (int)blockIdx.x, number, head);
        for (int i = seat->kind * PK_LANES + lab07_lane(); i < v->head_dim; i += v->kinds * PK_LANES) {
            float top, weight;
            const float sum = merge_parts_in_order(v, parts, v->kinds, stride, i, &top, &weight);
            if (lab07_is_whole(&b->stands->spread)) {
                lab07_put<HAND>(v, b, at->layer, v->at.heads + (segment->head * v->group + head) * v->head_dim + i,
                                sum / weight);
                continue;
            }
            lab07_store(part + i, sum);
            if (i == 0) {
                lab07_store(part + v->head_dim, top);
                lab07_store(part + v->head_dim + 1, weight);
            }
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
    const int lanes = 1 << v->lanes_log, lane = lab07_lane() & (lanes - 1);
    merge_lanes(s, lanes);
    if (lab07_lane() >= lanes || 8 * lane >= v->head_dim)
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
    for (int number = 0; lab07_next_segment(b, number, &segment); number++) {
        const bool has_newest =
            segment.end > b->stands->position && seat.first < v->group && seat.kind == seat.kinds - 1;
        softmax_sum s[G];
        float q[G][8];
        lab07_head newest[2];
        if (has_newest)
#pragma unroll
            for (int value = 0; value < 2; value++)
                lab07_ask_head(v,
                               lab07_outputs(v, b, at->layer, 0) + v->at.qkv +
                                   (v->heads + value * v->kv_heads + segment.head) * v->head_dim,
                               &newest[value]);
#pragma unroll
        for (int g = 0; g < G; g++) {
            const int head = seat.first + g * v->consumers;
            s[g] = softmax_sum{LOWEST, 0, {0, 0, 0, 0, 0, 0, 0, 0}};
            if (head < v->group)
                lab07_make_query<HAND>(v, b, at, segment.head * v->group + head, q[g]);
        }
        lab07_stamp(v, b, at->layer, LAB07_PHASE_ATTEND, LAB07_HAS);
        lab07_take_segment<G>(v, b, at, &seat, &segment, q, s);
        if (has_newest) {
            const uint16_t *const key = lab07_of_newest(v, b) + 2 * lab07_warp() * v->head_dim;
            lab07_make_newest<HAND>(v, b, at, segment.head, b->stands->appends && seat.first == 0, newest);
            if (LAB07_TAKES_NEWEST(v))
                lab07_take_keys<G>(v, &seat, key, key + v->head_dim, 1, 0, q, s);
        }
        if (number > 0)
            lab07_sync(v, b); /* the segment's before has been read */
#pragma unroll
        for (int g = 0; g < G; g++) {
            const int head = seat.first + g * v->consumers;
            if (head < v->group)
                lab07_keep_part(v, &s[g], lab07_of_merge(v, b) + (head * seat.kinds + seat.kind) * (v->head_dim + 2));
        }
        lab07_sync(v, b);
        lab07_put_segment<HAND>(v, b, at, &seat, &segment, number);
    }
}

/* ---- parts of several blocks ---- */

/* Waits for two parts of a head, of blocks `block` and, unless that is behind `last`, `block` + `step`: into shared
 * memory, each a block's. */
template <int HAND>
static __device__ inline void lab07_fetch_parts(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                int head, int block, int step, int last, float *to)
{
    enum { PARTS = 2, N = PARTS * LAB07_MOST_OF_PART };
    const float *const from = lab07_outputs(v, b, at->layer, 0) + lab07_partial(v, block, 0, head % v->group);
    const int apart = step * v->segments * v->group * v->part_floats, stride = v->head_dim + 2;
    int place[N];
    float got[N];
#pragma unroll
    for (int t = 0; t < N; t++) {
        const int i = lab07_lane() + t / PARTS * PK_LANES;
        place[t] = i < stride && (t % PARTS == 0 || block + step <= last) ? i + t % PARTS * apart : -1;
    }
    lab07_ask_each<N>(from, place, got);
    lab07_wait_each<HAND, N>(v, from, place, got);
#pragma unroll
    for (int t = 0; t < N; t++)
        if (place[t] >= 0)
            to[lab07_lane() + t / PARTS * PK_LANES + t % PARTS * step * stride] = got[t];
}

/* One head's parts, in the order of their blocks. */
template <int HAND>
static __device__ inline void lab07_merge_head(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                               int head)
{
    const int stride = v->head_dim + 2;
    const int first = head / v->group * b->stands->spread.room, last = first + b->stands->spread.each - 1;
    lab07_sync(v, b); /* what was there before has been read */
    for (int block = first + lab07_warp(); block <= last; block += 2 * v->consumers)
        lab07_fetch_parts<HAND>(v, b, at, head, block, v->consumers, last,
                                lab07_of_merge(v, b) + (block - first) * stride);
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
    const int *const merged = lab07_of_merged(v, b);
    for (int head = merged[0]; head < merged[1] && !lab07_is_whole(&b->stands->spread); head++)
        lab07_merge_head<HAND>(v, b, at, head);
    if (HAND == LAB07_FLAG)
        lab07_poison_parts(v, b, at); /* behind all that others wait for */
}

#endif
