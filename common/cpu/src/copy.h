/* Copies and fills as ops. */
#ifndef PK_CPU_COPY_H
#define PK_CPU_COPY_H

#include "op.h"

void pk_copy_run(struct pk_op *op);
void pk_fill_run(struct pk_op *op);
/* Whether the op's copy or fill is one that CUDA accepts. */
cudaError_t pk_copy_check(const struct pk_op *op);
cudaError_t pk_fill_check(const struct pk_op *op);

#endif
