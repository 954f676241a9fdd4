/* Small model folders for tests: safetensors files out of a model's tensors, and config.json. */
#ifndef PK_TEST_MODEL_FILES_H
#define PK_TEST_MODEL_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "pk_model.h"

typedef struct file_tensor {
    char name[80];
    const char *dtype;
    uint64_t shape[2];
    int rank;
    unsigned char *data; /* [bytes], the list's */
    size_t bytes;
} file_tensor;

typedef struct file_tensors {
    file_tensor *list;
    size_t count;
} file_tensors;

/* All of a model's, as BF16. */
file_tensors file_tensors_of(pk_model *model);
void file_tensors_free(file_tensors *tensors);

file_tensor *file_tensor_named(const file_tensors *tensors, const char *name);
/* Another dtype, F32 or F16, of the same values. */
void file_tensor_convert(file_tensor *tensor, const char *dtype);
/* One more, zeros: of a vector. */
void file_tensor_add(file_tensors *tensors, const char *name, const char *dtype, size_t element_bytes, uint64_t count);
void file_tensor_remove(file_tensors *tensors, const char *name);

/* Tensors [first, end) into a file. */
void write_safetensors(const char *path, const file_tensors *tensors, size_t first, size_t end);
void write_text(const char *path, const char *text);

/* A tiny model's config.json, with `more` ("" or ",\"name\": value") in it. */
void write_config(const char *path, const char *name, const char *more);

/* All but the name. */
void assert_same_config(const pk_model_config *got, const pk_model_config *want);

#endif
