/* Numbers as people type them. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"

/* The power of 1024 that a suffix stands for; 0 for none that we know. */
static long long scale_of(const char *suffix)
{
    if (strlen(suffix) != 1)
        return *suffix ? 0 : 1;
    switch (*suffix) {
    case 'k':
    case 'K':
        return 1LL << 10;
    case 'M':
        return 1LL << 20;
    case 'G':
        return 1LL << 30;
    default:
        return 0;
    }
}

static pk_status not_an_integer(const char *what, const char *text)
{
    return pk_fail(PK_USAGE, "%s: '%s' is not an integer; give one such as 4096, 4k or 2^12", what, text);
}

static pk_status outside(const char *what, const char *text, long long minimum, long long maximum)
{
    return pk_fail(PK_USAGE, "%s: %s is outside %lld to %lld; give a value in that range", what, text, minimum,
                   maximum);
}

/* Digits, with a sign when `signs` says so; `*end` is left behind them. False, with errno 0, when there are none. */
static bool read_digits(long long *value, const char *text, const char **end, bool signs)
{
    const char *digits = text + (signs && (*text == '-' || *text == '+'));
    errno = 0;
    if (!isdigit((unsigned char)*digits))
        return false;
    char *behind;
    *value = strtoll(text, &behind, 10);
    *end = behind;
    return errno == 0;
}

/* 2^K; the exponent's text is behind the '^'. */
static pk_status power_of_two(long long *value, const char *what, const char *text, long long minimum,
                              long long maximum)
{
    long long exponent;
    const char *end;
    if (!read_digits(&exponent, text + 2, &end, false))
        return errno == ERANGE ? outside(what, text, minimum, maximum) : not_an_integer(what, text);
    if (*end)
        return not_an_integer(what, text);
    if (exponent > 62) /* the largest power in a long long */
        return outside(what, text, minimum, maximum);
    *value = 1LL << exponent;
    return PK_OK;
}

static pk_status scaled(long long *value, const char *what, const char *text, long long minimum, long long maximum)
{
    const char *suffix;
    if (!read_digits(value, text, &suffix, true))
        return errno == ERANGE ? outside(what, text, minimum, maximum) : not_an_integer(what, text);
    const long long scale = scale_of(suffix);
    if (scale == 0)
        return not_an_integer(what, text);
    if (__builtin_mul_overflow(*value, scale, value))
        return outside(what, text, minimum, maximum);
    return PK_OK;
}

pk_status pk_parse_integer(long long *value, const char *what, const char *text, long long minimum, long long maximum)
{
    long long parsed = 0;
    const pk_status status = strncmp(text, "2^", 2) == 0 ? power_of_two(&parsed, what, text, minimum, maximum)
                                                         : scaled(&parsed, what, text, minimum, maximum);
    if (status != PK_OK)
        return status;
    if (parsed < minimum || parsed > maximum)
        return outside(what, text, minimum, maximum);
    *value = parsed;
    return PK_OK;
}

pk_status pk_parse_number(double *value, const char *what, const char *text, double minimum, double maximum)
{
    /* strtod also takes leading space, hexadecimal, inf and nan: none of them is a decimal number. */
    const bool decimal = *text && strspn(text, "0123456789+-.eE") == strlen(text);
    char *end = NULL;
    const double parsed = decimal ? strtod(text, &end) : 0.0;
    if (!decimal || end == text || *end)
        return pk_fail(PK_USAGE, "%s: '%s' is not a number; give a decimal one such as 0.5 or 20", what, text);
    if (!isfinite(parsed) || !(parsed >= minimum && parsed <= maximum))
        return pk_fail(PK_USAGE, "%s: %s is outside %g to %g; give a value in that range", what, text, minimum,
                       maximum);
    *value = parsed;
    return PK_OK;
}
