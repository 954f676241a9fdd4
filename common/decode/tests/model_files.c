/* Small model folders for tests. */
#include "model_files.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_half.h"

file_tensors file_tensors_of(pk_model *model)
{
    file_tensors tensors = {.count = pk_model_tensor_count(&model->config)};
    tensors.list = calloc(tensors.count + 8, sizeof *tensors.list); /* room for some that tests add */
    cr_assert_not_null(tensors.list);
    for (size_t i = 0; i < tensors.count; i++) {
        const pk_model_tensor from = pk_model_tensor_at(&model->config, i);
        file_tensor *to = &tensors.list[i];
        (void)snprintf(to->name, sizeof to->name, "%s", from.name);
        to->dtype = "BF16";
        to->rank = from.rows == 1 ? 1 : 2;
        to->shape[0] = from.rows == 1 ? from.columns : from.rows;
        to->shape[1] = from.columns;
        to->bytes = 2 * from.rows * from.columns;
        to->data = malloc(to->bytes);
        cr_assert_not_null(to->data);
        memcpy(to->data, *pk_model_tensor_slot(model, i), to->bytes);
    }
    return tensors;
}

void file_tensors_free(file_tensors *tensors)
{
    for (size_t i = 0; i < tensors->count; i++)
        free(tensors->list[i].data);
    free(tensors->list);
    *tensors = (file_tensors){0};
}

file_tensor *file_tensor_named(const file_tensors *tensors, const char *name)
{
    for (size_t i = 0; i < tensors->count; i++)
        if (strcmp(tensors->list[i].name, name) == 0)
            return &tensors->list[i];
    cr_assert_fail("no %s", name);
    return NULL;
}

void file_tensor_convert(file_tensor *tensor, const char *dtype)
{
    const size_t count = tensor->bytes / 2, element = strcmp(dtype, "F32") == 0 ? 4 : 2;
    unsigned char *data = malloc(count * element);
    cr_assert_not_null(data);
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, tensor->data + 2 * i, sizeof bits);
        const float value = pk_bf16_to_float(bits);
        const uint16_t half = pk_float_to_fp16(value);
        memcpy(data + element * i, element == 4 ? (const void *)&value : &half, element);
    }
    free(tensor->data);
    tensor->data = data;
    tensor->dtype = dtype;
    tensor->bytes = count * element;
}

void file_tensor_add(file_tensors *tensors, const char *name, const char *dtype, size_t element_bytes, uint64_t count)
{
    file_tensor *to = &tensors->list[tensors->count++];
    (void)snprintf(to->name, sizeof to->name, "%s", name);
    to->dtype = dtype;
    to->rank = 1;
    to->shape[0] = count;
    to->bytes = element_bytes * count;
    to->data = calloc(1, to->bytes);
    cr_assert_not_null(to->data);
}

void file_tensor_remove(file_tensors *tensors, const char *name)
{
    file_tensor *gone = file_tensor_named(tensors, name);
    free(gone->data);
    memmove(gone, gone + 1, (size_t)(tensors->list + --tensors->count - gone) * sizeof *gone);
}

void write_safetensors(const char *path, const file_tensors *tensors, size_t first, size_t end)
{
    const size_t room = 256 * (end - first) + 64;
    char *header = malloc(room), *at = header;
    size_t offset = 0;
    cr_assert_not_null(header);
    at += sprintf(at, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = first; i < end; i++) {
        const file_tensor *t = &tensors->list[i];
        at += sprintf(at, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%llu", t->name, t->dtype,
                      (unsigned long long)t->shape[0]);
        if (t->rank == 2)
            at += sprintf(at, ",%llu", (unsigned long long)t->shape[1]);
        at += sprintf(at, "],\"data_offsets\":[%zu,%zu]}", offset, offset + t->bytes);
        offset += t->bytes;
    }
    at += sprintf(at, "}");
    while ((at - header) % 8 != 0)
        *at++ = ' ';
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s", path);
    const uint64_t length = (uint64_t)(at - header);
    for (int i = 0; i < 8; i++)
        (void)fputc((int)(length >> 8 * i & 255), file);
    (void)fwrite(header, 1, (size_t)length, file);
    for (size_t i = first; i < end; i++)
        (void)fwrite(tensors->list[i].data, 1, tensors->list[i].bytes, file);
    cr_assert_eq(fclose(file), 0);
    free(header);
}

void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file, "%s", path);
    (void)fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}

void write_config(const char *path, const char *name, const char *more)
{
    static const char *const architectures[] = {"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"};
    pk_model_config config;
    char text[2048];
    cr_assert_eq(pk_model_config_named(name, &config), PK_OK);
    const int family = strcmp(config.family, "llama") == 0 ? 0 : strcmp(config.family, "qwen2") == 0 ? 1 : 2;
    (void)snprintf(text, sizeof text,
                   "{\"architectures\": [\"%s\"], \"num_hidden_layers\": %d, \"hidden_size\": %d, "
                   "\"num_attention_heads\": %d, \"num_key_value_heads\": %d, \"head_dim\": %d, "
                   "\"intermediate_size\": %d, \"vocab_size\": %d, \"max_position_embeddings\": %d, "
                   "\"rms_norm_eps\": %g, \"rope_theta\": %g, \"tie_word_embeddings\": %s, \"bos_token_id\": %d, "
                   "\"eos_token_id\": [%d%s]%s}",
                   architectures[family], config.layers, config.hidden, config.heads, config.kv_heads, config.head_dim,
                   config.ffn, config.vocab, config.max_positions, config.rms_eps, config.rope_theta,
                   config.tied_embedding ? "true" : "false", config.begin_token, config.end_tokens[0],
                   config.end_count == 2 ? ", 3" : "", more);
    write_text(path, text);
}

void assert_same_config(const pk_model_config *got, const pk_model_config *want)
{
    cr_assert_str_eq(got->family, want->family);
    cr_assert_eq(got->layers, want->layers);
    cr_assert_eq(got->hidden, want->hidden);
    cr_assert_eq(got->heads, want->heads);
    cr_assert_eq(got->kv_heads, want->kv_heads);
    cr_assert_eq(got->head_dim, want->head_dim);
    cr_assert_eq(got->ffn, want->ffn);
    cr_assert_eq(got->vocab, want->vocab);
    cr_assert_eq(got->max_positions, want->max_positions);
    cr_assert_eq(got->rms_eps, want->rms_eps);
    cr_assert_eq(got->rope_theta, want->rope_theta);
    cr_assert_eq(got->rope_factor, want->rope_factor);
    cr_assert_eq(got->rope_low_freq, want->rope_low_freq);
    cr_assert_eq(got->rope_high_freq, want->rope_high_freq);
    cr_assert_eq(got->rope_original_positions, want->rope_original_positions);
    cr_assert_eq(got->qkv_bias, want->qkv_bias);
    cr_assert_eq(got->qk_norm, want->qk_norm);
    cr_assert_eq(got->tied_embedding, want->tied_embedding);
    cr_assert_eq(got->activation, want->activation);
    cr_assert_eq(got->begin_token, want->begin_token);
    cr_assert_eq(got->end_count, want->end_count);
    for (int i = 0; i < want->end_count; i++)
        cr_assert_eq(got->end_tokens[i], want->end_tokens[i]);
}
