/* Lab 03: the attention of a segment, which all variants of the ladder share. Device functions, C style.
 *
 * Records. What a segment contributes is a record: for each of LAB03_HEADS heads the maximum m of its scores, the
 * denominator l = sum_i 2^(s_i - m) and the sum o[D] = sum_i 2^(s_i - m) v_i. In floats: o [HEADS][D], m [HEADS],
 * l [HEADS]. Scores are in units of log2: q carries the factor log2(e) / sqrt(D).
 *
 * Lanes. A row of D bf16 is read by D / 8 lanes, 16 bytes each; `lanes` of a warp form a group that works on rows of
 * its own. A lane holds its 8 components of q and of o for all heads. A chunk is 8 rows, `keys` for each group of the
 * warp. Source of the running maximum: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018. */
#ifndef LAB03_ATTENTION_CUH
#define LAB03_ATTENTION_CUH

#include <math.h>

#include "lab03_line.cuh"

enum {
    LAB03_WARP = 32,
    LAB03_CHUNK = 8, /* rows that a warp takes at once */
    LAB03_BATCH = 4  /* segments whose queries are prepared together */
};
#define LAB03_ALL_LANES 0xffffffffu
#define LAB03_LOWEST (-1e30f) /* a maximum of nothing: finite, so that 2^(LOWEST - LOWEST) is no NaN */
#define LAB03_SLACK 8.0f /* a maximum may be this much too low before sums are rescaled: 2^8 is far from overflow */

template <int D> struct lab03_lanes {
    enum {
        lanes = D == 64 ? 8 : 16, /* of a group; for D = 80, 10 of them hold components */
        groups = LAB03_WARP / lanes,
        keys = LAB03_CHUNK / groups, /* rows of a group in a chunk; keys * LAB03_HEADS == lanes */
        record = LAB03_HEADS * D + 2 * LAB03_HEADS
    };
};

/* ---- queries ---- */

/* Where the output of (sequence, head) at `step` begins. */
template <int D> static __device__ inline float *lab03_output(const lab03_view *v, int step, int sequence, int head)
{
    return v->out + (((size_t)step * v->batch + sequence) * v->heads + head) * D;
}

/* The head whose output the query of head first_head + i is made from. */
static __device__ inline int lab03_source_head(const lab03_view *v, const lab03_segment *s, int i)
{
    const int head = s->first_head + i + 1;
    return head < v->heads ? head : head - v->heads;
}

/* Components e to e + 3 of q [HEADS][D] of the segment's heads, e a multiple of 4. `source` [D] is the output that
 * their head's query is made from, not read at step 0. A head that the unit does not have gets zeroes. */
template <int D>
static __device__ inline float4 lab03_query(const lab03_view *v, int step, const lab03_segment *s, const float *source,
                                            int e)
{
    const float unit_of_scores = 1.4426950408889634f / sqrtf((float)D); /* log2(e) / sqrt(D) */
    if (e >= s->heads * D)
        return make_float4(0, 0, 0, 0);
    const size_t head = (size_t)step * v->batch + s->sequence;
    float4 q = *(const float4 *)(v->q_base + (head * v->heads + s->first_head) * D + e);
    if (step > 0) {
        const int4 from = *(const int4 *)(v->source + (size_t)s->first_head * D + e);
        q.x += LAB03_ALPHA * (from.x >= 0 ? source[from.x] : -source[~from.x]);
        q.y += LAB03_ALPHA * (from.y >= 0 ? source[from.y] : -source[~from.y]);
        q.z += LAB03_ALPHA * (from.z >= 0 ? source[from.z] : -source[~from.z]);
        q.w += LAB03_ALPHA * (from.w >= 0 ? source[from.w] : -source[~from.w]);
    }
    return make_float4(q.x * unit_of_scores, q.y * unit_of_scores, q.z * unit_of_scores, q.w * unit_of_scores);
}

/* q of a whole unit into `q` [HEADS][D], shared memory, where the outputs of the step before are in v->out. All threads
 * take part; a __syncthreads must follow. */
template <int D>
static __device__ inline void lab03_project_unit(const lab03_view *v, int step, const lab03_segment *s, float *q)
{
    for (int e = 4 * threadIdx.x; e < LAB03_HEADS * D; e += 4 * blockDim.x) {
        const float *source = NULL;
        if (step > 0)
            source = lab03_output<D>(v, step - 1, s->sequence, lab03_source_head(v, s, e / D));
        const float4 value = lab03_query<D>(v, step, s, source, e);
        *(float4 *)(q + e) = value;
    }
}

/* q of the next LAB03_BATCH segments of the share, or as many as there are, into `q` [BATCH][HEADS][D]; `sources`, the
 * outputs that they are made from, lie likewise. Both are shared memory. The block's first `threads` threads take
 * part, and must meet before and after. */
template <int D>
static __device__ inline void lab03_project_batch(const lab03_view *v, int step, const lab03_walk *walk, int block,
                                                  const float *sources, float *q, int threads)
{
    for (int i = threadIdx.x; i < LAB03_BATCH * D; i += threads) { /* LAB03_HEADS * D / 4 threads a segment */
        const int e = 4 * (i % D);
        const lab03_segment s = lab03_segment_after(v, step, walk, block, i / D);
        const float *const source = sources + i / D * LAB03_HEADS * D + e / D * D;
        const float4 value = lab03_query<D>(v, step, &s, source, e);
        *(float4 *)(q + 4 * i) = value;
    }
}

/* ---- one lane's part of the attention ---- */

template <int D> struct lab03_state {
    float q[LAB03_HEADS][8]; /* this lane's components; q[i] is of head i ^ own, so that lab03_fold needs no choice */
    float o[LAB03_HEADS][8]; /* the group's sum so far, of head i */
    float m, l; /* of head own = lane / keys: the group's maximum; the denominator's part of every keys-th row */
};

static __device__ inline int lab03_lane(void)
{
    return threadIdx.x % LAB03_WARP;
}

static __device__ inline void lab03_unpack(uint4 row, float x[8])
{
    const unsigned word[4] = {row.x, row.y, row.z, row.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[2 * i] = __uint_as_float(word[i] << 16);
        x[2 * i + 1] = __uint_as_float(word[i] & 0xffff0000u);
    }
}

/* Begin a segment: nothing summed yet. `q` [HEADS][D] is shared memory. */
template <int D> static __device__ inline void lab03_begin(lab03_state<D> *s, const float *q)
{
    const int lane = lab03_lane() % lab03_lanes<D>::lanes, own = lane / lab03_lanes<D>::keys;
#pragma unroll
    for (int i = 0; i < LAB03_HEADS; i++) {
        const float4 *const at = (const float4 *)(q + (i ^ own) * D + 8 * lane);
        const bool some = 8 * lane < D;
        const float4 low = some ? at[0] : make_float4(0, 0, 0, 0), high = some ? at[1] : make_float4(0, 0, 0, 0);
        const float x[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int d = 0; d < 8; d++) {
            s->q[i][d] = x[d];
            s->o[i][d] = 0;
        }
    }
    s->m = LAB03_LOWEST;
    s->l = 0;
}

/* Add up the scores of all heads and of KEYS keys over the lanes of a group: score[i * KEYS + j] is this lane's part
 * for head i ^ own and key j, and score[0] ends as the whole score of head own and key lane % KEYS. Called with N, how
 * many scores there are; each stage hands over the half of them that this lane will not own, so that there are lanes -
 * 1 shuffles instead of lanes * log2(lanes). */
template <int N, int KEYS> static __device__ inline void lab03_fold(float *score, int lane)
{
    if constexpr (N > 1) {
        const bool upper = N <= KEYS && (lane & (N / 2)) != 0; /* heads are in the right order already */
#pragma unroll
        for (int i = 0; i < N / 2; i++) {
            const float send = upper ? score[i] : score[i + N / 2];
            const float keep = upper ? score[i + N / 2] : score[i];
            score[i] = keep + __shfl_xor_sync(LAB03_ALL_LANES, send, N / 2);
        }
        lab03_fold<N / 2, KEYS>(score, lane);
    }
}

/* The weights 2^(score - m) of a chunk: k[j] is this lane's 16 bytes of row j * groups + group. Returns the one of head
 * own and key lane % keys. Only the chunk's first `rows` rows count; the others must hold finite numbers all the same.
 * All lanes of the warp take part. */
template <int D> static __device__ inline float lab03_weigh(lab03_state<D> *s, const uint4 *k, int rows)
{
    enum { lanes = lab03_lanes<D>::lanes, groups = lab03_lanes<D>::groups, keys = lab03_lanes<D>::keys };
    const int lane = lab03_lane() % lanes, group = lab03_lane() / lanes;
    float score[lanes];
#pragma unroll
    for (int j = 0; j < keys; j++) {
        float x[8];
        lab03_unpack(k[j], x);
#pragma unroll
        for (int i = 0; i < LAB03_HEADS; i++) {
            float sum = s->q[i][0] * x[0];
#pragma unroll
            for (int d = 1; d < 8; d++)
                sum += s->q[i][d] * x[d];
            score[i * keys + j] = sum;
        }
    }
    lab03_fold<lanes, keys>(score, lane);
    const float mine = lane % keys * groups + group < rows ? score[0] : -INFINITY;
    float top = mine;
#pragma unroll
    for (int bit = 1; bit < keys; bit *= 2)
        top = fmaxf(top, __shfl_xor_sync(LAB03_ALL_LANES, top, bit));
    if (__any_sync(LAB03_ALL_LANES, top > s->m + LAB03_SLACK)) {
        const float m = fmaxf(s->m, top), factor = exp2f(s->m - m);
        s->m = m;
        s->l *= factor;
#pragma unroll
        for (int h = 0; h < LAB03_HEADS; h++) {
            const float f = __shfl_sync(LAB03_ALL_LANES, factor, h * keys, lanes);
#pragma unroll
            for (int i = 0; i < 8; i++)
                s->o[h][i] *= f;
        }
    }
    const float p = exp2f(mine - s->m);
    s->l += p;
    return p;
}

/* Add the chunk's values, v[j] likewise, with the weights that lab03_weigh gave. */
template <int D> static __device__ inline void lab03_add(lab03_state<D> *s, const uint4 *v, float p)
{
    enum { lanes = lab03_lanes<D>::lanes, keys = lab03_lanes<D>::keys };
#pragma unroll
    for (int j = 0; j < keys; j++) {
        float x[8];
        lab03_unpack(v[j], x);
#pragma unroll
        for (int h = 0; h < LAB03_HEADS; h++) {
            const float ph = __shfl_sync(LAB03_ALL_LANES, p, h * keys + j, lanes);
#pragma unroll
            for (int i = 0; i < 8; i++)
                s->o[h][i] += ph * x[i];
        }
    }
}

/* This lane's 16 bytes of each of its rows of the chunk that begins at `rows_at` [8][D], in global or shared memory. */
template <int D> static __device__ inline void lab03_load_chunk(uint4 *to, const uint16_t *rows_at)
{
    enum { lanes = lab03_lanes<D>::lanes, groups = lab03_lanes<D>::groups };
    const int lane = lab03_lane() % lanes, group = lab03_lane() / lanes;
    const uint16_t *const at = rows_at + (group * D + 8 * lane);
#pragma unroll
    for (int j = 0; j < lab03_lanes<D>::keys; j++) {
        to[j] = make_uint4(0, 0, 0, 0);
        if (8 * lane < D)
            to[j] = *(const uint4 *)(at + j * groups * D);
    }
}

/* The same where the chunk has only `rows` rows: those beyond are read as the last one. Row rows - 1 is read
 * from `last` [D]. */
template <int D>
static __device__ inline void lab03_load_last_chunk(uint4 *to, const uint16_t *rows_at, int rows, const uint16_t *last)
{
    enum { lanes = lab03_lanes<D>::lanes, groups = lab03_lanes<D>::groups };
    const int lane = lab03_lane() % lanes, group = lab03_lane() / lanes;
#pragma unroll
    for (int j = 0; j < lab03_lanes<D>::keys; j++) {
        const int row = j * groups + group;
        to[j] = make_uint4(0, 0, 0, 0);
        if (8 * lane < D)
            to[j] = *(const uint4 *)((row < rows - 1 ? rows_at + row * D : last) + 8 * lane);
    }
}

/* ---- the block's record ---- */

/* The warp's groups become one: every group ends with the whole warp's m, l and o. l is then complete in each lane. */
template <int D> static __device__ inline void lab03_merge_groups(lab03_state<D> *s)
{
    enum { lanes = lab03_lanes<D>::lanes, keys = lab03_lanes<D>::keys };
#pragma unroll
    for (int bit = 1; bit < keys; bit *= 2)
        s->l += __shfl_xor_sync(LAB03_ALL_LANES, s->l, bit);
#pragma unroll
    for (int bit = lanes; bit < LAB03_WARP; bit *= 2) {
        const float m = fmaxf(s->m, __shfl_xor_sync(LAB03_ALL_LANES, s->m, bit)), factor = exp2f(s->m - m);
        s->m = m;
        s->l *= factor;
        s->l += __shfl_xor_sync(LAB03_ALL_LANES, s->l, bit);
#pragma unroll
        for (int h = 0; h < LAB03_HEADS; h++) {
            const float f = __shfl_sync(LAB03_ALL_LANES, factor, h * keys, lanes);
#pragma unroll
            for (int i = 0; i < 8; i++) {
                s->o[h][i] *= f;
                s->o[h][i] += __shfl_xor_sync(LAB03_ALL_LANES, s->o[h][i], bit);
            }
        }
    }
}

/* The warp's record into `record`, shared memory. */
template <int D> static __device__ inline void lab03_store_warp(lab03_state<D> *s, float *record)
{
    lab03_merge_groups<D>(s);
    const int lane = lab03_lane();
    if (8 * lane < D) {
#pragma unroll
        for (int h = 0; h < LAB03_HEADS; h++) {
            float4 *const to = (float4 *)(record + h * D + 8 * lane);
            to[0] = make_float4(s->o[h][0], s->o[h][1], s->o[h][2], s->o[h][3]);
            to[1] = make_float4(s->o[h][4], s->o[h][5], s->o[h][6], s->o[h][7]);
        }
    }
    if (lane < lab03_lanes<D>::lanes && lane % lab03_lanes<D>::keys == 0) {
        const int own = lane / lab03_lanes<D>::keys;
        record[LAB03_HEADS * D + own] = s->m;
        record[LAB03_HEADS * D + LAB03_HEADS + own] = s->l;
    }
}

/* Components e to e + 3 of o [HEADS][D] of `count` records that lie one behind the other, merged in ascending order,
 * and that head's m and l. */
template <int D>
static __device__ inline float4 lab03_merge_records(const float *records, int count, int e, float *m, float *l)
{
    enum { record = lab03_lanes<D>::record };
    const float *const maxima = records + LAB03_HEADS * D + e / D, *const sums = maxima + LAB03_HEADS;
    float top = LAB03_LOWEST, denominator = 0;
    float4 o = make_float4(0, 0, 0, 0);
    for (int i = 0; i < count; i++)
        top = fmaxf(top, maxima[i * record]);
    for (int i = 0; i < count; i++) {
        const float factor = exp2f(maxima[i * record] - top);
        const float4 part = *(const float4 *)(records + i * record + e);
        denominator += factor * sums[i * record];
        o.x += factor * part.x;
        o.y += factor * part.y;
        o.z += factor * part.z;
        o.w += factor * part.w;
    }
    *m = top;
    *l = denominator;
    return o;
}

/* The record of a block's segment from those of its first `warp_count` warps in shared memory. The block's first
 * `threads` threads take part, and must have met before. */
template <int D>
static __device__ inline void lab03_write_record(const float *warps, int warp_count, float *record, int threads)
{
    for (int e = 4 * threadIdx.x; e < LAB03_HEADS * D; e += 4 * threads) {
        float m, l;
        *(float4 *)(record + e) = lab03_merge_records<D>(warps, warp_count, e, &m, &l);
        if (e % D == 0) {
            record[LAB03_HEADS * D + e / D] = m;
            record[LAB03_HEADS * D + LAB03_HEADS + e / D] = l;
        }
    }
}

/* The output of a whole unit from its warps' records in shared memory. A __syncthreads comes before. */
template <int D>
static __device__ inline void lab03_write_unit(const lab03_view *v, int step, const lab03_segment *s,
                                               const float *warps, int warp_count)
{
    float *const out = lab03_output<D>(v, step, s->sequence, s->first_head);
    for (int e = 4 * threadIdx.x; e < s->heads * D; e += 4 * blockDim.x) {
        float m, l;
        const float4 o = lab03_merge_records<D>(warps, warp_count, e, &m, &l);
        *(float4 *)(out + e) = make_float4(o.x / l, o.y / l, o.z / l, o.w / l);
    }
}

/* ---- a segment, its rows straight from memory ---- */

/* Where a segment's rows begin in the cache, and its sequence's new row. */
template <int D> static __device__ inline size_t lab03_row_offset(const lab03_view *v, const lab03_segment *s, int key)
{
    return (((size_t)s->sequence * v->kv_heads + s->kv_head) * v->capacity + key) * D;
}

template <int D> static __device__ inline size_t lab03_new_offset(const lab03_view *v, const lab03_segment *s, int step)
{
    return (((size_t)step * v->batch + s->sequence) * v->kv_heads + s->kv_head) * D;
}

/* Does this segment's block append the step's row? One block does: the one that has the last key of the pair's first
 * unit. */
static __device__ inline bool lab03_appends(const lab03_view *v, const lab03_segment *s)
{
    return s->end_key == s->keys && s->first_head == s->kv_head * v->ratio;
}

/* The new row into the cache, for the steps to come; this step reads it where it came from. */
template <int D> static __device__ inline void lab03_append(const lab03_view *v, const lab03_segment *s, int step)
{
    const size_t to = lab03_row_offset<D>(v, s, s->keys - 1), from = lab03_new_offset<D>(v, s, step);
    for (int i = threadIdx.x; i < D / 8; i += blockDim.x) {
        ((uint4 *)(v->k_cache + to))[i] = ((const uint4 *)(v->k_new + from))[i];
        ((uint4 *)(v->v_cache + to))[i] = ((const uint4 *)(v->v_new + from))[i];
    }
}

/* How many of `warps` warps have a chunk of the segment; these are the first. */
static __device__ inline int lab03_segment_warps(const lab03_segment *s, int warps)
{
    const int chunks = (s->end_key - s->first_key + LAB03_CHUNK - 1) / LAB03_CHUNK;
    return chunks < warps ? chunks : warps;
}

/* Attention of `q` [HEADS][D], shared memory, over the segment; the records of lab03_segment_warps go to `warps` in
 * shared memory, and a __syncthreads must follow. Chunks are dealt to the warps in turn. */
template <int D>
static __device__ inline void lab03_attend(const lab03_view *v, int step, const lab03_segment *s, const float *q,
                                           float *warps)
{
    const int warp = threadIdx.x / LAB03_WARP, warp_count = blockDim.x / LAB03_WARP;
    const size_t new_row = lab03_new_offset<D>(v, s, step);
    const int cached = s->end_key < s->keys ? s->end_key : s->keys - 1; /* rows up to here are in the cache */
    if (lab03_appends(v, s))
        lab03_append<D>(v, s, step);
    if (warp >= lab03_segment_warps(s, warp_count))
        return;
    lab03_state<D> state;
    lab03_begin<D>(&state, q);
    int key = s->first_key + warp * LAB03_CHUNK;
    const uint16_t *k_at = v->k_cache + lab03_row_offset<D>(v, s, key);
    const uint16_t *v_at = v->v_cache + lab03_row_offset<D>(v, s, key);
    uint4 k[lab03_lanes<D>::keys], x[lab03_lanes<D>::keys];
    for (; key + LAB03_CHUNK <= cached; key += warp_count * LAB03_CHUNK) {
        lab03_load_chunk<D>(k, k_at);
        lab03_load_chunk<D>(x, v_at);
        lab03_add<D>(&state, x, lab03_weigh<D>(&state, k, LAB03_CHUNK));
        k_at += warp_count * LAB03_CHUNK * D;
        v_at += warp_count * LAB03_CHUNK * D;
    }
    if (key < s->end_key) { /* only where the segment ends its sequence: tiles are whole chunks */
        lab03_load_last_chunk<D>(k, k_at, s->end_key - key, v->k_new + new_row);
        lab03_load_last_chunk<D>(x, v_at, s->end_key - key, v->v_new + new_row);
        lab03_add<D>(&state, x, lab03_weigh<D>(&state, k, s->end_key - key));
    }
    lab03_store_warp<D>(&state, warps + warp * lab03_lanes<D>::record);
}

#endif
