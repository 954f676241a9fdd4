/* CUPTI's activity records, and with them how many kernels really ran. The library is loaded at run time, with the few
 * declarations of cupti_records.h. */
#include "cupti.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

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
typedef int (*cupti_timestamp)(uint64_t *ns);
typedef int (*cupti_callback_name)(int domain, uint32_t function, const char **name);

enum { MOST_KINDS = 8 };

static struct {
    void *library;
    cupti_switch enable, disable;
    cupti_register register_callbacks;
    cupti_next next;
    cupti_flush flush;
    cupti_dropped dropped;
    cupti_plain finalize;
    cupti_timestamp timestamp; /* these two may be NULL */
    cupti_callback_name callback_name;
    int kinds[MOST_KINDS];
    size_t kind_count;
    pk_cupti_visit *visit;
    void *context;
    bool running;
} cupti;

/* Written by CUPTI's own thread; relaxed, because the flush in pk_cupti_end orders it before the reading. */
static atomic_size_t records_dropped;
static atomic_bool records_lost;
static pthread_mutex_t visiting = PTHREAD_MUTEX_INITIALIZER; /* held while records of one buffer are visited */

/* Some twenty thousand kernel records; CUPTI's documentation advises 1 to 10 MB. */
static const size_t buffer_bytes = (size_t)4 << 20;

static void give_buffer(uint8_t **buffer, size_t *bytes, size_t *max_records)
{
    *buffer = aligned_alloc(PK_CUPTI_ALIGNMENT, buffer_bytes); /* NULL: CUPTI drops the records, and says so */
    *bytes = *buffer ? buffer_bytes : 0;
    *max_records = 0; /* as many as fit */
}

static bool is_wanted(uint32_t kind)
{
    for (size_t i = 0; i < cupti.kind_count; i++)
        if (kind == (uint32_t)cupti.kinds[i])
            return true;
    return false;
}

static void take_buffer(void *context, uint32_t stream, uint8_t *buffer, size_t bytes, size_t valid_bytes)
{
    (void)bytes;
    pk_cupti_activity *record = NULL;
    size_t dropped = 0;
    (void)pthread_mutex_lock(&visiting);
    while (cupti.visit && valid_bytes > 0 && cupti.next(buffer, valid_bytes, &record) == PK_CUPTI_SUCCESS)
        if (is_wanted(record->kind))
            cupti.visit(record, cupti.context);
    (void)pthread_mutex_unlock(&visiting);
    if (cupti.dropped(context, stream, &dropped) != PK_CUPTI_SUCCESS)
        atomic_store_explicit(&records_lost, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&records_dropped, dropped, memory_order_relaxed);
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
        FIND(finalize, "cuptiFinalize")) {
        (void)FIND(timestamp, "cuptiGetTimestamp");
        (void)FIND(callback_name, "cuptiGetCallbackName");
        return true;
    }
    (void)dlclose(cupti.library);
    memset(&cupti, 0, sizeof cupti);
    return false;
}

#endif

bool pk_cupti_present(void)
{
    return load();
}

bool pk_cupti_has_names(void)
{
    return load() && cupti.timestamp && cupti.callback_name;
}

uint64_t pk_cupti_now_ns(void)
{
    uint64_t ns = 0;
    return cupti.timestamp && cupti.timestamp(&ns) == PK_CUPTI_SUCCESS ? ns : 0;
}

const char *pk_cupti_call_name(uint32_t function)
{
    const char *name = NULL;
    const bool found =
        cupti.callback_name && cupti.callback_name(PK_CUPTI_RUNTIME_API, function, &name) == PK_CUPTI_SUCCESS;
    return found && name ? name : "";
}

/* ---- one recording ---- */

static void visit_from_now_on(pk_cupti_visit *visit, void *context)
{
    (void)pthread_mutex_lock(&visiting);
    cupti.visit = visit;
    cupti.context = context;
    (void)pthread_mutex_unlock(&visiting);
}

bool pk_cupti_begin(const int *kinds, size_t kind_count, pk_cupti_visit *visit, void *context)
{
    if (cupti.running || kind_count > MOST_KINDS || !load())
        return false;
    if (cupti.register_callbacks(give_buffer, take_buffer) != PK_CUPTI_SUCCESS)
        return false;
    memcpy(cupti.kinds, kinds, kind_count * sizeof *kinds);
    for (cupti.kind_count = 0; cupti.kind_count < kind_count; cupti.kind_count++) {
        if (cupti.enable(kinds[cupti.kind_count]) == PK_CUPTI_SUCCESS)
            continue;
        while (cupti.kind_count > 0)
            (void)cupti.disable(kinds[--cupti.kind_count]);
        return false; /* nor finalized: it may be a profiler's */
    }
    (void)cupti.flush(PK_CUPTI_FLUSH_ALL); /* what ended earlier is not visited */
    atomic_store_explicit(&records_dropped, 0, memory_order_relaxed);
    atomic_store_explicit(&records_lost, false, memory_order_relaxed);
    visit_from_now_on(visit, context);
    cupti.running = true;
    return true;
}

bool pk_cupti_end(size_t *dropped)
{
    *dropped = 0;
    if (!cupti.running)
        return false;
    bool whole = cupti.flush(PK_CUPTI_FLUSH_ALL) == PK_CUPTI_SUCCESS;
    for (size_t i = 0; i < cupti.kind_count; i++)
        whole &= cupti.disable(cupti.kinds[i]) == PK_CUPTI_SUCCESS;
    /* Merely disabled, it goes on slowing every launch of the process (by a fifth on an H200 with CUDA 13.0). */
    (void)cupti.finalize();
    visit_from_now_on(NULL, NULL);
    cupti.running = false;
    *dropped = atomic_load_explicit(&records_dropped, memory_order_relaxed);
    return whole && *dropped == 0 && !atomic_load_explicit(&records_lost, memory_order_relaxed);
}

/* ---- the count of kernels ---- */

static uint64_t kernels_seen;

static void count_kernel(const pk_cupti_activity *record, void *count)
{
    (void)record;
    ++*(uint64_t *)count;
}

bool pk_cupti_start(void)
{
    static const int kernels[] = {PK_CUPTI_CONCURRENT_KERNEL};
    if (cupti.running)
        return false;
    kernels_seen = 0;
    return pk_cupti_begin(kernels, 1, count_kernel, &kernels_seen);
}

bool pk_cupti_stop(uint64_t *kernels)
{
    size_t dropped;
    if (!cupti.running)
        return false;
    const bool whole = pk_cupti_end(&dropped);
    *kernels = kernels_seen;
    return whole;
}
