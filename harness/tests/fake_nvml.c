/* Stands in for libnvidia-ml.so.1. FAKE_NVML in the environment: "dead" fails to start, "blind" starts and reads
 * nothing. The reasons' call has its name from before driver 535 when PK_FAKE_OLD_DRIVER is defined. */
#include <stdlib.h>
#include <string.h>

int nvmlInit_v2(void);
int nvmlSystemGetDriverVersion(char *version, unsigned bytes);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByPciBusId_v2(const char *pci_bus_id, void **handle);
int nvmlDeviceGetClockInfo(void *handle, int kind, unsigned *mhz);
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *celsius);
int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts);

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };

static int started, device;

static int is(const char *mode)
{
    const char *set = getenv("FAKE_NVML");
    return set && strcmp(set, mode) == 0;
}

/* What every reading call answers when it cannot read. */
static int refused(const void *handle)
{
    return started != 1 || handle != &device || is("blind");
}

int nvmlSystemGetDriverVersion(char *version, unsigned bytes)
{
    if (bytes < sizeof "580.65.06")
        return INSUFFICIENT_SIZE;
    memcpy(version, "580.65.06", sizeof "580.65.06");
    return 0;
}

int nvmlInit_v2(void)
{
    if (is("dead"))
        return DRIVER_NOT_LOADED;
    started++;
    return SUCCESS;
}

int nvmlShutdown(void)
{
    started--;
    return SUCCESS;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *pci_bus_id, void **handle)
{
    if (started != 1 || strcmp(pci_bus_id, "0000:1b:00.0") != 0)
        return NOT_FOUND;
    *handle = &device;
    return SUCCESS;
}

int nvmlDeviceGetClockInfo(void *handle, int kind, unsigned *mhz)
{
    if (refused(handle))
        return NOT_SUPPORTED;
    *mhz = kind == 1 ? 1980 : kind == 2 ? 3201 : 0;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *celsius)
{
    if (refused(handle) || sensor != 0)
        return NOT_SUPPORTED;
    *celsius = 41;
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts)
{
    if (refused(handle))
        return NOT_SUPPORTED;
    *milliwatts = 123600;
    return SUCCESS;
}

#ifdef PK_FAKE_OLD_DRIVER
#define REASONS nvmlDeviceGetCurrentClocksThrottleReasons
#else
#define REASONS nvmlDeviceGetCurrentClocksEventReasons
#endif
int REASONS(void *handle, unsigned long long *mask);
int REASONS(void *handle, unsigned long long *mask)
{
    if (refused(handle))
        return NOT_SUPPORTED;
    *mask = 0x21;
    return SUCCESS;
}
