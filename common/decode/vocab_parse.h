/* A vocabulary from the bytes of its file: what pk_vocab_open does once they are read, for its tests. */
#ifndef PK_VOCAB_PARSE_H
#define PK_VOCAB_PARSE_H

#include "pk_vocab.h"

/* `file` [bytes] from malloc: the vocabulary's on success, still the caller's else. `origin` names the file in errors.
 */
pk_status pk_vocab_parse(char *file, size_t bytes, const char *origin, pk_vocab **vocab);

#endif
