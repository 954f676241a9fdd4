/* A bench in memory that another process sees. */
#include "exchange.h"

#include <stdbool.h>
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

/* ---- buffers ---- */

static pk_buffer_set all_but(const pk_bench *bench, pk_buffer_role one, pk_buffer_role other)
{
    pk_buffer_set set = 0;
    for (size_t i = 0; i < bench->buffer_count; i++)
        if (bench->buffers[i].role != one && bench->buffers[i].role != other)
            set |= (pk_buffer_set)1 << i;
    return set;
}

pk_buffer_set pk_exchange_all(const pk_bench *bench)
{
    return all_but(bench, PK_BUFFER_REFERENCE, PK_BUFFER_REFERENCE);
}

pk_buffer_set pk_exchange_results(const pk_bench *bench)
{
    return all_but(bench, PK_BUFFER_REFERENCE, PK_BUFFER_INPUT);
}

/* Where a buffer begins in the memory. */
static size_t place_of(const pk_bench *bench, size_t which)
{
    size_t at = bytes_of_parts(bench);
    for (size_t i = 0; i < which; i++)
        at += aligned(pk_buffer_whole_bytes(bench, &bench->buffers[i]));
    return at;
}

static bool has(pk_buffer_set set, size_t which)
{
    return (set >> which & 1) != 0;
}

pk_status pk_exchange_put_buffers(const pk_bench *bench, pk_buffer_set which, unsigned char *memory)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < bench->buffer_count && status == PK_OK; i++)
        if (has(which, i))
            status = pk_device_download(memory + place_of(bench, i), bench->buffers[i].base,
                                        pk_buffer_whole_bytes(bench, &bench->buffers[i]), bench->stream);
    return status == PK_OK ? pk_device_stream_synchronize(bench->stream) : status;
}

pk_status pk_exchange_take_buffers(const pk_bench *bench, pk_buffer_set which, const unsigned char *memory)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < bench->buffer_count && status == PK_OK; i++)
        if (has(which, i))
            status = pk_device_upload(bench->buffers[i].base, memory + place_of(bench, i),
                                      pk_buffer_whole_bytes(bench, &bench->buffers[i]), bench->stream);
    return status == PK_OK ? pk_device_stream_synchronize(bench->stream) : status;
}

void pk_exchange_copy(const pk_bench *bench, pk_buffer_set which, unsigned char *to, const unsigned char *from)
{
    memcpy(to, from, bytes_of_parts(bench));
    for (size_t i = 0; i < bench->buffer_count; i++)
        if (has(which, i))
            memcpy(to + place_of(bench, i), from + place_of(bench, i),
                   pk_buffer_whole_bytes(bench, &bench->buffers[i]));
}

pk_buffer_set pk_exchange_changed_inputs(const pk_bench *bench, const unsigned char *one, const unsigned char *other)
{
    pk_buffer_set changed = 0;
    for (size_t i = 0; i < bench->buffer_count; i++) {
        const pk_buffer *buffer = &bench->buffers[i];
        const size_t at = place_of(bench, i);
        if (buffer->role == PK_BUFFER_INPUT && memcmp(one + at, other + at, pk_buffer_whole_bytes(bench, buffer)) != 0)
            changed |= (pk_buffer_set)1 << i;
    }
    return changed;
}
