/* Results in memory, and what of them stands in the files. */
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../src/contender.h"
#include "../src/print.h"
#include "pk/host.h"
#include "pk/program.h"
#include "sample_report.h"

typedef pk_status writer(const pk_report *report, const char *path);

static char *written(void (*fill)(pk_report *), writer *write_report)
{
    char path[64];
    pk_report report;
    (void)snprintf(path, sizeof path, "/tmp/pk_report_test.%ld", (long)getpid());
    fill(&report);
    cr_assert_eq(write_report(&report, path), PK_OK, "%s", pk_error_text());
    pk_report_free(&report);
    return sample_text_of(path);
}

static cJSON *json_of(void (*fill)(pk_report *))
{
    char *text = written(fill, pk_report_write_json);
    cr_assert_eq(text[strlen(text) - 1], '\n');
    cJSON *document = cJSON_Parse(text);
    cr_assert_not_null(document);
    free(text);
    return document;
}

/* The item at a path such as "results", "1", "timing", NULL-terminated. */
static const cJSON *at(const cJSON *item, ...)
{
    va_list steps;
    va_start(steps, item);
    for (const char *step; item && (step = va_arg(steps, const char *));)
        item =
            cJSON_IsArray(item) ? cJSON_GetArrayItem(item, atoi(step)) : cJSON_GetObjectItemCaseSensitive(item, step);
    va_end(steps);
    cr_assert_not_null(item);
    return item;
}

static void is_number(const cJSON *item, double want)
{
    cr_assert(cJSON_IsNumber(item));
    cr_assert(fabs(item->valuedouble - want) <= 1e-12 * fabs(want), "got %.17g, want %.17g", item->valuedouble, want);
}

static void is_text(const cJSON *item, const char *want)
{
    cr_assert(cJSON_IsString(item));
    cr_assert_str_eq(item->valuestring, want);
}

Test(json, what_is_measured_and_what_follows)
{
    cJSON *document = json_of(sample_gpu_report);
    const cJSON *stream = at(document, "results", "1", NULL);
    is_text(at(document, "run", "seed", NULL), "18446744073709551615"); /* no double holds it */
    is_text(at(document, "run", "id", NULL), "2026-11-20T120000Z-NVIDIA-H200");
    is_number(at(document, "device", "limits", "read_gb_per_s", "median", NULL), 4000);
    is_number(at(stream, "params", "k", NULL), 150);
    is_number(at(stream, "timing", "wall", "median", NULL), 962);
    is_number(at(stream, "timing", "wall", "samples", "4", NULL), 964);
    is_number(at(stream, "timing", "dropped_throttled", NULL), 3);
    is_number(at(stream, "derived", "us_per_token", NULL), 481);
    is_number(at(stream, "derived", "tokens_per_s", NULL), 1e6 / 481);
    is_number(at(stream, "derived", "gb_per_s", NULL), 8.0 * 1024 * 150 / 481 * 1e-3);
    is_number(at(stream, "derived", "percent_of_read_limit", NULL), 8.0 * 1024 * 150 / 481 * 1e-3 / 4000 * 100);
    is_number(at(stream, "model", "error_percent", NULL), 100.0 * (480 - 481) / 481);
    is_number(at(stream, "speedup", "rounds", NULL), 5);
    cr_assert(cJSON_IsNull(at(document, "results", "0", "speedup", NULL)));
    is_text(at(document, "results", "2", "cache", NULL), "cold");
    is_text(at(document, "status", NULL), "wrong");
    cr_assert(cJSON_IsTrue(at(document, "targets", "0", "passed", NULL)));
    cr_assert(cJSON_IsFalse(at(document, "targets", "1", "passed", NULL)));
    cJSON_Delete(document);
}

Test(report, of_what_a_lab_says_the_largest_counts)
{
    pk_measured measures[PK_MAX_MEASURES];
    size_t count = 0;
    cr_assert(pk_measure_note(measures, &count, "drift", 2e-4) && pk_measure_note(measures, &count, "bytes", 7));
    cr_assert(pk_measure_note(measures, &count, "drift", 3e-4) && pk_measure_note(measures, &count, "drift", 1e-4));
    cr_expect(count == 2 && measures[0].value == 3e-4 && measures[1].value == 7);
    /* What is not a number is not passed over for what came before or comes after it. */
    cr_assert(pk_measure_note(measures, &count, "drift", NAN) && pk_measure_note(measures, &count, "drift", 1));
    cr_expect(isnan(measures[0].value));
    cr_expect(!pk_measure_note(measures, &count, "a name of more than 23 letters", 1));
    for (int i = 2; i < PK_MAX_MEASURES; i++) {
        const char name[2] = {(char)('a' + i), '\0'};
        cr_assert(pk_measure_note(measures, &count, name, i));
    }
    cr_expect(!pk_measure_note(measures, &count, "z", 1) && pk_measure_note(measures, &count, "bytes", 8));
    cr_expect(count == PK_MAX_MEASURES && measures[1].value == 8);
}

Test(json, clocks_and_throttling)
{
    cJSON *document = json_of(sample_gpu_report);
    const cJSON *clocks = at(document, "device", "clocks", NULL);
    is_text(at(clocks, "before", "throttle_reasons", "0", NULL), "idle");
    cr_assert(cJSON_IsFalse(at(clocks, "before", "throttled", NULL)));
    cr_assert(cJSON_IsTrue(at(clocks, "after", "throttled", NULL)));
    is_text(at(clocks, "after", "throttle_reasons", "0", NULL), "power_cap");
    is_text(at(clocks, "after", "throttle_reasons", "1", NULL), "software_thermal");
    is_text(at(clocks, "after", "throttle_reasons", "2", NULL), "0x8000");
    cr_assert(cJSON_IsNull(at(clocks, "after", "power_w", NULL)));
    cJSON_Delete(document);
}

Test(json, unknown_numbers_are_null)
{
    cJSON *document = json_of(sample_gpu_report);
    const cJSON *wrong = at(document, "results", "3", NULL);
    cr_assert(cJSON_IsNull(at(wrong, "validation", "before", "got", NULL)));
    is_number(at(wrong, "validation", "before", "want", NULL), 250);
    is_number(at(wrong, "validation", "before", "first_wrong", NULL), 7);
    cr_assert(cJSON_IsNull(at(wrong, "validation", "before", "worst_error", NULL)));
    cr_assert(cJSON_IsNull(at(wrong, "validation", "after", NULL)));
    cr_assert(cJSON_IsNull(at(wrong, "timing", "wall", NULL)));
    cr_assert(cJSON_IsNull(at(wrong, "derived", "us_per_token", NULL)));
    cr_assert(cJSON_IsNull(at(wrong, "phases", "prepare_us", NULL)));
    cr_assert(cJSON_IsNull(at(document, "figures", "1", "value", NULL)));
    cJSON_Delete(document);
}

Test(json, any_bytes_become_text)
{
    cJSON *document = json_of(sample_cpu_report);
    is_text(at(document, "device", "name", NULL), "CPU device \xef\xbf\xbd\xc2\xb5");
    is_text(at(document, "run", "argv", "1", NULL), "--note=\xef\xbf\xbd\"x\"");
    is_text(at(document, "note", NULL), "ended by SIGINT\tand \\ so on");
    is_text(at(document, "results", "1", "open_step", NULL), "lab99.3");
    cJSON_Delete(document);
}

Test(json, what_cannot_be_written_is_said)
{
    pk_report report;
    sample_empty_report(&report);
    cr_assert_eq(pk_report_write_json(&report, "/proc/x/lab99.json"), PK_USAGE);
    cr_assert(strstr(pk_error_text(), "/proc/x"));
    cr_assert_eq(pk_report_write_csv(&report, "/dev/null/lab99.csv"), PK_USAGE);
    cr_assert(strstr(pk_error_text(), "/dev/null"));
    pk_report_free(&report);
}

/* Fields of one CSV line, quotes respected. */
static size_t fields(const char *line, size_t length)
{
    size_t count = 1;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        quoted ^= line[i] == '"';
        count += line[i] == ',' && !quoted;
    }
    return count;
}

Test(csv, a_line_a_result_with_as_many_fields_as_the_heading)
{
    char *text = written(sample_gpu_report, pk_report_write_csv);
    const size_t heading = fields(text, strcspn(text, "\n"));
    size_t lines = 0;
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1, lines++)
        cr_assert_eq(fields(line, strcspn(line, "\n")), heading);
    cr_assert_eq(lines, (size_t)5);
    cr_assert_eq(
        strncmp(text,
                "run,program,device,kind,lab,variant,role,cache,status,reason,open_step,n,k,tokens_per_repetition,",
                97),
        0);
    cr_assert(strstr(text, "lab99,stream,ladder,hot,pass,,,1024,150,2,481,"));
    cr_assert(strstr(text, "\"3 of 1024 elements wrong, \"\"NaN\"\" first\""));
    cr_assert_null(strstr(text, "nan"));
    cr_assert_null(strstr(text, "inf,"));
    free(text);
}

static void formula_report(pk_report *report)
{
    sample_empty_report(report);
    pk_result *result = pk_report_add(report, (const long long[]){1, 2});
    result->variant = "=cmd()";
    result->reason = strdup("two\nlines");
    result->status = PK_FAULT;
}

Test(csv, text_stays_text)
{
    char *text = written(formula_report, pk_report_write_csv);
    cr_assert(strstr(text, ",\"'=cmd()\","), "%s", text);
    cr_assert(strstr(text, ",\"two\nlines\","), "%s", text);
    free(text);
}

Test(report, a_new_result_knows_nothing)
{
    long long knobs[] = {7, 8};
    pk_report report;
    sample_empty_report(&report);
    const pk_result *result = pk_report_add(&report, knobs);
    knobs[0] = 0;
    cr_assert_eq(result->knobs[0], 7);
    cr_assert(isnan(result->tokens) && isnan(result->speedup) && isnan(result->speedup_interval.low) &&
              isnan(result->prepare_us) && isnan(result->first_execute_us) && isnan(result->finish_us) &&
              isnan(result->held_bytes) && isnan(result->launches_per_token) &&
              isnan(result->graph_replays_per_token) && isnan(result->launches_per_token_cupti) &&
              isnan(result->flops_per_token) && isnan(result->predicted_us_per_token) &&
              isnan(result->bytes_per_token));
    cr_assert_eq(result->status, PK_OK);
    cr_assert_not(result->before.done);
    for (size_t i = 0; i < 100; i++)
        (void)pk_report_add(&report, knobs);
    cr_assert_eq(report.result_count, (size_t)101);
    cr_assert_eq(report.results[0].knobs[0], 7);
    pk_report_free(&report);
    cr_assert_eq(report.result_count, (size_t)0);
}

Test(report, samples_keep_their_order)
{
    pk_samples samples = {0};
    for (int i = 0; i < 1000; i++)
        pk_samples_add(&samples, i);
    cr_assert_eq(samples.count, (size_t)1000);
    cr_assert(samples.values[999] > 998.5);
    pk_samples_free(&samples);
    cr_assert_null(samples.values);
}

/* A sanitizer takes a request that is too large for a mistake, and ends the program. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define UNDER_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER
#endif

static void pass_over_sanitizers(void)
{
#if defined(UNDER_SANITIZER)
    cr_skip_test("a sanitizer ends the program at once");
#endif
}

Test(results, that_do_not_fit_into_memory_leave_the_others_as_they_are, .init = pass_over_sanitizers)
{
    pk_samples samples = {0};
    cr_assert_eq(pk_samples_add(&samples, 7), PK_OK);
    const size_t capacity = samples.capacity;
    samples.count = samples.capacity = SIZE_MAX / 64; /* as if there were so many: twice that is too many */
    cr_assert_eq(pk_samples_add(&samples, 8), PK_FAULT);
    cr_assert(strstr(pk_error_text(), "out of host memory") && strstr(pk_error_text(), "ulimit -v"), "%s",
              pk_error_text());
    cr_assert_eq(samples.count, SIZE_MAX / 64);
    cr_assert_eq(samples.values[0], 7);
    samples.count = 1;
    samples.capacity = capacity;
    pk_samples_free(&samples);

    const long long knobs[] = {1, 2};
    pk_report report = {.knob_count = 2};
    cr_assert_not_null(pk_report_add(&report, knobs));
    const size_t results = report.result_capacity;
    report.result_count = report.result_capacity = SIZE_MAX / sizeof(pk_result) / 4;
    cr_assert_null(pk_report_add(&report, knobs));
    report.result_count = 1;
    report.result_capacity = results;
    cr_assert_eq(report.results[0].knobs[1], 2);
    pk_report_free(&report);
}

/* ---- an open step ---- */

static void todo_is(const char *text, const char *step, const char *said)
{
    /* The step stands in the ladder's second file. */
    const pk_source sources[] = {
        {"optimized.cu", "/* STEP lab99.1 for stream: of another */ (void)x; /* END lab99.1 */\n"}, {"chain.cu", text}};
    const pk_variant variant = {.name = "fused"};
    pk_bench bench = {.lab = NULL};
    pk_contender contender;
    pk_report report = {.ladder_sources = sources, .ladder_source_count = text ? 2 : 0};
    cr_assert_not_null(pk_report_add(&report, NULL));
    cr_assert_eq(pk_contender_init(&contender, &bench, &variant, 0), PK_OK);
    pk_contender_fail(&report, &contender, pk_todo(&contender.run, "lab99.5"));
    const pk_result *result = &report.results[0];
    cr_assert_eq(result->status, PK_TODO);
    cr_assert_str_eq(result->open_step, step);
    cr_assert_not_null(strstr(result->reason, said), "%s", result->reason);
    pk_contender_release(&contender);
    pk_report_free(&report);
}

Test(todo, names_the_first_open_step_of_the_rung)
{
    static const char last[] =
        "/* STEP lab99.5 for fused: launch */ return pk_todo(run, \"lab99.5\"); /* END lab99.5 */";
    char text[1024];
    todo_is(NULL, "lab99.5", "step lab99.5 is open: fill it in, or ask `./lab hint 99.5`");
    todo_is(last, "lab99.5", "step lab99.5 is open");
    (void)snprintf(text, sizeof text,
                   "/* STEP lab99.3 for stream: of another */ (void)x; /* END lab99.3 */\n"
                   "/* STEP lab99.4 for pdl, fused: in a kernel */ (void)n; /* END lab99.4 */\n%s",
                   last);
    todo_is(text, "lab99.4", "step lab99.4 is open: fill it in, or ask `./lab hint 99.4`");
    (void)snprintf(
        text, sizeof text,
        "/* STEP lab99.4 for fused: done */ y[n] = 1; /* END lab99.4 */\n"
        "/* STEP lab99.5 for fused: both */ launch(run); return pk_todo(run, \"lab99.5\"); /* END lab99.5 */");
    todo_is(text, "lab99.5", "delete that line");
}

/* ---- steps of several files ---- */

static void digests_of(char digests[3][PK_STEP_DIGEST_BYTES], const char *first, const char *second)
{
    const pk_source sources[] = {{"optimized.cu", first}, {"chain.cu", second}};
    pk_steps steps = pk_find_steps(sources, PK_COUNT(sources));
    cr_assert_eq(steps.count, 3);
    for (size_t i = 0; i < steps.count; i++)
        pk_step_digest_text(digests[i], &steps.steps[i]);
    pk_steps_free(&steps);
}

#define FIRST                                                                                                          \
    "one /* STEP lab99.1 for a: x */ x(); /* END lab99.1 */\n/* STEP lab99.3 for a: y */ y(); /* END lab99.3 */"
#define SECOND "two /* STEP lab99.2 for b: z */ z(); /* END lab99.2 */"

Test(steps, are_of_their_files_and_in_order)
{
    const pk_source sources[] = {{"optimized.cu", FIRST}, {"chain.cu", SECOND}};
    pk_steps steps = pk_find_steps(sources, PK_COUNT(sources));
    static const char *const ids[] = {"lab99.1", "lab99.2", "lab99.3"};
    static const char *const files[] = {"optimized.cu", "chain.cu", "optimized.cu"};
    cr_assert_eq(steps.count, 3);
    for (size_t i = 0; i < steps.count; i++) {
        cr_assert_str_eq(steps.steps[i].id, ids[i]);
        cr_assert_str_eq(steps.steps[i].file, files[i]);
    }
    pk_steps_free(&steps);
}

/* A line outside the fences changes the steps of its file, and no others. */
Test(steps, have_digests_of_their_file_alone)
{
    char before[3][PK_STEP_DIGEST_BYTES], after[3][PK_STEP_DIGEST_BYTES];
    digests_of(before, FIRST, SECOND);
    digests_of(after, FIRST, "changed " SECOND);
    cr_assert_str_eq(after[0], before[0]);
    cr_assert_str_neq(after[1], before[1]);
    cr_assert_str_eq(after[2], before[2]);
    digests_of(after, "changed " FIRST, SECOND);
    cr_assert_str_neq(after[0], before[0]);
    cr_assert_str_eq(after[1], before[1]);
    cr_assert_str_neq(after[2], before[2]);
}

/* ---- the run's own table ---- */

/* What print.c asks of a lab's program. */
const pk_variant_file pk_variant_files[] = {{false, NULL}};
const size_t pk_variant_file_count = 0;

static char *printed(const pk_report *report)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/pk_report_print.%ld", (long)getpid());
    (void)fflush(stdout);
    const int before = dup(STDOUT_FILENO);
    cr_assert_not_null(freopen(path, "w", stdout));
    pk_print_report(report, report->result_count, false);
    (void)fflush(stdout);
    (void)dup2(before, STDOUT_FILENO);
    (void)close(before);
    return sample_text_of(path);
}

static bool row_is(const char *text, const char *variant, const char *status, const char *time)
{
    char name[32], word[32], us[32];
    const char *row = strstr(text, variant);
    return row && sscanf(row, "%31s %31s %31s", name, word, us) == 3 && !strcmp(word, status) && !strcmp(us, time);
}

Test(report, no_time_stands_beside_what_is_no_pass)
{
    pk_report report;
    sample_gpu_report(&report);
    char *text = printed(&report);
    cr_assert(row_is(text, "\nsync", "pass", "1201") && row_is(text, "\nstream", "pass", "481.0"), "%s", text);
    cr_assert_not_null(strstr(text, "2.70 [2.60, 2.80]"));
    free(text);
    report.results[1].status = PK_WRONG; /* found out by its fresh inputs, after it was timed */
    text = printed(&report);
    cr_assert(row_is(text, "\nstream", "wrong", "-"), "%s", text);
    cr_assert_null(strstr(text, "2.70 ["), "%s", text);
    free(text);
    report.results[1].status = PK_OK;
    report.results[0].status = PK_WRONG; /* what the others are compared with */
    text = printed(&report);
    cr_assert(row_is(text, "\nsync", "wrong", "-") && row_is(text, "\nstream", "pass", "481.0"), "%s", text);
    cr_assert_null(strstr(text, "2.70 ["), "%s", text);
    free(text);
    pk_report_free(&report);
}

Test(report, rounds_that_are_far_apart_are_told)
{
    pk_report report;
    sample_gpu_report(&report);
    char *text = printed(&report);
    cr_assert_null(strstr(text, "Rounds far apart"), "%s", text);
    free(text);
    const pk_samples *ratio = &report.results[1].ratio;
    for (size_t i = 0; i < ratio->count; i++)
        ratio->values[i] = i % 2 ? 6 : 1.5;
    text = printed(&report);
    cr_assert_not_null(strstr(text, "Rounds far apart: stream (1.50 to 6.00)."), "%s", text);
    free(text);
    report.results[1].status = PK_WRONG;
    text = printed(&report);
    cr_assert_null(strstr(text, "Rounds far apart"), "%s", text);
    free(text);
    pk_report_free(&report);
}

Test(environment, describes_this_machine)
{
    pk_environment environment;
    pk_environment_read(&environment);
    cr_assert(strlen(environment.os) > 0 && strlen(environment.cpu) > 0);
    cr_assert_geq(environment.cpu_cores, 1);
    cr_assert(strchr(environment.compiler, ' ') && strlen(environment.device_compiler) > 0);
    cr_assert_null(strpbrk(environment.os, "\"\n"));
    if (environment.git_known)
        cr_assert(strlen(environment.git_commit) == 40 || strlen(environment.git_commit) == 64);
}

Test(ranges, may_be_pushed_without_a_profiler)
{
    pk_range_push("token");
    pk_range_pop();
}
