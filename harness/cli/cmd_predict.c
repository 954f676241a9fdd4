/* `predict`: for each rung of each lab the time that its model says from a calibration, beside the time measured. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pk/host.h"
#include "plot.h"
#include "predict.h"
#include "quote.h"

typedef struct rung { /* a variant of a lab, over all its points */
    const cli_point *shown;
    char *missing;  /* of the shown point */
    double us;      /* predicted there */
    double *errors; /* percent, of each point that has both times */
    size_t count;
    bool has_line;
} rung;

typedef struct lab_prediction {
    cli_result result;
    cli_calibration calibration;
    char *source; /* where the calibration is from, for a line */
    rung *rungs;
    size_t count;
} lab_prediction;

typedef struct prediction {
    lab_prediction *labs;
    size_t count;
} prediction;

typedef struct request {
    const char *device, *out;
} request;

/* ---- which calibration ---- */

/* --device; else the calibration beside the result, where it is of the same device; the newest of that device in
 * results/; the limits that the run measured itself. */
static pk_status choose_calibration(lab_prediction *lab, const char *device)
{
    char *folder = cli_folder_of(lab->result.path), *beside = cli_format("%s/" CLI_CALIBRATION_FILE, folder);
    free(folder);
    pk_status status = PK_OK;
    bool chosen = false;
    if (device) {
        status = cli_calibration_load(&lab->calibration, device);
        chosen = true;
    } else if (cli_exists(beside)) {
        status = cli_calibration_load(&lab->calibration, beside);
        chosen = status != PK_OK || !strcmp(lab->calibration.device, lab->result.device);
        if (!chosen)
            cli_calibration_free(&lab->calibration);
    }
    free(beside);
    if (!chosen && cli_calibration_find(&lab->calibration, lab->result.device) != PK_OK)
        status = cli_calibration_load(&lab->calibration, lab->result.path);
    if (status == PK_OK)
        lab->source = cli_calibration_title(&lab->calibration);
    return status;
}

/* Was it measured on the device that is predicted for? */
static bool is_of_device(const lab_prediction *lab)
{
    return strcmp(lab->result.device, lab->calibration.device) == 0;
}

/* ---- predicting ---- */

static rung *rung_of(lab_prediction *lab, const char *variant)
{
    for (size_t i = 0; i < lab->count; i++)
        if (!strcmp(lab->rungs[i].shown->variant, variant))
            return &lab->rungs[i];
    return NULL;
}

static bool has_time(const cli_point *point)
{
    return cli_passed(point) && !strcmp(point->cache, "hot") && point->us_per_token > 0 && !point->is_repeat;
}

static bool has_times(const cli_result *result)
{
    for (size_t i = 0; i < result->point_count; i++)
        if (has_time(&result->points[i]))
            return true;
    return false;
}

/* The first of a variant's points is what its row shows: the default one, where it has that. */
static pk_status add_point(lab_prediction *lab, const predict_model *model, const cli_point *point)
{
    predicted said;
    const pk_status status = predict_point(model, &lab->calibration, &lab->result, point, &said);
    rung *r = rung_of(lab, point->variant);
    if (!r) {
        lab->rungs = cli_grow(lab->rungs, lab->count + 1, sizeof *lab->rungs);
        r = &lab->rungs[lab->count++];
        *r = (rung){.shown = point, .us = said.us, .missing = said.missing, .has_line = said.has_line};
        said.missing = NULL;
    }
    if (isfinite(said.us)) {
        r->errors = cli_grow(r->errors, r->count + 1, sizeof *r->errors);
        r->errors[r->count++] = 100 * (said.us - point->us_per_token) / point->us_per_token;
    }
    free(said.missing);
    return status;
}

static pk_status predict_lab(lab_prediction *lab, const predict_model *model)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < lab->result.point_count && status == PK_OK; i++)
        if (has_time(&lab->result.points[i]))
            status = add_point(lab, model, &lab->result.points[i]);
    return status;
}

static void free_lab(lab_prediction *lab)
{
    for (size_t i = 0; i < lab->count; i++) {
        free(lab->rungs[i].errors);
        free(lab->rungs[i].missing);
    }
    free(lab->rungs);
    free(lab->source);
    cli_calibration_free(&lab->calibration);
    cli_result_free(&lab->result);
}

static pk_status predict_file(prediction *all, const char *path, const char *device)
{
    lab_prediction lab = {.rungs = NULL};
    predict_model model = {NULL, NULL, 0};
    bool there = false;
    pk_status status = cli_result_load(&lab.result, path);
    if (status == PK_OK && !has_times(&lab.result)) {
        cli_say(2, "%s: no times in %s; ./lab run %s measures some", lab.result.lab, cli_relative(path),
                lab.result.lab + strlen("lab"));
        free_lab(&lab);
        return PK_OK;
    }
    if (status == PK_OK)
        status = choose_calibration(&lab, device);
    if (status == PK_OK)
        status = predict_load(&model, lab.result.lab, &there);
    if (status == PK_OK)
        status = predict_lab(&lab, &model);
    if (status == PK_OK && !there)
        cli_say(2, "%s has no model (labs/%s_*/predict.txt)", lab.result.lab, lab.result.lab);
    predict_free(&model);
    if (status != PK_OK || !there) {
        free_lab(&lab);
        return status;
    }
    all->labs = cli_grow(all->labs, all->count + 1, sizeof *all->labs);
    all->labs[all->count++] = lab;
    return PK_OK;
}

/* ---- what is printed ---- */

static double absolute_median(const double *errors, size_t count)
{
    double *sizes = cli_grow(NULL, count + 1, sizeof *sizes);
    for (size_t i = 0; i < count; i++)
        sizes[i] = fabs(errors[i]);
    const double median = pk_median(sizes, count);
    free(sizes);
    return median;
}

static double shown_error(const rung *r)
{
    return 100 * (r->us - r->shown->us_per_token) / r->shown->us_per_token;
}

/* Four digits of a time, and no power of ten. */
static char *time_text(double us)
{
    return isnan(us) ? cli_copy("-", 1) : us < 999.95 ? cli_format("%.4g", us) : cli_format("%.0f", us);
}

static void add_row(pk_table *table, const lab_prediction *lab, const rung *r)
{
    char *variant = cli_format("%s%s", r->shown->variant, r->shown->is_default ? "" : " *");
    char *measured = time_text(r->shown->us_per_token), *said = time_text(r->us);
    char *error =
        is_of_device(lab) ? cli_format("%+.0f%%", shown_error(r)) : cli_format("%.2fx", r->us / r->shown->us_per_token);
    char *points = cli_format("%zu", r->count);
    char *median = is_of_device(lab) ? cli_format("%.0f%%", absolute_median(r->errors, r->count)) : cli_copy("-", 1);
    const char *cells[] = {lab->result.lab, variant, measured, said, error, points, median};
    pk_table_row(table, cells);
    free(median);
    free(points);
    free(error);
    free(said);
    free(measured);
    free(variant);
}

static void print_table(const prediction *all)
{
    const bool same = is_of_device(&all->labs[0]);
    const char *const heading[] = {"lab", "rung", "measured", "predicted", same ? "error" : "of it", "n", "median"};
    enum { RIGHT = 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 };
    pk_table *table = pk_table_new(PK_COUNT(heading), RIGHT);
    bool elsewhere = false;
    pk_table_row(table, heading);
    for (size_t i = 0; i < all->count; i++)
        for (size_t j = 0; j < all->labs[i].count; j++) {
            const rung *r = &all->labs[i].rungs[j];
            elsewhere |= isfinite(r->us) && !r->shown->is_default;
            if (isfinite(r->us))
                add_row(table, &all->labs[i], r);
        }
    pk_table_print(table, stdout, cli_width(), pk_use_colour(stdout));
    pk_table_free(table);
    putchar('\n');
    if (elsewhere)
        cli_say(2, "* not at the sizes of the lab's first row");
}

/* "lab01 pdl, lab03 hand-barrier": what `wanted` is true of, in new memory. */
static char *rungs_that(const prediction *all, bool (*wanted)(const rung *r, const char *what), const char *what)
{
    char *list = cli_copy("", 0);
    for (size_t i = 0; i < all->count; i++)
        for (size_t j = 0; j < all->labs[i].count; j++) {
            const rung *r = &all->labs[i].rungs[j];
            if (!wanted(r, what))
                continue;
            char *longer = cli_format("%s%s%s %s", list, *list ? ", " : "", all->labs[i].result.lab, r->shown->variant);
            free(list);
            list = longer;
        }
    return list;
}

static bool lacks(const rung *r, const char *what)
{
    return r->missing && !strcmp(r->missing, what);
}

static bool has_no_line(const rung *r, const char *what)
{
    (void)what;
    return !r->has_line;
}

/* What was not predicted, by what its formula needs. */
static void print_missing(const prediction *all)
{
    cli_names needs = {NULL, 0};
    for (size_t i = 0; i < all->count; i++)
        for (size_t j = 0; j < all->labs[i].count; j++) {
            const char *missing = all->labs[i].rungs[j].missing;
            if (missing && !cli_names_has(&needs, missing))
                cli_names_add(&needs, missing);
        }
    for (size_t i = 0; i < needs.count; i++) {
        char *list = rungs_that(all, lacks, needs.names[i]);
        cli_say(2, "Needs %s: %s.", needs.names[i], list);
        free(list);
    }
    cli_names_free(&needs);
    char *list = rungs_that(all, has_no_line, "");
    if (*list)
        cli_say(2, "Without a model: %s.", list);
    free(list);
}

typedef struct errors {
    double *values;
    size_t count;
} errors;

static void add_error(errors *list, double value)
{
    list->values = cli_grow(list->values, list->count + 1, sizeof *list->values);
    list->values[list->count++] = value;
}

/* Of the rungs' rows, and of all points; of labs that ran on the device that is predicted for. */
static void collect(const prediction *all, errors *rungs, errors *points)
{
    for (size_t i = 0; i < all->count; i++)
        for (size_t j = 0; j < all->labs[i].count && is_of_device(&all->labs[i]); j++) {
            const rung *r = &all->labs[i].rungs[j];
            if (isfinite(r->us))
                add_error(rungs, shown_error(r));
            for (size_t k = 0; k < r->count; k++)
                add_error(points, r->errors[k]);
        }
}

static void print_summary(const prediction *all)
{
    errors rungs = {NULL, 0}, points = {NULL, 0};
    collect(all, &rungs, &points);
    if (rungs.count)
        cli_say(2, "Median error: %.0f%% over %zu rungs as they are shown, %.0f%% over %zu points.",
                absolute_median(rungs.values, rungs.count), rungs.count, absolute_median(points.values, points.count),
                points.count);
    free(rungs.values);
    free(points.values);
}

/* Where each lab's two times are from. */
static void print_sources(const prediction *all)
{
    for (size_t i = 0; i < all->count; i++) {
        const lab_prediction *lab = &all->labs[i];
        const bool own = !strcmp(lab->calibration.path, lab->result.path);
        const bool said = i > 0 && !strcmp(lab->source, all->labs[i - 1].source);
        cli_say(8, "%s   measured %s on %s%s", lab->result.lab, lab->result.started_utc,
                cli_is_cpu_device(&lab->result) ? "the CPU device, not a GPU: " : "", lab->result.device);
        if (own || !said)
            cli_say(8, "        predicted from %s", own ? "the limits of the same run" : lab->source);
    }
    putchar('\n');
}

static void print_all(const prediction *all)
{
    print_sources(all);
    print_table(all);
    print_missing(all);
    print_summary(all);
    bool same = true;
    for (size_t i = 0; i < all->count; i++)
        same = same && is_of_device(&all->labs[i]);
    if (!same)
        cli_say(2,
                "Predicted for another device than it was measured on: what is shown is by how much that device would "
                "differ, and no error.");
    if (cli_calibration_is_cpu(&all->labs[0].calibration))
        cli_say(
            2,
            "CPU device: it computes where a GPU waits for memory, which is what the models are of. Their errors here "
            "say nothing about a GPU.");
    cli_say(2, "us/token. Models: labs/*/predict.txt; no time of a result is in them.");
}

/* ---- the figure ---- */

static pk_status write_points(const plot_figures *place, FILE *variables, const void *data)
{
    const prediction *all = data;
    errors rungs = {NULL, 0}, points = {NULL, 0};
    FILE *file = plot_create(place, "prediction.dat");
    if (!file)
        return PK_USAGE;
    fputs("labs = '", variables);
    for (size_t i = 0; i < all->count; i++) {
        const lab_prediction *lab = &all->labs[i];
        fprintf(variables, "%s ", lab->result.lab);
        for (size_t j = 0; j < lab->count; j++)
            if (isfinite(lab->rungs[j].us))
                fprintf(file, "%.17g %.17g\n", lab->rungs[j].shown->us_per_token, lab->rungs[j].us);
        fputs("\n\n", file);
    }
    collect(all, &rungs, &points);
    fprintf(variables, "'\nrungs = %zu\nerror = %.17g\n", rungs.count,
            rungs.count ? absolute_median(rungs.values, rungs.count) : -1.0);
    cli_put_gnuplot_string(variables, "measured_on", all->labs[0].result.device);
    free(rungs.values);
    free(points.values);
    return plot_finish(file);
}

static pk_status draw(const prediction *all, const char *folder)
{
    const cli_calibration *c = &all->labs[0].calibration;
    const plot_subject subject = {"prediction.gp", c->device,    cli_calibration_is_cpu(c),
                                  c->processors,   write_points, all};
    return plot_subject_save(&subject, folder);
}

/* ---- the command ---- */

/* A lab's own file of each group: another program's peers have no model here. */
static pk_status predict_words(prediction *all, const char *const *words, size_t count, const char *device)
{
    cli_groups groups = {NULL, 0};
    pk_status status = cli_result_groups(words, count, &groups);
    for (size_t i = 0; i < groups.count && status == PK_OK; i++)
        status = predict_file(all, groups.groups[i].names[0], device);
    cli_groups_free(&groups);
    return status;
}

static pk_status predict_newest(prediction *all, const char *device)
{
    cli_labs labs = cli_find_labs();
    pk_status status = PK_OK;
    bool any = false;
    for (size_t i = 0; i < labs.count && status == PK_OK; i++) {
        cli_choice choice = cli_choose_result(labs.labs[i].id);
        any = any || choice.path;
        if (choice.path)
            status = predict_file(all, choice.path, device);
        cli_choice_free(&choice);
    }
    cli_labs_free(&labs);
    return status == PK_OK && !any ? cli_no_results() : status;
}

int cmd_predict(int argc, char **argv)
{
    const char *words[CLI_MOST_FILES];
    request asked = {NULL, NULL};
    const cli_option options[] = {{"--device", &asked.device, NULL}, {"--out", &asked.out, NULL}};
    size_t count;
    prediction all = {NULL, 0};
    pk_status status = cli_parse(argc, argv, options, PK_COUNT(options), words, CLI_MOST_FILES, &count);
    if (status == PK_OK && count)
        status = predict_words(&all, words, count, asked.device);
    else if (status == PK_OK)
        status = predict_newest(&all, asked.device);
    if (status == PK_OK && all.labs)
        print_all(&all);
    else if (status == PK_OK)
        status = pk_fail(PK_USAGE,
                         "none of these results has times, of a lab that has a model (labs/labNN_name/predict.txt)");
    if (status == PK_OK && asked.out && all.labs)
        status = draw(&all, asked.out);
    for (size_t i = 0; i < all.count; i++)
        free_lab(&all.labs[i]);
    free(all.labs);
    return status == PK_OK ? 0 : cli_failed(status);
}
