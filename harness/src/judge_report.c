/* A judge's verdicts as JSON: `./lab grade` makes its table of it. */
#include "judge_report.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

pk_judged *pk_judgement_add(pk_judgement *judgement, const char *variant)
{
    pk_judged *rows = realloc(judgement->rows, (judgement->count + 1) * sizeof *rows);
    if (!rows) {
        (void)pk_out_of_memory("the judge");
        return NULL;
    }
    judgement->rows = rows;
    rows[judgement->count] = (pk_judged){.variant = variant, .speed = NAN, .interval = {NAN, NAN}};
    return &rows[judgement->count++];
}

/* null where it is not a number. */
static bool add_number(cJSON *object, const char *name, double value)
{
    return isfinite(value) ? cJSON_AddNumberToObject(object, name, value) != NULL
                           : cJSON_AddNullToObject(object, name) != NULL;
}

static bool add_text_or_null(cJSON *object, const char *name, const char *text)
{
    return *text ? cJSON_AddStringToObject(object, name, text) != NULL : cJSON_AddNullToObject(object, name) != NULL;
}

static bool add_row(cJSON *rows, const pk_judged *row)
{
    cJSON *object = cJSON_CreateObject();
    if (!object || !cJSON_AddItemToArray(rows, object))
        return false;
    bool added = cJSON_AddStringToObject(object, "variant", row->variant) &&
                 cJSON_AddStringToObject(object, "status", pk_status_word(row->status)) &&
                 add_text_or_null(object, "reason", row->reason) &&
                 add_text_or_null(object, "open_step", row->open_step) &&
                 cJSON_AddBoolToObject(object, "judge_failed", row->is_our_fault) &&
                 cJSON_AddNumberToObject(object, "sizes", (double)row->sizes) &&
                 cJSON_AddNumberToObject(object, "repetitions", (double)row->repetitions) &&
                 cJSON_AddNumberToObject(object, "rounds", (double)row->ratios.count);
    added = added && add_number(object, "speed", row->speed) && add_number(object, "speed_low", row->interval.low);
    return added && add_number(object, "speed_high", row->interval.high);
}

static char *text_of(const pk_judgement *judgement)
{
    cJSON *document = cJSON_CreateObject();
    bool added = document && cJSON_AddStringToObject(document, "lab", judgement->lab->id) &&
                 cJSON_AddStringToObject(document, "device", judgement->device->name) &&
                 cJSON_AddStringToObject(document, "backend", judgement->device->backend) &&
                 cJSON_AddBoolToObject(document, "is_gpu", judgement->device->is_gpu) &&
                 add_text_or_null(document, "not_confined", judgement->lacks);
    cJSON *rows = added ? cJSON_AddArrayToObject(document, "rungs") : NULL;
    added = rows != NULL;
    for (size_t i = 0; i < judgement->count && added; i++)
        added = add_row(rows, &judgement->rows[i]);
    char *text = added ? cJSON_Print(document) : NULL;
    cJSON_Delete(document);
    return text;
}

pk_status pk_judgement_write(const pk_judgement *judgement, const char *path)
{
    char *text = text_of(judgement);
    if (!text)
        return pk_out_of_memory("the judge");
    const pk_status status = pk_write_file(path, text, strlen(text));
    free(text);
    return status;
}

void pk_judgement_free(pk_judgement *judgement)
{
    for (size_t i = 0; i < judgement->count; i++)
        pk_samples_free(&judgement->rows[i].ratios);
    free(judgement->rows);
}
