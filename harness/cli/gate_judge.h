/* Judging a gate by two results of one lab. */
#ifndef CLI_GATE_JUDGE_H
#define CLI_GATE_JUDGE_H

#include "gates.h"
#include "results.h"

typedef struct gate_sides {
    const cli_result *before, *after;
    bool one_run;    /* both are one file: its rounds pair the two variants directly */
    cli_names pairs; /* variants by name: of BEFORE, of AFTER, and so on; none: the best that both have */
} gate_sides;

typedef enum gate_verdict { /* from good to bad, by what it means for the change */
                            GATE_PASS,
                            GATE_NOT_JUDGED,   /* there is a number, and it says nothing about a GPU */
                            GATE_NOT_MEASURED, /* there is no number */
                            GATE_UNCLEAR,      /* its interval holds the limit */
                            GATE_FAIL
} gate_verdict;
enum { GATE_VERDICTS = GATE_FAIL + 1 };

typedef struct gate_outcome {
    gate_verdict verdict;
    double value, low, high; /* NaN where nothing was measured; low and high are the value where it is exact */
    bool is_sampled;         /* low and high are a 95% interval */
    char *note;              /* why there is no verdict, or which of several points this one is; "" */
} gate_outcome;

/* Which variants stand for BEFORE and AFTER at BEFORE's knobs: the first pair of `pairs` that both have there, or else
 * each side's fastest among the ladder's variants that passed in both. NULL both, and *why in new memory, when there
 * are none. */
typedef struct gate_pair {
    const cli_point *before, *after;
    char *why;
} gate_pair;
gate_pair gate_pair_at(const gate_sides *sides, const double *knobs);

/* The gate at the default point, or at each of BEFORE's points that its conditions name: the worst of them. The note is
 * the caller's to free. */
gate_outcome gate_judge(const cli_gate *gate, const gate_sides *sides);

#endif
