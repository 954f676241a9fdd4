/* Tensor maps: bulk copies of 2-D boxes out of a matrix in device memory. Included by .cu files after pk_async.h.
 *
 * A tensor map describes a matrix once, on the host; a copy then names a box's first column and row, and the copy
 * engine finds the addresses of its rows (PK_NEED_BULK_ASYNC_COPY). pk_tensor_map                              128
 * bytes, 64-aligned; a kernel takes it as a `const __grid_constant__` parameter, spelled PK_TENSOR_PARAMETER(name)
 *   pk_tensor_map_make(&map, shape)            host. PK_USAGE for a shape that the engine does not take; PK_FAULT where
 * the driver refuses it or offers no such call pk_tensor_copy(shared, &map, x, y, barrier)  one thread asks for the box
 * whose first element is in column x of row y; box bytes are expected at the barrier before, as for pk_bulk_copy. What
 *                                              of it is outside of the matrix comes as zeros, and counts as bytes
 *   pk_tensor_swizzled(row, chunk)             where 16-byte chunk `chunk` of row `row` of a swizzled box lies, in
 * bytes from its beginning Elements are 16 bits. A box is at most 256 rows high. Swizzled boxes are 128 bytes wide and
 * begin at a multiple of 1024 bytes in shared memory: within eight rows, chunk c of row r lies where chunk c ^ (r % 8)
 * would. So eight threads that read the same chunk of eight rows use all 32 banks, where without it they would queue up
 * at four of them.
 *
 * Sources: CUDA Driver API, cuTensorMapEncodeTiled; PTX ISA, "cp.async.bulk.tensor", "Tensor swizzling modes"; CUDA C++
 * Programming Guide, "Tensor Memory Accelerator". */
#ifndef PK_TENSOR_H
#define PK_TENSOR_H

#include "pk_async.h"
#include "pk_status.h"

typedef struct pk_tensor_shape {
    const void *base;                /* device memory, 16-aligned */
    size_t rows, columns, row_bytes; /* from one row to the next: a multiple of 16 */
    int box_rows, box_columns;       /* a box's row is a multiple of 16 bytes */
    bool swizzled;
} pk_tensor_shape;

enum { PK_TENSOR_MOST_BOX = 256, PK_TENSOR_SWIZZLED_BYTES = 128, PK_TENSOR_SWIZZLED_ALIGN = 1024 };

/* What both the hardware and the CPU device ask of a shape. */
static inline pk_status pk_tensor_check(const pk_tensor_shape *s)
{
    const size_t box_bytes = (size_t)s->box_columns * 2;
    if (s->box_rows < 1 || s->box_rows > PK_TENSOR_MOST_BOX || s->box_columns < 1 ||
        s->box_columns > PK_TENSOR_MOST_BOX)
        return pk_fail(PK_USAGE, "tensor map: a box of %d x %d: each side must be 1 to %d", s->box_rows, s->box_columns,
                       PK_TENSOR_MOST_BOX);
    if (box_bytes % 16 != 0 || s->row_bytes % 16 != 0 || (size_t)s->base % 16 != 0)
        return pk_fail(PK_USAGE,
                       "tensor map: a box's row of %zu bytes, rows %zu bytes apart, from %p: all three must be "
                       "multiples of 16",
                       box_bytes, s->row_bytes, s->base);
    if (s->swizzled && box_bytes != PK_TENSOR_SWIZZLED_BYTES)
        return pk_fail(PK_USAGE, "tensor map: a swizzled box is %d bytes wide, not %zu", PK_TENSOR_SWIZZLED_BYTES,
                       box_bytes);
    if (s->rows < 1 || s->columns < 1 || s->columns * 2 > s->row_bytes)
        return pk_fail(PK_USAGE, "tensor map: %zu rows of %zu elements, %zu bytes apart, are no matrix", s->rows,
                       s->columns, s->row_bytes);
    return PK_OK;
}

static __device__ inline unsigned pk_tensor_swizzled(int row, int chunk)
{
    return (unsigned)(row * PK_TENSOR_SWIZZLED_BYTES + (chunk ^ row % 8) * 16);
}

#if defined(PK_BACKEND_CUDA) || defined(PK_BACKEND_HIP_NVIDIA) /* whose runtime is CUDA's, below HIP's names */

#include <cuda.h>
#include <cudaTypedefs.h>

typedef CUtensorMap pk_tensor_map;
#define PK_TENSOR_PARAMETER(name) const __grid_constant__ pk_tensor_map name

static inline pk_status pk_tensor_map_make(pk_tensor_map *map, const pk_tensor_shape *s)
{
    void *found = NULL;
    cudaDriverEntryPointQueryResult result;
    PK_TRY(pk_tensor_check(s));
#if CUDART_VERSION >= 12050
    const int error =
        (int)cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
#else
    const int error = (int)cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &found, cudaEnableDefault, &result);
#endif
    if (error != 0 || result != cudaDriverEntryPointSuccess || !found)
        return pk_fail(PK_FAULT, "the driver has no cuTensorMapEncodeTiled (docs/troubleshooting.md#driver-too-old)");
    const cuuint64_t sizes[] = {s->columns, s->rows}, strides[] = {s->row_bytes};
    const cuuint32_t box[] = {(cuuint32_t)s->box_columns, (cuuint32_t)s->box_rows}, steps[] = {1, 1};
    const CUresult made = ((PFN_cuTensorMapEncodeTiled_v12000)found)(
        map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, (void *)s->base, sizes, strides, box, steps,
        CU_TENSOR_MAP_INTERLEAVE_NONE, s->swizzled ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_NONE,
        CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (made != CUDA_SUCCESS)
        return pk_fail(PK_FAULT,
                       "cuTensorMapEncodeTiled failed: CUresult %d, for %zu rows of %zu elements in boxes of %d x %d",
                       (int)made, s->rows, s->columns, s->box_rows, s->box_columns);
    return PK_OK;
}

static __device__ inline void pk_tensor_copy(void *shared, const pk_tensor_map *map, int x, int y,
                                             pk_async_barrier *barrier)
{
    PK_ASYNC_PTX_(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
        :
        : "r"(pk_async_shared_(shared)), "l"(map), "r"(x), "r"(y), "r"(pk_async_shared_(barrier))
        : "memory");
}

#else

/* The shape itself: on the CPU device the copies are made from it, elsewhere there are none. */
typedef struct pk_tensor_map {
    pk_tensor_shape shape;
} pk_tensor_map;
#define PK_TENSOR_PARAMETER(name) const pk_tensor_map name

static inline pk_status pk_tensor_map_make(pk_tensor_map *map, const pk_tensor_shape *shape)
{
    PK_TRY(pk_tensor_check(shape));
    map->shape = *shape;
    return PK_OK;
}

#if defined(PK_BACKEND_CPU)

/* Chunk by chunk, as the engine lays them; what is outside of the matrix from a chunk of zeros. */
static inline void pk_tensor_copy(void *shared, const pk_tensor_map *map, int x, int y, pk_async_barrier *barrier)
{
    alignas(16) static const unsigned char zeros[16] = {};
    const pk_tensor_shape *const s = &map->shape;
    const int chunks = s->box_columns / 8;
    for (int row = 0; row < s->box_rows; row++)
        for (int chunk = 0; chunk < chunks; chunk++) {
            const long long column = (long long)x + chunk * 8, line = (long long)y + row;
            const bool inside =
                line >= 0 && line < (long long)s->rows && column >= 0 && column + 8 <= (long long)s->columns;
            const unsigned at = s->swizzled ? pk_tensor_swizzled(row, chunk) : (unsigned)((row * chunks + chunk) * 16);
            const void *const from =
                inside ? static_cast<const unsigned char *>(s->base) + (size_t)line * s->row_bytes + (size_t)column * 2
                       : zeros;
            pk_bulk_copy(static_cast<unsigned char *>(shared) + at, from, 16, barrier);
        }
}

#else

static __device__ inline void pk_tensor_copy(void *, const pk_tensor_map *, int, int, pk_async_barrier *)
{
}

#endif
#endif
#endif
