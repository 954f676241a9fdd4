/* The reference against golden files: its logits within the bounds of float, its greedy tokens equal, and logits that
 * were rounded on purpose within the bounds for that rounding.
 *
 *     reference_test MODELS GOLDEN...     exit 0, 1 (wrong), 77 (a model is not in the folder MODELS), 2 or 3
 *
 * Compiled with PK_REFERENCE_MISTAKES it lets the reference err, one mistake after the other, and passes where each was
 * seen by the bounds that are the widest. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "num/pk_random.h"
#include "pk_golden.h"
#include "reference_mistakes.h"

static int failures;

static void expect(bool true_as_wanted, const char *what)
{
    if (!true_as_wanted) {
        printf("FAILED: %s\n", what);
        failures++;
    }
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory) {
        printf("reference_test: out of host memory\n");
        exit(3);
    }
    return memory;
}

/* ---- one sequence of a golden file ---- */

typedef struct judged {
    const pk_golden *golden;
    const pk_golden_sequence *sequence;
    const pk_model *model;
    size_t vocab, first, positions; /* logits after the prompt's last token and on, until before the last one */
    double *logits, *bound;
    float *row;
} judged;

static judged judge(const pk_golden *golden, size_t number, const pk_model *model)
{
    judged j = {.golden = golden, .sequence = &golden->sequences[number], .model = model};
    j.vocab = (size_t)golden->config.vocab;
    j.first = j.sequence->prompt - 1;
    j.positions = j.sequence->count - 1 - j.first;
    j.logits = allocate(j.positions * j.vocab, sizeof *j.logits);
    j.bound = allocate(j.positions, sizeof *j.bound);
    j.row = allocate(j.vocab, sizeof *j.row);
    return j;
}

static void release(judged *j)
{
    free(j->logits);
    free(j->bound);
    free(j->row);
}

static pk_status compute(judged *j, pk_reference_roundings roundings, int passes)
{
    const size_t count = j->sequence->count - 1;
    if (passes == 0)
        return pk_reference_logits(j->model, j->sequence->tokens, count, j->first, j->logits);
    return pk_reference_bounds(j->model, j->sequence->tokens, count, j->first, roundings, passes, 1, j->logits,
                               j->bound);
}

/* Our logits at a golden row's position, as floats. */
static const float *row_of(judged *j, const pk_golden_logits *want)
{
    const double *logits = j->logits + ((size_t)want->position - j->first) * j->vocab;
    for (size_t i = 0; i < j->vocab; i++)
        j->row[i] = (float)logits[i];
    return j->row;
}

static bool same_roundings(pk_reference_roundings a, pk_reference_roundings b)
{
    return !a.kv == !b.kv && a.prefill == b.prefill;
}

/* The largest error of the rows with these roundings, in parts of its bound; -1: there are none. */
static double worst_of(judged *j, pk_reference_roundings roundings)
{
    double worst = -1;
    for (size_t i = 0; i < j->sequence->rows; i++) {
        const pk_golden_logits *want = &j->sequence->logits[i];
        if (!same_roundings(want->roundings, roundings))
            continue;
        int token = 0;
        const double error = pk_golden_error(want, row_of(j, want), &token);
        worst = fmax(worst, error / j->bound[(size_t)want->position - j->first]);
    }
    return worst;
}

/* ---- the reference is right ---- */

#ifndef PK_REFERENCE_MISTAKES
/* Each greedy token is the best of our logits, and our margin over the next is the golden one within two bounds. */
static void judge_greedy(const judged *j)
{
    for (size_t t = 0; t < j->positions; t++) {
        const double *row = j->logits + t * j->vocab;
        const int want = j->sequence->tokens[j->first + t + 1];
        double next = -INFINITY;
        for (size_t v = 0; v < j->vocab; v++)
            if ((int)v != want && row[v] > next)
                next = row[v];
        const double margin = row[want] - next, golden = (double)j->sequence->margins[t];
        if (margin > 0 && fabs(margin - golden) <= 2 * j->bound[t])
            continue;
        printf("FAILED: %s: greedy token %zu is %d by a margin of %g; ours is %g, bound %g\n", j->golden->config.name,
               t, want, golden, margin, 2 * j->bound[t]);
        failures++;
    }
}

/* KL of our distributions from the golden ones in fp32: the largest. */
static double largest_kl(judged *j)
{
    double largest = 0;
    for (size_t i = 0; i < j->sequence->rows; i++) {
        const pk_golden_logits *want = &j->sequence->logits[i];
        if (same_roundings(want->roundings, (pk_reference_roundings){0}))
            largest = fmax(largest, pk_golden_kl(want, row_of(j, want), j->vocab));
    }
    return largest;
}

/* A real model takes a second a pass: half as many, and one kind of rounding, on its first prompt. */
static bool judges(const pk_golden *golden, size_t number, int kind)
{
    return kind == 0 || !*golden->folder || (number == 0 && kind == 2);
}

static pk_status judge_sequence(const pk_golden *golden, size_t number, const pk_model *model)
{
    static const char *const kind_name[] = {"fp32", "bf16 cache", "bf16 cache and prefill"};
    judged j = judge(golden, number, model);
    const int prompt = (int)j.sequence->prompt, passes = *golden->folder ? 8 : 16;
    const pk_reference_roundings roundings[] = {{0, 0}, {1, 0}, {1, prompt}};
    double worst[3] = {-1, -1, -1}, kl = 0;
    pk_status status = PK_OK;
    for (int kind = 0; kind < 3 && status == PK_OK; kind++) {
        if (!judges(golden, number, kind))
            continue;
        status = compute(&j, roundings[kind], passes);
        if (status != PK_OK)
            break;
        if (kind == 0) {
            judge_greedy(&j);
            kl = largest_kl(&j);
        }
        worst[kind] = worst_of(&j, roundings[kind]);
        expect(worst[kind] >= 0 && worst[kind] <= 1, "golden logits within the bound");
        /* A bound that a right kernel comes nowhere near would let a wrong one pass. Of float's the worst case is far
         * from the usual one. */
        expect(worst[kind] >= (kind == 0 ? 1e-3 : 0.02), "a bound of the errors' size");
    }
    printf("%s, prompt of %d, errors over bound:", golden->config.name, prompt);
    for (int kind = 0; kind < 3; kind++)
        if (worst[kind] >= 0)
            printf(" %s %.2g,", kind_name[kind], worst[kind]);
    printf(" KL to fp32 %.1e nats, %zu greedy tokens, smallest margin %.3g\n", kl, j.positions,
           j.sequence->smallest_margin);
    expect(status != PK_OK || (kl >= -1e-6 && kl < 1e-6), "a KL to fp32 that is fp32's own error");
    release(&j);
    return status;
}

static pk_status judge_golden(const pk_golden *golden, const pk_model *model)
{
    pk_status status = PK_OK;
    for (size_t i = 0; i < golden->count && status == PK_OK; i++)
        status = judge_sequence(golden, i, model);
    return status;
}

/* The same bits from one thread, from two and from more than there is work for. */
static void any_number_of_threads(const pk_model *model)
{
    enum { COUNT = 37, FIRST = 20 };
    const size_t logits = (size_t)(COUNT - FIRST) * (size_t)model->config.vocab;
    int tokens[COUNT];
    double *one = allocate(logits, sizeof *one), *many = allocate(logits, sizeof *many);
    double one_bound[COUNT - FIRST], many_bound[COUNT - FIRST];
    const pk_reference_roundings roundings = {1, 30};
    for (int i = 0; i < COUNT; i++)
        tokens[i] = (i * 37 + 5) % model->config.vocab;
    setenv("PK_REFERENCE_THREADS", "1", 1);
    expect(pk_reference_bounds(model, tokens, COUNT, FIRST, roundings, 2, 7, one, one_bound) == PK_OK, "one thread");
    static const char *const threads[] = {"2", "7", "61"};
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
        setenv("PK_REFERENCE_THREADS", threads[i], 1);
        expect(pk_reference_bounds(model, tokens, COUNT, FIRST, roundings, 2, 7, many, many_bound) == PK_OK, "threads");
        expect(memcmp(one, many, logits * sizeof *one) == 0, "logits that do not depend on the number of threads");
        expect(memcmp(one_bound, many_bound, sizeof one_bound) == 0, "bounds that do not");
    }
    setenv("PK_REFERENCE_THREADS", "none", 1);
    expect(pk_reference_logits(model, tokens, COUNT, FIRST, many) == PK_USAGE, "a number of threads that is none");
    unsetenv("PK_REFERENCE_THREADS");
    free(one);
    free(many);
}

/* A position's logits do not depend on what follows, nor on which positions were asked for; bad requests are refused.
 */
static void positions_and_requests(const pk_model *model)
{
    const size_t vocab = (size_t)model->config.vocab;
    int tokens[33];
    double *all = allocate(33 * vocab, sizeof *all), *part = allocate(vocab, sizeof *part);
    for (int i = 0; i < 33; i++)
        tokens[i] = (i * 11 + 3) % model->config.vocab;
    expect(pk_reference_logits(model, tokens, 33, 0, all) == PK_OK, "33 positions");
    for (size_t count = 1; count <= 33; count++) {
        expect(pk_reference_logits(model, tokens, count, count - 1, part) == PK_OK, "one position");
        expect(memcmp(part, all + (count - 1) * vocab, vocab * sizeof *part) == 0,
               "the same logits in a longer sequence");
    }
    expect(pk_reference_logits(model, tokens, 33, 33, part) == PK_USAGE, "a position past the sequence is refused");
    expect(pk_reference_logits(model, tokens, 0, 0, part) == PK_USAGE, "an empty sequence is refused");
    tokens[32] = model->config.vocab;
    expect(pk_reference_logits(model, tokens, 33, 32, part) == PK_USAGE, "a token past the vocabulary is refused");
    tokens[32] = -1;
    expect(pk_reference_logits(model, tokens, 33, 32, part) == PK_USAGE, "a token below 0 is refused");
    double bound;
    expect(pk_reference_bounds(model, tokens, 1, 0, (pk_reference_roundings){1, 0}, 0, 1, part, &bound) == PK_USAGE,
           "bounds by no pass are refused");
    free(all);
    free(part);
}

/* Each kind of rounding widens the bound, and only where it is: a prefill's, the positions of the prefill most. */
static void wider_bounds(const pk_model *model)
{
    enum { COUNT = 40, PROMPT = 20 };
    static const pk_reference_roundings roundings[4] = {{0, 0}, {1, 0}, {1, PROMPT}, {1, COUNT}};
    int tokens[COUNT];
    double *logits = allocate((size_t)COUNT * (size_t)model->config.vocab, sizeof *logits), bound[4][COUNT];
    double prompt[4] = {0}, rest[4] = {0};
    for (int i = 0; i < COUNT; i++)
        tokens[i] = (i * 29 + 7) % model->config.vocab;
    for (int kind = 0; kind < 4; kind++) {
        expect(pk_reference_bounds(model, tokens, COUNT, 0, roundings[kind], 8, 3, logits, bound[kind]) == PK_OK,
               "bounds");
        for (int i = 0; i < COUNT; i++)
            *(i < PROMPT ? &prompt[kind] : &rest[kind]) += bound[kind][i];
    }
    expect(prompt[1] > 100 * prompt[0] && rest[1] > 100 * rest[0], "a wider bound for a bf16 cache");
    expect(prompt[2] > 1.2 * prompt[1], "a wider bound for bf16 inputs of projections");
    expect(rest[3] / prompt[3] > 1.1 * (rest[2] / prompt[2]), "a narrower one after the prefill");
    free(logits);
}

/* Against numbers that were worked out by hand: p = (1/2, 1/4, 1/4) and q = (1/4, 1/4, 1/2), both shifted. */
static void divergence(void)
{
    const double want[3] = {log(2) + 100, 100, 100};
    const float same[3] = {(float)log(2) - 3, -3, -3}, got[3] = {0, 0, (float)log(2)};
    const float infinite[3] = {0, -INFINITY, 0}, none[3] = {0, NAN, 0};
    expect(fabs(pk_reference_kl(want, got, 3) - 0.25 * log(2)) < 1e-6, "KL of (1/4, 1/4, 1/2) from (1/2, 1/4, 1/4)");
    expect(fabs(pk_reference_kl(want, same, 3)) < 1e-6, "KL 0 of the same distribution, shifted");
    expect(pk_reference_kl(want, infinite, 3) == INFINITY, "an infinite KL where a token became impossible");
    expect(isnan(pk_reference_kl(want, none, 3)), "no KL of what is no number");
    int kept[2] = {0, 1}; /* the third: 1/4 for 1/2 */
    float values[2] = {(float)log(2), 0};
    pk_golden_logits golden = {.log_sum_exp = log(4), .count = 2, .tokens = kept, .values = values};
    expect(fabs(pk_golden_kl(&golden, got, 3) - 0.25 * log(2)) < 1e-6, "KL from two logits and the rest of one");
    int token = -1;
    expect(pk_golden_error(&golden, got, &token) == (double)values[0] && token == 0, "the largest difference");
    expect(pk_golden_error(&golden, none, &token) == INFINITY && token == 1, "what is no number");
    expect(pk_golden_error(&golden, (const float[]){1, 0, NAN}, &token) < 1, "what was not kept is not compared");
}

static bool same_shape(const pk_model_config *a, const pk_model_config *b)
{
    return strcmp(a->family, b->family) == 0 && a->layers == b->layers && a->hidden == b->hidden &&
           a->heads == b->heads && a->kv_heads == b->kv_heads && a->head_dim == b->head_dim && a->ffn == b->ffn &&
           a->vocab == b->vocab && a->rms_eps == b->rms_eps && a->rope_theta == b->rope_theta &&
           a->rope_factor == b->rope_factor && a->tied_embedding == b->tied_embedding && a->activation == b->activation;
}

/* The named configuration is the one that the file was made with; other weights than those are refused. */
static void golden_of_its_model(const pk_golden *golden)
{
    pk_model_config named;
    const bool has_name = pk_model_config_named(golden->config.name, &named) == PK_OK;
    expect(!has_name || same_shape(&named, &golden->config), "the named configuration is the golden file's");
    pk_golden other = *golden;
    pk_model model;
    other.seed++;
    expect(pk_golden_model(&other, "models", &model) == PK_WRONG, "weights of another seed are refused");
}

static pk_status all_of(const pk_golden *golden, const pk_model *model)
{
    if (!*golden->folder) {
        any_number_of_threads(model);
        positions_and_requests(model);
        wider_bounds(model);
        golden_of_its_model(golden);
    }
    return judge_golden(golden, model);
}

/* Files that are none are refused, each with its reason. */
static void refused_files(void)
{
    static const char begin[] = "{\"format\":\"pk-golden 1\",\"model\":\"m\",\"weights\":{\"random_seed\":1},"
                                "\"checksum\":\"0\",\"config\":{\"model_type\":\"llama\",\"hidden_size\":64,"
                                "\"intermediate_size\":64,\"num_hidden_layers\":1,\"num_attention_heads\":4,"
                                "\"vocab_size\":8,\"max_position_embeddings\":64},\"sequences\":";
    static const char *const ends[] = {
        "3}",
        "[{\"prompt\":[],\"greedy\":[1],\"margins\":[1],\"smallest_margin\":1,\"logits\":[]}]}",
        "[{\"prompt\":[8],\"greedy\":[1],\"margins\":[1],\"smallest_margin\":1,\"logits\":[]}]}",
        "[{\"prompt\":[1],\"greedy\":[1],\"margins\":[1,2],\"smallest_margin\":1,\"logits\":[]}]}",
        "[{\"prompt\":[1],\"greedy\":[1],\"margins\":[1],\"smallest_margin\":1,\"logits\":[{\"position\":2,"
        "\"prefill_bf16\":0,\"log_sum_exp\":1,\"tokens\":[1],\"values\":[1]}]}]}",
        "[{\"prompt\":[1],\"greedy\":[1],\"margins\":[1],\"smallest_margin\":1,\"logits\":[{\"position\":1,"
        "\"prefill_bf16\":0,\"log_sum_exp\":1,\"values\":[1]}]}]}",
        "[{\"prompt\":[1],\"greedy\":[1],\"margins\":[1],\"smallest_margin\":1,\"logits\":[{\"position\":1,"
        "\"prefill_bf16\":0,\"log_sum_exp\":1,\"tokens\":[1],\"values\":[1]}]}]}"}; /* the last: a right one */
    enum { COUNT = sizeof ends / sizeof ends[0] };
    pk_golden golden;
    expect(pk_golden_open("no/such/file.json", &golden) == PK_USAGE, "a golden file that is not there");
    for (size_t i = 0; i < COUNT; i++) {
        char path[] = "/tmp/golden-XXXXXX";
        const int file = mkstemp(path);
        FILE *out = file >= 0 ? fdopen(file, "w") : NULL;
        expect(out && fprintf(out, "%s%s", begin, ends[i]) > 0 && fclose(out) == 0, "a file is written");
        const pk_status status = pk_golden_open(path, &golden);
        expect(status == (i + 1 < COUNT ? PK_USAGE : PK_OK), i + 1 < COUNT ? ends[i] : pk_error_text());
        pk_golden_close(&golden);
        (void)remove(path);
    }
}

/* ---- keys and values that are given ---- */

enum { GIVEN = 13, GIVEN_ROOM = 16, GIVEN_TOKENS = 3, GIVEN_LAYERS = 8 };

typedef struct given_cache { /* of a small model; each layer's keys and values behind the other */
    uint16_t *memory;
    const uint16_t *keys[GIVEN_LAYERS], *values[GIVEN_LAYERS];
    size_t head_dim;
} given_cache;

static given_cache draw_given(const pk_model_config *config)
{
    const size_t layer = (size_t)config->kv_heads * GIVEN_ROOM * (size_t)config->head_dim;
    given_cache c = {.memory = allocate(2 * layer * (size_t)config->layers, sizeof(uint16_t))};
    pk_random random;
    pk_random_seed(&random, 1);
    for (size_t i = 0; i < 2 * layer * (size_t)config->layers; i++) /* 1 to 2, of either sign */
        c.memory[i] = (uint16_t)(0x3f80 + pk_random_below(&random, 128) + (pk_random_below(&random, 2) << 15));
    for (size_t l = 0; l < (size_t)config->layers; l++) {
        c.keys[l] = c.memory + 2 * layer * l;
        c.values[l] = c.keys[l] + layer;
    }
    c.head_dim = (size_t)config->head_dim;
    return c;
}

/* Rows a and b of the first head's keys, and of its values, change places in every layer. */
static void swap_rows(given_cache *c, int layers, size_t a, size_t b)
{
    for (int l = 0; l < layers; l++)
        for (int values = 0; values < 2; values++) {
            uint16_t *const rows = c->memory + ((values ? c->values[l] : c->keys[l]) - c->memory);
            for (size_t d = 0; d < c->head_dim; d++) {
                const uint16_t kept = rows[a * c->head_dim + d];
                rows[a * c->head_dim + d] = rows[b * c->head_dim + d];
                rows[b * c->head_dim + d] = kept;
            }
        }
}

static double furthest(const double *a, const double *b, size_t count)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, fabs(a[i] - b[i]));
    return worst;
}

/* Without any it is the reference; their order is of no matter, whatever tiles they are in; what is beyond is not read.
 */
static void given_keys(void)
{
    const int tokens[GIVEN_TOKENS] = {7, 1, 30};
    pk_model_config config;
    pk_model model;
    if (pk_model_config_named("tiny-qwen3", &config) != PK_OK || pk_model_random(&config, 1, &model) != PK_OK) {
        expect(false, pk_error_text());
        return;
    }
    const size_t logits = GIVEN_TOKENS * (size_t)config.vocab;
    double *const first = allocate(logits, sizeof *first), *const then = allocate(logits, sizeof *then);
    double bound[GIVEN_TOKENS];
    given_cache c = draw_given(&config);
    pk_reference_cache cache = {.capacity = GIVEN_ROOM, .keys = c.keys, .values = c.values};
    expect(pk_reference_logits(&model, tokens, GIVEN_TOKENS, 0, first) == PK_OK, pk_error_text());
    expect(pk_reference_bounds_after(&model, &cache, tokens, GIVEN_TOKENS, 1, 1, then, bound) == PK_OK,
           "no keys given");
    expect(memcmp(first, then, logits * sizeof *first) == 0, "no keys given: the reference's logits");
    cache.positions = GIVEN;
    expect(pk_reference_bounds_after(&model, &cache, tokens, GIVEN_TOKENS, 1, 1, first, bound) == PK_OK, "keys given");
    expect(furthest(first, then, logits) > 1e-3, "keys given: other logits than without");
    swap_rows(&c, config.layers, 1, GIVEN - 1);
    expect(pk_reference_bounds_after(&model, &cache, tokens, GIVEN_TOKENS, 1, 1, then, bound) == PK_OK, "keys swapped");
    expect(furthest(first, then, logits) < 1e-9, "keys given: the order is of no matter");
    swap_rows(&c, config.layers, 1, GIVEN);
    expect(pk_reference_bounds_after(&model, &cache, tokens, GIVEN_TOKENS, 1, 1, then, bound) == PK_OK, "another key");
    expect(furthest(first, then, logits) > 1e-3, "keys given: each is looked at");
    free(c.memory);
    free(first);
    free(then);
    pk_model_close(&model);
}

static void before_all(void)
{
    divergence();
    refused_files();
    given_keys();
}

static void after_all(void)
{
}
#else
/* ---- the reference errs ---- */

enum pk_reference_mistake pk_reference_planted = PK_MISTAKE_NONE;
static bool seen[PK_MISTAKE_COUNT];
static const char *const mistake_name[PK_MISTAKE_COUNT] = {
    [PK_MISTAKE_NONE] = "no mistake",
    [PK_MISTAKE_ROTARY_HALVES] = "rotary halves swapped",
    [PK_MISTAKE_ROTARY_PAIRS] = "rotary pairs of neighbours",
    [PK_MISTAKE_NO_BIAS] = "no bias",
    [PK_MISTAKE_HEAD_NORM] = "head norm after the rotation",
    [PK_MISTAKE_GROUP] = "key/value head by modulo",
    [PK_MISTAKE_NOT_CAUSAL] = "a position sees the next",
    [PK_MISTAKE_SCALE] = "scores over the root of hidden",
    [PK_MISTAKE_EPSILON] = "no epsilon in norms",
};

/* Bounds of the right reference, and the logits of each wrong one against the golden fp32 rows. The epsilon is too
 * small for bf16's bounds, and is to be seen by float's. */
static pk_status all_of(const pk_golden *golden, const pk_model *model)
{
    judged j = judge(golden, 1, model);
    const pk_reference_roundings narrow = {0, 0}, wide = {1, (int)j.sequence->prompt};
    double *narrow_bound = allocate(j.positions, sizeof *narrow_bound);
    double *wide_bound = allocate(j.positions, sizeof *wide_bound);
    pk_status status = compute(&j, wide, 16);
    memcpy(wide_bound, j.bound, j.positions * sizeof *j.bound);
    if (status == PK_OK)
        status = compute(&j, narrow, 16);
    memcpy(narrow_bound, j.bound, j.positions * sizeof *j.bound);
    for (int mistake = 0; mistake < PK_MISTAKE_COUNT && status == PK_OK; mistake++) {
        pk_reference_planted = (enum pk_reference_mistake)mistake;
        memcpy(j.bound, mistake == PK_MISTAKE_EPSILON ? narrow_bound : wide_bound, j.positions * sizeof *j.bound);
        status = compute(&j, narrow, 0);
        const double worst = worst_of(&j, narrow);
        printf("%s, %s: errors up to %.3g of the bound\n", golden->config.name, mistake_name[mistake], worst);
        seen[mistake] = seen[mistake] || !(worst <= 1);
    }
    pk_reference_planted = PK_MISTAKE_NONE;
    free(narrow_bound);
    free(wide_bound);
    release(&j);
    return status;
}

static void before_all(void)
{
}

static void after_all(void)
{
    expect(!seen[PK_MISTAKE_NONE], "no mistake: nothing to see");
    for (int mistake = PK_MISTAKE_NONE + 1; mistake < PK_MISTAKE_COUNT; mistake++)
        expect(seen[mistake], mistake_name[mistake]);
}
#endif

int main(int argc, char **argv)
{
    if (argc < 3) {
        printf("reference_test: no golden file; call it as reference_test MODELS GOLDEN...\n");
        return 2;
    }
    before_all();
    for (int i = 2; i < argc; i++) {
        pk_golden golden;
        pk_model model;
        pk_status status = pk_golden_open(argv[i], &golden);
        if (status == PK_OK) {
            status = pk_golden_model(&golden, argv[1], &model);
            if (status == PK_OK) {
                status = all_of(&golden, &model);
                pk_model_close(&model);
            }
            pk_golden_close(&golden);
        }
        if (status != PK_OK) {
            printf("%s\n", pk_error_text());
            return pk_exit_code(status);
        }
    }
    after_all();
    return failures == 0 ? 0 : 1;
}
