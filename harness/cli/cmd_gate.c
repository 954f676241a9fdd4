/* `gate`: is a change to be promoted? Two results of one lab, before it and after, against the gates of a file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_config.h"
#include "gate_judge.h"
#include "pk/host.h"
#include "timeline.h"

/* Neither held nor missed: no pass, and no reason to drop the change either. Measure longer, or what is missing. */
enum { EXIT_UNDECIDED = 6 };

/* ---- the two files ---- */

static cli_names files_of_labs(const char *folder)
{
    cli_names all = cli_list_folder(folder, "lab", ".json"), own = {NULL, 0};
    for (size_t i = 0; i < all.count; i++)
        if (!strchr(all.names[i], '-') && !timeline_is_name(all.names[i]))
            cli_names_add(&own, all.names[i]);
    cli_names_free(&all);
    return own;
}

static pk_status only_common_name(const char *const *words, char **name)
{
    cli_names before = files_of_labs(words[0]), after = files_of_labs(words[1]);
    char *list = cli_copy("", 0);
    size_t common = 0;
    for (size_t i = 0; i < before.count; i++) {
        if (!cli_names_has(&after, before.names[i]))
            continue;
        char *longer = cli_format("%s%s%s", list, common++ ? ", " : "", before.names[i]);
        free(list);
        list = longer;
    }
    pk_status status = PK_OK;
    if (common == 0)
        status =
            pk_fail(PK_USAGE, "no lab has a result in both %s and %s (labNN.json); name two files", words[0], words[1]);
    else if (common > 1)
        status = pk_fail(PK_USAGE, "%s and %s both have %s; name the two files of one lab", words[0], words[1], list);
    *name = list;
    cli_names_free(&before);
    cli_names_free(&after);
    return status;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The files that the two words mean: a folder's is the one that the other word names, or that both folders have. */
static pk_status find_files(const char *const *words, char *paths[2])
{
    const bool folders[2] = {cli_is_folder(words[0]), cli_is_folder(words[1])};
    char *name = NULL;
    pk_status status = PK_OK;
    if (folders[0] && folders[1])
        status = only_common_name(words, &name);
    else if (folders[0] || folders[1])
        name = cli_format("%s", last_part(words[folders[0] ? 1 : 0]));
    for (size_t i = 0; i < 2 && status == PK_OK; i++)
        paths[i] = folders[i] ? cli_format("%s/%s", words[i], name) : cli_format("%s", words[i]);
    free(name);
    return status;
}

static bool is_one_file(const char *a, const char *b)
{
    char *first = realpath(a, NULL), *second = realpath(b, NULL);
    const bool one = first && second && !strcmp(first, second);
    free(first);
    free(second);
    return one;
}

/* The path of a file of gates: as given, or a shipped one by its name alone. In new memory. */
static char *gates_path(const char *given)
{
    char *shipped = cli_format("%s/harness/cli/gates/%s.txt", PK_CLI_SOURCE_FOLDER, given);
    if (strchr(given, '/') || cli_exists(given) || !cli_exists(shipped)) {
        free(shipped);
        return cli_format("%s", given);
    }
    return shipped;
}

/* ---- what can be judged ---- */

static pk_status judge_comparable(const gate_sides *sides, bool anyway)
{
    const cli_result *a = sides->before, *b = sides->after;
    if (strcmp(a->lab, b->lab) != 0 || !cli_same_knob_names(a, b))
        return pk_fail(PK_USAGE, "the files are of different labs (%s, %s); a change is judged by two runs of one lab",
                       a->lab, b->lab);
    char *refused = cli_copy("", 0), *said = cli_copy("", 0);
    cli_note_difference(&refused, "device", a->device, b->device);
    cli_note_difference(&refused, "backend", a->backend, b->backend);
    cli_note_difference(&refused, "arch", a->arch, b->arch);
    cli_note_difference(&refused, "seed", a->seed, b->seed);
    cli_note_difference(&said, "driver", a->driver, b->driver);
    cli_note_difference(&said, "toolkit", a->toolkit, b->toolkit);
    cli_note_difference(&said, "compiler", a->device_compiler, b->device_compiler);
    cli_note_difference(&said, "flags", a->flags, b->flags);
    pk_status status = PK_OK;
    if (*refused && !anyway)
        status = pk_fail(PK_USAGE, "the runs differ in %s; --anyway judges them nevertheless", refused);
    else if (*refused)
        cli_say(0, "The runs differ in %s.", refused);
    if (status == PK_OK && *said)
        cli_say(0, "The runs differ in %s: what is judged is that too.", said);
    free(refused);
    free(said);
    return status;
}

static bool is_bad(const cli_point *point)
{
    return !strcmp(point->status, "wrong") || !strcmp(point->status, "fault") || !strcmp(point->status, "timeout");
}

/* Was this variant right in BEFORE, at these knobs? */
static bool passed_before(const cli_result *before, const cli_point *after)
{
    for (size_t i = 0; i < before->point_count; i++)
        if (cli_passed(&before->points[i]) && !strcmp(before->points[i].variant, after->variant) &&
            cli_same_knobs(before, before->points[i].knobs, after->knobs))
            return true;
    return false;
}

/* A variant that was right and is not any more, or one that is named and is not right: such a change is not asked how
 * fast it is. */
static pk_status judge_right(const gate_sides *sides)
{
    for (size_t i = 0; i < sides->after->point_count; i++) {
        const cli_point *after = &sides->after->points[i];
        if (!is_bad(after))
            continue;
        bool is_about = !sides->pairs.count && passed_before(sides->before, after);
        for (size_t p = 1; p < sides->pairs.count; p += 2)
            is_about |= !strcmp(after->variant, sides->pairs.names[p]);
        if (is_about)
            return pk_fail(PK_WRONG, "AFTER's '%s' did not pass (%s): %s", after->variant, after->status,
                           after->reason);
    }
    return PK_OK;
}

static pk_status unknown_variant(const cli_result *result, const char *name)
{
    const char **names = cli_grow(NULL, result->point_count + 1, sizeof *names);
    for (size_t i = 0; i < result->point_count; i++)
        names[i] = result->points[i].variant;
    const char *nearest = pk_nearest(name, names, result->point_count);
    free(names);
    return pk_fail(PK_USAGE, "%s has no variant '%s'%s%s%s; ./lab report shows what it has", result->path, name,
                   nearest ? ", but '" : "", nearest ? nearest : "", nearest ? "'" : "");
}

static bool has_variant(const cli_result *result, const char *name)
{
    for (size_t i = 0; i < result->point_count; i++)
        if (!strcmp(result->points[i].variant, name))
            return true;
    return false;
}

/* "resident,pdl" is a pair, "pdl" the same in both; further pairs are of other points. */
static pk_status read_pairs(gate_sides *sides, const char *list)
{
    for (const char *at = list; at && *at; at += *at == ',') {
        const size_t length = strcspn(at, ",");
        char *name = cli_copy(at, length);
        cli_names_add(&sides->pairs, name);
        free(name);
        at += length;
    }
    if (sides->pairs.count == 1)
        cli_names_add(&sides->pairs, sides->pairs.names[0]);
    if (list && (sides->pairs.count == 0 || sides->pairs.count % 2))
        return pk_fail(PK_USAGE, "--variant=%s names no pairs; write --variant=BEFORE,AFTER", list);
    for (size_t i = 0; i < sides->pairs.count; i++) {
        const cli_result *of = i % 2 ? sides->after : sides->before;
        if (!has_variant(of, sides->pairs.names[i]))
            return unknown_variant(of, sides->pairs.names[i]);
    }
    return PK_OK;
}

/* The pair at the default point: every gate without conditions stands on it. */
static pk_status judge_headline(const gate_sides *sides, gate_pair *pair)
{
    const cli_point *first = cli_headline(sides->before), *second = cli_headline(sides->after);
    if (!first || !second)
        return pk_fail(PK_USAGE, "%s has no result; it ended before its first one",
                       (first ? sides->after : sides->before)->path);
    *pair = gate_pair_at(sides, first->knobs);
    if (pair->before && pair->before == pair->after)
        return pk_fail(PK_USAGE, "BEFORE and AFTER are both '%s' of %s; name two variants, --variant=BEFORE,AFTER",
                       pair->before->variant, sides->before->path);
    if (pair->before)
        return PK_OK;
    char *before = cli_knobs_text(sides->before, first->knobs), *after = cli_knobs_text(sides->after, second->knobs);
    pk_status status =
        cli_same_knobs(sides->before, first->knobs, second->knobs)
            ? pk_fail(PK_USAGE, "%s; name two that did, --variant=BEFORE,AFTER", pair->why)
            : pk_fail(PK_USAGE, "at BEFORE's default point %s (BEFORE: %s; AFTER: %s); run both with the same sizes",
                      pair->why, before, after);
    free(before);
    free(after);
    free(pair->why);
    return status;
}

/* ---- what is said ---- */

static void say_side(const char *side, const cli_result *result, const cli_point *point)
{
    cli_say(8, "%-7s %s of %s, %s, %s%s", side, point->variant, result->program, result->device, result->started_utc,
            result->is_quick ? ", a quick run" : "");
    if (result->note[0])
        cli_say(8, "        its run ended early: %s", result->note);
}

static char *number_text(const cli_gate *gate, double value)
{
    if (!isfinite(value))
        return cli_copy(isnan(value) ? "-" : "none left", isnan(value) ? 1 : 9);
    switch (gate->form) {
    case GATE_BEFORE_OVER_AFTER:
        return cli_format("%.4gx", value);
    case GATE_CHANGE:
        return cli_format("%+.3g%%", value);
    case GATE_ADDED:
        return cli_format("%+.3g", value);
    default:
        return cli_format("%.4g", value);
    }
}

static const char *const words[GATE_VERDICTS] = {[GATE_PASS] = "pass",
                                                 [GATE_NOT_JUDGED] = "not judged",
                                                 [GATE_NOT_MEASURED] = "not measured",
                                                 [GATE_UNCLEAR] = "unclear",
                                                 [GATE_FAIL] = "FAIL"};

static void add_row(pk_table *table, const cli_gate *gate, const gate_outcome *outcome)
{
    static const char *const units[] = {[GATE_BEFORE_OVER_AFTER] = "x",
                                        [GATE_CHANGE] = "%",
                                        [GATE_ADDED] = "",
                                        [GATE_AFTER] = "",
                                        [GATE_AFTER_OVER] = ""};
    char *wanted =
        cli_format("%s %s%s", gate->relation == GATE_AT_LEAST ? ">=" : "<=", gate->limit_text, units[gate->form]);
    char *measured = number_text(gate, outcome->value);
    char *interval = outcome->is_sampled ? cli_format("%.4g to %.4g", outcome->low, outcome->high) : cli_copy("", 0);
    const char *cells[] = {gate->name, wanted, measured, interval, words[outcome->verdict]};
    pk_table_row(table, cells);
    free(wanted);
    free(measured);
    free(interval);
}

static void print_table(const gate_list *gates, const gate_outcome *outcomes)
{
    static const char *const heading[] = {"gate", "wanted", "measured", "95% interval", "verdict"};
    enum { RIGHT = 1u << 1 | 1u << 2 | 1u << 3 };
    pk_table *table = pk_table_new(PK_COUNT(heading), RIGHT);
    pk_table_row(table, heading);
    for (size_t i = 0; i < gates->count; i++)
        add_row(table, &gates->gates[i], &outcomes[i]);
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
    putchar('\n');
    for (size_t i = 0; i < gates->count; i++)
        if (outcomes[i].note[0])
            cli_say(2, "%s: %s", gates->gates[i].name, outcomes[i].note);
}

/* The last line, and the exit code. */
static int conclude(const gate_outcome *outcomes, size_t count)
{
    size_t of[GATE_VERDICTS] = {0};
    for (size_t i = 0; i < count; i++)
        of[outcomes[i].verdict]++;
    if (of[GATE_PASS] == count) {
        if (count == 1)
            cli_say(0, "Promoted: the gate holds.");
        else
            cli_say(0, "Promoted: all %zu gates hold.", count);
        return 0;
    }
    char *line = cli_format("Not promoted: %zu of %zu gates hold", of[GATE_PASS], count);
    for (size_t verdict = GATE_FAIL; verdict > GATE_PASS; verdict--) {
        if (!of[verdict])
            continue;
        char *longer = cli_format("%s, %zu %s", line, of[verdict], verdict == GATE_FAIL ? "failed" : words[verdict]);
        free(line);
        line = longer;
    }
    cli_say(0, "%s.", line);
    free(line);
    if (of[GATE_UNCLEAR])
        cli_say(0, "Unclear: the interval holds the limit. Measure both once more and longer, --time-limit=SECONDS.");
    return of[GATE_FAIL] ? pk_exit_code(PK_MISSED) : EXIT_UNDECIDED;
}

static int judge_all(const gate_list *gates, const gate_sides *sides, gate_pair pair, const char *path)
{
    gate_outcome *outcomes = cli_grow(NULL, gates->count, sizeof *outcomes);
    for (size_t i = 0; i < gates->count; i++)
        outcomes[i] = gate_judge(&gates->gates[i], sides);
    say_side("BEFORE", sides->before, pair.before);
    say_side("AFTER", sides->after, pair.after);
    char *knobs = cli_knobs_text(sides->before, pair.before->knobs);
    cli_say(8, "at      %s", knobs);
    cli_say(8, "gates   %s", path);
    free(knobs);
    putchar('\n');
    print_table(gates, outcomes);
    const int code = conclude(outcomes, gates->count);
    for (size_t i = 0; i < gates->count; i++)
        free(outcomes[i].note);
    free(outcomes);
    return code;
}

int cmd_gate(int argc, char **argv)
{
    const char *words_given[2], *gates_given = "plan", *variants = NULL;
    bool anyway = false;
    cli_option options[] = {
        {"--gates", &gates_given, NULL}, {"--variant", &variants, NULL}, {"--anyway", NULL, &anyway}};
    size_t count;
    char *paths[2] = {NULL, NULL};
    cli_result before = {0}, after = {0};
    gate_sides sides = {&before, &after, false, {NULL, 0}};
    gate_list gates = {NULL, 0};
    gate_pair pair = {NULL, NULL, NULL};
    int code = 0;
    pk_status status = cli_parse(argc, argv, options, PK_COUNT(options), words_given, 2, &count);
    if (status == PK_OK && count < 2)
        status = pk_fail(PK_USAGE, "gate needs two results of one lab: ./lab gate BEFORE AFTER");
    char *gates_file = gates_path(gates_given);
    if (status == PK_OK)
        status = gates_load(&gates, gates_file);
    if (status == PK_OK)
        status = find_files(words_given, paths);
    if (status == PK_OK)
        status = cli_result_load(&before, paths[0]);
    if (status == PK_OK && is_one_file(paths[0], paths[1]))
        sides = (gate_sides){&before, &before, true, {NULL, 0}};
    else if (status == PK_OK)
        status = cli_result_load(&after, paths[1]);
    if (status == PK_OK)
        status = read_pairs(&sides, variants);
    if (status == PK_OK)
        status = judge_comparable(&sides, anyway);
    if (status == PK_OK)
        status = judge_right(&sides);
    if (status == PK_OK)
        status = judge_headline(&sides, &pair);
    if (status == PK_OK)
        code = judge_all(&gates, &sides, pair, gates_given);
    cli_names_free(&sides.pairs);
    cli_result_free(&before);
    cli_result_free(&after);
    gates_free(&gates);
    free(gates_file);
    free(paths[0]);
    free(paths[1]);
    return status == PK_OK ? code : cli_failed(status);
}
