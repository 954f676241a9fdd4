/* Batched projections for prefill: y [m][n] = x [m][k] * w [n][k] transposed, x and w bf16, y and sums fp32. k is a
 * multiple of 8; x, w and y are 16-byte aligned.
 *
 * By cuBLASLt or hipBLASLt where the build has it (-DPK_BLAS=off: not), else by the plain tiled kernel. What the
 * library needs (its handle, its choice of algorithm for each shape, a workspace of 32 MB) is made by pk_gemm_open and
 * pk_gemm_plan, so that pk_gemm_run allocates nothing, asks nothing and can be captured. The workspace is one: runs of
 * the same pk_gemm that may overlap, on several streams or in several graphs, need one each. */
#ifndef PK_GEMM_H
#define PK_GEMM_H

#include <stddef.h>
#include <stdint.h>

#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_gemm pk_gemm;

/* *gemm NULL where the build has no such library: callers then take the plain kernel. PK_FAULT: the library failed. */
pk_status pk_gemm_open(pk_gemm **gemm);
void pk_gemm_close(pk_gemm *gemm);
size_t pk_gemm_bytes(const pk_gemm *gemm); /* of device memory that it holds; NULL: none */
const char *pk_gemm_library(void);         /* "cuBLASLt 13.0.1", "plain tiled kernel" */

/* Choose the algorithm for a shape, once; asking again is free. Only algorithms of one kernel are taken, so that
 * launches can be counted: without a reduction of parts of k. The library is asked in several ways until it proposes
 * one; where it has none the plan is the plain kernel. */
pk_status pk_gemm_plan(pk_gemm *gemm, int m, int n, int k);
/* The plan in words: "plain tiled kernel", "cuBLASLt, question 2 of 4, proposal 1", "no plan". gemm NULL: the first. */
void pk_gemm_say_plan(const pk_gemm *gemm, int m, int n, int k, char *text, size_t bytes);

/* In stream order, one launch. `accumulate`: y += instead of y =. gemm NULL: the plain kernel. PK_USAGE for a shape
 * that was not planned, or cannot be. Row i of y depends on row i of x alone; by the plain kernel bit for bit whatever
 * m is. */
pk_status pk_gemm_run(pk_gemm *gemm, const uint16_t *x, const uint16_t *w, float *y, int m, int n, int k,
                      int accumulate, void *stream);

/* By the library's own end of a product, where there is one (`gemm` is not NULL): y = gelu(x w + bias), GELU by tanh, a
 * bias [n] for each row of y. The library adds what is there (accumulate) before it activates, so a residual behind
 * GELU is another kernel's. How near its tanh is it does not say. PK_SKIP: it has no such product in one kernel.
 * Sources: cublasLt.h, CUBLASLT_EPILOGUE_GELU_BIAS and cublasLtMatmul; hipBLASLt API reference. */
pk_status pk_gemm_plan_gelu(pk_gemm *gemm, int m, int n, int k);
pk_status pk_gemm_run_gelu(pk_gemm *gemm, const uint16_t *x, const uint16_t *w, const float *bias, float *y, int m,
                           int n, int k, void *stream);

#ifdef __cplusplus
}
#endif
#endif
