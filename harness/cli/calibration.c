#include "calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"

/* What every run measures before anything else: docs/measuring.md. */
static const struct {
    const char *name, *what;
} limits[] = {
    {"launch_us", "t_L: issue of a launch, back to back"},
    {"launch_sync_us", "a launch and a wait"},
    {"gap_us", "from one queued kernel to the next"},
    {"read_gb_per_s", "B_read: read from memory"},
};

static char *copied(const char *text)
{
    return cli_copy(text, strlen(text));
}

static cli_figure *next_figure(cli_calibration *calibration)
{
    calibration->figures = cli_grow(calibration->figures, calibration->count + 1, sizeof *calibration->figures);
    return &calibration->figures[calibration->count++];
}

static void read_limits(cli_calibration *calibration, const cJSON *json)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const cJSON *limit = cli_json_field(json, limits[i].name);
        if (!cJSON_IsObject(limit))
            continue;
        *next_figure(calibration) = (cli_figure){copied(limits[i].name),
                                                 cli_json_text(limit, "unit"),
                                                 copied(limits[i].what),
                                                 copied("pass"),
                                                 copied(""),
                                                 cli_json_number(limit, "median"),
                                                 cli_json_number(limit, "p10"),
                                                 cli_json_number(limit, "p90"),
                                                 cli_json_number(limit, "count")};
    }
}

static void read_figures(cli_calibration *calibration, const cJSON *json)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json)
    {
        cli_figure *figure = next_figure(calibration);
        *figure =
            (cli_figure){cli_json_text(item, "name"),   cli_json_text(item, "unit"),   cli_json_text(item, "what"),
                         cli_json_text(item, "status"), cli_json_text(item, "reason"), cli_json_number(item, "median"),
                         cli_json_number(item, "p10"),  cli_json_number(item, "p90"),  cli_json_number(item, "count")};
        if (strcmp(figure->status, "pass") != 0) /* whatever the file holds: what is not right has no figure */
            figure->median = figure->p10 = figure->p90 = (double)NAN;
    }
}

/* A time or a rate is above 0, and p10 to p90 has the median in it: else nothing can be reckoned with it. */
static pk_status judge_figures(const cli_calibration *calibration)
{
    for (size_t i = 0; i < calibration->count; i++) {
        const cli_figure *figure = &calibration->figures[i];
        if (strcmp(figure->status, "pass") != 0)
            continue;
        if (!(figure->median > 0 && figure->p10 <= figure->median && figure->median <= figure->p90))
            return pk_fail(PK_USAGE, "%s: %s is %g, between %g and %g, which no device measures; calibrate again",
                           calibration->path, figure->name, figure->median, figure->p10, figure->p90);
    }
    if (!calibration->count)
        return pk_fail(PK_USAGE, "%s holds no limits of its device; name a calibration or a lab's own result file",
                       calibration->path);
    return PK_OK;
}

static pk_status read_document(cli_calibration *calibration, const cJSON *json, const char *path)
{
    const char *schema = cJSON_GetStringValue(cli_json_field(json, "schema"));
    const bool is_result = schema && !strcmp(schema, "pk-result");
    const double version = cli_json_number(json, "version");
    if (!is_result && !(schema && !strcmp(schema, "pk-calibration")))
        return pk_fail(PK_USAGE, "%s is neither a calibration nor a result file; ./lab calibrate makes one", path);
    if (!(version >= 1 && version < 2))
        return pk_fail(PK_USAGE, "%s has version %g, this program reads version 1; use the labs that wrote it", path,
                       version);
    const cJSON *run = cli_json_field(json, "run"), *device = cli_json_field(json, "device");
    *calibration = (cli_calibration){
        .path = copied(path),
        .device = cli_json_text(device, "name"),
        .backend = cli_json_text(device, "backend"),
        .kind = cli_json_text(device, "kind"),
        .arch = cli_json_text(device, "arch"),
        .program = cli_json_text(run, "program"),
        .started_utc = cli_json_text(run, "started_utc"),
        .note = cli_json_text(json, "note"),
        .is_result = is_result,
        .is_quick = cJSON_IsTrue(cli_json_field(run, "quick")),
        .processors = cli_json_number(device, "processors"),
        .l2_bytes = cli_json_number(device, "l2_bytes"),
        .memory_bytes = cli_json_number(device, "memory_bytes"),
    };
    read_limits(calibration, cli_json_field(device, "limits"));
    if (!is_result)
        read_figures(calibration, cli_json_field(json, "figures"));
    return judge_figures(calibration);
}

static pk_status load_file(cli_calibration *calibration, const char *path)
{
    memset(calibration, 0, sizeof *calibration);
    cJSON *json = cli_json_load(path);
    pk_status status = json ? read_document(calibration, json, path) : PK_USAGE;
    cJSON_Delete(json);
    if (status != PK_OK)
        cli_calibration_free(calibration);
    return status;
}

pk_status cli_calibration_load(cli_calibration *calibration, const char *path)
{
    if (!cli_is_folder(path))
        return load_file(calibration, path);
    char *file = cli_format("%s/" CLI_CALIBRATION_FILE, path);
    pk_status status = PK_USAGE;
    if (cli_exists(file)) {
        status = load_file(calibration, file);
    } else {
        cli_names names = cli_list_folder(path, "lab", ".json");
        for (size_t i = 0; i < names.count && status != PK_OK; i++) {
            char *result = cli_format("%s/%s", path, names.names[i]);
            status = load_file(calibration, result);
            free(result);
        }
        if (status != PK_OK)
            pk_fail(PK_USAGE, "%s has neither " CLI_CALIBRATION_FILE " nor a result file with limits; name another",
                    path);
        cli_names_free(&names);
    }
    free(file);
    return status;
}

/* Is it one that was looked for? Else it is freed. */
static bool is_wanted(cli_calibration *calibration, const char *device, bool quick_too)
{
    const bool wanted = (!device || !strcmp(calibration->device, device)) && (quick_too || !calibration->is_quick);
    if (!wanted)
        cli_calibration_free(calibration);
    return wanted;
}

static bool find_newest(cli_calibration *calibration, const char *root, const char *device, bool quick_too)
{
    cli_names folders = cli_list_folder(root, "2", "");
    bool found = false;
    for (size_t i = folders.count; i-- > 0 && !found;) {
        char *path = cli_format("%s/%s/" CLI_CALIBRATION_FILE, root, folders.names[i]);
        found = cli_exists(path) && load_file(calibration, path) == PK_OK && is_wanted(calibration, device, quick_too);
        free(path);
    }
    cli_names_free(&folders);
    return found;
}

pk_status cli_calibration_find(cli_calibration *calibration, const char *device)
{
    char *root = cli_format("%s/results", cli_source());
    const bool found = find_newest(calibration, root, device, false) || find_newest(calibration, root, device, true);
    free(root);
    if (found)
        return PK_OK;
    return pk_fail(PK_USAGE,
                   "results/ has no calibration%s%s; ./lab calibrate makes one%s, or name a file: --device=FILE",
                   device ? " of " : "", device ? device : "", device ? " of this machine" : "");
}

void cli_calibration_free(cli_calibration *calibration)
{
    char *texts[] = {calibration->path, calibration->device,  calibration->backend,     calibration->kind,
                     calibration->arch, calibration->program, calibration->started_utc, calibration->note};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    for (size_t i = 0; i < calibration->count; i++) {
        cli_figure *figure = &calibration->figures[i];
        free(figure->name);
        free(figure->unit);
        free(figure->what);
        free(figure->status);
        free(figure->reason);
    }
    free(calibration->figures);
    memset(calibration, 0, sizeof *calibration);
}

const cli_figure *cli_calibration_figure(const cli_calibration *calibration, const char *name)
{
    for (size_t i = 0; i < calibration->count; i++)
        if (!strcmp(calibration->figures[i].name, name))
            return &calibration->figures[i];
    return NULL;
}

double cli_calibration_value(const cli_calibration *calibration, const char *name)
{
    const cli_figure *figure = cli_calibration_figure(calibration, name);
    return figure ? figure->median : (double)NAN;
}

double cli_larger(double a, double b)
{
    return isnan(a) || isnan(b) ? (double)NAN : fmax(a, b);
}

bool cli_calibration_is_cpu(const cli_calibration *calibration)
{
    return strcmp(calibration->kind, "gpu") != 0;
}

char *cli_calibration_title(const cli_calibration *calibration)
{
    char *from = calibration->is_result ? cli_format(" (limits of the run of %s)", calibration->program)
                                        : copied(calibration->is_quick ? " (a quick run)" : "");
    char *title = cli_format("%s%s, %s, %s%s", cli_calibration_is_cpu(calibration) ? "CPU device, not a GPU: " : "",
                             calibration->device, calibration->backend, calibration->started_utc, from);
    free(from);
    return title;
}
