/* Lab 02, the model of variant `requests`: requests go round in the run queue with the baton, `live` tells when nothing
 * is left, and who brings it to zero sends all others home.
 *
 *   host        feed_requests, order_out, and the wait for the kernel. Requests in their order; up to CANCELS cancels,
 *               of any that have not ended; a stop at any time, or a drain when all are submitted. lab02.h allows that
 *               much; the program drains only when all have ended. At any time the host may become patient: blocks
 *               must get on with what they have when nothing else comes.
 *   block       requests_kernel: thread 0, and the block as a whole between its barriers
 *   other_lane  thread 1 of a block, which takes in a request while thread 0 does
 *
 * Shown, for every order of accesses: a request that was submitted is worked on by one block at a time, step after
 * step, each on the state after the step before, and comes to one end, which it may have: finished after all its steps,
 * cancelled if the host asked for that, unfinished if it stopped all. The steps that the host counted are those that
 * were done; nothing is left in the run queue or among the completions. And in the end all blocks have left and the
 * host has ended: no run stops anywhere else (no invalid end state), and none goes on for ever (no cycle). */
#ifndef CANCELS
#define CANCELS 1
#endif
#include "rings.pml"

byte run_pushed = MOD(FIRST + 1);
byte next = FIRST; /* plain memory: of the block that has the baton */
#ifdef LIVE_FROM_0
byte live = 0;
#else
byte live = 1;
#endif
bool stopping, cancelled[REQUESTS];

/* Of the two loads the one of run_taken may come first, and be old by the time of the other. */
#ifdef COARSE
#define TAKEN run_taken
#else
#define TAKEN early
#endif
#define OTHERS_WAIT (MOD(run_pushed - TAKEN) > 0 && MOD(run_pushed - TAKEN) < 128)

#ifdef ONE_STAYS
#define SENT_HOME (BLOCKS - 2)
#else
#define SENT_HOME (BLOCKS - 1)
#endif

chan to_lane[BLOCKS] = [0] of { byte, byte }; /* position, payload */
chan from_lane[BLOCKS] = [0] of { bit };      /* a barrier of the block */

/* ---- the host ---- */

hidden byte r, kind, others; /* the host's, in one statement */

/* A request that has not ended: any. */
inline choose_request()
{
    r = 0;
    others = submitted - ended_count - 1;
    do
    :: ended[r] -> r++
    :: !ended[r] -> break
    :: !ended[r] && others > 0 -> others--; r++
    od
}

inline end_came_back()
{
    assert(!ended[r]);
    assert((kind == FINISHED && steps_done[r] == STEPS) || (kind == CANCELLED && asked[r]) ||
           (kind == UNFINISHED && order == STOP));
    ended[r] = true;
    asked[r] = false;
    ended_count++
}

/* Of its slot the host hears with the first of these. */
inline request_came_back()
{
    assert(r < submitted);
    if
    :: kind == STEP || kind == FINISHED -> assert(!ended[r] && steps_done[r] < STEPS); steps_done[r]++
    :: else
    fi;
    if
    :: has_slot[r] -> free_slot(slot_of[r]); has_slot[r] = false
    :: else
    fi;
    if
    :: kind == STEP || kind == REQUEST
    :: else -> end_came_back()
    fi
}

proctype host()
{
    byte tail = FIRST, head = FIRST, submitted, ended_count, cancels = CANCELS;
    byte order; /* the last thing that is submitted: DRAIN or STOP */
    bool understood;
    bool patient; /* submits nothing more until all that was submitted has ended */
    bool slot_used[RING], has_slot[REQUESTS], asked[REQUESTS], ended[REQUESTS];
    byte slot_of[REQUESTS], cancel_slot[REQUESTS], steps_done[REQUESTS];
    do
    :: atomic {
           order == 0 && submitted < REQUESTS && (!patient || ended_count == submitted) && ROOM_TO_SUBMIT ->
           slot_of[submitted] = tail % RING;
           has_slot[submitted] = true;
           push(PAYLOAD(REQUEST, submitted), 0);
           submitted++
       }
    :: atomic { /* after a stop that was understood, too: then nobody reads it, and nobody waits for that */
           (order == 0 || understood) && !patient && cancels > 0 && submitted > ended_count && ROOM_TO_SUBMIT ->
           choose_request();
           if
           :: asked[r]
           :: else ->
               asked[r] = true;
               cancel_slot[r] = tail % RING;
               push(PAYLOAD(CANCEL, r), 0)
           fi;
           cancels--
       }
    :: atomic { order == 0 && !patient -> patient = true }
    :: atomic {
           order == 0 && (!patient || ended_count == REQUESTS) && ROOM_TO_SUBMIT ->
           if
           :: submitted == REQUESTS -> order = DRAIN
           :: !patient -> order = STOP
           fi;
           patient = false;
           push(PAYLOAD(order, tail % RING), 0)
       }
    :: TOGETHER {
           atomic { /* load, acquire */
#ifdef CONSUMED_SAID_FIRST
               IS_THERE(COMPLETION(head), head) -> consumed = MOD(head + 1)
           };
           atomic {
#else
               IS_THERE(COMPLETION(head), head) ->
#endif
               kind = KIND(COMPLETION(head).payload);
               r = ID(COMPLETION(head).payload);
#ifndef CONSUMED_SAID_FIRST /* the slot is not the host's any more */
               COMPLETION(head).payload = 0;
#endif
               UP(head);
               if
               :: kind == CANCEL -> free_slot(cancel_slot[r])
               :: kind == DRAIN || kind == STOP ->
                   assert(kind == order && !understood);
                   free_slot(r);
                   understood = true
               :: else -> request_came_back()
               fi
           };
           consumed = head /* store, release */
       }
    :: understood && ended_count == submitted -> break
    od;
    blocks_left == BLOCKS; /* cudaStreamSynchronize */
    atomic {
        assert(live == 0);
        assert(run_pushed == run_taken);
        assert(posted == head);
        r = 0;
        do
        :: r < submitted -> assert(ended[r] && done[r] == steps_done[r]); r++
        :: else -> break
        od
    }
}

/* ---- a block ---- */

/* What thread 1 of `me` is to do, and that it has. */
proctype other_lane(byte me)
{
    byte to, payload, position, seen;
end:
    do
    :: to_lane[me]?to, payload;
       post(payload, 0);
       run_queue_put(to, payload, 0);
       atomic { from_lane[me]!0; to = 0; payload = 0 }
    od
}

/* The following are parts of atomic { }. */

inline ends(payload_)
{
    payload = payload_;
    held[request] = false;
    goto end_request
}

/* Unless the request is cancelled or all is stopped: loads of both flags, relaxed. They may come in either order, so
 * when both flags are up, either answer. */
inline unless_ended()
{
    if
    :: cancelled[request] -> ends(PAYLOAD(CANCELLED, request))
    :: stopping -> ends(PAYLOAD(UNFINISHED, request))
    :: !cancelled[request] && !stopping
    fi
}

/* The next step of the request, to its end. */
inline do_step()
{
    assert(brings == done[request]);
    held[request] = true;
    brings++;
    done[request] = brings;
    if
    :: brings < STEPS -> goto report_step
    :: else -> ends(PAYLOAD(FINISHED, request))
    fi
}

/* Fetch-add, acquire and release. */
inline one_less()
{
    live--;
    last = last || live == 0
}

#define NONE 0 /* no payload: it would be a step, and those are not submitted here */
#define IS_REQUEST(payload) (KIND(payload) == REQUEST)
#define IS_LAST(payload) (KIND(payload) == DRAIN || KIND(payload) == STOP)
#define IS_COMMAND(payload) (KIND(payload) == CANCEL || IS_LAST(payload))

/* What stands at `next` and behind it. Lanes load at different times, acquire. But the host submits in order, so what
 * they see together is what stood there at one moment. */
inline look()
{
    do
    :: count < LOOK && IS_THERE(SUBMISSION(next + count), next + count) ->
        items[count] = SUBMISSION(next + count).payload;
        SUBMISSION(next + count).payload = 0;
        queued = queued + IS_REQUEST(items[count]);
        nothing_follows = nothing_follows || IS_LAST(items[count]);
        count++
    :: else -> break
    od
}

/* Of what was seen: a request that the block goes on with. */
inline keep_one()
{
    i = (IS_REQUEST(items[0]) -> 0 : 1);
    kept = items[i];
#ifndef KEPT_AND_QUEUED
    items[i] = NONE;
    queued--;
#endif
    i = 0
}

/* From item i on: the next command. */
inline find_command()
{
    do
    :: i < LOOK && !IS_COMMAND(items[i]) -> i++
    :: else -> break
    od
}

inline add_to_live()
{
    live = live + queued + (kept != NONE)
}

proctype block(byte me)
{
    byte ticket, position, seen, early;
    byte request, payload, brings;    /* brings: of the request, steps done; of the baton, `next` */
    byte items[LOOK], count, kept, i; /* what the block with the baton sees */
    byte to, queued;                  /* positions in the run queue: how many, from `to` on */
    bool nothing_follows, last;

    /* Blocks are alike: their first tickets in order. */
    atomic { MOD(run_taken - FIRST) >= me -> run_queue_ticket(); goto next_turn };

take_ticket:
    run_queue_ticket();
next_turn:
    TOGETHER {
        run_queue_take(payload, brings);
        atomic {
            ticket = 0;
            if
            :: KIND(payload) == LEAVE -> goto leave
            :: KIND(payload) == BATON -> assert(brings == next); payload = NONE; brings = 0; goto hold_baton
            :: else -> assert(IS_REQUEST(payload)); request = ID(payload); payload = NONE
            fi
        }
    };
    atomic { /* the turn begins */
        assert(!held[request]);
#ifdef DROPPED_AT_STOP
        if
        :: stopping -> one_less(); brings = 0; request = 0; goto take_ticket
        :: else
        fi;
#endif
        unless_ended();
        do_step()
    };

report_step:
    post(PAYLOAD(STEP, request), 0);
    atomic {
        if
        :: true -> do_step() /* the quantum goes on, of whatever length; or nobody waits, or so it seemed */
        :: true -> unless_ended(); held[request] = false
        fi
    };
    atomic { to = run_pushed; UP(run_pushed) }; /* push_back: fetch-add, relaxed */
    atomic {
        run_queue_put(to, PAYLOAD(REQUEST, request), brings);
        to = 0; request = 0; brings = 0;
        goto take_ticket
    };

end_request:
    post(payload, 0);
    atomic {
#ifdef CANCEL_NOT_COUNTED
        if
        :: KIND(payload) != CANCELLED -> one_less()
        :: else
        fi;
#else
        one_less();
#endif
        payload = NONE; request = 0; brings = 0;
        if
        :: last -> goto leave
        :: else -> goto take_ticket
        fi
    };

hold_baton:
#ifndef COARSE
    early = run_taken;
#endif
    atomic { /* until something is there or others wait; which of the two it sees when both are so, is open */
        if
        :: IS_THERE(SUBMISSION(next), next) -> look(); early = 0
#ifndef BATON_HELD_ON
        :: OTHERS_WAIT -> early = 0; goto pass_on
#endif
        fi;
#ifdef LIVE_COUNTED_LATE
        goto live_is_counted
#else
        if
        :: queued == 0 -> goto live_is_counted
        :: else
        fi
#endif
    };
    atomic { add_to_live() }; /* fetch-add, relaxed */
live_is_counted:
    atomic {
        if
        :: queued > 0 -> keep_one()
        :: true /* others wait, or so it seemed; or there is none to keep */
        fi;
#ifdef BATON_AFTER_ALL
        nothing_follows = false;
#endif
#ifndef BATON_BEFORE_NEXT
        next = MOD(next + count);
        count = 0;
#endif
        to = run_pushed; /* fetch-add, relaxed */
        run_pushed = MOD(run_pushed + queued + !nothing_follows);
        find_command();
        if
        :: i == LOOK -> i = 0; goto hand_out
        :: else
        fi
    };
obey:
    atomic { /* store, relaxed */
        if
        :: KIND(items[i]) == CANCEL -> cancelled[ID(items[i])] = true
        :: KIND(items[i]) == STOP -> stopping = true
        :: KIND(items[i]) == DRAIN
        fi
    };
    post(items[i], 0);
    atomic {
        if
        :: KIND(items[i]) == CANCEL
#ifdef STOP_NOT_COUNTED
        :: KIND(items[i]) == STOP
#else
        :: KIND(items[i]) == STOP -> one_less()
#endif
#ifdef DRAIN_SENDS_HOME
        :: KIND(items[i]) == DRAIN -> live--; last = true
#else
        :: KIND(items[i]) == DRAIN -> one_less()
#endif
        fi;
        items[i] = NONE;
        find_command();
        if
        :: i < LOOK -> goto obey
        :: else -> i = 0
        fi
    };
hand_out:
    atomic {
        if
        :: IS_REQUEST(items[1]) -> to_lane[me]!MOD(to + queued - 1), items[1]
        :: else
        fi;
        if
        :: IS_REQUEST(items[0])
        :: else -> goto hand_on_baton
        fi
    };
    post(items[0], 0);
    run_queue_put(to, items[0], 0);
hand_on_baton:
    atomic {
        if
        :: nothing_follows
        :: else -> run_queue_put(to + queued, PAYLOAD(BATON, 0), next)
        fi;
        if
        :: IS_REQUEST(items[1]) -> from_lane[me]?_
        :: else
        fi;
#ifdef BATON_BEFORE_NEXT
        goto late
    };
late:
    atomic {
        next = MOD(next + count);
        count = 0;
#endif
#ifdef LIVE_COUNTED_LATE
        goto live_late
    };
live_late:
    atomic {
        add_to_live();
#endif
        items[0] = NONE; items[1] = NONE; to = 0; queued = 0; nothing_follows = false;
        if
        :: kept != NONE -> request = ID(kept); kept = NONE; assert(!held[request]); do_step()
        :: else
        fi;
        if
        :: last -> goto leave
        :: else -> goto take_ticket
        fi
    };

pass_on:
    atomic { to = run_pushed; UP(run_pushed) };
    atomic { run_queue_put(to, PAYLOAD(BATON, 0), next); to = 0; goto take_ticket };

leave:
    if
    :: last -> /* send_home. The threads' order is of no matter: words wait for blocks, and not for each other. */
        atomic { to = run_pushed; run_pushed = MOD(run_pushed + SENT_HOME) };
        do
        :: i < SENT_HOME -> run_queue_put(to + i, PAYLOAD(LEAVE, 0), 0); i++
        :: else -> break
        od
    :: else
    fi;
    blocks_left++
}

init {
    byte i;
    atomic {
        clear_rings(next);
        run host();
        do
        :: i < BLOCKS -> run block(i); run other_lane(i); i++
        :: else -> break
        od;
        i = 0
    }
}
