/* Kernels: which are known, and whether a launch is within the limits. */
#ifndef PK_CPU_KERNEL_H
#define PK_CPU_KERNEL_H

#include "op.h"

/* With the lock held: make `op`, which is new, this launch, if it is within the limits. */
cudaError_t pk_kernel_prepare(struct pk_op *op, const pk_cpu_kernel *kernel, dim3 grid, dim3 block, void **arguments,
                              size_t shared_bytes);
/* The kernel at an address, or null where no typed call has named it. With the lock held. */
const pk_cpu_kernel *pk_kernel_at(const void *function);
/* Says on stderr what to do about an address at which no kernel is known. */
void pk_kernel_unknown(const void *function);

#endif
