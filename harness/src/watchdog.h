/* What ends a run that hangs, and Ctrl-C. */
#ifndef PK_WATCHDOG_H
#define PK_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>

#include "pk_status.h"

typedef struct pk_watchdog_calls {                    /* all on the watchdog's thread */
    void (*give_up)(pk_status why, const char *text); /* ends the process */
    void (*describe)(char *text, size_t bytes);       /* what the work that hangs holds; "" when that is not known */
    const char *slow;                                 /* a line for a run that lasts long; NULL: none */
} pk_watchdog_calls;

/* Start the thread that owns SIGINT and SIGTERM. Before any other thread starts, so that all inherit the mask. */
pk_status pk_watchdog_start(double seconds, const pk_watchdog_calls *calls);
void pk_watchdog_stop(void);
void pk_watchdog_progress(const char *what); /* something moved: start counting again */
bool pk_interrupted(void);                   /* SIGINT or SIGTERM arrived */

#endif
