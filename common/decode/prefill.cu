/* Prefill: a prompt's tokens as the rows of a batch, kernel by kernel, and the choice of the first token.
 *
 * The grids are a bucket's; how many of its rows are live, the state says on the device, so a captured prefill serves
 * every prompt that fits. Rows beyond are padding: their x begins as zero, attention gives zero, nothing is added to
 * zero, and no kernel writes a key or a value for them; so they stay zero to the end.
 *
 * Projections (pk_gemm.h) take bf16: what feeds one is rounded on its way into decoder->rounded. Each other kernel has
 * one argument, a struct. */
#include <string.h>

#include "pk_gpu.h"

#include "decode/decode_internal.h"
#include "decode/pk_gemm.h"
#include "decode/pk_matvec.cuh"
#include "decode/prefill_attention.cuh"

/* ---- embedding, norm, activation ---- */

typedef struct prefill_embed_args {
    prefill_rows rows;
    const int *prompt;         /* [rows] */
    const uint16_t *embedding; /* [vocab][hidden] */
    float *x;                  /* [rows][hidden] */
    int hidden;
} prefill_embed_args;

/* Block: a row. */
static __global__ void embed_rows(prefill_embed_args a)
{
    const int row = blockIdx.x;
    const bool live = row < prefill_live(&a.rows);
    const uint16_t *const from = a.embedding + (size_t)(live ? a.prompt[row] : 0) * a.hidden;
    for (int i = threadIdx.x; i < a.hidden; i += blockDim.x)
        a.x[(size_t)row * a.hidden + i] = live ? pk_from_bf16(from[i]) : 0;
}

typedef struct prefill_norm_args {
    const float *x;       /* [rows][hidden] */
    const uint16_t *gain; /* [hidden] */
    uint16_t *y;          /* [rows][hidden] */
    int rows, hidden;
    float eps;
} prefill_norm_args;

/* What unit of 32 threads this is in the grid: each has one thing to do, and shuffles stay inside. */
static __device__ inline int warp_in_grid(void)
{
    return (int)(blockIdx.x * (blockDim.x / PK_LANES) + threadIdx.x / PK_LANES);
}

/* Warp: a row. */
static __global__ void norm_rows(prefill_norm_args a)
{
    const int row = warp_in_grid(), lane = threadIdx.x % PK_LANES;
    if (row >= a.rows)
        return;
    const float *const x = a.x + (size_t)row * a.hidden;
    float sum = 0;
    for (int i = lane; i < a.hidden; i += PK_LANES)
        sum += x[i] * x[i];
    const float factor = rsqrtf(pk_sum_lanes(sum) / (float)a.hidden + a.eps);
    for (int i = lane; i < a.hidden; i += PK_LANES)
        a.y[(size_t)row * a.hidden + i] = pk_model_to_bf16(factor * (x[i] * pk_from_bf16(a.gain[i])));
}

typedef struct prefill_gate_args {
    const float *gate_up; /* [rows][2][ffn] */
    uint16_t *y;          /* [rows][ffn] */
    int rows, ffn;
    pk_activation activation;
} prefill_gate_args;

/* Thread: four components of a row; ffn is a multiple of 8. */
static __global__ void activate_rows(prefill_gate_args a)
{
    const size_t i = ((size_t)blockIdx.x * blockDim.x + threadIdx.x) * 4;
    const size_t row = i / a.ffn, column = i % a.ffn;
    if (row >= (size_t)a.rows)
        return;
    const float4 gate = *(const float4 *)(a.gate_up + row * 2 * a.ffn + column);
    const float4 up = *(const float4 *)(a.gate_up + (row * 2 + 1) * a.ffn + column);
    ushort4 y;
    y.x = pk_model_to_bf16(pk_activate(a.activation, gate.x) * up.x);
    y.y = pk_model_to_bf16(pk_activate(a.activation, gate.y) * up.y);
    y.z = pk_model_to_bf16(pk_activate(a.activation, gate.z) * up.z);
    y.w = pk_model_to_bf16(pk_activate(a.activation, gate.w) * up.w);
    *(ushort4 *)(a.y + i) = y;
}

/* ---- bias, rotation, append ---- */

typedef struct prefill_append_args {
    prefill_rows rows;
    float *qkv;                      /* [rows][heads + 2 kv_heads][head_dim]: q is changed in place */
    const uint16_t *bias;            /* [heads + 2 kv_heads][head_dim], or NULL */
    const uint16_t *q_norm, *k_norm; /* [head_dim], or NULL */
    const float *rope;               /* [capacity][head_dim / 2][2] */
    uint16_t *k_cache, *v_cache;     /* [kv_heads][capacity][head_dim] */
    int heads, kv_heads, head_dim;
    float eps;
} prefill_append_args;

/* One over the root mean square of a head with its bias; in every lane. */
static __device__ inline float head_factor(const prefill_append_args *a, const float *x, const uint16_t *bias, int lane)
{
    float sum = 0;
    for (int i = lane; i < a->head_dim; i += PK_LANES) {
        const float value = x[i] + (bias ? pk_from_bf16(bias[i]) : 0);
        sum += value * value;
    }
    return rsqrtf(pk_sum_lanes(sum) / (float)a->head_dim + a->eps);
}

/* Warp: a head of q, k or v of a row; lanes take its pairs (i, i + head_dim / 2) in turn. */
static __global__ void append_rows(prefill_append_args a)
{
    const int slots = a.heads + 2 * a.kv_heads, unit = warp_in_grid(), lane = threadIdx.x % PK_LANES;
    const int row = unit / slots, slot = unit % slots, half = a.head_dim / 2;
    if (row >= prefill_live(&a.rows))
        return;
    const bool is_query = slot < a.heads, is_value = slot >= a.heads + a.kv_heads;
    const int position = a.rows.state->position + row;
    float *const x = a.qkv + (size_t)unit * a.head_dim;
    const uint16_t *const bias = a.bias ? a.bias + (size_t)slot * a.head_dim : NULL;
    const uint16_t *const gain = is_value ? NULL : is_query ? a.q_norm : a.k_norm;
    const float factor = gain ? head_factor(&a, x, bias, lane) : 1;
    const int kv_head = slot - a.heads - (is_value ? a.kv_heads : 0);
    uint16_t *const cached = (is_value ? a.v_cache : a.k_cache) +
                             ((size_t)(is_query ? 0 : kv_head) * a.rows.capacity + position) * a.head_dim;
    for (int i = lane; i < half; i += PK_LANES) {
        float low = x[i] + (bias ? pk_from_bf16(bias[i]) : 0);
        float high = x[i + half] + (bias ? pk_from_bf16(bias[i + half]) : 0);
        if (gain) {
            low *= factor * pk_from_bf16(gain[i]);
            high *= factor * pk_from_bf16(gain[i + half]);
        }
        if (!is_value) {
            const float *const turn = a.rope + ((size_t)position * half + i) * 2;
            const float turned = low * turn[0] - high * turn[1];
            high = high * turn[0] + low * turn[1];
            low = turned;
        }
        if (is_query) {
            x[i] = low;
            x[i + half] = high;
        } else {
            cached[i] = pk_model_to_bf16(low);
            cached[i + half] = pk_model_to_bf16(high);
        }
    }
}

/* ---- the end ---- */

typedef struct prefill_end_args {
    pk_decode_state *state;
    const float *x; /* [rows][hidden] */
    float *last;    /* [hidden]: the last live row */
    int rows, hidden;
} prefill_end_args;

/* One block. Leaves the state as a step of decode finds it whose token is the prompt's last. */
static __global__ void end_rows(prefill_end_args a)
{
    const int prompt = a.state->prompt < a.rows ? a.state->prompt : a.rows, last = prompt > 0 ? prompt - 1 : 0;
    for (int i = threadIdx.x; i < a.hidden; i += blockDim.x)
        a.last[i] = a.x[(size_t)last * a.hidden + i];
    if (threadIdx.x == 0) {
        if (prompt < a.state->prompt)
            a.state->fault = PK_FAULT_BUCKET;
        a.state->position += last;
    }
}

/* ---- launches ---- */

static prefill_rows bucket(const pk_decoder *d, int rows)
{
    const prefill_rows r = {d->state, rows, d->shape.capacity};
    return r;
}

static unsigned blocks_for(size_t count, int threads)
{
    return (unsigned)((count + (size_t)threads - 1) / (size_t)threads);
}

static int qkv_columns(const pk_model_config *c)
{
    return (c->heads + 2 * c->kv_heads) * c->head_dim;
}

static pk_status launch_norm(const pk_decoder *d, const uint16_t *gain, int rows, void *stream)
{
    const prefill_norm_args a = {d->x, gain, d->rounded, rows, d->config.hidden, (float)d->config.rms_eps};
    PK_LAUNCH(norm_rows, blocks_for((size_t)rows * PK_LANES, d->threads), (unsigned)d->threads, 0, (cudaStream_t)stream,
              a);
    return PK_OK;
}

static pk_status launch_append(const pk_decoder *d, const pk_device_layer *l, int rows, void *stream)
{
    const pk_model_config *const c = &d->config;
    const prefill_append_args a = {bucket(d, rows), d->qkv,      l->qkv_bias, l->q_norm,
                                   l->k_norm,       d->rope,     l->k_cache,  l->v_cache,
                                   c->heads,        c->kv_heads, c->head_dim, (float)c->rms_eps};
    const size_t warps = (size_t)rows * (size_t)(c->heads + 2 * c->kv_heads);
    PK_LAUNCH(append_rows, blocks_for(warps * PK_LANES, d->threads), (unsigned)d->threads, 0, (cudaStream_t)stream, a);
    return PK_OK;
}

static pk_status launch_activate(const pk_decoder *d, int rows, void *stream)
{
    const prefill_gate_args a = {d->gate_up, d->rounded, rows, d->config.ffn, d->config.activation};
    PK_LAUNCH(activate_rows, blocks_for((size_t)rows * (size_t)a.ffn / 4, d->threads), (unsigned)d->threads, 0,
              (cudaStream_t)stream, a);
    return PK_OK;
}

pk_status pk_prefill_attend(const pk_decoder *d, const pk_device_layer *l, int rows, void *stream)
{
    const pk_model_config *const c = &d->config;
    const prefill_attend_args a = {bucket(d, rows), d->qkv,   qkv_columns(c), l->k_cache, l->v_cache,
                                   d->rounded,      c->heads, c->kv_heads,    c->head_dim};
    return launch_attend_rows(&a, (cudaStream_t)stream);
}

static pk_status launch_layer(const pk_decoder *d, const pk_device_layer *l, int rows, pk_gemm *gemm, void *stream)
{
    const pk_model_config *const c = &d->config;
    PK_TRY(launch_norm(d, l->attn_norm, rows, stream));
    PK_TRY(pk_gemm_run(gemm, d->rounded, l->qkv, d->qkv, rows, qkv_columns(c), c->hidden, 0, stream));
    PK_TRY(launch_append(d, l, rows, stream));
    PK_TRY(pk_prefill_attend(d, l, rows, stream));
    PK_TRY(pk_gemm_run(gemm, d->rounded, l->o, d->x, rows, c->hidden, c->heads * c->head_dim, 1, stream));
    PK_TRY(launch_norm(d, l->ffn_norm, rows, stream));
    PK_TRY(pk_gemm_run(gemm, d->rounded, l->gate_up, d->gate_up, rows, 2 * c->ffn, c->hidden, 0, stream));
    PK_TRY(launch_activate(d, rows, stream));
    return pk_gemm_run(gemm, d->rounded, l->down, d->x, rows, c->hidden, c->ffn, 1, stream);
}
enum { LAYER_LAUNCHES = 9 };

static pk_status check_rows(const pk_decoder *d, int rows)
{
    PK_TRY(pk_decode_reads(d));
    if (rows < 1 || rows > d->shape.most_rows)
        return pk_fail(PK_USAGE, "prefill: a bucket of %d rows, and the decoder has room for 1 to %d", rows,
                       d->shape.most_rows);
    return PK_OK;
}

pk_status pk_prefill_plan(const pk_decoder *d, int rows, pk_gemm *gemm)
{
    const pk_model_config *const c = &d->config;
    PK_TRY(check_rows(d, rows));
    PK_TRY(pk_gemm_plan(gemm, rows, qkv_columns(c), c->hidden));
    PK_TRY(pk_gemm_plan(gemm, rows, c->hidden, c->heads * c->head_dim));
    PK_TRY(pk_gemm_plan(gemm, rows, 2 * c->ffn, c->hidden));
    return pk_gemm_plan(gemm, rows, c->hidden, c->ffn);
}

pk_status pk_prefill(const pk_decoder *d, int rows, pk_gemm *gemm, void *stream)
{
    const pk_decode_at at = {d->state, -1, -1, -1};
    PK_TRY(check_rows(d, rows));
    const prefill_embed_args e = {bucket(d, rows), d->prompt, d->embedding, d->x, d->config.hidden};
    PK_LAUNCH(embed_rows, (unsigned)rows, (unsigned)d->threads, 0, (cudaStream_t)stream, e);
    for (int i = 0; i < d->config.layers; i++)
        PK_TRY(launch_layer(d, &d->layer[i], rows, gemm, stream));
    const prefill_end_args end = {d->state, d->x, d->branch, rows, d->config.hidden};
    PK_LAUNCH(end_rows, 1, (unsigned)d->threads, 0, (cudaStream_t)stream, end);
    return pk_decode_logits_and_choose(d, d->branch, at, &pk_decode_naive, stream);
}

int pk_prefill_launches(const pk_decoder *d)
{
    return 2 + d->config.layers * LAYER_LAUNCHES + pk_decode_logits_and_choose_launches(&pk_decode_naive);
}
