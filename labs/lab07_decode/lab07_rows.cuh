/* Lab 07, given: a matrix's rows by the warps that compute. Consumer thread i of C has units i, i + C, ... of each row,
 * a unit being 8 columns, and of x the same components, in registers. A row's sum is spread over all of them: lanes add
 * up by shuffles, four rows together, warps through shared memory, up to 32 rows together, and meet once for that. Of
 * rows of blocks a unit is 32 columns, four slots of x, and four rows are a team's: lab07_blocks.cuh.
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
    const uint16_t *bias;   /* [rows], or NULL */
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

template <int HAND> static __device__ inline float4 lab07_get_4(const lab07_ring_view *v, const float *from, float4 got)
{
    return HAND == LAB07_FLAG && lab07_lacks(got) ? wait_for_four(v, from) : got;
}

/* A thread's components of x: U times 8, those behind the end of a row 0. */
template <int U> struct lab07_slice {
    float of[U][8];
    float pair[(U + 1) / 2]; /* of rows of blocks: sums of two times 8, which go with one sub-block */
    lab07_team team;         /* of rows of blocks */
};

/* Which 8 columns slot i of the thread's slice is, from 0; past the row's end, where it has none. */
template <int F> static __device__ inline int lab07_slot(const lab07_block *b, const lab07_team *team, int i)
{
    if (F == PK_QUANT_BF16)
        return lab07_thread() + i * b->consumers * PK_LANES;
    const int unit = team->thread + i / 4 * team->warps * PK_LANES;
    return team->number < team->count ? lab07_unit_column((pk_quant)F, unit, i / 2 % 2) / 8 + i % 2 : 1 << 30;
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

/* Asks for everything before it waits for anything: gains, which nobody writes, and then x. */
template <int HAND, int U, int F>
static __device__ inline float lab07_read_x(const lab07_ring_view *v, const lab07_block *b, const lab07_task *task,
                                            int units, lab07_slice<U> *slice)
{
    uint4 gain[U];
    float4 low[U] = {}, high[U] = {};
    float squares = 0;
#pragma unroll
    for (int i = 0; i < U; i++) {
        const int unit = lab07_slot<F>(b, &slice->team, i);
        gain[i] = make_uint4(0, 0, 0, 0);
        if (unit >= units)
            continue;
        if (task->gain)
            gain[i] = ((const uint4 *)task->gain)[unit];
        if (!task->x) {
            float row[8];
            pk_unpack_bf16(((const uint4 *)task->row)[unit], row);
            low[i] = make_float4(row[0], row[1], row[2], row[3]);
            high[i] = make_float4(row[4], row[5], row[6], row[7]);
        } else {
            low[i] = lab07_load_4(task->x + 8 * unit);
            high[i] = lab07_load_4(task->x + 8 * unit + 4);
        }
    }
#pragma unroll
    for (int i = 0; i < U; i++) {
        const int unit = lab07_slot<F>(b, &slice->team, i);
        float *const of = slice->of[i], weight[8];
        if (task->x && unit < units) {
            low[i] = lab07_get_4<HAND>(v, task->x + 8 * unit, low[i]);
            high[i] = lab07_get_4<HAND>(v, task->x + 8 * unit + 4, high[i]);
        }
        of[0] = low[i].x, of[1] = low[i].y, of[2] = low[i].z, of[3] = low[i].w;
        of[4] = high[i].x, of[5] = high[i].y, of[6] = high[i].z, of[7] = high[i].w;
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

/* Rows of a piece, bf16: `units` of N rows at most, from `first` on. */
template <int U, int N>
static __device__ inline void lab07_dot_units(const lab07_block *b, const uint4 *chunk, const lab07_slice<U> *x,
                                              int rows, int first, int units, float *sum)
{
#pragma unroll
    for (int i = 0; i < U; i++) {
        const int unit = lab07_thread() + i * b->consumers * PK_LANES - first;
        if (unit < 0 || unit >= units)
            continue;
#pragma unroll
        for (int j = 0; j < N; j++)
            if (rows == N || j < rows)
                sum[j] = pk_dot_chunk(chunk[j * units + unit], x->of[i], sum[j]);
    }
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
            if (rows != N && j >= rows)
                continue;
            sum[j] = F == PK_QUANT_Q4_K ? lab07_unit_q4_k(v, row, unit, &x->of[4 * i], &x->pair[2 * i], sum[j])
                                        : lab07_unit_q8_0(v, row, unit, &x->of[4 * i], sum[j]);
        }
    }
}

/* The chunk of this turn, when it has landed, added to sum[0 .. rows - 1]; then its stage given back. It has `units`
 * units of N rows at most, from `first` on. Not `mine`: it is another team's, and given back all the same, but not
 * before it has landed: a stage's turns must not overtake each other. */
template <int U, int N, int F>
static __device__ inline void lab07_use_chunk(const lab07_ring_view *v, const lab07_block *b, const lab07_matrix *m,
                                              pk_ring_turn turn, const lab07_slice<U> *x, bool mine, int rows,
                                              int first, int units, float *sum)
{
    const uint4 *const chunk = (const uint4 *)(b->stages + (size_t)turn.stage * v->stage_bytes);
    lab07_wait_for(v, b, LAB07_WAITS_FOR_CHUNK, &b->full[turn.stage], turn.parity);
    if (F == PK_QUANT_BF16)
        lab07_dot_units<U, N>(b, chunk, x, rows, first, units, sum);
    else if (mine)
        lab07_dot_blocks<U, N, F>(v, m, chunk, x, rows, first, units, sum);
    pk_async_barrier_arrive(&b->empty[turn.stage]);
}

/* The rows' outputs, when all warps have put their sums: by one warp, in turn, a row a lane. The sums of the group
 * after the next go to the same place: a warp is there only when this one has come to the next meeting. */
template <int HAND>
static __device__ inline void lab07_finish(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                           const lab07_task *task, const float *sums, int rows, int own, int row)
{
    const lab07_matrix *const m = &v->matrix[task->which];
    lab07_sync(b);
    if (lab07_warp() != at->group % b->consumers || lab07_lane() >= rows)
        return;
    float sum = 0, second = 0, squares = 0;
    for (int warp = 0; warp < b->consumers; warp++) {
        sum += sums[lab07_lane() * b->stride + warp];
        if (m->runs == 2)
            second += sums[(LAB07_GROUP / 2 + lab07_lane()) * b->stride + warp];
        if (task->gain)
            squares += b->squares[(at->phase & 1) * b->consumers + warp];
    }
    const float factor = task->gain ? rsqrtf(squares / (float)m->columns + v->eps) : 1;
    const float value = finish_row(v, b, task, factor, sum, second, row + lab07_lane(), own + lab07_lane());
    if (task->which == LAB07_LOGITS)
        v->logits[(size_t)(b->step % v->logit_rows) * v->vocab + row + lab07_lane()] = value;
    else
        lab07_put<HAND>(v, b, at->layer, task->place + row + lab07_lane(), value);
}

/* The block's rows. N: rows of a chunk, of which the last may have fewer. */
template <int HAND, int U, int N, int F>
static __device__ inline void lab07_rows(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                         const lab07_task *task, lab07_part part, const lab07_slice<U> *x)
{
    const lab07_matrix *const m = &v->matrix[task->which];
    int batch = 0; /* of four rows; of blocks each is one team's, in turn */
    for (int first = 0; first < part.rows; first += LAB07_GROUP / m->runs) {
        const int rows = lab07_group_rows(m, part.rows - first);
        float *const sums = b->sums + (at->group & 1) * LAB07_GROUP * b->stride;
        for (int run = 0; run < m->runs; run++)
            for (int row = 0; row < rows; row += LAB07_BATCH, batch++) {
                const bool mine = F == PK_QUANT_BF16 || batch % x->team.count == x->team.number;
                float sum[LAB07_BATCH] = {0, 0, 0, 0};
#pragma unroll
                for (int c = 0; c < LAB07_BATCH; c += N) {
                    const int left = rows - row - c;
                    for (int unit = 0; left > 0 && unit < m->units; unit += m->piece_units) {
                        const int units = m->units - unit < m->piece_units ? m->units - unit : m->piece_units;
                        __syncwarp(); /* or a chunk is used as many times as the warp has parts */
                        lab07_use_chunk<U, N, F>(v, b, m, at->turn, x, mine, left < N ? left : N, unit, units, &sum[c]);
                        at->turn = pk_ring_next(at->turn, v->stages);
                    }
                }
                const float of_warp = mine ? pk_sum_lanes_of<LAB07_BATCH>(sum) : 0;
                if (lab07_lane() < LAB07_BATCH)
                    sums[(run * (LAB07_GROUP / 2) + row + lab07_lane()) * b->stride + lab07_warp()] = of_warp;
            }
        lab07_finish<HAND>(v, b, at, task, sums, rows, first, part.first + first);
        at->group++;
    }
}

template <int HAND, int U, int F>
static __device__ inline void lab07_product_of(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                               const lab07_task *task, lab07_part part)
{
    const lab07_matrix *const m = &v->matrix[task->which];
    lab07_slice<U> x;
    if (F != PK_QUANT_BF16)
        x.team = lab07_team_of(b, m->columns / LAB07_UNIT);
    const float squares = lab07_read_x<HAND, U, F>(v, b, task, m->columns / 8, &x);
    __syncwarp(); /* lanes have waited each for values of its own: all that follows is by whole warps */
    lab07_stamp(v, b, at->layer, lab07_phase_of(task->which), LAB07_HAS);
    if (F != PK_QUANT_BF16)
        lab07_sum_pairs<U>(&x);
    if (task->gain) { /* of blocks by the first team: each has all of x */
        const float of_warp = F == PK_QUANT_BF16 || x.team.number == 0 ? pk_sum_lanes(squares) : 0;
        if (lab07_lane() == 0)
            b->squares[(at->phase & 1) * b->consumers + lab07_warp()] = of_warp;
    }
    if (m->chunk_rows == 1)
        lab07_rows<HAND, U, 1, F>(v, b, at, task, part, &x);
    else if (m->chunk_rows == 2)
        lab07_rows<HAND, U, 2, F>(v, b, at, task, part, &x);
    else
        lab07_rows<HAND, U, 4, F>(v, b, at, task, part, &x);
    at->phase++; /* that a warp is two phases on means that all have met since this one's last squares were read */
}

/* The block's rows of a matrix of blocks. */
template <int HAND, int F>
static __device__ inline void lab07_product_of_blocks(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                                      const lab07_task *task, lab07_part part)
{
    if (v->matrix[task->which].columns <= b->consumers * PK_LANES * LAB07_UNIT)
        lab07_product_of<HAND, 4, F>(v, b, at, task, part);
    else
        lab07_product_of<HAND, LAB07_MOST_OWN, F>(v, b, at, task, part);
}

/* The block's rows of a matrix: x read, products, outputs. QUANT: of any format, not of bf16 alone. */
template <int HAND, bool QUANT>
static __device__ inline void lab07_product(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                            const lab07_task *task)
{
    const lab07_part part = v->parts[(size_t)blockIdx.x * LAB07_MATRICES + (size_t)task->which];
    const lab07_matrix *const m = &v->matrix[task->which];
    const int threads = b->consumers * PK_LANES, own = (m->units + threads - 1) / threads;
    if (part.rows == 0)
        return;
    if (QUANT && m->format == PK_QUANT_Q4_K)
        lab07_product_of_blocks<HAND, QUANT ? PK_QUANT_Q4_K : PK_QUANT_BF16>(v, b, at, task, part);
    else if (QUANT && m->format == PK_QUANT_Q8_0)
        lab07_product_of_blocks<HAND, QUANT ? PK_QUANT_Q8_0 : PK_QUANT_BF16>(v, b, at, task, part);
    else if (own == 1)
        lab07_product_of<HAND, 1, PK_QUANT_BF16>(v, b, at, task, part);
    else if (own == 2)
        lab07_product_of<HAND, 2, PK_QUANT_BF16>(v, b, at, task, part);
    else if (own <= 4)
        lab07_product_of<HAND, 4, PK_QUANT_BF16>(v, b, at, task, part);
    else
        lab07_product_of<HAND, LAB07_MOST_OWN, PK_QUANT_BF16>(v, b, at, task, part);
}

#endif
