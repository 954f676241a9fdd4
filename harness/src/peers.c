#include "peers.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "pk/host.h"

enum { MOST_BYTES = 64 << 20 }; /* of a file; a long sweep with all its samples has a tenth */

static const cJSON *field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *text(const cJSON *object, const char *name)
{
    const char *value = cJSON_GetStringValue(field(object, name));
    return value ? value : "";
}

/* ---- one file ---- */

static char *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    char *source = file ? malloc(MOST_BYTES) : NULL;
    *bytes = source ? fread(source, 1, MOST_BYTES, file) : 0;
    const bool whole = source && *bytes > 0 && *bytes < MOST_BYTES && !ferror(file);
    if (file)
        (void)fclose(file);
    if (whole)
        return source;
    free(source);
    return NULL;
}

/* NULL when it fits: a result file of this lab, with its knobs, of this device. */
static const char *misfit(const pk_report *report, const cJSON *json)
{
    const cJSON *knobs = field(field(json, "lab"), "knobs"), *version = field(json, "version");
    if (strcmp(text(json, "schema"), "pk-result") != 0 || !cJSON_IsNumber(version) || version->valueint != 1)
        return "it is no result file of version 1";
    if (strcmp(text(field(json, "lab"), "id"), report->lab->id) != 0)
        return "it is of another lab";
    if (strcmp(text(field(json, "device"), "name"), report->device.name) != 0)
        return "it is of another device";
    if ((size_t)cJSON_GetArraySize(knobs) != report->knob_count)
        return "its knobs are not the lab's";
    for (size_t i = 0; i < report->knob_count; i++)
        if (strcmp(text(cJSON_GetArrayItem(knobs, (int)i), "name"), report->lab->knobs[i].name) != 0)
            return "its knobs are not the lab's";
    return NULL;
}

static bool read_knobs(long long *knobs, const pk_report *report, const cJSON *params)
{
    for (size_t i = 0; i < report->knob_count; i++) {
        const pk_knob *knob = &report->lab->knobs[i];
        const cJSON *value = field(params, knob->name);
        const double number = cJSON_IsNumber(value) ? value->valuedouble / pk_knob_in_units(knob, 1) : (double)NAN;
        if (!(fabs(number) < 1e15))
            return false;
        knobs[i] = llround(number);
    }
    return true;
}

static bool is_known(const pk_report *report, const char *variant, const long long *knobs)
{
    for (size_t i = 0; i < report->peer_count; i++)
        if (strcmp(report->peers[i].variant, variant) == 0 &&
            memcmp(report->peers[i].knobs, knobs, report->knob_count * sizeof *knobs) == 0)
            return true;
    return false;
}

/* Its variant and knobs are the report's from now on; false when memory is out. */
static bool keep(pk_report *report, const char *variant, long long *knobs, double us_per_token)
{
    pk_peer_point *larger = realloc(report->peers, (report->peer_count + 1) * sizeof *larger);
    char *name = strdup(variant);
    report->peers = larger ? larger : report->peers;
    if (!larger || !name) {
        free(name);
        free(knobs);
        return false;
    }
    report->peers[report->peer_count++] = (pk_peer_point){name, knobs, us_per_token};
    return true;
}

static pk_status take_point(pk_report *report, const cJSON *result, size_t *taken)
{
    const cJSON *us = field(field(result, "derived"), "us_per_token");
    if (strcmp(text(result, "status"), "pass") != 0 || strcmp(text(result, "cache"), "hot") != 0 ||
        !cJSON_IsNumber(us) || !(us->valuedouble > 0))
        return PK_OK;
    long long *knobs = calloc(report->knob_count + 1, sizeof *knobs);
    if (!knobs)
        return pk_out_of_memory(report->lab->id);
    if (!read_knobs(knobs, report, field(result, "params")) || is_known(report, text(result, "variant"), knobs)) {
        free(knobs);
        return PK_OK;
    }
    if (!keep(report, text(result, "variant"), knobs, us->valuedouble))
        return pk_out_of_memory(report->lab->id);
    ++*taken;
    return PK_OK;
}

static pk_status note_file(pk_report *report, const char *path)
{
    char **larger = realloc(report->peer_files, (report->peer_file_count + 1) * sizeof *larger);
    char *copy = strdup(path);
    report->peer_files = larger ? larger : report->peer_files;
    if (!larger || !copy) {
        free(copy);
        return pk_out_of_memory(report->lab->id);
    }
    report->peer_files[report->peer_file_count++] = copy;
    return PK_OK;
}

/* `*why`: what does not fit, and nothing was taken; NULL when it fits. */
static pk_status take_file(pk_report *report, const char *path, const char **why)
{
    size_t bytes, taken = 0;
    char *source = read_file(path, &bytes);
    cJSON *json = source ? cJSON_ParseWithLength(source, bytes) : NULL;
    pk_status status = PK_OK;
    *why = !source ? "it cannot be read" : misfit(report, json);
    const cJSON *result = *why ? NULL : cJSON_GetArrayItem(field(json, "results"), 0);
    for (; result && status == PK_OK; result = result->next)
        status = take_point(report, result, &taken);
    if (status == PK_OK && taken)
        status = note_file(report, path);
    cJSON_Delete(json);
    free(source);
    return status;
}

/* ---- a folder of runs ---- */

/* A run's folder begins with its time, so that the greatest name is of the newest. */
static int newest_first(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool ends_with(const char *name, const char *end)
{
    const size_t length = strlen(name), wanted = strlen(end);
    return length >= wanted && strcmp(name + length - wanted, end) == 0;
}

/* "lab04-torch.json", and no timeline. */
static bool is_peers(const char *name, const char *lab_id)
{
    const size_t length = strlen(lab_id);
    return strncmp(name, lab_id, length) == 0 && name[length] == '-' && ends_with(name, ".json") &&
           !ends_with(name, "-trace.json");
}

typedef pk_status visit_entry(pk_report *report, const char *path, const char *name);

static pk_status visit_folder(pk_report *report, const char *folder, visit_entry *visit)
{
    struct dirent **entries;
    const int count = scandir(folder, &entries, is_shown, newest_first);
    pk_status status = PK_OK;
    for (int i = 0; i < count; i++) {
        char path[4096];
        const int needed = snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (status == PK_OK && needed > 0 && (size_t)needed < sizeof path)
            status = visit(report, path, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return status;
}

static pk_status take_if_it_fits(pk_report *report, const char *path, const char *name)
{
    const char *why;
    return is_peers(name, report->lab->id) ? take_file(report, path, &why) : PK_OK;
}

static pk_status look_into(pk_report *report, const char *path, const char *name)
{
    struct stat found;
    (void)name;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode) ? visit_folder(report, path, take_if_it_fits) : PK_OK;
}

pk_status pk_peers_read(pk_report *report, const char *path)
{
    struct stat found;
    const char *why;
    if (stat(path, &found) != 0)
        return pk_fail(PK_USAGE, "%s: --peers=%s: %s; name a result file, or the folder of results", report->lab->id,
                       path, strerror(errno));
    if (S_ISDIR(found.st_mode))
        return visit_folder(report, path, look_into);
    const pk_status status = take_file(report, path, &why);
    if (status == PK_OK && why)
        return pk_fail(PK_USAGE, "%s: --peers=%s: %s; name what a peer of this lab wrote on this device",
                       report->lab->id, path, why);
    return status;
}
