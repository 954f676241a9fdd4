/* A run's results in memory, and as files: JSON (schema: harness/schema/result.v1.json) and CSV.
 *
 * Ownership: a pk_report owns all its strings and arrays once they are set through the functions here;
 * pk_report_free releases them. Unknown numbers are NaN in memory and null in the file. */
#ifndef PK_RESULT_H
#define PK_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pk/lab.h"
#include "pk/stats.h"
#include "pk/steps.h"
#include "pk_device.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What NVML saw: clocks and temperature at one moment. Negative where unknown. */
typedef struct pk_clock_state {
    int sm_mhz, memory_mhz, temperature_c, power_w;
    uint64_t throttle_reasons; /* NVML's bit mask */
    bool known;
} pk_clock_state;

/* The limits' names, which are also their keys in the file; the last is in GB/s (1e9 bytes), the others in us. */
#define PK_LIMIT_LAUNCH "launch_us"
#define PK_LIMIT_LAUNCH_SYNC "launch_sync_us"
#define PK_LIMIT_GAP "gap_us"
#define PK_LIMIT_READ "read_gb_per_s"

typedef struct pk_named_summary { /* a limit of the device, measured in this run */
    const char *name, *unit;      /* PK_LIMIT_LAUNCH, "us" */
    pk_summary summary;
} pk_named_summary;

typedef struct pk_samples { /* raw samples, oldest first, in microseconds a repetition; NULL when none */
    double *values;
    size_t count, capacity;
} pk_samples;

pk_status pk_samples_add(pk_samples *samples, double value); /* PK_FAULT when memory is out: nothing is added */
void pk_samples_free(pk_samples *samples);

typedef struct pk_span_samples { /* of a part of each repetition */
    char name[PK_PHASE_NAME];
    pk_samples us;
} pk_span_samples;

typedef enum pk_cache_state { PK_HOT, PK_COLD } pk_cache_state; /* steady state; L2 flushed before each repetition */

typedef struct pk_validation {
    bool done;
    uint64_t seed;
    pk_verdict verdict;
} pk_validation;

typedef struct pk_result { /* one variant at one set of knobs */
    const char *variant, *summary;
    bool is_baseline;
    long long *knobs; /* [report.knob_count] */
    pk_cache_state cache;
    pk_status status;
    char *reason;    /* why not passed: one line; NULL when passed */
    char *open_step; /* "lab01.2" when status is PK_TODO; else NULL */

    pk_validation before, after, fresh; /* before timing; after it, same inputs; new inputs */
    size_t awkward_sizes;               /* at which it was verified besides, without timing */

    double tokens;     /* a repetition */
    pk_samples wall;   /* host time around execute */
    pk_samples device; /* between events around execute, in separate instrumented repetitions */
    pk_samples submit; /* inside launch calls, in the same instrumented repetitions */
    pk_samples token;  /* latency of each token, in microseconds a token */
    pk_samples ratio;  /* paired ratios baseline / this, one a round */
    size_t rounds, dropped_throttled;
    bool settled; /* the spread settled before the time limit */

    double prepare_us, first_execute_us, finish_us;
    pk_phase phases[PK_MAX_PHASES]; /* parts of prepare, and medians of parts of repetitions */
    size_t phase_count;
    pk_span_samples spans[PK_MAX_PHASES]; /* pk_run_span, of the repetitions of wall; their medians are among phases */
    size_t span_count;
    pk_measured measures[PK_MAX_MEASURES]; /* what the lab said of the result */
    size_t measure_count;
    double held_bytes; /* of device memory that prepare left taken, of several times the least; NaN: unknown */

    double launches_per_token, graph_replays_per_token; /* by the launch macro */
    double launches_per_token_cupti;                    /* by CUPTI; NaN where it is not there */

    double speedup;               /* median of ratio */
    pk_interval speedup_interval; /* 95% bootstrap */
    double bytes_per_token, flops_per_token;
    double predicted_us_per_token; /* by the lab's model; NaN when it has none */
    const char *model;             /* which model predicted */
} pk_result;

typedef struct pk_fit {
    char *name, *unit;
    pk_line line;
} pk_fit;

typedef struct pk_figure {
    char *name, *unit;
    double value;
} pk_figure;

typedef struct pk_target_outcome {
    const pk_target *target;
    double measured;
    bool judged; /* false on the CPU device, and where nothing was measured */
    bool passed;
} pk_target_outcome;

typedef struct pk_report {
    const pk_lab *lab;
    size_t knob_count;
    char *program, *command_line;
    int argc;
    char **argv; /* not owned */
    uint64_t seed;
    char started_utc[32]; /* 2026-01-31T23:59:59Z */
    bool quick;
    const pk_source
        *ladder_sources; /* not owned; the ladder's files as they were built; none in the baseline program */
    size_t ladder_source_count;

    pk_device_info device;
    pk_clock_state clocks_before, clocks_after;
    pk_limits limits;
    pk_named_summary *limit_summaries;
    size_t limit_count;

    pk_result *results;
    size_t result_count, result_capacity;
    pk_fit *fits;
    size_t fit_count;
    pk_figure *figures;
    size_t figure_count;
    pk_target_outcome *targets;
    size_t target_count;

    pk_peer_point *peers; /* what others measured, and the files that told */
    size_t peer_count;
    char **peer_files;
    size_t peer_file_count;

    pk_status status; /* worst of all */
    char *note;       /* what ended the run early; NULL when it ran to its end */
} pk_report;

/* A new empty result with `knobs` copied and every number NaN. The pointer is valid until the next call; NULL, with a
 * message, when memory is out. */
pk_result *pk_report_add(pk_report *report, const long long *knobs);
/* Put what a lab says under a name to what it said before, [PK_MAX_MEASURES]: of a name the largest, and NaN before
 * all. False where there is no place for the name. */
bool pk_measure_note(pk_measured *measures, size_t *count, const char *name, double value);
/* Forget the results from the `first` one on. */
void pk_report_drop(pk_report *report, size_t first);
void pk_report_free(pk_report *report);

/* What follows from a result and the limits of its run; NaN where something is missing. */
typedef struct pk_derived {
    double us_per_token; /* median host wall time over tokens */
    double tokens_per_s, gb_per_s;
    double percent_of_read_limit;
    double model_error_percent; /* 100 (predicted - measured) / measured */
} pk_derived;
pk_derived pk_result_derived(const pk_result *result, const pk_report *report);

/* A knob's value as people write it: a choice's name, or the number with its decimals. */
void pk_knob_text(char *text, size_t bytes, const pk_knob *knob, long long value);
double pk_knob_in_units(const pk_knob *knob, long long value);

/* The summary of a limit by its PK_LIMIT_ name, or NULL when it was not measured. */
const pk_summary *pk_report_limit(const pk_report *report, const char *name);

/* "speedup_at_least", ...: the word in the file. */
const char *pk_target_kind_word(pk_target_kind kind);

/* Write the whole file or none of it: temporary file in the same folder, fsync, rename, fsync of the folder.
 * Creates the folder (and its parents). Errors: PK_USAGE with the path, the system's reason and what to do; PK_FAULT
 * when memory is out: a JSON file may then be there all the same, without the latencies of single tokens. */
pk_status pk_report_write_json(const pk_report *report, const char *path);
pk_status pk_report_write_csv(const pk_report *report, const char *path); /* one line a result */

/* Whole-or-nothing write of `bytes` bytes, as above: for any other file. */
pk_status pk_write_file(const char *path, const void *data, size_t bytes);

/* Create the folder and write, then remove, a file in it: to be asked before a long run. PK_USAGE as above. */
pk_status pk_folder_writable(const char *folder);

/* The same for the file that pk_write_file is to write at `path`, which stays as it is. PK_USAGE too where a folder, a
 * device or a pipe stands there. */
pk_status pk_file_writable(const char *path);

/* "2026-01-31T235959Z-NVIDIA-H200": the start time and the device's name, as far as a file name should have them. */
void pk_run_id(char *id, size_t bytes, const pk_report *report);

/* "results/2026-01-31T235959Z-NVIDIA-H200": the folder for this report below `root`. "" when it does not fit. */
void pk_result_folder(char *path, size_t path_bytes, const char *root, const pk_report *report);

/* Make that folder for this run alone: of several that begin in one second the others get -2, -3, ... behind its name.
 * The name goes to `path`. What runs that were killed left below `root` is removed first: temporary files, and folders
 * with nothing in them. PK_USAGE, naming the folder, when it cannot be made or written. */
pk_status pk_claim_folder(char *path, size_t path_bytes, const char *root, const pk_report *report);

/* Hold a folder until the file descriptor that is returned is closed, or the process has ended however it may. -1 when
 * another process holds it, or it is not there. */
int pk_take_folder(const char *folder);

/* What a program's exit code is when all has been said: `code`, or PK_USAGE's with a message on the standard error when
 * not all of it could be written to the standard output (and somebody was there to read it). */
int pk_output_ended(const char *program, int code);

#ifdef __cplusplus
}
#endif

#endif
