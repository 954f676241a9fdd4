/* Error names, the last error of each host thread, and the fault that ends the device for the process. */
#include "error.h"

#include <stdint.h>

static __thread cudaError_t last_error;

/* Set once, by the first kernel that faults: release, pairs with the acquire in pk_fault. */
static uint32_t fault;

cudaError_t pk_fault(void)
{
    return (cudaError_t)__atomic_load_n(&fault, __ATOMIC_ACQUIRE);
}

void pk_set_fault(cudaError_t error)
{
    uint32_t none = cudaSuccess;
    __atomic_compare_exchange_n(&fault, &none, (uint32_t)error, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

void pk_reset_fault(void)
{
    if (pk_fault())
        __atomic_store_n(&fault, (uint32_t)cudaErrorDevicesUnavailable, __ATOMIC_RELEASE);
}

cudaError_t pk_fail_with(cudaError_t error)
{
    if (error != cudaSuccess)
        last_error = error;
    return error;
}

/* A fault is the last error of a thread that a call has told of it. */
extern "C" cudaError_t cudaGetLastError(void)
{
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

extern "C" cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

extern "C" const char *cudaGetErrorName(cudaError_t error)
{
    switch (error) {
#define PK_NAME(name, number, text)                                                                                    \
    case name:                                                                                                         \
        return #name;
        PK_CPU_ERRORS(PK_NAME)
#undef PK_NAME
    }
    return "unrecognized error code";
}

extern "C" const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
#define PK_TEXT(name, number, text)                                                                                    \
    case name:                                                                                                         \
        return text;
        PK_CPU_ERRORS(PK_TEXT)
#undef PK_TEXT
    }
    return "unrecognized error code";
}
