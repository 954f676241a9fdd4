/* Lab 06, part two, --work=product: the baselines, and what the vendor's library offers.
 *
 *   apart         the product, which writes x, and behind it the fused epilogue: two launches
 *   product-only  the product alone: what the epilogue inside it is held against, and no way to get out
 *   library       the library's product, and behind it the fused epilogue
 *   library-gelu  the library's product with bias and GELU at its end, and behind it the residual, which it cannot add
 *                 there: what it adds it adds before it activates */
#include "decode/pk_gemm.h"

#include "lab06_product.cuh"

template <int ACT> struct store_end { /* x as it is */
    float *x;
    int w_rows;
};

template <int ACT> static __device__ inline lab06_side lab06_end_ask(const store_end<ACT> *, int, int)
{
    const lab06_side none = {0, 0, 0};
    return none;
}

template <int ACT>
static __device__ inline void lab06_end_put(const store_end<ACT> *end, int row, int column, float sum, float up,
                                            lab06_side)
{
    float *const x = end->x + (size_t)row * end->w_rows;
    x[lab06_row_of_w(ACT == LAB06_GELU ? 1 : 2, 0, column)] = sum;
    if (ACT == LAB06_SILU_GATE)
        x[lab06_row_of_w(2, 1, column)] = up;
}

template <int ACT> static __global__ void __launch_bounds__(LAB06_MATVEC_THREADS) matvec_to_x(lab06_product p)
{
    const store_end<ACT> end = {p.x, p.w_rows};
    lab06_matvec<ACT>(&p, &end);
}

template <int ACT> static __global__ void __launch_bounds__(PK_GEMM_TILE_THREADS) tile_to_x(lab06_product p)
{
    const store_end<ACT> end = {p.x, p.w_rows};
    lab06_tile<ACT>(&p, &end);
}

/* ---- the epilogue of an x that is there ---- */

/* `count` floats, of a chunk of TYPE: by 16 bytes where it is whole. What is not there stays as it was. */
template <int TYPE>
static __device__ inline void get_x(const float *from, int count, float value[lab06_number<TYPE>::in_chunk])
{
    enum { IN_CHUNK = lab06_number<TYPE>::in_chunk };
    if (count == IN_CHUNK && (size_t)from % LAB06_VECTOR_BYTES == 0) {
#pragma unroll
        for (int i = 0; i < IN_CHUNK; i += 4)
            lab06_unpack(lab06_load_16(from + i), value + i);
        return;
    }
#pragma unroll
    for (int i = 0; i < IN_CHUNK; i++)
        if (i < count)
            value[i] = from[i];
}

template <int TYPE>
static __device__ inline void get(const typename lab06_number<TYPE>::stored *from, int count,
                                  float value[lab06_number<TYPE>::in_chunk])
{
    if (lab06_is_whole<TYPE>(from, count)) {
        lab06_chunk<TYPE>::unpack(lab06_load_16(from), value);
        return;
    }
#pragma unroll
    for (int i = 0; i < lab06_number<TYPE>::in_chunk; i++)
        if (i < count)
            value[i] = lab06_read(from[i]);
}

template <int TYPE>
static __device__ inline void put(typename lab06_number<TYPE>::stored *to, int count,
                                  const float value[lab06_number<TYPE>::in_chunk])
{
    if (lab06_is_whole<TYPE>(to, count)) {
        *(uint4 *)to = lab06_chunk<TYPE>::pack(value);
        return;
    }
#pragma unroll
    for (int i = 0; i < lab06_number<TYPE>::in_chunk; i++)
        if (i < count)
            lab06_write(&to[i], value[i]);
}

/* A chunk of out a thread: rows of blocks in x, columns in y. */
template <int TYPE, int ACT, int MATH> static __global__ void epilogue_of_x(lab06_product p)
{
    enum { IN_CHUNK = lab06_number<TYPE>::in_chunk };
    const lab06_row<TYPE> row = lab06_row_of<TYPE>(&p.view, 0, (int)blockIdx.x);
    const int first = (int)(blockIdx.y * blockDim.x + threadIdx.x) * IN_CHUNK;
    const int count = p.view.columns - first < IN_CHUNK ? p.view.columns - first : IN_CHUNK;
    float x[IN_CHUNK] = {}, bias[IN_CHUNK] = {}, up[IN_CHUNK] = {}, bias_up[IN_CHUNK] = {}, value[IN_CHUNK] = {};
    if (count <= 0)
        return;
    const float *const sums = p.x + (size_t)blockIdx.x * p.w_rows;
    get_x<TYPE>(sums + lab06_row_of_w(p.view.parts, 0, first), count, x);
    get<TYPE>(row.bias + first, count, bias);
    if (ACT == LAB06_SILU_GATE) {
        get_x<TYPE>(sums + lab06_row_of_w(2, 1, first), count, up);
        get<TYPE>(row.bias_up + first, count, bias_up);
    }
    get<TYPE>(row.before + first, count, value);
#pragma unroll
    for (int i = 0; i < IN_CHUNK; i++)
        value[i] += lab06_activate<ACT, MATH>(x[i] + bias[i], up[i] + bias_up[i]);
    put<TYPE>(row.out + first, count, value);
}

/* A thread has one element, of x that is activated already. */
static __global__ void residual_of_x(lab06_product p)
{
    const lab06_row<LAB06_FP32> row = lab06_row_of<LAB06_FP32>(&p.view, 0, (int)blockIdx.x);
    const int column = (int)(blockIdx.y * blockDim.x + threadIdx.x);
    if (column < p.view.columns)
        row.out[column] = row.before[column] + p.x[(size_t)blockIdx.x * p.w_rows + column];
}

static pk_status launch_epilogue(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const unsigned in_block = LAB06_THREADS * LAB06_VECTOR_BYTES / (unsigned)lab06_element_bytes(lab->type);
    const dim3 grid((unsigned)lab->view.rows, ((unsigned)lab->view.columns + in_block - 1) / in_block);
    const lab06_product_kernel epilogue = LAB06_KERNEL(run, epilogue_of_x);
    PK_LAUNCH(epilogue, grid, LAB06_THREADS, 0, (cudaStream_t)pk_run_stream(run), lab->product);
    return PK_OK;
}

/* ---- by the kernels of this lab ---- */

static pk_status launch_product(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const bool gelu = lab->act == LAB06_GELU;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab06_product_kernel matvec = gelu ? matvec_to_x<LAB06_GELU> : matvec_to_x<LAB06_SILU_GATE>;
    const lab06_product_kernel tile = gelu ? tile_to_x<LAB06_GELU> : tile_to_x<LAB06_SILU_GATE>;
    if (lab->view.rows == 1)
        PK_LAUNCH(matvec, lab06_matvec_blocks(lab), LAB06_MATVEC_THREADS, 0, stream, lab->product);
    else
        PK_LAUNCH(tile, lab06_tiles(lab), PK_GEMM_TILE_THREADS, 0, stream, lab->product);
    return PK_OK;
}

static pk_status wait_for(pk_run *run)
{
    PK_CHECK(cudaStreamSynchronize((cudaStream_t)pk_run_stream(run)));
    return PK_OK;
}

static pk_status apart(pk_run *run)
{
    PK_TRY(launch_product(run));
    PK_TRY(launch_epilogue(run));
    return wait_for(run);
}

static pk_status product_only(pk_run *run)
{
    PK_TRY(launch_product(run));
    return wait_for(run);
}

/* ---- by the vendor's library ---- */

static pk_status open_library(pk_run *run, pk_gemm **gemm)
{
    PK_TRY(pk_gemm_open(gemm));
    pk_run_set_variant_data(run, *gemm);
    return *gemm ? PK_OK
                 : pk_fail(PK_SKIP, "this build has no vendor's library of products: cuBLASLt with CUDA, hipBLASLt "
                                    "with HIP");
}

static void close_library(pk_run *run)
{
    pk_gemm_close((pk_gemm *)pk_run_variant_data(run));
    pk_run_set_variant_data(run, NULL);
}

static pk_status library_prepare(pk_run *run)
{
    const lab06_product *const p = &lab06_of(run)->product;
    char plan[96];
    pk_gemm *gemm;
    PK_TRY(open_library(run, &gemm));
    PK_TRY(pk_gemm_plan(gemm, p->view.rows, p->w_rows, p->inner));
    pk_gemm_say_plan(gemm, p->view.rows, p->w_rows, p->inner, plan, sizeof plan);
    return strstr(plan, "plain") ? pk_fail(PK_SKIP, "%s has no product of this shape in one kernel", pk_gemm_library())
                                 : PK_OK;
}

static pk_status library(pk_run *run)
{
    const lab06_product *const p = &lab06_of(run)->product;
    PK_TRY(pk_gemm_run((pk_gemm *)pk_run_variant_data(run), p->a, p->w, p->x, p->view.rows, p->w_rows, p->inner, 0,
                       pk_run_stream(run)));
    PK_TRY(launch_epilogue(run));
    return wait_for(run);
}

static pk_status library_gelu_prepare(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const lab06_product *const p = &lab->product;
    pk_gemm *gemm;
    PK_TRY(open_library(run, &gemm));
    if (lab->act != LAB06_GELU)
        return pk_fail(PK_SKIP, "%s has GELU at the end of a product, and no gate", pk_gemm_library());
    if (lab->type != LAB06_FP32)
        return pk_fail(PK_SKIP,
                       "%s takes a bias of its result's type, and a result in bf16 is rounded once more when "
                       "the residual is added",
                       pk_gemm_library());
    return pk_gemm_plan_gelu(gemm, p->view.rows, p->w_rows, p->inner);
}

static pk_status library_gelu(pk_run *run)
{
    const lab06 *const lab = lab06_of(run);
    const lab06_product *const p = &lab->product;
    PK_TRY(pk_gemm_run_gelu((pk_gemm *)pk_run_variant_data(run), p->a, p->w, (const float *)p->view.bias, p->x,
                            p->view.rows, p->w_rows, p->inner, pk_run_stream(run)));
    PK_LAUNCH(residual_of_x, lab06_grid_of_elements(&lab->view), LAB06_THREADS, 0, (cudaStream_t)pk_run_stream(run),
              *p);
    return wait_for(run);
}

PK_VARIANTS(baseline_product) = {
    {"apart", "the product, then the epilogue", 0, NULL, apart, NULL},
    {"product-only", "the product alone, without an epilogue", 0, NULL, product_only, NULL},
    {"library", "the library's product, then the epilogue", 0, library_prepare, library, close_library},
    {"library-gelu", "the library's product with bias and GELU, then the residual", 0, library_gelu_prepare,
     library_gelu, close_library},
};
PK_VARIANTS_END(baseline_product)
