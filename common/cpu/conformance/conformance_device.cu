/* What the conformance programs share on the device side: gates, things that a case holds, the end of a case. */
#include "conformance.h"

#include <stdio.h>

#define HELD_MOST 4096
#define GATES_MOST 16
#define GATE_CYCLES 15000000000ll /* 7 to 15 seconds, by the device's clock */

static struct {
    void *what;
    void (*release)(void *);
} held[HELD_MOST];
static int held_count;

static int *gates[GATES_MOST];
static int gate_count;

pk_status cf_hold(void *what, void (*release)(void *))
{
    if (held_count == HELD_MOST)
        return pk_fail(PK_FAULT, "a case holds more than %d things", HELD_MOST);
    held[held_count].what = what;
    held[held_count++].release = release;
    return PK_OK;
}

static void free_device(void *what)
{
    (void)cudaFree(what);
}

static void free_pinned(void *what)
{
    (void)cudaFreeHost(what);
}

static void destroy_stream(void *what)
{
    (void)cudaStreamDestroy((cudaStream_t)what);
}

static void destroy_event(void *what)
{
    (void)cudaEventDestroy((cudaEvent_t)what);
}

__global__ void cf_affine(unsigned *x, unsigned a, unsigned b)
{
    *x = *x * a + b;
}

__global__ void cf_ticket(unsigned *counter, unsigned *slot)
{
    *slot = atomicAdd(counter, 1u) + 1u;
}

__global__ void cf_set(int *x, int value)
{
    *x = value;
}

__global__ void cf_copy_after(const int *from, int *to, int factor)
{
    *to = *from * factor;
}

/* The host's release store of 1 pairs with the acquire load here. */
static __global__ void wait_until_open(const int *open)
{
    const long long started = clock64();
    while (pk_load_acquire_system(open) == 0 && clock64() - started < GATE_CYCLES)
        PK_POLL_PAUSE();
}

pk_status cf_gate_make(cf_gate *gate)
{
    PK_TRY(cf_mapped((void **)&gate->host, (void **)&gate->device, sizeof *gate->host));
    if (gate_count == GATES_MOST)
        return pk_fail(PK_FAULT, "a case holds more than %d gates", GATES_MOST);
    gates[gate_count++] = gate->host;
    return PK_OK;
}

pk_status cf_gate_enqueue(const cf_gate *gate, cudaStream_t stream)
{
    PK_LAUNCH(wait_until_open, 1, 1, 0, stream, gate->device);
    return PK_OK;
}

void cf_gate_open(const cf_gate *gate)
{
    __atomic_store_n(gate->host, 1, __ATOMIC_RELEASE);
}

pk_status cf_device(void **device, size_t bytes)
{
    PK_CHECK(cudaMalloc(device, bytes));
    PK_TRY(cf_hold(*device, free_device));
    PK_CHECK(cudaMemset(*device, 0, bytes));
    PK_CHECK(cudaDeviceSynchronize());
    return PK_OK;
}

pk_status cf_pinned(void **host, size_t bytes)
{
    PK_CHECK(cudaHostAlloc(host, bytes, cudaHostAllocDefault));
    memset(*host, 0, bytes);
    return cf_hold(*host, free_pinned);
}

pk_status cf_mapped(void **host, void **device, size_t bytes)
{
    PK_CHECK(cudaHostAlloc(host, bytes, cudaHostAllocMapped));
    memset(*host, 0, bytes);
    PK_TRY(cf_hold(*host, free_pinned));
    PK_CHECK(cudaHostGetDevicePointer(device, *host, 0));
    return PK_OK;
}

pk_status cf_stream(cudaStream_t *stream, unsigned flags)
{
    PK_CHECK(cudaStreamCreateWithFlags(stream, flags));
    return cf_hold(*stream, destroy_stream);
}

pk_status cf_event(cudaEvent_t *event, unsigned flags)
{
    PK_CHECK(cudaEventCreateWithFlags(event, flags));
    return cf_hold(*event, destroy_event);
}

static pk_status download(void **host, const void *device, size_t bytes)
{
    *host = malloc(bytes);
    if (!*host)
        return pk_fail(PK_FAULT, "no host memory");
    PK_TRY(cf_hold(*host, free));
    PK_CHECK(cudaDeviceSynchronize());
    PK_CHECK(cudaMemcpy(*host, device, bytes, cudaMemcpyDeviceToHost));
    return PK_OK;
}

const void *cf_download(const void *device, size_t bytes)
{
    void *host;
    return download(&host, device, bytes) == PK_OK ? host : NULL;
}

bool cf_stream_busy(cudaStream_t stream)
{
    const cudaError_t error = cudaStreamQuery(stream);
    (void)cudaGetLastError();
    return error == cudaErrorNotReady;
}

void cf_expect_error(cudaError_t got, cudaError_t want, const char *call, const char *file, int line)
{
    (void)cudaGetLastError();
    if (got != want)
        cf_failed(file, line, "%s returns %s, want %s", call, cudaGetErrorName(got), cudaGetErrorName(want));
}

void cf_observe_error(const char *what, cudaError_t error)
{
    (void)cudaGetLastError();
    cf_observe(what, "%s", cudaGetErrorName(error));
}

int cf_attribute(cudaDeviceAttr which)
{
    int value = 0, device = 0;
    if (cudaGetDevice(&device) != cudaSuccess || cudaDeviceGetAttribute(&value, which, device) != cudaSuccess)
        (void)cudaGetLastError();
    return value;
}

const char *cf_settle(void)
{
    while (gate_count > 0)
        __atomic_store_n(gates[--gate_count], 1, __ATOMIC_RELEASE);
    const cudaError_t error = cudaDeviceSynchronize();
    if (error != cudaSuccess)
        return cudaGetErrorName(error);
    while (held_count > 0) {
        held_count--;
        held[held_count].release(held[held_count].what);
    }
    (void)cudaGetLastError();
    return NULL;
}
