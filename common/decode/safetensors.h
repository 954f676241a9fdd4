/* The header of a safetensors file: which tensors lie where in it. Trusts nothing in the file.
 *
 * The format (github.com/huggingface/safetensors, "Format"): 8 bytes N, little-endian; N bytes of JSON, an object that
 * begins with '{' and may end in spaces; then the data. Each member of the object is a tensor {"dtype", "shape",
 * "data_offsets": [begin, end]}, its offsets counted from the first byte of data; "__metadata__" is an object of
 * strings. The tensors cover the data without a hole, in whatever order the header names them. */
#ifndef PK_SAFETENSORS_H
#define PK_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PK_SAFETENSORS_HEADER_MOST 100000000u /* bytes; the format's own limit */
enum {
    PK_SAFETENSORS_RANK_MOST = 8,
    PK_SAFETENSORS_TENSORS_MOST = 1 << 16 /* four times what a decoder of 1024 layers has */
};

typedef struct pk_safetensor {
    const char *name;  /* any UTF-8, without a 0; not for a message as it is */
    const char *dtype; /* the format's word: "BF16" */
    size_t element_bytes;
    int rank; /* 0: one element */
    uint64_t shape[PK_SAFETENSORS_RANK_MOST];
    uint64_t begin, end; /* bytes from the begin of the file; end - begin = elements * element_bytes */
} pk_safetensor;

typedef struct pk_safetensors {
    pk_safetensor *tensors; /* [count], by name in strcmp's order */
    size_t count;
    char *names; /* what their names lead into */
} pk_safetensors;

/* How many bytes of the file are length and header together, from its first 8 bytes. PK_USAGE: longer than the file or
 * than the format's limit, or the file has no 8 bytes. `begin` [8]; `origin` names the file in errors. */
pk_status pk_safetensors_header_bytes(const unsigned char *begin, uint64_t file_bytes, const char *origin,
                                      size_t *header_bytes);

/* From the file's first `header_bytes` bytes, as above. PK_USAGE: anything that the format does not allow: no JSON, a
 * name or a member twice, a shape that overflows or does not match its offsets, tensors that overlap, leave a hole or
 * end elsewhere than the file, an unknown dtype; and over 8 dimensions or 65536 tensors. PK_FAULT: out of host memory.
 * Release it with pk_safetensors_free, also after a failure. */
pk_status pk_safetensors_parse(const unsigned char *begin, size_t header_bytes, uint64_t file_bytes, const char *origin,
                               pk_safetensors *header);
void pk_safetensors_free(pk_safetensors *header);

/* NULL: no tensor of that name. */
const pk_safetensor *pk_safetensors_find(const pk_safetensors *header, const char *name);

#ifdef __cplusplus
}
#endif
#endif
