/* Two results of one variant: the ratio of their medians, its interval, and what it says among others.
 *
 * Samples of two runs are not paired, so each side is resampled by itself (Efron and Tibshirani 1993, ch. 16: the
 * two-sample problem) and the ratio of the two resampled medians is taken each time. What is one way for a whole
 * process is in no sample: the interval is made PK_BETWEEN_RUNS times as wide, as those of paired ratios are. */
#include "compare.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_splitmix.h"
#include "pk/host.h"

enum {
    RESAMPLES = 2000, /* the 2.5% tail then holds 50 of them */
    SEED = 1          /* fixed: the same two files give the same interval */
};

/* ---- bootstrap ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double *sorted_copy(const cli_samples *samples)
{
    double *values = cli_grow(NULL, samples->count, sizeof *values);
    memcpy(values, samples->values, samples->count * sizeof *values);
    qsort(values, samples->count, sizeof *values, ascending);
    return values;
}

/* The value of rank `rank` (from 0) in a resample that drew sorted[i] `drawn[i]` times. */
static double ranked(const double *sorted, const unsigned *drawn, size_t rank)
{
    size_t i = 0;
    for (size_t below = drawn[0]; below <= rank; below += drawn[i])
        i++;
    return sorted[i];
}

/* The median of one resample, which draws the next `count` of SplitMix64's numbers. Counting how often each index
 * is drawn saves sorting the resample. */
static double resampled_median(const double *sorted, unsigned *drawn, size_t count, uint64_t *number)
{
    memset(drawn, 0, count * sizeof *drawn);
    for (size_t i = 0; i < count; i++)
        drawn[pk_splitmix64(SEED, (*number)++) % count]++;
    return 0.5 * (ranked(sorted, drawn, (count - 1) / 2) + ranked(sorted, drawn, count / 2));
}

/* Of the logarithm of the ratio, so that A/B and B/A say the same. */
static pk_interval log_interval(const cli_point *a, const cli_point *b, double ratio)
{
    const size_t most = a->wall.count > b->wall.count ? a->wall.count : b->wall.count;
    double *a_sorted = sorted_copy(&a->wall), *b_sorted = sorted_copy(&b->wall);
    double *logs = cli_grow(NULL, RESAMPLES, sizeof *logs);
    unsigned *drawn = cli_grow(NULL, most, sizeof *drawn);
    uint64_t state = SEED;
    for (size_t i = 0; i < RESAMPLES; i++) {
        double a_median = resampled_median(a_sorted, drawn, a->wall.count, &state);
        double b_median = resampled_median(b_sorted, drawn, b->wall.count, &state);
        logs[i] = log(a_median / a->tokens / (b_median / b->tokens));
    }
    const double middle = log(ratio);
    const pk_interval sampled = {pk_quantile(logs, RESAMPLES, 0.025), pk_quantile(logs, RESAMPLES, 0.975)};
    free(drawn);
    free(logs);
    free(b_sorted);
    free(a_sorted);
    return (pk_interval){middle + PK_BETWEEN_RUNS * (sampled.low - middle),
                         middle + PK_BETWEEN_RUNS * (sampled.high - middle)};
}

/* Two-sided, of a normal distribution whose 95% interval is this wide. */
static double chance_of(double middle, pk_interval interval)
{
    const double error = (interval.high - interval.low) / (2 * 1.959964);
    if (!(error > 0))
        return middle < 0 || middle > 0 ? 0 : 1;
    return erfc(fabs(middle) / error / sqrt(2));
}

compare_row compare_measure(const cli_result *of, const cli_point *a, const cli_point *b, double drift)
{
    compare_row row = {.of = of,
                       .a = a,
                       .b = b,
                       .ratio = (double)NAN,
                       .low = (double)NAN,
                       .high = (double)NAN,
                       .drift = drift,
                       .chance = 1,
                       .verdict = COMPARE_NOT_MEASURED};
    if (!a->wall.count || !b->wall.count || !(a->tokens > 0) || !(b->tokens > 0))
        return row;
    row.ratio = a->wall.median / a->tokens / (b->wall.median / b->tokens);
    const pk_interval interval = log_interval(a, b, row.ratio);
    row.low = exp(interval.low);
    row.high = exp(interval.high);
    row.chance = chance_of(log(row.ratio), interval);
    row.verdict = COMPARE_UNCLEAR;
    return row;
}

/* ---- verdicts ---- */

static int by_chance(const void *a, const void *b)
{
    const compare_row *x = *(compare_row *const *)a, *y = *(compare_row *const *)b;
    return (x->chance > y->chance) - (x->chance < y->chance);
}

/* Is it still on that side of 1 if what changed the baseline's time had left this one's alone, or all of its change is
 * the baseline's? */
static bool outlasts_drift(const compare_row *row)
{
    return row->ratio > 1 ? fmin(row->low, row->low / row->drift) > 1 : fmax(row->high, row->high / row->drift) < 1;
}

static void judge_row(compare_row *row, bool is_among_all, double margin)
{
    const bool alone = row->low > 1 || row->high < 1;
    const double low = fmin(row->low, row->low / row->drift), high = fmax(row->high, row->high / row->drift);
    row->verdict = COMPARE_UNCLEAR;
    row->doubt = COMPARE_NO_DOUBT;
    const bool is_within = row->low > 1 / (1 + margin) && row->high < 1 + margin;
    if (low > 1 / (1 + margin) && high < 1 + margin)
        row->verdict = COMPARE_SAME;
    else if (is_within || (alone && !outlasts_drift(row)))
        row->doubt = COMPARE_DRIFT;
    else if (!alone)
        row->doubt = COMPARE_NOISE;
    else if (!is_among_all)
        row->doubt = COMPARE_CHANCE;
    else
        row->verdict = row->ratio > 1 ? COMPARE_FASTER : COMPARE_SLOWER;
}

/* Holm's step-down: the smallest chance against 5% over all rows, the next over one less, up to the first that fails.
 */
void compare_judge(compare_row *rows, size_t count, double margin)
{
    compare_row **sorted = cli_grow(NULL, count + 1, sizeof *sorted);
    size_t measured = 0;
    for (size_t i = 0; i < count; i++)
        if (rows[i].verdict != COMPARE_NOT_MEASURED)
            sorted[measured++] = &rows[i];
    if (measured)
        qsort(sorted, measured, sizeof *sorted, by_chance);
    bool stands = true;
    for (size_t i = 0; i < measured; i++) {
        stands = stands && sorted[i]->chance <= 0.05 / (double)(measured - i);
        judge_row(sorted[i], stands, margin);
    }
    free(sorted);
}
