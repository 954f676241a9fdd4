/* One projection at batch 1: y = W x, W bf16 and read once, so it is bound by memory. Device functions, C style.
 *
 * Rows go in pairs, `warps` warps to a pair: a rotation needs rows i and i + head_dim / 2 together, a gated activation
 * rows i and i + ffn, and two rows share each read of x. Block b of B takes pairs b, b + B, b + 2 B ..., one to each of
 * its groups of warps in turn, so that all blocks have the same number of pairs to within one. A lane reads 16 bytes of
 * a row at a time, and asks for PK_MATVEC_AHEAD of them from both rows before it uses the first.
 *
 * x lies in shared memory, as it came or multiplied by the norm's weights; the norm's factor 1 / rms is one number for
 * all of x, so it multiplies the sums instead, and no barrier stands between the norm and the rows.
 *
 * What a kernel does with these, and where it may wait for the kernel ahead (pk_step.cu has the plain form):
 *     pk_matvec_ask      asks for the first chunks of weights: nothing that the kernel ahead writes
 *     pk_matvec_finish   all the rest: reads x */
#ifndef PK_MATVEC_CUH
#define PK_MATVEC_CUH

#include "pk_gpu.h"

#include "decode/pk_decoder.h"
#include "decode/pk_model_random.h"

#define PK_ALL_LANES 0xffffffffu
enum {
    PK_LANES = 32,         /* that work together, whatever the hardware's warp */
    PK_MATVEC_AHEAD = 4,   /* chunks of each of two rows: 128 bytes a lane, 64 KB a block of 512 threads, about twice
                              what a processor of an H100 needs under way to read at full speed */
    PK_MOST_THREADS = 512, /* of a block: two blocks of 64 registers a thread fill a processor's registers, so that
                              the kernel behind fits beside this one */
    PK_MOST_WARPS = PK_MOST_THREADS / PK_LANES
};

static __device__ inline void pk_unpack_bf16(uint4 chunk, float x[8])
{
    const unsigned word[4] = {chunk.x, chunk.y, chunk.z, chunk.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[2 * i] = __uint_as_float(word[i] << 16);
        x[2 * i + 1] = __uint_as_float(word[i] & 0xffff0000u);
    }
}

static __device__ inline float pk_from_bf16(uint16_t bits)
{
    return __uint_as_float((unsigned)bits << 16);
}

/* The sum over 32 lanes, in each of them. */
static __device__ inline float pk_sum_lanes(float value)
{
#pragma unroll
    for (int bit = PK_LANES / 2; bit > 0; bit /= 2)
        value += __shfl_xor_sync(PK_ALL_LANES, value, bit);
    return value;
}

/* Position, token and step of a kernel: by value or from the state. */
static __device__ inline int pk_at_position(const pk_decode_at *at)
{
    return at->position >= 0 ? at->position : at->state->position;
}
static __device__ inline int pk_at_token(const pk_decode_at *at)
{
    return at->token >= 0 ? at->token : at->state->token;
}
static __device__ inline int pk_at_step(const pk_decode_at *at)
{
    return at->step >= 0 ? at->step : at->state->step;
}

/* ---- which rows ---- */

typedef struct pk_matvec_rows {
    int first, second; /* rows of W; second == rows: there is no such row, in a matrix of an odd number of them */
} pk_matvec_rows;

static __device__ inline pk_matvec_rows pk_matvec_pair(const pk_matvec *m, int pair)
{
    pk_matvec_rows r = {2 * pair, 2 * pair + 1};
    if (m->kind == PK_PROJECT_GATED) {
        r.first = pair;
        r.second = m->rows / 2 + pair;
    } else if (m->kind == PK_PROJECT_QKV) {
        const int half = m->head_dim / 2;
        r.first = pair / half * m->head_dim + pair % half;
        r.second = r.first + half;
    }
    return r;
}

static __device__ inline int pk_matvec_pairs(const pk_matvec *m)
{
    return (m->rows + 1) / 2;
}

/* The pair of this thread's group in round `round`; no smaller than the number of pairs: none. */
static __device__ inline int pk_matvec_pair_of(const pk_matvec *m, int round)
{
    const int threads = m->warps * PK_LANES, groups = blockDim.x / threads;
    return blockIdx.x + gridDim.x * (round * groups + threadIdx.x / threads);
}

/* ---- weights ---- */

typedef struct pk_matvec_chunks { /* under way, or here */
    uint4 first[PK_MATVEC_AHEAD], second[PK_MATVEC_AHEAD];
} pk_matvec_chunks;

/* Weights are read once and by one block: past the L1 cache's space for x, and first out of the L2. */
static __device__ inline uint4 pk_load_once(const uint16_t *from)
{
#if defined(__CUDA_ARCH__)
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(from));
    return v;
#else
    return *(const uint4 *)from;
#endif
}

/* Ask for this lane's chunks from number `chunk` on, of both rows of the pair. */
static __device__ inline void pk_matvec_ask_chunks(const pk_matvec *m, int pair, int chunk, pk_matvec_chunks *c)
{
    const int chunks = m->columns / 8, stride = m->warps * PK_LANES;
    const bool there = pair < pk_matvec_pairs(m);
    const pk_matvec_rows r = pk_matvec_pair(m, there ? pair : 0);
    const uint16_t *const first = m->weight + (size_t)r.first * m->columns;
    const uint16_t *const second = m->weight + (size_t)(r.second < m->rows ? r.second : r.first) * m->columns;
#pragma unroll
    for (int i = 0; i < PK_MATVEC_AHEAD; i++) {
        const int at = chunk + i * stride;
        c->first[i] = c->second[i] = make_uint4(0, 0, 0, 0);
        if (there && at < chunks) {
            c->first[i] = pk_load_once(first + 8 * (size_t)at);
            c->second[i] = pk_load_once(second + 8 * (size_t)at);
        }
    }
}

static __device__ inline void pk_matvec_ask(const pk_matvec *m, pk_matvec_chunks *c)
{
    pk_matvec_ask_chunks(m, pk_matvec_pair_of(m, 0), threadIdx.x % (m->warps * PK_LANES), c);
}

/* ---- x ---- */

/* Bytes of dynamic shared memory: x, as two arrays of float4 so that lanes side by side read words side by side; a sum
 * of squares for each warp; two sums for each warp. */
static inline __host__ __device__ size_t pk_matvec_shared_bytes(int columns)
{
    return (size_t)columns * sizeof(float) + 3 * PK_MOST_WARPS * sizeof(float);
}

/* Bring x in; returns what the sums are to be multiplied by. All threads of the block. */
static __device__ inline float pk_matvec_stage(const pk_matvec *m, float4 *low, float4 *high, float *squares)
{
    const int chunks = m->columns / 8;
    float sum = 0;
    for (int c = threadIdx.x; c < chunks; c += blockDim.x) {
        float4 a = ((const float4 *)m->x)[2 * c], b = ((const float4 *)m->x)[2 * c + 1];
        if (m->norm) {
            float g[8];
            pk_unpack_bf16(((const uint4 *)m->norm)[c], g);
            sum += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w + b.x * b.x + b.y * b.y + b.z * b.z + b.w * b.w;
            a = make_float4(a.x * g[0], a.y * g[1], a.z * g[2], a.w * g[3]);
            b = make_float4(b.x * g[4], b.y * g[5], b.z * g[6], b.w * g[7]);
        }
        low[c] = a;
        high[c] = b;
    }
    if (m->norm) {
        sum = pk_sum_lanes(sum);
        if (threadIdx.x % PK_LANES == 0)
            squares[threadIdx.x / PK_LANES] = sum;
    }
    __syncthreads();
    if (!m->norm)
        return 1;
    sum = 0;
    for (int w = 0; w < (int)blockDim.x / PK_LANES; w++)
        sum += squares[w];
    return rsqrtf(sum / (float)m->columns + m->norm_eps);
}

static __device__ inline float pk_dot_chunk(uint4 weights, float4 a, float4 b, float sum)
{
    float w[8];
    pk_unpack_bf16(weights, w);
    sum += w[0] * a.x, sum += w[1] * a.y, sum += w[2] * a.z, sum += w[3] * a.w;
    sum += w[4] * b.x, sum += w[5] * b.y, sum += w[6] * b.z, sum += w[7] * b.w;
    return sum;
}

/* ---- what becomes of two sums ---- */

static __device__ inline float pk_activate(pk_activation activation, float x)
{
    if (activation == PK_ACTIVATION_SILU)
        return x / (1 + expf(-x));
    const float inner = 0.7978845608028654f * (x + 0.044715f * x * x * x); /* sqrt(2 / pi) */
    return 0.5f * x * (1 + tanhf(inner));
}

static __device__ inline void pk_matvec_rotate_and_put(const pk_matvec *m, pk_matvec_rows r, float a, float b)
{
    const int head = r.first / m->head_dim, i = r.first % m->head_dim, half = m->head_dim / 2;
    const int position = pk_at_position(&m->at);
    if (position >= m->capacity)
        return; /* the cache is full: the choice of the next token says so */
    if (head < m->heads + m->kv_heads) {
        const float *const turn = m->rope + ((size_t)position * half + i) * 2;
        const float cosine = turn[0], sine = turn[1], x = a;
        a = x * cosine - b * sine;
        b = b * cosine + x * sine;
    }
    if (head < m->heads) {
        m->y[r.first] = a;
        m->y[r.second] = b;
        return;
    }
    const bool is_key = head < m->heads + m->kv_heads;
    const int kv_head = head - m->heads - (is_key ? 0 : m->kv_heads);
    uint16_t *const row =
        (is_key ? m->k_cache : m->v_cache) + ((size_t)kv_head * m->capacity + position) * m->head_dim + i;
    row[0] = pk_model_to_bf16(a);
    row[half] = pk_model_to_bf16(b);
}

static __device__ inline void pk_matvec_put(const pk_matvec *m, int pair, float a, float b)
{
    const pk_matvec_rows r = pk_matvec_pair(m, pair);
    const bool two = r.second < m->rows;
    if (m->bias) {
        a += pk_from_bf16(m->bias[r.first]);
        b += two ? pk_from_bf16(m->bias[r.second]) : 0;
    }
    if (m->kind == PK_PROJECT_QKV) {
        pk_matvec_rotate_and_put(m, r, a, b);
        return;
    }
    if (m->kind == PK_PROJECT_GATED) {
        m->y[r.first] = pk_activate(m->activation, a) * b;
        return;
    }
    float *const y = m->y_rows > 0 ? m->y + (size_t)(pk_at_step(&m->at) % m->y_rows) * m->rows : m->y;
    y[r.first] = m->kind == PK_PROJECT_RESIDUAL ? m->residual[r.first] + a : a;
    if (two)
        y[r.second] = m->kind == PK_PROJECT_RESIDUAL ? m->residual[r.second] + b : b;
}

/* ---- all of it ---- */

/* `c` is what pk_matvec_ask asked for. All threads of the block; nothing of the kernel ahead is read before this. */
static __device__ inline void pk_matvec_finish(const pk_matvec *m, pk_matvec_chunks *c)
{
    PK_DYNAMIC_SHARED(float4, shared);
    const int chunks = m->columns / 8, stride = m->warps * PK_LANES;
    float4 *const low = shared, *const high = shared + chunks;
    float *const squares = (float *)(high + chunks), *const sums = squares + PK_MOST_WARPS;
    const int lane = threadIdx.x % stride, warp = threadIdx.x / PK_LANES, groups = blockDim.x / stride;
    const float factor = pk_matvec_stage(m, low, high, squares);
    const int rounds = (pk_matvec_pairs(m) - (int)blockIdx.x + (int)gridDim.x * groups - 1) / ((int)gridDim.x * groups);
    for (int round = 0; round < rounds; round++) {
        const int pair = pk_matvec_pair_of(m, round);
        float a = 0, b = 0;
        for (int at = lane; at < chunks; at += PK_MATVEC_AHEAD * stride) {
            if (round > 0 || at != lane)
                pk_matvec_ask_chunks(m, pair, at, c);
#pragma unroll
            for (int i = 0; i < PK_MATVEC_AHEAD; i++) {
                const int chunk = at + i * stride;
                if (chunk < chunks) {
                    a = pk_dot_chunk(c->first[i], low[chunk], high[chunk], a);
                    b = pk_dot_chunk(c->second[i], low[chunk], high[chunk], b);
                }
            }
        }
        a = pk_sum_lanes(a);
        b = pk_sum_lanes(b);
        if (m->warps > 1) {
            if (round > 0)
                __syncthreads(); /* the sums of the round before have been read */
            if (threadIdx.x % PK_LANES == 0) {
                sums[2 * warp] = a;
                sums[2 * warp + 1] = b;
            }
            __syncthreads();
            a = b = 0;
            for (int w = 0; w < m->warps && lane == 0; w++) {
                a += sums[2 * (warp + w)];
                b += sums[2 * (warp + w) + 1];
            }
        }
        if (lane == 0 && pair < pk_matvec_pairs(m))
            pk_matvec_put(m, pair, factor * a, factor * b);
    }
}

#endif
