/* What a lab program prints: its help, its variants, its table of results. 80 columns, or as the terminal has. */
#include "print.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"
#include "pk/program.h"
#include "run.h"

enum { CELL = 64 };

static void number_cell(char *cell, double value)
{
    if (!isfinite(value))
        snprintf(cell, CELL, "-");
    else if (fabs(value) < 1)
        snprintf(cell, CELL, "%.3f", value);
    else if (fabs(value) < 10)
        snprintf(cell, CELL, "%.2f", value);
    else if (fabs(value) < 1000)
        snprintf(cell, CELL, "%.1f", value);
    else
        snprintf(cell, CELL, "%.0f", value);
}

/* Thousands and millions are powers of two here: 4096 is said as it is, 4194304 as 2^22. */
static void knob_text(char *text, size_t bytes, const pk_knob *knob, long long value)
{
    if (knob->choices || knob->decimals > 0)
        pk_knob_text(text, bytes, knob, value);
    else if (value >= 65536 && (value & (value - 1)) == 0)
        snprintf(text, bytes, "2^%d", __builtin_ctzll((unsigned long long)value));
    else
        snprintf(text, bytes, "%lld", value);
}

/* A line or more, as the terminal has room. */
static void say(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pk_print_wrapped(stdout, text);
}

static void print_heading(const pk_report *report, const pk_result *first)
{
    const pk_device_info *device = &report->device;
    if (device->is_gpu)
        say("%s %s on %s (%s, %s)", report->lab->id, report->lab->title, device->name, device->arch, device->backend);
    else
        say("%s %s on %s: not a GPU's speed", report->lab->id, report->lab->title, device->name);
    char line[1024];
    size_t used = 0;
    for (size_t i = 0; i < report->knob_count && used < sizeof line; i++) {
        char text[32];
        knob_text(text, sizeof text, &report->lab->knobs[i], first->knobs[i]);
        used += (size_t)snprintf(line + used, sizeof line - used, "%s=%s ", report->lab->knobs[i].name, text);
    }
    if (used < sizeof line)
        snprintf(line + used, sizeof line - used, " seed=%llu (replay with --seed=%llu)",
                 (unsigned long long)report->seed, (unsigned long long)report->seed);
    pk_print_wrapped(stdout, line);
    printf("\n");
}

/* Against a baseline that did not pass there is no speedup. */
static void speedup_cell(char *cell, const pk_result *result, bool founded)
{
    int decimals = result->speedup < 10 ? 2 : result->speedup < 100 ? 1 : 0;
    if (result->is_baseline) /* the first is what the others are compared with; a further one is a measure, no rival */
        snprintf(cell, CELL, "%s", result->wall.count && result->ratio.count == 0 ? "1" : "-");
    else if (!isfinite(result->speedup) || !founded)
        snprintf(cell, CELL, "-");
    else
        snprintf(cell, CELL, "%.*f [%.*f, %.*f]", decimals, result->speedup, decimals, result->speedup_interval.low,
                 decimals, result->speedup_interval.high);
}

static double us_per_token(const pk_samples *samples, const pk_result *result)
{
    return pk_median(samples->values, samples->count) / result->tokens;
}

/* What did not pass has no time (docs/measuring.md), though some was taken before it was found out. */
static void result_row(pk_table *table, const pk_result *result, bool founded)
{
    char wall[CELL] = "-", device[CELL] = "-", submit[CELL] = "-", launches[CELL] = "-", speedup[CELL] = "-";
    if (result->status == PK_OK) {
        number_cell(wall, us_per_token(&result->wall, result));
        number_cell(device, us_per_token(&result->device, result));
        number_cell(submit, us_per_token(&result->submit, result));
        speedup_cell(speedup, result, founded);
    }
    if (isfinite(result->launches_per_token))
        snprintf(launches, CELL, "%g", result->launches_per_token);
    const char *cells[] = {result->variant, pk_status_word(result->status), wall, device, submit, launches, speedup};
    pk_table_row(table, cells);
}

static void print_results(const pk_report *report, size_t count, pk_cache_state cache)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any |= report->results[i].cache == cache;
    if (!any)
        return;
    if (cache == PK_COLD)
        printf("\nThe same with the L2 flushed before each repetition (cold)\n\n");
    /* Timings, counts and ratios align right; names and words left. */
    pk_table *table = pk_table_new(7, 0x3C);
    const char *heading[] = {"variant", "result", "us/token", "device", "submit", "launches", "speedup [95%]"};
    pk_table_row(table, heading);
    bool founded = true;
    for (size_t i = 0, baselines = 0; i < count; i++) {
        const pk_result *result = &report->results[i];
        if (result->cache != cache)
            continue;
        if (result->is_baseline && baselines++ == 0)
            founded = result->status == PK_OK;
        result_row(table, result, founded);
    }
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
}

/* Each reason once: a sweep may repeat it at every point. */
static bool said_before(const pk_report *report, size_t index)
{
    const pk_result *result = &report->results[index];
    for (size_t i = 0; i < index; i++) {
        const pk_result *other = &report->results[i];
        if (other->reason && strcmp(other->variant, result->variant) == 0 && strcmp(other->reason, result->reason) == 0)
            return true;
    }
    return false;
}

/* A hang ends the run, and is said by itself. */
static bool ended_run(const pk_report *report, const pk_result *result)
{
    return result->status == PK_TIMEOUT && report->note && strcmp(result->reason, report->note) == 0;
}

static void print_reasons(const pk_report *report, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < report->result_count; i++) {
        const pk_result *result = &report->results[i];
        if (!result->reason || said_before(report, i) || ended_run(report, result))
            continue;
        if (!any)
            printf("\n");
        any = true;
        say("%s: %s%s: %s", result->variant, pk_status_word(result->status),
            i < count || result->cache == PK_COLD ? "" : " at a point beside the default", result->reason);
    }
}

/* The interval is of this run's states alone: where rounds are far apart, another run may have others. */
static void print_states(const pk_report *report, size_t count)
{
    const double far_apart = 2;
    char text[1024] = "";
    size_t length = 0;
    for (size_t i = 0; i < count && length < sizeof text / 2; i++) {
        const pk_result *result = &report->results[i];
        const pk_samples *ratio = &result->ratio;
        const double low = pk_quantile(ratio->values, ratio->count, 0.1),
                     high = pk_quantile(ratio->values, ratio->count, 0.9);
        if (result->status == PK_OK && !result->is_baseline && high > far_apart * low)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%.64s (%.2f to %.2f)",
                                       length ? ", " : "Rounds far apart: ", result->variant, low, high);
    }
    if (length == 0)
        return;
    (void)snprintf(text + length, sizeof text - length,
                   ". The machine has several states, and another run may show another speedup "
                   "(docs/measuring.md#states)");
    pk_print_wrapped(stdout, text);
}

/* Graphs, queues, pools: what a variant costs while it is not running. */
static void print_held(const pk_report *report, size_t count)
{
    const double worth_telling = 1e6;
    char text[1024] = "";
    size_t length = 0;
    for (size_t i = 0; i < count && length < sizeof text / 2; i++)
        if (report->results[i].held_bytes >= worth_telling)
            length +=
                (size_t)snprintf(text + length, sizeof text - length, "%s%.64s %.0f MB",
                                 length ? ", " : "Device memory from prepare to finish: ", report->results[i].variant,
                                 report->results[i].held_bytes * 1e-6);
    if (length > 0)
        pk_print_wrapped(stdout, text);
}

static void print_limits(const pk_report *report)
{
    if (!report->limits.measured)
        return;
    printf("\n");
    say("This device, in this run: launch %.2f us, launch and wait %.2f us, gap %.2f us, read %.0f GB/s",
        report->limits.launch_us, report->limits.launch_sync_us, report->limits.gap_us,
        report->limits.read_bytes_per_us * 1e-3);
}

static void print_dropped(const pk_report *report)
{
    size_t dropped = 0;
    for (size_t i = 0; i < report->result_count; i++)
        dropped += report->results[i].dropped_throttled;
    if (dropped > 0)
        say("%zu samples were dropped: the device was throttling (docs/measuring.md#throttling)", dropped);
}

static void print_analysis(const pk_report *report)
{
    if (report->fit_count + report->figure_count == 0)
        return;
    printf("\n");
    for (size_t i = 0; i < report->fit_count; i++) {
        const pk_fit *fit = &report->fits[i];
        say("fit %s: %.3g + %.4g x, slope in [%.4g, %.4g], R^2 = %.6f", fit->name, fit->line.intercept, fit->line.slope,
            fit->line.slope_interval.low, fit->line.slope_interval.high, fit->line.r_squared);
    }
    for (size_t i = 0; i < report->figure_count; i++) {
        const char *unit = report->figures[i].unit ? report->figures[i].unit : "";
        say("%s: %.4g%s%s", report->figures[i].name, report->figures[i].value, *unit ? " " : "", unit);
    }
}

static void print_targets(const pk_report *report)
{
    if (report->target_count == 0)
        return;
    pk_table *table = pk_table_new(4, 0x6);
    const char *heading[] = {"target", "wanted", "measured", "verdict"};
    pk_table_row(table, heading);
    for (size_t i = 0; i < report->target_count; i++) {
        const pk_target_outcome *outcome = &report->targets[i];
        bool at_least =
            outcome->target->kind == PK_TARGET_SPEEDUP_AT_LEAST || outcome->target->kind == PK_TARGET_FIGURE_AT_LEAST;
        char wanted[CELL], value[CELL];
        snprintf(wanted, CELL, "%s %g", at_least ? ">=" : "<=", outcome->target->value);
        if (isfinite(outcome->measured))
            snprintf(value, CELL, "%.4g", outcome->measured);
        else
            snprintf(value, CELL, "-");
        const char *cells[] = {outcome->target->name, wanted, value,
                               !outcome->judged  ? "not judged"
                               : outcome->passed ? "reached"
                                                 : "missed"};
        pk_table_row(table, cells);
    }
    printf("\n");
    pk_table_print(table, stdout, pk_text_width(stdout), pk_use_colour(stdout));
    pk_table_free(table);
    for (size_t i = 0; i < report->peer_file_count; i++)
        printf("%s%s%s", i ? ", " : "beside it, from runs of their own: ", report->peer_files[i],
               i + 1 == report->peer_file_count ? "\n" : "");
    if (!report->device.is_gpu)
        printf("Speed is never judged on the CPU device.\n");
}

void pk_print_report(const pk_report *report, size_t count, bool targets)
{
    print_heading(report, &report->results[0]);
    print_results(report, count, PK_HOT);
    print_results(report, report->result_count, PK_COLD);
    print_reasons(report, count);
    print_limits(report);
    print_states(report, count);
    print_held(report, count);
    print_dropped(report);
    print_analysis(report);
    if (targets)
        print_targets(report);
    printf("\n");
}

/* ---- --list ---- */

/* Knobs on their way to a problem that a variant solves, and the options that lead there: "--work=chain". */
typedef struct pose {
    const pk_lab *lab;
    long long *knobs;
    char options[2 * CELL];
} pose;

static bool is_offered(const pose *now, const char *variant)
{
    pk_bench bench = {.lab = now->lab, .knobs = now->knobs};
    const pk_run run = {.bench = &bench};
    return now->lab->offers(&run, variant);
}

/* Give a knob the value, and say so in the options. */
static void choose_value(pose *now, size_t knob, long long value)
{
    const size_t used = strlen(now->options);
    char text[32];
    pk_knob_text(text, sizeof text, &now->lab->knobs[knob], value);
    now->knobs[knob] = value;
    (void)snprintf(now->options + used, sizeof now->options - used, "%s--%s=%s", used ? " " : "",
                   now->lab->knobs[knob].name, text);
}

/* The knobs as they are, or with one number at its smallest: some variants are for one row. */
static bool is_offered_so(pose *now, const char *variant)
{
    const size_t used = strlen(now->options);
    bool offered = is_offered(now, variant);
    for (size_t i = 0; i < now->lab->knob_count && !offered; i++) {
        if (now->lab->knobs[i].choices)
            continue;
        choose_value(now, i, now->lab->knobs[i].minimum);
        offered = is_offered(now, variant);
        now->knobs[i] = now->lab->knobs[i].value;
        if (!offered)
            now->options[used] = '\0';
    }
    return offered;
}

/* By one choice: --work=chain. */
static bool find_options(pose *now, const char *variant)
{
    bool offered = is_offered_so(now, variant);
    for (size_t i = 0; i < now->lab->knob_count && !offered; i++) {
        for (long long c = 0; now->lab->knobs[i].choices && c <= now->lab->knobs[i].maximum && !offered; c++) {
            now->options[0] = '\0';
            choose_value(now, i, c);
            offered = is_offered_so(now, variant);
        }
        now->knobs[i] = now->lab->knobs[i].value;
    }
    return offered;
}

/* The options under which the lab poses the problem that the variant solves, where its defaults pose another. */
static void print_options(const pk_lab *lab, const char *variant)
{
    pose now = {lab, calloc(lab->knob_count + 1, sizeof *now.knobs), ""};
    for (size_t i = 0; now.knobs && i < lab->knob_count; i++)
        now.knobs[i] = lab->knobs[i].value;
    if (now.knobs && lab->offers && find_options(&now, variant) && now.options[0])
        printf("\t%s", now.options);
    free(now.knobs);
}

void pk_print_variants(const pk_lab *lab)
{
    for (size_t f = 0; f < pk_variant_file_count; f++) {
        const char *role = pk_variant_files[f].is_baseline ? "baseline" : "ladder";
        const pk_variant_list list = pk_variant_files[f].variants();
        for (size_t i = 0; i < list.count; i++) {
            printf("%s\t%s\t%s", role, list.variants[i].name, list.variants[i].summary);
            print_options(lab, list.variants[i].name);
            printf("\n");
        }
    }
}

/* What the knob is, and behind it "(1 to 2^30 floats)", or the names that can be given. */
static void print_knob(const pk_knob *knob)
{
    char option[CELL], value[32], low[32], high[32], text[1024];
    pk_knob_text(value, sizeof value, knob, knob->value);
    (void)snprintf(option, sizeof option, "--%s=%s", knob->name, value);
    size_t used = (size_t)snprintf(text, sizeof text, "%s (", knob->help);
    for (long long c = 0; knob->choices && c <= knob->maximum && used < sizeof text; c++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", c ? ", " : "", knob->choices[c]);
    knob_text(low, sizeof low, knob, knob->minimum);
    knob_text(high, sizeof high, knob, knob->maximum);
    if (used < sizeof text && !knob->choices)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s to %s%s%s", low, high, knob->unit[0] ? " " : "",
                                 knob->unit);
    if (used < sizeof text)
        (void)snprintf(text + used, sizeof text - used, ")");
    pk_print_option(stdout, option, text);
}

void pk_print_lab_help(const pk_lab *lab, const char *program)
{
    static const char *const options[][2] = {
        {NULL, "What to run"},
        {"--variant=A,B", "only these, and the first baseline (--list names them)"},
        {"--seed=1", "inputs are drawn from it: the same seed, the same inputs"},
        {"--quick", "smoke shapes; also QUICK=1 in the environment. --quick=auto: only on the CPU device, where the "
                    "defaults would take minutes"},
        {"--sweep", "more points, for fits and figures: --sweep=full on a GPU, --sweep=quick on the CPU device. A knob "
                    "that is given stays so, and sweeps of another problem are left out"},
        {"--cold", "also measure with the L2 flushed before each repetition; --cold=auto: on a GPU"},
        {"--no-timing", "verify only"},
        {"--print-plan", "what variants plan on the host, where they say it; no timing"},
        {"--check", "judge the lab's speed targets: exit 5 when one is missed"},
        {"--peers=FILE", "what a peer measured on this device, for targets against it; --peers=DIR: the newest in a "
                         "folder of results"},
        {NULL, "Limits"},
        {"--time-limit=3", "seconds of measuring at the default point; a point of a sweep has a sixth"},
        {"--watchdog=60", "seconds without progress until the run is ended; 10 with --quick"},
        {NULL, "Output"},
        {"--out=DIR", "write DIR/<utc>-<device>/LAB.json and .csv"},
        {"--json=FILE --csv=FILE", "write just these"},
        {"--trace=FILE", "a timeline of one more repetition of each variant, for Perfetto; --trace: "
                         "DIR/<utc>-<device>/LAB-trace.json"},
    };
    say("%s: %s", lab->id, lab->title);
    printf("\n");
    say("Usage: %s [options]", program);
    printf("\nThe problem\n");
    for (size_t i = 0; i < lab->knob_count; i++)
        print_knob(&lab->knobs[i]);
    for (size_t i = 0; i < PK_COUNT(options); i++) {
        if (options[i][0])
            pk_print_option(stdout, options[i][0], options[i][1]);
        else
            printf("\n%s\n", options[i][1]);
    }
    printf("\n");
    say("LAB is %s. Exit codes: 0 pass, 1 wrong result, 2 usage, 3 device fault, 4 watchdog, 5 target missed, 77 "
        "skipped or a step still open, 130 interrupted.",
        lab->id);
}
