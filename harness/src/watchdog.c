/* One thread owns SIGINT and SIGTERM and watches for progress, so that a hung kernel or Ctrl-C always ends the run
 * with a report: everything it does happens in a thread's ordinary context, not in a signal handler. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pk/host.h"
#include "runner.h"

enum {
    POLL_MS = 50,
    SECOND_SIGNAL_MS = 500,   /* one Ctrl-C may arrive twice: from the terminal, and passed on by what started this */
    INTERRUPT_GRACE_MS = 3000 /* the main thread's time to stop by itself after a signal */
};

static struct {
    pthread_t thread;
    bool started;
    double limit_us;
    void (*give_up)(pk_status why, const char *text);
    pthread_mutex_t lock;
    char what[128];         /* under lock */
    double progress_us;     /* under lock */
    atomic_bool stop;       /* release by pk_watchdog_stop, acquire by the thread: ends it */
    atomic_int interrupted; /* relaxed: a flag polled between repetitions, it publishes nothing else */
} watchdog = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void describe_hang(char *text, size_t bytes, double seconds)
{
    char what[128], launch[256], blocked[1024], held[512];
    pthread_mutex_lock(&watchdog.lock);
    snprintf(what, sizeof what, "%s", watchdog.what);
    pthread_mutex_unlock(&watchdog.lock);
    pk_launch_describe_last(launch, sizeof launch);
    pk_device_describe_blocked(blocked, sizeof blocked);
    pk_repetition_describe(held, sizeof held);
    snprintf(text, bytes,
             "no progress for %.0f s in %s; last launch: %s; a kernel or a wait never ends "
             "(docs/troubleshooting.md#watchdog)%s%s%s%s",
             seconds, what, launch[0] ? launch : "none", held[0] ? "; " : "", held, blocked[0] ? "; " : "", blocked);
}

static double quiet_us(void)
{
    pthread_mutex_lock(&watchdog.lock);
    double quiet = pk_now_us() - watchdog.progress_us;
    pthread_mutex_unlock(&watchdog.lock);
    return quiet;
}

static void *watch(void *unused)
{
    (void)unused;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    double interrupted_at = 0;
    while (!atomic_load_explicit(&watchdog.stop, memory_order_acquire)) {
        const struct timespec poll = {0, POLL_MS * 1000000L};
        int signal_number = sigtimedwait(&signals, NULL, &poll);
        if (signal_number > 0) {
            /* A second signal means: now. */
            if (interrupted_at > 0 && pk_now_us() - interrupted_at > (double)SECOND_SIGNAL_MS * 1e3)
                watchdog.give_up(PK_INTERRUPTED, "interrupted twice");
            atomic_store_explicit(&watchdog.interrupted, 1, memory_order_relaxed);
            if (interrupted_at <= 0)
                interrupted_at = pk_now_us();
        }
        if (interrupted_at > 0 && pk_now_us() - interrupted_at > (double)INTERRUPT_GRACE_MS * 1e3)
            watchdog.give_up(PK_INTERRUPTED, "interrupted while the device was busy");
        double quiet = quiet_us();
        if (watchdog.limit_us > 0 && quiet > watchdog.limit_us) {
            char text[2560];
            describe_hang(text, sizeof text, quiet / 1e6);
            watchdog.give_up(PK_TIMEOUT, text);
        }
    }
    return NULL;
}

pk_status pk_watchdog_start(double seconds, void (*give_up)(pk_status why, const char *text))
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    watchdog.limit_us = seconds * 1e6;
    watchdog.give_up = give_up;
    pk_watchdog_progress("start");
    int error = pthread_create(&watchdog.thread, NULL, watch, NULL);
    if (error)
        return pk_fail(PK_USAGE, "cannot start the watchdog's thread: %s", strerror(error));
    watchdog.started = true;
    return PK_OK;
}

void pk_watchdog_stop(void)
{
    if (!watchdog.started)
        return;
    atomic_store_explicit(&watchdog.stop, true, memory_order_release);
    pthread_join(watchdog.thread, NULL);
    watchdog.started = false;
}

void pk_watchdog_progress(const char *what)
{
    pthread_mutex_lock(&watchdog.lock);
    snprintf(watchdog.what, sizeof watchdog.what, "%s", what);
    watchdog.progress_us = pk_now_us();
    pthread_mutex_unlock(&watchdog.lock);
}

bool pk_interrupted(void)
{
    return atomic_load_explicit(&watchdog.interrupted, memory_order_relaxed) != 0;
}
