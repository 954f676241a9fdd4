/* `index`: the page of stored results, devices side by side, and the headline table of the README above it; both made
 * of the result files alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "evidence.h"
#include "pk/result.h"
#include "quote.h"
#include "report.h"

enum { PAGE_WIDTH = 120 }; /* columns of the repository's pages */

#define TABLE_BEGINS "<!-- ./lab index: from docs/results -->\n"
#define TABLE_ENDS "<!-- end -->\n"

typedef struct device { /* a folder of results */
    char *name;         /* "h100", "h200/hip-nvidia" */
    char *folder;
    report_files files;
} device;

typedef struct devices {
    device *all;
    size_t count;
} devices;

/* A device's own folder, not that of another backend below it. */
static bool is_device(const device *of)
{
    return !strchr(of->name, '/');
}

/* ---- what is stored ---- */

static pk_status add_device(devices *to, const char *root, const char *name)
{
    char *folder = cli_format("%s/%s", root, name);
    cli_names results = cli_list_folder(folder, "lab", ".json");
    pk_status status = PK_OK;
    if (results.count) {
        to->all = cli_grow(to->all, to->count + 1, sizeof *to->all);
        device *added = &to->all[to->count++];
        *added = (device){.name = cli_copy(name, strlen(name)), .folder = cli_copy(folder, strlen(folder))};
        const char *words[] = {folder};
        status = cli_result_groups(words, 1, &added->files.groups);
        for (size_t i = 0; i < added->files.groups.count && status == PK_OK; i++)
            status = report_add_group(&added->files, &added->files.groups.groups[i]);
    }
    cli_names_free(&results);
    free(folder);
    return status;
}

/* The folders of the root, and those in them: another backend of a device. */
static pk_status find_devices(devices *found, const char *root)
{
    cli_names names = cli_list_folder(root, "", "");
    pk_status status = PK_OK;
    for (size_t i = 0; i < names.count && status == PK_OK; i++) {
        char *folder = cli_format("%s/%s", root, names.names[i]);
        status = cli_is_folder(folder) ? add_device(found, root, names.names[i]) : PK_OK;
        cli_names below = cli_list_folder(folder, "", "");
        for (size_t k = 0; k < below.count && status == PK_OK; k++) {
            char *name = cli_format("%s/%s", names.names[i], below.names[k]), *path = cli_format("%s/%s", root, name);
            if (cli_is_folder(path))
                status = add_device(found, root, name);
            free(path);
            free(name);
        }
        cli_names_free(&below);
        free(folder);
    }
    cli_names_free(&names);
    if (status == PK_OK && !found->count)
        return pk_fail(PK_USAGE,
                       "%s has no folder of a device with result files (lab*.json); ./lab demo --full makes "
                       "such files",
                       root);
    return status;
}

static void free_devices(devices *of)
{
    for (size_t i = 0; i < of->count; i++) {
        report_free_files(&of->all[i].files);
        free(of->all[i].name);
        free(of->all[i].folder);
    }
    free(of->all);
}

static const cli_result *result_of(const device *of, const char *lab)
{
    for (size_t i = 0; i < of->files.count; i++)
        if (!strcmp(of->files.results[i].lab, lab))
            return &of->files.results[i];
    return NULL;
}

/* The labs of any device, in their order. */
static cli_names labs_of(const devices *of)
{
    cli_names labs = {NULL, 0};
    for (size_t i = 0; i < of->count; i++)
        for (size_t k = 0; k < of->all[i].files.count; k++)
            if (!cli_names_has(&labs, of->all[i].files.results[k].lab))
                cli_names_add(&labs, of->all[i].files.results[k].lab);
    cli_names_sort(&labs);
    return labs;
}

static const cli_result *any_result(const devices *of, const char *lab)
{
    const cli_result *result = NULL;
    for (size_t i = 0; i < of->count && !result; i++)
        result = result_of(&of->all[i], lab);
    return result;
}

/* ---- side by side ---- */

static const cli_point *default_point(const cli_result *result, const char *variant)
{
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        if (point->is_default && !strcmp(point->cache, "hot") && !strcmp(point->variant, variant))
            return point;
    }
    return NULL;
}

static void point_cell(page *to, const cli_point *point)
{
    if (!point)
        page_cell(to, "-");
    else if (!cli_passed(point))
        page_cell(to, "%s", point->status);
    else if (isfinite(point->speedup))
        page_cell(to, "%.4g; %.3g (%.3g to %.3g)", point->us_per_token, point->speedup, point->speedup_low,
                  point->speedup_high);
    else
        page_cell(to, "%.4g", point->us_per_token);
}

static void device_heads(page *to, const devices *of)
{
    for (size_t i = 0; i < of->count; i++)
        page_cell(to, "%s", of->all[i].name);
}

static cli_names variants_of(const devices *of, const char *lab)
{
    cli_names variants = {NULL, 0};
    for (size_t i = 0; i < of->count; i++) {
        const cli_result *result = result_of(&of->all[i], lab);
        for (size_t k = 0; result && k < result->point_count; k++)
            if (result->points[k].is_default && !cli_names_has(&variants, result->points[k].variant))
                cli_names_add(&variants, result->points[k].variant);
    }
    return variants;
}

static void put_variants(page *to, const devices *of, const char *lab)
{
    cli_names variants = variants_of(of, lab);
    page_table(to, 1 + of->count, ~(uint64_t)1);
    page_cell(to, "variant");
    device_heads(to, of);
    for (size_t v = 0; v < variants.count; v++) {
        page_cell(to, "%s", variants.names[v]);
        for (size_t i = 0; i < of->count; i++) {
            const cli_result *result = result_of(&of->all[i], lab);
            if (result)
                point_cell(to, default_point(result, variants.names[v]));
            else
                page_cell(to, v ? "-" : "not measured");
        }
    }
    cli_names_free(&variants);
}

/* How each device's column came about: the point, the program, the day; what evidence.txt and its outcome say. */
static void put_columns(page *to, const devices *of, const char *lab)
{
    for (size_t i = 0; i < of->count; i++) {
        const cli_result *result = result_of(&of->all[i], lab);
        const cli_point *headline = result ? cli_headline(result) : NULL;
        if (!headline)
            continue;
        char *knobs = cli_knobs_text(result, headline->knobs);
        size_t withdrawn = 0;
        for (size_t k = 0; k < result->point_count; k++)
            withdrawn += !strcmp(result->points[k].status, "withdrawn");
        page_item(to, "%s: " PAGE_CODE "%s" PAGE_CODE ", %.10s, at %s", of->all[i].name, result->program,
                  result->started_utc, knobs);
        if (withdrawn)
            page_item(to,
                      "%s: results that are withdrawn: %zu; " PAGE_CODE "./lab report docs/results/%s --all" PAGE_CODE,
                      of->all[i].name, withdrawn, of->all[i].name);
        for (size_t k = 0; k < result->remarks.count; k++)
            page_item(to, "%s: %s", of->all[i].name, result->remarks.names[k]);
        free(knobs);
    }
}

/* ---- figures ---- */

static cli_names figures_of(const devices *of, const char *lab)
{
    cli_names figures = {NULL, 0};
    char *prefix = cli_format("%s-", lab);
    for (size_t i = 0; i < of->count; i++) {
        cli_names here = cli_list_folder(of->all[i].folder, prefix, ".svg");
        for (size_t k = 0; k < here.count; k++)
            if (!cli_names_has(&figures, here.names[k]) && cli_is_name(here.names[k]))
                cli_names_add(&figures, here.names[k]);
        cli_names_free(&here);
    }
    cli_names_sort(&figures);
    free(prefix);
    return figures;
}

/* A device without figures of the lab shows that; another backend of one does not. */
static bool has_column(const device *of, const char *lab)
{
    char *prefix = cli_format("%s-", lab);
    cli_names here = cli_list_folder(of->folder, prefix, ".svg");
    const bool any = here.count > 0;
    cli_names_free(&here);
    free(prefix);
    return any || is_device(of);
}

/* Images in a table's cells, which a page has no block for. */
static void put_figures(FILE *out, const devices *of, const char *lab)
{
    cli_names figures = figures_of(of, lab);
    for (size_t f = 0; f <= figures.count && figures.count; f++) {
        fputs("|", out);
        for (size_t i = 0; i < of->count; i++) {
            if (!has_column(&of->all[i], lab))
                continue;
            char *path = f ? cli_format("%s/%s", of->all[i].folder, figures.names[f - 1]) : NULL;
            if (!f)
                fprintf(out, " %s |", of->all[i].name);
            else if (cli_exists(path))
                fprintf(out, " ![%.*s, %s](%s/%s) |", (int)strcspn(figures.names[f - 1], "."), figures.names[f - 1],
                        of->all[i].name, of->all[i].name, figures.names[f - 1]);
            else
                fputs(" not drawn |", out);
            free(path);
        }
        fputs(f ? "\n" : "\n|", out);
        for (size_t i = 0; i < of->count && !f; i++)
            fputs(has_column(&of->all[i], lab) ? "---|" : "", out);
        fputs(f ? "" : "\n", out);
    }
    fputs(figures.count ? "\n" : "", out);
    cli_names_free(&figures);
}

/* ---- the page ---- */

static double limit_of(const cli_result *result, const char *name)
{
    for (size_t i = 0; i < CLI_LIMITS; i++)
        if (!strcmp(result->limits[i].name, name))
            return result->limits[i].median;
    return (double)NAN;
}

static void put_devices(page *to, const devices *of)
{
    static const char *const heads[] = {"folder", "device", "backend", "driver", "launch, us", "B_read, GB/s", "labs"};
    page_table(to, sizeof heads / sizeof heads[0], 0x30);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        page_cell(to, "%s", heads[i]);
    for (size_t i = 0; i < of->count; i++) {
        const report_files *files = &of->all[i].files;
        const cli_result *first = &files->results[0];
        char *labs = cli_copy("", 0), *launch = report_number("%.3g", limit_of(first, "launch_us"));
        char *read = report_number("%.4g", limit_of(first, "read_gb_per_s"));
        for (size_t k = 0; k < files->count; k++) {
            char *longer = cli_format("%s%s%s", labs, k ? ", " : "", files->results[k].lab);
            free(labs);
            labs = longer;
        }
        page_cell(to, "%s", of->all[i].name);
        page_cell(to, "%s%s", first->device, cli_is_cpu_device(first) ? " (CPU device, not a GPU)" : "");
        page_cell(to, "%s", first->backend);
        page_cell(to, "%s", first->driver);
        page_cell(to, "%s", launch);
        page_cell(to, "%s", read);
        page_cell(to, "%s", labs);
        free(read);
        free(launch);
        free(labs);
    }
}

static void put_page(FILE *out, const devices *of, const cli_names *labs)
{
    page *to = page_new();
    page_heading(to, 1, "Stored results");
    page_text(
        to, "Made by " PAGE_CODE "./lab index" PAGE_CODE " from the result files in the folders beside it. Each "
            "folder has the files of one device, the figures that " PAGE_CODE "./lab plot" PAGE_CODE
            " draws of them, and the report of both; " PAGE_CODE "./lab demo --full" PAGE_CODE
            " makes such a folder. Absolute times of two machines say what each "
            "took; a speedup is a median of paired ratios over the baseline of the same run, with its 95%% interval.");
    put_devices(to, of);
    page_put_markdown(to, out, PAGE_WIDTH);
    page_free(to);
    fputs("\nWhole reports, ", out);
    for (size_t i = 0, shown = 0; i < of->count; i++)
        if (is_device(&of->all[i]))
            fprintf(out, "%s[%s](%s/report.md)", shown++ ? ", " : "", of->all[i].name, of->all[i].name);
    fputs(
        ":\nmachine, tables, targets, every figure and what was verified. `report.html` beside each is the same in one "
        "file.\n\n",
        out);
    for (size_t i = 0; i < labs->count; i++) {
        to = page_new();
        page_heading(to, 2, "%s %s", labs->names[i], any_result(of, labs->names[i])->title);
        page_text(to, "Microseconds a token; times as fast as the baseline:");
        put_variants(to, of, labs->names[i]);
        put_columns(to, of, labs->names[i]);
        page_put_markdown(to, out, PAGE_WIDTH);
        page_free(to);
        fputc('\n', out);
        put_figures(out, of, labs->names[i]);
    }
}

/* ---- the headline table ---- */

static void headline_cell(page *to, const cli_result *result)
{
    const cli_point *best = result ? report_best_rung(result) : NULL;
    if (!result)
        page_cell(to, "not measured");
    else if (!best)
        page_cell(to, "-");
    else
        page_cell(to, "%s: %.3g (%.3g to %.3g)", best->variant, best->speedup, best->speedup_low, best->speedup_high);
}

static void put_headlines(FILE *out, const devices *of, const cli_names *labs)
{
    page *to = page_new();
    size_t columns = 2;
    for (size_t i = 0; i < of->count; i++)
        columns += is_device(&of->all[i]);
    page_table(to, columns, 0);
    page_cell(to, "lab");
    page_cell(to, "baseline");
    for (size_t i = 0; i < of->count; i++)
        if (is_device(&of->all[i]))
            page_cell(to, "%s", of->all[i].name);
    for (size_t l = 0; l < labs->count; l++) {
        const cli_result *any = any_result(of, labs->names[l]);
        const cli_point *baseline = report_baseline(any);
        page_cell(to, "%s %s", labs->names[l], any->title);
        page_cell(to, "%s", baseline ? baseline->variant : "-");
        for (size_t i = 0; i < of->count; i++)
            if (is_device(&of->all[i]))
                headline_cell(to, result_of(&of->all[i], labs->names[l]));
    }
    page_put_markdown(to, out, PAGE_WIDTH);
    page_free(to);
}

/* The README with its table anew; NULL after pk_fail where it has no place for one. */
static char *readme_with(const char *readme, const char *path, const char *table)
{
    const char *begin = strstr(readme, TABLE_BEGINS), *end = begin ? strstr(begin, TABLE_ENDS) : NULL;
    if (!end) {
        pk_fail(PK_USAGE, "%s has no lines '%.*s' and '%.*s', between which the table belongs", path,
                (int)strlen(TABLE_BEGINS) - 1, TABLE_BEGINS, (int)strlen(TABLE_ENDS) - 1, TABLE_ENDS);
        return NULL;
    }
    const size_t before = (size_t)(begin - readme) + strlen(TABLE_BEGINS);
    return cli_format("%.*s%s%s", (int)before, readme, table, end);
}

/* ---- the command ---- */

/* Write the file, or with `check` say that it is another. */
static pk_status put_file(const char *path, const char *text, bool check, bool *differs)
{
    char *old = cli_read_file(path);
    const bool same = old && !strcmp(old, text);
    free(old);
    if (same)
        return PK_OK;
    *differs = true;
    if (check) {
        cli_say(2, "%s is not what the stored results say; ./lab index makes it anew", cli_relative(path));
        return PK_OK;
    }
    pk_status status = pk_write_file(path, text, strlen(text));
    if (status == PK_OK)
        cli_say(2, "wrote %s", cli_relative(path));
    return status;
}

static char *written(void (*put)(FILE *, const devices *, const cli_names *), const devices *of, const cli_names *labs)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    if (!memory)
        return cli_copy("", 0);
    put(memory, of, labs);
    fclose(memory);
    return text;
}

static pk_status put_all(const devices *of, const char *root, bool check, bool *differs)
{
    cli_names labs = labs_of(of);
    char *index = written(put_page, of, &labs), *table = written(put_headlines, of, &labs);
    char *index_path = cli_format("%s/README.md", root), *readme_path = cli_format("%s/README.md", cli_source());
    char *readme = cli_read_file(readme_path);
    char *anew = readme ? readme_with(readme, readme_path, table) : NULL;
    pk_status status = anew ? put_file(index_path, index, check, differs) : PK_USAGE;
    if (status == PK_OK)
        status = put_file(readme_path, anew, check, differs);
    else if (!readme)
        status = pk_fail(PK_USAGE, "cannot read %s; restore it", readme_path);
    char *texts[] = {index, table, index_path, readme_path, readme, anew};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    cli_names_free(&labs);
    return status;
}

/* Of each device the whole report, in its folder. */
static pk_status put_reports(const devices *of, bool check, bool *differs)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < of->count && status == PK_OK; i++) {
        const device *one = &of->all[i];
        if (!is_device(one))
            continue;
        for (size_t k = 0; k < one->files.count; k++)
            cli_evidence_name_machine(&one->files.results[k]);
        char *command = cli_format("./lab report docs/results/%s --out=OUT", one->name);
        const report_wanted wanted = {.stored = true, .folder = one->folder, .command = command};
        page *report = report_page(&one->files, &wanted);
        for (int html = 0; html <= 1 && status == PK_OK; html++) {
            char *path = cli_format("%s/report.%s", one->folder, html ? "html" : "md");
            char *text = report_text(report, html);
            status = text ? put_file(path, text, check, differs) : PK_USAGE;
            free(text);
            free(path);
        }
        page_free(report);
        free(command);
    }
    return status;
}

int cmd_index(int argc, char **argv)
{
    bool check = false, differs = false;
    cli_option options[] = {{"--check", NULL, &check}};
    size_t words;
    devices found = {NULL, 0};
    char *root = cli_format("%s/docs/results", cli_source());
    pk_status status = cli_parse(argc, argv, options, 1, NULL, 0, &words);
    if (status == PK_OK)
        status = find_devices(&found, root);
    if (status == PK_OK)
        status = put_all(&found, root, check, &differs);
    char *gnuplot = cli_find_program("gnuplot");
    const bool draws = gnuplot != NULL;
    free(gnuplot);
    if (status == PK_OK && draws)
        status = put_reports(&found, check, &differs);
    else if (status == PK_OK)
        cli_say(2, "no gnuplot, which captions are made with: the folders' reports are left as they are");
    if (status == PK_OK && !differs)
        cli_say(2, "docs/results/README.md, the table in README.md%s are what the stored results say",
                draws ? " and each folder's report" : "");
    free_devices(&found);
    free(root);
    if (status != PK_OK)
        return cli_failed(status);
    return check && differs ? pk_exit_code(PK_WRONG) : 0;
}
