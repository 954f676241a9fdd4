/* Lab @NN@, @TITLE@: inputs and the exact reference.
 *
 * Exactness: x, s and the start values are integers, |x| and |s| at most 8, |start| at most 1024. So every y is an
 * integer of at most 1024 + 16 T, and a float holds it exactly up to 2^24, so for T <= 2^19: the result is demanded bit
 * for bit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "labNN.h"
#include "num/pk_random.h"

enum { LARGEST = 8, LARGEST_START = 1024, MOST_TOKENS = 1 << 19 };

/* ---- knobs ---- */

enum { KNOB_N, KNOB_TOKENS };
static const pk_knob knobs[] = {
    [KNOB_N] = {"n", "floats", "length of the vectors", 1 << 10, 1000, 1, 1LL << 28, NULL, 0},
    [KNOB_TOKENS] = {"tokens", "tokens", "tokens a repetition", 100, 2, 1, 1LL << 30, NULL, 0},
};

static pk_status validate(const pk_run *run)
{
    if (pk_knob_value(run, "tokens") > MOST_TOKENS)
        return pk_fail(PK_USAGE, "labNN: beyond %d tokens a float no longer holds the result exactly: use fewer tokens",
                       MOST_TOKENS);
    return PK_OK;
}

/* ---- set-up, inputs, reference ---- */

typedef struct reference { /* the host's side, [n] each, where no variant reaches it */
    float *x, *s, *start, *want, *got;
} reference;

static void teardown(pk_run *run)
{
    reference *host = pk_run_reference(run);
    if (host) {
        free(host->x);
        free(host->s);
        free(host->start);
        free(host->want);
        free(host->got);
    }
    free(host);
    pk_run_set_reference(run, NULL);
    free(pk_run_lab_data(run));
    pk_run_set_lab_data(run, NULL);
}

static pk_status allocate_host(pk_run *run, size_t n)
{
    reference *host = calloc(1, sizeof *host);
    pk_run_set_reference(run, host);
    if (host) {
        host->x = calloc(n, sizeof(float));
        host->s = calloc(n, sizeof(float));
        host->start = calloc(n, sizeof(float));
        host->want = calloc(n, sizeof(float));
        host->got = calloc(n, sizeof(float));
    }
    if (!host || !host->x || !host->s || !host->start || !host->want || !host->got)
        return pk_fail(PK_FAULT, "labNN: no host memory for five vectors of %zu floats: use a smaller --n", n);
    return PK_OK;
}

static pk_status setup(pk_run *run)
{
    labNN *lab = calloc(1, sizeof *lab);
    if (!lab)
        return pk_out_of_memory("labNN");
    pk_run_set_lab_data(run, lab);
    lab->n = (int)pk_knob_value(run, "n");
    lab->tokens = (int)pk_knob_value(run, "tokens");
    const size_t bytes = (size_t)lab->n * sizeof(float);
    void *x = NULL, *s = NULL, *y = NULL, *t = NULL, *start = NULL;
    pk_status status = pk_run_buffer(run, "x", bytes, PK_BUFFER_INPUT, &x);
    if (status == PK_OK)
        status = pk_run_buffer(run, "s", bytes, PK_BUFFER_INPUT, &s);
    if (status == PK_OK)
        status = pk_run_buffer(run, "y", bytes, PK_BUFFER_OUTPUT, &y);
    if (status == PK_OK)
        status = pk_run_buffer(run, "t", bytes, PK_BUFFER_SCRATCH, &t);
    if (status == PK_OK)
        status = pk_run_buffer(run, "start", bytes, PK_BUFFER_INPUT, &start);
    lab->x = x;
    lab->s = s;
    lab->y = y;
    lab->t = t;
    lab->start = start;
    return status == PK_OK ? allocate_host(run, (size_t)lab->n) : status;
}

static float integer(pk_random *random, int largest)
{
    return (float)((int)pk_random_below(random, 2 * (uint64_t)largest + 1) - largest);
}

/* x - s is never 0, so that each token changes every element. */
static void draw(pk_random *random, reference *host, size_t i)
{
    do {
        host->x[i] = integer(random, LARGEST);
        host->s[i] = integer(random, LARGEST);
    } while (host->x[i] == host->s[i]);
    host->start[i] = integer(random, LARGEST_START);
}

static pk_status fill(pk_run *run, uint64_t seed)
{
    const labNN *lab = pk_run_lab_data(run);
    reference *host = pk_run_reference(run);
    pk_random random;
    pk_random_seed(&random, seed);
    for (size_t i = 0; i < (size_t)lab->n; i++) {
        draw(&random, host, i);
        host->want[i] = (float)((double)host->start[i] + lab->tokens * ((double)host->x[i] - (double)host->s[i]));
    }
    const size_t bytes = (size_t)lab->n * sizeof(float);
    void *stream = pk_run_stream(run);
    pk_status status = pk_device_upload((float *)lab->x, host->x, bytes, stream);
    if (status == PK_OK)
        status = pk_device_upload((float *)lab->s, host->s, bytes, stream);
    if (status == PK_OK)
        status = pk_device_upload(lab->start, host->start, bytes, stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

static pk_status reset(pk_run *run)
{
    const labNN *lab = pk_run_lab_data(run);
    return pk_device_copy(lab->y, lab->start, (size_t)lab->n * sizeof(float), pk_run_stream(run));
}

/* What the first wrong element looks like: say what a reader can act on, and where the page of messages tells more. */
static void explain(const labNN *lab, const reference *host, pk_verdict *verdict)
{
    const size_t i = (size_t)verdict->first_wrong;
    const double token = (double)host->x[i] - (double)host->s[i];
    const double seen = (verdict->got - (double)host->start[i]) / token;
    if (isnan(verdict->got))
        snprintf(verdict->note, sizeof verdict->note,
                 "NaN: never written, or computed from something that was not (docs/troubleshooting.md#nan)");
    else if (seen == floor(seen))
        snprintf(verdict->note, sizeof verdict->note,
                 "it looks as if this element saw %.0f tokens, not %d (docs/troubleshooting.md#one-step-off)",
                 fabs(seen) /* 0, not -0 */, lab->tokens);
    else
        snprintf(verdict->note, sizeof verdict->note,
                 "no whole number of tokens from this repetition's start (docs/troubleshooting.md#stale)");
}

static pk_status verify(pk_run *run, pk_verdict *verdict)
{
    const labNN *lab = pk_run_lab_data(run);
    reference *host = pk_run_reference(run);
    pk_status status = pk_device_download(host->got, lab->y, (size_t)lab->n * sizeof(float), pk_run_stream(run));
    if (status == PK_OK)
        status = pk_device_stream_synchronize(pk_run_stream(run));
    if (status != PK_OK)
        return status;
    pk_check_exact(verdict, host->got, host->want, (size_t)lab->n);
    if (verdict->wrong > 0)
        explain(lab, host, verdict);
    return PK_OK;
}

/* ---- sizes ---- */

static double tokens(const pk_run *run)
{
    return (double)pk_knob_value(run, "tokens");
}

/* x, s and y read once, y written once: what is left when t stays in a register. */
static double bytes_per_token(const pk_run *run)
{
    return 4.0 * sizeof(float) * (double)pk_knob_value(run, "n");
}

static double flops_per_token(const pk_run *run)
{
    return 2.0 * (double)pk_knob_value(run, "n");
}

static pk_launch_range launches(const pk_run *run, const char *variant)
{
    const double each = strcmp(variant, "two-kernels") == 0 ? 2 : strcmp(variant, "one-kernel") == 0 ? 1 : 0;
    if (each > 0)
        return (pk_launch_range){each * tokens(run), each * tokens(run)};
    return (pk_launch_range){0, HUGE_VAL};
}

/* One element, a block but one, a block and one, and more blocks than any device holds at once. */
static const char *const awkward[] = {"n=1 tokens=1", "n=255", "n=257 tokens=3", "n=1000003"};

static const char *const hidden[] = {"n=1..3000 tokens=1..5"}; /* for ./lab grade */

static const long long n_full[] = {1 << 10, 1 << 14, 1 << 18, 1 << 20, 1 << 22, 1 << 24};
static const long long n_quick[] = {1 << 10, 1 << 14, 1 << 18};
static const pk_sweep_axis axes[] = {PK_AXIS("n", n_full)};
static const pk_sweep_axis axes_quick[] = {PK_AXIS("n", n_quick)};
static const pk_sweep sweeps[] = {PK_SWEEP("size", axes, NULL, false)};
static const pk_sweep sweeps_quick[] = {PK_SWEEP("size", axes_quick, NULL, false)};

/* Set on a GPU that you have measured, and name it in the last column. */
static const pk_target targets[] = {
    {"one kernel over two", PK_TARGET_SPEEDUP_AT_LEAST, "one-kernel", 1.2, "no device yet"},
};

const pk_lab pk_this_lab = {
    .id = "labNN",
    .title = "@TITLE@",
    .knobs = knobs,
    .knob_count = PK_COUNT(knobs),
    .validate = validate,
    .setup = setup,
    .fill = fill,
    .reset = reset,
    .verify = verify,
    .launches = launches,
    .awkward = awkward,
    .awkward_count = PK_COUNT(awkward),
    .hidden = hidden,
    .hidden_count = PK_COUNT(hidden),
    .teardown = teardown,
    .tokens = tokens,
    .bytes_per_token = bytes_per_token,
    .flops_per_token = flops_per_token,
    .sweeps = sweeps,
    .sweep_count = PK_COUNT(sweeps),
    .sweeps_quick = sweeps_quick,
    .sweep_quick_count = PK_COUNT(sweeps_quick),
    .targets = targets,
    .target_count = PK_COUNT(targets),
};
