/* Attention of a step: one query token, all keys in the cache. Included by step.cu. */
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
    float *partial;                    /* [heads][gridDim.x][head_dim + 2] */
    unsigned *arrivals;                /* [heads]: parts that are there; 0 between kernels */
    int heads, kv_heads, head_dim, capacity;
} attend_args;

enum { KEYS_AT_ONCE = 4 };
#define LOWEST (-1e30f) /* a maximum of nothing: finite, so that 2^(LOWEST - LOWEST) is no NaN */

typedef struct softmax_sum { /* of some keys: sum of 2^(score - top) v, of 8 components */
    float top, weight, v[8];
} softmax_sum;

static __device__ inline void merge(softmax_sum *into, float top, float weight, const float v[8])
{
    const float highest = fmaxf(into->top, top);
    const float mine = exp2f(into->top - highest), theirs = exp2f(top - highest);
    into->top = highest;
    into->weight = into->weight * mine + weight * theirs;
#pragma unroll
    for (int i = 0; i < 8; i++)
        into->v[i] = into->v[i] * mine + v[i] * theirs;
}

/* Lanes of a key's row: 8 components each, rounded up to a power of two so that shuffles stay inside. */
static __device__ inline int lanes_a_key(int head_dim)
{
    int lanes = 2;
    while (lanes * 8 < head_dim)
        lanes *= 2;
    return lanes;
}

static __device__ inline void attend_keys(const attend_args *a, int head, int first, int end, softmax_sum *s)
{
    const int lanes = lanes_a_key(a->head_dim), lane = threadIdx.x % lanes, group = threadIdx.x / lanes;
    const int groups = blockDim.x / lanes;
    const bool has = 8 * lane < a->head_dim;
    const size_t base = (size_t)(head / (a->heads / a->kv_heads)) * a->capacity * a->head_dim + (has ? 8 * lane : 0);
    const float scale = 1.4426950408889634f / sqrtf((float)a->head_dim); /* log2(e): weights are powers of two */
    float q[8];
#pragma unroll
    for (int i = 0; i < 8; i++)
        q[i] = has ? scale * a->q[(size_t)head * a->head_dim + 8 * lane + i] : 0;
    /* Every lane makes every turn: shuffles are of all 32. */
    for (int from = first; from < end; from += KEYS_AT_ONCE * groups) {
        uint4 k[KEYS_AT_ONCE], v[KEYS_AT_ONCE];
        float score[KEYS_AT_ONCE], top = s->top;
#pragma unroll
        for (int j = 0; j < KEYS_AT_ONCE; j++) {
            const int key = from + j * groups + group;
            k[j] = v[j] = make_uint4(0, 0, 0, 0);
            if (key < end && has) {
                k[j] = *(const uint4 *)(a->k_cache + base + (size_t)key * a->head_dim);
                v[j] = *(const uint4 *)(a->v_cache + base + (size_t)key * a->head_dim);
            }
        }
#pragma unroll
        for (int j = 0; j < KEYS_AT_ONCE; j++) {
            float x[8], dot = 0;
            pk_unpack_bf16(k[j], x);
#pragma unroll
            for (int i = 0; i < 8; i++)
                dot += q[i] * x[i];
            for (int bit = lanes / 2; bit > 0; bit /= 2)
                dot += __shfl_xor_sync(PK_ALL_LANES, dot, bit);
            score[j] = from + j * groups + group < end ? dot : LOWEST;
            top = fmaxf(top, score[j]);
        }
        const float keep = exp2f(s->top - top);
        s->top = top;
        s->weight *= keep;
#pragma unroll
        for (int i = 0; i < 8; i++)
            s->v[i] *= keep;
#pragma unroll
        for (int j = 0; j < KEYS_AT_ONCE; j++) {
            float x[8];
            const float weight = from + j * groups + group < end ? exp2f(score[j] - top) : 0;
            pk_unpack_bf16(v[j], x);
            s->weight += weight;
#pragma unroll
            for (int i = 0; i < 8; i++)
                s->v[i] += weight * x[i];
        }
    }
}

/* One sum for the block, in the first `lanes` threads: groups of a warp by shuffles, then warps in their order. */
static __device__ inline void merge_block(softmax_sum *s, int lanes, float *shared)
{
    for (int bit = lanes; bit < PK_LANES; bit *= 2) {
        float v[8];
        const float top = __shfl_xor_sync(PK_ALL_LANES, s->top, bit);
        const float weight = __shfl_xor_sync(PK_ALL_LANES, s->weight, bit);
#pragma unroll
        for (int i = 0; i < 8; i++)
            v[i] = __shfl_xor_sync(PK_ALL_LANES, s->v[i], bit);
        merge(s, top, weight, v);
    }
    const int warps = blockDim.x / PK_LANES, warp = threadIdx.x / PK_LANES, lane = threadIdx.x % PK_LANES;
    if (warps == 1)
        return;
    if (lane < lanes) {
        float *const mine = shared + (warp * PK_LANES + lane) * 10;
        mine[0] = s->top;
        mine[1] = s->weight;
        for (int i = 0; i < 8; i++)
            mine[2 + i] = s->v[i];
    }
    __syncthreads();
    for (int w = 1; w < warps && (int)threadIdx.x < lanes; w++) {
        const float *const theirs = shared + (w * PK_LANES + lane) * 10;
        merge(s, theirs[0], theirs[1], theirs + 2);
    }
}

enum { ATTEND_THREADS = 128 };

/* Block (part, head). How many parts the keys make depends on how many there are now, not on the grid: the blocks
 * beyond have nothing to do, and one launch serves every length. */
static __global__ void __launch_bounds__(ATTEND_THREADS) attend(attend_args a)
{
    __shared__ float shared[ATTEND_THREADS * 10];
    __shared__ int last;
    begin();
    const int position = pk_at_position(&a.at), keys = position < a.capacity ? position + 1 : a.capacity;
    const int head = blockIdx.y, most = gridDim.x, wanted = (keys + PK_ATTEND_PART_KEYS - 1) / PK_ATTEND_PART_KEYS;
    const int share = (keys + (wanted < most ? wanted : most) - 1) / (wanted < most ? wanted : most);
    const int parts = (keys + share - 1) / share, part = blockIdx.x;
    if (part >= parts)
        return;
    const int lanes = lanes_a_key(a.head_dim), lane = threadIdx.x;
    const int first = part * share, end = first + share < keys ? first + share : keys;
    softmax_sum s = {LOWEST, 0, {0, 0, 0, 0, 0, 0, 0, 0}};
    attend_keys(&a, head, first, end, &s);
    merge_block(&s, lanes, shared);
    const bool writes = lane < lanes && 8 * lane < a.head_dim;
    float *const parts_at = a.partial + (size_t)head * most * (a.head_dim + 2);
    if (parts > 1) {
        float *const mine = parts_at + (size_t)part * (a.head_dim + 2);
        if (writes) {
            for (int i = 0; i < 8; i++)
                mine[8 * lane + i] = s.v[i];
            if (lane == 0) {
                mine[a.head_dim] = s.top;
                mine[a.head_dim + 1] = s.weight;
            }
        }
        if (!comes_last(a.arrivals + head, (unsigned)parts, &last))
            return;
        s.top = LOWEST;
        s.weight = 0;
        for (int p = 0; p < parts && writes; p++) { /* in their order, whoever came last */
            const float *const theirs = parts_at + (size_t)p * (a.head_dim + 2);
            merge(&s, theirs[a.head_dim], theirs[a.head_dim + 1], theirs + 8 * lane);
        }
    }
    for (int i = 0; i < 8 && writes; i++)
        a.out[(size_t)head * a.head_dim + 8 * lane + i] = s.v[i] / s.weight;
}

#endif
