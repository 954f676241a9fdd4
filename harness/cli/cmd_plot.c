/* `plot`: draws the figures of result files with gnuplot, as SVG, PNG, PDF, or for LaTeX. Which results, and where the
 * figures go; plot_tables.c says what the scripts in plots/ get. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/result.h"
#include "plot.h"

typedef struct destination {
    const char *folder;
} destination;

/* Writes each figure into the folder, and says so. */
static pk_status write_figure(void *context, const plot_drawing *drawing)
{
    const char *folder = ((const destination *)context)->folder;
    pk_status status = PK_OK;
    if (drawing->why_not)
        cli_say(4, "  not drawn: %s: %s", drawing->name, drawing->why_not);
    for (plot_format format = 0; format < PLOT_FORMATS && status == PK_OK; format++) {
        if (!drawing->image_bytes[format])
            continue;
        char *path = cli_format("%s/%s.%s", folder, drawing->name, plot_format_name(format));
        status = pk_write_file(path, drawing->images[format], drawing->image_bytes[format]);
        if (status == PK_OK)
            cli_say(4, "  wrote %s.%s", drawing->name, plot_format_name(format));
        free(path);
    }
    return status;
}

static pk_status plot_group(const cli_together *group, const char *folder, const plot_wanted *wanted)
{
    cli_result result;
    destination into = {folder};
    size_t left_out = 0;
    pk_status status = cli_result_load_group(&result, group);
    if (status != PK_OK)
        return status;
    cli_say(2, "Figures of %s in %s", result.lab, cli_relative(folder));
    status = plot_result(&result, wanted, write_figure, &into, &left_out);
    if (left_out)
        cli_say(2, "  the first %d variants are drawn; %zu more have no room", PLOT_MOST_VARIANTS, left_out);
    cli_result_free(&result);
    return status;
}

static const plot_wanted usual = {.formats = {[PLOT_SVG] = true, [PLOT_PNG] = true}};

pk_status plot_subject_save(const plot_subject *subject, const char *folder)
{
    destination into = {folder};
    return plot_subject_draw(subject, &usual, write_figure, &into);
}

pk_status cli_plot(const char *result_path, const char *folder)
{
    cli_groups groups = {NULL, 0};
    cli_groups_add_beside(&groups, result_path);
    pk_status status = plot_group(&groups.groups[0], folder, &usual);
    cli_groups_free(&groups);
    return status;
}

/* The newest results have no sweep: name those that have one, which draw every figure. */
static void say_where_a_sweep_is(const char *path)
{
    cli_result result;
    if (cli_result_load(&result, path) != PK_OK)
        return;
    char *swept = cli_has_sweep(&result) ? NULL : cli_newest_result(result.lab, cli_has_sweep);
    if (swept) {
        char *folder = cli_folder_of(swept);
        cli_say(2, "This run has no sweep. The newest of %s that has one: ./lab plot %s", result.lab,
                cli_relative(folder));
        free(folder);
    }
    free(swept);
    cli_result_free(&result);
}

/* The labs of the newest results folder: what was worked at last. Of each, the result that its student wants to see. */
static pk_status plot_chosen(const char *out, const plot_wanted *wanted)
{
    char *root = cli_format("%s/results", cli_source());
    cli_names folders = cli_list_folder(root, "2", ""), labs = {NULL, 0};
    pk_status status = PK_OK;
    for (size_t i = folders.count; i-- > 0 && !labs.count;) {
        char *folder = cli_format("%s/%s", root, folders.names[i]);
        labs = cli_list_folder(folder, "lab", ".json");
        free(folder);
    }
    size_t drawn = 0;
    for (size_t i = 0; i < labs.count && status == PK_OK; i++) {
        labs.names[i][strlen(labs.names[i]) - strlen(".json")] = '\0';
        cli_choice choice = strchr(labs.names[i], '-') ? (cli_choice){NULL, NULL} : cli_choose_result(labs.names[i]);
        if (choice.path) {
            char *folder = out ? cli_copy(out, strlen(out)) : cli_folder_of(choice.path);
            cli_say(2, "%s", choice.said);
            cli_groups group = {NULL, 0};
            cli_groups_add_beside(&group, choice.path);
            status = plot_group(&group.groups[0], folder, wanted);
            cli_groups_free(&group);
            if (status == PK_OK)
                say_where_a_sweep_is(choice.path);
            free(folder);
            drawn++;
        }
        cli_choice_free(&choice);
    }
    cli_names_free(&labs);
    cli_names_free(&folders);
    free(root);
    return drawn || status != PK_OK ? status : cli_no_results();
}

int cmd_plot(int argc, char **argv)
{
    const char *words[CLI_MOST_FILES], *out = NULL, *formats = "svg,png";
    cli_option options[] = {{"--out", &out, NULL}, {"--format", &formats, NULL}};
    size_t count;
    plot_wanted wanted;
    cli_groups groups = {NULL, 0};
    pk_status status = cli_parse(argc, argv, options, PK_COUNT(options), words, CLI_MOST_FILES, &count);
    if (status == PK_OK)
        status = plot_read_formats(formats, &wanted);
    if (status == PK_OK && !count)
        status = plot_chosen(out, &wanted);
    else if (status == PK_OK)
        status = cli_result_groups(words, count, &groups);
    for (size_t i = 0; i < groups.count && status == PK_OK; i++) {
        const cli_together *group = &groups.groups[i];
        char *folder = out ? cli_copy(out, strlen(out)) : cli_folder_of(group->names[0]);
        status = plot_group(group, folder, &wanted);
        free(folder);
    }
    cli_groups_free(&groups);
    return status == PK_OK ? 0 : cli_failed(status);
}
