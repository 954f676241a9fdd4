/* Lab 03: the reference in double, on the device. Plain kernels of a thread an element: what they compute can be read
 * off the formulas in inputs.c. */
#include "lab03_plain.cuh"

#include <math.h>

#include "lab03_reference.h"

/* One step's quantities, in device memory. `slices` cut the keys: slice s has those from s * n / slices on. */
typedef struct reference {
    int slices;
    int threads;    /* of a block of the variants */
    double *q, *dq; /* [B][H][D]: the query, and what a right one may be off */
    double *score,
        *delta;          /* [B][H][capacity]: the score, then its weight e^(score - max); its error, then e^error - 1 */
    double *top, *worst; /* [B][H][slices]: the slice's largest score and error */
    double *weighted, *absolute, *total, *spread; /* [B][H][slices][D]: sums over the slice; total the same in all D */
    double *out, *error;                          /* [B][H][D]: the step before's, and this one's */
} reference;

enum { REFERENCE_ARRAYS = 12 };

static __device__ inline double bf16_to_double(uint16_t bits)
{
    return (double)__uint_as_float((unsigned)bits << 16);
}

/* K's or V's row of key `key` for (b, h): `rows` is the cache, `fresh` the new rows, which are read here for the steps
 * before too: the reference runs before anything was appended. */
static __device__ inline const uint16_t *row_of(const lab03_view *v, const uint16_t *rows, const uint16_t *fresh, int b,
                                                int h, int key)
{
    const int g = h / v->ratio, length = v->lengths[b];
    if (key < length)
        return rows + (((size_t)b * v->kv_heads + g) * v->capacity + key) * v->head_dim;
    return fresh + (((size_t)(key - length) * v->batch + b) * v->kv_heads + g) * v->head_dim;
}

static __global__ void reference_query(lab03_view v, reference r, int step)
{
    const size_t i = lab03_plain_index();
    if (i >= (size_t)v.batch * v.heads * v.head_dim)
        return;
    const int d = (int)(i % v.head_dim), h = (int)(i / v.head_dim % v.heads), b = (int)(i / v.head_dim / v.heads);
    double q = v.q_base[(size_t)step * v.batch * v.heads * v.head_dim + i], dq = 0;
    if (step > 0) {
        const int from = v.source[h * v.head_dim + d];
        const size_t head = ((size_t)b * v.heads + (h + 1) % v.heads) * v.head_dim;
        const size_t j = head + (from >= 0 ? from : ~from);
        q += LAB03_ALPHA * (from >= 0 ? r.out[j] : -r.out[j]);
        dq = lab03_query_error(r.error[j], q);
    }
    r.q[i] = q;
    r.dq[i] = dq;
}

static __global__ void reference_scores(lab03_view v, reference r, int step)
{
    const int key = (int)lab03_plain_index(), bh = blockIdx.y, b = bh / v.heads, h = bh % v.heads;
    if (key >= v.lengths[b] + step + 1)
        return;
    const uint16_t *k = row_of(&v, v.k_cache, v.k_new, b, h, key);
    const double scale = 1 / sqrt((double)v.head_dim);
    double score = 0, absolute = 0, moved = 0;
    for (int d = 0; d < v.head_dim; d++) {
        const double kd = bf16_to_double(k[d]), q = r.q[(size_t)bh * v.head_dim + d];
        score += q * kd;
        absolute += fabs(q * kd);
        moved += fabs(kd) * r.dq[(size_t)bh * v.head_dim + d];
    }
    r.score[(size_t)bh * v.capacity + key] = scale * score;
    /* without the part that depends on the maximum, which is not known yet */
    r.delta[(size_t)bh * v.capacity + key] = lab03_score_error(v.head_dim, scale * moved, scale * absolute, 0);
}

static __device__ inline int slice_begin(int keys, int slice, int slices)
{
    return (int)((long long)keys * slice / slices);
}

static __global__ void reference_extremes(lab03_view v, reference r, int step)
{
    const size_t i = lab03_plain_index();
    if (i >= (size_t)v.batch * v.heads * r.slices)
        return;
    const int slice = (int)(i % r.slices);
    const size_t bh = i / r.slices;
    const int keys = v.lengths[bh / v.heads] + step + 1;
    double top = -INFINITY, worst = 0;
    for (int key = slice_begin(keys, slice, r.slices); key < slice_begin(keys, slice + 1, r.slices); key++) {
        top = fmax(top, r.score[bh * v.capacity + key]);
        worst = fmax(worst, r.delta[bh * v.capacity + key]);
    }
    r.top[i] = top;
    r.worst[i] = worst;
}

static __device__ inline double largest(const double *values, int count)
{
    double top = values[0];
    for (int i = 1; i < count; i++)
        top = fmax(top, values[i]);
    return top;
}

static __global__ void reference_weights(lab03_view v, reference r, int step)
{
    const int key = (int)lab03_plain_index(), bh = blockIdx.y;
    if (key >= v.lengths[bh / v.heads] + step + 1)
        return;
    const size_t i = (size_t)bh * v.capacity + key;
    const double below = largest(r.top + (size_t)bh * r.slices, r.slices) - r.score[i];
    const double rest = lab03_score_error(v.head_dim, 0, 0, below) - lab03_score_error(v.head_dim, 0, 0, 0);
    r.score[i] = exp(-below);
    r.delta[i] = expm1(r.delta[i] + rest);
}

static __global__ void reference_sums(lab03_view v, reference r, int step)
{
    const size_t i = lab03_plain_index();
    if (i >= (size_t)v.batch * v.heads * r.slices * v.head_dim)
        return;
    const int d = (int)(i % v.head_dim), slice = (int)(i / v.head_dim % r.slices);
    const int bh = (int)(i / v.head_dim / r.slices), b = bh / v.heads, keys = v.lengths[b] + step + 1;
    double weighted = 0, absolute = 0, total = 0;
    for (int key = slice_begin(keys, slice, r.slices); key < slice_begin(keys, slice + 1, r.slices); key++) {
        const double p = r.score[(size_t)bh * v.capacity + key];
        const double x = bf16_to_double(row_of(&v, v.v_cache, v.v_new, b, bh % v.heads, key)[d]);
        weighted += p * x;
        absolute += p * fabs(x);
        total += p;
    }
    r.weighted[i] = weighted;
    r.absolute[i] = absolute;
    r.total[i] = total;
}

static __device__ inline double sum_slices(const double *values, size_t bh, int d, int slices, int head_dim)
{
    double sum = 0;
    for (int slice = 0; slice < slices; slice++)
        sum += values[(bh * slices + slice) * head_dim + d];
    return sum;
}

static __global__ void reference_output(lab03_view v, reference r)
{
    const size_t i = lab03_plain_index(), bh = i / v.head_dim;
    const int d = (int)(i % v.head_dim);
    if (i < (size_t)v.batch * v.heads * v.head_dim)
        r.out[i] =
            sum_slices(r.weighted, bh, d, r.slices, v.head_dim) / sum_slices(r.total, bh, d, r.slices, v.head_dim);
}

static __global__ void reference_spread(lab03_view v, reference r, int step)
{
    const size_t i = lab03_plain_index();
    if (i >= (size_t)v.batch * v.heads * r.slices * v.head_dim)
        return;
    const int d = (int)(i % v.head_dim), slice = (int)(i / v.head_dim % r.slices);
    const int bh = (int)(i / v.head_dim / r.slices), b = bh / v.heads, keys = v.lengths[b] + step + 1;
    const double out = r.out[(size_t)bh * v.head_dim + d];
    double spread = 0;
    for (int key = slice_begin(keys, slice, r.slices); key < slice_begin(keys, slice + 1, r.slices); key++) {
        const size_t at = (size_t)bh * v.capacity + key;
        const double x = bf16_to_double(row_of(&v, v.v_cache, v.v_new, b, bh % v.heads, key)[d]);
        spread += r.score[at] * r.delta[at] * fabs(x - out);
    }
    r.spread[i] = spread;
}

static __global__ void reference_error(lab03_view v, reference r, int step)
{
    const size_t i = lab03_plain_index(), bh = i / v.head_dim;
    const int d = (int)(i % v.head_dim);
    if (i >= (size_t)v.batch * v.heads * v.head_dim)
        return;
    const double total = sum_slices(r.total, bh, d, r.slices, v.head_dim);
    const double spread = sum_slices(r.spread, bh, d, r.slices, v.head_dim) / total;
    const double absolute = sum_slices(r.absolute, bh, d, r.slices, v.head_dim) / total;
    const double delta = largest(r.worst + bh * r.slices, r.slices);
    r.error[i] = lab03_output_error(v.lengths[bh / v.heads] + step + 1, r.threads, spread, absolute, r.out[i], delta);
}

static pk_status reference_step(const lab03_view *v, const reference *r, int step, int longest, cudaStream_t s)
{
    const size_t pairs = (size_t)v->batch * v->heads, outputs = pairs * v->head_dim;
    const size_t keys = (size_t)longest + step + 1;
    LAB03_PLAIN_LAUNCH(reference_query, outputs, 1, s, *v, *r, step);
    LAB03_PLAIN_LAUNCH(reference_scores, keys, pairs, s, *v, *r, step);
    LAB03_PLAIN_LAUNCH(reference_extremes, pairs * r->slices, 1, s, *v, *r, step);
    LAB03_PLAIN_LAUNCH(reference_weights, keys, pairs, s, *v, *r, step);
    LAB03_PLAIN_LAUNCH(reference_sums, outputs * r->slices, 1, s, *v, *r, step);
    LAB03_PLAIN_LAUNCH(reference_output, outputs, 1, s, *v, *r);
    LAB03_PLAIN_LAUNCH(reference_spread, outputs * r->slices, 1, s, *v, *r, step);
    LAB03_PLAIN_LAUNCH(reference_error, outputs, 1, s, *v, *r, step);
    return PK_OK;
}

static pk_status reference_steps(const lab03 *lab, const reference *r, double *want, double *bound, void *stream)
{
    const lab03_view *v = &lab->view;
    const size_t outputs = (size_t)v->batch * v->heads * v->head_dim;
    for (int step = 0; step < v->steps; step++) {
        PK_TRY(reference_step(v, r, step, lab03_longest(lab), (cudaStream_t)stream));
        PK_TRY(pk_device_download(want + step * outputs, r->out, outputs * sizeof(double), stream));
        PK_TRY(pk_device_download(bound + step * outputs, r->error, outputs * sizeof(double), stream));
    }
    return pk_device_stream_synchronize(stream);
}

extern "C" pk_status lab03_reference(const lab03 *lab, double *want, double *bound, void *stream)
{
    enum { KEYS_A_SLICE = 64, MOST_SLICES = 128 };
    const lab03_view *v = &lab->view;
    const size_t pairs = (size_t)v->batch * v->heads, outputs = pairs * v->head_dim;
    reference r;
    r.threads = lab->threads;
    r.slices = v->capacity / KEYS_A_SLICE;
    r.slices = r.slices < 1 ? 1 : r.slices > MOST_SLICES ? MOST_SLICES : r.slices;
    const size_t scores = pairs * v->capacity, slices = pairs * r.slices, sums = slices * v->head_dim;
    struct {
        double **array;
        size_t count;
    } parts[REFERENCE_ARRAYS] = {
        {&r.q, outputs},  {&r.dq, outputs},   {&r.score, scores},  {&r.delta, scores},
        {&r.top, slices}, {&r.worst, slices}, {&r.weighted, sums}, {&r.absolute, sums},
        {&r.total, sums}, {&r.spread, sums},  {&r.out, outputs},   {&r.error, outputs},
    };
    size_t total = 0;
    for (int i = 0; i < REFERENCE_ARRAYS; i++)
        total += parts[i].count;
    void *memory = NULL;
    PK_TRY(pk_device_alloc(&memory, total * sizeof(double)));
    double *next = (double *)memory;
    for (int i = 0; i < REFERENCE_ARRAYS; i++) {
        *parts[i].array = next;
        next += parts[i].count;
    }
    const pk_status status = reference_steps(lab, &r, want, bound, stream);
    pk_device_free(memory);
    return status;
}
