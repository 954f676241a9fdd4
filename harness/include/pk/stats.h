/* Statistics of timings. Plain functions on arrays; none allocates but where it says so.
 * Percentiles interpolate linearly between order statistics (Hyndman and Fan 1996, type 7, numpy's default). */
#ifndef PK_STATS_H
#define PK_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_interval {
    double low, high;
} pk_interval;

typedef struct pk_summary {
    size_t count;
    double median, p10, p90, p99, minimum, maximum, mean;
    double relative_spread; /* 1.4826 * median absolute deviation / median: a robust coefficient of variation */
} pk_summary;

/* The q-quantile, 0 <= q <= 1, of `count` values in any order (they are left alone). NaN when count is 0, or
 * when memory for the sorted copy is not to be had. */
double pk_quantile(const double *values, size_t count, double q);
double pk_median(const double *values, size_t count);

/* All fields NaN and count 0 when there are no values. */
pk_summary pk_summarise(const double *values, size_t count);

/* How many values in a row, in the order in which they were taken, tell about as much of the median as one: 1 where
 * they are independent, else 1 + 2 (rho_1 + rho_2 + ...), rho_k being the correlation over k places of which side of
 * the median a value is on, up to the first that is not above its noise, 2 / sqrt(count). NaN when count is 0. */
double pk_correlation_time(const double *values, size_t count);

/* The length of a block for pk_bootstrap_median: three correlation times, since a spell of the machine (a clock, a
 * worker that sleeps or wakes) lasts for rounds, with eight blocks at least; 1 where values are independent or too few.
 */
size_t pk_bootstrap_block(const double *values, size_t count);

/* Percentile bootstrap interval of the median (Efron and Tibshirani 1993, ch. 13): `resamples` resamples drawn by
 * a generator seeded with `seed`, so that the same call gives the same interval. Level 0.95 gives the 2.5th and
 * 97.5th percentiles of the resampled medians. Values are drawn in blocks of `block` neighbours, circularly (Politis
 * and Romano 1992): 1 for independent values. NaN bounds when count or block is 0. */
pk_interval pk_bootstrap_median(const double *values, size_t count, size_t block, size_t resamples, double level,
                                uint64_t seed);

/* What is one way for a whole process (where memory lies, say) and another in the next is in no sample of a run. By how
 * much wider than the samples say an interval is made, so that it holds in 95 of 100 runs: docs/measuring.md has the
 * count. */
#define PK_BETWEEN_RUNS 1.2

/* The 95% interval of the median of paired ratios, one a round: the bootstrap's, in blocks of pk_bootstrap_block, made
 * PK_BETWEEN_RUNS times as wide. NaN bounds when count is 0 or memory is out. */
pk_interval pk_paired_interval(const double *ratios, size_t count, uint64_t seed);

/* y = intercept + slope x by weighted least squares. */
typedef struct pk_line {
    double intercept, slope;
    double intercept_error, slope_error;            /* standard errors */
    pk_interval intercept_interval, slope_interval; /* 95%, by Student's t with count - 2 degrees of freedom */
    double r_squared;                               /* weighted coefficient of determination */
    size_t count;
} pk_line;

/* Fit a line through (x[i], y[i]) with weights w[i] (NULL: all one). For timings whose error is proportional to
 * their size, w = 1 / y^2 minimises the relative error. False when fewer than three points, a non-finite input,
 * a weight that is not positive, or all x equal: `line` is then untouched. */
bool pk_fit_line(pk_line *line, const double *x, const double *y, const double *w, size_t count);

/* Two-sided Student's t quantile: the t with P(|T| <= t) = level for `degrees` >= 1 degrees of freedom. */
double pk_student_t(double level, size_t degrees);

#ifdef __cplusplus
}
#endif

#endif
