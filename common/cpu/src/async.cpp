/* Copies that land later, and barriers in shared memory that count arrivals and bytes.
 *
 * A copy fills its target with poison, bytes of 0xff, NaN in every floating-point type, and lands when it is waited
 * for: by its thread, or by anyone at the barrier that it completes on. So a missing wait shows. Under
 * PK_CPU_SCHEDULE=random it may land at any moment before, as on a GPU.
 * Source: PTX ISA, "Data Movement: Asynchronous copy operations", "mbarrier". */
#include "copies.h"

#include <stdlib.h>
#include <string.h>

#include <pk_cpu/async.h>

#include "check.h"

enum { NO_ENTRY = -1, POISON = 0xff };

/* A copy of one thread, or the place in its list where a barrier is told. */
struct entry {
    void *to;
    const void *from;
    size_t bytes, zeros; /* `zeros` after `bytes` */
    uint64_t *barrier;   /* not null: no copy, an arrival when all before it have landed */
    unsigned group;
    int next;
};

struct bulk {
    void *to;
    const void *from;
    size_t bytes;
    uint64_t *barrier;
};

/* A numbered barrier of some warps of the block, as hardware has 16: it counts warps, whoever they are. */
struct numbered {
    unsigned threads, came;        /* of the phase under way */
    uint64_t here[PK_MAX_PAIRS];   /* the threads that came, a bit each */
    uint64_t before[PK_MAX_PAIRS]; /* those of the phase before */
    bool met;                      /* there was one */
};

enum { NUMBERED = 16 };

struct pk_copies {
    struct numbered numbered[NUMBERED];
    bool any_numbered;
    struct entry *entries;
    int n_entries, max_entries, free_entry;
    struct bulk *bulks;
    int n_bulks, max_bulks;
    int arrivals; /* entries with a barrier */
    struct {
        int first, last;
        unsigned groups; /* committed */
    } threads[PK_MAX_BLOCK_THREADS];
};

static void *grown(void *array, int *max, size_t element)
{
    *max = *max ? 2 * *max : 256;
    array = realloc(array, (size_t)*max * element);
    if (!array)
        pk_runner_fault(cudaErrorLaunchOutOfResources);
    return array;
}

static struct pk_copies *copies_of(struct pk_cpu_block *block)
{
    pk_runner_block_alone(); /* what is left of them is forgotten when the block ends */
    if (block->copies)
        return block->copies;
    block->copies = (struct pk_copies *)calloc(1, sizeof(*block->copies));
    if (!block->copies)
        pk_runner_fault(cudaErrorLaunchOutOfResources);
    pk_block_copies_reset(block);
    return block->copies;
}

void pk_block_copies_reset(struct pk_cpu_block *block)
{
    struct pk_copies *copies = block->copies;
    if (!copies)
        return;
    copies->n_entries = copies->n_bulks = copies->arrivals = 0;
    copies->free_entry = NO_ENTRY;
    if (copies->any_numbered)
        memset(copies->numbered, 0, sizeof(copies->numbered));
    copies->any_numbered = false;
    for (unsigned t = 0; t < PK_MAX_BLOCK_THREADS; ++t) {
        copies->threads[t].first = copies->threads[t].last = NO_ENTRY;
        copies->threads[t].groups = 0;
    }
}

static struct entry *add_entry(struct pk_copies *copies, unsigned t)
{
    int i = copies->free_entry;
    if (i != NO_ENTRY) {
        copies->free_entry = copies->entries[i].next;
    } else {
        if (copies->n_entries == copies->max_entries)
            copies->entries = (struct entry *)grown(copies->entries, &copies->max_entries, sizeof(*copies->entries));
        i = copies->n_entries++;
    }
    if (copies->threads[t].first == NO_ENTRY)
        copies->threads[t].first = i;
    else
        copies->entries[copies->threads[t].last].next = i;
    copies->threads[t].last = i;
    struct entry *entry = &copies->entries[i];
    *entry = {};
    entry->group = copies->threads[t].groups;
    entry->next = NO_ENTRY;
    return entry;
}

/* ---- barriers: one word each. Threads of a block run on one OS thread, so plain accesses do. ---- */

/* From the lowest bit: phase 1, arrivals expected 20, arrivals pending 20, bytes pending 23 (with a sign). */
struct word {
    unsigned phase, expected, pending;
    int bytes;
};

static struct word unpack(const uint64_t *barrier)
{
    uint64_t bits;
    memcpy(&bits, barrier, sizeof(bits));
    return {(unsigned)(bits & 1), (unsigned)(bits >> 1 & 0xfffff), (unsigned)(bits >> 21 & 0xfffff),
            (int)((int64_t)bits >> 41)};
}

static void pack(uint64_t *barrier, struct word word)
{
    if (word.pending == 0 && word.bytes == 0) {
        word.phase ^= 1;
        word.pending = word.expected;
    }
    const uint64_t bits = (uint64_t)word.phase | (uint64_t)word.expected << 1 |
                          (uint64_t)(word.pending & 0xfffff) << 21 | /* fewer than none is not the bytes' affair */
                          (uint64_t)(int64_t)word.bytes << 41;
    memcpy(barrier, &bits, sizeof(bits));
}

/* A token is the barrier as it was before the arrival: its phase, and how many arrivals were pending. */
static uint64_t token_of(struct word word)
{
    return (uint64_t)word.phase | (uint64_t)word.pending << 21;
}

extern "C" void pk_cpu_mbarrier_init(uint64_t *barrier, unsigned count)
{
    if (count == 0 || count > 0xfffff)
        pk_cpu_trap();
    pack(barrier, {0, count, count, 0});
    pk_check_barrier_made(barrier);
}

extern "C" uint64_t pk_cpu_mbarrier_arrive(uint64_t *barrier, unsigned bytes, bool drop)
{
    struct word word = unpack(barrier);
    const uint64_t token = token_of(word);
    pk_check_release(barrier);
    word.bytes += (int)bytes;
    word.pending--;
    word.expected -= drop;
    pack(barrier, word);
    return token;
}

extern "C" void pk_cpu_mbarrier_expect(uint64_t *barrier, unsigned bytes)
{
    struct word word = unpack(barrier);
    word.bytes += (int)bytes;
    pack(barrier, word);
}

extern "C" unsigned pk_cpu_mbarrier_pending(uint64_t token)
{
    return (unsigned)(token >> 21 & 0xfffff);
}

/* Whether of each warp that came all threads did: a GPU counts a whole warp for any of its threads. */
static bool whole_warps_came(const struct numbered *n)
{
    const uint64_t low = warpSize == 64 ? ~(uint64_t)0 : 0xffffffffu;
    for (unsigned pair = 0; pair < PK_MAX_PAIRS; ++pair)
        for (unsigned shift = 0; shift < PK_PAIR_THREADS; shift += (unsigned)warpSize) {
            const uint64_t warp = n->here[pair] >> shift & low;
            if (warp != 0 && warp != low)
                return false;
        }
    return true;
}

extern "C" void pk_cpu_warps_arrive(const uint64_t *barrier, unsigned id, unsigned threads, const char *file, int line)
{
    struct pk_copies *copies = copies_of(pk_running_block);
    const char *const here = pk_file_name(file);
    if (id == 0 || id >= NUMBERED)
        pk_runner_fault_because(cudaErrorLaunchFailure, "barrier %u at %s:%d: %s; numbers 1 to 15 are free", id, here,
                                line, id == 0 ? "number 0 is __syncthreads()'s own" : "a block has 16");
    if (threads == 0 || threads % (unsigned)warpSize != 0 || threads > PK_MAX_BLOCK_THREADS)
        pk_runner_fault_because(cudaErrorLaunchFailure,
                                "barrier %u at %s:%d is for %u threads, which are not whole warps "
                                "of %d: a GPU hangs",
                                id, here, line, threads, warpSize);
    if (unpack(barrier).expected != threads)
        pk_runner_fault_because(cudaErrorLaunchFailure,
                                "barrier %u at %s:%d is for %u threads, and its word was "
                                "initialised for %u: a GPU goes by the first",
                                id, here, line, threads, unpack(barrier).expected);
    struct numbered *n = &copies->numbered[id];
    copies->any_numbered = true;
    if (n->came && n->threads != threads)
        pk_runner_fault_because(cudaErrorLaunchFailure,
                                "barrier %u at %s:%d is for %u threads here and for %u elsewhere: a "
                                "GPU hangs",
                                id, here, line, threads, n->threads);
    const unsigned t = pk_thread_number();
    n->threads = threads;
    n->here[t / PK_PAIR_THREADS] |= (uint64_t)1 << t % PK_PAIR_THREADS;
    if (++n->came < threads)
        return;
    if (!whole_warps_came(n))
        pk_runner_fault_because(cudaErrorLaunchFailure,
                                "barrier %u at %s:%d: only some threads of a warp came, and a GPU "
                                "counts warps: it hangs, or lets others pass too early",
                                id, here, line);
    if (n->met && memcmp(n->here, n->before, sizeof(n->here)) != 0)
        pk_runner_fault_because(cudaErrorLaunchFailure,
                                "barrier %u at %s:%d met other warps before: a warp too many comes "
                                "to it, and takes the place of one that belongs to it",
                                id, here, line);
    memcpy(n->before, n->here, sizeof(n->here));
    memset(n->here, 0, sizeof(n->here));
    n->came = 0;
    n->met = true;
}

/* ---- landing ---- */

static void land(struct pk_copies *copies, struct entry *entry)
{
    if (entry->barrier) {
        struct word word = unpack(entry->barrier);
        word.pending--;
        pack(entry->barrier, word);
        copies->arrivals--;
        return;
    }
    memcpy(entry->to, entry->from, entry->bytes);
    memset((char *)entry->to + entry->bytes, 0, entry->zeros);
    pk_check_copy_lands(entry->to, entry->bytes + entry->zeros);
}

/* Land the thread's oldest entry. */
static void land_first(struct pk_copies *copies, unsigned t)
{
    const int i = copies->threads[t].first;
    struct entry *entry = &copies->entries[i];
    land(copies, entry);
    copies->threads[t].first = entry->next;
    entry->next = copies->free_entry;
    copies->free_entry = i;
}

/* Land what was committed at least `prior` groups ago. */
static void land_committed(struct pk_copies *copies, unsigned t, unsigned prior)
{
    const unsigned groups = copies->threads[t].groups;
    while (copies->threads[t].first != NO_ENTRY && copies->entries[copies->threads[t].first].group + prior < groups)
        land_first(copies, t);
}

/* Land what completes on this barrier, so that it can complete. */
static void land_for(struct pk_copies *copies, const uint64_t *barrier)
{
    for (int i = 0; i < copies->n_bulks;) {
        struct bulk bulk = copies->bulks[i];
        if (bulk.barrier != barrier) {
            i++;
            continue;
        }
        copies->bulks[i] = copies->bulks[--copies->n_bulks];
        memcpy(bulk.to, bulk.from, bulk.bytes);
        pk_check_copy_lands(bulk.to, bulk.bytes);
        struct word word = unpack(bulk.barrier);
        word.bytes -= (int)bulk.bytes;
        pack(bulk.barrier, word);
    }
    for (unsigned t = 0; copies->arrivals > 0 && t < PK_MAX_BLOCK_THREADS; ++t) {
        int last = NO_ENTRY; /* of this thread that concerns the barrier */
        for (int i = copies->threads[t].first; i != NO_ENTRY; i = copies->entries[i].next)
            if (copies->entries[i].barrier == barrier)
                last = i;
        while (last != NO_ENTRY) {
            const int landed = copies->threads[t].first;
            land_first(copies, t);
            if (landed == last)
                break;
        }
    }
}

static bool lands_early(struct pk_cpu_block *block)
{
    /* The checks find a missing wait by the copy that is under way still. */
    return pk_settings.order == PK_ORDER_RANDOM && !pk_settings.check && pk_block_draw(block, 2);
}

static void check_alignment(const void *to, const void *from, size_t bytes, size_t alignment)
{
    if (((uintptr_t)to | (uintptr_t)from | bytes) % alignment)
        pk_runner_fault(cudaErrorMisalignedAddress);
}

extern "C" void pk_cpu_async_copy(void *to, const void *from, size_t bytes, size_t zeros)
{
    struct pk_cpu_block *block = pk_running_block;
    struct pk_copies *copies = copies_of(block);
    if (bytes != 4 && bytes != 8 && bytes != 16)
        pk_cpu_trap();
    check_alignment(to, from, bytes, bytes);
    const unsigned t = pk_thread_number();
    pk_check_copy_begins(to, from, bytes, bytes - (zeros < bytes ? zeros : bytes), __builtin_return_address(0));
    struct entry *entry = add_entry(copies, t);
    entry->to = to;
    entry->from = from;
    entry->zeros = zeros < bytes ? zeros : bytes;
    entry->bytes = bytes - entry->zeros;
    memset(to, POISON, bytes);
    /* Only what is oldest may land: a thread's copies may land in any order, but groups complete in theirs. */
    if (lands_early(block))
        land_committed(copies, t, 0);
}

extern "C" void pk_cpu_async_commit(void)
{
    struct pk_cpu_block *block = pk_running_block;
    struct pk_copies *copies = copies_of(block);
    const unsigned t = pk_thread_number();
    copies->threads[t].groups++;
    if (lands_early(block))
        land_committed(copies, t, 0);
}

extern "C" void pk_cpu_async_wait(unsigned prior)
{
    struct pk_cpu_block *block = pk_running_block;
    struct pk_copies *copies = copies_of(block);
    const unsigned t = pk_thread_number();
    land_committed(copies, t, prior);
}

extern "C" void pk_cpu_async_arrive_on(uint64_t *barrier)
{
    struct pk_cpu_block *block = pk_running_block;
    struct pk_copies *copies = copies_of(block);
    struct word word = unpack(barrier);
    word.pending++; /* taken back when the copies have landed: the phase waits for them */
    pack(barrier, word);
    pk_check_release(barrier);
    add_entry(copies, pk_thread_number())->barrier = barrier;
    copies->arrivals++;
}

extern "C" void pk_cpu_bulk_copy(void *to, const void *from, size_t bytes, uint64_t *barrier)
{
    struct pk_cpu_block *block = pk_running_block;
    struct pk_copies *copies = copies_of(block);
    check_alignment(to, from, bytes, 16);
    pk_check_copy_begins(to, from, bytes, bytes, __builtin_return_address(0));
    pk_check_release(barrier);
    if (copies->n_bulks == copies->max_bulks)
        copies->bulks = (struct bulk *)grown(copies->bulks, &copies->max_bulks, sizeof(*copies->bulks));
    copies->bulks[copies->n_bulks++] = {to, from, bytes, barrier};
    memset(to, POISON, bytes);
    if (lands_early(block))
        land_for(copies, barrier);
}

static bool passed(uint64_t *barrier, unsigned phase)
{
    struct pk_cpu_block *block = pk_running_block;
    if (block->copies)
        land_for(block->copies, barrier);
    if (unpack(barrier).phase == phase)
        return false;
    pk_check_acquire(barrier);
    block->pauses = 0;
    return true;
}

/* `phase`: a token, or the parity of the phase that is waited for. With a time limit, others may run meanwhile. */
extern "C" bool pk_cpu_mbarrier_wait(uint64_t *barrier, uint64_t phase, unsigned limit_ns, const char *file, int line)
{
    if (passed(barrier, (unsigned)(phase & 1)))
        return true;
    if (limit_ns == 0)
        return false;
    struct pk_cpu_block *block = pk_running_block;
    const struct word word = unpack(barrier);
    const int pending = (int)word.pending, wrap = 0x100000; /* 20 bits: one arrival too many makes them all ones */
    __atomic_store_n(&block->status.arrivals, pending < wrap / 2 ? pending : pending - wrap, __ATOMIC_RELAXED);
    __atomic_store_n(&block->status.bytes, word.bytes, __ATOMIC_RELAXED);
    pk_block_note(block, PK_BLOCK_AT_MBARRIER, file, line);
    pk_block_pause(block, limit_ns < 20000 ? limit_ns : 20000, file, line);
    return passed(barrier, (unsigned)(phase & 1));
}

void pk_thread_copies_end(struct pk_cpu_block *block, unsigned thread)
{
    struct pk_copies *copies = block->copies;
    while (copies && copies->threads[thread].first != NO_ENTRY)
        land_first(copies, thread);
}
