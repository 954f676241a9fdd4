/* Lab 06, part two, --work=product: the baselines.
 *
 *   apart         the product, which writes x, and behind it the fused epilogue: two launches
 *   product-only  the product alone: what the epilogue inside it is held against, and no way to get out */
#include "lab06_product.cuh"

typedef struct store_end { /* x as it is */
    lab06_view view;
} store_end;

static __device__ inline lab06_side lab06_end_ask(const store_end *, int, int)
{
    const lab06_side none = {0, 0};
    return none;
}

static __device__ inline void lab06_end_put(const store_end *end, int row, int column, float sum, lab06_side)
{
    ((float *)end->view.x)[lab06_element(&end->view, row, column)] = sum;
}

static __global__ void __launch_bounds__(LAB06_MATVEC_THREADS) matvec_to_x(lab06_product p)
{
    const store_end end = {p.view};
    lab06_matvec(&p, &end);
}

static __global__ void __launch_bounds__(PK_GEMM_TILE_THREADS) tile_to_x(lab06_product p)
{
    const store_end end = {p.view};
    lab06_tile(&p, &end);
}

/* Four floats a thread where a row has them: rows of blocks in x, columns in y. */
template <int MATH> static __global__ void epilogue_of_x(lab06_view v)
{
    enum { EACH = 4 };
    const lab06_row<LAB06_FP32> row = lab06_row_of<LAB06_FP32>(&v, 0, (int)blockIdx.x);
    const int first = (int)(blockIdx.y * blockDim.x + threadIdx.x) * EACH;
    const int count = v.columns - first < EACH ? v.columns - first : EACH;
    float x[EACH] = {}, bias[EACH] = {}, value[EACH] = {};
    if (count <= 0)
        return;
    const bool whole = lab06_is_whole<LAB06_FP32>(row.x + first, count);
    if (whole) {
        lab06_unpack(lab06_load_16(row.x + first), x);
        lab06_unpack(lab06_load_16(row.bias + first), bias);
        lab06_unpack(lab06_load_16(row.before + first), value);
    }
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        if (i < count && !whole) {
            x[i] = row.x[first + i];
            bias[i] = row.bias[first + i];
            value[i] = row.before[first + i];
        }
        if (i < count)
            value[i] += lab06_one_of<LAB06_OP_GELU, MATH>(x[i] + bias[i], 0.0f);
    }
    if (whole) {
        *(uint4 *)(row.out + first) = lab06_pack(value);
        return;
    }
#pragma unroll
    for (int i = 0; i < EACH; i++)
        if (i < count)
            row.out[first + i] = value[i];
}

static pk_status launch_product(pk_run *run)
{
    const lab06_product *const p = &lab06_of(run)->product;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    if (p->view.rows == 1)
        PK_LAUNCH(matvec_to_x, lab06_matvec_blocks(&p->view), LAB06_MATVEC_THREADS, 0, stream, *p);
    else
        PK_LAUNCH(tile_to_x, lab06_tiles(&p->view), PK_GEMM_TILE_THREADS, 0, stream, *p);
    return PK_OK;
}

static pk_status apart(pk_run *run)
{
    const lab06_view *const v = &lab06_of(run)->view;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const dim3 grid((unsigned)v->rows, (unsigned)(v->columns + 4 * LAB06_THREADS - 1) / (4 * LAB06_THREADS));
    PK_TRY(launch_product(run));
    if (lab06_of(run)->math == LAB06_EXACT)
        PK_LAUNCH(epilogue_of_x<LAB06_EXACT>, grid, LAB06_THREADS, 0, stream, *v);
    else
        PK_LAUNCH(epilogue_of_x<LAB06_FAST>, grid, LAB06_THREADS, 0, stream, *v);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

static pk_status product_only(pk_run *run)
{
    PK_TRY(launch_product(run));
    PK_CHECK(cudaStreamSynchronize((cudaStream_t)pk_run_stream(run)));
    return PK_OK;
}

PK_VARIANTS(baseline_product) = {
    {"apart", "the product, then the epilogue", 0, NULL, apart, NULL},
    {"product-only", "the product alone, without an epilogue", 0, NULL, product_only, NULL},
};
PK_VARIANTS_END(baseline_product)
