/* What CUDA's headers on asynchronous copies and barriers in shared memory stand on. */
#ifndef PK_CPU_ASYNC_H
#define PK_CPU_ASYNC_H

#include <stddef.h>
#include <stdint.h>

extern "C" {
/* Copy `bytes`, 4, 8 or 16, of which the last `zeros` are zeroes; lands at the wait or before. */
void pk_cpu_async_copy(void *to, const void *from, size_t bytes, size_t zeros);
void pk_cpu_async_commit(void);
/* The calling thread's groups have landed, but for the newest `prior` ones. */
void pk_cpu_async_wait(unsigned prior);
/* The barrier's phase waits for the calling thread's copies so far. */
void pk_cpu_async_arrive_on(uint64_t *barrier);
/* Copy bytes, a multiple of 16, and take them off what the barrier expects when they have landed. */
void pk_cpu_bulk_copy(void *to, const void *from, size_t bytes, uint64_t *barrier);

void pk_cpu_mbarrier_init(uint64_t *barrier, unsigned count);
/* Expects `bytes` more and arrives. Returns a token of the phase that was arrived at. */
uint64_t pk_cpu_mbarrier_arrive(uint64_t *barrier, unsigned bytes, bool drop);
void pk_cpu_mbarrier_expect(uint64_t *barrier, unsigned bytes);
unsigned pk_cpu_mbarrier_pending(uint64_t token);
/* The calling thread comes to a barrier of whole warps, number `id` of the block; `barrier` counts them. Ends the
 * kernel where a GPU's would never meet, or meet with others: see async.cpp. */
void pk_cpu_warps_arrive(const uint64_t *barrier, unsigned id, unsigned threads, const char *file, int line);
/* Whether the phase has ended; gives way for about limit_ns if not. */
bool pk_cpu_mbarrier_wait(uint64_t *barrier, uint64_t phase, unsigned limit_ns, const char *file, int line);
}

#endif
