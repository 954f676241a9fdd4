/* Every string that comes from a file is data: never a command to gnuplot, markup of a page or an order to a terminal.
 * The loader (results.c) lets names in only where cli_is_name holds, and all other text as cli_plain leaves it; what
 * writes for gnuplot or as Markdown quotes it with the functions below, once more and whatever it is. */
#ifndef CLI_QUOTE_H
#define CLI_QUOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The line, from 1, of the first of `bytes` bytes that is not text in UTF-8, or that a text has no use for; 0 when all
 * is well. */
size_t cli_line_of_no_text(const char *source, size_t bytes);

/* A name as labs have them (lab, knob, choice, variant, status): a letter or digit, then letters, digits and . _ + - */
bool cli_is_name(const char *text);

/* In new memory, on one line: control characters (C0 and C1, escape sequences with them), line separators and marks
 * that turn the direction of writing become blanks; bytes that are no UTF-8 become U+FFFD. */
char *cli_plain(const char *text);

/* In new memory: as a page of Markdown shows these letters, in a table's cell too. */
char *cli_markdown(const char *text);
char *cli_markdown_code(const char *text); /* the same, with its fence of backticks */

/* In new memory: a word as a shell reads it, in single quotes where it has more than letters, digits and what means
 * nothing there. */
char *cli_shell_word(const char *word);

/* A string of gnuplot. Single quotes: no backslash, backtick or $ means anything within, only the quote itself. What
 * shows it as a label still has to say `noenhanced`, or its _ ^ { } are markup. */
void cli_put_gnuplot(FILE *file, const char *text);

/* "name = 'value'" on a line */
void cli_put_gnuplot_string(FILE *file, const char *name, const char *value);

#endif
