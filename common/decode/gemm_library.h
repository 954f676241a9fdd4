/* Products by the vendor's library, behind pk_gemm.h: what gemm.cu asks of gemm_library.cu. */
#ifndef PK_GEMM_LIBRARY_H
#define PK_GEMM_LIBRARY_H

#include <stdbool.h>

#include "pk_gemm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As pk_gemm_run with a gemm. `*done` false: the shape's plan is the plain kernel, and nothing was launched. */
pk_status pk_gemm_library_run(pk_gemm *gemm, const uint16_t *x, const uint16_t *w, float *y, int m, int n, int k,
                              int accumulate, void *stream, bool *done);

#ifdef __cplusplus
}
#endif

#endif
