/* What of cuBLASLt, or of hipBLASLt, gemm_library.cu calls, played on the CPU device by kernels of the test's own: so
 * that what is done with a library is tested where there is none. Its products are right; its proposals are of all
 * kinds that a plan has to tell apart (stand_in.cu has the table). Declarations after the libraries' API references. */
#ifndef STAND_IN_H
#define STAND_IN_H

#include <stddef.h>
#include <stdint.h>

#include "pk_gpu.h"

#if defined(PK_GEMM_CUBLASLT)
#define STAND_IN(name) cublasLt##name
#define STAND_IN_LT(name) CUBLASLT_##name
#define STAND_IN_BLAS(name) CUBLAS_##name
#define STAND_IN_TYPE(name) CUDA_##name
#else
#define STAND_IN(name) hipblasLt##name
#define STAND_IN_LT(name) HIPBLASLT_##name
#define STAND_IN_BLAS(name) HIPBLAS_##name
#define STAND_IN_TYPE(name) HIP_##name
#endif

typedef enum stand_in_status {
    STAND_IN_BLAS(STATUS_SUCCESS) = 0,
    STAND_IN_BLAS(STATUS_INVALID_VALUE) = 7,
    STAND_IN_BLAS(STATUS_NOT_SUPPORTED) = 15
} stand_in_status;
#if defined(PK_GEMM_CUBLASLT)
typedef stand_in_status cublasStatus_t;
#else
typedef stand_in_status hipblasStatus_t;
#endif

typedef enum stand_in_type { STAND_IN_TYPE(R_32F), STAND_IN_TYPE(R_16BF) } stand_in_type;
typedef enum stand_in_compute { STAND_IN_BLAS(COMPUTE_32F) = 68 } stand_in_compute;
enum { STAND_IN_BLAS(OP_T) = 1 };
typedef enum stand_in_of_product {
    STAND_IN_LT(MATMUL_DESC_TRANSA) = 3,
    STAND_IN_LT(MATMUL_DESC_EPILOGUE) = 7,
    STAND_IN_LT(MATMUL_DESC_BIAS_POINTER) = 8
} stand_in_of_product;
typedef enum STAND_IN(Epilogue_t) { STAND_IN_LT(EPILOGUE_GELU_BIAS) = 36 } STAND_IN(Epilogue_t);

typedef enum STAND_IN(MatmulPreferenceAttributes_t) {
    STAND_IN_LT(MATMUL_PREF_MAX_WORKSPACE_BYTES) = 1,
#if defined(PK_GEMM_CUBLASLT)
    CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK = 3,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
#endif
} STAND_IN(MatmulPreferenceAttributes_t);
#if defined(PK_GEMM_CUBLASLT)
enum { CUBLASLT_REDUCTION_SCHEME_NONE = 0, CUBLASLT_REDUCTION_SCHEME_MASK = 7 };
#endif

typedef struct stand_in_product {
    bool transposed, gelu;
    const float *bias; /* [rows of y's columns], with gelu */
} stand_in_product;
typedef struct stand_in_matrix { /* by columns */
    stand_in_type type;
    uint64_t rows, columns;
} stand_in_matrix;
typedef struct stand_in_preference {
    size_t workspace;
    uint32_t reductions;
} stand_in_preference;

typedef int *STAND_IN(Handle_t);
typedef stand_in_product *STAND_IN(MatmulDesc_t);
typedef stand_in_matrix *STAND_IN(MatrixLayout_t);
typedef stand_in_preference *STAND_IN(MatmulPreference_t);
typedef struct STAND_IN(MatmulAlgo_t) {
    int kind;
} STAND_IN(MatmulAlgo_t);
typedef struct STAND_IN(MatmulHeuristicResult_t) {
    STAND_IN(MatmulAlgo_t) algo;
    size_t workspaceSize;
    stand_in_status state;
} STAND_IN(MatmulHeuristicResult_t);

stand_in_status STAND_IN(Create)(STAND_IN(Handle_t) * handle);
stand_in_status STAND_IN(Destroy)(STAND_IN(Handle_t) handle);
stand_in_status STAND_IN(MatmulDescCreate)(STAND_IN(MatmulDesc_t) * product, stand_in_compute compute,
                                           stand_in_type scale);
stand_in_status STAND_IN(MatmulDescDestroy)(STAND_IN(MatmulDesc_t) product);
stand_in_status STAND_IN(MatmulDescSetAttribute)(STAND_IN(MatmulDesc_t) product, stand_in_of_product attribute,
                                                 const void *value, size_t bytes);
stand_in_status STAND_IN(MatrixLayoutCreate)(STAND_IN(MatrixLayout_t) * matrix, stand_in_type type, uint64_t rows,
                                             uint64_t columns, int64_t to_next_column);
stand_in_status STAND_IN(MatrixLayoutDestroy)(STAND_IN(MatrixLayout_t) matrix);
stand_in_status STAND_IN(MatmulPreferenceCreate)(STAND_IN(MatmulPreference_t) * preference);
stand_in_status STAND_IN(MatmulPreferenceDestroy)(STAND_IN(MatmulPreference_t) preference);
stand_in_status STAND_IN(MatmulPreferenceSetAttribute)(STAND_IN(MatmulPreference_t) preference,
                                                       STAND_IN(MatmulPreferenceAttributes_t) attribute,
                                                       const void *value, size_t bytes);
stand_in_status STAND_IN(MatmulAlgoGetHeuristic)(STAND_IN(Handle_t) handle, STAND_IN(MatmulDesc_t) product,
                                                 STAND_IN(MatrixLayout_t) a, STAND_IN(MatrixLayout_t) b,
                                                 STAND_IN(MatrixLayout_t) c, STAND_IN(MatrixLayout_t) d,
                                                 STAND_IN(MatmulPreference_t) preference, int wanted,
                                                 STAND_IN(MatmulHeuristicResult_t) results[], int *count);
stand_in_status STAND_IN(Matmul)(STAND_IN(Handle_t) handle, STAND_IN(MatmulDesc_t) product, const void *alpha,
                                 const void *a, STAND_IN(MatrixLayout_t) of_a, const void *b,
                                 STAND_IN(MatrixLayout_t) of_b, const void *beta, const void *c,
                                 STAND_IN(MatrixLayout_t) of_c, void *d, STAND_IN(MatrixLayout_t) of_d,
                                 const STAND_IN(MatmulAlgo_t) * algo, void *workspace, size_t workspace_bytes,
                                 cudaStream_t stream);
#if defined(PK_GEMM_CUBLASLT)
size_t cublasLtGetVersion(void);
stand_in_status cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,
                                        cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                        const cublasLtMatmulAlgo_t *algo, cublasLtMatmulHeuristicResult_t *result);
#endif

#endif
