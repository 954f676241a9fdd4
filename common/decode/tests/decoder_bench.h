/* A decoder with its device memory, for tests of a step: each buffer is followed by bytes that nobody may write. */
#ifndef DECODER_BENCH_H
#define DECODER_BENCH_H

#include "pk_gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode/pk_decoder.h"

enum { BENCH_GUARD = 256 /* bytes behind each */, BENCH_GUARD_BYTE = 0xff };

typedef struct decoder_bench {
    pk_decoder d;
    pk_decoder_sizes size;
    pk_decoder_memory memory;
    cudaStream_t stream;
} decoder_bench;

/* Each buffer full of NaN: what is read before it was written shows. */
static inline pk_status bench_open(decoder_bench *b, const pk_model_config *config, const pk_decoder_shape *shape,
                                   const pk_sampling *sampling, int processors, int threads)
{
    memset(b, 0, sizeof *b);
    PK_TRY(pk_device_stream_create((void **)&b->stream));
    pk_launch_register_stream(b->stream);
    PK_TRY(pk_decoder_size(config, shape, processors, &b->size));
    pk_decoder_buffer buffer[PK_DECODER_BUFFERS];
    pk_decoder_list(&b->size, &b->memory, buffer);
    for (int i = 0; i < PK_DECODER_BUFFERS; i++) {
        PK_TRY(pk_device_alloc(buffer[i].device, buffer[i].bytes + BENCH_GUARD));
        PK_TRY(pk_device_fill(*buffer[i].device, BENCH_GUARD_BYTE, buffer[i].bytes + BENCH_GUARD, b->stream));
    }
    return pk_decoder_open(&b->d, config, shape, sampling, processors, threads, &b->memory);
}

/* Is what stands behind the buffers as it was? */
static inline pk_status bench_guards(decoder_bench *b, bool *whole)
{
    unsigned char guard[BENCH_GUARD];
    pk_decoder_buffer buffer[PK_DECODER_BUFFERS];
    pk_decoder_list(&b->size, &b->memory, buffer);
    *whole = true;
    for (int i = 0; i < PK_DECODER_BUFFERS; i++) {
        const char *const end = (const char *)*buffer[i].device + buffer[i].bytes;
        PK_TRY(pk_device_download(guard, end, sizeof guard, b->stream));
        PK_TRY(pk_device_stream_synchronize(b->stream));
        for (int j = 0; j < BENCH_GUARD; j++)
            *whole = *whole && guard[j] == BENCH_GUARD_BYTE;
    }
    return PK_OK;
}

static inline void bench_close(decoder_bench *b)
{
    pk_decoder_close(&b->d);
    pk_decoder_buffer buffer[PK_DECODER_BUFFERS];
    pk_decoder_list(&b->size, &b->memory, buffer);
    for (int i = 0; i < PK_DECODER_BUFFERS; i++)
        pk_device_free(*buffer[i].device);
    if (b->stream)
        pk_device_stream_destroy(b->stream);
}

static inline pk_status bench_read(const decoder_bench *b, void *to, const void *from, size_t bytes)
{
    PK_TRY(pk_device_download(to, from, bytes, b->stream));
    return pk_device_stream_synchronize(b->stream);
}

static inline pk_status bench_write(const decoder_bench *b, void *to, const void *from, size_t bytes)
{
    PK_TRY(pk_device_upload(to, from, bytes, b->stream));
    return pk_device_stream_synchronize(b->stream);
}

/* In place of a projection: nothing, so that what it would have computed is what the test has put there. */
static inline pk_status bench_no_matvec(const pk_matvec *matvec, unsigned blocks, unsigned threads, void *stream)
{
    (void)matvec, (void)blocks, (void)threads, (void)stream;
    return PK_OK;
}

#endif
