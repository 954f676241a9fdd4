/* What a report is made of: cmd_report.c chooses results and writes the pages, report_tables.c has the tables of times,
 * report_facts.c what else a result file tells, report_models.c what was predicted, report_pages.c a whole report
 * around them. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "page.h"
#include "results.h"

/* ---- report_tables.c ---- */

/* A result as `./lab report` prints it: heading, run, the default point's table, with `all` that of every point. */
void report_result(page *to, const cli_result *result, bool all);

/* Its parts, for a whole report. */
void report_points(page *to, const cli_result *result, bool all); /* with predictions, and where each was measured */
void report_reasons(page *to, const cli_result *result);          /* why the default point's did not pass */
void report_beside(page *to, const cli_result *result);           /* what evidence.txt says beside them */
char *report_number(const char *format, double value);            /* "-" where it is not known; in new memory */

/* At the default point: the fastest of the ladder by its paired speedup, and what that is over; NULL where there is
 * none. */
const cli_point *report_best_rung(const cli_result *result);
const cli_point *report_baseline(const cli_result *result);

/* ---- report_facts.c: from the file itself ---- */

typedef struct report_files {
    cli_result *results; /* [count], each with what was joined to it */
    cli_groups groups;   /* the files that they are of */
    size_t count;
} report_files;

/* Load a group and put it behind the others. */
pk_status report_add_group(report_files *files, const cli_together *group);
void report_free_files(report_files *files);

void report_runs(page *to, const report_files *files);     /* which commands, from which source */
void report_machines(page *to, const report_files *files); /* host, device, compilers; the limits of each run */
void report_verified(page *to, const char *path);          /* what was compared with the reference */
void report_targets(page *to, const char *path);
void report_analysis(page *to, const char *path); /* the lab's own figures, and lines through its points */

/* ---- report_models.c ---- */

/* What calibration.json in the folder says, and what the labs' models predict from it; nothing without one. */
void report_calibration(page *to, const report_files *files, const char *folder);

/* ---- report_pages.c ---- */

typedef struct report_wanted {
    bool html, markdown;
    bool all;
    bool stored; /* of the repository's results: figures as they lie in the folder, and nobody's work log */
    const char *folder;
    const char *command; /* "./lab report results/...": how to get it again */
} report_wanted;

/* The work logs of the labs that it is about, under a heading where there are any. One that cannot be read is said, and
 * ends nothing. */
void report_logs(page *to, const report_files *files);

page *report_page(const report_files *files, const report_wanted *wanted);
char *report_text(const page *from, bool html); /* in new memory; NULL after pk_fail */

/* Write report.html and report.md with its figures into the folder, and say so. */
pk_status report_write(const report_files *files, const report_wanted *wanted);

#endif
