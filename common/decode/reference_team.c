/* The reference's threads: one barrier a stage, items by a shared counter. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "reference_team.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_THREADS = 1024 };

pk_status pk_team_threads(int *threads)
{
    const char *text = getenv("PK_REFERENCE_THREADS");
    if (text && *text) {
        char *end;
        const long asked = strtol(text, &end, 10);
        if (*end != '\0' || asked < 1 || asked > MOST_THREADS)
            return pk_fail(PK_USAGE,
                           "reference: PK_REFERENCE_THREADS='%.32s' is no number of threads; take 1 to %d, or unset it",
                           text, (int)MOST_THREADS);
        *threads = (int)asked;
        return PK_OK;
    }
    cpu_set_t allowed;
    long cores;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        cores = CPU_COUNT(&allowed);
    else
        cores = sysconf(_SC_NPROCESSORS_ONLN); /* more cores than a cpu_set_t holds */
    *threads = cores < 1 ? 1 : cores > MOST_THREADS ? MOST_THREADS : (int)cores;
    return PK_OK;
}

typedef struct member {
    pk_team *team;
    int rank;
    pthread_t thread;
} member;

static void *member_main(void *argument)
{
    const member *self = argument;
    pthread_mutex_lock(&self->team->start);
    pthread_mutex_unlock(&self->team->start);
    self->team->run(self->team, self->rank, self->team->context);
    return NULL;
}

void pk_team_run(int threads, void (*run)(pk_team *team, int rank, void *context), void *context)
{
    pk_team team = {.threads = 1, .run = run, .context = context};
    member *others = threads > 1 ? calloc((size_t)threads - 1, sizeof *others) : NULL;
    pthread_mutex_init(&team.start, NULL);
    pthread_mutex_lock(&team.start);
    for (int i = 0; others && i < threads - 1; i++) {
        others[i] = (member){.team = &team, .rank = i + 1};
        if (pthread_create(&others[i].thread, NULL, member_main, &others[i]) != 0)
            break;
        team.threads++;
    }
    pthread_barrier_init(&team.stage_end, NULL, (unsigned)team.threads);
    pthread_mutex_unlock(&team.start);
    run(&team, 0, context);
    for (int i = 0; others && i < team.threads - 1; i++)
        pthread_join(others[i].thread, NULL);
    pthread_barrier_destroy(&team.stage_end);
    pthread_mutex_destroy(&team.start);
    free(others);
}

void pk_team_stage(pk_team *team, size_t stage, size_t items, void (*item)(void *context, size_t i, double *scratch),
                   void *context, double *scratch)
{
    atomic_size_t *next = &team->next[stage % 2];
    for (;;) {
        /* Relaxed: items are independent, and the barrier orders what they wrote. */
        const size_t i = atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
        if (i >= items)
            break;
        item(context, i, scratch);
    }
    /* One thread sets the counter back: its next use lies behind the next stage's barrier, which this thread has yet
     * to reach. */
    const int serial = PTHREAD_BARRIER_SERIAL_THREAD;
    if (pthread_barrier_wait(&team->stage_end) == serial)
        atomic_store_explicit(next, 0, memory_order_relaxed);
}
