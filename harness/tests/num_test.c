/* Statuses, seeded random numbers and 16-bit floats. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "num/pk_half.h"
#include "num/pk_random.h"
#include "pk_status.h"

/* ---- statuses ---- */

Test(status, exit_codes_and_words)
{
    static const struct {
        pk_status status;
        int code;
        const char *word;
    } known[] = {{PK_OK, 0, "pass"},     {PK_WRONG, 1, "wrong"},     {PK_USAGE, 2, "usage"},
                 {PK_FAULT, 3, "fault"}, {PK_TIMEOUT, 4, "timeout"}, {PK_MISSED, 5, "missed"},
                 {PK_TODO, 77, "todo"},  {PK_SKIP, 77, "skipped"},   {PK_INTERRUPTED, 130, "interrupted"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        cr_assert_eq(pk_exit_code(known[i].status), known[i].code);
        cr_assert_str_eq(pk_status_word(known[i].status), known[i].word);
    }
}

Test(status, the_worse_names_the_run)
{
    static const pk_status worst_first[] = {PK_FAULT,  PK_TIMEOUT, PK_INTERRUPTED, PK_WRONG, PK_USAGE,
                                            PK_MISSED, PK_TODO,    PK_SKIP,        PK_OK};
    for (size_t i = 0; i < 9; i++)
        for (size_t j = 0; j < 9; j++)
            cr_assert_eq(pk_status_worse(worst_first[i], worst_first[j]), worst_first[i < j ? i : j]);
}

Test(status, a_message_may_quote_the_one_before)
{
    cr_assert_str_eq(pk_error_text(), "");
    cr_assert_eq(pk_fail(PK_USAGE, "%s: %d", "n", 7), PK_USAGE);
    cr_assert_eq(pk_fail(PK_FAULT, "while reading: %s", pk_error_text()), PK_FAULT);
    cr_assert_str_eq(pk_error_text(), "while reading: n: 7");
}

Test(status, a_long_message_is_cut)
{
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    (void)pk_fail(PK_FAULT, "%s", text);
    cr_assert(strlen(pk_error_text()) > 1000 && strlen(pk_error_text()) < sizeof text - 1);
}

static void *message_of_new_thread(void *unused)
{
    (void)unused;
    return strlen(pk_error_text()) == 0 ? NULL : (void *)"a message from another thread";
}

Test(status, each_thread_has_its_own_message)
{
    pthread_t thread;
    void *fault = NULL;
    (void)pk_fail(PK_WRONG, "mine");
    cr_assert_eq(pthread_create(&thread, NULL, message_of_new_thread, NULL), 0);
    cr_assert_eq(pthread_join(thread, &fault), 0);
    cr_assert_null(fault);
}

/* ---- random numbers ---- */

/* The reference C code by the generators' authors (prng.di.unimi.it), as transcribed independently to Python
 * integers: SplitMix64 from 1234567, xoshiro256** from the state {1, 2, 3, 4}. */
Test(random_numbers, reference_sequences)
{
    static const uint64_t splitmix[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                        4593380528125082431u, 16408922859458223821u};
    static const uint64_t xoshiro[] = {11520,
                                       0,
                                       1509978240,
                                       1215971899390074240u,
                                       1216172134540287360u,
                                       607988272756665600u,
                                       16172922978634559625u,
                                       8476171486693032832u,
                                       10595114339597558777u,
                                       2904607092377533576u};
    pk_random random = {.state = {1, 2, 3, 4}};
    for (uint64_t i = 0; i < 5; i++)
        cr_assert_eq(pk_random_split(1234567, i), splitmix[i]);
    for (size_t i = 0; i < 10; i++)
        cr_assert_eq(pk_random_u64(&random), xoshiro[i]);
}

Test(random_numbers, the_seed_decides)
{
    pk_random a, b, c;
    pk_random_seed(&a, 0);
    pk_random_seed(&b, 0);
    pk_random_seed(&c, 1);
    const uint64_t first = pk_random_u64(&a);
    cr_assert_eq(first, pk_random_u64(&b));
    cr_assert_neq(first, pk_random_u64(&c));
}

/* Chi-squared over 7 cells: with 6 degrees of freedom above 22.46 in one of 1000 seeds; the seed is fixed. */
Test(random_numbers, bounded_are_uniform)
{
    enum { CELLS = 7, DRAWS = 70000 };
    size_t seen[CELLS] = {0};
    double chi_squared = 0;
    pk_random random;
    pk_random_seed(&random, 42);
    for (size_t i = 0; i < DRAWS; i++) {
        const uint64_t drawn = pk_random_below(&random, CELLS);
        cr_assert_lt(drawn, (uint64_t)CELLS);
        seen[drawn]++;
    }
    const double expected = (double)DRAWS / (double)CELLS;
    for (size_t i = 0; i < CELLS; i++) {
        const double off = (double)seen[i] - expected;
        chi_squared += off * off / expected;
    }
    cr_assert_lt(chi_squared, 22.46);
}

/* With bound 3 * 2^62, plain remainders would fall below 2^62 in half of all draws, not in a third. */
Test(random_numbers, no_modulo_bias)
{
    enum { DRAWS = 30000 };
    size_t low = 0;
    pk_random random;
    pk_random_seed(&random, 42);
    for (size_t i = 0; i < DRAWS; i++)
        low += pk_random_below(&random, 3u * (UINT64_C(1) << 62)) < UINT64_C(1) << 62;
    cr_assert(low > DRAWS / 3 - 400 && low < DRAWS / 3 + 400, "%zu", low); /* 5 standard deviations */
}

Test(random_numbers, bound_of_one_and_the_largest)
{
    pk_random random;
    pk_random_seed(&random, 9);
    cr_assert_eq(pk_random_below(&random, 1), (uint64_t)0);
    cr_assert_lt(pk_random_below(&random, UINT64_MAX), UINT64_MAX);
}

Test(random_numbers, floats_are_in_range)
{
    float values[10000];
    double sum = 0;
    pk_random random;
    pk_random_seed(&random, 3);
    for (size_t i = 0; i < 10000; i++) {
        const double d = pk_random_double(&random);
        const float f = pk_random_float(&random);
        cr_assert(d >= 0 && d < 1 && f >= 0 && f < 1);
    }
    pk_random_fill(&random, values, 10000, -2.0f, 3.0f);
    for (size_t i = 0; i < 10000; i++) {
        cr_assert(values[i] >= -2.0f && values[i] <= 3.0f);
        sum += (double)values[i];
    }
    cr_assert(fabs(sum / 10000 - 0.5) < 0.08); /* 5 standard deviations of the mean */
}

/* ---- 16-bit floats ---- */

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static bool fp16_is_nan(uint16_t bits)
{
    return (bits & 0x7fff) > 0x7c00;
}

static bool bf16_is_nan(uint16_t bits)
{
    return (bits & 0x7fff) > 0x7f80;
}

/* numpy.float32(x).astype(numpy.float16) */
Test(fp16, agrees_with_numpy)
{
    static const struct {
        float value;
        uint16_t bits;
    } known[] = {{0.1f, 0x2e66},  {65504.0f, 0x7bff},    {65519.99f, 0x7bff}, {65520.0f, 0x7c00},
                 {1e30f, 0x7c00}, {0x1p-24f, 0x0001},    {0x1p-25f, 0x0000},  {0x1.0001p-25f, 0x0001},
                 {-0.0f, 0x8000}, {1.0f / 3.0f, 0x3555}, {6.1e-5f, 0x03ff},   {1e-8f, 0x0000}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        cr_assert_eq(pk_float_to_fp16(known[i].value), known[i].bits, "%a", (double)known[i].value);
}

/* The value by its definition, in double: sign, fraction and exponent taken apart. */
static double defined_value(uint16_t bits, int exponent_bits, int fraction_bits)
{
    const int bias = (1 << (exponent_bits - 1)) - 1, exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
    const int fraction = bits & ((1 << fraction_bits) - 1), one = 1 << fraction_bits;
    const double magnitude = exponent == 0 ? ldexp(fraction, 1 - bias - fraction_bits)
                                           : ldexp(one + fraction, exponent - bias - fraction_bits);
    return bits & 0x8000 ? -magnitude : magnitude;
}

Test(fp16, every_pattern_has_its_value_and_comes_back)
{
    for (uint32_t i = 0; i <= UINT16_MAX; i++) {
        const uint16_t bits = (uint16_t)i;
        const float value = pk_fp16_to_float(bits);
        if (fp16_is_nan(bits)) {
            cr_assert(isnan(value) && fp16_is_nan(pk_float_to_fp16(value)));
            cr_assert_eq(pk_float_to_fp16(value) & 0x8000, bits & 0x8000);
            continue;
        }
        if ((bits & 0x7fff) == 0x7c00)
            cr_assert(isinf(value) && !signbit(value) == !(bits & 0x8000));
        else
            cr_assert(memcmp(&(double){(double)value}, &(double){defined_value(bits, 5, 10)}, sizeof(double)) == 0);
        cr_assert_eq(pk_float_to_fp16(value), bits);
    }
}

Test(bf16, every_pattern_has_its_value_and_comes_back)
{
    for (uint32_t i = 0; i <= UINT16_MAX; i++) {
        const uint16_t bits = (uint16_t)i;
        const float value = pk_bf16_to_float(bits);
        if (bf16_is_nan(bits)) {
            cr_assert(isnan(value) && bf16_is_nan(pk_float_to_bf16(value)));
            cr_assert_eq(pk_float_to_bf16(value) & 0x8000, bits & 0x8000);
            continue;
        }
        if ((bits & 0x7fff) == 0x7f80)
            cr_assert(isinf(value) && !signbit(value) == !(bits & 0x8000));
        else
            cr_assert(memcmp(&(double){(double)value}, &(double){defined_value(bits, 8, 7)}, sizeof(double)) == 0);
        cr_assert_eq(pk_float_to_bf16(value), bits);
    }
}

/* Between each two neighbours of a format: the tie goes to the even one, a float less or more to the nearer one.
 * That fixes the rounding of every float, for conversion is monotone. */
static void check_midpoints(uint16_t (*convert)(float), float (*back)(uint16_t), uint16_t largest)
{
    for (uint32_t i = 0; i < largest; i++) {
        const uint16_t below = (uint16_t)i, above = (uint16_t)(i + 1), even = i % 2 == 0 ? below : above;
        const float middle = back(below) + 0.5f * (back(above) - back(below)); /* exact: one bit more than the format */
        cr_assert_eq(convert(middle), even, "between %x and %x", i, i + 1);
        cr_assert_eq(convert(nextafterf(middle, 0.0f)), below);
        cr_assert_eq(convert(nextafterf(middle, INFINITY)), above);
        cr_assert_eq(convert(-middle), even | 0x8000);
    }
}

Test(fp16, rounds_to_nearest_even)
{
    check_midpoints(pk_float_to_fp16, pk_fp16_to_float, 0x7bff);
}

Test(bf16, rounds_to_nearest_even)
{
    check_midpoints(pk_float_to_bf16, pk_bf16_to_float, 0x7f7f);
}

Test(bf16, what_is_too_large_is_infinite)
{
    cr_assert_eq(pk_float_to_bf16(0x1.ffp127f), 0x7f80); /* halfway from the largest bf16 to 2^128: up, to even */
    cr_assert_eq(pk_float_to_bf16(0x1.fefffep127f), 0x7f7f);
    cr_assert_eq(pk_float_to_bf16(INFINITY), 0x7f80);
    cr_assert_eq(pk_float_to_bf16(-INFINITY), 0xff80);
}

Test(bf16, a_nan_with_a_small_payload_stays_a_nan)
{
    float nan_value;
    const uint32_t bits = 0x7f800001; /* all of its payload is in the half that is cut off */
    memcpy(&nan_value, &bits, sizeof nan_value);
    cr_assert(bf16_is_nan(pk_float_to_bf16(nan_value)));
    cr_assert(fp16_is_nan(pk_float_to_fp16(nan_value)));
    cr_assert_eq(bits_of(pk_bf16_to_float(0x7fc0)), 0x7fc00000u);
}

/* Inputs that begin like others and go on by themselves: for who grades. */
Test(random, parts_after_as_many_draws)
{
    enum { DRAWS = 5, MORE = 50 };
    pk_random plain, parted, other;
    pk_random_seed(&plain, 9);
    pk_random_part(DRAWS, 1);
    pk_random_seed(&parted, 9);
    pk_random_part(DRAWS, 2);
    pk_random_seed(&other, 9);
    pk_random_part(0, 0);
    size_t alike = 0, alike_other = 0;
    for (size_t i = 0; i < DRAWS + MORE; i++) {
        const uint64_t drawn = pk_random_u64(&plain), from_parted = pk_random_u64(&parted);
        alike += drawn == from_parted;
        alike_other += from_parted == pk_random_u64(&other);
    }
    cr_assert_eq(alike, DRAWS);
    cr_assert_eq(alike_other, DRAWS);
    pk_random_seed(&plain, 9);
    pk_random_seed(&other, 9);
    for (size_t i = 0; i < MORE; i++)
        cr_assert_eq(pk_random_u64(&plain), pk_random_u64(&other));
}
