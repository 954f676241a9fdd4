/* Finding the steps in source texts. */
#include "pk/steps.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk_status.h"

static void *grown(void *memory, size_t count, size_t element_bytes)
{
    void *larger = realloc(memory, count * element_bytes);
    if (!larger) {
        const int code = pk_exit_code(pk_out_of_memory("steps"));
        (void)fprintf(stderr, "%s\n", pk_error_text());
        exit(code);
    }
    return larger;
}

/* The code between `code` and `end` without comments, string literals and white space, in new memory. */
static char *bare_code(const char *code, const char *end)
{
    char *bare = grown(NULL, (size_t)(end - code) + 1, 1);
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

/* Does a statement stand there that a step does not have as shipped? As shipped it has a call of pk_todo, or, in a
 * kernel, which cannot call it, nothing but casts to void that keep the compiler quiet. */
static bool has_code(const char *bare)
{
    static const char *const shipped[] = {"(void)", "returnpk_todo("};
    while (*bare) {
        const bool is_shipped = !strncmp(bare, shipped[0], strlen(shipped[0])) ||
                                !strncmp(bare, shipped[1], strlen(shipped[1])) || *bare == ';';
        if (!is_shipped)
            return true;
        bare += strcspn(bare, ";");
        bare += *bare == ';';
    }
    return false;
}

/* A step is open until code stands there and pk_todo is not called any more (a remark about it is no call). */
static void judge_code(pk_step *step, const char *code, const char *end)
{
    char *bare = bare_code(code, end);
    const bool filled = has_code(bare), todo = strstr(bare, "pk_todo") != NULL;
    step->open = !filled || todo;
    step->todo_left = filled && todo;
    free(bare);
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

/* The step's closing fence, or NULL. */
static const char *closing_fence(const char *source, const char *id)
{
    char fence[sizeof "/* END " + sizeof((pk_step *)0)->id];
    (void)snprintf(fence, sizeof fence, "/* END %s", id);
    const char *end = strstr(source, fence);
    while (end && strchr(": \t\n*", end[strlen(fence)]) == NULL) /* lab01.1 is no lab01.10 */
        end = strstr(end + 1, fence);
    return end;
}

/* Read the fence whose comment begins at `comment`; NULL when that is no fence. Where its end is not there before the
 * next one begins, the step is lost and as long as its first line. */
static const char *read_step(const char *source, const char *comment, pk_step *step)
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
    const char *end = closing_fence(close, step->id), *next = strstr(close, "/* STEP ");
    step->begin = step->end = (size_t)(close + 2 - source);
    if (!end || (next && next < end)) {
        step->lost = "END";
        return close;
    }
    step->end = (size_t)(end - source);
    judge_code(step, close + 2, end);
    return end;
}

bool pk_step_is_of(const pk_step *step, const char *variant)
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

static int by_number(const void *a, const void *b)
{
    const char *a_dot = strchr(((const pk_step *)a)->id, '.'), *b_dot = strchr(((const pk_step *)b)->id, '.');
    long a_number = a_dot ? strtol(a_dot + 1, NULL, 10) : 0, b_number = b_dot ? strtol(b_dot + 1, NULL, 10) : 0;
    return (a_number > b_number) - (a_number < b_number);
}

void pk_steps_add(pk_steps *steps, const pk_step *step)
{
    steps->steps = grown(steps->steps, steps->count + 1, sizeof *steps->steps);
    steps->steps[steps->count++] = *step;
    qsort(steps->steps, steps->count, sizeof *steps->steps, by_number);
}

/* ---- has a step changed? ---- */

static bool is_in_a_step(const pk_steps *steps, size_t byte)
{
    for (size_t i = 0; i < steps->count; i++)
        if (steps->steps[i].begin <= byte && byte < steps->steps[i].end)
            return true;
    return false;
}

static uint64_t with_byte(uint64_t digest, char byte)
{
    return (digest ^ (unsigned char)byte) * UINT64_C(0x100000001b3); /* the FNV prime of 64 bits */
}

static uint64_t digest_of(const char *source, const pk_steps *steps, const pk_step *step)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325); /* FNV's offset basis of 64 bits */
    for (size_t i = step->begin; i < step->end; i++)
        digest = with_byte(digest, source[i]);
    for (size_t i = 0; source[i]; i++)
        if (!is_in_a_step(steps, i))
            digest = with_byte(digest, source[i]);
    return digest;
}

/* ---- all of them ---- */

static pk_steps steps_of(const pk_source *source)
{
    pk_steps steps = {NULL, 0};
    for (const char *at = strstr(source->text, "/* STEP "); at; at = strstr(at, "/* STEP ")) {
        pk_step step;
        const char *end = read_step(source->text, at, &step);
        if (end) {
            (void)snprintf(step.file, sizeof step.file, "%s", source->file);
            pk_steps_add(&steps, &step);
        }
        at = end ? end : at + 1;
    }
    for (size_t i = 0; i < steps.count; i++)
        steps.steps[i].digest = digest_of(source->text, &steps, &steps.steps[i]);
    return steps;
}

pk_steps pk_find_steps(const pk_source *sources, size_t count)
{
    pk_steps all = {NULL, 0};
    for (size_t i = 0; i < count; i++) {
        pk_steps steps = steps_of(&sources[i]);
        for (size_t j = 0; j < steps.count; j++)
            pk_steps_add(&all, &steps.steps[j]);
        pk_steps_free(&steps);
    }
    return all;
}

void pk_steps_free(pk_steps *steps)
{
    free(steps->steps);
    *steps = (pk_steps){NULL, 0};
}

size_t pk_step_end_line(const char *source, const char *id)
{
    const char *end = closing_fence(source, id);
    return end ? line_of(source, end) : 0;
}

void pk_step_digest_text(char text[PK_STEP_DIGEST_BYTES], const pk_step *step)
{
    (void)snprintf(text, PK_STEP_DIGEST_BYTES, "%016" PRIx64, step->digest);
}
