/* Lab 05, async copies: what a repetition moves, the sweeps, the figures made from them, the targets. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab05_chain_problem.h"
#include "lab05_problem.h"

/* ---- sizes ---- */

static bool begins(const char *variant, const char *with)
{
    return strncmp(variant, with, strlen(with)) == 0;
}

bool lab05_offers(const pk_run *run, const char *variant)
{
    const int work = lab05_knob(run, "work");
    if (strcmp(variant, "chase") == 0)
        return work == LAB05_LATENCY;
    if (begins(variant, "chain-"))
        return work == LAB05_CHAIN;
    if (begins(variant, "burst-"))
        return work == LAB05_BURSTS;
    if (begins(variant, "offload-"))
        return work == LAB05_OFFLOAD;
    return work == LAB05_STREAM;
}

/* A pass over the stream, or over the chain of phases; one of the loads that wait for each other; or a step of decode.
 */
double lab05_tokens(const pk_run *run)
{
    const int work = lab05_knob(run, "work");
    if (work == LAB05_CHAIN)
        return lab05_knob(run, "tokens");
    if (lab05_is_bursts(run))
        return lab05_knob(run, "decode-steps");
    return work == LAB05_LATENCY ? lab05_knob(run, "steps") : 1;
}

static double page_bytes(long long rows, long long dim)
{
    return (double)rows * (double)dim * (double)sizeof(uint16_t) + 2 * sizeof(float) +
           sizeof(int); /* score, scale, table */
}

double lab05_bytes_per_token(const pk_run *run)
{
    if (lab05_knob(run, "work") == LAB05_CHAIN)
        return lab05_chain_bytes(lab05_knob(run, "shape"));
    if (lab05_knob(run, "work") == LAB05_LATENCY)
        return sizeof(unsigned);
    const double pass = lab05_knob(run, "pages") * page_bytes(lab05_knob(run, "rows"), lab05_knob(run, "dim"));
    if (lab05_is_bursts(run))
        return lab05_knob(run, "bursts") * pass / lab05_knob(run, "decode-steps") + lab05_bursts_decode_bytes(run);
    return pass;
}

double lab05_flops_per_token(const pk_run *run)
{
    if (lab05_knob(run, "work") == LAB05_CHAIN)
        return lab05_chain_flops(lab05_knob(run, "shape"));
    if (lab05_knob(run, "work") == LAB05_LATENCY)
        return 0;
    const double pass = 2.0 * lab05_knob(run, "pages") * lab05_knob(run, "rows") * lab05_knob(run, "dim");
    if (lab05_is_bursts(run)) /* a product and a sum for each weight of 2 bytes */
        return lab05_knob(run, "bursts") * pass / lab05_knob(run, "decode-steps") + lab05_bursts_decode_bytes(run);
    return pass;
}

pk_launch_range lab05_launches(const pk_run *run, const char *variant)
{
    if (lab05_is_bursts(run) || lab05_is_offload(run))
        return lab05_bursts_launches(run, variant);
    double launches = 1;
    if (strcmp(variant, "chain-launch") == 0)
        launches = (double)lab05_knob(run, "tokens") * lab05_chain_phases(lab05_knob(run, "shape"));
    return (pk_launch_range){launches, launches};
}

/* One page; fewer pages than warps; the other key, and pages of one pass; more pages than a grid takes at once. A chain
 * of one pass, of one block, of more blocks than a phase has rows; rows longer than a chunk; one copy under way.
 * Of bursts one chunk and one step; a chunk larger than a burst, of more blocks than chunks; blocks that share
 * unevenly; over the bus more chunks than there are. */
const char *const lab05_awkward[LAB05_AWKWARD] = {
    "pages=1",
    "pages=3 rows=8 threads=96",
    "pages=41 dim=64 rows=24",
    "pages=1500 rows=8 dim=64 table=in-order",
    "work=chain blocks=1 consumers=1 tokens=1",
    "work=chain shape=uneven blocks=10 consumers=3 ring=3 in-flight=1",
    "work=bursts pages=1 decode-steps=1 decode-width=8 bursts=1 chunk-k=1 max-in-flight=1",
    "work=bursts pages=7 rows=24 dim=64 chunk-k=32 max-in-flight=3 prefill-blocks=7 decode-width=40 decode-steps=2",
    "work=bursts pages=203 rows=8 chunk-k=2 max-in-flight=7 prefill-blocks=3 bursts=3",
    "work=offload pages=7 max-in-flight=64 prefill-blocks=0",
};

const char *const lab05_hidden[LAB05_HIDDEN] = {
    "pages=20..300 rows=8..32/8",
    "pages=20..300 dim=64 blocks=2..7",
    "work=chain tokens=2..4 blocks=2..8",
    "work=bursts pages=20..120 chunk-k=2..9 max-in-flight=3..9 bursts=2..3 decode-steps=2..5 decode-width=16..64/8",
    "work=offload pages=20..120 max-in-flight=3..20",
};

/* ---- sweeps ---- */

/* How many bytes are under way a processor: the ring's pages, in one block a processor. */
static const long long stages[] = {2, 3, 4, 6, 8, 12, 16, 24, 32, 48}, stages_quick[] = {2, 4, 8};
static const pk_sweep_axis flight_axes[] = {PK_AXIS("stages", stages)};
static const pk_sweep_axis flight_axes_quick[] = {PK_AXIS("stages", stages_quick)};

static const long long rows[] = {8, 16, 32, 64}, few_pages[] = {1 << 17};
static const pk_sweep_axis page_axes[] = {PK_AXIS("rows", rows), PK_AXIS("pages", few_pages)};

static const long long orders[] = {LAB05_SHUFFLED, LAB05_IN_ORDER};
static const pk_sweep_axis order_axes[] = {PK_AXIS("table", orders)};

static const long long latency[] = {LAB05_LATENCY};
static const pk_sweep_axis latency_axes[] = {PK_AXIS("work", latency)};

/* Part two at its defaults, and of the other model; and what is under way, in copies of one size. */
static const long long chain[] = {LAB05_CHAIN}, models[] = {LAB05_CHAIN_LLAMA, LAB05_CHAIN_QWEN};
static const long long smalls[] = {LAB05_CHAIN_SMALL, LAB05_CHAIN_UNEVEN};
static const long long ahead[] = {8, 16, 24, 32, 40, 48, 64, 96, 128, 192}, ahead_quick[] = {1, 2, 4};
static const long long copy_kb[] = {8}, copy_kb_quick[] = {1};
static const pk_sweep_axis chain_axes[] = {PK_AXIS("work", chain), PK_AXIS("shape", models)};
static const pk_sweep_axis chain_axes_quick[] = {PK_AXIS("work", chain), PK_AXIS("shape", smalls)};
static const pk_sweep_axis ahead_axes[] = {PK_AXIS("work", chain), PK_AXIS("chunk", copy_kb),
                                           PK_AXIS("in-flight", ahead)};
static const pk_sweep_axis ahead_axes_quick[] = {PK_AXIS("work", chain), PK_AXIS("chunk", copy_kb_quick),
                                                 PK_AXIS("in-flight", ahead_quick)};
#define AHEAD "chain-limit,chain-flag,chain-shares,chain-free,chain-read"

/* Part three at its defaults; chunks under way against pages of a chunk; and over the bus. */
static const long long bursts[] = {LAB05_BURSTS}, offload[] = {LAB05_OFFLOAD};
static const pk_sweep_axis burst_axes[] = {PK_AXIS("work", bursts)};
static const long long in_flight[] = {44, 66, 88, 132, 176, 264, 396, 528}, chunk[] = {4, 8, 16};
static const pk_sweep_axis shaping_axes[] = {PK_AXIS("max-in-flight", in_flight), PK_AXIS("chunk-k", chunk),
                                             PK_AXIS("work", bursts)};
static const long long on_bus[] = {1, 2, 4, 8, 16, 32, 64}, bus_chunk[] = {4}, bus_pages[] = {1 << 15};
static const pk_sweep_axis offload_axes[] = {PK_AXIS("max-in-flight", on_bus), PK_AXIS("chunk-k", bus_chunk),
                                             PK_AXIS("pages", bus_pages), PK_AXIS("work", offload)};

const pk_sweep lab05_sweeps[LAB05_SWEEPS] = {
    PK_SWEEP("flight", flight_axes, "roles", false),
    PK_SWEEP("page", page_axes, NULL, false),
    PK_SWEEP("order", order_axes, NULL, false),
    PK_SWEEP("latency", latency_axes, NULL, false),
    PK_SWEEP("chain", chain_axes, NULL, true),
    PK_SWEEP("ahead", ahead_axes, AHEAD, true),
    PK_SWEEP("bursts", burst_axes, NULL, true),
    PK_SWEEP("shaping", shaping_axes, "burst-shaped,burst-native", true),
    PK_SWEEP("offload", offload_axes, NULL, false),
};
const pk_sweep lab05_sweeps_quick[LAB05_SWEEPS_QUICK] = {
    PK_SWEEP("flight", flight_axes_quick, "roles", false),
    PK_SWEEP("latency", latency_axes, NULL, false),
    PK_SWEEP("chain", chain_axes_quick, NULL, true),
    PK_SWEEP("ahead", ahead_axes_quick, AHEAD, true),
};

/* ---- figures ---- */

/* With the defaults of all other knobs. */
static bool with_defaults(const pk_point *p, int work, int table)
{
    for (size_t i = 0; i < LAB05_KNOBS; i++)
        if (i != LAB05_KNOB_WORK && i != LAB05_KNOB_TABLE && p->knobs[i] != lab05_knobs[i].value)
            return false;
    return p->knobs[LAB05_KNOB_WORK] == work && p->knobs[LAB05_KNOB_TABLE] == table;
}

static bool at_defaults_of(const pk_point *p, int work)
{
    return with_defaults(p, work, LAB05_SHUFFLED);
}

static double bandwidth(const pk_point *p)
{
    const double bytes =
        (double)p->knobs[LAB05_KNOB_PAGES] * page_bytes(p->knobs[LAB05_KNOB_ROWS], p->knobs[LAB05_KNOB_DIM]);
    return bytes / p->us_per_token;
}

/* At the chain's defaults: the best rung's speed in percent of the same without dependencies; how much faster it is
 * than the one that runs ahead without a limit; of B_read what the bound reaches; and what a load takes beside the
 * stream. */
static void chain_figures(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    double best = HUGE_VAL, unlimited = 0, bound = 0, read_us = 0;
    for (size_t i = 0; i < count; i++) {
        const pk_point *p = &points[i];
        if (!at_defaults_of(p, LAB05_CHAIN) || p->is_baseline)
            continue;
        if (strcmp(p->variant, "chain-free") == 0)
            bound = p->us_per_token;
        else if (strcmp(p->variant, "chain-read") == 0)
            read_us = p->token_p50_us;
        else
            best = fmin(best, p->us_per_token);
        if (strcmp(p->variant, "chain-ahead") == 0)
            unlimited = p->us_per_token;
    }
    if (bound > 0 && best < HUGE_VAL)
        pk_analysis_figure(analysis, "chain of its bound", "%", 100 * bound / best);
    if (unlimited > 0 && best < HUGE_VAL)
        pk_analysis_figure(analysis, "chain over chain-ahead", "", unlimited / best);
    if (bound > 0 && limits->measured)
        pk_analysis_figure(analysis, "chain-free of B_read", "%",
                           100 * lab05_chain_bytes(LAB05_CHAIN_LLAMA) / bound / limits->read_bytes_per_us);
    if (read_us > 0)
        pk_analysis_figure(analysis, "a load beside the stream, p50", "ns", 1000 * read_us);
}

/* The rungs' best, and the best plain reader of the same pages, in percent of B_read and of each other. */
static void stream_figures(const pk_limits *limits, const pk_point *points, size_t count, int table,
                           pk_analysis *analysis)
{
    static const char *const names[][3] = {
        {"best rung of B_read", "plain loads of B_read", "best rung of plain loads"},
        {"in order: best rung of B_read", "in order: plain loads of B_read", "in order: best rung of plain loads"},
    };
    const char *const *const name = names[table == LAB05_IN_ORDER];
    double best = 0, plain = 0;
    for (size_t i = 0; i < count; i++) {
        const pk_point *p = &points[i];
        if (!with_defaults(p, LAB05_STREAM, table))
            continue;
        if (strcmp(p->variant, "wide") == 0)
            plain = bandwidth(p);
        else if (!p->is_baseline)
            best = fmax(best, bandwidth(p));
    }
    if (best > 0 && limits->measured)
        pk_analysis_figure(analysis, name[0], "%", 100 * best / limits->read_bytes_per_us);
    if (plain > 0 && limits->measured)
        pk_analysis_figure(analysis, name[1], "%", 100 * plain / limits->read_bytes_per_us);
    if (best > 0 && plain > 0)
        pk_analysis_figure(analysis, name[2], "%", 100 * best / plain);
}

/* The latency of a load; and by Little's law what must be under way in all of the device for it. */
pk_status lab05_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    double latency_us = 0;
    chain_figures(limits, points, count, analysis);
    stream_figures(limits, points, count, LAB05_SHUFFLED, analysis);
    stream_figures(limits, points, count, LAB05_IN_ORDER, analysis);
    for (size_t i = 0; i < count; i++)
        if (points[i].knobs[LAB05_KNOB_WORK] == LAB05_LATENCY)
            latency_us = points[i].us_per_token;
    if (latency_us > 0)
        pk_analysis_figure(analysis, "latency of a load", "ns", 1000 * latency_us);
    if (latency_us > 0 && limits->measured)
        pk_analysis_figure(analysis, "bytes under way by Little's law", "MB",
                           1e-6 * latency_us * limits->read_bytes_per_us);
    lab05_bursts_analyse(points, count, analysis);
    return PK_OK;
}

const pk_target lab05_targets[LAB05_TARGETS] = {
    /* Of B_read, which is read in order; and of the best plain reader where pages lie anywhere. */
    {"pages in order: best rung of B_read, %", PK_TARGET_FIGURE_AT_LEAST, "in order: best rung of B_read", 97, PK_H200},
    {"best rung of plain loads, %", PK_TARGET_FIGURE_AT_LEAST, "best rung of plain loads", 97, PK_H200},
    {"roles launches a pass", PK_TARGET_LAUNCHES_AT_MOST, "roles", 1, PK_H200},
    {"chain of its bound, %", PK_TARGET_FIGURE_AT_LEAST, "chain of its bound", 95, "NVIDIA H100"},
    {"chain over chain-ahead", PK_TARGET_FIGURE_AT_LEAST, "chain over chain-ahead", 1.10, "NVIDIA H100"},
    {"decode p99 beside shaped bulk prefill, over idle", PK_TARGET_FIGURE_AT_MOST, "bulk: decode p99, shaped over idle",
     1.25, PK_H200},
    {"shaped bulk prefill of all at once, %", PK_TARGET_FIGURE_AT_LEAST, "bulk: prefill shaped of all at once", 85,
     PK_H200},
};
