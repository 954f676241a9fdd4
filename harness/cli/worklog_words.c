#include "worklog_words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"

static void add_word(char **list, const char *word)
{
    char *longer = cli_format("%s%s%s", *list, **list ? ", " : "", word);
    free(*list);
    *list = longer;
}

/* ---- rungs at the default point ---- */

static bool is_rung(const cli_point *point)
{
    return point->is_default && strcmp(point->role, "baseline") != 0 && !strcmp(point->cache, "hot");
}

static bool is_bad(const cli_point *point)
{
    return !strcmp(point->status, "wrong") || !strcmp(point->status, "fault") || !strcmp(point->status, "timeout");
}

/* A repetition of each was timed: the quickest; else the first that passed; NULL where none did. */
static const cli_point *best_rung(const cli_result *result)
{
    const cli_point *best = NULL;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (is_rung(point) && cli_passed(point) &&
            (!best || (isfinite(point->us_per_token) && !(best->us_per_token <= point->us_per_token))))
            best = point;
    }
    return best;
}

/* "wrong: pdl, graph": the rungs that ended so, appended to the list. */
static void add_ended_so(char **list, const cli_result *result, const char *status, const char *word)
{
    char *rungs = cli_copy("", 0);
    for (size_t i = 0; i < result->point_count; i++)
        if (is_rung(&result->points[i]) && !strcmp(result->points[i].status, status))
            add_word(&rungs, result->points[i].variant);
    if (*rungs) {
        char *longer = cli_format("%s%s%s: %s", *list, **list ? "; " : "", word, rungs);
        free(*list);
        *list = longer;
    }
    free(rungs);
}

static const char *baseline_of(const cli_result *result)
{
    for (size_t i = 0; i < result->point_count; i++)
        if (!strcmp(result->points[i].role, "baseline"))
            return result->points[i].variant;
    return "the baseline";
}

static char *speed_of(const cli_result *result, const cli_point *best)
{
    if (!isfinite(best->us_per_token))
        return cli_format("%s passes, not timed", best->variant);
    char *text = cli_format("%s %.4g us/token", best->variant, best->us_per_token);
    if (isfinite(best->launches_per_token)) {
        char *longer = cli_format("%s, %.4g launches/token", text, best->launches_per_token);
        free(text);
        text = longer;
    }
    if (isfinite(best->speedup)) {
        char *longer = cli_format("%s, %.3gx over %s", text, best->speedup, baseline_of(result));
        free(text);
        text = longer;
    }
    if (cli_is_cpu_device(result))
        add_word(&text, "CPU device");
    return text;
}

char *work_result(const cli_result *result)
{
    if (!result)
        return cli_copy("no result file", 14);
    const cli_point *best = best_rung(result);
    char *text = best ? speed_of(result, best) : cli_copy("no rung passes", 14);
    add_ended_so(&text, result, "todo", "open");
    return text;
}

bool work_has_judged(const cli_result *result, const cli_end *end)
{
    if (!result) /* it did not come to one: a fault, a hang or a crash is a verdict, a wrong option is none */
        return end->killed_by || end->code == pk_exit_code(PK_FAULT) || end->code == pk_exit_code(PK_TIMEOUT);
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (is_rung(point) && (is_bad(point) || (cli_passed(point) && isfinite(point->us_per_token))))
            return true;
    }
    return false;
}

/* ---- against the result before ---- */

static bool is_students_run(const cli_result *result)
{
    return cli_is_students(result) && result->point_count > 0;
}

static bool is_timed_run(const cli_result *result)
{
    const cli_point *best = is_students_run(result) ? best_rung(result) : NULL;
    return best && isfinite(best->us_per_token);
}

char *work_measured_now(const cli_lab *lab)
{
    char *path = cli_newest_result(lab->id, is_timed_run);
    if (!path) /* none is: what it passed, and which steps it had */
        path = cli_newest_result(lab->id, is_students_run);
    cli_result result;
    if (!path || cli_result_load(&result, path) != PK_OK) {
        free(path);
        return cli_copy("nothing yet", 11);
    }
    char *words = work_result(&result), *measured = cli_format("%s (%s)", words, cli_relative(path));
    free(words);
    cli_result_free(&result);
    free(path);
    return measured;
}

/* Load the file that stands in parentheses at the end of a "Measured" line; false where there is none, or no longer. */
static bool load_before(cli_result *before, const char *measured)
{
    const char *open = strrchr(measured, '('), *close = open ? strchr(open, ')') : NULL;
    if (!close)
        return false;
    char *name = cli_copy(open + 1, (size_t)(close - open - 1));
    char *path = *name == '/' ? cli_copy(name, strlen(name)) : cli_format("%s/%s", cli_source(), name);
    const bool loaded = cli_exists(path) && cli_result_load(before, path) == PK_OK;
    free(path);
    free(name);
    return loaded;
}

static bool has_digest(const cli_result *result, const cli_step_text *step)
{
    for (size_t i = 0; i < result->step_count; i++)
        if (!strcmp(result->steps[i].id, step->id))
            return !strcmp(result->steps[i].digest, step->digest);
    return false;
}

char *work_change(const cli_result *result, const char *measured)
{
    cli_result before;
    if (!result || !load_before(&before, measured))
        return cli_copy("not known: no two results to compare", 36);
    char *steps = cli_copy("", 0);
    size_t changed = 0;
    for (size_t i = 0; i < result->step_count; i++)
        if (!has_digest(&before, &result->steps[i])) {
            add_word(&steps, result->steps[i].id);
            changed++;
        }
    if (!changed)
        add_word(&steps, "no line of the student's files");
    else if (changed == result->step_count && changed > 1)
        add_word(&steps, "or what is outside the steps");
    cli_result_free(&before);
    return steps;
}

/* "faster, 3.5x over launch; before 2.9x". Speedups over the baseline are ratios paired within a run, so that two runs
 * compare by them where their absolute times do not. */
static char *speed_against(const cli_result *result, const cli_result *before)
{
    const cli_point *now = best_rung(result), *then = best_rung(before);
    if (!then || !isfinite(then->us_per_token))
        return cli_format("speed not compared: no run was timed before");
    if (!now || !isfinite(now->us_per_token))
        return cli_format("speed not compared: this run is not timed");
    if (!isfinite(now->speedup) || !isfinite(then->speedup))
        return cli_format("speed not compared: no baseline in both");
    if (cli_is_cpu_device(result) || cli_is_cpu_device(before))
        return cli_copy("speed not judged on the CPU device", 34);
    if (strcmp(result->device, before->device) != 0 || strcmp(result->backend, before->backend) != 0)
        return cli_copy("speed not compared: another device", 34);
    if (!cli_same_knob_names(result, before) || !cli_same_knobs(result, now->knobs, then->knobs))
        return cli_copy("speed not compared: other parameters", 36);
    const char *word = now->speedup_low > then->speedup_high   ? "faster"
                       : now->speedup_high < then->speedup_low ? "slower"
                                                               : "no clear difference in speed";
    return cli_format("%s: %.3gx over %s, before %.3gx", word, now->speedup, baseline_of(result), then->speedup);
}

static char *ended(const cli_end *end)
{
    if (end->killed_by)
        return cli_format("crashed (signal %d)", end->killed_by);
    return end->code == pk_exit_code(PK_TIMEOUT) ? cli_copy("hangs", 5) : cli_copy("device fault", 12);
}

char *work_verdict(const cli_result *result, const char *measured, const cli_end *end)
{
    if (!result)
        return ended(end);
    char *verdict = cli_copy("", 0);
    add_ended_so(&verdict, result, "wrong", "wrong");
    add_ended_so(&verdict, result, "fault", "faults");
    add_ended_so(&verdict, result, "timeout", "hangs");
    if (!*verdict)
        add_word(&verdict, end->code == pk_exit_code(PK_MISSED) ? "right, a target missed" : "right");
    cli_result before;
    if (load_before(&before, measured)) {
        char *speed = speed_against(result, &before), *longer = cli_format("%s; %s", verdict, speed);
        free(speed);
        free(verdict);
        verdict = longer;
        cli_result_free(&before);
    }
    return verdict;
}
