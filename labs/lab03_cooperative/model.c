/* Lab 03, cooperative kernel: what a step moves and computes, the sweeps, the figures made from them, the targets. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab03_problem.h"

/* ---- sizes ---- */

double lab03_tokens(const pk_run *run)
{
    return (double)lab03_knob(run, "steps");
}

/* Keys that a step attends to, on average over the steps, summed over the sequences. */
static double keys_per_step(const pk_run *run)
{
    const lab03 *lab = pk_run_lab_data(run);
    double keys = 0;
    for (int b = 0; b < lab->view.batch; b++)
        keys += lab->host_lengths[b] + 1 + (lab->view.steps - 1) / 2.0;
    return keys;
}

/* K and V are read once; all else is small beside it. */
double lab03_bytes_per_token(const pk_run *run)
{
    return keys_per_step(run) * lab03_knob(run, "kv-heads") * lab03_knob(run, "head-dim") * 2 * sizeof(uint16_t);
}

/* A multiplication and an addition for each component of K, and of V, for every query head. */
double lab03_flops_per_token(const pk_run *run)
{
    return keys_per_step(run) * lab03_knob(run, "heads") * lab03_knob(run, "head-dim") * 4;
}

/* One launch a repetition is what the ladder is about. */
pk_launch_range lab03_launches(const pk_run *run, const char *variant)
{
    static const char *const ladder[] = {"grid-sync", "hand-barrier", "split-kv", "async-tiles", "warp-roles"};
    const double steps = lab03_tokens(run);
    if (strcmp(variant, "kernels") == 0)
        return (pk_launch_range){4 * steps, 4 * steps};
    if (strcmp(variant, "fused") == 0)
        return (pk_launch_range){steps + 1, steps + 1};
    for (size_t i = 0; i < PK_COUNT(ladder); i++)
        if (strcmp(variant, ladder[i]) == 0)
            return (pk_launch_range){1, 1};
    return (pk_launch_range){0, HUGE_VAL};
}

/* One key and one of everything; lengths from 1 to 17, of which the tiles are larger; lanes without components and
 * three heads a unit; more units than blocks. */
const char *const lab03_awkward[] = {"seq-len=1 steps=2 batch=1 heads=1 kv-heads=1",
                                     "seq-len=17 ragged=100 batch=5 steps=2", "head-dim=80 heads=6 steps=2",
                                     "batch=7 blocks=2 steps=3"};

const char *const lab03_hidden[] = {"seq-len=20..150 batch=1..4 ragged=0..90 steps=2..4",
                                    "head-dim=80 heads=4..8/4 kv-heads=2 seq-len=9..90 block-k=8..24/8 steps=2..3"};

/* ---- sweeps ---- */

/* What one barrier costs: a short context, and further barriers that nothing else waits for. One block of 256 threads a
 * processor is the last but one. */
enum { FURTHER = 64 };
static const long long further[] = {0, FURTHER}, barrier_blocks[] = {8, 16, 33, 66, 132, 264};
static const long long barrier_blocks_quick[] = {2, 8};
static const long long short_context[] = {64}, few_steps[] = {64}, threads_256[] = {256}, threads_64[] = {64};
static const pk_sweep_axis barrier_axes[] = {PK_AXIS("extra-barriers", further), PK_AXIS("blocks", barrier_blocks),
                                             PK_AXIS("seq-len", short_context), PK_AXIS("steps", few_steps),
                                             PK_AXIS("threads", threads_256)};
static const pk_sweep_axis barrier_axes_quick[] = {PK_AXIS("extra-barriers", further),
                                                   PK_AXIS("blocks", barrier_blocks_quick),
                                                   PK_AXIS("seq-len", short_context), PK_AXIS("threads", threads_64)};

static const long long lengths[] = {256, 1024, 4096, 16384, 65536, 131072}, lengths_quick[] = {64, 256};
static const long long steps_16[] = {16}, steps_3[] = {3};
static const pk_sweep_axis length_axes[] = {PK_AXIS("seq-len", lengths), PK_AXIS("steps", steps_16)};
static const pk_sweep_axis length_axes_quick[] = {PK_AXIS("seq-len", lengths_quick), PK_AXIS("steps", steps_3)};

static const long long batch_32[] = {32}, long_context[] = {4096};
static const pk_sweep_axis batch_axes[] = {PK_AXIS("batch", batch_32), PK_AXIS("seq-len", long_context),
                                           PK_AXIS("steps", few_steps)};

/* How large tiles are, and how many are under way. */
static const long long tile_keys[] = {16, 32, 64, 128}, tile_stages[] = {2, 3, 4, 6}, steps_8[] = {8};
static const pk_sweep_axis tile_axes[] = {PK_AXIS("block-k", tile_keys), PK_AXIS("stages", tile_stages),
                                          PK_AXIS("batch", batch_32), PK_AXIS("seq-len", long_context),
                                          PK_AXIS("steps", steps_8)};
static const long long tile_keys_quick[] = {16, 32, 512}, tile_stages_quick[] = {2, 3};
static const long long none_ragged[] = {0}; /* the bandwidth that the figures show is of sequences of one length */
static const pk_sweep_axis tile_axes_quick[] = {PK_AXIS("block-k", tile_keys_quick),
                                                PK_AXIS("stages", tile_stages_quick), PK_AXIS("seq-len", short_context),
                                                PK_AXIS("steps", steps_3), PK_AXIS("ragged", none_ragged)};

const pk_sweep lab03_sweeps[] = {
    PK_SWEEP("barrier", barrier_axes, "grid-sync,hand-barrier", false),
    PK_SWEEP("length", length_axes, NULL, false),
    PK_SWEEP("batch", batch_axes, NULL, false),
    PK_SWEEP("tiles", tile_axes, "async-tiles,warp-roles", false),
};
const pk_sweep lab03_sweeps_quick[] = {
    PK_SWEEP("barrier", barrier_axes_quick, "grid-sync,hand-barrier", false),
    PK_SWEEP("length", length_axes_quick, NULL, false),
    PK_SWEEP("tiles", tile_axes_quick, "async-tiles,warp-roles", false),
};

/* ---- figures ---- */

/* The point of `variant` at these knobs, and else at the defaults; `blocks` and `further_barriers` are of the barrier's
 * sweep, -1 elsewhere. NULL when there is none. */
static const pk_point *find(const pk_point *points, size_t count, const char *variant, long long batch,
                            long long seq_len, long long steps, long long blocks, long long further_barriers)
{
    for (size_t i = 0; i < count; i++) {
        const long long *k = points[i].knobs;
        const bool barrier = further_barriers >= 0;
        if (strcmp(points[i].variant, variant) == 0 && k[LAB03_KNOB_BATCH] == batch &&
            k[LAB03_KNOB_SEQ_LEN] == seq_len && k[LAB03_KNOB_STEPS] == steps &&
            k[LAB03_KNOB_BLOCKS] == (barrier ? blocks : 0) && k[LAB03_KNOB_THREADS] == (barrier ? threads_256[0] : 0) &&
            k[LAB03_KNOB_EXTRA_BARRIERS] == (barrier ? further_barriers : 0) &&
            k[LAB03_KNOB_BLOCK_K] == lab03_knobs[LAB03_KNOB_BLOCK_K].value &&
            k[LAB03_KNOB_STAGES] == lab03_knobs[LAB03_KNOB_STAGES].value)
            return &points[i];
    }
    return NULL;
}

/* One barrier, from the slope over further ones; NaN when it was not measured. */
static double barrier_us(const pk_point *points, size_t count, const char *variant, long long blocks)
{
    const pk_point *none = find(points, count, variant, 1, short_context[0], few_steps[0], blocks, 0);
    const pk_point *more = find(points, count, variant, 1, short_context[0], few_steps[0], blocks, FURTHER);
    return none && more ? (more->us_per_token - none->us_per_token) / (double)FURTHER : (double)NAN;
}

static void barriers(const pk_point *points, size_t count, pk_analysis *analysis)
{
    for (size_t i = 0; i < PK_COUNT(barrier_blocks); i++) {
        const double grid_sync = barrier_us(points, count, "grid-sync", barrier_blocks[i]);
        const double by_hand = barrier_us(points, count, "hand-barrier", barrier_blocks[i]);
        if (!isfinite(grid_sync) || !isfinite(by_hand))
            continue;
        char name[64];
        snprintf(name, sizeof name, "grid.sync, %lld blocks", barrier_blocks[i]);
        pk_analysis_figure(analysis, name, "us", grid_sync);
        snprintf(name, sizeof name, "barrier by hand, %lld blocks", barrier_blocks[i]);
        pk_analysis_figure(analysis, name, "us", by_hand);
        snprintf(name, sizeof name, "barrier by hand over grid.sync, %lld blocks", barrier_blocks[i]);
        pk_analysis_figure(analysis, name, "", by_hand / grid_sync);
    }
}

/* K and V over the time of a step, in percent of B_read and in GB/s: the best rung. */
static void bandwidth(const pk_limits *limits, const pk_point *points, size_t count, long long batch, long long seq_len,
                      long long steps, pk_analysis *analysis)
{
    static const char *const rungs[] = {"grid-sync", "hand-barrier", "split-kv", "async-tiles", "warp-roles"};
    double best = 0;
    for (size_t i = 0; i < PK_COUNT(rungs); i++) {
        const pk_point *p = find(points, count, rungs[i], batch, seq_len, steps, -1, -1);
        if (!p)
            continue;
        const double keys = (double)batch * ((double)seq_len + 1 + (double)(p->knobs[LAB03_KNOB_STEPS] - 1) / 2);
        const double bytes =
            keys * (double)p->knobs[LAB03_KNOB_KV_HEADS] * (double)p->knobs[LAB03_KNOB_HEAD_DIM] * 2 * sizeof(uint16_t);
        best = fmax(best, bytes / p->us_per_token);
    }
    if (best <= 0)
        return;
    char name[64];
    snprintf(name, sizeof name, "KV read, B=%lld L=%lld", batch, seq_len);
    pk_analysis_figure(analysis, name, "GB/s", best * 1e-3);
    snprintf(name, sizeof name, "KV read of B_read, B=%lld L=%lld", batch, seq_len);
    pk_analysis_figure(analysis, name, "%", 100 * best / limits->read_bytes_per_us);
}

pk_status lab03_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    barriers(points, count, analysis);
    bandwidth(limits, points, count, 32, long_context[0], few_steps[0], analysis);
    bandwidth(limits, points, count, 1, 131072, steps_16[0], analysis);
    return PK_OK;
}

/* ---- targets ---- */

const pk_target lab03_targets[] = {
    {"split-kv over kernels", PK_TARGET_SPEEDUP_AT_LEAST, "split-kv", 2.5, PK_H200},
    {"split-kv launches a token", PK_TARGET_LAUNCHES_AT_MOST, "split-kv", 1.0 / 128, PK_H200},
    {"warp-roles launches a token", PK_TARGET_LAUNCHES_AT_MOST, "warp-roles", 1.0 / 128, PK_H200},
    {"by hand over grid.sync", PK_TARGET_FIGURE_AT_MOST, "barrier by hand over grid.sync, 132 blocks", 0.9, PK_H200},
    {"KV read, B=32 L=4096, %", PK_TARGET_FIGURE_AT_LEAST, "KV read of B_read, B=32 L=4096", 90, PK_H200},
    {"KV read, B=1 L=131072, %", PK_TARGET_FIGURE_AT_LEAST, "KV read of B_read, B=1 L=131072", 85, PK_H200},
};
