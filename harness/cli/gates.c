/* Reading a file of gates. */
#include "gates.h"

#include <errno.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"
#include "quote.h"

enum {
    MOST_GATES = 64,       /* more than anybody reads */
    MOST_LINE_BYTES = 240, /* a name, a gate and its conditions */
    MOST_NAME_BYTES = 24,  /* the column of names beside the figures, in 80 columns */
    MOST_FILE_BYTES = 1 << 16
};

#define EXAMPLE "a gate is a line such as  time: time before/after >= 1.2"

typedef struct place { /* where the parser is, for messages */
    const char *path;
    size_t line;
} place;

static void free_gate(cli_gate *gate)
{
    free(gate->name);
    free(gate->figure);
    free(gate->over);
    free(gate->limit_text);
    for (size_t i = 0; i < gate->condition_count; i++) {
        free(gate->conditions[i].knob);
        free(gate->conditions[i].value);
    }
}

void gates_free(gate_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free_gate(&list->gates[i]);
    free(list->gates);
    *list = (gate_list){NULL, 0};
}

/* ---- the parts of a line ---- */

static char *word_copy(const char *word)
{
    return cli_copy(word, strlen(word));
}

static pk_status read_name(cli_gate *gate, const char *text, const char *colon, place at)
{
    size_t length = colon ? (size_t)(colon - text) : 0;
    while (length && text[length - 1] == ' ')
        length--;
    gate->name = cli_copy(text, length);
    if (!length)
        return pk_fail(PK_USAGE, "%s, line %zu: '%s' has no name and colon in front; " EXAMPLE, at.path, at.line, text);
    if (length > MOST_NAME_BYTES)
        return pk_fail(PK_USAGE, "%s, line %zu: the name '%.*s' is longer than %d bytes; take a shorter one", at.path,
                       at.line, (int)length, text, MOST_NAME_BYTES);
    return PK_OK;
}

static pk_status read_form(cli_gate *gate, const char *word, place at)
{
    static const char *const forms[] = {"before/after", "change%", "after-before", "after"};
    enum { FORMS = sizeof forms / sizeof forms[0] };
    if (!strncmp(word, "after/", strlen("after/"))) {
        const char *over = word + strlen("after/");
        gate->form = GATE_AFTER_OVER;
        gate->over = word_copy(over);
        if (cli_is_name(over) && strcmp(over, "time") != 0)
            return PK_OK;
        return pk_fail(PK_USAGE, "%s, line %zu: '%s' names no figure to divide by; write after/model-kv-bytes, say",
                       at.path, at.line, word);
    }
    for (size_t i = 0; i < FORMS; i++)
        if (!strcmp(word, forms[i])) {
            gate->form = (gate_form)i;
            return PK_OK;
        }
    const char *nearest = pk_nearest(word, forms, FORMS);
    return pk_fail(
        PK_USAGE,
        "%s, line %zu: '%s' is no form of a figure; write %s%sbefore/after, change%%, after-before, after or "
        "after/FIGURE",
        at.path, at.line, word, nearest ? nearest : "", nearest ? ", or else " : "");
}

/* A time by itself is of one run on one host, and says nothing about a change. */
static pk_status judge_figure(const cli_gate *gate, place at)
{
    if (!cli_is_name(gate->figure))
        return pk_fail(
            PK_USAGE, "%s, line %zu: '%s' is no figure; launches, time, memory, held-bytes are, and what a lab records",
            at.path, at.line, gate->figure);
    if (!strcmp(gate->figure, "time") && gate->form != GATE_BEFORE_OVER_AFTER)
        return pk_fail(PK_USAGE, "%s, line %zu: a time is judged as a ratio only; write time before/after", at.path,
                       at.line);
    return PK_OK;
}

static pk_status read_limit(cli_gate *gate, const char *relation, const char *number, place at)
{
    const bool at_least = !strcmp(relation, ">=");
    if (!at_least && strcmp(relation, "<=") != 0)
        return pk_fail(PK_USAGE, "%s, line %zu: '%s' stands where >= or <= must; " EXAMPLE, at.path, at.line, relation);
    gate->relation = at_least ? GATE_AT_LEAST : GATE_AT_MOST;
    char *what = cli_format("%s, line %zu", at.path, at.line);
    pk_status status = pk_parse_number(&gate->limit, what, number, -DBL_MAX, DBL_MAX);
    free(what);
    gate->limit_text = word_copy(number);
    return status;
}

static pk_status read_condition(cli_gate *gate, const char *word, place at)
{
    const size_t length = strcspn(word, "<>=");
    const char *sign = word + length;
    const bool ordered = (sign[0] == '<' || sign[0] == '>') && sign[1] == '=';
    const char *value = sign + (ordered ? 2 : 1);
    char *knob = cli_copy(word, length);
    const bool right = (ordered || sign[0] == '=') && cli_is_name(knob) && cli_is_name(value);
    pk_status status = PK_OK;
    if (!right)
        status = pk_fail(PK_USAGE, "%s, line %zu: '%s' is no condition; write KNOB=VALUE, KNOB>=VALUE or KNOB<=VALUE",
                         at.path, at.line, word);
    else if (gate->condition_count == GATE_MOST_CONDITIONS)
        status = pk_fail(PK_USAGE, "%s, line %zu: more than %d conditions; make two gates of it", at.path, at.line,
                         GATE_MOST_CONDITIONS);
    if (status == PK_OK)
        gate->conditions[gate->condition_count++] = (gate_condition){word_copy(knob), word_copy(value),
                                                                     !ordered         ? GATE_EQUAL
                                                                     : sign[0] == '>' ? GATE_AT_LEAST
                                                                                      : GATE_AT_MOST};
    free(knob);
    return status;
}

static pk_status read_conditions(cli_gate *gate, char **rest, place at)
{
    const char *where = strtok_r(NULL, " ", rest);
    if (!where)
        return PK_OK;
    if (strcmp(where, "where") != 0)
        return pk_fail(PK_USAGE, "%s, line %zu: '%s' behind the number; only  where KNOB=VALUE ...  may follow",
                       at.path, at.line, where);
    pk_status status = PK_OK;
    for (const char *word; status == PK_OK && (word = strtok_r(NULL, " ", rest)) != NULL;)
        status = read_condition(gate, word, at);
    if (status == PK_OK && !gate->condition_count)
        status = pk_fail(PK_USAGE, "%s, line %zu: no condition behind 'where'; write one, KNOB=VALUE, or leave it out",
                         at.path, at.line);
    return status;
}

/* `text` is one line without its comment and without blanks around it; it is cut into words. */
static pk_status read_gate(cli_gate *gate, char *text, place at)
{
    char *colon = strchr(text, ':'), *rest = NULL;
    pk_status status = read_name(gate, text, colon, at);
    if (status != PK_OK)
        return status;
    const char *figure = strtok_r(colon + 1, " ", &rest), *form = strtok_r(NULL, " ", &rest);
    const char *relation = strtok_r(NULL, " ", &rest), *number = strtok_r(NULL, " ", &rest);
    if (!figure || !form || !relation || !number)
        return pk_fail(PK_USAGE, "%s, line %zu: '%s' ends too early; " EXAMPLE, at.path, at.line, gate->name);
    gate->figure = word_copy(figure);
    status = read_form(gate, form, at);
    if (status == PK_OK)
        status = judge_figure(gate, at);
    if (status == PK_OK)
        status = read_limit(gate, relation, number, at);
    return status == PK_OK ? read_conditions(gate, &rest, at) : status;
}

/* ---- the file ---- */

static pk_status judge_place(const gate_list *list, place at)
{
    const cli_gate *added = &list->gates[list->count - 1];
    for (size_t i = 0; i + 1 < list->count; i++)
        if (!strcmp(list->gates[i].name, added->name))
            return pk_fail(PK_USAGE, "%s, line %zu: a second gate named '%s'; give it another name", at.path, at.line,
                           added->name);
    if (list->count > MOST_GATES)
        return pk_fail(PK_USAGE, "%s, line %zu: more than %d gates; name a file of gates, or use two", at.path, at.line,
                       MOST_GATES);
    return PK_OK;
}

static pk_status read_line(gate_list *list, const char *line, size_t length, place at)
{
    if (length > MOST_LINE_BYTES)
        return pk_fail(PK_USAGE, "%s, line %zu has %zu bytes, more than %d; name a file of gates", at.path, at.line,
                       length, MOST_LINE_BYTES);
    char *raw = cli_copy(line, strcspn(line, "#\n")), *plain = cli_plain(raw);
    char *text = plain + strspn(plain, " ");
    size_t end = strlen(text);
    while (end && text[end - 1] == ' ')
        text[--end] = '\0';
    pk_status status = PK_OK;
    if (*text) {
        list->gates = cli_grow(list->gates, list->count + 1, sizeof *list->gates);
        list->gates[list->count] = (cli_gate){0};
        status = read_gate(&list->gates[list->count++], text, at);
        if (status == PK_OK)
            status = judge_place(list, at);
    }
    free(plain);
    free(raw);
    return status;
}

static pk_status read_text(gate_list *list, const char *text, const char *path)
{
    place at = {path, 1};
    pk_status status = PK_OK;
    for (; *text && status == PK_OK; at.line++) {
        const size_t length = strcspn(text, "\n");
        status = read_line(list, text, length, at);
        text += length + (text[length] == '\n');
    }
    if (status == PK_OK && !list->count)
        status = pk_fail(PK_USAGE, "%s has no gate; " EXAMPLE, path);
    return status;
}

pk_status gates_load(gate_list *list, const char *path)
{
    *list = (gate_list){NULL, 0};
    size_t bytes;
    char *text = cli_is_folder(path) ? NULL : cli_read_bytes(path, &bytes);
    if (!text)
        return pk_fail(PK_USAGE, "cannot read the gates in %s: %s; name a text file", path,
                       cli_is_folder(path) ? "it is a folder" : strerror(errno));
    const size_t odd = cli_line_of_no_text(text, bytes);
    pk_status status;
    if (bytes > MOST_FILE_BYTES)
        status =
            pk_fail(PK_USAGE, "%s has %zu bytes, more than %d; name a file of gates", path, bytes, MOST_FILE_BYTES);
    else if (odd)
        status = pk_fail(PK_USAGE, "%s, line %zu is not UTF-8; name a file of gates", path, odd);
    else
        status = read_text(list, text, path);
    free(text);
    if (status != PK_OK)
        gates_free(list);
    return status;
}

char *gate_where(const cli_gate *gate)
{
    static const char *const signs[] = {[GATE_AT_LEAST] = ">=", [GATE_AT_MOST] = "<=", [GATE_EQUAL] = "="};
    char *line = word_copy(gate->condition_count ? "where" : "");
    for (size_t i = 0; i < gate->condition_count; i++) {
        const gate_condition *condition = &gate->conditions[i];
        char *longer = cli_format("%s %s%s%s", line, condition->knob, signs[condition->relation], condition->value);
        free(line);
        line = longer;
    }
    return line;
}
