/* A page as HTML that needs nothing but itself: style and figures are in it, and a browser is told to fetch nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "page_block.h"
#include "quote.h"

/* Readable in grey and on paper; on a telephone a table or figure scrolls by itself, and the page does not. */
static const char style[] =
    ":root{color-scheme:light}*{box-sizing:border-box}"
    "body{margin:0 auto;padding:1rem;max-width:64rem;font:1rem/1.5 system-ui,sans-serif;color:#111;background:#fff;"
    "overflow-wrap:break-word}"
    "h1{font-size:1.6rem;line-height:1.2;margin:.5rem 0 1rem}"
    "h2{font-size:1.3rem;line-height:1.25;margin:2.5rem 0 .75rem;padding-top:.75rem;border-top:2px solid #111}"
    "h3{font-size:1.05rem;margin:1.75rem 0 .5rem}p,ul{margin:.5rem 0 .75rem}ul{padding-left:1.25rem}"
    "nav ul{columns:16rem;list-style:none;padding:0}nav a{display:inline-block;padding:.2rem 0}a{color:#1f5fa8}"
    "code{font:.9em ui-monospace,monospace;background:#f2f2f2;padding:.05em .25em}"
    "pre{font:.85rem/1.45 ui-monospace,monospace;background:#f2f2f2;padding:.75rem;white-space:pre-wrap;margin:.5rem 0 "
    "1rem}"
    ".wide{overflow-x:auto;margin:.5rem 0 1rem;"
    /* Where there is more beside it, a shadow: what it has at its end covers that, and scrolls along. */
    "background:linear-gradient(90deg,#fff 40%,#fff0) 0/3rem 100% local,linear-gradient(270deg,#fff 40%,#fff0) "
    "100%/3rem "
    "100% local,linear-gradient(90deg,#0003,#0000) 0/.8rem 100% scroll,linear-gradient(270deg,#0003,#0000) 100%/.8rem "
    "100% scroll;background-repeat:no-repeat}table{border-collapse:collapse;font-size:.9rem;"
    "font-variant-numeric:tabular-nums}th,td{padding:.25rem .6rem;text-align:left;vertical-align:top;"
    "border-bottom:1px solid #ddd}thead th{border-bottom:2px solid #111}"
    "td{white-space:nowrap}.r{text-align:right}.long{white-space:normal;min-width:14rem;max-width:26rem}"
    ".figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr));gap:1.5rem;margin:1rem "
    "0}"
    "figure{margin:0;break-inside:avoid}figure img{width:100%;max-width:30rem;height:auto;display:block}"
    "figcaption{font-size:.85rem;line-height:1.4;color:#333;margin-top:.25rem}"
    "details{margin:.5rem 0 1rem}summary{cursor:pointer;padding:.4rem 0}"
    "@media(max-width:40rem){table{font-size:.75rem}th,td{padding:.2rem .3rem}thead "
    "th,td:first-child{white-space:normal}"
    ".long{min-width:11rem}}"
    "@media print{body{max-width:none;padding:0;font-size:9.5pt}nav{display:none}a{color:inherit;text-decoration:none}"
    ".wide{overflow:visible;background:none}table{font-size:7.5pt}th,td{padding:1pt 3pt}td{white-space:normal}"
    "h1,h2,h3{break-after:avoid}tr{break-inside:avoid}.figures{grid-template-columns:1fr 1fr}"
    "thead{display:table-header-group}.long{min-width:0}"
    "details::details-content{content-visibility:visible;block-size:auto}}";

/* ---- text ---- */

static void put_escaped(FILE *out, const char *text)
{
    char *plain = cli_plain(text);
    for (const char *from = plain; *from; from++) {
        const char *entity = *from == '&'    ? "&amp;"
                             : *from == '<'  ? "&lt;"
                             : *from == '>'  ? "&gt;"
                             : *from == '"'  ? "&quot;"
                             : *from == '\'' ? "&#39;"
                                             : NULL;
        if (entity)
            fputs(entity, out);
        else
            fputc(*from, out);
    }
    free(plain);
}

static void put_stretch(FILE *out, const char *text, bool is_code, bool is_strong)
{
    fputs(is_strong ? "<strong>" : "", out);
    fputs(is_code ? "<code>" : "", out);
    put_escaped(out, text);
    fputs(is_code ? "</code>" : "", out);
    fputs(is_strong ? "</strong>" : "", out);
}

static void put_text(FILE *out, const char *text)
{
    page_put_text(out, text, put_stretch, "<br>\n");
}

static void put_letters(FILE *out, const char *text, bool is_code, bool is_strong)
{
    (void)is_code, (void)is_strong;
    put_escaped(out, text);
}

/* ---- blocks ---- */

/* RFC 4648, 4. */
static void put_base64(FILE *out, const char *data, size_t bytes)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes; i += 3) {
        const size_t left = bytes - i;
        const uint32_t three = (uint32_t)(unsigned char)data[i] << 16 |
                               (uint32_t)(unsigned char)(left > 1 ? data[i + 1] : 0) << 8 |
                               (unsigned char)(left > 2 ? data[i + 2] : 0);
        fputc(letters[three >> 18], out);
        fputc(letters[three >> 12 & 63], out);
        fputc(left > 1 ? letters[three >> 6 & 63] : '=', out);
        fputc(left > 2 ? letters[three & 63] : '=', out);
    }
}

static void put_figure(FILE *out, const page_block *figure)
{
    fputs("<figure><img alt=\"", out);
    put_escaped(out, figure->text);
    fputs("\" src=\"data:image/svg+xml;base64,", out);
    put_base64(out, figure->image, figure->image_bytes);
    fputs("\"><figcaption>", out);
    put_escaped(out, figure->text);
    fputs("</figcaption></figure>\n", out);
}

/* A column of sentences is not made narrow. */
static bool is_long(const page_block *table, size_t column)
{
    enum { SENTENCE = 40 };
    for (size_t i = table->columns + column; i < table->cells.count; i += table->columns)
        if (strlen(table->cells.names[i]) > SENTENCE)
            return true;
    return false;
}

static void put_table(FILE *out, const page_block *table)
{
    const size_t rows = table->cells.count / table->columns;
    fputs("<div class=\"wide\" tabindex=\"0\"><table>\n", out);
    for (size_t row = 0; row < rows; row++) {
        const char *cell = row ? "td" : "th";
        fputs(row ? "<tr>" : "<thead><tr>", out);
        for (size_t i = 0; i < table->columns; i++) {
            const bool right = table->right >> i & 1;
            fprintf(out, "<%s%s>", cell, right ? " class=\"r\"" : row && is_long(table, i) ? " class=\"long\"" : "");
            put_text(out, table->cells.names[row * table->columns + i]);
            fprintf(out, "</%s>", cell);
        }
        fputs(row ? "</tr>\n" : "</tr></thead>\n", out);
    }
    fputs("</table></div>\n", out);
}

static void put_heading(FILE *out, const page_block *block, size_t number)
{
    if (block->level == 2)
        fprintf(out, "<h2 id=\"s%zu\">", number);
    else
        fprintf(out, "<h%d>", block->level);
    put_text(out, block->text);
    fprintf(out, "</h%d>\n", block->level);
}

static void put_contents(const page *from, FILE *out)
{
    fputs("<nav><ul>\n", out);
    for (size_t i = 0; i < from->count; i++) {
        if (from->blocks[i].kind != PAGE_HEADING || from->blocks[i].level != 2)
            continue;
        fprintf(out, "<li><a href=\"#s%zu\">", i);
        put_text(out, from->blocks[i].text);
        fputs("</a></li>\n", out);
    }
    fputs("</ul></nav>\n", out);
}

static void put_wrapped(FILE *out, const char *before, const char *text, const char *after)
{
    fputs(before, out);
    put_text(out, text);
    fputs(after, out);
}

/* `before` and `after` are the block's neighbours; NULL where it has none. */
static void put_block(FILE *out, const page_block *block, size_t i, const page_block *before, const page_block *after)
{
    const bool is_first = !before || before->kind != block->kind;
    const bool is_last = !after || after->kind != block->kind;
    switch (block->kind) {
    case PAGE_HEADING:
        put_heading(out, block, i);
        break;
    case PAGE_PARAGRAPH:
        put_wrapped(out, "<p>", block->text, "</p>\n");
        break;
    case PAGE_ITEM:
        put_wrapped(out, is_first ? "<ul>\n<li>" : "<li>", block->text, is_last ? "</li>\n</ul>\n" : "</li>\n");
        break;
    case PAGE_LINES:
        fputs("<pre>", out);
        page_put_text(out, block->text, put_letters, "\n");
        fputs("</pre>\n", out);
        break;
    case PAGE_TABLE:
        put_table(out, block);
        break;
    case PAGE_FIGURE:
        fputs(is_first ? "<div class=\"figures\">\n" : "", out);
        put_figure(out, block);
        fputs(is_last ? "</div>\n" : "", out);
        break;
    case PAGE_FOLD:
        put_wrapped(out, "<details><summary>", block->text, "</summary>\n");
        break;
    case PAGE_UNFOLD:
        fputs("</details>\n", out);
        break;
    }
}

void page_put_html(const page *from, FILE *out)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
          "style-src 'unsafe-inline'\">\n<title>",
          out);
    if (from->count)
        page_put_text(out, from->blocks[0].text, put_letters, " ");
    fprintf(out, "</title>\n<style>%s</style>\n</head>\n<body>\n", style);
    for (size_t i = 0; i < from->count; i++) {
        const page_block *block = &from->blocks[i];
        put_block(out, block, i, i ? block - 1 : NULL, i + 1 < from->count ? block + 1 : NULL);
        if (i == 0)
            put_contents(from, out);
    }
    fputs("</body>\n</html>\n", out);
}
