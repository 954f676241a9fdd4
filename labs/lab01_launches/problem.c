/* Lab 01, launches: inputs, the exact reference, and the model of launch overhead.
 *
 * Exactness: x holds integers with 1 <= |x| <= 8, the start values are multiples of 2^-6 up to 2^10, and a = 2^-6. So
 * every intermediate y is a multiple of 2^-6 of at most 2^10 + K T 2^-3, and a float holds it exactly while that is
 * below 2^24 2^-6 = 2^18, so for K T <= 2^20. No rounding happens in any order and with or without fused
 * multiply-add: the result is demanded bit for bit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab01.h"
#include "num/pk_random.h"

enum { X_LARGEST = 8, START_STEPS = 1 << 16 /* multiples of 2^-6 up to 2^10 */ };
static const float A = 0x1p-6f;
static const long long MOST_STEPS = 1 << 20;

/* ---- knobs ---- */

enum { KNOB_N, KNOB_K, KNOB_TOKENS };
static const pk_knob knobs[] = {
    [KNOB_N] = {"n", "floats", "length of the vectors", 1 << 10, 1000, 1, 1LL << 30, NULL, 0},
    [KNOB_K] = {"k", "steps", "dependent steps a token", 150, 20, 1, 100000, NULL, 0},
    [KNOB_TOKENS] = {"tokens", "tokens", "tokens a repetition", 4, 2, 1, 100000, NULL, 0},
};

static pk_status validate(const pk_run *run)
{
    long long steps = pk_knob_value(run, "k") * pk_knob_value(run, "tokens");
    if (steps > MOST_STEPS)
        return pk_fail(PK_USAGE,
                       "lab01: k x tokens is %lld, and beyond %lld steps a float no longer holds the result exactly: "
                       "use fewer tokens",
                       steps, MOST_STEPS);
    return PK_OK;
}

/* ---- set-up, inputs, reference ---- */

/* The host's side, [n] each, where no variant reaches it. */
typedef struct reference {
    float *x, *start; /* the inputs, as they were drawn */
    float *want, *got;
} reference;

static void teardown(pk_run *run)
{
    reference *host = pk_run_reference(run);
    if (host) {
        free(host->x);
        free(host->start);
        free(host->want);
        free(host->got);
    }
    free(host);
    pk_run_set_reference(run, NULL);
    free(pk_run_lab_data(run));
    pk_run_set_lab_data(run, NULL);
}

static pk_status allocate_host(pk_run *run, int n)
{
    const size_t bytes = (size_t)n * sizeof(float);
    reference *host = calloc(1, sizeof *host);
    pk_run_set_reference(run, host);
    if (host) {
        host->x = malloc(bytes);
        host->start = malloc(bytes);
        host->want = malloc(bytes);
        host->got = malloc(bytes);
    }
    if (!host || !host->x || !host->start || !host->want || !host->got)
        return pk_fail(PK_FAULT, "lab01: no host memory for four vectors of %d floats: use a smaller --n", n);
    return PK_OK;
}

static pk_status setup(pk_run *run)
{
    lab01 *lab = calloc(1, sizeof *lab);
    if (!lab)
        return pk_out_of_memory("lab01");
    pk_run_set_lab_data(run, lab);
    lab->n = (int)pk_knob_value(run, "n");
    lab->k = (int)pk_knob_value(run, "k");
    lab->tokens = (int)pk_knob_value(run, "tokens");
    lab->a = A;
    size_t bytes = (size_t)lab->n * sizeof(float);
    void *x = NULL, *y = NULL, *start = NULL;
    pk_status status = pk_run_buffer(run, "x", bytes, PK_BUFFER_INPUT, &x);
    if (status == PK_OK)
        status = pk_run_buffer(run, "y", bytes, PK_BUFFER_OUTPUT, &y);
    if (status == PK_OK)
        status = pk_run_buffer(run, "start", bytes, PK_BUFFER_INPUT, &start);
    lab->x = x;
    lab->y = y;
    lab->start = start;
    return status == PK_OK ? allocate_host(run, lab->n) : status;
}

static float nonzero_integer(pk_random *random)
{
    uint64_t draw = pk_random_below(random, 2 * (uint64_t)X_LARGEST);
    return (float)(draw < X_LARGEST ? (int)draw - X_LARGEST : (int)draw - X_LARGEST + 1);
}

static pk_status fill(pk_run *run, uint64_t seed)
{
    const lab01 *lab = pk_run_lab_data(run);
    reference *host = pk_run_reference(run);
    pk_random random;
    pk_random_seed(&random, seed);
    double steps = (double)lab->k * lab->tokens;
    for (int i = 0; i < lab->n; i++) {
        host->x[i] = nonzero_integer(&random);
        host->start[i] = A * (float)((int)pk_random_below(&random, 2 * START_STEPS + 1) - START_STEPS);
        host->want[i] = (float)((double)host->start[i] + steps * (double)A * (double)host->x[i]);
    }
    size_t bytes = (size_t)lab->n * sizeof(float);
    void *stream = pk_run_stream(run);
    pk_status status = pk_device_upload((float *)lab->x, host->x, bytes, stream);
    if (status == PK_OK)
        status = pk_device_upload(lab->start, host->start, bytes, stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

static pk_status reset(pk_run *run)
{
    const lab01 *lab = pk_run_lab_data(run);
    return pk_device_copy(lab->y, lab->start, (size_t)lab->n * sizeof(float), pk_run_stream(run));
}

/* Where the page of messages tells more about so many steps. */
static const char *about_steps(const lab01 *lab, double seen, double want)
{
    if (seen == 0)
        return "docs/troubleshooting.md#no-steps";
    if (seen == 2 * want)
        return "docs/troubleshooting.md#twice";
    if (fabs(seen - want) <= (double)lab->tokens)
        return "docs/troubleshooting.md#one-step-off";
    return "docs/troubleshooting.md#another-number-of-steps";
}

/* What the first wrong element looks like: how many steps it saw, and from which start. */
static void explain(const lab01 *lab, const reference *host, pk_verdict *verdict)
{
    char *note = verdict->note;
    const size_t room = sizeof verdict->note;
    size_t i = (size_t)verdict->first_wrong;
    double want_steps = (double)lab->k * lab->tokens, step = (double)A * (double)host->x[i];
    double seen = (verdict->got - (double)host->start[i]) / step;
    if (isnan(verdict->got))
        snprintf(note, room,
                 "NaN: never written, or computed from something that was not (docs/troubleshooting.md#nan)");
    else if (fabs(verdict->got - verdict->want) < (double)A)
        snprintf(note, room,
                 "off by less than any step: something was rounded on the way (docs/troubleshooting.md#rounded)");
    else if (seen == floor(seen) && seen >= 0 && seen <= 4 * want_steps)
        snprintf(note, room, "it looks as if this element saw %.0f steps, not %.0f (%s)", fabs(seen) /* 0, not -0 */,
                 want_steps, about_steps(lab, seen, want_steps));
    else if (verdict->got / step == want_steps)
        snprintf(note, room,
                 "all %.0f steps, but the start value of y was left out "
                 "(docs/troubleshooting.md#another-number-of-steps)",
                 want_steps);
    else
        snprintf(note, room,
                 "no whole number of steps from this repetition's start values: left over from an earlier one? "
                 "(docs/troubleshooting.md#stale)");
}

static pk_status verify(pk_run *run, pk_verdict *verdict)
{
    const lab01 *lab = pk_run_lab_data(run);
    reference *host = pk_run_reference(run);
    size_t bytes = (size_t)lab->n * sizeof(float);
    pk_status status = pk_device_download(host->got, lab->y, bytes, pk_run_stream(run));
    if (status == PK_OK)
        status = pk_device_stream_synchronize(pk_run_stream(run));
    if (status != PK_OK)
        return status;
    pk_check_exact(verdict, host->got, host->want, (size_t)lab->n);
    if (verdict->wrong > 0)
        explain(lab, host, verdict);
    return PK_OK;
}

/* One element, another one for each token: has it seen the steps of this token and of those before, and no more? */
static pk_status verify_token(pk_run *run, size_t token, pk_verdict *verdict)
{
    const lab01 *lab = pk_run_lab_data(run);
    const reference *host = pk_run_reference(run);
    const size_t i = token * 7919 % (size_t)lab->n; /* a prime: neighbours of a warp and of a block come into it */
    const double steps = (double)lab->k * (double)(token + 1);
    const float want = (float)((double)host->start[i] + steps * (double)A * (double)host->x[i]);
    float got;
    pk_status status = pk_run_peek(run, &got, lab->y + i, sizeof got);
    if (status != PK_OK)
        return status;
    verdict->checked = i;
    pk_check_exact(verdict, &got, &want, 1);
    return PK_OK;
}

/* ---- sizes ---- */

static double tokens(const pk_run *run)
{
    return (double)pk_knob_value(run, "tokens");
}

/* x and y read once, y written once: what is left when the K steps keep y in registers. */
static double bytes_per_token(const pk_run *run)
{
    return 3.0 * sizeof(float) * (double)pk_knob_value(run, "n");
}

static double flops_per_token(const pk_run *run)
{
    return 2.0 * (double)pk_knob_value(run, "n") * (double)pk_knob_value(run, "k");
}

static pk_launch_range launches(const pk_run *run, const char *variant)
{
    const double tokens_done = tokens(run), steps = tokens_done * (double)pk_knob_value(run, "k");
    static const char *const each_step[] = {"launch-sync", "stream", "pdl"}, *const each_token[] = {"work-only",
                                                                                                    "fused"};
    for (size_t i = 0; i < PK_COUNT(each_step); i++)
        if (strcmp(variant, each_step[i]) == 0)
            return (pk_launch_range){steps, steps};
    for (size_t i = 0; i < PK_COUNT(each_token); i++)
        if (strcmp(variant, each_token[i]) == 0)
            return (pk_launch_range){tokens_done, tokens_done};
    return (pk_launch_range){0, HUGE_VAL};
}

/* One element, a block but one, a block and one, and more blocks than any device holds at once. */
static const char *const awkward[] = {"n=1 k=1 tokens=1", "n=255 k=3", "n=257 k=7 tokens=3", "n=1000003 k=2"};

static const char *const hidden[] = {"n=1..3000 k=2..60 tokens=1..5", "n=3000..20000 k=2..9 tokens=2..3"};

/* ---- the sweep ---- */

static const long long k_full[] = {1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 500, 700, 1000};
static const long long n_full[] = {1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22};
static const long long k_quick[] = {1, 10, 20, 50, 100, 150};
static const long long n_quick[] = {1 << 10, 1 << 12, 1 << 14, 1 << 16};
static const long long one_token[] = {1}; /* a token costs the same alone, and short repetitions interleave finer */
static const pk_sweep_axis axes[] = {PK_AXIS("k", k_full), PK_AXIS("n", n_full), PK_AXIS("tokens", one_token)};
static const pk_sweep_axis axes_quick[] = {PK_AXIS("k", k_quick), PK_AXIS("n", n_quick), PK_AXIS("tokens", one_token)};
static const pk_sweep sweeps[] = {PK_SWEEP("k and n", axes, NULL, false)};
static const pk_sweep sweeps_quick[] = {PK_SWEEP("k and n", axes_quick, NULL, false)};

/* ---- the model ----
 *
 * A token of K steps costs, by variant,
 *   launch-sync   T = c + K (t_S + e(n) - e(n0))    nothing overlaps: the sum
 *   stream, pdl   T = c + K max(t_L, e(n) + gap)    issuing overlaps with running: the larger of the two
 * where c and t_S, t_L are the intercept and slope of a least-squares line over K at n0, the smallest n; e(n) is what
 * a step takes without any launch, the slope over K of the variant work-only at that n; gap is what the device needs
 * from one queued kernel to the next, measured with the other limits (for pdl, which hides it: 0). Points are
 * weighted by 1/T^2, so that the relative error is least: a timing's error grows with the time. */

enum { MOST_POINTS = 64, JUDGED_FROM_K = 10 };
static const long long WORKED_K = 150;
static const double WORKED_T_COMP_US[] = {18000, 6000};

typedef struct series { /* one variant at one n, over K */
    double k[MOST_POINTS], us[MOST_POINTS], weight[MOST_POINTS];
    size_t point[MOST_POINTS], count;
} series;

/* Was the same measured again later? The default point is, when a sweep covers it: the sweep's measurement stands
 * beside its neighbours in time. */
static bool measured_again(const pk_point *points, size_t count, size_t index)
{
    const pk_point *p = &points[index];
    for (size_t i = index + 1; i < count; i++)
        if (strcmp(points[i].variant, p->variant) == 0 && points[i].knobs[KNOB_N] == p->knobs[KNOB_N] &&
            points[i].knobs[KNOB_K] == p->knobs[KNOB_K])
            return true;
    return false;
}

/* Points of `variant` at `n`, over K. */
static series collect(const pk_point *points, size_t count, const char *variant, long long n)
{
    series s = {.count = 0};
    for (size_t i = 0; i < count && s.count < MOST_POINTS; i++) {
        const pk_point *p = &points[i];
        if (strcmp(p->variant, variant) != 0 || p->knobs[KNOB_N] != n || measured_again(points, count, i))
            continue;
        s.k[s.count] = (double)p->knobs[KNOB_K];
        s.us[s.count] = p->us_per_token;
        s.weight[s.count] = 1 / (p->us_per_token * p->us_per_token);
        s.point[s.count++] = i;
    }
    return s;
}

static long long smallest_n(const pk_point *points, size_t count)
{
    long long n = points[0].knobs[KNOB_N];
    for (size_t i = 1; i < count; i++)
        if (points[i].knobs[KNOB_N] < n)
            n = points[i].knobs[KNOB_N];
    return n;
}

/* e(n): what a step takes when nothing is launched for it. NaN without enough points. */
static double step_us(const pk_point *points, size_t count, long long n)
{
    series s = collect(points, count, "work-only", n);
    pk_line line;
    if (!pk_fit_line(&line, s.k, s.us, s.weight, s.count))
        return NAN;
    return line.slope > 0 ? line.slope : 0;
}

/* Each point from JUDGED_FROM_K on predicted by the line through all the others: the worst relative error, percent. */
static double worst_left_out_error(const series *s)
{
    double worst = 0;
    for (size_t out = 0; out < s->count; out++) {
        if (s->k[out] < (double)JUDGED_FROM_K)
            continue;
        series rest = {.count = 0};
        for (size_t i = 0; i < s->count; i++) {
            if (i == out)
                continue;
            rest.k[rest.count] = s->k[i];
            rest.us[rest.count] = s->us[i];
            rest.weight[rest.count++] = s->weight[i];
        }
        pk_line line;
        if (!pk_fit_line(&line, rest.k, rest.us, rest.weight, rest.count))
            return NAN;
        double error = fabs(line.intercept + line.slope * s->k[out] - s->us[out]) / s->us[out];
        if (error > worst)
            worst = error;
    }
    return 100 * worst;
}

typedef struct modelled { /* a variant that launches a kernel a step */
    const char *variant;
    const char *r2_name, *error_name;
    bool overlaps; /* issuing and running go on at the same time */
    bool has_gap;
} modelled;

static const modelled launching[] = {
    {"launch-sync", "launch-sync fit R^2", "launch-sync worst left-out error", false, true},
    {"stream", "stream fit R^2", "stream worst left-out error", true, true},
    {"pdl", "pdl fit R^2", "pdl worst left-out error", true, false},
};

static double predict(const modelled *m, const pk_line *line, double k, double step, double step0, double gap)
{
    if (!m->overlaps)
        return line->intercept + k * (line->slope + step - step0);
    double run = step + (m->has_gap ? gap : 0);
    return line->intercept + k * (run > line->slope ? run : line->slope);
}

static void predict_points(const modelled *m, const pk_line *line, const pk_limits *limits, const pk_point *points,
                           size_t count, long long n0, pk_analysis *analysis)
{
    double step0 = step_us(points, count, n0);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(points[i].variant, m->variant) != 0)
            continue;
        double step = step_us(points, count, points[i].knobs[KNOB_N]);
        double us = predict(m, line, (double)points[i].knobs[KNOB_K], step, step0, limits->gap_us);
        if (isfinite(us))
            pk_analysis_prediction(analysis, i, m->overlaps ? "c + K max(t_L, e + gap)" : "c + K (t_S + e - e0)", us);
    }
}

/* The example that the page works through, with this machine's own launch cost. */
static void worked_example(double launch_us, pk_analysis *analysis)
{
    double overhead = (double)WORKED_K * launch_us;
    pk_analysis_figure(analysis, "example K t_L (K=150)", "us", overhead);
    for (size_t i = 0; i < PK_COUNT(WORKED_T_COMP_US); i++) {
        char name[64];
        snprintf(name, sizeof name, "example f (T_comp=%g ms)", WORKED_T_COMP_US[i] / 1000);
        pk_analysis_figure(analysis, name, "%", 100 * overhead / (WORKED_T_COMP_US[i] + overhead));
    }
}

static pk_status analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    long long n0 = smallest_n(points, count);
    for (size_t i = 0; i < PK_COUNT(launching); i++) {
        const modelled *m = &launching[i];
        series s = collect(points, count, m->variant, n0);
        pk_line line;
        if (!pk_fit_line(&line, s.k, s.us, s.weight, s.count))
            continue;
        pk_analysis_fit(analysis, m->variant, "us a token over x = K", &line);
        pk_analysis_figure(analysis, m->r2_name, "", line.r_squared);
        pk_analysis_figure(analysis, m->error_name, "%", worst_left_out_error(&s));
        predict_points(m, &line, limits, points, count, n0, analysis);
        if (strcmp(m->variant, "stream") == 0)
            worked_example(line.slope, analysis);
    }
    return PK_OK;
}

/* ---- targets ---- */

static const pk_target targets[] = {
    {"stream over launch-sync", PK_TARGET_SPEEDUP_AT_LEAST, "stream", 2.3, PK_H200},
    {"fused over launch-sync", PK_TARGET_SPEEDUP_AT_LEAST, "fused", 100, PK_H200},
    {"fused launches a token", PK_TARGET_LAUNCHES_AT_MOST, "fused", 1, PK_H200},
    {"launch-sync fit R^2", PK_TARGET_FIGURE_AT_LEAST, "launch-sync fit R^2", 0.999, PK_H200},
    {"stream fit R^2", PK_TARGET_FIGURE_AT_LEAST, "stream fit R^2", 0.999, PK_H200},
    {"launch-sync left-out error %", PK_TARGET_FIGURE_AT_MOST, "launch-sync worst left-out error", 5, PK_H200},
    {"stream left-out error %", PK_TARGET_FIGURE_AT_MOST, "stream worst left-out error", 5, PK_H200},
};

const pk_lab pk_this_lab = {
    .id = "lab01",
    .title = "Launches",
    .knobs = knobs,
    .knob_count = PK_COUNT(knobs),
    .validate = validate,
    .setup = setup,
    .fill = fill,
    .reset = reset,
    .verify = verify,
    .verify_token = verify_token,
    .launches = launches,
    .awkward = awkward,
    .awkward_count = PK_COUNT(awkward),
    .hidden = hidden,
    .hidden_count = PK_COUNT(hidden),
    .teardown = teardown,
    .token_ends_on_stream = true,
    .tokens = tokens,
    .bytes_per_token = bytes_per_token,
    .flops_per_token = flops_per_token,
    .sweeps = sweeps,
    .sweep_count = PK_COUNT(sweeps),
    .sweeps_quick = sweeps_quick,
    .sweep_quick_count = PK_COUNT(sweeps_quick),
    .analyse = analyse,
    .targets = targets,
    .target_count = PK_COUNT(targets),
};
