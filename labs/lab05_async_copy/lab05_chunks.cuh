/* Lab 05, part three: chunks of pages, given. Which pages a chunk is, how a block takes one, what is counted of those
 * under way, and where they lie in shared memory. */
#ifndef LAB05_CHUNKS_CUH
#define LAB05_CHUNKS_CUH

#include "pk_atomic.h"

#include "lab05_bursts.h"
#include "lab05_page.cuh"

/* ---- the clock ---- */

/* Nanoseconds of a clock that all processors share. Its grain is the device's: 32 ns to 1 us. Source: PTX ISA,
 * "Special Registers: %globaltimer"; HIP, wall_clock64, which counts at 100 MHz. */
static __device__ inline unsigned long long lab05_now(void)
{
#if defined(PK_BACKEND_CPU)
    return pk_cpu_globaltimer();
#elif defined(PK_BACKEND_HIP) && defined(__HIP_DEVICE_COMPILE__)
    return 10ull * (unsigned long long)wall_clock64();
#elif defined(PK_BACKEND_HIP) /* the host's pass over the source does not know it */
    return 0;
#else
    unsigned long long now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now) : : "memory");
    return now;
#endif
}

/* ---- which pages ---- */

typedef struct lab05_chunk {
    int burst, first, pages; /* pages [first, first + pages) of the burst */
} lab05_chunk;

static __device__ inline lab05_chunk lab05_chunk_of(const lab05_prefill *p, int chunk)
{
    lab05_chunk c;
    c.burst = lab05_divide(chunk, p->chunks_a_burst, p->bursts_inverse);
    c.first = (chunk - c.burst * p->chunks_a_burst) * p->chunk_pages;
    c.pages = p->v.pages - c.first < p->chunk_pages ? p->v.pages - c.first : p->chunk_pages;
    return c;
}

/* The lanes' parts of a page added up, scaled, and written as that burst's. `scale` is the page's: whoever asks for it
 * before the sum does not wait for it here. */
static __device__ inline void lab05_write_burst_score(const lab05_prefill *p, int burst, int page, float sum,
                                                      float scale)
{
#pragma unroll
    for (int bit = LAB05_WARP / 2; bit > 0; bit /= 2)
        sum += __shfl_xor_sync(LAB05_ALL_LANES, sum, bit);
    if (lab05_lane() == 0)
        p->v.out[(size_t)burst * p->v.pages + page] = sum * scale;
}

/* ---- which is next, and how many are under way ---- */

/* The next chunk that nobody has taken; p->chunks or more: none is left. By one thread. */
static __device__ inline int lab05_take(const lab05_prefill *p)
{
    return (int)pk_add_relaxed_device(&p->board->next, 1u);
}

typedef struct lab05_tally { /* of the one thread that counts a block's chunks */
    unsigned most, last;     /* under way in the whole device, as this thread saw it */
} lab05_tally;

static __device__ inline unsigned lab05_larger(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

/* A chunk is under way from here. What the count came to is looked at when the next one begins: nobody waits for it. */
static __device__ inline void lab05_chunk_begins(const lab05_prefill *p, lab05_tally *tally)
{
    tally->most = lab05_larger(tally->most, tally->last);
    tally->last = pk_add_relaxed_device(&p->board->under_way, 1u) + 1u;
}

/* All of its pages have been used. By the thread that counted its begin, or one that has synchronised with it. */
static __device__ inline void lab05_chunk_ends(const lab05_prefill *p)
{
    (void)pk_add_relaxed_device(&p->board->under_way, ~0u);
}

/* Prefill begins, and ends: by one thread of each block, the first before anything else and the second behind all. */
static __device__ inline void lab05_clock_begins(const lab05_prefill *p)
{
    (void)atomicMin(&p->board->begin, lab05_now());
}

static __device__ inline void lab05_clock_ends(const lab05_prefill *p)
{
    (void)atomicMax(&p->board->end, lab05_now());
}

/* The second for a block that counts its chunks. */
static __device__ inline void lab05_prefill_ends(const lab05_prefill *p, const lab05_tally *tally)
{
    (void)atomicMax(&p->board->most_under_way, lab05_larger(tally->most, tally->last));
    lab05_clock_ends(p);
}

/* In a grid of a block a chunk: whether this block may be the first to begin or the last to end. The others keep no
 * clock and count nothing, so that all at once is as fast as it can be. */
static __device__ inline bool lab05_at_the_edge(void)
{
    enum { EDGE = 4096 /* more than are resident at once */ };
    return blockIdx.x < EDGE || blockIdx.x + EDGE >= gridDim.x;
}

/* ---- ahead of the copies ---- */

/* What a warp that asks for chunks knows ahead: its next chunk, and where the lane's page of it lies; and the one
 * behind that, whose number is on its way. Both take a trip to memory, and it is made while earlier chunks are waited
 * for. */
typedef struct lab05_ahead {
    int chunk;
    int entry; /* of the table, for page `lane` of the chunk */
    int later; /* lane 0's */
} lab05_ahead;

static __device__ inline int lab05_entry(const lab05_prefill *p, int chunk)
{
    if (chunk >= p->chunks)
        return 0;
    const lab05_chunk c = lab05_chunk_of(p, chunk);
    return lab05_lane() < c.pages ? p->v.table[c.first + lab05_lane()] : 0;
}

/* By a whole warp. */
static __device__ inline lab05_ahead lab05_behind(const lab05_prefill *p, int later)
{
    lab05_ahead next;
    next.chunk = __shfl_sync(LAB05_ALL_LANES, later, 0);
    next.later = lab05_lane() == 0 ? lab05_take(p) : 0;
    next.entry = lab05_entry(p, next.chunk);
    return next;
}

static __device__ inline lab05_ahead lab05_first_chunk(const lab05_prefill *p)
{
    return lab05_behind(p, lab05_lane() == 0 ? lab05_take(p) : 0);
}

static __device__ inline lab05_ahead lab05_next_chunk(const lab05_prefill *p, const lab05_ahead *now)
{
    return lab05_behind(p, now->later);
}

/* Where a page lies whose entry of the table is known. */
static __device__ inline const uint16_t *lab05_page_of_entry(const lab05_view *v, int entry)
{
    return v->pool + (size_t)entry * ((size_t)v->rows * v->dim);
}

/* ---- where they lie ---- */

/* A block's chunks in shared memory. The k-th chunk of the block is in slot k mod count, as pages are in a ring. */
typedef struct lab05_slots {
    unsigned char *pages;
    pk_async_barrier *full;  /* [count]: a chunk has landed, or there is none any more */
    pk_async_barrier *empty; /* [count]: it has been used: an arrival of each lane that computes */
    int *chunk;              /* [count]: which it is; -1: there is none any more */
    int count;               /* the block's part of p->most, at least 1 */
    unsigned inverse;        /* 0xffffffff / count */
    unsigned page_bytes, slot_bytes;
} lab05_slots;

static __device__ inline int lab05_slot(const lab05_slots *s, int k)
{
    return k - lab05_divide(k, s->count, s->inverse) * s->count;
}

static __device__ inline unsigned lab05_slot_parity(const lab05_slots *s, int k)
{
    return (unsigned)lab05_divide(k, s->count, s->inverse) & 1u;
}

/* Page `i` of the chunk in slot `slot`. */
static __device__ inline unsigned char *lab05_slot_page(const lab05_slots *s, int slot, int i)
{
    return s->pages + (size_t)slot * s->slot_bytes + (size_t)i * s->page_bytes;
}

/* What a block needs, in bytes: on host and device. */
static inline __host__ __device__ size_t lab05_slots_bytes(size_t slot_bytes, int most)
{
    return (size_t)most * (slot_bytes + 2 * sizeof(pk_async_barrier) + sizeof(int));
}

/* Blocks share p->most evenly, and the first ones have one more where it does not divide. */
static __device__ inline lab05_slots lab05_slots_of_block(const lab05_prefill *p, unsigned char *shared)
{
    const int blocks = (int)gridDim.x, most = (p->most + blocks - 1) / blocks;
    lab05_slots s;
    s.page_bytes = (unsigned)(p->v.rows * p->v.dim) * (unsigned)sizeof(uint16_t);
    s.slot_bytes = s.page_bytes * (unsigned)p->chunk_pages;
    s.count = p->most / blocks + ((int)blockIdx.x < p->most % blocks ? 1 : 0);
    s.inverse = 0xffffffffu / (unsigned)s.count;
    s.pages = shared;
    s.full = (pk_async_barrier *)(shared + (size_t)most * s.slot_bytes);
    s.empty = s.full + most;
    s.chunk = (int *)(s.empty + most);
    return s;
}

/* By all threads of the block, before anything else; `workers` warps compute. */
static __device__ inline void lab05_begin_slots(const lab05_prefill *p, const lab05_slots *s, int workers)
{
    if (threadIdx.x == 0) {
        lab05_clock_begins(p);
        for (int i = 0; i < s->count; i++) {
            pk_async_barrier_init(&s->full[i], 1);
            pk_async_barrier_init(&s->empty[i], (unsigned)(workers * LAB05_WARP));
        }
        pk_async_barrier_init_fence();
    }
    __syncthreads();
}

/* By the thread that asked for the block's chunks, `asked` of them: tells those who compute that there is none any
 * more, waits until all have been used, and counts their ends. Those before asked - count have been counted. */
static __device__ inline void lab05_end_slots(const lab05_prefill *p, const lab05_slots *s, int asked,
                                              const lab05_tally *tally)
{
    const int slot = lab05_slot(s, asked);
    pk_async_barrier_wait(&s->empty[slot], lab05_slot_parity(s, asked) ^ 1u);
    if (asked >= s->count)
        lab05_chunk_ends(p);
    s->chunk[slot] = -1;
    pk_async_barrier_arrive(&s->full[slot]);
    for (int k = asked < s->count ? 0 : asked - s->count + 1; k < asked; k++) {
        pk_async_barrier_wait(&s->empty[lab05_slot(s, k)], lab05_slot_parity(s, k));
        lab05_chunk_ends(p);
    }
    lab05_prefill_ends(p, tally);
}

/* By warp `mine` of `workers` that compute: its pages of the chunk in `slot`, scored and written. */
template <int D>
static __device__ inline void lab05_score_pages(const lab05_prefill *p, const lab05_slots *s, int slot, int mine,
                                                int workers, const lab05_q *q)
{
    const lab05_chunk c = lab05_chunk_of(p, s->chunk[slot]);
    for (int i = mine; i < c.pages; i += workers) {
        const float scale = p->v.scale[c.first + i];
        const float sum = lab05_sum_page<D>(&p->v, (const uint16_t *)lab05_slot_page(s, slot, i), q);
        lab05_write_burst_score(p, c.burst, c.first + i, sum, scale);
    }
}

/* ---- loads ---- */

/* Loads of a thread that are under way before the first is used. */
enum { LAB05_UNDER_WAY = 8 };

/* A page in device memory, by a warp, by ordinary loads: this lane's part of its sum. */
template <int D> static __device__ inline float lab05_sum_far(const lab05_view *v, const uint4 *page, const lab05_q *q)
{
    const int count = lab05_chunks_of_lane<D>(v);
    float sum = 0;
    for (int i = 0; i < count; i += LAB05_UNDER_WAY) {
        uint4 got[LAB05_UNDER_WAY];
#pragma unroll
        for (int j = 0; j < LAB05_UNDER_WAY; j++)
            if (i + j < count)
                got[j] = page[lab05_lane() + (i + j) * LAB05_WARP];
#pragma unroll
        for (int j = 0; j < LAB05_UNDER_WAY; j++)
            if (i + j < count)
                sum = lab05_add(sum, got[j], q);
    }
    return sum;
}

#endif
