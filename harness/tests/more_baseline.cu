/* A second file of baselines, for files_test.py. */
#include "pk/lab.h"

static pk_status again(pk_run *run)
{
    return pk_baseline_variants().variants[0].execute(run);
}

PK_VARIANTS(more_baseline) = {
    {"more-baseline", "the first baseline once more", 0, NULL, again, NULL},
};
PK_VARIANTS_END(more_baseline)
