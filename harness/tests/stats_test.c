/* Statistics against known answers, computed with numpy 2.4.6 and scipy 1.17.1; each test names the call. */
#include <criterion/criterion.h>
#include <math.h>

#include "num/pk_random.h"
#include "pk/stats.h"

static const double ten[] = {12.5, 3.25, 8.0, 8.0, 19.75, 1.5, 7.125, 30.0, 4.5, 11.0};
enum { TEN = 10 };

static void near(double got, double want, double relative)
{
    cr_assert(fabs(got - want) <= relative * fabs(want), "got %.17g, want %.17g", got, want);
}

/* numpy.quantile(ten, q) */
Test(quantile, agrees_with_numpy)
{
    near(pk_quantile(ten, TEN, 0.0), 1.5, 0);
    near(pk_quantile(ten, TEN, 0.1), 3.075, 1e-15);
    near(pk_quantile(ten, TEN, 0.25), 5.15625, 1e-15);
    near(pk_quantile(ten, TEN, 0.5), 8.0, 0);
    near(pk_quantile(ten, TEN, 0.9), 20.774999999999995, 1e-15);
    near(pk_quantile(ten, TEN, 0.99), 29.0775, 1e-15);
    near(pk_quantile(ten, TEN, 1.0), 30.0, 0);
}

Test(quantile, leaves_its_input_alone)
{
    double values[] = {3, 1, 2};
    near(pk_median(values, 3), 2, 0);
    cr_assert(values[0] > 2.5 && values[1] < 1.5);
}

Test(quantile, few_values)
{
    const double two[] = {4, 2};
    cr_assert(isnan(pk_quantile(two, 0, 0.5)));
    cr_assert(isnan(pk_quantile(NULL, 0, 0.5)));
    near(pk_quantile(two, 1, 0.99), 4, 0);
    near(pk_quantile(two, 2, 0.75), 3.5, 0);
}

Test(quantile, what_has_no_order_has_no_quantile)
{
    const double values[] = {1, NAN, 2};
    cr_assert(isnan(pk_median(values, 3)));
    cr_assert(isnan(pk_quantile(ten, TEN, -0.1)));
    cr_assert(isnan(pk_quantile(ten, TEN, 1.1)));
    cr_assert(isnan(pk_quantile(ten, TEN, NAN)));
}

Test(quantile, an_infinite_value_is_in_order)
{
    const double values[] = {1, INFINITY, 2};
    near(pk_median(values, 3), 2, 0);
    cr_assert(isinf(pk_quantile(values, 3, 1.0)));
}

/* numpy.mean; 1.4826 * scipy.stats.median_abs_deviation(ten) / numpy.median(ten) */
Test(summary, agrees_with_numpy)
{
    const pk_summary summary = pk_summarise(ten, TEN);
    cr_assert_eq(summary.count, (size_t)TEN);
    near(summary.median, 8.0, 0);
    near(summary.p10, 3.075, 1e-15);
    near(summary.p90, 20.774999999999995, 1e-15);
    near(summary.p99, 29.0775, 1e-15);
    near(summary.minimum, 1.5, 0);
    near(summary.maximum, 30.0, 0);
    near(summary.mean, 10.5625, 1e-15);
    near(summary.relative_spread, 0.7413, 1e-15);
}

Test(summary, none_one_and_equal_values)
{
    const double same[] = {5, 5, 5, 5};
    const pk_summary none = pk_summarise(NULL, 0), one = pk_summarise(same, 1), ties = pk_summarise(same, 4);
    cr_assert_eq(none.count, (size_t)0);
    cr_assert(isnan(none.median) && isnan(none.mean) && isnan(none.relative_spread) && isnan(none.p99));
    near(one.median, 5, 0);
    near(one.p99, 5, 0);
    near(one.relative_spread, 0, 0);
    near(ties.p10, 5, 0);
    near(ties.relative_spread, 0, 0);
}

Test(summary, nan_is_not_hidden)
{
    const double values[] = {1, 2, NAN};
    const pk_summary summary = pk_summarise(values, 3);
    cr_assert_eq(summary.count, (size_t)3);
    cr_assert(isnan(summary.median) && isnan(summary.minimum) && isnan(summary.mean));
}

static const double forty_one[] = {22.82, 11.32, 7.17,  2.5,   5.62,  10.29, 7.88,  4.99,  11.67, 14.56, 9.28,
                                   12.03, 8.32,  21.9,  8.05,  5.54,  14.07, 9.61,  1.2,   5.3,   10.55, 7.2,
                                   9.29,  17.68, 10.13, 8.22,  12.26, 8.18,  10.31, 12.88, 3.35,  5.28,  2.47,
                                   13.0,  2.23,  10.83, 19.08, 10.97, 17.68, 7.5,   19.8};
static const double thirty[] = {13.27, 10.94, 5.84,  17.41, 6.6,   10.28, 4.39, 9.15,  13.29, 7.73,
                                8.05,  5.87,  8.65,  10.28, 18.38, 2.46,  6.55, 15.28, 5.23,  9.38,
                                22.88, 13.35, 20.44, 17.4,  8.28,  18.42, 7.78, 11.69, 5.39,  26.74};

/* scipy.stats.bootstrap((v,), numpy.median, n_resamples=200000, method="percentile"): levels 0.95 and 0.9. With an
 * odd count the interval's ends are values of the sample, hence exact; with an even one, means of two of them, so
 * that ends that are nearly as likely lie next to each other. */
Test(bootstrap, agrees_with_scipy)
{
    const pk_interval odd = pk_bootstrap_median(forty_one, 41, 1, 20000, 0.95, 1);
    const pk_interval even = pk_bootstrap_median(thirty, 30, 1, 20000, 0.9, 1);
    near(odd.low, 8.05, 0);
    near(odd.high, 10.97, 0);
    near(even.low, 8.05, 0.02);
    near(even.high, 12.49, 0.02);
}

/* Efron and Tibshirani's exact form for an odd count: P(median* <= k-th value) = P(Binomial(n, k/n) >= (n+1)/2).
 * For n = 3: 7/27 at the first value, 20/27 at the second. A level of 0.5 has its ends at 0.25 and 0.75. */
/* What differs from one process to the next is in no sample: the interval is wider than that of the samples. */
Test(bootstrap, paired_ratios_have_a_wider_interval)
{
    const double ratios[] = {1.9, 2, 2.2, 2.1, 1.8, 2, 2.3, 1.9, 2.1, 2};
    const pk_interval samples = pk_bootstrap_median(ratios, 10, pk_bootstrap_block(ratios, 10), 2000, 0.95, 5);
    const pk_interval paired = pk_paired_interval(ratios, 10, 5), none = pk_paired_interval(ratios, 0, 5);
    cr_expect(samples.low < 2 && samples.high > 2);
    cr_expect(fabs((2 - paired.low) / (2 - samples.low) - PK_BETWEEN_RUNS) < 1e-9);
    cr_expect(fabs((paired.high - 2) / (samples.high - 2) - PK_BETWEEN_RUNS) < 1e-9);
    cr_expect(isnan(none.low) && isnan(none.high));
}

Test(bootstrap, agrees_with_the_exact_distribution)
{
    const double three[] = {1, 2, 3};
    const pk_interval half = pk_bootstrap_median(three, 3, 1, 100000, 0.5, 7);
    const pk_interval wider = pk_bootstrap_median(three, 3, 1, 100000, 0.46, 7);
    near(half.low, 1, 0); /* 0.25 < 7/27 */
    near(half.high, 3, 0);
    near(wider.low, 2, 0); /* 0.27 > 7/27 */
    near(wider.high, 2, 0);
}

Test(bootstrap, the_seed_decides)
{
    const pk_interval a = pk_bootstrap_median(thirty, 30, 1, 200, 0.9, 5),
                      b = pk_bootstrap_median(thirty, 30, 1, 200, 0.9, 5);
    bool other = false;
    near(a.low, b.low, 0);
    near(a.high, b.high, 0);
    for (uint64_t seed = 6; seed < 16; seed++) {
        const pk_interval c = pk_bootstrap_median(thirty, 30, 1, 200, 0.9, seed);
        other = other || fabs(c.low - a.low) > 0 || fabs(c.high - a.high) > 0;
    }
    cr_assert(other);
}

Test(bootstrap, edges)
{
    const double one[] = {4}, bad[] = {1, NAN};
    cr_assert(isnan(pk_bootstrap_median(one, 0, 1, 100, 0.95, 1).low));
    cr_assert(isnan(pk_bootstrap_median(one, 1, 1, 0, 0.95, 1).low));
    cr_assert(isnan(pk_bootstrap_median(one, 1, 0, 100, 0.95, 1).low));
    cr_assert(isnan(pk_bootstrap_median(one, 1, 1, 100, 1.0, 1).high));
    cr_assert(isnan(pk_bootstrap_median(bad, 2, 1, 100, 0.95, 1).high));
    near(pk_bootstrap_median(one, 1, 1, 100, 0.95, 1).low, 4, 0);
    near(pk_bootstrap_median(one, 1, 1, 100, 0.95, 1).high, 4, 0);
}

/* ---- values that tell of the next ---- */

enum { IN_A_ROW = 400 };

/* A machine with two states: a value near 1 or near 2, and `stays` times in 100 the next is of the same state. The
 * median is 1.5 in the long run, and no value is near it. */
static void fill_from_two_states(double *values, unsigned stays, pk_random *random)
{
    bool high = pk_random_below(random, 2) == 1;
    for (size_t i = 0; i < IN_A_ROW; i++) {
        values[i] = (high ? 2.0 : 1.0) + 0.9 * ((double)pk_random_below(random, 1000) / 1000.0 - 0.5);
        high = high != (pk_random_below(random, 100) >= stays);
    }
}

/* In 200 series, how many intervals hold the median of the long run. */
static int held(unsigned stays, bool in_blocks)
{
    double values[IN_A_ROW];
    pk_random random;
    int count = 0;
    pk_random_seed(&random, stays);
    for (uint64_t series = 0; series < 200; series++) {
        fill_from_two_states(values, stays, &random);
        const size_t block = in_blocks ? pk_bootstrap_block(values, IN_A_ROW) : 1;
        const pk_interval interval = pk_bootstrap_median(values, IN_A_ROW, block, 500, 0.95, series);
        count += interval.low <= 1.5 && 1.5 <= interval.high;
    }
    return count;
}

Test(bootstrap, blocks_take_spells_into_the_interval)
{
    cr_assert_geq(held(50, false), 184, "independent values"); /* 190 of 200 are due, with a standard error of 3 */
    cr_assert_geq(held(50, true), 184, "independent values, in blocks");
    cr_assert_lt(held(90, false), 120, "spells of ten: one value at a time would do, and the test shows nothing");
    cr_assert_geq(held(90, true), 168, "spells of ten"); /* forty or so independent values are left */
}

Test(bootstrap, the_correlation_time_of_known_series)
{
    double same[IN_A_ROW], turns[IN_A_ROW], tens[IN_A_ROW];
    for (size_t i = 0; i < IN_A_ROW; i++) {
        same[i] = 5;
        turns[i] = (double)(i % 2);
        tens[i] = (double)(i / 10 % 2);
    }
    near(pk_correlation_time(same, IN_A_ROW), 1, 0);
    near(pk_correlation_time(turns, IN_A_ROW), 1,
         0); /* one that takes turns tells no more than an independent one here */
    near(pk_correlation_time(tens, IN_A_ROW), 5, 0.05); /* 1 + 2 (0.8 + 0.6 + 0.4 + 0.2) */
    cr_assert(isnan(pk_correlation_time(same, 0)));
    cr_assert_eq(pk_bootstrap_block(turns, IN_A_ROW), (size_t)1);
    cr_assert_eq(pk_bootstrap_block(tens, 20), (size_t)2, "eight blocks at least");
    cr_assert_eq(pk_bootstrap_block(tens, 0), (size_t)1);
}

/* scipy.stats.t.ppf(0.5 + level / 2, degrees) */
Test(student, agrees_with_scipy)
{
    static const struct {
        double level;
        size_t degrees;
        double t;
    } known[] = {
        {0.95, 1, 12.706204736174694},     {0.95, 2, 4.302652729749462},       {0.95, 3, 3.1824463052837078},
        {0.95, 4, 2.7764451051977934},     {0.95, 10, 2.228138851986274},      {0.95, 29, 2.045229642132703},
        {0.95, 30, 2.0422724563012378},    {0.95, 100, 1.9839715185235518},    {0.95, 9999, 1.960201263621357},
        {0.95, 10000, 1.960201239890626},  {0.95, 1000000, 1.959966356814107}, {0.99, 1, 63.656741162871526},
        {0.99, 5, 4.032142983555228},      {0.5, 7, 0.7111417780817866},       {0.9, 8, 1.8595480375308973},
        {0.999, 2, 31.599054576445365},    {0.999, 15, 4.072765195903846},     {0.9999, 25, 4.619135234934068},
        {0.999999, 3, 130.15458955229283}, {0.01, 6, 0.013064378850802028},    {0.999, 10000, 3.2914999659416355}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        near(pk_student_t(known[i].level, known[i].degrees), known[i].t, 1e-9);
}

Test(student, edges)
{
    cr_assert(isnan(pk_student_t(0.95, 0)));
    cr_assert(isnan(pk_student_t(-0.1, 5)));
    cr_assert(isnan(pk_student_t(NAN, 5)));
    cr_assert(isinf(pk_student_t(1.0, 5)));
    cr_assert(pk_student_t(0.0, 5) < 1e-12);
}

static const double launches[] = {1, 10, 50, 150, 500, 1000}, token_us[] = {9.4, 83.1, 412.0, 1231.5, 4098.0, 8213.0};

/* scipy.stats.linregress(launches, token_us), with intervals by scipy.stats.t.ppf(0.975, 4) */
Test(line, agrees_with_scipy)
{
    pk_line line;
    cr_assert(pk_fit_line(&line, launches, token_us, NULL, 6));
    near(line.intercept, 0.06621680532907703, 1e-9);
    near(line.slope, 8.209586615527776, 1e-13);
    near(line.intercept_error, 2.054109047549773, 1e-9);
    near(line.slope_error, 0.004455811679349074, 1e-9);
    near(line.r_squared, 0.9999988216601748, 1e-13);
    near(line.intercept_interval.low, -5.636904205282992, 1e-8);
    near(line.intercept_interval.high, 5.769337815941146, 1e-8);
    near(line.slope_interval.low, 8.197215299000964, 1e-12);
    near(line.slope_interval.high, 8.221957932054588, 1e-12);
    cr_assert_eq(line.count, (size_t)6);
}

/* numpy.polyfit(x, y, 1, w=1/y, cov=True), which squares its weights */
Test(line, weighted_agrees_with_numpy)
{
    double w[6];
    pk_line line;
    for (size_t i = 0; i < 6; i++)
        w[i] = 1.0 / (token_us[i] * token_us[i]);
    cr_assert(pk_fit_line(&line, launches, token_us, w, 6));
    near(line.intercept, 1.1956842480517045, 1e-10);
    near(line.slope, 8.203022726748467, 1e-12);
    near(line.intercept_error, 0.013924374327532706, 1e-9);
    near(line.slope_error, 0.0051125300360406285, 1e-9);
    near(line.r_squared, 0.9999984462425215, 1e-12);
    near(line.intercept_interval.low, 1.1570239871070844, 1e-9);
    near(line.slope_interval.high, 8.217217385742208, 1e-11);
}

/* scipy.stats.linregress on x - 1e9 */
Test(line, large_x_do_not_cancel)
{
    const double x[] = {1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3, 1e9 + 4}, y[] = {3.1, 4.9, 7.05, 8.95, 11.0};
    pk_line line;
    cr_assert(pk_fit_line(&line, x, y, NULL, 5));
    near(line.slope, 1.985, 1e-12);
    near(line.slope_error, 0.027537852736430113, 1e-10);
}

Test(line, exact_line_has_no_error)
{
    const double x[] = {0, 1, 2}, y[] = {1, 3, 5};
    pk_line line;
    cr_assert(pk_fit_line(&line, x, y, NULL, 3));
    near(line.slope, 2, 1e-15);
    near(line.intercept, 1, 1e-15);
    near(line.r_squared, 1, 0);
    cr_assert(line.slope_error < 1e-12);
}

Test(line, refuses_what_it_cannot_fit)
{
    const double x[] = {1, 2, 3}, same[] = {0.1, 0.1, 0.1}, bad[] = {1, NAN, 3}, w[] = {1, 0, 1}, minus[] = {1, -1, 1};
    pk_line line = {.slope = 77};
    cr_assert_not(pk_fit_line(&line, x, x, NULL, 2));
    cr_assert_not(pk_fit_line(&line, same, x, NULL, 3));
    cr_assert_not(pk_fit_line(&line, x, bad, NULL, 3));
    cr_assert_not(pk_fit_line(&line, bad, x, NULL, 3));
    cr_assert_not(pk_fit_line(&line, x, x, w, 3));
    cr_assert_not(pk_fit_line(&line, x, x, minus, 3));
    cr_assert_not(pk_fit_line(&line, x, x, bad, 3));
    near(line.slope, 77, 0);
}
