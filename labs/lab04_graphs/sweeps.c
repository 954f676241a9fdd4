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
    if (lab04_knob(run, "work") != work)
        return false;
    /* What it compares is replays: of the same rows as a pool's, so that nothing but the pool differs. */
    const int prompt = lab04_knob(run, "prompt");
    return strcmp(variant, "prefill-exact") != 0 ||
           (lab04_knob(run, "exact") && pk_prefill_bucket(prompt, 1 << 20) == prompt);
}

/* ---- sizes ---- */

double lab04_tokens(const pk_run *run)
{
    switch (lab04_knob(run, "work")) {
    case LAB04_AXPY:
        return lab04_knob(run, "replays");
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
    static const char *const launched[] = {"axpy-loop", "launch", "stream", "update-graph" /* into a capture */,
                                           "update-whole-forgotten" /* likewise */};
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

const char *const lab04_hidden[LAB04_HIDDEN] = {
    "prompt=3..30 tokens=3..9",
    "work=axpy n=20..3000 k=3..60 replays=1..3",
    "work=prefill prompt=10..50 requests=3..7",
};

/* ---- sweeps ---- */

static const long long axpy_only[] = {LAB04_AXPY}, nodes[] = {10, 30, 100, 300, 1000}, nodes_quick[] = {10, 30, 100},
                       once_and_in_a_row[] = {1, 32}, small_n[] = {1 << 10}, rung_0_n[] = {1 << 20}, rung_0_k[] = {500};
static const pk_sweep_axis node_axes[] = {PK_AXIS("work", axpy_only), PK_AXIS("n", small_n), PK_AXIS("k", nodes),
                                          PK_AXIS("replays", once_and_in_a_row)};
static const pk_sweep_axis node_axes_quick[] = {PK_AXIS("work", axpy_only), PK_AXIS("n", small_n),
                                                PK_AXIS("k", nodes_quick), PK_AXIS("replays", once_and_in_a_row)};
static const pk_sweep_axis rung_0_axes[] = {PK_AXIS("work", axpy_only), PK_AXIS("n", rung_0_n), PK_AXIS("k", rung_0_k)};

enum { TINY, QWEN2_5 = 4, LLAMA_3_2 = 5 };
static const long long decode_only[] = {LAB04_DECODE}, fused[] = {1}, llama[] = {LLAMA_3_2};
static const pk_sweep_axis fused_axes[] = {PK_AXIS("work", decode_only), PK_AXIS("form", fused)};
static const pk_sweep_axis llama_axes[] = {PK_AXIS("work", decode_only), PK_AXIS("model", llama),
                                           PK_AXIS("form", fused)};

/* Each shape once: v is k's, up is gate's. */
static const long long project_only[] = {LAB04_PROJECT}, project_models[] = {QWEN2_5, LLAMA_3_2},
                       project_tiny[] = {TINY},
                       project_parts[] = {PK_PART_Q,    PK_PART_K,       PK_PART_QKV,  PK_PART_O,
                                          PK_PART_GATE, PK_PART_GATE_UP, PK_PART_DOWN, PK_PART_LOGITS};
static const long long project_parts_quick[] = {PK_PART_QKV, PK_PART_O, PK_PART_GATE_UP, PK_PART_DOWN, PK_PART_LOGITS};
static const pk_sweep_axis project_axes[] = {PK_AXIS("work", project_only), PK_AXIS("model", project_models),
                                             PK_AXIS("part", project_parts)};
static const pk_sweep_axis project_axes_quick[] = {PK_AXIS("work", project_only), PK_AXIS("model", project_tiny),
                                                   PK_AXIS("part", project_parts_quick)};

/* On the edge of a bucket, and one token beyond, where nearly half of the rows are padding. */
static const long long prefill_only[] = {LAB04_PREFILL}, all_exact[] = {1}, two_requests[] = {2},
                       prompts[] = {64, 128, 129, 1024, 1025, 4096}, prompts_quick[] = {16, 17, 32, 33};
static const pk_sweep_axis prefill_axes[] = {PK_AXIS("work", prefill_only), PK_AXIS("exact", all_exact),
                                             PK_AXIS("requests", two_requests), PK_AXIS("prompt", prompts)};
static const pk_sweep_axis prefill_axes_quick[] = {PK_AXIS("work", prefill_only), PK_AXIS("exact", all_exact),
                                                   PK_AXIS("requests", two_requests), PK_AXIS("prompt", prompts_quick)};

static const long long contexts[] = {128, 1024, 4096, 8192}, contexts_quick[] = {16};
static const pk_sweep_axis context_axes[] = {PK_AXIS("work", decode_only), PK_AXIS("prompt", contexts)};
static const pk_sweep_axis context_axes_quick[] = {PK_AXIS("work", decode_only), PK_AXIS("prompt", contexts_quick)};

const pk_sweep lab04_sweeps[LAB04_SWEEPS] = {
    PK_SWEEP("nodes", node_axes, NULL, false),
    PK_SWEEP("axpy", rung_0_axes, NULL, false),
    PK_SWEEP("fused", fused_axes, "launch,stream,resident,update-nodes,update-graph,pdl,while", false),
    PK_SWEEP("llama", llama_axes, "launch,stream,resident,pdl", false),
    PK_SWEEP("projections", project_axes, NULL, false),
    PK_SWEEP("prefill", prefill_axes, NULL, false),
    PK_SWEEP("context", context_axes, "launch,stream,resident,pdl", false),
};
const pk_sweep lab04_sweeps_quick[LAB04_SWEEPS_QUICK] = {
    PK_SWEEP("nodes", node_axes_quick, NULL, false),
    PK_SWEEP("fused", fused_axes, "launch,stream,resident,update-nodes,update-graph", false),
    PK_SWEEP("projections", project_axes_quick, NULL, false),
    PK_SWEEP("prefill", prefill_axes_quick, NULL, false),
    PK_SWEEP("context", context_axes_quick, "launch,stream,resident", false),
};

/* ---- figures ---- */

/* All points of a run: the first is of the default point, whose knobs the others have where they say nothing else. */
typedef struct run_points {
    const pk_point *points;
    size_t count;
    pk_analysis *analysis;
} run_points;

typedef struct knob_at {
    int knob;
    long long value;
} knob_at;

/* The first point of `variant` where these knobs are so and the others are the default point's; NULL without one. */
static const pk_point *find(const run_points *all, const char *variant, const knob_at *at, size_t at_count)
{
    for (size_t i = 0; i < all->count; i++) {
        const pk_point *p = &all->points[i];
        bool same = strcmp(p->variant, variant) == 0;
        for (int knob = 0; knob < LAB04_KNOBS && same; knob++) {
            long long want = all->points[0].knobs[knob];
            for (size_t k = 0; k < at_count; k++)
                if (at[k].knob == knob)
                    want = at[k].value;
            same = p->knobs[knob] == want;
        }
        if (same)
            return p;
    }
    return NULL;
}

static const pk_point *find_default(const run_points *all, const char *variant)
{
    const knob_at decode = {LAB04_KNOB_WORK, LAB04_DECODE};
    return find(all, variant, &decode, 1);
}

/* Microseconds of that part of a point's prepare; NaN where it was not timed. */
static double phase(const pk_point *point, const char *name)
{
    for (size_t i = 0; point && i < point->phase_count; i++)
        if (strcmp(point->phases[i].name, name) == 0)
            return point->phases[i].us;
    return NAN;
}

static void figure(const run_points *all, const char *name, const char *unit, double value)
{
    if (isfinite(value))
        pk_analysis_figure(all->analysis, name, unit, value);
}

static double time_of(const pk_point *point)
{
    return point ? point->us_per_token : (double)NAN;
}

/* A token's submission, where replays follow each other as those of decode do. */
static void submission_in_a_row(const run_points *all, long long most)
{
    const long long row = once_and_in_a_row[1];
    const knob_at few[] = {
        {LAB04_KNOB_WORK, LAB04_AXPY}, {LAB04_KNOB_N, small_n[0]}, {LAB04_KNOB_K, 10}, {LAB04_KNOB_REPLAYS, row}};
    const knob_at many[] = {few[0], few[1], {LAB04_KNOB_K, most}, few[3]};
    const pk_point *small = find(all, "axpy-graph", few, 4), *large = find(all, "axpy-graph", many, 4);
    char name[64];
    snprintf(name, sizeof name, "submission of %lld nodes over 10", most);
    if (small && large)
        figure(all, name, "", large->submit_us_per_token / small->submit_us_per_token);
}

/* Rung 0: what making, submitting and replaying a graph costs by its nodes. */
static void by_nodes(const run_points *all)
{
    static const char *const phases[] = {"capture", "instantiate", "upload"};
    const knob_at few[] = {{LAB04_KNOB_WORK, LAB04_AXPY}, {LAB04_KNOB_N, small_n[0]}, {LAB04_KNOB_K, 10}};
    const long long most = find(all, "axpy-graph", (knob_at[]){few[0], few[1], {LAB04_KNOB_K, 1000}}, 3) ? 1000 : 100;
    const knob_at many[] = {few[0], few[1], {LAB04_KNOB_K, most}};
    const pk_point *small = find(all, "axpy-graph", few, 3), *large = find(all, "axpy-graph", many, 3);
    if (!small || !large)
        return;
    char name[64];
    for (size_t i = 0; i < PK_COUNT(phases); i++) {
        snprintf(name, sizeof name, "%s, a further node", phases[i]);
        figure(all, name, "us", (phase(large, phases[i]) - phase(small, phases[i])) / (double)(most - 10));
    }
    figure(all, "replay, a further node", "us", (large->us_per_token - small->us_per_token) / (double)(most - 10));
    snprintf(name, sizeof name, "submission of %lld nodes over 10, alone", most);
    figure(all, name, "", large->submit_us_per_token / small->submit_us_per_token);
    submission_in_a_row(all, most);
}

/* After how many replays a graph has paid for its making, against `direct`, the same launches without waits; NaN where
 * it never does. `first_excess_us` is what its first launch took beyond a later one: 0 where noise made it the quicker.
 */
static double paid_after(const pk_point *graph, const pk_point *direct, double first_excess_us)
{
    const double making = phase(graph, "capture") + phase(graph, "instantiate") + phase(graph, "upload");
    const double saving = time_of(direct) - time_of(graph);
    return saving > 0 ? ceil((making + first_excess_us) / saving) : (double)NAN;
}

/* A repetition of AXPYs is one replay, and its first launch is known. One of decode is as many as there are tokens: its
 * first launch, which is lost in what a hundred others vary by, counts as any other. */
static void break_even(const run_points *all)
{
    static const char *const rungs[] = {"resident", "pdl", "while"};
    char name[64];
    for (size_t i = 0; i < PK_COUNT(nodes); i++) {
        const knob_at at[] = {{LAB04_KNOB_WORK, LAB04_AXPY}, {LAB04_KNOB_N, small_n[0]}, {LAB04_KNOB_K, nodes[i]}};
        const pk_point *graph = find(all, "axpy-graph", at, PK_COUNT(at));
        snprintf(name, sizeof name, "%lld nodes break even after", nodes[i]);
        if (graph)
            figure(all, name, "replays",
                   paid_after(graph, find(all, "axpy-loop", at, PK_COUNT(at)),
                              fmax(0, graph->first_execute_us - graph->us_per_token)));
    }
    for (size_t i = 0; i < PK_COUNT(rungs); i++) {
        snprintf(name, sizeof name, "%s breaks even after", rungs[i]);
        figure(all, name, "tokens", paid_after(find_default(all, rungs[i]), find_default(all, "stream"), 0));
    }
}

/* What telling the graph where a step stands costs, against the device's own knowledge. */
static void updates(const run_points *all)
{
    static const char *const rungs[] = {"capture", "update-nodes", "update-graph", "update-device"};
    for (size_t i = 0; i < PK_COUNT(rungs); i++) {
        const pk_point *p = find_default(all, rungs[i]);
        char name[64];
        snprintf(name, sizeof name, "%s beyond resident, a token", rungs[i]);
        figure(all, name, "us", time_of(p) - time_of(find_default(all, "resident")));
        snprintf(name, sizeof name, "%s, one update", rungs[i]);
        figure(all, name, "us", phase(p, "update"));
    }
}

static void ladder(const run_points *all)
{
    const double resident = time_of(find_default(all, "resident"));
    figure(all, "pdl over resident", "", resident / time_of(find_default(all, "pdl")));
    figure(all, "while beyond resident, an iteration", "us", time_of(find_default(all, "while")) - resident);
    figure(all, "tail beyond resident, an iteration", "us", time_of(find_default(all, "tail")) - resident);
}

/* The written plan's numbers, from this run. */
static void plan(const pk_limits *limits, const run_points *all)
{
    static const char *const rungs[] = {"capture", "resident", "pdl", "while", "tail"};
    const pk_point *launch = find_default(all, "launch");
    if (!launch)
        return;
    double best = NAN;
    for (size_t i = 0; i < PK_COUNT(rungs); i++)
        best = fmin(best, time_of(find_default(all, rungs[i])));
    figure(all, "plan: launches a token", "", launch->launches_per_token);
    figure(all, "plan: a launch", "us", limits->launch_us);
    figure(all, "plan: a launch and a wait", "us", limits->launch_sync_us);
    figure(all, "plan: launches' share of a token", "%",
           100 * launch->launches_per_token * limits->launch_us / launch->us_per_token);
    figure(all, "plan: share of a token that a graph saves", "%", 100 * (1 - best / launch->us_per_token));
    figure(all, "plan: tokens a second, launch", "1/s", 1e6 / launch->us_per_token);
    figure(all, "plan: tokens a second, best", "1/s", 1e6 / best);
}

static pk_status over_weights(const pk_limits *limits, const run_points *all)
{
    const knob_at at[] = {{LAB04_KNOB_WORK, LAB04_DECODE}, {LAB04_KNOB_MODEL, LLAMA_3_2}, {LAB04_KNOB_FORM, 1}};
    pk_model_config config;
    pk_status status = pk_model_config_named(lab04_knobs[LAB04_KNOB_MODEL].choices[LLAMA_3_2], &config);
    if (status == PK_OK)
        figure(all, "llama-3.2-1b, fused pdl over its weights at B_read", "",
               time_of(find(all, "pdl", at, PK_COUNT(at))) * limits->read_bytes_per_us /
                   pk_decode_step_bytes(&config, -1));
    return status;
}

static void projections(const run_points *all)
{
    const pk_knob *models = &lab04_knobs[LAB04_KNOB_MODEL], *parts = &lab04_knobs[LAB04_KNOB_PART];
    double least = NAN;
    for (long long model = 0; model <= models->maximum; model++) {
        for (long long part = 0; part <= parts->maximum; part++) {
            const knob_at at[] = {{LAB04_KNOB_WORK, LAB04_PROJECT}, {LAB04_KNOB_MODEL, model}, {LAB04_KNOB_PART, part}};
            const double ratio =
                time_of(find(all, "project-read", at, 3)) / time_of(find(all, "project-matvec", at, 3));
            char name[64];
            snprintf(name, sizeof name, "read over matvec, %s %s", models->choices[model], parts->choices[part]);
            figure(all, name, "", ratio);
            least = fmin(least, ratio);
        }
    }
    figure(all, "read over matvec, least", "", least);
}

/* Until the first token, and a token after it, with and without graphs. */
static void by_prompt(const run_points *all)
{
    double worst = NAN;
    for (long long prompt = 1; prompt <= 8192; prompt++) {
        const knob_at at[] = {{LAB04_KNOB_WORK, LAB04_PREFILL},
                              {LAB04_KNOB_EXACT, 1},
                              {LAB04_KNOB_REQUESTS, two_requests[0]},
                              {LAB04_KNOB_PROMPT, prompt}};
        const knob_at decode[] = {{LAB04_KNOB_WORK, LAB04_DECODE}, {LAB04_KNOB_PROMPT, prompt}};
        const struct {
            const char *name, *unit;
            double value;
        } figures[] = {{"TTFT, launched", "us", time_of(find(all, "prefill-launch", at, 4))},
                       {"TTFT, pool", "us", time_of(find(all, "prefill-pool", at, 4))},
                       {"tokens a second, launched", "1/s", 1e6 / time_of(find(all, "launch", decode, 2))},
                       {"tokens a second, resident", "1/s", 1e6 / time_of(find(all, "resident", decode, 2))},
                       {"tokens a second, pdl", "1/s", 1e6 / time_of(find(all, "pdl", decode, 2))}};
        for (size_t i = 0; i < PK_COUNT(figures); i++) {
            char name[64];
            snprintf(name, sizeof name, "%s, prompt %lld", figures[i].name, prompt);
            figure(all, name, figures[i].unit, figures[i].value);
        }
        worst = fmax(worst,
                     fabs(time_of(find(all, "prefill-pool", at, 4)) / time_of(find(all, "prefill-exact", at, 4)) - 1));
    }
    figure(all, "pool against a graph of the exact length, worst", "%", 100 * worst);
}

/* Of this lab's rungs the fastest at a model's default prompt and tokens, in either form. */
static double fastest(const run_points *all, long long model)
{
    double least = NAN;
    for (size_t i = 0; i < all->count; i++) {
        const knob_at at[] = {{LAB04_KNOB_WORK, LAB04_DECODE},
                              {LAB04_KNOB_MODEL, model},
                              {LAB04_KNOB_FORM, all->points[i].knobs[LAB04_KNOB_FORM]}};
        if (find(all, all->points[i].variant, at, PK_COUNT(at)) == &all->points[i])
            least = fmin(least, all->points[i].us_per_token);
    }
    return least;
}

/* And of a peer's variants whose names begin so. */
static double fastest_peer(const run_points *all, long long model, const char *prefix)
{
    static const int same[] = {LAB04_KNOB_PROMPT, LAB04_KNOB_TOKENS, LAB04_KNOB_TOP_K};
    size_t count;
    const pk_peer_point *peers = pk_analysis_peers(all->analysis, &count);
    double least = NAN;
    for (size_t i = 0; i < count; i++) {
        const long long *knobs = peers[i].knobs;
        bool fits = strncmp(peers[i].variant, prefix, strlen(prefix)) == 0 && knobs[LAB04_KNOB_WORK] == LAB04_DECODE &&
                    knobs[LAB04_KNOB_MODEL] == model;
        for (size_t k = 0; k < PK_COUNT(same); k++)
            fits = fits && knobs[same[k]] == all->points[0].knobs[same[k]];
        if (fits)
            least = fmin(least, peers[i].us_per_token);
    }
    return least;
}

/* Two runs of two programs: medians are compared, nothing is paired. */
static void beside_pytorch(const run_points *all)
{
    static const char *const ways[] = {"torch-graph", "torch-compile"};
    const pk_knob *models = &lab04_knobs[LAB04_KNOB_MODEL];
    for (long long model = 0; model <= models->maximum; model++)
        for (size_t way = 0; way < PK_COUNT(ways); way++) {
            char name[64];
            snprintf(name, sizeof name, "best over %s, %s", ways[way], models->choices[model]);
            figure(all, name, "", fastest_peer(all, model, ways[way]) / fastest(all, model));
        }
}

pk_status lab04_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    const run_points all = {points, count, analysis};
    by_nodes(&all);
    ladder(&all);
    updates(&all);
    break_even(&all);
    plan(limits, &all);
    projections(&all);
    by_prompt(&all);
    beside_pytorch(&all);
    return over_weights(limits, &all);
}

/* ---- targets ---- */

const pk_target lab04_targets[LAB04_TARGETS] = {
    {"launches a token, resident", PK_TARGET_LAUNCHES_AT_MOST, "resident", 1, PK_H200},
    {"launches a token, pdl", PK_TARGET_LAUNCHES_AT_MOST, "pdl", 1, PK_H200},
    {"launches a token, while", PK_TARGET_LAUNCHES_AT_MOST, "while", 1.0 / 128, PK_H200},
    {"launches a token, tail", PK_TARGET_LAUNCHES_AT_MOST, "tail", 1.0 / 128, PK_H200},
    {"submission, 1000 nodes over 10", PK_TARGET_FIGURE_AT_MOST, "submission of 1000 nodes over 10", 1.1, PK_H200},
    {"resident over launch", PK_TARGET_SPEEDUP_AT_LEAST, "resident", 2.5, PK_H200},
    {"pdl over resident", PK_TARGET_FIGURE_AT_LEAST, "pdl over resident", 1.1, PK_H200},
    {"while beyond resident, us", PK_TARGET_FIGURE_AT_MOST, "while beyond resident, an iteration", 3.5, PK_H200},
    {"llama over weights at B_read", PK_TARGET_FIGURE_AT_MOST, "llama-3.2-1b, fused pdl over its weights at B_read",
     1.20, PK_H200},
    {"read over matvec, least", PK_TARGET_FIGURE_AT_LEAST, "read over matvec, least", 0.92, PK_H200},
    {"pool against exact graph, %", PK_TARGET_FIGURE_AT_MOST, "pool against a graph of the exact length, worst", 1,
     PK_H200},
    {"over PyTorch's graph, qwen", PK_TARGET_FIGURE_AT_LEAST, "best over torch-graph, qwen2.5-0.5b", 2, PK_H200},
    {"over torch.compile, qwen", PK_TARGET_FIGURE_AT_LEAST, "best over torch-compile, qwen2.5-0.5b", 1.2, PK_H200},
    {"over PyTorch's graph, llama", PK_TARGET_FIGURE_AT_LEAST, "best over torch-graph, llama-3.2-1b", 2, PK_H200},
    {"over torch.compile, llama", PK_TARGET_FIGURE_AT_LEAST, "best over torch-compile, llama-3.2-1b", 1.2, PK_H200},
};
