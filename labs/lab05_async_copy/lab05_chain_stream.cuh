/* Lab 05, part two, given: one kernel for the whole chain. A block has a warp that copies weights ahead, all phases'
 * one behind the other, and others that compute.
 *
 * Consumer thread i of C has units i, i + C, ... of each row, a unit being 8 columns, and of x the same components, in
 * registers. So a row's sum is spread over all of them: lanes add up by shuffles, four rows together, warps through
 * shared memory, up to 32 rows together, and meet once for that. A stage is given back as soon as its weights have been
 * used, before anything is added up across lanes.
 *
 * What crosses blocks: outputs, and the counter of arrivals. How blocks hand over outputs is the including file's:
 * meet_blocks, ask_chunk, use_chunk, hold_back, wait_for_slice, write_output and order_passes are its steps. */
#ifndef LAB05_CHAIN_STREAM_CUH
#define LAB05_CHAIN_STREAM_CUH

#include "pk_async.h"

#include "lab05_chain.cuh"

enum {
    LAB05_CHAIN_BATCH = 4,    /* rows that lanes add up together */
    LAB05_CHAIN_GROUP = 32,   /* rows that warps add up together: one a lane of the warp that does */
    LAB05_CHAIN_MOST_OWN = 8, /* units of a row that a thread has at most */
    LAB05_CHAIN_MOST_THREADS = (LAB05_CHAIN_MOST_CONSUMERS + 2) * LAB05_WARP
};

/* How a phase learns that its x is there. */
enum {
    LAB05_CHAIN_BARRIER, /* all blocks meet behind every phase */
    LAB05_CHAIN_FLAG,    /* from the values themselves */
    LAB05_CHAIN_FREE,    /* not at all: it is given */
    LAB05_CHAIN_READ     /* likewise, and another warp times loads beside the stream */
};

/* What a block has in shared memory. */
typedef struct lab05_chain_block {
    unsigned char *stages;         /* the ring */
    pk_async_barrier *full;        /* [stages]: a chunk has landed */
    pk_async_barrier *empty;       /* [stages]: all lanes of all consumer warps have used it */
    pk_async_barrier *meet;        /* of the consumers */
    const lab05_chain_part *parts; /* [P]: the block's own */
    float *sums;                   /* [2][GROUP][stride]: of a row, by each warp */
    int consumers, stride;         /* warps; floats, odd, so that lanes read other banks */
} lab05_chain_block;

static __host__ __device__ inline int lab05_chain_stride(int consumers)
{
    return consumers | 1;
}

static inline size_t lab05_chain_shared_bytes(const lab05_chain_view *v, int consumers)
{
    return (size_t)v->stages * v->stage_bytes + (2 * (size_t)v->stages + 1) * sizeof(pk_async_barrier) +
           (size_t)v->phases * sizeof(lab05_chain_part) +
           2 * sizeof(float) * LAB05_CHAIN_GROUP * (size_t)lab05_chain_stride(consumers);
}

static __device__ inline lab05_chain_block lab05_chain_block_of(const lab05_chain_view *v, unsigned char *shared,
                                                                int consumers)
{
    lab05_chain_block b;
    b.stages = shared;
    b.full = (pk_async_barrier *)(shared + (size_t)v->stages * v->stage_bytes);
    b.empty = b.full + v->stages;
    b.meet = b.empty + v->stages;
    lab05_chain_part *const parts = (lab05_chain_part *)(b.meet + 1);
    b.parts = parts;
    b.sums = (float *)(parts + v->phases);
    b.consumers = consumers;
    b.stride = lab05_chain_stride(consumers);
    return b;
}

/* By all threads, before anything else. */
static __device__ inline void lab05_chain_begin(const lab05_chain_view *v, const lab05_chain_block *b)
{
    const unsigned words = (unsigned)v->phases * (unsigned)(sizeof(lab05_chain_part) / sizeof(unsigned));
    const unsigned *const from = (const unsigned *)(v->parts + (size_t)blockIdx.x * (size_t)v->phases);
    for (unsigned i = threadIdx.x; i < words; i += blockDim.x)
        ((unsigned *)b->parts)[i] = from[i];
    if (threadIdx.x == 0) {
        for (int i = 0; i < v->stages; i++) {
            pk_async_barrier_init(&b->full[i], 1);
            pk_async_barrier_init(&b->empty[i], (unsigned)(b->consumers * LAB05_WARP));
        }
        pk_async_barrier_init(b->meet, (unsigned)(b->consumers * LAB05_WARP));
        pk_async_barrier_init_fence();
    }
    __syncthreads();
}

static __device__ inline unsigned char *lab05_chain_buffer(const lab05_chain_view *v, const lab05_chain_block *b,
                                                           pk_ring_turn turn)
{
    return b->stages + (size_t)turn.stage * v->stage_bytes;
}

/* ---- the warp that copies ---- */

typedef struct lab05_chain_asking { /* which copy is next: the producer's own */
    int k;                          /* its number, from 0 */
    pk_ring_turn turn;              /* where it goes */
    pk_ring_turn behind;            /* where copy k - v->limit went, if there was one */
} lab05_chain_asking;

/* Steps: wait until fewer than v->limit copies are under way; copy a chunk into the ring, when there is room. */
static __device__ inline void hold_back(const lab05_chain_view *v, const lab05_chain_block *b,
                                        const lab05_chain_asking *at);
static __device__ inline void ask_chunk(const lab05_chain_view *v, const lab05_chain_block *b,
                                        const lab05_chain_asking *at, const unsigned char *from, unsigned bytes);

static __device__ inline void lab05_chain_ask(const lab05_chain_view *v, const lab05_chain_block *b,
                                              lab05_chain_asking *at, const unsigned char *from, unsigned bytes)
{
    hold_back(v, b, at);
    ask_chunk(v, b, at, from, bytes);
    at->turn = pk_ring_next(at->turn, v->stages);
    if (at->k >= v->limit)
        at->behind = pk_ring_next(at->behind, v->stages);
    at->k++;
}

/* By one lane: all weights of the block, of all passes. It waits for buffers and for copies, and never for an x. */
static __device__ inline void lab05_chain_produce(const lab05_chain_view *v, const lab05_chain_block *b)
{
    enum { UNIT = sizeof(uint4) };
    lab05_chain_asking at = {0, {0, 0}, {0, 0}};
    for (int pass = 0; pass < v->passes; pass++)
        for (int p = 0; p < v->phases; p++) {
            const lab05_chain_part part = b->parts[p];
            const unsigned char *from = v->weights + part.from;
            for (int row = 0; row < part.rows; row += part.chunk_rows) {
                const int rows = part.rows - row < part.chunk_rows ? part.rows - row : part.chunk_rows;
                for (int unit = 0; unit < part.units; unit += part.piece_units) {
                    const int left = part.units - unit;
                    const unsigned bytes =
                        (unsigned)(rows * (left < part.piece_units ? left : part.piece_units)) * (unsigned)UNIT;
                    lab05_chain_ask(v, b, &at, from, bytes);
                    from += bytes;
                }
            }
        }
}

/* ---- the warps that compute ---- */

static __device__ inline int lab05_chain_thread(void) /* among the consumers */
{
    return (int)threadIdx.x - LAB05_WARP;
}

static __device__ inline int lab05_chain_warp(void)
{
    return lab05_warp() - 1;
}

/* All consumers of the block. */
static __device__ inline void lab05_chain_sync(const lab05_chain_block *b)
{
    pk_warps_sync(b->meet, 1, (unsigned)(b->consumers * LAB05_WARP));
}

/* A thread's components of x: U units, those behind the end of a row 0. */
template <int U> struct lab05_chain_slice {
    float of[U][8];
};

/* Reads them all, and says where it found poison: NULL where it found none. All loads are under way together. */
template <int U>
static __device__ inline const float *lab05_chain_read_slice(const lab05_chain_block *b, const float *x, int units,
                                                             lab05_chain_slice<U> *slice)
{
    const float *missing = NULL;
#pragma unroll
    for (int i = 0; i < U; i++) {
        const int unit = lab05_chain_thread() + i * b->consumers * LAB05_WARP;
        float4 low = make_float4(0, 0, 0, 0), high = low;
        if (unit < units) {
            low = pk_load_relaxed_device_4(x + unit * 8);
            high = pk_load_relaxed_device_4(x + unit * 8 + 4);
        }
        slice->of[i][0] = low.x, slice->of[i][1] = low.y, slice->of[i][2] = low.z, slice->of[i][3] = low.w;
        slice->of[i][4] = high.x, slice->of[i][5] = high.y, slice->of[i][6] = high.z, slice->of[i][7] = high.w;
    }
#pragma unroll
    for (int i = 0; i < U; i++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float *const of = &slice->of[i][4 * half];
            if (lab05_chain_is_poison(of[0] + of[1] + of[2] + of[3]))
                missing = x + (lab05_chain_thread() + i * b->consumers * LAB05_WARP) * 8 + 4 * half;
        }
    return missing;
}

/* Whether one of four outputs is not there yet: a load of its own. */
static __device__ inline bool lab05_chain_lacks(const float *four)
{
    const float4 got = pk_load_relaxed_device_4(four);
    return lab05_chain_is_poison(got.x + got.y + got.z + got.w);
}

/* sum[j] += the products of row j of a chunk with x, for `rows` rows of at most N. The chunk has `units` units of a
 * row, from `first` on. */
template <int U, int N>
static __device__ inline void lab05_chain_add(const lab05_chain_block *b, const unsigned char *chunk,
                                              const lab05_chain_slice<U> *x, int rows, int first, int units, float *sum)
{
#pragma unroll
    for (int i = 0; i < U; i++) {
        const int unit = lab05_chain_thread() + i * b->consumers * LAB05_WARP - first;
        const uint4 *const at = (const uint4 *)chunk + unit;
        if (unit < 0 || unit >= units)
            continue;
        if (rows == N) { /* so that all loads can be under way before the first sum */
#pragma unroll
            for (int j = 0; j < N; j++)
                sum[j] = lab05_chain_add_unit(sum[j], at[j * units], x->of[i]);
        } else {
#pragma unroll
            for (int j = 0; j < N; j++)
                if (j < rows)
                    sum[j] = lab05_chain_add_unit(sum[j], at[j * units], x->of[i]);
        }
    }
}

/* A step: the chunk of this turn, when it has landed, added to sum[0 .. rows - 1]; then its stage given back. */
template <int U, int N>
static __device__ inline void use_chunk(const lab05_chain_view *v, const lab05_chain_block *b, pk_ring_turn turn,
                                        const lab05_chain_slice<U> *x, int rows, int first, int units, float *sum);
/* A step: an output that is its own flag. */
static __device__ inline void write_output(const lab05_chain_view *v, int pass, int at, float value);

/* The warp's parts of four rows' sums, added up over its lanes, to sums[row][warp]. First the lanes' halves exchange
 * two of the four rows, then their halves one of the two: lanes 8 j to 8 j + 7 end with row j. */
static __device__ inline void lab05_chain_put(const lab05_chain_block *b, float *sums, const float *sum)
{
    const int lane = lab05_lane();
    const bool upper = (lane & 16) != 0, odd = (lane & 8) != 0;
    const float first = (upper ? sum[2] : sum[0]) + __shfl_xor_sync(LAB05_ALL_LANES, upper ? sum[0] : sum[2], 16);
    const float second = (upper ? sum[3] : sum[1]) + __shfl_xor_sync(LAB05_ALL_LANES, upper ? sum[1] : sum[3], 16);
    float row = (odd ? second : first) + __shfl_xor_sync(LAB05_ALL_LANES, odd ? first : second, 8);
#pragma unroll
    for (int bit = 4; bit > 0; bit /= 2)
        row += __shfl_xor_sync(LAB05_ALL_LANES, row, bit);
    if (lane % 8 == 0)
        sums[lane / 8 * b->stride + lab05_chain_warp()] = row;
}

typedef struct lab05_chain_place { /* where the consumers are */
    int pass, phase;
    int group; /* of rows, from 0 on through all phases */
    pk_ring_turn turn;
    unsigned arrived; /* of all blocks, when the next meeting is over: less the grid */
} lab05_chain_place;

/* The rows' outputs, when all warps have put their sums: by one warp, in turn, a row a lane. The sums of the group
 * after the next go to the same place: a warp is there only when this one has come to the next meeting. */
template <int HAND>
static __device__ inline void lab05_chain_finish(const lab05_chain_view *v, const lab05_chain_block *b,
                                                 const lab05_chain_place *at, const float *sums, int rows, int out)
{
    lab05_chain_sync(b);
    if (lab05_chain_warp() != at->group % b->consumers || lab05_lane() >= rows)
        return;
    float sum = 0;
    for (int warp = 0; warp < b->consumers; warp++)
        sum += sums[lab05_lane() * b->stride + warp];
    const float value = lab05_chain_f(sum);
    if (HAND == LAB05_CHAIN_FLAG)
        write_output(v, at->pass, out + lab05_lane(), value);
    else
        lab05_chain_set(v, at->pass)[out + lab05_lane()] = value;
}

/* The block's rows of a phase. N: rows of a chunk, of which the last may have fewer. */
template <int HAND, int U, int N>
static __device__ inline void lab05_chain_rows(const lab05_chain_view *v, const lab05_chain_block *b,
                                               lab05_chain_place *at, const lab05_chain_part *part,
                                               const lab05_chain_slice<U> *x)
{
    for (int first = 0; first < part->rows; first += LAB05_CHAIN_GROUP) {
        const int rows = part->rows - first < LAB05_CHAIN_GROUP ? part->rows - first : LAB05_CHAIN_GROUP;
        float *const sums = b->sums + (at->group & 1) * LAB05_CHAIN_GROUP * b->stride;
        for (int row = 0; row < rows; row += LAB05_CHAIN_BATCH) {
            float sum[LAB05_CHAIN_BATCH] = {0, 0, 0, 0};
#pragma unroll
            for (int c = 0; c < LAB05_CHAIN_BATCH; c += N) {
                const int left = rows - row - c;
                for (int unit = 0; left > 0 && unit < part->units; unit += part->piece_units) {
                    const int units = part->units - unit < part->piece_units ? part->units - unit : part->piece_units;
                    __syncwarp(); /* or a chunk is used as many times as the warp has parts */
                    use_chunk<U, N>(v, b, at->turn, x, left < N ? left : N, unit, units, &sum[c]);
                    at->turn = pk_ring_next(at->turn, v->stages);
                }
            }
            lab05_chain_put(b, sums + row * b->stride, sum);
        }
        lab05_chain_finish<HAND>(v, b, at, sums, rows, part->out + first);
        at->group++;
    }
}

/* ---- between blocks ---- */

/* Steps: one thread of each block: returns when all blocks' counts together have come to `target`; the slice of x, when
 * all of it is there; what keeps passes apart that use the same set. */
static __device__ inline void meet_blocks(unsigned *arrivals, unsigned target);
template <int U>
static __device__ inline void wait_for_slice(const lab05_chain_view *v, const lab05_chain_block *b, const float *x,
                                             int units, lab05_chain_slice<U> *slice);
static __device__ inline void order_passes(const lab05_chain_view *v, const lab05_chain_block *b,
                                           lab05_chain_place *at);

/* All consumers of all blocks. What any of them wrote or read before is before what any of them does after: the block's
 * meet first, one thread arrives for them, and they meet again when it has seen the others. */
static __device__ inline void lab05_chain_meet(const lab05_chain_view *v, const lab05_chain_block *b,
                                               lab05_chain_place *at)
{
    at->arrived += gridDim.x;
    lab05_chain_sync(b);
    if (lab05_chain_thread() == 0)
        meet_blocks(v->arrivals, at->arrived);
    lab05_chain_sync(b);
}

template <int HAND, int U>
static __device__ inline void lab05_chain_phase_of(const lab05_chain_view *v, const lab05_chain_block *b,
                                                   lab05_chain_place *at, const lab05_chain_part *part)
{
    lab05_chain_slice<U> x;
    const float *const from = HAND == LAB05_CHAIN_FREE || HAND == LAB05_CHAIN_READ
                                  ? v->given + (size_t)at->pass * (size_t)v->given_floats + part->given
                                  : lab05_chain_x(v, part, at->pass, at->phase);
    if (HAND == LAB05_CHAIN_FLAG)
        wait_for_slice<U>(v, b, from, part->units, &x);
    else
        (void)lab05_chain_read_slice<U>(b, from, part->units, &x);
    if (HAND == LAB05_CHAIN_FLAG)
        order_passes(v, b, at);
    __syncwarp(); /* lanes have waited each for values of its own, and may be apart: all that follows is by whole warps
                   */
    if (part->chunk_rows == 1)
        lab05_chain_rows<HAND, U, 1>(v, b, at, part, &x);
    else if (part->chunk_rows == 2)
        lab05_chain_rows<HAND, U, 2>(v, b, at, part, &x);
    else
        lab05_chain_rows<HAND, U, 4>(v, b, at, part, &x);
}

/* Whether the block's stream is at its end: 1. For chain-read, whose other warp looks. */
static __device__ inline unsigned *lab05_chain_over(const lab05_chain_view *v)
{
    return v->arrivals + 1 + blockIdx.x;
}

template <int HAND>
static __device__ inline void lab05_chain_consume(const lab05_chain_view *v, const lab05_chain_block *b)
{
    const int threads = b->consumers * LAB05_WARP;
    lab05_chain_place at = {0, 0, 0, {0, 0}, 0};
    for (at.pass = 0; at.pass < v->passes; at.pass++)
        for (at.phase = 0; at.phase < v->phases; at.phase++) {
            const lab05_chain_part part = b->parts[at.phase];
            const int own = (part.units + threads - 1) / threads;
            if (HAND == LAB05_CHAIN_BARRIER && at.pass + at.phase > 0)
                lab05_chain_meet(v, b, &at);
            if (own == 1)
                lab05_chain_phase_of<HAND, 1>(v, b, &at, &part);
            else if (own == 2)
                lab05_chain_phase_of<HAND, 2>(v, b, &at, &part);
            else if (own == 3)
                lab05_chain_phase_of<HAND, 3>(v, b, &at, &part);
            else if (own == 4)
                lab05_chain_phase_of<HAND, 4>(v, b, &at, &part);
            else
                lab05_chain_phase_of<HAND, 8>(v, b, &at, &part);
        }
    if (HAND == LAB05_CHAIN_READ && lab05_chain_thread() == 0)
        pk_store_relaxed_device(lab05_chain_over(v), 1u);
}

/* ---- the warp that times loads beside the stream ---- */

static __device__ inline unsigned long long lab05_chain_now_ns(void)
{
#if defined(PK_BACKEND_CUDA) || defined(PK_BACKEND_HIP_NVIDIA)
    unsigned long long ns;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ns) : : "memory");
    return ns;
#else
    return (unsigned long long)clock64(); /* ns on the CPU device */
#endif
}

/* By one lane: loads that each need the one before, of words that stay in the L2, as outputs do that another block has
 * just written. The mean of each LOADS of them, as long as the stream runs; NaN for what was not measured. */
static __device__ inline void lab05_chain_read(const lab05_chain_view *v)
{
    enum { LOADS = 32 };
    float *const latencies = v->latencies + (size_t)blockIdx.x * LAB05_CHAIN_LATENCIES;
    unsigned at = blockIdx.x * 32u % LAB05_CHAIN_WORDS;
    for (int i = 0; i < LAB05_CHAIN_LATENCIES; i++) {
        const unsigned long long began = lab05_chain_now_ns();
        for (int load = 0; load < LOADS; load++)
            at = pk_load_relaxed_device(&v->next[at]);
        const unsigned long long ended = lab05_chain_now_ns();
        const bool beside = pk_load_relaxed_device(lab05_chain_over(v)) == 0 && at < LAB05_CHAIN_WORDS;
        latencies[i] = beside ? (float)(ended - began) * (1e-3f / LOADS) : lab05_chain_poison();
    }
}

template <int HAND> static __global__ void __launch_bounds__(LAB05_CHAIN_MOST_THREADS) stream_chain(lab05_chain_view v)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const int consumers = (int)(blockDim.x / LAB05_WARP) - (HAND == LAB05_CHAIN_READ ? 2 : 1);
    const lab05_chain_block b = lab05_chain_block_of(&v, shared, consumers);
    lab05_chain_begin(&v, &b);
    if (lab05_warp() == 0) {
        if (lab05_lane() == 0)
            lab05_chain_produce(&v, &b);
    } else if (lab05_warp() <= consumers)
        lab05_chain_consume<HAND>(&v, &b);
    else if (lab05_lane() == 0)
        lab05_chain_read(&v);
}

#endif
