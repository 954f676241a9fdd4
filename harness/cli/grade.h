/* `grade`: what is known of submissions, and the parts that find it out. */
#ifndef CLI_GRADE_H
#define CLI_GRADE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"
#include "pk/steps.h"

typedef struct grade_rung {
    char *variant, *status;  /* a word of pk_status_word; "skipped" ones count neither way */
    char *reason;            /* NULL when it passed */
    double points;           /* 0 to 1 */
    double speed, low, high; /* the solution's time over this one's, and its 95% interval; NaN: not measured */
    int sizes, repetitions;
} grade_rung;

typedef struct grade_lab { /* one lab of a submission */
    const cli_lab *lab;
    const char *status; /* "graded", "refused", "no build", "not judged" or "not submitted" */
    char *reason;       /* of the middle three; else NULL */
    cli_names files;    /* those that were found, as the submission has them */
    char **texts;       /* [lab's files]: what is built */
    pk_steps steps;
    grade_rung *rungs; /* those that steps are for */
    size_t rung_count;
    double score;    /* 0 to 100 */
    int log_entries; /* -1: there is no log */
} grade_lab;

typedef struct grade_submission {
    char *folder, *name;
    grade_lab *labs;
    size_t lab_count;
} grade_submission;

typedef struct grade_run { /* a call of the command */
    uint64_t seed;
    double time_s;
    long long memory_mb;
    bool is_gpu;
    bool judge_failed; /* somewhere: "not judged" */
    char *device, *backend;
    char *not_confined; /* what the system did not allow; NULL: nothing, or not known */
    char *started_utc, *words;
    grade_submission *submissions;
    size_t count;
} grade_run;

/* ---- grade_files.c ---- */

/* Find the lab's files in the submission and take their steps; what is wrong with them stands in `graded`. */
void grade_take(grade_lab *graded, const char *folder);

/* ---- grade_build.c ---- */

/* Build the lab's program of these texts, look at what was compiled, and put it into `folder`; its path, or NULL with
 * status and reason in `graded`. PK_FAULT, with a message, where it is not the submission that fails. */
pk_status grade_build(const grade_run *run, grade_lab *graded, const char *folder, char **program);

/* ---- grade_judge.c ---- */

/* The rungs of the lab that steps are for, in order, each with what can be told before it runs: open ones are. */
pk_status grade_find_rungs(grade_lab *graded);

/* Have the rungs judged that are not yet. PK_FAULT as above. */
pk_status grade_judge(grade_run *run, grade_lab *graded, const char *program, const char *folder);

/* ---- grade_report.c ---- */
void grade_print(const grade_run *run);
pk_status grade_write(const grade_run *run, const char *path);

#endif
