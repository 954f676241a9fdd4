/* What a device can do, as `./lab calibrate` measured it (harness/schema/calibration.v1.json), or as far as a lab's
 * result file tells it: the limits of its run. */
#ifndef CLI_CALIBRATION_H
#define CLI_CALIBRATION_H

#include <stdbool.h>
#include <stddef.h>

#include "cli.h"

#define CLI_CALIBRATION_FILE "calibration.json"

typedef struct cli_figure {
    char *name, *unit;       /* "launch_us", "us" */
    char *what;              /* in a few words */
    char *status, *reason;   /* "pass"; "skip" and why */
    double median, p10, p90; /* NaN unless it passed */
    double count;            /* samples */
} cli_figure;

typedef struct cli_calibration {
    char *path, *device, *backend, *kind, *arch, *program, *started_utc, *note;
    bool is_result; /* a lab's result file: its limits, and no more */
    bool is_quick;
    double processors, l2_bytes, memory_bytes;
    cli_figure *figures;
    size_t count;
} cli_calibration;

/* Read a file of either kind; of a folder its calibration.json or, where it has none, the first of its result files
 * that has limits. PK_USAGE with the reason and what to do. */
pk_status cli_calibration_load(cli_calibration *calibration, const char *path);

/* The newest calibration in results/ that is of the device of this name; NULL: of any. A quick one only where there is
 * no full one. PK_USAGE when there is none. */
pk_status cli_calibration_find(cli_calibration *calibration, const char *device);
void cli_calibration_free(cli_calibration *calibration);

/* A figure by its name, or NULL. */
const cli_figure *cli_calibration_figure(const cli_calibration *calibration, const char *name);
/* Its median; NaN where it was not measured. */
double cli_calibration_value(const cli_calibration *calibration, const char *name);

/* The larger of two times; NaN where one is not known. */
double cli_larger(double a, double b);

bool cli_calibration_is_cpu(const cli_calibration *calibration);

/* "NVIDIA H100 80GB HBM3, cuda, 2026-11-26T14:26:52Z (limits of lab01_solution's run)", in new memory. */
char *cli_calibration_title(const cli_calibration *calibration);

#endif
