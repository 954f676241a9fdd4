/* One step of decode on the device: attention at every length about the edges of its parts, against sums in double over
 * the very cache, and bit for bit where they are exact; nothing read or written beside; what is said by value or in the
 * state, in every mixture the same bits; ends, limits and faults; a long context against the pass in double; kernels
 * counted, those that move, and the bytes that a step moves. Both forms. --few: less of each, for builds that are some
 * twenty times slower. Exit code 77 where there is no device. */
#include "decoder_bench.h"

#include <math.h>
#include <stdarg.h>

#include "num/pk_half.h"
#include "num/pk_random.h"

#include "decode/decode_internal.h"
#include "decode/pk_reference.h"

enum { SEED = 9, MOST_HEAD_DIM = 256, UNUSED = 0xffff /* in a cache: a NaN */ };

static int failures;
static double most_of_attention, most_of_reference; /* the largest errors, as parts of their bounds: said at the end */

typedef struct setting { /* what is under test, for messages */
    const char *model;
    pk_decode_how how;
    int position;
} setting;

static void wrong(const setting *at, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void wrong(const setting *at, const char *format, ...)
{
    va_list arguments;
    failures++;
    fprintf(stderr, "step_test: %s, %s%s, position %d: ", at->model, at->how.fused ? "fused" : "unfused",
            at->how.pdl ? " by programmatic launches" : "", at->position);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
}

/* ---- a decoder, and what it holds ---- */

static pk_status open_loaded(decoder_bench *b, const pk_model_config *config, const pk_decoder_shape *shape,
                             int processors, int threads, bool stops)
{
    const pk_sampling greedy = {1, 1, 0, stops};
    PK_TRY(bench_open(b, config, shape, &greedy, processors, threads));
    return pk_decoder_load_random(&b->d, SEED, b->stream);
}

static void expect_guards(decoder_bench *b, const setting *at)
{
    bool whole = false;
    if (bench_guards(b, &whole) != PK_OK || !whole)
        wrong(at, "written behind a buffer");
}

/* Where the k (which 0) or v (1) cache of a layer has a row, in a host copy of all caches. */
static uint16_t *row_of(const decoder_bench *b, uint16_t *cache, int layer, int which, int kv_head, int position)
{
    const pk_device_layer *const l = &b->d.layer[layer];
    const size_t row = (size_t)kv_head * (size_t)b->d.shape.capacity + (size_t)position;
    return cache + ((which ? l->v_cache : l->k_cache) - (const uint16_t *)b->memory.cache) +
           row * (size_t)b->d.config.head_dim;
}

/* Numbers for all positions: keys in -1 to 1, values whole. */
static void draw_cache(const decoder_bench *b, uint16_t *drawn)
{
    const size_t of_cache = (size_t)b->d.config.kv_heads * (size_t)b->d.shape.capacity * (size_t)b->d.config.head_dim;
    pk_random random;
    pk_random_seed(&random, SEED);
    for (int layer = 0; layer < b->d.config.layers; layer++)
        for (int which = 0; which < 2; which++) {
            uint16_t *const to = row_of(b, drawn, layer, which, 0, 0);
            for (size_t i = 0; i < of_cache; i++)
                to[i] = pk_float_to_bf16(which ? (float)pk_random_below(&random, 17) - 8
                                               : 2 * pk_random_float(&random) - 1);
        }
}

/* Positions below `keys` of all layers hold what was drawn, and all else NaN. */
static void fill_cache(const decoder_bench *b, uint16_t *cache, const uint16_t *drawn, int keys)
{
    const pk_model_config *const c = &b->d.config;
    memset(cache, 0xff, b->size.cache);
    for (int layer = 0; layer < c->layers; layer++)
        for (int which = 0; which < 2; which++)
            for (int g = 0; g < c->kv_heads; g++) {
                uint16_t *const to = row_of(b, cache, layer, which, g, 0);
                memcpy(to, drawn + (to - cache), (size_t)keys * (size_t)c->head_dim * sizeof *to);
            }
}

/* ---- attention ---- */

/* In double: `want` [head_dim], and how far a right kernel's may be from it. n keys, D components, u = 2^-24, s the
 * largest sum |q_d k_d| / sqrt(D) of a key. A score errs by (D + 3) u s; a weight by twice the largest such, and a few
 * u of its power; their sum and the values', with all that it is scaled by on the way, by 2 n u. The quotient is
 * rounded. */
static void attend_in_double(const float *q, const uint16_t *k, const uint16_t *v, int n, int d, double *want,
                             double *bound)
{
    double *const score = (double *)malloc((size_t)n * sizeof *score);
    double top = -INFINITY, most = 0, weights = 0;
    for (int key = 0; score && key < n; key++) {
        double dot = 0, size = 0;
        for (int i = 0; i < d; i++) {
            const double product = (double)q[i] * (double)pk_bf16_to_float(k[key * d + i]);
            dot += product;
            size += fabs(product);
        }
        score[key] = dot / sqrt((double)d);
        top = fmax(top, score[key]);
        most = fmax(most, size / sqrt((double)d));
    }
    for (int i = 0; i < d; i++)
        want[i] = bound[i] = score ? 0 : NAN;
    for (int key = 0; score && key < n; key++) {
        const double weight = exp(score[key] - top);
        weights += weight;
        for (int i = 0; i < d; i++) {
            const double value = weight * (double)pk_bf16_to_float(v[key * d + i]);
            want[i] += value;
            bound[i] += fabs(value);
        }
    }
    const double relative = 2 * most * (d + 3) * 0x1p-24 + (2 * n + 16) * 0x1p-24;
    for (int i = 0; i < d; i++) {
        want[i] /= weights;
        bound[i] = fabs(want[i]) * 0x1p-23 + bound[i] / weights * relative;
    }
    free(score);
}

/* All keys weigh the same where q is zero: sums of whole numbers, exact, and one division. */
static float mean_of_values(const uint16_t *v, int n, int d, int component)
{
    float sum = 0;
    for (int key = 0; key < n; key++)
        sum += pk_bf16_to_float(v[key * d + component]);
    return sum / (float)n;
}

typedef struct attention {
    decoder_bench b;
    setting at;
    uint16_t *drawn, *before, *after; /* caches */
    float *qkv, *heads;               /* as the step left them */
    size_t qkv_count, heads_count;
} attention;

static void close_attention(attention *t)
{
    free(t->drawn);
    free(t->before);
    free(t->after);
    free(t->qkv);
    free(t->heads);
    bench_close(&t->b);
}

static pk_status open_attention(attention *t, const pk_model_config *config, int capacity, int processors, int threads)
{
    const pk_decoder_shape shape = {capacity, 1, 1, 1, PK_QUANT_BF16};
    PK_TRY(open_loaded(&t->b, config, &shape, processors, threads, false));
    t->qkv_count = (size_t)((config->heads + 2 * config->kv_heads) * config->head_dim);
    t->heads_count = (size_t)(config->heads * config->head_dim);
    t->drawn = (uint16_t *)malloc(t->b.size.cache);
    t->before = (uint16_t *)malloc(t->b.size.cache);
    t->after = (uint16_t *)malloc(t->b.size.cache);
    t->qkv = (float *)malloc(t->qkv_count * sizeof *t->qkv);
    t->heads = (float *)malloc(t->heads_count * sizeof *t->heads);
    if (!t->drawn || !t->before || !t->after || !t->qkv || !t->heads)
        return pk_out_of_memory("step_test");
    draw_cache(&t->b, t->drawn);
    return PK_OK;
}

/* Does a kernel of its own put this step's key and value into the cache? Else a projection does, which does not run
 * here, and the test puts them there. */
static bool appends(const attention *t)
{
    return !t->at.how.fused || t->b.d.config.qk_norm;
}

/* q, k and v as projections would leave them: q zero or not; v whole numbers. */
static void draw_projections(attention *t, bool is_zero, pk_random *random)
{
    const size_t v = t->qkv_count - (size_t)(t->b.d.config.kv_heads * t->b.d.config.head_dim);
    for (size_t i = 0; i < t->qkv_count; i++) {
        const float drawn = 2 * pk_random_float(random) - 1;
        t->qkv[i] = i < t->heads_count ? (is_zero ? 0 : 4 * drawn) : i < v ? drawn : floorf(8 * drawn);
    }
}

/* A step in which no projection runs. Its logits are what is there: token 0 is the best of them. */
static pk_status run_attention(attention *t, bool is_zero)
{
    decoder_bench *const b = &t->b;
    const pk_decode_at at = {b->d.state, t->at.position, 0, 0};
    const pk_decode_state nothing = {};
    pk_random random;
    pk_random_seed(&random, (uint64_t)t->at.position * 2 + is_zero);
    fill_cache(b, t->before, t->drawn, t->at.position + !appends(t));
    draw_projections(t, is_zero, &random);
    PK_TRY(bench_write(b, b->d.state, &nothing, sizeof nothing));
    PK_TRY(bench_write(b, b->memory.cache, t->before, b->size.cache));
    PK_TRY(bench_write(b, b->d.qkv, t->qkv, t->qkv_count * sizeof *t->qkv));
    PK_TRY(pk_device_fill(b->d.heads, 0xff, t->heads_count * sizeof *t->heads, b->stream));
    PK_TRY(pk_device_fill(b->d.logits, 0, b->size.logits, b->stream));
    PK_TRY(pk_decode_step(&b->d, at, &t->at.how, b->stream));
    PK_TRY(bench_read(b, t->qkv, b->d.qkv, t->qkv_count * sizeof *t->qkv));
    PK_TRY(bench_read(b, t->heads, b->d.heads, t->heads_count * sizeof *t->heads));
    return bench_read(b, t->after, b->memory.cache, b->size.cache);
}

/* The cache as it was, but for the step's own keys and values: those of qkv, rounded. */
static void expect_appended(attention *t)
{
    const pk_model_config *const c = &t->b.d.config;
    for (int which = 0; which < 2 && appends(t); which++)
        for (int g = 0; g < c->kv_heads; g++) {
            uint16_t *const row = row_of(&t->b, t->before, 0, which, g, t->at.position);
            const float *const from = t->qkv + (c->heads + which * c->kv_heads + g) * c->head_dim;
            for (int i = 0; i < c->head_dim; i++)
                row[i] = pk_float_to_bf16(from[i]);
        }
    for (size_t i = 0; i < t->b.size.cache / sizeof *t->after; i++)
        if (t->before[i] != t->after[i]) {
            wrong(&t->at, "element %zu of the cache is 0x%04x, not 0x%04x", i, t->after[i], t->before[i]);
            return;
        }
}

static void expect_attended(attention *t, bool is_zero)
{
    const pk_model_config *const c = &t->b.d.config;
    const int keys = t->at.position + 1, d = c->head_dim;
    for (int head = 0; head < c->heads; head++) {
        const int g = head / (c->heads / c->kv_heads);
        const uint16_t *const k = row_of(&t->b, t->after, 0, 0, g, 0), *const v = row_of(&t->b, t->after, 0, 1, g, 0);
        double want[MOST_HEAD_DIM], bound[MOST_HEAD_DIM];
        if (!is_zero)
            attend_in_double(t->qkv + head * d, k, v, keys, d, want, bound);
        for (int i = 0; i < d; i++) {
            const float got = t->heads[head * d + i];
            const double right = is_zero ? (double)mean_of_values(v, keys, d, i) : want[i];
            const double near = is_zero ? 0 : bound[i], error = fabs((double)got - right);
            if (near > 0)
                most_of_attention = fmax(most_of_attention, error / near);
            if (!(error <= near)) {
                wrong(&t->at, "%s, head %d, component %d is %.9g, not %.9g +- %.3g",
                      is_zero ? "all weights equal" : "attention", head, i, (double)got, right, near);
                return;
            }
        }
    }
}

/* Lengths about multiples of a part's keys, and of what a block's turn takes. */
static const int lengths[] = {1,   2,   3,   5,   16,  31,  33,  63,  64,  65,  127, 128, 129,
                              192, 193, 256, 319, 321, 449, 511, 512, 513, 575, 640, 641, 700};
enum { LENGTHS = sizeof lengths / sizeof lengths[0], CAPACITY = 700 };

static pk_status attend_at_lengths(const pk_model_config *config, int processors, int threads, pk_decode_how how)
{
    attention t = {};
    t.at.model = config->name;
    t.at.how = how;
    pk_status status = open_attention(&t, config, CAPACITY, processors, threads);
    for (int i = 0; i < LENGTHS && status == PK_OK; i++)
        for (int is_zero = 0; is_zero < 2 && status == PK_OK; is_zero++) {
            t.at.position = lengths[i] - 1;
            status = run_attention(&t, is_zero != 0);
            if (status == PK_OK) {
                expect_appended(&t);
                expect_attended(&t, is_zero != 0);
            }
        }
    if (status == PK_OK)
        expect_guards(&t.b, &t.at);
    close_attention(&t);
    return status;
}

typedef struct head_shape {
    int heads, kv_heads, head_dim;
    bool qk_norm;
} head_shape;

/* One query head a key/value head, and several; heads that fill their lanes, and that do not. Parts: as many as there
 * are keys for, fewer, and one; blocks of several warps, and of one. */
static pk_status all_attention(bool few)
{
    static const head_shape shapes[] = {{1, 1, 64, false},  {4, 2, 64, true},  {6, 2, 80, false}, {5, 1, 128, true},
                                        {2, 2, 128, false}, {3, 1, 16, false}, {1, 1, 256, false}};
    static const int layouts[][2] = {{64, 128}, {64, 32}, {3, 512}, {1, 64}}; /* processors, threads */
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (int l = few ? (int)s / 2 : 0; l < (few ? (int)s / 2 + 1 : 4); l++) {
            const pk_decode_how how = {(l + (int)s) % 2 == 0, false, false, bench_no_matvec, NULL, NULL};
            pk_model_config config;
            PK_TRY(pk_model_config_named("tiny-qwen3", &config));
            config.layers = 1;
            config.vocab = 32;
            config.end_count = 0;
            config.begin_token = -1;
            config.heads = shapes[s].heads;
            config.kv_heads = shapes[s].kv_heads;
            config.head_dim = shapes[s].head_dim;
            config.qk_norm = shapes[s].qk_norm;
            snprintf(config.name, sizeof config.name, "%d/%d heads of %d, %d processors, blocks of %d", config.heads,
                     config.kv_heads, config.head_dim, layouts[l][0], layouts[l][1]);
            PK_TRY(attend_at_lengths(&config, layouts[l][0], layouts[l][1], how));
        }
    return PK_OK;
}

/* ---- where a step stands ---- */

enum { STAND_ROWS = 3, STAND_STEPS = 16, STAND_STEP = 4, STAND_CAPACITY = 205 };

typedef struct left {        /* by a step or several, in host memory */
    uint16_t *cache, *drawn; /* drawn: what it began with */
    float *logits;           /* [STAND_ROWS][vocab] */
    int tokens[STAND_STEPS];
    pk_decode_state state;
} left;

static pk_status open_left(const decoder_bench *b, left *l)
{
    l->cache = (uint16_t *)malloc(b->size.cache);
    l->drawn = (uint16_t *)malloc(b->size.cache);
    l->logits = (float *)malloc(b->size.logits);
    if (!l->cache || !l->drawn || !l->logits)
        return pk_out_of_memory("step_test");
    draw_cache(b, l->drawn);
    return PK_OK;
}

static void close_left(left *l)
{
    free(l->cache);
    free(l->drawn);
    free(l->logits);
}

static pk_status read_left(const decoder_bench *b, left *l)
{
    PK_TRY(bench_read(b, l->cache, b->memory.cache, b->size.cache));
    PK_TRY(bench_read(b, l->logits, b->d.logits, b->size.logits));
    PK_TRY(bench_read(b, l->tokens, b->d.tokens, sizeof l->tokens));
    return bench_read(b, &l->state, b->d.state, sizeof l->state);
}

static bool same_left(const decoder_bench *b, const left *one, const left *other)
{
    return memcmp(one->cache, other->cache, b->size.cache) == 0 &&
           memcmp(one->logits, other->logits, b->size.logits) == 0 &&
           memcmp(one->tokens, other->tokens, sizeof one->tokens) == 0;
}

/* `keys` keys of random numbers, no logits, no tokens, this state. */
static pk_status stand(const decoder_bench *b, left *scratch, int keys, pk_decode_state state)
{
    fill_cache(b, scratch->cache, scratch->drawn, keys);
    PK_TRY(pk_device_fill(b->d.logits, 0xff, b->size.logits, b->stream));
    PK_TRY(pk_device_fill(b->d.tokens, 0xff, b->size.tokens, b->stream));
    PK_TRY(bench_write(b, b->memory.cache, scratch->cache, b->size.cache));
    return bench_write(b, b->d.state, &state, sizeof state);
}

/* Position, token and step, each by value or in the state (bits 0, 1, 2 of `mixture`); what is said by value is another
 * in the state. */
static pk_status one_mixture(const decoder_bench *b, const setting *at, int mixture, left *got)
{
    enum { TOKEN = 77 };
    const bool position = mixture & 1, token = mixture & 2, step = mixture & 4; /* in the state */
    const pk_decode_state state = {
        position ? at->position : 5, token ? TOKEN : 7, step ? STAND_STEP : 9, STAND_STEPS, 0, 0, 0, 0};
    const pk_decode_at where = {b->d.state, position ? -1 : at->position, token ? -1 : TOKEN, step ? -1 : STAND_STEP};
    PK_TRY(stand(b, got, at->position, state));
    PK_TRY(pk_decode_step(&b->d, where, &at->how, b->stream));
    PK_TRY(read_left(b, got));
    const pk_decode_state *const s = &got->state;
    const int chosen = got->tokens[STAND_STEP];
    const int next_position = step ? at->position + 1 : state.position;
    const int next_step = step ? STAND_STEP + 1 : state.step;
    if (chosen < 0 || chosen >= b->d.config.vocab)
        wrong(at, "the step's token is %d", chosen);
    if (s->position != next_position || s->step != next_step || s->token != chosen || s->done != 0 || s->fault != 0)
        wrong(at,
              "position %s, token %s, step %s: the state has position %d, step %d, token %d, done %d, fault %d, where "
              "%d, %d, %d, 0, 0 belong",
              position ? "in the state" : "by value", token ? "in the state" : "by value",
              step ? "in the state" : "by value", s->position, s->step, s->token, s->done, s->fault, next_position,
              next_step, chosen);
    return PK_OK;
}

/* Only the step's own row of the caches was written, and only its own row of logits. */
static void expect_own_rows(const decoder_bench *b, const setting *at, left *got)
{
    const pk_model_config *const c = &b->d.config;
    for (int layer = 0; layer < c->layers; layer++)
        for (int which = 0; which < 2; which++)
            for (int g = 0; g < c->kv_heads; g++)
                for (int position = at->position; position < b->d.shape.capacity; position++) {
                    const uint16_t *const row = row_of(b, got->cache, layer, which, g, position);
                    for (int i = 0; i < c->head_dim; i++)
                        if ((row[i] == UNUSED) != (position != at->position)) {
                            wrong(at, "layer %d, head %d: position %d of the cache has 0x%04x", layer, g, position,
                                  row[i]);
                            return;
                        }
                }
    for (int row = 0; row < STAND_ROWS; row++)
        for (int i = 0; i < c->vocab; i++) {
            const float logit = got->logits[(size_t)row * c->vocab + i];
            if (isnan(logit) != (row != STAND_STEP % STAND_ROWS)) {
                wrong(at, "logit %d of row %d is %g", i, row, (double)logit);
                return;
            }
        }
}

static pk_status all_mixtures(decoder_bench *b, const setting *at, left *want, left *got)
{
    PK_TRY(one_mixture(b, at, 0, want));
    expect_own_rows(b, at, want);
    for (int mixture = 1; mixture < 8; mixture++) {
        PK_TRY(one_mixture(b, at, mixture, got));
        if (!same_left(b, want, got))
            wrong(at, "other bits where the state has %s%s%s", mixture & 1 ? "the position " : "",
                  mixture & 2 ? "the token " : "", mixture & 4 ? "the step" : "");
    }
    return PK_OK;
}

/* Steps in a row: the state moved on by each, as against positions and steps by value. */
static pk_status steps_in_a_row(decoder_bench *b, const setting *at, left *want, left *got)
{
    enum { STEPS = 5 };
    const pk_decode_state state = {at->position, 77, 0, STAND_STEPS, 0, 0, 0, 0};
    PK_TRY(stand(b, want, at->position, state));
    for (int step = 0; step < STEPS; step++) {
        const pk_decode_at where = {b->d.state, at->position + step, -1, step};
        PK_TRY(pk_decode_step(&b->d, where, &at->how, b->stream));
    }
    PK_TRY(read_left(b, want));
    PK_TRY(stand(b, got, at->position, state));
    for (int step = 0; step < STEPS; step++) {
        const pk_decode_at where = {b->d.state, -1, -1, -1};
        PK_TRY(pk_decode_step(&b->d, where, &at->how, b->stream));
    }
    PK_TRY(read_left(b, got));
    if (!same_left(b, want, got))
        wrong(at, "five steps, each moving the state on, have other bits than by value");
    if (got->state.position != at->position + STEPS || got->state.step != STEPS)
        wrong(at, "after five steps the state has position %d, step %d", got->state.position, got->state.step);
    return PK_OK;
}

/* ---- ends and faults ---- */

static void expect_state(const setting *at, const pk_decode_state *s, int position, int done, int fault)
{
    if (s->position != position || s->done != done || s->fault != fault)
        wrong(at, "the state has position %d, done %d, fault %d, where %d, %d, %d belong", s->position, s->done,
              s->fault, position, done, fault);
}

/* The cache has room for positions below its capacity; a step beyond is a fault, changes nothing in it, and ends what
 * is done. By value likewise, but the state is not moved on, and keeps silent. */
static pk_status cache_full(decoder_bench *b, setting at, left *want, left *got)
{
    const int capacity = b->d.shape.capacity;
    for (int by_value = 0; by_value < 2; by_value++)
        for (at.position = capacity - 1; at.position < capacity + 3; at.position++) {
            const bool full = at.position >= capacity;
            const pk_decode_state state = {at.position, 3, 0, STAND_STEPS, 0, 0, 0, 0};
            const pk_decode_at where = {b->d.state, by_value ? at.position : -1, -1, by_value ? 0 : -1};
            PK_TRY(stand(b, want, full ? capacity : at.position, state));
            PK_TRY(pk_decode_step(&b->d, where, &at.how, b->stream));
            PK_TRY(read_left(b, got));
            if (by_value)
                expect_state(&at, &got->state, at.position, 0, 0);
            else
                expect_state(&at, &got->state, at.position + 1, full, full ? PK_FAULT_CACHE_FULL : 0);
            if ((got->tokens[0] < 0) != (full && !by_value))
                wrong(&at, "token %d", got->tokens[0]);
            if (full && memcmp(want->cache, got->cache, b->size.cache) != 0)
                wrong(&at, "the cache is full, and was written to");
            for (int i = 0; i < b->d.config.vocab; i++)
                if (!isfinite(got->logits[i])) {
                    wrong(&at, "logit %d is %g", i, (double)got->logits[i]);
                    break;
                }
        }
    return PK_OK;
}

/* A NaN in x is in every logit. */
static pk_status no_number(decoder_bench *b, setting at, left *scratch)
{
    const pk_decode_state state = {8, 3, 0, STAND_STEPS, 0, 0, 0, 0};
    at.position = 8;
    PK_TRY(stand(b, scratch, 6, state)); /* keys 6 and 7 are NaN */
    const pk_decode_at where = {b->d.state, -1, -1, -1};
    PK_TRY(pk_decode_step(&b->d, where, &at.how, b->stream));
    PK_TRY(read_left(b, scratch));
    expect_state(&at, &scratch->state, 9, 1, PK_FAULT_NO_NUMBER);
    if (scratch->tokens[0] != PK_TOKEN_OF_FAULT(PK_FAULT_NO_NUMBER) || scratch->state.token != 0)
        wrong(&at, "token %d, and %d in the state, where no logit is a number", scratch->tokens[0],
              scratch->state.token);
    return PK_OK;
}

/* A step that chooses `token`, from a state of this step, limit and done. */
static pk_status choose_token(decoder_bench *b, int token, pk_decode_state state, int step, pk_decode_state *after)
{
    const pk_decode_how how = {true, false, false, bench_no_matvec, NULL, NULL};
    const pk_decode_at where = {b->d.state, step < 0 ? -1 : state.position, -1, step};
    const float high = 1;
    PK_TRY(bench_write(b, b->d.state, &state, sizeof state));
    PK_TRY(pk_device_fill(b->memory.cache, 0, b->size.cache, b->stream));
    PK_TRY(pk_device_fill(b->d.logits, 0, b->size.logits, b->stream));
    PK_TRY(bench_write(b, b->d.logits + token, &high, sizeof high));
    PK_TRY(pk_decode_step(&b->d, where, &how, b->stream));
    PK_TRY(bench_read(b, after, b->d.state, sizeof *after));
    if (after->token != token)
        return pk_fail(PK_WRONG, "token %d was to be chosen, and it is %d", token, after->token);
    return PK_OK;
}

/* Each end token ends where the sampling says so, and no other; the limit does; what has ended stays so; a step by
 * value leaves it to the host. */
static pk_status ends(bool stops)
{
    enum { LIMIT = 6 };
    const pk_decoder_shape shape = {32, 1, STAND_STEPS, 1, PK_QUANT_BF16};
    decoder_bench b;
    pk_model_config config;
    PK_TRY(pk_model_config_named("tiny", &config));
    config.end_count = PK_MODEL_MOST_ENDS;
    for (int i = 0; i < PK_MODEL_MOST_ENDS; i++)
        config.end_tokens[i] = 10 + 3 * i;
    const setting at = {stops ? "ends" : "ends that do not count", {true, false, false, NULL, NULL, NULL}, 2};
    pk_status status = open_loaded(&b, &config, &shape, 4, 32, stops);
    for (int token = 0; token < 40 && status == PK_OK; token++) {
        const bool is_end = token >= 10 && (token - 10) % 3 == 0 && token < 10 + 3 * PK_MODEL_MOST_ENDS;
        pk_decode_state after;
        status = choose_token(&b, token, pk_decode_state{2, 5, 2, LIMIT, 0, 0, 0, 0}, -1, &after);
        if (status == PK_OK && (after.done != (stops && is_end) || after.step != 3 || after.fault != 0))
            wrong(&at, "token %d: done %d, step %d, fault %d", token, after.done, after.step, after.fault);
        if (status == PK_OK)
            status = choose_token(&b, token, pk_decode_state{2, 5, 2, LIMIT, 0, 0, 0, 0}, 2, &after);
        if (status == PK_OK && (after.done != 0 || after.step != 2 || after.position != 2))
            wrong(&at, "token %d, the step by value: done %d, step %d", token, after.done, after.step);
    }
    for (int step = 0; step < LIMIT + 2 && status == PK_OK; step++)
        for (int done = 0; done < 2 && status == PK_OK; done++) {
            pk_decode_state after;
            status = choose_token(&b, 1, pk_decode_state{2, 5, step, LIMIT, done, 0, 0, 0}, -1, &after);
            if (status == PK_OK && after.done != (done || step + 1 >= LIMIT))
                wrong(&at, "step %d of %d, done %d before: done %d", step, (int)LIMIT, done, after.done);
        }
    bench_close(&b);
    return status;
}

/* ---- kernels, counted, and those that move ---- */

static int expected_kernels(const pk_model_config *c, bool fused)
{
    return fused ? 1 + (c->qk_norm ? 6 : 5) * c->layers + 2 : 1 + 15 * c->layers + 3;
}

/* Rotation, append and attention of a layer, or what of them is a kernel of its own and the projection that does the
 * rest; the logits and the choice. */
static int expected_moving(const pk_model_config *c, bool fused)
{
    return (fused ? 2 : 3) * c->layers + 2;
}

typedef union argument { /* of a kernel */
    pk_decode_at at;
    unsigned char bytes[512];
} argument;

/* Makes the kernel `node` that of a step at `to`, where it was one at `from`. Only the argument's own bytes are given:
 * those behind are poison. */
static pk_status move_kernel(const setting *s, cudaGraphExec_t exec, cudaGraphNode_t node, const pk_decode_at *from,
                             const pk_decode_at *to, int *moving)
{
    cudaKernelNodeParams params;
    argument a;
    void *arguments[1] = {&a};
    size_t bytes = 0;
    PK_CHECK(cudaGraphKernelNodeGetParams(node, &params));
    if (!pk_decode_kernel_moves((const void *)params.func, params.kernelParams[0], &bytes))
        return PK_OK;
    ++*moving;
    memset(&a, 0xaa, sizeof a);
    if (bytes < sizeof a.at || bytes > sizeof a)
        return pk_fail(PK_WRONG, "an argument of %zu bytes", bytes);
    memcpy(&a, params.kernelParams[0], bytes);
    if (a.at.state != from->state || a.at.position != from->position || a.at.token != from->token ||
        a.at.step != from->step)
        wrong(s, "an argument of %zu bytes does not begin with where the step stands", bytes);
    a.at = *to;
    params.kernelParams = arguments;
    PK_CHECK(cudaGraphExecKernelNodeSetParams(exec, node, &params));
    return PK_OK;
}

static pk_status move_kernels(decoder_bench *b, const setting *s, cudaGraph_t graph, cudaGraphExec_t exec,
                              const pk_decode_at *from, const pk_decode_at *to)
{
    size_t count = 0;
    int moving = 0;
    PK_CHECK(cudaGraphGetNodes(graph, NULL, &count));
    cudaGraphNode_t *const nodes = (cudaGraphNode_t *)malloc((count + 1) * sizeof *nodes);
    pk_status status = nodes ? PK_OK : pk_out_of_memory("step_test");
    if (nodes && cudaGraphGetNodes(graph, nodes, &count) != cudaSuccess)
        status = pk_fail(PK_FAULT, "cudaGraphGetNodes gave no nodes");
    for (size_t i = 0; i < count && status == PK_OK; i++)
        status = move_kernel(s, exec, nodes[i], from, to, &moving);
    free(nodes);
    if (status == PK_OK && moving != expected_moving(&b->d.config, s->how.fused))
        wrong(s, "%d kernels say that they move, where %d do", moving, expected_moving(&b->d.config, s->how.fused));
    return status;
}

/* A captured step: so many kernels; replayed at another position, when only those that move have been told. */
static pk_status captured(decoder_bench *b, const setting *at, left *want, left *got)
{
    const pk_decode_at from = {b->d.state, 1, -1, 1}, to = {b->d.state, at->position, -1, STAND_STEP};
    const pk_decode_state state = {5, 77, 9, STAND_STEPS, 0, 0, 0, 0};
    const int kernels = expected_kernels(&b->d.config, at->how.fused), said = pk_decode_step_launches(&b->d, &at->how);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    pk_launch_counts counts;
    size_t nodes = 0;
    PK_TRY(stand(b, want, at->position, state));
    PK_TRY(pk_decode_step(&b->d, to, &at->how, b->stream));
    PK_TRY(read_left(b, want));
    PK_CHECK(cudaStreamBeginCapture(b->stream, cudaStreamCaptureModeGlobal));
    pk_launch_counts_reset();
    const pk_status status = pk_decode_step(&b->d, from, &at->how, b->stream);
    pk_launch_counts_read(&counts);
    PK_CHECK(cudaStreamEndCapture(b->stream, &graph));
    PK_TRY(status);
    PK_CHECK(cudaGraphGetNodes(graph, NULL, &nodes));
    if ((int)nodes != kernels || (int)counts.launches != kernels || said != kernels)
        wrong(at, "%zu kernels, %llu launches counted, %d said, where %d belong", nodes,
              (unsigned long long)counts.launches, said, kernels);
    PK_CHECK(cudaGraphInstantiate(&exec, graph, 0));
    PK_TRY(move_kernels(b, at, graph, exec, &from, &to));
    PK_TRY(stand(b, got, at->position, state));
    PK_CHECK(cudaGraphLaunch(exec, b->stream));
    PK_TRY(read_left(b, got));
    if (!same_left(b, want, got))
        wrong(at, "a graph whose moving kernels were told where it stands has other bits");
    PK_CHECK(cudaGraphExecDestroy(exec));
    PK_CHECK(cudaGraphDestroy(graph));
    return PK_OK;
}

/* 24 layers, as qwen2.5-0.5b has: 364 kernels, or 123. */
static pk_status counted_at_24_layers(void)
{
    const pk_decoder_shape shape = {8, 1, 1, 1, PK_QUANT_BF16};
    const pk_sampling greedy = {1, 1, 0, false};
    const pk_decoder_memory none = {};
    pk_decoder d;
    pk_model_config config;
    PK_TRY(pk_model_config_named("qwen2.5-0.5b", &config));
    PK_TRY(pk_decoder_open(&d, &config, &shape, &greedy, 132, 512, &none));
    for (int fused = 0; fused < 2; fused++) {
        const setting at = {config.name, {fused != 0, false, false, NULL, NULL, NULL}, 0};
        const int want = fused ? 123 : 364, said = pk_decode_step_launches(&d, &at.how);
        if (said != want || expected_kernels(&config, fused != 0) != want)
            wrong(&at, "%d kernels said, where %d belong", said, want);
    }
    if (pk_decode_step_launches(&d, NULL) != 364)
        failures++;
    pk_decoder_close(&d);
    return PK_OK;
}

/* Bytes of each model's weights, matrix by matrix, and of its keys and values. */
static pk_status bytes_of_models(void)
{
    pk_model_config c;
    for (size_t i = 0; pk_model_config_name(i); i++) {
        PK_TRY(pk_model_config_named(pk_model_config_name(i), &c));
        const size_t hidden = (size_t)c.hidden, q = (size_t)c.heads * (size_t)c.head_dim, layers = (size_t)c.layers;
        const size_t kv = (size_t)c.kv_heads * (size_t)c.head_dim, ffn = (size_t)c.ffn;
        const size_t norms = 2 * hidden + (c.qk_norm ? 2 * (size_t)c.head_dim : 0), bias = c.qkv_bias ? q + 2 * kv : 0;
        const size_t layer = (q + 2 * kv) * hidden + bias + hidden * q + 3 * ffn * hidden + norms;
        const size_t weights = layers * layer + hidden + (size_t)c.vocab * hidden;
        const setting at = {c.name, {false, false, false, NULL, NULL, NULL}, 99};
        const double want = 2.0 * (double)(weights + 2 * layers * kv * 100), got = pk_decode_step_bytes(&c, 99);
        if (got != want || pk_decode_step_bytes(&c, -1) != 2.0 * (double)weights)
            wrong(&at, "a step moves %.0f bytes, and %.0f are said", want, got);
    }
    return PK_OK;
}

/* ---- a model, both forms ---- */

/* By programmatic launches two positions are enough: what they change is when kernels begin. */
static pk_status one_form(decoder_bench *b, setting at, left *want, left *got)
{
    static const int positions[] = {0, 63, 64, 62, 199};
    for (size_t i = at.how.pdl ? 3 : 0; i < sizeof positions / sizeof positions[0]; i++) {
        at.position = positions[i];
        PK_TRY(all_mixtures(b, &at, want, got));
        if (at.position == 62)
            PK_TRY(steps_in_a_row(b, &at, want, got));
    }
    PK_TRY(captured(b, &at, want, got));
    PK_TRY(cache_full(b, at, want, got));
    PK_TRY(no_number(b, at, got));
    expect_guards(b, &at);
    return PK_OK;
}

static pk_status one_model(const char *name, const pk_device_info *device)
{
    const pk_decoder_shape shape = {STAND_CAPACITY, 1, STAND_STEPS, STAND_ROWS, PK_QUANT_BF16};
    const int pdl = device->capabilities & PK_NEED_PDL ? 2 : 1;
    decoder_bench b;
    left want = {}, got = {};
    pk_model_config config;
    PK_TRY(pk_model_config_named(name, &config));
    pk_status status = open_loaded(&b, &config, &shape, 16, 32, false);
    if (status == PK_OK)
        status = open_left(&b, &want);
    if (status == PK_OK)
        status = open_left(&b, &got);
    for (int form = 0; form < 2 * pdl && status == PK_OK; form++) {
        const setting at = {name, {form % 2 == 1, form >= 2, false, NULL, NULL, NULL}, 0};
        status = one_form(&b, at, &want, &got);
    }
    close_left(&want);
    close_left(&got);
    bench_close(&b);
    return status;
}

/* ---- a long context ---- */

enum { LONG_PROMPT = 509, LONG_STEPS = 6 }; /* over the edge of 512 keys */

static pk_status decode_long(decoder_bench *b, const setting *at, const int *prompt, int *tokens, float *logits)
{
    const pk_decode_at where = {b->d.state, -1, -1, -1};
    PK_TRY(pk_decoder_begin(&b->d, prompt, LONG_PROMPT, LONG_STEPS, b->stream));
    PK_TRY(pk_prefill(&b->d, LONG_PROMPT, NULL, b->stream));
    for (int step = 1; step < LONG_STEPS; step++)
        PK_TRY(pk_decode_step(&b->d, where, &at->how, b->stream));
    PK_TRY(bench_read(b, tokens, b->d.tokens, LONG_STEPS * sizeof *tokens));
    return bench_read(b, logits, b->d.logits, b->size.logits);
}

typedef struct long_context {
    int tokens[LONG_PROMPT + LONG_STEPS]; /* the prompt, and what was decoded */
    float *logits;                        /* [LONG_STEPS][vocab], and in double */
    double *want, bound[LONG_STEPS];
} long_context;

static void judge_long(setting at, const long_context *l, int vocab)
{
    for (int step = 0; step < LONG_STEPS; step++)
        for (int i = 0; i < vocab; i++) {
            const double got = (double)l->logits[step * vocab + i], want = l->want[step * vocab + i];
            const double error = fabs(got - want);
            at.position = LONG_PROMPT + step - 1;
            most_of_reference = fmax(most_of_reference, error / l->bound[step]);
            if (!(error <= l->bound[step])) {
                wrong(&at, "logit %d is %.9g, in double %.9g, and the bound is %.3g", i, got, want, l->bound[step]);
                return;
            }
        }
}

static pk_status run_long(decoder_bench *b, setting at, const pk_model *model, long_context *l)
{
    enum { PASSES = 16 };
    const pk_reference_roundings roundings = {1, LONG_PROMPT};
    const int vocab = model->config.vocab;
    PK_TRY(decode_long(b, &at, l->tokens, l->tokens + LONG_PROMPT, l->logits));
    PK_TRY(pk_reference_bounds(model, l->tokens, LONG_PROMPT + LONG_STEPS - 1, LONG_PROMPT - 1, roundings, PASSES, 1,
                               l->want, l->bound));
    judge_long(at, l, vocab);
    expect_guards(b, &at);
    return PK_OK;
}

static pk_status long_contexts(const char *name)
{
    const pk_decoder_shape shape = {LONG_PROMPT + LONG_STEPS, LONG_PROMPT, LONG_STEPS, LONG_STEPS, PK_QUANT_BF16};
    decoder_bench b;
    long_context l;
    pk_model model = {};
    pk_model_config config;
    pk_random random;
    PK_TRY(pk_model_config_named(name, &config));
    pk_random_seed(&random, 3);
    for (int i = 0; i < LONG_PROMPT; i++)
        l.tokens[i] = (int)pk_random_below(&random, (uint64_t)config.vocab);
    l.logits = (float *)malloc(LONG_STEPS * (size_t)config.vocab * sizeof *l.logits);
    l.want = (double *)malloc(LONG_STEPS * (size_t)config.vocab * sizeof *l.want);
    pk_status status = open_loaded(&b, &config, &shape, 16, 128, false);
    if (status == PK_OK)
        status = l.logits && l.want ? pk_model_random(&config, SEED, &model) : pk_out_of_memory("step_test");
    for (int fused = 0; fused < 2 && status == PK_OK; fused++) {
        const setting at = {name, {fused != 0, false, false, NULL, NULL, NULL}, 0};
        status = run_long(&b, at, &model, &l);
    }
    pk_model_close(&model);
    free(l.logits);
    free(l.want);
    bench_close(&b);
    return status;
}

static pk_status all(const pk_device_info *device, bool few)
{
    static const char *const models[] = {"tiny", "tiny-qwen2", "tiny-qwen3"};
    PK_TRY(counted_at_24_layers());
    PK_TRY(bytes_of_models());
    PK_TRY(all_attention(few));
    PK_TRY(ends(true));
    PK_TRY(ends(false));
    for (int i = few ? 2 : 0; i < 3; i++)
        PK_TRY(one_model(models[i], device));
    return few ? PK_OK : long_contexts("tiny");
}

int main(int argc, char **argv)
{
    const bool few = argc > 1 && strcmp(argv[1], "--few") == 0;
    pk_device_info device;
    pk_status status = pk_device_open(&device);
    if (status == PK_OK)
        status = all(&device, few);
    if (status == PK_OK)
        printf("%s: errors up to %.2f of their bound in attention, %.2f in logits\n", device.name, most_of_attention,
               most_of_reference);
    else
        fprintf(stderr, "step_test: %s\n", pk_error_text());
    pk_device_close();
    return status != PK_OK ? pk_exit_code(status) : failures != 0;
}
