/* Lab 02: what a step moves and computes, the sweeps, the figures made from them, the targets. */
#include <stdio.h>
#include <string.h>

#include "lab02_problem.h"

/* ---- sizes ---- */

double lab02_tokens(const pk_run *run)
{
    return (double)pk_knob_value(run, "requests") * (double)pk_knob_value(run, "steps");
}

/* What must come from device memory if a state stays close to the block that works on it: the state and x once a
 * request, and back. */
double lab02_bytes_per_token(const pk_run *run)
{
    return 3.0 * sizeof(float) * (double)pk_knob_value(run, "n") / (double)pk_knob_value(run, "steps");
}

double lab02_flops_per_token(const pk_run *run)
{
    const double n = (double)pk_knob_value(run, "n");
    return pk_knob_value(run, "form") ? 2 * n * n : 2 * n;
}

/* ---- sweeps ---- */

/* One small item in flight, and more: what a round trip takes. */
static const long long in_flight[] = {1, 2, 4, 8, 16, 32, 64}, in_flight_quick[] = {1, 4, 16};
static const long long small_n[] = {256};
static const pk_sweep_axis in_flight_axes[] = {PK_AXIS("in-flight", in_flight), PK_AXIS("n", small_n)};
static const pk_sweep_axis in_flight_axes_quick[] = {PK_AXIS("in-flight", in_flight_quick), PK_AXIS("n", small_n)};

/* Many more requests than blocks: throughput against the number and the size of blocks. */
static const long long blocks[] = {1, 2, 4, 8, 16, 33, 66, 99, 132, 198, 264, 396, 528};
static const long long blocks_quick[] = {1, 2, 4, 8, 16};
static const long long threads[] = {64, 128, 256, 512, 1024}, threads_quick[] = {64, 256};
static const long long many[] = {1024}, many_quick[] = {32}, few_steps[] = {16};
static const pk_sweep_axis block_axes[] = {PK_AXIS("blocks", blocks), PK_AXIS("threads", threads),
                                           PK_AXIS("requests", many), PK_AXIS("steps", few_steps)};
static const pk_sweep_axis block_axes_quick[] = {PK_AXIS("blocks", blocks_quick), PK_AXIS("threads", threads_quick),
                                                 PK_AXIS("requests", many_quick), PK_AXIS("steps", few_steps)};

static const long long n_full[] = {256, 1024, 4096, 16384, 65536}, n_quick[] = {256, 4096};
static const pk_sweep_axis n_axes[] = {PK_AXIS("n", n_full)}, n_axes_quick[] = {PK_AXIS("n", n_quick)};

static const long long dense[] = {1}, n_dense[] = {32, 64, 128, 192, 224, 256, 512, 1024}, n_dense_quick[] = {32, 128};
static const pk_sweep_axis dense_axes[] = {PK_AXIS("n", n_dense), PK_AXIS("form", dense)};
static const pk_sweep_axis dense_axes_quick[] = {PK_AXIS("n", n_dense_quick), PK_AXIS("form", dense)};

/* Latency under load. */
static const long long poisson[] = {LAB02_POISSON}, loads[] = {30, 50, 65, 80, 90, 95}, loads_quick[] = {50, 80, 95};
static const long long crowd[] = {2048}, crowd_quick[] = {32};
static const pk_sweep_axis load_axes[] = {PK_AXIS("load", loads), PK_AXIS("arrival", poisson),
                                          PK_AXIS("requests", crowd), PK_AXIS("steps", few_steps)};
static const pk_sweep_axis load_axes_quick[] = {PK_AXIS("load", loads_quick), PK_AXIS("arrival", poisson),
                                                PK_AXIS("requests", crowd_quick), PK_AXIS("steps", few_steps)};

/* One request, whose slices do not depend on each other. */
static const long long one[] = {1}, n_slices[] = {1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22};
static const long long n_slices_quick[] = {1 << 10, 1 << 14}, steps_500[] = {500}, steps_50[] = {50};
static const pk_sweep_axis slice_axes[] = {PK_AXIS("n", n_slices), PK_AXIS("requests", one),
                                           PK_AXIS("steps", steps_500)};
static const pk_sweep_axis slice_axes_quick[] = {PK_AXIS("n", n_slices_quick), PK_AXIS("requests", one),
                                                 PK_AXIS("steps", steps_50)};

const pk_sweep lab02_sweeps[] = {
    PK_SWEEP("in flight", in_flight_axes, "launch-sync,ping-pong,queue,requests", true),
    PK_SWEEP("blocks", block_axes, "requests", false),
    PK_SWEEP("n", n_axes, NULL, false),
    PK_SWEEP("dense", dense_axes, NULL, false),
    PK_SWEEP("load", load_axes, "batched,queue,requests", true),
    PK_SWEEP("slices", slice_axes, "launch-sync,launch-loop,slices", false),
};
const pk_sweep lab02_sweeps_quick[] = {
    PK_SWEEP("in flight", in_flight_axes_quick, "launch-sync,ping-pong,queue,requests", true),
    PK_SWEEP("blocks", block_axes_quick, "requests", false),
    PK_SWEEP("n", n_axes_quick, NULL, false),
    PK_SWEEP("dense", dense_axes_quick, NULL, false),
    PK_SWEEP("load", load_axes_quick, "batched,queue,requests", true),
    PK_SWEEP("slices", slice_axes_quick, "launch-sync,launch-loop,slices", false),
};

/* ---- figures ---- */

/* The last point of `variant` at which `knob` and the requests are so; NULL when there is none. */
static const pk_point *find(const pk_point *points, size_t count, const char *variant, int knob, long long value,
                            long long requests)
{
    const pk_point *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(points[i].variant, variant) == 0 && points[i].knobs[knob] == value &&
            points[i].knobs[LAB02_KNOB_REQUESTS] == requests)
            found = &points[i];
    return found;
}

/* What a word takes there and back differs by the host that a device is in, so the targets are ratios of one run. */
static void round_trip(const pk_point *points, size_t count, pk_analysis *analysis)
{
    const pk_point *queue =
        find(points, count, "queue", LAB02_KNOB_IN_FLIGHT, 1, lab02_knobs[LAB02_KNOB_REQUESTS].value);
    const pk_point *launch =
        find(points, count, "launch-sync", LAB02_KNOB_IN_FLIGHT, 1, lab02_knobs[LAB02_KNOB_REQUESTS].value);
    if (!queue || !launch)
        return;
    pk_analysis_figure(analysis, "queue, one in flight, p50", "us", queue->token_p50_us);
    pk_analysis_figure(analysis, "queue, one in flight, p99", "us", queue->token_p99_us);
    pk_analysis_figure(analysis, "launch and wait over queue, p50", "", launch->token_p50_us / queue->token_p50_us);
    const pk_point *least =
        find(points, count, "ping-pong", LAB02_KNOB_IN_FLIGHT, 1, lab02_knobs[LAB02_KNOB_REQUESTS].value);
    if (!least)
        return;
    pk_analysis_figure(analysis, "ping-pong, p50", "us", least->token_p50_us);
    pk_analysis_figure(analysis, "queue over ping-pong, p50", "", queue->token_p50_us / least->token_p50_us);
}

static void under_load(const pk_point *points, size_t count, pk_analysis *analysis)
{
    static const char *const variants[] = {"queue", "requests"};
    for (size_t v = 0; v < PK_COUNT(variants); v++) {
        for (size_t i = 0; i < count; i++) {
            const pk_point *p = &points[i];
            const long long load = p->knobs[LAB02_KNOB_LOAD];
            if (strcmp(p->variant, variants[v]) != 0 || p->knobs[LAB02_KNOB_ARRIVAL] != LAB02_POISSON ||
                (load != 50 && load != 80 && load != 95))
                continue;
            char name[64];
            snprintf(name, sizeof name, "%s at %lld%% load, p50", p->variant, load);
            pk_analysis_figure(analysis, name, "us", p->token_p50_us);
            snprintf(name, sizeof name, "%s at %lld%% load, p99", p->variant, load);
            pk_analysis_figure(analysis, name, "us", p->token_p99_us);
        }
    }
}

static bool at_defaults(const pk_point *point)
{
    for (size_t k = 0; k < LAB02_KNOB_COUNT; k++)
        if (point->knobs[k] != lab02_knobs[k].value)
            return false;
    return true;
}

static void against(const pk_point *points, size_t count, const char *other, pk_analysis *analysis)
{
    const pk_point *requests = NULL, *than = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!at_defaults(&points[i]))
            continue;
        if (strcmp(points[i].variant, "requests") == 0)
            requests = &points[i];
        if (strcmp(points[i].variant, other) == 0)
            than = &points[i];
    }
    if (!requests || !than)
        return;
    char name[64];
    snprintf(name, sizeof name, "requests over %s", other);
    pk_analysis_figure(analysis, name, "", than->us_per_token / requests->us_per_token);
}

static void slices(const pk_point *points, size_t count, pk_analysis *analysis)
{
    for (size_t i = 0; i < PK_COUNT(n_slices); i++) {
        const pk_point *loop = find(points, count, "launch-loop", LAB02_KNOB_N, n_slices[i], 1);
        const pk_point *mine = find(points, count, "slices", LAB02_KNOB_N, n_slices[i], 1);
        if (!loop || !mine || loop->knobs[LAB02_KNOB_STEPS] != steps_500[0])
            continue;
        char name[64];
        snprintf(name, sizeof name, "slices over launch-loop, n=%lld", n_slices[i]);
        pk_analysis_figure(analysis, name, "", loop->us_per_token / mine->us_per_token);
    }
}

pk_status lab02_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    (void)limits;
    round_trip(points, count, analysis);
    against(points, count, "launch-loop", analysis);
    against(points, count, "batched", analysis);
    slices(points, count, analysis);
    under_load(points, count, analysis);
    return PK_OK;
}

/* ---- targets ---- */

const pk_target lab02_targets[] = {
    {"requests over launch-sync", PK_TARGET_SPEEDUP_AT_LEAST, "requests", 20, PK_H200},
    {"requests over batched", PK_TARGET_FIGURE_AT_LEAST, "requests over batched", 3, PK_H200},
    {"requests launches a token", PK_TARGET_LAUNCHES_AT_MOST, "requests", 0.001, PK_H200},
    {"queue launches a token", PK_TARGET_LAUNCHES_AT_MOST, "queue", 0.001, PK_H200},
    {"one in flight, queue over ping-pong", PK_TARGET_FIGURE_AT_MOST, "queue over ping-pong, p50", 1.15, PK_H200},
    {"launch and wait over queue", PK_TARGET_FIGURE_AT_LEAST, "launch and wait over queue, p50", 2.2, PK_H200},
    {"slices over launch-loop", PK_TARGET_FIGURE_AT_LEAST, "slices over launch-loop, n=1048576", 1.2, PK_H200},
};
