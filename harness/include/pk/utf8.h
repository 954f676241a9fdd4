/* UTF-8, as far as columns and JSON need it. */
#ifndef PK_UTF8_H
#define PK_UTF8_H

#include <stddef.h>

/* Bytes of the code point that starts at `text`: 1 to 4, or 0 when no well-formed one does (Unicode 15, table 3-7:
 * overlong forms, surrogates and values above U+10FFFF are ill-formed). 0 at the end of the text too. */
size_t pk_utf8_length(const char *text);

/* Code points; an ill-formed byte counts as one. */
size_t pk_utf8_count(const char *text);

/* Bytes of the first `points` code points. */
size_t pk_utf8_bytes(const char *text, size_t points);

/* A copy in which each ill-formed byte is U+FFFD, for the caller to free; NULL when memory is out. */
char *pk_utf8_clean(const char *text);

#endif
