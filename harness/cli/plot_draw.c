/* Has gnuplot draw a lab's figures from the tables, as SVG and PNG. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/result.h"
#include "plot.h"
#include "quote.h"

/* The driver sets the variables and loads theme and script, in the temporary folder. */
static pk_status write_driver(const plot_figures *all, const char *script, const char *format)
{
    FILE *file = plot_create(all, "driver.gp");
    if (!file)
        return PK_USAGE;
    char *theme = cli_format("%s/plots/theme.gp", cli_source());
    char *path = cli_format("%s/plots/%s", cli_source(), script);
    fprintf(file, "format = '%s'\noutput = 'figure'\n", format);
    cli_put_gnuplot_string(file, "folder", all->folder);
    cli_put_gnuplot_string(file, "theme", theme);
    cli_put_gnuplot_string(file, "script", path);
    fputs("cd folder\nload 'variables.gp'\nload theme\nload script\n", file);
    free(path);
    free(theme);
    return plot_finish(file);
}

/* gnuplot does not notice a disk that fills up while it draws: see that the end of the figure is there. */
static bool is_whole(const char *figure, size_t bytes, const char *format)
{
    const char *end = strcmp(format, "svg") ? "IEND" : "</svg>";
    size_t tail = bytes < 16 ? bytes : 16;
    return bytes > 0 && memmem(figure + bytes - tail, tail, end, strlen(end)) != NULL;
}

static pk_status copy_figure(const plot_figures *all, const char *to, const char *format)
{
    char *from = cli_format("%s/figure", all->folder);
    FILE *file = fopen(from, "rb");
    free(from);
    if (!file)
        return pk_fail(PK_USAGE, "gnuplot drew nothing for %s; run ./lab doctor", to);
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    rewind(file);
    char *data = cli_grow(NULL, (size_t)(bytes > 0 ? bytes : 0) + 1, 1);
    size_t got = fread(data, 1, (size_t)(bytes > 0 ? bytes : 0), file);
    fclose(file);
    pk_status status =
        is_whole(data, got, format)
            ? pk_write_file(to, data, got)
            : pk_fail(PK_USAGE, "gnuplot's drawing of %s is cut short; make room in %s", to, all->folder);
    free(data);
    return status;
}

/* Of what gnuplot said; in new memory. */
static char *first_line(const char *said)
{
    said += strspn(said, "\r\n \t");
    char *line = cli_copy(said, strcspn(said, "\n")), *plain = cli_plain(line);
    free(line);
    return plain;
}

/* Draw one figure in one format. PK_SKIP, after saying why, when the result has too little for it. */
static pk_status draw(const plot_figures *all, const char *script, const char *format, const char *folder)
{
    char *driver = cli_format("%s/driver.gp", all->folder), *output = NULL;
    char *arguments[] = {"env", "LC_ALL=C.UTF-8", "gnuplot", driver, NULL}; /* it warns of UTF-8 in the C locale */
    char *name = cli_copy(script, strlen(script) - strlen(".gp"));
    char *path = cli_format("%s/%s.%s", folder, name, format);
    pk_status status = write_driver(all, script, format);
    int code = status == PK_OK ? cli_capture(arguments, &output) : 0;
    char *plain = first_line(output ? output : "");
    if (status != PK_OK) {
        /* said already */
    } else if (code == pk_exit_code(PK_SKIP)) {
        cli_say(4, "  not drawn: %s: %s", name, plain);
        status = PK_SKIP;
    } else if (code != 0) {
        status = pk_fail(PK_USAGE, "gnuplot failed on plots/%s: %s", script, plain);
    } else {
        status = copy_figure(all, path, format);
        if (status == PK_OK)
            cli_say(4, "  wrote %s.%s", name, format);
    }
    free(path);
    free(name);
    free(driver);
    free(plain);
    free(output);
    return status;
}

pk_status plot_draw_all(const plot_figures *all, const char *folder)
{
    char *scripts_folder = cli_format("%s/plots", cli_source()), *prefix = cli_format("%s-", all->result->lab);
    cli_names scripts = cli_list_folder(scripts_folder, prefix, ".gp");
    pk_status status = PK_OK;
    if (!scripts.count)
        cli_say(4, "  no figures are defined for %s (plots/%s*.gp)", all->result->lab, prefix);
    for (size_t i = 0; i < scripts.count && status == PK_OK; i++) {
        status = draw(all, scripts.names[i], "svg", folder);
        if (status == PK_OK)
            status = draw(all, scripts.names[i], "png", folder);
        if (status == PK_SKIP)
            status = PK_OK;
    }
    cli_names_free(&scripts);
    free(prefix);
    free(scripts_folder);
    return status;
}
