/* Lab 06, part two, --work=product: the epilogue in the product that makes its x. Fill in the steps; the page is
 * PRODUCT.md beside this file.
 *
 *   in-matvec   one row, as in decode: the product is bound by reading w
 *   in-product  any rows: by tiles, on tensor cores where there are
 *
 * Only lines between STEP and END change. The products are given, in lab06_product.cuh: they ask this file what an
 * element needs, and hand it each sum while it is in a register. */
#include "lab06_product.cuh"

template <int TYPE, int ACT, int MATH> struct epilogue_end {
    lab06_view view;
};

/* What element (row, column) needs from memory. Of a matvec this is asked for before its sums are made. */
template <int TYPE, int ACT, int MATH>
static __device__ inline lab06_side lab06_end_ask(const epilogue_end<TYPE, ACT, MATH> *end, int row, int column)
{
    const lab06_row<TYPE> at = lab06_row_of<TYPE>(&end->view, 0, row);
    lab06_side side = {0, 0, 0};
    /* STEP lab06.14 for in-matvec, in-product: read the column's bias, for the gate that of up, and what stands before (about 4 lines) */
    (void)at, (void)column;
    /* END lab06.14 */
    return side;
}

/* What becomes of the sum of element (row, column), and of the gate's up. */
template <int TYPE, int ACT, int MATH>
static __device__ inline void lab06_end_put(const epilogue_end<TYPE, ACT, MATH> *end, int row, int column, float sum,
                                            float up, lab06_side side)
{
    const lab06_row<TYPE> at = lab06_row_of<TYPE>(&end->view, 0, row);
    /* STEP lab06.15 for in-matvec, in-product: biases, lab06_activate<ACT, MATH>, residual, write (about 2 lines) */
    (void)at, (void)column, (void)sum, (void)up, (void)side;
    /* END lab06.15 */
}

template <int TYPE, int ACT, int MATH>
static __global__ void __launch_bounds__(LAB06_MATVEC_THREADS) matvec_to_out(lab06_product p)
{
    const epilogue_end<TYPE, ACT, MATH> end = {p.view};
    lab06_matvec<ACT>(&p, &end);
}

template <int TYPE, int ACT, int MATH>
static __global__ void __launch_bounds__(PK_GEMM_TILE_THREADS) tile_to_out(lab06_product p)
{
    const epilogue_end<TYPE, ACT, MATH> end = {p.view};
    lab06_tile<ACT>(&p, &end);
}

static pk_status in_matvec(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab06_product_kernel matvec = LAB06_KERNEL(run, matvec_to_out);
    /* STEP lab06.16 for in-matvec: one launch: lab06_matvec_blocks, LAB06_MATVEC_THREADS; one wait (about 3 lines) */
    (void)lab, (void)stream, (void)matvec;
    return pk_todo(run, "lab06.16");
    /* END lab06.16 */
    return PK_OK;
}

static pk_status in_product(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab06_product_kernel product = LAB06_KERNEL(run, tile_to_out);
    /* STEP lab06.17 for in-product: one launch: lab06_tiles, PK_GEMM_TILE_THREADS; one wait (about 3 lines) */
    (void)lab, (void)stream, (void)product;
    return pk_todo(run, "lab06.17");
    /* END lab06.17 */
    return PK_OK;
}

PK_VARIANTS(product) = {
    {"in-matvec", "the epilogue in the product of one row", 0, NULL, in_matvec, NULL},
    {"in-product", "the epilogue in the product by tiles", 0, NULL, in_product, NULL},
};
PK_VARIANTS_END(product)
