/* Lab 02: inputs, arrivals and cancels from the seed, and the references.
 *
 * Two references. Serial execution on the device (serial.cu) says what every variant must give, bit for bit: who does a
 * step, and when, must not show. And double precision on the host says that serial execution is right:
 *
 * axpy: y + S a x, in closed form. A float step rounds once, by at most u |y| with u = 2^-24, so after S steps the
 * error is at most S u (|y| + S |a x|). With the default a = 2^-6 the inputs are such that no step rounds: x holds
 * integers with 1 <= |x| <= 8, start values are multiples of 2^-6 up to 2^10.
 *
 * dense: A is a signed cyclic permutation times 2, plus noise of at most 0.1 in a row's absolute sum; |x| <= 0.1, and
 * start values have 0.9 <= |y| < 1. Then |A y + x| >= 2 (0.9) - 0.2 = 1.6 in every step, since tanh(1.6) > 0.92. Signs
 * travel along the permutation for ever, so a step left out or done twice shows at any time; and an error e becomes at
 * most tanh'(1.6) (2.1) e < 0.32 e, since tanh'(1.6) < 0.151. A step adds at most d = 0.151 (2.2) g + 4 u, with
 * g = (n/4 + 4) u / (1 - (n/4 + 4) u) for a row of four partial sums of n/4 terms (Higham, "Accuracy and Stability of
 * Numerical Algorithms", 2002, section 3.1), and 4 u for a tanhf that is within 4 ulp below 1. So the error stays below
 * d / (1 - 0.32). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lab02_problem.h"
#include "num/pk_random.h"

/* ---- inputs ---- */

enum { X_LARGEST = 8, START_STEPS = 1 << 16 /* multiples of 2^-6 up to 2^10 */ };

static float sign(pk_random *random)
{
    return pk_random_below(random, 2) ? 1.0f : -1.0f;
}

static void draw_axpy(const lab02 *lab, lab02_inputs *inputs, pk_random *random)
{
    const size_t count = (size_t)lab->problem.requests * (size_t)lab->problem.n;
    for (size_t i = 0; i < count; i++) {
        inputs->x[i] = sign(random) * (float)(1 + pk_random_below(random, X_LARGEST));
        inputs->start[i] = 0x1p-6f * (float)((int)pk_random_below(random, 2 * START_STEPS + 1) - START_STEPS);
    }
}

/* Row i has its large entry at column i + 1. */
static void draw_dense(const lab02 *lab, lab02_inputs *inputs, pk_random *random)
{
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
        if (arrival == LAB02_BURSTS)
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

pk_status lab02_run_serial(pk_run *run, lab02 *lab)
{
    lab02_inputs *inputs = pk_run_reference(run);
    lab02_problem into = lab->problem;
    into.state = inputs->device_want;
    into.trace = inputs->device_trace;
    void *stream = pk_run_stream(run);
    const size_t requests = (size_t)lab->problem.requests;
    pk_status status = pk_device_upload(inputs->device_counts, inputs->counts, requests * sizeof(unsigned), stream);
    if (status == PK_OK)
        status = lab02_serial(&into, lab->start, inputs->device_counts, stream);
    if (status == PK_OK)
        status = pk_device_download(inputs->want, inputs->device_want,
                                    requests * (size_t)lab->problem.n * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_download(inputs->want_trace, inputs->device_trace,
                                    requests * (size_t)lab->problem.steps * sizeof(float), stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

static void axpy_in_double(const lab02 *lab, const lab02_inputs *inputs, size_t request, double *want, double *bound)
{
    const size_t n = (size_t)lab->problem.n;
    const double steps = lab->problem.steps, a = (double)lab->problem.a;
    for (size_t i = 0; i < n; i++) {
        const double start = (double)inputs->start[request * n + i];
        const double step = a * (double)inputs->x[request * n + i];
        want[i] = start + steps * step;
        bound[i] = steps * 0x1p-24 * (fabs(start) + steps * fabs(step));
    }
}

static void dense_in_double(const lab02 *lab, const lab02_inputs *inputs, size_t request, double *want, double *bound)
{
    const size_t n = (size_t)lab->problem.n;
    double *next = bound; /* borrowed until the bound is written */
    for (size_t i = 0; i < n; i++)
        want[i] = (double)inputs->start[request * n + i];
    for (int step = 0; step < lab->problem.steps; step++) {
        for (size_t i = 0; i < n; i++) {
            double sum = (double)inputs->x[request * n + i];
            for (size_t j = 0; j < n; j++)
                sum += (double)inputs->plain_matrix[i * n + j] * want[j];
            next[i] = tanh(sum);
        }
        memcpy(want, next, n * sizeof *want);
    }
    const double terms = ((double)n / 4 + 4) * 0x1p-24, gamma = terms / (1 - terms);
    for (size_t i = 0; i < n; i++)
        bound[i] = (0.151 * 2.2 * gamma + 4 * 0x1p-24) / (1 - 0.32);
}

/* As many requests as a fraction of a second allows, the first in any case. */
static pk_status check_serial(const lab02 *lab, const lab02_inputs *inputs)
{
    const double most_operations = 0x1p26;
    const size_t n = (size_t)lab->problem.n;
    const double each = lab->problem.dense ? (double)n * (double)n * lab->problem.steps : (double)n;
    double *want = malloc(n * sizeof *want), *bound = malloc(n * sizeof *bound);
    if (!want || !bound) {
        free(want);
        free(bound);
        return lab02_out_of_memory();
    }
    pk_status status = PK_OK;
    for (size_t r = 0; status == PK_OK && r < (size_t)lab->problem.requests; r++) {
        if (r > 0 && (double)(r + 1) * each > most_operations)
            break;
        pk_verdict verdict = {.checked = 0};
        (lab->problem.dense ? dense_in_double : axpy_in_double)(lab, inputs, r, want, bound);
        pk_check_bound(&verdict, &inputs->want[r * n], want, bound, n);
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
    const lab02_inputs *inputs = pk_run_reference(run);
    void *stream = pk_run_stream(run);
    const size_t n = (size_t)lab->problem.n, states = (size_t)lab->problem.requests * n * sizeof(float);
    pk_status status = pk_device_upload((float *)lab->problem.x, inputs->x, states, stream);
    if (status == PK_OK)
        status = pk_device_upload(lab->start, inputs->start, states, stream);
    if (status == PK_OK && lab->problem.dense)
        status = pk_device_upload((float *)lab->problem.matrix, inputs->matrix, n * n * sizeof(float), stream);
    return status;
}

pk_status lab02_fill(pk_run *run, uint64_t seed)
{
    lab02 *lab = pk_run_lab_data(run);
    lab02_inputs *inputs = pk_run_reference(run);
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, 0));
    (lab->problem.dense ? draw_dense : draw_axpy)(lab, inputs, &random);
    pk_random_seed(&random, pk_random_split(seed, 1));
    draw_arrivals(run, lab, &random);
    pk_random_seed(&random, pk_random_split(seed, 2));
    draw_cancels(run, lab, &random);
    for (int r = 0; r < lab->problem.requests; r++)
        inputs->counts[r] = (unsigned)lab->problem.steps;
    inputs->want_is_whole = true;
    pk_status status = upload_inputs(run, lab);
    if (status == PK_OK)
        status = lab02_run_serial(run, lab);
    return status == PK_OK ? check_serial(lab, inputs) : status;
}
