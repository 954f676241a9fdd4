/* `solution`: the reference solution's steps, or its difference to the student's files, once these are right.
 * `reset`: the files as shipped again, the student's kept beside them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pk/host.h"
#include "results.h"

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

/* The first step that is asked for and is not right by the newest run of its text; NULL when the solution may show.
 * What no device here could check is no hindrance once it is filled in. */
static const pk_step *first_unsolved(const cli_progress *progress, const char *number, const char **state)
{
    for (size_t i = 0; i < progress->steps.count; i++) {
        const cli_state of = progress->states[i];
        const pk_step *step = &progress->steps.steps[i];
        if (!is_asked(step, number) || of == CLI_PASSED || (of == CLI_NOT_CHECKED && !step->open))
            continue;
        *state = cli_state_word(of);
        return step;
    }
    return NULL;
}

typedef struct solution_request {
    const char *word, *number; /* "01.2", and ".2" of it or NULL */
    bool anyway, difference, steps;
} solution_request;

/* Where a step that is asked for has not passed: says so, and asks on a terminal whether to show it all the same. */
static bool may_show(const cli_lab *lab, const solution_request *asked)
{
    cli_progress progress = cli_progress_of(lab);
    const char *state = "";
    const pk_step *unsolved = asked->anyway ? NULL : first_unsolved(&progress, asked->number, &state);
    bool may = !unsolved;
    if (unsolved)
        cli_say(2, "%s has not passed yet (%s).", unsolved->id, state);
    if (unsolved && isatty(STDIN_FILENO))
        may = cli_confirm("Show the solution all the same? It is worth more after the hints.");
    if (!may)
        cli_say(2, "Not shown. Next: ./lab hint %s, and ./lab run %s; ./lab solution %s --anyway shows it now",
                unsolved->id + strlen("lab"), lab->number, asked->word);
    cli_progress_free(&progress);
    return may;
}

static int show_solution(const cli_lab *lab, const solution_request *asked)
{
    if (!may_show(lab, asked))
        return pk_exit_code(PK_TODO);
    if (asked->difference || (!asked->number && !asked->steps))
        return print_difference(lab);
    return print_steps(lab, asked->number) == PK_OK ? 0 : cli_failed(PK_USAGE);
}

int cmd_solution(int argc, char **argv)
{
    solution_request asked = {.word = NULL};
    cli_option options[] = {{"--anyway", NULL, &asked.anyway},
                            {"--yes", NULL, &asked.anyway},
                            {"--diff", NULL, &asked.difference},
                            {"--steps", NULL, &asked.steps}};
    size_t words;
    pk_status status = cli_parse(argc, argv, options, sizeof options / sizeof options[0], &asked.word, 1, &words);
    if (status == PK_OK && !words)
        status = pk_fail(PK_USAGE, "solution needs a lab or a step: ./lab solution 01.1");
    if (status == PK_OK && asked.difference && asked.steps)
        status = pk_fail(PK_USAGE, "--diff and --steps are two ways to show it; name one");
    if (status != PK_OK)
        return cli_failed(status);
    asked.number = strchr(asked.word, '.');
    char *lab_word = cli_copy(asked.word, strcspn(asked.word, "."));
    cli_labs labs = cli_find_labs();
    const cli_lab *lab = cli_lab_named(&labs, lab_word);
    if (lab && !cli_has_solution(lab)) {
        (void)pk_fail(PK_USAGE, "there is no solution of lab %s here, as in a course pack; a hint: ./lab hint %s",
                      lab->number, asked.word);
        lab = NULL;
    }
    const int code = lab ? show_solution(lab, &asked) : cli_failed(PK_USAGE);
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
