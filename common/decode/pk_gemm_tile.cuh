/* The plain tiled product of two bf16 matrices, and what becomes of its results: for kernels whose end is their own.
 * Device functions, C style.
 *
 * y [m][n] = x [m][k] w [n][k] transposed. A block of PK_GEMM_TILE_THREADS makes one tile of y: the one of column
 * blockIdx.x, row blockIdx.y. Tiles of x and w go through shared memory, a step of k at a time; sums are fp32 and in
 * the order of k. On NVIDIA the products are the tensor cores'. Elsewhere a thread owns a few rows and columns of the
 * tile and multiplies in fp32. Either way row i of y is made of row i of x by the same operations in the same order
 * whatever m is: rows beyond m are zeroes in the tile, and are not stored.
 *
 * Each result is handed to pk_gemm_end(end, row, column, value), a function that the kernel's file defines for its own
 * END, while it is in a register. Or, by pk_gemm_tile_pairs, two of a row at once, for ends that need both: to
 * pk_gemm_end_pair(end, row, column, value, other), where `other` is the result PK_GEMM_PAIR_APART columns on. For that
 * rows of w alternate in groups of so many: 16 first ones, their 16 others, and so on, and n is a multiple of 32.
 * k is a multiple of 8; x and w are 16-byte aligned. */
#ifndef PK_GEMM_TILE_CUH
#define PK_GEMM_TILE_CUH

#include "pk_async.h"
#include "pk_gpu.h"

#include "decode/mma.cuh"

enum { PK_GEMM_PAIR_APART = 16 }; /* columns of one thread, whoever multiplies: see the two forms below */

template <typename END>
static __device__ inline void pk_gemm_end_inside(const END *end, int m, int n, int row, int column, float value)
{
    if (row < m && column < n)
        pk_gemm_end(end, row, column, value);
}

template <typename END>
static __device__ inline void pk_gemm_end_pair_inside(const END *end, int m, int n, int row, int column, float value,
                                                      float other)
{
    if (row < m && column < n)
        pk_gemm_end_pair(end, row, column, value, other);
}

#if defined(PK_HAS_MMA)

enum {
    PK_GEMM_TILE_ROWS = 64,
    PK_GEMM_TILE_COLUMNS = 64,
    PK_GEMM_TILE_STEP = 64,                      /* of k: 128 bytes of a row */
    PK_GEMM_TILE_STRIDE = PK_GEMM_TILE_STEP + 8, /* see pk_mma_load_a */
    PK_GEMM_TILE_THREADS = 128,                  /* four warps, each with a quarter of the tile: 32 x 32 */
    PK_GEMM_TILE_STAGES = 2                      /* one that is multiplied, one that is on its way */
};

/* Ask for 64 rows of a step: rows first.. of `from` [rows][k], columns at... What lies beyond is zero. */
static __device__ inline void pk_gemm_copy_tile(uint16_t *tile, const uint16_t *from, int first, int rows, int at,
                                                int k)
{
    enum { CHUNKS = PK_GEMM_TILE_STEP / 8 };
    for (int i = threadIdx.x; i < PK_GEMM_TILE_ROWS * CHUNKS; i += PK_GEMM_TILE_THREADS) {
        const int row = i / CHUNKS, column = i % CHUNKS * 8;
        uint16_t *const to = tile + row * PK_GEMM_TILE_STRIDE + column;
        if (first + row < rows && at + column < k)
            pk_async_copy_16(to, from + (size_t)(first + row) * k + at + column);
        else
            *(uint4 *)to = make_uint4(0, 0, 0, 0);
    }
}

/* A warp's 32 x 32 of a step: sums += x_tile [32][PK_GEMM_TILE_STEP] * w_tile [32][PK_GEMM_TILE_STEP] transposed. */
static __device__ inline void pk_gemm_multiply_tile(float sums[2][4][4], const uint16_t *x_tile, const uint16_t *w_tile)
{
#pragma unroll
    for (int at = 0; at < PK_GEMM_TILE_STEP; at += 16) {
        unsigned a[2][4], b[2][4];
#pragma unroll
        for (int i = 0; i < 2; i++) {
            pk_mma_load_a(a[i], x_tile + 16 * i * PK_GEMM_TILE_STRIDE + at, PK_GEMM_TILE_STRIDE);
            pk_mma_load_b_columns(b[i], w_tile + 16 * i * PK_GEMM_TILE_STRIDE + at, PK_GEMM_TILE_STRIDE);
        }
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                pk_mma(sums[i][j], a[i], b[j / 2] + j % 2 * 2);
    }
}

/* The block's tile: of each warp a quarter, of each thread results as mma.cuh has them. */
static __device__ inline void pk_gemm_sum_tile(const uint16_t *x, const uint16_t *w, int m, int n, int k,
                                               float sums[2][4][4])
{
    __shared__ __align__(16) uint16_t x_tile[PK_GEMM_TILE_STAGES][PK_GEMM_TILE_ROWS * PK_GEMM_TILE_STRIDE];
    __shared__ __align__(16) uint16_t w_tile[PK_GEMM_TILE_STAGES][PK_GEMM_TILE_COLUMNS * PK_GEMM_TILE_STRIDE];
    const int first_row = blockIdx.y * PK_GEMM_TILE_ROWS, first_column = blockIdx.x * PK_GEMM_TILE_COLUMNS;
    const int warp = threadIdx.x / 32, row = warp / 2 * 32, column = warp % 2 * 32; /* the warp's part */
    const int steps = (k + PK_GEMM_TILE_STEP - 1) / PK_GEMM_TILE_STEP;
    pk_gemm_copy_tile(x_tile[0], x, first_row, m, 0, k);
    pk_gemm_copy_tile(w_tile[0], w, first_column, n, 0, k);
    pk_async_commit();
    for (int i = 0; i < steps; i++) {
        const int stage = i % PK_GEMM_TILE_STAGES, other = 1 - stage;
        if (i + 1 < steps) {
            pk_gemm_copy_tile(x_tile[other], x, first_row, m, (i + 1) * PK_GEMM_TILE_STEP, k);
            pk_gemm_copy_tile(w_tile[other], w, first_column, n, (i + 1) * PK_GEMM_TILE_STEP, k);
        }
        pk_async_commit(); /* empty at the end, so that the wait below is always for this step */
        pk_async_wait_prior<1>();
        __syncthreads(); /* this stage is there for all */
        pk_gemm_multiply_tile(sums, x_tile[stage] + row * PK_GEMM_TILE_STRIDE,
                              w_tile[stage] + column * PK_GEMM_TILE_STRIDE);
        __syncthreads(); /* and read by all before it is copied into again */
    }
}

/* Row of y of result (i, ., e), column of result (., j, e): of this thread. */
static __device__ inline int pk_gemm_row_of(int i, int e)
{
    return blockIdx.y * PK_GEMM_TILE_ROWS + threadIdx.x / 32 / 2 * 32 + 16 * i + e / 2 * 8 + pk_mma_lane() / 4;
}
static __device__ inline int pk_gemm_column_of(int j, int e)
{
    return blockIdx.x * PK_GEMM_TILE_COLUMNS + threadIdx.x / 32 % 2 * 32 + 8 * j + 2 * (pk_mma_lane() % 4) + e % 2;
}

template <typename END>
static __device__ inline void pk_gemm_tile(const uint16_t *x, const uint16_t *w, int m, int n, int k, const END *end)
{
    float sums[2][4][4] = {};
    pk_gemm_sum_tile(x, w, m, n, k, sums);
    /* Unrolled, all of it: else sums, whose places are then computed, are in local memory, in the loop of products too.
     */
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                pk_gemm_end_inside(end, m, n, pk_gemm_row_of(i, e), pk_gemm_column_of(j, e), sums[i][j][e]);
}

template <typename END>
static __device__ inline void pk_gemm_tile_pairs(const uint16_t *x, const uint16_t *w, int m, int n, int k,
                                                 const END *end)
{
    enum { APART = PK_GEMM_PAIR_APART / 8 }; /* results of 8 columns */
    float sums[2][4][4] = {};
    pk_gemm_sum_tile(x, w, m, n, k, sums);
    /* Unrolled likewise. */
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < APART; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                pk_gemm_end_pair_inside(end, m, n, pk_gemm_row_of(i, e), pk_gemm_column_of(j, e), sums[i][j][e],
                                        sums[i][j + APART][e]);
}

#else

/* A thread owns PK_GEMM_OWN_ROWS x PK_GEMM_OWN_COLUMNS results, and keeps each as PK_GEMM_TILE_LANES partial sums, of k
 * modulo PK_GEMM_TILE_LANES. On a GPU that is one; on the CPU device as many as a vector of the processor has, since a
 * compiler may not split a sum by itself. There blocks are small, too: a barrier costs by the thread. */
enum {
#if defined(PK_BACKEND_CPU)
    PK_GEMM_TILE_ROWS = 16,
    PK_GEMM_TILE_STEP = 64,
    PK_GEMM_TILE_LANES = 8,
    PK_GEMM_TILE_STRIDE = PK_GEMM_TILE_STEP,
#else
    PK_GEMM_TILE_ROWS = 64,
    PK_GEMM_TILE_STEP = 32,
    PK_GEMM_TILE_LANES = 1,
    PK_GEMM_TILE_STRIDE = PK_GEMM_TILE_STEP + 1, /* neighbouring columns in different banks */
#endif
    PK_GEMM_TILE_COLUMNS = 64,
    PK_GEMM_OWN_ROWS = 4,
    PK_GEMM_OWN_COLUMNS = 4,
    /* threads side by side: column c of thread i is i + c * PK_GEMM_TILE_ACROSS */
    PK_GEMM_TILE_ACROSS = PK_GEMM_TILE_COLUMNS / PK_GEMM_OWN_COLUMNS,
    PK_GEMM_TILE_DOWN = PK_GEMM_TILE_ROWS / PK_GEMM_OWN_ROWS,
    PK_GEMM_TILE_THREADS = PK_GEMM_TILE_ACROSS * PK_GEMM_TILE_DOWN
};

/* `tile_rows` rows of a step as floats: rows first.. of `from` [rows][k], columns at... What lies beyond is zero. */
static __device__ inline void pk_gemm_copy_tile(float *tile, int tile_rows, const uint16_t *from, int first, int rows,
                                                int at, int k)
{
    enum { CHUNKS = PK_GEMM_TILE_STEP / 8 };
    for (int i = threadIdx.x; i < tile_rows * CHUNKS; i += PK_GEMM_TILE_THREADS) {
        const int row = i / CHUNKS, column = i % CHUNKS * 8;
        const uint16_t *const chunk = from + (size_t)(first + row) * k + at + column;
        const bool there = first + row < rows && at + column < k; /* k is a multiple of 8 */
        for (int j = 0; j < 8; j++)
            tile[row * PK_GEMM_TILE_STRIDE + column + j] = there ? __uint_as_float((unsigned)chunk[j] << 16) : 0.0f;
    }
}

static __device__ inline void
pk_gemm_multiply_tile(float sums[PK_GEMM_OWN_ROWS][PK_GEMM_OWN_COLUMNS][PK_GEMM_TILE_LANES], const float *x_tile,
                      const float *w_tile)
{
    for (int at = 0; at < PK_GEMM_TILE_STEP; at += PK_GEMM_TILE_LANES)
#pragma unroll
        for (int r = 0; r < PK_GEMM_OWN_ROWS; r++)
#pragma unroll
            for (int c = 0; c < PK_GEMM_OWN_COLUMNS; c++)
#pragma unroll
                for (int lane = 0; lane < PK_GEMM_TILE_LANES; lane++)
                    sums[r][c][lane] += x_tile[r * PK_GEMM_TILE_DOWN * PK_GEMM_TILE_STRIDE + at + lane] *
                                        w_tile[c * PK_GEMM_TILE_ACROSS * PK_GEMM_TILE_STRIDE + at + lane];
}

static __device__ inline void pk_gemm_sum_tile(const uint16_t *x, const uint16_t *w, int m, int n, int k,
                                               float sums[PK_GEMM_OWN_ROWS][PK_GEMM_OWN_COLUMNS][PK_GEMM_TILE_LANES])
{
    __shared__ __align__(64) float x_tile[PK_GEMM_TILE_ROWS * PK_GEMM_TILE_STRIDE],
        w_tile[PK_GEMM_TILE_COLUMNS * PK_GEMM_TILE_STRIDE];
    const int first_row = blockIdx.y * PK_GEMM_TILE_ROWS, first_column = blockIdx.x * PK_GEMM_TILE_COLUMNS;
    const int row = threadIdx.x / PK_GEMM_TILE_ACROSS, column = threadIdx.x % PK_GEMM_TILE_ACROSS;
    for (int at = 0; at < k; at += PK_GEMM_TILE_STEP) {
        __syncthreads(); /* the step before is read by all */
        pk_gemm_copy_tile(x_tile, PK_GEMM_TILE_ROWS, x, first_row, m, at, k);
        pk_gemm_copy_tile(w_tile, PK_GEMM_TILE_COLUMNS, w, first_column, n, at, k);
        __syncthreads();
        pk_gemm_multiply_tile(sums, x_tile + row * PK_GEMM_TILE_STRIDE, w_tile + column * PK_GEMM_TILE_STRIDE);
    }
}

static __device__ inline int pk_gemm_row_of(int r)
{
    return blockIdx.y * PK_GEMM_TILE_ROWS + threadIdx.x / PK_GEMM_TILE_ACROSS + r * PK_GEMM_TILE_DOWN;
}
static __device__ inline int pk_gemm_column_of(int c)
{
    return blockIdx.x * PK_GEMM_TILE_COLUMNS + threadIdx.x % PK_GEMM_TILE_ACROSS + c * PK_GEMM_TILE_ACROSS;
}

static __device__ inline float pk_gemm_sum_parts(const float parts[PK_GEMM_TILE_LANES])
{
    float sum = parts[0];
    for (int lane = 1; lane < PK_GEMM_TILE_LANES; lane++)
        sum += parts[lane];
    return sum;
}

template <typename END>
static __device__ inline void pk_gemm_tile(const uint16_t *x, const uint16_t *w, int m, int n, int k, const END *end)
{
    float sums[PK_GEMM_OWN_ROWS][PK_GEMM_OWN_COLUMNS][PK_GEMM_TILE_LANES] = {};
    pk_gemm_sum_tile(x, w, m, n, k, sums);
    for (int r = 0; r < PK_GEMM_OWN_ROWS; r++)
        for (int c = 0; c < PK_GEMM_OWN_COLUMNS; c++)
            pk_gemm_end_inside(end, m, n, pk_gemm_row_of(r), pk_gemm_column_of(c), pk_gemm_sum_parts(sums[r][c]));
}

template <typename END>
static __device__ inline void pk_gemm_tile_pairs(const uint16_t *x, const uint16_t *w, int m, int n, int k,
                                                 const END *end)
{
    static_assert((int)PK_GEMM_TILE_ACROSS == (int)PK_GEMM_PAIR_APART,
                  "a thread's columns are as far apart as those of a pair");
    float sums[PK_GEMM_OWN_ROWS][PK_GEMM_OWN_COLUMNS][PK_GEMM_TILE_LANES] = {};
    pk_gemm_sum_tile(x, w, m, n, k, sums);
    for (int r = 0; r < PK_GEMM_OWN_ROWS; r++)
        for (int c = 0; c < PK_GEMM_OWN_COLUMNS; c += 2)
            pk_gemm_end_pair_inside(end, m, n, pk_gemm_row_of(r), pk_gemm_column_of(c), pk_gemm_sum_parts(sums[r][c]),
                                    pk_gemm_sum_parts(sums[r][c + 1]));
}

#endif

#endif
