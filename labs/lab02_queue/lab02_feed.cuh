/* Lab 02: the host's loops. They submit what waits and take what came, by the host's ends of the rings. */
#ifndef LAB02_FEED_CUH
#define LAB02_FEED_CUH

#include "lab02_launch.cuh"

/* Steps of the student's file. Submit an item: false, and nothing done, when the ring is full. */
static inline bool push(lab02_host *host, unsigned payload);

/* Take the next completion: false when none has come. */
static inline bool pop(lab02_host *host, unsigned *payload);

static inline bool push_request(lab02_host *host, unsigned payload)
{
    const unsigned slot = lab02_slot(host->tail, host->ring);
    if (!push(host, payload))
        return false;
    host->slot_of[lab02_id(payload)] = slot;
    return true;
}

/* Something came back about `request`: its slot is free. */
static inline void free_slot(lab02_host *host, unsigned request)
{
    if (host->slot_of[request] == LAB02_NO_SLOT)
        return;
    host->slot_used[host->slot_of[request]] = false;
    host->slot_of[request] = LAB02_NO_SLOT;
}

/* ---- queue: steps ---- */

/* A step came back: its slot is free, and the request goes on, or ends. */
static inline pk_status step_came_back(pk_run *run, unsigned request, double now_us)
{
    lab02 *lab = lab_of(run);
    lab02_host *host = &lab->host;
    PK_TRY(lab02_host_step_done(run, request, now_us));
    free_slot(host, request);
    if (host->steps_done[request] == (unsigned)lab->problem.steps)
        return lab02_host_ended(run, request, LAB02_FINISHED);
    if (host->stopped)
        return lab02_host_ended(run, request, LAB02_UNFINISHED);
    lab02_host_wait(host, request);
    return PK_OK;
}

static inline bool time_to_stop(const lab02 *lab)
{
    return lab->stop_after > 0 && !lab->host.stopped && lab->host.events >= lab->stop_after;
}

/* Submit what waits, take what came, until all requests that were let in have ended. */
static inline pk_status feed_steps(pk_run *run)
{
    lab02 *lab = lab_of(run);
    lab02_host *host = &lab->host;
    while (host->ended_count < (host->stopped ? host->arrived : host->requests)) {
        unsigned completion;
        lab02_host_admit(lab);
        while (host->waiting_count > 0) {
            const unsigned request = lab02_host_next_waiting(host);
            if (!push_request(host, lab02_step_payload(request, host->steps_done[request])))
                break;
            lab02_host_submitted(host);
        }
        if (!pop(host, &completion)) {
            PK_TRY(lab02_host_idle(run));
            continue;
        }
        const double now_us = pk_clock_us();
        do
            PK_TRY(step_came_back(run, lab02_id(completion), now_us));
        while (pop(host, &completion));
        if (time_to_stop(lab))
            PK_TRY(lab02_host_stop(run));
    }
    return PK_OK;
}

/* One stop for each block, behind all items: whoever takes one takes nothing more, so every block gets one. */
static inline pk_status stop_blocks(pk_run *run, unsigned blocks)
{
    lab02_host *host = &lab_of(run)->host;
    unsigned submitted = 0, back = 0, completion;
    while (back < blocks) {
        const unsigned slot = lab02_slot(host->tail, host->ring);
        if (submitted < blocks && push(host, lab02_payload(LAB02_STOP, slot)))
            submitted++;
        if (!pop(host, &completion)) {
            PK_TRY(lab02_host_idle(run));
            continue;
        }
        host->slot_used[lab02_id(completion)] = false;
        back++;
    }
    return PK_OK;
}

/* ---- requests ---- */

/* Is it time to cancel this request? Then it is put on the list. */
static inline void consider_cancel(lab02_host *host, unsigned request)
{
    if (host->cancel_after[request] == (int)host->steps_done[request])
        host->to_cancel[host->cancel_count++] = request;
}

static inline pk_status request_came_back(pk_run *run, unsigned completion, double now_us)
{
    lab02_host *host = &lab_of(run)->host;
    const unsigned kind = lab02_kind(completion), id = lab02_id(completion);
    if (kind == LAB02_CANCEL) {
        PK_TRY(lab02_host_cancel_answered(run, id));
        host->slot_used[host->cancel_slot[id]] = false;
        return PK_OK;
    }
    if (kind == LAB02_STOP)
        lab02_host_stop_answered(host);
    if (kind == LAB02_DRAIN || kind == LAB02_STOP) {
        host->slot_used[id] = false;
        host->ordered_out = true;
        return PK_OK;
    }
    if (kind == LAB02_STEP || kind == LAB02_FINISHED)
        PK_TRY(lab02_host_step_done(run, id, now_us));
    free_slot(host, id);
    if (kind == LAB02_STEP)
        consider_cancel(host, id);
    else if (kind != LAB02_REQUEST)
        PK_TRY(lab02_host_ended(run, id, kind));
    return PK_OK;
}

/* Submit what there is to submit, as far as there is room: cancels first, for they are urgent; a stop before all. */
static inline void submit(lab02 *lab)
{
    lab02_host *host = &lab->host;
    while (host->cancel_head < host->cancel_count) {
        const unsigned request = host->to_cancel[host->cancel_head], slot = lab02_slot(host->tail, host->ring);
        if (!host->ended[request]) {
            if (!push(host, lab02_payload(LAB02_CANCEL, request)))
                return;
            host->cancel_slot[request] = slot;
            lab02_host_cancel_sent(host, request);
        }
        host->cancel_head++;
    }
    while (host->waiting_count > 0) {
        const unsigned request = lab02_host_next_waiting(host);
        if (!push_request(host, lab02_payload(LAB02_REQUEST, request)))
            return;
        lab02_host_submitted(host);
        consider_cancel(host, request);
    }
}

/* Tell the device that nothing follows, or to stop, and take what comes back until it has understood. */
static inline pk_status order_out(pk_run *run, unsigned command)
{
    lab02_host *host = &lab_of(run)->host;
    bool submitted = false;
    host->ordered_out = false;
    while (!host->ordered_out) {
        unsigned completion;
        if (!submitted)
            submitted = push(host, lab02_payload(command, lab02_slot(host->tail, host->ring)));
        if (pop(host, &completion))
            PK_TRY(request_came_back(run, completion, pk_clock_us()));
        else
            PK_TRY(lab02_host_idle(run));
    }
    return PK_OK;
}

/* Until all requests that were let in have ended. */
static inline pk_status feed_requests(pk_run *run)
{
    lab02 *lab = lab_of(run);
    lab02_host *host = &lab->host;
    while (host->ended_count < (host->stopped ? host->arrived : host->requests)) {
        unsigned completion;
        lab02_host_admit(lab);
        submit(lab);
        if (!pop(host, &completion)) {
            PK_TRY(lab02_host_idle(run));
            continue;
        }
        const double now_us = pk_clock_us();
        do
            PK_TRY(request_came_back(run, completion, now_us));
        while (pop(host, &completion));
        if (time_to_stop(lab)) {
            PK_TRY(lab02_host_stop(run));
            PK_TRY(order_out(run, LAB02_STOP));
        }
    }
    return host->stopped ? PK_OK : order_out(run, LAB02_DRAIN);
}

#endif
