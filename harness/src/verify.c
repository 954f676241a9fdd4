/* Judge outputs against a reference: every element, NaN never equal. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "pk/lab.h"

static void count_wrong(pk_verdict *verdict, size_t index, double got, double want)
{
    if (verdict->wrong == 0) {
        verdict->first_wrong = index;
        verdict->got = got;
        verdict->want = want;
    }
    verdict->wrong++;
}

static void widen(pk_verdict *verdict, double error)
{
    /* A NaN error must stay visible: comparisons with it are false, so it is kept by hand. */
    if (isnan(error) || error > verdict->worst_error)
        verdict->worst_error = error;
}

void pk_check_exact(pk_verdict *verdict, const float *got, const float *want, size_t count)
{
    verdict->bound = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t got_bits, want_bits;
        memcpy(&got_bits, &got[i], sizeof got_bits);
        memcpy(&want_bits, &want[i], sizeof want_bits);
        if (got_bits == want_bits && !isnan(got[i]))
            continue;
        count_wrong(verdict, verdict->checked + i, (double)got[i], (double)want[i]);
        widen(verdict, fabs((double)got[i] - (double)want[i]));
    }
    verdict->checked += count;
}

void pk_check_bound(pk_verdict *verdict, const float *got, const double *want, const double *bound, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double error = fabs((double)got[i] - want[i]);
        if (!(isfinite((double)got[i]) && error <= bound[i]))
            count_wrong(verdict, verdict->checked + i, (double)got[i], want[i]);
        if (isnan(error) || error > verdict->worst_error) {
            widen(verdict, error);
            verdict->bound = bound[i];
        }
    }
    verdict->checked += count;
}
