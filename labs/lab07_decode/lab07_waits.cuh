/* Lab 07, given: what a wait that lasts tells the host, so that a hang ends with what each block waits for. Each block
 * has some words in mapped host memory. A wait writes its word each time that it has polled in vain so often: the host
 * sets all words to 0, and those that come back are of waits that still last. Who finds what it wants before that
 * writes nothing. */
#ifndef LAB07_WAITS_CUH
#define LAB07_WAITS_CUH

#include "pk_atomic.h"
#include "pk_gpu.h"

#include "lab07.h"

#if defined(PK_BACKEND_CPU)
enum { LAB07_LONG = 32 }; /* polls, a power of two: its threads take turns, and poll seldom */
#else
enum { LAB07_LONG = 1 << 14 }; /* some milliseconds */
#endif

/* On the host: the run's kernel, whose waits are told by `say`; it has none any more. */
static inline void lab07_may_wait(pk_run *run, int blocks, lab07_say_wait say)
{
    lab07_kernel_run *const running = ((lab07 *)pk_run_lab_data(run))->running;
    for (int i = 0; i < LAB07_MOST_RUNS; i++)
        if (!running[i].run) {
            running[i].run = run;
            running[i].grid = blocks;
            running[i].say = say;
            return;
        }
}

static inline void lab07_no_waits(pk_run *run)
{
    lab07_kernel_run *const running = ((lab07 *)pk_run_lab_data(run))->running;
    for (int i = 0; i < LAB07_MOST_RUNS; i++)
        if (running[i].run == run)
            running[i].run = NULL;
}

/* By one thread of the block at least; each with a count of its own, 0 when the wait begins. */
static __device__ PK_APART void lab07_tell(const unsigned *arrivals, int which, unsigned long long word)
{
    const lab07_meeting *const m = (const lab07_meeting *)arrivals; /* which they are the beginning of */
    if (blockIdx.x < m->blocks)
        pk_store_relaxed_system(&m->waits[LAB07_WORDS * blockIdx.x + (unsigned)which], word);
}

static __device__ inline bool lab07_lasts(unsigned *polls)
{
    return (++*polls & (LAB07_LONG - 1)) == 0;
}

/* A word: what is waited for, then two numbers of 28 and 32 bits. */
static __host__ __device__ inline unsigned long long lab07_word(int what, unsigned high, unsigned low)
{
    return (unsigned long long)what << 60 | (unsigned long long)(high & 0xfffffffu) << 32 | low;
}

/* In a loop that waits for all blocks: has it lasted? */
static __device__ inline void lab07_waits_for_blocks(const unsigned *arrivals, unsigned target, unsigned *polls)
{
    if (lab07_lasts(polls))
        lab07_tell(arrivals, LAB07_TELLS_OTHERS,
                   lab07_word(LAB07_WAITS_FOR_BLOCKS, target - pk_load_relaxed_device(arrivals), target));
}

#endif
