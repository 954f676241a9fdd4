/* A whole run of a lab program: device, limits, points, analysis, targets, files, exit code. */
#include "session.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "analysis.h"
#include "bench.h"
#include "device_limits.h"
#include "machine.h"
#include "measure.h"
#include "options.h"
#include "peers.h"
#include "pk/host.h"
#include "pk/program.h"
#include "print.h"
#include "run.h"
#include "runner.h"
#include "trace_json.h"
#include "watchdog.h"

/* Sweeps hold hundreds of points: each has a sixth of the default point's time, and fewer samples are kept.
 *
 * The host's launch cost wanders by 10 to 20% within a second (seen on an H200's host). So the points along the first
 * axis are measured in many short passes, a round each: then such a spell falls on all of them alike, and what is
 * fitted along that axis does not take it for a property of its points. */
static const double SWEEP_TIME_SHARE = 1.0 / 6;
enum { SWEEP_FEWEST_PASSES = 4, SWEEP_MOST_PASSES = 40, INSTRUMENT_EVERY_PASS = 4 };

typedef struct session {
    pk_report report;
    pk_options options;
    void *stream;
    char folder[512];
    size_t default_results; /* results of the first point, the default knobs */
    size_t current;         /* result in work */
    bool stuck;             /* a kernel does not end: nothing that the device holds can be released */
    char trace_path[600];   /* "": none is asked for */
    pk_trace_set traces;
    bool traced;   /* to the end */
    void *reserve; /* memory held back, so that what was measured can be told when there is no more */
} session;

enum { RESERVE_BYTES = 4 << 20 }; /* some hundred results as JSON; never touched, it takes address space only */

static session the_session; /* one a process; the watchdog's thread must reach it */

/* ---- files ---- */

typedef struct output {
    pk_status (*write)(const pk_report *, const char *);
    const char *path; /* NULL: not asked for */
} output;

static void release_reserve(session *s)
{
    free(s->reserve);
    s->reserve = NULL;
}

static pk_status write_results(session *s)
{
    const pk_options *options = &s->options;
    char json[600], csv[600], failure[2048] = "";
    snprintf(json, sizeof json, "%s/%s.json", s->folder, s->report.lab->id);
    snprintf(csv, sizeof csv, "%s/%s.csv", s->folder, s->report.lab->id);
    const output outputs[] = {{pk_report_write_json, s->folder[0] ? json : NULL},
                              {pk_report_write_csv, s->folder[0] ? csv : NULL},
                              {pk_report_write_json, options->json},
                              {pk_report_write_csv, options->csv}};
    pk_status first = PK_OK;
    for (size_t i = 0; i < PK_COUNT(outputs); i++) { /* one that fails does not take the others with it */
        const pk_status status = outputs[i].path ? outputs[i].write(&s->report, outputs[i].path) : PK_OK;
        if (status == PK_OK && outputs[i].path)
            printf("wrote %s\n", outputs[i].path);
        if (status == PK_OK || first != PK_OK)
            continue;
        first = status;
        snprintf(failure, sizeof failure, "%s", pk_error_text());
    }
    return first == PK_OK ? PK_OK : pk_fail(first, "%s", failure);
}

/* A result that was not verified to its end has not passed, when a run ends before its time. */
static void mark_unfinished(pk_report *report, pk_status why)
{
    for (size_t i = 0; i < report->result_count; i++) {
        pk_result *result = &report->results[i];
        if (result->status != PK_OK || (result->before.done && result->fresh.done))
            continue;
        result->status = why;
        result->reason = strdup(result->before.done ? "right so far; the run ended before it was verified in full"
                                                    : "not verified: the run ended before");
    }
}

/* ---- the end ---- */

/* Tells who started this program that it has come to the end of its report: a program that ends otherwise, by a call
 * of exit in a variant for instance, has not. The file descriptor is named in PK_REPORTED_FD. */
static void say_reported(void)
{
    const char *text = getenv("PK_REPORTED_FD");
    char *end;
    const long fd = text ? strtol(text, &end, 10) : -1;
    if (fd > STDERR_FILENO && *end == '\0')
        (void)!write((int)fd, "r", 1);
}

/* Called on the watchdog's thread while the main thread waits for a device that does not answer: the report stands
 * still, so it is written as it is, and the process ends without asking the device for anything more. */
static void give_up(pk_status why, const char *text)
{
    session *s = &the_session;
    char line[3072];
    release_reserve(s);
    snprintf(line, sizeof line, "%s: %s: %s", s->report.lab->id, pk_status_word(why), text);
    pk_print_wrapped(stderr, line);
    s->report.status = why;
    s->report.note = strdup(text);
    if (s->current < s->report.result_count) {
        pk_result *result = &s->report.results[s->current];
        if (result->status == PK_OK) {
            result->status = why;
            result->reason = strdup(text);
        }
    }
    mark_unfinished(&s->report, PK_INTERRUPTED);
    if (s->report.result_count > 0)
        pk_print_report(&s->report, s->default_results ? s->default_results : s->report.result_count, false);
    if (write_results(s) != PK_OK)
        fprintf(stderr, "%s\n", pk_error_text());
    fflush(stdout);
    say_reported();
    _exit(pk_exit_code(why));
}

/* ---- points ---- */

static pk_status run_bench(session *s, pk_bench_request *request, const pk_measure_plan *plan)
{
    const pk_options *options = &s->options;
    request->report = &s->report;
    request->variants = options->variants;
    request->seed = options->seed;
    request->stream = s->stream;
    request->plan = options->timing ? plan : NULL;
    request->print_plan = options->print_plan;
    request->current = &s->current;
    request->stuck = &s->stuck;
    pk_range_push(s->report.lab->id);
    pk_status status = pk_bench_run(request);
    pk_range_pop();
    return status;
}

/* In two halves when there is a sweep between them, so that one slow spell of the machine does not decide. */
static pk_status run_default_point(session *s, pk_cache_state cache, size_t pass, size_t passes)
{
    const bool gpu = s->report.device.is_gpu;
    pk_measure_plan plan = {.time_limit_s = s->options.time_limit_s / (double)passes,
                            .min_rounds = gpu ? 10 : 6, /* of five values no interval of the median holds 95% */
                            .max_rounds = 1000,
                            .instrument_every = 4,
                            .warm_up_repetitions = 3,
                            .warm_up_us = 20000, /* clocks ramp up within milliseconds of load */
                            .settle = 0.002,
                            .keep_tokens = true,
                            .cache = cache,
                            .seed = s->options.seed};
    pk_bench_request request = {.knobs = s->options.knobs, .cache = cache, .pass = pass, .passes = passes};
    return run_bench(s, &request, &plan);
}

static pk_status run_sweep_point(session *s, const pk_sweep *of, const long long *knobs, size_t pass, size_t passes,
                                 size_t *first_result)
{
    pk_measure_plan plan = {.min_rounds = 1,
                            .max_rounds = 1,
                            .instrument_every = pass % INSTRUMENT_EVERY_PASS == 0,
                            .warm_up_repetitions = 1,
                            .keep_tokens = of->keep_tokens,
                            .cache = PK_HOT,
                            .seed = s->options.seed};
    if (pass == 0)
        *first_result = s->report.result_count;
    pk_bench_request request = {.knobs = knobs,
                                .only = of->variants,
                                .cache = PK_HOT,
                                .only_passed_before = s->default_results,
                                .of_sweep = true,
                                .pass = pass,
                                .passes = passes,
                                .first_result = *first_result};
    return run_bench(s, &request, &plan);
}

/* The lab's sweeps: shorter ones where time is (the CPU device, --quick). */
static const pk_sweep *lab_sweeps(const session *s, size_t *count)
{
    const pk_lab *lab = s->report.lab;
    bool quick = s->options.sweep == PK_SWEEP_QUICK || s->options.quick ||
                 (s->options.sweep == PK_SWEEP_AUTO && !s->report.device.is_gpu);
    *count = quick ? lab->sweep_quick_count : lab->sweep_count;
    return quick ? lab->sweeps_quick : lab->sweeps;
}

static size_t knob_index(const pk_lab *lab, const char *name)
{
    size_t i = 0;
    while (i < lab->knob_count && strcmp(lab->knobs[i].name, name) != 0)
        i++;
    return i;
}

/* The knobs of sweep point `number`; an axis whose knob was given on the command line stays there, and the points that
 * would repeat it are left out: false. */
static bool sweep_point(const session *s, const pk_sweep_axis *axes, size_t axis_count, size_t number, long long *knobs)
{
    const pk_lab *lab = s->report.lab;
    memcpy(knobs, s->options.knobs, lab->knob_count * sizeof *knobs);
    for (size_t a = 0; a < axis_count; a++) {
        size_t knob = knob_index(lab, axes[a].knob);
        size_t which = number % axes[a].count;
        number /= axes[a].count;
        if (!s->options.knob_given[knob])
            knobs[knob] = axes[a].values[which];
        else if (which > 0)
            return false;
    }
    return true;
}

static bool something_to_sweep(const session *s)
{
    bool ladder = false;
    for (size_t f = 0; f < pk_variant_file_count; f++)
        ladder |= !pk_variant_files[f].is_baseline && pk_variant_files[f].variants().count > 0;
    for (size_t i = 0; i < s->default_results; i++)
        if (s->report.results[i].status == PK_OK && s->report.results[i].is_baseline != ladder)
            return true;
    return false;
}

static void point_label(const session *s, const pk_sweep_axis *axes, size_t axis_count, const long long *knobs,
                        char *label, size_t bytes)
{
    size_t used = 0;
    label[0] = '\0';
    for (size_t a = 0; a < axis_count && used < bytes; a++) {
        size_t knob = knob_index(s->report.lab, axes[a].knob);
        char value[32];
        pk_knob_text(value, sizeof value, &s->report.lab->knobs[knob], knobs[knob]);
        used += (size_t)snprintf(label + used, bytes - used, "%s%s=%s", a ? " " : "", axes[a].knob, value);
    }
}

typedef struct sweep {
    const pk_sweep *of;
    long long *knobs;     /* [lab.knob_count] */
    size_t *first_result; /* [points along the first axis] */
    bool *refused;        /* [points along the first axis]: does not fit here */
    pk_progress *progress;
} sweep;

/* One pass over the points along the first axis, the other axes at `line`; every other pass goes backwards. */
static pk_status run_pass(session *s, sweep *w, size_t line, size_t pass, size_t passes)
{
    const size_t length = w->of->axes[0].count;
    pk_status status = PK_OK;
    for (size_t step = 0; step < length && status == PK_OK && !pk_interrupted(); step++) {
        size_t at = pass % 2 ? length - 1 - step : step;
        char label[128];
        bool there = sweep_point(s, w->of->axes, w->of->axis_count, line * length + at, w->knobs);
        point_label(s, w->of->axes, w->of->axis_count, w->knobs, label, sizeof label);
        if (there && !w->refused[at])
            status = run_sweep_point(s, w->of, w->knobs, pass, passes, &w->first_result[at]);
        if (status == PK_USAGE) { /* this point does not fit here; the others may */
            fprintf(stderr, "%s: skipped: %s\n", label, pk_error_text());
            w->refused[at] = true;
            status = PK_OK;
        }
    }
    return status;
}

/* How many passes fit into the time of `length` points, when the first took `first_s` seconds. */
static size_t passes_for(const session *s, size_t length, double first_s)
{
    double fit = s->options.time_limit_s * SWEEP_TIME_SHARE * (double)length / first_s;
    if (fit < (double)SWEEP_FEWEST_PASSES)
        return SWEEP_FEWEST_PASSES;
    return fit > (double)SWEEP_MOST_PASSES ? SWEEP_MOST_PASSES : (size_t)fit;
}

static pk_status run_line(session *s, sweep *w, size_t line)
{
    const size_t length = w->of->axes[0].count;
    size_t passes = SWEEP_FEWEST_PASSES; /* until the first pass has shown how long one takes */
    double start = pk_now_us();
    pk_status status = PK_OK;
    memset(w->refused, 0, length * sizeof *w->refused);
    for (size_t pass = 0; pass < passes && status == PK_OK && !pk_interrupted(); pass++) {
        status = run_pass(s, w, line, pass, passes);
        if (pass == 0)
            passes = passes_for(s, length, (pk_now_us() - start) / 1e6);
    }
    return status;
}

static pk_status run_lines(session *s, sweep *w)
{
    size_t lines = 1;
    for (size_t a = 1; a < w->of->axis_count; a++)
        lines *= w->of->axes[a].count;
    char what[64];
    snprintf(what, sizeof what, "sweep %s", w->of->name);
    w->progress = pk_progress_begin(stderr, what, lines);
    pk_status status = PK_OK;
    for (size_t line = 0; line < lines && status == PK_OK && !pk_interrupted(); line++) {
        status = run_line(s, w, line);
        char label[128];
        point_label(s, w->of->axes + 1, w->of->axis_count - 1, w->knobs, label, sizeof label);
        pk_progress_step(w->progress, line + 1, label);
    }
    pk_progress_end(w->progress);
    return status;
}

/* Does the lab pose the same problem with the knob at another value: one that the same variants solve? */
static bool is_same_problem(const session *s, size_t knob, long long other, long long *knobs)
{
    const pk_lab *lab = s->report.lab;
    bool same = true;
    for (size_t f = 0; lab->offers && f < pk_variant_file_count; f++) {
        const pk_variant_list list = pk_variant_files[f].variants();
        for (size_t v = 0; v < list.count; v++) {
            pk_bench bench = {.lab = lab, .knobs = s->options.knobs};
            const pk_run run = {.bench = &bench};
            const bool offered = lab->offers(&run, list.variants[v].name);
            memcpy(knobs, s->options.knobs, lab->knob_count * sizeof *knobs);
            knobs[knob] = other;
            bench.knobs = knobs;
            same &= lab->offers(&run, list.variants[v].name) == offered;
        }
    }
    return same;
}

/* --work=prefill keeps to the sweeps of prefill; --model=... is swept at that model. */
static bool is_of_another_problem(const session *s, const sweep *w)
{
    const pk_lab *lab = s->report.lab;
    bool another = false;
    for (size_t a = 0; a < w->of->axis_count; a++) {
        const pk_sweep_axis *axis = &w->of->axes[a];
        const size_t knob = knob_index(lab, axis->knob);
        bool among = false;
        for (size_t i = 0; i < axis->count; i++)
            among |= axis->values[i] == s->options.knobs[knob];
        if (lab->knobs[knob].choices && s->options.knob_given[knob] && !among)
            another |= !is_same_problem(s, knob, axis->values[0], w->knobs);
    }
    return another;
}

/* All its knobs were given: its one point is the default one. */
static bool is_of_default_point(const session *s, const pk_sweep *of)
{
    bool given = true;
    for (size_t a = 0; a < of->axis_count; a++)
        given &= s->options.knob_given[knob_index(s->report.lab, of->axes[a].knob)];
    return given;
}

static pk_status run_sweep(session *s, const pk_sweep *of)
{
    sweep w = {.of = of};
    w.knobs = calloc(s->report.lab->knob_count + 1, sizeof *w.knobs);
    w.first_result = calloc(of->axes[0].count, sizeof *w.first_result);
    w.refused = calloc(of->axes[0].count, sizeof *w.refused);
    pk_status status = PK_OK;
    if (!w.knobs || !w.first_result || !w.refused)
        status = pk_out_of_memory(s->report.lab->id);
    else if (!is_of_default_point(s, of) && !is_of_another_problem(s, &w))
        status = run_lines(s, &w);
    free(w.knobs);
    free(w.first_result);
    free(w.refused);
    return status;
}

static pk_status run_sweeps(session *s)
{
    size_t count;
    const pk_sweep *sweeps = lab_sweeps(s, &count);
    pk_status status = PK_OK;
    for (size_t i = 0; i < count && status == PK_OK && something_to_sweep(s) && !pk_interrupted(); i++)
        status = run_sweep(s, &sweeps[i]);
    return status;
}

/* ---- awkward sizes ---- */

static pk_result *default_result(session *s, const char *variant)
{
    for (size_t i = 0; i < s->default_results; i++)
        if (strcmp(s->report.results[i].variant, variant) == 0)
            return &s->report.results[i];
    return NULL;
}

/* What came of a variant at an awkward size goes to its result at the sizes that were asked for. */
static void carry_over(session *s, const char *where, const pk_result *at)
{
    pk_result *result = default_result(s, at->variant);
    if (!result || result->status != PK_OK || at->status == PK_SKIP)
        return;
    if (at->status == PK_OK) {
        result->awkward_sizes++;
        return;
    }
    char reason[1024];
    snprintf(reason, sizeof reason, "right at the sizes asked for, and %s: %s", where,
             at->reason ? at->reason : pk_status_word(at->status));
    result->status = at->status;
    result->reason = strdup(reason);
}

/* Every variant that passed once more, with other buffers, at one size: not timed, and no result of its own. */
static pk_status verify_again(session *s, const long long *knobs, size_t turn, const char *where)
{
    enum { SHIFT = 256 }; /* memory that was freed and given out again is not where it was */
    const size_t first = s->report.result_count;
    pk_bench_request request = {.knobs = knobs,
                                .cache = PK_HOT,
                                .only_passed_before = s->default_results,
                                .only_among_those = true, /* a size of another of the lab's problems has none of them */
                                .of_sweep = true,
                                .shift = (turn + 1) * SHIFT,
                                .passes = 1};
    const pk_status status = run_bench(s, &request, NULL);
    for (size_t r = first; r < s->report.result_count; r++)
        carry_over(s, where, &s->report.results[r]);
    s->current = SIZE_MAX;
    pk_report_drop(&s->report, first);
    return status;
}

/* At the lab's awkward sizes, from the first to the last, at the first again, and at the sizes that were asked for:
 * what a variant has kept from an earlier size, or from earlier buffers, is old by then. */
static pk_status verify_awkward_sizes(session *s)
{
    const pk_lab *lab = s->report.lab;
    const size_t count = lab->awkward_count, turns = count + (count > 1);
    long long *knobs = calloc(lab->knob_count + 1, sizeof *knobs);
    pk_status status = PK_OK;
    if (!knobs)
        return pk_out_of_memory(lab->id);
    for (size_t i = 0; i < turns && status == PK_OK && !pk_interrupted(); i++) {
        const char *size = lab->awkward[i % count];
        char where[160];
        (void)snprintf(where, sizeof where, "not with %s", size);
        for (size_t k = 0; k < lab->knob_count; k++)
            knobs[k] = lab->knobs[k].quick;
        status = pk_options_set_knobs(knobs, lab, size);
        if (status == PK_OK)
            status = verify_again(s, knobs, i, where);
    }
    free(knobs);
    if (status == PK_OK && !pk_interrupted())
        status = verify_again(s, s->options.knobs, turns, "not again behind other sizes");
    return status;
}

/* ---- outcome ---- */

/* A skip does not fail a run in which something else passed, and does not pass one in which nothing did. */
static pk_status outcome(const pk_report *report)
{
    pk_status worst = PK_OK;
    bool ran = false, ladder_ran = false, ladder = false;
    for (size_t i = 0; i < report->result_count; i++) {
        const pk_result *result = &report->results[i];
        ladder |= !result->is_baseline;
        if (result->status == PK_SKIP)
            continue;
        ran = true;
        ladder_ran |= !result->is_baseline;
        worst = pk_status_worse(worst, result->status);
    }
    if (!ran || (ladder && !ladder_ran))
        worst = pk_status_worse(worst, PK_SKIP);
    for (size_t i = 0; i < report->target_count; i++)
        if (report->targets[i].judged && !report->targets[i].passed)
            worst = pk_status_worse(worst, PK_MISSED);
    return worst;
}

/* What CUPTI tells of the default point: how many kernels ran, and when. */
static pk_status observe(session *s)
{
    pk_bench_request request = {.report = &s->report,
                                .knobs = s->options.knobs,
                                .seed = s->options.seed,
                                .stream = s->stream,
                                .cache = PK_HOT,
                                .current = &s->current,
                                .stuck = &s->stuck};
    size_t all = s->report.result_count;
    s->report.result_count = s->default_results; /* the default point's only */
    pk_status status = pk_bench_count_kernels(&request);
    if (status == PK_OK && s->trace_path[0] && !pk_interrupted())
        status = pk_bench_trace(&request, &s->traces);
    s->traced = status == PK_OK && s->traces.traces && !pk_interrupted();
    s->report.result_count = all;
    return status;
}

static pk_status measure_all(session *s)
{
    pk_status status = PK_OK;
    const bool sweeps = s->options.timing && s->options.sweep != PK_SWEEP_NONE;
    if (s->options.timing)
        status = pk_measure_limits(&s->report.device, s->stream, s->options.quick, &s->report);
    if (status == PK_OK)
        status = run_default_point(s, PK_HOT, 0, sweeps ? 2 : 1);
    s->default_results = s->report.result_count;
    if (status == PK_OK && s->options.awkward && !pk_interrupted())
        status = verify_awkward_sizes(s);
    if (status == PK_OK && s->options.cold && s->options.timing)
        status = run_default_point(s, PK_COLD, 0, 1);
    if (status == PK_OK && sweeps)
        status = run_sweeps(s);
    if (status == PK_OK && sweeps && !pk_interrupted())
        status = run_default_point(s, PK_HOT, 1, 2);
    pk_nvml_read(&s->report.clocks_after);
    if (status == PK_OK && s->options.timing)
        status = pk_analyse(&s->report);
    if (status == PK_OK && !pk_interrupted())
        status = observe(s);
    if (status == PK_OK && s->options.check)
        status = pk_judge_targets(&s->report, &s->options, s->default_results);
    return status;
}

static bool wants_figures(const pk_lab *lab)
{
    for (size_t i = 0; i < lab->target_count; i++)
        if (lab->targets[i].kind == PK_TARGET_FIGURE_AT_LEAST || lab->targets[i].kind == PK_TARGET_FIGURE_AT_MOST)
            return true;
    return false;
}

static void describe_run(session *s, int argc, char **argv)
{
    pk_report *report = &s->report;
    pk_machine_describe_program(report, argc, argv);
    report->seed = s->options.seed;
    report->quick = s->options.quick;
    report->ladder_sources = pk_ladder_sources;
    report->ladder_source_count = pk_ladder_source_count;
}

/* One line on standard error, named once. */
static void say(const pk_report *report, const char *text)
{
    const char *id = report->lab->id;
    fflush(stdout);
    char line[3072];
    const bool named = strncmp(text, id, strlen(id)) == 0;
    snprintf(line, sizeof line, "%s%s%s", named ? "" : id, named ? "" : ": ", text);
    pk_print_wrapped(stderr, line);
}

/* All that were wanted, or no file. */
static pk_status write_traces(const session *s)
{
    const pk_report *report = &s->report;
    char line[800];
    if (!s->trace_path[0])
        return PK_OK;
    if (!s->traced || s->traces.count == 0) {
        (void)snprintf(line, sizeof line, "%s was not written: %s", s->trace_path,
                       s->traced ? "no variant passed" : "the run ended before the trace was recorded");
        say(report, line);
        return PK_OK;
    }
    const pk_status status = pk_trace_write(report, s->options.knobs, s->traces.traces, s->traces.count, s->trace_path);
    if (status == PK_OK)
        printf("wrote %s\n", s->trace_path);
    return status;
}

static int report_error(const pk_report *report, pk_status status)
{
    say(report, pk_error_text());
    return pk_exit_code(status);
}

static int finish(session *s, pk_status status)
{
    pk_report *report = &s->report;
    char ended[512] = "";
    release_reserve(s);
    if (status != PK_OK)
        snprintf(ended, sizeof ended, "%s", pk_error_text());
    else if (pk_interrupted())
        snprintf(ended, sizeof ended, "interrupted: these results are of what had been measured by then");
    if (ended[0]) {
        report->note = strdup(ended);
        mark_unfinished(report, pk_interrupted() ? PK_INTERRUPTED : PK_SKIP);
    }
    report->status = pk_interrupted() ? PK_INTERRUPTED : status == PK_OK ? outcome(report) : status;
    if (report->result_count > 0) {
        pk_print_report(report, s->default_results, s->options.check);
        pk_status written = write_results(s);
        if (written != PK_OK)
            say(report, pk_error_text());
        report->status = pk_status_worse(report->status, written);
    }
    const pk_status traced = write_traces(s);
    if (traced != PK_OK)
        say(report, pk_error_text());
    report->status = pk_status_worse(report->status, traced);
    if (ended[0])
        say(report, ended);
    return pk_exit_code(report->status);
}

/* Where the trace goes, and whether it can be written there: asked before anything is measured. */
static pk_status place_trace(session *s)
{
    const pk_options *options = &s->options;
    if (!options->trace)
        return PK_OK;
    const int needed = *options->trace ? snprintf(s->trace_path, sizeof s->trace_path, "%s", options->trace)
                                       : snprintf(s->trace_path, sizeof s->trace_path, "%s/%s-trace.json", s->folder,
                                                  s->report.lab->id);
    if (needed < 0 || (size_t)needed >= sizeof s->trace_path)
        return pk_fail(PK_USAGE, "%s: --trace names a path of more than %zu letters: give a shorter one",
                       s->report.lab->id, sizeof s->trace_path - 1);
    return pk_file_writable(s->trace_path);
}

static int run_session(const pk_lab *lab, int argc, char **argv)
{
    session *s = &the_session;
    bool done;
    s->report.lab = lab;
    s->report.knob_count = lab->knob_count;
    s->current = SIZE_MAX;
    pk_status status = pk_options_parse(&s->options, lab, argc, argv, &done);
    if (status != PK_OK)
        return report_error(&s->report, status);
    if (done)
        return 0;
    if (s->options.check && s->options.sweep == PK_SWEEP_NONE && wants_figures(lab))
        s->options.sweep = PK_SWEEP_AUTO;
    setvbuf(stdout, NULL, _IOLBF, 0);
    describe_run(s, argc, argv);
    s->reserve = malloc(RESERVE_BYTES);
    if (!s->reserve)
        return report_error(&s->report, pk_out_of_memory(lab->id));
    /* Before the device: its runtime's threads must inherit the blocked signals. */
    const pk_watchdog_calls calls = {
        .give_up = give_up,
        .describe = pk_repetition_describe,
        .slow = s->options.slow ? "the default sizes are for a GPU and may take minutes here: --quick takes seconds"
                                : NULL};
    status = pk_watchdog_start(s->options.watchdog_s, &calls);
    if (status == PK_OK)
        status = pk_machine_open(&s->report, &s->stream);
    if (status == PK_OK && s->options.cold && !s->report.device.is_gpu)
        status = pk_fail(PK_USAGE, "--cold flushes a GPU's L2 cache: leave it out on the CPU device");
    if (status == PK_OK && s->options.peers)
        status = pk_peers_read(&s->report, s->options.peers);
    if (status == PK_OK && s->options.out)
        status = pk_claim_folder(s->folder, sizeof s->folder, s->options.out, &s->report);
    if (status == PK_OK)
        status = place_trace(s);
    int code;
    if (status == PK_OK)
        code = finish(s, measure_all(s));
    else
        code = report_error(&s->report, status);
    if (s->stuck) {
        (void)fflush(NULL);
        say_reported();
        _exit(code);
    }
    /* Releasing may hang where the device did: the watchdog stays until it is done. */
    pk_watchdog_progress("releasing the device");
    pk_machine_close(s->stream);
    if (s->folder[0])
        (void)rmdir(s->folder); /* a run that ended without a result leaves none behind */
    pk_watchdog_stop();
    release_reserve(s);
    pk_trace_set_free(&s->traces);
    pk_options_free(&s->options);
    pk_report_free(&s->report);
    return code;
}

int pk_session_main(const pk_lab *lab, int argc, char **argv)
{
    const int code = run_session(lab, argc, argv);
    say_reported();
    return code;
}
