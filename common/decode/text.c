/* The text by which decoders are judged. */
#include "pk_text.h"

#include <math.h>
#include <string.h>

#include "num/pk_splitmix.h"
#include "pk_reference.h"

static const uint64_t SEED = 11; /* of drawn tokens: any number, but the same for all results that are compared */

const char pk_text_shipped[] =
    "The lighthouse keeper had two clocks. One of them hung in the kitchen and was always ten minutes "
    "late. The other stood on a shelf beside the lamp, and she set it every evening when the sun went "
    "down. Nobody else lived on the island, so it made no difference which of the two was right, but she "
    "liked to know how far they were apart.\n\n"
    "In the winter of that year a storm took the small bridge between the rocks and the harbour. For "
    "eleven days no boat could land. She counted the bread, the oil for the lamp and the letters that she"
    " had not answered yet. Then she wrote to her brother in the city: \"The light burns every night. If "
    "you see it from the coast, you know that I am well. If you do not see it, look at your own clock "
    "first, because I may only be late.\"\n\n"
    "When the sea was calm again, the first boat brought flour, a new rope and a letter. Her brother had "
    "written that he could not see the light from the city, and that he had never owned a clock.";

/* In the vocabulary of SmolLM2: `pk_model_tool.py encode models/smollm2-135m "..."`. */
static const int smollm2[] = {
    504,   33059, 40061, 761,  827,  21951, 30,   1963,  282,  601,   11344, 281,  260,   9902,  284,  436,  1811,
    3772,  3487,  3008,  30,   378,  550,   9318, 335,   253,  15714, 19032, 260,  17559, 28,    284,  1041, 932,
    357,   897,   9053,  645,  260,  2388,  3514, 1187,  30,   32304, 1745,  4161, 335,   260,   5432, 28,   588,
    357,   1135,  787,   3193, 527,  282,   260,  827,   436,  1048,  28,    564,  1041,  16686, 288,  699,  638,
    1869,  502,   592,   5215, 30,   198,   198,  788,   260,  4339,  282,   338,  713,   253,   5670, 2637, 260,
    1165,  7395,  826,   260,  7739, 284,   260,  28899, 30,   1068,  20654, 2009, 787,   9741,  856,  1666, 30,
    2306,  17288, 260,   6956, 28,   260,   2664, 327,   260,  17559, 284,   260,  5073,  338,   1041, 761,  441,
    11739, 2408,  30,    3875, 1041, 4150,  288,  874,   5717, 281,   260,   2240, 42,    476,   504,  1420, 16193,
    897,   3163,  30,    1094, 346,  963,   357,  429,   260,  4051,  28,    346,  699,   338,   339,  744,  876,
    30,    1094,  346,   536,  441,  963,   357,  28,    1492, 418,   469,   1038, 9191,  808,   28,   975,  339,
    654,   805,   325,   3008, 1270, 198,   198,  2427,  260,  3426,  436,   9071, 1163,  28,    260,  808,  9741,
    3621,  7367,  28,    253,  725,  18606, 284,  253,   4386, 30,    3488,  5717, 761,   2855,  338,  384,  856,
    441,   963,   260,   1420, 429,  260,   2240, 28,    284,  338,   384,   761,  2093,  9394,  253,  9191, 30};

int pk_text_tokens(const pk_model_config *config, bool real, int most, int tokens[PK_TEXT_MOST])
{
    const bool is_known = real && strcmp(config->name, "smollm2-135m") == 0;
    const int all = is_known ? (int)(sizeof smollm2 / sizeof smollm2[0]) : PK_TEXT_DRAWN;
    const int count = most < all ? most : all;
    for (int i = 0; i < count; i++)
        tokens[i] = is_known ? smollm2[i] : (int)(pk_splitmix64(SEED, (uint64_t)i) % (uint64_t)config->vocab);
    return count;
}

/* -log of the softmax's part of `token`. */
static double surprise_of_float(const float *logits, size_t vocab, int token)
{
    float most = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < vocab; i++)
        most = logits[i] > most ? logits[i] : most; /* a NaN is in the sum */
    for (size_t i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - (double)most);
    return log(sum) + (double)most - (double)logits[token];
}

static double surprise(const double *logits, size_t vocab, int token)
{
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < vocab; i++)
        most = logits[i] > most ? logits[i] : most;
    for (size_t i = 0; i < vocab; i++)
        sum += exp(logits[i] - most);
    return log(sum) + most - logits[token];
}

/* The larger, and NaN before all. */
static double worse(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}

pk_text_judged pk_text_judge(const int *tokens, int count, size_t vocab, const float *got, const double *want)
{
    double of_got = 0, of_want = 0, l2 = 0, kl = 0;
    for (int i = 0; i + 1 < count; i++) {
        const float *const row = got + (size_t)i * vocab;
        of_got += surprise_of_float(row, vocab, tokens[i + 1]);
        if (!want)
            continue;
        const double *const reference = want + (size_t)i * vocab;
        of_want += surprise(reference, vocab, tokens[i + 1]);
        l2 = worse(l2, pk_reference_l2(reference, row, vocab));
        kl = worse(kl, pk_reference_kl(reference, row, vocab));
    }
    const double predicted = count - 1, none = (double)NAN;
    return (pk_text_judged){.perplexity = exp(of_got / predicted),
                            .perplexity_reference = want ? exp(of_want / predicted) : none,
                            .l2 = want ? l2 : none,
                            .kl = want ? kl : none};
}
