/* What capture lets calls do, and records of them. With the lock held where nothing else is said. */
#ifndef PK_CPU_CAPTURE_H
#define PK_CPU_CAPTURE_H

#include "stream.h"

/* Give the op, which is new, to the stream behind the handle: to run, or to be recorded. All work that calls put into
 * streams goes through here, so that capture's rules are kept in one place. */
cudaError_t pk_stream_put(struct pk_op *op, cudaStream_t handle);
/* Whether waiting for the stream, or asking about it, is allowed; if not, captures are spoilt. */
cudaError_t pk_capture_allows_wait(const struct CUstream_st *stream);
/* Whether a call that works on the whole device is allowed: cudaDeviceSynchronize. */
cudaError_t pk_capture_allows_device_wait(void);
/* The graph that the stream records into, to which work may be added; null: it does not capture. */
cudaError_t pk_capture_graph(cudaStream_t handle, struct CUgraph_st **graph);
/* The stream records: what is given to it does not run. */
bool pk_capturing(cudaStream_t handle);
/* Events in captures; *done says whether the call needs no more than this. */
cudaError_t pk_capture_record(cudaEvent_t event, struct CUstream_st *stream, unsigned flags, bool *done);
cudaError_t pk_capture_wait(struct CUstream_st *stream, cudaEvent_t event, unsigned flags, bool *done);
cudaError_t pk_capture_asks_event(cudaEvent_t event);
/* The stream is being destroyed. */
void pk_capture_forget_stream(struct CUstream_st *stream);
void pk_capture_forget_event(cudaEvent_t event);

/* Without the lock: whether the calling thread may do what is unsafe beside a capture, such as cudaMalloc. */
cudaError_t pk_capture_allows_unsafe(void);

#endif
