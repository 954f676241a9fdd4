/* UTF-8 decoding; the text may come from a command line or a device, so any bytes must do. */
#include "pk/utf8.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool in(unsigned char byte, unsigned char first, unsigned char last)
{
    return byte >= first && byte <= last;
}

/* The range of the second byte narrows behind these leading bytes; it is 80..BF behind all others. */
static bool second_byte_fits(unsigned char lead, unsigned char second)
{
    switch (lead) {
    case 0xe0:
        return in(second, 0xa0, 0xbf);
    case 0xed:
        return in(second, 0x80, 0x9f);
    case 0xf0:
        return in(second, 0x90, 0xbf);
    case 0xf4:
        return in(second, 0x80, 0x8f);
    default:
        return in(second, 0x80, 0xbf);
    }
}

size_t pk_utf8_length(const char *text)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (byte[0] < 0x80)
        return byte[0] != 0;
    const size_t length = in(byte[0], 0xc2, 0xdf) ? 2 : in(byte[0], 0xe0, 0xef) ? 3 : in(byte[0], 0xf0, 0xf4) ? 4 : 0;
    if (length == 0 || !second_byte_fits(byte[0], byte[1]))
        return 0;
    for (size_t i = 2; i < length; i++)
        if (!in(byte[i], 0x80, 0xbf))
            return 0;
    return length;
}

/* What to step over: a code point, or one ill-formed byte. */
static size_t step(const char *text)
{
    const size_t length = pk_utf8_length(text);
    return length ? length : 1;
}

size_t pk_utf8_count(const char *text)
{
    size_t count = 0;
    for (; *text; text += step(text))
        count++;
    return count;
}

size_t pk_utf8_bytes(const char *text, size_t points)
{
    size_t bytes = 0;
    for (; points > 0 && text[bytes]; points--)
        bytes += step(text + bytes);
    return bytes;
}

char *pk_utf8_clean(const char *text)
{
    char *clean = malloc(3 * strlen(text) + 1); /* at worst every byte becomes the three of U+FFFD */
    if (!clean)
        return NULL;
    char *to = clean;
    while (*text) {
        const size_t length = pk_utf8_length(text);
        memcpy(to, length ? text : "\xef\xbf\xbd", length ? length : 3);
        to += length ? length : 3;
        text += length ? length : 1;
    }
    *to = 0;
    return clean;
}
