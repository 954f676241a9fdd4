/* A decoder's buffers as a run's. */
#include "pk/lab.h"
#include "pk_judge.h"

pk_status pk_judge_buffers(pk_run *run, const pk_decoder_sizes *sizes, bool writes_prompts, pk_decoder_memory *memory)
{
    const pk_buffer_role roles[PK_DECODER_BUFFERS] = {
        [PK_DECODER_WEIGHTS] = PK_BUFFER_INPUT,
        [PK_DECODER_CACHE] = PK_BUFFER_SCRATCH,
        [PK_DECODER_TABLES] = PK_BUFFER_INPUT,
        [PK_DECODER_SCRATCH] = PK_BUFFER_SCRATCH,
        [PK_DECODER_STATE] = PK_BUFFER_SCRATCH,
        [PK_DECODER_TOKENS] = PK_BUFFER_OUTPUT,
        [PK_DECODER_LOGITS] = PK_BUFFER_OUTPUT,
        [PK_DECODER_PROMPT] = writes_prompts ? PK_BUFFER_STATE : PK_BUFFER_INPUT,
    };
    pk_decoder_buffer all[PK_DECODER_BUFFERS];
    pk_status status = PK_OK;
    pk_decoder_list(sizes, memory, all);
    for (size_t i = 0; i < PK_DECODER_BUFFERS && status == PK_OK; i++)
        status = pk_run_buffer(run, all[i].name, all[i].bytes, roles[i], all[i].device);
    return status;
}
