/* Rows of weights to GGUF's blocks and back: see pk_quant.h for the layouts. */
#include <math.h>
#include <string.h>

#include "num/pk_half.h"
#include "pk_quant.h"

static const struct {
    const char *name;
    size_t weights, bytes; /* of a block */
} formats[PK_QUANTS] = {
    [PK_QUANT_BF16] = {"bf16", 1, sizeof(uint16_t)},
    [PK_QUANT_Q8_0] = {"q8_0", PK_Q8_0_WEIGHTS, PK_Q8_0_BYTES},
    [PK_QUANT_Q4_K] = {"q4_k", PK_Q4_K_WEIGHTS, PK_Q4_K_BYTES},
};

const char *pk_quant_name(pk_quant format)
{
    return formats[format].name;
}

pk_quant pk_quant_of(pk_quant wanted, size_t columns)
{
    if (wanted == PK_QUANT_Q4_K && columns % PK_Q4_K_WEIGHTS == 0)
        return PK_QUANT_Q4_K;
    return wanted != PK_QUANT_BF16 && columns % PK_Q8_0_WEIGHTS == 0 ? PK_QUANT_Q8_0 : PK_QUANT_BF16;
}

size_t pk_quant_row_bytes(pk_quant format, size_t columns)
{
    return columns / formats[format].weights * formats[format].bytes;
}

size_t pk_quant_pitch(pk_quant format, size_t columns)
{
    return (pk_quant_row_bytes(format, columns) + PK_QUANT_ALIGN - 1) / PK_QUANT_ALIGN * PK_QUANT_ALIGN;
}

/* ---- numbers ---- */

static void put_fp16(unsigned char *to, uint16_t bits)
{
    to[0] = (unsigned char)(bits & 0xff);
    to[1] = (unsigned char)(bits >> 8);
}

static float get_fp16(const unsigned char *from)
{
    return pk_fp16_to_float((uint16_t)(from[0] | (unsigned)from[1] << 8));
}

/* The fp16 nearest to most / steps; the one above it where that many steps and a half would not come to `most`, as
 * among the subnormals. */
static uint16_t scale_for(float most, float steps)
{
    const uint16_t largest = 0x7bff;
    uint16_t bits = pk_float_to_fp16(most / steps);
    if (bits < largest && pk_fp16_to_float(bits) * (steps + 0.5f) < most)
        bits++;
    return bits < largest ? bits : largest;
}

/* To nearest, from `least` to `most`. */
static int step_of(float value, float inverse, int least, int most)
{
    const float steps = value * inverse;
    return steps <= (float)least ? least : steps >= (float)most ? most : (int)lrintf(steps);
}

/* ---- Q8_0 ---- */

static void to_q8_0(const float *from, unsigned char *to)
{
    float most = 0;
    for (size_t i = 0; i < PK_Q8_0_WEIGHTS; i++)
        most = fabsf(from[i]) > most ? fabsf(from[i]) : most;
    const uint16_t bits = scale_for(most, 127);
    const float d = pk_fp16_to_float(bits), inverse = d > 0 ? 1 / d : 0;
    put_fp16(to, bits);
    for (size_t i = 0; i < PK_Q8_0_WEIGHTS; i++)
        to[2 + i] = (unsigned char)(isnan(from[i]) ? 0 : step_of(from[i], inverse, -127, 127));
}

static void from_q8_0(const unsigned char *from, float *to)
{
    const float d = get_fp16(from);
    for (size_t i = 0; i < PK_Q8_0_WEIGHTS; i++)
        to[i] = d * (float)(int8_t)from[2 + i];
}

/* ---- Q4_K ---- */

typedef struct part { /* a sub-block: its weights, and those between which they lie */
    float w[PK_Q4_K_PART_WEIGHTS];
    float least, most; /* least: at most 0, as a minimum is subtracted */
} part;

static void read_part(const float *from, part *p)
{
    p->least = 0;
    p->most = -INFINITY;
    for (size_t i = 0; i < PK_Q4_K_PART_WEIGHTS; i++) {
        p->w[i] = isnan(from[i]) ? 0 : from[i];
        p->least = p->w[i] < p->least ? p->w[i] : p->least;
        p->most = p->w[i] > p->most ? p->w[i] : p->most;
    }
}

static float range_of(const part *p)
{
    return p->most > p->least ? p->most - p->least : 0;
}

/* The sub-block in steps of `step` above -`below`. Returns the sum of squared errors. */
static double part_in_steps(const part *p, float step, float below, unsigned char *q)
{
    const float inverse = step > 0 ? 1 / step : 0;
    double squares = 0;
    for (size_t i = 0; i < PK_Q4_K_PART_WEIGHTS; i++) {
        q[i] = (unsigned char)step_of(p->w[i] + below, inverse, 0, 15);
        const double error = (double)(step * (float)q[i] - below) - (double)p->w[i];
        squares += error * error;
    }
    return squares;
}

/* Scale and steps of a sub-block: of the scales about the one that just holds its range, the one with the least error.
 * A smaller one cuts off the ends and is finer for all that is between them. */
static int best_scale(const part *p, float d, float below, unsigned char *q)
{
    enum { FEWER = 2, MORE = 1 };
    const float inverse = d > 0 ? 1 / d : 0;
    const int holds = step_of(range_of(p) / 15, inverse, 0, 63);
    int best = holds;
    double least = part_in_steps(p, d * (float)holds, below, q);
    for (int s = holds - FEWER; s <= holds + MORE; s++) {
        unsigned char other[PK_Q4_K_PART_WEIGHTS];
        if (s < 1 || s > 63 || s == holds)
            continue;
        const double squares = part_in_steps(p, d * (float)s, below, other);
        if (squares >= least)
            continue;
        least = squares;
        best = s;
        memcpy(q, other, sizeof other);
    }
    return best;
}

/* Sub-block j's scale and minimum into the 12 bytes, which were 0. */
static void put_scales(unsigned char *scales, size_t j, unsigned s, unsigned m)
{
    if (j < 4) {
        scales[j] = (unsigned char)(scales[j] | s);
        scales[j + 4] = (unsigned char)(scales[j + 4] | m);
        return;
    }
    scales[j + 4] = (unsigned char)((s & 15) | (m & 15) << 4);
    scales[j - 4] = (unsigned char)(scales[j - 4] | (s >> 4) << 6);
    scales[j] = (unsigned char)(scales[j] | (m >> 4) << 6);
}

static void get_scales(const unsigned char *scales, size_t j, unsigned *s, unsigned *m)
{
    if (j < 4) {
        *s = scales[j] & 63u;
        *m = scales[j + 4] & 63u;
        return;
    }
    *s = (scales[j + 4] & 15u) | (unsigned)(scales[j - 4] >> 6) << 4;
    *m = (unsigned)(scales[j + 4] >> 4) | (unsigned)(scales[j] >> 6) << 4;
}

static void to_q4_k(const float *from, unsigned char *to)
{
    part parts[PK_Q4_K_PARTS];
    float range = 0, below = 0;
    for (size_t j = 0; j < PK_Q4_K_PARTS; j++) {
        read_part(from + j * PK_Q4_K_PART_WEIGHTS, &parts[j]);
        range = range_of(&parts[j]) > range ? range_of(&parts[j]) : range;
        below = -parts[j].least > below ? -parts[j].least : below;
    }
    const uint16_t d_bits = scale_for(range / 15, 63), min_bits = scale_for(below, 63);
    const float d = pk_fp16_to_float(d_bits), dmin = pk_fp16_to_float(min_bits), inverse = dmin > 0 ? 1 / dmin : 0;
    unsigned char *const scales = to + 4, *const halves = to + 16;
    memset(to, 0, PK_Q4_K_BYTES);
    put_fp16(to, d_bits);
    put_fp16(to + 2, min_bits);
    for (size_t j = 0; j < PK_Q4_K_PARTS; j++) {
        unsigned char q[PK_Q4_K_PART_WEIGHTS];
        const int m = step_of(-parts[j].least, inverse, 0, 63);
        const int s = best_scale(&parts[j], d, dmin * (float)m, q);
        put_scales(scales, j, (unsigned)s, (unsigned)m);
        for (size_t i = 0; i < PK_Q4_K_PART_WEIGHTS; i++) {
            unsigned char *const byte = halves + j / 2 * PK_Q4_K_PART_WEIGHTS + i;
            *byte = (unsigned char)(*byte | (unsigned)q[i] << (j % 2 ? 4 : 0));
        }
    }
}

static void from_q4_k(const unsigned char *from, float *to)
{
    const float d = get_fp16(from), dmin = get_fp16(from + 2);
    for (size_t j = 0; j < PK_Q4_K_PARTS; j++) {
        unsigned s, m;
        get_scales(from + 4, j, &s, &m);
        const float step = d * (float)s, below = dmin * (float)m;
        for (size_t i = 0; i < PK_Q4_K_PART_WEIGHTS; i++) {
            const unsigned byte = from[16 + j / 2 * PK_Q4_K_PART_WEIGHTS + i];
            to[j * PK_Q4_K_PART_WEIGHTS + i] = step * (float)(j % 2 ? byte >> 4 : byte & 15u) - below;
        }
    }
}

/* ---- rows ---- */

static void block_to(pk_quant format, const float *from, unsigned char *to)
{
    if (format == PK_QUANT_Q8_0)
        to_q8_0(from, to);
    else
        to_q4_k(from, to);
}

static void end_row(pk_quant format, size_t columns, unsigned char *row)
{
    const size_t bytes = pk_quant_row_bytes(format, columns);
    memset(row + bytes, 0, pk_quant_pitch(format, columns) - bytes);
}

void pk_quant_row(pk_quant format, const float *from, size_t columns, void *to)
{
    unsigned char *const row = to;
    const size_t weights = formats[format].weights;
    for (size_t i = 0; i < columns; i += weights) {
        if (format == PK_QUANT_BF16) {
            const uint16_t bits = pk_float_to_bf16(isnan(from[i]) ? 0 : from[i]);
            memcpy(row + i * sizeof bits, &bits, sizeof bits);
        } else
            block_to(format, from + i, row + i / weights * formats[format].bytes);
    }
    end_row(format, columns, row);
}

void pk_quant_row_bf16(pk_quant format, const uint16_t *from, size_t columns, void *to)
{
    unsigned char *const row = to;
    const size_t weights = formats[format].weights;
    float block[PK_Q4_K_WEIGHTS] = {0};
    if (format == PK_QUANT_BF16)
        memcpy(row, from, columns * sizeof *from);
    for (size_t i = 0, at = 0; i < columns && format != PK_QUANT_BF16; i += weights, at += formats[format].bytes) {
        for (size_t k = 0; k < weights; k++)
            block[k] = pk_bf16_to_float(from[i + k]);
        block_to(format, block, row + at);
    }
    end_row(format, columns, row);
}

void pk_quant_row_to_float(pk_quant format, const void *row, size_t columns, float *to)
{
    const unsigned char *const bytes = row;
    for (size_t i = 0; i < columns; i += formats[format].weights) {
        const unsigned char *const block = bytes + i / formats[format].weights * formats[format].bytes;
        if (format == PK_QUANT_Q8_0)
            from_q8_0(block, to + i);
        else if (format == PK_QUANT_Q4_K)
            from_q4_k(block, to + i);
        else {
            uint16_t bits;
            memcpy(&bits, block, sizeof bits);
            to[i] = pk_bf16_to_float(bits);
        }
    }
}
