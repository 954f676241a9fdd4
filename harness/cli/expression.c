#include "expression.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibration.h"

/* A parser by recursive descent, a function a level of the grammar. It goes on through what is not known, so that a
 * mistake behind it is found too. */
typedef struct parser {
    const char *text, *at;
    expression_lookup *lookup;
    void *context;
    int depth;
    bool failed; /* pk_fail was called */
} parser;

enum { MOST_NAME = 40, MOST_DEPTH = 60 };

static double sum(parser *p);

static double fail(parser *p, const char *what)
{
    if (!p->failed)
        pk_fail(PK_USAGE, "%s at letter %zu of '%s'", what, (size_t)(p->at - p->text) + 1, p->text);
    p->failed = true;
    return (double)NAN;
}

static bool take(parser *p, char sign)
{
    p->at += strspn(p->at, " \t");
    if (*p->at != sign)
        return false;
    p->at++;
    return true;
}

static double smaller(double a, double b)
{
    return isnan(a) || isnan(b) ? (double)NAN : fmin(a, b);
}

/* Behind "name(". */
static double call(parser *p, const char *name)
{
    double first = sum(p);
    if (!strcmp(name, "ceil"))
        return take(p, ')') ? ceil(first) : fail(p, "a ) is missing");
    const bool is_max = !strcmp(name, "max");
    if (!is_max && strcmp(name, "min") != 0)
        return fail(p, "there are max, min and ceil, and no other function,");
    if (!take(p, ','))
        return fail(p, "a , is missing");
    const double second = sum(p);
    if (!take(p, ')'))
        return fail(p, "a ) is missing");
    return is_max ? cli_larger(first, second) : smaller(first, second);
}

static double name_value(parser *p)
{
    char name[MOST_NAME + 1];
    size_t length = 0;
    for (; isalnum((unsigned char)p->at[length]) || p->at[length] == '_'; length++)
        if (length == MOST_NAME)
            return fail(p, "a name is too long");
    memcpy(name, p->at, length);
    name[length] = '\0';
    const char *begin = p->at;
    p->at += length;
    if (take(p, '('))
        return call(p, name);
    double value = (double)NAN;
    if (p->failed || p->lookup(p->context, name, &value))
        return value;
    p->at = begin;
    char *what = cli_format("'%s' is no name here,", name);
    (void)fail(p, what);
    free(what);
    return value;
}

static double factor(parser *p)
{
    p->at += strspn(p->at, " \t");
    if (take(p, '-'))
        return -factor(p);
    if (take(p, '(')) {
        const double value = sum(p);
        return take(p, ')') ? value : fail(p, "a ) is missing");
    }
    if (isdigit((unsigned char)*p->at)) {
        char *end;
        const double value = strtod(p->at, &end);
        p->at = end;
        return value;
    }
    return isalpha((unsigned char)*p->at) ? name_value(p) : fail(p, "a number or a name is missing");
}

static double product(parser *p)
{
    double value = factor(p);
    while (!p->failed) {
        if (take(p, '*'))
            value *= factor(p);
        else if (take(p, '/'))
            value /= factor(p);
        else
            break;
    }
    return value;
}

static double sum(parser *p)
{
    if (p->depth == MOST_DEPTH)
        return fail(p, "too many parentheses");
    p->depth++;
    double value = product(p);
    while (!p->failed) {
        if (take(p, '+'))
            value += product(p);
        else if (take(p, '-'))
            value -= product(p);
        else
            break;
    }
    p->depth--;
    return value;
}

pk_status expression_value(const char *text, expression_lookup *lookup, void *context, double *value)
{
    parser p = {.text = text, .at = text, .lookup = lookup, .context = context};
    *value = sum(&p);
    p.at += strspn(p.at, " \t");
    if (!p.failed && *p.at)
        (void)fail(&p, "something is left over");
    return p.failed ? PK_USAGE : PK_OK;
}
