/* The engine's lock and its start. */
#include "engine.h"

#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"
#include "memory.h"
#include "os.h"
#include "settings.h"

struct pk_engine pk_engine;
__thread struct pk_runner *pk_self;
__thread bool pk_in_kernel, pk_in_host_function;

static pthread_once_t once = PTHREAD_ONCE_INIT;

void pk_lock(void)
{
    pthread_mutex_lock(&pk_engine.lock);
}

void pk_unlock(void)
{
    struct pk_runner *wake = pk_engine.to_wake;
    pk_engine.to_wake = nullptr;
    pthread_mutex_unlock(&pk_engine.lock);
    while (wake) {
        struct pk_runner *next = wake->next_idle;
        __atomic_store_n(&wake->wake, 1, __ATOMIC_RELEASE);
        pk_futex_wake(&wake->wake, 1);
        wake = next;
    }
}

static void start(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&pk_engine.lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    pk_settings_read();
    pk_engine.may_batch = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
    if (pk_settings.check)
        atexit(pk_memory_report_leaks);
    else
        atexit(pk_memory_check_strips);
    pk_faults_catch();
}

cudaError_t pk_enter(void)
{
    pthread_once(&once, start);
    if (!pk_settings.valid)
        return cudaErrorInitializationError;
    if (pk_in_host_function)
        return cudaErrorNotPermitted;
    return pk_fault();
}
