/* Lab 07: the models' shapes. Those of the decoder's own, and three small ones of awkward sizes: heads of 64, 80 and
 * 128, groups of 1, 3 and 2, one of each family, vocabularies that are multiples of nothing, and room for long
 * contexts. */
#include <string.h>

#include "lab07_problem.h"

const char *const lab07_models[LAB07_MODELS] = {"tiny",    "tiny-qwen2",   "tiny-qwen3",   "odd-64",       "odd-80",
                                                "odd-128", "smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b", "qwen3-8b"};

static const pk_model_config odd[] = {{.name = "odd-64",
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
                                       .end_count = 1}};

pk_status lab07_model(const pk_run *run, pk_model_config *config)
{
    return lab07_model_at(lab07_knob(run, "model"), config);
}

pk_status lab07_model_at(long long which, pk_model_config *config)
{
    const char *const name = lab07_models[which];
    for (size_t i = 0; i < PK_COUNT(odd); i++)
        if (strcmp(odd[i].name, name) == 0) {
            *config = odd[i];
            return PK_OK;
        }
    return pk_model_config_named(name, config);
}
