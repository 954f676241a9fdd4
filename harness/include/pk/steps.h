/* The steps of a lab's student's files: what stands between a comment
 * "STEP lab04.2 for capture: record the decode step (about 8 lines)" and a comment "END lab04.2". */
#ifndef PK_STEPS_H
#define PK_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_source { /* a file and its text */
    const char *file;      /* its name without folders: "chain.cu" */
    const char *text;
} pk_source;

typedef struct pk_step {
    char id[32];       /* "lab01.2" */
    char file[64];     /* the name of the file that it is in */
    char title[160];   /* what the fence's comment says */
    char rungs[128];   /* the variants that stand on it, as the comment names them:
                          "stream, pdl", or "all rungs" */
    bool open;         /* nothing is there yet, or pk_todo is still called; false where a fence is lost */
    bool todo_left;    /* open, and only for the call of pk_todo that stands beside code */
    size_t begin, end; /* bytes of the file between the two fence comments */
    const char *lost;  /* the fence comment that is not there, "STEP" or "END"; NULL when both are */
    size_t line;       /* of the fence comment that is there, from 1; 0 when neither is */
    uint64_t digest;   /* FNV-1a of its text and of all that is outside the fences: another one in a version of the
                          file in which either has changed, whatever has become of the other steps */
} pk_step;

typedef struct pk_steps {
    pk_step *steps;
    size_t count;
} pk_steps;

/* The steps fenced in the texts of `count` files, by number. Ends the program when memory is out. */
pk_steps pk_find_steps(const pk_source *sources, size_t count);
void pk_steps_add(pk_steps *steps, const pk_step *step); /* keeps them by number */
void pk_steps_free(pk_steps *steps);

/* Does the variant stand on the step? The step's fence says so. */
bool pk_step_is_of(const pk_step *step, const char *variant);

/* The line, from 1, in which the step's closing fence is; 0 where there is none. */
size_t pk_step_end_line(const char *source, const char *id);

enum { PK_STEP_DIGEST_BYTES = 17 };
void pk_step_digest_text(char text[PK_STEP_DIGEST_BYTES], const pk_step *step); /* 16 hexadecimal digits */

#ifdef __cplusplus
}
#endif

#endif
