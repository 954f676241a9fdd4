/* Between a judge and the worker that runs a variant for it: messages on two pipes. The worker's side is not to be
 * believed: it is a process in which a submission runs. */
#ifndef PK_WIRE_H
#define PK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pk_status.h"

enum { PK_WIRE_REQUESTS = 3, PK_WIRE_REPLIES, PK_WIRE_MEMORY }; /* the worker's file descriptors */

typedef enum pk_wire_kind {
    /* to the worker */
    PK_WIRE_LOAD, /* pk_wire_request, as of the next: the memory holds a repetition's beginning, take it */
    PK_WIRE_GO,   /* execute */
    /* from the worker */
    PK_WIRE_HELLO,    /* pk_wire_hello: set up, with inputs that are no secret */
    PK_WIRE_PREPARED, /* pk_wire_outcome, as of all that follow */
    PK_WIRE_LOADED,
    PK_WIRE_LOOK,   /* while it executes: a token's number, 8 bytes, and what was peeked at for it */
    PK_WIRE_DONE,   /* executed */
    PK_WIRE_RESULTS /* and the memory holds what came of it */
} pk_wire_kind;

enum { PK_WIRE_MOST_BYTES = 1 << 16 }; /* of a message */

typedef struct pk_wire_head {
    uint32_t kind, bytes; /* of what follows */
} pk_wire_head;

typedef struct pk_wire_request {
    uint64_t buffers;      /* LOAD: that the memory holds; the others stay as they are. GO: that are given back there */
    uint32_t is_looked_at; /* GO: tell of each token */
    uint32_t is_counted;   /* GO: have the device count kernels */
} pk_wire_request;

typedef struct pk_wire_hello {
    uint64_t shape, bytes; /* of the memory, as exchange.h counts */
} pk_wire_hello;

typedef struct pk_wire_outcome {
    int32_t status;    /* a pk_status */
    int32_t filtered;  /* PREPARED: pk_confine_self did */
    uint64_t launches; /* DONE: by the launch macro */
    uint64_t kernels;  /* and by the device's own count, without those of graphs; UINT64_MAX: not known */
    char open_step[32];
    char text[1024];
} pk_wire_outcome;

/* False when it cannot be written. */
bool pk_wire_send(int file, pk_wire_kind kind, const void *data, size_t bytes);

/* All of `bytes`; false at the end of the file. */
bool pk_wire_read(int file, void *data, size_t bytes);

#endif
