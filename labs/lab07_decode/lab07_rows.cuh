/* Lab 07, given: a matrix's rows by the warps that compute. Warps are in teams, each as many as a row has use for: of
 * 2048 columns eight. A thread has the same columns of every row, 8 or some times 8, and of x the same components, in
 * registers: the first team has it from other blocks, others from the first. Of each chunk a team has some rows. A
 * row's sum is spread over its team: lanes add up by shuffles, warps through shared memory, many rows together; and one
 * more warp makes outputs of these sums while the others go on. So far rows of bf16 that are short enough; others, and
 * blocks: lab07_tiles.cuh.
 *
 * wait_for_four, write_output and finish_row are the including file's. */
#ifndef LAB07_ROWS_CUH
#define LAB07_ROWS_CUH

#include "lab07_ring.cuh"

typedef struct lab07_task { /* a matrix at work */
    int which;              /* LAB07_QKV... */
    const float *x;         /* [columns]: outputs of other blocks; NULL: */
    const uint16_t *row;    /* [columns]: the token's row of the embedding */
    const uint16_t *gain;   /* [columns]: x is RMS-normed with it; NULL: as it is */
    const uint16_t *bias;   /* [rows of the block], or NULL */
    int place;              /* of the outputs in the layer's */
} lab07_task;

/* Steps. Fours of outputs, loaded once from x + at[i]: when other blocks have written all of them. */
template <int N>
static __device__ inline void wait_for_fours(const lab07_ring_view *v, const float *x, const int at[N], float4 got[N]);
/* Output `place` of the layer, that is its own flag. */
static __device__ inline void write_output(const lab07_ring_view *v, const lab07_block *b, int layer, int place,
                                           float value);
/* A row's output, of its sum, or of its two. `factor`: the norm's. `row`: of the matrix; `own`: of the block's. */
static __device__ inline float finish_row(const lab07_ring_view *v, const lab07_block *b, const lab07_task *task,
                                          float factor, float sum, float second, int row, int own);

template <int HAND>
static __device__ inline void lab07_put_once(const lab07_ring_view *v, const lab07_block *b, int layer, int place,
                                             float value)
{
    if (HAND == LAB07_FLAG)
        write_output(v, b, layer, place, value);
    else
        lab07_store(lab07_outputs(v, b, layer, 0) + place, value);
}

/* An output, wherever it is looked at. */
template <int HAND>
static __device__ inline void lab07_put(const lab07_ring_view *v, const lab07_block *b, int layer, int place,
                                        float value)
{
    lab07_put_once<HAND>(v, b, layer, place, value);
    if (place >= v->at.heads)
        lab07_put_once<HAND>(v, b, layer, place + v->at.again, value);
}

/* A thread's components of x: U times 8, those behind the end of a row 0. */
template <int U> struct lab07_slice {
    float of[U][8];
    lab07_team team;
};

/* Which 8 columns slot i of the thread's slice is, from 0; past the row's end, where it has none. */
static __device__ inline int lab07_slot(const lab07_team *team, int i)
{
    return team->number >= team->count ? 1 << 30 : team->thread + i * team->warps * PK_LANES;
}

static __device__ inline void lab07_put_four(float *of, float4 four)
{
    of[0] = four.x, of[1] = four.y, of[2] = four.z, of[3] = four.w;
}

/* Slots `first` to `first` + N - 1 of x, when they are there; behind the row's end 0. Returns the sum of their squares.
 * Everything is asked for before anything is waited for: gains, which nobody writes, and x. A slot behind the row's end
 * waits for what the first thread has. */
template <int HAND, int N>
static __device__ inline float lab07_read_slots(const lab07_ring_view *v, const lab07_task *task, int units,
                                                const lab07_team *team, int first, float (*of)[8])
{
    uint4 gain[N];
    float4 got[2 * N];
    int at[2 * N];
    float squares = 0;
#pragma unroll
    for (int i = 0; i < N; i++) {
        const int unit = lab07_slot(team, first + i);
        at[2 * i] = unit < units ? 8 * unit : 0;
        at[2 * i + 1] = at[2 * i] + 4;
        if (task->gain && N <= 2)
            gain[i] = *(const uint4 *)(task->gain + at[2 * i]);
    }
    if (task->x) {
#pragma unroll
        for (int i = 0; i < 2 * N; i++)
            got[i] = lab07_load_4(task->x + at[i]);
        if (HAND == LAB07_FLAG)
            wait_for_fours<2 * N>(v, task->x, at, got);
#pragma unroll
        for (int i = 0; i < 2 * N; i++)
            lab07_put_four(of[i / 2] + i % 2 * 4, got[i]);
    } else {
#pragma unroll
        for (int i = 0; i < N; i++)
            pk_unpack_bf16(*(const uint4 *)(task->row + at[2 * i]), of[i]);
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        const bool has = lab07_slot(team, first + i) < units;
        float weight[8];
        if (task->gain) {
            if (N > 2) /* where there are few registers to keep it in; and such rows are seldom normed */
                gain[i] = *(const uint4 *)(task->gain + at[2 * i]);
            pk_unpack_bf16(gain[i], weight);
        }
#pragma unroll
        for (int j = 0; j < 8; j++) {
            const float x = has ? of[i][j] : 0;
            squares = fmaf(x, x, squares);
            of[i][j] = task->gain ? x * weight[j] : x;
        }
    }
    return squares;
}

/* No more of them at once than there are registers for. */
template <int HAND, int U>
static __device__ inline float lab07_read_x(const lab07_ring_view *v, const lab07_task *task, int units,
                                            lab07_slice<U> *slice)
{
    enum { AT_ONCE = U < 4 ? U : 4 };
    float squares = 0;
#pragma unroll
    for (int first = 0; first < U; first += AT_ONCE)
        squares += lab07_read_slots<HAND, AT_ONCE>(v, task, units, &slice->team, first, slice->of + first);
    return squares;
}

/* The team's slice of x. Where several teams read the same, the first one waits for it and hands it on in shared
 * memory: asked for by all of them, it would come the later. There, first and second fours of all 8 lie apart, so that
 * lanes read what lies side by side. First all meet, so that the slices of the matrix before have been taken. By all
 * consumers. The squares' sum is the first team's alone. */
template <int HAND, int U>
static __device__ inline float lab07_take_x(const lab07_ring_view *v, const lab07_block *b, const lab07_task *task,
                                            const lab07_matrix *m, lab07_slice<U> *slice)
{
    const int units = m->columns / 8;
    float4 *const x = (float4 *)lab07_of_x(v, b);
    float squares = 0;
    if (U > 1 || m->teams == 1)
        return lab07_read_x<HAND, U>(v, task, units, slice);
    lab07_sync(v, b);
    if (slice->team.number == 0) {
        squares = lab07_read_x<HAND, U>(v, task, units, slice);
#pragma unroll
        for (int i = 0; i < U; i++) {
            const int unit = lab07_slot(&slice->team, i);
            if (unit < units) {
                const float *const of = slice->of[i];
                x[unit] = make_float4(of[0], of[1], of[2], of[3]);
                x[units + unit] = make_float4(of[4], of[5], of[6], of[7]);
            }
        }
        __syncwarp();
    }
    lab07_sync(v, b);
    if (slice->team.number != 0)
#pragma unroll
        for (int i = 0; i < U; i++) {
            const int unit = lab07_slot(&slice->team, i);
            lab07_put_four(slice->of[i], unit < units ? x[unit] : make_float4(0, 0, 0, 0));
            lab07_put_four(slice->of[i] + 4, unit < units ? x[units + unit] : make_float4(0, 0, 0, 0));
        }
    return squares;
}

/* What a thread has of its team's N rows of a chunk, bf16, which begin `offset` bytes from its beginning and have
 * `units` each. All is loaded before any of it is used, and the chunk given back as soon as it is. Behind the matrix's
 * last row, and behind a row's end, it loads what is of no account: nobody looks at the first, and x is 0 at the
 * second. */
template <int U, int N>
static __device__ inline void lab07_load_rows(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                              const lab07_team *team, unsigned offset, int units, uint4 weights[U][N])
{
    const unsigned char *const rows = lab07_wait_chunk(v, b, at) + offset;
#pragma unroll
    for (int i = 0; i < U; i++) {
        const int unit = lab07_slot(team, i);
        const uint4 *const from = (const uint4 *)rows + (unit < units ? unit : 0);
#pragma unroll
        for (int j = 0; j < N; j++)
            weights[i][j] = from[j * units];
    }
    lab07_give_back(v, b, at);
}

/* Sums of a thread's products of N rows. Where there are few rows, a row's sum is made of several. */
template <int U, int N>
static __device__ inline void lab07_dot_rows(const uint4 weights[U][N], const lab07_slice<U> *x, float *sum)
{
    enum { SUMS = U < 4 / N ? U : N < 4 ? 4 / N : 1 };
    float of[N][SUMS] = {};
#pragma unroll
    for (int i = 0; i < U; i++)
#pragma unroll
        for (int j = 0; j < N; j++)
            of[j][i % SUMS] = pk_dot_chunk(weights[i][j], x->of[i], of[j][i % SUMS]);
#pragma unroll
    for (int j = 0; j < N; j++) {
        sum[j] = of[j][0];
#pragma unroll
        for (int i = 1; i < SUMS; i++)
            sum[j] += of[j][i];
    }
}

/* By a warp that no team has: it waits for chunks too, and gives them back. So no warp is ever a turn of the ring
 * behind, or ahead, of what a stage's barriers tell apart. */
static __device__ inline void lab07_pass_chunks(const lab07_ring_view *v, const lab07_block *b, const lab07_matrix *m,
                                                lab07_at *at, int chunks)
{
#pragma unroll 1
    for (int chunk = 0; chunk < chunks * m->pieces; chunk++) {
        (void)lab07_wait_chunk(v, b, at);
        lab07_give_back(v, b, at);
    }
}

/* How rows of bf16 are taken: so many chunks at once, where they are not too much to have: what takes long of one is
 * done while the other is. */
template <int U, int N> struct lab07_lot {
    enum { CHUNKS = U * N <= 4 ? 2 : 1, EARLY = U == 1 /* else there are no registers for it */ };
    uint4 of[CHUNKS][U][N];
};

/* The next lot, of a group that has `chunks` more. */
template <int U, int N>
static __device__ inline void lab07_load_lot(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                             const lab07_team *team, unsigned offset, int units, int chunks,
                                             lab07_lot<U, N> *lot)
{
#pragma unroll
    for (int c = 0; c < lab07_lot<U, N>::CHUNKS; c++)
        if (c < chunks)
            lab07_load_rows<U, N>(v, b, at, team, offset, units, lot->of[c]);
}

/* The team's rows of a group's chunks: into sums[row of the chunks][warp of the team]. The first lot has been loaded,
 * where there are registers for it, and the next one is while the lanes' sums are added up. */
template <int U, int N>
static __device__ inline void lab07_sum_group(const lab07_ring_view *v, const lab07_block *b, const lab07_matrix *m,
                                              lab07_at *at, const lab07_slice<U> *x, unsigned offset, int chunks,
                                              lab07_lot<U, N> *lot, float *sums)
{
    enum { CHUNKS = lab07_lot<U, N>::CHUNKS, ROWS = CHUNKS * N, EARLY = lab07_lot<U, N>::EARLY };
    const lab07_team *const team = &x->team;
    const int units = m->units, chunk_rows = m->chunk_rows; /* in registers: the loop has its waits to look at */
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; chunk += CHUNKS) {
        float sum[ROWS] = {};
        if (!EARLY)
            lab07_load_lot<U, N>(v, b, at, team, offset, units, chunks - chunk, lot);
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            lab07_dot_rows<U, N>(lot->of[c], x, sum + c * N);
        if (EARLY)
            lab07_load_lot<U, N>(v, b, at, team, offset, units, chunks - chunk - CHUNKS, lot);
        const float of_warp = pk_sum_lanes_of<ROWS>(sum);
        const int of = chunk + lab07_lane() / N, row = of * chunk_rows + team->number * N + lab07_lane() % N;
        if (lab07_lane() < ROWS && of < chunks)
            sums[row * (team->warps | 1) + team->thread / PK_LANES] = of_warp;
    }
}

/* Chunks of a group, all its runs, where `rows` are left. Each phase asks before its first product, so there is no
 * division in it. */
static __device__ inline int lab07_group_chunks(const lab07_matrix *m, int rows)
{
    return ((lab07_group_rows(m, rows) + m->chunk_rows - 1) * m->chunk_part >> 16) * m->runs;
}

/* With a matrix's first group, where x is normed: each lane's squares, for the warp that makes outputs, which adds them
 * up while the rows' sums are made. With all others the warps only arrive, so that each group is a phase of both
 * barriers. Each team has all of x. */
static __device__ inline void lab07_put_squares(const lab07_ring_view *v, const lab07_block *b, const lab07_at *at,
                                                const lab07_task *task, const lab07_team *team, bool first,
                                                float squares)
{
    const int half = (int)(at->group & 1);
    if (first && task->gain && team->number == 0)
        lab07_of_squares(v, b)[half * v->consumers * PK_LANES + lab07_thread()] = squares;
    pk_async_barrier_arrive(&lab07_of_squared(v, b)[half]);
}

/* The block's rows of a matrix: x read, and products. A thread has U times 8 columns of N rows at once.
 * The first rows are loaded before x is waited for: so the ring has more room meanwhile. What comes of the sums is
 * another warp's: lab07_finish. */
template <int HAND, int U, int N>
static __device__ inline void lab07_product_of(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                               const lab07_task *task)
{
    enum { EARLY = lab07_lot<U, N>::EARLY };
    const lab07_matrix *const m = &v->matrix[task->which];
    const int all = lab07_of_part(v, b)[task->which].rows, units = m->units;
    int chunks = lab07_group_chunks(m, all);
    lab07_slice<U> x;
    lab07_lot<U, N> lot = {};
    x.team = lab07_team_of(m);
    const bool has = x.team.number < x.team.count;
    const unsigned offset = (unsigned)(x.team.number * N) * (unsigned)m->pitch;
    if (EARLY && has)
        lab07_load_lot<U, N>(v, b, at, &x.team, offset, units, chunks, &lot);
    const float squares = lab07_take_x<HAND, U>(v, b, task, m, &x);
    __syncwarp(); /* lanes have waited each for values of its own: all that follows is by whole warps */
    lab07_stamp(v, b, at->layer, lab07_phase_of(task->which), LAB07_HAS);
    for (int first = 0; first < all; first += m->group_rows, at->group++) {
        const int half = (int)(at->group & 1);
        lab07_wait_group(&lab07_of_finished(v, b)[half], at->group, true);
        lab07_put_squares(v, b, at, task, &x.team, first == 0, squares);
        if (has)
            lab07_sum_group<U, N>(v, b, m, at, &x, offset, chunks, &lot, lab07_of_sums(v, b) + half * v->sums);
        else
            lab07_pass_chunks(v, b, m, at, chunks);
        pk_async_barrier_arrive(&lab07_of_summed(v, b)[half]);
        chunks = lab07_group_chunks(m, all - first - m->group_rows); /* of the next one, if any */
        if (EARLY && has && first + m->group_rows < all)
            lab07_load_lot<U, N>(v, b, at, &x.team, offset, units, chunks, &lot);
    }
}

static __device__ inline float lab07_sum_warps(const float *of_warp, int warps, int apart)
{
    float of[LAB07_MOST_CONSUMERS], sum = 0;
#pragma unroll
    for (int i = 0; i < LAB07_MOST_CONSUMERS; i++) /* all at once: one behind the other, each would be waited for */
        of[i] = i < warps ? of_warp[i * apart] : 0;
#pragma unroll
    for (int i = 0; i < LAB07_MOST_CONSUMERS; i++)
        sum += of[i];
    return sum;
}

/* By the warp that makes outputs: those of a matrix's rows, a row a lane, when all warps have put their sums. Sums, and
 * squares, are written again behind two groups' giving back, which this one does when it has read them. `best`: of the
 * lane's logits. */
template <int HAND>
static __device__ inline void lab07_finish(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                           const lab07_task *task, candidate *best)
{
    const lab07_matrix *const m = &v->matrix[task->which];
    const lab07_part part = lab07_of_part(v, b)[task->which];
    const int stride = m->team_warps | 1;
    float factor = 1;
    if (part.rows == 0)
        return;
    for (int first = 0; first < part.rows; first += m->group_rows, at->group++) {
        const int rows = lab07_group_rows(m, part.rows - first), half = (int)(at->group & 1), row = lab07_lane();
        const int to_second = m->runs == 2 ? lab07_group_chunks(m, rows) / 2 * m->chunk_rows : 0;
        const float *const sums = lab07_of_sums(v, b) + half * v->sums + row * stride;
        float sum = 0, second = 0;
        lab07_wait_group(&lab07_of_squared(v, b)[half], at->group, false);
        if (task->gain && first == 0) {
            const float *const squares = lab07_of_squares(v, b) + half * v->consumers * PK_LANES + lab07_lane();
            const float sum_of_all = pk_sum_lanes(lab07_sum_warps(squares, m->team_warps, PK_LANES));
            factor = rsqrtf(fmaf(sum_of_all, m->per_column, v->eps));
        }
        lab07_wait_group(&lab07_of_summed(v, b)[half], at->group, false);
        if (row < rows) {
            sum = lab07_sum_warps(sums, m->team_warps, 1);
            if (m->runs == 2)
                second = lab07_sum_warps(sums + to_second * stride, m->team_warps, 1);
        }
        pk_async_barrier_arrive(&lab07_of_finished(v, b)[half]);
        if (row >= rows)
            continue;
        const float value = finish_row(v, b, task, factor, sum, second, part.first + first + row, first + row);
        if (task->which != LAB07_LOGITS) {
            lab07_put<HAND>(v, b, at->layer, task->place + part.first + first + row, value);
            continue;
        }
        const candidate c = {value, value == value ? part.first + first + row : -1};
        if (comes_before(c, *best))
            *best = c;
        v->logits[(size_t)(b->stands->step % v->logit_rows) * v->vocab + part.first + first + row] = value;
    }
    __syncwarp();
}

#endif
