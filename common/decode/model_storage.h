/* What a model's pointers lead into: memory of its own and mapped files. For the sources of pk_model. */
#ifndef PK_MODEL_STORAGE_H
#define PK_MODEL_STORAGE_H

#include <stddef.h>

#include "pk_model.h"

/* A model of this configuration whose tensors have no address yet. PK_FAULT: out of host memory. */
pk_status pk_model_begin(const pk_model_config *config, pk_model *model);

/* Memory for `elements` values that the model releases when it is closed, aligned to 256 bytes. NULL: out of memory. */
uint16_t *pk_model_allocate(pk_model *model, size_t elements);

/* The model unmaps this when it is closed. False: out of memory, and still the caller's. */
bool pk_model_keep_mapping(pk_model *model, void *address, size_t bytes);

/* All addresses are set: where the embedding is also the logits' matrix, both lead to it. */
void pk_model_complete(pk_model *model);

#endif
