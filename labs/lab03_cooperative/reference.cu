/* Lab 03: inputs drawn on the device, the reference in double, and the comparison of the cache. One thread an element,
 * no barriers, no shared memory: what it computes can be read off the formulas in problem.c. */
#include "pk_gpu.h"

#include <math.h>

#include "lab03_reference.h"
#include "num/pk_random.h"

enum { THREADS = 128 };

/* PK_LAUNCH without counting: what the lab does for itself is no part of what a variant launches. */
#define OWN_LAUNCH(kernel, grid, block, smem, stream, ...)                                                             \
    do {                                                                                                               \
        PK_BACKEND_LAUNCH(kernel, grid, block, smem, stream, __VA_ARGS__);                                             \
        PK_CHECK(cudaGetLastError());                                                                                  \
    } while (0)

static const uint16_t POISON = 0xffff; /* a NaN */

/* ---- drawing ---- */

enum { DRAW_K, DRAW_V, DRAW_K_NEW, DRAW_V_NEW, DRAW_Q };

/* Number `index` of the sequence that `seed` begins: pk_random_split, on the device. */
static __device__ inline unsigned long long draw(unsigned long long seed, unsigned long long index)
{
    unsigned long long z = seed + (index + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Uniform in [-limit, limit), a multiple of limit 2^-23. */
static __device__ inline float draw_float(unsigned long long seed, unsigned long long index, float limit)
{
    return limit * ((float)(draw(seed, index) >> 40) * 0x1p-23f - 1);
}

/* Uniform in [-1, 1], rounded to bf16, to nearest even. */
static __device__ inline uint16_t draw_bf16(unsigned long long seed, unsigned long long index)
{
    const unsigned bits = __float_as_uint(draw_float(seed, index, 1));
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static __device__ inline size_t thread_index(void)
{
    return (size_t)blockIdx.x * blockDim.x + threadIdx.x;
}

/* The position within its sequence of element i of a cache, and whose it is. */
static __device__ inline int position_of(const lab03_view *v, size_t i, int *sequence)
{
    const size_t row = i / v->head_dim, pair = row / v->capacity;
    *sequence = (int)(pair / v->kv_heads);
    return (int)(row % v->capacity);
}

static __global__ void draw_cache(lab03_view v, unsigned long long k_seed, unsigned long long v_seed, size_t count)
{
    const size_t i = thread_index();
    if (i >= count)
        return;
    int b;
    const int position = position_of(&v, i, &b);
    if (position < v.lengths[b]) {
        v.k_cache[i] = draw_bf16(k_seed, i);
        v.v_cache[i] = draw_bf16(v_seed, i);
    }
}

static __global__ void draw_rows(uint16_t *rows, unsigned long long seed, size_t count)
{
    const size_t i = thread_index();
    if (i < count)
        rows[i] = draw_bf16(seed, i);
}

static __global__ void draw_queries(float *q, unsigned long long seed, float limit, size_t count)
{
    const size_t i = thread_index();
    if (i < count)
        q[i] = draw_float(seed, i, limit);
}

/* Positions from `shortest` on, of every pair. */
static __global__ void poison_cache(lab03_view v, int shortest, size_t count)
{
    const size_t i = thread_index(), tail = (size_t)(v.capacity - shortest) * v.head_dim;
    if (i < LAB03_BARRIER_WORDS)
        v.barrier[i] = 0;
    if (i >= count)
        return;
    const size_t at = i / tail * v.capacity * v.head_dim + (size_t)shortest * v.head_dim + i % tail;
    int b;
    const int position = position_of(&v, at, &b);
    if (position >= v.lengths[b])
        v.k_cache[at] = v.v_cache[at] = POISON;
}

static unsigned blocks_for(size_t count)
{
    return (unsigned)((count + THREADS - 1) / THREADS);
}

static unsigned long long part_seed(const lab03 *lab, int part)
{
    return pk_random_split(lab->seed, (uint64_t)part);
}

extern "C" pk_status lab03_draw(const lab03 *lab, void *stream)
{
    const lab03_view *v = &lab->view;
    const cudaStream_t s = (cudaStream_t)stream;
    const size_t cache = lab03_cache_elements(v), q = lab03_outputs(v);
    const size_t rows = (size_t)v->steps * v->batch * v->kv_heads * v->head_dim;
    OWN_LAUNCH(draw_cache, blocks_for(cache), THREADS, 0, s, *v, part_seed(lab, DRAW_K), part_seed(lab, DRAW_V), cache);
    OWN_LAUNCH(draw_rows, blocks_for(rows), THREADS, 0, s, (uint16_t *)v->k_new, part_seed(lab, DRAW_K_NEW), rows);
    OWN_LAUNCH(draw_rows, blocks_for(rows), THREADS, 0, s, (uint16_t *)v->v_new, part_seed(lab, DRAW_V_NEW), rows);
    OWN_LAUNCH(draw_queries, blocks_for(q), THREADS, 0, s, (float *)v->q_base, part_seed(lab, DRAW_Q), LAB03_Q_LIMIT,
               q);
    return PK_OK;
}

extern "C" pk_status lab03_poison(const lab03 *lab, void *stream)
{
    const lab03_view *v = &lab->view;
    int shortest = lab->host_lengths[0];
    for (int b = 1; b < v->batch; b++)
        shortest = lab->host_lengths[b] < shortest ? lab->host_lengths[b] : shortest;
    const size_t tails = (size_t)v->batch * v->kv_heads * (v->capacity - shortest) * v->head_dim;
    const size_t words = LAB03_BARRIER_WORDS, count = tails > words ? tails : words;
    OWN_LAUNCH(poison_cache, blocks_for(count), THREADS, 0, (cudaStream_t)stream, *v, shortest, tails);
    return PK_OK;
}

/* ---- the reference ---- */

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
    const size_t i = thread_index();
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
    const int key = (int)thread_index(), bh = blockIdx.y, b = bh / v.heads, h = bh % v.heads;
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
    const size_t i = thread_index();
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
    const int key = (int)thread_index(), bh = blockIdx.y;
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
    const size_t i = thread_index();
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
    const size_t i = thread_index(), bh = i / v.head_dim;
    const int d = (int)(i % v.head_dim);
    if (i < (size_t)v.batch * v.heads * v.head_dim)
        r.out[i] =
            sum_slices(r.weighted, bh, d, r.slices, v.head_dim) / sum_slices(r.total, bh, d, r.slices, v.head_dim);
}

static __global__ void reference_spread(lab03_view v, reference r, int step)
{
    const size_t i = thread_index();
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
    const size_t i = thread_index(), bh = i / v.head_dim;
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
    const dim3 keys(blocks_for((size_t)longest + step + 1), (unsigned)pairs);
    OWN_LAUNCH(reference_query, blocks_for(outputs), THREADS, 0, s, *v, *r, step);
    OWN_LAUNCH(reference_scores, keys, THREADS, 0, s, *v, *r, step);
    OWN_LAUNCH(reference_extremes, blocks_for(pairs * r->slices), THREADS, 0, s, *v, *r, step);
    OWN_LAUNCH(reference_weights, keys, THREADS, 0, s, *v, *r, step);
    OWN_LAUNCH(reference_sums, blocks_for(outputs * r->slices), THREADS, 0, s, *v, *r, step);
    OWN_LAUNCH(reference_output, blocks_for(outputs), THREADS, 0, s, *v, *r);
    OWN_LAUNCH(reference_spread, blocks_for(outputs * r->slices), THREADS, 0, s, *v, *r, step);
    OWN_LAUNCH(reference_error, blocks_for(outputs), THREADS, 0, s, *v, *r, step);
    return PK_OK;
}

static int longest_length(const lab03 *lab)
{
    int longest = 0;
    for (int b = 0; b < lab->view.batch; b++)
        longest = lab->host_lengths[b] > longest ? lab->host_lengths[b] : longest;
    return longest;
}

static pk_status reference_steps(const lab03 *lab, const reference *r, double *want, double *bound, void *stream)
{
    const lab03_view *v = &lab->view;
    const size_t outputs = (size_t)v->batch * v->heads * v->head_dim;
    for (int step = 0; step < v->steps; step++) {
        PK_TRY(reference_step(v, r, step, longest_length(lab), (cudaStream_t)stream));
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

/* ---- the cache ---- */

typedef struct cache_verdict {
    unsigned long long wrong, first;
} cache_verdict;

/* `cache` after the last step, against the rows it was drawn from, the new rows, and poison beyond. */
static __global__ void compare_cache(lab03_view v, const uint16_t *cache, const uint16_t *fresh,
                                     unsigned long long seed, size_t count, size_t offset, cache_verdict *verdict)
{
    const size_t i = thread_index();
    if (i >= count)
        return;
    int b;
    const int position = position_of(&v, i, &b), step = position - v.lengths[b];
    uint16_t want = POISON;
    if (step < 0) {
        want = draw_bf16(seed, i);
    } else if (step < v.steps) {
        const size_t g = i / v.head_dim / v.capacity % v.kv_heads;
        want = fresh[(((size_t)step * v.batch + b) * v.kv_heads + g) * v.head_dim + i % v.head_dim];
    }
    if (cache[i] == want)
        return;
    atomicAdd(&verdict->wrong, 1ull);
    atomicMin(&verdict->first, (unsigned long long)(offset + i));
}

static pk_status compare_caches(const lab03 *lab, cache_verdict *device, cache_verdict *found, void *stream)
{
    const lab03_view *v = &lab->view;
    const cudaStream_t s = (cudaStream_t)stream;
    const size_t count = lab03_cache_elements(v), none = 0;
    PK_TRY(pk_device_upload(device, found, sizeof *found, stream));
    OWN_LAUNCH(compare_cache, blocks_for(count), THREADS, 0, s, *v, v->k_cache, v->k_new, part_seed(lab, DRAW_K), count,
               none, device);
    OWN_LAUNCH(compare_cache, blocks_for(count), THREADS, 0, s, *v, v->v_cache, v->v_new, part_seed(lab, DRAW_V), count,
               count, device);
    PK_TRY(pk_device_download(found, device, sizeof *found, stream));
    return pk_device_stream_synchronize(stream);
}

extern "C" pk_status lab03_check_cache(const lab03 *lab, uint64_t *wrong, uint64_t *first, void *stream)
{
    void *device = NULL;
    cache_verdict found = {0, ~0ull};
    PK_TRY(pk_device_alloc(&device, sizeof found));
    const pk_status status = compare_caches(lab, (cache_verdict *)device, &found, stream);
    pk_device_free(device);
    *wrong = found.wrong;
    *first = found.first;
    return status;
}

extern "C" pk_status lab03_threads_per_processor(int *threads)
{
    int device;
    PK_CHECK(cudaGetDevice(&device));
    PK_CHECK(cudaDeviceGetAttribute(threads, cudaDevAttrMaxThreadsPerMultiProcessor, device));
    return PK_OK;
}
