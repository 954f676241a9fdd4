/* Lab 02, persistent queue: what problem.c hands to the variants, and how host and kernel talk.
 *
 * The problem: R requests, each of S steps, one after the other, on a state of its own of n floats; the requests do not
 * depend on each other. They arrive over time. It stands for decode with many users: a step makes a token, and the next
 * step of the same request needs it. */
#ifndef LAB02_H
#define LAB02_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pk/lab.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the work ---- */

typedef struct lab02_problem { /* given to kernels by value */
    int n;                     /* floats of a request's state */
    int steps;                 /* S, of each request */
    int requests;              /* R */
    int dense;                 /* 0: state <- state + a x; 1: state <- tanh(A state + x) */
    float a;
    const float *x;      /* device, [R][n]: never written */
    const float *matrix; /* device, [n/4][n][4]: A[i][j] at ((j/4) n + i) 4 + j mod 4; NULL when not dense */
    float *state;        /* device, [R][n]: the start values, then the state after each step */
    float *trace;        /* device, [R][S]: element s mod n of the state after step s, the "token" of that step */
} lab02_problem;

/* ---- the ring ----
 *
 * A ring is an array of 2^k words of 64 bits. The upper half of a word is its turn: the position that it holds an item
 * for, plus one, modulo 2^32; the lower half is the payload. Writer and reader count positions from the same number on
 * and never reset them. The word at position p stands in slot p mod 2^k; it is there when its turn is p + 1. Turn and
 * payload travel in one store, so that a reader that sees the turn has the payload. 2^k divides 2^32, so slots stay in
 * step when positions pass 2^32. */

#ifdef __cplusplus
#define LAB02_BOTH static __host__ __device__ inline
#else
#define LAB02_BOTH static inline
#endif

LAB02_BOTH unsigned long long lab02_word(unsigned position, unsigned payload)
{
    return (unsigned long long)(position + 1u) << 32 | payload;
}

/* The slot of a position in a ring of `slots`, a power of two. */
LAB02_BOTH unsigned lab02_slot(unsigned position, unsigned slots)
{
    return position & (slots - 1u);
}

LAB02_BOTH bool lab02_is_there(unsigned long long word, unsigned position)
{
    return (unsigned)(word >> 32) == position + 1u;
}

/* A payload: what, and of which request. Bits 28 and up are the kind, bits 0 to 19 the request; between them stands,
 * where the host asks for a step, the end of that step's number. */
enum {
    LAB02_STEP,       /* to the device: do the next step of it. Back: that step is done */
    LAB02_REQUEST,    /* to the device: do all its steps */
    LAB02_FINISHED,   /* back: its last step is done */
    LAB02_CANCEL,     /* to the device: end it when you can. Back: understood */
    LAB02_CANCELLED,  /* back: it ended before its last step, because of that */
    LAB02_UNFINISHED, /* back: it ended before its last step, because of a stop */
    LAB02_DRAIN,      /* to the device: nothing follows; end when all is done. Back: understood */
    LAB02_STOP,       /* to the device: end now, and say what is unfinished. Back: understood */
    LAB02_BATON,      /* between blocks: look at the submissions */
    LAB02_LEAVE       /* between blocks: nothing is left to do */
};
enum { LAB02_ID_BITS = 20, LAB02_STEP_BITS = 8, LAB02_KIND_AT = LAB02_ID_BITS + LAB02_STEP_BITS };
enum { LAB02_MOST_REQUESTS = 1 << LAB02_ID_BITS, LAB02_STEP_ENDS = 1 << LAB02_STEP_BITS };
enum { LAB02_LOOK = 32 /* submissions that a block looks at together: a word for each thread of a warp */ };

LAB02_BOTH unsigned lab02_payload(unsigned kind, unsigned id)
{
    return kind << LAB02_KIND_AT | id;
}

/* The host asks for the step after the first `done` steps of request `id`. */
LAB02_BOTH unsigned lab02_step_payload(unsigned id, unsigned done)
{
    return lab02_payload(LAB02_STEP, done % LAB02_STEP_ENDS << LAB02_ID_BITS | id);
}

/* Of such a payload: `done` modulo LAB02_STEP_ENDS. */
LAB02_BOTH unsigned lab02_step_end(unsigned payload)
{
    return payload >> LAB02_ID_BITS & (LAB02_STEP_ENDS - 1u);
}

LAB02_BOTH unsigned lab02_kind(unsigned payload)
{
    return payload >> LAB02_KIND_AT;
}

LAB02_BOTH unsigned lab02_id(unsigned payload)
{
    return payload & (LAB02_MOST_REQUESTS - 1u);
}

/* ---- the device's side ---- */

typedef struct lab02_counter { /* on a line of its own: blocks hammer on different counters at the same time */
    unsigned value, unused[31];
} lab02_counter;

typedef struct lab02_control {   /* device memory; positions start from `first` in each repetition */
    lab02_counter claimed;       /* counter variant: claims handed out */
    lab02_counter next;          /* the submission to look for next; belongs to who has the baton */
    lab02_counter posted;        /* completions posted: the next one's position */
    lab02_counter consumed_seen; /* completions that the host had taken when the device looked last */
    lab02_counter run_taken;     /* tickets for the run queue handed out: the next one's position */
    lab02_counter run_pushed;    /* the next position to be written in the run queue; requests variant */
    lab02_counter live;          /* starts at 1. Requests taken in and not ended, and 1 until nothing follows */
    lab02_counter stopping;      /* starts at 0. 1: end what runs */
} lab02_control;

typedef struct lab02_queue {               /* given to kernels by value */
    const unsigned long long *submissions; /* mapped host memory, [ring]: the host writes, blocks read */
    unsigned long long *completions;       /* mapped host memory, [ring]: blocks write, the host reads */
    const unsigned *consumed;              /* mapped host memory: completions that the host has taken, a position */
    unsigned ring;                         /* slots, a power of two, of both */
    unsigned first;                        /* the position that all counters start from */
    unsigned quantum;                      /* steps that a block gives a request before it looks for others */
    lab02_control *control;                /* device */
    unsigned *done;                        /* device, [R]: first + steps done of each request */
    unsigned *cancelled;                   /* device, [R]: 1 when the host cancelled it */
    unsigned long long *run;               /* device, [run_ring]: the run queue. Starts with the baton at `first` */
    unsigned run_ring;                     /* a power of two: more than there are words, R and the baton */
} lab02_queue;

/* ---- the host's side ---- */

#define LAB02_NO_SLOT (~0u)

typedef struct lab02_host {
    unsigned long long *submissions;       /* [ring], the host's view */
    const unsigned long long *completions; /* [ring] */
    unsigned *consumed;
    unsigned ring;
    unsigned tail;     /* position of the next submission */
    unsigned head;     /* position of the next completion */
    bool *slot_used;   /* [ring]: submitted there, and its end has not come back */
    unsigned *slot_of; /* [R]: the slot of a request's item that nothing has come back about; else LAB02_NO_SLOT */

    /* What the host knows of each request. */
    double *arrival_us;   /* [R], from the start of the repetition; 0 when all are there at once */
    double *ready_us;     /* [R], by pk_clock_us: since when its next step could run */
    unsigned *steps_done; /* [R] */
    unsigned char *ended; /* [R]: 0, or the kind of its last completion */
    int *cancel_after;    /* [R]: cancel it when this many steps are done; -1: do not */
    unsigned *to_cancel;  /* [R]: requests whose time has come: cancelled up to cancel_head, of cancel_count */
    unsigned cancel_head, cancel_count;
    unsigned *cancel_slot;            /* [R]: the slot of a request's cancel */
    unsigned *cancel_sent;            /* [R]: 1 once its cancel was submitted */
    unsigned *cancel_known;           /* [R]: steps that were done when that was answered, plus one; 0: it was not */
    bool ordered_out;                 /* the device has understood that nothing follows */
    bool stop_known;                  /* a stop of requests under way was answered */
    unsigned look_request, look_step; /* the step that is being reported */
    bool in_use;                      /* this repetition has begun to use the host's side: lab02_host_begin */

    unsigned requests; /* R */
    unsigned *waiting; /* [R]: requests whose next item is not submitted yet, a queue: each is in it once at most */
    unsigned waiting_head, waiting_count;
    unsigned arrived, ended_count;     /* requests */
    bool stopped;                      /* no more are let in */
    unsigned long long events;         /* steps seen to be done, of all requests */
    unsigned long long events_looked;  /* at the last look at the kernel */
    unsigned long long events_at_stop; /* when the stop was answered */
    unsigned long long *last_event;    /* [R]: `events` when a step of it was last seen */
    unsigned long long widest_gap;     /* most steps of others between two of one request */
    unsigned long long gap_limit;      /* and how many are fair; 0: not judged. Set by the variant */

    double start_us, looked_us; /* by pk_clock_us: the repetition's start, and the last look at the kernel */
    bool kernel_gone;           /* it had ended at that look, and nothing came since */
    unsigned idle_polls;
} lab02_host;

typedef struct lab02 {
    lab02_problem problem;
    lab02_queue queue;
    lab02_host host;
    int threads, blocks;           /* a block; 0: the variant's own choice */
    unsigned in_flight;            /* requests that the host lets in at the same time; R when the knob is 0 */
    bool over_time;                /* requests arrive one by one */
    unsigned long long stop_after; /* steps; 0: no stop */

    float *start;                      /* device, [R][n]: start values */
    double *unit_gap;                  /* [R]: times between arrivals, in mean times between arrivals */
    struct lab02_beginning *beginning; /* what a repetition begins with: lab02_problem.h */
} lab02;

/* ---- host.c: what every host loop needs ---- */

/* Begin a repetition's bookkeeping. `us_per_request`: mean time between arrivals; 0: all are there at once. */
void lab02_host_begin(lab02 *lab, double us_per_request);

/* Requests that have arrived and fit into `in_flight` become waiting. */
void lab02_host_admit(lab02 *lab);

unsigned lab02_host_next_waiting(const lab02_host *host); /* the first in the queue; waiting_count > 0 */
void lab02_host_submitted(lab02_host *host);              /* it leaves the queue */
void lab02_host_wait(lab02_host *host, unsigned request); /* its next item goes to the end of the queue */

/* A step of `request` was seen to be done at `now_us`: records its latency. PK_WRONG when it could not be: too many
 * steps, or none was asked for, or more than a block may do that has been told to end: it ends its quantum, and
 * does two more at most. */
pk_status lab02_host_step_done(pk_run *run, unsigned request, double now_us);

/* `request` ended with completion `kind`. PK_WRONG when it had ended before. */
pk_status lab02_host_ended(pk_run *run, unsigned request, unsigned kind);

/* A cancel of `request` was submitted; it was answered, with completion LAB02_CANCEL; a stop was answered. From an
 * answer on what is still done is bounded: see lab02_host_step_done. */
void lab02_host_cancel_sent(lab02_host *host, unsigned request);
pk_status lab02_host_cancel_answered(pk_run *run, unsigned request);
void lab02_host_stop_answered(lab02_host *host);

/* Nothing came: every millisecond, look whether the kernel still runs. PK_FAULT when it crashed, PK_WRONG when it ended
 * although work is outstanding. */
pk_status lab02_host_idle(pk_run *run);

/* All requests are stopped: those that wait for a slot have ended unfinished, and no more are let in. */
pk_status lab02_host_stop(pk_run *run);

/* After a repetition of a variant in which blocks share requests. With one block it is known how long a request may
 * have to wait for its turn: then verifying judges the turns. With more blocks a slow one looks like an unfair one. */
void lab02_host_judge_turns(pk_run *run);

/* For variants that learn of the end of all steps at once: every request has finished. */
void lab02_host_all_finished(lab02 *lab);

/* How many blocks: the knob, or one a processor. */
unsigned lab02_blocks(const pk_run *run);

/* Where requests come over time: what `execute` takes for all of them at once (the second of two repetitions), and from
 * that the mean time between arrivals for the knob `load`. 0 where all are there at once. For a variant's prepare. */
pk_status lab02_pace(pk_run *run, pk_status (*execute)(pk_run *run), double *us_per_request);

/* ---- problem.c ---- */

pk_status lab02_reset(pk_run *run); /* the start of a repetition */

/* ---- serial.cu ---- */

/* Serial execution on the device: counts[r] steps of each request (device, [R]), one after the other, from `start` into
 * the state and trace of `into`. What every variant's result must equal bit for bit. */
pk_status lab02_serial(const lab02_problem *into, const float *start, const unsigned *counts, void *stream);

#ifdef __cplusplus
}
#endif
#endif
