/* pk_calibrate: what this device takes for launches, graphs, barriers, words, loads and copies, as a file. */
#include "calibrate.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device_limits.h"
#include "machine.h"
#include "pk/host.h"
#include "print.h"
#include "watchdog.h"

/* ---- what measurements share ---- */

int pk_calibrate_times(const pk_calibrator *c, int on_gpu)
{
    return c->device->is_gpu ? on_gpu : on_gpu / 10;
}

static pk_status timed(const pk_calibrator *c, pk_repeated *run, void *context, int times, double *us)
{
    pk_status status = pk_device_event_record(c->begin, c->stream);
    if (status == PK_OK)
        status = run(c, context, times);
    if (status == PK_OK)
        status = pk_device_event_record(c->end, c->stream);
    if (status == PK_OK)
        status = pk_device_event_synchronize(c->end);
    return status == PK_OK ? pk_device_event_elapsed_us(us, c->begin, c->end) : status;
}

pk_status pk_calibrate_slope(const pk_calibrator *c, pk_repeated *run, void *context, int few, int many,
                             pk_samples *samples)
{
    pk_status status = PK_OK;
    for (int round = -1; round < c->rounds && status == PK_OK; round++) {
        double short_us = 0, long_us = 0;
        status = timed(c, run, context, few, &short_us);
        if (status == PK_OK)
            status = timed(c, run, context, many, &long_us);
        if (status == PK_OK && round >= 0)
            status = pk_samples_add(samples, (long_us - short_us) / (many - few));
    }
    return status;
}

pk_status pk_calibrate_rate(const pk_calibrator *c, pk_repeated *run, void *context, double bytes, pk_samples *samples)
{
    pk_status status = PK_OK;
    for (int round = -1; round < c->rounds && status == PK_OK; round++) {
        double us = 0;
        status = timed(c, run, context, 1, &us);
        if (status == PK_OK && round >= 0)
            status = pk_samples_add(samples, bytes / us);
    }
    return status;
}

pk_status pk_calibrate_demand(const pk_calibrator *c, const unsigned *counter, unsigned want, const char *what)
{
    unsigned got = 0;
    pk_status status = pk_device_download(&got, counter, sizeof got, c->stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(c->stream);
    if (status != PK_OK || got == want)
        return status;
    return pk_fail(PK_WRONG, "%s: %u, and must be %u", what, got, want);
}

/* ---- the figures ---- */

typedef struct measurement {
    const char *name, *unit, *what;
    unsigned needs;
    double scale; /* from what is measured, us or bytes a microsecond, to the unit */
    pk_calibration_measure *measure;
} measurement;

static const double us = 1, gb_per_s = 1e-3;

static const measurement measurements[] = {
    {"sync_us", "us", "a wait for a stream with nothing in it", 0, us, pk_calibrate_sync},
    {"graph_submit_us", "us", "the call that launches a graph of 100 nodes", PK_NEED_GRAPH, us,
     pk_calibrate_graph_submit},
    {"graph_launch_sync_us", "us", "a graph of one node launched, and a wait", PK_NEED_GRAPH, us,
     pk_calibrate_graph_launch_sync},
    {"graph_node_us", "us", "a further node of a chain in a graph", PK_NEED_GRAPH, us, pk_calibrate_graph_node},
    {"graph_pdl_node_us", "us", "the same with programmatic edges", PK_NEED_GRAPH | PK_NEED_PDL, us,
     pk_calibrate_graph_pdl_node},
    {"pdl_gap_us", "us", "from one queued kernel to the next, by PDL", PK_NEED_PDL, us, pk_calibrate_pdl_gap},
    {"grid_sync_us", "us", "the grid's barrier, a block a processor", PK_NEED_COOPERATIVE, us, pk_calibrate_grid_sync},
    {"barrier_us", "us", "the same barrier by hand", PK_NEED_COOPERATIVE, us, pk_calibrate_barrier},
    {"word_round_trip_us", "us", "a word to a running kernel, and its answer", PK_NEED_MAPPED_HOST, us,
     pk_calibrate_word},
    {"latency_us", "us", "a load from memory that waits for the one before", 0, us, pk_calibrate_latency},
    {"l2_latency_us", "us", "such a load from the L2", 0, us, pk_calibrate_l2_latency},
    {"copy_gb_per_s", "GB/s", "a copy on the device, read and written bytes", 0, gb_per_s, pk_calibrate_copy},
    {"l2_read_gb_per_s", "GB/s", "read from the L2", 0, gb_per_s, pk_calibrate_l2_read},
    {"to_device_gb_per_s", "GB/s", "copied from pinned host memory", PK_NEED_MAPPED_HOST, gb_per_s,
     pk_calibrate_to_device},
    {"to_host_gb_per_s", "GB/s", "copied to pinned host memory", PK_NEED_MAPPED_HOST, gb_per_s, pk_calibrate_to_host},
};
enum { FIGURES = sizeof measurements / sizeof measurements[0] };

/* A difference of two times on a machine that does something else may be anything. */
static pk_status judge(const pk_summary *summary)
{
    if (summary->count && summary->median > 0)
        return PK_OK;
    return pk_fail(PK_SKIP, "the machine was too unsteady: half of the samples are not above 0; calibrate again");
}

static pk_status measure_one(const pk_calibrator *c, const measurement *m, pk_calibrated *figure)
{
    pk_samples samples = {NULL, 0, 0};
    char lacks[256];
    if (pk_device_lacks(c->device, m->needs, lacks, sizeof lacks))
        return pk_fail(PK_SKIP, "%s", lacks);
    if (m->needs & c->device->emulated)
        return pk_fail(PK_SKIP, "emulated here: its times mean nothing");
    pk_status status = m->measure(c, &samples);
    for (size_t i = 0; i < samples.count; i++)
        samples.values[i] *= m->scale;
    pk_summary summary = pk_summarise(samples.values, samples.count);
    if (status == PK_OK)
        status = judge(&summary);
    if (status == PK_OK)
        figure->summary = summary;
    pk_samples_free(&samples);
    return status;
}

/* A skip is no failure, and one wrong figure does not take the others with it; a fault ends all. */
static pk_status measure_all(const pk_calibrator *c, pk_calibrated *figures, pk_progress *progress)
{
    pk_status worst = PK_OK;
    for (size_t i = 0; i < FIGURES && !pk_interrupted(); i++) {
        const measurement *m = &measurements[i];
        pk_calibrated *figure = &figures[i];
        *figure = (pk_calibrated){.name = m->name, .unit = m->unit, .what = m->what};
        figure->summary = pk_summarise(NULL, 0);
        pk_watchdog_progress(m->name);
        pk_progress_step(progress, i, m->name);
        figure->status = measure_one(c, m, figure);
        if (figure->status != PK_OK)
            figure->reason = strdup(pk_error_text());
        if (figure->status == PK_FAULT)
            return PK_FAULT;
        if (figure->status != PK_SKIP)
            worst = pk_status_worse(worst, figure->status);
    }
    return pk_interrupted() ? pk_fail(PK_INTERRUPTED, "interrupted: nothing was written") : worst;
}

/* ---- the program ---- */

typedef struct request {
    const char *out, *json;
    bool quick;
} request;

static pk_report report;

static void give_up(pk_status why, const char *text)
{
    char line[3072];
    (void)snprintf(line, sizeof line, "calibrate: %s: %s; nothing was written", pk_status_word(why), text);
    pk_print_wrapped(stderr, line);
    _exit(pk_exit_code(why));
}

static void describe(char *text, size_t bytes)
{
    if (bytes)
        *text = '\0';
}

static pk_status read_arguments(request *asked, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        if (!strcmp(argument, "--quick"))
            asked->quick = true;
        else if (!strncmp(argument, "--out=", 6))
            asked->out = argument + 6;
        else if (!strncmp(argument, "--json=", 7))
            asked->json = argument + 7;
        else
            return pk_fail(PK_USAGE, "unknown argument '%s'; pk_calibrate takes --out=DIR, --json=FILE and --quick",
                           argument);
    }
    if (!asked->out == !asked->json)
        return pk_fail(PK_USAGE, "say where the calibration goes: --out=DIR or --json=FILE");
    return PK_OK;
}

/* Where it goes, and whether it can be written there: asked before anything is measured. */
static pk_status place(const request *asked, char *folder, size_t folder_bytes, char *path, size_t bytes)
{
    if (asked->json) {
        (void)snprintf(path, bytes, "%s", asked->json);
        return pk_file_writable(path);
    }
    const pk_status status = pk_claim_folder(folder, folder_bytes, asked->out, &report);
    (void)snprintf(path, bytes, "%s/calibration.json", folder);
    return status;
}

static pk_status measure(pk_calibrator *c, pk_calibrated *figures)
{
    pk_progress *progress = pk_progress_begin(stderr, "calibrating", FIGURES);
    pk_watchdog_progress("the limits of every run");
    pk_status status = pk_device_event_create(&c->begin);
    if (status == PK_OK)
        status = pk_device_event_create(&c->end);
    if (status == PK_OK)
        status = pk_calibrate_launch_order(c);
    if (status == PK_OK)
        status = pk_measure_limits(c->device, c->stream, c->quick, &report);
    if (status == PK_OK)
        status = measure_all(c, figures, progress);
    pk_progress_end(progress);
    pk_device_event_destroy(c->begin);
    pk_device_event_destroy(c->end);
    pk_nvml_read(&report.clocks_after);
    if (pk_nvml_throttled(&report.clocks_before) || pk_nvml_throttled(&report.clocks_after))
        report.note = strdup("the device was throttled, and its figures may be too slow; let it cool down, and "
                             "calibrate again (docs/measuring.md#throttling)");
    return status;
}

static void say(const char *what, const char *text)
{
    char line[3072];
    (void)snprintf(line, sizeof line, "calibrate: %s%s", what, text);
    pk_print_wrapped(stderr, line);
}

/* Wrong figures are said, and written with the others. What ended the run before its end leaves no file. */
static pk_status finish(pk_status status, const pk_calibrated *figures, const char *path)
{
    report.status = status;
    if (status != PK_OK && (status != PK_WRONG || !figures[0].name)) {
        say("", pk_error_text());
        return status;
    }
    for (size_t i = 0; i < FIGURES; i++)
        if (figures[i].status == PK_WRONG)
            say("wrong: ", figures[i].reason);
    const pk_status written = pk_calibration_write_json(&report, figures, FIGURES, path);
    if (written == PK_OK)
        printf("wrote %s\n", path);
    else
        say("", pk_error_text());
    return pk_status_worse(status, written);
}

static pk_status run(const request *asked)
{
    enum { ROUNDS = 20, QUICK_ROUNDS = 5 };
    void *stream = NULL;
    char folder[600] = "", path[700] = "";
    static pk_calibrated figures[FIGURES];
    pk_status status = pk_machine_open(&report, &stream);
    pk_calibrator c = {.device = &report.device,
                       .stream = stream,
                       .rounds = asked->quick ? QUICK_ROUNDS : ROUNDS,
                       .quick = asked->quick};
    if (status == PK_OK)
        status = place(asked, folder, sizeof folder, path, sizeof path);
    if (status == PK_OK)
        status = finish(measure(&c, figures), figures, path);
    else
        say("", pk_error_text());
    if (folder[0])
        (void)rmdir(folder); /* a run that ended without a file leaves none behind */
    pk_watchdog_progress("releasing the device");
    pk_machine_close(stream);
    for (size_t i = 0; i < FIGURES; i++)
        free(figures[i].reason);
    return status;
}

static int calibrate(int argc, char **argv)
{
    enum { QUIET_SECONDS = 60 };
    request asked = {NULL, NULL, false};
    const pk_watchdog_calls calls = {.give_up = give_up, .describe = describe};
    pk_status status = read_arguments(&asked, argc, argv);
    if (status == PK_OK) {
        pk_machine_describe_program(&report, argc, argv);
        report.seed = 1;
        report.quick = asked.quick;
        status = pk_watchdog_start(QUIET_SECONDS, &calls); /* before the device: its threads inherit blocked signals */
    }
    if (status != PK_OK) {
        fprintf(stderr, "calibrate: %s\n", pk_error_text());
        return pk_exit_code(status);
    }
    status = run(&asked);
    pk_watchdog_stop();
    pk_report_free(&report);
    return pk_exit_code(status);
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    return pk_output_ended("calibrate", calibrate(argc, argv));
}
