/* Formulae of a lab's predict.txt: numbers, names, + - * / ( ), max(a, b), min(a, b), ceil(a). */
#ifndef CLI_EXPRESSION_H
#define CLI_EXPRESSION_H

#include "cli.h"

/* A name's value: true with NaN where it is known and was not measured; false where there is no such name. */
typedef bool expression_lookup(void *context, const char *name, double *value);

/* What `text` comes to: NaN where something that it needs is NaN. PK_USAGE, after pk_fail, with what is wrong and where
 * in the text. */
pk_status expression_value(const char *text, expression_lookup *lookup, void *context, double *value);

#endif
