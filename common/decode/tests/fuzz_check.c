/* Reads a file of any bytes, from memory of just its size, and looks at what came of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_files.h"
#include "pk_model.h"
#include "safetensors.h"
#include "shard_index.h"
#include "vocab_parse.h"

static volatile unsigned char read_bytes; /* so that a read is one, which a sanitizer sees */

static void touch(const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        read_bytes = (unsigned char)(read_bytes + (unsigned char)bytes[i]);
}

/* A refusal is one line of printable text. */
static const char *check_message(pk_status status)
{
    const char *text = pk_error_text();
    if (status != PK_USAGE)
        return "neither taken nor refused as a bad file";
    if (strlen(text) < 10 || strlen(text) > 600)
        return "the message is empty or endless";
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return "the message is not one line of printable text";
    return NULL;
}

/* ---- safetensors ---- */

/* By another way than the parser's: each byte of data belongs to one tensor. */
static const char *check_tensors(const char *file, size_t bytes, size_t header_bytes, const pk_safetensors *header)
{
    static unsigned char owners[FUZZ_ROOM];
    if (bytes > sizeof owners)
        return NULL;
    memset(owners, 0, bytes);
    for (size_t i = 0; i < header->count; i++) {
        const pk_safetensor *tensor = &header->tensors[i];
        long double size = (long double)tensor->element_bytes; /* exact where it is small, and else too large */
        if (tensor->begin < header_bytes || tensor->end > bytes || tensor->begin > tensor->end)
            return "a tensor is not within the data";
        for (int d = 0; d < tensor->rank; d++)
            size *= (long double)tensor->shape[d];
        if (size != (long double)(tensor->end - tensor->begin))
            return "a tensor's size is not its shape's";
        if (pk_safetensors_find(header, tensor->name) != tensor)
            return "a tensor is not found by its name";
        touch(file + tensor->begin, (size_t)(tensor->end - tensor->begin));
        for (uint64_t b = tensor->begin; b < tensor->end; b++)
            if (owners[b]++)
                return "two tensors overlap";
    }
    for (size_t b = header_bytes; b < bytes; b++)
        if (!owners[b])
            return "a byte belongs to no tensor";
    return NULL;
}

static const char *check_safetensors(const char *file, size_t bytes, bool *taken)
{
    pk_safetensors header = {0};
    size_t header_bytes = 0;
    const unsigned char *begin = (const unsigned char *)file;
    pk_status status = pk_safetensors_header_bytes(begin, bytes, "f", &header_bytes);
    if (status == PK_OK)
        status = pk_safetensors_parse(begin, header_bytes, bytes, "f", &header);
    *taken = status == PK_OK;
    const char *wrong = *taken ? check_tensors(file, bytes, header_bytes, &header) : check_message(status);
    pk_safetensors_free(&header);
    return wrong;
}

/* ---- config.json ---- */

static const char *check_shape(const pk_model_config *config)
{
    double frequency[128];
    if (pk_model_config_check(config) != PK_OK)
        return "a configuration was taken that does not pass the check";
    pk_model_rope_frequencies(config, frequency);
    for (int i = 0; i < config->head_dim / 2; i++)
        if (!(frequency[i] > 0 && frequency[i] <= 1))
            return "a rotary frequency is not within 0 and 1";
    for (size_t i = 0; i < pk_model_tensor_count(config); i += 97) {
        const pk_model_tensor tensor = pk_model_tensor_at(config, i);
        if (tensor.rows < 1 || tensor.columns < 1 || !isfinite(tensor.spread) || strlen(tensor.name) < 10)
            return "a tensor has no shape, spread or name";
    }
    return NULL;
}

static char *terminated(const char *file, size_t bytes)
{
    char *text = malloc(bytes + 1);
    if (!text)
        return NULL;
    memcpy(text, file, bytes);
    text[bytes] = 0;
    return text;
}

static const char *check_config(const char *file, size_t bytes, bool *taken)
{
    pk_model_config config;
    char *text = terminated(file, bytes);
    if (!text)
        return "out of memory";
    const pk_status status = pk_model_config_parse(text, "m/config.json", &config);
    free(text);
    *taken = status == PK_OK;
    return *taken ? check_shape(&config) : check_message(status);
}

/* ---- vocab.bin ---- */

static const char *check_tokens(const pk_vocab *vocab, size_t bytes)
{
    size_t all = 0, of_token;
    for (size_t token = 0; token < pk_vocab_count(vocab); token++) {
        const char *text = pk_vocab_bytes(vocab, (int)token, &of_token);
        touch(text, of_token);
        all += of_token;
    }
    return all + 4 * pk_vocab_count(vocab) + 20 == bytes ? NULL : "the tokens' bytes are not all of the file's";
}

static const char *check_vocab(const char *file, size_t bytes, bool *taken)
{
    pk_vocab *vocab;
    char *copy = malloc(bytes > 0 ? bytes : 1);
    if (!copy)
        return "out of memory";
    memcpy(copy, file, bytes);
    const pk_status status = pk_vocab_parse(copy, bytes, "v", &vocab);
    *taken = status == PK_OK;
    if (!*taken) {
        free(copy);
        return check_message(status);
    }
    const char *wrong = check_tokens(vocab, bytes);
    pk_vocab_close(vocab);
    return wrong;
}

/* ---- model.safetensors.index.json ---- */

static const char *check_entries(const pk_shard_index *index)
{
    static const char ending[] = ".safetensors";
    for (size_t i = 0; i < index->file_count; i++) {
        const char *file = index->files[i], *dot = strrchr(file, '.');
        if (strchr(file, '/') || strchr(file, '\\') || strlen(file) > 255 || !dot || strcmp(dot, ending) != 0 ||
            dot == file)
            return "a file's name leads elsewhere";
    }
    for (size_t i = 0; i < index->count; i++)
        if (pk_shard_index_file(index, index->entries[i].tensor) != index->files[index->entries[i].file])
            return "a tensor is not found by its name";
    return index->count > 0 && index->file_count > 0 ? NULL : "an empty index was taken";
}

static const char *check_index(const char *file, size_t bytes, bool *taken)
{
    pk_shard_index index = {0};
    char *text = terminated(file, bytes);
    if (!text)
        return "out of memory";
    const pk_status status = pk_shard_index_parse(text, "m/index.json", &index);
    free(text);
    *taken = status == PK_OK;
    const char *wrong = *taken ? check_entries(&index) : check_message(status);
    pk_shard_index_free(&index);
    return wrong;
}

const char *fuzz_check(fuzz_kind kind, const char *file, size_t bytes, bool *taken)
{
    static const char *(*const checks[])(const char *, size_t, bool *) = {check_safetensors, check_config, check_vocab,
                                                                          check_index};
    const char *wrong;
    char *exact = malloc(bytes > 0 ? bytes : 1);
    if (!exact)
        return "out of memory";
    memcpy(exact, file, bytes);
    (void)pk_fail(PK_OK, "%s", "");
    wrong = checks[kind](exact, bytes, taken);
    free(exact);
    return wrong;
}
