/* How many kernels really ran, by CUPTI's activity records. The library is loaded at run time, with the few
 * declarations that are used here (CUPTI documentation, "Activity API"); the build compares them with CUPTI's own
 * header where that is there. */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cupti_records.h"
#include "pk/host.h"
#include "tools.h"

typedef int (*cupti_switch)(int kind);
typedef void (*cupti_give)(uint8_t **buffer, size_t *bytes, size_t *max_records);
typedef void (*cupti_take)(void *context, uint32_t stream, uint8_t *buffer, size_t bytes, size_t valid_bytes);
typedef int (*cupti_register)(cupti_give give, cupti_take take);
typedef int (*cupti_next)(uint8_t *buffer, size_t valid_bytes, pk_cupti_activity **record);
typedef int (*cupti_flush)(uint32_t flags);
typedef int (*cupti_dropped)(void *context, uint32_t stream, size_t *dropped);
typedef int (*cupti_plain)(void);

static struct {
    void *library;
    cupti_switch enable, disable;
    cupti_register register_callbacks;
    cupti_next next;
    cupti_flush flush;
    cupti_dropped dropped;
    cupti_plain finalize;
    bool running;
} cupti;

/* Written by CUPTI's own thread; relaxed, because the flush in pk_cupti_stop orders it before the reading. */
static atomic_uint_fast64_t kernels_seen;
static atomic_bool records_lost;

/* Some twenty thousand kernel records; CUPTI's documentation advises 1 to 10 MB. */
static const size_t buffer_bytes = (size_t)4 << 20;

static void give_buffer(uint8_t **buffer, size_t *bytes, size_t *max_records)
{
    *buffer = aligned_alloc(PK_CUPTI_ALIGNMENT, buffer_bytes); /* NULL: CUPTI drops the records, and says so */
    *bytes = *buffer ? buffer_bytes : 0;
    *max_records = 0; /* as many as fit */
}

static void take_buffer(void *context, uint32_t stream, uint8_t *buffer, size_t bytes, size_t valid_bytes)
{
    (void)bytes;
    pk_cupti_activity *record = NULL;
    uint_fast64_t kernels = 0;
    size_t dropped = 0;
    while (valid_bytes > 0 && cupti.next(buffer, valid_bytes, &record) == PK_CUPTI_SUCCESS)
        kernels += record->kind == PK_CUPTI_CONCURRENT_KERNEL;
    atomic_fetch_add_explicit(&kernels_seen, kernels, memory_order_relaxed);
    if (cupti.dropped(context, stream, &dropped) != PK_CUPTI_SUCCESS || dropped > 0)
        atomic_store_explicit(&records_lost, true, memory_order_relaxed);
    free(buffer);
}

#if defined(PK_BACKEND_CPU) || defined(PK_BACKEND_HIP)

/* No kernel of this program runs through CUDA: a count of 0 would be true, and mean nothing. */
static bool load(void)
{
    return false;
}

#else

static void *open_library(void)
{
    /* By the loader's path first, then where the toolkit that this was built with keeps it. */
    static const char *const names[] = {"libcupti.so.13", "libcupti.so.12", "libcupti.so",
#ifdef PK_CUPTI_FOLDER
                                        PK_CUPTI_FOLDER "/libcupti.so"
#endif
    };
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

/* POSIX promises that a function's address fits in dlsym's void *, ISO C does not: hence the copy. */
static bool find_symbol(void *function, size_t bytes, const char *name)
{
    void *symbol = dlsym(cupti.library, name);
    memcpy(function, &symbol, bytes);
    return symbol != NULL;
}

#define FIND(member, name) find_symbol(&cupti.member, sizeof cupti.member, name)

static bool load(void)
{
    if (cupti.library)
        return true;
    cupti.library = open_library();
    if (!cupti.library)
        return false;
    if (FIND(enable, "cuptiActivityEnable") && FIND(disable, "cuptiActivityDisable") &&
        FIND(register_callbacks, "cuptiActivityRegisterCallbacks") && FIND(next, "cuptiActivityGetNextRecord") &&
        FIND(flush, "cuptiActivityFlushAll") && FIND(dropped, "cuptiActivityGetNumDroppedRecords") &&
        FIND(finalize, "cuptiFinalize"))
        return true;
    (void)dlclose(cupti.library);
    memset(&cupti, 0, sizeof cupti);
    return false;
}

#endif

bool pk_cupti_present(void)
{
    return load();
}

bool pk_cupti_start(void)
{
    if (cupti.running || !load())
        return false;
    if (cupti.register_callbacks(give_buffer, take_buffer) != PK_CUPTI_SUCCESS)
        return false;
    if (cupti.enable(PK_CUPTI_CONCURRENT_KERNEL) != PK_CUPTI_SUCCESS)
        return false;                      /* nor finalized: it may be a profiler's */
    (void)cupti.flush(PK_CUPTI_FLUSH_ALL); /* what ended earlier is not counted */
    atomic_store_explicit(&kernels_seen, 0, memory_order_relaxed);
    atomic_store_explicit(&records_lost, false, memory_order_relaxed);
    cupti.running = true;
    return true;
}

bool pk_cupti_stop(uint64_t *kernels)
{
    if (!cupti.running)
        return false;
    const bool flushed = cupti.flush(PK_CUPTI_FLUSH_ALL) == PK_CUPTI_SUCCESS;
    const bool disabled = cupti.disable(PK_CUPTI_CONCURRENT_KERNEL) == PK_CUPTI_SUCCESS;
    /* Merely disabled, it goes on slowing every launch of the process (by a fifth on an H200 with CUDA 13.0). */
    (void)cupti.finalize();
    cupti.running = false;
    *kernels = atomic_load_explicit(&kernels_seen, memory_order_relaxed);
    return flushed && disabled && !atomic_load_explicit(&records_lost, memory_order_relaxed);
}
