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

char *cli_student_file(const cli_lab *lab)
{
    return cli_format("%s/labs/%s/optimized.cu", cli_source(), lab->name);
}

char *cli_solution_file(const cli_lab *lab)
{
    return cli_format("%s/solutions/%s/optimized.cu", cli_source(), lab->name);
}

const char *cli_relative(const char *path)
{
    size_t length = strlen(cli_source());
    return strncmp(path, cli_source(), length) == 0 && path[length] == '/' ? path + length + 1 : path;
}

/* ---- steps ---- */

/* The code between `code` and `end` without comments, string literals and white space, in new memory. */
static char *bare_code(const char *code, const char *end)
{
    char *bare = cli_copy(code, (size_t)(end - code));
    size_t length = 0;
    while (code < end) {
        if (!strncmp(code, "//", 2)) {
            code += strcspn(code, "\n");
        } else if (!strncmp(code, "/*", 2)) {
            const char *close = strstr(code + 2, "*/");
            code = close ? close + 2 : end;
        } else if (*code == '"') {
            for (code++; code < end && *code != '"'; code++)
                code += *code == '\\';
            code++;
        } else {
            if (!isspace((unsigned char)*code))
                bare[length++] = *code;
            code++;
        }
    }
    bare[length] = '\0';
    return bare;
}

/* A step is open while it calls pk_todo (a remark about it is no call) or, in a kernel, which cannot call it, while
 * nothing is there but casts to void that keep the compiler quiet. */
static bool is_open(const char *code, const char *end)
{
    char *bare = bare_code(code, end);
    const char *at = bare;
    while (!strncmp(at, "(void)", 6)) {
        at += strcspn(at, ";");
        at += *at == ';';
    }
    bool open = *at == '\0' || strstr(bare, "pk_todo") != NULL;
    free(bare);
    return open;
}

static void copy_title(char *title, size_t bytes, const char *from, const char *end)
{
    while (from < end && (*from == ':' || isspace((unsigned char)*from)))
        from++;
    size_t length = 0;
    while (from + length < end && from[length] != '\n' && strncmp(from + length, "*/", 2) != 0)
        length++;
    while (length && isspace((unsigned char)from[length - 1]))
        length--;
    snprintf(title, bytes, "%.*s", (int)length, from);
}

static size_t line_of(const char *source, const char *at)
{
    size_t line = 1;
    for (; source < at; source++)
        line += *source == '\n';
    return line;
}

/* The step's id behind a fence's word, its length 0 when it is none. */
static const char *fence_id(const char *comment, const char *word, size_t *length)
{
    const char *id = comment + strlen("/* ") + strlen(word);
    id += *id == ' ';
    *length = strcspn(id, ": \t\n*");
    return id;
}

/* The rungs that a fence names between its id and the colon, " for stream, pdl", into `rungs`; what follows them. */
static const char *copy_rungs(char *rungs, size_t bytes, const char *from, const char *end)
{
    static const char before[] = " for ";
    size_t length = strcspn(from, ":\n");
    rungs[0] = '\0';
    if (strncmp(from, before, strlen(before)) != 0 || from + length >= end)
        return from;
    snprintf(rungs, bytes, "%.*s", (int)(length - strlen(before)), from + strlen(before));
    return from + length;
}

/* Read the fence whose comment begins at `comment`; NULL when that is no fence. Where its end is not there before the
 * next one begins, the step is lost and as long as its first line. */
static const char *read_step(const char *source, const char *comment, cli_step *step)
{
    size_t id_length;
    const char *id = fence_id(comment, "STEP", &id_length);
    const char *close = strstr(id, "*/");
    if (!close || id_length == 0 || id_length >= sizeof step->id)
        return NULL;
    memset(step, 0, sizeof *step);
    memcpy(step->id, id, id_length);
    copy_title(step->title, sizeof step->title, copy_rungs(step->rungs, sizeof step->rungs, id + id_length, close),
               close);
    step->line = line_of(source, comment);
    char *fence = cli_format("/* END %s", step->id);
    const char *end = strstr(close, fence), *next = strstr(close, "/* STEP ");
    while (end && strchr(": \t\n*", end[strlen(fence)]) == NULL) /* lab01.1 is no lab01.10 */
        end = strstr(end + 1, fence);
    free(fence);
    step->begin = step->end = (size_t)(close + 2 - source);
    if (!end || (next && next < end)) {
        step->lost = "END";
        return close;
    }
    step->end = (size_t)(end - source);
    step->open = is_open(close + 2, end);
    return end;
}

bool cli_step_is_of(const cli_step *step, const char *variant)
{
    const size_t length = strlen(variant);
    if (!strcmp(step->rungs, "all rungs"))
        return true;
    for (const char *at = step->rungs; *at; at += strspn(at, ", ")) {
        const size_t word = strcspn(at, ", ");
        if (word == length && !memcmp(at, variant, length))
            return true;
        at += word;
    }
    return false;
}

static void add_step(cli_steps *steps, const cli_step *step)
{
    steps->steps = cli_grow(steps->steps, steps->count + 1, sizeof *steps->steps);
    steps->steps[steps->count++] = *step;
}

static bool has_step(const cli_steps *steps, const char *id)
{
    for (size_t i = 0; i < steps->count; i++)
        if (!strcmp(steps->steps[i].id, id))
            return true;
    return false;
}

static int by_number(const void *a, const void *b)
{
    const char *a_dot = strchr(((const cli_step *)a)->id, '.'), *b_dot = strchr(((const cli_step *)b)->id, '.');
    long a_number = a_dot ? strtol(a_dot + 1, NULL, 10) : 0, b_number = b_dot ? strtol(b_dot + 1, NULL, 10) : 0;
    return (a_number > b_number) - (a_number < b_number);
}

static void sort_steps(cli_steps *steps)
{
    if (steps->count)
        qsort(steps->steps, steps->count, sizeof *steps->steps, by_number);
}

cli_steps cli_find_steps(const char *source)
{
    cli_steps steps = {NULL, 0};
    for (const char *at = strstr(source, "/* STEP "); at; at = strstr(at, "/* STEP ")) {
        cli_step step;
        const char *end = read_step(source, at, &step);
        if (end)
            add_step(&steps, &step);
        at = end ? end : at + 1;
    }
    sort_steps(&steps);
    return steps;
}

/* The line of the step's closing fence, or 0. */
static size_t line_of_end(const char *source, const char *id)
{
    char *fence = cli_format("/* END %s ", id);
    const char *end = strstr(source, fence);
    free(fence);
    return end ? line_of(source, end) : 0;
}

cli_steps cli_student_steps(const cli_lab *lab)
{
    char *path = cli_student_file(lab), *source = cli_read_file(path);
    char *solution_path = cli_solution_file(lab), *solution = cli_read_file(solution_path);
    cli_steps steps = source ? cli_find_steps(source) : (cli_steps){NULL, 0};
    cli_steps all = solution ? cli_find_steps(solution) : (cli_steps){NULL, 0};
    for (size_t i = 0; i < all.count; i++) {
        if (has_step(&steps, all.steps[i].id))
            continue;
        cli_step step = all.steps[i];
        step.open = false;
        step.lost = "STEP";
        step.begin = step.end = 0;
        step.line = source ? line_of_end(source, step.id) : 0;
        add_step(&steps, &step);
    }
    sort_steps(&steps);
    cli_steps_free(&all);
    free(solution);
    free(solution_path);
    free(source);
    free(path);
    return steps;
}

void cli_say_lost_steps(const cli_lab *lab, const cli_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        const cli_step *step = &steps->steps[i];
        if (!step->lost)
            continue;
        char *path = cli_student_file(lab);
        char *line = step->line ? cli_format(":%zu", step->line) : cli_copy("", 0);
        cli_say(2,
                "%s has no %s line: %s%s\n"
                "  Write /* %s %s%s */ again, or restore the file: ./lab reset %s",
                step->id, step->lost, cli_relative(path), line, step->lost, step->id,
                strcmp(step->lost, "STEP") ? "" : ": ...", lab->number);
        free(line);
        free(path);
    }
}

void cli_steps_free(cli_steps *steps)
{
    free(steps->steps);
    *steps = (cli_steps){NULL, 0};
}

size_t cli_open_steps(const cli_steps *steps)
{
    size_t open = 0;
    for (size_t i = 0; i < steps->count; i++)
        open += steps->steps[i].open;
    return open;
}

size_t cli_lost_steps(const cli_steps *steps)
{
    size_t lost = 0;
    for (size_t i = 0; i < steps->count; i++)
        lost += steps->steps[i].lost != NULL;
    return lost;
}
