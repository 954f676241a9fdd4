/* For tests of a lab's `analyse`, in one C file: figures are kept where the test can look at them, and not in a report.
 */
#ifndef ANALYSIS_STAND_IN_H
#define ANALYSIS_STAND_IN_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pk/lab.h"

enum { MOST_FIGURES = 256 };
struct pk_analysis {
    char name[MOST_FIGURES][160];
    double value[MOST_FIGURES];
    size_t count;
};

/* In place of the harness's. */
void pk_analysis_figure(pk_analysis *analysis, const char *name, const char *unit, double value)
{
    (void)unit;
    if (analysis->count == MOST_FIGURES)
        return;
    snprintf(analysis->name[analysis->count], sizeof analysis->name[0], "%s", name);
    analysis->value[analysis->count++] = value;
}

static int failed;

static double value_of(const pk_analysis *analysis, const char *name)
{
    for (size_t i = 0; i < analysis->count; i++)
        if (strcmp(analysis->name[i], name) == 0)
            return analysis->value[i];
    return NAN;
}

static void expect(const pk_analysis *analysis, const char *name, double want)
{
    const double got = value_of(analysis, name);
    if (fabs(got - want) <= 1e-9 * fabs(want))
        return;
    if (isnan(got))
        printf("FAILED: no '%s', where %g was wanted\n", name, want);
    else
        printf("FAILED: '%s' is %g, not %g\n", name, got, want);
    failed = 1;
}

#endif
