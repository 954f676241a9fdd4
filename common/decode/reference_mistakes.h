/* Mistakes that the reference makes on purpose, so that its tests can show that they see them. Only where it is
 * compiled with PK_REFERENCE_MISTAKES, for the tests alone; elsewhere pk_reference_errs() is a constant 0. */
#ifndef PK_REFERENCE_MISTAKES_H
#define PK_REFERENCE_MISTAKES_H

enum pk_reference_mistake {
    PK_MISTAKE_NONE,
    PK_MISTAKE_ROTARY_HALVES, /* the pair's halves swapped: rotates backwards */
    PK_MISTAKE_ROTARY_PAIRS,  /* pairs of neighbours (2i, 2i + 1) where the model has halves */
    PK_MISTAKE_NO_BIAS,       /* q, k and v without their bias */
    PK_MISTAKE_HEAD_NORM,     /* q and k normed after the rotation */
    PK_MISTAKE_GROUP,         /* query head h reads key/value head h mod kv_heads, not h / group */
    PK_MISTAKE_NOT_CAUSAL,    /* a position sees the one after it */
    PK_MISTAKE_SCALE,         /* scores over sqrt(hidden), not sqrt(head_dim) */
    PK_MISTAKE_EPSILON,       /* norms without their epsilon */
    PK_MISTAKE_COUNT
};

#ifdef PK_REFERENCE_MISTAKES
extern enum pk_reference_mistake pk_reference_planted;
#define pk_reference_errs(mistake) (pk_reference_planted == (mistake))
#else
#define pk_reference_errs(mistake) 0
#endif

#endif
