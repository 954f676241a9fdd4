/* `calibrate`: has pk_calibrate measure this machine, and shows what a calibration says: as a table, a figure, and in
 * the formulae of docs/theory.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calibration.h"
#include "pk/host.h"
#include "pk/result.h"
#include "plot.h"
#include "quote.h"

/* ---- measuring ---- */

/* The newest calibration below `root`; NULL when there is none. */
static char *newest_in(const char *root)
{
    cli_names folders = cli_list_folder(root, "2", "");
    char *path = NULL;
    for (size_t i = folders.count; i-- > 0 && !path;) {
        path = cli_format("%s/%s/" CLI_CALIBRATION_FILE, root, folders.names[i]);
        if (!cli_exists(path)) {
            free(path);
            path = NULL;
        }
    }
    cli_names_free(&folders);
    return path;
}

static int start(const char *root, bool quick)
{
    char *program = cli_format("%s/bin/pk_calibrate", cli_build()), *out = cli_format("--out=%s", root);
    char flag[] = "--quick", *arguments[] = {program, out, quick ? flag : NULL, NULL};
    int code;
    if (access(program, X_OK) == 0)
        code = cli_run(arguments);
    else
        code = cli_failed(pk_fail(PK_USAGE, "%s is not built; ./lab calibrate builds it", program));
    free(out);
    free(program);
    return code;
}

/* ---- the table ---- */

/* Three digits, and no power of ten. */
static char *number_text(double value)
{
    return isnan(value)            ? cli_copy("-", 1)
           : fabs(value) >= 99.95  ? cli_format("%.0f", value)
           : fabs(value) >= 9.995  ? cli_format("%.1f", value)
           : fabs(value) >= 0.9995 ? cli_format("%.2f", value)
                                   : cli_format("%.3f", value);
}

static char *interval_text(const cli_figure *figure)
{
    if (isnan(figure->median))
        return cli_copy("", 0);
    char *low = number_text(figure->p10), *high = number_text(figure->p90);
    char *text = cli_format("%s to %s", low, high);
    free(high);
    free(low);
    return text;
}

static void print_table(const cli_calibration *c)
{
    static const char *const heading[] = {"figure", "median", "p10 to p90", "unit", "what"};
    enum { RIGHT = 1u << 1 | 1u << 2 };
    pk_table *table = pk_table_new(PK_COUNT(heading), RIGHT);
    pk_table_row(table, heading);
    for (size_t i = 0; i < c->count; i++) {
        const cli_figure *figure = &c->figures[i];
        char *median = number_text(figure->median), *interval = interval_text(figure);
        const char *cells[] = {figure->name, median, interval, figure->unit, figure->what};
        pk_table_row(table, cells);
        free(interval);
        free(median);
    }
    pk_table_print(table, stdout, cli_width(), pk_use_colour(stdout));
    pk_table_free(table);
}

static void print_calibration(const cli_calibration *c)
{
    char *title = cli_calibration_title(c);
    cli_say(2, "%s", title);
    putchar('\n');
    print_table(c);
    putchar('\n');
    for (size_t i = 0; i < c->count; i++)
        if (c->figures[i].reason[0])
            cli_say(2, "%s %s: %s", c->figures[i].name, c->figures[i].status, c->figures[i].reason);
    if (c->note[0])
        cli_say(2, "Note: %s.", c->note);
    if (cli_calibration_is_cpu(c))
        cli_say(2, "CPU device: a host's times, which say nothing about a GPU.");
    if (c->is_result)
        cli_say(2, "A result file tells the limits of its run, and no more: ./lab calibrate measures the rest.");
    free(title);
}

/* ---- docs/theory.md with these numbers ---- */

enum { EXAMPLE_KERNELS = 150 /* the worked example of docs/theory.md */ };

static void put_figures(FILE *out, const cli_calibration *c)
{
    fputs("| figure | median | p10 to p90 | unit | what |\n|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < c->count; i++) {
        const cli_figure *figure = &c->figures[i];
        char *median = number_text(figure->median), *interval = interval_text(figure);
        char *name = cli_markdown_code(figure->name), *what = cli_markdown(figure->what);
        fprintf(out, "| %s | %s | %s | %s | %s |\n", name, median, interval, figure->unit, what);
        free(what);
        free(name);
        free(interval);
        free(median);
    }
}

typedef struct technique {
    const char *name, *formula;
    double us; /* of K kernels without work of their own */
} technique;

static void put_techniques(FILE *out, const cli_calibration *c)
{
    const double k = EXAMPLE_KERNELS, launch = cli_calibration_value(c, "launch_us");
    const technique all[] = {
        {"launch and wait", "K `launch_sync`", k * cli_calibration_value(c, "launch_sync_us")},
        {"stream order", "K max(`launch`, `gap`)", k * cli_larger(launch, cli_calibration_value(c, "gap_us"))},
        {"programmatic dependent launch", "K max(`launch`, `pdl_gap`)",
         k * cli_larger(launch, cli_calibration_value(c, "pdl_gap_us"))},
        {"graph", "`graph_launch_sync` + (K - 1) `graph_node`",
         cli_calibration_value(c, "graph_launch_sync_us") + (k - 1) * cli_calibration_value(c, "graph_node_us")},
        {"graph, programmatic edges", "`graph_launch_sync` + (K - 1) `graph_pdl_node`",
         cli_calibration_value(c, "graph_launch_sync_us") + (k - 1) * cli_calibration_value(c, "graph_pdl_node_us")},
        {"persistent kernel", "K `barrier`", k * cli_calibration_value(c, "barrier_us")},
    };
    fprintf(out, "\n## %d kernels without work\n\n| technique | T, without the work | us |\n|---|---|---|\n",
            EXAMPLE_KERNELS);
    for (size_t i = 0; i < PK_COUNT(all); i++) {
        char *us = number_text(all[i].us);
        fprintf(out, "| %s | %s | %s |\n", all[i].name, all[i].formula, us);
        free(us);
    }
}

static void put_line(FILE *out, const char *what, const char *formula, double value, const char *unit)
{
    char *text = number_text(value);
    fprintf(out, "| %s | %s | %s%s%s |\n", what, formula, text, isnan(value) ? "" : " ", isnan(value) ? "" : unit);
    free(text);
}

static void put_consequences(FILE *out, const cli_calibration *c)
{
    const double launch = cli_calibration_value(c, "launch_us"), gap = cli_calibration_value(c, "gap_us");
    const double read = 1e3 * cli_calibration_value(c, "read_gb_per_s"); /* bytes a microsecond */
    const double launching = (double)EXAMPLE_KERNELS * launch, spare = cli_larger(launch - gap, 0);
    fputs("\n## What follows\n\n| what | formula | here |\n|---|---|---|\n", out);
    put_line(out, "share of launching beside 18 ms of work", "f = K `launch` / (18000 + K `launch`)",
             100 * launching / (18e3 + launching), "%");
    put_line(out, "the same beside 6 ms", "f = K `launch` / (6000 + K `launch`)", 100 * launching / (6e3 + launching),
             "%");
    put_line(out, "work of a kernel at which a stream is no longer issue-bound", "`launch` - `gap`", spare, "us");
    put_line(out, "bytes that are read meanwhile", "(`launch` - `gap`) `B_read`", spare * read / 1e6, "MB");
    put_line(out, "bytes under way, by Little's law", "`latency` `B_read`",
             cli_calibration_value(c, "latency_us") * read / 1e6, "MB");
}

/* The page keeps the formulae; this is what they come to. */
static void put_theory(FILE *out, const cli_calibration *c)
{
    char *title = cli_calibration_title(c), *plain = cli_markdown(title);
    fprintf(out, "# docs/theory.md with the numbers of this machine\n\n%s\n\n## Measured\n\n", plain);
    put_figures(out, c);
    put_techniques(out, c);
    put_consequences(out, c);
    fputs("\nThe first table is measured, the others are reckoned from it. A gap, a node and a barrier hold an empty "
          "kernel's own run or an empty step; what was not measured is a dash.\n",
          out);
    if (cli_calibration_is_cpu(c))
        fputs("\n**CPU device: a host's times, which say nothing about a GPU.**\n", out);
    free(plain);
    free(title);
}

static pk_status write_theory(const cli_calibration *c, const char *folder)
{
    char *text = NULL, *path = cli_format("%s/calibration.md", folder);
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    pk_status status = memory ? PK_OK : pk_out_of_memory("calibration.md");
    if (memory) {
        put_theory(memory, c);
        fclose(memory);
        status = pk_write_file(path, text, bytes);
    }
    if (status == PK_OK)
        cli_say(4, "  wrote calibration.md");
    free(text);
    free(path);
    return status;
}

/* ---- the figure ---- */

static bool is_time(const cli_figure *figure)
{
    return strcmp(figure->unit, "us") == 0;
}

/* A name without its unit, which the axis says. */
static int short_length(const cli_figure *figure)
{
    const char *end = strstr(figure->name, is_time(figure) ? "_us" : "_gb_per_s");
    return (int)(end ? (size_t)(end - figure->name) : strlen(figure->name));
}

static pk_status write_rows(const plot_figures *place, const cli_calibration *c, bool times, size_t *count)
{
    FILE *file = plot_create(place, times ? "times.dat" : "rates.dat");
    if (!file)
        return PK_USAGE;
    for (size_t i = 0; i < c->count; i++) {
        const cli_figure *figure = &c->figures[i];
        if (is_time(figure) != times || isnan(figure->median) || !cli_is_name(figure->name))
            continue;
        fprintf(file, "%zu %.*s %.17g %.17g %.17g\n", (*count)++, short_length(figure), figure->name, figure->median,
                figure->p10, figure->p90);
    }
    return plot_finish(file);
}

static pk_status write_plot(const plot_figures *place, FILE *variables, const void *data)
{
    const cli_calibration *c = data;
    size_t times = 0, rates = 0;
    pk_status status = write_rows(place, c, true, &times);
    if (status == PK_OK)
        status = write_rows(place, c, false, &rates);
    fprintf(variables, "times = %zu\nrates = %zu\nis_quick = %d\n", times, rates, c->is_quick);
    return status;
}

static pk_status draw(const cli_calibration *c, const char *folder)
{
    const plot_subject subject = {"calibration.gp", c->device, cli_calibration_is_cpu(c), c->processors, write_plot, c};
    return plot_subject_save(&subject, folder);
}

/* ---- the command ---- */

/* What a new calibration gets beside its file. Without gnuplot there is no figure, and that is no failure. */
static pk_status write_beside(const cli_calibration *c)
{
    char *folder = cli_folder_of(c->path), *gnuplot = cli_find_program("gnuplot");
    pk_status status = write_theory(c, folder);
    if (status == PK_OK && gnuplot)
        status = draw(c, folder);
    else if (status == PK_OK)
        cli_say(2, "No figure: there is no gnuplot (apt-get install --no-install-recommends gnuplot-nox).");
    free(gnuplot);
    free(folder);
    return status;
}

static int calibrate_now(const char *out, bool quick, bool theory)
{
    char *root = out ? cli_copy(out, strlen(out)) : cli_format("%s/results", cli_source());
    char *before = newest_in(root);
    int code = start(root, quick);
    char *after = newest_in(root);
    cli_calibration c;
    if (after && (!before || strcmp(before, after) != 0)) {
        pk_status status = cli_calibration_load(&c, after);
        if (status == PK_OK) {
            if (theory)
                put_theory(stdout, &c);
            else
                print_calibration(&c);
            status = write_beside(&c);
            cli_calibration_free(&c);
        }
        if (status != PK_OK)
            code = cli_failed(status);
    }
    free(after);
    free(before);
    free(root);
    return code;
}

static pk_status show(const char *path, const char *out, bool theory)
{
    cli_calibration c;
    pk_status status = cli_calibration_load(&c, path);
    if (status != PK_OK)
        return status;
    if (theory)
        put_theory(stdout, &c);
    else
        print_calibration(&c);
    if (out)
        status = draw(&c, out);
    cli_calibration_free(&c);
    return status;
}

bool cli_calibrates_now(int argc, char **argv)
{
    bool now = true;
    for (int i = 1; i < argc; i++) {
        now = now && argv[i][0] == '-';
        i += !strcmp(argv[i], "--out"); /* its value */
    }
    return now;
}

int cmd_calibrate(int argc, char **argv)
{
    const char *word = NULL, *out = NULL;
    bool quick = false, theory = false;
    const cli_option options[] = {{"--out", &out, NULL}, {"--quick", NULL, &quick}, {"--theory", NULL, &theory}};
    size_t count;
    pk_status status = cli_parse(argc, argv, options, PK_COUNT(options), &word, 1, &count);
    if (status == PK_OK && count && quick)
        status = pk_fail(PK_USAGE, "--quick measures anew, and %s is there already; give one of the two", word);
    if (status == PK_OK && count)
        status = show(word, out, theory);
    else if (status == PK_OK)
        return calibrate_now(out, quick, theory);
    return status == PK_OK ? 0 : cli_failed(status);
}
