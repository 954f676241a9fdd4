/* Lab 07: sweeps, the figures made from them, the targets. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "decode/pk_quant.h"
#include "lab07_problem.h"

enum {
    TINY = 0,
    TINY_QWEN2,
    TINY_QWEN3,
    ODD_128 = 5,
    QWEN_2_5 = 7,
    LLAMA_3_2,
    QWEN_3_8B,
    TINY_256
}; /* of lab07_models */

/* ---- sweeps ---- */

/* The context at the defaults of the rest; other models at the default context. */
static const long long positions[] = {0, 128, 512, 1024, 2048, 4096, 8192, 16384, 32768};
static const long long positions_quick[] = {0, 16, 63, 300};
static const pk_sweep_axis position_axes[] = {PK_AXIS("position", positions)};
static const pk_sweep_axis position_axes_quick[] = {PK_AXIS("position", positions_quick)};
static const long long models[] = {QWEN_2_5, QWEN_3_8B}, models_quick[] = {TINY_QWEN2, TINY_QWEN3};
static const pk_sweep_axis model_axes[] = {PK_AXIS("model", models)};
static const pk_sweep_axis model_axes_quick[] = {PK_AXIS("model", models_quick)};

/* As others publish it: 32 tokens in, 128 out, of which positions 10 to 109 are told. */
static const long long published_position[] = {10}, published_tokens[] = {100};
static const pk_sweep_axis published_axes[] = {PK_AXIS("position", published_position),
                                               PK_AXIS("tokens", published_tokens)};

/* A context of 2^17 keys, of one step: which the reference has time for. */
static const long long long_model[] = {ODD_128, LLAMA_3_2}, long_position[] = {(1 << 17) - 1}, long_tokens[] = {1};
static const pk_sweep_axis long_axes[] = {PK_AXIS("model", long_model), PK_AXIS("position", long_position),
                                          PK_AXIS("tokens", long_tokens)};

/* Weights in blocks. */
static const long long blocks[] = {PK_QUANT_Q8_0, PK_QUANT_Q4_K}, blocks_model[] = {QWEN_3_8B, LLAMA_3_2};
static const long long blocks_model_quick[] = {TINY_256};
static const pk_sweep_axis weights_axes[] = {PK_AXIS("weights", blocks), PK_AXIS("model", blocks_model)};
static const pk_sweep_axis weights_axes_quick[] = {PK_AXIS("weights", blocks), PK_AXIS("model", blocks_model_quick)};

/* What a block may have under way, and half of it ahead of its warps, in chunks of the default size. */
static const long long in_flight[] = {16, 32, 48, 64, 80, 96, 128, 160, 200}, in_flight_quick[] = {1, 2, 3, 6};
static const pk_sweep_axis in_flight_axes[] = {PK_AXIS("in-flight", in_flight)};
static const pk_sweep_axis in_flight_axes_quick[] = {PK_AXIS("in-flight", in_flight_quick)};
#define STREAMING "ring-ahead,ring-flag,ring-spread,ring-many"
#define IN_BLOCKS "ring-quant,ring-many-quant"

const pk_sweep lab07_sweeps[LAB07_SWEEPS] = {
    PK_SWEEP("position", position_axes, NULL, false),        PK_SWEEP("model", model_axes, NULL, false),
    PK_SWEEP("published", published_axes, NULL, false),      PK_SWEEP("long", long_axes, NULL, false),
    PK_SWEEP("in-flight", in_flight_axes, STREAMING, false), PK_SWEEP("weights", weights_axes, IN_BLOCKS, false),
};
const pk_sweep lab07_sweeps_quick[LAB07_SWEEPS_QUICK] = {
    PK_SWEEP("position", position_axes_quick, NULL, false),
    PK_SWEEP("model", model_axes_quick, NULL, false),
    PK_SWEEP("in-flight", in_flight_axes_quick, STREAMING, false),
    PK_SWEEP("weights", weights_axes_quick, IN_BLOCKS, false),
};

/* ---- figures ---- */

/* Where all knobs but model, weights, position and tokens are the default point's: whose results the figures of one
 * place are made of. */
static bool belongs(const pk_point *p, const pk_point *first)
{
    for (int knob = 0; knob < LAB07_KNOBS; knob++)
        if (knob != LAB07_KNOB_MODEL && knob != LAB07_KNOB_POSITION && knob != LAB07_KNOB_TOKENS &&
            knob != LAB07_KNOB_WEIGHTS && p->knobs[knob] != first->knobs[knob])
            return false;
    return true;
}

static bool same_place(const pk_point *a, const pk_point *b)
{
    return a->knobs[LAB07_KNOB_MODEL] == b->knobs[LAB07_KNOB_MODEL] &&
           a->knobs[LAB07_KNOB_WEIGHTS] == b->knobs[LAB07_KNOB_WEIGHTS] &&
           a->knobs[LAB07_KNOB_POSITION] == b->knobs[LAB07_KNOB_POSITION] &&
           a->knobs[LAB07_KNOB_TOKENS] == b->knobs[LAB07_KNOB_TOKENS];
}

static void figure(pk_analysis *analysis, const char *place, const char *what, const char *unit, double value)
{
    char name[160];
    snprintf(name, sizeof name, "%s: %s", place, what);
    if (isfinite(value))
        pk_analysis_figure(analysis, name, unit, value);
}

/* Of one place: the fastest of the kernels that decode, in us and over what its bytes take at B_read; and lab 04's best
 * over it, which ran in turn with it. */
static pk_status figures_of(const pk_limits *limits, const pk_point *points, size_t count, const pk_point *at,
                            pk_analysis *analysis)
{
    double best = NAN, graph = NAN;
    pk_model_config config;
    pk_status status = lab07_model_at(at->knobs[LAB07_KNOB_MODEL], &config);
    if (status != PK_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        const pk_point *p = &points[i];
        if (!belongs(p, &points[0]) || !same_place(p, at))
            continue;
        if (!p->is_baseline)
            best = fmin(best, p->us_per_token);
        else if (strcmp(p->variant, "graph-pdl") == 0)
            graph = fmin(graph, p->us_per_token);
    }
    char place[112], model[80];
    const pk_quant weights = (pk_quant)at->knobs[LAB07_KNOB_WEIGHTS];
    snprintf(model, sizeof model, "%s%s%s", config.name, weights == PK_QUANT_BF16 ? "" : " ",
             weights == PK_QUANT_BF16 ? "" : pk_quant_name(weights));
    const long long position = at->knobs[LAB07_KNOB_POSITION], tokens = at->knobs[LAB07_KNOB_TOKENS];
    snprintf(place, sizeof place, "%s, %lld", model, position);
    if (tokens != points[0].knobs[LAB07_KNOB_TOKENS])
        snprintf(place, sizeof place, "%s, %lld to %lld", model, position, position + tokens - 1);
    const double bytes = pk_decode_step_bytes_of(&config, weights, (double)position + (double)(tokens - 1) / 2);
    figure(analysis, place, "best rung", "us", best);
    if (limits->measured)
        figure(analysis, place, "over its bytes at B_read", "", best * limits->read_bytes_per_us / bytes);
    figure(analysis, place, "graph-pdl over best rung", "", graph / best);
    return PK_OK;
}

pk_status lab07_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < count && status == PK_OK; i++) {
        bool new = belongs(&points[i], &points[0]);
        for (size_t before = 0; before < i && new; before++)
            new = !(belongs(&points[before], &points[0]) && same_place(&points[before], &points[i]));
        if (new)
            status = figures_of(limits, points, count, &points[i], analysis);
    }
    return status;
}

/* ---- targets ---- */

#define OVER "over its bytes at B_read"
const pk_target lab07_targets[LAB07_TARGETS] = {
    {"launches a token, kernel", PK_TARGET_LAUNCHES_AT_MOST, "kernel", 1, PK_H200},
    {"llama at 512, over its bytes", PK_TARGET_FIGURE_AT_MOST, "llama-3.2-1b, 512: " OVER, 1.12, PK_H200},
    {"qwen2.5-0.5b at 512", PK_TARGET_FIGURE_AT_MOST, "qwen2.5-0.5b, 512: " OVER, 1.40, PK_H200},
    {"qwen3-8b at 512", PK_TARGET_FIGURE_AT_MOST, "qwen3-8b, 512: " OVER, 1.09, PK_H200},
    {"qwen3-8b q4_k at 512", PK_TARGET_FIGURE_AT_MOST, "qwen3-8b q4_k, 512: " OVER, 1.36, PK_H200},
    {"llama at 4096", PK_TARGET_FIGURE_AT_MOST, "llama-3.2-1b, 4096: " OVER, 1.15, PK_H200},
    {"llama at 32768", PK_TARGET_FIGURE_AT_MOST, "llama-3.2-1b, 32768: " OVER, 1.15, PK_H200},
};
