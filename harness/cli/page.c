/* Making up a page. */
#include "page.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "page_block.h"

page *page_new(void)
{
    page *made = cli_grow(NULL, 1, sizeof *made);
    *made = (page){NULL, 0};
    return made;
}

void page_free(page *to)
{
    for (size_t i = 0; to && i < to->count; i++) {
        page_block *block = &to->blocks[i];
        cli_names_free(&block->cells);
        free(block->text);
        free(block->file);
        free(block->image);
    }
    if (to)
        free(to->blocks);
    free(to);
}

static page_block *add(page *to, page_kind kind, char *text)
{
    to->blocks = cli_grow(to->blocks, to->count + 1, sizeof *to->blocks);
    page_block *block = &to->blocks[to->count++];
    *block = (page_block){.kind = kind, .text = text};
    return block;
}

static char *formatted(const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        return cli_copy("", 0);
    return text;
}

void page_heading(page *to, int level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(to, PAGE_HEADING, formatted(format, arguments))->level = level;
    va_end(arguments);
}

void page_text(page *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(to, PAGE_PARAGRAPH, formatted(format, arguments));
    va_end(arguments);
}

void page_item(page *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(to, PAGE_ITEM, formatted(format, arguments));
    va_end(arguments);
}

void page_code(page *to, const char *text)
{
    add(to, PAGE_LINES, cli_copy(text, strlen(text)));
}

void page_table(page *to, size_t columns, uint64_t right)
{
    page_block *block = add(to, PAGE_TABLE, cli_copy("", 0));
    block->columns = columns;
    block->right = right;
}

void page_cell(page *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = formatted(format, arguments);
    va_end(arguments);
    cli_names_add(&to->blocks[to->count - 1].cells, text);
    free(text);
}

void page_figure(page *to, const char *file, const char *image, size_t bytes, const char *caption)
{
    page_block *block = add(to, PAGE_FIGURE, cli_copy(caption, strlen(caption)));
    block->file = cli_copy(file, strlen(file));
    block->image = cli_copy(image, bytes);
    block->image_bytes = bytes;
}

void page_fold(page *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(to, PAGE_FOLD, formatted(format, arguments));
    va_end(arguments);
}

void page_unfold(page *to)
{
    add(to, PAGE_UNFOLD, cli_copy("", 0));
}

void page_each_figure(const page *from, void (*visit)(const char *file, const char *image, size_t bytes, void *context),
                      void *context)
{
    for (size_t i = 0; i < from->count; i++)
        if (from->blocks[i].kind == PAGE_FIGURE)
            visit(from->blocks[i].file, from->blocks[i].image, from->blocks[i].image_bytes, context);
}

void page_put_text(FILE *out, const char *text, page_put put, const char *newline)
{
    bool is_code = false, is_strong = false;
    while (*text) {
        const size_t length = strcspn(text, PAGE_CODE PAGE_STRONG "\n");
        char *stretch = cli_copy(text, length);
        if (length)
            put(out, stretch, is_code, is_strong);
        free(stretch);
        text += length;
        is_code ^= *text == PAGE_CODE[0];
        is_strong ^= *text == PAGE_STRONG[0];
        if (*text == '\n')
            fputs(newline, out);
        text += *text != '\0';
    }
}
