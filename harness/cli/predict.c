#include "predict.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "expression.h"
#include "pk/host.h"
#include "quote.h"

/* ---- reading the file ---- */

static char *trimmed(const char *text, size_t length)
{
    while (length && isspace((unsigned char)*text)) {
        text++;
        length--;
    }
    while (length && isspace((unsigned char)text[length - 1]))
        length--;
    return cli_copy(text, length);
}

/* Words between `signs`, each trimmed; empty ones are left out. */
static cli_names split(const char *text, const char *signs)
{
    cli_names words = {NULL, 0};
    while (*text) {
        const size_t length = strcspn(text, signs);
        char *word = trimmed(text, length);
        if (*word)
            cli_names_add(&words, word);
        free(word);
        text += length;
        text += *text != '\0';
    }
    return words;
}

static void free_line(predict_line *line)
{
    free(line->name);
    free(line->formula);
    cli_names_free(&line->variants);
    cli_names_free(&line->where);
}

void predict_free(predict_model *model)
{
    for (size_t i = 0; i < model->count; i++)
        free_line(&model->lines[i]);
    free(model->lines);
    free(model->path);
    *model = (predict_model){NULL, NULL, 0};
}

static bool is_symbol(const char *name)
{
    bool good = isalpha((unsigned char)*name);
    for (; *name; name++)
        good = good && (isalnum((unsigned char)*name) || *name == '_');
    return good;
}

/* "formula [where ...]" */
static void read_formula(predict_line *line, const char *text)
{
    const char *where = strstr(text, " where ");
    line->formula = trimmed(text, where ? (size_t)(where - text) : strlen(text));
    if (where)
        line->where = split(where + strlen(" where "), " \t");
}

static bool read_line(predict_line *line, const char *text)
{
    const char *colon = strchr(text, ':'), *equals = strchr(text, '=');
    if (colon && (!equals || colon < equals)) {
        char *names = cli_copy(text, (size_t)(colon - text));
        line->variants = split(names, ",");
        free(names);
        read_formula(line, colon + 1);
        return line->variants.count && *line->formula;
    }
    if (!equals)
        return false;
    line->name = trimmed(text, (size_t)(equals - text));
    line->formula = trimmed(equals + 1, strlen(equals + 1));
    return is_symbol(line->name) && *line->formula;
}

static pk_status read_lines(predict_model *model, const char *text)
{
    for (size_t number = 1; *text; number++) {
        const size_t length = strcspn(text, "\n"), comment = strcspn(text, "#\n");
        char *line = trimmed(text, comment);
        bool good = true;
        if (*line) {
            model->lines = cli_grow(model->lines, model->count + 1, sizeof *model->lines);
            predict_line *read = &model->lines[model->count++];
            *read = (predict_line){.number = number};
            good = read_line(read, line);
        }
        if (!good)
            pk_fail(PK_USAGE, "%s, line %zu: '%s' is neither VARIANT: FORMULA nor NAME = FORMULA; mend the line",
                    cli_relative(model->path), number, line);
        free(line);
        if (!good)
            return PK_USAGE;
        text += length;
        text += *text == '\n';
    }
    return PK_OK;
}

static char *path_of(const char *lab_id)
{
    cli_labs labs = cli_find_labs();
    char *path = NULL;
    for (size_t i = 0; i < labs.count && !path; i++)
        if (!strcmp(labs.labs[i].id, lab_id))
            path = cli_format("%s/labs/%s/predict.txt", cli_source(), labs.labs[i].name);
    cli_labs_free(&labs);
    return path;
}

pk_status predict_load(predict_model *model, const char *lab_id, bool *there)
{
    *model = (predict_model){.path = path_of(lab_id)};
    char *text = model->path ? cli_read_file(model->path) : NULL;
    *there = text != NULL;
    pk_status status = PK_OK;
    if (text)
        status = read_lines(model, text);
    else if (model->path && errno != ENOENT)
        status = pk_fail(PK_USAGE, "cannot read %s: %s", model->path, strerror(errno));
    free(text);
    if (status != PK_OK)
        predict_free(model);
    return status;
}

/* ---- what names stand for ---- */

typedef struct lookup {
    const predict_model *model;
    const cli_calibration *calibration;
    const cli_result *result;
    const cli_point *point;
    size_t above; /* lines that a formula may use: those before its own */
    char *missing;
    pk_status status;
} lookup;

static void miss(lookup *l, const char *name)
{
    cli_names have = split(l->missing ? l->missing : "", ",");
    if (!cli_names_has(&have, name)) {
        char *longer = l->missing ? cli_format("%s, %s", l->missing, name) : cli_format("%s", name);
        free(l->missing);
        l->missing = longer;
    }
    cli_names_free(&have);
}

static bool find_name(void *context, const char *name, double *value);

static bool find_definition(lookup *l, const char *name, double *value)
{
    for (size_t i = l->above; i-- > 0;) {
        const predict_line *line = &l->model->lines[i];
        if (!line->name || strcmp(line->name, name) != 0)
            continue;
        const size_t above = l->above;
        l->above = i;
        const pk_status status = expression_value(line->formula, find_name, l, value);
        l->above = above;
        if (status != PK_OK && l->status == PK_OK) {
            char *why = cli_format("%s", pk_error_text());
            l->status = pk_fail(PK_USAGE, "%s, line %zu: %s", cli_relative(l->model->path), line->number, why);
            free(why);
        }
        return true;
    }
    return false;
}

/* The index of a knob by its name, - and _ being one. */
static size_t knob_of(const cli_result *result, const char *name)
{
    for (size_t i = 0; i < result->knob_count; i++) {
        const char *a = result->knob_names[i], *b = name;
        while (*a && *b && (*a == *b || (*a == '-' && *b == '_')))
            a++, b++;
        if (!*a && !*b)
            return i;
    }
    return result->knob_count;
}

/* What the first baseline that ran at the point's sizes launches a token. */
static double kernels_of(const lookup *l)
{
    for (size_t i = 0; i < l->result->point_count; i++) {
        const cli_point *other = &l->result->points[i];
        if (!strcmp(other->role, "baseline") && cli_passed(other) &&
            cli_same_knobs(l->result, other->knobs, l->point->knobs))
            return other->launches_per_token;
    }
    return (double)NAN;
}

static bool find_count(const lookup *l, const char *name, double *value)
{
    const cli_point *point = l->point;
    const struct {
        const char *name;
        double value;
    } counts[] = {{"bytes", point->bytes_per_token},       {"flops", point->flops_per_token},
                  {"launches", point->launches_per_token}, {"replays", point->graph_replays_per_token},
                  {"per_repetition", point->tokens},       {"processors", l->calibration->processors}};
    for (size_t i = 0; i < PK_COUNT(counts); i++)
        if (!strcmp(counts[i].name, name)) {
            *value = counts[i].value;
            return true;
        }
    if (strcmp(name, "kernels") != 0)
        return false;
    *value = kernels_of(l);
    return true;
}

/* Every figure that a calibration may have: one that a file lacks is missing, and not unknown. */
static const char *const times[] = {
    "launch",         "launch_sync",       "gap",     "sync",      "graph_submit", "graph_node",
    "graph_pdl_node", "graph_launch_sync", "pdl_gap", "grid_sync", "barrier",      "word_round_trip",
    "latency",        "l2_latency"};
static const char *const rates[] = {"read", "copy", "l2_read", "to_device", "to_host"};

static bool is_among(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

static bool find_figure(lookup *l, const char *name, double *value)
{
    const bool is_rate = is_among(name, rates, PK_COUNT(rates));
    if (!is_rate && !is_among(name, times, PK_COUNT(times)))
        return false;
    char *figure = cli_format("%s%s", name, is_rate ? "_gb_per_s" : "_us");
    *value = cli_calibration_value(l->calibration, figure) * (is_rate ? 1e3 : 1);
    if (isnan(*value))
        miss(l, figure);
    free(figure);
    return true;
}

static bool find_name(void *context, const char *name, double *value)
{
    lookup *l = context;
    if (find_definition(l, name, value))
        return true;
    const size_t knob = knob_of(l->result, name);
    if (knob < l->result->knob_count) {
        *value = l->point->knobs[knob];
        return true;
    }
    if (find_count(l, name, value)) {
        if (isnan(*value))
            miss(l, name);
        return true;
    }
    return find_figure(l, name, value);
}

/* ---- predicting ---- */

/* "work=decode" or "extra-barriers=0" */
static pk_status holds(const predict_model *model, const predict_line *line, const char *condition,
                       const cli_result *result, const cli_point *point, bool *held)
{
    const char *equals = strchr(condition, '=');
    char *name = cli_copy(condition, equals ? (size_t)(equals - condition) : strlen(condition));
    const size_t knob = knob_of(result, name);
    free(name);
    if (!equals || knob == result->knob_count)
        return pk_fail(PK_USAGE, "%s, line %zu: '%s' is no condition KNOB=VALUE on a knob of %s; mend the line",
                       cli_relative(model->path), line->number, condition, result->lab);
    char *value = cli_knob_text(result, knob, point->knobs[knob]);
    *held = !strcmp(value, equals + 1);
    free(value);
    return PK_OK;
}

static pk_status is_for(const predict_model *model, const predict_line *line, const cli_result *result,
                        const cli_point *point, bool *yes)
{
    *yes = !line->name && cli_names_has(&line->variants, point->variant);
    for (size_t i = 0; i < line->where.count && *yes; i++) {
        const pk_status status = holds(model, line, line->where.names[i], result, point, yes);
        if (status != PK_OK)
            return status;
    }
    return PK_OK;
}

static pk_status evaluate(const predict_line *line, lookup *l, double *us)
{
    const pk_status status = expression_value(line->formula, find_name, l, us);
    if (l->status != PK_OK)
        return l->status;
    if (status != PK_OK) {
        char *why = cli_format("%s", pk_error_text());
        pk_fail(PK_USAGE, "%s, line %zu: %s", cli_relative(l->model->path), line->number, why);
        free(why);
    }
    return status;
}

pk_status predict_point(const predict_model *model, const cli_calibration *calibration, const cli_result *result,
                        const cli_point *point, predicted *said)
{
    *said = (predicted){.us = (double)NAN};
    for (size_t i = 0; i < model->count; i++) {
        pk_status status = is_for(model, &model->lines[i], result, point, &said->has_line);
        if (status != PK_OK)
            return status;
        if (!said->has_line)
            continue;
        lookup l = {.model = model, .calibration = calibration, .result = result, .point = point, .above = i};
        status = evaluate(&model->lines[i], &l, &said->us);
        said->missing = l.missing;
        if (!(said->us > 0)) /* a difference that went below 0 predicts nothing */
            said->us = (double)NAN;
        return status;
    }
    return PK_OK;
}
