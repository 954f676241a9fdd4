/* `solution`: the reference solution's steps, or its difference to the student's file.
 * `reset`: the file as shipped again, the student's kept beside it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "pk/host.h"

/* ---- solution ---- */

static bool is_asked(const pk_step *step, const char *number)
{
    const char *dot = strchr(step->id, '.');
    return !number || (dot && !strcmp(dot, number));
}

static pk_status print_steps(const cli_lab *lab, const char *number)
{
    char *path = cli_solution_file(lab), *source = cli_read_file(path);
    if (!source) {
        pk_fail(PK_USAGE, "cannot read %s: %s; restore the source folder", path, strerror(errno));
        free(path);
        return PK_USAGE;
    }
    pk_steps steps = pk_find_steps(source);
    size_t printed = 0;
    for (size_t i = 0; i < steps.count; i++) {
        const pk_step *step = &steps.steps[i];
        if (!is_asked(step, number))
            continue;
        const char *body = source + step->begin;
        size_t length = step->end - step->begin, skip = strspn(body, "\r\n");
        while (length > skip && strchr(" \t\r\n", body[length - 1]))
            length--;
        cli_say(2, "%s%s: %s", printed++ ? "\n" : "", step->id, step->title);
        printf("%.*s\n", (int)(length - skip), body + skip);
    }
    pk_status status = PK_OK;
    if (!printed)
        status = pk_fail(PK_USAGE, "%s has no step %s%s; see ./lab list", cli_relative(path), lab->number,
                         number ? number : "");
    else
        cli_say(2, "\nWhy it is so: solutions/%s/NOTES.md\nThe whole file: %s", lab->name, cli_relative(path));
    pk_steps_free(&steps);
    free(source);
    free(path);
    return status;
}

static int print_difference(const cli_lab *lab)
{
    char *student = cli_student_file(lab), *solution = cli_solution_file(lab), *output = NULL;
    char *arguments[] = {
        "diff",  "-u",     "--label", (char *)cli_relative(student), "--label", (char *)cli_relative(solution),
        student, solution, NULL};
    int code = cli_capture(arguments, &output); /* 1: they differ, which is no failure */
    if (code == 0)
        cli_say(2, "%s is the same as the solution.", cli_relative(student));
    else if (code == 1)
        fputs(output, stdout);
    else
        code = cli_failed(pk_fail(PK_USAGE, "diff failed: %.*s; compare %s and %s yourself",
                                  (int)strcspn(output ? output : "", "\n"), output ? output : "", student, solution));
    free(output);
    free(solution);
    free(student);
    return code == 1 ? 0 : code;
}

int cmd_solution(int argc, char **argv)
{
    const char *word = NULL;
    bool yes = false, difference = false;
    cli_option options[] = {{"--yes", NULL, &yes}, {"--diff", NULL, &difference}};
    size_t words;
    pk_status status = cli_parse(argc, argv, options, 2, &word, 1, &words);
    if (status == PK_OK && !words)
        status = pk_fail(PK_USAGE, "solution needs a lab or a step: ./lab solution 01.1");
    if (status != PK_OK)
        return cli_failed(status);
    const char *number = strchr(word, '.');
    char *lab_word = cli_copy(word, strcspn(word, "."));
    cli_labs labs = cli_find_labs();
    const cli_lab *lab = cli_lab_named(&labs, lab_word);
    int code = 0;
    if (!lab)
        code = cli_failed(PK_USAGE);
    else if (!yes && !cli_confirm("Show the solution? It is worth more after the hints."))
        printf("Not shown. A hint instead: ./lab hint %s\n", word);
    else if (difference)
        code = print_difference(lab);
    else if ((status = print_steps(lab, number)) != PK_OK)
        code = cli_failed(status);
    cli_labs_free(&labs);
    free(lab_word);
    return code;
}

/* ---- reset ---- */

static bool is_as_shipped(const char *source)
{
    pk_steps steps = pk_find_steps(source);
    bool all_open = steps.count > 0 && cli_open_steps(&steps) == steps.count;
    pk_steps_free(&steps);
    return all_open;
}

/* The newest version in git's history in which every step is open: also when the student commits their own work.
 * In new memory; NULL after pk_fail. */
static char *shipped_from_git(const char *path)
{
    char *source = (char *)cli_source(), *log = NULL, *shipped = NULL, *rest = NULL;
    const char *relative = cli_relative(path);
    char *log_arguments[] = {"git", "-C", source, "log", "--format=%H", "--", (char *)relative, NULL};
    if (cli_capture(log_arguments, &log) != 0) {
        pk_fail(PK_USAGE, "reset takes the shipped file from git, and %s is no git checkout; download %s again", source,
                relative);
        free(log);
        return NULL;
    }
    for (char *commit = strtok_r(log, "\n", &rest); commit && !shipped; commit = strtok_r(NULL, "\n", &rest)) {
        char *object = cli_format("%s:./%s", commit, relative), *text = NULL;
        char *arguments[] = {"git", "-C", source, "show", object, NULL};
        if (cli_capture(arguments, &text) == 0 && is_as_shipped(text))
            shipped = text;
        else
            free(text);
        free(object);
    }
    free(log);
    if (!shipped)
        pk_fail(PK_USAGE, "git has no version of %s with its steps open; fetch the whole history or download it again",
                relative);
    return shipped;
}

static pk_status save_beside(const char *path, const char *text)
{
    char utc[32];
    cli_utc_name(utc, sizeof utc);
    char *backup = cli_format("%s.bak-%s", path, utc);
    pk_status status = cli_exists(backup) ? pk_fail(PK_USAGE, "%s is there already; try again in a second", backup)
                                          : pk_write_file(backup, text, strlen(text));
    if (status == PK_OK)
        cli_say(2, "Yours is kept as %s", cli_relative(backup));
    free(backup);
    return status;
}

static pk_status reset(const cli_lab *lab, bool yes)
{
    char *path = cli_student_file(lab), *current = cli_read_file(path);
    char *shipped = shipped_from_git(path);
    pk_status status = shipped ? PK_OK : PK_USAGE;
    if (shipped && current && !strcmp(shipped, current)) {
        cli_say(2, "%s is as shipped already.", cli_relative(path));
    } else if (shipped && !yes && !cli_confirm("Put the shipped file back (yours is kept beside it)?")) {
        printf("Left as it is.\n");
    } else if (shipped) {
        if (current)
            status = save_beside(path, current);
        if (status == PK_OK)
            status = pk_write_file(path, shipped, strlen(shipped));
        if (status == PK_OK)
            cli_say(2, "%s is as shipped again. Next: ./lab status", cli_relative(path));
    }
    free(shipped);
    free(current);
    free(path);
    return status;
}

int cmd_reset(int argc, char **argv)
{
    const char *word = NULL;
    bool yes = false;
    cli_option options[] = {{"--yes", NULL, &yes}};
    size_t words;
    pk_status status = cli_parse(argc, argv, options, 1, &word, 1, &words);
    if (status == PK_OK && !words)
        status = pk_fail(PK_USAGE, "reset needs a lab: ./lab reset 01");
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    const cli_lab *lab = cli_lab_named(&labs, word);
    status = lab ? reset(lab, yes) : PK_USAGE;
    cli_labs_free(&labs);
    return status == PK_OK ? 0 : cli_failed(status);
}
