/* A page as a command makes it up, block by block: written as Markdown, or as HTML that needs nothing but itself. All
 * text is shown letter by letter and never markup, whatever a file's strings hold. Within a text PAGE_CODE begins and
 * ends code, PAGE_STRONG what stands out, and a newline is a new line; no string that cli_plain made has any of them.
 */
#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include <stdint.h>

#include "cli.h"

#define PAGE_CODE "\x01"
#define PAGE_STRONG "\x02"

typedef struct page page;

page *page_new(void);
void page_free(page *to);

#if defined(__GNUC__)
#define PAGE_PRINTF(format_at) __attribute__((format(printf, (format_at), (format_at) + 1)))
#else
#define PAGE_PRINTF(format_at)
#endif

/* The first heading of level 1 is the page's title; those of level 2 are in HTML's table of contents. */
PAGE_PRINTF(3) void page_heading(page *to, int level, const char *format, ...);
PAGE_PRINTF(2) void page_text(page *to, const char *format, ...); /* a paragraph */
PAGE_PRINTF(2) void page_item(page *to, const char *format, ...); /* of a list: items that follow each other */
void page_code(page *to, const char *text);                       /* lines as they are: a command */

/* A table whose first row is its heading. `right`: bit i set for a column that is aligned to the right. */
void page_table(page *to, size_t columns, uint64_t right);
PAGE_PRINTF(2) void page_cell(page *to, const char *format, ...); /* the next one of the table begun last */

/* A figure: `file` is its name beside a page in Markdown, which HTML does not need; `image` an SVG, which is copied. */
void page_figure(page *to, const char *file, const char *image, size_t bytes, const char *caption);

/* What is between the two is folded in HTML until its line is chosen, and always there on paper. */
PAGE_PRINTF(2) void page_fold(page *to, const char *format, ...);
void page_unfold(page *to);

void page_put_markdown(const page *from, FILE *out, size_t width); /* prose is broken to `width` columns */
void page_put_html(const page *from, FILE *out);

/* Every figure of the page, for who writes the files beside it. */
void page_each_figure(const page *from, void (*visit)(const char *file, const char *image, size_t bytes, void *context),
                      void *context);

#endif
