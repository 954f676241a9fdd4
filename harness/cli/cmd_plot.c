/* `plot`: draws the figures of result files with gnuplot, as SVG and PNG. Which results; plot_tables.c says what the
 * scripts in plots/ get. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pk/result.h"
#include "plot.h"

static void remove_folder(const char *folder)
{
    cli_names files = cli_list_folder(folder, "", "");
    for (size_t i = 0; i < files.count; i++) {
        char *path = cli_format("%s/%s", folder, files.names[i]);
        unlink(path);
        free(path);
    }
    cli_names_free(&files);
    rmdir(folder);
}

#define TEMPORARY_NAME "pk-plot-"

/* Temporary folders of commands that were killed: those that nobody holds. */
static void remove_leftovers(const char *temporary)
{
    cli_names names = cli_list_folder(temporary, TEMPORARY_NAME, "");
    for (size_t i = 0; i < names.count; i++) {
        char *path = cli_format("%s/%s", temporary, names.names[i]);
        const int held = pk_take_folder(path);
        if (held >= 0) {
            remove_folder(path);
            (void)close(held);
        }
        free(path);
    }
    cli_names_free(&names);
}

/* A folder of its own that it holds, or NULL after pk_fail. Another command may take it for a leftover before it is
 * held: then the next one. */
static char *make_temporary(const char *temporary, int *held)
{
    enum { TRIES = 10 };
    for (int i = 0; i < TRIES; i++) {
        char *path = cli_format("%s/" TEMPORARY_NAME "XXXXXX", temporary);
        if (!mkdtemp(path)) {
            pk_fail(PK_USAGE, "cannot make a folder %s: %s; set TMPDIR to a folder that you may write", path,
                    strerror(errno));
            free(path);
            return NULL;
        }
        *held = pk_take_folder(path);
        if (*held >= 0 || (errno != EWOULDBLOCK && errno != ENOENT))
            return path;
        free(path);
    }
    pk_fail(PK_USAGE, "cannot keep a folder in %s; set TMPDIR to a folder of your own", temporary);
    return NULL;
}

static pk_status plot_result(const cli_result *result, const char *folder)
{
    const char *temporary = getenv("TMPDIR");
    temporary = temporary && *temporary ? temporary : "/tmp";
    remove_leftovers(temporary);
    int held = -1;
    char *pattern = make_temporary(temporary, &held);
    if (!pattern)
        return PK_USAGE;
    plot_figures all = plot_figures_of(result, pattern);
    if (all.left_out)
        cli_say(2, "  the first %zu variants are drawn; %zu more have no room", all.variant_count, all.left_out);
    pk_status status = plot_write_tables(&all);
    if (status == PK_OK)
        status = plot_draw_all(&all, folder);
    plot_figures_free(&all);
    remove_folder(pattern);
    if (held >= 0)
        (void)close(held);
    free(pattern);
    return status;
}

static pk_status plot_group(const cli_together *group, const char *folder)
{
    char *gnuplot = cli_find_program("gnuplot");
    if (!gnuplot)
        return pk_fail(PK_USAGE, "figures need gnuplot: apt-get install --no-install-recommends gnuplot-nox, then "
                                 "./lab plot");
    free(gnuplot);
    cli_result result;
    pk_status status = cli_result_load_group(&result, group);
    if (status != PK_OK)
        return status;
    cli_say(2, "Figures of %s in %s", result.lab, cli_relative(folder));
    if (result.point_count)
        status = plot_result(&result, folder);
    else
        status = pk_fail(PK_USAGE, "%s holds no results to draw; run the lab again", result.path);
    cli_result_free(&result);
    return status;
}

pk_status cli_plot(const char *result_path, const char *folder)
{
    cli_groups groups = {NULL, 0};
    cli_groups_add(&groups, result_path);
    pk_status status = plot_group(&groups.groups[0], folder);
    cli_groups_free(&groups);
    return status;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? cli_copy(path, slash == path ? 1 : (size_t)(slash - path)) : cli_copy(".", 1);
}

/* The newest results have no sweep: name those that have one, which draw every figure. */
static void say_where_a_sweep_is(const char *path)
{
    cli_result result;
    if (cli_result_load(&result, path) != PK_OK)
        return;
    char *swept = cli_has_sweep(&result) ? NULL : cli_newest_result(result.lab, cli_has_sweep);
    if (swept) {
        char *folder = folder_of(swept);
        cli_say(2, "This run has no sweep. The newest of %s that has one: ./lab plot %s", result.lab,
                cli_relative(folder));
        free(folder);
    }
    free(swept);
    cli_result_free(&result);
}

/* The labs of the newest results folder: what was worked at last. Of each, the result that its student wants to see. */
static pk_status plot_chosen(const char *out)
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
            char *folder = out ? cli_copy(out, strlen(out)) : folder_of(choice.path);
            cli_say(2, "%s", choice.said);
            cli_groups group = {NULL, 0};
            cli_groups_add_beside(&group, choice.path);
            status = plot_group(&group.groups[0], folder);
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
    const char *words[CLI_MOST_FILES], *out = NULL;
    cli_option options[] = {{"--out", &out, NULL}};
    size_t count;
    cli_groups groups = {NULL, 0};
    pk_status status = cli_parse(argc, argv, options, 1, words, CLI_MOST_FILES, &count);
    if (status == PK_OK && !count)
        status = plot_chosen(out);
    else if (status == PK_OK)
        status = cli_result_groups(words, count, &groups);
    for (size_t i = 0; i < groups.count && status == PK_OK; i++) {
        const cli_together *group = &groups.groups[i];
        char *folder = out ? cli_copy(out, strlen(out)) : folder_of(group->names[0]);
        status = plot_group(group, folder);
        free(folder);
    }
    cli_groups_free(&groups);
    return status == PK_OK ? 0 : cli_failed(status);
}
