/* The decoder on the device against golden files (pk_golden.h): golden_test [--one] MODELS FILE.json...
 *
 * Each sequence is decoded greedily, in both forms, its prompt taken in as a batch by one and token by token by the
 * other. At every step each logit must be within the bound of the pass in double (pk_reference.h), the divergence of
 * the distribution within what such logits can have, and the token the golden one, but where its margin over the next
 * best is no more than two such logits can make good; from there on the sequence is another, and no longer compared.
 * With
 * --one only the first sequence, in the fused form. Exit codes as everywhere; 77: the model is not there. */
#include <math.h>

#include "decode/pk_golden.h"
#include "decode/pk_reference.h"
#include "decoder_bench.h"

enum { PASSES = 16 };

typedef struct outcome {
    int steps, flips;          /* compared; sequences that left the golden one where the margin allows it */
    double error, kl, mean_kl; /* the largest error over its bound; divergence, largest and mean, nats */
} outcome;

typedef struct compared { /* a sequence's results, [steps] each */
    int *tokens;
    float *logits;        /* [steps][vocab] */
    double *want, *bound; /* [steps][vocab], [steps] */
} compared;

static pk_status decode(decoder_bench *b, const pk_golden_sequence *s, const pk_decode_how *how, bool as_batch)
{
    const pk_decoder *const d = &b->d;
    const int prompt = (int)s->prompt, steps = (int)(s->count - s->prompt);
    PK_TRY(pk_decoder_begin(d, s->tokens, prompt, steps, b->stream));
    if (as_batch) {
        const pk_decode_at at = {d->state, -1, -1, -1};
        PK_TRY(pk_prefill(d, d->shape.most_rows, NULL, b->stream));
        for (int step = 1; step < steps; step++)
            PK_TRY(pk_decode_step(d, at, how, b->stream));
        return PK_OK;
    }
    for (int i = 0; i < prompt; i++) {
        const pk_decode_at at = {d->state, i, s->tokens[i], 0};
        PK_TRY(pk_decode_step(d, at, how, b->stream));
    }
    for (int step = 1; step < steps; step++) {
        const pk_decode_at at = {d->state, prompt + step - 1, -1, step};
        PK_TRY(pk_decode_step(d, at, how, b->stream));
    }
    return PK_OK;
}

static pk_status judge(const pk_golden_sequence *s, const compared *c, int vocab, outcome *o)
{
    const int steps = (int)(s->count - s->prompt);
    for (int step = 0; step < steps; step++) {
        const float *const got = c->logits + (size_t)step * vocab;
        const double *const want = c->want + (size_t)step * vocab, bound = c->bound[step];
        for (int i = 0; i < vocab; i++) {
            const double error = fabs((double)got[i] - want[i]);
            if (!(error <= bound))
                return pk_fail(PK_WRONG, "step %d, logit %d: %.9g, in double %.9g: further than the bound of %.3g",
                               step, i, (double)got[i], want[i], bound);
            o->error = fmax(o->error, error / bound);
        }
        const double kl = pk_reference_kl(want, got, (size_t)vocab);
        if (!(kl <=
              bound * bound / 2 + 1e-9)) /* Hoeffding's lemma: logits off by at most B diverge by at most B^2 / 2 */
            return pk_fail(PK_WRONG, "step %d: a divergence of %.3g nats, and logits within %.3g have at most %.3g",
                           step, kl, bound, bound * bound / 2);
        o->kl = fmax(o->kl, kl);
        o->mean_kl += kl;
        o->steps++;
        if (c->tokens[step] == s->tokens[s->prompt + (size_t)step])
            continue;
        if (!((double)s->margins[step] <= 2 * bound))
            return pk_fail(PK_WRONG,
                           "step %d: token %d, and golden is %d by a margin of %.3g, more than twice the bound %.3g",
                           step, c->tokens[step], s->tokens[s->prompt + (size_t)step], (double)s->margins[step], bound);
        o->flips++;
        return PK_OK;
    }
    return PK_OK;
}

static pk_status run_sequence(const pk_model *model, const pk_golden_sequence *s, bool fused, outcome *o)
{
    pk_device_info device;
    decoder_bench b;
    const size_t vocab = (size_t)model->config.vocab, steps = s->count - s->prompt;
    const pk_decoder_shape shape = {(int)s->count, (int)s->prompt, (int)steps, (int)steps, PK_QUANT_BF16};
    const pk_sampling greedy = {1, 1, 0, false};
    const pk_decode_how how = {fused, false, false, NULL, NULL, NULL};
    compared c = {(int *)malloc(steps * sizeof(int)), (float *)malloc(steps * vocab * sizeof(float)),
                  (double *)malloc(steps * vocab * sizeof(double)), (double *)malloc(steps * sizeof(double))};
    if (!c.tokens || !c.logits || !c.want || !c.bound)
        return pk_out_of_memory("golden_test");
    PK_TRY(pk_device_open(&device));
    PK_TRY(bench_open(&b, &model->config, &shape, &greedy, device.processors, pk_decoder_threads(device.is_gpu)));
    PK_TRY(pk_decoder_load(&b.d, model, b.stream));
    const bool as_batch = !fused;
    PK_TRY(decode(&b, s, &how, as_batch));
    PK_TRY(bench_read(&b, c.tokens, b.d.tokens, steps * sizeof(int)));
    PK_TRY(bench_read(&b, c.logits, b.d.logits, steps * vocab * sizeof(float)));
    bool whole = false;
    PK_TRY(bench_guards(&b, &whole));
    if (!whole)
        return pk_fail(PK_WRONG, "bytes behind one of the decoder's buffers were written");
    bench_close(&b);
    const pk_reference_roundings roundings = {1, as_batch ? (int)s->prompt : 0};
    PK_TRY(pk_reference_bounds(model, s->tokens, s->count - 1, s->prompt - 1, roundings, PASSES, 1, c.want, c.bound));
    const pk_status status = judge(s, &c, (int)vocab, o);
    free(c.tokens);
    free(c.logits);
    free(c.want);
    free(c.bound);
    return status;
}

static pk_status run_forms(const pk_golden *golden, const pk_model *model, bool one)
{
    for (int fused = one ? 1 : 0; fused < 2; fused++) {
        outcome o = {0, 0, 0, 0, 0};
        for (size_t i = 0; i < (one ? 1 : golden->count); i++)
            PK_TRY(run_sequence(model, &golden->sequences[i], fused != 0, &o));
        printf("%s, %s: %d steps, errors up to %.2f of their bound, divergence %.2g nats at most, %.2g in the mean, %d "
               "left the golden sequence within its margin\n",
               model->config.name, fused ? "fused, token by token" : "unfused, prompt as a batch", o.steps, o.error,
               o.kl, o.mean_kl / o.steps, o.flips);
    }
    return PK_OK;
}

static pk_status run_file(const char *models, const char *path, bool one)
{
    pk_golden golden;
    pk_model model;
    PK_TRY(pk_golden_open(path, &golden));
    pk_status status = pk_golden_model(&golden, models, &model);
    if (status == PK_OK) {
        status = run_forms(&golden, &model, one);
        pk_model_close(&model);
    }
    pk_golden_close(&golden);
    return status;
}

int main(int argc, char **argv)
{
    const bool one = argc > 1 && strcmp(argv[1], "--one") == 0;
    const int first = one ? 2 : 1;
    pk_status status =
        argc > first + 1 ? PK_OK : pk_fail(PK_USAGE, "golden_test: name the folder of models and a file");
    for (int i = first + 1; i < argc && status == PK_OK; i++) {
        status = run_file(argv[first], argv[i], one);
        if (status != PK_OK)
            fprintf(stderr, "golden_test: %s: %s\n", argv[i], pk_error_text());
    }
    if (status != PK_OK && argc <= first + 1)
        fprintf(stderr, "%s\n", pk_error_text());
    return pk_exit_code(status);
}
