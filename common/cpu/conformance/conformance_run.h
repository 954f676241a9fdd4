/* The frame of the conformance programs, host side: cases, their results, and the loop that runs them in child
 * processes, so that a case that faults, hangs or kills its context costs nothing but itself. */
#ifndef CONFORMANCE_RUN_H
#define CONFORMANCE_RUN_H

#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cf_case {
    const char *name;
    pk_status (*body)(void);
    int alone;            /* it leaves the device unusable: it gets a process of its own */
    struct cf_case *next; /* in the order of the source */
} cf_case;

void cf_register(cf_case *one);

/* Runs the registered cases as the command line asks. `settle` ends a case: it waits for the device, releases what
 * the case holds and returns what is wrong with the device, or null. Returns the exit code. */
int cf_main(int argc, char **argv, const char *concern, const char *(*settle)(void));

/* A case has failed; it goes on, and more than one failure may be recorded. */
void cf_failed(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Record a value that the documentation leaves open, under a name that is unique in the case. */
void cf_observe(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));

void cf_expect_equal(long long got, long long want, const char *text, const char *file, int line);

void cf_sleep_ms(unsigned ms);

#ifdef __cplusplus
}
#endif
#endif
