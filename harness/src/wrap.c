/* Prose on a terminal, however narrow. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "pk/host.h"

enum { WIDTH = 80 }; /* where it is no terminal */

/* Words behind what fills `column` columns already. A word that is longer than a line stays whole: it is a path, to be
 * copied. */
static void put_words(FILE *out, size_t column, size_t indent, const char *text)
{
    const size_t terminal = pk_text_width(out), width = terminal ? terminal : WIDTH;
    bool first = true;
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        const size_t word = strcspn(text, " ");
        if (!first && column + 1 + word > width) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)word, text);
        column += word;
        text += word;
        first = false;
    }
    fputc('\n', out);
}

void pk_print_wrapped(FILE *out, const char *text)
{
    put_words(out, 0, 2, text);
}

void pk_print_option(FILE *out, const char *option, const char *text)
{
    enum { BEHIND = 21 };
    const int printed = fprintf(out, "  %-*s ", BEHIND - 3, option);
    put_words(out, printed > 0 ? (size_t)printed : BEHIND, BEHIND, text);
}
