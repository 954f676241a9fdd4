/* What the commands of pk-lab share: where things are, options, labs, child programs, result files.
 * Every command is `int cmd_name(int argc, char **argv)`, argv[0] its name; it returns the exit code. */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "pk/steps.h"
#include "pk_status.h"

enum { CLI_WIDTH = 80 }; /* columns that every table and every line of prose fits */

/* ---- main.c: where things are ---- */

/* The source and build folders that the program was built from and in. The environment variables PK_LAB_SOURCE
 * and PK_LAB_BUILD override them, so that tests can point it at fixtures. */
const char *cli_source(void);
const char *cli_build(void);

/* ---- text.c ---- */

/* printf into new memory, which the caller frees. Ends the program when memory is out, as all allocation here. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
char *
cli_format(const char *format, ...);
void *cli_grow(void *memory, size_t count, size_t element_bytes); /* realloc, never NULL */
char *cli_copy(const char *text, size_t length);

/* The whole file as a string, or NULL with errno set. The caller frees it. */
char *cli_read_file(const char *path);
char *cli_read_bytes(const char *path, size_t *bytes); /* the same, and how many bytes stand before its final NUL */
bool cli_exists(const char *path);
bool cli_is_folder(const char *path);
char *cli_folder_of(const char *path); /* that a file is in, "." for a bare name; in new memory */

/* A list of strings that it owns. */
typedef struct cli_names {
    char **names;
    size_t count;
} cli_names;
void cli_names_add(cli_names *list, const char *name);
bool cli_names_has(const cli_names *list, const char *name);
void cli_names_sort(cli_names *list);
void cli_names_free(cli_names *list);

/* Names in a folder that begin with `prefix` and end with `suffix`, sorted. Empty when there is no such folder. */
cli_names cli_list_folder(const char *folder, const char *prefix, const char *suffix);

/* "2026-01-31T235959Z" for now: a name that sorts by time. */
void cli_utc_name(char *text, size_t bytes);

/* The columns that prose may take: the terminal's on standard output when it has fewer than CLI_WIDTH. */
size_t cli_width(void);

/* Write a text broken at its blanks to `width` columns, further lines of a paragraph indented by `indent`, and end it
 * with a newline. A word that is wider, a path mostly, stays whole. */
void cli_wrap(FILE *out, size_t width, size_t indent, const char *text);

/* printf to standard output, as cli_wrap does at cli_width(). */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void
cli_say(size_t indent, const char *format, ...);

/* `lab: <the last failure's message>` on stderr; the exit code for `status`. */
int cli_failed(pk_status status);

/* ---- options.c ---- */

typedef struct cli_option {
    const char *name;   /* "--out" */
    const char **value; /* where the option's value goes; NULL for a flag */
    bool *flag;         /* set when a flag is there; NULL for an option with a value */
} cli_option;

/* Read --name=VALUE, --name VALUE and flags; everything else goes to `words` (at most `word_limit`, counted in
 * `*word_count`). PK_USAGE, with the nearest name, for an option that is not in the list. */
pk_status cli_parse(int argc, char **argv, const cli_option *options, size_t option_count, const char **words,
                    size_t word_limit, size_t *word_count);

/* The value of "--name=VALUE" or of "--name VALUE", `next` being the word after the argument; NULL when the argument is
 * another. For commands that hand all other words on. */
const char *cli_value_of(const char *name, const char *argument, const char *next);

/* Ask on the terminal; true when stdin is none, since nobody is there to answer. */
bool cli_confirm(const char *question);

/* ---- labs.c ---- */

typedef struct cli_lab {
    char number[8]; /* "01" */
    char id[16];    /* "lab01" */
    char *name;     /* "lab01_launches" */
    char *title;    /* the first heading of its page; its name when it has none */
} cli_lab;

typedef struct cli_labs {
    cli_lab *labs;
    size_t count;
} cli_labs;

cli_labs cli_find_labs(void);
void cli_labs_free(cli_labs *labs);

/* "1", "01", "lab01" or "lab01_launches"; NULL after pk_fail, which names the labs or the nearest one. */
const cli_lab *cli_lab_named(const cli_labs *labs, const char *word);

/* Has the lab its solution here? In a course pack none has. */
bool cli_has_solution(const cli_lab *lab);

/* The names of a lab's student's files: optimized.cu, then the further .cu files that its solution has, in the order in
 * which their steps are numbered. */
cli_names cli_lab_files(const cli_lab *lab);
char *cli_student_file(const cli_lab *lab, const char *file);  /* labs/labNN_name/FILE; the caller frees it */
char *cli_solution_file(const cli_lab *lab, const char *file); /* solutions/labNN_name/FILE */
const char *cli_relative(const char *path);                    /* without the source folder in front, for messages */

/* The student's files as a reader names them: "labs/lab05_name/optimized.cu, labs/lab05_name/chain.cu". */
char *cli_student_files(const cli_lab *lab);

/* The steps that are marked in the student's files; with those that are lost there but are in the solution's. */
pk_steps cli_marked_steps(const cli_lab *lab);
pk_steps cli_student_steps(const cli_lab *lab);

size_t cli_open_steps(const pk_steps *steps);
size_t cli_lost_steps(const pk_steps *steps);

/* Say which fences are lost, and how to mend them; nothing when all are there. */
void cli_say_lost_steps(const cli_lab *lab, const pk_steps *steps);

/* ---- variants.c ---- */

typedef struct cli_variant {
    const char *role, *name, *summary; /* role: "baseline" or "ladder" */
    const char *options;               /* that pose the problem which it solves: "--work=chain"; "" for the defaults */
} cli_variant;

typedef struct cli_variants {
    cli_variant *variants;
    char *text; /* what they point into */
    size_t count;
} cli_variants;

/* Those of the lab's program of that role, "optimized" or "solution"; none when it is not built. */
cli_variants cli_variants_of(const cli_lab *lab, const char *role);
void cli_variants_free(cli_variants *all);

/* The options under which the rungs that stand on the step run: "--work=chain", or "". In new memory. */
char *cli_options_of(const cli_lab *lab, const pk_step *step);

/* ---- process.c ---- */

/* Run a program on this terminal until it ends; pass signals on; kill it if it outlives one by 10 s. Its exit
 * code, 130 when it was interrupted, 3 when a signal killed it otherwise, 2 when it cannot be started. */
int cli_run(char *const argv[]);

typedef struct cli_end {
    int code;      /* the exit code */
    bool reported; /* its harness has, to the end */
    int killed_by; /* a signal; 0: none */
} cli_end;

/* The same for a lab's program: one that ends before its harness has reported has failed, whatever its exit code. */
cli_end cli_run_lab(char *const argv[]);

/* Run a program quietly; *output is what it wrote on stdout and stderr together (the caller frees it). Its exit
 * code, or -1 when it cannot be started. Found through PATH when the name has no slash. */
int cli_capture(char *const argv[], char **output);

/* The same for a lab's program, as cli_run_lab. */
int cli_capture_lab(char *const argv[], char **output);

/* The full path of a program on PATH, or NULL. The caller frees it. */
char *cli_find_program(const char *name);

/* ---- commands ---- */
int cmd_list(int argc, char **argv);
int cmd_status(int argc, char **argv);
bool cli_wants_explore(int argc, char **argv); /* cmd_explore, not cmd_run */
int cmd_explore(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_asm(int argc, char **argv);
int cmd_demo(int argc, char **argv);
bool cli_demo_is_full(int argc, char **argv); /* argv[0] is the command */
int cmd_targets(int argc, char **argv); /* what ./lab has to build for the command line that follows, a line each */
int cmd_hint(int argc, char **argv);
int cmd_solution(int argc, char **argv);
int cmd_reset(int argc, char **argv);
int cmd_plot(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_index(int argc, char **argv);
int cmd_gate(int argc, char **argv);
int cmd_grade(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_cc(int argc, char **argv);
int cmd_model(int argc, char **argv);
int cmd_log(int argc, char **argv);
int cmd_profile(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_predict(int argc, char **argv);
int cmd_calibrate(int argc, char **argv);
bool cli_calibrates_now(int argc, char **argv); /* not: shows a file; argv[0] is the command */

/* Run a lab's program with these arguments (--baseline and --solution choose it), with `extra` behind them where it is
 * not NULL, and say what is next. `again`: the command that would make the same kind of run; NULL: this very one. The
 * exit code. */
int cli_run_of(const cli_lab *lab, int argc, char **argv, char *extra, const char *again);

/* The library that `cc` links for its arguments; NULL when they are wrong. */
const char *cli_cc_target(int argc, char **argv);

/* Draw the figures of one result file into `folder` and name them; cmd_plot and cmd_demo. */
pk_status cli_plot(const char *result_path, const char *folder);

#endif
