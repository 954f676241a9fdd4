/* Batched projections: the plain tiled kernel (pk_gemm_tile.cuh), and the choice between it and the vendor's library
 * (gemm_library.h). */
#include "pk_gemm.h"

#include "gemm_library.h"
#include "pk_gemm_tile.cuh"

typedef struct gemm_product { /* the kernel's one argument */
    const uint16_t *x, *w;
    float *y;
    int m, n, k;
    int accumulate;
} gemm_product;

static __device__ inline void pk_gemm_end(const gemm_product *p, int row, int column, float value)
{
    float *const to = p->y + (size_t)row * p->n + column;
    *to = p->accumulate ? *to + value : value;
}

static __global__ void __launch_bounds__(PK_GEMM_TILE_THREADS) gemm_tile(gemm_product p)
{
    pk_gemm_tile(p.x, p.w, p.m, p.n, p.k, &p);
}

static pk_status run_plain(const gemm_product *p, void *stream)
{
    const dim3 grid((p->n + PK_GEMM_TILE_COLUMNS - 1) / PK_GEMM_TILE_COLUMNS,
                    (p->m + PK_GEMM_TILE_ROWS - 1) / PK_GEMM_TILE_ROWS);
    PK_LAUNCH(gemm_tile, grid, PK_GEMM_TILE_THREADS, 0, (cudaStream_t)stream, *p);
    return PK_OK;
}

pk_status pk_gemm_run(pk_gemm *gemm, const uint16_t *x, const uint16_t *w, float *y, int m, int n, int k,
                      int accumulate, void *stream)
{
    if (m < 1 || n < 1 || k < 8 || k % 8 != 0)
        return pk_fail(PK_USAGE,
                       "product of [%d][%d] and [%d][%d] transposed: each has a row at least, and k is a multiple of 8",
                       m, k, n, k);
    bool planned = false;
    if (gemm)
        PK_TRY(pk_gemm_library_run(gemm, x, w, y, m, n, k, accumulate, stream, &planned));
    const gemm_product p = {x, w, y, m, n, k, accumulate};
    return planned ? PK_OK : run_plain(&p, stream);
}
