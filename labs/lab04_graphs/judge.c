/* Lab 04: is what a repetition gave right?
 *
 * Three questions, each about what the one before left open. Is each token the best of the logits beside it, or the one
 * that its draw says: exactly. Do the logits agree with the model computed in double, given the tokens that came before
 * them: within what the kernels' roundings can do (pk_reference.h). Are tokens and logits those of the first variant
 * that was judged so, bit for bit: a graph launches the same kernels in the same order, so nothing may differ. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/pk_gemm.h"
#include "decode/pk_judge.h"
#include "decode/pk_reference.h"
#include "lab04_problem.h"
#include "num/pk_half.h"

/* ---- AXPY ---- */

static pk_status verify_axpy(pk_run *run, const lab04 *lab, const lab04_expected *host, pk_verdict *verdict)
{
    const lab04_axpy *p = &lab->axpy;
    pk_status status = pk_device_download(host->axpy_got, p->y, (size_t)p->n * sizeof(float), pk_run_stream(run));
    if (status == PK_OK)
        status = pk_device_stream_synchronize(pk_run_stream(run));
    if (status != PK_OK)
        return status;
    pk_check_exact(verdict, host->axpy_got, host->axpy_want, (size_t)p->n);
    if (verdict->wrong > 0) {
        const size_t i = (size_t)verdict->first_wrong;
        const double steps = (verdict->got - (double)host->axpy_start[i]) / ((double)p->a * (double)host->axpy_x[i]);
        if (isnan(verdict->got))
            snprintf(verdict->note, sizeof verdict->note, "NaN: never written (docs/troubleshooting.md#nan)");
        else
            snprintf(
                verdict->note, sizeof verdict->note,
                "it looks as if this element saw %.0f steps, not %d (docs/troubleshooting.md#another-number-of-nodes)",
                fabs(steps) /* 0, not -0 */, p->k * p->replays);
    }
    return PK_OK;
}

/* ---- a projection ---- */

/* The host's weights of a projection: rows of one or more tensors, one below the other. */
static const uint16_t *host_row(const pk_model *model, pk_decode_part part, int layer, int row)
{
    const pk_model_config *c = &model->config;
    const pk_layer_weights *l = &model->layer[layer];
    const size_t hidden = (size_t)c->hidden, i = (size_t)row;
    const int q_rows = c->heads * c->head_dim, kv_rows = c->kv_heads * c->head_dim;
    switch (part) {
    case PK_PART_Q:
        return l->q + i * hidden;
    case PK_PART_K:
        return l->k + i * hidden;
    case PK_PART_V:
        return l->v + i * hidden;
    case PK_PART_QKV:
        return row < q_rows             ? l->q + i * hidden
               : row < q_rows + kv_rows ? l->k + (i - (size_t)q_rows) * hidden
                                        : l->v + (i - (size_t)(q_rows + kv_rows)) * hidden;
    case PK_PART_O:
        return l->o + i * (size_t)q_rows;
    case PK_PART_GATE:
        return l->gate + i * hidden;
    case PK_PART_UP:
        return l->up + i * hidden;
    case PK_PART_GATE_UP:
        return row < c->ffn ? l->gate + i * hidden : l->up + (i - (size_t)c->ffn) * hidden;
    case PK_PART_DOWN:
        return l->down + i * (size_t)c->ffn;
    default:
        return model->logits + i * hidden;
    }
}

/* Rows at a prime's distance: every matrix has some, and no host reads gigabytes. */
enum { ROWS_APART = 97 };

static void check_rows(const lab04 *lab, const lab04_expected *host, const pk_model *model, pk_verdict *verdict)
{
    const pk_decode_matrix m = pk_decode_matrix_of(&lab->decoder, 0, lab->part);
    for (int layer = 0; layer < lab->copies; layer++) {
        for (int row = layer % ROWS_APART; row < m.rows; row += ROWS_APART) {
            const uint16_t *w = host_row(model, lab->part, layer, row);
            double want = 0, absolute = 0;
            for (int i = 0; i < m.columns; i++) {
                const double product = (double)pk_bf16_to_float(w[i]) * (double)host->project_x[i];
                want += product;
                absolute += fabs(product);
            }
            /* A float's sum of n terms in any order: at most n roundings of 2^-24 of what is added up. */
            const double bound = m.columns * 0x1p-24 * absolute;
            pk_check_bound(verdict, &host->project_y[(size_t)layer * (size_t)m.rows + (size_t)row], &want, &bound, 1);
        }
    }
}

static void check_words(const lab04 *lab, const lab04_expected *host, const pk_model *model, pk_verdict *verdict)
{
    const pk_decode_matrix m = pk_decode_matrix_of(&lab->decoder, 0, lab->part);
    for (int layer = 0; layer < lab->copies; layer++) {
        uint32_t want = 0, got = 0;
        for (size_t i = 0; i < LAB04_READ_WORDS; i++)
            got ^= host->project_words[(size_t)layer * LAB04_READ_WORDS + i];
        for (int row = 0; row < m.rows; row++) {
            const uint16_t *w = host_row(model, lab->part, layer, row);
            for (int i = 0; i < m.columns; i += 2)
                want ^= (uint32_t)w[i] | (uint32_t)w[i + 1] << 16;
        }
        verdict->checked++;
        if (got == want)
            continue;
        if (verdict->wrong++ == 0) {
            verdict->first_wrong = (uint64_t)layer;
            verdict->got = (double)got;
            verdict->want = (double)want;
            snprintf(verdict->note, sizeof verdict->note, "not all words of layer %d were read once", layer);
        }
    }
}

static pk_status verify_project(pk_run *run, const lab04 *lab, const lab04_expected *host, pk_verdict *verdict)
{
    const pk_model *model;
    const pk_decode_matrix m = pk_decode_matrix_of(&lab->decoder, 0, lab->part);
    const size_t rows = (size_t)m.rows * (size_t)lab->copies;
    void *stream = pk_run_stream(run);
    pk_status status = pk_judge_model(&lab->decoder.config, LAB04_WEIGHTS_SEED, &model);
    if (status == PK_OK)
        status = pk_device_download(host->project_y, lab->project_y, rows * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_download(host->project_words, lab->project_words,
                                    (size_t)lab->copies * LAB04_READ_WORDS * sizeof(unsigned), stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    if (status != PK_OK)
        return status;
    if (strcmp(pk_run_variant(run)->name, "project-read") == 0)
        check_words(lab, host, model, verdict);
    else
        check_rows(lab, host, model, verdict);
    return PK_OK;
}

/* ---- tokens and logits ---- */

static pk_decoded decoded(const lab04 *lab, const int *tokens, const float *logits)
{
    return (pk_decoded){.word = lab->work == LAB04_PREFILL ? "prompt" : "step",
                        .steps = lab->decoder.shape.steps,
                        .logit_rows = lab->decoder.shape.logit_rows,
                        .vocab = lab->decoder.config.vocab,
                        .sampling = lab->decoder.sampling,
                        .tokens = tokens,
                        .logits = logits};
}

/* A step more than was asked for has no place for a token: its fault is in the state alone. */
static void check_state(const lab04 *lab, const pk_decode_state *state, pk_verdict *verdict)
{
    verdict->checked++;
    if (state->fault == 0)
        return;
    verdict->wrong = 1;
    verdict->first_wrong = (uint64_t)lab->decoder.shape.steps;
    verdict->got = state->step;
    verdict->want = lab->decoder.shape.steps;
    snprintf(verdict->note, sizeof verdict->note, "at step %d, where %d were asked for: %s", state->step - 1,
             lab->decoder.shape.steps, pk_decode_fault_text(state->fault));
}

/* ---- near the model in double ---- */

/* How many of the first `most` steps after `prompt` tokens there is time for. */
static int steps_judged(const pk_run *run, const pk_model_config *config, int prompt, int most)
{
    const double budget = pk_judge_most_flops(pk_run_device(run)->is_gpu);
    int steps = 0;
    while (steps < most && pk_judge_flops(config, prompt + steps + 1, 0, steps + 1) <= budget)
        steps++;
    return steps;
}

typedef struct sequence { /* what the reference is asked */
    int *tokens;          /* [count] */
    size_t count, first;  /* logits after positions first .. count - 1 */
    double *logits, *bound;
} sequence;

static void free_sequence(sequence *s)
{
    free(s->tokens);
    free(s->logits);
    free(s->bound);
}

static pk_status allocate_sequence(sequence *s, size_t count, size_t first, size_t vocab)
{
    s->count = count;
    s->first = first;
    s->tokens = malloc(count * sizeof *s->tokens);
    s->logits = malloc((count - first) * vocab * sizeof *s->logits);
    s->bound = malloc((count - first) * sizeof *s->bound);
    return s->tokens && s->logits && s->bound ? PK_OK : pk_out_of_memory("lab04's reference");
}

/* The logits of step `step` against row `row` of the reference; false when wrong, and else how near they are. */
static bool judge_row(const pk_decoded *got, const sequence *s, size_t row, int step, pk_verdict *verdict,
                      pk_drift *drift)
{
    const double *want = s->logits + row * (size_t)got->vocab;
    if (!pk_judge_near(got, step, want, s->bound[row], verdict))
        return false;
    pk_judge_drift(got, step, want, drift);
    return true;
}

static pk_status check_decode(pk_run *run, const lab04 *lab, const lab04_expected *host, const pk_decoded *got,
                              pk_verdict *verdict, pk_drift *drift)
{
    const pk_model *model;
    const pk_model_config *config = &lab->decoder.config;
    const int most = pk_judge_first_kept(got) > 0 ? 0 : lab->tokens,
              judged = steps_judged(run, config, lab->prompt, most);
    sequence s = {0};
    if (judged == 0)
        return PK_OK;
    const size_t prompt = (size_t)lab->prompt, count = prompt + (size_t)judged;
    pk_status status = pk_judge_model(config, LAB04_WEIGHTS_SEED, &model);
    if (status == PK_OK)
        status = allocate_sequence(&s, count, prompt, (size_t)config->vocab);
    if (status == PK_OK) {
        memcpy(s.tokens, host->prompts, prompt * sizeof *s.tokens);
        s.tokens[prompt] = lab->first_token;
        for (size_t step = 1; step < (size_t)judged; step++)
            s.tokens[prompt + step] = host->tokens[step - 1];
        const pk_reference_roundings roundings = {1, lab->prompt};
        status = pk_reference_bounds(model, s.tokens, count, prompt, roundings, PK_JUDGE_PASSES, 1, s.logits, s.bound);
    }
    for (int step = 0; step < judged && status == PK_OK; step++)
        if (!judge_row(got, &s, (size_t)step, step, verdict, drift))
            break;
    free_sequence(&s);
    return status;
}

static pk_status check_prompt(const lab04 *lab, const lab04_expected *host, const pk_decoded *got,
                              const pk_model *model, int request, pk_verdict *verdict, pk_drift *drift)
{
    sequence s = {0};
    const size_t length = (size_t)lab->lengths[request], most = (size_t)lab->decoder.shape.most_rows;
    pk_status status = allocate_sequence(&s, length, length - 1, (size_t)lab->decoder.config.vocab);
    if (status == PK_OK) {
        const pk_reference_roundings roundings = {1, (int)length};
        memcpy(s.tokens, host->prompts + (size_t)request * most, length * sizeof *s.tokens);
        status =
            pk_reference_bounds(model, s.tokens, length, length - 1, roundings, PK_JUDGE_PASSES, 1, s.logits, s.bound);
    }
    if (status == PK_OK)
        (void)judge_row(got, &s, 0, request, verdict, drift);
    free_sequence(&s);
    return status;
}

static pk_status check_prefill(pk_run *run, const lab04 *lab, const lab04_expected *host, const pk_decoded *got,
                               pk_verdict *verdict, pk_drift *drift)
{
    const pk_model *model;
    const double budget = pk_judge_most_flops(pk_run_device(run)->is_gpu);
    double spent = 0;
    pk_status status = pk_judge_model(&lab->decoder.config, LAB04_WEIGHTS_SEED, &model);
    for (int r = pk_judge_first_kept(got); r < lab->requests && status == PK_OK && verdict->wrong == 0; r++) {
        spent += pk_judge_flops(&lab->decoder.config, lab->lengths[r], 0, 1);
        if (spent <= budget)
            status = check_prompt(lab, host, got, model, r, verdict, drift);
    }
    return status;
}

/* For `./lab gate`. A variant that gave bit for bit what the first one gave has drifted as far as that one. */
static void say_measures(pk_run *run, const lab04 *lab, const lab04_expected *host, const pk_drift *drift)
{
    const size_t prompts = (size_t)lab->requests * (size_t)lab->decoder.shape.most_rows * sizeof(int);
    const size_t states = (size_t)lab->requests * sizeof(pk_decode_state);
    pk_run_measure(run, "buffer-bytes", (double)(host->decoder_bytes + prompts + states + pk_gemm_bytes(lab->gemm)));
    pk_run_measure(run, "model-kv-bytes", (double)host->model_kv_bytes);
    lab04_say_text(run, host);
    if (drift->steps == 0)
        return;
    pk_run_measure(run, "logits-l2", drift->l2);
    pk_run_measure(run, "logits-kl", drift->kl);
}

static void remember(const pk_run *run, const lab04 *lab, lab04_expected *host, const pk_drift *drift)
{
    host->seen_drift = *drift;
    const pk_decoder_shape *shape = &lab->decoder.shape;
    memcpy(host->seen_tokens, host->tokens, (size_t)shape->steps * sizeof *host->tokens);
    memcpy(host->seen_logits, host->logits,
           (size_t)shape->logit_rows * (size_t)lab->decoder.config.vocab * sizeof *host->logits);
    snprintf(host->seen_variant, sizeof host->seen_variant, "%s", pk_run_variant(run)->name);
    host->seen = true;
}

pk_status lab04_verify(pk_run *run, pk_verdict *verdict)
{
    const lab04 *lab = pk_run_lab_data(run);
    lab04_expected *host = pk_run_reference(run);
    const pk_decoder *d = &lab->decoder;
    void *stream = pk_run_stream(run);
    if (lab->work == LAB04_AXPY)
        return verify_axpy(run, lab, host, verdict);
    if (lab->work == LAB04_PROJECT)
        return verify_project(run, lab, host, verdict);
    const size_t steps = (size_t)d->shape.steps, logits = (size_t)d->shape.logit_rows * (size_t)d->config.vocab;
    const pk_decoded got = decoded(lab, host->tokens, host->logits);
    pk_decode_state state;
    pk_drift drift = {0};
    pk_status status = pk_device_download(host->tokens, d->tokens, steps * sizeof *host->tokens, stream);
    if (status == PK_OK)
        status = pk_device_download(&state, d->state, sizeof state, stream);
    if (status == PK_OK)
        status = pk_device_download(host->logits, d->logits, logits * sizeof *host->logits, stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    if (status != PK_OK)
        return status;
    if (lab->work == LAB04_DECODE && state.step > lab->decoder.shape.steps)
        check_state(lab, &state, verdict);
    if (verdict->wrong == 0)
        pk_judge_tokens(&got, verdict);
    if (host->seen && verdict->wrong == 0) {
        const pk_decoded seen = decoded(lab, host->seen_tokens, host->seen_logits);
        pk_judge_same(&got, &seen, host->seen_variant, verdict);
        say_measures(run, lab, host, &host->seen_drift);
        return PK_OK;
    }
    if (verdict->wrong == 0)
        status = lab->work == LAB04_DECODE ? check_decode(run, lab, host, &got, verdict, &drift)
                                           : check_prefill(run, lab, host, &got, verdict, &drift);
    if (status == PK_OK && verdict->wrong == 0 && lab->work == LAB04_DECODE)
        status = lab04_decode_text(run, lab, host);
    if (status == PK_OK && verdict->wrong == 0) {
        remember(run, lab, host, &drift);
        say_measures(run, lab, host, &drift);
    }
    return status;
}
