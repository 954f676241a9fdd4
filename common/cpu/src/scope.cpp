/* PK_CPU_CHECK: words that are shared further than the scope of their accesses reaches. A block-scope access is for the
 * threads of its block, a device-scope access for the device's: a GPU may keep either from whoever is further away. One
 * that is not atomic is for its block too, and looked at where the word is known for its atomic accesses.
 *
 * Two accesses of a word are a mistake if at least one writes, neither comes before the other, and the scope of one
 * does not reach the other's agent: a block, or the host with all its threads. What comes before what is told by one
 * number an agent (Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System", 1978): whatever follows
 * an access has a higher number than it, so the later of two that has no higher number does not follow. The reverse
 * does not hold: a pair may be taken as ordered that is not, and never the other way round.
 *
 * What raises numbers: launches that follow each other, the host that waits for one, the grid's barrier, and every
 * atomic or volatile access at device or system scope, as a release where it writes and as an acquire: fences and
 * barriers of the block may make it one. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "symbols.h"

/* Who accesses, and how far it reaches: the narrower, the later. */
enum reach { HOST, SYSTEM, DEVICE, BLOCK, PLAIN, REACHES };

struct use {        /* an access */
    uint64_t agent; /* 0: nobody */
    uint64_t clock;
    const void *code;
    uint3 block;
};

/* A word shares its place with others whose addresses come out alike, and the last to come has it. What was released
 * stays: order that is assumed and not there makes nothing a mistake. */
struct word {
    const void *address;
    /* What an acquire of the host, and one of the device, receives. It only grows; relaxed, since it is also read
     * without `busy`. */
    uint64_t to_host, to_device;
    struct use reads[REACHES], writes[REACHES];
    bool busy; /* acquire by who sets it, release by who clears it */
};

enum { WORDS = 1 << 14, HOST_AGENT = 1 };

static struct word words[WORDS];
/* Relaxed, all three, as all numbers are: whoever has to see that one was raised has synchronised with who did it, by
 * what the number stands for. */
static uint64_t latest;              /* at least as high as any number in use */
static uint64_t host_clock;          /* the host's */
static uint64_t transfer_clock;      /* what was accessed before the last copy has lower ones */
static uint64_t agents = HOST_AGENT; /* that there have been */

static __thread struct {
    uint64_t number, clock;
} running; /* the block */

/* The last access. It is announced here before it reads, so all that it may have acquired is known at the next. */
static __thread struct {
    const struct word *word;
    enum reach reach;
} read_last;

static void raise(uint64_t *clock, uint64_t to)
{
    uint64_t now = __atomic_load_n(clock, __ATOMIC_RELAXED);
    while (now < to && !__atomic_compare_exchange_n(clock, &now, to, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Higher than all. */
static uint64_t next_clock(void)
{
    return __atomic_add_fetch(&latest, 1, __ATOMIC_RELAXED);
}

void pk_scope_grid_begins(struct pk_grid *grid)
{
    if (!pk_settings.check)
        return;
    grid->clock = next_clock();
    raise(&host_clock, grid->clock); /* from now on it does not come before the grid */
}

/* What it writes is not seen here. It may be what a running kernel waits for, and then what came before it comes before
 * what that kernel does next. */
void pk_scope_transfer_begins(void)
{
    if (pk_settings.check)
        raise(&transfer_clock, next_clock());
}

void pk_scope_grid_ends(void)
{
    if (pk_settings.check)
        raise(&host_clock, next_clock());
}

void pk_scope_block_begins(const struct pk_cpu_block *block)
{
    running = {__atomic_add_fetch(&agents, 1, __ATOMIC_RELAXED),
               __atomic_load_n(&block->grid->clock, __ATOMIC_RELAXED)};
    read_last.word = nullptr;
    pk_cpu_scope = pk_cpu_scope_system; /* a fault may have left another */
}

void pk_scope_grid_meets(struct pk_grid *grid)
{
    if (pk_settings.check)
        __atomic_store_n(&grid->clock, next_clock(), __ATOMIC_RELAXED);
}

void pk_scope_grid_met(const struct pk_grid *grid)
{
    if (pk_settings.check)
        raise(&running.clock, __atomic_load_n(&grid->clock, __ATOMIC_RELAXED));
}

static struct word *word_of(const void *address)
{
    return &words[pk_mix((uintptr_t)address) % WORDS];
}

static void lock(struct word *word)
{
    while (__atomic_exchange_n(&word->busy, true, __ATOMIC_ACQUIRE)) /* pairs with unlock */
        sched_yield();
}

static void unlock(struct word *word)
{
    __atomic_store_n(&word->busy, false, __ATOMIC_RELEASE);
}

static uint64_t *clock_of(enum reach reach)
{
    return reach == HOST ? &host_clock : &running.clock;
}

/* An access at block scope, or a plain one, acquires nothing of other blocks, and releases nothing to them. */
static void acquire(const struct word *word, enum reach reach)
{
    if (word && (reach == HOST || reach == SYSTEM))
        raise(clock_of(reach), __atomic_load_n(&word->to_host, __ATOMIC_RELAXED));
    if (word && (reach == DEVICE || reach == SYSTEM))
        raise(clock_of(reach), __atomic_load_n(&word->to_device, __ATOMIC_RELAXED));
}

/* What comes at system scope hands on to each side what the other has released: it may have read that. */
static void release(struct word *word, enum reach reach, uint64_t clock)
{
    raise(&latest, clock); /* first: a number that another can have is never above it */
    if (reach == SYSTEM)
        clock = higher(clock, higher(word->to_host, word->to_device));
    if (reach == HOST || reach == SYSTEM)
        raise(&word->to_host, clock);
    if (reach == DEVICE || reach == SYSTEM)
        raise(&word->to_device, clock);
}

static bool reach_each_other(enum reach a, enum reach b)
{
    const enum reach narrower = a > b ? a : b, wider = a > b ? b : a;
    if (narrower == PLAIN)
        return wider == HOST; /* is not looked at */
    return narrower != BLOCK && !(narrower == DEVICE && wider == HOST);
}

/* An access that `now`, which writes or not, should not be beside. */
static const struct use *find_conflict(const struct use *before, const struct use *now, enum reach reach)
{
    for (int r = HOST; r < REACHES; ++r)
        if (before[r].agent != 0 && before[r].agent != now->agent && before[r].clock >= now->clock &&
            before[r].clock >= __atomic_load_n(&transfer_clock, __ATOMIC_RELAXED) &&
            !reach_each_other((enum reach)r, reach))
            return &before[r];
    return nullptr;
}

/* ---- reports ---- */

static void name_use(const struct use *use, bool writes, char *text, size_t bytes)
{
    char place[256];
    pk_describe_code(use->code, place, sizeof(place));
    if (use->agent == HOST_AGENT)
        snprintf(text, bytes, "the host %s it at %s", writes ? "writes" : "reads", place);
    else
        snprintf(text, bytes, "block (%u,%u,%u) %s it at %s", use->block.x, use->block.y, use->block.z,
                 writes ? "writes" : "reads", place);
}

static void report(const void *address, const struct use *narrow, bool narrow_writes, enum reach reach,
                   const struct use *other, bool other_writes)
{
    char here[320], there[320], text[768];
    name_use(narrow, narrow_writes, here, sizeof(here));
    name_use(other, other_writes, there, sizeof(there));
    if (reach == PLAIN)
        snprintf(text, sizeof(text), "race on the word at %p: %s, not atomically, and %s; nothing orders the two",
                 address, here, there);
    else
        snprintf(text, sizeof(text), "scope too narrow for the word at %p: %s, at %s scope, and %s; use %s scope",
                 address, here, reach == BLOCK ? "block" : "device", there,
                 other->agent == HOST_AGENT || narrow->agent == HOST_AGENT ? "system" : "device");
    if (pk_running_block)
        pk_check_fail(cudaErrorLaunchFailure, "%s", text);
    fprintf(stderr, "CPU device: check: %s\n", text);
    abort();
}

/* ---- accesses ---- */

static enum reach reach_here(bool atomic)
{
    if (!pk_running_block)
        return HOST;
    if (!atomic)
        return PLAIN;
    return pk_cpu_scope == pk_cpu_scope_block ? BLOCK : pk_cpu_scope == pk_cpu_scope_device ? DEVICE : SYSTEM;
}

void pk_scope_access(const void *address, bool writes, bool atomic, const void *code)
{
    const enum reach reach = reach_here(atomic);
    struct word *word = word_of(address);
    if (!atomic && __atomic_load_n(&word->address, __ATOMIC_RELAXED) != address)
        return; /* most plain accesses are to other words */
    acquire(read_last.word, read_last.reach);
    lock(word);
    if (word->address != address) { /* relaxed, as it is also read without `busy` */
        memset(word->reads, 0, sizeof(word->reads));
        memset(word->writes, 0, sizeof(word->writes));
        __atomic_store_n(&word->address, address, __ATOMIC_RELAXED);
    }
    const struct use now = {reach == HOST ? (uint64_t)HOST_AGENT : running.number,
                            __atomic_load_n(clock_of(reach), __ATOMIC_RELAXED), code, blockIdx};
    bool other_writes = true;
    const struct use *found = find_conflict(word->writes, &now, reach);
    if (!found && writes) {
        found = find_conflict(word->reads, &now, reach);
        other_writes = false;
    }
    if (found) {
        const struct use other = *found;
        const enum reach other_reach = (enum reach)(found - (other_writes ? word->writes : word->reads));
        unlock(word);
        if (reach >= other_reach)
            report(address, &now, writes, reach, &other, other_writes);
        else
            report(address, &other, other_writes, other_reach, &now, writes);
    }
    (writes ? word->writes : word->reads)[reach] = now;
    if (writes) {
        release(word, reach, now.clock + 1);
        raise(clock_of(reach), now.clock + 1);
    }
    acquire(word, reach);
    unlock(word);
    read_last = {word, reach};
}
