/* What a decoder gave, judged: see pk_judge.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/pk_choose.h"
#include "decode/pk_judge.h"
#include "decode/pk_quant.h"
#include "decode/pk_reference.h"

/* Of the passes in double, for one point: some seconds on a machine that has such a device. */
static const double MOST_FLOPS = 3e11, MOST_FLOPS_ON_CPU = 3e10;
enum { WEIGHING = 40 }; /* what a score's exponential and its errors take, in products */

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
static bool drawn_token(const pk_decoded *got, const float *logits, int step, int token)
{
    const pk_sampling *sampling = &got->sampling;
    const size_t vocab = (size_t)got->vocab;
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

int pk_judge_first_kept(const pk_decoded *got)
{
    return got->steps > got->logit_rows ? got->steps - got->logit_rows : 0;
}

const float *pk_judge_logits(const pk_decoded *got, int step)
{
    return got->logits + (size_t)(step % got->logit_rows) * (size_t)got->vocab;
}

void pk_judge_tokens(const pk_decoded *got, pk_verdict *verdict)
{
    const int vocab = got->vocab;
    for (int step = 0; step < got->steps && verdict->wrong == 0; step++) {
        const int token = got->tokens[step];
        const bool kept = step >= pk_judge_first_kept(got);
        const bool there = token >= 0 && token < vocab;
        verdict->checked++;
        if (there && (!kept || drawn_token(got, pk_judge_logits(got, step), step, token)))
            continue;
        verdict->wrong = 1;
        verdict->first_wrong = (uint64_t)step;
        verdict->got = token;
        verdict->want = kept ? best_token(pk_judge_logits(got, step), vocab) : (double)NAN;
        if (token <= PK_TOKEN_OF_FAULT(1) && token > PK_TOKEN_OF_FAULT(PK_FAULTS))
            snprintf(verdict->note, sizeof verdict->note, "%s %d: %s", got->word, step,
                     pk_decode_fault_text(PK_FAULT_OF_TOKEN(token)));
        else if (!there)
            snprintf(verdict->note, sizeof verdict->note,
                     "%s %d has no token: it never ran, or wrote elsewhere (docs/troubleshooting.md#no-token)",
                     got->word, step);
        else
            snprintf(verdict->note, sizeof verdict->note,
                     "the token of %s %d is not the one that its logits say (docs/troubleshooting.md#another-token)",
                     got->word, step);
    }
}

/* ---- bit for bit what another gave ---- */

void pk_judge_same(const pk_decoded *got, const pk_decoded *want, const char *whose, pk_verdict *verdict)
{
    const size_t vocab = (size_t)got->vocab;
    for (int step = 0; step < got->steps && verdict->wrong == 0; step++) {
        const bool kept = step >= pk_judge_first_kept(got);
        const float *ours = pk_judge_logits(got, step), *theirs = pk_judge_logits(want, step);
        size_t i = 0;
        while (kept && i < vocab && memcmp(&ours[i], &theirs[i], sizeof *ours) == 0)
            i++;
        const bool same_logits = !kept || i == vocab, same_token = got->tokens[step] == want->tokens[step];
        verdict->checked += kept ? vocab : 0;
        if (same_logits && same_token)
            continue;
        verdict->wrong = 1;
        verdict->first_wrong = same_logits ? (uint64_t)step : (uint64_t)step * vocab + i;
        verdict->got = same_logits ? got->tokens[step] : (double)ours[i];
        verdict->want = same_logits ? want->tokens[step] : (double)theirs[i];
        if (same_logits)
            snprintf(verdict->note, sizeof verdict->note,
                     "%s %d: another token was chosen than by '%s', of the same logits "
                     "(docs/troubleshooting.md#another-token)",
                     got->word, step, whose);
        else if (isnan(ours[i]))
            snprintf(verdict->note, sizeof verdict->note,
                     "%s %d: the logit of token %zu is NaN, and '%s' gave a number (docs/troubleshooting.md#nan)",
                     got->word, step, i, whose);
        else if (step == 0)
            snprintf(verdict->note, sizeof verdict->note,
                     "%s %d: the logit of token %zu is not bit for bit what '%s' gave "
                     "(docs/troubleshooting.md#not-the-same-bits)",
                     got->word, step, i, whose);
        else
            snprintf(verdict->note, sizeof verdict->note,
                     "%s %d: the logit of token %zu is not bit for bit what '%s' gave, and all before are: a position, "
                     "a step or a token that should have moved on (docs/troubleshooting.md#stale-argument)",
                     got->word, step, i, whose);
    }
}

/* ---- near the model in double ---- */

bool pk_judge_near(const pk_decoded *got, int step, const double *want, double bound, pk_verdict *verdict)
{
    const float *logits = pk_judge_logits(got, step);
    const size_t vocab = (size_t)got->vocab;
    for (size_t i = 0; i < vocab; i++) {
        const double error = fabs((double)logits[i] - want[i]);
        if (error > verdict->worst_error) {
            verdict->worst_error = error;
            verdict->bound = bound;
        }
        if (error <= bound)
            continue;
        verdict->wrong++;
        verdict->first_wrong = (uint64_t)step * vocab + i;
        verdict->got = (double)logits[i];
        verdict->want = want[i];
        verdict->bound = bound;
        snprintf(
            verdict->note, sizeof verdict->note,
            "%s %d: the logit of token %zu is further from the model computed in double than rounding can take it: "
            "another position, token or weight went in (docs/troubleshooting.md#far-from-the-model)",
            got->word, step, i);
        return false;
    }
    verdict->checked += vocab;
    return true;
}

/* The log of what softmax gives to logit `token`. */
static double log_likely(double logit, double most, double sum)
{
    return logit - most - log(sum);
}

void pk_judge_drift(const pk_decoded *got, int step, const double *want, pk_drift *drift)
{
    const float *logits = pk_judge_logits(got, step);
    const size_t vocab = (size_t)got->vocab;
    const int token = got->tokens[step];
    double most_want = -INFINITY, sum_want = 0, sum_got = 0;
    float most_got = -INFINITY;
    for (size_t i = 0; i < vocab; i++) {
        most_want = want[i] > most_want ? want[i] : most_want;
        most_got = logits[i] > most_got ? logits[i] : most_got;
    }
    for (size_t i = 0; i < vocab; i++) {
        sum_want += exp(want[i] - most_want);
        sum_got += exp((double)logits[i] - (double)most_got);
    }
    drift->l2 = fmax(drift->l2, pk_reference_l2(want, logits, vocab));
    drift->kl = fmax(drift->kl, pk_reference_kl(want, logits, vocab));
    drift->nll +=
        log_likely(want[token], most_want, sum_want) - log_likely((double)logits[token], (double)most_got, sum_got);
    drift->steps++;
}

/* ---- the weights, and what there is time for ---- */

/* Both copies, the second of which points into the first. */
static struct {
    pk_model model, quantised;
    uint64_t seed;
} kept;

pk_status pk_judge_model(const pk_model_config *config, uint64_t seed, const pk_model **model)
{
    if (!kept.model.layer || kept.seed != seed || strcmp(kept.model.config.name, config->name) != 0) {
        pk_model_close(&kept.quantised);
        pk_model_close(&kept.model);
        pk_status status = pk_model_random(config, seed, &kept.model);
        if (status != PK_OK)
            return status;
        kept.seed = seed;
    }
    *model = &kept.model;
    return PK_OK;
}

pk_status pk_judge_quant_model(const pk_model_config *config, uint64_t seed, pk_quant weights, const pk_model **model)
{
    pk_status status = pk_judge_model(config, seed, model);
    if (status != PK_OK || weights == PK_QUANT_BF16)
        return status;
    if (!kept.quantised.layer || kept.quantised.weights != weights) {
        pk_model_close(&kept.quantised);
        status = pk_quant_model(*model, weights, &kept.quantised);
    }
    *model = &kept.quantised;
    return status;
}

double pk_judge_flops(const pk_model_config *c, double positions, double keys, double judged)
{
    const double layer =
        (double)c->hidden * c->head_dim * (2.0 * c->heads + 2.0 * c->kv_heads) + 3.0 * c->hidden * c->ffn;
    return (1 + PK_JUDGE_PASSES) * 2.0 *
           (c->layers * (layer * positions + (double)c->heads * (c->head_dim + WEIGHING) * keys) +
            (double)c->hidden * c->vocab * judged);
}

double pk_judge_most_flops(bool is_gpu)
{
    return is_gpu ? MOST_FLOPS : MOST_FLOPS_ON_CPU;
}
