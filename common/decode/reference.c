/* The forward pass in double, for a whole sequence at once, layer by layer.
 *
 * Activations lie in panels: tiles of PK_BLOCK_LANES positions, a tile [width][PK_BLOCK_LANES], so that every product
 * (projections, scores, weighted values) is a row of pk_reference_block's blocks. Lanes past the sequence's end hold
 * what a token 0 would give there; causal attention keeps them from all others. Where keys and values of the first
 * positions are given, panels begin with the tile of the first position behind them, and so do those of keys and
 * values; the lanes before that hold what a token 0 would give, and nobody looks at them. What is given is read where
 * it lies, lane by lane: a few tokens behind 2^17 keys have few lanes.
 *
 * In a perturbed pass each rounded result is changed as reference_noise.h says. How much, in units of 2^-24:
 *   1 for an operation in float; 2 where two follow each other; 4 for an exponential or a tanh of the hardware (CUDA
 *     C++ Programming Guide, "Mathematical functions": ex2.approx 2^-22), and the size of its argument besides, whose
 *     rounding it turns into a relative error;
 *   sqrt(n) for a sum of n terms, in any order: partial sums s_1..s_n each rounded leave the error sum s_k e_k, with
 *     |e_k| <= 2^-24. Where terms have random signs that has a standard deviation of at most sqrt(n/2) 2^-24 times the
 *     root of the terms' sum of squares, where they have one sign sqrt(n/3) 2^-24 times the sum (sequential order, the
 *     worst; e_k uniform makes both smaller by sqrt(3)). The first comes from errors of sqrt(n) units in every term,
 *     the second from as many in the sum: both are made, the first where the terms' input is written.
 * Where weights come in blocks, 32 units more for a sum and its terms. The sum is then one of d s (sum of q x) and
 * dmin m (sum of x). A kernel may take q larger than it is by up to 16 and subtract 16 (sum of x), as that saves an
 * operation a weight: terms are then some 8 times as large as the weight times x. A sub-block's 32 are summed so by
 * four lanes, 8 each, and put together: sqrt(8 + 3) roundings of 8 times the size; the scale's product and the
 * difference's rounding are among the 32. Tensor cores add 8 products or more at once, and cut off what is below the
 * sum's last bit (Fasi et al., "Numerical behavior of NVIDIA tensor cores", PeerJ Computer Science 7:e330, 2021): at
 * most 4 roundings of 2 units, sqrt(4) times 2 times 8. What is rounded to bf16 is in addition moved to a grid of
 * bf16's step: keys and values in the cache, and the inputs of projections at positions of a batched prefill. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_half.h"
#include "num/pk_random.h"
#include "pk_quant.h"
#include "reference_block.h"
#include "reference_mistakes.h"
#include "reference_noise.h"
#include "reference_pass.h"
#include "reference_team.h"

enum { ROWS = PK_BLOCK_ROWS, LANES = PK_BLOCK_LANES, BLOCK_UNITS = 32 };
static const size_t block_size = (size_t)ROWS * LANES;

/* Places of errors: each its own key. */
enum {
    AT_NORM,
    AT_NORM_FACTOR,
    AT_NORM_BF16,
    AT_QKV,
    AT_HEAD_NORM,
    AT_HEAD_FACTOR,
    AT_ROTATED,
    AT_KEY_BF16,
    AT_VALUE_BF16,
    AT_SCORE,
    AT_WEIGHT,
    AT_MIXED,
    AT_MIXED_BF16,
    AT_O,
    AT_RESIDUAL,
    AT_FFN_NORM,
    AT_FFN_NORM_FACTOR,
    AT_FFN_NORM_BF16,
    AT_GATE,
    AT_UP,
    AT_ACTIVATION,
    AT_GATED,
    AT_GATED_BF16,
    AT_DOWN,
    AT_FFN_RESIDUAL,
    AT_ANGLE,
    AT_LOGITS,
    PLACES
};

typedef struct pass {
    const pk_model *model;
    pk_model_config shape; /* the model's */
    const int *tokens;     /* of position given and those after it */
    const pk_reference_cache *cache;
    size_t count, first, layer;
    size_t given;        /* positions whose keys and values are in `cache` */
    size_t begin, tiles; /* of all tiles, the first that panels hold, and how many they do */
    uint64_t noise;
    pk_reference_roundings roundings;
    size_t hidden, heads, kv_heads, head_dim, ffn, vocab;
    double *residual, *normed; /* panels, hidden wide */
    double *qkv;               /* panel: all heads of q, then k, then v */
    double *keys;              /* [kv_heads][panels' positions / ROWS][head_dim][ROWS] */
    double *values;            /* [kv_heads][head_dim / ROWS][panels' positions][ROWS] */
    double *mixed;             /* panel: the heads' weighted values, side by side */
    double *gated;             /* panel, ffn wide */
    double *cosine, *sine;     /* panels, head_dim / 2 wide */
    double *scratch;           /* [threads][scratch_size] */
    size_t scratch_size;
    double *logits; /* [count - first][vocab] */
} pass;

static uint64_t key_at(const pass *p, int place)
{
    return p->noise == 0 ? 0 : pk_random_split(p->noise, p->layer * PLACES + (size_t)place) | 1;
}

/* The key of a rounding to bf16 that only positions of a batched prefill have. */
static uint64_t prefill_key(const pass *p, int place, size_t position)
{
    return p->roundings.prefill > 0 && position < (size_t)p->roundings.prefill ? key_at(p, place) : 0;
}

/* Of a lane of a panel's tile. */
static size_t position_of(const pass *p, size_t tile, size_t lane)
{
    return (p->begin + tile) * LANES + lane;
}

/* Of the panels. */
static size_t all_positions(const pass *p)
{
    return p->tiles * LANES;
}

static double *tile_of(double *panel, size_t width, size_t tile)
{
    return panel + tile * width * LANES;
}

/* ---- norms ---- */

/* Units of 2^-24 by which a sum of products with `terms` weights errs: in each term, and in the sum. */
static double sum_units(const pass *p, size_t terms)
{
    return sqrt((double)terms) + (p->model->weights == PK_QUANT_BF16 ? 0 : BLOCK_UNITS);
}

/* `width` numbers of one position, LANES apart: RMSNorm in place, and its roundings. `units`: of what reads them. */
static void norm_row(const pass *p, double *row, const uint16_t *weight, size_t width, int place, double units)
{
    double squares = 0;
    for (size_t i = 0; i < width; i++)
        squares += row[i * LANES] * row[i * LANES];
    const double epsilon = pk_reference_errs(PK_MISTAKE_EPSILON) ? 0 : p->shape.rms_eps;
    /* Half of the sum's error, and those of the mean, the root and its inverse. */
    const double factor = pk_noise_float(key_at(p, place + 1), 0, 1 / sqrt(squares / (double)width + epsilon),
                                         0.5 * sqrt((double)width) + 2);
    const uint64_t key = key_at(p, place);
    for (size_t i = 0; i < width; i++)
        row[i * LANES] = pk_noise_float(key, i, row[i * LANES] * factor * (double)pk_bf16_to_float(weight[i]), units);
}

/* A tile of the residual stream, normed for the projections that follow. */
static void norm_tile(const pass *p, size_t tile, const uint16_t *weight, int place)
{
    const double *in = tile_of(p->residual, p->hidden, tile);
    double *out = tile_of(p->normed, p->hidden, tile);
    memcpy(out, in, p->hidden * LANES * sizeof *out);
    for (size_t lane = 0; lane < LANES; lane++) {
        norm_row(p, out + lane, weight, p->hidden, place, 2 + sum_units(p, p->hidden));
        const uint64_t key = prefill_key(p, place + 2, position_of(p, tile, lane));
        for (size_t i = 0; i < p->hidden; i++)
            out[i * LANES + lane] = pk_noise_bf16(key, i, out[i * LANES + lane]);
    }
}

static void norm_attention(void *context, size_t tile, double *scratch)
{
    const pass *p = context;
    (void)scratch;
    norm_tile(p, tile, p->model->layer[p->layer].attn_norm, AT_NORM);
}

static void norm_ffn(void *context, size_t tile, double *scratch)
{
    const pass *p = context;
    (void)scratch;
    norm_tile(p, tile, p->model->layer[p->layer].ffn_norm, AT_FFN_NORM);
}

static void norm_final(void *context, size_t item, double *scratch)
{
    const pass *p = context;
    (void)scratch;
    norm_tile(p, p->first / LANES - p->begin + item, p->model->final_norm, AT_NORM);
}

/* ---- projections ---- */

/* ROWS rows of a matrix [rows][columns] from `row` on, as a block wants them; zeros past the last row. A pass with few
 * tokens is mostly this, so a bf16, a float's upper half, is made a number here, without a call. */
static void unpack_rows(const uint16_t *matrix, size_t rows, size_t columns, size_t row, double *packed)
{
    const size_t some = rows - row < ROWS ? rows - row : ROWS;
    if (some < ROWS)
        memset(packed, 0, columns * ROWS * sizeof *packed);
    for (size_t i = 0; i < columns; i++)
        for (size_t r = 0; r < some; r++) {
            const uint32_t bits = (uint32_t)matrix[(row + r) * columns + i] << 16;
            float number;
            memcpy(&number, &bits, sizeof number);
            packed[i * ROWS + r] = (double)number;
        }
}

/* The same of rows of blocks: what they say. */
static void unpack_blocks(pk_quant format, const uint16_t *matrix, size_t rows, size_t columns, size_t row,
                          double *packed)
{
    const size_t pitch = pk_quant_pitch(format, columns);
    for (size_t r = 0; r < ROWS; r++) {
        const unsigned char *in = (const unsigned char *)matrix + (row + r) * pitch;
        for (size_t first = 0; first < columns; first += PK_Q4_K_WEIGHTS) {
            float some[PK_Q4_K_WEIGHTS] = {0};
            const size_t left = columns - first, count = left < PK_Q4_K_WEIGHTS ? left : PK_Q4_K_WEIGHTS;
            if (row + r < rows)
                pk_quant_row_to_float(format, in + pk_quant_row_bytes(format, first), count, some);
            for (size_t i = 0; i < count; i++)
                packed[(first + i) * ROWS + r] = (double)some[i];
        }
    }
}

static void unpack(const pass *p, const uint16_t *matrix, size_t rows, size_t columns, size_t row, double *packed)
{
    const pk_quant format = pk_quant_of(p->model->weights, columns);
    if (format == PK_QUANT_BF16)
        unpack_rows(matrix, rows, columns, row, packed);
    else
        unpack_blocks(format, matrix, rows, columns, row, packed);
}

/* Item: ROWS rows of q, k or v at all positions. */
static void project_qkv(void *context, size_t item, double *scratch)
{
    const pass *p = context;
    const pk_layer_weights *w = &p->model->layer[p->layer];
    const size_t q_rows = p->heads * p->head_dim, kv_rows = p->kv_heads * p->head_dim, width = q_rows + 2 * kv_rows;
    const size_t row = item * ROWS;
    const uint16_t *matrix = row < q_rows ? w->q : row < q_rows + kv_rows ? w->k : w->v;
    const uint16_t *bias = row < q_rows ? w->q_bias : row < q_rows + kv_rows ? w->k_bias : w->v_bias;
    const size_t begin = row < q_rows ? 0 : row < q_rows + kv_rows ? q_rows : q_rows + kv_rows;
    const size_t rows = row < q_rows ? q_rows : kv_rows;
    const double units = sum_units(p, p->hidden) + 1;
    const uint64_t key = key_at(p, AT_QKV);
    unpack(p, matrix, rows, p->hidden, row - begin, scratch);
    for (size_t tile = 0; tile < p->tiles; tile++) {
        double *out = tile_of(p->qkv, width, tile) + row * LANES;
        pk_reference_block(scratch, tile_of(p->normed, p->hidden, tile), p->hidden, out);
        for (size_t r = 0; r < ROWS; r++) {
            const double add =
                bias && !pk_reference_errs(PK_MISTAKE_NO_BIAS) ? (double)pk_bf16_to_float(bias[row - begin + r]) : 0;
            for (size_t lane = 0; lane < LANES; lane++)
                out[r * LANES + lane] = pk_noise_float(key, row + r, out[r * LANES + lane] + add, units);
        }
    }
}

/* ROWS rows of a projection whose result is added to the residual stream. */
static void project_residual(const pass *p, const uint16_t *matrix, double *in, size_t columns, size_t row, int place,
                             double *scratch)
{
    double *sums = scratch + columns * ROWS;
    const uint64_t key = key_at(p, place), added_key = key_at(p, place + 1);
    unpack(p, matrix, p->hidden, columns, row, scratch);
    for (size_t tile = 0; tile < p->tiles; tile++) {
        double *out = tile_of(p->residual, p->hidden, tile) + row * LANES;
        pk_reference_block(scratch, tile_of(in, columns, tile), columns, sums);
        for (size_t i = 0; i < block_size; i++) {
            const double sum = pk_noise_float(key, row + i / LANES, sums[i], sum_units(p, columns));
            out[i] = pk_noise_float(added_key, row + i / LANES, out[i] + sum, 1);
        }
    }
}

static void project_o(void *context, size_t item, double *scratch)
{
    const pass *p = context;
    project_residual(p, p->model->layer[p->layer].o, p->mixed, p->heads * p->head_dim, item * ROWS, AT_O, scratch);
}

static void project_down(void *context, size_t item, double *scratch)
{
    const pass *p = context;
    project_residual(p, p->model->layer[p->layer].down, p->gated, p->ffn, item * ROWS, AT_DOWN, scratch);
}

static double activate(const pass *p, size_t i, double gate)
{
    const uint64_t key = key_at(p, AT_ACTIVATION);
    if (p->shape.activation == PK_ACTIVATION_SILU)
        return pk_noise_float(key, i, gate / (1 + exp(-gate)), 4 + fabs(gate));
    /* Hendrycks and Gimpel, "Gaussian error linear units", 2016: the approximation by tanh. The error of 1 + tanh is
     * one of 1, however small the sum. */
    const double inner = sqrt(2 / acos(-1)) * (gate + 0.044715 * gate * gate * gate);
    return 0.5 * gate * (pk_noise_float(key, i, 1, 4 + fabs(gate)) + tanh(inner));
}

/* Item: ROWS rows of gate and of up, and their product. */
static void project_gated(void *context, size_t item, double *scratch)
{
    const pass *p = context;
    const pk_layer_weights *w = &p->model->layer[p->layer];
    const size_t row = item * ROWS, columns = p->hidden;
    double *gate_rows = scratch, *up_rows = gate_rows + columns * ROWS;
    double *gate = up_rows + columns * ROWS, *up = gate + block_size;
    const double units = sum_units(p, columns), product_units = 2 + sum_units(p, p->ffn);
    unpack(p, w->gate, p->ffn, columns, row, gate_rows);
    unpack(p, w->up, p->ffn, columns, row, up_rows);
    for (size_t tile = 0; tile < p->tiles; tile++) {
        const double *in = tile_of(p->normed, columns, tile);
        double *out = tile_of(p->gated, p->ffn, tile) + row * LANES;
        pk_reference_block(gate_rows, in, columns, gate);
        pk_reference_block(up_rows, in, columns, up);
        for (size_t i = 0; i < block_size; i++) {
            const size_t at = row + i / LANES;
            const double active = activate(p, at, pk_noise_float(key_at(p, AT_GATE), at, gate[i], units));
            const double product = active * pk_noise_float(key_at(p, AT_UP), at, up[i], units);
            out[i] = pk_noise_bf16(prefill_key(p, AT_GATED_BF16, position_of(p, tile, i % LANES)), at,
                                   pk_noise_float(key_at(p, AT_GATED), at, product, product_units));
        }
    }
}

/* Item: ROWS rows of the vocabulary at all positions whose logits are wanted. */
static void project_logits(void *context, size_t item, double *scratch)
{
    const pass *p = context;
    const size_t row = item * ROWS;
    double *sums = scratch + p->hidden * ROWS;
    const uint64_t key = key_at(p, AT_LOGITS);
    unpack(p, p->model->logits, p->vocab, p->hidden, row, scratch);
    for (size_t tile = p->first / LANES - p->begin; tile < p->tiles; tile++) {
        pk_reference_block(scratch, tile_of(p->normed, p->hidden, tile), p->hidden, sums);
        for (size_t i = 0; i < block_size; i++) {
            const size_t at = row + i / LANES, position = position_of(p, tile, i % LANES);
            if (at < p->vocab && position >= p->first && position < p->count)
                p->logits[(position - p->first) * p->vocab + at] =
                    pk_noise_float(key, at, sums[i], sum_units(p, p->hidden));
        }
    }
}

/* ---- heads ---- */

/* The pair (i, i + head_dim / 2) of every lane turned by its position's angle. */
static void rotate_tile(const pass *p, double *head, size_t tile)
{
    const size_t half = p->head_dim / 2;
    const double *cosine = tile_of(p->cosine, half, tile), *sine = tile_of(p->sine, half, tile);
    const uint64_t key = key_at(p, AT_ROTATED);
    for (size_t i = 0; i < half; i++) {
        const int neighbours = pk_reference_errs(PK_MISTAKE_ROTARY_PAIRS);
        const size_t low = neighbours ? 2 * i : i, high = neighbours ? 2 * i + 1 : i + half;
        for (size_t lane = 0; lane < LANES; lane++) {
            double *a = head + low * LANES + lane, *b = head + high * LANES + lane;
            const double c = cosine[i * LANES + lane];
            const double s =
                pk_reference_errs(PK_MISTAKE_ROTARY_HALVES) ? -sine[i * LANES + lane] : sine[i * LANES + lane];
            const double turned_a = *a * c - *b * s, turned_b = *b * c + *a * s;
            /* Two products and their sum, and the terms of the scores' sums. */
            *a = pk_noise_float(key, low, turned_a, 2 + sqrt((double)p->head_dim));
            *b = pk_noise_float(key, high, turned_b, 2 + sqrt((double)p->head_dim));
        }
    }
}

static void norm_head(const pass *p, double *head, const uint16_t *weight)
{
    if (!weight)
        return;
    for (size_t lane = 0; lane < LANES; lane++)
        norm_row(p, head + lane, weight, p->head_dim, AT_HEAD_NORM, 2);
}

static void prepare_qk(const pass *p, double *head, const uint16_t *norm, size_t tile)
{
    const int norm_last = pk_reference_errs(PK_MISTAKE_HEAD_NORM);
    if (!norm_last)
        norm_head(p, head, norm);
    rotate_tile(p, head, tile);
    if (norm_last)
        norm_head(p, head, norm);
}

/* Keys of LANES positions into the cache, in groups of ROWS. */
static void store_keys(const pass *p, const double *head, size_t kv_head, size_t tile)
{
    const uint64_t key = p->roundings.kv ? key_at(p, AT_KEY_BF16) : 0;
    double *out = p->keys + (kv_head * all_positions(p) + tile * LANES) * p->head_dim;
    for (size_t d = 0; d < p->head_dim; d++)
        for (size_t lane = 0; lane < LANES; lane++)
            out[(lane / ROWS * p->head_dim + d) * ROWS + lane % ROWS] =
                pk_noise_bf16(key, kv_head * p->head_dim + d, head[d * LANES + lane]);
}

static void store_values(const pass *p, const double *head, size_t kv_head, size_t tile)
{
    const uint64_t key = p->roundings.kv ? key_at(p, AT_VALUE_BF16) : 0;
    const size_t positions = all_positions(p);
    double *out = p->values + kv_head * p->head_dim * positions;
    for (size_t d = 0; d < p->head_dim; d++)
        for (size_t lane = 0; lane < LANES; lane++)
            out[(d / ROWS * positions + tile * LANES + lane) * ROWS + d % ROWS] =
                pk_noise_bf16(key, kv_head * p->head_dim + d, head[d * LANES + lane]);
}

/* Item: one head of q, k or v in one tile: normed and turned, keys and values into the cache. */
static void prepare_head(void *context, size_t item, double *scratch)
{
    const pass *p = context;
    const pk_layer_weights *w = &p->model->layer[p->layer];
    const size_t all = p->heads + 2 * p->kv_heads, tile = item / all, which = item % all;
    double *head = tile_of(p->qkv, all * p->head_dim, tile) + which * p->head_dim * LANES;
    (void)scratch;
    if (which < p->heads) {
        prepare_qk(p, head, w->q_norm, tile);
    } else if (which < p->heads + p->kv_heads) {
        prepare_qk(p, head, w->k_norm, tile);
        store_keys(p, head, which - p->heads, tile);
    } else {
        store_values(p, head, which - p->heads - p->kv_heads, tile);
    }
}

/* One lane's scores, of the given keys and of the panels' from lane `first` to `last`, become weights in place; returns
 * their sum. The panels' others become 0. */
static double weigh(const pass *p, double *given, double *scores, size_t first, size_t last, size_t padded, size_t head,
                    double scale)
{
    const uint64_t score_key = key_at(p, AT_SCORE), weight_key = key_at(p, AT_WEIGHT);
    const double keys = (double)p->given + (double)(last + 1 - first);
    const double score_units = sqrt((double)p->head_dim) + 4, weight_units = 4 + sqrt(keys);
    double most = -INFINITY, sum = 0;
    for (size_t s = 0; s < p->given; s++) {
        given[s] = pk_noise_float(score_key, head, given[s] * scale, score_units);
        most = given[s] > most ? given[s] : most;
    }
    for (size_t s = first; s <= last; s++) {
        scores[s * LANES] = pk_noise_float(score_key, head, scores[s * LANES] * scale, score_units);
        most = scores[s * LANES] > most ? scores[s * LANES] : most;
    }
    for (size_t s = 0; s < p->given; s++) {
        given[s] = pk_noise_float(weight_key, head, exp(given[s] - most), weight_units);
        sum += given[s];
    }
    for (size_t s = 0; s < padded; s++) {
        const bool there = s >= first && s <= last;
        scores[s * LANES] = there ? pk_noise_float(weight_key, head, exp(scores[s * LANES] - most), weight_units) : 0;
        sum += scores[s * LANES];
    }
    return sum;
}

/* Whether a lane is one of the sequence, and not given. */
static bool is_computed(const pass *p, size_t tile, size_t lane)
{
    const size_t position = position_of(p, tile, lane);
    return position >= p->given && position < p->count;
}

/* What a thread has for `attend`, in its scratch. */
typedef struct attention {
    double *scores; /* panel, as wide as all panels have positions */
    double *given;  /* [p->given]: one lane's, of the given keys */
    double *query;  /* [head_dim]: the lane's */
    double *mixed;  /* [LANES][head_dim]: of the given values */
    double *end;
} attention;

static attention attention_in(const pass *p, double *scratch)
{
    attention a = {.scores = scratch};
    a.given = a.scores + all_positions(p) * LANES;
    a.query = a.given + (p->given + LANES - 1) / LANES * LANES;
    a.mixed = a.query + p->head_dim;
    a.end = a.mixed + LANES * p->head_dim;
    return a;
}

/* One lane of a tile and of one head, whose scores against the panels' keys are there: weights for all keys, and the
 * given values by theirs. Returns the weights' sum. */
static double attend_lane(const pass *p, const attention *a, const double *query, size_t tile, size_t lane, size_t head,
                          size_t kv_head, size_t padded)
{
    const size_t from = kv_head * (p->cache ? p->cache->capacity : 0) * p->head_dim;
    const size_t own = tile * LANES + lane + (pk_reference_errs(PK_MISTAKE_NOT_CAUSAL) ? 1 : 0);
    const double scale = 1 / sqrt((double)(pk_reference_errs(PK_MISTAKE_SCALE) ? p->hidden : p->head_dim));
    double *mixed = a->mixed + lane * p->head_dim;
    memset(mixed, 0, p->head_dim * sizeof *mixed);
    if (!is_computed(p, tile, lane)) { /* nobody asks for it: all weights 0 */
        for (size_t s = 0; s < padded; s++)
            a->scores[s * LANES + lane] = 0;
        return 1;
    }
    for (size_t d = 0; d < p->head_dim; d++)
        a->query[d] = query[d * LANES + lane];
    if (p->cache && p->given > 0)
        pk_reference_bf16_dots(p->cache->keys[p->layer] + from, p->given, p->head_dim, a->query, a->given);
    const double sum = weigh(p, a->given, a->scores + lane, p->given - p->begin * LANES,
                             own < padded ? own : padded - 1, padded, head, scale);
    if (p->cache && p->given > 0)
        pk_reference_bf16_mix(p->cache->values[p->layer] + from, p->given, p->head_dim, a->given, mixed);
    return sum;
}

/* Item: one query head in one tile, the longest first: scores against all keys up to the tile's own, weights, and the
 * weighted values. */
static void attend(void *context, size_t item, double *scratch)
{
    const pass *p = context;
    const attention a = attention_in(p, scratch);
    const size_t tile = p->tiles - 1 - item / p->heads, head = item % p->heads;
    const size_t positions = all_positions(p);
    const size_t next = pk_reference_errs(PK_MISTAKE_NOT_CAUSAL) && tile + 1 < p->tiles ? 1 : 0;
    const size_t padded = (tile + 1 + next) * LANES;
    const size_t kv_head = pk_reference_errs(PK_MISTAKE_GROUP) ? head % p->kv_heads : head / (p->heads / p->kv_heads);
    const size_t qkv_width = (p->heads + 2 * p->kv_heads) * p->head_dim, width = p->heads * p->head_dim;
    const double *query = tile_of(p->qkv, qkv_width, tile) + head * p->head_dim * LANES;
    const double *keys = p->keys + kv_head * positions * p->head_dim;
    const double *values = p->values + kv_head * positions * p->head_dim;
    double sum[LANES];
    for (size_t s = 0; s < padded; s += ROWS)
        pk_reference_block(keys + s * p->head_dim, query, p->head_dim, a.scores + s * LANES);
    for (size_t lane = 0; lane < LANES; lane++)
        sum[lane] = attend_lane(p, &a, query, tile, lane, head, kv_head, padded);
    double *out = tile_of(p->mixed, width, tile) + head * p->head_dim * LANES;
    for (size_t d = 0; d < p->head_dim; d += ROWS)
        pk_reference_block(values + d * positions, a.scores, padded, out + d * LANES);
    const uint64_t key = key_at(p, AT_MIXED);
    const double units = 2 + sqrt((double)(p->begin * LANES + padded)) + sum_units(p, width);
    for (size_t i = 0; i < p->head_dim * LANES; i++) {
        const size_t at = head * p->head_dim + i / LANES, lane = i % LANES;
        const double of_given = a.mixed[lane * p->head_dim + i / LANES];
        out[i] = pk_noise_bf16(prefill_key(p, AT_MIXED_BF16, position_of(p, tile, lane)), at,
                               pk_noise_float(key, at, (out[i] + of_given) / sum[lane], units));
    }
}

/* ---- the pass ---- */

static void embed(void *context, size_t tile, double *scratch)
{
    const pass *p = context;
    double *out = tile_of(p->residual, p->hidden, tile);
    (void)scratch;
    for (size_t lane = 0; lane < LANES; lane++) {
        const size_t position = position_of(p, tile, lane);
        const size_t token = position >= p->given && position < p->count ? (size_t)p->tokens[position - p->given] : 0;
        for (size_t i = 0; i < p->hidden; i++)
            out[i * LANES + lane] = (double)pk_bf16_to_float(p->model->embedding[token * p->hidden + i]);
    }
}

/* The angles' cosines and sines. A kernel that multiplies position and frequency in float has two roundings in the
 * angle, and those of sine and cosine, which turn by as much. Where keys are given, as pk_decoder has them, cosines and
 * sines are from its table, made in double, and have the last ones alone. */
static void prepare_rotation(const pass *p, double *frequency)
{
    const size_t half = p->head_dim / 2;
    const uint64_t key = key_at(p, AT_ANGLE);
    pk_model_rope_frequencies(&p->shape, frequency);
    for (size_t row = 0; row < p->tiles * LANES; row++) {
        const size_t position = position_of(p, 0, row);
        for (size_t i = 0; i < half; i++) {
            double angle = (double)position * frequency[i];
            if (key != 0)
                angle += (p->cache ? 2 : 2 * angle + 2) * 0x1p-24 * pk_noise_uniform(key, i, position);
            const size_t at = (row / LANES * half + i) * LANES + row % LANES;
            p->cosine[at] = cos(angle);
            p->sine[at] = sin(angle);
        }
    }
}

static void run_pass(pk_team *team, int rank, void *context)
{
    pass mine = *(const pass *)context; /* each thread's own, since the layer changes */
    const size_t qkv_rows = (mine.heads + 2 * mine.kv_heads) * mine.head_dim;
    double *scratch = mine.scratch + (size_t)rank * mine.scratch_size;
    const struct {
        void (*item)(void *, size_t, double *);
        size_t items;
    } layer_stages[] = {{norm_attention, mine.tiles},
                        {project_qkv, qkv_rows / ROWS},
                        {prepare_head, mine.tiles * (mine.heads + 2 * mine.kv_heads)},
                        {attend, mine.tiles * mine.heads},
                        {project_o, mine.hidden / ROWS},
                        {norm_ffn, mine.tiles},
                        {project_gated, mine.ffn / ROWS},
                        {project_down, mine.hidden / ROWS}};
    size_t stage = 0;
    pk_team_stage(team, stage++, mine.tiles, embed, &mine, scratch);
    for (mine.layer = 0; mine.layer < (size_t)mine.shape.layers; mine.layer++)
        for (size_t i = 0; i < sizeof layer_stages / sizeof layer_stages[0]; i++)
            pk_team_stage(team, stage++, layer_stages[i].items, layer_stages[i].item, &mine, scratch);
    pk_team_stage(team, stage++, mine.begin + mine.tiles - mine.first / LANES, norm_final, &mine, scratch);
    pk_team_stage(team, stage, (mine.vocab + ROWS - 1) / ROWS, project_logits, &mine, scratch);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* All of a pass's memory in one piece, each part a multiple of PK_BLOCK_ALIGNMENT bytes. NULL: there is not so much. */
static double *allocate(pass *p, size_t threads)
{
    const size_t positions = p->tiles * LANES, q = p->heads * p->head_dim, kv = p->kv_heads * p->head_dim;
    p->scratch_size = larger(2 * (larger(larger(p->hidden, p->ffn), q) * ROWS + block_size),
                             (size_t)(attention_in(p, p->scratch).end - p->scratch));
    struct {
        double **at;
        size_t size;
    } parts[] = {{&p->residual, positions * p->hidden},   {&p->normed, positions * p->hidden},
                 {&p->qkv, positions * (q + 2 * kv)},     {&p->keys, all_positions(p) * kv},
                 {&p->values, all_positions(p) * kv},     {&p->mixed, positions * q},
                 {&p->gated, positions * p->ffn},         {&p->cosine, positions * p->head_dim / 2},
                 {&p->sine, positions * p->head_dim / 2}, {&p->scratch, threads * p->scratch_size}};
    size_t sizes = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        sizes += parts[i].size;
    double *memory = aligned_alloc(PK_BLOCK_ALIGNMENT, sizes * sizeof *memory);
    size_t used = 0;
    for (size_t i = 0; memory && i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].at = memory + used;
        used += parts[i].size;
    }
    return memory;
}

static pk_status check_arguments(const pk_model *model, size_t given, const int *tokens, size_t count, size_t first)
{
    if (count == 0 || first >= count || first < given)
        return pk_fail(PK_USAGE,
                       "reference: logits from position %zu on of a sequence of %zu tokens, %zu of them given by their "
                       "keys and values; ask for a position of the others",
                       first, count, given);
    for (size_t i = given; i < count; i++)
        if (tokens[i - given] < 0 || tokens[i - given] >= model->config.vocab)
            return pk_fail(PK_USAGE,
                           "reference: token %d at position %zu is not in the vocabulary of model %s; take 0 to %d",
                           tokens[i - given], i, model->config.name, model->config.vocab - 1);
    return PK_OK;
}

pk_status pk_reference_pass(const pk_model *model, const pk_reference_cache *cache, const int *tokens, size_t count,
                            size_t first, uint64_t noise, pk_reference_roundings roundings, double *logits)
{
    const pk_model_config *shape = &model->config;
    const size_t given = cache ? cache->positions : 0;
    int threads;
    pk_status status = check_arguments(model, given, tokens, count, first);
    if (status == PK_OK)
        status = pk_team_threads(&threads);
    if (status != PK_OK)
        return status;
    pass p = {.model = model,
              .shape = *shape,
              .tokens = tokens,
              .cache = cache,
              .count = count,
              .first = first,
              .given = given,
              .begin = given / LANES,
              .tiles = (count + LANES - 1) / LANES - given / LANES,
              .noise = noise,
              .roundings = roundings,
              .hidden = (size_t)shape->hidden,
              .heads = (size_t)shape->heads,
              .kv_heads = (size_t)shape->kv_heads,
              .head_dim = (size_t)shape->head_dim,
              .ffn = (size_t)shape->ffn,
              .vocab = (size_t)shape->vocab,
              .logits = logits};
    double *memory = allocate(&p, (size_t)threads);
    if (!memory)
        return pk_out_of_memory("reference");
    prepare_rotation(&p, p.scratch);
    pk_team_run(threads, run_pass, &p);
    free(memory);
    return PK_OK;
}

pk_status pk_reference_logits(const pk_model *model, const int *tokens, size_t count, size_t first, double *logits)
{
    return pk_reference_pass(model, NULL, tokens, count, first, 0, (pk_reference_roundings){0}, logits);
}
