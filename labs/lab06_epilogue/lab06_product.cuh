/* Lab 06: the products of --work=product, given, with an end that is the kernel's own. END has two functions:
 *     lab06_end_ask(end, row, column)                  what the end needs from memory, as a lab06_side
 *     lab06_end_put(end, row, column, sum, up, side)   what becomes of a column's sums, which are in registers: `up` is
 *                                                      the gate's second one, and 0 for GELU
 * A matrix of one row is bound by reading w: a warp has a few rows of w, asks for its side before it adds up, and adds
 * up last of all the lanes' parts. More rows go by tiles, pk_gemm_tile.cuh. */
#ifndef LAB06_PRODUCT_CUH
#define LAB06_PRODUCT_CUH

#include "decode/pk_gemm_tile.cuh"

#include "lab06_operators.cuh"

typedef struct lab06_side { /* of an element */
    float bias, bias_up, before;
} lab06_side;

enum { LAB06_LANES = 32, LAB06_ROWS_OF_WARP = 4, LAB06_MATVEC_THREADS = 128 };

typedef void (*lab06_product_kernel)(lab06_product);

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

/* One row of a: the warp's LAB06_ROWS_OF_WARP sums, of the gate two gates and their two ups. Columns beyond the matrix
 * are its last one, and are not put. */
template <int ACT, typename END> static __device__ inline void lab06_matvec(const lab06_product *p, const END *end)
{
    enum { PARTS = ACT == LAB06_GELU ? 1 : 2, COLUMNS = LAB06_ROWS_OF_WARP / PARTS };
    const int lane = threadIdx.x % LAB06_LANES, columns = p->view.columns, chunks = p->inner / 8;
    const int first = (int)(blockIdx.x * (blockDim.x / LAB06_LANES) + threadIdx.x / LAB06_LANES) * COLUMNS;
    const int mine = first + lane; /* of the first lanes: the column that this one puts */
    const bool puts = lane < COLUMNS && mine < columns;
    lab06_side side = {0, 0, 0};
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
            const int column = first + r % COLUMNS < columns ? first + r % COLUMNS : columns - 1;
            const int row = lab06_row_of_w(PARTS, r / COLUMNS, column);
            sum[r] = lab06_dot(a, lab06_load_16(p->w + (size_t)row * p->inner + 8 * (size_t)at), sum[r]);
        }
    }
#pragma unroll
    for (int r = 0; r < LAB06_ROWS_OF_WARP; r++)
#pragma unroll
        for (int bit = LAB06_LANES / 2; bit > 0; bit /= 2)
            sum[r] += __shfl_xor_sync(0xffffffffu, sum[r], bit);
    float result = sum[0], up = ACT == LAB06_GELU ? 0 : sum[COLUMNS % LAB06_ROWS_OF_WARP];
#pragma unroll
    for (int r = 1; r < COLUMNS; r++) {
        result = lane == r ? sum[r] : result;
        up = ACT != LAB06_GELU && lane == r ? sum[(COLUMNS + r) % LAB06_ROWS_OF_WARP] : up;
    }
    if (puts)
        lab06_end_put(end, 0, mine, result, up, side);
}

/* By tiles, as many rows as there are. */
template <typename END> struct lab06_tile_end {
    const END *end;
    int columns;
};
template <typename END>
static __device__ inline void pk_gemm_end(const lab06_tile_end<END> *tile, int row, int column, float sum)
{
    lab06_end_put(tile->end, row, column, sum, 0.0f, lab06_end_ask(tile->end, row, column));
}
template <typename END>
static __device__ inline void pk_gemm_end_pair(const lab06_tile_end<END> *tile, int row, int row_of_w, float sum,
                                               float up)
{
    const int column = row_of_w / (2 * LAB06_GROUP) * LAB06_GROUP + row_of_w % LAB06_GROUP;
    if (column < tile->columns)
        lab06_end_put(tile->end, row, column, sum, up, lab06_end_ask(tile->end, row, column));
}
template <int ACT, typename END> static __device__ inline void lab06_tile(const lab06_product *p, const END *end)
{
    static_assert((int)LAB06_GROUP == (int)PK_GEMM_PAIR_APART, "rows of w alternate as the tiled kernel's pairs do");
    const lab06_tile_end<END> tile = {end, p->view.columns};
    if (ACT == LAB06_GELU)
        pk_gemm_tile(p->a, p->w, p->view.rows, p->w_rows, p->inner, &tile);
    else
        pk_gemm_tile_pairs(p->a, p->w, p->view.rows, p->w_rows, p->inner, &tile);
}

/* ---- grids ---- */

static inline unsigned lab06_matvec_blocks(const lab06 *lab)
{
    const int columns = LAB06_MATVEC_THREADS / LAB06_LANES * LAB06_ROWS_OF_WARP / lab->view.parts; /* of a block */
    return (unsigned)((lab->view.columns + columns - 1) / columns);
}

static inline dim3 lab06_tiles(const lab06 *lab)
{
    return dim3((unsigned)(lab->product.w_rows + PK_GEMM_TILE_COLUMNS - 1) / PK_GEMM_TILE_COLUMNS,
                (unsigned)(lab->view.rows + PK_GEMM_TILE_ROWS - 1) / PK_GEMM_TILE_ROWS);
}

#endif
