/* What a result file tells besides times: its run, the machine, what was verified, targets. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"
#include "quote.h"
#include "report.h"

/* ---- runs ---- */

/* The text without this checkout's folder in front of its paths; in new memory. */
static char *without_source(const char *text)
{
    char *folder = cli_format("%s/", cli_source());
    const char *at = strstr(text, folder);
    char *shorter =
        at ? cli_format("%.*s%s", (int)(at - text), text, at + strlen(folder)) : cli_copy(text, strlen(text));
    free(folder);
    return shorter;
}

/* The words as one would type them, as far as they are none of the shell's. In new memory. */
static char *command_of(const cJSON *run)
{
    const cJSON *word;
    char *line = cli_copy("", 0);
    cJSON_ArrayForEach(word, cli_json_field(run, "argv"))
    {
        char *plain = cli_plain(cJSON_IsString(word) ? word->valuestring : ""), *shorter = without_source(plain);
        char *longer = cli_format("%s%s%s", line, *line ? " " : "", shorter);
        free(shorter);
        free(plain);
        free(line);
        line = longer;
    }
    return line;
}

/* "83ad951bd8c4, with changes" */
static char *source_of(const cJSON *run)
{
    enum { SHORT = 12 };
    const cJSON *git = cli_json_field(run, "git");
    char *commit = cli_json_text(git, "commit");
    const char *changed = cJSON_IsTrue(cli_json_field(git, "dirty")) ? ", with changes" : "";
    char *text = *commit ? cli_format("%.*s%s", SHORT, commit, changed) : cli_copy("unknown", strlen("unknown"));
    free(commit);
    return text;
}

static void run_row(page *to, const cJSON *json)
{
    const cJSON *run = cli_json_field(json, "run");
    char *lab = cli_json_text(cli_json_field(json, "lab"), "id"), *started = cli_json_text(run, "started_utc");
    char *seed = cli_json_text(run, "seed"), *status = cli_json_text(json, "status");
    char *command = command_of(run), *source = source_of(run);
    page_cell(to, "%s", lab);
    page_cell(to, "%s", started);
    page_cell(to, PAGE_CODE "%s" PAGE_CODE, command);
    page_cell(to, "%s", seed);
    page_cell(to, "%s", source);
    page_cell(to, "%s", status);
    char *texts[] = {lab, started, seed, status, command, source};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
}

void report_runs(page *to, const report_files *files)
{
    static const char *const heads[] = {"lab", "started", "command", "seed", "source", "outcome"};
    page_table(to, sizeof heads / sizeof heads[0], 0);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        page_cell(to, "%s", heads[i]);
    for (size_t i = 0; i < files->groups.count; i++) {
        for (size_t k = 0; k < files->groups.groups[i].count; k++) {
            cJSON *json = cli_json_load(files->groups.groups[i].names[k]);
            run_row(to, json);
            cJSON_Delete(json);
        }
    }
}

/* ---- machines ---- */

typedef struct facts { /* what is the same for runs on one machine by one build */
    char *names[16], *values[16];
    size_t count;
} facts;

static void free_facts(facts *of)
{
    for (size_t i = 0; i < of->count; i++) {
        free(of->names[i]);
        free(of->values[i]);
    }
    *of = (facts){.count = 0};
}

static void add_fact(facts *to, const char *name, char *value)
{
    to->names[to->count] = cli_copy(name, strlen(name));
    to->values[to->count++] = value;
}

static char *size_of(const cJSON *device, const char *name)
{
    const double bytes = cli_json_number(device, name);
    return !isfinite(bytes) ? cli_copy("-", 1)
           : bytes < 1e9    ? cli_format("%.4g MB", bytes / 1e6)
                            : cli_format("%.4g GB", bytes / 1e9);
}

static facts facts_of(const cJSON *json)
{
    const cJSON *device = cli_json_field(json, "device"), *environment = cli_json_field(json, "environment");
    const cJSON *tools = cli_json_field(environment, "tools");
    static const char *const names[][2] = {{"device", "name"}, {"backend", "backend"}, {"architecture", "arch"}};
    static const char *const hosts[][2] = {
        {"system", "os"},         {"processor of the host", "cpu"},       {"driver", "driver"}, {"toolkit", "toolkit"},
        {"compiler", "compiler"}, {"device compiler", "device_compiler"}, {"flags", "flags"},
    };
    facts of = {.count = 0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        add_fact(&of, names[i][0], cli_json_text(device, names[i][1]));
    add_fact(&of, "processors", report_number("%.0f", cli_json_number(device, "processors")));
    add_fact(&of, "L2", size_of(device, "l2_bytes"));
    add_fact(&of, "memory", size_of(device, "memory_bytes"));
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        add_fact(&of, hosts[i][0], cli_json_text(environment, hosts[i][1]));
    add_fact(&of, "cores of the host", report_number("%.0f", cli_json_number(environment, "cpu_cores")));
    add_fact(&of, "sensors, counters",
             cli_format("NVML %s, CUPTI %s", cJSON_IsTrue(cli_json_field(tools, "nvml")) ? "yes" : "no",
                        cJSON_IsTrue(cli_json_field(tools, "cupti")) ? "yes" : "no"));
    return of;
}

static bool are_same(const facts *a, const facts *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++)
        same = !strcmp(a->values[i], b->values[i]);
    return same;
}

static void put_facts(page *to, const facts *of, const char *labs)
{
    page_table(to, 2, 0);
    page_cell(to, "machine and build");
    page_cell(to, "%s", labs);
    for (size_t i = 0; i < of->count; i++) {
        page_cell(to, "%s", of->names[i]);
        page_cell(to, "%s", *of->values[i] ? of->values[i] : "-");
    }
}

/* "1980 MHz, 45 °C" */
static char *clock_text(const cJSON *state)
{
    const double mhz = cli_json_number(state, "sm_mhz"), celsius = cli_json_number(state, "temperature_c");
    if (!isfinite(mhz) && !isfinite(celsius))
        return cli_copy("not read", strlen("not read"));
    const char *throttled = cJSON_IsTrue(cli_json_field(state, "throttled")) ? ", throttled" : "";
    return cli_format("%.0f MHz, %.0f °C%s", mhz, celsius, throttled);
}

static void limits_row(page *to, const cJSON *json)
{
    static const char *const names[] = {"launch_us", "launch_sync_us", "gap_us", "read_gb_per_s"};
    const cJSON *device = cli_json_field(json, "device"), *clocks = cli_json_field(device, "clocks");
    char *lab = cli_json_text(cli_json_field(json, "lab"), "id");
    page_cell(to, "%s", lab);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const cJSON *limit = cli_json_field(cli_json_field(device, "limits"), names[i]);
        char *value = report_number("%.4g", cli_json_number(limit, "median"));
        page_cell(to, "%s", value);
        free(value);
    }
    char *before = clock_text(cli_json_field(clocks, "before")), *after = clock_text(cli_json_field(clocks, "after"));
    page_cell(to, "%s", before);
    page_cell(to, "%s", after);
    free(after);
    free(before);
    free(lab);
}

/* The labs whose facts are those of file `first`, and marks them as said. */
static char *labs_alike(const report_files *files, size_t first, const facts *all, bool *said)
{
    char *labs = cli_copy("", 0);
    for (size_t i = first; i < files->count; i++) {
        if (said[i] || !are_same(&all[first], &all[i]))
            continue;
        said[i] = true;
        char *longer = cli_format("%s%s%s", labs, *labs ? ", " : "", files->results[i].lab);
        free(labs);
        labs = longer;
    }
    return labs;
}

static void put_machines(page *to, const report_files *files, const facts *all)
{
    bool *said = cli_grow(NULL, files->count + 1, sizeof *said);
    memset(said, 0, (files->count + 1) * sizeof *said);
    for (size_t i = 0; i < files->count; i++) {
        if (said[i])
            continue;
        char *labs = labs_alike(files, i, all, said);
        put_facts(to, &all[i], labs);
        free(labs);
    }
    free(said);
}

void report_machines(page *to, const report_files *files)
{
    static const char *const heads[] = {"lab",          "launch, us",   "launch and wait, us", "gap, us",
                                        "B_read, GB/s", "clock before", "clock after"};
    facts *all = cli_grow(NULL, files->count + 1, sizeof *all);
    cJSON **documents = cli_grow(NULL, files->count + 1, sizeof *documents);
    for (size_t i = 0; i < files->count; i++) {
        documents[i] = cli_json_load(files->results[i].path);
        all[i] = facts_of(documents[i]);
    }
    put_machines(to, files, all);
    page_text(to,
              "The limits of the device, measured in each run: the issue of a launch among many (t_L), a launch and "
              "a wait, the gap from one queued kernel to the next, and the read bandwidth.");
    page_table(to, sizeof heads / sizeof heads[0], 0x1e);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        page_cell(to, "%s", heads[i]);
    for (size_t i = 0; i < files->count; i++) {
        limits_row(to, documents[i]);
        free_facts(&all[i]);
        cJSON_Delete(documents[i]);
    }
    free(documents);
    free(all);
}

/* ---- what was verified ---- */

typedef struct verified {
    size_t passed, not_passed, skipped; /* results */
    size_t before, after, fresh;        /* of those that passed: compared then */
    double values;                      /* compared in all */
    double awkward;                     /* the most other sizes of a result */
    double worst_share;                 /* of an error bound, the most */
    size_t exact;                       /* results that allow no error at all */
    size_t counted, counted_alike;      /* results with launches counted twice */
} verified;

static size_t add_check(verified *sum, const cJSON *check)
{
    const double checked = cli_json_number(check, "checked"), error = cli_json_number(check, "worst_error");
    const double bound = cli_json_number(check, "bound");
    if (!isfinite(checked))
        return 0;
    sum->values += checked;
    /* Beyond 1 it is no bound of what passed: lab 06 once wrote what an activation may be off, and not its rounding. */
    if (bound > 0 && error <= bound && error / bound > sum->worst_share)
        sum->worst_share = error / bound;
    return 1;
}

static void add_result(verified *sum, const cJSON *item)
{
    const cJSON *validation = cli_json_field(item, "validation"), *launches = cli_json_field(item, "launches");
    char *status = cli_json_text(item, "status");
    const bool passed = !strcmp(status, "pass");
    sum->passed += passed;
    sum->skipped += !strcmp(status, "skipped");
    sum->not_passed += !passed && strcmp(status, "skipped") != 0;
    free(status);
    if (!passed)
        return;
    sum->before += add_check(sum, cli_json_field(validation, "before"));
    sum->after += add_check(sum, cli_json_field(validation, "after"));
    sum->fresh += add_check(sum, cli_json_field(validation, "fresh"));
    sum->exact += cli_json_number(cli_json_field(validation, "before"), "bound") == 0;
    sum->awkward = fmax(sum->awkward, cli_json_number(validation, "awkward_sizes"));
    const double macro = cli_json_number(launches, "per_token"), cupti = cli_json_number(launches, "per_token_cupti");
    sum->counted += (size_t)(isfinite(cupti) != 0);
    sum->counted_alike += (size_t)(isfinite(cupti) && fabs(macro - cupti) <= 1e-9 * fmax(macro, 1));
}

static verified verified_of(const cJSON *json)
{
    verified sum = {0};
    const cJSON *item;
    cJSON_ArrayForEach(item, cli_json_field(json, "results"))
    {
        add_result(&sum, item);
    }
    return sum;
}

void report_verified(page *to, const char *path)
{
    cJSON *json = cli_json_load(path);
    const verified sum = verified_of(json);
    page_item(to, "%zu results passed, %zu did not, %zu were skipped.", sum.passed, sum.not_passed, sum.skipped);
    page_item(to,
              "Of those that passed, whole outputs were compared with the reference before timing (%zu), after it "
              "(%zu) and with new inputs (%zu): %.4g values in all.",
              sum.before, sum.after, sum.fresh, sum.values);
    if (sum.exact)
        page_item(to, "%zu of them had to be exact to the bit.", sum.exact);
    if (sum.worst_share > 0)
        page_item(to, "The largest error was %.2g of its bound.", sum.worst_share);
    if (sum.awkward > 0)
        page_item(to, "Each was right at up to %.0f other, awkward sizes as well.", sum.awkward);
    if (sum.counted)
        page_item(to,
                  "CUPTI counted kernels in %zu results; in %zu of them as many as the launch macro did (a graph's "
                  "kernels are one launch to the macro).",
                  sum.counted, sum.counted_alike);
    cJSON_Delete(json);
}

/* ---- targets and analysis ---- */

static const char *target_outcome(const cJSON *target)
{
    if (!cJSON_IsTrue(cli_json_field(target, "judged")))
        return "not judged";
    return cJSON_IsTrue(cli_json_field(target, "passed")) ? "reached" : PAGE_STRONG "missed" PAGE_STRONG;
}

static void target_row(page *to, const cJSON *target)
{
    char *name = cli_json_text(target, "name"), *kind = cli_json_text(target, "kind");
    char *stated = cli_json_text(target, "stated_for");
    char *wanted = report_number("%.4g", cli_json_number(target, "wanted"));
    char *measured = report_number("%.4g", cli_json_number(target, "measured"));
    page_cell(to, "%s", name);
    page_cell(to, "%s %s", strstr(kind, "at_most") ? "at most" : "at least", wanted);
    page_cell(to, "%s", measured);
    page_cell(to, "%s", target_outcome(target));
    page_cell(to, "%s", *stated ? stated : "any GPU");
    char *texts[] = {name, kind, stated, wanted, measured};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
}

void report_targets(page *to, const char *path)
{
    cJSON *json = cli_json_load(path);
    const cJSON *targets = cli_json_field(json, "targets"), *target;
    static const char *const heads[] = {"target", "wanted", "measured", "outcome", "stated for"};
    if (cJSON_GetArraySize(targets) > 0) {
        page_table(to, sizeof heads / sizeof heads[0], 0x6);
        for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
            page_cell(to, "%s", heads[i]);
        cJSON_ArrayForEach(target, targets)
        {
            target_row(to, target);
        }
    }
    cJSON_Delete(json);
}

void report_analysis(page *to, const char *path)
{
    cJSON *json = cli_json_load(path);
    const cJSON *item, *figures = cli_json_field(json, "figures"), *fits = cli_json_field(json, "fits");
    if (cJSON_GetArraySize(figures) + cJSON_GetArraySize(fits) > 0) {
        page_table(to, 2, 0x2);
        page_cell(to, "what follows from the points");
        page_cell(to, "value");
    }
    cJSON_ArrayForEach(item, figures)
    {
        char *name = cli_json_text(item, "name"), *unit = cli_json_text(item, "unit");
        char *value = report_number("%.4g", cli_json_number(item, "value"));
        page_cell(to, "%s", name);
        page_cell(to, "%s%s%s", value, *unit ? " " : "", unit);
        free(value);
        free(unit);
        free(name);
    }
    cJSON_ArrayForEach(item, fits)
    {
        char *name = cli_json_text(item, "name"), *unit = cli_json_text(item, "unit");
        page_cell(to, "line of %s", name);
        page_cell(to, "%.4g + %.4g x %s", cli_json_number(item, "intercept"), cli_json_number(item, "slope"), unit);
        free(unit);
        free(name);
    }
    cJSON_Delete(json);
}
