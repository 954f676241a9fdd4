/* Lab 03: inputs drawn on the device, what a repetition begins with, and the comparison of the cache after it. */
#include "lab03_plain.cuh"
#include "lab03_reference.h"
#include "num/pk_random.h"

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

/* The position within its sequence of element i of a cache, and whose it is. */
static __device__ inline int position_of(const lab03_view *v, size_t i, int *sequence)
{
    const size_t row = i / v->head_dim, pair = row / v->capacity;
    *sequence = (int)(pair / v->kv_heads);
    return (int)(row % v->capacity);
}

static __global__ void draw_cache(lab03_view v, unsigned long long k_seed, unsigned long long v_seed, size_t count)
{
    const size_t i = lab03_plain_index();
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
    const size_t i = lab03_plain_index();
    if (i < count)
        rows[i] = draw_bf16(seed, i);
}

static __global__ void draw_queries(float *q, unsigned long long seed, float limit, size_t count)
{
    const size_t i = lab03_plain_index();
    if (i < count)
        q[i] = draw_float(seed, i, limit);
}

/* Positions from `shortest` on, of every pair. */
static __global__ void poison_cache(lab03_view v, int shortest, size_t count)
{
    const size_t i = lab03_plain_index(), tail = (size_t)(v.capacity - shortest) * v.head_dim;
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
    LAB03_PLAIN_LAUNCH(draw_rows, rows, 1, stream, (uint16_t *)v->k_new, part_seed(lab, DRAW_K_NEW), rows);
    LAB03_PLAIN_LAUNCH(draw_rows, rows, 1, stream, (uint16_t *)v->v_new, part_seed(lab, DRAW_V_NEW), rows);
    LAB03_PLAIN_LAUNCH(draw_queries, q, 1, stream, (float *)v->q_base, part_seed(lab, DRAW_Q), LAB03_Q_LIMIT, q);
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

/* `cache` after the last step, against the rows it was drawn from, the new rows, and poison beyond. */
static __global__ void compare_cache(lab03_view v, const uint16_t *cache, const uint16_t *fresh,
                                     unsigned long long seed, size_t count, size_t offset, cache_verdict *verdict)
{
    const size_t i = lab03_plain_index();
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
    const size_t count = lab03_cache_elements(v), none = 0;
    PK_TRY(pk_device_upload(device, found, sizeof *found, stream));
    LAB03_PLAIN_LAUNCH(compare_cache, count, 1, stream, *v, v->k_cache, v->k_new, part_seed(lab, DRAW_K), count, none,
                       device);
    LAB03_PLAIN_LAUNCH(compare_cache, count, 1, stream, *v, v->v_cache, v->v_new, part_seed(lab, DRAW_V), count, count,
                       device);
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
