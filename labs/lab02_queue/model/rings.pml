/* Lab 02, the model: words, rings and counters, as queue.pml and requests.pml share them. check.sh runs both.
 *
 * What is left out. A state is the number of steps that were done on it. Positions are bytes that start at FIRST, so
 * every run passes 255, as positions in the program pass 2^32 - 1. Rings have two slots, and a block looks at LOOK
 * submissions together. Time is left out too: the host submits, cancels, stops and takes completions whenever it can.
 *
 * Memory. A statement, or one atomic { }, is one access of the program to a word that others use too, with the local
 * work around it. spin tries these accesses in every order, one after the other: sequential consistency. The program
 * asks for less: relaxed, acquire, release. Why what is shown here holds there:
 *
 *   - Turn and payload travel in one word: nobody sees one without the other. Who may read a slot and who may write it
 *     is decided by the word in that slot, and on the order of accesses to one word all agree, whatever their memory
 *     order. So it is with counters: each is one word, changed by read-modify-writes only, or by one owner only.
 *   - Beside the words there is plain memory: a request's state, `done` of `requests`, and control->next. Who acquires a
 *     word sees what its writer saw when it released it. A word of the model says so in the field `brings`: how far its
 *     reader can rely on the plain memory that it is about. A relaxed store brings nothing, and so no completion does.
 *     Whoever uses the plain memory asserts that the newest was brought.
 *   - Nobody sleeps. Who waits polls the very word that it waits for, so a load that comes late costs time and nothing
 *     else. The model waits by blocking: a poll that would never end shows as an invalid end state.
 *   - Two words decide together in two places: run_pushed with run_taken, and stopping with cancelled. Only there could
 *     loads in another order matter, and there the model takes them in any order, or any answer.
 *
 * With COARSE, an access that could be moved up to the next one without a difference to any other process is made in
 * one step with it: what a process waits for stays true until it goes on, since nobody else may change it. Far fewer
 * orders are left, and each that is left out ends as one of them does.
 *
 * What nobody will read any more is set to 0, where the program lets it stand: a payload by its reader, and what the
 * host knew of a request or a slot. So states that differ in nothing else are one. */

#ifndef BLOCKS
#define BLOCKS 2
#endif
#ifndef REQUESTS
#define REQUESTS 2
#endif
#ifndef STEPS
#define STEPS 2 /* of each request */
#endif
#ifndef RUN_RING
#define RUN_RING 4
#endif
#define RING 2
#define LOOK 2
#define FIRST 254

#ifdef COARSE
#define TOGETHER atomic
#else
#define TOGETHER /* each access on its own */
#endif

/* ---- words ---- */

typedef word {
    byte turn, payload;
    byte brings /* not in the program */
};

#define MOD(n) ((n) & 255)
#define UP(position) position = MOD(position + 1)
#ifdef COMPARED_BY_SIZE
#define IS_THERE(word, position) (word.turn >= MOD((position) + 1))
#else
#define IS_THERE(word, position) (word.turn == MOD((position) + 1))
#endif
#define WRITE(word, position, payload_, brings_) \
    word.turn = MOD((position) + 1); word.payload = payload_; word.brings = brings_

#define PAYLOAD(kind, id) ((kind) * 16 + (id))
#define KIND(payload) ((payload) / 16)
#define ID(payload) ((payload) % 16)

#define STEP 0
#define REQUEST 1
#define FINISHED 2
#define CANCEL 3
#define CANCELLED 4
#define UNFINISHED 5
#define DRAIN 6
#define STOP 7
#define BATON 8
#define LEAVE 9

/* ---- what host and blocks share: lab02_queue and lab02_control ---- */

word submissions[RING];    /* the host writes, the block with the baton reads */
word completions[RING];    /* blocks write, the host reads */
word run_words[RUN_RING];  /* the run queue */
byte consumed = FIRST;     /* the host writes, blocks read */
byte posted = FIRST, run_taken = FIRST;
#ifndef COARSE
byte consumed_seen = FIRST;
#endif

#define SUBMISSION(position) submissions[MOD(position) % RING]
#define COMPLETION(position) completions[MOD(position) % RING]
#define RUN(position) run_words[MOD(position) % RUN_RING]

byte done[REQUESTS]; /* steps done of each request: plain memory for `requests`, a word for `queue` */
bool held[REQUESTS]; /* not in the program: a block works on it */
byte blocks_left;    /* kernels end */

/* A slot's turn before its first use, as in lab02_reset, and the baton. */
inline clear_rings(baton_brings)
{
    do
    :: i < RING ->
        WRITE(SUBMISSION(FIRST + i), FIRST + i - RING, 0, 0);
        WRITE(COMPLETION(FIRST + i), FIRST + i - RING, 0, 0);
        i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < RUN_RING -> WRITE(RUN(FIRST + i), FIRST + i - 1, 0, 0); i++
    :: else -> break
    od;
    WRITE(RUN(FIRST), FIRST, PAYLOAD(BATON, 0), baton_brings);
    i = 0
}

/* ---- the host's ends of the rings: for a process with tail, head and slot_used[] ---- */

#define ROOM_TO_SUBMIT (!slot_used[tail % RING])

/* Store, release. */
inline push(payload_, brings_)
{
    WRITE(SUBMISSION(tail), tail, payload_, brings_);
#ifndef SLOT_FREED_AT_PUSH
    slot_used[tail % RING] = true;
#endif
    UP(tail)
}

/* The slot's number is of no more use. */
inline free_slot(slot)
{
#ifdef SLOTS_FREED_TOGETHER /* whatever came back */
    slot_used[0] = false; slot_used[1] = false
#else
    slot_used[slot] = false;
    slot = 0
#endif
}

/* ---- a thread's ends: for a process with position and seen, or with ticket ---- */

#ifdef PUT_RELAXED
#define PUT(brings) 0
#else
#define PUT(brings) brings
#endif

/* Fetch-add, relaxed; load of consumed_seen, relaxed; if that is too old: loads of the host's word, acquire, and a
 * store of it, relaxed; store of the word, relaxed: a completion brings no plain memory along. */
inline post(payload_, brings_)
{
    atomic { position = posted; UP(posted) };
    TOGETHER {
#ifdef CONSUMED_IGNORED
#elif defined(COARSE)
        MOD(position - consumed) < RING -> /* never less than consumed_seen: without that, nothing changes for others */
#else
        if
        :: MOD(position - consumed_seen) < RING
        :: else ->
            atomic { MOD(position - consumed) < RING -> seen = consumed };
            atomic { consumed_seen = seen; seen = 0 }
        fi;
#endif
        atomic { WRITE(COMPLETION(position), position, payload_, brings_); position = 0 }
    }
}

/* Loads until the slot is free, relaxed; store, release. Nobody else may change a slot that is free for this position,
 * so that both can be one step. */
inline run_queue_put(at, payload_, brings_)
{
    atomic {
#ifndef FREE_MARK_IGNORED
        IS_THERE(RUN(at), (at) - 1) ->
#endif
#ifdef PAYLOAD_LATE /* turn and payload in two stores */
        RUN(at).turn = MOD((at) + 1)
    };
    atomic {
#endif
        WRITE(RUN(at), at, payload_, PUT(brings_))
    }
}

/* The next ticket: fetch-add, relaxed. */
inline run_queue_ticket()
{
#ifdef TICKETS_TWICE /* load, then store */
    ticket = run_taken;
    run_taken = MOD(ticket + 1)
#else
    atomic { ticket = run_taken; UP(run_taken) }
#endif
}

/* Loads until its word is there, acquire; store, relaxed: free for the next lap. */
inline run_queue_take(payload_, brings_)
{
    TOGETHER {
        atomic {
#ifndef WORD_NOT_AWAITED
            IS_THERE(RUN(ticket), ticket) ->
#endif
            payload_ = RUN(ticket).payload;
            brings_ = RUN(ticket).brings
        };
        atomic { WRITE(RUN(ticket), ticket + RUN_RING - 1, 0, 0) }
    }
}
