/* NVML and CUPTI through libraries that stand in for them, and that the build makes this program find first. Each test
 * is a process of its own. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../src/throttle.h"
#include "../src/tools.h"
#include "pk/host.h"

static const char bus_id[] = "0000:1b:00.0";

Test(nvml, reads_the_device)
{
    pk_clock_state state;
    cr_assert(pk_nvml_present());
    cr_assert(pk_nvml_open(bus_id));
    cr_assert(pk_nvml_open(bus_id)); /* open already */
    char driver[32], short_driver[4];
    pk_nvml_driver(driver, sizeof driver);
    cr_assert_str_eq(driver, "580.65.06");
    pk_nvml_driver(short_driver, sizeof short_driver); /* no room for it: nothing, not a part of it */
    cr_assert_str_eq(short_driver, "");
    pk_nvml_read(&state);
    cr_assert(state.known);
    cr_assert_eq(state.sm_mhz, 1980);
    cr_assert_eq(state.memory_mhz, 3201);
    cr_assert_eq(state.temperature_c, 41);
    cr_assert_eq(state.power_w, 124);
    cr_assert_eq(state.throttle_reasons, (uint64_t)0x21);
    cr_assert(pk_nvml_throttled(&state));
    pk_nvml_close();
    pk_nvml_close();
    pk_nvml_read(&state);
    cr_assert_not(state.known);
    cr_assert(pk_nvml_open(bus_id));
}

static void assert_unknown(void)
{
    pk_clock_state state = {.known = true};
    char driver[32] = "?";
    pk_nvml_driver(driver, sizeof driver);
    cr_assert_str_eq(driver, "");
    pk_nvml_read(&state);
    cr_assert_not(state.known);
    cr_assert(state.sm_mhz < 0 && state.memory_mhz < 0 && state.temperature_c < 0 && state.power_w < 0);
    cr_assert_not(pk_nvml_throttled(&state));
    pk_nvml_close();
}

Test(nvml, no_driver)
{
    setenv("FAKE_NVML", "dead", 1);
    cr_assert_not(pk_nvml_open(bus_id));
    assert_unknown();
}

Test(nvml, no_such_device)
{
    cr_assert_not(pk_nvml_open("0000:ff:00.0"));
    cr_assert_not(pk_nvml_open(""));
    cr_assert_not(pk_nvml_open(NULL));
    assert_unknown();
}

Test(nvml, a_device_that_tells_nothing)
{
    pk_clock_state state;
    setenv("FAKE_NVML", "blind", 1);
    cr_assert(pk_nvml_open(bus_id));
    pk_nvml_read(&state);
    cr_assert(state.known);
    cr_assert(state.sm_mhz < 0 && state.memory_mhz < 0 && state.temperature_c < 0 && state.power_w < 0);
    cr_assert_not(pk_nvml_throttled(&state));
}

Test(nvml, what_throttling_is)
{
    static const struct {
        uint64_t mask;
        bool throttled;
    } known[] = {{0, false},
                 {PK_CLOCKS_IDLE, false},
                 {PK_CLOCKS_APPLICATION_SETTING, false},
                 {PK_CLOCKS_SYNC_BOOST, false},
                 {PK_CLOCKS_DISPLAY_SETTING, false},
                 {PK_CLOCKS_POWER_CAP, true},
                 {PK_CLOCKS_HARDWARE_SLOWDOWN, true},
                 {PK_CLOCKS_SOFTWARE_THERMAL, true},
                 {PK_CLOCKS_HARDWARE_THERMAL, true},
                 {PK_CLOCKS_POWER_BRAKE, true},
                 {PK_CLOCKS_IDLE | PK_CLOCKS_POWER_CAP, true}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const pk_clock_state state = {.throttle_reasons = known[i].mask, .known = true};
        cr_assert_eq(pk_nvml_throttled(&state), known[i].throttled, "mask %llx", (unsigned long long)known[i].mask);
    }
}

Test(cupti, counts_kernels_and_nothing_else)
{
    uint64_t kernels = 0;
    cr_assert_not(pk_cupti_stop(&kernels));
    cr_assert(pk_cupti_start());
    cr_assert_not(pk_cupti_start()); /* started already */
    cr_assert(pk_cupti_stop(&kernels));
    cr_assert_eq(kernels, (uint64_t)6);
    cr_assert(pk_cupti_start());
    cr_assert(pk_cupti_stop(&kernels));
    cr_assert_eq(kernels, (uint64_t)6); /* from 0 again */
}

Test(cupti, another_profiler_holds_it)
{
    uint64_t kernels;
    setenv("FAKE_CUPTI", "busy", 1);
    cr_assert_not(pk_cupti_start());
    cr_assert_not(pk_cupti_stop(&kernels));
}

Test(cupti, a_count_with_lost_records_is_no_count)
{
    uint64_t kernels;
    setenv("FAKE_CUPTI", "lossy", 1);
    cr_assert(pk_cupti_start());
    cr_assert_not(pk_cupti_stop(&kernels));
}
