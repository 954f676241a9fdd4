/* `list`: the labs, their variants and steps. `status`: which steps are open, and the last result of each lab. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "pk/host.h"
#include "results.h"

static cli_steps steps_of(const cli_lab *lab)
{
    char *path = cli_student_file(lab);
    char *source = cli_read_file(path);
    cli_steps steps = source ? cli_find_steps(source) : (cli_steps){NULL, 0};
    free(source);
    free(path);
    return steps;
}

/* ---- list ---- */

/* The solution's program knows all variants; it prints "role<TAB>name<TAB>summary" for each. */
static void list_variants(pk_table *table, const cli_lab *lab)
{
    char *program = cli_format("%s/bin/%s_solution", cli_build(), lab->id);
    char *arguments[] = {program, "--list", NULL}, *output = NULL, *rest = NULL;
    if (!cli_exists(program) || cli_capture(arguments, &output) != 0) {
        pk_table_row(table, (const char *[]){lab->number, "program", "", "not built: ./lab run builds it"});
    } else {
        for (char *line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
            char *name = strchr(line, '\t'), *summary = name ? strchr(name + 1, '\t') : NULL;
            if (!summary)
                continue;
            *name++ = *summary++ = '\0';
            pk_table_row(table, (const char *[]){lab->number, line, name, summary});
        }
    }
    free(output);
    free(program);
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
        cli_steps steps = steps_of(lab);
        pk_table_row(table, (const char *[]){lab->number, "page", lab->title, lab->name});
        list_variants(table, lab);
        for (size_t j = 0; j < steps.count; j++)
            pk_table_row(table, (const char *[]){lab->number, "step", steps.steps[j].id, steps.steps[j].title});
        cli_steps_free(&steps);
    }
    pk_table_print(table, stdout, CLI_WIDTH, pk_use_colour(stdout));
    pk_table_free(table);
    if (labs.count)
        printf("\nBegin with labs/%s/README.md, then ./lab status\n", labs.labs[0].name);
    cli_labs_free(&labs);
    return 0;
}

/* ---- status ---- */

/* The ladder's largest speedup in the newest result, as words; "none yet" when the lab was not run. */
static char *last_result(const cli_lab *lab)
{
    char *path = cli_newest_result(lab->id);
    cli_result result;
    if (!path)
        return cli_copy("none yet", 8);
    if (cli_result_load(&result, path) != PK_OK) {
        free(path);
        return cli_copy("unreadable", 10);
    }
    const cli_point *best = NULL;
    for (size_t i = 0; i < result.point_count; i++)
        if (isfinite(result.points[i].speedup) && (!best || result.points[i].speedup > best->speedup))
            best = &result.points[i];
    const char *role = strchr(result.program, '_') ? strchr(result.program, '_') + 1 : result.program;
    char *words = best ? cli_format("%s %s, %s %.3gx, %.10s", role, result.status, best->variant, best->speedup,
                                    result.started_utc)
                       : cli_format("%s %s, %.10s", role, result.status, result.started_utc);
    cli_result_free(&result);
    free(path);
    return words;
}

static void say_next(const cli_lab *lab, const cli_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        if (!steps->steps[i].open)
            continue;
        printf("\nNext: step %s in labs/%s/optimized.cu, then ./lab run %s\nStuck? ./lab hint %s\n", steps->steps[i].id,
               lab->name, lab->number, steps->steps[i].id + 3);
        return;
    }
}

static void print_steps(const cli_labs *labs)
{
    pk_table *table = pk_table_new(3, 0);
    pk_table_row(table, (const char *[]){"step", "state", "what it is"});
    for (size_t i = 0; i < labs->count; i++) {
        cli_steps steps = steps_of(&labs->labs[i]);
        for (size_t j = 0; j < steps.count; j++) {
            const cli_step *step = &steps.steps[j];
            pk_table_row(table, (const char *[]){step->id, step->open ? "open" : "done", step->title});
        }
        cli_steps_free(&steps);
    }
    pk_table_print(table, stdout, CLI_WIDTH, pk_use_colour(stdout));
    pk_table_free(table);
}

static void print_labs(const cli_labs *labs)
{
    pk_table *table = pk_table_new(4, 0);
    pk_table_row(table, (const char *[]){"lab", "title", "steps done", "last result"});
    for (size_t i = 0; i < labs->count; i++) {
        cli_steps steps = steps_of(&labs->labs[i]);
        char *done = cli_format("%zu of %zu", steps.count - cli_open_steps(&steps), steps.count);
        char *last = last_result(&labs->labs[i]);
        pk_table_row(table, (const char *[]){labs->labs[i].number, labs->labs[i].title, done, last});
        free(last);
        free(done);
        cli_steps_free(&steps);
    }
    pk_table_print(table, stdout, CLI_WIDTH, pk_use_colour(stdout));
    pk_table_free(table);
}

static void say_what_is_next(const cli_labs *labs)
{
    for (size_t i = 0; i < labs->count; i++) {
        cli_steps steps = steps_of(&labs->labs[i]);
        size_t open = cli_open_steps(&steps);
        if (open)
            say_next(&labs->labs[i], &steps);
        cli_steps_free(&steps);
        if (open)
            return;
    }
    if (labs->count)
        printf("\nEvery step is done. Judge the speed with ./lab check %s\n", labs->labs[0].number);
}

int cmd_status(int argc, char **argv)
{
    size_t words;
    pk_status status = cli_parse(argc, argv, NULL, 0, NULL, 0, &words);
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    print_labs(&labs);
    putchar('\n');
    print_steps(&labs);
    say_what_is_next(&labs);
    cli_labs_free(&labs);
    return 0;
}
