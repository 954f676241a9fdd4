/* Reads a timeline back. A line of the file holds one event (trace_json.h of the harness), so that a file of a hundred
 * megabytes takes no more memory than its events. */
#include "timeline.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cjson/cJSON.h>

#include "pk/result.h"
#include "quote.h"

#define NAME_END "-trace.json"

enum { MOST_EVENTS = 1 << 20, MOST_VARIANTS = 64, MOST_LINE = 1 << 20, FIRST_STREAM = 1000 };

bool timeline_is_name(const char *file_name)
{
    const size_t length = strlen(file_name), end = strlen(NAME_END);
    return length > end && strcmp(file_name + length - end, NAME_END) == 0;
}

char *timeline_path(const char *result_path)
{
    const size_t length = strlen(result_path), end = strlen(".json");
    const bool cut = length > end && strcmp(result_path + length - end, ".json") == 0;
    return cli_format("%.*s" NAME_END, (int)(cut ? length - end : length), result_path);
}

static const cJSON *field(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *text(const cJSON *object, const char *name)
{
    const char *value = cJSON_GetStringValue(field(object, name));
    return value ? value : "";
}

/* NaN where there is none, or where it is no time. */
static double number(const cJSON *object, const char *name)
{
    const cJSON *item = field(object, name);
    const bool plain = cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 1e15;
    return plain ? item->valuedouble : (double)NAN;
}

/* ---- the heading ---- */

static pk_status check_heading(const cJSON *heading, const char *path, const cli_result *result)
{
    char *device = cli_plain(text(heading, "device"));
    pk_status status = PK_OK;
    if (strcmp(text(heading, "form"), "pk-trace 1") != 0)
        status = pk_fail(PK_USAGE, "%s is no timeline that --trace wrote; record it again", path);
    else if (strcmp(text(heading, "lab"), result->lab) != 0 || strcmp(device, result->device) != 0)
        status = pk_fail(PK_USAGE, "%s is of another lab or device than its result; record it with the result", path);
    free(device);
    return status;
}

static pk_status read_variants(timeline *all, const cJSON *heading, const char *path)
{
    const cJSON *variant, *variants = field(heading, "variants");
    all->variants = cli_grow(NULL, MOST_VARIANTS, sizeof *all->variants);
    cJSON_ArrayForEach(variant, variants)
    {
        const char *name = text(variant, "variant");
        if (all->count == MOST_VARIANTS || !cli_is_name(name) || number(variant, "pid") != (double)(all->count + 1))
            return pk_fail(PK_USAGE, "%s: its variants are not as --trace writes them; record it again", path);
        all->variants[all->count++] = (timeline_variant){.name = cli_copy(name, strlen(name))};
    }
    return PK_OK;
}

/* ---- events ---- */

static bool find_kind(const char *category, timeline_bar *bar)
{
    static const struct {
        const char *category;
        timeline_kind kind;
        bool is_launch;
    } kinds[] = {{"launch", TIMELINE_SUBMISSION, true},
                 {"graph launch", TIMELINE_SUBMISSION, true},
                 {"copy call", TIMELINE_SUBMISSION, false},
                 {"fill call", TIMELINE_SUBMISSION, false},
                 {"wait", TIMELINE_WAIT, false},
                 {"call", TIMELINE_CALL, false},
                 {"kernel", TIMELINE_KERNEL, false},
                 {"copy", TIMELINE_TRANSFER, false},
                 {"fill", TIMELINE_TRANSFER, false},
                 {"host function", TIMELINE_TRANSFER, false}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].category, category) != 0)
            continue;
        bar->kind = kinds[i].kind;
        bar->is_launch = kinds[i].is_launch;
        return true;
    }
    return false;
}

/* Room for one element more behind `count`: the array doubles. */
static void *with_room(void *array, size_t count, size_t element)
{
    return count & (count - 1) || count == 1 ? array : cli_grow(array, count ? 2 * count : 2, element);
}

static bool add_event(timeline *all, const cJSON *event)
{
    const char *phase = text(event, "ph");
    const double pid = number(event, "pid"), begin = number(event, "ts"), duration = number(event, "dur");
    const double track = number(event, "tid");
    if (strcmp(phase, "X") != 0 && strcmp(phase, "i") != 0)
        return true; /* names and arrows */
    if (!(pid >= 1 && pid <= (double)all->count) || isnan(begin) || !(track < 100000))
        return false;
    timeline_variant *variant = &all->variants[(size_t)pid - 1];
    if (*phase == 'i') {
        variant->tokens_us = with_room(variant->tokens_us, variant->token_count, sizeof *variant->tokens_us);
        variant->tokens_us[variant->token_count++] = begin;
        return true;
    }
    timeline_bar bar = {.begin_us = begin, .end_us = begin + duration};
    if (isnan(duration) || !find_kind(text(event, "cat"), &bar))
        return false;
    bar.track = track >= (double)FIRST_STREAM ? (unsigned)track - FIRST_STREAM + 1 : 0;
    variant->tracks = bar.track > variant->tracks ? bar.track : variant->tracks;
    variant->bars = with_room(variant->bars, variant->bar_count, sizeof *variant->bars);
    variant->bars[variant->bar_count++] = bar;
    return true;
}

static int by_track_and_time(const void *left, const void *right)
{
    const timeline_bar *a = left, *b = right;
    if (a->track != b->track)
        return a->track < b->track ? -1 : 1;
    return (a->begin_us > b->begin_us) - (a->begin_us < b->begin_us);
}

static int by_number(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void sort_events(timeline *all)
{
    for (size_t i = 0; i < all->count; i++) {
        timeline_variant *variant = &all->variants[i];
        if (variant->bar_count)
            qsort(variant->bars, variant->bar_count, sizeof *variant->bars, by_track_and_time);
        if (variant->token_count)
            qsort(variant->tokens_us, variant->token_count, sizeof *variant->tokens_us, by_number);
    }
}

/* ---- the file ---- */

/* The JSON of a line, behind `prefix` and before a comma; NULL when it is none. */
static cJSON *parse_line(const char *line, ssize_t length, const char *prefix)
{
    const size_t skipped = strlen(prefix);
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == ','))
        length--;
    if (length > MOST_LINE || (size_t)length <= skipped || strncmp(line, prefix, skipped) != 0)
        return NULL;
    return cJSON_ParseWithLength(line + skipped, (size_t)length - skipped);
}

static pk_status read_lines(timeline *all, FILE *file, char **line, size_t *room, const char *path,
                            const cli_result *result)
{
    bool whole = false;
    size_t events = 0;
    (void)getline(line, room, file); /* the opening; the heading follows */
    const ssize_t heading_length = getline(line, room, file);
    cJSON *heading = heading_length > 0 ? parse_line(*line, heading_length, "\"otherData\":") : NULL;
    pk_status status = check_heading(heading, path, result);
    if (status == PK_OK)
        status = read_variants(all, heading, path);
    cJSON_Delete(heading);
    (void)getline(line, room, file); /* "traceEvents":[ */
    for (ssize_t length; status == PK_OK && !whole && (length = getline(line, room, file)) > 0;) {
        whole = strcmp(*line, "]}\n") == 0;
        cJSON *event = whole ? NULL : parse_line(*line, length, "");
        if (!whole && (!event || !add_event(all, event) || ++events > MOST_EVENTS))
            status = pk_fail(PK_USAGE, "%s: event %zu is not as --trace writes it; record it again", path, events + 1);
        cJSON_Delete(event);
    }
    if (status == PK_OK && !whole)
        status = pk_fail(PK_USAGE, "%s is cut short; record it again", path);
    return status;
}

pk_status timeline_load(timeline *all, const char *path, const cli_result *result)
{
    *all = (timeline){NULL, 0};
    FILE *file = fopen(path, "r");
    if (!file)
        return pk_fail(PK_USAGE, "cannot read %s: %s", path, strerror(errno));
    char *line = NULL;
    size_t room = 0;
    const pk_status status = read_lines(all, file, &line, &room, path, result);
    free(line);
    (void)fclose(file);
    if (status == PK_OK)
        sort_events(all);
    else
        timeline_free(all);
    return status;
}

void timeline_free(timeline *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->variants[i].name);
        free(all->variants[i].bars);
        free(all->variants[i].tokens_us);
    }
    free(all->variants);
    *all = (timeline){NULL, 0};
}
