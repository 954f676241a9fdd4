/* Tokens to bytes from a vocab.bin, which is read whole and checked once; and bytes to whole characters. */
#include "pk_vocab.h"

#include <stdlib.h>
#include <string.h>

#include "source_file.h"
#include "utf8_step.h"
#include "vocab_parse.h"

enum {
    MOST_BYTES = 1 << 28,  /* a hundred times what a vocabulary of 150,000 tokens has */
    MOST_TOKENS = 1 << 21, /* as pk_model_config_check */
    OFFSETS_AT = 16
};

struct pk_vocab {
    size_t count;
    unsigned char *file; /* whole */
};

static uint32_t little_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t offset_at(const unsigned char *file, size_t token)
{
    return little_endian(file + OFFSETS_AT + 4 * token);
}

static pk_status damaged(const char *origin, const char *what)
{
    return pk_fail(PK_USAGE, "%s: %s: damaged, or no vocabulary of this program; write it again (./lab model)", origin,
                   what);
}

static pk_status check(const unsigned char *file, size_t bytes, const char *origin, size_t *count)
{
    if (bytes < OFFSETS_AT || memcmp(file, "PKVOCAB1", 8) != 0)
        return damaged(origin, "does not begin with PKVOCAB1 and a count");
    *count = little_endian(file + 8);
    if (*count < 1 || *count > MOST_TOKENS || little_endian(file + 12) != 0)
        return damaged(origin, "a count that is not 1 to 2097152, or a reserved number that is not 0");
    if ((bytes - OFFSETS_AT) / 4 < *count + 1)
        return damaged(origin, "ends within its offsets");
    if (offset_at(file, 0) != 0)
        return damaged(origin, "its first offset is not 0");
    for (size_t token = 0; token < *count; token++)
        if (offset_at(file, token) > offset_at(file, token + 1))
            return damaged(origin, "offsets out of order");
    if (offset_at(file, *count) != bytes - OFFSETS_AT - 4 * (*count + 1))
        return damaged(origin, "its last offset is not the file's end");
    return PK_OK;
}

pk_status pk_vocab_parse(char *file, size_t bytes, const char *origin, pk_vocab **vocab)
{
    size_t count = 0;
    *vocab = NULL;
    const pk_status status = check((unsigned char *)file, bytes, origin, &count);
    if (status != PK_OK)
        return status;
    *vocab = malloc(sizeof **vocab);
    if (!*vocab)
        return pk_out_of_memory(origin);
    **vocab = (pk_vocab){.count = count, .file = (unsigned char *)file};
    return PK_OK;
}

pk_status pk_vocab_open(const char *path, pk_vocab **vocab)
{
    char *file;
    size_t bytes;
    *vocab = NULL;
    pk_status status = pk_source_text(path, MOST_BYTES, &file, &bytes);
    if (status == PK_OK)
        status = pk_vocab_parse(file, bytes, path, vocab);
    if (status != PK_OK)
        free(file);
    return status;
}

void pk_vocab_close(pk_vocab *vocab)
{
    if (vocab)
        free(vocab->file);
    free(vocab);
}

size_t pk_vocab_count(const pk_vocab *vocab)
{
    return vocab->count;
}

const char *pk_vocab_bytes(const pk_vocab *vocab, int token, size_t *bytes)
{
    *bytes = 0;
    if ((size_t)token >= vocab->count) /* as a negative one is too */
        return "";
    const uint32_t begin = offset_at(vocab->file, (size_t)token);
    *bytes = offset_at(vocab->file, (size_t)token + 1) - begin;
    return (const char *)vocab->file + OFFSETS_AT + 4 * (vocab->count + 1) + begin;
}

/* ---- characters ---- */

static size_t replacement(char *out)
{
    static const char character[3] = {'\xef', '\xbf', '\xbd'};
    memcpy(out, character, sizeof character);
    return sizeof character;
}

/* One byte, where what is held are the first bytes of a character that can still become whole. Each beginning that
 * cannot is one U+FFFD (Unicode 15, 3.9: substitution of maximal subparts), and the byte that ended it begins anew. */
static size_t push_byte(pk_utf8_stream *stream, char byte, char *out)
{
    size_t written = 0;
    if (stream->count > 0 && !pk_utf8_follows((unsigned char)stream->held[0], stream->count, (unsigned char)byte)) {
        written = replacement(out);
        stream->count = 0;
    }
    if (stream->count == 0 && pk_utf8_length((unsigned char)byte) == 0)
        return written + replacement(out + written);
    stream->held[stream->count++] = byte;
    if (stream->count < pk_utf8_length((unsigned char)stream->held[0]))
        return written;
    memcpy(out + written, stream->held, (size_t)stream->count);
    written += (size_t)stream->count;
    stream->count = 0;
    return written;
}

size_t pk_utf8_push(pk_utf8_stream *stream, const char *in, size_t bytes, int end, char *out)
{
    size_t written = 0;
    for (size_t i = 0; i < bytes; i++)
        written += push_byte(stream, in[i], out + written);
    if (end && stream->count > 0) {
        written += replacement(out + written);
        stream->count = 0;
    }
    return written;
}
