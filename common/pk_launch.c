/* Launch accounting: what PK_LAUNCH reports and the harness reads.
 *
 * It sits on the path whose cost lab 01 measures, so a launch pays for one relaxed atomic add, a handful of plain
 * stores and a search of a short array: a few nanoseconds against the microseconds of the launch itself.
 *
 * Memory order: the counters are independent figures that nothing else is published through, hence relaxed. They
 * are read after the work they count, by the thread that launched it or by one that joined it. What the last launch
 * was is read by the watchdog at any moment: each field is atomic, and when two threads launch at the same time the
 * description may mix the two. */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */

#include "pk_device.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pk_hints.h"

/* More streams than any lab orders at a time; one that does not fit is counted as foreign, which shows. */
#define PK_STREAMS 64

static const pk_launch_site replay_site = {"graph replay", NULL, 0};

static _Atomic uint64_t launches, graph_replays, foreign_launches, submit_ns;
static const pk_launch_site *_Atomic first_foreign;
static _Atomic unsigned looks; /* LOOKS_..., for one branch a launch while nobody looks */
enum { LOOKS_AT_TIME = 1, LOOKS_AT_EACH = 2 };
/* Written before LOOKS_AT_EACH is set: release, pairs with the acquire in pk_launch_end. */
static pk_launch_watcher *the_watcher;
static void *watcher_context;
static _Thread_local pk_launch_event call; /* the one under way, while somebody looks */

static void *_Atomic streams[PK_STREAMS];
static _Atomic unsigned stream_count;

static const pk_launch_site *_Atomic last_site;
static _Atomic unsigned last_grid[3], last_block[3];

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_registered(void *stream)
{
    /* Acquire pairs with the release in pk_launch_register_stream: an entry below the count has been written. */
    const unsigned count = atomic_load_explicit(&stream_count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++)
        if (atomic_load_explicit(&streams[i], memory_order_relaxed) == stream)
            return true;
    return false;
}

static void count_foreign(const pk_launch_site *site)
{
    const pk_launch_site *none = NULL;
    atomic_fetch_add_explicit(&foreign_launches, 1, memory_order_relaxed);
    atomic_compare_exchange_strong_explicit(&first_foreign, &none, site, memory_order_relaxed, memory_order_relaxed);
}

static void begin_look(const pk_launch_site *site, const unsigned grid[3], const unsigned block[3], void *stream)
{
    call = (pk_launch_event){.site = site, .stream = stream};
    memcpy(call.grid, grid, sizeof call.grid);
    memcpy(call.block, block, sizeof call.block);
    call.begin_ns = now_ns();
}

void pk_launch_begin(const pk_launch_site *site, const unsigned grid[3], const unsigned block[3], void *stream)
{
    for (int i = 0; i < 3; i++) {
        atomic_store_explicit(&last_grid[i], grid[i], memory_order_relaxed);
        atomic_store_explicit(&last_block[i], block[i], memory_order_relaxed);
    }
    atomic_store_explicit(&last_site, site, memory_order_relaxed);
    atomic_fetch_add_explicit(&launches, 1, memory_order_relaxed);
    if (!is_registered(stream))
        count_foreign(site);
    if (atomic_load_explicit(&looks, memory_order_relaxed))
        begin_look(site, grid, block, stream);
}

void pk_launch_end(void)
{
    const unsigned look = atomic_load_explicit(&looks, memory_order_acquire);
    if (!look)
        return;
    call.end_ns = now_ns();
    if (look & LOOKS_AT_TIME)
        atomic_fetch_add_explicit(&submit_ns, call.end_ns - call.begin_ns, memory_order_relaxed);
    if (look & LOOKS_AT_EACH)
        the_watcher(&call, watcher_context);
}

void pk_launch_replay_begin(void *stream)
{
    atomic_store_explicit(&last_site, &replay_site, memory_order_relaxed);
    atomic_fetch_add_explicit(&graph_replays, 1, memory_order_relaxed);
    if (!is_registered(stream))
        count_foreign(&replay_site);
    if (atomic_load_explicit(&looks, memory_order_relaxed)) {
        static const unsigned none[3] = {0, 0, 0};
        begin_look(&replay_site, none, none, stream);
        call.is_replay = true;
    }
}

void pk_launch_counts_reset(void)
{
    atomic_store_explicit(&launches, 0, memory_order_relaxed);
    atomic_store_explicit(&graph_replays, 0, memory_order_relaxed);
    atomic_store_explicit(&foreign_launches, 0, memory_order_relaxed);
    atomic_store_explicit(&submit_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&first_foreign, NULL, memory_order_relaxed);
}

void pk_launch_counts_read(pk_launch_counts *counts)
{
    const pk_launch_site *foreign = atomic_load_explicit(&first_foreign, memory_order_relaxed);
    memset(counts, 0, sizeof *counts);
    counts->launches = atomic_load_explicit(&launches, memory_order_relaxed);
    counts->graph_replays = atomic_load_explicit(&graph_replays, memory_order_relaxed);
    counts->foreign = atomic_load_explicit(&foreign_launches, memory_order_relaxed);
    counts->submit_us = (double)atomic_load_explicit(&submit_ns, memory_order_relaxed) / 1e3;
    if (foreign && foreign->file)
        snprintf(counts->foreign_site, sizeof counts->foreign_site, "%s at %s:%d", foreign->kernel,
                 pk_source_name(foreign->file), foreign->line);
    else if (foreign)
        snprintf(counts->foreign_site, sizeof counts->foreign_site, "%s", foreign->kernel);
}

void pk_launch_time_calls(bool on)
{
    if (on)
        atomic_fetch_or_explicit(&looks, LOOKS_AT_TIME, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&looks, ~(unsigned)LOOKS_AT_TIME, memory_order_relaxed);
}

void pk_launch_watch(pk_launch_watcher *watcher, void *context)
{
    atomic_fetch_and_explicit(&looks, ~(unsigned)LOOKS_AT_EACH, memory_order_relaxed);
    the_watcher = watcher;
    watcher_context = context;
    if (watcher)
        atomic_fetch_or_explicit(&looks, LOOKS_AT_EACH, memory_order_release);
}

void pk_launch_register_stream(void *stream)
{
    const unsigned count = atomic_load_explicit(&stream_count, memory_order_relaxed);
    if (count == PK_STREAMS || is_registered(stream))
        return;
    atomic_store_explicit(&streams[count], stream, memory_order_relaxed);
    /* Release pairs with the acquire in is_registered. */
    atomic_store_explicit(&stream_count, count + 1, memory_order_release);
}

void pk_launch_unregister_stream(void *stream)
{
    const unsigned count = atomic_load_explicit(&stream_count, memory_order_relaxed);
    for (unsigned i = 0; i < count; i++)
        if (atomic_load_explicit(&streams[i], memory_order_relaxed) == stream) {
            void *const last = atomic_load_explicit(&streams[count - 1], memory_order_relaxed);
            atomic_store_explicit(&streams[i], last, memory_order_relaxed);
            atomic_store_explicit(&stream_count, count - 1, memory_order_release);
            return;
        }
}

void pk_launch_forget_streams(void)
{
    atomic_store_explicit(&stream_count, 0, memory_order_release);
}

/* A text that grows to its limit and stays terminated, without the C library's formatting: a signal handler may
 * not call that. */
typedef struct text_end {
    char *at, *last;
} text_end;

static void put_text(text_end *end, const char *text)
{
    while (*text && end->at < end->last)
        *end->at++ = *text++;
    *end->at = '\0';
}

static void put_number(text_end *end, unsigned value)
{
    char digits[3 * sizeof value];
    char *first = digits + sizeof digits;
    *--first = '\0';
    do {
        *--first = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    put_text(end, first);
}

static void put_extent(text_end *end, _Atomic unsigned extent[3])
{
    for (int i = 0; i < 3; i++) {
        put_text(end, i == 0 ? "(" : ",");
        put_number(end, atomic_load_explicit(&extent[i], memory_order_relaxed));
    }
    put_text(end, ")");
}

void pk_launch_describe_last(char *text, size_t text_bytes)
{
    if (text_bytes == 0)
        return;
    const pk_launch_site *site = atomic_load_explicit(&last_site, memory_order_relaxed);
    text_end end = {text, text + text_bytes - 1};
    *text = '\0';
    if (!site) {
        put_text(&end, "no launch yet");
        return;
    }
    put_text(&end, site->kernel);
    if (!site->file)
        return;
    put_text(&end, "<<<");
    put_extent(&end, last_grid);
    put_text(&end, ", ");
    put_extent(&end, last_block);
    put_text(&end, ">>> at ");
    put_text(&end, pk_source_name(site->file));
    put_text(&end, ":");
    put_number(&end, (unsigned)site->line);
}
