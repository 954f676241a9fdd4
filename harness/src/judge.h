/* A lab's program as the judge of a submission's: `./lab grade`. */
#ifndef PK_JUDGE_H
#define PK_JUDGE_H

#include "pk/lab.h"

/* argv[1] is "--judge"; further
 *   --worker=PROGRAM     the lab's program with the submission's files
 *   --solution=PROGRAM   the same with the solution's, to time beside it; by default this program
 *   --variants=A,B       which rungs are graded
 *   --seed=N             what all secrets are drawn from
 *   --json=FILE          where the verdicts go, whole or not at all
 *   --timing             speed too, against the solution
 *   --time=SECONDS       for all of it; --memory=MB of address space of a worker
 *   --watchdog=SECONDS   without progress in a repetition
 * Returns 0 when there is a verdict on each, whatever it is. */
int pk_judge_main(const pk_lab *lab, int argc, char **argv);

#endif
