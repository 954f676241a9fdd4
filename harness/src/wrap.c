#include <stdio.h>
#include <string.h>

#include "print.h"

enum { WIDTH = 80 };

/* Text in lines of at most WIDTH columns, broken at spaces, the second line on by two. A word that is longer stays
 * whole: it is a path, to be copied. */
void pk_print_wrapped(FILE *out, const char *text)
{
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > WIDTH) {
            fprintf(out, "\n  ");
            column = 2;
        } else if (column > 0) {
            fprintf(out, " ");
            column++;
        }
        fprintf(out, "%.*s", (int)word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    fprintf(out, "\n");
}
