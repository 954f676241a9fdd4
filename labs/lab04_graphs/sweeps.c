/* Lab 04: which variant is of which problem, sizes, sweeps, figures and targets. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab04_problem.h"

/* ---- which variant is of which problem ---- */

bool lab04_offers(const pk_run *run, const char *variant)
{
    static const char *const prefixes[] = {
        [LAB04_AXPY] = "axpy-", [LAB04_PREFILL] = "prefill-", [LAB04_PROJECT] = "project-"};
    int work = LAB04_DECODE;
    for (int w = 0; w < (int)PK_COUNT(prefixes); w++)
        if (prefixes[w] && strncmp(variant, prefixes[w], strlen(prefixes[w])) == 0)
            work = w;
    return lab04_knob(run, "work") == work;
}

/* ---- sizes ---- */

double lab04_tokens(const pk_run *run)
{
    switch (lab04_knob(run, "work")) {
    case LAB04_AXPY:
        return 1;
    case LAB04_PREFILL:
        return lab04_knob(run, "requests");
    case LAB04_PROJECT:
        return ((const lab04 *)pk_run_lab_data(run))->copies;
    default:
        return lab04_knob(run, "tokens");
    }
}

/* What must be read at least: weights once a token, and the keys and values before it; of AXPY x and y once a step. */
double lab04_bytes_per_token(const pk_run *run)
{
    const lab04 *lab = pk_run_lab_data(run);
    if (lab->work == LAB04_AXPY)
        return 3.0 * sizeof(float) * lab->axpy.n * lab->axpy.k;
    if (lab->work == LAB04_PROJECT) {
        const pk_decode_matrix m = pk_decode_matrix_of(&lab->decoder, 0, lab->part);
        return 2.0 * m.rows * m.columns;
    }
    return pk_decode_step_bytes(&lab->decoder.config,
                                lab->work == LAB04_PREFILL ? 0 : lab->prompt + (lab->tokens - 1) / 2.0);
}

double lab04_flops_per_token(const pk_run *run)
{
    const lab04 *lab = pk_run_lab_data(run);
    if (lab->work == LAB04_AXPY)
        return 2.0 * lab->axpy.n * lab->axpy.k;
    if (lab->work == LAB04_PROJECT)
        return lab04_bytes_per_token(run);
    const double weights = pk_decode_step_bytes(&lab->decoder.config, -1) / 2; /* without keys and values */
    return 2 * weights * (lab->work == LAB04_PREFILL ? (lab->prompt + 1) / 2.0 : 1);
}

pk_launch_range lab04_launches(const pk_run *run, const char *variant)
{
    const lab04 *lab = pk_run_lab_data(run);
    const double all = lab04_tokens(run) * lab->launched;
    static const char *const launched[] = {"axpy-loop", "launch", "stream", "update-graph" /* into a capture */};
    for (size_t i = 0; i < PK_COUNT(launched); i++)
        if (strcmp(variant, launched[i]) == 0)
            return (pk_launch_range){all, all};
    if (!lab->graphs || strncmp(variant, "prefill-", 8) == 0 || lab->work == LAB04_PROJECT)
        return (pk_launch_range){0, HUGE_VAL};
    const double updates = strcmp(variant, "update-device") == 0 ? lab04_tokens(run) : 0; /* a kernel for each */
    return (pk_launch_range){updates, updates};
}

/* One step and one token of prompt; a prompt on a bucket's edge and one beyond; the other families; the other form. */
const char *const lab04_awkward[LAB04_AWKWARD] = {
    "prompt=1 tokens=1",
    "prompt=17 tokens=3 model=tiny-qwen2",
    "prompt=16 tokens=2 model=tiny-qwen3 form=fused",
    "work=axpy n=1 k=1",
    "work=axpy n=257 k=3",
    "work=prefill prompt=40 requests=5",
};

/* ---- sweeps ---- */

static const long long axpy_only[] = {LAB04_AXPY}, nodes[] = {10, 30, 100, 300, 1000}, nodes_quick[] = {10, 30, 100},
                       small_n[] = {1 << 10}, rung_0_n[] = {1 << 20}, rung_0_k[] = {500};
static const pk_sweep_axis node_axes[] = {PK_AXIS("work", axpy_only), PK_AXIS("n", small_n), PK_AXIS("k", nodes)};
static const pk_sweep_axis node_axes_quick[] = {PK_AXIS("work", axpy_only), PK_AXIS("n", small_n),
                                                PK_AXIS("k", nodes_quick)};
static const pk_sweep_axis rung_0_axes[] = {PK_AXIS("work", axpy_only), PK_AXIS("n", rung_0_n), PK_AXIS("k", rung_0_k)};

static const long long fused[] = {1}, llama[] = {5};
static const pk_sweep_axis llama_axes[] = {PK_AXIS("model", llama), PK_AXIS("form", fused)};
static const pk_sweep_axis fused_axes[] = {PK_AXIS("form", fused)};

const pk_sweep lab04_sweeps[LAB04_SWEEPS] = {
    PK_SWEEP("nodes", node_axes, NULL, false),
    PK_SWEEP("axpy", rung_0_axes, NULL, false),
    PK_SWEEP("fused", fused_axes, NULL, false),
    PK_SWEEP("llama", llama_axes, NULL, false),
};
const pk_sweep lab04_sweeps_quick[LAB04_SWEEPS_QUICK] = {
    PK_SWEEP("nodes", node_axes_quick, NULL, false),
};

/* ---- figures ---- */

pk_status lab04_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    (void)limits, (void)points, (void)count, (void)analysis;
    return PK_OK;
}

/* ---- targets ---- */

const pk_target lab04_targets[LAB04_TARGETS] = {
    {"launches a token, resident", PK_TARGET_LAUNCHES_AT_MOST, "resident", 1, PK_H200},
    {"resident over launch", PK_TARGET_SPEEDUP_AT_LEAST, "resident", 2.5, PK_H200},
};
