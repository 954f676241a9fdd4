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

/* Read the fence whose comment begins at `comment`; NULL when it has no end or no closing fence. */
static const char *read_step(const char *source, const char *comment, cli_step *step)
{
    const char *id = comment + strlen("/* STEP ");
    size_t id_length = strcspn(id, ": \t\n*");
    const char *close = strstr(id, "*/");
    if (!close || id_length == 0 || id_length >= sizeof step->id)
        return NULL;
    memcpy(step->id, id, id_length);
    step->id[id_length] = '\0';
    copy_title(step->title, sizeof step->title, id + id_length, close);
    char *fence = cli_format("/* END %s", step->id);
    const char *end = strstr(close, fence);
    free(fence);
    if (!end)
        return NULL;
    step->begin = (size_t)(close + 2 - source);
    step->end = (size_t)(end - source);
    step->open = is_open(close + 2, end);
    return end;
}

cli_steps cli_find_steps(const char *source)
{
    cli_steps steps = {NULL, 0};
    for (const char *at = strstr(source, "/* STEP "); at; at = strstr(at, "/* STEP ")) {
        cli_step step;
        const char *end = read_step(source, at, &step);
        if (end) {
            steps.steps = cli_grow(steps.steps, steps.count + 1, sizeof *steps.steps);
            steps.steps[steps.count++] = step;
        }
        at = end ? end : at + 1;
    }
    return steps;
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
