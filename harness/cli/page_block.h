/* The blocks of a page, for what makes them up (page.c) and what writes them (page_markdown.c, page_html.c). */
#ifndef CLI_PAGE_BLOCK_H
#define CLI_PAGE_BLOCK_H

#include "page.h"

typedef enum page_kind {
    PAGE_HEADING,
    PAGE_PARAGRAPH,
    PAGE_ITEM,
    PAGE_LINES,
    PAGE_TABLE,
    PAGE_FIGURE,
    PAGE_FOLD,
    PAGE_UNFOLD
} page_kind;

typedef struct page_block {
    page_kind kind;
    int level;       /* of a heading */
    char *text;      /* a figure's is its caption */
    cli_names cells; /* of a table, row by row */
    size_t columns;
    uint64_t right;
    char *file, *image;
    size_t image_bytes;
} page_block;

struct page {
    page_block *blocks;
    size_t count;
};

/* How a stretch of a text is written. */
typedef void (*page_put)(FILE *out, const char *text, bool is_code, bool is_strong);

/* The text stretch by stretch, with `newline` for its newlines. */
void page_put_text(FILE *out, const char *text, page_put put, const char *newline);

#endif
