/* Which byte may follow in a character of UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing over
 * U+10FFFF. For the sources of pk_model. */
#ifndef PK_UTF8_STEP_H
#define PK_UTF8_STEP_H

#include <stdbool.h>

/* Bytes of the character that `lead` begins; 0: none begins so. */
static inline int pk_utf8_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Whether `next` may be byte `index` (1 to 3) of the character that `lead` begins. */
static inline bool pk_utf8_follows(unsigned char lead, int index, unsigned char next)
{
    unsigned char low = 0x80, high = 0xbf;
    if (index == 1) {
        low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : low;
        high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : high;
    }
    return next >= low && next <= high;
}

#endif
