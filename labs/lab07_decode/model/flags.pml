/* Lab 07, the model of how blocks hand over outputs that are their own flags: two sets of places, poison, and what orders
 * one step behind the other.
 *
 *   block   a step: its output to all blocks; theirs; and then, with `ring-many`, a candidate to block 0, and the token's
 *           word from it. With LAUNCHES, `ring-flag` and `ring-spread`: the launch ends, and with it all blocks' step.
 *
 * Memory. Each place has all its writes in their order. Who has seen a write does not see an older one of that place any
 * more: that is all that relaxed accesses promise. A release brings along what its block has seen of all outputs, and who
 * acquires it has seen that too. A block that polls sees the newest write some time, and until then any that it may.
 *
 * Shown, for every order of accesses: an output that is taken is of the step that it is taken in, and so is a candidate,
 * and a token; and all blocks come to the end of the last step (no invalid end state). */
#ifndef BLOCKS
#define BLOCKS 2
#endif
#ifndef STEPS
#define STEPS 4
#endif
#ifdef ONE_SET
#define SETS 1
#else
#define SETS 2
#endif
#define PLACES (BLOCKS * SETS)
#define PLACE(block, step) ((block) * SETS + (step) % SETS)
#define WRITES (2 * STEPS + 2) /* of a place, at most */

/* ---- outputs: relaxed ---- */

typedef place { byte value[WRITES]; byte writes } /* value: 0 poison, else the step and 1 */
typedef seen { byte newest[PLACES] }                  /* the newest write of each place that one has seen */
place output[PLACES];
seen view[BLOCKS];

/* By its owner, who has seen all its own writes. */
inline store(at, what)
{
    output[at].writes++;
    output[at].value[output[at].writes] = what;
    view[me].newest[at] = output[at].writes
}

/* ---- candidates and token: release and acquire ---- */

typedef word { byte value; seen brings }
word candidate[PLACES];
word token;

inline join(from)
{
    i = 0;
    do
    :: i < PLACES ->
        if
        :: from.newest[i] > view[me].newest[i] -> view[me].newest[i] = from.newest[i]
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline bring(to)
{
    i = 0;
    do
    :: i < PLACES -> to.newest[i] = view[me].newest[i]; i++
    :: else -> break
    od;
    i = 0
}

#ifdef LAUNCHES
byte ended[STEPS]; /* blocks that have come to the end of the step */
#endif

active [BLOCKS] proctype block()
{
    byte me = _pid, step = 0, other, i, got;
    do
    :: step < STEPS ->
        /* ring.cu's write_output, and its mistakes */
#ifdef ONE_SET
        if
        :: step > 0 -> atomic { store(PLACE(me, step), 0) } /* when the token is known */
        :: else
        fi;
#endif
        atomic { store(PLACE(me, step), step + 1) }
#if !defined(ONE_SET) && !defined(NOT_POISONED)
        atomic { store(PLACE(me, step + 1), 0) }
#endif
        other = 0;
        do
        :: other < BLOCKS ->
            /* wait_for_four: any write that it may see, or a newer one, until it is no poison */
            i = view[me].newest[PLACE(other, step)];
            do
            :: atomic { i < output[PLACE(other, step)].writes -> i++ }
            :: atomic {
                   output[PLACE(other, step)].value[i] > 0 ->
                   got = output[PLACE(other, step)].value[i];
                   view[me].newest[PLACE(other, step)] = i;
                   i = 0;
                   break
               }
            od;
            assert(got == step + 1); /* an output of this step */
            got = 0;
            other++
        :: else -> break
        od;
        other = 0;
#ifdef POISONED_EARLY
        atomic { store(PLACE(me, step), 0) } /* its own of this step, which others may not have read */
#endif
#ifdef LAUNCHES
        ended[step]++;
#ifndef NOT_ORDERED
        atomic {
            ended[step] == BLOCKS; /* the launch has ended: what all wrote is to be seen */
            do
            :: i < PLACES -> view[me].newest[i] = output[i].writes; i++
            :: else -> break
            od;
            i = 0
        }
#endif
#else
        /* hand_candidate */
        atomic {
            candidate[PLACE(me, step)].value = step + 1;
#ifndef CANDIDATE_RELAXED
            bring(candidate[PLACE(me, step)].brings)
#endif
        }
#ifndef CANDIDATE_NOT_POISONED
        atomic {
            candidate[PLACE(me, step + 1)].value = 0
        }
#endif
        if
        :: me == 0 ->
            do
            :: other < BLOCKS ->
                atomic {
                    candidate[PLACE(other, step)].value > 0;
                    assert(candidate[PLACE(other, step)].value == step + 1); /* a candidate of this step */
                    join(candidate[PLACE(other, step)].brings)
                }
                other++
            :: else -> break
            od;
            other = 0;
            atomic { /* tell_token */
                token.value = step + 1;
#ifndef TOKEN_RELAXED
                bring(token.brings)
#endif
            }
        :: else ->
            atomic {
#ifdef TOKEN_NOT_AWAITED
                skip
#else
                token.value >= step + 1;
                assert(token.value == step + 1); /* no token is missed */
                join(token.brings)
#endif
            }
        fi;
#endif
        step++
    :: else -> break
    od
}
