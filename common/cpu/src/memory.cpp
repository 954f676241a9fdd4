/* Memory: what was allocated and of which kind.
 *
 * Device, pinned and managed memory is ordinary memory here, so what makes a kind is this registry: it decides which
 * pointers a copy accepts, and how the copy behaves towards the host. */
#include "memory.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture.h"
#include "error.h"
#include "ordered.h"
#include "pk_cpu/memory.h"
#include "settings.h"
#include "symbols.h"

struct range {
    char *base;
    size_t bytes;
    enum cudaMemoryType kind;
    enum { ALLOCATED, REGISTERED, SYMBOL, ORDERED } origin;
    const void *caller;                   /* code that asked for it, or null */
    size_t before = 0, after = 0;         /* bytes at its ends that are no kernel's: pk_cpu_memory_guards */
    struct pk_ordered *ordered = nullptr; /* ORDERED: whose it is */
    bool absent = false;                  /* ORDERED: not allocated, by what has run */
};

static pthread_mutex_t memory_lock = PTHREAD_MUTEX_INITIALIZER;
static struct range *ranges; /* sorted by base */
static size_t n_ranges, max_ranges;
static uint64_t used_bytes; /* of device and managed memory */

/* The first range whose base is above `pointer`. */
static size_t upper_bound(const void *pointer)
{
    size_t low = 0, high = n_ranges;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if ((uintptr_t)ranges[middle].base <= (uintptr_t)pointer)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct range *find(const void *pointer)
{
    const size_t at = upper_bound(pointer);
    if (at == 0)
        return nullptr;
    struct range *range = &ranges[at - 1];
    return (uintptr_t)pointer - (uintptr_t)range->base < range->bytes ? range : nullptr;
}

static bool add(struct range range)
{
    if (n_ranges == max_ranges) {
        const size_t max = max_ranges ? 2 * max_ranges : 64;
        struct range *grown = (struct range *)realloc(ranges, max * sizeof(*grown));
        if (!grown)
            return false;
        ranges = grown;
        max_ranges = max;
    }
    const size_t at = upper_bound(range.base);
    memmove(&ranges[at + 1], &ranges[at], (n_ranges - at) * sizeof(*ranges));
    ranges[at] = range;
    n_ranges++;
    return true;
}

/* Counts what has been taken off the registry: a range found before is still there while this has not changed.
 * Release, pairs with pk_memory_reachable's acquire. */
static uint32_t removals;

static void remove(struct range *range)
{
    __atomic_add_fetch(&removals, 1, __ATOMIC_RELEASE);
    const size_t at = (size_t)(range - ranges);
    memmove(range, range + 1, (n_ranges - at - 1) * sizeof(*ranges));
    n_ranges--;
}

/* ---- allocation ---- */

/* MemAvailable, the kernel's own estimate of what can be had without swapping; or all, where it says nothing. */
static uint64_t available_bytes(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    unsigned long long kb = 0;
    bool found = false;
    while (file && !found && fgets(line, sizeof(line), file))
        found = sscanf(line, "MemAvailable: %llu kB", &kb) == 1;
    if (file)
        fclose(file);
    return found ? (uint64_t)kb * 1024 : UINT64_MAX;
}

/* With memory_lock held. */
static uint64_t free_bytes_now(void)
{
    const uint64_t unused = pk_settings.memory_bytes > used_bytes ? pk_settings.memory_bytes - used_bytes : 0;
    const uint64_t available = available_bytes();
    return unused < available ? unused : available;
}

/* Whether there is so much more. Asks the system only when it may matter: the question costs microseconds. With
 * memory_lock held. */
static bool fits(size_t bytes)
{
    const uint64_t few = pk_settings.memory_bytes / 8;
    return (bytes < few && used_bytes < few - bytes) || bytes <= free_bytes_now();
}

/* ---- PK_CPU_CHECK: memory with nothing behind it, and which the host may not touch while the device is idle ---- */

/* Addresses are never used twice, so that freed memory stays out of reach; pages between allocations stay so too. The
 * address space for them is reserved in stretches, each twice the one before: all of it at once is more than a limit,
 * or an emulated processor, has to give. With memory_lock held, but for the look of pk_memory_in_heap. */
enum { MOST_STRETCHES = 12 };
static struct {
    struct {
        char *base, *end;
    } stretches[MOST_STRETCHES];
    int count; /* release when a stretch is there, acquire by pk_memory_in_heap */
    char *next;
    bool open; /* the device has work: device memory can be touched */
} heap;

/* Where no system maps anything: null pointers, and what was added to one. */
enum : uintptr_t { NO_MEMORY_BELOW = 65536 };

/* 4 KiB on x86; 16 or 64 KiB on some aarch64 systems. */
static size_t page_bytes(void)
{
    static const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    return bytes;
}

enum : size_t { FIRST_STRETCH_BYTES = (size_t)1 << 34 };

/* A stretch that has room for `bytes`, as large as it should be or can be had. */
static bool reserve_stretch(size_t bytes)
{
    size_t wanted = FIRST_STRETCH_BYTES << heap.count;
    while (wanted < bytes)
        wanted *= 2;
    while (wanted >= bytes && heap.count < MOST_STRETCHES) {
        void *space = mmap(nullptr, wanted, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (space != MAP_FAILED) {
            heap.next = (char *)space;
            heap.stretches[heap.count] = {heap.next, heap.next + wanted};
            __atomic_store_n(&heap.count, heap.count + 1, __ATOMIC_RELEASE);
            return true;
        }
        wanted /= 2;
    }
    return false;
}

/* From the newest stretch; what is left of it when it does not suffice stays unused. */
static char *next_pages(size_t bytes)
{
    if (heap.count == 0 || bytes > (size_t)(heap.stretches[heap.count - 1].end - heap.next)) {
        if (!reserve_stretch(bytes))
            return nullptr;
    }
    return heap.next;
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

static char *pages_of(const struct range *range)
{
    return (char *)((uintptr_t)range->base / page_bytes() * page_bytes());
}

/* Ends at the end of a page, as far as CUDA's alignment of 256 lets it. */
static void *heap_allocate(size_t bytes, enum cudaMemoryType kind)
{
    const size_t pages = whole_pages(bytes);
    char *first = next_pages(pages + 2 * page_bytes());
    if (!first)
        return nullptr;
    first += page_bytes();
    const int rights = kind == cudaMemoryTypeDevice && !heap.open ? PROT_NONE : PROT_READ | PROT_WRITE;
    if (mprotect(first, pages, rights) != 0)
        return nullptr;
    heap.next = first + pages;
    return first + pages - (bytes + 255) / 256 * 256;
}

/* ---- else: ordinary memory, and behind it a strip that should stay as it is ---- */

/* A kernel that writes a little too far would write into the C library's own records, and the process would end
 * somewhere else by a signal. AddressSanitizer has strips of its own, and sees the write. */
#if defined(__SANITIZE_ADDRESS__)
enum : size_t { STRIP_BYTES = 0 };
#else
enum : size_t { STRIP_BYTES = 256 };
#endif
enum : unsigned char { STRIP_BYTE = 0xA5 };

static void *plain_allocate(size_t bytes)
{
    void *base = nullptr;
    if (posix_memalign(&base, 256, bytes + STRIP_BYTES) != 0)
        return nullptr;
    memset((char *)base + bytes, STRIP_BYTE, STRIP_BYTES);
    return base;
}

static void name_range(const struct range *range, char *text, size_t bytes);

static void check_strip(const struct range *range)
{
    const unsigned char *strip = (const unsigned char *)range->base + range->bytes;
    size_t changed = STRIP_BYTES;
    while (changed > 0 && strip[changed - 1] == STRIP_BYTE)
        changed--;
    if (changed == 0)
        return;
    char text[320];
    name_range(range, text, sizeof(text));
    fprintf(
        stderr,
        "CPU device: something wrote up to %zu bytes past the end of %s; PK_CPU_CHECK=1 tells what (docs/no-gpu.md)\n",
        changed, text);
}

enum : size_t { MOST_SPOILT_BYTES = (size_t)1 << 20 };

static void release_base(const struct range *range)
{
    if (pk_memory_in_heap(range->base))
        mmap(pages_of(range), whole_pages(range->bytes), PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    else if (range->origin == range::ORDERED)
        munmap(range->base, whole_pages(range->bytes));
    else {
        check_strip(range);
        if (range->kind == cudaMemoryTypeDevice && range->bytes <= MOST_SPOILT_BYTES)
            memset(range->base, 0xff,
                   range->bytes); /* NaN: who reads it still gets no number, where no page is missed */
        free(range->base);
    }
}

void pk_memory_open(bool open)
{
    if (!pk_settings.check)
        return;
    pthread_mutex_lock(&memory_lock);
    heap.open = open;
    for (size_t i = 0; i < n_ranges; ++i)
        if ((ranges[i].origin == range::ALLOCATED || ranges[i].origin == range::ORDERED) &&
            ranges[i].kind == cudaMemoryTypeDevice)
            mprotect(pages_of(&ranges[i]), whole_pages(ranges[i].bytes), open ? PROT_READ | PROT_WRITE : PROT_NONE);
    pthread_mutex_unlock(&memory_lock);
}

bool pk_memory_in_heap(const void *address)
{
    const char *at = (const char *)address;
    const int count = __atomic_load_n(&heap.count, __ATOMIC_ACQUIRE); /* pairs with reserve_stretch */
    for (int i = 0; i < count; ++i)
        if (at >= heap.stretches[i].base && at < heap.stretches[i].end)
            return true;
    return false;
}

static const char *kind_name(enum cudaMemoryType kind)
{
    return kind == cudaMemoryTypeDevice ? "device memory"
           : kind == cudaMemoryTypeHost ? "pinned memory"
                                        : "managed memory";
}

static void name_range(const struct range *range, char *text, size_t bytes)
{
    char caller[256] = "";
    if (range->caller)
        pk_describe_code(range->caller, caller, sizeof(caller));
    snprintf(text, bytes, "%zu bytes of %s%s%s", range->bytes, kind_name(range->kind), caller[0] ? " from " : "",
             caller);
}

/* What an address is that no allocation holds. With memory_lock held. */
static void name_stray(const void *address, char *what, size_t bytes)
{
    const char *at = (const char *)address;
    char range_text[320];
    if (!pk_memory_in_heap(address)) {
        const size_t above = upper_bound(address);
        const struct range *before = above > 0 ? &ranges[above - 1] : nullptr;
        const size_t past = before ? (size_t)(at - before->base) - before->bytes : SIZE_MAX;
        if ((uintptr_t)at < NO_MEMORY_BELOW) {
            snprintf(what, bytes, "a null pointer");
        } else if (past < page_bytes()) {
            name_range(before, range_text, sizeof(range_text));
            snprintf(what, bytes, "%zu bytes past the end of %s", past, range_text);
        } else {
            snprintf(what, bytes, "host memory, or memory that has been freed: the device cannot reach it");
        }
        return;
    }
    const size_t above = upper_bound(address);
    if (above > 0 && at < pages_of(&ranges[above - 1]) + whole_pages(ranges[above - 1].bytes) + page_bytes()) {
        const struct range *before = &ranges[above - 1];
        name_range(before, range_text, sizeof(range_text));
        snprintf(what, bytes, "%zu bytes past the end of %s", (size_t)(at - before->base - (ptrdiff_t)before->bytes),
                 range_text);
    } else if (above < n_ranges && at >= pages_of(&ranges[above]) - page_bytes()) {
        name_range(&ranges[above], range_text, sizeof(range_text));
        snprintf(what, bytes, "%zu bytes before %s", (size_t)(ranges[above].base - at), range_text);
    } else {
        const bool beyond = at >= heap.next && at < heap.stretches[heap.count - 1].end;
        snprintf(what, bytes, "%s", beyond ? "memory that was never allocated" : "memory that has been freed");
    }
}

/* What an address in the guards of a buffer is. */
static void name_guarded(const struct range *range, const char *at, char *what, size_t bytes)
{
    const char *low = range->base + range->before, *high = range->base + range->bytes - range->after;
    snprintf(what, bytes, "%zu bytes %s a buffer of %zu bytes", (size_t)(at < low ? low - at : at - high),
             at < low ? "before" : "past the end of", (size_t)(high - low));
}

/* What memory is that work has to allocate first, or has freed. */
static void name_absent(const struct range *range, char *what, size_t bytes)
{
    char range_text[320];
    name_range(range, range_text, sizeof(range_text));
    snprintf(what, bytes, "%s, which the work before this has not allocated, or has freed", range_text);
}

bool pk_memory_reachable(const void *address, size_t bytes, char *what, size_t what_bytes)
{
    /* Most accesses are to an allocation of the last few. */
    static __thread struct {
        const char *low, *high;
        uint32_t removals;
    } known[8];
    static __thread unsigned newest;
    const char *at = (const char *)address;
    const uint32_t now = __atomic_load_n(&removals, __ATOMIC_ACQUIRE);
    for (const auto &one : known)
        if (at >= one.low && at < one.high && (size_t)(one.high - at) >= bytes && one.removals == now)
            return true;
    pthread_mutex_lock(&memory_lock);
    const struct range *range = find(address);
    const char *low = range ? range->base + range->before : nullptr;
    const char *high = range ? range->base + range->bytes - range->after : nullptr;
    const bool inside = range && at >= low && at < high && (size_t)(high - at) >= bytes;
    const bool present = inside && !range->absent;
    if (present)
        known[++newest % 8] = {low, high, __atomic_load_n(&removals, __ATOMIC_RELAXED)};
    else if (what_bytes == 0)
        ; /* only asked whether: a name costs much more */
    else if (inside)
        name_absent(range, what, what_bytes);
    else if (range && range->before + range->after > 0)
        name_guarded(range, at >= low && at < high ? high : at, what, what_bytes); /* begins inside, ends beyond */
    else
        name_stray(range ? high : address, what, what_bytes);
    pthread_mutex_unlock(&memory_lock);
    return present;
}

/* Variables that are __managed__, if the program has any. */
extern "C" char __start_pk_managed[] __attribute__((weak)), __stop_pk_managed[] __attribute__((weak));

bool pk_memory_may_be_argument(const void *pointer, char *what, size_t what_bytes)
{
    const char *at = (const char *)pointer;
    if ((uintptr_t)at < NO_MEMORY_BELOW || (at >= __start_pk_managed && at < __stop_pk_managed) ||
        pk_memory_reachable(at, 1, nullptr, 0))
        return true;
    pthread_mutex_lock(&memory_lock);
    /* A guard may be pointed to, the byte past the end, and memory that the work before the kernel will allocate. */
    const bool inside = find(at) || find(at - 1);
    pthread_mutex_unlock(&memory_lock);
    return inside || pk_memory_reachable(at, 1, what, what_bytes);
}

bool pk_memory_is_device_only(const void *address, char *what, size_t what_bytes)
{
    if (!pk_memory_in_heap(address))
        return false;
    pthread_mutex_lock(&memory_lock);
    const struct range *range = find(address);
    const bool device = !range || range->kind == cudaMemoryTypeDevice;
    if (!range)
        name_stray(address, what, what_bytes);
    else if (device)
        name_range(range, what, what_bytes);
    pthread_mutex_unlock(&memory_lock);
    return device;
}

/* What has not been freed, one line each: at a reset and at the program's end. After a fault nothing can be. */
void pk_memory_report_leaks(void)
{
    if (pk_fault())
        return;
    char text[320];
    pthread_mutex_lock(&memory_lock);
    for (size_t i = 0; i < n_ranges; ++i) {
        if (ranges[i].origin != range::ALLOCATED && (ranges[i].origin != range::ORDERED || ranges[i].absent))
            continue;
        name_range(&ranges[i], text, sizeof(text));
        fprintf(stderr, "CPU device: check: never freed: %s\n", text);
    }
    pthread_mutex_unlock(&memory_lock);
}

void pk_memory_check_strips(void)
{
    pthread_mutex_lock(&memory_lock);
    for (size_t i = 0; i < n_ranges; ++i)
        if (ranges[i].origin == range::ALLOCATED && !pk_memory_in_heap(ranges[i].base))
            check_strip(&ranges[i]);
    pthread_mutex_unlock(&memory_lock);
}

static cudaError_t allocate(void **pointer, size_t bytes, enum cudaMemoryType kind, const void *caller)
{
    PK_ENTER();
    if (!pointer)
        return pk_fail_with(cudaErrorInvalidValue);
    *pointer = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    const bool counts = kind != cudaMemoryTypeHost;
    void *base = nullptr;
    cudaError_t error = pk_capture_allows_unsafe();
    if (error)
        return pk_fail_with(error);
    pthread_mutex_lock(&memory_lock);
    if (counts && !fits(bytes))
        error = cudaErrorMemoryAllocation;
    else if (bytes > SIZE_MAX / 2)
        error = cudaErrorMemoryAllocation;
    else if (!(base = pk_settings.check ? heap_allocate(bytes, kind) : plain_allocate(bytes)))
        error = cudaErrorMemoryAllocation;
    else if (!add({(char *)base, bytes, kind, range::ALLOCATED, caller}))
        error = cudaErrorMemoryAllocation;
    if (error == cudaSuccess && counts)
        used_bytes += bytes;
    pthread_mutex_unlock(&memory_lock);
    if (error) {
        if (!pk_settings.check)
            free(base);
        return pk_fail_with(error);
    }
    *pointer = base;
    return cudaSuccess;
}

/* ---- address space for memory that comes and goes ---- */

void *pk_memory_reserve(size_t bytes, struct pk_ordered *ordered, const void *caller)
{
    if (bytes > SIZE_MAX / 2)
        return nullptr;
    pthread_mutex_lock(&memory_lock);
    void *base = pk_settings.check ? heap_allocate(bytes, cudaMemoryTypeDevice)
                                   : mmap(nullptr, whole_pages(bytes), PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        base = nullptr;
    const struct range range = {(char *)base, bytes, cudaMemoryTypeDevice, range::ORDERED, caller, 0, 0, ordered, true};
    if (base && !add(range)) {
        release_base(&range);
        base = nullptr;
    }
    pthread_mutex_unlock(&memory_lock);
    return base;
}

void pk_memory_unreserve(const void *base)
{
    pthread_mutex_lock(&memory_lock);
    struct range *range = find(base);
    const struct range gone = *range;
    remove(range);
    pthread_mutex_unlock(&memory_lock);
    release_base(&gone);
}

void pk_memory_set_present(const void *base, bool present)
{
    pthread_mutex_lock(&memory_lock);
    find(base)->absent = !present;
    if (!present)
        __atomic_add_fetch(&removals, 1, __ATOMIC_RELEASE); /* nobody may know it as a place to go to */
    pthread_mutex_unlock(&memory_lock);
}

void pk_memory_drop_pages(const void *base)
{
    pthread_mutex_lock(&memory_lock);
    const struct range *range = find(base);
    madvise(pages_of(range), whole_pages(range->bytes), MADV_DONTNEED);
    pthread_mutex_unlock(&memory_lock);
}

struct pk_ordered *pk_memory_ordered(const void *address)
{
    pthread_mutex_lock(&memory_lock);
    const struct range *range = find(address);
    struct pk_ordered *ordered = range && range->base == address ? range->ordered : nullptr;
    pthread_mutex_unlock(&memory_lock);
    return ordered;
}

bool pk_memory_fits(size_t bytes)
{
    pthread_mutex_lock(&memory_lock);
    const bool enough = fits(bytes);
    pthread_mutex_unlock(&memory_lock);
    return enough;
}

void pk_memory_charge(size_t bytes)
{
    pthread_mutex_lock(&memory_lock);
    used_bytes += bytes;
    pthread_mutex_unlock(&memory_lock);
}

void pk_memory_refund(size_t bytes)
{
    pthread_mutex_lock(&memory_lock);
    used_bytes -= bytes;
    pthread_mutex_unlock(&memory_lock);
}

/* `host`: pinned memory is meant, else device or managed memory. */
static cudaError_t release(void *pointer, bool host)
{
    if (!pointer)
        return cudaSuccess;
    pthread_mutex_lock(&memory_lock);
    struct range *range = find(pointer);
    const bool valid = range && range->base == pointer && range->origin == range::ALLOCATED &&
                       (range->kind == cudaMemoryTypeHost) == host;
    struct range freed = {};
    if (valid) {
        freed = *range;
        if (!host)
            used_bytes -= range->bytes;
        remove(range);
    }
    pthread_mutex_unlock(&memory_lock);
    if (!valid)
        return cudaErrorInvalidValue;
    release_base(&freed);
    return cudaSuccess;
}

void pk_memory_reset(void)
{
    if (pk_settings.check)
        pk_memory_report_leaks();
    pthread_mutex_lock(&memory_lock);
    size_t kept = 0;
    for (size_t i = 0; i < n_ranges; ++i) {
        if (ranges[i].origin == range::ALLOCATED)
            release_base(&ranges[i]);
        else if (ranges[i].origin == range::SYMBOL || ranges[i].origin == range::ORDERED)
            ranges[kept++] = ranges[i];
    }
    __atomic_add_fetch(&removals, 1, __ATOMIC_RELEASE);
    n_ranges = kept;
    used_bytes = 0;
    pthread_mutex_unlock(&memory_lock);
}

extern "C" cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    PK_ENTER();
    if (!free_bytes || !total_bytes)
        return pk_fail_with(cudaErrorInvalidValue);
    pthread_mutex_lock(&memory_lock);
    *free_bytes = (size_t)free_bytes_now();
    pthread_mutex_unlock(&memory_lock);
    *total_bytes = (size_t)pk_settings.memory_bytes;
    return cudaSuccess;
}

extern "C" void pk_cpu_memory_guards(void *base, size_t before, size_t after)
{
    pthread_mutex_lock(&memory_lock);
    struct range *range = find(base);
    if (range && range->base == base && before <= range->bytes && after <= range->bytes - before) {
        range->before = before;
        range->after = after;
        __atomic_add_fetch(&removals, 1, __ATOMIC_RELEASE); /* what pk_memory_reachable knew of it holds no longer */
    }
    pthread_mutex_unlock(&memory_lock);
}

extern "C" cudaError_t cudaMalloc(void **device, size_t bytes)
{
    PK_CALL();
    return allocate(device, bytes, cudaMemoryTypeDevice, __builtin_return_address(0));
}

extern "C" cudaError_t cudaMallocManaged(void **both, size_t bytes, unsigned flags)
{
    PK_CALL();
    if (flags != cudaMemAttachGlobal || bytes == 0)
        return pk_fail_with(cudaErrorInvalidValue);
    return allocate(both, bytes, cudaMemoryTypeManaged, __builtin_return_address(0));
}

extern "C" cudaError_t cudaHostAlloc(void **host, size_t bytes, unsigned flags)
{
    PK_CALL();
    if (flags & ~(cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined))
        return pk_fail_with(cudaErrorInvalidValue);
    return allocate(host, bytes, cudaMemoryTypeHost, __builtin_return_address(0));
}

extern "C" cudaError_t cudaMallocHost(void **host, size_t bytes)
{
    return cudaHostAlloc(host, bytes, cudaHostAllocDefault);
}

/* Waits for the device first, as CUDA's does. */
static cudaError_t release_when_idle(void *pointer, bool host)
{
    PK_ENTER();
    if (!pointer)
        return cudaSuccess;
    cudaError_t error = pk_capture_allows_unsafe();
    if (!error)
        error = pk_device_wait();
    if (error)
        return pk_fail_with(error);
    pk_lock();
    struct pk_ordered *ordered = pk_ordered_at(pointer);
    const bool freed = ordered && !host && pk_ordered_free_now(ordered);
    pk_unlock();
    return freed ? cudaSuccess : pk_fail_with(release(pointer, host));
}

extern "C" cudaError_t cudaFree(void *device)
{
    PK_CALL();
    return release_when_idle(device, false);
}

extern "C" cudaError_t cudaFreeHost(void *host)
{
    PK_CALL();
    return release_when_idle(host, true);
}

static void release_in_stream(void *pointer)
{
    (void)release(pointer, false);
}

cudaError_t pk_memory_free_in_stream(void *device, cudaStream_t stream)
{
    pthread_mutex_lock(&memory_lock);
    const struct range *range = find(device);
    const bool valid =
        range && range->base == device && range->origin == range::ALLOCATED && range->kind == cudaMemoryTypeDevice;
    pthread_mutex_unlock(&memory_lock);
    return valid ? cudaLaunchHostFunc(stream, release_in_stream, device) : pk_fail_with(cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaHostRegister(void *host, size_t bytes, unsigned flags)
{
    PK_ENTER();
    if (!host || bytes == 0 || (flags & ~(cudaHostRegisterPortable | cudaHostRegisterMapped)))
        return pk_fail_with(cudaErrorInvalidValue);
    pthread_mutex_lock(&memory_lock);
    const size_t above = upper_bound(host);
    const bool overlaps = find(host) || (above < n_ranges && (uintptr_t)ranges[above].base < (uintptr_t)host + bytes);
    const bool added = !overlaps && add({(char *)host, bytes, cudaMemoryTypeHost, range::REGISTERED, nullptr});
    pthread_mutex_unlock(&memory_lock);
    return added ? cudaSuccess
                 : pk_fail_with(overlaps ? cudaErrorHostMemoryAlreadyRegistered : cudaErrorMemoryAllocation);
}

extern "C" cudaError_t cudaHostUnregister(void *host)
{
    PK_ENTER();
    pthread_mutex_lock(&memory_lock);
    struct range *range = find(host);
    const bool valid = range && range->base == host && range->origin == range::REGISTERED;
    if (valid)
        remove(range);
    pthread_mutex_unlock(&memory_lock);
    return valid ? cudaSuccess : pk_fail_with(cudaErrorHostMemoryNotRegistered);
}

extern "C" cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags)
{
    PK_ENTER();
    if (!device || flags != 0)
        return pk_fail_with(cudaErrorInvalidValue);
    pthread_mutex_lock(&memory_lock);
    const struct range *range = find(host);
    const bool pinned = range && range->kind == cudaMemoryTypeHost;
    pthread_mutex_unlock(&memory_lock);
    *device = pinned ? host : nullptr;
    return pinned ? cudaSuccess : pk_fail_with(cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *pointer)
{
    PK_ENTER();
    if (!attributes)
        return pk_fail_with(cudaErrorInvalidValue);
    pthread_mutex_lock(&memory_lock);
    const struct range *range = find(pointer);
    const enum cudaMemoryType kind = range ? range->kind : cudaMemoryTypeUnregistered;
    pthread_mutex_unlock(&memory_lock);
    void *plain = const_cast<void *>(pointer);
    attributes->type = kind;
    attributes->device = kind == cudaMemoryTypeUnregistered ? cudaInvalidDeviceId : 0;
    attributes->devicePointer = kind == cudaMemoryTypeUnregistered ? nullptr : plain;
    attributes->hostPointer = kind == cudaMemoryTypeDevice ? nullptr : plain;
    return cudaSuccess;
}

extern "C" cudaError_t pk_cpu_symbol_address(void **device, const void *symbol, size_t bytes)
{
    PK_ENTER();
    pthread_mutex_lock(&memory_lock);
    const struct range *range = find(symbol);
    const bool known =
        range || add({(char *)const_cast<void *>(symbol), bytes, cudaMemoryTypeDevice, range::SYMBOL, nullptr});
    pthread_mutex_unlock(&memory_lock);
    *device = const_cast<void *>(symbol);
    return known ? cudaSuccess : pk_fail_with(cudaErrorMemoryAllocation);
}

cudaError_t pk_memory_kind(const void *pointer, size_t bytes, enum cudaMemoryType *kind)
{
    pthread_mutex_lock(&memory_lock);
    const struct range *range = find(pointer);
    *kind = range ? range->kind : cudaMemoryTypeUnregistered;
    const bool inside = !range || (size_t)(range->base + range->bytes - (const char *)pointer) >= bytes;
    pthread_mutex_unlock(&memory_lock);
    return inside ? cudaSuccess : cudaErrorInvalidValue;
}
