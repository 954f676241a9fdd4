/* PK_CPU_CHECK: what the parts of a block tell it. It does nothing where it is off. */
#ifndef PK_CPU_CHECK_H
#define PK_CPU_CHECK_H

#include "block.h"

void pk_check_block_begins(struct pk_cpu_block *block);
void pk_check_block_ends(struct pk_cpu_block *block);
void pk_check_barrier_meets(struct pk_cpu_block *block);
void pk_check_warp_meets(struct pk_cpu_block *block, unsigned first_thread, uint64_t lanes);
void pk_check_not_in_mask(const char *file, int line);
/* What orders accesses beside the block's barrier: an object in shared memory is released and acquired. */
void pk_check_barrier_made(const void *object);
void pk_check_release(const void *object);
void pk_check_acquire(const void *object);
/* An asynchronous copy reads `read_bytes` and writes `bytes`; until it has landed, nobody may touch its target. */
void pk_check_copy_begins(void *to, const void *from, size_t bytes, size_t read_bytes, const void *code);
void pk_check_copy_lands(void *to, size_t bytes);
/* Ends the kernel: its block, which `text` describes, can never go on. */
void pk_check_stuck(const char *text) __attribute__((noreturn));
/* Reports a finding of the running thread, with where it is, and ends the kernel, as a fault that sticks. */
void pk_check_fail(cudaError_t error, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* Whether the program is one whose accesses are seen; access.cpp says so. */
bool pk_access_seen(void);
void pk_access_is_seen(void);
/* One access by the code at `code`. Does not return from what is a mistake in a kernel. */
void pk_check_access(const void *address, size_t bytes, bool writes, bool atomic, const void *code);
/* The same within shared memory; false: the address is elsewhere. */
bool pk_check_shared(const void *address, size_t bytes, bool writes, bool atomic, const void *code);

/* scope.cpp: words of device and host memory that are accessed atomically. */
void pk_scope_grid_begins(struct pk_grid *grid);
void pk_scope_grid_ends(void);
/* A copy, a fill or a host function. */
void pk_scope_transfer_begins(void);
void pk_scope_block_begins(const struct pk_cpu_block *block);
/* All blocks of the grid have arrived at its barrier, says the last; then each goes on. */
void pk_scope_grid_meets(struct pk_grid *grid);
void pk_scope_grid_met(const struct pk_grid *grid);
/* An access by a kernel, or an atomic one by the host. The scope of an atomic one is pk_cpu_scope; volatile ones count
 * as atomic. */
void pk_scope_access(const void *address, bool writes, bool atomic, const void *code);

#endif
