/* Text from files, made harmless for what it is written into. */
#include "quote.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "pk/utf8.h"

bool cli_is_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const size_t first = strspn(text, letters);
    return first > 0 && text[first + strspn(text + first, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                          "0123456789._+-")] == '\0';
}

size_t cli_line_of_no_text(const char *source, size_t bytes)
{
    size_t line = 1;
    for (size_t at = 0; at < bytes; line += source[at++] == '\n') {
        const size_t length = pk_utf8_length(source + at);
        if (!length)
            return line;
        at += length - 1;
    }
    return 0;
}

/* ---- terminal ---- */

static uint32_t code_point(const char *text, size_t length)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = (unsigned char)text[0] & lead_bits[length];
    for (size_t i = 1; i < length; i++)
        point = point << 6 | ((unsigned char)text[i] & 0x3fu);
    return point;
}

/* C0 and C1 (U+009B alone begins an escape sequence), line and paragraph separators, and what turns the direction of
 * writing (Unicode 15, 23.2 and UAX 9). */
static bool moves_a_terminal(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x061c || point == 0x200e || point == 0x200f ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

char *cli_plain(const char *text)
{
    char *plain = cli_grow(NULL, 3 * strlen(text) + 1, 1), *to = plain; /* a byte becomes at most the three of U+FFFD */
    while (*text) {
        const size_t length = pk_utf8_length(text);
        if (!length) {
            memcpy(to, "\xef\xbf\xbd", 3);
            to += 3;
        } else if (moves_a_terminal(code_point(text, length))) {
            *to++ = ' ';
        } else {
            memcpy(to, text, length);
            to += length;
        }
        text += length ? length : 1;
    }
    *to = '\0';
    return plain;
}

/* ---- Markdown ---- */

/* CommonMark 0.31, 2.4: a backslash before ASCII punctuation makes it text. These begin markup within a line, a _ not
 * between letters; others only at a line's beginning, where no text of ours stands. */
static bool is_markup(const char *text, size_t at)
{
    if (text[at] == '_')
        return !(at > 0 && isalnum((unsigned char)text[at - 1]) && isalnum((unsigned char)text[at + 1]));
    return strchr("\\`*[]<>|&~!$", text[at]) != NULL;
}

char *cli_markdown(const char *text)
{
    char *plain = cli_plain(text);
    char *quoted = cli_grow(NULL, 2 * strlen(plain) + 1, 1), *to = quoted;
    for (size_t at = 0; plain[at]; at++) {
        if (is_markup(plain, at))
            *to++ = '\\';
        *to++ = plain[at];
    }
    *to = '\0';
    free(plain);
    return quoted;
}

static size_t longest_run(const char *text, char letter)
{
    size_t longest = 0, run = 0;
    for (; *text; text++) {
        run = *text == letter ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* CommonMark 6.1: a code span ends at as many backticks as it began with; a blank on each side keeps those of the text
 * apart from the fence. A table's cell ends at a bar all the same, unless a backslash stands before it (GFM 4.10). */
char *cli_markdown_code(const char *text)
{
    char *plain = cli_plain(text);
    const size_t fence = longest_run(plain, '`') + 1;
    const char *apart = fence > 1 ? " " : "";
    char *inside = cli_grow(NULL, 2 * strlen(plain) + 1, 1), *to = inside, *ticks = cli_grow(NULL, fence + 1, 1);
    for (const char *from = plain; *from; from++) {
        if (*from == '|')
            *to++ = '\\';
        *to++ = *from;
    }
    *to = '\0';
    memset(ticks, '`', fence);
    ticks[fence] = '\0';
    char *span = cli_format("%s%s%s%s%s", ticks, apart, *inside ? inside : " ", apart, ticks);
    free(ticks);
    free(inside);
    free(plain);
    return span;
}

/* ---- a shell ---- */

char *cli_shell_word(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./,:@%^";
    if (*word && word[strspn(word, plain)] == '\0')
        return cli_copy(word, strlen(word));
    char *quoted = cli_copy("'", 1);
    for (bool more = true; more; word++) {
        const size_t length = strcspn(word, "'");
        more = word[length] != '\0';
        char *longer = cli_format("%s%.*s%s", quoted, (int)length, word, more ? "'\\''" : "'");
        free(quoted);
        quoted = longer;
        word += length;
    }
    return quoted;
}

/* ---- gnuplot ---- */

void cli_put_gnuplot(FILE *file, const char *text)
{
    char *plain = cli_plain(text);
    fputc('\'', file);
    for (const char *from = plain; *from; from++)
        fputs(*from == '\'' ? "''" : (char[]){*from, '\0'}, file);
    fputc('\'', file);
    free(plain);
}

void cli_put_gnuplot_string(FILE *file, const char *name, const char *value)
{
    fprintf(file, "%s = ", name);
    cli_put_gnuplot(file, value);
    fputc('\n', file);
}
