/* Errors: names, the last error of a thread, and faults, which stay.
 * Source: CUDA Runtime API, "Error Handling", cudaError_t; CUDA C++ Programming Guide, "Error Checking". */
#include "conformance.h"

#include <pthread.h>

#undef NDEBUG /* a release build too has the kernel's assert */
#include <assert.h>

CONCERN(error)

static __global__ void write_to(int *p)
{
    *p = 1;
}

static __global__ void write_byte_address(unsigned char *p, int offset)
{
    *(volatile int *)(p + offset) = 1;
}

static __global__ void trap_now(void)
{
    __trap();
}

/* A sanitizer of host code reports a bad access in a kernel itself, and ends the process. */
#if defined(__SANITIZE_ADDRESS__) || defined(UNDER_THREAD_SANITIZER)
#define SKIP_UNDER_SANITIZERS() SKIP("a sanitizer reports this fault itself")
#else
#define SKIP_UNDER_SANITIZERS() ((void)0)
#endif

typedef struct name_and_text {
    cudaError_t error;
    const char *name, *text;
} name_and_text;

CASE(names_and_texts)
{
    static const name_and_text all[] = {
        {cudaSuccess, "cudaSuccess", "no error"},
        {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
        {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
        {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
        {cudaErrorInvalidPitchValue, "cudaErrorInvalidPitchValue", "invalid pitch argument"},
        {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
        {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
        {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
        {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
        {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
        {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
        {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
        {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources", "too many resources requested for launch"},
        {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
        {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
        {cudaErrorCooperativeLaunchTooLarge, "cudaErrorCooperativeLaunchTooLarge",
         "too many blocks in cooperative launch"},
        {cudaErrorNotPermitted, "cudaErrorNotPermitted", "operation not permitted"},
        {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
        {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
         "operation not permitted when stream is capturing"},
        {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
         "operation failed due to a previous error during capture"},
        {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
         "operation would result in a merge of separate capture sequences"},
        {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
        {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
         "operation not permitted on an event last recorded in a capturing stream"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const char *name = cudaGetErrorName(all[i].error), *text = cudaGetErrorString(all[i].error);
        if (strcmp(name, all[i].name) != 0 || strcmp(text, all[i].text) != 0)
            cf_failed(__FILE__, __LINE__, "%d is %s, \"%s\"; want %s, \"%s\"", (int)all[i].error, name, text,
                      all[i].name, all[i].text);
    }
    return PK_OK;
}

CASE(unknown_code)
{
    EXPECT_EQ(strcmp(cudaGetErrorName((cudaError_t)12345), "unrecognized error code"), 0);
    EXPECT_EQ(strcmp(cudaGetErrorString((cudaError_t)12345), "unrecognized error code"), 0);
    return PK_OK;
}

static cudaError_t too_much(void)
{
    void *p;
    return cudaMalloc(&p, (size_t)1 << 50);
}

CASE(last_error_is_given_once)
{
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    (void)too_much();
    EXPECT_EQ(cudaPeekAtLastError(), cudaErrorMemoryAllocation);
    EXPECT_EQ(cudaPeekAtLastError(), cudaErrorMemoryAllocation);
    EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
    return PK_OK;
}

CASE(success_keeps_the_last_error)
{
    int device;
    (void)too_much();
    EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
    return PK_OK;
}

CASE(newest_error_wins)
{
    (void)too_much();
    (void)cudaSetDevice(-1);
    EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    return PK_OK;
}

CASE(launch_error_is_the_last_error)
{
    DEVICE(int, p, 1);
    PK_BACKEND_LAUNCH(write_to, 1, 4096, 0, 0, p);
    EXPECT_EQ(cudaPeekAtLastError(), CF_NO_SUCH_SHAPE);
    EXPECT_EQ(cudaGetLastError(), CF_NO_SUCH_SHAPE);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    return PK_OK;
}

static void *other_thread(void *seen)
{
    ((cudaError_t *)seen)[0] = cudaGetLastError();
    (void)cudaSetDevice(-1);
    ((cudaError_t *)seen)[1] = cudaPeekAtLastError();
    return NULL;
}

CASE(last_error_belongs_to_a_thread)
{
    cudaError_t seen[2] = {cudaErrorUnknown, cudaErrorUnknown};
    pthread_t thread;
    (void)too_much();
    if (pthread_create(&thread, NULL, other_thread, seen) != 0)
        return pk_fail(PK_FAULT, "no thread");
    pthread_join(thread, NULL);
    EXPECT_EQ(seen[0], cudaSuccess);
    EXPECT_EQ(seen[1], cudaErrorInvalidDevice);
    EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
    return PK_OK;
}

/* After a fault every call that needs the device says the same, and reading the last error does not heal it. */
static void expect_broken(cudaError_t fault)
{
    void *p;
    cudaStream_t s;
    EXPECT_EQ(cudaDeviceSynchronize(), fault);
    (void)cudaGetLastError();
    EXPECT_EQ(cudaDeviceSynchronize(), fault);
    EXPECT_EQ(cudaMalloc(&p, 16), fault);
    EXPECT_EQ(cudaStreamCreate(&s), fault);
    EXPECT_EQ(LAUNCH_ERROR(trap_now, 1, 1, 0, 0), fault);
    EXPECT_EQ(cudaStreamQuery(0), fault);
}

CASE_ALONE(null_pointer_in_a_kernel)
{
    SKIP_UNDER_SANITIZERS();
    PK_LAUNCH(write_to, 1, 1, 0, 0, (int *)NULL);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
    expect_broken(cudaErrorIllegalAddress);
    return PK_OK;
}

/* Beside null: what an index into a null array gives. */
CASE_ALONE(tiny_pointer_in_a_kernel)
{
    SKIP_UNDER_SANITIZERS();
    PK_LAUNCH(write_to, 1, 1, 0, 0, (int *)0x10);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    expect_broken(cudaErrorIllegalAddress);
    return PK_OK;
}

/* A fault as the last error: before a call has told of it, and after it has been read. */
CASE_ALONE(fault_as_the_last_error)
{
    SKIP_UNDER_SANITIZERS();
    PK_LAUNCH(write_to, 1, 1, 0, 0, (int *)NULL);
    cf_sleep_ms(200);
    OBSERVE("before_any_call", cudaPeekAtLastError());
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    OBSERVE("peek", cudaPeekAtLastError());
    OBSERVE("first", cudaGetLastError());
    OBSERVE("second", cudaGetLastError());
    OBSERVE("peek_after", cudaPeekAtLastError());
    return PK_OK;
}

/* No address of any processor: its upper bits are neither all clear nor all set. */
CASE_ALONE(wild_pointer_in_a_kernel)
{
    SKIP_UNDER_SANITIZERS();
    PK_LAUNCH(write_to, 1, 1, 0, 0, (int *)0x5a5a000000000000ull);
    const cudaError_t error = cudaDeviceSynchronize();
    OBSERVE_ERROR("error", error);
    EXPECT(error != cudaSuccess);
    expect_broken(error);
    return PK_OK;
}

CASE_ALONE(freed_memory_in_a_kernel)
{
    SKIP_UNDER_SANITIZERS();
    int *p;
    PK_CHECK(cudaMalloc(&p, 256 << 20));
    PK_CHECK(cudaFree(p));
    PK_LAUNCH(write_to, 1, 1, 0, 0, p);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    return PK_OK;
}

CASE_ALONE(host_memory_in_a_kernel)
{
    SKIP_UNDER_SANITIZERS();
    int *p = (int *)calloc(1024, sizeof *p);
    const int reachable = cf_attribute(cudaDevAttrPageableMemoryAccess);
    PK_LAUNCH(write_to, 1, 1, 0, 0, p);
    const cudaError_t error = cudaDeviceSynchronize();
    OBSERVE("pageable_memory_access", reachable);
    OBSERVE_ERROR("error", error);
    EXPECT_EQ(error, reachable ? cudaSuccess : cudaErrorIllegalAddress);
    return PK_OK;
}

CASE_ALONE(fault_shows_at_the_next_call_that_waits)
{
    SKIP_UNDER_SANITIZERS();
    STREAM(s);
    EVENT(e);
    PINNED(int, host, 1);
    DEVICE(int, d, 1);
    PK_LAUNCH(write_to, 1, 1, 0, s, (int *)NULL);
    (void)cudaEventRecord(e, s);
    EXPECT_EQ(cudaEventSynchronize(e), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaMemcpy(host, d, sizeof *host, cudaMemcpyDeviceToHost), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaStreamSynchronize(s), cudaErrorIllegalAddress);
    OBSERVE_ERROR("cudaFree", cudaFree(d));
    OBSERVE_ERROR("cudaEventQuery", cudaEventQuery(e));
    OBSERVE_ERROR("cudaStreamDestroy", cudaStreamDestroy(s));
    return PK_OK;
}

CASE_ALONE(work_behind_a_fault_does_not_run)
{
    SKIP_UNDER_SANITIZERS();
    STREAM(s);
    GATE(gate);
    MAPPED(int, host, device, 1);
    PK_TRY(cf_gate_enqueue(&gate, s));
    PK_LAUNCH(write_to, 1, 1, 0, s, (int *)NULL);
    PK_LAUNCH(cf_set, 1, 1, 0, s, device, 5);
    cf_gate_open(&gate);
    EXPECT_EQ(cudaStreamSynchronize(s), cudaErrorIllegalAddress);
    EXPECT_EQ(*host, 0);
    return PK_OK;
}

CASE_ALONE(misaligned_access)
{
    SKIP_UNDER_SANITIZERS();
    DEVICE(unsigned char, p, 64);
    PK_LAUNCH(write_byte_address, 1, 1, 0, 0, p, 1);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorMisalignedAddress);
    return PK_OK;
}

CASE_ALONE(trap)
{
    PK_LAUNCH(trap_now, 1, 1, 0, 0);
    const cudaError_t error = cudaDeviceSynchronize();
    OBSERVE_ERROR("error", error);
    EXPECT(error != cudaSuccess);
    expect_broken(error);
    return PK_OK;
}

CASE_ALONE(fault_is_seen_by_every_thread)
{
    SKIP_UNDER_SANITIZERS();
    cudaError_t seen[2] = {cudaSuccess, cudaSuccess};
    pthread_t thread;
    PK_LAUNCH(write_to, 1, 1, 0, 0, (int *)NULL);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    if (pthread_create(&thread, NULL, other_thread, seen) != 0)
        return pk_fail(PK_FAULT, "no thread");
    pthread_join(thread, NULL);
    OBSERVE_ERROR("cudaGetLastError", seen[0]);
    OBSERVE_ERROR("after cudaSetDevice(-1)", seen[1]);
    return PK_OK;
}

CASE_ALONE(reset_after_a_fault)
{
    SKIP_UNDER_SANITIZERS();
    void *p;
    PK_LAUNCH(write_to, 1, 1, 0, 0, (int *)NULL);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    OBSERVE_ERROR("cudaDeviceReset", cudaDeviceReset());
    OBSERVE_ERROR("cudaMalloc", cudaMalloc(&p, 16));
    return PK_OK;
}

static __global__ void assert_small(const int *x)
{
    assert(x[threadIdx.x] < 40);
}

CASE_ALONE(assert_in_a_kernel)
{
    int values[64] = {0};
    DEVICE(int, x, 64);
    PK_LAUNCH(assert_small, 1, 64, 0, 0, x);
    PK_CHECK(cudaDeviceSynchronize());
    values[33] = 40;
    PK_CHECK(cudaMemcpy(x, values, sizeof values, cudaMemcpyHostToDevice));
    PK_LAUNCH(assert_small, 1, 64, 0, 0, x);
    EXPECT_ERROR(cudaDeviceSynchronize(), cudaErrorAssert);
    EXPECT_ERROR(cudaMemset(x, 0, sizeof values), cudaErrorAssert);
    return PK_OK;
}
