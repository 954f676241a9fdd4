/* `list`: the labs, their variants and steps. `status`: where each step is, and the last result of each lab. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "pk/host.h"
#include "results.h"

/* ---- list ---- */

/* The solution's program knows all variants, where there is none the student's. */
static void list_variants(pk_table *table, const cli_lab *lab)
{
    cli_variants all = cli_variants_of(lab, cli_has_solution(lab) ? "solution" : "optimized");
    if (!all.count)
        pk_table_row(table, (const char *[]){lab->number, "program", "", "not built: ./lab run builds it"});
    for (size_t i = 0; i < all.count; i++) {
        const cli_variant *variant = &all.variants[i];
        char *what = cli_format("%s%s%s", variant->summary, *variant->options ? "; " : "", variant->options);
        pk_table_row(table, (const char *[]){lab->number, variant->role, variant->name, what});
        free(what);
    }
    cli_variants_free(&all);
}

/* Each step under the file that it is in. */
static void list_steps(pk_table *table, const cli_lab *lab, const pk_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        const pk_step *step = &steps->steps[i];
        char *path = cli_student_file(lab, step->file);
        if (i == 0 || strcmp(step->file, steps->steps[i - 1].file) != 0)
            pk_table_row(table, (const char *[]){lab->number, "file", step->file, cli_relative(path)});
        pk_table_row(table, (const char *[]){lab->number, "step", step->id, step->title});
        free(path);
    }
}

int cmd_list(int argc, char **argv)
{
    size_t words;
    pk_status status = cli_parse(argc, argv, NULL, 0, NULL, 0, &words);
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    pk_table *table = pk_table_new(4, 0);
    pk_table_row(table, (const char *[]){"lab", "part", "name", "what it is"});
    for (size_t i = 0; i < labs.count; i++) {
        const cli_lab *lab = &labs.labs[i];
        pk_steps steps = cli_student_steps(lab);
        pk_table_row(table, (const char *[]){lab->number, "page", lab->title, lab->name});
        list_variants(table, lab);
        list_steps(table, lab, &steps);
        pk_steps_free(&steps);
    }
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
    if (labs.count)
        cli_say(0, "\nBegin with labs/%s/README.md, then ./lab status", labs.labs[0].name);
    cli_labs_free(&labs);
    return 0;
}

/* ---- status ---- */

/* The result's last word on the student's own program: its status and the ladder's largest speedup. */
static char *in_words(const cli_result *result)
{
    const cli_point *best = NULL;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (point->is_default && isfinite(point->speedup) && (!best || point->speedup > best->speedup))
            best = point;
    }
    return best ? cli_format("%s, %s %.3gx, %.10s", result->status, best->variant, best->speedup, result->started_utc)
                : cli_format("%s, %.10s", result->status, result->started_utc);
}

/* The newest result of the student's program, which alone counts as progress; false when there is none. */
static bool load_students(const cli_lab *lab, cli_result *result)
{
    char *path = cli_newest_result(lab->id, cli_is_students);
    bool found = path && cli_result_load(result, path) == PK_OK;
    free(path);
    return found;
}

/* What was run when the student's program was not: "none of yours (solution pass)". */
static char *other_result(const cli_lab *lab)
{
    char *path = cli_newest_result(lab->id, NULL);
    cli_result result;
    if (!path)
        return cli_copy("none yet", 8);
    if (cli_result_load(&result, path) != PK_OK) {
        free(path);
        return cli_copy("unreadable", 10);
    }
    const char *role = strchr(result.program, '_') ? strchr(result.program, '_') + 1 : result.program;
    char *words = cli_format("none of yours (%s %s)", role, result.status);
    cli_result_free(&result);
    free(path);
    return words;
}

static char *last_result(const cli_lab *lab)
{
    cli_result result;
    if (!load_students(lab, &result))
        return other_result(lab);
    char *words = in_words(&result);
    cli_result_free(&result);
    return words;
}

static void print_steps(const cli_progress *progress, size_t count)
{
    pk_table *table = pk_table_new(3, 0);
    pk_table_row(table, (const char *[]){"step", "state", "what it is"});
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < progress[i].steps.count; j++) {
            const pk_step *step = &progress[i].steps.steps[j];
            pk_table_row(table, (const char *[]){step->id, cli_state_word(progress[i].states[j]), step->title});
        }
    }
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
}

static void print_labs(const cli_labs *labs, const cli_progress *progress)
{
    pk_table *table = pk_table_new(4, 0);
    pk_table_row(table, (const char *[]){"lab", "title", "steps passed", "your last result"});
    for (size_t i = 0; i < labs->count; i++) {
        char *passed = cli_format("%zu of %zu", cli_count_steps(&progress[i], CLI_PASSED), progress[i].steps.count);
        char *last = last_result(&labs->labs[i]);
        pk_table_row(table, (const char *[]){labs->labs[i].number, labs->labs[i].title, passed, last});
        free(last);
        free(passed);
    }
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
}

static void say_what_is_next(const cli_labs *labs, const cli_progress *progress)
{
    bool said = false;
    size_t not_checked = 0;
    putchar('\n');
    for (size_t i = 0; i < labs->count && !said; i++) {
        said = cli_advise(&labs->labs[i], &progress[i]);
        not_checked += cli_count_steps(&progress[i], CLI_NOT_CHECKED);
    }
    if (!said && not_checked)
        cli_say(2, "Every step that could be checked has passed. Next: the same on a GPU, which can check the others");
    else if (!said && labs->count)
        cli_say(2, "Every step has passed. Judge the speed with ./lab check %s", labs->labs[0].number);
}

int cmd_status(int argc, char **argv)
{
    size_t words;
    pk_status status = cli_parse(argc, argv, NULL, 0, NULL, 0, &words);
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    cli_progress *progress = cli_grow(NULL, labs.count + 1, sizeof *progress);
    for (size_t i = 0; i < labs.count; i++)
        progress[i] = cli_progress_of(&labs.labs[i]);
    print_labs(&labs, progress);
    putchar('\n');
    print_steps(progress, labs.count);
    say_what_is_next(&labs, progress);
    for (size_t i = 0; i < labs.count; i++)
        cli_progress_free(&progress[i]);
    free(progress);
    cli_labs_free(&labs);
    return 0;
}
