/* The outcomes that every part of the labs shares, and the exit codes that they become. */
#ifndef PK_STATUS_H
#define PK_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pk_status {
    PK_OK = 0,     /* ran, and what could be checked was right */
    PK_WRONG,      /* ran, and the result, order or count is wrong */
    PK_USAGE,      /* the request cannot be met: option, size, file */
    PK_FAULT,      /* the device or its runtime reported an error, or host memory ran out */
    PK_TIMEOUT,    /* the watchdog ended it */
    PK_MISSED,     /* right, but a speed target was not reached */
    PK_TODO,       /* a step of the lab is still open */
    PK_SKIP,       /* this device cannot run it; the reason is recorded */
    PK_INTERRUPTED /* ended by SIGINT or SIGTERM */
} pk_status;

/* The process exit code for a status: 0 pass, 1 wrong, 2 usage, 3 device fault, 4 watchdog,
 * 5 target missed, 77 open or skipped, 130 interrupted. */
int pk_exit_code(pk_status status);

/* "pass", "wrong", "usage", "fault", "timeout", "missed", "todo", "skipped", "interrupted": the word that
 * tables and result files use. */
const char *pk_status_word(pk_status status);

/* Where several parts of a run end differently, the one that names the run: a fault outranks a timeout,
 * which outranks an interruption, a wrong result, a usage error, a missed target, an open step, a skip, a pass. */
pk_status pk_status_worse(pk_status a, pk_status b);

/* The message of the last failure on this thread: one line, what was tried, what happened and what to do.
 * Owned by the library, valid until the next failure on the thread; "" when there was none. */
const char *pk_error_text(void);

/* Record a failure's message (printf form) and return `status`, so that a caller writes
 * `return pk_fail(PK_USAGE, "...")`. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
pk_status
pk_fail(pk_status status, const char *format, ...);

/* Host memory ran out: record that, and what to do, and return PK_FAULT. `who` had none: "lab01", a file's path. */
pk_status pk_out_of_memory(const char *who);

#ifdef __cplusplus
}
#endif
#endif
