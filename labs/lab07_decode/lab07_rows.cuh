/* Lab 07, given: a matrix's rows by the warps that compute. Warps are in teams, each as many as a row has use for: of
 * 2048 columns eight. A thread has the same columns of every row, 8 or some times 8, and of x the same components, in
 * registers. A team has every so many-th chunk. A row's sum is spread over its team: lanes add up by shuffles, warps
 * through shared memory, many rows together, and meet once for that. Of rows of blocks a unit is 32 columns, four times
 * 8: lab07_blocks.cuh.
 *
 * wait_for_four, write_output and finish_row are the including file's. */
#ifndef LAB07_ROWS_CUH
#define LAB07_ROWS_CUH

#include "lab07_blocks.cuh"

typedef struct lab07_task { /* a matrix at work */
    int which;              /* LAB07_QKV... */
    const float *x;         /* [columns]: outputs of other blocks; NULL: */
    const uint16_t *row;    /* [columns]: the token's row of the embedding */
    const uint16_t *gain;   /* [columns]: x is RMS-normed with it; NULL: as it is */
    const uint16_t *bias;   /* [rows of the block], or NULL */
    int place;              /* of the outputs in the layer's */
} lab07_task;

/* Steps. Four outputs, when another block has written each of them. */
static __device__ inline float4 wait_for_four(const lab07_ring_view *v, const float *from);
/* Output `place` of the layer, that is its own flag. */
static __device__ inline void write_output(const lab07_ring_view *v, const lab07_block *b, int layer, int place,
                                           float value);
/* A row's output, of its sum, or of its two. `factor`: the norm's. `row`: of the matrix; `own`: of the block's. */
static __device__ inline float finish_row(const lab07_ring_view *v, const lab07_block *b, const lab07_task *task,
                                          float factor, float sum, float second, int row, int own);

template <int HAND>
static __device__ inline void lab07_put(const lab07_ring_view *v, const lab07_block *b, int layer, int place,
                                        float value)
{
    if (HAND == LAB07_FLAG)
        write_output(v, b, layer, place, value);
    else
        lab07_store(lab07_outputs(v, b, layer, 0) + place, value);
}

/* A thread's components of x: U times 8, those behind the end of a row 0. */
template <int U> struct lab07_slice {
    float of[U][8];
    float pair[(U + 1) / 2]; /* of rows of blocks: sums of two times 8, which go with one sub-block */
    lab07_team team;
};

/* Which 8 columns slot i of the thread's slice is, from 0; past the row's end, where it has none. */
template <int F> static __device__ inline int lab07_slot(const lab07_team *team, int i)
{
    if (team->number >= team->count)
        return 1 << 30;
    if (F == PK_QUANT_BF16)
        return team->thread + i * team->warps * PK_LANES;
    return lab07_unit_column((pk_quant)F, team->thread + i / 4 * team->warps * PK_LANES, i / 2 % 2) / 8 + i % 2;
}

template <int U> static __device__ inline void lab07_sum_pairs(lab07_slice<U> *x)
{
#pragma unroll
    for (int i = 0; i < U / 2; i++) {
        float sum = 0;
#pragma unroll
        for (int j = 0; j < 16; j++)
            sum += x->of[2 * i + j / 8][j % 8];
        x->pair[i] = sum;
    }
}

static __device__ inline void lab07_put_four(float *of, float4 four)
{
    of[0] = four.x, of[1] = four.y, of[2] = four.z, of[3] = four.w;
}

/* Asks for everything before it waits for anything: gains, which nobody writes, and then x. */
template <int HAND, int U, int F>
static __device__ inline float lab07_read_x(const lab07_ring_view *v, const lab07_task *task, int units,
                                            lab07_slice<U> *slice)
{
    uint4 gain[U];
    float squares = 0;
#pragma unroll
    for (int i = 0; i < U; i++) {
        const int unit = lab07_slot<F>(&slice->team, i);
        gain[i] = make_uint4(0, 0, 0, 0);
        if (task->gain && unit < units)
            gain[i] = ((const uint4 *)task->gain)[unit];
    }
#pragma unroll
    for (int i = 0; i < U; i++) {
        const int unit = lab07_slot<F>(&slice->team, i);
        float4 low = make_float4(0, 0, 0, 0), high = low;
        uint4 row = make_uint4(0, 0, 0, 0);
        if (task->x && unit < units) {
            low = lab07_load_4(task->x + 8 * unit);
            high = lab07_load_4(task->x + 8 * unit + 4);
        } else if (unit < units)
            row = ((const uint4 *)task->row)[unit];
        if (!task->x)
            pk_unpack_bf16(row, slice->of[i]);
        else {
            lab07_put_four(slice->of[i], low);
            lab07_put_four(slice->of[i] + 4, high);
        }
    }
#pragma unroll
    for (int i = 0; i < U; i++) {
        const int unit = lab07_slot<F>(&slice->team, i);
        float *const of = slice->of[i], weight[8];
        if (HAND == LAB07_FLAG && task->x && unit < units) {
            if (lab07_lacks(make_float4(of[0], of[1], of[2], of[3])))
                lab07_put_four(of, wait_for_four(v, task->x + 8 * unit));
            if (lab07_lacks(make_float4(of[4], of[5], of[6], of[7])))
                lab07_put_four(of + 4, wait_for_four(v, task->x + 8 * unit + 4));
        }
        if (!task->gain)
            continue;
        pk_unpack_bf16(gain[i], weight);
#pragma unroll
        for (int j = 0; j < 8; j++) {
            squares = fmaf(of[j], of[j], squares);
            of[j] *= weight[j];
        }
    }
    return squares;
}

/* Rows of a piece, bf16: `units` of N rows at most, from `first` on. All is loaded before any of it is used. Where
 * there are few rows, a row's sum is made of several. */
template <int U, int N>
static __device__ inline void lab07_dot_units(const uint4 *chunk, const lab07_slice<U> *x, int rows, int first,
                                              int units, float *sum)
{
    enum { SUMS = U < 4 / N ? U : N < 4 ? 4 / N : 1 };
    uint4 weights[U][N];
    float of[N][SUMS] = {};
#pragma unroll
    for (int i = 0; i < U; i++) {
        const int unit = lab07_slot<PK_QUANT_BF16>(&x->team, i) - first;
        const bool has = (unsigned)unit < (unsigned)units;
#pragma unroll
        for (int j = 0; j < N; j++) {
            weights[i][j] = make_uint4(0, 0, 0, 0);
            if (has && (N == 1 || j < rows))
                weights[i][j] = chunk[j * units + unit];
        }
    }
#pragma unroll
    for (int i = 0; i < U; i++)
#pragma unroll
        for (int j = 0; j < N; j++)
            of[j][i % SUMS] = pk_dot_chunk(weights[i][j], x->of[i], of[j][i % SUMS]);
#pragma unroll
    for (int j = 0; j < N; j++)
#pragma unroll
        for (int i = 0; i < SUMS; i++)
            sum[j] += of[j][i];
}

/* The same of blocks. `first` and `units` count 16 bytes, of which so many are eight units. */
template <int U, int N, int F>
static __device__ inline void lab07_dot_blocks(const lab07_ring_view *v, const lab07_matrix *m, const uint4 *chunk,
                                               const lab07_slice<U> *x, int rows, int first, int units, float *sum)
{
    const int whole = F == PK_QUANT_Q4_K ? PK_Q4_K_BYTES / 16 : 8 * PK_Q8_0_BYTES / 16;
    const int all = m->columns / LAB07_UNIT, before = first / whole * 8, most = units / whole * 8;
    const int count = first + units < m->units ? most : all - before;
#pragma unroll
    for (int i = 0; i < U / 4; i++) {
        const int unit = x->team.thread + i * x->team.warps * PK_LANES - before;
        if (unit < 0 || unit >= count)
            continue;
#pragma unroll
        for (int j = 0; j < N; j++) {
            const unsigned char *const row = (const unsigned char *)(chunk + j * units);
            if (N > 1 && j >= rows)
                continue;
            sum[j] = F == PK_QUANT_Q4_K ? lab07_unit_q4_k(v, row, unit, &x->of[4 * i], &x->pair[2 * i], sum[j])
                                        : lab07_unit_q8_0(v, row, unit, &x->of[4 * i], sum[j]);
        }
    }
}

/* One chunk, or those that are one row: when it has landed, sums of its rows, N at most, if the chunk is `mine`. Then
 * the stage is given back. Who has nothing of it to do waits for it too: so no warp is ever a turn of the ring behind,
 * or ahead, of what a stage's barriers tell apart. */
template <int U, int N, int F>
static __device__ inline void lab07_use_chunk(const lab07_ring_view *v, const lab07_block *b, const lab07_matrix *m,
                                              lab07_at *at, const lab07_slice<U> *x, bool mine, int rows, float sum[N])
{
    for (int unit = 0; unit < m->units; unit += m->piece_units) {
        const int units = m->units - unit < m->piece_units ? m->units - unit : m->piece_units;
        const uint4 *const chunk = (const uint4 *)(lab07_of_stages(v, b) + (size_t)at->turn.stage * v->stage_bytes);
        lab07_wait_for(v, b, LAB07_WAITS_FOR_CHUNK, &lab07_of_full(v, b)[at->turn.stage], at->turn.parity);
        if (mine && F == PK_QUANT_BF16)
            lab07_dot_units<U, N>(chunk, x, rows, unit, units, sum);
        else if (mine)
            lab07_dot_blocks<U, N, F>(v, m, chunk, x, rows, unit, units, sum);
        lab07_give_back(v, b, at);
    }
}

/* Sums of the team's chunks of a group: into sums[row of the group's chunks][warp of the team]. Lanes add up in two
 * rounds, the first at once, so that of a chunk's sums a lane keeps one. */
template <int U, int N, int F>
static __device__ inline void lab07_sum_group(const lab07_ring_view *v, const lab07_block *b, const lab07_matrix *m,
                                              lab07_at *at, const lab07_slice<U> *x, int rows, float *sums)
{
    enum { SUMS = N == 1 ? LAB07_SUMS_OF_LONG : LAB07_SUMS, CHUNKS = SUMS / N };
    const lab07_team team = x->team;
    const int of_run = (rows + N - 1) / N, chunks = of_run * m->runs;
    float kept[CHUNKS] = {};
    int k = 0, next = team.number; /* of the team's chunks, and of all */
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; chunk++) {
        const int left = rows - (chunk < of_run ? chunk : chunk - of_run) * N;
        float sum[N] = {};
        lab07_use_chunk<U, N, F>(v, b, m, at, x, chunk == next, left < N ? left : N, sum);
        if (chunk != next)
            continue;
        pk_fold<N>::run(sum);
#pragma unroll
        for (int i = 0; i < CHUNKS; i++)
            kept[i] = i == k ? sum[0] : kept[i];
        k++;
        next += team.count;
    }
    pk_fold<CHUNKS, N>::run(kept);
#pragma unroll
    for (int bit = SUMS; bit < PK_LANES; bit *= 2)
        kept[0] += __shfl_xor_sync(PK_ALL_LANES, kept[0], bit);
    const int chunk = lab07_lane() / N * team.count + team.number;
    if (team.number < team.count && lab07_lane() < SUMS && chunk < chunks)
        sums[(chunk * N + lab07_lane() % N) * (team.warps | 1) + team.thread / PK_LANES] = kept[0];
}

static __device__ inline float lab07_sum_warps(const float *of_warp, int warps)
{
    float sum = 0;
#pragma unroll 4
    for (int i = 0; i < warps; i++)
        sum += of_warp[i];
    return sum;
}

/* The rows' outputs, when all warps have put their sums: a row a lane, by a warp or some, in turn. The sums of the
 * group after the next go to the same place: a warp is there only when these have come to the next meeting. */
template <int HAND>
static __device__ inline void lab07_finish(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                           const lab07_task *task, const float *sums, int rows, int own, int first)
{
    const lab07_matrix *const m = &v->matrix[task->which];
    lab07_sync(v, b);
    const int turn = lab07_warp() - at->finisher;
    const int row = (turn < 0 ? turn + v->consumers : turn) * PK_LANES + lab07_lane();
    if (row >= rows)
        return;
    const int to_second = (rows + m->chunk_rows - 1) / m->chunk_rows * m->chunk_rows, stride = m->team_warps | 1;
    const float sum = lab07_sum_warps(sums + row * stride, m->team_warps);
    const float second = m->runs == 2 ? lab07_sum_warps(sums + (to_second + row) * stride, m->team_warps) : 0;
    float factor = 1;
    if (task->gain) {
        const float squares = lab07_sum_warps(lab07_of_squares(v, b) + (at->phase & 1) * v->consumers, m->team_warps);
        factor = rsqrtf(squares / (float)m->columns + v->eps);
    }
    const float value = finish_row(v, b, task, factor, sum, second, first + row, own + row);
    if (task->which == LAB07_LOGITS)
        v->logits[(size_t)(b->stands->step % v->logit_rows) * v->vocab + first + row] = value;
    else
        lab07_put<HAND>(v, b, at->layer, task->place + first + row, value);
}

/* The block's rows of a matrix: x read, products, outputs. A thread has U times 8 columns; F: the format. */
template <int HAND, int U, int F>
static __device__ inline void lab07_product_of(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                               const lab07_task *task)
{
    /* Whether such a long row is a chunk by itself: lab07_make_teams. */
    enum { ONE = U > LAB07_FEW_OWN(F == PK_QUANT_BF16) * (F == PK_QUANT_BF16 ? 1 : LAB07_UNIT / 8) };
    const lab07_matrix *const m = &v->matrix[task->which];
    const lab07_part part = lab07_of_part(v, b)[task->which];
    lab07_slice<U> x;
    x.team = lab07_team_of(m);
    const float squares = lab07_read_x<HAND, U, F>(v, task, m->columns / 8, &x);
    __syncwarp(); /* lanes have waited each for values of its own: all that follows is by whole warps */
    lab07_stamp(v, b, at->layer, lab07_phase_of(task->which), LAB07_HAS);
    if (F != PK_QUANT_BF16)
        lab07_sum_pairs<U>(&x);
    for (int first = 0; first < part.rows; first += m->group_rows, at->group++) {
        const int rows = lab07_group_rows(m, part.rows - first);
        float *const sums = lab07_of_sums(v, b) + (at->group & 1) * v->sums;
        if (ONE || m->chunk_rows == 1)
            lab07_sum_group<U, 1, F>(v, b, m, at, &x, rows, sums);
        else if (m->chunk_rows == 2)
            lab07_sum_group<U, ONE ? 1 : 2, F>(v, b, m, at, &x, rows, sums);
        else
            lab07_sum_group<U, ONE ? 1 : 4, F>(v, b, m, at, &x, rows, sums);
        /* Each team has all of x; the first group's end is soon enough. */
        if (first == 0 && task->gain && x.team.number == 0) {
            const float of_warp = pk_sum_lanes(squares);
            if (lab07_lane() == 0)
                lab07_of_squares(v, b)[(at->phase & 1) * v->consumers + lab07_warp()] = of_warp;
        }
        lab07_finish<HAND>(v, b, at, task, sums, rows, first, part.first + first);
        at->finisher = at->finisher + 1 < v->consumers ? at->finisher + 1 : 0;
    }
    at->phase++; /* that a warp is two phases on means that all have met since this one's last squares were read */
}

/* QUANT: of any format, not of bf16 alone. */
template <int HAND, bool QUANT>
static __device__ inline void lab07_product(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                            const lab07_task *task)
{
    enum { Q4_K = QUANT ? PK_QUANT_Q4_K : PK_QUANT_BF16, Q8_0 = QUANT ? PK_QUANT_Q8_0 : PK_QUANT_BF16 };
    const lab07_matrix *const m = &v->matrix[task->which];
    if (lab07_of_part(v, b)[task->which].rows == 0)
        return;
    if (QUANT && m->format == PK_QUANT_Q4_K && m->own <= 4)
        lab07_product_of<HAND, 4, Q4_K>(v, b, at, task);
    else if (QUANT && m->format == PK_QUANT_Q4_K)
        lab07_product_of<HAND, 8, Q4_K>(v, b, at, task);
    else if (QUANT && m->format == PK_QUANT_Q8_0 && m->own <= 4)
        lab07_product_of<HAND, 4, Q8_0>(v, b, at, task);
    else if (QUANT && m->format == PK_QUANT_Q8_0)
        lab07_product_of<HAND, 8, Q8_0>(v, b, at, task);
    else if (m->own == 1)
        lab07_product_of<HAND, 1, PK_QUANT_BF16>(v, b, at, task);
    else if (m->own == 2)
        lab07_product_of<HAND, 2, PK_QUANT_BF16>(v, b, at, task);
    else if (m->own == 4)
        lab07_product_of<HAND, 4, PK_QUANT_BF16>(v, b, at, task);
    else
        lab07_product_of<HAND, LAB07_MOST_OWN, PK_QUANT_BF16>(v, b, at, task);
}

#endif
