/* Lab 05: rings of pages in shared memory, given: where a page's buffer and its barriers are, and in which phase. */
#ifndef LAB05_RING_CUH
#define LAB05_RING_CUH

#include "pk_tensor.h"

#include "lab05_page.cuh"

/* A ring: its pages, each page's bytes a multiple of 1024 where rows x D is one of 512, and so swizzled boxes lie as
 * they must; behind them its barriers. */
typedef struct lab05_ring {
    unsigned char *pages;
    pk_async_barrier *full;  /* [stages]: a page has landed */
    pk_async_barrier *empty; /* [stages]: it has been used; NULL in a ring of one warp, which needs none */
    int stages;
    unsigned inverse; /* 0xffffffff / stages, for lab05_divide */
    unsigned page_bytes;
} lab05_ring;

static __device__ inline unsigned lab05_bytes_of_page(const lab05_view *v)
{
    return (unsigned)(v->rows * v->dim) * (unsigned)sizeof(uint16_t);
}

/* The calling warp's own ring, of `warps` that the block has: pages of all warps first, then barriers. */
static __device__ inline lab05_ring lab05_ring_of_warp(const lab05_view *v, unsigned char *shared)
{
    const int warps = blockDim.x / LAB05_WARP, warp = lab05_warp();
    lab05_ring r;
    r.page_bytes = lab05_bytes_of_page(v);
    r.stages = v->stages;
    r.inverse = 0xffffffffu / (unsigned)v->stages;
    r.pages = shared + (size_t)warp * v->stages * r.page_bytes;
    r.full = (pk_async_barrier *)(shared + (size_t)warps * v->stages * r.page_bytes) + warp * v->stages;
    r.empty = NULL;
    return r;
}

/* Where boxes may begin that are swizzled: the hardware takes the row's number from the address. */
static __device__ inline unsigned char *lab05_for_boxes(unsigned char *shared)
{
    const size_t align = PK_TENSOR_SWIZZLED_ALIGN;
    return shared + (align - (size_t)shared % align) % align;
}

/* The block's one ring. */
static __device__ inline lab05_ring lab05_ring_of_block(const lab05_view *v, unsigned char *shared)
{
    lab05_ring r;
    r.page_bytes = lab05_bytes_of_page(v);
    r.stages = v->stages;
    r.inverse = 0xffffffffu / (unsigned)v->stages;
    r.pages = shared;
    r.full = (pk_async_barrier *)(shared + (size_t)v->stages * r.page_bytes);
    r.empty = r.full + v->stages;
    return r;
}

/* Which turn of the ring the k-th page is in: who asks for a page in 100 ns has no time for a division. */
static __device__ inline int lab05_turn(const lab05_ring *r, int k)
{
    return lab05_divide(k, r->stages, r->inverse);
}

/* Of the k-th page that goes through the ring: its stage, its buffer, and the parity of its turn there: 0, 1, 0, ... */
static __device__ inline int lab05_stage(const lab05_ring *r, int k)
{
    return k - lab05_turn(r, k) * r->stages;
}

static __device__ inline unsigned char *lab05_buffer(const lab05_ring *r, int k)
{
    return r->pages + (size_t)lab05_stage(r, k) * r->page_bytes;
}

static __device__ inline unsigned lab05_parity(const lab05_ring *r, int k)
{
    return (unsigned)lab05_turn(r, k) & 1u;
}

/* Lanes of the warp that fills the block's ring which ask side by side, each for a page: asking takes a lane some 200
 * ns, and a page is due every 170 or less. Not more than the ring has stages: a lane must not wait for what another of
 * them is yet to ask for. A power of two. */
static __device__ inline int lab05_askers(const lab05_ring *r)
{
    return r->stages < 4 ? 2 : 4;
}

/* Which pages a warp takes from the block's ring: those of its own stages, `mine`, mine + consumers, ... below the
 * ring's, turn by turn; a warp with no stage takes none. A wait for a parity cannot tell a phase from the one two
 * before it. So whoever waits on a stage's barrier must have seen all of its phases, and a stage belongs to one warp.
 */
static __device__ inline int lab05_next_of_stages(const lab05_ring *r, int k, int mine, int consumers)
{
    const int turn = lab05_turn(r, k), next = k + consumers;
    return lab05_turn(r, next) == turn ? next : (turn + 1) * r->stages + mine;
}

/* By all threads of the block, before anything else: barriers of a ring a warp, one arrival each. */
static __device__ inline void lab05_begin_warp_rings(const lab05_ring *r)
{
    if (lab05_lane() == 0) {
        for (int i = 0; i < r->stages; i++)
            pk_async_barrier_init(&r->full[i], 1);
        pk_async_barrier_init_fence();
    }
    __syncthreads();
}

/* The same for the block's ring. A page is used by one warp, whose lanes each say that they have read it. */
static __device__ inline void lab05_begin_block_ring(const lab05_ring *r)
{
    if (threadIdx.x == 0) {
        for (int i = 0; i < r->stages; i++) {
            pk_async_barrier_init(&r->full[i], 1);
            pk_async_barrier_init(&r->empty[i], LAB05_WARP);
        }
        pk_async_barrier_init_fence();
    }
    __syncthreads();
}

/* Waits until at most `newer` groups of this thread's copies are under way; below LAB05_MOST_ASYNC. */
static __device__ inline void lab05_wait_groups(int newer)
{
    switch (newer) {
    case 0:
        pk_async_wait_prior<0>();
        break;
    case 1:
        pk_async_wait_prior<1>();
        break;
    case 2:
        pk_async_wait_prior<2>();
        break;
    case 3:
        pk_async_wait_prior<3>();
        break;
    case 4:
        pk_async_wait_prior<4>();
        break;
    case 5:
        pk_async_wait_prior<5>();
        break;
    case 6:
        pk_async_wait_prior<6>();
        break;
    default:
        pk_async_wait_prior<7>();
    }
}

/* ---- boxes of a tensor map ---- */

enum { LAB05_BOX_COLUMNS = 64, LAB05_BOX_CHUNKS = LAB05_BOX_COLUMNS / 8 };

/* A page of boxes, side by side in D and one behind the other in shared memory, by a warp: this lane's part of its sum.
 * Lane l has rows l % 8, l % 8 + 8, ... and of each the chunks l / 8 and l / 8 + 4 of every box: eight lanes read the
 * same chunk of eight rows, as tensor cores' loads do. chunk_at says where a chunk of a row lies in its box. */
template <int D, unsigned (*chunk_at)(int row, int chunk)>
static __device__ inline float lab05_sum_boxes(const lab05_view *v, const unsigned char *page, const lab05_q *q)
{
    const int lane = lab05_lane();
    const unsigned box_bytes = (unsigned)v->rows * LAB05_BOX_COLUMNS * (unsigned)sizeof(uint16_t);
    float sum = 0;
    for (int row = lane % 8; row < v->rows; row += 8)
#pragma unroll
        for (int i = 0; i < D / 32; i++) { /* two of each box */
            const unsigned char *const box = page + (i / 2) * box_bytes;
            const int chunk = lane / 8 + i % 2 * 4;
            sum = lab05_add(sum, *(const uint4 *)(box + chunk_at(row, chunk)), &q[i]);
        }
    return sum;
}

/* The components of q for those chunks, [D / 32]. */
template <int D> static __device__ inline void lab05_q_of_boxes(const lab05_view *v, lab05_q *q)
{
#pragma unroll
    for (int i = 0; i < D / 32; i++)
        q[i] = lab05_q_of_chunk(v, i / 2 * LAB05_BOX_CHUNKS + lab05_lane() / 8 + i % 2 * 4);
}

/* A box that is not swizzled: row after row. */
static __device__ inline unsigned lab05_plain_chunk(int row, int chunk)
{
    return (unsigned)(row * LAB05_BOX_CHUNKS + chunk) * 16;
}

#endif
