/* What to do next: from the steps in the student's file and from what came of running them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results.h"

typedef struct situation {
    const cli_lab *lab;
    const cli_result *result; /* of the student's program; NULL when it is not known */
    char *path;               /* the student's file */
    const pk_steps *steps;
} situation;

static const pk_step *first_open(const situation *now)
{
    for (size_t i = 0; i < now->steps->count; i++)
        if (now->steps->steps[i].open)
            return &now->steps->steps[i];
    return NULL;
}

/* `then` follows what is to be done in the file: "", or ", then ./lab run 01". */
static void say_open(const situation *now, const pk_step *step, const char *then)
{
    if (step->todo_left)
        cli_say(2, "Next: when its code is complete, delete the pk_todo line of %s in %s%s", step->id,
                cli_relative(now->path), then);
    else
        cli_say(2, "Next: fill in step %s in %s%s\nStuck? ./lab hint %s", step->id, cli_relative(now->path), then,
                step->id + strlen("lab"));
}

/* ---- what this device does not check ---- */

static bool has_variant_with(const situation *now, const pk_step *step, bool skipped, const char **name)
{
    for (size_t i = 0; now->result && i < now->result->point_count; i++) {
        const cli_point *point = &now->result->points[i];
        if (!point->is_default || !strcmp(point->role, "baseline") || skipped != !strcmp(point->status, "skipped") ||
            !pk_step_is_of(step, point->variant))
            continue;
        *name = point->variant;
        return true;
    }
    return false;
}

/* The variant for whose skip nothing has run the step's code, or NULL. */
static const char *skipped_variant(const situation *now, const pk_step *step)
{
    const char *skipped = NULL, *ran = NULL;
    return has_variant_with(now, step, true, &skipped) && !has_variant_with(now, step, false, &ran) ? skipped : NULL;
}

/* A line that grows: "lab01.2 (open), lab01.3: pdl is skipped; lab01.4". */
typedef struct skips {
    char *list;
    const char *last; /* the variant that the list's end is of; NULL while it is empty */
} skips;

static void add_skip(skips *skipped, const pk_step *step, const char *variant)
{
    const char *last = skipped->last, *ended = last && strcmp(last, variant) != 0 ? last : NULL;
    char *longer =
        cli_format("%s%s%s%s%s%s%s", skipped->list ? skipped->list : "", ended ? ": " : "", ended ? ended : "",
                   ended ? " is skipped; " : "", last && !ended ? ", " : "", step->id, step->open ? " (open)" : "");
    free(skipped->list);
    *skipped = (skips){longer, variant};
}

static void say_skips(skips *skipped)
{
    if (skipped->last)
        cli_say(2, "Not checked on this device: %s: %s is skipped", skipped->list, skipped->last);
    free(skipped->list);
}

static void say_not_checked(const situation *now)
{
    skips skipped = {NULL, NULL};
    for (size_t i = 0; i < now->steps->count; i++) {
        const pk_step *step = &now->steps->steps[i];
        const char *variant = skipped_variant(now, step);
        if (variant)
            add_skip(&skipped, step, variant);
    }
    say_skips(&skipped);
}

/* The same of all that has been run so far. */
static void say_never_checked(const cli_progress *progress)
{
    skips skipped = {NULL, NULL};
    for (size_t i = 0; i < progress->steps.count; i++)
        for (size_t j = 0; j < progress->rung_count && progress->states[i] == CLI_NOT_CHECKED; j++)
            if (pk_step_is_of(&progress->steps.steps[i], progress->rungs[j].name)) {
                add_skip(&skipped, &progress->steps.steps[i], progress->rungs[j].name);
                break;
            }
    say_skips(&skipped);
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
    const pk_step *open = NULL;
    char *hints = cli_copy("", 0);
    for (size_t i = 0; i < now->steps->count; i++) {
        const pk_step *step = &now->steps->steps[i];
        if (!pk_step_is_of(step, variant))
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
    const pk_step *open = first_open(now);
    const bool judged = !strncmp(again, "check", strlen("check"));
    const bool is_cpu = now->result && cli_is_cpu_device(now->result);
    char *next = next_lab(now->lab);
    if (open)
        say_open(now, open, "");
    else if (!judged && !is_cpu)
        cli_say(2, "Next: ./lab check %s judges the speed", now->lab->number);
    else if (next)
        cli_say(2, "Next: the page of lab %s, then ./lab run %s", next, next);
    else
        cli_say(2, "Next: ./lab report and ./lab plot, for a write-up");
    free(next);
}

static void say_after_fault(const cli_lab *lab)
{
    cli_say(2,
            "Next: where a kernel's access is at fault, ./lab --backend=cpu-checked run %s names it, if the CPU device "
            "can run it; "
            "docs/troubleshooting.md#illegal-address",
            lab->number);
}

static void say_after_hang(void)
{
    cli_say(2, "Next: who was to change what is waited for? docs/troubleshooting.md#watchdog");
}

/* It ended without a verdict on the results, or missed a target. */
static void say_after_end(const situation *now, const char *again, int code)
{
    if (code == pk_exit_code(PK_FAULT))
        say_after_fault(now->lab);
    else if (code == pk_exit_code(PK_TIMEOUT))
        say_after_hang();
    else if (code == pk_exit_code(PK_MISSED))
        cli_say(2, "Next: what limits it is in the notes, solutions/%s/NOTES.md; ./lab solution %s shows one way",
                now->lab->name, now->lab->number);
    else if (code == pk_exit_code(PK_INTERRUPTED))
        cli_say(2, "Next: ./lab %s again", again);
}

void cli_advise_after_run(const cli_lab *lab, const cli_result *result, const char *again, int code)
{
    pk_steps steps = cli_student_steps(lab);
    const situation now = {lab, result, cli_student_file(lab), &steps};
    const cli_point *wrong = wrong_point(result);
    const pk_step *open = first_open(&now);
    if (cli_lost_steps(&steps))
        cli_say_lost_steps(lab, &steps);
    else if (wrong)
        say_wrong(&now, wrong->variant);
    else if (open && code == pk_exit_code(PK_TODO))
        say_open(&now, open, "");
    else if (code == 0)
        say_after_pass(&now, again);
    else
        say_after_end(&now, again, code);
    say_not_checked(&now);
    free(now.path);
    pk_steps_free(&steps);
}

/* ---- at any time ---- */

static const cli_rung *first_bad(const cli_progress *progress)
{
    for (size_t i = 0; i < progress->rung_count; i++)
        if (progress->rungs[i].state != CLI_PASSED && progress->rungs[i].state != CLI_NOT_CHECKED)
            return &progress->rungs[i];
    return NULL;
}

static void say_bad(const situation *now, const cli_rung *rung)
{
    if (rung->state == CLI_WRONG) {
        say_wrong(now, rung->name);
        return;
    }
    cli_say(2, "%s %s in your last run of it.", rung->name, cli_state_word(rung->state));
    if (rung->state == CLI_HANGS)
        say_after_hang();
    else
        say_after_fault(now->lab);
}

bool cli_advise(const cli_lab *lab, const cli_progress *progress)
{
    const situation now = {lab, NULL, cli_student_file(lab), &progress->steps};
    const pk_step *open = first_open(&now);
    const cli_rung *bad = first_bad(progress);
    bool something = true;
    say_never_checked(progress);
    if (cli_lost_steps(&progress->steps)) {
        cli_say_lost_steps(lab, &progress->steps);
    } else if (bad) {
        say_bad(&now, bad);
    } else if (open) {
        char *then = cli_format(", then ./lab run %s", lab->number);
        say_open(&now, open, then);
        free(then);
    } else if (cli_count_steps(progress, CLI_FILLED_IN)) {
        cli_say(2, "Every step of lab %s is filled in. Next: ./lab run %s", lab->number, lab->number);
    } else {
        something = false;
    }
    free(now.path);
    return something;
}
