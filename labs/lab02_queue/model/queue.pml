/* Lab 02, the model of variant `queue`: steps as items, a stop for each block, a run queue with a baton.
 *
 *   host        feed_steps, stop_blocks, and the wait for the kernel; all requests are there from the start, and the
 *               host stops all at any time or never
 *   block       queue_kernel: thread 0, and the block as a whole between its barriers
 *   other_lane  thread 1 of a block, which hands on while thread 0 does
 *
 * Shown, for every order of accesses: each item is done once, in its request's order, by one block at a time that sees
 * the state after the step before; each request ends once; the steps that the host counted are those that were done;
 * nothing is left in a ring. And in the end all blocks have left and the host has ended: no run stops anywhere else (no
 * invalid end state), and none goes on for ever (no cycle). */
#ifndef RUN_RING
#define RUN_RING 2
#endif
#include "rings.pml"

/* An item's payload names its step too, by the lowest bit of its number: a request has one step under way at most. */
#define STEP_OF(request, step) PAYLOAD(STEP, (request) + 8 * ((step) % 2))
#define REQUEST_IN(payload) (ID(payload) % 8)
#define IS_NEXT_STEP(payload) (done[REQUEST_IN(payload)] % 2 == ID(payload) / 8)

byte state[REQUESTS];       /* plain memory: the steps that were done on it. done[] is a word here */
byte done_brings[REQUESTS]; /* not in the program */

/* By one thread, behind a barrier of the block: store, release. For a process with request and brings. */
inline publish_steps()
{
    atomic {
        done[request]++;
#ifdef DONE_RELAXED
        done_brings[request] = 0;
#else
        done_brings[request] = brings;
#endif
        request = 0; brings = 0
    }
}

chan to_lane[BLOCKS] = [0] of { byte, byte }; /* position, payload */
chan from_lane[BLOCKS] = [0] of { bit };      /* a barrier of the block */

/* ---- the host ---- */

hidden byte r; /* the host's, from one statement to the next */

/* Loads until the next completion is there, acquire. The store to `consumed`, release, is the caller's. */
#define HAS_COME IS_THERE(COMPLETION(head), head)

proctype host()
{
    byte tail = FIRST, head = FIRST;
    bool slot_used[RING];
    byte slot_of[REQUESTS], steps_done[REQUESTS];
    bool asked[REQUESTS], ended[REQUESTS];
    byte ended_count, stops_submitted, stops_back;
    bool stopped;
    chan waiting = [REQUESTS] of { byte };
    atomic {
        r = 0;
        do
        :: r < REQUESTS -> waiting!r; r++
        :: else -> break
        od
    };
    do
    :: atomic { /* the next step of the request that waits longest */
           nempty(waiting) && ROOM_TO_SUBMIT ->
           waiting?r;
           slot_of[r] = tail % RING;
           asked[r] = true;
           push(STEP_OF(r, steps_done[r]), 0)
       }
#ifdef STEP_AHEAD
    :: atomic { asked[0] && ROOM_TO_SUBMIT -> push(STEP_OF(0, steps_done[0]), 0) }
#endif
    :: TOGETHER { /* a step comes back */
           atomic {
               HAS_COME ->
               assert(KIND(COMPLETION(head).payload) == STEP);
               r = REQUEST_IN(COMPLETION(head).payload);
               COMPLETION(head).payload = 0;
               UP(head);
               assert(asked[r] && !ended[r]);
               asked[r] = false;
               steps_done[r]++;
               free_slot(slot_of[r]);
               if
               :: steps_done[r] == STEPS || stopped -> ended[r] = true; ended_count++
               :: else -> waiting!r
               fi
           };
           consumed = head
       }
    :: atomic { /* lab02_host_stop: what waits has ended */
           !stopped -> stopped = true;
           do
           :: waiting?r -> ended[r] = true; ended_count++
           :: empty(waiting) -> break
           od
       }
    :: ended_count == REQUESTS -> break
    od;
    do
    :: atomic {
#ifdef ONE_STOP_FOR_ALL
           stops_submitted == 0 && ROOM_TO_SUBMIT ->
#else
           stops_submitted < BLOCKS && ROOM_TO_SUBMIT ->
#endif
           push(PAYLOAD(STOP, tail % RING), 0);
           stops_submitted++
       }
    :: TOGETHER {
           atomic {
               HAS_COME ->
               assert(KIND(COMPLETION(head).payload) == STOP);
               r = ID(COMPLETION(head).payload);
               COMPLETION(head).payload = 0;
               free_slot(r);
               UP(head);
               stops_back++
           };
           consumed = head
       }
    :: stops_back == BLOCKS -> break
    od;
    blocks_left == BLOCKS; /* cudaStreamSynchronize */
    atomic {
        assert(posted == head);
        r = 0;
        do
        :: r < REQUESTS -> assert(ended[r] && done[r] == steps_done[r] && state[r] == steps_done[r]); r++
        :: else -> break
        od
    }
}

/* ---- a block ---- */

/* What thread 1 of `me` is to do, and that it has. */
proctype other_lane(byte me)
{
    byte to, payload;
end:
    do
    :: to_lane[me]?to, payload;
       run_queue_put(to, payload, 0);
       atomic { from_lane[me]!0; to = 0; payload = 0 }
    od
}

proctype block(byte me)
{
    byte ticket, position, seen;
    byte payload, brings;           /* the item */
    byte request;                   /* whose step it is */
    byte next_payload;              /* and the one behind it */
    byte count;                     /* items seen together */

    /* Blocks are alike: their first tickets in order. */
    atomic { MOD(run_taken - FIRST) >= me -> run_queue_ticket() };
    do
    ::  run_queue_take(payload, brings);
        if
        :: KIND(payload) == BATON ->
            /* look_for_item. Lanes load at different times, acquire. But the host submits in order, so what they see
             * together is what stood there at one moment. */
            atomic {
                IS_THERE(SUBMISSION(ticket), ticket) ->
                payload = SUBMISSION(ticket).payload;
                SUBMISSION(ticket).payload = 0;
                count = 1;
                if
                :: IS_THERE(SUBMISSION(ticket + 1), ticket + 1) ->
                    count = 2;
                    next_payload = SUBMISSION(ticket + 1).payload;
                    SUBMISSION(ticket + 1).payload = 0
                :: else
                fi
            };
            if
            :: count == 1 -> run_queue_put(ticket + 1, PAYLOAD(BATON, 0), 0) /* the baton's store is relaxed */
            :: count == 2 ->
                to_lane[me]!MOD(ticket + 2), PAYLOAD(BATON, 0);
                run_queue_put(ticket + 1, next_payload, 0);
                next_payload = 0
            fi
        :: else
        fi;
        if
        :: KIND(payload) == STOP -> break
        :: else -> assert(KIND(payload) == STEP)
        fi;
        atomic { /* wait_for_step: loads, acquire. The item itself brings nothing of the state */
#ifdef DONE_NOT_AWAITED /* nor looked at */
            request = REQUEST_IN(payload)
#else
            IS_NEXT_STEP(payload) ->
            request = REQUEST_IN(payload);
            brings = done_brings[request]
#endif
        };
        atomic { /* the step begins */
            assert(!held[request]);
            assert(brings == state[request]);
            held[request] = true
        };
        if
        :: count == 2 -> from_lane[me]?_
        :: else
        fi;
        atomic { /* and has ended */
            state[request]++;
            held[request] = false;
            brings = state[request];
            count = 0; ticket = 0
        };
        if /* two threads, one each: in either order. The post's store is relaxed: it brings nothing along */
        :: publish_steps(); post(payload, 0)
        :: post(payload, 0); publish_steps()
        fi;
        payload = 0;
        run_queue_ticket()
    od;
    post(payload, 0);
    if
    :: count == 2 -> from_lane[me]?_
    :: else
    fi;
    blocks_left++
}

init {
    byte i;
    atomic {
        clear_rings(0);
        run host();
        do
        :: i < BLOCKS -> run block(i); run other_lane(i); i++
        :: else -> break
        od;
        i = 0
    }
}
