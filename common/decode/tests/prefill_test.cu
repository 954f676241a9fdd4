/* Prefill on the device: attention against sums in double; a prompt in a padded bucket bit for bit as in a bucket of
 * its own length; nothing written beside its keys and values, none read that are not live; two prefills one after the
 * other as one; keys, values and logits as steps of decode give them, but for rounding; logits within the bound of the
 * pass in double; what cannot be; launches counted. Arguments: models by name. Exit code 77 where there is no device.
 */
#include "pk_gpu.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_half.h"
#include "num/pk_random.h"

#include "decode/decode_internal.h"
#include "decode/pk_gemm.h"
#include "decode/pk_reference.h"

enum { CAPACITY = 200, MOST_ROWS = 150, THREADS = 128, MOST_HEAD_DIM = 256, SEED = 5 };
#define UNUSED 0xffffu /* what a cache that nothing was put into holds: a NaN, so that a read of it shows */

static int failures;
/* The largest that there was of each, as a part of what is allowed: said at the end. */
static double most_of_attention, most_of_reference, most_of_decode;

typedef struct setting { /* what is under test, for messages */
    const char *model, *by;
    int prompt, rows;
} setting;

static const char *products(const pk_gemm *gemm)
{
    return gemm ? pk_gemm_library() : "the plain kernel";
}

static void wrong(const setting *at, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void wrong(const setting *at, const char *format, ...)
{
    va_list arguments;
    failures++;
    fprintf(stderr, "prefill_test: %s, products by %s, prompt of %d in a bucket of %d: ", at->model, at->by, at->prompt,
            at->rows);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
}

static void expect(bool right, const setting *at, const char *what)
{
    if (!right)
        wrong(at, "%s", what);
}

/* ---- a decoder with its memory ---- */

typedef struct bench {
    pk_decoder d;
    pk_decoder_sizes size;
    pk_decoder_memory memory;
    cudaStream_t stream;
    int prompt[MOST_ROWS];
} bench;

/* What a prefill leaves, in host memory. */
typedef struct outcome {
    uint16_t *cache;   /* all of it */
    float *logits;     /* [vocab] */
    float *last;       /* [hidden]: x of the prompt's last token */
    float *x;          /* [most_rows][hidden] */
    uint16_t *rounded; /* [most_rows][ffn]: what the last projection took */
    pk_decode_state state;
    int token;
} outcome;

static pk_status allocate(bench *b)
{
    pk_decoder_buffer buffer[PK_DECODER_BUFFERS];
    pk_decoder_list(&b->size, &b->memory, buffer);
    for (int i = 0; i < PK_DECODER_BUFFERS; i++) {
        PK_TRY(pk_device_alloc(buffer[i].device, buffer[i].bytes));
        PK_TRY(pk_device_fill(*buffer[i].device, 0xff, buffer[i].bytes, b->stream));
    }
    return PK_OK;
}

static void close_bench(bench *b)
{
    pk_decoder_close(&b->d);
    pk_decoder_buffer buffer[PK_DECODER_BUFFERS];
    pk_decoder_list(&b->size, &b->memory, buffer);
    for (int i = 0; i < PK_DECODER_BUFFERS; i++)
        pk_device_free(*buffer[i].device);
    if (b->stream)
        pk_device_stream_destroy(b->stream);
}

static pk_status open_bench(bench *b, const pk_model_config *config, int processors)
{
    const pk_decoder_shape shape = {CAPACITY, MOST_ROWS, 8, 1, PK_QUANT_BF16};
    const pk_sampling greedy = {1, 1, 0, false};
    pk_random random;
    memset(b, 0, sizeof *b);
    PK_TRY(pk_device_stream_create((void **)&b->stream));
    pk_launch_register_stream(b->stream);
    PK_TRY(pk_decoder_size(config, &shape, processors, &b->size));
    PK_TRY(allocate(b));
    PK_TRY(pk_decoder_open(&b->d, config, &shape, &greedy, processors, THREADS, &b->memory));
    PK_TRY(pk_decoder_load_random(&b->d, SEED, b->stream));
    pk_random_seed(&random, 6);
    for (int i = 0; i < MOST_ROWS; i++)
        b->prompt[i] = (int)pk_random_below(&random, (uint64_t)config->vocab);
    return PK_OK;
}

static size_t ffn_elements(const bench *b)
{
    return (size_t)MOST_ROWS * (size_t)b->d.config.ffn;
}

static size_t x_elements(const bench *b)
{
    return (size_t)MOST_ROWS * (size_t)b->d.config.hidden;
}

static pk_status open_outcome(const bench *b, outcome *o)
{
    o->cache = (uint16_t *)malloc(b->size.cache);
    o->logits = (float *)malloc((size_t)b->d.config.vocab * sizeof(float));
    o->last = (float *)malloc((size_t)b->d.config.hidden * sizeof(float));
    o->x = (float *)malloc(x_elements(b) * sizeof(float));
    o->rounded = (uint16_t *)malloc(ffn_elements(b) * sizeof(uint16_t));
    return o->cache && o->logits && o->last && o->x && o->rounded ? PK_OK : pk_out_of_memory("prefill_test");
}

static void close_outcome(outcome *o)
{
    free(o->cache);
    free(o->logits);
    free(o->last);
    free(o->x);
    free(o->rounded);
}

static pk_status take(const bench *b, outcome *o)
{
    const pk_decoder *const d = &b->d;
    PK_TRY(pk_device_download(o->cache, b->memory.cache, b->size.cache, b->stream));
    PK_TRY(pk_device_download(o->logits, d->logits, (size_t)d->config.vocab * sizeof(float), b->stream));
    PK_TRY(pk_device_download(o->last, d->branch, (size_t)d->config.hidden * sizeof(float), b->stream));
    PK_TRY(pk_device_download(o->x, d->x, x_elements(b) * sizeof(float), b->stream));
    PK_TRY(pk_device_download(o->rounded, d->rounded, ffn_elements(b) * sizeof(uint16_t), b->stream));
    PK_TRY(pk_device_download(&o->state, d->state, sizeof o->state, b->stream));
    PK_TRY(pk_device_download(&o->token, d->tokens, sizeof o->token, b->stream));
    return pk_device_stream_synchronize(b->stream);
}

/* A generation at its beginning, its caches, scratch and logits full of NaN. */
static pk_status begin(bench *b, int prompt)
{
    unsigned *const arrivals = b->d.arrivals;
    PK_TRY(pk_device_fill(b->memory.cache, 0xff, b->size.cache, b->stream));
    PK_TRY(pk_device_fill(b->memory.logits, 0xff, b->size.logits, b->stream));
    PK_TRY(pk_device_fill(b->memory.scratch, 0xff, b->size.scratch, b->stream));
    PK_TRY(pk_device_fill(arrivals, 0, (size_t)(b->d.config.heads + 1) * sizeof *arrivals, b->stream));
    return pk_decoder_begin(&b->d, b->prompt, prompt, 8, b->stream);
}

static pk_status prefill(bench *b, int prompt, int rows, pk_gemm *gemm, outcome *o)
{
    PK_TRY(begin(b, prompt));
    PK_TRY(pk_prefill_plan(&b->d, rows, gemm));
    PK_TRY(pk_prefill(&b->d, rows, gemm, b->stream));
    return take(b, o);
}

/* ---- what may be where ---- */

/* Element of the k (which 0) or v (1) cache of a layer at a position: the caches lie as lay_out_cache has them, and the
 * device addresses say where. */
static const uint16_t *cached(const bench *b, const outcome *o, int layer, int which, int kv_head, int position)
{
    const uint16_t *const at = which ? b->d.layer[layer].v_cache : b->d.layer[layer].k_cache;
    const size_t row = (size_t)kv_head * CAPACITY + (size_t)position;
    return o->cache + (at - (const uint16_t *)b->memory.cache) + row * (size_t)b->d.config.head_dim;
}

/* What `see` says of each element of all caches, until it is false. */
typedef bool see_cached(void *context, int layer, int which, int kv_head, int position, int component);
static bool each_cached(const bench *b, see_cached *see, void *context)
{
    const pk_model_config *const c = &b->d.config;
    for (int layer = 0; layer < c->layers; layer++)
        for (int which = 0; which < 2; which++)
            for (int g = 0; g < c->kv_heads; g++)
                for (int position = 0; position < CAPACITY; position++)
                    for (int i = 0; i < c->head_dim; i++)
                        if (!see(context, layer, which, g, position, i))
                            return false;
    return true;
}

typedef struct live_keys {
    const bench *b;
    const outcome *o;
    const setting *at;
    int first, end;
} live_keys;

static bool see_live(void *context, int layer, int which, int g, int position, int i)
{
    const live_keys *const l = (const live_keys *)context;
    const uint16_t bits = cached(l->b, l->o, layer, which, g, position)[i];
    const bool live = position >= l->first && position < l->end;
    if (live ? isfinite(pk_bf16_to_float(bits)) : bits == UNUSED)
        return true;
    wrong(l->at, "layer %d, %s of head %d, position %d, component %d: 0x%04x, where %s belongs", layer,
          which ? "value" : "key", g, position, i, bits, live ? "a number" : "nothing");
    return false;
}

/* Positions [first, end) of all caches hold numbers, and all else is as it was. */
static void only_these(const bench *b, const setting *at, const outcome *o, int first, int end)
{
    live_keys l = {b, o, at, first, end};
    (void)each_cached(b, see_live, &l);
}

/* Rows of padding: zero to the end. */
static void padding_is_zero(const bench *b, const setting *at, const outcome *o)
{
    const size_t hidden = (size_t)b->d.config.hidden, ffn = (size_t)b->d.config.ffn;
    const size_t prompt = (size_t)at->prompt, rows = (size_t)at->rows;
    for (size_t i = prompt * hidden; i < rows * hidden; i++)
        if (o->x[i] != 0) {
            wrong(at, "padding is not zero: x is %.9g in row %zu, component %zu", (double)o->x[i], i / hidden,
                  i % hidden);
            break;
        }
    for (size_t i = prompt * ffn; i < rows * ffn; i++)
        if ((o->rounded[i] & 0x7fff) != 0) {
            wrong(at, "padding is not zero: the last projection's input is %.9g in row %zu, component %zu",
                  (double)pk_bf16_to_float(o->rounded[i]), i / ffn, i % ffn);
            break;
        }
}

/* ---- the same bits ---- */

typedef struct two_caches {
    const bench *b;
    const outcome *want, *got;
    const setting *at;
    const char *what;
    int others; /* elements that differ */
} two_caches;

static bool see_same(void *context, int layer, int which, int g, int position, int i)
{
    two_caches *const t = (two_caches *)context;
    const uint16_t want = cached(t->b, t->want, layer, which, g, position)[i];
    const uint16_t got = cached(t->b, t->got, layer, which, g, position)[i];
    if (want != got && t->others++ == 0)
        wrong(t->at, "%s: layer %d, %s of head %d, position %d, component %d: 0x%04x (%g), not 0x%04x (%g)", t->what,
              layer, which ? "value" : "key", g, position, i, got, (double)pk_bf16_to_float(got), want,
              (double)pk_bf16_to_float(want));
    return true;
}

static void same_floats(const setting *at, const char *what, const char *of, const float *want, const float *got,
                        size_t count)
{
    size_t others = 0, first = 0;
    double most = 0;
    for (size_t i = 0; i < count; i++)
        if (memcmp(&want[i], &got[i], sizeof want[i]) != 0) {
            first = others++ == 0 ? i : first;
            most = fmax(most, fabs((double)got[i] - (double)want[i]));
        }
    if (others > 0)
        wrong(at, "%s: %zu of %zu %s, by %.3g at most; number %zu is %.9g, not %.9g", what, others, count, of, most,
              first, (double)got[first], (double)want[first]);
}

/* `what` stands before what differs. */
static void same_bits(const bench *b, const setting *at, const char *what, const outcome *want, const outcome *got)
{
    const pk_model_config *const c = &b->d.config;
    two_caches caches = {b, want, got, at, what, 0};
    (void)each_cached(b, see_same, &caches);
    if (caches.others > 1)
        wrong(at, "%s: %d elements of the cache", what, caches.others);
    same_floats(at, what, "logits", want->logits, got->logits, (size_t)c->vocab);
    same_floats(at, what, "components of the last x", want->last, got->last, (size_t)c->hidden);
    if (want->token != got->token)
        wrong(at, "%s: token %d, not %d", what, got->token, want->token);
}

static void logits_are_finite(const bench *b, const setting *at, const outcome *o)
{
    for (int i = 0; i < b->d.config.vocab; i++)
        if (!isfinite(o->logits[i])) {
            wrong(at, "logit %d is %g", i, (double)o->logits[i]);
            return;
        }
}

static void state_is_that_of_step_1(const setting *at, const outcome *o)
{
    const pk_decode_state *const s = &o->state;
    if (s->position != at->prompt || s->step != 1 || s->token != o->token || s->done != 0 || s->fault != 0)
        wrong(at, "position %d, step %d, token %d, done %d, fault %d, where step 1 has %d, 1, %d, 0, 0", s->position,
              s->step, s->token, s->done, s->fault, at->prompt, o->token);
}

static void faulted(const setting *at, const outcome *o, int fault)
{
    if (o->state.fault != fault || o->state.done != 1)
        wrong(at, "fault %d, done %d, where fault %d belongs, and the end", o->state.fault, o->state.done, fault);
}

/* ---- a prompt, padded and not, in two parts, and against decode ---- */

static pk_status padded_as_exact(bench *b, int prompt, const outcome *exact, outcome *o)
{
    const int buckets[] = {prompt + 1, (prompt + 15) / 16 * 16, (prompt + 63) / 64 * 64, MOST_ROWS};
    for (int i = 0; i < 4; i++) {
        const setting at = {b->d.config.name, products(NULL), prompt, buckets[i]};
        if (at.rows > MOST_ROWS || at.rows == prompt)
            continue;
        PK_TRY(prefill(b, prompt, at.rows, NULL, o));
        same_bits(b, &at, "padded, other bits than exact", exact, o);
        padding_is_zero(b, &at, o);
        state_is_that_of_step_1(&at, o);
    }
    return PK_OK;
}

static pk_status set_state(bench *b, pk_decode_state state)
{
    PK_TRY(pk_device_upload(b->d.state, &state, sizeof state, b->stream));
    return pk_device_stream_synchronize(b->stream);
}

/* The first `part` tokens, then the rest from position `part` on. */
static pk_status in_two_parts(bench *b, int prompt, int part, const outcome *whole, outcome *o)
{
    const int rest = prompt - part;
    const setting at = {b->d.config.name, products(NULL), prompt, rest + 3};
    PK_TRY(prefill(b, part, part, NULL, o));
    PK_TRY(set_state(b, pk_decode_state{part, 0, 0, 8, 0, 0, rest, 0}));
    PK_TRY(pk_device_upload(b->d.prompt, b->prompt + part, (size_t)rest * sizeof(int), b->stream));
    PK_TRY(pk_prefill(&b->d, at.rows, NULL, b->stream));
    PK_TRY(take(b, o));
    same_bits(b, &at, "in two parts, other bits than as one", whole, o);
    state_is_that_of_step_1(&at, o);
    return PK_OK;
}

static double apart(double square_of_differences, double square)
{
    return square > 0 ? sqrt(square_of_differences / square) : 0;
}

/* How far keys or values of a layer are apart, relative: root mean squares. */
static double cache_apart(const bench *b, const outcome *a, const outcome *o, int layer, int which, int positions)
{
    const pk_model_config *const c = &b->d.config;
    double differences = 0, all = 0;
    for (int g = 0; g < c->kv_heads; g++)
        for (int position = 0; position < positions; position++)
            for (int i = 0; i < c->head_dim; i++) {
                const double x = (double)pk_bf16_to_float(cached(b, a, layer, which, g, position)[i]);
                const double y = (double)pk_bf16_to_float(cached(b, o, layer, which, g, position)[i]);
                differences += (x - y) * (x - y);
                all += x * x;
            }
    return apart(differences, all);
}

static double logits_apart(const bench *b, const outcome *a, const outcome *o)
{
    double differences = 0, all = 0;
    for (int i = 0; i < b->d.config.vocab; i++) {
        const double x = (double)a->logits[i], y = (double)o->logits[i];
        differences += (x - y) * (x - y);
        all += x * x;
    }
    return apart(differences, all);
}

/* A prefill rounds the input of each projection to bf16, by 2^-8 at most and about half of that in the mean, and a step
 * of decode does not; in a tiny model no more than a dozen such roundings stand one behind the other. What one of the
 * two leaves out, takes twice or takes from elsewhere shows as a difference of the size of the numbers themselves. */
static void close_enough(const setting *at, const char *what, double relative)
{
    const double allowed = 12 * 0.5 / 256;
    most_of_decode = fmax(most_of_decode, relative / allowed);
    if (!(relative < allowed))
        wrong(at, "%s: %.3g apart, and less than %.3g is allowed", what, relative, allowed);
}

static pk_status against_decode(bench *b, int prompt, const outcome *exact, outcome *o)
{
    const setting at = {b->d.config.name, products(NULL), prompt, prompt};
    PK_TRY(begin(b, prompt));
    for (int position = 0; position < prompt; position++) {
        const pk_decode_at by_value = {b->d.state, position, b->prompt[position], 0};
        PK_TRY(pk_decode_step(&b->d, by_value, NULL, b->stream));
    }
    PK_TRY(take(b, o));
    for (int layer = 0; layer < b->d.config.layers; layer++)
        for (int which = 0; which < 2; which++) {
            char what[64];
            snprintf(what, sizeof what, "%s of layer %d are not those of decode", which ? "values" : "keys", layer);
            close_enough(&at, what, cache_apart(b, exact, o, layer, which, prompt));
        }
    close_enough(&at, "logits are not those of decode", logits_apart(b, exact, o));
    return PK_OK;
}

typedef struct reference {
    double *want; /* [vocab] */
    double bound;
} reference;

/* Logits in double, and the bound for inputs of projections, keys and values of bf16. */
static pk_status compute_reference(const bench *b, int prompt, reference *r)
{
    enum { PASSES = 16 };
    const pk_model_config *const c = &b->d.config;
    const pk_reference_roundings roundings = {1, prompt};
    pk_model model = {};
    r->want = (double *)malloc((size_t)c->vocab * sizeof *r->want);
    pk_status status = r->want ? pk_model_random(c, SEED, &model) : pk_out_of_memory("prefill_test");
    if (status == PK_OK)
        status = pk_reference_bounds(&model, b->prompt, (size_t)prompt, (size_t)prompt - 1, roundings, PASSES, 1,
                                     r->want, &r->bound);
    pk_model_close(&model);
    return status;
}

static void within_reference(const bench *b, const setting *at, const reference *r, const outcome *o)
{
    int others = 0, worst = 0;
    double most = 0;
    for (int i = 0; i < b->d.config.vocab; i++) {
        const double error = fabs((double)o->logits[i] - r->want[i]);
        others += !(error <= r->bound);
        if (!(error <= most)) { /* a NaN too */
            most = error;
            worst = i;
        }
    }
    most_of_reference = fmax(most_of_reference, most / r->bound);
    if (others > 0)
        wrong(at, "%d logits out of the reference's bound of %.3g; number %d is %.9g, in double %.9g", others, r->bound,
              worst, (double)o->logits[worst], r->want[worst]);
}

/* With padding, by the products that the build has; without a library they are the plain kernel's. */
static pk_status with_library(bench *b, int prompt, pk_gemm *gemm, const outcome *exact, const reference *r, outcome *o)
{
    const setting at = {b->d.config.name, products(gemm), prompt, prompt + 2 < MOST_ROWS ? prompt + 2 : MOST_ROWS};
    PK_TRY(prefill(b, prompt, at.rows, gemm, o));
    only_these(b, &at, o, 0, prompt);
    padding_is_zero(b, &at, o);
    close_enough(&at, "logits are not those of the plain kernel", logits_apart(b, exact, o));
    within_reference(b, &at, r, o);
    return PK_OK;
}

static pk_status one_prompt(bench *b, int prompt, pk_gemm *gemm, outcome *exact, outcome *other)
{
    const setting at = {b->d.config.name, products(NULL), prompt, prompt};
    reference r = {NULL, 0};
    PK_TRY(prefill(b, prompt, prompt, NULL, exact));
    only_these(b, &at, exact, 0, prompt);
    logits_are_finite(b, &at, exact);
    state_is_that_of_step_1(&at, exact);
    pk_status status = compute_reference(b, prompt, &r);
    if (status == PK_OK) {
        within_reference(b, &at, &r, exact);
        status = with_library(b, prompt, gemm, exact, &r, other);
    }
    free(r.want);
    PK_TRY(status);
    PK_TRY(padded_as_exact(b, prompt, exact, other));
    if (prompt > 2)
        PK_TRY(in_two_parts(b, prompt, prompt / 2 - 1, exact, other));
    return prompt <= 17 ? against_decode(b, prompt, exact, other) : PK_OK; /* a step takes long on a CPU device */
}

/* ---- what cannot be ---- */

static pk_status refused(bench *b, outcome *o)
{
    static const int rows[] = {0, -1, MOST_ROWS + 1};
    const setting too_short = {b->d.config.name, products(NULL), 20, 16};
    const setting full = {b->d.config.name, products(NULL), 20, 32};
    for (int i = 0; i < 3; i++) {
        const setting at = {b->d.config.name, products(NULL), 1, rows[i]};
        expect(pk_prefill(&b->d, rows[i], NULL, b->stream) == PK_USAGE &&
                   pk_prefill_plan(&b->d, rows[i], NULL) == PK_USAGE,
               &at, "not refused");
    }
    PK_TRY(prefill(b, 20, 16, NULL, o));
    faulted(&too_short, o, PK_FAULT_BUCKET);
    only_these(b, &too_short, o, 0, 16);

    PK_TRY(begin(b, 20));
    PK_TRY(set_state(b, pk_decode_state{CAPACITY - 10, 0, 0, 8, 0, 0, 20, 0}));
    PK_TRY(pk_device_fill(b->memory.cache, 0, b->size.cache, b->stream)); /* those before are there, and zero */
    PK_TRY(pk_prefill(&b->d, 32, NULL, b->stream));
    PK_TRY(take(b, o));
    faulted(&full, o, PK_FAULT_CACHE_FULL);
    bool beside = false;
    for (int position = 0; position < CAPACITY - 10; position++)
        for (int g = 0; g < b->d.config.kv_heads; g++)
            for (int i = 0; i < b->d.config.head_dim; i++)
                beside = beside || cached(b, o, 0, 0, g, position)[i] != 0;
    expect(!beside, &full, "keys of tokens without a place in the cache");
    return PK_OK;
}

/* A captured prefill of a bucket serves prompts of all lengths. */
static pk_status captured(bench *b, pk_gemm *gemm, outcome *direct, outcome *o)
{
    enum { ROWS = 64 };
    static const int prompts[] = {1, 30, 64};
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    pk_launch_counts counts;
    PK_TRY(pk_prefill_plan(&b->d, ROWS, gemm));
    PK_CHECK(cudaStreamBeginCapture(b->stream, cudaStreamCaptureModeGlobal));
    pk_launch_counts_reset();
    const pk_status status = pk_prefill(&b->d, ROWS, gemm, b->stream);
    pk_launch_counts_read(&counts);
    PK_CHECK(cudaStreamEndCapture(b->stream, &graph));
    PK_TRY(status);
    size_t nodes = 0;
    PK_CHECK(cudaGraphGetNodes(graph, NULL, &nodes));
    const setting counted = {b->d.config.name, products(gemm), 1, ROWS};
    if ((int)nodes != pk_prefill_launches(&b->d) || counts.launches != nodes)
        wrong(&counted, "%zu kernels, %llu launches counted, %d said", nodes, (unsigned long long)counts.launches,
              pk_prefill_launches(&b->d));
    PK_CHECK(cudaGraphInstantiate(&exec, graph, 0));
    for (int i = 0; i < 3; i++) {
        const setting at = {b->d.config.name, products(gemm), prompts[i], ROWS};
        PK_TRY(prefill(b, prompts[i], ROWS, gemm, direct));
        PK_TRY(begin(b, prompts[i]));
        PK_CHECK(cudaGraphLaunch(exec, b->stream));
        PK_TRY(take(b, o));
        same_bits(b, &at, "replayed, other bits than launched", direct, o);
    }
    PK_CHECK(cudaGraphExecDestroy(exec));
    PK_CHECK(cudaGraphDestroy(graph));
    return PK_OK;
}

/* ---- attention alone ---- */

typedef struct heads {
    int heads, kv_heads, head_dim;
} heads;

/* One row and head in double, [head_dim], and how far a right kernel's may be from it. n keys, D components, u = 2^-24,
 * s the largest sum |q_d k_d| / sqrt(D) of a key: a score errs by less than (D + 3) u s, or 2^-16 s where q is two
 * bf16; a weight by twice the largest such, and a few u of its power; their sum and the values' by n u; the result is
 * rounded to bf16, by 2^-8 of it. Tensor cores cut where others round: twice u. */
static void attend_in_double(const float *q, const uint16_t *k, const uint16_t *v, int n, int d, double *want,
                             double *bound)
{
    double top = -INFINITY, most = 0, weights = 0;
    double score[CAPACITY];
    for (int key = 0; key < n; key++) {
        double dot = 0, size = 0;
        for (int c = 0; c < d; c++) {
            const double product = (double)q[c] * (double)pk_bf16_to_float(k[key * d + c]);
            dot += product;
            size += fabs(product);
        }
        score[key] = dot / sqrt((double)d);
        top = fmax(top, score[key]);
        most = fmax(most, size / sqrt((double)d));
    }
    for (int c = 0; c < d; c++)
        want[c] = bound[c] = 0;
    for (int key = 0; key < n; key++) {
        const double weight = exp(score[key] - top);
        weights += weight;
        for (int c = 0; c < d; c++) {
            const double value = weight * (double)pk_bf16_to_float(v[key * d + c]);
            want[c] += value;
            bound[c] += fabs(value);
        }
    }
    const double relative = 2 * most * ((d + 3) * 0x1p-23 + 0x1p-16) + (2 * n + 16) * 0x1p-23 + 0x1p-16;
    for (int c = 0; c < d; c++) {
        want[c] /= weights;
        bound[c] = fabs(want[c]) * 0x1p-8 + bound[c] / weights * relative;
    }
}

static pk_status fill_attention(bench *b, int position, int prompt, float *qkv, size_t qkv_count, outcome *o)
{
    pk_random random;
    pk_random_seed(&random, (uint64_t)(position * 1000 + prompt));
    for (size_t i = 0; i < qkv_count; i++)
        qkv[i] = 8 * pk_random_float(&random) - 4; /* so that a few keys outweigh the others */
    memset(o->cache, 0xff, b->size.cache);
    for (int which = 0; which < 2; which++)
        for (int g = 0; g < b->d.config.kv_heads; g++)
            for (int key = 0; key < position + prompt; key++)
                for (int i = 0; i < b->d.config.head_dim; i++)
                    ((uint16_t *)cached(b, o, 0, which, g, key))[i] =
                        pk_float_to_bf16(2 * pk_random_float(&random) - 1);
    PK_TRY(pk_device_upload(b->d.qkv, qkv, qkv_count * sizeof *qkv, b->stream));
    PK_TRY(pk_device_upload(b->memory.cache, o->cache, b->size.cache, b->stream));
    return set_state(b, pk_decode_state{position, 0, 0, 8, 0, 0, prompt, 0});
}

static pk_status attend_once(bench *b, int position, int prompt, int rows, float *qkv, outcome *o)
{
    const pk_model_config *const c = &b->d.config;
    const int columns = (c->heads + 2 * c->kv_heads) * c->head_dim, width = c->heads * c->head_dim;
    const setting at = {c->name, "none", prompt, rows};
    int others = 0;
    PK_TRY(fill_attention(b, position, prompt, qkv, (size_t)rows * (size_t)columns, o));
    PK_TRY(pk_device_fill(b->d.rounded, 0xff, (size_t)rows * (size_t)width * sizeof(uint16_t), b->stream));
    PK_TRY(pk_prefill_attend(&b->d, &b->d.layer[0], rows, b->stream));
    PK_TRY(pk_device_download(o->rounded, b->d.rounded, (size_t)rows * (size_t)width * sizeof(uint16_t), b->stream));
    PK_TRY(pk_device_stream_synchronize(b->stream));
    for (int row = 0; row < rows; row++)
        for (int head = 0; head < c->heads; head++) {
            const int g = head / (c->heads / c->kv_heads), first = head * c->head_dim;
            double want[MOST_HEAD_DIM] = {}, bound[MOST_HEAD_DIM] = {}; /* of padding: exactly zero */
            if (row < prompt)
                attend_in_double(qkv + (size_t)row * (size_t)columns + first, cached(b, o, 0, 0, g, 0),
                                 cached(b, o, 0, 1, g, 0), position + row + 1, c->head_dim, want, bound);
            for (int i = 0; i < c->head_dim; i++) {
                const double got = (double)pk_bf16_to_float(o->rounded[(size_t)row * (size_t)width + first + i]);
                const double error = fabs(got - want[i]);
                if (bound[i] > 0)
                    most_of_attention = fmax(most_of_attention, error / bound[i]);
                if (!(error <= bound[i]) && others++ == 0)
                    wrong(&at, "attention from position %d on: row %d, head %d, component %d is %.9g, not %.9g +- %.3g",
                          position, row, head, i, got, want[i], bound[i]);
            }
        }
    if (others > 1)
        wrong(&at, "attention from position %d on: %d values out of their bounds", position, others);
    return PK_OK;
}

/* Each head_dim that a kernel of its own serves, and some between; one query head a key/value head, and several. */
static pk_status attention(int processors)
{
    static const heads shapes[] = {{2, 1, 16}, {2, 2, 32},  {3, 1, 48}, {4, 2, 64},
                                   {1, 1, 80}, {2, 1, 128}, {1, 1, 256}};
    static const int cases[][3] = {{0, 1, 1}, {0, 65, 70}, {7, 17, 17}, {70, 64, 150}, {63, 130, 130}}; /* see above */
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        bench b;
        outcome o = {};
        pk_model_config config;
        PK_TRY(pk_model_config_named("tiny", &config));
        config.layers = 1;
        config.heads = shapes[s].heads;
        config.kv_heads = shapes[s].kv_heads;
        config.head_dim = shapes[s].head_dim;
        config.ffn = 256; /* so that rounded has room in the outcome for all heads */
        snprintf(config.name, sizeof config.name, "heads of %d", config.head_dim);
        pk_status status = open_bench(&b, &config, processors);
        const size_t columns = (size_t)(config.heads + 2 * config.kv_heads) * (size_t)config.head_dim;
        float *const qkv = (float *)malloc(MOST_ROWS * columns * sizeof(float));
        if (status == PK_OK)
            status = qkv ? open_outcome(&b, &o) : pk_out_of_memory("prefill_test");
        for (size_t i = 0; i < sizeof cases / sizeof cases[0] && status == PK_OK; i++)
            status = attend_once(&b, cases[i][0], cases[i][1], cases[i][2], qkv, &o);
        free(qkv);
        close_outcome(&o);
        close_bench(&b);
        PK_TRY(status);
    }
    return PK_OK;
}

/* ---- all ---- */

static pk_status one_model(bench *b, pk_gemm *gemm, outcome *exact, outcome *other)
{
    static const int prompts[] = {1, 2, 17, 64, 65, 149};
    PK_TRY(open_outcome(b, exact));
    PK_TRY(open_outcome(b, other));
    for (size_t i = 0; i < sizeof prompts / sizeof prompts[0]; i++)
        PK_TRY(one_prompt(b, prompts[i], gemm, exact, other));
    PK_TRY(captured(b, NULL, exact, other));
    if (gemm)
        PK_TRY(captured(b, gemm, exact, other));
    return refused(b, exact);
}

/* The models that the command line names. */
static pk_status models(int processors, pk_gemm *gemm, char **names, int count)
{
    for (int i = 0; i < count; i++) {
        bench b;
        outcome exact = {}, other = {};
        pk_model_config config;
        PK_TRY(pk_model_config_named(names[i], &config));
        pk_status status = open_bench(&b, &config, processors);
        if (status == PK_OK)
            status = one_model(&b, gemm, &exact, &other);
        close_outcome(&exact);
        close_outcome(&other);
        close_bench(&b);
        PK_TRY(status);
    }
    return PK_OK;
}

int main(int argc, char **argv)
{
    pk_device_info device;
    pk_gemm *gemm = NULL;
    pk_status status = argc < 2 ? pk_fail(PK_USAGE, "name the models to prefill: tiny tiny-qwen2 tiny-qwen3") : PK_OK;
    if (status == PK_OK)
        status = pk_device_open(&device);
    if (status == PK_OK)
        status = pk_gemm_open(&gemm);
    if (status == PK_OK)
        status = attention(device.processors);
    if (status == PK_OK)
        status = models(device.processors, gemm, argv + 1, argc - 1);
    if (status == PK_OK)
        printf("%s, products by %s%s: of what is allowed, attention has up to %.2f, logits against the pass in double "
               "%.2f, keys, values and logits against decode and between products %.2f\n",
               device.name, gemm ? "the plain kernel and " : "", products(gemm), most_of_attention, most_of_reference,
               most_of_decode);
    else
        fprintf(stderr, "prefill_test: %s\n", pk_error_text());
    pk_gemm_close(gemm);
    pk_device_close();
    return status != PK_OK ? pk_exit_code(status) : failures != 0;
}
