/* One forward pass over a sequence, exact or perturbed. */
#ifndef PK_REFERENCE_PASS_H
#define PK_REFERENCE_PASS_H

#include "pk_reference.h"

/* logits [count - first][vocab] after positions first..count-1. `cache` NULL, or what is given of the first positions:
 * `tokens` are then those of the others, and `first` is one of them. `noise` 0: exact; any other number: each rounded
 * result changed by a random error that follows from it, `roundings` saying which are rounded to bf16. Errors as
 * pk_reference_logits. */
pk_status pk_reference_pass(const pk_model *model, const pk_reference_cache *cache, const int *tokens, size_t count,
                            size_t first, uint64_t noise, pk_reference_roundings roundings, double *logits);

#endif
