/* Programs that others wrote, started where they can do little: no network, no files to write, no other process to see,
 * and limits on time, memory, processes and output. Linux's namespaces and limits; what the system does not allow is
 * said. */
#ifndef PK_CONFINE_H
#define PK_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "pk_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_confinement {
    unsigned cpu_s;      /* of processor time, of each process; 0: no limit */
    size_t memory_bytes; /* of address space, of each process; 0: no limit */
    size_t file_bytes;   /* that a file may become; 0: nothing can be written to a file */
    unsigned processes;  /* at once, itself one of them: with more all are ended; 0: no limit */
    bool writes_files;   /* false: every file and folder that is mounted is there to be read alone */
    bool sees_processes; /* no list of processes of its own */
} pk_confinement;

/* For a lab's program. On a GPU without a limit of memory, and without a list of processes of its own: the driver
 * reserves more address space than there is memory, and does not start in such a list. */
pk_confinement pk_confinement_of_program(bool is_gpu, unsigned cpu_s, size_t memory_bytes);

enum { PK_CONFINED_KILLED = -1, PK_CONFINED_CROWD = -2 /* ended for its number of processes */ };

typedef struct pk_confined {
    pid_t pid;
    int end;        /* a pipe: how it ended */
    char lacks[96]; /* what the system does not allow, "network, mounts"; "" when all is as asked */
} pk_confined;

/* Start argv[0], a path. It has `output` as its standard output and error, an empty standard input, `inherited` [count]
 * as file descriptors 3, 4, ... and no other. PK_USAGE when it cannot be started. */
pk_status pk_confined_start(pk_confined *started, const pk_confinement *limits, char *const argv[], int output,
                            const int *inherited, size_t count);

/* Wait for its end. The status as waitpid has it, or PK_CONFINED_CROWD; PK_CONFINED_KILLED also when it is lost. */
int pk_confined_wait(pk_confined *started);

/* Has it ended within so many seconds? */
bool pk_confined_ends(const pk_confined *started, double seconds);

/* End it and all that it started. */
void pk_confined_kill(const pk_confined *started);

/* For a program that is confined, when it has all it needs: no process more, no socket, no look into another process.
 * Threads may start still. False where the system has no such filter. */
bool pk_confine_self(void);

#ifdef __cplusplus
}
#endif

#endif
