/* Lab 05, async copies: knobs, inputs, and the check of what a repetition gave.
 *
 * Exactness. Components of pages are integers from -8 to 8, those of q from -4 to 4, scales are 1 to 15 sixteenths. A
 * page's sum is a whole number of at most 256 rows x 128 x 32 = 2^20, and its product with 15 of at most 2^24: a float
 * holds every one on the way, in whatever order it was summed up. The result is demanded bit for bit.
 *
 * Inputs. A pool of gigabytes takes a host long to draw and to sum up, so it is made on the device of some thousand
 * pages that are drawn, the patterns: page i of the pool is pattern i mod their number, a prime. The table is a
 * permutation of all pages, or with --table=in-order each page's own place. So a page that is not the one asked for
 * shows, unless it is a multiple of that away, and every score is checked. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab05_bursts.h"
#include "lab05_chain_problem.h"
#include "lab05_problem.h"
#include "num/pk_half.h"
#include "num/pk_random.h"

enum { MOST_PATTERNS = 1021, LARGEST = 8, LARGEST_Q = 4, SIXTEENTHS = 15 };
enum { SEED_PATTERNS = 500, SEED_Q, SEED_SCALE, SEED_TABLE, SEED_CHASE }; /* parts of the seed */
enum {
    GPU_THREADS = 256,
    CPU_THREADS = 64,
    CHASE_APART = 32 /* words: a step is never on the line of the one before */
};

/* ---- knobs ---- */

static const char *const works[] = {"stream", "latency", "chain", "bursts", "offload"};
static const char *const tables[] = {"shuffled", "in-order"};

const pk_knob lab05_knobs[LAB05_KNOBS] = {
    [LAB05_KNOB_WORK] = {"work", "",
                         "a stream of pages; loads that wait for each other; a chain of phases; bursts beside decode; "
                         "over the bus",
                         LAB05_STREAM, LAB05_STREAM, 0, PK_COUNT(works) - 1, works, 0},
    [LAB05_KNOB_PAGES] = {"pages", "pages", "P: of the stream", 1 << 19, 61, 1, 1 << 24, NULL, 0},
    [LAB05_KNOB_ROWS] = {"rows", "keys", "of a page, a multiple of 8", 16, 16, 8, 256, NULL, 0},
    [LAB05_KNOB_DIM] = {"dim", "numbers", "D: of a key, 64 or 128", 128, 128, 64, 128, NULL, 0},
    [LAB05_KNOB_STAGES] = {"stages", "pages", "of a ring; 0: what the variant finds best", 0, 2, 0, LAB05_MOST_STAGES,
                           NULL, 0},
    [LAB05_KNOB_BLOCKS] = {"blocks", "blocks", "of the grid; 0: what fits the device", 0, 4, 0, 1 << 16, NULL, 0},
    [LAB05_KNOB_THREADS] = {"threads", "threads", "of a block, a multiple of 32; 0: 256, 64 on the CPU device", 0, 0, 0,
                            LAB05_MOST_THREADS, NULL, 0},
    [LAB05_KNOB_SWIZZLE] = {"swizzle", "", "0: boxes of tensor maps as they come", 1, 1, 0, 1, NULL, 0},
    [LAB05_KNOB_STEPS] = {"steps", "loads", "of --work=latency", 1 << 19, 200, 1, 1 << 24, NULL, 0},
    [LAB05_KNOB_SHAPE] = {"shape", "", "of --work=chain: a model's matrices, or small ones", LAB05_CHAIN_LLAMA,
                          LAB05_CHAIN_SMALL, 0, LAB05_CHAIN_SHAPES - 1, lab05_chain_shapes, 0},
    [LAB05_KNOB_TOKENS] = {"tokens", "passes", "T: over the chain", 4, 3, 1, 1 << 10, NULL, 0},
    [LAB05_KNOB_CONSUMERS] = {"consumers", "warps", "of a block of the chain that compute", 8, 2, 1,
                              LAB05_CHAIN_MOST_CONSUMERS, NULL, 0},
    [LAB05_KNOB_RING] = {"ring", "KB", "of a block of the chain", 192, 4, 2, 224, NULL, 0},
    [LAB05_KNOB_CHAIN_CHUNK] = {"chunk", "KB", "one copy of the chain; 0: what the variant finds best", 0, 1, 0, 64,
                                NULL, 0},
    [LAB05_KNOB_CHAIN_IN_FLIGHT] = {"in-flight", "KB",
                                    "of copies of a block of the chain; 0: what the variant finds best", 0, 2, 0, 224,
                                    NULL, 0},
    [LAB05_KNOB_CHUNK] = {"chunk-k", "pages", "of a chunk of prefill", 8, 3, 1, LAB05_MOST_CHUNK, NULL, 0},
    [LAB05_KNOB_IN_FLIGHT] = {"max-in-flight", "chunks", "under way at once; 0: what the variant finds best", 0, 5, 0,
                              1 << 16, NULL, 0},
    [LAB05_KNOB_PREFILL_BLOCKS] = {"prefill-blocks", "blocks", "of prefill by bulk copies; 0: what fits the device", 0,
                                   2, 0, 1 << 16, NULL, 0},
    [LAB05_KNOB_BURSTS] = {"bursts", "bursts", "of prefill, of all pages each", 16, 2, 1, 4096, NULL, 0},
    [LAB05_KNOB_DECODE_STEPS] = {"decode-steps", "steps", "of decode beside prefill", 400, 4, 1, 1 << 20, NULL, 0},
    [LAB05_KNOB_DECODE_WIDTH] = {"decode-width", "numbers", "of a row of decode's weights, a multiple of 8", 512, 24, 8,
                                 4096, NULL, 0},
    [LAB05_KNOB_TABLE] = {"table", "", "pages lie anywhere in the pool, or as the stream has them", LAB05_SHUFFLED,
                          LAB05_SHUFFLED, 0, PK_COUNT(tables) - 1, tables, 0},
};

static bool is_chain(const pk_run *run)
{
    return lab05_knob(run, "work") == LAB05_CHAIN;
}

static pk_status validate(const pk_run *run)
{
    if (is_chain(run))
        return lab05_chain_validate(run);
    const int rows = lab05_knob(run, "rows"), dim = lab05_knob(run, "dim"), threads = lab05_knob(run, "threads");
    if (rows % 8 != 0)
        return pk_fail(PK_USAGE, "lab05: a page of %d keys is no multiple of 8: use --rows=%d", rows,
                       (rows + 7) / 8 * 8);
    if (dim != 64 && dim != 128)
        return pk_fail(PK_USAGE,
                       "lab05: kernels are made for keys of 64 and 128 numbers, not %d: use one of these for --dim",
                       dim);
    if (threads % LAB05_WARP != 0)
        return pk_fail(PK_USAGE, "lab05: %d threads are no whole number of warps: use --threads=%d", threads,
                       (threads + LAB05_WARP - 1) / LAB05_WARP * LAB05_WARP);
    return lab05_bursts_validate(run);
}

/* ---- set-up ---- */

typedef struct reference { /* the host's side, where no variant reaches it */
    float *want, *got;     /* [P] */
    int *table;            /* [P] */
    float *scale;          /* [P] */
    int count;             /* of patterns */
    uint16_t *patterns;    /* [count][rows][dim] */
    double *sums;          /* [count]: of each, with q */
    unsigned *next;        /* [words] of --work=latency */
    unsigned end;
    void *device_patterns;
    lab05_bursts_reference *bursts; /* of part three; NULL in others */
} reference;

static void teardown(pk_run *run)
{
    if (is_chain(run)) {
        lab05_chain_teardown(run);
        return;
    }
    reference *host = pk_run_reference(run);
    if (host) {
        free(host->want);
        free(host->got);
        free(host->table);
        free(host->scale);
        free(host->patterns);
        free(host->sums);
        free(host->next);
        lab05_bursts_teardown(pk_run_lab_data(run), host->bursts);
        pk_device_free(host->device_patterns);
        free(host);
        pk_run_set_reference(run, NULL);
    }
    free(pk_run_lab_data(run));
    pk_run_set_lab_data(run, NULL);
}

static pk_status setup_stream(pk_run *run, lab05 *lab, reference *host)
{
    lab05_view *v = &lab->view;
    v->pages = lab05_knob(run, "pages");
    v->rows = lab05_knob(run, "rows");
    v->dim = lab05_knob(run, "dim");
    const size_t pages = (size_t)v->pages, page = lab05_page_bytes(v);
    host->count = v->pages < MOST_PATTERNS ? v->pages : MOST_PATTERNS;
    const size_t patterns = (size_t)host->count;
    host->want = malloc(pages * sizeof *host->want);
    host->got = malloc(pages * sizeof *host->got);
    host->table = malloc(pages * sizeof *host->table);
    host->scale = malloc(pages * sizeof *host->scale);
    host->patterns = malloc(patterns * page);
    host->sums = malloc(patterns * sizeof *host->sums);
    if (!host->want || !host->got || !host->table || !host->scale || !host->patterns || !host->sums)
        return pk_fail(PK_FAULT, "lab05: no host memory for %d pages: use fewer --pages", v->pages);
    void *table = NULL, *pool = NULL, *q = NULL, *scale = NULL, *out = NULL;
    pk_status status = pk_run_buffer(run, "pool", pages * page, PK_BUFFER_INPUT, &pool);
    if (status == PK_OK)
        status = pk_run_buffer(run, "table", pages * sizeof(int), PK_BUFFER_INPUT, &table);
    if (status == PK_OK)
        status = pk_run_buffer(run, "q", (size_t)v->dim * sizeof(float), PK_BUFFER_INPUT, &q);
    if (status == PK_OK)
        status = pk_run_buffer(run, "scale", pages * sizeof(float), PK_BUFFER_INPUT, &scale);
    if (status == PK_OK)
        status = pk_run_buffer(run, "out", pages * sizeof(float), PK_BUFFER_OUTPUT, &out);
    if (status == PK_OK)
        status = pk_device_alloc(&host->device_patterns, patterns * page);
    v->table = table;
    v->pool = pool;
    v->q = q;
    v->scale = scale;
    v->out = out;
    return status;
}

/* Four times the L2, and by default a step on more of its lines than it holds: no load finds its word there, nor what
 * the repetition before has read. */
static pk_status setup_latency(pk_run *run, lab05 *lab, reference *host)
{
    const pk_device_info *device = pk_run_device(run);
    const size_t bytes = device->is_gpu ? 4 * device->l2_bytes : (size_t)1 << 20;
    void *next = NULL, *end = NULL;
    lab->chase.steps = lab05_knob(run, "steps");
    lab->chase.words = (int)(bytes / sizeof(unsigned));
    host->next = malloc(bytes);
    if (!host->next)
        return pk_out_of_memory("lab05");
    pk_status status = pk_run_buffer(run, "next", bytes, PK_BUFFER_INPUT, &next);
    if (status == PK_OK)
        status = pk_run_buffer(run, "end", sizeof(unsigned), PK_BUFFER_OUTPUT, &end);
    lab->chase.next = next;
    lab->chase.end = end;
    return status;
}

static pk_status setup(pk_run *run)
{
    if (is_chain(run))
        return lab05_chain_setup(run);
    lab05 *lab = calloc(1, sizeof *lab);
    reference *host = calloc(1, sizeof *host);
    pk_run_set_lab_data(run, lab);
    pk_run_set_reference(run, host);
    if (!lab || !host)
        return pk_out_of_memory("lab05");
    const int threads = lab05_knob(run, "threads");
    lab->work = lab05_knob(run, "work");
    lab->stages = lab05_knob(run, "stages");
    lab->blocks = lab05_knob(run, "blocks");
    lab->threads = threads ? threads : pk_run_device(run)->is_gpu ? GPU_THREADS : CPU_THREADS;
    lab->swizzled = lab05_knob(run, "swizzle") != 0;
    if (lab->work == LAB05_LATENCY)
        return setup_latency(run, lab, host);
    const pk_status status = setup_stream(run, lab, host);
    return status == PK_OK && lab->work != LAB05_STREAM ? lab05_bursts_setup(run, lab, &host->bursts) : status;
}

/* ---- inputs ---- */

static int integer_of(pk_random *random, int largest)
{
    return (int)pk_random_below(random, 2 * (uint64_t)largest + 1) - largest;
}

static void draw_q(const lab05_view *v, float *q, uint64_t seed)
{
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, SEED_Q));
    for (int d = 0; d < v->dim; d++)
        q[d] = (float)integer_of(&random, LARGEST_Q);
}

static void draw_patterns(const lab05_view *v, reference *host, const float *q, uint64_t seed)
{
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, SEED_PATTERNS));
    const size_t elements = (size_t)v->rows * (size_t)v->dim;
    for (size_t p = 0; p < (size_t)host->count; p++) {
        uint16_t *page = host->patterns + p * elements;
        host->sums[p] = 0;
        for (size_t i = 0; i < elements; i++) {
            const int value = integer_of(&random, LARGEST);
            page[i] = pk_float_to_bf16((float)value);
            host->sums[p] += (double)value * (double)q[i % (size_t)v->dim];
        }
    }
}

static void draw_table(const lab05_view *v, reference *host, int order, uint64_t seed)
{
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, SEED_TABLE));
    for (int p = 0; p < v->pages; p++) {
        const int at = order == LAB05_IN_ORDER ? p : (int)pk_random_below(&random, (uint64_t)p + 1);
        host->table[p] = host->table[at];
        host->table[at] = p;
    }
    pk_random_seed(&random, pk_random_split(seed, SEED_SCALE));
    for (int p = 0; p < v->pages; p++) {
        host->scale[p] = (float)(1 + pk_random_below(&random, SIXTEENTHS)) / 16;
        host->want[p] = (float)(host->sums[host->table[p] % host->count] * (double)host->scale[p]);
    }
}

static pk_status fill_stream(pk_run *run, const lab05_view *v, reference *host, uint64_t seed)
{
    void *stream = pk_run_stream(run);
    float q[128] = {0};
    draw_q(v, q, seed);
    draw_patterns(v, host, q, seed);
    draw_table(v, host, lab05_knob(run, "table"), seed);
    const size_t pages = (size_t)v->pages;
    pk_status status =
        pk_device_upload(host->device_patterns, host->patterns, (size_t)host->count * lab05_page_bytes(v), stream);
    if (status == PK_OK)
        status = lab05_spread(v, host->device_patterns, host->count, stream);
    if (status == PK_OK)
        status = pk_device_upload((void *)v->q, q, (size_t)v->dim * sizeof *q, stream);
    if (status == PK_OK)
        status = pk_device_upload((void *)v->table, host->table, pages * sizeof *host->table, stream);
    if (status == PK_OK)
        status = pk_device_upload((void *)v->scale, host->scale, pages * sizeof *host->scale, stream);
    return status == PK_OK ? pk_device_stream_synchronize(stream) : status;
}

/* One cycle through all places that are CHASE_APART apart (Sattolo's), so that no unit can guess the next. */
static pk_status fill_latency(pk_run *run, const lab05_chase *c, reference *host, uint64_t seed)
{
    pk_random random;
    pk_random_seed(&random, pk_random_split(seed, SEED_CHASE));
    const size_t places = (size_t)c->words / CHASE_APART;
    for (size_t i = 0; i < places; i++)
        host->next[i * CHASE_APART] = (unsigned)(i * CHASE_APART);
    for (size_t i = places - 1; i > 0; i--) {
        const size_t at = (size_t)pk_random_below(&random, i);
        const unsigned kept = host->next[i * CHASE_APART];
        host->next[i * CHASE_APART] = host->next[at * CHASE_APART];
        host->next[at * CHASE_APART] = kept;
    }
    host->end = 0;
    for (int step = 0; step < c->steps; step++)
        host->end = host->next[host->end];
    pk_status status =
        pk_device_upload((void *)c->next, host->next, (size_t)c->words * sizeof *host->next, pk_run_stream(run));
    return status == PK_OK ? pk_device_stream_synchronize(pk_run_stream(run)) : status;
}

static pk_status fill(pk_run *run, uint64_t seed)
{
    if (is_chain(run))
        return lab05_chain_fill(run, seed);
    const lab05 *lab = pk_run_lab_data(run);
    reference *host = pk_run_reference(run);
    if (lab->work == LAB05_LATENCY)
        return fill_latency(run, &lab->chase, host, seed);
    const pk_status status = fill_stream(run, &lab->view, host, seed);
    return status == PK_OK && host->bursts ? lab05_bursts_fill(run, lab, host->bursts, host->want, seed) : status;
}

static pk_status reset(pk_run *run)
{
    if (is_chain(run))
        return lab05_chain_reset(run);
    const lab05 *lab = pk_run_lab_data(run);
    /* A repetition of the others reads what it finds, and writes each score once. */
    return lab->bursts ? lab05_bursts_reset(run, lab) : PK_OK;
}

/* ---- the check ---- */

/* The page whose score this would be, with this page's scale: -1 where there is none among those near by. */
static int page_of(const lab05_view *v, const reference *host, int p, double got)
{
    enum { NEAR = 64 };
    for (int away = 1; away <= NEAR; away++)
        for (int side = -1; side <= 1; side += 2) {
            const int other = p + side * away;
            if (other >= 0 && other < v->pages &&
                host->sums[host->table[other] % host->count] * (double)host->scale[p] == got)
                return other;
        }
    return -1;
}

static void explain(const lab05_view *v, const reference *host, pk_verdict *verdict)
{
    const int p = (int)verdict->first_wrong;
    const double unscaled = host->sums[host->table[p] % host->count];
    const int other = page_of(v, host, p, verdict->got);
    if (isnan(verdict->got))
        snprintf(verdict->note, sizeof verdict->note,
                 "page %d: NaN: never written, or of bytes that had not come yet (docs/troubleshooting.md#nan)", p);
    else if (other >= 0)
        snprintf(verdict->note, sizeof verdict->note,
                 "page %d has the score of page %d: a buffer of the ring was read too early or too late "
                 "(docs/troubleshooting.md#another-page)",
                 p, other);
    else if (verdict->got == unscaled)
        snprintf(verdict->note, sizeof verdict->note, "page %d is not scaled", p);
    else
        snprintf(verdict->note, sizeof verdict->note,
                 "page %d: not the sum of its rows: some left out, taken twice, or with other components of q "
                 "(docs/troubleshooting.md#part-of-a-page)",
                 p);
}

static pk_status verify_latency(pk_run *run, const lab05_chase *c, const reference *host, pk_verdict *verdict)
{
    unsigned end;
    pk_status status = pk_device_download(&end, c->end, sizeof end, pk_run_stream(run));
    if (status == PK_OK)
        status = pk_device_stream_synchronize(pk_run_stream(run));
    if (status != PK_OK)
        return status;
    verdict->checked++;
    if (end != host->end) {
        verdict->wrong = 1;
        verdict->got = end;
        verdict->want = host->end;
        snprintf(verdict->note, sizeof verdict->note, "the loads did not follow each other");
    }
    return PK_OK;
}

static pk_status verify(pk_run *run, pk_verdict *verdict)
{
    if (is_chain(run))
        return lab05_chain_verify(run, verdict);
    const lab05 *lab = pk_run_lab_data(run);
    reference *host = pk_run_reference(run);
    const lab05_view *v = &lab->view;
    if (lab->work == LAB05_LATENCY)
        return verify_latency(run, &lab->chase, host, verdict);
    if (host->bursts)
        return lab05_bursts_verify(run, lab, host->bursts, verdict);
    pk_status status = pk_device_download(host->got, v->out, (size_t)v->pages * sizeof *host->got, pk_run_stream(run));
    if (status == PK_OK)
        status = pk_device_stream_synchronize(pk_run_stream(run));
    if (status != PK_OK)
        return status;
    pk_check_exact(verdict, host->got, host->want, (size_t)v->pages);
    if (verdict->wrong > 0)
        explain(v, host, verdict);
    return PK_OK;
}

const pk_lab pk_this_lab = {
    .id = "lab05",
    .title = "Async copies",
    .knobs = lab05_knobs,
    .knob_count = LAB05_KNOBS,
    .offers = lab05_offers,
    .validate = validate,
    .setup = setup,
    .fill = fill,
    .reset = reset,
    .verify = verify,
    .teardown = teardown,
    .slow_on_cpu = true,
    .tokens = lab05_tokens,
    .bytes_per_token = lab05_bytes_per_token,
    .flops_per_token = lab05_flops_per_token,
    .launches = lab05_launches,
    .awkward = lab05_awkward,
    .awkward_count = LAB05_AWKWARD,
    .hidden = lab05_hidden,
    .hidden_count = LAB05_HIDDEN,
    .sweeps = lab05_sweeps,
    .sweep_count = LAB05_SWEEPS,
    .sweeps_quick = lab05_sweeps_quick,
    .sweep_quick_count = LAB05_SWEEPS_QUICK,
    .analyse = lab05_analyse,
    .targets = lab05_targets,
    .target_count = LAB05_TARGETS,
};
