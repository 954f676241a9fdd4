/* Lab 07, given: a matrix's rows by the warps that compute, eight at once: those of bf16 that are long, and blocks.
 * Products are the tensor cores' where there are: of 16 x 16 factors a warp has two instructions, where lanes would
 * have forty, so that a block has its rows' sums long before the next ones land, and makes up for what it has waited.
 *
 * A warp has 256 columns of a row, or of a piece of it where it is longer than that of all warps: eight steps of 32.
 * Lane l has g = l / 4 and t = l % 4: of a step it has columns 8 t to 8 t + 7 of row g. x is the sum of three parts of
 * bf16, exactly.
 *
 *   bf16   A step is one product. The lane's 16 bytes are four words, of which the first and third are a row of
 *          16 factors (mma.cuh), the second and fourth another one: so 16 rows of them are eight rows' even and odd
 *          words. Of x, parts of its even words are columns 0, 2 and 4 of the other factor, of its odd words columns
 *          1, 3 and 5. A row's sum is that of even words' results in even columns, and of odd words' in odd ones: of
 *          a lane's four results the first and the last.
 *
 *   Q8_0   The same; a step is a block. Each of the lane's two words becomes two pairs: the first word's are the even
 *          columns', the second's the odd ones'. The result is scaled.
 *
 *   Q4_K   Two steps are the low and the high halves of 32 bytes: one the even, the other the odd columns. The lane's
 *          8 bytes are two products. Of its four results the first is the low halves', the last the high ones', and
 *          each has its scale. x is taken off once, by the sums' beginning: lanes of t = 0 begin with -x. Those of
 *          t = 3 have columns of no part, and begin with x: of it they make what the minimums take off.
 *
 * Even g have their rows in other chunks than odd ones. Of two chunks of blocks one lies half a line of banks further
 * on: so eight lanes, which load 64 bytes of two rows each, meet on no bank. Chunks of bf16 do not, and two rows meet:
 * bulk copies to where 128 does not divide take longer, and it is copies that rows of bf16 wait for (pk_async.h).
 * Pieces are copied as such: of some rows the first pieces are a chunk, then the second ones.
 */
#ifndef LAB07_TILES_CUH
#define LAB07_TILES_CUH

#include "decode/mma.cuh"

#include "lab07_blocks.cuh"
#include "lab07_rows.cuh"

enum { LAB07_PARTS = 3, LAB07_STEPS = LAB07_WARP_COLUMNS / 32, LAB07_EIGHT_BLOCKS = 8 * PK_Q8_0_BYTES };

/* What a lane has of the warp's x. */
typedef struct lab07_x_lane {
#if defined(PK_HAS_MMA)
    unsigned of[LAB07_STEPS][2]; /* of one part, the pairs that go with a product */
#else
    float of[LAB07_STEPS][8];
#endif
    float begin[LAB07_STEPS]; /* of Q4_K: see above */
} lab07_x_lane;

/* A warp's x in shared memory: 8 columns of each of the 32 lanes that read them. */
typedef struct lab07_x_slice {
#if defined(PK_HAS_MMA)
    uint2 of[LAB07_PARTS][PK_LANES][2];
#else
    float4 of[2][PK_LANES];
#endif
    float step[LAB07_STEPS]; /* of Q4_K: their sums */
} lab07_x_slice;

typedef struct lab07_of_tile { /* what a lane has of a tile */
    int row, t;                /* g */
} lab07_of_tile;

static __device__ inline lab07_of_tile lab07_tile_lane(void)
{
    const lab07_of_tile l = {lab07_lane() / 4, lab07_lane() % 4};
    return l;
}

/* 8 columns of x: into the slice. Which of them are a pair is as F's are. */
template <int F> static __device__ inline void lab07_put_columns(lab07_x_slice *slice, int at, const float x[8])
{
#if defined(PK_HAS_MMA)
    enum { BF16 = F == PK_QUANT_BF16 };
    unsigned part[LAB07_PARTS][4]; /* bf16: 0 1, 2 3, 4 5, 6 7; of bytes: 0 2, 1 3, 4 6, 5 7 */
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int first = BF16 ? 2 * i : i / 2 * 4 + i % 2;
        float low = x[first], high = x[first + (BF16 ? 1 : 2)];
#pragma unroll
        for (int p = 0; p < LAB07_PARTS; p++) {
            part[p][i] = pk_mma_pack(low, high);
            low -= lab07_low(part[p][i]);
            high -= lab07_high(part[p][i]);
        }
    }
#pragma unroll
    for (int p = 0; p < LAB07_PARTS; p++) {
        slice->of[p][at][0] = BF16 ? make_uint2(part[p][0], part[p][2]) : make_uint2(part[p][0], part[p][1]);
        slice->of[p][at][1] = BF16 ? make_uint2(part[p][1], part[p][3]) : make_uint2(part[p][2], part[p][3]);
    }
#else
    slice->of[0][at] = make_float4(x[0], x[1], x[2], x[3]);
    slice->of[1][at] = make_float4(x[4], x[5], x[6], x[7]);
#endif
    if (F == PK_QUANT_Q4_K) {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < 8; i++)
            sum += x[i];
        sum += __shfl_xor_sync(PK_ALL_LANES, sum, 1);
        sum += __shfl_xor_sync(PK_ALL_LANES, sum, 2);
        if (at % 4 == 0)
            slice->step[at / 4] = sum;
    }
}

/* The lane's part of all steps; zeros, where it has a column of none. */
template <int F>
static __device__ inline void lab07_get_x(const lab07_x_slice *slice, const uint2 *zeros, lab07_of_tile l,
                                          lab07_x_lane *x)
{
#if defined(PK_HAS_MMA)
    const int part = l.row / 2, half = l.row % 2; /* the column's */
    const uint2 *const from = part < LAB07_PARTS ? slice->of[part][0] : zeros;
#pragma unroll
    for (int s = 0; s < LAB07_STEPS; s++) {
        const uint2 of =
            F == PK_QUANT_Q4_K ? from[2 * (4 * (s - s % 2 + half) + l.t) + s % 2] : from[2 * (4 * s + l.t) + half];
        x->of[s][0] = of.x, x->of[s][1] = of.y;
    }
#else
#pragma unroll
    for (int s = 0; s < LAB07_STEPS; s++) {
        lab07_put_four(x->of[s], slice->of[0][4 * s + l.t]);
        lab07_put_four(x->of[s] + 4, slice->of[1][4 * s + l.t]);
    }
    (void)zeros;
#endif
    const float times = l.t == 0 ? -1 : l.t == 3 ? 1 : 0;
#pragma unroll
    for (int s = 0; s < LAB07_STEPS; s++)
        x->begin[s] = F == PK_QUANT_Q4_K ? times * slice->step[s] : 0;
}

typedef struct lab07_x_asked { /* a lane's 8 columns of x, which have been asked for */
    bool has;                  /* they are not behind the end of the row, or piece */
    int at;                    /* their place in it, or that of its first ones */
    float4 of[2];
    uint4 gain;
} lab07_x_asked;

static __device__ inline int lab07_piece_units(const lab07_matrix *m, int piece)
{
    return lab07_least(m->units - piece * m->piece_units, m->piece_units);
}

static __device__ inline int lab07_piece_eights(const lab07_matrix *m, int piece)
{
    return lab07_least(m->columns / 8 - piece * m->piece_eights, m->piece_eights);
}

/* Gains, which nobody writes, and x: both before either is waited for. */
static __device__ inline void lab07_ask_x(const lab07_task *task, const lab07_matrix *m, const lab07_team *team,
                                          int piece, lab07_x_asked *x)
{
    x->has = team->thread < lab07_piece_eights(m, piece);
    x->at = x->has ? 8 * (piece * m->piece_eights + team->thread) : 0;
    if (task->gain)
        x->gain = *(const uint4 *)(task->gain + x->at);
    if (task->x) {
        x->of[0] = lab07_load_4(task->x + x->at);
        x->of[1] = lab07_load_4(task->x + x->at + 4);
    } else {
        float of[8];
        pk_unpack_bf16(*(const uint4 *)(task->row + x->at), of);
        x->of[0] = make_float4(of[0], of[1], of[2], of[3]);
        x->of[1] = make_float4(of[4], of[5], of[6], of[7]);
    }
}

/* When it is there: to other lanes, times its gain. Returns the sum of its squares. */
template <int HAND, int F>
static __device__ inline float lab07_hand_x(const lab07_ring_view *v, const lab07_task *task, lab07_x_asked *asked,
                                            lab07_x_slice *slice)
{
    const int at[2] = {asked->at, asked->at + 4};
    float squares = 0, x[8], gain[8];
    if (HAND == LAB07_FLAG && task->x)
        wait_for_fours<2>(v, task->x, at, asked->of);
    lab07_put_four(x, asked->of[0]);
    lab07_put_four(x + 4, asked->of[1]);
    pk_unpack_bf16(asked->gain, gain);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        x[i] = asked->has ? x[i] : 0;
        squares = fmaf(x[i], x[i], squares);
        x[i] = task->gain ? x[i] * gain[i] : x[i];
    }
    __syncwarp(); /* what the slice was before has been read */
    lab07_put_columns<F>(slice, lab07_lane(), x);
    __syncwarp();
    return squares;
}

/* What a lane has of a row's 256 columns. */
template <int F> struct lab07_weights {
    uint4 of[LAB07_STEPS];
};

template <> struct lab07_weights<PK_QUANT_Q8_0> {
    unsigned of[LAB07_STEPS][2];
    uint16_t d[LAB07_STEPS];
};

template <> struct lab07_weights<PK_QUANT_Q4_K> {
    uint4 head; /* d and dmin, scales */
    uint2 of[LAB07_STEPS / 2];
};

/* The lane's of a row, or piece, which begins at `row`. left: its columns from the warp's first one on. Behind its end,
 * where x is 0, weights are 0: what lies there may be no numbers. */
static __device__ inline void lab07_load_columns(const uint4 *row, int warp, int t, int left,
                                                 lab07_weights<PK_QUANT_BF16> *w)
{
#pragma unroll
    for (int s = 0; s < LAB07_STEPS; s++)
        w->of[s] = 32 * s + 8 * t < left ? row[(warp * LAB07_STEPS + s) * 4 + t] : make_uint4(0, 0, 0, 0);
}

/* A block's weights begin in the middle of a word, or, behind an odd one, with one. */
static __device__ inline void lab07_load_columns(const uint4 *row, int warp, int t, int left,
                                                 lab07_weights<PK_QUANT_Q8_0> *w)
{
    const unsigned char *const blocks = (const unsigned char *)row + warp * LAB07_EIGHT_BLOCKS;
#pragma unroll
    for (int s = 0; s < LAB07_STEPS; s++) {
        const unsigned char *const block = blocks + s * PK_Q8_0_BYTES;
        const unsigned *const from = (const unsigned *)(block + 8 * t + s % 2 * 2);
        w->of[s][0] = w->of[s][1] = w->d[s] = 0;
        if (32 * s >= left)
            continue;
        const unsigned first = from[0], second = from[1];
        w->d[s] = *(const uint16_t *)block;
        w->of[s][0] = s % 2 ? first : lab07_bytes(first, second, 0x5432u);
        w->of[s][1] = s % 2 ? second : lab07_bytes(second, from[2], 0x5432u);
    }
}

static __device__ inline void lab07_load_columns(const uint4 *row, int warp, int t, int left,
                                                 lab07_weights<PK_QUANT_Q4_K> *w)
{
    const uint4 *const block = row + warp * (PK_Q4_K_BYTES / (int)sizeof(uint4));
    const bool there = left > 0;
    w->head = there ? block[0] : make_uint4(0, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < LAB07_STEPS / 2; i++)
        w->of[i] = there ? ((const uint2 *)(block + 1))[4 * i + t] : make_uint2(0, 0);
}

/* ---- products ----
 *
 * The lane's part of row g's sum. */

#if !defined(PK_HAS_MMA)
static __device__ inline float lab07_dot_pairs(const unsigned pair[2], const float *x, float sum)
{
    sum = fmaf(lab07_low(pair[0]), x[0], sum);
    sum = fmaf(lab07_low(pair[1]), x[1], sum);
    sum = fmaf(lab07_high(pair[0]), x[2], sum);
    return fmaf(lab07_high(pair[1]), x[3], sum);
}
#endif

static __device__ inline float lab07_dot_columns(const lab07_ring_view *v, lab07_of_tile l,
                                                 const lab07_weights<PK_QUANT_BF16> *w, const lab07_x_lane *x)
{
#if defined(PK_HAS_MMA)
    float sums[2][4] = {};
#else
    float sum = 0;
#endif
#pragma unroll
    for (int s = 0; s < LAB07_STEPS; s++) {
#if defined(PK_HAS_MMA)
        const unsigned of[4] = {w->of[s].x, w->of[s].y, w->of[s].z, w->of[s].w};
        pk_mma(sums[s % 2], of, x->of[s]);
#else
        sum = pk_dot_chunk(w->of[s], x->of[s], sum);
#endif
    }
    (void)v, (void)l;
#if defined(PK_HAS_MMA)
    return sums[0][0] + sums[0][3] + (sums[1][0] + sums[1][3]);
#else
    return sum;
#endif
}

static __device__ inline float lab07_dot_columns(const lab07_ring_view *v, lab07_of_tile l,
                                                 const lab07_weights<PK_QUANT_Q8_0> *w, const lab07_x_lane *x)
{
    float sum = 0;
#pragma unroll
    for (int s = 0; s < LAB07_STEPS; s++) {
        unsigned pair[2][2];
        pairs_of_bytes(v, w->of[s][0], pair[0]);
        pairs_of_bytes(v, w->of[s][1], pair[1]);
#if defined(PK_HAS_MMA)
        const unsigned of[4] = {pair[0][0], pair[1][0], pair[0][1], pair[1][1]};
        float sums[4] = {};
        pk_mma(sums, of, x->of[s]);
        const float of_block = sums[0] + sums[3];
#else
        const float of_block = lab07_dot_pairs(pair[1], x->of[s] + 4, lab07_dot_pairs(pair[0], x->of[s], 0));
#endif
        sum = fmaf(lab07_from_fp16(w->d[s]), of_block, sum);
    }
    (void)l;
    return sum;
}

static __device__ inline float lab07_dot_columns(const lab07_ring_view *v, lab07_of_tile l,
                                                 const lab07_weights<PK_QUANT_Q4_K> *w, const lab07_x_lane *x)
{
    const unsigned packed[3] = {w->head.y, w->head.z, w->head.w};
    float value[LAB07_STEPS];
#pragma unroll
    for (int i = 0; i < LAB07_STEPS; i += 2) {
        const unsigned word[2] = {w->of[i / 2].x, w->of[i / 2].y};
#if defined(PK_HAS_MMA)
        float sums[4] = {x->begin[i], 0, 0, x->begin[i + 1]};
#else
        float sums[4] = {l.t == 0 ? x->begin[i] : 0, 0, 0, l.t == 0 ? x->begin[i + 1] : 0};
#endif
#pragma unroll
        for (int j = 0; j < 2; j++) {
            unsigned low[2], high[2];
            lab07_pairs_of_halves(v, word[j], low, high);
#if defined(PK_HAS_MMA)
            const unsigned of[4] = {low[0], high[0], low[1], high[1]};
            pk_mma(sums, of, x->of[i + j]);
#else
            sums[0] = lab07_dot_pairs(low, x->of[i] + 4 * j, sums[0]);
            sums[3] = lab07_dot_pairs(high, x->of[i + 1] + 4 * j, sums[3]);
#endif
        }
        value[i] = sums[0], value[i + 1] = sums[3];
    }
    unsigned scales[2];
#if defined(PK_HAS_MMA)
    const bool mins = l.t == 3;
    scales_of_block(v, packed, mins, scales);
    return sum_of_block(v, scales, mins, lab07_from_fp16(mins ? w->head.x >> 16 : w->head.x & 0xffffu), value, 0);
#else
    scales_of_block(v, packed, false, scales);
    const float sum = sum_of_block(v, scales, false, lab07_from_fp16(w->head.x & 0xffffu), value, 0);
    scales_of_block(v, packed, true, scales);
    return l.t != 3 ? sum : sum_of_block(v, scales, true, lab07_from_fp16(w->head.x >> 16), x->begin, sum);
#endif
}

/* ---- lots ---- */

/* Some rows, eight or a few times eight: of so many chunks; and where the lane's are among them. */
typedef struct lab07_tile_lot {
    int chunks, chunk; /* at most; the lane's, from 0 */
    int row, further;  /* of its first tile there, and from each to the next */
    int tiles;
} lab07_tile_lot;

static __device__ inline lab07_tile_lot lab07_tile_lot_of(const lab07_ring_view *v, const lab07_matrix *m,
                                                          const lab07_team *team, lab07_of_tile l)
{
    const int log = m->lot_log, most = 1 << log;
    const lab07_tile_lot lot = {lab07_least(most, v->stages), l.row & (most - 1),
                                team->number * m->team_rows + (l.row >> log), LAB07_TILE_ROWS >> log, m->lot_tiles};
    return lot;
}

/* How many tiles a lot may have. */
static __host__ __device__ constexpr int lab07_most_tiles(int format)
{
    return format == PK_QUANT_Q4_K ? 2 : 1;
}

/* The lane's weights of the next `chunks`, of piece `piece` of their rows, when they have landed: a lane that has no
 * row there takes one of the first chunk's. All is loaded before any of it is used, and the chunks are given back as
 * soon as it is: each by all lanes, as in lab07_give_back. */
template <int F>
static __device__ inline void lab07_load_tiles(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                               const lab07_matrix *m, const lab07_tile_lot *lot, int chunks, int piece,
                                               int warp, int t, lab07_weights<F> *w)
{
    const int units = lab07_piece_units(m, piece), left = 8 * lab07_piece_eights(m, piece) - LAB07_WARP_COLUMNS * warp;
    const int chunk = lot->chunk < chunks ? lot->chunk : 0;
    const pk_ring_turn turn = lab07_turn_ahead(at->turn, chunk, v->stages);
    lab07_wait_for(v, b, LAB07_WAITS_FOR_CHUNK, &lab07_of_full(v, b)[turn.stage], turn.parity);
    const uint4 *const rows = (const uint4 *)(lab07_of_stages(v, b) + (unsigned)turn.stage * v->stage_pitch);
#pragma unroll
    for (int i = 0; i < lab07_most_tiles(F); i++)
        if (i < lot->tiles)
            lab07_load_columns(rows + (lot->row + i * lot->further) * units, warp, t, left, &w[i]);
    pk_async_fence_shared();
    __syncwarp();
#pragma unroll 1
    for (int i = 0; i < chunks; i++, at->turn = pk_ring_next(at->turn, v->stages))
        pk_async_barrier_arrive(&lab07_of_empty(v, b)[at->turn.stage]);
}

/* The block's rows of a matrix: x read, and products. F: their format. The first lot is loaded before x is waited for,
 * and the next one before a lot's sums are put: so the ring has more room meanwhile; and the next piece of x is asked
 * for before the first one is used. Where several teams read the same x, the first waits for it and hands it on: asked
 * for by all of them, it would come the later. What comes of the sums is another warp's: lab07_finish. */
template <int HAND, int F>
static __device__ inline void lab07_tiles(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                          const lab07_task *task)
{
    enum { TILES = lab07_most_tiles(F) };
    const lab07_matrix *const m = &v->matrix[task->which];
    const int all = lab07_of_part(v, b)[task->which].rows, pieces = m->pieces;
    const lab07_team team = lab07_team_of(m);
    const lab07_of_tile lane = lab07_tile_lane();
    const lab07_tile_lot lot = lab07_tile_lot_of(v, m, &team, lane);
    const int warp = team.thread / PK_LANES;
    const bool has = team.number<team.count, share = m->teams> 1, keep = all > m->group_rows;
    lab07_x_slice *const slices = (lab07_x_slice *)lab07_of_x(v, b) + (share ? warp : lab07_warp());
    int chunks = lab07_group_chunks(m, all);
    float squares = 0;
    lab07_x_lane x;
    lab07_x_asked asked = {};
    lab07_weights<F> next[TILES] = {};
    if (team.number == 0 || !share)
        lab07_ask_x(task, m, &team, 0, &asked);
    if (has)
        lab07_load_tiles<F>(v, b, at, m, &lot, lab07_least(chunks, lot.chunks), 0, warp, lane.t, next);
    for (int first = 0; first < all; first += m->group_rows, at->group++) {
        const int half = (int)(at->group & 1), behind = all - first - m->group_rows;
        const int of_next = behind > 0 ? lab07_group_chunks(m, behind) : 0;
        float *const sums =
            lab07_of_sums(v, b) + half * v->sums + (lot.chunk * m->chunk_rows + lot.row) * (team.warps | 1) + warp;
        const int stride = m->chunk_rows * (team.warps | 1);
        lab07_wait_group(&lab07_of_finished(v, b)[half], at->group, true);
        if (first > 0)
            lab07_put_squares(v, b, at, task, &team, false, 0);
#pragma unroll 1
        for (int piece = 0; piece < pieces; piece++) {
            lab07_x_slice *const slice = slices + (keep ? piece * v->consumers : 0);
            if (first == 0) {
                if (share)
                    lab07_sync(v, b); /* the slices of the matrix before have been read */
                if (team.number == 0 || !share)
                    squares += lab07_hand_x<HAND, F>(v, task, &asked, slice);
                if (share)
                    lab07_sync(v, b);
                if (piece + 1 < pieces)
                    lab07_ask_x(task, m, &team, piece + 1, &asked);
                else
                    lab07_put_squares(v, b, at, task, &team, true, squares);
                if (piece == 0)
                    lab07_stamp(v, b, at->layer, lab07_phase_of(task->which), LAB07_HAS);
            }
            if (!has) {
                lab07_pass_chunks(v, b, m, at, chunks);
                continue;
            }
            if (first == 0 || pieces > 1)
                lab07_get_x<F>(slice, lab07_of_zeros(v, b), lane, &x);
#pragma unroll 1
            for (int chunk = 0; chunk < chunks; chunk += lot.chunks) {
                const bool last = chunk + lot.chunks >= chunks, ends = last && piece + 1 == pieces;
                const int more = lab07_least(ends ? of_next : last ? chunks : chunks - chunk - lot.chunks, lot.chunks);
                const int after = !last ? piece : ends ? 0 : piece + 1; /* the next lot's piece */
                float sum[TILES];
#pragma unroll
                for (int i = 0; i < TILES; i++)
                    sum[i] = lab07_dot_columns(v, lane, &next[i], &x);
                if (more > 0)
                    lab07_load_tiles<F>(v, b, at, m, &lot, more, after, warp, lane.t, next);
#pragma unroll
                for (int i = 0; i < TILES; i++) {
                    float *const to = sums + chunk * stride + i * lot.further * (team.warps | 1);
                    sum[i] += __shfl_xor_sync(PK_ALL_LANES, sum[i], 1);
                    sum[i] += __shfl_xor_sync(PK_ALL_LANES, sum[i], 2);
                    if (i < lot.tiles && lane.t == 0 && lot.chunk < chunks - chunk && lot.chunk < lot.chunks)
                        *to = piece > 0 ? *to + sum[i] : sum[i];
                }
            }
        }
        __syncwarp();
        pk_async_barrier_arrive(&lab07_of_summed(v, b)[half]);
        chunks = of_next;
    }
}

/* FORM: LAB07_NARROW... */
template <int HAND, int FORM>
static __device__ inline void lab07_product(const lab07_ring_view *v, const lab07_block *b, lab07_at *at,
                                            const lab07_task *task)
{
    const lab07_matrix *const m = &v->matrix[task->which];
    if (lab07_of_part(v, b)[task->which].rows == 0)
        return;
    if constexpr (FORM == LAB07_NARROW) {
        if (m->own == 1)
            lab07_product_of<HAND, 1, 4>(v, b, at, task);
        else
            lab07_product_of<HAND, 4, 1>(v, b, at, task);
    } else if constexpr (FORM == LAB07_TILES)
        lab07_tiles<HAND, PK_QUANT_BF16>(v, b, at, task);
    else if (FORM == LAB07_Q4_K || m->format == PK_QUANT_Q4_K)
        lab07_tiles<HAND, PK_QUANT_Q4_K>(v, b, at, task);
    else if constexpr (FORM == LAB07_BLOCKS) {
        if (m->format == PK_QUANT_Q8_0)
            lab07_tiles<HAND, PK_QUANT_Q8_0>(v, b, at, task);
        else
            lab07_tiles<HAND, PK_QUANT_BF16>(v, b, at, task);
    }
}

#endif
