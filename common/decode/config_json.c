/* A configuration from HuggingFace's config.json. What it says and is not computed here is refused: a model that is run
 * all the same would speak nonsense. Source of names and defaults: transformers, configuration_llama.py,
 * configuration_qwen2.py, configuration_qwen3.py and modeling_rope_utils.py. */
#include <cjson/cJSON.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pk_model.h"
#include "source_file.h"

enum { MOST_MEMBERS = 1000 }; /* real ones have some forty */

/* One object of the file; the first failure stays. */
typedef struct members {
    const cJSON *object;
    const char *origin;
    pk_status status;
} members;

/* ---- members by name ---- */

/* NULL: not there, or null, which is the same in these files. */
static const cJSON *member(const members *from, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(from->object, name);
    return cJSON_IsNull(item) ? NULL : item;
}

static void refuse(members *from, const char *what, const char *why)
{
    if (from->status == PK_OK)
        from->status =
            pk_fail(PK_USAGE, "%s: %s: %s; take another model, or correct the file", from->origin, what, why);
}

static bool whole(const cJSON *item, int *value)
{
    if (!cJSON_IsNumber(item) || !(fabs(item->valuedouble) <= INT_MAX) || item->valuedouble != floor(item->valuedouble))
        return false;
    *value = (int)item->valuedouble;
    return true;
}

static int integer_or(members *from, const char *name, int otherwise)
{
    int value = otherwise;
    const cJSON *item = member(from, name);
    if (item && !whole(item, &value))
        refuse(from, name, "not a whole number within 31 bits");
    return value;
}

static int integer(members *from, const char *name)
{
    if (!member(from, name))
        refuse(from, name, "missing");
    return integer_or(from, name, 0);
}

static double real_or(members *from, const char *name, double otherwise)
{
    const cJSON *item = member(from, name);
    if (item && !cJSON_IsNumber(item))
        refuse(from, name, "not a number");
    return item && cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

static double real(members *from, const char *name)
{
    if (!member(from, name))
        refuse(from, name, "missing");
    return real_or(from, name, 0);
}

/* Missing: false, which is each one's default. */
static bool flag(members *from, const char *name)
{
    const cJSON *item = member(from, name);
    if (item && !cJSON_IsBool(item))
        refuse(from, name, "neither true nor false");
    return cJSON_IsTrue(item);
}

/* "" where there is none. */
static const char *word(members *from, const char *name)
{
    const cJSON *item = member(from, name);
    if (item && !cJSON_IsString(item))
        refuse(from, name, "not a string");
    return item && cJSON_IsString(item) ? item->valuestring : "";
}

static void refuse_word(members *from, const char *what, const char *is, const char *wanted)
{
    char why[256];
    (void)snprintf(why, sizeof why, "'%s' is not computed here, only %s", pk_show(is).text, wanted);
    refuse(from, what, why);
}

/* Readers differ in which of two members of one name they take. */
static void refuse_twins(members *from, const char *what)
{
    const cJSON *item, *other;
    if (cJSON_GetArraySize(from->object) > MOST_MEMBERS) {
        refuse(from, what, "more than 1000 members");
        return;
    }
    cJSON_ArrayForEach(item, from->object)
    {
        for (other = item->next; other; other = other->next)
            if (strcmp(item->string, other->string) == 0)
                refuse(from, pk_show(item->string).text, "there twice");
    }
}

/* ---- its parts ---- */

static const char *const families[][2] = {
    {"LlamaForCausalLM", "llama"}, {"Qwen2ForCausalLM", "qwen2"}, {"Qwen3ForCausalLM", "qwen3"}};

/* By the architecture, or where the file has none by the model's type. */
static void read_family(members *from, pk_model_config *config)
{
    const cJSON *list = member(from, "architectures");
    const cJSON *first = cJSON_IsArray(list) && cJSON_GetArraySize(list) == 1 ? list->child : NULL;
    if (list && !cJSON_IsString(first)) {
        refuse(from, "architectures", "not a list of one name");
        return;
    }
    const char *name = first ? first->valuestring : word(from, "model_type");
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(name, families[i][first ? 0 : 1]) == 0) {
            (void)snprintf(config->family, sizeof config->family, "%s", families[i][1]);
            return;
        }
    refuse_word(from, first ? "architectures" : "model_type", name,
                "LlamaForCausalLM, Qwen2ForCausalLM and Qwen3ForCausalLM");
}

static bool is_family(const pk_model_config *config, const char *family)
{
    return strcmp(config->family, family) == 0;
}

static void read_shape(members *from, pk_model_config *config)
{
    config->layers = integer(from, "num_hidden_layers");
    config->hidden = integer(from, "hidden_size");
    config->heads = integer(from, "num_attention_heads");
    config->kv_heads = integer_or(from, "num_key_value_heads", config->heads);
    config->ffn = integer(from, "intermediate_size");
    config->vocab = integer(from, "vocab_size");
    config->max_positions = integer(from, "max_position_embeddings");
    if (member(from, "head_dim"))
        config->head_dim = integer(from, "head_dim");
    else if (is_family(config, "qwen3"))
        config->head_dim = 128; /* that family's default */
    else if (config->heads > 0 && config->hidden % config->heads == 0)
        config->head_dim = config->hidden / config->heads;
    else
        refuse(from, "hidden_size", "not a multiple of num_attention_heads, and there is no head_dim");
}

static void read_activation(members *from, pk_model_config *config)
{
    const char *name = word(from, "hidden_act");
    if (!*name || strcmp(name, "silu") == 0)
        config->activation = PK_ACTIVATION_SILU;
    else if (strcmp(name, "gelu_pytorch_tanh") == 0 || strcmp(name, "gelu_new") == 0)
        config->activation = PK_ACTIVATION_GELU_TANH;
    else
        refuse_word(from, "hidden_act", name, "silu, gelu_pytorch_tanh and gelu_new");
}

static void read_biases(members *from, pk_model_config *config)
{
    config->qkv_bias = is_family(config, "qwen2"); /* always, without a word in the file */
    config->qk_norm = is_family(config, "qwen3");
    if (!config->qkv_bias && flag(from, "attention_bias"))
        refuse(from, "attention_bias",
               "in this family it gives the output projection a bias too, which is not computed here");
    if (flag(from, "mlp_bias"))
        refuse(from, "mlp_bias", "biases in the feed-forward are not computed here");
}

/* `layer_types`, where newer files say it layer by layer. */
static bool full_everywhere(const cJSON *types)
{
    const cJSON *type;
    if (types && !cJSON_IsArray(types))
        return false;
    cJSON_ArrayForEach(type, types) if (!cJSON_IsString(type) ||
                                        strcmp(type->valuestring, "full_attention") != 0) return false;
    return true;
}

static void refuse_windows(members *from, const pk_model_config *config)
{
    static const char why[] = "attention over a sliding window is not computed here";
    const int window = integer_or(from, "sliding_window", INT_MAX);
    if (flag(from, "use_sliding_window"))
        refuse(from, "use_sliding_window", why);
    /* The Qwen families have a window in the file that the flag above keeps out of use. */
    if (is_family(config, "llama") && window < config->max_positions)
        refuse(from, "sliding_window", why);
    if (!full_everywhere(member(from, "layer_types")))
        refuse(from, "layer_types", why);
}

static void refuse_others(members *from)
{
    if (member(from, "quantization_config"))
        refuse(from, "quantization_config", "quantised weights are not read here, only BF16, F16 and F32");
    if (flag(from, "rope_interleaved"))
        refuse(from, "rope_interleaved", "only half-split pairs are computed here");
    if (real_or(from, "partial_rotary_factor", 1) != 1)
        refuse(from, "partial_rotary_factor", "only a rotation of whole heads is computed here");
}

/* ---- rotary embedding ---- */

static void read_rope_type(members *rope, pk_model_config *config)
{
    const char *type = word(rope, member(rope, "rope_type") ? "rope_type" : "type"); /* the older name */
    if (!*type || strcmp(type, "default") == 0)
        return;
    if (strcmp(type, "llama3") != 0) {
        refuse_word(rope, "rope_type", type, "default and llama3");
        return;
    }
    config->rope_factor = real(rope, "factor");
    config->rope_low_freq = real(rope, "low_freq_factor");
    config->rope_high_freq = real(rope, "high_freq_factor");
    config->rope_original_positions = integer(rope, "original_max_position_embeddings");
}

/* Both spellings: rope_theta beside rope_scaling, and from transformers 5 on rope_parameters with all in it. */
static void read_rope(members *from, pk_model_config *config)
{
    const cJSON *scaling = member(from, "rope_scaling"), *parameters = member(from, "rope_parameters");
    members rope = {.object = parameters ? parameters : scaling, .origin = from->origin, .status = from->status};
    const char *name = parameters ? "rope_parameters" : "rope_scaling";
    config->rope_factor = 1;
    config->rope_theta = real_or(from, "rope_theta", 10000);
    if (!rope.object || from->status != PK_OK)
        return;
    if (!cJSON_IsObject(rope.object)) {
        refuse(from, name, "not an object");
        return;
    }
    if (parameters && scaling)
        refuse(&rope, name, "there beside rope_scaling, its older name");
    refuse_twins(&rope, name);
    const cJSON *item;
    cJSON_ArrayForEach(item, rope.object) if (cJSON_IsObject(item))
        refuse(&rope, name, "a rotation that differs by layer is not computed here");
    config->rope_theta = real_or(&rope, "rope_theta", config->rope_theta);
    if (real_or(&rope, "partial_rotary_factor", 1) != 1)
        refuse(&rope, "partial_rotary_factor", "only a rotation of whole heads is computed here");
    read_rope_type(&rope, config);
    from->status = rope.status;
}

/* ---- tokens ---- */

static void read_ends(members *from, pk_model_config *config)
{
    const cJSON *ends = member(from, "eos_token_id"), *item;
    if (!ends)
        return;
    if (!cJSON_IsArray(ends)) {
        config->end_tokens[0] = integer(from, "eos_token_id");
        config->end_count = 1;
        return;
    }
    cJSON_ArrayForEach(item, ends)
    {
        if (config->end_count == PK_MODEL_MOST_ENDS) {
            refuse(from, "eos_token_id", "more than 8 tokens");
            return;
        }
        if (!whole(item, &config->end_tokens[config->end_count++]))
            refuse(from, "eos_token_id", "neither a whole number nor a list of them");
    }
}

/* ---- the whole ---- */

/* The folder of a path that ends in /config.json, or else the path's last part. */
static void read_name(const char *origin, pk_model_config *config)
{
    const char *end = origin + strlen(origin), *slash = strrchr(origin, '/');
    if (slash && strcmp(slash, "/config.json") == 0)
        end = slash;
    while (end > origin && end[-1] == '/')
        end--;
    const char *begin = end;
    while (begin > origin && begin[-1] != '/')
        begin--;
    size_t length = (size_t)(end - begin);
    if (length > sizeof config->name - 1)
        length = sizeof config->name - 1;
    memcpy(config->name, begin, length);
    config->name[length] = 0;
}

static pk_status read_all(members *from, pk_model_config *config)
{
    refuse_twins(from, "config.json");
    if (from->status == PK_OK)
        read_family(from, config);
    if (from->status != PK_OK)
        return from->status;
    read_shape(from, config);
    read_activation(from, config);
    read_biases(from, config);
    refuse_windows(from, config);
    refuse_others(from);
    read_rope(from, config);
    config->rms_eps = real_or(from, "rms_norm_eps", 1e-6);
    config->tied_embedding = flag(from, "tie_word_embeddings");
    config->begin_token = integer_or(from, "bos_token_id", -1);
    read_ends(from, config);
    if (from->status == PK_OK && pk_model_config_check(config) != PK_OK)
        return pk_fail(PK_USAGE, "%s: %s", from->origin, pk_error_text());
    return from->status;
}

pk_status pk_model_config_parse(const char *json, const char *origin, pk_model_config *config)
{
    const char *end = json;
    *config = (pk_model_config){0};
    cJSON *root = cJSON_ParseWithOpts(json, &end, true);
    if (!root)
        return pk_fail(PK_USAGE, "%s: not JSON from byte %zu on; fetch the model again (./lab model)", origin,
                       (size_t)(end - json));
    members from = {.object = root, .origin = origin, .status = PK_OK};
    pk_model_config read = {0};
    read_name(origin, &read);
    pk_status status = PK_OK;
    if (!cJSON_IsObject(root))
        status = pk_fail(PK_USAGE, "%s: not a JSON object; fetch the model again (./lab model)", origin);
    else
        status = read_all(&from, &read);
    cJSON_Delete(root);
    if (status == PK_OK)
        *config = read;
    return status;
}
