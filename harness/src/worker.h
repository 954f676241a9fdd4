/* A lab's program as a worker: it runs one variant of a submission for a judge in another process. */
#ifndef PK_WORKER_H
#define PK_WORKER_H

#include "pk/lab.h"

/* argv[1] is "--worker"; what follows are --variant and knobs. Messages go by the file descriptors of wire.h. Inputs
 * that are a secret come when the variant is prepared, with each repetition; their results are not in this process at
 * any time. Returns the exit code. */
int pk_worker_main(const pk_lab *lab, int argc, char **argv);

#endif
