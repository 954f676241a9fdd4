/* Threads that share the reference's work: all run the same function, stage by stage, and take a stage's items as they
 * come. What an item computes depends on its number alone, so results do not depend on how many threads there are. */
#ifndef PK_REFERENCE_TEAM_H
#define PK_REFERENCE_TEAM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "pk_status.h"

typedef struct pk_team {
    int threads;
    pthread_barrier_t stage_end;
    atomic_size_t next[2]; /* the item that comes next, of even stages and of odd ones */
    void (*run)(struct pk_team *team, int rank, void *context);
    void *context;
    pthread_mutex_t start; /* held until it is known how many threads there are */
} pk_team;

/* How many threads a team is to have: what PK_REFERENCE_THREADS says, else the cores that this process may use.
 * PK_USAGE: PK_REFERENCE_THREADS is no number from 1 to 1024. */
pk_status pk_team_threads(int *threads);

/* run(team, rank, context) on `threads` threads, ranks from 0, this thread among them; on fewer, where the system gives
 * no more (ranks stay below team->threads). Returns when all have returned. */
void pk_team_run(int threads, void (*run)(pk_team *team, int rank, void *context), void *context);

/* From within run, by every thread with the same arguments, stages numbered 0, 1, 2...: item(context, i, scratch) once
 * for each i below `items`; when it returns all items are done and seen by all. */
void pk_team_stage(pk_team *team, size_t stage, size_t items, void (*item)(void *context, size_t i, double *scratch),
                   void *context, double *scratch);

#endif
