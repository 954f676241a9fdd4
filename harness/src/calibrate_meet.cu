/* Calibration: barriers of the whole grid, and a word from the host to a running kernel and back. */
#if defined(PK_BACKEND_HIP)
#include <hip/hip_runtime.h>

#include <hip/hip_cooperative_groups.h>
#else
#include <cooperative_groups.h>
#endif

#include "pk_gpu.h"

#include "pk_atomic.h"

#include <sched.h>

#include "calibrate.h"
#include "pk/host.h"

enum {
    MEET_THREADS = 256, /* a block, one on each processor: the shape of a persistent kernel */
    FEW_BARRIERS = 20,
    MANY_BARRIERS = 220,
    CHECKED_BARRIERS = 100
};

/* ---- barriers ---- */

/* Every thread of the grid waits until all have come; what any wrote before, all see after. */
static __device__ inline void meet_by_grid_sync(void)
{
    cooperative_groups::this_grid().sync();
}

/* The same by hand, one arrival a block: over when `*arrivals` has reached `target`, which is further by the number of
 * blocks at each. Pairs: the release by which a block's first thread arrives, with the acquire by which every block's
 * first thread sees the count complete, at device scope; __syncthreads before and after carries it to the block. */
static __device__ inline void meet_by_hand(unsigned *arrivals, unsigned target)
{
    __syncthreads();
    if (threadIdx.x == 0 && pk_add_acquire_release_device(arrivals, 1u) + 1u != target)
        while ((int)(pk_load_acquire_device(arrivals) - target) < 0)
            PK_SPIN_PAUSE();
    __syncthreads();
}

static __global__ void grid_sync_rounds(int rounds)
{
    for (int i = 0; i < rounds; i++)
        meet_by_grid_sync();
}

static __global__ void hand_rounds(unsigned *arrivals, int rounds)
{
    for (int i = 0; i < rounds; i++)
        meet_by_hand(arrivals, (unsigned)(i + 1) * gridDim.x);
}

/* Whether all blocks have met: each says before the barrier in which round it is, and after it reads what all the
 * others said. One that has gone on may be further, none may be behind. Relaxed: the barrier is what orders them. */
static __device__ inline void say_round(unsigned *seen, unsigned round)
{
    if (threadIdx.x == 0)
        pk_store_relaxed_device(&seen[blockIdx.x], round);
}

static __device__ inline void count_late(const unsigned *seen, unsigned round, unsigned *late)
{
    for (unsigned block = threadIdx.x; block < gridDim.x; block += blockDim.x)
        if (pk_load_relaxed_device(&seen[block]) < round)
            pk_add_relaxed_device(late, 1u);
}

static __global__ void check_grid_sync(unsigned *seen, unsigned *late, int rounds)
{
    for (unsigned round = 1; round <= (unsigned)rounds; round++) {
        say_round(seen, round);
        meet_by_grid_sync();
        count_late(seen, round, late);
    }
}

static __global__ void check_hand(unsigned *seen, unsigned *late, unsigned *arrivals, int rounds)
{
    for (unsigned round = 1; round <= (unsigned)rounds; round++) {
        say_round(seen, round);
        meet_by_hand(arrivals, round * gridDim.x);
        count_late(seen, round, late);
    }
}

typedef struct meeting { /* device memory: the count of who was late, arrivals, and a word a block */
    unsigned *late, *arrivals, *seen;
    size_t bytes;
    unsigned blocks;
} meeting;

enum { APART = 32 /* words between what different blocks poll and add to: a line of the cache */ };

static pk_status meeting_open(const pk_calibrator *c, meeting *m)
{
    void *memory = NULL;
    m->blocks = (unsigned)c->device->processors;
    m->bytes = (2 * (size_t)APART + m->blocks) * sizeof(unsigned);
    PK_TRY(pk_device_alloc(&memory, m->bytes));
    m->late = (unsigned *)memory;
    m->arrivals = m->late + APART;
    m->seen = m->late + 2 * (size_t)APART;
    return PK_OK;
}

static pk_status clear(const pk_calibrator *c, const meeting *m)
{
    return pk_device_fill(m->late, 0, m->bytes, c->stream);
}

static pk_status run_grid_sync(const pk_calibrator *c, void *context, int times)
{
    const meeting *m = (const meeting *)context;
    PK_LAUNCH_COOPERATIVE(grid_sync_rounds, m->blocks, MEET_THREADS, 0, (cudaStream_t)c->stream, times);
    return PK_OK;
}

static pk_status run_hand(const pk_calibrator *c, void *context, int times)
{
    const meeting *m = (const meeting *)context;
    PK_CHECK(cudaMemsetAsync(m->arrivals, 0, sizeof(unsigned), (cudaStream_t)c->stream));
    PK_LAUNCH_COOPERATIVE(hand_rounds, m->blocks, MEET_THREADS, 0, (cudaStream_t)c->stream, m->arrivals, times);
    return PK_OK;
}

static pk_status measure_grid_sync(const pk_calibrator *c, meeting *m, pk_samples *us)
{
    PK_TRY(clear(c, m));
    PK_LAUNCH_COOPERATIVE(check_grid_sync, m->blocks, MEET_THREADS, 0, (cudaStream_t)c->stream, m->seen, m->late,
                          pk_calibrate_times(c, CHECKED_BARRIERS));
    PK_TRY(pk_calibrate_demand(c, m->late, 0, "the grid's barrier: blocks that went on before others had come"));
    return pk_calibrate_slope(c, run_grid_sync, m, pk_calibrate_times(c, FEW_BARRIERS),
                              pk_calibrate_times(c, MANY_BARRIERS), us);
}

static pk_status measure_hand(const pk_calibrator *c, meeting *m, pk_samples *us)
{
    PK_TRY(clear(c, m));
    PK_LAUNCH_COOPERATIVE(check_hand, m->blocks, MEET_THREADS, 0, (cudaStream_t)c->stream, m->seen, m->late,
                          m->arrivals, pk_calibrate_times(c, CHECKED_BARRIERS));
    PK_TRY(pk_calibrate_demand(c, m->late, 0, "the barrier by hand: blocks that went on before others had come"));
    const int few = pk_calibrate_times(c, FEW_BARRIERS), many = pk_calibrate_times(c, MANY_BARRIERS);
    PK_TRY(pk_calibrate_slope(c, run_hand, m, few, many, us));
    return pk_calibrate_demand(c, m->arrivals, m->blocks * (unsigned)many, "the barrier by hand: arrivals");
}

pk_status pk_calibrate_grid_sync(const pk_calibrator *c, pk_samples *us)
{
    meeting m;
    PK_TRY(meeting_open(c, &m));
    const pk_status status = measure_grid_sync(c, &m, us);
    pk_device_free(m.late);
    return status;
}

pk_status pk_calibrate_barrier(const pk_calibrator *c, pk_samples *us)
{
    meeting m;
    PK_TRY(meeting_open(c, &m));
    const pk_status status = measure_hand(c, &m, us);
    pk_device_free(m.late);
    return status;
}

/* ---- a word there and back ---- */

enum {
    TURNS = 100, /* a sample */
    SPINS = 1000 /* of the host before it lets others have its processor */
};

/* What comes back for a word: not the word, so that an answer is not an echo of the memory. */
#define ANSWER_TO(word) ((word)*2654435761u + 1u)

typedef struct mailbox {
    unsigned ask, padding[APART - 1]; /* the host writes it */
    unsigned answer;                  /* the kernel does */
} mailbox;

/* One thread. Pairs, at system scope: the host's release of `ask` with the acquire here, and the release of `answer`
 * with the host's acquire. */
static __global__ void answer_words(mailbox *box, unsigned words)
{
    for (unsigned word = 1; word <= words; word++) {
        while (pk_load_acquire_system(&box->ask) != word)
            PK_SPIN_PAUSE();
        pk_store_release_system(&box->answer, ANSWER_TO(word));
    }
}

static void ask(mailbox *box, unsigned word)
{
    __atomic_store_n(&box->ask, word, __ATOMIC_RELEASE);
    for (unsigned spins = 1; __atomic_load_n(&box->answer, __ATOMIC_ACQUIRE) != ANSWER_TO(word); spins++)
        if (spins % SPINS == 0)
            (void)sched_yield();
}

static pk_status exchange(const pk_calibrator *c, mailbox *host, mailbox *device, pk_samples *us)
{
    const unsigned words = (unsigned)(c->rounds + 1) * TURNS;
    pk_status status = PK_OK;
    PK_LAUNCH(answer_words, 1, 1, 0, (cudaStream_t)c->stream, device, words);
    for (unsigned word = 1; word <= words;) { /* to the end: the kernel waits for all of them */
        const double start = pk_now_us();
        for (int turn = 0; turn < TURNS; turn++)
            ask(host, word++);
        const double taken = (pk_now_us() - start) / TURNS;
        if (word > TURNS + 1 && status == PK_OK) /* the first turns wait for the launch */
            status = pk_samples_add(us, taken);
    }
    PK_CHECK(cudaStreamSynchronize((cudaStream_t)c->stream));
    return status;
}

pk_status pk_calibrate_word(const pk_calibrator *c, pk_samples *us)
{
    void *host = NULL, *device = NULL;
    PK_TRY(pk_device_alloc_mapped(&host, &device, sizeof(mailbox)));
    mailbox *box = (mailbox *)host;
    box->ask = box->answer = 0;
    const pk_status status = exchange(c, box, (mailbox *)device, us);
    pk_device_free_mapped(host);
    return status;
}
