/* A model from a folder: config.json, and the tensors that it asks for out of one safetensors file or several. */
#define _GNU_SOURCE /* PATH_MAX */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model_storage.h"
#include "num/pk_half.h"
#include "safetensors.h"
#include "shard_index.h"
#include "source_file.h"

enum {
    MOST_CONFIG_BYTES = 1 << 20, /* real ones have a thousand */
    MOST_INDEX_BYTES = 4 << 20,  /* 100 bytes a tensor; cJSON needs some 20 times as much */
};

static const char single_name[] = "model.safetensors", index_name[] = "model.safetensors.index.json";

typedef struct shard {
    const char *file; /* its name in the folder */
    char path[PATH_MAX];
    pk_source_file source;
    pk_safetensors header;
    bool *used;                 /* [header.count] */
    const unsigned char *bytes; /* mapped; the model's */
} shard;

typedef struct model_folder {
    const char *path;
    shard **shards;
    size_t shard_count;
    pk_shard_index index; /* empty: a single file */
} model_folder;

static pk_status path_in(const char *path, const char *name, char *whole /* [PATH_MAX] */)
{
    const size_t length = strlen(path);
    const char *between = length > 0 && path[length - 1] == '/' ? "" : "/";
    const int needed = snprintf(whole, PATH_MAX, "%s%s%s", path, between, name);
    if (needed < 0 || needed >= PATH_MAX)
        return pk_fail(PK_USAGE, "%.200s...: cannot open: %s; move the folder to a shorter path", path,
                       strerror(ENAMETOOLONG));
    return PK_OK;
}

/* ---- config.json ---- */

static pk_status text_in(const char *path, const char *name, size_t most, char *whole /* [PATH_MAX] */, char **text)
{
    size_t bytes;
    *text = NULL;
    pk_status status = path_in(path, name, whole);
    if (status == PK_OK)
        status = pk_source_text(whole, most, text, &bytes);
    if (status == PK_OK && strlen(*text) != bytes) {
        status = pk_fail(PK_USAGE, "%s: not JSON from byte %zu on; fetch the model again (./lab model)", whole,
                         strlen(*text));
        free(*text);
        *text = NULL;
    }
    return status;
}

static pk_status read_config(const char *path, pk_model_config *config)
{
    char *text, whole[PATH_MAX];
    pk_status status = text_in(path, "config.json", MOST_CONFIG_BYTES, whole, &text);
    if (status != PK_OK)
        return status;
    status = pk_model_config_parse(text, whole, config);
    free(text);
    return status;
}

/* ---- shards ---- */

static void close_shard(shard *closed)
{
    free(closed->used);
    pk_safetensors_free(&closed->header);
    pk_source_close(&closed->source);
    free(closed);
}

static pk_status read_header(shard *opened)
{
    unsigned char begin[8], *header;
    size_t header_bytes;
    const pk_source_file *source = &opened->source;
    pk_status status = source->bytes >= sizeof begin ? pk_source_read(source, 0, sizeof begin, begin) : PK_OK;
    if (status == PK_OK)
        status = pk_safetensors_header_bytes(begin, source->bytes, opened->path, &header_bytes);
    if (status != PK_OK)
        return status;
    /* A copy, since what is mapped may change between two looks at it. */
    header = malloc(header_bytes);
    if (!header)
        return pk_out_of_memory(opened->path);
    status = pk_source_read(source, 0, header_bytes, header);
    if (status == PK_OK)
        status = pk_safetensors_parse(header, header_bytes, source->bytes, opened->path, &opened->header);
    free(header);
    return status;
}

static pk_status map_shard(shard *opened, pk_model *model)
{
    void *address;
    const pk_status status = pk_source_map(&opened->source, &address);
    if (status != PK_OK)
        return status;
    if (!pk_model_keep_mapping(model, address, (size_t)opened->source.bytes)) {
        (void)munmap(address, (size_t)opened->source.bytes);
        return pk_out_of_memory(opened->path);
    }
    opened->bytes = address;
    return PK_OK;
}

static pk_status open_shard(const char *path, shard *opened, pk_model *model)
{
    pk_status status = path_in(path, opened->file, opened->path);
    if (status == PK_OK)
        status = pk_source_open(opened->path, &opened->source);
    if (status == PK_OK)
        status = read_header(opened);
    if (status != PK_OK)
        return status;
    opened->used = calloc(opened->header.count + 1, sizeof *opened->used);
    return opened->used ? map_shard(opened, model) : pk_out_of_memory(opened->path);
}

static pk_status add_shard(model_folder *from, const char *file)
{
    shard *added = calloc(1, sizeof *added);
    if (!added)
        return pk_out_of_memory(from->path);
    added->file = file;
    added->source.file = -1;
    from->shards[from->shard_count++] = added;
    return PK_OK;
}

static pk_status read_index(model_folder *from)
{
    char *text, whole[PATH_MAX];
    pk_status status = text_in(from->path, index_name, MOST_INDEX_BYTES, whole, &text);
    if (status == PK_OK)
        status = pk_shard_index_parse(text, whole, &from->index);
    free(text);
    for (size_t i = 0; status == PK_OK && i < from->index.file_count; i++)
        status = add_shard(from, from->index.files[i]);
    return status;
}

/* Whether the index has this tensor in this shard, or there is no index; else PK_USAGE's message. */
static bool check_entry(const model_folder *from, const char *tensor, const shard *where)
{
    const char *file = pk_shard_index_file(&from->index, tensor);
    if (from->index.count == 0 || (file && strcmp(file, where->file) == 0))
        return true;
    (void)pk_fail(PK_USAGE, "%s/%s: has tensor %s in %s, and it is in %s; fetch the model again (./lab model)",
                  from->path, index_name, tensor, file ? file : "no file", where->file);
    return false;
}

/* ---- tensors ---- */

/* The tensor, and the one shard that has it; NULL and PK_USAGE's message where there is not one. */
static const pk_safetensor *find(const model_folder *from, const char *name, shard **where)
{
    const pk_safetensor *tensor = NULL;
    for (size_t i = 0; i < from->shard_count; i++) {
        const pk_safetensor *found = pk_safetensors_find(&from->shards[i]->header, name);
        if (found && tensor) {
            (void)pk_fail(PK_USAGE, "%s: tensor %s is in %s and in %s; remove the file that does not belong here",
                          from->path, name, (*where)->file, from->shards[i]->file);
            return NULL;
        }
        if (!found)
            continue;
        tensor = found;
        *where = from->shards[i];
        if (!check_entry(from, name, *where))
            return NULL;
    }
    if (!tensor)
        (void)pk_fail(
            PK_USAGE,
            "%s: no tensor %s, which config.json asks for; fetch the model again (./lab model), all of its files",
            from->path, name);
    return tensor;
}

static bool shape_matches(const pk_safetensor *tensor, const pk_model_tensor *wanted)
{
    if (wanted->rows == 1)
        return tensor->rank == 1 && tensor->shape[0] == wanted->columns;
    return tensor->rank == 2 && tensor->shape[0] == wanted->rows && tensor->shape[1] == wanted->columns;
}

static void shape_text(const pk_safetensor *tensor, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < tensor->rank; i++) {
        const int added =
            snprintf(text + used, bytes - used, "%s%llu", i > 0 ? " x " : "", (unsigned long long)tensor->shape[i]);
        used += added > 0 && (size_t)added < bytes - used ? (size_t)added : 0;
    }
}

static pk_status wrong_shape(const char *path, const pk_safetensor *tensor, const pk_model_tensor *wanted)
{
    char is[200], should[64];
    shape_text(tensor, is, sizeof is);
    if (wanted->rows == 1)
        (void)snprintf(should, sizeof should, "%zu", wanted->columns);
    else
        (void)snprintf(should, sizeof should, "%zu x %zu", wanted->rows, wanted->columns);
    return pk_fail(PK_USAGE,
                   "%s: tensor %s is [%s], and config.json asks for [%s]: files of two models; fetch the model again "
                   "(./lab model)",
                   path, wanted->name, is, should);
}

static uint16_t from_f32(const unsigned char *bytes)
{
    float value;
    memcpy(&value, bytes, sizeof value);
    return pk_float_to_bf16(value);
}

static uint16_t from_f16(const unsigned char *bytes)
{
    uint16_t bits;
    memcpy(&bits, bytes, sizeof bits);
    return pk_float_to_bf16(pk_fp16_to_float(bits));
}

static uint16_t from_bf16(const unsigned char *bytes)
{
    uint16_t bits;
    memcpy(&bits, bytes, sizeof bits);
    return bits;
}

/* Where the file's own bytes serve, they; else a copy in the model's memory. */
static pk_status bind(const shard *where, const pk_safetensor *tensor, pk_model *model, const uint16_t **slot)
{
    const unsigned char *bytes = where->bytes + tensor->begin;
    const bool bf16 = strcmp(tensor->dtype, "BF16") == 0, f16 = strcmp(tensor->dtype, "F16") == 0;
    if (!bf16 && !f16 && strcmp(tensor->dtype, "F32") != 0)
        return pk_fail(PK_USAGE,
                       "%s: tensor %s is %s, and only BF16, F16 and F32 are read here; take the model in one of these",
                       where->path, tensor->name, tensor->dtype);
    if (bf16 && (uintptr_t)bytes % sizeof(uint16_t) == 0) { /* the format asks for no alignment */
        *slot = (const uint16_t *)(const void *)bytes;
        return PK_OK;
    }
    const size_t count = (size_t)((tensor->end - tensor->begin) / tensor->element_bytes);
    uint16_t *copy = pk_model_allocate(model, count);
    if (!copy)
        return pk_out_of_memory(where->path);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *element = bytes + i * tensor->element_bytes;
        copy[i] = bf16 ? from_bf16(element) : f16 ? from_f16(element) : from_f32(element);
    }
    *slot = copy;
    return PK_OK;
}

static pk_status bind_all(const model_folder *from, pk_model *model)
{
    for (size_t i = 0; i < pk_model_tensor_count(&model->config); i++) {
        const pk_model_tensor wanted = pk_model_tensor_at(&model->config, i);
        shard *where = NULL;
        const pk_safetensor *tensor = find(from, wanted.name, &where);
        if (!tensor)
            return PK_USAGE;
        if (!shape_matches(tensor, &wanted))
            return wrong_shape(where->path, tensor, &wanted);
        const pk_status status = bind(where, tensor, model, pk_model_tensor_slot(model, i));
        if (status != PK_OK)
            return status;
        where->used[tensor - where->header.tensors] = true;
    }
    pk_model_complete(model);
    return PK_OK;
}

/* ---- what else the files hold ---- */

/* Old files keep the rotary frequencies, which follow from config.json; some keep the logits' matrix though it is the
 * embedding; and beside the decoder there may be parts that it does not use. */
static bool may_be_left(const pk_model_config *config, const char *name)
{
    static const char frequencies[] = "rotary_emb.inv_freq";
    const size_t length = strlen(name), end = sizeof frequencies - 1;
    if (length >= end && strcmp(name + length - end, frequencies) == 0)
        return true;
    if (config->tied_embedding && strcmp(name, "lm_head.weight") == 0)
        return true;
    return strncmp(name, "model.", 6) != 0 && strncmp(name, "lm_head.", 8) != 0;
}

/* A tensor of the decoder that no step of the pass would use means another model than config.json says: one with a
 * bias more, or more layers. */
static pk_status refuse_unused(const model_folder *from, const pk_model_config *config)
{
    for (size_t i = 0; i < from->shard_count; i++) {
        const shard *looked_at = from->shards[i];
        for (size_t t = 0; t < looked_at->header.count; t++) {
            const char *name = looked_at->header.tensors[t].name;
            if (!looked_at->used[t] && !may_be_left(config, name))
                return pk_fail(
                    PK_USAGE,
                    "%s: tensor %s has no place in a %s model as config.json describes it; take another model, "
                    "or correct config.json",
                    looked_at->path, pk_show(name).text, config->family);
        }
    }
    return PK_OK;
}

/* ---- the whole ---- */

static bool there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* The list of shards; where there is one file and an index too, the one file, as transformers has it. */
static pk_status list_shards(model_folder *from)
{
    char single[PATH_MAX], index[PATH_MAX];
    pk_status status = path_in(from->path, single_name, single);
    if (status == PK_OK)
        status = path_in(from->path, index_name, index);
    if (status != PK_OK)
        return status;
    if (there(single))
        return add_shard(from, single_name);
    if (there(index))
        return read_index(from);
    return pk_fail(PK_USAGE,
                   "%s: neither %s nor %s is there; give a model's folder, or make one from other files (./lab model "
                   "import)",
                   from->path, single_name, index_name);
}

static pk_status read_weights(model_folder *from, pk_model *model)
{
    pk_status status = list_shards(from);
    for (size_t i = 0; status == PK_OK && i < from->shard_count; i++)
        status = open_shard(from->path, from->shards[i], model);
    if (status == PK_OK)
        status = bind_all(from, model);
    if (status == PK_OK)
        status = refuse_unused(from, &model->config);
    for (size_t i = 0; status == PK_OK && i < from->shard_count; i++)
        status = pk_source_unchanged(&from->shards[i]->source);
    return status;
}

static void close_folder(model_folder *closed)
{
    for (size_t i = 0; i < closed->shard_count; i++)
        close_shard(closed->shards[i]);
    free(closed->shards);
    pk_shard_index_free(&closed->index);
}

pk_status pk_model_open(const char *folder, pk_model *model)
{
    pk_model_config config;
    *model = (pk_model){0};
    pk_status status = read_config(folder, &config);
    if (status == PK_OK)
        status = pk_model_begin(&config, model);
    if (status != PK_OK)
        return status;
    model_folder from = {.path = folder, .shards = calloc(PK_SHARD_FILES_MOST, sizeof *from.shards)};
    status = from.shards ? read_weights(&from, model) : pk_out_of_memory(folder);
    close_folder(&from);
    if (status != PK_OK)
        pk_model_close(model);
    return status;
}
