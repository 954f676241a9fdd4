/* One projection at batch 1: y = W x, W bf16 and read once, so it is bound by memory. Device functions, C style.
 *
 * A block takes a few pairs of rows and reads them whole: each of its threads has the same chunks of 8 columns in all
 * of the rows, so a chunk of x is read once for them, straight into registers, and nothing in a block waits before its
 * sums are there. Pairs, because a rotation needs rows i and i + head_dim / 2 together, and a gated activation rows i
 * and i + ffn. Blocks are small and many: which of them runs where is the hardware's to balance, also when the next
 * kernel's blocks come in early among them (programmatic dependent launch), where one block a processor would end up
 * two on one.
 *
 * The norm's factor 1 / rms is one number for all of x, so it multiplies the sums, and is summed up with them.
 *
 * A product that is added to something is fmaf by name, everywhere here: left to a compiler, the two are one operation
 * in one kernel and two in another, and kernels that share this would differ in their last bit.
 *
 * What a kernel does with these, and where it may wait for the kernel ahead (step.cu has the plain form):
 *     pk_matvec_ask      asks for the first chunks of weights: nothing that the kernel ahead writes
 *     pk_matvec_finish   all the rest: reads x */
#ifndef PK_MATVEC_CUH
#define PK_MATVEC_CUH

#include "pk_async.h"
#include "pk_gpu.h"

#include "decode/pk_decoder.h"
#include "decode/pk_model_random.h"

#define PK_ALL_LANES 0xffffffffu
enum {
    PK_LANES = 32,           /* that work together, whatever the hardware's warp */
    PK_MATVEC_LOADS = 8,     /* of 16 bytes that a thread has under way: 2 * PAIRS rows, and 4 / PAIRS chunks of each */
    PK_MATVEC_THREADS = 256, /* of a block, at most */
    PK_MOST_THREADS = 512,   /* of a block of any kernel here */
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

/* Rows of pair `pair`; second == rows: there is no such row, in a matrix of an odd number of them. */
static __device__ inline void pk_matvec_pair(const pk_matvec *m, int pair, int *first, int *second)
{
    *first = 2 * pair;
    *second = 2 * pair + 1;
    if (m->kind == PK_PROJECT_GATED) {
        *first = pair;
        *second = m->rows / 2 + pair;
    } else if (m->kind == PK_PROJECT_QKV) {
        const int half = m->head_dim / 2;
        *first = pair / half * m->head_dim + pair % half;
        *second = *first + half;
    }
}

static __device__ inline int pk_matvec_pairs(const pk_matvec *m)
{
    return (m->rows + 1) / 2;
}

/* ---- weights ---- */

template <int PAIRS> struct pk_matvec_chunks { /* of a thread: under way, or here */
    enum { DEEP = PK_MATVEC_LOADS / (2 * PAIRS) };
    uint4 chunk[DEEP][2 * PAIRS];
};

/* Weights are read once and by one block: past the L1 cache. */
static __device__ inline uint4 pk_load_once(const uint16_t *from)
{
#if defined(__CUDA_ARCH__)
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(from));
    return v;
#else
    return *(const uint4 *)from;
#endif
}

/* Which block of the product this is, and how many of its threads take part: whole warps, the first ones. A kernel that
 * does the work of many kernels says so itself. */
typedef struct pk_matvec_place {
    int block, threads;
} pk_matvec_place;

static __device__ inline pk_matvec_place pk_matvec_here(void)
{
    const pk_matvec_place here = {(int)blockIdx.x, (int)blockDim.x};
    return here;
}

/* Ask for chunks `chunk`, chunk + place.threads, ... of the block's rows. Rows and columns beyond the matrix are 0. */
template <int PAIRS>
static __device__ inline void pk_matvec_ask_chunks(const pk_matvec *m, pk_matvec_place place, int chunk,
                                                   pk_matvec_chunks<PAIRS> *c)
{
    const int chunks = m->columns / 8, pairs = pk_matvec_pairs(m);
#pragma unroll
    for (int p = 0; p < PAIRS; p++) {
        const int pair = place.block * PAIRS + p;
        int first, second;
        pk_matvec_pair(m, pair < pairs ? pair : 0, &first, &second);
        const uint16_t *const a = m->weight + (size_t)first * m->columns;
        const uint16_t *const b = m->weight + (size_t)(second < m->rows ? second : first) * m->columns;
#pragma unroll
        for (int i = 0; i < pk_matvec_chunks<PAIRS>::DEEP; i++) {
            const int at = chunk + i * place.threads;
            c->chunk[i][2 * p] = c->chunk[i][2 * p + 1] = make_uint4(0, 0, 0, 0);
            if (at < chunks) {
                c->chunk[i][2 * p] = pk_load_once(a + 8 * (size_t)at);
                c->chunk[i][2 * p + 1] = pk_load_once(b + 8 * (size_t)at);
            }
        }
    }
}

/* A thread's first chunk of a row; one that takes no part has none. */
static __device__ inline int pk_matvec_first(const pk_matvec *m, pk_matvec_place place)
{
    return (int)threadIdx.x < place.threads ? (int)threadIdx.x : m->columns;
}

/* Of the block: the norm's weights, those of thread t's first chunk in [t]. After all of a layer's weights they are in
 * no cache, and so take longer to come than x, which the kernel ahead has just written. */
static __device__ inline uint4 *pk_matvec_gain(void)
{
    __shared__ uint4 gain[PK_MATVEC_THREADS];
    return gain;
}

/* Ask for the norm's weights of the first chunk, into shared memory, as registers are scarce, and for the first chunks.
 * A thread reads what it has copied itself. */
template <int PAIRS>
static __device__ inline void pk_matvec_ask_at(const pk_matvec *m, pk_matvec_place place, pk_matvec_chunks<PAIRS> *c)
{
    const int first = pk_matvec_first(m, place);
    if (m->norm && first < m->columns / 8)
        pk_async_copy_16(&pk_matvec_gain()[first], (const uint4 *)m->norm + first);
    pk_async_commit();
    pk_matvec_ask_chunks<PAIRS>(m, place, first, c);
}
template <int PAIRS> static __device__ inline void pk_matvec_ask(const pk_matvec *m, pk_matvec_chunks<PAIRS> *c)
{
    pk_matvec_ask_at<PAIRS>(m, pk_matvec_here(), c);
}

/* ---- x ---- */

/* 8 components of x, multiplied by the norm's weights; their squares are added to *squares. */
static __device__ inline void pk_matvec_x(const pk_matvec *m, int chunk, float x[8], float *squares)
{
    const float4 a = ((const float4 *)m->x)[2 * chunk], b = ((const float4 *)m->x)[2 * chunk + 1];
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
    x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
    if (m->norm) {
        float gain[8];
        pk_async_wait_prior<0>(); /* x is under way meanwhile */
        pk_unpack_bf16(chunk == (int)threadIdx.x ? pk_matvec_gain()[chunk] : ((const uint4 *)m->norm)[chunk], gain);
#pragma unroll
        for (int i = 0; i < 8; i++) {
            *squares = fmaf(x[i], x[i], *squares);
            x[i] *= gain[i];
        }
    }
}

static __device__ inline float pk_dot_chunk(uint4 weights, const float x[8], float sum)
{
    float w[8];
    pk_unpack_bf16(weights, w);
#pragma unroll
    for (int i = 0; i < 8; i++)
        sum = fmaf(w[i], x[i], sum);
    return sum;
}

/* ---- what becomes of two sums ---- */

static __device__ inline float pk_activate(pk_activation activation, float x)
{
    if (activation == PK_ACTIVATION_SILU)
        return x / (1 + expf(-x));
    const float inner = 0.7978845608028654f * fmaf(0.044715f * x * x, x, x); /* sqrt(2 / pi) */
    return 0.5f * x * (1 + tanhf(inner));
}

/* The activation of a gated projection, for kernels whose own is another: FORMS of pk_matvec_finish. */
struct pk_exact_forms {
    static __device__ inline float activate(pk_activation activation, float x)
    {
        return pk_activate(activation, x);
    }
};

/* What a pair's sums are put together with. Asked for between the last of the weights and the sum over lanes and warps,
 * which hides part of the way: a load behind the sums is hidden by nothing, and registers are scarce before. */
typedef struct pk_matvec_side {
    float add[2]; /* bias or residual */
    float cosine, sine;
} pk_matvec_side;

static __device__ inline pk_matvec_side pk_matvec_ask_side(const pk_matvec *m, int pair, int position)
{
    pk_matvec_side s = {{0, 0}, 1, 0};
    int first, second;
    pk_matvec_pair(m, pair, &first, &second);
    if (m->bias) {
        s.add[0] = pk_from_bf16(m->bias[first]);
        s.add[1] = second < m->rows ? pk_from_bf16(m->bias[second]) : 0;
    }
    if (m->kind == PK_PROJECT_RESIDUAL) {
        s.add[0] += m->residual[first];
        s.add[1] += second < m->rows ? m->residual[second] : 0;
    }
    if (m->kind == PK_PROJECT_QKV && position < m->capacity && first / m->head_dim < m->heads + m->kv_heads) {
        const float *const turn = m->rope + ((size_t)position * (m->head_dim / 2) + first % m->head_dim) * 2;
        s.cosine = turn[0];
        s.sine = turn[1];
    }
    return s;
}

static __device__ inline void pk_matvec_rotate_and_put(const pk_matvec *m, int first, int second, float a, float b,
                                                       int position, const pk_matvec_side *s)
{
    const int head = first / m->head_dim, i = first % m->head_dim, half = m->head_dim / 2;
    if (position >= m->capacity)
        return;                          /* the cache is full: the choice of the next token says so */
    if (head < m->heads + m->kv_heads) { /* values are not turned: by 0, an infinity would spread to its partner */
        const float x = a;
        a = fmaf(x, s->cosine, -(b * s->sine));
        b = fmaf(b, s->cosine, x * s->sine);
    }
    if (head < m->heads) {
        m->y[first] = a;
        m->y[second] = b;
        return;
    }
    const bool is_key = head < m->heads + m->kv_heads;
    const int kv_head = head - m->heads - (is_key ? 0 : m->kv_heads);
    uint16_t *const row =
        (is_key ? m->k_cache : m->v_cache) + ((size_t)kv_head * m->capacity + position) * m->head_dim + i;
    row[0] = pk_model_to_bf16(a);
    row[half] = pk_model_to_bf16(b);
}

/* The pair's sums a and b, which the norm's factor multiplies. `at`: the position of a rotation, the step of logits
 * that are kept. */
template <typename FORMS = pk_exact_forms>
static __device__ inline void pk_matvec_put(const pk_matvec *m, int pair, float factor, float a, float b, int at,
                                            const pk_matvec_side *s)
{
    int first, second;
    pk_matvec_pair(m, pair, &first, &second);
    a = fmaf(factor, a, s->add[0]);
    b = fmaf(factor, b, s->add[1]);
    if (m->kind == PK_PROJECT_QKV) {
        pk_matvec_rotate_and_put(m, first, second, a, b, at, s);
        return;
    }
    if (m->kind == PK_PROJECT_GATED) {
        m->y[first] = FORMS::activate(m->activation, a) * b;
        return;
    }
    float *const y = m->y_rows > 0 ? m->y + (size_t)(at % m->y_rows) * m->rows : m->y;
    y[first] = a;
    if (second < m->rows)
        y[second] = b;
}

/* ---- all of it ---- */

/* N values of each of 32 lanes. Lanes give half of what they have for half of what the other has, by their bits 1 to
 * N / 2: value[0] is then the sum of value (lane % N), over the lanes that differ in these bits. */
template <int N> struct pk_fold {
    static __device__ inline void run(float *value)
    {
        const bool upper = threadIdx.x & (N / 2);
#pragma unroll
        for (int i = 0; i < N / 2; i++) {
            const float give = upper ? value[i] : value[i + N / 2], keep = upper ? value[i + N / 2] : value[i];
            value[i] = keep + __shfl_xor_sync(PK_ALL_LANES, give, N / 2);
        }
        pk_fold<N / 2>::run(value);
    }
};
template <> struct pk_fold<1> {
    static __device__ inline void run(float *)
    {
    }
};
/* N values of each of 32 lanes, summed over the lanes: the sum of value (lane % N) in each lane, by N - 1 +
 * log2(32 / N) shuffles. */
template <int N> static __device__ inline float pk_sum_lanes_of(float value[N])
{
    pk_fold<N>::run(value);
    float sum = value[0];
#pragma unroll
    for (int bit = N; bit < PK_LANES; bit *= 2)
        sum += __shfl_xor_sync(PK_ALL_LANES, sum, bit);
    return sum;
}

/* `c` is what pk_matvec_ask_at asked for. All threads of the block; nothing of the kernel ahead is read before this. A
 * kernel that goes on to another block of a product first lets its threads meet. */
template <int PAIRS, typename FORMS = pk_exact_forms>
static __device__ inline void pk_matvec_finish_at(const pk_matvec *m, pk_matvec_place place, pk_matvec_chunks<PAIRS> *c)
{
    enum { ROWS = 2 * PAIRS, DEEP = pk_matvec_chunks<PAIRS>::DEEP, MOST_WARPS = PK_MATVEC_THREADS / PK_LANES };
    __shared__ float shared[MOST_WARPS][ROWS + 1]; /* of each warp: a sum for each row, and of the squares */
    const int chunks = m->columns / 8, warps = place.threads / PK_LANES, own = pk_matvec_first(m, place);
    const int at = m->kind == PK_PROJECT_QKV ? pk_at_position(&m->at) : m->y_rows > 0 ? pk_at_step(&m->at) : 0;
    float sum[ROWS], squares = 0;
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        sum[r] = 0;
    for (int turn = own; turn < chunks; turn += DEEP * place.threads) {
        if (turn != own)
            pk_matvec_ask_chunks<PAIRS>(m, place, turn, c);
#pragma unroll
        for (int i = 0; i < DEEP; i++) {
            float x[8];
            if (turn + i * place.threads >= chunks)
                break;
            pk_matvec_x(m, turn + i * place.threads, x, &squares);
#pragma unroll
            for (int r = 0; r < ROWS; r++)
                sum[r] = pk_dot_chunk(c->chunk[i][r], x, sum[r]);
        }
    }
    const int pair = place.block * PAIRS + (int)threadIdx.x, lane = threadIdx.x % PK_LANES;
    const bool puts = threadIdx.x < PAIRS && pair < pk_matvec_pairs(m);
    pk_matvec_side side = {{0, 0}, 1, 0};
    if (puts)
        side = pk_matvec_ask_side(m, pair, at);
    const float mine = pk_sum_lanes_of<ROWS>(sum);
    if (m->norm)
        squares = pk_sum_lanes(squares);
    if (lane < ROWS)
        shared[threadIdx.x / PK_LANES][lane] = mine;
    if (lane == 0)
        shared[threadIdx.x / PK_LANES][ROWS] = squares;
    __syncthreads();
    if (!puts)
        return;
    float a = 0, b = 0, factor = 1;
    squares = 0;
    for (int w = 0; w < warps; w++) {
        a += shared[w][2 * threadIdx.x];
        b += shared[w][2 * threadIdx.x + 1];
        squares += shared[w][ROWS];
    }
    if (m->norm)
        factor = rsqrtf(squares / (float)m->columns + m->norm_eps);
    pk_matvec_put<FORMS>(m, pair, factor, a, b, at, &side);
}
template <int PAIRS, typename FORMS = pk_exact_forms>
static __device__ inline void pk_matvec_finish(const pk_matvec *m, pk_matvec_chunks<PAIRS> *c)
{
    pk_matvec_finish_at<PAIRS, FORMS>(m, pk_matvec_here(), c);
}

/* PK_MATVEC_LAUNCH(PK_LAUNCH, kernel, m, blocks, threads, stream): the instance of kernel<PAIRS> that m asks for. */
#define PK_MATVEC_LAUNCH(launch, kernel, m, blocks, threads, stream)                                                   \
    do {                                                                                                               \
        if ((m)->pairs == 4)                                                                                           \
            launch(kernel<4>, blocks, threads, 0, stream, *(m));                                                       \
        else if ((m)->pairs == 2)                                                                                      \
            launch(kernel<2>, blocks, threads, 0, stream, *(m));                                                       \
        else                                                                                                           \
            launch(kernel<1>, blocks, threads, 0, stream, *(m));                                                       \
    } while (0)

#endif
