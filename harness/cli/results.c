/* Reading result files back. */
#include "results.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

/* ---- fields ---- */

static const cJSON *field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static double number(const cJSON *object, const char *name)
{
    const cJSON *item = field(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

static char *text(const cJSON *object, const char *name)
{
    const char *value = cJSON_GetStringValue(field(object, name));
    return cli_copy(value ? value : "", value ? strlen(value) : 0);
}

static cli_samples samples(const cJSON *timing, const char *name)
{
    const cJSON *object = field(timing, name);
    cli_samples read = {
        NULL, 0, number(object, "median"), number(object, "p10"), number(object, "p90"), number(object, "p99")};
    const cJSON *values = field(object, "samples"), *value;
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

static void read_point(const cli_result *result, const cJSON *json, cli_point *point)
{
    const cJSON *derived = field(json, "derived"), *speedup = field(json, "speedup");
    const cJSON *timing = field(json, "timing"), *params = field(json, "params");
    *point = (cli_point){
        .variant = text(json, "variant"),
        .role = text(json, "role"),
        .cache = text(json, "cache"),
        .status = text(json, "status"),
        .peer = cli_copy("", 0),
        .reason = text(json, "reason"),
        .open_step = text(json, "open_step"),
        .wall = samples(timing, "wall"),
        .token = samples(timing, "token"),
        .tokens = number(derived, "tokens"),
        .us_per_token = number(derived, "us_per_token"),
        .gb_per_s = number(derived, "gb_per_s"),
        .percent_of_read_limit = number(derived, "percent_of_read_limit"),
        .launches_per_token = number(field(json, "launches"), "per_token"),
        .speedup = number(speedup, "median"),
        .speedup_low = number(speedup, "low"),
        .speedup_high = number(speedup, "high"),
        .predicted_us_per_token = number(field(json, "model"), "predicted_us_per_token"),
    };
    for (size_t i = 0; i < result->knob_count; i++)
        point->knobs[i] = number(params, result->knob_names[i]);
}

static void read_device(cli_result *result, const cJSON *device)
{
    static const char *const names[CLI_LIMITS] = {"launch_us", "launch_sync_us", "gap_us", "read_gb_per_s"};
    result->backend = text(device, "backend");
    result->kind = text(device, "kind");
    result->device = text(device, "name");
    result->arch = text(device, "arch");
    result->processors = number(device, "processors");
    for (size_t i = 0; i < CLI_LIMITS; i++)
        result->limits[i] = (cli_limit){names[i], number(field(field(device, "limits"), names[i]), "median")};
}

static pk_status read_lab(cli_result *result, const cJSON *lab)
{
    result->lab = text(lab, "id");
    result->title = text(lab, "title");
    const cJSON *knob, *choice;
    cJSON_ArrayForEach(knob, field(lab, "knobs"))
    {
        if (result->knob_count == CLI_MOST_KNOBS)
            return pk_fail(PK_USAGE, "%s has more than %d knobs; use the labs that wrote it", result->path,
                           CLI_MOST_KNOBS);
        cli_names *choices = &result->knob_choices[result->knob_count];
        cJSON_ArrayForEach(choice, field(knob, "choices"))
        {
            cli_names_add(choices, cJSON_IsString(choice) ? choice->valuestring : "");
        }
        result->knob_names[result->knob_count++] = text(knob, "name");
    }
    return PK_OK;
}

static void read_arrays(cli_result *result, const cJSON *json)
{
    const cJSON *item, *points = field(json, "results"), *fits = field(json, "fits");
    result->points = cli_grow(NULL, (size_t)cJSON_GetArraySize(points) + 1, sizeof *result->points);
    cJSON_ArrayForEach(item, points)
    {
        read_point(result, item, &result->points[result->point_count++]);
    }
    result->fits = cli_grow(NULL, (size_t)cJSON_GetArraySize(fits) + 1, sizeof *result->fits);
    cJSON_ArrayForEach(item, fits)
    {
        result->fits[result->fit_count++] =
            (cli_fit){text(item, "name"), number(item, "intercept"), number(item, "slope")};
    }
}

static bool is_same_measurement(const cli_result *result, const cli_point *a, const cli_point *b)
{
    return cli_same_knobs(result, a->knobs, b->knobs) && !strcmp(a->variant, b->variant) && !strcmp(a->cache, b->cache);
}

/* The default point is measured first. A sweep may cover its knobs again: that is the sweep's point, a repeat. */
static void mark_points(cli_result *result)
{
    for (size_t i = 0; i < result->point_count; i++) {
        cli_point *point = &result->points[i];
        point->is_repeat = false;
        for (size_t j = 0; j < i && !point->is_repeat; j++)
            point->is_repeat = is_same_measurement(result, point, &result->points[j]);
        point->is_default = !point->is_repeat && cli_same_knobs(result, point->knobs, result->points[0].knobs);
    }
}

pk_status cli_result_load(cli_result *result, const char *path)
{
    memset(result, 0, sizeof *result);
    char *source = cli_read_file(path);
    if (!source) {
        pk_fail(PK_USAGE, "cannot read %s: %s; name a result file, results/*/labNN.json", path, strerror(errno));
        return PK_USAGE;
    }
    cJSON *json = cJSON_Parse(source);
    free(source);
    const char *schema = cJSON_GetStringValue(field(json, "schema"));
    double version = number(json, "version");
    if (!schema || strcmp(schema, "pk-result") != 0 || !cJSON_IsArray(field(json, "results"))) {
        cJSON_Delete(json);
        pk_fail(PK_USAGE, "%s is not a result file; name one that a lab wrote, results/*/labNN.json", path);
        return PK_USAGE;
    }
    if (!(version >= 1 && version < 2)) {
        cJSON_Delete(json);
        pk_fail(PK_USAGE, "%s has version %g, this program reads version 1; use the labs that wrote it", path, version);
        return PK_USAGE;
    }
    const cJSON *run = field(json, "run");
    result->path = cli_copy(path, strlen(path));
    result->program = text(run, "program");
    result->started_utc = text(run, "started_utc");
    result->status = text(json, "status");
    result->note = text(json, "note");
    read_device(result, field(json, "device"));
    const pk_status read = read_lab(result, field(json, "lab"));
    if (read == PK_OK) {
        read_arrays(result, json);
        mark_points(result);
    } else {
        cli_result_free(result);
    }
    cJSON_Delete(json);
    return read;
}

static void free_point(cli_point *point)
{
    char *texts[] = {point->variant, point->role,   point->cache,    point->status,
                     point->peer,    point->reason, point->open_step};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    free(point->wall.values);
    free(point->token.values);
}

void cli_result_free(cli_result *result)
{
    char *texts[] = {result->path, result->lab,  result->title,   result->program, result->started_utc, result->status,
                     result->note, result->kind, result->backend, result->device,  result->arch};
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
    free(result->points);
    free(result->fits);
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

pk_status cli_result_load_group(cli_result *result, const cli_together *group)
{
    pk_status status = cli_result_load(result, group->names[0]);
    for (size_t i = 1; i < group->count && status == PK_OK; i++) {
        cli_result peer;
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

void cli_groups_add(cli_groups *groups, const char *path)
{
    groups->groups = cli_grow(groups->groups, groups->count + 1, sizeof *groups->groups);
    groups->groups[groups->count] = (cli_together){NULL, 0};
    cli_names_add(&groups->groups[groups->count++], path);
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
            if ((strchr(files.names[i], '-') != NULL) != (pass == 1))
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

static void add_newest_folder(cli_groups *groups)
{
    char *root = cli_format("%s/results", cli_source());
    cli_names folders = cli_list_folder(root, "2", "");
    for (size_t i = folders.count; i-- > 0 && groups->count == 0;) {
        char *folder = cli_format("%s/%s", root, folders.names[i]);
        add_folder(groups, folder);
        free(folder);
    }
    cli_names_free(&folders);
    free(root);
}

pk_status cli_result_groups(const char *const *words, size_t word_count, cli_groups *groups)
{
    *groups = (cli_groups){NULL, 0};
    if (!word_count) {
        add_newest_folder(groups);
        if (!groups->count)
            return pk_fail(PK_USAGE, "there are no results yet; make some with ./lab run 01 --baseline");
        return PK_OK;
    }
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
