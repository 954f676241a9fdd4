/* Result files as the commands read them back (harness/schema/result.v1.json). Unknown numbers are NaN. */
#ifndef CLI_RESULTS_H
#define CLI_RESULTS_H

#include "cli.h"
#include "pk/stats.h"

enum { CLI_MOST_KNOBS = 32 /* more than any lab has; a file with more is refused */ };

typedef struct cli_samples {
    double *values; /* oldest first, in microseconds */
    size_t count;
    double median, p10, p90, p99;
} cli_samples;

typedef struct cli_phase { /* a part of prepare that the variant timed */
    char *name;            /* "capture" */
    double us;             /* NaN where the file has no number */
} cli_phase;

typedef struct cli_measure { /* what the lab says of a variant's result, by its own name */
    char *name;              /* "logits-l2" */
    double value;            /* NaN where the file has no number */
} cli_measure;

typedef struct cli_point { /* one variant at one set of knobs */
    char *variant, *role, *cache, *status;
    char *peer;      /* the program of another file that it comes from (cli_result_join); "" for the result's own */
    char *reason;    /* "" when it passed */
    char *open_step; /* "lab01.3" when that step is still open; else "" */
    bool is_default; /* of the default point: the knobs of the file's first results, measured first */
    bool is_repeat;  /* an earlier result is of the same variant, cache state and knobs: the sweep's own */
    double knobs[CLI_MOST_KNOBS];
    cli_samples wall; /* a repetition */
    cli_samples token;
    double graph_replays_per_token, held_bytes;
    cli_measure *measures; /* [measure_count] in the order of the file */
    size_t measure_count;
    /* Times and what is made of them are known only of a result that passed. */
    double tokens, us_per_token, gb_per_s, percent_of_read_limit, launches_per_token;
    double bytes_per_token, flops_per_token; /* that must move and be done at least, as the lab has them */
    double speedup, speedup_low, speedup_high;
    double predicted_us_per_token;
    double submit_us_per_token; /* the host inside the calls that hand work over, median */
    double first_execute_us;    /* the first repetition: a first launch, where a repetition is one */
    double worst_error;         /* of an output, absolute; NaN where the file does not say */
    cli_phase *phases;          /* [phase_count] in the order of the file */
    size_t phase_count;
} cli_point;

typedef struct cli_fit {
    char *name;
    double intercept, slope;
} cli_fit;

typedef struct cli_target { /* of the lab, as this run has it */
    char *subject;          /* the variant or the figure that it is of */
    double wanted;
    bool is_speedup;     /* the subject is a variant, and its speedup at least the wanted one */
    bool judged, passed; /* times are judged on a GPU at the default sizes */
} cli_target;

typedef struct cli_step_text { /* which text of a step was run */
    char *id, *digest;         /* as pk_step_digest_text gives it */
} cli_step_text;

typedef struct cli_limit {
    const char *name; /* "launch_us": the field's name in the file */
    double median;
} cli_limit;
enum { CLI_LIMITS = 4 };

typedef struct cli_published { /* what somebody else tells of the lab's problem, unchecked (evidence.h) */
    char *name;
    double us_per_token;
    char *source;
} cli_published;

typedef struct cli_result {
    char *path, *lab, *title, *program, *started_utc, *status, *note;
    char *seed, *driver, *toolkit, *device_compiler, *flags;
    char *os, *cpu; /* of the host */
    char *backend, *kind, *device, *arch;
    char *elsewhere; /* where it was measured and who says so; "" where evidence.txt says nothing */
    cli_published *published;
    size_t published_count;
    cli_names remarks; /* what else evidence.txt says of it */
    bool is_quick;     /* smoke shapes: `--quick` */
    double processors;
    char *knob_names[CLI_MOST_KNOBS];
    cli_names knob_choices[CLI_MOST_KNOBS]; /* what the numbers 0, 1, ... stand for; empty for a knob of numbers */
    size_t knob_count;
    cli_limit limits[CLI_LIMITS];
    cli_point *points;
    size_t point_count;
    cli_fit *fits;
    size_t fit_count;
    cli_target *targets;
    size_t target_count;
    cli_step_text *steps; /* none in files of programs that have none, and in those from before they were recorded */
    size_t step_count;
    cli_names peers, peers_started_utc; /* of the files that were joined: their programs, and when each ran */
} cli_result;

/* Read one file. PK_USAGE, naming the file and what is wrong with it, when it is no result file of version 1, or one
 * that no lab wrote: names must be names (quote.h), and all other text comes without what could drive a terminal. */
pk_status cli_result_load(cli_result *result, const char *path);

/* Take the result back: its status is "withdrawn" for that reason, and it has no time. */
void cli_point_withdraw(cli_point *point, const char *reason);
void cli_result_free(cli_result *result);

/* Put the variants of `peer`, another program's result of the same lab on the same device, beside those of `result`:
 * its points follow the result's own, without their speedups, which are against another baseline in another process.
 * Takes the points out of `peer`, which stays to be freed. PK_USAGE, naming both files, where lab or device differ, or
 * where both have the same variant. */
pk_status cli_result_join(cli_result *result, cli_result *peer);

/* Append "what (a, b)" to the list in `*list`, in new memory, unless a and b are the same. */
void cli_note_difference(char **list, const char *what, const char *a, const char *b);

bool cli_same_knob_names(const cli_result *a, const cli_result *b);

bool cli_passed(const cli_point *point);

bool cli_same_knobs(const cli_result *result, const double *a, const double *b);

/* A knob's value as an option has it, "1024", "0.5" or "dense", in new memory. */
char *cli_knob_text(const cli_result *result, size_t knob, double value);

/* "n=1024 k=150 tokens=8" in new memory. */
char *cli_knobs_text(const cli_result *result, const double *knobs);

/* "prompt=8192 work=prefill": the knobs that are not the default point's; "" where all are. In new memory. */
char *cli_knobs_apart(const cli_result *result, const cli_point *point);

/* The set of knobs that tables and bars show: the default point's, which is first in the file. NULL without results. */
const cli_point *cli_headline(const cli_result *result);

/* Were more points measured than the default one? */
bool cli_has_sweep(const cli_result *result);

/* Is the run of the student's program: neither the solution's nor the baseline's? */
bool cli_is_students(const cli_result *result);

bool cli_is_cpu_device(const cli_result *result);

/* Was this text of the step run, in these surroundings? */
bool cli_has_text(const cli_result *result, const pk_step *step);

/* ---- progress.c ---- */

/* Of a step: what its text says, and then what came of that text when it was run. */
typedef enum cli_state {
    CLI_DAMAGED, /* a fence is lost */
    CLI_OPEN,
    CLI_TODO_LEFT, /* open, but for the call of pk_todo beside its code */
    /* No rung that stands on it was judged since its text or what is outside the fences changed, or none can be:
     * another step of it is open. */
    CLI_FILLED_IN,
    CLI_NOT_CHECKED, /* its rungs were skipped: the device cannot run them */
    CLI_HANGS,       /* a rung that stands on it did, and none has passed; likewise the next two */
    CLI_FAULTS,
    CLI_WRONG,
    CLI_PASSED
} cli_state;

typedef struct cli_rung { /* a variant of the student's, run with its steps as they are now */
    char *name;
    cli_state state; /* CLI_NOT_CHECKED and up */
} cli_rung;

typedef struct cli_progress { /* in one lab */
    pk_steps steps;
    cli_state *states; /* [steps.count] */
    cli_rung *rungs;
    size_t rung_count;
} cli_progress;

/* By the student's files, and by the newest results of the student's program that are of these files' steps: a rung's
 * verdict stands until one of its steps, or what is outside the fences of their file, changes. */
cli_progress cli_progress_of(const cli_lab *lab);
void cli_progress_free(cli_progress *progress);
size_t cli_count_steps(const cli_progress *progress, cli_state state); /* how many are in that state */
const char *cli_state_word(cli_state state);

/* ---- pages.c ---- */

/* Where a page explains the step, "labs/lab01_name/README.md#stream-lab011": the first section below the page's own
 * heading that names it, in README.md or in a further part beside it. The page alone where none does. In new memory. */
char *cli_section_of(const cli_lab *lab, const char *step_id);

typedef struct cli_minutes {
    double all;  /* what the pages of the lab say at their beginnings, "About four hours: ..."; 0: they do not */
    double left; /* each page's by its share of steps that have not passed, and could here */
} cli_minutes;
cli_minutes cli_minutes_of(const cli_lab *lab, const cli_progress *progress);

/* ---- cmd_check.c ---- */

/* CTest's tests of the student's program, a line each, up to the first that fails; 0, or the exit code of a wrong
 * result after what is to be done. */
int cli_run_students_tests(const cli_lab *lab);

/* After a run of the student's program on a GPU: run the solution at the same knobs, and print how the rungs of both
 * compare. Nothing on the CPU device, whose times are no GPU's. */
void cli_compare_with_solution(const cli_lab *lab, const cli_result *yours);

/* ---- advice.c ---- */

/* Say where to go after a run of the student's program, in a line that begins with "Next:": lost fences, the hints of a
 * wrong variant, a rung's first open step, what judges the speed, the next lab, what a fault or a hang asks for; and
 * which steps this device does not check. `result` may be NULL; `again` makes the run: "run 01 --n=4". */
void cli_advise_after_run(const cli_lab *lab, const cli_result *result, const char *again, const cli_end *end);

/* The same after a test of the student's program that failed and said `output`: the rung that it names. */
void cli_advise_after_test(const cli_lab *lab, const char *test, const char *output);

/* Say what is next in the lab, and which steps no run has checked for want of a device; false when nothing is next. */
bool cli_advise(const cli_lab *lab, const cli_progress *progress);

/* ---- where results are: results/<utc>-<device>/labNN.json; folder names sort by time ---- */

/* Show `visit` a lab's results of the student's program, newest first, until it returns true or none is left. */
void cli_visit_students(const char *lab_id, bool (*visit)(const cli_result *result, void *context), void *context);

/* The newest result file of one lab ("lab01") that `wanted` (NULL: any) is true of, or NULL. The caller frees it. */
char *cli_newest_result(const char *lab_id, bool (*wanted)(const cli_result *result));

/* Which of a lab's results a command shows that was given none: the newest full run of the student's program that has
 * times; where there is none, the newest quick one; then those without times; then the solution's, likewise; then any.
 * Both NULL where there are no results. */
typedef struct cli_choice {
    char *path;
    char *said; /* a line: which run, whose, when, and what else there was that is newer or worth as much */
} cli_choice;
cli_choice cli_choose_result(const char *lab_id);
void cli_choice_free(cli_choice *choice);
pk_status cli_no_results(void); /* PK_USAGE, and how to make some */

/* Result files that stand in the same tables and figures: one is the lab's own, the others are joined to it. */
typedef cli_names cli_together;
enum { CLI_MOST_FILES = 16 /* of one command: a lab's own and what others measured */ };

typedef struct cli_groups {
    cli_together *groups;
    size_t count;
} cli_groups;

/* The result files that the words (one at least) mean: one group of files; or all in a folder, where labNN-*.json
 * belong to labNN.json. PK_USAGE when there are none. */
pk_status cli_result_groups(const char *const *words, size_t word_count, cli_groups *groups);
void cli_groups_add(cli_groups *groups, const char *path);        /* a group of that file */
void cli_groups_add_beside(cli_groups *groups, const char *path); /* with the labNN-*.json that stand beside it */
void cli_groups_free(cli_groups *groups);

/* Load a group's file of the lab's own program, or else its first, and join the others to it. */
pk_status cli_result_load_group(cli_result *result, const cli_together *group);

#endif
