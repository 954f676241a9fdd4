/* Shapes, formats, bytes: the arithmetic of `plan`. */
#include "plan.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "pk/host.h"

enum { LETTERS = 512 };

/* ---- shapes ---- */

/* Models that no lab decodes here, from their config.json: what planning needs of them. */
static const pk_model_config larger[] = {
    {.name = "llama-2-7b",
     .layers = 32,
     .hidden = 4096,
     .heads = 32,
     .kv_heads = 32,
     .head_dim = 128,
     .ffn = 11008,
     .vocab = 32000,
     .max_positions = 4096},
    {.name = "mistral-7b",
     .layers = 32,
     .hidden = 4096,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 128,
     .ffn = 14336,
     .vocab = 32000,
     .max_positions = 32768},
    {.name = "qwen2.5-7b",
     .layers = 28,
     .hidden = 3584,
     .heads = 28,
     .kv_heads = 4,
     .head_dim = 128,
     .ffn = 18944,
     .vocab = 152064,
     .max_positions = 131072,
     .qkv_bias = true},
    {.name = "llama-3.1-8b",
     .layers = 32,
     .hidden = 4096,
     .heads = 32,
     .kv_heads = 8,
     .head_dim = 128,
     .ffn = 14336,
     .vocab = 128256,
     .max_positions = 131072},
    {.name = "llama-2-13b",
     .layers = 40,
     .hidden = 5120,
     .heads = 40,
     .kv_heads = 40,
     .head_dim = 128,
     .ffn = 13824,
     .vocab = 32000,
     .max_positions = 4096},
    {.name = "llama-3.1-70b",
     .layers = 80,
     .hidden = 8192,
     .heads = 64,
     .kv_heads = 8,
     .head_dim = 128,
     .ffn = 28672,
     .vocab = 128256,
     .max_positions = 131072},
};
enum { LARGER = sizeof larger / sizeof larger[0] };

/* The shape that a size alone means. */
static const struct {
    const char *size, *model;
} sizes[] = {
    {"135m", "smollm2-135m"}, {"0.5b", "qwen2.5-0.5b"}, {"1b", "llama-3.2-1b"},   {"7b", "llama-2-7b"},
    {"8b", "llama-3.1-8b"},   {"13b", "llama-2-13b"},   {"70b", "llama-3.1-70b"},
};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

enum { MOST_NAMES = 32 /* more than there are models and sizes */ };

static size_t all_names(const char **names)
{
    size_t count = 0;
    for (size_t i = 0; i < SIZES; i++)
        names[count++] = sizes[i].size;
    for (size_t i = 0; pk_model_config_name(i) && count + LARGER < MOST_NAMES; i++)
        names[count++] = pk_model_config_name(i);
    for (size_t i = 0; i < LARGER; i++)
        names[count++] = larger[i].name;
    return count;
}

/* "a, b, c", as far as it fits. */
static void list_names(char *text, size_t bytes, const char *const *names, size_t count)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && used < bytes; i++) {
        const int added = snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", names[i]);
        used += added > 0 ? (size_t)added : 0;
    }
}

static pk_status unknown_name(const char *what, const char *word, const char *const *names, size_t count)
{
    char list[LETTERS];
    list_names(list, sizeof list, names, count);
    const char *nearest = pk_nearest(word, names, count);
    return pk_fail(PK_USAGE, "unknown %s '%.40s'; %s%s%sthere are %s", what, word, nearest ? "did you mean '" : "",
                   nearest ? nearest : "", nearest ? "'? " : "", list);
}

/* A model that was fetched or imported, or any folder with a config.json as HuggingFace has it. */
static pk_status shape_of_folder(const char *folder, pk_model_config *config)
{
    char *path = cli_format("%s/config.json", folder), *text = cli_read_file(path);
    const pk_status status = text ? pk_model_config_parse(text, path, config)
                                  : pk_fail(PK_USAGE, "cannot read %s: %s; name a size, a model, or a folder with one",
                                            path, strerror(errno));
    if (status == PK_OK)
        (void)snprintf(config->name, sizeof config->name, "%s", cli_relative(folder));
    free(text);
    free(path);
    return status;
}

pk_status plan_shape(const char *word, pk_model_config *config)
{
    for (size_t i = 0; i < SIZES; i++)
        if (!strcmp(word, sizes[i].size))
            word = sizes[i].model;
    for (size_t i = 0; i < LARGER; i++)
        if (!strcmp(word, larger[i].name)) {
            *config = larger[i];
            return PK_OK;
        }
    if (pk_model_config_named(word, config) == PK_OK)
        return PK_OK;
    char *folder = cli_model_folder(word);
    if (folder) {
        const pk_status status = shape_of_folder(folder, config);
        free(folder);
        return status;
    }
    const char *names[MOST_NAMES];
    return unknown_name("model", word, names, all_names(names));
}

/* ---- formats ---- */

static const plan_format weight_formats[] = {
    {"bf16", "bf16", 16, 0},
    {"fp16", "fp16", 16, 0},
    {"fp8", "fp8, a scale a row", 8, -1},
    {"int8", "int8, a scale a row", 8, -1},
    {"q8", "8 bits, a scale for 32", 8, 32},
    {"q4", "4 bits, a scale for 32", 4, 32},
};
static const plan_format kv_formats[] = {
    {"bf16", "bf16", 16, 0},
    {"fp16", "fp16", 16, 0},
    {"fp8", "fp8", 8, 0},
    {"int8", "int8, a scale a head's vector", 8, -1},
    {"int4", "int4, a scale a head's vector", 4, -1},
};

static const plan_format *format_named(const char *what, const char *word, const plan_format *formats, size_t count)
{
    const char *names[MOST_NAMES];
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(word, formats[i].name))
            return &formats[i];
        names[i] = formats[i].name;
    }
    unknown_name(what, word, names, count);
    return NULL;
}

const plan_format *plan_weight_format(const char *name)
{
    return format_named("format of weights", name, weight_formats, sizeof weight_formats / sizeof weight_formats[0]);
}

const plan_format *plan_kv_format(const char *name)
{
    return format_named("format of the KV cache", name, kv_formats, sizeof kv_formats / sizeof kv_formats[0]);
}

/* ---- bytes ---- */

enum { SCALE_BITS = 16, VECTOR_BYTES = 2 };

static double bits_of(const plan_format *format, double vector_elements)
{
    const double group = format->group < 0 ? vector_elements : format->group;
    return format->bits + (format->group ? (double)SCALE_BITS / group : 0);
}

typedef struct elements {
    double matrices, vectors, embedding; /* `embedding`: where it is not also the logits' matrix */
    double scales;                       /* rows of the matrices */
} elements;

static elements elements_of(const pk_model_config *model)
{
    elements sum = {0};
    for (size_t i = 0; i < pk_model_tensor_count(model); i++) {
        const pk_model_tensor tensor = pk_model_tensor_at(model, i);
        const double size = (double)tensor.rows * (double)tensor.columns;
        if (i == 0 && !model->tied_embedding) {
            sum.embedding = size;
        } else if (tensor.rows == 1) {
            sum.vectors += size;
        } else {
            sum.matrices += size;
            sum.scales += (double)tensor.rows;
        }
    }
    return sum;
}

plan_bytes plan_bytes_of(const plan_request *request)
{
    const pk_model_config *model = &request->model;
    const elements sum = elements_of(model);
    plan_bytes bytes = {.matrix_elements = sum.matrices, .vector_elements = sum.vectors};
    bytes.weight_bits = bits_of(request->weights, sum.matrices / sum.scales);
    bytes.weights = sum.matrices * bytes.weight_bits / 8 + sum.vectors * (double)VECTOR_BYTES;
    bytes.held_weights = bytes.weights + sum.embedding * bytes.weight_bits / 8;
    bytes.kv_bits = bits_of(request->kv, model->head_dim);
    bytes.kv_a_token = 2.0 * model->layers * model->kv_heads * model->head_dim * bytes.kv_bits / 8;
    bytes.kv = (double)request->batch * (double)request->context * bytes.kv_a_token;
    bytes.step = bytes.weights + bytes.kv;
    return bytes;
}

/* As a naive engine does it, and lab 04 with --form=unfused: 15 kernels a layer, and four beside them. */
double plan_kernels_of(const pk_model_config *model)
{
    return (double)PLAN_KERNELS_A_LAYER * model->layers + (double)PLAN_KERNELS_BESIDE;
}
