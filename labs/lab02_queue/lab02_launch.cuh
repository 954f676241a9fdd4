/* Lab 02: what baseline, ladder and mistakes need to launch: the lab of a run, its stream, and the pace of requests
 * that come over time. */
#ifndef LAB02_LAUNCH_CUH
#define LAB02_LAUNCH_CUH

#include <stdlib.h>

#include "lab02_step.cuh"

static inline lab02 *lab_of(const pk_run *run)
{
    return (lab02 *)pk_run_lab_data(run);
}

static inline cudaStream_t stream_of(const pk_run *run)
{
    return (cudaStream_t)pk_run_stream(run);
}

/* For a variant's prepare: skipped where requests come over time. */
static inline pk_status all_known(pk_run *run)
{
    if (lab_of(run)->over_time)
        return pk_fail(PK_SKIP, "needs all requests in advance: --arrival=at-once");
    return PK_OK;
}

/* For the prepare of slices. */
static inline pk_status elementwise_only(pk_run *run)
{
    if (lab_of(run)->problem.dense)
        return pk_fail(PK_SKIP, "a dense step needs the whole state before it: slices depend on each other");
    return all_known(run);
}

/* A fits into a block's shared memory beside the states? */
static inline bool keeps_matrix(const pk_run *run)
{
    return lab02_shared_bytes(&lab_of(run)->problem, true) <= pk_run_device(run)->shared_bytes_per_block;
}

/* ---- pace: what a variant does when requests come over time ---- */

/* For a variant's prepare: how long a request takes when all are there at once. */
static inline pk_status find_pace(pk_run *run)
{
    double *us_per_request = (double *)malloc(sizeof *us_per_request);
    if (!us_per_request)
        return pk_out_of_memory("lab02");
    double found;
    pk_status status = lab02_pace(run, pk_run_variant(run)->execute, &found);
    *us_per_request = found;
    pk_run_set_variant_data(run, us_per_request);
    return status;
}

/* Mean time between arrivals, as found by find_pace; 0: all are there at once. */
static inline double pace_of(const pk_run *run)
{
    const double *us_per_request = (const double *)pk_run_variant_data(run);
    return us_per_request ? *us_per_request : 0;
}

static inline void forget_pace(pk_run *run)
{
    free(pk_run_variant_data(run));
    pk_run_set_variant_data(run, NULL);
}

#endif
