/* The device for C code, in CUDA's names, compiled once for each backend. */
#include "pk_gpu.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk_hints.h"
#if defined(PK_BACKEND_CPU)
#include "pk_cpu/memory.h"
#endif

#if defined(PK_BACKEND_HIP)
#define VISIBLE_DEVICES "HIP_VISIBLE_DEVICES"
#else
#define VISIBLE_DEVICES "CUDA_VISIBLE_DEVICES"
#endif

static bool device_is_open;

pk_status pk_gpu_failed(const char *call, const char *file, int line, cudaError_t error)
{
    /* The runtime keeps the error for cudaGetLastError(), where the next launch would find it again. */
    (void)cudaGetLastError();
    const char *name = cudaGetErrorName(error), *cuda_name = pk_cuda_name(name);
    const bool renamed = strcmp(name, cuda_name) != 0; /* HIP's own name; the labs speak of CUDA's */
    return pk_fail(PK_FAULT, "%s:%d: %s failed: %s%s%s (%d): %s; %s", pk_source_name(file), line, call, name,
                   renamed ? ", CUDA's " : "", renamed ? cuda_name : "", (int)error, cudaGetErrorString(error),
                   pk_hint(name));
}

/* ---- which device, and what it can do ---- */

/* 13000 -> "13.0" for CUDA; HIP counts major * 10^7 + minor * 10^5 + patch. */
static void version_text(char *text, size_t text_bytes, int version)
{
    if (version >= 10000000)
        snprintf(text, text_bytes, "%d.%d.%d", version / 10000000, version / 100000 % 100, version % 100000);
    else
        snprintf(text, text_bytes, "%d.%d", version / 1000, version / 10 % 100);
}

static int driver_version(void)
{
    int version = 0;
    if (cudaDriverGetVersion(&version) != cudaSuccess)
        (void)cudaGetLastError();
    return version;
}

/* No usable device is a property of the machine, not a fault: the run is skipped with one line that says so. */
static pk_status no_device(cudaError_t error)
{
    char why[128], driver[32];
    const int version = driver_version();
    version_text(driver, sizeof driver, version);
    if (error == cudaErrorInsufficientDriver && version > 0)
        snprintf(why, sizeof why, "the driver (CUDA %s) is older than the toolkit this was built with", driver);
    else if (error == cudaErrorInsufficientDriver)
        snprintf(why, sizeof why, "no driver");
    else
        snprintf(why, sizeof why, "no device is visible (driver or " VISIBLE_DEVICES ")");
    return pk_fail(PK_SKIP,
                   "no usable GPU: %s; install or update the driver, or use the CPU device: ./lab --backend=cpu "
                   "(docs/troubleshooting.md#no-gpu)",
                   why);
}

/* The device number that PK_DEVICE asks for, among `count`. */
static pk_status choose_device(int *device, int count)
{
    const char *wanted = getenv("PK_DEVICE");
    *device = 0;
    if (!wanted || !*wanted)
        return PK_OK;
    char *end;
    errno = 0;
    const long number = strtol(wanted, &end, 10);
    if (*end || errno || number < 0 || number >= count)
        return pk_fail(PK_USAGE, "PK_DEVICE is '%s', and the devices here are 0 to %d: set one of these, or unset it",
                       wanted, count - 1);
    *device = (int)number;
    return PK_OK;
}

/* An attribute, or 0 where the runtime does not know it. */
static int attribute(cudaDeviceAttr which, int device)
{
    int value = 0;
    if (cudaDeviceGetAttribute(&value, which, device) != cudaSuccess) {
        (void)cudaGetLastError();
        return 0;
    }
    return value;
}

#if defined(PK_BACKEND_CPU)

static unsigned backend_capabilities(int device, int compiled_for)
{
    (void)device;
    (void)compiled_for;
    return PK_NEED_GRAPH | PK_NEED_GRAPH_WHILE | PK_NEED_PDL | PK_NEED_ASYNC_COPY | PK_NEED_BULK_ASYNC_COPY;
}

/* A bulk copy has no cost of its own here: a program may use it, and nothing may be learnt from how long it takes. */
static unsigned backend_emulates(void)
{
    return PK_NEED_BULK_ASYNC_COPY;
}

void pk_device_describe_blocked(char *text, size_t text_bytes)
{
    pk_cpu_describe_blocked(text, text_bytes);
}

static pk_status check_program(int *compiled_for)
{
    *compiled_for = 0;
    return PK_OK;
}

static void describe_backend(pk_device_info *info, const cudaDeviceProp *properties, int device)
{
    (void)properties;
    (void)device;
    snprintf(info->arch, sizeof info->arch, "cpu");
    snprintf(info->toolkit, sizeof info->toolkit, "CPU device");
    snprintf(info->driver, sizeof info->driver, "none");
}

#else

static unsigned backend_emulates(void)
{
    return 0;
}

void pk_device_describe_blocked(char *text, size_t text_bytes)
{
    if (text_bytes > 0)
        *text = '\0';
}

static __global__ void pk_probe(void)
{
}

/* Ask for a kernel's code before anything runs: a program without code for this GPU says so here, once. */
static pk_status check_program(int *compiled_for)
{
    cudaFuncAttributes attributes;
    PK_CHECK(cudaFuncGetAttributes(&attributes, (const void *)pk_probe));
    *compiled_for = attributes.ptxVersion;
    return PK_OK;
}

#if defined(PK_BACKEND_HIP)

/* HIP's API has graphs, and none of conditional nodes, programmatic dependent launch, cp.async, bulk copies and
 * clusters. */
static unsigned backend_capabilities(int device, int compiled_for)
{
    (void)device;
    (void)compiled_for;
    return PK_NEED_GRAPH;
}

#else

/* `compiled_for` is the architecture that the code which runs here was written for: code for sm_80 that the driver
 * translates for a newer GPU has none of the newer operations in it. What kernels do by themselves is the same with
 * HIP's API above it; what takes a call of CUDA's that HIP has not is absent there. */
static unsigned backend_capabilities(int device, int compiled_for)
{
    const int here = 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
                     attribute(cudaDevAttrComputeCapabilityMinor, device);
    const int arch = here < compiled_for ? here : compiled_for;
    unsigned capabilities = PK_NEED_GRAPH;
    if (arch >= 80)
        capabilities |= PK_NEED_ASYNC_COPY;
    if (arch >= 90)
        capabilities |= PK_NEED_BULK_ASYNC_COPY;
#if defined(PK_BACKEND_CUDA)
    if (arch >= 90)
        capabilities |= PK_NEED_PDL | PK_NEED_CLUSTER;
    if (CUDART_VERSION >= 12040 && driver_version() >= 12040)
        capabilities |= PK_NEED_GRAPH_WHILE | PK_NEED_GRAPH_DEVICE;
#endif
    return capabilities;
}

#endif

static void describe_backend(pk_device_info *info, const cudaDeviceProp *properties, int device)
{
#if defined(PK_BACKEND_HIP)
    /* "gfx90a:sramecc+:xnack-": the features after the colon are not part of the architecture's name. */
    snprintf(info->arch, sizeof info->arch, "%.*s", (int)strcspn(properties->gcnArchName, ":"),
             properties->gcnArchName);
#else
    snprintf(info->arch, sizeof info->arch, "sm_%d%d", properties->major, properties->minor);
#endif
#if defined(PK_BACKEND_HIP)
    version_text(info->toolkit, sizeof info->toolkit, HIP_VERSION);
#else
    version_text(info->toolkit, sizeof info->toolkit, CUDART_VERSION);
#endif
    version_text(info->driver, sizeof info->driver, driver_version());
    if (cudaDeviceGetPCIBusId(info->pci_bus_id, sizeof info->pci_bus_id, device) != cudaSuccess) {
        (void)cudaGetLastError();
        info->pci_bus_id[0] = '\0';
    }
}

#endif

pk_status pk_device_open(pk_device_info *info)
{
    int count = 0, device, compiled_for;
    memset(info, 0, sizeof *info);
    const cudaError_t counted = cudaGetDeviceCount(&count);
    if (counted == cudaErrorNoDevice || counted == cudaErrorInsufficientDriver ||
        (counted == cudaSuccess && count == 0)) {
        (void)cudaGetLastError();
        return no_device(counted);
    }
#if defined(PK_BACKEND_CPU)
    if (counted == cudaErrorInitializationError) /* a PK_CPU_... setting, for one: the device has said which */
        return pk_fail(PK_USAGE, "the CPU device cannot start; the line above says why (docs/no-gpu.md)");
#endif
    if (counted != cudaSuccess)
        return pk_gpu_failed("cudaGetDeviceCount", __FILE__, __LINE__, counted);
    PK_TRY(choose_device(&device, count));
    PK_CHECK(cudaSetDevice(device));

    cudaDeviceProp properties;
    PK_CHECK(cudaGetDeviceProperties(&properties, device));
    PK_TRY(check_program(&compiled_for));
    device_is_open = true;

    snprintf(info->backend, sizeof info->backend, "%s", PK_BACKEND_NAME);
    info->is_gpu = strcmp(info->backend, "cpu") != 0;
    snprintf(info->name, sizeof info->name, "%s", properties.name);
    describe_backend(info, &properties, device);
    info->processors = attribute(cudaDevAttrMultiProcessorCount, device);
    info->warp_size = attribute(cudaDevAttrWarpSize, device);
    info->max_threads_per_block = attribute(cudaDevAttrMaxThreadsPerBlock, device);
    info->shared_bytes_per_block = (size_t)attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
#if defined(PK_BACKEND_HIP_NVIDIA)
    info->shared_bytes_per_block = pk_hip_nvidia_shared_bytes(device); /* HIP has no name for what can be opted in to */
#endif
    info->l2_bytes = (size_t)attribute(cudaDevAttrL2CacheSize, device);
    info->memory_bytes = properties.totalGlobalMem;
    info->capabilities = backend_capabilities(device, compiled_for);
    info->emulated = backend_emulates();
    if (attribute(cudaDevAttrCanMapHostMemory, device))
        info->capabilities |= PK_NEED_MAPPED_HOST;
    if (attribute(cudaDevAttrCooperativeLaunch, device))
        info->capabilities |= PK_NEED_COOPERATIVE;
    return PK_OK;
}

void pk_device_close(void)
{
    if (!device_is_open)
        return;
    device_is_open = false;
    (void)cudaDeviceReset();
}

/* ---- memory ---- */

pk_status pk_device_memory(size_t *free_bytes, size_t *total_bytes)
{
    PK_CHECK(cudaMemGetInfo(free_bytes, total_bytes));
    return PK_OK;
}

pk_status pk_device_alloc(void **device, size_t bytes)
{
    PK_CHECK(cudaMalloc(device, bytes));
    return PK_OK;
}

void pk_device_free(void *device)
{
    (void)cudaFree(device);
}

void pk_device_guard(void *device, size_t before, size_t after)
{
#if defined(PK_BACKEND_CPU)
    pk_cpu_memory_guards(device, before, after);
#else
    (void)device, (void)before, (void)after;
#endif
}

pk_status pk_device_alloc_mapped(void **host, void **device, size_t bytes)
{
    PK_CHECK(cudaHostAlloc(host, bytes, cudaHostAllocMapped));
    const cudaError_t mapped = cudaHostGetDevicePointer(device, *host, 0);
    if (mapped != cudaSuccess) {
        pk_device_free_mapped(*host);
        *host = NULL;
        return pk_gpu_failed("cudaHostGetDevicePointer", __FILE__, __LINE__, mapped);
    }
    return PK_OK;
}

void pk_device_free_mapped(void *host)
{
    (void)cudaFreeHost(host);
}

pk_status pk_device_upload(void *device, const void *host, size_t bytes, void *stream)
{
    PK_CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, (cudaStream_t)stream));
    return PK_OK;
}

pk_status pk_device_download(void *host, const void *device, size_t bytes, void *stream)
{
    PK_CHECK(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, (cudaStream_t)stream));
    return PK_OK;
}

pk_status pk_device_copy(void *to, const void *from, size_t bytes, void *stream)
{
    PK_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, (cudaStream_t)stream));
    return PK_OK;
}

pk_status pk_device_fill(void *device, unsigned char byte, size_t bytes, void *stream)
{
    PK_CHECK(cudaMemsetAsync(device, byte, bytes, (cudaStream_t)stream));
    return PK_OK;
}

/* ---- streams and events ---- */

pk_status pk_device_stream_create(void **stream)
{
    cudaStream_t created;
    PK_CHECK(cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking));
    *stream = created;
    return PK_OK;
}

pk_status pk_device_stream_create_urgent(void **stream)
{
    cudaStream_t created;
    int least = 0, greatest = 0;
    PK_CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    PK_CHECK(cudaStreamCreateWithPriority(&created, cudaStreamNonBlocking, greatest));
    *stream = created;
    return PK_OK;
}

void pk_device_stream_destroy(void *stream)
{
    (void)cudaStreamDestroy((cudaStream_t)stream);
}

pk_status pk_device_stream_synchronize(void *stream)
{
    PK_CHECK(cudaStreamSynchronize((cudaStream_t)stream));
    return PK_OK;
}

pk_status pk_device_stream_idle(void *stream, bool *idle)
{
    const cudaError_t state = cudaStreamQuery((cudaStream_t)stream);
    *idle = state == cudaSuccess;
    if (state == cudaErrorNotReady) {
        (void)cudaGetLastError(); /* an answer, not a failure: keep it from the next launch's check */
        return PK_OK;
    }
    return state == cudaSuccess ? PK_OK : pk_gpu_failed("cudaStreamQuery", __FILE__, __LINE__, state);
}

pk_status pk_device_synchronize(void)
{
    PK_CHECK(cudaDeviceSynchronize());
    return PK_OK;
}

pk_status pk_device_event_create(void **event)
{
    cudaEvent_t created;
    PK_CHECK(cudaEventCreate(&created));
    *event = created;
    return PK_OK;
}

void pk_device_event_destroy(void *event)
{
    (void)cudaEventDestroy((cudaEvent_t)event);
}

pk_status pk_device_event_record(void *event, void *stream)
{
    PK_CHECK(cudaEventRecord((cudaEvent_t)event, (cudaStream_t)stream));
    return PK_OK;
}

pk_status pk_device_event_synchronize(void *event)
{
    PK_CHECK(cudaEventSynchronize((cudaEvent_t)event));
    return PK_OK;
}

pk_status pk_device_event_elapsed_us(double *us, void *start, void *stop)
{
    float milliseconds;
    PK_CHECK(cudaEventElapsedTime(&milliseconds, (cudaEvent_t)start, (cudaEvent_t)stop));
    *us = 1e3 * (double)milliseconds;
    return PK_OK;
}
