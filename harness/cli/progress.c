/* Where the student is in a lab: the steps' texts, and the verdicts of runs of these very texts. */
#include <stdlib.h>
#include <string.h>

#include "results.h"

/* The student's newest runs that are looked at: more than a lab takes whose steps no single run checks; reading takes
 * time. */
enum { MOST_RUNS = 100 };

typedef struct judging {
    cli_progress *progress;
    size_t runs;
} judging;

/* ---- a rung in a run ---- */

static bool is_bad(cli_state state)
{
    return state == CLI_HANGS || state == CLI_FAULTS || state == CLI_WRONG;
}

static cli_state state_of_point(const cli_point *point)
{
    static const struct {
        const char *status;
        cli_state state;
    } known[] = {{"pass", CLI_PASSED},
                 {"wrong", CLI_WRONG},
                 {"fault", CLI_FAULTS},
                 {"timeout", CLI_HANGS},
                 {"skipped", CLI_NOT_CHECKED}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(point->status, known[i].status))
            return known[i].state;
    return CLI_FILLED_IN; /* open, or interrupted: no verdict */
}

/* A pass is one at the default point, and at no other point anything worse. */
static cli_state state_in(const cli_result *result, const char *variant)
{
    cli_state state = CLI_FILLED_IN;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        const cli_state here = state_of_point(point);
        if (strcmp(point->variant, variant) != 0)
            continue;
        if (is_bad(here) ? !is_bad(state) : point->is_default && state == CLI_FILLED_IN)
            state = here;
    }
    return state;
}

/* Does what came of the variant hold of its steps as they are now? A verdict does if they are what was run, and none of
 * them is open; a skip does whatever stands in those that are. */
static bool holds_now(const cli_result *result, const char *variant, cli_state state, const pk_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        const pk_step *step = &steps->steps[i];
        if (!pk_step_is_of(step, variant) || (step->open && state == CLI_NOT_CHECKED))
            continue;
        if (step->lost || step->open || !cli_has_text(result, step))
            return false;
    }
    return true;
}

static cli_rung *rung_named(cli_progress *progress, const char *name)
{
    for (size_t i = 0; i < progress->rung_count; i++)
        if (!strcmp(progress->rungs[i].name, name))
            return &progress->rungs[i];
    progress->rungs = cli_grow(progress->rungs, progress->rung_count + 1, sizeof *progress->rungs);
    cli_rung *rung = &progress->rungs[progress->rung_count++];
    *rung = (cli_rung){cli_copy(name, strlen(name)), CLI_NOT_CHECKED};
    return rung;
}

/* ---- steps ---- */

static cli_state state_of_step(const cli_progress *progress, const pk_step *step)
{
    if (step->lost)
        return CLI_DAMAGED;
    if (step->open)
        return step->todo_left ? CLI_TODO_LEFT : CLI_OPEN;
    cli_state state = CLI_FILLED_IN;
    for (size_t i = 0; i < progress->rung_count; i++)
        if (pk_step_is_of(step, progress->rungs[i].name) && progress->rungs[i].state > state)
            state = progress->rungs[i].state;
    return state;
}

static void judge_steps(cli_progress *progress)
{
    for (size_t i = 0; i < progress->steps.count; i++)
        progress->states[i] = state_of_step(progress, &progress->steps.steps[i]);
}

/* The newest verdict on a rung stands; one that was skipped is looked for in older runs, of another device. */
static bool take(const cli_result *result, void *context)
{
    judging *now = context;
    cli_progress *progress = now->progress;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        const cli_state state = state_in(result, point->variant);
        if (!strcmp(point->role, "baseline") || state == CLI_FILLED_IN ||
            !holds_now(result, point->variant, state, &progress->steps))
            continue;
        cli_rung *rung = rung_named(progress, point->variant);
        if (rung->state == CLI_NOT_CHECKED)
            rung->state = state;
    }
    judge_steps(progress);
    static const cli_state unknown[] = {CLI_OPEN, CLI_FILLED_IN, CLI_NOT_CHECKED}; /* open: skipped, or not run? */
    size_t more = 0;
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        more += cli_count_steps(progress, unknown[i]);
    return ++now->runs == MOST_RUNS || more == 0;
}

cli_progress cli_progress_of(const cli_lab *lab)
{
    cli_progress progress = {.steps = cli_student_steps(lab)};
    progress.states = cli_grow(NULL, progress.steps.count + 1, sizeof *progress.states);
    judge_steps(&progress);
    judging now = {&progress, 0};
    cli_visit_students(lab->id, take, &now);
    return progress;
}

void cli_progress_free(cli_progress *progress)
{
    for (size_t i = 0; i < progress->rung_count; i++)
        free(progress->rungs[i].name);
    free(progress->rungs);
    free(progress->states);
    pk_steps_free(&progress->steps);
    *progress = (cli_progress){.rung_count = 0};
}

size_t cli_count_steps(const cli_progress *progress, cli_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < progress->steps.count; i++)
        count += progress->states[i] == state;
    return count;
}

const char *cli_state_word(cli_state state)
{
    static const char *const words[] = {
        [CLI_DAMAGED] = "damaged",
        [CLI_OPEN] = "open",
        [CLI_TODO_LEFT] = "pk_todo left",
        [CLI_FILLED_IN] = "filled in",
        [CLI_NOT_CHECKED] = "not checked here",
        [CLI_HANGS] = "hangs",
        [CLI_FAULTS] = "faults",
        [CLI_WRONG] = "wrong",
        [CLI_PASSED] = "passed",
    };
    return words[state];
}
