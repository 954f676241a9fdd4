/* config.json: the files of the models themselves give the configurations by name, and what is not computed is refused.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"
#include "pk_model.h"

/* As the models' pages have them, in the parts that matter here. */
static const char smollm2[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0, "
    "\"bos_token_id\": 1, \"eos_token_id\": 2, \"hidden_act\": \"silu\", \"hidden_size\": 576, "
    "\"initializer_range\": 0.041666666666666664, \"intermediate_size\": 1536, \"is_llama_config\": true, "
    "\"max_position_embeddings\": 8192, \"mlp_bias\": false, \"model_type\": \"llama\", \"num_attention_heads\": 9, "
    "\"num_hidden_layers\": 30, \"num_key_value_heads\": 3, \"pad_token_id\": 2, \"pretraining_tp\": 1, "
    "\"rms_norm_eps\": 1e-05, \"rope_interleaved\": false, \"rope_scaling\": null, \"rope_theta\": 100000, "
    "\"tie_word_embeddings\": true, \"torch_dtype\": \"bfloat16\", \"vocab_size\": 49152}";

static const char qwen2[] =
    "{\"architectures\": [\"Qwen2ForCausalLM\"], \"attention_dropout\": 0.0, \"bos_token_id\": 151643, "
    "\"eos_token_id\": 151643, \"hidden_act\": \"silu\", \"hidden_size\": 896, \"intermediate_size\": 4864, "
    "\"max_position_embeddings\": 32768, \"max_window_layers\": 24, \"model_type\": \"qwen2\", "
    "\"num_attention_heads\": 14, \"num_hidden_layers\": 24, \"num_key_value_heads\": 2, \"rms_norm_eps\": 1e-06, "
    "\"rope_theta\": 1000000.0, \"sliding_window\": 32768, \"tie_word_embeddings\": true, "
    "\"use_sliding_window\": false, \"vocab_size\": 151936}";

static const char llama[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"bos_token_id\": 128000, "
    "\"eos_token_id\": 128001, \"head_dim\": 64, \"hidden_act\": \"silu\", \"hidden_size\": 2048, "
    "\"intermediate_size\": 8192, \"max_position_embeddings\": 131072, \"mlp_bias\": false, \"model_type\": \"llama\", "
    "\"num_attention_heads\": 32, \"num_hidden_layers\": 16, \"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-05, "
    "\"rope_scaling\": {\"factor\": 32.0, \"high_freq_factor\": 4.0, \"low_freq_factor\": 1.0, "
    "\"original_max_position_embeddings\": 8192, \"rope_type\": \"llama3\"}, \"rope_theta\": 500000.0, "
    "\"tie_word_embeddings\": true, \"vocab_size\": 128256}";

static const char qwen3[] =
    "{\"architectures\": [\"Qwen3ForCausalLM\"], \"attention_bias\": false, \"bos_token_id\": 151643, "
    "\"eos_token_id\": 151645, \"head_dim\": 128, \"hidden_act\": \"silu\", \"hidden_size\": 4096, "
    "\"intermediate_size\": 12288, \"max_position_embeddings\": 40960, \"max_window_layers\": 36, "
    "\"model_type\": \"qwen3\", \"num_attention_heads\": 32, \"num_hidden_layers\": 36, \"num_key_value_heads\": 8, "
    "\"rms_norm_eps\": 1e-06, \"rope_scaling\": null, \"rope_theta\": 1000000, \"sliding_window\": null, "
    "\"tie_word_embeddings\": false, \"use_sliding_window\": false, \"vocab_size\": 151936}";

static const struct {
    const char *name, *text;
} files[] = {{"smollm2-135m", smollm2}, {"qwen2.5-0.5b", qwen2}, {"llama-3.2-1b", llama}, {"qwen3-8b", qwen3}};

static pk_model_config parsed(const char *text)
{
    pk_model_config config;
    cr_assert_eq(pk_model_config_parse(text, "m/config.json", &config), PK_OK, "%s: %s", pk_error_text(), text);
    return config;
}

static void assert_refused(const char *text, const char *word)
{
    pk_model_config config;
    cr_assert_eq(pk_model_config_parse(text, "m/config.json", &config), PK_USAGE, "taken: %s", text);
    cr_assert_eq(strncmp(pk_error_text(), "m/config.json: ", 15), 0, "%s", pk_error_text());
    cr_assert_not_null(strstr(pk_error_text(), word), "no '%s' in: %s", word, pk_error_text());
    cr_assert_null(strchr(pk_error_text(), '\n'));
}

/* `text` with `from`, which is once in it, replaced by `to`; the test's until the call after the next. */
static const char *with(const char *text, const char *from, const char *to)
{
    static char texts[2][4096]; /* `text` may be the other one */
    char *changed = text == texts[0] ? texts[1] : texts[0];
    const char *at = strstr(text, from);
    cr_assert_not_null(at, "no %s", from);
    cr_assert_null(strstr(at + 1, from), "%s twice", from);
    (void)snprintf(changed, sizeof texts[0], "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return changed;
}

/* With one member more. */
static const char *plus(const char *text, const char *member)
{
    char begin[512];
    (void)snprintf(begin, sizeof begin, "{%s, \"architectures\"", member);
    return with(text, "{\"architectures\"", begin);
}

/* ---- what is right ---- */

Test(config_json, the_models_themselves)
{
    for (size_t i = 0; i < 4; i++) {
        pk_model_config want, got;
        char origin[64];
        (void)snprintf(origin, sizeof origin, "models/%s/config.json", files[i].name);
        cr_assert_eq(pk_model_config_named(files[i].name, &want), PK_OK);
        cr_assert_eq(pk_model_config_parse(files[i].text, origin, &got), PK_OK, "%s", pk_error_text());
        assert_same_config(&got, &want);
        cr_assert_str_eq(got.name, want.name);
    }
}

Test(config_json, the_name_is_the_folder_s)
{
    static const struct {
        const char *origin, *name;
    } known[] = {{"models/small/config.json", "small"},
                 {"models/small//config.json", "small"},
                 {"/config.json", ""},
                 {"config.json", "config.json"},
                 {"other.json", "other.json"},
                 {"a/0123456789012345678901234567890123456789012345678901234567890123456789/config.json",
                  "012345678901234567890123456789012345678901234567890123456789012"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        pk_model_config config;
        cr_assert_eq(pk_model_config_parse(qwen2, known[i].origin, &config), PK_OK, "%s", pk_error_text());
        cr_assert_str_eq(config.name, known[i].name);
    }
}

Test(config_json, defaults)
{
    const pk_model_config bare =
        parsed("{\"model_type\": \"llama\", \"num_hidden_layers\": 2, \"hidden_size\": 64, \"num_attention_heads\": 4, "
               "\"intermediate_size\": 128, \"vocab_size\": 256, \"max_position_embeddings\": 512}");
    cr_assert_str_eq(bare.family, "llama");
    cr_assert_eq(bare.kv_heads, 4);
    cr_assert_eq(bare.head_dim, 16);
    cr_assert_eq(bare.rms_eps, 1e-6);
    cr_assert_eq(bare.rope_theta, 10000);
    cr_assert_eq(bare.rope_factor, 1);
    cr_assert_eq(bare.activation, PK_ACTIVATION_SILU);
    cr_assert_eq(bare.begin_token, -1);
    cr_assert_eq(bare.end_count, 0);
    cr_assert(!bare.tied_embedding && !bare.qkv_bias && !bare.qk_norm);
    cr_assert_eq(parsed(with(qwen3, "\"head_dim\": 128, ", "")).head_dim, 128);
    cr_assert_eq(parsed(with(qwen3, "\"head_dim\": 128", "\"head_dim\": null")).head_dim, 128);
    cr_assert_eq(parsed(with(llama, "\"head_dim\": 64", "\"head_dim\": null")).head_dim, 64);
}

Test(config_json, end_tokens_as_a_list)
{
    const pk_model_config config =
        parsed(with(llama, "\"eos_token_id\": 128001", "\"eos_token_id\": [128001, 128008, 128009]"));
    cr_assert_eq(config.end_count, 3);
    cr_assert_eq(config.end_tokens[2], 128009);
    cr_assert_eq(parsed(with(llama, "\"eos_token_id\": 128001", "\"eos_token_id\": null")).end_count, 0);
    cr_assert_eq(parsed(with(llama, "\"eos_token_id\": 128001", "\"eos_token_id\": [1,2,3,4,5,6,7,8]")).end_count, 8);
    cr_assert_eq(parsed(with(llama, "\"bos_token_id\": 128000", "\"bos_token_id\": null")).begin_token, -1);
}

Test(config_json, activations)
{
    cr_assert_eq(parsed(with(qwen2, "\"silu\"", "\"gelu_pytorch_tanh\"")).activation, PK_ACTIVATION_GELU_TANH);
    cr_assert_eq(parsed(with(qwen2, "\"silu\"", "\"gelu_new\"")).activation, PK_ACTIVATION_GELU_TANH);
}

Test(config_json, both_spellings_of_the_rotation)
{
    pk_model_config want = parsed(llama), got;
    char newer[4096];
    (void)snprintf(newer, sizeof newer, "%s",
                   with(llama, "\"rope_scaling\": {", "\"rope_parameters\": {\"rope_theta\": 7e5, "));
    got = parsed(newer);
    cr_assert_eq(got.rope_theta, 7e5);
    got.rope_theta = want.rope_theta;
    assert_same_config(&got, &want);
    got = parsed(with(llama, "\"rope_type\"", "\"type\"")); /* the oldest */
    assert_same_config(&got, &want);
    got = parsed(with(qwen3, "\"rope_scaling\": null, \"rope_theta\": 1000000",
                      "\"rope_parameters\": {\"rope_theta\": 1000000, \"rope_type\": \"default\"}"));
    want = parsed(qwen3);
    assert_same_config(&got, &want);
}

Test(config_json, windows_that_are_not_in_use)
{
    (void)parsed(plus(with(qwen3, "\"sliding_window\": null", "\"sliding_window\": 4096"),
                      "\"layer_types\": [\"full_attention\", \"full_attention\"]"));
    (void)parsed(plus(llama, "\"sliding_window\": 131072")); /* of the whole length */
}

/* ---- what is wrong ---- */

Test(config_json, no_json)
{
    assert_refused("", "not JSON from byte 0");
    assert_refused("[1, 2", "not JSON from byte 5");
    assert_refused("{} {}", "not JSON from byte 3");
    assert_refused("[]", "not a JSON object");
    assert_refused("7", "not a JSON object");
    char *deep = malloc(100001);
    cr_assert_not_null(deep);
    memset(deep, '[', 100000);
    deep[100000] = 0;
    assert_refused(deep, "not JSON");
    free(deep);
}

Test(config_json, other_families)
{
    assert_refused("{}", "model_type: '' is not computed here");
    assert_refused("{\"model_type\": \"gpt2\"}", "'gpt2'");
    assert_refused("{\"model_type\": 7}", "model_type: not a string");
    assert_refused(with(llama, "LlamaForCausalLM", "MistralForCausalLM"), "'MistralForCausalLM'");
    assert_refused(with(llama, "LlamaForCausalLM", "Llama\\u001b[2J\\n"), "'Llama?[2J?'");
    assert_refused(with(llama, "[\"LlamaForCausalLM\"]", "[]"), "not a list of one name");
    assert_refused(with(llama, "[\"LlamaForCausalLM\"]", "[\"LlamaForCausalLM\", \"X\"]"), "not a list of one name");
    assert_refused(with(llama, "[\"LlamaForCausalLM\"]", "\"LlamaForCausalLM\""), "not a list of one name");
    assert_refused(with(llama, "[\"LlamaForCausalLM\"]", "[7]"), "not a list of one name");
}

Test(config_json, what_is_missing)
{
    static const char *const needed[] = {"num_hidden_layers", "hidden_size", "num_attention_heads",
                                         "intermediate_size", "vocab_size",  "max_position_embeddings"};
    for (size_t i = 0; i < 6; i++) {
        char name[64], want[64];
        (void)snprintf(name, sizeof name, "\"%s\"", needed[i]);
        (void)snprintf(want, sizeof want, "%s: missing", needed[i]);
        assert_refused(with(qwen2, name, "\"x\""), want);
    }
    assert_refused(with(llama, "\"low_freq_factor\"", "\"x\""), "low_freq_factor: missing");
}

Test(config_json, what_is_no_number)
{
    static const char *const bad[] = {"1.5", "\"64\"", "true", "[1]", "1e300", "3000000000", "-3e9", "{}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char member[64];
        (void)snprintf(member, sizeof member, "\"hidden_size\": %s", bad[i]);
        assert_refused(with(qwen2, "\"hidden_size\": 896", member), "hidden_size: not a whole number");
    }
    assert_refused(with(qwen2, "1e-06", "\"small\""), "rms_norm_eps: not a number");
    assert_refused(with(qwen2, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": 1"),
                   "neither true nor false");
    assert_refused(with(qwen2, "\"eos_token_id\": 151643", "\"eos_token_id\": [1, \"a\"]"), "eos_token_id: neither");
    assert_refused(with(qwen2, "\"eos_token_id\": 151643", "\"eos_token_id\": [1,2,3,4,5,6,7,8,9]"), "more than 8");
}

Test(config_json, what_is_out_of_range)
{
    assert_refused(with(qwen2, "\"hidden_size\": 896", "\"hidden_size\": 0"), "the hidden size is 0");
    assert_refused(with(qwen2, "\"hidden_size\": 896", "\"hidden_size\": 900"), "there is no head_dim");
    assert_refused(with(qwen2, "\"num_attention_heads\": 14", "\"num_attention_heads\": 0"), "there is no head_dim");
    assert_refused(with(qwen2, "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4"), "ratio");
    assert_refused(with(qwen2, "\"eos_token_id\": 151643", "\"eos_token_id\": 151936"), "an end token is 151936");
    assert_refused(with(qwen2, "\"bos_token_id\": 151643", "\"bos_token_id\": -7"), "the begin token is -7");
    assert_refused(with(qwen2, "1000000.0", "1e999"), "rope_theta is inf");
    assert_refused(with(llama, "\"factor\": 32.0", "\"factor\": 0.5"), "the rope factor is 0.5");
}

Test(config_json, what_is_not_computed)
{
    assert_refused(with(qwen2, "\"silu\"", "\"gelu\""), "hidden_act: 'gelu'");
    assert_refused(with(llama, "\"attention_bias\": false", "\"attention_bias\": true"),
                   "attention_bias: in this family");
    assert_refused(with(qwen3, "\"attention_bias\": false", "\"attention_bias\": true"),
                   "attention_bias: in this family");
    assert_refused(with(llama, "\"mlp_bias\": false", "\"mlp_bias\": true"), "mlp_bias");
    assert_refused(with(qwen2, "\"use_sliding_window\": false", "\"use_sliding_window\": true"),
                   "use_sliding_window: ");
    assert_refused(plus(llama, "\"sliding_window\": 4096"), "sliding_window: ");
    assert_refused(plus(qwen3, "\"layer_types\": [\"full_attention\", \"sliding_attention\"]"), "layer_types: ");
    assert_refused(plus(qwen3, "\"layer_types\": [7]"), "layer_types: ");
    assert_refused(plus(qwen3, "\"layer_types\": \"full_attention\""), "layer_types: ");
    assert_refused(plus(qwen3, "\"quantization_config\": {\"bits\": 4}"), "quantised");
    assert_refused(with(smollm2, "\"rope_interleaved\": false", "\"rope_interleaved\": true"), "half-split");
    assert_refused(plus(llama, "\"partial_rotary_factor\": 0.5"), "whole heads");
}

Test(config_json, rotations_that_are_not_computed)
{
    static const char plain[] = "\"rope_scaling\": null";
    assert_refused(with(qwen3, plain, "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}"), "'yarn'");
    assert_refused(with(qwen3, plain, "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}"), "'linear'");
    assert_refused(with(qwen3, plain, "\"rope_scaling\": {\"rope_type\": 3}"), "rope_type: not a string");
    assert_refused(with(qwen3, plain, "\"rope_scaling\": 2"), "rope_scaling: not an object");
    assert_refused(with(qwen3, plain, "\"rope_parameters\": [2]"), "rope_parameters: not an object");
    assert_refused(with(qwen3, plain, "\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 1}}"),
                   "differs by layer");
    assert_refused(with(qwen3, plain, "\"rope_parameters\": {\"partial_rotary_factor\": 0.5}"), "whole heads");
    assert_refused(plus(llama, "\"rope_parameters\": {}"), "beside rope_scaling");
    assert_refused(with(qwen3, plain, "\"rope_scaling\": {\"factor\": 1, \"factor\": 2}"), "factor: there twice");
}

Test(config_json, members_twice_or_too_many)
{
    assert_refused(plus(qwen2, "\"hidden_size\": 896"), "hidden_size: there twice");
    char *many = malloc(40000), *at = many;
    cr_assert_not_null(many);
    for (int i = 0; i < 1001; i++)
        at += sprintf(at, "%c\"m%d\": %d", i ? ',' : '{', i, i);
    (void)sprintf(at, "}");
    assert_refused(many, "more than 1000 members");
    free(many);
}
