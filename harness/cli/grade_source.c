/* Rules for the text of a submission's steps. They are strict where strictness costs an honest step nothing: whatever
 * the solution's own step has is allowed in that step. */
#include "grade_source.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* ---- tokens ---- */

typedef struct token {
    const char *at;
    size_t length;     /* 0: the end */
    size_t line;       /* of the text that is read, from 1 */
    const char *fault; /* why no C or C++ goes on here; NULL: it does */
} token;

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static size_t lines_in(const char *at, const char *end)
{
    size_t lines = 0;
    for (; at < end; at++)
        lines += *at == '\n';
    return lines;
}

/* Past blanks and comments; NULL when a comment has no end. */
static const char *skip_blank(const char *at, const char *end)
{
    for (;;) {
        while (at < end && isspace((unsigned char)*at))
            at++;
        if (end - at >= 2 && at[0] == '/' && at[1] == '/') {
            while (at < end && *at != '\n')
                at++;
        } else if (end - at >= 2 && at[0] == '/' && at[1] == '*') {
            for (at += 2; end - at >= 2 && (at[0] != '*' || at[1] != '/');)
                at++;
            if (end - at < 2)
                return NULL;
            at += 2;
        } else {
            return at;
        }
    }
}

/* Behind a literal that begins here; NULL when it has no end in its line. */
static const char *skip_literal(const char *at, const char *end)
{
    const char quote = *at++;
    for (; at < end && *at != quote; at++) {
        at += *at == '\\';
        if (at >= end || *at == '\n')
            return NULL;
    }
    return at < end ? at + 1 : NULL;
}

/* The bytes of "#pragma unroll", the one directive that a step may have; 0 where another stands. */
static size_t unroll_at(const char *at, const char *end)
{
    static const char *const words[] = {"#", "pragma", "unroll"};
    const char *from = at;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const size_t length = strlen(words[i]);
        while (i > 0 && at < end && (*at == ' ' || *at == '\t'))
            at++;
        if ((size_t)(end - at) < length || strncmp(at, words[i], length) != 0)
            return 0;
        at += length;
    }
    return at < end && is_word(*at) ? 0 : (size_t)(at - from);
}

/* The token behind `last`, in the text up to `end`. */
static token next_token(token last, const char *end)
{
    const char *from = last.at + last.length, *at = skip_blank(from, end);
    token t = {at ? at : end, 0, last.line + lines_in(last.at, at ? at : from), NULL};
    if (!at)
        t.fault = "a comment without an end";
    if (!at || at == end)
        return t;
    if (is_word(*at)) {
        while (at < end && (is_word(*at) || (*at == '\'' && isdigit((unsigned char)*t.at) && is_word(at[1]))))
            at++;
        if (at < end && *at == '"' && at[-1] == 'R')
            t.fault = "a raw string";
    } else if (*at == '"' || *at == '\'') {
        at = skip_literal(at, end);
        if (!at)
            t.fault = "a literal without an end in its line";
    } else if (*at == '\\') {
        t.fault = "a backslash outside of literals";
    } else if (unroll_at(at, end)) {
        at += unroll_at(at, end);
    } else if (*at == '#' || (end - at >= 2 && at[0] == '%' && at[1] == ':')) {
        t.fault = "a preprocessor directive";
    } else if (end - at >= 2 && at[0] == '?' && at[1] == '?') {
        t.fault = "a trigraph";
    } else if (end - at >= 3 && !strncmp(at, "<<<", 3)) {
        at += 3;
    } else if (end - at >= 2 && !strncmp(at, "[[", 2)) {
        at += 2;
    } else {
        at++;
    }
    t.length = at && !t.fault ? (size_t)(at - t.at) : 1;
    return t;
}

static bool is(const token *t, const char *word)
{
    return t->length == strlen(word) && !strncmp(t->at, word, t->length);
}

/* ---- what no step needs ---- */

typedef struct rule {
    const char *word; /* "name", or "begin*" for all words that begin so */
    const char *why;
} rule;

static const rule rules[] = {
    {"asm", "assembler"},
    {"__asm", "assembler"},
    {"__asm__", "assembler"},
    {"__attribute__", "an attribute"},
    {"__attribute", "an attribute"},
    {"[[", "an attribute"},
    {"__declspec", "an attribute"},
    {"_Pragma", "a pragma"},
    {"__pragma", "a pragma"},
    {"extern", "a declaration of something outside of the file"},
    {"<<<", "a launch past PK_LAUNCH: it is not counted"},
    {"cudaLaunch*", "a launch past PK_LAUNCH: it is not counted"},
    {"cudaGraphLaunch*", "a launch past PK_GRAPH_LAUNCH: it is not counted"},
    {"hipLaunch*", "a launch past PK_LAUNCH: it is not counted"},
    {"hipGraphLaunch*", "a launch past PK_GRAPH_LAUNCH: it is not counted"},
    {"PK_BACKEND_*", "a launch past PK_LAUNCH: it is not counted"},
    {"PK_LAUNCH_BY_*", "a launch past PK_LAUNCH: it is not counted"},
    {"PK_LAUNCH_WITH_*", "a launch past PK_LAUNCH: it is not counted"},
    {"PK_CPU_*", "the CPU device's own inside"},
    {"pk_cpu_*", "the CPU device's own inside"},
    {"pk_launch_*", "the harness's count of launches"},
    {"pk_this_lab", "the lab's own functions"},
    {"pk_run_reference", "what results are compared with"},
    {"pk_run_peeks", "whether anybody looks"},
    {"pk_run_peek", "the harness's way to look"},
    {"PK_VARIANTS*", "the list of variants"},
};

static bool matches(const token *t, const char *word)
{
    const size_t length = strlen(word);
    if (word[length - 1] != '*')
        return is(t, word);
    return t->length >= length - 1 && !strncmp(t->at, word, length - 1);
}

static const char *why_not(const token *t)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (matches(t, rules[i].word))
            return rules[i].why;
    return NULL;
}

static bool has_token(const char *begin, const char *end, const token *wanted)
{
    token t = {begin, 0, 1, NULL};
    for (t = next_token(t, end); t.length > 0; t = next_token(t, end))
        if (t.length == wanted->length && !memcmp(t.at, wanted->at, t.length))
            return true;
    return false;
}

static pk_status refuse(const char *file, const char *id, const token *t, const char *why)
{
    return pk_fail(PK_USAGE, "%s:%zu: step %s has %s: %.*s", file, t->line, id, why,
                   (int)(t->length < 40 ? t->length : 40), t->at);
}

/* The opening bracket that a closing one needs; 0 for what is none. */
static char opening_of(char c)
{
    return (char)(c == ')' ? '(' : c == ']' ? '[' : c == '}' ? '{' : 0);
}

/* `*open`: the brackets that are open, [*depth]. */
static bool brackets_fit(char *open, size_t most, size_t *depth, const token *t)
{
    const char c = *t->at;
    const size_t brackets = c == '[' ? t->length : 1;
    for (size_t i = 0; i < brackets && (c == '(' || c == '[' || c == '{'); i++) {
        if (*depth == most)
            return false;
        open[(*depth)++] = c;
    }
    const char needs = opening_of(c);
    return !needs || (*depth > 0 && open[--*depth] == needs);
}

/* A step's text, which begins in line `line` of its file. */
static pk_status check_step(const char *file, const char *id, const char *begin, const char *end, size_t line,
                            const char *our_begin, const char *our_end)
{
    char open[256];
    size_t depth = 0;
    token t = {begin, 0, line, NULL};
    for (t = next_token(t, end); t.length > 0 || t.fault; t = next_token(t, end)) {
        if (t.fault)
            return refuse(file, id, &t, t.fault);
        const char *why = why_not(&t);
        if (why && !has_token(our_begin, our_end, &t))
            return refuse(file, id, &t, why);
        if (!brackets_fit(open, sizeof open, &depth, &t))
            return refuse(file, id, &t, "a bracket that closes none of its own");
    }
    return depth == 0 ? PK_OK : refuse(file, id, &t, "a bracket that it does not close");
}

size_t grade_line_of_word(const char *source, const char *word)
{
    const char *end = source + strlen(source);
    token t = {source, 0, 1, NULL};
    for (t = next_token(t, end); t.at < end; t = next_token(t, end)) {
        if (t.length == 0)
            break;
        if (is(&t, word))
            return t.line;
    }
    return 0;
}

/* ---- outside of the fences ---- */

static int by_place(const void *a, const void *b)
{
    const pk_step *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Where they differ but for blanks at a line's end, as a place in `theirs`; NULL: nowhere. */
static const char *difference(const char *ours, const char *our_end, const char *theirs, const char *their_end)
{
    while (ours < our_end || theirs < their_end) {
        const char *our_line = memchr(ours, '\n', (size_t)(our_end - ours));
        const char *their_line = memchr(theirs, '\n', (size_t)(their_end - theirs));
        const char *our_stop = our_line ? our_line : our_end, *their_stop = their_line ? their_line : their_end;
        size_t our_length = (size_t)(our_stop - ours), their_length = (size_t)(their_stop - theirs);
        while (our_length && isspace((unsigned char)ours[our_length - 1]))
            our_length--;
        while (their_length && isspace((unsigned char)theirs[their_length - 1]))
            their_length--;
        if (our_length != their_length || memcmp(ours, theirs, our_length) != 0)
            return theirs;
        if (!our_line != !their_line && (our_stop < our_end || their_stop < their_end))
            return theirs;
        ours = our_line ? our_line + 1 : our_end;
        theirs = their_line ? their_line + 1 : their_end;
    }
    return NULL;
}

static pk_status same_outside(const char *file, const char *ours, const char *our_end, const char *source,
                              const char *theirs, const char *their_end)
{
    const char *differs = difference(ours, our_end, theirs, their_end);
    if (!differs)
        return PK_OK;
    return pk_fail(PK_USAGE,
                   "%s:%zu: outside of the steps the file is not as shipped, and only steps are taken: move what you "
                   "wrote between the STEP and END lines",
                   file, lines_in(source, differs) + 1);
}

static pk_status same_steps(const char *file, const pk_steps *ours, const pk_steps *theirs)
{
    for (size_t i = 0; i < theirs->count; i++)
        if (theirs->steps[i].lost)
            return pk_fail(PK_USAGE, "%s:%zu: step %s has no %s line", file, theirs->steps[i].line, theirs->steps[i].id,
                           theirs->steps[i].lost);
    for (size_t i = 0; i < ours->count; i++)
        if (i >= theirs->count || strcmp(ours->steps[i].id, theirs->steps[i].id) != 0)
            return pk_fail(PK_USAGE, "%s: step %s is not there, or not in its place", file, ours->steps[i].id);
    if (theirs->count > ours->count)
        return pk_fail(PK_USAGE, "%s:%zu: there is no such step as %s", file, theirs->steps[ours->count].line,
                       theirs->steps[ours->count].id);
    return PK_OK;
}

/* ---- a file ---- */

typedef struct text {
    char *text;
    size_t length;
} text;

static void append(text *to, const char *begin, const char *end)
{
    to->text = cli_grow(to->text, to->length + (size_t)(end - begin) + 1, 1);
    for (; begin < end; begin++)
        if (*begin != '\r')
            to->text[to->length++] = *begin;
    to->text[to->length] = '\0';
}

/* Text outside from ours, steps from theirs, one behind the other. */
static pk_status put_together(const char *file, const char *ours, const pk_steps *our_steps, const char *theirs,
                              const pk_steps *their_steps, text *made)
{
    const char *our_at = ours, *their_at = theirs;
    for (size_t i = 0; i < our_steps->count; i++) {
        const pk_step *our = &our_steps->steps[i], *their = &their_steps->steps[i];
        pk_status status = same_outside(file, our_at, ours + our->begin, theirs, their_at, theirs + their->begin);
        if (status == PK_OK)
            status = check_step(file, their->id, theirs + their->begin, theirs + their->end,
                                lines_in(theirs, theirs + their->begin) + 1, ours + our->begin, ours + our->end);
        if (status != PK_OK)
            return status;
        append(made, our_at, ours + our->begin);
        append(made, theirs + their->begin, theirs + their->end);
        our_at = ours + our->end;
        their_at = theirs + their->end;
    }
    append(made, our_at, ours + strlen(ours));
    return same_outside(file, our_at, ours + strlen(ours), theirs, their_at, theirs + strlen(theirs));
}

pk_status grade_take_steps(const char *file, const char *ours, const char *theirs, char **made)
{
    const pk_source our_source = {file, ours}, their_source = {file, theirs};
    pk_steps our_steps = pk_find_steps(&our_source, 1), their_steps = pk_find_steps(&their_source, 1);
    text whole = {NULL, 0};
    qsort(our_steps.steps, our_steps.count, sizeof *our_steps.steps, by_place);
    if (their_steps.count > 0)
        qsort(their_steps.steps, their_steps.count, sizeof *their_steps.steps, by_place);
    pk_status status = same_steps(file, &our_steps, &their_steps);
    if (status == PK_OK)
        status = put_together(file, ours, &our_steps, theirs, &their_steps, &whole);
    pk_steps_free(&our_steps);
    pk_steps_free(&their_steps);
    *made = status == PK_OK ? whole.text : NULL;
    if (status != PK_OK)
        free(whole.text);
    return status;
}
