/* Lab 05: a page's score, given. A page is 16-byte chunks of 8 bf16, row after row; lane l of a warp has chunks l, l +
 * 32, l + 64, ..., which are all of the same components, since a row is 8 or 16 chunks. */
#ifndef LAB05_PAGE_CUH
#define LAB05_PAGE_CUH

#include "pk_async.h"

#include "lab05.h"

#define LAB05_ALL_LANES 0xffffffffu

template <int D> struct lab05_row {
    enum { chunks = D / 8 };
};

static __device__ inline int lab05_lane(void)
{
    return threadIdx.x % LAB05_WARP;
}

static __device__ inline int lab05_warp(void)
{
    return threadIdx.x / LAB05_WARP;
}

/* This warp's number in the grid, and how many there are: warp w has pages w, w + warps, w + 2 warps, ... */
static __device__ inline int lab05_warp_in_grid(void)
{
    return (int)(blockIdx.x * (blockDim.x / LAB05_WARP)) + lab05_warp();
}

static __device__ inline int lab05_warps_in_grid(void)
{
    return (int)(gridDim.x * (blockDim.x / LAB05_WARP));
}

/* Where page `page` of the stream lies in the pool. */
static __device__ inline const uint16_t *lab05_page(const lab05_view *v, int page)
{
    return v->pool + (size_t)v->table[page] * ((size_t)v->rows * v->dim);
}

/* 16 bytes that are read once: the L1 cache does not keep them, and of the L2 cache's lines they are the first to go.
 * Source: PTX ISA, "Cache Operators", ld.cs. */
static __device__ inline uint4 lab05_load_once(const uint4 *from)
{
#if defined(PK_BACKEND_CUDA) || defined(PK_BACKEND_HIP_NVIDIA)
    return __ldcs(from);
#else
    return *from;
#endif
}

/* number / divisor, neither below 0, by a multiplication: who asks for 32 KiB in a microsecond has little time for
 * divisions. `inverse` is 0xffffffff / divisor, at most 1 less than 2^32 / divisor: so the product is number / divisor
 * or one less. */
static __device__ inline int lab05_divide(int number, int divisor, unsigned inverse)
{
    const int quotient = (int)(((unsigned long long)(unsigned)number * inverse) >> 32);
    return number - quotient * divisor >= divisor ? quotient + 1 : quotient;
}

/* A warp's way through the stream: its k-th page is first + k * each. Where pages lie is in memory too, and whoever
 * asks for a number and waits, page by page, waits longer than for the page. So a warp asks for 32 numbers at once, a
 * lane for each. */
typedef struct lab05_walk {
    int first, each;
    int number; /* of this lane's page, of the 32 of now: where it lies in the pool; -1 behind the stream */
} lab05_walk;

static __device__ inline lab05_walk lab05_walk_from(int first, int each)
{
    lab05_walk w;
    w.first = first;
    w.each = each;
    w.number = -1;
    return w;
}

/* At each k that 32 divides, asks for the numbers of pages k to k + 31. */
static __device__ inline void lab05_walk_fetch(const lab05_view *v, lab05_walk *w, int k)
{
    if (k % LAB05_WARP == 0) {
        const long long page = w->first + (long long)(k + lab05_lane()) * w->each;
        w->number = page < v->pages ? v->table[page] : -1;
    }
}

/* Where the k-th page lies in the pool, by all lanes of the warp, for k = 0, 1, 2, ... in turn; -1 behind the last. */
static __device__ inline int lab05_walk_to(const lab05_view *v, lab05_walk *w, int k)
{
    lab05_walk_fetch(v, w, k);
    return __shfl_sync(LAB05_ALL_LANES, w->number, k % LAB05_WARP);
}

/* The same for several lanes at once: lane l has the number of page k + l, for k = 0, lanes, 2 lanes, ...; `lanes` has
 * to divide 32. Lanes from `lanes` on have nothing of use. */
static __device__ inline int lab05_walk_by_lanes(const lab05_view *v, lab05_walk *w, int k)
{
    lab05_walk_fetch(v, w, k);
    return __shfl_sync(LAB05_ALL_LANES, w->number, (k + lab05_lane()) % LAB05_WARP);
}

/* The page that lies there. */
static __device__ inline const uint16_t *lab05_page_at(const lab05_view *v, int number)
{
    return v->pool + (size_t)number * ((size_t)v->rows * v->dim);
}

/* Both halves of a word: bf16 is the upper half of a float. */
static __device__ inline float lab05_low(unsigned word)
{
    return __int_as_float((int)(word << 16));
}

static __device__ inline float lab05_high(unsigned word)
{
    return __int_as_float((int)(word & 0xffff0000u));
}

/* The components of q that a chunk is multiplied with. */
typedef struct lab05_q {
    float of[8];
} lab05_q;

static __device__ inline lab05_q lab05_q_of_chunk(const lab05_view *v, int chunk)
{
    lab05_q q;
#pragma unroll
    for (int i = 0; i < 8; i++)
        q.of[i] = v->q[chunk * 8 + i];
    return q;
}

/* Those of the chunks that this lane has. */
template <int D> static __device__ inline lab05_q lab05_q_of_lane(const lab05_view *v)
{
    return lab05_q_of_chunk(v, lab05_lane() % lab05_row<D>::chunks);
}

static __device__ inline float lab05_add(float sum, uint4 chunk, const lab05_q *q)
{
    sum += lab05_low(chunk.x) * q->of[0] + lab05_high(chunk.x) * q->of[1];
    sum += lab05_low(chunk.y) * q->of[2] + lab05_high(chunk.y) * q->of[3];
    sum += lab05_low(chunk.z) * q->of[4] + lab05_high(chunk.z) * q->of[5];
    return sum + (lab05_low(chunk.w) * q->of[6] + lab05_high(chunk.w) * q->of[7]);
}

/* Chunks of a page that each lane has: all have as many, since rows is a multiple of 8 and a row is 8 or 16 chunks. */
template <int D> static __device__ inline int lab05_chunks_of_lane(const lab05_view *v)
{
    return v->rows * lab05_row<D>::chunks / LAB05_WARP;
}

/* A page in shared memory, row after row, by a warp: this lane's part of its sum. */
template <int D>
static __device__ inline float lab05_sum_page(const lab05_view *v, const uint16_t *page, const lab05_q *q)
{
    const uint4 *const chunk = (const uint4 *)page + lab05_lane();
    const int count = lab05_chunks_of_lane<D>(v);
    float sum = 0;
#pragma unroll 4
    for (int i = 0; i < count; i++)
        sum = lab05_add(sum, chunk[i * LAB05_WARP], q);
    return sum;
}

/* The lanes' parts added up, multiplied by the page's scale, and written. The scale is asked for before the page is
 * waited for: behind it, its way would be a wait of its own. */
static __device__ inline void lab05_put_score(const lab05_view *v, int page, float scale, float sum)
{
#pragma unroll
    for (int bit = LAB05_WARP / 2; bit > 0; bit /= 2)
        sum += __shfl_xor_sync(LAB05_ALL_LANES, sum, bit);
    if (lab05_lane() == 0)
        v->out[page] = sum * scale;
}

/* The same for who has not asked for the scale. */
static __device__ inline void lab05_write_score(const lab05_view *v, int page, float sum)
{
    lab05_put_score(v, page, v->scale[page], sum);
}

#endif
