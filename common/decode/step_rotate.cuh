/* What a step does between its products: the token's row of the embedding, rotation and append. */
#ifndef PK_STEP_ROTATE_CUH
#define PK_STEP_ROTATE_CUH

#include "decode/pk_matvec.cuh"

typedef struct embed_args {
    pk_decode_at at;
    const uint16_t *embedding; /* [vocab][hidden] */
    float *x;                  /* [hidden] */
    int hidden, vocab;
} embed_args;

/* A thread has a component of x, and with it those `blocks` blocks on. */
static __device__ inline void embed_block(const embed_args *a, int block, int blocks)
{
    const int token = pk_at_token(&a->at);
    for (int i = block * (int)blockDim.x + (int)threadIdx.x; i < a->hidden; i += blocks * (int)blockDim.x)
        a->x[i] = token >= 0 && token < a->vocab ? pk_from_bf16(a->embedding[(size_t)token * a->hidden + i]) : 0;
}

typedef struct rotate_args {
    pk_decode_at at;
    float *qkv;                      /* [heads + 2 kv_heads][head_dim]: q and k are rotated in place */
    const uint16_t *q_norm, *k_norm; /* [head_dim], or NULL */
    const float *rope;
    uint16_t *k_cache, *v_cache;
    int heads, kv_heads, head_dim, capacity;
    int append; /* 1: k and v also go into the cache */
    float eps;
} rotate_args;

static __device__ inline void append_to_cache(const rotate_args *a, int kv_head, int i, int position, float k, float v)
{
    const size_t at = ((size_t)kv_head * a->capacity + position) * a->head_dim + i;
    a->k_cache[at] = pk_model_to_bf16(k);
    a->v_cache[at] = pk_model_to_bf16(v);
}

/* Head `head` of q, then of k. By a block's first warp; lanes take pairs in turn. */
static __device__ inline void rotate_block(const rotate_args *a, int head, int position)
{
    const int half = a->head_dim / 2;
    float *const x = a->qkv + (size_t)head * a->head_dim;
    const uint16_t *const gain = head < a->heads ? a->q_norm : a->k_norm;
    if (position >= a->capacity || threadIdx.x >= PK_LANES)
        return;
    float factor = 1;
    if (gain) {
        float sum = 0;
        for (int i = threadIdx.x; i < a->head_dim; i += PK_LANES)
            sum = fmaf(x[i], x[i], sum);
        factor = rsqrtf(pk_sum_lanes(sum) / (float)a->head_dim + a->eps);
    }
    for (int i = threadIdx.x; i < half; i += PK_LANES) {
        const float cosine = a->rope[((size_t)position * half + i) * 2],
                    sine = a->rope[((size_t)position * half + i) * 2 + 1];
        const float low = x[i] * factor * (gain ? pk_from_bf16(gain[i]) : 1);
        const float high = x[i + half] * factor * (gain ? pk_from_bf16(gain[i + half]) : 1);
        x[i] = fmaf(low, cosine, -(high * sine));
        x[i + half] = fmaf(high, cosine, low * sine);
        if (a->append && head >= a->heads) {
            const int kv_head = head - a->heads;
            const float *const v = a->qkv + (size_t)(a->heads + a->kv_heads + kv_head) * a->head_dim;
            append_to_cache(a, kv_head, i, position, x[i], v[i]);
            append_to_cache(a, kv_head, i + half, position, x[i + half], v[i + half]);
        }
    }
}

#endif
