/* Lab 04: how well the decoder predicts a text, and how far its logits drift on the way, for `./lab gate`.
 *
 * Variants that are right give the same bits, so one of them speaks for all: the steps of the form that was chosen,
 * launched one by one, each with the text's token. */
#include <stdlib.h>
#include <string.h>

#include "decode/pk_reference.h"
#include "lab04_problem.h"

/* Of the decoder on the CPU device: a second. */
static const double MOST_FLOPS_ON_CPU = 1e9;

/* Operations of one pass over a text. */
static double flops_of(const pk_model_config *config, int tokens)
{
    return pk_judge_flops(config, tokens, tokens * (tokens + 1) / 2.0, tokens) / (1 + PK_JUDGE_PASSES);
}

static int tokens_there_is_time_for(const pk_run *run, const pk_model_config *config)
{
    int tokens = 0;
    if (pk_run_device(run)->is_gpu)
        return PK_TEXT_DRAWN;
    while (tokens < PK_TEXT_DRAWN && flops_of(config, tokens + 1) <= MOST_FLOPS_ON_CPU)
        tokens++;
    return tokens;
}

/* The logits of the model in double after each token but the last, kept while model and text are the same. *logits
 * NULL: there is no time for them. */
static pk_status reference_of(const pk_run *run, const pk_model_config *config, const int *tokens, int count,
                              const double **logits)
{
    static double *kept;
    static char kept_name[sizeof config->name];
    static int kept_count;
    const pk_model *model;
    *logits = NULL;
    if (flops_of(config, count - 1) > pk_judge_most_flops(pk_run_device(run)->is_gpu) / 3)
        return PK_OK; /* beside the bounds of the steps */
    if (kept && kept_count == count && strcmp(kept_name, config->name) == 0) {
        *logits = kept;
        return PK_OK;
    }
    free(kept);
    kept = malloc((size_t)(count - 1) * (size_t)config->vocab * sizeof *kept);
    if (!kept)
        return pk_out_of_memory("lab04's text");
    memcpy(kept_name, config->name, sizeof kept_name);
    kept_count = 0; /* nothing is known of it yet */
    pk_status status = pk_judge_model(config, LAB04_WEIGHTS_SEED, &model);
    if (status == PK_OK)
        status = pk_reference_logits(model, tokens, (size_t)count - 1, 0, kept);
    if (status != PK_OK)
        return status;
    kept_count = count;
    *logits = kept;
    return PK_OK;
}

pk_status lab04_decode_text(pk_run *run, const lab04 *lab, lab04_expected *host)
{
    const pk_model_config *config = &lab->decoder.config;
    const int there = tokens_there_is_time_for(run, config), capacity = lab->decoder.shape.capacity;
    int tokens[PK_TEXT_MOST];
    const double *want = NULL;
    if (host->text_tokens > 0)
        return PK_OK; /* the weights and the text are the same for all seeds */
    const int count = pk_text_tokens(config, false, there < capacity ? there : capacity, tokens);
    if (count < 2)
        return PK_OK;
    float *got = malloc((size_t)(count - 1) * (size_t)config->vocab * sizeof *got);
    if (!got)
        return pk_out_of_memory("lab04's text");
    pk_status status = pk_decode_text(&lab->decoder, &lab->how, tokens, count, got, pk_run_stream(run));
    pk_run_progress(run);
    if (status == PK_OK)
        status = reference_of(run, config, tokens, count, &want);
    if (status == PK_OK) {
        host->text = pk_text_judge(tokens, count, (size_t)config->vocab, got, want);
        host->text_tokens = count;
    }
    free(got);
    return status;
}

void lab04_say_text(pk_run *run, const lab04_expected *host)
{
    if (host->text_tokens < 2)
        return;
    pk_run_measure(run, "perplexity", host->text.perplexity);
    if (host->text.perplexity_reference != host->text.perplexity_reference)
        return;
    pk_run_measure(run, "perplexity-reference", host->text.perplexity_reference);
    pk_run_measure(run, "logits-l2", host->text.l2);
    pk_run_measure(run, "logits-kl", host->text.kl);
}
