/* Between the decoder's own files. */
#ifndef PK_DECODE_INTERNAL_H
#define PK_DECODE_INTERNAL_H

#include "decode/pk_decoder.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const pk_decode_how pk_decode_naive; /* zero: as a naive engine launches */

/* Keys of a part that attention of a step shares a head's keys into: fewer are not worth a block's merge. So many parts
 * there are room for, and so many are made. */
enum { PK_ATTEND_PART_KEYS = 128 };

/* PK_USAGE where the weights are not those that the kernels here read. */
pk_status pk_decode_reads(const pk_decoder *decoder);

/* Attention of a prefill: q from decoder->qkv, keys and values from the layer's cache, into decoder->rounded. One
 * launch. */
pk_status pk_prefill_attend(const pk_decoder *decoder, const pk_device_layer *layer, int rows, void *stream);

/* Final norm of x [hidden], logits into their row, the next token chosen. */
pk_status pk_decode_logits_and_choose(const pk_decoder *decoder, const float *x, pk_decode_at at,
                                      const pk_decode_how *how, void *stream);
/* Kernels that it launches. */
int pk_decode_logits_and_choose_launches(const pk_decode_how *how);

#ifdef __cplusplus
}
#endif
#endif
