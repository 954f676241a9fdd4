/* Lab 04, execution graphs: knobs, and what they may be together. */
#include "lab04_problem.h"

static const char *const works[] = {"axpy", "decode", "prefill", "project"};
static const char *const parts[] = {"q", "k", "v", "qkv", "o", "gate", "up", "gate+up", "down", "logits"};
static const char *const models[] = {"tiny",         "tiny-qwen2",   "tiny-qwen3", "smollm2-135m",
                                     "qwen2.5-0.5b", "llama-3.2-1b", "qwen3-8b"};
static const char *const forms[] = {"unfused", "fused"};

#define CHOICES(list) 0, PK_COUNT(list) - 1, (list), 0

const pk_knob lab04_knobs[LAB04_KNOBS] = {
    [LAB04_KNOB_WORK] = {"work", "", "what is done: K dependent AXPYs, decode, prefill, or one projection",
                         LAB04_DECODE, LAB04_DECODE, CHOICES(works)},
    [LAB04_KNOB_MODEL] = {"model", "", "the decoder's shape, with seeded random weights", 4, 0, CHOICES(models)},
    [LAB04_KNOB_FORM] = {"form", "", "15 kernels a layer, or 5", 0, 0, CHOICES(forms)},
    [LAB04_KNOB_PROMPT] = {"prompt", "tokens", "P: in the cache before decode; of the longest prompt of prefill", 32, 5,
                           1, 1 << 17, NULL, 0},
    [LAB04_KNOB_TOKENS] = {"tokens", "tokens", "T: steps of decode a repetition", 128, 6, 1, 1 << 20, NULL, 0},
    [LAB04_KNOB_TOP_K] = {"top-k", "tokens", "the next token is drawn among the best so many; 1: greedy", 1, 1, 1,
                          PK_SAMPLE_MOST, NULL, 0},
    [LAB04_KNOB_GRAPH] = {"graph", "", "0: what a graph holds is launched kernel by kernel, to bisect", 1, 1, 0, 1,
                          NULL, 0},
    [LAB04_KNOB_CAPACITY] = {"capacity", "positions", "room in the cache; 0: just enough", 0, 0, 0, 1 << 20, NULL, 0},
    [LAB04_KNOB_REQUESTS] = {"requests", "prompts", "R: prompts a repetition of prefill", 8, 3, 1, 1 << 16, NULL, 0},
    [LAB04_KNOB_EXACT] = {"exact", "", "1: every prompt has P tokens; 0: 1 to P, drawn", 0, 0, 0, 1, NULL, 0},
    [LAB04_KNOB_POOL] = {"pool", "graphs", "that a pool of prefill graphs may keep", LAB04_MOST_BUCKETS, 4, 1,
                         LAB04_MOST_BUCKETS, NULL, 0},
    [LAB04_KNOB_PART] = {"part", "", "the projection of --work=project", PK_PART_GATE_UP, PK_PART_GATE_UP,
                         CHOICES(parts)},
    [LAB04_KNOB_N] = {"n", "floats", "length of the AXPY's vectors", 1 << 20, 1000, 1, 1LL << 28, NULL, 0},
    [LAB04_KNOB_K] = {"k", "steps", "K: dependent AXPYs", 500, 20, 1, 100000, NULL, 0},
    [LAB04_KNOB_REPLAYS] = {"replays", "times", "that the K AXPYs are done, one behind the other, with one wait", 1, 1,
                            1, 1 << 16, NULL, 0},
};

const pk_lab pk_this_lab = {
    .id = "lab04",
    .title = "Execution graphs",
    .knobs = lab04_knobs,
    .knob_count = LAB04_KNOBS,
    .offers = lab04_offers,
    .validate = lab04_validate,
    .setup = lab04_setup,
    .fill = lab04_fill,
    .reset = lab04_reset,
    .verify = lab04_verify,
    .teardown = lab04_teardown,
    .slow_on_cpu = true,
    .token_ends_on_stream = true,
    .tokens = lab04_tokens,
    .bytes_per_token = lab04_bytes_per_token,
    .flops_per_token = lab04_flops_per_token,
    .launches = lab04_launches,
    .awkward = lab04_awkward,
    .awkward_count = LAB04_AWKWARD,
    .hidden = lab04_hidden,
    .hidden_count = LAB04_HIDDEN,
    .sweeps = lab04_sweeps,
    .sweep_count = LAB04_SWEEPS,
    .sweeps_quick = lab04_sweeps_quick,
    .sweep_quick_count = LAB04_SWEEPS_QUICK,
    .analyse = lab04_analyse,
    .targets = lab04_targets,
    .target_count = LAB04_TARGETS,
};
