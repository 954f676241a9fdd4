/* The work log of a lab, logs/labNN.md: what was expected of a change, and what came of it. Plain Markdown, which its
 * student may edit: an entry is a "## " heading and what follows it; a field is a line "- Name: text", and further
 * lines of it are indented by two blanks. */
#ifndef CLI_WORKLOG_H
#define CLI_WORKLOG_H

#include "results.h"

typedef enum work_field {
    WORK_MEASURED,   /* the student's newest timed result when the entry was written */
    WORK_HYPOTHESIS, /* in the student's words: what was changed, and what is expected of it */
    WORK_CHANGE,     /* which steps have another text than in the result before */
    WORK_COMMAND,
    WORK_RESULT,
    WORK_VERDICT,
    WORK_FIELDS
} work_field;

typedef struct work_entry {
    char *when;                /* the heading: "2026-03-01T000000Z" */
    char *fields[WORK_FIELDS]; /* "" where there is none */
    size_t begin, end;         /* of the entry, in bytes of the file */
} work_entry;

typedef struct work_log {
    char *path;
    char *text; /* NULL where there is no file */
    work_entry *entries;
    size_t count;
} work_log;

/* PK_USAGE, naming the file, where one is there and cannot be read as text. To be freed in any case. */
pk_status work_log_read(work_log *log, const cli_lab *lab);
void work_log_free(work_log *log);

/* Append an entry that the next run fills in. PK_USAGE where the file cannot be read or written, which is then as it
 * was. */
pk_status work_log_add(const cli_lab *lab, const char *hypothesis);

/* After a run of the student's program: fill in the log's last entry, if none has, and say so in a line. `result` may
 * be NULL; `again` makes the run: "run 01 --n=4". A log that cannot be written is warned of, and changes nothing else.
 */
void work_log_fill(const cli_lab *lab, const cli_result *result, const char *again, const cli_end *end);

#endif
