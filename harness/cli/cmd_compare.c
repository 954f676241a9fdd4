/* `compare`: two result files, or two folders of them, variant by variant: which is faster, and how surely. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "pk/host.h"

typedef struct comparison { /* of one lab */
    cli_result a, b;
    char *differences; /* "device (x, y)": of the two machines; "" for none */
    compare_row *rows;
    size_t count;
    size_t only_a, only_b; /* results without a partner */
} comparison;

/* ---- what can be compared ---- */

static const cli_point *partner(const cli_result *a, const cli_point *of, const cli_result *b)
{
    for (size_t i = 0; i < b->point_count; i++) {
        const cli_point *point = &b->points[i];
        if (!strcmp(point->variant, of->variant) && !strcmp(point->cache, of->cache) &&
            cli_same_knobs(a, point->knobs, of->knobs))
            return point;
    }
    return NULL;
}

/* One result a variant and point; with `all` those of the sweeps too. */
static bool is_wanted(const cli_point *point, bool all)
{
    return !point->is_repeat && (all || point->is_default);
}

static size_t without_partner(const cli_result *of, const cli_result *other, bool all)
{
    size_t count = 0;
    for (size_t i = 0; i < of->point_count; i++)
        count += is_wanted(&of->points[i], all) && !partner(of, &of->points[i], other);
    return count;
}

/* How many times as long the runs' first common baseline took in A as in B, at the point. */
static double drift_at(const comparison *of, const cli_point *point)
{
    for (size_t i = 0; i < of->a.point_count; i++) {
        const cli_point *first = &of->a.points[i];
        if (strcmp(first->role, "baseline") != 0 || first->peer[0] || strcmp(first->cache, point->cache) != 0 ||
            !cli_same_knobs(&of->a, first->knobs, point->knobs) || !first->wall.count)
            continue;
        const cli_point *second = partner(&of->a, first, &of->b);
        if (second && second->wall.count)
            return !strcmp(first->variant, point->variant) ? 1 : first->us_per_token / second->us_per_token;
    }
    return 1;
}

/* Another device is what one wants to see, and no drift. */
static void find_rows(comparison *of, bool all)
{
    for (size_t i = 0; i < of->a.point_count; i++) {
        const cli_point *point = &of->a.points[i];
        const cli_point *other = is_wanted(point, all) ? partner(&of->a, point, &of->b) : NULL;
        if (!other)
            continue;
        of->rows = cli_grow(of->rows, of->count + 1, sizeof *of->rows);
        of->rows[of->count++] = compare_measure(&of->a, point, other, *of->differences ? 1 : drift_at(of, point));
    }
    of->only_a = without_partner(&of->a, &of->b, all);
    of->only_b = without_partner(&of->b, &of->a, all);
}

static pk_status nothing_in_common(const comparison *of)
{
    const cli_point *a = cli_headline(&of->a), *b = cli_headline(&of->b);
    char *a_knobs = a ? cli_knobs_text(&of->a, a->knobs) : cli_copy("nothing", 7);
    char *b_knobs = b ? cli_knobs_text(&of->b, b->knobs) : cli_copy("nothing", 7);
    pk_fail(PK_USAGE,
            "no variant of %s was run with the same parameters in both (A: %s; B: %s); run both with the same",
            of->a.lab, a_knobs, b_knobs);
    free(a_knobs);
    free(b_knobs);
    return PK_USAGE;
}

static pk_status judge_comparable(comparison *of, bool anyway)
{
    if (strcmp(of->a.lab, of->b.lab) != 0 || !cli_same_knob_names(&of->a, &of->b))
        return pk_fail(PK_USAGE, "the files are of different labs (%s, %s); compare two runs of one lab", of->a.lab,
                       of->b.lab);
    cli_note_difference(&of->differences, "device", of->a.device, of->b.device);
    cli_note_difference(&of->differences, "backend", of->a.backend, of->b.backend);
    cli_note_difference(&of->differences, "arch", of->a.arch, of->b.arch);
    if (*of->differences && !anyway)
        return pk_fail(PK_USAGE, "the runs differ in %s; --anyway compares them nevertheless", of->differences);
    return PK_OK;
}

static void free_comparison(comparison *of)
{
    cli_result_free(&of->a);
    cli_result_free(&of->b);
    free(of->differences);
    free(of->rows);
}

/* ---- the table ---- */

enum { FIGURES = 6 }; /* columns beside those of the knobs: variant, two times, ratio, interval, verdict */

static const char *const verdicts[COMPARE_VERDICTS] = {"faster", "slower", "same", "unclear", "-"};
static const char *const doubts[COMPARE_DOUBTS] = {"", ": noise", ": drift", ": chance"};

/* Which knobs differ between the rows: those have a column. */
static void find_varied(const comparison *of, bool *varied)
{
    for (size_t i = 1; i < of->count; i++)
        for (size_t k = 0; k < of->a.knob_count; k++)
            varied[k] |=
                of->rows[i].a->knobs[k] < of->rows[0].a->knobs[k] || of->rows[i].a->knobs[k] > of->rows[0].a->knobs[k];
}

/* "at n=1024 tokens=4": the knobs that are the same in all rows, said once. */
static void say_fixed(const comparison *of, const bool *varied)
{
    char *line = cli_copy("at", 2);
    for (size_t k = 0; k < of->a.knob_count; k++) {
        if (varied[k])
            continue;
        char *value = cli_knob_text(&of->a, k, of->rows[0].a->knobs[k]);
        char *longer = cli_format("%s %s=%s", line, of->a.knob_names[k], value);
        free(value);
        free(line);
        line = longer;
    }
    if (strcmp(line, "at") != 0)
        cli_say(3, "%s", line);
    free(line);
}

static void add_heading(pk_table *table, const comparison *of, const bool *varied)
{
    const char *cells[1 + CLI_MOST_KNOBS + FIGURES] = {"variant"};
    size_t count = 1;
    for (size_t k = 0; k < of->a.knob_count; k++)
        if (varied[k])
            cells[count++] = of->a.knob_names[k];
    const char *figures[] = {"A us/token", "B us/token", "A/B", "95% interval", "B is"};
    memcpy(&cells[count], figures, sizeof figures);
    pk_table_row(table, cells);
}

static char *time_text(const cli_point *point)
{
    return point->wall.count ? cli_format("%.4g", point->us_per_token) : cli_copy(point->status, strlen(point->status));
}

/* A result that did not pass has no time, and nothing to compare. */
static void add_row(pk_table *table, const comparison *of, const bool *varied, const compare_row *row)
{
    const bool measured = row->verdict != COMPARE_NOT_MEASURED;
    char *cells[1 + CLI_MOST_KNOBS + FIGURES];
    size_t count = 0;
    cells[count++] = cli_format("%s%s", row->a->variant, strcmp(row->a->cache, "cold") ? "" : " (cold)");
    for (size_t k = 0; k < of->a.knob_count; k++)
        if (varied[k])
            cells[count++] = cli_knob_text(&of->a, k, row->a->knobs[k]);
    cells[count++] = time_text(row->a);
    cells[count++] = time_text(row->b);
    cells[count++] = measured ? cli_format("%.3f", row->ratio) : cli_copy("-", 1);
    cells[count++] = measured ? cli_format("%.3f to %.3f", row->low, row->high) : cli_copy("-", 1);
    cells[count++] = cli_format("%s%s", verdicts[row->verdict], doubts[row->doubt]);
    pk_table_row(table, (const char *const *)cells);
    for (size_t i = 0; i < count; i++)
        free(cells[i]);
}

static void print_comparison(const comparison *of)
{
    bool varied[CLI_MOST_KNOBS] = {false};
    find_varied(of, varied);
    size_t columns = FIGURES;
    for (size_t k = 0; k < of->a.knob_count; k++)
        columns += varied[k];
    pk_table *table = pk_table_new(columns, ~(1u | 1u << (columns - 1))); /* names and verdicts to the left */
    if (*of->differences)
        cli_say(0, "The runs differ in %s.", of->differences);
    cli_say(3, "A  %s, %s, %s", of->a.program, of->a.device, of->a.started_utc);
    cli_say(3, "B  %s, %s, %s", of->b.program, of->b.device, of->b.started_utc);
    say_fixed(of, varied);
    putchar('\n');
    add_heading(table, of, varied);
    for (size_t i = 0; i < of->count; i++)
        add_row(table, of, varied, &of->rows[i]);
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
    if (of->only_a || of->only_b)
        cli_say(0, "Left out: %zu results that only A has, %zu that only B has.", of->only_a, of->only_b);
    putchar('\n');
}

/* ---- all of it together ---- */

typedef struct tally {
    size_t verdicts[COMPARE_VERDICTS], doubts[COMPARE_DOUBTS], measured;
    double drift; /* the largest there was */
} tally;

static tally count_rows(const compare_row *rows, size_t count)
{
    tally sum = {.drift = 1};
    for (size_t i = 0; i < count; i++) {
        sum.verdicts[rows[i].verdict]++;
        sum.doubts[rows[i].doubt]++;
        sum.measured += rows[i].verdict != COMPARE_NOT_MEASURED;
        if (fabs(log(rows[i].drift)) > fabs(log(sum.drift)))
            sum.drift = rows[i].drift;
    }
    return sum;
}

static void say_summary(const compare_row *rows, size_t count, double margin)
{
    const tally sum = count_rows(rows, count);
    cli_say(0, "Of %zu compared, B is faster in %zu, slower in %zu, the same in %zu; %zu are unclear.", sum.measured,
            sum.verdicts[COMPARE_FASTER], sum.verdicts[COMPARE_SLOWER], sum.verdicts[COMPARE_SAME],
            sum.verdicts[COMPARE_UNCLEAR]);
    if (sum.measured > 1)
        cli_say(
            0,
            "Among so many intervals of 95%% some %.2g would miss 1 by chance alone; faster and slower are those that "
            "stand when all are judged together (Holm).",
            0.05 * (double)sum.measured);
    cli_say(0, "A/B above 1: B is faster. same: the whole interval is within %.3g%%.", 100 * margin);
    if (sum.doubts[COMPARE_NOISE])
        cli_say(0, "noise: the interval holds 1 and more than %.3g%%; a longer --time-limit narrows it.", 100 * margin);
    if (sum.doubts[COMPARE_CHANCE])
        cli_say(0, "chance: its own interval shows a difference, which one of so many rows may do; run it alone.");
    if (sum.doubts[COMPARE_DRIFT])
        cli_say(
            0,
            "drift: the runs' common baseline took up to %.3g times as long in %s, so that the machine's state may be "
            "all the difference; run both in turn.",
            sum.drift > 1 ? sum.drift : 1 / sum.drift, sum.drift > 1 ? "A" : "B");
}

/* Rows of all labs are judged together. */
static void judge_all(comparison *all, size_t count, double margin)
{
    compare_row *rows = NULL;
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        rows = cli_grow(rows, total + all[i].count + 1, sizeof *rows);
        memcpy(rows + total, all[i].rows, all[i].count * sizeof *rows);
        total += all[i].count;
    }
    compare_judge(rows, total, margin);
    for (size_t i = 0, at = 0; i < count; at += all[i++].count) {
        memcpy(all[i].rows, rows + at, all[i].count * sizeof *rows);
        if (count > 1)
            cli_say(0, "%s %s", all[i].a.lab, all[i].a.title);
        print_comparison(&all[i]);
    }
    say_summary(rows, total, margin);
    free(rows);
}

/* ---- which files ---- */

typedef struct request {
    bool anyway, all;
    double margin;
} request;

/* Compare two groups of files; what is comparable goes behind `*all`. */
static pk_status add_pair(comparison **all, size_t *count, const cli_together *a, const cli_together *b,
                          const request *wanted)
{
    comparison pair = {.differences = cli_copy("", 0)};
    pk_status status = cli_result_load_group(&pair.a, a);
    if (status == PK_OK)
        status = cli_result_load_group(&pair.b, b);
    if (status == PK_OK)
        status = judge_comparable(&pair, wanted->anyway);
    if (status == PK_OK) {
        find_rows(&pair, wanted->all);
        status = pair.count ? PK_OK : nothing_in_common(&pair);
    }
    if (status != PK_OK) {
        free_comparison(&pair);
        return status;
    }
    *all = cli_grow(*all, *count + 1, sizeof **all);
    (*all)[(*count)++] = pair;
    return PK_OK;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The group of the other folder whose file has the same name. */
static const cli_together *same_name(const cli_groups *groups, const cli_together *as)
{
    for (size_t i = 0; i < groups->count; i++)
        if (!strcmp(file_name(groups->groups[i].names[0]), file_name(as->names[0])))
            return &groups->groups[i];
    return NULL;
}

static void say_only(const cli_groups *of, const cli_groups *other, const char *side)
{
    for (size_t i = 0; i < of->count; i++)
        if (!same_name(other, &of->groups[i]))
            cli_say(2, "Only %s has %s.", side, file_name(of->groups[i].names[0]));
}

/* Labs of two folders, file by file. What has nothing in common with its namesake is said and left out. */
static pk_status add_folders(comparison **all, size_t *count, const cli_groups *a, const cli_groups *b,
                             const request *wanted)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < a->count && status == PK_OK; i++) {
        const cli_together *other = same_name(b, &a->groups[i]);
        const size_t before = *count;
        status = other ? add_pair(all, count, &a->groups[i], other, wanted) : PK_OK;
        if (status != PK_OK && strstr(pk_error_text(), "with the same parameters") && *count == before) {
            cli_say(2, "%s is left out: %s", file_name(a->groups[i].names[0]), pk_error_text());
            status = PK_OK;
        }
    }
    say_only(a, b, "A");
    say_only(b, a, "B");
    if (status == PK_OK && !*count)
        return pk_fail(PK_USAGE, "the folders have no lab in common that was run with the same parameters; name result "
                                 "files, or run the same labs");
    return status;
}

static pk_status compare_words(const char *const *words, const request *wanted)
{
    cli_groups a = {NULL, 0}, b = {NULL, 0};
    comparison *all = NULL;
    size_t count = 0;
    const bool are_folders = cli_is_folder(words[0]) && cli_is_folder(words[1]);
    pk_status status = cli_is_folder(words[0]) == cli_is_folder(words[1])
                           ? PK_OK
                           : pk_fail(PK_USAGE, "%s is a folder and the other is none; name two folders, or two files",
                                     cli_is_folder(words[0]) ? words[0] : words[1]);
    if (status == PK_OK)
        status = cli_result_groups(&words[0], 1, &a);
    if (status == PK_OK)
        status = cli_result_groups(&words[1], 1, &b);
    if (status == PK_OK)
        status = are_folders ? add_folders(&all, &count, &a, &b, wanted)
                             : add_pair(&all, &count, &a.groups[0], &b.groups[0], wanted);
    if (status == PK_OK)
        judge_all(all, count, wanted->margin);
    for (size_t i = 0; i < count; i++)
        free_comparison(&all[i]);
    free(all);
    cli_groups_free(&b);
    cli_groups_free(&a);
    return status;
}

static pk_status read_margin(const char *text, double *margin)
{
    char *end;
    const double percent = strtod(text, &end);
    end += *end == '%';
    if (end == text || *end || !(percent > 0 && percent < 100))
        return pk_fail(PK_USAGE, "--within: '%s' is no percentage between 0 and 100; --within=2 is what it is without",
                       text);
    *margin = percent / 100;
    return PK_OK;
}

int cmd_compare(int argc, char **argv)
{
    const char *words[2], *within = "2";
    request wanted = {0};
    cli_option options[] = {
        {"--anyway", NULL, &wanted.anyway}, {"--all", NULL, &wanted.all}, {"--within", &within, NULL}};
    size_t count;
    pk_status status = cli_parse(argc, argv, options, PK_COUNT(options), words, 2, &count);
    if (status == PK_OK && count < 2)
        status = pk_fail(PK_USAGE, "compare needs two result files, or two folders: ./lab compare A.json B.json");
    if (status == PK_OK)
        status = read_margin(within, &wanted.margin);
    if (status == PK_OK) {
        wanted.all |= !cli_is_folder(words[0]);
        status = compare_words(words, &wanted);
    }
    return status == PK_OK ? 0 : cli_failed(status);
}
