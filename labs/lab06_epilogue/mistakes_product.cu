/* Lab 06, part two: planted mistakes of an epilogue in the product. See mistakes.cu. */
#include "lab06_product.cuh"

enum {
    END_RIGHT,
    END_BIAS_OF_ROW, /* bias[row]: rows and columns of a tile changed */
    END_TWICE,       /* the epilogue of what is there already, as for a product in parts */
    END_WITHOUT_BIAS,
    END_TRANSPOSED,   /* out[column][row], where there is such a place */
    END_ADDED_BEFORE, /* the residual before the activation, as a library adds what is there */
    END_GATE_AND_UP,  /* changed */
    END_UP_WITHOUT_BIAS,
    END_ROUNDED /* the activation to bf16 before the residual, as a library that writes bf16 */
};

/* An instance of END for a kind of product. */
template <int MISTAKE, int TYPE, int ACT> struct wrong_end {
    lab06_view view;
};

template <int MISTAKE, int TYPE, int ACT>
static __device__ inline lab06_side lab06_end_ask(const wrong_end<MISTAKE, TYPE, ACT> *end, int row, int column)
{
    const lab06_row<TYPE> at = lab06_row_of<TYPE>(&end->view, 0, row);
    lab06_side side = {0, 0, 0};
    if (MISTAKE != END_WITHOUT_BIAS)
        side.bias = lab06_read(at.bias[MISTAKE == END_BIAS_OF_ROW ? row % end->view.columns : column]);
    if (ACT == LAB06_SILU_GATE && MISTAKE != END_UP_WITHOUT_BIAS)
        side.bias_up = lab06_read(at.bias_up[column]);
    side.before = lab06_read(at.before[column]);
    return side;
}

template <int MISTAKE, int TYPE, int ACT>
static __device__ inline void lab06_end_put(const wrong_end<MISTAKE, TYPE, ACT> *end, int row, int column, float sum,
                                            float up, lab06_side side)
{
    const bool changed = MISTAKE == END_TRANSPOSED && row < end->view.columns && column < end->view.rows;
    const lab06_row<TYPE> at = lab06_row_of<TYPE>(&end->view, 0, changed ? column : row);
    float v = sum + side.bias, other = up + side.bias_up;
    if (MISTAKE == END_GATE_AND_UP) {
        v = up + side.bias_up;
        other = sum + side.bias;
    } else if (MISTAKE == END_ADDED_BEFORE) {
        v += side.before;
    }
    float value = lab06_activate<ACT, LAB06_EXACT>(v, other);
    if (MISTAKE == END_TWICE)
        value = lab06_activate<ACT, LAB06_EXACT>(value + side.before + side.bias, other);
    if (MISTAKE == END_ROUNDED)
        value = lab06_as_stored<TYPE>(value);
    lab06_write(&at.out[changed ? row : column], MISTAKE == END_ADDED_BEFORE ? value : value + side.before);
}

template <int MISTAKE, int TYPE, int ACT>
static __global__ void __launch_bounds__(PK_GEMM_TILE_THREADS) wrong_tile(lab06_product p)
{
    const wrong_end<MISTAKE, TYPE, ACT> end = {p.view};
    lab06_tile<ACT>(&p, &end);
}

template <int MISTAKE, int TYPE, int ACT>
static __global__ void __launch_bounds__(LAB06_MATVEC_THREADS) wrong_matvec(lab06_product p)
{
    const wrong_end<MISTAKE, TYPE, ACT> end = {p.view};
    lab06_matvec<ACT>(&p, &end);
}

/* The instance for the run's type and activation. */
#define KERNEL(lab, kernel, mistake)                                                                                   \
    ((lab)->type == LAB06_FP32 ? ((lab)->act == LAB06_GELU ? kernel<mistake, LAB06_FP32, LAB06_GELU>                   \
                                                           : kernel<mistake, LAB06_FP32, LAB06_SILU_GATE>)             \
                               : ((lab)->act == LAB06_GELU ? kernel<mistake, LAB06_BF16, LAB06_GELU>                   \
                                                           : kernel<mistake, LAB06_BF16, LAB06_SILU_GATE>))

template <int MISTAKE> static pk_status by_tiles(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab06_product_kernel tile = KERNEL(lab, wrong_tile, MISTAKE);
    PK_LAUNCH(tile, lab06_tiles(lab), PK_GEMM_TILE_THREADS, 0, stream, lab->product);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

/* `blocks_short` blocks too few. */
template <int MISTAKE, int BLOCKS_SHORT> static pk_status by_warps(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab06_product_kernel matvec = KERNEL(lab, wrong_matvec, MISTAKE);
    PK_LAUNCH(matvec, lab06_matvec_blocks(lab) - BLOCKS_SHORT, LAB06_MATVEC_THREADS, 0, stream, lab->product);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

PK_VARIANTS(mistakes_product) = {
    {"product-right", "nothing wrong: the others' frame", 0, NULL, by_tiles<END_RIGHT>, NULL},
    {"product-bias-of-row", "the bias by the row of the tile", 0, NULL, by_tiles<END_BIAS_OF_ROW>, NULL},
    {"product-twice", "the epilogue of what an epilogue has made", 0, NULL, by_tiles<END_TWICE>, NULL},
    {"product-without-bias", "no bias", 0, NULL, by_tiles<END_WITHOUT_BIAS>, NULL},
    {"product-transposed", "rows and columns of the tile changed", 0, NULL, by_tiles<END_TRANSPOSED>, NULL},
    {"product-added-before", "the residual before the activation", 0, NULL, by_tiles<END_ADDED_BEFORE>, NULL},
    {"product-gate-and-up", "gate and up changed", 0, NULL, by_tiles<END_GATE_AND_UP>, NULL},
    {"product-rounded", "the activation rounded before the residual", 0, NULL, by_tiles<END_ROUNDED>, NULL},
    {"in-matvec-up-without-bias", "no bias of up", 0, NULL, by_warps<END_UP_WITHOUT_BIAS, 0>, NULL},
    {"in-matvec-right", "nothing wrong", 0, NULL, by_warps<END_RIGHT, 0>, NULL},
    {"in-matvec-short", "a block too few", 0, NULL, by_warps<END_RIGHT, 1>, NULL},
};
PK_VARIANTS_END(mistakes_product)
