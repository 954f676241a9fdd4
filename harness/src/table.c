/* A table of text cells for a terminal. */
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"
#include "pk/utf8.h"

struct pk_table {
    size_t columns, rows, capacity; /* rows include the heading */
    unsigned right;
    char **cells; /* [rows][columns] */
};

enum {
    GAP = 2,      /* blanks between columns */
    NARROWEST = 4 /* a column is not cut below one letter and "..." */
};

static void out_of_memory(void)
{
    (void)fputs("table: out of memory\n", stderr);
    exit(pk_exit_code(PK_USAGE));
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

/* The widest left-aligned column that can still be cut; `columns` when there is none. */
static size_t column_to_cut(const pk_table *table, const size_t *widths)
{
    size_t widest = table->columns;
    for (size_t i = 0; i < table->columns; i++)
        if (!is_right(table, i) && widths[i] > NARROWEST && (widest == table->columns || widths[i] > widths[widest]))
            widest = i;
    return widest;
}

static void find_widths(const pk_table *table, size_t *widths, size_t limit)
{
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        const size_t width = pk_utf8_count(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    while (total_width(widths, table->columns) > limit) {
        const size_t cut = column_to_cut(table, widths);
        if (cut == table->columns)
            return;
        widths[cut]--;
    }
}

static void print_blanks(FILE *out, size_t count)
{
    (void)fprintf(out, "%*s", (int)count, "");
}

static void print_cell(FILE *out, const char *cell, size_t width, bool right, bool last)
{
    const size_t points = pk_utf8_count(cell);
    const bool cut = points > width;
    const size_t blanks = cut ? 0 : width - points;
    if (right)
        print_blanks(out, blanks);
    (void)fwrite(cell, 1, pk_utf8_bytes(cell, cut ? width - 3 : points), out);
    if (cut)
        (void)fputs("...", out);
    if (!right && !last) /* nothing trails a line */
        print_blanks(out, blanks);
    if (!last)
        print_blanks(out, GAP);
}

void pk_table_print(const pk_table *table, FILE *out, size_t width, bool colour)
{
    size_t *widths = calloc(table->columns ? table->columns : 1, sizeof *widths);
    if (!widths)
        out_of_memory();
    find_widths(table, widths, width);
    for (size_t row = 0; row < table->rows; row++) {
        const bool bold = colour && row == 0;
        (void)fputs(bold ? "\033[1m" : "", out);
        for (size_t i = 0; i < table->columns; i++)
            print_cell(out, table->cells[row * table->columns + i], widths[i], is_right(table, i),
                       i + 1 == table->columns);
        (void)fputs(bold ? "\033[0m\n" : "\n", out);
    }
    free(widths);
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
