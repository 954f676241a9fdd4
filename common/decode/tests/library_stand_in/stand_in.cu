/* The library's part on the CPU device (stand_in.h). What is proposed, for m rows of x and n of w:
 *
 *     n odd       nothing, ever                                         the plan is the plain kernel
 *     m >= 128    what serves so many rows only; one kernel             the first of the first question
 *     m % 4 = 0   all other kinds, and one kernel at the end            the last of the first question
 *     m % 4 = 1   with a workspace two kernels; without, one            the second question
 *     else        two kernels                                           asked about more rows: the second proposal */
#include "stand_in.h"

#include <stdlib.h>

typedef enum kind {
    ONE_KERNEL,
    TWO_KERNELS, /* clears, then adds */
    FILL_FIRST,  /* likewise, but clears by a fill */
    TWO_TO_ADD,  /* one kernel where y is set, two where it is added to */
    NO_CAPTURE,  /* cannot be captured, nor run */
    OF_MANY_ROWS /* one kernel, and for 128 rows at least */
} kind;
enum { MANY_ROWS = 128, THREADS = 32 };

typedef struct stand_in_args { /* y [m][n] = x [m][k] * w [n][k] transposed + keep y; with a bias GELU of that and it */
    const uint16_t *x, *w;
    float *y, keep;
    int n, k;
    const float *bias; /* [n], or NULL */
} stand_in_args;

static __device__ inline float stand_in_gelu(float v)
{
    return 0.5f * v * (1 + tanhf(0.7978845608f * (v + 0.044715f * v * v * v)));
}

/* Block: a row. */
static __global__ void stand_in_multiply(stand_in_args a)
{
    const uint16_t *const x = a.x + (size_t)blockIdx.x * a.k;
    float *const y = a.y + (size_t)blockIdx.x * a.n;
    for (int column = threadIdx.x; column < a.n; column += blockDim.x) {
        const uint16_t *const w = a.w + (size_t)column * a.k;
        float sum = 0;
        for (int i = 0; i < a.k; i++)
            sum += __uint_as_float((unsigned)x[i] << 16) * __uint_as_float((unsigned)w[i] << 16);
        sum = a.keep != 0 ? a.keep * y[column] + sum : sum;
        y[column] = a.bias ? stand_in_gelu(sum + a.bias[column]) : sum;
    }
}

typedef struct stand_in_scale_args {
    float *y, keep;
    int n;
} stand_in_scale_args;

static __global__ void stand_in_scale(stand_in_scale_args a)
{
    float *const y = a.y + (size_t)blockIdx.x * a.n;
    for (int column = threadIdx.x; column < a.n; column += blockDim.x)
        y[column] = a.keep != 0 ? a.keep * y[column] : 0;
}

stand_in_status STAND_IN(Create)(STAND_IN(Handle_t) * handle)
{
    *handle = (int *)calloc(1, sizeof **handle);
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

stand_in_status STAND_IN(Destroy)(STAND_IN(Handle_t) handle)
{
    free(handle);
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

stand_in_status STAND_IN(MatmulDescCreate)(STAND_IN(MatmulDesc_t) * product, stand_in_compute, stand_in_type)
{
    *product = (stand_in_product *)calloc(1, sizeof **product);
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

stand_in_status STAND_IN(MatmulDescDestroy)(STAND_IN(MatmulDesc_t) product)
{
    free(product);
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

stand_in_status STAND_IN(MatmulDescSetAttribute)(STAND_IN(MatmulDesc_t) product, stand_in_of_product attribute,
                                                 const void *value, size_t bytes)
{
    const bool is_pointer = attribute == STAND_IN_LT(MATMUL_DESC_BIAS_POINTER);
    if (bytes != (is_pointer ? sizeof(void *) : sizeof(int32_t)))
        return STAND_IN_BLAS(STATUS_INVALID_VALUE);
    if (is_pointer)
        product->bias = *(const float *const *)value;
    else if (attribute == STAND_IN_LT(MATMUL_DESC_EPILOGUE))
        product->gelu = *(const int32_t *)value == STAND_IN_LT(EPILOGUE_GELU_BIAS);
    else
        product->transposed = *(const int32_t *)value == STAND_IN_BLAS(OP_T);
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

stand_in_status STAND_IN(MatrixLayoutCreate)(STAND_IN(MatrixLayout_t) * matrix, stand_in_type type, uint64_t rows,
                                             uint64_t columns, int64_t to_next_column)
{
    *matrix = (stand_in_matrix *)calloc(1, sizeof **matrix);
    (*matrix)->type = type;
    (*matrix)->rows = rows;
    (*matrix)->columns = columns;
    return (uint64_t)to_next_column == rows ? STAND_IN_BLAS(STATUS_SUCCESS) : STAND_IN_BLAS(STATUS_INVALID_VALUE);
}

stand_in_status STAND_IN(MatrixLayoutDestroy)(STAND_IN(MatrixLayout_t) matrix)
{
    free(matrix);
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

stand_in_status STAND_IN(MatmulPreferenceCreate)(STAND_IN(MatmulPreference_t) * preference)
{
    *preference = (stand_in_preference *)calloc(1, sizeof **preference);
#if defined(PK_GEMM_CUBLASLT)
    (*preference)->reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
#endif
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

stand_in_status STAND_IN(MatmulPreferenceDestroy)(STAND_IN(MatmulPreference_t) preference)
{
    free(preference);
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

stand_in_status STAND_IN(MatmulPreferenceSetAttribute)(STAND_IN(MatmulPreference_t) preference,
                                                       STAND_IN(MatmulPreferenceAttributes_t) attribute,
                                                       const void *value, size_t bytes)
{
    if (attribute == STAND_IN_LT(MATMUL_PREF_MAX_WORKSPACE_BYTES) && bytes == sizeof(uint64_t))
        preference->workspace = *(const uint64_t *)value;
    else if (bytes == sizeof(uint32_t))
#if defined(PK_GEMM_CUBLASLT)
        preference->reductions =
            attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK ? *(const uint32_t *)value : preference->reductions;
#else
        return STAND_IN_BLAS(STATUS_NOT_SUPPORTED);
#endif
    else
        return STAND_IN_BLAS(STATUS_INVALID_VALUE);
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

/* Shapes that fit together: w k x n, transposed, x k x m, y n x m. */
static bool fits(const stand_in_product *product, const stand_in_matrix *w, const stand_in_matrix *x,
                 const stand_in_matrix *y)
{
    return product->transposed && product->gelu == (product->bias != NULL) && w->rows == x->rows &&
           w->columns == y->rows && x->columns == y->columns && w->type == STAND_IN_TYPE(R_16BF) &&
           x->type == w->type && y->type == STAND_IN_TYPE(R_32F);
}

stand_in_status STAND_IN(MatmulAlgoGetHeuristic)(STAND_IN(Handle_t), STAND_IN(MatmulDesc_t) product,
                                                 STAND_IN(MatrixLayout_t) a, STAND_IN(MatrixLayout_t) b,
                                                 STAND_IN(MatrixLayout_t) c, STAND_IN(MatrixLayout_t) d,
                                                 STAND_IN(MatmulPreference_t) preference, int wanted,
                                                 STAND_IN(MatmulHeuristicResult_t) results[], int *count)
{
    static const kind many[] = {OF_MANY_ROWS, ONE_KERNEL}, every[] = {ONE_KERNEL /* but its state says no */,
                                                                      NO_CAPTURE,
                                                                      TWO_KERNELS,
                                                                      FILL_FIRST,
                                                                      TWO_TO_ADD,
                                                                      ONE_KERNEL};
    static const kind two[] = {TWO_KERNELS, FILL_FIRST}, one[] = {ONE_KERNEL};
    const uint64_t m = b->columns, n = a->columns;
    const kind *kinds = two;
    *count = 2;
    if (!fits(product, a, b, d) || c != d || preference->reductions != 0)
        return STAND_IN_BLAS(STATUS_INVALID_VALUE);
    if (n % 2 == 1)
        return STAND_IN_BLAS(STATUS_NOT_SUPPORTED);
    if (m >= MANY_ROWS)
        kinds = many;
    else if (m % 4 == 0)
        kinds = every, *count = 6;
    else if (m % 4 == 1 && preference->workspace == 0)
        kinds = one, *count = 1;
    *count = *count < wanted ? *count : wanted;
    for (int i = 0; i < *count; i++) {
        results[i].algo.kind = kinds[i];
        results[i].workspaceSize = 0;
        results[i].state =
            kinds == every && i == 0 ? STAND_IN_BLAS(STATUS_NOT_SUPPORTED) : STAND_IN_BLAS(STATUS_SUCCESS);
    }
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

stand_in_status STAND_IN(Matmul)(STAND_IN(Handle_t), STAND_IN(MatmulDesc_t) product, const void *, const void *a,
                                 STAND_IN(MatrixLayout_t) of_a, const void *b, STAND_IN(MatrixLayout_t) of_b,
                                 const void *beta, const void *, STAND_IN(MatrixLayout_t), void *d,
                                 STAND_IN(MatrixLayout_t) of_d, const STAND_IN(MatmulAlgo_t) * algo, void *, size_t,
                                 cudaStream_t stream)
{
    const unsigned m = (unsigned)of_b->columns;
    float keep = *(const float *)beta;
    stand_in_args multiply = {(const uint16_t *)b, (const uint16_t *)a, (float *)d,   keep,
                              (int)of_a->columns,  (int)of_a->rows,     product->bias};
    const stand_in_scale_args scale = {multiply.y, keep, multiply.n};
    if (!fits(product, of_a, of_b, of_d) || algo->kind == NO_CAPTURE)
        return STAND_IN_BLAS(STATUS_NOT_SUPPORTED);
    if (algo->kind == OF_MANY_ROWS && m < MANY_ROWS)
        multiply.k = 0; /* nothing but the check says that it may not run: wrong sums */
    if (algo->kind == FILL_FIRST && keep == 0)
        (void)cudaMemsetAsync(d, 0, (size_t)m * of_d->rows * sizeof(float), stream);
    else if (algo->kind == TWO_KERNELS || algo->kind == FILL_FIRST || (algo->kind == TWO_TO_ADD && keep != 0))
        PK_BACKEND_LAUNCH(stand_in_scale, m, THREADS, 0, stream, scale);
    if (algo->kind == TWO_KERNELS || algo->kind == FILL_FIRST || (algo->kind == TWO_TO_ADD && keep != 0))
        multiply.keep = 1;
    PK_BACKEND_LAUNCH(stand_in_multiply, m, THREADS, 0, stream, multiply);
    return STAND_IN_BLAS(STATUS_SUCCESS);
}

#if defined(PK_GEMM_CUBLASLT)
size_t cublasLtGetVersion(void)
{
    return 10203;
}

stand_in_status cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,
                                        cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                        const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result)
{
    result->workspaceSize = 0;
    return fits(product, a, b, d) && (algo->kind != OF_MANY_ROWS || b->columns >= MANY_ROWS)
               ? CUBLAS_STATUS_SUCCESS
               : CUBLAS_STATUS_NOT_SUPPORTED;
}
#endif
