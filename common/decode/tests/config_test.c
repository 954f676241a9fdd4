/* Shapes of models: those with a name, what is refused, the rotary frequencies and the list of tensors. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk_model.h"

static pk_model_config config_named(const char *name)
{
    pk_model_config config;
    cr_assert_eq(pk_model_config_named(name, &config), PK_OK, "%s", pk_error_text());
    return config;
}

/* ---- by name ---- */

static size_t parameters(const pk_model_config *config)
{
    size_t count = 0;
    for (size_t i = 0; i < pk_model_tensor_count(config); i++) {
        const pk_model_tensor tensor = pk_model_tensor_at(config, i);
        count += tensor.rows * tensor.columns;
    }
    return count;
}

/* The numbers of parameters that the models' pages give, to the last one: each shape is in them. */
Test(named, parameters_are_those_of_the_models)
{
    static const struct {
        const char *name;
        size_t parameters;
    } known[] = {{"smollm2-135m", 134515008},
                 {"qwen2.5-0.5b", 494032768},
                 {"llama-3.2-1b", 1235814400},
                 {"qwen3-8b", 8190735360}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const pk_model_config config = config_named(known[i].name);
        cr_assert_eq(parameters(&config), known[i].parameters, "%s: %zu", known[i].name, parameters(&config));
    }
}

Test(named, every_name_is_listed_and_passes_the_check)
{
    size_t count = 0;
    for (; pk_model_config_name(count); count++) {
        const pk_model_config config = config_named(pk_model_config_name(count));
        cr_assert_str_eq(config.name, pk_model_config_name(count));
        cr_assert_eq(pk_model_config_check(&config), PK_OK, "%s", pk_error_text());
        cr_assert(config.end_count > 0);
    }
    cr_assert_eq(count, 11);
}

Test(named, another_name_is_refused_with_those_that_there_are)
{
    pk_model_config config;
    cr_assert_eq(pk_model_config_named("gpt-2", &config), PK_USAGE);
    cr_assert_not_null(strstr(pk_error_text(), "'gpt-2'"));
    for (size_t i = 0; pk_model_config_name(i); i++)
        cr_assert_not_null(strstr(pk_error_text(), pk_model_config_name(i)));
}

/* ---- checked ---- */

static void assert_refused(const pk_model_config *config, const char *word)
{
    cr_assert_eq(pk_model_config_check(config), PK_USAGE, "taken in spite of its %s", word);
    cr_assert_not_null(strstr(pk_error_text(), word), "no '%s' in: %s", word, pk_error_text());
    cr_assert_null(strchr(pk_error_text(), '\n'));
}

#define REFUSED(member, wrong, word)                                                                                   \
    do {                                                                                                               \
        pk_model_config config = config_named("llama-3.2-1b");                                                         \
        config.member = (wrong);                                                                                       \
        assert_refused(&config, word);                                                                                 \
    } while (0)

Test(check, each_range)
{
    REFUSED(layers, 0, "layers");
    REFUSED(layers, 1025, "layers");
    REFUSED(hidden, 2044, "multiple of 8");
    REFUSED(hidden, 65544, "hidden");
    REFUSED(hidden, -8, "hidden");
    REFUSED(heads, 0, "heads");
    REFUSED(kv_heads, 0, "key/value heads");
    REFUSED(kv_heads, 5, "ratio");
    REFUSED(kv_heads, 64, "ratio");
    REFUSED(head_dim, 72, "multiple of 16");
    REFUSED(head_dim, 272, "head size");
    REFUSED(ffn, 4, "feed-forward");
    REFUSED(vocab, 0, "vocabulary");
    REFUSED(vocab, (1 << 21) + 1, "vocabulary");
    REFUSED(max_positions, 0, "positions");
    REFUSED(begin_token, 128256, "begin token");
    REFUSED(begin_token, -2, "begin token");
    REFUSED(end_count, 9, "end tokens");
    REFUSED(end_count, -1, "end tokens");
    REFUSED(end_tokens[0], 128256, "end token");
    REFUSED(end_tokens[0], -1, "end token");
    REFUSED(activation, (pk_activation)7, "activation");
}

Test(check, each_real)
{
    REFUSED(rms_eps, 0, "rms_norm_eps");
    REFUSED(rms_eps, NAN, "rms_norm_eps");
    REFUSED(rope_theta, 0.5, "rope_theta");
    REFUSED(rope_theta, INFINITY, "rope_theta");
    REFUSED(rope_factor, 0.5, "factor");
    REFUSED(rope_factor, NAN, "factor");
    REFUSED(rope_low_freq, 0, "low_freq");
    REFUSED(rope_high_freq, 1, "high_freq");
    REFUSED(rope_original_positions, 0, "original_max");
}

Test(check, what_stretches_nothing_is_not_judged)
{
    pk_model_config config = config_named("tiny");
    config.rope_low_freq = NAN;
    cr_assert_eq(pk_model_config_check(&config), PK_OK, "%s", pk_error_text());
}

/* ---- rotary frequencies ---- */

Test(rope, plain_powers)
{
    const pk_model_config config = config_named("smollm2-135m");
    double frequency[32];
    pk_model_rope_frequencies(&config, frequency);
    for (int i = 0; i < 32; i++)
        cr_assert_float_eq(frequency[i], exp(-log(100000.0) * i / 32), 1e-12);
}

/* By mpmath from the formulas of transformers' _compute_llama3_parameters, in 50 digits. */
Test(rope, llama_3_stretch)
{
    static const struct {
        int pair;
        double frequency;
    } known[] = {{0, 1.0},
                 {5, 0.12868737343265051},
                 {13, 0.0048394213457198931},
                 {14, 0.003211445994752591},
                 {15, 0.0012905479282092638},
                 {16, 0.0004295567965593682},
                 {17, 9.7082878026276723e-5},
                 {18, 1.9461638184831124e-5},
                 {19, 1.291476718704739e-5},
                 {31, 9.4183067254349098e-8}};
    const pk_model_config config = config_named("llama-3.2-1b");
    double frequency[32];
    pk_model_rope_frequencies(&config, frequency);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        cr_assert(fabs(frequency[known[i].pair] / known[i].frequency - 1) < 1e-13, "pair %d: %.17g", known[i].pair,
                  frequency[known[i].pair]);
}

/* ---- tensors ---- */

static void assert_tensor(const pk_model_config *config, size_t number, const char *name, size_t rows, size_t columns)
{
    const pk_model_tensor tensor = pk_model_tensor_at(config, number);
    cr_assert_str_eq(tensor.name, name);
    cr_assert_eq(tensor.rows, rows, "%s: %zu rows", name, tensor.rows);
    cr_assert_eq(tensor.columns, columns, "%s: %zu columns", name, tensor.columns);
}

Test(tensors, of_a_llama)
{
    static const struct {
        const char *name;
        size_t rows, columns;
    } layer[] = {{"input_layernorm.weight", 1, 64},   {"self_attn.q_proj.weight", 64, 64},
                 {"self_attn.k_proj.weight", 32, 64}, {"self_attn.v_proj.weight", 32, 64},
                 {"self_attn.o_proj.weight", 64, 64}, {"post_attention_layernorm.weight", 1, 64},
                 {"mlp.gate_proj.weight", 128, 64},   {"mlp.up_proj.weight", 128, 64},
                 {"mlp.down_proj.weight", 64, 128}};
    const pk_model_config config = config_named("tiny");
    cr_assert_eq(pk_model_tensor_count(&config), 20);
    assert_tensor(&config, 0, "model.embed_tokens.weight", 256, 64);
    for (size_t i = 0; i < 18; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "model.layers.%zu.%s", i / 9, layer[i % 9].name);
        assert_tensor(&config, 1 + i, name, layer[i % 9].rows, layer[i % 9].columns);
    }
    assert_tensor(&config, 19, "model.norm.weight", 1, 64);
}

Test(tensors, of_a_qwen2_with_biases)
{
    const pk_model_config config = config_named("tiny-qwen2");
    cr_assert_eq(pk_model_tensor_count(&config), 2 + 2 * 12);
    assert_tensor(&config, 2, "model.layers.0.self_attn.q_proj.weight", 112, 64);
    assert_tensor(&config, 5, "model.layers.0.self_attn.q_proj.bias", 1, 112);
    assert_tensor(&config, 6, "model.layers.0.self_attn.k_proj.bias", 1, 16);
    assert_tensor(&config, 19, "model.layers.1.self_attn.v_proj.bias", 1, 16);
    assert_tensor(&config, 20, "model.layers.1.self_attn.o_proj.weight", 64, 112);
    assert_tensor(&config, 25, "model.norm.weight", 1, 64);
}

Test(tensors, of_a_qwen3_with_head_norms)
{
    const pk_model_config config = config_named("tiny-qwen3");
    cr_assert_eq(pk_model_tensor_count(&config), 3 + 2 * 11);
    assert_tensor(&config, 5, "model.layers.0.self_attn.q_norm.weight", 1, 32);
    assert_tensor(&config, 6, "model.layers.0.self_attn.k_norm.weight", 1, 32);
    assert_tensor(&config, 7, "model.layers.0.self_attn.o_proj.weight", 64, 256);
    assert_tensor(&config, 24, "lm_head.weight", 256, 64);
}
