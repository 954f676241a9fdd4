/* Reading JSON files that a lab wrote: documents, and fields that may be missing. */
#ifndef CLI_JSON_READ_H
#define CLI_JSON_READ_H

#include <cjson/cJSON.h>

/* The document, which the caller frees; NULL after pk_fail, which says what is wrong with the file. RFC 8259: UTF-8, no
 * byte order mark, one value and nothing behind it. */
cJSON *cli_json_load(const char *path);

/* Of an object; NULL, NaN and "" where there is no such field, or no object. */
const cJSON *cli_json_field(const cJSON *object, const char *name);
double cli_json_number(const cJSON *object, const char *name);
char *cli_json_text(const cJSON *object, const char *name); /* in new memory, harmless on a terminal (quote.h) */

#endif
