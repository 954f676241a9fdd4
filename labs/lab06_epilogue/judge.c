/* Lab 06: the check of what a repetition gave: all rows of all layers.
 *
 * Each layer is judged by what stands before it as it was written, so errors do not add up, and by induction from h all
 * layers are right when each is. Where the activation may be off by `slack`, the sum with the residual lies within
 *     before + activation - slack  to  before + activation + slack
 * and what was written is a number in there, rounded once to --type. Rounding keeps order: so what was written has to
 * lie between the roundings of the two ends. A number that was rounded twice mostly does not.
 *
 * Where the formula gives an infinity or no number, the result has to be that. Padding between rows has to be as it was
 * poisoned: NaN. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab06_problem.h"
#include "num/pk_half.h"

static const double ORDINARY = 4096; /* larger results are of special inputs: not among the errors that are reported */

typedef struct judged { /* an element */
    int layer, row, column;
    double before, term, slack, got;
} judged;

static double value_at(const lab06 *lab, const void *matrix, size_t index)
{
    return lab->type == LAB06_BF16 ? (double)pk_bf16_to_float(((const uint16_t *)matrix)[index])
                                   : (double)((const float *)matrix)[index];
}

/* What was written lies from *low to *high. */
static void rounded_ends(const lab06 *lab, const judged *e, double want, double *low, double *high)
{
    const double off = e->slack + fabs(want) * 0x1p-52; /* `want` is a sum of doubles */
    *low = (double)lab06_rounded(lab->type, want - off);
    *high = (double)lab06_rounded(lab->type, want + off);
}

static bool is_right(const lab06 *lab, const judged *e, double want)
{
    if (isnan(want))
        return isnan(e->got);
    if (isinf(want))
        return e->got == want;
    double low, high;
    rounded_ends(lab, e, want, &low, &high);
    return e->got >= low && e->got <= high;
}

/* ---- what a wrong element looks like ---- */

static bool is_near(const judged *e, double other)
{
    const double want = e->before + e->term, off = 4 * e->slack + 1e-5 * fmax(1, fabs(other));
    return isfinite(other) && fabs(e->got - other) <= off && fabs(want - other) > 4 * off;
}

/* The activation with a part of it left out, or NaN where there is no such part. */
enum { WITHOUT_BIAS, WITHOUT_ONE, WITHOUT_SCALE, WITHOUT_CUBE, WITHOUT_UP };
static double term_without(const lab06 *lab, const lab06_reference *ref, const judged *e, int part)
{
    const size_t columns = (size_t)lab->view.columns, parts = (size_t)lab->view.parts;
    const float *const x = ref->x + (size_t)lab06_pattern_of_x(ref, e->layer, e->row) * parts * columns + e->column;
    const float *const bias = ref->bias + (size_t)e->layer * parts * columns + e->column;
    const double v = (double)x[0] + (part == WITHOUT_BIAS ? 0 : (double)bias[0]);
    if (lab->act == LAB06_SILU_GATE) {
        if (part != WITHOUT_BIAS && part != WITHOUT_UP)
            return NAN;
        const double up = (double)x[columns] + (part == WITHOUT_BIAS ? 0 : (double)bias[columns]);
        return v / (1 + exp(-v)) * (part == WITHOUT_UP ? 1 : up);
    }
    const double cube = part == WITHOUT_CUBE ? 0 : (double)LAB06_CUBE * v * v * v;
    const double inner = (part == WITHOUT_SCALE ? 1 : (double)LAB06_SCALE) * (v + cube);
    return part == WITHOUT_UP ? NAN : 0.5 * v * ((part == WITHOUT_ONE ? 0 : 1) + tanh(inner));
}

static const char *looks_like(const lab06 *lab, const lab06_reference *ref, const judged *e)
{
    static const char *const without[] = {
        [WITHOUT_BIAS] = "it looks like x without its bias",
        [WITHOUT_ONE] = "it looks as if the 1 + before tanh was left out",
        [WITHOUT_SCALE] = "it looks as if the scale sqrt(2 / pi) in tanh was left out",
        [WITHOUT_CUBE] = "it looks as if the cube of v was left out",
        [WITHOUT_UP] = "it looks as if the gate was not multiplied with up",
    };
    const double want = e->before + e->term;
    if (isnan(e->got))
        return fabs(want) > ORDINARY || fabs(e->term) > 29
                   ? "NaN where the activation is large: e^x or v^3 is beyond a float's largest there, and infinity / "
                     "infinity or infinity - infinity is made of it (docs/troubleshooting.md#nan)"
                   : "NaN: never written, or made of what was not (docs/troubleshooting.md#nan)";
    if (isnan(want))
        return "a number where the inputs make NaN: a comparison or fmaxf has lost it "
               "(docs/troubleshooting.md#nan-lost)";
    if (isinf(want))
        return "a number where the inputs make an infinity";
    if (is_near(e, 2 * e->before + e->term))
        return "it looks as if the residual was added twice";
    if (is_near(e, e->term))
        return "it looks as if the residual was left out";
    for (int part = WITHOUT_BIAS; part <= WITHOUT_UP; part++)
        if (is_near(e, e->before + term_without(lab, ref, e, part)))
            return without[part];
    if (lab->type == LAB06_BF16 && fabs(e->got - want) <= fabs(want) * 0x1p-6)
        return "off by a few units of bf16: rounded more than once or in another place than at the store, or fast "
               "forms (docs/troubleshooting.md#rounded-twice)";
    if (fabs(e->got - want) <= 0x1p-9 * (1 + fabs(e->term)))
        return "off by more than exact forms are, and by less than a mistake in the formula: fast forms? "
               "(docs/troubleshooting.md#fast-math)";
    return "neither the formula nor one with a part left out: other columns' bias, another row or layer? "
           "(docs/troubleshooting.md#another-element)";
}

/* The verdict, and of the wrong elements the one that is farthest off: it shows best what is wrong. */
typedef struct bench {
    pk_verdict *verdict;
    judged worst;
    double worst_off; /* 0: none is wrong */
} bench;

static void count_wrong(const lab06 *lab, const judged *e, bench *b)
{
    const lab06_view *v = &lab->view;
    const double want = e->before + e->term, error = fabs(e->got - want);
    const double off = !(fabs(want) <= ORDINARY) ? 1e-300 : isnan(error) ? HUGE_VAL : error;
    if (b->verdict->wrong++ == 0) {
        b->verdict->first_wrong =
            ((uint64_t)e->layer * (uint64_t)v->rows + (uint64_t)e->row) * (uint64_t)v->columns + (uint64_t)e->column;
        b->verdict->got = e->got;
        b->verdict->want = want;
    }
    if (off > b->worst_off) {
        b->worst_off = off;
        b->worst = *e;
    }
}

static void explain(const lab06 *lab, const lab06_reference *ref, const bench *b)
{
    const judged *e = &b->worst;
    if (b->worst_off > 0)
        snprintf(b->verdict->note, sizeof b->verdict->note, "layer %d, row %d, column %d, farthest off: %s", e->layer,
                 e->row, e->column, looks_like(lab, ref, e));
}

static void judge(const lab06 *lab, const judged *e, bench *b)
{
    const double want = e->before + e->term, error = fabs(e->got - want);
    b->verdict->checked++;
    if (!is_right(lab, e, want))
        count_wrong(lab, e, b);
    if (!(fabs(want) <= ORDINARY))
        return;
    if (isnan(error) || error > b->verdict->worst_error) {
        double low, high;
        rounded_ends(lab, e, want, &low, &high);
        b->verdict->worst_error = error;
        b->verdict->bound = e->got < want ? want - low : high - want;
    }
}

/* ---- rows ---- */

static void judge_padding(const lab06 *lab, const lab06_reference *ref, int layer, int row, size_t line,
                          pk_verdict *verdict)
{
    const lab06_view *v = &lab->view;
    for (int c = v->columns; c < v->pitch; c++) {
        const double got = value_at(lab, ref->got, line * (size_t)v->pitch + (size_t)c);
        if (isnan(got) || verdict->wrong++ > 0)
            continue;
        verdict->got = got;
        verdict->want = (double)NAN;
        snprintf(verdict->note, sizeof verdict->note,
                 "layer %d, row %d: column %d was written, and a row ends before %d: whole chunks at a row's end? "
                 "(docs/troubleshooting.md#past-a-row)",
                 layer, row, c, v->columns);
    }
}

static void judge_row(const lab06 *lab, const lab06_reference *ref, int layer, int row, size_t line, const float *slack,
                      bench *b)
{
    const lab06_view *v = &lab->view;
    const size_t columns = (size_t)v->columns, pitch = (size_t)v->pitch;
    const size_t terms =
        ((size_t)layer * (size_t)ref->patterns + (size_t)lab06_pattern_of_x(ref, layer, row)) * columns;
    const float *const h = ref->h + (size_t)(row % ref->patterns) * columns;
    for (size_t c = 0; c < columns; c++) {
        const judged e = {layer,
                          row,
                          (int)c,
                          layer == 0 ? (double)h[c] : value_at(lab, ref->got_before, line * pitch + c),
                          ref->term[terms + c],
                          (double)slack[terms + c],
                          value_at(lab, ref->got, line * pitch + c)};
        judge(lab, &e, b);
    }
    judge_padding(lab, ref, layer, row, line, b->verdict);
}

/* All layers of `count` rows from `first` on. */
static pk_status judge_rows(pk_run *run, const lab06 *lab, lab06_reference *ref, int first, int count,
                            const float *slack, bench *b)
{
    const lab06_view *v = &lab->view;
    const size_t row_bytes = (size_t)v->pitch * lab06_element_bytes(lab->type);
    for (int layer = 0; layer < v->layers; layer++) {
        void *const before = ref->got;
        ref->got = ref->got_before;
        ref->got_before = before;
        const size_t at = (size_t)layer * (size_t)v->rows + (size_t)first;
        pk_status status = pk_device_download(ref->got, (const char *)v->out + at * row_bytes,
                                              (size_t)count * row_bytes, pk_run_stream(run));
        if (status == PK_OK)
            status = pk_device_stream_synchronize(pk_run_stream(run));
        if (status != PK_OK)
            return status;
        for (int i = 0; i < count; i++)
            judge_row(lab, ref, layer, first + i, (size_t)i, slack, b);
    }
    return PK_OK;
}

/* The baselines of baseline.cu store each step in between, and a library does not say how near its tanh is. They are
 * judged so. */
static bool is_baseline(const char *variant)
{
    return strcmp(variant, "pointwise") == 0 || strcmp(variant, "operators") == 0 ||
           strcmp(variant, "library-gelu") == 0;
}

/* x, bias and h are what they were made as. If not, they are made anew: the next variant is judged by its own doing. */
static pk_status judge_inputs(pk_run *run, const lab06 *lab, const lab06_reference *ref, pk_verdict *verdict)
{
    static const char *const names[LAB06_INPUTS] = {"x", "bias", "h"};
    for (int input = 0; input < LAB06_INPUTS; input++) {
        if (input == LAB06_IN_X && lab->work == LAB06_PRODUCT)
            continue; /* x is what a variant makes on its way */
        const lab06_rows_of_patterns rows = lab06_input(lab, ref, input);
        unsigned changed = 0;
        pk_status status = lab06_count_changed(&rows, ref->device_changed, &changed, pk_run_stream(run));
        if (status == PK_OK && changed > 0)
            status = lab06_spread(&rows, pk_run_stream(run));
        if (status != PK_OK)
            return status;
        if (changed > 0)
            snprintf(verdict->note, sizeof verdict->note,
                     "the input %s was written over: a second repetition finds what the first has left "
                     "(docs/troubleshooting.md#twice)",
                     names[input]);
        verdict->wrong += changed > 0;
    }
    return pk_device_stream_synchronize(pk_run_stream(run));
}

/* The product alone: x of each row, bit for bit. It is fp32 whatever the type, and every sum is exact: see product.c.
 */
static pk_status judge_product(pk_run *run, const lab06 *lab, const lab06_reference *ref, pk_verdict *verdict)
{
    const lab06_product *p = &lab->product;
    const size_t columns = (size_t)lab->view.columns, parts = (size_t)lab->view.parts;
    for (int row = 0; row < lab->view.rows; row++) {
        const float *const want = ref->x + (size_t)lab06_pattern_of_x(ref, 0, row) * parts * columns;
        pk_status status = pk_device_download(ref->got_x, p->x + (size_t)row * (size_t)p->w_rows,
                                              (size_t)p->w_rows * sizeof(float), pk_run_stream(run));
        if (status == PK_OK)
            status = pk_device_stream_synchronize(pk_run_stream(run));
        if (status != PK_OK)
            return status;
        for (size_t i = 0; i < parts * columns; i++)
            pk_check_exact(verdict, &ref->got_x[lab06_row_of_w((int)parts, (int)(i / columns), (int)(i % columns))],
                           &want[i], 1);
    }
    return PK_OK;
}

pk_status lab06_verify(pk_run *run, pk_verdict *verdict)
{
    const lab06 *lab = pk_run_lab_data(run);
    lab06_reference *ref = pk_run_reference(run);
    const int rows = lab->view.rows;
    if (lab->work == LAB06_DECODE)
        return lab06_decode_verify(run, lab, ref, verdict);
    const float *const slack = is_baseline(pk_run_variant(run)->name) ? ref->slack_baseline : ref->slack_ladder;
    if (strcmp(pk_run_variant(run)->name, "product-only") == 0)
        return judge_product(run, lab, ref, verdict);
    bench b = {.verdict = verdict};
    for (int first = 0; first < rows; first += LAB06_JUDGED_ROWS) {
        const int count = rows - first < LAB06_JUDGED_ROWS ? rows - first : LAB06_JUDGED_ROWS;
        const pk_status status = judge_rows(run, lab, ref, first, count, slack, &b);
        if (status != PK_OK)
            return status;
        pk_run_progress(run);
    }
    explain(lab, ref, &b);
    return judge_inputs(run, lab, ref, verdict);
}
