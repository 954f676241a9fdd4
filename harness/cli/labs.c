/* The labs that are in the source folder, and the steps in their files. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "pk/host.h"

/* ---- labs ---- */

static char *title_of(const char *name)
{
    char *path = cli_format("%s/labs/%s/README.md", cli_source(), name);
    char *page = cli_read_file(path);
    char *title = NULL;
    if (page && strncmp(page, "# ", 2) == 0)
        title = cli_copy(page + 2, strcspn(page + 2, "\r\n"));
    free(page);
    free(path);
    return title ? title : cli_copy(name, strlen(name));
}

static bool is_lab_name(const char *name)
{
    return strlen(name) > 6 && isdigit((unsigned char)name[3]) && isdigit((unsigned char)name[4]) && name[5] == '_';
}

cli_labs cli_find_labs(void)
{
    cli_labs labs = {NULL, 0};
    char *folder = cli_format("%s/labs", cli_source());
    cli_names names = cli_list_folder(folder, "lab", "");
    for (size_t i = 0; i < names.count; i++) {
        if (!is_lab_name(names.names[i]))
            continue;
        labs.labs = cli_grow(labs.labs, labs.count + 1, sizeof *labs.labs);
        cli_lab *lab = &labs.labs[labs.count++];
        snprintf(lab->number, sizeof lab->number, "%.2s", names.names[i] + 3);
        snprintf(lab->id, sizeof lab->id, "lab%s", lab->number);
        lab->name = cli_copy(names.names[i], strlen(names.names[i]));
        lab->title = title_of(lab->name);
    }
    cli_names_free(&names);
    free(folder);
    return labs;
}

void cli_labs_free(cli_labs *labs)
{
    for (size_t i = 0; i < labs->count; i++) {
        free(labs->labs[i].name);
        free(labs->labs[i].title);
    }
    free(labs->labs);
    *labs = (cli_labs){NULL, 0};
}

static bool is_called(const cli_lab *lab, const char *word)
{
    if (!strcmp(word, lab->number) || !strcmp(word, lab->id) || !strcmp(word, lab->name))
        return true;
    return lab->number[0] == '0' && !strcmp(word, lab->number + 1);
}

const cli_lab *cli_lab_named(const cli_labs *labs, const char *word)
{
    enum { MOST = 64 };
    const char *ids[MOST];
    size_t count = 0;
    for (size_t i = 0; i < labs->count; i++) {
        if (is_called(&labs->labs[i], word))
            return &labs->labs[i];
        if (count < MOST)
            ids[count++] = labs->labs[i].id;
    }
    if (!count) {
        pk_fail(PK_USAGE, "no lab is in %s/labs; restore the source folder", cli_source());
        return NULL;
    }
    /* A number that no lab has is no slip of the finger: only a word is worth a suggestion. */
    const char *nearest = isdigit((unsigned char)word[0]) ? NULL : pk_nearest(word, ids, count);
    if (nearest)
        pk_fail(PK_USAGE, "unknown lab '%s'; did you mean '%s'? see ./lab list", word, nearest + 3);
    else
        pk_fail(PK_USAGE, "unknown lab '%s'; the labs are %s%s%s, see ./lab list", word, ids[0] + 3,
                count > 1 ? " to " : "", count > 1 ? ids[count - 1] + 3 : "");
    return NULL;
}

/* ---- files ---- */

char *cli_student_file(const cli_lab *lab, const char *file)
{
    return cli_format("%s/labs/%s/%s", cli_source(), lab->name, file);
}

char *cli_solution_file(const cli_lab *lab, const char *file)
{
    return cli_format("%s/solutions/%s/%s", cli_source(), lab->name, file);
}

/* The steps marked in one file; none when it is not there. */
static pk_steps steps_in(const char *path, const char *file)
{
    char *text = cli_read_file(path);
    const pk_source source = {file, text};
    pk_steps steps = pk_find_steps(&source, text ? 1 : 0);
    free(text);
    return steps;
}

bool cli_has_solution(const cli_lab *lab)
{
    char *path = cli_solution_file(lab, "optimized.cu");
    const bool there = cli_exists(path);
    free(path);
    return there;
}

/* Those of the solution in the order of their steps: a file without any comes in the order of names, at the end. In a
 * course pack, which has no solutions, those of the lab that mark steps. */
cli_names cli_lab_files(const cli_lab *lab)
{
    static const char first[] = "optimized.cu";
    const bool whole = cli_has_solution(lab);
    char *folder = cli_format("%s/%s/%s", cli_source(), whole ? "solutions" : "labs", lab->name);
    cli_names there = cli_list_folder(folder, "", ".cu"), files = {NULL, 0};
    pk_steps all = {NULL, 0};
    cli_names_add(&files, first);
    for (size_t i = 0; i < there.count; i++) {
        char *path = cli_format("%s/%s", folder, there.names[i]);
        pk_steps steps = steps_in(path, there.names[i]);
        for (size_t j = 0; j < steps.count; j++)
            pk_steps_add(&all, &steps.steps[j]);
        pk_steps_free(&steps);
        free(path);
    }
    for (size_t i = 0; i < all.count; i++)
        if (!cli_names_has(&files, all.steps[i].file))
            cli_names_add(&files, all.steps[i].file);
    for (size_t i = 0; i < there.count && whole; i++)
        if (!cli_names_has(&files, there.names[i]))
            cli_names_add(&files, there.names[i]);
    pk_steps_free(&all);
    cli_names_free(&there);
    free(folder);
    return files;
}

char *cli_student_files(const cli_lab *lab)
{
    cli_names files = cli_lab_files(lab);
    char *text = cli_copy("", 0);
    for (size_t i = 0; i < files.count; i++) {
        char *path = cli_student_file(lab, files.names[i]);
        char *longer = cli_format("%s%s%s", text, i ? ", " : "", cli_relative(path));
        free(text);
        free(path);
        text = longer;
    }
    cli_names_free(&files);
    return text;
}

const char *cli_relative(const char *path)
{
    size_t length = strlen(cli_source());
    return strncmp(path, cli_source(), length) == 0 && path[length] == '/' ? path + length + 1 : path;
}

/* ---- steps ---- */

static bool has_step(const pk_steps *steps, const char *id)
{
    for (size_t i = 0; i < steps->count; i++)
        if (!strcmp(steps->steps[i].id, id))
            return true;
    return false;
}

pk_steps cli_marked_steps(const cli_lab *lab)
{
    cli_names files = cli_lab_files(lab);
    pk_steps marked = {NULL, 0};
    for (size_t i = 0; i < files.count; i++) {
        char *path = cli_student_file(lab, files.names[i]);
        pk_steps steps = steps_in(path, files.names[i]);
        for (size_t j = 0; j < steps.count; j++)
            pk_steps_add(&marked, &steps.steps[j]);
        pk_steps_free(&steps);
        free(path);
    }
    cli_names_free(&files);
    return marked;
}

/* Add to the steps marked in the student's files those of one file's solution that are in none of them. */
static void add_lost_steps(pk_steps *steps, const cli_lab *lab, const char *file)
{
    char *path = cli_student_file(lab, file), *source = cli_read_file(path);
    char *solution = cli_solution_file(lab, file);
    pk_steps all = steps_in(solution, file);
    for (size_t i = 0; i < all.count; i++) {
        if (has_step(steps, all.steps[i].id))
            continue;
        pk_step step = all.steps[i];
        step.open = false;
        step.lost = "STEP";
        step.begin = step.end = 0;
        step.line = source ? pk_step_end_line(source, step.id) : 0;
        pk_steps_add(steps, &step);
    }
    pk_steps_free(&all);
    free(solution);
    free(source);
    free(path);
}

pk_steps cli_student_steps(const cli_lab *lab)
{
    cli_names files = cli_lab_files(lab);
    pk_steps steps = cli_marked_steps(lab);
    for (size_t i = 0; i < files.count; i++)
        add_lost_steps(&steps, lab, files.names[i]);
    cli_names_free(&files);
    return steps;
}

/* The student's file that alone has lost fences, in a lab of several; "" for any other lab. */
static const char *damaged_file(const cli_lab *lab, const pk_steps *steps)
{
    cli_names files = cli_lab_files(lab);
    const char *damaged = NULL;
    bool alone = files.count > 1;
    for (size_t i = 0; i < steps->count; i++) {
        const pk_step *step = &steps->steps[i];
        if (!step->lost)
            continue;
        alone = alone && (!damaged || !strcmp(damaged, step->file));
        damaged = step->file;
    }
    cli_names_free(&files);
    return alone && damaged ? damaged : "";
}

void cli_say_lost_steps(const cli_lab *lab, const pk_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        const pk_step *step = &steps->steps[i];
        if (!step->lost)
            continue;
        char *path = cli_student_file(lab, step->file);
        char *line = step->line ? cli_format(":%zu", step->line) : cli_copy("", 0);
        cli_say(2, "%s has no %s line: %s%s\n  Write /* %s %s%s */ again", step->id, step->lost, cli_relative(path),
                line, step->lost, step->id, strcmp(step->lost, "STEP") ? "" : ": ...");
        free(line);
        free(path);
    }
    const char *file = damaged_file(lab, steps);
    if (cli_lost_steps(steps))
        cli_say(2, "Next: mend the fences, or restore the file: ./lab reset %s%s%s", lab->number, *file ? " " : "",
                file);
}

size_t cli_open_steps(const pk_steps *steps)
{
    size_t open = 0;
    for (size_t i = 0; i < steps->count; i++)
        open += steps->steps[i].open;
    return open;
}

size_t cli_lost_steps(const pk_steps *steps)
{
    size_t lost = 0;
    for (size_t i = 0; i < steps->count; i++)
        lost += steps->steps[i].lost != NULL;
    return lost;
}
