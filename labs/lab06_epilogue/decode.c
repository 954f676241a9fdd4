/* Lab 06, --work=decode: the labs' decoder takes in a text, and its logits are judged and measured.
 *
 * What is right. Of as many of the first tokens as there is time for, logits are within what roundings can do to those
 * of the model in double (pk_reference.h). Fast forms are less than the rounding of keys and values to bf16, so they
 * are within it too: this bound does not tell them apart. --gate=exact does: logits are then those of the decoder with
 * exact forms, bit for bit.
 *
 * What is measured. The perplexity of the text and how far logits are from the model in double, as in lab 04, and how
 * far they are from those of the decoder with exact forms. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decode/pk_judge.h"
#include "decode/pk_reference.h"
#include "lab06_decode.h"
#include "lab06_problem.h"

enum { WEIGHTS_SEED = 6 };

static const pk_decode_how EXACT = {.fused = true};

/* ---- the model ---- */

/* The folder of a real model: in PK_MODELS, or in this repository's models/. */
static const char *folder_of(const char *name)
{
    static char path[4096];
    const char *const models = getenv("PK_MODELS");
    snprintf(path, sizeof path, "%s/%s", models && *models ? models : PK_MODELS_FOLDER, name);
    return path;
}

static bool is_real(const pk_run *run)
{
    return lab06_knob(run, "model") == LAB06_SMOLLM2;
}

static pk_status config_of(const pk_run *run, pk_model_config *config)
{
    const pk_status status =
        pk_model_config_named(lab06_knobs[LAB06_KNOB_MODEL].choices[lab06_knob(run, "model")], config);
    config->activation = lab06_knob(run, "act") == LAB06_GELU ? PK_ACTIVATION_GELU_TANH : PK_ACTIVATION_SILU;
    return status;
}

pk_status lab06_decode_validate(const pk_run *run)
{
    if (is_real(run) && lab06_knob(run, "act") == LAB06_GELU)
        return pk_fail(PK_USAGE, "lab06: smollm2-135m was trained with SiLU: use --act=silu-gate");
    return lab06_knob(run, "rows") < 2 ? pk_fail(PK_USAGE, "lab06: a text of one token predicts none: use --rows=2")
                                       : PK_OK;
}

double lab06_decode_steps(const pk_run *run)
{
    pk_model_config config;
    int tokens[PK_TEXT_MOST];
    return config_of(run, &config) == PK_OK ? pk_text_tokens(&config, is_real(run), lab06_knob(run, "rows"), tokens) - 1
                                            : 1;
}

double lab06_decode_bytes(const pk_run *run)
{
    pk_model_config config;
    return config_of(run, &config) == PK_OK ? pk_decode_step_bytes(&config, (lab06_decode_steps(run) - 1) / 2) : 0;
}

/* Operations of one pass over a text. */
static double pass_flops(const pk_model_config *config, double tokens)
{
    return pk_judge_flops(config, tokens, tokens * (tokens + 1) / 2, tokens) / (1 + PK_JUDGE_PASSES);
}

double lab06_decode_flops(const pk_run *run)
{
    pk_model_config config;
    return config_of(run, &config) == PK_OK ? pass_flops(&config, 1) : 0;
}

/* The host's weights: real ones are mapped, once. */
static pk_status host_model(const pk_run *run, const pk_model_config *config, pk_model *model)
{
    static pk_model real;
    const pk_model *drawn = NULL;
    pk_status status = PK_OK;
    if (!is_real(run))
        status = pk_judge_model(config, WEIGHTS_SEED, &drawn);
    else if (!real.layer)
        status = pk_model_open(folder_of("smollm2-135m"), &real);
    if (status != PK_OK)
        return status;
    *model = drawn ? *drawn : real; /* theirs to close */
    model->config.activation = config->activation;
    return PK_OK;
}

/* ---- set-up ---- */

static pk_status load(pk_run *run, const lab06_decode *d)
{
    pk_model model;
    if (!is_real(run))
        return pk_decoder_load_random(&d->decoder, WEIGHTS_SEED, pk_run_stream(run));
    const pk_status status = host_model(run, &d->decoder.config, &model);
    return status == PK_OK ? pk_decoder_load(&d->decoder, &model, pk_run_stream(run)) : status;
}

static pk_status open_decoder(pk_run *run, lab06_decode *d, lab06_reference *ref)
{
    pk_model_config config;
    pk_decoder_sizes sizes = {0};
    pk_decoder_memory memory;
    const pk_device_info *device = pk_run_device(run);
    const pk_sampling greedy = {.top_k = 1, .temperature = 1};
    const pk_decoder_shape shape = {
        .capacity = d->steps + 1, .most_rows = 1, .steps = d->steps, .logit_rows = d->steps};
    pk_status status = config_of(run, &config);
    if (status == PK_OK)
        status = pk_decoder_size(&config, &shape, device->processors, &sizes);
    ref->cache_bytes = sizes.cache;
    ref->model_kv_bytes = sizes.weights + sizes.cache;
    ref->decoder_bytes = pk_decoder_bytes(&sizes, &shape);
    if (status == PK_OK)
        status = pk_judge_buffers(run, &sizes, false, &memory); /* the text is given token by token */
    if (status == PK_OK)
        status = pk_decoder_open(&d->decoder, &config, &shape, &greedy, device->processors,
                                 pk_decoder_threads(device->is_gpu), &memory);
    return status == PK_OK ? load(run, d) : status;
}

static bool is_here(const char *folder)
{
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s/config.json", folder);
    return length > 0 && (size_t)length < sizeof path && access(path, R_OK) == 0;
}

pk_status lab06_decode_setup(pk_run *run, lab06 *lab, lab06_reference *ref)
{
    lab06_decode *d = calloc(1, sizeof *d);
    pk_model_config config;
    lab->decode = d;
    if (!d)
        return pk_out_of_memory("lab06");
    pk_status status = config_of(run, &config);
    if (status != PK_OK)
        return status;
    d->steps = pk_text_tokens(&config, is_real(run), lab06_knob(run, "rows"), d->tokens) - 1;
    if (is_real(run) && !is_here(folder_of("smollm2-135m"))) {
        d->missing = "the weights of smollm2-135m are not here: ./lab model get smollm2-135m";
        return PK_OK;
    }
    const size_t logits = (size_t)d->steps * (size_t)config.vocab;
    ref->logits = malloc(logits * sizeof *ref->logits);
    ref->logits_exact = malloc(logits * sizeof *ref->logits_exact);
    if (!ref->logits || !ref->logits_exact)
        return pk_out_of_memory("lab06's logits");
    return open_decoder(run, d, ref);
}

void lab06_decode_release(lab06 *lab, lab06_reference *ref)
{
    if (lab && lab->decode) {
        pk_decoder_close(&lab->decode->decoder);
        free(lab->decode);
    }
    if (ref) {
        free(ref->logits);
        free(ref->logits_exact);
    }
}

/* No key or value of a repetition before. */
pk_status lab06_decode_reset(pk_run *run)
{
    const lab06 *lab = pk_run_lab_data(run);
    const lab06_reference *ref = pk_run_reference(run);
    const pk_decoder *d = &lab->decode->decoder;
    if (lab->decode->missing)
        return PK_OK;
    pk_status status =
        pk_device_fill(d->arrivals, 0, (size_t)(d->config.heads + 1) * sizeof(unsigned), pk_run_stream(run));
    return status == PK_OK ? pk_device_fill(d->layer[0].k_cache, 0xff, ref->cache_bytes, pk_run_stream(run)) : status;
}

/* ---- the model in double ---- */

typedef struct in_double { /* kept while model, activation and text are the same */
    char name[64];
    int activation, steps;
    double *logits, *bound; /* [steps][vocab], [bounded] */
    int bounded;            /* tokens whose bound is known */
} in_double;

static void forget(in_double *kept)
{
    free(kept->logits);
    free(kept->bound);
    memset(kept, 0, sizeof *kept);
}

static pk_status compute(const pk_run *run, const lab06_decode *d, in_double *to)
{
    const pk_model_config *c = &d->decoder.config;
    pk_model model;
    const double most = pk_judge_most_flops(pk_run_device(run)->is_gpu);
    const pk_reference_roundings roundings = {.kv = 1};
    while (to->bounded < d->steps && (1 + PK_JUDGE_PASSES) * pass_flops(c, to->bounded + 1) <= most)
        to->bounded++;
    const bool all = to->bounded < d->steps && pass_flops(c, d->steps) <= most / 3;
    const size_t rows = (size_t)(all ? d->steps : to->bounded);
    if (rows == 0)
        return PK_OK;
    to->logits = malloc(rows * (size_t)c->vocab * sizeof *to->logits);
    to->bound = malloc(rows * sizeof *to->bound);
    if (!to->logits || !to->bound)
        return pk_out_of_memory("lab06's reference");
    pk_status status = host_model(run, c, &model);
    if (status == PK_OK && to->bounded > 0)
        status = pk_reference_bounds(&model, d->tokens, (size_t)to->bounded, 0, roundings, PK_JUDGE_PASSES, 1,
                                     to->logits, to->bound);
    pk_run_progress(run);
    if (status == PK_OK && all)
        status = pk_reference_logits(&model, d->tokens, rows, 0, to->logits);
    to->steps = (int)rows;
    return status;
}

static pk_status reference_of(const pk_run *run, const lab06_decode *d, const in_double **reference)
{
    static in_double kept;
    static int asked_steps;
    const pk_model_config *c = &d->decoder.config;
    pk_status status = PK_OK;
    if (strcmp(kept.name, c->name) != 0 || kept.activation != (int)c->activation || asked_steps != d->steps) {
        forget(&kept);
        status = compute(run, d, &kept);
        if (status == PK_OK) {
            snprintf(kept.name, sizeof kept.name, "%s", c->name);
            kept.activation = (int)c->activation;
            asked_steps = d->steps;
        }
    }
    *reference = &kept;
    return status;
}

/* ---- the check ---- */

static void check_near(const pk_decoded *got, const in_double *want, pk_verdict *verdict)
{
    for (int step = 0; step < want->bounded && verdict->wrong == 0; step++)
        (void)pk_judge_near(got, step, want->logits + (size_t)step * (size_t)got->vocab, want->bound[step], verdict);
}

static void check_same(const lab06_decode *d, const lab06_reference *ref, pk_verdict *verdict)
{
    pk_check_exact(verdict, ref->logits, ref->logits_exact, (size_t)d->steps * (size_t)d->decoder.config.vocab);
    if (verdict->wrong > 0)
        snprintf(verdict->note, sizeof verdict->note,
                 "not bit for bit what exact forms give: fast forms? (docs/troubleshooting.md#fast-math)");
}

/* The farthest of all tokens. */
static pk_status say_from_exact(pk_run *run, const lab06_decode *d, const lab06_reference *ref)
{
    const size_t vocab = (size_t)d->decoder.config.vocab, logits = (size_t)d->steps * vocab;
    double *const exact = malloc(logits * sizeof *exact);
    if (!exact)
        return pk_out_of_memory("lab06's logits");
    for (size_t i = 0; i < logits; i++)
        exact[i] = (double)ref->logits_exact[i];
    const pk_text_judged apart = pk_text_judge(d->tokens, d->steps + 1, vocab, ref->logits, exact);
    free(exact);
    pk_run_measure(run, "from-exact-l2", apart.l2);
    pk_run_measure(run, "from-exact-kl", apart.kl);
    return PK_OK;
}

static void say_measures(pk_run *run, const lab06_decode *d, const lab06_reference *ref, const in_double *want)
{
    const bool whole = want->steps == d->steps;
    const pk_text_judged text = pk_text_judge(d->tokens, d->steps + 1, (size_t)d->decoder.config.vocab, ref->logits,
                                              whole ? want->logits : NULL);
    pk_run_measure(run, "buffer-bytes", (double)ref->decoder_bytes);
    pk_run_measure(run, "model-kv-bytes", (double)ref->model_kv_bytes);
    pk_run_measure(run, "perplexity", text.perplexity);
    if (!whole)
        return;
    pk_run_measure(run, "perplexity-reference", text.perplexity_reference);
    pk_run_measure(run, "logits-l2", text.l2);
    pk_run_measure(run, "logits-kl", text.kl);
}

pk_status lab06_decode_verify(pk_run *run, const lab06 *lab, lab06_reference *ref, pk_verdict *verdict)
{
    const lab06_decode *d = lab->decode;
    const in_double *want;
    const size_t logits = (size_t)d->steps * (size_t)d->decoder.config.vocab;
    pk_status status =
        pk_device_download(ref->logits, d->decoder.logits, logits * sizeof *ref->logits, pk_run_stream(run));
    if (status == PK_OK)
        status = pk_device_stream_synchronize(pk_run_stream(run));
    if (status == PK_OK)
        status = lab06_decode_reset(run);
    if (status == PK_OK)
        status = pk_decode_text(&d->decoder, &EXACT, d->tokens, d->steps + 1, ref->logits_exact, pk_run_stream(run));
    pk_run_progress(run);
    if (status == PK_OK)
        status = reference_of(run, d, &want);
    pk_run_progress(run);
    if (status != PK_OK)
        return status;
    const pk_decoded got = {.word = "step",
                            .steps = d->steps,
                            .logit_rows = d->steps,
                            .vocab = d->decoder.config.vocab,
                            .logits = ref->logits};
    check_near(&got, want, verdict);
    if (lab06_knob(run, "gate") == LAB06_GATE_EXACT && verdict->wrong == 0)
        check_same(d, ref, verdict);
    say_measures(run, d, ref, want);
    return say_from_exact(run, d, ref);
}
