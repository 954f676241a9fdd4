/* Lab 02, persistent queue: inputs, references, arrivals, sweeps and targets.
 *
 * Two references. Serial execution on the device (serial.cu) says what every variant must give, bit for bit: who does a
 * step, and when, must not show. And double precision on the host says that serial execution is right:
 *
 * axpy   y + S a x, in closed form. A float step rounds once, by at most u |y| with u = 2^-24, so after S steps the
 *        error is at most S u (|y| + S |a x|). With the default a = 2^-6 the inputs are such that no step rounds: x
 * holds integers with 1 <= |x| <= 8, start values are multiples of 2^-6 up to 2^10. dense  A is a signed cyclic
 * permutation times 2, plus noise of at most 0.1 in a row's absolute sum; |x| <= 0.1, and start values have 0.9 <= |y|
 * < 1. Then |A y + x| >= 2 (0.9) - 0.2 = 1.6 in every step, since tanh(1.6) > 0.92. Signs travel along the permutation
 * for ever, so a step left out or done twice shows at any time; and an error e becomes at most tanh'(1.6) (2.1) e <
 * 0.32 e, since tanh'(1.6) < 0.151. A step adds at most d = 0.151 (2.2) g + 4 u, with g = (n/4 + 4) u / (1 - (n/4 + 4)
 * u) for a row of four partial sums of n/4 terms (Higham, "Accuracy and Stability of Numerical Algorithms", 2002,
 * section 3.1), and 4 u for a tanhf that is within 4 ulp below 1. So the error stays below d / (1 - 0.32). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab02.h"
#include "num/pk_random.h"

/* ---- knobs ---- */

static const char *const forms[] = {"axpy", "dense"};
static const char *const arrivals[] = {"at-once", "poisson", "bursts"};
enum { AT_ONCE, POISSON, BURSTS };

enum {
    KNOB_N,
    KNOB_STEPS,
    KNOB_REQUESTS,
    KNOB_BLOCKS,
    KNOB_THREADS,
    KNOB_A,
    KNOB_FORM,
    KNOB_ARRIVAL,
    KNOB_LOAD,
    KNOB_BURST,
    KNOB_IN_FLIGHT,
    KNOB_RING,
    KNOB_QUANTUM,
    KNOB_FIRST,
    KNOB_CANCEL,
    KNOB_STOP
};
static const long long WRAPS_SOON = (1LL << 32) - 1000;
static const pk_knob knobs[] = {
    [KNOB_N] = {"n", "floats", "length of a state", 1024, 100, 1, 1LL << 28, NULL, 0},
    [KNOB_STEPS] = {"steps", "steps", "steps a request", 64, 7, 1, 1 << 20, NULL, 0},
    [KNOB_REQUESTS] = {"requests", "requests", "requests a repetition", 64, 19, 1, 1 << 20, NULL, 0},
    [KNOB_BLOCKS] = {"blocks", "blocks", "of a kernel; 0: one a processor", 0, 0, 0, 1 << 16, NULL, 0},
    [KNOB_THREADS] = {"threads", "threads", "of a block", 256, 64, 32, 1024, NULL, 0},
    [KNOB_A] = {"a", "", "factor of the axpy form", 15625, 15625, -1000000000, 1000000000, NULL, 6},
    [KNOB_FORM] = {"form", "", "what a step does", 0, 0, 0, 1, forms, 0},
    [KNOB_ARRIVAL] = {"arrival", "", "when requests come", 0, 0, 0, 2, arrivals, 0},
    [KNOB_LOAD] = {"load", "%", "of what the variant can do, when over time", 80, 50, 1, 1000, NULL, 0},
    [KNOB_BURST] = {"burst", "requests", "that come together", 8, 8, 1, 1 << 20, NULL, 0},
    [KNOB_IN_FLIGHT] = {"in-flight", "requests", "let in together; 0: all", 0, 0, 0, 1 << 20, NULL, 0},
    [KNOB_RING] = {"ring", "slots", "of each ring, a power of two", 1024, 8, 2, 1 << 20, NULL, 0},
    [KNOB_QUANTUM] = {"quantum", "steps", "before a block looks for others", 16, 2, 1, 1 << 20, NULL, 0},
    [KNOB_FIRST] = {"first", "", "where counters start", WRAPS_SOON, (1LL << 32) - 20, 0, (1LL << 32) - 1, NULL, 0},
    [KNOB_CANCEL] = {"cancel", "%", "of the requests are cancelled", 0, 0, 0, 100, NULL, 0},
    [KNOB_STOP] = {"stop", "steps", "after which all is stopped; 0: never", 0, 0, 0, 1LL << 40, NULL, 0},
};

enum { MOST_DENSE = 1024 /* floats: eight states of the batched baseline fit in 48 KB */ };

static pk_status validate(const pk_run *run)
{
    const long long n = pk_knob_value(run, "n"), ring = pk_knob_value(run, "ring"),
                    requests = pk_knob_value(run, "requests"), steps = pk_knob_value(run, "steps");
    const bool dense = pk_knob_value(run, "form") != 0;
    if ((ring & (ring - 1)) != 0)
        return pk_fail(PK_USAGE, "lab02: --ring=%lld: slots stay in step with positions only for a power of two", ring);
    if (dense && (n % 4 != 0 || n > MOST_DENSE))
        return pk_fail(PK_USAGE, "lab02: --n=%lld: the dense form takes multiples of 4 up to %d", n, MOST_DENSE);
    if (requests * steps > 1LL << 30)
        return pk_fail(PK_USAGE, "lab02: requests x steps is %lld: use at most 2^30", requests * steps);
    if (pk_knob_value(run, "threads") % 32 != 0)
        return pk_fail(PK_USAGE, "lab02: --threads must be a multiple of 32");
    return PK_OK;
}

/* ---- set-up ---- */

typedef struct lab02_inputs {        /* the host's copies */
    float *x, *start, *want, *got;   /* [R][n] */
    float *want_trace, *got_trace;   /* [R][S] */
    float *matrix, *plain_matrix;    /* [n/4][n][4], and the same by rows; dense only */
    unsigned *counts, *done;         /* [R] */
    unsigned long long *run;         /* [run_ring] */
    unsigned long long *completions; /* the host's view, for writing when a repetition begins */
    bool want_is_whole;              /* want is after S steps of every request */
} lab02_inputs;

static void free_host(lab02_host *host)
{
    pk_device_free_mapped(host->submissions);
    pk_device_free_mapped(host->consumed);
    free(host->slot_used);
    free(host->slot_of);
    free(host->arrival_us);
    free(host->ready_us);
    free(host->steps_done);
    free(host->ended);
    free(host->cancel_after);
    free(host->to_cancel);
    free(host->cancel_slot);
    free(host->waiting);
    free(host->last_event);
}

static void teardown(pk_run *run)
{
    lab02 *lab = pk_run_lab_data(run);
    lab02_inputs *inputs = lab->inputs;
    if (inputs) {
        free(inputs->x);
        free(inputs->start);
        free(inputs->want);
        free(inputs->got);
        free(inputs->want_trace);
        free(inputs->got_trace);
        free(inputs->matrix);
        free(inputs->plain_matrix);
        free(inputs->counts);
        free(inputs->done);
        free(inputs->run);
        pk_device_free_mapped(inputs->completions);
        free(inputs);
    }
    free_host(&lab->host);
    free(lab->unit_gap);
    free(lab);
    pk_run_set_lab_data(run, NULL);
}

static pk_status out_of_memory(void)
{
    return pk_fail(PK_USAGE, "lab02: no host memory for the inputs: use a smaller --n, --requests or --steps");
}

static pk_status allocate_inputs(lab02 *lab)
{
    lab02_inputs *inputs = lab->inputs = calloc(1, sizeof *inputs);
    if (!inputs)
        return out_of_memory();
    const size_t n = (size_t)lab->problem.n, requests = (size_t)lab->problem.requests,
                 steps = (size_t)lab->problem.steps;
    inputs->x = malloc(requests * n * sizeof(float));
    inputs->start = malloc(requests * n * sizeof(float));
    inputs->want = malloc(requests * n * sizeof(float));
    inputs->got = malloc(requests * n * sizeof(float));
    inputs->want_trace = malloc(requests * steps * sizeof(float));
    inputs->got_trace = malloc(requests * steps * sizeof(float));
    inputs->counts = malloc(requests * sizeof(unsigned));
    inputs->done = malloc(requests * sizeof(unsigned));
    inputs->run = malloc(lab->queue.run_ring * sizeof *inputs->run);
    lab->unit_gap = malloc(requests * sizeof(double));
    bool there = inputs->x && inputs->start && inputs->want && inputs->got && inputs->want_trace && inputs->got_trace &&
                 inputs->counts && inputs->done && inputs->run && lab->unit_gap;
    if (lab->problem.dense) {
        inputs->matrix = malloc(n * n * sizeof(float));
        inputs->plain_matrix = malloc(n * n * sizeof(float));
        there = there && inputs->matrix && inputs->plain_matrix;
    }
    return there ? PK_OK : out_of_memory();
}

static pk_status allocate_host(lab02 *lab)
{
    lab02_host *host = &lab->host;
    const size_t requests = (size_t)lab->problem.requests;
    void *mine, *device;
    host->requests = (unsigned)requests;
    host->ring = lab->queue.ring;
    host->slot_used = calloc(host->ring, sizeof *host->slot_used);
    host->slot_of = calloc(requests, sizeof *host->slot_of);
    host->arrival_us = calloc(requests, sizeof *host->arrival_us);
    host->ready_us = calloc(requests, sizeof *host->ready_us);
    host->steps_done = calloc(requests, sizeof *host->steps_done);
    host->ended = calloc(requests, sizeof *host->ended);
    host->cancel_after = calloc(requests, sizeof *host->cancel_after);
    host->to_cancel = calloc(requests, sizeof *host->to_cancel);
    host->cancel_slot = calloc(requests, sizeof *host->cancel_slot);
    host->waiting = calloc(requests, sizeof *host->waiting);
    host->last_event = calloc(requests, sizeof *host->last_event);
    if (!host->slot_used || !host->slot_of || !host->arrival_us || !host->ready_us || !host->steps_done ||
        !host->ended || !host->cancel_after || !host->to_cancel || !host->cancel_slot || !host->waiting ||
        !host->last_event)
        return out_of_memory();
    const size_t ring_bytes = host->ring * sizeof(unsigned long long);
    pk_status status = pk_device_alloc_mapped(&mine, &device, ring_bytes);
    if (status != PK_OK)
        return status;
    host->submissions = mine;
    lab->queue.submissions = device;
    status = pk_device_alloc_mapped(&mine, &device, ring_bytes);
    if (status != PK_OK)
        return status;
    lab->inputs->completions = mine;
    host->completions = mine;
    lab->queue.completions = device;
    status = pk_device_alloc_mapped(&mine, &device, sizeof(lab02_counter));
    if (status != PK_OK)
        return status;
    host->consumed = mine;
    lab->queue.consumed = device;
    return PK_OK;
}

typedef struct wanted_buffer {
    const char *name;
    size_t bytes;
    pk_buffer_role role;
    void **device;
} wanted_buffer;

static pk_status allocate_device(pk_run *run, lab02 *lab)
{
    const size_t n = (size_t)lab->problem.n, requests = (size_t)lab->problem.requests;
    const size_t states = requests * n * sizeof(float), traces = requests * (size_t)lab->problem.steps * sizeof(float);
    void *x, *matrix = NULL, *state, *start, *want, *trace, *want_trace, *counts, *control, *done, *cancelled, *turns;
    const wanted_buffer wanted[] = {
        {"x", states, PK_BUFFER_INPUT, &x},
        {"state", states, PK_BUFFER_OUTPUT, &state},
        {"trace", traces, PK_BUFFER_OUTPUT, &trace},
        {"start", states, PK_BUFFER_INPUT, &start},
        {"serial state", states, PK_BUFFER_INPUT, &want},
        {"serial trace", traces, PK_BUFFER_INPUT, &want_trace},
        {"counts", requests * sizeof(unsigned), PK_BUFFER_INPUT, &counts},
        {"control", sizeof(lab02_control), PK_BUFFER_INPUT, &control},
        {"done", requests * sizeof(unsigned), PK_BUFFER_INPUT, &done},
        {"cancelled", requests * sizeof(unsigned), PK_BUFFER_INPUT, &cancelled},
        {"run queue", lab->queue.run_ring * sizeof(unsigned long long), PK_BUFFER_INPUT, &turns},
        {"matrix", n * n * sizeof(float), PK_BUFFER_INPUT, &matrix},
    };
    const size_t count = sizeof wanted / sizeof wanted[0] - (lab->problem.dense ? 0 : 1);
    for (size_t i = 0; i < count; i++) {
        const pk_status status = pk_run_buffer(run, wanted[i].name, wanted[i].bytes, wanted[i].role, wanted[i].device);
        if (status != PK_OK)
            return status;
    }
    lab->problem.x = x;
    lab->problem.matrix = matrix;
    lab->problem.state = state;
    lab->problem.trace = trace;
    lab->start = start;
    lab->want = want;
    lab->want_trace = want_trace;
    lab->counts = counts;
    lab->queue.control = control;
    lab->queue.done = done;
    lab->queue.cancelled = cancelled;
    lab->queue.run = turns;
    return PK_OK;
}

static unsigned power_of_two(unsigned at_least)
{
    unsigned power = 1;
    while (power < at_least)
        power *= 2;
    return power;
}

static pk_status setup(pk_run *run)
{
    lab02 *lab = calloc(1, sizeof *lab);
    if (!lab)
        return out_of_memory();
    pk_run_set_lab_data(run, lab);
    lab->problem.n = (int)pk_knob_value(run, "n");
    lab->problem.steps = (int)pk_knob_value(run, "steps");
    lab->problem.requests = (int)pk_knob_value(run, "requests");
    lab->problem.dense = (int)pk_knob_value(run, "form");
    lab->problem.a = (float)pk_knob_number(run, "a");
    lab->threads = (int)pk_knob_value(run, "threads");
    lab->blocks = (int)pk_knob_value(run, "blocks");
    lab->over_time = pk_knob_value(run, "arrival") != AT_ONCE;
    lab->stop_after = (unsigned long long)pk_knob_value(run, "stop");
    const long long in_flight = pk_knob_value(run, "in-flight");
    lab->in_flight = (unsigned)(in_flight ? in_flight : lab->problem.requests);
    lab->queue.ring = (unsigned)pk_knob_value(run, "ring");
    lab->queue.first = (unsigned)pk_knob_value(run, "first");
    lab->queue.quantum = (unsigned)pk_knob_value(run, "quantum");
    lab->queue.run_ring = power_of_two((unsigned)lab->problem.requests + 2 * LAB02_LOOK);
    pk_status status = allocate_inputs(lab);
    if (status == PK_OK)
        status = allocate_host(lab);
    return status == PK_OK ? allocate_device(run, lab) : status;
}

/* ---- inputs ---- */

enum { X_LARGEST = 8, START_STEPS = 1 << 16 /* multiples of 2^-6 up to 2^10 */ };

static float sign(pk_random *random)
{
    return pk_random_below(random, 2) ? 1.0f : -1.0f;
}

static void draw_axpy(lab02 *lab, pk_random *random)
{
    const size_t count = (size_t)lab->problem.requests * (size_t)lab->problem.n;
    for (size_t i = 0; i < count; i++) {
        lab->inputs->x[i] = sign(random) * (float)(1 + pk_random_below(random, X_LARGEST));
        lab->inputs->start[i] = 0x1p-6f * (float)((int)pk_random_below(random, 2 * START_STEPS + 1) - START_STEPS);
    }
}

/* Row i has its large entry at column i + 1. */
static void draw_dense(lab02 *lab, pk_random *random)
{
    lab02_inputs *inputs = lab->inputs;
    const size_t n = (size_t)lab->problem.n, count = (size_t)lab->problem.requests * n;
    const float noise = 0.1f / (float)n;
    for (size_t i = 0; i < n; i++) {
        pk_random_fill(random, &inputs->plain_matrix[i * n], n, -noise, noise);
        inputs->plain_matrix[i * n + (i + 1) % n] = 2 * sign(random);
        for (size_t j = 0; j < n; j++)
            inputs->matrix[(j / 4 * n + i) * 4 + j % 4] = inputs->plain_matrix[i * n + j];
    }
    pk_random_fill(random, inputs->x, count, -0.1f, 0.1f);
    for (size_t i = 0; i < count; i++)
        inputs->start[i] = sign(random) * (0.9f + 0.09375f * pk_random_float(random));
}

/* Times between arrivals, in mean times. Exponential: a Poisson process. A burst's requests come together, and bursts
 * as a Poisson process. */
static void draw_arrivals(const pk_run *run, lab02 *lab, pk_random *random)
{
    const long long arrival = pk_knob_value(run, "arrival"), burst = pk_knob_value(run, "burst");
    for (long long r = 0; r < lab->problem.requests; r++) {
        const double exponential = -log(1 - pk_random_double(random));
        if (arrival == BURSTS)
            lab->unit_gap[r] = (r + 1) % burst == 0 ? exponential * (double)burst : 0;
        else
            lab->unit_gap[r] = exponential;
    }
}

static void draw_cancels(const pk_run *run, lab02 *lab, pk_random *random)
{
    const uint64_t percent = (uint64_t)pk_knob_value(run, "cancel");
    for (int r = 0; r < lab->problem.requests; r++) {
        const bool cancel = pk_random_below(random, 100) < percent;
        const int after = (int)pk_random_below(random, (uint64_t)lab->problem.steps);
        lab->host.cancel_after[r] = cancel ? after : -1;
    }
}

/* ---- references ---- */

static pk_status run_serial(pk_run *run, lab02 *lab)
{
    void *stream = pk_run_stream(run);
    const size_t requests = (size_t)lab->problem.requests;
    pk_status status = pk_device_upload(lab->counts, lab->inputs->counts, requests * sizeof(unsigned), stream);
    if (status == PK_OK)
        status = lab02_serial(lab, stream);
    if (status == PK_OK)
        status =
            pk_device_download(lab->inputs->want, lab->want, requests * (size_t)lab->problem.n * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_download(lab->inputs->want_trace, lab->want_trace,
                                    requests * (size_t)lab->problem.steps * sizeof(float), stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

static void axpy_in_double(const lab02 *lab, size_t request, double *want, double *bound)
{
    const size_t n = (size_t)lab->problem.n;
    const double steps = lab->problem.steps, a = (double)lab->problem.a;
    for (size_t i = 0; i < n; i++) {
        const double start = (double)lab->inputs->start[request * n + i];
        const double step = a * (double)lab->inputs->x[request * n + i];
        want[i] = start + steps * step;
        bound[i] = steps * 0x1p-24 * (fabs(start) + steps * fabs(step));
    }
}

static void dense_in_double(const lab02 *lab, size_t request, double *want, double *bound)
{
    const size_t n = (size_t)lab->problem.n;
    double *next = bound; /* borrowed until the bound is written */
    for (size_t i = 0; i < n; i++)
        want[i] = (double)lab->inputs->start[request * n + i];
    for (int step = 0; step < lab->problem.steps; step++) {
        for (size_t i = 0; i < n; i++) {
            double sum = (double)lab->inputs->x[request * n + i];
            for (size_t j = 0; j < n; j++)
                sum += (double)lab->inputs->plain_matrix[i * n + j] * want[j];
            next[i] = tanh(sum);
        }
        memcpy(want, next, n * sizeof *want);
    }
    const double terms = ((double)n / 4 + 4) * 0x1p-24, gamma = terms / (1 - terms);
    for (size_t i = 0; i < n; i++)
        bound[i] = (0.151 * 2.2 * gamma + 4 * 0x1p-24) / (1 - 0.32);
}

/* As many requests as a fraction of a second allows, the first in any case. */
static pk_status check_serial(const lab02 *lab)
{
    const double most_operations = 0x1p26;
    const size_t n = (size_t)lab->problem.n;
    const double each = lab->problem.dense ? (double)n * (double)n * lab->problem.steps : (double)n;
    double *want = malloc(n * sizeof *want), *bound = malloc(n * sizeof *bound);
    if (!want || !bound) {
        free(want);
        free(bound);
        return out_of_memory();
    }
    pk_status status = PK_OK;
    for (size_t r = 0; status == PK_OK && r < (size_t)lab->problem.requests; r++) {
        if (r > 0 && (double)(r + 1) * each > most_operations)
            break;
        pk_verdict verdict = {.checked = 0};
        (lab->problem.dense ? dense_in_double : axpy_in_double)(lab, r, want, bound);
        pk_check_bound(&verdict, &lab->inputs->want[r * n], want, bound, n);
        if (verdict.wrong > 0)
            status = pk_fail(PK_WRONG,
                             "lab02: the serial reference itself is wrong: request %zu, element %llu: got %.9g, in "
                             "double %.9g",
                             r, (unsigned long long)verdict.first_wrong, verdict.got, verdict.want);
    }
    free(want);
    free(bound);
    return status;
}

static pk_status upload_inputs(pk_run *run, lab02 *lab)
{
    void *stream = pk_run_stream(run);
    const size_t n = (size_t)lab->problem.n, states = (size_t)lab->problem.requests * n * sizeof(float);
    pk_status status = pk_device_upload((float *)lab->problem.x, lab->inputs->x, states, stream);
    if (status == PK_OK)
        status = pk_device_upload(lab->start, lab->inputs->start, states, stream);
    if (status == PK_OK && lab->problem.dense)
        status = pk_device_upload((float *)lab->problem.matrix, lab->inputs->matrix, n * n * sizeof(float), stream);
    return status;
}

static pk_status fill(pk_run *run, uint64_t seed)
{
    lab02 *lab = pk_run_lab_data(run);
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, 0));
    (lab->problem.dense ? draw_dense : draw_axpy)(lab, &random);
    pk_random_seed(&random, pk_random_split(seed, 1));
    draw_arrivals(run, lab, &random);
    pk_random_seed(&random, pk_random_split(seed, 2));
    draw_cancels(run, lab, &random);
    for (int r = 0; r < lab->problem.requests; r++)
        lab->inputs->counts[r] = (unsigned)lab->problem.steps;
    lab->inputs->want_is_whole = true;
    pk_status status = upload_inputs(run, lab);
    if (status == PK_OK)
        status = run_serial(run, lab);
    return status == PK_OK ? check_serial(lab) : status;
}

/* ---- the start of a repetition ---- */

/* A slot's turn before its first use: that of the lap before. */
static void clear_ring(unsigned long long *ring, unsigned slots, unsigned first)
{
    for (unsigned i = 0; i < slots; i++)
        ring[lab02_slot(first + i, slots)] = lab02_word(first + i - slots, 0);
}

pk_status lab02_reset(pk_run *run)
{
    lab02 *lab = pk_run_lab_data(run);
    lab02_queue *queue = &lab->queue;
    void *stream = pk_run_stream(run);
    const size_t requests = (size_t)lab->problem.requests;
    const unsigned first = queue->first;
    lab02_control control = {.claimed = {first, {0}},
                             .next = {first, {0}},
                             .posted = {first, {0}},
                             .consumed_seen = {first, {0}},
                             .run_taken = {first, {0}},
                             .run_pushed = {first + 1, {0}},
                             .live = {1, {0}}};
    clear_ring(lab->host.submissions, queue->ring, first);
    clear_ring(lab->inputs->completions, queue->ring, first);
    for (unsigned i = 0; i < queue->run_ring; i++) /* free for its position; the baton at the first */
        lab->inputs->run[lab02_slot(first + i, queue->run_ring)] = lab02_word(first + i - 1, 0);
    lab->inputs->run[lab02_slot(first, queue->run_ring)] = lab02_word(first, lab02_payload(LAB02_BATON, 0));
    *lab->host.consumed = first;
    lab->host.in_use = false;
    for (size_t r = 0; r < requests; r++)
        lab->inputs->done[r] = first;
    pk_status status = pk_device_upload(queue->control, &control, sizeof control, stream);
    if (status == PK_OK)
        status = pk_device_upload(queue->done, lab->inputs->done, requests * sizeof(unsigned), stream);
    if (status == PK_OK)
        status = pk_device_upload(queue->run, lab->inputs->run, queue->run_ring * sizeof *queue->run, stream);
    if (status == PK_OK)
        status = pk_device_fill(queue->cancelled, 0, requests * sizeof(unsigned), stream);
    if (status == PK_OK)
        status =
            pk_device_copy(lab->problem.state, lab->start, requests * (size_t)lab->problem.n * sizeof(float), stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status; /* `control` is on this stack */
}

/* ---- verifying ---- */

/* May request r have ended as it did? */
static bool may_end_so(const lab02 *lab, int r)
{
    const lab02_host *host = &lab->host;
    switch (host->ended[r]) {
    case LAB02_FINISHED:
        return host->steps_done[r] == (unsigned)lab->problem.steps;
    case LAB02_CANCELLED:
        return host->cancel_after[r] >= 0 && host->steps_done[r] >= (unsigned)host->cancel_after[r];
    case LAB02_UNFINISHED:
        return lab->stop_after > 0;
    default: /* it never ended: only one that had not arrived when all was stopped may */
        return lab->stop_after > 0 && (unsigned)r >= host->arrived;
    }
}

static const char *end_word(unsigned kind)
{
    return kind == LAB02_FINISHED     ? "finished"
           : kind == LAB02_CANCELLED  ? "cancelled"
           : kind == LAB02_UNFINISHED ? "unfinished"
                                      : "lost";
}

/* Each request once: did it end, and as it may? */
static void check_ends(const lab02 *lab, pk_verdict *verdict)
{
    const lab02_host *host = &lab->host;
    verdict->checked += (uint64_t)lab->problem.requests;
    for (int r = 0; r < lab->problem.requests; r++) {
        if (may_end_so(lab, r))
            continue;
        if (verdict->wrong++ > 0)
            continue;
        verdict->first_wrong = (uint64_t)r;
        verdict->got = host->steps_done[r];
        verdict->want = lab->problem.steps;
        snprintf(verdict->note, sizeof verdict->note, "steps of request %d: it came back as %s", r,
                 end_word(host->ended[r]));
    }
}

/* A request that waits for its turn is passed by at most `gap_limit` steps of others. */
static void check_fair(const lab02 *lab, pk_verdict *verdict)
{
    const lab02_host *host = &lab->host;
    verdict->checked++;
    if (host->gap_limit == 0 || host->widest_gap <= host->gap_limit || verdict->wrong > 0)
        return;
    verdict->wrong++;
    verdict->first_wrong = 0;
    verdict->got = (double)host->widest_gap;
    verdict->want = (double)host->gap_limit;
    snprintf(verdict->note, sizeof verdict->note,
             "steps of others between two of one request, and at most so many wanted: work is not shared fairly");
}

static void explain(const lab02 *lab, size_t i, pk_verdict *verdict)
{
    const size_t n = (size_t)lab->problem.n, r = i / n;
    const double step = (double)lab->problem.a * (double)lab->inputs->x[i];
    const double seen = (verdict->got - (double)lab->inputs->start[i]) / step;
    int used = snprintf(verdict->note, sizeof verdict->note, "request %zu, element %zu", r, i % n);
    char *rest = verdict->note + used;
    const size_t room = sizeof verdict->note - (size_t)used;
    if (isnan(verdict->got))
        snprintf(rest, room, ": never written, or computed from something that was not (docs/troubleshooting.md#nan)");
    else if (lab->problem.dense)
        return;
    else if (fabs(verdict->got - verdict->want) < fabs(step) / 2)
        snprintf(rest, room, ": off by less than a step: rounded otherwise than in serial execution");
    else if (fabs(seen - round(seen)) < 1e-3 && seen > -0.5)
        snprintf(rest, room, ": it looks as if it saw %.0f steps, not %u", fabs(round(seen)), lab->inputs->counts[r]);
    else
        snprintf(rest, room, ": no whole number of steps from this repetition's start values");
}

/* The tokens of the steps that were done, and nothing written for those that were not. */
static void check_trace(const lab02 *lab, pk_verdict *verdict)
{
    const size_t steps = (size_t)lab->problem.steps;
    for (size_t r = 0; r < (size_t)lab->problem.requests; r++) {
        const size_t done = lab->inputs->counts[r];
        const uint64_t wrong_before = verdict->wrong, checked_before = verdict->checked;
        pk_check_exact(verdict, &lab->inputs->got_trace[r * steps], &lab->inputs->want_trace[r * steps], done);
        if (wrong_before == 0 && verdict->wrong > 0) {
            verdict->first_wrong -= checked_before;
            snprintf(verdict->note, sizeof verdict->note, "the token of step %llu of request %zu",
                     (unsigned long long)verdict->first_wrong, r);
        }
        for (size_t s = done; s < steps; s++) {
            verdict->checked++;
            if (isnan(lab->inputs->got_trace[r * steps + s]) || verdict->wrong++ > 0)
                continue;
            verdict->first_wrong = s;
            verdict->got = (double)lab->inputs->got_trace[r * steps + s];
            verdict->want = (double)NAN;
            snprintf(verdict->note, sizeof verdict->note,
                     "request %zu: step %zu was done, but only %zu were reported to the host", r, s, done);
        }
    }
}

/* The serial reference for as many steps as each request says it has done. */
static pk_status want_for_counts(pk_run *run, lab02 *lab)
{
    bool whole = true;
    for (int r = 0; r < lab->problem.requests; r++) {
        lab->inputs->counts[r] = lab->host.steps_done[r];
        whole = whole && lab->host.steps_done[r] == (unsigned)lab->problem.steps;
    }
    if (whole && lab->inputs->want_is_whole)
        return PK_OK;
    lab->inputs->want_is_whole = whole;
    return run_serial(run, lab);
}

static pk_status verify(pk_run *run, pk_verdict *verdict)
{
    lab02 *lab = pk_run_lab_data(run);
    lab02_inputs *inputs = lab->inputs;
    const size_t n = (size_t)lab->problem.n, requests = (size_t)lab->problem.requests;
    void *stream = pk_run_stream(run);
    check_ends(lab, verdict);
    check_fair(lab, verdict);
    if (verdict->wrong > 0)
        return PK_OK;
    pk_status status = want_for_counts(run, lab);
    if (status == PK_OK)
        status = pk_device_download(inputs->got, lab->problem.state, requests * n * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_download(inputs->got_trace, lab->problem.trace,
                                    requests * (size_t)lab->problem.steps * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    if (status != PK_OK)
        return status;
    const uint64_t checked_before = verdict->checked;
    pk_check_exact(verdict, inputs->got, inputs->want, requests * n);
    if (verdict->wrong > 0) {
        verdict->first_wrong -= checked_before;
        explain(lab, (size_t)verdict->first_wrong, verdict);
    }
    check_trace(lab, verdict);
    return PK_OK;
}

/* For the watchdog: reads what the host holds, and words of mapped memory that the kernel may be writing. Nothing of a
 * variant in which the host has no part. */
static void describe_stall(const pk_run *run, char *text, size_t bytes)
{
    const lab02 *lab = pk_run_lab_data(run);
    const lab02_host *host = &lab->host;
    if (!host->in_use)
        return;
    const unsigned slot = lab02_slot(host->head, host->ring);
    const unsigned long long next = __atomic_load_n(&host->completions[slot], __ATOMIC_RELAXED);
    unsigned used = 0, last = 0;
    for (unsigned i = 0; i < host->ring; i++)
        used += host->slot_used[i];
    while (last < host->arrived && host->ended[last])
        last++;
    snprintf(text, bytes,
             "submitted up to position %u, %u of %u slots in use, %u requests waiting for one; completions taken up to "
             "position %u, the next has %s; %u of %u requests ended",
             host->tail, used, host->ring, host->waiting_count, host->head,
             lab02_is_there(next, host->head) ? "come" : "not come", host->ended_count, host->requests);
    const size_t length = strlen(text);
    if (last < host->requests)
        snprintf(text + length, bytes - length, ", the first that has not is %u after %u of %d steps", last,
                 host->steps_done[last], lab->problem.steps);
}

/* ---- sizes ---- */

static double tokens(const pk_run *run)
{
    return (double)pk_knob_value(run, "requests") * (double)pk_knob_value(run, "steps");
}

/* What must come from device memory if a state stays close to the block that works on it: the state and x once a
 * request, and back. */
static double bytes_per_token(const pk_run *run)
{
    return 3.0 * sizeof(float) * (double)pk_knob_value(run, "n") / (double)pk_knob_value(run, "steps");
}

static double flops_per_token(const pk_run *run)
{
    const double n = (double)pk_knob_value(run, "n");
    return pk_knob_value(run, "form") ? 2 * n * n : 2 * n;
}

/* ---- sweeps ---- */

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define AXIS(knob, values)                                                                                             \
    {                                                                                                                  \
        (knob), (values), COUNT(values)                                                                                \
    }

/* One small item in flight, and more: what a round trip takes. */
static const long long in_flight[] = {1, 2, 4, 8, 16, 32, 64}, in_flight_quick[] = {1, 4, 16};
static const long long small_n[] = {256};
static const pk_sweep_axis in_flight_axes[] = {AXIS("in-flight", in_flight), AXIS("n", small_n)};
static const pk_sweep_axis in_flight_axes_quick[] = {AXIS("in-flight", in_flight_quick), AXIS("n", small_n)};

/* Many more requests than blocks: throughput against the number and the size of blocks. */
static const long long blocks[] = {1, 2, 4, 8, 16, 33, 66, 99, 132, 198, 264, 396, 528};
static const long long blocks_quick[] = {1, 2, 4, 8, 16};
static const long long threads[] = {64, 128, 256, 512, 1024}, threads_quick[] = {64, 256};
static const long long many[] = {1024}, many_quick[] = {32}, few_steps[] = {16};
static const pk_sweep_axis block_axes[] = {AXIS("blocks", blocks), AXIS("threads", threads), AXIS("requests", many),
                                           AXIS("steps", few_steps)};
static const pk_sweep_axis block_axes_quick[] = {AXIS("blocks", blocks_quick), AXIS("threads", threads_quick),
                                                 AXIS("requests", many_quick), AXIS("steps", few_steps)};

static const long long n_full[] = {256, 1024, 4096, 16384, 65536}, n_quick[] = {256, 4096};
static const pk_sweep_axis n_axes[] = {AXIS("n", n_full)}, n_axes_quick[] = {AXIS("n", n_quick)};

static const long long dense[] = {1}, n_dense[] = {32, 64, 128, 192, 224, 256, 512, 1024}, n_dense_quick[] = {32, 128};
static const pk_sweep_axis dense_axes[] = {AXIS("n", n_dense), AXIS("form", dense)};
static const pk_sweep_axis dense_axes_quick[] = {AXIS("n", n_dense_quick), AXIS("form", dense)};

/* Latency under load. */
static const long long poisson[] = {POISSON}, loads[] = {30, 50, 65, 80, 90, 95}, loads_quick[] = {50, 80, 95};
static const long long crowd[] = {2048}, crowd_quick[] = {32};
static const pk_sweep_axis load_axes[] = {AXIS("load", loads), AXIS("arrival", poisson), AXIS("requests", crowd),
                                          AXIS("steps", few_steps)};
static const pk_sweep_axis load_axes_quick[] = {AXIS("load", loads_quick), AXIS("arrival", poisson),
                                                AXIS("requests", crowd_quick), AXIS("steps", few_steps)};

/* One request, whose slices do not depend on each other. */
static const long long one[] = {1}, n_slices[] = {1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22};
static const long long n_slices_quick[] = {1 << 10, 1 << 14}, steps_500[] = {500}, steps_50[] = {50};
static const pk_sweep_axis slice_axes[] = {AXIS("n", n_slices), AXIS("requests", one), AXIS("steps", steps_500)};
static const pk_sweep_axis slice_axes_quick[] = {AXIS("n", n_slices_quick), AXIS("requests", one),
                                                 AXIS("steps", steps_50)};

#define SWEEP(name, axes, variants, keep_tokens)                                                                       \
    {                                                                                                                  \
        (name), (axes), COUNT(axes), (variants), (keep_tokens)                                                         \
    }
static const pk_sweep sweeps[] = {
    SWEEP("in flight", in_flight_axes, "launch-sync,ping-pong,queue,requests", true),
    SWEEP("blocks", block_axes, "requests", false),
    SWEEP("n", n_axes, NULL, false),
    SWEEP("dense", dense_axes, NULL, false),
    SWEEP("load", load_axes, "batched,queue,requests", true),
    SWEEP("slices", slice_axes, "launch-sync,launch-loop,slices", false),
};
static const pk_sweep sweeps_quick[] = {
    SWEEP("in flight", in_flight_axes_quick, "launch-sync,ping-pong,queue,requests", true),
    SWEEP("blocks", block_axes_quick, "requests", false),
    SWEEP("n", n_axes_quick, NULL, false),
    SWEEP("dense", dense_axes_quick, NULL, false),
    SWEEP("load", load_axes_quick, "batched,queue,requests", true),
    SWEEP("slices", slice_axes_quick, "launch-sync,launch-loop,slices", false),
};

/* ---- figures ---- */

/* The last point of `variant` at which `knob` and the requests are so; NULL when there is none. */
static const pk_point *find(const pk_point *points, size_t count, const char *variant, int knob, long long value,
                            long long requests)
{
    const pk_point *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(points[i].variant, variant) == 0 && points[i].knobs[knob] == value &&
            points[i].knobs[KNOB_REQUESTS] == requests)
            found = &points[i];
    return found;
}

static void round_trip(const pk_point *points, size_t count, pk_analysis *analysis)
{
    const pk_point *queue = find(points, count, "queue", KNOB_IN_FLIGHT, 1, knobs[KNOB_REQUESTS].value);
    const pk_point *launch = find(points, count, "launch-sync", KNOB_IN_FLIGHT, 1, knobs[KNOB_REQUESTS].value);
    if (!queue || !launch)
        return;
    pk_analysis_figure(analysis, "queue, one in flight, p50", "us", queue->token_p50_us);
    pk_analysis_figure(analysis, "queue, one in flight, p99", "us", queue->token_p99_us);
    pk_analysis_figure(analysis, "launch and wait over queue, p50", "", launch->token_p50_us / queue->token_p50_us);
    const pk_point *least = find(points, count, "ping-pong", KNOB_IN_FLIGHT, 1, knobs[KNOB_REQUESTS].value);
    if (least)
        pk_analysis_figure(analysis, "ping-pong, p50", "us", least->token_p50_us);
}

static void under_load(const pk_point *points, size_t count, pk_analysis *analysis)
{
    static const char *const variants[] = {"queue", "requests"};
    for (size_t v = 0; v < COUNT(variants); v++) {
        for (size_t i = 0; i < count; i++) {
            const pk_point *p = &points[i];
            const long long load = p->knobs[KNOB_LOAD];
            if (strcmp(p->variant, variants[v]) != 0 || p->knobs[KNOB_ARRIVAL] != POISSON ||
                (load != 50 && load != 80 && load != 95))
                continue;
            char name[64];
            snprintf(name, sizeof name, "%s at %lld%% load, p50", p->variant, load);
            pk_analysis_figure(analysis, name, "us", p->token_p50_us);
            snprintf(name, sizeof name, "%s at %lld%% load, p99", p->variant, load);
            pk_analysis_figure(analysis, name, "us", p->token_p99_us);
        }
    }
}

static bool at_defaults(const pk_point *point)
{
    for (size_t k = 0; k < COUNT(knobs); k++)
        if (point->knobs[k] != knobs[k].value)
            return false;
    return true;
}

static void against(const pk_point *points, size_t count, const char *other, pk_analysis *analysis)
{
    const pk_point *requests = NULL, *than = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!at_defaults(&points[i]))
            continue;
        if (strcmp(points[i].variant, "requests") == 0)
            requests = &points[i];
        if (strcmp(points[i].variant, other) == 0)
            than = &points[i];
    }
    if (!requests || !than)
        return;
    char name[64];
    snprintf(name, sizeof name, "requests over %s", other);
    pk_analysis_figure(analysis, name, "", than->us_per_token / requests->us_per_token);
}

static void slices(const pk_point *points, size_t count, pk_analysis *analysis)
{
    for (size_t i = 0; i < COUNT(n_slices); i++) {
        const pk_point *loop = find(points, count, "launch-loop", KNOB_N, n_slices[i], 1);
        const pk_point *mine = find(points, count, "slices", KNOB_N, n_slices[i], 1);
        if (!loop || !mine || loop->knobs[KNOB_STEPS] != steps_500[0])
            continue;
        char name[64];
        snprintf(name, sizeof name, "slices over launch-loop, n=%lld", n_slices[i]);
        pk_analysis_figure(analysis, name, "", loop->us_per_token / mine->us_per_token);
    }
}

static pk_status analyse(const pk_limits *limits, const pk_point *points, size_t count, pk_analysis *analysis)
{
    (void)limits;
    round_trip(points, count, analysis);
    against(points, count, "launch-loop", analysis);
    against(points, count, "batched", analysis);
    slices(points, count, analysis);
    under_load(points, count, analysis);
    return PK_OK;
}

/* ---- targets ---- */

#define ON "NVIDIA H200"
static const pk_target targets[] = {
    {"requests over launch-sync", PK_TARGET_SPEEDUP_AT_LEAST, "requests", 20, ON},
    {"requests over batched", PK_TARGET_FIGURE_AT_LEAST, "requests over batched", 3, ON},
    {"requests launches a token", PK_TARGET_LAUNCHES_AT_MOST, "requests", 0.001, ON},
    {"queue launches a token", PK_TARGET_LAUNCHES_AT_MOST, "queue", 0.001, ON},
    {"one in flight, p50 us", PK_TARGET_FIGURE_AT_MOST, "queue, one in flight, p50", 2.2, ON},
    {"one in flight, p99 us", PK_TARGET_FIGURE_AT_MOST, "queue, one in flight, p99", 5, ON},
    {"launch and wait over queue", PK_TARGET_FIGURE_AT_LEAST, "launch and wait over queue, p50", 3.5, ON},
    {"slices over launch-loop", PK_TARGET_FIGURE_AT_LEAST, "slices over launch-loop, n=1048576", 1.2, ON},
};

const pk_lab pk_this_lab = {
    .id = "lab02",
    .title = "Persistent queue",
    .knobs = knobs,
    .knob_count = COUNT(knobs),
    .validate = validate,
    .setup = setup,
    .fill = fill,
    .reset = lab02_reset,
    .verify = verify,
    .teardown = teardown,
    .slow_on_cpu = true,
    .describe_stall = describe_stall,
    .tokens = tokens,
    .bytes_per_token = bytes_per_token,
    .flops_per_token = flops_per_token,
    .sweeps = sweeps,
    .sweep_count = COUNT(sweeps),
    .sweeps_quick = sweeps_quick,
    .sweep_quick_count = COUNT(sweeps_quick),
    .analyse = analyse,
    .targets = targets,
    .target_count = COUNT(targets),
};
