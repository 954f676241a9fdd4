/* Lab 07, given: attention by the warps that compute. A block has a share of one head's keys, or all keys of some
 * heads. Warps make the vectors of the query heads that share these keys, of what the product gave; and where they have
 * the head's last key, that and its value, which go to the cache. Then each warp has all of these heads, at most eight,
 * and of the keys sixteen at a time, in turn. Sums go with their maximum and weight until the last merge.
 *
 * Products are the tensor cores' where there are (mma.cuh has their layout; g = lane / 4, t = lane % 4). Row g of the
 * scores is query head g, and a lane has keys 2t and 2t + 1 of each eight: of two eights, four scores. A query is the
 * sum of three parts of bf16, exactly: two of them are rows g and g + 8 of the first factor. As weights, in three parts
 * too, a lane's scores are just what it has to have of the second factor of values times weights, whose rows are
 * components and columns heads. */
#ifndef LAB07_ATTENTION_CUH
#define LAB07_ATTENTION_CUH

#include "lab07_tiles.cuh"

#if !defined(LAB07_TAKES_NEWEST) /* mistakes_ring.cu has its own */
#define LAB07_TAKES_NEWEST(v) true
#endif

enum { LAB07_TILE_KEYS = 16, LAB07_OWN_SCORES = 4 /* of a lane */ };

/* T: a head has no more than T times 64 components, T pairs a lane; 1 or 2. */
template <int T> struct lab07_pairs { /* of a head: (i, i + head_dim / 2), i = lane, lane + 32 */
    float low[T], high[T];
};

typedef struct lab07_weighed { /* of some keys and query head g: */
    float top, weight;         /* the highest score; of the lane's own keys, the sum of 2^(score - top) */
} lab07_weighed;

template <int T> struct lab07_softmax {
    lab07_weighed keys;
    /* [n][j]: of components c = 64 n + 8g + 2j and c + 1, and query heads h = 2t and h + 1, the sums of weights times
     * values: (c, h) (c, h + 1) (c + 1, h) (c + 1, h + 1) */
    float of[T][4][4];
};

/* Steps. A head of q or k, normed where gain is not NULL, and turned; by a warp. `turn`: of the position, [half][2]. */
template <int T>
static __device__ inline void turn_head(const lab07_ring_view *v, const uint16_t *gain, const float *turn,
                                        lab07_pairs<T> *p);
/* Scores of query head g become weights. `top`: the highest so far, these included. Returns by how much what was summed
 * up before is to be multiplied. there[k]: it is a key; s->top: `top`, behind it. */
static __device__ inline float take_scores(const lab07_ring_view *v, const float score[LAB07_OWN_SCORES],
                                           const bool there[LAB07_OWN_SCORES], float top, lab07_weighed *s,
                                           float weight[LAB07_OWN_SCORES]);
/* Component i of the sum of `count` parts, `stride` floats apart, in their order; their highest maximum, and the weight
 * of all of them by it. A part: see lab07_part_length. */
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

template <int T> struct lab07_head { /* a lane's pairs of a head that has been asked for */
    const float *from;
    float got[2 * T];
};

template <int T> static __device__ inline void lab07_places_of_head(const lab07_ring_view *v, int at[2 * T])
{
    const int half = v->head_dim / 2;
#pragma unroll
    for (int t = 0; t < 2 * T; t++)
        at[t] = lab07_lane() + t / 2 * PK_LANES < half ? lab07_lane() + t / 2 * PK_LANES + t % 2 * half : -1;
}

template <int T>
static __device__ inline void lab07_ask_head(const lab07_ring_view *v, const float *from, lab07_head<T> *h)
{
    int at[2 * T];
    lab07_places_of_head<T>(v, at);
    h->from = from;
    lab07_ask_each<2 * T>(from, at, h->got);
}

template <int HAND, int T>
static __device__ inline void lab07_wait_head(const lab07_ring_view *v, lab07_head<T> *h, lab07_pairs<T> *p)
{
    int at[2 * T];
    lab07_places_of_head<T>(v, at);
    lab07_wait_each<HAND, 2 * T>(v, h->from, at, h->got);
    __syncwarp();
#pragma unroll
    for (int t = 0; t < T; t++) {
        p->low[t] = h->got[2 * t];
        p->high[t] = h->got[2 * t + 1];
    }
}

/* A pair's components, by the lane that has them. */
static __device__ inline bool lab07_pair_at(const lab07_ring_view *v, int t, int *i)
{
    *i = lab07_lane() + t * PK_LANES;
    return *i < v->head_dim / 2;
}

/* Where a warp's sums of all query heads go: a part for each. */
static __device__ inline float *lab07_merge_of_warp(const lab07_ring_view *v, const lab07_block *b)
{
    return lab07_of_merge(v, b) + lab07_warp() * v->group * lab07_part_length(v->head_dim);
}

/* Which of sixteen keys a lane's k-th score is of. */
static __device__ inline int lab07_own_key(int t, int k)
{
    return 8 * (k / 2) + 2 * t + k % 2;
}

/* How far one head of the query is from the next, in shared memory: behind its last component are zeros, and rows of an
 * even and an odd g meet on no bank. */
static __host__ __device__ inline int lab07_query_pitch(int head_dim)
{
#if defined(PK_HAS_MMA)
    return (head_dim + 63) / 64 * 64 + 32;
#else
    return head_dim;
#endif
}

/* On the host: all of it, in 16 bytes. */
static inline int lab07_query_units(const lab07_ring_view *v)
{
#if defined(PK_HAS_MMA)
    return LAB07_PARTS * v->group * lab07_query_pitch(v->head_dim) * (int)sizeof(uint16_t) / (int)sizeof(uint4);
#else
    return v->group * lab07_query_pitch(v->head_dim) * (int)sizeof(float) / (int)sizeof(uint4);
#endif
}

/* Component i of query head `head`: where all warps read it. */
static __device__ inline void lab07_put_query(const lab07_ring_view *v, const lab07_block *b, int head, int i,
                                              float value)
{
    const int at = head * v->query_pitch + i;
#if defined(PK_HAS_MMA)
#pragma unroll
    for (int p = 0; p < LAB07_PARTS; p++) {
        const unsigned part = pk_mma_pack(value, 0);
        ((uint16_t *)lab07_of_query(v, b))[p * v->group * v->query_pitch + at] = (uint16_t)part;
        value -= lab07_low(part);
    }
#else
    ((float *)lab07_of_query(v, b))[at] = value;
#endif
}

/* Of what a segment needs: its query heads, and behind them, where it has that, the token's own key and its value. */
static __device__ inline int lab07_place_of_vector(const lab07_ring_view *v, const lab07_segment *segment, int number)
{
    const int head = number < v->group ? segment->head * v->group + number
                                       : v->heads + (number - v->group) * v->kv_heads + segment->head;
    return v->at.qkv + head * v->head_dim;
}

/* One of them, which has been asked for: a query head normed, turned and scaled; a key normed and turned. Key and value
 * are as the cache has them, and appended to it, unless it is full, which the choice of the token will say. */
template <int HAND, int T>
static __device__ inline void lab07_make_vector(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                const lab07_segment *segment, int number, lab07_head<T> *asked)
{
    const pk_device_layer *const layer = &lab07_of_layer(v, b)[at->layer];
    const int half = v->head_dim / 2, value = number - v->group; /* 0: the key, 1: its value */
    lab07_pairs<T> p;
    lab07_wait_head<HAND, T>(v, asked, &p);
    if (value < 1)
        turn_head(v, value < 0 ? layer->q_norm : layer->k_norm, lab07_of_turn(v, b), &p);
    uint16_t *const mine = lab07_of_newest(v, b) + (value > 0 ? v->head_dim : 0);
    uint16_t *const to = (value > 0 ? layer->v_cache : layer->k_cache) +
                         ((size_t)segment->head * v->capacity + b->stands->position) * v->head_dim;
#pragma unroll
    for (int t = 0, i; t < T; t++) {
        if (!lab07_pair_at(v, t, &i))
            continue;
        if (value < 0) {
            lab07_put_query(v, b, number, i, v->scale * p.low[t]);
            lab07_put_query(v, b, number, half + i, v->scale * p.high[t]);
            continue;
        }
        mine[i] = pk_model_to_bf16(p.low[t]);
        mine[half + i] = pk_model_to_bf16(p.high[t]);
        if (b->stands->appends) {
            to[i] = mine[i];
            to[half + i] = mine[half + i];
        }
    }
}

/* All of them, by all warps. Who makes two asks for the second before it waits for the first. */
template <int HAND, int T>
static __device__ inline void lab07_make_vectors(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                 const lab07_segment *segment, bool has_newest)
{
    const float *const out = lab07_outputs(v, b, at->layer, 0);
    const int all = v->group + (has_newest ? 2 : 0);
    lab07_head<T> next = {};
    if (lab07_warp() < all)
        lab07_ask_head(v, out + lab07_place_of_vector(v, segment, lab07_warp()), &next);
#pragma unroll 1
    for (int number = lab07_warp(); number < all; number += v->consumers) {
        lab07_head<T> asked = next;
        if (number + v->consumers < all)
            lab07_ask_head(v, out + lab07_place_of_vector(v, segment, number + v->consumers), &next);
        lab07_make_vector<HAND, T>(v, b, at, segment, number, &asked);
    }
}

/* The lane's scores of 16 keys, or `count` where there are fewer: of others it has some key's again. */
template <int T>
static __device__ inline void lab07_score_keys(const lab07_ring_view *v, const lab07_block *b, const uint16_t *keys,
                                               int count, float score[LAB07_OWN_SCORES])
{
    const int g = lab07_lane() / 4, t = lab07_lane() % 4;
#if defined(PK_HAS_MMA)
    const uint4 *const query =
        (const uint4 *)((const uint16_t *)lab07_of_query(v, b) + lab07_least(g, v->group - 1) * v->query_pitch) + t;
    const int part = v->group * v->query_pitch / 8;
    const uint16_t *row[2];
    float sums[2][2][4] = {}; /* [eight keys][two parts of the query, and one] */
#pragma unroll
    for (int i = 0; i < 2; i++)
        row[i] = keys + lab07_least(8 * i + g, count - 1) * v->head_dim + 8 * t;
#pragma unroll
    for (int c = 0; c < 64 * T; c += 32) {
        const bool there = c + 8 * t < v->head_dim;
        uint4 key[2], q[LAB07_PARTS];
#pragma unroll
        for (int i = 0; i < 2; i++)
            key[i] = there ? *(const uint4 *)(row[i] + c) : make_uint4(0, 0, 0, 0);
#pragma unroll
        for (int p = 0; p < LAB07_PARTS; p++)
            q[p] = query[p * part + c / 8];
        const unsigned first[2][4] = {{q[0].x, q[1].x, q[0].y, q[1].y}, {q[0].z, q[1].z, q[0].w, q[1].w}};
        const unsigned third[2][4] = {{q[2].x, 0, q[2].y, 0}, {q[2].z, 0, q[2].w, 0}};
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const unsigned words[2][2] = {{key[i].x, key[i].y}, {key[i].z, key[i].w}};
#pragma unroll
            for (int j = 0; j < 2; j++) {
                pk_mma(sums[i][0], first[j], words[j]);
                pk_mma(sums[i][1], third[j], words[j]);
            }
        }
    }
#pragma unroll
    for (int k = 0; k < LAB07_OWN_SCORES; k++)
        score[k] = sums[k / 2][0][k % 2] + sums[k / 2][0][2 + k % 2] + sums[k / 2][1][k % 2];
#else
    const float *const query = (const float *)lab07_of_query(v, b) + g * v->query_pitch; /* looked at below group */
    for (int k = 0; k < LAB07_OWN_SCORES; k++) {
        const uint16_t *const key = keys + lab07_least(lab07_own_key(t, k), count - 1) * v->head_dim;
        score[k] = 0;
        for (int c = 0; c < v->head_dim && g < v->group; c += 8)
            score[k] = pk_dot_chunk(*(const uint4 *)(key + c), query + c, score[k]);
    }
#endif
}

/* Values of the same keys; tensor cores are given what a lane has of them: of each of its four keys 8 components, T
 * times. */
template <int T> struct lab07_values {
    const uint16_t *from;
    int count;
#if defined(PK_HAS_MMA)
    uint4 of[T][LAB07_OWN_SCORES];
#endif
};

template <int T>
static __device__ inline void lab07_load_values(const lab07_ring_view *v, const uint16_t *from, int count,
                                                lab07_values<T> *values)
{
    values->from = from;
    values->count = count;
#if defined(PK_HAS_MMA)
    const int g = lab07_lane() / 4, t = lab07_lane() % 4;
#pragma unroll
    for (int k = 0; k < LAB07_OWN_SCORES; k++) {
        const uint16_t *const row = from + lab07_least(lab07_own_key(t, k), count - 1) * v->head_dim + 8 * g;
#pragma unroll
        for (int n = 0; n < T; n++)
            values->of[n][k] = 64 * n + 8 * g < v->head_dim ? *(const uint4 *)(row + 64 * n) : make_uint4(0, 0, 0, 0);
    }
#endif
    (void)v;
}

/* Word j of 8 components. */
static __device__ inline unsigned lab07_word_at(uint4 eight, int j)
{
    return j == 0 ? eight.x : j == 1 ? eight.y : j == 2 ? eight.z : eight.w;
}

/* Values times the lane's weights, and what was summed up before, times keep[h]: of query heads 2t and 2t + 1. Keys
 * that are not there have the weight 0. Tensor cores sum up sixteen keys, and not on and on: they cut sums off where
 * others round, and over thousands of keys that adds up. */
template <int T>
static __device__ inline void lab07_add_values(const lab07_ring_view *v, const lab07_block *b,
                                               const lab07_values<T> *values, const float weight[LAB07_OWN_SCORES],
                                               const float keep[2], lab07_softmax<T> *s)
{
#if defined(PK_HAS_MMA)
    unsigned part[LAB07_PARTS][2];
    float rest[LAB07_OWN_SCORES];
#pragma unroll
    for (int k = 0; k < LAB07_OWN_SCORES; k++)
        rest[k] = weight[k];
#pragma unroll
    for (int p = 0; p < LAB07_PARTS; p++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
            part[p][i] = pk_mma_pack(rest[2 * i], rest[2 * i + 1]);
            rest[2 * i] -= lab07_low(part[p][i]);
            rest[2 * i + 1] -= lab07_high(part[p][i]);
        }
#pragma unroll
    for (int n = 0; n < T; n++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
            unsigned of[LAB07_OWN_SCORES];
            float sums[4] = {};
#pragma unroll
            for (int k = 0; k < LAB07_OWN_SCORES; k++)
                of[k] = lab07_word_at(values->of[n][k], j);
            const unsigned words[4] = {lab07_bytes(of[0], of[1], 0x5410u), lab07_bytes(of[0], of[1], 0x7632u),
                                       lab07_bytes(of[2], of[3], 0x5410u), lab07_bytes(of[2], of[3], 0x7632u)};
#pragma unroll
            for (int p = 0; p < LAB07_PARTS; p++)
                pk_mma(sums, words, part[p]);
#pragma unroll
            for (int i = 0; i < 4; i++)
                s->of[n][j][i] = fmaf(s->of[n][j][i], keep[i % 2], sums[i]);
        }
    (void)v, (void)b;
#else
    float *const weights = lab07_merge_of_warp(v, b); /* [head][16]: nothing is there yet */
    const int g = lab07_lane() / 4, t = lab07_lane() % 4;
    for (int k = 0; k < LAB07_OWN_SCORES && g < v->group; k++)
        weights[g * LAB07_TILE_KEYS + lab07_own_key(t, k)] = weight[k];
    __syncwarp();
    for (int i = 0; i < 16 * T; i++)
        s->of[i / 16][i / 4 % 4][i % 4] *= keep[i % 2];
    for (int n = 0; n < T && 64 * n + 8 * g < v->head_dim; n++)
        for (int key = 0; key < values->count; key++) {
            float of[8];
            pk_unpack_bf16(*(const uint4 *)(values->from + key * v->head_dim + 64 * n + 8 * g), of);
            for (int i = 0; i < 16; i++) {
                const int head = 2 * t + i % 2;
                if (head < v->group)
                    s->of[n][i / 4][i % 4] =
                        fmaf(weights[head * LAB07_TILE_KEYS + key], of[i / 2], s->of[n][i / 4][i % 4]);
            }
        }
    __syncwarp(); /* the next ones go there */
#endif
}

/* Up to 16 keys and their values, in shared memory, into a warp's sums. */
template <int T>
static __device__ inline void lab07_take_tile(const lab07_ring_view *v, const lab07_block *b, const uint16_t *keys,
                                              const uint16_t *from, int count, lab07_softmax<T> *s)
{
    const int t = lab07_lane() % 4;
    float score[LAB07_OWN_SCORES], weight[LAB07_OWN_SCORES] = {}, top = s->keys.top;
    bool there[LAB07_OWN_SCORES];
    lab07_values<T> values;
    if (T == 1) /* else there are no registers for it */
        lab07_load_values<T>(v, from, count, &values);
    lab07_score_keys<T>(v, b, keys, count, score);
    if (T > 1)
        lab07_load_values<T>(v, from, count, &values);
#pragma unroll
    for (int k = 0; k < LAB07_OWN_SCORES; k++) {
        there[k] = lab07_own_key(t, k) < count;
        top = fmaxf(top, there[k] ? score[k] : LOWEST);
    }
    top = fmaxf(top, __shfl_xor_sync(PK_ALL_LANES, top, 1));
    top = fmaxf(top, __shfl_xor_sync(PK_ALL_LANES, top, 2));
    const float keep = take_scores(v, score, there, top, &s->keys, weight);
    const float of_head[2] = {__shfl_sync(PK_ALL_LANES, keep, 8 * t), __shfl_sync(PK_ALL_LANES, keep, 8 * t + 4)};
    lab07_add_values<T>(v, b, &values, weight, of_head, s);
}

/* The segment's keys, as they land; behind them, where it has it, the token's own. Warps take turns, sixteen keys each.
 * Returns how many warps have had some. */
template <int T>
static __device__ inline int lab07_take_segment(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                                const lab07_segment *segment, bool has_newest, lab07_softmax<T> *s)
{
    const int most = v->chunk_keys, end = segment->end < b->stands->position ? segment->end : b->stands->position;
    int next = lab07_warp(), tiles = 0; /* its next sixteen, from the chunk's beginning on; all so far */
    bool newest = false;
#pragma unroll 1
    for (int first = segment->first; !newest; first += most) {
        newest = first >= end;
        if (newest && !(has_newest && LAB07_TAKES_NEWEST(v)))
            break;
        const uint16_t *const keys = newest ? lab07_of_newest(v, b) : (const uint16_t *)lab07_wait_chunk(v, b, at);
        const int count = newest ? 1 : lab07_least(end - first, most);
        const int of_chunk = (count + LAB07_TILE_KEYS - 1) / LAB07_TILE_KEYS;
#pragma unroll 1
        for (; next < of_chunk; next += v->consumers) {
            const int from = next * LAB07_TILE_KEYS;
            lab07_take_tile<T>(v, b, keys + from * v->head_dim, keys + (count + from) * v->head_dim,
                               lab07_least(count - from, LAB07_TILE_KEYS), s);
        }
        next -= of_chunk;
        tiles += of_chunk;
        if (!newest)
            lab07_give_back(v, b, at);
    }
    return lab07_least(tiles, v->consumers);
}

/* Where a head's part of a block's segment is. */
static __device__ inline int lab07_partial(const lab07_ring_view *v, int block, int segment, int head)
{
    return v->at.partial + ((block * v->segments + segment) * v->group + head) * v->part_floats;
}

/* The warps' sums of one segment, put together: the heads' outputs where it is whole, else a part of them. By all
 * consumers; `warps` of them have parts. */
template <int HAND>
static __device__ inline void lab07_put_segment(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                const lab07_segment *segment, int number, int warps)
{
    const int stride = lab07_part_length(v->head_dim);
    float *const out = lab07_outputs(v, b, at->layer, 0);
    for (int of = lab07_thread(); of < v->group * v->head_dim; of += v->consumers * PK_LANES) {
        const int head = (int)((unsigned)of * v->head_part >> 20), i = of - head * v->head_dim;
        float *const part = out + lab07_partial(v, (int)blockIdx.x, number, head);
        float top, weight;
        const float sum =
            merge_parts_in_order(v, lab07_of_merge(v, b) + head * stride, warps, v->group * stride, i, &top, &weight);
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

/* All of the block's parts in the other set: whichever of them the next step writes, it finds them poisoned. */
static __device__ inline void lab07_poison_parts(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at)
{
    float *const parts = lab07_outputs(v, b, at->layer, 1) + lab07_partial(v, (int)blockIdx.x, 0, 0);
    for (int i = lab07_thread(); i < v->segments * v->group * v->part_floats; i += v->consumers * PK_LANES)
        lab07_poison(parts + i);
}

/* A warp's sums: where all look at them. */
template <int T>
static __device__ inline void lab07_keep_part(const lab07_ring_view *v, const lab07_block *b, const lab07_softmax<T> *s)
{
    const int g = lab07_lane() / 4, t = lab07_lane() % 4, stride = lab07_part_length(v->head_dim);
    float *const mine = lab07_merge_of_warp(v, b);
    float weight = s->keys.weight;
    weight += __shfl_xor_sync(PK_ALL_LANES, weight, 1);
    weight += __shfl_xor_sync(PK_ALL_LANES, weight, 2);
#pragma unroll
    for (int n = 0; n < T; n++)
#pragma unroll
        for (int head = 0; head < 2; head++) {
            float2 *const to = (float2 *)(mine + (2 * t + head) * stride + 64 * n + 8 * g);
            if (64 * n + 8 * g < v->head_dim && 2 * t + head < v->group)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    to[j] = make_float2(s->of[n][j][head], s->of[n][j][2 + head]);
        }
    if (t == 0 && g < v->group) {
        mine[g * stride + v->head_dim] = s->keys.top;
        mine[g * stride + v->head_dim + 1] = weight;
    }
}

/* What one segment reads and writes in shared memory, the next one, of this layer or another, writes again: queries and
 * keys behind all warps' sums, sums behind all warps' queries. So two meetings are enough. */
template <int HAND, int T>
static __device__ inline void lab07_attend(const lab07_ring_view *v, const lab07_block *b, lab07_at *at)
{
    lab07_segment segment;
    for (int number = 0; lab07_next_segment(b, number, &segment); number++) {
        const bool has_newest = segment.end > b->stands->position;
        lab07_softmax<T> s = {{LOWEST, 0}, {}};
        lab07_make_vectors<HAND, T>(v, b, at, &segment, has_newest);
        lab07_sync(v, b);
        lab07_stamp(v, b, at->layer, LAB07_PHASE_ATTEND, LAB07_HAS);
        const int warps = lab07_take_segment<T>(v, b, at, &segment, has_newest, &s);
        lab07_keep_part<T>(v, b, &s);
        lab07_sync(v, b);
        lab07_put_segment<HAND>(v, b, at, &segment, number, warps);
    }
}

/* ---- parts of several blocks ---- */

/* Waits for two parts of a head, of blocks `block` and, unless that is behind `last`, `block` + `step`: into shared
 * memory, each a block's. */
template <int HAND, int T>
static __device__ inline void lab07_fetch_parts(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                int head, int block, int step, int last, float *to)
{
    enum { PARTS = 2, N = PARTS * (2 * T + 1) };
    const float *const from = lab07_outputs(v, b, at->layer, 0) + lab07_partial(v, block, 0, head % v->group);
    const int apart = step * v->segments * v->group * v->part_floats, stride = lab07_part_length(v->head_dim);
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
template <int HAND, int T>
static __device__ inline void lab07_merge_head(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                               int head)
{
    const int stride = lab07_part_length(v->head_dim);
    const int first = head / v->group * b->stands->spread.room, last = first + b->stands->spread.each - 1;
    lab07_sync(v, b); /* what was there before has been read */
    for (int block = first + lab07_warp(); block <= last; block += 2 * v->consumers)
        lab07_fetch_parts<HAND, T>(v, b, at, head, block, v->consumers, last,
                                   lab07_of_merge(v, b) + (block - first) * stride);
    lab07_sync(v, b);
    lab07_stamp(v, b, at->layer, LAB07_PHASE_MERGE, LAB07_HAS);
    for (int i = lab07_thread(); i < v->head_dim; i += v->consumers * PK_LANES) {
        float top, weight;
        const float sum = merge_parts_in_order(v, lab07_of_merge(v, b), last + 1 - first, stride, i, &top, &weight);
        lab07_put<HAND>(v, b, at->layer, v->at.heads + head * v->head_dim + i, sum / weight);
    }
}

template <int HAND, int T>
static __device__ inline void lab07_merge(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at)
{
    const int *const merged = lab07_of_merged(v, b);
    for (int head = merged[0]; head < merged[1] && !lab07_is_whole(&b->stands->spread); head++)
        lab07_merge_head<HAND, T>(v, b, at, head);
    if (HAND == LAB07_FLAG)
        lab07_poison_parts(v, b, at); /* behind all that others wait for */
}

#endif
