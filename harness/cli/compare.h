/* What two results of one variant at one point say of each other: compare_judge.c measures and judges, cmd_compare.c
 * chooses what is compared and prints it. */
#ifndef CLI_COMPARE_H
#define CLI_COMPARE_H

#include "results.h"

typedef enum compare_verdict { /* of B */
                               COMPARE_FASTER,
                               COMPARE_SLOWER,
                               COMPARE_SAME, /* the interval is within the margin */
                               COMPARE_UNCLEAR,
                               COMPARE_NOT_MEASURED, /* one of the two has no time */
                               COMPARE_VERDICTS
} compare_verdict;

typedef enum compare_doubt { /* what makes it unclear */
                             COMPARE_NO_DOUBT,
                             COMPARE_NOISE,  /* the interval reaches from no difference beyond the margin */
                             COMPARE_DRIFT,  /* the runs' common baseline took another time as well, which may be all
                                                there is */
                             COMPARE_CHANCE, /* of so many rows one is as far off by chance */
                             COMPARE_DOUBTS
} compare_doubt;

typedef struct compare_row {
    const cli_result *of; /* A's file */
    const cli_point *a, *b;
    double ratio, low, high; /* time in A over time in B, with its 95% interval */
    double drift;            /* the same ratio of the runs' common baseline; 1 where there is none, or this is it */
    double chance;           /* that two equal ones would be as far apart: two-sided */
    compare_verdict verdict;
    compare_doubt doubt;
} compare_row;

/* The row of two points. `drift`: as above. */
compare_row compare_measure(const cli_result *of, const cli_point *a, const cli_point *b, double drift);

/* The verdicts of all rows together: a difference stands if it does among them all (Holm 1979), and is the same within
 * `margin` (0.02). */
void compare_judge(compare_row *rows, size_t count, double margin);

#endif
