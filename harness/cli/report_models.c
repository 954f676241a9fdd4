/* Of a report: the calibration beside the results, and what the labs' models make of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibration.h"
#include "pk/host.h"
#include "pk/stats.h"
#include "predict.h"
#include "report.h"

/* A figure that another command drew beside the results; nothing where there is none, or no whole one. */
static void put_drawn(page *to, const char *folder, const char *file, const char *caption)
{
    char *path = cli_format("%s/%s", folder, file), *image;
    size_t bytes = 0;
    image = cli_read_bytes(path, &bytes);
    if (image && strstr(image, "</svg>"))
        page_figure(to, file, image, bytes, caption);
    free(image);
    free(path);
}

/* ---- what models make of it ---- */

/* The rows of one lab: the default point's rungs that its model has a line for. Their errors, in percent, behind
 * `*errors`. */
static void predict_rows(page *to, const predict_model *model, const cli_calibration *calibration,
                         const cli_result *result, double **errors, size_t *count)
{
    for (size_t i = 0; i < result->point_count; i++) {
        const cli_point *point = &result->points[i];
        predicted said = {0};
        if (!point->is_default || strcmp(point->cache, "hot") != 0 || !isfinite(point->us_per_token) || point->peer[0])
            continue;
        if (predict_point(model, calibration, result, point, &said) == PK_OK && said.has_line && isfinite(said.us)) {
            const double error = 100 * (said.us / point->us_per_token - 1);
            page_cell(to, "%s", result->lab);
            page_cell(to, "%s", point->variant);
            page_cell(to, "%.4g", point->us_per_token);
            page_cell(to, "%.4g", said.us);
            page_cell(to, "%+.0f%%", error);
            *errors = cli_grow(*errors, *count + 1, sizeof **errors);
            (*errors)[(*count)++] = fabs(error);
        }
        free(said.missing);
    }
}

/* From this calibration, of the device that it is of: ./lab predict has the whole of it. */
static void put_predictions(page *to, const report_files *files, const cli_calibration *calibration, const char *folder)
{
    static const char *const heads[] = {"lab", "rung", "us/token, measured", "us/token, predicted", "error"};
    double *errors = NULL;
    size_t count = 0;
    page_heading(to, 2, "Predicted against measured");
    page_table(to, PK_COUNT(heads), 0x1c);
    for (size_t i = 0; i < PK_COUNT(heads); i++)
        page_cell(to, "%s", heads[i]);
    for (size_t i = 0; i < files->count; i++) {
        predict_model model = {0};
        bool there = false;
        if (!strcmp(files->results[i].device, calibration->device) &&
            predict_load(&model, files->results[i].lab, &there) == PK_OK && there)
            predict_rows(to, &model, calibration, &files->results[i], &errors, &count);
        predict_free(&model);
    }
    if (count)
        page_text(to,
                  "At each lab's default point, by its model and the figures above; no time of a result is in them. "
                  "Median error: %.0f%% over %zu rungs. The figure has those of a lab's other work, too.%s",
                  pk_median(errors, count), count,
                  cli_calibration_is_cpu(calibration) ? " CPU device: its errors say nothing about a GPU." : "");
    else
        page_text(to, "No rung has a model that this calibration suffices for.");
    put_drawn(to, folder, "prediction.svg", "Predicted time over measured time, a point a rung");
    free(errors);
}

/* ---- the calibration ---- */

static void put_number(page *to, double value, const char *unit)
{
    char *text = report_number("%.4g", value);
    page_cell(to, "%s%s%s", text, *unit ? " " : "", unit);
    free(text);
}

void report_calibration(page *to, const report_files *files, const char *folder)
{
    char *path = cli_format("%s/" CLI_CALIBRATION_FILE, folder);
    cli_calibration calibration;
    if (cli_exists(path) && cli_calibration_load(&calibration, path) == PK_OK) {
        char *title = cli_calibration_title(&calibration);
        page_heading(to, 2, "What the machine can do");
        page_text(to, "%s", title);
        page_table(to, 4, 0xe);
        static const char *const heads[] = {"figure", "median", "p10", "p90"};
        for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
            page_cell(to, "%s", heads[i]);
        for (size_t i = 0; i < calibration.count; i++) {
            const cli_figure *figure = &calibration.figures[i];
            if (!isfinite(figure->median))
                continue;
            page_cell(to, "%s", figure->what);
            put_number(to, figure->median, figure->unit);
            put_number(to, figure->p10, "");
            put_number(to, figure->p90, "");
        }
        put_drawn(to, folder, "calibration.svg", "What the machine can do");
        put_predictions(to, files, &calibration, folder);
        free(title);
        cli_calibration_free(&calibration);
    }
    free(path);
}
