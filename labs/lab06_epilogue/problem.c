/* Lab 06, the fused epilogue: knobs, set-up and inputs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab06_problem.h"
#include "num/pk_half.h"
#include "num/pk_random.h"

enum { SEED_X = 600, SEED_BIAS, SEED_H }; /* parts of the seed */
enum { ZERO_PATTERN = 3, SPECIAL_PATTERN = 1, SPECIAL_FROM = 5, SPECIAL_APART = 7, LARGEST_H = 4 };
static const double STEP = 0x1p-13; /* inputs are multiples of it */

/* What an activation has to carry: where e^x and v^3 overflow, where tanh is 1, and what is no number. In the first
 * part of a row. */
static const float special[] = {NAN, INFINITY, -INFINITY, 1e20f, -1e20f, 1e30f, -1e30f, 100, -100, 30, -30};

/* ---- knobs ---- */

static const char *const works[] = {"layers", "product", "decode"}, *const models[] = {"tiny", "qwen2.5-0.5b",
                                                                                       "smollm2-135m"};
static const char *const types[] = {"fp32", "bf16"}, *const acts[] = {"gelu", "silu-gate"},
                         *const maths[] = {"exact", "fast"}, *const gates[] = {"as-math", "exact"};

const pk_knob lab06_knobs[LAB06_KNOBS] = {
    [LAB06_KNOB_WORK] = {"work", "", "the epilogues of layers, one with its product, or a decoder's", LAB06_LAYERS,
                         LAB06_LAYERS, 0, PK_COUNT(works) - 1, works, 0},
    [LAB06_KNOB_ROWS] = {"rows", "rows", "T: of a layer", 1000, 13, 1, 1 << 20, NULL, 0},
    [LAB06_KNOB_COLUMNS] = {"columns", "numbers", "H: of a row", 3072, 102, 1, 1 << 20, NULL, 0},
    [LAB06_KNOB_LAYERS] = {"layers", "layers", "L: of a repetition", 32, 3, 1, 1024, NULL, 0},
    [LAB06_KNOB_PITCH] = {"pitch", "numbers", "from row to row; 0: the columns, made up to a multiple of 8", 0, 0, 0,
                          1 << 21, NULL, 0},
    [LAB06_KNOB_TYPE] = {"type", "", "of the matrices", LAB06_FP32, LAB06_FP32, 0, PK_COUNT(types) - 1, types, 0},
    [LAB06_KNOB_ACT] = {"act", "", "the activation", LAB06_GELU, LAB06_GELU, 0, PK_COUNT(acts) - 1, acts, 0},
    [LAB06_KNOB_MATH] = {"math", "", "the forms of tanh, e^x and the quotient", LAB06_EXACT, LAB06_EXACT, 0,
                         PK_COUNT(maths) - 1, maths, 0},
    [LAB06_KNOB_GATE] = {"gate", "", "the bound that results are held to: --math's own, or that of exact forms",
                         LAB06_GATE_AS_MATH, LAB06_GATE_AS_MATH, 0, PK_COUNT(gates) - 1, gates, 0},
    [LAB06_KNOB_SPAN] = {"span", "", "x is drawn from -span to span", 8, 8, 1, 512, NULL, 0},
    [LAB06_KNOB_INNER] = {"inner", "numbers", "K: of a row of the product's factors, a multiple of 8", 768, 72, 8,
                          1 << 14, NULL, 0},
    [LAB06_KNOB_MODEL] = {"model", "", "the decoder's shape, with seeded random weights; smollm2-135m: its own",
                          LAB06_QWEN2_5, LAB06_TINY, 0, PK_COUNT(models) - 1, models, 0},
};

static size_t elements(const pk_run *run)
{
    return (size_t)pk_knob_value(run, "rows") * (size_t)pk_knob_value(run, "columns");
}

static pk_status validate(const pk_run *run)
{
    const long long columns = pk_knob_value(run, "columns"), pitch = pk_knob_value(run, "pitch");
    if (lab06_knob(run, "work") == LAB06_DECODE)
        return lab06_decode_validate(run);
    if (pitch != 0 && pitch < columns)
        return pk_fail(PK_USAGE, "lab06: rows of %lld numbers do not fit a pitch of %lld: use --pitch=%lld, or 0",
                       columns, pitch, columns);
    if (lab06_knob(run, "work") == LAB06_PRODUCT) {
        if (lab06_knob(run, "inner") % 8 != 0)
            return pk_fail(PK_USAGE, "lab06: %d numbers are no whole number of chunks of 8: use --inner=%d",
                           lab06_knob(run, "inner"), (lab06_knob(run, "inner") + 7) / 8 * 8);
    }
    if (elements(run) > (size_t)1 << 31)
        return pk_fail(PK_USAGE,
                       "lab06: %lld x %lld numbers are more than the 2^31 that kernels here count to: use fewer --rows",
                       pk_knob_value(run, "rows"), columns);
    return PK_OK;
}

/* ---- set-up ---- */

static void teardown(pk_run *run)
{
    lab06_reference *ref = pk_run_reference(run);
    lab06_decode_release(pk_run_lab_data(run), ref);
    if (ref) {
        free(ref->x);
        free(ref->bias);
        free(ref->h);
        free(ref->term);
        free(ref->slack_ladder);
        free(ref->slack_baseline);
        free(ref->raw);
        free(ref->got);
        free(ref->got_before);
        lab06_product_release(ref);
        for (int i = 0; i < LAB06_INPUTS; i++)
            pk_device_free(ref->device_patterns[i]);
        pk_device_free(ref->device_changed);
        free(ref);
        pk_run_set_reference(run, NULL);
    }
    free(pk_run_lab_data(run));
    pk_run_set_lab_data(run, NULL);
}

static size_t at_least_patterns(const lab06_view *v, const lab06_reference *ref)
{
    const int layers = v->layers > ref->patterns ? v->layers : ref->patterns;
    return (size_t)layers * (size_t)v->parts * (size_t)v->pitch; /* raw holds the patterns or the biases */
}

static pk_status allocate_host(const lab06 *lab, lab06_reference *ref)
{
    const lab06_view *v = &lab->view;
    const size_t columns = (size_t)v->columns, parts = (size_t)v->parts, layers = (size_t)v->layers;
    const size_t patterns = (size_t)ref->patterns, bytes = lab06_element_bytes(lab->type);
    const size_t judged = (size_t)(v->rows < LAB06_JUDGED_ROWS ? v->rows : LAB06_JUDGED_ROWS) * (size_t)v->pitch;
    ref->x = malloc(patterns * parts * columns * sizeof(float));
    ref->bias = malloc(layers * parts * columns * sizeof(float));
    ref->h = malloc(patterns * columns * sizeof(float));
    ref->term = malloc(layers * patterns * columns * sizeof(double));
    ref->slack_ladder = malloc(layers * patterns * columns * sizeof(float));
    ref->slack_baseline = malloc(layers * patterns * columns * sizeof(float));
    ref->raw = malloc(at_least_patterns(v, ref) * bytes);
    ref->got = malloc(judged * bytes);
    ref->got_before = malloc(judged * bytes);
    if (!ref->x || !ref->bias || !ref->h || !ref->term || !ref->slack_ladder || !ref->slack_baseline || !ref->raw ||
        !ref->got || !ref->got_before)
        return pk_fail(PK_FAULT, "lab06: no host memory for %d patterns of %d layers: use fewer --layers or --columns",
                       ref->patterns, v->layers);
    return PK_OK;
}

/* A bias is a pattern of its own. */
lab06_rows_of_patterns lab06_input(const lab06 *lab, const lab06_reference *ref, int input)
{
    const lab06_view *v = &lab->view;
    const size_t line = (size_t)v->pitch * lab06_element_bytes(lab->type), parts = (size_t)v->parts;
    const void *const to[LAB06_INPUTS] = {v->x, v->bias, v->h};
    lab06_rows_of_patterns made = {.patterns = ref->device_patterns[input], .to = (void *)to[input]};
    made.count = input == LAB06_IN_BIAS ? v->layers : ref->patterns;
    made.turn = LAB06_TURN;
    made.layers = input == LAB06_IN_X ? v->layers : 1;
    made.rows = input == LAB06_IN_BIAS ? v->layers : v->rows;
    made.row_bytes = input == LAB06_IN_H ? line : parts * line;
    return made;
}

static pk_status setup(pk_run *run)
{
    lab06 *lab = calloc(1, sizeof *lab);
    lab06_reference *ref = calloc(1, sizeof *ref);
    pk_run_set_lab_data(run, lab);
    pk_run_set_reference(run, ref);
    if (!lab || !ref)
        return pk_out_of_memory("lab06");
    lab06_view *v = &lab->view;
    lab->work = lab06_knob(run, "work");
    lab->type = lab06_knob(run, "type");
    lab->act = lab06_knob(run, "act");
    lab->math = lab06_knob(run, "math");
    if (lab->work == LAB06_DECODE)
        return lab06_decode_setup(run, lab, ref);
    v->layers = lab06_layers(run);
    v->rows = lab06_knob(run, "rows");
    v->columns = lab06_knob(run, "columns");
    v->pitch = lab06_knob(run, "pitch") ? lab06_knob(run, "pitch") : (v->columns + 7) / 8 * 8;
    v->parts = lab->act == LAB06_SILU_GATE ? 2 : 1;
    ref->patterns = v->rows < LAB06_MOST_PATTERNS ? v->rows : LAB06_MOST_PATTERNS;
    const size_t row = (size_t)v->pitch * lab06_element_bytes(lab->type), parts = (size_t)v->parts;
    const size_t rows = (size_t)v->rows, layers = (size_t)v->layers;
    void *x = NULL, *bias = NULL, *h = NULL;
    pk_status status = PK_OK;
    if (lab->work == LAB06_LAYERS) /* a product's x is another: product.c */
        status = pk_run_buffer(run, "x", layers * rows * parts * row, PK_BUFFER_INPUT, &x);
    if (status == PK_OK)
        status = pk_run_buffer(run, "bias", layers * parts * row, PK_BUFFER_INPUT, &bias);
    if (status == PK_OK)
        status = pk_run_buffer(run, "h", rows * row, PK_BUFFER_INPUT, &h);
    if (status == PK_OK)
        status = pk_run_buffer(run, "out", layers * rows * row, PK_BUFFER_OUTPUT, &v->out);
    v->x = x;
    v->bias = bias;
    v->h = h;
    for (int i = 0; i < LAB06_INPUTS && status == PK_OK; i++) {
        const lab06_rows_of_patterns made = lab06_input(lab, ref, i);
        status = pk_device_alloc(&ref->device_patterns[i], (size_t)made.count * made.row_bytes);
    }
    if (status == PK_OK)
        status = pk_device_alloc((void **)&ref->device_changed, sizeof *ref->device_changed);
    if (status == PK_OK)
        status = allocate_host(lab, ref);
    return status == PK_OK && lab->work == LAB06_PRODUCT ? lab06_product_setup(run, lab, ref) : status;
}

/* ---- inputs ---- */

/* A multiple of STEP from -largest to largest; in bf16, of fewer bits, still one. */
static float draw(pk_random *random, const lab06 *lab, int largest)
{
    const uint64_t steps = (uint64_t)((double)largest / STEP);
    const double drawn = ((double)pk_random_below(random, 2 * steps + 1) - (double)steps) * STEP;
    return lab06_rounded(lab->type, drawn);
}

static void draw_matrix(const lab06 *lab, float *to, size_t count, int largest, uint64_t seed)
{
    pk_random random;
    pk_random_seed(&random, seed);
    for (size_t i = 0; i < count; i++)
        to[i] = draw(&random, lab, largest);
}

/* In one pattern, a few columns apart; rows that have no room for all of them have none. And where the residual is
 * zero, numbers so far down that a fast e^x shows: its error grows with |x|. */
static void put_special(const lab06 *lab, lab06_reference *ref)
{
    const lab06_view *v = &lab->view;
    const int room = SPECIAL_FROM + SPECIAL_APART * (int)PK_COUNT(special);
    if (v->columns < room || ref->patterns <= SPECIAL_PATTERN)
        return;
    float *const row = ref->x + (size_t)SPECIAL_PATTERN * (size_t)v->parts * (size_t)v->columns;
    for (size_t i = 0; i < PK_COUNT(special); i++)
        row[SPECIAL_FROM + SPECIAL_APART * i] = lab06_rounded(lab->type, (double)special[i]);
    if (ref->patterns <= ZERO_PATTERN)
        return;
    float *const zero = ref->x + (size_t)ZERO_PATTERN * (size_t)v->parts * (size_t)v->columns;
    for (size_t i = 0; i < PK_COUNT(special); i++)
        zero[SPECIAL_FROM + SPECIAL_APART * i] = lab06_rounded(lab->type, -20 - 6 * (double)i - (double)STEP * 1001);
}

static void evaluate(const pk_run *run, const lab06 *lab, lab06_reference *ref)
{
    const lab06_view *v = &lab->view;
    const bool exact = lab06_knob(run, "gate") == LAB06_GATE_EXACT;
    const lab06_rounding ladder = lab06_rounding_of_ladder(exact ? LAB06_EXACT : lab->math);
    const lab06_rounding baseline = lab->work == LAB06_PRODUCT
                                        ? lab06_rounding_of_ladder(exact ? LAB06_EXACT : LAB06_FAST)
                                        : lab06_rounding_of_baseline(lab->type, exact ? LAB06_EXACT : lab->math);
    const size_t columns = (size_t)v->columns, parts = (size_t)v->parts;
    for (size_t row = 0; row < (size_t)v->layers * (size_t)ref->patterns; row++) {
        const float *const bias = ref->bias + row / (size_t)ref->patterns * parts * columns;
        const float *const x = ref->x + row % (size_t)ref->patterns * parts * columns;
        for (size_t c = 0; c < columns; c++) {
            const size_t i = row * columns + c, up = columns + c;
            double tight, loose;
            if (lab->act == LAB06_GELU) {
                ref->term[i] = lab06_gelu((double)x[c], (double)bias[c], &ladder, &tight);
                (void)lab06_gelu((double)x[c], (double)bias[c], &baseline, &loose);
            } else {
                ref->term[i] =
                    lab06_gate((double)x[c], (double)bias[c], (double)x[up], (double)bias[up], &ladder, &tight);
                (void)lab06_gate((double)x[c], (double)bias[c], (double)x[up], (double)bias[up], &baseline, &loose);
            }
            ref->slack_ladder[i] = nextafterf((float)tight, INFINITY); /* not below the bound for being stored */
            ref->slack_baseline[i] = nextafterf((float)loose, INFINITY);
        }
    }
}

/* `lines` of `columns` numbers as they are stored, `pitch` apart, NaN between. */
static void to_raw(const lab06 *lab, const float *from, size_t lines, void *raw)
{
    const size_t columns = (size_t)lab->view.columns, pitch = (size_t)lab->view.pitch;
    for (size_t line = 0; line < lines; line++)
        for (size_t c = 0; c < pitch; c++) {
            const float value = c < columns ? from[line * columns + c] : NAN;
            if (lab->type == LAB06_BF16)
                ((uint16_t *)raw)[line * pitch + c] = pk_float_to_bf16(value);
            else
                ((float *)raw)[line * pitch + c] = value;
        }
}

static pk_status upload_input(const lab06 *lab, lab06_reference *ref, int input, const float *from, void *stream)
{
    const lab06_rows_of_patterns made = lab06_input(lab, ref, input);
    const size_t bytes = (size_t)made.count * made.row_bytes;
    to_raw(lab, from, bytes / ((size_t)lab->view.pitch * lab06_element_bytes(lab->type)), ref->raw);
    pk_status status = pk_device_upload(ref->device_patterns[input], ref->raw, bytes, stream);
    if (status == PK_OK)
        status = lab06_spread(&made, stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status; /* raw is used again */
}

static pk_status fill(pk_run *run, uint64_t seed)
{
    const lab06 *lab = pk_run_lab_data(run);
    lab06_reference *ref = pk_run_reference(run);
    const lab06_view *v = &lab->view;
    void *stream = pk_run_stream(run);
    const size_t columns = (size_t)v->columns, patterns = (size_t)ref->patterns;
    if (lab->work == LAB06_DECODE)
        return PK_OK; /* the weights and the text are the same for all seeds */
    const size_t biases = (size_t)v->layers * (size_t)v->parts;
    if (lab->work == LAB06_LAYERS) {
        draw_matrix(lab, ref->x, patterns * (size_t)v->parts * columns, lab06_knob(run, "span"),
                    pk_random_split(seed, SEED_X));
        put_special(lab, ref);
    } else {
        const pk_status made = lab06_product_fill(run, lab, ref, seed);
        if (made != PK_OK)
            return made;
    }
    draw_matrix(lab, ref->bias, biases * columns, 1, pk_random_split(seed, SEED_BIAS));
    draw_matrix(lab, ref->h, patterns * columns, LARGEST_H, pk_random_split(seed, SEED_H));
    if (ref->patterns > ZERO_PATTERN) /* where nothing but the activation shows */
        memset(ref->h + ZERO_PATTERN * columns, 0, columns * sizeof *ref->h);
    evaluate(run, lab, ref);
    pk_status status = lab->work == LAB06_LAYERS ? upload_input(lab, ref, LAB06_IN_X, ref->x, stream) : PK_OK;
    if (status == PK_OK)
        status = upload_input(lab, ref, LAB06_IN_BIAS, ref->bias, stream);
    return status == PK_OK ? upload_input(lab, ref, LAB06_IN_H, ref->h, stream) : status;
}

static pk_status reset(pk_run *run)
{
    const lab06 *lab = pk_run_lab_data(run);
    /* Elsewhere a repetition reads what it finds, and writes each number of out once. */
    return lab->work == LAB06_DECODE ? lab06_decode_reset(run) : PK_OK;
}

const pk_lab pk_this_lab = {
    .id = "lab06",
    .title = "The fused epilogue",
    .knobs = lab06_knobs,
    .knob_count = LAB06_KNOBS,
    .offers = lab06_offers,
    .validate = validate,
    .setup = setup,
    .fill = fill,
    .reset = reset,
    .verify = lab06_verify,
    .teardown = teardown,
    .slow_on_cpu = true,
    .tokens = lab06_tokens,
    .bytes_per_token = lab06_bytes_per_token,
    .flops_per_token = lab06_flops_per_token,
    .launches = lab06_launches,
    .awkward = lab06_awkward,
    .awkward_count = LAB06_AWKWARD,
    .hidden = lab06_hidden,
    .hidden_count = LAB06_HIDDEN,
    .sweeps = lab06_sweeps,
    .sweep_count = LAB06_SWEEPS,
    .sweeps_quick = lab06_sweeps_quick,
    .sweep_quick_count = LAB06_SWEEPS_QUICK,
    .analyse = lab06_analyse,
    .targets = lab06_targets,
    .target_count = LAB06_TARGETS,
};
