/* Lab 05, part three, bursts of prefill beside decode: its buffers, inputs, reference and check.
 *
 * Exactness. Prefill's scores are part one's, demanded bit for bit in every burst. Decode: weights and x are whole
 * numbers from -8 to 8, a sum of at most 4096 products of them is below 2^19, which a float holds exactly in whatever
 * order it was summed up; what is left of it modulo 9 is a whole number from -8 to 8 again.
 *
 * Inputs. Rows of the weights are spread from some patterns that are drawn, as the pool's pages are, so that the
 * reference has few products to sum up; layer l's row r is pattern (r + l) mod their number. */
#include "lab05_bursts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab05_problem.h"
#include "num/pk_half.h"
#include "num/pk_random.h"

enum { PATTERNS = 31, LARGEST = 8 };
enum { SEED_ROWS = 520, SEED_FIRST }; /* parts of the seed; problem.c's end before */

struct lab05_bursts_reference { /* where no variant reaches it */
    float *want, *got;          /* [bursts][P], then [steps][width] */
    size_t scores, total;       /* of these, prefill's; and all */
    int *rows;                  /* [PATTERNS][width] */
    uint16_t *weights;          /* bf16 [LAB05_LAYERS][width][width] */
    float *first;               /* [width] */
    int *x, *dots;              /* [width], [PATTERNS] */
};

/* ---- set-up ---- */

void lab05_bursts_teardown(lab05 *lab, lab05_bursts_reference *host)
{
    if (host) {
        free(host->want);
        free(host->got);
        free(host->rows);
        free(host->weights);
        free(host->first);
        free(host->x);
        free(host->dots);
        free(host);
    }
    if (!lab || !lab->bursts)
        return;
    lab05_bursts *const b = lab->bursts;
    if (b->fresh)
        pk_device_free_mapped(b->fresh);
    if (b->host_pool_here)
        pk_device_free_mapped(b->host_pool_here);
    free(b);
    lab->bursts = NULL;
}

/* Pinned memory for what the host and the device hand each other: two boards and the steps' times. */
static pk_status setup_notes(lab05_bursts *b)
{
    void *here = NULL, *there = NULL;
    const pk_status status = pk_device_alloc_mapped(
        &here, &there, 2 * sizeof *b->fresh + ((size_t)b->decode.steps + 1) * sizeof *b->host_began);
    if (status != PK_OK)
        return status;
    b->fresh = here;
    b->host_board = b->fresh + 1;
    b->host_began = (unsigned long long *)(b->host_board + 1);
    memset(b->fresh, 0, sizeof *b->fresh);
    b->fresh->begin = ~0ull;
    return PK_OK;
}

static pk_status setup_prefill(pk_run *run, const lab05 *lab, lab05_prefill *p)
{
    void *out = NULL, *board = NULL;
    const bool offload = lab->work == LAB05_OFFLOAD;
    const int chunk = lab05_knob(run, "chunk-k");
    const int bursts = offload ? 1 : lab05_knob(run, "bursts");
    p->v = lab->view;
    p->chunk_pages = chunk;
    p->chunks_a_burst = (p->v.pages + chunk - 1) / chunk;
    if ((double)bursts * p->chunks_a_burst > 1 << 30)
        return pk_fail(PK_USAGE, "lab05: %d bursts of %d chunks are more than 2^30 chunks: use fewer --bursts", bursts,
                       p->chunks_a_burst);
    p->chunks = bursts * p->chunks_a_burst;
    p->bursts_inverse = UINT32_MAX / (unsigned)p->chunks_a_burst;
    pk_status status =
        pk_run_buffer(run, "scores", (size_t)bursts * (size_t)p->v.pages * sizeof(float), PK_BUFFER_OUTPUT, &out);
    if (status == PK_OK)
        status = pk_run_buffer(run, "board", sizeof *p->board, PK_BUFFER_SCRATCH, &board);
    p->v.out = out;
    p->board = board;
    return status;
}

static pk_status setup_decode(pk_run *run, lab05_board *board, lab05_decode *d)
{
    const size_t width = (size_t)lab05_knob(run, "decode-width"), steps = (size_t)lab05_knob(run, "decode-steps");
    void *weights = NULL, *first = NULL, *hidden = NULL, *out = NULL, *began = NULL;
    d->width = (int)width;
    d->steps = (int)steps;
    d->board = board;
    pk_status status =
        pk_run_buffer(run, "weights", LAB05_LAYERS * width * width * sizeof(uint16_t), PK_BUFFER_INPUT, &weights);
    if (status == PK_OK)
        status = pk_run_buffer(run, "first x", width * sizeof(float), PK_BUFFER_INPUT, &first);
    if (status == PK_OK)
        status = pk_run_buffer(run, "hidden", 2 * width * sizeof(float), PK_BUFFER_SCRATCH, &hidden);
    if (status == PK_OK)
        status = pk_run_buffer(run, "steps", steps * width * sizeof(float), PK_BUFFER_OUTPUT, &out);
    if (status == PK_OK)
        status = pk_run_buffer(run, "step times", (steps + 1) * sizeof *d->began, PK_BUFFER_SCRATCH, &began);
    d->weights = weights;
    d->first = first;
    d->hidden = hidden;
    d->out = out;
    d->began = began;
    return status;
}

static pk_status setup_reference(const lab05_bursts *b, lab05_bursts_reference *host)
{
    const size_t width = (size_t)b->decode.width, steps = (size_t)b->decode.steps;
    host->scores = (size_t)(b->prefill.chunks / b->prefill.chunks_a_burst) * (size_t)b->prefill.v.pages;
    host->total = host->scores + steps * width;
    host->want = malloc(host->total * sizeof *host->want);
    host->got = malloc(host->total * sizeof *host->got);
    host->rows = malloc(PATTERNS * width * sizeof *host->rows + 1);
    host->weights = malloc(LAB05_LAYERS * width * width * sizeof *host->weights + 1);
    host->first = malloc(width * sizeof *host->first + 1);
    host->x = malloc(width * sizeof *host->x + 1);
    host->dots = malloc(PATTERNS * sizeof *host->dots);
    if (!host->want || !host->got || !host->rows || !host->weights || !host->first || !host->x || !host->dots)
        return pk_fail(PK_FAULT,
                       "lab05: no host memory for %zu scores and outputs: use fewer --pages, --bursts or "
                       "--decode-steps",
                       host->total);
    return PK_OK;
}

pk_status lab05_bursts_setup(pk_run *run, lab05 *lab, lab05_bursts_reference **reference)
{
    lab05_bursts *const b = calloc(1, sizeof *b);
    lab05_bursts_reference *const host = calloc(1, sizeof *host);
    lab->bursts = b;
    *reference = host;
    if (!b || !host)
        return pk_out_of_memory("lab05");
    b->most_in_flight = lab05_knob(run, "max-in-flight");
    b->blocks = lab05_knob(run, "prefill-blocks");
    pk_status status = setup_prefill(run, lab, &b->prefill);
    if (status == PK_OK && lab->work == LAB05_BURSTS)
        status = setup_decode(run, b->prefill.board, &b->decode);
    if (status == PK_OK)
        status = setup_notes(b);
    if (status == PK_OK && lab->work == LAB05_OFFLOAD) {
        void *here = NULL, *there = NULL;
        status = pk_device_alloc_mapped(&here, &there, (size_t)lab->view.pages * lab05_page_bytes(&lab->view));
        b->host_pool_here = here;
        b->host_pool = there;
        if (status == PK_OK)
            pk_run_host_part(run, "host pool", PK_HOST_INPUT, here,
                             (size_t)lab->view.pages * lab05_page_bytes(&lab->view));
    }
    return status == PK_OK ? setup_reference(b, host) : status;
}

/* ---- inputs ---- */

static void draw_decode(const lab05_decode *d, lab05_bursts_reference *host, uint64_t seed)
{
    const size_t width = (size_t)d->width;
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, SEED_ROWS));
    for (size_t i = 0; i < PATTERNS * width; i++)
        host->rows[i] = (int)pk_random_below(&random, 2 * LARGEST + 1) - LARGEST;
    pk_random_seed(&random, pk_random_split(seed, SEED_FIRST));
    for (size_t i = 0; i < width; i++)
        host->first[i] = (float)((int)pk_random_below(&random, 2 * LARGEST + 1) - LARGEST);
    for (size_t l = 0; l < LAB05_LAYERS; l++)
        for (size_t r = 0; r < width; r++)
            for (size_t i = 0; i < width; i++)
                host->weights[(l * width + r) * width + i] =
                    pk_float_to_bf16((float)host->rows[(r + l) % PATTERNS * width + i]);
}

/* One layer in place: x becomes y. */
static void layer_of(const lab05_decode *d, lab05_bursts_reference *host, size_t layer)
{
    const size_t width = (size_t)d->width;
    for (size_t p = 0; p < PATTERNS; p++) {
        const int *row = host->rows + p * width;
        int dot = 0;
        for (size_t i = 0; i < width; i++)
            dot += row[i] * host->x[i];
        host->dots[p] = dot;
    }
    for (size_t r = 0; r < width; r++)
        host->x[r] = host->dots[(r + layer) % PATTERNS] % LAB05_MODULUS;
}

static void decode_all(const lab05_decode *d, lab05_bursts_reference *host)
{
    const size_t width = (size_t)d->width;
    for (size_t i = 0; i < width; i++)
        host->x[i] = (int)host->first[i];
    for (size_t step = 0; step < (size_t)d->steps; step++) {
        for (size_t layer = 0; layer < LAB05_LAYERS; layer++)
            layer_of(d, host, layer);
        float *const want = host->want + host->scores + step * width;
        for (size_t r = 0; r < width; r++)
            want[r] = (float)host->x[r];
    }
}

/* The pool as it lies in the host's memory. */
static pk_status fill_host_pool(pk_run *run, const lab05 *lab)
{
    const size_t bytes = (size_t)lab->view.pages * lab05_page_bytes(&lab->view);
    return pk_device_download(lab->bursts->host_pool_here, lab->view.pool, bytes, pk_run_stream(run));
}

pk_status lab05_bursts_fill(pk_run *run, const lab05 *lab, lab05_bursts_reference *host, const float *scores,
                            uint64_t seed)
{
    const lab05_bursts *const b = lab->bursts;
    const lab05_decode *const d = &b->decode;
    const size_t pages = (size_t)lab->view.pages, width = (size_t)d->width;
    void *const stream = pk_run_stream(run);
    for (size_t at = 0; at < host->scores; at += pages)
        memcpy(host->want + at, scores, pages * sizeof *scores);
    pk_status status = PK_OK;
    if (lab->work == LAB05_BURSTS) {
        draw_decode(d, host, seed);
        decode_all(d, host);
        status = pk_device_upload((void *)d->weights, host->weights,
                                  LAB05_LAYERS * width * width * sizeof *host->weights, stream);
        if (status == PK_OK)
            status = pk_device_upload((void *)d->first, host->first, width * sizeof *host->first, stream);
    } else {
        status = fill_host_pool(run, lab);
    }
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

/* The board as it is before anything; and where pages are to come from the host, none is there yet. */
pk_status lab05_bursts_reset(pk_run *run, const lab05 *lab)
{
    const lab05_bursts *const b = lab->bursts;
    pk_status status = pk_device_upload(b->prefill.board, b->fresh, sizeof *b->fresh, pk_run_stream(run));
    if (status == PK_OK && lab->work == LAB05_OFFLOAD)
        status = pk_device_fill((void *)lab->view.pool, 0xff, (size_t)lab->view.pages * lab05_page_bytes(&lab->view),
                                pk_run_stream(run));
    return status;
}

/* ---- the check ---- */

static void explain(const lab05_bursts *b, const lab05_bursts_reference *host, pk_verdict *verdict)
{
    const size_t at = (size_t)verdict->first_wrong;
    const bool nan = isnan(verdict->got) != 0;
    if (at < host->scores) {
        const size_t burst = at / (size_t)b->prefill.v.pages, page = at % (size_t)b->prefill.v.pages;
        snprintf(verdict->note, sizeof verdict->note, "burst %zu, page %zu, of chunk %zu: %s", burst, page,
                 page / (size_t)b->prefill.chunk_pages,
                 nan ? "NaN: never written, or of bytes that had not come yet (docs/troubleshooting.md#nan)"
                     : "not the sum of its rows, scaled (docs/troubleshooting.md#part-of-a-page)");
        return;
    }
    const size_t step = (at - host->scores) / (size_t)b->decode.width,
                 row = (at - host->scores) % (size_t)b->decode.width;
    snprintf(verdict->note, sizeof verdict->note, "decode, step %zu, row %zu: %s", step, row,
             nan ? "NaN: never written, or the step did not begin with the one before (docs/troubleshooting.md#nan)"
                 : "not the row of W x modulo 9, with the x of the step before");
}

/* What the board says of chunks: all ended, and no more at once than the variant promised. */
static pk_status check_board(const pk_run *run, const lab05_board *board, pk_verdict *verdict)
{
    const lab05_promise *const promise = pk_run_variant_data(run);
    if (board->under_way != 0)
        return pk_fail(PK_WRONG,
                       "%d chunks are under way still when all is done: lab05_chunk_begins and lab05_chunk_ends go "
                       "once a chunk each",
                       (int)board->under_way);
    verdict->checked++;
    if (promise && promise->most > 0 && board->most_under_way > (unsigned)promise->most)
        return pk_fail(PK_WRONG,
                       "%u chunks were under way at once, where --max-in-flight allows %d: no chunk begins before one "
                       "of the block's own has ended",
                       board->most_under_way, promise->most);
    return PK_OK;
}

pk_status lab05_bursts_verify(pk_run *run, const lab05 *lab, lab05_bursts_reference *host, pk_verdict *verdict)
{
    const lab05_bursts *const b = lab->bursts;
    void *const stream = pk_run_stream(run);
    lab05_board board;
    pk_status status = pk_device_download(host->got, b->prefill.v.out, host->scores * sizeof *host->got, stream);
    if (status == PK_OK && host->total > host->scores)
        status = pk_device_download(host->got + host->scores, b->decode.out,
                                    (host->total - host->scores) * sizeof *host->got, stream);
    if (status == PK_OK)
        status = pk_device_download(&board, b->prefill.board, sizeof board, stream);
    if (status == PK_OK)
        status = pk_device_stream_synchronize(stream);
    if (status != PK_OK)
        return status;
    pk_check_exact(verdict, host->got, host->want, host->total);
    if (verdict->wrong == 0)
        return check_board(run, &board, verdict);
    explain(b, host, verdict);
    return PK_OK;
}

/* ---- sizes ---- */

bool lab05_is_bursts(const pk_run *run)
{
    return lab05_knob(run, "work") == LAB05_BURSTS;
}

bool lab05_is_offload(const pk_run *run)
{
    return lab05_knob(run, "work") == LAB05_OFFLOAD;
}

pk_status lab05_bursts_validate(const pk_run *run)
{
    const int width = lab05_knob(run, "decode-width");
    if (width % 8 != 0)
        return pk_fail(PK_USAGE, "lab05: rows of %d numbers are no multiple of 8: use --decode-width=%d", width,
                       (width + 7) / 8 * 8);
    return PK_OK;
}

double lab05_bursts_decode_bytes(const pk_run *run)
{
    const double width = lab05_knob(run, "decode-width");
    return (int)LAB05_LAYERS * width * width * (double)sizeof(uint16_t);
}

/* Decode kernel by kernel: a launch a layer, one behind the last, and prefill's. Else prefill's and that one. */
pk_launch_range lab05_bursts_launches(const pk_run *run, const char *variant)
{
    static const char *const by_graph[] = {"burst-apart", "burst-graph", "burst-shaped", "burst-native"};
    const double by_kernel = (double)lab05_knob(run, "decode-steps") * (int)LAB05_LAYERS + 2;
    if (strncmp(variant, "offload-", strlen("offload-")) == 0)
        return (pk_launch_range){1, 1};
    if (strcmp(variant, "burst-plain") == 0 || strcmp(variant, "burst-bulk") == 0)
        return (pk_launch_range){by_kernel, by_kernel};
    for (size_t i = 0; i < sizeof by_graph / sizeof by_graph[0]; i++)
        if (strcmp(variant, by_graph[i]) == 0)
            return (pk_launch_range){2, 2};
    return (pk_launch_range){0, HUGE_VAL};
}

/* ---- figures ---- */

static double span_of(const pk_point *p, const char *name)
{
    for (size_t i = 0; i < p->phase_count; i++)
        if (strcmp(p->phases[i].name, name) == 0)
            return p->phases[i].us;
    return NAN;
}

static bool at_defaults(const pk_point *p)
{
    for (size_t i = 0; i < LAB05_KNOBS; i++)
        if (i != LAB05_KNOB_WORK && p->knobs[i] != lab05_knobs[i].value)
            return false;
    return p->knobs[LAB05_KNOB_WORK] == LAB05_BURSTS;
}

static const pk_point *point_of(const pk_point *points, size_t count, const char *variant)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(points[i].variant, variant) == 0 && at_defaults(&points[i]))
            return &points[i];
    return NULL;
}

static void figure(pk_analysis *analysis, const char *pair, const char *what, const char *unit, double value)
{
    char name[96];
    snprintf(name, sizeof name, "%s: %s", pair, what);
    if (isfinite(value))
        pk_analysis_figure(analysis, name, unit, value);
}

/* A pair: prefill all at once and decode kernel by kernel, against prefill shaped and decode by graph. */
static void analyse_pair(pk_analysis *analysis, const char *pair, const pk_point *apart, const pk_point *plain,
                         const pk_point *shaped)
{
    if (!apart || !plain || !shaped)
        return;
    figure(analysis, pair, "decode p99, all at once over idle", "x", plain->token_p99_us / apart->token_p99_us);
    figure(analysis, pair, "decode p99, shaped over idle", "x", shaped->token_p99_us / apart->token_p99_us);
    figure(analysis, pair, "prefill shaped of all at once", "%",
           100 * span_of(plain, "prefill") / span_of(shaped, "prefill"));
    figure(analysis, pair, "prefill all at once of apart", "%",
           100 * span_of(apart, "prefill") / span_of(plain, "prefill"));
    figure(analysis, pair, "decode that ran beside prefill", "%",
           100 * span_of(shaped, "beside") / span_of(shaped, "decode"));
}

/* Over the bus: the best that bulk copies reach, of what the copy engine takes for the same pages. */
static void analyse_offload(const pk_point *points, size_t count, pk_analysis *analysis)
{
    double best = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            if (strcmp(points[i].variant, "offload-engine") == 0 && strcmp(points[k].variant, "offload-bulk") == 0 &&
                memcmp(points[i].knobs, points[k].knobs, LAB05_KNOBS * sizeof *points[i].knobs) == 0)
                best = fmax(best, points[i].us_per_token / points[k].us_per_token);
    if (best > 0)
        pk_analysis_figure(analysis, "over the bus: bulk copies of the copy engine", "%", 100 * best);
}

void lab05_bursts_analyse(const pk_point *points, size_t count, pk_analysis *analysis)
{
    const pk_point *apart = point_of(points, count, "burst-apart");
    analyse_offload(points, count, analysis);
    if (apart)
        pk_analysis_figure(analysis, "decode p99, idle", "us", apart->token_p99_us);
    analyse_pair(analysis, "loads", apart, point_of(points, count, "burst-plain"),
                 point_of(points, count, "burst-shaped"));
    analyse_pair(analysis, "bulk", apart, point_of(points, count, "burst-bulk"),
                 point_of(points, count, "burst-native"));
}
