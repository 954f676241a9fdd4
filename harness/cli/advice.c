/* What to do next: from the steps in the student's file and from a run's results. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results.h"

typedef struct situation {
    const cli_lab *lab;
    const cli_result *result; /* of the student's program; NULL when it is not known */
    char *path;               /* the student's file */
    cli_steps steps;
} situation;

static situation look(const cli_lab *lab, const cli_result *result)
{
    return (situation){lab, result, cli_student_file(lab), cli_student_steps(lab)};
}

static void forget(situation *now)
{
    cli_steps_free(&now->steps);
    free(now->path);
}

static const cli_step *first_open(const situation *now)
{
    for (size_t i = 0; i < now->steps.count; i++)
        if (now->steps.steps[i].open)
            return &now->steps.steps[i];
    return NULL;
}

/* ---- what this device does not check ---- */

static bool has_variant_with(const situation *now, const cli_step *step, bool skipped, const char **name)
{
    for (size_t i = 0; now->result && i < now->result->point_count; i++) {
        const cli_point *point = &now->result->points[i];
        if (!point->is_default || !strcmp(point->role, "baseline") || skipped != !strcmp(point->status, "skipped") ||
            !cli_step_is_of(step, point->variant))
            continue;
        *name = point->variant;
        return true;
    }
    return false;
}

/* The variant for whose skip nothing has run the step's code, or NULL. */
static const char *skipped_variant(const situation *now, const cli_step *step)
{
    const char *skipped = NULL, *ran = NULL;
    return has_variant_with(now, step, true, &skipped) && !has_variant_with(now, step, false, &ran) ? skipped : NULL;
}

/* One line: "Not checked on this device: lab01.2 (open), lab01.3: pdl is skipped". */
static void say_not_checked(const situation *now)
{
    char *list = cli_copy("", 0);
    const char *last = NULL;
    for (size_t i = 0; i < now->steps.count; i++) {
        const cli_step *step = &now->steps.steps[i];
        const char *variant = skipped_variant(now, step);
        if (!variant)
            continue;
        const char *ended = last && strcmp(last, variant) != 0 ? last : NULL;
        char *longer =
            cli_format("%s%s%s%s%s%s%s", list, ended ? ": " : "", ended ? ended : "", ended ? " is skipped; " : "",
                       last && !ended ? ", " : "", step->id, step->open ? " (open)" : "");
        free(list);
        list = longer;
        last = variant;
    }
    if (last)
        cli_say(2, "Not checked on this device: %s: %s is skipped", list, last);
    free(list);
}

/* ---- a wrong result ---- */

static const cli_point *wrong_point(const cli_result *result)
{
    for (size_t i = 0; result && i < result->point_count; i++)
        if (!strcmp(result->points[i].status, "wrong"))
            return &result->points[i];
    return NULL;
}

static void say_wrong(const situation *now, const char *variant)
{
    const cli_step *open = NULL;
    char *hints = cli_copy("", 0);
    for (size_t i = 0; i < now->steps.count; i++) {
        const cli_step *step = &now->steps.steps[i];
        if (!cli_step_is_of(step, variant))
            continue;
        open = step->open && !open ? step : open;
        char *longer = cli_format("%s./lab hint %s, ", hints, step->id + strlen("lab"));
        free(hints);
        hints = longer;
    }
    if (open)
        cli_say(2, "Next: %s is wrong while its step %s is open: fill it in, in %s\nStuck? ./lab hint %s", variant,
                open->id, cli_relative(now->path), open->id + strlen("lab"));
    else
        cli_say(2, "Next: %s is wrong: %sdocs/troubleshooting.md", variant, hints);
    free(hints);
}

/* ---- after a run, and at any time ---- */

/* The lab behind this one: its number, or NULL after the last. The caller frees it. */
static char *next_lab(const cli_lab *lab)
{
    cli_labs labs = cli_find_labs();
    char *number = NULL;
    for (size_t i = 0; i + 1 < labs.count && !number; i++)
        if (!strcmp(labs.labs[i].id, lab->id))
            number = cli_copy(labs.labs[i + 1].number, strlen(labs.labs[i + 1].number));
    cli_labs_free(&labs);
    return number;
}

/* All that the run could judge is right. */
static void say_after_pass(const situation *now, const char *again)
{
    const cli_step *open = first_open(now);
    const bool judged = !strncmp(again, "check", strlen("check"));
    const bool is_cpu = now->result && cli_is_cpu_device(now->result);
    char *next = next_lab(now->lab);
    if (open)
        cli_say(2, "Next: step %s in %s\nStuck? ./lab hint %s", open->id, cli_relative(now->path),
                open->id + strlen("lab"));
    else if (!judged && !is_cpu)
        cli_say(2, "Next: ./lab check %s judges the speed", now->lab->number);
    else if (next)
        cli_say(2, "Next: the page of lab %s, then ./lab run %s", next, next);
    else
        cli_say(2, "Next: ./lab report and ./lab plot, for a write-up");
    free(next);
}

/* It ended without a verdict on the results, or missed a target. */
static void say_after_end(const situation *now, const char *again, int code)
{
    if (code == pk_exit_code(PK_FAULT))
        cli_say(2,
                "Next: ./lab --backend=cpu-checked run %s names the access, where the CPU device can run it; "
                "docs/troubleshooting.md#illegal-address",
                now->lab->number);
    else if (code == pk_exit_code(PK_TIMEOUT))
        cli_say(2, "Next: who was to change what is waited for? docs/troubleshooting.md#watchdog");
    else if (code == pk_exit_code(PK_MISSED))
        cli_say(2, "Next: what limits it is in the notes, solutions/%s/NOTES.md; ./lab solution %s shows one way",
                now->lab->name, now->lab->number);
    else if (code == pk_exit_code(PK_INTERRUPTED))
        cli_say(2, "Next: ./lab %s again", again);
}

void cli_advise_after_run(const cli_lab *lab, const cli_result *result, const char *again, int code)
{
    situation now = look(lab, result);
    const cli_point *wrong = wrong_point(result);
    const cli_step *open = first_open(&now);
    if (cli_lost_steps(&now.steps))
        cli_say_lost_steps(lab, &now.steps);
    else if (wrong)
        say_wrong(&now, wrong->variant);
    else if (open && code == pk_exit_code(PK_TODO))
        cli_say(2, "Next: fill in step %s in %s\nStuck? ./lab hint %s", open->id, cli_relative(now.path),
                open->id + strlen("lab"));
    else if (code == 0)
        say_after_pass(&now, again);
    else
        say_after_end(&now, again, code);
    say_not_checked(&now);
    forget(&now);
}

bool cli_advise(const cli_lab *lab, const cli_result *result)
{
    situation now = look(lab, result);
    const cli_step *open = first_open(&now);
    bool passed = result && !strcmp(result->status, "pass");
    bool lost = cli_lost_steps(&now.steps) > 0;
    say_not_checked(&now);
    if (lost)
        cli_say_lost_steps(lab, &now.steps);
    else if (open)
        cli_say(2, "Next: step %s in %s, then ./lab run %s\nStuck? ./lab hint %s", open->id, cli_relative(now.path),
                lab->number, open->id + strlen("lab"));
    else if (now.steps.count && !passed)
        cli_say(2, "Every step of lab %s is filled in. Next: ./lab run %s", lab->number, lab->number);
    bool something = lost || open || (now.steps.count && !passed);
    forget(&now);
    return something;
}
