/* The time of each of a lab's results as its model says, from a calibration: labs/labNN_name/predict.txt.
 *
 * A line is `name = formula` or `variant, variant: formula [where KNOB=VALUE ...]`; # begins a comment. Of several
 * lines for a variant the first counts whose conditions hold. A formula gives us/token. Its names are
 *   - those that lines above it define;
 *   - the lab's knobs, with _ for -;
 *   - what a result counts, a token: bytes, flops, launches, replays; per_repetition, its tokens; and kernels, what the
 *     baseline launches at the same sizes: the launches of the first baseline that has a result there;
 *   - the calibration's figures without their units (launch, read, barrier): us, and bytes a us; and processors.
 * No time of the result is among them: a prediction is not fitted to what it is compared with. */
#ifndef CLI_PREDICT_H
#define CLI_PREDICT_H

#include "calibration.h"
#include "results.h"

typedef struct predict_line {
    char *name; /* what it defines; NULL: a variant's */
    cli_names variants;
    char *formula;
    cli_names where; /* "work=decode" */
    size_t number;   /* in the file */
} predict_line;

typedef struct predict_model {
    char *path;
    predict_line *lines;
    size_t count;
} predict_model;

/* The lab's model. `*there` is false, and all is well, where the lab has none. PK_USAGE for a line that is none. */
pk_status predict_load(predict_model *model, const char *lab_id, bool *there);
void predict_free(predict_model *model);

typedef struct predicted {
    double us;     /* a token; NaN: see missing */
    bool has_line; /* the model has a line for it */
    char *missing; /* what its formula needs and the calibration or the result lacks; NULL when nothing */
} predicted;

/* PK_USAGE, naming file and line, for a formula that is none, a name or a knob that is not there. */
pk_status predict_point(const predict_model *model, const cli_calibration *calibration, const cli_result *result,
                        const cli_point *point, predicted *said);

#endif
