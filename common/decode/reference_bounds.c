/* How far a right kernel's logits may lie from the exact ones: perturbed passes, and a multiple of what they change.
 *
 * A right kernel's error is taken for one more draw of what a perturbed pass changes: nearly normal, since it is the
 * sum of thousands of small ones. In models that are trained, much of it is one shift, the same for all logits (the
 * rows of their matrix have a common part); what is left differs from logit to logit. So at a position bound = a(P)
 * shift + b(P, vocab) spread rest with P passes; shift: root mean square over the passes of the change's mean over the
 * vocabulary; rest: that of what the change has beside its mean, over passes and vocabulary. spread: how much larger
 * than that root mean square it is for the logit where it is the largest, over all passes and positions; taken as the
 * largest of estimates, it is rather too large.
 *
 * Both scales are estimates, and an error may be large where its scale was estimated small. For a normal error e of
 * variance s^2, an estimate S^2 of s^2 with n degrees of freedom (n S^2 / s^2 is chi-squared) and N such errors
 *     P(some |e| > t S) <= N E exp(-t^2 S^2 / (2 s^2)) = N (1 + t^2 / n)^(-n / 2)
 * by erfc(x / sqrt 2) <= exp(-x^2 / 2) and chi-squared's moment generating function. So t = sqrt(n ((N / p)^(2 / n) -
 * 1)) keeps the chance below p; it is 5e-10 for either part, 1e-9 in all, a position. No independence of the logits'
 * errors is used. The shift is one number a pass: N = 1, n = P. The rest has as many degrees of freedom a pass as its
 * errors have directions of like size. From how its mean square varied between passes, with rounded keys and values: 6
 * to 19 in SmolLM2-135M (24 passes, 6 positions), 7 to 13 in tiny (60 passes); there the shift is small, and with it
 * 7 to 40 in the tiny models for all kinds of rounding (100 passes). It is taken as 4: n = 4 P.
 *     P            8      16      32      64
 *     a         41.0    14.7     9.5     7.8
 *     b, 256    11.9     9.2     8.2     7.7
 *     b, 49152  14.4    10.5     9.2     8.6 */
#include <math.h>
#include <stdlib.h>

#include "num/pk_random.h"
#include "reference_pass.h"

enum { REST_FREEDOM = 4 }; /* degrees a pass */
static const double miss = 5e-10;

static double multiple(double errors, double freedom)
{
    return sqrt(freedom * (pow(errors / miss, 2 / freedom) - 1));
}

typedef struct scales { /* sums over passes, a position each */
    double *shift;      /* of the squared shift */
    double *rest;       /* of the mean square of the rest */
} scales;

/* One pass's changes of all positions into the sums; changed [positions][vocab] becomes the rest. */
static void add_pass(scales sums, const double *exact, double *changed, size_t positions, size_t vocab)
{
    for (size_t t = 0; t < positions; t++) {
        double *row = changed + t * vocab, shift = 0, squares = 0;
        for (size_t v = 0; v < vocab; v++) {
            row[v] -= exact[t * vocab + v];
            shift += row[v] / (double)vocab;
        }
        for (size_t v = 0; v < vocab; v++) {
            row[v] -= shift;
            squares += row[v] * row[v] / (double)vocab;
        }
        sums.shift[t] += shift * shift;
        sums.rest[t] += squares;
    }
}

/* A pass's rest, as a part of its position's root mean square, squared, into each logit's sum. A position's own pass
 * scales it, since the mean over passes is not known yet; that takes from the differences between passes, not from
 * those between logits. */
static void add_spread(double *spread, const double *rest, size_t positions, size_t vocab)
{
    for (size_t t = 0; t < positions; t++) {
        const double *row = rest + t * vocab;
        double squares = 0;
        for (size_t v = 0; v < vocab; v++)
            squares += row[v] * row[v] / (double)vocab;
        for (size_t v = 0; v < vocab && squares > 0; v++)
            spread[v] += row[v] * row[v] / squares;
    }
}

/* The passes' sums become the bounds. */
static void combine(scales sums, const double *spread, size_t positions, size_t vocab, int passes, double *bound)
{
    const double of_shift = multiple(1, passes), of_rest = multiple((double)vocab, (double)(REST_FREEDOM * passes));
    double most = 1;
    for (size_t v = 0; v < vocab; v++)
        most = fmax(most, spread[v] / ((double)positions * passes));
    for (size_t t = 0; t < positions; t++)
        bound[t] = of_shift * sqrt(sums.shift[t] / passes) + of_rest * sqrt(most * sums.rest[t] / passes);
}

static pk_status bounds(const pk_model *model, const pk_reference_cache *cache, const int *tokens, size_t count,
                        size_t first, pk_reference_roundings roundings, int passes, uint64_t seed, double *logits,
                        double *bound)
{
    if (passes < 1)
        return pk_fail(PK_USAGE, "reference: bounds by %d perturbed passes; take 1 or more, better 16", passes);
    pk_status status = pk_reference_pass(model, cache, tokens, count, first, 0, (pk_reference_roundings){0}, logits);
    if (status != PK_OK)
        return status;
    const size_t positions = count - first, vocab = (size_t)model->config.vocab;
    double *memory = calloc(positions * (vocab + 2) + vocab, sizeof *memory);
    if (!memory)
        return pk_out_of_memory("reference");
    double *changed = memory, *spread = changed + positions * vocab;
    const scales sums = {.shift = spread + vocab, .rest = spread + vocab + positions};
    for (int pass = 0; pass < passes && status == PK_OK; pass++) {
        status = pk_reference_pass(model, cache, tokens, count, first, pk_random_split(seed, (uint64_t)pass) | 1,
                                   roundings, changed);
        if (status != PK_OK)
            break;
        add_pass(sums, logits, changed, positions, vocab);
        add_spread(spread, changed, positions, vocab);
    }
    if (status == PK_OK)
        combine(sums, spread, positions, vocab, passes, bound);
    free(memory);
    return status;
}

pk_status pk_reference_bounds(const pk_model *model, const int *tokens, size_t count, size_t first,
                              pk_reference_roundings roundings, int passes, uint64_t seed, double *logits,
                              double *bound)
{
    return bounds(model, NULL, tokens, count, first, roundings, passes, seed, logits, bound);
}

pk_status pk_reference_bounds_after(const pk_model *model, const pk_reference_cache *cache, const int *tokens,
                                    size_t count, int passes, uint64_t seed, double *logits, double *bound)
{
    const pk_reference_roundings roundings = {.kv = 1};
    return bounds(model, cache, tokens, cache->positions + count, cache->positions, roundings, passes, seed, logits,
                  bound);
}

/* ---- divergence ---- */

double pk_reference_kl(const double *want, const float *got, size_t count)
{
    double most_want = -INFINITY, most_got = -INFINITY, sum_want = 0, sum_got = 0, sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(want[i]) || isnan(got[i]))
            return NAN;
        most_want = fmax(most_want, want[i]);
        most_got = fmax(most_got, (double)got[i]);
    }
    for (size_t i = 0; i < count; i++) {
        sum_want += exp(want[i] - most_want);
        sum_got += exp((double)got[i] - most_got);
    }
    const double log_sums = log(sum_got) - log(sum_want);
    for (size_t i = 0; i < count; i++)
        sum += exp(want[i] - most_want) / sum_want * (want[i] - most_want - ((double)got[i] - most_got) + log_sums);
    return sum;
}

double pk_reference_l2(const double *want, const float *got, size_t count)
{
    double apart = 0, length = 0;
    for (size_t i = 0; i < count; i++) {
        apart += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        length += want[i] * want[i];
    }
    return sqrt(apart / length);
}
