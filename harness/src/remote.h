/* A worker process, as its judge sees it: confined, asked by messages, never believed. */
#ifndef PK_REMOTE_H
#define PK_REMOTE_H

#include <stdbool.h>
#include <stddef.h>

#include "exchange.h"
#include "pk/confine.h"
#include "run.h"
#include "wire.h"

enum { PK_REMOTE_OUTPUT = 1 << 20 /* bytes that a worker may print */ };

typedef struct pk_look { /* a message of PK_WIRE_LOOK */
    unsigned char *bytes;
    size_t count;
} pk_look;

typedef struct pk_remote {
    pk_confined process;
    int requests, replies, output; /* pipes */
    unsigned char *memory;         /* shared with the worker */
    size_t memory_bytes;
    double execute_s;   /* to wait for a repetition */
    char printed[1024]; /* the beginning of what it printed */
    size_t printed_bytes, printed_total;
    bool filtered;  /* pk_confine_self worked there */
    pk_look *looks; /* of the last repetition */
    size_t look_count;
} pk_remote;

/* One that was not started, or was ended: ending it does nothing. */
pk_remote pk_remote_none(void);

/* Start `program` as a worker on `variant`, for a bench that is set up: it is to lie like that one. `watchdog_s`: how
 * long a repetition may make no progress. PK_USAGE when it cannot be started. */
pk_status pk_remote_start(pk_remote *remote, const pk_confinement *limits, const char *program, const char *variant,
                          double watchdog_s, const pk_bench *bench);

/* Wait until it is prepared. Here and in what follows: what the worker says came of it, with its text and, for an open
 * step, which; PK_FAULT where it has ended, PK_TIMEOUT where it says nothing, PK_WRONG where it prints without end. */
pk_status pk_remote_prepared(pk_remote *remote, const pk_bench *bench, char *open_step, size_t bytes);

/* Tell it that the memory holds a repetition's beginning, these buffers of it, and wait until it has taken them. */
pk_status pk_remote_load(pk_remote *remote, pk_buffer_set buffers);

/* Let it execute. The looks are there then. */
typedef struct pk_remote_run {
    bool is_looked_at, is_counted;
    pk_buffer_set back;         /* that are to be given back */
    double elapsed_us;          /* from the request to the answer, by this process's clock */
    uint64_t launches, kernels; /* as wire.h has them */
    char open_step[32];
} pk_remote_run;
pk_status pk_remote_execute(pk_remote *remote, pk_remote_run *run);

/* Wait until the memory holds what came of it. */
pk_status pk_remote_results(pk_remote *remote);

/* End it, whatever it does. */
void pk_remote_end(pk_remote *remote);

#endif
