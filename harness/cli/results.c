/* Reading result files back. */
#include "results.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evidence.h"
#include "json_read.h"
#include "pk/utf8.h"
#include "quote.h"
#include "timeline.h"

enum { MOST_OF_A_NAME = 40 /* letters of one that is refused, in the message */ };

/* ---- fields ---- */

/* What is said of a name that is none, in new memory. */
static char *odd_name(const char *what, const char *name)
{
    char *plain = cli_plain(name);
    char *said = cli_format("%s is named '%.*s', and names are letters, digits and . _ + -", what,
                            (int)pk_utf8_bytes(plain, MOST_OF_A_NAME), plain);
    free(plain);
    return said;
}

/* A name, which files, tables and scripts may hold as it is. Another one is remembered in `*odd`, to be refused when
 * all is read; "" where there is none, which only `optional` ones may be. */
static char *name_in(const cJSON *value, const char *what, bool optional, char **odd)
{
    const char *name = cJSON_GetStringValue(value);
    if (!*odd && !(name ? cli_is_name(name) : optional))
        *odd = odd_name(what, name ? name : "");
    return cli_copy(name ? name : "", name ? strlen(name) : 0);
}

static char *name(const cJSON *object, const char *what, bool optional, char **odd)
{
    return name_in(cli_json_field(object, what), what, optional, odd);
}

static cli_samples samples(const cJSON *timing, const char *name)
{
    const cJSON *object = cli_json_field(timing, name);
    cli_samples read = {NULL,
                        0,
                        cli_json_number(object, "median"),
                        cli_json_number(object, "p10"),
                        cli_json_number(object, "p90"),
                        cli_json_number(object, "p99")};
    const cJSON *values = cli_json_field(object, "samples"), *value;
    int count = cJSON_GetArraySize(values);
    if (count <= 0)
        return read;
    read.values = cli_grow(NULL, (size_t)count, sizeof *read.values);
    cJSON_ArrayForEach(value, values)
    {
        if (cJSON_IsNumber(value))
            read.values[read.count++] = value->valuedouble;
    }
    return read;
}

/* ---- the parts of a file ---- */

static void free_phases(cli_point *point)
{
    for (size_t i = 0; i < point->phase_count; i++)
        free(point->phases[i].name);
    free(point->phases);
    point->phases = NULL;
    point->phase_count = 0;
}

/* What did not pass has no time: whatever the file holds, no table, figure or comparison can show one. */
static void drop_times(cli_point *point)
{
    const cli_samples none = {NULL, 0, (double)NAN, (double)NAN, (double)NAN, (double)NAN};
    free(point->wall.values);
    free(point->token.values);
    point->wall = point->token = none;
    point->us_per_token = point->gb_per_s = point->percent_of_read_limit = (double)NAN;
    point->speedup = point->speedup_low = point->speedup_high = (double)NAN;
    point->submit_us_per_token = point->first_execute_us = (double)NAN;
    free_phases(point);
}

void cli_point_withdraw(cli_point *point, const char *reason)
{
    free(point->status);
    free(point->reason);
    point->status = cli_copy("withdrawn", strlen("withdrawn"));
    point->reason = cli_plain(reason);
    drop_times(point);
}

static void read_phases(const cJSON *parts, cli_point *point, char **odd)
{
    const cJSON *part;
    if (!cJSON_IsObject(parts))
        return;
    point->phases = cli_grow(NULL, (size_t)cJSON_GetArraySize(parts) + 1, sizeof *point->phases);
    cJSON_ArrayForEach(part, parts)
    {
        if (!*odd && !cli_is_name(part->string))
            *odd = odd_name("phase", part->string);
        point->phases[point->phase_count++] =
            (cli_phase){cli_copy(part->string, strlen(part->string)), cli_json_number(parts, part->string)};
    }
}

static void read_measures(const cJSON *measures, cli_point *point, char **odd)
{
    const cJSON *measure;
    if (!cJSON_IsObject(measures))
        return;
    point->measures = cli_grow(NULL, (size_t)cJSON_GetArraySize(measures) + 1, sizeof *point->measures);
    cJSON_ArrayForEach(measure, measures)
    {
        if (!*odd && !cli_is_name(measure->string))
            *odd = odd_name("measure", measure->string);
        point->measures[point->measure_count++] = (cli_measure){cli_copy(measure->string, strlen(measure->string)),
                                                                cli_json_number(measures, measure->string)};
    }
}

static void free_measures(cli_point *point)
{
    for (size_t i = 0; i < point->measure_count; i++)
        free(point->measures[i].name);
    free(point->measures);
    point->measures = NULL;
    point->measure_count = 0;
}

static void read_point(const cli_result *result, const cJSON *json, cli_point *point, char **odd)
{
    const cJSON *derived = cli_json_field(json, "derived"), *speedup = cli_json_field(json, "speedup");
    const cJSON *timing = cli_json_field(json, "timing"), *params = cli_json_field(json, "params");
    const cJSON *phases = cli_json_field(json, "phases"), *launches = cli_json_field(json, "launches");
    *point = (cli_point){
        .variant = name(json, "variant", false, odd),
        .role = name(json, "role", true, odd),
        .cache = name(json, "cache", true, odd),
        .status = name(json, "status", true, odd),
        .peer = cli_copy("", 0),
        .reason = cli_json_text(json, "reason"),
        .open_step = cli_json_text(json, "open_step"),
        .wall = samples(timing, "wall"),
        .token = samples(timing, "token"),
        .tokens = cli_json_number(derived, "tokens"),
        .us_per_token = cli_json_number(derived, "us_per_token"),
        .gb_per_s = cli_json_number(derived, "gb_per_s"),
        .percent_of_read_limit = cli_json_number(derived, "percent_of_read_limit"),
        .launches_per_token = cli_json_number(launches, "per_token"),
        .bytes_per_token = cli_json_number(derived, "bytes_per_token"),
        .flops_per_token = cli_json_number(derived, "flops_per_token"),
        .graph_replays_per_token = cli_json_number(launches, "graph_replays_per_token"),
        .speedup = cli_json_number(speedup, "median"),
        .speedup_low = cli_json_number(speedup, "low"),
        .speedup_high = cli_json_number(speedup, "high"),
        .predicted_us_per_token = cli_json_number(cli_json_field(json, "model"), "predicted_us_per_token"),
        .submit_us_per_token =
            cli_json_number(cli_json_field(timing, "submit"), "median") / cli_json_number(derived, "tokens"),
        .first_execute_us = cli_json_number(phases, "first_execute_us"),
        .held_bytes = cli_json_number(phases, "held_bytes"),
        .worst_error = cli_json_number(cli_json_field(cli_json_field(json, "validation"), "before"), "worst_error"),
    };
    read_phases(cli_json_field(phases, "parts_us"), point, odd);
    read_measures(cli_json_field(json, "measures"), point, odd);
    for (size_t i = 0; i < result->knob_count; i++)
        point->knobs[i] = cli_json_number(params, result->knob_names[i]);
    if (!cli_passed(point))
        drop_times(point);
}

static void read_device(cli_result *result, const cJSON *device)
{
    static const char *const names[CLI_LIMITS] = {"launch_us", "launch_sync_us", "gap_us", "read_gb_per_s"};
    result->backend = cli_json_text(device, "backend");
    result->kind = cli_json_text(device, "kind");
    result->device = cli_json_text(device, "name");
    result->arch = cli_json_text(device, "arch");
    result->processors = cli_json_number(device, "processors");
    for (size_t i = 0; i < CLI_LIMITS; i++)
        result->limits[i] = (cli_limit){
            names[i], cli_json_number(cli_json_field(cli_json_field(device, "limits"), names[i]), "median")};
}

static void read_environment(cli_result *result, const cJSON *environment)
{
    result->os = cli_json_text(environment, "os");
    result->cpu = cli_json_text(environment, "cpu");
    result->driver = cli_json_text(environment, "driver");
    result->toolkit = cli_json_text(environment, "toolkit");
    result->device_compiler = cli_json_text(environment, "device_compiler");
    result->flags = cli_json_text(environment, "flags");
}

static void read_steps(cli_result *result, const cJSON *run)
{
    const cJSON *steps = cli_json_field(run, "steps"), *step;
    if (!cJSON_IsObject(steps))
        return;
    result->steps = cli_grow(NULL, (size_t)cJSON_GetArraySize(steps) + 1, sizeof *result->steps);
    cJSON_ArrayForEach(step, steps)
    {
        result->steps[result->step_count++] =
            (cli_step_text){cli_plain(step->string), cli_json_text(steps, step->string)};
    }
}

static pk_status read_lab(cli_result *result, const cJSON *lab, char **odd)
{
    result->lab = name(lab, "id", true, odd);
    result->title = cli_json_text(lab, "title");
    const cJSON *knob, *choice;
    cJSON_ArrayForEach(knob, cli_json_field(lab, "knobs"))
    {
        if (result->knob_count == CLI_MOST_KNOBS)
            return pk_fail(PK_USAGE, "%s has more than %d knobs; use the labs that wrote it", result->path,
                           CLI_MOST_KNOBS);
        cli_names *choices = &result->knob_choices[result->knob_count];
        cJSON_ArrayForEach(choice, cli_json_field(knob, "choices"))
        {
            char *word = name_in(choice, "choice", false, odd);
            cli_names_add(choices, word);
            free(word);
        }
        result->knob_names[result->knob_count++] = name(knob, "name", false, odd);
    }
    return PK_OK;
}

static void read_arrays(cli_result *result, const cJSON *json, char **odd)
{
    const cJSON *item, *points = cli_json_field(json, "results"), *fits = cli_json_field(json, "fits");
    result->points = cli_grow(NULL, (size_t)cJSON_GetArraySize(points) + 1, sizeof *result->points);
    cJSON_ArrayForEach(item, points)
    {
        read_point(result, item, &result->points[result->point_count++], odd);
    }
    result->fits = cli_grow(NULL, (size_t)cJSON_GetArraySize(fits) + 1, sizeof *result->fits);
    cJSON_ArrayForEach(item, fits)
    {
        result->fits[result->fit_count++] =
            (cli_fit){cli_json_text(item, "name"), cli_json_number(item, "intercept"), cli_json_number(item, "slope")};
    }
}

static void read_targets(cli_result *result, const cJSON *targets)
{
    const cJSON *item;
    result->targets = cli_grow(NULL, (size_t)cJSON_GetArraySize(targets) + 1, sizeof *result->targets);
    cJSON_ArrayForEach(item, targets)
    {
        const char *kind = cJSON_GetStringValue(cli_json_field(item, "kind"));
        result->targets[result->target_count++] = (cli_target){
            .subject = cli_json_text(item, "subject"),
            .wanted = cli_json_number(item, "wanted"),
            .is_speedup = kind && !strcmp(kind, "speedup_at_least"),
            .judged = cJSON_IsTrue(cli_json_field(item, "judged")),
            .passed = cJSON_IsTrue(cli_json_field(item, "passed")),
        };
    }
}

static bool is_same_measurement(const cli_result *result, const cli_point *a, const cli_point *b)
{
    return cli_same_knobs(result, a->knobs, b->knobs) && !strcmp(a->variant, b->variant) && !strcmp(a->cache, b->cache);
}

/* What qsort compares points by: how many of their knobs there are. */
static size_t compared_knobs;

/* Results of one measurement become neighbours, the first of the file before its repeats. */
static int by_measurement(const void *a, const void *b)
{
    const cli_point *x = *(cli_point *const *)a, *y = *(cli_point *const *)b;
    int order = strcmp(x->variant, y->variant);
    order = order ? order : strcmp(x->cache, y->cache);
    for (size_t i = 0; i < compared_knobs && !order; i++)
        order = (x->knobs[i] > y->knobs[i]) - (x->knobs[i] < y->knobs[i]);
    return order ? order : (x > y) - (x < y);
}

/* The default point is measured first. A sweep may cover its knobs again: that is the sweep's point, a repeat. */
static void mark_points(cli_result *result)
{
    cli_point **sorted = cli_grow(NULL, result->point_count + 1, sizeof *sorted);
    for (size_t i = 0; i < result->point_count; i++)
        sorted[i] = &result->points[i];
    compared_knobs = result->knob_count;
    qsort(sorted, result->point_count, sizeof *sorted, by_measurement);
    for (size_t i = 0; i < result->point_count; i++) {
        cli_point *point = sorted[i];
        point->is_repeat = i > 0 && is_same_measurement(result, sorted[i - 1], point);
        point->is_default = !point->is_repeat && cli_same_knobs(result, point->knobs, result->points[0].knobs);
    }
    free(sorted);
}

/* As many times as fast as what did not pass is as fast as nothing: speedups, which are against the file's first
 * baseline, go where that has no time. */
static void drop_unfounded_speedups(cli_result *result)
{
    const char *baseline = NULL;
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *failed = &result->points[i];
        if (!baseline && !strcmp(failed->role, "baseline"))
            baseline = failed->variant;
        if (!baseline || strcmp(failed->variant, baseline) != 0 || cli_passed(failed))
            continue;
        for (size_t j = 0; j < result->point_count; j++) {
            cli_point *point = &result->points[j];
            if (!strcmp(point->cache, failed->cache) && cli_same_knobs(result, point->knobs, failed->knobs))
                point->speedup = point->speedup_low = point->speedup_high = (double)NAN;
        }
    }
}

static pk_status judge_kind(const cJSON *json, const char *path)
{
    const char *schema = cJSON_GetStringValue(cli_json_field(json, "schema"));
    const double version = cli_json_number(json, "version");
    if (!schema || strcmp(schema, "pk-result") != 0 || !cJSON_IsArray(cli_json_field(json, "results")))
        return pk_fail(PK_USAGE, "%s is not a result file; name one that a lab wrote, results/*/labNN.json", path);
    if (!(version >= 1 && version < 2))
        return pk_fail(PK_USAGE, "%s has version %g, this program reads version 1; use the labs that wrote it", path,
                       version);
    return PK_OK;
}

static pk_status read_document(cli_result *result, const cJSON *json, const char *path)
{
    const cJSON *run = cli_json_field(json, "run");
    char *odd = NULL;
    result->path = cli_copy(path, strlen(path));
    result->elsewhere = cli_copy("", 0);
    result->program = cli_json_text(run, "program");
    result->started_utc = cli_json_text(run, "started_utc");
    result->seed = cli_json_text(run, "seed");
    result->is_quick = cJSON_IsTrue(cli_json_field(run, "quick"));
    read_steps(result, run);
    read_targets(result, cli_json_field(json, "targets"));
    result->status = cli_json_text(json, "status");
    result->note = cli_json_text(json, "note");
    read_environment(result, cli_json_field(json, "environment"));
    read_device(result, cli_json_field(json, "device"));
    pk_status status = read_lab(result, cli_json_field(json, "lab"), &odd);
    if (status == PK_OK)
        read_arrays(result, json, &odd);
    if (status == PK_OK && odd)
        status = pk_fail(PK_USAGE, "%s is no file of a lab: its %s", path, odd);
    free(odd);
    if (status == PK_OK)
        status = cli_evidence_apply(result);
    if (status == PK_OK) {
        mark_points(result);
        drop_unfounded_speedups(result);
    }
    return status;
}

pk_status cli_result_load(cli_result *result, const char *path)
{
    memset(result, 0, sizeof *result);
    cJSON *json = cli_json_load(path);
    pk_status status = json ? judge_kind(json, path) : PK_USAGE;
    if (status == PK_OK)
        status = read_document(result, json, path);
    if (status != PK_OK)
        cli_result_free(result);
    cJSON_Delete(json);
    return status;
}

static void free_point(cli_point *point)
{
    char *texts[] = {point->variant, point->role,   point->cache,    point->status,
                     point->peer,    point->reason, point->open_step};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    free(point->wall.values);
    free(point->token.values);
    free_phases(point);
    free_measures(point);
}

void cli_result_free(cli_result *result)
{
    char *texts[] = {result->path,   result->lab,    result->title,   result->program,         result->started_utc,
                     result->seed,   result->driver, result->toolkit, result->device_compiler, result->flags,
                     result->status, result->note,   result->kind,    result->backend,         result->device,
                     result->arch,   result->os,     result->cpu,     result->elsewhere};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    for (size_t i = 0; i < result->knob_count; i++) {
        free(result->knob_names[i]);
        cli_names_free(&result->knob_choices[i]);
    }
    for (size_t i = 0; i < result->point_count; i++)
        free_point(&result->points[i]);
    for (size_t i = 0; i < result->fit_count; i++)
        free(result->fits[i].name);
    for (size_t i = 0; i < result->target_count; i++)
        free(result->targets[i].subject);
    for (size_t i = 0; i < result->step_count; i++) {
        free(result->steps[i].id);
        free(result->steps[i].digest);
    }
    for (size_t i = 0; i < result->published_count; i++) {
        free(result->published[i].name);
        free(result->published[i].source);
    }
    free(result->published);
    cli_names_free(&result->remarks);
    free(result->points);
    free(result->fits);
    free(result->targets);
    free(result->steps);
    cli_names_free(&result->peers);
    cli_names_free(&result->peers_started_utc);
    memset(result, 0, sizeof *result);
}

/* ---- results of several programs ---- */

void cli_note_difference(char **list, const char *what, const char *a, const char *b)
{
    if (!strcmp(a, b))
        return;
    char *longer = cli_format("%s%s%s (%s, %s)", *list, **list ? ", " : "", what, a, b);
    free(*list);
    *list = longer;
}

bool cli_same_knob_names(const cli_result *a, const cli_result *b)
{
    if (a->knob_count != b->knob_count)
        return false;
    for (size_t i = 0; i < a->knob_count; i++)
        if (strcmp(a->knob_names[i], b->knob_names[i]) != 0)
            return false;
    return true;
}

/* Have both the variant? A third program's may be there at other knobs: runs of one point each make a series. */
static const cli_point *clash(const cli_result *result, const cli_result *peer)
{
    for (size_t i = 0; i < peer->point_count; i++)
        for (size_t j = 0; j < result->point_count; j++)
            if (!strcmp(peer->points[i].variant, result->points[j].variant) &&
                (!result->points[j].peer[0] || is_same_measurement(result, &peer->points[i], &result->points[j])))
                return &peer->points[i];
    return NULL;
}

static pk_status judge_join(const cli_result *result, const cli_result *peer)
{
    if (strcmp(result->lab, peer->lab) != 0 || !cli_same_knob_names(result, peer))
        return pk_fail(PK_USAGE, "%s is of %s, and %s of %s%s; only results of one lab stand in one table",
                       result->path, result->lab, peer->path, peer->lab,
                       strcmp(result->lab, peer->lab) ? "" : " with other knobs");
    /* Not the backend: CUDA and HIP on one device are what one wants to see side by side. */
    char *differences = cli_copy("", 0);
    cli_note_difference(&differences, "device", result->device, peer->device);
    cli_note_difference(&differences, "arch", result->arch, peer->arch);
    pk_status status = PK_OK;
    const cli_point *both = clash(result, peer);
    if (*differences)
        status = pk_fail(PK_USAGE, "%s and %s differ in %s; only results of one device stand in one table",
                         result->path, peer->path, differences);
    else if (both)
        status = pk_fail(PK_USAGE, "%s and %s both have the variant '%s'; ./lab compare compares two runs",
                         result->path, peer->path, both->variant);
    free(differences);
    return status;
}

pk_status cli_result_join(cli_result *result, cli_result *peer)
{
    pk_status status = judge_join(result, peer);
    if (status != PK_OK)
        return status;
    result->points = cli_grow(result->points, result->point_count + peer->point_count, sizeof *result->points);
    for (size_t i = 0; i < peer->point_count; i++) {
        cli_point *point = &result->points[result->point_count++];
        *point = peer->points[i];
        free(point->peer);
        point->peer = cli_copy(peer->program, strlen(peer->program));
        point->speedup = point->speedup_low = point->speedup_high = (double)NAN;
    }
    peer->point_count = 0;
    mark_points(result);
    cli_names_add(&result->peers, peer->program);
    cli_names_add(&result->peers_started_utc, peer->started_utc);
    return PK_OK;
}

pk_status cli_no_results(void)
{
    return pk_fail(PK_USAGE, "there are no results yet; make some with ./lab run 01 --baseline");
}

/* The first file of the lab's own program, whatever the order in which a shell has named them: what the others are
 * shown beside. Without one the first file. */
static pk_status first_own(const cli_together *group, size_t *own)
{
    pk_status status = PK_OK;
    bool is_own = group->count < 2;
    *own = 0;
    for (size_t i = 0; i < group->count && !is_own && status == PK_OK; i++) {
        cli_result result;
        status = cli_result_load(&result, group->names[i]);
        if (status != PK_OK)
            break;
        is_own = strncmp(result.program, result.lab, strlen(result.lab)) == 0;
        cli_result_free(&result);
        *own = is_own ? i : 0;
    }
    return status;
}

pk_status cli_result_load_group(cli_result *result, const cli_together *group)
{
    size_t own;
    pk_status status = first_own(group, &own);
    if (status == PK_OK)
        status = cli_result_load(result, group->names[own]);
    if (status != PK_OK)
        return status;
    for (size_t i = 0; i < group->count && status == PK_OK; i++) {
        cli_result peer;
        if (i == own)
            continue;
        status = cli_result_load(&peer, group->names[i]);
        if (status == PK_OK) {
            status = cli_result_join(result, &peer);
            cli_result_free(&peer);
        }
        if (status != PK_OK)
            cli_result_free(result);
    }
    return status;
}

/* ---- what the commands ask of a result ---- */

bool cli_passed(const cli_point *point)
{
    return !strcmp(point->status, "pass");
}

bool cli_same_knobs(const cli_result *result, const double *a, const double *b)
{
    for (size_t i = 0; i < result->knob_count; i++)
        if (a[i] < b[i] || a[i] > b[i])
            return false;
    return true;
}

char *cli_knob_text(const cli_result *result, size_t knob, double value)
{
    const cli_names *choices = &result->knob_choices[knob];
    for (size_t i = 0; i < choices->count; i++)
        if (!((double)i < value) && !((double)i > value))
            return cli_copy(choices->names[i], strlen(choices->names[i]));
    return cli_format("%.15g", value);
}

char *cli_knobs_text(const cli_result *result, const double *knobs)
{
    char *line = cli_copy("", 0);
    for (size_t i = 0; i < result->knob_count; i++) {
        char *value = cli_knob_text(result, i, knobs[i]);
        char *longer = cli_format("%s%s%s=%s", line, i ? " " : "", result->knob_names[i], value);
        free(value);
        free(line);
        line = longer;
    }
    return line;
}

char *cli_knobs_apart(const cli_result *result, const cli_point *point)
{
    char *line = cli_copy("", 0);
    for (size_t i = 0; i < result->knob_count; i++) {
        const double *usual = &cli_headline(result)->knobs[i];
        if (!(point->knobs[i] < *usual || point->knobs[i] > *usual))
            continue;
        char *value = cli_knob_text(result, i, point->knobs[i]);
        char *longer = cli_format("%s%s%s=%s", line, *line ? " " : "", result->knob_names[i], value);
        free(value);
        free(line);
        line = longer;
    }
    return line;
}

const cli_point *cli_headline(const cli_result *result)
{
    return result->point_count ? result->points : NULL;
}

bool cli_has_sweep(const cli_result *result)
{
    for (size_t i = 0; i < result->point_count; i++)
        if (!result->points[i].is_default)
            return true;
    return false;
}

bool cli_is_students(const cli_result *result)
{
    const char *role = strrchr(result->program, '_');
    return role && !strcmp(role, "_optimized");
}

bool cli_has_text(const cli_result *result, const pk_step *step)
{
    char digest[PK_STEP_DIGEST_BYTES];
    pk_step_digest_text(digest, step);
    for (size_t i = 0; i < result->step_count; i++)
        if (!strcmp(result->steps[i].id, step->id))
            return !strcmp(result->steps[i].digest, digest);
    return false;
}

bool cli_is_cpu_device(const cli_result *result)
{
    return strcmp(result->kind, "gpu") != 0;
}

/* ---- where results are ---- */

static bool is_wanted(const char *path, bool (*wanted)(const cli_result *result))
{
    cli_result result;
    if (!cli_exists(path))
        return false;
    if (!wanted)
        return true;
    if (cli_result_load(&result, path) != PK_OK)
        return false;
    bool found = wanted(&result);
    cli_result_free(&result);
    return found;
}

char *cli_newest_result(const char *lab_id, bool (*wanted)(const cli_result *result))
{
    char *root = cli_format("%s/results", cli_source());
    cli_names folders = cli_list_folder(root, "2", "");
    char *path = NULL;
    for (size_t i = folders.count; i-- > 0 && !path;) {
        path = cli_format("%s/%s/%s.json", root, folders.names[i], lab_id);
        if (!is_wanted(path, wanted)) {
            free(path);
            path = NULL;
        }
    }
    cli_names_free(&folders);
    free(root);
    return path;
}

void cli_visit_students(const char *lab_id, bool (*visit)(const cli_result *result, void *context), void *context)
{
    char *root = cli_format("%s/results", cli_source());
    cli_names folders = cli_list_folder(root, "2", "");
    bool enough = false;
    for (size_t i = folders.count; i-- > 0 && !enough;) {
        cli_result result;
        char *path = cli_format("%s/%s/%s.json", root, folders.names[i], lab_id);
        if (cli_exists(path) && cli_result_load(&result, path) == PK_OK) {
            enough = cli_is_students(&result) && visit(&result, context);
            cli_result_free(&result);
        }
        free(path);
    }
    cli_names_free(&folders);
    free(root);
}

/* ---- which of a lab's results a command shows that was given none ---- */

static bool is_timed(const cli_result *result)
{
    for (size_t i = 0; i < result->point_count; i++)
        if (isfinite(result->points[i].us_per_token))
            return true;
    return false;
}

/* Better is more: a program of the student's before all others, a timed run before one without times, a full run before
 * a quick one. */
static int worth(const cli_result *result)
{
    const bool solution = strstr(result->program, "_solution") != NULL;
    return (cli_is_students(result) ? 8 : solution ? 4 : 0) + 2 * is_timed(result) + !result->is_quick;
}
enum { BEST = 11 };

static const char *whose(const cli_result *result)
{
    return cli_is_students(result) ? "yours" : strstr(result->program, "_solution") ? "the solution's" : "another's";
}

/* "a quick run of the solution's, 2026-01-31T23:59:59Z" */
static char *described(const cli_result *result)
{
    return cli_format("a %s%s%s, %s", result->is_quick ? "quick run of " : "run of ", whose(result),
                      is_timed(result) ? "" : " without times", result->started_utc);
}

/* "NAME: PATH, WHAT. Passed over: WHAT; WHAT; and 3 more." In new memory; `chosen` is an index into both lists. */
static char *choice_said(const char *lab_id, const cli_names *paths, const cli_names *whats, size_t chosen)
{
    enum { NAMED = 2 };
    char *line = cli_format("%s: %s, %s.", lab_id, cli_relative(paths->names[chosen]), whats->names[chosen]);
    size_t named = 0;
    for (size_t i = 0; i < whats->count && named < NAMED; i++) {
        if (i == chosen)
            continue;
        char *longer = cli_format("%s%s %s", line, named++ ? ";" : " Passed over:", whats->names[i]);
        free(line);
        line = longer;
    }
    if (named) {
        const size_t more = whats->count - 1 - named;
        char *longer = more ? cli_format("%s; and %zu more.", line, more) : cli_format("%s.", line);
        free(line);
        line = longer;
    }
    return line;
}

cli_choice cli_choose_result(const char *lab_id)
{
    char *root = cli_format("%s/results", cli_source());
    cli_names folders = cli_list_folder(root, "2", ""), paths = {NULL, 0}, whats = {NULL, 0};
    cli_choice choice = {NULL, NULL};
    int best = -1;
    size_t chosen = 0;
    for (size_t i = folders.count; i-- > 0 && best < BEST;) {
        cli_result result;
        char *path = cli_format("%s/%s/%s.json", root, folders.names[i], lab_id);
        if (cli_exists(path) && cli_result_load(&result, path) == PK_OK) {
            char *what = described(&result);
            cli_names_add(&paths, path);
            cli_names_add(&whats, what);
            free(what);
            if (worth(&result) > best) {
                best = worth(&result);
                chosen = paths.count - 1;
            }
            cli_result_free(&result);
        }
        free(path);
    }
    if (paths.count) {
        choice.path = cli_copy(paths.names[chosen], strlen(paths.names[chosen]));
        choice.said = choice_said(lab_id, &paths, &whats, chosen);
    }
    cli_names_free(&whats);
    cli_names_free(&paths);
    cli_names_free(&folders);
    free(root);
    return choice;
}

void cli_choice_free(cli_choice *choice)
{
    free(choice->path);
    free(choice->said);
    *choice = (cli_choice){NULL, NULL};
}

void cli_groups_add(cli_groups *groups, const char *path)
{
    groups->groups = cli_grow(groups->groups, groups->count + 1, sizeof *groups->groups);
    groups->groups[groups->count] = (cli_together){NULL, 0};
    cli_names_add(&groups->groups[groups->count++], path);
}

void cli_groups_add_beside(cli_groups *groups, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *folder = slash ? cli_copy(path, (size_t)(slash - path)) : cli_copy(".", 1);
    char *prefix = cli_format("%.*s-", (int)strcspn(name, "."), name);
    cli_names peers = cli_list_folder(folder, prefix, ".json");
    cli_groups_add(groups, path);
    for (size_t i = 0; i < peers.count; i++) {
        if (timeline_is_name(peers.names[i]))
            continue;
        char *peer = cli_format("%s/%s", folder, peers.names[i]);
        cli_names_add(&groups->groups[groups->count - 1], peer);
        free(peer);
    }
    cli_names_free(&peers);
    free(prefix);
    free(folder);
}

void cli_groups_free(cli_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++)
        cli_names_free(&groups->groups[i]);
    free(groups->groups);
    *groups = (cli_groups){NULL, 0};
}

/* The group of lab02.json, when `path` is that of a lab02-triton.json in the same folder. */
static cli_together *group_beside(cli_groups *groups, const char *path)
{
    const char *name = strrchr(path, '/'), *dash = strchr(name ? name : path, '-');
    for (size_t i = 0; dash && i < groups->count; i++) {
        const char *own = groups->groups[i].names[0];
        const size_t length = (size_t)(dash - path);
        if (!strncmp(own, path, length) && !strcmp(own + length, ".json"))
            return &groups->groups[i];
    }
    return NULL;
}

static void add_folder(cli_groups *groups, const char *folder)
{
    cli_names files = cli_list_folder(folder, "lab", ".json");
    for (size_t pass = 0; pass < 2; pass++) { /* the labs' own first: those that have no dash */
        for (size_t i = 0; i < files.count; i++) {
            if ((strchr(files.names[i], '-') != NULL) != (pass == 1) || timeline_is_name(files.names[i]))
                continue;
            char *path = cli_format("%s/%s", folder, files.names[i]);
            cli_together *group = group_beside(groups, path);
            if (group)
                cli_names_add(group, path);
            else
                cli_groups_add(groups, path);
            free(path);
        }
    }
    cli_names_free(&files);
}

pk_status cli_result_groups(const char *const *words, size_t word_count, cli_groups *groups)
{
    *groups = (cli_groups){NULL, 0};
    for (size_t i = 0; i < word_count; i++)
        if (word_count > 1 && cli_is_folder(words[i]))
            return pk_fail(PK_USAGE, "%s is a folder; name result files, or one folder alone", words[i]);
    if (!cli_is_folder(words[0])) {
        cli_groups_add(groups, words[0]);
        for (size_t i = 1; i < word_count; i++)
            cli_names_add(&groups->groups[0], words[i]);
        return PK_OK;
    }
    char *folder = cli_copy(words[0], strlen(words[0]));
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        folder[--length] = '\0';
    add_folder(groups, folder);
    free(folder);
    return groups->count ? PK_OK
                         : pk_fail(PK_USAGE, "no result files (lab*.json) in %s; see ./lab run --help", words[0]);
}
