/* What was allocated and of which kind. */
#ifndef PK_CPU_MEMORY_H
#define PK_CPU_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include <cuda_runtime.h>

struct pk_ordered;

void pk_memory_reset(void);
/* PK_CPU_CHECK: the device has work, or none, so that nobody has business in its memory. */
void pk_memory_open(bool open);
void pk_memory_report_leaks(void);
/* Without PK_CPU_CHECK: was something written behind what has not been freed? At the program's end. */
void pk_memory_check_strips(void);
/* cudaFreeAsync of what cudaMalloc has allocated. */
cudaError_t pk_memory_free_in_stream(void *device, cudaStream_t stream);
/* The kind of `bytes` at `pointer`. cudaErrorInvalidValue when they run past the end of an allocation. */
cudaError_t pk_memory_kind(const void *pointer, size_t bytes, enum cudaMemoryType *kind);
/* Address space for memory that comes and goes: none of it is there yet. Null where there is none. */
void *pk_memory_reserve(size_t bytes, struct pk_ordered *ordered, const void *caller);
void pk_memory_unreserve(const void *base);
/* It is there from now on, or not any more: PK_CPU_CHECK reports who uses it when it is not. */
void pk_memory_set_present(const void *base, bool present);
/* Gives its pages back to the system; what they held is lost. */
void pk_memory_drop_pages(const void *base);
/* Whose reserved address space begins at the address, or null. */
struct pk_ordered *pk_memory_ordered(const void *address);
/* Device memory that is counted without being allocated here: whether there is so much more, and how much there is. */
bool pk_memory_fits(size_t bytes);
void pk_memory_charge(size_t bytes);
void pk_memory_refund(size_t bytes);
/* Whether the address is among those that allocations are taken from, under PK_CPU_CHECK. */
bool pk_memory_in_heap(const void *address);
/* Whether a kernel may touch all of it; else `what` says what it is, if there is room for that. */
bool pk_memory_reachable(const void *address, size_t bytes, char *what, size_t what_bytes);
/* Whether a kernel's argument points to what a GPU could reach, or to its end, or is null; else `what` says what it is.
 */
bool pk_memory_may_be_argument(const void *pointer, char *what, size_t what_bytes);
/* Whether it is memory that the host may not touch; `what` says which. */
bool pk_memory_is_device_only(const void *address, char *what, size_t what_bytes);

#endif
