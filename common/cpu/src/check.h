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

/* Whether the program is one whose accesses are seen; access.cpp says so. */
bool pk_access_seen(void);
void pk_access_is_seen(void);
/* One access by the code at `code`. Does not return from what is a mistake in a kernel. */
void pk_check_access(const void *address, size_t bytes, bool writes, bool atomic, const void *code);
/* The same within shared memory; false: the address is elsewhere. */
bool pk_check_shared(const void *address, size_t bytes, bool writes, bool atomic, const void *code);

#endif
