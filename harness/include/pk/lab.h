/* What a lab gives the harness, and what the harness gives a lab.
 *
 * A lab's problem.c defines `const pk_lab pk_this_lab`; its .cu files define variants with PK_VARIANTS. The
 * harness owns main, options, memory guards, poisoning, timing, verifying, recording: a lab has none of these. */
#ifndef PK_LAB_H
#define PK_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pk/stats.h"
#include "pk_device.h"
#include "pk_status.h"
#include "pk_verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pk_run pk_run; /* one variant of one lab at one set of knobs */

#define PK_COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- variants ---- */

typedef struct pk_variant {                /* one way to solve the lab's problem */
    const char *name, *summary;            /* "stream", "one sync a token" */
    unsigned needs;                        /* PK_NEED_... */
    pk_status (*prepare)(struct pk_run *); /* allocate, capture, instantiate: timed apart; may be NULL */
    pk_status (*execute)(struct pk_run *); /* one repetition, the thing that is timed; all its work has ended
                                              when it returns */
    void (*finish)(struct pk_run *);       /* release; never fails the run; may be NULL */
} pk_variant;

typedef struct pk_variant_list {
    const pk_variant *variants;
    size_t count;
} pk_variant_list;

/* At the end of a .cu file: PK_VARIANTS(baseline) = { {...}, {...} }; PK_VARIANTS_END(baseline)
 * `role` is baseline in baseline.cu, ladder in optimized.cu and mistakes.cu, and in a further file its name:
 * PK_VARIANTS(chain) in chain.cu. */
#ifdef __cplusplus
#define PK_VARIANT_LINKAGE_ extern "C"
#else
#define PK_VARIANT_LINKAGE_
#endif
#define PK_VARIANTS(role) static const pk_variant pk_##role##_table_[]
#define PK_VARIANTS_END(role)                                                                                          \
    PK_VARIANT_LINKAGE_ pk_variant_list pk_##role##_variants(void);                                                    \
    PK_VARIANT_LINKAGE_ pk_variant_list pk_##role##_variants(void)                                                     \
    {                                                                                                                  \
        pk_variant_list list = {pk_##role##_table_, sizeof pk_##role##_table_ / sizeof pk_##role##_table_[0]};         \
        return list;                                                                                                   \
    }
pk_variant_list pk_baseline_variants(void);

/* ---- what a variant may ask of its run ---- */

/* A knob's value by its name without dashes. A name that the lab does not declare ends the program: it is a
 * mistake in the lab's source, not in the user's request. */
long long pk_knob_value(const pk_run *run, const char *name);
/* The same for a knob with decimals. */
double pk_knob_number(const pk_run *run, const char *name);

/* The stream that the repetition is timed on, as a cudaStream_t. Work elsewhere is outside the measurement and
 * is reported as wrong, unless the stream came from pk_run_add_stream. */
void *pk_run_stream(const pk_run *run);

/* A further stream that the variant orders against pk_run_stream itself; destroyed with the run. */
pk_status pk_run_add_stream(pk_run *run, void **stream);
/* The same with the device's highest priority. */
pk_status pk_run_add_urgent_stream(pk_run *run, void **stream);

/* The lab's own data, set by its setup; shared by all variants at one set of knobs. */
void *pk_run_lab_data(const pk_run *run);
void pk_run_set_lab_data(pk_run *run, void *data);

/* What the lab compares results with, where no variant reaches it: NULL while a variant's prepare, execute or finish
 * runs, pk_token_done included. Set by the lab's setup, released by its teardown. */
void *pk_run_reference(const pk_run *run);
void pk_run_set_reference(pk_run *run, void *reference);

/* The variant that runs, as its table has it. */
const pk_variant *pk_run_variant(const pk_run *run);

/* The variant's own data, set by its prepare. */
void *pk_run_variant_data(const pk_run *run);
void pk_run_set_variant_data(pk_run *run, void *data);

const pk_device_info *pk_run_device(const pk_run *run);

/* The variant says that a token is complete on the host's side: its latency is recorded. */
void pk_token_done(pk_run *run);

/* The same for tokens that are in flight together: the lab takes the time from when this one could begin. */
void pk_token_latency(pk_run *run, double us);
/* Before pk_token_latency: look at the token that is being reported, as pk_token_done does by itself. */
void pk_token_look(pk_run *run);

double pk_clock_us(void); /* a monotonic clock, microseconds */

/* A line of what the variant has planned, in its prepare: printed under --print-plan, and else nowhere. Without the
 * line's end. */
void pk_run_plan(const pk_run *run, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* A part of the variant's prepare took so long: recorded under the name beside prepare's own time. Of several calls
 * with one name, the shortest counts. At most PK_MAX_PHASES names; a further one ends the program. */
void pk_run_phase(pk_run *run, const char *name, double us);

/* A part of this repetition took so long, by the variant's own measurement: the median over all timed repetitions is
 * recorded under the name beside the parts of prepare, which share PK_MAX_PHASES with it. Once a repetition for each
 * name. */
void pk_run_span(pk_run *run, const char *name, double us);

/* A point of a sweep, of which there are many, each verified more than once: a check that takes seconds may look at
 * less there than at the default point. */
bool pk_run_of_sweep(const pk_run *run);

/* For --trace, behind the repetition's last kernel: what block `block` of it did, in nanoseconds by a clock that all
 * its blocks share, from any beginning. Each block has a track; the last of all spans is put where the kernel ends.
 * Nothing in a repetition that is not traced. The name is copied. */
bool pk_run_is_traced(const pk_run *run);
void pk_run_block_span(pk_run *run, unsigned block, const char *name, uint64_t begin_ns, uint64_t end_ns);

/* Results are looked at as they are reported in this repetition, and now is a time to look: in verified repetitions
 * only, at the first tokens and at a sample of the others; at every one when the CPU device's order is chosen
 * (PK_CPU_SCHEDULE, as under --explore). Never under ThreadSanitizer: a completion need not order the host's look. */
bool pk_run_peeks(const pk_run *run);

/* Copy `bytes` from device memory while the variant's kernels run, on a stream of the harness's own that waits for
 * nothing; returns when the copy is there. */
pk_status pk_run_peek(pk_run *run, void *host, const void *device, size_t bytes);

/* What the last repetition's result is besides right, said in verify: how far it drifts from the reference, bytes of
 * device memory. Recorded under the name (`lab gate` judges it) for the variant whose repetition it was. Of several
 * calls with one name, for the same inputs and for fresh ones, the largest counts, and what is not a number before all:
 * so say what is worse when it is more. At most PK_MAX_MEASURES names; a further one ends the program. */
void pk_run_measure(pk_run *run, const char *name, double value);

/* A repetition that takes seconds is getting on: the watchdog counts its quiet time from here. */
void pk_run_progress(const pk_run *run);

/* An open step: records which and returns PK_TODO. */
pk_status pk_todo(pk_run *run, const char *step);

/* ---- buffers (called by the lab's setup) ---- */

typedef enum pk_buffer_role {
    PK_BUFFER_INPUT,     /* filled by the lab; a repetition leaves it as it is */
    PK_BUFFER_STATE,     /* filled by the lab, and written in a repetition: a cache, counters */
    PK_BUFFER_REFERENCE, /* of the lab's own, for what it compares with: no variant reads or writes it */
    PK_BUFFER_OUTPUT,    /* poisoned with NaN before a verified repetition, so that an unwritten element shows */
    PK_BUFFER_SCRATCH    /* poisoned likewise */
} pk_buffer_role;

/* Device memory between guard bytes, 256-byte aligned, owned by the harness. A write outside it fails the run
 * with the buffer's name. Errors: PK_USAGE when it does not fit in the device's free memory (asked before
 * allocating), PK_FAULT otherwise. */
pk_status pk_run_buffer(pk_run *run, const char *name, size_t bytes, pk_buffer_role role, void **device);

/* Host memory that goes with the buffers where a repetition runs in one process and is judged in another (`./lab
 * grade`): inputs that a fill draws and variants read; what the host learns of a repetition, which verify reads; and
 * what verify_token reads beside what it peeks at. Constants and what setup makes of knobs are the same in both. The
 * memory stays where it is until teardown. */
typedef enum pk_host_role { PK_HOST_INPUT, PK_HOST_OUTCOME, PK_HOST_LOOK } pk_host_role;
void pk_run_host_part(pk_run *run, const char *name, pk_host_role role, void *memory, size_t bytes);

/* ---- verifying ---- */

/* Demand bit equality of `count` floats; NaN equals nothing. Adds to the verdict. */
void pk_check_exact(pk_verdict *verdict, const float *got, const float *want, size_t count);

/* Demand |got[i] - want[i]| <= bound[i]; NaN and infinities in `got` are wrong. Adds to the verdict. */
void pk_check_bound(pk_verdict *verdict, const float *got, const double *want, const double *bound, size_t count);

/* ---- the lab ---- */

typedef struct pk_knob {
    const char *name; /* "n", given as --n */
    const char *unit; /* "floats" */
    const char *help;
    long long value, quick; /* default, and the default under --quick */
    long long minimum, maximum;
    const char *const *choices; /* [maximum + 1] with minimum 0: the value is given by these names; NULL: by number */
    int decimals;               /* the value is in units of 10^-decimals: 15625 with 6 decimals is 0.015625 */
} pk_knob;

/* One line of a sweep: the named knob takes these values while the others keep theirs. */
typedef struct pk_sweep_axis {
    const char *knob;
    const long long *values;
    size_t count;
} pk_sweep_axis;

/* Points whose axes are crossed with each other; knobs that no axis names keep their defaults. */
typedef struct pk_sweep {
    const char *name; /* "blocks" */
    const pk_sweep_axis *axes;
    size_t axis_count;
    const char *variants; /* comma-separated: only these run; NULL: all */
    bool keep_tokens;     /* also keep the latencies of tokens */
} pk_sweep;

/* Rows of tables of these, from arrays whose length the compiler knows. */
#define PK_AXIS(knob, values)                                                                                          \
    {                                                                                                                  \
        (knob), (values), PK_COUNT(values)                                                                             \
    }
#define PK_SWEEP(name, axes, variants, keep_tokens)                                                                    \
    {                                                                                                                  \
        (name), (axes), PK_COUNT(axes), (variants), (keep_tokens)                                                      \
    }

/* Measured by the harness in the same run. Microseconds, and bytes a microsecond (= 1e-3 GB/s). */
typedef struct pk_limits {
    bool measured;
    double launch_us;         /* t_L: issue of one launch among many back to back */
    double launch_sync_us;    /* launch and stream synchronise, one at a time */
    double gap_us;            /* device side: from one queued empty kernel to the next */
    double read_bytes_per_us; /* B_read, over a buffer several times the L2 */
} pk_limits;

/* A part of a variant's prepare, pk_run_phase, or of its repetitions, pk_run_span. */
enum { PK_MAX_PHASES = 32, PK_PHASE_NAME = 24 /* bytes */ };
typedef struct pk_phase {
    char name[PK_PHASE_NAME];
    double us;
} pk_phase;

/* What a lab says of a variant's result: pk_run_measure. */
typedef struct pk_measured {
    char name[24];
    double value;
} pk_measured;
enum { PK_MAX_MEASURES = 16 };

/* One measured point, as a lab's analysis sees it. */
typedef struct pk_point {
    const char *variant;
    bool is_baseline;
    const long long *knobs; /* in the order of pk_lab.knobs */
    double us_per_token;    /* median host wall time over tokens */
    double device_us_per_token, submit_us_per_token;
    double token_p50_us, token_p99_us; /* latency of a token; NaN where latencies were not kept */
    double speedup;                    /* median paired ratio against the first baseline; NaN for that baseline */
    pk_interval speedup_interval;
    double launches_per_token, graph_replays_per_token;
    double first_execute_us; /* the first repetition, host wall time: a first launch, where a repetition is one */
    const pk_phase *phases;
    size_t phase_count;
} pk_point;

/* What another program measured of the lab's problem, on the same device in a run of its own (--peers). */
typedef struct pk_peer_point {
    char *variant;
    long long *knobs;    /* in the order of pk_lab.knobs */
    double us_per_token; /* median host wall time over tokens */
} pk_peer_point;

/* What a lab's analysis records: a fit, a prediction for a point, or a named figure. */
typedef struct pk_analysis pk_analysis;
void pk_analysis_fit(pk_analysis *analysis, const char *name, const char *unit, const pk_line *line);
void pk_analysis_prediction(pk_analysis *analysis, size_t point, const char *model, double predicted_us_per_token);
void pk_analysis_figure(pk_analysis *analysis, const char *name, const char *unit, double value);
/* What others measured: [*count], none without --peers. The report's own. */
const pk_peer_point *pk_analysis_peers(const pk_analysis *analysis, size_t *count);

typedef enum pk_target_kind {
    PK_TARGET_SPEEDUP_AT_LEAST, /* paired speedup of `variant` over the first baseline */
    PK_TARGET_LAUNCHES_AT_MOST, /* kernel launches and graph launches a token of `variant` */
    PK_TARGET_FIGURE_AT_LEAST,  /* a figure that the analysis recorded, by name */
    PK_TARGET_FIGURE_AT_MOST
} pk_target_kind;

typedef struct pk_target {
    const char *name; /* "stream-ordered launches over launch and sync" */
    pk_target_kind kind;
    const char *subject; /* variant or figure */
    double value;
    const char *stated_for; /* "NVIDIA H200": the device that the figure was set on */
} pk_target;
#define PK_H200 "NVIDIA H200"

/* Kernel launches of a repetition, at least and at most. */
typedef struct pk_launch_range {
    double least, most;
} pk_launch_range;

typedef struct pk_lab {
    const char *id, *title; /* "lab01", "Launches" */
    const pk_knob *knobs;
    size_t knob_count;

    /* Whether `variant` solves the problem that these knobs pose; NULL: all do. One that does not is not in the run:
     * the first baseline that does is what the others are compared with. For a lab of several problems. */
    bool (*offers)(const pk_run *run, const char *variant);
    /* Check the knobs against each other: PK_USAGE with pk_fail's message. May be NULL. */
    pk_status (*validate)(const pk_run *run);
    /* Allocate buffers and host memory for the knobs. */
    pk_status (*setup)(pk_run *run);
    /* Draw inputs from the seed, upload what is constant, compute the reference in double. */
    pk_status (*fill)(pk_run *run, uint64_t seed);
    /* Judge what stands for token `token`, from 0, when pk_token_done reports it: where pk_run_peeks says so, by
     * pk_run_peek. May be NULL. A lab whose tokens are reported by pk_token_latency asks for it by pk_token_look. */
    pk_status (*verify_token)(pk_run *run, size_t token, pk_verdict *verdict);
    /* How many launches a repetition of `variant` makes by what the rung is about, counted by PK_LAUNCH: other numbers
     * are a wrong result. {0, HUGE_VAL}: not judged. May be NULL. */
    pk_launch_range (*launches)(const pk_run *run, const char *variant);
    /* Bring the state to the start of a repetition, on pk_run_stream; never timed. */
    pk_status (*reset)(pk_run *run);
    /* Judge all outputs of the last repetition. PK_OK when it could be judged, whatever the verdict. */
    pk_status (*verify)(pk_run *run, pk_verdict *verdict);
    void (*teardown)(pk_run *run);
    /* In one line, for the watchdog's message: what a repetition that makes no progress holds, such as a queue's
     * counters. Runs on another thread while the repetition hangs: it reads host memory only. May be NULL. */
    void (*describe_stall)(const pk_run *run, char *text, size_t bytes);

    /* A token is done only when nothing it launched still runs: then a token reported earlier is wrong. False for a
     * lab whose kernel outlives its tokens. */
    bool token_ends_on_stream;

    /* On the CPU device the default knobs take minutes: --quick=auto, as of `./lab demo`, takes the smoke shapes there.
     */
    bool slow_on_cpu;

    double (*tokens)(const pk_run *run);          /* tokens a repetition */
    double (*bytes_per_token)(const pk_run *run); /* fewest that must move to and from device memory */
    double (*flops_per_token)(const pk_run *run);

    /* Sizes that a run verifies besides, without timing: 1, no multiple of a block, more than a capped grid takes at
     * once. Each is a list of knobs, "n=1 k=3"; the others have their values under --quick. */
    const char *const *awkward;
    size_t awkward_count;

    /* Sizes that nobody knows before: `./lab grade` draws each knob from its range, "n=100..3000 k=2..40" or, multiples
     * of 8 only, "n=8..512/8"; a knob that is not named has its value under --quick. One for each of the lab's problems
     * at least. Small: they are graded on the CPU device too. */
    const char *const *hidden;
    size_t hidden_count;

    const pk_sweep *sweeps, *sweeps_quick; /* under --sweep */
    size_t sweep_count, sweep_quick_count;
    /* Fits, predictions and figures over all measured points. May be NULL. */
    pk_status (*analyse)(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis);

    const pk_target *targets; /* judged at the default knobs by `lab check` */
    size_t target_count;
} pk_lab;

extern const pk_lab pk_this_lab;

#ifdef __cplusplus
}
#endif
#endif
