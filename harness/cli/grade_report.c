/* What came of a call of `grade`, as a table and as JSON. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grade.h"
#include "pk/host.h"

/* ---- the table ---- */

static size_t filled_steps(const grade_lab *graded)
{
    return graded->steps.count - cli_open_steps(&graded->steps);
}

static size_t rungs_of(const grade_lab *graded, const char *status)
{
    size_t count = 0;
    for (size_t i = 0; i < graded->rung_count; i++)
        count += graded->rungs[i].status && !strcmp(graded->rungs[i].status, status);
    return count;
}

/* The slowest and the fastest against the solution, "0.93 to 1.02"; "-" where none was timed. */
static char *speeds_of(const grade_lab *graded)
{
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < graded->rung_count; i++) {
        if (isnan(graded->rungs[i].speed))
            continue;
        low = fmin(low, graded->rungs[i].speed);
        high = fmax(high, graded->rungs[i].speed);
    }
    if (high <= 0)
        return cli_copy("-", 1);
    return low < high ? cli_format("%.2f to %.2f", low, high) : cli_format("%.2f", low);
}

static void add_row(pk_table *table, const grade_submission *submission, const grade_lab *graded)
{
    const bool is_graded = !strcmp(graded->status, "graded");
    const size_t counted = graded->rung_count - rungs_of(graded, "skipped");
    char *steps = is_graded ? cli_format("%zu of %zu", filled_steps(graded), graded->steps.count) : cli_copy("-", 1);
    char *rungs = is_graded ? cli_format("%zu of %zu", rungs_of(graded, "pass"), counted)
                            : cli_copy(graded->status, strlen(graded->status));
    char *speeds = speeds_of(graded), *score = cli_format("%.0f", graded->score);
    char *log = graded->log_entries < 0 ? cli_copy("-", 1) : cli_format("%d", graded->log_entries);
    const char *const cells[] = {submission->name, graded->lab->number, steps, rungs, speeds, score, log};
    pk_table_row(table, cells);
    free(steps);
    free(rungs);
    free(speeds);
    free(score);
    free(log);
}

static void print_table(const grade_run *run)
{
    static const char *const heading[] = {"submission", "lab", "steps", "right", "speed", "score", "log"};
    pk_table *table = pk_table_new(7, 1u << 5 | 1u << 6);
    pk_table_row(table, heading);
    for (size_t i = 0; i < run->count; i++)
        for (size_t k = 0; k < run->submissions[i].lab_count; k++)
            add_row(table, &run->submissions[i], &run->submissions[i].labs[k]);
    pk_table_print(table, stdout, cli_width(), false);
    pk_table_free(table);
}

/* What is not right, a line each. */
static void print_reasons(const grade_submission *submission)
{
    for (size_t k = 0; k < submission->lab_count; k++) {
        const grade_lab *graded = &submission->labs[k];
        if (graded->reason)
            cli_say(2, "%s, lab %s: %s: %s", submission->name, graded->lab->number, graded->status, graded->reason);
        for (size_t i = 0; i < graded->rung_count; i++) {
            const grade_rung *rung = &graded->rungs[i];
            if (rung->status && rung->reason)
                cli_say(2, "%s, lab %s, %s: %s: %s", submission->name, graded->lab->number, rung->variant, rung->status,
                        rung->reason);
        }
    }
}

void grade_print(const grade_run *run)
{
    if (run->device)
        cli_say(2, "Device: %s. %s", run->device,
                run->is_gpu ? "Speed is the solution's time over the submission's, measured in turn."
                            : "Results are graded and speed is not: the CPU device's says nothing about a GPU's.");
    cli_say(2, "Hidden sizes and inputs: --seed=%llu gives them again.", (unsigned long long)run->seed);
    if (run->not_confined)
        cli_say(2, "Not confined here, since the system does not allow it: %s (docs/grading.md#confinement).",
                run->not_confined);
    putchar('\n');
    print_table(run);
    for (size_t i = 0; i < run->count; i++)
        print_reasons(&run->submissions[i]);
}

/* ---- JSON ---- */

static cJSON *text_or_null(const char *text)
{
    return text ? cJSON_CreateString(text) : cJSON_CreateNull();
}

static cJSON *number_or_null(double value)
{
    return isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull();
}

static cJSON *rung_json(const grade_rung *rung)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "variant", rung->variant);
    cJSON_AddStringToObject(object, "status", rung->status);
    cJSON_AddItemToObject(object, "reason", text_or_null(rung->reason));
    cJSON_AddNumberToObject(object, "points", rung->points);
    cJSON_AddNumberToObject(object, "sizes", rung->sizes);
    cJSON_AddNumberToObject(object, "repetitions", rung->repetitions);
    cJSON_AddItemToObject(object, "speed", number_or_null(rung->speed));
    cJSON_AddItemToObject(object, "speed_low", number_or_null(rung->low));
    cJSON_AddItemToObject(object, "speed_high", number_or_null(rung->high));
    return object;
}

static cJSON *lab_json(const grade_lab *graded)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "lab", graded->lab->id);
    cJSON_AddStringToObject(object, "status", graded->status);
    cJSON_AddItemToObject(object, "reason", text_or_null(graded->reason));
    cJSON *files = cJSON_AddArrayToObject(object, "files"), *steps = cJSON_AddArrayToObject(object, "steps");
    cJSON *rungs = cJSON_AddArrayToObject(object, "rungs");
    for (size_t i = 0; i < graded->files.count; i++)
        cJSON_AddItemToArray(files, cJSON_CreateString(graded->files.names[i]));
    for (size_t i = 0; i < graded->steps.count; i++) {
        cJSON *step = cJSON_CreateObject();
        cJSON_AddStringToObject(step, "id", graded->steps.steps[i].id);
        cJSON_AddBoolToObject(step, "open", graded->steps.steps[i].open);
        cJSON_AddItemToArray(steps, step);
    }
    for (size_t i = 0; i < graded->rung_count; i++)
        cJSON_AddItemToArray(rungs, rung_json(&graded->rungs[i]));
    cJSON_AddNumberToObject(object, "score", graded->score);
    cJSON_AddItemToObject(object, "log_entries",
                          graded->log_entries < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(graded->log_entries));
    return object;
}

static cJSON *run_json(const grade_run *run)
{
    char *seed = cli_format("%llu", (unsigned long long)run->seed);
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "command", run->words);
    cJSON_AddStringToObject(object, "started_utc", run->started_utc);
    cJSON_AddStringToObject(object, "seed", seed); /* 64 bits: a number of JSON has 53 */
    cJSON_AddNumberToObject(object, "time_s", run->time_s);
    cJSON_AddNumberToObject(object, "memory_mb", (double)run->memory_mb);
    cJSON_AddItemToObject(object, "not_confined", text_or_null(run->not_confined));
    free(seed);
    return object;
}

static cJSON *document_of(const grade_run *run)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "schema", "pk-grade");
    cJSON_AddNumberToObject(document, "version", 1);
    cJSON_AddItemToObject(document, "run", run_json(run));
    cJSON *device = cJSON_AddObjectToObject(document, "device");
    cJSON_AddItemToObject(device, "name", text_or_null(run->device));
    cJSON_AddItemToObject(device, "backend", text_or_null(run->backend));
    cJSON_AddBoolToObject(document, "speed_graded", run->is_gpu);
    cJSON *submissions = cJSON_AddArrayToObject(document, "submissions");
    for (size_t i = 0; i < run->count; i++) {
        cJSON *object = cJSON_CreateObject(), *labs;
        cJSON_AddStringToObject(object, "name", run->submissions[i].name);
        cJSON_AddStringToObject(object, "folder", run->submissions[i].folder);
        labs = cJSON_AddArrayToObject(object, "labs");
        for (size_t k = 0; k < run->submissions[i].lab_count; k++)
            cJSON_AddItemToArray(labs, lab_json(&run->submissions[i].labs[k]));
        cJSON_AddItemToArray(submissions, object);
    }
    return document;
}

pk_status grade_write(const grade_run *run, const char *path)
{
    cJSON *document = document_of(run);
    char *text = cJSON_Print(document);
    cJSON_Delete(document);
    const pk_status status = text ? pk_write_file(path, text, strlen(text)) : pk_out_of_memory(path);
    free(text);
    return status;
}
