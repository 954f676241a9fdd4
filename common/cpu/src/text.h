/* Text that grows in a buffer, and stops at its end. */
#ifndef PK_CPU_TEXT_H
#define PK_CPU_TEXT_H

#include <stdarg.h>
#include <stdio.h>

struct pk_text {
    char *at;
    size_t left;
};

static inline __attribute__((format(printf, 2, 3))) void pk_put(struct pk_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(text->at, text->left, format, arguments);
    va_end(arguments);
    const size_t used = n < 0 ? 0 : (size_t)n < text->left ? (size_t)n : text->left - 1;
    text->at += used;
    text->left -= used;
}

#endif
