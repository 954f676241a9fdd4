/* Tokens to bytes: what a token adds to the text, from the vocab.bin that `lab model` writes beside the weights.
 *
 * The file, all integers little-endian: the 8 bytes "PKVOCAB1", uint32 count, uint32 reserved 0, uint32 offset[count +
 * 1] into the bytes that follow them, and those bytes. Token t is bytes offset[t] to offset[t + 1]; a control token,
 * which adds nothing to the text, has none. */
#ifndef PK_VOCAB_H
#define PK_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_vocab pk_vocab;

/* PK_USAGE: no such file, not such a file, offsets out of order or out of the file; says which and what to do. */
pk_status pk_vocab_open(const char *path, pk_vocab **vocab);
void pk_vocab_close(pk_vocab *vocab);

size_t pk_vocab_count(const pk_vocab *vocab);
/* The token's bytes, not terminated, valid until the vocabulary is closed; none for a token that is out of range. */
const char *pk_vocab_bytes(const pk_vocab *vocab, int token, size_t *bytes);

/* Text in UTF-8 as it streams: a character may end in a later token than it begins in. Bytes go in as they come, and
 * only whole characters come out; what can be no character's beginning comes out as U+FFFD. */
typedef struct pk_utf8_stream {
    char held[4];
    int count;
} pk_utf8_stream;
/* Writes what is whole to `out` [3 * (bytes + 4)] and returns how many bytes that is. `end`: nothing follows. */
size_t pk_utf8_push(pk_utf8_stream *stream, const char *in, size_t bytes, int end, char *out);

#ifdef __cplusplus
}
#endif
#endif
