/* One thread owns SIGINT and SIGTERM and watches for progress, so that a hung kernel or Ctrl-C always ends the run
 * with a report: everything it does happens in a thread's ordinary context, not in a signal handler. */
#include "watchdog.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pk/host.h"
#include "pk_device.h"

enum {
    POLL_MS = 50,
    SECOND_SIGNAL_MS = 500,   /* one Ctrl-C may arrive twice: from the terminal, and passed on by what started this */
    INTERRUPT_GRACE_MS = 3000 /* the main thread's time to stop by itself after a signal */
};

static const double SAY_AFTER_US = 3e6;
static const double SAY_SLOW_AFTER_US = 1e7;
static const double LOOK_AFTER_US = 5e5; /* reading the schedule takes processor time, and most spells are shorter */

static struct {
    pthread_t thread;
    bool started;
    double limit_us;
    pk_watchdog_calls calls;
    pthread_mutex_t lock;
    char what[128];         /* under lock */
    double progress_us;     /* under lock */
    atomic_bool stop;       /* release by pk_watchdog_stop, acquire by the thread: ends it */
    atomic_int interrupted; /* relaxed: a flag polled between repetitions, it publishes nothing else */
} watchdog = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* "HOW in WHAT; last launch: ...ADVICE; ...": with what is held at that time. */
static void describe_work(char *text, size_t bytes, const char *how, const char *advice)
{
    char what[128], launch[256], blocked[1024], held[1024];
    pthread_mutex_lock(&watchdog.lock);
    snprintf(what, sizeof what, "%s", watchdog.what);
    pthread_mutex_unlock(&watchdog.lock);
    pk_launch_describe_last(launch, sizeof launch);
    pk_device_describe_blocked(blocked, sizeof blocked);
    watchdog.calls.describe(held, sizeof held);
    snprintf(text, bytes, "%s in %s; last launch: %s%s%s%s%s%s", how, what, launch[0] ? launch : "none", advice,
             held[0] ? "; " : "", held, blocked[0] ? "; " : "", blocked);
}

/* ---- quiet time: how long the process has got nowhere although it could ---- */

/* Nanoseconds that the process's threads ran and that they waited for a processor, from the kernel's own account (the
 * first two numbers of /proc/PID/task/TID/schedstat). False where it keeps none. */
static bool read_schedule(double *ran, double *waited)
{
    DIR *tasks = opendir("/proc/self/task");
    *ran = *waited = 0;
    if (!tasks)
        return false;
    bool any = false;
    for (const struct dirent *task = readdir(tasks); task; task = readdir(tasks)) {
        char path[64];
        double task_ran, task_waited;
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%.20s/schedstat", task->d_name);
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        if (fscanf(file, "%lf %lf", &task_ran, &task_waited) == 2) {
            *ran += task_ran;
            *waited += task_waited;
            any = true;
        }
        (void)fclose(file);
    }
    (void)closedir(tasks);
    return any;
}

typedef struct quiet {
    double since_us;    /* the progress that it is counted from */
    double us;          /* counted so far */
    double looked_us;   /* up to then */
    double ran, waited; /* the schedule at that time */
} quiet;

/* On a busy machine a process waits for a processor, and gets on as slowly as it gets processors: that time counts by
 * the share in which its threads ran. One that sleeps, or has the processors that it asks for, counts in full. */
static void count_quiet(quiet *q)
{
    pthread_mutex_lock(&watchdog.lock);
    const double progress_us = watchdog.progress_us;
    pthread_mutex_unlock(&watchdog.lock);
    const double now = pk_now_us();
    if (progress_us > q->since_us)
        *q = (quiet){.since_us = progress_us, .looked_us = progress_us};
    double ran = 0, waited = 0;
    const bool known = now - progress_us > LOOK_AFTER_US && read_schedule(&ran, &waited);
    if (known && q->waited > 0 && ran >= q->ran && waited > q->waited) {
        q->us += (now - q->looked_us) * (ran - q->ran) / (ran - q->ran + (waited - q->waited));
    } else {
        q->us += now - q->looked_us;
    }
    q->looked_us = now;
    q->ran = ran;
    q->waited = waited;
}

/* One line on standard error, once a spell, so that nobody sits before a silent terminal. */
static void say_quiet(const quiet *q, double *said_since)
{
    if (q->us < SAY_AFTER_US || *said_since >= q->since_us || watchdog.limit_us < 2 * SAY_AFTER_US)
        return;
    *said_since = q->since_us;
    pthread_mutex_lock(&watchdog.lock);
    (void)fprintf(stderr, "no progress for %.0f s in %s; it is given up after %.0f s\n", q->us / 1e6, watchdog.what,
                  watchdog.limit_us / 1e6);
    pthread_mutex_unlock(&watchdog.lock);
}

/* Once, on standard error: what would be quicker. */
static void say_slow(double since_us)
{
    if (!watchdog.calls.slow || pk_now_us() - since_us < SAY_SLOW_AFTER_US)
        return;
    (void)fprintf(stderr, "%s\n", watchdog.calls.slow);
    watchdog.calls.slow = NULL;
}

static void end_hung(double quiet_s)
{
    char how[64], text[3136];
    snprintf(how, sizeof how, "no progress for %.0f s", quiet_s);
    describe_work(text, sizeof text, how, "; a kernel or a wait never ends (docs/troubleshooting.md#watchdog)");
    watchdog.calls.give_up(PK_TIMEOUT, text);
}

/* Whether it would have ended by itself is not known. */
static void end_interrupted(const char *how)
{
    char text[3136];
    describe_work(text, sizeof text, how, "");
    watchdog.calls.give_up(PK_INTERRUPTED, text);
}

static void *watch(void *unused)
{
    (void)unused;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    double interrupted_at = 0, said_since = 0;
    const double began_us = pk_now_us();
    quiet q = {.looked_us = began_us};
    while (!atomic_load_explicit(&watchdog.stop, memory_order_acquire)) {
        const struct timespec poll = {0, POLL_MS * 1000000L};
        int signal_number = sigtimedwait(&signals, NULL, &poll);
        if (atomic_load_explicit(&watchdog.stop, memory_order_acquire))
            break; /* the signal was to wake it */
        if (signal_number > 0) {
            /* A second signal means: now. */
            if (interrupted_at > 0 && pk_now_us() - interrupted_at > (double)SECOND_SIGNAL_MS * 1e3)
                end_interrupted("interrupted twice");
            atomic_store_explicit(&watchdog.interrupted, 1, memory_order_relaxed);
            if (interrupted_at <= 0)
                interrupted_at = pk_now_us();
        }
        if (interrupted_at > 0 && pk_now_us() - interrupted_at > (double)INTERRUPT_GRACE_MS * 1e3)
            end_interrupted("interrupted while the device was busy");
        count_quiet(&q);
        say_quiet(&q, &said_since);
        say_slow(began_us);
        if (watchdog.limit_us > 0 && q.us > watchdog.limit_us)
            end_hung(q.us / 1e6);
    }
    return NULL;
}

pk_status pk_watchdog_start(double seconds, const pk_watchdog_calls *calls)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    watchdog.limit_us = seconds * 1e6;
    watchdog.calls = *calls;
    pk_watchdog_progress("start");
    int error = pthread_create(&watchdog.thread, NULL, watch, NULL);
    if (error)
        return pk_fail(PK_FAULT,
                       "cannot start the watchdog's thread: %s: end what else runs, or raise the limits on memory and "
                       "threads (ulimit -v, ulimit -u)",
                       strerror(error));
    watchdog.started = true;
    return PK_OK;
}

void pk_watchdog_stop(void)
{
    if (!watchdog.started)
        return;
    atomic_store_explicit(&watchdog.stop, true, memory_order_release);
    (void)pthread_kill(watchdog.thread, SIGINT); /* it waits for one: every run would end a poll later */
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
