/* What a lab program prints. */
#ifndef PK_PRINT_H
#define PK_PRINT_H

#include <stdbool.h>
#include <stddef.h>

#include "pk/result.h"

/* Results of the first `count` entries as a table, limits, what failed and why, targets when they were judged. */
void pk_print_report(const pk_report *report, size_t count, bool targets);
void pk_print_lab_help(const pk_lab *lab, const char *program);
/* A line a variant: role, name, summary and, where the lab's defaults pose another problem, the options that pose the
 * one that it solves, between tabs. */
void pk_print_variants(const pk_lab *lab);

#endif
