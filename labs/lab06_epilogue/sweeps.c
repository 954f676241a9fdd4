/* Lab 06, the fused epilogue: what a repetition moves, the sweeps, the figures made from them, the targets. A "token"
 * of the harness is a layer's epilogue here, and with --work=decode a step. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab06_problem.h"

/* ---- sizes ---- */

/* The work that a variant is of. */
static int work_of(const char *variant)
{
    if (strcmp(variant, "decode") == 0 || strcmp(variant, "decode-fast") == 0)
        return LAB06_DECODE;
    const bool of_product = strcmp(variant, "apart") == 0 || strncmp(variant, "product-", 8) == 0 ||
                            strncmp(variant, "library", 7) == 0 || strncmp(variant, "in-matvec", 9) == 0 ||
                            strncmp(variant, "in-product", 10) == 0;
    return of_product ? LAB06_PRODUCT : LAB06_LAYERS;
}

bool lab06_offers(const pk_run *run, const char *variant)
{
    if (strncmp(variant, "in-matvec", 9) == 0 && lab06_knob(run, "rows") > 1)
        return false; /* it is for one row */
    return work_of(variant) == lab06_knob(run, "work");
}

double lab06_tokens(const pk_run *run)
{
    return lab06_knob(run, "work") == LAB06_DECODE ? lab06_decode_steps(run) : lab06_layers(run);
}

static double layer_bytes(double numbers, long long rows, long long columns, long long type)
{
    return numbers * (double)rows * (double)columns * (double)lab06_element_bytes((int)type);
}

static double parts_of(long long act)
{
    return act == LAB06_SILU_GATE ? 2 : 1;
}

/* a and w, and of the epilogue residual and out. */
static double product_bytes(const pk_run *run)
{
    const double rows = lab06_knob(run, "rows"), columns = lab06_knob(run, "columns"), inner = lab06_knob(run, "inner");
    const double element = (double)lab06_element_bytes(lab06_knob(run, "type"));
    return (rows + parts_of(lab06_knob(run, "act")) * columns) * inner * (double)sizeof(uint16_t) +
           2 * rows * columns * element;
}

/* Fewest: x is read and out is written, and the residual is in registers but for the first layer's; the bias, which is
 * a row, is left out. */
double lab06_bytes_per_token(const pk_run *run)
{
    if (lab06_knob(run, "work") == LAB06_DECODE)
        return lab06_decode_bytes(run);
    if (lab06_knob(run, "work") == LAB06_PRODUCT)
        return product_bytes(run);
    const double numbers = parts_of(lab06_knob(run, "act")) + 1 + 1 / lab06_tokens(run);
    return layer_bytes(numbers, lab06_knob(run, "rows"), lab06_knob(run, "columns"), lab06_knob(run, "type"));
}

/* Operations of the formula, tanh, e^x and a quotient as one each. */
double lab06_flops_per_token(const pk_run *run)
{
    if (lab06_knob(run, "work") == LAB06_DECODE)
        return lab06_decode_flops(run);
    if (lab06_knob(run, "work") == LAB06_PRODUCT)
        return 2.0 * parts_of(lab06_knob(run, "act")) * lab06_knob(run, "rows") * lab06_knob(run, "columns") *
               lab06_knob(run, "inner");
    const double operations = lab06_knob(run, "act") == LAB06_GELU ? 11 : 7;
    return operations * lab06_knob(run, "rows") * lab06_knob(run, "columns");
}

typedef struct moved { /* of a layer, an element: launches, and numbers that are read or written */
    const char *variant;
    double launches[2], numbers[2]; /* by --act */
} moved;

/* pointwise, gelu: bias 2, cube 2, times 2, sum 3, times 2, tanh 2, 1 + 2, times 2, product 3, residual 3. The gate:
 * bias 4, sigmoid 2, products 3 and 3, residual 3. operators: 2 + 2 + 3, and 4 + 2 + 3 + 3. */
static const moved each_layer[] = {
    {"pointwise", {10, 5}, {23, 15}}, {"operators", {3, 4}, {7, 12}}, {"fused", {1, 1}, {3, 4}},
    {"vector", {1, 1}, {3, 4}},       {"apart", {2, 2}, {0, 0}},      {"product-only", {1, 1}, {0, 0}},
    {"in-matvec", {1, 1}, {0, 0}},    {"in-product", {1, 1}, {0, 0}}, {"library", {2, 2}, {0, 0}},
    {"library-gelu", {2, 2}, {0, 0}},
};

static const moved *moved_by(const char *variant)
{
    for (size_t i = 0; i < PK_COUNT(each_layer); i++)
        if (strcmp(each_layer[i].variant, variant) == 0)
            return &each_layer[i];
    return NULL;
}

pk_launch_range lab06_launches(const pk_run *run, const char *variant)
{
    const moved *const m = moved_by(variant);
    double launches = HUGE_VAL;
    if (m)
        launches = lab06_tokens(run) * m->launches[lab06_knob(run, "act")];
    else if (strcmp(variant, "persistent") == 0)
        launches = 1;
    else if (strcmp(variant, "graph") == 0)
        launches = 0; /* its kernels are nodes */
    return isfinite(launches) ? (pk_launch_range){launches, launches} : (pk_launch_range){0, HUGE_VAL};
}

/* One number; one row of more chunks than a block; columns that are no multiple of a chunk, with rows that begin at
 * any address; more chunks than a grid takes at once, in either type. */
const char *const lab06_awkward[LAB06_AWKWARD] = {
    "rows=1 columns=1 layers=1",
    "rows=1 columns=2051 layers=2 type=bf16",
    "rows=5 columns=7 pitch=7 act=silu-gate",
    "rows=3 columns=129 pitch=131 type=bf16",
    "rows=40 columns=1001 pitch=1001 layers=2",
    "rows=5600 columns=200 layers=1",
    "work=product rows=1 columns=7 inner=8",
    "work=product rows=67 columns=131 pitch=133 inner=136",
    "work=product rows=1 columns=33 inner=1032 type=bf16 act=silu-gate",
    "work=product rows=70 columns=49 pitch=51 inner=72 act=silu-gate",
    "rows=37 columns=1000 layers=2 type=bf16 act=silu-gate math=fast",
};

const char *const lab06_hidden[LAB06_HIDDEN] = {
    "rows=3..60 columns=20..400 layers=2..4",
    "rows=3..40 columns=30..300 layers=2..3 type=bf16 act=silu-gate",
    "work=product rows=1..40 columns=20..200 inner=16..160/8",
    "work=product rows=1 columns=20..200 inner=16..160/8",
    "work=product rows=1..40 columns=20..200 inner=16..160/8 type=bf16 act=silu-gate",
};

/* ---- sweeps ---- */

/* From what an L2 cache holds to 1.2 GB a layer. */
static const long long rows[] = {125, 500, 2000, 8000, 32768}, rows_quick[] = {2, 8, 32}, few_layers[] = {2};
static const pk_sweep_axis size_axes[] = {PK_AXIS("rows", rows), PK_AXIS("layers", few_layers)};
static const pk_sweep_axis size_axes_quick[] = {PK_AXIS("rows", rows_quick), PK_AXIS("layers", few_layers)};

/* One row, as in decode: launches are all that there is. */
static const long long one_row[] = {1}, layers[] = {1, 2, 4, 8, 16, 32};
static const pk_sweep_axis decode_axes[] = {PK_AXIS("layers", layers), PK_AXIS("rows", one_row)};

/* The forms, by type and activation; of fewer layers, as a host judges every number. */
static const long long both[] = {0, 1}, eight_layers[] = {8};
static const pk_sweep_axis form_axes[] = {PK_AXIS("math", both), PK_AXIS("type", both), PK_AXIS("act", both),
                                          PK_AXIS("layers", eight_layers)};

/* How far off the forms are, by how large x is. */
static const long long spans[] = {1, 2, 4, 8, 16, 32, 64}, some_rows[] = {62}, one_layer[] = {1};
static const pk_sweep_axis error_axes[] = {PK_AXIS("span", spans), PK_AXIS("math", both), PK_AXIS("rows", some_rows),
                                           PK_AXIS("layers", one_layer)};
static const long long few_rows[] = {4};
static const pk_sweep_axis error_axes_quick[] = {PK_AXIS("span", spans), PK_AXIS("math", both),
                                                 PK_AXIS("rows", few_rows), PK_AXIS("layers", one_layer)};

/* One row, w of up to 268 MB; and many, of each type and activation too. */
static const long long product_only[] = {LAB06_PRODUCT}, wide[] = {3072, 16384}, deep[] = {8192}, inner[] = {768, 3072},
                       thousand[] = {1000};
static const pk_sweep_axis matvec_axes[] = {PK_AXIS("columns", wide), PK_AXIS("inner", deep), PK_AXIS("rows", one_row),
                                            PK_AXIS("work", product_only)};
static const pk_sweep_axis product_axes[] = {PK_AXIS("inner", inner), PK_AXIS("rows", thousand),
                                             PK_AXIS("work", product_only)};
static const pk_sweep_axis product_form_axes[] = {PK_AXIS("type", both), PK_AXIS("act", both),
                                                  PK_AXIS("rows", thousand), PK_AXIS("work", product_only)};
static const long long wide_quick[] = {102}, deep_quick[] = {72};
static const pk_sweep_axis matvec_axes_quick[] = {PK_AXIS("columns", wide_quick), PK_AXIS("inner", deep_quick),
                                                  PK_AXIS("rows", one_row), PK_AXIS("work", product_only)};

/* The forms in a decoder: of random weights with either activation, of real ones with their own. */
static const long long decode_only[] = {LAB06_DECODE}, shapes[] = {LAB06_TINY, LAB06_QWEN2_5}, tiny[] = {LAB06_TINY},
                       smollm2[] = {LAB06_SMOLLM2}, silu_gate[] = {LAB06_SILU_GATE};
static const pk_sweep_axis model_axes[] = {PK_AXIS("work", decode_only), PK_AXIS("model", shapes),
                                           PK_AXIS("act", both)};
static const pk_sweep_axis model_axes_quick[] = {PK_AXIS("work", decode_only), PK_AXIS("model", tiny),
                                                 PK_AXIS("act", both)};
static const pk_sweep_axis text_axes[] = {PK_AXIS("work", decode_only), PK_AXIS("model", smollm2),
                                          PK_AXIS("act", silu_gate)};

const pk_sweep lab06_sweeps[LAB06_SWEEPS] = {
    PK_SWEEP("size", size_axes, "pointwise,operators,fused,vector,persistent", false),
    PK_SWEEP("decode", decode_axes, NULL, false),
    PK_SWEEP("forms", form_axes, "pointwise,vector,persistent", false),
    PK_SWEEP("error", error_axes, "pointwise,vector", false),
    PK_SWEEP("matvec", matvec_axes, NULL, false),
    PK_SWEEP("product", product_axes, NULL, false),
    PK_SWEEP("product-forms", product_form_axes, NULL, false),
    PK_SWEEP("model", model_axes, NULL, false),
    PK_SWEEP("text", text_axes, NULL, false),
};
const pk_sweep lab06_sweeps_quick[LAB06_SWEEPS_QUICK] = {
    PK_SWEEP("size", size_axes_quick, "pointwise,operators,fused,vector,persistent", false),
    PK_SWEEP("error", error_axes_quick, "pointwise,vector", false),
    PK_SWEEP("matvec", matvec_axes_quick, NULL, false),
    PK_SWEEP("model", model_axes_quick, NULL, false),
};

/* ---- figures ---- */

static const pk_point *find(const pk_point *points, size_t count, const char *variant, const long long *knobs)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(points[i].variant, variant) == 0 && memcmp(points[i].knobs, knobs, LAB06_KNOBS * sizeof *knobs) == 0)
            return &points[i];
    return NULL;
}

static bool at_defaults(const pk_point *p)
{
    for (size_t i = 0; i < LAB06_KNOBS; i++)
        if (p->knobs[i] != lab06_knobs[i].value)
            return false;
    return true;
}

static double point_bytes(const moved *m, const pk_point *p)
{
    return layer_bytes(m->numbers[p->knobs[LAB06_KNOB_ACT]], p->knobs[LAB06_KNOB_ROWS], p->knobs[LAB06_KNOB_COLUMNS],
                       p->knobs[LAB06_KNOB_TYPE]);
}

/* The speedup of vector over pointwise, in percent of the ratio of what they move: what there is to gain where both are
 * bound by memory. The largest size of 1 GB a layer or more. */
static double ratio_reached(const pk_point *points, size_t count)
{
    const moved *const many = moved_by("pointwise"), *const few = moved_by("vector");
    double reached = 0, largest = 1e9;
    for (size_t i = 0; i < count; i++) {
        const pk_point *const p = &points[i];
        if (strcmp(p->variant, "vector") != 0 || point_bytes(few, p) < largest)
            continue;
        const pk_point *const base = find(points, count, "pointwise", p->knobs);
        if (!base)
            continue;
        largest = point_bytes(few, p);
        reached = 100 * base->us_per_token / p->us_per_token / (point_bytes(many, p) / point_bytes(few, p));
    }
    return reached;
}

/* The best rung's bandwidth there, by what that rung itself moves. */
static double best_bandwidth(const pk_point *points, size_t count)
{
    double best = 0;
    for (size_t i = 0; i < count; i++) {
        const moved *const m = moved_by(points[i].variant);
        if (m && !points[i].is_baseline && point_bytes(m, &points[i]) >= 1e9)
            best = fmax(best, point_bytes(m, &points[i]) / points[i].us_per_token);
    }
    return best;
}

/* The time of `variant` over that of `other` where w is largest, of the default type and activation; NaN without such
 * points. One row is in-matvec's alone. */
static double over_in_product(const pk_point *points, size_t count, const char *variant, const char *other)
{
    double ratio = NAN, largest = 0;
    for (size_t i = 0; i < count; i++) {
        const pk_point *const p = &points[i], *const beside = find(points, count, other, p->knobs);
        const double size = (double)p->knobs[LAB06_KNOB_COLUMNS] * (double)p->knobs[LAB06_KNOB_INNER];
        const bool is_meant = (strcmp(variant, "in-matvec") == 0 || p->knobs[LAB06_KNOB_ROWS] > 1) &&
                              p->knobs[LAB06_KNOB_TYPE] == LAB06_FP32 && p->knobs[LAB06_KNOB_ACT] == LAB06_GELU;
        if (strcmp(p->variant, variant) != 0 || !beside || !is_meant || size < largest)
            continue;
        largest = size;
        ratio = p->us_per_token / beside->us_per_token;
    }
    return ratio;
}

static void say_product(const pk_point *points, size_t count, pk_analysis *analysis)
{
    const struct {
        const char *figure, *unit, *variant, *other;
        bool added; /* in percent of the other */
    } figures[] = {{"epilogue in the matvec, of it", "%", "in-matvec", "product-only", true},
                   {"epilogue in the product, of it", "%", "in-product", "product-only", true},
                   {"library over in-product", "", "library", "in-product", false},
                   {"library over library-gelu", "", "library", "library-gelu", false}};
    for (size_t i = 0; i < PK_COUNT(figures); i++) {
        const double ratio = over_in_product(points, count, figures[i].variant, figures[i].other);
        if (isfinite(ratio))
            pk_analysis_figure(analysis, figures[i].figure, figures[i].unit,
                               figures[i].added ? 100 * (ratio - 1) : ratio);
    }
}

/* PyTorch's compiled epilogue, a kernel a layer in a graph: its time over that of graph, where it was measured. */
static double over_peer(const pk_point *graph, const pk_analysis *analysis)
{
    size_t count;
    const pk_peer_point *const peers = pk_analysis_peers(analysis, &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(peers[i].variant, "torch-compile-graph") == 0 &&
            memcmp(peers[i].knobs, graph->knobs, LAB06_KNOBS * sizeof *peers[i].knobs) == 0)
            return peers[i].us_per_token / graph->us_per_token;
    return 0;
}

pk_status lab06_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    for (size_t i = 0; i < count; i++) {
        const pk_point *const p = &points[i];
        if (!at_defaults(p) || strcmp(p->variant, "fused") != 0)
            continue;
        const pk_point *const base = find(points, count, "pointwise", p->knobs);
        if (base && p->launches_per_token > 0)
            pk_analysis_figure(analysis, "pointwise launches over fused", "",
                               base->launches_per_token / p->launches_per_token);
    }
    const double reached = ratio_reached(points, count), bandwidth = best_bandwidth(points, count);
    if (reached > 0)
        pk_analysis_figure(analysis, "byte ratio reached at 1 GB", "%", reached);
    if (bandwidth > 0 && limits->measured)
        pk_analysis_figure(analysis, "best rung at 1 GB of B_read", "%", 100 * bandwidth / limits->read_bytes_per_us);
    say_product(points, count, analysis);
    for (size_t i = 0; i < count; i++)
        if (at_defaults(&points[i]) && strcmp(points[i].variant, "graph") == 0 && over_peer(&points[i], analysis) > 0)
            pk_analysis_figure(analysis, "torch.compile over graph", "", over_peer(&points[i], analysis));
    return PK_OK;
}

const pk_target lab06_targets[LAB06_TARGETS] = {
    {"pointwise launches over fused", PK_TARGET_FIGURE_AT_LEAST, "pointwise launches over fused", 5, PK_H200},
    {"fused over pointwise", PK_TARGET_SPEEDUP_AT_LEAST, "fused", 1.2, PK_H200},
    {"byte ratio reached at 1 GB, %", PK_TARGET_FIGURE_AT_LEAST, "byte ratio reached at 1 GB", 95, PK_H200},
    {"epilogue in the matvec, % of it", PK_TARGET_FIGURE_AT_MOST, "epilogue in the matvec, of it", 1, PK_H200},
    {"torch.compile in a graph over graph", PK_TARGET_FIGURE_AT_LEAST, "torch.compile over graph", 1, PK_H200},
    {"fused launches a layer", PK_TARGET_LAUNCHES_AT_MOST, "fused", 1, PK_H200},
    {"persistent launches a layer", PK_TARGET_LAUNCHES_AT_MOST, "persistent", 1.0 / 32, PK_H200},
};
