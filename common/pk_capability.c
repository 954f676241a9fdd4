/* Why a device cannot run a variant: the reasons that a skip is recorded with. */
#include "pk_device.h"

#include <stdio.h>
#include <string.h>

typedef struct capability {
    unsigned need;
    const char *what; /* the technique, as the start of a sentence */
    const char *cuda; /* what it takes on CUDA */
    const char *hip;  /* what HIP says to it, on either vendor's GPU */
    const char *cpu;  /* and the CPU device */
} capability;

static const capability capabilities[] = {
    {PK_NEED_MAPPED_HOST, "host memory mapped into the device", "needs a device that can map it",
     "HIP must be able to map host memory on this device", "the CPU device should have it: this is a defect"},
    {PK_NEED_COOPERATIVE, "a cooperative launch", "needs compute capability 6.0 and no MPS limit",
     "HIP offers no cooperative launch on this device (hipDeviceAttributeCooperativeLaunch)",
     "the CPU device should have it: this is a defect"},
    {PK_NEED_GRAPH, "stream capture", "needs a runtime with graphs: this is a defect",
     "HIP should have graphs: this is a defect", "the CPU device offers no graphs"},
    {PK_NEED_GRAPH_WHILE, "a conditional WHILE node in a graph", "needs CUDA 12.4 in both toolkit and driver",
     "HIP has no conditional graph nodes", "the CPU device should have it: this is a defect"},
    {PK_NEED_GRAPH_DEVICE, "a graph launched or updated by a kernel", "needs CUDA 12.4 in both toolkit and driver",
     "HIP has no graphs launched by kernels", "the CPU device has no graphs launched by kernels"},
    {PK_NEED_PDL, "programmatic dependent launch", "needs compute capability 9.0 (Hopper) and a program built for it",
     "HIP has no programmatic dependent launch", "the CPU device should have it: this is a defect"},
    {PK_NEED_ASYNC_COPY, "an asynchronous copy into shared memory (cp.async)",
     "needs compute capability 8.0 (Ampere) and a program built for it", "HIP has no cp.async",
     "the CPU device should have it: this is a defect"},
    {PK_NEED_BULK_ASYNC_COPY, "a bulk asynchronous copy (TMA)",
     "needs compute capability 9.0 (Hopper) and a program built for it", "HIP has no bulk asynchronous copy",
     "the CPU device should have it: this is a defect"},
    {PK_NEED_CLUSTER, "a thread-block cluster", "needs compute capability 9.0 (Hopper) and a program built for it",
     "HIP has no thread-block clusters", "the CPU device has no thread-block clusters"},
};

/* What takes no call of the API: HIP on an NVIDIA GPU has it where CUDA has. */
static const unsigned by_kernels_alone = PK_NEED_ASYNC_COPY | PK_NEED_BULK_ASYNC_COPY;

bool pk_device_lacks(const pk_device_info *info, unsigned needs, char *reason, size_t reason_bytes)
{
    const unsigned missing = needs & ~info->capabilities;
    if (reason_bytes > 0)
        *reason = '\0';
    if (missing == 0)
        return false;
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++) {
        const capability *lacking = &capabilities[i];
        if (!(missing & lacking->need))
            continue;
        if (strcmp(info->backend, "cuda") == 0 ||
            (strcmp(info->backend, "hip-nvidia") == 0 && (lacking->need & by_kernels_alone)))
            snprintf(reason, reason_bytes, "%s %s; this is %s (%s, built with %s, driver %s)", lacking->what,
                     lacking->cuda, info->name, info->arch, info->toolkit, info->driver);
        else /* the backend lacks it, whatever the device is */
            snprintf(reason, reason_bytes, "%s", strcmp(info->backend, "cpu") == 0 ? lacking->cpu : lacking->hip);
        return true;
    }
    snprintf(reason, reason_bytes, "this build knows no capability 0x%x", missing);
    return true;
}
