/* Lab 03, cooperative kernel: inputs, and the reference with its error bound.
 *
 * Amplitudes. k and v are uniform in [-1, 1], q_base in [-8, 8], all seeded. Scores q . k / sqrt(D) then have a
 * standard deviation of 8 / 3: a few keys dominate each softmax, outputs are of the order of 0.1 to 1 and change from
 * step to step. A query that is a step old is another query altogether, and the difference shows in the first digit.
 *
 * What is not so tame (draw.cu). Some queries of each step add 110 to the scores of all keys, or take it away, or add
 * it to one key's: the first, the middle, the last or the new one. e^110 is no float and e^-110 is 0, so a softmax
 * needs the maximum of all its keys, wherever that is. Five components of k mark such keys. One component of v is 1 and
 * -1 in turn, a sum that cancels; a few elements are -0 or denormals. None is infinite: a score would be no number.
 * What is beyond a sequence's end in the cache is NaN.
 *
 * The bound. Let a right result have q_d off by dq_d. Its score i is then off by at most, with s = 1 / sqrt(D), u =
 * 2^-24, delta_i = s sum_d |k_id| dq_d                    q was off
 *           + (D + 8) u s sum_d |q_d k_id|           D products added in any order; the scale, and log2(e), rounded
 *           + u (8 + 6 R + 4 (max - s_i + 1))        2^x is good to 2 units of the last place, here and whenever a sum
 *                                                    is rescaled, R times at most; x = s_i - max was itself rounded
 * The maximum of n keys in random order rises H_n times, 12 for n = 10^5: R = 40 is never seen. Weights p_i become
 * p_i e^eps_i with |eps_i| <= delta_i, and as sum p_i (v_i - out) = 0, out moves by
 *   |sum p_i (e^eps_i - 1) (v_i - out)| / sum p_i e^eps_i <= e^max(delta) sum p_i (e^delta_i - 1) |v_i - out|,  sum p
 * = 1. The sums over keys add u (64 + n / a) (sum p_i |v_i| + |out|): in every variant each group of 16 lanes or fewer
 * of a block has sums of its own, so there are at least a = threads / 16 of them; 64 is for merging them. Then dq of
 * the next step is ALPHA times this, and u for the addition.
 *
 * That recursion contracts: dq grows by ALPHA s sum_d |k_id| sum_i p_i |v_i - out|, about 1/4 sqrt(D) / 2 * 1/2 = 0.7
 * for D = 128, when every rounding error conspires. So the bound stays below 1e-2 however many steps there are. All of
 * it is computed with the actual values, in double, beside the reference (reference.cu); here, in C, once more at
 * small sizes, so that the kernels are checked by something that is not a kernel. */
#include <math.h>
#include <stdlib.h>

#include "lab03_problem.h"
#include "lab03_reference.h"
#include "num/pk_half.h"
#include "num/pk_random.h"

/* ---- inputs ---- */

enum { SEED_LENGTHS = 100, SEED_SOURCES }; /* parts of the seed, beside draw.cu's */

static void draw_lengths(lab03 *lab, int longest)
{
    pk_random random;
    pk_random_seed(&random, pk_random_split(lab->seed, SEED_LENGTHS));
    const int spread = (int)((long long)longest * lab->ragged / 100);
    for (int b = 0; b < lab->view.batch; b++) {
        const int shorter = b == 0 ? 0 : (int)pk_random_below(&random, (uint64_t)spread + 1);
        lab->host_lengths[b] = shorter < longest ? longest - shorter : 1;
    }
}

/* Where each sequence begins in the line of tiles, step by step. */
static void lay_line(lab03 *lab)
{
    const lab03_view *v = &lab->view;
    for (int step = 0; step < v->steps; step++) {
        int *line = lab->host_line + (size_t)step * (size_t)(v->batch + 1);
        line[0] = 0;
        for (int b = 0; b < v->batch; b++) {
            const int tiles = (lab->host_lengths[b] + step + v->block_k) / v->block_k;
            line[b + 1] = line[b] + tiles * v->units;
        }
    }
}

/* A permutation of D with signs for each head. */
static void draw_sources(lab03 *lab)
{
    const int dim = lab->view.head_dim;
    pk_random random;
    pk_random_seed(&random, pk_random_split(lab->seed, SEED_SOURCES));
    for (int h = 0; h < lab->view.heads; h++) {
        int *source = lab->host_source + (size_t)h * (size_t)dim;
        for (int d = 0; d < dim; d++) {
            const int at = (int)pk_random_below(&random, (uint64_t)d + 1);
            source[d] = source[at];
            source[at] = d;
        }
        for (int d = 0; d < dim; d++)
            source[d] = pk_random_below(&random, 2) ? source[d] : ~source[d];
    }
}

static pk_status upload_tables(const lab03 *lab, void *stream)
{
    const lab03_view *v = &lab->view;
    const size_t batch = (size_t)v->batch, line = (size_t)v->steps * (batch + 1);
    pk_status status = pk_device_upload((int *)v->lengths, lab->host_lengths, batch * sizeof(int), stream);
    if (status == PK_OK)
        status = pk_device_upload((int *)v->line, lab->host_line, line * sizeof(int), stream);
    if (status == PK_OK)
        status = pk_device_upload((int *)v->source, lab->host_source,
                                  (size_t)v->heads * (size_t)v->head_dim * sizeof(int), stream);
    return status;
}

/* ---- the reference once more, in C ---- */

typedef struct host_inputs {
    const lab03_expected *expected; /* what the kernels gave */
    uint16_t *k_cache, *v_cache, *k_new, *v_new;
    float *q_base;
} host_inputs;

/* Beyond so many products the C loop would take longer than all the rest. */
static const double MOST_CHECKED_PRODUCTS = 1 << 26;

static const uint16_t *host_row_of(const lab03 *lab, const uint16_t *cache, const uint16_t *fresh, int b, int h,
                                   int key)
{
    const lab03_view *v = &lab->view;
    const size_t g = (size_t)(h / v->ratio), kv_heads = (size_t)v->kv_heads, row = (size_t)b * kv_heads + g;
    const int length = lab->host_lengths[b];
    if (key < length)
        return cache + (row * (size_t)v->capacity + (size_t)key) * (size_t)v->head_dim;
    return fresh + ((size_t)(key - length) * (size_t)v->batch * kv_heads + row) * (size_t)v->head_dim;
}

/* Scores of (b, h), then weights, in weight [keys]; e^delta - 1 in delta [keys]. Returns the largest delta. */
static double host_weights(const lab03 *lab, const host_inputs *in, int b, int h, int keys, const double *q,
                           const double *dq, double *weight, double *delta)
{
    const int dim = lab->view.head_dim;
    const double scale = 1 / sqrt((double)dim);
    double top = -INFINITY, worst = 0;
    for (int i = 0; i < keys; i++) {
        const uint16_t *k = host_row_of(lab, in->k_cache, in->k_new, b, h, i);
        double score = 0, moved = 0, absolute = 0;
        for (int d = 0; d < dim; d++) {
            const double kd = (double)pk_bf16_to_float(k[d]);
            score += scale * q[d] * kd;
            moved += scale * fabs(kd) * dq[d];
            absolute += scale * fabs(q[d] * kd);
        }
        weight[i] = score;
        delta[i] = moved + (dim + 8) * LAB03_U * absolute;
        top = fmax(top, score);
    }
    for (int i = 0; i < keys; i++) {
        const double below = top - weight[i];
        worst = fmax(worst, delta[i] + LAB03_U * (12 + 6 * LAB03_RESCALES));
        delta[i] = expm1(delta[i] + LAB03_U * (8 + 6 * LAB03_RESCALES + 4 * (below + 1)));
        weight[i] = exp(-below);
    }
    return worst;
}

/* One component of the output of (b, h), and what it may be off. */
static double host_output(const lab03 *lab, const host_inputs *in, int b, int h, int d, int keys, const double *weight,
                          const double *delta, double worst, double *bound)
{
    double out = 0, total = 0, absolute = 0, spread = 0;
    for (int i = 0; i < keys; i++) {
        const double x = (double)pk_bf16_to_float(host_row_of(lab, in->v_cache, in->v_new, b, h, i)[d]);
        out += weight[i] * x;
        absolute += weight[i] * fabs(x);
        total += weight[i];
    }
    out /= total;
    for (int i = 0; i < keys; i++) {
        const double x = (double)pk_bf16_to_float(host_row_of(lab, in->v_cache, in->v_new, b, h, i)[d]);
        spread += weight[i] * delta[i] * fabs(x - out);
    }
    *bound = lab03_output_error(keys, lab->threads, spread / total, absolute / total, out, worst);
    return out;
}

/* q and dq [D] of (b, h) at `step`, from the outputs of the step before. */
static void host_query(const lab03 *lab, const host_inputs *in, int step, int b, int h, double *q, double *dq)
{
    const lab03_view *v = &lab->view;
    const size_t dim = (size_t)v->head_dim, heads = (size_t)v->heads, outputs = (size_t)v->batch * heads * dim;
    const size_t at = (size_t)step * outputs + ((size_t)b * heads + (size_t)h) * dim;
    for (size_t d = 0; d < dim; d++) {
        q[d] = (double)in->q_base[at + d];
        dq[d] = 0;
        if (step == 0)
            continue;
        const int from = lab->host_source[(size_t)h * dim + d];
        const size_t head = (size_t)(step - 1) * outputs + ((size_t)b * heads + (size_t)((h + 1) % v->heads)) * dim;
        const size_t j = head + (size_t)(from >= 0 ? from : ~from);
        q[d] += (double)LAB03_ALPHA * (from >= 0 ? in->expected->want[j] : -in->expected->want[j]);
        dq[d] = lab03_query_error(in->expected->bound[j], q[d]);
    }
}

/* Each step in C from the kernels' outputs of the step before, so that differences do not add up. */
static pk_status compare_with_host(const lab03 *lab, const host_inputs *in, double *scratch)
{
    const lab03_view *v = &lab->view;
    const size_t dim = (size_t)v->head_dim;
    double *q = scratch, *dq = q + dim, *weight = dq + dim, *delta = weight + v->capacity;
    size_t at = 0;
    for (int step = 0; step < v->steps; step++) {
        for (int bh = 0; bh < v->batch * v->heads; bh++) {
            const int b = bh / v->heads, h = bh % v->heads, keys = lab->host_lengths[b] + step + 1;
            host_query(lab, in, step, b, h, q, dq);
            const double worst = host_weights(lab, in, b, h, keys, q, dq, weight, delta);
            for (int d = 0; d < v->head_dim; d++, at++) {
                double bound;
                const double out = host_output(lab, in, b, h, d, keys, weight, delta, worst, &bound);
                if (!(fabs(out - in->expected->want[at]) <= 1e-10 &&
                      fabs(bound - in->expected->bound[at]) <= 1e-6 * bound))
                    return pk_fail(
                        PK_FAULT,
                        "lab03: the reference of the device and that of the host differ at step %d, sequence "
                        "%d, head %d, component %d: %.17g and %.17g, bounds %.9g and %.9g: one of them is wrong",
                        step, b, h, d, in->expected->want[at], out, in->expected->bound[at], bound);
            }
        }
    }
    return PK_OK;
}

static pk_status check_reference(const lab03 *lab, const lab03_expected *expected, void *stream)
{
    const lab03_view *v = &lab->view;
    const size_t cache = lab03_cache_elements(v), outputs = lab03_outputs(v);
    const size_t rows = (size_t)v->steps * (size_t)v->batch * (size_t)v->kv_heads * (size_t)v->head_dim;
    if ((double)outputs * (double)v->capacity > MOST_CHECKED_PRODUCTS)
        return PK_OK;
    host_inputs in = {expected,
                      malloc(cache * sizeof(uint16_t)),
                      malloc(cache * sizeof(uint16_t)),
                      malloc(rows * sizeof(uint16_t)),
                      malloc(rows * sizeof(uint16_t)),
                      malloc(outputs * sizeof(float))};
    double *scratch = malloc(2 * (size_t)(v->head_dim + v->capacity) * sizeof *scratch);
    pk_status status = PK_OK;
    if (!in.k_cache || !in.v_cache || !in.k_new || !in.v_new || !in.q_base || !scratch)
        status = pk_out_of_memory("lab03");
    if (status == PK_OK)
        status = pk_device_download(in.k_cache, v->k_cache, cache * sizeof(uint16_t), stream);
    if (status == PK_OK)
        status = pk_device_download(in.v_cache, v->v_cache, cache * sizeof(uint16_t), stream);
    if (status == PK_OK)
        status = pk_device_download(in.k_new, v->k_new, rows * sizeof(uint16_t), stream);
    if (status == PK_OK)
        status = pk_device_download(in.v_new, v->v_new, rows * sizeof(uint16_t), stream);
    if (status == PK_OK)
        status = pk_device_download(in.q_base, v->q_base, outputs * sizeof(float), stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    if (status == PK_OK)
        status = compare_with_host(lab, &in, scratch);
    free(in.k_cache);
    free(in.v_cache);
    free(in.k_new);
    free(in.v_new);
    free(in.q_base);
    free(scratch);
    return status;
}

pk_status lab03_fill(pk_run *run, uint64_t seed)
{
    lab03 *lab = pk_run_lab_data(run);
    lab03_expected *expected = pk_run_reference(run);
    void *stream = pk_run_stream(run);
    lab->seed = seed;
    lab03_forget_seen(expected);
    draw_lengths(lab, lab03_knob(run, "seq-len"));
    lay_line(lab);
    draw_sources(lab);
    pk_status status = upload_tables(lab, stream);
    if (status == PK_OK)
        status = lab03_draw(lab, stream);
    if (status == PK_OK)
        status = lab03_reference(lab, expected->want, expected->bound, stream);
    return status == PK_OK ? check_reference(lab, expected, stream) : status;
}
