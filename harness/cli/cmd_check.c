/* `check`: the student's tests first, then the run that judges speed, against targets and against the solution. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pk/host.h"
#include "results.h"

/* ---- tests ---- */

/* "lab01.optimized", "lab01.optimized.schedules", ...: CTest's, which run the student's program. None where the build
 * folder has no tests. */
static cli_names tests_of(const cli_lab *lab)
{
    cli_names tests = {NULL, 0};
    char *pattern = cli_format("^%s\\.optimized", lab->id), *output = NULL, *rest = NULL;
    char *arguments[] = {"ctest", "--test-dir", (char *)cli_build(), "-N", "-R", pattern, NULL};
    if (cli_capture(arguments, &output) == 0)
        for (char *line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
            const char *name = strstr(line, " Test ") ? strstr(line, ": ") : NULL;
            if (name)
                cli_names_add(&tests, name + 2);
        }
    free(output);
    free(pattern);
    return tests;
}

/* What the program said, without what CTest says around it, and with one empty line where there are several. */
static void print_failure(const char *output)
{
    static const char *const around[] = {"Internal ctest", "Test project", "    Start ", "1/1 Test "};
    bool was_empty = true;
    while (*output) {
        const size_t length = strcspn(output, "\n");
        bool is_around = length == 0 && was_empty;
        for (size_t i = 0; i < sizeof around / sizeof around[0]; i++)
            is_around |= !strncmp(output, around[i], strlen(around[i]));
        if (strstr(output, "% tests passed") && strstr(output, "% tests passed") < output + length)
            return;
        if (!is_around) {
            printf("%.*s\n", (int)length, output);
            was_empty = length == 0;
        }
        output += length + (output[length] == '\n');
    }
}

/* 0, or 1 after the failure and what to do about it. */
static int run_test(const cli_lab *lab, const char *name)
{
    char *pattern = cli_format("^%s$", name), *output = NULL;
    char *arguments[] = {"ctest", "--test-dir", (char *)cli_build(), "--output-on-failure", "-R", pattern, NULL};
    printf("  %-27s", name);
    fflush(stdout);
    const int code = cli_capture(arguments, &output);
    const bool skipped = strstr(output, "***Skipped") != NULL;
    puts(code == 0 ? skipped ? "skipped: open, or not here" : "passed" : "failed");
    if (code != 0) {
        print_failure(output);
        cli_advise_after_test(lab, name, output);
    }
    free(output);
    free(pattern);
    return code != 0;
}

int cli_run_students_tests(const cli_lab *lab)
{
    cli_names tests = tests_of(lab);
    int failed = 0;
    if (tests.count)
        cli_say(2, "Tests of your program:");
    for (size_t i = 0; i < tests.count && !failed; i++)
        failed = run_test(lab, tests.names[i]);
    if (tests.count && !failed)
        putchar('\n');
    cli_names_free(&tests);
    return failed ? pk_exit_code(PK_WRONG) : 0;
}

/* ---- against the solution ---- */

static bool is_compared(const cli_point *point)
{
    return point->is_default && isfinite(point->speedup) && strcmp(point->role, "baseline") != 0;
}

/* The solution's program at the same knobs, with the same inputs and rungs, to write `json`. */
static cli_names solutions_arguments(const cli_lab *lab, const cli_result *result, const char *json)
{
    cli_names words = {NULL, 0};
    char *variants = cli_copy("", 0), *word = cli_format("%s/bin/%s_solution", cli_build(), lab->id);
    cli_names_add(&words, word);
    free(word);
    for (size_t i = 0; i < result->knob_count; i++) {
        char *value = cli_knob_text(result, i, result->points[0].knobs[i]);
        word = cli_format("--%s=%s", result->knob_names[i], value);
        cli_names_add(&words, word);
        free(word);
        free(value);
    }
    for (size_t i = 0; i < result->point_count; i++)
        if (is_compared(&result->points[i])) {
            word = cli_format("%s%s%s", variants, *variants ? "," : "", result->points[i].variant);
            free(variants);
            variants = word;
        }
    const char *const others[][2] = {{"variant", variants}, {"seed", result->seed}, {"json", json}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (*others[i][1]) {
            word = cli_format("--%s=%s", others[i][0], others[i][1]);
            cli_names_add(&words, word);
            free(word);
        }
    free(variants);
    return words;
}

/* Both speedups are against a baseline that was measured in turn with them: their quotient is as sure as both are. */
static void print_row(pk_table *table, const cli_point *yours, const cli_point *solution)
{
    enum { CELLS = 5 };
    const double low = yours->speedup_low / solution->speedup_high, high = yours->speedup_high / solution->speedup_low;
    char *cells[CELLS] = {cli_copy(yours->variant, strlen(yours->variant)), cli_format("%.3gx", yours->speedup),
                          cli_format("%.3gx", solution->speedup),
                          cli_format("%.2f [%.2f, %.2f]", yours->speedup / solution->speedup, low, high),
                          cli_format("%s", low > 1    ? "faster"
                                           : high < 1 ? "slower"
                                                      : "the same")};
    pk_table_row(table, (const char *const *)cells);
    for (size_t i = 0; i < CELLS; i++)
        free(cells[i]);
}

static void print_comparison(const cli_result *yours, const cli_result *solution)
{
    pk_table *table = pk_table_new(5, 0x6);
    pk_table_row(table, (const char *[]){"rung", "yours", "solution", "yours / solution", "yours is"});
    for (size_t i = 0; i < yours->point_count; i++)
        for (size_t j = 0; j < solution->point_count && is_compared(&yours->points[i]); j++)
            if (is_compared(&solution->points[j]) && !strcmp(yours->points[i].variant, solution->points[j].variant))
                print_row(table, &yours->points[i], &solution->points[j]);
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
}

/* A place for the solution's file: in the folder of the student's, where no other command takes it for a run. */
static char *solutions_json(const cli_lab *lab, const char *path)
{
    char *folder = cli_format("%.*s/solution", (int)(strrchr(path, '/') - path), path);
    (void)mkdir(folder, 0777);
    char *json = cli_format("%s/%s.json", folder, lab->id);
    free(folder);
    return json;
}

/* Run it; false where it did not end with a result. */
static bool measure_solution(const cli_lab *lab, const cli_result *yours, cli_result *solution)
{
    char *json = solutions_json(lab, yours->path), *output = NULL;
    cli_names words = solutions_arguments(lab, yours, json);
    words.names = cli_grow(words.names, words.count + 1, sizeof *words.names);
    words.names[words.count] = NULL; /* as execv wants it */
    const bool measured = cli_capture_lab(words.names, &output) == 0 && cli_result_load(solution, json) == PK_OK;
    cli_names_free(&words);
    free(output);
    free(json);
    return measured;
}

void cli_compare_with_solution(const cli_lab *lab, const cli_result *yours)
{
    bool any = false;
    for (size_t i = 0; i < yours->point_count; i++)
        any |= is_compared(&yours->points[i]);
    char *program = cli_format("%s/bin/%s_solution", cli_build(), lab->id);
    cli_result solution;
    if (any && !cli_is_cpu_device(yours) && cli_exists(program) && strchr(yours->path, '/')) {
        cli_say(2, "Against the solution, the same sizes and inputs, timed now:");
        fflush(stdout);
        if (measure_solution(lab, yours, &solution)) {
            print_comparison(yours, &solution);
            putchar('\n');
            cli_result_free(&solution);
        } else {
            cli_say(2, "The solution did not run to its end: ./lab run %s --solution says why\n", lab->number);
        }
    }
    free(program);
}
