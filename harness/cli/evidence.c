/* What evidence.txt says of results. */
#include "evidence.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"
#include "quote.h"

enum { MOST_WORDS = CLI_MOST_KNOBS + 4 };

typedef struct statement { /* a line of the file */
    const char *path;
    size_t number;
    char *words[MOST_WORDS]; /* before the colon: what is said of which results */
    size_t word_count;
    char *text; /* behind it */
} statement;

static void free_statement(statement *of)
{
    for (size_t i = 0; i < of->word_count; i++)
        free(of->words[i]);
    free(of->text);
}

static pk_status odd(const statement *of, const char *what)
{
    return pk_fail(PK_USAGE, "%s, line %zu: %s; docs/measuring.md#evidence has the forms", of->path, of->number, what);
}

/* The words up to the one that ends in a colon, and the text behind it. */
static pk_status split(statement *into, const char *line)
{
    bool ended = false;
    while (!ended) {
        line += strspn(line, " \t");
        size_t length = strcspn(line, " \t");
        if (!length)
            return odd(into, "no colon ends what it is about");
        if (into->word_count == MOST_WORDS)
            return odd(into, "too many words stand before its colon");
        ended = line[length - 1] == ':';
        into->words[into->word_count++] = cli_copy(line, length - ended);
        line += length;
    }
    line += strspn(line, " \t");
    free(into->text);
    into->text = cli_plain(line);
    return *line && into->word_count > 1 ? PK_OK : odd(into, "a kind, a lab, a colon and a text make a line");
}

/* ---- withdrawn ---- */

/* NULL where the word is no "NAME=..."; else what stands behind it. */
static const char *value_of(const char *word, const char *name)
{
    const size_t length = strlen(name);
    return !strncmp(word, name, length) && word[length] == '=' ? word + length + 1 : NULL;
}

static bool has_value(const cli_result *result, const cli_point *point, size_t knob, const char *wanted)
{
    char *text = cli_knob_text(result, knob, point->knobs[knob]), *end;
    const double number = strtod(wanted, &end);
    const bool same =
        !strcmp(text, wanted) || (*wanted && !*end && !(number < point->knobs[knob]) && !(number > point->knobs[knob]));
    free(text);
    return same;
}

/* Does the point have what the word asks? PK_USAGE for a word that asks nothing this lab has. */
static pk_status matches(const statement *of, const char *word, const cli_result *result, const cli_point *point,
                         bool *is_meant)
{
    const char *wanted;
    if ((wanted = value_of(word, "variant")) != NULL) {
        *is_meant &= !strcmp(point->variant, wanted);
        return PK_OK;
    }
    if ((wanted = value_of(word, "cache")) != NULL) {
        *is_meant &= !strcmp(point->cache, wanted);
        return PK_OK;
    }
    for (size_t i = 0; i < result->knob_count; i++) {
        if ((wanted = value_of(word, result->knob_names[i])) != NULL) {
            *is_meant &= has_value(result, point, i, wanted);
            return PK_OK;
        }
    }
    char *what = cli_format("'%s' is neither variant=, cache= nor a parameter of %s", word, result->lab);
    pk_status status = odd(of, what);
    free(what);
    return status;
}

static pk_status withdraw(const statement *of, cli_result *result)
{
    for (size_t i = 0; i < result->point_count; i++) {
        bool is_meant = true;
        for (size_t k = 2; k < of->word_count; k++) {
            pk_status status = matches(of, of->words[k], result, &result->points[i], &is_meant);
            if (status != PK_OK)
                return status;
        }
        if (is_meant)
            cli_point_withdraw(&result->points[i], of->text);
    }
    return PK_OK;
}

/* ---- elsewhere, published ---- */

static pk_status set_elsewhere(const statement *of, cli_result *result)
{
    if (of->word_count != 2)
        return odd(of, "'elsewhere' is of a lab, and takes no condition");
    free(result->elsewhere);
    result->elsewhere = cli_copy(of->text, strlen(of->text));
    return PK_OK;
}

static pk_status add_published(const statement *of, cli_result *result)
{
    const char *number = of->word_count == 4 ? value_of(of->words[3], "us/token") : NULL;
    char *end = NULL;
    const double us = number ? strtod(number, &end) : 0;
    if (!number || *end || !(us > 0) || !isfinite(us) || !cli_is_name(of->words[2]))
        return odd(of, "'published' has a lab, a name and us/token=NUMBER before its colon");
    result->published = cli_grow(result->published, result->published_count + 1, sizeof *result->published);
    result->published[result->published_count++] =
        (cli_published){cli_copy(of->words[2], strlen(of->words[2])), us, cli_copy(of->text, strlen(of->text))};
    return PK_OK;
}

static pk_status add_remark(const statement *of, cli_result *result)
{
    if (of->word_count != 2)
        return odd(of, "a 'note' is of a lab, and takes no condition");
    cli_names_add(&result->remarks, of->text);
    return PK_OK;
}

/* ---- the file ---- */

static pk_status apply_line(const char *path, size_t number, const char *line, cli_result *result)
{
    statement of = {.path = path, .number = number, .text = cli_copy("", 0)};
    pk_status status = split(&of, line);
    if (status == PK_OK && of.word_count > 1 && !strcmp(of.words[1], result->lab)) {
        if (!strcmp(of.words[0], "withdrawn"))
            status = withdraw(&of, result);
        else if (!strcmp(of.words[0], "elsewhere"))
            status = set_elsewhere(&of, result);
        else if (!strcmp(of.words[0], "published"))
            status = add_published(&of, result);
        else if (!strcmp(of.words[0], "note"))
            status = add_remark(&of, result);
        else
            status = odd(&of, "it begins with none of withdrawn, elsewhere, published and note");
    }
    free_statement(&of);
    return status;
}

static pk_status apply_file(const char *path, const char *text, size_t bytes, cli_result *result)
{
    const size_t no_text = cli_line_of_no_text(text, bytes);
    pk_status status = PK_OK;
    if (no_text)
        return pk_fail(PK_USAGE, "%s, line %zu: not UTF-8; save it as that", path, no_text);
    for (size_t number = 1; *text && status == PK_OK; number++) {
        const size_t length = strcspn(text, "\r\n");
        char *line = cli_copy(text, length);
        text += length + strspn(text + length, "\r");
        text += *text == '\n';
        if (line[strspn(line, " \t")] && line[0] != '#')
            status = apply_line(path, number, line, result);
        free(line);
    }
    return status;
}

pk_status cli_evidence_apply(cli_result *result)
{
    char *folder = cli_folder_of(result->path), *path = cli_format("%s/" CLI_EVIDENCE_FILE, folder);
    size_t bytes = 0;
    char *text = cli_read_bytes(path, &bytes);
    pk_status status = PK_OK;
    if (text)
        status = apply_file(path, text, bytes, result);
    else if (errno != ENOENT && errno != ENOTDIR)
        status = pk_fail(PK_USAGE, "cannot read %s: %s; it may hold what is withdrawn", path, strerror(errno));
    free(text);
    free(path);
    free(folder);
    return status;
}

static char *machine_of(const cli_result *result)
{
    return cli_format("a machine with %s, %s%s%s", result->device, *result->cpu ? result->cpu : "an unknown host",
                      *result->os ? ", " : "", result->os);
}

void cli_evidence_name_machine(cli_result *result)
{
    if (*result->elsewhere)
        return;
    free(result->elsewhere);
    result->elsewhere = machine_of(result);
}

char *cli_evidence_where(const cli_result *result)
{
    pk_environment here;
    pk_environment_read(&here);
    if (!*result->elsewhere && !strcmp(result->cpu, here.cpu) && !strcmp(result->os, here.os))
        return cli_copy("measured here", strlen("measured here"));
    char *machine = machine_of(result);
    char *text = cli_format("measured elsewhere: %s", *result->elsewhere ? result->elsewhere : machine);
    free(machine);
    return text;
}
