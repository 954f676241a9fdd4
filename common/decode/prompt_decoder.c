/* A decoder for one prompt and its text. */
#include "pk_gemm.h"
#include "pk_prompt.h"

enum { WEIGHTS_SEED = 1 /* as the labs have them */ };

static pk_status allocate(pk_prompt_decoder *d, const pk_decoder_sizes *sizes)
{
    pk_decoder_buffer buffer[PK_DECODER_BUFFERS];
    pk_status status = PK_OK;
    pk_decoder_list(sizes, &d->memory, buffer);
    for (int i = 0; i < PK_DECODER_BUFFERS && status == PK_OK; i++)
        status = pk_device_alloc(buffer[i].device, buffer[i].bytes);
    return status;
}

static pk_status open_decoder(pk_prompt_decoder *d, const pk_prompt_setup *setup, const pk_device_info *device)
{
    const pk_decoder_shape shape = {.capacity = setup->prompt + setup->limit - 1, /* the last token needs no position */
                                    .most_rows = d->rows,
                                    .steps = setup->limit,
                                    .logit_rows = 1,
                                    .weights = PK_QUANT_BF16};
    pk_decoder_sizes sizes;
    pk_status status = pk_decoder_size(&setup->config, &shape, device->processors, &sizes);
    if (status == PK_OK)
        status = allocate(d, &sizes);
    if (status == PK_OK)
        status = pk_decoder_open(&d->decoder, &setup->config, &shape, &setup->sampling, device->processors,
                                 pk_decoder_threads(device->is_gpu), &d->memory);
    if (status != PK_OK)
        return status;
    return setup->model ? pk_decoder_load(&d->decoder, setup->model, d->stream)
                        : pk_decoder_load_random(&d->decoder, WEIGHTS_SEED, d->stream);
}

pk_status pk_prompt_decoder_open(pk_prompt_decoder *d, const pk_prompt_setup *setup, const pk_device_info *device)
{
    *d = (pk_prompt_decoder){.prompt = setup->prompt, .rows = pk_prefill_bucket(setup->prompt, 1 << 30)};
    pk_status status = pk_device_stream_create(&d->stream);
    if (status == PK_OK)
        status = open_decoder(d, setup, device);
    if (status == PK_OK)
        status = pk_gemm_open(&d->gemm);
    return status == PK_OK && d->gemm ? pk_prefill_plan(&d->decoder, d->rows, d->gemm) : status;
}

void pk_prompt_decoder_close(pk_prompt_decoder *d)
{
    const pk_decoder_sizes none = {0};
    pk_decoder_buffer buffer[PK_DECODER_BUFFERS];
    pk_gemm_close(d->gemm);
    pk_decoder_close(&d->decoder);
    pk_decoder_list(&none, &d->memory, buffer); /* where they are; how large does not matter here */
    for (int i = 0; i < PK_DECODER_BUFFERS; i++)
        pk_device_free(*buffer[i].device);
    if (d->stream)
        pk_device_stream_destroy(d->stream);
}

bool pk_prompt_ends(const pk_prompt_decoder *d, int token)
{
    bool ends = false;
    for (int i = 0; i < d->decoder.config.end_count; i++)
        ends |= token == d->decoder.config.end_tokens[i];
    return ends && d->decoder.sampling.stop_at_end;
}
