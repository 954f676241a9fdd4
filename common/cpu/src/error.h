/* The last error, the fault that sticks, and how every call begins. */
#ifndef PK_CPU_ERROR_H
#define PK_CPU_ERROR_H

#include <cuda_runtime.h>

#include "trace.h"

cudaError_t pk_fail_with(cudaError_t error); /* record as the last error, and return it */
cudaError_t pk_fault(void);                  /* the sticky error, or cudaSuccess */
void pk_set_fault(cudaError_t error);
/* A reset after a fault: the process gets no device again. */
void pk_reset_fault(void);

/* engine.cpp: starts the device at the first call. cudaSuccess, or why no call can succeed: a fault, wrong settings, a
 * call from a host function. */
cudaError_t pk_enter(void);

/* Every call begins with this: it fails while the device cannot work. */
#define PK_ENTER()                                                                                                     \
    PK_CALL();                                                                                                         \
    do {                                                                                                               \
        const cudaError_t enter_error_ = pk_enter();                                                                   \
        if (enter_error_ != cudaSuccess)                                                                               \
            return pk_fail_with(enter_error_);                                                                         \
    } while (0)

#endif
