/* Seeded random weights: the same bits everywhere, all tensors written, and numbers of the size that config.c says. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_half.h"
#include "num/pk_random.h"
#include "pk_model.h"
#include "pk_model_random.h"

static pk_model random_model(const char *name, uint64_t seed)
{
    pk_model_config config;
    pk_model model;
    cr_assert_eq(pk_model_config_named(name, &config), PK_OK, "%s", pk_error_text());
    cr_assert_eq(pk_model_random(&config, seed, &model), PK_OK, "%s", pk_error_text());
    return model;
}

/* By Python integers, from SplitMix64's definition. */
Test(weights, golden_values)
{
    static const struct {
        size_t tensor, index;
        uint16_t bits;
    } known[] = {{0, 0, 0xbd42},  {0, 1, 0xbdbb}, {0, 16383, 0xbe0c}, {1, 0, 0x3f84},
                 {1, 63, 0x3f83}, {2, 5, 0xbe67}, {18, 8191, 0x3db2}, {19, 7, 0x3f8e}};
    pk_model model = random_model("tiny", 42);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const uint16_t bits = (*pk_model_tensor_slot(&model, known[i].tensor))[known[i].index];
        cr_assert_eq(bits, known[i].bits, "tensor %zu, element %zu: 0x%04x", known[i].tensor, known[i].index, bits);
    }
    pk_model_close(&model);
}

/* Of more than one piece, which several threads write. */
Test(weights, golden_values_of_a_large_tensor)
{
    pk_model model = random_model("smollm2-135m", 7);
    cr_assert_eq(model.embedding[1 << 20], 0x3dc8);
    cr_assert_eq(model.embedding[(1 << 20) + 1], 0x3d51);
    cr_assert_eq(model.embedding[49152 * 576 - 1], 0xbdcf);
    pk_model_close(&model);
}

static void assert_all_written(const pk_model *model, size_t number, uint64_t seed, const uint16_t *elements)
{
    const pk_model_tensor tensor = pk_model_tensor_at(&model->config, number);
    const uint64_t of_tensor = pk_random_split(seed, number);
    cr_assert_not_null(elements, "%s", tensor.name);
    cr_assert_eq((uintptr_t)elements % 256, 0, "%s", tensor.name);
    for (size_t i = 0; i < tensor.rows * tensor.columns; i++)
        cr_assert_eq(elements[i], pk_model_random_weight(of_tensor, i, tensor.centre, tensor.spread), "%s, %zu",
                     tensor.name, i);
}

Test(weights, every_element_by_its_own_number)
{
    static const char *const names[] = {"tiny", "tiny-qwen2", "tiny-qwen3"};
    for (size_t i = 0; i < 3; i++) {
        pk_model model = random_model(names[i], 5);
        for (size_t number = 0; number < pk_model_tensor_count(&model.config); number++)
            assert_all_written(&model, number, 5, *pk_model_tensor_slot(&model, number));
        pk_model_close(&model);
    }
}

Test(weights, what_a_family_lacks_has_no_address)
{
    pk_model llama = random_model("tiny", 1), qwen2 = random_model("tiny-qwen2", 1),
             qwen3 = random_model("tiny-qwen3", 1);
    cr_assert_null(llama.layer[1].q_bias);
    cr_assert_null(llama.layer[1].q_norm);
    cr_assert_not_null(qwen2.layer[1].v_bias);
    cr_assert_null(qwen2.layer[1].k_norm);
    cr_assert_null(qwen3.layer[0].k_bias);
    cr_assert_not_null(qwen3.layer[0].k_norm);
    cr_assert_eq(llama.logits, llama.embedding);
    cr_assert_neq(qwen3.logits, qwen3.embedding);
    pk_model_close(&llama);
    pk_model_close(&qwen2);
    pk_model_close(&qwen3);
}

/* A uniform distribution's deviation is its spread over the root of 3; that of 36864 draws is within 1% of it (four of
 * its own deviations are 0.9%: sqrt(0.8 / n) / 2 each). */
Test(weights, deviation_of_a_projection_keeps_its_input_s_size)
{
    pk_model model = random_model("smollm2-135m", 3);
    double squares = 0;
    const size_t columns = 576, count = 64 * columns;
    for (size_t i = 0; i < count; i++)
        squares += pow(pk_bf16_to_float(model.layer[29].v[i]), 2);
    cr_assert_float_eq(squares / (double)count * (double)columns, 1, 0.02);
    pk_model_close(&model);
}

Test(weights, a_bad_shape_is_refused_and_nothing_held)
{
    pk_model_config config;
    pk_model model;
    cr_assert_eq(pk_model_config_named("tiny", &config), PK_OK);
    config.hidden = 63;
    cr_assert_eq(pk_model_random(&config, 1, &model), PK_USAGE);
    cr_assert_null(model.storage);
    pk_model_close(&model); /* of one that never was: nothing */
}

/* About 2^50 bytes: more than an address space has. */
Test(weights, out_of_memory_is_a_fault)
{
    pk_model_config config;
    pk_model model;
    cr_assert_eq(pk_model_config_named("tiny", &config), PK_OK);
    config.layers = 1024;
    config.hidden = 65536;
    config.ffn = 1 << 20;
    config.heads = config.kv_heads = 1024;
    config.head_dim = 256;
    cr_assert_eq(pk_model_random(&config, 1, &model), PK_FAULT);
    cr_assert_not_null(strstr(pk_error_text(), "out of host memory"), "%s", pk_error_text());
    cr_assert_null(model.layer);
}
