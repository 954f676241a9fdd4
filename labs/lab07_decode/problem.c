/* Lab 07, decode as one kernel: knobs and sizes. */
#include <math.h>
#include <string.h>

#include "lab07_problem.h"

enum { LLAMA = 8, TINY = 0 };

static const char *const lab07_off_on[] = {"off", "on"};
static const char *const weights[PK_QUANTS] = {"bf16", "q8_0", "q4_k"};

const pk_knob lab07_knobs[LAB07_KNOBS] = {
    [LAB07_KNOB_MODEL] = {"model", "", "the decoder's shape, with seeded random weights", LLAMA, TINY, 0,
                          LAB07_MODELS - 1, lab07_models, 0},
    [LAB07_KNOB_POSITION] = {"position", "keys", "P: keys and values in the cache before step 0", 512, 5, 0, 1 << 18,
                             NULL, 0},
    [LAB07_KNOB_TOKENS] = {"tokens", "tokens", "T: steps of decode a repetition", 32, 4, 1, 1 << 20, NULL, 0},
    [LAB07_KNOB_TOP_K] = {"top-k", "tokens", "the next token is drawn among the best so many; 1: greedy", 1, 1, 1,
                          PK_SAMPLE_MOST, NULL, 0},
    [LAB07_KNOB_CAPACITY] = {"capacity", "positions", "room in the cache; 0: just enough", 0, 0, 0, 1 << 20, NULL, 0},
    [LAB07_KNOB_BLOCKS] = {"blocks", "blocks", "of a kernel that decodes; 0: what the rung finds best", 0, 3, 0,
                           1 << 20, NULL, 0},
    [LAB07_KNOB_CONSUMERS] = {"consumers", "warps", "of a block that compute, beside four others", 8, 2, 1, 8, NULL, 0},
    [LAB07_KNOB_RING] = {"ring", "KB", "of a block's ring of chunks; 0: what fits", 0, 6, 0, 208, NULL, 0},
    [LAB07_KNOB_CHUNK] = {"chunk", "KB", "of a copy, at most", 16, 1, 1, 64, NULL, 0},
    [LAB07_KNOB_IN_FLIGHT] = {"in-flight", "KB",
                              "of a block's copies under way, at most; half of it ahead of its warps; 0: 64", 0, 3, 0,
                              200, NULL, 0},
    [LAB07_KNOB_SHARE_KEYS] = {"share-keys", "keys", "of a share, where they are spread and there is room", 48, 2, 1,
                               1 << 18, NULL, 0},
    [LAB07_KNOB_STOP_AFTER] = {"stop-after", "tokens", "the host stops ring-many when it has heard so many; 0: never",
                               0, 0, 0, 1 << 20, NULL, 0},
    [LAB07_KNOB_ENDS] = {"ends", "", "ring-many ends at the model's end tokens: on or off", 0, 0, 0, 1, lab07_off_on,
                         0},
    [LAB07_KNOB_STAMPS] = {"stamps", "", "the rungs that stream note the last step's phases: on or off", 0, 0, 0, 1,
                           lab07_off_on, 0},
    [LAB07_KNOB_WEIGHTS] = {"weights", "", "of matrices, as their rows allow it: ring-quant reads all", PK_QUANT_BF16,
                            PK_QUANT_BF16, 0, PK_QUANTS - 1, weights, 0},
    [LAB07_KNOB_HOLD] = {"hold", "", "steps stay at a full cache's last position: on or off", 0, 0, 0, 1, lab07_off_on,
                         0},
};

static double tokens(const pk_run *run)
{
    return lab07_knob(run, "tokens");
}

/* What must be read at least: weights once a token, and the keys and values before it. Of a token on average; of those
 * that are held the last step's. */
static double bytes_per_token(const pk_run *run)
{
    const lab07 *lab = pk_run_lab_data(run);
    const double all = lab->tokens, room = lab->decoder.shape.capacity - lab->position, grow = fmin(all, room);
    return pk_decode_step_bytes_of(&lab->decoder.config, lab->decoder.shape.weights,
                                   lab->position + (grow - 1) / 2 * grow / all + (grow - 1) * (all - grow) / all);
}

static double flops_per_token(const pk_run *run)
{
    const lab07 *lab = pk_run_lab_data(run);
    return pk_decode_step_bytes(&lab->decoder.config, -1); /* a product and a sum a weight, of two bytes as bf16 */
}

static pk_launch_range launches(const pk_run *run, const char *variant)
{
    const lab07 *lab = pk_run_lab_data(run);
    const double all = tokens(run) * lab->launched;
    if (strcmp(variant, "stream") == 0)
        return (pk_launch_range){all, all};
    if (strncmp(variant, "graph", 5) == 0)
        return (pk_launch_range){0, 0};
    if (strncmp(variant, "ring-many", 9) == 0)
        return (pk_launch_range){1, 1};
    if (strcmp(variant, "kernel") == 0 || strncmp(variant, "ring-", 5) == 0)
        return (pk_launch_range){tokens(run), tokens(run)};
    return (pk_launch_range){0, HUGE_VAL};
}

/* No key but the token's own, and one; contexts about 64; heads of 64, 80 and 128, and each family; one block, and
 * grids that divide nothing. */
static const char *const awkward[] = {
    "position=0 tokens=1 blocks=2",
    "position=1 tokens=3 blocks=1",
    "position=62 tokens=2 model=odd-64 blocks=3",
    "position=63 tokens=1 model=odd-80 blocks=2 share-keys=7",
    "position=65 tokens=1 model=odd-128 capacity=200 blocks=3",
    "position=7 tokens=2 model=tiny-qwen2 blocks=5 share-keys=1",
    "position=3 tokens=2 model=odd-128 blocks=3 weights=q4_k",
    "position=9 tokens=1 model=tiny-qwen2 blocks=2 weights=q8_0",
};
static const char *const hidden[] = {"position=1..40 tokens=2..7"}; /* for ./lab grade */

const pk_lab pk_this_lab = {
    .id = "lab07",
    .title = "Decode as one kernel",
    .knobs = lab07_knobs,
    .knob_count = LAB07_KNOBS,
    .validate = lab07_validate,
    .setup = lab07_setup,
    .fill = lab07_fill,
    .reset = lab07_reset,
    .verify = lab07_verify,
    .teardown = lab07_teardown,
    .describe_stall = lab07_describe_stall,
    .slow_on_cpu = true,
    .tokens = tokens,
    .bytes_per_token = bytes_per_token,
    .flops_per_token = flops_per_token,
    .launches = launches,
    .awkward = awkward,
    .awkward_count = PK_COUNT(awkward),
    .hidden = hidden,
    .hidden_count = PK_COUNT(hidden),
    .sweeps = lab07_sweeps,
    .sweep_count = LAB07_SWEEPS,
    .sweeps_quick = lab07_sweeps_quick,
    .sweep_quick_count = LAB07_SWEEPS_QUICK,
    .analyse = lab07_analyse,
    .targets = lab07_targets,
    .target_count = LAB07_TARGETS,
};
