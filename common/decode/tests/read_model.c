/* read_model FOLDER: opens a model and its vocabulary as the decoder does, and prints what was read: the tokens that
 * begin and end a text, then for each tensor its name, extents and a hash of its bytes, then the vocabulary's tokens
 * and theirs. For model_tool_test.py, which wrote the folder. Exit: 0, or the status's. */
#include <inttypes.h>
#include <stdio.h>

#include "pk_model.h"
#include "pk_vocab.h"

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t value, const void *bytes, size_t count)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < count; i++)
        value = (value ^ byte[i]) * 0x100000001b3u;
    return value;
}

static const uint64_t hash_start = 0xcbf29ce484222325u;

static void print_model(pk_model *model)
{
    printf("ends %d", model->config.begin_token);
    for (int i = 0; i < model->config.end_count; i++)
        printf(" %d", model->config.end_tokens[i]);
    printf("\n");
    for (size_t i = 0; i < pk_model_tensor_count(&model->config); i++) {
        const pk_model_tensor tensor = pk_model_tensor_at(&model->config, i);
        const uint16_t *bits = *pk_model_tensor_slot(model, i);
        const size_t bytes = tensor.rows * tensor.columns * sizeof *bits;
        printf("%s %zu %zu %016" PRIx64 "\n", tensor.name, tensor.rows, tensor.columns, hash(hash_start, bits, bytes));
    }
}

static void print_vocab(const pk_vocab *vocab)
{
    uint64_t value = hash_start;
    for (size_t i = 0; i < pk_vocab_count(vocab); i++) {
        size_t bytes;
        const char *text = pk_vocab_bytes(vocab, (int)i, &bytes);
        value = hash(hash(value, text, bytes), "\n", 1); /* where a token ends counts too */
    }
    printf("vocab %zu %016" PRIx64 "\n", pk_vocab_count(vocab), value);
}

static pk_status read_folder(const char *folder)
{
    char path[4096];
    pk_model model;
    pk_vocab *vocab;
    pk_status status = pk_model_open(folder, &model);
    if (status != PK_OK)
        return status;
    print_model(&model);
    pk_model_close(&model);
    snprintf(path, sizeof path, "%s/vocab.bin", folder);
    status = pk_vocab_open(path, &vocab);
    if (status != PK_OK)
        return status;
    print_vocab(vocab);
    pk_vocab_close(vocab);
    return PK_OK;
}

int main(int argc, char **argv)
{
    const pk_status status = argc == 2 ? read_folder(argv[1]) : pk_fail(PK_USAGE, "usage: read_model FOLDER");
    if (status != PK_OK)
        fprintf(stderr, "%s\n", pk_error_text());
    return pk_exit_code(status);
}
