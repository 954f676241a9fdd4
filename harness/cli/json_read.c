#include "json_read.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "quote.h"

const cJSON *cli_json_field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

double cli_json_number(const cJSON *object, const char *name)
{
    const cJSON *item = cli_json_field(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

char *cli_json_text(const cJSON *object, const char *name)
{
    const char *value = cJSON_GetStringValue(cli_json_field(object, name));
    return cli_plain(value ? value : "");
}

static cJSON *parsed(const char *path, const char *source, size_t bytes)
{
    const size_t line = cli_line_of_no_text(source, bytes);
    const char *end = NULL;
    if (line) {
        pk_fail(PK_USAGE, "%s is not a result file: line %zu is not UTF-8; name one as the lab wrote it", path, line);
        return NULL;
    }
    if (!strncmp(source, "\xef\xbb\xbf", 3)) {
        pk_fail(PK_USAGE, "%s begins with a byte order mark, which an editor put there; save it without", path);
        return NULL;
    }
    cJSON *json = cJSON_ParseWithLengthOpts(source, bytes + 1, &end, false);
    if (!json)
        pk_fail(PK_USAGE, "%s is not a result file; name one that a lab wrote, results/*/labNN.json", path);
    else if (end[strspn(end, " \t\r\n")] != '\0') {
        pk_fail(PK_USAGE, "%s has something behind its end; name it as the lab wrote it, or cut that off", path);
        cJSON_Delete(json);
        json = NULL;
    }
    return json;
}

cJSON *cli_json_load(const char *path)
{
    size_t bytes;
    char *source = cli_read_bytes(path, &bytes);
    if (!source) {
        (void)pk_fail(PK_USAGE, "cannot read %s: %s; name a result file, results/*/labNN.json", path, strerror(errno));
        return NULL;
    }
    cJSON *json = parsed(path, source, bytes);
    free(source);
    return json;
}
