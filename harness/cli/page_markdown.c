/* A page as Markdown (GFM 0.29: tables). */
#include <stdlib.h>
#include <string.h>

#include "page_block.h"
#include "quote.h"

static void put_stretch(FILE *out, const char *text, bool is_code, bool is_strong)
{
    char *quoted = is_code ? cli_markdown_code(text) : cli_markdown(text);
    fprintf(out, "%s%s%s", is_strong ? "**" : "", quoted, is_strong ? "**" : "");
    free(quoted);
}

/* In new memory. */
static char *markdown(const char *text, const char *newline)
{
    char *written = NULL;
    size_t bytes;
    FILE *memory = open_memstream(&written, &bytes);
    if (!memory)
        return cli_copy("", 0);
    page_put_text(memory, text, put_stretch, newline);
    fclose(memory);
    return written;
}

static void put_prose(FILE *out, const char *before, const char *text, size_t width, size_t indent)
{
    char *quoted = markdown(text, "\n"), *line = cli_format("%s%s", before, quoted);
    cli_wrap(out, width, indent, line);
    free(line);
    free(quoted);
}

static void put_row(FILE *out, const page_block *table, size_t row)
{
    fputs("|", out);
    for (size_t i = 0; i < table->columns; i++) {
        char *cell = markdown(table->cells.names[row * table->columns + i], " ");
        fprintf(out, " %s |", cell);
        free(cell);
    }
    fputc('\n', out);
}

static void put_table(FILE *out, const page_block *table)
{
    const size_t rows = table->cells.count / table->columns;
    for (size_t row = 0; row < rows; row++) {
        put_row(out, table, row);
        if (row)
            continue;
        fputs("|", out);
        for (size_t i = 0; i < table->columns; i++)
            fputs(table->right >> i & 1 ? "---:|" : "---|", out);
        fputc('\n', out);
    }
}

static void put_figure(FILE *out, const page_block *figure, size_t width)
{
    char *caption = cli_markdown(figure->text);
    fprintf(out, "![%s](%s)\n\n", caption, figure->file);
    put_prose(out, "", figure->text, width, 0);
    free(caption);
}

static void put_lines(FILE *out, const char *text)
{
    fputs("```\n", out);
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        char *one = cli_copy(line, strcspn(line, "\n")), *plain = cli_plain(one);
        fprintf(out, "%s\n", strncmp(plain, "```", 3) ? plain : " ```"); /* no line ends the block */
        free(plain);
        free(one);
    }
    fputs("```\n", out);
}

void page_put_markdown(const page *from, FILE *out, size_t width)
{
    for (size_t i = 0; i < from->count; i++) {
        const page_block *block = &from->blocks[i];
        const bool ends_list = block->kind == PAGE_ITEM && i + 1 < from->count && from->blocks[i + 1].kind != PAGE_ITEM;
        if (block->kind == PAGE_HEADING)
            fprintf(out, "%.*s ", block->level, "######");
        if (block->kind == PAGE_HEADING || block->kind == PAGE_PARAGRAPH || block->kind == PAGE_FOLD)
            put_prose(out, "", block->text, block->kind == PAGE_HEADING ? (size_t)-1 : width, 0);
        if (block->kind == PAGE_ITEM)
            put_prose(out, "- ", block->text, width, 2);
        if (block->kind == PAGE_TABLE)
            put_table(out, block);
        if (block->kind == PAGE_LINES)
            put_lines(out, block->text);
        if (block->kind == PAGE_FIGURE)
            put_figure(out, block, width);
        if (block->kind != PAGE_UNFOLD && (block->kind != PAGE_ITEM || ends_list))
            fputc('\n', out);
    }
}
