/* How results were found to be: what a lab tells the harness, and what judges of results fill in. */
#ifndef PK_VERDICT_H
#define PK_VERDICT_H

#include <stdint.h>

typedef struct pk_verdict {
    uint64_t checked, wrong;   /* elements */
    uint64_t first_wrong;      /* index of the first wrong element; meaningful when wrong > 0 */
    double got, want;          /* there */
    double worst_error, bound; /* largest absolute error, and the bound that applied there (0: exact) */
    char note[256];            /* what it looks like, for the student; "" when right */
} pk_verdict;

#endif
