/* Lab 02: the memory of a run, on the host, on the device, and what both share. */
#include <stdlib.h>

#include "lab02_problem.h"

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
    free(host->cancel_sent);
    free(host->cancel_known);
    free(host->waiting);
    free(host->last_event);
}

void lab02_teardown(pk_run *run)
{
    lab02 *lab = pk_run_lab_data(run);
    lab02_inputs *inputs = pk_run_reference(run);
    lab02_beginning *beginning = lab->beginning;
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
        free(inputs);
    }
    if (beginning) {
        free(beginning->done);
        free(beginning->run);
        pk_device_free_mapped(beginning->completions);
        free(beginning);
    }
    free_host(&lab->host);
    free(lab->unit_gap);
    free(lab);
    pk_run_set_lab_data(run, NULL);
    pk_run_set_reference(run, NULL);
}

pk_status lab02_out_of_memory(void)
{
    return pk_fail(PK_FAULT, "lab02: no host memory for the inputs: use a smaller --n, --requests or --steps");
}

static pk_status allocate_inputs(pk_run *run, lab02 *lab)
{
    lab02_inputs *inputs = calloc(1, sizeof *inputs);
    lab02_beginning *beginning = lab->beginning = calloc(1, sizeof *beginning);
    pk_run_set_reference(run, inputs);
    if (!inputs || !beginning)
        return lab02_out_of_memory();
    const size_t n = (size_t)lab->problem.n, requests = (size_t)lab->problem.requests,
                 steps = (size_t)lab->problem.steps;
    inputs->x = malloc(requests * n * sizeof(float));
    inputs->start = malloc(requests * n * sizeof(float));
    inputs->want = malloc(requests * n * sizeof(float));
    inputs->got = malloc(requests * n * sizeof(float));
    inputs->want_trace = malloc(requests * steps * sizeof(float));
    inputs->got_trace = malloc(requests * steps * sizeof(float));
    inputs->counts = malloc(requests * sizeof(unsigned));
    beginning->done = malloc(requests * sizeof(unsigned));
    beginning->run = malloc(lab->queue.run_ring * sizeof *beginning->run);
    lab->unit_gap = malloc(requests * sizeof(double));
    bool there = inputs->x && inputs->start && inputs->want && inputs->got && inputs->want_trace && inputs->got_trace &&
                 inputs->counts && beginning->done && beginning->run && lab->unit_gap;
    if (lab->problem.dense) {
        inputs->matrix = malloc(n * n * sizeof(float));
        inputs->plain_matrix = malloc(n * n * sizeof(float));
        there = there && inputs->matrix && inputs->plain_matrix;
    }
    return there ? PK_OK : lab02_out_of_memory();
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
    host->cancel_sent = calloc(requests, sizeof *host->cancel_sent);
    host->cancel_known = calloc(requests, sizeof *host->cancel_known);
    host->waiting = calloc(requests, sizeof *host->waiting);
    host->last_event = calloc(requests, sizeof *host->last_event);
    if (!host->slot_used || !host->slot_of || !host->arrival_us || !host->ready_us || !host->steps_done ||
        !host->ended || !host->cancel_after || !host->to_cancel || !host->cancel_slot || !host->cancel_sent ||
        !host->cancel_known || !host->waiting || !host->last_event)
        return lab02_out_of_memory();
    const size_t ring_bytes = host->ring * sizeof(unsigned long long);
    pk_status status = pk_device_alloc_mapped(&mine, &device, ring_bytes);
    if (status != PK_OK)
        return status;
    host->submissions = mine;
    lab->queue.submissions = device;
    status = pk_device_alloc_mapped(&mine, &device, ring_bytes);
    if (status != PK_OK)
        return status;
    lab->beginning->completions = mine;
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
        {"serial state", states, PK_BUFFER_REFERENCE, &want},
        {"serial trace", traces, PK_BUFFER_REFERENCE, &want_trace},
        {"counts", requests * sizeof(unsigned), PK_BUFFER_REFERENCE, &counts},
        {"control", sizeof(lab02_control), PK_BUFFER_STATE, &control},
        {"done", requests * sizeof(unsigned), PK_BUFFER_STATE, &done},
        {"cancelled", requests * sizeof(unsigned), PK_BUFFER_STATE, &cancelled},
        {"run queue", lab->queue.run_ring * sizeof(unsigned long long), PK_BUFFER_STATE, &turns},
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
    lab02_inputs *inputs = pk_run_reference(run);
    inputs->device_want = want;
    inputs->device_trace = want_trace;
    inputs->device_counts = counts;
    lab->queue.control = control;
    lab->queue.done = done;
    lab->queue.cancelled = cancelled;
    lab->queue.run = turns;
    return PK_OK;
}

/* What is drawn with the inputs, what the host's side learns of a repetition and verifying reads, and which step it
 * reports. */
static void name_host_parts(pk_run *run, lab02 *lab)
{
    lab02_host *host = &lab->host;
    const size_t requests = (size_t)lab->problem.requests;
    pk_run_host_part(run, "gaps", PK_HOST_INPUT, lab->unit_gap, requests * sizeof *lab->unit_gap);
    pk_run_host_part(run, "cancels", PK_HOST_INPUT, host->cancel_after, requests * sizeof *host->cancel_after);
    pk_run_host_part(run, "steps done", PK_HOST_OUTCOME, host->steps_done, requests * sizeof *host->steps_done);
    pk_run_host_part(run, "ended", PK_HOST_OUTCOME, host->ended, requests * sizeof *host->ended);
    pk_run_host_part(run, "cancel sent", PK_HOST_OUTCOME, host->cancel_sent, requests * sizeof *host->cancel_sent);
    pk_run_host_part(run, "cancel known", PK_HOST_OUTCOME, host->cancel_known, requests * sizeof *host->cancel_known);
    pk_run_host_part(run, "arrived", PK_HOST_OUTCOME, &host->arrived, sizeof host->arrived);
    pk_run_host_part(run, "stopped", PK_HOST_OUTCOME, &host->stopped, sizeof host->stopped);
    pk_run_host_part(run, "in use", PK_HOST_OUTCOME, &host->in_use, sizeof host->in_use);
    pk_run_host_part(run, "widest gap", PK_HOST_OUTCOME, &host->widest_gap, sizeof host->widest_gap);
    pk_run_host_part(run, "gap limit", PK_HOST_OUTCOME, &host->gap_limit, sizeof host->gap_limit);
    pk_run_host_part(run, "look, request", PK_HOST_LOOK, &host->look_request, sizeof host->look_request);
    pk_run_host_part(run, "look, step", PK_HOST_LOOK, &host->look_step, sizeof host->look_step);
}

static unsigned power_of_two(unsigned at_least)
{
    unsigned power = 1;
    while (power < at_least)
        power *= 2;
    return power;
}

pk_status lab02_setup(pk_run *run)
{
    lab02 *lab = calloc(1, sizeof *lab);
    if (!lab)
        return lab02_out_of_memory();
    pk_run_set_lab_data(run, lab);
    lab->problem.n = (int)pk_knob_value(run, "n");
    lab->problem.steps = (int)pk_knob_value(run, "steps");
    lab->problem.requests = (int)pk_knob_value(run, "requests");
    lab->problem.dense = (int)pk_knob_value(run, "form");
    lab->problem.a = (float)pk_knob_number(run, "a");
    lab->threads = (int)pk_knob_value(run, "threads");
    lab->blocks = (int)pk_knob_value(run, "blocks");
    lab->over_time = pk_knob_value(run, "arrival") != LAB02_AT_ONCE;
    lab->stop_after = (unsigned long long)pk_knob_value(run, "stop");
    const long long in_flight = pk_knob_value(run, "in-flight");
    lab->in_flight = (unsigned)(in_flight ? in_flight : lab->problem.requests);
    lab->queue.ring = (unsigned)pk_knob_value(run, "ring");
    lab->queue.first = (unsigned)pk_knob_value(run, "first");
    lab->queue.quantum = (unsigned)pk_knob_value(run, "quantum");
    lab->queue.run_ring = power_of_two((unsigned)lab->problem.requests + 2 * LAB02_LOOK);
    pk_status status = allocate_inputs(run, lab);
    if (status == PK_OK)
        status = allocate_host(lab);
    if (status == PK_OK)
        name_host_parts(run, lab);
    return status == PK_OK ? allocate_device(run, lab) : status;
}
