/* Lab 05, async copies: the baselines. A warp has a page at a time.
 *
 *   words   plain loads of 4 bytes a thread, as they come to mind
 *   wide    plain loads of 16 bytes a thread, eight of them under way before the first is used: the best plain reader
 *           here, which is what copies have to be better than
 *   chase   --work=latency: one thread, loads that wait for each other */
#include "lab05_plan.cuh"

template <int D> static __global__ void read_words(lab05_view v)
{
    enum { WORDS = D / 2 / LAB05_WARP }; /* of a row, that this lane has */
    const int lane = lab05_lane();
    float low[WORDS], high[WORDS];
    for (int j = 0; j < WORDS; j++) {
        low[j] = v.q[2 * (lane + j * LAB05_WARP)];
        high[j] = v.q[2 * (lane + j * LAB05_WARP) + 1];
    }
    for (int page = lab05_warp_in_grid(); page < v.pages; page += lab05_warps_in_grid()) {
        const unsigned *row = (const unsigned *)lab05_page(&v, page) + lane;
        float sum = 0;
#pragma unroll 1
        for (int r = 0; r < v.rows; r++, row += D / 2)
            for (int j = 0; j < WORDS; j++)
                sum += lab05_low(row[j * LAB05_WARP]) * low[j] + lab05_high(row[j * LAB05_WARP]) * high[j];
        lab05_write_score(&v, page, sum);
    }
}

template <int D> static __global__ void read_wide(lab05_view v)
{
    enum { UNDER_WAY = 8 };
    const lab05_q q = lab05_q_of_lane<D>(&v);
    const int count = lab05_chunks_of_lane<D>(&v);
    lab05_walk walk = lab05_walk_from(lab05_warp_in_grid(), lab05_warps_in_grid());
    for (int page = walk.first, k = 0; page < v.pages; page += walk.each, k++) {
        const uint4 *const chunk = (const uint4 *)lab05_page_at(&v, lab05_walk_to(&v, &walk, k)) + lab05_lane();
        const float scale = v.scale[page];
        float sum = 0;
        for (int i = 0; i < count; i += UNDER_WAY) {
            uint4 got[UNDER_WAY];
#pragma unroll
            for (int j = 0; j < UNDER_WAY; j++)
                if (i + j < count)
                    got[j] = lab05_load_once(&chunk[(i + j) * LAB05_WARP]);
#pragma unroll
            for (int j = 0; j < UNDER_WAY; j++)
                if (i + j < count)
                    sum = lab05_add(sum, got[j], &q);
        }
        lab05_put_score(&v, page, scale, sum);
    }
}

static __global__ void follow(const unsigned *next, int steps, unsigned *end)
{
    unsigned at = 0;
    for (int step = 0; step < steps; step++)
        at = next[at];
    *end = at;
}

static pk_status words_prepare(pk_run *run)
{
    return lab05_plan_plain(run, LAB05_KERNEL(run, read_words));
}

static pk_status wide_prepare(pk_run *run)
{
    return lab05_plan_plain(run, LAB05_KERNEL(run, read_wide));
}

static pk_status stream_once(pk_run *run)
{
    const lab05_plan *const p = lab05_plan_of(run);
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    const lab05_kernel read_pages = p->kernel;
    PK_LAUNCH(read_pages, p->blocks, p->threads, p->shared_bytes, stream, p->view);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

static pk_status chase(pk_run *run)
{
    const lab05_chase *const c = &lab05_of(run)->chase;
    const cudaStream_t stream = (cudaStream_t)pk_run_stream(run);
    PK_LAUNCH(follow, 1, 1, 0, stream, c->next, c->steps, c->end);
    PK_CHECK(cudaStreamSynchronize(stream));
    return PK_OK;
}

PK_VARIANTS(baseline) = {
    {"words", "plain loads of 4 bytes a thread", 0, words_prepare, stream_once, lab05_free_plan},
    {"wide", "plain loads of 16 bytes, eight under way", 0, wide_prepare, stream_once, lab05_free_plan},
    {"chase", "loads that wait for each other", 0, NULL, chase, NULL},
};
PK_VARIANTS_END(baseline)
