#include "pk_hints.h"

#include <stddef.h>
#include <string.h>

#define PAGE "docs/troubleshooting.md"

typedef struct hint {
    const char *cuda, *hip; /* the error's names; `hip` is NULL where HIP has none */
    const char *advice;
} hint;

/* Grouped as the page is. */
static const hint hints[] = {
    /* no device */
    {"cudaErrorInsufficientDriver", "hipErrorInsufficientDriver",
     "the driver is missing or older than the toolkit: update it, or build with an older toolkit (" PAGE
     "#driver-too-old)"},
    {"cudaErrorNoDevice", "hipErrorNoDevice",
     "no GPU is visible: check CUDA_VISIBLE_DEVICES or HIP_VISIBLE_DEVICES and the driver, or build with "
     "-DPK_BACKEND=cpu (" PAGE "#no-gpu)"},
    {"cudaErrorInvalidDevice", "hipErrorInvalidDevice",
     "there is no device of this number: unset PK_DEVICE, or choose one that is there (" PAGE "#no-gpu)"},
    {"cudaErrorDevicesUnavailable", NULL,
     "another process holds the GPU exclusively: wait for it, or choose another with PK_DEVICE (" PAGE "#device-busy)"},
    {"cudaErrorSystemDriverMismatch", NULL,
     "the driver's kernel module and its libraries differ in version: restart the machine (" PAGE "#driver-too-old)"},
    {"cudaErrorCompatNotSupportedOnDevice", NULL,
     "the toolkit's compatibility libraries do not support this GPU: update the driver (" PAGE "#driver-too-old)"},
    {"cudaErrorStubLibrary", NULL,
     "the program found the toolkit's stub of the driver library: remove its folder from LD_LIBRARY_PATH (" PAGE
     "#driver-too-old)"},

    /* the program does not fit the device */
    {"cudaErrorNoKernelImageForDevice", "hipErrorNoBinaryForGpu",
     "the program holds no code for this GPU: configure with its architecture in -DCMAKE_CUDA_ARCHITECTURES= or "
     "-DCMAKE_HIP_ARCHITECTURES= (" PAGE "#no-kernel-image)"},
    {"cudaErrorUnsupportedPtxVersion", NULL,
     "the driver is too old for this toolkit's PTX: update it, or name this GPU in -DCMAKE_CUDA_ARCHITECTURES= (" PAGE
     "#no-kernel-image)"},
    {"cudaErrorInvalidDeviceFunction", "hipErrorInvalidDeviceFunction",
     "the kernel was not compiled for this GPU: add its architecture when configuring (" PAGE "#no-kernel-image)"},
    {"cudaErrorInvalidKernelImage", "hipErrorInvalidImage",
     "the code in the program is damaged or for another GPU: build again from an empty folder (" PAGE
     "#no-kernel-image)"},
    {"cudaErrorNotSupported", "hipErrorNotSupported",
     "this device or driver has no such operation: ask for the capability with PK_NEED_ first (" PAGE
     "#not-supported)"},

    /* launches */
    {"cudaErrorInvalidConfiguration", "hipErrorInvalidConfiguration",
     "grid, block or shared memory is zero or over the device's limit: `lab doctor` prints the limits (" PAGE
     "#launch-limits)"},
    {"cudaErrorLaunchOutOfResources", "hipErrorLaunchOutOfResources",
     "the block needs more registers or shared memory than a multiprocessor has: use smaller blocks or "
     "__launch_bounds__ (" PAGE "#launch-limits)"},
    {"cudaErrorCooperativeLaunchTooLarge", "hipErrorCooperativeLaunchTooLarge",
     "a cooperative grid must be resident at once: ask the occupancy call how many blocks fit (" PAGE "#cooperative)"},

    /* faults while a kernel ran: reported by a later call */
    {"cudaErrorIllegalAddress", "hipErrorIllegalAddress",
     "an earlier kernel read or wrote memory it does not own: run it under compute-sanitizer, or on the CPU device "
     "with `./lab --backend=cpu-checked` (" PAGE "#illegal-address)"},
    {"cudaErrorMisalignedAddress", NULL,
     "an earlier kernel used a pointer that is not aligned to its type, such as float4 at an odd offset (" PAGE
     "#illegal-address)"},
    {"cudaErrorLaunchFailure", "hipErrorLaunchFailure",
     "an earlier kernel died: run it under compute-sanitizer, or on the CPU device with `./lab --backend=cpu-checked` "
     "(" PAGE "#illegal-address)"},
    {"cudaErrorAssert", "hipErrorAssert", "an assert in a kernel failed: its text is above (" PAGE "#illegal-address)"},
    {"cudaErrorLaunchTimeout", "hipErrorLaunchTimeOut",
     "the kernel ran longer than the display's time limit: use a GPU without a display, or less work a launch (" PAGE
     "#kernel-hangs)"},
    {"cudaErrorEccUncorrectable", "hipErrorECCNotCorrectable",
     "the GPU's memory has a fault that it could not correct: reset the GPU, and replace it if that recurs (" PAGE
     "#illegal-address)"},

    /* memory and arguments */
    {"cudaErrorMemoryAllocation", "hipErrorOutOfMemory",
     "the memory is not there: use a smaller size, or close what else uses the device (" PAGE "#out-of-memory)"},
    {"cudaErrorInvalidValue", "hipErrorInvalidValue",
     "an argument is wrong: of a launch, grid and block against the device's limits; else sizes, null pointers, and "
     "whether a pointer is of the kind that the call wants (" PAGE "#invalid-value)"},
    {"cudaErrorInvalidResourceHandle", "hipErrorInvalidHandle",
     "a stream, event or graph was destroyed before, or belongs to another device (" PAGE "#invalid-value)"},
    {"cudaErrorHostMemoryAlreadyRegistered", "hipErrorHostMemoryAlreadyRegistered",
     "this host memory is pinned already: register it once (" PAGE "#invalid-value)"},
    {"cudaErrorNotReady", "hipErrorNotReady",
     "the work before the event has not ended: synchronise with the event or stream first (" PAGE "#invalid-value)"},

    /* stream capture and graphs */
    {"cudaErrorStreamCaptureUnsupported", "hipErrorStreamCaptureUnsupported",
     "this call may not be made while a stream captures: move it ahead of the capture, or behind its end (" PAGE
     "#capture)"},
    {"cudaErrorStreamCaptureInvalidated", "hipErrorStreamCaptureInvalidated",
     "an earlier call broke the capture: look for a synchronise or an allocation between begin and end (" PAGE
     "#capture)"},
    {"cudaErrorStreamCaptureUnjoined", "hipErrorStreamCaptureUnjoined",
     "a second stream joined the capture and was not joined back: record an event there and wait for it before the "
     "capture ends (" PAGE "#capture)"},
    {"cudaErrorStreamCaptureImplicit", "hipErrorStreamCaptureImplicit",
     "the default stream was used while a stream captures: give every call the capturing stream (" PAGE "#capture)"},
    {"cudaErrorStreamCaptureIsolation", "hipErrorStreamCaptureIsolation",
     "work outside the capture was made to depend on it: record and wait for events inside it only (" PAGE "#capture)"},
    {"cudaErrorStreamCaptureMerge", "hipErrorStreamCaptureMerge",
     "two captures were joined: a stream can belong to one capture (" PAGE "#capture)"},
    {"cudaErrorStreamCaptureUnmatched", "hipErrorStreamCaptureUnmatched",
     "a capture ends on the stream it began on: pass that stream to cudaStreamEndCapture (" PAGE "#capture)"},
    {"cudaErrorStreamCaptureWrongThread", "hipErrorStreamCaptureWrongThread",
     "a capture ends on the thread it began on, or begins in relaxed mode (" PAGE "#capture)"},
    {"cudaErrorIllegalState", "hipErrorIllegalState",
     "no capture is under way on this stream, or one is already: a capture has one begin and one end (" PAGE
     "#capture)"},
    {"cudaErrorCapturedEvent", "hipErrorCapturedEvent",
     "this event was recorded in a capture and has no time of its own: record it outside (" PAGE "#capture)"},
    {"cudaErrorGraphExecUpdateFailure", "hipErrorGraphExecUpdateFailure",
     "the graph's shape changed: only node parameters can be updated, so instantiate it again (" PAGE "#graphs)"},
};

static const hint *find_hint(const char *error_name)
{
    for (size_t i = 0; error_name && i < sizeof hints / sizeof *hints; i++) {
        if (strcmp(error_name, hints[i].cuda) == 0 || (hints[i].hip && strcmp(error_name, hints[i].hip) == 0))
            return &hints[i];
    }
    return NULL;
}

const char *pk_hint(const char *error_name)
{
    const hint *found = find_hint(error_name);
    return found ? found->advice
                 : "look the error up in the runtime's manual, and run again after `lab doctor` (" PAGE ")";
}

const char *pk_cuda_name(const char *error_name)
{
    const hint *found = find_hint(error_name);
    return found ? found->cuda : error_name;
}

const char *pk_source_name(const char *file)
{
    static const char tree[] = PK_SOURCE_TREE "/";
    return strncmp(file, tree, sizeof tree - 1) == 0 ? file + sizeof tree - 1 : file;
}
