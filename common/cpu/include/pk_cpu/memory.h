/* Memory of the CPU device: what CUDA has no call for. */
#ifndef PK_CPU_MEMORY_H
#define PK_CPU_MEMORY_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first `before` bytes and the last `after` of the allocation that begins at `base` are guards: a kernel that reads
 * or writes them is told so, like one that leaves the allocation (PK_CPU_CHECK=1 in the checked build; no other looks).
 * Copies and fills from the host may touch them. Nothing happens where `base` begins no allocation, or is shorter. */
void pk_cpu_memory_guards(void *base, size_t before, size_t after);

#ifdef __cplusplus
}
#endif

#endif
