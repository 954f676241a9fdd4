/* NVML and CUPTI through libraries that stand in for them, and that the build makes this program find first. Each test
 * is a process of its own. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../src/recorder.h"
#include "../src/throttle.h"
#include "../src/tools.h"
#include "pk/host.h"
#include "pk_device.h"

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

Test(cupti, a_recording_that_is_refused_half_way_is_undone)
{
    static const pk_launch_site site = {"axpy_step", __FILE__, 31};
    static const unsigned grid[3] = {4, 1, 1}, block[3] = {256, 2, 1};
    uint64_t kernels;
    pk_trace trace;
    setenv("FAKE_CUPTI", "half", 1);
    pk_trace_init(&trace, 100);
    pk_record_begin(&trace); /* calls may be recorded, kernels not: it falls back on the launch macro */
    cr_assert_str_eq(trace.source, "the launch macro");
    cr_assert(strstr(trace.missing, "no CUPTI"));
    pk_launch_begin(&site, grid, block, &trace);
    pk_launch_end();
    pk_launch_replay_begin(&trace);
    pk_launch_end();
    pk_record_token(&trace, 0);
    pk_record_repetition_ended(&trace);
    pk_record_end(&trace);
    pk_launch_begin(&site, grid, block, &trace); /* nobody looks any more */
    pk_launch_end();
    cr_assert_eq(trace.count, (size_t)3);
    cr_assert(trace.events[0].kind == PK_TRACE_LAUNCH && trace.events[0].grid[0] == 4);
    cr_assert_str_eq(trace.events[0].name, "axpy_step");
    cr_assert(trace.events[0].begin_ns >= trace.begin_ns && trace.events[0].begin_ns <= trace.events[0].end_ns);
    cr_assert_eq(trace.events[1].kind, PK_TRACE_REPLAY);
    cr_assert_eq(trace.events[2].kind, PK_TRACE_TOKEN);
    pk_trace_free(&trace);
    setenv("FAKE_CUPTI", "", 1);
    cr_assert(pk_cupti_start());
    cr_assert(pk_cupti_stop(&kernels));
    cr_assert_eq(kernels, (uint64_t)6);
}

/* A repetition from 10 us to 40 us, with a token at its end, by the library that stands in. */
static void record(pk_trace *trace, const char *mode)
{
    setenv("FAKE_CUPTI", mode, 1);
    pk_trace_init(trace, 100);
    pk_record_begin(trace);
    cr_assert_str_eq(trace->source, "CUPTI");
    cr_assert_eq(trace->begin_ns, (uint64_t)10000);
    pk_record_repetition_ended(trace);
    cr_assert_eq(trace->end_ns, (uint64_t)40000);
    pk_record_end(trace);
}

static const pk_trace_event *find(const pk_trace *trace, pk_trace_kind kind, const char *name, size_t number)
{
    for (size_t i = 0; i < trace->count; i++)
        if (trace->events[i].kind == kind && strcmp(trace->events[i].name, name) == 0 && number-- == 0)
            return &trace->events[i];
    return NULL;
}

static size_t count(const pk_trace *trace, pk_trace_kind kind)
{
    size_t found = 0;
    for (size_t i = 0; i < trace->count; i++)
        found += trace->events[i].kind == kind;
    return found;
}

Test(cupti, traces_calls_kernels_nodes_copies_and_fills)
{
    pk_trace trace;
    record(&trace, "");
    cr_assert_str_eq(trace.missing, "");
    cr_assert(trace.left_out == 0 && trace.lost == 0 && !trace.lost_more);
    cr_assert_eq(count(&trace, PK_TRACE_LAUNCH), (size_t)2); /* both buffers hold the same */
    cr_assert_eq(count(&trace, PK_TRACE_REPLAY), (size_t)2);
    cr_assert_eq(count(&trace, PK_TRACE_WAIT), (size_t)2);
    cr_assert_eq(count(&trace, PK_TRACE_KERNEL), (size_t)6);
    cr_assert_eq(count(&trace, PK_TRACE_FILL), (size_t)2);
    cr_assert_eq(trace.count, (size_t)18); /* what only asks, a part of a launch and the other kind are not there */
    const pk_trace_event *launch = find(&trace, PK_TRACE_LAUNCH, "cudaLaunchKernel", 0);
    cr_assert(launch && launch->begin_ns == 11000 && launch->end_ns == 13000);
    cr_assert(launch->call == 1 && launch->thread == 7);
    const pk_trace_event *kernel = find(&trace, PK_TRACE_KERNEL, "axpy_step", 0);
    cr_assert(kernel && kernel->begin_ns == 15000 && kernel->end_ns == 16000 && kernel->call == 1);
    cr_assert(kernel->stream == 13 && kernel->grid[0] == 4 && kernel->grid[1] == 2 && kernel->block[0] == 256);
    cr_assert(kernel->graph == 0 && kernel->node == 0);
    const pk_trace_event *node = find(&trace, PK_TRACE_KERNEL, "tile<64>", 0);
    cr_assert(node && node->call == 3 && node->graph == 3 && node->node == 10);
    const pk_trace_event *copy = find(&trace, PK_TRACE_COPY, "device to host", 0);
    cr_assert(copy && copy->bytes == 4000 && copy->call == 4 && copy->stream == 13);
    const pk_trace_event *fill = find(&trace, PK_TRACE_FILL, "", 0);
    cr_assert(fill && fill->bytes == 80 && fill->node == 12);
    cr_assert(fill->lane > 0, "it overlaps a kernel of its stream");
    cr_assert(find(&trace, PK_TRACE_REPLAY, "cudaGraphLaunch", 0));
    cr_assert(find(&trace, PK_TRACE_COPY_CALL, "cudaMemcpyAsync", 0));
    cr_assert(find(&trace, PK_TRACE_WAIT, "cudaStreamSynchronize", 0));
    pk_trace_free(&trace);
}

Test(cupti, nodes_are_paired_with_graph_launches_where_their_numbers_cannot_be_true)
{
    pk_trace trace;
    record(&trace, "misnumbered"); /* kernels of graphs bear 9, which no call has */
    cr_assert_eq(trace.unpaired, (uint64_t)0);
    const pk_trace_event *node = find(&trace, PK_TRACE_KERNEL, "tile<64>", 0);
    const pk_trace_event *first = find(&trace, PK_TRACE_REPLAY, "cudaGraphLaunch", 0);
    const pk_trace_event *second = find(&trace, PK_TRACE_REPLAY, "cudaGraphLaunch", 1); /* at the same time */
    cr_assert(node && node->node == 10 && node->call > 9);
    cr_assert(first && second && (node->call == first->call || node->call == second->call));
    const pk_trace_event *kernel = find(&trace, PK_TRACE_KERNEL, "axpy_step", 0);
    cr_assert(kernel && kernel->call == 1);
    pk_trace_free(&trace);
}

Test(cupti, a_trace_says_how_much_was_lost)
{
    pk_trace trace;
    record(&trace, "lossy");
    cr_assert_eq(trace.lost, (uint64_t)2);
    pk_trace_free(&trace);
}

Test(cupti, work_of_unknown_time_is_lost)
{
    pk_trace trace;
    record(&trace, "timeless");
    cr_assert_eq(trace.lost, (uint64_t)6);
    cr_assert_eq(count(&trace, PK_TRACE_KERNEL), (size_t)0);
    pk_trace_free(&trace);
}
