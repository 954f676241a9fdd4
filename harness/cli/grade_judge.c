/* Rungs of a submission: what the steps say of them, and what the judge says. The judge is the lab's solution program.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grade.h"
#include "pk/result.h"
#include "quote.h"

static char *judge_program(const cli_lab *lab)
{
    return cli_format("%s/bin/%s_solution", cli_build(), lab->id);
}

/* ---- rungs ---- */

/* The open steps of a rung as "lab01.2, lab01.3"; NULL: none is open. `*any`: it has steps. */
static char *open_steps_of(const pk_steps *steps, const char *variant, bool *any)
{
    char *open = NULL;
    *any = false;
    for (size_t i = 0; i < steps->count; i++) {
        const pk_step *step = &steps->steps[i];
        if (!pk_step_is_of(step, variant))
            continue;
        *any = true;
        if (!step->open)
            continue;
        char *longer = open ? cli_format("%s, %s", open, step->id) : cli_copy(step->id, strlen(step->id));
        free(open);
        open = longer;
    }
    return open;
}

static void add_rung(grade_lab *graded, const char *variant)
{
    bool any;
    char *open = open_steps_of(&graded->steps, variant, &any);
    if (!any)
        return;
    graded->rungs = cli_grow(graded->rungs, graded->rung_count + 1, sizeof *graded->rungs);
    grade_rung *rung = &graded->rungs[graded->rung_count++];
    *rung = (grade_rung){.variant = cli_copy(variant, strlen(variant)), .speed = NAN, .low = NAN, .high = NAN};
    if (!open)
        return;
    rung->status = cli_copy("todo", 4);
    rung->reason = cli_format("open: %s", open);
    free(open);
}

pk_status grade_find_rungs(grade_lab *graded)
{
    char *program = judge_program(graded->lab), *list = NULL;
    char *arguments[] = {program, "--list", NULL};
    const int code = cli_capture(arguments, &list);
    for (char *line = code == 0 ? strtok(list, "\n") : NULL; line; line = strtok(NULL, "\n")) {
        char variant[64];
        if (sscanf(line, "ladder\t%63[^\t]", variant) == 1)
            add_rung(graded, variant);
    }
    free(list);
    const pk_status status =
        code == 0 ? PK_OK : pk_fail(PK_FAULT, "%s does not list its variants: build it anew", program);
    free(program);
    return status;
}

/* ---- what the judge says ---- */

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* As fast as the solution, or within what the measurement leaves open: all of a rung's points. */
static double points_of(const grade_rung *rung)
{
    if (strcmp(rung->status, "pass") != 0)
        return 0;
    return isnan(rung->speed) || rung->high >= 1 ? 1 : rung->speed;
}

static grade_rung *rung_named(grade_lab *graded, const char *variant)
{
    for (size_t i = 0; i < graded->rung_count; i++)
        if (!strcmp(graded->rungs[i].variant, variant))
            return &graded->rungs[i];
    return NULL;
}

static pk_status take_rung(grade_lab *graded, const cJSON *row)
{
    grade_rung *rung = rung_named(graded, text_of(row, "variant"));
    if (!rung || rung->status)
        return pk_fail(PK_FAULT, "the judge speaks of a rung that it was not asked for");
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "judge_failed")))
        return pk_fail(PK_FAULT, "%s, %s: the judge itself failed: %s", graded->lab->id, rung->variant,
                       text_of(row, "reason"));
    const char *status = text_of(row, "status"), *reason = text_of(row, "reason");
    rung->status = cli_copy(status, strlen(status));
    rung->reason = *reason ? cli_plain(reason) : NULL;
    rung->sizes = (int)number_of(row, "sizes");
    rung->repetitions = (int)number_of(row, "repetitions");
    rung->speed = number_of(row, "speed");
    rung->low = number_of(row, "speed_low");
    rung->high = number_of(row, "speed_high");
    rung->points = points_of(rung);
    return PK_OK;
}

static void keep(char **to, const char *text)
{
    if (*to || !*text)
        return;
    *to = cli_plain(text);
}

static pk_status take_verdicts(grade_run *run, grade_lab *graded, const char *path)
{
    char *text = cli_read_file(path);
    cJSON *document = text ? cJSON_Parse(text) : NULL;
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(document, "rungs"), *row;
    pk_status status = cJSON_IsArray(rows) ? PK_OK : pk_fail(PK_FAULT, "the judge has left no verdicts at %s", path);
    if (status == PK_OK) {
        keep(&run->device, text_of(document, "device"));
        keep(&run->backend, text_of(document, "backend"));
        keep(&run->not_confined, text_of(document, "not_confined"));
        run->is_gpu |= cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(document, "is_gpu"));
        cJSON_ArrayForEach(row, rows)
        {
            status = status == PK_OK ? take_rung(graded, row) : status;
        }
    }
    cJSON_Delete(document);
    free(text);
    return status;
}

/* "stream,fused": those that nothing is said of yet; NULL: none. */
static char *rungs_to_judge(const grade_lab *graded)
{
    char *list = NULL;
    for (size_t i = 0; i < graded->rung_count; i++) {
        if (graded->rungs[i].status)
            continue;
        char *longer = cli_format("%s%s%s", list ? list : "", list ? "," : "", graded->rungs[i].variant);
        free(list);
        list = longer;
    }
    return list;
}

pk_status grade_judge(grade_run *run, grade_lab *graded, const char *program, const char *folder)
{
    char *rungs = rungs_to_judge(graded), *path = cli_format("%s/%s.json", folder, graded->lab->id), *output = NULL;
    char *judge = judge_program(graded->lab), *worker = cli_format("--worker=%s", program);
    char *variants = cli_format("--variants=%s", rungs ? rungs : ""), *json = cli_format("--json=%s", path);
    char *seed = cli_format("--seed=%llu", (unsigned long long)run->seed), *time = cli_format("--time=%g", run->time_s);
    char *memory = cli_format("--memory=%lld", run->memory_mb);
    /* Whether it times is for the judge's device to decide: the last argument is left out on the CPU device. */
    char *arguments[] = {judge, "--judge", worker, variants, seed, time, memory, json, run->is_gpu ? "--timing" : NULL,
                         NULL};
    (void)remove(path);
    const int code = cli_capture(arguments, &output);
    const pk_status failed = code == pk_exit_code(PK_SKIP) ? PK_SKIP : PK_FAULT; /* no device of this backend */
    pk_status status = code == 0 ? take_verdicts(run, graded, path)
                                 : pk_fail(failed, "%s: the judge ended with exit code %d: %s", graded->lab->id, code,
                                           output ? output : "");
    char *const texts[] = {rungs, path, output, judge, worker, variants, json, seed, time, memory};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    return status;
}
