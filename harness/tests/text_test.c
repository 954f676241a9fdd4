/* What people type and what they see: numbers, nearest names, UTF-8, tables, progress. */
#define _GNU_SOURCE /* posix_openpt and its companions */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pk/host.h"
#include "pk/utf8.h"

/* ---- numbers ---- */

static long long integer(const char *text)
{
    long long value = -77;
    cr_assert_eq(pk_parse_integer(&value, "--n", text, LLONG_MIN, LLONG_MAX), PK_OK, "'%s': %s", text, pk_error_text());
    return value;
}

Test(parse, integers)
{
    cr_assert_eq(integer("0"), 0);
    cr_assert_eq(integer("-12"), -12);
    cr_assert_eq(integer("+12"), 12);
    cr_assert_eq(integer("007"), 7); /* decimal, not octal */
    cr_assert_eq(integer("4k"), 4096);
    cr_assert_eq(integer("4K"), 4096);
    cr_assert_eq(integer("3M"), 3 << 20);
    cr_assert_eq(integer("2G"), 2LL << 30);
    cr_assert_eq(integer("2^0"), 1);
    cr_assert_eq(integer("2^22"), 1 << 22);
    cr_assert_eq(integer("2^62"), 1LL << 62);
    cr_assert_eq(integer("9223372036854775807"), LLONG_MAX);
    cr_assert_eq(integer("-9223372036854775808"), LLONG_MIN);
}

Test(parse, what_is_no_integer)
{
    static const char *const texts[] = {"",     " ",    " 1",   "1 ",   "1x",  "k",     "4kk",     "4m", "4T",
                                        "0x10", "1e3",  "1.0",  "nan",  "inf", "--1",   "-",       "2^", "2^x",
                                        "2^-1", "2^ 3", "2^3k", "-2^3", "3^2", "1,000", "\xc2\xb2"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        long long value = 5;
        cr_assert_eq(pk_parse_integer(&value, "--n", texts[i], LLONG_MIN, LLONG_MAX), PK_USAGE, "'%s'", texts[i]);
        cr_assert_eq(value, 5);
        cr_assert(strstr(pk_error_text(), "--n: '"), "%s", pk_error_text());
        cr_assert(strstr(pk_error_text(), "not an integer"), "%s", pk_error_text());
    }
}

Test(parse, integers_out_of_range)
{
    static const char *const texts[] = {"0",
                                        "101",
                                        "-1",
                                        "1k",
                                        "9223372036854775808",
                                        "99999999999999999999999",
                                        "9223372036854775807G",
                                        "2^63",
                                        "2^64",
                                        "2^99999999999999999999"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        long long value = 5;
        cr_assert_eq(pk_parse_integer(&value, "--k", texts[i], 1, 100), PK_USAGE, "'%s'", texts[i]);
        cr_assert_eq(value, 5);
        cr_assert(strstr(pk_error_text(), "outside 1 to 100"), "%s", pk_error_text());
    }
}

/* 17179869185 times 2^30 is 2^64 + 2^30, which would come round to 2^30. */
Test(parse, integers_that_do_not_fit_do_not_come_round)
{
    static const char *const texts[] = {"17179869185G", "-17179869185G", "2^63", "2^64", "2^4294967296"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        long long value;
        cr_assert_eq(pk_parse_integer(&value, "--k", texts[i], LLONG_MIN, LLONG_MAX), PK_USAGE, "'%s'", texts[i]);
        cr_assert(strstr(pk_error_text(), "outside"), "%s", pk_error_text());
    }
}

static double number(const char *text)
{
    double value = -77;
    cr_assert_eq(pk_parse_number(&value, "--limit", text, -1e9, 1e9), PK_OK, "'%s': %s", text, pk_error_text());
    return value;
}

Test(parse, numbers)
{
    cr_assert(fabs(number("0.5") - 0.5) <= 0);
    cr_assert(fabs(number("20") - 20) <= 0);
    cr_assert(fabs(number("-.25") + 0.25) <= 0);
    cr_assert(fabs(number("1e-3") - 1e-3) <= 0);
    cr_assert(fabs(number("2.E+2") - 200) <= 0);
}

Test(parse, what_is_no_number)
{
    static const char *const texts[] = {"",   " 1",    "1 ",   "nan", "inf", "-inf", "0x10",
                                        "1e", "1.2.3", "1e5e", ".",   "-",   "1s",   "1,5"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        double value = 5;
        cr_assert_eq(pk_parse_number(&value, "--limit", texts[i], -1e9, 1e9), PK_USAGE, "'%s'", texts[i]);
        cr_assert(value > 4 && strstr(pk_error_text(), "not a number"), "%s", pk_error_text());
    }
}

Test(parse, numbers_out_of_range)
{
    double value = 5;
    cr_assert_eq(pk_parse_number(&value, "--limit", "0", 0.001, 3600), PK_USAGE);
    cr_assert_eq(pk_parse_number(&value, "--limit", "3600.1", 0.001, 3600), PK_USAGE);
    cr_assert_eq(pk_parse_number(&value, "--limit", "1e999", -1e9, INFINITY), PK_USAGE);
    cr_assert(value > 4 && strstr(pk_error_text(), "outside"));
}

/* ---- nearest ---- */

static const char *nearest(const char *word)
{
    static const char *const names[] = {"baseline", "stream", "pdl", NULL, "fused", "tokens"};
    const char *found = pk_nearest(word, names, sizeof names / sizeof names[0]);
    return found ? found : "(none)";
}

Test(nearest, slips_of_the_fingers)
{
    cr_assert_str_eq(nearest("stream"), "stream");
    cr_assert_str_eq(nearest("strem"), "stream");     /* a letter left out */
    cr_assert_str_eq(nearest("stresam"), "stream");   /* one too many */
    cr_assert_str_eq(nearest("straem"), "stream");    /* two swapped */
    cr_assert_str_eq(nearest("baslien"), "baseline"); /* one left out, two swapped */
    cr_assert_str_eq(nearest("fusing"), "(none)");    /* 3 of 6 differ */
    cr_assert_str_eq(nearest("pld"), "pdl");
    cr_assert_str_eq(nearest("token"), "tokens");
}

Test(nearest, what_is_not_near)
{
    static const char *const pair[] = {"ab", "cd"};
    cr_assert_str_eq(nearest("cooperative"), "(none)");
    cr_assert_str_eq(nearest(""), "(none)");
    cr_assert_null(pk_nearest("xy", pair, 2)); /* two letters differ, but that is all of them */
    cr_assert_null(pk_nearest("ab", NULL, 0));
    cr_assert_null(pk_nearest("stream", pair, 2));
}

Test(nearest, a_swap_is_one_step_and_the_first_of_equals_wins)
{
    static const char *const names[] = {"sxrexm", "tsream", "streams"};
    cr_assert_str_eq(pk_nearest("stream", names, 2), "tsream");
    cr_assert_str_eq(pk_nearest("stream", names + 1, 2), "tsream");
}

Test(nearest, long_words_do_no_harm)
{
    static char word[5000];
    const char *const names[] = {word, "stream"};
    memset(word, 'a', sizeof word - 1);
    cr_assert_null(pk_nearest(word, names, 2));
    cr_assert_str_eq(pk_nearest("strem", names, 2), "stream");
}

/* ---- UTF-8 ---- */

Test(utf8, counts_code_points)
{
    cr_assert_eq(pk_utf8_count(""), (size_t)0);
    cr_assert_eq(pk_utf8_count("us"), (size_t)2);
    cr_assert_eq(pk_utf8_count("\xc2\xb5s \xe2\x86\x92 \xf0\x9f\x98\x80"), (size_t)6); /* micro, arrow, emoji */
    cr_assert_eq(pk_utf8_bytes("\xc2\xb5s", 1), (size_t)2);
    cr_assert_eq(pk_utf8_bytes("\xc2\xb5s", 9), (size_t)3);
}

/* Unicode 15, table 3-7 */
Test(utf8, ill_formed_bytes_are_replaced)
{
    static const struct {
        const char *text, *clean;
    } known[] = {{"ok \xc2\xb5", "ok \xc2\xb5"},
                 {"\xff", "\xef\xbf\xbd"},
                 {"a\x80z", "a\xef\xbf\xbdz"},
                 {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                                 /* overlong */
                 {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},                 /* a surrogate */
                 {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* above U+10FFFF */
                 {"cut \xe2\x86", "cut \xef\xbf\xbd\xef\xbf\xbd"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char *clean = pk_utf8_clean(known[i].text);
        cr_assert_str_eq(clean, known[i].clean);
        free(clean);
    }
}

/* ---- tables ---- */

static char *print(const pk_table *table, size_t width, bool colour)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    pk_table_print(table, out, width, colour);
    (void)fclose(out);
    return text;
}

static pk_table *small_table(void)
{
    pk_table *table = pk_table_new(3, 1u << 1);
    pk_table_row(table, (const char *const[]){"variant", "\xc2\xb5s/token", "note"});
    pk_table_row(table, (const char *const[]){"stream", "480.25", "ok"});
    pk_table_row(table, (const char *const[]){"a rather long variant", "9.5", NULL});
    return table;
}

Test(table, aligns_by_code_point)
{
    pk_table *table = small_table();
    char *text = print(table, 80, false);
    cr_assert_str_eq(text, "variant                \xc2\xb5s/token  note\n"
                           "stream                   480.25  ok\n"
                           "a rather long variant       9.5\n");
    free(text);
    pk_table_free(table);
}

Test(table, folds_the_widest_left_column_to_fit_and_cuts_nothing)
{
    pk_table *table = small_table();
    char *text = print(table, 30, false);
    cr_assert_str_eq(text, "variant         \xc2\xb5s/token  note\n"
                           "stream            480.25  ok\n"
                           "a rather long        9.5\n"
                           "variant\n");
    free(text);
    text = print(table, 23, false); /* the narrowest: its longest word */
    cr_assert_str_eq(text, "variant  \xc2\xb5s/token  note\n"
                           "stream     480.25  ok\n"
                           "a             9.5\n"
                           "rather\n"
                           "long\n"
                           "variant\n");
    free(text);
    text = print(table, 0, false); /* no terminal, no width */
    cr_assert_not_null(strstr(text, "a rather long variant       9.5\n"));
    free(text);
    pk_table_free(table);
}

Test(table, that_is_too_wide_stands_as_lists)
{
    pk_table *table = small_table();
    char *text = print(table, 20, false);
    cr_assert_str_eq(text, "stream\n"
                           "  \xc2\xb5s/token  480.25\n"
                           "  note      ok\n"
                           "a rather long variant\n"
                           "  \xc2\xb5s/token  9.5\n"
                           "  note\n");
    free(text);
    pk_table_free(table);
}

Test(table, of_no_terminal_has_any_width)
{
    FILE *file = tmpfile();
    cr_assert_eq(pk_text_width(file), (size_t)0);
    (void)fclose(file);
}

Test(table, colour_is_for_the_heading)
{
    pk_table *table = pk_table_new(1, 0);
    pk_table_row(table, (const char *const[]){"name"});
    for (size_t i = 0; i < 40; i++)
        pk_table_row(table, (const char *const[]){"x"});
    char *text = print(table, 80, true);
    cr_assert_eq(strncmp(text, "\033[1mname\033[0m\nx\n", 15), 0);
    cr_assert_eq(strlen(text), (size_t)(13 + 2 * 40));
    free(text);
    pk_table_free(table);
    pk_table_free(NULL);
}

/* ---- progress ---- */

Test(progress, plain_lines_first_and_last_always)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    pk_progress *progress = pk_progress_begin(out, "measuring", 1000);
    for (size_t i = 1; i <= 1000; i++)
        pk_progress_step(progress, i, i == 1 ? "sync" : "stream");
    pk_progress_end(progress);
    (void)fclose(out);
    cr_assert_str_eq(text, "measuring: 1/1000 sync\nmeasuring: 1000/1000 stream\n");
    free(text);
}

Test(progress, says_where_it_stopped)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    pk_progress *progress = pk_progress_begin(out, "measuring", 10);
    pk_progress_step(progress, 1, NULL);
    pk_progress_step(progress, 4, "stream");
    pk_progress_end(progress);
    (void)fclose(out);
    cr_assert_str_eq(text, "measuring: 1/10\nmeasuring: 4/10 stream\n");
    free(text);
}

/* The two ends of a pseudo-terminal. */
static FILE *open_terminal(int *control)
{
    *control = posix_openpt(O_RDWR | O_NOCTTY);
    if (*control < 0 || grantpt(*control) != 0 || unlockpt(*control) != 0)
        cr_skip_test("no pseudo-terminals here");
    const int terminal = open(ptsname(*control), O_RDWR | O_NOCTTY);
    FILE *out = terminal < 0 ? NULL : fdopen(terminal, "w");
    if (!out)
        cr_skip_test("no pseudo-terminals here");
    return out;
}

/* What was drawn, up to the clearing of the line at the end: a terminal hands it over in pieces. */
static size_t read_to_cleared_line(int control, char *text, size_t capacity)
{
    size_t bytes = 0;
    text[0] = 0;
    while (bytes + 1 < capacity && (bytes < 4 || strcmp(text + bytes - 4, "\r\033[K") != 0)) {
        const ssize_t more = read(control, text + bytes, capacity - 1 - bytes);
        cr_assert(more > 0);
        bytes += (size_t)more;
        text[bytes] = 0;
    }
    return bytes;
}

Test(progress, a_bar_on_a_terminal_that_leaves_nothing, .timeout = 10)
{
    char text[4096];
    int control;
    setenv("TERM", "xterm", 1);
    FILE *out = open_terminal(&control);
    pk_progress *progress = pk_progress_begin(out, "measuring", 1000);
    for (size_t i = 0; i <= 1000; i++)
        pk_progress_step(progress, i, "stream");
    pk_progress_end(progress);
    const size_t bytes = read_to_cleared_line(control, text, sizeof text);
    cr_assert(strstr(text, "\r\033[Kmeasuring [........................] 0/1000 stream"), "%s", text);
    cr_assert(strstr(text, "\r\033[Kmeasuring [########################] 1000/1000 stream\r\033[K"), "%s", text);
    cr_assert_null(strchr(text, '\n'));
    cr_assert(bytes < 1000, "drawn too often: %zu bytes", bytes);
}

Test(colour, only_on_a_terminal_that_wants_it)
{
    int control;
    FILE *out = open_terminal(&control), *file = tmpfile();
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    cr_assert(pk_use_colour(out));
    cr_assert_not(pk_use_colour(file));
    setenv("NO_COLOR", "", 1);
    cr_assert(pk_use_colour(out));
    setenv("NO_COLOR", "1", 1);
    cr_assert_not(pk_use_colour(out));
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    cr_assert_not(pk_use_colour(out));
}

Test(time, does_not_run_backwards)
{
    double before = pk_now_us();
    for (size_t i = 0; i < 1000; i++) {
        const double now = pk_now_us();
        cr_assert(now >= before);
        before = now;
    }
}
