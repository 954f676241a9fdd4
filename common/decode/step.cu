/* A step of decode, kernel by kernel. Each kernel has one argument, a struct; where it depends on where the step
 * stands, the struct begins with a pk_decode_at, so that whoever updates a graph's nodes finds it there.
 *
 * Every kernel lets the one behind begin at once and waits for the one ahead before it touches what that wrote. In
 * plain stream order neither does anything; in programmatic dependent launches (PK_LAUNCH_PDL) they are the order: as
 * each kernel waits for the whole of the one ahead, and that one did, all before it has ended. */
#include <math.h>

#include "pk_atomic.h"

#include "decode/decode_internal.h"
#include "decode/pk_choose.h"
#include "decode/pk_matvec.cuh"

#define LAUNCH(how, kernel, grid, block, smem, stream, args)                                                           \
    do {                                                                                                               \
        if ((how)->pdl)                                                                                                \
            PK_LAUNCH_PDL(kernel, grid, block, smem, stream, args);                                                    \
        else                                                                                                           \
            PK_LAUNCH(kernel, grid, block, smem, stream, args);                                                        \
    } while (0)

static __device__ inline void begin(void)
{
    PK_GRID_DEPENDENCY_TRIGGER();
    PK_GRID_DEPENDENCY_SYNCHRONIZE();
}

/* The sum over the block, in every thread, warp by warp in their order. `shared` has a float for each warp. */
static __device__ inline float sum_block(float value, float *shared)
{
    value = pk_sum_lanes(value);
    __syncthreads();
    if (threadIdx.x % PK_LANES == 0)
        shared[threadIdx.x / PK_LANES] = value;
    __syncthreads();
    value = 0;
    for (int w = 0; w < (int)blockDim.x / PK_LANES; w++)
        value += shared[w];
    return value;
}

/* ---- embedding, norm, residual, activation ---- */

typedef struct embed_args {
    pk_decode_at at;
    const uint16_t *embedding; /* [vocab][hidden] */
    float *x;                  /* [hidden] */
    int hidden, vocab;
} embed_args;

/* A thread has one component of x. */
static __global__ void embed(embed_args a)
{
    begin();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const int token = pk_at_token(&a.at);
    if (i < a.hidden)
        a.x[i] = token < a.vocab ? pk_from_bf16(a.embedding[(size_t)token * a.hidden + i]) : 0;
}

typedef struct norm_args {
    const float *x;       /* [hidden] */
    const uint16_t *gain; /* [hidden] */
    float *y;
    int hidden;
    float eps;
} norm_args;

/* One block. */
static __global__ void rms_norm(norm_args a)
{
    __shared__ float shared[PK_MOST_WARPS];
    begin();
    float sum = 0;
    for (int i = threadIdx.x; i < a.hidden; i += blockDim.x)
        sum += a.x[i] * a.x[i];
    const float factor = rsqrtf(sum_block(sum, shared) / (float)a.hidden + a.eps);
    for (int i = threadIdx.x; i < a.hidden; i += blockDim.x)
        a.y[i] = factor * (a.x[i] * pk_from_bf16(a.gain[i]));
}

typedef struct add_args {
    float *x; /* x += y */
    const float *y;
    int count;
} add_args;

static __global__ void add_residual(add_args a)
{
    begin();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < a.count)
        a.x[i] += a.y[i];
}

typedef struct gate_args {
    const float *gate_up; /* [2][ffn] */
    float *y;             /* [ffn] */
    int ffn;
    pk_activation activation;
} gate_args;

static __global__ void activate_gate(gate_args a)
{
    begin();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < a.ffn)
        a.y[i] = pk_activate(a.activation, a.gate_up[i]) * a.gate_up[a.ffn + i];
}

/* ---- projections ---- */

template <int PAIRS> static __global__ void __launch_bounds__(PK_MATVEC_THREADS, 4) matvec(pk_matvec m)
{
    pk_matvec_chunks<PAIRS> chunks;
    begin();
    pk_matvec_ask<PAIRS>(&m, &chunks);
    pk_matvec_finish<PAIRS>(&m, &chunks);
}

/* Threads of a block: whole warps whose turns over a row leave fewest of them idle, and of those the most threads. */
static int matvec_threads(const pk_decoder *d, int columns)
{
    const int chunks = columns / 8, most = d->threads < PK_MATVEC_THREADS ? d->threads : PK_MATVEC_THREADS;
    int best = PK_LANES, least = 0;
    for (int threads = most; threads >= PK_LANES; threads -= PK_LANES) {
        const int turns = (chunks + threads - 1) / threads * threads;
        if ((least == 0 || turns < least) && (threads >= 64 || least == 0)) {
            best = threads;
            least = turns;
        }
    }
    return best;
}

/* Pairs of rows a block. Four where that makes some blocks for each processor and a row is one turn: then all of a
 * middling matrix is under way at once, and in fewer blocks than there is room for, so that the kernel behind finds
 * some. */
static int matvec_pairs(const pk_decoder *d, int rows, int columns, int threads)
{
    const int pairs = (rows + 1) / 2;
    if (columns / 8 <= threads && pairs * 2 >= 4 * 3 * d->processors)
        return 4;
    return pairs >= 4 * 4 * d->processors ? 4 : pairs >= 2 * 3 * d->processors ? 2 : 1;
}

static pk_status launch_matvec(const pk_decoder *d, pk_matvec *m, const pk_decode_how *how, void *stream)
{
    const unsigned threads = (unsigned)matvec_threads(d, m->columns);
    m->pairs = matvec_pairs(d, m->rows, m->columns, (int)threads);
    const unsigned blocks = (unsigned)(((m->rows + 1) / 2 + m->pairs - 1) / m->pairs);
    if (how->matvec)
        return how->matvec(m, blocks, threads, stream);
    if (how->pdl)
        PK_MATVEC_LAUNCH(PK_LAUNCH_PDL, matvec, m, blocks, threads, (cudaStream_t)stream);
    else
        PK_MATVEC_LAUNCH(PK_LAUNCH, matvec, m, blocks, threads, (cudaStream_t)stream);
    return PK_OK;
}

/* ---- rotation and append ---- */

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

/* Block h: head h of q, then of k. One warp; lanes take pairs in turn. */
static __global__ void rotate(rotate_args a)
{
    begin();
    const int head = blockIdx.x, half = a.head_dim / 2, position = pk_at_position(&a.at);
    float *const x = a.qkv + (size_t)head * a.head_dim;
    const uint16_t *const gain = head < a.heads ? a.q_norm : a.k_norm;
    if (position >= a.capacity)
        return;
    float factor = 1;
    if (gain) {
        float sum = 0;
        for (int i = threadIdx.x; i < a.head_dim; i += PK_LANES)
            sum += x[i] * x[i];
        factor = rsqrtf(pk_sum_lanes(sum) / (float)a.head_dim + a.eps);
    }
    for (int i = threadIdx.x; i < half; i += PK_LANES) {
        const float cosine = a.rope[((size_t)position * half + i) * 2],
                    sine = a.rope[((size_t)position * half + i) * 2 + 1];
        const float low = x[i] * factor * (gain ? pk_from_bf16(gain[i]) : 1);
        const float high = x[i + half] * factor * (gain ? pk_from_bf16(gain[i + half]) : 1);
        x[i] = low * cosine - high * sine;
        x[i + half] = high * cosine + low * sine;
        if (a.append && head >= a.heads) {
            const int kv_head = head - a.heads;
            const float *const v = a.qkv + (size_t)(a.heads + a.kv_heads + kv_head) * a.head_dim;
            append_to_cache(&a, kv_head, i, position, x[i], v[i]);
            append_to_cache(&a, kv_head, i + half, position, x[i + half], v[i + half]);
        }
    }
}

/* Block g: key/value head g. */
static __global__ void append_kv(rotate_args a)
{
    begin();
    const int position = pk_at_position(&a.at);
    const float *const k = a.qkv + (size_t)(a.heads + blockIdx.x) * a.head_dim;
    if (position >= a.capacity)
        return;
    for (int i = threadIdx.x; i < a.head_dim; i += blockDim.x)
        append_to_cache(&a, blockIdx.x, i, position, k[i], k[(size_t)a.kv_heads * a.head_dim + i]);
}

/* ---- attention ---- */

typedef struct attend_args {
    pk_decode_at at;
    const float *q;                    /* [heads][head_dim] */
    const uint16_t *k_cache, *v_cache; /* [kv_heads][capacity][head_dim] */
    float *out;                        /* [heads][head_dim] */
    float *partial;                    /* [heads][gridDim.x][head_dim + 2] */
    unsigned *arrivals;                /* [heads]: parts that are there; 0 between kernels */
    int heads, kv_heads, head_dim, capacity;
} attend_args;

enum { KEYS_AT_ONCE = 4, FEWEST_KEYS = 64 /* of a part: fewer are not worth a block's merge */ };
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

/* Has this block come last of `parts`? Its parts are then all there to be read. Pairs: each block's release, after its
 * writes and a barrier of the block, with the last one's acquire, before a barrier and its reads; device scope. */
static __device__ inline bool comes_last(unsigned *arrivals, unsigned parts, int *shared_last)
{
    __syncthreads();
    if (threadIdx.x == 0) {
        *shared_last = pk_add_acquire_release_device(arrivals, 1u) + 1 == parts;
        if (*shared_last)
            pk_store_relaxed_device(arrivals, 0u); /* for the next kernel, which waits for the end of this one */
    }
    __syncthreads();
    return *shared_last != 0;
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
    const int head = blockIdx.y, most = gridDim.x, wanted = (keys + FEWEST_KEYS - 1) / FEWEST_KEYS;
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

/* ---- choosing the next token ---- */

typedef struct choose_args {
    pk_decode_at at;
    const float *logits; /* [logit_rows][vocab] */
    int logit_rows, vocab;
    int *tokens; /* [steps] */
    int steps, capacity;
    float *best;        /* [blocks][top_k][2] */
    unsigned *arrivals; /* [1] */
    int top_k;
    float temperature;
    uint64_t seed;
    int end_tokens[PK_MODEL_MOST_ENDS], end_count;
} choose_args;

typedef struct candidate {
    float value;
    int token; /* -1: none */
} candidate;

/* Higher first, and of equals the lower token. A NaN comes before nothing. */
static __device__ inline bool comes_before(candidate a, candidate b)
{
    return a.token >= 0 && (b.token < 0 || a.value > b.value || (a.value == b.value && a.token < b.token));
}

static __device__ inline candidate best_of_block(candidate mine, candidate *shared)
{
#pragma unroll
    for (int bit = PK_LANES / 2; bit > 0; bit /= 2) {
        candidate other;
        other.value = __shfl_xor_sync(PK_ALL_LANES, mine.value, bit);
        other.token = __shfl_xor_sync(PK_ALL_LANES, mine.token, bit);
        if (comes_before(other, mine))
            mine = other;
    }
    const int warps = blockDim.x / PK_LANES;
    if (warps == 1)
        return mine;
    __syncthreads();
    if (threadIdx.x % PK_LANES == 0)
        shared[threadIdx.x / PK_LANES] = mine;
    __syncthreads();
    for (int w = 0; w < warps; w++)
        if (comes_before(shared[w], mine))
            mine = shared[w];
    return mine;
}

/* Candidate i of what this block looks at: its slice of the logits, or what all blocks found. */
static __device__ inline candidate candidate_at(const choose_args *a, const float *logits, int i)
{
    candidate c = {0, -1};
    if (logits) {
        c.value = logits[i];
        c.token = c.value == c.value ? i : -1;
    } else {
        c.value = a->best[2 * i];
        c.token = __float_as_int(a->best[2 * i + 1]);
    }
    return c;
}

/* The best of candidates [first, end) that come after `before`. */
static __device__ inline candidate best_after(const choose_args *a, const float *logits, int first, int end,
                                              const candidate *before, candidate *shared)
{
    candidate mine = {0, -1};
    for (int i = first + threadIdx.x; i < end; i += blockDim.x) {
        const candidate c = candidate_at(a, logits, i);
        if (comes_before(c, mine) && (!before || comes_before(*before, c)))
            mine = c;
    }
    return best_of_block(mine, shared);
}

static __device__ inline int draw(const choose_args *a, const candidate *found, int count, int step)
{
    float weight[PK_SAMPLE_MOST], sum = 0;
    for (int i = 0; i < count; i++) {
        weight[i] = expf((found[i].value - found[0].value) / a->temperature);
        sum += weight[i];
    }
    float left = pk_choose_draw(a->seed, step) * sum;
    int chosen = 0;
    for (; chosen + 1 < count && left >= weight[chosen]; chosen++)
        left -= weight[chosen];
    return found[chosen].token;
}

static __device__ inline void put_token(const choose_args *a, int token, int step)
{
    pk_decode_state *const state = a->at.state;
    if (step < a->steps)
        a->tokens[step] = token;
    state->token = token;
    if (a->at.step >= 0)
        return; /* where the step stands is the host's to say */
    const int position = state->position + 1;
    state->step = step + 1;
    state->position = position;
    int done = state->done != 0 || step + 1 >= state->limit || state->fault != 0;
    for (int i = 0; i < a->end_count; i++)
        done |= token == a->end_tokens[i];
    if (position > a->capacity || token < 0) { /* the token that came in had no room */
        state->fault = PK_FAULT_CACHE_FULL;
        done = 1;
    }
    state->done = done;
}

/* Block b looks at its slice of the logits, the last one at what all have found. */
static __global__ void choose(choose_args a)
{
    __shared__ candidate shared[PK_MOST_WARPS];
    __shared__ candidate found[PK_SAMPLE_MOST];
    __shared__ int last;
    begin();
    const int step = pk_at_step(&a.at), blocks = gridDim.x, slice = (a.vocab + blocks - 1) / blocks;
    const float *const logits = a.logits + (size_t)(step % a.logit_rows) * a.vocab;
    const int first = blockIdx.x * slice, end = first + slice < a.vocab ? first + slice : a.vocab;
    candidate c = {0, -1};
    for (int k = 0; k < a.top_k; k++) {
        const candidate before = c;
        c = best_after(&a, logits, first, end, k > 0 && before.token >= 0 ? &before : NULL, shared);
        if (k > 0 && before.token < 0)
            c.token = -1; /* the slice has no more */
        if (threadIdx.x == 0) {
            float *const mine = a.best + 2 * ((size_t)blockIdx.x * a.top_k + k);
            mine[0] = c.value;
            mine[1] = __int_as_float(c.token);
        }
    }
    if (!comes_last(a.arrivals, (unsigned)blocks, &last))
        return;
    int count = 0;
    for (int k = 0; k < a.top_k; k++) {
        const candidate before = c;
        c = best_after(&a, NULL, 0, blocks * a.top_k, k > 0 ? &before : NULL, shared);
        if (c.token < 0)
            break;
        if (threadIdx.x == 0)
            found[k] = c;
        count = k + 1;
    }
    if (threadIdx.x == 0)
        put_token(&a, count == 0 ? 0 : draw(&a, found, count, step), step);
}

/* ---- a step ---- */

static unsigned blocks_for(int count, unsigned threads)
{
    return ((unsigned)count + threads - 1) / threads;
}

/* All that the projections of a layer share. */
static pk_matvec projection(const pk_decoder *d, pk_decode_at at, const uint16_t *weight, int rows, int columns,
                            const float *x, float *y)
{
    pk_matvec m = {};
    m.at = at;
    m.rows = rows;
    m.columns = columns;
    m.weight = weight;
    m.x = x;
    m.y = y;
    m.norm_eps = (float)d->config.rms_eps;
    m.activation = d->config.activation;
    return m;
}

static rotate_args rotation(const pk_decoder *d, const pk_device_layer *layer, pk_decode_at at)
{
    const pk_model_config *c = &d->config;
    rotate_args a = {};
    a.at = at;
    a.qkv = d->qkv;
    a.q_norm = layer->q_norm;
    a.k_norm = layer->k_norm;
    a.rope = d->rope;
    a.k_cache = layer->k_cache;
    a.v_cache = layer->v_cache;
    a.heads = c->heads;
    a.kv_heads = c->kv_heads;
    a.head_dim = c->head_dim;
    a.capacity = d->shape.capacity;
    a.eps = (float)c->rms_eps;
    return a;
}

static pk_status launch_norm(const pk_decoder *d, const float *x, const uint16_t *gain, float *y,
                             const pk_decode_how *how, void *stream)
{
    const norm_args a = {x, gain, y, d->config.hidden, (float)d->config.rms_eps};
    LAUNCH(how, rms_norm, 1, (unsigned)d->threads, 0, (cudaStream_t)stream, a);
    return PK_OK;
}

static pk_status launch_add(const pk_decoder *d, const pk_decode_how *how, void *stream)
{
    const add_args a = {d->x, d->branch, d->config.hidden};
    LAUNCH(how, add_residual, blocks_for(a.count, (unsigned)d->threads), (unsigned)d->threads, 0, (cudaStream_t)stream,
           a);
    return PK_OK;
}

static pk_status launch_attend(const pk_decoder *d, const pk_device_layer *layer, pk_decode_at at,
                               const pk_decode_how *how, void *stream)
{
    const pk_model_config *c = &d->config;
    attend_args a = {};
    a.at = at;
    a.q = d->qkv;
    a.k_cache = layer->k_cache;
    a.v_cache = layer->v_cache;
    a.out = d->heads;
    a.partial = d->partial;
    a.arrivals = d->arrivals;
    a.heads = c->heads;
    a.kv_heads = c->kv_heads;
    a.head_dim = c->head_dim;
    a.capacity = d->shape.capacity;
    const unsigned threads = (unsigned)(d->threads < ATTEND_THREADS ? d->threads : ATTEND_THREADS);
    LAUNCH(how, attend, dim3((unsigned)d->splits, (unsigned)c->heads), threads, 0, (cudaStream_t)stream, a);
    return PK_OK;
}

static pk_status launch_rotate(const pk_decoder *d, const pk_device_layer *layer, pk_decode_at at, int append,
                               const pk_decode_how *how, void *stream)
{
    rotate_args a = rotation(d, layer, at);
    a.append = append;
    LAUNCH(how, rotate, (unsigned)(a.heads + a.kv_heads), PK_LANES, 0, (cudaStream_t)stream, a);
    return PK_OK;
}

/* The 15 kernels of a layer as a naive engine launches them: norm, q, k, v, rotation, append, attention, output
 * projection, residual, norm, gate, up, activation, down projection, residual. */
static pk_status layer_unfused(const pk_decoder *d, const pk_device_layer *l, pk_decode_at at, const pk_decode_how *how,
                               void *stream)
{
    const pk_model_config *c = &d->config;
    const int q_rows = c->heads * c->head_dim, kv_rows = c->kv_heads * c->head_dim;
    const int first_row[3] = {0, q_rows, q_rows + kv_rows}, rows[3] = {q_rows, kv_rows, kv_rows};
    PK_TRY(launch_norm(d, d->x, l->attn_norm, d->normed, how, stream));
    for (int i = 0; i < 3; i++) {
        pk_matvec m = projection(d, at, l->qkv + (size_t)first_row[i] * c->hidden, rows[i], c->hidden, d->normed,
                                 d->qkv + first_row[i]);
        m.bias = l->qkv_bias ? l->qkv_bias + first_row[i] : NULL;
        PK_TRY(launch_matvec(d, &m, how, stream));
    }
    PK_TRY(launch_rotate(d, l, at, 0, how, stream));
    const rotate_args append = rotation(d, l, at);
    LAUNCH(how, append_kv, (unsigned)c->kv_heads, PK_LANES, 0, (cudaStream_t)stream, append);
    PK_TRY(launch_attend(d, l, at, how, stream));
    pk_matvec m = projection(d, at, l->o, c->hidden, q_rows, d->heads, d->branch);
    PK_TRY(launch_matvec(d, &m, how, stream));
    PK_TRY(launch_add(d, how, stream));
    PK_TRY(launch_norm(d, d->x, l->ffn_norm, d->normed, how, stream));
    for (int i = 0; i < 2; i++) {
        m = projection(d, at, l->gate_up + (size_t)i * c->ffn * c->hidden, c->ffn, c->hidden, d->normed,
                       d->gate_up + (size_t)i * c->ffn);
        PK_TRY(launch_matvec(d, &m, how, stream));
    }
    const gate_args gate = {d->gate_up, d->act, c->ffn, c->activation};
    LAUNCH(how, activate_gate, blocks_for(c->ffn, (unsigned)d->threads), (unsigned)d->threads, 0, (cudaStream_t)stream,
           gate);
    m = projection(d, at, l->down, c->hidden, c->ffn, d->act, d->branch);
    PK_TRY(launch_matvec(d, &m, how, stream));
    return launch_add(d, how, stream);
}

/* Five: norm, q, k, v, rotation and append; attention; output projection and residual; norm, gate, up and activation;
 * down projection and residual. A model with norms of q's and k's heads has its rotation and append apart, as a head's
 * norm needs all of its rows. */
static pk_status layer_fused(const pk_decoder *d, const pk_device_layer *l, pk_decode_at at, const pk_decode_how *how,
                             void *stream)
{
    const pk_model_config *c = &d->config;
    const int q_rows = c->heads * c->head_dim, all_rows = q_rows + 2 * c->kv_heads * c->head_dim;
    pk_matvec m = projection(d, at, l->qkv, all_rows, c->hidden, d->x, d->qkv);
    m.norm = l->attn_norm;
    m.bias = l->qkv_bias;
    if (!c->qk_norm) {
        m.kind = PK_PROJECT_QKV;
        m.heads = c->heads;
        m.kv_heads = c->kv_heads;
        m.head_dim = c->head_dim;
        m.capacity = d->shape.capacity;
        m.rope = d->rope;
        m.k_cache = l->k_cache;
        m.v_cache = l->v_cache;
    }
    PK_TRY(launch_matvec(d, &m, how, stream));
    if (c->qk_norm)
        PK_TRY(launch_rotate(d, l, at, 1, how, stream));
    PK_TRY(launch_attend(d, l, at, how, stream));
    m = projection(d, at, l->o, c->hidden, q_rows, d->heads, d->x);
    m.kind = PK_PROJECT_RESIDUAL;
    m.residual = d->x;
    PK_TRY(launch_matvec(d, &m, how, stream));
    m = projection(d, at, l->gate_up, 2 * c->ffn, c->hidden, d->x, d->act);
    m.kind = PK_PROJECT_GATED;
    m.norm = l->ffn_norm;
    PK_TRY(launch_matvec(d, &m, how, stream));
    m = projection(d, at, l->down, c->hidden, c->ffn, d->act, d->x);
    m.kind = PK_PROJECT_RESIDUAL;
    m.residual = d->x;
    return launch_matvec(d, &m, how, stream);
}

static pk_status launch_choose(const pk_decoder *d, pk_decode_at at, const pk_decode_how *how, void *stream)
{
    choose_args a = {};
    a.at = at;
    a.logits = d->logits;
    a.logit_rows = d->shape.logit_rows;
    a.vocab = d->config.vocab;
    a.tokens = d->tokens;
    a.steps = d->shape.steps;
    a.capacity = d->shape.capacity;
    a.best = d->best;
    a.arrivals = d->arrivals + d->config.heads;
    a.top_k = d->sampling.top_k;
    a.temperature = d->sampling.temperature;
    a.seed = d->sampling.seed;
    a.end_count = d->sampling.stop_at_end ? d->config.end_count : 0;
    for (int i = 0; i < a.end_count; i++)
        a.end_tokens[i] = d->config.end_tokens[i];
    const unsigned wanted = blocks_for(a.vocab, (unsigned)d->threads * 4), most = PK_SAMPLE_BLOCKS;
    LAUNCH(how, choose, wanted < most ? wanted : most, (unsigned)d->threads, 0, (cudaStream_t)stream, a);
    return PK_OK;
}

pk_status pk_decode_logits_and_choose(const pk_decoder *d, const float *x, pk_decode_at at, const pk_decode_how *how,
                                      void *stream)
{
    const pk_model_config *c = &d->config;
    if (!how->fused)
        PK_TRY(launch_norm(d, x, d->final_norm, d->normed, how, stream));
    pk_matvec m = projection(d, at, d->logits_weight, c->vocab, c->hidden, how->fused ? x : d->normed, d->logits);
    m.norm = how->fused ? d->final_norm : NULL;
    m.y_rows = d->shape.logit_rows;
    PK_TRY(launch_matvec(d, &m, how, stream));
    return launch_choose(d, at, how, stream);
}

int pk_decode_logits_and_choose_launches(const pk_decode_how *how)
{
    return how->fused ? 2 : 3;
}

pk_status pk_decode_step(const pk_decoder *d, pk_decode_at at, const pk_decode_how *how, void *stream)
{
    static const pk_decode_how naive = {};
    how = how ? how : &naive;
    const embed_args e = {at, d->embedding, d->x, d->config.hidden, d->config.vocab};
    LAUNCH(how, embed, blocks_for(e.hidden, (unsigned)d->threads), (unsigned)d->threads, 0, (cudaStream_t)stream, e);
    for (int i = 0; i < d->config.layers; i++)
        PK_TRY((how->fused ? layer_fused : layer_unfused)(d, &d->layer[i], at, how, stream));
    return pk_decode_logits_and_choose(d, d->x, at, how, stream);
}

int pk_decode_step_launches(const pk_decoder *d, const pk_decode_how *how)
{
    const int layer = !how || !how->fused ? 15 : d->config.qk_norm ? 6 : 5;
    static const pk_decode_how naive = {};
    return 1 + d->config.layers * layer + pk_decode_logits_and_choose_launches(how ? how : &naive);
}

bool pk_decode_kernel_moves(const void *func, const void *argument, size_t *bytes)
{
    const struct {
        const void *func;
        size_t bytes;
        bool projects;
    } kernels[] = {
        {(const void *)rotate, sizeof(rotate_args), false}, {(const void *)append_kv, sizeof(rotate_args), false},
        {(const void *)attend, sizeof(attend_args), false}, {(const void *)choose, sizeof(choose_args), false},
        {(const void *)matvec<1>, sizeof(pk_matvec), true}, {(const void *)matvec<2>, sizeof(pk_matvec), true},
        {(const void *)matvec<4>, sizeof(pk_matvec), true}};
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        if (kernels[i].func != func)
            continue;
        const pk_matvec *const m = (const pk_matvec *)argument;
        *bytes = kernels[i].bytes;
        return !kernels[i].projects || m->kind == PK_PROJECT_QKV || m->y_rows > 0;
    }
    return false; /* the embedding takes its token from the state */
}

/* ---- a projection by itself ---- */

pk_decode_matrix pk_decode_matrix_of(const pk_decoder *d, int layer, pk_decode_part part)
{
    const pk_model_config *c = &d->config;
    const pk_device_layer *l = &d->layer[layer];
    const int q_rows = c->heads * c->head_dim, kv_rows = c->kv_heads * c->head_dim;
    const size_t hidden = (size_t)c->hidden;
    const pk_decode_matrix matrices[] = {
        /* in the order of pk_decode_part */
        {l->qkv, q_rows, c->hidden},
        {l->qkv + q_rows * hidden, kv_rows, c->hidden},
        {l->qkv + (q_rows + kv_rows) * hidden, kv_rows, c->hidden},
        {l->qkv, q_rows + 2 * kv_rows, c->hidden},
        {l->o, c->hidden, q_rows},
        {l->gate_up, c->ffn, c->hidden},
        {l->gate_up + c->ffn * hidden, c->ffn, c->hidden},
        {l->gate_up, 2 * c->ffn, c->hidden},
        {l->down, c->hidden, c->ffn},
        {d->logits_weight, c->vocab, c->hidden},
    };
    return matrices[part];
}

pk_status pk_decode_project(const pk_decoder *d, const pk_decode_matrix *matrix, const float *x, float *y, void *stream)
{
    static const pk_decode_how naive = {};
    const pk_decode_at at = {d->state, 0, 0, 0};
    pk_matvec m = projection(d, at, matrix->weight, matrix->rows, matrix->columns, x, y);
    return launch_matvec(d, &m, &naive, stream);
}
