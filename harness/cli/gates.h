/* Gates: what must hold of a change before it is promoted, read from a small text file (docs/gates.md). */
#ifndef CLI_GATES_H
#define CLI_GATES_H

#include "cli.h"

typedef enum gate_form {
    GATE_BEFORE_OVER_AFTER, /* "before/after": how many times less it has become */
    GATE_CHANGE,            /* "change%": from BEFORE to AFTER, in percent of BEFORE */
    GATE_ADDED,             /* "after-before": what AFTER has more */
    GATE_AFTER,             /* "after": AFTER's own */
    GATE_AFTER_OVER         /* "after/NAME": AFTER's own over another figure of AFTER's */
} gate_form;

typedef enum gate_relation { GATE_AT_LEAST, GATE_AT_MOST, GATE_EQUAL } gate_relation;

typedef struct gate_condition { /* "prompt>=8192" */
    char *knob, *value;
    gate_relation relation;
} gate_condition;
enum { GATE_MOST_CONDITIONS = 8 };

typedef struct cli_gate {
    char *name;   /* free text, harmless on a terminal */
    char *figure; /* "launches", "time", "memory", "held-bytes", or what a lab records under a name of its own */
    gate_form form;
    char *over;             /* of GATE_AFTER_OVER; else NULL */
    gate_relation relation; /* never GATE_EQUAL */
    double limit;
    char *limit_text; /* the number as it was written */
    gate_condition conditions[GATE_MOST_CONDITIONS];
    size_t condition_count; /* none: it is about the default point */
} cli_gate;

typedef struct gate_list {
    cli_gate *gates;
    size_t count;
} gate_list;

/* PK_USAGE, naming the file, the line and what to write instead, when it is no file of gates; `list` is then empty. */
pk_status gates_load(gate_list *list, const char *path);
void gates_free(gate_list *list);

/* "where work=decode prompt>=8192" in new memory; "" without conditions. */
char *gate_where(const cli_gate *gate);

#endif
