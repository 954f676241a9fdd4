/* The text by which decoders are judged: its tokens, and what is made of their logits. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pk_text.h"
#include "pk_vocab.h"

/* ---- tokens ---- */

Test(text, drawn_tokens)
{
    pk_model_config config;
    int tokens[PK_TEXT_MOST], again[PK_TEXT_MOST], other = 0;
    cr_assert_eq(pk_model_config_named("tiny", &config), PK_OK);
    cr_assert_eq(pk_text_tokens(&config, false, PK_TEXT_MOST, tokens), (int)PK_TEXT_DRAWN);
    for (int i = 0; i < PK_TEXT_DRAWN; i++) {
        cr_assert(tokens[i] >= 0 && tokens[i] < config.vocab, "token %d is %d", i, tokens[i]);
        other += i > 0 && tokens[i] != tokens[i - 1];
    }
    cr_assert_gt(other, PK_TEXT_DRAWN / 2, "they are all alike");
    cr_assert_eq(pk_text_tokens(&config, true, PK_TEXT_MOST, again), (int)PK_TEXT_DRAWN, "no vocabulary of the text's");
    cr_assert_eq(memcmp(tokens, again, PK_TEXT_DRAWN * sizeof *tokens), 0);
    cr_assert_eq(pk_text_tokens(&config, false, 3, tokens), 3);
    cr_assert_eq(pk_text_tokens(&config, false, 0, tokens), 0);
}

Test(text, shipped_tokens)
{
    pk_model_config config;
    int tokens[PK_TEXT_MOST], drawn[PK_TEXT_MOST];
    cr_assert_eq(pk_model_config_named("smollm2-135m", &config), PK_OK);
    const int count = pk_text_tokens(&config, true, PK_TEXT_MOST, tokens);
    cr_assert(count > 200 && count < PK_TEXT_MOST, "%d tokens", count);
    cr_assert_eq(pk_text_tokens(&config, true, 9, drawn), 9);
    cr_assert_eq(memcmp(tokens, drawn, 9 * sizeof *tokens), 0, "the beginning of a text");
    cr_assert_eq(pk_text_tokens(&config, false, PK_TEXT_MOST, drawn), (int)PK_TEXT_DRAWN,
                 "random weights know no text");
    cr_assert_neq(memcmp(tokens, drawn, PK_TEXT_DRAWN * sizeof *tokens), 0);
}

/* The tokens are those of the shipped text: where the model is, which has the vocabulary. */
Test(text, tokens_make_the_text)
{
    pk_model_config config;
    pk_vocab *vocab = NULL;
    int tokens[PK_TEXT_MOST];
    const char *rest = pk_text_shipped;
    if (pk_vocab_open(PK_TEST_MODELS "/smollm2-135m/vocab.bin", &vocab) != PK_OK)
        cr_skip_test("no " PK_TEST_MODELS "/smollm2-135m");
    cr_assert_eq(pk_model_config_named("smollm2-135m", &config), PK_OK);
    const int count = pk_text_tokens(&config, true, PK_TEXT_MOST, tokens);
    for (int i = 0; i < count; i++) {
        size_t bytes;
        const char *const piece = pk_vocab_bytes(vocab, tokens[i], &bytes);
        cr_assert(bytes > 0 && strncmp(rest, piece, bytes) == 0, "token %d is not the text's: %.20s", i, rest);
        rest += bytes;
    }
    cr_assert_eq(*rest, '\0', "the text goes on: %.20s", rest);
    pk_vocab_close(vocab);
}

/* ---- what is made of logits ---- */

enum { VOCAB = 4, COUNT = 3 };
static const int three[COUNT] = {3, 1, 2};

Test(text, a_guess_among_all)
{
    float got[(COUNT - 1) * VOCAB];
    for (int i = 0; i < (COUNT - 1) * VOCAB; i++)
        got[i] = 1000; /* whose exponential is no number */
    const pk_text_judged judged = pk_text_judge(three, COUNT, VOCAB, got, NULL);
    cr_assert_float_eq(judged.perplexity, (double)VOCAB, 1e-9);
    cr_assert(isnan(judged.perplexity_reference) && isnan(judged.l2) && isnan(judged.kl), "there was no reference");
}

/* The token that follows has the probability p1 = 1/2, then p2 = 1/8: e^(-(log p1 + log p2) / 2) = 4. */
Test(text, each_token_by_those_before_it)
{
    const float got[] = {0, (float)log(3), 0, 0, (float)log(5), 0, 0, 0};
    const double want[] = {0, log(3), 0, 0, log(5), 0, 0, 0};
    const pk_text_judged judged = pk_text_judge(three, COUNT, VOCAB, got, want);
    cr_assert_float_eq(judged.perplexity, 4, 1e-6);
    cr_assert_float_eq(judged.perplexity_reference, 4, 1e-9);
    cr_assert(judged.l2 < 1e-7 && fabs(judged.kl) < 1e-7, "l2 %g, kl %g", judged.l2, judged.kl);
}

/* The second token's are apart: by 1 of a length of 5; and the first's are not. */
Test(text, the_farthest_counts)
{
    const float got[] = {1, 2, 3, 4, 3, 4, 1, 0};
    const double want[] = {1, 2, 3, 4, 3, 4, 0, 0};
    const pk_text_judged judged = pk_text_judge(three, COUNT, VOCAB, got, want);
    cr_assert_float_eq(judged.l2, 0.2, 1e-12);
    cr_assert(judged.kl > 1e-3 && judged.kl < 0.1, "kl %g", judged.kl);
    cr_assert(judged.perplexity < judged.perplexity_reference, "the token that follows has become likelier");
}

Test(text, nan_is_nan)
{
    const float got[] = {1, 2, NAN, 4, 1, 2, 3, 4};
    const double want[] = {1, 2, 3, 4, 1, 2, 3, 4};
    const pk_text_judged judged = pk_text_judge(three, COUNT, VOCAB, got, want);
    cr_assert(isnan(judged.perplexity) && isnan(judged.l2) && isnan(judged.kl));
    cr_assert(isfinite(judged.perplexity_reference));
}
