/* Device buffers between guard bytes, and the poison that makes an unwritten element show. */
#include "buffers.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    GUARD_BYTES = 4096, /* a block of 1024 threads that misses by one element a thread lands inside */
    GUARD_BYTE = 0xA5,
    POISON_BYTE = 0xFF /* 0xFFFFFFFF and 0xFFFF are NaN in fp32, bf16 and fp16 */
};

static size_t padded(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

static pk_status check_fits(const pk_bench *bench, const char *name, size_t bytes)
{
    size_t free_bytes, total_bytes;
    pk_status status = pk_device_memory(&free_bytes, &total_bytes);
    if (status != PK_OK)
        return status;
    if (bytes <= free_bytes)
        return PK_OK;
    return pk_fail(PK_USAGE, "%s: buffer '%s' needs %.1f MB, but %s has %.1f MB free of %.1f MB: use a smaller size",
                   bench->lab->id, name, (double)bytes / 1e6, bench->device->name, (double)free_bytes / 1e6,
                   (double)total_bytes / 1e6);
}

static size_t bytes_before(const pk_bench *bench)
{
    return GUARD_BYTES + bench->shift;
}

static size_t bytes_after(const pk_buffer *buffer)
{
    return padded(buffer->bytes) - buffer->bytes + GUARD_BYTES;
}

static unsigned char *data_of(const pk_bench *bench, const pk_buffer *buffer)
{
    return buffer->base + bytes_before(bench);
}

static pk_status fill_guards(const pk_bench *bench, const pk_buffer *buffer)
{
    pk_status status = pk_device_fill(buffer->base, GUARD_BYTE, bytes_before(bench), bench->stream);
    if (status == PK_OK)
        status = pk_device_fill(data_of(bench, buffer) + buffer->bytes, GUARD_BYTE, bytes_after(buffer), bench->stream);
    return status == PK_OK ? pk_device_stream_synchronize(bench->stream) : status;
}

size_t pk_buffer_whole_bytes(const pk_bench *bench, const pk_buffer *buffer)
{
    return bytes_before(bench) + buffer->bytes + bytes_after(buffer);
}

pk_status pk_run_buffer(pk_run *run, const char *name, size_t bytes, pk_buffer_role role, void **device)
{
    pk_bench *bench = run->bench;
    if (bench->buffer_count == PK_MAX_BUFFERS)
        return pk_fail(PK_USAGE, "%s: more than %d buffers: raise PK_MAX_BUFFERS", bench->lab->id, PK_MAX_BUFFERS);
    if (bytes > SIZE_MAX / 2)
        return pk_fail(PK_USAGE, "%s: buffer '%s' is larger than memory can be: use a smaller size", bench->lab->id,
                       name);
    size_t whole = bytes_before(bench) + padded(bytes) + GUARD_BYTES;
    pk_status status = check_fits(bench, name, whole);
    if (status != PK_OK)
        return status;

    pk_buffer *buffer = &bench->buffers[bench->buffer_count];
    void *base = NULL;
    status = pk_device_alloc(&base, whole);
    if (status != PK_OK)
        return status;
    snprintf(buffer->name, sizeof buffer->name, "%s", name);
    buffer->role = role;
    buffer->base = base;
    buffer->bytes = bytes;
    bench->buffer_count++;
    *device = data_of(bench, buffer);
    pk_device_guard(base, bytes_before(bench), bytes_after(buffer));
    return fill_guards(bench, buffer);
}

void pk_run_host_part(pk_run *run, const char *name, pk_host_role role, void *memory, size_t bytes)
{
    pk_bench *bench = run->bench;
    if (bench->part_count == PK_MAX_HOST_PARTS) {
        fprintf(stderr, "%s: no place for '%s': raise PK_MAX_HOST_PARTS\n", bench->lab->id, name);
        abort();
    }
    pk_host_part *part = &bench->parts[bench->part_count++];
    snprintf(part->name, sizeof part->name, "%s", name);
    part->role = role;
    part->memory = memory;
    part->bytes = bytes;
}

pk_status pk_buffers_poison(pk_bench *bench)
{
    for (size_t i = 0; i < bench->buffer_count; i++) {
        pk_buffer *buffer = &bench->buffers[i];
        if (buffer->role != PK_BUFFER_OUTPUT && buffer->role != PK_BUFFER_SCRATCH)
            continue;
        pk_status status = pk_device_fill(data_of(bench, buffer), POISON_BYTE, buffer->bytes, bench->stream);
        if (status != PK_OK)
            return status;
    }
    return PK_OK;
}

/* Bytes from `text` that still hold the guard pattern, counted from its start. */
static size_t intact_bytes(const unsigned char *text, size_t count)
{
    size_t i = 0;
    while (i < count && text[i] == GUARD_BYTE)
        i++;
    return i;
}

static pk_status check_guard(const pk_bench *bench, const pk_buffer *buffer, bool after)
{
    unsigned char bytes[GUARD_BYTES + 256];
    size_t count = after ? bytes_after(buffer) : GUARD_BYTES;
    const unsigned char *from = data_of(bench, buffer);
    from = after ? from + buffer->bytes : from - GUARD_BYTES;
    pk_status status = pk_device_download(bytes, from, count, bench->stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(bench->stream);
    if (status != PK_OK)
        return status;
    size_t intact = intact_bytes(bytes, count);
    if (intact == count)
        return PK_OK;
    if (after)
        return pk_fail(PK_WRONG,
                       "write past the end of buffer '%s': byte %zu beyond its %zu bytes changed; check the "
                       "index against n (docs/troubleshooting.md#past-the-end)",
                       buffer->name, intact, buffer->bytes);
    return pk_fail(PK_WRONG,
                   "write before the start of buffer '%s': byte %zu ahead of it changed; check for a "
                   "negative index (docs/troubleshooting.md#past-the-end)",
                   buffer->name, count - intact);
}

pk_status pk_buffers_check_guards(const pk_bench *bench)
{
    pk_status worst = PK_OK;
    for (size_t i = 0; i < bench->buffer_count; i++) {
        pk_status status = check_guard(bench, &bench->buffers[i], false);
        if (status == PK_OK)
            status = check_guard(bench, &bench->buffers[i], true);
        if (status == PK_WRONG)
            (void)fill_guards(bench, &bench->buffers[i]); /* or the next variant would be blamed for it */
        worst = pk_status_worse(worst, status);
    }
    return worst;
}

void pk_buffers_free(pk_bench *bench)
{
    for (size_t i = 0; i < bench->buffer_count; i++)
        pk_device_free(bench->buffers[i].base);
    bench->buffer_count = 0;
}
