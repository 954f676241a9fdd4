/* Device buffers between guard bytes, and their poison. */
#ifndef PK_BUFFERS_H
#define PK_BUFFERS_H

#include "run.h"

pk_status pk_buffers_poison(pk_bench *bench);             /* outputs and scratch to NaN */
pk_status pk_buffers_check_guards(const pk_bench *bench); /* PK_WRONG, naming the buffer and side */
void pk_buffers_free(pk_bench *bench);

/* A buffer with its guard bytes: from its `base` on. */
size_t pk_buffer_whole_bytes(const pk_bench *bench, const pk_buffer *buffer);

#endif
