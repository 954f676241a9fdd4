/* Blocks of quantised weights: known ones read by hand, errors within what steps allow, extremes, and whole models. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_half.h"
#include "num/pk_random.h"
#include "pk_quant.h"
#include "pk_reference.h"

/* ---- known blocks ---- */

Test(layout, sizes)
{
    cr_assert_eq(pk_quant_row_bytes(PK_QUANT_Q8_0, 576), 612);
    cr_assert_eq(pk_quant_pitch(PK_QUANT_Q8_0, 576), 624);
    cr_assert_eq(pk_quant_pitch(PK_QUANT_Q8_0, 256), 272);
    cr_assert_eq(pk_quant_pitch(PK_QUANT_Q4_K, 4096), 2304);
    cr_assert_eq(pk_quant_pitch(PK_QUANT_BF16, 72), 144);
}

Test(layout, a_format_that_does_not_divide_the_row_gives_way)
{
    cr_assert_eq(pk_quant_of(PK_QUANT_Q4_K, 4864), PK_QUANT_Q4_K);
    cr_assert_eq(pk_quant_of(PK_QUANT_Q4_K, 896), PK_QUANT_Q8_0);
    cr_assert_eq(pk_quant_of(PK_QUANT_Q4_K, 72), PK_QUANT_BF16);
    cr_assert_eq(pk_quant_of(PK_QUANT_Q8_0, 256), PK_QUANT_Q8_0);
    cr_assert_eq(pk_quant_of(PK_QUANT_BF16, 256), PK_QUANT_BF16);
}

Test(known, q8_0)
{
    unsigned char block[PK_Q8_0_BYTES] = {0x00, 0xb8}; /* d = -1/2 */
    float w[PK_Q8_0_WEIGHTS];
    block[2] = 1;
    block[3] = 0xff; /* -1 */
    block[2 + 31] = 0x80;
    pk_quant_row_to_float(PK_QUANT_Q8_0, block, PK_Q8_0_WEIGHTS, w);
    cr_assert(w[0] == -0.5f && w[1] == 0.5f && w[2] == 0 && w[31] == 64);
}

/* Scales 1, 2, 3, 4 and 45, 54, 27, 36; minimums 5, 6, 7, 8 and 18, 9, 63, 48: of the last four both halves count. */
Test(known, q4_k)
{
    static const unsigned s[] = {1, 2, 3, 4, 45, 54, 27, 36}, m[] = {5, 6, 7, 8, 18, 9, 63, 48};
    static const unsigned char scales[12] = {0x81, 0xc2, 0x43, 0x84, 0x45, 0x06, 0xc7, 0xc8, 0x2d, 0x96, 0xfb, 0x04};
    unsigned char block[PK_Q4_K_BYTES] = {0x00, 0x3c, 0x00, 0x40}; /* d = 1, dmin = 2 */
    float w[PK_Q4_K_WEIGHTS];
    memcpy(block + 4, scales, sizeof scales);
    for (size_t i = 0; i < 128; i++)
        block[16 + i] = (unsigned char)((i % 13) | (i % 7) << 4);
    pk_quant_row_to_float(PK_QUANT_Q4_K, block, PK_Q4_K_WEIGHTS, w);
    for (size_t i = 0; i < PK_Q4_K_WEIGHTS; i++) {
        const size_t part = i / 32, byte = part / 2 * 32 + i % 32, q = part % 2 ? byte % 7 : byte % 13;
        cr_assert(w[i] == (float)(s[part] * q) - (float)(2 * m[part]), "weight %zu is %g", i, (double)w[i]);
    }
}

/* fp16's least number and its largest below the normal ones. */
Test(known, subnormal_scales)
{
    unsigned char block[PK_Q8_0_BYTES] = {0x01, 0x00};
    float w[PK_Q8_0_WEIGHTS];
    block[2] = 127;
    pk_quant_row_to_float(PK_QUANT_Q8_0, block, PK_Q8_0_WEIGHTS, w);
    cr_assert(w[0] == 127 * 0x1p-24f);
    block[0] = 0xff;
    block[1] = 0x03;
    pk_quant_row_to_float(PK_QUANT_Q8_0, block, PK_Q8_0_WEIGHTS, w);
    cr_assert(w[0] == 127 * 1023 * 0x1p-24f);
}

/* ---- there and back ---- */

static float fp16_at(const unsigned char *bytes)
{
    return pk_fp16_to_float((uint16_t)(bytes[0] | bytes[1] << 8));
}

static void draw(float *w, size_t count, float scale, float centre, uint64_t seed)
{
    pk_random random;
    pk_random_seed(&random, seed);
    for (size_t i = 0; i < count; i++)
        w[i] = centre + scale * ((float)(pk_random_u64(&random) >> 40) * 0x1p-23f - 1);
}

/* Each weight is within half a step, whatever fp16 made of the step. */
static void check_q8_0(const float *w)
{
    unsigned char block[48]; /* a row of one block, up to its pitch */
    float back[PK_Q8_0_WEIGHTS];
    pk_quant_row(PK_QUANT_Q8_0, w, PK_Q8_0_WEIGHTS, block);
    pk_quant_row_to_float(PK_QUANT_Q8_0, block, PK_Q8_0_WEIGHTS, back);
    for (size_t i = 0; i < PK_Q8_0_WEIGHTS; i++)
        cr_assert(fabsf(back[i] - w[i]) <= 0.5001f * fp16_at(block), "%g came back as %g, step %g", (double)w[i],
                  (double)back[i], (double)fp16_at(block));
}

/* The scale that just holds the range is among those tried. Its step is d s, its scale and minimum are each off by half
 * of d or dmin (and d or dmin itself by half a unit of fp16, for which they are taken as whole): a weight by half a
 * step, by 15 d / 2 at the range's end, and by dmin / 2. Squares of a sub-block together are no more than 32 times that
 * weight's. */
static void check_q4_k(const float *w)
{
    unsigned char block[PK_Q4_K_BYTES];
    float back[PK_Q4_K_WEIGHTS];
    pk_quant_row(PK_QUANT_Q4_K, w, PK_Q4_K_WEIGHTS, block);
    pk_quant_row_to_float(PK_QUANT_Q4_K, block, PK_Q4_K_WEIGHTS, back);
    const double d = (double)fp16_at(block), dmin = (double)fp16_at(block + 2);
    for (size_t part = 0; part < PK_Q4_K_WEIGHTS; part += PK_Q4_K_PART_WEIGHTS) {
        double squares = 0, least = 0, most = -INFINITY;
        for (size_t i = part; i < part + PK_Q4_K_PART_WEIGHTS; i++) {
            squares += ((double)back[i] - (double)w[i]) * ((double)back[i] - (double)w[i]);
            least = fmin(least, (double)w[i]);
            most = fmax(most, (double)w[i]);
        }
        const double one = (most - least) / 30 + 8 * d + dmin;
        cr_assert(squares <= 32 * one * one, "sub-block %zu: %g over %g", part / 32, sqrt(squares / 32), one);
    }
}

Test(back, errors_are_within_steps)
{
    float w[PK_Q4_K_WEIGHTS];
    const float scales[] = {1, 0.05f, 1e-4f, 1e-6f, 3e-8f, 1000, 1e5f}, centres[] = {0, 1, -1};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
        for (size_t k = 0; k < 3; k++) {
            draw(w, PK_Q4_K_WEIGHTS, scales[i], centres[k] * scales[i], 10 * i + k);
            for (size_t part = 0; part < 8; part++) { /* sub-blocks of other sizes */
                for (size_t n = 0; n < 32; n++)
                    w[32 * part + n] *= (float)(part + 1) / 8;
                check_q8_0(w + 32 * part);
            }
            check_q4_k(w);
        }
}

/* A step of uniform weights is 1/15 of their range: a root mean square error of 1/sqrt(12) of that, and a search that
 * fits them no worse than by a fifth more. */
Test(back, q4_k_is_near_the_best_for_uniform_weights)
{
    enum { WEIGHTS = 64 * PK_Q4_K_WEIGHTS, BYTES = 64 * PK_Q4_K_BYTES };
    static float w[WEIGHTS], back[WEIGHTS];
    static unsigned char row[BYTES];
    double squares = 0;
    draw(w, WEIGHTS, 1, 0, 5);
    pk_quant_row(PK_QUANT_Q4_K, w, WEIGHTS, row);
    pk_quant_row_to_float(PK_QUANT_Q4_K, row, WEIGHTS, back);
    for (size_t i = 0; i < WEIGHTS; i++)
        squares += ((double)back[i] - (double)w[i]) * ((double)back[i] - (double)w[i]);
    const double rms = sqrt(squares / WEIGHTS), best = 2.0 / 15 / sqrt(12);
    cr_assert(rms < 1.2 * best, "%g, and uniform weights allow %g", rms, best);
}

/* ---- extremes ---- */

Test(extremes, zeros_constants_and_what_is_no_number)
{
    float w[PK_Q4_K_WEIGHTS] = {0}, back[PK_Q4_K_WEIGHTS];
    unsigned char block[8 * PK_Q8_0_BYTES];
    for (int format = PK_QUANT_Q8_0; format < PK_QUANTS; format++) {
        memset(w, 0, sizeof w);
        pk_quant_row((pk_quant)format, w, PK_Q4_K_WEIGHTS, block);
        pk_quant_row_to_float((pk_quant)format, block, PK_Q4_K_WEIGHTS, back);
        for (size_t i = 0; i < PK_Q4_K_WEIGHTS; i++)
            cr_assert(back[i] == 0);
        for (size_t i = 0; i < PK_Q4_K_WEIGHTS; i++)
            w[i] = i < 128 ? -3 : 5;
        w[17] = NAN;
        pk_quant_row((pk_quant)format, w, PK_Q4_K_WEIGHTS, block);
        pk_quant_row_to_float((pk_quant)format, block, PK_Q4_K_WEIGHTS, back);
        for (size_t i = 0; i < PK_Q4_K_WEIGHTS; i++)
            cr_assert(fabsf(back[i] - (isnan(w[i]) ? 0 : w[i])) < 0.05f, "weight %zu: %g", i, (double)back[i]);
        w[3] = INFINITY;
        w[4] = -3e38f;
        pk_quant_row((pk_quant)format, w, PK_Q4_K_WEIGHTS, block);
        pk_quant_row_to_float((pk_quant)format, block, PK_Q4_K_WEIGHTS, back);
        for (size_t i = 0; i < PK_Q4_K_WEIGHTS; i++)
            cr_assert(isfinite(back[i]), "weight %zu: %g", i, (double)back[i]);
        cr_assert(back[3] > 8e6f * (format == PK_QUANT_Q8_0 ? 1 : 0) && back[4] < -4e6f);
    }
}

Test(rows, from_bf16_is_as_from_floats_and_ends_in_zeros)
{
    uint16_t bf16[96];
    float w[96];
    unsigned char a[128], b[128];
    draw(w, 96, 1, 0, 3);
    for (size_t i = 0; i < 96; i++) {
        bf16[i] = pk_float_to_bf16(w[i]);
        w[i] = pk_bf16_to_float(bf16[i]);
    }
    memset(a, 0xaa, sizeof a);
    memset(b, 0x55, sizeof b);
    pk_quant_row(PK_QUANT_Q8_0, w, 96, a);
    pk_quant_row_bf16(PK_QUANT_Q8_0, bf16, 96, b);
    cr_assert_eq(memcmp(a, b, 112), 0);
    for (size_t i = 102; i < 112; i++)
        cr_assert_eq(a[i], 0);
    cr_assert_eq(a[112], 0xaa);
}

/* ---- a model ---- */

Test(models, matrices_are_in_blocks_and_the_rest_is_as_it_was)
{
    pk_model_config config;
    pk_model model, q;
    cr_assert_eq(pk_model_config_named("tiny-qwen2", &config), PK_OK);
    config.ffn = 256;
    cr_assert_eq(pk_model_random(&config, 1, &model), PK_OK);
    cr_assert_eq(pk_quant_model(&model, PK_QUANT_Q4_K, &q), PK_OK);
    cr_assert_eq(q.weights, PK_QUANT_Q4_K);
    cr_assert_eq(q.embedding, model.embedding);
    cr_assert_eq(q.layer[1].q_bias, model.layer[1].q_bias);
    cr_assert_eq(q.layer[1].o, model.layer[1].o, "112 columns are no whole number of blocks");
    cr_assert_neq(q.logits, model.embedding);
    unsigned char row[272];
    pk_quant_row_bf16(PK_QUANT_Q8_0, model.embedding + (size_t)255 * 64, 64, row); /* 64 columns */
    cr_assert_eq(memcmp(row, (const unsigned char *)q.logits + (size_t)255 * 80, 80), 0);
    pk_quant_row_bf16(PK_QUANT_Q4_K, model.layer[1].down + (size_t)7 * 256, 256, row);
    cr_assert_eq(memcmp(row, (const unsigned char *)q.layer[1].down + (size_t)7 * 144, 144), 0);
    pk_model_close(&q);
    pk_model_close(&model);
}

/* ---- the reference ---- */

/* Weights that Q8_0 holds exactly: from -127 to 127 steps of a power of two, each block with one that is 127. */
static void make_exact(pk_model *model)
{
    for (size_t i = 0; i < pk_model_tensor_count(&model->config); i++) {
        const pk_model_tensor tensor = pk_model_tensor_at(&model->config, i);
        uint16_t *const to = (uint16_t *)*pk_model_tensor_slot(model, i); /* memory of the model's own */
        for (size_t k = 0; tensor.rows > 1 && k < tensor.rows * tensor.columns; k++)
            to[k] =
                pk_float_to_bf16(k % 32 == 5 ? 127 * 0x1p-9f : (float)((int)(k * 2654435761u % 255) - 127) * 0x1p-9f);
    }
}

Test(reference, the_same_weights_in_blocks_give_the_same_logits)
{
    enum { TOKENS = 3 };
    static double want[TOKENS][256], got[TOKENS][256];
    const int tokens[TOKENS] = {7, 250, 31};
    pk_model_config config;
    pk_model model, q;
    cr_assert_eq(pk_model_config_named("tiny-qwen3", &config), PK_OK);
    cr_assert_eq(pk_model_random(&config, 1, &model), PK_OK);
    make_exact(&model);
    cr_assert_eq(pk_quant_model(&model, PK_QUANT_Q8_0, &q), PK_OK);
    cr_assert_neq(q.layer[0].down, model.layer[0].down);
    cr_assert_eq(pk_reference_logits(&model, tokens, TOKENS, 0, want[0]), PK_OK);
    cr_assert_eq(pk_reference_logits(&q, tokens, TOKENS, 0, got[0]), PK_OK);
    cr_assert_eq(memcmp(want, got, sizeof want), 0);
    pk_model_close(&q);
    pk_model_close(&model);
}
