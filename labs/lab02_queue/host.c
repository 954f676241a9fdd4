/* Lab 02: the host's bookkeeping. Which requests have arrived, which wait for a slot, what came back, and whether that
 * could be: a completion too many, too few or out of order is a wrong result. */
#include <sched.h>
#include <string.h>

#include "lab02.h"

/* ---- arrivals ---- */

void lab02_host_begin(lab02 *lab, double us_per_request)
{
    lab02_host *host = &lab->host;
    const size_t requests = (size_t)lab->problem.requests;
    double at = 0;
    for (size_t r = 0; r < requests; r++) {
        host->arrival_us[r] = at;
        at += us_per_request * lab->unit_gap[r];
        host->last_event[r] = 0;
        host->slot_of[r] = LAB02_NO_SLOT;
    }
    memset(host->slot_used, 0, host->ring * sizeof *host->slot_used);
    memset(host->steps_done, 0, requests * sizeof *host->steps_done);
    memset(host->ended, 0, requests * sizeof *host->ended);
    memset(host->cancel_sent, 0, requests * sizeof *host->cancel_sent);
    memset(host->cancel_known, 0, requests * sizeof *host->cancel_known);
    host->tail = host->head = lab->queue.first;
    host->waiting_head = host->waiting_count = 0;
    host->arrived = host->ended_count = 0;
    host->events = host->events_looked = host->widest_gap = host->gap_limit = 0;
    host->stopped = host->ordered_out = host->stop_known = false;
    host->cancel_head = host->cancel_count = 0;
    host->start_us = host->looked_us = pk_clock_us();
    host->idle_polls = 0;
    host->kernel_gone = false;
    host->in_use = true;
}

void lab02_host_wait(lab02_host *host, unsigned request)
{
    host->waiting[(host->waiting_head + host->waiting_count) % host->requests] = request;
    host->waiting_count++;
}

/* Where requests come over time, one is ready from its arrival on; where all are there at once, from the moment that
 * the host lets it in. */
void lab02_host_admit(lab02 *lab)
{
    lab02_host *host = &lab->host;
    const unsigned requests = (unsigned)lab->problem.requests;
    if (host->stopped || host->arrived == requests || host->arrived - host->ended_count >= lab->in_flight)
        return;
    const double now = pk_clock_us();
    while (host->arrived < requests && host->arrived - host->ended_count < lab->in_flight) {
        const double at = host->start_us + host->arrival_us[host->arrived];
        if (at > now)
            return;
        host->ready_us[host->arrived] = lab->over_time ? at : now;
        lab02_host_wait(host, host->arrived++);
    }
}

unsigned lab02_host_next_waiting(const lab02_host *host)
{
    return host->waiting[host->waiting_head];
}

void lab02_host_submitted(lab02_host *host)
{
    const unsigned request = host->waiting[host->waiting_head];
    if (host->steps_done[request] == 0)
        host->last_event[request] = host->events;
    host->waiting_head = (host->waiting_head + 1) % host->requests;
    host->waiting_count--;
}

/* ---- completions ---- */

static pk_status unknown_request(const lab02 *lab, unsigned request)
{
    return pk_fail(PK_WRONG, "a completion came back for request %u, but there are %d", request, lab->problem.requests);
}

/* What a block that was told to end may still do: it ends its quantum. One that looked for orders just before they came
 * does another; and one is to spare, since a relaxed store is not seen at once. */
enum { QUANTA_TO_END = 3 };

static pk_status obeys(pk_run *run, unsigned request)
{
    const lab02 *lab = pk_run_lab_data(run);
    const lab02_host *host = &lab->host;
    const unsigned long long may = QUANTA_TO_END * (unsigned long long)lab->queue.quantum;
    const unsigned known = host->cancel_known[request];
    if (known != 0 && host->steps_done[request] - (known - 1) > may)
        return pk_fail(PK_WRONG,
                       "the cancel of request %u was answered, and then %u more steps of it were done: a block may end "
                       "its quantum of %u",
                       request, host->steps_done[request] - (known - 1), lab->queue.quantum);
    const unsigned blocks = lab02_blocks(run);
    if (host->stop_known && host->events - host->events_at_stop > blocks * may)
        return pk_fail(PK_WRONG,
                       "the stop was answered, and then %llu more steps were done: each of %u blocks may end its "
                       "quantum of %u",
                       host->events - host->events_at_stop, blocks, lab->queue.quantum);
    return PK_OK;
}

pk_status lab02_host_step_done(pk_run *run, unsigned request, double now_us)
{
    lab02 *lab = pk_run_lab_data(run);
    lab02_host *host = &lab->host;
    host->kernel_gone = false;
    if (request >= (unsigned)lab->problem.requests)
        return unknown_request(lab, request);
    if (request >= host->arrived || host->ended[request])
        return pk_fail(PK_WRONG, "a step of request %u came back %s", request,
                       host->ended[request] ? "after its end" : "before it was submitted");
    if (host->steps_done[request] == (unsigned)lab->problem.steps)
        return pk_fail(PK_WRONG, "request %u has %d steps, and one more came back", request, lab->problem.steps);
    host->look_request = request;
    host->look_step = host->steps_done[request]++;
    pk_token_look(run);
    pk_token_latency(run, now_us - host->ready_us[request]);
    host->ready_us[request] = now_us;
    const unsigned long long gap = host->events - host->last_event[request];
    if (gap > host->widest_gap)
        host->widest_gap = gap;
    host->last_event[request] = ++host->events;
    return obeys(run, request);
}

void lab02_host_cancel_sent(lab02_host *host, unsigned request)
{
    host->cancel_sent[request] = 1;
}

pk_status lab02_host_cancel_answered(pk_run *run, unsigned request)
{
    lab02 *lab = pk_run_lab_data(run);
    lab02_host *host = &lab->host;
    if (request >= host->requests)
        return unknown_request(lab, request);
    if (!host->cancel_sent[request] || host->cancel_known[request] != 0)
        return pk_fail(PK_WRONG, "a cancel of request %u was answered %s", request,
                       host->cancel_known[request] ? "twice" : "before it was submitted");
    host->cancel_known[request] = host->steps_done[request] + 1;
    return PK_OK;
}

void lab02_host_stop_answered(lab02_host *host)
{
    host->stop_known = true;
    host->events_at_stop = host->events;
}

pk_status lab02_host_ended(pk_run *run, unsigned request, unsigned kind)
{
    lab02 *lab = pk_run_lab_data(run);
    lab02_host *host = &lab->host;
    if (request >= (unsigned)lab->problem.requests)
        return unknown_request(lab, request);
    if (request >= host->arrived || host->ended[request])
        return pk_fail(PK_WRONG, "request %u ended %s", request,
                       host->ended[request] ? "twice" : "before it was submitted");
    if (kind == LAB02_FINISHED && host->steps_done[request] != (unsigned)lab->problem.steps)
        return pk_fail(PK_WRONG, "request %u was reported as finished after %u of %d steps", request,
                       host->steps_done[request], lab->problem.steps);
    host->ended[request] = (unsigned char)kind;
    host->ended_count++;
    host->kernel_gone = false;
    return PK_OK;
}

pk_status lab02_host_stop(pk_run *run)
{
    lab02_host *host = &((lab02 *)pk_run_lab_data(run))->host;
    host->stopped = true;
    while (host->waiting_count > 0) {
        const pk_status status = lab02_host_ended(run, lab02_host_next_waiting(host), LAB02_UNFINISHED);
        lab02_host_submitted(host);
        if (status != PK_OK)
            return status;
    }
    return PK_OK;
}

/* A lap of the run queue gives each request that lives one quantum. A request waits at most a lap until the block looks
 * at the submissions, and another for its turn. */
void lab02_host_judge_turns(pk_run *run)
{
    lab02 *lab = pk_run_lab_data(run);
    if (lab02_blocks(run) == 1 && lab->stop_after == 0)
        lab->host.gap_limit = 2 * ((unsigned long long)lab->host.requests + 1) * lab->queue.quantum;
}

void lab02_host_all_finished(lab02 *lab)
{
    lab02_host *host = &lab->host;
    host->gap_limit = host->widest_gap = 0;
    for (unsigned r = 0; r < host->requests; r++) {
        host->steps_done[r] = (unsigned)lab->problem.steps;
        host->ended[r] = LAB02_FINISHED;
    }
    host->arrived = host->ended_count = host->requests;
}

/* ---- waiting ---- */

/* Asking the runtime costs a microsecond and more: not in every poll. */
static const double LOOK_EVERY_US = 1000;
enum { POLLS_A_LOOK = 256 };

pk_status lab02_host_idle(pk_run *run)
{
    lab02 *lab = pk_run_lab_data(run);
    lab02_host *host = &lab->host;
    if (++host->idle_polls % POLLS_A_LOOK != 0 && pk_run_device(run)->is_gpu)
        return PK_OK;
    if (!pk_run_device(run)->is_gpu)
        (void)sched_yield(); /* the kernel runs on this machine's cores too */
    const double now = pk_clock_us();
    if (now - host->looked_us < LOOK_EVERY_US)
        return PK_OK;
    host->looked_us = now;
    if (host->events != host->events_looked)
        pk_run_progress(run);
    host->events_looked = host->events;
    bool idle;
    pk_status status = pk_device_stream_idle(pk_run_stream(run), &idle);
    if (status != PK_OK)
        return status;
    /* What the kernel posted last may have come between the last poll and this look: the next look decides. */
    if (!idle || !host->kernel_gone) {
        host->kernel_gone = idle;
        return PK_OK;
    }
    return pk_fail(PK_WRONG, "the kernel ended, and %u of %d requests had not: lost on the way, or it left too early",
                   (unsigned)lab->problem.requests - host->ended_count, lab->problem.requests);
}

/* ---- sizes and rates ---- */

unsigned lab02_blocks(const pk_run *run)
{
    const lab02 *lab = pk_run_lab_data(run);
    return (unsigned)(lab->blocks ? lab->blocks : pk_run_device(run)->processors);
}

pk_status lab02_pace(pk_run *run, pk_status (*execute)(pk_run *run), double *us_per_request)
{
    lab02 *lab = pk_run_lab_data(run);
    *us_per_request = 0;
    if (!lab->over_time)
        return PK_OK;
    const unsigned long long stop_after = lab->stop_after;
    double busy_us = 0;
    pk_status status = PK_OK;
    lab->over_time = false;
    lab->stop_after = 0;
    for (int repetition = 0; repetition < 2 && status == PK_OK; repetition++) {
        status = lab02_reset(run);
        const double start = pk_clock_us();
        if (status == PK_OK)
            status = execute(run);
        busy_us = pk_clock_us() - start;
    }
    lab->over_time = true;
    lab->stop_after = stop_after;
    *us_per_request = 100 * busy_us / (double)lab->problem.requests / (double)pk_knob_value(run, "load");
    return status;
}
