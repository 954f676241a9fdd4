/* Lab 06: what its C files share. problem.c has the knobs and inputs, reference.c the formula in double and its bounds,
 * judge.c the check, sweeps.c sizes, sweeps, figures and targets. */
#ifndef LAB06_PROBLEM_H
#define LAB06_PROBLEM_H

#include "lab06.h"

enum {
    LAB06_KNOB_WORK,
    LAB06_KNOB_ROWS,
    LAB06_KNOB_COLUMNS,
    LAB06_KNOB_LAYERS,
    LAB06_KNOB_PITCH,
    LAB06_KNOB_TYPE,
    LAB06_KNOB_ACT,
    LAB06_KNOB_MATH,
    LAB06_KNOB_GATE,
    LAB06_KNOB_SPAN,
    LAB06_KNOB_INNER,
    LAB06_KNOB_MODEL,
    LAB06_KNOBS
};
extern const pk_knob lab06_knobs[LAB06_KNOBS];
enum { LAB06_TINY, LAB06_QWEN2_5, LAB06_SMOLLM2 }; /* --model; the last by real weights */

static inline int lab06_knob(const pk_run *run, const char *name)
{
    return (int)pk_knob_value(run, name);
}

/* Layers of a repetition: a product has one. */
static inline int lab06_layers(const pk_run *run)
{
    return lab06_knob(run, "work") == LAB06_PRODUCT ? 1 : lab06_knob(run, "layers");
}

/* A row of x, of h and of out is one of a few that were drawn, the patterns: so a host need not evaluate as many
 * activations as the device. In layer l row r of x is pattern (r + TURN l) mod count, and row r of h is pattern r mod
 * count; count is a prime, or as many rows as there are. Biases are all drawn. */
enum { LAB06_MOST_PATTERNS = 31, LAB06_TURN = 7 };

typedef struct lab06_reference { /* the host's side, where no variant reaches it */
    int patterns;
    /* The numbers as they are stored, in float; every x + bias of them but the special ones is exact in a float. */
    float *x;    /* [patterns][parts][columns] */
    float *bias; /* [layers][parts][columns] */
    float *h;    /* [patterns][columns] */
    /* The activation of pattern p in layer l, and how far one that was computed may be off; of the baselines, which
     * store every step in between as --type, and of a product whose library makes its tanh as it likes. */
    double *term;                         /* [layers][patterns][columns] */
    float *slack_ladder, *slack_baseline; /* likewise */
    void *raw;                            /* what goes to the device, as --type: a matrix of patterns */
    void *got, *got_before;               /* some rows of a layer and of the one before, with their padding */
    void *device_patterns[3];             /* of x, bias and h, on the device */
    unsigned *device_changed;             /* [1] */

    /* --work=product: numerators of a, sixteenths, of each pattern, and of w, sixteenths; x is made of them. */
    signed char *a, *w;    /* [patterns][inner], [w_rows][inner] */
    uint16_t *raw_product; /* [the larger of rows and w_rows][inner], as bf16 */
    float *got_x;          /* [w_rows]: a row of the product's x */

    /* --work=decode: logits as downloaded, and those of exact forms, [steps][vocab]; device memory */
    float *logits, *logits_exact;
    size_t cache_bytes, model_kv_bytes, decoder_bytes;
} lab06_reference;

static inline int lab06_pattern_of_x(const lab06_reference *ref, int layer, int row)
{
    return (int)(((long long)row + (long long)LAB06_TURN * layer) % ref->patterns);
}

/* ---- reference.c ---- */

typedef struct lab06_rounding { /* relative errors of what a variant computes with */
    double unit;                /* of an operation: half a unit in the last place */
    double biased;              /* of x + bias, where a float does not hold it; else 0 */
    double tanh_relative, tanh_absolute;
    double exp_constant, exp_slope; /* of e^a: constant + slope |a| */
    double quotient;
    bool saturates; /* tanh is 1 or -1 where it is to a float */
} lab06_rounding;

/* What operations of the ladder, and of the baselines, are good for. */
lab06_rounding lab06_rounding_of_ladder(int math);
lab06_rounding lab06_rounding_of_baseline(int type, int math);

/* gelu(x + bias), or the gate of both. `slack`: how far a result may be off before the residual is added. */
double lab06_gelu(double x, double bias, const lab06_rounding *by, double *slack);
double lab06_gate(double x, double bias, double x_up, double bias_up, const lab06_rounding *by, double *slack);

/* What the type makes of a number: its nearest, ties to even, infinities where it is too large. */
float lab06_rounded(int type, double value);

/* ---- product.c ---- */

/* Host memory and buffers of --work=product; draw a and w, make x of them, upload. */
pk_status lab06_product_setup(pk_run *run, lab06 *lab, lab06_reference *ref);
pk_status lab06_product_fill(pk_run *run, const lab06 *lab, lab06_reference *ref, uint64_t seed);
void lab06_product_release(lab06_reference *ref);

/* ---- decode.c ---- */

pk_status lab06_decode_validate(const pk_run *run);
pk_status lab06_decode_setup(pk_run *run, lab06 *lab, lab06_reference *ref);
void lab06_decode_release(lab06 *lab, lab06_reference *ref);
pk_status lab06_decode_reset(pk_run *run);
pk_status lab06_decode_verify(pk_run *run, const lab06 *lab, lab06_reference *ref, pk_verdict *verdict);
/* Steps of a repetition; bytes and operations of one. */
double lab06_decode_steps(const pk_run *run);
double lab06_decode_bytes(const pk_run *run);
double lab06_decode_flops(const pk_run *run);

/* ---- judge.c ---- */

pk_status lab06_verify(pk_run *run, pk_verdict *verdict);
enum { LAB06_JUDGED_ROWS = 256 }; /* of a layer, at a time */

/* ---- problem.c, spread.cu: matrices made of their patterns ---- */

enum { LAB06_IN_X, LAB06_IN_BIAS, LAB06_IN_H, LAB06_INPUTS };

typedef struct lab06_rows_of_patterns { /* device memory; row r of layer l is pattern (r + turn l) mod count */
    const void *patterns;               /* [count][row_bytes]; row_bytes is a multiple of 2 */
    void *to;                           /* [layers][rows][row_bytes] */
    int count, turn, layers, rows;
    size_t row_bytes;
} lab06_rows_of_patterns;

lab06_rows_of_patterns lab06_input(const lab06 *lab, const lab06_reference *ref, int input);

#ifdef __cplusplus
extern "C" {
#endif

/* Make the matrix, in stream order. */
pk_status lab06_spread(const lab06_rows_of_patterns *rows, void *stream);
/* How many 16-bit words of it are not as they were made; `device_changed` [1] is scratch. Waits for the stream. */
pk_status lab06_count_changed(const lab06_rows_of_patterns *rows, unsigned *device_changed, unsigned *changed,
                              void *stream);

#ifdef __cplusplus
}
#endif

/* sweeps.c */
enum { LAB06_SWEEPS = 9, LAB06_SWEEPS_QUICK = 4, LAB06_TARGETS = 7, LAB06_AWKWARD = 11, LAB06_HIDDEN = 5 };
bool lab06_offers(const pk_run *run, const char *variant);
extern const pk_sweep lab06_sweeps[LAB06_SWEEPS], lab06_sweeps_quick[LAB06_SWEEPS_QUICK];
extern const pk_target lab06_targets[LAB06_TARGETS];
extern const char *const lab06_awkward[LAB06_AWKWARD], *const lab06_hidden[LAB06_HIDDEN];
double lab06_tokens(const pk_run *run);
double lab06_bytes_per_token(const pk_run *run);
double lab06_flops_per_token(const pk_run *run);
pk_launch_range lab06_launches(const pk_run *run, const char *variant);
pk_status lab06_analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis);

#endif
