/* Statuses as exit codes, words and ranks, and the message of a thread's last failure. */
#include "pk_status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Indexed by pk_status. A larger rank names the run. */
static const struct {
    const char *word;
    int exit_code, rank;
} statuses[] = {
    [PK_OK] = {"pass", 0, 0},
    [PK_WRONG] = {"wrong", 1, 5},
    [PK_USAGE] = {"usage", 2, 4},
    [PK_FAULT] = {"fault", 3, 8},
    [PK_TIMEOUT] = {"timeout", 4, 7},
    [PK_MISSED] = {"missed", 5, 3},
    [PK_TODO] = {"todo", 77, 2},               /* 77: CTest's and Automake's usual code for a test that did not apply */
    [PK_SKIP] = {"skipped", 77, 1},            /* likewise */
    [PK_INTERRUPTED] = {"interrupted", 130, 6} /* 128 + SIGINT, as a shell reports it */
};

static _Thread_local char error_text[2048];

int pk_exit_code(pk_status status)
{
    return statuses[status].exit_code;
}

const char *pk_status_word(pk_status status)
{
    return statuses[status].word;
}

pk_status pk_status_worse(pk_status a, pk_status b)
{
    return statuses[b].rank > statuses[a].rank ? b : a;
}

const char *pk_error_text(void)
{
    return error_text;
}

pk_status pk_fail(pk_status status, const char *format, ...)
{
    /* Formatted apart: an argument may be pk_error_text() itself. */
    char text[sizeof error_text];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(error_text, text, strlen(text) + 1);
    return status;
}

pk_status pk_out_of_memory(const char *who)
{
    return pk_fail(PK_FAULT,
                   "%s: out of host memory: end what else takes it, raise the limit (ulimit -v), or ask for smaller "
                   "sizes or a shorter run (docs/troubleshooting.md#out-of-memory)",
                   who);
}
