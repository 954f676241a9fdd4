/* What was allocated and of which kind. */
#ifndef PK_CPU_MEMORY_H
#define PK_CPU_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include <cuda_runtime.h>

void pk_memory_reset(void);
/* PK_CPU_CHECK: the device has work, or none, so that nobody has business in its memory. */
void pk_memory_open(bool open);
void pk_memory_report_leaks(void);
/* The kind of `bytes` at `pointer`. cudaErrorInvalidValue when they run past the end of an allocation. */
cudaError_t pk_memory_kind(const void *pointer, size_t bytes, enum cudaMemoryType *kind);
/* Whether the address is among those that allocations are taken from, under PK_CPU_CHECK. */
bool pk_memory_in_heap(const void *address);
/* Whether a kernel may touch all of it; else `what` says what it is. */
bool pk_memory_reachable(const void *address, size_t bytes, char *what, size_t what_bytes);
/* Whether a kernel's argument points to what a GPU could reach, or to its end, or is null; else `what` says what it is.
 */
bool pk_memory_may_be_argument(const void *pointer, char *what, size_t what_bytes);
/* Whether it is memory that the host may not touch; `what` says which. */
bool pk_memory_is_device_only(const void *address, char *what, size_t what_bytes);

#endif
