/* A ladder's second file, for files_test.py: its variants, and a step. */
#include "pk/lab.h"

static pk_status again(pk_run *run)
{
    /* STEP lab01.99 for more: the first baseline once more */
    return pk_baseline_variants().variants[0].execute(run);
    /* END lab01.99 */
}

PK_VARIANTS(more_ladder) = {
    {"more", "the first baseline once more", 0, NULL, again, NULL},
};
PK_VARIANTS_END(more_ladder)
