/* Lab 07: the models' shapes, by the knob. */
#include "lab07_problem.h"

const char *const lab07_models[LAB07_MODELS] = {"tiny",         "tiny-qwen2", "tiny-qwen3",   "odd-64",
                                                "odd-80",       "odd-128",    "smollm2-135m", "qwen2.5-0.5b",
                                                "llama-3.2-1b", "qwen3-8b",   "tiny-256"};

pk_status lab07_model_at(long long which, pk_model_config *config)
{
    return pk_model_config_named(lab07_models[which], config);
}

pk_status lab07_model(const pk_run *run, pk_model_config *config)
{
    return lab07_model_at(lab07_knob(run, "model"), config);
}
