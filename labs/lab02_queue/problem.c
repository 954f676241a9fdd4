/* Lab 02, persistent queue: knobs, the start of a repetition, and the check of what it gave. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab02_problem.h"

/* ---- knobs ---- */

static const char *const forms[] = {"axpy", "dense"};
static const char *const arrivals[] = {"at-once", "poisson", "bursts"};
static const long long WRAPS_SOON = (1LL << 32) - 1000;
const pk_knob lab02_knobs[] = {
    [LAB02_KNOB_N] = {"n", "floats", "length of a state", 1024, 100, 1, 1LL << 28, NULL, 0},
    [LAB02_KNOB_STEPS] = {"steps", "steps", "steps a request", 64, 7, 1, 1 << 20, NULL, 0},
    [LAB02_KNOB_REQUESTS] = {"requests", "requests", "requests a repetition", 64, 19, 1, 1 << 20, NULL, 0},
    [LAB02_KNOB_BLOCKS] = {"blocks", "blocks", "of a kernel; 0: one a processor", 0, 0, 0, 1 << 16, NULL, 0},
    [LAB02_KNOB_THREADS] = {"threads", "threads", "of a block", 256, 64, 32, 1024, NULL, 0},
    [LAB02_KNOB_A] = {"a", "", "factor of the axpy form", 15625, 15625, -1000000000, 1000000000, NULL, 6},
    [LAB02_KNOB_FORM] = {"form", "", "what a step does", 0, 0, 0, 1, forms, 0},
    [LAB02_KNOB_ARRIVAL] = {"arrival", "", "when requests come", 0, 0, 0, 2, arrivals, 0},
    [LAB02_KNOB_LOAD] = {"load", "%", "of what the variant can do, when over time", 80, 50, 1, 1000, NULL, 0},
    [LAB02_KNOB_BURST] = {"burst", "requests", "that come together", 8, 8, 1, 1 << 20, NULL, 0},
    [LAB02_KNOB_IN_FLIGHT] = {"in-flight", "requests", "let in together; 0: all", 0, 0, 0, 1 << 20, NULL, 0},
    [LAB02_KNOB_RING] = {"ring", "slots", "of each ring, a power of two", 1024, 8, 2, 1 << 20, NULL, 0},
    [LAB02_KNOB_QUANTUM] = {"quantum", "steps", "before a block looks for others", 16, 2, 1, 1 << 20, NULL, 0},
    [LAB02_KNOB_FIRST] = {"first", "", "where counters start", WRAPS_SOON, (1LL << 32) - 20, 0, (1LL << 32) - 1, NULL,
                          0},
    [LAB02_KNOB_CANCEL] = {"cancel", "%", "of the requests are cancelled", 0, 0, 0, 100, NULL, 0},
    [LAB02_KNOB_STOP] = {"stop", "steps", "after which all is stopped; 0: never", 0, 0, 0, 1LL << 40, NULL, 0},
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
    clear_ring(lab->beginning->completions, queue->ring, first);
    for (unsigned i = 0; i < queue->run_ring; i++) /* free for its position; the baton at the first */
        lab->beginning->run[lab02_slot(first + i, queue->run_ring)] = lab02_word(first + i - 1, 0);
    lab->beginning->run[lab02_slot(first, queue->run_ring)] = lab02_word(first, lab02_payload(LAB02_BATON, 0));
    *lab->host.consumed = first;
    lab->host.in_use = false;
    for (size_t r = 0; r < requests; r++)
        lab->beginning->done[r] = first;
    pk_status status = pk_device_upload(queue->control, &control, sizeof control, stream);
    if (status == PK_OK)
        status = pk_device_upload(queue->done, lab->beginning->done, requests * sizeof(unsigned), stream);
    if (status == PK_OK)
        status = pk_device_upload(queue->run, lab->beginning->run, queue->run_ring * sizeof *queue->run, stream);
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
    if (host->steps_done[r] > (unsigned)lab->problem.steps) /* from another process it may be any number */
        return false;
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

/* Each cancel that was submitted must have been answered, unless a stop ended all that the device looks at. Part of how
 * a request ended, so not counted again. */
static void check_cancels(const lab02 *lab, pk_verdict *verdict)
{
    const lab02_host *host = &lab->host;
    for (int r = 0; r < lab->problem.requests && host->in_use && !host->stopped; r++) {
        if (!host->cancel_sent[r] || host->cancel_known[r] != 0 || verdict->wrong > 0)
            continue;
        verdict->wrong++;
        verdict->first_wrong = (uint64_t)r;
        verdict->got = 0;
        verdict->want = 1;
        snprintf(verdict->note, sizeof verdict->note, "answers to the cancel of request %d: it was lost on the way", r);
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

static void explain(const lab02 *lab, const lab02_inputs *inputs, size_t i, pk_verdict *verdict)
{
    const size_t n = (size_t)lab->problem.n, r = i / n;
    const double step = (double)lab->problem.a * (double)inputs->x[i];
    const double seen = (verdict->got - (double)inputs->start[i]) / step;
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
        snprintf(rest, room, ": it looks as if it saw %.0f steps, not %u", fabs(round(seen)), inputs->counts[r]);
    else
        snprintf(rest, room, ": no whole number of steps from this repetition's start values");
}

/* The tokens of the steps that were done, and nothing written for those that were not. */
static void check_trace(const lab02 *lab, const lab02_inputs *inputs, pk_verdict *verdict)
{
    const size_t steps = (size_t)lab->problem.steps;
    for (size_t r = 0; r < (size_t)lab->problem.requests; r++) {
        const size_t done = inputs->counts[r];
        const uint64_t wrong_before = verdict->wrong, checked_before = verdict->checked;
        pk_check_exact(verdict, &inputs->got_trace[r * steps], &inputs->want_trace[r * steps], done);
        if (wrong_before == 0 && verdict->wrong > 0) {
            verdict->first_wrong -= checked_before;
            snprintf(verdict->note, sizeof verdict->note, "the token of step %llu of request %zu",
                     (unsigned long long)verdict->first_wrong, r);
        }
        for (size_t s = done; s < steps; s++) {
            verdict->checked++;
            if (isnan(inputs->got_trace[r * steps + s]) || verdict->wrong++ > 0)
                continue;
            verdict->first_wrong = s;
            verdict->got = (double)inputs->got_trace[r * steps + s];
            verdict->want = (double)NAN;
            snprintf(verdict->note, sizeof verdict->note,
                     "request %zu: step %zu was done, but only %zu were reported to the host", r, s, done);
        }
    }
}

/* The serial reference for as many steps as each request says it has done. */
static pk_status want_for_counts(pk_run *run, lab02 *lab)
{
    lab02_inputs *inputs = pk_run_reference(run);
    bool whole = true;
    for (int r = 0; r < lab->problem.requests; r++) {
        inputs->counts[r] = lab->host.steps_done[r];
        whole = whole && lab->host.steps_done[r] == (unsigned)lab->problem.steps;
    }
    if (whole && inputs->want_is_whole)
        return PK_OK;
    inputs->want_is_whole = whole;
    return lab02_run_serial(run, lab);
}

static pk_status verify(pk_run *run, pk_verdict *verdict)
{
    lab02 *lab = pk_run_lab_data(run);
    lab02_inputs *inputs = pk_run_reference(run);
    const size_t n = (size_t)lab->problem.n, requests = (size_t)lab->problem.requests;
    void *stream = pk_run_stream(run);
    check_ends(lab, verdict);
    check_cancels(lab, verdict);
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
        explain(lab, inputs, (size_t)verdict->first_wrong, verdict);
    }
    check_trace(lab, inputs, verdict);
    return PK_OK;
}

/* The token of the step that lab02_host_step_done reports. */
static pk_status verify_token(pk_run *run, size_t token, pk_verdict *verdict)
{
    const lab02 *lab = pk_run_lab_data(run);
    const lab02_inputs *inputs = pk_run_reference(run);
    const unsigned r = lab->host.look_request, step = lab->host.look_step;
    const size_t at = (size_t)r * (size_t)lab->problem.steps + step;
    float got;
    (void)token;
    if (r >= (unsigned)lab->problem.requests || step >= (unsigned)lab->problem.steps)
        return pk_fail(PK_WRONG, "step %u of request %u was reported, and there is none", step, r);
    const pk_status status = pk_run_peek(run, &got, lab->problem.trace + at, sizeof got);
    if (status != PK_OK)
        return status;
    verdict->checked = at;
    pk_check_exact(verdict, &got, &inputs->want_trace[at], 1);
    snprintf(verdict->note, sizeof verdict->note, "the token of step %u of request %u", step, r);
    return PK_OK;
}

/* ---- launches, and sizes to verify at besides ---- */

static pk_launch_range launches(const pk_run *run, const char *variant)
{
    static const char *const one[] = {"ping-pong", "slices", "counter", "queue", "requests"};
    const double steps = (double)pk_knob_value(run, "steps"), all = lab02_tokens(run);
    for (size_t i = 0; i < PK_COUNT(one); i++)
        if (strcmp(variant, one[i]) == 0)
            return (pk_launch_range){1, 1};
    if (strcmp(variant, "launch-sync") == 0 || strcmp(variant, "launch-loop") == 0)
        return (pk_launch_range){all, all};
    if (strcmp(variant, "batched") == 0)
        return (pk_launch_range){steps, all};
    return (pk_launch_range){0, HUGE_VAL};
}

/* One of everything; an element fewer and one more than a block has threads; slices of more than a block, more blocks
 * than requests; rings that are full all the time, and more requests than blocks; a state that no block holds. */
static const char *const awkward[] = {"n=1 requests=1 steps=1",       "n=63 steps=3 requests=2",
                                      "n=65 threads=32 blocks=24",    "n=5000 steps=2 blocks=3",
                                      "ring=2 requests=50 quantum=1", "n=100003 requests=2 steps=3"};

/* Of either form, rings and quanta of other sizes, requests that come over time and that are cancelled. */
static const char *const hidden[] = {"n=60..900 requests=9..40 steps=3..12", "n=64..128/4 form=dense requests=5..20",
                                     "n=33..200 ring=16 quantum=1..5 requests=20..60 steps=5..9 cancel=20..40"};

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

const pk_lab pk_this_lab = {
    .id = "lab02",
    .title = "Persistent queue",
    .knobs = lab02_knobs,
    .knob_count = PK_COUNT(lab02_knobs),
    .validate = validate,
    .setup = lab02_setup,
    .fill = lab02_fill,
    .reset = lab02_reset,
    .verify = verify,
    .verify_token = verify_token,
    .launches = launches,
    .awkward = awkward,
    .awkward_count = PK_COUNT(awkward),
    .hidden = hidden,
    .hidden_count = PK_COUNT(hidden),
    .teardown = lab02_teardown,
    .slow_on_cpu = true,
    .describe_stall = describe_stall,
    .tokens = lab02_tokens,
    .bytes_per_token = lab02_bytes_per_token,
    .flops_per_token = lab02_flops_per_token,
    .sweeps = lab02_sweeps,
    .sweep_count = PK_COUNT(lab02_sweeps),
    .sweeps_quick = lab02_sweeps_quick,
    .sweep_quick_count = PK_COUNT(lab02_sweeps_quick),
    .analyse = lab02_analyse,
    .targets = lab02_targets,
    .target_count = PK_COUNT(lab02_targets),
};
