/* Quantised weights: rows of blocks, byte for byte as GGUF has them.
 *
 *   Q8_0   32 weights in 34 bytes      d: fp16 | 32 signed bytes q                              w = d q
 *   Q4_K   256 weights in 144 bytes    d: fp16 | dmin: fp16 | 12 bytes of scales | 128 bytes    w = d s q - dmin m
 *
 * All numbers little-endian. A Q4_K block is 8 sub-blocks of 32 weights, each with a scale s and a minimum m of 6 bits:
 *   sub-block j < 4     s: low 6 bits of scales[j]          m: low 6 bits of scales[j + 4]
 *   sub-block j >= 4    s: low 4 bits of scales[j + 4], and above them the high 2 bits of scales[j - 4]
 *                       m: high 4 bits of scales[j + 4], and above them the high 2 bits of scales[j]
 * and 4 bits q a weight: of the 128 bytes, 32 are sub-blocks 2 c and 2 c + 1, weight i of the first in the low half of
 * byte i, of the second in its high half. Source: ggml, src/ggml-common.h (block_q8_0, block_q4_K) and
 * src/ggml-quants.c (dequantize_row_q8_0, dequantize_row_q4_K, get_scale_min_k4), https://github.com/ggml-org/ggml.
 *
 * Bulk copies take multiples of 16 bytes from multiples of 16. Q4_K's blocks are; of Q8_0's eight together are. So a
 * row's pitch is its bytes rounded up to 16: up to 14 bytes of zeros stand behind a Q8_0 row that is no multiple of 256
 * weights. Blocks never go over the end of a row. */
#ifndef PK_QUANT_H
#define PK_QUANT_H

#include <stddef.h>
#include <stdint.h>

#include "pk_model.h"
#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PK_Q8_0_WEIGHTS = 32,
    PK_Q8_0_BYTES = 34,
    PK_Q4_K_WEIGHTS = 256,
    PK_Q4_K_BYTES = 144,
    PK_Q4_K_PARTS = 8,         /* sub-blocks */
    PK_Q4_K_PART_WEIGHTS = 32, /* of each */
    PK_QUANT_ALIGN = 16        /* of a row's beginning */
};

/* "bf16", "q8_0", "q4_k". */
const char *pk_quant_name(pk_quant format);

/* What a matrix with rows of so many columns has where `wanted` is asked for: that, or where its blocks do not divide
 * the row the next finer format that does: Q8_0 for Q4_K, and bf16 behind it. llama.cpp does likewise, with others. */
pk_quant pk_quant_of(pk_quant wanted, size_t columns);

/* Bytes of a row, and from one row to the next. `columns` is a multiple of the format's block. */
size_t pk_quant_row_bytes(pk_quant format, size_t columns);
size_t pk_quant_pitch(pk_quant format, size_t columns);

/* One row to blocks, zeros behind them up to the pitch. The weights' errors are least or near it: Q8_0 is within d / 2
 * of each, Q4_K tries scales about the one that just holds a sub-block's range and takes the one with the least sum of
 * squares. NaN becomes 0; what fp16's largest scale cannot hold is cut off. */
void pk_quant_row(pk_quant format, const float *from, size_t columns, void *to);
/* The same, from bf16; of PK_QUANT_BF16 a copy. */
void pk_quant_row_bf16(pk_quant format, const uint16_t *from, size_t columns, void *to);

/* Exactly what the blocks say: products are exact in float, and Q4_K's difference is rounded once. */
void pk_quant_row_to_float(pk_quant format, const void *row, size_t columns, float *to);

/* A model with `from`'s shape, embedding, norms and biases, which it points to, and its matrices as pk_quant_of says,
 * in memory of its own; by all of the machine's cores. Where the embedding is also the logits' matrix, only the
 * latter's copy is quantised. `from` stays open as long. PK_FAULT: out of host memory. Close it with pk_model_close. */
pk_status pk_quant_model(const pk_model *from, pk_quant wanted, pk_model *to);

#ifdef __cplusplus
}
#endif
#endif
