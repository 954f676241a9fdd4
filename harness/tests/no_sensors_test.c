/* Where the libraries are not to be had, asking for them does no harm. The build makes this program find libraries that
 * have the right names and none of the functions. */
#include <criterion/criterion.h>

#include "../src/tools.h"
#include "pk/host.h"

Test(no_sensors, nothing_is_known_and_nothing_breaks)
{
    uint64_t kernels = 0;
    pk_clock_state state;
    cr_assert_not(pk_nvml_present());
    cr_assert_not(pk_nvml_open("0000:1b:00.0"));
    pk_nvml_read(&state);
    cr_assert_not(state.known);
    pk_nvml_close();
    cr_assert_not(pk_cupti_present());
    cr_assert_not(pk_cupti_start());
    cr_assert_not(pk_cupti_stop(&kernels));
}
