/* A bench in memory that another process sees. */
#include "exchange.h"

#include <string.h>

#include "buffers.h"

enum { ALIGNMENT = 64 };

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t bytes_of_parts(const pk_bench *bench)
{
    size_t bytes = 0;
    for (size_t i = 0; i < bench->part_count; i++)
        bytes += aligned(bench->parts[i].bytes);
    return bytes;
}

size_t pk_exchange_bytes(const pk_bench *bench)
{
    size_t bytes = bytes_of_parts(bench);
    for (size_t i = 0; i < bench->buffer_count; i++)
        bytes += aligned(pk_buffer_whole_bytes(bench, &bench->buffers[i]));
    return bytes;
}

/* FNV-1a. */
static uint64_t digest_of(uint64_t digest, const void *data, size_t bytes)
{
    for (const unsigned char *at = data, *end = at + bytes; at < end; at++)
        digest = (digest ^ *at) * 0x100000001b3u;
    return digest;
}

uint64_t pk_exchange_shape(const pk_bench *bench)
{
    uint64_t digest = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bench->part_count; i++) {
        const pk_host_part *part = &bench->parts[i];
        digest = digest_of(digest, part->name, strlen(part->name));
        digest = digest_of(digest, &part->role, sizeof part->role);
        digest = digest_of(digest, &part->bytes, sizeof part->bytes);
    }
    for (size_t i = 0; i < bench->buffer_count; i++) {
        const pk_buffer *buffer = &bench->buffers[i];
        digest = digest_of(digest, buffer->name, strlen(buffer->name));
        digest = digest_of(digest, &buffer->role, sizeof buffer->role);
        digest = digest_of(digest, &buffer->bytes, sizeof buffer->bytes);
    }
    return digest;
}

void pk_exchange_put_parts(const pk_bench *bench, pk_host_role role, unsigned char *memory)
{
    for (size_t i = 0; i < bench->part_count; i++) {
        if (bench->parts[i].role == role)
            memcpy(memory, bench->parts[i].memory, bench->parts[i].bytes);
        memory += aligned(bench->parts[i].bytes);
    }
}

void pk_exchange_take_parts(const pk_bench *bench, pk_host_role role, const unsigned char *memory)
{
    for (size_t i = 0; i < bench->part_count; i++) {
        if (bench->parts[i].role == role)
            memcpy(bench->parts[i].memory, memory, bench->parts[i].bytes);
        memory += aligned(bench->parts[i].bytes);
    }
}

pk_status pk_exchange_put_buffers(const pk_bench *bench, unsigned char *memory)
{
    pk_status status = PK_OK;
    memory += bytes_of_parts(bench);
    for (size_t i = 0; i < bench->buffer_count && status == PK_OK; i++) {
        const size_t bytes = pk_buffer_whole_bytes(bench, &bench->buffers[i]);
        status = pk_device_download(memory, bench->buffers[i].base, bytes, bench->stream);
        memory += aligned(bytes);
    }
    return status == PK_OK ? pk_device_stream_synchronize(bench->stream) : status;
}

static pk_status take(const pk_bench *bench, const unsigned char *memory, bool inputs)
{
    pk_status status = PK_OK;
    memory += bytes_of_parts(bench);
    for (size_t i = 0; i < bench->buffer_count && status == PK_OK; i++) {
        const pk_buffer *buffer = &bench->buffers[i];
        const size_t bytes = pk_buffer_whole_bytes(bench, buffer);
        if (inputs || buffer->role != PK_BUFFER_INPUT)
            status = pk_device_upload(buffer->base, memory, bytes, bench->stream);
        memory += aligned(bytes);
    }
    return status == PK_OK ? pk_device_stream_synchronize(bench->stream) : status;
}

pk_status pk_exchange_take_buffers(const pk_bench *bench, const unsigned char *memory)
{
    return take(bench, memory, true);
}

pk_status pk_exchange_take_results(const pk_bench *bench, const unsigned char *memory)
{
    return take(bench, memory, false);
}

const char *pk_exchange_changed_input(const pk_bench *bench, const unsigned char *sent, const unsigned char *memory)
{
    size_t at = bytes_of_parts(bench);
    for (size_t i = 0; i < bench->buffer_count; i++) {
        const pk_buffer *buffer = &bench->buffers[i];
        const size_t bytes = pk_buffer_whole_bytes(bench, buffer);
        if (buffer->role == PK_BUFFER_INPUT && memcmp(sent + at, memory + at, bytes) != 0)
            return buffer->name;
        at += aligned(bytes);
    }
    return NULL;
}
