/* A table of text cells for a terminal. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "pk/host.h"
#include "pk/utf8.h"

struct pk_table {
    size_t columns, rows, capacity; /* rows include the heading */
    unsigned right;
    char **cells; /* [rows][columns] */
};

enum {
    GAP = 2,             /* blanks between columns */
    WIDEST = 80,         /* columns that lines of this repository's programs have on any terminal */
    NARROWEST = 20,      /* a terminal of fewer is taken for one that does not know */
    NARROWEST_VALUE = 16 /* in which a cell is folded where rows stand as lists */
};

static void out_of_memory(void)
{
    const int code = pk_exit_code(pk_out_of_memory("table"));
    (void)fprintf(stderr, "%s\n", pk_error_text());
    exit(code);
}

pk_table *pk_table_new(size_t columns, unsigned right)
{
    pk_table *table = calloc(1, sizeof *table);
    if (!table)
        out_of_memory();
    else {
        table->columns = columns;
        table->right = right;
    }
    return table;
}

void pk_table_row(pk_table *table, const char *const *cells)
{
    if (table->rows == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 16;
        char **grown = realloc(table->cells, table->capacity * table->columns * sizeof *grown);
        if (!grown)
            out_of_memory();
        table->cells = grown;
    }
    for (size_t i = 0; i < table->columns; i++) {
        char *copy = strdup(cells[i] ? cells[i] : "");
        if (!copy)
            out_of_memory();
        table->cells[table->rows * table->columns + i] = copy;
    }
    table->rows++;
}

static bool is_right(const pk_table *table, size_t column)
{
    return column < 8 * sizeof table->right && (table->right >> column & 1u);
}

static size_t total_width(const size_t *widths, size_t columns)
{
    size_t total = columns > 1 ? (columns - 1) * GAP : 0;
    for (size_t i = 0; i < columns; i++)
        total += widths[i];
    return total;
}

/* Bytes of the text that fit a line of `width` code points, up to a blank, and at least a word: none is cut. */
static size_t folded(const char *text, size_t width)
{
    size_t bytes = 0;
    while (text[bytes]) {
        const size_t word = bytes + strspn(text + bytes, " ") + strcspn(text + bytes + strspn(text + bytes, " "), " ");
        char *line = strndup(text, word);
        if (!line)
            out_of_memory();
        const bool fits = pk_utf8_count(line) <= width;
        free(line);
        if (!fits && bytes > 0)
            return bytes;
        bytes = word;
    }
    return bytes;
}

static size_t longest_word(const char *text)
{
    size_t longest = 0;
    while (*text) {
        const size_t bytes = folded(text, 0);
        char *word = strndup(text, bytes);
        if (!word)
            out_of_memory();
        const size_t points = pk_utf8_count(word + strspn(word, " "));
        free(word);
        longest = points > longest ? points : longest;
        text += bytes;
    }
    return longest;
}

/* The widest column that can be folded further; `columns` when there is none. */
static size_t column_to_fold(const pk_table *table, const size_t *widths, const size_t *least)
{
    size_t widest = table->columns;
    for (size_t i = 0; i < table->columns; i++)
        if (!is_right(table, i) && widths[i] > least[i] && (widest == table->columns || widths[i] > widths[widest]))
            widest = i;
    return widest;
}

/* The columns' widths in lines of `limit` columns (0: of any); false when even folded the table is wider. */
static bool find_widths(const pk_table *table, size_t *widths, size_t limit)
{
    size_t *least = calloc(table->columns + 1, sizeof *least);
    if (!least)
        out_of_memory();
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        const size_t column = i % table->columns;
        const size_t width = pk_utf8_count(table->cells[i]), word = longest_word(table->cells[i]);
        widths[column] = width > widths[column] ? width : widths[column];
        least[column] = word > least[column] ? word : least[column];
    }
    bool fits = true;
    while (limit && fits && total_width(widths, table->columns) > limit) {
        const size_t column = column_to_fold(table, widths, least);
        fits = column < table->columns;
        if (fits)
            widths[column]--;
    }
    free(least);
    return fits;
}

/* Blanks are held back until something follows them, so that none ends a line. */
static void put(FILE *out, size_t *blanks, const char *text, size_t bytes)
{
    if (!bytes)
        return;
    (void)fprintf(out, "%*s", (int)*blanks, "");
    (void)fwrite(text, 1, bytes, out);
    *blanks = 0;
}

/* One line of a cell, from `*rest` on, which moves behind it. */
static void print_part(FILE *out, size_t *blanks, const char **rest, size_t width, bool right)
{
    const char *text = *rest + strspn(*rest, " ");
    const size_t bytes = folded(text, width);
    char *line = strndup(text, bytes);
    if (!line)
        out_of_memory();
    const size_t points = pk_utf8_count(line), fill = points < width ? width - points : 0;
    free(line);
    *blanks += right ? fill : 0;
    put(out, blanks, text, bytes);
    *blanks += right ? 0 : fill;
    *rest = text + bytes;
}

static void print_row(const pk_table *table, FILE *out, const size_t *widths, size_t row, const char **rest, bool bold)
{
    memcpy(rest, &table->cells[row * table->columns], table->columns * sizeof *rest);
    for (bool more = true; more;) {
        size_t blanks = 0;
        more = false;
        (void)fputs(bold ? "\033[1m" : "", out);
        for (size_t i = 0; i < table->columns; i++) {
            print_part(out, &blanks, &rest[i], widths[i], is_right(table, i));
            blanks += GAP;
            more |= *rest[i] != '\0';
        }
        (void)fputs(bold ? "\033[0m\n" : "\n", out);
    }
}

/* For a table that is too wide: each row under its first cell, a line a further cell, with its heading before it. */
static void print_lists(const pk_table *table, FILE *out, size_t limit, bool colour)
{
    size_t widest = 0;
    for (size_t i = 1; i < table->columns; i++) {
        const size_t points = pk_utf8_count(table->cells[i]);
        widest = points > widest ? points : widest;
    }
    const size_t before = GAP + widest + GAP;
    const size_t width = limit > before + NARROWEST_VALUE ? limit - before : NARROWEST_VALUE;
    for (size_t row = 1; row < table->rows; row++) {
        const char *const *cells = (const char *const *)&table->cells[row * table->columns];
        (void)fprintf(out, "%s%s%s\n", colour ? "\033[1m" : "", cells[0], colour ? "\033[0m" : "");
        for (size_t i = 1; i < table->columns; i++) {
            const char *rest = cells[i], *heading = table->cells[i];
            do {
                size_t blanks = GAP;
                print_part(out, &blanks, &heading, widest, false);
                blanks += GAP;
                print_part(out, &blanks, &rest, width, false);
                (void)fputc('\n', out);
            } while (*rest);
        }
    }
}

void pk_table_print(const pk_table *table, FILE *out, size_t width, bool colour)
{
    size_t *widths = calloc(table->columns + 1, sizeof *widths);
    const char **rest = calloc(table->columns + 1, sizeof *rest);
    if (!widths || !rest)
        out_of_memory();
    const bool fits = find_widths(table, widths, width);
    for (size_t row = 0; row < table->rows && fits; row++)
        print_row(table, out, widths, row, rest, colour && row == 0);
    if (!fits)
        print_lists(table, out, width, colour);
    free(rest);
    free(widths);
}

size_t pk_text_width(FILE *out)
{
    struct winsize size;
    const int file = fileno(out);
    if (file < 0 || !isatty(file))
        return 0;
    if (ioctl(file, TIOCGWINSZ, &size) != 0 || size.ws_col < NARROWEST || size.ws_col > WIDEST)
        return WIDEST;
    return size.ws_col;
}

void pk_table_free(pk_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->rows * table->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}
