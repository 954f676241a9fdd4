/* Shapes of models: by name, checked, and what follows from them: the rotary frequencies and the list of tensors. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pk_model.h"

/* ---- by name ---- */

/* From each model's config.json. Begin and end tokens are those of the plain text model where there is also a chat
 * model, except for SmolLM2 and Qwen3-8B, of which the chat model is the usual one. The tiny ones are for tests: one of
 * each family, with group sizes of 2, 7 and 4, and a head_dim that is not hidden / heads. The odd ones are of awkward
 * sizes: heads of 64, 80 and 128, groups of 1, 3 and 2, one of each family, vocabularies that are multiples of nothing,
 * and room for long contexts. All rows of tiny-256 are whole Q4_K blocks, and those of down long enough to be copied in
 * pieces. */
static const pk_model_config named[] = {{.name = "tiny",
                                         .family = "llama",
                                         .layers = 2,
                                         .hidden = 64,
                                         .heads = 4,
                                         .kv_heads = 2,
                                         .head_dim = 16,
                                         .ffn = 128,
                                         .vocab = 256,
                                         .max_positions = 8192,
                                         .rms_eps = 1e-5,
                                         .rope_theta = 10000,
                                         .rope_factor = 1,
                                         .tied_embedding = true,
                                         .begin_token = 1,
                                         .end_tokens = {2},
                                         .end_count = 1},
                                        {.name = "tiny-qwen2",
                                         .family = "qwen2",
                                         .layers = 2,
                                         .hidden = 64,
                                         .heads = 7,
                                         .kv_heads = 1,
                                         .head_dim = 16,
                                         .ffn = 128,
                                         .vocab = 256,
                                         .max_positions = 8192,
                                         .rms_eps = 1e-6,
                                         .rope_theta = 1e6,
                                         .rope_factor = 1,
                                         .qkv_bias = true,
                                         .tied_embedding = true,
                                         .begin_token = 1,
                                         .end_tokens = {2},
                                         .end_count = 1},
                                        {.name = "tiny-qwen3",
                                         .family = "qwen3",
                                         .layers = 2,
                                         .hidden = 64,
                                         .heads = 8,
                                         .kv_heads = 2,
                                         .head_dim = 32,
                                         .ffn = 128,
                                         .vocab = 256,
                                         .max_positions = 8192,
                                         .rms_eps = 1e-6,
                                         .rope_theta = 1e6,
                                         .rope_factor = 1,
                                         .qk_norm = true,
                                         .begin_token = 1,
                                         .end_tokens = {2, 3},
                                         .end_count = 2},
                                        {.name = "odd-64",
                                         .family = "qwen2",
                                         .layers = 2,
                                         .hidden = 72,
                                         .heads = 2,
                                         .kv_heads = 2,
                                         .head_dim = 64,
                                         .ffn = 136,
                                         .vocab = 331,
                                         .max_positions = 1 << 18,
                                         .rms_eps = 1e-6,
                                         .rope_theta = 1e6,
                                         .rope_factor = 1,
                                         .qkv_bias = true,
                                         .tied_embedding = true,
                                         .begin_token = 1,
                                         .end_tokens = {2},
                                         .end_count = 1},
                                        {.name = "odd-80",
                                         .family = "llama",
                                         .layers = 2,
                                         .hidden = 88,
                                         .heads = 3,
                                         .kv_heads = 1,
                                         .head_dim = 80,
                                         .ffn = 104,
                                         .vocab = 521,
                                         .max_positions = 1 << 18,
                                         .rms_eps = 1e-5,
                                         .rope_theta = 10000,
                                         .rope_factor = 1,
                                         .begin_token = 1,
                                         .end_tokens = {2},
                                         .end_count = 1},
                                        {.name = "odd-128",
                                         .family = "qwen3",
                                         .layers = 2,
                                         .hidden = 104,
                                         .heads = 4,
                                         .kv_heads = 2,
                                         .head_dim = 128,
                                         .ffn = 168,
                                         .vocab = 257,
                                         .max_positions = 1 << 18,
                                         .rms_eps = 1e-6,
                                         .rope_theta = 1e6,
                                         .rope_factor = 1,
                                         .qk_norm = true,
                                         .tied_embedding = true,
                                         .begin_token = 1,
                                         .end_tokens = {2},
                                         .end_count = 1},
                                        {.name = "tiny-256",
                                         .family = "llama",
                                         .layers = 1,
                                         .hidden = 256,
                                         .heads = 4,
                                         .kv_heads = 2,
                                         .head_dim = 64,
                                         .ffn = 2048,
                                         .vocab = 331,
                                         .max_positions = 1 << 18,
                                         .rms_eps = 1e-5,
                                         .rope_theta = 10000,
                                         .rope_factor = 1,
                                         .begin_token = 1,
                                         .end_tokens = {2},
                                         .end_count = 1},
                                        {.name = "smollm2-135m",
                                         .family = "llama",
                                         .layers = 30,
                                         .hidden = 576,
                                         .heads = 9,
                                         .kv_heads = 3,
                                         .head_dim = 64,
                                         .ffn = 1536,
                                         .vocab = 49152,
                                         .max_positions = 8192,
                                         .rms_eps = 1e-5,
                                         .rope_theta = 100000,
                                         .rope_factor = 1,
                                         .tied_embedding = true,
                                         .begin_token = 1,
                                         .end_tokens = {2},
                                         .end_count = 1},
                                        {.name = "qwen2.5-0.5b",
                                         .family = "qwen2",
                                         .layers = 24,
                                         .hidden = 896,
                                         .heads = 14,
                                         .kv_heads = 2,
                                         .head_dim = 64,
                                         .ffn = 4864,
                                         .vocab = 151936,
                                         .max_positions = 32768,
                                         .rms_eps = 1e-6,
                                         .rope_theta = 1e6,
                                         .rope_factor = 1,
                                         .qkv_bias = true,
                                         .tied_embedding = true,
                                         .begin_token = 151643,
                                         .end_tokens = {151643},
                                         .end_count = 1},
                                        {.name = "llama-3.2-1b",
                                         .family = "llama",
                                         .layers = 16,
                                         .hidden = 2048,
                                         .heads = 32,
                                         .kv_heads = 8,
                                         .head_dim = 64,
                                         .ffn = 8192,
                                         .vocab = 128256,
                                         .max_positions = 131072,
                                         .rms_eps = 1e-5,
                                         .rope_theta = 500000,
                                         .rope_factor = 32,
                                         .rope_low_freq = 1,
                                         .rope_high_freq = 4,
                                         .rope_original_positions = 8192,
                                         .tied_embedding = true,
                                         .begin_token = 128000,
                                         .end_tokens = {128001},
                                         .end_count = 1},
                                        {.name = "qwen3-8b",
                                         .family = "qwen3",
                                         .layers = 36,
                                         .hidden = 4096,
                                         .heads = 32,
                                         .kv_heads = 8,
                                         .head_dim = 128,
                                         .ffn = 12288,
                                         .vocab = 151936,
                                         .max_positions = 40960,
                                         .rms_eps = 1e-6,
                                         .rope_theta = 1e6,
                                         .rope_factor = 1,
                                         .qk_norm = true,
                                         .begin_token = 151643,
                                         .end_tokens = {151645},
                                         .end_count = 1}};

enum { NAMED_COUNT = sizeof named / sizeof named[0] };

const char *pk_model_config_name(size_t index)
{
    return index < NAMED_COUNT ? named[index].name : NULL;
}

pk_status pk_model_config_named(const char *name, pk_model_config *config)
{
    char names[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < NAMED_COUNT; i++) {
        if (strcmp(name, named[i].name) == 0) {
            *config = named[i];
            return PK_OK;
        }
        const int added = snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", named[i].name);
        if (added > 0 && (size_t)added < sizeof names - used)
            used += (size_t)added;
    }
    return pk_fail(PK_USAGE, "model '%.64s': no configuration has that name; take one of %s", name, names);
}

/* ---- checked ---- */

static pk_status out_of_range(const pk_model_config *config, const char *what, const char *is, const char *wanted)
{
    return pk_fail(PK_USAGE,
                   "model %.63s: %s is %s, and must be %s; take a model of another shape, or correct its config.json",
                   config->name, what, is, wanted);
}

/* The upper ends lie well over any model of these families, and keep products of two of them within 64 bits. The
 * multiples are those that vector loads of 16 bytes and tensor-core tiles need. */
static pk_status check_integers(const pk_model_config *config)
{
    const struct {
        const char *what;
        int value, least, most, multiple;
    } ranges[] = {{"the number of layers", config->layers, 1, 1024, 1},
                  {"the hidden size", config->hidden, 8, 65536, 8},
                  {"the number of heads", config->heads, 1, 1024, 1},
                  {"the number of key/value heads", config->kv_heads, 1, 1024, 1},
                  {"the head size", config->head_dim, 16, 256, 16},
                  {"the feed-forward size", config->ffn, 8, 1 << 20, 8},
                  {"the vocabulary size", config->vocab, 1, 1 << 21, 1},
                  {"the number of positions", config->max_positions, 1, 1 << 24, 1},
                  {"the begin token", config->begin_token, -1, config->vocab - 1, 1},
                  {"the number of end tokens", config->end_count, 0, PK_MODEL_MOST_ENDS, 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        char is[16], wanted[80];
        const int value = ranges[i].value, multiple = ranges[i].multiple;
        if (value >= ranges[i].least && value <= ranges[i].most && value % multiple == 0)
            continue;
        (void)snprintf(is, sizeof is, "%d", value);
        if (multiple > 1)
            (void)snprintf(wanted, sizeof wanted, "%d to %d and a multiple of %d", ranges[i].least, ranges[i].most,
                           multiple);
        else
            (void)snprintf(wanted, sizeof wanted, "%d to %d", ranges[i].least, ranges[i].most);
        return out_of_range(config, ranges[i].what, is, wanted);
    }
    return PK_OK;
}

static bool within(double value, double least, double most) /* false for a NaN */
{
    return value >= least && value <= most;
}

static pk_status check_reals(const pk_model_config *config)
{
    const bool stretched = config->rope_factor != 1;
    const struct {
        const char *what;
        double value;
        bool good;
        const char *wanted;
    } ranges[] = {
        {"rms_norm_eps", config->rms_eps, within(config->rms_eps, 1e-30, 0.1), "1e-30 to 0.1"},
        {"rope_theta", config->rope_theta, within(config->rope_theta, 1, 1e12), "1 to 1e12"},
        {"the rope factor", config->rope_factor, within(config->rope_factor, 1, 1e6), "1 to 1e6"},
        {"rope's low_freq_factor", config->rope_low_freq, !stretched || within(config->rope_low_freq, 1e-6, 1e6),
         "1e-6 to 1e6"},
        {"rope's high_freq_factor", config->rope_high_freq,
         !stretched || (within(config->rope_high_freq, 1e-6, 1e6) && config->rope_high_freq > config->rope_low_freq),
         "over low_freq_factor and up to 1e6"},
        {"rope's original_max_position_embeddings", config->rope_original_positions,
         !stretched || within(config->rope_original_positions, 1, 1 << 24), "1 to 16777216"}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        char is[32];
        if (ranges[i].good)
            continue;
        (void)snprintf(is, sizeof is, "%g", ranges[i].value);
        return out_of_range(config, ranges[i].what, is, ranges[i].wanted);
    }
    return PK_OK;
}

pk_status pk_model_config_check(const pk_model_config *config)
{
    char is[32];
    pk_status status = check_integers(config);
    if (status == PK_OK)
        status = check_reals(config);
    if (status != PK_OK)
        return status;
    if (config->heads % config->kv_heads != 0) {
        (void)snprintf(is, sizeof is, "%d to %d", config->heads, config->kv_heads);
        return out_of_range(config, "the ratio of heads to key/value heads", is, "a whole number");
    }
    for (int i = 0; i < config->end_count; i++) {
        if (config->end_tokens[i] >= 0 && config->end_tokens[i] < config->vocab)
            continue;
        (void)snprintf(is, sizeof is, "%d", config->end_tokens[i]);
        return out_of_range(config, "an end token", is, "a token of the vocabulary");
    }
    if (config->activation != PK_ACTIVATION_SILU && config->activation != PK_ACTIVATION_GELU_TANH)
        return out_of_range(config, "the activation", "of no known kind", "silu or gelu_pytorch_tanh");
    return PK_OK;
}

/* ---- rotary frequencies ---- */

/* Llama 3: wavelengths over `original / low` positions are stretched by the factor, those under `original / high` stay,
 * and between the two a blend, linear in the number of turns that fit into the original positions. */
static double stretched(const pk_model_config *config, double frequency)
{
    const double turns = config->rope_original_positions * frequency / (2 * 3.14159265358979323846);
    if (turns < config->rope_low_freq)
        return frequency / config->rope_factor;
    if (turns > config->rope_high_freq)
        return frequency;
    const double kept = (turns - config->rope_low_freq) / (config->rope_high_freq - config->rope_low_freq);
    return (1 - kept) * frequency / config->rope_factor + kept * frequency;
}

void pk_model_rope_frequencies(const pk_model_config *config, double *frequency)
{
    for (int pair = 0; pair < config->head_dim / 2; pair++) {
        frequency[pair] = pow(config->rope_theta, -2.0 * pair / config->head_dim);
        if (config->rope_factor != 1)
            frequency[pair] = stretched(config, frequency[pair]);
    }
}

/* ---- the list of tensors ---- */

/* What a layer has, in the order of its numbers. */
typedef enum part {
    ATTN_NORM,
    Q,
    K,
    V,
    Q_BIAS,
    K_BIAS,
    V_BIAS,
    Q_NORM,
    K_NORM,
    O,
    FFN_NORM,
    GATE,
    UP,
    DOWN,
    PART_COUNT
} part;

static const char *const part_name[PART_COUNT] = {[ATTN_NORM] = "input_layernorm.weight",
                                                  [Q] = "self_attn.q_proj.weight",
                                                  [K] = "self_attn.k_proj.weight",
                                                  [V] = "self_attn.v_proj.weight",
                                                  [Q_BIAS] = "self_attn.q_proj.bias",
                                                  [K_BIAS] = "self_attn.k_proj.bias",
                                                  [V_BIAS] = "self_attn.v_proj.bias",
                                                  [Q_NORM] = "self_attn.q_norm.weight",
                                                  [K_NORM] = "self_attn.k_norm.weight",
                                                  [O] = "self_attn.o_proj.weight",
                                                  [FFN_NORM] = "post_attention_layernorm.weight",
                                                  [GATE] = "mlp.gate_proj.weight",
                                                  [UP] = "mlp.up_proj.weight",
                                                  [DOWN] = "mlp.down_proj.weight"};

static bool has(const pk_model_config *config, part which)
{
    if (which >= Q_BIAS && which <= V_BIAS)
        return config->qkv_bias;
    if (which == Q_NORM || which == K_NORM)
        return config->qk_norm;
    return true;
}

static size_t parts_a_layer(const pk_model_config *config)
{
    return (size_t)PART_COUNT - (config->qkv_bias ? 0u : 3u) - (config->qk_norm ? 0u : 2u);
}

/* The part that is number `number` of those that a layer has. */
static part part_at(const pk_model_config *config, size_t number)
{
    part which = ATTN_NORM;
    for (;; which++) {
        if (!has(config, which))
            continue;
        if (number == 0)
            return which;
        number--;
    }
}

size_t pk_model_tensor_count(const pk_model_config *config)
{
    return 2 + (size_t)config->layers * parts_a_layer(config) + (config->tied_embedding ? 0 : 1);
}

/* Seeded random weights: a model's numbers without a model's sense, chosen so that a mistake in any part of the pass
 * shows in the logits.
 *
 * Uniform in +- s has variance s^2 / 3. A row of n such weights times a vector whose elements have variance 1, which is
 * what RMSNorm gives, has variance n s^2 / 3: with s = sqrt(3 / n) it is 1 again, so values neither vanish nor overflow
 * at any depth. The residual stream takes a variance of about 0.4 from each layer's feed-forward and as much from its
 * attention, and so grows as the root of the number of layers: to 5 at 30.
 *
 * Scores of attention would have standard deviation 1 so, and over 1000 positions the mean of the values all but
 * vanishes, and an error with it. q and k are 1.5 times as large (where heads are normalised: their norm's centre is),
 * the scores' deviation 2.25, and a head follows some ten positions of 500.
 *
 * The embedding is within 2 sqrt(3 / n): logits with standard deviation 2, so that the likeliest token is apart from
 * the next, by 0.4 to 0.7 at the median, and yet sampling draws from many. More would, where the logits' matrix is the
 * embedding, repeat the same token for ever.
 *
 * Biases are within 1, as large as what they are added to: a missing one shows. Norm weights in 1 +- 0.125 are not all
 * the same: a wrong index shows. Where the centre is not 0 the spread is a power of two, so that a fused multiply-add
 * gives the same bits (pk_model_random.h). */
static pk_model_tensor matrix(int rows, int columns, double scale)
{
    return (pk_model_tensor){
        .rows = (size_t)rows, .columns = (size_t)columns, .spread = (float)(scale * sqrt(3.0 / columns))};
}

static pk_model_tensor vector(int columns, float centre, float spread)
{
    return (pk_model_tensor){.rows = 1, .columns = (size_t)columns, .centre = centre, .spread = spread};
}

static pk_model_tensor shape_of(const pk_model_config *config, part which)
{
    const int q_rows = config->heads * config->head_dim, kv_rows = config->kv_heads * config->head_dim;
    switch (which) {
    case Q:
        return matrix(q_rows, config->hidden, 1.5);
    case K:
        return matrix(kv_rows, config->hidden, 1.5);
    case V:
        return matrix(kv_rows, config->hidden, 1);
    case Q_BIAS:
        return vector(q_rows, 0, 1);
    case K_BIAS:
    case V_BIAS:
        return vector(kv_rows, 0, 1);
    case Q_NORM:
    case K_NORM:
        return vector(config->head_dim, 1.5f, 0.125f);
    case O:
        return matrix(config->hidden, q_rows, 1);
    case GATE:
    case UP:
        return matrix(config->ffn, config->hidden, 1);
    case DOWN:
        return matrix(config->hidden, config->ffn, 1);
    default: /* ATTN_NORM, FFN_NORM */
        return vector(config->hidden, 1, 0.125f);
    }
}

pk_model_tensor pk_model_tensor_at(const pk_model_config *config, size_t number)
{
    const size_t parts = parts_a_layer(config), of_layers = (size_t)config->layers * parts;
    pk_model_tensor tensor;
    if (number == 0) {
        tensor = matrix(config->vocab, config->hidden, 2);
        (void)snprintf(tensor.name, sizeof tensor.name, "model.embed_tokens.weight");
    } else if (number <= of_layers) {
        const part which = part_at(config, (number - 1) % parts);
        tensor = shape_of(config, which);
        (void)snprintf(tensor.name, sizeof tensor.name, "model.layers.%zu.%s", (number - 1) / parts, part_name[which]);
    } else if (number == of_layers + 1) {
        tensor = vector(config->hidden, 1, 0.125f);
        (void)snprintf(tensor.name, sizeof tensor.name, "model.norm.weight");
    } else {
        tensor = matrix(config->vocab, config->hidden, 2);
        (void)snprintf(tensor.name, sizeof tensor.name, "lm_head.weight");
    }
    return tensor;
}

static const uint16_t **part_slot(pk_layer_weights *layer, part which)
{
    const uint16_t **const slots[PART_COUNT] = {[ATTN_NORM] = &layer->attn_norm,
                                                [Q] = &layer->q,
                                                [K] = &layer->k,
                                                [V] = &layer->v,
                                                [Q_BIAS] = &layer->q_bias,
                                                [K_BIAS] = &layer->k_bias,
                                                [V_BIAS] = &layer->v_bias,
                                                [Q_NORM] = &layer->q_norm,
                                                [K_NORM] = &layer->k_norm,
                                                [O] = &layer->o,
                                                [FFN_NORM] = &layer->ffn_norm,
                                                [GATE] = &layer->gate,
                                                [UP] = &layer->up,
                                                [DOWN] = &layer->down};
    return slots[which];
}

const uint16_t **pk_model_tensor_slot(pk_model *model, size_t number)
{
    const pk_model_config *config = &model->config;
    const size_t parts = parts_a_layer(config), of_layers = (size_t)config->layers * parts;
    if (number == 0)
        return &model->embedding;
    if (number <= of_layers)
        return part_slot(&model->layer[(number - 1) / parts], part_at(config, (number - 1) % parts));
    return number == of_layers + 1 ? &model->final_norm : &model->logits;
}
