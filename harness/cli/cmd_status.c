/* `status`: the ladder of labs, where each step and rung is, how fast, what time is left, and what is next. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "pk/host.h"
#include "results.h"

enum { MOST_RUNS = 100 /* newest first: a rung that none of them has is shown without a speed; reading takes time */ };

typedef struct rung {
    char *name;
    double speedup; /* over the first baseline, of the newest run of the rung's steps as they are; NaN: none */
    bool on_gpu;
    double wanted; /* the speedup that is its target; NaN: none was judged */
    bool reached;  /* ... and was it? */
} rung;

typedef struct standing {
    const cli_lab *lab;
    cli_progress progress;
    cli_minutes minutes;
    rung *rungs;
    size_t rung_count, runs;
    size_t judged, reached; /* targets of the newest run that judged any, of all steps as they are */
} standing;

/* ---- what runs said of speed ---- */

static void add_rung(standing *now, const char *name, size_t length)
{
    for (size_t i = 0; i < now->rung_count; i++)
        if (strlen(now->rungs[i].name) == length && !strncmp(now->rungs[i].name, name, length))
            return;
    now->rungs = cli_grow(now->rungs, now->rung_count + 1, sizeof *now->rungs);
    now->rungs[now->rung_count++] = (rung){cli_copy(name, length), (double)NAN, false, (double)NAN, false};
}

/* Those that the steps' fences name, in the order of the steps. */
static void find_rungs(standing *now)
{
    for (size_t i = 0; i < now->progress.steps.count; i++) {
        const char *names = now->progress.steps.steps[i].rungs;
        if (!strcmp(names, "all rungs"))
            continue;
        for (const char *at = names; *at; at += strspn(at, ", ")) {
            const size_t length = strcspn(at, ", ");
            add_rung(now, at, length);
            at += length;
        }
    }
}

/* Was the text that the steps have now what was run? Of the variant's steps; of all with NULL. */
static bool is_of_now(const cli_result *result, const pk_steps *steps, const char *variant)
{
    for (size_t i = 0; i < steps->count; i++)
        if ((!variant || pk_step_is_of(&steps->steps[i], variant)) && !cli_has_text(result, &steps->steps[i]))
            return false;
    return true;
}

static const cli_target *speed_target(const cli_result *result, const char *variant)
{
    for (size_t i = 0; i < result->target_count; i++)
        if (result->targets[i].is_speedup && result->targets[i].judged && !strcmp(result->targets[i].subject, variant))
            return &result->targets[i];
    return NULL;
}

static void take_speed(rung *into, const cli_result *result)
{
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        const cli_target *target = speed_target(result, into->name);
        if (strcmp(point->variant, into->name) != 0 || !point->is_default || !isfinite(point->speedup))
            continue;
        into->speedup = point->speedup;
        into->on_gpu = !cli_is_cpu_device(result);
        if (target) {
            into->wanted = target->wanted;
            into->reached = target->passed;
        }
        return;
    }
}

static bool take_run(const cli_result *result, void *context)
{
    standing *now = context;
    bool more = false;
    for (size_t i = 0; i < now->rung_count; i++) {
        if (!isfinite(now->rungs[i].speedup) && is_of_now(result, &now->progress.steps, now->rungs[i].name))
            take_speed(&now->rungs[i], result);
        more |= !isfinite(now->rungs[i].speedup);
    }
    for (size_t i = 0; i < result->target_count && is_of_now(result, &now->progress.steps, NULL); i++) {
        now->judged += result->targets[i].judged;
        now->reached += result->targets[i].judged && result->targets[i].passed;
    }
    return ++now->runs == MOST_RUNS || (!more && now->judged);
}

static standing standing_of(const cli_lab *lab)
{
    standing now = {.lab = lab, .progress = cli_progress_of(lab)};
    now.minutes = cli_minutes_of(lab, &now.progress);
    find_rungs(&now);
    cli_visit_students(lab->id, take_run, &now);
    return now;
}

static void free_standing(standing *now)
{
    for (size_t i = 0; i < now->rung_count; i++)
        free(now->rungs[i].name);
    free(now->rungs);
    cli_progress_free(&now->progress);
}

/* ---- the labs ---- */

/* In a word: the worst that is known of a step; else whether all have passed, and then whether they are fast. */
static const char *lab_word(const standing *now)
{
    static const cli_state bad[] = {CLI_DAMAGED, CLI_WRONG, CLI_FAULTS, CLI_HANGS};
    const cli_progress *progress = &now->progress;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (cli_count_steps(progress, bad[i]))
            return cli_state_word(bad[i]);
    const size_t passed = cli_count_steps(progress, CLI_PASSED), skipped = cli_count_steps(progress, CLI_NOT_CHECKED);
    if (passed + skipped < progress->steps.count)
        return cli_count_steps(progress, CLI_OPEN) < progress->steps.count ? "begun" : "open";
    if (!passed)
        return "";
    return skipped ? "passed here" : !now->judged ? "passed" : now->reached == now->judged ? "fast" : "slow";
}

/* "1:30", hours and minutes, in new memory; "" for no time that is known. */
static char *clock_text(double minutes, bool known)
{
    const long whole = lround(minutes);
    return known ? cli_format("%ld:%02ld", whole / 60, whole % 60) : cli_copy("", 0);
}

static void print_labs(const standing *labs, size_t count)
{
    pk_table *table = pk_table_new(6, 0x34);
    double all = 0, left = 0;
    pk_table_row(table, (const char *[]){"lab", "title", "passed", "state", "hours", "left"});
    for (size_t i = 0; i < count; i++) {
        const standing *now = &labs[i];
        char *passed = cli_format("%zu of %zu", cli_count_steps(&now->progress, CLI_PASSED), now->progress.steps.count);
        char *hours = clock_text(now->minutes.all, now->minutes.all > 0);
        char *rest = clock_text(now->minutes.left, now->minutes.all > 0);
        pk_table_row(table, (const char *[]){now->lab->number, now->lab->title, passed, lab_word(now), hours, rest});
        all += now->minutes.all;
        left += now->minutes.left;
        free(rest);
        free(hours);
        free(passed);
    }
    char *hours = clock_text(all, true), *rest = clock_text(left, true);
    if (count > 1)
        pk_table_row(table, (const char *[]){"", "in all", "", "", hours, rest});
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
    free(rest);
    free(hours);
}

/* ---- a lab's steps and rungs ---- */

static void print_steps(const standing *now)
{
    pk_table *table = pk_table_new(3, 0);
    pk_table_row(table, (const char *[]){"step", "state", "what it is"});
    for (size_t i = 0; i < now->progress.steps.count; i++) {
        const pk_step *step = &now->progress.steps.steps[i];
        pk_table_row(table, (const char *[]){step->id, cli_state_word(now->progress.states[i]), step->title});
    }
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
}

/* The CPU device's ratios say nothing of a GPU's: they are named as its own, and never judged. */
static char *speed_text(const rung *of)
{
    if (!isfinite(of->speedup))
        return cli_copy("", 0);
    if (!of->on_gpu)
        return cli_format("%.3gx on the CPU device, not judged", of->speedup);
    if (!isfinite(of->wanted))
        return cli_format("%.3gx", of->speedup);
    return cli_format("%.3gx, %s: at least %gx was asked for", of->speedup, of->reached ? "fast" : "slow", of->wanted);
}

static const char *rung_word(const standing *now, const char *name)
{
    const cli_progress *progress = &now->progress;
    for (size_t i = 0; i < progress->steps.count; i++)
        if (pk_step_is_of(&progress->steps.steps[i], name) && progress->steps.steps[i].open)
            return "open";
    for (size_t i = 0; i < progress->rung_count; i++)
        if (!strcmp(progress->rungs[i].name, name))
            return cli_state_word(progress->rungs[i].state);
    return cli_state_word(CLI_FILLED_IN);
}

/* Once one of them is more than open. */
static void print_rungs(const standing *now)
{
    bool any = false;
    pk_table *table = pk_table_new(3, 0);
    pk_table_row(table, (const char *[]){"rung", "state", "as fast as the baseline"});
    for (size_t i = 0; i < now->rung_count; i++) {
        const char *word = rung_word(now, now->rungs[i].name);
        char *speed = speed_text(&now->rungs[i]);
        pk_table_row(table, (const char *[]){now->rungs[i].name, word, speed});
        any |= strcmp(word, "open") != 0;
        free(speed);
    }
    if (any) {
        putchar('\n');
        pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    }
    pk_table_free(table);
}

/* The ladder's largest speedup: ", stream 12x", or ""; in new memory. */
static char *best_text(const cli_result *result)
{
    const cli_point *best = NULL;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (point->is_default && isfinite(point->speedup) && (!best || point->speedup > best->speedup))
            best = point;
    }
    return best ? cli_format(", %s %.3gx", best->variant, best->speedup) : cli_copy("", 0);
}

/* The newest run of the student's program: "pass, stream 12x, 2026-03-01"; else what was run: "none of yours (solution
 * pass)". */
static char *last_result(const cli_lab *lab)
{
    char *path = cli_newest_result(lab->id, cli_is_students);
    const bool is_students = path != NULL;
    path = path ? path : cli_newest_result(lab->id, NULL);
    cli_result result;
    if (!path)
        return cli_copy("none yet", strlen("none yet"));
    if (cli_result_load(&result, path) != PK_OK) {
        free(path);
        return cli_copy("unreadable", strlen("unreadable"));
    }
    const char *role = strchr(result.program, '_') ? strchr(result.program, '_') + 1 : result.program;
    char *best = best_text(&result);
    char *words = is_students ? cli_format("%s%s, %.10s", result.status, best, result.started_utc)
                              : cli_format("none of yours (%s %s)", role, result.status);
    free(best);
    cli_result_free(&result);
    free(path);
    return words;
}

static void print_lab(const standing *now)
{
    char *last = last_result(now->lab);
    cli_say(2, "\nLab %s, %s; last result: %s", now->lab->number, now->lab->title, last);
    print_steps(now);
    print_rungs(now);
    if (now->judged)
        cli_say(2, "\n%zu of %zu targets reached: ./lab check %s", now->reached, now->judged, now->lab->number);
    free(last);
}

/* ---- which labs, and what is next ---- */

static bool is_done(const standing *now)
{
    return cli_count_steps(&now->progress, CLI_PASSED) + cli_count_steps(&now->progress, CLI_NOT_CHECKED) ==
           now->progress.steps.count;
}

static bool is_begun(const standing *now)
{
    return cli_count_steps(&now->progress, CLI_OPEN) < now->progress.steps.count;
}

/* Those that are under way; where none is, the first that is not done. */
static void print_current(const standing *labs, size_t count)
{
    size_t printed = 0;
    for (size_t i = 0; i < count; i++)
        if (is_begun(&labs[i]) && !is_done(&labs[i])) {
            print_lab(&labs[i]);
            printed++;
        }
    for (size_t i = 0; i < count && !printed; i++)
        if (!is_done(&labs[i])) {
            print_lab(&labs[i]);
            printed++;
        }
}

static void say_what_is_next(const standing *labs, size_t count)
{
    bool said = false;
    size_t not_checked = 0;
    putchar('\n');
    for (size_t i = 0; i < count && !said; i++) {
        said = cli_advise(labs[i].lab, &labs[i].progress);
        not_checked += cli_count_steps(&labs[i].progress, CLI_NOT_CHECKED);
    }
    if (!said && not_checked)
        cli_say(2, "Every step that could be checked has passed. Next: the same on a GPU, which can check the others");
    else if (!said && count)
        cli_say(2, "Every step has passed. Judge the speed with ./lab check %s", labs[0].lab->number);
}

static int show(const cli_labs *labs, const cli_lab *only, bool every)
{
    const cli_lab *first = only ? only : labs->labs;
    const size_t count = only ? 1 : labs->count;
    standing *all = cli_grow(NULL, count + 1, sizeof *all);
    for (size_t i = 0; i < count; i++)
        all[i] = standing_of(&first[i]);
    print_labs(all, count);
    if (only || every)
        for (size_t i = 0; i < count; i++)
            print_lab(&all[i]);
    else
        print_current(all, count);
    say_what_is_next(all, count);
    for (size_t i = 0; i < count; i++)
        free_standing(&all[i]);
    free(all);
    return 0;
}

int cmd_status(int argc, char **argv)
{
    const char *word = NULL;
    bool every = false;
    cli_option options[] = {{"--all", NULL, &every}};
    size_t words;
    const pk_status status = cli_parse(argc, argv, options, 1, &word, 1, &words);
    if (status != PK_OK)
        return cli_failed(status);
    cli_labs labs = cli_find_labs();
    const cli_lab *only = word ? cli_lab_named(&labs, word) : NULL;
    const int code = word && !only ? cli_failed(PK_USAGE) : show(&labs, only, every);
    cli_labs_free(&labs);
    return code;
}
