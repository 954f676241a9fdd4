/* Launches with <<<...>>> and inline PTX in preprocessed text. Conditions and macros are resolved there, so what is
 * meant for a GPU alone (#if defined(__CUDA_ARCH__)) is not seen. */
#include "cc_source.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { MOST_NAMED = 6 }; /* places that a message names: it stays a few lines */

typedef struct reader {
    const char *at;
    char *file;
    size_t line;
} reader;

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* ---- moving on ---- */

static void step(reader *in)
{
    in->line += *in->at == '\n';
    in->at++;
}

static void skip_to(reader *in, const char *end)
{
    while (in->at < end && *in->at)
        step(in);
}

static bool begins_line(const reader *in, const char *text)
{
    return in->at == text || in->at[-1] == '\n';
}

/* "# 12 "vec.cu" 1": the next line is line 12 of vec.cu. Other lines that begin so are pragmas. */
static void read_marker(reader *in)
{
    const char *end = in->at + strcspn(in->at, "\n");
    char *rest;
    const size_t line = strtoul(in->at + 1, &rest, 10);
    const char *name = rest > in->at + 1 ? strchr(rest, '"') : NULL, *name_end = name ? strchr(name + 1, '"') : NULL;
    if (name_end && name_end < end) {
        free(in->file);
        in->file = cli_copy(name + 1, (size_t)(name_end - name - 1));
        in->line = line - 1; /* counted up by this line's own end */
    }
    in->at = end;
}

/* Past the literal that begins here. Its text goes to `to`, when there is one, escapes for a new line as such. */
static void skip_quoted(reader *in, char *to)
{
    const char quote = *in->at;
    size_t length = 0;
    for (step(in); *in->at && *in->at != quote && *in->at != '\n'; step(in)) {
        const bool escaped = *in->at == '\\' && in->at[1];
        if (escaped)
            step(in);
        if (to)
            to[length++] = !escaped ? *in->at : *in->at == 'n' ? '\n' : *in->at == 't' ? '\t' : *in->at;
    }
    if (*in->at == quote)
        step(in);
    if (to)
        to[length] = '\0';
}

/* R"mark(...)mark": nothing in it is an escape. */
static void skip_raw(reader *in, char *to)
{
    const char *mark = in->at + 1, *open = strchr(mark, '(');
    if (!open) {
        skip_quoted(in, to);
        return;
    }
    char *closing = cli_format(")%.*s\"", (int)(open - mark), mark);
    const char *end = strstr(open, closing);
    const char *stop = end ? end : open + strlen(open);
    if (to) {
        memcpy(to, open + 1, (size_t)(stop - open - 1));
        to[stop - open - 1] = '\0';
    }
    skip_to(in, end ? end + strlen(closing) : stop);
    free(closing);
}

static void skip_literal(reader *in, const char *text, char *to)
{
    if (*in->at == '"' && in->at > text && in->at[-1] == 'R')
        skip_raw(in, to);
    else
        skip_quoted(in, to);
}

/* The ' in 1'000'000 begins no literal. */
static bool begins_literal(const reader *in, const char *text)
{
    return *in->at == '"' || (*in->at == '\'' && (in->at == text || !isxdigit((unsigned char)in->at[-1])));
}

/* ---- what is looked for ---- */

static void note(cc_places *places, const char *file, size_t line, const char *kernel)
{
    if (places->count++ >= MOST_NAMED)
        return;
    char *text = places->text ? cli_format("%s, %s:%zu", places->text, file, line) : cli_format("%s:%zu", file, line);
    free(places->text);
    places->text = text;
    if (kernel && !places->kernel)
        places->kernel = cli_copy(kernel, strlen(kernel));
}

/* The expression before <<<: a name, with the template arguments that end it. NULL after `operator`. */
static char *kernel_before(const char *text, const char *launch)
{
    const char *end = launch;
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    const char *from = end;
    if (from > text && from[-1] == '>') {
        int depth = 0;
        do {
            from--;
            depth += (*from == '>') - (*from == '<');
        } while (from > text && depth > 0 && !strchr(";{}", *from));
    }
    while (from > text && (is_word(from[-1]) || from[-1] == ':'))
        from--;
    char *name = cli_copy(from, (size_t)(end - from));
    if (strcmp(name, "operator") != 0)
        return name;
    free(name);
    return NULL;
}

static bool is_one_of(const char *word, size_t length, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(words[i]) == length && !strncmp(word, words[i], length))
            return true;
    return false;
}

/* One instruction. PTX's have their type in their name, mov.u32; the host's do not, but for aarch64's b.eq. */
static bool is_ptx_instruction(const char *at)
{
    static const char *const plain[] = {"trap", "exit", "brkpt"}, *const hosts[] = {"b", "bc"};
    at += strspn(at, " \t\r{}");
    const size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (*at == '@' || !strncmp(at, ".reg", 4))
        return true;
    if (at[length] == '.')
        return isalpha((unsigned char)*at) && isalpha((unsigned char)at[length + 1]) &&
               !is_one_of(at, length, hosts, sizeof hosts / sizeof *hosts);
    return is_one_of(at, length, plain, sizeof plain / sizeof *plain) && !is_word(at[length]);
}

static bool is_ptx(const char *assembly)
{
    for (const char *at = assembly; *at; at += strspn(at, ";\n")) {
        if (is_ptx_instruction(at))
            return true;
        at += strcspn(at, ";\n");
    }
    return false;
}

/* The template of the asm statement whose ( is here: its literals up to the first colon. To the end of the template. */
static char *read_template(reader *in, const char *text)
{
    char *assembly = cli_grow(NULL, strlen(in->at) + 1, 1);
    size_t length = 0;
    assembly[0] = '\0';
    for (step(in); *in->at && !strchr(":);", *in->at);) {
        if (*in->at == '#' && begins_line(in, text)) {
            read_marker(in);
        } else if (*in->at == '"') {
            skip_literal(in, text, assembly + length);
            length += strlen(assembly + length);
        } else {
            step(in);
        }
    }
    return assembly;
}

/* Does a line of the complaints say "FILE:LINE:" and then "error: " or, as assemblers do, "Error: "? */
static bool is_error_at(const char *complaints, const char *file, size_t line)
{
    char *place = cli_format("%s:%zu:", file, line);
    bool found = false;
    for (const char *at = strstr(complaints, place); at && !found; at = strstr(at + 1, place)) {
        const char *error = strstr(at, "rror: ");
        found = (at == complaints || at[-1] == '\n') && error && error < at + strcspn(at, "\n");
    }
    free(place);
    return found;
}

/* The assembler counts a line for each that the template has. */
static size_t last_line(size_t first, size_t end, const char *assembly)
{
    size_t last = first;
    for (const char *at = strchr(assembly, '\n'); at; at = strchr(at + 1, '\n'))
        last++;
    return last > end ? last : end;
}

static bool is_asm(const char *word, size_t length)
{
    static const char *const names[] = {"asm", "__asm", "__asm__"};
    return is_one_of(word, length, names, sizeof names / sizeof *names);
}

static void look_at_asm(reader *in, const char *text, size_t line, const char *complaints, cc_places *ptx)
{
    char *file = cli_copy(in->file, strlen(in->file)), *assembly = read_template(in, text);
    while (*in->at && *in->at != ';') {
        if (*in->at == '#' && begins_line(in, text))
            read_marker(in);
        else if (begins_literal(in, text))
            skip_literal(in, text, NULL);
        else
            step(in);
    }
    bool is_error = false;
    for (size_t i = line, last = last_line(line, in->line, assembly); i <= last && !is_error; i++)
        is_error = is_error_at(complaints, file, i);
    if (is_error && is_ptx(assembly))
        note(ptx, file, line, NULL);
    free(assembly);
    free(file);
}

static void look_at_word(reader *in, const char *text, const char *complaints, cc_places *ptx)
{
    static const char *const qualifiers[] = {"volatile", "__volatile", "__volatile__", "inline", "goto"};
    const char *word = in->at;
    const size_t line = in->line;
    while (is_word(*in->at))
        step(in);
    if (!is_asm(word, (size_t)(in->at - word)))
        return;
    for (;;) {
        while (isspace((unsigned char)*in->at))
            step(in);
        size_t length = 0;
        while (is_word(in->at[length]))
            length++;
        if (!is_one_of(in->at, length, qualifiers, sizeof qualifiers / sizeof *qualifiers))
            break;
        skip_to(in, in->at + length);
    }
    if (*in->at == '(')
        look_at_asm(in, text, line, complaints, ptx);
}

static void look_at_launch(reader *in, const char *text, cc_places *launches)
{
    char *kernel = kernel_before(text, in->at);
    if (kernel)
        note(launches, in->file, in->line, kernel);
    free(kernel);
    skip_to(in, in->at + 3);
}

static void end_places(cc_places *places)
{
    if (places->count <= MOST_NAMED)
        return;
    char *text = cli_format("%s and %zu more", places->text, places->count - MOST_NAMED);
    free(places->text);
    places->text = text;
}

cc_findings cc_look(const char *text, const char *complaints)
{
    cc_findings found = {0};
    reader in = {text, cli_copy("", 0), 1};
    while (*in.at) {
        if (*in.at == '#' && begins_line(&in, text))
            read_marker(&in);
        else if (begins_literal(&in, text))
            skip_literal(&in, text, NULL);
        else if (is_word(*in.at))
            look_at_word(&in, text, complaints, &found.ptx);
        else if (!strncmp(in.at, "<<<", 3))
            look_at_launch(&in, text, &found.launches);
        else
            step(&in);
    }
    end_places(&found.launches);
    end_places(&found.ptx);
    free(in.file);
    return found;
}

void cc_findings_free(cc_findings *findings)
{
    free(findings->launches.text);
    free(findings->launches.kernel);
    free(findings->ptx.text);
    free(findings->ptx.kernel);
    *findings = (cc_findings){0};
}
