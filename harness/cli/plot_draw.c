/* Has gnuplot draw a lab's figures from the tables: once for each figure, in every format that is wanted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"
#include "pk/result.h"
#include "plot.h"
#include "quote.h"

/* ---- formats ---- */

static const char *const format_names[PLOT_FORMATS] = {"svg", "png", "pdf", "tex"};

const char *plot_format_name(plot_format format)
{
    return format_names[format];
}

pk_status plot_read_formats(const char *text, plot_wanted *wanted)
{
    *wanted = (plot_wanted){{false}};
    for (const char *from = text;; from++) {
        const size_t length = strcspn(from, ",");
        char *word = cli_copy(from, length);
        const char *nearest = pk_nearest(word, format_names, PLOT_FORMATS);
        plot_format format = PLOT_SVG;
        while (format < PLOT_FORMATS && strcmp(word, format_names[format]) != 0)
            format++;
        if (format == PLOT_FORMATS) {
            pk_fail(PK_USAGE, "--format: '%s' is none of svg, png, pdf and tex; %s%s%s", word,
                    nearest ? "did you mean '" : "", nearest ? nearest : "--format=svg,png is what it is without",
                    nearest ? "'?" : "");
            free(word);
            return PK_USAGE;
        }
        free(word);
        wanted->formats[format] = true;
        from += length;
        if (!*from)
            break;
    }
    wanted->formats[PLOT_PDF] |= wanted->formats[PLOT_TEX]; /* which includes it */
    return PK_OK;
}

/* ---- gnuplot's part ---- */

/* Is it gnuplot that draws it? */
static bool is_drawn(const plot_wanted *wanted, plot_format format)
{
    return wanted->formats[format] && format != PLOT_TEX;
}

/* The driver sets the variables and loads theme and script, in the temporary folder, for each format from the start.
 * What the figure says goes into a file, a line each. */
static pk_status write_driver(const plot_figures *all, const char *script, const plot_wanted *wanted)
{
    FILE *file = plot_create(all, "driver.gp");
    if (!file)
        return PK_USAGE;
    char *theme = cli_format("%s/plots/theme.gp", cli_source());
    char *path = cli_format("%s/plots/%s", cli_source(), script);
    cli_put_gnuplot_string(file, "folder", all->folder);
    fputs("cd folder\n", file);
    for (plot_format format = 0; format < PLOT_FORMATS; format++) {
        if (!is_drawn(wanted, format))
            continue;
        fprintf(file, "reset session\nformat = '%s'\noutput = 'figure.%s'\n", format_names[format],
                format_names[format]);
        cli_put_gnuplot_string(file, "theme", theme);
        cli_put_gnuplot_string(file, "script", path);
        fputs("load 'variables.gp'\nload theme\nload script\nset output\n"
              "set print 'caption'\nprint says\nprint where\nprint note\nset print\n",
              file);
    }
    free(path);
    free(theme);
    return plot_finish(file);
}

/* gnuplot does not notice a disk that fills up while it draws: see that the end of the figure is there. */
static bool is_whole(const char *figure, size_t bytes, plot_format format)
{
    static const char *const ends[PLOT_FORMATS] = {"</svg>", "IEND", "%%EOF", ""};
    const size_t tail = bytes < 16 ? bytes : 16;
    return bytes > 0 && memmem(figure + bytes - tail, tail, ends[format], strlen(ends[format])) != NULL;
}

static pk_status read_image(const plot_figures *all, plot_format format, plot_drawing *drawing)
{
    char *from = cli_format("%s/figure.%s", all->folder, format_names[format]);
    size_t bytes = 0;
    char *data = cli_read_bytes(from, &bytes);
    free(from);
    if (!data)
        return pk_fail(PK_USAGE, "gnuplot drew no %s.%s; run ./lab doctor", drawing->name, format_names[format]);
    drawing->images[format] = data;
    drawing->image_bytes[format] = bytes;
    if (!is_whole(data, bytes, format))
        return pk_fail(PK_USAGE, "gnuplot's drawing of %s.%s is cut short; make room in %s", drawing->name,
                       format_names[format], all->folder);
    return PK_OK;
}

/* The next line of `*text`, harmless; in new memory. */
static char *next_line(const char **text)
{
    const size_t length = strcspn(*text, "\n");
    char *line = cli_copy(*text, length), *plain = cli_plain(line);
    *text += length + ((*text)[length] == '\n');
    free(line);
    return plain;
}

static void read_caption(const plot_figures *all, plot_drawing *drawing)
{
    char *path = cli_format("%s/caption", all->folder), *text = cli_read_file(path);
    const char *rest = text ? text : "";
    drawing->says = next_line(&rest);
    drawing->about = next_line(&rest);
    drawing->note = next_line(&rest);
    free(text);
    free(path);
}

static pk_status read_drawing(const plot_figures *all, const plot_wanted *wanted, plot_drawing *drawing)
{
    pk_status status = PK_OK;
    read_caption(all, drawing);
    for (plot_format format = 0; format < PLOT_FORMATS && status == PK_OK; format++)
        if (is_drawn(wanted, format))
            status = read_image(all, format, drawing);
    if (status == PK_OK && wanted->formats[PLOT_TEX]) {
        drawing->images[PLOT_TEX] = plot_tex(drawing);
        drawing->image_bytes[PLOT_TEX] = strlen(drawing->images[PLOT_TEX]);
    }
    return status;
}

static void free_drawing(plot_drawing *drawing)
{
    char *texts[] = {drawing->name, drawing->why_not, drawing->says, drawing->about, drawing->note};
    for (size_t i = 0; i < PK_COUNT(texts); i++)
        free(texts[i]);
    for (size_t i = 0; i < PLOT_FORMATS; i++)
        free(drawing->images[i]);
}

/* What gnuplot said first; in new memory. */
static char *first_line(const char *said)
{
    said += strspn(said, "\r\n \t");
    return next_line(&said);
}

/* A figure that the result has too little for is handed over as well, with what its script said. */
static pk_status draw(const plot_figures *all, const char *script, const plot_wanted *wanted, plot_taker take,
                      void *context)
{
    char *driver = cli_format("%s/driver.gp", all->folder), *output = NULL;
    char *arguments[] = {"env", "LC_ALL=C.UTF-8", "gnuplot", driver, NULL}; /* it warns of UTF-8 in the C locale */
    plot_drawing drawing = {.name = cli_copy(script, strlen(script) - strlen(".gp"))};
    pk_status status = write_driver(all, script, wanted);
    int code = status == PK_OK ? cli_capture(arguments, &output) : 0;
    char *plain = first_line(output ? output : "");
    if (status != PK_OK) {
        /* said already */
    } else if (code == pk_exit_code(PK_SKIP)) {
        drawing.why_not = cli_copy(plain, strlen(plain));
    } else if (code != 0) {
        status = pk_fail(PK_USAGE, "gnuplot failed on plots/%s: %s", script, plain);
    } else {
        status = read_drawing(all, wanted, &drawing);
    }
    if (status == PK_OK)
        status = take(context, &drawing);
    free_drawing(&drawing);
    free(driver);
    free(plain);
    free(output);
    return status;
}

pk_status plot_draw_all(const plot_figures *all, const plot_wanted *wanted, plot_taker take, void *context)
{
    char *scripts_folder = cli_format("%s/plots", cli_source()), *prefix = cli_format("%s-", all->result->lab);
    cli_names scripts = cli_list_folder(scripts_folder, prefix, ".gp");
    pk_status status = PK_OK;
    for (size_t i = 0; i < scripts.count && status == PK_OK; i++)
        status = draw(all, scripts.names[i], wanted, take, context);
    cli_names_free(&scripts);
    free(prefix);
    free(scripts_folder);
    return status;
}

static pk_status need_gnuplot(void)
{
    char *gnuplot = cli_find_program("gnuplot");
    if (!gnuplot)
        return pk_fail(PK_USAGE, "figures need gnuplot: apt-get install --no-install-recommends gnuplot-nox, then "
                                 "the same command again");
    free(gnuplot);
    return PK_OK;
}

pk_status plot_result(const cli_result *result, const plot_wanted *wanted, plot_taker take, void *context,
                      size_t *left_out)
{
    plot_temporary temporary;
    pk_status status = need_gnuplot();
    if (status == PK_OK && !result->point_count)
        status = pk_fail(PK_USAGE, "%s holds no results to draw; run the lab again", result->path);
    if (status == PK_OK)
        status = plot_temporary_make(&temporary);
    if (status != PK_OK)
        return status;
    plot_figures all = plot_figures_of(result, temporary.folder);
    *left_out = all.left_out;
    status = plot_write_tables(&all);
    if (status == PK_OK)
        status = plot_draw_all(&all, wanted, take, context);
    plot_figures_free(&all);
    plot_temporary_remove(&temporary);
    return status;
}

/* Variables that the theme asks for, and figures of variants only fill. */
static pk_status write_subject(const plot_figures *place, const plot_subject *subject)
{
    FILE *file = plot_create(place, "variables.gp");
    if (!file)
        return PK_USAGE;
    plot_put_device(file, subject->device, subject->is_cpu, subject->processors);
    fputs("variants = ''\ndrawn = ''\nslopes = ''\n", file);
    pk_status status = subject->write(place, file, subject->data);
    pk_status closed = plot_finish(file);
    return status == PK_OK ? closed : status;
}

pk_status plot_subject_draw(const plot_subject *subject, const plot_wanted *wanted, plot_taker take, void *context)
{
    plot_temporary temporary;
    pk_status status = need_gnuplot();
    if (status == PK_OK)
        status = plot_temporary_make(&temporary);
    if (status != PK_OK)
        return status;
    const plot_figures place = {.folder = temporary.folder};
    status = write_subject(&place, subject);
    if (status == PK_OK)
        status = draw(&place, subject->script, wanted, take, context);
    plot_temporary_remove(&temporary);
    return status;
}
