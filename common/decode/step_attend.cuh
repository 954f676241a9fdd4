/* Attention of a step: one query token, all keys in the cache. */
#ifndef PK_STEP_ATTEND_CUH
#define PK_STEP_ATTEND_CUH

#include <math.h>

#include "decode/decode_internal.h"
#include "decode/pk_matvec.cuh"
#include "decode/step_begin.cuh"

typedef struct attend_args {
    pk_decode_at at;
    const float *q;                    /* [heads][head_dim] */
    const uint16_t *k_cache, *v_cache; /* [kv_heads][capacity][head_dim] */
    float *out;                        /* [heads][head_dim] */
    float *partial;                    /* [heads][most parts][head_dim + 2] */
    unsigned *arrivals;                /* [heads]: parts that are there; 0 between kernels */
    int heads, kv_heads, head_dim, capacity;
} attend_args;

enum {
    KEYS_AT_ONCE = 4, /* of a thread: its row of keys and its row of values of each under way */
    MOST_HEAD_DIM = 8 * PK_LANES,
    ATTEND_THREADS = 256,
    ATTEND_WARPS = ATTEND_THREADS / PK_LANES
};
#define LOWEST (-1e30f) /* a maximum of nothing: finite, so that 2^(LOWEST - LOWEST) is no NaN */

typedef struct softmax_sum { /* of some keys: sum of 2^(score - top) v, of 8 components */
    float top, weight, v[8];
} softmax_sum;

typedef struct attend_chunks { /* of a thread: 8 components of some keys and values, under way or here */
    uint4 k[KEYS_AT_ONCE], v[KEYS_AT_ONCE];
} attend_chunks;

/* Where a thread is among the keys. Lanes of a key's row have 8 components each, and are rounded up to a power of two
 * so that shuffles stay inside. */
typedef struct attend_place {
    int lanes, lane, group, groups;
    bool has;    /* this lane has components */
    size_t base; /* of its components in the head's row 0 */
} attend_place;

static __device__ inline attend_place place_of_thread(const attend_args *a, int head)
{
    attend_place p;
    p.lanes = 2;
    while (p.lanes * 8 < a->head_dim)
        p.lanes *= 2;
    p.lane = threadIdx.x % p.lanes;
    p.group = threadIdx.x / p.lanes;
    p.groups = blockDim.x / p.lanes;
    p.has = 8 * p.lane < a->head_dim;
    p.base = (size_t)(head / (a->heads / a->kv_heads)) * a->capacity * a->head_dim + (p.has ? 8 * p.lane : 0);
    return p;
}

/* Ask for the thread's keys and values of this turn, of those in [from, end). */
static __device__ inline void ask_keys(const attend_args *a, const attend_place *p, int from, int end, attend_chunks *c)
{
#pragma unroll
    for (int j = 0; j < KEYS_AT_ONCE; j++) {
        const int key = from + j * p->groups + p->group;
        c->k[j] = c->v[j] = make_uint4(0, 0, 0, 0);
        if (key < end && p->has) {
            c->k[j] = *(const uint4 *)(a->k_cache + p->base + (size_t)key * a->head_dim);
            c->v[j] = *(const uint4 *)(a->v_cache + p->base + (size_t)key * a->head_dim);
        }
    }
}

/* And for key `newest` alone, where the thread has it in this turn. */
static __device__ inline void ask_newest(const attend_args *a, const attend_place *p, int from, int newest,
                                         attend_chunks *c)
{
#pragma unroll
    for (int j = 0; j < KEYS_AT_ONCE; j++)
        if (from + j * p->groups + p->group == newest && p->has) {
            c->k[j] = *(const uint4 *)(a->k_cache + p->base + (size_t)newest * a->head_dim);
            c->v[j] = *(const uint4 *)(a->v_cache + p->base + (size_t)newest * a->head_dim);
        }
}

static __device__ inline void take_keys(const attend_place *p, const float q[8], int from, int end,
                                        const attend_chunks *c, softmax_sum *s)
{
    float score[KEYS_AT_ONCE], top = s->top;
#pragma unroll
    for (int j = 0; j < KEYS_AT_ONCE; j++) {
        float x[8], dot = 0;
        pk_unpack_bf16(c->k[j], x);
#pragma unroll
        for (int i = 0; i < 8; i++)
            dot = fmaf(q[i], x[i], dot);
        for (int bit = p->lanes / 2; bit > 0; bit /= 2)
            dot += __shfl_xor_sync(PK_ALL_LANES, dot, bit);
        score[j] = from + j * p->groups + p->group < end ? dot : LOWEST;
        top = fmaxf(top, score[j]);
    }
    const float keep = exp2f(s->top - top);
    s->top = top;
#pragma unroll
    for (int i = 0; i < 8; i++)
        s->v[i] *= keep;
#pragma unroll
    for (int j = 0; j < KEYS_AT_ONCE; j++) {
        float x[8];
        const float weight = from + j * p->groups + p->group < end ? exp2f(score[j] - top) : 0;
        pk_unpack_bf16(c->v[j], x);
        s->weight = j == 0 ? fmaf(s->weight, keep, weight) : s->weight + weight;
#pragma unroll
        for (int i = 0; i < 8; i++)
            s->v[i] = fmaf(weight, x[i], s->v[i]);
    }
}

/* Keys [first, end), the first turn's in `c`. Every lane makes every turn: shuffles are of all 32. */
static __device__ inline void attend_keys(const attend_args *a, const attend_place *p, int head, int first, int end,
                                          attend_chunks *c, softmax_sum *s)
{
    const float scale = 1.4426950408889634f / sqrtf((float)a->head_dim); /* log2(e): weights are powers of two */
    const float4 *const at = (const float4 *)(a->q + (size_t)head * a->head_dim + (p->has ? 8 * p->lane : 0));
    const float4 low = at[0], high = at[1];
    float q[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
    for (int i = 0; i < 8; i++)
        q[i] = p->has ? scale * q[i] : 0;
    for (int from = first; from < end; from += KEYS_AT_ONCE * p->groups) {
        if (from != first)
            ask_keys(a, p, from, end, c);
        take_keys(p, q, from, end, c, s);
    }
}

/* The sum over the lanes of a warp that have the same components, in each of them. */
static __device__ inline void merge_lanes(softmax_sum *s, int lanes)
{
    for (int bit = lanes; bit < PK_LANES; bit *= 2) {
        const float theirs = __shfl_xor_sync(PK_ALL_LANES, s->top, bit), top = fmaxf(s->top, theirs);
        const float mine = exp2f(s->top - top);
        s->top = top;
        s->weight = fmaf(s->weight, mine, __shfl_xor_sync(PK_ALL_LANES, s->weight * mine, bit));
#pragma unroll
        for (int i = 0; i < 8; i++)
            s->v[i] = fmaf(s->v[i], mine, __shfl_xor_sync(PK_ALL_LANES, s->v[i] * mine, bit));
    }
}

/* Component i of a sum of `count` parts, each of [head_dim] sums, a maximum and a weight, in their order; with their
 * highest maximum and their weight. */
static __device__ inline float merge_parts(const float *parts, int count, int head_dim, int i, float *top,
                                           float *weight)
{
    float sum = 0;
    *top = LOWEST;
    *weight = 0;
    for (int p = 0; p < count; p++)
        *top = fmaxf(*top, parts[p * (head_dim + 2) + head_dim]);
    for (int p = 0; p < count; p++) {
        const float *const part = parts + p * (head_dim + 2);
        const float factor = exp2f(part[head_dim] - *top);
        *weight = fmaf(factor, part[head_dim + 1], *weight);
        sum = fmaf(factor, part[i], sum);
    }
    return sum;
}

/* Part `part` of at most `most` of head `head`, by a block. How many parts the keys make depends on how many there are
 * now, not on the grid: the blocks beyond have nothing to do, and one launch serves every length.
 *
 * Before it waits for the kernel ahead it reads the position, which the last kernel of a step writes, and asks for the
 * keys and values of earlier steps: no kernel of a step begins before all of the step ahead has ended (pk_decode_step).
 * The newest key and q are what the kernel ahead writes. */
static __device__ inline void attend_block(const attend_args *a, int part, int most, int head)
{
    __shared__ float of_warp[ATTEND_WARPS * (MOST_HEAD_DIM + 2)];
    __shared__ int last;
    const int position = pk_at_position(&a->at), keys = position < a->capacity ? position + 1 : a->capacity;
    const int wanted = (keys + PK_ATTEND_PART_KEYS - 1) / PK_ATTEND_PART_KEYS;
    const int share = (keys + (wanted < most ? wanted : most) - 1) / (wanted < most ? wanted : most);
    const int parts = (keys + share - 1) / share;
    if (part >= parts)
        return;
    const attend_place p = place_of_thread(a, head);
    const int first = part * share, end = first + share < keys ? first + share : keys;
    attend_chunks c;
    ask_keys(a, &p, first, end < position ? end : position, &c);
    PK_GRID_DEPENDENCY_SYNCHRONIZE();
    ask_newest(a, &p, first, position < end ? position : -1, &c);
    softmax_sum s = {LOWEST, 0, {0, 0, 0, 0, 0, 0, 0, 0}};
    attend_keys(a, &p, head, first, end, &c, &s);
    merge_lanes(&s, p.lanes);
    const int warps = blockDim.x / PK_LANES, stride = a->head_dim + 2;
    float *const mine = of_warp + threadIdx.x / PK_LANES * stride;
    if ((int)threadIdx.x % PK_LANES < p.lanes && p.has) {
#pragma unroll
        for (int i = 0; i < 8; i++)
            mine[8 * p.lane + i] = s.v[i];
        if (p.lane == 0) {
            mine[a->head_dim] = s.top;
            mine[a->head_dim + 1] = s.weight;
        }
    }
    __syncthreads();
    float *const of_parts = a->partial + (size_t)head * most * stride, *const of_part = of_parts + part * stride;
    for (int i = threadIdx.x; i < a->head_dim; i += blockDim.x) {
        float top, weight;
        const float sum = merge_parts(of_warp, warps, a->head_dim, i, &top, &weight);
        if (parts == 1) {
            a->out[(size_t)head * a->head_dim + i] = sum / weight;
            continue;
        }
        of_part[i] = sum;
        if (i == 0) {
            of_part[a->head_dim] = top;
            of_part[a->head_dim + 1] = weight;
        }
    }
    if (parts == 1 || !comes_last(a->arrivals + head, (unsigned)parts, &last))
        return;
    for (int i = threadIdx.x; i < a->head_dim; i += blockDim.x) { /* in their order, whoever came last */
        float top, weight;
        const float sum = merge_parts(of_parts, parts, a->head_dim, i, &top, &weight);
        a->out[(size_t)head * a->head_dim + i] = sum / weight;
    }
}

#endif
