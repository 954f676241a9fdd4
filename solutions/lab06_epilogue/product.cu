/* Lab 06, part two, --work=product: the epilogue in the product that makes its x. Fill in the steps; the page is
 * PRODUCT.md beside this file.
 *
 *   in-matvec   one row, as in decode: the product is bound by reading w
 *   in-product  any rows: by tiles, on tensor cores where there are
 *
 * Only lines between STEP and END change. The products are given, in lab06_product.cuh: they ask this file what an
 * element needs, and hand it each sum while it is in a register. */
#include "lab06_product.cuh"

template <int MATH> struct epilogue_end {
    lab06_view view;
};

/* What element (row, column) needs from memory. Of a matvec this is asked for before its sums are made. */
template <int MATH>
static __device__ inline lab06_side lab06_end_ask(const epilogue_end<MATH> *end, int row, int column)
{
    const lab06_view *const v = &end->view;
    lab06_side side = {0, 0};
    /* STEP lab06.14 for in-matvec, in-product: read the column's bias, and of h the element (about 2 lines) */
    side.bias = ((const float *)v->bias)[column];
    side.before = ((const float *)v->h)[lab06_element(v, row, column)];
    /* END lab06.14 */
    return side;
}

/* What becomes of the sum of element (row, column). */
template <int MATH>
static __device__ inline void lab06_end_put(const epilogue_end<MATH> *end, int row, int column, float sum,
                                            lab06_side side)
{
    const lab06_view *const v = &end->view;
    /* STEP lab06.15 for in-matvec, in-product: bias, lab06_one_of<LAB06_OP_GELU, MATH>(v, 0), residual, out (about 2 lines) */
    const float activated = lab06_one_of<LAB06_OP_GELU, MATH>(sum + side.bias, 0.0f);
    ((float *)v->out)[lab06_element(v, row, column)] = side.before + activated;
    /* END lab06.15 */
}

template <int MATH> static __global__ void __launch_bounds__(LAB06_MATVEC_THREADS) matvec_to_out(lab06_product p)
{
    const epilogue_end<MATH> end = {p.view};
    lab06_matvec(&p, &end);
}

template <int MATH> static __global__ void __launch_bounds__(PK_GEMM_TILE_THREADS) tile_to_out(lab06_product p)
{
    const epilogue_end<MATH> end = {p.view};
    lab06_tile(&p, &end);
}

typedef void (*product_kernel)(lab06_product);

static pk_status in_matvec(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const product_kernel matvec = lab->math == LAB06_EXACT ? matvec_to_out<LAB06_EXACT> : matvec_to_out<LAB06_FAST>;
    /* STEP lab06.16 for in-matvec: one launch: lab06_matvec_blocks, LAB06_MATVEC_THREADS; one wait (about 3 lines) */
    PK_LAUNCH(matvec, lab06_matvec_blocks(&lab->view), LAB06_MATVEC_THREADS, 0, stream, lab->product);
    PK_CHECK(cudaStreamSynchronize(stream));
    /* END lab06.16 */
    return PK_OK;
}

static pk_status in_product(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const product_kernel product = lab->math == LAB06_EXACT ? tile_to_out<LAB06_EXACT> : tile_to_out<LAB06_FAST>;
    /* STEP lab06.17 for in-product: one launch: lab06_tiles, PK_GEMM_TILE_THREADS; one wait (about 3 lines) */
    PK_LAUNCH(product, lab06_tiles(&lab->view), PK_GEMM_TILE_THREADS, 0, stream, lab->product);
    PK_CHECK(cudaStreamSynchronize(stream));
    /* END lab06.17 */
    return PK_OK;
}

PK_VARIANTS(product) = {
    {"in-matvec", "the epilogue in the product of one row", 0, NULL, in_matvec, NULL},
    {"in-product", "the epilogue in the product by tiles", 0, NULL, in_product, NULL},
};
PK_VARIANTS_END(product)
