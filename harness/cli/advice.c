/* What to do next: from the steps in the student's files and from what came of running them. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli_config.h"
#include "results.h"

typedef struct situation {
    const cli_lab *lab;
    const cli_result *result; /* of the student's program; NULL when it is not known */
    const pk_steps *steps;
    const char *said; /* by a test of it that failed; NULL: the result says */
} situation;

/* Of the steps that the variant (NULL: any) stands on. */
static const pk_step *first_open(const situation *now, const char *variant)
{
    for (size_t i = 0; i < now->steps->count; i++)
        if (now->steps->steps[i].open && (!variant || pk_step_is_of(&now->steps->steps[i], variant)))
            return &now->steps->steps[i];
    return NULL;
}

static const cli_point *first_with(const cli_result *result, const char *status)
{
    for (size_t i = 0; result && i < result->point_count; i++)
        if (!strcmp(result->points[i].status, status))
            return &result->points[i];
    return NULL;
}

/* The student's before a baseline's, which another variant may have spoiled. */
static const cli_point *first_wrong(const cli_result *result)
{
    for (size_t i = 0; result && i < result->point_count; i++)
        if (!strcmp(result->points[i].status, "wrong") && strcmp(result->points[i].role, "baseline") != 0)
            return &result->points[i];
    return first_with(result, "wrong");
}

/* Where a run left no result to tell, a build for the CPU device ran there. */
static bool ran_on_cpu(const situation *now)
{
    return now->result ? cli_is_cpu_device(now->result) : !strcmp(PK_CLI_BACKEND, "cpu");
}

#define NOT_HERE "; no run here could check it"
#define HANG "Who was to change what is waited for? See docs/troubleshooting.md#watchdog"

/* ", then ./lab run 05 --work=chain", in new memory: the run that judges the step. */
static char *then_run(const cli_lab *lab, const pk_step *step)
{
    char *options = cli_options_of(lab, step);
    char *then = cli_format(", then ./lab run %s%s%s", lab->number, *options ? " " : "", options);
    free(options);
    return then;
}

static void say_page(const cli_lab *lab, const pk_step *step)
{
    char *section = cli_section_of(lab, step->id);
    cli_say(2, "The page: %s\nStuck? ./lab hint %s", section, step->id + strlen("lab"));
    free(section);
}

/* `then` follows what is to be done in the file: "", or ", then ./lab run 01". */
static void say_open(const situation *now, const pk_step *step, const char *then)
{
    char *path = cli_student_file(now->lab, step->file);
    if (step->todo_left) {
        cli_say(2, "Next: when its code is complete, delete the pk_todo line of %s in %s%s", step->id,
                cli_relative(path), then);
    } else {
        cli_say(2, "Next: fill in step %s in %s%s", step->id, cli_relative(path), then);
        say_page(now->lab, step);
    }
    free(path);
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

/* ---- a rung that is wrong, hangs or faults ---- */

/* Stands a rung that is right on the step: in this run, or in an earlier one? */
static bool is_cleared(const situation *now, const cli_progress *progress, const pk_step *step)
{
    for (size_t i = 0; now->result && i < now->result->point_count; i++) {
        const cli_point *point = &now->result->points[i];
        if (point->is_default && cli_passed(point) && pk_step_is_of(step, point->variant))
            return true;
    }
    for (size_t i = 0; i < progress->rung_count; i++)
        if (progress->rungs[i].state == CLI_PASSED && pk_step_is_of(step, progress->rungs[i].name))
            return true;
    return false;
}

/* Is the line of the step's file between its fences? */
static bool has_line(const situation *now, const pk_step *step, size_t line)
{
    char *path = cli_student_file(now->lab, step->file), *source = cli_read_file(path);
    const size_t end = source ? pk_step_end_line(source, step->id) : 0;
    free(source);
    free(path);
    return step->line < line && line < end;
}

/* Is it of "; last launch: axpy_fused<<<...>>> at optimized.cu:76;"? There a kernel that hangs was started, no more. */
static bool is_of_last_launch(const char *said, const char *at)
{
    const char *launch = strstr(said, "; last launch: ");
    if (!launch || at < launch)
        return false;
    const char *end = strchr(launch + 1, ';');
    return !end || at < end;
}

/* The step of the variant in which the last line is that a message names, "chain.cu:66"; NULL where none is. But who
 * waits for a kernel that read or wrote astray is not who wrote that kernel. */
static const pk_step *step_named_in(const situation *now, const char *variant, const char *said)
{
    const pk_step *named = NULL;
    const char *last = said;
    for (size_t i = 0; i < now->steps->count && !strstr(said, "#illegal-address"); i++) {
        const pk_step *step = &now->steps->steps[i];
        const size_t length = strlen(step->file);
        for (const char *at = strstr(said, step->file); at; at = strstr(at + 1, step->file))
            if (at >= last && at[length] == ':' && !is_of_last_launch(said, at) && pk_step_is_of(step, variant) &&
                has_line(now, step, strtoul(at + length + 1, NULL, 10))) {
                named = step;
                last = at;
            }
    }
    return named;
}

/* What is said of the variant where it did not pass: at its point, or of the whole run. */
static const char *said_of(const situation *now, const char *variant)
{
    if (now->said)
        return now->said;
    for (size_t i = 0; now->result && i < now->result->point_count; i++) {
        const cli_point *point = &now->result->points[i];
        if (!strcmp(point->variant, variant) && *point->reason)
            return point->reason;
    }
    return now->result ? now->result->note : "";
}

/* Of the steps that the variant stands on: the one that the message names; the first that no right rung stands on; the
 * first. */
static const pk_step *first_suspect(const situation *now, const char *variant)
{
    const pk_step *named = step_named_in(now, variant, said_of(now, variant));
    if (named)
        return named;
    cli_progress progress = cli_progress_of(now->lab);
    const pk_step *first = NULL, *suspect = NULL;
    for (size_t i = 0; i < now->steps->count && !suspect; i++) {
        const pk_step *step = &now->steps->steps[i];
        if (!pk_step_is_of(step, variant))
            continue;
        first = first ? first : step;
        suspect = is_cleared(now, &progress, step) ? NULL : step;
    }
    cli_progress_free(&progress);
    return suspect ? suspect : first;
}

/* "./lab hint 01.2, ./lab hint 01.3", of the variant's steps from this one on; in new memory. */
static char *hints_from(const situation *now, const char *variant, const pk_step *from)
{
    char *hints = cli_copy("", 0);
    for (const pk_step *step = from; step < now->steps->steps + now->steps->count; step++) {
        if (!pk_step_is_of(step, variant))
            continue;
        char *longer = cli_format("%s%s./lab hint %s", hints, *hints ? ", " : "", step->id + strlen("lab"));
        free(hints);
        hints = longer;
    }
    return hints;
}

/* `how`: "is wrong", "hangs", "faults"; `then`: what there is to do besides. */
static void say_bad_rung(const situation *now, const char *variant, const char *how, const char *then)
{
    const pk_step *open = first_open(now, variant), *step = open ? open : first_suspect(now, variant);
    if (!step) {
        cli_say(2, "Next: %s %s. %s", variant, how, then);
        return;
    }
    char *path = cli_student_file(now->lab, step->file), *section = cli_section_of(now->lab, step->id);
    char *hints = hints_from(now, variant, step);
    if (open)
        cli_say(2, "Next: %s %s while its step %s is open: fill it in, in %s:%zu", variant, how, open->id,
                cli_relative(path), open->line);
    else
        cli_say(2, "Next: %s %s. The first step to look at is %s, %s:%zu", variant, how, step->id, cli_relative(path),
                step->line);
    cli_say(2, "%s\nThe page: %s\nStuck? %s", then, section, hints);
    free(hints);
    free(section);
    free(path);
}

/* "docs/troubleshooting.md#illegal-address", where a message names a section; in new memory. NULL: none. */
static char *section_in(const char *said)
{
    static const char page[] = "docs/troubleshooting.md#";
    const char *section = strstr(said, page);
    if (!section)
        return NULL;
    return cli_copy(section, strlen(page) + strspn(section + strlen(page), "abcdefghijklmnopqrstuvwxyz-"));
}

/* A point of a run that did not pass, or NULL where that is not known. */
static void say_bad_point(const situation *now, const cli_point *point, const char *how, const char *then)
{
    if (!point)
        cli_say(2, "Next: %s", then);
    else
        say_bad_rung(now, point->variant, how, then);
}

static void say_wrong(const situation *now, const cli_point *point)
{
    char *section = section_in(point->reason);
    char *then = cli_format("See %s", section ? section : "docs/troubleshooting.md");
    say_bad_rung(now, point->variant, "is wrong", then);
    free(then);
    free(section);
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

/* Was every rung that stands on the step skipped? Of a step of all rungs that is not known. */
static bool is_skipped(const cli_progress *progress, const pk_step *step)
{
    size_t named = 1, skipped = 0;
    for (const char *at = step->rungs; *at; at++)
        named += *at == ',';
    for (size_t i = 0; i < progress->rung_count; i++)
        skipped += progress->rungs[i].state == CLI_NOT_CHECKED && pk_step_is_of(step, progress->rungs[i].name);
    return skipped == named && strcmp(step->rungs, "all rungs") != 0;
}

/* A step that neither this run nor one before it checked, for want of a device, comes after all others; *here: it is
 * none of those. */
static const pk_step *next_open(const situation *now, bool *here)
{
    cli_progress progress = cli_progress_of(now->lab);
    const pk_step *next = NULL;
    for (size_t i = 0; i < now->steps->count && !next; i++) {
        const pk_step *step = &now->steps->steps[i];
        if (step->open && !skipped_variant(now, step) && !is_skipped(&progress, step))
            next = step;
    }
    cli_progress_free(&progress);
    *here = next != NULL;
    return next ? next : first_open(now, NULL);
}

/* The first step that is filled in and that no run has judged, another one of the lab's problems mostly; or NULL. */
static const pk_step *next_unjudged(const situation *now)
{
    cli_progress progress = cli_progress_of(now->lab);
    const pk_step *next = NULL;
    const char *variant;
    for (size_t i = 0; i < now->steps->count && !next; i++) {
        const pk_step *step = &now->steps->steps[i];
        if (progress.states[i] == CLI_FILLED_IN && !has_variant_with(now, step, false, &variant) &&
            !skipped_variant(now, step))
            next = step;
    }
    cli_progress_free(&progress);
    return next;
}

static void say_unjudged(const situation *now, const pk_step *step)
{
    char *options = cli_options_of(now->lab, step);
    cli_say(2, "Next: ./lab run %s%s%s judges %s, which is filled in", now->lab->number, *options ? " " : "", options,
            step->id);
    free(options);
}

/* After a run, where the step is of another of the lab's problems: the run that judges it. */
static void say_open_after_run(const situation *now, const pk_step *step, const char *again, bool here)
{
    char *options = cli_options_of(now->lab, step), *then = then_run(now->lab, step);
    say_open(now, step, !here ? NOT_HERE : *options && !strstr(again, options) ? then : "");
    free(then);
    free(options);
}

/* All that the run could judge is right. */
static void say_after_pass(const situation *now, const char *again)
{
    bool here;
    const pk_step *open = next_open(now, &here), *unjudged = open && here ? NULL : next_unjudged(now);
    const bool judged = !strncmp(again, "check", strlen("check")) || strstr(again, " --check");
    char *next = next_lab(now->lab);
    if (unjudged)
        say_unjudged(now, unjudged);
    else if (open)
        say_open_after_run(now, open, again, here);
    else if (!judged && !ran_on_cpu(now))
        cli_say(2, "Next: ./lab check %s judges the speed", now->lab->number);
    else if (next)
        cli_say(2, "Next: the page of lab %s, then ./lab run %s", next, next);
    else
        cli_say(2, "Next: ./lab report and ./lab plot, for a write-up");
    if (!open && !unjudged && judged && cli_has_solution(now->lab))
        cli_say(2, "Another way than yours: ./lab solution %s", now->lab->number);
    free(next);
}

/* Nothing was judged: a step is open, the device can run no rung that was asked for, or there is none. */
static void say_after_nothing(const situation *now, const char *again)
{
    bool here = true;
    const cli_point *todo = first_with(now->result, "todo");
    const pk_step *open = todo ? first_open(now, todo->variant) : NULL;
    if (!open && (todo || !now->result))
        open = next_open(now, &here);
    if (open)
        say_open_after_run(now, open, again, here);
    else if (ran_on_cpu(now))
        cli_say(2, "Next: ./lab %s on a machine with a GPU; ./lab list names the other rungs", again);
    else
        cli_say(2, "Next: ./lab --backend=cpu %s, on the CPU device", again);
}

/* Does the run name each bad access by itself? The variable is what switches that on. */
static bool accesses_are_named(void)
{
    if (!PK_CLI_ALWAYS_CHECKED)
        return false;
    const char *check = getenv("PK_CPU_CHECK");
    return check && !strcmp(check, "1");
}

/* The harness has reported it: a call failed, or a kernel did. */
static void say_after_fault(const situation *now, const char *again)
{
    const cli_point *point = first_with(now->result, "fault");
    const char *said = point ? point->reason : now->result ? now->result->note : "";
    char *section = section_in(said), *then;
    if (!section)
        then = cli_format("See the section of docs/troubleshooting.md that the message names");
    else if (!strcmp(section, "docs/troubleshooting.md#illegal-address") && accesses_are_named())
        then = cli_format("The first line with `check:` says what and where; see %s", section);
    else if (!strcmp(section, "docs/troubleshooting.md#illegal-address"))
        then =
            cli_format("Try ./lab --backend=cpu-checked %s, which names the access, where the CPU device can run it; "
                       "see %s",
                       again, section);
    else
        then = cli_format("See %s", section);
    say_bad_point(now, point, "faults", then);
    free(then);
    free(section);
}

static void say_after_signal(const char *again, int killed_by)
{
    if (killed_by == SIGSEGV || killed_by == SIGBUS)
        cli_say(
            2,
            "Next: ./lab --backend=cpu-checked %s names the access if it is a kernel's, ./lab --backend=cpu-asan %s "
            "if it is the host's",
            again, again);
    else if (killed_by == SIGKILL)
        cli_say(2, "Next: if nobody ended it, memory was out (dmesg says so): ./lab %s with smaller sizes, see --help",
                again);
    else
        cli_say(2, "Next: what it said last, above; ./lab --backend=cpu-asan %s may say more", again);
}

static void say_after_hang(const situation *now)
{
    say_bad_point(now, first_with(now->result, "timeout"), "hangs", HANG);
}

/* Which of the student's files ended the process is not known. */
static void say_after_own_end(const cli_lab *lab)
{
    char *files = cli_student_files(lab);
    cli_say(2, "Next: what it said last, above; if nothing, take what ends the process out of %s: a variant returns",
            files);
    free(files);
}

/* It ended without a verdict on the results, or missed a target. */
static void say_after_end(const situation *now, const char *again, const cli_end *end)
{
    if (end->killed_by)
        say_after_signal(again, end->killed_by);
    else if (end->code == pk_exit_code(PK_FAULT) && !end->reported)
        say_after_own_end(now->lab);
    else if (end->code == pk_exit_code(PK_FAULT))
        say_after_fault(now, again);
    else if (end->code == pk_exit_code(PK_TIMEOUT))
        say_after_hang(now);
    else if (end->code == pk_exit_code(PK_MISSED))
        cli_say(2, "Next: what limits it is in the notes, solutions/%s/NOTES.md; ./lab solution %s shows one way",
                now->lab->name, now->lab->number);
    else if (end->code == pk_exit_code(PK_INTERRUPTED))
        cli_say(2, "Next: ./lab %s again", again);
}

/* The student's files that were edited meanwhile, or came back with an old time, from a copy for instance, and were not
 * built again. */
static cli_names with_other_text(const situation *now)
{
    cli_names files = {NULL, 0};
    for (size_t i = 0; now->result && now->result->step_count && i < now->steps->count; i++) {
        const pk_step *step = &now->steps->steps[i];
        if (!step->lost && !cli_has_text(now->result, step) && !cli_names_has(&files, step->file))
            cli_names_add(&files, step->file);
    }
    return files;
}

static void say_other_text(const cli_lab *lab, const cli_names *files, const char *again)
{
    char *names = cli_copy("", 0);
    for (size_t i = 0; i < files->count; i++) {
        char *path = cli_student_file(lab, files->names[i]);
        char *longer = cli_format("%s%s%s", names, i ? " " : "", cli_relative(path));
        free(path);
        free(names);
        names = longer;
    }
    cli_say(2, "%s %s another text than what was run.\nNext: touch %s, then ./lab %s", names,
            files->count > 1 ? "have" : "has", names, again);
    free(names);
}

void cli_advise_after_run(const cli_lab *lab, const cli_result *result, const char *again, const cli_end *end)
{
    pk_steps steps = cli_student_steps(lab);
    const situation now = {lab, result, &steps, NULL};
    const cli_point *wrong = first_wrong(result);
    cli_names other = with_other_text(&now);
    if (cli_lost_steps(&steps))
        cli_say_lost_steps(lab, &steps);
    else if (other.count)
        say_other_text(lab, &other, again);
    else if (wrong)
        say_wrong(&now, wrong);
    else if (end->code == pk_exit_code(PK_TODO))
        say_after_nothing(&now, again);
    else if (end->code == 0)
        say_after_pass(&now, again);
    else
        say_after_end(&now, again, end);
    say_not_checked(&now);
    cli_names_free(&other);
    pk_steps_free(&steps);
}

/* ---- after a test ---- */

/* What a program says of a variant: "pdl: wrong: ...", "... in variant 'pdl'"; CLI_FILLED_IN where it says neither. */
static cli_state said_state(const char *output, const char *variant)
{
    static const struct {
        const char *form;
        cli_state state;
    } known[] = {{"\n%s: wrong: ", CLI_WRONG},
                 {"\n%s: fault: ", CLI_FAULTS},
                 {"\n%s: timeout: ", CLI_HANGS},
                 {" in variant '%s'", CLI_HANGS}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *place = strstr(known[i].form, "%s");
        char *text = cli_format("%.*s%s%s", (int)(place - known[i].form), known[i].form, variant, place + 2);
        const bool said = strstr(output, text) != NULL;
        free(text);
        if (said)
            return known[i].state;
    }
    return CLI_FILLED_IN;
}

/* The first rung of the steps' that is said to be wrong; *rung is empty where none is. */
static cli_state first_said(const pk_steps *steps, const char *output, char rung[sizeof steps->steps->rungs])
{
    for (size_t i = 0; i < steps->count; i++)
        for (const char *at = steps->steps[i].rungs; *at; at += strspn(at, ", ")) {
            const size_t length = strcspn(at, ", ");
            memcpy(rung, at, length);
            rung[length] = '\0';
            const cli_state state = said_state(output, rung);
            if (state != CLI_FILLED_IN)
                return state;
            at += length;
        }
    rung[0] = '\0';
    return CLI_FILLED_IN;
}

void cli_advise_after_test(const cli_lab *lab, const char *test, const char *output)
{
    pk_steps steps = cli_student_steps(lab);
    const situation now = {lab, NULL, &steps, output};
    char rung[sizeof steps.steps->rungs], *section = section_in(output);
    char *again = cli_format("%s%s%sAgain: ./lab test -R '^%s$'", section ? "See " : "", section ? section : "",
                             section ? "\n" : "", test);
    const cli_state state = first_said(&steps, output, rung);
    if (cli_lost_steps(&steps))
        cli_say_lost_steps(lab, &steps);
    else if (*rung)
        say_bad_rung(&now, rung, state == CLI_WRONG ? "is wrong" : cli_state_word(state), again);
    else
        cli_say(2, "Next: what the test says above. %s", again);
    free(again);
    free(section);
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

/* As after a run: a step that nothing could check comes after all others; *here: it is none of those. */
static const pk_step *next_open_of(const situation *now, const cli_progress *progress, bool *here)
{
    *here = true;
    for (size_t i = 0; i < progress->steps.count; i++)
        if (progress->steps.steps[i].open && !is_skipped(progress, &progress->steps.steps[i]))
            return &progress->steps.steps[i];
    *here = false;
    return first_open(now, NULL);
}

/* The rung's last run, of which only the verdict is known. */
static void say_bad(const situation *now, const cli_rung *rung)
{
    static const char run_again[] = "See the section of docs/troubleshooting.md that a run of it names";
    say_bad_rung(now, rung->name, rung->state == CLI_WRONG ? "is wrong" : cli_state_word(rung->state),
                 rung->state == CLI_HANGS ? HANG : run_again);
}

static void say_all_filled_in(const situation *now, const cli_progress *progress)
{
    size_t first = 0;
    while (progress->states[first] != CLI_FILLED_IN)
        first++;
    char *options = cli_options_of(now->lab, &progress->steps.steps[first]);
    cli_say(2, "Every step of lab %s is filled in. Next: ./lab run %s%s%s", now->lab->number, now->lab->number,
            *options ? " " : "", options);
    free(options);
}

bool cli_advise(const cli_lab *lab, const cli_progress *progress)
{
    const situation now = {lab, NULL, &progress->steps, NULL};
    bool here;
    const pk_step *open = next_open_of(&now, progress, &here);
    const cli_rung *bad = first_bad(progress);
    bool something = true;
    say_never_checked(progress);
    if (cli_lost_steps(&progress->steps)) {
        cli_say_lost_steps(lab, &progress->steps);
    } else if (bad) {
        say_bad(&now, bad);
    } else if (open) {
        char *run = then_run(lab, open), *then = cli_format("%s%s", run, here ? "" : NOT_HERE);
        say_open(&now, open, then);
        free(then);
        free(run);
    } else if (cli_count_steps(progress, CLI_FILLED_IN)) {
        say_all_filled_in(&now, progress);
    } else {
        something = false;
    }
    return something;
}
