/* How many kernels the device itself has seen, past the launch macro. */
#ifndef PK_KERNEL_COUNT_H
#define PK_KERNEL_COUNT_H

#include <stdbool.h>
#include <stdint.h>

/* From here on. False where nothing tells. Not around what is timed: CUPTI is in the way. */
bool pk_kernel_count_begin(void);

/* All work has ended. Kernels that were launched one by one, without those that a graph ran. */
uint64_t pk_kernel_count_end(void);

#endif
