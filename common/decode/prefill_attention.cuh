/* Attention of a prefill: each live row of a bucket over the keys up to its own position. Device functions, C style.
 *
 * Keys and values are bf16 and come from the cache, where those of the rows themselves have been appended; what was
 * there before position state->position takes part as well. Scores are in units of log2: q carries the factor
 * log2(e) / sqrt(head_dim). The sum over the keys is made block by block with a running maximum. Source: Milakov and
 * Gimelshein, "Online normalizer calculation for softmax", 2018; Dao, "FlashAttention-2", 2023.
 *
 * A row's result depends on its position and the keys alone, bit for bit: not on the bucket, and not on the other rows.
 * Keys that are not live may hold anything, NaN included: they are not read. */
#ifndef PK_PREFILL_ATTENTION_CUH
#define PK_PREFILL_ATTENTION_CUH

#include "pk_async.h"
#include "pk_gpu.h"

#include "decode/mma.cuh"
#include "decode/pk_decoder.h"
#include "decode/pk_matvec.cuh"

/* ---- which rows are live ---- */

typedef struct prefill_rows {
    const pk_decode_state *state;
    int rows, capacity; /* of the bucket; of the cache */
} prefill_rows;

/* The first so many: those of the prompt that have a row, and a place in the cache. */
static __device__ inline int prefill_live(const prefill_rows *r)
{
    const int room = r->capacity - r->state->position;
    const int prompt = r->state->prompt < r->rows ? r->state->prompt : r->rows;
    return prompt < room ? prompt : room > 0 ? room : 0;
}

typedef struct prefill_attend_args {
    prefill_rows rows;
    const float *qkv; /* [rows][qkv_columns]: q first, [heads][head_dim] */
    int qkv_columns;
    const uint16_t *k_cache, *v_cache; /* [kv_heads][capacity][head_dim] */
    uint16_t *out;                     /* bf16 [rows][heads][head_dim] */
    int heads, kv_heads, head_dim;
} prefill_attend_args;

#define ATTEND_LOWEST (-1e30f) /* a maximum of nothing: finite, so that 2^(LOWEST - LOWEST) is no NaN */

static __device__ inline float query_scale(int head_dim)
{
    return 1.4426950408889634f / sqrtf((float)head_dim); /* log2(e) / sqrt(head_dim) */
}

/* Where the keys, or values, of query head `head` begin. */
static __device__ inline const uint16_t *rows_of_head(const prefill_attend_args *a, const uint16_t *cache, int head)
{
    const size_t kv_head = (size_t)(head / (a->heads / a->kv_heads));
    return cache + kv_head * a->rows.capacity * a->head_dim;
}

static __device__ inline uint16_t *output_of(const prefill_attend_args *a, int row, int head)
{
    return a->out + ((size_t)row * a->heads + head) * a->head_dim;
}

/* ---- a thread a row ---- */

enum {
    ROW_THREADS = 64,
    ROW_KEYS = 8 /* between two looks at the maximum */
};

/* Eight components at a time; `bf16` is 16-byte aligned. */
static __device__ inline void add_products(float sums[8], const float x[8], const uint16_t *bf16)
{
    float y[8];
    pk_unpack_bf16(*(const uint4 *)bf16, y);
#pragma unroll
    for (int i = 0; i < 8; i++)
        sums[i] += x[i] * y[i];
}

static __device__ inline void add_scaled(float sums[8], float factor, const uint16_t *bf16)
{
    float y[8];
    pk_unpack_bf16(*(const uint4 *)bf16, y);
#pragma unroll
    for (int i = 0; i < 8; i++)
        sums[i] += factor * y[i];
}

/* Thread: a row of head blockIdx.y. MOST: head_dim, or more. All threads of a block read the same keys, so a read
 * serves them all. q and o are a thread's own, in registers as far as they fit: beyond 128 components they do not, and
 * loops stay loops. */
template <int MOST> static __global__ void __launch_bounds__(ROW_THREADS) attend_row(prefill_attend_args a)
{
    enum { chunks = MOST / 8, unroll = MOST <= 128 ? MOST / 8 : 1 };
    const int row = blockIdx.x * ROW_THREADS + threadIdx.x, head = blockIdx.y, components = a.head_dim;
    const bool live = row < prefill_live(&a.rows);
    if (row >= a.rows.rows)
        return;
    const int keys = live ? a.rows.state->position + row + 1 : 0;
    const uint16_t *const k_rows = rows_of_head(&a, a.k_cache, head), *const v_rows = rows_of_head(&a, a.v_cache, head);
    const float scale = query_scale(components);
    float q[chunks][8], o[chunks][8], top = ATTEND_LOWEST, weight = 0;
#pragma unroll unroll
    for (int c = 0; c < chunks; c++)
        for (int i = 0; i < 8; i++) {
            const int at = 8 * c + i;
            q[c][i] = at < components ? scale * a.qkv[(size_t)row * a.qkv_columns + head * components + at] : 0;
            o[c][i] = 0;
        }
    for (int first = 0; first < keys; first += ROW_KEYS) {
        float score[ROW_KEYS], highest = top;
#pragma unroll
        for (int j = 0; j < ROW_KEYS; j++) {
            float part[8] = {};
            const int key = first + j < keys ? first + j : keys - 1;
#pragma unroll unroll
            for (int c = 0; c < chunks; c++)
                if (8 * c < components)
                    add_products(part, q[c], k_rows + (size_t)key * components + 8 * c);
            score[j] = ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]));
            score[j] = first + j < keys ? score[j] : ATTEND_LOWEST;
            highest = fmaxf(highest, score[j]);
        }
        const float keep = exp2f(top - highest);
        top = highest;
        weight *= keep;
#pragma unroll unroll
        for (int c = 0; c < chunks; c++)
            for (int i = 0; i < 8; i++)
                o[c][i] *= keep;
#pragma unroll
        for (int j = 0; j < ROW_KEYS; j++) {
            const int key = first + j < keys ? first + j : keys - 1;
            const float share = first + j < keys ? exp2f(score[j] - top) : 0;
            weight += share;
#pragma unroll unroll
            for (int c = 0; c < chunks; c++)
                if (8 * c < components)
                    add_scaled(o[c], share, v_rows + (size_t)key * components + 8 * c);
        }
    }
    uint16_t *const out = output_of(&a, row, head);
#pragma unroll unroll
    for (int c = 0; c < chunks; c++)
        for (int i = 0; i < 8; i++)
            if (8 * c + i < components)
                out[8 * c + i] = live ? pk_model_to_bf16(o[c][i] / weight) : (uint16_t)0;
}

/* ---- a block a tile, by tensor cores ---- */

#if defined(PK_HAS_MMA)

enum { ATTEND_ROWS = 64, ATTEND_THREADS = 128 }; /* four warps of 16 rows each */

/* Keys of a tile: two stages of K and V stay within 48 KB, and a warp's scores within its registers. */
template <int D> struct attend_tile_of {
    enum { keys = D <= 64 ? 64 : 32, stride = D + 8 /* see pk_mma_load_a */ };
};

/* Ask for a tile's rows of K or V. Those beyond the last live key are copies of it: finite, and never counted. */
template <int D>
static __device__ inline void copy_keys(uint16_t *tile, const uint16_t *from, int first_key, int last_key)
{
    enum { chunks = D / 8, keys = attend_tile_of<D>::keys, stride = attend_tile_of<D>::stride };
    for (int i = threadIdx.x; i < keys * chunks; i += ATTEND_THREADS) {
        const int row = i / chunks, column = i % chunks * 8, key = first_key + row;
        pk_async_copy_16(tile + row * stride + column, from + (size_t)(key < last_key ? key : last_key) * D + column);
    }
}

/* What a lane holds of its warp's 16 rows: fragments of pk_mma, rows g and g + 8. Values that are no bf16 by nature, q
 * and the weights of the keys, are multiplied as the sum of two: products of fp32, but for 2^-17. */
template <int D> struct attend_rows_state {
    unsigned q[D / 16][4], q_rest[D / 16][4];
    float o[D / 8][4];
    float top[2], weight[2]; /* of rows g and g + 8; the weight is this lane's part of it */
};

template <int D>
static __device__ inline void load_queries(const prefill_attend_args *a, attend_rows_state<D> *s, int first_row,
                                           int live, int head)
{
    const int g = pk_mma_lane() / 4, t = pk_mma_lane() % 4;
    const float scale = query_scale(D);
#pragma unroll
    for (int e = 0; e < 4; e++) {
        const int row = first_row + g + e % 2 * 8;
        const float *const q = a->qkv + (size_t)row * a->qkv_columns + head * D + 2 * t + e / 2 * 8;
#pragma unroll
        for (int c = 0; c < D / 16; c++) {
            const float2 pair = row < live ? *(const float2 *)(q + 16 * c) : make_float2(0, 0);
            pk_mma_split(scale * pair.x, scale * pair.y, &s->q[c][e], &s->q_rest[c][e]);
        }
    }
}

/* The scores of a tile: fragments c of 16 rows and 8 keys each. */
template <int D>
static __device__ inline void score_tile(float score[][4], const attend_rows_state<D> *s, const uint16_t *k_tile)
{
    enum { keys = attend_tile_of<D>::keys, stride = attend_tile_of<D>::stride };
#pragma unroll
    for (int n = 0; n < keys / 8; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            score[n][e] = 0;
#pragma unroll
    for (int c = 0; c < D / 16; c++)
#pragma unroll
        for (int n = 0; n < keys / 16; n++) {
            unsigned k[4];
            pk_mma_load_b_columns(k, k_tile + 16 * n * stride + 16 * c, stride);
            pk_mma(score[2 * n], s->q[c], k);
            pk_mma(score[2 * n], s->q_rest[c], k);
            pk_mma(score[2 * n + 1], s->q[c], k + 2);
            pk_mma(score[2 * n + 1], s->q_rest[c], k + 2);
        }
}

/* The keys that come after a row count nothing: `ahead` is key 0's number in the tile less the position of row g. */
static __device__ inline void mask_tile(float score[][4], int fragments, int ahead)
{
    const int t = pk_mma_lane() % 4;
#pragma unroll
    for (int n = 0; n < fragments; n++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            if (ahead + 8 * n + 2 * t + e % 2 > e / 2 * 8)
                score[n][e] = ATTEND_LOWEST;
}

/* Scores become weights 2^(score - top), and what was summed so far is scaled to the new maximum. */
template <int D> static __device__ inline void weigh_tile(float score[][4], attend_rows_state<D> *s)
{
    enum { fragments = attend_tile_of<D>::keys / 8 };
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float top = s->top[r];
#pragma unroll
        for (int n = 0; n < fragments; n++)
            top = fmaxf(top, fmaxf(score[n][2 * r], score[n][2 * r + 1]));
        top = fmaxf(top, __shfl_xor_sync(PK_ALL_LANES, top, 1)); /* the row's other lanes */
        top = fmaxf(top, __shfl_xor_sync(PK_ALL_LANES, top, 2));
        const float keep = exp2f(s->top[r] - top);
        s->top[r] = top;
        s->weight[r] *= keep;
#pragma unroll
        for (int c = 0; c < D / 8; c++) {
            s->o[c][2 * r] *= keep;
            s->o[c][2 * r + 1] *= keep;
        }
#pragma unroll
        for (int n = 0; n < fragments; n++)
#pragma unroll
            for (int e = 2 * r; e < 2 * r + 2; e++) {
                score[n][e] = exp2f(score[n][e] - top);
                s->weight[r] += score[n][e];
            }
    }
}

/* o += weights * V. Two fragments c of weights are one fragment a. */
template <int D>
static __device__ inline void add_tile(float weight[][4], attend_rows_state<D> *s, const uint16_t *v_tile)
{
    enum { keys = attend_tile_of<D>::keys, stride = attend_tile_of<D>::stride };
#pragma unroll
    for (int n = 0; n < keys / 16; n++) {
        unsigned p[4], p_rest[4];
#pragma unroll
        for (int e = 0; e < 4; e++)
            pk_mma_split(weight[2 * n + e / 2][e % 2 * 2], weight[2 * n + e / 2][e % 2 * 2 + 1], &p[e], &p_rest[e]);
#pragma unroll
        for (int c = 0; c < D / 16; c++) {
            unsigned v[4];
            pk_mma_load_b_rows(v, v_tile + 16 * n * stride + 16 * c, stride);
            pk_mma(s->o[2 * c], p, v);
            pk_mma(s->o[2 * c], p_rest, v);
            pk_mma(s->o[2 * c + 1], p, v + 2);
            pk_mma(s->o[2 * c + 1], p_rest, v + 2);
        }
    }
}

template <int D>
static __device__ inline void store_rows(const prefill_attend_args *a, const attend_rows_state<D> *s, int first_row,
                                         int live, int head)
{
    const int g = pk_mma_lane() / 4, t = pk_mma_lane() % 4;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = first_row + g + 8 * r;
        float weight = s->weight[r];
        weight += __shfl_xor_sync(PK_ALL_LANES, weight, 1);
        weight += __shfl_xor_sync(PK_ALL_LANES, weight, 2);
        if (row < a->rows.rows) {
#pragma unroll
            for (int c = 0; c < D / 8; c++)
                *(unsigned *)(output_of(a, row, head) + 8 * c + 2 * t) =
                    row < live ? pk_mma_pack(s->o[c][2 * r] / weight, s->o[c][2 * r + 1] / weight) : 0u;
        }
    }
}

/* Block: 64 rows of head blockIdx.y, the last rows of the bucket first, since they have most keys. Each warp has 16
 * rows; tiles of keys go through shared memory, one ahead. */
template <int D> static __global__ void __launch_bounds__(ATTEND_THREADS) attend_tile(prefill_attend_args a)
{
    enum { keys = attend_tile_of<D>::keys, stride = attend_tile_of<D>::stride };
    __shared__ __align__(16) uint16_t k_tile[2][keys * stride], v_tile[2][keys * stride];
    const int live = prefill_live(&a.rows), position = a.rows.state->position, head = blockIdx.y;
    const int first_row = (int)(gridDim.x - 1 - blockIdx.x) * ATTEND_ROWS, warp_row = first_row + threadIdx.x / 32 * 16;
    const int end_row = first_row + ATTEND_ROWS < live ? first_row + ATTEND_ROWS : live;
    const int last_key = position + end_row - 1, tiles = first_row < live ? last_key / keys + 1 : 0;
    const uint16_t *const k_rows = rows_of_head(&a, a.k_cache, head), *const v_rows = rows_of_head(&a, a.v_cache, head);
    attend_rows_state<D> s = {};
    s.top[0] = s.top[1] = ATTEND_LOWEST;
    if (tiles > 0) {
        load_queries<D>(&a, &s, warp_row, live, head);
        copy_keys<D>(k_tile[0], k_rows, 0, last_key);
        copy_keys<D>(v_tile[0], v_rows, 0, last_key);
    }
    pk_async_commit();
    for (int i = 0; i < tiles; i++) {
        const int stage = i % 2, first_key = i * keys;
        if (i + 1 < tiles) {
            copy_keys<D>(k_tile[1 - stage], k_rows, first_key + keys, last_key);
            copy_keys<D>(v_tile[1 - stage], v_rows, first_key + keys, last_key);
        }
        pk_async_commit(); /* empty at the end, so that the wait below is always for this tile */
        pk_async_wait_prior<1>();
        __syncthreads(); /* this stage is there for all */
        if (first_key <= position + warp_row + 15) {
            float score[keys / 8][4];
            score_tile<D>(score, &s, k_tile[stage]);
            if (first_key + keys - 1 > position + warp_row)
                mask_tile(score, keys / 8, first_key - position - warp_row - pk_mma_lane() / 4);
            weigh_tile<D>(score, &s);
            add_tile<D>(score, &s, v_tile[stage]);
        }
        __syncthreads(); /* and read by all before it is copied into again */
    }
    store_rows<D>(&a, &s, warp_row, live, head);
}

#endif

/* ---- launch ---- */

static inline dim3 attend_grid(const prefill_attend_args *a, int rows)
{
    return dim3((unsigned)((a->rows.rows + rows - 1) / rows), (unsigned)a->heads);
}

static inline pk_status launch_attend_rows(const prefill_attend_args *a, cudaStream_t stream)
{
#if defined(PK_HAS_MMA)
    const dim3 tiles = attend_grid(a, ATTEND_ROWS);
    switch (a->head_dim) {
    case 16:
        PK_LAUNCH(attend_tile<16>, tiles, ATTEND_THREADS, 0, stream, *a);
        return PK_OK;
    case 32:
        PK_LAUNCH(attend_tile<32>, tiles, ATTEND_THREADS, 0, stream, *a);
        return PK_OK;
    case 64:
        PK_LAUNCH(attend_tile<64>, tiles, ATTEND_THREADS, 0, stream, *a);
        return PK_OK;
    case 128:
        PK_LAUNCH(attend_tile<128>, tiles, ATTEND_THREADS, 0, stream, *a);
        return PK_OK;
    }
#endif
    const dim3 grid = attend_grid(a, ROW_THREADS);
    if (a->head_dim <= 16)
        PK_LAUNCH(attend_row<16>, grid, ROW_THREADS, 0, stream, *a);
    else if (a->head_dim <= 64)
        PK_LAUNCH(attend_row<64>, grid, ROW_THREADS, 0, stream, *a);
    else if (a->head_dim <= 128)
        PK_LAUNCH(attend_row<128>, grid, ROW_THREADS, 0, stream, *a);
    else
        PK_LAUNCH(attend_row<256>, grid, ROW_THREADS, 0, stream, *a);
    return PK_OK;
}

#endif
