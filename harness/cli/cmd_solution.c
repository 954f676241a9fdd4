/* `solution`: the reference solution's steps, or its difference to the student's files.
 * `reset`: the files as shipped again, the student's kept beside them. */
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

static void print_step(const char *source, const pk_step *step)
{
    const char *body = source + step->begin;
    size_t length = step->end - step->begin, skip = strspn(body, "\r\n");
    while (length > skip && strchr(" \t\r\n", body[length - 1]))
        length--;
    cli_say(2, "%s: %s", step->id, step->title);
    printf("%.*s\n\n", (int)(length - skip), body + skip);
}

/* The steps of one file that are asked for; `*printed` counts them, and `*whole` grows by the file's name if it has
 * any. */
static pk_status print_steps_of(const char *path, const char *number, size_t *printed, char **whole)
{
    char *text = cli_read_file(path);
    if (!text)
        return pk_fail(PK_USAGE, "cannot read %s: %s; restore the source folder", path, strerror(errno));
    const pk_source source = {"", text};
    pk_steps steps = pk_find_steps(&source, 1);
    const size_t before = *printed;
    for (size_t i = 0; i < steps.count; i++) {
        if (!is_asked(&steps.steps[i], number))
            continue;
        print_step(text, &steps.steps[i]);
        ++*printed;
    }
    if (*printed > before) {
        char *longer = cli_format("%s%s%s", *whole, **whole ? ", " : "", cli_relative(path));
        free(*whole);
        *whole = longer;
    }
    pk_steps_free(&steps);
    free(text);
    return PK_OK;
}

static pk_status print_steps(const cli_lab *lab, const char *number)
{
    cli_names files = cli_lab_files(lab);
    char *whole = cli_copy("", 0);
    size_t printed = 0;
    pk_status status = PK_OK;
    for (size_t i = 0; i < files.count && status == PK_OK; i++) {
        char *path = cli_solution_file(lab, files.names[i]);
        status = print_steps_of(path, number, &printed, &whole);
        free(path);
    }
    if (status == PK_OK && !printed)
        status = pk_fail(PK_USAGE, "solutions/%s has no step %s%s; see ./lab list", lab->name, lab->number,
                         number ? number : "");
    else if (status == PK_OK)
        cli_say(2, "Why it is so: solutions/%s/NOTES.md\nThe whole file%s: %s", lab->name,
                strchr(whole, ',') ? "s" : "", whole);
    free(whole);
    cli_names_free(&files);
    return status;
}

static int print_difference_of(const cli_lab *lab, const char *file)
{
    char *student = cli_student_file(lab, file), *solution = cli_solution_file(lab, file), *output = NULL;
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

static int print_difference(const cli_lab *lab)
{
    cli_names files = cli_lab_files(lab);
    int code = 0;
    for (size_t i = 0; i < files.count; i++) {
        const int of_file = print_difference_of(lab, files.names[i]);
        code = code ? code : of_file;
    }
    cli_names_free(&files);
    return code;
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

static bool is_as_shipped(const char *text)
{
    const pk_source source = {"", text};
    pk_steps steps = pk_find_steps(&source, 1);
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

typedef struct student_file {
    char *path, *current, *shipped; /* `current` is NULL where the file is gone */
    bool differs;
} student_file;

static pk_status read_file(student_file *file, const cli_lab *lab, const char *name)
{
    file->path = cli_student_file(lab, name);
    file->current = cli_read_file(file->path);
    file->shipped = shipped_from_git(file->path);
    file->differs = file->shipped && (!file->current || strcmp(file->shipped, file->current) != 0);
    return file->shipped ? PK_OK : PK_USAGE;
}

static pk_status put_back(const student_file *file)
{
    pk_status status = file->current ? save_beside(file->path, file->current) : PK_OK;
    if (status == PK_OK)
        status = pk_write_file(file->path, file->shipped, strlen(file->shipped));
    if (status == PK_OK)
        cli_say(2, "%s is as shipped again.", cli_relative(file->path));
    return status;
}

static pk_status put_all_back(const student_file *files, size_t count, bool yes)
{
    size_t differ = 0;
    for (size_t i = 0; i < count; i++) {
        if (files[i].differs)
            differ++;
        else
            cli_say(2, "%s is as shipped already.", cli_relative(files[i].path));
    }
    if (!differ)
        return PK_OK;
    if (!yes && !cli_confirm(differ > 1 ? "Put the shipped files back (yours are kept beside them)?"
                                        : "Put the shipped file back (yours is kept beside it)?")) {
        printf("Left as it is.\n");
        return PK_OK;
    }
    pk_status status = PK_OK;
    for (size_t i = 0; i < count && status == PK_OK; i++)
        if (files[i].differs)
            status = put_back(&files[i]);
    if (status == PK_OK)
        cli_say(2, "Next: ./lab status");
    return status;
}

/* The file that a word names, with or without its ending; NULL after pk_fail. */
static const char *file_named(const cli_lab *lab, const cli_names *names, const char *word)
{
    for (size_t i = 0; i < names->count; i++) {
        const size_t length = strlen(word), ending = strlen(".cu");
        if (!strcmp(names->names[i], word) ||
            (!strncmp(names->names[i], word, length) && strlen(names->names[i]) == length + ending))
            return names->names[i];
    }
    char *files = cli_student_files(lab);
    (void)pk_fail(PK_USAGE, "'%s' is none of your files of lab %s: %s", word, lab->number, files);
    free(files);
    return NULL;
}

/* All of the lab's files, or the one named. Nothing is written before git has given each. */
static pk_status reset(const cli_lab *lab, const char *word, bool yes)
{
    cli_names names = cli_lab_files(lab);
    const char *only = word ? file_named(lab, &names, word) : NULL;
    student_file *files = cli_grow(NULL, names.count, sizeof *files);
    size_t count = 0;
    pk_status status = word && !only ? PK_USAGE : PK_OK;
    for (size_t i = 0; i < names.count && status == PK_OK; i++)
        if (!only || names.names[i] == only)
            status = read_file(&files[count++], lab, names.names[i]);
    if (status == PK_OK)
        status = put_all_back(files, count, yes);
    for (size_t i = 0; i < count; i++) {
        free(files[i].path);
        free(files[i].current);
        free(files[i].shipped);
    }
    free(files);
    cli_names_free(&names);
    return status;
}

int cmd_reset(int argc, char **argv)
{
    const char *word[2] = {NULL, NULL};
    bool yes = false;
    cli_option options[] = {{"--yes", NULL, &yes}};
    size_t words;
    pk_status status = cli_parse(argc, argv, options, 1, word, 2, &words);
    if (status == PK_OK && !words)
        status = pk_fail(PK_USAGE, "reset needs a lab: ./lab reset 01");
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    const cli_lab *lab = cli_lab_named(&labs, word[0]);
    status = lab ? reset(lab, word[1], yes) : PK_USAGE;
    cli_labs_free(&labs);
    return status == PK_OK ? 0 : cli_failed(status);
}
