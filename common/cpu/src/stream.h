/* Streams and events. */
#ifndef PK_CPU_STREAM_H
#define PK_CPU_STREAM_H

#include "op.h"

/* A list of graph nodes that grows. */
struct pk_nodes {
    struct CUgraphNode_st **at;
    size_t count, room;
};

struct CUstream_st {
    uint32_t magic;
    unsigned flags;
    int priority;
    struct pk_op *last; /* the newest op, or null */
    struct CUstream_st *next;
    struct pk_capture *capture; /* that it is a part of, or null */
    struct pk_nodes tips;       /* of the capture: what the next node will depend on */
    uint64_t number;            /* 0: the legacy stream; else in the order of creation */
};

struct CUevent_st {
    uint32_t magic;
    unsigned flags;
    struct pk_op *record; /* the newest recording, or null */
    struct CUevent_st *next;
    uint64_t capture_id;  /* of the capture that it was last recorded in, or 0 */
    struct pk_nodes tips; /* then: what a stream that waits for it will depend on */
};

/* With the lock held: the stream behind a handle, or null. */
struct CUstream_st *pk_stream_of(cudaStream_t handle);
extern struct CUstream_st pk_legacy_stream;
extern struct CUstream_st *pk_streams; /* all others, alive */
cudaError_t pk_stream_wait(cudaStream_t handle);
/* Wait for all that the device has been given, whether or not streams capture. */
cudaError_t pk_device_wait(void);
bool pk_event_alive(cudaEvent_t event);
/* Put the op at the end of the stream and let it run when all it follows is done. */
void pk_op_submit(struct pk_op *op, struct CUstream_st *stream);

/* ---- asked of the floor above: pool.cpp has it ---- */

/* Work has been waited for: pools give back what they hold beyond their thresholds. */
void pk_pools_settle(void);

#endif
