/* Lab 07, given: how a rung that streams is planned and launched. On the host. */
#ifndef LAB07_RING_PLAN_CUH
#define LAB07_RING_PLAN_CUH

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lab07_launches.cuh"
#include "lab07_many.cuh"
#include "lab07_stream.cuh"

typedef void (*lab07_ring_kernel)(lab07_ring_view);

typedef struct lab07_ring_plan { /* a variant's launch, made by its prepare */
    lab07_ring_kernel kernel;
    lab07_ring_view view;
    int blocks, threads;
    unsigned barriers; /* arrivals of a step, over all blocks */
    size_t shared_bytes;
    void *layers, *parts, *out; /* device memory of view.layer, .parts, .out */
    void *stamps;               /* of view.stamps; NULL: none are asked for */
    long long *stamp;           /* host: the same */
    size_t out_bytes;
    lab07_part *part; /* host: [blocks][LAB07_MATRICES] */
} lab07_ring_plan;

/* How a matrix's rows are split: fills in ends[b], the row behind the last of block b, for all blocks. `fair`: bytes
 * that each block would have of all matrices up to and with this one if all had the same; had[b]: what block b has of
 * those before. */
typedef void (*lab07_shares)(const lab07_matrix *matrix, int blocks, double fair, const double *had, int *ends);

/* The instance for the model: of rows as wide and heads as long as its, see lab07_pairs. */
#define LAB07_RING_KERNEL(run, hand)                                                                                   \
    lab07_instance(run, stream_step<hand, 1, LAB07_NARROW>, stream_step<hand, 2, LAB07_NARROW>,                        \
                   stream_step<hand, 1, LAB07_TILES>, stream_step<hand, 2, LAB07_TILES>)
#define LAB07_MANY_KERNEL(run)                                                                                         \
    lab07_instance(run, stream_many<1, LAB07_NARROW>, stream_many<2, LAB07_NARROW>, stream_many<1, LAB07_TILES>,       \
                   stream_many<2, LAB07_TILES>)
/* The same where weights are in blocks. Where they are bf16, it is the kernel above. */
#define LAB07_QUANT_KERNEL(run, hand)                                                                                  \
    (lab07_of(run)->decoder.shape.weights == PK_QUANT_BF16                                                             \
         ? LAB07_RING_KERNEL(run, hand)                                                                                \
         : lab07_instance_of_blocks(run, stream_step<hand, 1, LAB07_Q4_K>, stream_step<hand, 2, LAB07_Q4_K>,           \
                                    stream_step<hand, 1, LAB07_BLOCKS>, stream_step<hand, 2, LAB07_BLOCKS>))
#define LAB07_MANY_QUANT_KERNEL(run)                                                                                   \
    (lab07_of(run)->decoder.shape.weights == PK_QUANT_BF16                                                             \
         ? LAB07_MANY_KERNEL(run)                                                                                      \
         : lab07_instance_of_blocks(run, stream_many<1, LAB07_Q4_K>, stream_many<2, LAB07_Q4_K>,                       \
                                    stream_many<1, LAB07_BLOCKS>, stream_many<2, LAB07_BLOCKS>))

static inline lab07_ring_kernel lab07_instance_of_blocks(const pk_run *run, lab07_ring_kernel q4_k,
                                                         lab07_ring_kernel q4_k_long, lab07_ring_kernel mixed,
                                                         lab07_ring_kernel mixed_long);
static inline lab07_ring_kernel lab07_instance(const pk_run *run, lab07_ring_kernel narrow,
                                               lab07_ring_kernel narrow_long, lab07_ring_kernel tiles,
                                               lab07_ring_kernel tiles_long);

static inline lab07_ring_plan *lab07_ring_plan_of(const pk_run *run)
{
    return (lab07_ring_plan *)pk_run_variant_data(run);
}

static inline void lab07_ring_finish(pk_run *run)
{
    lab07_ring_plan *const plan = lab07_ring_plan_of(run);
    lab07_no_waits(run);
    if (!plan)
        return;
    pk_device_free(plan->layers);
    pk_device_free(plan->parts);
    pk_device_free(plan->out);
    pk_device_free(plan->stamps);
    free(plan->stamp);
    free(plan->part);
    free(plan);
    pk_run_set_variant_data(run, NULL);
}

/* pk_decode_how.record: of a step's kernels, the choice of the token. */
static inline pk_status lab07_choose_told(void *context, const pk_step_kernel *kernel)
{
    if (kernel->kind == PK_STEP_CHOOSE)
        *(choose_args *)context = kernel->args.choose;
    return PK_OK;
}

/* ---- the view ---- */

static inline int lab07_take_place(int *floats, int count)
{
    const int at = *floats;
    *floats += (count + 3) / 4 * 4;
    return at;
}

static inline void lab07_lay_out(lab07_ring_view *v, int blocks)
{
    lab07_places *const at = &v->at;
    at->floats = 0;
    at->qkv = lab07_take_place(&at->floats, (v->heads + 2 * v->kv_heads) * v->head_dim);
    at->partial = lab07_take_place(&at->floats, blocks * v->segments * v->group * v->part_floats);
    at->heads = lab07_take_place(&at->floats, v->heads * v->head_dim);
    at->middle = lab07_take_place(&at->floats, v->hidden);
    at->act = lab07_take_place(&at->floats, v->ffn);
    at->x = lab07_take_place(&at->floats, v->hidden);
    at->again = at->floats - at->heads;
    at->floats += at->again;
}

/* A team's rows of a chunk: no more than `most`, a power of two; and so many teams that `fit` rows are enough for them,
 * and that a warp's lanes are. */
static inline void lab07_share_chunk(lab07_matrix *m, int consumers, int fit, int most)
{
    m->team_part = ((1 << 16) + m->team_warps - 1) / m->team_warps;
    m->teams = consumers / m->team_warps;
    m->teams = m->teams < fit ? m->teams : fit > 1 ? fit : 1;
    for (m->team_rows = most; m->team_rows > 1 && m->team_rows * m->teams > fit;)
        m->team_rows /= 2;
    if (m->team_rows * m->teams > PK_LANES)
        m->teams = PK_LANES / m->team_rows;
    m->chunk_rows = m->teams * m->team_rows;
    m->chunk_part = ((1 << 16) + m->chunk_rows - 1) / m->chunk_rows;
    m->group_rows = PK_LANES / m->chunk_rows * m->chunk_rows;
}

/* By tiles: a row is one warp's steps, or some warps', or, where all have not enough of them or a chunk has no room for
 * it, in pieces. A warp has 256 columns: a block of Q4_K, eight of Q8_0. Lots are of two chunks or more
 * (lab07_tiles.cuh); of rows in Q4_K, which take few registers, a warp has two tiles at once. */
static inline void lab07_cut_tiles(lab07_matrix *m, int consumers, int chunk)
{
    const bool bf16 = m->format == PK_QUANT_BF16;
    const int tiles = m->format == PK_QUANT_Q4_K ? 2 : 1, room = chunk / (int)sizeof(uint4);
    const int whole = bf16 ? 4 : (int)pk_quant_pitch(m->format, LAB07_WARP_COLUMNS) / (int)sizeof(uint4);
    const int columns = bf16 ? 32 : LAB07_WARP_COLUMNS; /* of `whole` units */
    const int fit = room / whole > 0 ? room / whole : 1, of_all = LAB07_WARP_COLUMNS / columns * consumers;
    const int most = of_all < fit ? of_all : fit, parts = (m->columns + columns - 1) / columns;
    m->pieces = (parts + most - 1) / most;
    const int each = (parts + m->pieces - 1) / m->pieces;
    m->pieces = (parts + each - 1) / each;
    m->piece_units = m->pieces > 1 ? each * whole : m->units;
    m->piece_eights = m->pieces > 1 ? each * columns / 8 : m->columns / 8;
    m->team_warps = m->pieces > 1 ? consumers : (m->columns + LAB07_WARP_COLUMNS - 1) / LAB07_WARP_COLUMNS;
    lab07_share_chunk(m, consumers, room / m->piece_units, LAB07_TILE_ROWS / 2 * tiles);
    for (m->lot_log = 0; m->lot_log < 3 && m->team_rows << m->lot_log < LAB07_TILE_ROWS * tiles;)
        m->lot_log++;
    m->lot_tiles = (m->team_rows << m->lot_log) / LAB07_TILE_ROWS;
}

/* Rows of bf16 as a kernel has them that has no tiles: `own` times 8 columns a thread; the more of them, the fewer
 * rows. own is 0 where it is none of that kernel's: then the matrix is to be cut otherwise. */
static inline void lab07_cut_narrow(lab07_matrix *m, int consumers, int chunk)
{
    const int own = (m->units + consumers * PK_LANES - 1) / consumers / PK_LANES;
    m->team_warps = (m->units + own * PK_LANES - 1) / (own * PK_LANES);
    lab07_share_chunk(m, consumers, chunk / m->pitch, own == 1 ? 4 : 1);
    m->pieces = 1;
    m->piece_units = m->units;
    m->piece_eights = m->columns / 8;
    m->own = m->pitch > chunk || own == 2 || own > 4 ? 0 : m->team_rows == 4 ? 1 : own > 2 || m->team_rows == 1 ? 4 : 0;
}

/* The chunks of a matrix, of at most so many bytes: some rows, or pieces of some, or of one. */
static inline lab07_matrix lab07_cut(const lab07 *lab, bool tiles, int rows, int columns, int runs)
{
    lab07_matrix m = {};
    m.rows = rows;
    m.columns = columns;
    m.per_column = 1.0f / (float)columns;
    m.runs = runs;
    m.format = pk_quant_of(lab->decoder.shape.weights, (size_t)columns);
    m.pitch = (int)pk_quant_pitch(m.format, (size_t)columns);
    m.units = m.pitch / (int)sizeof(uint4);
    (tiles ? lab07_cut_tiles : lab07_cut_narrow)(&m, lab->consumers, lab->chunk_bytes);
    return m;
}

static inline void lab07_cut_all(const lab07 *lab, bool tiles, lab07_matrix matrix[LAB07_MATRICES])
{
    const pk_model_config *const c = &lab->decoder.config;
    matrix[LAB07_QKV] = lab07_cut(lab, tiles, (c->heads + 2 * c->kv_heads) * c->head_dim, c->hidden, 1);
    matrix[LAB07_O] = lab07_cut(lab, tiles, c->hidden, c->heads * c->head_dim, 1);
    matrix[LAB07_GATE_UP] = lab07_cut(lab, tiles, c->ffn, c->hidden, 2);
    matrix[LAB07_DOWN] = lab07_cut(lab, tiles, c->hidden, c->ffn, 1);
    matrix[LAB07_LOGITS] = lab07_cut(lab, tiles, c->vocab, c->hidden, 1);
}

/* Rows are all as a kernel without tiles has them. */
static inline bool lab07_is_narrow(const lab07 *lab)
{
    lab07_matrix matrix[LAB07_MATRICES];
    if (lab->decoder.shape.weights != PK_QUANT_BF16)
        return false;
    lab07_cut_all(lab, false, matrix);
    for (int i = 0; i < LAB07_MATRICES; i++)
        if (matrix[i].own == 0)
            return false;
    return true;
}

static inline bool lab07_has_long_heads(const lab07 *lab)
{
    return lab->decoder.config.head_dim > 64;
}

static inline lab07_ring_kernel lab07_instance(const pk_run *run, lab07_ring_kernel narrow,
                                               lab07_ring_kernel narrow_long, lab07_ring_kernel tiles,
                                               lab07_ring_kernel tiles_long)
{
    const lab07 *const lab = lab07_of(run);
    if (lab07_is_narrow(lab))
        return lab07_has_long_heads(lab) ? narrow_long : narrow;
    return lab07_has_long_heads(lab) ? tiles_long : tiles;
}

static inline lab07_ring_kernel lab07_instance_of_blocks(const pk_run *run, lab07_ring_kernel q4_k,
                                                         lab07_ring_kernel q4_k_long, lab07_ring_kernel mixed,
                                                         lab07_ring_kernel mixed_long)
{
    const lab07 *const lab = lab07_of(run);
    lab07_matrix matrix[LAB07_MATRICES];
    lab07_cut_all(lab, true, matrix);
    for (int i = 0; i < LAB07_MATRICES; i++)
        if (matrix[i].format != PK_QUANT_Q4_K)
            return lab07_has_long_heads(lab) ? mixed_long : mixed;
    return lab07_has_long_heads(lab) ? q4_k_long : q4_k;
}

static inline void lab07_shape_view(const lab07 *lab, bool tiles, lab07_ring_view *v)
{
    const pk_decoder *const d = &lab->decoder;
    const pk_model_config *const c = &d->config;
    v->layers = c->layers, v->hidden = c->hidden, v->ffn = c->ffn, v->vocab = c->vocab;
    v->heads = c->heads, v->kv_heads = c->kv_heads, v->head_dim = c->head_dim;
    v->capacity = d->shape.capacity;
    v->group = c->heads / c->kv_heads;
    v->head_part = ((1u << 20) + (unsigned)c->head_dim - 1) / (unsigned)c->head_dim;
    v->query_pitch = lab07_query_pitch(c->head_dim);
    v->query_units = lab07_query_units(v);
    v->scale = 1.4426950408889634f / sqrtf((float)c->head_dim);
    v->activation = c->activation;
    v->eps = (float)c->rms_eps;
    v->embedding = d->embedding, v->final_norm = d->final_norm, v->logits_weight = d->logits_weight;
    v->rope = d->rope;
    v->state = d->state;
    v->logits = d->logits;
    v->logit_rows = d->shape.logit_rows;
    v->part_floats = (lab07_part_length(c->head_dim) + 3) / 4 * 4;
    v->arrivals = lab->arrivals;
    lab07_cut_all(lab, tiles, v->matrix);
    for (int i = 0; i < LAB07_MATRICES; i++) {
        const lab07_matrix *const m = &v->matrix[i];
        const unsigned bytes = (unsigned)(m->chunk_rows * m->piece_units) * (unsigned)sizeof(uint4);
        const int sums = m->group_rows * m->runs * (m->team_warps | 1);
        v->stage_bytes = bytes > v->stage_bytes ? bytes : v->stage_bytes;
        v->sums = sums > v->sums ? sums : v->sums;
        if (m->teams > 1 && !tiles && m->columns * sizeof(float) > v->x_bytes)
            v->x_bytes = (unsigned)(m->columns * sizeof(float));
    }
    const unsigned of_key = 2 * (unsigned)c->head_dim * (unsigned)sizeof(uint16_t);
    v->stage_bytes = v->stage_bytes > of_key ? (v->stage_bytes + 127) / 128 * 128 : of_key;
    v->chunk_keys = (int)(v->stage_bytes / of_key);
    const bool apart = lab->decoder.shape.weights != PK_QUANT_BF16 && v->stage_bytes % 128 == 0;
    v->stage_pitch = v->stage_bytes + (apart ? 64 : 0); /* lab07_tiles.cuh */
}

/* ---- whose rows ---- */

static inline double lab07_row_bytes(const lab07_matrix *m)
{
    return (double)m->runs * m->pitch;
}

/* Each block the same number of rows, but for one. */
static inline void lab07_even_shares(const lab07_matrix *m, int blocks, double fair, const double *had, int *ends)
{
    (void)fair, (void)had;
    for (int b = 0; b < blocks; b++)
        ends[b] = (int)((long long)m->rows * (b + 1) / blocks);
}

/* Of every block and matrix. Rows of o and down are split evenly, as both are those of the residual stream that a block
 * keeps; they come first, so that the others make up for what is uneven in them. */
static inline pk_status lab07_split(lab07_ring_plan *plan, lab07_shares shares)
{
    static const int order[LAB07_MATRICES] = {LAB07_O, LAB07_DOWN, LAB07_QKV, LAB07_GATE_UP, LAB07_LOGITS};
    const int blocks = plan->blocks;
    double *const had = (double *)calloc((size_t)blocks, sizeof *had), all = 0;
    int *const ends = (int *)calloc((size_t)blocks, sizeof *ends);
    pk_status status = had && ends ? PK_OK : pk_out_of_memory("lab07");
    for (int i = 0; i < LAB07_MATRICES && status == PK_OK; i++) {
        const lab07_matrix *const m = &plan->view.matrix[order[i]];
        const bool residual = order[i] == LAB07_O || order[i] == LAB07_DOWN;
        if (order[i] == LAB07_LOGITS) { /* once a step, and not once a layer: by themselves */
            all = 0;
            for (int b = 0; b < blocks; b++)
                had[b] = 0;
        }
        all += lab07_row_bytes(m) * m->rows;
        (residual ? lab07_even_shares : shares)(m, blocks, all / blocks, had, ends);
        for (int b = 0, first = 0; b < blocks && status == PK_OK; first = ends[b++]) {
            if (ends[b] < first || ends[b] > m->rows || (b == blocks - 1 && ends[b] != m->rows))
                status =
                    pk_fail(PK_WRONG,
                            "lab07: block %d of %d has rows %d to %d of a matrix of %d rows: shares must follow each "
                            "other and end with the last row",
                            b, blocks, first, ends[b], m->rows);
            const lab07_part part = {first, ends[b] - first};
            plan->part[(size_t)b * LAB07_MATRICES + (size_t)order[i]] = part;
            had[b] += lab07_row_bytes(m) * part.rows;
        }
    }
    free(had);
    free(ends);
    return status;
}

/* ---- the launch ---- */

static inline pk_status lab07_ring_grid(pk_run *run, lab07_ring_plan *plan)
{
    const pk_device_info *const device = pk_run_device(run);
    const int wanted = lab07_of(run)->blocks ? lab07_of(run)->blocks : device->processors;
    int fit = 0;
    if (plan->shared_bytes > device->shared_bytes_per_block)
        return pk_fail(
            PK_SKIP,
            "a ring of %d chunks of %u bytes, and what lies beside it, do not fit into the %zu bytes of shared "
            "memory that a block has here: use a smaller --ring or --chunk",
            plan->view.stages, plan->view.stage_bytes, device->shared_bytes_per_block);
    PK_CHECK(cudaFuncSetAttribute((const void *)plan->kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  (int)plan->shared_bytes));
    PK_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, (const void *)plan->kernel, plan->threads,
                                                           plan->shared_bytes));
    if (wanted > fit * device->processors)
        return pk_fail(PK_USAGE,
                       "lab07: a grid of %d blocks cannot be resident, and its blocks would wait for ever: %d "
                       "processors hold %d blocks of this kernel each: use --blocks=%d or fewer",
                       wanted, device->processors, fit, fit * device->processors);
    return PK_OK;
}

static inline pk_status lab07_upload(void **device, const void *host, size_t bytes, void *stream)
{
    PK_TRY(pk_device_alloc(device, bytes));
    PK_TRY(pk_device_upload(*device, host, bytes, stream));
    return pk_device_stream_synchronize(stream);
}

/* What rows, ring and model ask of a block, or PK_SKIP where it has not got it. */
static inline pk_status lab07_ring_fits(const lab07_ring_view *v)
{
    if (v->stages < 2)
        return pk_fail(PK_USAGE,
                       "lab07: a ring of %d chunks of %u bytes is no ring: use a larger --ring or a smaller "
                       "--chunk",
                       v->stages, v->stage_bytes);
    if (v->group > LAB07_MOST_GROUP)
        return pk_fail(PK_SKIP, "%d query heads share keys, and the kernel has rows for %d", v->group,
                       (int)LAB07_MOST_GROUP);
    if (v->head_dim > LAB07_MOST_HEAD_DIM)
        return pk_fail(PK_SKIP, "heads have %d components, and a warp of the kernel has room for %d", v->head_dim,
                       (int)LAB07_MOST_HEAD_DIM);
    return PK_OK;
}

/* For --print-plan: a line a block, its rows of each matrix and its keys of a step's heads, those of the repetition's
 * first step. */
static inline void lab07_print_plan(const pk_run *run, const lab07_ring_plan *plan)
{
    const lab07_ring_view *const v = &plan->view;
    const int position = lab07_of(run)->position;
    const lab07_spread spread = lab07_spread_of(v->kv_heads, position + 1, plan->blocks, v->share_keys);
    pk_run_plan(run, "%s: %d blocks of %d + %d warps, rings of %d x %u bytes, %d under way, %d ahead%s",
                pk_run_variant(run)->name, plan->blocks, LAB07_COPIERS + 1, v->consumers, v->stages, v->stage_bytes,
                v->limit, v->ahead, v->zeros ? ", rows by tiles" : "");
    if (lab07_of(run)->decoder.shape.weights != PK_QUANT_BF16)
        pk_run_plan(run, "Weights: qkv, gate and up, logits %s, o %s, down %s",
                    pk_quant_name(v->matrix[LAB07_QKV].format), pk_quant_name(v->matrix[LAB07_O].format),
                    pk_quant_name(v->matrix[LAB07_DOWN].format));
    pk_run_plan(run, "First row of each matrix, and how many, in every layer; keys at position %d", position);
    pk_run_plan(run, "%5s %12s %12s %12s %13s  %s", "block", "qkv", "o, down", "gate, up", "logits", "head: keys");
    for (int b = 0; b < plan->blocks; b++) {
        static const int shown[] = {LAB07_QKV, LAB07_O, LAB07_GATE_UP, LAB07_LOGITS};
        char cell[PK_COUNT(shown)][24], keys[96] = "";
        lab07_segment s;
        for (size_t i = 0; i < PK_COUNT(shown); i++) {
            const lab07_part part = plan->part[(size_t)b * LAB07_MATRICES + (size_t)shown[i]];
            (void)snprintf(cell[i], sizeof cell[i], "%d +%d", part.first, part.rows);
        }
        size_t used = 0;
        for (int i = 0; used < sizeof keys && lab07_segment_of(&spread, b, i, &s); i++)
            used += (size_t)snprintf(keys + used, sizeof keys - used, "%s%d: %d-%d", i ? ", " : "", s.head, s.first,
                                     s.end - 1);
        pk_run_plan(run, "%5d %12s %12s %12s %13s  %s", b, cell[0], cell[1], cell[2], cell[3], keys);
    }
}

/* ---- stamps ---- */

static inline size_t lab07_stamp_count(const lab07_ring_plan *plan)
{
    return (size_t)plan->blocks * (size_t)lab07_stamps_of(plan->view.layers);
}

static inline pk_status lab07_stamps_prepare(pk_run *run, lab07_ring_plan *plan)
{
    const size_t bytes = lab07_stamp_count(plan) * sizeof(long long);
    if (!lab07_of(run)->stamps)
        return PK_OK;
    plan->stamp = (long long *)malloc(bytes);
    if (!plan->stamp)
        return pk_out_of_memory("lab07");
    PK_TRY(pk_device_alloc(&plan->stamps, bytes));
    plan->view.stamps = (long long *)plan->stamps;
    plan->view.stamped = lab07_of(run)->tokens - 1;
    return PK_OK;
}

typedef struct lab07_phase_time { /* us of a token, over its layers */
    double mean, waits;           /* of all blocks */
    double slowest;               /* of the block that works longest in each layer, without what it waits */
} lab07_phase_time;

/* One phase of one layer, all blocks. us: a tick of each block's clock. */
static inline void lab07_add_phase(const lab07_ring_plan *plan, int phase, const double *us, lab07_phase_time *sum)
{
    double longest = 0;
    for (int b = 0; b < plan->blocks; b++) {
        const long long *const at =
            plan->stamp + (size_t)b * (size_t)lab07_stamps_of(plan->view.layers) + (size_t)phase * LAB07_STAMPS;
        const double all = us[b] * (double)(at[LAB07_ENDS] - at[LAB07_BEGINS]);
        const double works = us[b] * (double)(at[LAB07_DONE] - at[LAB07_HAS]);
        sum->mean += all / plan->blocks;
        sum->waits += (all - works) / plan->blocks;
        longest = works > longest ? works : longest;
    }
    sum->slowest += longest;
}

/* Each block's stamps, one behind the other, are of times that do not go back; none is missing. */
static inline pk_status lab07_check_stamps(const lab07_ring_plan *plan)
{
    static const char *const events[] = {"beginning", "input", "work's end", "end"};
    const int each = lab07_stamps_of(plan->view.layers), count = lab07_phases_of(plan->view.layers) * LAB07_STAMPS;
    for (int b = 0; b < plan->blocks; b++) {
        const long long *const at = plan->stamp + (size_t)b * (size_t)each;
        for (int i = 0; i < count; i++)
            if (at[i] == 0 || (i > 0 && at[i] < at[i - 1]))
                return pk_fail(PK_WRONG,
                               "lab07: block %d, layer %d, phase %d: no stamp of its %s, or one that is before the one "
                               "ahead of it",
                               b, i / LAB07_STAMPS / LAB07_PHASES, i / LAB07_STAMPS % LAB07_PHASES,
                               events[i % LAB07_STAMPS]);
    }
    return PK_OK;
}

/* A tick of each block's clock, from the one that all share; where there is none, by the device's highest rate. */
static inline pk_status lab07_ticks(const lab07_ring_plan *plan, double *us)
{
    const int phases = lab07_phases_of(plan->view.layers);
    int device = 0, khz = 0;
    PK_CHECK(cudaGetDevice(&device));
    PK_CHECK(cudaDeviceGetAttribute(&khz, cudaDevAttrClockRate, device));
    for (int b = 0; b < plan->blocks; b++) {
        const long long *const at = plan->stamp + (size_t)b * (size_t)lab07_stamps_of(plan->view.layers);
        const long long *const ns = at + (size_t)phases * LAB07_STAMPS;
        const double ticks = (double)(ns[-LAB07_STAMPS + LAB07_ENDS] - at[LAB07_BEGINS]);
        us[b] = ns[1] > ns[0] && ticks > 0 ? (double)(ns[1] - ns[0]) / 1e3 / ticks : 1e3 / (khz > 0 ? khz : 1);
    }
    return PK_OK;
}

enum { LAB07_PHASE_NAMES = (int)LAB07_PHASES + (int)LAB07_LAST_PHASES };

/* Phase `phase` of a step's among the names: of a layer, or behind all of them. */
static inline int lab07_named(const lab07_ring_plan *plan, int phase)
{
    const int behind = phase - plan->view.layers * LAB07_PHASES;
    return behind < 0 ? phase % LAB07_PHASES : LAB07_PHASES + behind;
}

static inline const char *lab07_phase_name(int named)
{
    static const char *const names[LAB07_PHASE_NAMES] = {"qkv",     "attend", "merge",  "o",
                                                         "gate-up", "down",   "logits", "choose"};
    return names[named];
}

/* For --trace: a block's phases of the stamped step, and what it waits in them. us: a tick of its clock. */
static inline void lab07_trace_block(pk_run *run, const lab07_ring_plan *plan, int block, double us)
{
    const int phases = lab07_phases_of(plan->view.layers);
    const long long *const at = plan->stamp + (size_t)block * (size_t)lab07_stamps_of(plan->view.layers);
    const long long begin_ns = at[(size_t)phases * LAB07_STAMPS];
    for (int phase = 0; phase < phases; phase++) {
        const long long *const stamp = at + (size_t)phase * LAB07_STAMPS;
        char name[64], waits[72];
        uint64_t ns[LAB07_STAMPS];
        for (int i = 0; i < LAB07_STAMPS; i++)
            ns[i] = (uint64_t)begin_ns + (uint64_t)(1e3 * us * (double)(stamp[i] - at[0]) + 0.5);
        if (phase < plan->view.layers * LAB07_PHASES)
            (void)snprintf(name, sizeof name, "%s, layer %d", lab07_phase_name(lab07_named(plan, phase)),
                           phase / LAB07_PHASES);
        else
            (void)snprintf(name, sizeof name, "%s", lab07_phase_name(lab07_named(plan, phase)));
        (void)snprintf(waits, sizeof waits, "waits: %s", name);
        if (ns[LAB07_HAS] > ns[LAB07_BEGINS])
            pk_run_block_span(run, (unsigned)block, waits, ns[LAB07_BEGINS], ns[LAB07_HAS]);
        pk_run_block_span(run, (unsigned)block, name, ns[LAB07_HAS], ns[LAB07_DONE]);
        if (ns[LAB07_ENDS] > ns[LAB07_DONE])
            pk_run_block_span(run, (unsigned)block, waits, ns[LAB07_DONE], ns[LAB07_ENDS]);
    }
}

/* Behind a repetition: of each phase, by name, what blocks took on average, of it what they waited, and the slowest
 * block's work; of the stamped step. */
static inline pk_status lab07_tell_stamps(pk_run *run)
{
    lab07_ring_plan *const plan = lab07_ring_plan_of(run);
    lab07_phase_time sums[LAB07_PHASE_NAMES] = {};
    if (!plan->stamp)
        return PK_OK;
    double *const us = (double *)malloc((size_t)plan->blocks * sizeof *us);
    if (!us)
        return pk_out_of_memory("lab07");
    pk_status status =
        pk_device_download(plan->stamp, plan->stamps, lab07_stamp_count(plan) * sizeof(long long), pk_run_stream(run));
    if (status == PK_OK)
        status = pk_device_stream_synchronize(pk_run_stream(run));
    if (status == PK_OK)
        status = lab07_check_stamps(plan);
    if (status == PK_OK)
        status = lab07_ticks(plan, us);
    for (int phase = 0; phase < lab07_phases_of(plan->view.layers) && status == PK_OK; phase++)
        lab07_add_phase(plan, phase, us, &sums[lab07_named(plan, phase)]);
    for (int b = 0; b < plan->blocks && status == PK_OK && pk_run_is_traced(run); b++)
        lab07_trace_block(run, plan, b, us[b]);
    free(us);
    for (int i = 0; i < LAB07_PHASE_NAMES && status == PK_OK; i++) {
        char name[PK_PHASE_NAME];
        pk_run_span(run, lab07_phase_name(i), sums[i].mean);
        (void)snprintf(name, sizeof name, "%s-waits", lab07_phase_name(i));
        pk_run_span(run, name, sums[i].waits);
        (void)snprintf(name, sizeof name, "%s-slowest", lab07_phase_name(i));
        pk_run_span(run, name, sums[i].slowest);
    }
    return status;
}

/* ---- waits that last ---- */

/* Where a step is, in words and as a number. */
static inline long long lab07_say_place(const lab07_ring_plan *plan, unsigned step, int layer, int phase, char *text,
                                        size_t bytes)
{
    static const char *const names[] = {"qkv", "attend", "merge", "o", "gate, up", "down"};
    const int phases = lab07_phases_of(plan->view.layers);
    if (layer >= plan->view.layers)
        (void)snprintf(text, bytes, "step %u, %s", step, phase == LAB07_PHASE_LOGITS ? "logits" : "choose");
    else
        (void)snprintf(text, bytes, "step %u, layer %d, %s", step, layer, names[phase % LAB07_PHASES]);
    return (long long)step * phases + layer * LAB07_PHASES + phase;
}

/* The block that has the row of this matrix; -1: none has. */
static inline int lab07_row_owner(const lab07_ring_plan *plan, int which, int row)
{
    for (int b = 0; b < plan->blocks; b++) {
        const lab07_part part = plan->part[(size_t)b * LAB07_MATRICES + (size_t)which];
        if (row >= part.first && row < part.first + part.rows)
            return b;
    }
    return -1;
}

/* An output that does not come: which, who is to write it, and what needs it. */
static inline long long lab07_say_output(const lab07_ring_plan *plan, unsigned step, unsigned offset, char *text,
                                         size_t bytes)
{
    const lab07_ring_view *const v = &plan->view;
    const lab07_places *const at = &v->at;
    int layer = (int)(offset / (unsigned)at->floats) % v->layers;
    const int written = layer, of_layer = (int)(offset % (unsigned)at->floats);
    const int place = of_layer < at->heads + at->again ? of_layer : of_layer - at->again;
    const struct {
        const char *name;
        int from, phase, matrix;
    } outputs[] = {{"x", at->x, LAB07_PHASE_QKV, LAB07_DOWN},
                   {"act", at->act, LAB07_PHASE_DOWN, LAB07_GATE_UP},
                   {"middle", at->middle, LAB07_PHASE_GATE_UP, LAB07_O},
                   {"heads", at->heads, LAB07_PHASE_O, -1},
                   {"partial", at->partial, LAB07_PHASE_MERGE, -1},
                   {"qkv", at->qkv, LAB07_PHASE_ATTEND, LAB07_QKV}};
    size_t i = 0;
    while (i + 1 < PK_COUNT(outputs) && place < outputs[i].from)
        i++;
    const int row = place - outputs[i].from;
    const int owner = outputs[i].matrix >= 0           ? lab07_row_owner(plan, outputs[i].matrix, row)
                      : outputs[i].from == at->partial ? row / (v->segments * v->group * v->part_floats)
                                                       : -1;
    const bool four = i != 4 && i != 5; /* read together: wait_for_four */
    char where[64], of[32] = "", which[48];
    if (i == 0)
        layer++; /* what needs x is the next layer, or the logits */
    const long long order = lab07_say_place(plan, step, layer, outputs[i].phase, where, sizeof where);
    if (owner >= 0)
        (void)snprintf(of, sizeof of, ", block %d's", owner);
    if (four)
        (void)snprintf(which, sizeof which, "one of %s[%d] to [%d]", outputs[i].name, row, row + 3);
    else
        (void)snprintf(which, sizeof which, "%s[%d]", outputs[i].name, row);
    (void)snprintf(text, bytes, "%s: waits for %s of layer %d%s", where, which, written, of);
    return order;
}

enum { LAB07_KINDS = 5 }; /* of waits at one place: told in the order in which they may be the cause of the others */

static inline long long lab07_ring_say_wait(const pk_run *run, unsigned long long word, char *text, size_t bytes)
{
    const lab07_ring_plan *const plan = lab07_ring_plan_of(run);
    const int what = (int)(word >> 60), layers = plan->view.layers;
    const unsigned high = (unsigned)(word >> 32) & 0xfffffffu, low = (unsigned)word;
    const unsigned a_step = plan->barriers < (unsigned)plan->blocks ? 1 : plan->barriers / (unsigned)plan->blocks;
    char where[64];
    long long order;
    if (what == LAB07_WAITS_FOR_OUTPUT)
        return lab07_say_output(plan, high, low, text, bytes) * LAB07_KINDS;
    if (what == LAB07_WAITS_FOR_BLOCKS) {
        const unsigned number = low / (unsigned)plan->blocks - 1, of_step = number % a_step;
        const bool last = of_step + 1 == a_step;
        order = lab07_say_place(plan, number / a_step, last ? layers : (int)of_step / LAB07_PHASES,
                                last ? LAB07_PHASE_CHOOSE : (int)of_step % LAB07_PHASES, where, sizeof where);
        (void)snprintf(text, bytes, "%s: waits at the barrier for %u arrival%s more", where, high,
                       high == 1 ? "" : "s");
        return order * LAB07_KINDS + 1;
    }
    if (what == LAB07_WAITS_FOR_CANDIDATE || what == LAB07_WAITS_FOR_TOKEN) {
        order = lab07_say_place(plan, high, layers, LAB07_PHASE_CHOOSE, where, sizeof where);
        if (what == LAB07_WAITS_FOR_TOKEN)
            (void)snprintf(text, bytes, "%s: waits for the token, block 0's", where);
        else
            (void)snprintf(text, bytes, "%s: waits for block %u's candidates", where, low);
        return order * LAB07_KINDS + (what == LAB07_WAITS_FOR_TOKEN);
    }
    order = lab07_say_place(plan, high, (int)low / LAB07_PLACES, (int)low % LAB07_PLACES, where, sizeof where);
    (void)snprintf(text, bytes, "%s: %s", where,
                   what == LAB07_WAITS_FOR_CHUNK ? "waits for a chunk to land"
                   : what == LAB07_WAITS_FOR_ROOM
                       ? "the warp that copies waits for room in the ring"
                       : "the warp that copies waits for a copy under way, as the limit says");
    return order * LAB07_KINDS + (what == LAB07_WAITS_FOR_LIMIT ? 2 : what == LAB07_WAITS_FOR_CHUNK ? 3 : 4);
}

/* ---- tokens as they come ---- */

enum {
    LAB07_LOOKS = 1 << 12,     /* of the host at a word, before it asks whether the kernel has ended */
    LAB07_REST_NS = 100 * 1000 /* then, on the CPU device, whose kernels run on the cores that the host would look on */
};

static inline void lab07_rest(const pk_run *run)
{
    const struct timespec nap = {0, LAB07_REST_NS};
    if (!pk_run_device(run)->is_gpu)
        (void)nanosleep(&nap, NULL);
}

/* The word of step `step`, when it is there; LAB07_NO_POST: the kernel has ended without it. Relaxed: it is all that is
 * handed over. */
static inline pk_status lab07_hear_step(pk_run *run, int step, unsigned long long *word)
{
    const lab07 *const lab = lab07_of(run);
    const unsigned long long *const from = lab->posts + step;
    for (bool ended = false;;) {
        for (int look = 0; look < LAB07_LOOKS; look++) {
            *word = __atomic_load_n(from, __ATOMIC_RELAXED);
            if (*word != LAB07_NO_POST)
                return PK_OK;
        }
        if (ended)
            return PK_OK;
        lab07_rest(run);
        if (lab->waiter)
            lab->waiter(lab->listens);
        const cudaError_t error = cudaStreamQuery(lab07_stream(run));
        if (error != cudaSuccess && error != cudaErrorNotReady)
            PK_CHECK(error);
        ended = error == cudaSuccess; /* and one look more */
    }
}

/* A token was heard: of how many the time is taken. us: when the first tenth and the last began and ended; the first
 * token, which has the launch before it, is in none. */
static inline void lab07_note_pace(lab07 *lab, double us[4])
{
    const int tenth = (lab->tokens - lab->begins) / 10, first = lab->begins + 1;
    const int at[] = {first, first + tenth, lab->tokens - tenth, lab->tokens};
    for (int i = 0; i < 4 && tenth > 0; i++)
        if (lab->heard_count == at[i])
            us[i] = pk_clock_us();
    for (int i = 0; i < 2 && tenth > 0 && lab->heard_count == lab->tokens; i++)
        lab->tenth_us[i] = (us[2 * i + 1] - us[2 * i]) / tenth;
}

/* Reads the tokens as the kernel posts them, to the last one, and stops it where the run says so. A kernel that posts
 * gets on, however long it runs: the watchdog waits for the next token, and not for the last one. */
static inline pk_status lab07_hear(pk_run *run)
{
    lab07 *const lab = (lab07 *)pk_run_lab_data(run);
    bool last = false;
    double us[4] = {0, 0, 0, 0};
    for (lab->heard_count = lab->begins; lab->heard_count < lab->tokens && !last;) {
        unsigned long long word;
        PK_TRY(lab07_hear_step(run, lab->heard_count, &word));
        if (word == LAB07_NO_POST)
            return PK_OK;
        const int token = lab->heard[lab->heard_count++] = (int)(word & 0x7fffffffu);
        last = (word & 1u << 31) != 0;
        pk_run_progress(run);
        lab07_note_pace(lab, us);
        if ((lab->listener && !lab->listener(lab->listens, token)) || lab->heard_count == lab->stop_after)
            __atomic_store_n(lab->stop, 1u, __ATOMIC_RELAXED);
    }
    return PK_OK;
}

/* Pieces of x that a block keeps: those of which it has more rows than outputs are made of together. */
static inline int lab07_kept_pieces(const lab07_ring_plan *plan)
{
    int most = 1;
    for (int i = 0; i < plan->blocks * LAB07_MATRICES; i++) {
        const lab07_matrix *const m = &plan->view.matrix[i % LAB07_MATRICES];
        if (plan->part[i].rows > m->group_rows && m->pieces > most)
            most = m->pieces;
    }
    return most;
}

/* As many chunks as are asked for, or, of 0 bytes, as fit into a block beside all else; and how many are under
 * way: half as many where the consumers are not yet at them. */
static inline void lab07_size_ring(const lab07 *lab, bool tiles, lab07_ring_view *v, size_t shared)
{
    enum { OF_COMPILER = 1024 }; /* bytes that a block has beside those that it is launched with, rounded up */
    v->stages = (int)((unsigned)lab->ring_bytes / v->stage_bytes);
    if (lab->ring_bytes == 0) {
        do {
            v->stages++;
            lab07_lay_block(v);
        } while (v->lie.bytes + OF_COMPILER <= shared);
        v->stages--;
    }
    const int in_flight = lab->in_flight_bytes ? lab->in_flight_bytes : 64 * 1024;
    v->limit = (int)((unsigned)in_flight / v->stage_bytes);
    v->limit = v->limit < v->stages ? v->limit : v->stages;
    v->limit = v->limit > 1 ? v->limit : 1;
    v->ahead = (v->limit + 1) / 2;
    v->copiers = !tiles ? 1 : lab07_least(LAB07_COPIERS, v->stages); /* else one could be two turns ahead */
}

/* The whole plan of a rung that reads any weights. share_keys: see lab07_spread_of. */
static inline pk_status lab07_quant_prepare(pk_run *run, lab07_ring_kernel kernel, unsigned barriers, int share_keys,
                                            lab07_shares shares)
{
    const lab07 *const lab = lab07_of(run);
    const pk_decoder *const d = &lab->decoder;
    const bool tiles = !lab07_is_narrow(lab);
    void *const stream = pk_run_stream(run);
    lab07_ring_plan *const plan = (lab07_ring_plan *)calloc(1, sizeof *plan);
    if (!plan)
        return pk_out_of_memory("lab07");
    pk_run_set_variant_data(run, plan);
    lab07_ring_view *const v = &plan->view;
    plan->kernel = kernel;
    plan->threads = (LAB07_COPIERS + lab->consumers + 1) * PK_LANES;
    plan->blocks = lab->blocks ? lab->blocks : pk_run_device(run)->processors;
    plan->barriers = barriers * (unsigned)plan->blocks;
    v->consumers = lab->consumers;
    lab07_shape_view(lab, tiles, v);
    v->share_keys = share_keys;
    v->segments = lab07_most_segments(v->kv_heads, plan->blocks);
    const int parts = (plan->blocks + v->kv_heads - 1) / v->kv_heads + 1;
    v->merge_parts = lab->consumers * v->group > parts ? lab->consumers * v->group : parts;
    v->most_rows = (v->hidden + plan->blocks - 1) / plan->blocks;
    lab07_lay_out(v, plan->blocks);
    const size_t part_bytes = (size_t)plan->blocks * LAB07_MATRICES * sizeof(lab07_part);
    plan->part = (lab07_part *)malloc(part_bytes);
    if (!plan->part)
        return pk_out_of_memory("lab07");
    PK_TRY(lab07_split(plan, shares));
    for (int i = 0; i < plan->blocks && d->layer[0].qkv_bias; i++) {
        const int rows = plan->part[(size_t)i * LAB07_MATRICES + LAB07_QKV].rows;
        v->most_bias = v->most_bias < rows ? (rows + 1) / 2 * 2 : v->most_bias;
    }
    if (tiles) {
        v->zeros = LAB07_ZEROS;
        v->x_bytes = (unsigned)(lab07_kept_pieces(plan) * v->consumers) * (unsigned)sizeof(lab07_x_slice);
    }
    lab07_size_ring(lab, tiles, v, pk_run_device(run)->shared_bytes_per_block);
    PK_TRY(lab07_ring_fits(v));
    lab07_lay_block(v);
    plan->shared_bytes = v->lie.bytes;
    PK_TRY(lab07_ring_grid(run, plan));
    pk_decode_how how = lab->how;
    how.record = lab07_choose_told;
    how.context = &v->choose;
    PK_TRY(pk_decode_step(d, lab07_at_device(lab), &how, stream));
    const size_t floats = (size_t)LAB07_SETS * (size_t)v->layers * (size_t)v->at.floats;
    const size_t candidates = (size_t)LAB07_SETS * (size_t)plan->blocks * (size_t)v->choose.top_k;
    plan->out_bytes = floats * sizeof(float) + (candidates + 1) * sizeof(unsigned long long);
    PK_TRY(lab07_upload(&plan->parts, plan->part, part_bytes, stream));
    PK_TRY(lab07_upload(&plan->layers, d->layer, (size_t)v->layers * sizeof *d->layer, stream));
    PK_TRY(pk_device_alloc(&plan->out, plan->out_bytes));
    v->parts = (const lab07_part *)plan->parts;
    v->layer = (const pk_device_layer *)plan->layers;
    v->out = (float *)plan->out;
    v->candidates = (unsigned long long *)(v->out + floats);
    v->next = v->candidates + candidates;
    v->posts = (unsigned long long *)lab->posts_device;
    v->stop = (const unsigned *)(v->posts + lab->tokens);
    PK_TRY(lab07_stamps_prepare(run, plan));
    lab07_may_wait(run, plan->blocks, lab07_ring_say_wait);
    lab07_print_plan(run, plan);
    return PK_OK;
}

/* The same for one whose kernel reads bf16. */
static inline pk_status lab07_ring_prepare(pk_run *run, lab07_ring_kernel kernel, unsigned barriers, int share_keys,
                                           lab07_shares shares)
{
    PK_TRY(lab07_reads_bf16(run));
    return lab07_quant_prepare(run, kernel, barriers, share_keys, shares);
}

/* Both sets poisoned, of candidates too, no token, and no stamps: before the first step of a repetition. */
static inline pk_status lab07_ring_poison(pk_run *run)
{
    const lab07_ring_plan *const plan = lab07_ring_plan_of(run);
    if (plan->stamps)
        PK_TRY(pk_device_fill(plan->stamps, 0, lab07_stamp_count(plan) * sizeof(long long), pk_run_stream(run)));
    return pk_device_fill(plan->out, 0xff, plan->out_bytes, pk_run_stream(run));
}

#endif
