/* Lab 06: the products of --work=product, given, with an end that is the kernel's own. END has two functions:
 *     lab06_end_ask(end, row, column)              what the end needs from memory, as a lab06_side
 *     lab06_end_put(end, row, column, sum, side)   what becomes of a sum, which is in a register
 * A matrix of one row is bound by reading w: a warp has a few rows of w, asks for its side before it adds up, and adds
 * up last of all the lanes' parts. More rows go by tiles, pk_gemm_tile.cuh. */
#ifndef LAB06_PRODUCT_CUH
#define LAB06_PRODUCT_CUH

#include "decode/pk_gemm_tile.cuh"

#include "lab06_operators.cuh"

typedef struct lab06_side { /* of an element */
    float bias, before;
} lab06_side;

enum { LAB06_LANES = 32, LAB06_ROWS_OF_WARP = 4, LAB06_MATVEC_THREADS = 128 };

static __device__ inline float lab06_dot(uint4 a, uint4 w, float sum)
{
    float x[8], y[8];
    lab06_chunk<LAB06_BF16>::unpack(a, x);
    lab06_chunk<LAB06_BF16>::unpack(w, y);
#pragma unroll
    for (int i = 0; i < 8; i++)
        sum += x[i] * y[i];
    return sum;
}

/* One row of a: the warp's LAB06_ROWS_OF_WARP results. Columns beyond the matrix are its last one, and are not put. */
template <typename END> static __device__ inline void lab06_matvec(const lab06_product *p, const END *end)
{
    const int lane = threadIdx.x % LAB06_LANES, columns = p->view.columns, chunks = p->inner / 8;
    const int first = (int)(blockIdx.x * (blockDim.x / LAB06_LANES) + threadIdx.x / LAB06_LANES) * LAB06_ROWS_OF_WARP;
    const int mine = first + lane; /* of lanes 0 to 3: the column that this one puts */
    const bool puts = lane < LAB06_ROWS_OF_WARP && mine < columns;
    lab06_side side = {0, 0};
    float sum[LAB06_ROWS_OF_WARP] = {};
    if (first >= columns)
        return;
    if (puts)
        side = lab06_end_ask(end, 0, mine);
#pragma unroll 2
    for (int at = lane; at < chunks; at += LAB06_LANES) {
        const uint4 a = lab06_load_16(p->a + 8 * (size_t)at);
#pragma unroll
        for (int r = 0; r < LAB06_ROWS_OF_WARP; r++) {
            const int column = first + r < columns ? first + r : columns - 1;
            sum[r] = lab06_dot(a, lab06_load_16(p->w + (size_t)column * p->inner + 8 * (size_t)at), sum[r]);
        }
    }
#pragma unroll
    for (int r = 0; r < LAB06_ROWS_OF_WARP; r++)
#pragma unroll
        for (int bit = LAB06_LANES / 2; bit > 0; bit /= 2)
            sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], bit);
    float result = sum[0];
#pragma unroll
    for (int r = 1; r < LAB06_ROWS_OF_WARP; r++)
        result = lane == r ? sum[r] : result;
    if (puts)
        lab06_end_put(end, 0, mine, result, side);
}

/* By tiles, as many rows as there are. */
template <typename END> struct lab06_tile_end {
    const END *end;
};
template <typename END>
static __device__ inline void pk_gemm_end(const lab06_tile_end<END> *tile, int row, int column, float sum)
{
    lab06_end_put(tile->end, row, column, sum, lab06_end_ask(tile->end, row, column));
}
template <typename END> static __device__ inline void lab06_tile(const lab06_product *p, const END *end)
{
    const lab06_tile_end<END> tile = {end};
    pk_gemm_tile(p->a, p->w, p->view.rows, p->view.columns, p->inner, &tile);
}

/* An element of the view's matrices, which are fp32 here. */
static __device__ inline size_t lab06_element(const lab06_view *v, int row, int column)
{
    return (size_t)row * v->pitch + column;
}

/* ---- grids ---- */

static inline unsigned lab06_matvec_blocks(const lab06_view *v)
{
    const int columns = LAB06_MATVEC_THREADS / LAB06_LANES * LAB06_ROWS_OF_WARP; /* of a block */
    return (unsigned)((v->columns + columns - 1) / columns);
}

static inline dim3 lab06_tiles(const lab06_view *v)
{
    return dim3((unsigned)(v->columns + PK_GEMM_TILE_COLUMNS - 1) / PK_GEMM_TILE_COLUMNS,
                (unsigned)(v->rows + PK_GEMM_TILE_ROWS - 1) / PK_GEMM_TILE_ROWS);
}

#endif
