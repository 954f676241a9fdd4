#include "machine.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "device_limits.h"
#include "pk/host.h"
#include "watchdog.h"

void pk_machine_describe_program(pk_report *report, int argc, char **argv)
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(report->started_utc, sizeof report->started_utc, "%Y-%m-%dT%H:%M:%SZ", &utc);
    const char *slash = strrchr(argv[0], '/');
    report->program = strdup(slash ? slash + 1 : argv[0]);
    report->argc = argc;
    report->argv = argv;
}

/* "580.65.06, CUDA 13.0": the driver's own version where NVML tells it, and the API's that it offers. */
static void name_driver(pk_device_info *device)
{
    char version[32], api[sizeof device->driver];
    pk_nvml_driver(version, sizeof version);
    snprintf(api, sizeof api, "%s", device->driver);
    if (version[0])
        snprintf(device->driver, sizeof device->driver, "%s, CUDA %.16s", version, api);
}

pk_status pk_machine_open(pk_report *report, void **stream)
{
    pk_watchdog_progress("opening the device");
    pk_status status = pk_device_open(&report->device);
    if (status == PK_OK)
        status = pk_device_stream_create(stream);
    if (status != PK_OK)
        return status;
    pk_launch_register_stream(*stream);
    if (pk_nvml_open(report->device.pci_bus_id))
        name_driver(&report->device);
    pk_nvml_read(&report->clocks_before);
    return PK_OK;
}

void pk_machine_close(void *stream)
{
    pk_nvml_close();
    pk_limits_free();
    pk_launch_forget_streams();
    if (stream)
        pk_device_stream_destroy(stream);
    pk_device_close();
}
