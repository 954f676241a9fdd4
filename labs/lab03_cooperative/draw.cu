/* Lab 03: inputs drawn on the device, what a repetition begins with, and the comparison of the cache after it. */
#include "lab03_plain.cuh"
#include "lab03_reference.h"
#include "num/pk_random.h"
#include "num/pk_splitmix.h"

static const uint16_t POISON = 0xffff; /* a NaN */

#define PEAK 110.0f /* natural units of scores: e^110 is more than a float holds, e^-110 less than its least */
enum { MARKS = 5 }; /* components of K that say where a row is */

/* ---- drawing ---- */

enum { DRAW_K, DRAW_V, DRAW_K_NEW, DRAW_V_NEW, DRAW_Q, DRAW_KIND };

/* Uniform in [-limit, limit), a multiple of limit 2^-23. */
static __device__ inline float draw_float(unsigned long long seed, unsigned long long index, float limit)
{
    return limit * ((float)(pk_splitmix64(seed, index) >> 40) * 0x1p-23f - 1);
}

/* Uniform in [-1, 1], rounded to bf16, to nearest even; one in 32 is -0, and one in 32 a denormal. */
static __device__ inline uint16_t draw_bf16(unsigned long long seed, unsigned long long index)
{
    const unsigned kind = (unsigned)pk_splitmix64(seed, index) & 0xfff; /* the float takes the upper 24 bits */
    if (kind >> 7 == 0)
        return 0x8000;
    if (kind >> 7 == 1)
        return (uint16_t)((kind & 1) << 15 | (kind & 0x7f) >> 1 | 1);
    const unsigned bits = __float_as_uint(draw_float(seed, index, 1));
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static __device__ inline uint16_t bf16_of(float value) /* that has few bits */
{
    return (uint16_t)(__float_as_uint(value) >> 16);
}

/* Component d of K's row at `position` of a sequence that began with `length` keys: the first MARKS of them mark
 * where the row is, so that a query picks keys by their place; `drawn` elsewhere. */
static __device__ inline uint16_t marked_k(int d, int position, int length, uint16_t drawn)
{
    const bool marks[MARKS] = {true, position == 0, position == length / 2, position == length - 1, position >= length};
    return d < MARKS ? bf16_of(marks[d] ? 1 : 0) : drawn;
}

/* Component d of V's row at `position`: the first is 1 and -1 in turn, a sum that cancels. */
static __device__ inline uint16_t marked_v(int d, int position, uint16_t drawn)
{
    return d == 0 ? bf16_of(position % 2 ? -1 : 1) : drawn;
}

/* The position within its sequence of element i of a cache, and whose it is. */
static __device__ inline int position_of(const lab03_view *v, size_t i, int *sequence)
{
    const size_t row = i / v->head_dim, pair = row / v->capacity;
    *sequence = (int)(pair / v->kv_heads);
    return (int)(row % v->capacity);
}

/* What K and V hold there before step 0. */
static __device__ inline uint16_t first_k(const lab03_view *v, unsigned long long seed, size_t i, int position, int b)
{
    return marked_k((int)(i % v->head_dim), position, v->lengths[b], draw_bf16(seed, i));
}

static __device__ inline uint16_t first_v(const lab03_view *v, unsigned long long seed, size_t i, int position)
{
    return marked_v((int)(i % v->head_dim), position, draw_bf16(seed, i));
}

static __global__ void draw_cache(lab03_view v, unsigned long long k_seed, unsigned long long v_seed, size_t count)
{
    const size_t i = lab03_plain_index();
    if (i >= count)
        return;
    int b;
    const int position = position_of(&v, i, &b);
    if (position < v.lengths[b]) {
        v.k_cache[i] = first_k(&v, k_seed, i, position, b);
        v.v_cache[i] = first_v(&v, v_seed, i, position);
    }
}

static __global__ void draw_rows(lab03_view v, uint16_t *k_new, uint16_t *v_new, unsigned long long k_seed,
                                 unsigned long long v_seed, size_t count)
{
    const size_t i = lab03_plain_index(), row = i / v.head_dim;
    if (i >= count)
        return;
    const int d = (int)(i % v.head_dim), length = v.lengths[row / v.kv_heads % v.batch];
    const int position = length + (int)(row / v.kv_heads / v.batch);
    k_new[i] = marked_k(d, position, length, draw_bf16(k_seed, i));
    v_new[i] = marked_v(d, position, draw_bf16(v_seed, i));
}

/* Most queries are plain. Of 16, one each adds PEAK to the scores of all keys, of the first, the middle, the last
 * or the new ones, and one takes it from all. */
static __global__ void draw_queries(lab03_view v, float *q, unsigned long long seed, unsigned long long kinds,
                                    size_t count)
{
    const size_t i = lab03_plain_index(), d = i % v.head_dim;
    if (i >= count)
        return;
    const unsigned kind = (unsigned)(pk_splitmix64(kinds, i / v.head_dim) >> 60);
    const float peak = PEAK * sqrtf((float)v.head_dim);
    q[i] = draw_float(seed, i, LAB03_Q_LIMIT);
    if (kind < MARKS && d == kind)
        q[i] = peak;
    if (kind == MARKS && d == 0)
        q[i] = -peak;
}

/* Positions from `shortest` on, of every pair. */
static __global__ void poison_cache(lab03_view v, int shortest, size_t count)
{
    const size_t i = lab03_plain_index(), tail = (size_t)(v.capacity - shortest) * v.head_dim;
    if (i < LAB03_BARRIER_WORDS)
        v.barrier[i] = i == 0 ? v.barrier_start : 0;
    if (i >= count)
        return;
    const size_t at = i / tail * v.capacity * v.head_dim + (size_t)shortest * v.head_dim + i % tail;
    int b;
    const int position = position_of(&v, at, &b);
    if (position >= v.lengths[b])
        v.k_cache[at] = v.v_cache[at] = POISON;
}

static unsigned long long part_seed(const lab03 *lab, int part)
{
    return pk_random_split(lab->seed, (uint64_t)part);
}

extern "C" pk_status lab03_draw(const lab03 *lab, void *stream)
{
    const lab03_view *v = &lab->view;
    const size_t cache = lab03_cache_elements(v), q = lab03_outputs(v);
    const size_t rows = (size_t)v->steps * v->batch * v->kv_heads * v->head_dim;
    LAB03_PLAIN_LAUNCH(draw_cache, cache, 1, stream, *v, part_seed(lab, DRAW_K), part_seed(lab, DRAW_V), cache);
    LAB03_PLAIN_LAUNCH(draw_rows, rows, 1, stream, *v, (uint16_t *)v->k_new, (uint16_t *)v->v_new,
                       part_seed(lab, DRAW_K_NEW), part_seed(lab, DRAW_V_NEW), rows);
    LAB03_PLAIN_LAUNCH(draw_queries, q, 1, stream, *v, (float *)v->q_base, part_seed(lab, DRAW_Q),
                       part_seed(lab, DRAW_KIND), q);
    return PK_OK;
}

extern "C" pk_status lab03_poison(const lab03 *lab, void *stream)
{
    const lab03_view *v = &lab->view;
    const int shortest = lab03_shortest(lab);
    const size_t tails = (size_t)v->batch * v->kv_heads * (v->capacity - shortest) * v->head_dim;
    const size_t words = LAB03_BARRIER_WORDS, count = tails > words ? tails : words;
    LAB03_PLAIN_LAUNCH(poison_cache, count, 1, stream, *v, shortest, tails);
    return PK_OK;
}

/* ---- the cache ---- */

typedef struct cache_verdict {
    unsigned long long wrong, first;
} cache_verdict;

static __device__ inline void compare(uint16_t got, uint16_t want, size_t index, cache_verdict *verdict)
{
    if (got == want)
        return;
    atomicAdd(&verdict->wrong, 1ull);
    atomicMin(&verdict->first, (unsigned long long)index);
}

/* Both caches after the last step, against the rows they were drawn with, the new rows, and poison beyond. */
static __global__ void compare_caches(lab03_view v, unsigned long long k_seed, unsigned long long v_seed, size_t count,
                                      cache_verdict *verdict)
{
    const size_t i = lab03_plain_index();
    if (i >= count)
        return;
    int b;
    const int position = position_of(&v, i, &b), step = position - v.lengths[b];
    uint16_t k = POISON, x = POISON;
    if (step < 0) {
        k = first_k(&v, k_seed, i, position, b);
        x = first_v(&v, v_seed, i, position);
    } else if (step < v.steps) {
        const size_t g = i / v.head_dim / v.capacity % v.kv_heads;
        const size_t from = (((size_t)step * v.batch + b) * v.kv_heads + g) * v.head_dim + i % v.head_dim;
        k = v.k_new[from];
        x = v.v_new[from];
    }
    compare(v.k_cache[i], k, i, verdict);
    compare(v.v_cache[i], x, count + i, verdict);
}

static pk_status judge_caches(const lab03 *lab, cache_verdict *device, cache_verdict *found, void *stream)
{
    const size_t count = lab03_cache_elements(&lab->view);
    PK_TRY(pk_device_upload(device, found, sizeof *found, stream));
    LAB03_PLAIN_LAUNCH(compare_caches, count, 1, stream, lab->view, part_seed(lab, DRAW_K), part_seed(lab, DRAW_V),
                       count, device);
    PK_TRY(pk_device_download(found, device, sizeof *found, stream));
    return pk_device_stream_synchronize(stream);
}

extern "C" pk_status lab03_check_cache(const lab03 *lab, uint64_t *wrong, uint64_t *first, void *stream)
{
    void *device = NULL;
    cache_verdict found = {0, ~0ull};
    PK_TRY(pk_device_alloc(&device, sizeof found));
    const pk_status status = judge_caches(lab, (cache_verdict *)device, &found, stream);
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
