/* What the device asks of the system: the time, futexes, threads. */
#ifndef PK_CPU_OS_H
#define PK_CPU_OS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

uint64_t pk_now_ns(void);
/* One turn of a spin. After the first few, give way: the thread that is waited for may be on this very core. */
void pk_pause_briefly(int turn);
/* Sleep while *word is `value`, no longer than `timeout` if that is not null. */
void pk_futex_wait(uint32_t *word, uint32_t value, const struct timespec *timeout);
void pk_futex_wake(uint32_t *word, int n);
/* A detached OS thread that leaves signals to the host's threads. */
bool pk_start_thread(void *(*entry)(void *), void *argument);

#endif
