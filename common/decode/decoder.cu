/* The decoder's device memory: how it is laid out, and how weights, tables and the state come into it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_random.h"
#include "pk_gpu.h"

#include "decode/decode_internal.h"
#include "decode/pk_matvec.cuh"
#include "decode/pk_quant.h"

/* ---- layout ---- */

enum { ALIGNMENT = 256, MOST_SPLITS = 64 };

typedef struct region { /* of one kind of memory; base NULL: only counts */
    char *base;
    size_t used;
} region;

static void *take(region *r, size_t bytes)
{
    void *const at = r->base ? r->base + r->used : NULL;
    r->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

static uint16_t *take_matrix(region *r, size_t rows, size_t columns)
{
    return (uint16_t *)take(r, rows * columns * sizeof(uint16_t));
}

/* Of a step: as pk_quant_of says, row below row by the format's pitch. */
static size_t weight_bytes(pk_quant weights, size_t rows, size_t columns)
{
    return rows * pk_quant_pitch(pk_quant_of(weights, columns), columns);
}

static uint16_t *take_weights(region *r, pk_quant weights, size_t rows, size_t columns)
{
    return (uint16_t *)take(r, weight_bytes(weights, rows, columns));
}

static float *take_floats(region *r, size_t count)
{
    return (float *)take(r, count * sizeof(float));
}

static size_t qkv_rows(const pk_model_config *c)
{
    return (size_t)(c->heads + 2 * c->kv_heads) * (size_t)c->head_dim;
}

static void lay_out_layer(const pk_model_config *c, pk_quant format, region *weights, pk_device_layer *layer)
{
    const size_t hidden = (size_t)c->hidden, heads = (size_t)c->heads * (size_t)c->head_dim, ffn = (size_t)c->ffn;
    const size_t head_dim = (size_t)c->head_dim;
    layer->attn_norm = take_matrix(weights, 1, hidden);
    layer->qkv = take_weights(weights, format, qkv_rows(c), hidden);
    layer->qkv_bias = c->qkv_bias ? take_matrix(weights, 1, qkv_rows(c)) : NULL;
    layer->q_norm = c->qk_norm ? take_matrix(weights, 1, head_dim) : NULL;
    layer->k_norm = c->qk_norm ? take_matrix(weights, 1, head_dim) : NULL;
    layer->o = take_weights(weights, format, hidden, heads);
    layer->ffn_norm = take_matrix(weights, 1, hidden);
    layer->gate_up = take_weights(weights, format, 2 * ffn, hidden);
    layer->down = take_weights(weights, format, hidden, ffn);
}

/* `layer` [layers], or NULL where nothing is to be kept. */
static size_t lay_out_weights(const pk_model_config *c, pk_quant format, void *memory, pk_decoder *d,
                              pk_device_layer *layer)
{
    const size_t vocab = (size_t)c->vocab, hidden = (size_t)c->hidden;
    region weights = {(char *)memory, 0};
    for (int i = 0; i < c->layers; i++) {
        pk_device_layer unkept = {};
        lay_out_layer(c, format, &weights, layer ? &layer[i] : &unkept);
    }
    d->final_norm = take_matrix(&weights, 1, (size_t)c->hidden);
    d->embedding = take_matrix(&weights, vocab, hidden);
    const bool shared = c->tied_embedding && pk_quant_of(format, hidden) == PK_QUANT_BF16;
    d->logits_weight = shared ? d->embedding : take_weights(&weights, format, vocab, hidden);
    return weights.used;
}

static size_t lay_out_cache(const pk_model_config *c, int capacity, void *memory, pk_device_layer *layer)
{
    region cache = {(char *)memory, 0};
    for (int i = 0; i < c->layers; i++) {
        const size_t rows = (size_t)c->kv_heads * (size_t)capacity;
        uint16_t *const k = take_matrix(&cache, rows, (size_t)c->head_dim);
        uint16_t *const v = take_matrix(&cache, rows, (size_t)c->head_dim);
        if (layer) {
            layer[i].k_cache = k;
            layer[i].v_cache = v;
        }
    }
    return cache.used;
}

static int widest(const pk_model_config *c)
{
    const int heads = c->heads * c->head_dim, wide = c->ffn > c->hidden ? c->ffn : c->hidden;
    return wide > heads ? wide : heads;
}

static size_t lay_out_scratch(const pk_model_config *c, const pk_decoder_shape *shape, void *memory, pk_decoder *d)
{
    region scratch = {(char *)memory, 0};
    const size_t rows = (size_t)shape->most_rows, hidden = (size_t)c->hidden, ffn = (size_t)c->ffn;
    const size_t heads = (size_t)c->heads * (size_t)c->head_dim;
    d->x = take_floats(&scratch, rows * hidden);
    d->normed = take_floats(&scratch, rows * hidden);
    d->qkv = take_floats(&scratch, rows * qkv_rows(c));
    d->heads = take_floats(&scratch, rows * heads);
    d->branch = take_floats(&scratch, rows * hidden);
    d->gate_up = take_floats(&scratch, rows * 2 * ffn);
    d->act = take_floats(&scratch, rows * ffn);
    d->rounded = take_matrix(&scratch, rows, (size_t)widest(c));
    d->partial = take_floats(&scratch, (size_t)c->heads * (size_t)d->splits * (size_t)(c->head_dim + 2));
    d->arrivals = (unsigned *)take(&scratch, (size_t)(c->heads + 1) * sizeof(unsigned));
    d->best = take_floats(&scratch, (size_t)PK_SAMPLE_BLOCKS * PK_SAMPLE_MOST * 2);
    return scratch.used;
}

/* Parts of a head's keys: about two blocks a processor over all heads, when there are keys enough. */
static int most_splits(const pk_model_config *c, int capacity, int processors)
{
    int splits = (2 * processors + c->heads - 1) / c->heads;
    const int useful = (capacity + PK_ATTEND_PART_KEYS - 1) / PK_ATTEND_PART_KEYS;
    splits = splits < useful ? splits : useful;
    return splits < 1 ? 1 : splits > MOST_SPLITS ? MOST_SPLITS : splits;
}

static pk_status check_shape(const pk_model_config *c, const pk_decoder_shape *shape)
{
    PK_TRY(pk_model_config_check(c));
    if (shape->capacity < 1 || shape->most_rows < 1 || shape->steps < 1 || shape->logit_rows < 1)
        return pk_fail(PK_USAGE,
                       "decoder: a cache of %d positions, buckets of %d, %d tokens and %d logits kept: each "
                       "must be at least 1",
                       shape->capacity, shape->most_rows, shape->steps, shape->logit_rows);
    if (shape->capacity > c->max_positions)
        return pk_fail(
            PK_USAGE,
            "decoder: a cache of %d positions, and %s was made for %d at most: use a shorter prompt or fewer "
            "tokens",
            shape->capacity, c->name, c->max_positions);
    return PK_OK;
}

pk_status pk_decoder_size(const pk_model_config *c, const pk_decoder_shape *shape, int processors,
                          pk_decoder_sizes *sizes)
{
    pk_decoder d = {};
    PK_TRY(check_shape(c, shape));
    d.splits = most_splits(c, shape->capacity, processors);
    sizes->weights = lay_out_weights(c, shape->weights, NULL, &d, NULL);
    sizes->cache = lay_out_cache(c, shape->capacity, NULL, NULL);
    sizes->tables = (size_t)shape->capacity * (size_t)c->head_dim * sizeof(float);
    sizes->scratch = lay_out_scratch(c, shape, NULL, &d);
    sizes->state = sizeof(pk_decode_state);
    sizes->tokens = (size_t)shape->steps * sizeof(int);
    sizes->logits = (size_t)shape->logit_rows * (size_t)c->vocab * sizeof(float);
    sizes->prompt = (size_t)shape->most_rows * sizeof(int);
    return PK_OK;
}

void pk_decoder_list(const pk_decoder_sizes *sizes, pk_decoder_memory *memory,
                     pk_decoder_buffer buffer[PK_DECODER_BUFFERS])
{
    const pk_decoder_buffer all[PK_DECODER_BUFFERS] = {
        /* in the order of pk_decoder_buffer_of */
        {"weights", sizes->weights, &memory->weights}, {"cache", sizes->cache, &memory->cache},
        {"rotations", sizes->tables, &memory->tables}, {"scratch", sizes->scratch, &memory->scratch},
        {"state", sizes->state, &memory->state},       {"tokens", sizes->tokens, &memory->tokens},
        {"logits", sizes->logits, &memory->logits},    {"prompt", sizes->prompt, &memory->prompt}};
    memcpy(buffer, all, sizeof all);
}

size_t pk_decoder_bytes(const pk_decoder_sizes *sizes, const pk_decoder_shape *shape)
{
    return sizes->weights + sizes->cache + sizes->tables + sizes->scratch + sizes->state + sizes->tokens +
           sizes->logits / (size_t)shape->logit_rows + sizes->prompt;
}

int pk_decoder_threads(bool is_gpu)
{
    return is_gpu ? PK_MOST_THREADS
                  : PK_LANES; /* the CPU device's threads take turns: more of them only meet oftener */
}

pk_status pk_decoder_open(pk_decoder *d, const pk_model_config *c, const pk_decoder_shape *shape,
                          const pk_sampling *sampling, int processors, int threads, const pk_decoder_memory *memory)
{
    memset(d, 0, sizeof *d);
    PK_TRY(check_shape(c, shape));
    if (threads % PK_LANES != 0 || threads < PK_LANES || threads > PK_MOST_THREADS)
        return pk_fail(PK_USAGE, "decoder: %d threads a block: use a multiple of %d up to %d", threads, PK_LANES,
                       PK_MOST_THREADS);
    if (sampling->top_k < 1 || sampling->top_k > PK_SAMPLE_MOST ||
        (sampling->top_k > 1 && !(sampling->temperature > 0)))
        return pk_fail(PK_USAGE,
                       "decoder: the best %d at temperature %g: choose among 1 to %d, at a temperature above 0",
                       sampling->top_k, (double)sampling->temperature, PK_SAMPLE_MOST);
    d->config = *c;
    d->shape = *shape;
    d->sampling = *sampling;
    d->processors = processors;
    d->threads = threads;
    d->splits = most_splits(c, shape->capacity, processors);
    d->layer = (pk_device_layer *)calloc((size_t)c->layers, sizeof *d->layer);
    if (!d->layer)
        return pk_out_of_memory("the decoder's layers");
    lay_out_weights(c, shape->weights, memory->weights, d, d->layer);
    lay_out_cache(c, shape->capacity, memory->cache, d->layer);
    lay_out_scratch(c, shape, memory->scratch, d);
    d->rope = (const float *)memory->tables;
    d->state = (pk_decode_state *)memory->state;
    d->tokens = (int *)memory->tokens;
    d->logits = (float *)memory->logits;
    d->prompt = (int *)memory->prompt;
    return PK_OK;
}

void pk_decoder_close(pk_decoder *d)
{
    free(d->layer);
    d->layer = NULL;
}

/* ---- loading ---- */

/* The model whose tensors are the decoder's: q, k and v stand one below the other, and so do gate and up. */
static void name_tensors(const pk_decoder *d, pk_model *where, pk_layer_weights *layer)
{
    const pk_model_config *c = &d->config;
    const size_t q_rows = (size_t)c->heads * (size_t)c->head_dim, kv_rows = (size_t)c->kv_heads * (size_t)c->head_dim;
    const size_t hidden = (size_t)c->hidden, row = weight_bytes(d->shape.weights, 1, hidden) / sizeof(uint16_t);
    where->config = *c;
    where->embedding = d->embedding;
    where->final_norm = d->final_norm;
    where->logits = d->logits_weight;
    where->layer = layer;
    for (int i = 0; i < c->layers; i++) {
        const pk_device_layer *const from = &d->layer[i];
        pk_layer_weights *const to = &layer[i];
        to->attn_norm = from->attn_norm;
        to->q = from->qkv;
        to->k = from->qkv + q_rows * row;
        to->v = from->qkv + (q_rows + kv_rows) * row;
        to->q_bias = from->qkv_bias;
        to->k_bias = from->qkv_bias ? from->qkv_bias + q_rows : NULL;
        to->v_bias = from->qkv_bias ? from->qkv_bias + q_rows + kv_rows : NULL;
        to->q_norm = from->q_norm;
        to->k_norm = from->k_norm;
        to->o = from->o;
        to->ffn_norm = from->ffn_norm;
        to->gate = from->gate_up;
        to->up = from->gate_up + (size_t)c->ffn * row;
        to->down = from->down;
    }
}

static pk_status load_tables(const pk_decoder *d, void *stream)
{
    const int half = d->config.head_dim / 2;
    const size_t floats = (size_t)d->shape.capacity * (size_t)half * 2;
    double *const frequency = (double *)malloc((size_t)half * sizeof *frequency);
    float *const table = (float *)malloc(floats * sizeof *table);
    pk_status status = frequency && table ? PK_OK : pk_out_of_memory("the table of rotations");
    if (status == PK_OK) {
        pk_model_rope_frequencies(&d->config, frequency);
        for (int position = 0; position < d->shape.capacity; position++) {
            for (int i = 0; i < half; i++) {
                float *const turn = table + ((size_t)position * (size_t)half + (size_t)i) * 2;
                turn[0] = (float)cos(position * frequency[i]);
                turn[1] = (float)sin(position * frequency[i]);
            }
        }
        status = pk_device_upload((void *)d->rope, table, floats * sizeof *table, stream);
    }
    if (status == PK_OK)
        status = pk_device_fill(d->arrivals, 0, (size_t)(d->config.heads + 1) * sizeof(unsigned), stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    free(frequency);
    free(table);
    return status;
}

typedef struct fill_args {
    uint16_t *to;
    uint64_t count, seed;
    float centre, spread;
} fill_args;

static __global__ void fill_random(fill_args a)
{
    const uint64_t stride = (uint64_t)gridDim.x * blockDim.x;
    for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < a.count; i += stride)
        a.to[i] = pk_model_random_weight(a.seed, i, a.centre, a.spread);
}

static pk_status load_tensors(const pk_decoder *d, pk_model *where, pk_model *model, uint64_t seed, void *stream)
{
    const size_t count = pk_model_tensor_count(&d->config);
    for (size_t i = 0; i < count; i++) {
        const pk_model_tensor tensor = pk_model_tensor_at(&d->config, i);
        uint16_t *const to = (uint16_t *)*pk_model_tensor_slot(where, i);
        const size_t elements = tensor.rows * tensor.columns;
        if (model) {
            const bool matrix = i > 0 && tensor.rows > 1; /* as in quant_model.c; 0: the embedding */
            const pk_quant format = matrix ? d->shape.weights : PK_QUANT_BF16;
            PK_TRY(pk_device_upload(to, *pk_model_tensor_slot(model, i),
                                    weight_bytes(format, tensor.rows, tensor.columns), stream));
            continue;
        }
        const fill_args a = {to, elements, pk_random_split(seed, i), tensor.centre, tensor.spread};
        const unsigned blocks = elements < 65536 ? 1 + (unsigned)(elements / 256) : 1024;
        PK_LAUNCH(fill_random, blocks, 256, 0, (cudaStream_t)stream, a);
    }
    if (model && d->config.tied_embedding && d->logits_weight != d->embedding) /* which has no number */
        PK_TRY(pk_device_upload((void *)d->logits_weight, model->logits,
                                weight_bytes(d->shape.weights, (size_t)d->config.vocab, (size_t)d->config.hidden),
                                stream));
    return PK_OK;
}

static pk_status load(const pk_decoder *d, pk_model *model, uint64_t seed, void *stream)
{
    pk_model where = {};
    const pk_quant given = model ? model->weights : PK_QUANT_BF16;
    if (given != d->shape.weights)
        return pk_fail(PK_USAGE, "decoder: %s weights for a decoder of %s: quantise the model first (pk_quant_model)",
                       pk_quant_name(given), pk_quant_name(d->shape.weights));
    pk_layer_weights *const layer = (pk_layer_weights *)calloc((size_t)d->config.layers, sizeof *layer);
    if (!layer)
        return pk_out_of_memory("the names of the decoder's tensors");
    name_tensors(d, &where, layer);
    pk_status status = load_tensors(d, &where, model, seed, stream);
    free(layer);
    return status == PK_OK ? load_tables(d, stream) : status;
}

pk_status pk_decoder_load(const pk_decoder *d, const pk_model *model, void *stream)
{
    pk_model readable = *model; /* the slots are those of a model that may be written; nothing is */
    return load(d, &readable, 0, stream);
}

pk_status pk_decoder_load_random(const pk_decoder *d, uint64_t seed, void *stream)
{
    return load(d, NULL, seed, stream);
}

/* ---- a generation's beginning, and its faults ---- */

const char *pk_decode_fault_text(int fault)
{
    switch (fault) {
    case 0:
        return "none";
    case PK_FAULT_CACHE_FULL:
        return "the cache is full (docs/troubleshooting.md#cache-full)";
    case PK_FAULT_BUCKET:
        return "the prompt is longer than its bucket (docs/troubleshooting.md#bucket-too-small)";
    case PK_FAULT_NO_NUMBER:
        return "no logit is a number (docs/troubleshooting.md#no-number)";
    default:
        return "one that has no name: the state was overwritten";
    }
}

typedef struct begin_args {
    pk_decode_state *state;
    pk_decode_state value;
} begin_args;

static __global__ void begin_generation(begin_args a)
{
    *a.state = a.value;
}

pk_status pk_decoder_begin(const pk_decoder *d, const int *prompt, int prompt_tokens, int limit, void *stream)
{
    if (prompt_tokens < 1 || prompt_tokens > d->shape.most_rows)
        return pk_fail(PK_USAGE, "decoder: a prompt of %d tokens, and the largest bucket has room for 1 to %d",
                       prompt_tokens, d->shape.most_rows);
    if (limit < 1 || limit > d->shape.steps || prompt_tokens + limit - 1 > d->shape.capacity)
        return pk_fail(
            PK_USAGE,
            "decoder: %d tokens after a prompt of %d need a cache of %d positions and room for %d tokens; there "
            "are %d and %d",
            limit, prompt_tokens, prompt_tokens + limit - 1, limit, d->shape.capacity, d->shape.steps);
    for (int i = 0; i < prompt_tokens; i++)
        if (prompt[i] < 0 || prompt[i] >= d->config.vocab)
            return pk_fail(PK_USAGE, "decoder: token %d of the prompt is %d; the vocabulary has 0 to %d", i, prompt[i],
                           d->config.vocab - 1);
    begin_args a = {d->state, {0, 0, 0, limit, 0, 0, prompt_tokens, 0}};
    PK_TRY(pk_device_upload(d->prompt, prompt, (size_t)prompt_tokens * sizeof *prompt, stream));
    PK_LAUNCH(begin_generation, 1, 1, 0, (cudaStream_t)stream, a);
    return PK_OK;
}

/* ---- what a step moves ---- */

double pk_decode_step_bytes_of(const pk_model_config *c, pk_quant weights, double position)
{
    double bytes = 0;
    for (size_t i = c->tied_embedding ? 0 : 1; i < pk_model_tensor_count(c); i++) { /* 0: the embedding */
        const pk_model_tensor tensor = pk_model_tensor_at(c, i);
        const pk_quant format = tensor.rows > 1 ? pk_quant_of(weights, tensor.columns) : PK_QUANT_BF16;
        bytes += (double)tensor.rows * (double)pk_quant_row_bytes(format, tensor.columns);
    }
    return bytes + 2.0 * c->layers * c->kv_heads * c->head_dim * (position + 1) * (double)sizeof(uint16_t);
}

double pk_decode_step_bytes(const pk_model_config *c, double position)
{
    return pk_decode_step_bytes_of(c, PK_QUANT_BF16, position);
}
