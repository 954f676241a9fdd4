/* Lab 06, part two: planted mistakes of an epilogue in the product. See mistakes.cu. */
#include "lab06_product.cuh"

enum {
    END_RIGHT,
    END_BIAS_OF_ROW, /* bias[row]: rows and columns of a tile changed */
    END_TWICE,       /* the epilogue of what is there already, as for a product in parts */
    END_WITHOUT_BIAS,
    END_TRANSPOSED /* out[column][row], where there is such a place */
};

template <int MISTAKE> struct wrong_end {
    lab06_view view;
};

template <int MISTAKE>
static __device__ inline lab06_side lab06_end_ask(const wrong_end<MISTAKE> *end, int row, int column)
{
    const lab06_view *const v = &end->view;
    lab06_side side = {0, 0};
    if (MISTAKE != END_WITHOUT_BIAS)
        side.bias = ((const float *)v->bias)[MISTAKE == END_BIAS_OF_ROW ? row % v->columns : column];
    side.before = ((const float *)v->h)[lab06_element(v, row, column)];
    return side;
}

template <int MISTAKE>
static __device__ inline void lab06_end_put(const wrong_end<MISTAKE> *end, int row, int column, float sum,
                                            lab06_side side)
{
    const lab06_view *const v = &end->view;
    float value = side.before + lab06_one_of<LAB06_OP_GELU, LAB06_EXACT>(sum + side.bias, 0.0f);
    if (MISTAKE == END_TWICE)
        value = side.before + lab06_one_of<LAB06_OP_GELU, LAB06_EXACT>(value + side.bias, 0.0f);
    const bool changed = MISTAKE == END_TRANSPOSED && row < v->columns && column < v->rows;
    ((float *)v->out)[changed ? lab06_element(v, column, row) : lab06_element(v, row, column)] = value;
}

template <int MISTAKE> static __global__ void __launch_bounds__(PK_GEMM_TILE_THREADS) wrong_tile(lab06_product p)
{
    const wrong_end<MISTAKE> end = {p.view};
    lab06_tile(&p, &end);
}

template <int MISTAKE> static __global__ void __launch_bounds__(LAB06_MATVEC_THREADS) wrong_matvec(lab06_product p)
{
    const wrong_end<MISTAKE> end = {p.view};
    lab06_matvec(&p, &end);
}

template <int MISTAKE> static pk_status by_tiles(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    PK_LAUNCH(wrong_tile<MISTAKE>, lab06_tiles(&lab->view), PK_GEMM_TILE_THREADS, 0, stream, lab->product);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

/* `blocks_short` blocks too few. */
template <int MISTAKE, int BLOCKS_SHORT> static pk_status by_warps(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    PK_LAUNCH(wrong_matvec<MISTAKE>, lab06_matvec_blocks(&lab->view) - BLOCKS_SHORT, LAB06_MATVEC_THREADS, 0, stream,
              lab->product);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

PK_VARIANTS(mistakes_product) = {
    {"product-right", "nothing wrong: the others' frame", 0, NULL, by_tiles<END_RIGHT>, NULL},
    {"product-bias-of-row", "the bias by the row of the tile", 0, NULL, by_tiles<END_BIAS_OF_ROW>, NULL},
    {"product-twice", "the epilogue of what an epilogue has made", 0, NULL, by_tiles<END_TWICE>, NULL},
    {"product-without-bias", "no bias", 0, NULL, by_tiles<END_WITHOUT_BIAS>, NULL},
    {"product-transposed", "rows and columns of the tile changed", 0, NULL, by_tiles<END_TRANSPOSED>, NULL},
    {"in-matvec-right", "nothing wrong", 0, NULL, by_warps<END_RIGHT, 0>, NULL},
    {"in-matvec-short", "a block too few", 0, NULL, by_warps<END_RIGHT, 1>, NULL},
};
PK_VARIANTS_END(mistakes_product)
