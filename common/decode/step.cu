/* A step of decode, kernel by kernel; attention and the choice of a token are in headers beside this. Each kernel has
 * one argument, a struct; where it depends on where the step stands, the struct begins with a pk_decode_at, so that
 * whoever updates a graph's nodes finds it there.
 *
 * Every kernel lets the one behind begin at once and waits for the one ahead before it touches what that wrote. In
 * plain stream order neither does anything; in programmatic dependent launches (PK_LAUNCH_PDL) they are the order: as
 * each kernel waits for the whole of the one ahead, and that one did, all before it has ended.
 *
 * The first kernel of a step is launched plainly: no kernel of a step begins before all of the step ahead has ended. So
 * what only earlier steps wrote may be read before the wait: the state, and the cache but for its newest row. */
#include "decode/decode_internal.h"
#include "decode/pk_matvec.cuh"
#include "decode/pk_quant.h"
#include "decode/pk_step.cuh"

#define LAUNCH(how, kernel, grid, block, smem, stream, args)                                                           \
    do {                                                                                                               \
        if ((how)->pdl)                                                                                                \
            PK_LAUNCH_PDL(kernel, grid, block, smem, stream, args);                                                    \
        else                                                                                                           \
            PK_LAUNCH(kernel, grid, block, smem, stream, args);                                                        \
    } while (0)

/* A kernel of the fused form: launched, or told to how->record. */
#define LAUNCH_OR_RECORD(how, step_kind, field, kernel, grid, grid_rows, block, stream, kernel_args)                   \
    do {                                                                                                               \
        if ((how)->record) {                                                                                           \
            pk_step_kernel told_ = {};                                                                                 \
            told_.kind = (step_kind);                                                                                  \
            told_.blocks = (int)(grid);                                                                                \
            told_.rows = (int)(grid_rows);                                                                             \
            told_.threads = (int)(block);                                                                              \
            told_.args.field = (kernel_args);                                                                          \
            PK_TRY((how)->record((how)->context, &told_));                                                             \
        } else                                                                                                         \
            LAUNCH(how, kernel, dim3((grid), (grid_rows)), block, 0, stream, kernel_args);                             \
    } while (0)

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

static __global__ void embed(embed_args a)
{
    begin();
    embed_block(&a, (int)blockIdx.x, (int)gridDim.x);
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
    const uint16_t first_gain = (int)threadIdx.x < a.hidden ? a.gain[threadIdx.x] : 0; /* nobody writes it */
    begin();
    float sum = 0;
    for (int i = threadIdx.x; i < a.hidden; i += blockDim.x)
        sum += a.x[i] * a.x[i];
    const float factor = rsqrtf(sum_block(sum, shared) / (float)a.hidden + a.eps);
    for (int i = threadIdx.x; i < a.hidden; i += blockDim.x)
        a.y[i] = factor * (a.x[i] * pk_from_bf16(i == (int)threadIdx.x ? first_gain : a.gain[i]));
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

/* Threads of a block: whole warps whose turns over a row leave fewest of them idle, and of those the most threads. Half
 * as many, in two turns, where a matrix is too small to fill the processors by blocks: each thread asks for twice as
 * much then, and more blocks find room (Llama's q, k, v and o on an H100: 930 us a token, against 945). */
static int matvec_threads(const pk_decoder *d, int rows, int columns)
{
    const int chunks = columns / 8, most = d->threads < PK_MATVEC_THREADS ? d->threads : PK_MATVEC_THREADS;
    if (chunks > PK_MATVEC_THREADS / 2 && chunks <= PK_MATVEC_THREADS && most == PK_MATVEC_THREADS &&
        (rows + 1) / 2 < 16 * d->processors)
        return PK_MATVEC_THREADS / 2;
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
    const unsigned threads = (unsigned)matvec_threads(d, m->rows, m->columns);
    m->pairs = matvec_pairs(d, m->rows, m->columns, (int)threads);
    const unsigned blocks = (unsigned)(((m->rows + 1) / 2 + m->pairs - 1) / m->pairs);
    if (how->record) {
        pk_step_kernel told = {};
        told.kind = PK_STEP_MATVEC;
        told.blocks = (int)blocks;
        told.rows = 1;
        told.threads = (int)threads;
        told.args.matvec = *m;
        return how->record(how->context, &told);
    }
    if (how->matvec)
        return how->matvec(m, blocks, threads, stream);
    if (how->pdl)
        PK_MATVEC_LAUNCH(PK_LAUNCH_PDL, matvec, m, blocks, threads, (cudaStream_t)stream);
    else
        PK_MATVEC_LAUNCH(PK_LAUNCH, matvec, m, blocks, threads, (cudaStream_t)stream);
    return PK_OK;
}

/* ---- rotation and append, attention, choice ---- */

/* One warp. */
static __global__ void rotate(rotate_args a)
{
    const int position = pk_at_position(&a.at);
    begin();
    rotate_block(&a, (int)blockIdx.x, position);
}

/* Block g: key/value head g. */
static __global__ void append_kv(rotate_args a)
{
    const int position = pk_at_position(&a.at);
    begin();
    const float *const k = a.qkv + (size_t)(a.heads + blockIdx.x) * a.head_dim;
    if (position >= a.capacity)
        return;
    for (int i = threadIdx.x; i < a.head_dim; i += blockDim.x)
        append_to_cache(&a, blockIdx.x, i, position, k[i], k[(size_t)a.kv_heads * a.head_dim + i]);
}

static __global__ void __launch_bounds__(ATTEND_THREADS) attend(attend_args a)
{
    PK_GRID_DEPENDENCY_TRIGGER();
    attend_block(&a, (int)blockIdx.x, (int)gridDim.x, (int)blockIdx.y);
}

static __global__ void choose(choose_args a)
{
    begin();
    choose_block(&a, (int)blockIdx.x, (int)gridDim.x);
}

/* ---- a step ---- */

const pk_decode_how pk_decode_naive = {};

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
    LAUNCH_OR_RECORD(how, PK_STEP_ATTEND, attend, attend, (unsigned)d->splits, (unsigned)c->heads, threads,
                     (cudaStream_t)stream, a);
    return PK_OK;
}

static pk_status launch_rotate(const pk_decoder *d, const pk_device_layer *layer, pk_decode_at at, int append,
                               const pk_decode_how *how, void *stream)
{
    rotate_args a = rotation(d, layer, at);
    a.append = append;
    LAUNCH_OR_RECORD(how, PK_STEP_ROTATE, rotate, rotate, (unsigned)(a.heads + a.kv_heads), 1u, PK_LANES,
                     (cudaStream_t)stream, a);
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
    a.holds = how->holds;
    a.best = d->best;
    a.arrivals = d->arrivals + d->config.heads;
    a.top_k = d->sampling.top_k;
    a.temperature = d->sampling.temperature;
    a.seed = d->sampling.seed;
    a.end_count = d->sampling.stop_at_end ? d->config.end_count : 0;
    for (int i = 0; i < a.end_count; i++)
        a.end_tokens[i] = d->config.end_tokens[i];
    const unsigned wanted = blocks_for(a.vocab, (unsigned)d->threads * 4), most = PK_SAMPLE_BLOCKS;
    LAUNCH_OR_RECORD(how, PK_STEP_CHOOSE, choose, choose, wanted < most ? wanted : most, 1u, (unsigned)d->threads,
                     (cudaStream_t)stream, a);
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

pk_status pk_decode_reads(const pk_decoder *d)
{
    if (d->shape.weights == PK_QUANT_BF16)
        return PK_OK;
    return pk_fail(PK_USAGE, "decoder: the kernels of a step and of a prefill read bf16, and its weights are %s",
                   pk_quant_name(d->shape.weights));
}

pk_status pk_decode_step(const pk_decoder *d, pk_decode_at at, const pk_decode_how *how, void *stream)
{
    how = how ? how : &pk_decode_naive;
    if (how->record && !how->fused)
        return pk_fail(PK_USAGE, "decoder: only the kernels of a fused step can be told");
    if (!how->record)
        PK_TRY(pk_decode_reads(d));
    const embed_args e = {at, d->embedding, d->x, d->config.hidden, d->config.vocab};
    pk_decode_how first = *how;
    first.pdl = false; /* see the head of this file */
    LAUNCH_OR_RECORD(&first, PK_STEP_EMBED, embed, embed, blocks_for(e.hidden, (unsigned)d->threads), 1u,
                     (unsigned)d->threads, (cudaStream_t)stream, e);
    for (int i = 0; i < d->config.layers; i++)
        PK_TRY((how->fused ? layer_fused : layer_unfused)(d, &d->layer[i], at, how, stream));
    return pk_decode_logits_and_choose(d, d->x, at, how, stream);
}

pk_status pk_decode_text(const pk_decoder *d, const pk_decode_how *how, const int *tokens, int count, float *logits,
                         void *stream)
{
    const size_t vocab = (size_t)d->config.vocab;
    if (count > d->shape.capacity)
        return pk_fail(PK_USAGE, "a text of %d tokens, and the cache has %d positions", count, d->shape.capacity);
    for (int i = 0; i + 1 < count; i++) {
        const pk_decode_at at = {d->state, i, tokens[i], 0};
        PK_TRY(pk_decode_step(d, at, how, stream));
        PK_TRY(pk_device_download(logits + (size_t)i * vocab, d->logits, vocab * sizeof *logits, stream));
        PK_TRY(pk_device_stream_synchronize(stream)); /* row 0 is written again */
    }
    return PK_OK;
}

int pk_decode_step_launches(const pk_decoder *d, const pk_decode_how *how)
{
    const int layer = !how || !how->fused ? 15 : d->config.qk_norm ? 6 : 5;
    return 1 + d->config.layers * layer + pk_decode_logits_and_choose_launches(how ? how : &pk_decode_naive);
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
    const pk_decode_at at = {d->state, 0, 0, 0};
    PK_TRY(pk_decode_reads(d));
    pk_matvec m = projection(d, at, matrix->weight, matrix->rows, matrix->columns, x, y);
    return launch_matvec(d, &m, &pk_decode_naive, stream);
}
