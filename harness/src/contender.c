/* A variant as one of those that are measured beside each other, and its way out of the race. */
#include "contender.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS_KEPT = 256 }; /* a repetition */

pk_status pk_contender_init(pk_contender *contender, pk_bench *bench, const pk_variant *variant, size_t result)
{
    memset(contender, 0, sizeof *contender);
    contender->run.bench = bench;
    contender->run.variant = variant;
    contender->run.token_us = calloc(MAX_TOKENS_KEPT, sizeof *contender->run.token_us);
    contender->run.token_capacity = MAX_TOKENS_KEPT;
    contender->run.token_stride = 1; /* a variant's prepare may try a repetition */
    contender->result = result;
    return contender->run.token_us ? PK_OK : pk_out_of_memory(bench->lab->id);
}

void pk_contender_fail(pk_report *report, pk_contender *contender, pk_status status)
{
    pk_result *result = &report->results[contender->result];
    contender->active = false;
    result->status = status;
    free(result->reason);
    result->reason = strdup(pk_error_text());
    if (status == PK_TODO && !result->open_step)
        result->open_step = strdup(contender->run.open_step);
}

void pk_contender_release(pk_contender *contender)
{
    free(contender->run.token_us);
    contender->run.token_us = NULL;
}
