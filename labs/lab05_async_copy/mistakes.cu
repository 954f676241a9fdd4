/* Lab 05: planted mistakes. Each variant is wrong in one way that people get wrong, and the harness must catch it: the
 * tests lab05.mistake.* run them one by one and demand the right exit code and reason. Keys are of 128 numbers, as
 * --quick has them. */
#include <math.h>

#include "lab05_plan.cuh"

/* X(MISTAKE, function, "variant", form, "summary"): the form is the rung that it is made of. */
#define MISTAKES(X)                                                                                                    \
    X(ASYNC_RIGHT, async_right, "async-right", ASYNC, "each thread copies ahead, as it should be")                     \
    X(ASYNC_UNWAITED, async_unwaited, "async-unwaited", ASYNC, "a page summed up without a wait for it")               \
    X(ASYNC_WAIT_SHORT, async_wait_short, "async-wait-short", ASYNC, "a wait for one group too few")                   \
    X(ASYNC_NO_GROUP, async_no_group, "async-no-group", ASYNC, "no group where there is no page: the count is off")    \
    X(BULK_RIGHT, bulk_right, "bulk-right", BULK, "whole pages, as it should be")                                      \
    X(BULK_UNWAITED, bulk_unwaited, "bulk-unwaited", BULK, "a page summed up when it has been asked for")              \
    X(OTHER_STAGE, other_stage, "other-stage", BULK, "a wait for the page behind")                                     \
    X(PARITY_STUCK, parity_stuck, "parity-stuck", BULK, "a wait for the first turn's phase in every turn")             \
    X(REFILLED, refilled, "refilled", BULK, "the next page asked for before this one is used")                         \
    X(MORE_EXPECTED, more_expected, "more-expected", BULK, "16 bytes that nobody sends")                               \
    X(LESS_EXPECTED, less_expected, "less-expected", BULK, "half of the page comes as if it were another's")           \
    X(ALL_ASK, all_ask, "all-ask", BULK, "all lanes ask where one is to")                                              \
    X(ROW_LOST, row_lost, "row-lost", BULK, "the last rows left out")                                                  \
    X(NOT_SCALED, not_scaled, "not-scaled", BULK, "one score without its scale")                                       \
    X(ONE_ULP, one_ulp, "ulp", BULK, "one score, the next float up")                                                   \
    X(WRITES_NAN, writes_nan, "writes-nan", BULK, "one score, NaN")                                                    \
    X(PAST_THE_END, past_the_end, "past-the-end", BULK, "a score too many")                                            \
    X(TENSOR_RIGHT, tensor_right, "tensor-right", TENSOR, "boxes, as it should be")                                    \
    X(NOT_SWIZZLED, not_swizzled, "not-swizzled", TENSOR, "swizzled boxes read as plain ones")                         \
    X(OTHER_BOX, other_box, "other-box", TENSOR, "boxes of half the rows, and a page's bytes expected")                \
    X(OTHER_PAGE, other_page, "other-page", TENSOR, "the row of the page behind")                                      \
    X(ROLES_RIGHT, roles_right, "roles-right", ROLES, "warps with roles, as it should be")                             \
    X(NEVER_EMPTY, never_empty, "never-empty", ROLES, "nobody says that a buffer has been used")                       \
    X(EMPTY_EARLY, empty_early, "empty-early", ROLES, "a buffer given back before it has been read")                   \
    X(EMPTY_PARITY, empty_parity, "empty-parity", ROLES, "a wait for the empty buffer's phase that is still to come")  \
    X(IN_TURN, in_turn, "in-turn", ROLES, "warps take pages in turn, and so phases of stages that others have seen")

#define NUMBER(mistake, ...) mistake,
enum mistake { MISTAKES(NUMBER) };
#undef NUMBER

enum { DIM = 128 };

typedef struct lab05_wrong { /* a kernel's argument */
    lab05_view v;
    int mistake;
} lab05_wrong;

static __device__ inline void ask(const lab05_wrong *w, const lab05_ring *r, int k, int page)
{
    pk_async_barrier *const full = &r->full[lab05_stage(r, k)];
    const unsigned more = w->mistake == MORE_EXPECTED ? 16 : 0,
                   less = w->mistake == LESS_EXPECTED ? r->page_bytes / 2 : 0;
    pk_async_barrier_arrive_expect(full, r->page_bytes + more - less);
    pk_bulk_copy(lab05_buffer(r, k), lab05_page(&w->v, page), r->page_bytes - less, full);
    if (less > 0)
        pk_bulk_copy(lab05_buffer(r, k) + (r->page_bytes - less),
                     (const unsigned char *)lab05_page(&w->v, page) + (r->page_bytes - less), less, full);
}

static __device__ inline void write_score(const lab05_wrong *w, int page, float sum)
{
    const lab05_view *const v = &w->v;
    const bool odd = page == 7 % v->pages;
    lab05_write_score(v, page, sum);
    if (lab05_lane() > 0)
        return;
    if (w->mistake == NOT_SCALED && odd)
        v->out[page] /= v->scale[page];
    if (w->mistake == ONE_ULP && odd)
        v->out[page] = __int_as_float(__float_as_int(v->out[page]) + 1);
    if (w->mistake == WRITES_NAN && odd)
        v->out[page] = NAN;
    if (w->mistake == PAST_THE_END && page == v->pages - 1)
        v->out[v->pages] = 1;
}

/* A ring a warp, as in the rung `bulk`. */
static __global__ void bulk_wrong(lab05_wrong w)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    lab05_view v = w.v;
    const lab05_ring r = lab05_ring_of_warp(&v, shared);
    const lab05_q q = lab05_q_of_lane<DIM>(&v);
    const int first = lab05_warp_in_grid(), each = lab05_warps_in_grid();
    if (w.mistake == ROW_LOST)
        v.rows -= LAB05_WARP / lab05_row<DIM>::chunks;
    lab05_begin_warp_rings(&r);
    for (int k = 0; k < r.stages; k++)
        if ((lab05_lane() == 0 || w.mistake == ALL_ASK) && first + k * each < v.pages)
            ask(&w, &r, k, first + k * each);
    for (int page = first, k = 0; page < v.pages; page += each, k++) {
        const int waits_for = w.mistake == OTHER_STAGE ? k + 1 : k;
        const unsigned parity = w.mistake == PARITY_STUCK ? 0 : lab05_parity(&r, waits_for);
        const bool another = lab05_lane() == 0 && page + r.stages * each < v.pages;
        if (w.mistake != BULK_UNWAITED)
            pk_async_barrier_wait(&r.full[lab05_stage(&r, waits_for)], parity);
        if (w.mistake == REFILLED && another)
            ask(&w, &r, k + r.stages, page + r.stages * each);
        const float sum = lab05_sum_page<DIM>(&v, (const uint16_t *)lab05_buffer(&r, k), &q);
        __syncwarp();
        if (w.mistake != REFILLED && another)
            ask(&w, &r, k + r.stages, page + r.stages * each);
        write_score(&w, page, sum);
    }
}

/* Each lane its own chunks, as in the rung `async`. */
static __global__ void async_wrong(lab05_wrong w)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab05_view *const v = &w.v;
    const lab05_ring r = lab05_ring_of_warp(v, shared);
    const lab05_q q = lab05_q_of_lane<DIM>(v);
    const int first = lab05_warp_in_grid(), each = lab05_warps_in_grid(), count = lab05_chunks_of_lane<DIM>(v);
    for (int page = first - (r.stages - 1) * each, k = 1 - r.stages; page < v->pages; page += each, k++) {
        const int ahead = page + (r.stages - 1) * each;
        if (ahead < v->pages)
            for (int i = 0; i < count; i++)
                pk_async_copy_16((uint4 *)lab05_buffer(&r, k + r.stages - 1) + lab05_lane() + i * LAB05_WARP,
                                 (const uint4 *)lab05_page(v, ahead) + lab05_lane() + i * LAB05_WARP);
        if (ahead < v->pages || w.mistake != ASYNC_NO_GROUP)
            pk_async_commit();
        if (k < 0)
            continue;
        if (w.mistake != ASYNC_UNWAITED)
            lab05_wait_groups(r.stages - (w.mistake == ASYNC_WAIT_SHORT ? 0 : 1));
        const float sum = lab05_sum_page<DIM>(v, (const uint16_t *)lab05_buffer(&r, k), &q);
        write_score(&w, page, sum);
    }
}

/* One ring a block, as in the rung `roles`. */
static __global__ void roles_wrong(lab05_wrong w)
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab05_view *const v = &w.v;
    const lab05_ring r = lab05_ring_of_block(v, shared);
    const lab05_q q = lab05_q_of_lane<DIM>(v);
    const int consumers = (int)(blockDim.x / LAB05_WARP) - 1;
    lab05_begin_block_ring(&r);
    if (lab05_warp() == 0) {
        for (int page = blockIdx.x, k = 0; page < v->pages && lab05_lane() == 0; page += gridDim.x, k++) {
            pk_async_barrier_wait(&r.empty[lab05_stage(&r, k)],
                                  w.mistake == EMPTY_PARITY ? lab05_parity(&r, k) : lab05_parity(&r, k) ^ 1);
            ask(&w, &r, k, page);
        }
        return;
    }
    const int mine = lab05_warp() - 1;
    if (mine >= r.stages && w.mistake != IN_TURN)
        return;
    for (int k = mine; blockIdx.x + k * gridDim.x < (unsigned)v->pages;
         k = w.mistake == IN_TURN ? k + consumers : lab05_next_of_stages(&r, k, mine, consumers)) {
        pk_async_barrier_wait(&r.full[lab05_stage(&r, k)], lab05_parity(&r, k));
        if (w.mistake == EMPTY_EARLY)
            pk_async_barrier_arrive(&r.empty[lab05_stage(&r, k)]);
        if (w.mistake == EMPTY_EARLY)
            PK_POLL_PAUSE(); /* so that the producer has its turn */
        const float sum = lab05_sum_page<DIM>(v, (const uint16_t *)lab05_buffer(&r, k), &q);
        if (w.mistake != EMPTY_EARLY && w.mistake != NEVER_EMPTY)
            pk_async_barrier_arrive(&r.empty[lab05_stage(&r, k)]);
        write_score(&w, (int)(blockIdx.x + k * gridDim.x), sum);
    }
}

/* A ring a warp, filled by boxes, as in the rung `tensor`. */
static __global__ void tensor_wrong(lab05_wrong w, PK_TENSOR_PARAMETER(map))
{
    PK_DYNAMIC_SHARED(unsigned char, shared);
    const lab05_view *const v = &w.v;
    const lab05_ring r = lab05_ring_of_warp(v, lab05_for_boxes(shared));
    const int first = lab05_warp_in_grid(), each = lab05_warps_in_grid();
    const unsigned box_bytes = r.page_bytes / (DIM / LAB05_BOX_COLUMNS);
    lab05_q q[DIM / 32];
    lab05_q_of_boxes<DIM>(v, q);
    lab05_begin_warp_rings(&r);
    for (int page = first, k = 0; page < v->pages; page += each, k++) {
        pk_async_barrier *const full = &r.full[lab05_stage(&r, k)];
        const int other = w.mistake == OTHER_PAGE && page + 1 < v->pages ? page + 1 : page;
        if (lab05_lane() == 0) {
            pk_async_barrier_arrive_expect(full, r.page_bytes);
            for (int b = 0; b < DIM / LAB05_BOX_COLUMNS; b++)
                pk_tensor_copy(lab05_buffer(&r, k) + b * box_bytes, &map, b * LAB05_BOX_COLUMNS,
                               v->table[other] * v->rows, full);
        }
        pk_async_barrier_wait(full, lab05_parity(&r, k));
        const float sum = w.mistake == NOT_SWIZZLED
                              ? lab05_sum_boxes<DIM, lab05_plain_chunk>(v, lab05_buffer(&r, k), q)
                              : lab05_sum_boxes<DIM, pk_tensor_swizzled>(v, lab05_buffer(&r, k), q);
        __syncwarp();
        write_score(&w, page, sum);
    }
}

/* ---- launches ---- */

static __global__ void plain_kernel(lab05_view v) /* what the plans are asked for: as large as those here */
{
    (void)v;
}

static __global__ void plain_tensor_kernel(lab05_view v, PK_TENSOR_PARAMETER(map))
{
    (void)v, (void)map;
}

enum { ASYNC, BULK, TENSOR, ROLES };

static pk_status plan_async(pk_run *run)
{
    return lab05_plan_warp_rings(run, plain_kernel, LAB05_MOST_ASYNC);
}

static pk_status plan_bulk(pk_run *run)
{
    return lab05_plan_warp_rings(run, plain_kernel, LAB05_MOST_STAGES);
}

static pk_status plan_tensor(pk_run *run)
{
    return lab05_plan_tensor_rings(run, plain_tensor_kernel);
}

static pk_status plan_roles(pk_run *run)
{
    return lab05_plan_roles(run, plain_kernel);
}

/* A map in boxes of half the rows. */
static pk_status half_boxes(const lab05_view *v, pk_tensor_map *map)
{
    const pk_tensor_shape pool = {
        v->pool, (size_t)v->pages * (size_t)v->rows, DIM, DIM * sizeof(uint16_t), v->rows / 2, LAB05_BOX_COLUMNS, true};
    return pk_tensor_map_make(map, &pool);
}

#define LAUNCH(kernel, ...)                                                                                            \
    PK_TRY(lab05_allow_shared(run, (const void *)kernel));                                                             \
    PK_LAUNCH(kernel, p->blocks, p->threads, p->shared_bytes, stream, __VA_ARGS__)

static pk_status stream_wrong(pk_run *run, int form, int mistake)
{
    const lab05_plan *const p = lab05_plan_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab05_wrong w = {p->view, mistake};
    pk_tensor_map map = p->map;
    if (mistake == OTHER_BOX)
        PK_TRY(half_boxes(&p->view, &map));
    switch (form) {
    case ASYNC:
        LAUNCH(async_wrong, w);
        break;
    case BULK:
        LAUNCH(bulk_wrong, w);
        break;
    case TENSOR:
        LAUNCH(tensor_wrong, w, map);
        break;
    default:
        LAUNCH(roles_wrong, w);
    }
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

#define FUNCTION(mistake, function, name, form, ...)                                                                   \
    static pk_status function(pk_run *run)                                                                             \
    {                                                                                                                  \
        return stream_wrong(run, form, mistake);                                                                       \
    }
MISTAKES(FUNCTION)

#define NEEDS_ASYNC PK_NEED_ASYNC_COPY
#define NEEDS_BULK PK_NEED_BULK_ASYNC_COPY
#define NEEDS_TENSOR PK_NEED_BULK_ASYNC_COPY
#define NEEDS_ROLES PK_NEED_BULK_ASYNC_COPY
#define PLAN_ASYNC plan_async
#define PLAN_BULK plan_bulk
#define PLAN_TENSOR plan_tensor
#define PLAN_ROLES plan_roles
#define ROW(mistake, function, name, form, summary)                                                                    \
    {name, summary, NEEDS_##form, PLAN_##form, function, lab05_free_plan},
PK_VARIANTS(ladder) = {MISTAKES(ROW)};
PK_VARIANTS_END(ladder)
