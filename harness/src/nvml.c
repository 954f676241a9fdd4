/* Clocks, temperature, power and throttling of an NVIDIA device through NVML, which comes with the driver: loaded at
 * run time, with the few declarations that are used here (NVML API reference), so that neither building nor running
 * needs it. */
#include <dlfcn.h>
#include <string.h>

#include "pk/host.h"
#include "throttle.h"
#include "tools.h"

typedef int (*nvml_plain)(void);
typedef int (*nvml_text)(char *text, unsigned bytes);
typedef int (*nvml_find)(const char *pci_bus_id, void **device);
typedef int (*nvml_read_of_kind)(void *device, int kind, unsigned *value);
typedef int (*nvml_read)(void *device, unsigned *value);
typedef int (*nvml_read_mask)(void *device, unsigned long long *value);

enum { NVML_SUCCESS = 0, NVML_CLOCK_SM = 1, NVML_CLOCK_MEMORY = 2, NVML_TEMPERATURE_GPU = 0 };

/* Opened once; NULL functions where the library lacks them. */
static struct {
    void *library, *device;
    nvml_plain init, shutdown;
    nvml_text driver;
    nvml_find find;
    nvml_read_of_kind clock, temperature;
    nvml_read power;
    nvml_read_mask reasons;
} nvml;

/* POSIX promises that a function's address fits in dlsym's void *, ISO C does not: hence the copy. */
static bool find_symbol(void *function, size_t bytes, const char *name)
{
    void *symbol = dlsym(nvml.library, name);
    memcpy(function, &symbol, bytes);
    return symbol != NULL;
}

#define FIND(member, name) find_symbol(&nvml.member, sizeof nvml.member, name)

static bool load(void)
{
    if (nvml.library)
        return true;
    nvml.library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!nvml.library)
        return false;
    const bool needed =
        FIND(init, "nvmlInit_v2") && FIND(shutdown, "nvmlShutdown") && FIND(find, "nvmlDeviceGetHandleByPciBusId_v2");
    if (!needed) {
        (void)dlclose(nvml.library);
        memset(&nvml, 0, sizeof nvml);
        return false;
    }
    (void)FIND(driver, "nvmlSystemGetDriverVersion");
    (void)FIND(clock, "nvmlDeviceGetClockInfo");
    (void)FIND(temperature, "nvmlDeviceGetTemperature");
    (void)FIND(power, "nvmlDeviceGetPowerUsage");
    if (!FIND(reasons, "nvmlDeviceGetCurrentClocksEventReasons")) /* its name before driver 535 */
        (void)FIND(reasons, "nvmlDeviceGetCurrentClocksThrottleReasons");
    return true;
}

bool pk_nvml_present(void)
{
    return load();
}

bool pk_nvml_open(const char *pci_bus_id)
{
    if (nvml.device)
        return true;
    if (!pci_bus_id || !*pci_bus_id || !load() || nvml.init() != NVML_SUCCESS)
        return false;
    if (nvml.find(pci_bus_id, &nvml.device) == NVML_SUCCESS && nvml.device)
        return true;
    nvml.device = NULL;
    (void)nvml.shutdown();
    return false;
}

void pk_nvml_driver(char *version, size_t bytes)
{
    if (!nvml.device || !nvml.driver || nvml.driver(version, (unsigned)bytes) != NVML_SUCCESS)
        *version = '\0';
}

static int clock_mhz(int kind)
{
    unsigned mhz;
    return nvml.clock && nvml.clock(nvml.device, kind, &mhz) == NVML_SUCCESS ? (int)mhz : -1;
}

void pk_nvml_read(pk_clock_state *state)
{
    unsigned value;
    unsigned long long mask;
    *state = (pk_clock_state){.sm_mhz = -1, .memory_mhz = -1, .temperature_c = -1, .power_w = -1};
    if (!nvml.device)
        return;
    state->known = true;
    state->sm_mhz = clock_mhz(NVML_CLOCK_SM);
    state->memory_mhz = clock_mhz(NVML_CLOCK_MEMORY);
    if (nvml.temperature && nvml.temperature(nvml.device, NVML_TEMPERATURE_GPU, &value) == NVML_SUCCESS)
        state->temperature_c = (int)value;
    if (nvml.power && nvml.power(nvml.device, &value) == NVML_SUCCESS) /* milliwatts */
        state->power_w = (int)((value + 500) / 1000);
    if (nvml.reasons && nvml.reasons(nvml.device, &mask) == NVML_SUCCESS)
        state->throttle_reasons = mask;
}

bool pk_nvml_throttled(const pk_clock_state *state)
{
    return state->known && (state->throttle_reasons & PK_CLOCKS_THROTTLED) != 0;
}

void pk_nvml_close(void)
{
    if (!nvml.device)
        return;
    (void)nvml.shutdown();
    nvml.device = NULL;
}

const char *pk_throttle_word(uint64_t bit)
{
    switch (bit) {
    case PK_CLOCKS_IDLE:
        return "idle";
    case PK_CLOCKS_APPLICATION_SETTING:
        return "application_setting";
    case PK_CLOCKS_POWER_CAP:
        return "power_cap";
    case PK_CLOCKS_HARDWARE_SLOWDOWN:
        return "hardware_slowdown";
    case PK_CLOCKS_SYNC_BOOST:
        return "sync_boost";
    case PK_CLOCKS_SOFTWARE_THERMAL:
        return "software_thermal";
    case PK_CLOCKS_HARDWARE_THERMAL:
        return "hardware_thermal";
    case PK_CLOCKS_POWER_BRAKE:
        return "power_brake";
    case PK_CLOCKS_DISPLAY_SETTING:
        return "display_setting";
    default:
        return NULL;
    }
}
