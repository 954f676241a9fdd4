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

pk_status pk_find_open_step(pk_run *run, const pk_source *sources, size_t count)
{
    pk_steps steps = pk_find_steps(sources, count);
    const pk_step *first = NULL;
    pk_status status = PK_OK;
    for (size_t i = 0; i < steps.count && !first; i++)
        if (steps.steps[i].open && pk_step_is_of(&steps.steps[i], run->variant->name))
            first = &steps.steps[i];
    if (first)
        status = pk_todo(run, first->id);
    if (first && first->todo_left)
        status =
            pk_fail(PK_TODO, "step %s has code, and its pk_todo line still: delete that line when the code is complete",
                    first->id);
    pk_steps_free(&steps);
    return status;
}

void pk_contender_fail(pk_report *report, pk_contender *contender, pk_status status)
{
    if (status == PK_TODO)
        (void)pk_find_open_step(&contender->run, report->ladder_sources, report->ladder_source_count);
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
