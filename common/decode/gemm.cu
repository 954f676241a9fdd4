/* Batched projections: the plain tiled kernel, and the choice between it and the vendor's library (gemm_library.h).
 *
 * A block makes one tile of y. Tiles of x and w go through shared memory, a step of k at a time; sums are fp32 and in
 * the order of k. On NVIDIA the products are the tensor cores'. Elsewhere a thread owns a few rows and columns of the
 * tile and multiplies in fp32. Either way row i of y is made of row i of x by the same operations in the same order
 * whatever m is: rows beyond m are zeroes in the tile, and are not stored. */
#include "pk_gemm.h"

#include "gemm_library.h"
#include "mma.cuh"
#include "pk_async.h"
#include "pk_gpu.h"

typedef struct gemm_product { /* the kernel's one argument */
    const uint16_t *x, *w;
    float *y;
    int m, n, k;
    int accumulate;
} gemm_product;

static __device__ inline void store(const gemm_product *p, int row, int column, float value)
{
    if (row >= p->m || column >= p->n)
        return;
    float *const to = p->y + (size_t)row * p->n + column;
    *to = p->accumulate ? *to + value : value;
}

#if defined(PK_HAS_MMA)

enum {
    TILE_ROWS = 64,
    TILE_COLUMNS = 64,
    TILE_STEP = 64,              /* of k: 128 bytes of a row */
    TILE_STRIDE = TILE_STEP + 8, /* see pk_mma_load_a */
    TILE_THREADS = 128,          /* four warps, each with a quarter of the tile: 32 x 32 */
    TILE_STAGES = 2              /* one that is multiplied, one that is on its way */
};

/* Ask for 64 rows of a step: rows first.. of `from` [rows][k], columns at... What lies beyond is zero. */
static __device__ inline void copy_tile(uint16_t *tile, const uint16_t *from, int first, int rows, int at, int k)
{
    enum { CHUNKS = TILE_STEP / 8 };
    for (int i = threadIdx.x; i < TILE_ROWS * CHUNKS; i += TILE_THREADS) {
        const int row = i / CHUNKS, column = i % CHUNKS * 8;
        uint16_t *const to = tile + row * TILE_STRIDE + column;
        if (first + row < rows && at + column < k)
            pk_async_copy_16(to, from + (size_t)(first + row) * k + at + column);
        else
            *(uint4 *)to = make_uint4(0, 0, 0, 0);
    }
}

/* A warp's 32 x 32 of a step: sums += x_tile [32][TILE_STEP] * w_tile [32][TILE_STEP] transposed. */
static __device__ inline void multiply_tile(float sums[2][4][4], const uint16_t *x_tile, const uint16_t *w_tile)
{
#pragma unroll
    for (int at = 0; at < TILE_STEP; at += 16) {
        unsigned a[2][4], b[2][4];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            pk_mma_load_a(a[i], x_tile + 16 * i * TILE_STRIDE + at, TILE_STRIDE);
            pk_mma_load_b_columns(b[i], w_tile + 16 * i * TILE_STRIDE + at, TILE_STRIDE);
        }
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                pk_mma(sums[i][j], a[i], b[j / 2] + j % 2 * 2);
    }
}

static __global__ void __launch_bounds__(TILE_THREADS) gemm_tile(gemm_product p)
{
    __shared__ __align__(16) uint16_t x_tile[TILE_STAGES][TILE_ROWS * TILE_STRIDE];
    __shared__ __align__(16) uint16_t w_tile[TILE_STAGES][TILE_COLUMNS * TILE_STRIDE];
    const int first_row = blockIdx.y * TILE_ROWS, first_column = blockIdx.x * TILE_COLUMNS;
    const int warp = threadIdx.x / 32, row = warp / 2 * 32, column = warp % 2 * 32; /* the warp's part */
    const int steps = (p.k + TILE_STEP - 1) / TILE_STEP;
    float sums[2][4][4] = {};
    copy_tile(x_tile[0], p.x, first_row, p.m, 0, p.k);
    copy_tile(w_tile[0], p.w, first_column, p.n, 0, p.k);
    pk_async_commit();
    for (int i = 0; i < steps; i++) {
        const int stage = i % TILE_STAGES, other = 1 - stage;
        if (i + 1 < steps) {
            copy_tile(x_tile[other], p.x, first_row, p.m, (i + 1) * TILE_STEP, p.k);
            copy_tile(w_tile[other], p.w, first_column, p.n, (i + 1) * TILE_STEP, p.k);
        }
        pk_async_commit(); /* empty at the end, so that the wait below is always for this step */
        pk_async_wait_prior<1>();
        __syncthreads(); /* this stage is there for all */
        multiply_tile(sums, x_tile[stage] + row * TILE_STRIDE, w_tile[stage] + column * TILE_STRIDE);
        __syncthreads(); /* and read by all before it is copied into again */
    }
    const int g = pk_mma_lane() / 4, t = pk_mma_lane() % 4;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++)
            for (int e = 0; e < 4; e++)
                store(&p, first_row + row + 16 * i + e / 2 * 8 + g, first_column + column + 8 * j + 2 * t + e % 2,
                      sums[i][j][e]);
}

#else

/* A thread owns OWN_ROWS x OWN_COLUMNS results, and keeps each as TILE_LANES partial sums, of k modulo TILE_LANES. On a
 * GPU that is one; on the CPU device as many as a vector of the processor has, since a compiler may not split a sum by
 * itself. There blocks are small, too: a barrier costs by the thread. */
enum {
#if defined(PK_BACKEND_CPU)
    TILE_ROWS = 16,
    TILE_STEP = 64,
    TILE_LANES = 8,
    TILE_STRIDE = TILE_STEP,
#else
    TILE_ROWS = 64,
    TILE_STEP = 32,
    TILE_LANES = 1,
    TILE_STRIDE = TILE_STEP + 1, /* neighbouring columns in different banks */
#endif
    TILE_COLUMNS = 64,
    OWN_ROWS = 4,
    OWN_COLUMNS = 4,
    TILE_ACROSS = TILE_COLUMNS / OWN_COLUMNS, /* threads side by side: column c of thread i is i + c * TILE_ACROSS */
    TILE_DOWN = TILE_ROWS / OWN_ROWS,
    TILE_THREADS = TILE_ACROSS * TILE_DOWN
};

/* `tile_rows` rows of a step as floats: rows first.. of `from` [rows][k], columns at... What lies beyond is zero. */
static __device__ inline void copy_tile(float *tile, int tile_rows, const uint16_t *from, int first, int rows, int at,
                                        int k)
{
    enum { CHUNKS = TILE_STEP / 8 };
    for (int i = threadIdx.x; i < tile_rows * CHUNKS; i += TILE_THREADS) {
        const int row = i / CHUNKS, column = i % CHUNKS * 8;
        const uint16_t *const chunk = from + (size_t)(first + row) * k + at + column;
        const bool there = first + row < rows && at + column < k; /* k is a multiple of 8 */
        for (int j = 0; j < 8; j++)
            tile[row * TILE_STRIDE + column + j] = there ? __uint_as_float((unsigned)chunk[j] << 16) : 0.0f;
    }
}

static __device__ inline void multiply_tile(float sums[OWN_ROWS][OWN_COLUMNS][TILE_LANES], const float *x_tile,
                                            const float *w_tile)
{
    for (int at = 0; at < TILE_STEP; at += TILE_LANES)
#pragma unroll
        for (int r = 0; r < OWN_ROWS; r++)
#pragma unroll
            for (int c = 0; c < OWN_COLUMNS; c++)
#pragma unroll
                for (int lane = 0; lane < TILE_LANES; lane++)
                    sums[r][c][lane] += x_tile[r * TILE_DOWN * TILE_STRIDE + at + lane] *
                                        w_tile[c * TILE_ACROSS * TILE_STRIDE + at + lane];
}

static __global__ void __launch_bounds__(TILE_THREADS) gemm_tile(gemm_product p)
{
    __shared__ __align__(64) float x_tile[TILE_ROWS * TILE_STRIDE], w_tile[TILE_COLUMNS * TILE_STRIDE];
    const int first_row = blockIdx.y * TILE_ROWS, first_column = blockIdx.x * TILE_COLUMNS;
    const int row = threadIdx.x / TILE_ACROSS, column = threadIdx.x % TILE_ACROSS;
    float sums[OWN_ROWS][OWN_COLUMNS][TILE_LANES] = {};
    for (int at = 0; at < p.k; at += TILE_STEP) {
        __syncthreads(); /* the step before is read by all */
        copy_tile(x_tile, TILE_ROWS, p.x, first_row, p.m, at, p.k);
        copy_tile(w_tile, TILE_COLUMNS, p.w, first_column, p.n, at, p.k);
        __syncthreads();
        multiply_tile(sums, x_tile + row * TILE_STRIDE, w_tile + column * TILE_STRIDE);
    }
    for (int r = 0; r < OWN_ROWS; r++)
        for (int c = 0; c < OWN_COLUMNS; c++) {
            float sum = sums[r][c][0];
            for (int lane = 1; lane < TILE_LANES; lane++)
                sum += sums[r][c][lane];
            store(&p, first_row + row + r * TILE_DOWN, first_column + column + c * TILE_ACROSS, sum);
        }
}

#endif

static pk_status run_plain(const gemm_product *p, void *stream)
{
    const dim3 grid((p->n + TILE_COLUMNS - 1) / TILE_COLUMNS, (p->m + TILE_ROWS - 1) / TILE_ROWS);
    PK_LAUNCH(gemm_tile, grid, TILE_THREADS, 0, (cudaStream_t)stream, *p);
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
