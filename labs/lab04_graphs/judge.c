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

#include "decode/pk_choose.h"
#include "decode/pk_gemm.h"
#include "decode/pk_reference.h"
#include "lab04_problem.h"
#include "num/pk_half.h"

/* Of the passes in double, for one point: some seconds on a machine that has such a GPU. */
static const double MOST_REFERENCE_FLOPS = 3e11;
static const double MOST_REFERENCE_FLOPS_ON_CPU = 3e10;
enum { PERTURBED_PASSES = 16 }; /* as many as make the bounds sharp: reference_bounds.c */

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
    pk_status status = lab04_host_model(&lab->decoder.config, &model);
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

/* ---- each token is the one that its logits say ---- */

typedef struct ranked {
    float value;
    int token;
} ranked;

static int by_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->value != y->value ? (x->value < y->value ? 1 : -1) : (x->token > y->token) - (x->token < y->token);
}

static int best_token(const float *logits, int vocab)
{
    int best = 0;
    for (int i = 1; i < vocab; i++)
        if (logits[i] > logits[best] || isnan(logits[best]))
            best = i;
    return best;
}

/* The token that the draw of this step takes; `near` says whether another would have been as right, where sums of
 * weights round another way. */
static bool drawn_token(const lab04 *lab, const float *logits, int step, int token)
{
    const pk_sampling *sampling = &lab->decoder.sampling;
    const size_t vocab = (size_t)lab->decoder.config.vocab;
    if (sampling->top_k == 1)
        return token == best_token(logits, (int)vocab);
    ranked *order = malloc(vocab * sizeof *order);
    bool found = false;
    double weights = 0, below = 0;
    for (size_t i = 0; order && i < vocab; i++)
        order[i] = (ranked){.value = logits[i], .token = (int)i};
    if (order)
        qsort(order, vocab, sizeof *order, by_rank);
    const size_t count = vocab < (size_t)sampling->top_k ? vocab : (size_t)sampling->top_k;
    for (size_t i = 0; order && i < count; i++)
        weights += exp(((double)order[i].value - (double)order[0].value) / (double)sampling->temperature);
    const double draw = (double)pk_choose_draw(sampling->seed, step) * weights, slack = 1e-5 * weights;
    for (size_t i = 0; order && i < count && !found; i++) {
        const double weight = exp(((double)order[i].value - (double)order[0].value) / (double)sampling->temperature);
        found = order[i].token == token && draw >= below - slack && draw < below + weight + slack;
        below += weight;
    }
    free(order);
    return found;
}

/* Steps whose logits are kept: the last logit_rows of them. */
static int first_kept(const lab04 *lab)
{
    return lab->decoder.shape.steps - lab->decoder.shape.logit_rows;
}

static const float *logits_of(const lab04 *lab, const float *logits, int step)
{
    return logits + (size_t)(step % lab->decoder.shape.logit_rows) * (size_t)lab->decoder.config.vocab;
}

static const char *what_is_a_step(const lab04 *lab)
{
    return lab->work == LAB04_PREFILL ? "prompt" : "step";
}

static void check_tokens(const lab04 *lab, const lab04_expected *host, pk_verdict *verdict)
{
    const int vocab = lab->decoder.config.vocab;
    for (int step = 0; step < lab->decoder.shape.steps && verdict->wrong == 0; step++) {
        const int token = host->tokens[step];
        const bool kept = step >= first_kept(lab);
        const bool there = token >= 0 && token < vocab;
        verdict->checked++;
        if (there && (!kept || drawn_token(lab, logits_of(lab, host->logits, step), step, token)))
            continue;
        verdict->wrong = 1;
        verdict->first_wrong = (uint64_t)step;
        verdict->got = token;
        verdict->want = kept ? best_token(logits_of(lab, host->logits, step), vocab) : (double)NAN;
        if (token <= PK_TOKEN_OF_FAULT(1) && token > PK_TOKEN_OF_FAULT(PK_FAULTS))
            snprintf(verdict->note, sizeof verdict->note, "%s %d: %s", what_is_a_step(lab), step,
                     pk_decode_fault_text(PK_FAULT_OF_TOKEN(token)));
        else if (!there)
            snprintf(verdict->note, sizeof verdict->note,
                     "%s %d has no token: it never ran, or wrote elsewhere (docs/troubleshooting.md#no-token)",
                     what_is_a_step(lab), step);
        else
            snprintf(verdict->note, sizeof verdict->note,
                     "the token of %s %d is not the one that its logits say (docs/troubleshooting.md#another-token)",
                     what_is_a_step(lab), step);
    }
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

/* ---- bit for bit what the first variant gave ---- */

static void check_same(const lab04 *lab, const lab04_expected *host, pk_verdict *verdict)
{
    const size_t vocab = (size_t)lab->decoder.config.vocab;
    for (int step = 0; step < lab->decoder.shape.steps && verdict->wrong == 0; step++) {
        const bool kept = step >= first_kept(lab);
        const float *got = logits_of(lab, host->logits, step), *want = logits_of(lab, host->seen_logits, step);
        size_t i = 0;
        while (kept && i < vocab && memcmp(&got[i], &want[i], sizeof *got) == 0)
            i++;
        const bool same_logits = !kept || i == vocab, same_token = host->tokens[step] == host->seen_tokens[step];
        verdict->checked += kept ? vocab : 0;
        if (same_logits && same_token)
            continue;
        verdict->wrong = 1;
        verdict->first_wrong = same_logits ? (uint64_t)step : (uint64_t)step * vocab + i;
        verdict->got = same_logits ? host->tokens[step] : (double)got[i];
        verdict->want = same_logits ? host->seen_tokens[step] : (double)want[i];
        const char *word = what_is_a_step(lab), *first = host->seen_variant;
        if (same_logits)
            snprintf(verdict->note, sizeof verdict->note,
                     "%s %d: another token was chosen than by '%s', of the same logits "
                     "(docs/troubleshooting.md#another-token)",
                     word, step, first);
        else if (isnan(got[i]))
            snprintf(verdict->note, sizeof verdict->note,
                     "%s %d: the logit of token %zu is NaN, and '%s' gave a number (docs/troubleshooting.md#nan)", word,
                     step, i, first);
        else if (step == 0)
            snprintf(verdict->note, sizeof verdict->note,
                     "%s %d: the logit of token %zu is not bit for bit what '%s' gave "
                     "(docs/troubleshooting.md#not-the-same-bits)",
                     word, step, i, first);
        else
            snprintf(verdict->note, sizeof verdict->note,
                     "%s %d: the logit of token %zu is not bit for bit what '%s' gave, and all before are: a position, "
                     "a step or a token that should have moved on (docs/troubleshooting.md#stale-argument)",
                     word, step, i, first);
    }
}

/* ---- near the model in double ---- */

static double reference_flops(const pk_model_config *c, int positions, int judged)
{
    const double layer =
        (double)c->hidden * c->head_dim * (2.0 * c->heads + 2.0 * c->kv_heads) + 3.0 * c->hidden * c->ffn;
    return (1 + PERTURBED_PASSES) * 2.0 * (c->layers * layer * positions + (double)c->hidden * c->vocab * judged);
}

/* How many of the first `most` steps after `prompt` tokens there is time for. */
static int steps_judged(const pk_run *run, const pk_model_config *config, int prompt, int most)
{
    const double budget = pk_run_device(run)->is_gpu ? MOST_REFERENCE_FLOPS : MOST_REFERENCE_FLOPS_ON_CPU;
    int steps = 0;
    while (steps < most && reference_flops(config, prompt + steps + 1, steps + 1) <= budget)
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

/* `got` [vocab] against row `row` of the reference; false when wrong, with the verdict's note. */
static bool near_reference(const lab04 *lab, const sequence *s, size_t row, const float *got, int step,
                           pk_verdict *verdict)
{
    const size_t vocab = (size_t)lab->decoder.config.vocab;
    const double *want = s->logits + row * vocab;
    for (size_t i = 0; i < vocab; i++) {
        const double error = fabs((double)got[i] - want[i]);
        if (error > verdict->worst_error) {
            verdict->worst_error = error;
            verdict->bound = s->bound[row];
        }
        if (error <= s->bound[row])
            continue;
        verdict->wrong++;
        verdict->first_wrong = (uint64_t)step * vocab + i;
        verdict->got = (double)got[i];
        verdict->want = want[i];
        verdict->bound = s->bound[row];
        snprintf(
            verdict->note, sizeof verdict->note,
            "%s %d: the logit of token %zu is further from the model computed in double than rounding can take it: "
            "another position, token or weight went in (docs/troubleshooting.md#far-from-the-model)",
            what_is_a_step(lab), step, i);
        return false;
    }
    verdict->checked += vocab;
    return true;
}

/* A row of logits that is near the reference: how near, by the length of the difference and by what is drawn. */
static void note_drift(const lab04 *lab, const sequence *s, size_t row, const float *got, lab04_drift *drift)
{
    const size_t vocab = (size_t)lab->decoder.config.vocab;
    const double *want = s->logits + row * vocab;
    double apart = 0, length = 0;
    for (size_t i = 0; i < vocab; i++) {
        apart += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        length += want[i] * want[i];
    }
    drift->l2 = fmax(drift->l2, sqrt(apart / length));
    drift->kl = fmax(drift->kl, pk_reference_kl(want, got, vocab));
    drift->steps++;
}

static pk_status check_decode(pk_run *run, const lab04 *lab, const lab04_expected *host, pk_verdict *verdict,
                              lab04_drift *drift)
{
    const pk_model *model;
    const pk_model_config *config = &lab->decoder.config;
    const int most = first_kept(lab) > 0 ? 0 : lab->tokens, judged = steps_judged(run, config, lab->prompt, most);
    sequence s = {0};
    if (judged == 0)
        return PK_OK;
    const size_t prompt = (size_t)lab->prompt, count = prompt + (size_t)judged;
    pk_status status = lab04_host_model(config, &model);
    if (status == PK_OK)
        status = allocate_sequence(&s, count, prompt, (size_t)config->vocab);
    if (status == PK_OK) {
        memcpy(s.tokens, host->prompts, prompt * sizeof *s.tokens);
        s.tokens[prompt] = lab->first_token;
        for (size_t step = 1; step < (size_t)judged; step++)
            s.tokens[prompt + step] = host->tokens[step - 1];
        const pk_reference_roundings roundings = {1, lab->prompt};
        status = pk_reference_bounds(model, s.tokens, count, prompt, roundings, PERTURBED_PASSES, 1, s.logits, s.bound);
    }
    for (int step = 0; step < judged && status == PK_OK; step++) {
        const float *got = logits_of(lab, host->logits, step);
        if (!near_reference(lab, &s, (size_t)step, got, step, verdict))
            break;
        note_drift(lab, &s, (size_t)step, got, drift);
    }
    free_sequence(&s);
    return status;
}

static pk_status check_prompt(const lab04 *lab, const lab04_expected *host, const pk_model *model, int request,
                              pk_verdict *verdict, lab04_drift *drift)
{
    sequence s = {0};
    const size_t length = (size_t)lab->lengths[request], most = (size_t)lab->decoder.shape.most_rows;
    pk_status status = allocate_sequence(&s, length, length - 1, (size_t)lab->decoder.config.vocab);
    if (status == PK_OK) {
        const pk_reference_roundings roundings = {1, (int)length};
        memcpy(s.tokens, host->prompts + (size_t)request * most, length * sizeof *s.tokens);
        status =
            pk_reference_bounds(model, s.tokens, length, length - 1, roundings, PERTURBED_PASSES, 1, s.logits, s.bound);
    }
    const float *got = logits_of(lab, host->logits, request);
    if (status == PK_OK && near_reference(lab, &s, 0, got, request, verdict))
        note_drift(lab, &s, 0, got, drift);
    free_sequence(&s);
    return status;
}

static pk_status check_prefill(pk_run *run, const lab04 *lab, const lab04_expected *host, pk_verdict *verdict,
                               lab04_drift *drift)
{
    const pk_model *model;
    const double budget = pk_run_device(run)->is_gpu ? MOST_REFERENCE_FLOPS : MOST_REFERENCE_FLOPS_ON_CPU;
    double spent = 0;
    pk_status status = lab04_host_model(&lab->decoder.config, &model);
    for (int r = first_kept(lab); r < lab->requests && status == PK_OK && verdict->wrong == 0; r++) {
        spent += reference_flops(&lab->decoder.config, lab->lengths[r], 1);
        if (spent <= budget)
            status = check_prompt(lab, host, model, r, verdict, drift);
    }
    return status;
}

/* For `./lab gate`. A variant that gave bit for bit what the first one gave has drifted as far as that one. */
static void say_measures(pk_run *run, const lab04 *lab, const lab04_expected *host, const lab04_drift *drift)
{
    const size_t prompts = (size_t)lab->requests * (size_t)lab->decoder.shape.most_rows * sizeof(int);
    const size_t states = (size_t)lab->requests * sizeof(pk_decode_state);
    pk_run_measure(run, "buffer-bytes", (double)(host->decoder_bytes + prompts + states + pk_gemm_bytes(lab->gemm)));
    pk_run_measure(run, "model-kv-bytes", (double)host->model_kv_bytes);
    if (drift->steps == 0)
        return;
    pk_run_measure(run, "logits-l2", drift->l2);
    pk_run_measure(run, "logits-kl", drift->kl);
}

static void remember(const pk_run *run, const lab04 *lab, lab04_expected *host, const lab04_drift *drift)
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
    pk_decode_state state;
    lab04_drift drift = {0};
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
        check_tokens(lab, host, verdict);
    if (host->seen && verdict->wrong == 0) {
        check_same(lab, host, verdict);
        say_measures(run, lab, host, &host->seen_drift);
        return PK_OK;
    }
    if (verdict->wrong == 0)
        status = lab->work == LAB04_DECODE ? check_decode(run, lab, host, verdict, &drift)
                                           : check_prefill(run, lab, host, verdict, &drift);
    if (status == PK_OK && verdict->wrong == 0) {
        remember(run, lab, host, &drift);
        say_measures(run, lab, host, &drift);
    }
    return status;
}
