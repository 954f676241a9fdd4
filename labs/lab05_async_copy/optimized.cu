/* Lab 05, async copies: the ladder. Fill in the steps; the page is README.md beside this file.
 *
 *   vector  plain loads of 16 bytes a thread
 *   async   each thread copies its bytes ahead, into a ring in shared memory (cp.async)
 *   bulk    one thread asks for whole pages, a barrier says when they have come
 *   tensor  the same by a tensor map: boxes of a matrix, swizzled
 *   roles   one warp asks for pages and never waits for sums, the others use them, in a grid that stays
 *
 * Only lines between STEP and END change; what stands there as shipped, pk_todo and (void) lines, goes. What is given
 * is in the headers: lab05_page.cuh has a page's sum, lab05_ring.cuh the rings, lab05_plan.cuh the launches. */
#include "lab05_plan.cuh"

/* ---- rung 1: as many bytes a load as there are ---- */

/* This lane's part of a page's sum, from device memory: its chunks are page[lane], page[lane + 32], ..., `count` of
 * them. */
template <int D> static __device__ inline float sum_by_chunks(const uint4 *page, int count, const lab05_q *q)
{
    float sum = 0;
    /* STEP lab05.1 for vector: add up the lane's chunks by lab05_add, four loads under way at a time (about 3 lines) */
    (void)page, (void)count, (void)q;
    /* END lab05.1 */
    return sum;
}

template <int D> static __global__ void read_vector(lab05_view v)
{
    const lab05_q q = lab05_q_of_lane<D>(&v);
    lab05_walk walk = lab05_walk_from(lab05_warp_in_grid(), lab05_warps_in_grid());
    for (int page = walk.first, k = 0; page < v.pages; page += walk.each, k++) {
        const uint4 *const from = (const uint4 *)lab05_page_at(&v, lab05_walk_to(&v, &walk, k));
        const float scale = v.scale[page];
        lab05_put_score(&v, page, scale, sum_by_chunks<D>(from, lab05_chunks_of_lane<D>(&v), &q));
    }
}

static pk_status vector_prepare(pk_run *run)
{
    return lab05_plan_plain(run, LAB05_KERNEL(run, read_vector));
}

/* One launch for the whole stream, for any of the kernels here but tensor's. */
static pk_status stream_once(pk_run *run)
{
    const lab05_plan *const p = lab05_plan_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    /* STEP lab05.2 for vector, async, bulk, roles: launch p->kernel as planned, on p->view, then wait (about 3 lines) */
    (void)p, (void)stream;
    return pk_todo(run, "lab05.2");
    /* END lab05.2 */
    return PK_OK;
}

/* ---- rung 2: each thread copies ahead ---- */

/* Ask for the page that lies at `number` of the pool, if there is one, and close the group, if there is none (-1) as
 * well: groups are counted. */
template <int D> static __device__ inline void ask_chunks(const lab05_view *v, int number, unsigned char *buffer)
{
    const int count = lab05_chunks_of_lane<D>(v);
    /* STEP lab05.3 for async: copy the lane's chunks by pk_async_copy_16, to where they are in the page; commit (about 6 lines) */
    (void)v, (void)number, (void)buffer, (void)count;
    /* END lab05.3 */
}

template <int D> static __global__ void read_async(lab05_view v)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab05_ring r = lab05_ring_of_warp(&v, shared);
    const lab05_q q = lab05_q_of_lane<D>(&v);
    lab05_walk walk = lab05_walk_from(lab05_warp_in_grid(), lab05_warps_in_grid());
    for (int k = 0; k < r.stages - 1; k++)
        ask_chunks<D>(&v, lab05_walk_to(&v, &walk, k), lab05_buffer(&r, k));
    for (int page = walk.first, k = 0; page < v.pages; page += walk.each, k++) {
        const int ahead = lab05_walk_to(&v, &walk, k + r.stages - 1);
        const float scale = v.scale[page];
        float sum = 0;
        /* STEP lab05.4 for async: ask for the page stages - 1 ahead, wait for this one's group, sum it up (about 3 lines) */
        (void)ahead, (void)q;
        /* END lab05.4 */
        lab05_put_score(&v, page, scale, sum);
    }
}

static pk_status async_prepare(pk_run *run)
{
    /* STEP lab05.5 for async: plan the launch of read_async: rings of LAB05_MOST_ASYNC pages at most (about 1 line) */
    return pk_todo(run, "lab05.5");
    /* END lab05.5 */
}

/* ---- rung 3: whole pages ---- */

/* The page that lies at `number` of the pool into the buffer of the ring's k-th. By one lane. */
static __device__ inline void ask_page(const lab05_view *v, const lab05_ring *r, int k, int number)
{
    /* STEP lab05.6 for bulk, roles: expect the page's bytes at its barrier, then ask for the page in one copy (about 3 lines) */
    (void)v, (void)r, (void)k, (void)number;
    /* END lab05.6 */
}

template <int D> static __global__ void read_bulk(lab05_view v)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab05_ring r = lab05_ring_of_warp(&v, shared);
    const lab05_q q = lab05_q_of_lane<D>(&v);
    lab05_walk walk = lab05_walk_from(lab05_warp_in_grid(), lab05_warps_in_grid());
    lab05_begin_warp_rings(&r);
    for (int k = 0; k < r.stages; k++) {
        const int number = lab05_walk_to(&v, &walk, k);
        if (number >= 0 && lab05_lane() == 0)
            ask_page(&v, &r, k, number);
    }
    for (int page = walk.first, k = 0; page < v.pages; page += walk.each, k++) {
        const int ahead = lab05_walk_to(&v, &walk, k + r.stages);
        const float scale = v.scale[page];
        float sum = 0;
        /* STEP lab05.7 for bulk: wait for the page, sum it up; when all lanes have, ask for the one stages ahead (about 5 lines) */
        (void)ahead, (void)q;
        /* END lab05.7 */
        lab05_put_score(&v, page, scale, sum);
    }
}

static pk_status bulk_prepare(pk_run *run)
{
    /* STEP lab05.8 for bulk: plan the launch of read_bulk: rings of LAB05_MOST_STAGES pages at most (about 1 line) */
    return pk_todo(run, "lab05.8");
    /* END lab05.8 */
}

/* ---- rung 4: boxes of a matrix ---- */

/* The same by boxes of the pool's tensor map: a box of the page's rows for each 64 of its D columns. */
template <int D>
static __device__ inline void ask_boxes(const lab05_view *v, const lab05_ring *r, int k, int number,
                                        const pk_tensor_map *map)
{
    const unsigned box_bytes = r->page_bytes / (D / LAB05_BOX_COLUMNS);
    /* STEP lab05.9 for tensor: expect the page's bytes, then ask for each box: column 64 b, row number x rows (about 4 lines) */
    (void)v, (void)r, (void)k, (void)number, (void)map, (void)box_bytes;
    /* END lab05.9 */
}

/* Where chunk `chunk` of row `row` of a swizzled box lies, in bytes: a row is 128 bytes, 8 chunks of 16. */
static __device__ inline unsigned swizzled_chunk(int row, int chunk)
{
    unsigned at = 0;
    /* STEP lab05.10 for tensor: the chunk's place in its row is its number xor the row's, modulo 8 (about 1 line) */
    (void)row, (void)chunk;
    /* END lab05.10 */
    return at;
}

template <int D, unsigned (*chunk_at)(int row, int chunk)>
static __global__ void read_tensor(lab05_view v, PK_TENSOR_PARAMETER(map))
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab05_ring r = lab05_ring_of_warp(&v, lab05_for_boxes(shared));
    lab05_walk walk = lab05_walk_from(lab05_warp_in_grid(), lab05_warps_in_grid());
    lab05_q q[D / 32];
    lab05_q_of_boxes<D>(&v, q);
    lab05_begin_warp_rings(&r);
    for (int k = 0; k < r.stages; k++) {
        const int number = lab05_walk_to(&v, &walk, k);
        if (number >= 0 && lab05_lane() == 0)
            ask_boxes<D>(&v, &r, k, number, &map);
    }
    for (int page = walk.first, k = 0; page < v.pages; page += walk.each, k++) {
        const int ahead = lab05_walk_to(&v, &walk, k + r.stages);
        const float scale = v.scale[page];
        pk_async_barrier_wait(&r.full[lab05_stage(&r, k)], lab05_parity(&r, k));
        const float sum = lab05_sum_boxes<D, chunk_at>(&v, lab05_buffer(&r, k), q);
        __syncwarp();
        if (lab05_lane() == 0 && ahead >= 0)
            ask_boxes<D>(&v, &r, k + r.stages, ahead, &map);
        lab05_put_score(&v, page, scale, sum);
    }
}

static pk_status tensor_prepare(pk_run *run)
{
    if (!lab05_of(run)->swizzled)
        return lab05_plan_tensor_rings(run, lab05_of(run)->view.dim == 64 ? read_tensor<64, lab05_plain_chunk>
                                                                          : read_tensor<128, lab05_plain_chunk>);
    return lab05_plan_tensor_rings(run, lab05_of(run)->view.dim == 64 ? read_tensor<64, swizzled_chunk>
                                                                      : read_tensor<128, swizzled_chunk>);
}

static pk_status stream_boxes(pk_run *run)
{
    const lab05_plan *const p = lab05_plan_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    /* STEP lab05.11 for tensor: as lab05.2, p->tensor_kernel with p->map for its second argument (about 3 lines) */
    (void)p, (void)stream;
    return pk_todo(run, "lab05.11");
    /* END lab05.11 */
    return PK_OK;
}

/* ---- rung 5: warps with roles ---- */

/* By the warp that copies: all pages of the block, in order, some lanes each with one of those that are next. */
static __device__ inline void produce(const lab05_view *v, const lab05_ring *r)
{
    lab05_walk walk = lab05_walk_from((int)blockIdx.x, (int)gridDim.x);
    const int askers = lab05_askers(r);
    for (int first = 0; walk.first + first * walk.each < v->pages; first += askers) {
        const int k = first + lab05_lane(), number = lab05_walk_by_lanes(v, &walk, first);
        if (lab05_lane() >= askers || number < 0)
            continue;
        /* STEP lab05.12 for roles: wait until the buffer of page k is empty, then ask for the page (about 2 lines) */
        (void)v, (void)r, (void)k, (void)number;
        /* END lab05.12 */
    }
}

/* By a warp that computes, number `mine` of `consumers`: the pages of its stages. */
template <int D>
static __device__ inline void consume(const lab05_view *v, const lab05_ring *r, int mine, int consumers)
{
    const lab05_q q = lab05_q_of_lane<D>(v);
    if (mine >= r->stages)
        return;
    for (int k = mine; blockIdx.x + k * gridDim.x < (unsigned)v->pages;
         k = lab05_next_of_stages(r, k, mine, consumers)) {
        const int page = (int)(blockIdx.x + k * gridDim.x);
        const float scale = v->scale[page];
        float sum = 0;
        /* STEP lab05.13 for roles: wait for the page, sum it up; each lane says that it has read the buffer (about 3 lines) */
        (void)v, (void)r, (void)k, (void)q;
        /* END lab05.13 */
        lab05_put_score(v, page, scale, sum);
    }
}

template <int D> static __global__ void read_by_roles(lab05_view v)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab05_ring r = lab05_ring_of_block(&v, shared);
    lab05_begin_block_ring(&r);
    if (lab05_warp() > 0)
        consume<D>(&v, &r, lab05_warp() - 1, (int)(blockDim.x / LAB05_WARP) - 1);
    else
        produce(&v, &r);
}

static pk_status roles_prepare(pk_run *run)
{
    /* STEP lab05.14 for roles: plan the launch of read_by_roles (about 1 line) */
    return pk_todo(run, "lab05.14");
    /* END lab05.14 */
}

PK_VARIANTS(ladder) = {
    {"vector", "plain loads of 16 bytes a thread", 0, vector_prepare, stream_once, lab05_free_plan},
    {"async", "each thread copies ahead, 16 bytes at a time", PK_NEED_ASYNC_COPY, async_prepare, stream_once,
     lab05_free_plan},
    {"bulk", "pages in one copy each", PK_NEED_BULK_ASYNC_COPY, bulk_prepare, stream_once, lab05_free_plan},
    {"tensor", "boxes of a tensor map, swizzled", PK_NEED_BULK_ASYNC_COPY, tensor_prepare, stream_boxes,
     lab05_free_plan},
    {"roles", "one warp asks for pages, the others use them", PK_NEED_BULK_ASYNC_COPY, roles_prepare, stream_once,
     lab05_free_plan},
};
PK_VARIANTS_END(ladder)
