/* The reference's inner loops, in double: eight rows of a matrix times sixteen columns; rows of bf16 and one vector. */
#ifndef PK_REFERENCE_BLOCK_H
#define PK_REFERENCE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

/* How many rows and columns a block has. Eight by sixteen sums fill the registers of AVX-512, and both divide every
 * width of a model but the vocabulary. */
enum { PK_BLOCK_ROWS = 8, PK_BLOCK_LANES = 16, PK_BLOCK_ALIGNMENT = 64 };

/* out[row][lane] = sum over i of matrix[i][row] * in[i][lane], i = 0 .. terms-1 in this order; all three aligned to
 * PK_BLOCK_ALIGNMENT bytes: matrix [terms][PK_BLOCK_ROWS], in [terms][PK_BLOCK_LANES], out [PK_BLOCK_ROWS]
 * [PK_BLOCK_LANES]. Uses the vector unit that the processor has; where it has a fused multiply-add the last bits are
 * others than where it has none. */
void pk_reference_block(const double *matrix, const double *in, size_t terms, double *out);

/* Rows of bf16 [count][width], `width` a multiple of PK_BLOCK_ROWS. dots: out[row] = sum over i of rows[row][i] *
 * in[i]; mix: out[i] += sum over rows of weights[row] * rows[row][i]. */
void pk_reference_bf16_dots(const uint16_t *rows, size_t count, size_t width, const double *in, double *out);
void pk_reference_bf16_mix(const uint16_t *rows, size_t count, size_t width, const double *weights, double *out);

#endif
