/* What the parts of PK_CPU_CHECK ask each other. */
#ifndef PK_CPU_CHECK_H
#define PK_CPU_CHECK_H

#include "block.h"

/* ---- check.cpp ---- */
/* Whether the program is one whose accesses are seen; access.cpp says so. */
bool pk_access_seen(void);
void pk_access_is_seen(void);
/* One access by the code at `code`. Does not return from what is a mistake in a kernel. */
void pk_check_access(const void *address, size_t bytes, bool writes, bool atomic, const void *code);
/* The same within shared memory; false: the address is elsewhere. */
bool pk_check_shared(const void *address, size_t bytes, bool writes, bool atomic, const void *code);

/* ---- memory.cpp ---- */
/* Whether the address is among those that allocations are taken from, under PK_CPU_CHECK. */
bool pk_memory_in_heap(const void *address);
/* Whether a kernel may touch all of it; else `what` says what it is. */
bool pk_memory_reachable(const void *address, size_t bytes, char *what, size_t what_bytes);
/* Whether it is memory that the host may not touch; `what` says which. */
bool pk_memory_is_device_only(const void *address, char *what, size_t what_bytes);

#endif
