/* PK_CPU_CHECK: mistakes that a GPU lets pass. What blocks and warps can see by themselves (who waits where) is seen
 * in any program; single accesses are seen in a program that was compiled for it (access.cpp).
 *
 * Shared memory has a shadow: for each byte the last write and the last two reads, each with its thread and that
 * thread's clock. Block barriers count epochs: accesses of different epochs are ordered. Within an epoch, vector
 * clocks order what warps, barriers in shared memory and atomics order (Flanagan and Freund, "FastTrack", 2009). */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "symbols.h"

enum {
    OBJECTS = 1024, /* a barrier for each stage of a long ring, and more */
    NO_THREAD = 0xffff
};

struct access {
    uint32_t epoch, clock;
    uint32_t code; /* offset in the program */
    uint16_t thread;
    bool atomic;
};

struct cell { /* of one byte */
    struct access write, reads[2];
    bool in_flight; /* target of a copy that has not landed */
    bool shared;    /* in a __shared__ variable, not between two of them */
};

struct object { /* something that threads release and acquire */
    const void *address;
    uint32_t *clocks; /* [max_threads]; null: not used yet */
};

struct pk_shadow {
    struct cell *statics, *dynamics;
    char *low, *high; /* of static shared memory */
    size_t dynamic_bytes;
    uint32_t epoch, first_epoch; /* the running block's began with first_epoch */
    unsigned n_threads, max_threads;
    uint32_t *clocks; /* [n_threads][n_threads] */
    struct object objects[OBJECTS];
    unsigned n_objects;
};

extern char __executable_start, _end;

static bool accesses_seen; /* set before main */

void pk_access_is_seen(void)
{
    accesses_seen = true;
}

bool pk_access_seen(void)
{
    return accesses_seen;
}

/* ---- reports ---- */

static uint32_t code_offset(const void *code)
{
    return (uint32_t)((const char *)code - &__executable_start);
}

static const void *code_address(uint32_t offset)
{
    return &__executable_start + offset;
}

static void thread_text(unsigned t, char *text, size_t bytes)
{
    snprintf(text, bytes, "(%u,%u,%u)", t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y);
}

/* The finding, then kernel, block and thread; and the end of the kernel, as a fault that sticks. */
void pk_check_fail(cudaError_t error, const char *format, ...)
{
    char text[1024], thread[48];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    thread_text(pk_thread_number(), thread, sizeof(thread));
    fprintf(stderr, "CPU device: check: %s; kernel %s, block (%u,%u,%u), thread %s\n", text,
            pk_running_block->grid->code->name, blockIdx.x, blockIdx.y, blockIdx.z, thread);
    pk_runner_fault(error);
}

void pk_check_stuck(const char *text)
{
    pk_check_fail(cudaErrorLaunchFailure, "the block can never go on: not all its threads reach one barrier: %s", text);
}

void pk_check_not_in_mask(const char *file, int line)
{
    if (pk_settings.check)
        pk_check_fail(cudaErrorLaunchFailure, "the calling thread is not in the mask at %s:%d", pk_file_name(file),
                      line);
}

/* ---- barriers and warps: seen in any program ---- */

/* All threads of the block that have not ended have met. */
void pk_check_barrier_meets(struct pk_cpu_block *block)
{
    if (!pk_settings.check)
        return;
    const struct pk_thread *first = nullptr;
    for (unsigned t = 0; t < block->n_threads; ++t) {
        const struct pk_thread *thread = &block->threads[t];
        if (thread->state != PK_AT_BARRIER && thread->state != PK_AT_GRID_BARRIER)
            continue;
        if (!first)
            first = thread;
        if (thread->line == first->line && thread->file == first->file)
            continue;
        char text[256];
        pk_describe_threads(block, text, sizeof(text));
        pk_check_fail(cudaErrorLaunchFailure, "divergent barrier: %s", text);
    }
    if (block->shadow)
        block->shadow->epoch++;
}

static uint32_t *clocks_of(struct pk_shadow *shadow, unsigned t)
{
    return &shadow->clocks[(size_t)t * shadow->n_threads];
}

static void join(uint32_t *into, const uint32_t *from, unsigned n)
{
    for (unsigned i = 0; i < n; ++i)
        into[i] = into[i] > from[i] ? into[i] : from[i];
}

void pk_check_warp_meets(struct pk_cpu_block *block, unsigned first_thread, uint64_t lanes)
{
    if (!pk_settings.check)
        return;
    struct pk_shadow *shadow = block->shadow;
    const unsigned leader = first_thread + (unsigned)__builtin_ctzll(lanes);
    for (uint64_t left = lanes; left; left &= left - 1) {
        const unsigned t = first_thread + (unsigned)__builtin_ctzll(left);
        if (block->threads[t].warp_op != block->threads[leader].warp_op)
            pk_check_fail(cudaErrorLaunchFailure,
                          "threads of a warp meet in different functions, at %s:%d and at %s:%d",
                          pk_file_name(block->threads[leader].file), block->threads[leader].line,
                          pk_file_name(block->threads[t].file), block->threads[t].line);
        if (shadow && t != leader)
            join(clocks_of(shadow, leader), clocks_of(shadow, t), shadow->n_threads);
    }
    if (!shadow)
        return;
    for (uint64_t left = lanes & (lanes - 1); left; left &= left - 1)
        memcpy(clocks_of(shadow, first_thread + (unsigned)__builtin_ctzll(left)), clocks_of(shadow, leader),
               shadow->n_threads * sizeof(uint32_t));
    for (uint64_t left = lanes; left; left &= left - 1) {
        const unsigned t = first_thread + (unsigned)__builtin_ctzll(left);
        clocks_of(shadow, t)[t]++;
    }
}

/* ---- the shadow ---- */

static void *zeroed(size_t bytes)
{
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory)
        pk_runner_fault(cudaErrorLaunchOutOfResources);
    return memory;
}

static void extend(char *variable, size_t bytes, void *data)
{
    struct pk_shadow *shadow = (struct pk_shadow *)data;
    if (!shadow->low || variable < shadow->low)
        shadow->low = variable;
    if (variable + bytes > shadow->high)
        shadow->high = variable + bytes;
}

static void mark_shared(char *variable, size_t bytes, void *data)
{
    struct pk_shadow *shadow = (struct pk_shadow *)data;
    for (size_t i = 0; i < bytes; ++i)
        shadow->statics[variable - shadow->low + (ptrdiff_t)i].shared = true;
}

static struct pk_shadow *make_shadow(void)
{
    struct pk_shadow *shadow = (struct pk_shadow *)zeroed(sizeof(*shadow));
    pk_shared_visit(extend, shadow);
    shadow->statics = (struct cell *)zeroed((size_t)(shadow->high - shadow->low) * sizeof(struct cell));
    pk_shared_visit(mark_shared, shadow);
    return shadow;
}

static void poison(char *variable, size_t bytes, void *)
{
    memset(variable, 0xff, bytes);
}

static void fit_shadow(struct pk_shadow *shadow, const struct pk_cpu_block *block)
{
    if (shadow->dynamic_bytes < block->shared_bytes) {
        free(shadow->dynamics);
        shadow->dynamics = (struct cell *)zeroed(block->shared_bytes * sizeof(struct cell));
        shadow->dynamic_bytes = block->shared_bytes;
    }
    if (shadow->max_threads < block->n_threads) {
        free(shadow->clocks);
        shadow->clocks = (uint32_t *)zeroed((size_t)block->n_threads * block->n_threads * sizeof(uint32_t));
        shadow->max_threads = block->n_threads;
        for (unsigned i = 0; i < OBJECTS; ++i) {
            free(shadow->objects[i].clocks);
            shadow->objects[i].clocks = nullptr;
        }
    }
}

void pk_check_block_begins(struct pk_cpu_block *block)
{
    if (!pk_settings.check)
        return;
    /* Shared memory begins as NaN: a value that nobody wrote does not look like a result. */
    pk_shared_visit(poison, nullptr);
    if (block->shared_bytes)
        memset(block->shared, 0xff, block->shared_bytes);
    if (!pk_access_seen())
        return;
    if (!block->shadow)
        block->shadow = make_shadow();
    struct pk_shadow *shadow = block->shadow;
    fit_shadow(shadow, block);
    shadow->n_threads = block->n_threads;
    pk_scope_block_begins(block);
    memset(shadow->clocks, 0, (size_t)block->n_threads * block->n_threads * sizeof(uint32_t));
    for (unsigned t = 0; t < block->n_threads; ++t)
        clocks_of(shadow, t)[t] = 1;
    shadow->n_objects = 0;
    shadow->first_epoch = ++shadow->epoch;
}

void pk_check_block_ends(struct pk_cpu_block *)
{
}

static struct cell *cell_of(struct pk_shadow *shadow, const struct pk_cpu_block *block, const void *address)
{
    const char *at = (const char *)address;
    if (at >= shadow->low && at < shadow->high) {
        struct cell *cell = &shadow->statics[at - shadow->low];
        return cell->shared ? cell : nullptr;
    }
    const char *dynamic = (const char *)block->shared;
    if (dynamic && at >= dynamic && at < dynamic + block->shared_bytes)
        return &shadow->dynamics[at - dynamic];
    return nullptr;
}

/* ---- objects that order accesses ---- */

static struct object *object_of(struct pk_shadow *shadow, const void *address)
{
    for (unsigned i = 0; i < shadow->n_objects; ++i)
        if (shadow->objects[i].address == address)
            return &shadow->objects[i];
    struct object *object = &shadow->objects[shadow->n_objects < OBJECTS ? shadow->n_objects++ : 0];
    object->address = address;
    if (!object->clocks)
        object->clocks = (uint32_t *)zeroed(shadow->max_threads * sizeof(uint32_t));
    memset(object->clocks, 0, shadow->n_threads * sizeof(uint32_t));
    return object;
}

static struct pk_shadow *shadow_here(void)
{
    return pk_running_block ? pk_running_block->shadow : nullptr;
}

void pk_check_release(const void *address)
{
    struct pk_shadow *shadow = shadow_here();
    if (!shadow)
        return;
    const unsigned t = pk_thread_number();
    join(object_of(shadow, address)->clocks, clocks_of(shadow, t), shadow->n_threads);
    clocks_of(shadow, t)[t]++;
}

void pk_check_acquire(const void *address)
{
    struct pk_shadow *shadow = shadow_here();
    if (shadow)
        join(clocks_of(shadow, pk_thread_number()), object_of(shadow, address)->clocks, shadow->n_threads);
}

/* ---- accesses to shared memory ---- */

static void name_shared(const void *address, char *text, size_t bytes)
{
    size_t offset = 0;
    const char *variable = pk_shared_variable(address, &offset);
    const char *dynamic = (const char *)pk_running_block->shared;
    if (variable)
        snprintf(text, bytes, "%s, byte %zu", variable, offset);
    else
        snprintf(text, bytes, "dynamic shared memory, byte %zu", (size_t)((const char *)address - dynamic));
}

static bool ordered(const struct pk_shadow *shadow, const struct access *before, unsigned t)
{
    return before->epoch != shadow->epoch || before->thread == t ||
           shadow->clocks[(size_t)t * shadow->n_threads + before->thread] >= before->clock;
}

static __attribute__((noreturn)) void report_race(const char *what, const void *address, const struct access *other,
                                                  bool other_writes, const void *code)
{
    char where[160], here[256], there[256], thread[48];
    name_shared(address, where, sizeof(where));
    pk_describe_code(code, here, sizeof(here));
    pk_describe_code(code_address(other->code), there, sizeof(there));
    thread_text(other->thread, thread, sizeof(thread));
    pk_check_fail(cudaErrorLaunchFailure,
                  "shared-memory race: %s of %s at %s, and no barrier since the %s by thread %s at %s", what, where,
                  here, other_writes ? "write" : "read", thread, there);
}

static void note_read(struct cell *cell, const struct pk_shadow *shadow, struct access now, unsigned t)
{
    struct access *reads = cell->reads;
    if (ordered(shadow, &reads[0], t)) {
        reads[0] = now;
    } else {
        reads[1] = reads[0];
        reads[0] = now;
    }
}

static void access_byte(struct pk_shadow *shadow, struct cell *cell, const void *address, unsigned t, bool writes,
                        bool atomic, const void *code)
{
    if (cell->in_flight && cell->write.epoch >= shadow->first_epoch) {
        char where[160], here[256];
        name_shared(address, where, sizeof(where));
        pk_describe_code(code, here, sizeof(here));
        pk_check_fail(cudaErrorLaunchFailure,
                      "%s of %s at %s, the target of an asynchronous copy that was not waited for",
                      writes ? "write" : "read", where, here);
    }
    if (cell->write.epoch < shadow->first_epoch && !writes) {
        char where[160], here[256];
        name_shared(address, where, sizeof(where));
        pk_describe_code(code, here, sizeof(here));
        pk_check_fail(cudaErrorLaunchFailure, "read of uninitialised shared memory: %s at %s", where, here);
    }
    const struct access now = {shadow->epoch, clocks_of(shadow, t)[t], code_offset(code), (uint16_t)t, atomic};
    if (!(atomic && cell->write.atomic) && !ordered(shadow, &cell->write, t))
        report_race(writes ? "write" : "read", address, &cell->write, true, code);
    if (!writes) {
        note_read(cell, shadow, now, t);
        return;
    }
    for (const struct access &read : cell->reads)
        if (!(atomic && read.atomic) && !ordered(shadow, &read, t))
            report_race("write", address, &read, false, code);
    cell->write = now;
    cell->in_flight = false;
}

bool pk_check_shared(const void *address, size_t bytes, bool writes, bool atomic, const void *code)
{
    struct pk_shadow *shadow = pk_running_block->shadow;
    if (!shadow)
        return false;
    struct cell *cell = cell_of(shadow, pk_running_block, address);
    if (!cell)
        return false;
    const unsigned t = pk_thread_number();
    if (atomic)
        pk_check_acquire(address);
    for (size_t i = 0; i < bytes && (cell = cell_of(shadow, pk_running_block, (const char *)address + i)); ++i)
        access_byte(shadow, cell, (const char *)address + i, t, writes, atomic, code);
    if (atomic)
        pk_check_release(address);
    return true;
}

/* The library itself wrote a barrier: its bytes are initialised, and order is the barrier's own. */
void pk_check_barrier_made(const void *object)
{
    struct pk_shadow *shadow = shadow_here();
    for (size_t i = 0; shadow && i < sizeof(uint64_t); ++i) {
        struct cell *cell = cell_of(shadow, pk_running_block, (const char *)object + i);
        if (cell)
            cell->write = {shadow->first_epoch, 0, 0, 0, false};
    }
}

static void set_in_flight(void *to, size_t bytes, bool in_flight)
{
    struct pk_shadow *shadow = shadow_here();
    for (size_t i = 0; shadow && i < bytes; ++i) {
        struct cell *cell = cell_of(shadow, pk_running_block, (char *)to + i);
        if (cell)
            cell->in_flight = in_flight;
    }
}

void pk_check_copy_begins(void *to, const void *from, size_t bytes, size_t read_bytes, const void *code)
{
    if (!shadow_here())
        return;
    if (read_bytes)
        pk_check_access(from, read_bytes, false, false, code);
    pk_check_access(to, bytes, true, false, code);
    set_in_flight(to, bytes, true);
}

void pk_check_copy_lands(void *to, size_t bytes)
{
    set_in_flight(to, bytes, false);
}

/* ---- accesses anywhere ---- */

/* On the stack of the running thread: in the pages around this very frame. */
static bool on_stack(const void *address)
{
    const char *here = (const char *)__builtin_frame_address(0), *at = (const char *)address;
    return at > here - 65536 && at < here + 1048576;
}

static bool in_program(const void *address)
{
    const char *at = (const char *)address;
    return at >= &__executable_start && at < &_end;
}

/* Thread-local, or what the launch itself reads: the kernel's arguments. */
static bool in_launch(const void *address)
{
    const char *at = (const char *)address, *thread = (const char *)__builtin_thread_pointer();
    const struct pk_grid *grid = pk_running_block->grid;
    const char *packet = (const char *)grid->packet;
    return (at > thread - 1048576 && at < thread + 4096) || (at >= packet && at < packet + grid->code->packet_bytes);
}

static bool is_shared(const void *address)
{
    struct pk_shadow *shadow = pk_running_block->shadow;
    return shadow && cell_of(shadow, pk_running_block, address);
}

static __attribute__((noreturn)) void report_access(const char *what, const void *address, size_t bytes, bool writes,
                                                    cudaError_t error, const void *code)
{
    char here[256];
    pk_describe_code(code, here, sizeof(here));
    pk_check_fail(error, "%s: %s of %zu bytes at %p, %s, at %s",
                  error == cudaErrorMisalignedAddress ? "misaligned" : "bad access", writes ? "write" : "read", bytes,
                  address, what, here);
}

void pk_check_access(const void *address, size_t bytes, bool writes, bool atomic, const void *code)
{
    if (!pk_settings.check)
        return;
    char what[256];
    if (!pk_running_block) {
        if (pk_memory_is_device_only(address, what, sizeof(what))) {
            char here[256];
            pk_describe_code(code, here, sizeof(here));
            fprintf(stderr, "CPU device: check: the host %s device memory: %p is %s, at %s\n",
                    writes ? "writes" : "reads", address, what, here);
            abort();
        }
        if (atomic && (in_program(address) || pk_memory_reachable(address, bytes, what, sizeof(what))))
            pk_scope_access(address, writes, true, code);
        return;
    }
    /* Stacks may lie right beside the device's memory, so that comes first. */
    const bool in_heap = pk_memory_in_heap(address);
    const bool one_access = bytes == 2 || bytes == 4 || bytes == 8 || bytes == 16;
    if (!in_heap && (on_stack(address) || in_program(address) || in_launch(address)) && !is_shared(address)) {
        if (in_program(address))
            pk_scope_access(address, writes, atomic, code);
        return;
    }
    if (one_access && (uintptr_t)address % bytes != 0)
        report_access("which is no multiple of its size", address, bytes, writes, cudaErrorMisalignedAddress, code);
    if (!in_heap && pk_check_shared(address, bytes, writes, atomic, code))
        return;
    if (!pk_memory_reachable(address, bytes, what, sizeof(what)))
        report_access(what, address, bytes, writes, cudaErrorIllegalAddress, code);
    pk_scope_access(address, writes, atomic, code);
}
