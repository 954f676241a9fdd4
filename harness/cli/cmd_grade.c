/* `grade DIR...`: submissions, each built by itself, judged from another process, one after the other. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "cli_config.h"
#include "grade.h"
#include "pk/confine.h"
#include "pk/host.h"
#include "quote.h"

enum { MOST_SUBMISSIONS = 1000 };
static const long long MEMORY_MB = 8192; /* of address space; a lab's program on the CPU device takes some hundred */

typedef struct request {
    const char *words[MOST_SUBMISSIONS];
    size_t count;
    const char *labs, *seed, *json, *time, *memory;
    cli_labs all;
    const cli_lab **chosen; /* those that --labs names; NULL: all that a submission has */
    size_t chosen_count;
} request;

/* ---- what is asked ---- */

static pk_status read_numbers(const request *asked, grade_run *run)
{
    long long seed = 0;
    pk_status status = PK_OK;
    if (asked->seed)
        status = pk_parse_integer(&seed, "--seed", asked->seed, 0, INT64_MAX);
    else if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        status = pk_fail(PK_USAGE, "no random numbers from the system: give a --seed");
    run->seed = asked->seed ? (uint64_t)seed : (uint64_t)seed >> 16; /* what is easily typed again */
    run->time_s = 600;
    run->memory_mb = MEMORY_MB;
    if (status == PK_OK && asked->time)
        status = pk_parse_number(&run->time_s, "--time", asked->time, 1, 86400);
    if (status == PK_OK && asked->memory)
        status = pk_parse_integer(&run->memory_mb, "--memory", asked->memory, 64, 1 << 24);
    /* What holds on this device: maybe no limit at all. */
    run->memory_mb =
        (long long)(pk_confinement_of_program(run->is_gpu, 0, (size_t)run->memory_mb << 20).memory_bytes >> 20);
    if (status == PK_OK && asked->memory && run->memory_mb == 0)
        status =
            pk_fail(PK_USAGE, "--memory is for the CPU device: a GPU's driver reserves more than any limit leaves");
    return status;
}

static pk_status choose_labs(request *asked)
{
    char *list = asked->labs ? cli_copy(asked->labs, strlen(asked->labs)) : NULL;
    pk_status status = PK_OK;
    for (char *word = list ? strtok(list, ",") : NULL; word && status == PK_OK; word = strtok(NULL, ",")) {
        const cli_lab *lab = cli_lab_named(&asked->all, word);
        if (!lab) {
            status = PK_USAGE;
            break;
        }
        asked->chosen = cli_grow(asked->chosen, asked->chosen_count + 1, sizeof *asked->chosen);
        asked->chosen[asked->chosen_count++] = lab;
    }
    free(list);
    return status;
}

static bool is_chosen(const request *asked, const cli_lab *lab)
{
    for (size_t i = 0; i < asked->chosen_count; i++)
        if (asked->chosen[i] == lab)
            return true;
    return asked->chosen_count == 0;
}

/* The judge is the solution's program. What students get may be without. */
static pk_status check_solutions(const request *asked)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < asked->all.count && status == PK_OK; i++) {
        char *solution = cli_solution_file(&asked->all.labs[i], "optimized.cu");
        if (is_chosen(asked, &asked->all.labs[i]) && !cli_exists(solution))
            status = pk_fail(PK_USAGE,
                             "%s is not there, and a submission is judged beside it: grade where the solutions are, or "
                             "name other labs by --labs",
                             cli_relative(solution));
        free(solution);
    }
    return status;
}

static pk_status check_folders(const request *asked)
{
    if (asked->count == 0)
        return pk_fail(PK_USAGE, "grade needs submissions' folders: ./lab grade DIR...");
    for (size_t i = 0; i < asked->count; i++)
        if (!cli_is_folder(asked->words[i]))
            return pk_fail(PK_USAGE, "%s is no folder: give each submission's folder, a student's files or fork",
                           asked->words[i]);
    return PK_OK;
}

/* ---- a submission ---- */

/* The folder's name; its path where another submission has the same one. */
static char *name_of(const request *asked, size_t which)
{
    char path[PATH_MAX], other[PATH_MAX];
    if (!realpath(asked->words[which], path))
        return cli_plain(asked->words[which]);
    const char *name = strrchr(path, '/');
    for (size_t i = 0; i < asked->count; i++) {
        const char *others = i != which && realpath(asked->words[i], other) ? strrchr(other, '/') : NULL;
        if (others && !strcmp(others, name))
            return cli_plain(asked->words[which]);
    }
    return cli_plain(name + 1);
}

/* Where it is built: "build/cpu/grade/3-alice". */
static char *work_folder(const char *name, size_t which)
{
    char *folder = cli_format("%s/grade/%zu-%s", cli_build(), which + 1, name);
    for (char *c = folder + strlen(cli_build()) + strlen("/grade/"); *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
            *c = '_';
    return folder;
}

static void add_up(grade_lab *graded)
{
    double points = 0;
    size_t counted = 0;
    for (size_t i = 0; i < graded->rung_count; i++) {
        if (graded->rungs[i].status && !strcmp(graded->rungs[i].status, "skipped"))
            continue;
        points += graded->rungs[i].points;
        counted++;
    }
    const bool is_judged = !strcmp(graded->status, "graded");
    graded->score = is_judged && counted ? 100 * points / (double)counted : 0;
}

static bool has_rung_to_judge(const grade_lab *graded)
{
    for (size_t i = 0; i < graded->rung_count; i++)
        if (!graded->rungs[i].status)
            return true;
    return false;
}

/* Rungs of what was refused or does not build are not judged: they have no points. */
static void close_rungs(grade_lab *graded)
{
    for (size_t i = 0; i < graded->rung_count; i++)
        if (!graded->rungs[i].status)
            graded->rungs[i].status = cli_copy("not run", strlen("not run"));
}

static pk_status grade_lab_of(grade_run *run, grade_lab *graded, const char *folder, const char *work)
{
    char *program = NULL;
    grade_take(graded, folder);
    pk_status status = PK_OK;
    if (!strcmp(graded->status, "graded"))
        status = grade_find_rungs(graded);
    if (status == PK_OK && has_rung_to_judge(graded))
        status = grade_build(run, graded, work, &program);
    if (status == PK_OK && program)
        status = grade_judge(run, graded, program, work);
    if (status == PK_FAULT) { /* of this one nothing can be said; the others have their verdicts */
        free(graded->reason);
        graded->reason = cli_plain(pk_error_text());
        graded->status = "not judged";
        run->judge_failed = true;
        status = PK_OK;
    }
    close_rungs(graded);
    add_up(graded);
    free(program);
    return status;
}

static void say_progress(const char *name, const cli_lab *lab)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%s%s%s", name, lab ? ", lab " : "", lab ? lab->number : "");
}

static pk_status grade_one(const request *asked, grade_run *run, size_t which)
{
    grade_submission *submission = &run->submissions[which];
    submission->folder = cli_plain(asked->words[which]);
    submission->name = name_of(asked, which);
    submission->labs = cli_grow(NULL, asked->all.count, sizeof *submission->labs);
    char *work = work_folder(submission->name, which);
    pk_status status = pk_folder_writable(work);
    for (size_t i = 0; i < asked->all.count && status == PK_OK; i++) {
        const cli_lab *lab = &asked->all.labs[i];
        if (!is_chosen(asked, lab))
            continue;
        say_progress(submission->name, lab);
        grade_lab *graded = &submission->labs[submission->lab_count];
        *graded = (grade_lab){.lab = lab, .log_entries = -1};
        status = grade_lab_of(run, graded, asked->words[which], work);
        /* What a submission does not have it is not asked for, unless by name. */
        if (strcmp(graded->status, "not submitted") != 0 || asked->chosen_count > 0)
            submission->lab_count++;
    }
    say_progress("", NULL);
    free(work);
    return status;
}

static pk_status grade_all(const request *asked, grade_run *run)
{
    pk_status status = PK_OK;
    run->submissions = cli_grow(NULL, asked->count, sizeof *run->submissions);
    memset(run->submissions, 0, asked->count * sizeof *run->submissions);
    for (; run->count < asked->count && status == PK_OK; run->count++)
        status = grade_one(asked, run, run->count);
    return status;
}

/* ---- the command ---- */

/* One at a time: a submission's files take the place of the one before. */
static pk_status take_grading(int *held)
{
    char *folder = cli_format("%s/grade", cli_build());
    pk_status status = pk_folder_writable(folder);
    *held = status == PK_OK ? pk_take_folder(folder) : -1;
    if (status == PK_OK && *held < 0)
        status = pk_fail(PK_USAGE, "another ./lab grade is at work in this build folder: wait until it has ended");
    free(folder);
    return status;
}

static void describe(grade_run *run, int argc, char **argv)
{
    char utc[32];
    cli_utc_name(utc, sizeof utc);
    run->started_utc = cli_copy(utc, strlen(utc));
    run->words = cli_copy("./lab", strlen("./lab"));
    for (int i = 0; i < argc; i++) {
        char *word = cli_plain(argv[i]), *longer = cli_format("%s %s", run->words, word);
        free(run->words);
        free(word);
        run->words = longer;
    }
}

static pk_status write_file(const request *asked, const grade_run *run)
{
    char *path = asked->json ? cli_copy(asked->json, strlen(asked->json))
                             : cli_format("%s/results/grades/%s.json", cli_source(), run->started_utc);
    const pk_status status = grade_write(run, path);
    if (status == PK_OK)
        cli_say(2, "wrote %s", cli_relative(path));
    free(path);
    return status;
}

int cmd_grade(int argc, char **argv)
{
    request asked = {.count = 0};
    grade_run run = {.is_gpu = strcmp(PK_CLI_BACKEND, "cpu") != 0};
    int held = -1;
    const cli_option options[] = {{"--labs", &asked.labs, NULL},
                                  {"--seed", &asked.seed, NULL},
                                  {"--json", &asked.json, NULL},
                                  {"--time", &asked.time, NULL},
                                  {"--memory", &asked.memory, NULL}};
    pk_status status =
        cli_parse(argc, argv, options, sizeof options / sizeof options[0], asked.words, MOST_SUBMISSIONS, &asked.count);
    if (status == PK_OK)
        status = check_folders(&asked);
    asked.all = cli_find_labs();
    if (status == PK_OK)
        status = choose_labs(&asked);
    if (status == PK_OK)
        status = check_solutions(&asked);
    if (status == PK_OK)
        status = read_numbers(&asked, &run);
    if (status == PK_OK && asked.json)
        status = pk_file_writable(asked.json);
    if (status == PK_OK)
        status = take_grading(&held);
    describe(&run, argc, argv);
    if (status == PK_OK)
        status = grade_all(&asked, &run);
    if (status == PK_OK)
        grade_print(&run);
    if (status == PK_OK)
        status = write_file(&asked, &run);
    if (held >= 0)
        close(held);
    if (status != PK_OK)
        return cli_failed(status);
    return run.judge_failed ? pk_exit_code(PK_FAULT) : 0;
}
