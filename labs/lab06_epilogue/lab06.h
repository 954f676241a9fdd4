/* Lab 06, the fused epilogue: what problem.c hands to the variants.
 *
 * The problem: behind the matrix product of each of L layers stands an epilogue. For row r and column c of layer l
 *     out[l][r][c] = before[r][c] + f(x[l][r][c] + bias[l][c])
 * `before` is the residual: h for the first layer, out[l - 1] for the others. f is tanh-GELU, or the SiLU gate, where a
 * row of x has two parts, gate and up, with a bias each:
 *     gelu(v)          = 0.5 v (1 + tanh(sqrt(2 / pi) (v + 0.044715 v^3)))
 *     gate(g, up)      = g / (1 + e^-g) * up
 * Numbers are fp32, or bf16 with all arithmetic in fp32: there is one rounding to bf16 an element and layer, at the
 * store to out, and the next layer's residual is the rounded number.
 *
 * x of all layers is there from the start. In a model the product of layer l + 1 waits for out[l]. */
#ifndef LAB06_H
#define LAB06_H

#include <stddef.h>
#include <stdint.h>

#include "pk/lab.h"

enum { LAB06_LAYERS, LAB06_PRODUCT, LAB06_DECODE };    /* --work */
enum { LAB06_FP32, LAB06_BF16 };                       /* --type */
enum { LAB06_GELU, LAB06_SILU_GATE };                  /* --act */
enum { LAB06_EXACT, LAB06_FAST };                      /* --math */
enum { LAB06_GATE_AS_MATH, LAB06_GATE_EXACT };         /* --gate */
enum { LAB06_THREADS = 256, LAB06_VECTOR_BYTES = 16 }; /* of a block; of a load */

#define LAB06_SCALE 0.7978845608028654f /* sqrt(2 / pi) */
#define LAB06_CUBE 0.044715f

/* The matrices as a kernel sees them, passed by value. Pointers are device memory; elements are float or, as bf16,
 * uint16_t. Rows are `pitch` elements apart, and what lies between columns and pitch belongs to nobody. */
typedef struct lab06_view {
    int layers, rows, columns, pitch;
    int parts;        /* of a row of x: 1, or 2 for gate and up */
    const void *x;    /* [layers][rows][parts][pitch] */
    const void *bias; /* [layers][parts][pitch] */
    const void *h;    /* [rows][pitch]: before the first layer */
    void *out;        /* [layers][rows][pitch] */
} lab06_view;

/* --work=product: one layer with the product that makes its x,
 *     x[r][part][c] = sum over k of a[r][k] w[part][c][k]
 * Factors are bf16, sums and x fp32, whatever the type of bias, h and out. w and x lie as lab06_row_of_w says. */
typedef struct lab06_product {
    int inner;         /* K, a multiple of 8 */
    int w_rows;        /* columns; of the gate twice as many, made up to whole groups */
    const uint16_t *a; /* bf16 [rows][inner] */
    const uint16_t *w; /* bf16 [w_rows][inner] */
    float *x;          /* [rows][w_rows]: where a variant that keeps the two apart puts it */
    lab06_view view;   /* its x is NULL */
} lab06_product;

typedef struct lab06 {
    int work, type, act, math;
    lab06_view view;
    lab06_product product;       /* --work=product */
    struct lab06_decode *decode; /* --work=decode: lab06_decode.h */
} lab06;

static inline size_t lab06_element_bytes(int type)
{
    return type == LAB06_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/* Of the gate, rows of w alternate in groups: the gates of 16 columns, then their ups. So a thread of a tiled product
 * has both sums of a column. */
enum { LAB06_GROUP = 16 };

static inline int lab06_rows_of_w(int parts, int columns)
{
    return parts == 1 ? columns : (columns + LAB06_GROUP - 1) / LAB06_GROUP * 2 * LAB06_GROUP;
}

#if defined(__CUDACC__) || defined(__HIPCC__)
__host__ __device__
#endif
    static inline int
    lab06_row_of_w(int parts, int part, int column)
{
    return parts == 1 ? column : (column / LAB06_GROUP * 2 + part) * LAB06_GROUP + column % LAB06_GROUP;
}

#endif
