/* Copies and fills: which CUDA accepts, how they run, and how they behave towards the host. */
#include "copy.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "error.h"
#include "memory.h"

static bool may_be_device(enum cudaMemoryType kind)
{
    return kind != cudaMemoryTypeUnregistered;
}

static bool may_be_host(enum cudaMemoryType kind)
{
    return kind != cudaMemoryTypeDevice;
}

static cudaError_t check_direction(cudaMemcpyKind direction, enum cudaMemoryType to, enum cudaMemoryType from)
{
    bool fits;
    switch (direction) {
    case cudaMemcpyHostToHost:
        fits = may_be_host(to) && may_be_host(from);
        break;
    case cudaMemcpyHostToDevice:
        fits = may_be_device(to) && may_be_host(from);
        break;
    case cudaMemcpyDeviceToHost:
        fits = may_be_host(to) && may_be_device(from);
        break;
    case cudaMemcpyDeviceToDevice:
        fits = may_be_device(to) && may_be_device(from);
        break;
    case cudaMemcpyDefault:
        fits = true;
        break;
    default:
        return cudaErrorInvalidMemcpyDirection;
    }
    return fits ? cudaSuccess : cudaErrorInvalidValue;
}

void pk_copy_run(struct pk_op *op)
{
    char *to = (char *)op->as.copy.to;
    const char *from = (const char *)op->as.copy.from;
    for (size_t plane = 0; plane < op->as.copy.depth; ++plane)
        for (size_t row = 0; row < op->as.copy.height; ++row)
            memmove(to + plane * op->as.copy.to_slice + row * op->as.copy.to_pitch,
                    from + plane * op->as.copy.from_slice + row * op->as.copy.from_pitch, op->as.copy.width);
}

/* From the first byte to the last, of `depth` planes of `height` rows. */
static size_t extent(const struct pk_op *op, size_t slice, size_t pitch)
{
    return (op->as.copy.depth - 1) * slice + (op->as.copy.height - 1) * pitch + op->as.copy.width;
}

static cudaError_t copy_kinds(const struct pk_op *op, enum cudaMemoryType *to_kind, enum cudaMemoryType *from_kind)
{
    const size_t width = op->as.copy.width;
    if (op->as.copy.height > 1 && (width > op->as.copy.to_pitch || width > op->as.copy.from_pitch))
        return cudaErrorInvalidPitchValue;
    if (!op->as.copy.to || !op->as.copy.from || width == 0 || op->as.copy.height == 0 || op->as.copy.depth == 0)
        return cudaErrorInvalidValue;
    cudaError_t error = pk_memory_kind(op->as.copy.to, extent(op, op->as.copy.to_slice, op->as.copy.to_pitch), to_kind);
    if (!error)
        error = pk_memory_kind(op->as.copy.from, extent(op, op->as.copy.from_slice, op->as.copy.from_pitch), from_kind);
    return error ? error : check_direction(op->as.copy.direction, *to_kind, *from_kind);
}

cudaError_t pk_copy_check(const struct pk_op *op)
{
    enum cudaMemoryType to_kind, from_kind;
    return copy_kinds(op, &to_kind, &from_kind);
}

template <class T> static void fill_rows(const struct pk_op *op)
{
    for (size_t row = 0; row < op->as.fill.height; ++row) {
        T *to = (T *)((char *)op->as.fill.to + row * op->as.fill.pitch);
        for (size_t i = 0; i < op->as.fill.width; ++i)
            to[i] = (T)op->as.fill.value;
    }
}

void pk_fill_run(struct pk_op *op)
{
    if (op->as.fill.element_bytes == 1 && op->as.fill.height == 1)
        memset(op->as.fill.to, (int)op->as.fill.value, op->as.fill.width);
    else if (op->as.fill.element_bytes == 1)
        fill_rows<uint8_t>(op);
    else if (op->as.fill.element_bytes == 2)
        fill_rows<uint16_t>(op);
    else
        fill_rows<uint32_t>(op);
}

cudaError_t pk_fill_check(const struct pk_op *op)
{
    const unsigned size = op->as.fill.element_bytes;
    const size_t width = op->as.fill.width * size;
    enum cudaMemoryType kind;
    if ((size != 1 && size != 2 && size != 4) || width == 0 || op->as.fill.height == 0 ||
        (uintptr_t)op->as.fill.to % size || (op->as.fill.height > 1 && op->as.fill.pitch < width))
        return cudaErrorInvalidValue;
    const cudaError_t error =
        pk_memory_kind(op->as.fill.to, (op->as.fill.height - 1) * op->as.fill.pitch + width, &kind);
    return error ? error : may_be_device(kind) ? cudaSuccess : cudaErrorInvalidValue;
}

/* Small pageable sources are staged, so the call returns before the copy: as large as CUDA says it stages. */
enum { STAGED_BYTES = 64 * 1024 };

/* One copy of `height` rows. `host_waits`: as the synchronous calls do, unless both ends are on the device. */
static cudaError_t copy(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t height,
                        cudaMemcpyKind direction, cudaStream_t handle, bool host_waits)
{
    PK_ENTER();
    if (width == 0 || height == 0)
        return cudaSuccess;
    if ((unsigned)direction > cudaMemcpyDefault)
        return pk_fail_with(cudaErrorInvalidMemcpyDirection);
    pk_lock();
    struct pk_op *op = pk_op_new(PK_OP_COPY);
    op->as.copy.to = to;
    op->as.copy.to_pitch = to_pitch;
    op->as.copy.from = from;
    op->as.copy.from_pitch = from_pitch;
    op->as.copy.width = width;
    op->as.copy.height = height;
    op->as.copy.depth = 1;
    op->as.copy.direction = direction;
    const bool records = pk_capturing(handle);
    pk_unlock();
    enum cudaMemoryType to_kind = cudaMemoryTypeUnregistered, from_kind = cudaMemoryTypeUnregistered;
    cudaError_t error = copy_kinds(op, &to_kind, &from_kind);

    const bool pageable_from = from_kind == cudaMemoryTypeUnregistered;
    const bool pageable_to = to_kind == cudaMemoryTypeUnregistered;
    void *staged = nullptr;
    if (!error && !records && !host_waits && pageable_from && !pageable_to && height == 1 && width <= STAGED_BYTES) {
        staged = malloc(width);
        if (staged) {
            memcpy(staged, from, width);
            op->as.copy.from = staged;
        }
    }
    op->as.copy.staged = staged;
    if (host_waits)
        host_waits = may_be_host(to_kind) || may_be_host(from_kind);
    else
        host_waits = !records && (pageable_to || (pageable_from && !staged));

    pk_lock();
    if (!error)
        error = pk_stream_put(op, handle);
    pk_unlock();
    if (!error && host_waits)
        error = pk_op_wait(op);
    pk_lock();
    pk_op_release(op);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    PK_CALL();
    return copy(to, bytes, from, bytes, bytes, 1, kind, nullptr, true);
}

extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                                       cudaStream_t stream)
{
    PK_CALL();
    return copy(to, bytes, from, bytes, bytes, 1, kind, stream, false);
}

extern "C" cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                                    size_t height, cudaMemcpyKind kind)
{
    PK_CALL();
    return copy(to, to_pitch, from, from_pitch, width, height, kind, nullptr, true);
}

extern "C" cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                                         size_t height, cudaMemcpyKind kind, cudaStream_t stream)
{
    PK_CALL();
    return copy(to, to_pitch, from, from_pitch, width, height, kind, stream, false);
}

extern "C" cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t handle)
{
    PK_ENTER();
    if (bytes == 0)
        return cudaSuccess;
    pk_lock();
    struct pk_op *op = pk_op_new(PK_OP_FILL);
    op->as.fill.to = to;
    op->as.fill.value = (unsigned char)byte;
    op->as.fill.element_bytes = 1;
    op->as.fill.width = bytes;
    op->as.fill.height = 1;
    cudaError_t error = pk_fill_check(op);
    if (!error)
        error = pk_stream_put(op, handle);
    pk_op_release(op);
    pk_unlock();
    return pk_fail_with(error);
}

extern "C" cudaError_t cudaMemset(void *to, int byte, size_t bytes)
{
    PK_CALL();
    return cudaMemsetAsync(to, byte, bytes, nullptr);
}
