/* Test of lab 07's figures and targets: lab07_analyse of made-up points gives the ratios that their numbers say, and
 * the sweeps' points at their defaults give every figure that a target is about. */
#include "analysis_stand_in.h"
#include "lab07_problem.h"

enum { MOST = 256 };

typedef struct made_up { /* points at the defaults, each with one sweep's knobs */
    long long knobs[MOST][LAB07_KNOBS];
    pk_point points[MOST];
    size_t count;
} made_up;

/* Three variants there: the kernels' times are 110 and 120 us and the graph's 150, `slower` times. */
static void add(made_up *made, const long long *knobs, double slower)
{
    static const struct {
        const char *variant;
        bool is_baseline;
        double us;
    } three[] = {{"graph-pdl", true, 150}, {"ring-flag", false, 120}, {"ring-spread", false, 110}};
    for (size_t i = 0; i < PK_COUNT(three) && made->count < MOST; i++) {
        memcpy(made->knobs[made->count], knobs, sizeof made->knobs[0]);
        made->points[made->count] = (pk_point){.variant = three[i].variant,
                                               .is_baseline = three[i].is_baseline,
                                               .knobs = made->knobs[made->count],
                                               .us_per_token = slower * three[i].us};
        made->count++;
    }
}

static void add_line(made_up *made, const pk_sweep *sweep)
{
    for (size_t i = 0; i < sweep->axes[0].count; i++) {
        long long knobs[LAB07_KNOBS];
        for (int k = 0; k < LAB07_KNOBS; k++) {
            knobs[k] = lab07_knobs[k].value;
            for (size_t a = 0; a < sweep->axis_count; a++)
                if (strcmp(sweep->axes[a].knob, lab07_knobs[k].name) == 0)
                    knobs[k] = sweep->axes[a].values[a == 0 ? i : 0];
        }
        add(made, knobs, 2);
    }
}

/* Of the sweep `long`, each model's step is judged in double on a machine with a GPU: for bits alone, wrong keys of all
 * rungs would be right. */
static void long_is_judged(void)
{
    for (size_t i = 0; i < LAB07_SWEEPS; i++)
        for (size_t k = 0; strcmp(lab07_sweeps[i].name, "long") == 0 && k < lab07_sweeps[i].axes[0].count; k++) {
            pk_model_config config;
            if (lab07_model_at(lab07_sweeps[i].axes[0].values[k], &config) == PK_OK &&
                pk_judge_flops(&config, 1, (double)lab07_sweeps[i].axes[1].values[0], 1) <= pk_judge_most_flops(true))
                continue;
            printf("FAILED: there is no time to judge the sweep 'long' with %s\n", config.name);
            failed = 1;
        }
}

int main(void)
{
    static made_up made;
    long_is_judged();
    static pk_analysis all, few;
    const pk_limits limits = {.measured = true, .read_bytes_per_us = 1e6};
    long long knobs[LAB07_KNOBS];
    for (int k = 0; k < LAB07_KNOBS; k++)
        knobs[k] = lab07_knobs[k].value;
    add(&made, knobs, 1);
    for (size_t i = 0; i < LAB07_SWEEPS; i++)
        add_line(&made, &lab07_sweeps[i]);
    if (lab07_analyse(&limits, made.points, made.count, &all) != PK_OK)
        failed = 1;
    pk_model_config config;
    if (lab07_model_at(knobs[LAB07_KNOB_MODEL], &config) != PK_OK)
        failed = 1;
    expect(&all, "llama-3.2-1b, 512: best rung", 110);
    expect(&all, "llama-3.2-1b, 512: graph-pdl over best rung", 150.0 / 110);
    expect(&all, "llama-3.2-1b, 512: over its bytes at B_read", 110e6 / pk_decode_step_bytes(&config, 512 + 31 / 2.0));
    expect(&all, "llama-3.2-1b, 32768: over its bytes at B_read",
           220e6 / pk_decode_step_bytes(&config, 32768 + 31 / 2.0));
    expect(&all, "llama-3.2-1b, 10 to 109: best rung", 220);
    if (pk_model_config_named("qwen3-8b", &config) != PK_OK)
        failed = 1;
    expect(&all, "qwen3-8b q4_k, 512: over its bytes at B_read",
           220e6 / pk_decode_step_bytes_of(&config, PK_QUANT_Q4_K, 512 + 31 / 2.0));
    expect(&all, "qwen3-8b, 512: over its bytes at B_read", 220e6 / pk_decode_step_bytes(&config, 512 + 31 / 2.0));
    for (size_t i = 0; i < LAB07_TARGETS; i++)
        if (lab07_targets[i].kind == PK_TARGET_FIGURE_AT_MOST && !(value_of(&all, lab07_targets[i].subject) > 0)) {
            printf("FAILED: a target is about '%s', which is no figure\n", lab07_targets[i].subject);
            failed = 1;
        }
    /* Two graphs and nothing beside them: no figures. */
    const pk_point graphs[] = {made.points[0], made.points[3]};
    if (lab07_analyse(&limits, graphs, PK_COUNT(graphs), &few) != PK_OK || few.count != 0) {
        printf("FAILED: %zu figures of a run without a kernel that decodes\n", few.count);
        failed = 1;
    }
    return failed;
}
