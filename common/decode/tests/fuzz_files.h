/* What every file that a model is read from must come to, whatever its bytes: taken and consistent, or refused in one
 * readable line. And files made from a seed: good ones, and ones with a known fault. */
#ifndef PK_FUZZ_FILES_H
#define PK_FUZZ_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "num/pk_random.h"

typedef enum fuzz_kind { FUZZ_SAFETENSORS, FUZZ_CONFIG, FUZZ_VOCAB, FUZZ_INDEX, FUZZ_KIND_COUNT } fuzz_kind;

/* What a made file must come to. */
typedef enum fuzz_verdict { FUZZ_TAKEN, FUZZ_REFUSED, FUZZ_EITHER } fuzz_verdict;

enum { FUZZ_ROOM = 1 << 15 };

typedef struct fuzz_input {
    fuzz_kind kind;
    fuzz_verdict want;
    const char *fault;          /* what was done to it */
    size_t bytes, header_bytes; /* the latter of safetensors, with its length */
    char file[FUZZ_ROOM];
} fuzz_input;

void fuzz_make(pk_random *random, fuzz_kind kind, fuzz_input *input);

/* Reads it. NULL, and whether it was taken; else what is wrong with how it was read. */
const char *fuzz_check(fuzz_kind kind, const char *file, size_t bytes, bool *taken);

#endif
