/* Batched projections (pk_gemm.h), by the plain kernel and by the library where the build has one: small whole numbers,
 * whose products and sums are exact, against sums in double; the same bits for a row whatever m is; nothing written
 * beside y; what cannot be is refused; launches counted; a captured product as one launched; a model's own products by
 * the library as by the plain kernel, with what was planned for each in words. Exit code 77 where there is no device.
 */
#include "pk_gpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_half.h"
#include "num/pk_random.h"

#include "decode/pk_gemm.h"
#include "decode/pk_gemm_tile.cuh"

enum {
    MOST_ROWS = 131, /* of x; no multiple of anything */
    MOST_COLUMNS = 200,
    MOST_K = 1032,
    GUARD = 64 /* floats behind y */
};

static int failures;

static void expect(bool right, const char *what, const char *by)
{
    if (right)
        return;
    failures++;
    fprintf(stderr, "gemm_test: %s, by %s\n", what, by);
}

typedef struct bench {
    cudaStream_t stream;
    uint16_t x[MOST_ROWS * MOST_K], w[MOST_COLUMNS * MOST_K];
    float y[MOST_ROWS * MOST_COLUMNS + GUARD], other[MOST_ROWS * MOST_COLUMNS + GUARD];
    uint16_t *device_x, *device_w;
    float *device_y;
} bench;

static pk_status open_bench(bench *b)
{
    PK_TRY(pk_device_stream_create((void **)&b->stream));
    pk_launch_register_stream(b->stream);
    PK_TRY(pk_device_alloc((void **)&b->device_x, sizeof b->x));
    PK_TRY(pk_device_alloc((void **)&b->device_w, sizeof b->w));
    return pk_device_alloc((void **)&b->device_y, sizeof b->y);
}

static void close_bench(bench *b)
{
    pk_device_free(b->device_x);
    pk_device_free(b->device_w);
    pk_device_free(b->device_y);
    if (b->stream)
        pk_device_stream_destroy(b->stream);
}

/* Whole numbers from -8 to 8, of which 1032 products' sum is below 2^24; or any numbers. */
static void draw(bench *b, bool whole, uint64_t seed)
{
    pk_random random;
    pk_random_seed(&random, seed);
    uint16_t *const arrays[2] = {b->x, b->w};
    const size_t counts[2] = {MOST_ROWS * MOST_K, MOST_COLUMNS * MOST_K};
    for (int a = 0; a < 2; a++)
        for (size_t i = 0; i < counts[a]; i++)
            arrays[a][i] =
                pk_float_to_bf16(whole ? (float)pk_random_below(&random, 17) - 8 : 2 * pk_random_float(&random) - 1);
}

static pk_status upload(bench *b, float before)
{
    for (int i = 0; i < MOST_ROWS * MOST_COLUMNS + GUARD; i++)
        b->y[i] = before;
    PK_TRY(pk_device_upload(b->device_x, b->x, sizeof b->x, b->stream));
    PK_TRY(pk_device_upload(b->device_w, b->w, sizeof b->w, b->stream));
    return pk_device_upload(b->device_y, b->y, sizeof b->y, b->stream);
}

static pk_status download(bench *b, float *y)
{
    PK_TRY(pk_device_download(y, b->device_y, sizeof b->y, b->stream));
    return pk_device_stream_synchronize(b->stream);
}

static pk_status run_gemm(bench *b, pk_gemm *gemm, int m, int n, int k, int accumulate)
{
    return pk_gemm_run(gemm, b->device_x, b->device_w, b->device_y, m, n, k, accumulate, b->stream);
}

/* ---- results ---- */

static double sum_of(const bench *b, int row, int column, int k)
{
    double sum = 0;
    for (int i = 0; i < k; i++)
        sum += (double)pk_bf16_to_float(b->x[(size_t)row * k + i]) *
               (double)pk_bf16_to_float(b->w[(size_t)column * k + i]);
    return sum;
}

static pk_status exact_product(bench *b, pk_gemm *gemm, const char *by, int m, int n, int k, int accumulate)
{
    const float before = accumulate ? 7 : NAN; /* y =: what was there counts nothing */
    char what[160];
    pk_launch_counts counts;
    bool right = true, beside = true;
    draw(b, true, (uint64_t)(m * 1000 + n * 10 + k));
    PK_TRY(upload(b, before));
    PK_TRY(pk_gemm_plan(gemm, m, n, k));
    pk_launch_counts_reset();
    PK_TRY(run_gemm(b, gemm, m, n, k, accumulate));
    pk_launch_counts_read(&counts);
    PK_TRY(download(b, b->y));
    for (int row = 0; row < m; row++)
        for (int column = 0; column < n; column++)
            right = right && (double)b->y[row * n + column] == sum_of(b, row, column, k) + (accumulate ? 7 : 0);
    for (int i = m * n; i < MOST_ROWS * MOST_COLUMNS + GUARD; i++)
        beside = beside && memcmp(&b->y[i], &before, sizeof before) == 0;
    snprintf(what, sizeof what, "%d x %d, k = %d%s: not the exact sums", m, n, k, accumulate ? ", added" : "");
    expect(right, what, by);
    snprintf(what, sizeof what, "%d x %d, k = %d%s: written behind y", m, n, k, accumulate ? ", added" : "");
    expect(beside, what, by);
    expect(counts.launches == 1 && counts.foreign == 0, "a product is not counted as one launch", by);
    return PK_OK;
}

static pk_status exact_products(bench *b, pk_gemm *gemm, const char *by)
{
    /* One of each; about a tile's edges; more than one tile each way; a step of k and a part. */
    static const int shapes[][3] = {{1, 1, 8},    {1, 64, 64},    {3, 65, 40},    {16, 64, 64},   {17, 66, 72},
                                    {64, 63, 56}, {65, 129, 136}, {131, 200, 64}, {130, 24, 1032}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int accumulate = 0; accumulate < 2; accumulate++)
            PK_TRY(exact_product(b, gemm, by, shapes[i][0], shapes[i][1], shapes[i][2], accumulate));
    return PK_OK;
}

/* ---- two columns at once ---- */

typedef struct pairs_end {
    float *y;
    int n;
} pairs_end;

static __device__ inline void pk_gemm_end_pair(const pairs_end *end, int row, int column, float value, float other)
{
    end->y[(size_t)row * end->n + column] = value;
    end->y[(size_t)row * end->n + column + PK_GEMM_PAIR_APART] = other;
}

static __global__ void __launch_bounds__(PK_GEMM_TILE_THREADS)
    pairs_tile(const uint16_t *x, const uint16_t *w, int m, int k, pairs_end end)
{
    pk_gemm_tile_pairs(x, w, m, end.n, k, &end);
}

/* Both of each pair are the sums of their columns, and no column is left out. */
static pk_status pairs(bench *b)
{
    static const int shapes[][3] = {{1, 32, 8}, {17, 96, 72}, {65, 160, 136}}; /* n: whole groups, no whole tiles */
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const int m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
        const pairs_end end = {b->device_y, n};
        const dim3 grid((n + PK_GEMM_TILE_COLUMNS - 1) / PK_GEMM_TILE_COLUMNS,
                        (m + PK_GEMM_TILE_ROWS - 1) / PK_GEMM_TILE_ROWS);
        bool right = true;
        draw(b, true, 5 + i);
        PK_TRY(upload(b, NAN));
        PK_LAUNCH(pairs_tile, grid, PK_GEMM_TILE_THREADS, 0, b->stream, b->device_x, b->device_w, m, k, end);
        PK_TRY(download(b, b->y));
        for (int j = 0; j < m * n; j++)
            right = right && (double)b->y[j] == sum_of(b, j / n, j % n, k);
        expect(right && isnan(b->y[m * n]), "pairs of columns are not the exact sums, or written behind", "tiles");
    }
    return PK_OK;
}

/* Any numbers: a row has the bits that it has in the product of all rows. */
static pk_status rows_alone(bench *b)
{
    enum { N = 72, K = 200 };
    static const int rows[] = {1, 3, 16, 17, 63, 64, 65, 130};
    draw(b, false, 1);
    PK_TRY(upload(b, NAN));
    PK_TRY(run_gemm(b, NULL, MOST_ROWS, N, K, 0));
    PK_TRY(download(b, b->other));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        PK_TRY(upload(b, NAN));
        PK_TRY(run_gemm(b, NULL, rows[i], N, K, 0));
        PK_TRY(download(b, b->y));
        expect(memcmp(b->y, b->other, (size_t)rows[i] * N * sizeof(float)) == 0,
               "a row's bits depend on how many rows there are", "the plain kernel");
    }
    return PK_OK;
}

/* With bias and GELU at its end, by a library that has it. The bound is that of a tanh of 11 bits: the library does not
 * say how near its own is. */
static pk_status activated(bench *b, pk_gemm *gemm, const char *by)
{
    enum { M = 130, N = 64, K = 16 };
    static const double SCALE = 0.79788456080286535588, CUBE = 0.044715;
    float bias[N], *device_bias = NULL;
    pk_launch_counts counts;
    bool right = true;
    pk_status status = pk_gemm_plan_gelu(gemm, M, N, K);
    if (status == PK_SKIP) {
        printf("%s: %s\n", by, pk_error_text());
        return PK_OK;
    }
    PK_TRY(status);
    draw(b, false, 4);
    for (int i = 0; i < N; i++)
        bias[i] = (float)(i - N / 2) / 16;
    PK_TRY(upload(b, NAN));
    PK_TRY(pk_device_alloc((void **)&device_bias, sizeof bias));
    status = pk_device_upload(device_bias, bias, sizeof bias, b->stream);
    pk_launch_counts_reset();
    if (status == PK_OK)
        status = pk_gemm_run_gelu(gemm, b->device_x, b->device_w, device_bias, b->device_y, M, N, K, b->stream);
    pk_launch_counts_read(&counts);
    if (status == PK_OK)
        status = download(b, b->y);
    pk_device_free(device_bias);
    PK_TRY(status);
    for (int i = 0; i < M * N; i++) {
        const double v = sum_of(b, i / N, i % N, K) + (double)bias[i % N];
        const double want = 0.5 * v * (1 + tanh(SCALE * (v + CUBE * v * v * v)));
        right = right && fabs((double)b->y[i] - want) <= 0x1p-11 * (1 + fabs(v));
    }
    expect(right, "bias and GELU of the sums are others", by);
    expect(counts.launches == 1 && counts.foreign == 0, "a product with GELU is not counted as one launch", by);
    expect(pk_gemm_run_gelu(gemm, b->device_x, b->device_w, NULL, b->device_y, M, N, 2 * K, b->stream) == PK_USAGE,
           "a shape without a plan for GELU is not refused", by);
    return PK_OK;
}

static pk_status captured(bench *b, pk_gemm *gemm, const char *by)
{
    enum { M = 33, N = 72, K = 200 };
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    draw(b, false, 2);
    PK_TRY(pk_gemm_plan(gemm, M, N, K));
    PK_TRY(upload(b, 0));
    PK_TRY(run_gemm(b, gemm, M, N, K, 0));
    PK_TRY(run_gemm(b, gemm, M, N, K, 1));
    PK_TRY(download(b, b->other));
    PK_TRY(upload(b, 0));
    PK_CHECK(cudaStreamBeginCapture(b->stream, cudaStreamCaptureModeGlobal));
    pk_status status = run_gemm(b, gemm, M, N, K, 0);
    if (status == PK_OK)
        status = run_gemm(b, gemm, M, N, K, 1);
    PK_CHECK(cudaStreamEndCapture(b->stream, &graph));
    PK_TRY(status);
    PK_CHECK(cudaGraphInstantiate(&exec, graph, 0));
    PK_CHECK(cudaGraphLaunch(exec, b->stream));
    PK_TRY(download(b, b->y));
    expect(memcmp(b->y, b->other, sizeof b->y) == 0, "replayed, it gives other bits than launched", by);
    PK_CHECK(cudaGraphExecDestroy(exec));
    PK_CHECK(cudaGraphDestroy(graph));
    return PK_OK;
}

/* ---- a model's products ---- */

typedef struct product {
    int m, n, k;
    uint16_t *x, *w; /* device memory, and y */
    float *y;
    float *want, *got; /* host memory */
} product;

/* Whole numbers, in the order of a counter that has nothing to do with rows: from -8 to 8, so that 2^18 products' sum
 * is below 2^24. */
static pk_status upload_whole(uint16_t *to, size_t count, cudaStream_t stream)
{
    uint16_t *const values = (uint16_t *)malloc(count * sizeof *values);
    if (!values)
        return pk_out_of_memory("gemm_test");
    for (size_t i = 0; i < count; i++)
        values[i] = pk_float_to_bf16((float)(pk_random_split(3, i) % 17) - 8);
    pk_status status = pk_device_upload(to, values, count * sizeof *values, stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    free(values);
    return status;
}

static pk_status open_product(product *p, cudaStream_t stream)
{
    const size_t x = (size_t)p->m * (size_t)p->k, w = (size_t)p->n * (size_t)p->k, y = (size_t)p->m * (size_t)p->n;
    p->want = (float *)malloc(y * sizeof *p->want);
    p->got = (float *)malloc(y * sizeof *p->got);
    if (!p->want || !p->got)
        return pk_out_of_memory("gemm_test");
    PK_TRY(pk_device_alloc((void **)&p->x, x * sizeof *p->x));
    PK_TRY(pk_device_alloc((void **)&p->w, w * sizeof *p->w));
    PK_TRY(pk_device_alloc((void **)&p->y, y * sizeof *p->y));
    PK_TRY(upload_whole(p->x, x, stream));
    return upload_whole(p->w, w, stream);
}

static void close_product(product *p)
{
    pk_device_free(p->x);
    pk_device_free(p->w);
    pk_device_free(p->y);
    free(p->want);
    free(p->got);
}

/* y = x w, then y += x w: exact, so the bits are those of the plain kernel. */
static pk_status run_product(const product *p, pk_gemm *gemm, float *to, cudaStream_t stream)
{
    const size_t bytes = (size_t)p->m * (size_t)p->n * sizeof *p->y;
    PK_TRY(pk_device_fill(p->y, 0xff, bytes, stream));
    for (int accumulate = 0; accumulate < 2; accumulate++)
        PK_TRY(pk_gemm_run(gemm, p->x, p->w, p->y, p->m, p->n, p->k, accumulate, stream));
    PK_TRY(pk_device_download(to, p->y, bytes, stream));
    return pk_device_stream_synchronize(stream);
}

static pk_status compare_product(const product *p, pk_gemm *gemm, cudaStream_t stream)
{
    pk_launch_counts counts;
    char plan[96], what[160];
    PK_TRY(pk_gemm_plan(gemm, p->m, p->n, p->k));
    PK_TRY(run_product(p, NULL, p->want, stream));
    pk_launch_counts_reset();
    PK_TRY(run_product(p, gemm, p->got, stream));
    pk_launch_counts_read(&counts);
    pk_gemm_say_plan(gemm, p->m, p->n, p->k, plan, sizeof plan);
    printf("%4d x %5d, k = %4d: %s\n", p->m, p->n, p->k, plan);
    const size_t count = (size_t)p->m * (size_t)p->n;
    size_t other = 0;
    while (other < count && p->got[other] == p->want[other])
        other++;
    if (other < count) {
        snprintf(what, sizeof what, "%d x %d, k = %d: row %zu, column %zu is %.9g, by the plain kernel %.9g", p->m,
                 p->n, p->k, other / (size_t)p->n, other % (size_t)p->n, (double)p->got[other], (double)p->want[other]);
        expect(false, what, plan);
    }
    expect(counts.launches == 2 && counts.foreign == 0, "two products are not counted as two launches", plan);
    return PK_OK;
}

/* The four products of a layer of qwen2.5-0.5b at the rows of its smaller buckets. Where there is no library for a GPU
 * there is nothing to learn, and one shows that the comparison runs. */
static pk_status model_products(bench *b, pk_gemm *gemm, bool is_gpu)
{
    static const int shapes[][2] = {{896, 896}, {1152, 896}, {9728, 896}, {896, 4864}}, rows[] = {16, 1, 32, 64, 128};
    const int shape_count = gemm && is_gpu ? 4 : 1, row_count = gemm && is_gpu ? 5 : 1;
    for (int s = 0; s < shape_count; s++)
        for (int r = 0; r < row_count; r++) {
            product p = {rows[r], shapes[s][0], shapes[s][1], NULL, NULL, NULL, NULL, NULL};
            pk_status status = open_product(&p, b->stream);
            if (status == PK_OK)
                status = compare_product(&p, gemm, b->stream);
            close_product(&p);
            PK_TRY(status);
        }
    return PK_OK;
}

#if defined(PK_GEMM_STAND_IN)
/* The library is one of the test's own (library_stand_in), asked PK_GEMM_STAND_IN questions at most: which proposal of
 * which is taken. */
static pk_status plans_of_stand_in(pk_gemm *gemm)
{
    static const struct {
        int m, n, question, proposal; /* 0: the plain kernel */
    } cases[] = {{4, 64, 1, 6},  {5, 64, 2, 1},   {6, 64, 3, 2}, {7, 64, 3, 2},
                 {127, 2, 3, 2}, {130, 64, 1, 1}, {4, 65, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char plan[96], want[96] = "plain tiled kernel";
        if (cases[i].question > 0 && cases[i].question <= PK_GEMM_STAND_IN)
            snprintf(want, sizeof want, "question %d of %d, proposal %d", cases[i].question, PK_GEMM_STAND_IN,
                     cases[i].proposal);
        pk_gemm_say_plan(gemm, cases[i].m, cases[i].n, 16, plan, sizeof plan);
        expect(strcmp(plan, "no plan") == 0, "a shape that was not planned has a plan", plan);
        PK_TRY(pk_gemm_plan(gemm, cases[i].m, cases[i].n, 16));
        pk_gemm_say_plan(gemm, cases[i].m, cases[i].n, 16, plan, sizeof plan);
        expect(strstr(plan, want) != NULL, want, plan);
    }
    return PK_OK;
}
#endif

static pk_status refused(bench *b, pk_gemm *gemm)
{
    static const int shapes[][3] = {{0, 1, 8}, {1, 0, 8}, {1, 1, 0}, {1, 1, 12}, {-1, 1, 8}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        expect(run_gemm(b, NULL, shapes[i][0], shapes[i][1], shapes[i][2], 0) == PK_USAGE,
               "a shape that cannot be is not refused", "the plain kernel");
    if (gemm)
        expect(run_gemm(b, gemm, 7, 7, 16, 0) == PK_USAGE, "a shape without a plan is not refused", pk_gemm_library());
    return PK_OK;
}

static pk_status run(bench *b, pk_gemm *gemm, bool is_gpu)
{
    PK_TRY(exact_products(b, NULL, "the plain kernel"));
    PK_TRY(captured(b, NULL, "the plain kernel"));
    PK_TRY(rows_alone(b));
    PK_TRY(pairs(b));
    PK_TRY(refused(b, gemm));
    PK_TRY(model_products(b, gemm, is_gpu));
    if (!gemm)
        return PK_OK;
#if defined(PK_GEMM_STAND_IN)
    PK_TRY(plans_of_stand_in(gemm));
#endif
    PK_TRY(exact_products(b, gemm, pk_gemm_library()));
    PK_TRY(captured(b, gemm, pk_gemm_library()));
    return activated(b, gemm, pk_gemm_library());
}

int main(void)
{
    pk_device_info device;
    pk_gemm *gemm = NULL;
    bench *const b = (bench *)calloc(1, sizeof *b);
    pk_status status = b ? pk_device_open(&device) : pk_out_of_memory("gemm_test");
    if (status == PK_OK)
        status = open_bench(b);
    if (status == PK_OK)
        status = pk_gemm_open(&gemm);
    if (status == PK_OK)
        status = run(b, gemm, device.is_gpu);
    if (status != PK_OK)
        fprintf(stderr, "gemm_test: %s\n", pk_error_text());
    pk_gemm_close(gemm);
    if (b)
        close_bench(b);
    free(b);
    pk_device_close();
    return status != PK_OK ? pk_exit_code(status) : failures != 0;
}
