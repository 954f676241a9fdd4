/* Calibration: copies, latencies, the L2. */
#include "pk_gpu.h"

#include "pk_atomic.h"

#include <stdlib.h>

#include "calibrate.h"
#include "num/pk_splitmix.h"
#include "pk/host.h"

enum {
    THREADS = 256,
    IN_FLIGHT = 4,                            /* 16-byte words of a thread under way at once, as B_read is measured */
    PIECE = THREADS * IN_FLIGHT,              /* words of a block */
    PIECE_BYTES = PIECE * (int)sizeof(uint4), /* 16 KiB */
    BLOCKS_A_PROCESSOR = 4
};
static const size_t MIB = (size_t)1 << 20;

/* ---- numbers whose place can be told ---- */

/* What word `i` of 32 bits holds. */
#define NUMBER(i) ((unsigned)(i)*2654435761u + 12345u)

static __global__ void write_numbers(unsigned *numbers, size_t count)
{
    const size_t stride = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride)
        numbers[i] = NUMBER(i);
}

static __global__ void count_wrong(const unsigned *numbers, size_t count, unsigned *wrong)
{
    const size_t stride = (size_t)gridDim.x * blockDim.x;
    unsigned mine = 0;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride)
        mine += numbers[i] != NUMBER(i);
    if (mine)
        pk_add_relaxed_device(wrong, mine);
}

typedef struct space { /* memory of one measurement; NULL where it has none */
    void *from, *to, *host, *counter;
    size_t bytes;
    size_t walked; /* loads of all walks so far */
} space;

static void space_close(space *s)
{
    pk_device_free(s->from);
    pk_device_free(s->to);
    pk_device_free(s->counter);
    if (s->host)
        pk_device_free_mapped(s->host);
}

/* As many bytes as asked for, or what is a quarter of the free memory, in whole MiB. */
static pk_status affordable(size_t wanted, size_t *bytes)
{
    size_t free_bytes, total_bytes;
    PK_TRY(pk_device_memory(&free_bytes, &total_bytes));
    *bytes = (wanted < free_bytes / 4 ? wanted : free_bytes / 4) / MIB * MIB;
    return *bytes ? PK_OK : pk_fail(PK_SKIP, "too little device memory is free");
}

/* A buffer of so many bytes on a GPU; of a quarter under --quick, and of a 32nd on the CPU device. */
static size_t sized(const pk_calibrator *c, size_t bytes)
{
    return bytes / (c->quick ? 4 : 1) / (c->device->is_gpu ? 1 : 32);
}

static unsigned blocks_of(const pk_calibrator *c)
{
    return (unsigned)(c->device->processors * BLOCKS_A_PROCESSOR);
}

static pk_status demand_numbers(const pk_calibrator *c, const space *s, const void *numbers, const char *what)
{
    PK_TRY(pk_device_fill(s->counter, 0, sizeof(unsigned), c->stream));
    PK_LAUNCH(count_wrong, blocks_of(c), THREADS, 0, (cudaStream_t)c->stream, (const unsigned *)numbers,
              s->bytes / sizeof(unsigned), (unsigned *)s->counter);
    return pk_calibrate_demand(c, (const unsigned *)s->counter, 0, what);
}

static pk_status put_numbers(const pk_calibrator *c, const space *s, void *numbers)
{
    PK_LAUNCH(write_numbers, blocks_of(c), THREADS, 0, (cudaStream_t)c->stream, (unsigned *)numbers,
              s->bytes / sizeof(unsigned));
    return PK_OK;
}

/* ---- a copy on the device ---- */

static __global__ void copy_words(const uint4 *from, uint4 *to)
{
    const size_t first = (size_t)blockIdx.x * PIECE + threadIdx.x;
    uint4 word[IN_FLIGHT];
#pragma unroll
    for (int k = 0; k < IN_FLIGHT; k++)
        word[k] = from[first + (size_t)k * THREADS];
#pragma unroll
    for (int k = 0; k < IN_FLIGHT; k++)
        to[first + (size_t)k * THREADS] = word[k];
}

static pk_status run_copy(const pk_calibrator *c, void *context, int times)
{
    const space *s = (const space *)context;
    for (int i = 0; i < times; i++)
        PK_LAUNCH(copy_words, (unsigned)(s->bytes / PIECE_BYTES), THREADS, 0, (cudaStream_t)c->stream,
                  (const uint4 *)s->from, (uint4 *)s->to);
    return PK_OK;
}

static pk_status measure_copy(const pk_calibrator *c, space *s, pk_samples *rate)
{
    PK_TRY(affordable(sized(c, 1024 * MIB), &s->bytes));
    PK_TRY(pk_device_alloc(&s->from, s->bytes));
    PK_TRY(pk_device_alloc(&s->to, s->bytes));
    PK_TRY(pk_device_alloc(&s->counter, sizeof(unsigned)));
    PK_TRY(put_numbers(c, s, s->from));
    PK_TRY(pk_device_fill(s->to, 0, s->bytes, c->stream));
    PK_TRY(pk_calibrate_rate(c, run_copy, s, 2.0 * (double)s->bytes, rate));
    return demand_numbers(c, s, s->to, "the copy: words that did not arrive");
}

pk_status pk_calibrate_copy(const pk_calibrator *c, pk_samples *bytes_per_us)
{
    space s = {NULL, NULL, NULL, NULL, 0, 0};
    const pk_status status = measure_copy(c, &s, bytes_per_us);
    space_close(&s);
    return status;
}

/* ---- copies over the link: pinned host memory ---- */

enum { LINK_MIB = 256 };

static pk_status run_to_device(const pk_calibrator *c, void *context, int times)
{
    const space *s = (const space *)context;
    for (int i = 0; i < times; i++)
        PK_TRY(pk_device_upload(s->to, s->host, s->bytes, c->stream));
    return PK_OK;
}

static pk_status run_to_host(const pk_calibrator *c, void *context, int times)
{
    const space *s = (const space *)context;
    for (int i = 0; i < times; i++)
        PK_TRY(pk_device_download(s->host, s->from, s->bytes, c->stream));
    return PK_OK;
}

static pk_status measure_to_device(const pk_calibrator *c, space *s, pk_samples *rate)
{
    void *mapped;
    PK_TRY(affordable(sized(c, LINK_MIB * MIB), &s->bytes));
    PK_TRY(pk_device_alloc_mapped(&s->host, &mapped, s->bytes));
    PK_TRY(pk_device_alloc(&s->to, s->bytes));
    PK_TRY(pk_device_alloc(&s->counter, sizeof(unsigned)));
    for (size_t i = 0; i < s->bytes / sizeof(unsigned); i++)
        ((unsigned *)s->host)[i] = NUMBER(i);
    PK_TRY(pk_device_fill(s->to, 0, s->bytes, c->stream));
    PK_TRY(pk_calibrate_rate(c, run_to_device, s, (double)s->bytes, rate));
    return demand_numbers(c, s, s->to, "the copy to the device: words that did not arrive");
}

static pk_status measure_to_host(const pk_calibrator *c, space *s, pk_samples *rate)
{
    void *mapped;
    size_t wrong = 0;
    PK_TRY(affordable(sized(c, LINK_MIB * MIB), &s->bytes));
    PK_TRY(pk_device_alloc_mapped(&s->host, &mapped, s->bytes));
    PK_TRY(pk_device_alloc(&s->from, s->bytes));
    for (size_t i = 0; i < s->bytes / sizeof(unsigned); i++)
        ((unsigned *)s->host)[i] = 0;
    PK_TRY(put_numbers(c, s, s->from));
    PK_TRY(pk_calibrate_rate(c, run_to_host, s, (double)s->bytes, rate));
    for (size_t i = 0; i < s->bytes / sizeof(unsigned); i++)
        wrong += ((const unsigned *)s->host)[i] != NUMBER(i);
    return wrong ? pk_fail(PK_WRONG, "the copy to the host: %zu words did not arrive", wrong) : PK_OK;
}

pk_status pk_calibrate_to_device(const pk_calibrator *c, pk_samples *bytes_per_us)
{
    space s = {NULL, NULL, NULL, NULL, 0, 0};
    const pk_status status = measure_to_device(c, &s, bytes_per_us);
    space_close(&s);
    return status;
}

pk_status pk_calibrate_to_host(const pk_calibrator *c, pk_samples *bytes_per_us)
{
    space s = {NULL, NULL, NULL, NULL, 0, 0};
    const pk_status status = measure_to_host(c, &s, bytes_per_us);
    space_close(&s);
    return status;
}

/* ---- loads that wait for the one before ---- */

enum {
    LINE_WORDS = 32, /* 128 bytes: a line of the cache */
    FEW_LOADS = 2000,
    MANY_LOADS = 12000,
    MOST_WARMED = 1 << 18,
    MANY_LOADS_OF_A_HOST = 200000 /* its threads wake up some microseconds sooner or later */
};

/* A load that the L1 does not answer. */
#if defined(PK_BACKEND_HIP) || defined(PK_BACKEND_CPU)
#define LOAD_PAST_L1(pointer) (*(pointer))
#else
#define LOAD_PAST_L1(pointer) __ldcg(pointer)
#endif

/* One thread walks on from line to line; each tells where the next one is. */
static __global__ void chase(const unsigned *next, int loads, unsigned *end)
{
    unsigned line = *end;
    for (int i = 0; i < loads; i++)
        line = LOAD_PAST_L1(&next[(size_t)line * LINE_WORDS]);
    *end = line;
}

/* One cycle through all lines, drawn by Sattolo's algorithm (1986): no walk comes back early, and no prefetcher guesses
 * the next line. */
static void draw_cycle(unsigned *next, size_t lines)
{
    enum { SEED = 1 };
    for (size_t i = 0; i < lines; i++)
        next[i * LINE_WORDS] = (unsigned)i;
    for (size_t i = lines - 1; i > 0; i--) {
        const size_t j = (size_t)(pk_splitmix64(SEED, i) % i);
        const unsigned other = next[i * LINE_WORDS];
        next[i * LINE_WORDS] = next[j * LINE_WORDS];
        next[j * LINE_WORDS] = other;
    }
}

static unsigned end_of_walk(const unsigned *next, size_t loads)
{
    unsigned line = 0;
    for (size_t i = 0; i < loads; i++)
        line = next[(size_t)line * LINE_WORDS];
    return line;
}

static pk_status run_chase(const pk_calibrator *c, void *context, int times)
{
    space *const s = (space *)context;
    PK_LAUNCH(chase, 1, 1, 0, (cudaStream_t)c->stream, (const unsigned *)s->from, times, (unsigned *)s->counter);
    s->walked += (size_t)times;
    return PK_OK;
}

static pk_status measure_chase(const pk_calibrator *c, space *s, unsigned *next, pk_samples *us)
{
    const size_t lines = s->bytes / (LINE_WORDS * sizeof(unsigned));
    draw_cycle(next, lines);
    PK_TRY(pk_device_alloc(&s->from, s->bytes));
    PK_TRY(pk_device_alloc(&s->counter, sizeof(unsigned)));
    PK_TRY(pk_device_upload(s->from, next, s->bytes, c->stream));
    const int many = c->device->is_gpu ? MANY_LOADS : MANY_LOADS_OF_A_HOST;
    PK_TRY(pk_device_fill(s->counter, 0, sizeof(unsigned), c->stream));
    PK_TRY(run_chase(
        c, s,
        (int)(lines < (size_t)MOST_WARMED ? lines : (size_t)MOST_WARMED))); /* a part of the L2 is there from now on */
    PK_TRY(pk_calibrate_slope(c, run_chase, s, FEW_LOADS, many, us));
    return pk_calibrate_demand(c, (const unsigned *)s->counter, end_of_walk(next, s->walked % lines),
                               "the walk's last line");
}

static pk_status chase_through(const pk_calibrator *c, size_t wanted, pk_samples *us)
{
    space s = {NULL, NULL, NULL, NULL, 0, 0};
    PK_TRY(affordable(wanted, &s.bytes));
    unsigned *next = (unsigned *)calloc(s.bytes, 1);
    if (!next)
        return pk_out_of_memory("the walk through memory");
    const pk_status status = measure_chase(c, &s, next, us);
    free(next);
    space_close(&s);
    return status;
}

/* Several times the L2. A walk goes on where the one before ended, through all of it, so that it comes to lines that
 * have long left the L2; one that began anew each time would find its few megabytes there. */
pk_status pk_calibrate_latency(const pk_calibrator *c, pk_samples *us)
{
    const size_t least = 64 * MIB, most = 1024 * MIB, wanted = 8 * c->device->l2_bytes;
    if (!c->device->is_gpu)
        return chase_through(c, sized(c, 2 * most), us);
    return chase_through(c, wanted < least ? least : wanted > most ? most : wanted, us);
}

static pk_status known_l2(const pk_calibrator *c, size_t *bytes)
{
    *bytes = c->device->l2_bytes;
    return *bytes ? PK_OK : pk_fail(PK_SKIP, "this device tells no size of an L2");
}

/* A part of the L2 that surely stays there: the host's last cache on the CPU device, which others use too. */
static size_t part_of_l2(const pk_calibrator *c, size_t l2)
{
    const size_t most = c->device->is_gpu ? l2 : 32 * MIB, part = (l2 < most ? l2 : most) / 8;
    return part < 2 * MIB ? 2 * MIB : part;
}

pk_status pk_calibrate_l2_latency(const pk_calibrator *c, pk_samples *us)
{
    size_t l2;
    PK_TRY(known_l2(c, &l2));
    return chase_through(c, part_of_l2(c, l2), us);
}

/* ---- the L2's bandwidth ---- */

/* All blocks read all of the buffer `passes` times, each another part of it in each pass, and add up what they read. */
static __global__ void read_l2(const uint4 *words, unsigned parts, int passes, unsigned *sum)
{
    unsigned mine = 0;
    for (int pass = 0; pass < passes; pass++) {
        const uint4 *part = words + (size_t)((blockIdx.x + (unsigned)pass) % parts) * PIECE + threadIdx.x;
        uint4 word[IN_FLIGHT];
#pragma unroll
        for (int k = 0; k < IN_FLIGHT; k++)
            word[k] = LOAD_PAST_L1(&part[k * THREADS]);
#pragma unroll
        for (int k = 0; k < IN_FLIGHT; k++)
            mine += word[k].x + word[k].y + word[k].z + word[k].w;
    }
    pk_add_relaxed_device(sum, mine);
}

static pk_status run_l2(const pk_calibrator *c, void *context, int times)
{
    const space *s = (const space *)context;
    const unsigned parts = (unsigned)(s->bytes / PIECE_BYTES);
    PK_CHECK(cudaMemsetAsync(s->counter, 0, sizeof(unsigned), (cudaStream_t)c->stream));
    PK_LAUNCH(read_l2, parts, THREADS, 0, (cudaStream_t)c->stream, (const uint4 *)s->from, parts, times,
              (unsigned *)s->counter);
    return PK_OK;
}

static unsigned sum_of_numbers(size_t count)
{
    unsigned sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += NUMBER(i);
    return sum;
}

/* From the time of a further pass: its bytes are the buffer's. */
static pk_status measure_l2(const pk_calibrator *c, space *s, pk_samples *rate)
{
    s->bytes = (size_t)blocks_of(c) * PIECE_BYTES; /* a part a block, all resident */
    PK_TRY(pk_device_alloc(&s->from, s->bytes));
    PK_TRY(pk_device_alloc(&s->counter, sizeof(unsigned)));
    PK_TRY(put_numbers(c, s, s->from));
    PK_TRY(run_l2(c, s, 1));
    const int few = pk_calibrate_times(c, 50), many = pk_calibrate_times(c, 550);
    PK_TRY(pk_calibrate_slope(c, run_l2, s, few, many, rate));
    for (size_t i = 0; i < rate->count; i++)
        rate->values[i] = (double)s->bytes / rate->values[i];
    return pk_calibrate_demand(c, (const unsigned *)s->counter,
                               (unsigned)many * sum_of_numbers(s->bytes / sizeof(unsigned)),
                               "the sum of what was read");
}

pk_status pk_calibrate_l2_read(const pk_calibrator *c, pk_samples *bytes_per_us)
{
    space s = {NULL, NULL, NULL, NULL, 0, 0};
    size_t l2;
    PK_TRY(known_l2(c, &l2));
    if ((size_t)blocks_of(c) * PIECE_BYTES > l2 / 2)
        return pk_fail(PK_SKIP, "its L2 is too small for a part of 16 KiB for each of %u blocks", blocks_of(c));
    const pk_status status = measure_l2(c, &s, bytes_per_us);
    space_close(&s);
    return status;
}
