/* Lab 07: is what a repetition gave right?
 *
 * Each token is the best of the logits beside it, or the one that its draw says: exactly. The logits agree with the
 * model computed in double, from the given keys and values and the tokens that came before: within what the kernels'
 * roundings can do. And a variant gives the same bits each time, as does every other whose sums are made in the same
 * order. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab07_problem.h"

enum {
    MOST_APART = 8 /* steps that are judged by themselves */,
    MOST_SWEPT = 2 /* at a point of a sweep: the second has the key of the first */
};

/* In which order a variant's sums are made. */
static int sums_of(const char *variant)
{
    if (strncmp(variant, "ring-", 5) != 0)
        return LAB07_SUMS_OF_LAUNCHES;
    return strncmp(variant, "ring-spread", 11) == 0 || strncmp(variant, "ring-many", 9) == 0 ||
                   strncmp(variant, "ring-quant", 10) == 0
               ? LAB07_SUMS_OF_SHARES
               : LAB07_SUMS_OF_WHOLE_HEADS;
}

static pk_decoded decoded(const lab07 *lab, int steps, const int *tokens, const float *logits)
{
    return (pk_decoded){.word = "step",
                        .steps = steps,
                        .logit_rows = lab->decoder.shape.logit_rows,
                        .vocab = lab->decoder.config.vocab,
                        .sampling = lab->decoder.sampling,
                        .tokens = tokens,
                        .logits = logits};
}

/* ---- the model in double ---- */

/* Which steps the model in double judges. */
typedef struct sample {
    int first, steps;
    bool apart; /* each behind the given keys alone: steps that stay where the first one was */
} sample;

static double flops_of(const lab07 *lab, sample s)
{
    const double steps = s.steps, each = pk_judge_flops(&lab->decoder.config, 1, lab->position, 1);
    return s.apart ? steps * each : pk_judge_flops(&lab->decoder.config, steps, steps * lab->position, steps);
}

/* As many as there is time for: the first ones, or, where none depends on keys of those before, of the last ones some.
 * Steps that stay at a position where others were before are left to the bits of other rungs. None at all: likewise,
 * and the measure steps-in-double says that nothing else was. At a sweep's point it is MOST_SWEPT of them. */
static sample steps_judged(const pk_run *run, const lab07 *lab, const pk_decoded *got)
{
    const double budget = pk_judge_most_flops(pk_run_device(run)->is_gpu);
    const int kept = pk_judge_first_kept(got), room = lab->decoder.shape.capacity - lab->position;
    sample s = {.first = 0, .steps = 0, .apart = lab->how.holds && room == 1};
    int most = s.apart             ? (got->steps - kept < MOST_APART ? got->steps - kept : MOST_APART)
               : kept > 0          ? 0
               : got->steps < room ? got->steps
                                   : room;
    if (pk_run_of_sweep(run) && most > MOST_SWEPT)
        most = MOST_SWEPT;
    for (sample more = s; more.steps++ < most && flops_of(lab, more) <= budget;)
        s.steps = more.steps;
    s.first = s.apart ? got->steps - s.steps : 0;
    return s;
}

/* What step `step` took in. */
static int token_in(const lab07_expected *host, int step)
{
    return step == 0 ? host->first_token : host->tokens[step - 1];
}

/* Is what was computed that of these tokens? */
static bool is_of(const lab07_expected *host, sample s)
{
    int step = 0;
    while (step < s.steps && step < host->model.judged && host->model.tokens[step] == token_in(host, s.first + step))
        step++;
    return step == s.steps;
}

/* Logits of the sample's steps, [steps][vocab], behind the tokens that the model in double has. */
static pk_status in_double(const pk_model *model, const pk_reference_cache *cache, const int *tokens, sample s,
                           int passes, double *logits, double *bound)
{
    const int at_once = s.apart ? 1 : s.steps;
    pk_status status = PK_OK;
    for (int i = 0; i < s.steps && status == PK_OK; i += at_once)
        status = pk_reference_bounds_after(model, cache, tokens + i, (size_t)at_once, passes, 1,
                                           logits + (size_t)i * (size_t)model->config.vocab, bound + i);
    return status;
}

/* How far the blocks' model is from the bf16 one that it was made of, behind the same tokens: both in double. */
static pk_status compare_weights(const lab07 *lab, const pk_reference_cache *cache, sample s, lab07_double *m)
{
    const pk_model *model;
    const pk_model_config *config = &lab->decoder.config;
    const size_t vocab = (size_t)config->vocab, steps = (size_t)s.steps;
    double *want = malloc(steps * vocab * sizeof *want), *bound = malloc(steps * sizeof *bound);
    float *got = malloc(vocab * sizeof *got);
    pk_status status = want && bound && got ? PK_OK : pk_out_of_memory("lab07's reference");
    if (status == PK_OK)
        status = pk_judge_model(config, LAB07_WEIGHTS_SEED, &model);
    if (status == PK_OK)
        status = in_double(model, cache, m->tokens, s, 1, want, bound);
    m->weights_l2 = m->weights_kl = 0;
    for (size_t step = 0; step < steps && got && status == PK_OK; step++) {
        for (size_t i = 0; i < vocab; i++)
            got[i] = (float)m->logits[step * vocab + i];
        m->weights_l2 = fmax(m->weights_l2, pk_reference_l2(want + step * vocab, got, vocab));
        m->weights_kl = fmax(m->weights_kl, pk_reference_kl(want + step * vocab, got, vocab));
    }
    free(want);
    free(bound);
    free(got);
    return status;
}

static pk_status compute(const lab07 *lab, lab07_expected *host, sample s)
{
    const pk_model *model;
    const pk_model_config *config = &lab->decoder.config;
    lab07_double *const m = &host->model;
    const size_t steps = (size_t)s.steps;
    const pk_reference_cache cache = {.positions = (size_t)lab->position,
                                      .capacity = (size_t)lab->decoder.shape.capacity,
                                      .keys = host->keys,
                                      .values = host->values};
    free(m->logits);
    free(m->bound);
    m->judged = 0;
    m->logits = malloc(steps * (size_t)config->vocab * sizeof *m->logits);
    m->bound = calloc(steps, sizeof *m->bound);
    if (!m->logits || !m->bound)
        return pk_out_of_memory("lab07's reference");
    for (int i = 0; i < s.steps; i++)
        m->tokens[i] = token_in(host, s.first + i);
    pk_status status = pk_judge_quant_model(config, LAB07_WEIGHTS_SEED, lab->decoder.shape.weights, &model);
    if (status == PK_OK)
        status = in_double(model, &cache, m->tokens, s, PK_JUDGE_PASSES, m->logits, m->bound);
    if (status == PK_OK && lab->decoder.shape.weights != PK_QUANT_BF16)
        status = compare_weights(lab, &cache, s, m);
    m->judged = status == PK_OK ? s.steps : 0;
    return status;
}

static pk_status check_near(pk_run *run, const lab07 *lab, lab07_expected *host, const pk_decoded *got,
                            pk_verdict *verdict, pk_drift *drift)
{
    const sample s = steps_judged(run, lab, got);
    if (s.steps > 0 && !is_of(host, s)) {
        pk_status status = compute(lab, host, s);
        if (status != PK_OK)
            return status;
    }
    for (int i = 0; i < s.steps; i++) {
        const double *want = host->model.logits + (size_t)i * (size_t)got->vocab;
        if (!pk_judge_near(got, s.first + i, want, host->model.bound[i], verdict))
            break;
        pk_judge_drift(got, s.first + i, want, drift);
    }
    return PK_OK;
}

/* ---- all of it ---- */

static bool is_end(const pk_model_config *config, int token)
{
    for (int i = 0; i < config->end_count; i++)
        if (token == config->end_tokens[i])
            return true;
    return false;
}

/* As many as were asked for. Of a kernel that ends by itself: to the first end token, or, where the host has stopped
 * it, as many as there are. */
static int steps_made(const lab07 *lab, const pk_decode_state *state, const int *tokens)
{
    if (lab->heard_count < 0)
        return lab->tokens;
    for (int step = 0; step < state->step && step < lab->tokens && lab->decoder.sampling.stop_at_end; step++)
        if (is_end(&lab->decoder.config, tokens[step]))
            return step + 1;
    const bool stopped = lab->stop_after > 0 && lab->stop_after < lab->tokens;
    return stopped && state->step >= lab->stop_after && state->step < lab->tokens ? state->step : lab->tokens;
}

/* What the host has heard of the kernel as it ran: each token, once, in order. And if it has stopped it, not all. */
static void check_heard(const lab07 *lab, int steps, const int *tokens, pk_verdict *verdict)
{
    if (lab->heard_count < 0)
        return;
    verdict->checked += (uint64_t)steps + 1;
    int step = 0;
    while (step < lab->heard_count && step < steps && lab->heard[step] == tokens[step])
        step++;
    const bool all = step == steps && lab->heard_count == steps;
    const bool ended = lab->stop_after == 0 || lab->stop_after >= lab->tokens || steps < lab->tokens;
    if (all && ended)
        return;
    verdict->wrong = 1;
    verdict->first_wrong = (uint64_t)step;
    verdict->got = lab->heard_count;
    verdict->want = steps;
    if (!all && step < lab->heard_count && step < steps) {
        verdict->got = lab->heard[step];
        verdict->want = tokens[step];
        snprintf(verdict->note, sizeof verdict->note, "step %d: the host was told token %d, and %d was chosen", step,
                 lab->heard[step], tokens[step]);
    } else if (!all)
        snprintf(verdict->note, sizeof verdict->note, "the host heard %d of %d tokens: step %d's did not come",
                 lab->heard_count, steps, step);
    else
        snprintf(verdict->note, sizeof verdict->note,
                 "the host stopped the kernel when it had heard %d tokens, and all %d were made: told too late, or not "
                 "seen",
                 lab->stop_after, lab->tokens);
}

static int position_behind(const lab07 *lab, int steps)
{
    const int last = lab->decoder.shape.capacity - 1, next = lab->position + steps;
    return lab->how.holds && next > last ? last : next;
}

/* The state is where the steps have brought it, and without a fault: a step more than was asked for has no place for a
 * token, and shows here alone. */
static void check_state(const lab07 *lab, int steps, const pk_decode_state *state, pk_verdict *verdict)
{
    verdict->checked++;
    if (state->step == steps && state->position == position_behind(lab, state->step) && state->fault == 0)
        return;
    verdict->wrong = 1;
    verdict->first_wrong = (uint64_t)state->step;
    verdict->got = state->step;
    verdict->want = steps;
    if (state->fault)
        snprintf(verdict->note, sizeof verdict->note, "at step %d, where %d were asked for: %s", state->step - 1,
                 lab->tokens, pk_decode_fault_text(state->fault));
    else if (steps < lab->tokens && lab->decoder.sampling.stop_at_end)
        snprintf(verdict->note, sizeof verdict->note, "step %d chose an end token, and %d steps were made", steps - 1,
                 state->step);
    else
        snprintf(verdict->note, sizeof verdict->note,
                 "the state stands at step %d, position %d, and not at step %d, position %d: a step that was not made, "
                 "or that did not move it on",
                 state->step, state->position, steps, position_behind(lab, steps));
}

/* For `./lab gate`. A variant that gave the same bits as another has drifted as far as that one. */
static void say_measures(pk_run *run, const lab07_expected *host, const pk_drift *drift)
{
    const lab07 *lab = lab07_of(run);
    size_t free_bytes, all_bytes;
    pk_run_measure(run, "buffer-bytes", (double)host->decoder_bytes);
    pk_run_measure(run, "model-kv-bytes", (double)host->model_kv_bytes);
    if (lab->heard_count >= 0)
        pk_run_measure(run, "tokens-heard", lab->heard_count);
    if (lab->tenth_us[0] > 0) {
        pk_run_measure(run, "first-tenth-us", lab->tenth_us[0]);
        pk_run_measure(run, "last-tenth-us", lab->tenth_us[1]);
        pk_run_measure(run, "last-over-first-tenth", lab->tenth_us[1] / lab->tenth_us[0]);
    }
    if (host->free_bytes > 0 && pk_device_memory(&free_bytes, &all_bytes) == PK_OK)
        pk_run_measure(run, "memory-grown", (double)host->free_bytes - (double)free_bytes);
    pk_run_measure(run, "steps-in-double", drift->steps);
    if (drift->steps == 0)
        return;
    pk_run_measure(run, "logits-l2", drift->l2);
    pk_run_measure(run, "logits-kl", drift->kl);
    if (lab->decoder.shape.weights != PK_QUANT_BF16) {
        pk_run_measure(run, "weights-l2", host->model.weights_l2);
        pk_run_measure(run, "weights-kl", host->model.weights_kl);
    }
    pk_run_measure(run, "nll-beyond-double", drift->nll / drift->steps);
}

static void remember(const pk_run *run, const pk_decoded *got, const pk_drift *drift, lab07_seen *seen)
{
    const size_t logits = (size_t)got->logit_rows * (size_t)got->vocab;
    memcpy(seen->tokens, got->tokens, (size_t)got->steps * sizeof *got->tokens);
    memcpy(seen->logits, got->logits, logits * sizeof *got->logits);
    snprintf(seen->variant, sizeof seen->variant, "%s", pk_run_variant(run)->name);
    seen->drift = *drift;
    seen->there = true;
}

static pk_status download(pk_run *run, const lab07 *lab, lab07_expected *host, pk_decode_state *state)
{
    const pk_decoder *d = &lab->decoder;
    const size_t logits = (size_t)d->shape.logit_rows * (size_t)d->config.vocab;
    void *stream = pk_run_stream(run);
    pk_status status = pk_device_download(host->tokens, d->tokens, (size_t)lab->tokens * sizeof(int), stream);
    if (status == PK_OK)
        status = pk_device_download(state, d->state, sizeof *state, stream);
    if (status == PK_OK)
        status = pk_device_download(host->logits, d->logits, logits * sizeof(float), stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

pk_status lab07_verify(pk_run *run, pk_verdict *verdict)
{
    const lab07 *lab = pk_run_lab_data(run);
    lab07_expected *host = pk_run_reference(run);
    lab07_seen *seen = &host->seen[sums_of(pk_run_variant(run)->name)];
    pk_decode_state state;
    pk_drift drift = {0};
    pk_status status = download(run, lab, host, &state);
    if (status != PK_OK)
        return status;
    const int steps = steps_made(lab, &state, host->tokens);
    const pk_decoded got = decoded(lab, steps, host->tokens, host->logits);
    if (state.step > lab->tokens) /* before the tokens: it may have written over another's logits */
        check_state(lab, steps, &state, verdict);
    if (verdict->wrong == 0)
        pk_judge_tokens(&got, verdict);
    if (verdict->wrong == 0)
        check_state(lab, steps, &state, verdict);
    if (verdict->wrong == 0)
        check_heard(lab, steps, host->tokens, verdict);
    if (verdict->wrong == 0 && seen->there) {
        const pk_decoded before = decoded(lab, steps, seen->tokens, seen->logits);
        pk_judge_same(&got, &before, seen->variant, verdict);
        say_measures(run, host, &seen->drift);
        return PK_OK;
    }
    if (verdict->wrong == 0)
        status = check_near(run, lab, host, &got, verdict, &drift);
    if (status == PK_OK && verdict->wrong == 0) {
        if (steps == lab->tokens)
            remember(run, &got, &drift, seen);
        say_measures(run, host, &drift);
    }
    return status;
}
