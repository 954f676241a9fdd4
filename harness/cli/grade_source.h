/* What is taken of a submission's file: the text between its fences, if it keeps to rules that can be read off it. */
#ifndef CLI_GRADE_SOURCE_H
#define CLI_GRADE_SOURCE_H

#include <stddef.h>

#include "pk/steps.h"
#include "pk_status.h"

/* Put the steps of `theirs` into `ours`, the solution's file, which is the same outside the fences: `*made`, in new
 * memory. PK_USAGE, with what and in which line, when fences are missing, when anything differs outside of them, or
 * when a step has what no step needs: directives, attributes, assembler, launches past PK_LAUNCH. */
pk_status grade_take_steps(const char *file, const char *ours, const char *theirs, char **made);

/* The line of `source`, from 1, in which `word` stands as a word; 0: in none. Comments and literals do not count. */
size_t grade_line_of_word(const char *source, const char *word);

#endif
