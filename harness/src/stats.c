/* Order statistics, the bootstrap interval of a median, Student's t and the weighted straight line. */
#include "pk/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_random.h"

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool any_nan(const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (isnan(values[i]))
            return true;
    return false;
}

/* A sorted copy for the caller to free; NULL when there are no values, one is NaN (it has no order), or memory is
 * out. */
static double *sorted_copy(const double *values, size_t count)
{
    if (count == 0 || any_nan(values, count))
        return NULL;
    double *sorted = malloc(count * sizeof *sorted);
    if (!sorted)
        return NULL;
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    return sorted;
}

/* Hyndman and Fan's type 7. */
static double quantile_of_sorted(const double *sorted, size_t count, double q)
{
    const double position = q * (double)(count - 1);
    const size_t below = (size_t)position;
    const double fraction = position - (double)below;
    if (fraction <= 0.0 || below + 1 >= count)
        return sorted[below];
    return sorted[below] + fraction * (sorted[below + 1] - sorted[below]);
}

double pk_quantile(const double *values, size_t count, double q)
{
    if (!(q >= 0.0 && q <= 1.0))
        return NAN;
    double *sorted = sorted_copy(values, count);
    if (!sorted)
        return NAN;
    const double quantile = quantile_of_sorted(sorted, count, q);
    free(sorted);
    return quantile;
}

double pk_median(const double *values, size_t count)
{
    return pk_quantile(values, count, 0.5);
}

/* `sorted` is overwritten with the absolute deviations. */
static double relative_spread(double *sorted, size_t count, double median)
{
    for (size_t i = 0; i < count; i++)
        sorted[i] = fabs(sorted[i] - median);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    /* 1.4826 = 1 / (the normal distribution's third quartile): the MAD then estimates a normal's sigma. */
    return 1.4826 * quantile_of_sorted(sorted, count, 0.5) / fabs(median);
}

pk_summary pk_summarise(const double *values, size_t count)
{
    pk_summary summary = {count, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    double *sorted = sorted_copy(values, count);
    if (!sorted)
        return summary;
    summary.median = quantile_of_sorted(sorted, count, 0.5);
    summary.p10 = quantile_of_sorted(sorted, count, 0.1);
    summary.p90 = quantile_of_sorted(sorted, count, 0.9);
    summary.p99 = quantile_of_sorted(sorted, count, 0.99);
    summary.minimum = sorted[0];
    summary.maximum = sorted[count - 1];
    double sum = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += sorted[i];
    summary.mean = sum / (double)count;
    summary.relative_spread = relative_spread(sorted, count, summary.median);
    free(sorted);
    return summary;
}

/* ---- how long one value tells of the next ---- */

/* -1, 0 or 1: on which side of the median. What a median's error is made of. */
static double side_of(double value, double median)
{
    return (value > median) - (value < median);
}

static double side_correlation(const double *values, size_t count, double median, size_t lag)
{
    double sum = 0.0;
    for (size_t i = 0; i + lag < count; i++)
        sum += side_of(values[i], median) * side_of(values[i + lag], median);
    return sum / (double)(count - lag);
}

double pk_correlation_time(const double *values, size_t count)
{
    const double median = pk_median(values, count), noise = 2.0 / sqrt((double)count);
    double time = 1.0;
    if (isnan(median))
        return NAN;
    for (size_t lag = 1; lag <= count / 4; lag++) {
        const double correlation = side_correlation(values, count, median, lag);
        if (!(correlation > noise))
            break;
        time += 2.0 * correlation;
    }
    return time;
}

size_t pk_bootstrap_block(const double *values, size_t count)
{
    const double wanted = 3.0 * pk_correlation_time(values, count), most = floor((double)count / 8.0);
    const double block = wanted < most ? wanted : most;
    return wanted > 3.0 && block > 1.0 ? (size_t)block : 1;
}

/* ---- bootstrap ---- */

typedef struct ranked {
    double value;
    size_t at;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    return compare_doubles(&((const ranked *)a)->value, &((const ranked *)b)->value);
}

/* The place of each value among the sorted ones, or any order where no value has neighbours; false when memory is out.
 */
static bool rank(const double *values, size_t count, size_t block, size_t *ranks)
{
    for (size_t i = 0; i < count; i++)
        ranks[i] = i;
    if (block == 1 || count == 0)
        return true;
    ranked *all = malloc(count * sizeof *all);
    if (!all)
        return false;
    for (size_t i = 0; i < count; i++)
        all[i] = (ranked){values[i], i};
    qsort(all, count, sizeof *all, compare_ranked);
    for (size_t i = 0; i < count; i++)
        ranks[all[i].at] = i;
    free(all);
    return true;
}

/* How often each value is drawn, by rank, in blocks of neighbours; behind the last comes the first. */
static void draw(size_t *drawn, const size_t *ranks, size_t count, size_t block, pk_random *random)
{
    memset(drawn, 0, count * sizeof *drawn);
    for (size_t taken = 0; taken < count;) {
        const size_t first = pk_random_below(random, count);
        for (size_t i = 0; i < block && taken < count; i++, taken++)
            drawn[ranks[(first + i) % count]]++;
    }
}

/* The median of one resample of `sorted`. Counting how often each value is drawn gives the resample's order
 * without sorting it. */
static double median_of_drawn(const double *sorted, size_t count, const size_t *drawn)
{
    const size_t lower_rank = (count - 1) / 2, upper_rank = count / 2; /* the two middle ones; the same when odd */
    size_t i = 0, seen = drawn[0];
    while (seen <= lower_rank)
        seen += drawn[++i];
    const double lower = sorted[i];
    while (seen <= upper_rank)
        seen += drawn[++i];
    return lower + 0.5 * (sorted[i] - lower);
}

pk_interval pk_bootstrap_median(const double *values, size_t count, size_t block, size_t resamples, double level,
                                uint64_t seed)
{
    pk_interval interval = {NAN, NAN};
    if (block == 0 || resamples == 0 || !(level > 0.0 && level < 1.0))
        return interval;
    double *sorted = sorted_copy(values, count);
    double *medians = malloc(resamples * sizeof *medians);
    size_t *drawn = malloc((count ? count : 1) * sizeof *drawn), *ranks = malloc((count ? count : 1) * sizeof *ranks);
    if (sorted && medians && drawn && ranks && rank(values, count, block, ranks)) {
        pk_random random;
        pk_random_seed(&random, seed);
        for (size_t i = 0; i < resamples; i++) {
            draw(drawn, ranks, count, block, &random);
            medians[i] = median_of_drawn(sorted, count, drawn);
        }
        qsort(medians, resamples, sizeof *medians, compare_doubles);
        interval.low = quantile_of_sorted(medians, resamples, 0.5 * (1.0 - level));
        interval.high = quantile_of_sorted(medians, resamples, 0.5 * (1.0 + level));
    }
    free(ranks);
    free(drawn);
    free(medians);
    free(sorted);
    return interval;
}

/* So many resamples that the 2.5% tail holds 50 of them. */
enum { PAIRED_RESAMPLES = 2000 };

pk_interval pk_paired_interval(const double *ratios, size_t count, uint64_t seed)
{
    const double median = pk_median(ratios, count);
    const pk_interval of_this_run =
        pk_bootstrap_median(ratios, count, pk_bootstrap_block(ratios, count), PAIRED_RESAMPLES, 0.95, seed);
    return (pk_interval){median - PK_BETWEEN_RUNS * (median - of_this_run.low),
                         median + PK_BETWEEN_RUNS * (of_this_run.high - median)};
}

/* ---- Student's t ---- */

static const double pi = 3.14159265358979323846;

/* P(|T| <= t) for tan(theta) = t / sqrt(degrees): the finite sums of Abramowitz and Stegun 26.7.3 (odd degrees)
 * and 26.7.4 (even). All terms are positive, so nothing cancels. */
static double central_probability(double theta, size_t degrees)
{
    const double cosine = cos(theta), square = cosine * cosine;
    const bool odd = degrees % 2 == 1;
    double term = odd ? cosine : 1.0, sum = 0.0;
    for (size_t k = odd ? 1 : 0; k + 2 <= degrees; k += 2) {
        sum += term;
        term *= square * (double)(k + 1) / (double)(k + 2);
    }
    return odd ? 2.0 / pi * (theta + sin(theta) * sum) : sin(theta) * sum;
}

static double exact_student_t(double level, size_t degrees)
{
    double low = 0.0, high = 0.5 * pi;
    for (;;) { /* the probability rises with theta: halve the bracket down to neighbouring doubles */
        const double middle = low + 0.5 * (high - low);
        if (middle <= low || middle >= high)
            return sqrt((double)degrees) * tan(middle);
        if (central_probability(middle, degrees) < level)
            low = middle;
        else
            high = middle;
    }
}

static double two_sided_normal(double level)
{
    double low = 0.0, high = 40.0; /* erf is 1 to the last bit well before */
    for (;;) {
        const double middle = low + 0.5 * (high - low);
        if (middle <= low || middle >= high)
            return middle;
        if (erf(middle * sqrt(0.5)) < level)
            low = middle;
        else
            high = middle;
    }
}

/* Abramowitz and Stegun 26.7.5, two terms: from 10000 degrees on, what is left out is below 1e-9. */
static double nearly_normal_student_t(double level, size_t degrees)
{
    const double x = two_sided_normal(level), n = (double)degrees;
    const double x3 = x * x * x, x5 = x3 * x * x;
    return x + (x3 + x) / (4.0 * n) + (5.0 * x5 + 16.0 * x3 + 3.0 * x) / (96.0 * n * n);
}

double pk_student_t(double level, size_t degrees)
{
    if (!(level >= 0.0 && level <= 1.0) || degrees == 0)
        return NAN;
    if (level >= 1.0)
        return INFINITY;
    return degrees < 10000 ? exact_student_t(level, degrees) : nearly_normal_student_t(level, degrees);
}

/* ---- straight line ---- */

static double weight_of(const double *w, size_t i)
{
    return w ? w[i] : 1.0;
}

static bool can_fit(const double *x, const double *y, const double *w, size_t count)
{
    bool x_differs = false;
    if (count < 3)
        return false;
    for (size_t i = 0; i < count; i++) {
        const double weight = weight_of(w, i);
        if (!isfinite(x[i]) || !isfinite(y[i]) || !isfinite(weight) || weight <= 0.0)
            return false;
        x_differs = x_differs || x[i] < x[0] || x[i] > x[0];
    }
    return x_differs;
}

/* Weighted sums about the weighted means, so that large x do not cancel. */
typedef struct moments {
    double weight, x_mean, y_mean, xx, xy, yy;
} moments;

static moments moments_of(const double *x, const double *y, const double *w, size_t count)
{
    moments m = {0};
    for (size_t i = 0; i < count; i++) {
        m.weight += weight_of(w, i);
        m.x_mean += weight_of(w, i) * x[i];
        m.y_mean += weight_of(w, i) * y[i];
    }
    m.x_mean /= m.weight;
    m.y_mean /= m.weight;
    for (size_t i = 0; i < count; i++) {
        const double dx = x[i] - m.x_mean, dy = y[i] - m.y_mean, weight = weight_of(w, i);
        m.xx += weight * dx * dx;
        m.xy += weight * dx * dy;
        m.yy += weight * dy * dy;
    }
    return m;
}

bool pk_fit_line(pk_line *line, const double *x, const double *y, const double *w, size_t count)
{
    if (!can_fit(x, y, w, count))
        return false;
    const moments m = moments_of(x, y, w, count);
    pk_line fit = {.slope = m.xy / m.xx, .count = count};
    fit.intercept = m.y_mean - fit.slope * m.x_mean;
    double residual = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double error = (y[i] - m.y_mean) - fit.slope * (x[i] - m.x_mean);
        residual += weight_of(w, i) * error * error;
    }
    const double variance = residual / (double)(count - 2);
    fit.slope_error = sqrt(variance / m.xx);
    fit.intercept_error = sqrt(variance * (1.0 / m.weight + m.x_mean * m.x_mean / m.xx));
    fit.r_squared = 1.0 - residual / m.yy;
    if (!isfinite(fit.slope) || !isfinite(fit.intercept))
        return false;
    const double t = pk_student_t(0.95, count - 2);
    fit.intercept_interval.low = fit.intercept - t * fit.intercept_error;
    fit.intercept_interval.high = fit.intercept + t * fit.intercept_error;
    fit.slope_interval.low = fit.slope - t * fit.slope_error;
    fit.slope_interval.high = fit.slope + t * fit.slope_error;
    *line = fit;
    return true;
}
